"""Frozen lakes, cliff walking and the taxi with the arguments of Gymnasium's toy_text (1.4), by name and meaning.

A program that makes ``FrozenLake-v1`` or ``CliffWalking-v1`` with arguments of its own makes ``rlgrid/FrozenLake-v1``
or ``rlgrid/CliffWalking-v1`` with the same ones. Seed for seed and action for action the environments give the same
observations, rewards, ends and infos, leave the generator in the same state, and have the same table `P`: outcomes in
the same order, duplicates kept. Beside those arguments they take what `GridWorld` takes.

Where Gymnasium raises, so does this, as a ValueError or a TypeError that names the argument. Some things that Gymnasium
lets pass are refused too, used or not: a probability that is no number in [0, 1], a lake without a start, rewards that
are not three finite numbers, and flags that are neither True nor False, 1 nor 0. docs/gymnasium.md lists all
differences.

The model of the taxi, and its vectors, are those of `rlgrid.envs.taxi`; here are the names that programs read of it.
`FrozenLakeVector` and `CliffWalkingVector` are what ``gymnasium.make_vec`` makes of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs import taxi
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.models import checked_state, load_map
from rlgrid.envs.vector import GridWorldVector
from rlgrid.gridmodel import GridModel, Slip
from rlgrid.mdp import Outcome

_LAKES: Mapping[str, str] = MappingProxyType({"4x4": "frozen_lake_4x4", "8x8": "frozen_lake_8x8"})
_THIRD = 1.0 / 3.0
_REWARDS = (1.0, 0.0, 0.0)  # of the goal, a hole, and anything else

Table = dict[int, dict[int, list[Outcome]]]
"""toy_text's form of a model: state, action, list of (probability, next state, reward, terminated)."""


def generate_random_map(size: int = 8, p: float = 0.8, seed: int | None = None) -> list[str]:
    """A lake of size x size cells for ``desc``: Gymnasium's function of this name, cell for cell for the same seed.

    Args:
        size: of a side, at least 2.
        p: the probability that a cell is ice, in [0, 1]. Where hardly any lake can be solved, lakes are others than
            Gymnasium's, see `rlgrid.terrain.frozen_lake`.
        seed: None for one that the system draws.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """
    from rlgrid.generators import random_frozen_lake

    return list(random_frozen_lake(size, p, seed).rows)


class _ToyText(GridWorld):
    """What programs for toy_text read beside the methods of an environment."""

    @property
    def s(self) -> int | None:
        """The present state, by toy_text's name; None before the first reset."""
        return self.state

    @s.setter
    def s(self, state: int) -> None:
        self.state = state

    @property
    def lastaction(self) -> int | None:
        """The last action, by toy_text's name; None after a reset."""
        return self._last_action


class FrozenLake(_ToyText):
    """Gymnasium's FrozenLake-v1.

    Args:
        render_mode: as for `GridWorld`.
        desc: the lake as rows of letters, S start, G goal, H hole and anything else ice: strings, or an array [H, W]
            of single letters. None: that of ``map_name``.
        map_name: "4x4" or "8x8"; None for a random lake of 8 x 8 cells.
        is_slippery: whether a move may go to its left or its right instead.
        success_rate: the probability that it does not, where it may; each side has half of the rest.
        reward_schedule: rewards of reaching the goal, a hole, and anything else.
        arguments: the others of `GridWorld`, among them changes of the model such as ``gamma``.

    Attributes:
        desc: bytes [H, W], the letters.
        nrow, ncol: H and W.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        desc: Any = None,
        map_name: str | None = "4x4",
        is_slippery: bool = True,
        success_rate: float = _THIRD,
        reward_schedule: Sequence[float] = _REWARDS,
        **arguments: Any,
    ) -> None:
        model = frozen_lake(desc, map_name, is_slippery, success_rate, reward_schedule)
        super().__init__(model=model, render_mode=render_mode, **arguments)
        self.desc = np.array([kind.character for kind in model.kinds], "S1")[model.tiles]
        self.nrow, self.ncol = self.desc.shape
        # A move that is certain to go sideways, or never to, has outcomes of probability 0 in Gymnasium's table.
        self._rate = success_rate if is_slippery and success_rate in (0.0, 1.0) and "slip" not in arguments else None

    @property
    def P(self) -> Table:
        """``P[s][a]`` is a list of (probability, next state, reward, terminated), impossible ones included."""
        return self.model.P if self._rate is None else _with_impossible(self.model, float(self._rate))


class CliffWalking(_ToyText):
    """Gymnasium's CliffWalking-v1.

    Args:
        render_mode: as for `GridWorld`.
        is_slippery: whether a move goes as meant, to its left or to its right with probability 1/3 each.
        arguments: the others of `GridWorld`, among them changes of the model such as ``gamma``.

    Attributes:
        shape, nS, nA: rows and columns, their product, and the number of actions.
        is_slippery: as given.

    In the model, and so for `step` and solvers, the goal ends everything and stays as it is, and who moves against the
    edge from within the cliff stays there. In Gymnasium's table, and so in `P`, moves from the goal are like all
    others, and that one leads back to the start. No episode gets to either: only who sets the state there sees it.
    """

    def __init__(self, render_mode: str | None = None, is_slippery: bool = False, **arguments: Any) -> None:
        super().__init__(model=cliff_walking(is_slippery), render_mode=render_mode, **arguments)
        self.is_slippery = bool(is_slippery)
        self.shape = self.model.shape
        self.nS, self.nA = self.model.num_states, self.model.num_actions

    @property
    def P(self) -> Table:
        """``P[s][a]`` is a list of (probability, next state, reward, terminated), for the goal and the cliff too."""
        return _with_open_goal(self.model)


class Taxi(_ToyText):
    """Gymnasium's Taxi-v4; arguments as for `GridWorld`, the model being that of `rlgrid.envs.taxi.taxi`.

    Attributes:
        locs: (row, column) of the stands, in the order of their numbers.
    """

    locs = tuple(taxi.STANDS)

    def encode(self, taxi_row: int, taxi_col: int, pass_loc: int, dest_idx: int) -> int:
        """The number of a state."""
        return taxi.encode(taxi_row, taxi_col, pass_loc, dest_idx)

    def decode(self, i: int) -> tuple[int, int, int, int]:
        """(row, column, passenger, destination) of a state."""
        return taxi.decode(i)

    def action_mask(self, state: int) -> NDArray[np.int8]:
        """int8 [6]: 1 where an action changes the state."""
        assert self.action_mask_of is not None
        mask: NDArray[np.int8] = self.action_mask_of[checked_state(self.model, state)].copy()
        return mask


class FickleTaxi(taxi.FickleTaxi, Taxi):
    """Taxi-v4 with a fickle passenger, whose change of mind to come is no part of `s`."""

    @property
    def s(self) -> int | None:
        """What is seen of the present state, 0 to 499; None before the first reset."""
        return None if self._state is None else self._state % taxi.STATES

    @s.setter
    def s(self, state: int) -> None:
        seen = checked_state(self.model, state)
        if seen >= taxi.STATES:
            raise ValueError(f"s = {seen} is not one of 0 to {taxi.STATES - 1}: state takes what is hidden too")
        self.state = seen if self._state is None else self._state // taxi.STATES * taxi.STATES + seen


class FrozenLakeVector(GridWorldVector):
    """Many copies of a `FrozenLake`, all on one lake.

    Args:
        num_envs: how many.
        desc, map_name, is_slippery, success_rate, reward_schedule: as for `FrozenLake`; ``map_name`` is not None.
        arguments: the others of `GridWorldVector`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        desc: Any = None,
        map_name: str | None = "4x4",
        is_slippery: bool = True,
        success_rate: float = _THIRD,
        reward_schedule: Sequence[float] = _REWARDS,
        **arguments: Any,
    ) -> None:
        if desc is None and map_name is None:
            raise ValueError(
                "map_name=None is a random lake, one for each of many environments: rlgrid/RandomFrozenLake-v0 makes "
                "such; or choose one for all, desc=generate_random_map()"
            )
        model = frozen_lake(desc, map_name, is_slippery, success_rate, reward_schedule)
        super().__init__(num_envs, model=model, **arguments)


class CliffWalkingVector(GridWorldVector):
    """Many copies of `CliffWalking`.

    Args:
        num_envs: how many.
        is_slippery: as for `CliffWalking`.
        arguments: the others of `GridWorldVector`.
    """

    def __init__(self, num_envs: int = 1, is_slippery: bool = False, **arguments: Any) -> None:
        super().__init__(num_envs, model=cliff_walking(is_slippery), **arguments)


# --- models ---------------------------------------------------------------------------------------------------------


def frozen_lake(
    desc: Any = None,
    map_name: str | None = "4x4",
    is_slippery: bool = True,
    success_rate: float = _THIRD,
    reward_schedule: Sequence[float] = _REWARDS,
) -> GridModel:
    """The model of a lake; the arguments are those of `FrozenLake`. Equal lakes share one model.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """
    slippery = taxi.flag("is_slippery", is_slippery)
    if isinstance(success_rate, bool) or not isinstance(success_rate, int | float | np.integer | np.floating):
        raise TypeError(f"success_rate must be a probability in [0, 1], not {success_rate!r}")
    if not 0.0 <= success_rate <= 1.0:
        raise ValueError(f"success_rate must lie in [0, 1], not {success_rate!r}")
    success_rate = float(success_rate)  # a float32 is compared with 1/3, and subtracted, in its own digits
    rewards = _rewards(reward_schedule)
    if desc is not None:
        map_name = None  # as in Gymnasium, where a lake of one's own may be named too
    elif map_name is not None and map_name not in _LAKES:
        near = difflib.get_close_matches(str(map_name).lower().replace(" ", ""), _LAKES, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, _LAKES))}"
        raise ValueError(f"there is no map_name {map_name!r}: {hint} (None is a random lake; desc takes any)")
    if desc is None and map_name is None:
        desc = generate_random_map()
    rows = None if desc is None else tuple(map(bytes, _letters(desc)))
    return _lake(_LAKES["4x4" if map_name is None else map_name], rows, success_rate, slippery, rewards)


@lru_cache(maxsize=32)
def _lake(
    name: str,
    rows: tuple[bytes, ...] | None,
    success_rate: float,
    slippery: bool,
    rewards: tuple[float, float, float],
) -> GridModel:
    """The model of a built-in map, or of other rows of letters instead; one for all who ask for the same."""
    model = _grid(name)
    changes: dict[str, Any] = {}
    if not slippery:
        changes["slip"] = Slip()
    elif success_rate != _THIRD:
        aside = (1.0 - success_rate) / 2.0
        changes["slip"] = Slip(success_rate, aside, aside)
    if rewards != _REWARDS:
        # By the letter that is reached; the built-in lake pays on entering the goal.
        paid = {"G": rewards[0], "H": rewards[1]}
        kinds = model.kinds
        changes["kinds"] = [replace(k, step_reward=paid.get(k.character, rewards[2]), enter_reward=0.0) for k in kinds]
    if rows is not None:
        letters = np.array([list(row) for row in rows], np.uint8)
        index = {ord(kind.character): number for number, kind in enumerate(model.kinds)}
        tiles = np.full(letters.shape, index[ord("F")], np.uint8)
        for letter in map(ord, "SGH"):
            tiles[letters == letter] = index[letter]
        starts = np.flatnonzero(letters == ord("S")).tolist()
        changes |= {"tiles": tiles, "start": dict.fromkeys(starts, 1.0 / len(starts)), "name": "frozen_lake"}
        changes |= {"column_wind": None, "row_wind": None}  # none, but in arrays of the shape of the map
    return model.with_changes(**changes) if changes else model


def cliff_walking(is_slippery: bool = False) -> GridModel:
    """The model of the cliff.

    Raises:
        TypeError: if ``is_slippery`` is neither True nor False.
    """
    return _grid("cliff_walking_slippery" if taxi.flag("is_slippery", is_slippery) else "cliff_walking")


def _grid(name: str) -> GridModel:
    """The model of a built-in map, one for all who ask."""
    model = load_map(name)
    assert isinstance(model, GridModel)
    return model


def _rewards(given: Any) -> tuple[float, float, float]:
    array = np.asarray(given)
    if array.shape != (3,) or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"reward_schedule must be three finite numbers (goal, hole, anything else), not {given!r}")
    goal, hole, ice = array.astype(np.float64).tolist()
    return goal, hole, ice


def _letters(given: ArrayLike) -> NDArray[np.bytes_]:
    """bytes [H, W], as Gymnasium reads a lake."""
    try:
        letters = np.asarray(given, dtype="c")
    except (ValueError, TypeError) as error:
        raise ValueError(f"desc must be rows of letters, all of one length, not {given!r}: {error}") from None
    if letters.ndim != 2 or letters.size == 0:
        raise ValueError(f"desc must be rows of letters, as ['SF', 'HG'], not {given!r}")
    if not (letters == b"S").any():
        raise ValueError("desc has no start: put an S where an episode begins")
    return letters


# --- Gymnasium's tables ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _with_impossible(lake: GridModel, success_rate: float) -> Table:
    """The table of a lake in which moves always or never go as meant, with the outcomes of probability 0."""
    aside = (1.0 - success_rate) / 2.0
    table = lake.with_changes(slip=Slip(_THIRD, (1.0 - _THIRD) / 2.0, (1.0 - _THIRD) / 2.0)).P
    probability = (aside, success_rate, aside)
    return {
        s: {
            a: [(p, *outcome[1:]) for p, outcome in zip(probability, run, strict=True)] if len(run) == 3 else run
            for a, run in row.items()
        }
        for s, row in table.items()
    }


@lru_cache(maxsize=8)
def _with_open_goal(cliff: GridModel) -> Table:
    """The table of the cliff with moves from the goal and from the cliff that are as from any other cell."""
    goal = cliff.num_states - 1
    # Who moves against the edge from within the cliff falls too, where the model has a step that reaches nothing new.
    falls = {s: cliff.kind_of(s).enter_to for s in range(cliff.num_states)}
    table = cliff.with_changes(kinds=[replace(kind, terminal=False) for kind in cliff.kinds]).P
    return {
        s: {
            a: [(p, to if (start := falls[to]) is None else start, reward, to == goal) for p, to, reward, _ in run]
            for a, run in row.items()
        }
        for s, row in table.items()
    }
