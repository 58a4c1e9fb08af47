"""Tables of a model's outcomes, from which an environment draws: made state by state, when a state is first left.

`table_of` gives one table for all environments of a model. A pair's outcomes are tuples with their cumulative
probability, so that one uniform number and a short loop give what happens; the many outcomes of a wide pair stay in
the model's arrays and are searched by bisection.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium as gym
import numpy as np

from rlgrid.gridmodel import GridModel, outcomes_of
from rlgrid.mdp import MDP

_EXPLICIT_STATES = 50_000  # up to so many states a grid's outcomes are read off its explicit form
# and up to so many those of a map that lasts for an episode: where there are more, few of them are ever left
_EXPLICIT_DRAWN_STATES = 2_500
_KEPT_STATES = 200_000  # outcomes of at most so many states are kept as Python tuples

_WIDE = 16  # pairs with more outcomes are searched in their arrays: tuples of them would fill the memory

# (cumulative probability up to and with it, next state, reward, terminated, its probability)
_Outcome = tuple[float, int, float, bool, float]


class WideRun:
    """The many outcomes of a pair, in the model's own arrays. A loop over it finds nothing; `drawn` finds the one."""

    __slots__ = ("arrays", "cumulative", "first")

    def __init__(self, arrays: Any, first: int, last: int) -> None:
        self.arrays, self.first = arrays, first
        self.cumulative = np.cumsum(arrays.probability[first:last])

    def __iter__(self) -> Iterator[_Outcome]:
        return iter(())

    def drawn(self, u: float) -> _Outcome:
        """The first outcome whose cumulative probability exceeds ``u``."""
        k = int(self.cumulative.searchsorted(u, side="right"))
        at = self.first + (k if k < self.cumulative.size else 0)
        arrays = self.arrays
        p, to, reward = arrays.probability.item(at), arrays.next_state.item(at), arrays.reward.item(at)
        return 1.0, to, reward, arrays.terminated.item(at), p


_Row = dict[int, tuple[_Outcome, ...] | WideRun]


class Outcomes(dict[int, _Row]):
    """state -> action -> its outcomes as tuples, made when a state is first left. It holds the model's arrays alone."""

    def __init__(self, model: GridModel | MDP, is_explicit: bool) -> None:
        super().__init__()
        self.num_actions = int(model.num_actions)
        self.explicit = is_explicit
        self.arrays: Any = model.to_mdp().arrays if self.explicit else model.arrays

    def __missing__(self, state: int) -> _Row:
        if state is None:
            raise gym.error.ResetNeeded("there is no state yet: call reset() before step()")
        row = self._row(state)
        if len(self) >= _KEPT_STATES:
            self.clear()
        self[state] = row
        return row

    def _row(self, state: int) -> _Row:
        """action -> its outcomes."""
        row: _Row = {}
        columns: Any
        if self.explicit:
            arrays = self.arrays
            columns = (arrays.probability, arrays.next_state, arrays.reward, arrays.terminated)
            pair = state * self.num_actions
            ends = arrays.offsets[pair : pair + self.num_actions + 1].tolist()
        else:
            offsets, *columns = outcomes_of(self.arrays, state, state + 1)
            ends = offsets.tolist()
        for action, (first, last) in enumerate(pairwise(ends)):
            if self.explicit and last - first > _WIDE:
                row[action] = WideRun(self.arrays, first, last)
                continue
            total = 0.0
            outcomes = []
            for p, to, reward, terminated in zip(*(column[first:last].tolist() for column in columns), strict=True):
                total += p
                outcomes.append((total, to, reward, terminated, p))
            if outcomes:
                row[action] = tuple(outcomes)
        return row


# One table for all environments of a model: a thousand of them would make it a thousand times.
_TABLES: WeakKeyDictionary[GridModel | MDP, Outcomes] = WeakKeyDictionary()


def table_of(model: GridModel | MDP, is_drawn: bool = False) -> Outcomes:
    """The table of a model, large or small; ``is_drawn`` where the model lasts for an episode alone."""
    found = _TABLES.get(model)
    if found is None:
        most = _EXPLICIT_DRAWN_STATES if is_drawn else _EXPLICIT_STATES
        found = _TABLES[model] = Outcomes(model, isinstance(model, MDP) or model.num_states <= most)
    return found
