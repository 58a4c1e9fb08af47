"""What certificates of explicit models ask of arrays [S], each in one pass.

    largest_numbers       the largest |v|, among those that are finite and among all
    changes               how far a sweep moves values at the most
    explicit_rounding     bounds of |computed - exact| of any backup of `rlgrid.kernels.sweeps`, by state
    beyond                bounds from images alone
    moved_outwards        an image moved by these bounds, and whether it passes the test of a certificate

`rlgrid.certificate` says what is proven by them.
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.rounding import UNDERFLOW, UNIT_ROUNDOFF


@njit(cache=True, nogil=True, error_model="numpy")
def largest_numbers(v):
    """(the largest |v| that is finite, 0 if none is; the largest |v| of all, inf if one is not a number)."""
    finite = 0.0
    every = 0.0
    for x in v:
        size = abs(x)
        if size < math.inf:
            finite = max(finite, size)
        else:
            every = math.inf
    return finite, max(finite, every)


@njit(cache=True, nogil=True, error_model="numpy")
def changes(v, w, w_policy):
    """(the greatest w - v, the least w_policy - v); (inf, -inf) where a difference is not finite."""
    rise = -math.inf
    fall = math.inf
    sound = True
    for s in range(v.size):
        up = w[s] - v[s]
        down = w_policy[s] - v[s]
        sound &= math.isfinite(up) and math.isfinite(down)
        rise = max(rise, up)
        fall = min(fall, down)
    return (rise, fall) if sound else (math.inf, -math.inf)


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
def beyond(most, size, continues, scale, down, up, w_policy, w, lower, upper):
    """lower becomes w_policy - down - 4 e and upper w + up + 4 e, e the `explicit_rounding`.

    Where no outcome ``continues`` down and up are left out.
    """
    for s in range(w.size):
        error = 4.0 * _rounding(most[s], size[s], continues[s], scale)
        lower[s] = w_policy[s] - ((down if continues[s] else 0.0) + error)
        upper[s] = w[s] + ((up if continues[s] else 0.0) + error)


@njit(cache=True, nogil=True, error_model="numpy")
def moved_outwards(error, scale, upwards, v, w):
    """w becomes w + error, or w - error; whether that is at most (at least) v, and both are within the scale."""
    passes = True
    for s in range(v.size):
        w[s] += error[s] if upwards else -error[s]
        passes &= w[s] <= v[s] if upwards else w[s] >= v[s]
        passes &= abs(w[s]) <= scale and abs(v[s]) <= scale
    return passes
