"""A network as numbers: the columns of its program, the kinds of its operations, and its arrays.

A program is int64 [L, COLUMNS]: each row is an operation that reads the outputs of an earlier one, or the observations.
Of the images that it reads and gives, rows of pixels come first, then pixels, then channels: [height, width, channels].
"""

from typing import Any, NamedTuple

from numba import njit

from rlgrid.kernels.activations import INSIDE

# Kinds of operations.
(
    DENSE,
    DUELING,
    COPY,
    INPUT,  # the observations as they are
    SCALED,  # (observation - shift) / scale, these constant
    RUNNING,  # (observation - mean) / standard deviation, these learnt from what passes through in training
    CONVOLUTION,
    MAX_POOL,
    AVERAGE_POOL,
    DROPOUT,
    BATCH_NORM,
    MEANS,  # of the distributions that softmax makes of each action's outputs: the last operation
) = range(12)

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
    KIND,
    FROM,  # the operation whose outputs it reads, -1 for the observations
    SECOND,  # of a dueling head: the operation that gives the advantages
    ADDS,  # 1 where the slopes of what it reads are added to those of a later reader
    STATISTICS,  # where begins in theta what it knows of its inputs
    HEIGHT,
    WIDTH,
    CHANNELS,
    OUT_HEIGHT,
    OUT_WIDTH,
    OUT_CHANNELS,
    SIZE,  # of a kernel or a pool: so many pixels by so many
    STRIDE,
    TOP,  # rows of zeros above the image
    LEFT,  # columns of zeros to its left
    CHANNELS_FIRST,  # 1 where observations come as [channels, height, width]
    COLUMNS,  # how many there are
) = range(25)

# Columns of the settings, float64 [L, 2].
RATE = 0  # share of units that dropout silences; share of the present batch in the statistics of batch normalisation
EPSILON = 1  # added to a variance


class Network(NamedTuple):
    """A network of DENSE operations, each of which reads the one before, its optimiser's memory and its buffers.

    P weights, R running statistics, K numbers kept of each observation, batches of B, N observations at a time that
    actions are asked for. The arrays of floats are all float32 or all float64.
    """

    program: Any  # int64 [L, COLUMNS]
    settings: Any  # float64 [L, 2]
    theta: Any  # float [P + R]
    gradient: Any  # float [P]
    mean: Any  # float [P], the optimiser's first moment or velocity
    square: Any  # float [P], its second moment
    work: Any  # float [B * K]
    deltas: Any  # float [B * K], d loss / d what work holds
    row: Any  # float [N * K], work for observations that actions are asked for
    scratch: Any  # float, what an operation needs while it works


class LayeredNetwork(NamedTuple):
    """A network of any operations. A type of its own, so that a plain one need not wait until they are compiled."""

    program: Any  # as of Network
    settings: Any
    theta: Any
    gradient: Any
    mean: Any
    square: Any
    work: Any
    deltas: Any
    row: Any
    scratch: Any


class DistributionalNetwork(NamedTuple):
    """A network whose outputs are the means of distributions, one for each of A actions over Z atoms.

    The inner network gives the logits, [B, A * Z], action by action; its operations are those of ``program`` but the
    last. The arrays that both have are the same ones.
    """

    program: Any  # as of Network, the operation MEANS at the end
    inner: Any  # a Network or a LayeredNetwork
    atoms: Any  # float64 [Z], the returns that are told apart, evenly spaced and rising
    probabilities: Any  # float64 [Z], room for one distribution or its slopes
    targets: Any  # float64 [B, Z], the distributions that those of a batch are moved to
    theta: Any  # as of Network
    gradient: Any
    mean: Any
    square: Any
    work: Any
    deltas: Any
    row: Any


@njit(**INSIDE)
def block(flat, first, rows, columns):
    """[rows, columns] of a flat array from ``first`` on, a view."""
    return flat[first : first + rows * columns].reshape((rows, columns))
