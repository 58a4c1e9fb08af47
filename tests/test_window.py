"""The window without a screen: what the scene draws, what events do, and how simulated time goes by."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import math
import subprocess
import sys
from pathlib import Path

import cloudpickle
import gymnasium as gym
import numpy as np
import pygame
import pytest

import rlgrid
from rlgrid.theme import theme_of
from rlgrid.window import arithmetic, bar, bindings, numbers, plots, text
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.launch import check, film, parser
from rlgrid.window.layers import coloured
from rlgrid.window.local import LocalLink
from rlgrid.window.motion import appended
from rlgrid.window.places import catalogue, find_place
from rlgrid.window.scenario import Scenario
from rlgrid.window.scene import Scene, arrange
from rlgrid.window.state import Curve, Menu, Parameter, Snapshot, State, ValueHistory
from rlgrid.window.tour import Tour, plain_line
from rlgrid.window.widgets import Canvas

ROOT = Path(__file__).resolve().parent.parent
SIZES = [(800, 600), (1280, 800), (1920, 1200)]


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


def an_app(world="RussellNorvig4x3-v0", agent="value_iteration", size=(1280, 800), seconds=2.0, **settings):
    """An app in simulated time that has run for a while."""
    link = LocalLink()
    app = App(link, size, clock=link.clock, **settings)
    app.open(world, agent)
    run(app, seconds)
    return app


def run(app, seconds, step=0.1):
    for _ in range(round(seconds / step)):
        app.link.pass_time(step)
        app.update()
        app.update()
    return app.draw()


def press(app, key, modifiers=0):
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=key, mod=modifiers))
    app.handle(pygame.event.Event(pygame.KEYUP, key=key, mod=modifiers))


def click(app, name):
    control = next(c for c in app.scene.controls if c.name == name)
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=control.rect.center))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=control.rect.center))


def press_cell(app, row, column):
    """Click a cell of the map."""
    x, y = app.scene._layout.centre(row, column)
    at = (round(app.scene.map_place.left + x), round(app.scene.map_place.top + y))
    app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0)))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))


# --- the scene --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*SIZES, (640, 480), (1000, 700), (1100, 640), (1240, 760)])
@pytest.mark.parametrize("drawer", ["", "left", "right"])
def test_regions_fill_the_window_and_do_not_overlap(size, drawer):
    regions = arrange(size, drawer)
    rects = list(regions.all().values())
    window = pygame.Rect((0, 0), size)
    assert all(window.contains(rect) for rect in rects)
    for i, rect in enumerate(rects):
        assert rect.collidelist(rects[i + 1 :]) == -1
    assert sum(r.width * r.height for r in rects) == size[0] * size[1]
    if size[0] < bar.DRAWERS:
        assert regions.map.width >= size[0] / 2


def check_apart(scene, size):
    """No control overlaps another, no text another, and all of them are inside the window."""
    window = pygame.Rect((0, 0), size)
    for i, one in enumerate(scene.controls):
        assert window.contains(one.rect), one.name
        for other in scene.controls[i + 1 :]:
            overlap = one.rect.clip(other.rect)
            assert min(overlap.size) <= 1, f"{one.name} overlaps {other.name}"
    for i, (words, rect) in enumerate(scene.texts):
        assert window.contains(rect), f"{words!r} is clipped: {rect}"
        for other_words, other in scene.texts[i + 1 :]:
            overlap = rect.clip(other)
            assert min(overlap.size) <= 2, f"{words!r} overlaps {other_words!r}"


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("world", "agent"),
    [
        ("rlgrid/FourRooms-v0", "value_iteration"),
        ("rlgrid/WindyGridworldStochastic-v0", "q_learning"),
        ("rlgrid/CliffWalking-v1", "value_iteration"),
    ],
)
def test_nothing_overlaps_or_is_clipped(size, theme, world, agent):
    app = an_app(world, agent, size, 1.5, theme=theme)
    for drawer in ("", "left", "right"):
        if drawer and size[0] >= bar.DRAWERS:
            continue
        app.state.drawer = drawer
        for pinned in (None, int(app.state.model.start_states[0])):
            app.state.pinned = pinned
            picture = run(app, 0.1)
            assert picture.get_size() == size
            check_apart(app.scene, size)


def test_texts_end_inside_their_region():
    for size in SIZES:
        app = an_app("rlgrid/WindyGridworldStochastic-v0", "q_learning", size, 1.0)
        for words, rect in app.scene.texts:
            region = [name for name, r in app.scene.regions.all().items() if r.collidepoint(rect.center)]
            assert len(region) == 1
            assert app.scene.regions.all()[region[0]].contains(rect), words


@pytest.mark.parametrize("size", SIZES)
def test_help_lists_every_binding_and_fits(size):
    app = an_app(size=size, seconds=0.2)
    press(app, pygame.K_F1)
    app.draw()
    shown = [words for words, _ in app.scene.texts]
    for binding in bindings.BINDINGS:
        if binding.shown:
            assert binding.shown in shown
            assert binding.does in shown
    check_apart(app.scene, size)


def test_every_binding_has_its_own_key_and_a_command_that_the_app_knows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them saves a map
    keys = [(binding.mode, *key) for binding in bindings.BINDINGS for key in binding.keys]
    assert len(keys) == len(set(keys))
    app = an_app(seconds=0.5)
    before = repr(app.state)
    for binding in bindings.BINDINGS:
        if binding.command != "escape":
            key, modifiers = binding.keys[0]
            assert bindings.command_of(key, modifiers, binding.mode) == binding.command
            app.do(binding.command)
    assert repr(app.state) != before


def test_a_frame_is_drawn_again_only_where_something_changed():
    app = an_app(seconds=30.0)
    app.state.playing = False
    app.update()
    app.draw()
    app.draw()
    assert app.scene.changed == []
    app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=(600, 700), rel=(0, 0), buttons=(0, 0, 0)))
    press(app, pygame.K_3)
    app.draw()
    assert app.scene.regions.map in app.scene.changed
    assert app.scene.regions.left not in app.scene.changed


def test_the_same_state_gives_the_same_pixels_whatever_was_drawn_before():
    app = an_app(seconds=3.0)
    press_cell(app, 0, 0)
    app.update()
    drawn = pygame.image.tobytes(app.draw(), "RGB")
    assert pygame.image.tobytes(Scene().render(app.state, app.size), "RGB") != b""
    fresh = App(LocalLink(), app.size)
    fresh.state, fresh.input.pointer = app.state, app.input.pointer
    fresh.draw()
    assert pygame.image.tobytes(fresh.draw(), "RGB") == drawn


def test_themes_differ_and_use_their_background():
    app = an_app(seconds=0.5)
    dark = app.draw().get_at((210, 60))
    press(app, pygame.K_t)
    light = app.draw().get_at((210, 60))
    assert tuple(dark)[:3] == (0x0E, 0x11, 0x16)
    assert tuple(light)[:3] == (0xF4, 0xF5, 0xF7)


# --- what events do ---------------------------------------------------------------------------------------------------


def test_space_pauses_and_plays():
    app = an_app(seconds=1.0)
    press(app, pygame.K_SPACE)
    count = app.state.snapshot.count
    run(app, 1.0)
    assert app.state.snapshot.count == count
    press(app, pygame.K_SPACE)
    run(app, 1.0)
    assert app.state.snapshot.count == count + 8


def test_a_step_is_one_sweep_and_pauses():
    app = an_app(seconds=1.0)
    count = app.state.snapshot.count
    press(app, pygame.K_PERIOD)
    run(app, 0.5)
    assert not app.state.playing
    assert app.state.snapshot.count == count + 1
    press(app, pygame.K_PERIOD, pygame.KMOD_LSHIFT)
    run(app, 0.5)
    assert app.state.snapshot.count == count + 11


def test_an_episode_of_a_learner():
    app = an_app("CliffWalking-v1", "q_learning", seconds=0.2)
    episodes = app.link.engine.agent.episode_returns
    before = len(episodes)
    press(app, pygame.K_PERIOD, pygame.KMOD_LSHIFT)
    run(app, 0.1)
    assert len(episodes) == before + 1


def test_reset_forgets_and_keeps_the_parameters():
    app = an_app(seconds=2.0)
    app.link.send("change", "gamma", 0.9)
    run(app, 0.2)
    press(app, pygame.K_r)
    assert app.state.snapshot.count == 0
    press(app, pygame.K_SPACE)
    run(app, 0.2)
    assert app.state.snapshot.count <= 2
    assert app.state.parameter("gamma").value == 0.9
    press(app, pygame.K_r, pygame.KMOD_LSHIFT)
    run(app, 0.2)
    assert app.state.parameter("gamma").value == 1.0


def test_speed_by_keys_and_slider():
    app = an_app(seconds=0.2)
    press(app, pygame.K_EQUALS)
    assert app.state.speed > 8
    press(app, pygame.K_MINUS)
    press(app, pygame.K_MINUS)
    assert app.state.speed < 8
    slider = next(c for c in app.scene.controls if c.name == "speed")
    at = (slider.track[1], slider.rect.centery)
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=at))
    assert math.isinf(app.state.speed)
    assert math.isinf(app.link.engine.speed)


def test_dragging_a_slider_changes_the_world_and_is_noted():
    app = an_app("rlgrid/FourRooms-v0", seconds=1.0)
    slider = next(c for c in app.scene.controls if c.name == "parameter:gamma")
    y = slider.rect.centery
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(slider.track[1], y)))
    for x in range(slider.track[1], slider.track[0] + 40, -7):
        app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=(x, y), rel=(-7, 0), buttons=(1, 0, 0)))
        run(app, 0.1)
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=(slider.track[0] + 40, y)))
    count = app.state.snapshot.count
    run(app, 0.5)
    gamma = app.state.parameter("gamma")
    assert gamma.changed
    assert app.link.engine.model.gamma == gamma.value < 0.9
    assert app.state.snapshot.count > count  # learning goes on from what was known
    (edit,) = app.state.edits
    assert (edit.symbol, edit.before) == ("γ", "0.99")


def test_a_change_that_the_world_refuses_is_said_and_not_noted():
    app = an_app("rlgrid/SuttonBarto5x5-v0", seconds=0.5)
    slider = next(c for c in app.scene.controls if c.name == "parameter:gamma")
    at = (slider.track[1], slider.rect.centery)
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=at))
    run(app, 0.3)
    assert "gamma = 1" in app.state.notice
    assert app.state.edits == []
    assert app.state.parameter("gamma").value == 0.9
    assert not app.state.error


def test_menus_by_keys_and_pointer():
    app = an_app(seconds=0.5)
    press(app, pygame.K_a)
    press(app, pygame.K_DOWN)
    press(app, pygame.K_RETURN)
    run(app, 0.3)
    assert (app.state.agent, app.state.unit) == ("q_learning", "step")
    click(app, "world")
    app.draw()
    check_apart(Scene(), app.size)
    entry = [key for key, _ in app.state.menu.entries].index("rlgrid/CliffWalking-v1")
    click(app, f"entry:{entry}")
    run(app, 0.3)
    assert app.state.world == "rlgrid/CliffWalking-v1"
    assert app.state.model.shape == (4, 12)
    assert app.state.menu is None


@pytest.mark.parametrize("size", [(640, 480), *SIZES])
def test_the_menu_of_worlds_stays_within_the_window(size):
    app = an_app(size=size, seconds=0.0)
    press(app, pygame.K_w)
    app.draw()
    entries = [control.rect for control in app.scene.controls if control.name.startswith("entry:")]
    assert len(entries) == len(app.state.menu.shown) > 20
    assert all(pygame.Rect((0, 0), size).contains(rect) for rect in entries)
    assert all(not one.colliderect(other) for i, one in enumerate(entries) for other in entries[:i])


def test_shift_a_goes_through_the_agents():
    app = an_app(seconds=0.2)
    seen = []
    for _ in range(3):
        press(app, pygame.K_TAB)
        run(app, 0.2)
        seen.append(app.state.agent)
        assert not app.state.error
    assert seen == ["q_learning", "dqn", "sarsa"]


def test_layers():
    app = an_app(seconds=1.0)
    press(app, pygame.K_2)
    assert app.state.layer == "q"
    app.draw()
    press(app, pygame.K_2)
    assert app.state.layer == "values"
    press(app, pygame.K_3)
    assert not app.state.arrows
    click(app, "layer:error")
    assert app.state.layer == "error"
    assert coloured(app.state).name == "|V − V*|"
    press(app, pygame.K_l)
    locked = app.state.scale_lock
    run(app, 1.0)
    assert locked is not None
    assert app.state.scale_lock == locked


def test_escape_closes_what_is_open_and_then_the_window():
    app = an_app(seconds=0.5)
    press_cell(app, 0, 0)
    press(app, pygame.K_F1)
    for expected in ((False, True), (False, False)):
        press(app, pygame.K_ESCAPE)
        assert (app.state.help, app.state.pinned is not None) == expected
        assert app.running
    press(app, pygame.K_ESCAPE)
    assert not app.running


def test_escape_ends_a_mode_before_it_lets_a_cell_go():
    app = an_app(seconds=0.5)
    press_cell(app, 0, 0)
    press(app, pygame.K_e)
    for expected in (("look", True), ("look", False)):
        press(app, pygame.K_ESCAPE)
        assert (app.state.mode, app.state.pinned is not None) == expected
    assert app.running


def test_the_tour_waits_while_a_cell_is_read():
    state, tour = State(snapshot=Snapshot(count=90, finished=True), pinned=3), Tour()
    assert tour.update(state, 60.0) is None
    state.pinned = None
    assert tour.update(state, 60.0) == "q_learning"


def test_a_world_by_what_the_menu_calls_it():
    assert find_place("Taxi").name == "rlgrid/Taxi-v4"
    assert find_place("deep sea").name == "rlgrid/DeepSea-v0"
    note = find_place("random_walls").note
    assert note.count("Broadbent") == 1
    menu = Menu("world", catalogue())
    menu.narrow("deep sea")
    assert len(menu.shown) > 2
    assert menu.entries[menu.shown[menu.lit]][1] == "Deep sea"


def test_resizing_and_drawers():
    app = an_app(seconds=0.5)
    app.handle(pygame.event.Event(pygame.VIDEORESIZE, w=800, h=600, size=(800, 600)))
    press(app, pygame.K_RIGHTBRACKET)
    assert app.draw().get_size() == (800, 600)
    assert app.scene.regions.right.width
    app.handle(pygame.event.Event(pygame.VIDEORESIZE, w=300, h=200, size=(300, 200)))
    app.draw()
    assert app.size == (640, 480)
    app.handle(pygame.event.Event(pygame.VIDEORESIZE, w=1400, h=900, size=(1400, 900)))
    app.draw()
    assert app.state.drawer == ""


def test_random_events_raise_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # they may save a map
    rng = np.random.default_rng(0)
    app = an_app(seconds=0.5)
    keys = [key for binding in bindings.BINDINGS for key in binding.keys if binding.command != "escape"]
    for _ in range(400):
        kind = rng.integers(5)
        at = (int(rng.integers(app.size[0])), int(rng.integers(app.size[1])))
        if kind == 0:
            press(app, *keys[rng.integers(len(keys))])
        elif kind == 1:
            app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))
        elif kind == 2:
            app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=at))
        elif kind == 3:
            app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0)))
        elif rng.random() < 0.1:
            w, h = (int(n) for n in rng.integers([500, 400], [1500, 1000]))
            app.handle(pygame.event.Event(pygame.VIDEORESIZE, w=w, h=h, size=(w, h)))
        if app.state.speed > 1000:
            app.set_speed(8.0)
        app.link.pass_time(0.01)
        app.update()
        app.draw()
    assert not app.state.error
    assert app.running


# --- what is shown is true --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["value_iteration", "q_learning"])
@pytest.mark.parametrize("world", ["rlgrid/FourRooms-v0", "rlgrid/FrozenLake-v1", "rlgrid/WindyGridworldStochastic-v0"])
def test_the_inspector_adds_up(world, agent):
    app = an_app(world, agent, seconds=3.0)
    press(app, pygame.K_SPACE)
    state = app.state
    free = np.flatnonzero(~np.asarray(state.model.absorbing))
    gamma = state.parameter("gamma").value
    for focus in free[:: max(1, free.size // 6)].tolist():
        state.pinned = focus
        app.update()
        app.update()
        for action, outcomes in enumerate(state.outcomes[focus]):
            terms = arithmetic.backup_terms(outcomes, arithmetic.read_values(state))
            assert math.isclose(sum(term.probability for term in terms), 1.0, rel_tol=1e-12)
            if agent == "value_iteration":
                shown = state.snapshot.q_values[focus, action]
                assert math.isclose(arithmetic.backup(terms, gamma), shown, rel_tol=1e-12, abs_tol=1e-12)
        if agent == "value_iteration":
            assert math.isclose(state.snapshot.q_values[focus].max(), state.snapshot.values[focus], rel_tol=1e-12)


def test_states_that_nothing_has_reached_have_no_arrow():
    app = an_app("rlgrid/FourRooms-v0", seconds=0.5)
    greedy, values = app.state.snapshot.greedy, app.state.snapshot.values
    untouched = (values == 0) & ~np.asarray(app.state.model.absorbing)
    assert untouched.any()
    assert not greedy[untouched].any()
    assert greedy[values > 0].any(axis=1).all()


def test_the_curves_of_value_iteration():
    app = an_app("rlgrid/RussellNorvig4x3-v0", seconds=12.0)
    assert app.state.snapshot.converged
    assert app.state.error_curve.last <= 1e-6
    assert app.state.regret_curve.last == 0.0
    assert app.state.return_curve.points


def test_the_tour_goes_from_agent_to_agent_until_something_is_chosen():
    app = an_app("RussellNorvig4x3-v0", seconds=9.5, tour=True)
    assert app.state.agent == "q_learning"
    assert app.state.touring
    press(app, pygame.K_SPACE)
    assert app.tour is not None  # pausing leaves the tour alone
    press(app, pygame.K_SPACE)
    press(app, pygame.K_EQUALS)
    assert app.tour is None
    run(app, 8.0)
    assert app.state.agent == "q_learning"


@pytest.mark.parametrize("by", ["R", "Space"])
def test_a_world_that_the_agent_refuses_is_said_in_words(by):
    app = an_app(seconds=0.5)
    app.link.engine.agent.advance = None  # whatever goes wrong in the worker
    run(app, 0.5)
    assert app.state.error
    picture = app.draw()
    assert any("The agent stopped" in words for words, _ in app.scene.texts)
    assert picture.get_size() == app.size
    assert not app.state.playing, "nothing runs, and the button says so"
    again = pygame.K_r if by == "R" else pygame.K_SPACE
    press(app, again)
    run(app, 0.5)
    assert not app.state.error
    assert app.state.playing
    assert app.state.snapshot.count > 0


def test_find_place_names_the_nearest():
    assert find_place("FourRooms-v0").model.shape == (13, 13)
    assert find_place("four_rooms").name == "rlgrid/FourRooms-v0"
    with pytest.raises(ValueError, match="did you mean"):
        find_place("FourRoms")
    with pytest.raises(FileNotFoundError, match="no map file"):
        find_place("missing.toml")


def test_a_map_file_is_a_world(tmp_path):
    from rlgrid.gridmap import GridSpec

    path = tmp_path / "mine.toml"
    GridSpec.builtin("dyna_maze").save(path)
    app = an_app(str(path), seconds=1.0)
    assert app.state.model.shape == (6, 9)
    assert app.state.snapshot.count > 0


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_numbers():
    assert numbers.fixed(-0.0581, 4) == "−0.0581"
    assert numbers.fixed(-0.00001, 4) == "0.0000"
    assert numbers.short(0.031) == "3.1e-2"
    assert numbers.short(0.184) == "0.184"
    assert numbers.speed(8.0, "sweep") == "8 sweeps/s"
    assert numbers.speed(1000.0, "step") == "1,000 steps/s"
    assert numbers.speed(math.inf, "step") == "full speed"
    assert numbers.speed(1.0, "sweep") == "1 sweep/s"
    assert plots.percent(0.184) == "18.4 %"
    assert plots.percent(0.0081e-2) == "0.0081 %"
    assert plots.percent(-4.1e-7) == "−4.1e-5 %"
    assert plots.percent(1e-17) == "< 1e-7 %"


@pytest.mark.parametrize("unit", ["sweep", "step"])
def test_speed_slider_goes_both_ways(unit):
    low, high = bar.speed_range(unit)
    for speed in (low, 8.0, high / 4, high):
        assert bar.speed_at(bar.speed_part(speed, unit), unit) == pytest.approx(speed, rel=0.06)
    assert math.isinf(bar.speed_at(1.0, unit))


def test_curves_stay_small_and_end_at_the_present():
    curve, history = Curve(most=50), ValueHistory(most=20)
    for x in range(1000):
        curve.add(x, x * 2.0)
        history.add(x, np.full(3, float(x)))
    assert len(curve.points) <= 51
    assert curve.points[0] == (0, 0.0)
    assert curve.last == 1998.0
    points = history.of(1)
    assert len(points) <= 21
    assert points[-1] == (999, 999.0)


def test_a_walk_is_followed_through_every_cell():
    assert appended((1, 2, 3), (1, 2, 3, 4, 5)) == (4, 5)
    assert appended((1, 2, 3), (2, 3, 4)) == (4,)
    assert appended((1, 2, 3), (1, 2, 3)) == ()
    assert appended((1, 2, 3), (9,)) is None
    app = an_app("rlgrid/RussellNorvig4x3-v0", seconds=8.0)
    before = app.state.walker_at
    for _ in range(120):
        app.link.pass_time(1 / 60)
        app.update()
        at = app.state.walker_at
        moved = abs(at[0] - before[0]) + abs(at[1] - before[1])
        assert moved < 0.7 or app.state.snapshot.trail == (app.state.snapshot.walker,)  # or a new walk begins
        before = at


def test_parameters_round_to_what_is_shown():
    gamma = Parameter("gamma", "Discount", "world", 0.95, low=0.5, high=1.0, digits=4, grain=3, initial=0.99)
    assert gamma.shown == "0.95"
    assert gamma.changed
    assert gamma.at(gamma.part) == 0.95
    tolerance = Parameter("tolerance", "Tolerance", "agent", 1e-6, low=1e-9, high=1e-1, log=True, initial=1e-6)
    assert tolerance.shown == "1e-6"
    assert tolerance.at(tolerance.part) == pytest.approx(1e-6)


def test_words_are_fitted_and_wrapped():
    assert text.fit("short", 200) == "short"
    fitted = text.fit("a rather long line of words", 80)
    assert fitted.endswith("…")
    assert text.width(fitted) <= 80
    lines = text.wrap("one two three four five six seven eight", 90)
    assert " ".join(lines) == "one two three four five six seven eight"
    assert all(text.width(line) <= 90 for line in lines)


# --- play.py ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lesson", "status"), [("list", 0), ("none", 2)])
def test_the_prompt_does_not_wait_for_the_interpreter_to_be_taken_apart(lesson, status):
    program = (
        "import atexit, runpy, sys; atexit.register(print, 'taken apart'); "
        f"sys.argv = ['play.py', '--lesson', {lesson!r}]; "
        f"runpy.run_path({str(ROOT / 'play.py')!r}, run_name='__main__')"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.returncode == status
    assert ("cliff" in found.stdout) == (status == 0)  # what was said has arrived
    assert ("play.py:" in found.stderr) == (status == 2)
    assert "taken apart" not in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "12"], "--size must be"),
        (["--speed", "-3"], "--speed must be"),
        (["--record", "film.avi"], "writes .gif, .png, .mp4"),
        (["--seconds", "0", "--record", "a.gif"], "must be positive"),
    ],
)
def test_options_are_checked(arguments, words):
    with pytest.raises(ValueError, match=words):
        check(parser().parse_args(arguments))


def test_films_come_out_alike_and_a_png_is_the_last_frame(tmp_path):
    def begin(app):
        app.open("RussellNorvig4x3-v0", "value_iteration")

    settings = ((800, 600), "dark", 0, True, 0.5)
    first, second = film(None, begin, *settings), film(None, begin, *settings)
    assert len(first) == 5
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[-1])
    target = tmp_path / "last.png"
    film(target, begin, *settings)
    shown = pygame.surfarray.array3d(pygame.image.load(str(target))).swapaxes(0, 1)
    assert np.array_equal(shown, first[-1])


class Right:
    """An object with predict and nothing else."""

    def predict(self, observation):
        return 1, None


def test_watch_returns_frames_or_writes_them(tmp_path, monkeypatch):
    import gymnasium

    import rlgrid

    env = gymnasium.make("rlgrid/CliffWalking-v1")
    agent = rlgrid.agents.QLearning(env, seed=0)
    frames = rlgrid.watch(env, agent, size=(800, 600), seconds=0.5)
    assert [frame.shape for frame in frames] == [(600, 800, 3)] * 5
    assert agent.num_timesteps == 0  # the caller's agent stays as it is
    target = tmp_path / "acting.png"
    assert rlgrid.watch(env, Right(), size=(800, 600), seconds=0.5, record=target) is None
    assert target.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    cart = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    (shown,) = rlgrid.watch(cart, Right(), size=(800, 600), seconds=0.1)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
    with pytest.raises(TypeError, match="predict"):
        rlgrid.watch(env, object())
    with pytest.raises(ValueError, match="gif"):
        rlgrid.watch(env, agent, record="film.webm")


def test_a_policy_of_a_script_is_valued_exactly():
    import gymnasium

    from rlgrid import policy_values
    from rlgrid.window.actors import Acting

    env = gymnasium.make("rlgrid/FrozenLake-v1")
    acting = Acting(env, Right())
    assert acting.advance(50) == 50
    assert len(acting.episode_returns) > 0
    assert np.array_equal(acting.policy, np.ones(16))
    exact = policy_values(env.unwrapped.model, acting.policy)
    assert np.allclose(acting.values, exact, atol=1e-12)
    free = ~env.unwrapped.model.absorbing
    assert np.allclose(acting.q_values[free, 1], exact[free], atol=1e-9)


def test_play_writes_a_gif_without_a_display(tmp_path):
    without = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "NUMBA_DISABLE_JIT")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    done = subprocess.run(
        [sys.executable, str(ROOT / "play.py"), "--size", "800x600", "--frames", "4"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "no display" in done.stdout
    assert done.stderr == ""
    data = (tmp_path / "play.gif").read_bytes()
    assert data[:6] == b"GIF89a"
    assert int.from_bytes(data[6:8], "little") == 800


def test_play_says_what_is_wrong(tmp_path):
    target = tmp_path / "x.gif"
    done = subprocess.run(
        [sys.executable, str(ROOT / "play.py"), "--world", "FourRoms", "--record", str(target)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists()


def test_the_window_opens_before_its_rasteriser_is_there():
    code = (
        "import os, sys; os.environ['SDL_VIDEODRIVER'] = 'dummy'\n"
        "import rlgrid.window.launch\n"
        "assert 'pygame' not in sys.modules\n"
        "from rlgrid.window.app import App\n"
        "class Link:\n"
        "    run = 0\n"
        "    def load(self, *a): pass\n"
        "    def send(self, *a): pass\n"
        "    def receive(self): return []\n"
        "app = App(Link()); app.open('FourRooms-v0', 'value_iteration')\n"
        "app.scene.ready = lambda: False\n"
        "app.update(); before = app.draw().copy()\n"
        "assert 'numba' not in sys.modules\n"
        "from rlgrid.window.preparing import Preparation\n"
        "preparation = Preparation(); app.scene.ready = preparation.ready\n"
        "import time\n"
        "while not preparation.ready(): time.sleep(0.01)\n"
        "app.draw()\n"
        "assert app.scene.regions.map in app.scene.changed\n"
        "preparation.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_two_pygames_are_named_with_the_remedy(monkeypatch):
    import importlib.metadata

    from rlgrid.window import launch

    assert launch.two_pygames() == ""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.6.1")
    words = launch.two_pygames()
    assert "pygame 2.6.1 and pygame-ce 2.6.1" in words
    assert "pip uninstall" in words


def test_a_state_without_anything_can_be_drawn():
    for size in SIZES:
        assert Scene().render(State(), size).get_size() == size


@pytest.mark.filterwarnings("ignore:rounding forbids")
def test_a_tolerance_beyond_rounding_ends_and_says_so():
    engine = Engine(Scenario(settings={"tolerance": 1e-18}), patient=True)
    for _ in range(10):
        engine.advance(500)
    assert engine.finished
    assert not engine.converged
    state = State(playing=True, agent="value_iteration", snapshot=engine.snapshot())
    assert "Rounding forbids" in plain_line(state)
    engine.change("tolerance", 1e-6)
    engine.advance(5)
    assert engine.converged


class Renumbered(gym.ObservationWrapper):
    def observation(self, observation):
        return self.observation_space.n - 1 - observation


class Doubled(gym.RewardWrapper):
    def reward(self, reward):
        return 2.0 * reward


def test_only_what_belongs_to_the_model_is_drawn_on_it():
    for wrapper, drawn in ((Renumbered, False), (Doubled, True)):
        env = wrapper(gym.make("rlgrid/FourRooms-v0"))
        agent = rlgrid.agents.QLearning(env, seed=0)
        engine = Engine(Scenario(pickled=cloudpickle.dumps((env, agent))), patient=True)
        engine.advance(100)
        assert (engine.model is not None) == drawn
        assert engine.referee is None, "neither is judged: the rewards or the states are not the model's"
        engine.snapshot()


def test_a_key_held_down_repeats_steps_and_nothing_else():
    app = an_app(seconds=0.5)
    press(app, pygame.K_SPACE)
    assert not app.state.playing
    for _ in range(5):  # as the keyboard repeats it
        app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE, mod=0))
    assert app.state.playing, "toggled once"
    app.handle(pygame.event.Event(pygame.KEYUP, key=pygame.K_SPACE, mod=0))
    press(app, pygame.K_SPACE)
    run(app, 0.3)
    before = app.state.snapshot.count
    for _ in range(5):
        app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_PERIOD, mod=0))
    run(app, 0.5)
    assert app.state.snapshot.count == before + 5
    press(app, pygame.K_w)
    for _ in range(5):
        app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE, mod=0))
    assert app.state.menu is None
    assert app.running, "the menu was closed, and not the window behind it"


def test_the_first_sweep_by_hand_shows_all_of_it():
    heard = []
    engine = Engine(Scenario(), heard.append)
    engine.playing = False
    assert heard[-1] == "", "built, and nothing is going on"
    engine.obey("step")
    shot = engine.snapshot()
    assert shot.count == 1
    assert shot.greedy.any(axis=1).sum() == 3, "arrows in the three cells beside the goal"
    assert shot.q_values is not None
    assert heard[-1] == ""
    engine = Engine(Scenario())
    engine.playing = False
    engine.obey("episode")
    assert engine.snapshot().count == 10


@pytest.mark.parametrize(
    ("width", "world", "agent"),
    [
        (1280, "Maximization bias", "Double Q-learning"),
        (1280, "Wilson's maze, 21 x 21", "Double Q-learning"),
        (1280, "Windy gridworld, king's moves", "Sarsa(λ)"),
        (800, "Maximization bias", "Double Q-learning"),
        (800, "Wilson's maze, 21 x 21", "Q-learning"),
        (1920, "Windy gridworld, king's moves and gusts", "True online TD(λ), prediction"),
    ],
)
def test_long_names_have_room_in_the_bar(width, world, agent):
    for titles in ((world, agent), (agent, world)):
        canvas = Canvas(pygame.Surface((width, bar.height(width))), theme_of("dark"))
        state = State(model=1, unit="step", speed=100_000.0, world_title=titles[0], agent_title=titles[1])
        bar.paint(canvas, state)
        assert {world, agent, "100,000 steps/s"} <= {words for words, _ in canvas.texts}
        check_apart(canvas, canvas.rect.size)
