"""Outcome runs of explicit models out of transition matrices, and the check of what a model holds.

    count_dense, fill_dense          from P [S, A, S]: outcomes by ascending next state, zeros left out
    count_sparse, fill_sparse        from the compressed rows of one action's matrix [S, S]: the same, duplicates added
    look_up_rewards                  rewards of one action from compressed rows
    are_sound                        whether every run is a distribution over states with finite rewards

All work on a range of states and write only there. A pair whose state is terminal has one outcome: it stays.
"""

import math

import numpy as np
from numba import njit

SHORT = 64  # entries of a row that is sorted here by insertion
TOO_LONG = 1  # what `count_sparse` answers to a longer row that is not in ascending order


@njit(cache=True, nogil=True, error_model="numpy")
def are_sound(num_states, num_actions, offsets, next_state, probability, reward, tolerance, first, last):
    """Whether all is well in the states [first, last); a slower check says what is wrong."""
    for s in range(first, last):
        if offsets[s * num_actions] == offsets[(s + 1) * num_actions]:
            return False
        for pair in range(s * num_actions, (s + 1) * num_actions):
            if offsets[pair] == offsets[pair + 1]:
                continue
            total = 0.0
            good = True
            for i in range(np.uint64(offsets[pair]), np.uint64(offsets[pair + 1])):
                p = probability[i]
                total += p
                good &= (p >= 0.0) & (p <= 1.0 + tolerance)
                good &= abs(reward[i]) < math.inf
                good &= (next_state[i] >= 0) & (next_state[i] < num_states)
            if not (good and abs(total - 1.0) <= tolerance):
                return False
    return True


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
