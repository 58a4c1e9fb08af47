"""Outcomes in rows of one width, so that a step of a learner finds its own without a branch that cannot be predicted.

The row of a pair holds the cumulative sums of its stored probabilities, infinity from there on, and one place more
than there are outcomes at most. The outcome that a uniform u selects is then the number of cumulative sums that do
not exceed it. Where rounding leaves the last sum below 1 and u at or above it, that number points behind the
outcomes: the first outcome is repeated there, which is what `sample` takes.

A row is written when its pair is first drawn from, by `outcome` of the model itself: what is never visited costs
neither time nor, where the tables are fresh memory, space.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from rlgrid.kernels.model import count, outcome, sample


class PaddedOutcomes(NamedTuple):
    """A model for sampling alone; K is the largest number of outcomes of a pair."""

    num_states: int
    num_actions: int
    source: Any  # ExplicitArrays or GridArrays, the model
    known: Any  # bool [S * A]: which rows are written
    cumulative: Any  # float64 [S * A, K]
    next_state: Any  # int32 [S * A, K + 1]; its bitwise complement where the outcome is terminated
    reward: Any  # float64 [S * A, K + 1]
    start_states: Any  # int64 [B], ascending
    start_cumulative: Any  # float64 [B]: probability up to and with each


@njit(cache=True, nogil=True)
def _write_row(source, known, cumulative, next_state, reward, s, a):
    pair = s * source.num_actions + a
    outcomes = count(source, s, a)
    width = cumulative.shape[1]
    total = 0.0
    for k in range(width + 1):
        p, to, r, ends = 0.0, np.int64(s), 0.0, True  # a pair without outcomes has none to read: it ends where it is
        if outcomes > 0:
            p, to, r, ends = outcome(source, s, a, k if k < outcomes else 0)
        total += p
        if k < width:
            cumulative[pair, k] = total if k < outcomes else np.inf
        next_state[pair, k] = ~to if ends else to
        reward[pair, k] = r
    known[pair] = True


@njit(cache=True, nogil=True, inline="always")
def _padded_draw(model, s, a, u):
    pair = np.uintp(s * model.num_actions + a)  # unsigned: an index that needs no test for counting from the end
    if not model.known[pair]:
        _write_row(model.source, model.known, model.cumulative, model.next_state, model.reward, s, a)
    beyond = 0
    for i in range(model.cumulative.shape[1]):
        beyond += model.cumulative[pair, i] <= u
    k = np.uintp(beyond)
    to = np.int64(model.next_state[pair, k])
    terminated = to < 0
    to = ~to if terminated else to
    return to, model.reward[pair, k], terminated


def draw(model, s, a, u):
    """The outcome of (s, a) that a uniform u selects: (next state, reward, terminated), for every form of a model."""
    if isinstance(model, PaddedOutcomes):
        return _padded_draw(model, s, a, u)
    return sample(model, s, a, u)[:3]


@overload(draw, inline="always")
def _draw(model, s, a, u):
    if model.instance_class is PaddedOutcomes:
        return lambda model, s, a, u: _padded_draw(model, s, a, u)  # noqa: PLW0108 - matched by the arguments' names

    def any_form(model, s, a, u):
        to, reward, terminated, _ = sample(model, s, a, u)
        return to, reward, terminated

    return any_form
