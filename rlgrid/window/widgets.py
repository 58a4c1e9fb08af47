"""What panels are made of: a canvas that remembers where words and controls lie, and the few widgets drawn on it.

A control is a named rectangle. The app asks which one lies under the pointer and turns it into a command; tests ask
for all of them and for every line of text, and check that they lie apart and inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache

import pygame

from rlgrid.theme import RGB, Theme, contrast
from rlgrid.window import scaling, shapes, text
from rlgrid.window.state import Typed
from rlgrid.window.text import BODY, SMALL

MARGIN = 16


@dataclass(frozen=True)
class Control:
    """A rectangle that answers to the pointer; ``kind`` is "button" or "slider", ``tip`` says what it does."""

    name: str
    rect: pygame.Rect
    kind: str = "button"
    tip: str = ""
    track: tuple[int, int] = (0, 0)  # left and right end of a slider's track


@dataclass
class Canvas:
    """A surface, the theme it is drawn in, and where things came to lie on it, in pixels of the window."""

    surface: pygame.Surface
    theme: Theme
    left: int = 0
    top: int = 0
    controls: list[Control] = field(default_factory=list)
    texts: list[tuple[str, pygame.Rect]] = field(default_factory=list)
    hovered: str | None = None

    @property
    def rect(self) -> pygame.Rect:
        """The canvas's own rectangle, in pixels of the layout."""
        k = scaling.scale()
        width, height = self.surface.get_size()
        return pygame.Rect(0, 0, round(width / k), round(height / k))

    def text(
        self,
        words: str,
        x: float,
        middle: float,
        colour: RGB | None = None,
        size: float = BODY,
        *,
        mono: bool = False,
        bold: bool = False,
        align: str = "left",
        most: int | None = None,
    ) -> pygame.Rect:
        """One line of text; see `rlgrid.window.text.draw`."""
        theme = self.theme
        ink = theme.text if colour is None else colour
        if ink in (theme.accent, theme.second, theme.goal, theme.harm):
            ink = legible(ink, theme)
        if most is not None:
            words = text.fit(words, most, size, mono=mono, bold=bold)
        rect = text.draw(self.surface, words, x, middle, ink, size, mono=mono, bold=bold, align=align)
        if words:
            self.texts.append((words, rect.move(self.left, self.top)))
        return rect

    def heading(self, words: str, x: float, middle: float) -> pygame.Rect:
        """The small capitals above a group."""
        return self.text(words.upper(), x, middle, self.theme.muted, SMALL, bold=True)

    def hairline(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """The one-pixel line between regions and groups."""
        self.line((x0, y0), (x1, y1), self.theme.hairline)

    def line(self, one: tuple[int, int], other: tuple[int, int], colour: RGB, thick: int = 1) -> None:
        """A level or upright line."""
        k = scaling.scale()
        ends = [(round(x * k), round(y * k)) for x, y in (one, other)]
        pygame.draw.line(self.surface, colour, ends[0], ends[1], max(1, round(thick * k)))

    def fill(self, rect: pygame.Rect, colour: RGB) -> None:
        """A plain rectangle."""
        self.surface.fill(colour, scaling.rect(rect))

    def outline(self, rect: pygame.Rect, colour: RGB, thick: int = 1) -> None:
        """The edge of a plain rectangle."""
        pygame.draw.rect(self.surface, colour, scaling.rect(rect), max(1, round(thick * scaling.scale())))

    def picture(self, picture: pygame.Surface, centre: tuple[int, int]) -> None:
        """A small picture, which is in pixels of the surface, around a point."""
        k = scaling.scale()
        self.surface.blit(picture, picture.get_rect(center=(round(centre[0] * k), round(centre[1] * k))))

    def control(
        self, name: str, rect: pygame.Rect, kind: str = "button", tip: str = "", track: tuple[int, int] = (0, 0)
    ) -> None:
        """Remember a rectangle as a control."""
        moved = (track[0] + self.left, track[1] + self.left)
        self.controls.append(Control(name, rect.move(self.left, self.top), kind, tip, moved))

    def slider(
        self, name: str, left: int, right: int, y: int, part: float, *, tip: str = "", accent: bool = False
    ) -> None:
        """A track with its knob at ``part`` of the way; the filled piece is what can be changed, hence blue."""
        theme = self.theme
        part = min(1.0, max(0.0, part))
        x = left + round(part * (right - left))
        shapes.box(self.surface, pygame.Rect(left, y - 2, right - left, 4), theme.hairline, 2)
        if x > left + 1:
            fill = theme.accent if accent else theme.second
            shapes.box(self.surface, pygame.Rect(left, y - 2, x - left, 4), fill, 2)
        radius = 7.5 if self.hovered == name else 6.5
        shapes.disc(self.surface, (x, y), radius, theme.text)
        self.control(name, pygame.Rect(left - 8, y - 9, right - left + 16, 18), "slider", tip, (left, right))

    def number(
        self,
        slider: str,
        words: str,
        x: int,
        middle: int,
        typed: Typed | None,
        colour: RGB | None = None,
        size: float = BODY,
        *,
        mono: bool = True,
        bold: bool = False,
        align: str = "right",
        most: int = 110,
    ) -> pygame.Rect:
        """The number of a slider, which a click opens to be typed, or the field in which it is ``typed``."""
        theme = self.theme
        if typed is None or typed.slider != slider:
            lit = self.hovered == f"value:{slider}"
            ink = theme.second if lit and colour != theme.accent else colour  # a changed one stays orange
            rect = self.text(words, x, middle, ink, size, mono=mono, bold=bold, align=align, most=most)
            self.control(f"value:{slider}", rect.inflate(6, 2), tip="click to type a number")
            return rect
        wide = min(most, max(56, text.width(typed.text, size, mono=True) + 16))
        box = pygame.Rect(x + 4 - wide if align == "right" else x - 4, middle - 9, wide, 18)
        shapes.box(self.surface, box, theme.raised, 4, theme.second)
        room = text.fit(typed.text, wide - 12, size, mono=True)
        if typed.fresh and room:
            self.fill(pygame.Rect(box.left + 5, box.top + 2, text.width(room, size, mono=True) + 2, 14), theme.hairline)
        end = self.text(room, box.left + 6, middle, theme.text, size, mono=True)
        self.line((end.right + 1, box.top + 3), (end.right + 1, box.bottom - 4), theme.second)
        self.control(f"value:{slider}", box, tip="Enter takes it, Esc leaves it as it was")
        return box

    def chip(self, name: str, words: str, rect: pygame.Rect, on: bool, *, tip: str = "") -> None:
        """A switch of a layer: filled where it is on."""
        theme = self.theme
        ink = on_accent(theme) if on else theme.text
        if on:
            shapes.box(self.surface, rect, theme.accent, rect.height // 2)
        else:
            border = theme.muted if self.hovered == name else theme.hairline
            shapes.box(self.surface, rect, theme.raised, rect.height // 2, border)
        self.text(words, rect.centerx, rect.centery, ink, SMALL + 0.5, bold=True, align="center")
        self.control(name, rect, tip=tip)

    def choice(self, name: str, label: str, value: str, rect: pygame.Rect, *, open_: bool = False) -> None:
        """A closed menu: its label where there is room, its present value, and a triangle."""
        theme = self.theme
        lit = open_ or self.hovered == name
        shapes.box(self.surface, rect, theme.raised, 6, theme.muted if lit else theme.hairline)
        x = rect.left + 10
        room = rect.right - 28 - x - text.width(value, bold=True)
        if label and room >= text.width(label, SMALL) + 8:
            x = self.text(label, x, rect.centery, theme.muted, SMALL).right + 8
        self.text(value, x, rect.centery, bold=True, most=rect.right - 28 - x)
        shapes.icon(self.surface, "down", (rect.right - 13, rect.centery), 10, theme.muted)
        self.control(name, rect, tip=f"choose the {label.lower()}" if label else "")

    def button(
        self, name: str, words: str, rect: pygame.Rect, *, filled: bool = False, on: bool = False, tip: str = ""
    ) -> None:
        """A button with words on it."""
        theme = self.theme
        if filled:
            shapes.box(self.surface, rect, theme.accent, 6)
            ink = on_accent(theme)
        else:
            lit = self.hovered == name or on
            shapes.box(self.surface, rect, theme.raised, 6, theme.muted if lit else theme.hairline)
            ink = theme.text
        self.text(words, rect.centerx, rect.centery, ink, SMALL + 0.5, bold=True, align="center", most=rect.width - 6)
        self.control(name, rect, tip=tip)


@contextmanager
def smaller(canvas: Canvas, part: float) -> Iterator[Canvas]:
    """The same canvas with more room: everything on it is drawn at ``part`` of its size."""
    if part == 1.0:
        yield canvas
        return
    found = Canvas(canvas.surface, canvas.theme, hovered=canvas.hovered)
    with scaling.within(part * scaling.scale()):
        yield found

    def there(rect: pygame.Rect) -> pygame.Rect:
        return pygame.Rect(*(round(part * side) for side in rect)).move(canvas.left, canvas.top)

    canvas.controls += [replace(control, rect=there(control.rect)) for control in found.controls]
    canvas.texts += [(words, there(rect)) for words, rect in found.texts]


@cache
def legible(colour: RGB, theme: Theme) -> RGB:
    """A colour as an ink for words on panels: itself, or nearer to that of text until its contrast is 4.5."""
    grounds = (theme.panel, theme.background, theme.raised)
    inks = (shapes.mix(colour, theme.text, part / 20) for part in range(20))
    return next((ink for ink in inks if contrast([*grounds], ink).min() >= 4.5), theme.text)


def on_accent(theme: Theme) -> RGB:
    """The ink on a filled button or chip: the page's own colour reads on the accent in both themes."""
    return theme.background if theme.name == "dark" else theme.panel


def chip_width(words: str) -> int:
    """The width of a chip for its words."""
    return max(34, text.width(words, SMALL + 0.5, bold=True) + 26)
