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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device here that is always full")
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("size", "frames"), [(8, 1), (512, 20)])
def test_a_full_disk_ends_a_recording_with_an_error(size, frames, live):
    writer = GifWriter("/dev/full", 10.0, live=live)
    noise = np.random.default_rng(0).integers(0, 256, (frames, size, size, 3), np.uint8)

    def films():
        try:
            for frame in noise:
                writer.add(pygame.surfarray.make_surface(frame))
            writer.close()
        except OSError as error:
            said.append(str(error))

    said: list[str] = []
    thread = threading.Thread(target=films, daemon=True)
    thread.start()
    thread.join(20.0)
    assert not thread.is_alive()
    assert "No space left" in said[0]
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("suffix", ["gif", "png", "mp4"])
def test_a_recording_that_fails_leaves_the_file_that_was_there(suffix, monkeypatch):
    def pictures():
        yield from moving(4)
        raise ValueError("the world is gone")

    program = Path("ffmpeg").resolve()
    program.write_text('#!/bin/sh\ncat >/dev/null\nfor last; do :; done\necho film >"$last"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(record, "ffmpeg", lambda: str(program))
    monkeypatch.setattr(record, "_encoder", lambda program: [])
    target = Path(f"x.{suffix}")
    target.write_bytes(b"kept")
    with pytest.raises(ValueError, match="gone"):
        record.write_frames(pictures(), 5, target, 10.0)
    assert target.read_bytes() == b"kept"
    assert {path.name for path in Path().iterdir()} == {target.name, "ffmpeg"}
    record.write_frames(moving(4), 4, target, 10.0)
    assert target.read_bytes() != b"kept"
    assert {path.name for path in Path().iterdir()} == {target.name, "ffmpeg"}


@pytest.mark.parametrize("name", ["x.png", "x.gif"])
def test_what_does_not_fit_on_the_disk_leaves_the_file_that_was_there(name, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    Path(name).write_bytes(b"kept")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        record.write_frames(moving(1), 1, Path(name), 10.0)
    assert Path(name).read_bytes() == b"kept"
    assert [path.name for path in Path().iterdir()] == [name]


def test_a_recording_lasts_as_long_when_the_window_is_resized():
    writer = GifWriter("x.gif", 10.0)
    for _ in range(10):
        writer.add(pygame.Surface((64, 64)))
    for _ in range(50):
        writer.add(pygame.Surface((80, 64)))
    writer.close()
    with Image.open("x.gif") as film:
        assert sum(film.seek(n) or film.info["duration"] for n in range(film.n_frames)) == 6000
