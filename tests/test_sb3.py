"""Stable-Baselines3 and sb3-contrib, where they are installed, take our environments as they are."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rlgrid.envs
from rlgrid.envs.observations import KINDS

stable_baselines3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")

IDS = sorted(name for name in gym.registry if name.startswith("rlgrid/") and name not in rlgrid.envs.CONTROL)

# What its checker says of images that are small or have few planes; their shapes are the worlds'.
ABOUT_SHAPES = (
    "Treating image space as channels-last, while second dimension was smallest of the three.",
    "The minimal resolution for an image is 36x36 for the default `CnnPolicy`.",
)


def make(name: str, kind: str, **arguments: Any) -> Any:
    """None where the kind of observation would tell what the world hides, or does not fit it."""
    if kind != "index":
        arguments["observation"] = kind
    try:
        return gym.make(name, **arguments)
    except ValueError as error:
        assert "What fits: index, one_hot" in str(error)  # noqa: PT017 - one of many kinds
        return None


@pytest.mark.parametrize("name", IDS)
def test_its_checker_is_content(name: str) -> None:
    from stable_baselines3.common.env_checker import check_env

    checked = 0
    for kind in KINDS:
        env = make(name, kind, render_mode="rgb_array")
        if env is None:
            continue
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            check_env(env.unwrapped)
        others = [str(one.message) for one in said if not str(one.message).startswith(ABOUT_SHAPES)]
        assert not others, f"{kind}: {others}"
        assert kind in ("planes", "view", "rgb") or not said
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize("world", ["rlgrid:rlgrid/FourRooms-v0", "rlgrid:rlgrid/FourRoomsOneHot-v0"])
@pytest.mark.parametrize("algorithm", ["DQN", "PPO", "A2C"])
def test_its_algorithms_train_by_an_id(algorithm: str, world: str) -> None:
    settings: dict[str, Any] = {"DQN": {"learning_starts": 50}, "PPO": {"n_steps": 128}}.get(algorithm, {})
    agent = getattr(stable_baselines3, algorithm)("MlpPolicy", world, seed=0, device="cpu", **settings)
    agent.learn(total_timesteps=256)
    assert agent.num_timesteps >= 256
    env = gym.make(world)
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation, deterministic=True)
    assert env.action_space.contains(int(action))


@pytest.mark.slow
def test_its_dqn_learns_on_four_rooms() -> None:
    settings = {"learning_starts": 1000, "train_freq": 1, "target_update_interval": 250, "gamma": 0.95}
    agent = stable_baselines3.DQN(
        "MlpPolicy",
        "rlgrid:rlgrid/FourRoomsOneHot-v0",
        learning_rate=1e-3,
        exploration_fraction=0.5,
        seed=0,
        device="cpu",
        **settings,
    )
    agent.learn(total_timesteps=15_000)
    env: Any = gym.make("rlgrid/FourRoomsOneHot-v0").unwrapped
    actions, _ = agent.predict(env.observer.many(np.arange(env.model.num_states)), deterministic=True)
    assert rlgrid.share_of_regret(env.model, actions) < 0.2


def test_images_go_through_its_networks() -> None:
    """A picture of more than 36 x 36 pixels, as its network for images wants it."""
    env = gym.make("rlgrid/FrozenLake-v1", observation="rgb", cell_size=16)
    agent = stable_baselines3.PPO("CnnPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu")
    agent.learn(total_timesteps=32)
    assert agent.num_timesteps == 32


def test_masks_are_found_by_contribs_ppo() -> None:
    contrib = pytest.importorskip("sb3_contrib", reason="sb3-contrib is not installed")
    agent = contrib.MaskablePPO("MlpPolicy", "rlgrid:rlgrid/TaxiOneHot-v4", n_steps=64, seed=0, device="cpu")
    agent.learn(total_timesteps=64)
    env: Any = gym.make("rlgrid/TaxiOneHot-v4")
    observation, _ = env.reset(seed=1)
    for _ in range(60):
        masks = env.unwrapped.action_masks()
        action, _ = agent.predict(observation, action_masks=masks)
        assert masks[int(action)]
        observation, reward, *_ = env.step(int(action))
        assert reward != -10  # what masks leave out: picking up nobody, putting down where there is no stand


def test_its_vectors_are_made_of_ours() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env("rlgrid:rlgrid/CliffWalking-v1", n_envs=3, seed=0)
    assert envs.reset().tolist() == [36, 36, 36]
    observations, rewards, _, _ = envs.step(np.array([0, 1, 2]))
    assert observations.tolist() == [24, 36, 36]
    assert rewards.tolist() == [-1, -100, -1]


def test_its_evaluation_agrees_with_the_exact_return() -> None:
    """On a deterministic world every episode of the optimal policy returns V*(start)."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    env: Any = gym.make("rlgrid/CliffWalking-v1", max_episode_steps=200)
    policy = rlgrid.solve(env.unwrapped.model).policy

    class Plan:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):  # type: ignore[no-untyped-def]
            return policy[observation], state

    mean, std = evaluate_policy(Plan(), Monitor(env), n_eval_episodes=3)  # type: ignore[arg-type]
    assert (mean, std) == (-13.0, 0.0)
