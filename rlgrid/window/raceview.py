"""The maps of a race side by side, on one scale, with a heading each; and what two of them differ in.

The selected lane is what the others are compared with. Lanes are told apart by a letter, a name and the pattern of
their line in the curves, and by colour beside that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pygame
from numpy.typing import NDArray

from rlgrid.layout import Layout, shape_of
from rlgrid.theme import THEMES
from rlgrid.window import mapview, numbers, palette, plots, scaling, shapes, text
from rlgrid.window.layers import Coloured, coloured
from rlgrid.window.race import views
from rlgrid.window.state import Floats, State
from rlgrid.window.text import SMALL
from rlgrid.window.view import placed
from rlgrid.window.widgets import Canvas

if TYPE_CHECKING:
    from rlgrid.window.scene import Scene

HEAD = 26  # pixels of a heading
LEGEND = 136  # pixels of the legend at the right of all maps
ROOMY = 520  # pixels of the region from which on it has room for it


@dataclass(frozen=True)
class Spot:
    """A lane's part of the region, and where its map lies in it."""

    area: pygame.Rect  # of the map
    head: pygame.Rect
    place: pygame.Rect
    view: Layout


# --- what is compared -------------------------------------------------------------------------------------------------


def difference(one: NDArray[Any], other: NDArray[Any]) -> Floats:
    """float64, ``other - one``; exactly 0 where they are equal, infinities too."""
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    with np.errstate(invalid="ignore"):
        found: Floats = np.where(first == second, 0.0, second - first)
    return found


def disagreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Floats:
    """float64 [S], the total variation distance of two greedy policies in each state, ties equally likely.

    0 where they are the same, 1 where they have no action in common; NaN where one of them has none at all.
    """
    many = one.sum(axis=1, keepdims=True), other.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 0.5 * np.abs(other / many[1] - one / many[0]).sum(axis=1)
    return found


def drawn(state: State) -> list[State]:
    """The state of every lane as its map is drawn: by itself on the scale of all, or against the selected one."""
    found = views(state)
    base = found[state.lane]
    if state.versus:
        layer = state.layer if state.versus == "difference" else "disagreement"
        others = [
            view if view is base else replace(view, drawn=against(state, base, view), layer=layer) for view in found
        ]
        ends = scale_of_all([view for view in others if view is not base])
        return [
            replace(base, scale_lock=None) if view is base else _on(view, ends, state.scale_lock) for view in others
        ]
    ends = scale_of_all(found)
    return [_on(view, ends, state.scale_lock) for view in found]


def _on(view: State, ends: tuple[float, float] | None, lock: tuple[float, float] | None) -> State:
    layer = coloured(view)
    if ends is None or layer.table is None or lock is not None or layer.scale is not None:
        return view
    return replace(view, drawn=replace(layer, scale=ends, common=True))


def against(state: State, base: State, other: State) -> Coloured:
    """What the map of a lane shows beside the selected one."""
    letter = plots.LETTERS[state.lane]
    if state.versus == "disagreement":
        name = f"greedy actions other than {letter}'s"
        one, two = base.snapshot.greedy, other.snapshot.greedy
        if one is None or two is None or one.shape != two.shape:
            return Coloured(None, name, "one of them has no greedy policy yet", pending=True)
        return Coloured(disagreement(one, two), name, scale=(0.0, 1.0), extreme=True)
    mine, its = coloured(base), coloured(other)
    name = f"{its.name}, minus {letter}'s"
    if mine.table is None or its.table is None or mine.table.shape != its.table.shape:
        return Coloured(None, name, its.reason or mine.reason or "they have different tables", pending=True)
    return Coloured(difference(mine.table, its.table), name, signed=True, extreme=True)


def scale_of_all(found: list[State]) -> tuple[float, float] | None:
    """The ends that hold those of all lanes; None where none of them has any."""
    ends = [
        scale
        for view in found
        if coloured(view).scale is None and (scale := mapview.scale_of(replace(view, scale_lock=None))) is not None
    ]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def scale_of(state: State) -> tuple[float, float] | None:
    """The ends of the colours that the legend tells."""
    return mapview.scale_of(legend_state(state, drawn(state)))


def legend_state(state: State, lanes: list[State]) -> State:
    """Whose legend is shown: the selected lane's, or of a comparison one of the others'."""
    if not state.versus:
        there = [lanes[state.lane], *lanes]
        return next((view for view in there if coloured(view).table is not None), lanes[state.lane])
    return next(view for number, view in enumerate(lanes) if number != state.lane)


# --- where they lie ---------------------------------------------------------------------------------------------------


def spots(state: State, region: pygame.Rect) -> list[Spot]:
    """The lanes' parts of the region, in as many columns as leave the cells largest."""
    many = len(state.lanes)
    wide = region.width - (LEGEND if region.width >= ROOMY else 0)
    rows, columns = shape_of(state.model) if state.model is not None else (1, 1)

    def cell(across: int) -> float:
        down = -(-many // across)
        return min((wide / across - 32) / columns, (region.height / down - HEAD - 37) / rows)

    largest = max(cell(number) for number in range(1, many + 1))
    across = next(number for number in range(1, many + 1) if cell(number) >= 0.9 * largest)  # wide headings
    down = -(-many // across)
    found = []
    for number in range(many):
        row, column = divmod(number, across)
        left, right = (region.left + wide * part // across for part in (column, column + 1))
        top, bottom = (region.top + region.height * part // down for part in (row, row + 1))
        head = pygame.Rect(left + 8, top + 6, right - left - 16, HEAD)
        area = pygame.Rect(left, head.bottom - 8, right - left, bottom - head.bottom + 8)
        place, view = placed(state.model, area, False, state.view)
        if state.view.fits:  # right under the heading
            area.height = place.height + 29
            place, view = placed(state.model, area, False, state.view)
        found.append(Spot(area, head, place, view))
    return found


# --- drawing ----------------------------------------------------------------------------------------------------------


class RaceView:
    """Draws the maps of a race, each again only where what it shows has changed."""

    def __init__(self) -> None:
        self._cells: dict[int, tuple[object, pygame.Surface]] = {}
        self.spots: list[Spot] = []

    def key(self, state: State) -> object:
        """What the maps depend on."""
        parts = []
        for view in views(state):
            shot = view.snapshot
            parts.append((mapview.cells_key(view), view.walker_at, view.behind, shot.regret, shot.finished, view.agent))
        return tuple(parts), state.lane, state.versus

    def paint(
        self, scene: Scene, surface: pygame.Surface, state: State, region: pygame.Rect, again: bool, hovered: str | None
    ) -> None:
        """All maps with their headings, and the legend."""
        theme = THEMES[state.theme]
        self.spots = spots(state, region)
        lanes = drawn(state)
        base_key = mapview.cells_key(lanes[state.lane])
        for number, (view, spot) in enumerate(zip(lanes, self.spots, strict=True)):
            place, seen = scaling.rect(spot.place), spot.view.zoomed(scene.scale, 0.0, 0.0)
            key = (place.size, seen, mapview.cells_key(view), _ends(view), state.versus and (base_key, state.lane))
            with scaling.within(1.0, scene.scale):
                kept = self._cells.get(number)
                if kept is None or kept[0] != key:
                    kept = (key, mapview.cells(view, place.size, seen))
                    self._cells[number] = kept
                if again:
                    surface.set_clip(place)
                    surface.blit(kept[1], place)
                    mapview.overlay(surface, view, place, seen, theme)
                    mapview.walker(surface, view, place, seen, theme)
                    palette.paint_marks(surface, view, place, seen, theme)
                    surface.set_clip(None)
            paint = _heading(number, view, _said(view, state.versus if number == state.lane else ""))
            depends = (view.agent_title, _said(view, state.versus), view.snapshot.regret, number == state.lane, number)
            scene.place_region(surface, f"lane:{number}", spot.head, state, hovered, paint, depends, again)
        if region.width >= ROOMY:
            top = region.top + 34
            spot_of_legend = pygame.Rect(region.right - LEGEND + 4, top, LEGEND - 8, min(380, region.bottom - top - 4))
            shown = legend_state(state, lanes)
            tells = (mapview.cells_key(shown), _ends(shown), coloured(shown).name, shown.snapshot.converged)
            scene.place_region(
                surface,
                "legend",
                spot_of_legend,
                state,
                hovered,
                lambda canvas, _: mapview.paint_legend(canvas, shown),
                tells,
                again,
            )

    def at(self, point: tuple[int, int] | None) -> int | None:
        """The lane whose map lies under a point."""
        if point is None:
            return None
        return next((number for number, spot in enumerate(self.spots) if spot.place.collidepoint(point)), None)


def _ends(view: State) -> tuple[object, ...]:
    layer = coloured(view)
    return layer.name, layer.scale, layer.table is None


def _said(view: State, versus: str) -> tuple[str, ...]:
    """What a heading tells of its lane, in ever shorter words: its regret, or of one that others are compared with what
    its colours mean."""
    scale = mapview.scale_of(view) if versus else None
    if scale is not None:
        low, high = (numbers.short(end) for end in scale)
        few = " to ".join(numbers.tight(end) for end in scale)
        return f"{coloured(view).name} {low} to {high}", f"{low} to {high}", few
    regret = view.snapshot.regret
    return () if regret is None else (f"regret {plots.percent(regret)}",)


def _heading(number: int, view: State, forms: tuple[str, ...]) -> Callable[[Canvas, State], None]:
    """Paints the heading of a lane: its line, its letter and its name, its regret, and what takes it out."""

    def paint(canvas: Canvas, state: State) -> None:
        theme, area, chosen = canvas.theme, canvas.rect, number == state.lane
        middle = area.centery
        canvas.surface.fill(theme.background)
        if chosen:
            shapes.box(canvas.surface, area, theme.raised, 6, theme.muted)
        plots.sample(canvas.surface, number, (10, 34), middle, theme)
        leave, name = f"leave:{number}", f"lane:{number}"
        ink = theme.text if canvas.hovered == leave else theme.muted
        shapes.icon(canvas.surface, "close", (area.right - 13, middle), 9, ink)
        canvas.control(leave, pygame.Rect(area.right - 24, 2, 22, area.height - 4), tip="take it out of the race")
        title = f"{plots.LETTERS[number]}  {view.agent_title}"
        right = area.right - 30
        whole, least = text.width(title, bold=True), text.width(plots.LETTERS[number], bold=True) + 40
        choices = [(words, room) for room in (whole, min(whole, least)) for words in forms]
        fits = (words for words, room in choices if room + text.width(words, SMALL, mono=True) + 54 < right)
        if (words := next(fits, None)) is not None:
            right = canvas.text(words, right, middle, theme.muted, SMALL, mono=True, align="right").left - 10
        canvas.text(title, 42, middle, theme.text if chosen else theme.muted, bold=True, most=max(20, right - 42))
        canvas.control(name, pygame.Rect(0, 0, area.right - 26, area.height), tip="look into this one (N: the next)")

    return paint
