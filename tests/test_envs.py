"""Environments: Gymnasium's own checks, agreement with the models that they sample, and with Gymnasium's twins."""

import copy
import gc
import json
import pickle
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit

import rlgrid
from rlgrid.envs import WORLDS
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.vector import GridWorldVector
from rlgrid.gridmap import GridSpec
from rlgrid.gridmodel import GridModel, Slip, TileKind
from rlgrid.mdp import MDP

IDS = [*WORLDS, "rlgrid/GridWorld-v0"]
TWINS = {
    "rlgrid/FrozenLake-v1": "FrozenLake-v1",
    "rlgrid/FrozenLake8x8-v1": "FrozenLake8x8-v1",
    "rlgrid/CliffWalking-v1": "CliffWalking-v1",
    "rlgrid/CliffWalkingSlippery-v1": "CliffWalkingSlippery-v1",
}


def corridor(**settings: Any) -> GridModel:
    """Start, floor, floor, goal in a row."""
    kinds = [TileKind("floor", "."), TileKind("goal", "G", terminal=True, enter_reward=1.0, glyph="goal")]
    return GridModel([[0, 0, 0, 1]], kinds, gamma=0.9, **settings)


# --- registration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", IDS)
def test_gymnasiums_checker_is_content(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GridWorld.metadata, "render_fps", 1000)
    check_env(gym.make(world, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("world", IDS)
def test_the_spec_is_json_and_makes_the_same_environment(world: str) -> None:
    env = gym.make(world, gamma=0.5)
    text = env.spec.to_json()  # type: ignore[union-attr]
    assert json.loads(text)["id"] == world
    again = gym.make(gym.envs.registration.EnvSpec.from_json(text))
    assert again.unwrapped.model.gamma == 0.5  # type: ignore[attr-defined]
    assert again.unwrapped.model.name == env.unwrapped.model.name  # type: ignore[attr-defined]


@pytest.mark.parametrize("world", WORLDS)
def test_the_registry_says_what_the_map_says(world: str) -> None:
    name, title = WORLDS[world]
    spec = GridSpec.builtin(name)
    assert gym.spec(world).max_episode_steps == spec.max_episode_steps
    assert title == spec.title
    assert gym.make(world).unwrapped.model.name == name  # type: ignore[attr-defined]


def test_every_map_is_a_world() -> None:
    assert {name for name, _ in WORLDS.values()} == set(GridSpec.builtin_names())


@pytest.mark.parametrize("world", WORLDS)
def test_no_policy_exceeds_the_optimum_so_thresholds_do_not(world: str) -> None:
    """The optimum of the undiscounted return under the step cap, by backward induction."""
    model = gym.make(world).unwrapped.model  # type: ignore[attr-defined]
    threshold = gym.spec(world).reward_threshold
    assert threshold is not None
    solution = rlgrid.solve(model, gamma=1.0, horizon=model.max_episode_steps or 1000)
    optimum = float(model.start @ solution.values[0])
    assert threshold <= optimum
    assert threshold >= optimum - 0.07 * abs(optimum), "so low that solving the world is not needed to reach it"


def test_two_copies_of_the_classes_are_refused() -> None:
    import importlib.util

    path = Path(rlgrid.envs.__file__)
    spec = importlib.util.spec_from_file_location("envs", path)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=r"import rlgrid\.envs"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


# --- what it samples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", TWINS)
def test_twins_stay_in_step_with_gymnasiums(world: str) -> None:
    ours, theirs = gym.make(world), gym.make(TWINS[world])
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    actions = np.random.default_rng(5).integers(4, size=20_000).tolist()
    one, other = ours.reset(seed=123), theirs.reset(seed=123)
    assert one == other
    for action in actions:
        one, other = ours.step(action), theirs.step(action)  # type: ignore[assignment]
        assert one == other
        assert type(one[0]) is type(other[0]) is int
        if one[2] or one[3]:  # type: ignore[misc]
            assert ours.reset() == theirs.reset()
    states = [env.unwrapped.np_random.bit_generator.state for env in (ours, theirs)]
    assert states[0] == states[1]


@pytest.mark.parametrize("world", TWINS)
def test_twins_have_gymnasiums_table(world: str) -> None:
    ours: Any = gym.make(world).unwrapped
    theirs: Any = gym.make(TWINS[world]).unwrapped
    assert np.array_equal(ours.initial_state_distrib, theirs.initial_state_distrib)
    # In every state in which an episode can be; theirs has rows for the cells of the cliff too, where nobody ever is.
    reached, found = [], set(np.flatnonzero(theirs.initial_state_distrib).tolist())
    while found - set(reached):
        state = min(found - set(reached))
        reached.append(state)
        for action, outcomes in theirs.P[state].items():
            assert ours.P[state][action] == [(p, int(to), float(r), bool(ends)) for p, to, r, ends in outcomes]
            found |= {int(to) for _, to, _, ends in outcomes if not ends}
    assert len(reached) > 10


def test_every_step_is_an_outcome_of_the_model() -> None:
    for world in WORLDS:
        env = gym.make(world).unwrapped
        model: GridModel = env.model  # type: ignore[attr-defined]
        env.action_space.seed(3)
        before, _ = env.reset(seed=3)
        for _ in range(300):
            action = env.action_space.sample()
            state, reward, terminated, truncated, info = env.step(action)
            assert (info["prob"], state, reward, terminated) in model.P[before][int(action)]
            assert truncated is False
            before = env.reset()[0] if terminated else state


def chi_square(counts: Counter[Any], expected: dict[Any, float]) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom."""
    assert set(counts) <= set(expected)
    return sum((counts[k] - n) ** 2 / n for k, n in expected.items()), len(expected) - 1


def test_sampled_frequencies_agree_with_the_model() -> None:
    """Stochastic wind, several states and all actions: the sum of the statistics, far below a 1 in 10^6 deviation."""
    env = gym.make("rlgrid/WindyGridworldStochastic-v0").unwrapped
    env.reset(seed=11)
    statistic, freedom, n = 0.0, 0, 1500
    for state in (4, 25, 36, 47, 66):
        for action in range(8):
            expected: dict[int, float] = {}
            for p, to, _, _ in env.model.P[state][action]:  # type: ignore[attr-defined]
                expected[to] = expected.get(to, 0.0) + n * p
            counts: Counter[int] = Counter()
            for _ in range(n):
                env.state = state  # type: ignore[attr-defined]
                counts[env.step(action)[0]] += 1
            one, degrees = chi_square(counts, expected)
            statistic, freedom = statistic + one, freedom + degrees
    assert freedom > 50
    assert statistic < freedom + 5 * np.sqrt(2 * freedom)


def test_starts_are_drawn_from_the_start_distribution() -> None:
    env = GridWorld(model=corridor(start={0: 0.5, 1: 0.3, 2: 0.2}))
    env.reset(seed=1)
    counts = Counter(env.reset()[0] for _ in range(10_000))
    statistic, freedom = chi_square(counts, {0: 5000, 1: 3000, 2: 2000})
    assert statistic < freedom + 5 * np.sqrt(2 * freedom)


def test_one_number_a_step_even_where_the_outcome_is_certain() -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=4)
    plain = np.random.Generator(np.random.PCG64())
    plain.bit_generator.state = env.np_random.bit_generator.state
    for _ in range(10):
        env.step(0)
        plain.random()
    assert env.np_random.bit_generator.state == plain.bit_generator.state


def test_large_worlds_are_stepped_without_their_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size outcomes are asked of the model one state at a time: the same ones."""
    model = GridSpec.builtin("windy_gridworld_stochastic").compile()
    small, large = GridWorld(model=model), GridWorld(model=model.with_changes())
    small.reset(seed=2)
    small.step(0)
    monkeypatch.setattr("rlgrid.envs.outcomes._EXPLICIT_STATES", 10)
    monkeypatch.setattr("rlgrid.envs.outcomes._KEPT_STATES", 5)
    large.reset(seed=2)
    large.step(0)
    assert large._outcomes is not None
    assert small._outcomes is not None
    assert small._outcomes.explicit
    assert not large._outcomes.explicit
    for action in np.random.default_rng(0).integers(8, size=400).tolist():
        one, other = large.step(action), small.step(action)
        assert one == other
        if one[2]:
            assert large.reset() == small.reset()
    assert len(large._outcomes) <= 5


def test_environments_of_a_map_share_its_model_and_let_it_go() -> None:
    one, other = gym.make("rlgrid/FourRooms-v0").unwrapped, gym.make("rlgrid/GridWorld-v0").unwrapped
    assert one.model is other.model  # type: ignore[attr-defined]
    changed = [gym.make("rlgrid/FourRooms-v0", slip=slip).unwrapped.model for slip in (0.1, 0.1, 0.2)]  # type: ignore[attr-defined]
    assert changed[0] is changed[1]
    assert changed[0].slip != changed[2].slip
    env = GridWorld(model=corridor())
    env.reset(seed=0)
    env.step(0)
    model = weakref.ref(env.model)
    del env
    gc.collect()
    assert model() is None


# --- worlds and changes --------------------------------------------------------------------------------------------


def test_a_world_from_a_file_a_name_and_a_spec(tmp_path: Path) -> None:
    spec = GridSpec.builtin("cliff_walking")
    path = tmp_path / "cliff.toml"
    spec.save(path)
    envs = [gym.make("rlgrid/GridWorld-v0", map=given) for given in (str(path), path, "cliff_walking", spec)]
    for env in envs:
        assert env.unwrapped.model.P == envs[0].unwrapped.model.P  # type: ignore[attr-defined]


def test_the_maps_step_cap_holds() -> None:
    env = gym.make("rlgrid/GridWorld-v0", map="frozen_lake_4x4", slip=0.0)
    assert env.spec is not None
    assert env.spec.max_episode_steps == 100
    env.reset(seed=0)
    steps = [env.step(0)[3] for _ in range(100)]
    assert steps == [False] * 99 + [True]
    uncapped = gym.make("rlgrid/GridWorld-v0", map="cliff_walking")
    wrapper: Any = uncapped
    while isinstance(wrapper, gym.Wrapper):
        assert not isinstance(wrapper, TimeLimit)
        wrapper = wrapper.env


def steps_until_cut(env: gym.Env[Any, Any], most: int) -> int:
    """After how many steps upwards in the slip-free four rooms an episode is truncated; -1: not after ``most``."""
    env.reset(seed=0)
    for step in range(1, most + 1):
        _, _, terminated, truncated, _ = env.step(0)
        assert not terminated
        if truncated:
            return step
    return -1


def time_limits(env: Any) -> list[int]:
    found = []
    while isinstance(env, gym.Wrapper):
        if isinstance(env, TimeLimit):
            found.append(env._max_episode_steps)
        env = env.env
    return found


@pytest.mark.parametrize("cap", [None, 12, 500, 700, -1])
@pytest.mark.parametrize("world", ["rlgrid/GridWorld-v0", "rlgrid/FourRooms-v0"])
def test_the_callers_step_cap_wins(world: str, cap: int | None) -> None:
    """Above and below the map's 500, and none; one TimeLimit, as agents expect, alike in a remade environment."""
    env = gym.make(world, map="four_rooms", slip=0.0, max_episode_steps=cap)
    expected = 500 if cap is None else cap
    assert time_limits(env) == ([] if cap == -1 else [expected])
    assert steps_until_cut(env, 800) == expected
    spec = env.spec
    assert spec is not None
    assert spec.max_episode_steps == (None if cap == -1 else expected)
    check_env(gym.make(world, map="four_rooms", max_episode_steps=cap).unwrapped, skip_render_check=True)
    if cap != -1:
        assert time_limits(gym.make(spec)) == [expected]
        assert time_limits(gym.make(gym.envs.registration.EnvSpec.from_json(spec.to_json()))) == [expected]
        assert time_limits(gym.make(spec, max_episode_steps=9)) == [9]


@pytest.mark.parametrize("cap", [None, 12, 700])
def test_the_callers_step_cap_wins_in_vectors(cap: int | None) -> None:
    given = {} if cap is None else {"max_episode_steps": cap}
    for mode in ("sync", "vector_entry_point"):
        envs = gym.make_vec("rlgrid/GridWorld-v0", 2, mode, map="four_rooms", slip=0.0, **given)
        envs.reset(seed=0)
        cut = [bool(envs.step(np.zeros(2, np.int64))[3].any()) for _ in range(cap or 500)]
        assert cut == [False] * (len(cut) - 1) + [True]


def test_the_maps_step_cap_outside_of_make() -> None:
    from rlgrid.envs.gridworld import from_map

    max_episode_steps = 3  # a caller's variable of that name is not gymnasium.make's
    assert time_limits(from_map(map="four_rooms")) == [500] != [max_episode_steps]


def test_lists_of_frames_are_gymnasiums_addition() -> None:
    for world in ("rlgrid/GridWorld-v0", "rlgrid/FourRooms-v0"):
        env = gym.make(world, render_mode="rgb_array_list", cell_size=4)
        env.reset(seed=0)
        env.step(0)
        assert len(env.render()) == 2  # type: ignore[arg-type]


def test_the_model_is_the_very_one() -> None:
    model = corridor()
    assert GridWorld(model=model).model is model
    assert gym.make("rlgrid/GridWorld-v0", model=model).unwrapped.model is model  # type: ignore[attr-defined]


def test_changes_of_a_world() -> None:
    def model(**changes: Any) -> GridModel:
        found: GridModel = gym.make("rlgrid/FourRooms-v0", **changes).unwrapped.model  # type: ignore[attr-defined]
        return found

    assert model(gamma=0.5).gamma == 0.5
    assert model(slip=0.1).slip == Slip(0.8, 0.1, 0.1, 0.0)
    assert model(slip={"forward": 0.5, "back": 0.5}).slip == Slip(0.5, 0.0, 0.0, 0.5)
    assert model(slip=Slip()).slip == Slip()
    assert model(slip={"left": 0.1}).slip == Slip(0.9, 0.1, 0.0, 0.0)
    assert model(slip=np.float64(0.1)).slip == model(slip=0.1).slip
    assert model(start=14).start_states.tolist() == [14]
    assert model(start={14: 0.5, 15: 0.5}).start_probability.tolist() == [0.5, 0.5]
    assert model(step_reward=-1.0).step_reward == -1.0
    assert model(step_reward=-1.0).gamma == model().gamma


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"map": "four_roms"}, ValueError, "did you mean 'four_rooms'"),
        ({"map": "FrozenLake4x4"}, ValueError, "did you mean 'frozen_lake_4x4'"),
        ({"map": "zzz"}, ValueError, "there are .*four_rooms"),
        ({"map": "no/such/file.toml"}, FileNotFoundError, "no/such/file.toml"),
        ({"map": "four_rooms.toml"}, FileNotFoundError, "'four_rooms'"),
        ({"map": 3}, TypeError, "GridSpec"),
        ({"map": "four_rooms", "model": corridor()}, TypeError, "not both"),
        ({"gama": 0.5}, TypeError, "did you mean 'gamma'"),
        ({"gamma": 1.5}, ValueError, "gamma"),
        ({"map_name": "4x4"}, TypeError, "no argument 'map_name'.* it has .*map, model, .*gamma, slip"),
        ({"max_episode_steps": 9}, TypeError, "gymnasium.make takes it"),
        ({"model": "x"}, TypeError, "model must be a GridModel or an MDP, not 'x'.* map"),
        ({"model": gym.make("FrozenLake-v1")}, TypeError, "MDP.from_gymnasium"),
        ({"slip": 0.6}, ValueError, r"slip = 0\.6 .*each of two sides.* 0 to 0\.5"),
        ({"slip": -0.1}, ValueError, r"slip = -0\.1 "),
        ({"slip": {"left": 0.7, "right": 0.7}}, ValueError, "left, right and back sum to 1.4"),
        ({"slip": {"forward": 1.0, "left": 0.1}}, ValueError, r"sum to 1\.1.*forward = 0\.9"),
        ({"slip": {"lft": 0.1}}, ValueError, "did you mean 'left'"),
        ({"start": [14, 15]}, TypeError, r"start must be a state or .*not \[14, 15\]"),
        ({"start": {14.5: 1.0}}, TypeError, "start must be"),
        ({"start": {14: "all"}}, TypeError, "start must be"),
        ({"start": 0}, ValueError, "start state 0 .*wall"),
        ({"gust": [1, 2]}, TypeError, "gust must be"),
        ({"step_reward": "x"}, TypeError, "step_reward must be a number"),
        ({"slip": "icy"}, TypeError, "slip"),
        ({"render_mode": "png"}, ValueError, "rgb_array"),
        ({"cell_size": "x"}, TypeError, "cell_size must be a number of pixels, not 'x'"),
        ({"cell_size": 0}, ValueError, "cell_size must be a positive number of pixels, not 0"),
        ({"cell_size": float("inf"), "observation": "rgb"}, ValueError, "cell_size must be a positive number"),
        ({"theme": "dork"}, ValueError, "theme must be 'dark' or 'light'"),
        ({"scene": 3}, TypeError, "scene must be a Scene"),
        ({"observation": ["view"]}, ValueError, r"there is no observation \['view'\]: there are index"),
        ({"observation": None}, ValueError, "there is no observation None: there are index"),
        ({"generator": ["wilson"], "rows": 5, "columns": 5}, ValueError, r"'wilson'\]: there are "),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        GridWorld(**arguments)
    if "render_mode" not in arguments and "max_episode_steps" not in arguments:
        with pytest.raises(error, match=words):
            GridWorldVector(2, **arguments)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("FrozenLake-v1", {"is_slipery": False}, "FrozenLake(Vector)? has no argument .*did you mean 'is_slippery'"),
        ("FrozenLake-v1", {"descr": ["SG"]}, "did you mean 'desc'.* it has .*map_name, is_slippery, success_rate"),
        ("FrozenLake-v1", {"game": 0.9}, "did you mean 'gamma'"),
        ("CliffWalking-v1", {"is_slipery": True}, "CliffWalking(Vector)? has no argument .*did you mean 'is_slippery'"),
        ("FourRooms-v0", {"genertor": "prim"}, "GridWorld(Vector)? has no argument .*did you mean 'generator'"),
    ],
)
def test_a_misspelt_argument_is_looked_for_among_those_of_its_world(name: str, given: Any, words: str) -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(TypeError, match=words) as caught:
            make(f"rlgrid/{name}", **given)
        assert ("FrozenLake" in name) == ("success_rate" in str(caught.value))
        assert ("FourRooms" in name) == (" model, " in str(caught.value))  # the twins have theirs


def test_the_nearest_map_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "my_world.toml").write_text("")
    with pytest.raises(FileNotFoundError, match=r"did you mean .*my_world\.toml"):
        GridWorld(map=tmp_path / "my_wrld.toml")


def test_an_mdp_cannot_be_changed_like_a_grid() -> None:
    with pytest.raises(TypeError, match="slip"):
        GridWorld(model=corridor().to_mdp(), slip=0.1)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("FrozenLake-v1", {"map_name": 3}, "FrozenLake-v1 cannot be made with map_name=3: KeyError: 3"),
        ("FrozenLake-v1", {"desc": 3}, "FrozenLake-v1 cannot be made with desc=3: ValueError"),
        ("FrozenLake-v1", {"mapname": 3}, "FrozenLake-v1 cannot be made with mapname=3: TypeError: .*'mapname'$"),
        ("no_such_module:Id-v0", {}, "no_such_module"),
    ],
)
def test_what_the_code_of_others_stumbles_over_is_named(name: str, arguments: dict[str, Any], words: str) -> None:
    from rlgrid.envs.registry import make

    with pytest.raises(ValueError, match=words):
        make(name, **arguments)


def test_unknown_arguments_of_our_worlds_are_named_alone() -> None:
    from rlgrid.envs.registry import make

    for name, kind in (("rlgrid/FrozenLake-v1", "FrozenLake"), ("four_rooms", "GridWorld")):
        with pytest.raises(TypeError, match=rf"^{kind} has no argument 'mapname': .*start$"):
            make(name, mapname="4x4")
    with pytest.raises(FileNotFoundError, match=r"'none\.toml'"):
        make("rlgrid/GridWorld-v0", map="none.toml")


# --- using it ---------------------------------------------------------------------------------------------------------


def test_wrong_options_of_a_reset_are_named() -> None:
    env = GridWorld(model=corridor())
    with pytest.raises(TypeError, match=r"options of reset are a mapping, as \{'state': 7\}, not \[1\]"):
        env.reset(options=[1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="knows the option 'state' alone, not 'stat'"):
        env.reset(options={"stat": 1})


@pytest.mark.parametrize("world", ["RacetrackRight-v0", "FourRooms-v0", "KeysAndSwitch-v0", "BlockingMaze-v0"])
def test_copies_share_the_model_and_its_table(world: str) -> None:
    env = gym.make(f"rlgrid/{world}")
    env.reset(seed=0)
    env.step(0)
    one: Any = env.unwrapped
    twin: Any = copy.deepcopy(env).unwrapped
    assert twin.model is one.model
    twin.step(1)
    assert twin._outcomes is one._outcomes
    assert twin.np_random is not one.np_random


def test_masks_leave_an_action_wherever_the_episode_goes_on() -> None:
    model = corridor()  # whose last state is over
    masks = np.ones((model.num_states, model.num_actions), np.int8)
    masks[-1] = 0
    assert model.absorbing[-1]
    for make in (GridWorld, lambda **arguments: GridWorldVector(2, **arguments)):
        make(model=model, action_mask_of=masks)
        stuck = masks.copy()
        stuck[1] = 0
        with pytest.raises(ValueError, match="leaves no action in state 1: at least one must be 1"):
            make(model=model, action_mask_of=stuck)
    # Alone each leaves one, together none; and where maps are made anew nobody knows where they end.
    some = MDP.from_arrays(np.full((2, 2, 2), 0.5), np.zeros(2), 0.9, available=[[True, True], [False, True]])
    with pytest.raises(ValueError, match="leaves no action in state 1"):
        GridWorld(model=some, action_mask_of=[[1, 1], [1, 0]])
    with pytest.raises(ValueError, match="leaves no action in state 0"):
        GridWorld(
            generator="wilson", rows=5, columns=5, new_map_each_reset=True, action_mask_of=np.zeros((25, 4), np.int8)
        )


SAVED: list[dict[str, Any]] = [
    {"map": "windy_gridworld", "gust": {-1: 0.5, 1: 0.5}, "start": {30: 0.25, 31: 0.75}, "slip": Slip(0.75, 0.25)},
    {"map": GridSpec.builtin("windy_gridworld_stochastic")},
    {"map": GridSpec.builtin("keys_and_switch"), "observation": "planes"},
    {"map": GridSpec.builtin("thin_walls"), "slip": 0.125},
    {"map": GridSpec.builtin("shortcut_maze")},
    {"map": GridSpec(["S..", "..G"], walls=[((0, 0), (0, 1))], changes=[{"at": 3, "map": ["S.#", "..G"]}])},
    {"generator": "wilson", "rows": 7, "columns": 9, "new_map_each_reset": True},
]


@pytest.mark.parametrize("arguments", SAVED)
def test_a_spec_that_was_saved_makes_the_environment_again(arguments: dict[str, Any]) -> None:
    env = gym.make("rlgrid/GridWorld-v0", **arguments)
    assert env.spec is not None
    again: Any = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.spec.to_json() == env.spec.to_json()
    rng = np.random.default_rng(0)
    first, _ = env.reset(seed=3)
    assert np.array_equal(again.reset(seed=3)[0], first)
    for action in rng.integers(env.unwrapped.model.num_actions, size=60).tolist():  # type: ignore[attr-defined]
        one, other = env.step(action), again.step(action)
        assert np.array_equal(one[0], other[0])
        assert one[1:] == other[1:]
        if one[2] or one[3]:
            env.reset(), again.reset()


def test_what_is_no_map_stays_none() -> None:
    with pytest.raises(TypeError, match="or a GridSpec"):
        GridWorld(map={"row": 3})  # type: ignore[arg-type]


def test_a_step_before_the_first_reset_says_so() -> None:
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        GridWorld(model=corridor()).step(0)
    with pytest.raises(gym.error.ResetNeeded):
        gym.make("rlgrid/FourRooms-v0").step(0)


@pytest.mark.parametrize("action", [4, -1, 1.5, "up", None, [0, 1], 10**20])
def test_a_wrong_action_says_so(action: Any) -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=0)
    env.step(0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)


@pytest.mark.parametrize("action", [np.int64(1), np.array(1), np.array([1]), np.uint8(1)])
def test_whole_numbers_of_numpy_are_actions(action: Any) -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=0)
    assert env.step(action)[0] == 1


def test_an_action_that_a_state_lacks_says_so() -> None:
    P = np.zeros((2, 2, 2))
    P[:, :, 1] = 1
    model = MDP.from_arrays(P, np.zeros(2), 0.9, start=0, available=[[True, False], [True, True]])
    env = GridWorld(model=model)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action 1 is not available in state 0; available are 0"):
        env.step(1)
    assert env.step(0)[0] == 1


def test_the_state_can_be_set() -> None:
    env = GridWorld(model=corridor())
    env.state = 2
    assert env.step(1)[:3] == (3, 1.0, True)
    env.state = np.int32(1)
    assert type(env.state) is int
    for wrong in (4, -1, 0.5, float("nan"), "2", None, [1, 2]):
        with pytest.raises(ValueError, match="states 0 to 3"):
            env.state = wrong  # type: ignore[assignment]


def test_an_episode_may_begin_in_a_given_state() -> None:
    env = GridWorld(model=corridor())
    assert env.reset(seed=0, options={"state": 2})[0] == 2
    after = env.np_random.bit_generator.state
    env.reset(seed=0)
    assert env.np_random.bit_generator.state == after
    with pytest.raises(ValueError, match="'stat'"):
        env.reset(options={"stat": 2})


def test_an_ended_episode_stays_ended() -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=0, options={"state": 2})
    env.step(1)
    assert env.step(1)[:3] == (3, 0.0, True)


@pytest.mark.parametrize("observation", ["index", "one_hot"])
def test_an_action_may_have_any_form_of_a_whole_number(observation: str) -> None:
    """At a first step as later, when it is looked up."""
    forms: list[Any] = [1, np.int64(1), np.uint8(1), 1.0, np.float32(1), True, np.True_, np.array(1), np.array([1])]
    env = GridWorld("four_rooms", render_mode="ansi", observation=observation)
    for form in [*forms, *forms]:
        env.reset(seed=0)
        twin = GridWorld("four_rooms")
        twin.reset(seed=0)
        env.step(form)
        twin.step(1)
        assert env.state == twin.state
        assert "(right)" in env.render()
        assert env.get_state() == twin.get_state()
    for wrong in (1.5, float("nan"), float("inf"), np.array([1, 1]), "1", None, np.array(["1"]), 1j):
        with pytest.raises(ValueError, match="an action is a whole number from 0 to 3"):
            env.step(wrong)


def test_seeds_repeat_and_differ() -> None:
    env = gym.make("rlgrid/FourRooms-v0")

    def walk(seed: int) -> list[int]:
        env.reset(seed=seed)
        return [env.step(k % 4)[0] for k in range(100)]

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("world", ["rlgrid/FrozenLake-v1", "rlgrid/GridWorld-v0"])
def test_copies_go_on_alike(copied: Any, world: str) -> None:
    env = gym.make(world, render_mode="rgb_array")
    env.reset(seed=9)
    env.step(1)
    env.render()
    twin = copied(env)
    for action in (1, 2, 1, 0, 3, 2):
        assert env.step(action) == twin.step(action)
    assert np.array_equal(env.render(), twin.render())


def test_a_saved_state_is_gone_back_to() -> None:
    env = gym.make("rlgrid/FourRooms-v0").unwrapped
    fresh = env.get_state()  # type: ignore[attr-defined]
    env.reset(seed=2)
    saved = json.loads(json.dumps(env.get_state()))  # type: ignore[attr-defined]
    walk = [env.step(1)[0] for _ in range(30)]
    env.set_state(saved)  # type: ignore[attr-defined]
    assert [env.step(1)[0] for _ in range(30)] == walk
    env.set_state(fresh)  # type: ignore[attr-defined]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)


def test_observations_are_the_observers() -> None:
    """Of states and of what is seen of them; `tests/test_observations.py` says what each kind shows."""
    seen = [0, 0, 2, 1]
    env = GridWorld(model=corridor(), observation="one_hot", observation_of=seen)
    assert env.observation_space == gym.spaces.Box(0.0, 1.0, (3,), np.float32)
    check_env(env, skip_render_check=True)
    for state, number in enumerate(seen):
        observation, _ = env.reset(seed=0, options={"state": state})
        assert env.observation_space.contains(observation)
        assert observation.tolist() == np.eye(3)[number].tolist()
    assert env.observation_of is not None
    assert env.observation_of.tolist() == seen
    assert env.observer.kind == "one_hot"
    made = gym.make("rlgrid/GridWorld-v0", map="blocking_maze", observation="one_hot")
    assert made.reset(seed=0)[0].argmax() == 48
    assert made.step(1)[0].argmax() == 49
    with pytest.raises(ValueError, match="did you mean 'one_hot'"):
        GridWorld(model=corridor(), observation="one-hot")


def test_a_saved_state_has_the_last_action_and_no_seed() -> None:
    env = GridWorld(map="frozen_lake_4x4", slip=0.0, render_mode="ansi")
    env.reset(seed=0)
    env.step(np.int64(1))
    saved, shown = env.get_state(), env.render()
    env.step(2)
    env.set_state(saved)
    assert env.render() == shown
    assert env.np_random_seed == -1


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ("abc", TypeError, "a mapping with generator, last_action, state, not 'abc'"),
        ({"state": ...}, ValueError, "has no 'state'"),
        ({"generator": ...}, ValueError, "has no 'generator'"),
        ({"clock": 3}, ValueError, "has 'clock', which is nothing of this world's"),
        ({"state": 4}, ValueError, "state 4 is not one of the states 0 to 3"),
        ({"state": "0"}, ValueError, "state '0' is not one"),
        ({"last_action": 4}, ValueError, "last_action must be a whole number from 0 to 3, not 4"),
        ({"last_action": True}, ValueError, "last_action must be"),
        ({"generator": None}, ValueError, "generator is no state of a PCG64"),
        ({"generator": {"bit_generator": "PCG64"}}, ValueError, "generator is no state of a PCG64.*state"),
        ({"generator": np.random.MT19937(0).state}, ValueError, "generator is no state of a PCG64"),
    ],
)
def test_a_wrong_saved_state_changes_nothing(changed: Any, error: type[Exception], words: str) -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=3)
    env.step(1)
    before = env.get_state()
    wrong = changed
    if isinstance(changed, dict):
        wrong = {name: value for name, value in {**before, **changed}.items() if value is not ...}
    with pytest.raises(error, match=words):
        env.set_state(wrong)
    assert env.get_state() == before


def test_masks_of_actions_by_sb3s_name() -> None:
    """Of the model's available actions, of given masks, of both; all where a world has neither."""
    env = GridWorld(model=corridor())
    with pytest.raises(gym.error.ResetNeeded):
        env.action_masks()
    env.reset(seed=0)
    assert env.action_masks().tolist() == [True] * 4
    P = np.zeros((2, 3, 2))
    P[:, :, 1] = 1
    available = [[True, True, False], [True, True, True]]
    lacking = MDP.from_arrays(P, np.zeros(2), 0.9, start=0, available=available)
    for masks, expected in ((None, [True, True, False]), ([[0, 1, 1], [0, 0, 1]], [False, True, False])):
        env = GridWorld(model=lacking, action_mask_of=masks)
        env.reset(seed=0)
        given = env.action_masks()
        assert given.dtype == np.bool_
        assert given.tolist() == expected
        given[:] = False  # the caller's own
        assert env.action_masks().tolist() == expected
    taxi: Any = gym.make("rlgrid/Taxi-v4").unwrapped
    for seed in range(5):
        _, info = taxi.reset(seed=seed)
        assert taxi.action_masks().tolist() == info["action_mask"].astype(bool).tolist()


def test_info_is_the_callers_own() -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=0)
    first = env.step(0)[4]
    first["mine"] = True
    assert env.step(0)[4] == {"prob": 1.0}


def test_vectors_of_environments() -> None:
    envs = gym.make_vec("rlgrid/FourRooms-v0", num_envs=5)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (5,)
    observations, rewards, *_ = envs.step(envs.action_space.sample())
    assert rewards.shape == (5,)
    envs.close()


def test_toy_texts_table_leads_back_to_the_model() -> None:
    env = gym.make("rlgrid/RussellNorvig4x3-v0")
    mdp = MDP.from_gymnasium(env, gamma=1.0)
    assert mdp.P == env.unwrapped.model.P  # type: ignore[attr-defined]


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_text_shows_the_map_the_agent_and_the_last_action() -> None:
    env = GridWorld(map="frozen_lake_4x4", slip=0.0, render_mode="ansi")
    assert env.render() == " S F F F\n F H F H\n F F F H\n H F F G\n"
    env.reset(seed=0)
    assert env.render() == "row 0, column 0\n[S]F F F\n F H F H\n F F F H\n H F F G\n"
    env.step(1)
    assert env.render() == "row 1, column 0  (down)\n S F F F\n[F]H F H\n F F F H\n H F F G\n"
    env.state = 15
    assert env.render() == "row 3, column 3\n S F F F\n F H F H\n F F F H\n H F F[G]\n"


def test_text_of_a_model_without_a_map() -> None:
    env = GridWorld(model=corridor().to_mdp(), render_mode="ansi")
    env.reset(seed=0)
    env.step(np.int64(1))
    assert env.render() == "state 1 of 4  (1)\n"


def test_frames_show_where_the_agent_is() -> None:
    env = GridWorld(map="four_rooms", render_mode="rgb_array", cell_size=16)
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape == (13 * 16, 13 * 16, 3)
    assert (env.render() == first).all()
    env.state = 14
    one = env.render()
    env.state = 15
    changed = (env.render() != one).any(axis=2)
    assert changed.any()
    assert not changed[:, :16].any()
    assert not changed[2 * 16 :].any()


def test_render_without_a_mode_warns_as_gymnasiums_do() -> None:
    env = GridWorld(model=corridor())
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="rgb_array"):
        assert env.render() is None
