"""How large things are drawn: the pixels of the window for each pixel of the layout.

Everything in the window is laid out in pixels of its own, of which a window of 1280x800 has that many at scale 1. What
draws (`rlgrid.window.text`, `rlgrid.window.shapes`, `rlgrid.window.widgets.Canvas`) multiplies by the present scale,
so that letters and edges are as sharp at 3 as at 1. The map is drawn in pixels of the window; there only its letters
are scaled (``within(1.0, letters)``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pygame

SCALES = (0.75, 0.85, 1.0, 1.15, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
"""The scales that the keys go through."""

_present = [1.0, 1.0]  # of places and lines, of letters


@contextmanager
def within(scale: float, letters: float | None = None) -> Iterator[None]:
    """Draw at this scale; letters at another one."""
    before = list(_present)
    _present[:] = scale, scale if letters is None else letters
    try:
        yield
    finally:
        _present[:] = before


def scale() -> float:
    """Pixels of the surface for each pixel of the layout."""
    return _present[0]


def letters() -> float:
    """How large letters are, in sizes of scale 1."""
    return _present[1]


def rect(of: pygame.Rect) -> pygame.Rect:
    """A rectangle of the layout in pixels of the surface; neighbours stay neighbours."""
    k = _present[0]
    if k == 1.0:
        return of
    left, top = round(of.left * k), round(of.top * k)
    return pygame.Rect(left, top, round(of.right * k) - left, round(of.bottom * k) - top)


def fitting(wanted: float, size: tuple[int, int], smallest: tuple[int, int]) -> float:
    """The scale that a window takes: the one that is wanted, or the largest that leaves it as many pixels of the
    layout as the smallest window has."""
    return max(0.5, min(wanted, size[0] / smallest[0], size[1] / smallest[1]))


def usual(size: tuple[int, int]) -> float:
    """The scale at which a window of this size opens: 1, and more from 2560 x 1440 on (3840 x 2160 opens at 2)."""
    return max(1.0, min(3.0, int(4 * min(size[0] / 1920, size[1] / 1080)) / 4))
