"""What certificates of explicit models ask of arrays [S], each in one pass.

    largest_numbers       the largest |v|, among those that are finite and among all, and the highest v
    explicit_rounding     bounds of |computed - exact| of any backup of `rlgrid.kernels.sweeps`, by state
    bounds_of_images      bounds from T v and T_pi v alone
    moved_outwards        an image moved by these bounds, and whether it passes the test of a certificate

`rlgrid.certificate` says what is proven by them.
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.rounding import UNDERFLOW, UNIT_ROUNDOFF


@njit(cache=True, nogil=True, error_model="numpy")
def largest_numbers(v):
    """(the largest |v| that is finite, 0 if none is; the largest |v| of all, inf if one is not a number; max v)."""
    finite = 0.0
    every = 0.0
    highest = -math.inf
    for x in v:
        size = abs(x)
        if size < math.inf:
            finite = max(finite, size)
        else:
            every = math.inf
        highest = max(highest, x)
    return finite, max(finite, every), highest


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _rounding(most, size, continues, scale):
    total = size + (scale if continues else 0.0)
    return 1.02 * (2.0 * most + 6.0) * UNIT_ROUNDOFF * total + UNDERFLOW if total > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def explicit_rounding(most, size, continues, scale):
    """For each state a bound on |computed - exact| of any of its backups, where |v| <= scale.

    ``most`` outcomes of a pair, the largest |r| (``size``) and whether any outcome ``continues`` are those of the state
    (`rlgrid.compressed.survey`).

    With n outcomes, u = 2^-53 and the standard model fl(x op y) = (x op y)(1 + d), |d| <= u, each term p (r + gamma v)
    of the sum passes at most n + 2 roundings, the sum of the p at most n - 1, the quotient one more: the computed
    quotient is off by at most g(2n + 2) sum (p / P)(|r| + gamma |v|), g(k) = k u / (1 - k u) (Higham 2002, ch. 3).
    Adding or subtracting the bound itself rounds once more. So (2n + 6) u (max|r| + scale), with 2 percent on top for
    the denominator of g and the rounding of this very formula, is enough for n < 10^13. Where every number is 0 so is
    the error; elsewhere UNDERFLOW covers products too small for a normal float.
    """
    error = np.empty(most.size)
    for s in range(most.size):
        error[s] = _rounding(most[s], size[s], continues[s], scale)
    return error


@njit(cache=True, nogil=True, error_model="numpy")
def largest_rounding(most, size, continues, scale):
    """The greatest of `explicit_rounding`."""
    greatest = 0.0
    for s in range(most.size):
        greatest = max(greatest, _rounding(most[s], size[s], continues[s], scale))
    return greatest


@njit(cache=True, nogil=True, error_model="numpy")
def bounds_of_images(most, size, continues, largest_reward, gamma, reach, v, w_policy, w, lower, upper):
    """Bounds from w_policy = T^_pi v and w = T^ v alone: (greatest w - v, least w_policy - v, whether proven).

    |v| <= ``reach``. Where floats overflow nothing is proven, and the changes are (inf, -inf) where one is not finite.

    With c = (moved + 5 max e) / (1 - gamma), u = w + gamma c + 4 e is at most v + c. Hence T u <= T v + gamma c <= w +
    gamma c + e, and the computed T^ u + e is at most w + gamma c + 3 e <= u: the last e is more than what rounding
    takes in forming u. Where no outcome ``continues`` gamma c is left out on both sides. Lower bounds likewise.
    """
    rise = -math.inf
    fall = math.inf
    sound = True
    for s in range(v.size):
        up = w[s] - v[s]
        down = w_policy[s] - v[s]
        sound &= math.isfinite(up) and math.isfinite(down)
        rise = max(rise, up)
        fall = min(fall, down)
    if not sound:
        return math.inf, -math.inf, False
    rest = 1.0 - gamma
    reach += max(rise, -fall, 0.0)
    scale = 1.02 * (reach + max(rise, -fall, 0.0) / rest)
    least = 5.0 * largest_rounding(most, size, continues, scale)
    c_up = (max(rise, 0.0) + least) / rest
    c_down = (max(-fall, 0.0) + least) / rest
    if not (2.0 * (scale + largest_reward) < math.inf and reach + 1.001 * max(c_up, c_down) < scale):
        return rise, fall, False
    for s in range(v.size):
        error = 4.0 * _rounding(most[s], size[s], continues[s], scale)
        lower[s] = w_policy[s] - ((gamma * c_down if continues[s] else 0.0) + error)
        upper[s] = w[s] + ((gamma * c_up if continues[s] else 0.0) + error)
    return rise, fall, True


@njit(cache=True, nogil=True, error_model="numpy")
def moved_outwards(error, scale, upwards, v, w):
    """w becomes w + error, or w - error; whether that is at most (at least) v, and both are within the scale."""
    passes = True
    for s in range(v.size):
        w[s] += error[s] if upwards else -error[s]
        passes &= w[s] <= v[s] if upwards else w[s] >= v[s]
        passes &= abs(w[s]) <= scale and abs(v[s]) <= scale
    return passes


@njit(cache=True, nogil=True, error_model="numpy")
def settle(first, last, values, lower, upper, settled):
    """settled = the nearest to the values [first, last) within bounds, to 0 where they are not finite.

    Returns the greatest of upper - settled and settled - lower, and of upper - lower, rounded to nearest; 0 where
    equal, inf where one is not a number.
    """
    error = 0.0
    width = 0.0
    for s in range(first, last):
        low = lower[s]
        high = upper[s]
        x = min(max(values[s] if math.isfinite(values[s]) else 0.0, low), high)
        settled[s] = x
        if low == high:
            continue
        up = 0.0 if high == x else high - x
        down = 0.0 if low == x else x - low
        if math.isnan(up) or math.isnan(down):
            error = math.inf
        error = max(error, up, down)
        width = max(width, high - low)
    return error, width
