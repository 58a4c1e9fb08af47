"""The map in the middle, with its legend. The cells come from `rlgrid.picture`; walker, trail and pin are laid on top.

The cells are drawn again only when the tables, the layer, the view or the size change; between two snapshots the
walker glides over a picture that is kept. How much is seen follows from the size of a cell: see `rlgrid.picture`, and
from `NUMBERED` pixels on the numbers are written into the cells.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pygame
from numpy.typing import NDArray

from rlgrid import glyphs, picture
from rlgrid.appearance import appearance_of
from rlgrid.layout import cell_of, visible
from rlgrid.picture import Layout
from rlgrid.theme import RGB, colormap, ink_on, palette_of, theme_of
from rlgrid.window import numbers, scaling, shapes, text
from rlgrid.window.layers import Coloured, coloured
from rlgrid.window.state import Same, Snapshot, State
from rlgrid.window.text import SMALL
from rlgrid.window.view import LEGEND, placed
from rlgrid.window.widgets import Canvas

BETWEEN = 6  # pixels between the numbers of two actions at least
FLASH = 0.28  # how much cells that change are lightened at most
NUMBERED = 56  # pixels of a cell from which on its numbers are written into it
THROUGH = 110  # the opacity, of 255, of a trail that numbers are read through
BEACON = 8  # pixels of a cell below which a goal is marked by a star of its own
BEACONS = 64  # goals that are marked so at most
FLASHING = ("values", "q")  # layers in which the cells that a sweep changed most flash
MINIMAP = 132  # pixels of its longer side at most


def has_legend(area: pygame.Rect) -> bool:
    """Whether the legend has room."""
    return area.width >= 400


def view_of(state: State, area: pygame.Rect) -> tuple[pygame.Rect, Layout]:
    """Where the cells that are seen lie in a region, and their layout inside that rectangle."""
    return placed(state.model, area, has_legend(area), state.view)


def scale_of(state: State) -> tuple[float, float] | None:
    """(lo, hi) of the colours; None where there is nothing to colour.

    Values of one sign use the whole map between the least and the largest; counts and errors begin at 0; what may
    have both signs is as long on both sides of 0.
    """
    layer = coloured(state)
    if layer.table is None or state.model is None:
        return None
    if state.scale_lock is not None:
        return state.scale_lock
    if layer.scale is not None:
        return layer.scale
    kept = state.computed.get("scale")
    if kept is None or kept[0] is not layer:
        kept = (layer, _free_scale(state, layer))
        state.computed["scale"] = kept
    found: tuple[float, float] = kept[1]
    return found


def prepared(state: State, shot: Snapshot) -> dict[str, Any]:
    """What the present layer takes from whole tables of a snapshot: `State.computed` for when it is shown. It changes
    nothing, so another thread may ask for it."""
    then = copy.copy(state)
    then.snapshot, then.computed = shot, {}
    layer, _ = coloured(then), scale_of(then)
    if layer.table is not None:
        _ = layer.numbers
    return then.computed


def _free_scale(state: State, layer: Coloured) -> tuple[float, float]:
    assert layer.table is not None
    if layer.counts:
        return 0.0, float(max(1, layer.table.max()))
    low, high = picture.scale_of(state.model, layer.table)
    if layer.from_zero:
        low = 0.0
    if layer.signed:
        most = max(-low, high)
        return (-most, most) if most > 0 else (-1.0, 1.0)
    if high - low <= 1e-12 * max(abs(high), abs(low)):  # all alike: the colour of the end that is nearer to 0
        return (low, low + 1.0) if low >= 0 else (high - 1.0, high)
    return low, high


def _settings(state: State, size: tuple[int, int], view: Layout) -> dict[str, Any]:
    """What the picture of the cells is drawn with, but for policy and flash."""
    layer, scale = coloured(state), scale_of(state)
    settings: dict[str, Any] = {"theme": state.theme, "size": size, "view": view, "extreme": layer.extreme}
    if layer.table is None or scale is None:
        return settings
    if state.layer == "q" and picture.has_wedges(view.cell, int(state.model.num_actions)):
        return settings | {"q_values": layer.table, "scale": scale, "layer": "q_values"}
    if layer.counts:
        return settings | {"visits": layer.numbers, "layer": "visits", "scale": (0.0, float(np.log1p(scale[1])))}
    return settings | {"values": layer.numbers, "scale": scale, "layer": "values"}


def cells(state: State, size: tuple[int, int], view: Layout) -> pygame.Surface:
    """The map without the walker: cells, arrows or wedges, and numbers where they fit."""
    shot = state.snapshot
    settings = _settings(state, size, view)
    numbered = view.cell >= NUMBERED * scaling.letters()
    if state.arrows and shot.greedy is not None and not (numbered and settings.get("layer") == "q_values"):
        settings["policy"] = shot.greedy
        if state.before is not None and state.before.shape == shot.greedy.shape:
            settings["before"] = state.before
    if state.flash > 0 and shot.change is not None and state.layer in FLASHING:
        top = float(np.nanmax(shot.change)) if shot.change.size else 0.0
        if top > 0:
            settings["flash"] = np.where(shot.change >= 0.5 * top, FLASH * state.flash, 0.0)
    frame = picture.draw(state.model, **settings)
    surface = pygame.image.frombuffer(frame.data, size, "RGB")
    if view.cell < BEACON:
        _beacons(surface, state, view)
    if numbered:
        _numbers(surface, state, view, scale_of(state), settings.get("flash"))
    return surface


def _beacons(surface: pygame.Surface, state: State, view: Layout) -> None:
    """Stars over goals whose cells are too small to carry one, where they are few."""
    model = state.model if getattr(state.model, "sheet", None) is None else state.model.sheet[0]
    marks = appearance_of(model).mark
    goals = np.flatnonzero(marks == 1 + glyphs.MARKS.index("goal"))
    if goals.size > BEACONS:
        return
    theme = theme_of(state.theme)
    for goal in goals.tolist():
        x, y = view.centre(*divmod(goal, view.columns))
        width, height = surface.get_size()
        if -8 <= x <= width + 8 and -8 <= y <= height + 8:
            x, y = min(max(x, 8.0), width - 8.0), min(max(y, 8.0), height - 8.0)  # whole at the edge of the map
            shapes.disc(surface, (x, y), 7.0, theme.goal, theme.background, 1.0)
            shapes.star(surface, (x, y), 5.0, theme.background)


def _numbers(
    surface: pygame.Surface,
    state: State,
    view: Layout,
    scale: tuple[float, float] | None,
    flash: NDArray[np.float64] | None,
) -> None:
    """The numbers of the present layer, written into cells that are large enough; ``flash`` [S] lightens these."""
    layer = coloured(state)
    if layer.table is None or scale is None:
        return
    spots = _wedge_spots(state.model) if state.layer == "q" else {}
    if state.layer == "q" and not spots:
        return
    seen = _seen(state.model, surface.get_size(), view)
    table = layer.table[seen]
    _, low, high = palette_of(*((0.0, float(np.log1p(scale[1]))) if layer.counts else scale))
    grounds = colormap(np.log1p(table) if layer.counts else table, low, high, state.theme)
    inks = ink_on(grounds if flash is None else picture.lightened(grounds, flash[seen]))
    apart = view.cell * 0.5 - BETWEEN * scaling.letters()  # of two numbers side by side, in a cell or over its edge
    wind = None if getattr(state.model, "sheet", None) is not None else appearance_of(state.model).wind
    for number, focus in enumerate(seen.tolist()):
        x, y = view.centre(*cell_of(state.model, focus))
        if state.layer == "q":
            for action, (dy, dx) in spots.items():
                value = float(table[number, action])
                if np.isfinite(value):
                    words = _in_cell(value, apart if dx else view.cell * 0.6)
                    at = (x + dx * view.cell * 0.25, y + dy * view.cell * 0.34)
                    text.draw(surface, words, *at, _colour(inks[number, action]), SMALL, mono=True, align="center")
        elif np.isfinite(table[number]):
            value = float(table[number])
            blows = wind is not None and bool(wind[focus].any())  # its chevrons stand in the lower right corner
            words = f"{int(value):,}" if layer.counts else _in_cell(value, view.cell * (0.6 if blows else 0.8))
            below = min(view.cell * 0.4, view.cell / 2 - 7 * scaling.letters())  # the tips of arrows, above the edge
            place = (x - 0.1 * blows * view.cell, y + below)
            text.draw(surface, words, *place, _colour(inks[number]), SMALL, mono=True, align="center")


def _colour(ink: NDArray[np.uint8]) -> tuple[int, int, int]:
    return int(ink[0]), int(ink[1]), int(ink[2])


def _seen(model: Any, size: tuple[int, int], view: Layout) -> NDArray[np.int64]:
    """The states that are seen and in which an action is chosen; the others are drawn as what they are."""
    rows = visible(view.top, view.cell, view.rows, size[1])
    columns = visible(view.left, view.cell, view.columns, size[0])
    grid = (np.arange(*rows)[:, None] * view.columns + np.arange(*columns)).ravel()
    if getattr(model, "sheet", None) is not None:  # a world of position and items: its states by their cells
        grid = np.flatnonzero(np.isin(model.sheet[1], grid))
        chosen: NDArray[np.bool_] = ~np.asarray(model.absorbing)
    else:
        grid = grid[grid < model.num_states]
        chosen = appearance_of(model).shown
    seen: NDArray[np.int64] = grid[chosen[grid]]
    return seen


def _reach(model: Any) -> tuple[int, int]:
    """(rows, columns) that one step goes at most; what is farther was a jump."""
    if not hasattr(model, "column_wind"):
        return 1, 1
    gust = max(abs(offset) for offset in model.gust)
    up, across = int(np.abs(model.column_wind).max()), int(np.abs(model.row_wind).max())
    return 1 + (up + gust if up else 0), 1 + (across + gust if across else 0)


def _in_cell(value: float, most: float) -> str:
    """A number with as many decimals as fit, at most four and at least one; where room is short, .31 for 0.31."""
    for digits, whole in ((4, True), (3, True), (2, True), (2, False), (1, True), (1, False)):
        words = numbers.fixed(value, digits)
        if not whole and words.lstrip(numbers.MINUS).startswith("0."):
            words = words.replace("0.", ".", 1)
        if text.width(words, SMALL, mono=True) <= most:
            return words
    return ""  # fewer digits would say something else


def _wedge_spots(model: Any) -> dict[int, tuple[int, int]]:
    """Where the number of each action stands in a cell, for worlds with four straight moves."""
    from rlgrid.gridmodel import MOVES

    names = getattr(model, "actions", None)
    if names is None or len(names) != 4:
        return {}
    spots = {a: MOVES[name] for a, name in enumerate(names)}
    return spots if all(0 in move for move in spots.values()) else {}


def overlay(surface: pygame.Surface, state: State, place: pygame.Rect, view: Layout, theme: Any) -> None:
    """The trail, and the pinned or pointed cell."""
    shot, centre = state.snapshot, _centres(place, view)
    thick, k, strength = _trail(view), scaling.letters(), _strength(view)
    if state.layer == "trajectories" and state.model is not None:
        for age, path in enumerate(reversed(state.paths[:-1])):
            _draw_path(surface, state.model, [*path], centre, theme.second, 0.6 * thick, max(40, 190 - 25 * age))
    passed = shot.trail[: len(shot.trail) - state.behind]
    if state.model is not None and passed:
        if strength > THROUGH:  # an edge of the ground, so that it is told from any cell without its hue
            _draw_path(surface, state.model, [*passed], centre, theme.background, thick + 2 * k, 110)
        _draw_path(surface, state.model, [*passed], centre, theme.accent, thick, strength)
    marked = [(state.pinned, 3.0 * k), (state.hover, 1.5 * k), (state.lit, 3.0 * k)]
    for focus, thick in marked:
        if focus is not None and state.model is not None and focus < state.model.num_states and view.cell >= 4:
            left, top, right, bottom = view.rect(*cell_of(state.model, focus))
            rect = pygame.Rect(place.left + left, place.top + top, right - left, bottom - top).inflate(2, 2)
            edge = round(2 * k)  # of the ground, so that the frame is told from any cell without its hue
            shapes.frame(surface, rect.inflate(edge, edge), theme.background, 5, thick + edge)
            shapes.frame(surface, rect, theme.accent if focus == state.lit else theme.second, 4, thick)


def walker(surface: pygame.Surface, state: State, place: pygame.Rect, view: Layout, theme: Any) -> None:
    """The walker, and its way from the cell that it left last; see `walker_area`."""
    if state.walker_at is None:
        return
    centre = _centres(place, view)
    trail = state.snapshot.trail
    if state.model is not None and state.behind and len(trail) > state.behind:
        leg: list[int | tuple[float, float]] = [trail[-state.behind - 1], state.walker_at]
        _draw_path(surface, state.model, leg, centre, theme.accent, _trail(view), _strength(view))
    radius, rim = _disc(view)
    shapes.disc(surface, centre(*state.walker_at), radius, theme.accent, theme.background, rim)


def walker_area(state: State, place: pygame.Rect, view: Layout) -> pygame.Rect:
    """The part of the surface that `walker` draws on; empty where there is none."""
    if state.walker_at is None:
        return pygame.Rect(place.topleft, (0, 0))
    centre, trail = _centres(place, view), state.snapshot.trail
    radius, rim = _disc(view)
    margin = math.ceil(radius + rim) + 3
    x, y = centre(*state.walker_at)
    area = pygame.Rect(math.floor(x) - margin, math.floor(y) - margin, 2 * margin + 1, 2 * margin + 1)
    if state.model is not None and state.behind and len(trail) > state.behind:
        x, y = centre(*cell_of(state.model, trail[-state.behind - 1]))
        margin = math.ceil(_trail(view)) + 3
        area.union_ip((math.floor(x) - margin, math.floor(y) - margin, 2 * margin + 1, 2 * margin + 1))
    return area


def _centres(place: pygame.Rect, view: Layout) -> Callable[[float, float], tuple[float, float]]:
    """Where the middle of a (row, column) lies."""

    def centre(row: float, column: float) -> tuple[float, float]:
        x, y = view.centre(row, column)
        return place.left + x, place.top + y

    return centre


def _trail(view: Layout) -> float:
    """How thick a trail is."""
    k = scaling.letters()
    return max(1.5 * k, min(4.0 * k, view.cell * 0.075))


def _strength(view: Layout) -> int:
    """The opacity of a trail, of 255; numbers are read through it."""
    return THROUGH if view.cell >= NUMBERED * scaling.letters() else 205


def _disc(view: Layout) -> tuple[float, float]:
    """Radius and rim of the walker."""
    k = scaling.letters()
    return max(3.0 * k, view.cell * 0.3), max(1.0 * k, min(3.0 * k, view.cell * 0.07))


def _draw_path(
    surface: pygame.Surface,
    model: Any,
    path: list[int | tuple[float, float]],
    centre: Callable[[float, float], tuple[float, float]],
    colour: RGB,
    thick: float,
    alpha: int,
) -> None:
    """A line through states, or through (row, column); a jump leaves a gap."""
    spots = [at if isinstance(at, tuple) else cell_of(model, at) for at in path]
    rows, columns = _reach(model)
    run = [centre(*spots[0])]
    seen = surface.get_clip().inflate(80, 80)
    for before, now in pairwise(spots):
        if abs(before[0] - now[0]) > rows or abs(before[1] - now[1]) > columns:
            shapes.path(surface, run, colour, thick, alpha)
            run = []
        at = centre(*now)
        if run and not (seen.collidepoint(at) or seen.collidepoint(run[-1])):  # out of sight
            shapes.path(surface, run, colour, thick, alpha)
            run = []
        run.append(at)
    shapes.path(surface, run, colour, thick, alpha)


def minimap_place(model: Any, place: pygame.Rect, area: pygame.Rect) -> pygame.Rect:
    """Where the minimap lies in a region: under the legend, or without one in a corner of the map at ``place``."""
    rows, columns = picture.shape_of(model)
    beside = has_legend(area)
    most = LEGEND - 22 if beside else min(MINIMAP, place.width // 3)
    factor = min(most / columns, min(most, place.height // 3) / rows)
    wide, tall = max(12, round(columns * factor)), max(12, round(rows * factor))
    left = place.right + 16 if beside else place.right - wide - 8
    return pygame.Rect(left, place.bottom - tall - (2 if beside else 8), wide, tall)


def legend_place(state: State, place: pygame.Rect, area: pygame.Rect) -> pygame.Rect:
    """Where the legend lies in a region, at the right of the map and above the minimap."""
    spot = pygame.Rect(place.right + 14, place.top - 6, area.right - place.right - 14, place.height + 10)
    spot.height = max(spot.height, min(180, area.bottom - spot.top))
    if not state.view.fits:
        spot.height = minimap_place(state.model, place, area).top - 8 - spot.top
    return spot


def minimap(state: State, size: tuple[int, int]) -> pygame.Surface:
    """The whole world, small."""
    rows, columns = picture.shape_of(state.model)
    cell = min(size[0] / columns, size[1] / rows)
    view = Layout(cell, (size[0] - columns * cell) / 2, (size[1] - rows * cell) / 2, rows, columns)
    frame = picture.draw(state.model, **_settings(state, size, view))
    surface = pygame.image.frombuffer(frame.data, size, "RGB")
    _beacons(surface, state, view)
    return surface


def paint_minimap(
    surface: pygame.Surface, state: State, spot: pygame.Rect, whole: pygame.Surface, place: pygame.Rect, view: Layout
) -> None:
    """The minimap with a frame around what is seen."""
    theme = theme_of(state.theme)
    pygame.draw.rect(surface, theme.background, spot.inflate(6, 6))
    pygame.draw.rect(surface, theme.muted, spot.inflate(4, 4), 1)
    surface.blit(whole, spot)
    across, down = spot.width / view.width, spot.height / view.height
    seen = pygame.Rect(
        spot.left + round(-view.left * across),
        spot.top + round(-view.top * down),
        max(6, round(place.width * across)),
        max(6, round(place.height * down)),
    ).clip(spot)
    pygame.draw.rect(surface, theme.background, seen.inflate(2, 2), 3)
    pygame.draw.rect(surface, theme.accent, seen, 2)


def paint_legend(canvas: Canvas, state: State) -> None:
    """The scale of the colours at the left of the canvas, and what is drawn; or why nothing is."""
    theme = canvas.theme
    scale, layer = scale_of(state), coloured(state)
    tall = max(60, min(240, canvas.rect.height - 104))
    most = canvas.rect.width - 8
    if scale is None or layer.table is None:
        y = 12
        for line in text.wrap(f"No {layer.name}: {layer.reason}", most, SMALL):
            canvas.text(line, 0, y, theme.muted, SMALL)
            y += 16
        return
    _, low, high = palette_of(*scale)
    if layer.counts:
        column = colormap(np.linspace(1.0, 0.0, tall), 0.0, 1.0, state.theme)
        middle = float(np.expm1(np.log1p(high) / 2))
    else:
        column = colormap(np.linspace(high, low, tall), low, high, state.theme)
        middle = (low + high) / 2
    strip = np.repeat(column[:, None, :], 12, axis=1)
    spot = scaling.rect(pygame.Rect(0, 6, 12, tall))
    colours = pygame.image.frombuffer(strip.tobytes(), (12, tall), "RGB")
    canvas.surface.blit(colours if spot.size == (12, tall) else pygame.transform.scale(colours, spot.size), spot)
    for value, part in ((high, 0.0), (middle, 0.5), (low, 1.0)):
        words = f"{value:,.0f}" if layer.counts else _legend_number(value, high - low)
        canvas.text(words, 18, 6 + part * (tall - 1), theme.muted, SMALL, mono=True)
    y = 6 + tall + 19
    for line in text.wrap(f"{layer.name}, {state.unit} {state.snapshot.count:,}", most, SMALL):
        canvas.text(line, 0, y, theme.muted, SMALL)
        y += 16
    if state.before is not None and state.arrows and y + 34 < canvas.rect.height:
        canvas.text("faint: before the change", 0, y, theme.accent, SMALL, most=most)
        y += 17
    if state.arrows and state.snapshot.greedy is not None and appearance_of(state.model).directions is None:
        words = "digits: the greedy actions, counted from 0 in the inspector's order"
        for line in text.wrap(words, most, SMALL) if y + 90 < canvas.rect.height else ():
            canvas.text(line, 0, y, theme.muted, SMALL)
            y += 16
    if state.plans and state.snapshot.converged:
        canvas.text("converged", 0, y, theme.goal, SMALL, bold=True)
        y += 17
    if layer.scale is not None and not layer.common:
        canvas.text("scale fixed", 0, y + 1, theme.muted, SMALL)
        return
    words = "scale free" if state.scale_lock is None else "scale locked"
    rect = canvas.text(words, 0, y + 1, theme.second, SMALL, bold=True)
    canvas.control("scale", rect.inflate(8, 8).clip(canvas.rect), tip="lock the scale, or let it go (L)")


def _legend_number(value: float, span: float) -> str:
    if span >= 1000 or span < 1e-3:
        return numbers.short(value)
    return numbers.fixed(value, 2 if span >= 0.2 else 4)


def cells_key(state: State) -> tuple[object, ...]:
    """What the cells depend on."""
    return (
        state.stamp,
        Same(state.model),
        state.layer,
        state.arrows,
        state.theme,
        state.scale_lock,
        round(state.flash * 12),
        Same(state.before),
        len(state.paths) if state.layer == "trajectories" else 0,
    )
