"""Words and numbers on a surface: Inter for words, JetBrains Mono for every number, both shipped with the package.

Sizes are pixels of the em; there are three of them, and weight, not size, is for emphasis. Text is placed by its
baseline or by the middle of its capitals, so that lines of different faces agree. Rendered runs are kept, since most
of a frame repeats the one before.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from pathlib import Path

import pygame
import pygame.freetype

from rlgrid.keeping import Store
from rlgrid.theme import RGB
from rlgrid.window import scaling

SMALL, BODY, TITLE = 10.5, 12.0, 15.0
ELLIPSIS = "…"

_FOLDER = Path(__file__).resolve().parent / "fonts"
_FILES = {
    ("sans", False): "Inter-Regular.otf",
    ("sans", True): "Inter-SemiBold.otf",
    ("mono", False): "JetBrainsMono-Regular.ttf",
    ("mono", True): "JetBrainsMono-Bold.ttf",
}
_CAP_HEIGHT = {"sans": 0.727, "mono": 0.73}  # of the em
_runs = Store(most=16 << 20)  # by text, size, face, weight and colour; a frame of 3840 x 2160 pixels shows 2 MB of them


@cache
def _font(face: str, bold: bool) -> pygame.freetype.Font:
    if not pygame.freetype.get_init():
        pygame.freetype.init()
    font = pygame.freetype.Font(str(_FOLDER / _FILES[face, bold]), 12)
    font.kerning = True
    font.origin = True
    # An environment of Gymnasium that draws itself ends all of pygame when it is closed; its fonts are void then.
    pygame.register_quit(_font.cache_clear)
    return font


def width(text: str, size: float = BODY, *, mono: bool = False, bold: bool = False) -> int:
    """Pixels of the layout that ``text`` takes."""
    drawn = _width(text, size * scaling.letters(), mono, bold)
    return drawn if scaling.scale() == 1.0 else math.ceil(drawn / scaling.scale())


@lru_cache(20_000)
def _width(text: str, size: float, mono: bool, bold: bool) -> int:
    """Pixels of a run as it is drawn."""
    if not text:
        return 0
    metrics = _font("mono" if mono else "sans", bold).get_metrics(text, size)
    return round(sum(m[4] for m in metrics if m is not None))


def fit(text: str, most: int, size: float = BODY, *, mono: bool = False, bold: bool = False) -> str:
    """``text``, or as much of it as ``most`` pixels hold with an ellipsis at its end."""
    if width(text, size, mono=mono, bold=bold) <= most:
        return text
    for cut in range(len(text) - 1, 0, -1):
        shorter = text[:cut].rstrip() + ELLIPSIS
        if width(shorter, size, mono=mono, bold=bold) <= most:
            return shorter
    return ""


def wrap(text: str, most: int, size: float = BODY, *, bold: bool = False) -> list[str]:
    """Lines of ``text`` of at most ``most`` pixels, broken between words (a longer word is cut)."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and width(longer, size, bold=bold) > most:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return [fit(line, most, size, bold=bold) for line in lines]


def _run(text: str, size: float, face: str, bold: bool, colour: RGB) -> tuple[pygame.Surface, int, int]:
    """A rendered run and where its bitmap lies from the baseline's origin."""
    key = (text, size, face, bold, colour)
    found: tuple[pygame.Surface, int, int] | None = _runs.find(key)
    if found is None:
        surface, box = _font(face, bold).render(text, colour, size=size)
        found = (surface, box.x, box.y)
        _runs.keep(key, found)
    return found


def draw(
    surface: pygame.Surface,
    text: str,
    x: float,
    middle: float,
    colour: RGB,
    size: float = BODY,
    *,
    mono: bool = False,
    bold: bool = False,
    align: str = "left",
    most: int | None = None,
) -> pygame.Rect:
    """Draw one line with the middle of its capitals at ``middle``; the rectangle that it takes.

    Args:
        x: the left end, the centre or the right end of the line, as ``align`` says.
        most: pixels that the line may take; a longer one ends in an ellipsis.
    """
    if most is not None:
        text = fit(text, most, size, mono=mono, bold=bold)
    taken = width(text, size, mono=mono, bold=bold)
    left = round(x - {"left": 0.0, "center": taken / 2, "right": taken}[align])
    face = "mono" if mono else "sans"
    size, k = size * scaling.letters(), scaling.scale()
    baseline = round(middle * k + _CAP_HEIGHT[face] * size / 2)
    if text:
        bitmap, dx, dy = _run(text, size, face, bold, colour)
        surface.blit(bitmap, (round(left * k) + dx, baseline - dy))
    height = round(size / k * 1.2)
    return pygame.Rect(left, round(middle - height / 2), taken, height)
