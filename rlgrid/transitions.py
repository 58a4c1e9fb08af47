"""Outcome runs of explicit models out of transition matrices and of dicts, by compiled passes.

Two passes: how many outcomes each pair has, then the outcomes themselves. Of matrices, blocks of a few thousand states
are written for all actions before the next, so that a run of a state lies in the cache until it is complete.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlgrid.compressed import index_type, offsets_of
from rlgrid.parallel import in_pieces

BLOCK = 1 << 15  # outcomes written for one action, then for the next
WIDE = 1 << 20  # pairs of states and actions that any table may have,
SPARSE = 1000  # and so many times as many as it has rows for


class Runs(NamedTuple):
    """The outcomes of all pairs."""

    offsets: NDArray[Any]  # int32 or int64 [S * A + 1]
    next_state: NDArray[np.int32]  # [N]
    probability: NDArray[np.float64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]


class Rewards(NamedTuple):
    """R(s), R(s, a) or R(s, a, s') as a table: r = table[s * by_state + a * by_action + s' * by_next]."""

    table: NDArray[np.float64]
    by_state: int
    by_action: int
    by_next: int


Rows = tuple[NDArray[Any], NDArray[np.int32], NDArray[np.float64]]  # starts [S + 1], columns, data

NO_REWARDS = Rewards(np.zeros(1), 0, 0, 0)


def rewards_of(R: NDArray[np.float64], num_states: int, num_actions: int) -> Rewards:
    """The table of rewards [S], [S, A] or [S, A, S]."""
    table = np.ascontiguousarray(R).ravel()
    if R.ndim == 1:
        return Rewards(table, 1, 0, 0)
    if R.ndim == 2:
        return Rewards(table, num_actions, 1, 0)
    return Rewards(table, num_actions * num_states, num_states, 1)


def _empty_runs(sizes: NDArray[np.int32]) -> Runs:
    offsets = offsets_of(sizes.ravel())
    total = int(offsets[-1])
    return Runs(offsets, np.empty(total, np.int32), np.empty(total), np.empty(total), np.empty(total, np.bool_))


def from_dense(
    P: NDArray[np.float64],
    rewards: Rewards | Sequence[Any],
    ends: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    check: Callable[[NDArray[np.int32]], None],
) -> Runs:
    """Runs of P [S, A, S]; ``check`` looks at the sizes [S, A] before anything is written."""
    from rlgrid.kernels.building import count_dense, fill_dense

    S, A, _ = P.shape
    smallest = max(1, (1 << 16) // (S * A))
    sizes = np.empty((S, A), np.int32)
    in_pieces(lambda first, last: count_dense(P, ends, allowed, sizes, first, last), S, smallest)
    check(sizes)
    runs = _empty_runs(sizes)
    table = rewards if isinstance(rewards, Rewards) else NO_REWARDS
    in_pieces(lambda first, last: fill_dense(P, ends, allowed, *table, *runs, first, last), S, smallest)
    _look_up(rewards, runs, ends, A)
    return runs


def is_far_too_wide(num_states: int, num_actions: int, given: int) -> bool:
    """Whether a table with rows for so many pairs has actions of so high a number that hardly any pair has a row."""
    return num_states * num_actions > max(WIDE, SPARSE * given)


def from_table(table: Any) -> tuple[int, Runs] | None:
    """(actions, runs) of a dict {state: {action: [(probability, next state, reward, terminated), ...]}}.

    None where it is not of plain dicts, lists, tuples and numbers throughout (next states may be np.int64), or has far
    fewer rows than pairs, which takes slower ways to read and better ones to complain.
    """
    from rlgrid.kernels.tables import LONGEST, measure_table, read_table

    try:
        written = marshal.dumps(table, 2)
    except ValueError:  # something in it is of another type
        return None
    data = np.frombuffer(written + bytes(LONGEST), np.uint8)
    rows = np.empty(len(table), np.int64)
    num_actions, pairs, total, buffers = measure_table(data, rows)
    if num_actions < 1 or is_far_too_wide(len(table), num_actions, pairs):
        return None
    if buffers:  # of which marshal does not say whose they are
        kinds = {type(outcome[1]) for row in table.values() for run in row.values() for outcome in run}
        if not kinds <= {int, np.int64}:
            return None
    offsets = np.empty(len(table) * num_actions + 1, index_type(total))
    runs = Runs(offsets, np.empty(total, np.int32), np.empty(total), np.empty(total), np.empty(total, np.bool_))
    read_table(data, rows, num_actions, *runs)
    for array in runs:
        array.setflags(write=False)
    return num_actions, runs


def _rows(matrix: Any) -> Rows:
    return (
        matrix.indptr.astype(np.int64, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data.astype(np.float64, copy=False),
    )


def _in_order(matrix: Any) -> Any:
    """The same matrix with ascending rows and without duplicates; the given one is left as it is."""
    if matrix.has_canonical_format:
        return matrix
    own = matrix.copy()
    own.sum_duplicates()
    return own


def from_sparse(
    matrices: Sequence[Any],
    rewards: Rewards | Sequence[Any],
    ends: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    check: Callable[[NDArray[np.int32]], None],
) -> Runs:
    """Runs of A matrices [S, S] of compressed rows; rewards as a table or as A such matrices."""
    from rlgrid.kernels.building import count_sparse, fill_sparse

    S, A = allowed.shape
    rows = [_rows(matrix) for matrix in matrices]
    sizes = np.empty((S, A), np.int32)
    for a in range(A):

        def count(first: int, last: int, a: int = a) -> int:
            result: int = count_sparse(*rows[a], ends, allowed, a, sizes, first, last)
            return result

        if any(in_pieces(count, S)):
            rows[a] = _rows(_in_order(matrices[a]))
            in_pieces(count, S)
    check(sizes)
    runs = _empty_runs(sizes)
    table = rewards if isinstance(rewards, Rewards) else NO_REWARDS
    block = max(1, BLOCK * S // max(1, runs.next_state.size))

    def fill(begin: int, end: int) -> None:
        for first in range(begin, end, block):
            last = min(first + block, end)
            for a in range(A):
                fill_sparse(*rows[a], ends, allowed, a, A, *table, *runs, first, last)

    in_pieces(fill, S, 1 << 12)
    _look_up(rewards, runs, ends, A)
    return runs


def _look_up(rewards: Rewards | Sequence[Any], runs: Runs, ends: NDArray[np.bool_], num_actions: int) -> None:
    """Rewards that are given as matrices into the runs."""
    from rlgrid.kernels.building import look_up_rewards

    if isinstance(rewards, Rewards):
        return
    for a, matrix in enumerate(rewards):
        rows = _rows(_in_order(matrix))

        def look_up(first: int, last: int, a: int = a, rows: Rows = rows) -> None:
            given = (ends, a, num_actions, runs.offsets, runs.next_state, runs.reward, first, last)
            look_up_rewards(rows[0], rows[1], rows[2], *given)

        in_pieces(look_up, ends.size)
