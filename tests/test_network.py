"""The dense network against numpy written out, and its gradients against finite differences in float64."""

import itertools
import math

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from rlgrid.agents.architecture import architecture_of
from rlgrid.kernels import activations as nw
from rlgrid.kernels.losses import error_loss
from rlgrid.kernels.network import backward, first_bad_op, forward
from rlgrid.kernels.optimisers import adam, global_norm, mix
from rlgrid.kernels.program import OUTPUTS, WEIGHTS

STREAM = np.zeros(4, np.uint64)
ACTIVATIONS = {
    nw.LINEAR: lambda x: x,
    nw.RELU: lambda x: np.maximum(x, 0),
    nw.TANH: np.tanh,
    nw.SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
    nw.LEAKY_RELU: lambda x: np.where(x < 0, nw.LEAK * x, x),
    nw.ELU: lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    nw.SOFTSIGN: lambda x: x / (1 + np.abs(x)),
    nw.SWISH: lambda x: x / (1 + np.exp(-x)),
}


class Net:
    """A network of random weights with its buffers, and the same one as a list of matrices."""

    def __init__(self, sizes, activation=nw.RELU, dtype=np.float64, seed=0, batch=7, discrete=False):
        rng = np.random.default_rng(seed)
        self.sizes, self.activation = sizes, activation
        space = Discrete(sizes[0]) if discrete else Box(-1, 1, (sizes[0],))
        names = ("linear", "relu", "tanh", "sigmoid", "leaky_relu", "elu", "softsign", "swish")
        kwargs = {"net_arch": list(sizes[1:-1]), "activation_fn": names[activation]}
        architecture = architecture_of(kwargs, space, sizes[-1])
        self.network = architecture.network(rng.normal(size=architecture.parameters), batch, dtype)
        self.program, self.theta = self.network.program, self.network.theta
        if discrete:
            self.observations = rng.integers(0, sizes[0], batch)
            self.inputs = np.eye(sizes[0])[self.observations]
        else:
            self.observations = rng.normal(size=(batch, sizes[0])).astype(dtype)
            self.inputs = self.observations.astype(np.float64)

    def layers(self, theta):
        for (n_in, n_out), first in zip(itertools.pairwise(self.sizes), self.program[:, WEIGHTS], strict=True):
            last = first + n_in * n_out
            yield theta[first:last].astype(float).reshape(n_in, n_out), theta[last : last + n_out].astype(float)

    def oracle(self, theta=None):
        y = self.inputs
        layers = list(self.layers(self.theta if theta is None else theta))
        for i, (weights, biases) in enumerate(layers):
            y = y @ weights + biases
            if i < len(layers) - 1:
                y = ACTIVATIONS[self.activation](y)
        return y

    def forward(self):
        return forward(self.network, self.theta, self.observations, self.network.work, True, STREAM)

    def slopes(self):
        """As output_slopes has them, which only kernels can call."""
        rows, units = len(self.observations), self.sizes[-1]
        return self.network.deltas[rows * self.program[-1, OUTPUTS] :][: rows * units].reshape(rows, units)

    def row(self, i):
        return forward(self.network, self.theta, self.observations[i : i + 1].copy(), self.network.row, False, STREAM)[
            0
        ]


SHAPES = [(5, 3), (5, 8, 3), (4, 16, 8, 2), (6, 5, 7, 9, 4)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("sizes", SHAPES)
def test_forward_is_the_written_out_product(sizes, discrete, activation):
    net = Net(sizes, activation, discrete=discrete)
    expected = net.oracle()
    np.testing.assert_allclose(net.forward(), expected, rtol=1e-12, atol=1e-12)
    for i in range(7):
        np.testing.assert_allclose(net.row(i), expected[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("discrete", [False, True])
def test_forward_in_float32(discrete, activation):
    net = Net((6, 16, 16, 4), activation, dtype=np.float32, discrete=discrete)
    out = net.forward()
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, net.oracle(), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(net.row(3), out[3], rtol=2e-5, atol=2e-5)


def test_tanh_in_float32_is_right_to_a_few_units_in_the_last_place():
    x = np.concatenate((np.linspace(-12, 12, 20_001), np.geomspace(1e-30, 1, 500))).astype(np.float32)
    y = x.copy()
    nw.activate(y, np.empty_like(y), nw.TANH)
    exact = np.tanh(x.astype(np.float64))
    assert np.max(np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float32))) <= 8
    assert np.all(np.abs(y) <= 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_passes_through_every_activation(activation):
    for dtype in (np.float32, np.float64):
        y = np.array([np.nan, 1.0], dtype)
        nw.activate(y, np.empty_like(y), activation)
        assert np.isnan(y[0])
        assert np.isfinite(y[1])


@pytest.mark.parametrize("huber", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("sizes", SHAPES)
def test_gradients_against_finite_differences(sizes, discrete, activation, huber):
    net = Net(sizes, activation, seed=3, discrete=discrete)
    targets = np.random.default_rng(1).normal(size=(7, sizes[-1]))

    def loss(theta):
        error = net.oracle(theta) - targets
        each = np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5) if huber else error**2 / 2
        return each.sum()

    out = net.forward()
    net.slopes()[...] = [[error_loss(e, huber)[1] for e in row] for row in out - targets]
    gradient = net.network.gradient
    gradient[:] = np.nan
    backward(net.network, net.observations, True)
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


def test_losses():
    for error in (-3.0, -1.0, -0.2, 0.0, 0.7, 1.0, 5.0):
        assert error_loss(np.float64(error), False) == (error**2 / 2, error)
        loss, slope = error_loss(np.float64(error), True)
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
        adam(theta, gradient, mean, square, t, 0.01, 0.9, 0.999, 1e-8, 0.5)
        g = 0.5 * gradient.astype(np.float64)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert theta.dtype == dtype
    np.testing.assert_allclose(theta, expected, rtol=1e-10 if dtype == np.float64 else 1e-4)


def test_global_norm_survives_an_overflow_of_float32():
    gradient = np.array([3e30, 4e30], np.float32)
    assert global_norm(gradient) == pytest.approx(5e30, rel=1e-6)
    assert global_norm(np.array([3.0, 4.0])) == 5.0
    assert math.isnan(global_norm(np.array([np.nan, 4.0], np.float32)))


def test_mix_copies_or_moves_a_share():
    network = Net((2, 1), dtype=np.float32).network
    target = np.zeros(3, np.float32)
    mix(network, target, 0.25)
    np.testing.assert_array_equal(target, network.theta / 4)
    mix(network, target, 1.0)
    np.testing.assert_array_equal(target, network.theta)


def test_the_first_operation_that_is_not_finite_is_named():
    net = Net((4, 3, 2, 2), dtype=np.float32)
    assert first_bad_op(net.theta, net.program) == -1
    net.theta[net.program[2, WEIGHTS]] = np.inf
    assert first_bad_op(net.theta, net.program) == 2
    net.theta[net.program[2, WEIGHTS] - 1] = np.nan
    assert first_bad_op(net.theta, net.program) == 1
