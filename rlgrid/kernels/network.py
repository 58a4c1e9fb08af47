"""A neural network as data: a program of operations over one flat array of weights; forward and backward through it.

Operation l of a dense network computes y_l = phi_l(y_{l-1} W_l + b_l). All weights lie in one flat array ``theta``,
operation after operation: W_l [in, out] in rows, then b_l [out]. ``program``, int64 [L, C], says in each row of what
kind an operation is, of what shape, and where its numbers begin. Gradients and the optimiser's moments are laid out as
theta is.

Observations come as float [B, D], or as integers [B] where they are the states of a Discrete space: the product of a
one-hot row with the first W is a row of it, so that row is read and no one-hot is ever built.

``work`` holds the outputs of the operations for a batch of B, one operation after the other: B rows of each.

Batches go through BLAS (``np.dot``). A single row goes through loops of its own: they are as fast there, and sum in
the same order on every processor. Copies are loops as well, since numba takes long to compile ``a[:] = b``.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE, KERNEL, activate, times_derivative

# Columns of a program. Places in work are per row of the batch: operation l has them from B * OUTPUTS on.
(
    INPUTS,  # numbers that an operation reads of each observation
    UNITS,  # numbers that it gives
    WEIGHTS,  # where its weights begin in theta
    BIASES,  # where they end and its biases begin
    OUTPUTS,  # where its outputs begin in work, and their slopes in deltas
    KEPT,  # where begins in work what else it keeps for the way back
    END,  # where its biases end in theta
    ACTIVATION,
    COLUMNS,  # how many there are
) = range(9)


class Network(NamedTuple):
    """A network, its optimiser's memory and its buffers: P weights, K numbers kept of each observation, batches of B.

    The arrays of floats are all float32 or all float64.
    """

    program: Any  # int64 [L, COLUMNS]
    theta: Any  # float [P]
    gradient: Any  # float [P]
    mean: Any  # float [P], the optimiser's first moment
    square: Any  # float [P], its second moment
    work: Any  # float [B * K]
    deltas: Any  # float [B * K], d loss / d what work holds
    row: Any  # float [K], work for one observation


@njit(**INSIDE)
def block(flat, first, rows, columns):
    """[rows, columns] of a flat array from ``first`` on, a view."""
    return flat[first : first + rows * columns].reshape((rows, columns))


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
def forward(network, theta, observations, work, training, stream):
    """The network with the weights ``theta`` at a batch of observations.

    Args:
        theta: the network's own weights, or others of the same program.
        observations: int [B] or float [B, D].
        work: network.work or network.deltas, or network.row for one observation; takes the outputs of all operations.
        training: whether the network is being trained on these: what is random or learns from its inputs then does so.
        stream: uint64 [4] of `rlgrid.kernels.pcg64`, what is random draws from.

    Returns:
        float [B, units], the outputs of the last operation, a view of work.
    """
    program = network.program
    batch = observations.shape[0]
    out = block(work, 0, batch, program[0, UNITS])
    for op in range(program.shape[0]):
        inputs, units, first = program[op, INPUTS], program[op, UNITS], batch * program[op, OUTPUTS]
        weights = block(theta, program[op, WEIGHTS], inputs, units)
        below = out
        out = block(work, first, batch, units)
        if op == 0:
            _product_with_observations(observations, weights, out)
        else:
            _product(below, weights, out)
        biases = program[op, BIASES]
        for i in range(batch):
            for j in range(units):
                out[i, j] += theta[biases + j]
        kept = work[batch * program[op, KEPT] :]
        activate(work[first : first + batch * units], kept, program[op, ACTIVATION])
    return out


@njit(**INSIDE)
def output_slopes(network, batch):
    """float [B, units]: the place in deltas of d loss / d output, to be filled before `backward`."""
    last = network.program.shape[0] - 1
    return block(network.deltas, batch * network.program[last, OUTPUTS], batch, network.program[last, UNITS])


@njit(**KERNEL)
def backward(network, observations, training):
    """Back-propagation: d loss / d theta into network.gradient.

    network.work is as `forward` left it for the same observations, the network's own weights and the same
    ``training``; `output_slopes` holds d loss / d output. The rest of network.deltas is filled here.
    """
    program, theta, work, deltas, gradient = (
        network.program,
        network.theta,
        network.work,
        network.deltas,
        network.gradient,
    )
    batch = observations.shape[0]
    for op in range(program.shape[0] - 1, -1, -1):
        inputs, units, first = program[op, INPUTS], program[op, UNITS], batch * program[op, OUTPUTS]
        last, kept = first + batch * units, work[batch * program[op, KEPT] :]
        times_derivative(deltas[first:last], work[first:last], kept, program[op, ACTIVATION])
        delta = block(deltas, first, batch, units)
        biases = program[op, BIASES]
        for j in range(units):
            gradient[biases + j] = 0
        for i in range(batch):
            for j in range(units):
                gradient[biases + j] += delta[i, j]
        slope = block(gradient, program[op, WEIGHTS], inputs, units)
        if op == 0:
            _product_gradient(observations, delta, slope)
            return
        below = batch * program[op - 1, OUTPUTS]
        np.dot(block(work, below, batch, inputs).T, delta, slope)
        weights = block(theta, program[op, WEIGHTS], inputs, units)
        np.dot(delta, weights.T, block(deltas, below, batch, inputs))


@njit(**KERNEL)
def first_bad_op(values, program):
    """The first operation (0 is the first) with a value in ``values`` [P] that is not finite, or -1."""
    for op in range(program.shape[0]):
        for i in range(program[op, WEIGHTS], program[op, END]):
            if not math.isfinite(values[i]):
                return op
    return -1
