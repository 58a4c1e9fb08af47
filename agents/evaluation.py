"""How good a policy is, by running it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rlgrid.agents.base import check_count


def evaluate_policy(
    agent: Any,
    env: gym.Env[Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    seed: int | None = None,
) -> tuple[float, float]:
    """The mean and the standard deviation of the undiscounted returns of whole episodes.

    Args:
        agent: any object with ``predict(observation, deterministic=...)`` that returns (action, state), as ours
            and Stable-Baselines3's do.
        env: the environment to run it in. If it is the one that the agent learns in, the agent begins a new episode
            when it next learns.
        n_eval_episodes: how many episodes.
        deterministic: handed on to ``predict``.
        seed: of the first reset.

    Raises:
        TypeError, ValueError: naming the argument that is wrong.
    """
    if not callable(getattr(agent, "predict", None)):
        raise TypeError(f"agent must have a method predict(observation), as {type(agent).__name__} has not")
    if not isinstance(env, gym.Env):
        raise TypeError(f"env must be a Gymnasium environment, not {env!r}")
    returns = np.zeros(check_count("n_eval_episodes", n_eval_episodes))
    for episode in range(returns.size):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        state, start, ended = None, np.array([True]), False
        while not ended:
            action, state = agent.predict(observation, state=state, episode_start=start, deterministic=deterministic)
            observation, reward, terminated, truncated, _ = env.step(action)
            returns[episode] += float(reward)
            start, ended = np.array([False]), terminated or truncated
    own = getattr(agent, "env", None)
    if isinstance(own, gym.Env) and own.unwrapped is env.unwrapped and hasattr(agent, "forget_episode"):
        agent.forget_episode()
    return float(returns.mean()), float(returns.std())
