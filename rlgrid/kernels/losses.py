"""Losses of one output and their derivatives, in float64."""

from numba import njit

from rlgrid.kernels.activations import KERNEL


@njit(**KERNEL)
def error_loss(error, huber):
    """(loss, d loss / d error), float64: error^2 / 2, or Huber's, which is |error| - 1/2 beyond |error| = 1."""
    if huber and error > 1.0:
        return error - 0.5, 1.0
    if huber and error < -1.0:
        return -error - 0.5, -1.0
    return 0.5 * error * error, error
