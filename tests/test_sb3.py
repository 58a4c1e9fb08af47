"""Stable-Baselines3, where it is installed, takes our environments as they are."""

import gymnasium as gym
import pytest

import rlgrid.envs

stable_baselines3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")

WORLDS = list(rlgrid.envs.WORLDS)


@pytest.mark.parametrize("world", WORLDS)
def test_its_checker_is_content(world: str) -> None:
    from stable_baselines3.common.env_checker import check_env

    check_env(gym.make(world, render_mode="rgb_array").unwrapped)


def test_its_dqn_learns_on_four_rooms() -> None:
    env = gym.make("rlgrid/FourRooms-v0")
    agent = stable_baselines3.DQN("MlpPolicy", env, learning_starts=50, seed=0, device="cpu")
    agent.learn(total_timesteps=500)
    assert agent.num_timesteps == 500
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation, deterministic=True)
    assert env.action_space.contains(int(action))


def test_its_evaluation_agrees_with_the_exact_return() -> None:
    """On a deterministic world every episode of the optimal policy returns V*(start)."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    env = gym.make("rlgrid/CliffWalking-v1", max_episode_steps=200)
    policy = rlgrid.solve(env.unwrapped.model).policy

    class Plan:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):  # type: ignore[no-untyped-def]
            return policy[observation], state

    mean, std = evaluate_policy(Plan(), Monitor(env), n_eval_episodes=3)  # type: ignore[arg-type]
    assert (mean, std) == (-13.0, 0.0)
