"""Products of matrices against sums written out, to the last bit, and the same bits on other processors."""

import hashlib

import numpy as np
import pytest
import test_elementary
from machines import on_every_machine

from rlgrid.kernels.products import affine, sum_of_squares, thin_affine, times_transposed, transposed_times

SHAPES = [
    (64, 64, 64),
    (64, 4, 64),
    (64, 64, 2),
    (1, 64, 3),
    (7, 5, 23),
    (13, 1, 81),
    (3, 33, 1),
    (6, 2, 16),
    (2, 0, 5),
]
DTYPES = [np.float32, np.float64]


def matrices(n, k, m, dtype):
    """x [n, k], weights [k, m], biases [m] and delta [n, m] of numbers that PCG64 alone decides."""
    rng = np.random.default_rng([n, k, m])
    return [(2 * rng.random(shape) - 1).astype(dtype) for shape in ((n, k), (k, m), m, (n, m))]


def written_out(start, left, right):
    """start + left @ right, one term after the other, each operation rounded."""
    total = start.copy()
    for k in range(left.shape[1]):
        total += left[:, k : k + 1] * right[k]
    return total


def outputs(n, k, m, dtype):
    """What the three products give, in arrays that were full of something else."""
    x, weights, biases, delta = matrices(n, k, m, dtype)
    forward, gradient, behind = np.full((n, m), 7, dtype), np.full((k, m), 7, dtype), np.full((n, k), 7, dtype)
    affine(x, weights, biases, forward)
    transposed_times(x, delta, gradient)
    times_transposed(delta, weights, behind, np.empty(k * m, dtype))
    return forward, gradient, behind


def golden():
    """A hash of the products of all shapes."""
    digest = hashlib.sha256()
    for dtype in DTYPES:
        for shape in SHAPES:
            for out in outputs(*shape, dtype):
                digest.update(out.tobytes())
    return digest.hexdigest()


GOLDEN = "9e2d04e4f97fcf49a8f375911a15d913e8c31b5912dea43ae682ef20fdf6157e"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (41, 19, 3), (37, 70, 50)])
def test_products_are_the_sums_written_out(shape, dtype):
    n, k, m = shape
    x, weights, biases, delta = matrices(*shape, dtype)
    forward, gradient, behind = outputs(*shape, dtype)
    np.testing.assert_array_equal(forward, written_out(np.tile(biases, (n, 1)), x, weights), strict=True)
    thin = np.full((n, m), 7, dtype)
    thin_affine(x, weights, biases, thin, np.empty(n * k, dtype))
    np.testing.assert_array_equal(thin, forward, strict=True)
    np.testing.assert_array_equal(gradient, written_out(np.zeros((k, m), dtype), x.T, delta), strict=True)
    np.testing.assert_array_equal(behind, written_out(np.zeros((n, k), dtype), delta, weights.T), strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 31, 32, 100, 4_610])
def test_the_sum_of_squares_is_of_32_sums(size, dtype):
    x = (2 * np.random.default_rng(size).random(size) - 1).astype(dtype)
    parts = np.zeros(32)
    for i, number in enumerate(x.astype(np.float64)):
        parts[i % 32] += number * number
    assert sum_of_squares(x) == sum(parts.tolist())
    assert np.isclose(sum_of_squares(x), float(np.dot(x, x)), rtol=1e-4)


def test_the_bits_are_the_same_everywhere():
    assert golden() == GOLDEN


@pytest.mark.slow
def test_the_bits_are_the_same_on_processors_of_other_vectors():
    program = "import test_elementary, test_products\nprint(test_products.golden(), test_elementary.golden())"
    seen = 0
    for machine, printed in on_every_machine(program):
        assert printed.split() == [GOLDEN, test_elementary.GOLDEN], machine
        seen += 1
    assert seen > 0
