"""What a window writes: recordings that hold nobody up and keep nothing in memory, and what is told of them."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import threading
from pathlib import Path

import numpy as np
import pygame
import pytest
from PIL import Image

from rlgrid.window import launch, record, saving
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink
from rlgrid.window.record import GifWriter, pixels
from rlgrid.window.saving import Saver


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def an_app():
    link = LocalLink()
    app = App(link, (640, 480), clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "value_iteration", 8.0)
    link.pass_time(0.5)
    app.update()
    return app


def moving(count):
    """Frames in which something moves, appears, and stands still."""
    surface = pygame.Surface((96, 64))
    for number in range(count):
        surface.fill((14, 17, 22))
        pygame.draw.circle(surface, (255, 159, 67), (4 + 3 * (number // 3), 30), 5)
        if number > count // 2:
            surface.fill((31, 38, 48), (0, 40, 96, 24))
        yield surface


def test_a_recording_has_every_frame_and_lasts_as_long():
    shown = [pixels(surface) for surface in moving(24)]
    writer = GifWriter("x.gif", 10.0)
    for surface in moving(24):
        writer.add(surface)
    writer.close()
    palette = record._palette(shown[0])
    with Image.open("x.gif") as film:
        at = lasts = 0
        for number in range(film.n_frames):
            film.seek(number)
            wanted = Image.fromarray(shown[at // 100]).quantize(palette=palette, dither=Image.Dither.NONE)
            assert np.array_equal(np.asarray(film.convert("RGB")), np.asarray(wanted.convert("RGB"))), number
            lasts += film.info["duration"]
            at = lasts
    assert lasts == 2400
    assert film.n_frames < 24


@pytest.fixture
def slow(monkeypatch):
    """A disk that takes nothing until it is told to."""
    goes_on = threading.Event()
    write = GifWriter._write_all

    def late(self):
        goes_on.wait()
        write(self)

    monkeypatch.setattr(GifWriter, "_write_all", late)
    yield goes_on
    goes_on.set()


def test_who_records_live_never_waits_and_no_second_is_lost(slow, monkeypatch):
    monkeypatch.setattr(record, "WAITING", 3 * 96 * 64 * 3)
    writer = GifWriter("x.gif", 10.0, live=True)
    for surface in moving(60):
        writer.add(surface)
    assert writer._jobs.qsize() <= 4
    writer.end()
    assert not writer.over
    slow.set()
    writer.close()
    with Image.open("x.gif") as film:
        assert film.n_frames <= 6
        assert sum(film.seek(n) or film.info["duration"] for n in range(film.n_frames)) == 6000


def test_a_recording_that_ends_does_not_hold_the_window_up_and_is_told_of(slow, capsys):
    app, saver = an_app(), Saver()
    app.do("record")
    saver.serve(app, app.draw())
    assert app.state.recording
    app.do("record")
    saver.serve(app, app.draw())
    assert not app.state.recording
    assert app.state.notice == ""
    app.do("record")
    saver.serve(app, app.draw())
    slow.set()
    while not all(writer.over for writer, _ in saver._ending):
        pass
    saver.serve(app, app.draw())
    assert app.state.notice == "saved rlgrid-1.gif, 1 frame"
    saver.close()  # the window is closed in the middle of the other one
    assert "play.py: saved rlgrid-2.gif" in capsys.readouterr().err
    with Image.open("rlgrid-2.gif") as film:
        assert film.size == (640, 480)


def test_a_folder_that_takes_no_file_is_named(monkeypatch):
    monkeypatch.setattr(saving, "free_name", lambda suffix: Path("nowhere") / f"rlgrid-1.{suffix}")
    app, saver = an_app(), Saver()
    for wish in ("screenshot", "session", "record"):
        app.state.notice = ""
        app.do(wish)
        saver.serve(app, app.draw())
        assert "No such file" in app.state.notice or "no folder" in app.state.notice, (wish, app.state.notice)
    assert not saver.recording
    assert not app.state.recording


def test_a_film_that_fails_at_once_leaves_no_file():
    def pictures():
        yield from ()
        raise ValueError("the world is gone")

    with pytest.raises(ValueError, match="gone"):
        record.write_frames(pictures(), 3, Path("x.gif"), 10.0)
    assert not Path("x.gif").exists()


def test_what_lay_over_the_window_is_drawn_over(monkeypatch):
    app = an_app()
    app.state.playing = False
    app.link.send("play", False)
    pygame.display.init()
    screen = pygame.display.set_mode((640, 480))
    turns = iter(range(4))

    def update():
        turn = next(turns)
        if turn == 2:
            screen.fill((255, 0, 0))  # another window has lain there
            pygame.event.post(pygame.event.Event(pygame.WINDOWEXPOSED))
        app.running = turn < 3

    monkeypatch.setattr(app, "update", update)
    launch._loop(app, screen, 0.0, False)
    assert np.array_equal(pixels(screen), pixels(app.draw()))
    pygame.display.quit()
