"""Which model each copy of a vector is in: that of all, that which is in force at its own clock, or one of its own.

`Copies` and the classes made of it hold the models, the number of the one that each copy is in, and the form of all
models at once that the compiled loops read (`rlgrid.envs.tables`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.envs.changing import Schedule, beside_walls
from rlgrid.envs.generated import MapMaker, drawn_seed
from rlgrid.envs.tables import Draws, Model, grids_of, numbers_of, put, two_draws_of, world_of
from rlgrid.gridmodel import GridModel


class Copies:
    """Copies that are all in one model, for ever.

    Attributes:
        models: the models that copies are in, of equally many states and actions.
        which: int64 [num_envs], the number of the model of each copy.
        moves: True where that can change.
    """

    moves = False

    def __init__(self, num_envs: int, models: Sequence[Model], draws: Draws | None = None) -> None:
        self.models = list(models)
        self.which = np.zeros(num_envs, np.int64)
        self._draws = draws

    @cached_property
    def world(self) -> Any:
        """What the compiled loops read of all models."""
        return world_of(self.models) if self._draws is None else two_draws_of(self.models[0], self._draws)

    @cached_property
    def available(self) -> NDArray[np.bool_] | None:
        """bool [M, S, A], or None where every action is available everywhere."""
        if all(model.available is None for model in self.models):
            return None
        shape = self.models[0].num_states, self.models[0].num_actions
        every = [np.ones(shape, np.bool_) if model.available is None else model.available for model in self.models]
        return np.array(every)

    @cached_property
    def are_grids(self) -> bool:
        """Whether the models are plain grids, of which a state is a cell."""
        return all(isinstance(model, GridModel) for model in self.models)

    def begin(self, chosen: NDArray[np.bool_], seeded: NDArray[np.bool_], streams: NDArray[np.uint64]) -> None:
        """Episodes are about to begin in the chosen copies (bool [num_envs]), of which some were given a seed."""

    def stepped(self, chosen: NDArray[np.bool_], states: NDArray[np.int64], terminated: NDArray[np.bool_]) -> None:
        """The chosen copies have made a step; those that a change of their map moves are moved in ``states``."""

    def get_state(self) -> dict[str, Any]:
        """What says in which models the copies are, as plain data."""
        return {}

    def checked(self, saved: Mapping[str, Any]) -> Any:
        """What `get_state` gave, as `set_state` takes it.

        Raises:
            ValueError: naming what is wrong.
        """

    def set_state(self, which: Any) -> None:
        """Go back to what `checked` has found right."""

    def __getstate__(self) -> dict[str, Any]:
        # Tables are quickly made again.
        return {name: value for name, value in self.__dict__.items() if name not in ("world", "available")}


class ScheduledCopies(Copies):
    """Copies of a world whose map changes at certain steps: each has a clock of its own (`rlgrid.envs.changing`)."""

    moves = True

    def __init__(self, num_envs: int, schedule: Schedule) -> None:
        super().__init__(num_envs, schedule.models)
        self._begins = np.array(schedule.begins)
        self.clocks = np.zeros(num_envs, np.int64)

    def begin(self, chosen: NDArray[np.bool_], seeded: NDArray[np.bool_], streams: NDArray[np.uint64]) -> None:
        self.clocks[chosen & seeded] = 0
        self._place()

    def stepped(self, chosen: NDArray[np.bool_], states: NDArray[np.int64], terminated: NDArray[np.bool_]) -> None:
        before = self.which.copy()
        self.clocks += chosen
        self._place()
        moved = np.flatnonzero((self.which != before) & ~terminated)
        for k in np.unique(self.which[moved]).tolist():
            model: Any = self.models[k]
            there = moved[self.which[moved] == k]
            there = there[model.walls[states[there]]]
            beside = {state: beside_walls(model, state) for state in set(states[there].tolist())}
            states[there] = [beside[state] for state in states[there].tolist()]

    def _place(self) -> None:
        self.which[:] = np.searchsorted(self._begins, self.clocks, side="right") - 1

    def get_state(self) -> dict[str, Any]:
        return {"clocks": self.clocks.tolist()}

    def checked(self, saved: Mapping[str, Any]) -> NDArray[np.int64]:
        return whole_numbers("clocks", saved["clocks"], self.clocks.size, 0, sys.maxsize - 1)

    def set_state(self, which: NDArray[np.int64]) -> None:
        self.clocks[:] = which
        self._place()


class GeneratedCopies(Copies):
    """Copies of a world of which each reset makes a new map: each has a model of its own (`rlgrid.envs.generated`).

    Attributes:
        seeds: of the maps. renewed: the numbers of the maps that are new since somebody emptied this set.
    """

    moves = True

    def __init__(self, num_envs: int, maker: MapMaker) -> None:
        first = maker.shared_model()
        super().__init__(num_envs, [first] * num_envs)
        self._maps = [first] * num_envs
        self.which[:] = np.arange(num_envs)
        self.seeds = [maker.seed] * num_envs
        self.renewed: set[int] = set()
        self._maker = maker

    def begin(self, chosen: NDArray[np.bool_], seeded: NDArray[np.bool_], streams: NDArray[np.uint64]) -> None:
        from rlgrid.kernels.pcg64 import uniform

        self._make({i: drawn_seed(float(uniform(streams[i]))) for i in np.flatnonzero(chosen).tolist()})

    @cached_property
    def world(self) -> Any:
        # Maps last for an episode, which is too short for tables of them to pay.
        self._numbers = numbers_of(self._maps)
        return grids_of(self._maps, self._numbers)

    def _make(self, seeds: Mapping[int, int]) -> None:
        """New maps for some copies."""
        world = self.__dict__.get("world")
        for i, seed in seeds.items():
            model = self._maker.model(seed)
            self.seeds[i], self.models[i], self._maps[i] = seed, model, model
            self.renewed.add(i)
            if world is not None and not put(world, i, model, self._numbers):
                del self.world  # the map has a new kind of tile, or there is another number of starts
                world = None

    def get_state(self) -> dict[str, Any]:
        return {"map_seeds": list(self.seeds)}

    def checked(self, saved: Mapping[str, Any]) -> dict[int, int]:
        return dict(enumerate(whole_numbers("map_seeds", saved["map_seeds"], len(self.seeds), 0, sys.maxsize).tolist()))

    def set_state(self, which: Mapping[int, int]) -> None:
        self._make(which)


def whole_numbers(name: str, given: Any, count: int, least: int, most: int) -> NDArray[np.int64]:
    """int64 [count], a copy.

    Raises:
        ValueError: if it is not so many whole numbers of that range.
    """
    try:
        array = np.array(given)
    except (ValueError, TypeError, OverflowError):  # lists of different lengths
        array = np.zeros(0)
    if array.shape != (count,) or array.dtype.kind not in "iu" or array.min() < least or array.max() > most:
        form = f"whole numbers from {least} to {most}" if least < most else f"all {least}"
        raise ValueError(f"{name} must be {form}, one for each of {count} environments, not {given!r:.200}")
    return array.astype(np.int64)
