"""The twins of Gymnasium's toy_text, with its arguments, in step with the originals."""

import itertools
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import generate_random_map

import rlgrid
from rlgrid.envs import toy_text

LAKES: list[dict[str, Any]] = [
    {},
    {"map_name": "8x8"},
    {"is_slippery": False},
    {"success_rate": 0.8},
    {"success_rate": 1.0},
    {"success_rate": 0.0, "reward_schedule": (2, 1, 0.5)},
    {"success_rate": 0.25, "is_slippery": False},
    {"reward_schedule": (10, -5, -0.1)},
    {"desc": ["SFSX", "HFFH", "GGFS"], "success_rate": 0.6},
    {"desc": [list("SFG")], "is_slippery": False},
    {"desc": np.array([list("SFF"), list("FFG")]), "map_name": None},
    {"desc": generate_random_map(12, 0.7, 3), "success_rate": 0.9, "reward_schedule": (1.5, -0.5, -0.01)},
]
CLIFFS: list[dict[str, Any]] = [{}, {"is_slippery": True}, {"is_slippery": False}]
TAXIS: list[dict[str, Any]] = [
    {},
    {"is_rainy": True},
    {"fickle_passenger": True},
    {"is_rainy": True, "fickle_passenger": True, "rainy_probability": 0.6, "fickle_probability": 0.9},
    {"is_rainy": True, "rainy_probability": 1.0},
    {"rainy_probability": 0.5, "fickle_passenger": True, "fickle_probability": 1.0},
]
TWINS = {
    "FrozenLake-v1": LAKES,
    "FrozenLake8x8-v1": LAKES,
    "CliffWalking-v1": CLIFFS,
    "CliffWalkingSlippery-v1": CLIFFS,
    "Taxi-v4": TAXIS,
}


def assert_same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    *ours_values, ours_info = ours
    *their_values, their_info = theirs
    assert ours_values == their_values
    assert [type(x) is bool for x in ours_values] == [isinstance(x, bool | np.bool_) for x in their_values]
    assert list(ours_info) == list(their_info)
    for key, value in ours_info.items():
        other = their_info[key]
        if isinstance(other, np.ndarray):
            assert value.dtype == other.dtype
            assert value.tolist() == other.tolist()
        else:
            assert value == other


def walk_in_step(name: str, arguments: dict[str, Any], seed: int, steps: int) -> int:
    """Both environments under the same random actions; returns the number of episodes that ended."""
    ours, theirs = gym.make(f"rlgrid/{name}", **arguments), gym.make(name, **arguments)
    assert ours.observation_space.n >= theirs.observation_space.n  # type: ignore[attr-defined]
    assert ours.action_space == theirs.action_space
    mine: Any = ours.unwrapped
    yours: Any = theirs.unwrapped
    actions = np.random.default_rng(seed).integers(theirs.action_space.n, size=steps).tolist()  # type: ignore[attr-defined]
    assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))
    ends = 0
    for action in actions:
        happened = ours.step(action)
        assert_same(happened, theirs.step(action))
        if happened[2] or happened[3]:
            ends += 1
            assert_same(ours.reset(), theirs.reset())
    assert mine.np_random.bit_generator.state == yours.np_random.bit_generator.state
    return ends


@pytest.mark.parametrize(("name", "arguments"), [(name, kw) for name, sets in TWINS.items() for kw in sets])
def test_in_step_with_the_original(name: str, arguments: dict[str, Any]) -> None:
    walk_in_step(name, arguments, seed=11, steps=700)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TWINS))
def test_in_step_with_the_original_for_a_million_steps(name: str) -> None:
    cases = list(itertools.product(TWINS[name], range(4)))
    steps = -(-1_000_000 // len(cases))
    ends = sum(walk_in_step(name, arguments, 1000 + seed, steps) for arguments, seed in cases)
    assert ends > 100


@pytest.mark.parametrize(("name", "arguments"), [(name, kw) for name, sets in TWINS.items() for kw in sets])
def test_the_table_is_the_originals(name: str, arguments: dict[str, Any]) -> None:
    ours: Any = gym.make(f"rlgrid/{name}", **arguments).unwrapped
    theirs: Any = gym.make(name, **arguments).unwrapped
    # A fickle passenger's intention, which Gymnasium keeps beside the table, doubles the states; P's are the first.
    assert {s: ours.P[s] for s in theirs.P} == theirs.P
    if len(ours.P) == len(theirs.P):
        assert ours.initial_state_distrib.tolist() == theirs.initial_state_distrib.tolist()
    else:
        folded = ours.initial_state_distrib.reshape(2, -1).sum(axis=0)
        np.testing.assert_allclose(folded, theirs.initial_state_distrib, rtol=1e-15)


@pytest.mark.parametrize(("name", "arguments"), [(name, kw) for name, sets in TWINS.items() for kw in sets])
def test_vectors_are_in_step_with_the_original(name: str, arguments: dict[str, Any]) -> None:
    ours: Any = gym.make_vec(f"rlgrid/{name}", num_envs=3, **arguments)
    theirs: Any = gym.make_vec(name, num_envs=3, vectorization_mode="sync", **arguments)

    def assert_equal(one: Any, other: Any) -> None:
        if isinstance(other, dict):
            assert set(one) == set(other)
            for key in other:
                assert_equal(one[key], other[key])
        else:
            # An info that is a whole number where a vector begins makes all of its kind whole in Gymnasium: 0.9 is 0.
            np.testing.assert_array_equal(np.asarray(one).astype(np.asarray(other).dtype), other)

    for mine, yours in zip(ours.reset(seed=5), theirs.reset(seed=5), strict=True):
        assert_equal(mine, yours)
    random = np.random.default_rng(0)
    for _ in range(120):
        actions = random.integers(theirs.single_action_space.n, size=3)
        for mine, yours in zip(ours.step(actions), theirs.step(actions), strict=True):
            assert_equal(mine, yours)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("size", [2, 5, 9])
def test_random_maps_are_gymnasiums(size: int) -> None:
    assert toy_text.generate_random_map(size, 0.7, seed=4) == generate_random_map(size, 0.7, seed=4)


def test_without_a_map_the_lake_is_a_random_one() -> None:
    lakes = {gym.make("rlgrid/FrozenLake-v1", map_name=None).unwrapped.desc.tobytes() for _ in range(4)}
    assert len(lakes) > 1
    assert {len(lake) for lake in lakes} == {64}
    with pytest.raises(ValueError, match="RandomFrozenLake"):
        gym.make_vec("rlgrid/FrozenLake-v1", 2, map_name=None)
    assert len(set(gym.make_vec("rlgrid/FrozenLake-v1", 2, map_name=None, desc=["SG"]).reset(seed=0)[0])) == 1


def test_what_programs_for_toy_text_read() -> None:
    lake: Any = gym.make("rlgrid/FrozenLake-v1", is_slippery=False, render_mode="ansi").unwrapped
    theirs: Any = gym.make("FrozenLake-v1").unwrapped
    assert lake.desc.tolist() == theirs.desc.tolist()
    assert lake.desc.dtype == theirs.desc.dtype
    assert (lake.nrow, lake.ncol) == (theirs.nrow, theirs.ncol)
    lake.reset(seed=0)
    assert (lake.s, lake.lastaction) == (0, None)
    lake.step(2)
    assert (lake.s, lake.lastaction) == (1, 2)
    lake.s = 14
    assert lake.step(2)[:3] == (15, 1.0, True)
    taxi: Any = gym.make("rlgrid/Taxi-v4").unwrapped
    theirs = gym.make("Taxi-v4").unwrapped
    assert list(taxi.locs) == theirs.locs
    for state in range(500):
        assert taxi.decode(state) == theirs.decode(state)
        assert taxi.encode(*taxi.decode(state)) == state
        assert taxi.action_mask(state).tolist() == theirs.action_mask(state).tolist()
    cliff: Any = gym.make("rlgrid/CliffWalking-v1", is_slippery=True).unwrapped
    theirs = gym.make("CliffWalking-v1", is_slippery=True).unwrapped
    for name in ("shape", "nS", "nA", "is_slippery"):
        assert getattr(cliff, name) == getattr(theirs, name)


def test_a_passenger_stays_fickle_where_the_state_is_set() -> None:
    """As in Gymnasium, which keeps that beside the state."""
    ours: Any = gym.make("rlgrid/Taxi-v4", fickle_passenger=True, fickle_probability=1.0).unwrapped
    theirs: Any = gym.make("Taxi-v4", fickle_passenger=True, fickle_probability=1.0).unwrapped
    for env in (ours, theirs):
        env.reset(seed=0)
        env.s = env.encode(0, 0, 0, 1)
        env.step(4)
    assert ours.s == theirs.s == ours.encode(0, 0, 4, 1)
    assert ours.step(0)[0] == theirs.step(0)[0]
    assert ours.decode(ours.s)[3] != 1


def test_what_is_set_beside_the_hidden_part_is_checked() -> None:
    env: Any = gym.make("rlgrid/Taxi-v4", fickle_passenger=True, fickle_probability=0.0).unwrapped
    assert env.s is None
    env.reset(seed=0)
    before = env.state
    with pytest.raises(ValueError, match="s = 750 is not one of 0 to 499"):
        env.s = 750
    for wrong in (-1, 1000, 1.5):
        with pytest.raises(ValueError, match=f"state {wrong} is not one of the states"):
            env.s = wrong
        with pytest.raises(ValueError, match=f"state {wrong} is not one of the states"):
            env.action_mask(wrong)
    assert env.state == before


@pytest.mark.parametrize("is_slippery", [False, True])
def test_the_cliffs_table_differs_from_its_model_only_where_no_episode_gets_to(is_slippery: bool) -> None:
    env: Any = gym.make("rlgrid/CliffWalking-v1", is_slippery=is_slippery).unwrapped
    pairs = [(s, a) for s in range(48) for a in range(4) if env.P[s][a] != env.model.P[s][a]]
    against_the_edge = [(s, a) for s in range(37, 47) for a in ((1, 2, 3) if is_slippery else (2,))]
    assert pairs == [*against_the_edge, *((47, a) for a in range(4))]
    reached = {to for s in range(37) for run in env.model.P[s].values() for _, to, _, ends in run if not ends}
    assert reached == set(range(37))
    env.reset(seed=0)
    for state, action in pairs:
        env.state = state
        to, reward, terminated, _, info = env.step(action)
        assert (info["prob"], to, reward, terminated) in env.model.P[state][action]


def test_a_lake_of_ones_own_may_have_a_name() -> None:
    """Gymnasium looks the name up where there is no lake alone."""
    lake = ["SFH", "FFG"]
    one, other = (gym.make(f"{place}FrozenLake-v1", desc=lake, map_name="my lake") for place in ("rlgrid/", ""))
    assert one.unwrapped.P == other.unwrapped.P  # type: ignore[attr-defined]
    assert gym.make_vec("rlgrid/FrozenLake-v1", num_envs=2, desc=lake, map_name="my lake") is not None


@pytest.mark.parametrize("rate", [np.float32(0.1), np.float32(1 / 3), np.float32(1.0), np.float64(0.25), 1])
def test_a_success_rate_may_be_any_float(rate: Any) -> None:
    """It is the number that it is, as a float64; Gymnasium's table has the digits of its type."""
    one: Any = gym.make("rlgrid/FrozenLake-v1", success_rate=rate).unwrapped
    other: Any = gym.make("FrozenLake-v1", success_rate=float(rate)).unwrapped
    assert one.P == other.P
    one.reset(seed=0)
    one.step(0)
    assert rlgrid.solve(one.model).converged


def test_arguments_of_gridworld_go_along() -> None:
    lake: Any = gym.make(
        "rlgrid/FrozenLake-v1", desc=["SFG"], gamma=0.5, cell_size=8, render_mode="rgb_array"
    ).unwrapped
    assert lake.model.gamma == 0.5
    lake.reset()
    assert lake.render().shape[0] < 24
    many: Any = gym.make_vec("rlgrid/FrozenLake8x8-v1", num_envs=2, is_slippery=False, gamma=0.5, max_episode_steps=3)
    assert many.model.gamma == 0.5
    assert pickle.loads(pickle.dumps(lake)).desc.tolist() == [[b"S", b"F", b"G"]]


@pytest.mark.parametrize("arguments", LAKES)
def test_equal_lakes_share_their_model(arguments: dict[str, Any]) -> None:
    one, other = (gym.make("rlgrid/FrozenLake-v1", **arguments).unwrapped for _ in range(2))
    assert one.model is other.model
    assert one.model is not gym.make("rlgrid/FrozenLake-v1", desc=["SFHG"]).unwrapped.model


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("FrozenLake-v1", {"map_name": "8 x 8"}, ValueError, "did you mean '8x8'"),
        ("FrozenLake-v1", {"map_name": 3}, ValueError, "there are '4x4', '8x8'"),
        ("FrozenLake-v1", {"desc": ["SFF", "HG"]}, ValueError, "desc must be rows of letters, all of one length"),
        ("FrozenLake-v1", {"desc": "SFG"}, ValueError, r"as \['SF', 'HG'\]"),
        ("FrozenLake-v1", {"desc": ["SÖ"]}, ValueError, "desc must be rows of letters"),
        ("FrozenLake-v1", {"desc": 3}, ValueError, "desc must be rows of letters"),
        ("FrozenLake-v1", {"reward_schedule": (1, 0)}, ValueError, "reward_schedule must be three"),
        ("FrozenLake-v1", {"mapname": "4x4"}, TypeError, "no argument 'mapname'"),
        ("CliffWalking-v1", {"slippery": True}, TypeError, "no argument 'slippery'"),
        ("Taxi-v4", {"rainy": True}, TypeError, "no argument 'rainy'"),
    ],
)
def test_errors_where_gymnasium_raises(
    name: str, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever Gymnasium stumbles over
        gym.make(name, **arguments)
    with pytest.raises(kind, match=message):
        gym.make(f"rlgrid/{name}", **arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("FrozenLake-v1", {"success_rate": 1.5}, ValueError, r"success_rate must lie in \[0, 1\], not 1.5"),
        ("FrozenLake-v1", {"success_rate": "high"}, TypeError, "success_rate must be a probability"),
        ("FrozenLake-v1", {"desc": ["FFG"]}, ValueError, "desc has no start: put an S"),
        ("FrozenLake-v1", {"reward_schedule": (1, 0, float("nan"))}, ValueError, "reward_schedule"),
        ("FrozenLake-v1", {"is_slippery": "no"}, TypeError, "is_slippery must be True or False"),
        ("CliffWalking-v1", {"is_slippery": 2}, TypeError, "is_slippery must be True or False"),
    ],
)
def test_errors_where_gymnasium_goes_on(
    name: str, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        gym.make(f"rlgrid/{name}", **arguments)
    with pytest.raises(kind, match=message):
        gym.make_vec(f"rlgrid/{name}", **arguments)
