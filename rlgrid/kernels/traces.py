"""Control with eligibility traces: the rules of `rlgrid.kernels.control`.

Only the pairs with a trace are visited; a trace that falls below `LEAST` counts as none. The order in which they are
visited changes nothing, since a step changes each by its own trace alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.control import run
from rlgrid.kernels.exploration import COUNT, choose_apart, greedy_action, step_size
from rlgrid.kernels.pcg64 import uniform
from rlgrid.kernels.tabular import act_decided

LEAST = 1e-9

ACCUMULATING = 0
REPLACING = 1
DUTCH = 2
TRUE_ONLINE = 3  # dutch, with the step size that the pair was taken with in the trace itself


class Traces(NamedTuple):
    """What is kept between two steps. A pair is s * A + a."""

    action: Any  # int64 [1], decided for the next step, or -1
    trace: Any  # float64 [S * A], decayed for the next step
    pairs: Any  # int64 [S * A]: those with a trace
    size: Any  # int64 [1], how many
    previous: Any  # float64 [1]: of true online Sarsa(lambda), what Q(s',a') was before the last update
    lam: float
    kind: int  # ACCUMULATING, REPLACING or DUTCH
    q: Any  # float64 [S * A], the table
    counts: Any  # int64 [S * A]: how often each pair was taken


@njit(cache=True, nogil=True)
def _mark(trace, pairs, size, kind, rate, pair):
    """The trace of the pair that was just taken."""
    z = trace[pair]
    if z == 0.0:
        pairs[size[0]] = pair
        size[0] += 1
    if kind == ACCUMULATING:
        z += 1.0
    elif kind == REPLACING:
        z = 1.0
    elif kind == TRUE_ONLINE:
        z += rate * (1.0 - z)
    else:
        z = (1.0 - rate) * z + 1.0
    trace[pair] = z


@njit(cache=True, nogil=True)
def _note_error(td_error, s, error):
    """An error that is not finite stops the run, and is not kept: what was learnt before can then be saved."""
    if abs(error) < np.inf:
        td_error[s] = error


@njit(cache=True, nogil=True)
def _sweep(trace, pairs, size, kind, settings, varied, q, counts, t, error, decay):
    """Move every pair that has a trace, and let the traces decay (all end where ``decay`` is 0)."""
    trace = borrow(trace)
    pairs = borrow(pairs)
    q = borrow(q)
    counts = borrow(counts)
    counted = kind != TRUE_ONLINE and (settings.alpha_kind if varied is None else varied.alpha_kind) == COUNT
    rate = 1.0 if kind == TRUE_ONLINE else step_size(settings, varied, t, 1)
    finite = True
    kept = np.uintp(0)
    for i in range(np.uintp(size[0])):
        pair = np.uintp(pairs[i])
        if counted:
            rate = step_size(settings, varied, t, counts[pair])
        z = trace[pair]
        value = q[pair] + rate * error * z
        if abs(value) < np.inf:
            q[pair] = value
        else:
            finite = False
        z *= decay
        lasts = z >= LEAST
        trace[pair] = z if lasts else 0.0
        pairs[kept] = pair
        kept += np.uintp(lasts)
    size[0] = kept
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_sarsa_lambda(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """delta = r + gamma Q(s',a') - Q(s,a); every Q(x,b) += alpha delta z(x,b); z decays by gamma lambda.

    Rummery & Niranjan 1994; Sutton & Barto, 1st ed., section 7.5 (replacing traces: Singh & Sutton 1996), 2nd ed.,
    section 12.7 (dutch traces: section 12.5).
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    b = -1
    follows = 0.0
    if not terminated:
        b = choose_apart(settings, varied, q, counts, t + 1, next_s, uniform(stream))
        follows = settings.gamma * q[next_s, b]
    error = reward + follows - q[s, a]
    _note_error(td_error, s, error)
    rate = step_size(settings, varied, t, counts[s, a])
    _mark(rule.trace, rule.pairs, rule.size, rule.kind, rate, s * q.shape[1] + a)
    rule.action[0] = -1 if ended else b
    decay = 0.0 if ended else settings.gamma * rule.lam
    return _sweep(rule.trace, rule.pairs, rule.size, rule.kind, settings, varied, rule.q, rule.counts, t, error, decay)


@njit(cache=True, nogil=True, inline="always")
def learn_q_lambda(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """As Sarsa(lambda), with delta = r + gamma max_b Q(s',b) - Q(s,a), and all traces end where a' is not greedy.

    Watkins 1989; Sutton & Barto, 1st ed., section 7.6, 2nd ed., section 12.10.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    b = -1
    follows = 0.0
    decay = 0.0
    if not terminated:
        b = choose_apart(settings, varied, q, counts, t + 1, next_s, uniform(stream))
        _, best = greedy_action(q, next_s)
        follows = settings.gamma * best
        if q[next_s, b] == best and not ended:
            decay = settings.gamma * rule.lam
    error = reward + follows - q[s, a]
    _note_error(td_error, s, error)
    rate = step_size(settings, varied, t, counts[s, a])
    _mark(rule.trace, rule.pairs, rule.size, rule.kind, rate, s * q.shape[1] + a)
    rule.action[0] = -1 if ended else b
    return _sweep(rule.trace, rule.pairs, rule.size, rule.kind, settings, varied, rule.q, rule.counts, t, error, decay)


@njit(cache=True, nogil=True, inline="always")
def learn_true_online_sarsa_lambda(
    rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """Sarsa(lambda) that equals its forward view at every step, with dutch traces.

    van Seijen et al. 2016, algorithm 1; Sutton & Barto, 2nd ed., section 12.7 (box), with one feature for each pair.
    The step size is part of the trace, as in the paper: a visit keeps the one that it was made with, so the views are
    equal where step sizes change too.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    b = -1
    later = 0.0
    if not terminated:
        b = choose_apart(settings, varied, q, counts, t + 1, next_s, uniform(stream))
        later = q[next_s, b]
    now = q[s, a]
    error = reward + settings.gamma * later - now
    _note_error(td_error, s, error)
    rate = step_size(settings, varied, t, counts[s, a])
    changed = now - rule.previous[0]
    _mark(rule.trace, rule.pairs, rule.size, TRUE_ONLINE, rate, s * q.shape[1] + a)
    rule.action[0] = -1 if ended else b
    rule.previous[0] = 0.0 if ended else later
    decay = 0.0 if ended else settings.gamma * rule.lam
    finite = _sweep(
        rule.trace,
        rule.pairs,
        rule.size,
        TRUE_ONLINE,
        settings,
        varied,
        rule.q,
        rule.counts,
        t,
        error + changed,
        decay,
    )
    value = q[s, a] - rate * changed
    if abs(value) < np.inf:
        q[s, a] = value
    else:
        finite = False
    return finite


@njit(cache=True, nogil=True)
def run_sarsa_lambda(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Sarsa(lambda)."""
    return run(
        act_decided,
        learn_sarsa_lambda,
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


@njit(cache=True, nogil=True)
def run_q_lambda(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Watkins's Q(lambda)."""
    return run(
        act_decided,
        learn_q_lambda,
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


@njit(cache=True, nogil=True)
def run_true_online_sarsa_lambda(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by true online Sarsa(lambda)."""
    return run(
        act_decided,
        learn_true_online_sarsa_lambda,
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
