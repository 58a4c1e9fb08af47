"""Random pasts and random sessions: whatever was done in whatever order, tables and frames come out the same."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest
from random_events import SIZES, RandomEvents
from test_window_events import Small
from test_window_history import LAKE, LARGER, PAINTED, all_of, same

from rlgrid.agents import AGENTS
from rlgrid.window import history
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.lanes import Lanes
from rlgrid.window.local import LocalLink
from rlgrid.window.record import pixels
from rlgrid.window.replay import Replay
from rlgrid.window.scenario import Scenario
from rlgrid.window.session import Session, SessionError

NUMBERS = {  # what sliders change, and the ends of what is drawn
    "gamma": (0.5, 0.99),
    "slip": (0.0, 0.4),
    "step_reward": (-1.0, 0.5),
    "learning_rate": (0.05, 1.0),
    "epsilon": (0.0, 0.6),
}


WORLDS = ("rlgrid/FrozenLake-v1", "rlgrid/KeyDoor-v0", "rlgrid/RiverSwim-v0")
SEEDS = int(os.environ.get("SEEDS", "1"))  # more on request: with 3 of them every agent is in every world


@pytest.fixture(scope="module", autouse=True)
def _display() -> Any:
    pygame.display.init()
    yield
    pygame.display.quit()


class Past:
    """A run at random: everything that it had at each count is remembered, and compared whenever it is there again."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine, self.draws = engine, np.random.default_rng(seed)
        self.unit = 1 if engine.unit == "sweep" else 9
        self.marks = {0: all_of(engine)}
        self.compared = 0

    def look(self) -> None:
        """The run is somewhere: it is as it was there, if it was there before."""
        now, count = all_of(self.engine), self.engine.count
        if count in self.marks:
            before = self.marks[count]
            assert [key for key in before if not same(before[key], now.get(key))] == [], count
            self.compared += 1
        self.marks[count] = now

    def edit(self, name: str, *rest: Any) -> None:
        """What changes the run here, and makes another future; or is refused, and changes nothing."""
        engine, here = self.engine, self.engine.count
        before, runs = all_of(engine), engine.history.runs
        try:
            engine.obey(name, *rest)
        except (ValueError, TypeError):
            assert same(before, all_of(engine))
            return
        if name == "drive" and engine.unit == "sweep":  # the walker beside it changes nothing
            return
        if engine.history.runs != runs:
            self.marks = {}  # the agent has begun again: what was before cannot be had
        self.marks = {
            count: mark for count, mark in self.marks.items() if count < here or (name == "drive" and count == here)
        }
        self.look()

    def go(self) -> None:
        """One thing, at random."""
        engine, kind = self.engine, self.draws.random()
        if kind < 0.35:
            engine.advance(self.unit * int(self.draws.integers(1, 4)))
            self.look()
        elif kind < 0.70:
            engine.obey("seek", int(self.draws.choice(list(self.marks))))
            self.look()
        elif kind < 0.76:
            engine.obey("seek", "unit" if kind < 0.73 else "episode")
            self.look()
        elif kind < 0.88:
            name = str(self.draws.choice(list(NUMBERS)))
            low, high = NUMBERS[name]
            self.edit("change", name, round(float(self.draws.uniform(low, high)), 3))
        elif kind < 0.95:
            self.edit("drive", int(self.draws.integers(4)))
        elif engine.scenario.world == "rlgrid/FrozenLake-v1":
            self.edit("remap", (LAKE, PAINTED, LARGER)[int(self.draws.integers(3))], "painted")
        else:
            self.edit("restore")


def walk_through(agent: str, world: str, seed: int, many: int, monkeypatch: pytest.MonkeyPatch) -> Past:
    """A random run; few states are kept, so that much of the way is run again."""
    monkeypatch.setattr(history, "SHARE", 1e9)
    monkeypatch.setattr(history, "MOST", 7)
    monkeypatch.setattr("rlgrid.window.run.Referee", lambda *_: None)
    past = Past(Engine(Scenario(world, agent=agent, seed=seed), patient=True), seed)
    for _ in range(many):
        past.go()
    assert past.compared > many / 10
    return past


@pytest.mark.parametrize("agent", ["value_iteration", "dyna_q", "dqn"])
def test_a_random_past_comes_back(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walk_through(agent, "rlgrid/FrozenLake-v1", 5, 60, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + SEEDS))
@pytest.mark.parametrize("agent", AGENTS)
def test_random_pasts_of_every_agent_come_back(agent: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = WORLDS[(list(AGENTS).index(agent) + seed) % len(WORLDS)]
    walk_through(agent, world, seed, 120, monkeypatch)


# --- sessions ---------------------------------------------------------------------------------------------------------


def at_random(events: int, seed: int, folder: Path) -> tuple[Any, Session]:
    """An app after random events, and its session, which went through a file."""
    link = LocalLink()
    app = Small(link, (800, 600), clock=link.clock)
    app.open("rlgrid/FourRooms-v0", "q_learning", 200.0)
    given = RandomEvents(app, seed, sizes=SIZES)
    for _ in range(events):
        for event in given.next():
            app.handle(event)
        link.pass_time(0.01)
        app.update()
        app.draw()
    return app, Session.load(app.recorder.finished().save(folder / "random.rlgrid"))


def frames(session: Session) -> list[str]:
    """The hash of every frame of a replay."""
    return [hashlib.sha256(pixels(picture).tobytes()).hexdigest() for picture in Replay(session).pictures()]


def check_session(events: int, seed: int, times: int, folder: Path) -> list[str]:
    """A random session gives the same frames again and again, and ends with the tables that it had."""
    app, session = at_random(events, seed, folder)
    found = [frames(session) for _ in range(times)]
    assert all(one == found[0] for one in found)
    assert len(set(found[0])) > len(found[0]) / 4
    replay = Replay(session)
    while not replay.over:
        replay.step()
    live, again = app.link.engine, replay.link.engine
    for one, other in zip(engines(live), engines(again), strict=True):
        assert (one.count, one.scenario.agent) == (other.count, other.scenario.agent)
        assert [key for key in all_of(one) if not same(all_of(one)[key], all_of(other).get(key))] == []
    return found[0]


def engines(engine: Any) -> list[Engine]:
    return engine.engines if isinstance(engine, Lanes) else [engine]


def test_a_random_session_is_replayed_frame_by_frame(tmp_path: Path) -> None:
    check_session(150, 8, 2, tmp_path)


def test_a_run_that_failed_and_was_followed_by_another_one_is_replayed(tmp_path: Path) -> None:
    link = LocalLink()
    app = App(link, (640, 480), clock=link.clock)
    for settings in ({}, {"tau": 3}, {}):
        app.open("rlgrid/FrozenLake-v1", "q_learning", 40.0, settings=settings)
        for _ in range(6):
            link.pass_time(0.1)
            app.update()
        assert bool(app.state.error) == bool(settings)
        session = Session.load(app.recorder.finished().save(tmp_path / "failed.rlgrid"))
        if settings:
            with pytest.raises(SessionError, match="takes no argument 'tau'"):
                frames(session)
    assert len(frames(session)) == 36


def test_what_was_done_when_a_run_began_is_not_done_in_the_next_one(tmp_path: Path) -> None:
    link = LocalLink()
    app = App(link, (640, 480), clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "q_learning", 200.0)
    for _ in range(8):
        link.pass_time(0.1)
        app.update()
    app.state.playing = False
    app.open("rlgrid/FourRooms-v0", "q_learning", 200.0)  # at the second of the last picture
    app.update()
    replay = Replay(Session.load(app.recorder.finished().save(tmp_path / "next.rlgrid")))
    while not replay.over:
        replay.step()
    assert link.engine.count == replay.link.engine.count == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 20 + 3 * SEEDS))
def test_random_sessions_are_replayed_frame_by_frame(seed: int, tmp_path: Path) -> None:
    check_session(500, seed, 3, tmp_path)
