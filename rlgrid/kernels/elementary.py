"""exp, expm1, log, tanh and sigmoid of float32 and float64, with the same bits on every processor and system.

Those of libm and NumPy differ between systems in the last places. These are made of + - * /, comparisons and the bits
of a number alone, in one order, which IEEE 754 defines to the last bit; a loop over one of them vectorises. The result
has the type of the argument and errs by at most 4 units in the last place (tanh of float32 by 8). Infinities give the
limits, NaN gives NaN, and so does log of a negative number.

The reductions are those of Muller, *Elementary Functions* (3rd ed.), chapter 11: by multiples of log 2, in two parts,
so that the first product is exact. The series that are left are Taylor's, cut off where the rest is below a tenth of
a unit in the last place.
"""

import math
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic, overload

INSIDE: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "no_cpython_wrapper": True}

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _bits(x):
        return x.view(np.int32 if x.itemsize == 4 else np.int64)

    def _number(bits):
        return bits.view(np.float32 if bits.itemsize == 4 else np.float64)

else:

    def _recast(to):
        def recast(_context, x):
            def generate(context, builder, signature, arguments):
                return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

            return to[x](x), generate

        return intrinsic(recast)

    _bits = _recast({types.float32: types.int32, types.float64: types.int64})
    _number = _recast({types.int32: types.float32, types.int64: types.float64})


def _functions(kind, whole, mantissa, high, low, degree, odd_terms):
    """(exp, expm1, log, tanh, sigmoid) of one type.

    Args:
        kind, whole: the type, and the whole numbers of its size.
        mantissa: its stored bits.
        high, low: log 2 in two parts, the first so short that its product with an exponent is exact.
        degree: of the series of e^r, |r| <= log(2) / 2.
        odd_terms: of the series of log((1 + s) / (1 - s)), |s| <= 0.172, after the first.
    """
    bias = whole((1 << (8 * kind(0).itemsize - 2 - mantissa)) - 1)
    shift = whole(mantissa)
    log2_high, log2_low, per_log2 = kind(high), kind(low), kind(1.0 / math.log(2.0))
    # Added to a number, it leaves the nearest whole one in the lowest bits; taken off again, that as a number.
    rounding = kind(1.5 * 2.0**mantissa)
    rounding_bits = rounding.view(whole)
    powers = tuple(kind(1.0 / math.factorial(n)) for n in range(degree, 1, -1))  # of r^degree to r^2
    odd = tuple(kind(2.0 / (2 * n + 1)) for n in range(odd_terms, 0, -1))
    zero, half, one, two = kind(0), kind(0.5), kind(1), kind(2)
    # Beyond these e^x is infinite or 0; nearer than they must be, so that the powers of two stay finite.
    most, least = kind((int(bias) + 1.25) * math.log(2.0)), kind(-(int(bias) + mantissa + 3) * math.log(2.0))
    infinity, nan = kind(math.inf), kind(math.nan)
    smallest = kind(2.0 ** (1 - int(bias)))  # of the normal numbers
    lift, lifted = kind(2.0 ** (mantissa + 2)), kind(mantissa + 2)
    root = kind(math.sqrt(0.5)).view(whole)

    @njit(**INSIDE)
    def power_of_two(n):
        return _number(whole(whole(n + bias) << shift))

    @njit(**INSIDE)
    def reduced(x):
        """(n, e^r - 1) with x = n log 2 + r."""
        shifted = x * per_log2 + rounding
        n = shifted - rounding
        r = (x - n * log2_high) - n * log2_low
        series = powers[0]
        for power in powers[1:]:
            series = series * r + power
        return whole(_bits(shifted) - rounding_bits), r + (r * r) * series

    @njit(**INSIDE)
    def exp(x):
        x = most if x > most else x
        x = least if x < least else x
        n, rest = reduced(x)
        first = whole(n >> whole(1))  # 2^n in two factors, since e^r 2^n may be where 2^n is not
        return ((one + rest) * power_of_two(first)) * power_of_two(whole(n - first))

    @njit(**INSIDE)
    def expm1(x):
        x = most if x > most else x
        x = -lifted if x < -lifted else x  # e^x - 1 rounds to -1 long before
        n, rest = reduced(x)
        scale = power_of_two(whole(n - whole(1)))
        return two * (scale * rest + (scale - half))

    @njit(**INSIDE)
    def log(x):
        tiny = x < smallest
        bits = _bits(x * lift if tiny else x)
        exponent = whole(whole(bits - root) >> shift)
        f = _number(whole(bits - whole(exponent << shift))) - one  # in [sqrt(1/2), sqrt(2)) - 1
        e = kind(exponent) - (lifted if tiny else zero)
        s = f / (two + f)
        z = s * s
        series = odd[0]
        for term in odd[1:]:
            series = series * z + term
        y = e * log2_high + (f - (s * (f - z * series) - e * log2_low))
        y = y if x < infinity else x  # infinity and NaN as they are
        y = -infinity if x == zero else y
        return nan if x < zero else y

    @njit(**INSIDE)
    def tanh_by_exp(x):
        size = abs(x)
        t = expm1(two * (lifted if size > lifted else size))
        return kind(math.copysign(t / (t + two), x))

    @njit(**INSIDE)
    def sigmoid(x):
        e = exp(-abs(x))
        return (one if x >= zero else e) / (one + e)

    return exp, expm1, log, tanh_by_exp, sigmoid


_LIMIT = np.float32(7.90531110763549805)  # the ratio rounds to 1 from here on
_ABOVE = tuple(
    np.float32(c)
    for c in (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    )
)
_BELOW = tuple(
    np.float32(c) for c in (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)


@njit(**INSIDE)
def _tanh_by_ratio(x):
    """A ratio of polynomials on [-7.9, 7.9], Eigen's coefficients: half the work of the exponential."""
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    s = x * x
    above, below = _ABOVE[0], _BELOW[0]
    for c in _ABOVE[1:]:
        above = above * s + c
    for c in _BELOW[1:]:
        below = below * s + c
    return x * (above / below)  # in this order, since x * above may vanish


_NAMES = ("exp", "expm1", "log", "tanh", "sigmoid")
_of_single = dict(
    zip(_NAMES, _functions(np.float32, np.int32, 23, 0.693359375, -2.12194440054690583e-4, 7, 5), strict=True)
) | {"tanh": _tanh_by_ratio}
_of_double = dict(
    zip(
        _NAMES,
        _functions(np.float64, np.int64, 52, 6.93147180369123816490e-01, 1.90821492927058770002e-10, 13, 11),
        strict=True,
    )
)


def exp(x):
    """e^x."""
    return (_of_single if isinstance(x, np.float32) else _of_double)["exp"](x)


def expm1(x):
    """e^x - 1, to full precision near 0 too."""
    return (_of_single if isinstance(x, np.float32) else _of_double)["expm1"](x)


def log(x):
    """The natural logarithm."""
    return (_of_single if isinstance(x, np.float32) else _of_double)["log"](x)


def tanh(x):
    """The hyperbolic tangent."""
    return (_of_single if isinstance(x, np.float32) else _of_double)["tanh"](x)


def sigmoid(x):
    """1 / (1 + e^-x)."""
    return (_of_single if isinstance(x, np.float32) else _of_double)["sigmoid"](x)


def _compile(public):
    name = public.__name__

    def choose(x):
        if x == types.float32:
            single = _of_single[name]
            return lambda x: single(x)  # noqa: PLW0108 - matched by the argument's name
        if x == types.float64:
            double = _of_double[name]
            return lambda x: double(x)  # noqa: PLW0108
        return None

    overload(public, inline="always")(choose)


for _public in (exp, expm1, log, tanh, sigmoid):
    _compile(_public)
