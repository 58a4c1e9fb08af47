"""CartPole, Acrobot and MountainCar of ours against Gymnasium's, to the last bit, and learnt from on both paths."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import test_conformity
from gymnasium.wrappers import RecordEpisodeStatistics

from rlgrid.agents import DQN
from rlgrid.envs import CONTROL

IDS = list(CONTROL)


def choose(name: str, observation: Any, rng: np.random.Generator) -> int:
    """An action that gets around: by chance, but the mountain car and the acrobot mostly swing themselves up."""
    if rng.random() < 0.3 or "CartPole" in name:
        return int(rng.integers(2 if "CartPole" in name else 3))
    velocity = observation[1] if "Mountain" in name else observation[5]
    return 2 if velocity > 0 else 0


def in_step(name: str, steps: int, seed: int, **arguments: Any) -> int:
    """Runs ours beside Gymnasium's, as long as all is equal; the number of episodes that terminated."""
    ours, theirs = gym.make(name, **arguments), gym.make(name.removeprefix("rlgrid/"), **arguments)
    rng = np.random.default_rng(seed)
    here, there = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
    ended = 0
    for _ in range(steps):
        np.testing.assert_array_equal(here, there, strict=True)
        action = choose(name, here, rng)
        here, *mine, _ = ours.step(action)
        there, *others, _ = theirs.step(action)
        assert mine == others
        inner: Any = ours.unwrapped
        np.testing.assert_array_equal(inner.state, np.asarray(theirs.unwrapped.state))
        if mine[1] or mine[2]:
            ended += mine[1]
            np.testing.assert_array_equal(here, there, strict=True)
            here, there = ours.reset()[0], theirs.reset()[0]
    return ended


@pytest.mark.parametrize("name", IDS)
def test_steps_are_gymnasiums_to_the_last_bit(name):
    assert in_step(name, 1_500, seed=0) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", IDS)
def test_many_steps_are_gymnasiums_to_the_last_bit(name):
    assert sum(in_step(name, 12_000, seed) for seed in range(1, 4)) >= 90
    arguments = {"CartPole": {"sutton_barto_reward": True}, "MountainCar": {"goal_velocity": 0.03}}
    in_step(name, 2_000, 9, **arguments.get(CONTROL[name].name, {}))


@pytest.mark.parametrize("name", IDS)
def test_spaces_caps_and_thresholds_are_gymnasiums(name):
    ours, theirs = gym.make(name), gym.make(name.removeprefix("rlgrid/"))
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.spec.reward_threshold == theirs.spec.reward_threshold


@pytest.mark.parametrize("check", test_conformity.CHECKS)
@pytest.mark.parametrize("name", IDS)
@pytest.mark.filterwarnings("ignore:.*observation space (min|max)imum value is -?infinity")
def test_they_are_gymnasium_environments(name, check):
    check(name, "index")


@pytest.mark.parametrize("name", IDS)
def test_starts_between_other_bounds_are_gymnasiums(name):
    ours, theirs = gym.make(name), gym.make(name.removeprefix("rlgrid/"))
    for seed in range(20):
        options = {"low": -0.4 - 0.1 * seed, "high": -0.3}
        here, there = (env.reset(seed=seed, options=options)[0] for env in (ours, theirs))
        np.testing.assert_array_equal(here, there, strict=True)
        np.testing.assert_array_equal(ours.step(1)[0], theirs.step(1)[0], strict=True)
    for options in ({"low": 1.0, "high": 0.5}, {"low": "a"}):
        with pytest.raises(ValueError, match="low"):
            ours.reset(options=options)


def test_a_pole_that_has_fallen_earns_nothing_more():
    for arguments in ({}, {"sutton_barto_reward": True}):
        ours, theirs = (gym.make(name, **arguments).unwrapped for name in ("rlgrid/CartPole-v1", "CartPole-v1"))
        for env in (ours, theirs):
            env.reset(seed=0)
        mine = [ours.step(1)[1:3] for _ in range(14)]
        with pytest.warns(UserWarning, match="reset"):
            others = [theirs.step(1)[1:3] for _ in range(14)]
        assert mine == others
        assert [ended for _, ended in mine].count(True) > 2


@pytest.mark.parametrize("name", IDS)
def test_what_cannot_be_is_refused(name):
    env = gym.make(name).unwrapped
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=0)
    for action in (3, -1, 0.5, None):
        with pytest.raises(ValueError, match="action"):
            env.step(action)
    saved = env.get_state()
    for wrong in (saved | {"state": [0.0]}, saved | {"state": [np.nan] * 4}, saved | {"generator": {}}):
        with pytest.raises(ValueError, match=r"sa|state"):
            env.set_state(wrong)
    with pytest.raises(TypeError, match="generator"):
        env.set_state({})
    assert env.get_state() == saved
    with pytest.raises(ValueError, match="render_mode"):
        type(env)(render_mode="ansi")


def agent_in(env: Any, **arguments: Any) -> DQN:
    settings = {"learning_starts": 100, "batch_size": 16, "buffer_size": 500, "seed": 3}
    return DQN("MlpPolicy", env, policy_kwargs={"net_arch": [16]}, **(settings | arguments))


def same(one: DQN, other: DQN) -> None:
    """Whether two agents have learnt the same, to the last bit."""
    mine, others = one._arrays(), other._arrays()
    assert mine.keys() == others.keys()
    for key, value in mine.items():
        np.testing.assert_array_equal(value, others[key], err_msg=key)
    assert one.episode_returns == other.episode_returns
    assert one.episode_lengths == other.episode_lengths
    np.testing.assert_array_equal(one._observation, other._observation)


@pytest.mark.parametrize("name", [IDS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in IDS[1:])])
def test_compiled_and_python_loop_agree_bit_for_bit(name):
    compiled, stepped, foreign = (
        agent_in(RecordEpisodeStatistics(gym.make(world)), **arguments)
        for world, arguments in ((name, {}), (name, {"compiled": False}), (name.removeprefix("rlgrid/"), {}))
    )
    assert (compiled.compiled, stepped.compiled, foreign.compiled) == (True, False, False)
    for agent in (compiled, stepped, foreign):
        agent.learn(700)
    same(compiled, stepped)
    same(compiled, foreign)
    inner, other = compiled.env.unwrapped, stepped.env.unwrapped
    assert inner.get_state() == other.get_state()
    assert list(compiled.env.return_queue) == list(stepped.env.return_queue)
    np.testing.assert_array_equal(inner.state, np.asarray(foreign.env.unwrapped.state))
    # Who goes on by hand finds the environment as the loop would have left it.
    np.testing.assert_array_equal(compiled.env.step(1)[0], stepped.env.step(1)[0])


def test_a_run_goes_on_within_its_episode(tmp_path):
    name = "rlgrid/CartPole-v1"
    whole = agent_in(gym.make(name)).learn(600)
    begun = agent_in(gym.make(name))
    begun.begin(600)
    begun.advance(350)
    begun.save(tmp_path / "run")
    loaded = DQN.load(tmp_path / "run.safetensors", gym.make(name))
    loaded.resume()
    same(whole, loaded)
    assert whole.env.unwrapped.get_state() == loaded.env.unwrapped.get_state()
    with pytest.warns(UserWarning, match="differs"):
        DQN.load(tmp_path / "run.safetensors", gym.make(name, sutton_barto_reward=True))


def test_an_environment_that_was_moved_or_wrapped_is_noticed():
    env, twin = gym.make("rlgrid/CartPole-v1"), gym.make("rlgrid/CartPole-v1")
    agent, untouched = agent_in(env), agent_in(twin)
    for each in (agent, untouched):
        each.begin(400)
        each.advance(205)
    begun = sum(agent.episode_lengths)
    assert begun < 205, "an episode is under way"
    env.unwrapped.step(0)
    agent.advance(50)
    untouched.advance(50)
    assert sum(untouched.episode_lengths[: len(agent.episode_lengths)]) != sum(agent.episode_lengths)
    assert not agent_in(gym.wrappers.TransformReward(gym.make("rlgrid/CartPole-v1"), abs)).compiled
    with pytest.raises(ValueError, match="TransformReward"):
        agent_in(gym.wrappers.TransformReward(gym.make("rlgrid/CartPole-v1"), abs), compiled=True)
