"""Losses and their derivatives, in float64; and softmax."""

import numpy as np
from numba import njit

from rlgrid.kernels.activations import KERNEL
from rlgrid.kernels.elementary import exp, log


@njit(**KERNEL)
def error_loss(error, huber):
    """(loss, d loss / d error), float64: error^2 / 2, or Huber's, which is |error| - 1/2 beyond |error| = 1."""
    if huber and error > 1.0:
        return error - 0.5, 1.0
    if huber and error < -1.0:
        return -error - 0.5, -1.0
    return 0.5 * error * error, error


@njit(**KERNEL)
def softmax(values, temperature, out):
    """e^(values / temperature), scaled to the sum 1, into out float64 [n]; the largest value is taken off first."""
    largest = np.float64(values[0])
    for i in range(1, values.size):
        largest = max(largest, np.float64(values[i]))
    for i in range(values.size):
        out[i] = exp((np.float64(values[i]) - largest) / temperature)
    total = 0.0  # apart, so that the loop above is vectorised
    for i in range(values.size):
        total += out[i]
    for i in range(values.size):
        out[i] /= total


@njit(**KERNEL)
def cross_entropy(logits, target, slopes):
    """-sum of target * log softmax(logits), both [n]; its derivative by the logits goes into slopes float64 [n].

    ``target`` is a distribution, whose probabilities sum to 1.
    """
    softmax(logits, 1.0, slopes)
    place = 0
    for i in range(1, logits.size):
        place = i if logits[i] > logits[place] else place
    log_total = np.float64(logits[place]) - log(slopes[place])  # of e^logit; the largest has the surest logarithm
    loss = 0.0
    for i in range(logits.size):
        loss += target[i] * (log_total - np.float64(logits[i]))
        slopes[i] -= target[i]
    return loss
