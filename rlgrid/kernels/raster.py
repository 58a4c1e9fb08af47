"""Cells to pixels: tables over the states of a grid and a place to look at in, the pixels of that place out.

What it costs follows the picture and not the world: `paint` visits the cells that can be seen and writes each pixel
once. Cells smaller than a pixel are the business of `rlgrid.kernels.shrinking`.

A pixel of a cell is a mixture of three colours,

    gap (1 - cover) + cover (ground (1 - weight) + ink weight),

where `cover` says how much of the pixel the cell takes, `weight` how much of that a glyph takes, both in [0, 255].
The ground is the colour of the cell's number; a cell that shows a number for each action has a ground for each part.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

WALL, MARKED, CLOSED = 1, 2, 128
"""What a cell is, in a byte: coloured by its number (0), a wall, or `MARKED` + its mark, whose colour it has; `CLOSED`
is added where no action is taken."""


class Colours(NamedTuple):
    """What is mixed, each colour three bytes."""

    palette: NDArray[np.uint8]  # [N, 3], from the low to the high end of the scale
    plain: NDArray[np.uint8]  # [3, 3]: the floor, the gap between cells, a wall
    hatch: NDArray[np.uint8]  # [period, 3]: a wall along its diagonals
    marked: NDArray[np.uint8]  # [marks, 3]
    inks: NDArray[np.uint8]  # [4, 3]
    limits: NDArray[np.float64]  # [3]: luminances at which another ink is taken
    linear: NDArray[np.float64]  # [3, 256]: what a byte of each channel adds to the luminance


class Shown(NamedTuple):
    """The numbers that colour the cells."""

    table: NDArray[np.float64]  # [S, K]; K = 0: nothing to colour
    lo: float
    hi: float
    counts: bool  # coloured by log(1 + number), and none where the number is 0
    extreme: bool
    flash: NDArray[np.float64]  # [S] in [0, 1], or [0]: how much cells are lightened


# Functions that are called for each cell or pixel get numbers and no structs: handing a struct of arrays over costs
# more than what they do.


@njit(cache=True, nogil=True)
def _place(value, lo, hi, counts, steps):
    """Where on the palette a number lies; -1 where it is none."""
    if counts:
        if value <= 0:
            return -1
        value = math.log1p(value)
    if not math.isfinite(value):
        return -1
    # In quarters, so that a scale of nearly the whole float range does not overflow.
    span = hi / 4 - lo / 4
    if span <= 0:
        return 0
    part = (min(max(value / 4, lo / 4), hi / 4) - lo / 4) / span
    return int(part * (steps - 1) + 0.5)


@njit(cache=True, nogil=True)
def _largest(table, state):
    """The largest number of a row; none where one of them is none."""
    value = table[state, 0]
    for k in range(1, table.shape[1]):
        beside = table[state, k]
        if beside > value or math.isnan(beside):
            value = beside
    return value


@njit(cache=True, nogil=True)
def _mixed(one, other, weight):
    """``weight`` of 255 of the way from one byte to another, rounded."""
    return (one * (255 - weight) + other * weight + 127) // 255


@njit(cache=True, nogil=True)
def paint(frame, rows, columns, first, width, size, hatch_at, kinds, colours, shown, glyph, masks, ghost, faint, parts):
    """Draw the cells of a rectangle of a grid, a tile of ``size`` pixels each or one pixel less.

    Args:
        frame: uint8 [h, w, 3]; what is not a cell stays as it is.
        rows, columns: int64 [n + 1], [m + 1]: the pixels at which the rows and columns begin, and where the last ends.
        first: (row, column) of the first cell. width: columns of the grid.
        hatch_at: the diagonal that the hatch begins at.
        kinds: uint8 [S], see `CLOSED`.
        glyph: int64 [n, m]: which of ``masks`` uint8 [g, size, size] is the cell's ink; mask 0 is the cell itself.
        ghost: int64 [n, m] or [0, 0]: another one, drawn with ``faint`` of 255.
        parts: uint8 [3, size, size] or [0, 0, 0]: the part that a pixel belongs to in a cell that shows a number for
            each action, how much it covers, and the weight of the ink; then ``glyph`` says in bits which parts are
            inked, but for closed cells.
    """
    palette, plain, hatch, marked = colours.palette, colours.plain, colours.hatch, colours.marked
    tints, limits, linear = colours.inks, colours.limits, colours.linear
    table, lo, hi, counts, flash = shown.table, shown.lo, shown.hi, shown.counts, shown.flash
    height, breadth = frame.shape[:2]
    across = table.shape[1]
    splits = parts.shape[0] > 0
    inked = masks.shape[0] > 1 or splits
    full = not inked and masks[0].min() == 255
    haunted = ghost.shape[0] > 0
    grounds = np.empty((max(1, across), 3), np.int64)
    inks = np.empty((max(1, across), 3), np.int64)
    drop = max(1, size // 8)  # where a cell is a pixel smaller than its tile, this one is left out
    period = len(hatch)
    for n in range(len(rows) - 1):
        top, tall = max(0, rows[n]), rows[n + 1] - rows[n]
        bottom = min(height, rows[n + 1])
        for m in range(len(columns) - 1):
            state = (first[0] + n) * width + first[1] + m
            if state >= len(kinds):
                continue
            left, wide = max(0, columns[m]), columns[m + 1] - columns[m]
            right = min(breadth, columns[m + 1])
            kind = kinds[state] % CLOSED
            if kind == WALL:
                for y in range(top, bottom):
                    at = (left + y + hatch_at) % period
                    for x in range(left, right):
                        for c in range(3):
                            frame[y, x, c] = hatch[at, c]
                        at = at + 1 if at + 1 < period else 0
                continue
            split = splits and kinds[state] < CLOSED
            for k in range(across if split else 1):
                if kind >= MARKED:
                    r, g, b = (
                        int(marked[kind - MARKED, 0]),
                        int(marked[kind - MARKED, 1]),
                        int(marked[kind - MARKED, 2]),
                    )
                else:
                    at = -1
                    if across:
                        at = _place(table[state, k] if split else _largest(table, state), lo, hi, counts, len(palette))
                    if at < 0:
                        r, g, b = int(plain[0, 0]), int(plain[0, 1]), int(plain[0, 2])
                    else:
                        r, g, b = int(palette[at, 0]), int(palette[at, 1]), int(palette[at, 2])
                if len(flash):
                    weight = min(max(flash[state], 0.0), 1.0) * 0.55
                    r = int(r + (255 - r) * weight + 0.5)
                    g = int(g + (255 - g) * weight + 0.5)
                    b = int(b + (255 - b) * weight + 0.5)
                grounds[k, 0], grounds[k, 1], grounds[k, 2] = r, g, b
                if inked:
                    light = linear[0, r] + linear[1, g] + linear[2, b]
                    ink = 0 if light <= limits[0] else (1 if light >= limits[2] else (2 if light <= limits[1] else 3))
                    for c in range(3):
                        inks[k, c] = tints[ink, c]
            if full:
                for y in range(top, bottom):
                    for x in range(left, right):
                        for c in range(3):
                            frame[y, x, c] = grounds[0, c]
                continue
            number = glyph[n, m] if inked else 0
            behind = ghost[n, m] if haunted and not split else 0
            for y in range(top, bottom):
                ty = y - rows[n]
                if tall < size and ty >= drop:
                    ty += 1
                for x in range(left, right):
                    tx = x - columns[m]
                    if wide < size and tx >= drop:
                        tx += 1
                    k = 0
                    weight = 0
                    if split:
                        k = int(parts[0, ty, tx])
                        cover = int(parts[1, ty, tx])
                        if (number >> k) & 1:
                            weight = int(parts[2, ty, tx])
                    else:
                        cover = int(masks[0, ty, tx])
                        if number:
                            weight = int(masks[number, ty, tx])
                        if behind:
                            weight = max(weight, int(masks[behind, ty, tx]) * faint // 255)
                    if cover == 255 and weight == 0:
                        for c in range(3):
                            frame[y, x, c] = grounds[k, c]
                        continue
                    for c in range(3):
                        colour = _mixed(grounds[k, c], inks[k, c], weight) if weight else grounds[k, c]
                        frame[y, x, c] = _mixed(int(plain[1, c]), colour, cover)
