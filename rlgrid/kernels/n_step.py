"""Temporal-difference control that looks n steps ahead: the rules of `rlgrid.kernels.control`.

The last n steps, fewer at the beginning of an episode, wait in a ring until what follows them is known.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.exploration import choose_apart, greedy_action, step_size
from rlgrid.kernels.pcg64 import uniform
from rlgrid.kernels.tabular import act_apart, act_decided, move_by


class Waiting(NamedTuple):
    """The steps from which nothing was learnt yet: the i-th is at (first + i) modulo n."""

    action: Any  # int64 [1], decided for the next step, or -1
    states: Any  # int64 [n]
    actions: Any  # int64 [n]
    rewards: Any  # float64 [n]
    visits: Any  # int64 [n]: the how-many-th of its pair the step was
    span: Any  # int64 [2]: first, and how many


@njit(cache=True, nogil=True)
def _wait(states, actions, rewards, visits, span, s, a, reward, visit):
    """Take a step into the ring, in which there is room."""
    i = (span[0] + span[1]) % states.size
    states[i] = s
    actions[i] = a
    rewards[i] = reward
    visits[i] = visit
    span[1] += 1


@njit(cache=True, nogil=True)
def _sarsa_return(rewards, span, gamma, follows):
    """r_1 + gamma r_2 + ... + gamma^n follows, from the oldest step on."""
    total = follows
    for k in range(span[1] - 1, -1, -1):
        total = rewards[(span[0] + k) % rewards.size] + gamma * total
    return total


@njit(cache=True, nogil=True)
def _tree_return(q, states, actions, rewards, span, gamma, follows):
    """G_k = r + gamma [sum over b other than a of pi(b|s) Q(s,b) + pi(a|s) G_k+1], pi greedy, ties shared equally."""
    total = follows
    for k in range(span[1] - 1, -1, -1):
        i = (span[0] + k) % rewards.size
        total = rewards[i] + gamma * total
        if k > 0:
            s = states[i]
            _, best = greedy_action(q, s)
            if q[s, actions[i]] == best:
                ties = 0
                for b in range(q.shape[1]):
                    ties += q[s, b] == best
                total = total / ties + (ties - 1) / ties * best
            else:
                total = best
    return total


@njit(cache=True, nogil=True)
def _learn(
    tree,
    rule_action,
    states,
    actions,
    rewards,
    visits,
    span,
    settings,
    varied,
    q,
    td_error,
    t,
    b,
    next_s,
    terminated,
    ended,
):
    """Learn from the oldest step if n wait, from all of them if the episode is over."""
    finite = True
    while finite and span[1] > 0 and (ended or span[1] == states.size):
        follows = 0.0
        if tree:
            if not terminated:
                _, follows = greedy_action(q, next_s)
            target = _tree_return(q, states, actions, rewards, span, settings.gamma, follows)
        else:
            if not terminated:
                follows = q[next_s, b]
            target = _sarsa_return(rewards, span, settings.gamma, follows)
        i = span[0]
        finite = move_by(q, td_error, states[i], actions[i], target, step_size(settings, varied, t, visits[i]))
        span[0] = (i + 1) % states.size
        span[1] -= 1
    if ended:
        span[:] = 0
    rule_action[0] = -1 if ended else b
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_n_step_sarsa(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Q(s,a) += alpha [r_1 + gamma r_2 + ... + gamma^n Q(s_n, a_n) - Q(s,a)], n steps later, or when the episode ends.

    Sutton & Barto, 2nd ed., section 7.2, equation 7.5.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    visit = counts[np.uintp(s), np.uintp(a)]
    _wait(rule.states, rule.actions, rule.rewards, rule.visits, rule.span, s, a, reward, visit)
    b = -1
    if not terminated:
        b = choose_apart(settings, varied, q, counts, t + 1, next_s, uniform(stream))
    return _learn(
        False,
        rule.action,
        rule.states,
        rule.actions,
        rule.rewards,
        rule.visits,
        rule.span,
        settings,
        varied,
        q,
        td_error,
        t,
        b,
        next_s,
        terminated,
        ended,
    )


@njit(cache=True, nogil=True, inline="always")
def learn_tree_backup(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """The n-step return in which actions that were not taken are worth what the table says; the target is greedy.

    Precup, Sutton & Singh 2000; Sutton & Barto, 2nd ed., section 7.5, equation 7.16.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    visit = counts[np.uintp(s), np.uintp(a)]
    _wait(rule.states, rule.actions, rule.rewards, rule.visits, rule.span, s, a, reward, visit)
    return _learn(
        True,
        rule.action,
        rule.states,
        rule.actions,
        rule.rewards,
        rule.visits,
        rule.span,
        settings,
        varied,
        q,
        td_error,
        t,
        -1,
        next_s,
        terminated,
        ended,
    )


@njit(cache=True, nogil=True)
def run_n_step_sarsa(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by n-step Sarsa."""
    return run(
        act_decided,
        learn_n_step_sarsa,
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
def run_tree_backup(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by n-step tree backup."""
    return run(
        act_apart,
        learn_tree_backup,
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
