"""Networks against numpy written out, their gradients against finite differences in float64, and against PyTorch."""

import itertools
import math

import gymnasium as gym
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from rlgrid.agents.architecture import architecture_of
from rlgrid.agents.dqn import DQN
from rlgrid.agents.net_arch import ACTIVATIONS, INITIALIZERS, parsed
from rlgrid.agents.optimisers import OPTIMIZERS, check_optimizer, optimiser_of
from rlgrid.agents.world import stream_of
from rlgrid.kernels import activations as kernels
from rlgrid.kernels import program as columns
from rlgrid.kernels.losses import cross_entropy, error_loss, softmax
from rlgrid.kernels.network import backward_once, first_bad_op, forward_once
from rlgrid.kernels.optimisers import adam, global_norm, mix, optimise_once

BATCH = 5
VECTOR, IMAGE, STATES = Box(-1, 1, (4,)), Box(-1, 1, (6, 5, 2)), Discrete(6)
BYTES = Box(0, 255, (2, 7, 6), np.uint8)  # channels first

PHI = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "leaky_relu": lambda x: np.where(x < 0, kernels.LEAK * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


class Net:
    """A network of random weights, a batch for it, and the same network in numpy, image by image and pixel by pixel."""

    def __init__(self, kwargs, space=VECTOR, outputs=3, atoms=1, dtype=np.float64, seed=0, batch=BATCH):
        rng = np.random.default_rng(seed)
        if atoms > 1:
            kwargs = {**kwargs, "n_atoms": atoms, "v_min": -1.0, "v_max": 1.0}
        self.architecture = architecture_of(kwargs, space, outputs, atoms > 1)
        theta = self.architecture.first_weights(rng)
        theta[: self.architecture.parameters] += 0.2 * rng.normal(size=self.architecture.parameters)
        network = self.architecture.network(theta, batch, dtype)
        self.network = network.inner if atoms > 1 else network  # of distributions the logits
        self.program, self.theta = self.network.program, self.network.theta
        self.outputs, self.atoms, seen = outputs, atoms, self.architecture.observations
        if seen.discrete:
            self.observations = rng.integers(0, seen.width, batch)
        elif seen.dtype == np.uint8:
            self.observations = rng.integers(0, 256, (batch, seen.width)).astype(np.uint8)
        else:
            self.observations = rng.normal(size=(batch, seen.width)).astype(dtype)

    def forward(self, theta=None, training=True):
        theta = self.theta if theta is None else theta
        stream = stream_of(np.random.default_rng(1))
        return forward_once(self.network, theta, self.observations, self.network.work, training, stream)

    def row(self, i, training=False):
        one = self.observations[i : i + 1].copy()
        return forward_once(self.network, self.theta, one, self.network.row, training, np.zeros(4, np.uint64))[0]

    def backward(self, slopes, training=True):
        """The gradient where d loss / d output is ``slopes``."""
        first = slopes.shape[0] * self.program[-1, columns.OUTPUTS]
        self.network.deltas[first : first + slopes.size] = slopes.ravel()
        self.network.gradient[:] = np.nan
        backward_once(self.network, self.observations, training)
        return self.network.gradient

    # --- in numpy -----------------------------------------------------------------------------------------------------

    def oracle(self, training=True):
        seen, kwargs = self.architecture.observations, self.architecture.given
        theta = self.theta.astype(np.float64)
        self._numbers, self._statistics = iter(theta[: self.architecture.parameters]), self.architecture.parameters
        self._draws, self._training = np.random.default_rng(1), training
        if seen.discrete:
            y = np.eye(seen.width)[self.observations]
        else:
            y = self.observations.astype(np.float64)
            if seen.channels_first:
                y = y.reshape(-1, seen.shape[2], *seen.shape[:2]).transpose(0, 2, 3, 1)
            y = y.reshape(-1, *seen.shape)
            y = self._normalized(y, kwargs["normalize"], seen)
        for layer in parsed(kwargs["net_arch"]):
            y = self._layer(layer, y)
        if kwargs["dueling"] is False:
            return self._affine(y, self.outputs * self.atoms)
        streams = []
        for units in (self.outputs, 1):
            z = y
            for layer in parsed([] if kwargs["dueling"] is True else kwargs["dueling"]):
                z = self._layer(layer, z)
            streams.append(self._affine(z, units * self.atoms).reshape(len(z), units, self.atoms))
        advantages, values = streams
        return (values + advantages - advantages.mean(axis=1, keepdims=True)).reshape(len(y), -1)

    def _take(self, *shape):
        return np.array(list(itertools.islice(self._numbers, math.prod(shape)))).reshape(shape)

    def _affine(self, y, units):
        y = y.reshape(len(y), -1)
        weights = self._take(y.shape[1], units)
        return y @ weights + self._take(units)

    def _normalized(self, y, normalize, seen):
        if normalize is None and seen.dtype != np.uint8:
            return y
        self._statistics += 2 * seen.width + (normalize == "running")
        if isinstance(normalize, dict):
            return (y - np.reshape(normalize["mean"], y.shape[1:])) / np.reshape(normalize["std"], y.shape[1:])
        if normalize == "running":
            mean, variance = (y.mean(axis=0), y.var(axis=0)) if self._training else (0.0, 1.0)
            return np.clip((y - mean) / np.sqrt(variance + 1e-8), -10, 10)
        low, high = seen.low.reshape(y.shape[1:]), seen.high.reshape(y.shape[1:])
        return (y - low) / (high - low)

    def _layer(self, layer, y):
        phi = PHI[layer.activation or self.architecture.given["activation_fn"]]
        if layer.kind == "dense":
            return phi(self._affine(y, layer.units))
        if layer.kind == "activation":
            return phi(y)
        if layer.kind == "dropout":
            if not self._training:
                return y
            kept = np.array([self._draws.random() >= layer.rate for _ in range(y.size)]).reshape(y.shape)
            return kept * y / (1 - layer.rate)
        if layer.kind == "batch_norm":
            weights, biases, axes = self._take(y.shape[-1]), self._take(y.shape[-1]), tuple(range(y.ndim - 1))
            mean, variance = y.mean(axis=axes), y.var(axis=axes)
            if not self._training:
                known = self.theta.astype(np.float64)[self._statistics :][: 2 * y.shape[-1]]
                mean, variance = known[: y.shape[-1]], known[y.shape[-1] :]
            self._statistics += 2 * y.shape[-1]
            return weights * (y - mean) / np.sqrt(variance + layer.epsilon) + biases
        if layer.kind == "conv":
            return phi(self._convolved(layer, y))
        if layer.kind in ("max_pool", "avg_pool"):
            reduce = np.max if layer.kind == "max_pool" else np.mean
            return self._seen(layer, y, lambda patch: reduce(patch, axis=(1, 2)))
        return y.reshape(len(y), -1)

    def _seen(self, layer, y, see):
        """see(patch [B, size, size, channels]) for every place of a kernel in y [B, height, width, channels]."""
        places = [range(0, length - layer.size + 1, layer.stride) for length in y.shape[1:3]]
        rows = [[see(y[:, r : r + layer.size, c : c + layer.size]) for c in places[1]] for r in places[0]]
        return np.array(rows).transpose(2, 0, 1, 3)

    def _convolved(self, layer, y):
        weights = self._take(layer.size, layer.size, y.shape[3], layer.units)
        biases = self._take(layer.units)
        zeros = []
        for length in y.shape[1:3]:
            if layer.padding == "same":
                total = max((math.ceil(length / layer.stride) - 1) * layer.stride + layer.size - length, 0)
                zeros.append((total // 2, total - total // 2))
            else:
                zeros.append((0, 0) if layer.padding == "valid" else (layer.padding, layer.padding))
        y = np.pad(y, ((0, 0), *zeros, (0, 0)))
        return self._seen(layer, y, lambda patch: np.tensordot(patch, weights, 3) + biases)


def assert_gradient(net, training=True):
    """The gradient of a random combination of the outputs against finite differences: relative error below 1e-6.

    Fourth-order central differences: their own error is O(h^4), so 1e-6 is asked of the gradient and not of h. A kink
    (ReLU, leaky ReLU, max pooling) inside the difference spoils an entry, which is then taken again with a smaller h.
    As plain Python the three greatest entries must do.
    """
    rng = np.random.default_rng(5)
    theta = net.theta.copy()
    out = net.forward(theta.copy(), training)
    factors = rng.normal(size=out.shape)

    def loss(i, step):
        moved = theta.copy()
        moved[i] += step
        return float((net.forward(moved, training) * factors).sum())

    def difference(i, h):
        return (loss(i, -2 * h) - 8 * loss(i, -h) + 8 * loss(i, h) - loss(i, 2 * h)) / (12 * h)

    net.theta[:] = theta
    net.forward(training=training)
    gradient = net.backward(factors, training).copy()
    entries = np.argsort(-np.abs(gradient))[: 3 if numba.config.DISABLE_JIT else None]
    gradient = gradient[entries]
    numeric = np.array([difference(i, 1e-3) for i in entries])
    for h in (1e-4, 1e-5, 1e-6):
        for k in np.flatnonzero(np.abs(numeric - gradient) > 1e-8 * np.maximum(1, np.abs(gradient))):
            again = difference(entries[k], h)
            if abs(again - gradient[k]) < abs(numeric[k] - gradient[k]):
                numeric[k] = again
    scale = np.linalg.norm(gradient) + np.linalg.norm(numeric)
    assert scale > 0
    assert np.linalg.norm(gradient - numeric) / scale < 1e-6


# --- activations ------------------------------------------------------------------------------------------------------


def test_tanh_in_float32_is_right_to_a_few_units_in_the_last_place():
    x = np.concatenate((np.linspace(-12, 12, 20_001), np.geomspace(1e-30, 1, 500))).astype(np.float32)
    y = x.copy()
    kernels.activate(y, np.empty_like(y), kernels.TANH)
    exact = np.tanh(x.astype(np.float64))
    assert np.max(np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float32))) <= 8
    assert np.all(np.abs(y) <= 1)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_and_its_derivative(name):
    x = np.concatenate((np.linspace(-6, 6, 41), [-30.0, 30.0, 1e-9]))
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 1e-4)):
        y, kept = x.astype(dtype), np.empty(x.size, dtype)
        kernels.activate(y, kept, ACTIVATIONS.index(name))
        np.testing.assert_allclose(y, PHI[name](x), rtol=tolerance, atol=tolerance)
        slope = np.full(x.size, 2, dtype)
        kernels.times_derivative(slope, y, kept, ACTIVATIONS.index(name))
        h = 1e-5
        numeric = (PHI[name](x + h) - PHI[name](x - h)) / (2 * h)
        smooth = np.abs(x) > h if name in ("relu", "leaky_relu", "elu", "softsign") else np.isfinite(x)
        np.testing.assert_allclose(slope[smooth], 2 * numeric[smooth], rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_passes_through_every_activation(name):
    for dtype in (np.float32, np.float64):
        y = np.array([np.nan, 1.0], dtype)
        kernels.activate(y, np.empty_like(y), ACTIVATIONS.index(name))
        assert np.isnan(y[0])
        assert np.isfinite(y[1])


# --- dense networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("space", [VECTOR, STATES])
@pytest.mark.parametrize("hidden", [[], [8], [5, 7, 9]])
def test_a_dense_network_is_the_written_out_product_and_its_gradient_is_right(hidden, space, name):
    net = Net({"net_arch": hidden, "activation_fn": name}, space)
    assert type(net.network) is columns.Network
    expected = net.oracle()
    np.testing.assert_allclose(net.forward(), expected, rtol=1e-12, atol=1e-12)
    for i in range(BATCH):
        np.testing.assert_allclose(net.row(i), expected[i], rtol=1e-12, atol=1e-12)
    assert_gradient(net)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("space", [VECTOR, STATES])
def test_a_dense_network_in_float32(space, name):
    net = Net({"net_arch": [16, 16], "activation_fn": name}, space, dtype=np.float32)
    out = net.forward().copy()
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, net.oracle(), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(net.row(3), out[3], rtol=2e-5, atol=2e-5)


# --- networks of any layers -------------------------------------------------------------------------------------------

MIXED = [
    ({"net_arch": [6, 5], "activation_fn": "swish", "dueling": True}, VECTOR),
    ({"net_arch": [6], "activation_fn": "tanh", "dueling": [4, 3]}, VECTOR),
    ({"net_arch": [6, 5], "activation_fn": "elu", "dueling": [4]}, STATES),
    ({"net_arch": [], "dueling": True}, STATES),
    ({"net_arch": [], "dueling": True}, VECTOR),
    ({"net_arch": [6, {"dropout": 0.3}, 5], "activation_fn": "swish", "normalize": "running"}, VECTOR),
    ({"net_arch": [5], "normalize": {"mean": [0.1, 0.2, 0, -1], "std": [1, 2, 3, 4]}}, VECTOR),
    ({"net_arch": [5], "normalize": "min-max"}, VECTOR),
    ({"net_arch": [8, "batch_norm", {"dense": 7, "activation": "linear"}, "swish"], "dueling": [4]}, STATES),
    ({"net_arch": [{"conv": 3, "padding": "same", "stride": 2}, {"conv": 4, "kernel": 2}, "flatten", 7]}, IMAGE),
    ({"net_arch": [{"conv": 3, "kernel": 2, "padding": "same"}, {"conv": 2, "stride": 3}], "dueling": [5]}, IMAGE),
    ({"net_arch": [{"conv": 3, "padding": 1, "activation": "tanh"}, {"max_pool": 2}, 6]}, IMAGE),
    ({"net_arch": [{"max_pool": 3, "stride": 2}, {"avg_pool": 2, "stride": 1}, {"conv": 2, "kernel": 1}]}, IMAGE),
    ({"net_arch": [{"conv": 3}, {"dense": 4, "activation": "softsign"}], "channels": "first"}, Box(-1, 1, (2, 5, 4))),
    ({"net_arch": [{"conv": 3, "kernel": 2}, {"avg_pool": 2}]}, Box(-1, 1, (6, 5))),
    (
        {
            "net_arch": [{"conv": 3, "padding": 2}, {"avg_pool": 2}, "batch_norm", "tanh", {"dropout": 0.2}, 6],
            "activation_fn": "sigmoid",
        },
        IMAGE,
    ),
]


@pytest.mark.parametrize(("kwargs", "space"), MIXED)
def test_a_network_is_the_written_out_one_and_its_gradient_is_right(kwargs, space):
    for training in (True, False):
        net = Net(kwargs, space, atoms=2 if kwargs.get("dueling") else 1)
        assert type(net.network) is columns.LayeredNetwork
        expected = net.oracle(training)
        np.testing.assert_allclose(net.forward(training=training), expected, rtol=1e-11, atol=1e-11)
        assert_gradient(net, training)


def random_network(seed):
    """(policy_kwargs, space) of layers drawn at random."""
    rng = np.random.default_rng(seed)
    image = rng.random() < 0.6
    shape = (*rng.integers(4, 9, 2).tolist(), int(rng.integers(1, 4)))
    space = Box(-1, 1, shape) if image else VECTOR
    activation = str(rng.choice(ACTIVATIONS[1:]))
    side, layers = min(space.shape[:2]) if image else 0, []
    for _ in range(int(rng.integers(1, 5))):
        kind = rng.choice(
            ["dense", "dropout", "batch_norm", "activation", *(["conv", "conv", "pool"] if side > 2 else [])]
        )
        if kind == "dense":
            layers.append({"dense": int(rng.integers(1, 7)), "activation": str(rng.choice(ACTIVATIONS))})
            side = 0
        elif kind == "conv":
            size, stride, same = int(rng.integers(1, 4)), int(rng.integers(1, 3)), rng.random() < 0.5
            layers.append({"conv": int(rng.integers(1, 4)), "kernel": size, "stride": stride})
            layers[-1]["padding"] = "same" if same else int(rng.integers(0, size))
            side = -(-side // stride) if same else (side - size) // stride + 1
        elif kind == "pool":
            layers.append({str(rng.choice(["max_pool", "avg_pool"])): 2, "stride": int(rng.integers(1, 3))})
            side = (side - 2) // layers[-1]["stride"] + 1
        else:
            layers.append({"dropout": 0.3} if kind == "dropout" else "batch_norm" if kind == "batch_norm" else "swish")
    dueling = [False, True, [3]][int(rng.integers(3))]
    normalize = [None, "running", "min-max"][int(rng.integers(3))]
    return {"net_arch": layers, "activation_fn": activation, "dueling": dueling, "normalize": normalize}, space


def check_random_networks(seeds):
    for seed in seeds:
        kwargs, space = random_network(seed)
        net = Net(kwargs, space, seed=seed)
        np.testing.assert_allclose(net.forward(), net.oracle(), rtol=1e-9, atol=1e-9, err_msg=f"{kwargs} {space}")
        assert_gradient(net)


def test_networks_composed_at_random():
    check_random_networks(range(12))


@pytest.mark.slow
def test_many_networks_composed_at_random():
    check_random_networks(range(12, 150))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "space"),
    [*(one for one in MIXED if one[1] is not STATES), ({"net_arch": [{"conv": 3}, 5]}, BYTES)],
)
def test_networks_in_float32_and_images_of_bytes(kwargs, space):
    net = Net(kwargs, space, dtype=np.float32)
    for training in (True, False):
        expected = net.oracle(training)
        out = net.forward(net.theta.copy(), training)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    twin = Net(kwargs, space)
    if space is not BYTES:
        twin.observations = net.observations.astype(np.float64)
    twin.theta[:] = net.theta
    factors = np.random.default_rng(5).normal(size=out.shape)
    gradients = []
    for one in (net, twin):
        one.forward()
        gradients.append(one.backward(factors))
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("length", [5, 8])
def test_the_pixels_that_a_convolution_gives(length):
    for size, stride, padding in itertools.product((1, 2, 3), (1, 2, 3), (0, 1, "same", "valid")):
        if padding == 1 and size == 1:
            continue
        layer = {"conv": 2, "kernel": size, "stride": stride, "padding": padding}
        row = architecture_of({"net_arch": [layer]}, Box(0, 1, (length, 9, 1)), 2).program[1]
        zeros = padding if isinstance(padding, int) else 0
        expected = math.ceil(length / stride) if padding == "same" else (length - size + 2 * zeros) // stride + 1
        assert row[columns.OUT_HEIGHT] == expected
        assert row[columns.END] - row[columns.WEIGHTS] == size * size * 2 + 2


# --- what a network learns from its inputs ----------------------------------------------------------------------------


def test_running_normalization_knows_the_mean_and_variance_of_all_that_passed():
    net = Net({"net_arch": [3], "normalize": "running"}, seed=2)
    seen = []
    for _ in range(4):
        net.observations[:] = 3 + 2 * np.random.default_rng(len(seen)).normal(size=net.observations.shape)
        net.forward()
        net.forward(training=False)  # which teaches nothing
        seen.append(net.observations.copy())
    everything, known = np.concatenate(seen), net.theta[net.architecture.parameters :]
    np.testing.assert_allclose(known[:4], everything.mean(axis=0))
    np.testing.assert_allclose(known[4:8], everything.var(axis=0))
    assert known[8] == len(everything)


def test_batch_normalization_moves_its_statistics_by_a_share_of_the_batch():
    net = Net({"net_arch": [{"batch_norm": 0.25}]}, seed=3)
    net.forward(training=False)
    np.testing.assert_array_equal(net.theta[net.architecture.parameters :], [0] * 4 + [1] * 4)
    net.forward()
    x = net.observations
    np.testing.assert_allclose(net.theta[-8:-4], 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(net.theta[-4:], 0.75 + 0.25 * x.var(axis=0, ddof=1))


def test_a_target_network_takes_the_statistics_over_whole_and_its_weights_by_a_share():
    net = Net({"net_arch": ["batch_norm"]})
    net.forward()
    target = np.zeros_like(net.theta)
    mix(net.network, target, 0.25)
    p = net.architecture.parameters
    np.testing.assert_array_equal(target[:p], net.theta[:p] / 4)
    np.testing.assert_array_equal(target[p:], net.theta[p:])
    mix(net.network, target, 1.0)
    np.testing.assert_array_equal(target, net.theta)


def test_statistics_are_saved_with_the_weights(tmp_path):
    kwargs = {"net_arch": [4, "batch_norm"], "dueling": [3], "optimizer_class": "sgd"}
    agent = DQN("MlpPolicy", gym.make("rlgrid/FrozenLake-v1"), policy_kwargs=kwargs, seed=0)
    agent._learner.network.theta[-8:] = agent._learner.target[-8:] = np.arange(8)
    agent.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run.safetensors", gym.make("rlgrid/FrozenLake-v1"))
    np.testing.assert_array_equal(again._learner.network.theta, agent._learner.network.theta)
    np.testing.assert_array_equal(again._learner.target, agent._learner.target)
    assert again._architecture.policy_kwargs() == agent._architecture.policy_kwargs() == kwargs


# --- losses -----------------------------------------------------------------------------------------------------------


def test_squared_error_and_huber():
    for error in (-3.0, -1.0, -0.2, 0.0, 0.7, 1.0, 5.0):
        assert error_loss(np.float64(error), False) == (error**2 / 2, error)
        loss, slope = error_loss(np.float64(error), True)
        assert loss == pytest.approx(error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5)
        assert slope == np.clip(error, -1, 1)


@pytest.mark.parametrize("shift", [0.0, 800.0, -800.0])
def test_cross_entropy_and_its_derivative(shift):
    rng = np.random.default_rng(0)
    logits, target = 3 * rng.normal(size=7) + shift, rng.dirichlet(np.ones(7))
    share, slopes, aside = np.empty(7), np.empty(7), np.empty(7)
    softmax(logits, 1.0, share)
    exact = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(share, exact, rtol=1e-12)
    loss = cross_entropy(logits, target, slopes)
    assert loss == pytest.approx(-(target * np.log(exact)).sum(), rel=1e-12)
    numeric = np.empty(7)
    for i in range(7):
        values = [cross_entropy(logits + k * 1e-3 * np.eye(7)[i], target, aside) for k in (-2, -1, 1, 2)]
        numeric[i] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
    assert np.linalg.norm(slopes - numeric) / np.linalg.norm(slopes) < 1e-6


def test_softmax_by_temperature_and_of_impossible_actions():
    share = np.empty(3)
    softmax(np.array([1.0, 2.0, -np.inf]), 0.5, share)
    np.testing.assert_allclose(share, [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2)), 0])


# --- optimisers -------------------------------------------------------------------------------------------------------


def by_hand(name, settings, theta, gradients, rate):
    """Weights after a gradient each, by the formulas of the papers in float64."""
    s = OPTIMIZERS[name] | settings
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, gradient in enumerate(gradients, 1):
        g = np.clip(gradient, -s.get("max_grad_value", np.inf), s.get("max_grad_value", np.inf))
        g = g + s.get("weight_decay", 0) * theta + s.get("l1", 0) * np.sign(theta)
        if name == "sgd":
            m = s["momentum"] * m + g
            step = g + s["momentum"] * m if s["nesterov"] else m
        elif name == "adam":
            b1, b2 = s["betas"]
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + s["eps"])
        elif name == "adagrad":
            v = v + g**2
            step = g / (np.sqrt(v) + s["eps"])
        elif name == "rmsprop":
            v = s["alpha"] * v + (1 - s["alpha"]) * g**2
            m = s["momentum"] * m + g / (np.sqrt(v) + s["eps"])
            step = m
        else:
            v = s["rho"] * v + (1 - s["rho"]) * g**2
            step = np.sqrt(m + s["eps"]) / np.sqrt(v + s["eps"]) * g
            m = s["rho"] * m + (1 - s["rho"]) * step**2
        theta = theta - rate * step
    return theta


SETTINGS = [
    ("adam", {}),
    ("adam", {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("sgd", {}),
    ("sgd", {"momentum": 0.9, "l1": 0.02}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "max_grad_value": 0.5}),
    ("adagrad", {"weight_decay": 0.1, "l1": 0.1}),
    ("adadelta", {"rho": 0.8, "eps": 1e-4}),
    ("rmsprop", {"alpha": 0.9}),
    ("rmsprop", {"momentum": 0.5, "weight_decay": 0.05}),
]


def optimized(name, settings, net, gradients, rate, max_norm=math.inf):
    optimiser = optimiser_of(*check_optimizer(name, settings), max_norm)
    for t, gradient in enumerate(gradients, 1):
        net.network.gradient[:] = gradient
        optimise_once(net.network, optimiser, t, rate, global_norm(net.network.gradient))
    return net.theta


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_optimisers_by_hand(name, settings):
    gradients = np.random.default_rng(0).normal(size=(20, 55))
    for dtype, tolerance in ((np.float64, 1e-11), (np.float32, 2e-4)):
        net = Net({"net_arch": [6]}, dtype=dtype, outputs=3)
        assert net.theta.size == 51
        expected = by_hand(name, settings, net.theta.astype(np.float64), gradients[:, :51], 0.05)
        found = optimized(name, settings, net, gradients[:, :51], 0.05)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "settings"), [SETTINGS[0], SETTINGS[3]])
def test_gradients_are_scaled_down_to_the_global_norm(name, settings):
    net = Net({"net_arch": [6]})
    gradient = np.random.default_rng(0).normal(size=51)
    small = gradient * 0.5 / np.linalg.norm(gradient)
    expected = by_hand(name, settings, net.theta.copy(), [small, small], 0.1)
    np.testing.assert_allclose(optimized(name, settings, net, [gradient, small], 0.1, max_norm=0.5), expected)


def test_an_optimiser_leaves_statistics_alone():
    net = Net({"net_arch": ["batch_norm"]})
    before = net.theta.copy()
    optimized("sgd", {"weight_decay": 0.5}, net, [np.ones(net.architecture.parameters)], 0.1)
    np.testing.assert_array_equal(net.theta[-8:], before[-8:])
    assert (net.theta[:-8] != before[:-8]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_is_algorithm_1_of_kingma_and_ba_on_scaled_gradients(dtype):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=50).astype(dtype)
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    gradients = rng.normal(size=(30, 50))
    expected = by_hand("adam", {}, theta.astype(np.float64), gradients / 2, 0.01)
    for t, gradient in enumerate(gradients, 1):
        adam(theta, gradient.astype(dtype), mean, square, t, 0.01, 0.9, 0.999, 1e-8, 0.5)
    assert theta.dtype == dtype
    np.testing.assert_allclose(theta, expected, rtol=1e-10 if dtype == np.float64 else 1e-4)


def test_global_norm_survives_an_overflow_of_float32():
    gradient = np.array([3e30, 4e30], np.float32)
    assert global_norm(gradient) == pytest.approx(5e30, rel=1e-6)
    assert global_norm(np.array([3.0, 4.0])) == 5.0
    assert math.isnan(global_norm(np.array([np.nan, 4.0], np.float32)))


# --- first weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INITIALIZERS)
def test_first_weights_have_the_variance_of_their_initialiser(name):
    layers = [{"conv": 40, "kernel": 5, "activation": "relu"}, {"dense": 90, "activation": "relu"}]
    architecture = architecture_of(
        {"net_arch": layers, "initializer": name, "channels": "last"}, Box(0, 1, (6, 6, 12)), 50
    )
    theta = architecture.first_weights(np.random.default_rng(0))
    for op, (fan_in, fan_out) in enumerate([(5 * 5 * 12, 5 * 5 * 40), (160, 90), (90, 50)], 1):
        row = architecture.program[op]
        weights = theta[row[columns.WEIGHTS] : row[columns.BIASES]]
        assert (theta[row[columns.BIASES] : row[columns.END]] == 0).all()
        if name == "orthogonal":
            matrix = weights.reshape(fan_in, -1)
            square = matrix.T @ matrix
            np.testing.assert_allclose(square, (1 if op == 3 else 2) * np.eye(len(square)), atol=1e-12)
            continue
        variance = 2 / fan_in if name.startswith("he") and op < 3 else 2 / (fan_in + fan_out)
        assert weights.var() == pytest.approx(variance, rel=0.06)
        uniform = weights.max() < 1.001 * math.sqrt(3 * variance)
        assert uniform == (not name.endswith("normal"))


def test_a_one_hot_row_counts_as_one_input():
    architecture = architecture_of({"net_arch": [50], "activation_fn": "relu"}, Discrete(400), 2)
    weights = architecture.first_weights(np.random.default_rng(0))[:20_000]
    assert weights.var() == pytest.approx(2, rel=0.03)


# --- health and refusals ----------------------------------------------------------------------------------------------


def test_the_first_operation_that_is_not_finite_is_named():
    net = Net({"net_arch": [3, 2]}, outputs=2)
    assert first_bad_op(net.theta, net.program) == -1
    net.theta[net.program[2, columns.WEIGHTS]] = np.inf
    assert first_bad_op(net.theta, net.program) == 2
    net.theta[net.program[2, columns.WEIGHTS] - 1] = np.nan
    assert first_bad_op(net.theta, net.program) == 1
    hidden = [f"layer {i} of net_arch ({units} dense units)" for i, units in ((1, 3), (2, 2))]
    assert net.architecture.names == [*hidden, "the last layer"]


@pytest.mark.parametrize(
    ("kwargs", "space", "message"),
    [
        ({"net_arc": [4]}, VECTOR, "did you mean 'net_arch'"),
        ({"net_arch": [4, 0]}, VECTOR, "layer 2 of net_arch must be at least 1"),
        ({"net_arch": [{"convo": 4}]}, IMAGE, "layer 1 of net_arch must have one of the keys.*did you mean"),
        ({"net_arch": [{"conv": 4, "kernal": 4}]}, IMAGE, "'conv' has no 'kernal'.*did you mean 'kernel'"),
        ({"net_arch": [{"conv": 4, "padding": "sane"}]}, IMAGE, "padding.*did you mean 'same'"),
        ({"net_arch": [{"conv": 4, "padding": 3}]}, IMAGE, "padding must be at most 2"),
        ({"net_arch": [{"conv": 4, "kernel": 7}]}, IMAGE, "layer 1.*does not fit into an image of 6 by 5 pixels"),
        ({"net_arch": [8, {"conv": 4}]}, IMAGE, r"layer 2.*needs an image, and gets 8 numbers"),
        ({"net_arch": [{"max_pool": 2}]}, VECTOR, "needs an image"),
        ({"net_arch": ["flaten"]}, IMAGE, "did you mean 'flatten'"),
        ({"net_arch": ["dropout"]}, VECTOR, "'dropout' needs a number"),
        ({"net_arch": [{"dropout": 1.0}]}, VECTOR, "silences every unit"),
        ({"net_arch": [{"dense": 4, "activation": "rely"}]}, VECTOR, "did you mean 'relu'"),
        ({"net_arch": [{"dropout": 0.1}]}, STATES, "must come behind a layer with weights"),
        ({"activation_fn": "tan"}, VECTOR, "did you mean 'tanh'"),
        ({"initializer": "zeros"}, VECTOR, "every unit of a layer would stay the same"),
        ({"net_arch": [{"dense": 3, "initializer": "zeros"}]}, VECTOR, "every unit of a layer would stay the same"),
        ({"normalize": "minmax"}, VECTOR, "did you mean 'min-max'"),
        ({"normalize": "min-max"}, Box(-np.inf, 1, (2,)), r"number 0 of an observation.*\[-inf, 1\]: take 'running'"),
        ({"normalize": {"mean": 0, "std": 0}}, VECTOR, "std must be finite and positive"),
        ({"normalize": {"mean": [0, 1], "std": 1}}, VECTOR, "a number or 4 of them"),
        ({"normalize": "running"}, STATES, "does not apply to Discrete"),
        ({"channels": "first"}, VECTOR, "channels are of images"),
        ({"optimizer_class": "rmsprob"}, VECTOR, "did you mean 'rmsprop'"),
        ({"optimizer_kwargs": {"beta": 1}}, VECTOR, "optimizer_kwargs of adam.*did you mean 'betas'"),
        ({"optimizer_kwargs": {"betas": (0.9, 1.0)}}, VECTOR, "nothing is ever forgotten"),
        ({"net_arch": [10**5, 10**5]}, VECTOR, r"the layers \[4, 100000, 100000, 3\] has 1000\d+ parameters"),
    ],
)
def test_what_cannot_be_built_is_named(kwargs, space, message):
    with pytest.raises((ValueError, TypeError), match=message):
        architecture_of(kwargs, space, 3)


def test_batch_normalization_of_single_observations_is_refused():
    with pytest.raises(ValueError, match="batch_size of 2"):
        Net({"net_arch": ["batch_norm"]}, batch=1)


def test_an_architecture_is_written_down_so_that_it_can_be_built_again():
    for kwargs, space in MIXED:
        one = architecture_of(kwargs, space, 3)
        again = architecture_of(one.policy_kwargs(), space, 3)
        np.testing.assert_array_equal(one.program, again.program)
        np.testing.assert_array_equal(one.statistics, again.statistics)
        assert one.policy_kwargs() == again.policy_kwargs()


# --- PyTorch ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), [one for one in SETTINGS if "l1" not in one[1]])
def test_optimisers_are_pytorchs(name, settings):
    torch = pytest.importorskip("torch")
    kind = {"adam": "Adam", "sgd": "SGD", "adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop"}[name]
    net = Net({"net_arch": [6]})
    gradients = np.random.default_rng(0).normal(size=(20, 51))
    most = settings.get("max_grad_value", np.inf)
    theta = torch.tensor(net.theta.copy(), requires_grad=True)
    made = getattr(torch.optim, kind)
    theirs = made([theta], lr=0.05, **{key: value for key, value in settings.items() if key != "max_grad_value"})
    for gradient in gradients:
        theta.grad = torch.tensor(np.clip(gradient, -most, most))
        theirs.step()
    found = optimized(made, settings, net, gradients, 0.05)
    np.testing.assert_allclose(found, theta.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_layers_and_their_gradients_are_pytorchs():
    torch = pytest.importorskip("torch")
    layers = [{"conv": 4, "padding": "same"}, "batch_norm", "swish", {"max_pool": 2}]
    layers += [{"conv": 5, "kernel": 2, "padding": 1}, {"avg_pool": 2, "stride": 1}, 7]
    layers += [{"dense": 6, "activation": "softsign"}]
    net = Net({"net_arch": layers, "activation_fn": "elu"}, IMAGE)
    x = torch.tensor(net.observations.reshape(-1, 6, 5, 2)).permute(0, 3, 1, 2)
    nn = torch.nn
    modules = [nn.Conv2d(2, 4, 3, padding="same"), nn.ELU(), nn.BatchNorm2d(4), nn.SiLU(), nn.MaxPool2d(2)]
    modules += [nn.Conv2d(4, 5, 2, padding=1), nn.ELU(), nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(30, 7), nn.ELU()]
    modules += [nn.Linear(7, 6), nn.Softsign(), nn.Linear(6, 3)]
    model = nn.Sequential(*modules).double()
    places = []  # of each of their tensors in theta, as an array of the same shape
    rows = [row for row in net.program if row[columns.END] > row[columns.WEIGHTS]]
    numbers = np.arange(net.theta.size)
    weighted = [module for module in modules if list(module.parameters())]
    for row, module in zip(rows, weighted, strict=True):
        place = numbers[row[columns.WEIGHTS] : row[columns.BIASES]]
        if isinstance(module, nn.Conv2d):
            place = place.reshape(*module.kernel_size, module.in_channels, -1).transpose(3, 2, 0, 1)
        elif isinstance(module, nn.Linear):
            place = place.reshape(module.in_features, module.out_features)
            if module.in_features == 30:  # of an image, which they flatten as [channels, height, width]
                place = place.reshape(3, 2, 5, 7).transpose(2, 0, 1, 3).reshape(30, 7)
            place = place.T
        places += [place, numbers[row[columns.BIASES] : row[columns.END]]]
    for place, parameter in zip(places, model.parameters(), strict=True):
        parameter.data = torch.tensor(net.theta[place])
    factors = np.random.default_rng(0).normal(size=(BATCH, 3))
    out = model(x)
    np.testing.assert_allclose(net.forward(), out.detach().numpy(), rtol=1e-10, atol=1e-10)
    (out * torch.tensor(factors)).sum().backward()
    gradient = net.backward(factors)
    for place, parameter in zip(places, model.parameters(), strict=True):
        np.testing.assert_allclose(gradient[place], parameter.grad.numpy(), rtol=1e-8, atol=1e-10)
    statistics = [modules[2].running_mean.numpy(), modules[2].running_var.numpy()]
    np.testing.assert_allclose(net.theta[net.architecture.parameters :], np.concatenate(statistics), rtol=1e-10)
    model.eval()
    np.testing.assert_allclose(net.forward(training=False), model(x).detach().numpy(), rtol=1e-10, atol=1e-10)
