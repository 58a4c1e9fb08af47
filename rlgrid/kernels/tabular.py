"""Temporal-difference control that looks one step ahead: the rules of `rlgrid.kernels.control`."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.control import run
from rlgrid.kernels.exploration import choose, choose_apart, expected_q, greedy_action, step_size
from rlgrid.kernels.pcg64 import uniform


class Decided(NamedTuple):
    """What on-policy rules keep: they learn from the next action before it is taken."""

    action: Any  # int64 [1], of the next step; -1 where none is decided


class TwoTables(NamedTuple):
    """What Double Q-learning keeps; q is the mean of both."""

    first: Any  # float64 [S, A]
    second: Any  # float64 [S, A]
    first_counts: Any  # int64 [S, A]: how often the first table learnt of the pair
    second_counts: Any  # int64 [S, A]


@njit(cache=True, nogil=True, inline="always")
def act_anew(rule, settings, varied, q, counts, td_error, t, s, stream):
    """The action of a rule that decides when it has to."""
    return choose(settings, varied, q, counts, t, s, uniform(stream))


@njit(cache=True, nogil=True, inline="always")
def act_apart(rule, settings, varied, q, counts, td_error, t, s, stream):
    """`act_anew` for rules beside which a call costs nothing: the loop is compiled more quickly."""
    return choose_apart(settings, varied, q, counts, t, s, uniform(stream))


@njit(cache=True, nogil=True, inline="always")
def move_by(q, td_error, s, a, target, rate):
    """`move` by a given step size."""
    row = np.uintp(s)
    column = np.uintp(a)
    error = target - q[row, column]
    value = q[row, column] + rate * error
    finite = abs(value) < np.inf
    if finite:
        q[row, column] = value
        td_error[row] = error
    return finite


@njit(cache=True, nogil=True, inline="always")
def move(settings, varied, q, counts, td_error, t, s, a, target):
    """Q(s,a) += alpha [target - Q(s,a)], and the error noted; False, and nothing changed, if that is not finite."""
    row = np.uintp(s)
    column = np.uintp(a)
    return move_by(q, td_error, s, a, target, step_size(settings, varied, t, counts[row, column]))


@njit(cache=True, nogil=True, inline="always")
def learn_q_learning(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Q(s,a) += alpha [r + gamma max_b Q(s',b) - Q(s,a)]; nothing follows a terminated outcome.

    Watkins 1989; Sutton & Barto, 2nd ed., equation 6.8.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    _, best = greedy_action(q, next_s)
    follows = settings.gamma * best
    return move(settings, varied, q, counts, td_error, t, s, a, reward + (0.0 if terminated else follows))


@njit(cache=True, nogil=True, inline="always")
def act_decided(rule, settings, varied, q, counts, td_error, t, s, stream):
    """The action that was decided in the step before; at the beginning of an episode a new one."""
    a = rule.action[0]
    if a < 0:
        a = choose_apart(settings, varied, q, counts, t, s, uniform(stream))
    return a


@njit(cache=True, nogil=True, inline="always")
def learn_sarsa(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Q(s,a) += alpha [r + gamma Q(s',a') - Q(s,a)] with a' the action that is taken next.

    Rummery & Niranjan 1994; Sutton & Barto, 2nd ed., equation 6.7. a' is decided before the update.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    target = reward
    b = -1
    if not terminated:
        b = choose(settings, varied, q, counts, t + 1, next_s, uniform(stream))
        target = reward + settings.gamma * q[np.uintp(next_s), np.uintp(b)]
    rule.action[0] = -1 if ended else b
    return move(settings, varied, q, counts, td_error, t, s, a, target)


@njit(cache=True, nogil=True, inline="always")
def learn_expected_sarsa(
    rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """Q(s,a) += alpha [r + gamma sum_b pi(b|s') Q(s',b) - Q(s,a)] with pi the behaviour of the next step.

    van Seijen, van Hasselt, Whiteson & Wiering 2009; Sutton & Barto, 2nd ed., equation 6.9.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    follows = settings.gamma * expected_q(settings, varied, q, counts, t + 1, next_s)
    return move(settings, varied, q, counts, td_error, t, s, a, reward + (0.0 if terminated else follows))


@njit(cache=True, nogil=True, inline="always")
def learn_double_q_learning(
    rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """Q1(s,a) += alpha [r + gamma Q2(s', argmax_b Q1(s',b)) - Q1(s,a)], or the other way round, by a fair coin.

    van Hasselt 2010; Sutton & Barto, 2nd ed., section 6.7. Behaviour follows the mean of both tables.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    if uniform(stream) < 0.5:
        return _double(
            rule.first,
            rule.first_counts,
            rule.second,
            settings,
            varied,
            q,
            td_error,
            t,
            s,
            a,
            reward,
            next_s,
            terminated,
        )
    return _double(
        rule.second, rule.second_counts, rule.first, settings, varied, q, td_error, t, s, a, reward, next_s, terminated
    )


@njit(cache=True, nogil=True)
def _double(moved, moves, judge, settings, varied, q, td_error, t, s, a, reward, next_s, terminated):
    moved = borrow(moved)
    moves = borrow(moves)
    judge = borrow(judge)
    q = borrow(q)
    td_error = borrow(td_error)
    moves[s, a] += 1
    target = reward
    if not terminated:
        b, _ = greedy_action(moved, next_s)
        target = reward + settings.gamma * judge[next_s, b]
    if not move(settings, varied, moved, moves, td_error, t, s, a, target):
        return False
    q[s, a] = 0.5 * moved[s, a] + 0.5 * judge[s, a]
    return True


@njit(cache=True, nogil=True)
def run_q_learning(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Q-learning."""
    return run(
        act_anew, learn_q_learning, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )


@njit(cache=True, nogil=True)
def run_sarsa(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Sarsa."""
    return run(
        act_decided, learn_sarsa, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )


@njit(cache=True, nogil=True)
def run_expected_sarsa(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Expected Sarsa."""
    return run(
        act_anew,
        learn_expected_sarsa,
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
def run_double_q_learning(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Double Q-learning."""
    return run(
        act_apart,
        learn_double_q_learning,
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
