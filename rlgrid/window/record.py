"""Frames to a file: an animated GIF or a film written while it is recorded, or a PNG of one moment.

What is written lies beside the file until it is whole: a run that fails leaves what was there before.
"""

from __future__ import annotations

import io
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pygame
from numpy.typing import NDArray

from rlgrid.atomic import Part


def pixels(surface: pygame.Surface) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a surface."""
    return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1))


def save_png(surface: pygame.Surface, path: str | Path) -> None:
    """Write a surface as a PNG.

    Raises:
        OSError: if it could not be written; the file that was there is then untouched.
    """
    content, part = io.BytesIO(), Part(path)
    pygame.image.save(surface, content, "x.png")
    try:
        part.path.write_bytes(content.getvalue())
        part.keep()
    finally:
        part.drop()


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


WAITING = 64 << 20  # bytes of frames that may wait to be written
STILL = 300_000.0  # milliseconds that one frame may last: the format knows no more than 655 s


class GifWriter:
    """Writes a GIF frame by frame in a thread, so that who records is not held up.

    Frames that equal the one before only lengthen it. Colours are those of one palette without dithering, which would
    crawl over flat areas from frame to frame. Each frame goes to the file as soon as it is known how long it lasts:
    of those before none is kept in memory.

    Args:
        live: who records must not wait: where the thread is too slow frames are left out, and the one before lasts
            longer. Else `add` waits.

    Raises:
        OSError: if the file cannot be opened.
    """

    def __init__(self, path: str | Path, frames_per_second: float, live: bool = False) -> None:
        self.path = Path(path)
        self.frames = 0
        self._step = 1000.0 / frames_per_second  # milliseconds
        self._live, self._most = live, 0  # frames that may wait
        self._jobs: queue.Queue[tuple[NDArray[np.uint8], float] | None] = queue.Queue()
        self._room = threading.Semaphore(0)
        self._pending: tuple[NDArray[np.uint8], float] | None = None
        self._ended = self._heard = False  # whether there are no more frames, and whether the thread knows
        self._wanted = True
        self._error: BaseException | None = None
        self._part = Part(self.path)
        self._file = self._part.path.open("wb")
        self._thread = threading.Thread(target=self._write, name="rlgrid recording", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether nothing more is written."""
        return not self._thread.is_alive()

    def add(self, surface: pygame.Surface) -> None:
        """Record a frame."""
        self.frames += 1
        frame = pixels(surface)
        if self._pending is None:
            self._pending = (frame, self._step)
            self._room.release(max(2, WAITING // frame.nbytes))
            return
        before, lasts = self._pending
        if before.shape != frame.shape:
            frame = before  # a GIF has one size: what is seen of a window that was resized is its last frame before
        if np.array_equal(before, frame) and lasts < STILL:
            self._pending = (before, lasts + self._step)
        elif self._room.acquire(blocking=not self._live):
            self._jobs.put(self._pending)
            self._pending = (frame, self._step)
        else:
            self._pending = (before, lasts + self._step)

    def end(self) -> None:
        """There are no more frames; what waits is still written."""
        if not self._ended:
            self._ended = True
            self._jobs.put(self._pending)
            if self._pending is not None:
                self._jobs.put(None)
            self._pending = None

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: if it could not be written.
        """
        self.end()
        self._thread.join()
        if self._error is not None:
            raise OSError(f"{self.path} could not be written: {self._error}") from self._error

    def abandon(self) -> None:
        """Leave everything as it was before the recording."""
        self._wanted = False
        self.end()
        self._thread.join()

    def _write(self) -> None:
        try:
            with self._file:
                self._write_all()
            if self.frames and self._wanted:
                self._part.keep()
        except BaseException as error:
            self._error = error
            while not self._heard:
                self._next()
        finally:
            self._part.drop()

    def _next(self) -> tuple[NDArray[np.uint8], float] | None:
        self._room.release()
        job = self._jobs.get()
        self._heard = job is None
        return job

    def _write_all(self) -> None:
        from PIL import GifImagePlugin, Image

        palette: Any = None
        before: NDArray[np.uint8] | None = None
        while (job := self._next()) is not None:
            frame, lasts = job
            palette = palette or _palette(frame)
            image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            now: NDArray[np.uint8] = np.asarray(image)
            how: Any = {"duration": max(10, round(lasts / 10) * 10), "disposal": 1}
            if before is None:
                self._file.writelines(GifImagePlugin.getheader(image, info={"loop": 0} | how)[0])
                self._file.writelines(GifImagePlugin.getdata(image, **how))
            else:
                left, top, part = _changed(before, now)
                image = Image.fromarray(part, "L")
                self._file.writelines(GifImagePlugin.getdata(image, (left, top), **how, transparency=CLEAR))
            before = now
        if before is not None:
            self._file.write(b";")


CLEAR = 255  # the number of a pixel that stays as it was; no palette has so many colours


def _changed(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> tuple[int, int, NDArray[np.uint8]]:
    """The smallest part of a frame outside of which nothing is new: its left and upper end, and its pixels; those that
    stay as they were are `CLEAR`, which takes few bytes."""
    same = before == now
    rows, columns = np.flatnonzero(~same.all(axis=1)), np.flatnonzero(~same.all(axis=0))
    if not rows.size:
        return 0, 0, np.full((1, 1), CLEAR, np.uint8)
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return int(columns[0]), int(rows[0]), np.where(same[part], np.uint8(CLEAR), now[part])


SUFFIXES = (".gif", ".png", ".mp4")


def check_target(option: str, target: Path) -> None:
    """Refuse a file that cannot be recorded into.

    Raises:
        ValueError: naming the option and the remedy.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{option} writes {', '.join(SUFFIXES)} files, not {str(target)!r}")
    if not target.resolve().parent.is_dir():
        raise ValueError(f"{option}: there is no folder {target.resolve().parent}")
    if target.suffix.lower() == ".mp4" and ffmpeg() is None:
        raise ValueError(
            f"{option} writes .mp4 files with ffmpeg, which is not installed here: install it, or record a .gif"
        )


def ffmpeg() -> str | None:
    """The program that makes .mp4 files, if there is one."""
    return shutil.which("ffmpeg")


# The colours of high-definition video, said in the file: a player that has to guess shows other ones.
_FILTER = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int"
_COLOURS = [f"-{name}" for name in ("colorspace", "color_primaries", "color_trc")]
_CODED = ["-an", "-vf", _FILTER, "-pix_fmt", "yuv420p", *(word for name in _COLOURS for word in (name, "bt709"))]


def _encoder(program: str) -> list[str]:
    """The options of x264 for letters that stay sharp, where ffmpeg has it; else its own choice."""
    asked = [program, "-hide_banner", "-encoders"]
    said = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20)
    return ["-c:v", "libx264", "-crf", "16"] if b"libx264 " in said.stdout else []


class Mp4Writer:
    """Writes a film by way of ffmpeg, frame by frame."""

    def __init__(self, path: str | Path, frames_per_second: float) -> None:
        self.path, self._rate = Path(path), frames_per_second
        self._part = Part(self.path)
        self._process: subprocess.Popen[bytes] | None = None
        self._size, self._last = (0, 0), b""

    def add(self, surface: pygame.Surface) -> None:
        """Record a frame; one of another size than the first is left out, and the one before lasts longer.

        Raises:
            OSError: if ffmpeg has ended, with its last words.
        """
        frame = pixels(surface)
        height, width = (max(2, side - side % 2) for side in frame.shape[:2])  # even, as its colours ask for
        frame, size = np.ascontiguousarray(frame[:height, :width]), (width, height)
        if self._process is None:
            self._size, program = size, ffmpeg()
            if program is None:
                raise OSError(f"{self.path} could not be written: there is no ffmpeg")
            raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{self._rate:g}"]
            coded = [*_CODED, *_encoder(program), "-color_range", "tv", "-movflags", "+faststart", "-f", "mp4"]
            self._process = subprocess.Popen(
                [program, "-y", "-loglevel", "error", *raw, "-i", "-", *coded, str(self._part.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        if size == self._size:
            self._last = frame.tobytes()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(self._last)
        except OSError:
            self.close()

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: if it could not be written, with ffmpeg's last words.
        """
        self._finish(True)

    def abandon(self) -> None:
        """Leave everything as it was before the recording."""
        self._finish(False)

    def _finish(self, wanted: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            said = b""
            with suppress(OSError):  # of a program that has ended
                _, said = process.communicate()
            if wanted and process.returncode:
                words = said.decode(errors="replace").strip().splitlines()
                raise OSError(f"{self.path} could not be written: {words[-1] if words else 'ffmpeg failed'}")
            if wanted:
                self._part.keep()
        finally:
            self._part.drop()


def write_frames(pictures: Iterable[pygame.Surface], count: int, target: Path | None, rate: float) -> list[Any]:
    """Frames into a .gif or an .mp4, or the last of them into a .png; or returned, where there is no target.

    A line on the terminal says how far it is, of ``count`` frames.

    Raises:
        OSError: if the file could not be written.
    """
    suffix = "" if target is None else target.suffix.lower()
    kind: Any = {".gif": GifWriter, ".mp4": Mp4Writer}.get(suffix)
    writer = None if kind is None else kind(target, rate)
    frames: list[Any] = []
    shown: pygame.Surface | None = None
    told = target is not None and sys.stderr.isatty()
    try:
        for number, shown in enumerate(pictures):
            if writer is not None:
                writer.add(shown)
            elif target is None:
                frames.append(pixels(shown))
            if told:
                print(f"\r{target}: {100 * (number + 1) // count} %", end="", file=sys.stderr, flush=True)
        if writer is not None:
            writer.close()
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise
    finally:
        if told:
            print(file=sys.stderr)
    if target is not None and writer is None and shown is not None:
        save_png(shown, target)
    return frames
