"""What the operations of a network other than the dense one compute, forwards and backwards.

Each function takes its row of the program, blocks [B, numbers of an observation] of what it reads and gives, and of
their slopes d loss / d number. Images are [height, width, channels] in rows.
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE
from rlgrid.kernels.pcg64 import uniform
from rlgrid.kernels.products import affine, times_transposed, transposed_times
from rlgrid.kernels.program import (
    BIASES,
    CHANNELS,
    CHANNELS_FIRST,
    EPSILON,
    HEIGHT,
    INPUTS,
    KIND,
    LEFT,
    MAX_POOL,
    OUT_CHANNELS,
    OUT_HEIGHT,
    OUT_WIDTH,
    RATE,
    RUNNING,
    SCALED,
    SIZE,
    STATISTICS,
    STRIDE,
    TOP,
    UNITS,
    WEIGHTS,
    WIDTH,
    block,
)

FARTHEST = (
    10.0  # standard deviations: normalised observations beyond are cut off, against the first ones' small samples
)
LEAST_VARIANCE = 1e-8

# --- observations -----------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def _watch(observations, count, mean, variance):
    """Add a batch to running means and variances (Chan, Golub & LeVeque 1979); observations [B, D], count [1]."""
    batch = observations.shape[0]
    before = np.float64(count[0])
    total = before + batch
    for j in range(mean.size):
        its_mean = 0.0
        for i in range(batch):
            its_mean += np.float64(observations[i, j])
        its_mean /= batch
        squares = 0.0
        for i in range(batch):
            rest = np.float64(observations[i, j]) - its_mean
            squares += rest * rest
        step = its_mean - np.float64(mean[j])
        squares += before * np.float64(variance[j]) + step * step * before * batch / total
        mean[j] += step * batch / total
        variance[j] = squares / total
    count[0] = total


@njit(**INSIDE)
def take_in(observations, row, theta, out, training):
    """Observations of any type of number, as the program asks for them, into out [B, D]."""
    kind, units = row[KIND], row[UNITS]
    channels, pixels = row[CHANNELS], row[HEIGHT] * row[WIDTH]
    for i in range(observations.shape[0]):
        if row[CHANNELS_FIRST]:
            for channel in range(channels):
                for pixel in range(pixels):
                    out[i, pixel * channels + channel] = observations[i, channel * pixels + pixel]
        else:
            for j in range(units):
                out[i, j] = observations[i, j]
    first = row[STATISTICS]
    shift, scale = theta[first : first + units], theta[first + units : first + 2 * units]
    if kind == SCALED:
        for i in range(out.shape[0]):
            for j in range(units):
                out[i, j] = (out[i, j] - shift[j]) / scale[j]
    elif kind == RUNNING:
        if training:
            _watch(out, theta[first + 2 * units : first + 2 * units + 1], shift, scale)
        for i in range(out.shape[0]):
            for j in range(units):
                away = np.float64(out[i, j] - shift[j]) / math.sqrt(np.float64(scale[j]) + LEAST_VARIANCE)
                out[i, j] = FARTHEST if away > FARTHEST else -FARTHEST if away < -FARTHEST else away


# --- convolution and pooling ------------------------------------------------------------------------------------------


@njit(**INSIDE)
def _patches(x, row, columns):
    """Of an image x, flat, the patch that each output pixel sees, zeros outside: [pixels, size * size * channels]."""
    size, channels, width = row[SIZE], row[CHANNELS], row[WIDTH]
    for r in range(row[OUT_HEIGHT]):
        for c in range(row[OUT_WIDTH]):
            patch = columns[r * row[OUT_WIDTH] + c]
            place = 0
            for y in range(r * row[STRIDE] - row[TOP], r * row[STRIDE] - row[TOP] + size):
                for z in range(c * row[STRIDE] - row[LEFT], c * row[STRIDE] - row[LEFT] + size):
                    inside = 0 <= y < row[HEIGHT] and 0 <= z < width
                    first = (y * width + z) * channels
                    for channel in range(channels):
                        patch[place + channel] = x[first + channel] if inside else 0
                    place += channels


@njit(**INSIDE)
def _add_patches(columns, row, x):
    """The reverse of `_patches`: every number of a patch is added to the pixel that it came from."""
    size, channels, width = row[SIZE], row[CHANNELS], row[WIDTH]
    for r in range(row[OUT_HEIGHT]):
        for c in range(row[OUT_WIDTH]):
            patch = columns[r * row[OUT_WIDTH] + c]
            place = 0
            for y in range(r * row[STRIDE] - row[TOP], r * row[STRIDE] - row[TOP] + size):
                for z in range(c * row[STRIDE] - row[LEFT], c * row[STRIDE] - row[LEFT] + size):
                    if 0 <= y < row[HEIGHT] and 0 <= z < width:
                        first = (y * width + z) * channels
                        for channel in range(channels):
                            x[first + channel] += patch[place + channel]
                    place += channels


@njit(**INSIDE)
def convolve(x, row, theta, out, scratch):
    """A convolution (the cross-correlation that the field calls so), image by image: patches times weights."""
    pixels, filters = row[OUT_HEIGHT] * row[OUT_WIDTH], row[OUT_CHANNELS]
    depth = row[SIZE] * row[SIZE] * row[CHANNELS]
    columns = block(scratch, 0, pixels, depth)
    weights = block(theta, row[WEIGHTS], depth, filters)
    for i in range(x.shape[0]):
        _patches(x[i], row, columns)
        affine(columns, weights, theta[row[BIASES] : row[BIASES] + filters], out[i].reshape((pixels, filters)))


@njit(**INSIDE)
def convolve_back(x, row, theta, delta, gradient, below, scratch, wanted):
    """Its gradient, and where ``wanted`` the slopes of what it reads, into below."""
    pixels, filters = row[OUT_HEIGHT] * row[OUT_WIDTH], row[OUT_CHANNELS]
    depth = row[SIZE] * row[SIZE] * row[CHANNELS]
    columns = block(scratch, 0, pixels, depth)
    room = scratch[pixels * depth : pixels * depth + depth * filters]
    weights = block(theta, row[WEIGHTS], depth, filters)
    slope = gradient[row[WEIGHTS] : row[BIASES]]
    for k in range(row[WEIGHTS], row[BIASES] + filters):
        gradient[k] = 0
    for i in range(x.shape[0]):
        above = delta[i].reshape((pixels, filters))
        for p in range(pixels):
            for f in range(filters):
                gradient[row[BIASES] + f] += above[p, f]
        _patches(x[i], row, columns)
        transposed_times(columns, above, room.reshape((depth, filters)))
        for k in range(room.size):
            slope[k] += room[k]
        if wanted:
            times_transposed(above, weights, columns, room)
            for k in range(row[INPUTS]):
                below[i, k] = 0
            _add_patches(columns, row, below[i])


@njit(**INSIDE)
def pool(x, row, out):
    """The largest or the mean number of each pool, channel by channel."""
    size, channels, width, kind = row[SIZE], row[CHANNELS], row[WIDTH], out.dtype.type
    share = kind(1.0 / (size * size))
    for i in range(x.shape[0]):
        for r in range(row[OUT_HEIGHT]):
            for c in range(row[OUT_WIDTH]):
                for channel in range(channels):
                    first = (r * row[STRIDE] * width + c * row[STRIDE]) * channels + channel
                    largest, total = x[i, first], kind(0)
                    for y in range(size):
                        for z in range(size):
                            value = x[i, first + (y * width + z) * channels]
                            largest = value if value > largest else largest
                            total += value
                    here = (r * row[OUT_WIDTH] + c) * channels + channel
                    out[i, here] = largest if row[KIND] == MAX_POOL else share * total


@njit(**INSIDE)
def pool_back(x, row, out, delta, below):
    """A mean spreads its slope evenly; a maximum hands it to the first of the largest numbers."""
    size, channels, width, kind = row[SIZE], row[CHANNELS], row[WIDTH], out.dtype.type
    share = kind(1.0 / (size * size))
    for i in range(x.shape[0]):
        for k in range(row[INPUTS]):
            below[i, k] = 0
        for r in range(row[OUT_HEIGHT]):
            for c in range(row[OUT_WIDTH]):
                for channel in range(channels):
                    first = (r * row[STRIDE] * width + c * row[STRIDE]) * channels + channel
                    here = (r * row[OUT_WIDTH] + c) * channels + channel
                    left = True
                    for y in range(size):
                        for z in range(size):
                            place = first + (y * width + z) * channels
                            if row[KIND] != MAX_POOL:
                                below[i, place] += share * delta[i, here]
                            elif left and x[i, place] == out[i, here]:
                                below[i, place] += delta[i, here]
                                left = False


# --- dropout and batch normalisation ----------------------------------------------------------------------------------


@njit(**INSIDE)
def drop(x, rate, out, kept, training, stream):
    """Dropout (Srivastava et al. 2014): a share of the units is silent, what is left is scaled up to the same mean.

    One uniform for each number. ``kept`` [B, units] takes the factors 0 or 1 / (1 - rate).
    """
    kind = out.dtype.type
    louder = kind(1.0 / (1.0 - rate))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            factor = kind(1)
            if training:
                factor = louder if uniform(stream) >= rate else kind(0)
            kept[i, j] = factor
            out[i, j] = factor * x[i, j]


@njit(**INSIDE)
def _moments(x, features, f):
    """(mean, variance) of a feature over a batch and all of its pixels; x [B, pixels * features]."""
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(f, x.shape[1], features):
            total += np.float64(x[i, j])
    count = x.shape[0] * (x.shape[1] // features)
    mean = total / count
    squares = 0.0
    for i in range(x.shape[0]):
        for j in range(f, x.shape[1], features):
            rest = np.float64(x[i, j]) - mean
            squares += rest * rest
    return mean, squares / count


@njit(**INSIDE)
def normalise_batch(x, row, settings, theta, out, training):
    """Batch normalisation (Ioffe & Szegedy 2015, algorithm 1) of each channel, or of each unit of a vector.

    In training by the batch's own mean and variance, which move the running ones by a share; else by the running ones.
    The running variance is the unbiased estimate, as in PyTorch.
    """
    features, kind = row[OUT_CHANNELS], out.dtype.type
    count = x.shape[0] * (x.shape[1] // features)
    for f in range(features):
        at_mean = row[STATISTICS] + f
        at_variance = at_mean + features
        if training:
            mean, variance = _moments(x, features, f)
            unbiased = variance * count / max(1, count - 1)
            theta[at_mean] += settings[RATE] * (mean - np.float64(theta[at_mean]))
            theta[at_variance] += settings[RATE] * (unbiased - np.float64(theta[at_variance]))
        else:
            mean, variance = np.float64(theta[at_mean]), np.float64(theta[at_variance])
        scale = kind(1.0 / math.sqrt(variance + settings[EPSILON]))
        centre = kind(mean)
        for i in range(x.shape[0]):
            for j in range(f, x.shape[1], features):
                out[i, j] = theta[row[WEIGHTS] + f] * (scale * (x[i, j] - centre)) + theta[row[BIASES] + f]


@njit(**INSIDE)
def normalise_batch_back(x, row, settings, theta, delta, gradient, below, training):
    """Its gradient and slopes: in training mean and variance depend on every number of the batch."""
    features, kind = row[OUT_CHANNELS], delta.dtype.type
    count = x.shape[0] * (x.shape[1] // features)
    for f in range(features):
        if training:
            mean, variance = _moments(x, features, f)
        else:
            mean = np.float64(theta[row[STATISTICS] + f])
            variance = np.float64(theta[row[STATISTICS] + features + f])
        scale = 1.0 / math.sqrt(variance + settings[EPSILON])
        total, product = 0.0, 0.0
        for i in range(x.shape[0]):
            for j in range(f, x.shape[1], features):
                slope = np.float64(delta[i, j])
                total += slope
                product += slope * scale * (np.float64(x[i, j]) - mean)
        gradient[row[WEIGHTS] + f] = product
        gradient[row[BIASES] + f] = total
        weight = np.float64(theta[row[WEIGHTS] + f]) * scale
        shift, tilt = (total / count, scale * product / count) if training else (0.0, 0.0)
        for i in range(x.shape[0]):
            for j in range(f, x.shape[1], features):
                below[i, j] = kind(weight * (np.float64(delta[i, j]) - shift - tilt * (np.float64(x[i, j]) - mean)))
