"""What the tabular agents learn: optimal policies, and the learning curves that the book prints."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rlgrid


@pytest.mark.parametrize("settings", [{"exploration": "softmax", "temperature": "exp_1_0.001"}, {"exploration": "ucb"}])
def test_other_explorations_find_the_optimal_policy(settings: dict[str, Any]) -> None:
    env = gym.make("rlgrid/DynaMaze-v0")
    agent = rlgrid.agents.QLearning(env, learning_rate=0.5, seed=0, **settings).learn(50_000)
    assert rlgrid.share_of_regret(env.unwrapped.model, agent.policy) <= 0.01  # type: ignore[attr-defined]


# --- learning curves of Sutton & Barto, 2nd ed. -----------------------------------------------------------------------

BEHAVIOUR: dict[str, Any] = {"exploration_initial_eps": 0.1, "exploration_final_eps": 0.1}


def test_sarsa_walks_away_from_the_cliff() -> None:
    # Example 6.6 and Figure 6.4: Sarsa collects about -25 an episode, in the last hundred of 500.
    env = gym.make("rlgrid/CliffWalking-v1").unwrapped
    means = []
    for seed in range(1000):
        agent = rlgrid.agents.Sarsa(env, learning_rate=0.5, gamma=1.0, seed=seed, **BEHAVIOUR)  # type: ignore[arg-type]
        while len(agent.episode_returns) < 500:
            agent.advance(2000)
        means.append(np.mean(agent.episode_returns[400:500]))
    assert np.mean(means) == pytest.approx(-25.0, rel=0.1)


def test_sarsa_against_the_wind() -> None:
    # Example 6.5: about 170 episodes in the first 8,000 steps.
    env = gym.make("rlgrid/WindyGridworld-v0").unwrapped
    episodes = [
        len(rlgrid.agents.Sarsa(env, learning_rate=0.5, gamma=1.0, seed=seed, **BEHAVIOUR).learn(8000).episode_returns)  # type: ignore[arg-type]
        for seed in range(1000)
    ]
    assert np.mean(episodes) == pytest.approx(170.0, rel=0.1)


def test_planning_makes_up_for_steps() -> None:
    # Figure 8.2: with 50 planning steps the third episode is close to the best path of 14 steps (behaviour goes
    # astray in one step of ten); without planning that takes about 25 episodes.
    env = gym.make("rlgrid/DynaMaze-v0").unwrapped
    lengths = {}
    for planning in (0, 50):
        runs = []
        for seed in range(200):
            agent = rlgrid.agents.DynaQ(
                env, learning_rate=0.1, gamma=0.95, planning_steps=planning, seed=seed, **BEHAVIOUR  # type: ignore[arg-type]
            )  # fmt: skip
            while len(agent.episode_lengths) < 30:
                agent.advance(500)
            runs.append(agent.episode_lengths[:30])
        lengths[planning] = np.mean(runs, axis=0)
    assert lengths[50][2] < 20
    assert lengths[0][9] > 50
    assert 14 < lengths[0][25:].mean() < 25
