"""What lies over the window: nothing of it is cut off, at any size and with letters of any size."""

from __future__ import annotations

from itertools import combinations

import pygame
import pytest

from rlgrid.theme import THEMES
from rlgrid.window import bar, overlays
from rlgrid.window.app import App
from rlgrid.window.bindings import BINDINGS, POINTER
from rlgrid.window.local import LocalLink
from rlgrid.window.widgets import Canvas

SIZES = [
    ((640, 480), 1.0),
    ((800, 600), 1.0),
    ((800, 600), 2.0),
    ((1280, 800), 1.0),
    ((1280, 800), 2.0),
    ((1920, 1200), 1.0),
    ((3840, 2160), 2.0),
    ((3840, 2160), 3.0),
]
MENUS = ("worlds", "agents", "race", "lessons", "more", "breakpoint", "curve:0", "curve:2")
OWN = ("run until …",)  # words that end in an ellipsis by themselves


def an_app(size: tuple[int, int], scale: float = 1.0, agent: str = "q_learning", theme: str = "dark") -> App:
    link = LocalLink()
    app = App(link, size, clock=link.clock, theme=theme)
    app.rescale(scale)
    app.open("rlgrid/FourRooms-v0", agent)
    for _ in range(5):
        link.pass_time(0.1)
        app.update()
    app.draw()
    return app


def words_of(app: App) -> list[str]:
    return [words for words, _ in app.scene.texts]


def check_whole(app: App) -> None:
    """No word is cut off, and all are in the window; but the closed menus of a narrow bar may cut what they name."""
    window = pygame.Rect((0, 0), app.scene.layout_size(app.size))
    for words, rect in app.scene.texts:
        closed = rect.bottom <= bar.HEIGHT
        assert closed or words in OWN or not words.endswith("…"), f"{words!r} is cut off"
        assert window.contains(rect), f"{words!r} lies outside"


@pytest.mark.parametrize(("size", "scale"), SIZES)
def test_the_help_shows_all_keys_whole(size: tuple[int, int], scale: float) -> None:
    app = an_app(size, scale)
    app.do("help")
    app.draw()
    check_whole(app)
    shown = words_of(app)
    for binding in BINDINGS:
        assert not binding.shown or (binding.shown in shown and binding.does in shown)
    for does, what in POINTER:
        assert does in shown
        assert what in shown
    for (one, first), (other, second) in combinations(app.scene.texts, 2):
        assert min(first.clip(second).size) <= 2, (one, other)
    close = next(control for control in app.scene.controls if control.name == "help")
    at = [round(app.scene.scale * part) for part in close.rect.center]
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))
    assert not app.state.help
    app.link.close()


@pytest.mark.parametrize(("size", "scale"), SIZES)
def test_menus_show_all_entries_whole(size: tuple[int, int], scale: float) -> None:
    app = an_app(size, scale)
    for name in MENUS:
        app.do(name)
        app.draw()
        assert app.state.menu is not None, name
        check_whole(app)
        shown = words_of(app)
        assert all(title in shown or title.upper() in shown for _, title in app.state.menu.entries), name
        app.state.menu.narrow("re")
        app.draw()
        check_whole(app)
        app.state.menu = None
    app.link.close()


def test_the_menu_of_breakpoints_offers_to_type_one() -> None:
    app = an_app((800, 600))
    app.do("breakpoint")
    app.draw()
    assert "or type another" in words_of(app)
    for letter in "count reaches 9":
        event = {"key": ord(letter), "mod": 0, "unicode": letter}
        app.handle(pygame.event.Event(pygame.KEYDOWN, **event))
        app.handle(pygame.event.Event(pygame.KEYUP, **event))
    app.draw()
    assert "count reaches 9" in words_of(app)
    assert "Enter: run until this" in words_of(app)
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RETURN, mod=0, unicode=""))
    assert app.state.awaited == "step 9"
    app.link.close()


@pytest.mark.parametrize(("size", "scale"), SIZES)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_an_error_is_told_whole_with_its_remedy(size: tuple[int, int], scale: float, theme: str) -> None:
    app = an_app(size, scale, theme=theme)
    before = app.state.snapshot
    app.link.fail(ZeroDivisionError("a number of visits was 0"))
    app.link.pass_time(0.1)
    app.update()
    app.draw()
    check_whole(app)
    shown = words_of(app)
    assert "The agent stopped" in shown
    assert "ZeroDivisionError: a number of visits was 0" in shown
    assert "Map and numbers are kept. Another agent: A. A stroke back: Ctrl Z." in shown
    assert app.state.snapshot is before
    assert app.state.line.startswith("Nothing runs. R tries again")
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_r, mod=0, unicode="r"))
    assert app.state.error == ""
    app.link.close()


def test_a_long_error_ends_in_an_ellipsis_and_keeps_its_button() -> None:
    app = an_app((640, 480))
    app.link.fail(RuntimeError("far too long a message " * 60))
    app.update()
    app.draw()
    panel = next(control.rect for control in app.scene.controls if control.name == "start" and control.rect.width > 60)
    assert app.scene.regions.map.contains(panel)
    assert any(words == "…" for words in words_of(app))
    app.link.close()


def test_a_notice_is_told_whole_even_on_a_small_map_or_says_that_there_is_more() -> None:
    region = pygame.Rect(200, 88, 436, 260)
    words = "this arrow flips; the greedy path loops; regret below 5 %; the episode ends; count reaches 400;"
    for times, whole in ((1, True), (5, True), (30, False)):
        canvas = Canvas(pygame.Surface((640, 480)), THEMES["dark"])
        overlays.paint_notice(canvas, " ".join([words] * times), region)
        lines = [line for line, _ in canvas.texts]
        assert all(region.contains(rect) for _, rect in canvas.texts)
        assert (" ".join(lines).split() == words.split() * times) == whole
        assert (lines[-1] == "…") != whole
