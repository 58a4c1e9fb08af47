"""A dense layer's products with one-hot rows, and the dueling head, forwards and backwards."""

from numba import njit

from rlgrid.kernels.activations import INSIDE


@njit(**INSIDE)
def rows_of(states, weights, biases, out):
    """`rlgrid.kernels.products.affine` of one-hot rows, given as the places of their ones: int [n]."""
    for i in range(states.size):
        for j in range(weights.shape[1]):
            out[i, j] = biases[j] + weights[states[i], j]


@njit(**INSIDE)
def add_to_rows(states, delta, out):
    """`rlgrid.kernels.products.transposed_times` of one-hot rows."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0
    for i in range(states.size):
        for j in range(out.shape[1]):
            out[states[i], j] += delta[i, j]


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
