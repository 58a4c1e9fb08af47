"""Forward and backward through a network that is a program over one flat array of weights.

A dense operation l computes y_l = phi_l(y_{l-1} W_l + b_l). All weights lie in one flat array ``theta``, operation
after operation: W_l [in, out] in rows, then b_l [out]; behind them the statistics that are no weights (running means
and variances). ``program`` (`rlgrid.kernels.program`) says in each row of what kind an operation is, of what shape, and
where its numbers begin. Gradients and the optimiser's moments are laid out as the weights are.

Observations come as numbers [B, D], or as integers [B] where they are the states of a Discrete space: the product of a
one-hot row with the first W is a row of it, so that row is read and no one-hot is ever built. A `Network`, which is
dense, reads them as they are, in the type of its weights; a `LayeredNetwork` copies them first and takes any type.

``work`` holds the outputs of the operations for a batch of B, one operation after the other: B rows of each. Copies
are loops, since numba takes long to compile ``a[:] = b``.
"""

import math

from numba import njit
from numba.extending import overload

from rlgrid.kernels.activations import COMPILED, INSIDE, KERNEL, activate, times_derivative
from rlgrid.kernels.dense import add_to_rows, duel, duel_back, rows_of, sum_of_rows
from rlgrid.kernels.distributions import take_means
from rlgrid.kernels.layers import (
    convolve,
    convolve_back,
    drop,
    normalise_batch,
    normalise_batch_back,
    pool,
    pool_back,
    take_in,
)
from rlgrid.kernels.products import THIN, affine, thin_affine, times_transposed, transposed_times
from rlgrid.kernels.program import (
    ACTIVATION,
    ADDS,
    AVERAGE_POOL,
    BATCH_NORM,
    BIASES,
    CONVOLUTION,
    DENSE,
    DROPOUT,
    DUELING,
    END,
    FROM,
    INPUTS,
    KEPT,
    KIND,
    MAX_POOL,
    OUTPUTS,
    RATE,
    SECOND,
    UNITS,
    WEIGHTS,
    DistributionalNetwork,
    LayeredNetwork,
    Network,
    block,
)

# --- dense networks: each operation reads the one before --------------------------------------------------------------


def _forward_dense(network, theta, observations, work, training, stream):
    program, batch = network.program, observations.shape[0]
    out = block(work, 0, batch, program[0, UNITS])
    for op in range(program.shape[0]):
        inputs, units, first = program[op, INPUTS], program[op, UNITS], batch * program[op, OUTPUTS]
        weights, biases = (
            block(theta, program[op, WEIGHTS], inputs, units),
            theta[program[op, BIASES] : program[op, END]],
        )
        below, out = out, block(work, first, batch, units)
        if op > 0 and units < THIN and batch > 1:
            thin_affine(below, weights, biases, out, network.scratch)
        elif op > 0:
            affine(below, weights, biases, out)
        elif observations.ndim == 1:
            rows_of(observations, weights, biases, out)
        else:
            affine(observations, weights, biases, out)
        activate(work[first : first + batch * units], work[batch * program[op, KEPT] :], program[op, ACTIVATION])
    return out


def _backward_dense(network, observations, training):
    program, theta, gradient = network.program, network.theta, network.gradient
    batch, work, deltas = observations.shape[0], network.work, network.deltas
    for op in range(program.shape[0] - 1, -1, -1):
        inputs, units, first = program[op, INPUTS], program[op, UNITS], batch * program[op, OUTPUTS]
        last, kept = first + batch * units, work[batch * program[op, KEPT] :]
        times_derivative(deltas[first:last], work[first:last], kept, program[op, ACTIVATION])
        delta = block(deltas, first, batch, units)
        sum_of_rows(delta, gradient[program[op, BIASES] : program[op, END]])
        slope = block(gradient, program[op, WEIGHTS], inputs, units)
        if op > 0:
            below = batch * program[op - 1, OUTPUTS]
            transposed_times(block(work, below, batch, inputs), delta, slope)
            weights = block(theta, program[op, WEIGHTS], inputs, units)
            times_transposed(delta, weights, block(deltas, below, batch, inputs), network.scratch)
        elif observations.ndim == 1:
            add_to_rows(observations, delta, slope)
        else:
            transposed_times(observations, delta, slope)


# --- networks of any operations ---------------------------------------------------------------------------------------


@njit(**INSIDE)
def _outputs_of(program, op, batch, flat):
    """float [B, units] of an operation in work or deltas."""
    return block(flat, batch * program[op, OUTPUTS], batch, program[op, UNITS])


@njit(**INSIDE)
def _dense(x, row, theta, out):
    weights, biases = block(theta, row[WEIGHTS], row[INPUTS], row[UNITS]), theta[row[BIASES] : row[END]]
    if x.ndim == 1:
        rows_of(x, weights, biases, out)
    else:
        affine(x, weights, biases, out)


@njit(**INSIDE)
def _dense_gradient(x, row, delta, gradient):
    sum_of_rows(delta, gradient[row[BIASES] : row[END]])
    slope = block(gradient, row[WEIGHTS], row[INPUTS], row[UNITS])
    if x.ndim == 1:
        add_to_rows(x, delta, slope)
    else:
        transposed_times(x, delta, slope)


@njit(**INSIDE)
def _activate(program, op, batch, work):
    first, size = batch * program[op, OUTPUTS], batch * program[op, UNITS]
    activate(work[first : first + size], work[batch * program[op, KEPT] :], program[op, ACTIVATION])


@njit(**INSIDE)
def _through_activation(program, op, batch, work, deltas):
    """From d loss / d output of an operation to d loss / d (input of its phi), in place."""
    first, size = batch * program[op, OUTPUTS], batch * program[op, UNITS]
    kept = work[batch * program[op, KEPT] :]
    times_derivative(deltas[first : first + size], work[first : first + size], kept, program[op, ACTIVATION])


@njit(**INSIDE)
def _duel(program, op, batch, work):
    values = _outputs_of(program, program[op, FROM], batch, work)
    advantages = _outputs_of(program, program[op, SECOND], batch, work)
    duel(values, advantages, _outputs_of(program, op, batch, work))


@njit(**INSIDE)
def _duel_back(program, op, batch, deltas):
    to_values = _outputs_of(program, program[op, FROM], batch, deltas)
    to_advantages = _outputs_of(program, program[op, SECOND], batch, deltas)
    duel_back(_outputs_of(program, op, batch, deltas), to_values, to_advantages)


@njit(**INSIDE)
def _slopes_below(network, op, batch):
    """Where the slopes of what an operation reads go: into deltas, or aside if they are to be added there."""
    program = network.program
    below, inputs = program[op, FROM], program[op, INPUTS]
    if program[op, ADDS]:
        return block(network.scratch, network.scratch.size - batch * inputs, batch, inputs)
    return block(network.deltas, batch * program[below, OUTPUTS], batch, inputs)


@njit(**INSIDE)
def _add_slopes(network, op, batch, slopes):
    if network.program[op, ADDS]:
        below = _outputs_of(network.program, network.program[op, FROM], batch, network.deltas)
        for i in range(batch):
            for j in range(below.shape[1]):
                below[i, j] += slopes[i, j]


def _forward_layers(network, theta, observations, work, training, stream):
    program, batch = network.program, observations.shape[0]
    for op in range(program.shape[0]):
        row, out = program[op], _outputs_of(program, op, batch, work)
        kind, source = row[KIND], row[FROM]
        x = _outputs_of(program, max(source, 0), batch, work)
        if source < 0:
            if observations.ndim == 1:
                _dense(observations, row, theta, out)
            else:
                take_in(observations, row, theta, out, training)
        elif kind == DENSE:
            _dense(x, row, theta, out)
        elif kind == DUELING:
            _duel(program, op, batch, work)
        elif kind == CONVOLUTION:
            convolve(x, row, theta, out, network.scratch)
        elif kind in (MAX_POOL, AVERAGE_POOL):
            pool(x, row, out)
        elif kind == DROPOUT:
            kept = block(work, batch * row[KEPT], batch, row[UNITS])
            drop(x, network.settings[op, RATE], out, kept, training, stream)
        elif kind == BATCH_NORM:
            normalise_batch(x, row, network.settings[op], theta, out, training)
        else:
            for i in range(batch):
                for j in range(row[UNITS]):
                    out[i, j] = x[i, j]
        if kind != DROPOUT:
            _activate(program, op, batch, work)
    return _outputs_of(program, program.shape[0] - 1, batch, work)


def _backward_layers(network, observations, training):
    program, batch, work, deltas = network.program, observations.shape[0], network.work, network.deltas
    theta, gradient = network.theta, network.gradient
    for op in range(program.shape[0] - 1, -1, -1):
        row, delta = program[op], _outputs_of(program, op, batch, deltas)
        kind, source = row[KIND], row[FROM]
        if kind != DROPOUT:
            _through_activation(program, op, batch, work, deltas)
        if source < 0:
            if observations.ndim == 1:
                _dense_gradient(observations, row, delta, gradient)
            continue
        if kind == DUELING:
            _duel_back(program, op, batch, deltas)
            continue
        x, slopes = _outputs_of(program, source, batch, work), _slopes_below(network, op, batch)
        wanted = observations.ndim == 1 or program[source, FROM] >= 0  # nobody asks for slopes of observations
        if kind == DENSE:
            _dense_gradient(x, row, delta, gradient)
            if wanted:
                weights = block(theta, row[WEIGHTS], row[INPUTS], row[UNITS])
                times_transposed(delta, weights, slopes, network.scratch)
        elif kind == CONVOLUTION:
            convolve_back(x, row, theta, delta, gradient, slopes, network.scratch, wanted)
        elif kind in (MAX_POOL, AVERAGE_POOL):
            pool_back(x, row, _outputs_of(program, op, batch, work), delta, slopes)
        elif kind == DROPOUT:
            kept = block(work, batch * row[KEPT], batch, row[UNITS])
            for i in range(batch):
                for j in range(row[UNITS]):
                    slopes[i, j] = kept[i, j] * delta[i, j]
        elif kind == BATCH_NORM:
            normalise_batch_back(x, row, network.settings[op], theta, delta, gradient, slopes, training)
        else:
            for i in range(batch):
                for j in range(row[UNITS]):
                    slopes[i, j] = delta[i, j]
        if wanted:
            _add_slopes(network, op, batch, slopes)


# --- distributions ----------------------------------------------------------------------------------------------------


def _forward_means(network, theta, observations, work, training, stream):
    logits = forward(network.inner, theta, observations, work, training, stream)
    means = _outputs_of(network.program, network.program.shape[0] - 1, observations.shape[0], work)
    take_means(logits, network.atoms, network.probabilities, means)
    return means


# --- any of them ------------------------------------------------------------------------------------------------------


_FORWARD = {Network: _forward_dense, LayeredNetwork: _forward_layers, DistributionalNetwork: _forward_means}


def forward(network, theta, observations, work, training, stream):
    """The network with the weights ``theta`` at a batch of observations.

    Args:
        theta: the network's own weights, or others of the same program. What learns from its inputs (running
            statistics) changes in it.
        observations: int [B] or numbers [B, D].
        work: network.work or network.deltas, or network.row for one observation; takes the outputs of all operations.
        training: whether the network is being trained on these: what is random or learns from its inputs then does so.
        stream: uint64 [4] of `rlgrid.kernels.pcg64`, what is random draws from.

    Returns:
        float [B, units], the outputs of the last operation, a view of work.
    """
    return _FORWARD[type(network)](network, theta, observations, work, training, stream)


@overload(forward, jit_options=COMPILED)
def _forward(network, theta, observations, work, training, stream):
    return _FORWARD[network.instance_class]


def backward(network, observations, training):
    """Back-propagation: d loss / d theta into network.gradient.

    network.work is as `forward` left it for the same observations, the network's own weights and the same
    ``training``; `output_slopes` holds d loss / d output. The rest of network.deltas is filled here.
    """
    run = _backward_dense if isinstance(network, Network) else _backward_layers
    run(network, observations, training)


@overload(backward, jit_options=COMPILED)
def _backward(network, observations, training):
    return _backward_dense if network.instance_class is Network else _backward_layers


@njit(**INSIDE)
def output_slopes(network, batch):
    """float [B, units]: the place in deltas of d loss / d output, to be filled before `backward`."""
    return _outputs_of(network.program, network.program.shape[0] - 1, batch, network.deltas)


@njit(**KERNEL)
def first_bad_op(values, program):
    """The first operation (0 is the first) with a value in ``values`` [P] that is not finite, or -1."""
    for op in range(program.shape[0]):
        for i in range(program[op, WEIGHTS], program[op, END]):
            if not math.isfinite(values[i]):
                return op
    return -1


# --- for Python to call; apart, so that loops do not wait for their wrappers ------------------------------------------


@njit(**KERNEL)
def forward_once(network, theta, observations, work, training, stream):
    """`forward`."""
    return forward(network, theta, observations, work, training, stream)


@njit(**KERNEL)
def backward_once(network, observations, training):
    """`backward`."""
    backward(network, observations, training)
