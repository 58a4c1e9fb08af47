"""Many environments at once: the same numbers as one by one, which is what Gymnasium's SyncVectorEnv makes of them."""

import copy
import json
import pickle
import re
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlgrid.envs import CONTROL
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.observations import KINDS
from rlgrid.envs.streams import generator_of, streams_of
from rlgrid.envs.vector import GridWorldVector
from rlgrid.gridmap import GridSpec
from rlgrid.gridmodel import GridModel, Slip, TileKind
from rlgrid.kernels import batch, pcg64
from rlgrid.mdp import MDP

IDS = [name for name in gym.registry if name.startswith("rlgrid/") and name not in CONTROL]
FICKLE = {"fickle_passenger": True, "is_rainy": True, "fickle_probability": 0.6}
MODES = list(AutoresetMode)


def same(one: Any, other: Any) -> None:
    """Two results of reset or step are equal: types, shapes, numbers, infos with what they hold."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, tuple) or (isinstance(one, np.ndarray) and one.dtype == object):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    else:
        assert one == other


def pair(world: str, num_envs: int, mode: AutoresetMode, **arguments: Any) -> tuple[Any, Any]:
    """Our vector, and Gymnasium's of our single environments."""
    ours = gym.make_vec(world, num_envs, autoreset_mode=mode, **arguments)
    given = {"autoreset_mode": mode}
    theirs = gym.make_vec(world, num_envs, vectorization_mode="sync", vector_kwargs=given, **arguments)
    assert isinstance(ours, GridWorldVector)
    assert isinstance(theirs, SyncVectorEnv)
    assert ours.observation_space == theirs.observation_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"] is mode
    return ours, theirs


def walk(ours: Any, theirs: Any, steps: int, seed: int = 1) -> int:
    """Both take the same random steps, with the resets that their mode leaves to the caller; how many episodes end."""
    ends = 0
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        actions = rng.integers(ours.single_action_space.n, size=ours.num_envs)
        result = ours.step(actions)
        same(result, theirs.step(actions))
        over = result[2] | result[3]
        ends += int(over.sum())
        if over.any() and ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
            # SyncVectorEnv takes the mask out of the options that it is given.
            same(*(envs.reset(options={"reset_mask": over.copy()}) for envs in (ours, theirs)))
    return ends


def in_step(ours: Any, theirs: Any) -> None:
    """Every copy's generator is where the single environment's is, a half number that is left over included."""
    assert ours.np_random_seed == theirs.np_random_seed
    for mine, single in zip(ours.np_random, theirs.envs, strict=True):
        assert mine.bit_generator.state == single.unwrapped.np_random.bit_generator.state


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", IDS)
def test_it_is_gymnasiums_vector_of_single_environments(world: str, mode: AutoresetMode) -> None:
    """Through ends, truncations, new starts and seeds, in every mode."""
    ours, theirs = pair(world, 5, mode, max_episode_steps=9)
    same(ours.reset(seed=17), theirs.reset(seed=17))
    assert walk(ours, theirs, 30) >= 5
    same(ours.reset(), theirs.reset())
    assert walk(ours, theirs, 4, seed=2) >= 0
    same(ours.reset(seed=[3, None, 4, 1, 5]), theirs.reset(seed=[3, None, 4, 1, 5]))
    walk(ours, theirs, 3)
    in_step(ours, theirs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("world", "arguments"),
    [
        ("FrozenLake-v1", {"desc": ["SFF", "FHG"], "success_rate": 0.6}),
        ("FrozenLake8x8-v1", {"is_slippery": False}),
        ("CliffWalking-v1", {"is_slippery": True}),
        ("Taxi-v4", FICKLE),
    ],
)
def test_it_is_gymnasiums_vector_of_its_own_environments(
    world: str, arguments: dict[str, Any], mode: AutoresetMode
) -> None:
    """Of toy_text with its arguments. Its lakes and cliffs say 1, not 1.0, at a reset, which rounds their infos."""
    given = {"max_episode_steps": 20, **arguments}
    ours: Any = gym.make_vec(f"rlgrid/{world}", 4, autoreset_mode=mode, **given)
    theirs: Any = gym.make_vec(world, 4, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **given)
    compared = slice(None) if world == "Taxi-v4" else slice(-1)
    same(ours.reset(seed=6)[compared], theirs.reset(seed=6)[compared])
    ends = 0
    for actions in np.random.default_rng(0).integers(ours.single_action_space.n, size=(60, 4)):
        result = ours.step(actions)
        same(result[compared], theirs.step(actions)[compared])
        over = result[2] | result[3]
        ends += int(over.sum())
        if over.any() and mode is AutoresetMode.DISABLED:
            found = [envs.reset(options={"reset_mask": over.copy()})[compared] for envs in (ours, theirs)]
            same(*found)
    assert ends >= 8
    in_step(ours, theirs)


def random_world(rng: np.random.Generator) -> MDP:
    """Few and many outcomes, some of probability 0, and pairs that have none."""
    states, actions, most = int(rng.integers(1, 12)), int(rng.integers(1, 5)), int(rng.choice([1, 3, 17, 40]))
    available = rng.random((states, actions)) < 0.7
    available[np.arange(states), rng.integers(actions, size=states)] = True
    sizes = np.where(available, rng.integers(1, most + 1, (states, actions)), 0).ravel()
    runs = [rng.random(size) * (rng.random(size) < 0.8) for size in sizes]
    runs = [run / run.sum() if run.any() else np.full(run.size, 1.0 / max(run.size, 1)) for run in runs]
    total = int(sizes.sum())
    return MDP(
        states,
        actions,
        np.concatenate([[0], np.cumsum(sizes)]),
        rng.integers(states, size=total),
        np.concatenate(runs),
        rng.normal(size=total),
        rng.random(total) < 0.1,
        gamma=0.9,
        start=rng.dirichlet(np.ones(states)),
    )


@pytest.mark.parametrize("mode", MODES)
def test_random_models_in_random_company(mode: AutoresetMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Observations, masks, copies and caps as they come, and resets of some copies with some seeds."""
    for seed in range(8):
        monkeypatch.setattr("rlgrid.envs.tables._MOST_ENTRIES", (0, 4_000_000)[seed // 4])
        rng = np.random.default_rng(seed)
        model, count, cap = random_world(rng), int(rng.integers(1, 9)), int(rng.integers(1, 12))
        given: dict[str, Any] = {"model": model, "observation": str(rng.choice(["index", "one_hot"]))}
        given["observation_of"] = rng.integers(0, 4, model.num_states) if seed % 2 else None
        allowed = np.ones((model.num_states, model.num_actions), bool) if model.available is None else model.available
        masks = rng.random(allowed.shape) < 0.5
        masks |= ~(masks & allowed).any(axis=1, keepdims=True)  # all where none would be left
        given["action_mask_of"] = masks if seed % 3 else None
        ours = GridWorldVector(count, max_episode_steps=cap, autoreset_mode=mode, copy=seed % 4 > 0, **given)
        theirs = SyncVectorEnv([partial(capped, cap, given)] * count, autoreset_mode=mode)
        same(ours.reset(seed=seed), theirs.reset(seed=seed))
        for _ in range(25):
            actions = np.array([rng.choice(np.flatnonzero(allowed[state])) for state in ours.states])
            result = ours.step(actions)
            same(result, theirs.step(actions))
            over = result[2] | result[3]
            chosen = over if mode is AutoresetMode.DISABLED else rng.random(count) < 0.05
            if chosen.any():
                seeds = [None if rng.random() < 0.5 else int(rng.integers(99)) for _ in range(count)]
                pair_of = [envs.reset(seed=seeds, options={"reset_mask": chosen.copy()}) for envs in (ours, theirs)]
                same(*pair_of)
        in_step(ours, theirs)


def capped(cap: int, given: dict[str, Any]) -> gym.Env[Any, Any]:
    return gym.wrappers.TimeLimit(GridWorld(**given), cap)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_observation_of_every_world_in_every_mode(kind: str) -> None:
    """Worlds that cannot be seen in this way say so as single environments do."""
    seen = 0
    for world in IDS:
        try:
            single = gym.make(world, observation=kind)
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error))):
                gym.make_vec(world, 2, observation=kind)
            continue
        seen += 1
        for mode in MODES:
            ours, theirs = pair(world, 3, mode, max_episode_steps=15, observation=kind)
            assert ours.single_observation_space == single.observation_space
            same(ours.reset(seed=8), theirs.reset(seed=8))
            assert walk(ours, theirs, 60) >= 6
            in_step(ours, theirs)
    assert seen > 20


@pytest.mark.parametrize("world", [name for name in IDS if name not in ("rlgrid/GridWorld-v0", "rlgrid/Taxi-v4")])
def test_models_too_large_for_tables_are_sampled_from_their_own_arrays(
    world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlgrid.envs.tables._MOST_ENTRIES", 0)
    mode = MODES[IDS.index(world) % 3]
    ours, theirs = pair(world, 6, mode, max_episode_steps=9)
    assert not isinstance(ours._copies.world, batch.Tables)
    same(ours.reset(seed=17), theirs.reset(seed=17))
    assert walk(ours, theirs, 30) >= 4
    in_step(ours, theirs)


def test_tables_are_not_as_wide_as_one_pair_where_all_others_are_narrow() -> None:
    for widest, expected in ((1, batch.Tables), (150, batch.Runs)):
        sizes = np.ones(1000, np.int64)
        sizes[7] = widest
        total = int(sizes.sum())
        ends = np.append(0, np.cumsum(sizes))
        to, reward, terminated = np.arange(total) % 500, np.arange(total) % 7, np.zeros(total, np.bool_)
        model = MDP(500, 2, ends, to, np.repeat(1 / sizes, sizes), reward, terminated, gamma=0.9, start=np.eye(500)[3])
        envs = GridWorldVector(64, model=model)
        theirs = SyncVectorEnv([partial(GridWorld, model=model)] * 64)
        same(envs.reset(seed=0), theirs.reset(seed=0))
        same(envs.step(np.ones(64, np.int64)), theirs.step(np.ones(64, np.int64)))  # 3 * 2 + 1 = 7
        assert isinstance(envs._copies.world, expected)


def test_a_large_grid_with_all_that_a_grid_can_have() -> None:
    """Slips of several kinds of tiles, gusts in both directions, teleports, bumps and rewards for leaving."""
    kinds = [
        TileKind("floor", "."),
        TileKind("wall", "#", wall=True),
        TileKind("ice", "i", slip=Slip.sideways(left=0.3, right=0.2), leave_reward=0.5),
        TileKind("goal", "G", terminal=True, enter_reward=3.0),
        TileKind("pad", "p", enter_to=0, bump_reward=-2.0),
        TileKind("hole", "h", leave_to=7, enter_reward=-1.0),
    ]
    tiles = np.random.default_rng(1).choice(6, size=(6, 7), p=(0.45, 0.1, 0.2, 0.05, 0.1, 0.1))
    tiles[0, 0] = tiles[1, 0] = 0
    model = GridModel(
        tiles,
        kinds,
        actions=("up", "right", "down", "left", "up-right", "stay"),
        slip=Slip.sideways(left=0.1, right=0.1),
        column_wind=[0, 1, 2, 0, -1, 0, 1],
        row_wind=[0, 0, 1, 0, -2, 0],
        gust={-1: 0.25, 0: 0.5, 1: 0.25},
        step_reward=-0.125,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlgrid.envs.tables._MOST_ENTRIES", 0)
        ours, theirs = pair("rlgrid/GridWorld-v0", 8, AutoresetMode.NEXT_STEP, model=model, max_episode_steps=40)
        assert isinstance(ours._copies.world, batch.Grids)
        same(ours.reset(seed=1), theirs.reset(seed=1))
        assert walk(ours, theirs, 200) > 20
        in_step(ours, theirs)


@pytest.mark.parametrize("mode", MODES)
def test_a_fickle_passenger_draws_as_one_by_one(mode: AutoresetMode) -> None:
    """Two draws a start; after some steps a whole number, from half an output of the generator."""
    ours, theirs = pair("rlgrid/Taxi-v4", 3, mode, **FICKLE)
    # The passenger waits where the taxi is: 0 is red's stand, 2 a destination, 500 says that a change is to come.
    options = {"state": 500 + 2}
    same(*(envs.reset(seed=5, options=dict(options)) for envs in (ours, theirs)))
    changed = 0
    for _ in range(40):
        for actions in ([4, 4, 4], [0, 2, 0], [0, 0, 2]):
            before = ours.states.copy()
            result = ours.step(actions)
            same(result, theirs.step(np.array(actions)))
            changed += int(((before >= 500) & (ours.states < 500)).sum())
        same(*(envs.reset(options=dict(options)) for envs in (ours, theirs)))
        in_step(ours, theirs)
    assert changed >= 40
    assert {generator.bit_generator.state["has_uint32"] for generator in ours.np_random} <= {0, 1}
    same(ours.reset(seed=1), theirs.reset(seed=1))
    walk(ours, theirs, 250)
    in_step(ours, theirs)


# Walls come over the agent, and the start and the goal move.
RESTLESS = GridSpec(
    ["S...", "..#.", "...G"],
    slip={"left": 0.2, "right": 0.1},
    step_reward=-0.25,
    changes=[
        {"at": 5, "map": ["S#..", "....", "#..G"]},
        {"at": 6, "map": ["####", "S..#", "#.G#"]},
        {"at": 20, "map": ["...S", ".##.", "G.##"]},
        {"at": 21, "map": ["G..S", "####", "####"]},
        {"at": 40, "map": ["S.G.", ".#..", "...."]},
    ],
)


THIN = GridSpec(
    ["S..", "..G"],
    slip={"left": 0.2, "right": 0.1},
    walls=[[[0, 0], [0, 1]]],
    changes=[{"at": 9, "map": ["S..", "#.G"], "walls": [[[0, 1], [0, 2]]]}],
)


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_every_copy_of_a_world_that_changes_has_a_clock_of_its_own(
    mode: AutoresetMode, tables: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tables:
        monkeypatch.setattr("rlgrid.envs.tables._MOST_ENTRIES", 0)
    for observation, world in (("index", RESTLESS), ("one_hot", THIN)):
        given = {"map": world, "max_episode_steps": 7, "observation": observation}
        ours, theirs = pair("rlgrid/GridWorld-v0", 6, mode, **given)
        same(ours.reset(seed=2), theirs.reset(seed=2))
        assert walk(ours, theirs, 15) >= 6
        seeds = [1, None, 3, None, None, 5]  # clocks begin anew where there is a seed
        same(ours.reset(seed=seeds), theirs.reset(seed=seeds))
        walk(ours, theirs, 4)
        mask = np.array([True, True, False, False, True, True])
        same(*(envs.reset(seed=seeds, options={"reset_mask": mask.copy()}) for envs in (ours, theirs)))
        walk(ours, theirs, 3)
        same(ours.reset(), theirs.reset())
        saved = json.loads(json.dumps(ours.get_state()))
        other = pickle.loads(pickle.dumps(ours))
        walk(ours, theirs, 40)
        assert ours._copies.clocks.tolist() == [single.unwrapped.clock for single in theirs.envs]
        in_step(ours, theirs)
        now = ours.get_state()
        ours.set_state(saved)
        walk(ours, other, 40)
        assert ours.get_state() == now == other.get_state()


@pytest.mark.parametrize("mode", MODES)
def test_every_copy_has_maps_of_its_own_where_each_reset_makes_one(mode: AutoresetMode) -> None:
    """Small lakes have now one kind of tile more than all before, now one less."""
    wilson = {"generator": "wilson", "rows": 5, "columns": 7, "slip": 0.1}
    lakes = {"generator": "frozen_lake", "rows": 2, "columns": 2}
    kinds = (("index", wilson, 4), ("planes", wilson, 4), ("view", lakes, 3), ("coordinates", lakes, 1))
    for observation, options, count in kinds:
        given = {"new_map_each_reset": True, **options}
        ours, theirs = pair("rlgrid/GridWorld-v0", count, mode, max_episode_steps=6, observation=observation, **given)
        same(ours.reset(seed=2), theirs.reset(seed=2))
        assert walk(ours, theirs, 16) >= count
        assert isinstance(ours._copies.world, batch.Grids)  # of any number of copies, however large
        assert options is lakes or len({model.tiles.tobytes() for model in ours._copies.models}) == 4
        saved = json.loads(json.dumps(ours.get_state()))
        other = pickle.loads(pickle.dumps(ours))
        seeds = [1, None, 3, None][:count]
        same(ours.reset(seed=seeds), theirs.reset(seed=seeds))
        mask = np.array([True, True, False, False])[:count]
        same(*(envs.reset(options={"reset_mask": mask.copy()}) for envs in (ours, theirs)))
        walk(ours, theirs, 10)
        assert ours._copies.seeds == [single.unwrapped.map_seed for single in theirs.envs]
        in_step(ours, theirs)
        ours.set_state(saved)
        walk(ours, other, 10)
        assert ours.get_state() == other.get_state()


def test_whole_numbers_are_numpys() -> None:
    """Between uniforms, of small and of large ranges, in which products are thrown away."""
    generator = np.random.Generator(np.random.PCG64(3))
    words = generator.bit_generator.state["state"]
    at, increment = words["state"], words["inc"]
    low = 2**64 - 1
    stream = np.array([at >> 64, at & low, increment >> 64, increment & low, 0, 0], np.uint64)
    for turn in range(2000):
        n = (1, 2, 3, 7, 2**31 + 1, 3 * 2**30, 2**32 - 2, 1000)[turn % 8]
        assert pcg64.bounded(stream, n) == generator.integers(n)
        assert pcg64.bounded(stream, 3) == generator.choice(3)
        if turn % 3 == 0:
            assert pcg64.uniform(stream) == generator.random()
    state = generator.bit_generator.state
    assert state["state"]["state"] == int(stream[0]) << 64 | int(stream[1])
    assert (state["has_uint32"], state["uinteger"]) == (int(stream[4]), int(stream[5]))


def test_seeds_of_many_environments_are_gymnasiums() -> None:
    small = [0, 1, 7, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64 - 1]
    seeds = [*small, 2**64, 3**90, *np.random.default_rng(0).integers(2**63, size=200).tolist(), None]
    streams, numbers = streams_of(seeds)
    for stream, number, seed in zip(streams, numbers, seeds, strict=True):
        assert seed in (number, None)
        expected = gym.utils.seeding.np_random(number)[0]
        assert generator_of(stream).bit_generator.state == expected.bit_generator.state
    assert numbers[-1] != streams_of([None])[1][0]


def test_a_wide_row_is_searched_as_a_narrow_one_is() -> None:
    rng = np.random.default_rng(0)
    for width in (1, 2, 16, 17, 18, 31, 100):
        row = np.cumsum(rng.random((1, width)) * (rng.random((1, width)) < 0.7), axis=1)
        row /= max(row[0, -1], 1.0) + 0.01
        for u in (*rng.random(50), *row[0]):
            places = np.flatnonzero(row[0] > u)
            assert batch._place(row, 0, u) == (places[0] if places.size else width)


def test_a_mode_is_named_by_itself_or_its_value_and_kept_in_the_spec() -> None:
    for mode in MODES:
        for given in (mode, mode.value, mode.name):
            envs: Any = gym.make_vec("rlgrid/FourRooms-v0", 2, autoreset_mode=given)
            assert envs.metadata["autoreset_mode"] is envs.autoreset_mode is mode
            again: Any = gym.make_vec(gym.envs.registration.EnvSpec.from_json(envs.spec.to_json()))
            assert again.metadata["autoreset_mode"] is mode
    assert GridWorldVector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    for world in ("rlgrid/FourRooms-v0", "rlgrid/Taxi-v4"):
        with pytest.raises(ValueError, match="did you mean 'SameStep'"):
            gym.make_vec(world, 2, autoreset_mode="samestep")
    with pytest.raises(TypeError, match="copy must be True or False"):
        gym.make_vec("rlgrid/FourRooms-v0", 2, copy=2)
    for world in ("rlgrid/FourRooms-v0", "rlgrid/Taxi-v4", "rlgrid/FrozenLake-v1"):
        saved = gym.make_vec(world, 2, autoreset_mode=AutoresetMode.SAME_STEP, disable_env_checker=True).spec
        assert saved is not None
        assert json.loads(saved.to_json())["kwargs"]["autoreset_mode"] == "SameStep"


def test_where_nothing_resets_an_ended_episode_must_be_reset() -> None:
    envs = gym.make_vec("rlgrid/FrozenLake-v1", 3, autoreset_mode="Disabled", max_episode_steps=2)
    envs.reset(seed=0)
    envs.step([0, 0, 0])
    assert envs.step([0, 0, 0])[3].all()
    with pytest.raises(gym.error.ResetNeeded, match="environment 0: its episode has ended"):
        envs.step([0, 0, 0])
    envs.reset(options={"reset_mask": np.array([True, True, False])})
    before = envs.unwrapped.get_state()  # type: ignore[attr-defined]
    with pytest.raises(gym.error.ResetNeeded, match="environment 2"):
        envs.step([0, 0, 0])
    assert envs.unwrapped.get_state() == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("world", "arguments"),
    [("rlgrid/Taxi-v4", FICKLE), ("rlgrid/TMaze-v0", {}), ("rlgrid/FourRooms-v0", {"observation": "one_hot"})],
)
def test_without_copies_the_same_arrays_come_again(world: str, arguments: dict[str, Any], mode: AutoresetMode) -> None:
    given = {"num_envs": 4, "autoreset_mode": mode, "max_episode_steps": 6, **arguments}
    own, ours = gym.make_vec(world, copy=False, **given), gym.make_vec(world, **given)
    same(own.reset(seed=2), ours.reset(seed=2))
    kept = None
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(2, size=4)
        mine, result = own.step(actions), ours.step(actions)
        same(mine, result)
        assert kept is None or all(a is b for a, b in zip(kept[:4], mine[:4], strict=True))
        kept = mine
        if mode is AutoresetMode.DISABLED and (result[2] | result[3]).any():
            over = result[2] | result[3]
            same(own.reset(options={"reset_mask": over}), ours.reset(options={"reset_mask": over}))
    assert kept is not None
    assert not np.shares_memory(kept[0], own.unwrapped.states)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="read-only"):
        kept[4]["_prob"][0] = False


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
    most = np.iinfo(np.int64).max
    for world in IDS:
        cap = capped_inside(gym.make(world, max_episode_steps=None))
        assert gym.make_vec(world, 2, max_episode_steps=None)._limit == (cap or most)  # type: ignore[attr-defined]
    assert gym.make_vec("rlgrid/TMaze-v0", 2, max_episode_steps=-1)._limit == most  # type: ignore[attr-defined]


def capped_inside(env: gym.Env[Any, Any]) -> int | None:
    """The cap of a TimeLimit somewhere around an environment."""
    while isinstance(env, gym.Wrapper):
        if isinstance(env, gym.wrappers.TimeLimit):
            return int(env._max_episode_steps)
        env = env.env
    return None


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


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))])
@pytest.mark.parametrize("mode", MODES)
def test_copies_go_on_alike(copied: Any, mode: AutoresetMode) -> None:
    for own in (True, False):
        envs: Any = gym.make_vec("rlgrid/Taxi-v4", 3, autoreset_mode=mode, copy=own, max_episode_steps=50, **FICKLE)
        envs.reset(seed=1)
        envs.step([0, 1, 2])
        twin = copied(envs)
        for action in (0, 1, 2, 3, 4, 5):
            same(envs.step(np.full(3, action)), twin.step(np.full(3, action)))


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_state_is_gone_back_to(mode: AutoresetMode) -> None:
    envs: Any = gym.make_vec("rlgrid/Taxi-v4", 3, autoreset_mode=mode, max_episode_steps=7, **FICKLE)
    other = copy.deepcopy(envs)
    assert other.get_state()["generators"] == []
    begun = envs.get_state()
    envs.reset(seed=4)
    for _ in range(6):
        envs.step([0, 1, 2])
    saved = json.loads(json.dumps(envs.get_state()))
    walked = [envs.step([2, 2, 2])]
    other.set_state(saved)
    same(other.step([2, 2, 2]), walked[0])
    assert other.get_state() == envs.get_state()
    assert other.np_random_seed == (4, 5, 6)
    envs.set_state(begun)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step([0, 0, 0])
    with pytest.raises(ValueError, match="3 generators for 2 environments"):
        gym.make_vec("rlgrid/Taxi-v4", 2).unwrapped.set_state(saved)  # type: ignore[attr-defined]
    before = other.get_state()
    for wrong, words in (
        ({}, "a mapping with elapsed, ended, generators, seeds, states"),
        (saved | {"clocks": [0, 0, 0]}, "a mapping with"),
        (saved | {"states": [0, 1000, 0]}, "states must be whole numbers from 0 to 999"),
        (saved | {"states": [0.0, 1.0, 0.0]}, "states must be whole numbers"),
        (saved | {"states": [[0], [1], [0]]}, "states must be whole numbers"),
        (saved | {"states": [[0], [1, 2], 0]}, "states must be whole numbers"),
        (saved | {"elapsed": [0, -1, 0]}, "elapsed must be whole numbers from 0 to 7"),
        (saved | {"elapsed": [0, 2**63 - 1, 0]}, "elapsed must be whole numbers from 0 to 7"),
        (saved | {"elapsed": [0, 7, 0]}, "fewer steps than 7"),
        (saved | {"ended": ["", "x", ""]}, "ended must be True or False"),
        (saved | {"ended": 3}, "ended must be a list"),
        (saved | {"generators": [{}] * 3}, "no state of a PCG64"),
        (saved | {"generators": [1, 2, 3]}, "no state of a PCG64"),
        (saved | {"generators": []}, "3 seeds for 0"),
        (saved | {"seeds": [4, 5, "6"]}, "seeds must be whole numbers"),
        (saved | {"seeds": [4, 5, -6]}, "seeds must be whole numbers"),
        (begun | {"ended": [True, False, False]}, "another autoreset mode"),
        (begun | {"states": [0, 0, 0]}, "states must be all -1"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            other.set_state(wrong)
        assert other.get_state() == before
    over = saved | {"ended": [True, False, False], "elapsed": [7, 1, 1]}
    if mode is AutoresetMode.SAME_STEP:
        with pytest.raises(ValueError, match="another autoreset mode"):
            other.set_state(over)
    else:
        other.set_state(over)
        assert other.get_state() == over
    with pytest.raises(AttributeError, match="seeds them"):
        envs.np_random = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("clocks", {"map": "blocking_maze"}),
        ("map_seeds", {"generator": "wilson", "rows": 3, "columns": 3, "new_map_each_reset": True}),
    ],
)
def test_what_says_in_which_map_copies_are_is_checked_first(name: str, given: dict[str, Any]) -> None:
    envs = GridWorldVector(2, **given)
    envs.reset(seed=0)
    saved = envs.get_state()
    for wrong in ([-1, 0], [0.5, 1], ["0", "1"], [0], [2**64, 1], [[0], [1]], None):
        with pytest.raises(ValueError, match=f"{name} must be whole numbers from 0"):
            envs.set_state(saved | {"states": [0, 0], name: wrong})
        assert envs.get_state() == saved


def test_states_are_set_whole_and_checked() -> None:
    """They are what the compiled loops read: none may lie outside the model."""
    envs = GridWorldVector(2)
    envs.reset(seed=0)
    envs.states = [14, 15]
    seen = envs.states
    with pytest.raises(ValueError, match="read-only"):
        seen[0] = 3
    for wrong in ([14], [0, 169], [-1, 0], [0.0, 1.0]):
        with pytest.raises(ValueError, match="states must be whole numbers from 0 to 168"):
            envs.states = wrong
    assert seen.tolist() == [14, 15]


def test_masks_of_actions_are_those_of_single_environments() -> None:
    ours, theirs = pair("rlgrid/Taxi-v4", 4, AutoresetMode.NEXT_STEP, **FICKLE)
    with pytest.raises(gym.error.ResetNeeded, match="action_masks"):
        ours.action_masks()
    same(ours.reset(seed=3), theirs.reset(seed=3))
    walk(ours, theirs, 5)
    assert np.array_equal(ours.action_masks(), np.array(theirs.call("action_masks")))


@pytest.mark.parametrize(
    "given",
    [
        {"map": "blocking_maze"},
        {"generator": "wilson", "rows": 3, "columns": 3, "new_map_each_reset": True},
        {"generator": "wilson", "rows": 3, "columns": 3, "map_seed": 4},
    ],
)
def test_what_is_asked_of_each_copy(given: dict[str, Any]) -> None:
    ours, theirs = pair("rlgrid/GridWorld-v0", 3, AutoresetMode.NEXT_STEP, **given)
    for _ in range(2):
        for name in ("state", "clock", "map_seed"):
            assert ours.get_attr(name) == theirs.get_attr(name)
        same(ours.reset(seed=1), theirs.reset(seed=1))
        walk(ours, theirs, 3)
    same(ours.call("action_masks"), theirs.call("action_masks"))
    tiles = [[model.tiles.tolist() for model in envs.call("model")] for envs in (ours, theirs)]
    assert tiles[0] == tiles[1]
    with pytest.raises(AttributeError, match="not 'modle'"):
        ours.call("modle")


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([0, 1], "3 whole numbers"),
        ([0.0, 1.0, 2.0], "3 whole numbers"),
        ([0, 1, 4], "environment 2: action 4"),
        ([0, -1, 3], "environment 1: action -1"),
        (np.array([0, 1, 2**63], np.uint64), "environment 2: action 9223372036854775808"),
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
    assert envs.action_masks().tolist() == [[True, False]] * 2
    assert envs.step([0, 0])[0].tolist() == [1, 1]
    assert envs.step([1, 1])[0].tolist() == [1, 1]


def test_wrong_uses_are_named() -> None:
    envs = GridWorldVector(3)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step([0, 0, 0])
    with pytest.raises(ValueError, match="2 seeds for 3"):
        envs.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="at least 0, not -1"):
        envs.reset(seed=[1, -1, 2])
    with pytest.raises(TypeError, match=r"whole number or None, not 0\.5"):
        envs.reset(seed=[1, 0.5, 2])  # type: ignore[list-item]
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
    with pytest.raises(TypeError, match="max_episode_steps"):
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
    with pytest.raises(gym.error.ResetNeeded, match="render"):
        envs.render()
    envs.reset(seed=0)
    envs.unwrapped.states = (0, 5)  # type: ignore[attr-defined]
    frames = envs.render()
    assert frames is not None
    assert [frame.shape for frame in frames] == [(48, 48, 3)] * 2
    assert not np.array_equal(frames[0], frames[1])
    with pytest.warns(UserWarning, match="rgb_array"):
        assert GridWorldVector(2).render() is None


@pytest.mark.parametrize("world", IDS)
def test_frames_are_those_of_single_environments(world: str) -> None:
    ours, theirs = pair(world, 3, AutoresetMode.NEXT_STEP, render_mode="rgb_array", cell_size=10)
    same(ours.reset(seed=3), theirs.reset(seed=3))
    for actions in ([1, 0, 1], [0, 0, 1]):
        same(ours.step(actions), theirs.step(np.array(actions)))
        same(ours.render(), theirs.render())
    ours.render()[0][:] = 7  # frames are the caller's own
    same(ours.render(), theirs.render())


def test_frames_of_a_world_that_changes() -> None:
    ours, theirs = pair("rlgrid/GridWorld-v0", 4, AutoresetMode.SAME_STEP, map=RESTLESS, render_mode="rgb_array")
    same(ours.reset(seed=3), theirs.reset(seed=3))
    for _ in range(12):
        walk(ours, theirs, 2)
        same(ours.render(), theirs.render())
        same(ours.reset(seed=[None, 1, None, None]), theirs.reset(seed=[None, 1, None, None]))
