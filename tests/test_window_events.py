"""Thousands of random events: no exception, an engine that runs at the end, memory that does not grow."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from pathlib import Path

import pygame
import pytest
from random_events import RandomEvents

from rlgrid.window.app import App
from rlgrid.window.local import LocalLink

AGENTS = ("value_iteration", "q_learning", "sarsa", "dyna_q")
WORLDS = ("rlgrid/FourRooms-v0", "rlgrid/FrozenLake-v1", "rlgrid/KeyDoor-v0", "rlgrid/RiverSwim-v0")
GROWTH = 160 << 20  # bytes that the caches of letters, boxes and kernels may take; what runs keep is let go first


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


class Small(App):
    """An app whose menus lead to few agents, whose kernels are compiled soon, and to small worlds."""

    def open(self, world, agent, *rest, **settings):
        name = world if isinstance(world, str) else world.name
        known = name in WORLDS or not isinstance(world, str)
        super().open(
            world if known else WORLDS[len(name) % len(WORLDS)],
            agent if agent in AGENTS else AGENTS[len(agent) % len(AGENTS)],
            *rest,
            **settings,
        )


def memory(app):
    """Bytes of this process that lie in memory once a small run has taken the place of the present one."""
    app.open(WORLDS[0], "value_iteration")
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def play(count, seed, every):
    """An app after so many random events, drawn after every so many, and the growth of memory in their second half."""
    link = LocalLink()
    app = Small(link, (1000, 700), clock=link.clock)
    app.open(WORLDS[0], "value_iteration")
    events = RandomEvents(app, seed)
    given, drawn, middle = 0, 0, 0
    while given < count:
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
    return app, memory(app) - middle


def check_alive(app):
    """The engine answers: after a start of its own it counts on."""
    app.state.menu, app.state.help, app.state.ring, app.state.mode = None, False, "", "look"
    app.open("rlgrid/FourRooms-v0", "q_learning", 50.0)
    app.state.playing = True
    app.link.send("play", True)
    app.link.send("speed", 50.0)
    app.state.awaited = ""
    app.link.send("until", None)
    for _ in range(10):
        app.link.pass_time(0.1)
        app.update()
    assert not app.state.error
    assert app.state.snapshot.count > 10
    assert app.draw().get_size() == app.size


def test_two_thousand_random_events(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app, _ = play(2_000, 3, 40)
    check_alive(app)


@pytest.mark.slow
def test_twenty_thousand_random_events(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app, grown = play(20_000, 4, 60)
    check_alive(app)
    assert grown < GROWTH
    assert not list(tmp_path.iterdir())
