"""Epsilon-z-greedy: how long actions are held, against the exact distribution; whole runs against a loop; resuming."""

import math
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
from test_dqn import SMALL, assert_same_agent, frozen_lake

from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.dqn import DQN
from rlgrid.agents.dqn_arguments import durations
from rlgrid.envs.gridworld import GridWorld
from rlgrid.kernels.dqn import HELD, LEFT
from rlgrid.mdp import MDP


def between_two(actions):
    """Two states that never end; action 0 leads to the other one, action 1 back, 2 stays; ``actions`` of each."""
    offsets, to = [0], []
    for s in (0, 1):
        for a in range(3):
            to += [s if a == 2 else 1 - s] if a in actions[s] else []
            offsets.append(len(to))
    count = len(to)
    model = MDP(2, 3, offsets, to, [1.0] * count, [0.0] * count, [False] * count, gamma=0.9, start=0)
    return GridWorld(model=model)


def exact(exponent, longest):
    """The probability of each duration, where the exponent is a whole number."""
    parts = [Fraction(1, n**exponent) for n in range(1, longest + 1)]
    return [part / sum(parts) for part in parts]


@pytest.mark.parametrize(("exponent", "longest"), [(2, 60), (0, 7), (1, 40), (3, 1), (100, 5)])
def test_durations_are_those_of_the_zeta_distribution_cut_off(exponent, longest):
    chances = exact(exponent, longest)
    at_most = durations(float(exponent), longest)
    assert at_most.shape == (longest,)
    assert at_most[-1] == 1.0  # no uniform is beyond
    for n in range(longest):
        assert abs(Fraction(float(at_most[n])) - sum(chances[: n + 1])) < Fraction(1, 10**15)


def test_the_mean_of_long_durations():
    """With mu = 3/2 the mean is the sum of n^(-1/2) over that of n^(-3/2)."""
    at_most = durations(1.5, 200)
    mean = 1 + (1 - at_most).sum()
    steps = range(1, 201)
    assert mean == pytest.approx(math.fsum(n**-0.5 for n in steps) / math.fsum(n**-1.5 for n in steps), rel=1e-12)


def test_actions_are_held_for_as_long_as_the_distribution_says():
    settings = {"duration_exponent": 1.0, "max_duration": 6, "epsilon": 1.0, "learning_starts": 10_000}
    env = between_two([range(3)] * 2)
    agent = DQN("MlpPolicy", env, seed=1, exploration="ez_greedy", **(SMALL | settings))
    assert agent.compiled
    agent.begin(1_000)
    seen, taken, left = np.zeros(6), np.zeros(3), 0
    for _ in range(1_000):
        agent.advance(1)
        held = agent._learner.held[0]
        if left == 0:
            seen[held[LEFT]] += 1
            taken[held[HELD]] += 1
        else:
            assert held[LEFT] == left - 1
        left = held[LEFT]
    for counted, chances in ((seen, exact(1, 6)), (taken, [1 / 3] * 3)):
        for count, chance in zip(counted / counted.sum(), map(float, chances), strict=True):
            assert abs(count - chance) < 4 * math.sqrt(chance * (1 - chance) / counted.sum())


@pytest.mark.parametrize("compiled", [True, False])
def test_a_hold_ends_where_its_action_is_not(compiled):
    """A run of nothing but exploration, written out: action 0 is in one state alone, action 1 in the other."""
    settings = {"duration_exponent": 0.5, "max_duration": 20, "epsilon": 1.0, "learning_starts": 10_000}
    actions = [[0, 2], [1, 2]]
    agent = DQN(
        "MlpPolicy", between_two(actions), seed=5, compiled=compiled, exploration="ez_greedy", **(SMALL | settings)
    )
    draws = np.random.default_rng(5)
    draws.random(2 * 16 + 16 * 3)  # the first weights
    agent.learn(600)
    parts = [n**-0.5 for n in range(1, 21)]
    state, expected, ended_early = 0, [], 0
    while len(expected) < 600:
        draws.random()  # explores in any case
        action = actions[state][int(draws.random() * 2)]
        u = draws.random() * sum(parts)
        duration = next(n for n in range(1, 21) if sum(parts[:n]) > u)
        for _ in range(duration):
            if action not in actions[state]:
                ended_early += 1
                break
            expected.append(action)
            state = state if action == 2 else 1 - state
    assert ended_early > 20
    assert agent._arrays()["actions"].tolist() == expected[:600]


@pytest.mark.parametrize("n_envs", [1, 3])
def test_a_run_that_is_saved_while_actions_are_held_resumes_byte_for_byte(tmp_path, n_envs):
    settings = {"exploration": "ez_greedy", "duration_exponent": 1.0, "max_duration": 50, "epsilon": 0.5}
    settings |= {"n_envs": n_envs}
    whole, first = frozen_lake(**settings), frozen_lake(**settings)
    whole.learn(600)
    first.begin(600)
    while first.num_timesteps < 300 or first._learner.held[0, LEFT] < 3:
        first.advance(n_envs)
    assert first.num_timesteps < 600
    first.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run", gym.make("rlgrid/FrozenLake-v1"))
    np.testing.assert_array_equal(again._learner.held, first._learner.held)
    assert_same_agent(first, again)
    again.resume()
    assert_same_agent(whole, again)
    for agent, name in ((whole, "whole"), (again, "again")):
        agent.save(tmp_path / name)
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_an_environment_that_is_reset_is_entered_with_nothing_held():
    agent = frozen_lake(exploration="ez_greedy", duration_exponent=0.0, max_duration=1_000)
    agent.begin(100)
    agent.advance(1)
    left = agent._learner.held[0, LEFT]
    assert left > 0
    agent.begin(100)
    agent.advance(1)
    assert 0 < agent._learner.held[0, LEFT] != left - 1  # drawn anew: not one step less of what was held


@pytest.mark.parametrize("wrong", [(4, 0), (-1, 0), (0, 1_000), (0, -1)])
def test_what_is_held_in_a_file_is_looked_at(tmp_path, wrong):
    agent = frozen_lake(exploration="ez_greedy").learn(20)
    agent._learner.held[0] = wrong
    agent.save(tmp_path / "run")
    with pytest.raises(CheckpointError, match="held actions"):
        DQN.load(tmp_path / "run", gym.make("rlgrid/FrozenLake-v1"))


def test_other_explorations_hold_nothing():
    agent = frozen_lake().learn(100)
    assert agent._learner.held.size == agent._learner.durations.size == 0
    assert "held" not in agent._arrays()
    assert "duration_exponent" not in agent.settings
    assert frozen_lake(exploration="ez_greedy", max_duration=7).settings["max_duration"] == 7


def test_predictions_explore_as_a_hold_begins():
    agent = frozen_lake(exploration="ez_greedy", epsilon=1.0, use_masking=True).learn(60)
    assert {int(agent.predict(4, deterministic=False)[0]) for _ in range(100)} == set(range(4))
    assert agent.metrics()["epsilon"] == 1.0
