"""Optimism in the face of uncertainty over a finite horizon: UCB Q-learning and UCBVI.

Their table is q [H * S, A]: row h * S + s is about state s with H - h steps of the round to go. A round ends with its
episode, or after H steps. ``ceiling[h]`` is the most that can be had from step h on, and ``ceiling[H]`` is 0.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.counted import blocks, count_outcome, largest, means, rows, variances
from rlgrid.kernels.exploration import epsilon_greedy, greedy_action
from rlgrid.kernels.pcg64 import uniform


class Steps(NamedTuple):
    """What UCB Q-learning keeps."""

    step: Any  # int64 [1], h
    visits: Any  # int64 [H * S, A]
    mean: Any  # float64 [H * S, A], of the values that followed; without entries for Hoeffding's bonus, as the next two
    spread: Any  # float64 [H * S, A], the sum of their squared distances from the mean
    width: Any  # float64 [H * S, A], beta
    ceiling: Any  # float64 [H + 1]
    final: Any  # bool [S], known to be final: worth 0
    horizon: int
    bernstein: bool
    plain: float  # sqrt(t) times Hoeffding's bonus
    varying: float  # t times the squared leading term of Bernstein's, less W: its factor
    floor: float  # what is added to W
    correction: float  # t times the last term of Bernstein's


class Believed(NamedTuple):
    """What UCBVI keeps."""

    step: Any  # int64 [1], h; -1 where a round is to begin
    model: Any  # `rlgrid.kernels.counted.Counted`
    reward: Any  # float64 [S * A], the sum of the rewards of each pair
    arrivals: Any  # int64 [H * S]: how often a state was acted in at a step; without entries where nothing asks for it
    horizon: int
    bernstein: bool
    plain: float  # sqrt(N) times the bonus of Hoeffding's inequality
    varying: float  # N / Var times the squared leading term of Bernstein's
    lower: float  # N times its second term
    correction: float  # the factor of its last term
    arrived: float  # what the last term divides by the number of arrivals
    most: float  # and what that is at most


# --- UCB Q-learning ---------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, inline="always")
def act_by_step(rule, settings, varied, q, counts, td_error, t, s, stream):
    """A greedy action of the step of the round, ties broken at random."""
    return epsilon_greedy(q, rule.step[0] * td_error.size + s, 0.0, False, uniform(stream))


@njit(cache=True, nogil=True)
def _count_visit(visits, step, horizon, row, a, ended):
    """The how-many-th visit it is; the round goes on."""
    step[0] = 0 if ended or step[0] + 1 == horizon else step[0] + 1
    visits[row, a] += 1
    return visits[row, a]


@njit(cache=True, nogil=True)
def _bernstein(means, spreads, widths, varying, floor, correction, plain, row, a, t, follows, rate):
    """b_t of Jin et al. 2018, algorithm 2; what follows is counted first."""
    before = means[row, a]
    mean = before + (follows - before) / t
    spread = spreads[row, a] + (follows - before) * (follows - mean)
    width = min(math.sqrt(varying * (spread / t + floor) / t) + correction / t, plain / math.sqrt(t))
    bonus = (width - (1.0 - rate) * widths[row, a]) / (2.0 * rate)
    means[row, a] = mean
    spreads[row, a] = spread
    widths[row, a] = width
    return bonus


@njit(cache=True, nogil=True, inline="always")
def learn_ucb_q_learning(
    rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """Q_h(s,a) = (1 - alpha_t) Q_h(s,a) + alpha_t [r + gamma V_{h+1}(s') + b_t], alpha_t = (H + 1) / (H + t).

    Jin, Allen-Zhu, Bubeck & Jordan 2018, algorithms 1 and 2.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    h = rule.step[0]
    row = np.uintp(h * td_error.size + s)
    column = np.uintp(a)
    n = _count_visit(rule.visits, rule.step, rule.horizon, row, column, ended)
    follows = 0.0
    if not terminated and h + 1 < rule.horizon:
        _, best = greedy_action(q, (h + 1) * td_error.size + next_s)
        follows = settings.gamma * min(rule.ceiling[h + 1], best)
    rate = (rule.horizon + 1.0) / (rule.horizon + n)
    if rule.bernstein:
        bonus = _bernstein(
            rule.mean,
            rule.spread,
            rule.width,
            rule.varying,
            rule.floor,
            rule.correction,
            rule.plain,
            row,
            column,
            n,
            follows,
            rate,
        )
    else:
        bonus = rule.plain / math.sqrt(n)
    target = reward + follows + bonus
    value = (1.0 - rate) * q[row, column] + rate * target
    finite = abs(value) < np.inf
    if finite:
        td_error[np.uintp(s)] = target - q[row, column]
        q[row, column] = 0.0 if rule.final[np.uintp(s)] else value
    return finite


@njit(cache=True, nogil=True)
def run_ucb_q_learning(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by UCB Q-learning."""
    return run(
        act_by_step,
        learn_ucb_q_learning,
        model,
        world,
        stream,
        rule,
        settings,
        varied,
        tables,
        place,
        steps,
        returns,
        lengths,
    )


# --- UCBVI ------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _surprises(rule, h, lines, num_states, total):
    """The sum in the last term of Bernstein's bonus of each pair, into float64 [4 B]."""
    total[:] = 0.0
    if h + 1 == rule.horizon:
        return
    for b in range(lines.begin.size - 1):
        for k in range(lines.begin[b], lines.begin[b + 1]):
            if lines.chance[k] > 0.0 and lines.to[k] < num_states:
                arrivals = rule.arrivals[(h + 1) * num_states + lines.to[k]]
                term = min(rule.arrived / arrivals, rule.most) if arrivals > 0 else rule.most
                total[4 * b + k % 4] += lines.chance[k] * term


@njit(cache=True, nogil=True)
def _plan(rule, gamma, q, counts):
    """Backward induction from the last step to the first, over the pairs that were taken."""
    num_states, num_actions = counts.shape
    offsets, to, chances = rows(rule.model)
    for key in range(counts.size):
        for k in range(offsets[key], offsets[key + 1]):
            chances[k] /= counts[key // num_actions, key % num_actions]
            if to[k] < 0:
                to[k] = num_states
    lines = blocks(offsets, to, chances)
    taken = lines.key.size
    visits = np.empty(taken)
    gain = np.empty(taken)  # the mean reward, with what does not depend on values of the bonus
    scale = np.empty(taken)  # of the variance
    for j in range(taken):
        n = counts[lines.key[j] // num_actions, lines.key[j] % num_actions]
        visits[j] = n
        gain[j] = rule.reward[lines.key[j]] / n + (rule.lower / n if rule.bernstein else rule.plain / math.sqrt(n))
        scale[j] = rule.varying / n
    room = 4 * lines.begin.size
    mean, variance, surprise = np.empty(room), np.empty(room), np.empty(room)
    ahead = np.zeros(num_states + 1)  # values of the step after; the last entry is the end of the episode
    flat = q.reshape(-1)
    for h in range(rule.horizon - 1, -1, -1):
        means(lines, ahead, mean)
        if rule.bernstein:
            variances(lines, ahead, mean, variance)
        for j in range(taken):
            mean[j] = gain[j] + gamma * mean[j]
        if rule.bernstein:
            for j in range(taken):
                mean[j] += math.sqrt(scale[j] * variance[j])
        if rule.correction > 0.0:
            _surprises(rule, h, lines, num_states, surprise)
            for j in range(taken):
                mean[j] += rule.correction * math.sqrt(surprise[j] / visits[j])
        first = np.uintp(h * counts.size)
        for j in range(taken):
            at = first + np.uintp(lines.key[j])
            before = flat[at]  # the ceiling at most, where it began
            flat[at] = mean[j] if mean[j] < before else before
        largest(flat, first, num_actions, ahead)


@njit(cache=True, nogil=True)
def _act_planned(rule, gamma, q, counts, s, stream):
    if rule.step[0] < 0:
        _plan(rule, gamma, q, counts)
        rule.step[0] = 0
    return epsilon_greedy(q, rule.step[0] * counts.shape[0] + s, 0.0, False, uniform(stream))


@njit(cache=True, nogil=True, inline="always")
def act_ucbvi(rule, settings, varied, q, counts, td_error, t, s, stream):
    """`act_by_step`, after a new plan where a round begins."""
    return _act_planned(rule, settings.gamma, q, counts, s, stream)


@njit(cache=True, nogil=True)
def _learn_model(rule, gamma, q, counts, td_error, s, a, reward, next_s, terminated, ended):
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
    total = rule.reward[key] + reward
    if not (abs(total) < np.inf and abs(error) < np.inf):
        return False
    td_error[s] = error
    rule.reward[key] = total
    if rule.arrivals.size > 0:
        rule.arrivals[h * num_states + s] += 1
    count_outcome(rule.model, key, -1 if terminated else next_s)
    return True


@njit(cache=True, nogil=True, inline="always")
def learn_ucbvi(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Count the step; the next plan is made of what was counted and a bonus for what is uncertain.

    Azar, Osband & Munos 2017, algorithms 1 to 4.
    """
    return _learn_model(rule, settings.gamma, q, counts, td_error, s, a, reward, next_s, terminated, ended)


@njit(cache=True, nogil=True)
def run_ucbvi(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by UCBVI."""
    return run(
        act_ucbvi, learn_ucbvi, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )
