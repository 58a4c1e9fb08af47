"""Painting and the keyboard's ring in the window, without a screen."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from itertools import pairwise

import numpy as np
import pygame
import pytest
from test_window import check_apart, press, run

import rlgrid
from rlgrid.gridmap import GridSpec
from rlgrid.window import editing, scaling, shapes, side
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink
from rlgrid.window.painting import between, free_name
from rlgrid.window.scaling import usual


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


class Recorder(LocalLink):
    """A link that remembers what was sent."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def send(self, name, *rest):
        self.sent.append((name, *rest))
        super().send(name, *rest)


def an_app(world="FourRooms-v0", agent="value_iteration", size=(1280, 800), seconds=0.5):
    link = Recorder()
    app = App(link, size, clock=link.clock)
    app.open(world, agent)
    run(app, seconds)
    return app


def at(app, row, column):
    x, y = app.scene._layout.centre(row, column)
    return round(app.scene.map_place.left + x), round(app.scene.map_place.top + y)


def drag(app, *cells, button=1):
    spots = [at(app, *cell) for cell in cells]
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=button, pos=spots[0]))
    for spot in spots[1:]:
        app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=spot, rel=(0, 0), buttons=(1, 0, 0)))
    app.draw()
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=button, pos=spots[-1]))


def rows(app):
    return app.painter.editor.spec.rows


CTRL, SHIFT = pygame.KMOD_CTRL, pygame.KMOD_SHIFT


def test_a_drag_is_one_stroke_with_no_gaps_and_one_undo():
    app = an_app()
    press(app, pygame.K_e)
    before = rows(app)
    drag(app, (2, 2), (2, 5), (4, 5))
    assert [rows(app)[r][c] for r, c in ((2, 2), (2, 3), (2, 4), (2, 5), (3, 5), (4, 5))] == ["#"] * 6
    assert [name for name, *_ in app.link.sent].count("remap") == 1
    name, text, words = app.link.sent[-1]
    assert (name, words) == ("remap", "wall, 6 cells")
    assert rlgrid.GridSpec.parse(text).rows == rows(app)
    run(app, 0.2)
    assert app.state.edits[-1].after == "wall, 6 cells"
    press(app, pygame.K_z, CTRL)
    assert rows(app) == before
    press(app, pygame.K_y, CTRL)
    assert rows(app)[2][3] == "#"
    press(app, pygame.K_z, CTRL | SHIFT)
    assert "nothing to do again" in app.state.notice


def test_the_right_button_paints_floor():
    app = an_app()
    press(app, pygame.K_e)
    drag(app, (0, 3), (0, 4), button=3)
    assert rows(app)[0][3:5] == ".."


def test_the_keyboard_paints_with_a_cursor_and_chooses_brushes():
    app = an_app()
    press(app, pygame.K_e)
    assert app.state.cursor == (1, 1)  # the start
    for key in (pygame.K_RIGHT, pygame.K_DOWN):
        press(app, key)
    press(app, pygame.K_RETURN)
    assert rows(app)[2][2] == "#"
    press(app, pygame.K_RIGHT, SHIFT)
    press(app, pygame.K_RIGHT, SHIFT)
    assert rows(app)[2][2:5] == "###"
    press(app, pygame.K_DELETE)
    assert rows(app)[2][2:5] == "##."
    press(app, pygame.K_PAGEDOWN)
    assert app.state.brush == "floor"
    press(app, pygame.K_PAGEUP)
    press(app, pygame.K_PAGEUP)
    assert app.state.brush == "thin wall"
    for _ in range(40):
        press(app, pygame.K_UP)
    assert app.state.cursor[0] == 0
    press(app, pygame.K_ESCAPE)
    assert (app.state.mode, app.running) == ("look", True)


def test_what_the_language_refuses_is_said_and_changes_nothing():
    app = an_app()
    press(app, pygame.K_e)
    before = rows(app)
    drag(app, (1, 1))
    assert "needs a start" in app.state.notice
    assert rows(app) == before
    assert "remap" not in [name for name, *_ in app.link.sent]


def test_a_goal_out_of_reach_is_said_and_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = an_app("RussellNorvig4x3-v0")
    press(app, pygame.K_e)
    drag(app, (0, 2))
    drag(app, (1, 2))
    drag(app, (2, 2))
    assert "open a way" in app.state.missing
    press(app, pygame.K_s, CTRL)
    assert "cannot be saved yet" in app.state.notice
    assert not list(tmp_path.iterdir())


def test_a_map_in_which_no_goal_is_left_is_warned_of_and_what_is_undone_needs_no_saving():
    app = an_app()
    press(app, pygame.K_e)
    assert not app.painter.unsaved
    row, column = next((r, line.index("G")) for r, line in enumerate(rows(app)) if "G" in line)
    drag(app, (row, column), button=3)
    run(app, 0.1)
    assert app.state.line == "Not finished: no goal is left."
    assert app.state.unsaved
    press(app, pygame.K_z, CTRL)
    run(app, 0.1)
    assert app.state.missing == ""
    assert not app.state.unsaved
    assert not app.painter.unsaved
    press(app, pygame.K_y, CTRL)
    assert app.painter.unsaved


def test_a_painted_world_comes_after_the_one_that_it_was_painted_on():
    app = an_app()
    press(app, pygame.K_e)
    drag(app, (2, 2))
    for typed in ("FourRooms", "four rooms", "fourroo", "rlgrid/FourRooms-v0"):
        app.do("worlds")
        menu = app.state.menu
        menu.narrow(typed)
        assert [menu.entries[n][0] for n in menu.shown][:1] == ["rlgrid/FourRooms-v0"], typed
        assert "rlgrid/FourRooms-v0, painted" in [menu.entries[n][0] for n in menu.shown]
        app.do("worlds")


def test_a_saved_map_is_the_world_that_was_painted_and_no_file_is_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = an_app()
    app.state.parameters = [p if p.name != "gamma" else pygame_free(p, 0.9) for p in app.state.parameters]
    press(app, pygame.K_e)
    app.do("brush:ice")
    drag(app, (2, 2), (2, 4))
    press(app, pygame.K_s, CTRL)
    press(app, pygame.K_s, CTRL)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["four_rooms_painted-2.toml", "four_rooms_painted.toml"]
    again = rlgrid.GridSpec.load(tmp_path / names[1]).compile()
    np.testing.assert_array_equal(again.tiles, app.state.model.tiles)
    assert [kind.slip for kind in again.kinds] == [kind.slip for kind in app.state.model.kinds]
    assert again.gamma == 0.9
    other = an_app(str(tmp_path / names[1]))
    np.testing.assert_array_equal(other.state.model.tiles, app.state.model.tiles)
    assert free_name("Four rooms, painted", tmp_path).name == "four_rooms_painted-3.toml"


def pygame_free(parameter, value):
    from dataclasses import replace

    return replace(parameter, value=value)


def test_the_original_world_stays_in_the_menu_and_undo_outlives_another_world():
    app = an_app()
    press(app, pygame.K_e)
    drag(app, (2, 2))
    painted = app.place.name
    app.open("RussellNorvig4x3-v0", "value_iteration")
    app.open("FourRooms-v0", "value_iteration")
    assert rows(app)[2][2] == "."
    app.open(next(p for p in app.custom if p.name == painted), "value_iteration")
    assert rows(app)[2][2] == "#"
    press(app, pygame.K_z, CTRL)
    assert rows(app)[2][2] == "."


def test_sizes_and_new_maps():
    app = an_app()
    press(app, pygame.K_e)
    app.draw()
    app.input.nudge("size:0", 0.02)
    assert len(rows(app)) == 14
    press(app, pygame.K_z, CTRL)
    assert len(rows(app)) == 13
    app.do("new")
    assert (len(rows(app)), app.state.world_title, app.state.mode) == (13, "New map", "paint")
    app.do("new")
    assert app.state.world_title == "New map 2"


def test_escape_speaks_of_a_map_that_is_not_saved_once():
    app = an_app()
    press(app, pygame.K_e)
    drag(app, (2, 2))
    press(app, pygame.K_ESCAPE)
    press(app, pygame.K_ESCAPE)
    assert app.running
    assert "not saved" in app.state.notice
    press(app, pygame.K_ESCAPE)
    assert not app.running


@pytest.mark.parametrize("size", [(800, 600), (1280, 800), (640, 480), (1920, 1200)])
@pytest.mark.parametrize("world", ["FourRooms-v0", "KeyDoor-v0", "PuddleWorld-v0"])
def test_the_palette_has_room(size, world):
    app = an_app(world, size=size, seconds=0.2)
    press(app, pygame.K_e)
    for brush in ("wall", "goal"):
        app.do(f"brush:{brush}")
        app.state.drawer = "left" if size[0] < 1000 else ""
        app.draw()
        check_apart(app.scene, size)
        names = {control.name for control in app.scene.controls}
        assert {f"brush:{b.key}" for b in app.state.palette} <= names or size[1] < 600
        assert {"brush:wall", "brush:thin wall", "undo", "save"} <= names or size[1] < 600


def test_the_ring_reaches_every_control_and_acts():
    app = an_app()
    app.draw()
    names = list(dict.fromkeys(control.name for control in app.scene.in_order()))
    assert set(names) == {control.name for control in app.scene.controls}
    places = {control.name: control.rect for control in app.scene.controls}
    in_bar = [name for name in names if app.scene.regions.bar.collidepoint(places[name].center)]
    assert in_bar == names[: len(in_bar)] == sorted(in_bar, key=lambda name: places[name].left)
    sliders = [name for name in names if name.startswith("parameter:")]
    assert sliders == sorted(sliders, key=lambda name: places[name].top)
    reached = []
    for number in range(len(names)):
        press(app, pygame.K_TAB if number else pygame.K_F6)
        app.draw()
        reached.append(app.state.ring)
    assert reached == names
    press(app, pygame.K_TAB, SHIFT)
    assert app.state.ring == names[-2]
    app.state.ring = "theme"
    press(app, pygame.K_SPACE)
    assert app.state.theme == "light"
    assert app.state.playing
    app.state.ring = "parameter:gamma"
    before = app.state.parameter("gamma").value
    press(app, pygame.K_LEFT)
    assert app.state.parameter("gamma").value < before
    assert app.link.sent[-1][:2] == ("change", "gamma")
    press(app, pygame.K_DOWN)
    assert app.state.ring != "parameter:gamma"
    press(app, pygame.K_ESCAPE)
    press(app, pygame.K_SPACE)
    assert not app.state.playing


def test_the_ring_is_drawn():
    app = an_app()
    plain = pygame.image.tobytes(app.draw(), "RGB")
    app.state.ring = "play"
    assert pygame.image.tobytes(app.draw(), "RGB") != plain
    app.state.ring = ""
    assert pygame.image.tobytes(app.draw(), "RGB") == plain


def test_typing_filters_a_menu():
    app = an_app()
    press(app, pygame.K_w)
    for letter in "cliff s":
        app.handle(pygame.event.Event(pygame.KEYDOWN, key=ord(letter), mod=0, unicode=letter))
        app.handle(pygame.event.Event(pygame.KEYUP, key=ord(letter), mod=0))
    menu = app.state.menu
    assert [menu.entries[n][1] for n in menu.shown] == ["Cliff walking, slippery"]
    app.draw()
    press(app, pygame.K_RETURN)
    assert app.state.world == "rlgrid/CliffWalkingSlippery-v1"
    press(app, pygame.K_w)
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_z, mod=0, unicode="zzz"))
    app.draw()
    press(app, pygame.K_RETURN)
    assert not app.state.menu.shown
    press(app, pygame.K_BACKSPACE)


def test_lines_between_cells():
    assert between((0, 0), (0, 3)) == [(0, 1), (0, 2), (0, 3)]
    cells = [(5, 2), *between((5, 2), (0, 9))]
    assert all(max(abs(a - c), abs(b - d)) == 1 for (a, b), (c, d) in pairwise(cells))


@pytest.mark.parametrize(
    "world",
    [
        "rlgrid/RiverSwim-v0",
        "deep_sea",
        "MaximizationBias-v0",
        "rlgrid/RandomFrozenLake-v0",
        "made:wilson",
        "GamblersProblem-v0",
    ],
)
@pytest.mark.parametrize("agent", ["value_iteration", "q_learning"])
def test_worlds_that_are_no_maps_of_the_package_run(world, agent):
    app = an_app(world, agent, seconds=0.3)
    assert not app.state.error
    assert app.state.snapshot.count > 0
    assert app.state.model.num_states == app.state.snapshot.values.size
    press(app, pygame.K_e)
    press(app, pygame.K_m)
    assert app.state.world_note


def test_the_menu_has_every_world_and_fits():
    for size in ((800, 600), (1280, 800), (640, 480)):
        app = an_app(size=size)
        press(app, pygame.K_w)
        app.draw()
        window = pygame.Rect((0, 0), size)
        entries = [c for c in app.scene.controls if c.name.startswith("entry:")]
        assert len(entries) == len([key for key, _ in app.state.menu.entries if key]) > 50
        assert all(window.contains(entry.rect) for entry in entries)
        for i, entry in enumerate(entries):
            assert entry.rect.collidelist([other.rect for other in entries[i + 1 :]]) == -1


def test_a_generated_map_takes_a_size_and_a_seed():
    app = an_app("made:wilson")
    app.draw()
    first = app.state.model.tiles.copy()
    app.input.nudge("made:seed", 0.05)
    assert app.state.making.seed > 0
    assert not np.array_equal(first, app.state.model.tiles)
    app.draw()
    app.input.nudge("made:rows", 0.05)
    assert app.state.model.shape[0] > 15
    press(app, pygame.K_e)
    app.draw()
    drag(app, (0, 1), (0, 2), button=3)
    assert app.state.making is None
    assert app.place.painted
    app.open(app.made["made:wilson"], "value_iteration")
    assert app.state.making is not None


def test_a_dropped_map_file_is_opened(tmp_path):
    (tmp_path / "tiny.toml").write_text("map = '''\nS.G\n'''\n")
    app = an_app()
    app.handle(pygame.event.Event(pygame.DROPFILE, file=str(tmp_path / "tiny.toml")))
    assert app.state.model.num_states == 3
    app.handle(pygame.event.Event(pygame.DROPFILE, file=str(tmp_path / "none.toml")))
    assert "no map file" in app.state.notice
    assert app.state.model.num_states == 3


@pytest.mark.parametrize("scale", [0.75, 1.0, 1.25, 2.0, 3.0])
@pytest.mark.parametrize("size", [(800, 600), (1280, 800), (3840, 2160)])
def test_at_every_scale_nothing_overlaps_and_the_pointer_finds_what_it_sees(size, scale):
    app = an_app(size=size, seconds=0.2)
    app.rescale(scale)
    picture = app.draw()
    assert picture.get_size() == size
    layout = app.scene.layout_size(size)
    assert layout[0] >= 640
    assert layout[1] >= 480
    check_apart(app.scene, layout)
    theme = next(c for c in app.scene.controls if c.name == "theme").rect
    spot = (round(theme.centerx * app.scene.scale), round(theme.centery * app.scene.scale))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=spot))
    assert app.state.theme == "light"
    press(app, pygame.K_e)
    app.draw()
    spot = tuple(round(place * app.scene.scale) for place in at(app, 2, 3))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=spot))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=spot))
    assert rows(app)[2][3] == "#"
    press(app, pygame.K_F1)
    app.draw()
    check_apart(app.scene, layout)


def test_keys_change_the_scale():
    app = an_app(size=(1920, 1200))
    for _ in range(3):
        press(app, pygame.K_EQUALS, CTRL)
    assert app.scene.scale == 1.5
    press(app, pygame.K_MINUS, CTRL)
    assert app.scene.scale == 1.25
    press(app, pygame.K_0, CTRL)
    assert app.scene.scale == 1.0
    for _ in range(20):
        press(app, pygame.K_EQUALS, CTRL)
        app.draw()
    assert app.scene.scale == 2.5  # 1200 pixels have room for 480 of the layout
    app.handle(pygame.event.Event(pygame.VIDEORESIZE, w=800, h=600))
    app.draw()
    assert app.scene.scale == 1.25


def test_windows_open_at_a_sensible_scale():
    assert [usual(size) for size in ((800, 600), (1280, 800), (1920, 1200), (2560, 1440), (3840, 2160))] == [
        1.0,
        1.0,
        1.0,
        1.25,
        2.0,
    ]


def test_a_crash_loses_nothing(monkeypatch):
    app = an_app()
    press(app, pygame.K_e)
    drag(app, (2, 2), (2, 4))
    painted = rows(app)
    app.input.nudge("parameter:gamma", -0.1)
    run(app, 0.2)
    gamma = app.state.parameter("gamma").value
    assert gamma < 0.95

    def broken(seconds):
        raise RuntimeError("a sum of probabilities is 1.1")

    monkeypatch.setattr(app.link.engine, "tick", broken)
    run(app, 0.2)
    assert "1.1" in app.state.error
    app.draw()
    shown = " ".join(words for words, _ in app.scene.texts)
    assert "Try again (R)" in shown
    assert "Map and numbers are kept" in shown
    press(app, pygame.K_r)
    run(app, 0.5)
    assert not app.state.error
    assert rows(app) == painted
    assert app.link.engine.model.tiles[2, 3] == app.link.engine.model.tiles[0, 0]
    assert app.state.parameter("gamma").value == gamma
    assert app.state.snapshot.count > 0


def test_large_boxes_look_as_if_they_were_drawn_whole():
    for rect, radius, border in (((7, 9, 230, 41), 6, (9, 90, 200)), ((3, 2, 300, 280), 15, None)):
        for scale in (1.0, 1.25):
            with scaling.within(scale):
                parts, whole = (pygame.Surface((400, 400)) for _ in range(2))
                for picture in (parts, whole):
                    picture.fill((40, 0, 0))
                shapes.box(parts, pygame.Rect(rect), (200, 220, 90), radius, border)
                at = scaling.rect(pygame.Rect(rect))
                wide = shapes._box(*at.size, round(radius * scale), (200, 220, 90), border, scale)
                whole.blit(wide, at)
            one, other = (pygame.surfarray.array3d(picture).astype(int) for picture in (parts, whole))
            assert np.abs(one - other).max() <= 2


def test_a_line_is_drawn_alone_without_the_box_around_it():
    picture = pygame.Surface((40, 40))
    for _ in range(2):  # drawn, and taken from what is kept
        picture.fill((0, 0, 0))
        shapes.line(picture, [(5, 5), (35, 35)], (255, 255, 255), 2.0)
        assert picture.get_at((20, 20))[:3] == (255, 255, 255)
        assert picture.get_at((30, 8))[:3] == (0, 0, 0)
        shapes.line(picture, [(5, 5), (35, 35)], (255, 255, 255), 2.0, 120)


def test_a_walk_back_is_no_stroke_and_undo_after_it_paints_nothing():
    app = an_app()
    press(app, pygame.K_e)
    before = rows(app)
    drag(app, (2, 2), (2, 4))
    painted = rows(app)
    run(app, 1.0)
    app.seek(0)
    run(app, 0.3)
    assert rows(app) == before
    press(app, pygame.K_z, CTRL)
    run(app, 0.3)
    assert rows(app) == before
    assert "nothing to undo" in app.state.notice
    app.seek(app.state.timeline.head)
    run(app, 0.3)
    assert rows(app) == painted
    press(app, pygame.K_z, CTRL)
    assert rows(app) == before


def test_what_was_undone_and_done_again_is_listed_by_what_it_changed():
    old, new = (editing.draft_of(GridSpec(rows)) for rows in (["S..", "..G"], ["S##", "..G"]))
    assert editing.difference(old, new) == "wall, 2 cells"
    assert editing.difference(new, old) == "floor, 2 cells"
    assert editing.difference(old, editing.draft_of(GridSpec(["S.G"]))) == "size 1 × 3"


def test_about_ends_with_a_sentence_or_says_that_it_goes_on():
    lines = ["15 × 15 cells. Episodes", "end after 500 steps. From", "Sutton, Precup and", "Singh"]
    assert side._whole_sentences(lines, 4) == lines
    assert side._whole_sentences(lines, 3) == ["15 × 15 cells. Episodes", "end after 500 steps."]
    assert side._whole_sentences(lines, 1) == ["15 × 15 cells."]
    assert side._whole_sentences(lines[2:], 1) == ["Sutton, Precup …"]


def test_no_stroke_moves_the_palette():
    app = an_app()
    press(app, pygame.K_e)
    app.draw()
    before = {c.name: c.rect for c in app.scene.controls if c.name.startswith("brush:")}
    assert app.state.parameter("slip").is_slider
    app.do("brush:door")
    drag(app, (6, 3))
    run(app, 0.3)
    assert app.state.parameter("slip") is None, "a map with keys keeps its own numbers"
    assert {c.name: c.rect for c in app.scene.controls if c.name.startswith("brush:")} == before


def test_a_saved_map_pays_what_the_slider_of_its_step_reward_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = an_app("russell_norvig_4x3")
    app.change("step_reward", -0.2)
    app.change("slip", 0.2)
    run(app, 0.5)
    press(app, pygame.K_e)
    app.do("brush:ice")
    drag(app, (2, 1))
    run(app, 0.5)
    press(app, pygame.K_s, CTRL)
    again = rlgrid.GridSpec.load(next(tmp_path.iterdir())).compile()
    now = app.link.engine.model
    for one, other in zip(again.arrays, now.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert {kind.leave_reward for kind in again.kinds if kind.name == "floor"} == {-0.2}


def test_all_strokes_at_one_count_are_listed_and_their_diamond_says_how_many():
    app = an_app(seconds=2.0)
    press(app, pygame.K_SPACE)
    press(app, pygame.K_e)
    for row in (2, 3, 4):
        drag(app, (row, 2), (row, 3))
        run(app, 0.2)
    press(app, pygame.K_PERIOD)
    press(app, pygame.K_PERIOD, pygame.KMOD_SHIFT)
    run(app, 0.5)
    count = app.state.edits[0].count

    def shown():
        app.draw()
        return [words for words, _ in app.scene.texts]

    assert "3 changes" in shown()
    assert f"{count} wall, 2 cells" in shown()
    assert "last of 3" in shown(), "there is room for one beside the palette"
    press(app, pygame.K_e)
    assert shown().count(f"{count} wall, 2 cells") == 3
    assert not [words for words in shown() if words.endswith("of 3")]
    check_apart(app.scene, app.size)
    app.size = (1280, 780)
    assert "the last 2 of 3" in shown()
    check_apart(app.scene, app.size)
