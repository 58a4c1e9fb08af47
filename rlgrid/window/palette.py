"""The palette at the left and what painting draws over the map: the cursor and the stroke under way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pygame

from rlgrid import glyphs
from rlgrid.glyphs import MARKS
from rlgrid.keeping import kept
from rlgrid.layout import Layout
from rlgrid.theme import RGB, Theme
from rlgrid.window import scaling, shapes
from rlgrid.window.editing import SIDES
from rlgrid.window.state import State
from rlgrid.window.text import SMALL
from rlgrid.window.widgets import MARGIN, Canvas

COLUMNS = 3
USUAL = ("wall", "floor", "goal", "pit", "ice", "reward")  # those that are there before painting begins
SETTINGS = 100  # pixels below the brushes
TIPS = {"undo": "undo", "redo": "do again", "save": "save as a map file", "new": "a new, empty map"}
SIDE_LIMIT = 60  # rows and columns at the right end of their sliders


def colours(theme: Theme) -> dict[str, RGB]:
    """The colour of each kind of brush."""
    return {
        "wall": theme.wall,
        "floor": theme.floor,
        "goal": theme.goal,
        "pit": theme.harm,
        "ice": theme.ice,
        "reward": theme.accent,
        "start": theme.raised,
        "key": theme.accent,
        "door": theme.door,
        "switch": theme.door,
    }


def paint(canvas: Canvas, state: State, y: int, limit: int) -> int:
    """The palette below ``y``: all of it while painting, else the usual brushes; where the next part begins."""
    painting = state.mode == "paint"
    brushes = [b for b in state.palette if painting or b.key in USUAL]
    room = limit - y - 18 - (SETTINGS if painting else 0)
    columns = 3 if room >= -(-len(brushes) // 3) * 40 else 4
    rows = -(-len(brushes) // columns)
    pitch = max(33, min(60, room // max(1, rows)))
    if not brushes or y + 18 + pitch > limit:
        return y
    canvas.heading("Paint", MARGIN, y)
    if painting:
        canvas.button("paint", "Done", pygame.Rect(canvas.rect.right - MARGIN - 50, y - 11, 50, 22), tip="end (E)")
    y += 18
    wide = (canvas.rect.width - 2 * MARGIN - 8 * (columns - 1)) // columns
    tall = min(40, pitch - 18)
    for number, brush in enumerate(brushes):
        row, column = divmod(number, columns)
        rect = pygame.Rect(MARGIN + column * (wide + 8), y + row * pitch, wide, tall)
        if rect.bottom + 14 > limit:
            break
        chosen = painting and brush.key == state.brush
        swatch(canvas, brush, rect, chosen, state.amount if chosen else 1.0)
        canvas.text(
            brush.title, rect.centerx, rect.bottom + 8, canvas.theme.muted, SMALL, align="center", most=wide + 6
        )
        spot = pygame.Rect(rect.left, rect.top, wide, tall + 14)
        canvas.control(f"brush:{brush.key}", spot, tip=f"{brush.title}: {brush.does}")
    y += rows * pitch + 4
    return _settings(canvas, state, y, limit) if painting else y + 6


def _settings(canvas: Canvas, state: State, y: int, limit: int) -> int:
    """The amount of the brush, the size of the map, and what is done with the whole of it."""
    left, right = MARGIN, canvas.rect.right - MARGIN
    brush = next((b for b in state.palette if b.key == state.brush), None)
    if brush is not None and brush.amount is not None and y + 28 <= limit:
        canvas.text(brush.amount.label, left, y + 2, canvas.theme.muted)
        canvas.text(brush.amount.shown(state.amount), right, y + 2, mono=True, align="right")
        canvas.slider("amount", left, right, y + 18, brush.amount.part(state.amount), tip=brush.does)
    y += 36
    if state.map_size is not None and y + 28 <= limit:
        half = (right - left - 24) // 2
        for number, (name, size) in enumerate(zip(("Rows", "Columns"), state.map_size, strict=True)):
            begin = left + number * (half + 24)
            canvas.text(name, begin, y + 2, canvas.theme.muted)
            canvas.number(f"size:{number}", f"{size}", begin + half, y + 2, state.typing, most=56)
            part = (size - 1) / (SIDE_LIMIT - 1)
            canvas.slider(f"size:{number}", begin, begin + half, y + 18, part, tip=f"{name.lower()} of the map")
    y += 36
    if y + 24 > limit:
        return y
    buttons = (
        ("undo", "Undo", "Ctrl+Z"),
        ("redo", "Redo", "Ctrl+Y"),
        ("save", "Save", "Ctrl+S"),
        ("new", "New", "Ctrl+N"),
    )
    wide = (right - left - 12) // 4
    for number, (name, words, tip) in enumerate(buttons):
        canvas.button(name, words, pygame.Rect(left + number * (wide + 4), y, wide, 24), tip=f"{TIPS[name]} ({tip})")
    return y + 40


def swatch(canvas: Canvas, brush: Any, rect: pygame.Rect, chosen: bool, amount: float) -> None:
    """A brush as its tile looks, with its sign: nothing is told by colour alone."""
    theme, glyph = canvas.theme, brush.glyph
    fill = colours(theme).get(glyph, theme.raised)
    lit = canvas.hovered == f"brush:{brush.key}"
    shapes.box(canvas.surface, rect, fill, 6, theme.muted if lit else theme.hairline)
    if glyph == "wall":
        inner = rect.inflate(-8, -8)
        for x in range(inner.left - inner.height + 5, inner.right, 7):
            begin, end = max(x, inner.left), min(x + inner.height, inner.right)
            if end > begin:
                points = [(begin, inner.bottom - (begin - x)), (end, inner.bottom - (end - x))]
                shapes.line(canvas.surface, points, theme.hatch, 1.5)
    ink = _ink(theme, fill)
    x, y = rect.center
    if glyph in MARKS:
        size = 2 * round(min(rect.height, 36) * scaling.scale() / 2)
        canvas.picture(mark(glyph, size, ink), (x, y))
    elif glyph in ("oneway", "wind up", "wind right"):
        turned = {"oneway": SIDES[int(amount)][2], "wind up": (-1, 0), "wind right": (0, 1)}[glyph]
        for offset in (-5, 5) if glyph != "oneway" else (0,):
            _arrow(canvas, (x + offset * abs(turned[0]), y + offset * abs(turned[1])), turned, ink)
    elif glyph == "thin wall":
        shapes.line(canvas.surface, [(x, y - 11), (x, y + 11)], ink, 3.0)
    if chosen:
        shapes.frame(canvas.surface, rect.inflate(4, 4), theme.text, 8, 2.0)


def _arrow(canvas: Canvas, centre: tuple[float, float], way: tuple[int, int], ink: RGB) -> None:
    (x, y), (down, right) = centre, way
    tail, tip = (x - 9 * right, y - 9 * down), (x + 4 * right, y + 4 * down)
    shapes.line(canvas.surface, [tail, tip], ink, 2.5)
    side = (5 * down, 5 * right)
    head = [(x + 11 * right, y + 11 * down), (tip[0] + side[0], tip[1] + side[1]), (tip[0] - side[0], tip[1] - side[1])]
    shapes.polygon(canvas.surface, head, ink)


@kept
def mark(name: str, size: int, ink: RGB) -> pygame.Surface:
    """One of the marks of cells in a colour, on nothing."""
    mask = glyphs.mark(size, name)
    pixels = np.empty((size, size, 4), np.uint8)
    pixels[..., :3] = ink
    pixels[..., 3] = np.round(mask * 255)
    return pygame.image.frombuffer(pixels.tobytes(), (size, size), "RGBA")


def _ink(theme: Theme, fill: RGB) -> RGB:
    """Dark or light, whichever reads on a colour."""
    light = 0.2126 * fill[0] + 0.7152 * fill[1] + 0.0722 * fill[2] > 110
    dark, bright = (theme.background, theme.text) if theme.name == "dark" else (theme.text, theme.panel)
    return dark if light else bright


# --- over the map -----------------------------------------------------------------------------------------------------


def paint_marks(surface: pygame.Surface, state: State, place: pygame.Rect, view: Layout, theme: Theme) -> None:
    """The stroke under way and the cursor."""
    if state.mode != "paint":
        return
    key, cells = state.stroke
    brush = next((b for b in state.palette if b.key == key), None)
    fill = colours(theme).get("" if brush is None else brush.glyph, theme.second)
    inset = 1 if view.cell >= 6 else 0
    for row, column in cells:
        rect = cell_rect(place, view, row, column)
        pygame.draw.rect(surface, fill, rect.inflate(-2 * inset, -2 * inset))
        if view.cell >= 6:
            pygame.draw.rect(surface, theme.text, rect.inflate(-2 * inset, -2 * inset), 1)
    if state.cursor is not None:
        rect = cell_rect(place, view, *state.cursor)
        size = max(8, rect.width)
        rect = pygame.Rect(0, 0, size, size).move(rect.centerx - size // 2, rect.centery - size // 2)
        pygame.draw.rect(surface, theme.background, rect.inflate(2, 2), 1)
        pygame.draw.rect(surface, theme.second, rect, 2)
        pygame.draw.rect(surface, theme.background, rect.inflate(-4, -4), 1)


def cell_rect(place: pygame.Rect, view: Layout, row: int, column: int) -> pygame.Rect:
    """The pixels of a cell of the map."""
    x, y = view.centre(row, column)
    size = max(1, round(view.cell))
    return pygame.Rect(round(place.left + x - view.cell / 2), round(place.top + y - view.cell / 2), size, size)


def key(state: State) -> tuple[object, ...]:
    """What the palette depends on."""
    return (
        state.mode == "paint",
        tuple((b.key, b.title, b.amount) for b in state.palette),
        state.brush,
        state.amount,
        state.map_size,
        state.undoable,
        state.redoable,
        state.unsaved,
    )
