"""Many environments at once: the same numbers as one by one."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from rlgrid.envs import WORLDS
from rlgrid.envs.vector import GridWorldVector
from rlgrid.gridmap import GridSpec
from rlgrid.mdp import MDP


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Two results of reset or step, arrays and infos, are equal."""
    for mine, theirs in zip(one[:-1], other[:-1], strict=True):
        assert np.array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    assert one[-1].keys() == other[-1].keys()
    for name in one[-1]:
        assert np.array_equal(one[-1][name], other[-1][name])


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("world", WORLDS)
def test_it_is_gymnasiums_vector_of_single_environments(
    world: str, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through ends, truncations and new starts: SyncVectorEnv over GridWorld gives the same."""
    if not table:
        monkeypatch.setattr("rlgrid.envs.vector._MOST_PAIRS", 0)
    ours = gym.make_vec(world, num_envs=7, max_episode_steps=40)
    theirs = gym.make_vec(world, num_envs=7, vectorization_mode="sync", max_episode_steps=40)
    assert isinstance(ours, GridWorldVector)
    assert (ours._table is not None) == table
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    same(ours.reset(seed=17), theirs.reset(seed=17))
    actions = np.random.default_rng(1).integers(ours.single_action_space.n, size=(150, 7))
    ends = 0
    for chosen in actions:
        mine = ours.step(chosen)
        same(mine, theirs.step(chosen))
        ends += int((mine[2] | mine[3]).sum())
    assert ends >= 7
    same(ours.reset(), theirs.reset())
    same(ours.reset(seed=[3, 1, 4, 1, 5, 9, 2]), theirs.reset(seed=[3, 1, 4, 1, 5, 9, 2]))
    same(ours.step(actions[0]), theirs.step(actions[0]))


def test_the_step_cap_is_the_maps_the_registrys_or_the_callers() -> None:
    def steps_until_cut(**arguments: Any) -> int:
        envs = gym.make_vec(num_envs=2, **arguments)
        envs.reset(seed=0)
        for step in range(1, 10_000):
            if envs.step(np.zeros(2, np.int64))[3].any():
                return step
        return -1

    assert steps_until_cut(id="rlgrid/DynaMaze-v0") == 5000
    assert steps_until_cut(id="rlgrid/GridWorld-v0", map="dyna_maze") == 5000
    assert steps_until_cut(id="rlgrid/DynaMaze-v0", max_episode_steps=12) == 12
    assert steps_until_cut(id="rlgrid/CliffWalking-v1") == -1


def test_options_of_reset_are_those_of_single_environments() -> None:
    """Starting in a given state, in all copies or in some, draws and counts as SyncVectorEnv does."""
    both = [
        gym.make_vec("rlgrid/GridWorld-v0", 3, mode, map="four_rooms", max_episode_steps=5)
        for mode in ("vector_entry_point", "sync")
    ]
    mask = np.array([True, False, True])

    def reset(**arguments: Any) -> list[Any]:
        found = []
        for envs in both:
            options = arguments.get("options")
            given = arguments | {"options": None if options is None else dict(options)}  # theirs takes out the mask
            found.append(envs.reset(**given))
        same(*found)
        return found[0][0].tolist()

    def step(times: int) -> None:
        for _ in range(times):
            same(*(envs.step(np.array([0, 1, 2])) for envs in both))

    assert reset(seed=3, options={"state": 14}) == [14, 14, 14]
    step(3)
    assert reset(options={"state": np.int64(15), "reset_mask": mask})[::2] == [15, 15]
    step(7)
    reset(options={"reset_mask": mask})
    step(3)
    reset(seed=[7, 8, 9], options={"reset_mask": ~mask})
    step(7)
    reset(options={})
    step(2)


def test_changes_and_maps() -> None:
    envs = gym.make_vec("rlgrid/GridWorld-v0", num_envs=3, map="cliff_walking", gamma=0.5)
    assert envs.model.name == "cliff_walking"  # type: ignore[attr-defined]
    assert envs.model.gamma == 0.5  # type: ignore[attr-defined]
    model = GridSpec.builtin("dyna_maze").compile()
    assert GridWorldVector(2, model=model).model is model


def test_streams_without_a_seed_differ() -> None:
    envs = GridWorldVector(200, map="sutton_barto_5x5")
    first, _ = envs.reset()
    assert len(set(first.tolist())) > 10
    assert not np.array_equal(first, GridWorldVector(200, map="sutton_barto_5x5").reset()[0])


def test_results_are_the_callers_own() -> None:
    envs = GridWorldVector(3, map="dyna_maze")
    first, _ = envs.reset(seed=0)
    first[:] = -5
    second = envs.step(np.ones(3, np.int64))
    kept = [np.array(part) for part in second[:4]]
    envs.step(np.full(3, 2))
    assert all(np.array_equal(a, b) for a, b in zip(kept, second[:4], strict=True))
    assert kept[0].min() >= 0


def test_copies_go_on_alike() -> None:
    envs = GridWorldVector(5, map="frozen_lake_4x4")
    envs.reset(seed=1)
    envs.step(np.ones(5, np.int64))
    twin = copy.deepcopy(envs)
    for action in (0, 1, 2, 3):
        same(envs.step(np.full(5, action)), twin.step(np.full(5, action)))


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([0, 1], "3 whole numbers"),
        ([0.0, 1.0, 2.0], "3 whole numbers"),
        ([0, 1, 4], "environment 2: action 4"),
        ([0, -1, 3], "environment 1: action -1"),
    ],
)
def test_wrong_actions_are_named(actions: list[Any], words: str) -> None:
    envs = GridWorldVector(3)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=words):
        envs.step(actions)


def test_an_action_that_a_state_lacks_is_named() -> None:
    P = np.zeros((2, 2, 2))
    P[:, :, 1] = 1
    model = MDP.from_arrays(P, np.zeros(2), 0.9, start=0, available=[[True, False], [True, True]])
    envs = GridWorldVector(2, model=model)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="environment 1: action 1 is not available in state 0"):
        envs.step([0, 1])
    assert envs.step([0, 0])[0].tolist() == [1, 1]
    assert envs.step([1, 1])[0].tolist() == [1, 1]


def test_wrong_uses_are_named() -> None:
    envs = GridWorldVector(3)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step([0, 0, 0])
    with pytest.raises(ValueError, match="2 seeds for 3"):
        envs.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="'stat'"):
        envs.reset(options={"stat": 3})
    with pytest.raises(ValueError, match="states 0 to 168"):
        envs.reset(options={"state": 169})
    with pytest.raises(gym.error.ResetNeeded, match="first reset"):
        envs.reset(options={"reset_mask": np.array([True, False, True])})
    for mask in ([True], [1, 0, 1], [False, False, False]):
        with pytest.raises(ValueError, match="reset_mask must be bool"):
            envs.reset(options={"reset_mask": np.array(mask)})
    for wrong in (0, 2.5, "2", True):
        with pytest.raises(ValueError, match="num_envs must be a whole number"):
            GridWorldVector(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_episode_steps"):
        GridWorldVector(2, max_episode_steps=2.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="GridModel or an MDP, not 'x'"):
        GridWorldVector(2, model="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rgb_array"):
        GridWorldVector(2, render_mode="human")
    with pytest.raises(ValueError, match="max_episode_steps"):
        GridWorldVector(2, max_episode_steps=0)
    with pytest.raises(TypeError, match="not both"):
        GridWorldVector(2, map="dyna_maze", model=GridSpec.builtin("dyna_maze").compile())


def test_frames_of_every_copy() -> None:
    envs = gym.make_vec("rlgrid/FrozenLake-v1", num_envs=2, render_mode="rgb_array", cell_size=12)
    envs.reset(seed=0)
    envs.unwrapped.states[:] = (0, 5)  # type: ignore[attr-defined]
    frames = envs.render()
    assert frames is not None
    assert [frame.shape for frame in frames] == [(48, 48, 3)] * 2
    assert not np.array_equal(frames[0], frames[1])
    with pytest.warns(UserWarning, match="rgb_array"):
        assert GridWorldVector(2).render() is None
