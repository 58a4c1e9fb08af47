"""Lessons in the window: asked, chosen, watched and told, with the same outcome as without it; nothing is cut off."""

from __future__ import annotations

from itertools import combinations

import pygame
import pytest

from rlgrid.window import lessons, teaching
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink


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
    now = teaching.told(app.state.lesson)
    assert now is not None
    assert any(words == f"Lesson, {now.number} of {len(now.lesson.scenes)}" for words, _ in there)
    told = " ".join(words for words, _ in there)
    expected = [now.scene.ask, *now.scene.choices] + ([now.scene.then] if now.phase == "told" else [])
    for text in expected:
        assert all(word in told for word in text.split()), (text, told)
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
        assert link.engine is not None
        for claim in scene.claims:
            assert claim.holds(lessons.fact(link.engine, claim)), claim
        press(app, pygame.K_RETURN)
    assert app.teacher is None
    assert app.state.lesson == ""
    link.close()


@pytest.mark.parametrize("size", [(800, 600), (1280, 800), (1920, 1200)])
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
