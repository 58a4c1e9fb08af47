"""Relative value iteration for the average reward, and the rounding of what proves a gain.

    relative_sweep, relative_update    one sweep of a range of states: w = T v, then v <- v + damping (w - v) - shift
    relative_sweeps                    many of them in one call, for several parts of a model side by side
    gains_above, gains_below           bounds of (T h - h)(s) and (T_pi h - h)(s), rounding included

Sweeps take the arrays of `rlgrid.kernels.compressed` (gamma = 1); bounds take the model's own outcomes, of pairs
that never end. Everything with a range writes only there.
"""

import math

import numpy as np
from numba import njit

UNIT_ROUNDOFF = 2.0**-53
UNDERFLOW = 1e-300  # far above what all products of one backup can lose by underflow together


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _best(num_actions, offsets, next_state, weight, reward, v, s):
    """(T v)(s); -inf where s has no action."""
    best = -math.inf
    for pair in range(s * num_actions, (s + 1) * num_actions):
        value = reward[pair]
        i = np.uint64(offsets[pair])  # unsigned: a signed index is compared with 0 at every outcome
        end = np.uint64(offsets[pair + 1])
        while i < end:
            value += weight[i] * v[np.uint32(next_state[i])]
            i += np.uint64(1)
        best = max(best, value)
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def relative_sweep(num_actions, offsets, next_state, weight, reward, part, v, w, first, last):
    """w = T v (v where there is no action); (least, greatest) of w - v in the states whose part is not -1."""
    low = math.inf
    high = -math.inf
    for s in range(first, last):
        best = _best(num_actions, offsets, next_state, weight, reward, v, s)
        w[s] = v[s]
        if best > -math.inf:
            w[s] = best
            if part[s] >= 0:
                low = min(low, best - v[s])
                high = max(high, best - v[s])
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def relative_update(v, w, damping, shift, first, last):
    """v <- v + damping (w - v) - shift."""
    for s in range(first, last):
        v[s] += damping * (w[s] - v[s]) - shift


@njit(cache=True, nogil=True, error_model="numpy")
def relative_sweeps(
    num_states,
    num_actions,
    offsets,
    next_state,
    weight,
    reward,
    part,
    damping,
    v,
    w,
    low,
    high,
    limit,
    enough,
    history,
):
    """Up to ``limit`` sweeps, until in every part the change w - v spreads over at most ``enough``.

    Args:
        part: int64 [S], which part a state belongs to; -1 moves with part 0 and is not counted.
        v, w: float64 [S], the values in and out, and room.
        low, high: float64 [parts], the least and greatest change of the last sweep.
        history: float64 [limit], the widest spread of each sweep.

    Each part is shifted by the middle of its changes, so that its values stay small. Returns how many were made.
    """
    for n in range(limit):
        low[:] = math.inf
        high[:] = -math.inf
        for s in range(num_states):
            best = _best(num_actions, offsets, next_state, weight, reward, v, s)
            w[s] = v[s] if best == -math.inf else best
            k = part[s]
            if k >= 0 and best > -math.inf:
                low[k] = min(low[k], best - v[s])
                high[k] = max(high[k], best - v[s])
        widest = 0.0
        for k in range(low.size):
            widest = max(widest, high[k] - low[k])
        history[n] = widest
        for s in range(num_states):
            k = max(part[s], 0)
            shift = damping * (0.5 * low[k] + 0.5 * high[k])
            if math.isfinite(shift):
                v[s] += damping * (w[s] - v[s]) - shift
        if not widest > enough:
            return n + 1
    return limit


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _drift(next_state, probability, reward, h, s, first, last):
    """sum p_k / P (r_k + h(s_k) - h(s)) of the outcomes [first, last), and a bound on its rounding.

    (0, inf) where floats overflow. No term has done so where the bound is finite: it is the sum of their sizes.

    With n outcomes and u = 2^-53, each term of the sum passes at most n + 2 roundings (difference, sum, product, n - 1
    additions), the sum of the p at most n - 1, the quotient one and adding the bound itself one more: together at most
    (2n + 6) u sum p_k / P (|r_k| + |h(s_k) - h(s)|) (Higham 2002, chapter 3), with 2 percent on top for second orders.
    """
    total = 0.0
    mass = 0.0
    size = 0.0
    moved = False  # the size of what moves may be 0 by underflow
    for i in range(first, last):
        p = probability[i]
        step = h[next_state[i]] - h[s]
        total += p * (reward[i] + step)
        size += p * (abs(reward[i]) + abs(step))
        mass += p
        moved = moved or reward[i] != 0.0 or step != 0.0
    if not moved:
        return 0.0, 0.0
    error = 1.02 * (2 * (last - first) + 6) * UNIT_ROUNDOFF * (size / mass) + UNDERFLOW
    return (total / mass, error) if error < math.inf else (0.0, math.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def gains_above(num_actions, offsets, next_state, probability, reward, h, out, first, last):
    """out(s) >= max_a (T_a h - h)(s) of the states [first, last); -inf where there is no action."""
    for s in range(first, last):
        best = -math.inf
        for pair in range(s * num_actions, (s + 1) * num_actions):
            if offsets[pair] < offsets[pair + 1]:
                gain, error = _drift(next_state, probability, reward, h, s, offsets[pair], offsets[pair + 1])
                best = max(best, gain if error == 0.0 else np.nextafter(gain + error, math.inf))
        out[s] = best


@njit(cache=True, nogil=True, error_model="numpy")
def gains_below(num_actions, offsets, next_state, probability, reward, policy, h, out, first, last):
    """out(s) <= (T_pi h - h)(s) of the states [first, last); +inf where the pair of the policy is not there."""
    for s in range(first, last):
        pair = s * num_actions + policy[s]
        out[s] = math.inf
        if offsets[pair] < offsets[pair + 1]:
            gain, error = _drift(next_state, probability, reward, h, s, offsets[pair], offsets[pair + 1])
            out[s] = gain if error == 0.0 else np.nextafter(gain - error, -math.inf)
