"""Monte Carlo control: the rules of `rlgrid.kernels.control`, which learn when an episode is over.

The steps of the episode under way lie in arrays, in which the caller leaves room for the steps of a run.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.exploration import chance, expected_q, greedy_action, step_size
from rlgrid.kernels.tabular import act_apart

LEAST = 5e-324  # of a chance of what was taken: its logarithm is finite


class Episode(NamedTuple):
    """The episode under way, and what was averaged so far."""

    states: Any  # int64 [M]
    actions: Any  # int64 [M]
    rewards: Any  # float64 [M]
    chances: Any  # float64 [M]: with which the action was chosen; of the off-policy rule alone
    size: Any  # int64 [1]: steps of the episode so far
    first: Any  # int64 [S, A]: the step at which the pair was first taken, or -1
    weight: Any  # float64 [S, A]: how many returns were averaged; off-policy the logarithm of the sum of their weights
    every: bool  # every visit counts, not the first of an episode alone


@njit(cache=True, nogil=True)
def _note(states, actions, rewards, chances, size, first, s, a, reward, b):
    """Write down a step of the episode."""
    i = size[0]
    states[i] = s
    actions[i] = a
    rewards[i] = reward
    chances[i] = b
    if first[s, a] < 0:
        first[s, a] = i
    size[0] = i + 1


@njit(cache=True, nogil=True)
def _forget(states, actions, size, first):
    for i in range(size[0]):
        first[states[i], actions[i]] = -1
    size[0] = 0


@njit(cache=True, nogil=True)
def _on_policy(states, actions, rewards, size, first, weight, every, settings, varied, q, td_error, t, follows):
    finite = True
    total = follows
    for i in range(size[0] - 1, -1, -1):
        s = states[i]
        a = actions[i]
        total = rewards[i] + settings.gamma * total
        if every or first[s, a] == i:
            weight[s, a] += 1.0
            error = total - q[s, a]
            value = q[s, a] + step_size(settings, varied, t, np.int64(weight[s, a])) * error
            if abs(value) < np.inf:
                q[s, a] = value
                td_error[s] = error
            else:
                finite = False
    _forget(states, actions, size, first)
    return finite


@njit(cache=True, nogil=True)
def _off_policy(states, actions, rewards, chances, size, first, weight, gamma, q, td_error, follows):
    """Weights are products of 1 / b over a whole episode, too large for floats: they are kept as logarithms."""
    finite = True
    total = follows
    ratio = 0.0
    for i in range(size[0] - 1, -1, -1):
        s = states[i]
        a = actions[i]
        total = rewards[i] + gamma * total
        more = max(weight[s, a], ratio)
        weight[s, a] = more + math.log1p(math.exp(min(weight[s, a], ratio) - more))
        error = total - q[s, a]
        value = q[s, a] + math.exp(ratio - weight[s, a]) * error
        if not abs(value) < np.inf:
            finite = False
            break
        q[s, a] = value
        td_error[s] = error
        greedy, _ = greedy_action(q, s)
        if a != greedy:
            break
        ratio -= math.log(chances[i])
    _forget(states, actions, size, first)
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_monte_carlo(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Q(s,a) moves to the mean of the returns that followed the first visit, or every visit, in an episode.

    Sutton & Barto, 2nd ed., section 5.4 (box). Where an episode is truncated, the rest of it is worth what the table
    says of the behaviour in its last state.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    _note(rule.states, rule.actions, rule.rewards, rule.chances, rule.size, rule.first, s, a, reward, 1.0)
    finite = True
    if ended:
        follows = 0.0
        if not terminated:
            follows = expected_q(settings, varied, q, counts, t + 1, next_s)
        finite = _on_policy(
            rule.states,
            rule.actions,
            rule.rewards,
            rule.size,
            rule.first,
            rule.weight,
            rule.every,
            settings,
            varied,
            q,
            td_error,
            t,
            follows,
        )
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_off_policy_monte_carlo(
    rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """The greedy policy from the behaviour's episodes, by weighted importance sampling.

    Sutton & Barto, 2nd ed., section 5.7 (box). Where an episode is truncated, the rest of it is worth the largest q
    of its last state.
    """
    b = max(chance(settings, varied, q, counts, t, s, a), LEAST)
    _note(rule.states, rule.actions, rule.rewards, rule.chances, rule.size, rule.first, s, a, reward, b)
    counts[np.uintp(s), np.uintp(a)] += 1
    finite = True
    if ended:
        follows = 0.0
        if not terminated:
            _, follows = greedy_action(q, next_s)
        finite = _off_policy(
            rule.states,
            rule.actions,
            rule.rewards,
            rule.chances,
            rule.size,
            rule.first,
            rule.weight,
            settings.gamma,
            q,
            td_error,
            follows,
        )
    return finite


@njit(cache=True, nogil=True)
def run_monte_carlo(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Monte Carlo control."""
    return run(
        act_apart,
        learn_monte_carlo,
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
def run_off_policy_monte_carlo(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by off-policy Monte Carlo control."""
    return run(
        act_apart,
        learn_off_policy_monte_carlo,
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
