"""A dense network: forward, backward, squared and Huber error, Adam; over arrays of float32 or float64.

Layer l computes y_l = phi(y_{l-1} W_l + b_l) for l = 1 .. L, with phi the identity in the last one. All parameters lie
in one flat array ``theta`` of length P, layer after layer: W_l [in, out] in rows, then b_l [out]; ``starts`` [L + 1]
says where each layer begins, ``sizes`` [L + 1] how wide it is. Gradients and the moments of Adam have the same layout.

Observations come as float [B, D], or as integers [B] where they are the states of a Discrete space: the product of a
one-hot row with W_1 is a row of W_1, so that row is read and no one-hot is ever built.

Activations are those whose derivative follows from their value, so one buffer for each layer is enough. ``work`` holds
the outputs of the layers for a batch, one layer after the other: layer l is [B, sizes[l]].

Batches go through BLAS (``np.dot``). A single row goes through loops of its own, which sum in a fixed order.
"""

import math

import numpy as np
from numba import njit

LINEAR, RELU, TANH, SIGMOID, LEAKY_RELU, ELU, SOFTSIGN = range(7)

LEAK = 0.01  # slope of the leaky ReLU below 0


@njit(cache=True, nogil=True)
def layer_weights(theta, sizes, starts, layer):
    """W of a layer (0 is the first), [in, out], a view."""
    rows, columns = sizes[layer], sizes[layer + 1]
    first = starts[layer]
    return theta[first : first + rows * columns].reshape((rows, columns))


@njit(cache=True, nogil=True)
def layer_biases(theta, sizes, starts, layer):
    """b of a layer (0 is the first), [out], a view."""
    return theta[starts[layer + 1] - sizes[layer + 1] : starts[layer + 1]]


@njit(cache=True, nogil=True)
def layer_outputs(work, sizes, rows, layer):
    """The outputs of a layer (0 is the first) for a batch, flat [rows * out], a view."""
    first = 0
    for i in range(1, layer + 1):
        first += sizes[i]
    return work[rows * first : rows * (first + sizes[layer + 1])]


# --- activations ----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _product(observations, weights, out):
    """observations @ weights into out [B, h]; integer observations are rows of the weights."""
    if observations.ndim == 1:
        for i in range(observations.shape[0]):
            row = weights[observations[i]]
            for j in range(row.size):
                out[i, j] = row[j]
    else:
        np.dot(observations, weights, out)


@njit(cache=True, nogil=True)
def _product_gradient(observations, delta, gradient):
    """observations^T @ delta into gradient [in, h]; integer observations add rows of delta."""
    if observations.ndim == 1:
        gradient[:] = gradient.dtype.type(0)
        for i in range(observations.shape[0]):
            row = gradient[observations[i]]
            for j in range(row.size):
                row[j] += delta[i, j]
    else:
        np.dot(observations.T, delta, gradient)


@njit(cache=True, nogil=True)
def _add_bias(out, biases):
    for i in range(out.shape[0]):
        for j in range(biases.size):
            out[i, j] += biases[j]


@njit(cache=True, nogil=True)
def forward(theta, sizes, starts, activation, observations, work):
    """The outputs of the last layer for a batch, [B, sizes[-1]], a view of work; work keeps those of all layers."""
    batch = observations.shape[0]
    last = sizes.size - 2
    flat = layer_outputs(work, sizes, batch, 0)
    out = flat.reshape((batch, sizes[1]))
    _product(observations, layer_weights(theta, sizes, starts, 0), out)
    _add_bias(out, layer_biases(theta, sizes, starts, 0))
    for layer in range(1, last + 1):
        activate(flat, activation)
        below = out
        flat = layer_outputs(work, sizes, batch, layer)
        out = flat.reshape((batch, sizes[layer + 1]))
        np.dot(below, layer_weights(theta, sizes, starts, layer), out)
        _add_bias(out, layer_biases(theta, sizes, starts, layer))
    return out


@njit(cache=True, nogil=True)
def backward(theta, sizes, starts, activation, observations, work, deltas, gradient):
    """Back-propagation: d loss / d theta into gradient [P].

    ``work`` is as `forward` left it for the same observations. ``deltas`` is laid out as work; its last layer holds
    d loss / d output [B, sizes[-1]], and the others are filled here with d loss / d (input of phi).
    """
    batch = observations.shape[0]
    for layer in range(sizes.size - 2, -1, -1):
        flat = layer_outputs(deltas, sizes, batch, layer)
        delta = flat.reshape((batch, sizes[layer + 1]))
        biases = layer_biases(gradient, sizes, starts, layer)
        biases[:] = biases.dtype.type(0)
        for i in range(batch):
            for j in range(biases.size):
                biases[j] += delta[i, j]
        weights = layer_weights(gradient, sizes, starts, layer)
        if layer == 0:
            _product_gradient(observations, delta, weights)
            break
        below = layer_outputs(work, sizes, batch, layer - 1)
        np.dot(below.reshape((batch, sizes[layer])).T, delta, weights)
        delta_below = layer_outputs(deltas, sizes, batch, layer - 1)
        np.dot(delta, layer_weights(theta, sizes, starts, layer).T, delta_below.reshape((batch, sizes[layer])))
        times_derivative(delta_below, below, activation)


@njit(cache=True, nogil=True)
def _accumulate(x, weights, out):
    for i in range(x.size):
        for j in range(out.size):
            out[j] += x[i] * weights[i, j]


@njit(cache=True, nogil=True)
def _row_product(observations, index, weights, out):
    """out += observations[index] @ weights, by loops that always sum in the same order."""
    if observations.ndim == 1:
        row = weights[observations[index]]
        for j in range(out.size):
            out[j] += row[j]
    else:
        _accumulate(observations[index], weights, out)


@njit(cache=True, nogil=True)
def forward_row(theta, sizes, starts, activation, observations, index, work):
    """The outputs [sizes[-1]] of the last layer for observations[index], a view of work."""
    out = layer_outputs(work, sizes, 1, 0)
    out[:] = layer_biases(theta, sizes, starts, 0)
    _row_product(observations, index, layer_weights(theta, sizes, starts, 0), out)
    for layer in range(1, sizes.size - 1):
        activate(out, activation)
        below = out
        out = layer_outputs(work, sizes, 1, layer)
        out[:] = layer_biases(theta, sizes, starts, layer)
        _accumulate(below, layer_weights(theta, sizes, starts, layer), out)
    return out


# --- losses ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def error_loss(error, huber):
    """(loss, d loss / d error), float64: error^2 / 2, or Huber's, which is |error| - 1/2 beyond |error| = 1."""
    if huber and error > 1.0:
        return error - 0.5, 1.0
    if huber and error < -1.0:
        return -error - 0.5, -1.0
    return 0.5 * error * error, error


# --- optimiser ------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def global_norm(gradient):
    """The Euclidean norm of all gradients together, float64; finite wherever they are."""
    norm = math.sqrt(np.dot(gradient, gradient))
    if not math.isfinite(norm):
        total = 0.0
        for i in range(gradient.size):
            total += np.float64(gradient[i]) * np.float64(gradient[i])
        norm = math.sqrt(total)
    return norm


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def mix(target, theta, tau):
    """target <- (1 - tau) target + tau theta; tau = 1 copies."""
    if tau == 1.0:
        target[:] = theta
        return
    kind = theta.dtype.type
    share, rest = kind(tau), kind(1.0 - tau)
    for i in range(target.size):
        target[i] = rest * target[i] + share * theta[i]


@njit(cache=True, nogil=True)
def first_bad_layer(values, starts):
    """The first layer (0 is the first) with a value in ``values`` [P] that is not finite, or -1."""
    for layer in range(starts.size - 1):
        for i in range(starts[layer], starts[layer + 1]):
            if not math.isfinite(values[i]):
                return layer
    return -1
