"""A dense network: forward, backward, squared and Huber error, Adam; over arrays of float32 or float64.

Layer l computes y_l = phi(y_{l-1} W_l + b_l), with phi the identity in the last one. All parameters lie in one flat
array ``theta`` of length P, layer after layer: W_l [in, out] in rows, then b_l [out]. ``layout`` (`layout_of`) says
where each begins. Gradients and the moments of Adam are laid out in the same way.

Observations come as float [B, D], or as integers [B] where they are the states of a Discrete space: the product of a
one-hot row with the first W is a row of it, so that row is read and no one-hot is ever built.

Activations are those whose derivative follows from their value, so one buffer for each layer is enough. ``work`` holds
the outputs of the layers for a batch of B, one layer after the other: B rows of each.

Batches go through BLAS (``np.dot``). A single row goes through loops of its own: they are as fast there, and sum in
the same order on every processor. Copies are loops as well, since numba takes long to compile ``a[:] = b``.
"""

import math
from typing import Any

import numpy as np
from numba import njit

KERNEL: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",  # x / 0 is an infinity: a division that may raise keeps a loop from being vectorised
    "no_cfunc_wrapper": True,  # nothing calls it, and compiling it takes a tenth of the wait for the first step
}
INSIDE = KERNEL | {"no_cpython_wrapper": True}  # for functions that kernels alone call; a tenth more

LINEAR, RELU, TANH, SIGMOID, LEAKY_RELU, ELU, SOFTSIGN = range(7)

LEAK = 0.01  # slope of the leaky ReLU below 0

# Columns of a layout.
INPUTS, UNITS, WEIGHTS, BIASES, OUTPUTS = range(5)


def layout_of(sizes):
    """int64 [L, 5] from the widths of input, hidden layers and output.

    Of each layer: inputs, units, where its weights and its biases begin in theta, and units of all layers before it.
    P is the last layer's BIASES + UNITS.
    """
    layout = np.zeros((len(sizes) - 1, 5), np.int64)
    parameters = 0
    outputs = 0
    for layer in range(len(sizes) - 1):
        inputs, units = sizes[layer], sizes[layer + 1]
        layout[layer] = (inputs, units, parameters, parameters + inputs * units, outputs)
        parameters += inputs * units + units
        outputs += units
    return layout


@njit(**INSIDE)
def block(flat, first, rows, columns):
    """[rows, columns] of a flat array from ``first`` on, a view."""
    return flat[first : first + rows * columns].reshape((rows, columns))


# --- activations ----------------------------------------------------------------------------------------------------


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


@njit(**KERNEL)
def activate(y, activation):
    """phi in place, y flat."""
    zero, half, one, leak = y.dtype.type(0), y.dtype.type(0.5), y.dtype.type(1), y.dtype.type(LEAK)
    if activation == RELU:
        for i in range(y.size):
            y[i] = zero if y[i] < zero else y[i]
    elif activation == TANH:
        _tanh(y)
    elif activation == SIGMOID:  # (1 + tanh(x / 2)) / 2
        for i in range(y.size):
            y[i] = half * y[i]
        _tanh(y)
        for i in range(y.size):
            y[i] = half + half * y[i]
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


@njit(**KERNEL)
def times_derivative(delta, y, activation):
    """delta * phi'(x) in place, with phi'(x) from the output y = phi(x); both flat."""
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


# --- forward and backward -------------------------------------------------------------------------------------------


@njit(**INSIDE)
def _product(x, weights, out):
    """x @ weights into out."""
    if x.shape[0] > 1:
        np.dot(x, weights, out)
        return
    for j in range(weights.shape[1]):
        out[0, j] = 0
    for k in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            out[0, j] += x[0, k] * weights[k, j]


@njit(**INSIDE)
def _product_with_observations(observations, weights, out):
    """The same for the first layer: integer observations are rows of the weights."""
    if observations.ndim == 1:
        for i in range(observations.shape[0]):
            for j in range(weights.shape[1]):
                out[i, j] = weights[observations[i], j]
    else:
        _product(observations, weights, out)


@njit(**INSIDE)
def _product_gradient(observations, delta, gradient):
    """observations^T @ delta into gradient; integer observations add their rows of delta."""
    if observations.ndim == 1:
        for i in range(gradient.shape[0]):
            for j in range(gradient.shape[1]):
                gradient[i, j] = 0
        for i in range(observations.shape[0]):
            for j in range(gradient.shape[1]):
                gradient[observations[i], j] += delta[i, j]
    else:
        np.dot(observations.T, delta, gradient)


@njit(**KERNEL)
def forward(theta, layout, activation, observations, work):
    """The outputs of the last layer for a batch, [B, units], a view of work; work keeps those of all layers."""
    batch = observations.shape[0]
    out = block(work, 0, batch, layout[0, UNITS])
    for layer in range(layout.shape[0]):
        inputs, units, first = layout[layer, INPUTS], layout[layer, UNITS], batch * layout[layer, OUTPUTS]
        weights = block(theta, layout[layer, WEIGHTS], inputs, units)
        below = out
        out = block(work, first, batch, units)
        if layer == 0:
            _product_with_observations(observations, weights, out)
        else:
            _product(below, weights, out)
        biases = layout[layer, BIASES]
        for i in range(batch):
            for j in range(units):
                out[i, j] += theta[biases + j]
        if layer < layout.shape[0] - 1:
            activate(work[first : first + batch * units], activation)
    return out


@njit(**KERNEL)
def backward(theta, layout, activation, observations, work, deltas, gradient):
    """Back-propagation: d loss / d theta into gradient [P].

    ``work`` is as `forward` left it for the same observations. ``deltas`` is laid out as work; its last layer holds
    d loss / d output, [B, units], and the others are filled here with d loss / d (input of phi).
    """
    batch = observations.shape[0]
    for layer in range(layout.shape[0] - 1, -1, -1):
        inputs, units, biases = layout[layer, INPUTS], layout[layer, UNITS], layout[layer, BIASES]
        delta = block(deltas, batch * layout[layer, OUTPUTS], batch, units)
        for j in range(units):
            gradient[biases + j] = 0
        for i in range(batch):
            for j in range(units):
                gradient[biases + j] += delta[i, j]
        slope = block(gradient, layout[layer, WEIGHTS], inputs, units)
        if layer == 0:
            _product_gradient(observations, delta, slope)
            return
        first = batch * layout[layer - 1, OUTPUTS]
        np.dot(block(work, first, batch, inputs).T, delta, slope)
        weights = block(theta, layout[layer, WEIGHTS], inputs, units)
        np.dot(delta, weights.T, block(deltas, first, batch, inputs))
        last = first + batch * inputs
        times_derivative(deltas[first:last], work[first:last], activation)


# --- losses ---------------------------------------------------------------------------------------------------------


@njit(**KERNEL)
def error_loss(error, huber):
    """(loss, d loss / d error), float64: error^2 / 2, or Huber's, which is |error| - 1/2 beyond |error| = 1."""
    if huber and error > 1.0:
        return error - 0.5, 1.0
    if huber and error < -1.0:
        return -error - 0.5, -1.0
    return 0.5 * error * error, error


# --- optimiser ------------------------------------------------------------------------------------------------------


@njit(**KERNEL)
def global_norm(gradient):
    """The Euclidean norm of all gradients together, float64; finite wherever they are."""
    norm = math.sqrt(np.dot(gradient, gradient))
    if not math.isfinite(norm):
        total = 0.0
        for i in range(gradient.size):
            total += np.float64(gradient[i]) * np.float64(gradient[i])
        norm = math.sqrt(total)
    return norm


@njit(**KERNEL)
def adam(theta, gradient, mean, square, step, learning_rate, beta1, beta2, epsilon, scale):
    """The step-th update (1 is the first) of Adam in place (Kingma & Ba 2015, algorithm 1), of scale * gradient."""
    kind = theta.dtype.type
    rate = kind(learning_rate / (1.0 - beta1**step))
    correction = kind(1.0 / math.sqrt(1.0 - beta2**step))
    keep1, add1, keep2, add2 = kind(beta1), kind(1.0 - beta1), kind(beta2), kind(1.0 - beta2)
    floor, factor = kind(epsilon), kind(scale)
    for i in range(theta.size):
        g = factor * gradient[i]
        m = keep1 * mean[i] + add1 * g
        v = keep2 * square[i] + add2 * g * g
        mean[i] = m
        square[i] = v
        theta[i] -= rate * m / (kind(math.sqrt(v)) * correction + floor)


@njit(**KERNEL)
def mix(target, theta, tau):
    """target <- (1 - tau) target + tau theta; tau = 1 copies."""
    kind = theta.dtype.type
    share, rest = kind(tau), kind(1.0 - tau)
    for i in range(target.size):
        target[i] = theta[i] if tau == 1.0 else rest * target[i] + share * theta[i]


@njit(**KERNEL)
def first_bad_layer(values, layout):
    """The first layer (0 is the first) with a value in ``values`` [P] that is not finite, or -1."""
    for layer in range(layout.shape[0]):
        for i in range(layout[layer, WEIGHTS], layout[layer, BIASES] + layout[layer, UNITS]):
            if not math.isfinite(values[i]):
                return layer
    return -1
