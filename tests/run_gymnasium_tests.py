"""Gymnasium's own tests, from a checkout of its repository, run over all environments of rlgrid.

    python tests/run_gymnasium_tests.py PATH [arguments of pytest]

PATH is a checkout of Gymnasium at the version that is installed (its ``tests`` folder is enough). Nothing is fetched,
and nothing in PATH is changed: this file is a plugin of pytest, which puts our environments where the tests expect
Gymnasium's, in one of two ways.

- `LISTED`: tests that go through a list of all environments (``all_testing_env_specs``). The list is ours.
- `NAMED`: tests that make one certain environment, most often ``CartPole-v1``, to try a wrapper or a vector with it.
  They run once for each of ours, which `gymnasium.make` and ``make_vec`` give under the name that is asked for.
- `CLASSES`: tests of the toy_text classes themselves, which run with our twins of them.

`EXCEPT` and `EXCEPT_WITH` say which tests of those files cannot apply, and why. Tests of `SLOW` run over three of our
environments, those of `ARRAYS` with one-hot observations, those of `COMPILED` with our vectors too. Files that are not
listed make environments of their own (tests of spaces, of registration, of functional environments) or Gymnasium's
robots, and never see one of ours. Files that need a package which is not installed (moviepy for videos) are left out,
and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

LISTED = (
    "tests/envs/test_envs.py",
    "tests/envs/test_rendering.py",
    "tests/envs/test_action_dim_check.py",
    "tests/vector/test_sync_vector_env.py::test_sync_vector_determinism",
)
CLASSES = (
    "tests/envs/test_env_implementation.py::test_slippery_cliffwalking",
    "tests/envs/test_env_implementation.py::test_cliffwalking",
    "tests/envs/test_env_implementation.py::test_frozenlake_dfs_map_generation",
    "tests/envs/test_env_implementation.py::test_frozenlake_map_generation_with_seed",
    "tests/envs/toy_text/test_taxi.py",
)
NAMED = (
    "tests/envs/registration/test_make_vec.py",
    "tests/test_core.py::test_reward_wrapper",
    "tests/utils/test_env_checker.py",
    "tests/utils/test_performance.py",
    "tests/utils/test_play.py",
    "tests/utils/test_save_video.py",
    "tests/vector/test_async_vector_env.py",
    "tests/vector/test_autoreset_mode.py",
    "tests/vector/test_sync_vector_env.py",
    "tests/vector/test_vector_env.py",
    "tests/vector/test_vector_wrapper.py",
    "tests/wrappers/test_action_repeat.py",
    "tests/wrappers/test_clip_reward.py",
    "tests/wrappers/test_delay_observation.py",
    "tests/wrappers/test_frame_stack_observation.py",
    "tests/wrappers/test_human_rendering.py",
    "tests/wrappers/test_max_and_skip_observation.py",
    "tests/wrappers/test_record_constructor_args.py",
    "tests/wrappers/test_record_episode_statistics.py",
    "tests/wrappers/test_record_video.py",
    "tests/wrappers/test_time_aware_observation.py",
    "tests/wrappers/test_time_limit.py",
    "tests/wrappers/test_white_noise_rendering.py",
    "tests/wrappers/vector/test_dict_info_to_list.py",
    "tests/wrappers/vector/test_human_rendering.py",
    "tests/wrappers/vector/test_record_episode_statistics.py",
    "tests/wrappers/vector/test_record_video.py",
    "tests/wrappers/vector/test_vector_wrappers.py",
    "tests/wrappers/vector/test_vectorize_transform.py",
)
STAND_FOR = ("CartPole-v1", "FrozenLake-v1", "Pendulum-v1", "MountainCar-v0", "BipedalWalker-v3")
# Those that open windows in real time, or encode videos: seconds to minutes each. They run over these worlds alone: a
# grid, a world with a scene of its own, and one of several maps.
SLOW = (
    "tests/utils/test_save_video.py",
    "tests/wrappers/test_human_rendering.py",
    "tests/wrappers/test_record_video.py",
    "tests/wrappers/test_white_noise_rendering.py",
    "tests/wrappers/vector/test_human_rendering.py",
    "tests/wrappers/vector/test_record_video.py",
)
SLOW_WORLDS = ("rlgrid/FourRooms-v0", "rlgrid/Taxi-v4", "rlgrid/KeyDoor-v0")
# Those that take observations apart, which ours then give as arrays: float32 [O].
ARRAYS = (
    "tests/utils/test_play.py::test_play_loop_real_env",
    "tests/vector/test_async_vector_env.py::test_step_async_vector_env",
    "tests/vector/test_sync_vector_env.py::test_reset_sync_vector_env",
    "tests/wrappers/test_frame_stack_observation.py",
    "tests/wrappers/test_time_aware_observation.py",
)
# Those that ask for numbers, which ours then are where an id has other observations.
NUMBERS = ("tests/vector/test_sync_vector_env.py::test_step_sync_vector_env",)
# Those that want a step cap, which ours then have: CartPole's of 500 steps, where a world has none.
CAPPED = (
    "tests/envs/registration/test_make_vec.py::test_make_vec_with_spec",
    "tests/wrappers/test_record_episode_statistics.py",
    "tests/wrappers/test_time_aware_observation.py",
)
# Those that take so many steps without a look at whether the episode has ended: over the worlds where none can.
STEPS_WITHOUT_END = {
    "tests/utils/test_play.py::test_play_loop_real_env": 7,
    "tests/vector/test_vector_env.py::test_partial_reset": 3,
    "tests/vector/test_vector_env.py::test_action_count_compatibility": 2,
}
# Tests of SyncVectorEnv that run with our compiled vectors in its place too, in these parameters.
COMPILED = (
    "tests/vector/test_vector_env.py::test_random_seeding_basics",
    "tests/vector/test_vector_env.py::test_partial_reset",
    "tests/vector/test_vector_env.py::test_action_count_compatibility",
)
NEEDS = {  # packages that files import
    "tests/utils/test_save_video.py": "moviepy",
    "tests/wrappers/test_record_video.py": "moviepy",
    "tests/wrappers/vector/test_record_video.py": "moviepy",
}
EXCEPT = {
    "tests/utils/test_play.py::test_play_no_keys": "asserts that CartPole has no keys of its own; ours have",
    "tests/envs/registration/test_make_vec.py::test_make_vec_env_id": "asserts the class of CartPole's vectors",
    "tests/envs/registration/test_make_vec.py::test_make_vec_vectorization_mode": "the same",
    "tests/vector/test_async_vector_env.py::test_call_async_vector_env": "reads CartPole's gravity",
    "tests/vector/test_async_vector_env.py::test_set_attr_async_vector_env": "sets CartPole's gravity",
    "tests/vector/test_async_vector_env.py::test_check_spaces_async_vector_env": "needs CartPole's space and another",
    "tests/vector/test_async_vector_env.py::test_reset_async_vector_env": "asserts that infos are empty",
    "tests/vector/test_sync_vector_env.py::test_sync_vector_env_seed": "draws from BipedalWalker's continuous actions",
    "tests/vector/test_sync_vector_env.py::test_call_sync_vector_env": "reads CartPole's gravity",
    "tests/vector/test_sync_vector_env.py::test_set_attr_sync_vector_env": "sets CartPole's gravity",
    "tests/vector/test_sync_vector_env.py::test_check_spaces_sync_vector_env": "needs CartPole's space and another",
    "tests/vector/test_vector_wrapper.py::test_vector_env_wrapper_attributes": "sets CartPole's gravity",
    "tests/wrappers/test_clip_reward.py::test_clip_reward_wrapper": "asserts CartPole's rewards",
    "tests/wrappers/test_record_constructor_args.py": "makes discrete actions of Pendulum's continuous ones",
    "tests/wrappers/vector/test_human_rendering.py::test_render_modes": "CartPole's vectors take any render mode",
    "tests/wrappers/test_frame_stack_observation.py::test_padding_type": "pads with four numbers, CartPole's",
    "tests/wrappers/test_time_limit.py::test_max_episode_steps": "asserts CartPole's cap of 500 steps",
    "tests/wrappers/vector/test_vectorize_transform.py::test_vectorize_dict_to_box_obs": "cuts CartPole's state in two",
}
# Parts of parameters with which a test is about another environment, or an argument of CartPole's.
EXCEPT_WITH = ("Ant-v4", "CarRacing", "Continuous", "DictObs", "RescaleObservation", "sutton_barto_reward")


def main() -> int:
    parser = argparse.ArgumentParser(description="Gymnasium's own tests over all environments of rlgrid")
    parser.add_argument("path", type=Path, help="a checkout of Gymnasium, at the version that is installed")
    parser.add_argument("--worlds", default="", help="ids of ours, with commas between; all if left out")
    arguments, further = parser.parse_known_args()
    root = arguments.path.resolve()
    if not (root / "tests" / "envs" / "utils.py").is_file():
        parser.error(f"{root} is no checkout of Gymnasium: it has no tests/envs/utils.py")
    here = str(Path(__file__).resolve().parent)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([here, str(Path(here).parent), os.environ.get("PYTHONPATH", "")]),
        "RLGRID_GYMNASIUM_TESTS": str(root),
        "RLGRID_WORLDS": arguments.worlds,
        "SDL_VIDEODRIVER": "dummy",
        "SDL_AUDIODRIVER": "dummy",
    }
    files = {str(root / place.partition("::")[0]) for place in (*LISTED, *CLASSES, *NAMED)}
    for place, package in NEEDS.items():
        if importlib.util.find_spec(package) is None:
            print(f"left out, for want of {package}: {place}")
            files.discard(str(root / place))
    command = [sys.executable, "-m", "pytest", "-p", "run_gymnasium_tests", "--rootdir", str(root)]
    command += ["-c", os.devnull, "-q", "-p", "no:cacheprovider", *further, *sorted(files)]
    with tempfile.TemporaryDirectory() as folder:  # some tests write videos where they stand
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


# --- the plugin -----------------------------------------------------------------------------------------------------


def worlds() -> list[str]:
    """Our ids, or those that were asked for."""
    asked = os.environ.get("RLGRID_WORLDS", "")
    return asked.split(",") if asked else sorted(name for name in gym.registry if name.startswith("rlgrid/"))


def place_of(node: Any) -> str:
    """A test's place in the checkout, without its parameters: tests/envs/test_envs.py::test_pickle_env."""
    root = Path(os.environ["RLGRID_GYMNASIUM_TESTS"])
    name = getattr(node, "originalname", None) or node.name
    return f"{Path(node.path).relative_to(root).as_posix()}::{name}"


def is_of(place: str, places: tuple[str, ...]) -> bool:
    return any(place == one or place.startswith((f"{one}::", f"{one}/")) for one in places)


def pytest_configure() -> None:
    import rlgrid.envs  # noqa: F401 - registers our environments

    specs = [gym.spec(name) for name in worlds()]
    sys.path.append(os.environ["RLGRID_GYMNASIUM_TESTS"])  # last: a checkout holds a gymnasium of its own
    registry = dict(gym.registry)
    gym.registry.clear()  # or it makes all of Gymnasium's environments, to see which are installed
    try:
        from tests.envs import utils  # type: ignore[import-not-found]
    finally:
        gym.registry.update(registry)
    utils.all_testing_env_specs[:] = specs
    utils.gym_testing_env_specs[:] = specs
    utils.mujoco_testing_env_specs.clear()
    utils.all_testing_initialised_envs[:] = [gym.make(s, disable_env_checker=True).unwrapped for s in specs]

    try:
        importlib.import_module("gymnasium.envs.box2d")
    except gym.error.DependencyNotInstalled:  # whose environments a file names beside those that we are after
        absent: Any = types.ModuleType("gymnasium.envs.box2d")
        absent.lunar_lander = types.ModuleType("gymnasium.envs.box2d.lunar_lander")
        absent.BipedalWalker = absent.CarRacing = absent.lunar_lander.demo_heuristic_lander = None
        sys.modules |= {module.__name__: module for module in (absent, absent.lunar_lander)}
    from gymnasium.envs import toy_text

    from rlgrid.envs import toy_text as ours

    toy_text.CliffWalkingEnv = ours.CliffWalking
    toy_text.taxi.TaxiEnv = lambda **arguments: gym.make("rlgrid/Taxi-v4", **arguments).unwrapped
    toy_text.frozen_lake.generate_random_map = ours.generate_random_map


def asks_for_ours(item: Any) -> bool:
    """True of a test whose text has a name that ours stand for, or a fixture or a constant that means one."""
    text = inspect.getsource(item.function)
    return any(word in text for word in (*STAND_FOR, "ENV_ID", "example_env_list"))


@lru_cache
def can_end(name: str, steps: int) -> bool:
    """Whether an episode of a world can end within so many steps."""
    model = gym.make(name).unwrapped.model.to_mdp()  # type: ignore[attr-defined]
    source = np.repeat(np.arange(model.num_states * model.num_actions) // model.num_actions, np.diff(model.offsets))
    reached = model.start > 0
    for _ in range(steps):
        happens = reached[source] & (model.probability > 0)
        if model.terminated[happens].any():
            return True
        reached = np.zeros_like(reached)
        reached[model.next_state[happens]] = True
    return False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    place = place_of(metafunc.definition)
    if is_of(place, LISTED) or not is_of(place, NAMED) or not asks_for_ours(metafunc):
        return
    names = [name for name in worlds() if name in SLOW_WORLDS or not is_of(place, SLOW)]
    names = [name for name in names if not can_end(name, STEPS_WITHOUT_END.get(place, 0))]
    cases = [
        (name, is_compiled) for name in names for is_compiled in ((False, True) if place in COMPILED else (False,))
    ]
    labels = [f"{name}-compiled" if is_compiled else name for name, is_compiled in cases]
    metafunc.parametrize("world_of_ours", cases, indirect=True, ids=labels)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def applies(item: Any) -> bool:
        place = place_of(item)
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if is_of(place, tuple(EXCEPT)) or any(word in str(parameters) for word in EXCEPT_WITH):
            return False
        case = parameters.get("world_of_ours", ("", False))
        if not isinstance(case, tuple) or (case[1] and SyncVectorEnv not in parameters.values()):
            return False  # no world fits it, or it has no SyncVectorEnv for ours to stand for
        return is_of(place, (*LISTED, *CLASSES)) or (is_of(place, NAMED) and asks_for_ours(item))

    kept = [item for item in items if applies(item)]
    config.hook.pytest_deselected(items=[item for item in items if not applies(item)])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> None:
    parameters = pyfuncitem.callspec.params if hasattr(pyfuncitem, "callspec") else {}
    name, is_compiled = parameters.get("world_of_ours", ("", False))
    if not is_compiled:
        return

    def compiled(functions: Sequence[Any], **further: Any) -> Any:
        return gym.make_vec(name, num_envs=len(functions), **further)

    for argument, value in pyfuncitem.funcargs.items():
        if value is SyncVectorEnv:
            pyfuncitem.funcargs[argument] = compiled


@pytest.fixture(autouse=True)
def world_of_ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment of ours under the names that tests ask for."""
    if not hasattr(request, "param"):
        yield
        return
    world, is_compiled = request.param
    make, make_vec, spec = gym.make, gym.make_vec, gym.spec
    place = place_of(request.node)
    settings: dict[str, Any] = {"observation": "one_hot"} if is_of(place, ARRAYS) else {}
    if is_of(place, NUMBERS):
        settings["observation"] = "index"
    if is_of(place, CAPPED) and spec(world).max_episode_steps is None:
        settings["max_episode_steps"] = 500
    if is_of(place, SLOW):  # episodes about as short as CartPole's under random actions, or few would be recorded
        settings["max_episode_steps"] = 20
    given = []

    def ours(asked: Any) -> tuple[Any, dict[str, Any]]:
        name = asked if isinstance(asked, str) else getattr(asked, "id", None)
        if name not in STAND_FOR:
            return asked, {}
        given.append(name)
        return world, settings

    def make_ours(id: Any, *arguments: Any, **further: Any) -> Any:
        name, settings = ours(id)
        return make(name, *arguments, **(settings | further))

    def make_vec_ours(id: Any, *arguments: Any, **further: Any) -> Any:
        name, settings = ours(id)
        return make_vec(name, *arguments, **(settings | further))

    monkeypatch.setattr(gym, "make", make_ours)
    monkeypatch.setattr(gym, "make_vec", make_vec_ours)
    monkeypatch.setattr(gym, "spec", lambda id: spec(ours(id)[0]))
    yield
    assert given or is_compiled, "the test made no environment of ours"


if __name__ == "__main__":
    raise SystemExit(main())
