"""Networks with a memory: LSTM and GRU layers among dense ones, forward over sequences and backward through time.

A network reads B sequences of T observations side by side, time after time: row t * B + b of a block is sequence b at
time t. Each operation reads the whole block of the one before. A dense operation treats its rows alike; a recurrent
one computes the part of its gates that comes from below for all rows at once, and then goes through time:

    LSTM (Hochreiter & Schmidhuber 1997; forget gates: Gers, Schmidhuber & Cummins 2000)
        a_t = W x_t + b + U h_{t-1} + d, in four parts;  i, f, o = sigmoid, g = tanh of their parts
        c_t = f c_{t-1} + i g        h_t = o tanh c_t
    GRU (Cho et al. 2014, in the form that multiplies after the product, as PyTorch and cuDNN do)
        r, z = sigmoid(W x_t + b + U h_{t-1} + d), their parts
        n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + d_n))        h_t = (1 - z) n + z h_{t-1}

The order of the parts, i f g o and r z n, is PyTorch's. The state of a network is a row of numbers: h of each
recurrent operation, and c behind it where there is one; all 0 at the beginning of an episode. What the backward pass
carries from a time to the one before is cut off where the loss of a sequence begins: what lies before (burn-in) only
makes the state (Kapturowski et al. 2019, Recurrent experience replay in distributed reinforcement learning, ICLR).

Weights lie in one flat array, operation after operation: W [in, G units] in rows, b [G units], and of a recurrent one
U [units, G units] and d [G units]. The program's columns are those of `rlgrid.kernels.program`.
"""

from typing import Any, NamedTuple

from numba import njit

from rlgrid.kernels.activations import INSIDE, KERNEL, SIGMOID, TANH, activate, times_derivative
from rlgrid.kernels.dense import add_to_rows, rows_of, sum_of_rows
from rlgrid.kernels.elementary import tanh
from rlgrid.kernels.products import affine, times_transposed, transposed_times
from rlgrid.kernels.program import (
    ACTIVATION,
    BIASES,
    DENSE,
    INPUTS,
    KEPT,
    KIND,
    OUTPUTS,
    STATISTICS,
    UNITS,
    WEIGHTS,
    block,
)

LSTM, GRU = 100, 101  # kinds of operations, beside those of `rlgrid.kernels.program`
GATES = {LSTM: 4, GRU: 3}
STATE = STATISTICS  # the column that says where the state of a recurrent operation begins in a row of states


class RecurrentNetwork(NamedTuple):
    """A network, its optimiser's memory and its buffers: P weights, K numbers kept of a row, S of a state, N rows.

    Of a recurrent operation a row keeps, from its KEPT on: gates [G units], the part of them that comes from the state
    [G units], the state h that it found [units], and c after it [units].
    """

    program: Any  # int64 [L, COLUMNS]
    theta: Any  # float [P]
    gradient: Any  # float [P]
    mean: Any  # float [P], of the optimiser
    square: Any  # float [P]
    shift: Any  # float [D], what is taken off observations that are vectors,
    scale: Any  # float [D], and what they are then multiplied by
    work: Any  # float [N * K]
    deltas: Any  # float [N * K], d loss / d what work holds
    row: Any  # float [K], work for a single observation
    scratch: Any  # float, the largest matrix of weights, and four times the units of a batch


@njit(**INSIDE)
def _width(row):
    """The numbers that W gives: all gates of a recurrent operation."""
    return row[UNITS] * (4 if row[KIND] == LSTM else 3 if row[KIND] == GRU else 1)


@njit(**INSIDE)
def _parts(row, rows):
    """Where in work the four blocks of a recurrent operation begin: gates, of the state, h before, c."""
    wide = _width(row)
    gates = rows * row[KEPT]
    return gates, gates + rows * wide, gates + 2 * rows * wide, gates + rows * (2 * wide + row[UNITS])


@njit(**INSIDE)
def _through_time(row, theta, batch, rows, start, final, work):
    """A recurrent operation whose gates hold W x + b, from the states ``start`` [B, S]; ``final`` takes the last."""
    units, wide, lstm, at = row[UNITS], _width(row), row[KIND] == LSTM, row[STATE]
    gates_at, hidden_at, before_at, cell_at = _parts(row, rows)
    one = work.dtype.type(1)
    gates, cells = block(work, gates_at, rows, wide), block(work, cell_at, rows, units)
    outputs, before = block(work, rows * row[OUTPUTS], rows, units), block(work, before_at, rows, units)
    recurrent_at = row[BIASES] + wide
    recurrent = block(theta, recurrent_at, units, wide)
    biases = theta[recurrent_at + units * wide : recurrent_at + (units + 1) * wide]
    smooth = wide - units if not lstm else wide  # of a GRU the last part is no gate
    for first in range(0, rows, batch):
        for b in range(batch):
            for k in range(units):
                before[first + b, k] = start[b, at + k] if first == 0 else outputs[first - batch + b, k]
        now = block(work, before_at + first * units, batch, units)
        hidden = block(work, hidden_at + first * wide, batch, wide)
        affine(now, recurrent, biases, hidden)
        for b in range(batch):
            i = first + b
            for k in range(smooth):
                gates[i, k] += hidden[b, k]
            flat = work[gates_at + i * wide : gates_at + (i + 1) * wide]
            if lstm:
                activate(flat[: 2 * units], flat, SIGMOID)
                activate(flat[2 * units : 3 * units], flat, TANH)
                activate(flat[3 * units :], flat, SIGMOID)
                for k in range(units):
                    old = start[b, at + units + k] if first == 0 else cells[i - batch, k]
                    cells[i, k] = flat[units + k] * old + flat[k] * flat[2 * units + k]
                for k in range(units):
                    outputs[i, k] = flat[3 * units + k] * tanh(cells[i, k])
            else:
                activate(flat[: 2 * units], flat, SIGMOID)
                for k in range(units):
                    flat[2 * units + k] += flat[k] * hidden[b, 2 * units + k]
                activate(flat[2 * units :], flat, TANH)
                for k in range(units):
                    z = flat[units + k]
                    outputs[i, k] = (one - z) * flat[2 * units + k] + z * before[i, k]
    for b in range(batch):
        for k in range(units):
            final[b, at + k] = outputs[rows - batch + b, k]
            if lstm:
                final[b, at + units + k] = cells[rows - batch + b, k]


@njit(**INSIDE)
def _slopes_of_lstm(gates, slopes, before, cell, slope, carried):
    """Of one row: d loss / d a into slopes [4 units], from d loss / d h; ``carried`` is of c, after it and before."""
    units, one = before.size, gates.dtype.type(1)
    for k in range(units):
        i, f, g, o = gates[k], gates[units + k], gates[2 * units + k], gates[3 * units + k]
        t = tanh(cell[k])
        of_cell = slope[k] * o * (one - t * t) + carried[k]
        slopes[k] = of_cell * g * i * (one - i)
        slopes[units + k] = of_cell * before[k] * f * (one - f)
        slopes[2 * units + k] = of_cell * i * (one - g * g)
        slopes[3 * units + k] = slope[k] * t * o * (one - o)
        carried[k] = of_cell * f


@njit(**INSIDE)
def _slopes_of_gru(gates, hidden, slopes, of_hidden, before, slope, carried):
    """Of one row: d loss / d its parts from below and from the state [3 units each]; ``carried`` past the gates."""
    units, one = before.size, gates.dtype.type(1)
    for k in range(units):
        r, z, n = gates[k], gates[units + k], gates[2 * units + k]
        new = slope[k] * (one - z) * (one - n * n)
        slopes[k] = new * hidden[2 * units + k] * r * (one - r)
        slopes[units + k] = slope[k] * (before[k] - n) * z * (one - z)
        slopes[2 * units + k] = new
        of_hidden[k], of_hidden[units + k], of_hidden[2 * units + k] = slopes[k], slopes[units + k], r * new
        carried[k] = slope[k] * z


@njit(**INSIDE)
def _back_through_time(network, row, batch, rows, start, burned):
    """From d loss / d h of all rows to d loss / d their gates, and the gradients of U and d."""
    theta, gradient, work, deltas = network.theta, network.gradient, network.work, network.deltas
    units, wide, lstm, at = row[UNITS], _width(row), row[KIND] == LSTM, row[STATE]
    gates_at, hidden_at, before_at, cell_at = _parts(row, rows)
    recurrent_at = row[BIASES] + wide
    recurrent, size = block(theta, recurrent_at, units, wide), units * wide
    gates, hidden = block(work, gates_at, rows, wide), block(work, hidden_at, rows, wide)
    before, cells = block(work, before_at, rows, units), block(work, cell_at, rows, units)
    slopes, of_hidden = block(deltas, gates_at, rows, wide), block(deltas, hidden_at, rows, wide)
    outer = block(deltas, rows * row[OUTPUTS], rows, units)
    room = network.scratch[network.scratch.size - 4 * batch * units :]  # what is carried from a time to the one before:
    back = block(room, 0, batch, units)  # of h through U,
    carried = block(room, batch * units, batch, units)  # of c, or of h past the gates,
    total = block(room, 2 * batch * units, batch, units)  # and d loss / d h in all
    old = block(room, 3 * batch * units, batch, units)  # c before
    for k in range(2 * batch * units):
        room[k] = 0
    for first in range(rows - batch, -1, -batch):
        for b in range(batch):
            i = first + b
            for k in range(units):
                total[b, k] = outer[i, k] + back[b, k]
                if lstm:
                    old[b, k] = start[b, at + units + k] if first == 0 else cells[i - batch, k]
                else:
                    total[b, k] += carried[b, k]
            if lstm:
                _slopes_of_lstm(gates[i], slopes[i], old[b], cells[i], total[b], carried[b])
                for k in range(wide):
                    of_hidden[i, k] = slopes[i, k]
            else:
                _slopes_of_gru(gates[i], hidden[i], slopes[i], of_hidden[i], before[i], total[b], carried[b])
        now = block(deltas, hidden_at + first * wide, batch, wide)
        times_transposed(now, recurrent, back, network.scratch)
        for b in range(batch):
            if first <= burned[b] * batch:
                for k in range(units):
                    back[b, k] = 0
                    carried[b, k] = 0
    transposed_times(before, of_hidden, block(gradient, recurrent_at, units, wide))
    sum_of_rows(of_hidden, gradient[recurrent_at + size : recurrent_at + size + wide])


@njit(**INSIDE)
def forward(network, theta, observations, batch, start, final, work):
    """The network with the weights ``theta`` at sequences of observations.

    Args:
        observations: int [T * B] or numbers [T * B, D], time after time.
        batch: B.
        start, final: float [B, S], the states before the first observations and, to be filled, after the last.
        work: network.work or network.deltas, or network.row for one observation.

    Returns:
        float [T * B, units], the outputs of the last operation, a view of work.
    """
    program, rows = network.program, observations.shape[0]
    for op in range(program.shape[0]):
        row = program[op]
        inputs, wide, kind = row[INPUTS], _width(row), row[KIND]
        weights, biases = block(theta, row[WEIGHTS], inputs, wide), theta[row[BIASES] : row[BIASES] + wide]
        place = rows * (row[OUTPUTS] if kind == DENSE else row[KEPT])
        out = block(work, place, rows, wide)
        if op > 0:
            affine(block(work, rows * program[op - 1, OUTPUTS], rows, inputs), weights, biases, out)
        elif observations.ndim == 1:
            rows_of(observations, weights, biases, out)
        else:
            x = block(work, 0, rows, inputs)
            for i in range(rows):
                for j in range(inputs):
                    x[i, j] = (observations[i, j] - network.shift[j]) * network.scale[j]
            affine(x, weights, biases, out)
        if kind == DENSE:
            activate(work[place : place + rows * wide], work[rows * row[KEPT] :], row[ACTIVATION])
        else:
            _through_time(row, theta, batch, rows, start, final, work)
    return block(work, rows * program[-1, OUTPUTS], rows, program[-1, UNITS])


@njit(**INSIDE)
def output_slopes(network, rows):
    """float [rows, units]: the place in deltas of d loss / d output, to be filled before `backward`."""
    last = network.program[-1]
    return block(network.deltas, rows * last[OUTPUTS], rows, last[UNITS])


@njit(**INSIDE)
def backward(network, observations, batch, start, burned):
    """Back-propagation through time: d loss / d theta into network.gradient.

    network.work is as `forward` left it for the same arguments and the network's own weights; `output_slopes` holds
    d loss / d output. ``burned`` int64 [B] is the time at which each sequence's loss begins: nothing is carried back
    from it to the time before, and slopes of earlier outputs must be 0.
    """
    program, theta, gradient = network.program, network.theta, network.gradient
    work, deltas, rows = network.work, network.deltas, observations.shape[0]
    for op in range(program.shape[0] - 1, -1, -1):
        row = program[op]
        inputs, wide = row[INPUTS], _width(row)
        if row[KIND] == DENSE:
            place = rows * row[OUTPUTS]
            times_derivative(
                deltas[place : place + rows * wide],
                work[place : place + rows * wide],
                work[rows * row[KEPT] :],
                row[ACTIVATION],
            )
        else:
            place = rows * row[KEPT]
            _back_through_time(network, row, batch, rows, start, burned)
        delta = block(deltas, place, rows, wide)
        sum_of_rows(delta, gradient[row[BIASES] : row[BIASES] + wide])
        slope = block(gradient, row[WEIGHTS], inputs, wide)
        if op > 0:
            below = rows * program[op - 1, OUTPUTS]
            transposed_times(block(work, below, rows, inputs), delta, slope)
            weights = block(theta, row[WEIGHTS], inputs, wide)
            times_transposed(delta, weights, block(deltas, below, rows, inputs), network.scratch)
        elif observations.ndim == 1:
            add_to_rows(observations, delta, slope)
        else:
            transposed_times(block(work, 0, rows, inputs), delta, slope)


# --- for Python to call; apart, so that loops do not wait for their wrappers ------------------------------------------


@njit(**KERNEL)
def forward_once(network, theta, observations, batch, start, final):
    """`forward`, into network.work."""
    return forward(network, theta, observations, batch, start, final, network.work)


@njit(**KERNEL)
def backward_once(network, observations, batch, start, burned):
    """`backward`."""
    backward(network, observations, batch, start, burned)
