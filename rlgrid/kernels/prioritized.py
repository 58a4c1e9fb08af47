"""Backups in the order of what they promise, over the reduced form of a model (`rlgrid.kernels.reduced`).

    prioritized       Moore & Atkeson (1993); Andre, Friedman & Parr (1998): the node with the greatest priority first
    labels            Dijkstra (1959), where every action has one outcome: the node with the highest value first

The priority of a node is at least its Bellman residual: a backup that moves a node by d adds (greatest weight) |d| to
the priority of each node that may lead there, and leaves 0 of its own. Nodes wait in queues by the power of two of
their priority, first come first served in each, so that taking the next one costs the same however many wait.
"""

import math

import numpy as np
from numba import njit

LEVELS = 2100  # exponents of floats, from 2^-1074 to 2^1024


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _put(i, level, level_of, before, after, first, last):
    """Node i to the end of the queue of a level."""
    level_of[i] = level
    before[i] = last[level]
    after[i] = -1
    if last[level] >= 0:
        after[last[level]] = i
    else:
        first[level] = i
    last[level] = i


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _take(i, level_of, before, after, first, last):
    """Node i out of its queue."""
    level = level_of[i]
    if before[i] >= 0:
        after[before[i]] = after[i]
    else:
        first[level] = after[i]
    if after[i] >= 0:
        before[after[i]] = before[i]
    else:
        last[level] = before[i]
    level_of[i] = -1


@njit(cache=True, nogil=True, error_model="numpy")
def queues(priority, enough):
    """The nodes whose priority [n] is above enough / 2, each in the queue of its level, as `prioritized` keeps them.

    Returns:
        level_of, before, after: int32 [n], the level of each node (-1: in no queue) and its neighbours there.
        first, last: int32 [LEVELS], the ends of the queues.
    """
    n = priority.size
    level_of = np.full(n, -1, np.int32)
    before = np.empty(n, np.int32)
    after = np.empty(n, np.int32)
    first = np.full(LEVELS, -1, np.int32)
    last = np.full(LEVELS, -1, np.int32)
    for i in range(n):
        if 2.0 * priority[i] > enough and priority[i] < math.inf:
            _put(i, math.frexp(priority[i])[1] + 1074, level_of, before, after, first, last)
    return level_of, before, after, first, last


@njit(cache=True, nogil=True, error_model="numpy")
def prioritized(
    first_pair,
    offsets,
    to,
    weight,
    reward,
    leak,
    starts,
    tails,
    most,
    v,
    priority,
    level_of,
    before,
    after,
    first,
    last,
    limit,
    enough,
    history,
    backups,
):
    """Up to ``limit`` times n backups of single nodes; ends when no priority is above enough / 2.

    Args:
        starts, tails, most: edges backwards (`rlgrid.kernels.reduced.predecessors`).
        v, priority: [n], changed in place; a priority is at least the residual of its node.
        level_of, before, after, first, last: what `queues` returned for the same ``enough``; changed in place, so that
            runs of any length make the same backups.
        history: [limit], becomes twice the greatest priority that is left after each n backups.
        backups: int64 [1], the pairs backed up are added to it.

    Returns:
        How many times n backups were made, the last perhaps not in full.
    """
    n = v.size
    top = LEVELS - 1
    for made in range(limit):
        for _ in range(n):
            while top > 0 and first[top] < 0:
                top -= 1
            i = first[top]
            if i < 0:
                break
            _take(i, level_of, before, after, first, last)
            here = v[i]
            best = -math.inf
            for j in range(first_pair[i], first_pair[i + 1]):
                gain = reward[j] - leak[j] * here
                for k in range(offsets[j], offsets[j + 1]):
                    gain += weight[k] * (v[to[k]] - here)
                best = max(best, gain)
            backups[0] += first_pair[i + 1] - first_pair[i]
            priority[i] = 0.0
            v[i] = here + best
            change = abs(v[i] - here)
            if change == 0.0:
                continue
            for e in range(starts[i], starts[i + 1]):
                b = tails[e]
                priority[b] += most[e] * change
                if 2.0 * priority[b] > enough and priority[b] < math.inf:
                    level = math.frexp(priority[b])[1] + 1074
                    if level != level_of[b]:
                        if level_of[b] >= 0:
                            _take(b, level_of, before, after, first, last)
                        _put(b, level, level_of, before, after, first, last)
                        top = max(top, level)
        greatest = 0.0
        for i in range(n):
            greatest = max(greatest, priority[i])
        history[made] = 2.0 * greatest
        if not enough < history[made] < math.inf:
            return made + 1
    return limit


@njit(cache=True, nogil=True, error_model="numpy")
def labels(first_pair, offsets, to, weight, reward, leak, starts, tails, v, choice):
    """Values of paths to where the episode ends, the highest first; each pair has one outcome or none.

    v[i] and choice[i] (a pair) are set where such a path was found, and v is then the value of following the choices;
    choice is -1 elsewhere and v is left as it was. The paths are the best where no reward is above 0 and weights are
    1; otherwise they are paths to begin with. (leak is not needed here.)
    """
    n = v.size
    heap = np.empty(n, np.int64)
    place = np.full(n, -1, np.int64)
    label = np.full(n, -math.inf)
    done = np.zeros(n, np.bool_)
    size = 0
    choice[:] = -1
    for i in range(n):
        for j in range(first_pair[i], first_pair[i + 1]):
            if offsets[j] == offsets[j + 1] and reward[j] > label[i]:
                label[i] = reward[j]
                choice[i] = j
        if choice[i] >= 0:
            place[i] = size
            heap[size] = i
            size += 1
            _rise(heap, place, label, place[i])
    while size > 0:
        t = heap[0]
        size -= 1
        if size > 0:
            heap[0] = heap[size]
            place[heap[0]] = 0
            _sink(heap, place, label, size)
        place[t] = -1
        done[t] = True
        v[t] = label[t]
        for e in range(starts[t], starts[t + 1]):
            i = tails[e]
            if done[i]:
                continue
            for j in range(first_pair[i], first_pair[i + 1]):
                if offsets[j] < offsets[j + 1] and to[offsets[j]] == t:
                    q = reward[j] + weight[offsets[j]] * label[t]
                    if q > label[i]:
                        label[i] = q
                        choice[i] = j
                        if place[i] < 0:
                            place[i] = size
                            heap[size] = i
                            size += 1
                        _rise(heap, place, label, place[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _rise(heap, place, label, at):
    i = heap[at]
    while at > 0:
        up = (at - 1) // 2
        if label[heap[up]] >= label[i]:
            break
        heap[at] = heap[up]
        place[heap[at]] = at
        at = up
    heap[at] = i
    place[i] = at


@njit(cache=True, nogil=True, error_model="numpy")
def _sink(heap, place, label, size):
    at = 0
    i = heap[0]
    while True:
        down = 2 * at + 1
        if down >= size:
            break
        if down + 1 < size and label[heap[down + 1]] > label[heap[down]]:
            down += 1
        if label[i] >= label[heap[down]]:
            break
        heap[at] = heap[down]
        place[heap[at]] = at
        at = down
    heap[at] = i
    place[i] = at
