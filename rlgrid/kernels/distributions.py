"""Distributions of returns over atoms z_1 < ... < z_Z, evenly spaced, as softmax makes them of a network's outputs.

Bellemare, Dabney & Munos 2017 (ICML), A distributional perspective on reinforcement learning: the mean of each action's
distribution is its value, and a target is a distribution too, that of r + gamma z, projected onto the atoms.
"""

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE, KERNEL
from rlgrid.kernels.elementary import log
from rlgrid.kernels.losses import cross_entropy, softmax


@njit(**INSIDE)
def take_means(logits, atoms, probabilities, out):
    """The means of the distributions softmax(logits [B, A * Z]), action by action, into out [B, A].

    ``probabilities`` float64 [Z] is room.
    """
    for i in range(out.shape[0]):
        for a in range(out.shape[1]):
            softmax(logits[i, a * atoms.size : (a + 1) * atoms.size], 1.0, probabilities)
            mean = 0.0
            for z in range(atoms.size):
                mean += probabilities[z] * atoms[z]
            out[i, a] = mean


@njit(**KERNEL)
def project(probabilities, atoms, reward, discount, low, high, out):
    """The distribution of reward + discount z, held between low and high, on the atoms themselves: into out [Z].

    What falls between two atoms is shared by both, in proportion to its nearness (equation 7). ``low`` and ``high``
    are within the atoms.

    Returns:
        its mean.
    """
    last = atoms.size - 1
    width = (atoms[last] - atoms[0]) / last
    for z in range(atoms.size):
        out[z] = 0.0
    mean = 0.0
    for z in range(atoms.size):
        value = reward + discount * atoms[z]
        value = value if value > low else low  # so that even NaN has a place
        value = value if value < high else high
        place = min((value - atoms[0]) / width, np.float64(last))
        below = min(np.int64(place), last - 1)
        above = probabilities[z] * (place - below)
        out[below] += probabilities[z] - above
        out[below + 1] += above
        mean += probabilities[z] * value
    return mean


@njit(**KERNEL)
def fit(logits, target, atoms, slopes):
    """The cross-entropy of softmax(logits) [Z] against ``target`` [Z]; its slopes go into slopes float64 [Z].

    Returns:
        (loss, mean of softmax(logits) less that of the target).
    """
    loss = cross_entropy(logits, target, slopes)
    error = 0.0
    for z in range(atoms.size):
        error += slopes[z] * atoms[z]  # a slope is the one probability less the other
    return loss, error


@njit(**INSIDE)
def entropy(probabilities):
    """-sum of p log p."""
    total = 0.0
    for p in probabilities:
        if p > 0.0:
            total -= p * log(p)
    return total
