"""Learning and planning together, with a model in which every pair does again what it did last: Dyna."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.exploration import LOWEST, greedy_action, step_size
from rlgrid.kernels.pcg64 import uniform
from rlgrid.kernels.tabular import act_apart, move

NEVER = np.iinfo(np.int64).min  # what a pair led to that was not taken yet


class Remembered(NamedTuple):
    """The model, and the settings of planning."""

    next_state: Any  # int64 [S, A]: where the pair led; its bitwise complement where that terminated; NEVER
    reward: Any  # float64 [S, A]
    final: Any  # bool [S]: where episodes are over; nothing is remembered of a step in such a state
    states: Any  # int64 [S]: the states that were acted in, in the order of their first visits
    size: Any  # int64 [1]: how many
    last: Any  # int64 [S, A]: when the pair was last taken, by the clock
    clock: Any  # int64 [1]: steps made
    planning_steps: int
    bonus: float  # kappa, of Dyna-Q+
    untried: bool  # actions that were never taken are planned with too (Dyna-Q+)


@njit(cache=True, nogil=True)
def _remember(next_state, known_reward, final, states, size, last, clock, s, a, reward, next_s, terminated):
    clock[0] += 1
    if final[s]:
        return
    new = True
    for b in range(next_state.shape[1]):
        new &= next_state[s, b] == NEVER
    if new:
        states[size[0]] = s
        size[0] += 1
    next_state[s, a] = ~next_s if terminated else next_s
    known_reward[s, a] = reward
    last[s, a] = clock[0]


@njit(cache=True, nogil=True)
def _plan(
    next_state,
    known_reward,
    states,
    size,
    last,
    clock,
    planning_steps,
    bonus,
    untried,
    settings,
    varied,
    q,
    counts,
    t,
    stream,
):
    """So many updates of Q-learning from what the model says of pairs drawn at random: a state, then its action."""
    for _ in range(planning_steps if size[0] > 0 else 0):
        s = states[min(int(uniform(stream) * size[0]), size[0] - 1)]
        many = 0
        for b in range(q.shape[1]):
            many += q[s, b] >= LOWEST and (untried or next_state[s, b] != NEVER)
        k = min(int(uniform(stream) * many), many - 1)
        a = 0
        for b in range(q.shape[1]):
            if q[s, b] >= LOWEST and (untried or next_state[s, b] != NEVER):
                if k == 0:
                    a = b
                k -= 1
        to = next_state[s, a]
        target = known_reward[s, a]
        if to == NEVER:
            to = s
        if untried:
            target += bonus * math.sqrt(clock[0] - last[s, a])
        if to >= 0:
            _, best = greedy_action(q, to)
            target += settings.gamma * best
        value = q[s, a] + step_size(settings, varied, t, max(1, counts[s, a])) * (target - q[s, a])
        if not abs(value) < np.inf:
            return False
        q[s, a] = value
    return True


@njit(cache=True, nogil=True, inline="always")
def learn_dyna_q(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Q-learning from the step, then from ``planning_steps`` remembered ones.

    Dyna-Q: Sutton 1990; Sutton & Barto, 2nd ed., section 8.2 (box). Dyna-Q+: section 8.3; the reward of a pair that
    was not taken for tau steps is raised by kappa sqrt(tau) in planning, and one that was never taken is thought to
    lead back to its state for nothing.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    _, best = greedy_action(q, next_s)
    follows = settings.gamma * best
    finite = move(settings, varied, q, counts, td_error, t, s, a, reward + (0.0 if terminated else follows))
    _remember(
        rule.next_state,
        rule.reward,
        rule.final,
        rule.states,
        rule.size,
        rule.last,
        rule.clock,
        s,
        a,
        reward,
        next_s,
        terminated,
    )
    return finite and _plan(
        rule.next_state,
        rule.reward,
        rule.states,
        rule.size,
        rule.last,
        rule.clock,
        rule.planning_steps,
        rule.bonus,
        rule.untried,
        settings,
        varied,
        q,
        counts,
        t,
        stream,
    )


@njit(cache=True, nogil=True)
def run_dyna_q(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Dyna-Q or Dyna-Q+."""
    return run(
        act_apart, learn_dyna_q, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )
