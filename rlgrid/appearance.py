"""What a model looks like whatever is drawn on it: its walls and marks, its starts, the directions of its actions.

A GridModel's kinds of tile say how they are drawn. Of an explicit MDP the same is read off its outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rlgrid import glyphs
from rlgrid.gridmodel import MOVES
from rlgrid.layout import shape_of

_ROUNDING = 1e-9  # by which the means of equal rewards may differ
_PIT, _GOAL = glyphs.MARKS.index("pit") + 1, glyphs.MARKS.index("goal") + 1


@dataclass
class Appearance:
    """The parts of a model's look that no table changes."""

    shape: tuple[int, int]
    num_states: int
    wall: NDArray[np.bool_]  # [S], but for shut doors, which have a mark
    mark: NDArray[np.uint8]  # [S]: 0, or 1 + the index into glyphs.MARKS
    closed: NDArray[np.bool_]  # [S]: cells in which no action is taken (terminal, or it sends the agent on)
    start: NDArray[np.bool_]  # [S]
    wind: NDArray[np.int8] | None  # [S, 2]: rows down and columns to the right that the wind carries a step, or no wind
    directions: tuple[tuple[int, int], ...] | None  # (rows, columns) of each action; None if they have none
    kinds: dict[bool, NDArray[np.uint8]] = field(default_factory=dict)  # kept by `rlgrid.picture`

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """bool [S]: the cells that are coloured by a table."""
        return ~self.wall & ~self.closed


_KEPT: WeakKeyDictionary[Any, Appearance] = WeakKeyDictionary()


def appearance_of(model: Any) -> Appearance:
    """The appearance of a model; worked out once for each, since models do not change."""
    found = _KEPT.get(model)
    if found is None:
        grid = getattr(model, "grid", model)  # a world with thin walls is a grid besides
        found = _of_grid(grid) if hasattr(grid, "kinds") else _of_mdp(model)
        _KEPT[model] = found
    return found


def _of_grid(model: Any) -> Appearance:
    tiles = model.tiles.ravel()
    names = {name: k + 1 for k, name in enumerate(glyphs.MARKS)}
    marks = [names.get(kind.glyph, names["end"] if kind.terminal and not kind.wall else 0) for kind in model.kinds]
    for k, kind in enumerate(model.kinds):
        if kind.glyph == "door" and not kind.wall:
            marks[k] = names["open door"]
    closed = [kind.wall or kind.terminal or kind.enter_to is not None for kind in model.kinds]
    wall = np.array([kind.wall and kind.glyph != "door" for kind in model.kinds])[tiles]
    mark = np.array(marks, np.uint8)[tiles]
    few = model.start_states.size <= max(4, model.num_states // 8)
    start = np.zeros(model.num_states, np.bool_)
    if few:
        start[model.start_states] = True
    mark[(mark == 0) & start] = names["start"]
    if not few:
        mark[mark == names["start"]] = 0
    return Appearance(
        shape=shape_of(model),
        num_states=model.num_states,
        wall=wall,
        mark=mark,
        closed=np.array(closed)[tiles],
        start=start,
        wind=_wind(model),
        directions=tuple(MOVES[name] for name in model.actions),
    )


def _wind(model: Any) -> NDArray[np.int8] | None:
    if not model.column_wind.any() and not model.row_wind.any():
        return None
    wind = np.empty((*model.shape, 2), np.int8)
    wind[:, :, 0] = np.clip(-model.column_wind, -3, 3)
    wind[:, :, 1] = np.clip(model.row_wind, -3, 3)[:, None]
    return wind.reshape(-1, 2)


def _of_mdp(model: Any) -> Appearance:
    """An explicit MDP says nothing of walls and goals: they are read off its outcomes.

    A state that ends the episode is a goal if no other such state is entered with a larger reward, by the mean of a
    random one, else a pit; one that nothing leads to is a wall. Actions have directions if the states are a grid and
    each moves one way.
    """
    absorbing = np.asarray(model.absorbing)
    mark = np.zeros(model.num_states, np.uint8)
    owner = np.repeat(np.arange(model.num_states), np.diff(model.offsets[:: model.num_actions]))
    entering = absorbing[model.next_state] & (owner != model.next_state) & (model.probability > 0)
    best = np.full(model.num_states, -np.inf)
    pair = np.repeat(np.arange(model.offsets.size - 1), np.diff(model.offsets))[entering]
    ways, way = np.unique(pair * model.num_states + model.next_state[entering], return_inverse=True)
    chance = np.bincount(way, model.probability[entering], ways.size)
    means = np.bincount(way, model.probability[entering] * model.reward[entering], ways.size) / chance
    np.maximum.at(best, ways % model.num_states, means)
    entered = absorbing & np.isfinite(best)
    if entered.any():
        mark[entered] = np.where(best[entered] >= best[entered].max() - _ROUNDING, _GOAL, _PIT)
    start = np.zeros(model.num_states, np.bool_)
    if model.start_states.size <= max(4, model.num_states // 8):
        start[model.start_states] = True
        mark[start & (mark == 0)] = glyphs.MARKS.index("start") + 1
    return Appearance(
        shape=shape_of(model),
        num_states=model.num_states,
        wall=absorbing & ~entered & (model.start == 0),
        mark=mark,
        closed=absorbing,
        start=start,
        wind=None,
        directions=_directions_of(model, owner),
    )


def _directions_of(model: Any, owner: NDArray[np.int64]) -> tuple[tuple[int, int], ...] | None:
    """The moves that actions are named after, or else those that they most often make, if the MDP is a grid.

    None where these are not different neighbours.
    """
    names = getattr(model, "actions", ())
    if names and all(name in MOVES for name in names):
        return tuple(MOVES[name] for name in names)
    if model.shape is None:
        return None
    width = model.shape[1]
    pair = np.repeat(np.arange(model.offsets.size - 1), np.diff(model.offsets))
    moves = (model.next_state != owner) & ~np.asarray(model.absorbing)[owner]
    found: list[tuple[int, int]] = []
    for action in range(model.num_actions):
        chosen = moves & (pair % model.num_actions == action)
        rows = model.next_state[chosen] // width - owner[chosen] // width
        columns = model.next_state[chosen] % width - owner[chosen] % width
        near = (np.abs(rows) <= 1) & (np.abs(columns) <= 1)
        weight = np.bincount((rows[near] + 1) * 3 + columns[near] + 1, model.probability[chosen][near], minlength=9)
        row, column = divmod(int(weight.argmax()), 3)
        found.append((row - 1, column - 1) if weight.any() else (0, 0))
    return tuple(found) if len(set(found)) == len(found) else None
