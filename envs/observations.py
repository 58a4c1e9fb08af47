"""What an agent sees of a state: `Observer`, by the name of the kind of observation.

Kinds:
    "index": the number of the state, or of what is seen of it (``observation_of``) in a world that is partly observed.
    "one_hot": float32 [O], 1 at that number and 0 elsewhere.

An environment asks its observer for each observation: `Observer.one` of a state, `Observer.many` of many at once.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rlgrid.envs.models import checked_observations, num_observations
from rlgrid.envs.scene import Scene
from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP


class Observer:
    """What is seen of each state of a model; `observer` makes one.

    Attributes:
        kind: the name of the kind of observation.
        space: of one observation.
        observation_of: int64 [S], the number of what is seen of each state, 0 to O - 1: the observation function
            O(o|s) of a partly observed world, which here is deterministic. None where no two states look the same.
    """

    kind: str
    space: spaces.Space[Any]

    def __init__(self, model: GridModel | MDP) -> None:
        self.num_states = int(model.num_states)

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        raise NotImplementedError

    @property
    def num_observations(self) -> int:
        """How many different observations there are: O."""
        return self.num_states if self.observation_of is None else int(self.observation_of.max()) + 1

    def one(self, state: int) -> Any:
        """The observation of a state, an object of the caller's own."""
        raise NotImplementedError

    def many(self, states: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The observations of states int64 [N] as one array [N, ...], in ``out`` if given."""
        raise NotImplementedError

    def observation_matrix(self) -> sparse.csr_array:
        """O(o|s) as a sparse float64 [S, O]; each row has a single 1."""
        numbers = np.arange(self.num_states) if self.observation_of is None else self.observation_of
        shape = (self.num_states, self.num_observations)
        return sparse.csr_array((np.ones(self.num_states), numbers, np.arange(self.num_states + 1)), shape)

    def __repr__(self) -> str:
        return f"<observations {self.kind!r}: {self.space}>"


class _Index(Observer):
    """The number of the state, or of what is seen of it."""

    kind = "index"

    def __init__(self, model: GridModel | MDP, seen: NDArray[np.int64] | None) -> None:
        super().__init__(model)
        self._seen = seen
        self.space = spaces.Discrete(num_observations(model, seen))

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        return self._seen

    def one(self, state: int) -> int:
        return state if self._seen is None else int(self._seen[state])

    def many(self, states: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        if out is None:
            return states.copy() if self._seen is None else self._seen[states]
        if self._seen is None:
            out[...] = states
        else:
            np.take(self._seen, states, out=out, mode="clip")  # "raise" would make a copy first
        return out


class _OneHot(Observer):
    """A vector that is 1 at the number of what is seen, and 0 elsewhere."""

    kind = "one_hot"

    def __init__(self, model: GridModel | MDP, seen: NDArray[np.int64] | None) -> None:
        super().__init__(model)
        self._seen = seen
        self._length = num_observations(model, seen)
        self.space = spaces.Box(0.0, 1.0, (self._length,), np.float32)

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        return self._seen

    def one(self, state: int) -> NDArray[np.float32]:
        vector = np.zeros(self._length, np.float32)
        vector[state if self._seen is None else self._seen[state]] = 1.0
        return vector

    def many(self, states: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        numbers = states if self._seen is None else self._seen[states]
        if out is None:
            out = np.zeros((states.size, self._length), np.float32)
        else:
            out[...] = 0.0
        out[np.arange(states.size), numbers] = 1.0
        return out


_KINDS = {"index": _Index, "one_hot": _OneHot}

KINDS = tuple(_KINDS)
"""The kinds of observation."""


def observer(
    model: GridModel | MDP,
    kind: str = "index",
    *,
    observation_of: ArrayLike | None = None,
    scene: Scene | None = None,
    view_size: int = 7,
    see_through_walls: bool = False,
    cell_size: int | None = None,
    theme: str = "dark",
) -> Observer:
    """What is seen of the states of a model.

    Args:
        model: of the world.
        kind: of observation, one of `KINDS`.
        observation_of: int [S], what is seen of each state, of a world that is only partly observed.
        scene: how states are shown where the model is not a grid.
        view_size, see_through_walls: of the kind "view".
        cell_size, theme: of the kind "rgb".

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """
    if kind not in _KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
        raise ValueError(f"there is no observation {kind!r}: {hint}")
    return _KINDS[kind](model, checked_observations(model, observation_of))
