"""Walking back: every table of every agent comes out the same to the bit, across whatever was changed on the way."""

from __future__ import annotations

import math
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest

import rlgrid
from rlgrid.agents import AGENTS, QLearning
from rlgrid.gridmap import GridSpec
from rlgrid.window import history
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.history import captured
from rlgrid.window.local import LocalLink
from rlgrid.window.parameters import settings_of
from rlgrid.window.scenario import Scenario

LAKE = GridSpec.builtin("frozen_lake_4x4").dump()
PAINTED = LAKE.replace("FHFH", "FHFF")
LARGER = LAKE.replace("SFFF\n", "SFFFF\n").replace("FHFH", "FHFHF").replace("FFFH", "FFFHF").replace("HFFG", "HFFGF")
LEFT, DOWN, RIGHT, UP = range(4)


def same(first: Any, second: Any) -> bool:
    """Equal to the bit, all the way down."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return bool(first == second)


def all_of(engine: Engine) -> dict[str, Any]:
    """Everything that a run has at one moment: what a checkpoint holds, and what is shown."""
    arrays, run = captured(engine.agent)
    shown = {f"shown.{name}": np.array(table) for name, table in engine.tables.items() if engine.unit == "sweep"}
    returns = (list(engine.agent.episode_returns), list(engine.agent.episode_lengths))
    return arrays | run | shown | {"returns": returns, "trail": list(engine.trail), "gamma": engine.gamma}


def an_engine(agent: str, monkeypatch: pytest.MonkeyPatch, world: str = "rlgrid/FrozenLake-v1") -> Engine:
    """An engine that keeps a state after every piece of its run; no referee, what is true is tested elsewhere."""
    monkeypatch.setattr(history, "SHARE", 1e9)
    monkeypatch.setattr("rlgrid.window.run.Referee", lambda *_: None)
    return Engine(Scenario(world, agent=agent, seed=3), patient=True)


@pytest.mark.parametrize("agent", AGENTS)
def test_every_table_comes_back_across_edits(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine(agent, monkeypatch)
    unit = 1 if engine.unit == "sweep" else 25
    marks = {engine.count: all_of(engine)}
    for name, *rest in (
        ("change", "gamma", 0.9),
        ("change", "slip", 0.2),
        ("drive", RIGHT),
        ("remap", PAINTED, "ice"),
        ("change", "step_reward", -0.25),
    ):
        for part in (2, 1):
            engine.advance(part * unit)
            marks[engine.count] = all_of(engine)
        if name == "drive" and (engine.unit == "step" and engine.agent.why_not_driven()):
            with pytest.raises(ValueError, match="cannot be driven"):
                engine.obey(name, *rest)
        else:
            engine.obey(name, *rest)
        marks[engine.count] = all_of(engine)
    engine.advance(2 * unit)
    marks[engine.count] = all_of(engine)
    counts = list(marks)
    assert engine.history.head == counts[-1]
    assert len(engine.history.kept) > 5
    for count in [*counts[::-1], counts[3], counts[7], counts[2], counts[-1]]:
        engine.obey("seek", count)
        assert engine.count == count
        now = all_of(engine)
        assert [key for key in marks[count] if not same(marks[count][key], now.get(key))] == []
    assert [edit.symbol for edit in engine.history.edits()] == ["γ", "slip", "map", "r"]


@pytest.mark.parametrize("agent", ["value_iteration", "sarsa_lambda"])
def test_going_on_in_the_past_comes_to_the_same_edits(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine(agent, monkeypatch)
    engine.advance(6)
    engine.obey("change", "gamma", 0.8)
    engine.advance(5)
    engine.obey("drive", DOWN)
    engine.advance(7)
    end, head = all_of(engine), engine.history.head
    engine.obey("seek", 2)
    assert engine.gamma == 0.99
    for _ in range(head - 2):
        engine.advance(1)
    assert engine.gamma == 0.8
    assert same(end, all_of(engine))
    assert engine.history.head == head
    assert engine.notices == []


def test_a_change_in_the_past_cuts_off_what_came_after_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    engine.advance(50)
    engine.obey("change", "gamma", 0.8)
    engine.advance(50)
    engine.obey("seek", 30)
    engine.obey("seek", 60)  # looking about changes nothing
    engine.obey("seek", 30)
    assert engine.notices == []
    assert engine.history.head == 100
    engine.obey("change", "slip", 0.1)
    assert engine.history.head == 30
    assert "up to 100 steps, is cut off" in engine.notices.pop()
    assert [edit.symbol for edit in engine.history.edits()] == ["slip"]
    engine.advance(40)
    now = all_of(engine)
    engine.obey("seek", 31)
    engine.obey("seek", 70)
    assert same(now, all_of(engine))
    assert engine.gamma == 0.99


def test_kept_states_are_bounded_and_the_beginning_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    engine.history.limit = 60_000
    marks = {}
    for _ in range(150):
        engine.advance(20)
        marks[engine.count] = all_of(engine)
    kept = [one.count for one in engine.history.kept]
    assert engine.history.size <= 60_000
    assert kept[0] == 0
    assert kept[-1] == 3000
    gaps = np.diff(kept)
    assert gaps[: len(gaps) // 2].mean() > gaps[len(gaps) // 2 :].mean(), "the recent past is nearer"
    for count in (20, 1000, 2980, 40, 3000):
        engine.obey("seek", count)
        assert same(marks[count], all_of(engine))


def test_keeping_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0.0, 1e6, 1.0))  # every look at it takes a second: so does keeping a state
    monkeypatch.setattr(history.time, "thread_time", lambda: float(next(clock)))
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent="q_learning"), patient=True)
    for _ in range(1000):
        engine.advance(1)
    assert 5 < len(engine.history.kept) < 1 + 1000 * 4 * history.SHARE


def test_steps_back_by_a_unit_and_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    engine.advance(200)
    ends = np.cumsum(engine.agent.episode_lengths)
    engine.obey("seek", "unit")
    assert engine.count == 199
    engine.obey("seek", "episode")
    assert engine.count == ends[ends < 199][-1]
    engine.obey("seek", "episode")
    assert engine.count == ends[ends < 199][-2]
    assert [entry.rest for entry in engine.stamps] == [(199,), (int(ends[ends < 199][-1]),), (engine.count,)]
    planner = an_engine("value_iteration", monkeypatch)
    planner.advance(12)
    planner.obey("seek", "episode")
    assert planner.count == 2
    planner.obey("seek", "episode")
    assert planner.count == 0


def test_the_walker_beside_a_planner_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("value_iteration", monkeypatch)
    engine.set_speed(4.0)
    marks = {}
    while engine.count < 12:
        engine.tick(0.1)
        marks[engine.count] = engine.walker.place()  # as it stood when the count moved on
    engine.tick(0.1)
    marks[engine.count] = engine.walker.place()
    for count in (5, 9, 2, 12):
        engine.obey("seek", count)
        assert engine.walker.place() == marks[count]
    engine.obey("seek", 7)
    engine.obey("drive", DOWN)
    assert engine.walker.place() != marks[7]
    assert engine.history.head >= 12, "who drives the walker changes no table"


def test_a_reset_begins_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    engine.advance(30)
    engine.obey("remap", PAINTED, "ice")
    engine.obey("change", "gamma", 0.5)
    engine.obey("reset")
    assert (engine.count, engine.history.head, engine.history.edits()) == (0, 0, [])
    assert engine.gamma == 0.5
    assert engine.scenario.map_text == PAINTED
    assert not engine.agent.q_table.any()
    engine.advance(20)
    now = all_of(engine)
    engine.obey("seek", 3)
    engine.obey("seek", 20)
    assert same(now, all_of(engine))


def test_a_window_counts_all_episodes_and_remembers_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LAST", 20)
    monkeypatch.setattr(history, "MOST", 6)
    engine = an_engine("q_learning", monkeypatch, "rlgrid/CliffWalking-v1")
    alone = QLearning(engine._new_env(engine.base), **settings_of("q_learning", {}), seed=3)
    alone.begin(engine.agent.total_timesteps)
    passed = {}
    for _ in range(40):
        engine.advance(500)
        alone.advance(500)
        passed[engine.count] = list(alone.episode_returns), list(alone.episode_lengths)
    returns = passed[20_000][0]
    assert len(returns) > 200
    for count in (20_000, 9_500, 500, 14_000, 20_000):
        engine.obey("seek", count)
        for numbers, expected in zip(
            (engine.agent.episode_returns, engine.agent.episode_lengths), passed[count], strict=True
        ):
            assert len(numbers) == len(expected)
            assert list(numbers) == numbers[-100:] == expected[-20:]
            assert numbers.best == max(expected, default=-math.inf)
    assert engine.snapshot().episodes == len(returns)
    kept = engine.history.kept[-1]
    assert len(kept.run["returns"]._last) == len(kept.run["lengths"]._last) == 20
    assert kept.size >= 2 * 20 * 8 + sum(table.nbytes for table in kept.arrays.values())


def scripted(env: Any, agent: Any, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(history, "SHARE", 1e9)
    return Engine(Scenario(pickled=cloudpickle.dumps((env, agent))), patient=True)


def test_an_agent_of_a_script_is_walked_back_where_its_world_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    env = gym.make("rlgrid/CliffWalking-v1")
    engine = scripted(env, QLearning(env, seed=1).learn(500), monkeypatch)
    engine.advance(40)
    now = all_of(engine)
    engine.advance(40)
    engine.obey("seek", 540)
    assert same(now, all_of(engine))
    engine.obey("seek", 0)
    assert engine.count == 500


class Own(gym.Env[Any, Any]):
    """An environment whose inside nobody knows."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: Any) -> Any:
        return 1, 0.0, True, False, {}


class Actor:
    """An object that acts."""

    def predict(self, observation: Any) -> Any:
        return 0, None


def test_what_cannot_be_walked_back_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for env, agent, words in (
        (Own(), QLearning(Own(), seed=0), "Own is an environment of its own"),
        (gym.make("rlgrid/CliffWalking-v1"), Actor(), "an object of a script acts in it"),
    ):
        engine = scripted(env, agent, monkeypatch)
        engine.advance(5)
        assert words in engine.history.facts()["why"]
        with pytest.raises(ValueError, match=words):
            engine.obey("seek", 2)
        engine.advance(5)
        assert engine.count == 10


# --- driving and painting ---------------------------------------------------------------------------------------------


def test_a_driven_step_is_learnt_from_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch, "rlgrid/CliffWalking-v1")
    engine.advance(100)
    agent = engine.agent
    engine.agent.env.reset()
    agent.forget_episode()
    agent._ready_episode()
    start, before = agent.state, agent.q_table.copy()
    engine.obey("drive", 1)  # right, off the start: into the cliff, and back
    rate, best = agent.learning_rate, before[start].max()
    expected = before[start, 1] + rate * (-100.0 + agent.gamma * best - before[start, 1])
    assert agent.q_table[start, 1] == pytest.approx(expected, abs=1e-12)
    changed = np.argwhere(agent.q_table != before)
    assert changed.tolist() == [[start, 1]]
    assert engine.count == 101
    assert [(e.name, e.count, e.rest) for e in engine.stamps] == [("drive", 100, (1,))]


@pytest.mark.parametrize("speed", [200.0, np.inf])
def test_who_is_led_by_hand_is_shown_whatever_the_speed(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch, "rlgrid/CliffWalking-v1")
    engine.obey("speed", speed)
    engine.tick(0.5)
    assert not engine.snapshot().follows_learner
    engine.obey("play", False)
    shown = engine.snapshot()
    assert shown.follows_learner
    assert shown.trail == (shown.walker,) == (engine.agent.state,)
    seen = set()
    for action in (UP, LEFT, DOWN, RIGHT):
        engine.obey("drive", action)
        seen.add(engine.snapshot().walker)
        assert engine.snapshot().walker == engine.agent.state == engine.snapshot().trail[-1]
    assert len(seen) > 1
    engine.obey("step")
    assert engine.snapshot().walker == engine.agent.state
    engine.obey("play", True)
    assert not engine.snapshot().follows_learner


@pytest.mark.parametrize("agent", ["sarsa", "n_step_sarsa", "true_online_sarsa_lambda", "dqn", "psrl"])
def test_driven_actions_are_taken(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine(agent, monkeypatch, "rlgrid/CliffWalking-v1")
    engine.advance(3)
    state = engine.agent.state
    for action in (0, 0, 1, 1, 1, 0, 3):  # up, right, left again: nothing slips here
        engine.obey("drive", action)
    row, column = divmod(state, 12)
    for action in (0, 0, 1, 1, 1, 0, 3):
        row, column = max(0, row - (action == 0)), min(11, max(0, column + (action == 1) - (action == 3)))
    assert engine.agent.state == row * 12 + column
    assert engine.count == 10


@pytest.mark.parametrize("action", [4, -1, 0.5, "up", True])
def test_what_is_no_action_is_refused(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    with pytest.raises(ValueError, match="must be one of 0 to 3"):
        engine.obey("drive", action)
    assert engine.stamps == []
    assert engine.count == 0


@pytest.mark.parametrize(
    "agent", ["value_iteration", "q_learning", "double_q_learning", "dyna_q", "monte_carlo", "dqn"]
)
def test_what_was_learnt_is_kept_in_a_painted_map(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine(agent, monkeypatch)
    engine.advance(300)
    before, count = engine.agent.values, engine.count
    engine.obey("remap", PAINTED, "ice")
    after = engine.agent.values
    kept = np.arange(16) != 7
    assert engine.count == count
    assert np.array_equal(before[kept], after[kept])
    assert not engine.model.absorbing[7]
    if agent != "dqn":
        assert after[7] == 0.0
    engine.advance(300)
    assert engine.notices == []


def test_tables_follow_their_cells_into_a_map_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    engine.advance(500)
    before = engine.agent.q_values.reshape(4, 4, 4)
    engine.obey("remap", LARGER, "a column")
    after = engine.agent.q_values.reshape(4, 5, 4)
    assert before.any()
    assert np.array_equal(after[:, :4], before)
    assert not after[:, 4].any()
    engine.advance(100)
    engine.obey("seek", 499)
    assert engine.agent.q_values.shape == (16, 4)
    engine.obey("seek", 600)
    assert engine.agent.q_values.shape == (20, 4)


@pytest.mark.parametrize("agent", ["dqn", "dyna_q"])
def test_who_cannot_go_on_in_another_size_begins_again_and_says_so(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine(agent, monkeypatch)
    engine.advance(50)
    engine.obey("remap", LARGER, "a column")
    assert engine.count in (0, 50)
    if engine.count == 0:
        assert "begins again" in engine.notices.pop()
    else:
        assert agent == "dyna_q"
    engine.advance(50)
    assert engine.agent.q_values.shape == (20, 4)


def test_what_is_no_map_is_refused_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch)
    engine.advance(50)
    before = all_of(engine)
    with pytest.raises(ValueError, match="line"):
        engine.obey("remap", "no map", "")
    assert same(before, all_of(engine))
    assert engine.scenario.map_text is None


def test_worlds_with_keys_are_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine("q_learning", monkeypatch, "rlgrid/KeyDoor-v0")
    engine.advance(2_000)
    text = GridSpec.builtin("key_door").dump()
    before = {
        (engine.model.items_of(s), engine.model.cell_of(s)): engine.agent.values[s]
        for s in range(engine.model.num_states)
    }
    assert "S....#..." in text
    engine.obey("remap", text.replace("S....#...", "S....#..#"), "a wall")
    model = engine.model
    matched = [
        (before.get((model.items_of(s), model.cell_of(s))), engine.agent.values[s]) for s in range(model.num_states)
    ]
    assert sum(was == now for was, now in matched) >= 0.8 * len(matched)
    engine.advance(200)
    assert isinstance(rlgrid.solve(model).values, np.ndarray)


def test_a_walk_back_shows_no_paths_of_what_is_ahead():
    link = LocalLink()
    app = App(link, (800, 600), clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "q_learning", 60.0)
    app.end_tour()
    for _ in range(40):
        link.pass_time(0.1)
        app.update()
    assert len(app.state.paths) > 2
    assert app.seek(5)
    for _ in range(3):
        link.pass_time(0.1)
        app.update()
    assert app.state.snapshot.count == 5
    assert len(app.state.paths) <= 1
    assert sum(map(len, app.state.paths)) <= 7
    link.close()


@pytest.mark.parametrize("agent", ["q_learning", "value_iteration"])
def test_a_long_walk_is_gone_bit_by_bit_and_ends_where_one_in_one_piece_does(
    agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlgrid.window.run.Referee", lambda *_: None)
    monkeypatch.setattr("rlgrid.window.engine.PATIENCE", 0.0)
    monkeypatch.setattr("rlgrid.window.engine.BUDGET", 0.0)
    monkeypatch.setattr(history, "SHARE", 1e-9)  # the beginning alone is kept
    ends = []
    for sliced in (False, True):
        engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent=agent, seed=3))
        monkeypatch.setattr(engine, "_chunk", lambda: 2)
        engine.obey("play", False)
        engine.sliced = sliced
        engine.run_to(40)
        engine.obey("change", "gamma", 0.9)
        engine.run_to(90)
        engine.obey("seek", 80)
        pieces = 0
        if sliced:
            assert engine.count < engine.sought == 80
            engine.obey("play", True)  # heard on the way, and stamped with where it leads
            assert engine.stamps[-1].count == 80
            engine.obey("seek", 60)  # elsewhere
            engine.obey("play", False)
            while engine.sought is not None:
                assert engine.due_in() == 0.0
                engine.tick(0.0)
                pieces += 1
        else:
            assert engine.sought is None
            engine.obey("seek", 60)
        assert (engine.count, engine.gamma, pieces > 2) == (60, 0.9, sliced)
        ends.append(all_of(engine))
        engine.obey("seek", 50)
        engine.obey("change", "gamma", 0.8)  # of what was sought, whatever was still to go
        assert (engine.count, engine.history.head, engine.sought) == (50, 50, None)
        engine.obey("seek", 30)
        engine.obey("reset")
        engine.tick(0.0)
        assert (engine.count, engine.sought) == (0, None)
        engine.close()
    assert same(*ends)


@pytest.mark.parametrize("playing", [True, False])
def test_an_agent_of_several_environments_runs_as_many_steps_as_it_is_asked_for(playing: bool) -> None:
    settings = {"n_envs": 4, "learning_starts": 10_000, "policy_kwargs": {"net_arch": [4]}}
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent="dqn", settings=settings), patient=True)
    engine.obey("play", playing)
    assert engine.follows_learner
    assert engine.advance(400) == 400
    assert engine.count == 400
    assert engine.advance(4) == 4


@pytest.mark.parametrize("agent", ["monte_carlo", "monte_carlo_prediction"])
def test_an_episode_that_has_passed_a_painted_cell_is_not_learnt_from(agent: str) -> None:
    """The visits of the cell begin again, and an episode that counted one there would have more returns than visits."""
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent=agent, seed=1), patient=True)
    passed: list[int] = []
    while not passed:
        engine.advance(1)
        states = engine.agent._states[: engine.agent._size[0]].tolist()
        passed = [s for s in states if s not in (0, engine.agent.state)]
    at = LAKE.index("SFFF") + 5 * (passed[0] // 4) + passed[0] % 4
    engine.obey("remap", LAKE[:at] + "H" + LAKE[at + 1 :], "hole")
    engine.obey("remap", LAKE, "ice")
    assert engine.agent.counts[passed[0]].sum() == 0
    engine.episode()
    engine.agent._set_arrays(engine.agent._arrays())  # refuses what does not fit
    assert engine.agent.counts.sum() > 0


def test_what_is_put_back_acts_by_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """`predict` has a generator of its own."""
    engine = an_engine("q_learning", monkeypatch)
    agent = engine.agent
    state = history.Moment(0, 0, engine.setup, *captured(agent), (), 0)
    drawn = [agent.predict(0, deterministic=False)[0] for _ in range(20)]
    assert len(set(drawn)) > 1
    history.put_into(agent, state)
    assert [agent.predict(0, deterministic=False)[0] for _ in range(20)] == drawn


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_trail_begins_where_the_episode_begins(by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first leg is there: at the very first step, after the run has begun anew, and in later episodes."""
    engine = an_engine("q_learning", monkeypatch, "rlgrid/CliffWalking-v1")
    start = int(engine.model.start_states[0])
    for _ in range(2):
        for action in (0, 1, 1):  # up, right, right
            if by_hand:
                engine.obey("drive", action)
            else:
                engine.advance(1)
        trail = list(engine.trail)
        assert (trail[0], trail[-1], len(trail)) == (start, engine.agent.state, 4)
        engine.obey("reset")
        assert not engine.trail
    while not engine.agent.episode_returns:
        engine.advance(1)
    assert list(engine.trail)[:1] == [start]
