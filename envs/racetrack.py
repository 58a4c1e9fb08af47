"""The racetrack (Sutton & Barto 2018, Exercise 5.12) on the two tracks of Figure 5.5, or on any other.

A state is a cell of the track and a velocity (up, right), each component 0 to 4. An action adds -1, 0 or 1 to each
component; with probability ``noise`` neither is added. Each step pays -1.

The new velocity: components are held in 0 to 4. Both are zero on the starting line alone; elsewhere increments that
would make them so are not added.

The projected path: the straight line from the middle of the car's cell to the middle of the cell that lies ``up`` rows
above and ``right`` columns to the right of it. It visits the cells whose inside it meets, in this order; through a
corner it goes from cell to diagonal cell without touching the two beside. The first visited cell that is not of the
track decides: on a finish cell the episode ends; on any other, or outside of the picture, the car goes back to a cell
of the starting line, each as likely, and stands still. If all visited cells are of the track it goes to the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from rlgrid.envs.scene import Scene
from rlgrid.gridmodel import GridModel, TileKind
from rlgrid.mdp import MDP

FASTEST = 4
INCREMENTS = [(up, right) for up in (-1, 0, 1) for right in (-1, 0, 1)]  # of the actions, in order
_SIDE = FASTEST + 1

# For each row its first and last column; the starting line is the last row, the finish the last column.
_LEFT = [(3, 16), (2, 16), (2, 16), (1, 16), (0, 16), (0, 16), (0, 9)]
_LEFT += [(0, 8)] * 7 + [(1, 8)] * 8 + [(2, 8)] * 7 + [(3, 8)] * 3
_RIGHT = [(16, 31), (13, 31), (12, 31), (11, 31), (11, 31), (11, 31), (11, 31), (12, 31), (13, 31), (14, 29)]
_RIGHT += [(14, 26), (14, 25), (14, 23), (14, 22)]
_RIGHT += [(column, 22) for column in range(13, -1, -1)] + [(0, 22)] * 2


def _drawn(spans: list[tuple[int, int]]) -> tuple[str, ...]:
    width = 1 + max(last for _, last in spans)
    rows = []
    for r, (first, last) in enumerate(spans):
        inside = "S" if r == len(spans) - 1 else "."
        row = "#" * first + inside * (last - first + 1) + "#" * (width - 1 - last)
        rows.append(row[:-1] + "F" if last == width - 1 else row)
    return tuple(rows)


TRACKS = {"left": _drawn(_LEFT), "right": _drawn(_RIGHT)}
"""The tracks of Figure 5.5 as rows of text: "." track, "S" starting line, "F" finish line, "#" beside the track."""


def racetrack(track: str | Sequence[str] = "left", noise: float = 0.1, gamma: float = 1.0) -> MDP:
    """The racetrack as a model; the module's text says what a step does.

    Args:
        track: "left" or "right", those of the figure, or rows of text of one's own.
        noise: the probability that the velocity stays as it is.
        gamma: the discount factor.

    The label of a state is (row, column, up, right); the last state, "finish", is what the finish line leads to.
    Episodes begin on the starting line, each of its cells as likely, with the velocity (0, 0).

    Raises:
        ValueError, TypeError: naming what is wrong with the track or the noise.
    """
    rows = _rows(track)
    if isinstance(noise, bool) or not isinstance(noise, int | float | np.integer | np.floating):
        raise TypeError(f"noise must be a probability in [0, 1], not {noise!r}")
    if not 0.0 <= noise <= 1.0:
        raise ValueError(f"noise must lie in [0, 1], not {noise!r}")
    cells = [(r, c) for r, row in enumerate(rows) for c, kind in enumerate(row) if kind in ".S"]
    is_start = np.array([rows[r][c] == "S" for r, c in cells])
    speeds = [(up, right) for up in range(_SIDE) for right in range(_SIDE)]

    # States: the cells with every velocity that they may have, then the finish.
    exists = np.ones((len(cells), _SIDE * _SIDE), np.bool_)
    exists[~is_start, 0] = False
    number = np.full(exists.shape, -1)
    number[exists] = np.arange(exists.sum())
    finish = int(exists.sum())
    labels: list[Any] = [(*cells[i], *speeds[v]) for i, v in np.argwhere(exists).tolist()]
    starts = number[is_start, 0]

    # Where each cell leads with each new velocity: a state, the finish, or -1 for the starting line.
    index = {cell: i for i, cell in enumerate(cells)}
    leads = np.full(exists.shape, -1)
    for i, cell in enumerate(cells):
        for v, (up, right) in enumerate(speeds):
            if not exists[i, v]:
                continue
            end = _follow(rows, cell, up, right)
            if end is not None:
                leads[i, v] = finish if rows[end[0]][end[1]] == "F" else number[index[end], v]

    # Two branches a pair: the increments are added, or they are not.
    cell_of, speed_of = np.nonzero(exists)
    ups, rights = np.divmod(speed_of, _SIDE)
    by_action = np.empty((finish, len(INCREMENTS), 2), np.int64)
    for a, (du, dr) in enumerate(INCREMENTS):
        changed = np.clip(ups + du, 0, FASTEST) * _SIDE + np.clip(rights + dr, 0, FASTEST)
        changed = np.where((changed == 0) & ~is_start[cell_of], speed_of, changed)
        by_action[:, a, 0] = leads[cell_of, changed]
        by_action[:, a, 1] = leads[cell_of, speed_of]
    branches = [(1.0 - noise, 0), (float(noise), 1)]
    used = [b for p, b in branches if p > 0.0]
    to = by_action[:, :, used].reshape(-1)
    probability = np.tile([p for p, _ in branches if p > 0.0], finish * len(INCREMENTS))

    # A branch that goes back has one outcome for each cell of the starting line.
    sizes = np.where(to < 0, starts.size, 1)
    place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    next_state = np.repeat(to, sizes)
    back = next_state < 0
    next_state[back] = starts[place[back]]
    per_pair = sizes.reshape(-1, len(used)).sum(axis=1)
    still = len(INCREMENTS)  # of the finish, one outcome for each action
    start = np.zeros(finish + 1)
    start[starts] = 1.0 / starts.size
    return MDP(
        finish + 1,
        len(INCREMENTS),
        np.concatenate([[0], np.cumsum(per_pair), per_pair.sum() + np.arange(1, still + 1)]),
        np.concatenate([next_state, np.full(still, finish)]),
        np.concatenate([np.repeat(probability / sizes, sizes), np.ones(still)]),
        np.concatenate([np.full(next_state.size, -1.0), np.zeros(still)]),
        np.concatenate([next_state == finish, np.ones(still, np.bool_)]),
        gamma=gamma,
        start=start,
        states=[*labels, "finish"],
    )


def visited(up: int, right: int) -> list[tuple[int, int]]:
    """The cells that a projected path visits after its first one, as (rows up, columns to the right) from it.

    The line meets the border between columns k and k + 1 at the share (2k + 1) / (2 right) of its way, and likewise
    for rows; the shares are compared as whole numbers.
    """
    found, rows, columns = [], 0, 0
    while (rows, columns) != (up, right):
        to_row = (2 * rows + 1) * right if rows < up else np.inf
        to_column = (2 * columns + 1) * up if columns < right else np.inf
        rows, columns = rows + (to_row <= to_column), columns + (to_column <= to_row)
        found.append((rows, columns))
    return found


_PATHS = {(up, right): visited(up, right) for up in range(_SIDE) for right in range(_SIDE)}


def _follow(rows: Sequence[str], cell: tuple[int, int], up: int, right: int) -> tuple[int, int] | None:
    """The cell in which a step ends, on the track or on the finish; None where the car leaves the track."""
    end = cell
    for rise, along in _PATHS[up, right]:
        r, c = cell[0] - rise, cell[1] + along
        if r < 0 or c >= len(rows[r]) or rows[r][c] == "#":
            return None
        end = (r, c)
        if rows[r][c] == "F":
            return end
    return end


def _rows(track: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(track, str):
        if track not in TRACKS:
            raise ValueError(f"track must be {' or '.join(map(repr, TRACKS))}, or rows of text, not {track!r}")
        return TRACKS[track]
    rows = tuple(track)
    if not rows or not all(isinstance(row, str) for row in rows) or len({len(row) for row in rows}) != 1:
        raise ValueError("track must be rows of text of one length")
    for r, row in enumerate(rows):
        wrong = next((c for c, kind in enumerate(row) if kind not in ".SF#"), None)
        if wrong is not None:
            raise ValueError(f"track, row {r}, column {wrong}: {row[wrong]!r} is none of '.', 'S', 'F', '#'")
    for kind, name in (("S", "starting"), ("F", "finish")):
        if not any(kind in row for row in rows):
            raise ValueError(f"the track has no {name} line: mark its cells with {kind!r}")
    return rows


@dataclass(frozen=True)
class TrackScene(Scene):
    """The track with the car on it. The text shows the velocity too."""

    track: str | tuple[str, ...]
    places: MDP  # whose labels tell where the car is

    actions = tuple(f"{up:+d} up, {right:+d} right" for up, right in INCREMENTS)

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The track as text."""
        return _rows(self.track)

    def picture(self, state: int | None) -> tuple[Any, int | None]:
        label: Any = None if state is None else self._label(state)
        at = None if not isinstance(label, tuple) else label[0] * len(self.rows[0]) + label[1]
        return _drawing(self.rows), at

    def _label(self, state: int) -> Any:
        assert self.places.states is not None
        return self.places.states[state]

    def text(self, state: int | None) -> str:
        lines = [[" ", *" ".join(row), " "] for row in self.rows]
        label: Any = None if state is None else self._label(state)
        said = ""
        if isinstance(label, tuple):
            row, column = label[:2]
            lines[row][2 * column], lines[row][2 * column + 2] = "[", "]"
        if state is not None:
            said = self.label(state) + "\n"
        return "".join("".join(line).rstrip() + "\n" for line in lines) + said

    def label(self, state: int) -> str:
        label = self._label(state)
        if not isinstance(label, tuple):
            return str(label)
        row, column, up, right = label
        return f"row {row}, column {column}, velocity {up} up and {right} right"


@lru_cache(maxsize=8)
def _drawing(rows: tuple[str, ...]) -> GridModel:
    kinds = [
        TileKind("track", "."),
        TileKind("starting line", "S", glyph="start"),
        TileKind("finish line", "F", terminal=True, glyph="goal"),
        TileKind("beside the track", "#", wall=True, glyph="wall"),
    ]
    tiles = [[".SF#".index(kind) for kind in row] for row in rows]
    return GridModel(tiles, kinds, gamma=1.0, start=int(np.flatnonzero(np.array(tiles).ravel() == 1)[0]))
