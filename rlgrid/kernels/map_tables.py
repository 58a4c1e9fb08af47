"""What the layers of the map are computed by: passes over tables of all states.

Rows of four actions, the most frequent ones, are written out: so the processor does several of them at a time.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _lower(value, seen, low):
    fine = seen & (value > -math.inf) & (value < math.inf)
    value = value if fine else math.inf
    return value if value < low else low


@njit(cache=True, nogil=True)
def _higher(value, seen, high):
    fine = seen & (value > -math.inf) & (value < math.inf)
    value = value if fine else -math.inf
    return value if value > high else high


@njit(cache=True, nogil=True)
def extent(table, shown):
    """(lowest, highest) of the finite numbers of table [S, K] in the cells that ``shown`` bool [S] names.

    (inf, -inf) where there is none. Blocks of rows are compared with what came before at the same place of the block.
    """
    block = 512
    lows, highs = np.full(block, math.inf), np.full(block, -math.inf)
    across = table.shape[1]
    flat = table.reshape(-1)
    for first in range(0, len(shown), block):
        seen = shown[first : first + block]
        if across == 4:
            rows = flat[4 * first : 4 * (first + len(seen))]
            for j in range(len(seen)):
                a, b, c, d = rows[4 * j], rows[4 * j + 1], rows[4 * j + 2], rows[4 * j + 3]
                low = _lower(a, seen[j], _lower(b, seen[j], _lower(c, seen[j], _lower(d, seen[j], lows[j]))))
                high = _higher(a, seen[j], _higher(b, seen[j], _higher(c, seen[j], _higher(d, seen[j], highs[j]))))
                lows[j], highs[j] = low, high
            continue
        if across == 1:
            part = flat[first : first + block]
            for j in range(len(seen)):
                lows[j], highs[j] = _lower(part[j], seen[j], lows[j]), _higher(part[j], seen[j], highs[j])
            continue
        for k in range(across):
            column = flat[first * across + k : (first + block) * across : across]
            for j in range(len(seen)):
                lows[j], highs[j] = _lower(column[j], seen[j], lows[j]), _higher(column[j], seen[j], highs[j])
    return lows.min(), highs.max()


@njit(cache=True, nogil=True)
def _larger(one, other):
    """The larger number; none where one of them is none."""
    return one if (one > other) | math.isnan(one) else other


@njit(cache=True, nogil=True)
def largest(table):
    """float64 [S], the largest number of each row of table [S, A]; NaN where one of them is NaN."""
    found = np.empty(len(table))
    across = table.shape[1]
    if across == 4:
        flat = table.reshape(-1)
        for s in range(len(found)):
            one, other = _larger(flat[4 * s + 1], flat[4 * s]), _larger(flat[4 * s + 3], flat[4 * s + 2])
            found[s] = _larger(other, one)
        return found
    for s in range(len(found)):
        value = table[s, 0]
        for k in range(1, across):
            value = _larger(table[s, k], value)
        found[s] = value
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def disagreement(greedy, best):
    """float64 [S]: the share of the greedy actions of bool [S, A], equally likely, that are not among the best; NaN
    where none is greedy."""
    found = np.empty(len(greedy))
    if greedy.shape[1] == 4:
        ours, others = greedy.reshape(-1).view(np.uint8), best.reshape(-1).view(np.uint8)
        for s in range(len(found)):
            a, b, c, d = ours[4 * s], ours[4 * s + 1], ours[4 * s + 2], ours[4 * s + 3]
            right = (a & others[4 * s]) + (b & others[4 * s + 1]) + (c & others[4 * s + 2]) + (d & others[4 * s + 3])
            taken = a + b + c + d
            found[s] = (taken - right) / taken
        return found
    for s in range(len(found)):
        taken = wrong = 0
        for a in range(greedy.shape[1]):
            taken += greedy[s, a]
            wrong += greedy[s, a] & (not best[s, a])
        found[s] = wrong / taken
    return found


@njit(cache=True, nogil=True)
def residual(after, before):
    """float64 [S], after - before; 0 where both are the same or ``after`` is not finite."""
    found = np.empty(len(after))
    for s in range(len(found)):
        fine = (after[s] > -math.inf) & (after[s] < math.inf) & (after[s] != before[s])
        found[s] = after[s] - before[s] if fine else 0.0
    return found
