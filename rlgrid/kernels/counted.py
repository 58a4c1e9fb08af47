"""A stochastic model that is counted while acting: which outcomes each pair had, and how often.

Outcomes of a pair lie in the order in which they were first met, so that sums over them have one order.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit


class Counted(NamedTuple):
    """The outcomes that were met. One of pair s * A + a is a next state, or -1, the end of the episode."""

    pair: Any  # int64 [M]: of each outcome
    to: Any  # int64 [M]
    many: Any  # int64 [M]: how often
    same: Any  # int64 [M]: the outcome of the same pair that was met before it, or -1
    latest: Any  # int64 [S * A]: the outcome of each pair that was met last for the first time, or -1
    size: Any  # int64 [1]: how many outcomes


@njit(cache=True, nogil=True)
def count_outcome(model, key, met):
    """Count an outcome of a pair."""
    i = model.latest[key]
    while i >= 0 and model.to[i] != met:
        i = model.same[i]
    if i >= 0:
        model.many[i] += 1
        return
    i = model.size[0]
    model.size[0] += 1
    model.pair[i] = key
    model.to[i] = met
    model.many[i] = 1
    model.same[i] = model.latest[key]
    model.latest[key] = i


@njit(cache=True, nogil=True)
def rows(model):
    """(offsets int64 [S * A + 1], to int64 [M], many float64 [M]): the outcomes of each pair side by side."""
    size = model.size[0]
    offsets = np.zeros(model.latest.size + 1, np.int64)
    for i in range(size):
        offsets[model.pair[i] + 1] += 1
    for key in range(model.latest.size):
        offsets[key + 1] += offsets[key]
    place = offsets[:-1].copy()
    to = np.empty(size, np.int64)
    many = np.empty(size)
    for i in range(size):
        at = place[model.pair[i]]
        place[model.pair[i]] += 1
        to[at] = model.to[i]
        many[at] = model.many[i]
    return offsets, to, many


class Diagonals(NamedTuple):
    """Outcomes of pairs in jagged diagonals (Saad 2003, section 3.4): first outcomes side by side, then second ones.

    Pairs lie in the order of how many outcomes they have, most first, so those that have a k-th one are a prefix.
    """

    key: Any  # int64 [P]: the pairs
    begin: Any  # int64 [K + 1]: where each diagonal begins
    to: Any  # int64 [M]
    chance: Any  # float64 [M]


@njit(cache=True, nogil=True)
def diagonals(offsets, to, chance):
    """The rows of `rows`, or such with other weights, as diagonals; pairs without outcomes are left out."""
    pairs = offsets.size - 1
    widest = 0
    for key in range(pairs):
        widest = max(widest, offsets[key + 1] - offsets[key])
    longer = np.zeros(widest + 2, np.int64)  # how many pairs have at least so many outcomes
    for key in range(pairs):
        longer[offsets[key + 1] - offsets[key]] += 1
    for width in range(widest - 1, 0, -1):
        longer[width] += longer[width + 1]
    begin = np.zeros(widest + 1, np.int64)
    for k in range(widest):
        begin[k + 1] = begin[k] + longer[k + 1]
    key_at = np.empty(begin[1] if widest > 0 else 0, np.int64)
    into = np.empty(begin[widest], np.int64)
    weight = np.empty(begin[widest])
    place = longer[1:].copy()  # where the next pair of each width goes, after all wider ones
    for key in range(pairs):
        width = offsets[key + 1] - offsets[key]
        if width > 0:
            j = place[width]
            place[width] += 1
            key_at[j] = key
            for k in range(width):
                into[begin[k] + j] = to[offsets[key] + k]
                weight[begin[k] + j] = chance[offsets[key] + k]
    return Diagonals(key_at, begin, into, weight)


@njit(cache=True, nogil=True)
def means(lines, value, mean):
    """The mean of a value over the outcomes of each pair, into float64 [P]; outcomes are added in their order."""
    mean[:] = 0.0
    for k in range(lines.begin.size - 1):
        first = np.uintp(lines.begin[k])
        for j in range(np.uintp(lines.begin[k + 1]) - first):
            at = first + np.uintp(j)
            mean[np.uintp(j)] += lines.chance[at] * value[np.uintp(lines.to[at])]


@njit(cache=True, nogil=True)
def variances(lines, value, mean, variance):
    """The variance of a value about its mean, likewise."""
    variance[:] = 0.0
    for k in range(lines.begin.size - 1):
        first = np.uintp(lines.begin[k])
        for j in range(np.uintp(lines.begin[k + 1]) - first):
            at = first + np.uintp(j)
            apart = value[np.uintp(lines.to[at])] - mean[np.uintp(j)]
            variance[np.uintp(j)] += lines.chance[at] * (apart * apart)
