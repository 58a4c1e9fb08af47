"""Networks with a memory against numpy written out and finite differences; the recurrent DQN and the T-maze."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from test_network import PHI

from rlgrid.agents.recurrent_network import recurrent_architecture
from rlgrid.kernels import program as columns
from rlgrid.kernels.recurrent import GATES, LSTM, STATE, backward_once, forward_once

VECTOR, STATES, BYTES = Box(-1, 1, (4,)), Discrete(6), Box(0, 255, (2, 3, 2), np.uint8)
BATCH, TIMES = 3, 5


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


class Net:
    """A network with random weights and sequences for it, and the same written out, time after time."""

    def __init__(self, kwargs: Any, space: Any, policy: str = "MlpLstmPolicy", dtype: type = np.float64) -> None:
        rng = np.random.default_rng(3)
        self.architecture = recurrent_architecture(policy, kwargs, space, 3)
        theta = self.architecture.first_weights(rng)
        theta += 0.3 * rng.normal(size=theta.size)
        self.network = self.architecture.network(theta, BATCH, TIMES, dtype)
        self.theta, seen, rows = self.network.theta, self.architecture.observations, BATCH * TIMES
        if seen.discrete:
            self.observations = rng.integers(0, seen.width, rows)
        elif seen.dtype == np.uint8:
            self.observations = rng.integers(0, 256, (rows, seen.width)).astype(np.uint8)
        else:
            self.observations = rng.normal(size=(rows, seen.width)).astype(dtype)
        self.start = (0.5 * rng.normal(size=(BATCH, self.architecture.state))).astype(dtype)
        self.final = np.full_like(self.start, np.nan)

    def forward(self, theta: Any = None) -> Any:
        theta = self.theta if theta is None else theta
        return forward_once(self.network, theta, self.observations, BATCH, self.start, self.final)

    def backward(self, slopes: Any, burned: Any) -> Any:
        first = slopes.shape[0] * self.network.program[-1, columns.OUTPUTS]
        self.network.deltas[first : first + slopes.size] = slopes.ravel()
        self.network.gradient[:] = np.nan
        backward_once(self.network, self.observations, BATCH, self.start, burned)
        return self.network.gradient

    def oracle(self) -> tuple[Any, Any]:
        """(outputs [T * B, 3], final states)"""
        theta, seen = self.theta.astype(np.float64), self.architecture.observations
        if seen.discrete:
            y = np.eye(seen.width)[self.observations]
        else:
            y = self.observations / 255 if seen.dtype == np.uint8 else self.observations.astype(np.float64)
        final = np.zeros(self.start.shape)
        place = 0

        def take(*shape: int) -> Any:
            nonlocal place
            numbers = theta[place : place + int(np.prod(shape))]
            place += numbers.size
            return numbers.reshape(shape)

        for row in self.architecture.program:
            inputs, units, kind = (int(row[c]) for c in (columns.INPUTS, columns.UNITS, columns.KIND))
            gates = GATES.get(kind, 1)
            below = y @ take(inputs, gates * units) + take(gates * units)
            if kind not in GATES:
                y = list(PHI.values())[row[columns.ACTIVATION]](below)
                continue
            own, biases, at = take(units, gates * units), take(gates * units), int(row[STATE])
            h, c = self.start[:, at : at + units], self.start[:, at + units : at + 2 * units]
            outputs = []
            for t in range(TIMES):
                x, u = (
                    np.split(part, gates, axis=1) for part in (below[t * BATCH : (t + 1) * BATCH], h @ own + biases)
                )
                if kind == LSTM:
                    i, f, g, o = (a + b for a, b in zip(x, u, strict=True))
                    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                    h = sigmoid(o) * np.tanh(c)
                else:
                    r, z = sigmoid(x[0] + u[0]), sigmoid(x[1] + u[1])
                    h = (1 - z) * np.tanh(x[2] + r * u[2]) + z * h
                outputs.append(h)
            final[:, at : at + units] = h
            if kind == LSTM:
                final[:, at + units : at + 2 * units] = c
            y = np.concatenate(outputs)
        assert place == theta.size
        return y, final


NETWORKS: list[tuple[dict[str, Any], Any]] = [
    ({"net_arch": [{"lstm": 4}]}, STATES),
    ({"net_arch": [{"gru": 4}]}, STATES),
    ({"net_arch": [{"lstm": 5}]}, VECTOR),
    ({"net_arch": [{"gru": 5}]}, BYTES),
    ({"net_arch": [5, {"lstm": 4}, 6], "activation_fn": "tanh"}, VECTOR),
    ({"net_arch": [{"dense": 5, "activation": "swish"}, {"gru": 4}, {"dense": 6, "activation": "elu"}]}, STATES),
    ({"net_arch": [{"gru": 3}, 5, {"lstm": 4}, {"gru": 2}], "activation_fn": "swish"}, VECTOR),
]


@pytest.mark.parametrize(("kwargs", "space"), NETWORKS)
def test_a_network_with_a_memory_is_the_written_out_one(kwargs: Any, space: Any) -> None:
    net = Net(kwargs, space)
    outputs, final = net.oracle()
    np.testing.assert_allclose(net.forward(), outputs, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(net.final, final, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("burned", [[0, 0, 0], [0, 2, 4]])
@pytest.mark.parametrize(("kwargs", "space"), NETWORKS)
def test_gradients_through_time_are_finite_differences(kwargs: Any, space: Any, burned: list[int]) -> None:
    """Of a random combination of all outputs, through the whole sequence; none before the loss of a sequence begins.

    What is cut off there is held fixed in the difference: the state that a sequence has at that time.
    """
    net, rng = Net(kwargs, space), np.random.default_rng(8)
    late = np.repeat(np.arange(TIMES), BATCH) >= np.tile(burned, TIMES)
    factors = rng.normal(size=(BATCH * TIMES, 3)) * late[:, None]
    theta, whole = net.theta.copy(), (net.observations.copy(), net.start.copy())

    def parts() -> list[tuple[int, Any, Any]]:
        """(b, the observations, the state) of each sequence from where its loss begins."""
        found = []
        for b, first in enumerate(burned):
            net.observations[:] = whole[0]
            net.start[:] = whole[1]
            for t in range(first):
                one = np.repeat(whole[0][t * BATCH + b : t * BATCH + b + 1], BATCH, axis=0)
                forward_once(net.network, theta, one, BATCH, net.start, net.final)
                net.start[:] = np.where(np.arange(BATCH)[:, None] == b, net.final, net.start)
            found.append((b, whole[0][first * BATCH :].copy(), net.start.copy()))
        return found

    cut = parts()

    def loss(moved: Any) -> float:
        total = 0.0
        for b, observations, start in cut:
            out = forward_once(net.network, moved, observations, BATCH, start, net.final)
            total += float((out * factors[-len(out) :])[b::BATCH].sum())
        return total

    net.observations[:], net.start[:] = whole
    net.forward()
    gradient = net.backward(factors, np.array(burned)).copy()
    entries = np.argsort(-np.abs(gradient))[: 3 if numba.config.DISABLE_JIT else None]
    numeric, h = np.zeros(entries.size), 1e-3
    for k, i in enumerate(entries):
        sides = []
        for step in (-2 * h, -h, h, 2 * h):
            moved = theta.copy()
            moved[i] += step
            sides.append(loss(moved))
        numeric[k] = (sides[0] - 8 * sides[1] + 8 * sides[2] - sides[3]) / (12 * h)
    found = gradient[entries]
    scale = np.linalg.norm(found) + np.linalg.norm(numeric)
    assert scale > 1.0
    assert np.linalg.norm(found - numeric) / scale < 1e-6


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_recurrent_layer_is_pytorchs(kind: str) -> None:
    torch = pytest.importorskip("torch")
    net = Net({"net_arch": [{kind: 4}]}, VECTOR)
    row = net.architecture.program[0]
    gates = GATES[int(row[columns.KIND])] * 4
    own = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(4, 4).double()
    end = int(row[columns.END])
    parts = np.split(net.theta[:end], np.cumsum([4 * gates, gates, 4 * gates]))
    weights, biases, recurrent, further = parts
    last = torch.from_numpy(net.theta[end : end + 12].reshape(4, 3)), torch.from_numpy(net.theta[end + 12 :])
    with torch.no_grad():
        own.weight_ih_l0.copy_(torch.from_numpy(weights.reshape(4, gates).T))
        own.weight_hh_l0.copy_(torch.from_numpy(recurrent.reshape(4, gates).T))
        own.bias_ih_l0.copy_(torch.from_numpy(biases))
        own.bias_hh_l0.copy_(torch.from_numpy(further))
    state = torch.from_numpy(net.start)[None]
    begin = (state[..., :4].contiguous(), state[..., 4:].contiguous()) if kind == "lstm" else state
    seen, _ = own(torch.from_numpy(net.observations.reshape(TIMES, BATCH, 4)), begin)
    out = (seen.reshape(-1, 4) @ last[0] + last[1]).reshape(-1, 3)
    np.testing.assert_allclose(net.forward(), out.detach().numpy(), rtol=1e-12, atol=1e-12)
    factors = np.random.default_rng(0).normal(size=(BATCH * TIMES, 3))
    (out * torch.from_numpy(factors)).sum().backward()
    found = np.split(net.backward(factors, np.zeros(BATCH, np.int64))[:end], np.cumsum([4 * gates, gates, 4 * gates]))
    theirs = (own.weight_ih_l0.grad.T, own.bias_ih_l0.grad, own.weight_hh_l0.grad.T, own.bias_hh_l0.grad)
    for ours, other in zip(found, theirs, strict=True):
        np.testing.assert_allclose(ours, other.numpy().ravel(), rtol=1e-10, atol=1e-12)
