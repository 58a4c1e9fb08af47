"""A network at one cell on the page: its hidden units as strips, and which cells learn together with this one."""

from __future__ import annotations

import numpy as np
import pygame

from rlgrid.layout import cell_of, shape_of
from rlgrid.theme import colormap
from rlgrid.window import numbers, text
from rlgrid.window.networks import Inside, Layer
from rlgrid.window.state import Floats, State
from rlgrid.window.sums import MARGIN
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import Canvas

ROW = 32  # units in a row of a strip
MEANINGS = (
    "A small step that raises V here raises it there as well: 1 as much, 0 not at all, −1 lowers it. "
    "High behind a wall: what is learnt leaks through it.",
    "High behind a wall: what is learnt here leaks through it.",
)
"""What the similarity means, in the words that there is room for."""


def paint(canvas: Canvas, state: State, look: Inside | None, room: tuple[int, int]) -> int:
    """The strips, and the map of similarity where there is room; where the next thing may stand."""
    y, bottom = room
    theme, right = canvas.theme, canvas.rect.width - MARGIN
    if look is None:
        canvas.text("The network is being looked into.", MARGIN, y + 11, theme.muted, SMALL + 0.5)
        return y + 22
    for layer in look.layers:
        if y + 52 > bottom:
            break
        y = _strip(canvas, layer, y, right)
    if look.similarity is None:
        if y + 22 <= bottom:
            words = "Click the cell to see which others learn with it."
            if state.pinned is not None:
                words = "Which cells learn with this one is being worked out."
            canvas.text(words, MARGIN, y + 11, theme.muted, SMALL + 0.5)
            y += 22
        return y
    if bottom - y >= 74:
        y = _map(canvas, state, look.state, look.similarity, y, min(bottom, y + 230), right)
    return y


def _title(layer: Layer) -> str:
    """A layer in the words of who looks at a network, not of who has set it up."""
    name = layer.name.partition(" (")[0].removesuffix(" of net_arch")
    return f"Hidden {name}" if name.startswith("layer") else f"Units of {name}"


def _strip(canvas: Canvas, layer: Layer, y: int, right: int) -> int:
    """The outputs of a layer, a small cell each, and what the ends of the colours are."""
    theme, outputs = canvas.theme, layer.outputs
    off = int((outputs == 0.0).sum())
    low, high = min(0.0, float(outputs.min())), max(0.0, float(outputs.max()))
    said = f"{numbers.short(low)} to {numbers.short(high)}" + (f", {off} off" if off else "")
    legend = canvas.text(said, right, y + 10, theme.muted, SMALL, mono=True, align="right")
    canvas.text(
        _title(layer),
        MARGIN,
        y + 10,
        bold=True,
        size=SMALL + 0.5,
        most=legend.left - 8 - MARGIN,
    )
    y += 22
    size = max(4, min(10, (right - MARGIN) // min(ROW, max(1, outputs.size))))
    fill = colormap(outputs, low, high if high > low else low + 1.0, theme)
    for k, value in enumerate(outputs):
        row, column = divmod(k, ROW)
        box = pygame.Rect(MARGIN + column * size, y + row * size, size - 1, size - 1)
        if value == 0.0:  # silent: an empty frame, so that colour is not all that tells it
            pygame.draw.rect(canvas.surface, theme.hairline, box, 1)
        else:
            canvas.surface.fill(tuple(int(c) for c in fill[k]), box)
    rows = -(-outputs.size // ROW)
    y += rows * size + 8
    if layer.units > outputs.size:
        canvas.text(f"the first {outputs.size} of {layer.units:,}", MARGIN, y + 4, theme.muted, SMALL)
        y += 18
    return y


def _map(canvas: Canvas, state: State, focus: int, similarity: Floats, y: int, bottom: int, right: int) -> int:
    """The world in small, coloured by the similarity of each cell to this one; a frame around the cell itself."""
    theme, model = canvas.theme, state.model
    canvas.text("Gradient similarity to this cell", MARGIN, y + 10, bold=True, size=SMALL + 0.5)
    y += 22
    rows, columns = shape_of(model)
    side = max(2, min((bottom - y) // rows, (right - MARGIN) // 2 // columns))
    if side * rows > bottom - y or side * columns > (right - MARGIN) * 0.6:
        canvas.text("The world is too large to be drawn small.", MARGIN, y + 10, theme.muted, SMALL)
        return y + 22
    known = np.isfinite(similarity)
    fill = colormap(np.where(known, similarity, 0.0), -1.0, 1.0, theme)
    gap = 1 if side >= 5 else 0
    for s in np.flatnonzero(known):
        row, column = cell_of(model, int(s))
        box = pygame.Rect(MARGIN + column * side, y + row * side, side - gap, side - gap)
        canvas.surface.fill(tuple(int(c) for c in fill[s]), box)
        canvas.control(f"term:s{s}:{s}", box)
    row, column = cell_of(model, focus)
    own = pygame.Rect(MARGIN + column * side - 1, y + row * side - 1, side + 1, side + 1)
    pygame.draw.rect(canvas.surface, theme.accent, own, 2)
    left = MARGIN + columns * side + 14
    shown = state.hover if state.hover is not None and state.hover != focus else None
    lit = canvas.hovered or ""
    if lit.startswith("term:s"):
        shown = int(lit.rpartition(":")[2])
    at = y + 6
    if shown is not None and shown < similarity.size and known[shown]:
        words = canvas.text(f"{similarity[shown]:+.3f}".replace("-", numbers.MINUS), left, at, mono=True, size=BODY)
        canvas.text("there", words.right + 6, at, theme.muted, SMALL)
    else:
        canvas.text("point at a cell", left, at, theme.muted, SMALL)
    at += 18
    steps = 24
    scale = colormap(np.linspace(-1.0, 1.0, steps), -1.0, 1.0, theme)
    width = min(right - left, 110)
    for k in range(steps):
        part = pygame.Rect(left + k * width // steps, at, width // steps + 1, 7)
        canvas.surface.fill(tuple(int(c) for c in scale[k]), part)
    at += 17
    canvas.text(f"{numbers.MINUS}1", left, at, theme.muted, SMALL, mono=True)
    canvas.text("1", left + width, at, theme.muted, SMALL, mono=True, align="right")
    at += 18
    for meaning in MEANINGS:
        lines = text.wrap(meaning, right - left, SMALL)
        if at + 14 * len(lines) - 6 <= bottom:
            for line in lines:
                canvas.text(line, left, at, theme.muted, SMALL)
                at += 14
            break
    return max(y + rows * side, at) + 10
