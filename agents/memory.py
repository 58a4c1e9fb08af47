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
    """The episodes under way will not go on: each ends at its ``arrival`` [C], as if truncated there."""
    from rlgrid.kernels.replay import FINALS, GOES_ON, TRUNCATED, UNUSED

    counters = replay.counters
    for env, (last, filled) in enumerate(zip(_newest(replay), rings(replay)[:, 1], strict=True)):
        if filled == 0 or replay.endings[last] != GOES_ON:
            continue
        if counters[UNUSED]:
            counters[UNUSED] -= 1
            place = replay.unused[counters[UNUSED]]
        else:
            place = counters[FINALS]
            counters[FINALS] += 1
        replay.endings[last] = TRUNCATED
        replay.final_of[last] = place
        replay.finals[place] = arrival[env]


def rings(replay: Any) -> NDArray[np.int64]:
    """int64 [C, 2]: the position in each environment's ring, and how much of it is filled."""
    from rlgrid.kernels.replay import FINALS, OTHERS

    return np.concatenate((replay.counters[:FINALS], replay.counters[OTHERS:])).reshape(-1, 2)


def places_of(replay: Any) -> NDArray[np.int64]:
    """int64 [n], the places of all transitions in the memory, rising."""
    return _filled_places(rings(replay)[:, 1])


def _filled_places(filled: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the first ``filled`` [C] transitions of each ring, rising."""
    rows = np.arange(int(filled.max()))
    found: NDArray[np.int64] = np.flatnonzero(rows[:, None] < filled)
    return found


def _newest(replay: Any) -> NDArray[np.int64]:
    """int64 [C], the place of each environment's newest transition."""
    positions = rings(replay)[:, 0]
    envs = len(positions)
    found: NDArray[np.int64] = (positions - 1) % (replay.actions.size // envs) * envs + np.arange(envs)
    return found


def next_observations(replay: Any, arrival: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """What the transitions at ``places`` [n] led to, [n] or [n, D]; ``arrival`` [C] is the newest ones'."""
    from rlgrid.kernels.replay import GOES_ON

    envs = places % len(arrival)
    found: NDArray[Any] = replay.observations[(places + len(arrival)) % replay.actions.size].copy()
    last = places == _newest(replay)[envs]
    found[last] = arrival[envs[last]]
    ended = replay.endings[places] != GOES_ON
    found[ended] = replay.finals[replay.final_of[places[ended]]]
    return found


def contents(replay: Any) -> dict[str, NDArray[Any]]:
    """The tensors of a checkpoint, as long as the memory is full."""
    from rlgrid.kernels.replay import GOES_ON

    places = places_of(replay)
    arrays = {name: getattr(replay, name)[places] for name in _columns(replay)}
    ended = np.flatnonzero(arrays["endings"] != GOES_ON)
    arrays["final_observations"] = replay.finals[replay.final_of[places[ended]]]
    arrays["replay_counters"] = rings(replay).ravel()
    if replay.tree.size:
        arrays["priorities"] = replay.tree[replay.tree.size // 2 + places]
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
    from rlgrid.kernels.replay import FINALS, GOES_ON, OTHERS, TERMINATED, UNUSED

    size, envs = replay.actions.size, len(rings(replay))
    counts = fitting(arrays, "replay_counters", (2 * envs,), np.int64).reshape(envs, 2)
    position, filled = counts.T
    rows = size // envs
    fits = (filled >= 0) & (filled <= rows) & (position >= 0) & (position < rows)
    if not (fits & ((filled == rows) | (position == filled))).all():
        raise CheckpointError(f"the checkpoint's replay memory does not fit a buffer_size of {size}")
    places = _filled_places(filled)
    columns = {}
    for name in _columns(replay):
        own = getattr(replay, name)
        columns[name] = fitting(arrays, name, (places.size, *own.shape[1:]), own.dtype)
    for name, limit in (("actions", num_actions), ("endings", TERMINATED + 1)):
        _check_range(name, columns[name], limit)
    ended = np.flatnonzero(columns["endings"] != GOES_ON)
    finals = fitting(arrays, "final_observations", (ended.size, *replay.finals.shape[1:]), replay.finals.dtype)
    priorities = None
    if replay.tree.size:
        priorities = fitting(arrays, "priorities", (places.size,), np.float64)
        greatest = fitting(arrays, "greatest_priority", (1,), np.float64)
        most = float(greatest[0])
        if not (priorities > 0.0).all() or priorities.max(initial=0.0) > most or not math.isfinite(most * size):
            raise CheckpointError("priorities of the replay memory must be > 0 and at most the greatest of them")
    for name, saved in columns.items():
        getattr(replay, name)[places] = saved
    replay.finals[: ended.size] = finals
    replay.final_of[places[ended]] = np.arange(ended.size)
    replay.counters[:FINALS], replay.counters[OTHERS:] = counts[0], counts[1:].ravel()
    replay.counters[FINALS], replay.counters[UNUSED] = ended.size, 0
    if priorities is not None:
        replay.greatest[...] = greatest
        _plant(replay.tree, places, priorities)


def check_copies(arrays: dict[str, NDArray[Any]], num_envs: int) -> None:
    """Refuse a memory that is of another number of environments at once.

    Raises:
        CheckpointError
    """
    given = arrays["replay_counters"].size
    if given > 0 and given % 2 == 0 and given != 2 * num_envs:
        raise CheckpointError(
            f"the checkpoint's replay memory is of n_envs={given // 2} environments at once, and here are {num_envs}"
        )


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


def _plant(tree: NDArray[np.float64], places: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
    """The tree of sums over leaves at these places; the kernels add in the same pairs, so it has the same bits."""
    first = tree.size // 2
    tree[...] = 0.0
    tree[first + places] = priorities
    while first > 1:
        level = tree[first : 2 * first]
        tree[first // 2 : first] = level[0::2] + level[1::2]
        first //= 2
