"""Models in the forms that `rlgrid.kernels.batch` reads, and worlds that draw more than one number a step.

A table holds the outcomes of every pair of state and action in a row, with their cumulative probabilities, so that a
step is one uniform, one search in a row and four reads; an entry takes 33 bytes, and rows are as wide as the widest.
Where tables would hold more than four million entries, grids are read as they are, a byte or two a cell; other models,
and those of which few pairs have many outcomes, lie in runs, eight bytes an outcome more than the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlgrid.gridmodel import GridModel, TileKind
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.kernels.batch import Grids, Runs, Tables, TwoDraws

Model = GridModel | MDP

_MOST_ENTRIES = 4_000_000  # of a table: 132 MB
_MOST_PADDING = 4  # as many times the outcomes of explicit models a table may have entries, if it is not small
_SMALL = 100_000  # entries


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


def world_of(models: Sequence[Model]) -> Tables | Grids | Runs:
    """The quickest form of models of equally many states and actions that takes a bearable memory."""
    if _fits_tables(models):
        return tables_of(models)
    grids = [model for model in models if isinstance(model, GridModel)]
    if len(grids) == len(models) and all(_settings(grid) == _settings(grids[0]) for grid in grids[1:]):
        return grids_of(grids, numbers_of(grids))
    return runs_of(models)


def _fits_tables(models: Sequence[Model]) -> bool:
    pairs = models[0].num_states * models[0].num_actions * len(models)
    entries = pairs * max(_most_outcomes(model) for model in models)
    outcomes = sum(pairs if isinstance(model, GridModel) else model.next_state.size for model in models)
    return entries <= min(_MOST_ENTRIES, max(_MOST_PADDING * outcomes, _SMALL))


def _most_outcomes(model: Model) -> int:
    """No pair has more outcomes than this."""
    if isinstance(model, MDP):
        return int(np.diff(model.offsets).max())
    is_windy = model.column_wind.any() or model.row_wind.any()
    return int((model.arrays.slip >= 0.0).sum(axis=2).max()) * (len(model.gust) if is_windy else 1)


def tables_of(models: Sequence[Model]) -> Tables:
    """The outcomes of models of equally many states and actions, in order."""
    from rlgrid.kernels.batch import Tables

    parts = [_outcomes(model.to_mdp()) for model in models]
    return Tables(
        num_states=int(models[0].num_states),
        num_actions=int(models[0].num_actions),
        cumulative=_stacked([part[0] for part in parts], np.inf),
        probability=_stacked([part[1] for part in parts]),
        next_state=_stacked([part[2] for part in parts]),
        reward=_stacked([part[3] for part in parts]),
        terminated=_stacked([part[4] for part in parts]),
        start_cumulative=_start_cumulative(models),
        start_states=_start_states(models),
    )


def _start_cumulative(models: Sequence[Model]) -> NDArray[np.float64]:
    """float64 [M, B], infinity behind the last."""
    return _stacked([np.cumsum(model.start_probability)[None] for model in models], np.inf)


def _start_states(models: Sequence[Model]) -> NDArray[np.int64]:
    """int64 [M, B + 1], the first one behind the last."""
    return _stacked([_and_first(model.start_states[None]) for model in models])


def runs_of(models: Sequence[Model]) -> Runs:
    """The outcomes of models of equally many states and actions, in order; those of one model are its own arrays."""
    from rlgrid.kernels.batch import Runs, cumulated_runs

    explicit = [model.to_mdp() for model in models]
    ends = np.cumsum([0, *(mdp.next_state.size for mdp in explicit)])
    offsets = [mdp.offsets[:-1] + np.int64(end) for mdp, end in zip(explicit, ends[:-1].tolist(), strict=True)]

    def together(name: str) -> NDArray[Any]:
        arrays: list[NDArray[Any]] = [getattr(mdp, name) for mdp in explicit]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    probability = together("probability")
    runs = Runs(
        num_states=int(models[0].num_states),
        num_actions=int(models[0].num_actions),
        offsets=np.append(np.concatenate(offsets), ends[-1]),
        cumulative=np.empty(probability.size),
        probability=probability,
        next_state=together("next_state"),
        reward=together("reward"),
        terminated=together("terminated"),
        start_cumulative=_start_cumulative(models),
        start_states=_start_states(models),
    )
    cumulated_runs(runs.offsets, probability, runs.cumulative)
    return runs


def _settings(grid: GridModel) -> tuple[Any, ...]:
    """What grids must have in common that differ in their tiles and starts alone."""
    winds = grid.column_wind.tobytes(), grid.row_wind.tobytes(), tuple(grid.gust.items())
    return grid.shape, grid.actions, grid.slip, winds, grid.step_reward, grid.bump_reward


def numbers_of(grids: Sequence[GridModel]) -> dict[TileKind, int]:
    """All kinds of tile of several grids, numbered."""
    kinds = dict.fromkeys(kind for every in dict.fromkeys(grid.kinds for grid in grids) for kind in every)
    return {kind: number for number, kind in enumerate(kinds)}


def grids_of(grids: Sequence[GridModel], numbers: dict[TileKind, int]) -> Grids:
    """Grids that differ in their tiles, whose kinds are numbered, and in their starts."""
    from rlgrid.kernels.batch import Grids

    first = grids[0]
    tiles = np.empty((len(grids), first.num_states), np.uint8 if len(numbers) <= 256 else np.uint16)
    for row, grid in zip(tiles, grids, strict=True):
        row[:] = _renumbered(grid, numbers)
    if tuple(numbers) != first.kinds:
        first = first.with_changes(kinds=tuple(numbers), tiles=tiles[0].reshape(first.shape))
    return Grids(first.arrays, tiles, _start_cumulative(grids), _start_states(grids))


def _renumbered(grid: GridModel, numbers: dict[TileKind, int]) -> NDArray[np.uint16]:
    """uint16 [S], the kinds of the cells by the numbers."""
    of_kind = np.array([numbers[kind] for kind in grid.kinds], np.uint16)
    return np.take(of_kind, grid.tiles.ravel())


def put(grids: Grids, number: int, model: GridModel, numbers: dict[TileKind, int]) -> bool:
    """Put another grid in the place of one; False, and nothing is done, where it does not go there."""
    starts = model.start_states
    if starts.size != grids.start_cumulative.shape[1] or not all(kind in numbers for kind in model.kinds):
        return False
    grids.tiles[number] = _renumbered(model, numbers)
    grids.start_cumulative[number] = np.cumsum(model.start_probability)
    grids.start_states[number] = np.append(starts, starts[0])
    return True


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
