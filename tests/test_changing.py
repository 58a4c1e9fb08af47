"""Worlds whose map changes: at certain steps, held against a slow simulation of their maps, or at each reset."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rlgrid
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.observations import KINDS, observer
from rlgrid.gridmap import GridSpec

MAZES = {"blocking_maze": (1000, 10, 16), "shortcut_maze": (3000, 16, 10)}  # the change, the ways before and after

# Every map has cells that are walls in the next one, and the start and the goal move.
RESTLESS = GridSpec(
    ["S...", "..#.", "...G"],
    slip={"left": 0.2, "right": 0.1},
    step_reward=-0.25,
    changes=[
        {"at": 5, "map": ["S#..", "....", "#..G"]},
        {"at": 6, "map": ["####", "S..#", "#.G#"]},
        {"at": 40, "map": ["...S", ".##.", "G.##"]},
        {"at": 41, "map": ["G..S", "####", "####"]},
        {"at": 90, "map": ["S.G.", ".#..", "...."]},
    ],
)

GENERATED: dict[str, dict[str, Any]] = {
    "wilson": {"rows": 9, "columns": 11, "braid": 0.3},
    "caves": {"rows": 12, "columns": 15, "ends": "random"},
    "frozen_lake": {"rows": 6, "columns": 6, "p": 0.7},
}


class Slow(gym.Env[int, int]):
    """A changing world by the book: the table of the map that is in force, looked up anew in each step."""

    def __init__(self, spec: GridSpec) -> None:
        self.spec_of_map, self.clock, self.state = spec, 0, -1
        model = spec.compile()
        self.observation_space: Any = gym.spaces.Discrete(model.num_states)
        self.action_space: Any = gym.spaces.Discrete(model.num_actions)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0 if seed is not None else self.clock
        model = self.spec_of_map.compile(at=self.clock)
        u, total = self.np_random.random(), 0.0
        for state in range(model.num_states):
            total += float(model.start[state])
            if total > u:
                self.state = state
                break
        return self.state, {"prob": 1.0}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        outcomes = self.spec_of_map.compile(at=self.clock).P[self.state][int(action)]
        u = self.np_random.random()
        cumulative = np.cumsum([p for p, *_ in outcomes])
        p, to, reward, terminated = outcomes[int(np.flatnonzero(cumulative > u)[0])]
        self.clock += 1
        changed = self.clock in [change.at for change in self.spec_of_map.changes]
        self.state = to if terminated or not changed else self.pushed(to)
        return self.state, reward, terminated, False, {"prob": p}

    def pushed(self, state: int) -> int:
        """To the nearest cell that can be stood on, the first of them in reading order."""
        spec, (row, column) = self.spec_of_map, divmod(state, len(self.spec_of_map.rows[0]))
        rows = next(change.rows for change in spec.changes if change.at == self.clock)
        if rows[row][column] != "#":
            return state
        free = [(r, c) for r, line in enumerate(rows) for c, character in enumerate(line) if character not in "#G"]
        r, c = min(free, key=lambda cell: (abs(cell[0] - row) + abs(cell[1] - column), cell))
        return r * len(rows[0]) + c


def drive(one: Any, other: Any, steps: int, rng: np.random.Generator) -> int:
    """Both environments for some steps under random actions, held together; how many episodes ended."""
    episodes = 0
    for _ in range(steps):
        action = int(rng.integers(4))
        left, right = one.step(action), other.step(action)
        assert left == right
        assert one.clock == other.clock
        if left[2]:
            episodes += 1
            assert one.reset() == other.reset()
    assert one.np_random.bit_generator.state == other.np_random.bit_generator.state
    return episodes


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_steps_are_those_of_the_maps_in_force(seed: int) -> None:
    env, slow = GridWorld(map=RESTLESS), Slow(RESTLESS)
    rng = np.random.default_rng(seed)
    for again in (seed, seed + 100):  # a seed brings the first map back
        assert env.reset(seed=again) == slow.reset(seed=again)
        assert env.clock == 0
        assert drive(env, slow, 120, rng) > 0


def test_agents_are_found_under_the_new_walls() -> None:
    """The test above would see a wrong push: agents do stand where walls appear, and some have just arrived."""
    pushed = ended = 0
    for seed in range(40):
        env, rng = GridWorld(map=RESTLESS), np.random.default_rng(seed)
        env.reset(seed=seed)
        for _ in range(120):
            before, model, state = env.clock, env.model, env.state
            observation, _, terminated, _, _ = env.step(action := int(rng.integers(4)))
            assert observation == env.state
            reached = {to for _, to, _, _ in model.P[state][action]}
            assert env.model is RESTLESS.compile(at=before + 1)
            pushed += observation not in reached
            ended += terminated and env.model is not model
            assert terminated or not env.model.absorbing[observation] or env.model is not model
            if terminated:
                env.reset()
    assert pushed > 10
    assert ended > 0


@pytest.mark.parametrize("name", MAZES)
def test_the_books_mazes_change_at_the_very_step(name: str) -> None:
    at, before, after = MAZES[name]
    env: Any = gym.make("rlgrid/GridWorld-v0", map=name).unwrapped
    slow = Slow(GridSpec.builtin(name))
    assert env.reset(seed=3) == slow.reset(seed=3)
    rng = np.random.default_rng(3)
    drive(env, slow, at - 1, rng)
    assert env.clock == at - 1

    def way() -> int:
        solution = rlgrid.solve(env.model, tolerance=1e-12)
        return round(1 + np.log(solution.values @ env.model.start) / np.log(env.model.gamma))

    first = env.model
    assert way() == before
    drive(env, slow, 1, rng)
    assert (env.clock, way()) == (at, after)
    assert env.reset() == slow.reset()
    assert (env.clock, way()) == (at, after)
    drive(env, slow, 2000, rng)
    assert (env.clock, way()) == (at + 2000, after)
    assert env.reset(seed=3) == slow.reset(seed=3)
    assert (env.clock, way()) == (0, before)
    assert env.model is first is env.first_model


def test_the_first_step_after_the_change_is_in_the_new_map() -> None:
    """Steps 0, 1 and 2 bump into a wall that goes at 3; step 3 arrives."""
    env = GridWorld(map=GridSpec(["S#G", "..."], changes=[{"at": 3, "map": ["S.G", "..."]}]))
    env.reset(seed=0)
    assert [env.step(1)[0] for _ in range(5)] == [0, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("before", "action", "moved"),
    [((0, 1), 1, (0, 1)), ((1, 1), 1, (1, 1)), ((1, 2), 2, (2, 3)), ((0, 3), 2, (0, 3))],
)
def test_the_agent_under_a_new_wall_moves_to_the_nearest_cell(
    before: tuple[int, int], action: int, moved: tuple[int, int]
) -> None:
    """It arrives as the wall does. Nearest in rows plus columns, then first in reading order, never onto a goal."""
    change = {"at": 1, "map": ["S.#.", "..##", ".G#."]}
    env = GridWorld(map=GridSpec(["S...", "....", ".G.."], changes=[change], step_reward=-0.5))
    env.reset(seed=0, options={"state": env.model.state_of(*before)})  # type: ignore[union-attr]
    observation, reward, terminated, _, info = env.step(action)
    assert divmod(observation, 4) == moved
    assert env.state == observation
    assert (reward, terminated, info) == (-0.5, False, {"prob": 1.0})


def test_a_goal_that_appears_under_the_agent_ends_the_episode_at_the_next_step() -> None:
    env = GridWorld(map=GridSpec(["S..G"], changes=[{"at": 1, "map": ["SG.."]}]))
    env.reset(seed=0)
    assert env.step(1)[:3] == (1, 0.0, False)
    assert env.step(1)[:3] == (1, 0.0, True)


def test_an_episode_that_ends_with_the_old_map_ends_where_it_did() -> None:
    env = GridWorld(map=GridSpec(["SG.", "..."], changes=[{"at": 1, "map": ["S#G", "..."]}]))
    env.reset(seed=0)
    assert env.step(1)[:3] == (1, 1.0, True)
    assert env.reset()[0] == 0
    assert env.clock == 1


def test_where_nothing_changes_there_is_no_clock() -> None:
    env = GridWorld(map="four_rooms")
    env.reset(seed=0)
    env.step(0)
    assert env.clock is None
    assert env.is_static
    assert env.model is env.first_model
    assert not GridWorld(map=RESTLESS).is_static


# --- the rest of the environment follows ------------------------------------------------------------------------------


def test_tables_starts_and_pictures_are_the_present_ones() -> None:
    env = GridWorld(map=RESTLESS, render_mode="rgb_array", cell_size=8)
    text = GridWorld(map=RESTLESS, render_mode="ansi")
    env.reset(seed=1)
    text.reset(seed=1)
    frames = []
    for _ in range(95):
        ended = env.step(0)[2]
        text.step(0)
        now = RESTLESS.compile(at=env.clock or 0)
        assert env.P == now.P
        assert env.initial_state_distrib.tolist() == now.start.tolist()
        assert np.array_equal(env.render(), rlgrid.draw(now, agent=env.state, cell_size=8))
        rows = [line.translate(str.maketrans("[]", "  ")).split() for line in text.render().splitlines()[1:]]
        assert ["".join(row) for row in rows] == list(now_rows(env.clock or 0))
        frames.append(env.render())
        if ended:
            env.reset()
            text.reset()
    assert frames


def now_rows(clock: int) -> tuple[str, ...]:
    return [RESTLESS.rows, *(change.rows for change in RESTLESS.changes if change.at <= clock)][-1]


def test_walls_between_cells_change_and_are_drawn() -> None:
    rows = ["S.G", "..."]
    spec = GridSpec(rows, walls=[[[0, 0], [0, 1]]], changes=[{"at": 2, "map": rows, "walls": [[[0, 1], [0, 2]]]}])
    env = GridWorld(map=spec, render_mode="ansi")
    assert env.render() == " S|. G\n . . .\n"
    env.reset(seed=0)
    assert [env.step(1)[0] for _ in range(2)] == [0, 0]
    assert env.render() == "[S].|G\n . . .\n  (right)\n"
    assert [env.step(1)[0] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_seen_is_of_the_present_map(kind: str) -> None:
    """Also where only some of the maps have walls between cells; and all of it has the shape of the space."""
    rows = ["S.G", "..."]
    changes = [{"at": 3, "map": rows, "walls": [[[0, 1], [0, 2]]]}, {"at": 8, "map": [".SG", "..."], "walls": []}]
    spec = GridSpec(rows, changes=changes)
    env = GridWorld(map=spec, observation=kind, view_size=3)
    check_env(env, skip_render_check=True)
    thin = kind in ("planes", "view")
    for _ in range(2):
        observation, _ = env.reset(seed=0)
        for action in (1, 0, 0, 1, 2, 0, 3, 1, 1, 1):
            now = observer(spec.compile(at=env.clock or 0), kind, view_size=3, thin_walls=True if thin else None)
            assert env.observation_space == now.space
            assert env.observation_space.contains(observation)
            assert np.array_equal(observation, now.one(env.state))
            observation, _, terminated, _, _ = env.step(action)
            if terminated:
                observation, _ = env.reset()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("generator", GENERATED)
def test_what_is_seen_is_of_the_new_map(kind: str, generator: str) -> None:
    arguments = GENERATED[generator]
    env = GridWorld(generator=generator, new_map_each_reset=True, observation=kind, **arguments)
    space = env.observation_space
    seen = set()
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        assert space.contains(observation)
        assert np.array_equal(observation, observer(env.model, kind).one(env.state))
        observation = env.step(seed % 4)[0]
        assert space.contains(observation)
        seen.add(np.asarray(observation).tobytes())
    assert env.observation_space == env.observer.space == space
    assert len(seen) > 1


def test_changes_of_the_world_hold_in_every_map() -> None:
    env = GridWorld(map=RESTLESS, gamma=0.5, slip=0.0)
    env.reset(seed=0)
    for _ in range(95):
        assert env.model.gamma == 0.5
        assert {len(outcomes) for row in env.P.values() for outcomes in row.values()} == {1}
        if env.step(1)[2]:
            env.reset()
    with pytest.raises(ValueError, match=r"^from step 5 on: start state 1 .* is a wall"):
        GridWorld(map=RESTLESS, start=1)


def test_a_map_file_with_changes(tmp_path: Path) -> None:
    path = tmp_path / "restless.toml"
    RESTLESS.save(path)
    env, slow = gym.make("rlgrid/GridWorld-v0", map=str(path)), Slow(RESTLESS)
    spec = env.spec
    assert spec is not None
    for made in (env, gym.make(gym.envs.registration.EnvSpec.from_json(spec.to_json()))):
        assert made.reset(seed=8) == slow.reset(seed=8)
        drive(made.unwrapped, slow, 100, np.random.default_rng(0))


@pytest.mark.parametrize("name", MAZES)
def test_gymnasiums_checker_is_content(name: str) -> None:
    check_env(gym.make("rlgrid/GridWorld-v0", map=name).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("clock", [0, 5, 39, 50])
def test_copies_have_the_clock(copied: Any, clock: int) -> None:
    env, slow, rng = GridWorld(map=RESTLESS), Slow(RESTLESS), np.random.default_rng(1)
    assert env.reset(seed=9) == slow.reset(seed=9)
    drive(env, slow, clock, rng)
    twin = copied(env)
    env.reset(seed=5)  # what happens to the one is nothing to the other
    drive(twin, slow, 60, rng)


@pytest.mark.parametrize("clock", [0, 5, 39, 95])
def test_a_saved_state_has_the_clock(clock: int) -> None:
    env, slow, rng = GridWorld(map=RESTLESS), Slow(RESTLESS), np.random.default_rng(1)
    assert env.reset(seed=9) == slow.reset(seed=9)
    drive(env, slow, clock, rng)
    saved = json.loads(json.dumps(env.get_state()))
    assert saved["clock"] == clock
    drive(env, copy.deepcopy(slow), 60, np.random.default_rng(2))
    env.set_state(saved)
    assert env.model is RESTLESS.compile(at=clock)
    drive(env, slow, 60, rng)


@pytest.mark.parametrize("clock", [-1, 2.0, True, "3", None])
def test_a_wrong_clock_is_named(clock: Any) -> None:
    env = GridWorld(map=RESTLESS)
    env.reset(seed=0)
    saved = env.get_state()
    with pytest.raises(ValueError, match="the saved clock must be a whole number from 0 to"):
        env.set_state({**saved, "clock": clock})
    assert env.get_state() == saved


# --- agents -----------------------------------------------------------------------------------------------------------


def test_q_learning_lives_through_the_change() -> None:
    """Bit for bit what it learns in the slow simulation, of which it knows no model; and it finds the new way."""
    spec = GridSpec.builtin("blocking_maze").with_changes(max_episode_steps=None)
    settings: dict[str, Any] = {"learning_rate": 0.5, "gamma": 0.95, "seed": 4, "exploration_final_eps": 0.2}
    env = GridWorld(map=spec)
    agent, other = rlgrid.agents.QLearning(env, **settings), rlgrid.agents.QLearning(Slow(spec), **settings)
    for learner in (agent, other):
        learner.learn(12_000)
    assert env.clock == 12_000
    assert np.array_equal(agent.q_values, other.q_values)
    state, steps = env.reset()[0], 0
    while not env.model.absorbing[state] and steps < 100:
        state, steps = env.step(agent.predict(state)[0])[0], steps + 1
    assert steps == 16


def test_there_is_no_compiled_path_and_no_planning() -> None:
    env = GridWorld(map="blocking_maze")
    assert not rlgrid.agents.QLearning(env).compiled
    with pytest.raises(ValueError, match="no compiled path: its map changes"):
        rlgrid.agents.QLearning(env, compiled=True)
    with pytest.raises(ValueError, match="plans in the model, but its map changes"):
        rlgrid.agents.ValueIteration(env)


def test_a_stopped_run_goes_on_from_its_clock(tmp_path: Path) -> None:
    def agent() -> Any:
        return rlgrid.agents.QLearning(GridWorld(map="blocking_maze"), learning_rate=0.5, seed=1)

    whole = agent()
    whole.learn(3000)
    stopped = agent()
    stopped.learn(3000, callback=lambda learner: learner.num_timesteps < 1500)
    stopped.save(tmp_path / "agent.safetensors")
    env = GridWorld(map="blocking_maze")
    again = rlgrid.agents.QLearning.load(tmp_path / "agent.safetensors", env)
    assert 1000 < again.num_timesteps < 3000
    again.resume()
    assert env.clock == 3000
    assert np.array_equal(whole.q_values, again.q_values)


# --- a new map at each reset ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generator", GENERATED)
def test_each_reset_makes_the_map_of_its_first_number(generator: str) -> None:
    """Of one stream of numbers: a map's, a start's, one for each step; and every map can be solved."""
    size = (GENERATED[generator]["rows"], GENERATED[generator]["columns"])
    options = {name: value for name, value in GENERATED[generator].items() if name not in ("rows", "columns")}
    env = GridWorld(generator=generator, new_map_each_reset=True, **GENERATED[generator])
    assert not env.is_static
    assert env.clock is None
    spaces, seeds = (env.observation_space, env.action_space), []
    for seed in (3, None, None, 3, None, 4):
        state, info = env.reset(seed=seed)
        if seed is not None:
            plain, _ = gym.utils.seeding.np_random(seed)
        seeds.append(int(plain.random() * 2**31))
        plain.random()  # of the start
        expected = rlgrid.generate_model(generator, *size, seed=seeds[-1], **options)
        assert env.map_seed == seeds[-1]
        assert env.P == expected.P
        assert (state, info) == (int(expected.start_states[0]), {"prob": 1.0})
        assert rlgrid.difficulty(env.model).shortest_path < np.inf
        for action in np.random.default_rng(seeds[-1]).integers(4, size=25).tolist():
            outcomes = expected.P[state][action]
            chosen = int(np.flatnonzero(np.cumsum([p for p, *_ in outcomes]) > plain.random())[0])
            p, state, reward, terminated = outcomes[chosen]
            assert env.step(action) == (state, reward, terminated, False, {"prob": p})
            if terminated:
                break
        assert (env.observation_space, env.action_space) == spaces
    assert seeds[0:2] == seeds[3:5]
    assert len(set(seeds)) == 4


def test_new_lakes_are_gymnasiums_random_ones() -> None:
    env = GridWorld(generator="frozen_lake", rows=6, columns=6, p=0.7, new_map_each_reset=True)
    for _ in range(5):
        env.reset()
        assert env.P == rlgrid.random_frozen_lake(6, 0.7, seed=env.map_seed).compile().P


def test_everything_follows_the_new_map() -> None:
    env = GridWorld(
        generator="wilson", new_map_each_reset=True, render_mode="rgb_array", cell_size=8, rows=9, columns=9
    )
    first = env.model
    frames = []
    for seed in range(3):
        env.reset(seed=seed)
        assert env.model.name == f"wilson_9x9_{env.map_seed}"
        frames.append(env.render())
        assert np.array_equal(frames[-1], rlgrid.draw(env.model, agent=env.state, cell_size=8))
        assert env.initial_state_distrib[env.state] == 1.0
    assert len({frame.tobytes() for frame in frames}) == 3
    assert env.first_model is first


def test_changes_hold_in_every_new_map() -> None:
    env = GridWorld(generator="frozen_lake", new_map_each_reset=True, rows=5, columns=5, slip=0.0, gamma=0.5)
    for _ in range(3):
        env.reset()
        assert env.model.gamma == 0.5
        assert {len(outcomes) for row in env.P.values() for outcomes in row.values()} == {1}


def test_copies_saved_states_and_specs_have_the_map() -> None:
    made = gym.make("rlgrid/GridWorld-v0", generator="caves", rows=9, columns=9, new_map_each_reset=True)
    assert made.spec is not None
    env: Any = made.unwrapped
    other: Any = gym.make(gym.envs.registration.EnvSpec.from_json(made.spec.to_json())).unwrapped
    env.reset(seed=7)
    env.reset()
    env.step(1)
    saved = json.loads(json.dumps(env.get_state()))
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env)), other]
    other.set_state(saved)

    def walk(env: Any) -> list[Any]:
        steps = [env.step(k % 4) for k in range(30)]
        return [*steps, env.reset(), env.P, *(env.step(k % 4) for k in range(30))]

    expected = walk(env)
    assert all(walk(twin) == expected for twin in twins)
    env.set_state(saved)
    assert walk(env) == expected
    with pytest.raises(ValueError, match="the saved map_seed must be"):
        env.set_state({**saved, "map_seed": -1})


def test_gymnasiums_checker_is_content_with_new_maps() -> None:
    check_env(GridWorld(generator="eller", rows=7, columns=7, new_map_each_reset=True), skip_render_check=True)


def test_one_map_of_a_generator() -> None:
    for seed, given in ((0, {}), (5, {"map_seed": 5})):
        env = GridWorld(generator="prim", rows=9, columns=7, loops=0.1, **given)
        assert env.is_static
        assert env.P == rlgrid.generate_model("prim", 9, 7, seed=seed, loops=0.1).P
        before = env.model
        for again in (1, 2):
            env.reset(seed=again)
            assert env.model is before
        assert GridWorld(generator="prim", rows=9, columns=7, loops=0.1, **given).model is before
    assert rlgrid.agents.QLearning(env).compiled


@pytest.mark.parametrize(("size", "is_explicit"), [(9, True), (99, False)])
def test_a_large_new_map_is_not_written_out_for_one_episode(size: int, is_explicit: bool) -> None:
    env = GridWorld(generator="wilson", rows=size, columns=size, new_map_each_reset=True, slip=0.1)
    steps = []
    env.reset(seed=1)
    for action in np.random.default_rng(1).integers(4, size=200).tolist():
        before = env.state
        to, reward, terminated, _, info = env.step(action)
        steps.append((before, action, (info["prob"], to, reward, terminated)))
    assert ("_mdp" in env.model.__dict__) is is_explicit
    mdp = env.model.to_mdp()
    for state, action, outcome in steps:
        run = slice(*mdp.offsets[state * 4 + action :][:2])
        columns = (mdp.probability, mdp.next_state, mdp.reward, mdp.terminated)
        assert outcome in list(zip(*(column[run].tolist() for column in columns), strict=True))


def test_a_map_seed_that_is_accepted_can_be_gone_back_to() -> None:
    arguments: dict[str, Any] = {**GENERATED["wilson"], "generator": "wilson", "new_map_each_reset": True}
    env = GridWorld(map_seed=2**63 - 1, **arguments)
    saved = env.get_state()
    env.reset(seed=0)
    env.set_state(saved)
    assert env.map_seed == 2**63 - 1
    with pytest.raises(ValueError, match=f"map_seed = {2**63} must be from 0 to {2**63 - 1}"):
        GridWorld(map_seed=2**63, **arguments)


def test_agents_learn_on_new_maps_step_by_step() -> None:
    env = GridWorld(generator="frozen_lake", rows=4, columns=4, new_map_each_reset=True)
    agent = rlgrid.agents.QLearning(env, seed=0)
    assert not agent.compiled
    agent.learn(300)
    assert env.map_seed != 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"generator": "wilsn", "rows": 5, "columns": 5}, ValueError, "did you mean 'wilson'"),
        ({"generator": "wilson", "rows": 5}, TypeError, "columns is missing"),
        ({"generator": "wilson", "rows": 5, "columns": 5.5}, TypeError, "columns must be a whole number"),
        ({"generator": "wilson", "rows": 0, "columns": 5}, ValueError, "rows = 0"),
        ({"generator": "wilson", "rows": 5, "columns": 5, "map_seed": -1}, ValueError, "map_seed = -1"),
        (
            {"generator": "wilson", "rows": 5, "columns": 5, "brade": 1},
            TypeError,
            "no argument 'brade': did you mean 'braid'",
        ),
        ({"generator": "wilson", "rows": 5, "columns": 5, "braid": 2}, ValueError, "braid"),
        ({"generator": "wilson", "rows": 5, "columns": 5, "p": 0.5}, TypeError, "no argument 'p'"),
        ({"generator": "wilson", "rows": 5, "columns": 5, "gamma": 2.0}, ValueError, "gamma"),
        ({"generator": "wilson", "rows": 5, "columns": 5, "new_map_each_reset": 1}, TypeError, "True or False, not 1"),
        (
            {"generator": "wilson", "rows": 5, "columns": 5, "new_map_each_reset": True, "start": 6},
            TypeError,
            "start cannot be changed",
        ),
        ({"generator": "wilson", "map": "four_rooms"}, TypeError, "not both map and generator"),
        ({"rows": 5}, TypeError, "rows goes with a generator"),
        ({"map": "four_rooms", "new_map_each_reset": True}, TypeError, "new_map_each_reset goes with a generator"),
    ],
)
def test_wrong_arguments_of_generators_are_named(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        GridWorld(**arguments)


# --- what is hidden stays hidden, in every map ----------------------------------------------------------------------

WALL_COMES = GridSpec(["S....", ".....", "....G"], changes=[{"at": 2, "map": ["S.#..", ".....", "....G"]}])


@pytest.mark.parametrize("make", [gym.make, lambda name, **arguments: gym.make_vec(name, num_envs=2, **arguments)])
def test_a_later_map_that_would_tell_what_is_hidden_is_refused_at_once(make: Any) -> None:
    seen = observer(WALL_COMES.compile(), "view", view_size=3).observation_of
    arguments = {"map": WALL_COMES, "view_size": 3, "observation_of": seen}
    with pytest.raises(ValueError, match="after change 1 of the map: the observation 'view' does not fit"):
        make("rlgrid/GridWorld-v0", observation="view", **arguments)
    world = make("rlgrid/GridWorld-v0", observation="one_hot", **arguments)  # which is of no map
    world.reset(seed=0)


@pytest.mark.parametrize("make", [gym.make, lambda name, **arguments: gym.make_vec(name, num_envs=2, **arguments)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_new_maps_would_tell_is_not_shown_where_something_is_hidden(kind: str, make: Any) -> None:
    arguments = {**GENERATED["wilson"], "generator": "wilson", "new_map_each_reset": True}
    arguments |= {"observation": kind, "observation_of": np.arange(99) % 11}
    if kind in ("planes", "rgb", "view"):
        with pytest.raises(ValueError, match=f"observation_of goes with no observation '{kind}' where each reset"):
            make("rlgrid/GridWorld-v0", **arguments)
        return
    world = make("rlgrid/GridWorld-v0", **arguments)
    for seed in range(4):
        seen, _ = world.reset(seed=seed)
        assert world.observation_space.contains(seen)


def test_a_changing_world_keeps_how_each_of_its_maps_is_seen() -> None:
    env = GridWorld(WALL_COMES, observation="view", view_size=3)
    observers = []
    for _ in range(2):
        env.reset(seed=0)
        observers.append(env.observer)
        env.step(1), env.step(1)
        observers.append(env.observer)
    assert observers[:2] == observers[2:]
    assert observers[0] is not observers[1]
