"""Prediction, the values of a given policy: the rules of `rlgrid.kernels.control` that learn a table V(s).

The table is float64 [S], and what is counted is int64 [S]. The policy comes as cumulative probabilities [S, A],
infinite from the last action that a state takes on, so that a uniform u selects the number of them that do not exceed
it. Nothing follows a terminated outcome; where an episode is truncated, its last state keeps its value.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.exploration import step_size
from rlgrid.kernels.pcg64 import uniform

LEAST = 1e-9  # a trace below counts as none

ACCUMULATING = 0
REPLACING = 1
TRUE_ONLINE = 2  # with the step size that the state was visited with in the trace itself


class Given(NamedTuple):
    """What TD(0) keeps."""

    policy: Any  # float64 [S, A]


class Traces(NamedTuple):
    """What TD(lambda) keeps between two steps."""

    policy: Any  # float64 [S, A]
    trace: Any  # float64 [S], decayed for the next step
    states: Any  # int64 [S]: those with a trace, where not all are visited
    size: Any  # int64 [1], how many
    all_states: bool  # a step visits every state: there are few of them, and one step size for all
    previous: Any  # float64 [1]: of true online TD(lambda), what V(s') was before the last update
    lam: float
    kind: int  # ACCUMULATING, REPLACING or TRUE_ONLINE


class Waiting(NamedTuple):
    """The steps from which n-step TD has learnt nothing yet: the i-th is at (first + i) modulo n."""

    policy: Any  # float64 [S, A]
    states: Any  # int64 [n]
    rewards: Any  # float64 [n]
    visits: Any  # int64 [n]: the how-many-th visit of its state the step was
    span: Any  # int64 [2]: first, and how many


class Episode(NamedTuple):
    """The episode under way, and how much was averaged, of Monte Carlo prediction."""

    policy: Any  # float64 [S, A]
    states: Any  # int64 [M]
    rewards: Any  # float64 [M]
    size: Any  # int64 [1]: steps of the episode so far
    first: Any  # int64 [S]: the step at which the state was visited first, or -1
    returns: Any  # int64 [S]: how many returns were averaged
    every: bool  # every visit counts, not the first of an episode alone


@njit(cache=True, nogil=True, inline="always")
def act_given(rule, settings, varied, values, counts, td_error, t, s, stream):
    """The action that one uniform draws from the given policy."""
    u = uniform(stream)
    row = np.uintp(s)
    chosen = 0
    for a in range(rule.policy.shape[1]):
        chosen += rule.policy[row, a] <= u
    return chosen


@njit(cache=True, nogil=True, inline="always")
def _move(values, td_error, s, target, rate):
    """V(s) += alpha [target - V(s)], and the error noted; False, and nothing changed, if that is not finite."""
    row = np.uintp(s)
    error = target - values[row]
    value = values[row] + rate * error
    finite = abs(value) < np.inf
    if finite:
        values[row] = value
        td_error[row] = error
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_td0(rule, settings, varied, values, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """V(s) += alpha [r + gamma V(s') - V(s)].

    Sutton 1988; Sutton & Barto, 2nd ed., section 6.1, equation 6.2.
    """
    row = np.uintp(s)
    counts[row] += 1
    follows = settings.gamma * values[np.uintp(next_s)]
    rate = step_size(settings, varied, t, counts[row])
    return _move(values, td_error, s, reward + (0.0 if terminated else follows), rate)


# --- TD(lambda) -------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _mark(trace, states, size, all_states, kind, rate, s):
    """The trace of the state that was just left."""
    if not all_states and trace[s] == 0.0:
        states[size[0]] = s
        size[0] += 1
    if kind == ACCUMULATING:
        trace[s] += 1.0
    elif kind == REPLACING:
        trace[s] = 1.0
    else:
        trace[s] += rate * (1.0 - trace[s])


@njit(cache=True, nogil=True)
def _sweep(trace, states, size, kind, settings, varied, values, counts, t, error, decay):
    """Move every state that has a trace, and let the traces decay (all end where ``decay`` is 0)."""
    finite = True
    kept = 0
    for i in range(size[0]):
        s = np.uintp(states[i])
        rate = 1.0 if kind == TRUE_ONLINE else step_size(settings, varied, t, counts[s])
        value = values[s] + rate * error * trace[s]
        if abs(value) < np.inf:
            values[s] = value
        else:
            finite = False
        left = trace[s] * decay
        if left < LEAST:
            trace[s] = 0.0
        else:
            trace[s] = left
            states[kept] = np.int64(s)
            kept += 1
    size[0] = kept
    return finite


@njit(cache=True, nogil=True)
def _sweep_all(trace, values, change, decay):
    """`_sweep` of all states by the same step size, ``change`` being its product with the error: without a branch."""
    wrong = 0
    for s in range(values.size):
        value = values[s] + change * trace[s]
        finite = abs(value) < np.inf
        values[s] = value if finite else values[s]
        wrong += not finite
        left = trace[s] * decay
        trace[s] = left if left >= LEAST else 0.0
    return wrong == 0


@njit(cache=True, nogil=True)
def _learn_traces(
    trace,
    states,
    size,
    all_states,
    previous,
    lam,
    kind,
    settings,
    varied,
    values,
    counts,
    td_error,
    t,
    s,
    reward,
    later,
    ended,
):
    now = values[s]
    error = reward + settings.gamma * later - now
    if abs(error) < np.inf:  # else the run stops, and what was learnt before can be saved
        td_error[s] = error
    rate = step_size(settings, varied, t, counts[s])
    decay = 0.0 if ended else settings.gamma * lam
    _mark(trace, states, size, all_states, kind, rate, s)
    changed = 0.0
    if kind == TRUE_ONLINE:
        changed = now - previous[0]
        previous[0] = 0.0 if ended else later
    if all_states:
        finite = _sweep_all(trace, values, (1.0 if kind == TRUE_ONLINE else rate) * (error + changed), decay)
    else:
        finite = _sweep(trace, states, size, kind, settings, varied, values, counts, t, error + changed, decay)
    if kind == TRUE_ONLINE:
        value = values[s] - rate * changed
        if abs(value) < np.inf:
            values[s] = value
        else:
            finite = False
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_td_lambda(
    rule, settings, varied, values, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """delta = r + gamma V(s') - V(s); every V(x) += alpha delta z(x); every z(x) decays by gamma lambda.

    Sutton 1988; Sutton & Barto, 2nd ed., section 12.2 (accumulating traces); replacing traces: Singh & Sutton 1996.
    True online TD(lambda): van Seijen & Sutton 2014; van Seijen et al. 2016, algorithm 1; Sutton & Barto, section 12.5
    (box), with one feature for each state. There the step size is part of the trace, as in the paper.
    """
    counts[np.uintp(s)] += 1
    later = 0.0 if terminated else values[np.uintp(next_s)]
    return _learn_traces(
        rule.trace,
        rule.states,
        rule.size,
        rule.all_states,
        rule.previous,
        rule.lam,
        rule.kind,
        settings,
        varied,
        values,
        counts,
        td_error,
        t,
        s,
        reward,
        later,
        ended,
    )


# --- n steps ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _learn_n_step(
    states, rewards, visits, span, settings, varied, values, td_error, t, s, visit, reward, next_s, terminated, ended
):
    """Let the step wait; learn from the oldest one if n wait, from all of them if the episode is over."""
    n = states.size
    i = (span[0] + span[1]) % n
    states[i] = s
    rewards[i] = reward
    visits[i] = visit
    span[1] += 1
    finite = True
    while finite and span[1] > 0 and (ended or span[1] == n):
        total = 0.0 if terminated else values[next_s]
        for k in range(span[0] + span[1] - 1, span[0] - 1, -1):
            total = rewards[k if k < n else k - n] + settings.gamma * total
        i = span[0]
        finite = _move(values, td_error, states[i], total, step_size(settings, varied, t, visits[i]))
        span[0] = i + 1 if i + 1 < n else 0
        span[1] -= 1
    if ended:
        span[:] = 0
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_n_step_td(
    rule, settings, varied, values, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """V(s) += alpha [r_1 + gamma r_2 + ... + gamma^n V(s_n) - V(s)], n steps later, or when the episode ends.

    Sutton & Barto, 2nd ed., section 7.1, equations 7.1 and 7.2.
    """
    counts[np.uintp(s)] += 1
    return _learn_n_step(
        rule.states,
        rule.rewards,
        rule.visits,
        rule.span,
        settings,
        varied,
        values,
        td_error,
        t,
        s,
        counts[np.uintp(s)],
        reward,
        next_s,
        terminated,
        ended,
    )


# --- Monte Carlo ------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _note(states, rewards, size, first, s, reward):
    """Write down a step of the episode."""
    i = size[0]
    states[i] = s
    rewards[i] = reward
    if first[s] < 0:
        first[s] = i
    size[0] = i + 1


@njit(cache=True, nogil=True)
def _learn_returns(states, rewards, size, first, returns, every, settings, varied, values, td_error, t, later):
    finite = True
    total = later
    for i in range(size[0] - 1, -1, -1):
        s = states[i]
        total = rewards[i] + settings.gamma * total
        if every or first[s] == i:
            returns[s] += 1
            finite &= _move(values, td_error, s, total, step_size(settings, varied, t, returns[s]))
    for i in range(size[0]):
        first[states[i]] = -1
    size[0] = 0
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_monte_carlo_prediction(
    rule, settings, varied, values, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """V(s) moves to the mean of the returns that followed the first visit, or every visit, in an episode.

    Sutton & Barto, 2nd ed., section 5.1 (box); with a constant step size equation 6.1. Where an episode is truncated,
    the rest of it is worth what the table says of its last state.
    """
    counts[np.uintp(s)] += 1
    _note(rule.states, rule.rewards, rule.size, rule.first, s, reward)
    finite = True
    if ended:
        finite = _learn_returns(
            rule.states,
            rule.rewards,
            rule.size,
            rule.first,
            rule.returns,
            rule.every,
            settings,
            varied,
            values,
            td_error,
            t,
            0.0 if terminated else values[np.uintp(next_s)],
        )
    return finite


# --- loops ------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def run_td0(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by TD(0)."""
    return run(
        act_given, learn_td0, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )


@njit(cache=True, nogil=True)
def run_td_lambda(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by TD(lambda), true online or not."""
    return run(
        act_given, learn_td_lambda, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )


@njit(cache=True, nogil=True)
def run_n_step_td(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by n-step TD."""
    return run(
        act_given, learn_n_step_td, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )


@njit(cache=True, nogil=True)
def run_monte_carlo_prediction(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Monte Carlo prediction."""
    return run(
        act_given,
        learn_monte_carlo_prediction,
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
