"""The dense network against numpy written out, and its gradients against finite differences in float64."""

import itertools
import math

import numpy as np
import pytest

from rlgrid.kernels import network as nw

ACTIVATIONS = {
    nw.LINEAR: lambda x: x,
    nw.RELU: lambda x: np.maximum(x, 0),
    nw.TANH: np.tanh,
    nw.SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
    nw.LEAKY_RELU: lambda x: np.where(x < 0, nw.LEAK * x, x),
    nw.ELU: lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    nw.SOFTSIGN: lambda x: x / (1 + np.abs(x)),
}


class Net:
    """A network of random weights with its buffers, and the same one as a list of matrices."""

    def __init__(self, sizes, dtype=np.float64, seed=0, batch=7, discrete=False):
        rng = np.random.default_rng(seed)
        self.sizes = sizes
        self.layout = nw.layout_of(sizes)
        parameters = sum(a * b + b for a, b in itertools.pairwise(sizes))
        self.theta = rng.normal(size=parameters).astype(dtype)
        self.work = np.zeros(batch * sum(sizes[1:]), dtype)
        self.deltas = np.zeros_like(self.work)
        if discrete:
            self.observations = rng.integers(0, sizes[0], batch)
            self.inputs = np.eye(sizes[0])[self.observations]
        else:
            self.observations = rng.normal(size=(batch, sizes[0])).astype(dtype)
            self.inputs = self.observations.astype(np.float64)

    def layers(self, theta):
        for (n_in, n_out), first in zip(itertools.pairwise(self.sizes), self.layout[:, nw.WEIGHTS], strict=True):
            last = first + n_in * n_out
            yield theta[first:last].astype(float).reshape(n_in, n_out), theta[last : last + n_out].astype(float)

    def oracle(self, activation, theta=None):
        y = self.inputs
        layers = list(self.layers(self.theta if theta is None else theta))
        for i, (weights, biases) in enumerate(layers):
            y = y @ weights + biases
            if i < len(layers) - 1:
                y = ACTIVATIONS[activation](y)
        return y

    def forward(self, activation):
        return nw.forward(self.theta, self.layout, activation, self.observations, self.work)


SHAPES = [(5, 3), (5, 8, 3), (4, 16, 8, 2), (6, 5, 7, 9, 4)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("sizes", SHAPES)
def test_forward_is_the_written_out_product(sizes, discrete, activation):
    net = Net(sizes, discrete=discrete)
    expected = net.oracle(activation)
    np.testing.assert_allclose(net.forward(activation), expected, rtol=1e-12, atol=1e-12)
    work = np.zeros(sum(sizes[1:]))
    for i in range(7):
        row = nw.forward(net.theta, net.layout, activation, net.observations[i : i + 1].copy(), work)
        np.testing.assert_allclose(row[0], expected[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("discrete", [False, True])
def test_forward_in_float32(discrete, activation):
    net = Net((6, 16, 16, 4), dtype=np.float32, discrete=discrete)
    out = net.forward(activation)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, net.oracle(activation), rtol=2e-5, atol=2e-5)
    work = np.zeros(36, np.float32)
    row = nw.forward(net.theta, net.layout, activation, net.observations[3:4].copy(), work)
    np.testing.assert_allclose(row[0], out[3], rtol=2e-5, atol=2e-5)


def test_tanh_in_float32_is_right_to_a_few_units_in_the_last_place():
    x = np.concatenate((np.linspace(-12, 12, 20_001), np.geomspace(1e-30, 1, 500))).astype(np.float32)
    y = x.copy()
    nw.activate(y, nw.TANH)
    exact = np.tanh(x.astype(np.float64))
    assert np.max(np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float32))) <= 8
    assert np.all(np.abs(y) <= 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_passes_through_every_activation(activation):
    for dtype in (np.float32, np.float64):
        y = np.array([np.nan, 1.0], dtype)
        nw.activate(y, activation)
        assert np.isnan(y[0])
        assert np.isfinite(y[1])


@pytest.mark.parametrize("huber", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("sizes", SHAPES)
def test_gradients_against_finite_differences(sizes, discrete, activation, huber):
    net = Net(sizes, seed=3, discrete=discrete)
    targets = np.random.default_rng(1).normal(size=(7, sizes[-1]))

    def loss(theta):
        error = net.oracle(activation, theta) - targets
        each = np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5) if huber else error**2 / 2
        return each.sum()

    out = net.forward(activation)
    derivative = np.array([[nw.error_loss(e, huber)[1] for e in row] for row in out - targets])
    net.deltas[-derivative.size :] = derivative.ravel()
    gradient = np.full_like(net.theta, np.nan)
    nw.backward(net.theta, net.layout, activation, net.observations, net.work, net.deltas, gradient)
    # Fourth-order central differences: the truncation error is O(h^4), so 1e-6 is asked of the gradient and not of h.
    h = 1e-3
    numeric = np.empty_like(gradient)
    for i in range(net.theta.size):
        values = []
        for k in (-2, -1, 1, 2):
            theta = net.theta.copy()
            theta[i] += k * h
            values.append(loss(theta))
        numeric[i] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    # A kink (ReLU, leaky ReLU, ELU's and Huber's second derivative) inside the difference spoils that entry: halve h
    # there until it is outside.
    for i in np.flatnonzero(np.abs(numeric - gradient) > 1e-7 * np.maximum(1, np.abs(gradient))):
        for step in (1e-4, 1e-5, 1e-6):
            theta = net.theta.copy()
            theta[i] += step
            above = loss(theta)
            theta[i] -= 2 * step
            numeric[i] = (above - loss(theta)) / (2 * step)
            if abs(numeric[i] - gradient[i]) < 1e-6 * max(1, abs(gradient[i])):
                break
    scale = np.linalg.norm(gradient) + np.linalg.norm(numeric)
    assert scale > 0
    assert np.linalg.norm(gradient - numeric) / scale < 1e-6


def test_the_layout_of_two_layers():
    np.testing.assert_array_equal(nw.layout_of([4, 3, 2]), [[4, 3, 0, 12, 0], [3, 2, 15, 21, 3]])


def test_losses():
    for error in (-3.0, -1.0, -0.2, 0.0, 0.7, 1.0, 5.0):
        assert nw.error_loss(np.float64(error), False) == (error**2 / 2, error)
        loss, slope = nw.error_loss(np.float64(error), True)
        assert loss == pytest.approx(error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5)
        assert slope == np.clip(error, -1, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_is_algorithm_1_of_kingma_and_ba(dtype):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=50).astype(dtype)
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    expected, m, v = theta.astype(np.float64), np.zeros(50), np.zeros(50)
    for t in range(1, 30):
        gradient = rng.normal(size=50).astype(dtype)
        nw.adam(theta, gradient, mean, square, t, 0.01, 0.9, 0.999, 1e-8, 0.5)
        g = 0.5 * gradient.astype(np.float64)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert theta.dtype == dtype
    np.testing.assert_allclose(theta, expected, rtol=1e-10 if dtype == np.float64 else 1e-4)


def test_global_norm_survives_an_overflow_of_float32():
    gradient = np.array([3e30, 4e30], np.float32)
    assert nw.global_norm(gradient) == pytest.approx(5e30, rel=1e-6)
    assert nw.global_norm(np.array([3.0, 4.0])) == 5.0
    assert math.isnan(nw.global_norm(np.array([np.nan, 4.0], np.float32)))


def test_mix_copies_or_moves_a_share():
    target, theta = np.zeros(3, np.float32), np.array([1, 2, 4], np.float32)
    nw.mix(target, theta, 0.25)
    np.testing.assert_array_equal(target, theta / 4)
    nw.mix(target, theta, 1.0)
    np.testing.assert_array_equal(target, theta)


def test_the_first_layer_that_is_not_finite_is_named():
    net = Net((4, 3, 2, 2), dtype=np.float32)
    assert nw.first_bad_layer(net.theta, net.layout) == -1
    net.theta[net.layout[2, nw.WEIGHTS]] = np.inf
    assert nw.first_bad_layer(net.theta, net.layout) == 2
    net.theta[net.layout[2, nw.WEIGHTS] - 1] = np.nan
    assert nw.first_bad_layer(net.theta, net.layout) == 1
