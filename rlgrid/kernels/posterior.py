"""Posterior sampling: random variates from a stream of uniforms, and the plan in a world that is drawn.

Every variate is made of uniforms of `rlgrid.kernels.pcg64`, so a run draws the same on every path.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.counted import blocks, count_outcome, largest, means, rows
from rlgrid.kernels.exploration import LOWEST, epsilon_greedy, greedy_action
from rlgrid.kernels.pcg64 import uniform

REST = 1e-6  # of a distribution that is drawn piece by piece: so much of it, or less, goes where the last piece goes


class Posterior(NamedTuple):
    """What PSRL keeps; its table is q [H * S, A] as in `rlgrid.kernels.optimistic`."""

    step: Any  # int64 [1], h; -1 where a round is to begin
    overflown: Any  # int64 [1], 1 where the last plan had values that are not finite
    model: Any  # `rlgrid.kernels.counted.Counted`
    mean: Any  # float64 [S * A], of the rewards of each pair
    spread: Any  # float64 [S * A], the sum of their squared distances from the mean
    final: Any  # bool [S], known to be final: worth 0
    horizon: int
    prior_transitions: float  # c: the sum of the parameters of the Dirichlet prior
    prior_mean: float  # of a mean reward
    prior_spread: float  # beta of the gamma prior of a reward's precision, whose alpha is 1
    most_pieces: int  # of the drawn part of a distribution


# --- variates ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def normal(stream):
    """A standard normal variate from two uniforms (Box & Muller 1958)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(stream)))
    return radius * math.cos(2.0 * math.pi * uniform(stream))


@njit(cache=True, nogil=True)
def gamma_variate(stream, shape):
    """A gamma variate of scale 1 (Marsaglia & Tsang 2000); a shape below 1 by one more and a power of a uniform."""
    factor = 1.0
    if shape < 1.0:
        factor = (1.0 - uniform(stream)) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(stream)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(1.0 - uniform(stream)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * factor


@njit(cache=True, nogil=True)
def draw_row(stream, to, many, first, last, num_outcomes, c, most_pieces, into, weight, at):
    """Draw the outcome distribution of a pair from its posterior; returns where the row ends.

    The prior is Dirichlet with c / K for each of K possible outcomes, states and the end of the episode. The posterior
    of parameters c / K + n_i is a Dirichlet mixture of the outcomes that were met, with parameters n_i, and of a draw
    from the prior, with parameter c. That draw is made piece by piece (Sethuraman 1994): a share of what is left,
    Beta(1, c), goes to an outcome of which all are equally likely.

    Args:
        to, many: the outcomes of all pairs, of which [first, last) are this one's.
        num_outcomes: K; the last outcome is the end of the episode.
        into, weight: int64, float64: take the row from ``at`` on.
    """
    start = at
    total = 0.0
    for k in range(first, last):
        into[at] = to[k] if to[k] >= 0 else num_outcomes - 1
        weight[at] = gamma_variate(stream, many[k])
        total += weight[at]
        at += 1
    rest = gamma_variate(stream, c)
    total += rest
    if total == 0.0:  # nothing was met, and so small a variate has no float: shares of it do
        rest = total = 1.0
    least = REST * total
    for piece in range(most_pieces):
        outcome = min(int(uniform(stream) * num_outcomes), num_outcomes - 1)
        kept = 1.0 - uniform(stream)
        left = rest * (kept if c == 1.0 else kept ** (1.0 / c))
        if left <= least or piece + 1 == most_pieces:
            left = 0.0
        into[at] = outcome
        weight[at] = rest - left
        at += 1
        rest = left
        if rest == 0.0:
            break
    for k in range(start, at):
        weight[k] /= total
    return at


@njit(cache=True, nogil=True)
def draw_reward(stream, n, mean, spread, prior_mean, prior_spread):
    """Draw a mean reward from its posterior after n rewards.

    The prior is normal-gamma with mu = ``prior_mean``, kappa = 1, alpha = 1 and beta = ``prior_spread``.
    """
    kappa = 1.0 + n
    centre = (prior_mean + n * mean) / kappa
    beta = prior_spread + 0.5 * spread + n * (mean - prior_mean) ** 2 / (2.0 * kappa)
    precision = gamma_variate(stream, 1.0 + 0.5 * n) / beta
    return centre + normal(stream) / math.sqrt(kappa * precision)


# --- PSRL -------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _plan(rule, gamma, q, counts, stream):
    """Draw a world and solve it by backward induction; nothing is changed where a value is not finite."""
    num_states, num_actions = counts.shape
    offsets, to, many = rows(rule.model)
    capacity = to.size + counts.size * rule.most_pieces
    into = np.empty(capacity, np.int64)
    weight = np.empty(capacity)
    begin = np.zeros(counts.size + 1, np.int64)
    gain = np.zeros(counts.size)
    for key in range(counts.size):
        s, a = key // num_actions, key % num_actions
        end = begin[key]
        if not rule.final[s] and q[s, a] >= LOWEST:
            end = draw_row(
                stream,
                to,
                many,
                offsets[key],
                offsets[key + 1],
                num_states + 1,
                rule.prior_transitions,
                rule.most_pieces,
                into,
                weight,
                end,
            )
            gain[key] = draw_reward(
                stream, counts[s, a], rule.mean[key], rule.spread[key], rule.prior_mean, rule.prior_spread
            )
        begin[key + 1] = end
    lines = blocks(begin, into, weight)
    taken = lines.key.size
    reward = np.empty(taken)
    for j in range(taken):
        reward[j] = gain[lines.key[j]]
    mean = np.empty(4 * lines.begin.size)
    ahead = np.zeros(num_states + 1)  # values of the step after; the last entry is the end of the episode
    flat = q.reshape(-1)
    finite = True
    for h in range(rule.horizon - 1, -1, -1):
        means(lines, ahead, mean)
        first = np.uintp(h * counts.size)
        for j in range(taken):
            total = reward[j] + gamma * mean[j]
            good = abs(total) < np.inf
            finite &= good
            at = first + np.uintp(lines.key[j])
            flat[at] = total if good else flat[at]
        largest(flat, first, num_actions, ahead)
    rule.overflown[0] = not finite


@njit(cache=True, nogil=True)
def _act(rule, gamma, q, counts, s, stream):
    if rule.step[0] < 0:
        _plan(rule, gamma, q, counts, stream)
        rule.step[0] = 0
    return epsilon_greedy(q, rule.step[0] * counts.shape[0] + s, 0.0, False, uniform(stream))


@njit(cache=True, nogil=True, inline="always")
def act_psrl(rule, settings, varied, q, counts, td_error, t, s, stream):
    """A greedy action of the step of the round in the world that was drawn for it."""
    return _act(rule, settings.gamma, q, counts, s, stream)


@njit(cache=True, nogil=True)
def _learn(rule, gamma, q, counts, td_error, s, a, reward, next_s, terminated, ended):
    counts[s, a] += 1
    h = rule.step[0]
    rule.step[0] = -1 if ended or h + 1 == rule.horizon else h + 1
    num_states, num_actions = counts.shape
    follows = 0.0
    if not terminated and h + 1 < rule.horizon:
        _, best = greedy_action(q, (h + 1) * num_states + next_s)
        follows = gamma * best
    key = s * num_actions + a
    error = reward + follows - q[h * num_states + s, a]
    before = rule.mean[key]
    mean = before + (reward - before) / counts[s, a]
    spread = rule.spread[key] + (reward - before) * (reward - mean)
    away = mean - rule.prior_mean
    squares = spread + counts[s, a] * (away * away)
    if rule.overflown[0] or not (squares < np.inf and abs(mean) < np.inf and abs(error) < np.inf):
        return False
    td_error[s] = error
    rule.mean[key] = mean
    rule.spread[key] = spread
    count_outcome(rule.model, key, -1 if terminated else next_s)
    return True


@njit(cache=True, nogil=True, inline="always")
def learn_psrl(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Count the step; when the round is over, another world is drawn and solved.

    Osband, Russo & Van Roy 2013, algorithm 1 (PSRL).
    """
    return _learn(rule, settings.gamma, q, counts, td_error, s, a, reward, next_s, terminated, ended)


@njit(cache=True, nogil=True)
def run_psrl(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by PSRL."""
    return run(
        act_psrl, learn_psrl, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )
