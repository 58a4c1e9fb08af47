"""How good a policy is, by running it."""

from __future__ import annotations

import warnings
from typing import Any, Literal, overload

import gymnasium as gym
import numpy as np

from rlgrid.agents.base import check_count
from rlgrid.agents.masks import masks_of

EPISODE_STEPS = 100_000  # after which an episode that has not ended is given up


@overload
def evaluate_policy(
    agent: Any,
    env: gym.Env[Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    seed: int | None = None,
    max_episode_steps: int | None = EPISODE_STEPS,
    *,
    return_episode_rewards: Literal[False] = False,
) -> tuple[float, float]: ...
@overload
def evaluate_policy(
    agent: Any,
    env: gym.Env[Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    seed: int | None = None,
    max_episode_steps: int | None = EPISODE_STEPS,
    *,
    return_episode_rewards: Literal[True],
) -> tuple[list[float], list[int]]: ...
def evaluate_policy(
    agent: Any,
    env: gym.Env[Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    seed: int | None = None,
    max_episode_steps: int | None = EPISODE_STEPS,
    *,
    return_episode_rewards: bool = False,
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """The mean and the standard deviation of the undiscounted returns of whole episodes.

    Args:
        agent: any object with ``predict(observation, deterministic=...)`` that returns (action, state), as ours
            and Stable-Baselines3's do. One whose ``use_masking`` is True is told which actions there are.
        env: the environment to run it in. If it is the one that the agent learns in, the agent begins a new episode
            when it next learns.
        n_eval_episodes: how many episodes.
        deterministic: handed on to ``predict``. An agent whose ``acts_at_random`` is True was given a policy that draws
            its actions (`rlgrid.agents.prediction`), and follows that one, draws and all.
        seed: of the first reset.
        max_episode_steps: after how many steps an episode that does not end is cut off, with a warning; the return so
            far counts. A policy that is not good yet may go round for ever in an environment without a step cap of
            its own. None never cuts off.
        return_episode_rewards: give the return and the length of every episode instead.

    Raises:
        TypeError, ValueError: naming the argument that is wrong.
    """
    if not callable(getattr(agent, "predict", None)):
        raise TypeError(f"agent must have a method predict(observation), as {type(agent).__name__} has not")
    if not isinstance(env, gym.Env):
        raise TypeError(f"env must be a Gymnasium environment, not {env!r}")
    returns = np.zeros(check_count("n_eval_episodes", n_eval_episodes))
    lengths = []
    most = None if max_episode_steps is None else check_count("max_episode_steps", max_episode_steps)
    cut = 0
    masked = getattr(agent, "use_masking", False) is True
    deterministic = deterministic and getattr(agent, "acts_at_random", False) is not True
    for episode in range(returns.size):
        observation, info = env.reset(seed=seed if episode == 0 else None)
        state, start, ended, steps = None, np.array([True]), False, 0
        while not ended and steps != most:
            more = {"action_masks": masks_of(env, info)} if masked else {}
            action, state = agent.predict(
                observation, state=state, episode_start=start, deterministic=deterministic, **more
            )
            observation, reward, terminated, truncated, info = env.step(action)
            returns[episode] += float(reward)
            start, ended, steps = np.array([False]), terminated or truncated, steps + 1
        cut += not ended
        lengths.append(steps)
    if cut:
        warnings.warn(
            f"{cut} of {returns.size} episodes had not ended after {most} steps and were cut off; their returns so far "
            "count. Give the environment a step cap, gym.make(..., max_episode_steps=...), or evaluate_policy another "
            "max_episode_steps",
            stacklevel=2,
        )
    own = getattr(agent, "env", None)
    if isinstance(own, gym.Env) and own.unwrapped is env.unwrapped and hasattr(agent, "forget_episode"):
        agent.forget_episode()
    if return_episode_rewards:
        return returns.tolist(), lengths
    return float(returns.mean()), float(returns.std())
