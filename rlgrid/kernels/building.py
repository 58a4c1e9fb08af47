"""Outcome runs of explicit models out of transition matrices.

    count_dense, fill_dense          from P [S, A, S]: outcomes by ascending next state, zeros left out
    count_sparse, fill_sparse        from the compressed rows of one action's matrix [S, S]: the same, duplicates added
    look_up_rewards                  rewards of one action from compressed rows

All work on a range of states and write only there. A pair whose state is terminal has one outcome: it stays.
"""

import numpy as np
from numba import njit

SHORT = 64  # entries of a row that is sorted here by insertion
TOO_LONG = 1  # what `count_sparse` answers to a longer row that is not in ascending order


@njit(cache=True, nogil=True, error_model="numpy")
def count_dense(P, ends, allowed, sizes, first, last):
    """How many outcomes each pair has, into sizes [S, A]."""
    num_states, num_actions, _ = P.shape
    for s in range(first, last):
        for a in range(num_actions):
            size = 0
            if ends[s]:
                size = 1
            elif allowed[s, a]:
                for to in range(num_states):
                    size += P[s, a, to] != 0.0
            sizes[s, a] = size


@njit(cache=True, nogil=True, error_model="numpy")
def fill_dense(
    P,
    ends,
    allowed,
    rewards,
    by_state,
    by_action,
    by_next,
    offsets,
    next_state,
    probability,
    reward,
    ended,
    first,
    last,
):
    """Write the outcomes; the reward of (s, a, s') is rewards[s * by_state + a * by_action + s' * by_next]."""
    num_states, num_actions, _ = P.shape
    for s in range(first, last):
        for a in range(num_actions):
            i = offsets[s * num_actions + a]
            if ends[s]:
                next_state[i] = s
                probability[i] = 1.0
                reward[i] = 0.0
                ended[i] = True
            elif allowed[s, a]:
                for to in range(num_states):
                    if P[s, a, to] != 0.0:
                        next_state[i] = to
                        probability[i] = P[s, a, to]
                        reward[i] = rewards[s * by_state + a * by_action + to * by_next]
                        ended[i] = ends[to]
                        i += 1


@njit(cache=True, nogil=True, error_model="numpy")
def count_sparse(starts, columns, data, ends, allowed, a, sizes, first, last):
    """How many outcomes action a has in each state, into sizes [:, a]; TOO_LONG if a long row is in disorder, or 0."""
    seen = np.empty(SHORT, np.int32)
    for s in range(first, last):
        size = 0
        if ends[s]:
            size = 1
        elif allowed[s, a]:
            before = -1
            ascending = True
            for i in range(starts[s], starts[s + 1]):
                if data[i] != 0.0:
                    ascending &= columns[i] > before
                    before = columns[i]
                    size += 1
            if not ascending:
                if size > SHORT:
                    return TOO_LONG
                size = 0
                for i in range(starts[s], starts[s + 1]):
                    if data[i] != 0.0:
                        new = True
                        for k in range(size):
                            new &= seen[k] != columns[i]
                        if new:
                            seen[size] = columns[i]
                            size += 1
        sizes[s, a] = size
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def fill_sparse(
    starts,
    columns,
    data,
    ends,
    allowed,
    a,
    num_actions,
    rewards,
    by_state,
    by_action,
    by_next,
    offsets,
    next_state,
    probability,
    reward,
    ended,
    first,
    last,
):
    """Write the outcomes of action a, each inserted where it belongs (at the end, where rows are in order)."""
    for s in range(first, last):
        begin = offsets[s * num_actions + a]
        if ends[s]:
            next_state[begin] = s
            probability[begin] = 1.0
            reward[begin] = 0.0
            ended[begin] = True
            continue
        if not allowed[s, a]:
            continue
        end = begin
        for i in range(starts[s], starts[s + 1]):
            p = data[i]
            if p == 0.0:
                continue
            to = columns[i]
            place = end
            while place > begin and next_state[place - 1] > to:
                place -= 1
            if place > begin and next_state[place - 1] == to:
                probability[place - 1] += p
                continue
            for j in range(end, place, -1):
                next_state[j] = next_state[j - 1]
                probability[j] = probability[j - 1]
            next_state[place] = to
            probability[place] = p
            end += 1
        for i in range(begin, end):
            to = next_state[i]
            reward[i] = rewards[s * by_state + a * by_action + to * by_next]
            ended[i] = ends[to]


@njit(cache=True, nogil=True, error_model="numpy")
def look_up_rewards(starts, columns, data, ends, a, num_actions, offsets, next_state, reward, first, last):
    """The rewards of action a from rows in strictly ascending order, 0 where nothing is stored."""
    for s in range(first, last):
        if ends[s]:
            continue
        k = starts[s]
        stop = starts[s + 1]
        for i in range(offsets[s * num_actions + a], offsets[s * num_actions + a + 1]):
            while k < stop and columns[k] < next_state[i]:
                k += 1
            reward[i] = data[k] if k < stop and columns[k] == next_state[i] else 0.0
