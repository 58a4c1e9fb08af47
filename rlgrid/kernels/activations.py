"""Activation functions and their derivatives, in place on flat arrays of float32 or float64; and softmax.

The derivative follows from the value, so that the outputs of a layer are all that is kept; swish alone needs what went
in, and keeps it.
"""

import math
from typing import Any

from numba import njit

KERNEL: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",  # x / 0 is an infinity: a division that may raise keeps a loop from being vectorised
    "no_cfunc_wrapper": True,  # nothing calls it, and compiling it takes a tenth of the wait for the first step
}
INSIDE = KERNEL | {"no_cpython_wrapper": True}  # for functions that kernels alone call; a tenth more

LINEAR, RELU, TANH, SIGMOID, LEAKY_RELU, ELU, SOFTSIGN, SWISH = range(8)

LEAK = 0.01  # slope of the leaky ReLU below 0


@njit(**INSIDE)
def _tanh(y):
    """tanh in place. In float32 a ratio of polynomials on [-7.9, 7.9] (Eigen's), to a few units in the last place.

    libm's tanhf costs more than the products around it, and differs between systems; this needs + * / alone, and
    vectorises. NaN stays NaN.
    """
    if y.itemsize != 4:
        for i in range(y.size):
            y[i] = math.tanh(y[i])
        return
    kind = y.dtype.type
    limit = kind(7.90531110763549805)  # the ratio rounds to 1 from here on
    a1, a3, a5 = kind(4.89352455891786e-03), kind(6.37261928875436e-04), kind(1.48572235717979e-05)
    a7, a9, a11 = kind(5.12229709037114e-08), kind(-8.60467152213735e-11), kind(2.00018790482477e-13)
    a13 = kind(-2.76076847742355e-16)
    b0, b2, b4 = kind(4.89352518554385e-03), kind(2.26843463243900e-03), kind(1.18534705686654e-04)
    b6 = kind(1.19825839466702e-06)
    for i in range(y.size):
        x = y[i]
        x = limit if x > limit else x
        x = -limit if x < -limit else x
        s = x * x
        above = x * (a1 + s * (a3 + s * (a5 + s * (a7 + s * (a9 + s * (a11 + s * a13))))))
        y[i] = above / (b0 + s * (b2 + s * (b4 + s * b6)))


@njit(**INSIDE)
def _sigmoid(y):
    """1 / (1 + e^-x) in place, as (1 + tanh(x / 2)) / 2."""
    half = y.dtype.type(0.5)
    for i in range(y.size):
        y[i] = half * y[i]
    _tanh(y)
    for i in range(y.size):
        y[i] = half + half * y[i]


@njit(**KERNEL)
def activate(y, kept, activation):
    """phi in place. ``kept`` takes what `times_derivative` needs beside the outputs: of swish the inputs."""
    zero, half, one, leak = y.dtype.type(0), y.dtype.type(0.5), y.dtype.type(1), y.dtype.type(LEAK)
    if activation == RELU:
        for i in range(y.size):
            y[i] = zero if y[i] < zero else y[i]
    elif activation == TANH:
        _tanh(y)
    elif activation == SIGMOID:
        _sigmoid(y)
    elif activation == LEAKY_RELU:
        for i in range(y.size):
            y[i] = leak * y[i] if y[i] < zero else y[i]
    elif activation == ELU:  # e^x - 1 = 2 t / (1 - t) with t = tanh(x / 2)
        for i in range(y.size):
            if y[i] < zero:
                t = y[i : i + 1]
                t[0] = half * t[0]
                _tanh(t)
                t[0] = (t[0] + t[0]) / (one - t[0])
    elif activation == SOFTSIGN:
        for i in range(y.size):
            y[i] = y[i] / (one + abs(y[i]))
    elif activation == SWISH:  # x sigmoid(x)
        for i in range(y.size):
            kept[i] = y[i]
        _sigmoid(y)
        for i in range(y.size):
            y[i] *= kept[i]


@njit(**KERNEL)
def times_derivative(delta, y, kept, activation):
    """delta * phi'(x) in place, from the outputs y = phi(x) and what `activate` kept."""
    zero, one, leak = y.dtype.type(0), y.dtype.type(1), y.dtype.type(LEAK)
    if activation == RELU:
        for i in range(y.size):
            delta[i] = delta[i] if y[i] > zero else zero
    elif activation == TANH:
        for i in range(y.size):
            delta[i] *= one - y[i] * y[i]
    elif activation == SIGMOID:
        for i in range(y.size):
            delta[i] *= y[i] * (one - y[i])
    elif activation == LEAKY_RELU:
        for i in range(y.size):
            delta[i] = delta[i] if y[i] > zero else leak * delta[i]
    elif activation == ELU:
        for i in range(y.size):
            delta[i] = delta[i] if y[i] > zero else delta[i] * (y[i] + one)
    elif activation == SOFTSIGN:
        for i in range(y.size):
            rest = one - abs(y[i])
            delta[i] *= rest * rest
    elif activation == SWISH:  # s + x s (1 - s) = s + y (1 - s), and the sigmoid s again from x
        _sigmoid(kept)
        for i in range(y.size):
            delta[i] *= kept[i] + y[i] * (one - kept[i])
