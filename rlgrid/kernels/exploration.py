"""What the tabular agents share inside their kernels: tables and settings, schedules, and the choice of an action.

A table q is float64 [S, A] with -inf where a state lacks an action. A choice takes one uniform of the agent's stream.

Speed rests on four things, worth factors of 1.1 to 3 each on the machine where they were tried: no call through a
pointer for a random number (`rlgrid.kernels.pcg64`); rule functions inlined by numba itself, on arrays that are not
counted (`rlgrid.kernels.borrow`); indices that cannot be negative, so that numba need not ask whether they count from
the end; and choices by arithmetic, in pairs and for four actions without a loop, where a branch could not be
predicted. What is rarely asked for stands in functions of its own that are called, so that the others stay small.
What is called borrows its arrays anew: they would be counted in there.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.borrow import borrow

CONSTANT = 0  # initial
LINEAR = 1  # from initial to final in ``horizon`` steps, then final
FALLING = 2  # initial * (1 - t / horizon), 0 from there on
COUNT = 3  # initial / N ** final
EXPONENTIAL = 4  # initial * (final / initial) ** (t / horizon), then final
STEP = 5  # initial * final ** (t // horizon)

EPSILON_GREEDY = 0
SOFTMAX = 1
UCB = 2

LOWEST = -np.finfo(np.float64).max  # every available action has a q of at least this


class Settings(NamedTuple):
    """The numbers of a run, as most runs need them; t is the number of steps done before the present one."""

    gamma: float
    alpha_kind: int  # of the step size: CONSTANT, FALLING or COUNT, which counts visits of the pair
    alpha: float
    omega: float  # the power of a COUNT
    total: float  # steps of the whole run
    epsilon_initial: float
    epsilon_final: float
    epsilon_horizon: float  # epsilon goes linearly from initial to final in so many steps
    masked: bool  # some state lacks some action


class Varied(NamedTuple):
    """What replaces a run's schedules and its epsilon-greedy choices; None in its place costs nothing.

    Each schedule is a kind and three numbers. It changes with the step t, or with the number N of visits: of the state
    for the strength of exploration, of the pair for the step size.
    """

    exploration: int  # EPSILON_GREEDY, SOFTMAX or UCB
    strength_kind: int  # of epsilon, of the temperature, or of the width of the confidence bound
    strength_initial: float
    strength_final: float
    strength_horizon: float
    alpha_kind: int
    alpha_initial: float
    alpha_final: float
    alpha_horizon: float


# --- schedules --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _geometric(initial, final, part):
    ratio = final / initial
    if 0.0 < ratio < np.inf:
        return initial * ratio**part
    return math.exp((1.0 - part) * math.log(initial) + part * math.log(final))


@njit(cache=True, nogil=True)
def schedule_at(kind, initial, final, horizon, t, count):
    """The value of a schedule at step t, at the ``count``-th visit."""
    if kind == LINEAR:
        return initial + (final - initial) * (t / horizon) if t < horizon else final
    if kind == FALLING:
        return initial * max(0.0, 1.0 - t / horizon)
    if kind == COUNT:
        return initial / count if final == 1.0 else initial / float(count) ** final
    if kind == EXPONENTIAL:
        return _geometric(initial, final, t / horizon) if t < horizon else final
    if kind == STEP:
        return initial * final ** math.floor(t / horizon)
    return initial


@njit(cache=True, nogil=True, inline="always")
def step_size(settings, varied, t, count):
    """alpha at step t of a pair that is taken for the ``count``-th time."""
    if varied is None:
        rate = settings.alpha
        if settings.alpha_kind == FALLING:
            rate = settings.alpha * max(0.0, 1.0 - t / settings.total)
        elif settings.alpha_kind == COUNT:
            if settings.omega == 1.0:
                rate = settings.alpha / count
            else:
                rate = settings.alpha / float(count) ** settings.omega
    else:
        rate = schedule_at(varied.alpha_kind, varied.alpha_initial, varied.alpha_final, varied.alpha_horizon, t, count)
    return rate


@njit(cache=True, nogil=True)
def _visits(counts, s):
    total = 0
    for a in range(counts.shape[1]):
        total += counts[s, a]
    return total


@njit(cache=True, nogil=True)
def varied_strength(varied, counts, t, s):
    """epsilon (the temperature, the width of the bound) in state s at step t; N(s) includes the present visit."""
    count = _visits(counts, s) + 1
    return schedule_at(
        varied.strength_kind, varied.strength_initial, varied.strength_final, varied.strength_horizon, t, count
    )


@njit(cache=True, nogil=True, inline="always")
def epsilon_at(settings, t):
    """The probability of exploring at step t."""
    epsilon = settings.epsilon_final
    if t < settings.epsilon_horizon:
        epsilon = settings.epsilon_initial + (settings.epsilon_final - settings.epsilon_initial) * (
            t / settings.epsilon_horizon
        )
    return epsilon


# --- choices ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, inline="always")
def _greedy_of_four(q, row):
    """`_greedy_of_any` of the four actions that most worlds have: without a loop, in half the time."""
    q0 = q[row, np.uintp(0)]
    q1 = q[row, np.uintp(1)]
    q2 = q[row, np.uintp(2)]
    q3 = q[row, np.uintp(3)]
    left = q1 if q1 > q0 else q0
    right = q3 if q3 > q2 else q2
    best = right if right > left else left
    a = 1 if q1 > q0 else 0
    b = 3 if q3 > q2 else 2
    ties = int(q0 == best) + int(q1 == best) + int(q2 == best) + int(q3 == best)
    return b if right > left else a, best, ties


@njit(cache=True, nogil=True, inline="always")
def _greedy_of_any(q, row):
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
    ties = 0
    for a in range(q.shape[1]):
        ties += q[row, a] == best
    return chosen, best, ties


@njit(cache=True, nogil=True, inline="always")
def greedy(q, s):
    """(the first action of the largest q, that q, how many actions have it); compared in pairs."""
    row = np.uintp(s)
    if q.shape[1] == 4:
        found = _greedy_of_four(q, row)
    else:
        found = _greedy_of_any(q, row)
    return found


@njit(cache=True, nogil=True, inline="always")
def greedy_action(q, s):
    """(the first action of the largest q, that q)."""
    chosen, best, _ = greedy(q, s)
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
            chosen = one_of(q, s, LOWEST, u / epsilon)
        else:
            chosen = min(int(u / epsilon * q.shape[1]), q.shape[1] - 1)
    else:
        chosen, best, ties = greedy(q, s)
        if ties > 1:
            chosen = one_of(q, s, best, (u - epsilon) / (1.0 - epsilon))
    return chosen


@njit(cache=True, nogil=True)
def probability(exploration, strength, q, counts, s, a):
    """The probability of action a in state s.

    Epsilon-greedy (Sutton & Barto, 2nd ed., section 2.2): epsilon / |A(s)|, and 1 - epsilon shared by the greedy ones.
    Softmax (section 2.8 over action values; Boltzmann exploration): exp(q / temperature), normalised; greedy at 0.
    UCB (Auer, Cesa-Bianchi & Fischer 2002; Sutton & Barto, equation 2.10 with the visits of the state for the time):
    shared by the actions with the largest q + width sqrt(ln N(s) / N(s,a)), those never taken before all others.
    """
    if exploration == UCB:
        best = -np.inf
        ties = 0
        for b in range(q.shape[1]):
            index = _upper_bound(strength, q, counts, s, b)
            if index > best:
                best = index
                ties = 0
            ties += index == best and q[s, b] >= LOWEST
        return 1.0 / ties if _upper_bound(strength, q, counts, s, a) == best and q[s, a] >= LOWEST else 0.0
    best = -np.inf
    many = 0
    for b in range(q.shape[1]):
        best = max(best, q[s, b])
        many += q[s, b] >= LOWEST
    if exploration == SOFTMAX and strength > 0.0:
        total = 0.0
        for b in range(q.shape[1]):
            total += math.exp((q[s, b] - best) / strength)
        return math.exp((q[s, a] - best) / strength) / total
    epsilon = 0.0 if exploration == SOFTMAX else strength
    ties = 0
    for b in range(q.shape[1]):
        ties += q[s, b] == best
    share = (1.0 - epsilon) / ties if q[s, a] == best else 0.0
    return share + epsilon / many if q[s, a] >= LOWEST else 0.0


@njit(cache=True, nogil=True)
def _upper_bound(width, q, counts, s, a):
    if q[s, a] < LOWEST:
        return -np.inf
    if counts[s, a] == 0:
        return np.inf
    return q[s, a] + width * math.sqrt(math.log(_visits(counts, s)) / counts[s, a])


@njit(cache=True, nogil=True)
def _drawn_action(exploration, strength, q, counts, s, u):
    """The first action whose cumulative probability exceeds u; the last possible one where rounding leaves none."""
    total = 0.0
    chosen = 0
    for a in range(q.shape[1]):
        p = probability(exploration, strength, q, counts, s, a)
        total += p
        if p > 0.0:
            chosen = a
        if total > u:
            break
    return chosen


@njit(cache=True, nogil=True)
def _varied_choice(varied, masked, q, counts, t, s, u):
    strength = varied_strength(varied, counts, t, s)
    if varied.exploration == EPSILON_GREEDY:
        return epsilon_greedy(q, s, strength, masked, u)
    return _drawn_action(varied.exploration, strength, q, counts, s, u)


@njit(cache=True, nogil=True, inline="always")
def choose(settings, varied, q, counts, t, s, u):
    """The action that a uniform u selects in state s at step t."""
    if varied is None:
        chosen = epsilon_greedy(q, s, epsilon_at(settings, t), settings.masked, u)
    else:
        chosen = _varied_choice(varied, settings.masked, q, counts, t, s, u)
    return chosen


@njit(cache=True, nogil=True)
def choose_apart(settings, varied, q, counts, t, s, u):
    """`choose` as a function that is called, where a loop has better things to keep at hand."""
    return choose(settings, varied, borrow(q), borrow(counts), t, s, u)


@njit(cache=True, nogil=True, inline="always")
def _mean_q(q, s, epsilon):
    row = np.uintp(s)
    best = -np.inf
    total = 0.0
    many = 0
    for a in range(q.shape[1]):
        value = q[row, a]
        best = value if value > best else best
        present = value >= LOWEST
        total += value if present else 0.0
        many += present
    return (1.0 - epsilon) * best + epsilon * (total / many)


@njit(cache=True, nogil=True)
def _varied_mean_q(varied, q, counts, t, s):
    strength = varied_strength(varied, counts, t, s)
    if varied.exploration == EPSILON_GREEDY:
        return _mean_q(q, s, strength)
    total = 0.0
    for a in range(q.shape[1]):
        p = probability(varied.exploration, strength, q, counts, s, a)
        if p > 0.0:
            total += p * q[s, a]
    return total


@njit(cache=True, nogil=True, inline="always")
def expected_q(settings, varied, q, counts, t, s):
    """The mean of q in state s over the action that would be chosen at step t."""
    if varied is None:
        mean = _mean_q(q, s, epsilon_at(settings, t))
    else:
        mean = _varied_mean_q(varied, q, counts, t, s)
    return mean


@njit(cache=True, nogil=True)
def chance(settings, varied, q, counts, t, s, a):
    """The probability with which action a is chosen in state s at step t."""
    if varied is None:
        return probability(EPSILON_GREEDY, epsilon_at(settings, t), q, counts, s, a)
    return probability(varied.exploration, varied_strength(varied, counts, t, s), q, counts, s, a)
