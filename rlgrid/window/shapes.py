"""Shapes with smooth edges: rounded boxes, discs, lines, and the icons of the bar.

Every shape is drawn four times too large and scaled down, which SDL does by averaging; the results are cached by
what they look like. pygame and pygame-ce draw them alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import pygame

from rlgrid.keeping import kept
from rlgrid.theme import RGB
from rlgrid.window import scaling

LARGE = 200  # pixels of a box from which on it is put together of parts
FINE = 4  # pixels drawn for each pixel shown, in each direction
Point = tuple[float, float]


def mix(one: RGB, other: RGB, part: float) -> RGB:
    """``part`` of the way from one colour to another."""
    r, g, b = (round(a + (c - a) * part) for a, c in zip(one, other, strict=True))
    return r, g, b


def _fine(width: int, height: int, colour: RGB, paint: Callable[[pygame.Surface, int], None]) -> pygame.Surface:
    """A see-through surface in ``colour`` whose opacity is what ``paint`` left white on a large black one."""
    large = pygame.Surface((width * FINE, height * FINE), pygame.SRCALPHA)
    large.fill((*colour, 0))
    paint(large, FINE)
    return pygame.transform.smoothscale(large, (width, height))


@kept
def _box(width: int, height: int, radius: int, fill: RGB, border: RGB | None, thick: float) -> pygame.Surface:
    def paint(large: pygame.Surface, fine: int) -> None:
        area = large.get_rect()
        if border is not None:
            pygame.draw.rect(large, (*border, 255), area, border_radius=radius * fine)
            inset = round(thick * fine)
            area = area.inflate(-2 * inset, -2 * inset)
            pygame.draw.rect(large, (*fill, 255), area, border_radius=max(0, radius * fine - inset))
        else:
            pygame.draw.rect(large, (*fill, 255), area, border_radius=radius * fine)

    return _fine(width, height, border or fill, paint)


def box(
    surface: pygame.Surface,
    rect: pygame.Rect,
    fill: RGB,
    radius: int = 6,
    border: RGB | None = None,
    thick: float = 1.0,
) -> None:
    """A box with round corners, with a border of ``thick`` pixels inside its edge where one is given."""
    if rect.width > 0 and rect.height > 0:
        rect, radius, thick = scaling.rect(rect), round(radius * scaling.scale()), thick * scaling.scale()
        radius = min(radius, rect.width // 2, rect.height // 2)
        edge = radius + math.ceil(thick) + 1
        if min(rect.size) <= 2 * edge + 1 or max(rect.size) < LARGE:
            surface.blit(_box(rect.width, rect.height, radius, fill, border, thick), rect)
        else:
            _stretched(surface, _box(2 * edge + 1, 2 * edge + 1, radius, fill, border, thick), rect, edge, fill)


def _stretched(surface: pygame.Surface, small: pygame.Surface, rect: pygame.Rect, edge: int, fill: RGB) -> None:
    """A large box by the corners and the middles of the edges of a small one: large ones are not worth keeping."""
    wide, tall = rect.width - 2 * edge, rect.height - 2 * edge
    columns = ((0, edge, rect.left, edge), (edge, 1, rect.left + edge, wide), (edge + 1, edge, rect.right - edge, edge))
    rows = ((0, edge, rect.top, edge), (edge, 1, rect.top + edge, tall), (edge + 1, edge, rect.bottom - edge, edge))
    for x, width, left, across in columns:
        for y, height, top, down in rows:
            if width == 1 and height == 1:
                surface.fill(fill, (left, top, across, down))
                continue
            part = small.subsurface((x, y, width, height))
            shown = part if (across, down) == (width, height) else pygame.transform.scale(part, (across, down))
            surface.blit(shown, (left, top))


@kept
def _frame(width: int, height: int, radius: int, colour: RGB, thick: float) -> pygame.Surface:
    def paint(large: pygame.Surface, fine: int) -> None:
        area = large.get_rect()
        pygame.draw.rect(large, (*colour, 255), area, round(thick * fine), border_radius=radius * fine)

    return _fine(width, height, colour, paint)


def frame(surface: pygame.Surface, rect: pygame.Rect, colour: RGB, radius: int = 4, thick: float = 2.0) -> None:
    """The outline of a box, inside its edge."""
    if rect.width > 0 and rect.height > 0:
        rect, radius, thick = scaling.rect(rect), round(radius * scaling.scale()), thick * scaling.scale()
        surface.blit(_frame(rect.width, rect.height, radius, colour, thick), rect)


@kept
def _disc(radius: float, fill: RGB, border: RGB | None, thick: float) -> pygame.Surface:
    side = 2 * math.ceil(radius) + 2

    def paint(large: pygame.Surface, fine: int) -> None:
        centre = (side * fine / 2, side * fine / 2)
        if border is not None:
            pygame.draw.circle(large, (*border, 255), centre, radius * fine)
            pygame.draw.circle(large, (*fill, 255), centre, (radius - thick) * fine)
        else:
            pygame.draw.circle(large, (*fill, 255), centre, radius * fine)

    return _fine(side, side, border or fill, paint)


def disc(
    surface: pygame.Surface, centre: Point, radius: float, fill: RGB, border: RGB | None = None, thick: float = 2.0
) -> None:
    """A disc, with a rim of ``thick`` pixels where a border is given."""
    k = scaling.scale()
    picture = _disc(round(radius * k * 4) / 4, fill, border, thick * k)
    surface.blit(picture, picture.get_rect(center=(round(centre[0] * k), round(centre[1] * k))))


def _scaled(points: Sequence[Point]) -> Sequence[Point]:
    k = scaling.scale()
    return points if k == 1.0 else [(x * k, y * k) for x, y in points]


def polygon(surface: pygame.Surface, points: Sequence[Point], colour: RGB) -> None:
    """A filled polygon."""
    points = _scaled(points)
    left, top = math.floor(min(x for x, _ in points)) - 1, math.floor(min(y for _, y in points)) - 1
    right, bottom = math.ceil(max(x for x, _ in points)) + 1, math.ceil(max(y for _, y in points)) + 1

    def paint(large: pygame.Surface, fine: int) -> None:
        pygame.draw.polygon(large, (*colour, 255), [((x - left) * fine, (y - top) * fine) for x, y in points])

    surface.blit(_fine(right - left, bottom - top, colour, paint), (left, top))


def line(surface: pygame.Surface, points: Sequence[Point], colour: RGB, thick: float = 2.0, alpha: int = 255) -> None:
    """A line through ``points`` with round joints and ends."""
    if len(points) < 2:
        return
    picture, corner = _line(tuple(_scaled(points)), colour, thick * scaling.scale())
    picture.set_alpha(alpha)
    surface.blit(picture, corner)


@kept
def _line(points: tuple[Point, ...], colour: RGB, thick: float) -> tuple[pygame.Surface, tuple[int, int]]:
    """A line, and where its upper left corner lies; kept, for what lies behind the walker stays as it is."""
    margin = math.ceil(thick) + 1
    left, top = math.floor(min(x for x, _ in points)) - margin, math.floor(min(y for _, y in points)) - margin
    right, bottom = math.ceil(max(x for x, _ in points)) + margin, math.ceil(max(y for _, y in points)) + margin

    def paint(large: pygame.Surface, fine: int) -> None:
        radius = thick * fine / 2
        spots = [((x - left) * fine, (y - top) * fine) for x, y in points]
        for (x0, y0), (x1, y1) in pairwise(spots):
            length = math.hypot(x1 - x0, y1 - y0)
            if length > 0:
                nx, ny = (y0 - y1) / length * radius, (x1 - x0) / length * radius
                corners = [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
                pygame.draw.polygon(large, (*colour, 255), corners)
        for spot in spots:
            pygame.draw.circle(large, (*colour, 255), spot, radius)

    return _fine(right - left, bottom - top, colour, paint), (left, top)


def path(surface: pygame.Surface, points: Sequence[Point], colour: RGB, thick: float, alpha: int) -> None:
    """A line through whole pixels, leg by leg: those through cells look alike, so that each is drawn once and kept."""
    spots = [(round(x), round(y)) for x, y in _scaled(points)]
    legs = []
    for (x0, y0), (x1, y1) in pairwise(spots):
        picture, (left, top) = _line(((0.0, 0.0), (x1 - x0, y1 - y0)), colour, thick * scaling.scale())
        picture.set_alpha(255)
        legs.append((picture, picture.get_rect(topleft=(x0 + left, y0 + top))))
    if not legs:
        return
    area = legs[0][1].unionall([spot for _, spot in legs])
    whole = pygame.Surface(area.size, pygame.SRCALPHA)
    whole.fill((*colour, 0))
    for picture, spot in legs:
        whole.blit(picture, spot.move(-area.left, -area.top), special_flags=pygame.BLEND_RGBA_MAX)
    whole.set_alpha(alpha)
    surface.blit(whole, area)


def dashes(surface: pygame.Surface, left: int, right: int, y: int, colour: RGB) -> None:
    """A dashed level line of one pixel."""
    for x in range(left, right, 7):
        dash = scaling.rect(pygame.Rect(x, y, min(4, right - x), 1))
        surface.fill(colour, dash if dash.height else dash.inflate(0, 1))


# --- icons, in a square of side 1 around (0, 0) -----------------------------------------------------------------------

_TRIANGLE = [(-0.36, -0.44), (0.40, 0.0), (-0.36, 0.44)]


def _bar(x: float, half: float = 0.07, tall: float = 0.44) -> list[Point]:
    return [(x - half, -tall), (x + half, -tall), (x + half, tall), (x - half, tall)]


ICONS: dict[str, list[list[Point]]] = {
    "start": [_bar(-0.46), [(0.44, -0.46), (-0.34, 0.0), (0.44, 0.46)]],
    "back": [[(0.36, -0.46), (-0.42, 0.0), (0.36, 0.46)]],
    "play": [_TRIANGLE],
    "pause": [_bar(-0.24, 0.11, 0.42), _bar(0.24, 0.11, 0.42)],
    "step": [[(-0.36, -0.46), (0.42, 0.0), (-0.36, 0.46)]],
    "end": [[(-0.44, -0.46), (0.34, 0.0), (-0.44, 0.46)], _bar(0.46)],
    "close": [
        [(-0.40, -0.30), (-0.30, -0.40), (0.40, 0.30), (0.30, 0.40)],
        [(-0.30, 0.40), (-0.40, 0.30), (0.30, -0.40), (0.40, -0.30)],
    ],
    "down": [[(-0.5, -0.26), (0.5, -0.26), (0.0, 0.34)]],
}


def icon(surface: pygame.Surface, name: str, centre: Point, size: float, colour: RGB) -> None:
    """One of `ICONS` in a square of ``size`` pixels."""
    for outline in ICONS[name]:
        polygon(surface, [(centre[0] + x * size, centre[1] + y * size) for x, y in outline], colour)


@kept
def _half_disc(radius: float, colour: RGB) -> pygame.Surface:
    side = 2 * math.ceil(radius) + 2

    def paint(large: pygame.Surface, fine: int) -> None:
        centre = (side * fine / 2, side * fine / 2)
        pygame.draw.circle(large, (*colour, 255), centre, radius * fine, round(1.2 * fine))
        pygame.draw.circle(large, (*colour, 255), centre, radius * fine, draw_top_left=True, draw_bottom_left=True)

    return _fine(side, side, colour, paint)


def half_disc(surface: pygame.Surface, centre: Point, radius: float, colour: RGB) -> None:
    """A ring whose left half is filled: the sign for switching between dark and light."""
    k = scaling.scale()
    picture = _half_disc(round(radius * k * 4) / 4, colour)
    surface.blit(picture, picture.get_rect(center=(round(centre[0] * k), round(centre[1] * k))))


def star(surface: pygame.Surface, centre: Point, radius: float, colour: RGB) -> None:
    """A star of five points, the sign of a goal."""
    turns = [(k * math.pi / 5, radius * (1.0 if k % 2 == 0 else 0.43)) for k in range(10)]
    polygon(surface, [(centre[0] + r * math.sin(t), centre[1] - r * math.cos(t)) for t, r in turns], colour)


def diamond(surface: pygame.Surface, centre: Point, radius: float, colour: RGB) -> None:
    """A square on its tip."""
    x, y = centre
    polygon(surface, [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)], colour)
