"""Driving by hand in the window, without a screen: which key takes which action, and the strip that names them."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame
import pytest
from test_window import check_apart, press, run
from test_window_painting import an_app

from rlgrid.window.arithmetic import names_of
from rlgrid.window.driving import actions_of, keys_of, way_of
from rlgrid.window.places import catalogue, find_place


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


def driven(app):
    return [rest[1] for rest in app.link.sent if rest[0] == "drive"]


def test_driving_sends_actions_and_says_what_cannot_be_driven():
    app = an_app(agent="q_learning")
    press(app, pygame.K_m)
    assert (app.state.mode, app.state.playing) == ("drive", False)
    press(app, pygame.K_d)
    press(app, pygame.K_UP)
    assert [rest for rest in app.link.sent if rest[0] == "drive"] == [("drive", 1), ("drive", 0)]
    press(app, pygame.K_q)
    assert "no action" in app.state.notice
    press(app, pygame.K_ESCAPE)
    assert app.state.mode == "look"


def test_every_world_can_be_driven_by_keys_of_its_own():
    for world in [name for name, _ in catalogue() if name]:
        place = find_place(world)
        taken, at_once = keys_of(tuple(names_of(place.model, place.scene)))
        assert [one.action for one in taken] == list(range(place.model.num_actions))
        assert len({one.key for one in taken}) == len(taken), world
        assert at_once or place.model.num_actions > 10
        for one in taken:
            assert one.way or one.key == str(one.action), "the number that stands in the cells of the map"
        assert at_once or not any(one.way for one in taken)


def test_directions_by_their_names():
    assert [way_of(name) for name in ("north", "East", "up-left", "forward", "stay")] == [
        "up", "right", "up-left", "right", "stay"
    ]  # fmt: skip
    assert [way_of(f"{up:+d} up, {right:+d} right") for up, right in ((1, -1), (0, 1), (-1, 0), (0, 0))] == [
        "up-left", "right", "down", "stay"
    ]  # fmt: skip
    assert not any(map(way_of, ("pick up", "stake 3", "+1 to the second")))


def test_driving_by_directions_and_numbers():
    app = an_app("Taxi-v4", "q_learning", seconds=0.3)
    press(app, pygame.K_4)
    assert not driven(app)
    assert app.state.layer == "visits"
    press(app, pygame.K_m)
    before = app.state.snapshot.count
    for key in (pygame.K_UP, pygame.K_LEFT, pygame.K_4, pygame.K_KP5, pygame.K_0):
        press(app, key)
    assert driven(app) == [1, 3, 4, 5]
    assert app.state.layer == "visits"
    press(app, pygame.K_1)
    assert app.state.layer == "values", "a number that is no action's is the layer's"
    run(app, 0.3)
    assert app.state.snapshot.count == before + 4
    chip = next(control for control in app.scene.controls if control.name == "take:2")
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=chip.rect.center))
    assert driven(app)[-1] == 2
    press(app, pygame.K_m)
    app.draw()
    assert not any(control.name.startswith("take:") for control in app.scene.controls)


def test_numbered_actions_are_chosen_and_then_taken():
    app = an_app("GamblersProblem-v0", "q_learning", seconds=0.3)
    press(app, pygame.K_m)
    press(app, pygame.K_2)
    press(app, pygame.K_1)
    assert app.state.choice == 21
    press(app, pygame.K_RIGHT)
    press(app, pygame.K_RETURN)
    assert driven(app) == [22]
    press(app, pygame.K_9)
    press(app, pygame.K_9)
    assert app.state.choice == 9, "there is no action 99: the number begins anew"
    press(app, pygame.K_DOWN)
    assert app.state.choice == 8
    for digit, choice in ((pygame.K_5, 5), (pygame.K_0, 50), (pygame.K_5, 5), (pygame.K_1, 1)):
        press(app, digit)
        assert app.state.choice == choice, "50 is the last one: 51 begins anew"
    run(app, 0.1)
    assert "Enter takes it" in app.state.line


@pytest.mark.parametrize("world", ["Racetrack-v0", "JacksCarRental-v0", "FourRooms-v0"])
def test_the_strip_of_actions_has_room(world):
    app = an_app(world, "q_learning", size=(1280, 800), seconds=0.2)
    press(app, pygame.K_m)
    for size, drawer in (
        ((1280, 800), ""),
        ((800, 600), ""),
        ((800, 600), "left"),
        ((640, 480), ""),
        ((640, 480), "left"),
    ):
        app.handle(pygame.event.Event(pygame.VIDEORESIZE, size=size, w=size[0], h=size[1]))
        app.state.drawer = drawer
        app.draw()
        check_apart(app.scene, size)
        names = {control.name for control in app.scene.controls}
        taken, at_once = actions_of(app.state)
        wanted = {f"take:{one.action}" for one in taken} if at_once else {f"take:{app.state.choice}"}
        assert wanted <= names
        assert not any(
            r.colliderect(app.scene.map_place) for _, r in app.scene.texts if r.bottom > app.scene.regions.map.bottom
        )
