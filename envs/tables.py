"""Models as tables of outcomes for `rlgrid.kernels.batch`, and worlds that draw more than one number a step.

A table holds the outcomes of every pair of state and action with their cumulative probabilities, so that a step is one
uniform, one search in a row and four reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.kernels.batch import Tables, TwoDraws

Model = GridModel | MDP

_MOST_PAIRS = 1_000_000  # of state and action of a model, for which a table is made
_MOST_PAIRS_OF_ALL = 4_000_000  # of several models
_MOST_ENTRIES = 16_000_000


class Draws(NamedTuple):
    """The order of draws of a world in which a step draws a way first, and then one of the outcomes of that way.

    Each outcome of a way is as likely as the others; it is drawn with `Generator.choice` where there are several. A
    start draws a state, and then whether ``second[1]`` is added to it: with the probability ``second[0]`` it is.
    """

    probability: NDArray[np.float64]  # [S * A, K]: of the ways, whose outcomes lie in the model one after another
    outcomes: NDArray[np.int64]  # [S * A, K]: how many a way has, 0 where there is no such way
    start_states: NDArray[np.int64]  # [B]
    start_probability: NDArray[np.float64]  # [B]
    second: NDArray[np.float64]  # [2]


def fits_tables(models: Sequence[Model]) -> bool:
    """True where tables of the models take a bearable memory."""
    pairs = models[0].num_states * models[0].num_actions
    if pairs > _MOST_PAIRS or len(models) * pairs > _MOST_PAIRS_OF_ALL:
        return False
    width = max(int(np.diff(model.to_mdp().offsets).max()) for model in models)
    return width * pairs * len(models) <= _MOST_ENTRIES


def tables_of(models: Sequence[Model]) -> Tables:
    """The outcomes of models of equally many states and actions, in order."""
    from rlgrid.kernels.batch import Tables

    parts = [_outcomes(model.to_mdp()) for model in models]
    starts = [np.append(model.start_states, model.start_states[0]) for model in models]
    return Tables(
        num_states=int(models[0].num_states),
        num_actions=int(models[0].num_actions),
        cumulative=_stacked([part[0] for part in parts], np.inf),
        probability=_stacked([part[1] for part in parts]),
        next_state=_stacked([part[2] for part in parts]),
        reward=_stacked([part[3] for part in parts]),
        terminated=_stacked([part[4] for part in parts]),
        start_cumulative=_stacked([np.cumsum(model.start_probability)[None] for model in models], np.inf),
        start_states=_stacked([states[None] for states in starts]),
    )


def replaced(tables: Tables, number: int, model: Model) -> Tables:
    """``tables`` with another model in the place of one: the same arrays where its rows are not wider than theirs."""
    mine = tables_of([model])
    rows = tables.num_states * tables.num_actions
    places = {name: slice(number * rows, (number + 1) * rows) for name in tables._fields[2:7]}
    places |= {name: slice(number, number + 1) for name in tables._fields[7:]}
    wider: dict[str, Any] = {}
    for name, place in places.items():
        old, new = getattr(tables, name), getattr(mine, name)
        filling = np.inf if "cumulative" in name else None
        wide = _widened(old, new.shape[1], filling)
        wide[place] = _widened(new, wide.shape[1], filling)
        wider[name] = wide
    return tables._replace(**wider)


def two_draws_of(model: Model, draws: Draws) -> TwoDraws:
    """The outcomes of a model, with the order of draws."""
    from rlgrid.kernels.batch import TwoDraws

    there = draws.outcomes > 0
    probability = np.where(there, draws.probability, draws.probability[:, :1])
    first = np.where(there, np.cumsum(draws.outcomes, axis=1) - draws.outcomes, 0)
    count = np.where(there, draws.outcomes, draws.outcomes[:, :1])
    ways = tables_of([model])._replace(
        cumulative=_cumulated(draws.probability, there),
        probability=_and_first(probability),
        start_cumulative=np.cumsum(draws.start_probability)[None],
        start_states=_and_first(draws.start_states[None]),
    )
    return TwoDraws(ways, _and_first(first), _and_first(count), draws.second)


def _and_first(table: NDArray[Any]) -> NDArray[Any]:
    """The first column once more behind the last."""
    return np.ascontiguousarray(np.concatenate([table, table[:, :1]], axis=1))


def _outcomes(mdp: MDP) -> tuple[NDArray[Any], ...]:
    """Cumulative probabilities [S * A, K], and [S * A, K + 1] probabilities, next states, rewards and ends."""
    sizes = np.diff(mdp.offsets)
    place = np.arange(int(sizes.max()) + 1)
    there = place < sizes[:, None]
    index = mdp.offsets[:-1, None] + np.where(there, place, 0)
    index = np.minimum(index, mdp.next_state.size - 1)  # a pair without outcomes, which is never drawn from
    probability = mdp.probability[index]
    return (
        _cumulated(probability[:, :-1], there[:, :-1]),
        probability,
        mdp.next_state[index].astype(np.int64),
        mdp.reward[index],
        mdp.terminated[index],
    )


def _cumulated(probability: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Cumulative sums of rows, infinity behind the last."""
    cumulative = np.cumsum(np.where(there, probability, 0.0), axis=1)
    cumulative[~there] = np.inf
    return cumulative


def _stacked(arrays: list[NDArray[Any]], filling: float | None = None) -> NDArray[Any]:
    """Tables one below the other, as wide as the widest."""
    width = max(array.shape[1] for array in arrays)
    return np.ascontiguousarray(np.concatenate([_widened(array, width, filling) for array in arrays]))


def _widened(array: NDArray[Any], width: int, filling: float | None) -> NDArray[Any]:
    """A table of at least so many columns: further ones hold a number, or else what the first one holds."""
    more = width - array.shape[1]
    if more <= 0:
        return array
    added = array[:, :1] if filling is None else np.full((1, 1), filling)
    return np.concatenate([array, np.broadcast_to(added, (array.shape[0], more))], axis=1)
