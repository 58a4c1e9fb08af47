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
