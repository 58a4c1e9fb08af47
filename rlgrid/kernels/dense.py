"""A dense layer's products with one-hot rows, and the dueling head, forwards and backwards."""

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE
from rlgrid.kernels.products import add_rows


@njit(**INSIDE)
def rows_of(states, weights, biases, out):
    """`rlgrid.kernels.products.affine` of one-hot rows, given as the places of their ones: int [n]."""
    start = biases.reshape((1, biases.size))
    for i in range(states.size):
        add_rows(start, 0, weights, np.int64(states[i]), out, i)


@njit(**INSIDE)
def add_to_rows(states, delta, out):
    """`rlgrid.kernels.products.transposed_times` of one-hot rows."""
    flat = out.reshape(out.size)
    for k in range(flat.size):
        flat[k] = 0
    for i in range(states.size):
        s = np.int64(states[i])
        add_rows(out, s, delta, i, out, s)


@njit(**INSIDE)
def sum_of_rows(delta, out):
    """The gradient of biases."""
    for j in range(out.size):
        out[j] = 0
    for i in range(delta.shape[0]):
        for j in range(out.size):
            out[j] += delta[i, j]


@njit(**INSIDE)
def duel(values, advantages, out):
    """Q(s, a) = V(s) + A(s, a) - mean over b of A(s, b) (Wang et al. 2016, equation 9).

    values [B, Z], advantages and out [B, actions * Z]: of a distribution over Z atoms, each atom by itself.
    """
    atoms = values.shape[1]
    actions = out.shape[1] // atoms
    share = out.dtype.type(1.0 / actions)
    for i in range(out.shape[0]):
        for z in range(atoms):
            total = out.dtype.type(0)
            for a in range(actions):
                total += advantages[i, a * atoms + z]
            shift = values[i, z] - share * total
            for a in range(actions):
                out[i, a * atoms + z] = advantages[i, a * atoms + z] + shift


@njit(**INSIDE)
def duel_back(delta, to_values, to_advantages):
    """The slopes of both streams."""
    atoms = to_values.shape[1]
    actions = delta.shape[1] // atoms
    share = delta.dtype.type(1.0 / actions)
    for i in range(delta.shape[0]):
        for z in range(atoms):
            total = delta.dtype.type(0)
            for a in range(actions):
                total += delta[i, a * atoms + z]
            to_values[i, z] = total
            for a in range(actions):
                to_advantages[i, a * atoms + z] = delta[i, a * atoms + z] - share * total
