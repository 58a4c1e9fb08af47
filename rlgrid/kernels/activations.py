"""Activation functions and their derivatives, in place on flat arrays of float32 or float64.

The derivative follows from the value, so that the outputs of a layer are all that is kept; swish alone needs what went
in, and keeps it.
"""

from typing import Any

from numba import njit

from rlgrid.kernels.elementary import expm1, sigmoid, tanh

KERNEL: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",  # x / 0 is an infinity: a division that may raise keeps a loop from being vectorised
    "no_cfunc_wrapper": True,  # nothing calls it, and compiling it takes a tenth of the wait for the first step
}
COMPILED: Any = {"nogil": True, "error_model": "numpy"}  # for what the type of an argument chooses
INSIDE = KERNEL | {"no_cpython_wrapper": True}  # for functions that kernels alone call; a tenth more

LINEAR, RELU, TANH, SIGMOID, LEAKY_RELU, ELU, SOFTSIGN, SWISH = range(8)

LEAK = 0.01  # slope of the leaky ReLU below 0


@njit(**INSIDE)
def _sigmoid(y):
    """1 / (1 + e^-x) in place."""
    for i in range(y.size):
        y[i] = sigmoid(y[i])


@njit(**KERNEL)
def activate(y, kept, activation):
    """phi in place. ``kept`` takes what `times_derivative` needs beside the outputs: of swish the inputs."""
    zero, one, leak = y.dtype.type(0), y.dtype.type(1), y.dtype.type(LEAK)
    if activation == RELU:
        for i in range(y.size):
            y[i] = zero if y[i] < zero else y[i]
    elif activation == TANH:
        for i in range(y.size):
            y[i] = tanh(y[i])
    elif activation == SIGMOID:
        _sigmoid(y)
    elif activation == LEAKY_RELU:
        for i in range(y.size):
            y[i] = leak * y[i] if y[i] < zero else y[i]
    elif activation == ELU:
        for i in range(y.size):
            below = expm1(y[i] if y[i] < zero else zero)
            y[i] = below if y[i] < zero else y[i]
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
        for i in range(y.size):
            share = sigmoid(kept[i])
            delta[i] *= share + y[i] * (one - share)
