"""The map in the middle, with its legend. The cells come from `rlgrid.picture`; walker, trail and pin are laid on top.

The cells are drawn again only when the tables, the layer or the size change; between two snapshots the walker glides
over a picture that is kept.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pygame
from numpy.typing import NDArray

from rlgrid import picture
from rlgrid.layout import cell_of
from rlgrid.theme import colormap, ink_on
from rlgrid.window import numbers, shapes, text
from rlgrid.window.state import State
from rlgrid.window.text import SMALL
from rlgrid.window.widgets import Canvas

LEGEND = 128  # pixels at the right of the map
NUMBERED = 56  # pixels of a cell from which on its numbers are written into it


def view_of(model: Any, area: pygame.Rect, legend: bool) -> tuple[pygame.Rect, picture.Layout]:
    """Where the cells lie in a region, and their layout inside that rectangle."""
    room = pygame.Rect(area.left + 16, area.top + 16, area.width - 32, area.height - 29)
    if legend:
        room.width -= LEGEND
    rows, columns = picture.shape_of(model)
    fitted = picture.layout(model, max(1, room.width), max(1, room.height))
    width, height = max(1, round(columns * fitted.cell)), max(1, round(rows * fitted.cell))
    group = width + (LEGEND if legend else 0)
    left = area.left + max(16, (area.width - group) // 2)
    top = area.top + 16 + max(0, (room.height - height) // 2)
    return pygame.Rect(left, top, width, height), picture.Layout(fitted.cell, 0.0, 0.0, rows, columns)


def has_legend(area: pygame.Rect) -> bool:
    """Whether the legend has room."""
    return area.width >= 400


def scale_of(state: State) -> tuple[float, float] | None:
    """(lo, hi) of the colours; None where there is nothing to colour.

    Values of one sign use the whole map between the least and the largest; counts and errors begin at 0.
    """
    table, name = state.coloured()
    if table is None or state.model is None:
        return None
    if state.scale_lock is not None:
        return state.scale_lock
    if name == "visits":
        return 0.0, float(max(1, table.max()))
    low, high = picture.scale_of(state.model, np.where(np.isfinite(table), table, np.nan))
    if state.layer == "error":
        low = 0.0
    if high - low <= 1e-12 * max(abs(high), abs(low)):  # all alike: the colour of the end that is nearer to 0
        return (low, low + 1.0) if low >= 0 else (high - 1.0, high)
    return low, high


def cells(state: State, size: tuple[int, int], view: picture.Layout) -> pygame.Surface:
    """The map without the walker: cells, arrows or wedges, and numbers where they fit."""
    shot, scale = state.snapshot, scale_of(state)
    settings: dict[str, Any] = {"theme": state.theme, "size": size, "view": view}
    numbered = view.cell >= NUMBERED
    if state.layer == "q" and shot.q_values is not None:
        settings |= {"q_values": shot.q_values, "scale": scale, "layer": "q_values"}
        if state.arrows and shot.greedy is not None and not numbered:
            settings["policy"] = shot.greedy
    elif state.layer == "visits" and shot.visits is not None:
        assert scale is not None
        settings |= {"visits": shot.visits, "layer": "visits", "scale": (0.0, float(np.log1p(scale[1])))}
    else:
        table, _ = state.coloured()
        if table is not None:
            settings |= {"values": table, "scale": scale, "layer": "values"}
    if state.layer != "q" and state.arrows and shot.greedy is not None:
        settings["policy"] = shot.greedy
    if state.flash > 0 and shot.change is not None:
        top = float(np.nanmax(shot.change)) if shot.change.size else 0.0
        if top > 0:
            settings["flash"] = np.where(shot.change >= 0.5 * top, 0.28 * state.flash, 0.0)
    frame = picture.draw(state.model, **settings)
    surface = pygame.image.frombuffer(frame.tobytes(), size, "RGB")
    if numbered:
        _numbers(surface, state, view, scale)
    return surface


def _numbers(surface: pygame.Surface, state: State, view: picture.Layout, scale: tuple[float, float] | None) -> None:
    """The numbers of the present layer, written into cells that are large enough."""
    table, name = state.coloured()
    if table is None or scale is None:
        return
    spots = _wedge_spots(state.model) if state.layer == "q" else {}
    if state.layer == "q" and not spots:
        return
    low, high = (0.0, float(np.log1p(scale[1]))) if name == "visits" else scale
    shaded = np.log1p(table) if name == "visits" else table
    inks = ink_on(colormap(shaded, low, high, state.theme))
    for focus in np.flatnonzero(_numbered(state.model)).tolist():
        row, column = cell_of(state.model, focus)
        x, y = view.centre(row, column)
        if state.layer == "q":
            for action, (dy, dx) in spots.items():
                value = float(table[focus, action])
                if np.isfinite(value):
                    ink = tuple(int(c) for c in inks[focus, action])
                    words = _in_cell(value, view.cell * (0.46 if dx else 0.6))
                    at = (x + dx * view.cell * 0.27, y + dy * view.cell * 0.34)
                    text.draw(surface, words, *at, (ink[0], ink[1], ink[2]), SMALL, mono=True, align="center")
        elif np.isfinite(table[focus]):
            ink = tuple(int(c) for c in inks[focus])
            words = f"{int(table[focus]):,}" if name == "visits" else _in_cell(float(table[focus]), view.cell * 0.8)
            place = (x, y + view.cell * 0.36)
            text.draw(surface, words, *place, (ink[0], ink[1], ink[2]), SMALL, mono=True, align="center")


def _numbered(model: Any) -> NDArray[np.bool_]:
    """bool [S]: the cells in which an action is chosen; the others are drawn as what they are."""
    chosen: NDArray[np.bool_] = ~np.asarray(model.absorbing)
    if hasattr(model, "kinds"):
        chosen = chosen & np.array([kind.enter_to is None for kind in model.kinds])[model.tiles.ravel()]
    return chosen


def _reach(model: Any) -> tuple[int, int]:
    """(rows, columns) that one step goes at most; what is farther was a jump."""
    if not hasattr(model, "column_wind"):
        return 1, 1
    gust = max(abs(offset) for offset in model.gust)
    up, across = int(np.abs(model.column_wind).max()), int(np.abs(model.row_wind).max())
    return 1 + (up + gust if up else 0), 1 + (across + gust if across else 0)


def _in_cell(value: float, most: float) -> str:
    """A number with as many decimals as fit, at most four and at least one."""
    for digits in (4, 3, 2, 1):
        words = numbers.fixed(value, digits)
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


def overlay(surface: pygame.Surface, state: State, place: pygame.Rect, view: picture.Layout, theme: Any) -> None:
    """The trail, the pinned or pointed cell, and the walker."""
    shot = state.snapshot

    def centre(row: float, column: float) -> tuple[float, float]:
        x, y = view.centre(row, column)
        return place.left + x, place.top + y

    passed = shot.trail[: len(shot.trail) - state.behind]
    if state.model is not None and passed:
        thick = max(1.5, min(4.0, view.cell * 0.075))
        spots: list[tuple[float, float]] = [cell_of(state.model, s) for s in passed]
        if state.behind and state.walker_at is not None:
            spots.append(state.walker_at)
        rows, columns = _reach(state.model)
        run = [centre(*spots[0])]
        for before, now in pairwise(spots):
            if abs(before[0] - now[0]) > rows or abs(before[1] - now[1]) > columns:
                shapes.line(surface, run, theme.accent, thick, alpha=205)
                run = []
            run.append(centre(*now))
        shapes.line(surface, run, theme.accent, thick, alpha=205)
    marked = [(state.pinned, 3.0), (state.hover, 1.5)]
    for focus, thick in marked:
        if focus is not None and state.model is not None and focus < state.model.num_states and view.cell >= 4:
            left, top, right, bottom = view.rect(*cell_of(state.model, focus))
            rect = pygame.Rect(place.left + left, place.top + top, right - left, bottom - top).inflate(2, 2)
            shapes.frame(surface, rect, theme.second, 4, thick)
    if state.walker_at is not None:
        radius = max(3.0, view.cell * 0.3)
        rim = max(1.0, min(3.0, view.cell * 0.07))
        shapes.disc(surface, centre(*state.walker_at), radius, theme.accent, theme.background, rim)


def paint_legend(canvas: Canvas, state: State) -> None:
    """The scale of the colours at the left of the canvas, and what is drawn."""
    theme = canvas.theme
    scale = scale_of(state)
    table, name = state.coloured()
    tall = max(60, min(240, canvas.rect.height - 70))
    if scale is None or table is None:
        return
    low, high = scale
    signed = low < 0 < high
    if signed:
        high = max(-low, high)
        low = -high
    steps = np.linspace(high, low, tall)
    if name == "visits":
        column = colormap(np.linspace(1.0, 0.0, tall), 0.0, 1.0, state.theme)
        middle = float(np.expm1(np.log1p(high) / 2))
    else:
        column = colormap(steps, low, high, state.theme)
        middle = (low + high) / 2
    strip = np.repeat(column[:, None, :], 12, axis=1)
    canvas.surface.blit(pygame.image.frombuffer(strip.tobytes(), (12, tall), "RGB"), (0, 6))
    for value, part in ((high, 0.0), (middle, 0.5), (low, 1.0)):
        words = f"{value:,.0f}" if name == "visits" else _legend_number(value, high - low)
        canvas.text(words, 18, 6 + part * (tall - 1), theme.muted, SMALL, mono=True)
    y = 6 + tall + 19
    moment = f", {state.unit} {state.snapshot.count:,}"
    most = canvas.rect.width
    for line in text.wrap(name + moment, most, SMALL):
        canvas.text(line, 0, y, theme.muted, SMALL)
        y += 16
    if state.plans and state.snapshot.converged:
        canvas.text("converged", 0, y, theme.goal, SMALL, bold=True)
        y += 17
    words = "scale free" if state.scale_lock is None else "scale locked"
    rect = canvas.text(words, 0, y + 1, theme.second, SMALL, bold=True)
    canvas.control("scale", rect.inflate(8, 8).clip(canvas.rect), tip="lock the scale (L)")


def _legend_number(value: float, span: float) -> str:
    if span >= 1000 or span < 1e-3:
        return numbers.short(value)
    return numbers.fixed(value, 2 if span >= 0.2 else 4)


def cells_key(state: State) -> tuple[object, ...]:
    """What the cells depend on."""
    return (
        state.stamp,
        id(state.model),
        state.layer,
        state.arrows,
        state.theme,
        state.scale_lock,
        round(state.flash * 12),
    )
