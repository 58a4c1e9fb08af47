"""Learning and planning together, with a model in which every pair does again what it did last: Dyna."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import put, run
from rlgrid.kernels.exploration import COUNT, greedy_action, step_size
from rlgrid.kernels.pcg64 import fraction, moved, output
from rlgrid.kernels.tabular import act_anew, move

NEVER = np.iinfo(np.int64).min  # what a pair led to that was not taken yet


class Remembered(NamedTuple):
    """The model, and the settings of planning. A pair is s * A + a."""

    next_state: Any  # int64 [S * A]: where the pair led; its bitwise complement where that terminated; NEVER
    reward: Any  # float64 [S * A]
    final: Any  # bool [S]: where episodes are over; nothing is remembered of a step in such a state
    states: Any  # int64 [S]: the states that were acted in, in the order of their first visits
    size: Any  # int64 [1]: how many
    pairs: Any  # int64 [S, A]: those that are planned with, ascending, at the beginning of each row
    many: Any  # int64 [S]: how many of each state
    last: Any  # int64 [S * A]: when the pair was last taken, by the clock
    clock: Any  # int64 [1]: steps made
    planning_steps: int
    bonus: float  # kappa, of Dyna-Q+
    untried: bool  # actions that were never taken are planned with too (Dyna-Q+)
    q: Any  # float64 [S * A], the table


@njit(cache=True, nogil=True)
def _meet(next_state, states, size, pairs, many, untried, s, pair):
    """Plan from now on with a state, or a pair, that was never tried before."""
    width = pairs.shape[1]
    new = True
    for other in range(s * width, (s + 1) * width):
        new &= next_state[other] == NEVER
    if new:
        states[size[0]] = s
        size[0] += 1
    if not untried:
        k = many[s]
        while k > 0 and pairs[s, k - 1] > pair:
            pairs[s, k] = pairs[s, k - 1]
            k -= 1
        pairs[s, k] = pair
        many[s] += 1


@njit(cache=True, nogil=True, inline="always")
def _plan(rule, settings, varied, q, counts, t, stream):
    """So many updates of Q-learning from what the model says of pairs drawn at random: a state, then its action.

    A uniform of 53 bits times a whole number rounds to less than it.
    """
    width = np.uintp(q.shape[1])
    known = rule.size[0]
    now = rule.clock[0]
    counted = (settings.alpha_kind if varied is None else varied.alpha_kind) == COUNT
    rate = step_size(settings, varied, t, 1)
    high = stream[0]
    low = stream[1]
    plus_high = stream[2]
    plus_low = stream[3]
    finite = True
    for _ in range(rule.planning_steps if known > 0 else 0):
        high, low = moved(high, low, plus_high, plus_low)
        s = np.uintp(rule.states[np.uintp(fraction(output(high, low)) * known)])
        high, low = moved(high, low, plus_high, plus_low)
        pair = np.uintp(rule.pairs[s, np.uintp(fraction(output(high, low)) * rule.many[s])])
        to = rule.next_state[pair]
        target = rule.reward[pair]
        if rule.untried:
            to = np.int64(s) if to == NEVER else to
            target += rule.bonus * math.sqrt(now - rule.last[pair])
        _, best = greedy_action(q, ~to if to < 0 else to)
        follows = target + settings.gamma * best
        target = target if to < 0 else follows
        if counted:
            rate = step_size(settings, varied, t, max(1, counts[s, pair - s * width]))
        value = rule.q[pair] + rate * (target - rule.q[pair])
        finite = abs(value) < np.inf
        if not finite:
            break
        put(rule.q, pair, value)
    put(stream, 0, high)
    put(stream, 1, low)
    return finite


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
    put(rule.clock, 0, rule.clock[0] + 1)
    if not rule.final[np.uintp(s)]:
        pair = np.uintp(s * q.shape[1] + a)
        if rule.next_state[pair] == NEVER:
            _meet(rule.next_state, rule.states, rule.size, rule.pairs, rule.many, rule.untried, s, np.int64(pair))
        put(rule.next_state, pair, ~next_s if terminated else next_s)
        put(rule.reward, pair, reward)
        put(rule.last, pair, rule.clock[0])
    return finite and _plan(rule, settings, varied, q, counts, t, stream)


@njit(cache=True, nogil=True)
def run_dyna_q(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by Dyna-Q or Dyna-Q+."""
    return run(
        act_anew, learn_dyna_q, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )
