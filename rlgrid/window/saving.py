"""What a window writes when it is asked to: pictures, sessions, recordings; it is held up by none of them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygame

from rlgrid.window import numbers
from rlgrid.window.record import GifWriter, save_png

if TYPE_CHECKING:
    from rlgrid.window.app import App

RATE = 12.0  # frames a second
LONGEST = 60.0  # seconds of a recording


class Saver:
    """Serves the wishes of one window: `App.wants_screenshot`, `wants_session` and `wants_recording`."""

    def __init__(self) -> None:
        self._writer: GifWriter | None = None
        self._ending: list[tuple[GifWriter, str]] = []  # recordings that are still being written
        self._recorded = 0.0  # when the last frame was

    @property
    def recording(self) -> bool:
        """Whether every frame is wanted."""
        return self._writer is not None

    def serve(self, app: Any, picture: pygame.Surface) -> None:
        """Do what is asked for with the present picture, and tell what has been written."""
        if app.wants_screenshot:
            app.wants_screenshot = False
            self._screenshot(app, picture)
        if app.wants_session:
            app.wants_session = False
            self._session(app)
        if app.wants_recording:
            app.wants_recording = False
            if self._writer is None:
                self._begin(app)
            else:
                self._end(app)
        elif self._writer is not None and self._writer.frames >= LONGEST * RATE:
            self._end(app, f": {LONGEST:g} s is the longest")
        now = time.perf_counter()
        if self._writer is not None and now - self._recorded >= 1.0 / RATE:
            self._writer.add(picture)
            self._recorded = now
        for one in [one for one in self._ending if one[0].over]:
            self._ending.remove(one)
            app.say(_ended(*one), 6.0)

    def close(self) -> None:
        """End the recording under way, once the window is gone; the terminal is told of what is still written."""
        if self._writer is not None:
            self._writer.end()
            self._ending.append((self._writer, ""))
            self._writer = None
        for one in self._ending:
            print(f"play.py: {_ended(*one)}", file=sys.stderr)
        self._ending.clear()

    def _begin(self, app: Any) -> None:
        path = free_name("gif")
        try:
            self._writer = GifWriter(path, RATE, live=True)
        except OSError as error:
            app.say(f"{path} cannot be recorded into: {error.strerror or error}", 6.0)
            return
        app.state.recording, self._recorded = True, 0.0

    def _end(self, app: Any, why: str = "") -> None:
        assert self._writer is not None
        app.state.recording = False
        self._writer.end()
        self._ending.append((self._writer, why))
        self._writer = None

    def _screenshot(self, app: Any, picture: pygame.Surface) -> None:
        path = free_name("png")
        try:
            save_png(picture, path)
        except (OSError, pygame.error) as error:
            app.say(f"{path} could not be saved: {error}", 6.0)
        else:
            app.say(f"saved {path}")

    def _session(self, app: App) -> None:
        try:
            path = app.recorder.finished().save(free_name("rlgrid"))
        except (OSError, ValueError) as error:
            app.say(f"The session could not be saved: {error}", 6.0)
        else:
            app.say(f"saved {path}; python play.py --replay {path} shows it again", 6.0)


def _ended(writer: GifWriter, why: str) -> str:
    """Wait for a recording that ends; where it is, or what went wrong."""
    try:
        writer.close()
    except OSError as error:
        return str(error)
    return f"saved {writer.path}, {numbers.count(writer.frames, 'frame')}{why}"


def free_name(suffix: str) -> Path:
    """A name in the present folder that nothing has yet, nor what is still being written."""
    number = 1
    while (path := Path(f"rlgrid-{number}.{suffix}")).exists() or any(Path().glob(f".{path.name}.*.part")):
        number += 1
    return path
