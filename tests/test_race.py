"""Races: every lane is the run of its agent alone, identical agents differ by exactly 0, and what the window shows."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import hashlib
import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest
from test_window import SIZES, check_apart, click, press, run
from test_window_history import all_of, same

from rlgrid.agents import AGENTS
from rlgrid.window import bindings, plots, raceview
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.lanes import Lanes
from rlgrid.window.launch import check, parser
from rlgrid.window.layers import coloured
from rlgrid.window.link import Link
from rlgrid.window.local import LocalLink
from rlgrid.window.race import views
from rlgrid.window.record import pixels
from rlgrid.window.replay import Replay
from rlgrid.window.scenario import Scenario
from rlgrid.window.session import Session, SessionError
from rlgrid.window.snapshot import TABLES

LAKE = "rlgrid/FrozenLake-v1"
CLIFF = "rlgrid/CliffWalking-v1"


@pytest.fixture(scope="module", autouse=True)
def _display() -> Any:
    pygame.display.init()
    yield
    pygame.display.quit()


def lanes_of(*agents: str, world: str = LAKE, seed: int = 3) -> Lanes:
    return Lanes(Scenario(world, agent=agents[0], seed=seed, rivals=agents[1:]), patient=True)


def a_race(*agents: str, world: str = LAKE, size: tuple[int, int] = (1280, 800), seconds: float = 1.0) -> App:
    link = LocalLink()
    app = App(link, size, clock=link.clock, seed=3)
    app.open(world, agents[0], 200.0 if "value_iteration" not in agents else 8.0, rivals=agents[1:])
    run(app, seconds)
    return app


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No referee: what is true is tested elsewhere."""
    monkeypatch.setattr("rlgrid.window.run.Referee", lambda *_: None)


# --- lanes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", AGENTS)
def test_identical_agents_differ_by_exactly_zero_everywhere(agent: str, unjudged: None) -> None:
    race = lanes_of(agent, agent)
    one, other = race.engines
    assert one.agent is not other.agent
    assert one.env is not other.env
    for piece in (*[1] * 8, 50):
        race.advance(piece)
        assert one.count == other.count
        assert same(all_of(one), all_of(other))
        first, second = race.snapshots()
        for name in TABLES:
            mine, its = getattr(first, name), getattr(second, name)
            assert (mine is None) == (its is None)
            if mine is not None:
                assert not raceview.difference(mine, its).any(), name
        if first.greedy is not None:
            assert second.greedy is not None
            apart = raceview.disagreement(first.greedy, second.greedy)
            assert not apart[np.isfinite(apart)].any()


def test_lanes_are_the_runs_of_their_agents_alone(unjudged: None) -> None:
    race = lanes_of("q_learning", "sarsa", "value_iteration", world=CLIFF)
    alone = [Engine(Scenario(CLIFF, agent=agent, seed=3), patient=True) for agent in race_names(race)]
    race.obey("speed", 130.0)
    for _ in range(40):
        race.tick(0.1)
    for engine, own in zip(alone, race.engines, strict=True):
        engine.advance(520)
        assert engine.count == own.count == (520 if engine.unit == "step" else engine.count)
        assert same(all_of(engine) | {"trail": None}, all_of(own) | {"trail": None})
    assert not same(race.engines[0].agent.q_values, race.engines[1].agent.q_values)


def race_names(race: Lanes) -> list[str]:
    return [engine.scenario.agent for engine in race.engines]


def test_the_stream_of_the_environment_is_common(unjudged: None) -> None:
    race = lanes_of("q_learning", "sarsa", world=CLIFF)
    race.advance(3_000)
    one, other = (engine.agent for engine in race.engines)
    drawn = [3_000 + len(agent.episode_returns) + (agent._observation is not None) for agent in (one, other)]
    assert one.episode_returns != other.episode_returns or one.episode_lengths != other.episode_lengths
    for agent, numbers in zip((one, other), drawn, strict=True):
        stream = type(one.env.unwrapped)(model=race.model)
        stream.reset(seed=3)
        for _ in range(numbers - 1):
            stream.np_random.random()
        mine = agent._world.snapshot()["world"]["generator"]
        assert mine["state"] == stream.np_random.bit_generator.state["state"]


def test_walking_back_takes_all_lanes_to_the_same_count(unjudged: None) -> None:
    race = lanes_of("q_learning", "sarsa", "dyna_q")
    race.advance(60)
    then = [all_of(engine) for engine in race.engines]
    race.obey("change", "slip", 0.2)
    race.obey("lane", 1, "change", "learning_rate", 0.7, False)
    race.advance(40)
    after = [all_of(engine) for engine in race.engines]
    race.obey("seek", 59)
    race.advance(1)
    assert [engine.count for engine in race.engines] == [60] * 3
    race.obey("seek", 30)
    assert [engine.count for engine in race.engines] == [30] * 3
    race.obey("seek", 100)
    assert all(same(now, all_of(engine)) for now, engine in zip(after, race.engines, strict=True))
    race.obey("seek", "unit")
    assert race.count == 99
    race.obey("seek", 20)
    race.obey("lane", 0, "change", "learning_rate", 0.1, False)  # one lane takes another way
    race.obey("seek", 90)
    assert [engine.count for engine in race.engines] == [20] * 3, "what came after is cut off for all"
    assert race.engines[0].agent.learning_rate == 0.1
    assert not same(then[0], all_of(race.engines[0]))


def test_a_command_that_one_lane_refuses_is_done_in_none(unjudged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    race = lanes_of("q_learning", "sarsa")
    race.advance(20)
    before = [all_of(engine) for engine in race.engines]

    def refuse(*_: Any) -> None:
        raise ValueError("not in here")

    monkeypatch.setattr(race.engines[1], "_new_agent", refuse)
    with pytest.raises(ValueError, match="not in here"):
        race.obey("change", "gamma", 0.5)
    assert all(same(now, all_of(engine)) for now, engine in zip(before, race.engines, strict=True))
    assert [engine.gamma for engine in race.engines] == [race.engines[0].base.gamma] * 2
    assert not race.engines[0].history.log


def test_a_lane_that_waited_cannot_be_walked_back_after_a_change(unjudged: None) -> None:
    race = lanes_of("q_learning", "value_iteration", world="rlgrid/RussellNorvig4x3-v0")
    race.obey("step", 400)
    assert race.engines[1].finished
    assert race.engines[1].count < 400 == race.engines[0].count
    race.obey("seek", 10)
    assert [engine.count for engine in race.engines] == [10, 10]
    race.obey("seek", 400)
    race.obey("change", "slip", 0.2)
    race.obey("step", 5)
    with pytest.raises(ValueError, match="nothing left to compute"):
        race.obey("seek", 300)
    race.obey("reset")
    race.obey("step", 5)
    race.obey("seek", 3)
    assert [engine.count for engine in race.engines] == [3, 3]


def test_steps_by_hand_episodes_and_breakpoints_keep_step(unjudged: None) -> None:
    race = lanes_of("q_learning", "sarsa")
    race.obey("lane", 1, "drive", 2)
    assert [engine.count for engine in race.engines] == [1, 1]
    race.obey("lane", 1, "episode")
    assert race.engines[1].agent.episode_returns
    assert race.engines[0].count == race.engines[1].count
    goal = race.count + 37
    race.obey("lane", 0, "until", {"kind": "count", "number": goal})
    race.obey("speed", math.inf)
    for _ in range(3):
        race.tick(0.1)
    assert [engine.count for engine in race.engines] == [goal, goal]
    assert race.stopped
    assert not race.playing


def test_updates_of_one_lane_are_stepped_to_by_all(unjudged: None) -> None:
    race = lanes_of("q_learning", "monte_carlo", world="rlgrid/RussellNorvig4x3-v0")
    race.obey("lane", 1, "update")
    ends = race.engines[1].agent.episode_lengths
    assert [engine.count for engine in race.engines] == [ends[0]] * 2, "Monte Carlo learns at the end of an episode"
    race.obey("lane", 1, "update")
    assert race.count == sum(ends)
    race.obey("select", 1)
    race.obey("seek", "update")
    assert [engine.count for engine in race.engines] == [ends[0]] * 2
    assert [entry.rest for entry in race.stamps if entry.name == "seek"] == [(ends[0],)]


@pytest.mark.parametrize("agents", [("q_learning",), ("q_learning",) * 5, ("q_learning", "sarsaa")])
def test_how_many_and_who(agents: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"two|2 to 4|sarsaa"):
        lanes_of(*agents)
    options = parser().parse_args(["--race", ",".join(agents)])
    with pytest.raises(ValueError, match=r"2 to 4|did you mean 'sarsa'"):
        check(options)


def test_large_worlds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlgrid.window.run.LARGE", 10)
    with pytest.raises(ValueError, match="all tables of all its agents"):
        lanes_of("q_learning", "sarsa")


# --- the window -------------------------------------------------------------------------------------------------------


def test_disagreement_of_policies() -> None:
    one = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]], np.bool_)
    other = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]], np.bool_)
    assert raceview.disagreement(one, other)[:3].tolist() == [0.0, 0.5, 1.0]
    assert np.isnan(raceview.disagreement(one, other)[3])


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize(
    ("world", "agents"),
    [(CLIFF, ("q_learning", "sarsa")), ("rlgrid/FourRooms-v0", ("value_iteration", "true_online_sarsa_lambda") * 2)],
)
def test_nothing_overlaps(size: tuple[int, int], world: str, agents: tuple[str, ...]) -> None:
    app = a_race(*agents, world=world, size=size)
    for drawer in ("", "left", "right") if size[0] < 1000 else ("",):
        app.state.drawer = drawer
        for layer in ("values", "q", "visits"):
            app.do("versus")
            app.state.layer, app.state.notice = layer, ""
            run(app, 0.1)
            check_apart(app.scene, size)
            there = [words for words, _ in app.scene.texts]
            for number in range(len(agents)):
                assert any(words.startswith(f"{plots.LETTERS[number]}  ") for words in there), "a heading"
    spots = app.scene._race.spots
    for number, spot in enumerate(spots):
        assert app.scene.regions.map.contains(spot.place)
        assert spot.place.collidelist([other.place for other in spots[number + 1 :]]) < 0


@pytest.mark.parametrize("agents", [("q_learning",) * 2, ("true_online_sarsa_lambda",) * 4])
def test_the_heading_that_others_are_compared_with_always_tells_its_scale(agents: tuple[str, ...]) -> None:
    app = a_race(*agents, world="rlgrid/FourRooms-v0", size=(800, 600))
    app.do("versus")
    app.state.notice = ""
    shot = app.state.snapshot
    assert shot.values is not None
    for low, high in ((0.0, 1.0), (1.234e-19, 0.87654), (-1.234e-19, 3.0), (-123456.0, 7654321.0)):
        values = np.full_like(shot.values, low)
        values[1:] = high
        app.state.snapshot = replace(shot, values=values)
        app.state.computed, app.state.stamp = {}, app.state.stamp + 1
        picture = app.draw()
        assert picture is not None
        check_apart(app.scene, (800, 600))
        head = app.scene._race.spots[app.state.lane].head
        told = [words for words, spot in app.scene.texts if head.contains(spot) and " to " in words]
        assert len(told) == 1, (low, high)
        assert any(words.startswith("A") for words, spot in app.scene.texts if head.contains(spot))


def test_identical_agents_are_drawn_without_a_difference() -> None:
    app = a_race("q_learning", "q_learning")
    for layer in ("values", "q", "visits", "error"):
        if app.state.layer != layer:
            app.do(f"layer:{layer}")
        app.state.versus = "difference"
        drawn = coloured(raceview.drawn(app.state)[1])
        assert drawn.signed
        assert drawn.table is not None
        assert not drawn.table.any()
        low, high = raceview.scale_of(app.state) or (0.0, 0.0)
        assert low == -high
    first, second = views(app.state)
    assert first.regret_curve.points == second.regret_curve.points != []
    app.change("learning_rate", 0.9)
    run(app, 1.0)
    drawn = coloured(raceview.drawn(app.state)[1])
    assert drawn.table is not None
    assert drawn.table.any(), "the learning rate is of the selected lane alone"


def test_the_panels_follow_the_selected_lane() -> None:
    app = a_race("q_learning", "sarsa", "value_iteration", seconds=2.0)
    state, link = app.state, app.link
    assert isinstance(link, LocalLink)
    assert isinstance(link.engine, Lanes)
    assert state.agent == "q_learning"
    press(app, pygame.K_n)
    assert (state.agent, state.lane) == ("sarsa", 1)
    app.update()
    assert np.array_equal(state.snapshot.q_values, link.engine.engines[1].agent.q_values)
    click(app, "lane:2")
    assert (state.agent, state.unit) == ("value_iteration", "sweep")
    run(app, 0.2)
    assert link.engine.selected == 2
    app.change("tolerance", 1e-3)
    app.change("gamma", 0.9)
    assert [engine.gamma for engine in link.engine.engines] == [0.9] * 3
    spot = app.scene._race.spots[0]
    x, y = spot.view.centre(1, 2)
    at = (spot.place.left + round(x), spot.place.top + round(y))
    app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0)))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))
    assert (state.lane, state.pinned, state.agent) == (0, 6, "q_learning")
    run(app, 0.3)
    assert state.look is not None
    assert state.look.state == 6
    press(app, pygame.K_r)
    run(app, 0.1)
    assert all(view.snapshot.count < 5 for view in views(state))


def test_agents_come_and_go_by_the_menu() -> None:
    app = a_race("q_learning", seconds=0.5)
    state = app.state
    assert not state.lanes
    for name in ("sarsa", "dyna_q"):
        press(app, pygame.K_c)
        assert state.menu is not None
        number = [key for key, _ in state.menu.entries].index(name)
        app.do(f"entry:{number}")
        run(app, 0.3)
    assert app.race.agents == ["q_learning", "sarsa", "dyna_q"]
    assert [view.agent_title for view in views(state)] == ["Q-learning", "Sarsa", "Dyna-Q"]
    app.race.change("sarsa")
    assert app.race.agents == ["q_learning", "dyna_q"]
    app.open(CLIFF, "q_learning", rivals=app.race.rivals)
    run(app, 0.3)
    click(app, "leave:0")
    run(app, 0.3)
    assert not state.lanes
    assert (state.agent, state.world, state.error) == ("dyna_q", CLIFF, "")
    assert bindings.command_of(pygame.K_c, pygame.KMOD_SHIFT) == "versus"


def test_a_map_painted_in_a_race_is_that_of_all_lanes() -> None:
    app = a_race("q_learning", "value_iteration", world="rlgrid/RussellNorvig4x3-v0")
    app.painter.begin()
    app.painter.resize(4, 5)
    run(app, 0.3)
    link = app.link
    assert isinstance(link, LocalLink)
    assert isinstance(link.engine, Lanes)
    assert [engine.model.num_states for engine in link.engine.engines] == [20, 20]
    assert all(view.snapshot.values is not None and view.snapshot.values.size == 20 for view in views(app.state))


def test_lines_are_cut_into_dashes() -> None:
    points = [(0.0, 0.0), (7.0, 0.0), (7.0, 13.0)]
    pieces = plots.dashed(points, (4.0, 2.0))
    length = sum(math.dist(a, b) for piece in pieces for a, b in pairwise(piece))
    assert length == pytest.approx(4 + 4 + 4 + 2)
    assert pieces[0] == [(0.0, 0.0), (4.0, 0.0)]
    assert pieces[1] == [(6.0, 0.0), (7.0, 0.0), (7.0, 3.0)]
    assert plots.dashed(points, ()) == [points]
    assert len(set(plots.DASHES)) == len(plots.LETTERS)


def test_a_race_is_saved_and_replayed(tmp_path: Path) -> None:
    app = a_race("q_learning", "sarsa", size=(800, 600), seconds=0.3)
    app.do("lane:1")
    app.change("learning_rate", 0.7)
    app.do("versus")
    run(app, 0.2)
    app.change("slip", 0.2)
    run(app, 0.2)
    app.seek(50)
    run(app, 0.1)
    path = app.recorder.finished().save(tmp_path / "race")
    found = []
    for _ in range(2):
        replay = Replay(Session.load(path))
        found.append([])
        while not replay.over:
            replay.step()
            found[-1].append(hashlib.sha256(pixels(replay.app.draw()).tobytes()).hexdigest())
    assert found[0] == found[1]
    assert len(set(found[0])) > 5
    assert isinstance(app.link, LocalLink)
    mine, its = app.link.engine, replay.link.engine
    assert isinstance(mine, Lanes)
    assert isinstance(its, Lanes)
    assert its.count == mine.count == 50
    for one, other in zip(mine.engines, its.engines, strict=True):
        assert same(all_of(one) | {"trail": None}, all_of(other) | {"trail": None})
    assert (replay.app.state.lane, replay.app.state.versus) == (1, "difference")
    path.write_text(path.read_text().replace('"rivals":["sarsa"]', '"rivals":["sarsa","a","b"]'))
    with pytest.raises(SessionError, match="agent"):
        Session.load(path)


def test_a_race_in_the_worker_process() -> None:
    link = Link()
    app = App(link, (800, 600))
    try:
        app.open(LAKE, "q_learning", 500.0, rivals=("sarsa", "value_iteration"))
        until = time.perf_counter() + 60
        while time.perf_counter() < until and not app.state.error:
            app.update()
            if all(view.snapshot.count > 40 for view in views(app.state)):
                break
            time.sleep(0.01)
        assert app.state.error == ""
        assert len({view.snapshot.count for view in views(app.state)}) == 1
        assert all(view.snapshot.values is not None for view in views(app.state))
        assert all(view.parameters for view in views(app.state))
        app.draw()
    finally:
        link.close()


def test_a_race_walks_back_bit_by_bit_and_ends_where_one_in_one_piece_does(
    unjudged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlgrid.window.engine.PATIENCE", 0.0)
    monkeypatch.setattr("rlgrid.window.engine.BUDGET", 0.0)
    monkeypatch.setattr("rlgrid.window.history.SHARE", 1e-9)  # the beginning and one more are kept
    ends = []
    for sliced in (False, True):
        race = lanes_of("q_learning", "sarsa", "value_iteration")
        for engine in race.engines:
            monkeypatch.setattr(engine, "_chunk", lambda: 2)
            engine.sliced = sliced
        race.obey("play", False)
        race.obey("step", 40)
        race.obey("change", "gamma", 0.9)
        race.obey("step", 30)
        race.obey("seek", 60)
        pieces = 0
        if sliced:
            assert [engine.sought for engine in race.engines] == [60, 60, 60]
            race.obey("play", False)  # heard on the way, and stamped with where it leads
            assert race.stamps[-1].count == 60
            race.obey("seek", 50)  # elsewhere
            while race.due_in() == 0.0:
                race.tick(0.0)
                pieces += 1
        assert (pieces > 6) == sliced
        if not sliced:
            race.obey("seek", 50)
        assert [(engine.count, engine.gamma, engine.sought) for engine in race.engines] == [(50, 0.9, None)] * 3
        ends.append([all_of(engine) for engine in race.engines])
        race.obey("seek", 45)
        race.obey("step", 2)  # from where it was to stand
        assert [engine.count for engine in race.engines] == [47] * 3
        race.obey("seek", 30)
        race.obey("reset")
        race.tick(0.0)
        assert [(engine.count, engine.sought) for engine in race.engines] == [(0, None)] * 3
        race.close()
    assert all(same(*pair) for pair in zip(*ends, strict=True))


@pytest.mark.parametrize("agents", [("value_iteration",), ("q_learning", "sarsa")])
def test_a_breakpoint_that_is_refused_leaves_the_run_as_it_was(agents: tuple[str, ...]) -> None:
    """Paused it stays paused, and what was awaited is awaited still."""
    app = a_race(*agents)
    app.pause()
    run(app, 0.1)
    count = app.state.snapshot.count
    assert count > 3
    app.do("until:count reaches 3")
    run(app, 0.5)
    assert "already" in app.state.notice
    assert (app.state.playing, app.state.awaited) == (False, "")
    assert app.state.line.startswith("Paused.")
    assert app.state.snapshot.count == count
    app.set_speed(1.0)
    app.do("until:count reaches 100000")
    run(app, 0.1)
    awaited = app.state.awaited
    assert "100,000" in awaited
    app.do("until:count reaches 3")
    run(app, 0.1)
    assert (app.state.playing, app.state.awaited) == (True, awaited)
    assert app.link.engine.playing
    assert app.link.engine.watch.condition.number == 100_000
