"""How far a computed backup may lie from the true one: what certificates add and subtract.

    rounding                      a bound on |computed - exact| of any backup of `rlgrid.kernels.sweeps`, state by state
    image_above, image_below      bounds of T v and T_pi v, rounding included, worked out in differences of values

The second form loses less where values are large beside their differences: near or at gamma = 1.
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.model import GridArrays

UNIT_ROUNDOFF = 2.0**-53
UNDERFLOW = 1e-300  # far above what all products of one backup can lose by underflow together


@njit(cache=True, nogil=True, error_model="numpy")
def _explicit_rounding(num_states, num_actions, offsets, reward, terminated, scale, error):
    largest = 0.0
    for s in range(num_states):
        worst = 0.0
        for pair in range(s * num_actions, (s + 1) * num_actions):
            size = 0.0
            continues = False
            for i in range(offsets[pair], offsets[pair + 1]):
                size = max(size, abs(reward[i]))
                continues = continues or not terminated[i]
            largest = max(largest, size)
            if continues:
                size += scale
            if size > 0.0:
                n = offsets[pair + 1] - offsets[pair]
                worst = max(worst, 1.02 * (2 * n + 6) * UNIT_ROUNDOFF * size + UNDERFLOW)
        error[s] = worst
    return largest


def rounding(model, scale, error):
    """For each state a bound on |computed - exact| of any of its backups, where |v| <= scale, into error [S].

    With n outcomes, u = 2^-53 and the standard model fl(x op y) = (x op y)(1 + d), |d| <= u, each term p (r + gamma v)
    of the sum passes at most n + 2 roundings, the sum of the p at most n - 1, the quotient one more: the computed
    quotient is off by at most g(2n + 2) sum (p / P)(|r| + gamma |v|), g(k) = k u / (1 - k u) (Higham 2002, ch. 3).
    Adding or subtracting the bound itself rounds once more. So (2n + 6) u (max|r| + scale), with 2 percent on top for
    the denominator of g and the rounding of this very formula, is enough for n < 10^13. Where every number is 0 so is
    the error; elsewhere UNDERFLOW covers products too small for a normal float.

    On a grid one bound holds for all cells but walls and terminals, from the largest of its rewards.

    Returns the largest |r|, or a bound on it.
    """
    if not isinstance(model, GridArrays):
        return _explicit_rounding(
            model.num_states, model.num_actions, model.offsets, model.reward, model.terminated, scale, error
        )
    largest = 0.0
    for terms in ((model.step_reward, model.bump_reward), (model.enter_reward,), (model.leave_reward,)):
        largest += max(float(np.abs(term).max()) for term in terms)
    largest *= 1.01
    n = model.slip.shape[2]
    size = largest + scale
    bound = 1.02 * (2 * n + 6) * UNIT_ROUNDOFF * size + UNDERFLOW if size > 0.0 else 0.0
    error[:] = np.where(model.wall | model.terminal, 0.0, bound)[model.tiles]
    return largest


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _gain(offsets, next_state, probability, reward, terminated, gamma, v, s, pair):
    """q(s, a) - v(s), and a bound on the rounding of it; (-inf, 0) without outcomes.

    Written as sum p_k / P (r_k + gamma (v(s_k) - v(s))) - (1 - gamma) v(s): what is lost to rounding is then in
    proportion to |r_k|, |v(s_k) - v(s)| and (1 - gamma) |v|, not to |v|; without discounting nothing is where the
    values around s are equal and nothing is earned. Each term passes at most n + 2 roundings without discounting, so
    the bound of `rounding` holds with these sizes in place of |r| and |v|; with it, gamma times the difference, 1 -
    gamma, its product and the last subtraction round once more each.
    """
    first = offsets[pair]
    last = offsets[pair + 1]
    if first == last:
        return -math.inf, 0.0
    total = 0.0
    mass = 0.0
    size = 0.0
    moved = False
    for i in range(first, last):
        p = probability[i]
        r = reward[i]
        step = (0.0 if terminated[i] else v[next_state[i]]) - v[s]
        total += p * (r + gamma * step)
        size += p * (abs(r) + abs(step))
        mass += p
        moved = moved or r != 0.0 or step != 0.0
    gain = total / mass
    size /= mass
    roundings = 2 * (last - first) + 6
    if gamma < 1.0 and v[s] != 0.0:
        gain -= (1.0 - gamma) * v[s]
        size += (1.0 - gamma) * abs(v[s])
        roundings += 8
        moved = True
    error = 1.02 * roundings * UNIT_ROUNDOFF * size + UNDERFLOW if moved else 0.0
    return gain, error


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _moved_up(v, gain):
    """A float that is at least v + gain, exactly."""
    to = v + gain
    if gain == 0.0 or not math.isfinite(to):
        return to
    if abs(gain) <= abs(v) and to - v >= gain:  # to - v is exact here (Dekker 1971)
        return to
    return np.nextafter(to, math.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def _above_loop(num_states, num_actions, offsets, next_state, probability, reward, terminated, gamma, v, w):
    for s in range(num_states):
        w[s] = -math.inf
        if v[s] == -math.inf:
            continue
        for pair in range(s * num_actions, (s + 1) * num_actions):
            gain, error = _gain(offsets, next_state, probability, reward, terminated, gamma, v, s, pair)
            if gain > -math.inf:
                w[s] = max(w[s], _moved_up(v[s], gain + error))


@njit(cache=True, nogil=True, error_model="numpy")
def _below_loop(num_states, num_actions, offsets, next_state, probability, reward, terminated, gamma, policy, v, w):
    for s in range(num_states):
        w[s] = math.inf
        if policy[s] < 0:
            continue
        w[s] = -math.inf
        if v[s] > -math.inf:
            pair = s * num_actions + policy[s]
            gain, error = _gain(offsets, next_state, probability, reward, terminated, gamma, v, s, pair)
            if gain > -math.inf:
                w[s] = -_moved_up(-v[s], error - gain)


@njit(cache=True, nogil=True, error_model="numpy")
def image_above(m, gamma, v, w):
    """w(s) >= (T v)(s), rounding included; -inf where no action is available. Explicit models."""
    _above_loop(
        m.num_states, m.num_actions, m.offsets, m.next_state, m.probability, m.reward, m.terminated, gamma, v, w
    )


@njit(cache=True, nogil=True, error_model="numpy")
def image_below(m, gamma, policy, v, w):
    """w(s) <= (T_pi v)(s), rounding included; +inf where the policy is -1. Explicit models."""
    _below_loop(
        m.num_states, m.num_actions, m.offsets, m.next_state, m.probability, m.reward, m.terminated, gamma, policy, v, w
    )
