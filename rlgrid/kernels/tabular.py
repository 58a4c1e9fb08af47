"""Tabular temporal-difference control: the rules one step at a time, and the loops that run environment and rule.

A rule function is written once. The compiled loop inlines it; the Python loop over a foreign environment calls it
for each step. A table q is float64 [S, A] with -inf where a state lacks an action. A step draws exactly one uniform
of the agent's stream (`rlgrid.kernels.pcg64`).

Speed rests on four things, worth factors of 1.1 to 3 each on the machine where they were tried: no call through a
pointer for a random number; rule functions inlined by numba itself, on arrays that are not counted (`borrow`); indices
that cannot be negative, so that numba need not ask whether they count from the end; and choices by arithmetic, in
pairs, where a branch could not be predicted.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.model import sample_start
from rlgrid.kernels.padded import draw
from rlgrid.kernels.pcg64 import uniform

CONSTANT = 0
LINEAR = 1
COUNT = 2

_LOWEST = -np.finfo(np.float64).max  # every available action has a q of at least this


class Rule(NamedTuple):
    """The settings of a run. t is the number of steps done before the present one."""

    gamma: float
    rate_kind: int  # CONSTANT: alpha; LINEAR: alpha falls to 0 at t = total; COUNT: alpha / N(s, a) ** omega
    alpha: float
    omega: float
    total: float  # steps of the whole run
    epsilon_initial: float
    epsilon_final: float
    epsilon_horizon: float  # epsilon goes linearly from initial to final in so many steps
    masked: bool  # some state lacks some action


@njit(cache=True, nogil=True, inline="always")
def epsilon_at(rule, t):
    """The probability of exploring at step t."""
    epsilon = rule.epsilon_final
    if t < rule.epsilon_horizon:
        epsilon = rule.epsilon_initial + (rule.epsilon_final - rule.epsilon_initial) * (t / rule.epsilon_horizon)
    return epsilon


@njit(cache=True, nogil=True, inline="always")
def learning_rate_at(rule, t, count):
    """The step size at step t for a pair that is taken for the ``count``-th time."""
    rate = rule.alpha
    if rule.rate_kind == LINEAR:
        rate = rule.alpha * max(0.0, 1.0 - t / rule.total)
    elif rule.rate_kind == COUNT:
        if rule.omega == 1.0:
            rate = rule.alpha / count
        else:
            rate = rule.alpha / float(count) ** rule.omega
    return rate


@njit(cache=True, nogil=True, inline="always")
def greedy_action(q, s):
    """(an action of the largest q, that q), the first one if it is alone; compared in pairs."""
    row = np.uintp(s)
    best = -np.inf
    chosen = 0
    for a in range(0, q.shape[1] - 1, 2):
        left = q[row, a]
        right = q[row, a + 1]
        better = a + 1 if right > left else a
        value = right if right > left else left
        chosen = better if value > best else chosen
        best = value if value > best else best
    if q.shape[1] % 2 == 1:
        value = q[row, q.shape[1] - 1]
        chosen = q.shape[1] - 1 if value > best else chosen
        best = value if value > best else best
    return chosen, best


@njit(cache=True, nogil=True, inline="always")
def one_of(q, s, least, u):
    """The action that a uniform u selects among those whose q is at least ``least``, all equally likely."""
    row = np.uintp(s)
    many = 0
    for a in range(q.shape[1]):
        many += q[row, a] >= least
    k = min(int(u * many), many - 1)
    chosen = 0
    for a in range(q.shape[1]):
        candidate = q[row, a] >= least
        chosen = a if candidate and k == 0 else chosen
        k -= candidate
    return chosen


@njit(cache=True, nogil=True, inline="always")
def epsilon_greedy(q, s, epsilon, masked, u):
    """Epsilon-greedy choice (Sutton & Barto, 2nd ed., section 2.2) by one uniform u.

    u < epsilon explores; u, stretched back to [0, 1) on its side of epsilon, chooses with equal chances among the
    actions that s has, or among those of the largest q.
    """
    if u < epsilon:
        if masked:
            chosen = one_of(q, s, _LOWEST, u / epsilon)
        else:
            chosen = min(int(u / epsilon * q.shape[1]), q.shape[1] - 1)
    else:
        chosen, best = greedy_action(q, s)
        row = np.uintp(s)
        ties = 0
        for a in range(q.shape[1]):
            ties += q[row, a] == best
        if ties > 1:
            chosen = one_of(q, s, best, (u - epsilon) / (1.0 - epsilon))
    return chosen


@njit(cache=True, nogil=True, inline="always")
def q_update(q, counts, td_error, rule, t, s, a, reward, next_s, terminated):
    """Q(s,a) += alpha [r + gamma max_b Q(s',b) - Q(s,a)]; nothing follows a terminated outcome.

    Watkins 1989; Sutton & Barto, 2nd ed., equation 6.8. Truncation is no termination: s' keeps its value.
    ``counts`` int64 [S, A] and ``td_error`` float64 [S] keep how often the pair was taken and the last error.

    Returns whether the new value is finite; if it is not, the old one stays.
    """
    row = np.uintp(s)
    column = np.uintp(a)
    counts[row, column] += 1
    _, best = greedy_action(q, next_s)
    follows = rule.gamma * best
    error = reward + (0.0 if terminated else follows) - q[row, column]
    value = q[row, column] + learning_rate_at(rule, t, counts[row, column]) * error
    finite = abs(value) < np.inf
    if finite:
        q[row, column] = value
        td_error[row] = error
    return finite


@njit(cache=True, nogil=True)
def act(q, rule, t, s, stream):
    """The action of step t, for the Python loop."""
    return epsilon_greedy(q, s, epsilon_at(rule, t), rule.masked, uniform(stream))


@njit(cache=True, nogil=True)
def update(q, counts, td_error, rule, t, s, a, reward, next_s, terminated):
    """`q_update` for the Python loop."""
    return q_update(q, counts, td_error, rule, t, s, a, reward, next_s, terminated)


@njit(cache=True, nogil=True)
def run_q_learning(
    model, world, stream, q, counts, td_error, rule, t, steps, s, elapsed, limit, total, returns, lengths
):
    """Run at most ``steps`` steps of Q-learning from state s, which is ``elapsed`` steps into an episode.

    Args:
        model: any form that `draw` takes.
        world: the environment's stream: one uniform a step, one a reset. stream: the agent's.
        t: steps done before. limit: after how many steps an episode is truncated. total: the episode's return so far.
        returns, lengths: float64 [E], int64 [E]: take the episodes that end; when they are full the loop stops.

    Returns:
        (steps done, state, elapsed, total, number of episodes that ended, the state whose q-value overflowed in the
        last step or -1)
    """
    model = borrow(model)
    q = borrow(q)
    counts = borrow(counts)
    td_error = borrow(td_error)
    stream = borrow(stream)
    world = borrow(world)
    ended = 0
    done = 0
    overflown = -1
    while done < steps and ended < returns.size and overflown < 0:
        a = epsilon_greedy(q, s, epsilon_at(rule, t + done), rule.masked, uniform(stream))
        next_s, reward, terminated = draw(model, s, a, uniform(world))
        if not q_update(q, counts, td_error, rule, t + done, s, a, reward, next_s, terminated):
            overflown = s
        s = next_s
        elapsed += 1
        done += 1
        total += reward
        if terminated or elapsed >= limit:
            returns[ended] = total
            lengths[ended] = elapsed
            ended += 1
            s = sample_start(model, uniform(world))
            elapsed = 0
            total = 0.0
    return done, s, elapsed, total, ended, overflown
