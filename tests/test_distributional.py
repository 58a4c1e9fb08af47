"""The DQN that learns distributions: its rule against NumPy written out, bits, files, refusals, and what it learns."""

import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import TimeLimit
from test_dqn import Cycle, assert_same_agent, two_doors

from rlgrid import share_of_regret
from rlgrid.agents.architecture import architecture_of
from rlgrid.agents.dqn import DQN
from rlgrid.agents.recurrent_dqn import RecurrentDQN
from rlgrid.agents.world import stream_of
from rlgrid.envs.gridworld import GridWorld
from rlgrid.kernels.distributions import fit, project
from rlgrid.kernels.network import backward_once, forward_once
from rlgrid.kernels.program import OUTPUTS
from rlgrid.mdp import MDP

SMALL = {"net_arch": [16], "n_atoms": 11, "v_min": -0.5, "v_max": 1.5}
SETTINGS = {"loss": "cross_entropy", "batch_size": 16, "learning_starts": 50, "seed": 0}


def c51(env="rlgrid/FrozenLake-v1", policy_kwargs=None, **settings):
    env = gym.make(env) if isinstance(env, str) else env
    return DQN("MlpPolicy", env, policy_kwargs=SMALL | (policy_kwargs or {}), **(SETTINGS | settings))


# --- the rule -------------------------------------------------------------------------------------------------------


def projected(probabilities, atoms, reward, discount, low=-np.inf, high=np.inf):
    """Equation 7 of Bellemare et al. 2017 as it stands there: every atom takes from every other."""
    width = atoms[1] - atoms[0]
    out = np.zeros(atoms.size)
    for i, z in enumerate(atoms):
        for p, other in zip(probabilities, atoms, strict=True):
            moved = np.clip(np.clip(reward + discount * other, low, high), atoms[0], atoms[-1])
            out[i] += p * np.clip(1 - abs(moved - z) / width, 0, 1)
    return out


@pytest.mark.parametrize("seed", range(40))
def test_the_projection_is_that_of_the_paper(seed):
    rng = np.random.default_rng(seed)
    atoms = np.linspace(-rng.random() * 10, 0.1 + rng.random() * 10, int(rng.integers(2, 60)))
    probabilities, out = rng.dirichlet(np.ones(atoms.size)), np.empty(atoms.size)
    reward, discount = 8 * rng.normal(), rng.choice([0.0, 0.5, 0.99, 1.0])
    if seed % 4 == 0:
        reward = rng.choice(atoms)  # on an atom, where nothing is shared
    low, high = (atoms[0], atoms[-1]) if seed % 3 else np.sort(rng.uniform(atoms[0], atoms[-1], 2))
    mean = project(probabilities, atoms, reward, discount, low, high, out)
    np.testing.assert_allclose(out, projected(probabilities, atoms, reward, discount, low, high), atol=1e-12)
    assert out.sum() == pytest.approx(1.0, abs=1e-12)
    assert out @ atoms == pytest.approx(mean, abs=1e-11)


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_no_reward_is_projected_outside_of_the_atoms(reward):
    atoms, guarded = np.linspace(0.0, 1.0, 5), np.full(9, 7.0)
    project(np.full(5, 0.2), atoms, reward, 0.9, 0.0, 1.0, guarded[2:7])
    assert (guarded[[0, 1, 7, 8]] == 7.0).all()
    assert guarded[2:7].sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("space", "dueling"), [(Discrete(5), False), (Box(-1, 1, (4,)), False), (Discrete(5), [6])])
def test_the_gradient_of_the_cross_entropy_is_right_through_the_whole_network(space, dueling):
    rng, batch = np.random.default_rng(2), 6
    kwargs = {"net_arch": [8, 7], "activation_fn": "tanh", "n_atoms": 9, "v_min": -1.0, "v_max": 2.0}
    architecture = architecture_of(kwargs | {"dueling": dueling}, space, 3, distributions=True)
    network = architecture.network(architecture.first_weights(rng), batch, np.float64)
    theta, atoms = network.theta, network.atoms
    theta += 0.3 * rng.normal(size=theta.size)
    observations = rng.integers(0, 5, batch) if isinstance(space, Discrete) else rng.normal(size=(batch, 4))
    actions, targets = rng.integers(0, 3, batch), rng.dirichlet(np.ones(9), batch)
    stream, inner = stream_of(rng), network.inner

    def loss():
        logits = forward_once(inner, theta, observations, inner.work, True, stream).reshape(batch, 3, 9)
        chosen = logits[np.arange(batch), actions]
        shares = np.exp(chosen) / np.exp(chosen).sum(axis=1, keepdims=True)
        return -(targets * np.log(shares)).sum() / batch, shares, logits

    _, shares, logits = loss()
    slopes = np.zeros((batch, 3, 9))
    total = 0.0
    for i, a in enumerate(actions):
        its_loss, error = fit(logits[i, a], targets[i], atoms, slopes[i, a])
        total += its_loss / batch
        assert error == pytest.approx((shares[i] - targets[i]) @ atoms, abs=1e-12)
    assert total == pytest.approx(loss()[0], rel=1e-12)
    first = batch * inner.program[-1, OUTPUTS]
    inner.deltas[first : first + slopes.size] = slopes.ravel() / batch
    backward_once(inner, observations, True)
    found, numeric = network.gradient.copy(), np.empty(theta.size)
    for k in range(theta.size):
        kept, values = theta[k], []
        for move in (-2e-3, -1e-3, 1e-3, 2e-3):
            theta[k] = kept + move
            values.append(loss()[0])
        theta[k] = kept
        numeric[k] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
    assert np.linalg.norm(found - numeric) / np.linalg.norm(numeric) < 1e-6


def shares_of(theta, x, learner):
    """float64 [n, A, Z]: a network of one hidden layer of ReLUs in NumPy, at one-hot rows or vectors."""
    for inputs, units, first, biases, *_ in learner.network.inner.program.tolist():
        x = x @ theta[first:biases].reshape(inputs, units).astype(np.float64) + theta[biases : biases + units]
        x = np.maximum(x, 0) if units == 16 else x
    x = np.exp(x.reshape(len(x), -1, learner.network.atoms.size))
    return x / x.sum(axis=2, keepdims=True)


def check_steps(agent, start=70):
    """Gradient steps of a run, against the same in NumPy from the weights and the batch that each of them had."""
    agent.begin(start + 40)
    agent.advance(start)
    learner = agent._learner
    batch, atoms = learner.batch, learner.network.atoms
    for _ in range(40 // agent.n_envs):
        theta, target = learner.network.theta.copy(), learner.target.copy()
        agent.advance(agent.n_envs)
        rows, following = batch.observations, batch.next_observations
        if agent._discrete:
            rows, following = np.eye(agent._width)[rows], np.eye(agent._width)[following]
        each, actions = np.arange(len(rows)), learner.replay.actions[batch.index]
        after = shares_of(target, following, learner)
        judged = (shares_of(theta, following, learner) if agent.double_q else after) @ atoms
        if agent._available is not None:
            judged[~agent._available[batch.next_observations]] = -np.inf
        chosen = judged.argmax(axis=1)
        low, high = learner.reward_range / (1 - agent.gamma) if agent.clip_targets else (-np.inf, np.inf)
        targets = [
            projected(p, atoms, r, d, low, high)
            for p, r, d in zip(after[each, chosen], batch.rewards, batch.discount, strict=True)
        ]
        np.testing.assert_allclose(learner.network.targets, targets, atol=1e-5)
        np.testing.assert_allclose(learner.targets, targets @ atoms, atol=1e-5)
        shares = shares_of(theta, rows, learner)[each, actions]
        if agent.prioritized_replay:
            divergence = np.where(np.array(targets) > 0, targets * np.log(np.maximum(targets, 1e-300) / shares), 0)
            np.testing.assert_allclose(learner.errors, divergence.sum(axis=1), atol=1e-4)
            assert (learner.errors >= 0).all()
        else:
            np.testing.assert_allclose(learner.errors, (targets - shares) @ atoms, atol=1e-5)
        slopes = np.zeros((len(rows), agent._num_actions, atoms.size))
        slopes[each, actions] = (shares - targets) * batch.weights[:, None] / len(rows)
        biases = learner.network.gradient[learner.network.gradient.size - slopes[0].size :]
        np.testing.assert_allclose(biases, slopes.sum(axis=0).ravel(), atol=1e-6)
    assert abs(biases).max() > 1e-3


OF_RELU = {"activation_fn": "relu"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"double_q": False, "clip_targets": False, "n_envs": 2},
        {"prioritized_replay": True, "n_steps": 3, "exploration": "softmax", "temperature": 0.1},
        {"gamma": 0.5, "policy_kwargs": OF_RELU | {"v_min": 0.2, "v_max": 0.3}},  # returns outside of the atoms
    ],
)
def test_a_step_is_the_rule_written_out(settings):
    check_steps(c51(**({"policy_kwargs": OF_RELU} | settings)))


def test_actions_that_a_state_lacks_are_not_aimed_at():
    agent = c51(TimeLimit(GridWorld(model=two_doors()), 20), OF_RELU)
    network = agent._learner.network
    for theta in (network.theta, agent._learner.target):
        theta[-12] += 20.0  # action 1, which is not there, seems to win the most for sure
    check_steps(agent)
    assert agent.q_values[0, 1] == -np.inf


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"n_envs": 2, "n_steps": 2}])
def test_a_step_over_vectors_is_the_rule_written_out(settings):
    check_steps(c51("rlgrid/CartPole-v1", OF_RELU, **settings))


# --- two paths, and files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"prioritized_replay": True, "n_steps": 2, "n_envs": 2, "double_q": False}])
def test_the_compiled_run_and_the_python_loop_end_with_the_same_bits(settings):
    compiled, looped = c51(**settings), c51(compiled=False, **settings)
    assert compiled.compiled
    assert not looped.compiled
    for agent in (compiled, looped):
        agent.learn(600)
    assert len(compiled.episode_returns) > 10
    assert_same_agent(compiled, looped)
    np.testing.assert_array_equal(compiled.q_values, looped.q_values)


@pytest.mark.parametrize("settings", [{}, {"prioritized_replay": True, "n_steps": 3, "n_envs": 2}])
def test_a_saved_run_resumes_as_if_it_had_never_stopped(tmp_path, settings):
    whole, first = c51(buffer_size=250, **settings), c51(buffer_size=250, **settings)
    whole.learn(500)
    first.begin(500)
    first.advance(300)
    first.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run.safetensors", gym.make("rlgrid/FrozenLake-v1"))
    assert_same_agent(first, again)
    assert again._settings() == first._settings()
    np.testing.assert_array_equal(again.distribution(3)[0], first.distribution(3)[0])
    again.resume()
    assert_same_agent(whole, again)
    assert again.metrics() == whole.metrics()
    again.save(tmp_path / "again")
    whole.save(tmp_path / "whole")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


# --- what can be read -----------------------------------------------------------------------------------------------


def test_values_are_the_means_of_distributions():
    agent = c51().learn(300)
    shares, atoms = agent.distribution(np.arange(16))
    np.testing.assert_allclose(atoms, np.linspace(-0.5, 1.5, 11))
    assert shares.shape == (16, 4, 11)
    np.testing.assert_allclose(shares.sum(axis=2), 1.0)
    known = ~agent.model.absorbing
    np.testing.assert_allclose((shares @ atoms)[known], agent.q_values[known], atol=1e-6)
    np.testing.assert_array_equal(agent.distribution(7)[0], shares[7])
    x = np.eye(16)
    agent = c51(policy_kwargs={"activation_fn": "relu"})
    theta = agent._learner.network.theta
    np.testing.assert_allclose(agent.distribution(np.arange(16))[0], shares_of(theta, x, agent._learner), atol=1e-6)
    assert agent.predict(3)[0] == agent.q_values[3].argmax()
    diagnosis = agent.diagnosis()
    assert [layer.name for layer in diagnosis.layers] == ["layer 1 of net_arch (16 dense units)", "the last layer"]
    vectors = c51(Cycle(), {"v_min": 0, "v_max": 5})
    with pytest.raises(ValueError, match="shape"):
        vectors.distribution(np.zeros(3))
    with pytest.raises(ValueError, match="learns values alone: DQN with loss='cross_entropy'"):
        DQN("MlpPolicy", gym.make("rlgrid/FrozenLake-v1")).distribution(0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"v_max": None}, r"needs v_max: say which discounted returns.*policy_kwargs=\{'v_min': ..., 'v_max'"),
        ({"v_min": None}, "needs v_min"),
        ({"v_min": 2.0}, r"v_min=2 must be below v_max=1.5"),
        ({"v_min": 1.5}, r"v_min=1.5 must be below v_max=1.5"),
        ({"v_min": math.nan}, "v_min must lie in"),
        ({"v_max": math.inf}, "v_max must lie in"),
        ({"n_atoms": 1}, "n_atoms"),
        ({"n_atoms": 10**9}, "n_atoms"),
        ({"v_min": 0.0, "v_max": 5e-324}, "there are no n_atoms=11 numbers"),
        ({"natoms": 51}, "did you mean 'n_atoms'"),
    ],
)
def test_wrong_atoms_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        c51(policy_kwargs=kwargs)


def test_what_does_not_go_together_is_named():
    env = gym.make("rlgrid/FrozenLake-v1")
    with pytest.raises(ValueError, match="v_min in policy_kwargs is of distributions: loss='cross_entropy'"):
        DQN("MlpPolicy", env, policy_kwargs={"v_min": 0.0})
    with pytest.raises(ValueError, match="exploration_bonus moves values"):
        c51(exploration_bonus=0.5)
    with pytest.raises(ValueError, match=r"cross_entropyy.*did you mean 'cross_entropy'"):
        c51(loss="cross_entropyy")
    with pytest.raises(TypeError, match="v_min must be a number"):
        c51(policy_kwargs={"v_min": "low"})
    with pytest.raises(ValueError, match="huber, mse"):
        RecurrentDQN("MlpLstmPolicy", env, loss="cross_entropy")


# --- what it learns -------------------------------------------------------------------------------------------------


def test_a_lottery_is_learnt_as_it_is():
    """Of two actions with the same mean one is certain: the distributions tell them apart."""
    chances = {0: {0.0: 0.35, 0.5: 0.3, 1.0: 0.35}, 1: {0.5: 1.0}}
    model = MDP.from_function(
        ["now"], 2, lambda s, a: [(p, f"won {prize}", prize, True) for prize, p in chances[a].items()], 0.9
    )
    kwargs = {"n_atoms": 3, "v_min": 0, "v_max": 1}
    agent = c51(GridWorld(model=model), kwargs, epsilon=1.0, directed=False, batch_size=64).learn(2_500)
    shares, _ = agent.distribution(0)
    np.testing.assert_allclose(shares, [[0.35, 0.3, 0.35], [0.0, 1.0, 0.0]], atol=0.04)
    np.testing.assert_allclose(agent.q_values[0], 0.5, atol=0.03)


def test_a_small_world_is_learnt():
    env = gym.make("rlgrid/FrozenLake-v1", is_slippery=False)
    agent = c51(env, {"n_atoms": 21, "v_min": 0, "v_max": 1}).learn(2_500)
    assert share_of_regret(agent.model, agent.policy) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"policy_kwargs": {"dueling": True}, "prioritized_replay": True}])
def test_frozen_lake_is_solved(settings):
    settings = {"policy_kwargs": {}} | settings
    kwargs = {"n_atoms": 51, "v_min": 0.0, "v_max": 1.0} | settings.pop("policy_kwargs")
    env = gym.make("rlgrid/FrozenLake-v1")
    agent = DQN("MlpPolicy", env, loss="cross_entropy", policy_kwargs=kwargs, seed=0, **settings).learn(25_000)
    assert share_of_regret(agent.model, agent.policy) <= 0.05
