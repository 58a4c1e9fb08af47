"""Which part of the world is seen: how far the map is zoomed in, and around which cell.

A `View` is independent of the window's size. `placed` lays it out in a region; `zoomed`, `moved` and `centred` make
another view from it. A view never leaves more of the region empty than the whole world would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlgrid.layout import Layout, layout, shape_of

if TYPE_CHECKING:
    import pygame

LEGEND = 128  # pixels at the right of the map
LARGEST = 160.0  # pixels of a cell at most, or as many as fit the region
STEP = 1.25  # what one notch of the wheel zooms by


@dataclass(frozen=True)
class View:
    """``zoom`` times as large as the whole world would be, around (row, column), both counted in cells."""

    zoom: float = 1.0
    row: float = 0.0
    column: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether all of the world is seen."""
        return self.zoom <= 1.0


WHOLE = View()


def _room(area: pygame.Rect, legend: bool) -> pygame.Rect:
    room = area.copy()
    wide = area.width - 32 - (LEGEND if legend else 0)
    room.update(area.left + 16, area.top + 16, max(1, wide), max(1, area.height - 29))
    return room


def _whole_cell(model: Any, room: pygame.Rect) -> float:
    return layout(model, room.width, room.height).cell


def placed(model: Any, area: pygame.Rect, legend: bool, view: View = WHOLE) -> tuple[pygame.Rect, Layout]:
    """Where the cells lie in a region, and their layout inside that rectangle."""
    room = _room(area, legend)
    rows, columns = shape_of(model)
    cell = _whole_cell(model, room)
    if not view.fits:
        cell *= min(view.zoom, _most(room, cell))
    width, height = (max(1, min(most, round(n * cell))) for n, most in ((columns, room.width), (rows, room.height)))
    group = width + (LEGEND if legend else 0)
    left = area.left + max(16, (area.width - group) // 2)
    top = area.top + 16 + max(0, (room.height - height) // 2)
    place = area.copy()
    place.update(left, top, width, height)
    if view.fits:
        return place, Layout(cell, 0.0, 0.0, rows, columns)
    x = _within(width / 2 - view.column * cell, width, columns * cell)
    y = _within(height / 2 - view.row * cell, height, rows * cell)
    return place, Layout(cell, x, y, rows, columns)


def _most(room: pygame.Rect, whole: float) -> float:
    """How far a map can be zoomed in whose cells are ``whole`` pixels large where all of it is seen."""
    return max(1.0, max(LARGEST, min(room.size) / 6) / whole)


def clamped(model: Any, area: pygame.Rect, legend: bool, view: View) -> View:
    """A view that is somebody else's: no closer than this region allows, and around a place of the world."""
    if view.fits:
        return WHOLE
    room = _room(area, legend)
    rows, columns = shape_of(model)
    zoom = min(view.zoom, _most(room, _whole_cell(model, room)))
    return View(zoom, min(max(0.0, view.row), float(rows)), min(max(0.0, view.column), float(columns)))


def _within(origin: float, seen: int, whole: float) -> float:
    """The origin of an axis moved so that nothing beyond the world is seen."""
    return min(0.0, max(seen - whole, origin)) if whole > seen else 0.0


def _view_at(model: Any, area: pygame.Rect, legend: bool, zoom: float, row: float, column: float) -> View:
    """The view around a place, moved so that it lies within the world."""
    if zoom <= 1.0 + 1e-9:
        return WHOLE
    place, where = placed(model, area, legend, View(zoom, row, column))
    return View(zoom, (place.height / 2 - where.top) / where.cell, (place.width / 2 - where.left) / where.cell)


def zoomed(
    model: Any, area: pygame.Rect, legend: bool, view: View, factor: float, at: tuple[float, float] | None = None
) -> View:
    """The view made larger by a factor, the point ``at`` of the window staying where it is (its middle if None)."""
    room = _room(area, legend)
    place, where = placed(model, area, legend, view)
    x, y = place.center if at is None else at
    column, row = ((x - place.left) - where.left) / where.cell, ((y - place.top) - where.top) / where.cell
    whole = _whole_cell(model, room)
    zoom = min(_most(room, whole), max(1.0, (1.0 if view.fits else view.zoom) * factor))
    if zoom <= 1.0 + 1e-9:
        return WHOLE
    new, then = placed(model, area, legend, View(zoom, row, column))
    return _view_at(
        model,
        area,
        legend,
        zoom,
        row + (new.height / 2 - (y - new.top)) / then.cell,
        column + (new.width / 2 - (x - new.left)) / then.cell,
    )


def moved(model: Any, area: pygame.Rect, legend: bool, view: View, dx: float, dy: float) -> View:
    """The view with the world moved by pixels under it."""
    if view.fits:
        return view
    _, where = placed(model, area, legend, view)
    return _view_at(model, area, legend, view.zoom, view.row - dy / where.cell, view.column - dx / where.cell)


def centred(model: Any, area: pygame.Rect, legend: bool, view: View, row: float, column: float) -> View:
    """The view around another place."""
    return view if view.fits else _view_at(model, area, legend, view.zoom, row, column)
