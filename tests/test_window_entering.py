"""Numbers that are typed in place of moving a slider, without a screen."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import math

import pygame
import pytest
from test_window import check_apart, press, run
from test_window_painting import an_app

from rlgrid.window.entering import BOUNDS


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


def click(app, name):
    app.draw()
    spot = next(control for control in app.scene.controls if control.name == name).rect.center
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=spot))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=spot))
    app.draw()


def write(app, words, then=pygame.K_RETURN):
    for letter in words:
        app.handle(pygame.event.Event(pygame.KEYDOWN, key=ord(letter), mod=0, unicode=letter))
        app.handle(pygame.event.Event(pygame.KEYUP, key=ord(letter), mod=0))
    press(app, then)


def changes(app):
    return [rest[1:3] for rest in app.link.sent if rest[0] == "change"]


def test_a_number_is_typed_exactly_and_undone_by_escape():
    app = an_app()
    click(app, "value:parameter:gamma")
    assert app.state.typing.text == "0.99"
    check_apart(app.scene, (1280, 800))
    write(app, "0.912345")
    assert app.state.typing is None
    assert changes(app) == [("gamma", 0.912345)]
    run(app, 0.3)
    assert app.state.parameter("gamma").value == 0.912345
    assert [(edit.symbol, edit.before, edit.after) for edit in app.state.edits] == [("γ", "0.99", "0.9123")]
    click(app, "value:parameter:slip")
    write(app, "0.3", pygame.K_ESCAPE)
    assert app.state.typing is None
    assert app.running
    assert len(changes(app)) == 1
    click(app, "value:parameter:slip")
    write(app, ".9", pygame.K_BACKSPACE)
    write(app, "25", pygame.K_TAB)
    assert changes(app)[-1] == ("slip", 0.25)


@pytest.mark.parametrize("words", ["1.4", "-0.1", "abc", "", "nan", "1e999"])
def test_what_cannot_be_is_refused_with_its_bounds(words):
    app = an_app()
    click(app, "value:parameter:gamma")
    write(app, words or "1", pygame.K_RETURN if words else pygame.K_BACKSPACE)
    press(app, pygame.K_RETURN)
    assert "Discount γ is a number from 0 to 1, not" in app.state.notice
    assert app.state.typing is not None, "it can be mended"
    assert not changes(app)
    click(app, "play")
    assert app.state.typing is None
    assert not app.state.playing, "the press acts all the same"


def test_a_press_elsewhere_takes_what_was_typed():
    app = an_app(agent="q_learning")
    click(app, "value:parameter:learning_rate")
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_1, mod=0, unicode="1"))
    click(app, "theme")
    assert changes(app) == [("learning_rate", 1.0)]
    assert app.state.theme == "light"


def test_speed_and_the_makings_of_a_map():
    app = an_app("made:wilson", "q_learning", seconds=0.2)
    click(app, "value:speed")
    write(app, "37")
    assert app.state.speed == 37.0
    click(app, "value:speed")
    write(app, "full")
    assert math.isinf(app.state.speed)
    click(app, "value:speed")
    assert app.state.typing.text == "full"
    write(app, "0")
    assert 'from 0.1 to 10,000,000, or "full", not 0' in app.state.notice
    press(app, pygame.K_ESCAPE)
    click(app, "value:made:seed")
    write(app, "123456")
    run(app, 0.2)
    assert app.state.making.seed == 123456
    click(app, "value:made:rows")
    write(app, "7.5")
    assert f"a whole number from 1 to {BOUNDS['rows'][1]}, not 7.5" in app.state.notice
    press(app, pygame.K_ESCAPE)
    press(app, pygame.K_e)
    click(app, "value:size:1")
    write(app, "17")
    run(app, 0.2)
    assert app.state.map_size == (15, 17)


def test_a_field_that_is_no_longer_seen_takes_no_keys():
    app = an_app(agent="q_learning")
    click(app, "value:parameter:learning_rate")
    app.do("paint")
    app.draw()
    app.resize((1280, 640))
    app.draw()
    press(app, pygame.K_1)
    assert app.state.typing is None
    assert not changes(app)


def test_the_keyboard_alone_types_a_number():
    app = an_app()
    while app.state.ring != "parameter:slip":
        press(app, pygame.K_TAB if app.state.ring else pygame.K_F6)
        app.draw()
    press(app, pygame.K_RETURN)
    write(app, "0.05")
    assert changes(app) == [("slip", 0.05)]


def test_tab_goes_on_to_the_next_agent_and_back():
    app = an_app()
    press(app, pygame.K_TAB)
    assert app.state.agent == "q_learning"
    assert "Q-learning" in app.state.notice
    press(app, pygame.K_TAB, pygame.KMOD_SHIFT)
    assert app.state.agent == "value_iteration"
    app.open("FourRooms-v0", "value_iteration", rivals=("q_learning",))
    run(app, 0.2)
    press(app, pygame.K_TAB)
    assert (app.state.lane, app.state.agent) == (1, "q_learning")
    press(app, pygame.K_w)
    lit = app.state.menu.lit
    press(app, pygame.K_TAB)
    assert app.state.menu.lit == lit + 1
    assert app.state.lane == 1
