"""Lessons in the window: asked, chosen, watched and told, with the same outcome as without it; nothing is cut off."""

from __future__ import annotations

import json
from importlib import resources
from itertools import combinations
from pathlib import Path

import pygame
import pytest

from rlgrid.appearance import appearance_of
from rlgrid.layout import shape_of
from rlgrid.theme import THEMES
from rlgrid.window import lessons, plots, teaching, text
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink
from rlgrid.window.replay import Replay
from rlgrid.window.session import Session, SessionError
from rlgrid.window.tour import plain_line


def begin(name: str, size: tuple[int, int] = (1280, 800)) -> tuple[App, LocalLink]:
    link = LocalLink()
    app = App(link, size, clock=link.clock)
    app.teach(lessons.lesson(name))
    return app, link


def wait(app: App, link: LocalLink, phase: str) -> None:
    for _ in range(3000):
        link.pass_time(0.05)
        app.update()
        assert not app.state.error, app.state.error
        if f":{phase}:" in app.state.lesson:
            return
    raise AssertionError(f"{app.state.lesson} never came to {phase}")


def press(app: App, key: int, typed: str = "") -> None:
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=key, mod=0, unicode=typed))
    app.handle(pygame.event.Event(pygame.KEYUP, key=key, mod=0))


def check_panel(app: App) -> None:
    """Every word of the lesson lies in the panel, and no two on one another."""
    app.draw()
    panel = app.scene.regions.right
    there = [(words, rect) for words, rect in app.scene.texts if panel.contains(rect)]
    now = teaching.present(app.state)
    assert now is not None
    assert any(words == f"Lesson, {now.number} of {len(now.lesson.scenes)}" for words, _ in there)
    told = " ".join(words for words, _ in there)
    expected = [now.scene.ask, *now.scene.choices] + ([now.scene.then] if now.phase == "told" else [])
    for words in expected:
        assert all(word in told for word in words.split()), (words, told)
    if app.state.line:
        line = next(rect for words, rect in app.scene.texts if words == app.state.line)
        assert line.width == text.width(app.state.line, text.BODY - 0.5), "the line is cut off"
    for (one, first), (other, second) in combinations(there, 2):
        assert not first.colliderect(second), (one, other)


@pytest.mark.parametrize("name", lessons.names())
def test_a_lesson_watched_ends_as_it_claims(name: str) -> None:
    app, link = begin(name)
    for number, scene in enumerate(app.teacher.lesson.scenes, 1):
        if scene.ask:
            wait(app, link, "asking")
            check_panel(app)
            press(app, pygame.K_1, "1")
            assert app.state.lesson.startswith(f"{name}:{number}:showing:1")
        wait(app, link, "told")
        check_panel(app)
        assert set(scene.points) <= {plot.name for plot in plots.shown(app.state)}
        assert link.engine is not None
        for claim in scene.claims:
            assert claim.holds(lessons.fact(link.engine, claim)), claim
        press(app, pygame.K_RETURN)
    assert app.teacher is None
    assert app.state.lesson == ""
    link.close()


@pytest.mark.parametrize("size", [(640, 480), (800, 600), (1280, 800), (1920, 1200)])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_scene_is_cut_off(size: tuple[int, int], theme: str) -> None:
    app, link = begin("slip", size)
    app.state.theme = theme
    for name in lessons.names():
        for number in range(1, len(lessons.lesson(name).scenes) + 1):
            for phase, chosen in (("asking", 0), ("showing", 1), ("told", 2)):
                if phase == "asking" and not lessons.lesson(name).scenes[number - 1].ask:
                    continue
                app.state.lesson = f"{name}:{number}:{phase}:{chosen}"
                app.state.line = plain_line(app.state)
                check_panel(app)
    link.close()


def test_walking_back_on_the_way_delays_a_lesson_and_changes_nothing() -> None:
    app, link = begin("cliff")
    press(app, pygame.K_1, "1")
    for _ in range(40):
        link.pass_time(0.05)
        app.update()
    assert 0 < app.state.snapshot.count < 17_000
    app.seek(app.state.snapshot.count // 2)
    for _ in range(5):
        link.pass_time(0.05)
        app.update()
    assert "The lesson waits" in app.state.line
    press(app, pygame.K_SPACE)
    wait(app, link, "told")
    assert app.state.snapshot.count == 17_000
    for claim in app.teacher.lesson.scenes[0].claims:
        assert claim.holds(lessons.fact(link.engine, claim)), claim
    link.close()


def test_steps_between_two_scenes_are_walked_back() -> None:
    app, link = begin("value-iteration")
    press(app, pygame.K_1, "1")
    wait(app, link, "told")
    press(app, pygame.K_RETURN)
    wait(app, link, "asking")
    for _ in range(3):
        app.do("step")
        link.pass_time(0.05)
        app.update()
    assert app.state.snapshot.count == 4
    press(app, pygame.K_2, "2")
    wait(app, link, "told")
    assert app.state.snapshot.count == 19
    link.close()


def test_the_start_key_begins_the_lesson_again() -> None:
    app, link = begin("slip")
    press(app, pygame.K_2, "2")
    wait(app, link, "told")
    press(app, pygame.K_r)
    assert app.state.lesson == "3-slip:1:asking:0"
    press(app, pygame.K_2, "2")
    wait(app, link, "told")
    assert lessons.fact(link.engine, app.teacher.lesson.scenes[0].claims[1]) == pytest.approx(5.9049)
    link.close()


@pytest.mark.parametrize("change", ["slider", "restore"])
def test_who_changes_the_run_leaves_the_lesson(change: str) -> None:
    app, link = begin("slip")
    link.pass_time(0.05)
    app.update()
    if change == "slider":
        app.change("gamma", 0.8)
    else:
        app.do("restore")
    assert app.teacher is None
    assert app.state.lesson == ""
    assert "the lesson ends here" in app.state.notice
    link.close()


def test_choosing_something_else_ends_the_lesson() -> None:
    app, link = begin("slip")
    app.open("rlgrid/FourRooms-v0", "q_learning")
    assert app.teacher is None
    assert app.state.lesson == ""
    link.close()


def test_a_pinned_cell_is_inspected_within_a_lesson() -> None:
    app, link = begin("value-iteration")
    press(app, pygame.K_1, "1")
    wait(app, link, "told")
    app.state.pinned = int(app.state.model.start_states[0])
    app.draw()
    assert any(words.startswith("Cell row") for words, _ in app.scene.texts)
    press(app, pygame.K_ESCAPE)
    app.draw()
    assert any(words.startswith("Lesson, 1") for words, _ in app.scene.texts)
    press(app, pygame.K_ESCAPE)
    assert app.state.lesson == ""
    assert app.running
    link.close()


@pytest.mark.parametrize("words", ["", "x:1:told:0", "3-slip:9:told:0", "3-slip:1:gone:0", "3-slip:a:told:0", "3-slip"])
def test_words_that_name_no_scene_show_no_lesson(words: str) -> None:
    assert teaching.told(words) is None
    app, link = begin("slip")
    app.state.lesson = words
    app.draw()
    link.close()


def test_one_can_go_back_to_a_question_and_to_the_scene_before() -> None:
    app, link = begin("bias")
    for number in (1, 2):
        wait(app, link, "asking")
        press(app, pygame.K_2, "2")
        wait(app, link, "told")
        if number < 2:
            press(app, pygame.K_RETURN)
    assert app.state.agent == "double_q_learning"
    for count, scene in ((200, 2), (0, 1)):
        press(app, pygame.K_BACKSPACE)
        app.draw()
        wait(app, link, "asking")
        assert app.state.lesson == f"5-bias:{scene}:asking:0"
        assert (app.state.snapshot.count, app.state.agent) == (count, "q_learning")
        assert not app.state.playing
    press(app, pygame.K_1, "1")
    wait(app, link, "told")
    for claim in app.teacher.lesson.scenes[0].claims:
        assert claim.holds(lessons.fact(link.engine, claim)), claim
    link.close()


def test_one_can_go_back_over_a_scene_that_asks_nothing() -> None:
    app, link = begin("value-iteration")
    app.teacher._return(3)
    app.draw()
    wait(app, link, "told")
    assert app.state.lesson.startswith("1-value-iteration:4:")
    press(app, pygame.K_BACKSPACE)
    wait(app, link, "asking")
    assert app.state.lesson == "1-value-iteration:3:asking:0"
    assert app.state.snapshot.count == 19
    link.close()


@pytest.mark.parametrize("name", lessons.names())
def test_what_a_lesson_marks_is_there_and_framed(name: str) -> None:
    app, link = begin(name)
    wait(app, link, "asking")
    rows, columns = shape_of(app.state.model)
    for number, scene in enumerate(app.teacher.lesson.scenes, 1):
        assert set(scene.points) <= set(plots.PLOTS)
        for _, row, column in scene.marks:
            assert 0 <= row < rows
            assert 0 <= column < columns
            assert not appearance_of(app.state.model).wall.reshape(rows, columns)[row, column]
        app.state.lesson = f"{name}:{number}:told:1"
        picture = app.draw().copy()
        place, view = app.scene.map_place, app.scene._layout
        for _, row, column in scene.marks:
            _, _, right, bottom = view.rect(row, column)
            corner = (place.left + right - 8, place.top + bottom)
            assert picture.get_at(corner)[:3] == THEMES["dark"].text
    link.close()


def test_the_curves_that_a_lesson_chooses_are_put_back() -> None:
    app, link = begin("cliff")
    app.end_tour()
    wait(app, link, "asking")
    assert app.state.curves == ("error", "regret", "optimal_share")
    press(app, pygame.K_ESCAPE)
    assert app.state.curves == ()
    link.close()


def test_a_planner_that_stops_after_its_first_sweep_has_its_arrows() -> None:
    app, link = begin("value-iteration")
    press(app, pygame.K_1, "1")
    wait(app, link, "told")
    assert app.state.snapshot.greedy.any(axis=1).sum() == 3
    assert app.state.snapshot.regret is not None
    link.close()


def test_a_lesson_of_ones_own_is_given_as_those_of_the_package(tmp_path: Path) -> None:
    text = """
title = "Of my own"
about = "nobody"
world = "rlgrid/RussellNorvig4x3-v0"
agent = "value_iteration"

[[scenes]]
say = "A small world."
ask = "Is it small?"
choices = ["Yes", "No"]
answer = 1
show = [["run", 3]]
then = "It is small."
marks = [["start", 2, 0]]
points = ["error"]
"""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    app, link = begin(str(path))
    wait(app, link, "asking")
    check_panel(app)
    assert teaching.marks(app.state) == [("start", 2, 0)]
    press(app, pygame.K_1, "1")
    wait(app, link, "told")
    check_panel(app)
    assert teaching.pointed(app.state) == ("error",)
    press(app, pygame.K_RETURN)
    assert app.state.lesson == ""
    assert "F2 has the other lessons" in app.state.notice
    link.close()


def test_a_lesson_of_ones_own_is_in_the_session_and_its_panel_in_the_replay(tmp_path: Path) -> None:
    text = (resources.files("rlgrid.lessons") / "2-discount.toml").read_text(encoding="utf-8")
    own = tmp_path / "mine.toml"
    own.write_text(text.replace('title = "', 'title = "My own: '), encoding="utf-8")
    link = LocalLink()
    app = App(link, (1280, 800), clock=link.clock)
    for name in (str(own), "discount", str(own)):
        app.teach(lessons.lesson(name))
        for _ in range(10):
            link.pass_time(0.05)
            app.update()
    saved = app.recorder.finished().save(tmp_path / "taught")
    own.unlink()
    replay, titles = Replay(Session.load(saved)), []
    while not replay.over:
        replay.step()
        now = teaching.present(replay.app.state)
        if now is not None and titles[-1:] != [now.lesson.title]:
            titles.append(now.lesson.title)
    theirs = lessons.lesson("discount").title
    assert titles == [f"My own: {theirs}", theirs, f"My own: {theirs}"]
    check_panel(replay.app)


def test_a_lesson_in_a_strangers_session_is_checked_and_names_no_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text((resources.files("rlgrid.lessons") / "2-discount.toml").read_text(encoding="utf-8"))
    assert teaching.told(f"{own}:1:asking:0") is None, "it would be read wherever it lies"
    app, link = begin(str(own))
    link.pass_time(0.1)
    app.update()
    saved = app.recorder.finished().save(tmp_path / "taught")
    document = json.loads(saved.read_text())
    entry = next(entry for entry in document["log"] if entry[2] == "lesson")
    for wrong in (["mine"], [1, ""], ["mine", 7], ["mine", "title = "], ["mine", "x" * (lessons.MOST_BYTES + 1)]):
        entry[3:] = wrong
        saved.write_text(json.dumps(document))
        with pytest.raises(SessionError, match="no session that can be replayed"):
            Session.load(saved)
