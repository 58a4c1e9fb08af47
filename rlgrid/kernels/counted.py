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


class Blocks(NamedTuple):
    """Outcomes of pairs, four pairs at a time, so that four sums are made at once.

    Pairs lie in the order of how many outcomes they have, most first. The outcomes of a block are the first ones of its
    four pairs, then their second ones, and so on; where a pair has fewer than its block, a chance of 0 stands.
    """

    key: Any  # int64 [P]: the pairs
    begin: Any  # int64 [B + 1]: where each block begins
    to: Any  # int64 [M]
    chance: Any  # float64 [M]


_1, _2, _3, _4 = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)


@njit(cache=True, nogil=True)
def blocks(offsets, to, chance):
    """The rows of `rows`, or such with other weights, as blocks; pairs without outcomes are left out."""
    pairs = offsets.size - 1
    widest = 0
    for key in range(pairs):
        widest = max(widest, offsets[key + 1] - offsets[key])
    place = np.zeros(widest + 2, np.int64)  # how many pairs have at least so many outcomes; then places
    for key in range(pairs):
        place[offsets[key + 1] - offsets[key]] += 1
    for width in range(widest - 1, 0, -1):
        place[width] += place[width + 1]
    keys = np.empty(place[1] if widest > 0 else 0, np.int64)
    for key in range(pairs):
        width = offsets[key + 1] - offsets[key]
        if width > 0:
            keys[place[width + 1]] = key  # after all that are wider
            place[width + 1] += 1
    begin = np.zeros((keys.size + 3) // 4 + 1, np.int64)
    for b in range(begin.size - 1):
        begin[b + 1] = begin[b] + 4 * (offsets[keys[4 * b] + 1] - offsets[keys[4 * b]])
    into = np.zeros(begin[-1], np.int64)
    weight = np.zeros(begin[-1])
    for j in range(keys.size):
        at = begin[j // 4] + j % 4
        for k in range(offsets[keys[j]], offsets[keys[j] + 1]):
            into[at] = to[k]
            weight[at] = chance[k]
            at += 4
    return Blocks(keys, begin, into, weight)


@njit(cache=True, nogil=True)
def means(lines, value, mean):
    """The mean of a value over the outcomes of each pair, into float64 [4 B]; outcomes are added in their order."""
    to, chance = lines.to, lines.chance
    for b in range(lines.begin.size - 1):
        first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
        for k in range(lines.begin[b], lines.begin[b + 1], 4):
            i = np.uintp(k)
            first += chance[i] * value[np.uintp(to[i])]
            second += chance[i + _1] * value[np.uintp(to[i + _1])]
            third += chance[i + _2] * value[np.uintp(to[i + _2])]
            fourth += chance[i + _3] * value[np.uintp(to[i + _3])]
        j = np.uintp(b) * _4
        mean[j] = first
        mean[j + _1] = second
        mean[j + _2] = third
        mean[j + _3] = fourth


@njit(cache=True, nogil=True)
def variances(lines, value, mean, variance):
    """The variance of a value about its mean, likewise."""
    to, chance = lines.to, lines.chance
    for b in range(lines.begin.size - 1):
        j = np.uintp(b) * _4
        first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
        for k in range(lines.begin[b], lines.begin[b + 1], 4):
            i = np.uintp(k)
            first += chance[i] * (value[np.uintp(to[i])] - mean[j]) ** 2
            second += chance[i + _1] * (value[np.uintp(to[i + _1])] - mean[j + _1]) ** 2
            third += chance[i + _2] * (value[np.uintp(to[i + _2])] - mean[j + _2]) ** 2
            fourth += chance[i + _3] * (value[np.uintp(to[i + _3])] - mean[j + _3]) ** 2
        variance[j] = first
        variance[j + _1] = second
        variance[j + _2] = third
        variance[j + _3] = fourth


@njit(cache=True, nogil=True)
def largest(flat, first, num_actions, value):
    """The largest entry of each row of a table that begins at ``first``, into all but the last of float64 [S + 1]."""
    at = np.uintp(first)
    for s in range(value.size - 1):
        best = flat[at]
        for a in range(1, num_actions):
            entry = flat[at + np.uintp(a)]
            best = entry if entry > best else best
        value[np.uintp(s)] = best
        at += np.uintp(num_actions)
