"""R-max: a model of the pairs that are known, and the best of all worlds for the others."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.control import run
from rlgrid.kernels.counted import count_outcome, rows
from rlgrid.kernels.exploration import LOWEST, greedy_action
from rlgrid.kernels.tabular import act_anew

MOST_SWEEPS = 10_000  # of a plan; only where gamma is nearly 1 a plan needs so many


class Known(NamedTuple):
    """What R-max keeps."""

    model: Any  # `rlgrid.kernels.counted.Counted`: the first ``visits_to_know`` outcomes of each pair
    reward: Any  # float64 [S * A], the sum of the rewards of these
    visits_to_know: int  # m
    ceiling: float  # no pair is worth more
    tolerance: float  # of a plan: no value changes by more in its last sweep


@njit(cache=True, nogil=True)
def _plan(rule, gamma, q, counts):
    """Value iteration over the known pairs, in place, states up and down in turn."""
    num_states, num_actions = q.shape
    m = rule.visits_to_know
    offsets, to, weight = rows(rule.model)
    value = np.zeros(num_states + 1)  # the last entry is the end of the episode
    others = np.empty(num_states)  # the best of the pairs that are not known
    known = np.empty(num_states, np.int64)  # states with a known pair
    size = 0
    for s in range(num_states):
        others[s] = -np.inf
        value[s] = -np.inf
        knows = False
        for a in range(num_actions):
            if counts[s, a] >= m:
                knows = True
                if gamma == 1.0:  # a loop without rewards would keep for ever what it is believed to be worth
                    q[s, a] = 0.0
            else:
                others[s] = max(others[s], q[s, a])
            value[s] = max(value[s], q[s, a])
        if knows:
            known[size] = s
            size += 1
    share = gamma / m
    for k in range(to.size):
        weight[k] *= share
        if to[k] < 0:
            to[k] = num_states
    for sweep in range(MOST_SWEEPS):
        change = 0.0
        for i in range(size):
            s = np.uintp(known[i] if sweep % 2 == 0 else known[size - 1 - i])
            best = others[s]
            for a in range(num_actions):
                if counts[s, np.uintp(a)] >= m:
                    key = s * np.uintp(num_actions) + np.uintp(a)
                    total = rule.reward[key] / m
                    for k in range(offsets[key], offsets[key + np.uintp(1)]):
                        total += weight[np.uintp(k)] * value[np.uintp(to[k])]
                    total = max(LOWEST, min(rule.ceiling, total))
                    q[s, np.uintp(a)] = total
                    best = max(best, total)
            change = max(change, abs(best - value[s]))
            value[s] = best
        if not change > rule.tolerance:
            break


@njit(cache=True, nogil=True)
def _learn_of(rule, gamma, q, counts, s, a, reward, next_s, terminated):
    """Learn of a pair that was not known before the step; False where the sum of its rewards is not finite."""
    key = s * q.shape[1] + a
    total = rule.reward[key] + reward
    if not abs(total) < np.inf:
        return False
    rule.reward[key] = total
    count_outcome(rule.model, key, -1 if terminated else next_s)
    if counts[s, a] == rule.visits_to_know:
        _plan(rule, gamma, q, counts)
    return True


@njit(cache=True, nogil=True, inline="always")
def learn_r_max(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Count the outcome of a pair that is not known yet; plan anew when it becomes known.

    Brafman & Tennenholtz 2002; in the form of Strehl, Li & Littman 2009, section 3.2.
    """
    row = np.uintp(s)
    column = np.uintp(a)
    counts[row, column] += 1
    _, best = greedy_action(q, next_s)
    error = reward + (0.0 if terminated else settings.gamma * best) - q[row, column]
    finite = abs(error) < np.inf
    if finite:
        td_error[row] = error
    if finite and counts[row, column] <= rule.visits_to_know:
        finite = _learn_of(rule, settings.gamma, q, counts, s, a, reward, next_s, terminated)
    return finite


@njit(cache=True, nogil=True)
def run_r_max(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by R-max."""
    return run(
        act_anew, learn_r_max, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths
    )
