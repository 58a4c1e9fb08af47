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


class GifWriter:
    """Writes a GIF frame by frame in a thread, so that who records is not held up.

    Frames that equal the one before only lengthen it. Colours are reduced to 256 without dithering, which would
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
            while (job := self._jobs.get()) is not None:
                frame, lasts = job
                durations.append(round(lasts / 10) * 10)
                yield Image.fromarray(frame).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)

        durations: list[int] = []  # grows with the images, which are taken one by one
        frames = images()
        first = next(frames, None)
        if first is not None:
            first.save(
                self.path, format="GIF", save_all=True, append_images=frames, duration=durations, loop=0, disposal=1
            )
