"""The replay memory on disk: what is in it, and nothing that would have to be trusted as a place in memory.

`rlgrid.kernels.replay` keeps the last observations of episodes apart, and where each of them lies. In a file they stand
in the order of the transitions that ended there, so their places follow from the transitions. Sums of priorities follow
from the priorities. So the only whole numbers that a file brings are states, actions and endings, each held
against its range, and the two counts of the ring.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.checkpoint import CheckpointError

_COLUMNS = ("observations", "actions", "rewards", "endings")


def _columns(replay: Any) -> tuple[str, ...]:
    return (*_COLUMNS, "next_masks") if replay.next_masks.size else _COLUMNS


def abandon(replay: Any, arrival: NDArray[Any]) -> None:
    """The episode under way will not go on: it ends at ``arrival`` [1], as if truncated after the newest transition."""
    from rlgrid.kernels.replay import FILLED, FINALS, GOES_ON, POSITION, TRUNCATED, UNUSED

    counters, last = replay.counters, int(replay.counters[POSITION]) - 1  # -1 is the last place
    if counters[FILLED] == 0 or replay.endings[last] != GOES_ON:
        return
    if counters[UNUSED]:
        counters[UNUSED] -= 1
        place = replay.unused[counters[UNUSED]]
    else:
        place = counters[FINALS]
        counters[FINALS] += 1
    replay.endings[last] = TRUNCATED
    replay.final_of[last] = place
    replay.finals[place] = arrival[0]


def next_observations(replay: Any, arrival: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """What the transitions at ``places`` [n] led to, [n] or [n, D]; ``arrival`` [1] is the newest one's."""
    from rlgrid.kernels.replay import GOES_ON, POSITION

    size = replay.actions.size
    found: NDArray[Any] = replay.observations[(places + 1) % size].copy()
    found[places == (replay.counters[POSITION] - 1) % size] = arrival[0]
    ended = replay.endings[places] != GOES_ON
    found[ended] = replay.finals[replay.final_of[places[ended]]]
    return found


def contents(replay: Any) -> dict[str, NDArray[Any]]:
    """The tensors of a checkpoint, as long as the memory is full."""
    from rlgrid.kernels.replay import FILLED, GOES_ON, POSITION

    filled = int(replay.counters[FILLED])
    arrays = {name: getattr(replay, name)[:filled] for name in _columns(replay)}
    ended = np.flatnonzero(arrays["endings"] != GOES_ON)
    arrays["final_observations"] = replay.finals[replay.final_of[ended]]
    arrays["replay_counters"] = replay.counters[[POSITION, FILLED]]
    if replay.tree.size:
        leaves = replay.tree.size // 2
        arrays["priorities"] = replay.tree[leaves : leaves + filled]
        arrays["greatest_priority"] = replay.greatest
    return arrays


def take(replay: Any, arrays: dict[str, NDArray[Any]], num_actions: int) -> None:
    """Have in the memory what `contents` gave.

    Args:
        num_actions: actions are less than this. Whether states are among the environment's must be asked elsewhere.

    Raises:
        KeyError: if an array is missing.
        CheckpointError: naming what does not fit.
    """
    from rlgrid.kernels.replay import FILLED, FINALS, GOES_ON, POSITION, TERMINATED, UNUSED

    size = replay.actions.size
    counts = fitting(arrays, "replay_counters", (2,), np.int64)
    position, filled = int(counts[0]), int(counts[1])
    if not 0 <= filled <= size or not 0 <= position < size or (filled < size and position != filled):
        raise CheckpointError(f"the checkpoint's replay memory does not fit a buffer_size of {size}")
    columns = {}
    for name in _columns(replay):
        own = getattr(replay, name)
        columns[name] = fitting(arrays, name, (filled, *own.shape[1:]), own.dtype)
    for name, limit in (("actions", num_actions), ("endings", TERMINATED + 1)):
        _check_range(name, columns[name], limit)
    ended = np.flatnonzero(columns["endings"] != GOES_ON)
    finals = fitting(arrays, "final_observations", (ended.size, *replay.finals.shape[1:]), replay.finals.dtype)
    priorities = None
    if replay.tree.size:
        priorities = fitting(arrays, "priorities", (filled,), np.float64)
        greatest = fitting(arrays, "greatest_priority", (1,), np.float64)
        most = float(greatest[0])
        if not (priorities > 0.0).all() or priorities.max(initial=0.0) > most or not math.isfinite(most * size):
            raise CheckpointError("priorities of the replay memory must be > 0 and at most the greatest of them")
    for name, saved in columns.items():
        getattr(replay, name)[:filled] = saved
    replay.finals[: ended.size] = finals
    replay.final_of[ended] = np.arange(ended.size)
    for place, count in ((POSITION, position), (FILLED, filled), (FINALS, ended.size), (UNUSED, 0)):
        replay.counters[place] = count
    if priorities is not None:
        replay.greatest[...] = greatest
        _plant(replay.tree, priorities)


def check_states(arrays: dict[str, NDArray[Any]], num_states: int) -> None:
    """Refuse a memory with states that the environment does not have.

    Raises:
        CheckpointError
    """
    for name in ("observations", "final_observations"):
        _check_range(name, arrays[name], num_states)


def fitting(arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of a checkpoint, of this shape and type, its numbers finite.

    Raises:
        KeyError, CheckpointError
    """
    saved = arrays[name]
    if saved.shape != shape or saved.dtype != dtype:
        raise CheckpointError(f"{name} is {saved.dtype} {saved.shape}; here it is {np.dtype(dtype)} {shape}")
    if saved.dtype.kind == "f" and not np.isfinite(saved).all():
        raise CheckpointError(f"{name} holds values that are not finite")
    return saved


def _check_range(name: str, saved: NDArray[Any], limit: int) -> None:
    if saved.size and not (saved.min() >= 0 and saved.max() < limit):
        raise CheckpointError(f"{name} of the replay memory must lie in 0 to {limit - 1}")


def _plant(tree: NDArray[np.float64], priorities: NDArray[np.float64]) -> None:
    """The tree of sums over these leaves; the kernels add in the same pairs, so it has the same bits."""
    first = tree.size // 2
    tree[...] = 0.0
    tree[first : first + priorities.size] = priorities
    while first > 1:
        level = tree[first : 2 * first]
        tree[first // 2 : first] = level[0::2] + level[1::2]
        first //= 2
