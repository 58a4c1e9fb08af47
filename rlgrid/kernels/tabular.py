"""Temporal-difference control in one step: the rules.

A rule is two functions, and a NamedTuple of the arrays that it keeps beside the tables (`rlgrid.kernels.control`):

    act(rule, ..., t, s, stream)                                              the action of step t in state s
    learn(rule, ..., t, s, a, reward, next_s, terminated, ended, stream)      learn from the step

``ended`` says that the episode is over, terminated or truncated: what belongs to it is then forgotten. Truncation is
no termination: s' keeps its value. ``learn`` returns whether the new q-values are finite; one that is not is not
written.
"""

import numpy as np
from numba import njit

from rlgrid.kernels.exploration import choose, greedy_action, step_size
from rlgrid.kernels.pcg64 import uniform


@njit(cache=True, nogil=True, inline="always")
def act_anew(rule, settings, varied, q, counts, td_error, t, s, stream):
    """The action of a rule that decides when it has to."""
    return choose(settings, varied, q, counts, t, s, uniform(stream))


@njit(cache=True, nogil=True, inline="always")
def move(settings, varied, q, counts, td_error, t, s, a, target):
    """Q(s,a) += alpha [target - Q(s,a)], and the error noted; False, and nothing changed, if that is not finite."""
    row = np.uintp(s)
    column = np.uintp(a)
    error = target - q[row, column]
    value = q[row, column] + step_size(settings, varied, t, counts[row, column]) * error
    finite = abs(value) < np.inf
    if finite:
        q[row, column] = value
        td_error[row] = error
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_q_learning(rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream):
    """Q(s,a) += alpha [r + gamma max_b Q(s',b) - Q(s,a)]; nothing follows a terminated outcome.

    Watkins 1989; Sutton & Barto, 2nd ed., equation 6.8.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    _, best = greedy_action(q, next_s)
    follows = settings.gamma * best
    return move(settings, varied, q, counts, td_error, t, s, a, reward + (0.0 if terminated else follows))
