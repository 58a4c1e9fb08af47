"""Frames to a file: an animated GIF written while it is recorded, or a PNG of one moment."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pygame
from numpy.typing import NDArray


def pixels(surface: pygame.Surface) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a surface."""
    return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1))


def save_png(surface: pygame.Surface, path: str | Path) -> None:
    """Write a surface as a PNG."""
    pygame.image.save(surface, str(path), "x.png")


def _palette(first: NDArray[np.uint8]) -> Any:
    """A palette of 255 colours for a whole film: those of its first frame, of the themes' inks and of the colour maps.

    One palette for all frames keeps what stands still the same from frame to frame, so that it costs nothing.
    """
    from PIL import Image

    from rlgrid.theme import DARK, LIGHT, diverging, sequential

    width = first.shape[1]
    at = np.linspace(0, 1, width)[:, None]
    theme = DARK if int(first[0, 0].max()) < 128 else LIGHT
    strips = [sequential()[np.linspace(0, len(sequential()) - 1, width).astype(int)]] * 50
    strips += [diverging(theme)[np.linspace(0, len(diverging(theme)) - 1, width).astype(int)]] * 12
    for ink in (theme.text, theme.accent, theme.second, theme.goal, theme.harm, theme.muted):
        for ground in (theme.panel, theme.background):
            strips += [(np.array(ground) + at * (np.array(ink) - np.array(ground)))] * 6
    strip = np.stack(strips).astype(np.uint8)
    sample = np.concatenate([first[::3], strip])
    tokens = [colour for colour in vars(theme).values() if isinstance(colour, tuple)]
    found = Image.fromarray(sample).quantize(255 - len(tokens), Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colours = found.getpalette() or []
    colours = colours[: 3 * (255 - len(tokens))] + [channel for colour in tokens for channel in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)  # the themes' colours are in it as they are: large areas keep their tint
    return palette


class GifWriter:
    """Writes a GIF frame by frame in a thread, so that who records is not held up.

    Frames that equal the one before only lengthen it. Colours are those of one palette without dithering, which would
    crawl over flat areas from frame to frame.
    """

    def __init__(self, path: str | Path, frames_per_second: float) -> None:
        self.path = Path(path)
        self.frames = 0
        self._step = 1000.0 / frames_per_second  # milliseconds
        self._jobs: queue.Queue[tuple[NDArray[np.uint8], float] | None] = queue.Queue()
        self._pending: tuple[NDArray[np.uint8], float] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def add(self, surface: pygame.Surface) -> None:
        """Record a frame."""
        self.frames += 1
        frame = pixels(surface)
        if self._pending is not None:
            before, lasts = self._pending
            if before.shape == frame.shape and np.array_equal(before, frame):
                self._pending = (before, lasts + self._step)
                return
            if before.shape != frame.shape:
                return  # a GIF has one size
            self._jobs.put(self._pending)
        self._pending = (frame, self._step)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: if it could not be written.
        """
        if self._pending is not None:
            self._jobs.put(self._pending)
            self._pending = None
        self._jobs.put(None)
        self._thread.join()
        if self._error is not None:
            raise OSError(f"{self.path} could not be written: {self._error}") from self._error

    def _write(self) -> None:
        try:
            self._write_all()
        except BaseException as error:
            self._error = error
            while self._jobs.get() is not None:
                pass

    def _write_all(self) -> None:
        from PIL import Image

        def images() -> Any:
            palette: Any = None
            while (job := self._jobs.get()) is not None:
                frame, lasts = job
                durations.append(round(lasts / 10) * 10)
                if palette is None:
                    palette = _palette(frame)
                yield Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)

        durations: list[int] = []  # grows with the images, which are taken one by one
        frames = images()
        first = next(frames, None)
        if first is not None:
            first.save(
                self.path, format="GIF", save_all=True, append_images=frames, duration=durations, loop=0, disposal=1
            )
