"""Networks with a memory against numpy written out and finite differences; the recurrent DQN and the T-maze."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium as gym
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from small_worlds import masked_mdp, world
from test_network import PHI

import rlgrid
from rlgrid.agents import DQN, RecurrentDQN, evaluate_policy
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.recurrent_network import recurrent_architecture
from rlgrid.callbacks import EvalCallback
from rlgrid.cli import main
from rlgrid.envs.beliefs import belief_mdp, best_memoryless
from rlgrid.kernels import program as columns
from rlgrid.kernels.dqn import UPDATES
from rlgrid.kernels.recurrent import GATES, LSTM, STATE, backward_once, forward_once
from rlgrid.kernels.replay import FILLED, POSITION, TRUNCATED
from rlgrid.mdp import MDP
from rlgrid.window.actors import Acting
from rlgrid.window.engine import Engine
from rlgrid.window.scenario import Scenario

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


# --- the rule ---------------------------------------------------------------------------------------------------------


def maze(length: int = 3, limit: int = 9) -> Any:
    return gym.make("rlgrid/TMaze-v0", length=length, max_episode_steps=limit)


SMALL: dict[str, Any] = {
    "policy_kwargs": {"net_arch": [{"lstm": 3}]},
    "batch_size": 3,
    "learning_starts": 20,
    "buffer_size": 60,
    "sequence_length": 4,
    "n_steps": 3,
    "adam_epsilon": 1e-3,
    "exploration_fraction": 0.2,
    "exploration_final_eps": 0.4,
    "seed": 0,
}


def small(env: Any = None, **settings: Any) -> RecurrentDQN:
    return RecurrentDQN("MlpLstmPolicy", maze() if env is None else env, **(SMALL | settings))


class Naive:
    """DRQN with an LSTM over Discrete observations as one would write it in numpy, from an agent's first weights."""

    def __init__(self, agent: RecurrentDQN) -> None:
        self.agent, self.units = agent, agent._network.state // 2
        self.theta = agent._learner.network.theta.astype(np.float64)
        self.target = self.theta.copy()
        self.draws = np.random.default_rng(agent.seed)
        self.draws.random(4 * self.units * (agent._width + self.units) + self.units * agent._num_actions)
        self.m, self.v, self.n = np.zeros_like(self.theta), np.zeros_like(self.theta), 0
        self.memory: list[dict[str, Any]] = []
        self.zeros = (np.zeros(self.units), np.zeros(self.units))
        self.state, self.rewards = self.zeros, {0.0}

    def step(self, theta: Any, state: Any, observation: int) -> tuple[Any, Any]:
        """(values [A], the next state); of weights [P, P], row by row."""
        units, width, outputs = self.units, self.agent._width, self.agent._num_actions
        sizes = np.cumsum([4 * units * width, 4 * units, 4 * units * units, 4 * units, units * outputs])
        weights, biases, own, further, last, ends = np.split(theta, sizes, axis=-1)
        rows = theta.shape[:-1]
        below = weights.reshape(*rows, width, -1)[..., observation, :] + biases + further
        a = below + np.einsum("...k,...kj->...j", state[0], own.reshape(*rows, units, -1))
        i, f, g, o = np.split(a, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return np.einsum("...k,...kj->...j", h, last.reshape(*rows, units, outputs)) + ends, (h, c)

    def epsilon(self, t: int) -> float:
        agent = self.agent
        if t < agent.learning_starts:
            return 1.0
        horizon = agent.exploration_fraction * float(agent.total_timesteps or 1)
        return agent.exploration_initial_eps + (agent.exploration_final_eps - 1.0) * min(t / horizon, 1.0)

    def run(self, env: Any, steps: int) -> None:
        agent = self.agent
        seen, _ = env.reset(seed=agent.seed)
        for t in range(steps):
            q, after = self.step(self.theta, self.state, seen)
            action = int(q.argmax())
            if self.draws.random() < self.epsilon(t):
                action = int(self.draws.random() * agent._num_actions)
            to, reward, terminated, truncated, _ = env.step(action)
            made = {"state": self.state, "seen": seen, "action": action, "reward": float(np.float32(reward)), "to": to}
            self.memory = [*self.memory, made | {"over": terminated, "ended": terminated or truncated}]
            self.memory = self.memory[-agent.buffer_size :]
            self.rewards.add(float(reward))
            self.state = after
            seen = to
            if terminated or truncated:
                self.state = self.zeros
                seen, _ = env.reset()
            if (t + 1) % agent._train_freq == 0 and t + 1 > agent.learning_starts:
                self.learn(t, float(agent.total_timesteps or 1))
            self.target += agent.tau * (self.theta - self.target)

    def sequence(self) -> tuple[list[dict[str, Any]], int]:
        """(transitions, how many of them only make the state)"""
        memory, length = self.memory, self.agent.sequence_length
        drawn = int(self.draws.random() * len(memory))
        begin = max([0, *(i + 1 for i in range(drawn) if memory[i]["ended"])])  # of its episode
        end = next((i + 1 for i in range(drawn, len(memory)) if memory[i]["ended"]), len(memory))
        first = max(begin, drawn - length + 1)
        last = min(end, first + length)
        from_ = max(begin, first - self.agent.burn_in)
        return memory[from_:last], first - from_

    def values(self, theta: Any, sequence: list[dict[str, Any]], burned: int) -> list[Any]:
        """Of every observation, the last one led to included; what is burned in is a number, whatever theta is."""
        state, found = sequence[0]["state"] if self.agent.start_state == "stored" else self.zeros, []
        for t, seen in enumerate([one["seen"] for one in sequence] + [sequence[-1]["to"]]):
            q, state = self.step(theta.real if t < burned else theta, state, seen)
            found.append(q)
        return found

    def learn(self, t: int, total: float) -> None:
        agent = self.agent
        drawn = [self.sequence() for _ in range(agent.batch_size)]
        wanted = []
        for sequence, burned in drawn:
            after = self.values(self.target, sequence, burned)
            best = [int(q.argmax()) for q in (self.values(self.theta, sequence, burned) if agent.double_q else after)]
            targets = []
            for k in range(burned, len(sequence)):
                until = min(k + agent.n_steps, len(sequence))
                value = sum(agent.gamma ** (j - k) * sequence[j]["reward"] for j in range(k, until))
                if not sequence[until - 1]["over"]:
                    value += agent.gamma ** (until - k) * after[until][best[until]]
                low, high = (one / (1 - agent.gamma) for one in (min(self.rewards), max(self.rewards)))
                targets.append(min(max(value, low), high))
            wanted.append(targets)
        count = sum(map(len, wanted))

        def loss(theta: Any) -> Any:
            error = 0.0
            for (sequence, burned), targets in zip(drawn, wanted, strict=True):
                q = self.values(theta, sequence, burned)
                for k, target in enumerate(targets, burned):
                    error += 0.5 * (q[k][..., sequence[k]["action"]] - target) ** 2
            return error / count

        step = 1e-30  # through the complex plane: a derivative without a difference
        gradient = loss(self.theta + 1j * step * np.eye(self.theta.size)).imag / step
        gradient *= min(1.0, agent.max_grad_norm / np.linalg.norm(gradient))
        self.n += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        root = np.sqrt(self.v / (1 - 0.999**self.n)) + agent.adam_epsilon
        rate = agent._rate.initial * max(0.01, 1 - t / total)
        self.theta = self.theta - rate * self.m / (1 - 0.9**self.n) / root


@pytest.mark.parametrize(
    "settings",
    [{}, {"burn_in": 2, "double_q": False}, {"start_state": "zero", "burn_in": 1, "n_steps": 1, "train_freq": 3}],
)
def test_a_run_is_the_written_out_one(settings: dict[str, Any]) -> None:
    agent = small(**settings)
    naive = Naive(agent)
    agent.begin(150)
    naive.run(maze(), 150)
    agent.advance(150)
    learner = agent._learner
    assert int(learner.counters[UPDATES]) == naive.n > 30
    assert agent.episode_lengths
    assert len(naive.memory) == agent.buffer_size == learner.replay.counters[FILLED]
    np.testing.assert_array_equal(
        np.roll(learner.replay.actions, -int(learner.replay.counters[POSITION])),
        [one["action"] for one in naive.memory],
    )
    np.testing.assert_allclose(learner.network.theta, naive.theta, rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(learner.target, naive.target, rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(learner.state[0], np.concatenate(naive.state), rtol=2e-3, atol=2e-5)


# --- the agent --------------------------------------------------------------------------------------------------------


def assert_same_agent(a: RecurrentDQN, b: RecurrentDQN) -> None:
    for name, array in a._arrays().items():
        np.testing.assert_array_equal(array, b._arrays()[name], err_msg=name)
    assert a.num_timesteps == b.num_timesteps
    assert a.episode_returns == b.episode_returns
    assert a.episode_lengths == b.episode_lengths
    assert a._generator.bit_generator.state == b._generator.bit_generator.state


class Unknown(gym.Wrapper[Any, Any, Any, Any]):
    """May do anything, for all that an agent knows."""


def test_both_paths_give_the_same_bits() -> None:
    """In a world that is partly observed, in one that is seen whole, and in one whose states lack actions."""
    for make in (maze, lambda: gym.make("rlgrid/FrozenLake-v1"), lambda: world(masked_mdp(), limit=7)):
        compiled, python = small(make(), buffer_size=250), small(make(), buffer_size=250, compiled=False)
        assert compiled.compiled
        assert compiled.learn(400) is compiled
        for part in (1, 150, 249):
            python.total_timesteps, python._begun = 400, python._begun or python.begin(400) is None
            python.advance(part)
        assert_same_agent(compiled, python)
        assert len(compiled.episode_returns) > 10
    foreign = small(Unknown(maze()), buffer_size=250)
    assert not foreign.compiled
    foreign.learn(400)
    whole = small(buffer_size=250).learn(400)
    assert_same_agent(whole, foreign)
    assert whole.env.unwrapped.state == foreign.env.unwrapped.state  # type: ignore[attr-defined]


@pytest.mark.parametrize("start_state", ["stored", "zero"])
def test_a_saved_run_goes_on_within_its_episode(start_state: str, tmp_path: Path) -> None:
    whole, first = small(start_state=start_state), small(start_state=start_state)
    whole.learn(300)
    first.begin(300)
    first.advance(173)
    assert first._episode_length
    assert first._learner.state.any()
    first.save(tmp_path / "half")
    again = RecurrentDQN.load(tmp_path / "half", maze())
    assert again.settings == first.settings
    again.save(tmp_path / "twice")
    assert (tmp_path / "half.safetensors").read_bytes() == (tmp_path / "twice.safetensors").read_bytes()
    again.resume()
    assert_same_agent(whole, again)
    whole.save(tmp_path / "whole")
    again.save(tmp_path / "again")
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_looking_at_an_agent_changes_nothing_and_it_can_be_taken_back() -> None:
    plain, looked = small(), small()
    plain.learn(200)
    looked.learn(200, callback=EvalCallback(maze(), eval_freq=50, n_eval_episodes=2, verbose=0))
    assert_same_agent(plain, looked)
    kept = plain.learnt()
    plain.learn(50, reset_num_timesteps=False)
    plain.take_back(kept)
    for name, array in looked._arrays().items():
        np.testing.assert_array_equal(array, plain._arrays()[name], err_msg=name)
    plain.learn(50, reset_num_timesteps=False)
    assert plain.num_timesteps == 300


def test_an_episode_that_is_left_begins_the_next_without_its_memory() -> None:
    agent = small()
    agent.begin(1_000)
    agent.advance(200)
    while not agent._episode_length:
        agent.advance(1)
    replay = agent._learner.replay
    agent.forget_episode()
    agent._ready_episode()
    assert not agent._learner.state.any()
    assert replay.endings[replay.counters[POSITION] - 1] == TRUNCATED


def test_somebody_else_may_act() -> None:
    agent = small(maze(limit=100))
    for action in (1, 1, 1, 0):
        agent.take(action)
    assert agent.episode_lengths == [4]
    assert agent.episode_returns[0] in (4.0, -0.1)
    assert agent._learner.replay.actions[:4].tolist() == [1, 1, 1, 0]


def test_predicting_carries_the_state() -> None:
    agent = small().learn(100)
    one, state = agent.predict(0)
    two, after = agent.predict(2, state)
    assert state.shape == after.shape == (1, 6)
    assert (state != after).any()
    assert agent.predict(2, state, episode_start=np.array([True]))[1].tolist() == agent.predict(2)[1].tolist()
    actions, states = agent.predict(
        np.array([0, 2]), np.concatenate([np.zeros((1, 6)), state]), np.array([True, False])
    )
    assert actions.tolist() == [one, two]
    np.testing.assert_array_equal(states, np.concatenate([state, after]))
    exploring = [agent.predict(0, deterministic=False)[0] for _ in range(50)]
    assert set(exploring) == {0, 1, 2, 3}
    assert agent.predict(0, action_masks=[False, False, True, False])[0] == 2
    with pytest.raises(ValueError, match=r"state must be float32 \[2, 6\]"):
        agent.predict(np.array([0, 2]), state)
    with pytest.raises(ValueError, match=r"state must be float32 \[1, 6\].*not \('h', 'c'\)"):
        agent.predict(0, ("h", "c"))
    for begins in ([True, False], "yes", 3):
        with pytest.raises(ValueError, match=r"episode_start must be a bool, or bool \[1\]"):
            agent.predict(0, state, begins)
    with pytest.raises(ValueError, match="observation"):
        agent.predict(7)


class Memory:
    """Walks to the junction and turns as the sign said; without its state it does not know where."""

    def predict(
        self, observation: int, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        if state is None:
            state = observation
        return (2 * state if observation == 3 else 1), state


def test_evaluations_carry_the_state() -> None:
    assert evaluate_policy(Memory(), maze(limit=100), 20, seed=0) == (4.0, 0.0)


def test_the_window_shows_the_learner_and_says_that_it_has_no_table() -> None:
    settings = {name: value for name, value in SMALL.items() if name != "seed"}
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent="recurrent_dqn", settings=settings), patient=True)
    engine.set_speed(1_000.0)
    engine.advance(120)
    assert engine.walker is None  # there is no policy that a walker could follow
    assert engine.follows_learner
    shot = engine.snapshot()
    assert shot.values is None
    assert shot.q_values is None
    assert shot.regret is None
    assert shot.count == 120
    engine.close()
    acting = Acting(maze(limit=100), Memory())
    acting.advance(40)
    assert set(acting.episode_returns) == {4.0}


def test_what_is_not_known_is_said() -> None:
    agent = small(maze(), policy_kwargs={"net_arch": [4, {"gru": 3}, {"lstm": 2}]}, burn_in=1).learn(60)
    assert agent.truth is None
    with pytest.raises(AttributeError, match="depends on all that was seen before"):
        _ = agent.values
    diagnosis = agent.diagnosis()
    assert [layer.name for layer in diagnosis.layers][1] == "layer 2 of net_arch (3 gru units)"
    assert diagnosis.replay is not None
    assert diagnosis.replay.sum() == 60
    assert {"layer_2/weight_norm", "replay_coverage"} <= set(diagnosis.numbers())
    agent._learner.network.theta[-1] = np.nan
    with pytest.raises(FloatingPointError, match="the values of the last layer are no longer finite"):
        agent.learn(60)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"policy_kwargs": {"net_arch": [{"lstm": 0}]}}, "layer 1 of net_arch: 'lstm' must be at least 1"),
        ({"policy_kwargs": {"net_arch": [{"lstm": 3, "stride": 2}]}}, "a recurrent layer has its units alone"),
        ({"policy_kwargs": {"net_arch": [{"conv": 3}]}}, "layer 1 of net_arch must be a number of units"),
        ({"policy_kwargs": {"net_arc": []}}, "did you mean 'net_arch'"),
        ({"policy_kwargs": {"normalize": "min-max"}}, "normalize does not apply"),
        ({"start_state": "stord"}, "did you mean 'stored'"),
        ({"sequence_length": 0}, "sequence_length must be at least 1"),
        ({"burn_in": -1}, "burn_in must be at least 0"),
        ({"sequence_length": 10**9}, "sequence_length=1000000000 after burn_in=0 take"),
        ({"epsilon": 0.1, "exploration_fraction": 0.3}, "give either epsilon or exploration_fraction"),
        (
            {"policy_kwargs": {"net_arch": [{"gru": 3}], "lstm_hidden_size": 8}},
            "lstm_hidden_size is of the policy's own layer",
        ),
    ],
)
def test_what_is_wrong_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**settings)


def test_what_other_libraries_know_is_taken_or_refused_with_the_remedy() -> None:
    assert small(verbose=0, device="cpu").gamma == small().gamma
    with pytest.raises(TypeError, match=r"RecurrentDQN takes no verbose=1: learn\(..., log_interval=10\) prints"):
        small(verbose=1)
    with pytest.raises(TypeError, match="takes no argument 'burnin', did you mean 'burn_in'"):
        small(burnin=3)
    with pytest.raises(TypeError, match="one environment at a time, not in the vector"):
        RecurrentDQN("MlpLstmPolicy", gym.make_vec("rlgrid/TMaze-v0", num_envs=2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="env must be a Gymnasium environment, or the id of one, not 3"):
        RecurrentDQN("MlpLstmPolicy", 3)  # type: ignore[arg-type]
    assert RecurrentDQN("MlpLstmPolicy", "rlgrid/RandomWalk-v0").gamma == 0.99  # 1 in the world's own model


def test_a_run_with_stored_states_goes_on_without_them_and_not_the_other_way(tmp_path: Path) -> None:
    for name in ("stored", "zero"):
        small(start_state=name).learn(60).save(tmp_path / name)
    again = RecurrentDQN.load(tmp_path / "stored", maze(), start_state="zero")
    again.learn(60, reset_num_timesteps=False)
    assert not again._arrays()["stored"].size
    with pytest.raises(CheckpointError, match="as of start_state='zero': leave start_state out"):
        RecurrentDQN.load(tmp_path / "zero", maze(), start_state="stored")


def test_policies_by_name() -> None:
    assert RecurrentDQN("MlpGruPolicy", maze()).settings["policy_kwargs"] == {"net_arch": [{"gru": 32}]}
    hidden = RecurrentDQN("MlpLstmPolicy", maze(), policy_kwargs={"net_arch": [8], "lstm_hidden_size": 4})
    assert hidden.settings["policy_kwargs"] == {"net_arch": [{"lstm": 4}, 8]}
    with pytest.raises(ValueError, match="policy must be one of MlpLstmPolicy, MlpGruPolicy, not 'MlpPolicy'"):
        RecurrentDQN("MlpPolicy", maze())
    with pytest.raises(TypeError, match="policy first"):
        RecurrentDQN(maze())  # type: ignore[arg-type]
    bounded = recurrent_architecture("MlpLstmPolicy", {"normalize": "min-max"}, Box(-2, 6, (1,)), 2)
    assert (bounded.shift[0], bounded.scale[0]) == (-2.0, 0.125)


def test_runs_of_many_seeds_and_of_the_command_line(tmp_path: Path, capsys: Any) -> None:
    settings = {name: value for name, value in SMALL.items() if name != "seed"}
    runs = rlgrid.learn_many(
        "recurrent_dqn", "rlgrid/TMaze-v0", [0, 1], 200, env_kwargs={"length": 3}, settings=settings, n_jobs=1
    )
    assert [np.isfinite(run.mean_return).all() for run in runs] == [True, True]
    words = ["--algo", "recurrent_dqn", "--env", "rlgrid/TMaze-v0", "-n", "120", "--seed", "0", "--eval-freq", "60"]
    assert main(["train", *words, "-f", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "recurrent_dqn").iterdir()
    assert main(["evaluate", str(folder), "--eval-episodes", "3", "--json"]) == 0
    assert '"mean_return"' in capsys.readouterr().out


# --- the T-maze -------------------------------------------------------------------------------------------------------


def test_what_a_memory_is_worth_in_the_t_maze() -> None:
    """The right turn pays 4, and who does not know which it is takes it half of the time."""
    for length in (1, 3):
        env: Any = maze(length).unwrapped
        believed = belief_mdp(env.model, env.observation_of)
        assert believed.num_states == 2 * (length + 1) + 1  # each state by itself, and the end
        values = rlgrid.solve(believed, tolerance=1e-10).values
        assert believed.start_probability @ values[believed.start_states] == pytest.approx(4 * 0.98**length, abs=1e-9)
        best = best_memoryless(env.model, env.observation_of)
        assert best.value == pytest.approx(1.95 * 0.98**length, abs=1e-12)
        assert best.action_of[[0, 1]].tolist() == [1, 1]
        draws = np.random.default_rng(0)
        for _ in range(20 if length == 3 else 0):  # nor does drawing the actions help here
            chances = draws.dirichlet(np.full(4, 0.2), 5)
            values = rlgrid.policy_values(env.model, chances[env.observation_of])
            assert env.model.start_probability @ values[env.model.start_states] < best.value


def test_beliefs_of_a_world_that_is_seen_whole_are_its_states() -> None:
    model = masked_mdp([0.2, 0.5, 0.3, 0.0])
    believed = belief_mdp(model, None)
    known, found = rlgrid.solve(model, tolerance=1e-10).values, rlgrid.solve(believed, tolerance=1e-10).values
    for number, belief in enumerate(believed.states or []):
        if belief:
            ((state, share),) = belief
            assert share == 1
            assert found[number] == pytest.approx(known[state], abs=1e-9)
    assert best_memoryless(model, None).value == pytest.approx(model.start_probability @ known[model.start_states])
    with pytest.raises(ValueError, match="have other actions"):
        belief_mdp(model, [0, 0, 0, 1])
    with pytest.raises(ValueError, match="more than max_policies = 3"):
        best_memoryless(model, None, max_policies=3)


def test_beliefs_of_who_cannot_tell() -> None:
    """Two states that look alike; the action that is right in one is wrong in the other, and one look costs."""
    P = np.zeros((5, 3, 5))
    P[:2, :2, 4] = 1.0  # open one of two doors
    P[0, 2, 2] = P[1, 2, 3] = 1.0  # or look, and see which it is
    P[2:, :, 4] = 1.0
    R = np.array([[1.0, -1, -0.1], [-1, 1, -0.1], [1, -1, 0], [-1, 1, 0], [0, 0, 0]])
    model = MDP.from_arrays(P, R, gamma=1.0, start=[0.75, 0.25, 0, 0, 0], terminal=[False] * 4 + [True])
    blind = belief_mdp(model, [0, 0, 1, 1, 2])
    value = rlgrid.solve(blind, gamma=0.999999, tolerance=1e-9).values[0]
    assert value == pytest.approx(0.75 - 0.25, abs=1e-5)  # looking shows nothing here
    shown = belief_mdp(model, [0, 0, 1, 3, 2])
    assert rlgrid.solve(shown, gamma=0.999999, tolerance=1e-9).values[0] == pytest.approx(0.9, abs=1e-5)


@pytest.mark.slow
def test_the_t_maze_is_solved_with_a_memory_alone() -> None:
    """To the last digit, where the DQN without one stays at what is best for those who forget."""
    script = benchmark()
    blind, best = script.bounds(10)
    for seed in (0, 1):
        env = gym.make("rlgrid/TMaze-v0", length=10)
        agent = RecurrentDQN("MlpLstmPolicy", env, seed=seed).learn(40_000)
        assert script.value_with_memory(agent, 10) == pytest.approx(best, rel=1e-9)
    plain = DQN("MlpPolicy", gym.make("rlgrid/TMaze-v0", length=10), seed=0).learn(10_000)
    assert script.value_without(plain, 10) <= blind + 1e-12


def benchmark() -> Any:
    """benchmarks/recurrent_dqn.py as a module."""
    path = Path(__file__).parent.parent / "benchmarks" / "recurrent_dqn.py"
    spec = importlib.util.spec_from_file_location("recurrent_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_vectors_are_learnt_from_in_both_paths() -> None:
    """Of classic control; a view that is an image of bytes is taken as it is."""
    made = [small(gym.make("rlgrid/CartPole-v1"), compiled=compiled, buffer_size=300) for compiled in (True, False)]
    for agent in made:
        agent.learn(300)
    assert_same_agent(*made)
    assert len(made[0].episode_returns) > 5
    lake = small(gym.make("rlgrid/FrozenLake-v1", observation="view", view_size=3))
    assert not lake.compiled
    assert lake._learner.replay.observations.dtype == np.uint8
    seen = lake.env.reset(seed=0)[0]
    assert lake.predict(seen)[1].shape == (1, 6)
    assert lake.predict(np.stack([seen, seen]))[0].shape == (2,)
