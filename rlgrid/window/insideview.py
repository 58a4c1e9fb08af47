"""A network at one cell on the page: its hidden units as strips, and which cells learn together with this one.

Of a network that learns distributions of returns there is one for each action, and the target of the last step; of one
that remembers, what it has in mind now.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pygame
from numpy.typing import NDArray

from rlgrid.layout import cell_of, shape_of
from rlgrid.theme import RGB, colormap
from rlgrid.window import numbers, shapes, text
from rlgrid.window.arithmetic import called
from rlgrid.window.networks import MOST_SHOWN, Inside, Layer, Now, Returns
from rlgrid.window.state import Floats, State
from rlgrid.window.sums import MARGIN, Lines
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import Canvas

ROW = 32  # units in a row of a strip
MEANINGS = (
    "A small step that raises V here raises it there as well: 1 as much, 0 not at all, −1 lowers it. "
    "High behind a wall: what is learnt leaks through it.",
    "High behind a wall: what is learnt here leaks through it.",
)
"""What the similarity means, in the words that there is room for."""


def colour_of(row: NDArray[np.uint8]) -> RGB:
    """A row of a colormap as a colour."""
    red, green, blue = (int(c) for c in row)
    return red, green, blue


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
    elif y + 22 <= bottom:
        words = "A higher window shows which cells learn with this one."
        canvas.text(words, MARGIN, y + 11, theme.muted, SMALL + 0.5, most=right - MARGIN)
        y += 22
    return y


def _title(layer: Layer) -> str:
    """A layer in the words of who looks at a network, not of who has set it up."""
    name = layer.name.partition(" (")[0].removesuffix(" of net_arch")
    if name == "what it remembers":
        return "What it remembers"
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
            canvas.outline(box, theme.hairline)
        else:
            canvas.fill(box, colour_of(fill[k]))
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
        canvas.fill(box, colour_of(fill[s]))
        canvas.control(f"term:s{s}:{s}", box)
    row, column = cell_of(model, focus)
    own = pygame.Rect(MARGIN + column * side - 1, y + row * side - 1, side + 1, side + 1)
    canvas.outline(own, theme.accent, 2)
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
        canvas.fill(part, colour_of(scale[k]))
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


# --- distributions ----------------------------------------------------------------------------------------------------

LARGEST = 10  # atoms of a target that are written out
TOLD = (
    "Each bar is how likely a return is; the tick below marks their mean, which is Q. Of the target every return z of "
    "where the step led is moved to r + γz, and shared by the two bars that it falls between."
)


def paint_returns(canvas: Canvas, look: Inside | None, names: Sequence[str], room: tuple[int, int]) -> int:
    """A histogram of returns for each action, the target of the last step, and its largest chances."""
    y, bottom = room
    right, theme = canvas.rect.width - MARGIN, canvas.theme
    returns = None if look is None else look.returns
    if returns is None:
        canvas.text("The network is being looked into.", MARGIN, y + 11, theme.muted, SMALL + 0.5)
        return y + 22
    target = returns.target
    rows: list[tuple[str, Floats, bool]] = [(name, returns.chances[a], False) for a, name in enumerate(names)]
    if target is not None and returns.action is not None:
        rows.append((f"target of {names[returns.action]}", target, True))
    words = text.wrap(TOLD, right - MARGIN, SMALL)
    below = 18 + 14 * len(words) + (102 if target is not None else 0)
    tall = max(24, min(46, (bottom - y - below) // len(rows))) - 8
    label = 12 + max(text.width(name, SMALL) for name, _, _ in rows)
    for name, chances, aimed in rows:
        if y + tall + 14 > bottom:
            return y
        canvas.text(name, MARGIN, y + tall - 6, theme.accent if aimed else theme.text, SMALL, bold=aimed)
        mean = float(chances @ returns.atoms)
        said = canvas.text(numbers.fixed(mean, 4), right, y + tall - 6, mono=True, align="right", size=SMALL)
        plot = pygame.Rect(MARGIN + label, y, min(said.left, right - 56) - 10 - MARGIN - label, tall)
        _histogram(canvas, returns, chances, plot, mean, aimed)
        y += tall + 8
    low, high = float(returns.atoms[0]), float(returns.atoms[-1])
    canvas.text(numbers.short(low), MARGIN + label, y + 5, theme.muted, SMALL, mono=True)
    canvas.text(numbers.short(high), right - 66, y + 5, theme.muted, SMALL, mono=True, align="right")
    canvas.text("mean", right, y + 5, theme.muted, SMALL, align="right")
    y += 18
    if target is not None:
        y = _largest(canvas, returns, target, y, bottom, right)
    for line in words:
        if y + 14 > bottom:
            break
        canvas.text(line, MARGIN, y + 7, theme.muted, SMALL)
        y += 14
    return y


def _histogram(canvas: Canvas, returns: Returns, chances: Floats, plot: pygame.Rect, mean: float, aimed: bool) -> None:
    """A bar for each return, and a tick at the mean."""
    theme, atoms = canvas.theme, returns.atoms
    canvas.hairline(plot.left, plot.bottom, plot.right, plot.bottom)
    top, many = float(chances.max()), atoms.size
    fill = theme.accent if aimed else theme.second
    for z in np.flatnonzero(chances >= 0.004 * top):
        left, end = (plot.left + int(k) * plot.width // many for k in (z, z + 1))
        height = max(1, round(float(chances[z]) / top * (plot.height - 2)))
        canvas.fill(pygame.Rect(left, plot.bottom - height, max(1, end - left - (end - left > 3)), height), fill)
    part = (mean - float(atoms[0])) / float(atoms[-1] - atoms[0]) * (many - 1) / many + 0.5 / many
    x = plot.left + round(min(1.0, max(0.0, part)) * plot.width)
    shapes.line(canvas.surface, [(x, plot.bottom + 1), (x, plot.bottom + 6)], theme.text, 2.0)


def _largest(canvas: Canvas, returns: Returns, target: Floats, y: int, bottom: int, right: int) -> int:
    """The largest chances of the target, in two columns."""
    theme, half = canvas.theme, (right - MARGIN) // 2
    order = [int(z) for z in np.argsort(-target, kind="stable")[:LARGEST] if target[z] > 0.0]
    rows = min(-(-len(order) // 2), (bottom - y - 20) // 15)
    if rows < 1:
        return y
    canvas.text("Its most likely returns", MARGIN, y + 8, bold=True, size=SMALL + 0.5)
    y += 20
    for k, z in enumerate(order[: 2 * rows]):
        column, row = divmod(k, rows)
        x, middle = MARGIN + column * (half + 8), y + 15 * row + 7
        canvas.text(numbers.fixed(float(returns.atoms[z]), 4), x, middle, mono=True, size=SMALL)
        chance = f"{float(target[z]):.4f}"
        canvas.text(chance, x + half - 12, middle, theme.muted, mono=True, size=SMALL, align="right")
    return y + 15 * rows + 6


# --- what it remembers ------------------------------------------------------------------------------------------------

NO_VALUE = (
    "Its values depend on all that it saw in the episode: one cell is worth different amounts on different ways to it. "
    "So no value can be told of a cell alone."
)


def paint_now(canvas: Canvas, state: State, now: Now, names: Sequence[str], room: tuple[int, int]) -> int:
    """What a network that remembers thinks where it is; where the next thing may stand."""
    lines = Lines(canvas, state, room)
    lines.paragraph(NO_VALUE)
    lines.y += 6
    there = called(state.model, now.state, state.scene)
    lines.words(f"Where it is now, {there}", bold=True)
    best = float(now.values.max())
    order = sorted(range(len(names)), key=lambda a: -now.values[a])[:6]
    for a in sorted(order):
        value = float(now.values[a])
        lines.term(names[a], numbers.fixed(value, 6), "greedy" if value == best else "", now.state)
    lines.y += 6
    memory = now.memory
    lines.y = _strip(canvas, Layer("what it remembers", memory[:MOST_SHOWN], memory.size), lines.y, lines.right)
    return lines.y + 2
