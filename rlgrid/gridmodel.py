"""Gridworlds without a transition table: one small integer per cell, and small tables of what each kind of tile does.

A step from a cell s under action a:

1. A wall or a terminal cell stays as it is with reward 0 and the episode over; a tile with `leave_to` sends every
   action there.
2. The direction is drawn: the intended one, or by slip the one to its left or right or its opposite. With four moves
   (and with four and staying) left and right are at 90 degrees, with eight at 45. `stay` never slips.
3. The agent's own move is blocked by a wall. Where a wind blows in the cell that is left, its strength plus a random
   gust is added (one gust for both, where a column and a row blow), upwards first and then to the right, cell by
   cell until a wall blocks it. Both together are then clipped to the grid (Sutton & Barto, Example 6.5); where that
   is a wall, the agent stays. A diagonal move looks at the cell it ends in alone.
4. The reward is `step_reward` of the tile reached, or `bump_reward` of the tile left where a wall or the edge kept the
   agent in its cell; plus `leave_reward` of the tile left, plus `enter_reward` of the tile reached if it is another.
5. A tile with `enter_to` then sends the agent on. The episode ends if the cell where it comes to rest is terminal.

States are numbered row * width + column, walls included. Directions of slip come in the order a - 1, a, a + 1,
opposite, counted in the numbers of the actions: Gymnasium's order for its own numbering. Where the sides of an action
are not numbered so, its left comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.mdp import MDP, PROBABILITY_TOLERANCE, check_cap, check_gamma

if TYPE_CHECKING:
    from rlgrid.kernels.model import GridArrays

MOVES: dict[str, tuple[int, int]] = {
    "up": (-1, 0),
    "right": (0, 1),
    "down": (1, 0),
    "left": (0, -1),
    "up-right": (-1, 1),
    "down-right": (1, 1),
    "down-left": (1, -1),
    "up-left": (-1, -1),
    "stay": (0, 0),
}
"""(rows, columns) of each move by its name."""

SLICE = 1 << 16  # cells looked up in a table at a time

_CLOCKWISE = ("up", "up-right", "right", "down-right", "down", "down-left", "left", "up-left")

DEFAULT_ACTIONS: dict[int, tuple[str, ...]] = {
    4: ("up", "right", "down", "left"),
    5: ("up", "right", "down", "left", "stay"),
    8: ("up", "right", "down", "left", "up-right", "down-right", "down-left", "up-left"),
    9: ("up", "right", "down", "left", "up-right", "down-right", "down-left", "up-left", "stay"),
}
"""The actions, in order, that "4 moves", "5 moves" and so on stand for."""


@dataclass(frozen=True)
class Slip:
    """Probabilities of going where one meant to, and to the left, right and back of it. They sum to 1."""

    forward: float = 1.0
    left: float = 0.0
    right: float = 0.0
    back: float = 0.0

    def __post_init__(self) -> None:
        for name in ("forward", "left", "right", "back"):
            p = getattr(self, name)
            if not isinstance(p, int | float | np.number):
                raise TypeError(f"slip {name} = {p!r} is not a probability in [0, 1]")
            if not (np.isfinite(p) and 0.0 <= p <= 1.0):
                raise ValueError(f"slip {name} = {p!r} is not a probability in [0, 1]")
            object.__setattr__(self, name, float(p))  # of float32, say, which sum to 1 in their own digits alone
        total = self.forward + self.left + self.right + self.back
        if abs(total - 1.0) > PROBABILITY_TOLERANCE:
            raise ValueError(f"the slip probabilities forward, left, right and back sum to {total:.12g}, not 1")

    @classmethod
    def sideways(cls, left: float = 0.0, right: float = 0.0, back: float = 0.0) -> Slip:
        """A slip that goes forward with the probability that is left."""
        return cls(1.0 - left - right - back, left, right, back)


@dataclass(frozen=True)
class TileKind:
    """What a kind of tile is and does. Rewards left at None are the world's; `slip` None is the world's slip.

    `enter_to` and `leave_to` are states (row * width + column). `glyph` names how it is drawn: one of "floor",
    "wall", "goal", "pit", "start", "ice", "reward", "teleport", "key", "door" (shut if a wall), "switch".
    """

    name: str
    character: str = "?"
    wall: bool = False
    terminal: bool = False
    step_reward: float | None = None
    bump_reward: float | None = None
    enter_reward: float = 0.0
    leave_reward: float = 0.0
    enter_to: int | None = None
    leave_to: int | None = None
    slip: Slip | None = None
    glyph: str = "floor"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def outcomes_of(
    grid: GridArrays, first: int, last: int, thin: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32], NDArray[np.float64], NDArray[np.bool_]]:
    """The outcomes of the states first to last - 1 of a grid, as compressed arrays.

    Returns:
        int64 [(last - first) * A + 1], where the outcomes of a pair begin, from 0; and float64, int32, float64 and
        bool [N], their probabilities, next states, rewards and whether they end the episode.
    """
    from rlgrid.kernels.model import ABSENT, fill_grid_outcomes

    tiles = grid.tiles[first:last]
    top, bottom = first // grid.width, -(-last // grid.width)  # the rows in which they lie
    windy = (grid.column_wind != 0)[None, :] | (grid.row_wind[top:bottom] != 0)[:, None]
    windy = windy.ravel()[first - top * grid.width : last - top * grid.width]
    sizes = (grid.slip != ABSENT).sum(axis=2)[tiles] * np.where(windy, grid.gust.size, 1)[:, None]
    sizes[(grid.wall | grid.terminal | (grid.leave_to >= 0))[tiles]] = 1
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    total = int(offsets[-1])
    probability, reward = np.empty(total), np.empty(total)
    next_state, terminated = np.empty(total, np.int32), np.empty(total, np.bool_)
    written = fill_grid_outcomes(
        grid.height,
        grid.width,
        grid.num_actions,
        grid.tiles,
        grid.displacement,
        grid.direction,
        grid.slip,
        grid.column_wind,
        grid.row_wind,
        grid.gust,
        grid.gust_probability,
        grid.wall,
        grid.terminal,
        grid.step_reward,
        grid.bump_reward,
        grid.enter_reward,
        grid.leave_reward,
        grid.enter_to,
        grid.leave_to,
        thin,
        first,
        last,
        probability,
        next_state,
        reward,
        terminated,
    )
    # Both count the same outcomes; were they to differ, memory would be wrong silently.
    if written != total:
        raise AssertionError(f"{written} outcomes written where {total} were counted")
    return offsets, probability, next_state, reward, terminated


class GridModel:
    """A plain gridworld, matrix-free; see the module's text for what a step does.

    Args:
        tiles: integers [H, W], the index into ``kinds`` of each cell.
        kinds: the kinds of tile.
        gamma: the discount factor in [0, 1].
        actions: names of the moves (`MOVES`) in the order of the action numbers; or 4, 5, 8 or 9.
        slip: the world's slip.
        column_wind: integers [W], rows upwards that the wind of the column carries a step (negative: downwards).
        row_wind: integers [H], columns to the right that the wind of the row carries a step.
        gust: added to the strength of a wind that blows, as {offset: probability}; None is no randomness.
        step_reward: of each step. bump_reward: of a step that a wall or the edge stops (None: the step reward).
        start: {state: probability}, or one state.
        max_episode_steps: the step cap, or None.
        name, citation: for people.

    Raises:
        ValueError: naming the cell, tile or probability that is wrong.
    """

    def __init__(
        self,
        tiles: ArrayLike,
        kinds: Sequence[TileKind],
        *,
        gamma: float = 0.99,
        actions: int | Sequence[str] = 4,
        slip: Slip | None = None,
        column_wind: ArrayLike | None = None,
        row_wind: ArrayLike | None = None,
        gust: Mapping[int, float] | None = None,
        step_reward: float = 0.0,
        bump_reward: float | None = None,
        start: int | Mapping[int, float] = 0,
        max_episode_steps: int | None = None,
        name: str = "",
        citation: str = "",
    ) -> None:
        given = np.asarray(tiles)
        if given.ndim != 2 or given.size == 0 or given.dtype.kind not in "ui":
            raise ValueError(f"tiles must be integers [H, W], at least one cell, not {given.dtype} {given.shape}")
        self.kinds = tuple(kinds)
        for kind in self.kinds:
            if not isinstance(kind, TileKind):
                raise TypeError(f"kinds must be TileKind, not {kind!r}")
        if int(given.max()) >= len(self.kinds) or int(given.min()) < 0:
            row, column = np.argwhere((given < 0) | (given >= len(self.kinds)))[0]
            raise ValueError(
                f"tile {given[row, column]} at row {row}, column {column} is not one of the {len(self.kinds)} kinds"
            )
        self.tiles: NDArray[Any] = np.array(
            given, np.uint8 if len(self.kinds) <= 256 else np.uint16, order="C", copy=True
        )
        self.tiles.setflags(write=False)
        self.shape: tuple[int, int] = (given.shape[0], given.shape[1])
        self.num_states = int(given.size)
        self.gamma = check_gamma(gamma)
        if isinstance(actions, int) and actions not in DEFAULT_ACTIONS:
            raise ValueError(f"actions must be 4, 5, 8 or 9, or names out of {', '.join(MOVES)}, not {actions}")
        self.actions = DEFAULT_ACTIONS[actions] if isinstance(actions, int) else tuple(actions)
        unknown = [a for a in self.actions if a not in MOVES]
        if unknown or not self.actions or len(set(self.actions)) < len(self.actions):
            raise ValueError(f"actions must be different names out of {', '.join(MOVES)}, not {self.actions}")
        self.num_actions = len(self.actions)
        self.slip = slip or Slip()
        self.column_wind = self._wind(column_wind, self.shape[1], "column_wind")
        self.row_wind = self._wind(row_wind, self.shape[0], "row_wind")
        self.gust = {int(k): float(p) for k, p in (gust or {0: 1.0}).items()}
        for offset, p in self.gust.items():
            if not 0 <= p <= 1:
                raise ValueError(f"gust {offset} has probability {p!r}, which is not in [0, 1]")
        if abs(sum(self.gust.values()) - 1) > PROBABILITY_TOLERANCE:
            raise ValueError(f"the probabilities of gust sum to {sum(self.gust.values()):.12g}, not 1: {self.gust}")
        self.step_reward = float(step_reward)
        self.bump_reward = None if bump_reward is None else float(bump_reward)
        self.max_episode_steps = check_cap(max_episode_steps)
        self.name, self.citation = name, citation
        self._check_kinds()
        weights = self._check_start(start)
        self.start_states = np.array(sorted(weights), dtype=np.int64)
        self.start_probability = np.array([weights[s] for s in self.start_states.tolist()])

    @staticmethod
    def _wind(given: ArrayLike | None, size: int, name: str) -> NDArray[np.int64]:
        wind = np.zeros(size, np.int64) if given is None else np.asarray(given)
        if wind.shape != (size,) or wind.dtype.kind not in "ui":
            raise ValueError(f"{name} must be {size} integers, not {wind.dtype} {wind.shape}")
        return wind.astype(np.int64)  # the model's own

    def _check_kinds(self) -> None:
        if not 1 <= len(self.kinds) <= 65536:
            raise ValueError(f"a grid has 1 to 65536 kinds of tile, not {len(self.kinds)}")
        for name in ("step_reward", "bump_reward"):
            if not np.isfinite(getattr(self, name) or 0.0):
                raise ValueError(f"{name} = {getattr(self, name)!r} is not finite")
        for kind in self.kinds:
            for name in ("step_reward", "bump_reward", "enter_reward", "leave_reward"):
                if not np.isfinite(getattr(kind, name) or 0.0):
                    raise ValueError(f"tile {kind.name!r}: {name} = {getattr(kind, name)!r} is not finite")
            for field in ("enter_to", "leave_to"):
                to = getattr(kind, field)
                if to is None:
                    continue
                if not _is_integer(to) or not 0 <= to < self.num_states:
                    raise ValueError(f"tile {kind.name!r}: {field} = {to} is not a state 0 to {self.num_states - 1}")
                if self.kind_of(to).wall:
                    raise ValueError(f"tile {kind.name!r}: {field} leads into a wall at {self.cell_of(to)}")

    def _check_start(self, start: int | Mapping[int, float]) -> dict[int, float]:
        """The start distribution as {state: probability}, checked."""
        weights: Any = {start: 1.0} if _is_integer(start) else start
        if not isinstance(weights, Mapping):
            raise TypeError(f"start must be a state or {{state: probability}}, not {start!r}")
        for state, weight in weights.items():
            if not _is_integer(state) or not 0 <= state < self.num_states:
                raise ValueError(f"start state {state!r} is not one of the states 0 to {self.num_states - 1}")
            if self.kind_of(state).wall:
                raise ValueError(f"start state {state} at {self.cell_of(state)} is a wall")
            if not (np.isfinite(weight) and weight > 0):
                raise ValueError(f"start state {state} has probability {weight!r}: it must be > 0")
        found = {int(state): float(weight) for state, weight in weights.items()}
        if abs(sum(found.values()) - 1.0) > PROBABILITY_TOLERANCE:
            raise ValueError(f"the start probabilities sum to {sum(found.values()):.12g}, not 1")
        return found

    # --- views ------------------------------------------------------------------------------------------------------

    def kind_of(self, state: int) -> TileKind:
        """The kind of tile of a state."""
        return self.kinds[int(self.tiles.flat[state])]

    def cell_of(self, state: int) -> tuple[int, int]:
        """(row, column) of a state."""
        return divmod(int(state), self.shape[1])

    def state_of(self, row: int, column: int) -> int:
        """The state of a cell.

        Raises:
            ValueError: if the cell is outside the grid.
        """
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise ValueError(f"cell ({row}, {column}) is outside the grid of {self.shape[0]} x {self.shape[1]}")
        return int(row) * self.shape[1] + int(column)

    @cached_property
    def start(self) -> NDArray[np.float64]:
        """float64 [S], the start distribution."""
        distribution = np.zeros(self.num_states)
        distribution[self.start_states] = self.start_probability
        return distribution

    @property
    def available(self) -> None:
        """None: every cell has every action."""
        return None

    @cached_property
    def absorbing(self) -> NDArray[np.bool_]:
        """bool [S]: walls and terminal cells, which stay as they are with reward 0 and the episode over."""
        return self._cells_of([kind.wall or kind.terminal for kind in self.kinds])

    @cached_property
    def walls(self) -> NDArray[np.bool_]:
        """bool [S]: the cells that are walls."""
        return self._cells_of([kind.wall for kind in self.kinds])

    def _cells_of(self, wanted: list[bool]) -> NDArray[np.bool_]:
        """bool [S]: the cells of the kinds wanted, without an array of indices as large as eight such."""
        tiles, flags = self.tiles.ravel(), np.array(wanted)
        cells = np.empty(tiles.size, np.bool_)
        for first in range(0, tiles.size, SLICE):
            np.take(flags, tiles[first : first + SLICE], out=cells[first : first + SLICE], mode="clip")
        return cells

    def turns(self, action: str) -> list[tuple[int, str]]:
        """(direction, which field of Slip) of an action's possible directions, in the order of the outcomes.

        Directions are numbered as the actions, then those of `MOVES` that are no action; "stay" has the field "stay".
        """
        names = list(dict.fromkeys((*self.actions, *MOVES)))
        if action == "stay":
            return [(names.index("stay"), "stay")]
        diagonal = any("-" in name for name in self.actions)
        step = 1 if diagonal else 2
        here = _CLOCKWISE.index(action)
        side = {
            "left": names.index(_CLOCKWISE[(here - step) % 8]),
            "right": names.index(_CLOCKWISE[(here + step) % 8]),
        }
        a = self.actions.index(action)
        first = "right" if side["right"] == (a - 1) % max(4, len(self.actions) // 4 * 4) else "left"
        second = "left" if first == "right" else "right"
        return [
            (side[first], first),
            (a, "forward"),
            (side[second], second),
            (names.index(_CLOCKWISE[(here + 4) % 8]), "back"),
        ]

    @cached_property
    def arrays(self) -> GridArrays:
        """The model as the struct of arrays that kernels take."""
        from rlgrid.kernels.model import ABSENT, GridArrays

        names = list(dict.fromkeys((*self.actions, *MOVES)))
        direction = np.zeros((self.num_actions, 4), np.int64)
        slip = np.full((len(self.kinds), self.num_actions, 4), ABSENT)
        for a, action in enumerate(self.actions):
            for n, (to, field) in enumerate(self.turns(action)):
                direction[a, n] = to
                for k, kind in enumerate(self.kinds):
                    p = 1.0 if field == "stay" else getattr(kind.slip or self.slip, field)
                    if p > 0:
                        slip[k, a, n] = p

        def table(values: list[Any], dtype: Any = np.float64) -> NDArray[Any]:
            return np.array(values, dtype=dtype)

        step = [self.step_reward if k.step_reward is None else k.step_reward for k in self.kinds]
        world_bump = self.bump_reward
        bump = [
            k.bump_reward if k.bump_reward is not None else (own if world_bump is None else world_bump)
            for k, own in zip(self.kinds, step, strict=True)
        ]
        return GridArrays(
            height=self.shape[0],
            width=self.shape[1],
            num_states=self.num_states,
            num_actions=self.num_actions,
            tiles=self.tiles.ravel(),
            displacement=table([MOVES[name] for name in names], np.int64),
            direction=direction,
            slip=slip,
            column_wind=self.column_wind,
            row_wind=self.row_wind,
            gust=table(list(self.gust), np.int64),
            gust_probability=table(list(self.gust.values())),
            wall=table([k.wall for k in self.kinds], np.bool_),
            terminal=table([k.terminal for k in self.kinds], np.bool_),
            step_reward=table(step),
            bump_reward=table(bump),
            enter_reward=table([k.enter_reward for k in self.kinds]),
            leave_reward=table([k.leave_reward for k in self.kinds]),
            enter_to=table([-1 if k.enter_to is None else k.enter_to for k in self.kinds], np.int64),
            leave_to=table([-1 if k.leave_to is None else k.leave_to for k in self.kinds], np.int64),
            start_states=self.start_states,
            start_cumulative=np.cumsum(self.start_probability),
        )

    def to_mdp(self, thin_walls: NDArray[np.uint8] | None = None) -> MDP:
        """The explicit form: the same outcomes in the same order, from the same compiled functions.

        Args:
            thin_walls: uint8 [S], walls between cells that the explicit form has besides: 1 for one at the right side
                of the cell, 2 for one below it, 3 for both. They stop straight steps, those of the wind too, and a
                diagonal one where both ways around the corner cross one.

        Raises:
            ValueError: if they are not uint8 [S].
        """
        if thin_walls is None:
            return self._mdp
        if thin_walls.shape != (self.num_states,) or thin_walls.dtype != np.uint8:
            raise ValueError(f"thin_walls must be uint8 [{self.num_states}], not {thin_walls.dtype} {thin_walls.shape}")
        return self._explicit(np.ascontiguousarray(thin_walls))

    @cached_property
    def _mdp(self) -> MDP:
        return self._explicit(None)

    def _explicit(self, thin: NDArray[np.uint8] | None) -> MDP:
        offsets, probability, next_state, reward, terminated = outcomes_of(self.arrays, 0, self.num_states, thin)
        return MDP(
            self.num_states,
            self.num_actions,
            offsets,
            next_state,
            probability,
            reward,
            terminated,
            gamma=self.gamma,
            start=self.start,
            shape=self.shape,
            max_episode_steps=self.max_episode_steps,
        )

    @property
    def P(self) -> dict[int, dict[int, list[tuple[float, int, float, bool]]]]:
        """Gymnasium's toy_text form: ``P[s][a]`` is a list of (probability, next state, reward, terminated)."""
        return self._mdp.P

    def with_changes(self, **changes: Any) -> GridModel:
        """A copy with some constructor arguments changed (``gamma``, ``slip``, ``step_reward``, ``tiles`` ...)."""
        settings: dict[str, Any] = {
            "tiles": self.tiles,
            "kinds": self.kinds,
            "gamma": self.gamma,
            "actions": self.actions,
            "slip": self.slip,
            "column_wind": self.column_wind,
            "row_wind": self.row_wind,
            "gust": self.gust,
            "step_reward": self.step_reward,
            "bump_reward": self.bump_reward,
            "start": dict(zip(self.start_states.tolist(), self.start_probability.tolist(), strict=True)),
            "max_episode_steps": self.max_episode_steps,
            "name": self.name,
            "citation": self.citation,
        }
        unknown = set(changes) - set(settings)
        if unknown:
            raise TypeError(f"GridModel has no setting {sorted(unknown)[0]!r}; it has {', '.join(settings)}")
        return GridModel(**(settings | changes))

    def with_slip_each_side(self, slip: float) -> GridModel:
        """A copy in which every move slips to the left and to the right with probability ``slip`` each."""
        kinds = tuple(replace(kind, slip=None) for kind in self.kinds)
        return self.with_changes(slip=Slip.sideways(left=slip, right=slip), kinds=kinds)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A pickle doesn't keep arrays read-only, and for others kernels would be compiled once more."""
        self.__dict__.update({name: value for name, value in state.items() if name != "arrays"})
        self.tiles.setflags(write=False)

    def __deepcopy__(self, memo: Any) -> Self:
        """The model itself, since models do not change: copies of what holds it share it, and what was made of it."""
        return self

    def _repr_html_(self) -> str:
        # By name: pictures stand on models, and a model must not import what stands on it.
        shown: str = import_module("rlgrid.notebook").as_html(self, repr(self))
        return shown

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return f"GridModel({name}{self.shape[0]} x {self.shape[1]}, {self.num_actions} actions, gamma={self.gamma:g})"
