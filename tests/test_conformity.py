"""Every registered environment is a Gymnasium environment, with every kind of observation that fits it.

Gymnasium's own tests ask the same of them; `run_gymnasium_tests.py` beside this file runs those from a checkout.
"""

import copy
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pygame
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics, TimeLimit, TransformObservation

import rlgrid.envs
from rlgrid.envs.observations import KINDS

IDS = sorted(name for name in gym.registry if name.startswith("rlgrid/") and name not in rlgrid.envs.CONTROL)
FEW = ["rlgrid/FourRooms-v0", "rlgrid/Taxi-v4", "rlgrid/TMaze-v0", "rlgrid/KeyDoor-v0", "rlgrid/FrozenLake-v1"]


def make(name: str, kind: str = "index", **arguments: Any) -> Any:
    if kind != "index":
        arguments["observation"] = kind
    return gym.make(name, **arguments)


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds of observation that fit a world: index, one_hot, and those that do not tell what it hides."""
    fitting = []
    for kind in KINDS:
        try:
            make(name, kind).close()
        except ValueError as error:
            if "What fits: index, one_hot" not in str(error):
                raise
            continue
        fitting.append(kind)
    return tuple(fitting)


def walk(env: Any, seed: int, steps: int) -> list[Any]:
    """What a reset and the steps of random actions give; a new episode where one ends."""
    actions = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)]
    for _ in range(steps):
        masks = env.unwrapped.action_masks()
        happened = env.step(int(actions.choice(np.flatnonzero(masks))))
        seen.append(happened)
        if happened[2] or happened[3]:
            seen.append(env.reset())
    return seen


# --- what each is asked -------------------------------------------------------------------------------------------


def checker_is_content(name: str, kind: str) -> None:
    """Without a warning: they are errors here."""
    env = make(name, kind)
    check_env(env.unwrapped, skip_render_check=True)
    walk(env, seed=0, steps=3)  # inside of the passive checker, which makes no allowances either


def seeds_determine_everything(name: str, kind: str) -> None:
    one, other = (walk(make(name, kind), seed=7, steps=12) for _ in range(2))
    assert data_equivalence(one, other, exact=True)


def copies_go_on_alike(name: str, kind: str) -> None:
    env = make(name, kind)
    walk(env, seed=1, steps=3)
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    action = int(np.flatnonzero(env.unwrapped.action_masks())[0])
    happened = env.step(action)
    for other in copies:
        assert data_equivalence(other.step(action), happened, exact=True)
        assert other.unwrapped.np_random.bit_generator.state == env.unwrapped.np_random.bit_generator.state


def specs_make_the_same_environment(name: str, kind: str) -> None:
    env = make(name, kind)
    text = env.spec.to_json()
    json.loads(text)
    walked = walk(env, seed=3, steps=3)
    for spec in (EnvSpec.from_json(text), env.spec):
        again = gym.make(spec)
        assert again.spec is not None
        assert again.spec.to_json() == text
        assert again.observation_space == env.observation_space
        assert again.action_space == env.action_space
        assert data_equivalence(walk(again, seed=3, steps=3), walked, exact=True)


def vectors_have_the_spaces_of_single_environments(name: str, kind: str) -> None:
    single = make(name, kind)
    many: Any = gym.make_vec(name, num_envs=3, **({} if kind == "index" else {"observation": kind}))
    assert many.single_observation_space == single.observation_space
    assert many.observation_space == batch_space(single.observation_space, 3)
    assert many.single_action_space == single.action_space
    observations, _ = many.reset(seed=2)
    assert observations in many.observation_space
    assert data_equivalence(observations[0], np.asarray(single.reset(seed=2)[0], observations.dtype)[()])
    many.close()


CHECKS = [
    checker_is_content,
    seeds_determine_everything,
    copies_go_on_alike,
    specs_make_the_same_environment,
    vectors_have_the_spaces_of_single_environments,
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", IDS)
def test_every_world(name: str, check: Callable[[str, str], None]) -> None:
    check(name, "index")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in FEW for kind in kinds_of(name) if kind != "index"])
def test_every_kind_of_observation(name: str, kind: str, check: Callable[[str, str], None]) -> None:
    check(name, kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", IDS)
def test_every_world_with_every_kind_of_observation(name: str) -> None:
    kinds = kinds_of(name)
    assert {"index", "one_hot"} <= set(kinds)
    named = name == "rlgrid/MaximizationBias-v0"  # its states have names, and no numbers
    if gym.make(name).unwrapped.observation_of is None:  # type: ignore[attr-defined]
        assert ("coordinates" in kinds) != named
    for kind in kinds:
        for check in CHECKS:
            check(name, kind)


def test_every_kind_fits_some_world() -> None:
    assert {kind for name in FEW for kind in kinds_of(name)} == set(KINDS)
    assert len(IDS) > 35


# --- ids with one-hot observations --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", rlgrid.envs.ONE_HOT)
def test_ids_with_one_hot_observations(name: str) -> None:
    plain, one_hot = make(name), make(rlgrid.envs.one_hot_id(name))
    assert one_hot.spec.max_episode_steps == plain.spec.max_episode_steps
    assert one_hot.spec.reward_threshold == plain.spec.reward_threshold
    count = plain.observation_space.n
    assert one_hot.observation_space.shape == (count,)
    for (seen, *rest), (row, *others) in zip(walk(plain, 5, 40), walk(one_hot, 5, 40), strict=True):
        assert row.tolist() == np.eye(count)[seen].tolist()
        assert data_equivalence(rest, others, exact=True)


def test_an_id_may_name_the_module() -> None:
    """As programs that take an id alone are told to import rlgrid."""
    script = (
        "import gymnasium, sys\n"
        "env = gymnasium.make('rlgrid:rlgrid/FourRoomsOneHot-v0')\n"
        "assert 'rlgrid' in sys.modules\n"
        "print(env.reset(seed=0)[0].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "(169,)\n", done.stderr


# --- wrappers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_flattened_numbers_are_one_hot_observations(name: str) -> None:
    plain = gym.make(name, observation="index")
    flat, ours = FlattenObservation(plain), make(name, "one_hot")
    for (row, *_), (other, *_) in zip(walk(flat, 4, 8), walk(ours, 4, 8), strict=True):
        assert row.tolist() == other.tolist()


def test_a_transform_of_gymnasiums_makes_the_same_one_hot_observations() -> None:
    plain: Any = make("rlgrid/FourRooms-v0")
    wanted: Any = make("rlgrid/FourRooms-v0", "one_hot")
    rows = np.eye(plain.observation_space.n, dtype=np.float32)
    env = TransformObservation(plain, lambda seen: rows[seen], wanted.observation_space)
    assert data_equivalence(walk(env, 0, 50), walk(wanted, 0, 50), exact=True)


@pytest.mark.parametrize("name", FEW)
def test_statistics_and_step_caps(name: str) -> None:
    env: Any = RecordEpisodeStatistics(TimeLimit(make(name, max_episode_steps=-1), 9))
    total, length = 0.0, 0
    for happened in walk(env, seed=0, steps=60)[1:]:
        if len(happened) == 2:
            total, length = 0.0, 0
            continue
        _, reward, terminated, truncated, info = happened
        total, length = total + reward, length + 1
        assert truncated == (length == 9)
        if terminated or truncated:
            assert info["episode"]["l"] == length
            assert info["episode"]["r"] == pytest.approx(total, abs=1e-6)
    assert env.episode_count >= 60 // 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # from Python 3.12 on
@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_processes_of_their_own_give_what_one_process_gives(name: str, mode: AutoresetMode) -> None:
    functions = [lambda: gym.make(name, max_episode_steps=6) for _ in range(2)]
    apart = AsyncVectorEnv(functions, autoreset_mode=mode)
    together = SyncVectorEnv(functions, autoreset_mode=mode)
    ours: Any = gym.make_vec(name, num_envs=2, max_episode_steps=6, autoreset_mode=mode)
    try:
        everyone = (apart, together, ours)
        first, *others = (env.reset(seed=1) for env in everyone)
        assert all(data_equivalence(first, other) for other in others)
        count = together.single_action_space.n  # type: ignore[attr-defined]
        for actions in np.random.default_rng(0).integers(count, size=(15, 2)):
            first, *others = (env.step(actions) for env in everyone)
            assert all(data_equivalence(first, other) for other in others)
    finally:
        apart.close()


# --- videos and play ----------------------------------------------------------------------------------------------


def test_videos_are_recorded(tmp_path: Path) -> None:
    pytest.importorskip("moviepy", reason="moviepy, with which Gymnasium writes videos, is not installed")
    folder = tmp_path / "videos"
    still = gym.make("rlgrid/FourRooms-v0", render_mode="rgb_array", max_episode_steps=5)
    env = gym.wrappers.RecordVideo(
        still, str(folder), episode_trigger=lambda episode: episode == 0, disable_logger=True
    )
    walk(env, seed=0, steps=5)
    env.close()
    (video,) = folder.glob("*.mp4")
    assert video.stat().st_size > 1000


@pytest.mark.parametrize("name", FEW)
def test_frames_can_be_collected_as_wrappers_collect_them(name: str) -> None:
    """`RecordVideo` and the like ask for lists of frames of one shape, bytes, and a speed."""
    env: Any = gym.make(name, render_mode="rgb_array_list")
    walk(env, seed=0, steps=4)
    frames = env.render()
    assert len(frames) >= 1
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert all(frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 for frame in frames)
    assert env.metadata["render_fps"] > 0


@pytest.mark.parametrize("own_keys", [True, False])
def test_a_person_plays_with_keys(own_keys: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib, for its plots, may be absent
        from gymnasium.utils.play import play

    # A person leans on one key after the other, for a step each, and then closes the window.
    strokes = [(pygame.KEYDOWN, "d"), (pygame.KEYUP, "d"), (pygame.KEYDOWN, "s"), (pygame.KEYUP, "s"), None]
    taken: list[tuple[int, int]] = []

    def after_each_step(_: Any, seen: Any, action: Any, *_others: Any) -> None:
        taken.append((int(action), int(seen)))
        stroke = strokes.pop(0)
        what = (pygame.QUIT, {}) if stroke is None else (stroke[0], {"key": ord(stroke[1])})
        pygame.event.post(pygame.event.Event(*what))

    world = rlgrid.GridSpec.parse("map = '''\nS..\n...\n..G\n'''")
    env = gym.make("rlgrid/GridWorld-v0", map=world, render_mode="rgb_array")
    keys: Any = None if own_keys else {"w": 0, "d": 1, "s": 2, "a": 3}
    try:
        play(env, fps=1000, keys_to_action=keys, noop=0, seed=0, callback=after_each_step)
    finally:
        pygame.quit()
    # Where no key is down it is action 0: up, against the edge, and back up from the second row.
    assert taken == [(0, 0), (1, 1), (0, 1), (2, 4), (0, 1)]


def test_keys_of_worlds() -> None:
    def keys(name: str) -> dict[str, int]:
        return {chr(key): action for (key,), action in gym.make(name).unwrapped.get_keys_to_action().items()}  # type: ignore[attr-defined]

    digits = {str(number): number for number in range(10)}
    lake = {"0": 0, "1": 1, "2": 2, "3": 3, "a": 0, "s": 1, "d": 2, "w": 3}
    assert keys("rlgrid/FrozenLake-v1") == lake
    assert keys("rlgrid/Taxi-v4") == {"s": 0, "w": 1, "d": 2, "a": 3} | {str(number): number for number in range(6)}
    assert keys("rlgrid/WindyGridworldKings-v0").items() >= {"q": 7, "e": 4, "c": 5, "z": 6}.items()
    assert keys("rlgrid/JacksCarRental-v0") == digits
