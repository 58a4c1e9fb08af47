"""Optimisers: from the gradient of a network to its next weights, over flat arrays of float32 or float64."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.activations import KERNEL


class Optimiser(NamedTuple):
    """The settings of an optimiser, as numbers; its memory is the network's ``mean`` and ``square``."""

    beta1: float  # of Adam: the share of the first moment that stays at each step
    beta2: float  # the same of the second moment
    epsilon: float  # added to the root of the second moment
    max_norm: float  # gradients are scaled down to this global norm


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
    for i in range(gradient.size):
        g = factor * gradient[i]
        m = keep1 * mean[i] + add1 * g
        v = keep2 * square[i] + add2 * g * g
        mean[i] = m
        square[i] = v
        theta[i] -= rate * m / (kind(math.sqrt(v)) * correction + floor)


@njit(**KERNEL)
def optimise(network, optimiser, step, learning_rate, norm):
    """The step-th update (1 is the first) of the network's weights by its gradient, whose global norm is ``norm``."""
    scale = optimiser.max_norm / norm if norm > optimiser.max_norm else 1.0
    adam(
        network.theta,
        network.gradient,
        network.mean,
        network.square,
        step,
        learning_rate,
        optimiser.beta1,
        optimiser.beta2,
        optimiser.epsilon,
        scale,
    )


@njit(**KERNEL)
def mix(target, theta, tau):
    """target <- (1 - tau) target + tau theta; tau = 1 copies."""
    kind = theta.dtype.type
    share, rest = kind(tau), kind(1.0 - tau)
    for i in range(target.size):
        target[i] = theta[i] if tau == 1.0 else rest * target[i] + share * theta[i]
