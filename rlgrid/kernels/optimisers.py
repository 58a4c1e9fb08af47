"""Optimisers: from the gradient of a network to its next weights, over flat arrays of float32 or float64.

What an optimiser remembers is the network's ``mean`` and ``square``, both 0 at the beginning. The formulas are those of
the papers in the form that PyTorch gives them.
"""

import math
from typing import NamedTuple

from numba import njit
from numba.extending import overload

from rlgrid.kernels.activations import COMPILED, INSIDE, KERNEL
from rlgrid.kernels.products import sum_of_squares

ADAM, SGD, ADAGRAD, ADADELTA, RMSPROP = range(5)  # of the kinds


class Adam(NamedTuple):
    """The settings of Adam alone, a type of its own, so that a network need not wait until the others are compiled."""

    beta1: float  # share of the first moment that stays at each step
    beta2: float  # the same of the second moment
    epsilon: float  # added to the root of the second moment
    max_norm: float  # gradients are scaled down to this global norm


class Optimiser(NamedTuple):
    """The settings of any optimiser, as numbers."""

    kind: int
    beta1: float  # as of Adam; of SGD and RMSprop the momentum
    beta2: float
    epsilon: float  # added to the root of the second moment, or under the root (Adadelta)
    nesterov: bool
    l2: float  # l2 * theta is added to the gradient
    l1: float  # l1 * sign(theta) is added to the gradient
    max_norm: float  # as of Adam
    max_value: float  # gradients are cut off at this size, after that


@njit(**KERNEL)
def global_norm(gradient):
    """The Euclidean norm of all gradients together, float64; finite wherever they are."""
    return math.sqrt(sum_of_squares(gradient))


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


@njit(**INSIDE)
def _limit(theta, gradient, scale, max_value, l2, l1):
    """The gradient scaled, cut off and with the slopes of l2 theta^2 / 2 + l1 |theta| added, in place."""
    kind = theta.dtype.type
    factor, most, decay, pull = kind(scale), kind(max_value), kind(l2), kind(l1)
    for i in range(gradient.size):
        g = factor * gradient[i]
        g = most if g > most else -most if g < -most else g
        g += decay * theta[i]
        g += pull if theta[i] > kind(0) else -pull if theta[i] < kind(0) else kind(0)
        gradient[i] = g


@njit(**INSIDE)
def _descend(theta, gradient, velocity, learning_rate, momentum, nesterov):
    """Stochastic gradient descent with Polyak's or Nesterov's momentum (Sutskever et al. 2013)."""
    kind = theta.dtype.type
    rate, keep = kind(learning_rate), kind(momentum)
    for i in range(gradient.size):
        v = keep * velocity[i] + gradient[i]
        velocity[i] = v
        theta[i] -= rate * (gradient[i] + keep * v if nesterov else v)


@njit(**INSIDE)
def _adadelta(theta, gradient, moved, square, learning_rate, rho, epsilon):
    """Zeiler 2012, algorithm 1; ``moved`` is the mean square of the updates."""
    kind = theta.dtype.type
    rate, keep, add, floor = kind(learning_rate), kind(rho), kind(1.0 - rho), kind(epsilon)
    for i in range(gradient.size):
        g = gradient[i]
        s = keep * square[i] + add * g * g
        move = kind(math.sqrt(moved[i] + floor)) / kind(math.sqrt(s + floor)) * g
        square[i] = s
        moved[i] = keep * moved[i] + add * move * move
        theta[i] -= rate * move


@njit(**INSIDE)
def _scaled_descent(theta, gradient, velocity, square, learning_rate, keep, add, momentum, epsilon):
    """Adagrad (Duchi et al. 2011; keep 1, add 1) and RMSprop (Tieleman & Hinton 2012; with momentum where given)."""
    kind = theta.dtype.type
    rate, old, new, push, floor = kind(learning_rate), kind(keep), kind(add), kind(momentum), kind(epsilon)
    for i in range(gradient.size):
        g = gradient[i]
        s = old * square[i] + new * g * g
        v = push * velocity[i] + g / (kind(math.sqrt(s)) + floor)
        square[i] = s
        velocity[i] = v
        theta[i] -= rate * v


def _optimise_by_adam(network, optimiser, step, learning_rate, norm):
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
        optimiser.max_norm / norm if norm > optimiser.max_norm else 1.0,
    )


def _optimise_by_any(network, optimiser, step, learning_rate, norm):
    theta, gradient, mean, square = network.theta, network.gradient, network.mean, network.square
    beta1, beta2, epsilon = optimiser.beta1, optimiser.beta2, optimiser.epsilon
    scale = optimiser.max_norm / norm if norm > optimiser.max_norm else 1.0
    _limit(theta, gradient, scale, optimiser.max_value, optimiser.l2, optimiser.l1)
    if optimiser.kind == ADAM:
        adam(theta, gradient, mean, square, step, learning_rate, beta1, beta2, epsilon, 1.0)
    elif optimiser.kind == SGD:
        _descend(theta, gradient, mean, learning_rate, beta1, optimiser.nesterov)
    elif optimiser.kind == ADADELTA:
        _adadelta(theta, gradient, mean, square, learning_rate, beta2, epsilon)
    elif optimiser.kind == ADAGRAD:
        _scaled_descent(theta, gradient, mean, square, learning_rate, 1.0, 1.0, 0.0, epsilon)
    else:
        _scaled_descent(theta, gradient, mean, square, learning_rate, beta2, 1.0 - beta2, beta1, epsilon)


def optimise(network, optimiser, step, learning_rate, norm):
    """The step-th update (1 is the first) of the network's weights by its gradient, whose global norm is ``norm``."""
    run = _optimise_by_adam if isinstance(optimiser, Adam) else _optimise_by_any
    run(network, optimiser, step, learning_rate, norm)


@overload(optimise, jit_options=COMPILED)
def _optimise(network, optimiser, step, learning_rate, norm):
    return _optimise_by_adam if optimiser.instance_class is Adam else _optimise_by_any


@njit(**KERNEL)
def mix(network, target, tau):
    """target <- (1 - tau) target + tau theta; tau = 1 copies. Statistics, which are no weights, are always copied."""
    theta = network.theta
    kind, weights = theta.dtype.type, network.gradient.size
    share, rest = kind(tau), kind(1.0 - tau)
    for i in range(target.size):
        target[i] = theta[i] if tau == 1.0 or i >= weights else rest * target[i] + share * theta[i]


@njit(**KERNEL)
def optimise_once(network, optimiser, step, learning_rate, norm):
    """`optimise`, for Python to call."""
    optimise(network, optimiser, step, learning_rate, norm)
