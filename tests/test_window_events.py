"""Thousands of random events: no exception, every command, an engine that runs at the end, no memory that grows."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import math
from dataclasses import replace
from pathlib import Path

import pygame
import pytest
from random_events import FAMILIES, LARGE, SIZES, LateLink, RandomEvents, collected, counted, dropped

from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.local import LocalLink
from rlgrid.window.worker import failure

AGENTS = ("value_iteration", "q_learning", "sarsa", "dyna_q")
WORLDS = ("rlgrid/FourRooms-v0", "rlgrid/FrozenLake-v1", "rlgrid/KeyDoor-v0", "rlgrid/RiverSwim-v0")
RARE = ("term",)  # it needs a pinned cell with an arithmetic that is long enough
GROWTH = 160 << 20  # bytes that the caches of letters, boxes and kernels may take; what runs keep is let go first


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


class Small(App):
    """An app whose menus lead to few agents, whose kernels are compiled soon, and to small worlds."""

    agents, worlds = AGENTS, WORLDS

    def open(self, world, agent, *rest, rivals=(), **settings):
        if isinstance(world, str) and world not in self.worlds:
            world = self.worlds[len(world) % len(self.worlds)]
        if agent not in self.agents:  # what a lesson sets is not for another agent
            settings.pop("settings", None)
        agent, *rivals = (
            name if name in self.agents else self.agents[len(name) % len(self.agents)] for name in (agent, *rivals)
        )
        super().open(world, agent, *rest, rivals=tuple(rivals), **settings)


class Wide(Small):
    """An app with a world of every family and every agent."""

    from rlgrid.agents import AGENTS as _ALL

    agents, worlds = tuple(_ALL), FAMILIES


def memory(app):
    """Bytes of this process that lie in memory once a small run has taken the place of the present one."""
    app.open(WORLDS[0], "value_iteration")
    app.link.pass_time(0.004)
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def play(link, kind, count, seed, every, tmp_path, sizes=SIZES):
    """An app after so many random events, drawn after every so many; how often each command was obeyed, and the growth
    of memory in their second half. No run may have failed."""
    app = kind(link, (1000, 700), clock=link.clock)
    app.open(WORLDS[0], "value_iteration")
    given, drawn, middle = 0, 0, 0
    with counted() as reached, collected() as errors:
        events = RandomEvents(app, seed, (), sizes, dropped(tmp_path), reached)
        while given < count or (given < 4 * count and missing(reached)):  # looks into cells take what time there is
            for event in events.next():
                app.handle(event)
                given += 1
                app.running = True
            link.pass_time(0.004)
            app.update()
            if given >= drawn + every:
                app.draw()
                drawn = given
            if not middle and given >= count / 2:
                middle = memory(app)
        grown = memory(app) - middle
    for error in errors:
        raise AssertionError(f"a run failed: {failure(error)}") from error
    return app, reached, grown


def missing(reached):
    """The commands that were never obeyed."""
    return [name for name, times in reached.items() if not times and name not in RARE]


def check_alive(app):
    """The engine answers: after a start of its own it counts on."""
    app.state.menu, app.state.help, app.state.ring, app.state.mode = None, False, "", "look"
    app.open("rlgrid/FourRooms-v0", "q_learning", 50.0)
    app.state.playing = True
    app.link.send("play", True)
    app.link.send("speed", 50.0)
    app.state.awaited = ""
    app.link.send("until", None)
    for _ in range(40):  # what is late comes in too
        app.link.pass_time(0.1)
        app.update()
    assert not app.state.error
    assert app.state.snapshot.count > 10
    assert app.draw().get_size() == app.size


def test_two_thousand_random_events(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app, reached, _ = play(LateLink(3), Small, 2_000, 3, 50, tmp_path)
    check_alive(app)
    assert missing(reached) == []


def test_a_run_that_fails_is_found(tmp_path, monkeypatch):
    """Whatever ends a run is said in the window alone, and another one follows: these tests must see it."""
    monkeypatch.chdir(tmp_path)

    def tick(engine, seconds):
        raise FloatingPointError("its words are all that is said")

    monkeypatch.setattr(Engine, "tick", tick)
    with pytest.raises(AssertionError, match="a run failed: its words are all that is said"):
        play(LocalLink(), Small, 60, 3, 100, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("late", "seed"), [(False, 4), (True, 5)])
def test_twenty_thousand_random_events(late, seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    link = LateLink(seed) if late else LocalLink()
    app, reached, grown = play(link, Wide, 20_000, seed, 40, tmp_path, LARGE)
    check_alive(app)
    assert missing(reached) == []
    assert grown < GROWTH


# --- what random events have found ------------------------------------------------------------------------------------


def test_a_walk_under_way_ends_at_once_at_full_speed():
    link = LocalLink()
    app = App(link, (800, 600), clock=link.clock)
    app.open("rlgrid/FourRooms-v0", "q_learning", 4.0)
    for _ in range(400):
        link.pass_time(0.01)
        app.update()
        if app.animating:
            break
    assert app.state.behind
    app.state.speed = math.inf  # the worker has not heard of it: what is shown still follows the learner
    app.update()
    assert app.state.behind == 0


@pytest.mark.parametrize("layer", ["values", "visits"])
def test_what_is_late_of_the_map_as_it_was_is_not_drawn_on_the_new_one(layer):
    link = LateLink(0, most=0)
    app = App(link, (800, 600), clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "q_learning", 40.0)
    for _ in range(20):
        link.pass_time(0.1)
        app.update()
    late, states = app.state.snapshot, app.state.model.num_states
    outcomes = ("outcomes", link.run, 15, [[(1.0, states - 1, 0.0, False)]] * 4)
    app.painter.resize(3, 4)
    assert app.state.model.num_states < states
    app.do(f"layer:{layer}")
    app.state.hover = 5
    for shot in (late, replace(late, values=None, q_values=None)):  # of a learner that has not begun
        app.inbox.take(("snapshot", link.run, shot), link.clock())
        app.inbox.take(outcomes, link.clock())
        assert app.state.snapshot is not shot
        assert app.draw().get_size() == (800, 600)
    assert 15 not in app.state.outcomes
    for _ in range(4):
        link.pass_time(0.1)
        app.update()
    assert app.state.snapshot.num_states == app.state.model.num_states
    assert not app.painter.waiting
    assert 5 in app.state.outcomes


def test_a_lane_that_has_joined_is_there_before_it_is_drawn():
    link = LocalLink()
    app = App(link, (1000, 700), clock=link.clock)
    for agents in (("sarsa",), ("sarsa", "dyna_q")):
        app.open("rlgrid/FrozenLake-v1", "q_learning", rivals=agents)
        link.pass_time(0.1)
        app.update()
        if len(agents) == 1:
            app.draw()
    app.state.lane = 2
    app.do("pan:8,8")
    assert app.scene.area_at(None)[0].width > 0
    app.draw()
