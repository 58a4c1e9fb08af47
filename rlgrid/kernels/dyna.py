"""Learning and planning together, with a model in which every pair does again what it did last: Dyna."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import put, run
from rlgrid.kernels.exploration import COUNT, LOWEST, greedy_action, step_size
from rlgrid.kernels.pcg64 import ULP, moved, output, upper_bits
from rlgrid.kernels.tabular import act_anew, move

NEVER = np.iinfo(np.int64).min  # what a pair led to that was not taken yet


class Remembered(NamedTuple):
    """The model, and the settings of planning. A pair is s * A + a."""

    next_state: Any  # int64 [S * A]: where the pair led; its bitwise complement where that terminated; NEVER
    reward: Any  # float64 [S * A]
    final: Any  # bool [S]: where episodes are over; nothing is remembered of a step in such a state
    states: Any  # int64 [S]: the states that were acted in, in the order of their first visits
    size: Any  # int64 [1]: how many
    rank: Any  # int64 [S]: where each of them stands there
    pairs: Any  # int64 [S * A]: those that are planned with, A places for each state in the order of first visits
    share: Any  # float64 [S]: how many of them each state has, times 2^-53, likewise
    last: Any  # int64 [S * A]: when the pair was last taken, by the clock
    clock: Any  # int64 [1]: steps made
    planning_steps: int
    bonus: float  # kappa, of Dyna-Q+
    untried: bool  # actions that were never taken are planned with too (Dyna-Q+)
    q: Any  # float64 [S * A], the table


@njit(cache=True, nogil=True)
def _meet(next_state, states, size, rank, pairs, share, untried, q, s, pair):
    """Plan from now on with a state, or a pair, that was never tried before; pairs of a state ascend."""
    width = q.shape[1]
    new = True
    for other in range(s * width, (s + 1) * width):
        new &= next_state[other] == NEVER
    if new:
        states[size[0]] = s
        rank[s] = size[0]
        size[0] += 1
    place = rank[s]
    first = place * width
    if not untried:
        k = first + int(share[place] / ULP)
        while k > first and pairs[k - 1] > pair:
            pairs[k] = pairs[k - 1]
            k -= 1
        pairs[k] = pair
        share[place] += ULP
    elif new:
        k = first
        for a in range(width):
            if q[s, a] >= LOWEST:
                pairs[k] = s * width + a
                k += 1
        share[place] = (k - first) * ULP


@njit(cache=True, nogil=True, inline="always")
def _updates(rule, settings, varied, q, counts, t, stream, rate, untried, counted):
    """So many updates of Q-learning from what the model says of pairs drawn at random: a state, then its action.

    A uniform of 53 bits times a whole number rounds to less than it; whether 2^-53 is multiplied first changes nothing.
    """
    width = np.uintp(q.shape[1])
    known = rule.size[0]
    states = known * ULP
    now = rule.clock[0]
    high = stream[0]
    low = stream[1]
    plus_high = stream[2]
    plus_low = stream[3]
    finite = True
    for _ in range(rule.planning_steps if known > 0 else 0):
        high, low = moved(high, low, plus_high, plus_low)
        place = np.uintp(np.int64(upper_bits(output(high, low)) * states))
        high, low = moved(high, low, plus_high, plus_low)
        k = np.uintp(np.int64(upper_bits(output(high, low)) * rule.share[place]))
        pair = np.uintp(rule.pairs[place * width + k])
        to = rule.next_state[pair]
        target = rule.reward[pair]
        if untried:
            to = np.int64(pair // width) if to == NEVER else to
            target += rule.bonus * math.sqrt(now - rule.last[pair])
        _, best = greedy_action(q, ~to if to < 0 else to)
        follows = target + settings.gamma * best
        target = target if to < 0 else follows
        if counted:
            s = pair // width
            rate = step_size(settings, varied, t, max(1, counts[s, pair - s * width]))
        value = rule.q[pair] + rate * (target - rule.q[pair])
        finite = value - value <= 0.0  # one comparison: infinite or no number gives no number
        if not finite:
            break
        put(rule.q, pair, value)
    put(stream, 0, high)
    put(stream, 1, low)
    return finite


@njit(cache=True, nogil=True, inline="always")
def _plan(rule, settings, varied, q, counts, t, stream):
    """The updates, in a loop of their own where nothing is special."""
    counted = (settings.alpha_kind if varied is None else varied.alpha_kind) == COUNT
    rate = step_size(settings, varied, t, 1)
    if q.shape[1] == 4 and not rule.untried and not counted:
        finite = _updates(rule, settings, varied, q, counts, t, stream, rate, False, False)
    else:
        finite = _updates(rule, settings, varied, q, counts, t, stream, rate, rule.untried, counted)
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
            _meet(
                rule.next_state,
                rule.states,
                rule.size,
                rule.rank,
                rule.pairs,
                rule.share,
                rule.untried,
                q,
                s,
                np.int64(pair),
            )
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
