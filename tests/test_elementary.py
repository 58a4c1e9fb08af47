"""exp, expm1, log, tanh and sigmoid against NumPy's in extended precision."""

import hashlib

import numpy as np
import pytest
from numba import njit

from rlgrid.kernels.elementary import exp, expm1, log, sigmoid, tanh

ORACLES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
UNITS = {"exp": 1.5, "expm1": 2.5, "log": 1.5, "tanh": 4.0, "sigmoid": 3.0}  # in the last place, at most
DTYPES = [np.float32, np.float64]


@njit
def _all(x, y):
    for i in range(x.size):
        y[0, i] = exp(x[i])
    for i in range(x.size):
        y[1, i] = expm1(x[i])
    for i in range(x.size):
        y[2, i] = log(x[i])
    for i in range(x.size):
        y[3, i] = tanh(x[i])
    for i in range(x.size):
        y[4, i] = sigmoid(x[i])


def values(x):
    """Our functions of the numbers x, by name."""
    y = np.empty((5, x.size), x.dtype)
    _all(x, y)
    return dict(zip(ORACLES, y, strict=True))


def numbers(dtype, count=20_000):
    """Numbers of all sizes and both signs, many where functions bend, and up to where they overflow or vanish."""
    rng = np.random.default_rng(5)
    end = 110 if dtype == np.float32 else 760
    even = 2 * rng.random(count) - 1
    bits = rng.integers(0, 2**16, count)
    sizes = np.ldexp(even, (bits % (2 * 100)).astype(np.int64) - 150)
    return np.concatenate((end * even, 4 * even, 1 + even / 100, sizes)).astype(dtype)


def golden():  # also run on other processors by `test_products`
    """A hash of all functions of all numbers."""
    digest = hashlib.sha256()
    for dtype in DTYPES:
        for y in values(numbers(dtype)).values():
            digest.update(np.where(np.isnan(y), dtype(0), y).tobytes())  # NaN has many bits
    return digest.hexdigest()


GOLDEN = "56b69e02d74dccafe79abf89e33082ddb317c676f9d782456e7763e09e49ebfb"


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_are_right_to_a_few_units_in_the_last_place(dtype):
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("no extended precision to compare with")
    x = numbers(dtype)
    for name, y in values(x).items():
        assert y.dtype == dtype
        with np.errstate(all="ignore"):
            exact = ORACLES[name](x.astype(np.longdouble))
            rounded = exact.astype(dtype)
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(y[~finite], rounded[~finite])
        unit = np.spacing(np.abs(rounded[finite])).astype(np.longdouble)
        worst = (np.abs(y[finite] - exact[finite]) / unit).max()
        assert worst <= (8.0 if (name, dtype) == ("tanh", np.float32) else UNITS[name]), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits(dtype):
    x = np.array([0.0, np.inf, -np.inf, np.nan], dtype)
    nan, inf = np.nan, np.inf
    expected = {
        "exp": [1, inf, 0, nan],
        "expm1": [0, inf, -1, nan],
        "log": [-inf, inf, nan, nan],
        "tanh": [0, 1, -1, nan],
        "sigmoid": [0.5, 1, 0, nan],
    }
    for name, y in values(x).items():
        np.testing.assert_array_equal(y, np.array(expected[name], dtype), err_msg=name)


def test_the_bits_are_the_same_everywhere():
    assert golden() == GOLDEN
