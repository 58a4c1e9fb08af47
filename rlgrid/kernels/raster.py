"""Cells to pixels: tables over the states of a grid and a place to look at in, the pixels of that place out.

What it costs follows the picture and not the world: `paint` visits the cells that can be seen and writes each pixel
once; `shrink`, for cells smaller than a pixel, reads at most `SAMPLES` x `SAMPLES` cells for each pixel.

A pixel of a cell is a mixture of three colours,

    gap (1 - cover) + cover (ground (1 - weight) + ink weight),

where `cover` says how much of the pixel the cell takes, `weight` how much of that a glyph takes, both in [0, 255].
The ground is the colour of the cell's number; a cell that shows a number for each action has a ground for each part.

Below a pixel a cell, a pixel mixes walls, marked cells, cells with a number and cells without one by their shares of
it. Those with a number have the colour of the mean of their finite numbers; or, where ``extreme`` is asked for, the
whole pixel has the colour of the finite number that is farthest from zero, so that a single cell cannot hide. With
more than `SAMPLES` cells along a pixel's side, evenly spread ones stand for the others.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

SAMPLES = 6


class Look(NamedTuple):
    """What the cells are, whatever is drawn on them."""

    wall: NDArray[np.bool_]  # [S]
    closed: NDArray[np.bool_]  # [S]: no action is taken there
    mark: NDArray[np.uint8]  # [S]: an index into Colours.marked


class Colours(NamedTuple):
    """What is mixed, each colour three bytes."""

    palette: NDArray[np.uint8]  # [N, 3], from the low to the high end of the scale
    plain: NDArray[np.uint8]  # [3, 3]: the floor, the gap between cells, a wall
    hatch: NDArray[np.uint8]  # [period, 3]: a wall along its diagonals
    marked: NDArray[np.uint8]  # [marks, 4]: the colour of a mark, and whether its cells have it
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
def _ink(r, g, b, colours):
    """The ink that reads on a colour."""
    light = colours.linear[0, r] + colours.linear[1, g] + colours.linear[2, b]
    if light <= colours.limits[0]:
        return 0
    if light >= colours.limits[2]:
        return 1
    return 2 if light <= colours.limits[1] else 3


@njit(cache=True, nogil=True)
def _mixed(one, other, weight):
    """``weight`` of 255 of the way from one byte to another, rounded."""
    return (one * (255 - weight) + other * weight + 127) // 255


@njit(cache=True, nogil=True)
def _ground(state, k, look, colours, shown, best):
    """(red, green, blue) of a cell, or of its part k; ``best``: of its largest number."""
    mark = look.mark[state]
    r = g = b = 0
    if colours.marked[mark, 3] and (look.closed[state] or shown.table.shape[1] == 0):
        r, g, b = int(colours.marked[mark, 0]), int(colours.marked[mark, 1]), int(colours.marked[mark, 2])
    else:
        at = -1
        if shown.table.shape[1] > 0:
            value = _largest(shown.table, state) if best else shown.table[state, k]
            at = _place(value, shown.lo, shown.hi, shown.counts, len(colours.palette))
        if at < 0:
            r, g, b = int(colours.plain[0, 0]), int(colours.plain[0, 1]), int(colours.plain[0, 2])
        else:
            r, g, b = int(colours.palette[at, 0]), int(colours.palette[at, 1]), int(colours.palette[at, 2])
    if len(shown.flash):
        weight = min(max(shown.flash[state], 0.0), 1.0) * 0.55
        r = int(r + (255 - r) * weight + 0.5)
        g = int(g + (255 - g) * weight + 0.5)
        b = int(b + (255 - b) * weight + 0.5)
    return r, g, b


@njit(cache=True, nogil=True)
def paint(frame, rows, columns, first, width, size, hatch_at, look, colours, shown, glyph, masks, ghost, faint, parts):
    """Draw the cells of a rectangle of a grid, a tile of ``size`` pixels each or one pixel less.

    Args:
        frame: uint8 [h, w, 3]; what is not a cell stays as it is.
        rows, columns: int64 [n + 1], [m + 1]: the pixels at which the rows and columns begin, and where the last ends.
        first: (row, column) of the first cell. width: columns of the grid.
        hatch_at: the diagonal that the hatch begins at.
        glyph: int64 [n, m]: which of ``masks`` uint8 [g, size, size] is the cell's ink; mask 0 is the cell itself.
        ghost: int64 [n, m] or [0, 0]: another one, drawn with ``faint`` of 255.
        parts: uint8 [3, size, size] or [0, 0, 0]: the part that a pixel belongs to in a cell that shows a number for
            each action, how much it covers, and the weight of the ink; then ``glyph`` says in bits which parts are
            inked, but for closed cells.
    """
    height, breadth = frame.shape[:2]
    across = max(1, shown.table.shape[1])
    grounds = np.empty((across, 3), np.int64)
    inks = np.empty((across, 3), np.int64)
    drop = max(1, size // 8)  # where a cell is a pixel smaller than its tile, this one is left out
    period = len(colours.hatch)
    for n in range(len(rows) - 1):
        top, tall = max(0, rows[n]), rows[n + 1] - rows[n]
        bottom = min(height, rows[n + 1])
        for m in range(len(columns) - 1):
            state = (first[0] + n) * width + first[1] + m
            if state >= len(look.wall):
                continue
            left, wide = max(0, columns[m]), columns[m + 1] - columns[m]
            right = min(breadth, columns[m + 1])
            if look.wall[state]:
                for y in range(top, bottom):
                    for x in range(left, right):
                        for c in range(3):
                            frame[y, x, c] = colours.hatch[(x + y + hatch_at) % period, c]
                continue
            split = parts.shape[0] > 0 and not look.closed[state]
            inked = masks.shape[0] > 1 or split
            for k in range(across if split else 1):
                r, g, b = _ground(state, k, look, colours, shown, not split)
                grounds[k, 0], grounds[k, 1], grounds[k, 2] = r, g, b
                if inked:
                    ink = _ink(r, g, b, colours)
                    for c in range(3):
                        inks[k, c] = colours.inks[ink, c]
            number = glyph[n, m] if inked else 0
            behind = ghost[n, m] if len(ghost) and not split else 0
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
                        frame[y, x, c] = _mixed(int(colours.plain[1, c]), colour, cover)


@njit(cache=True, nogil=True)
def shrink(frame, cell, left, top, shape, look, colours, shown):
    """Draw a grid of ``shape`` (rows, columns) whose cells are smaller than a pixel; see the text of this file."""
    height, breadth = frame.shape[:2]
    across = shown.table.shape[1]
    for y in range(height):
        row = max(0, math.floor((y - top) / cell + 1e-9))
        below = min(shape[0], math.floor((y + 1 - top) / cell + 1e-9))
        if below <= 0 or row >= shape[0]:
            continue
        below = max(below, row + 1)
        down = -(-(below - row) // SAMPLES)
        for x in range(breadth):
            column = max(0, math.floor((x - left) / cell + 1e-9))
            after = min(shape[1], math.floor((x + 1 - left) / cell + 1e-9))
            if after <= 0 or column >= shape[1]:
                continue
            after = max(after, column + 1)
            along = -(-(after - column) // SAMPLES)
            cells = walls = empty = finite = marks = 0
            total = far = 0.0
            red = green = blue = 0
            for r in range(row + (down - 1) // 2, below, down):
                for c in range(column + (along - 1) // 2, after, along):
                    state = r * shape[1] + c
                    if state >= len(look.wall):
                        continue
                    cells += 1
                    mark = look.mark[state]
                    if look.wall[state]:
                        walls += 1
                    elif colours.marked[mark, 3] and (look.closed[state] or across == 0):
                        marks += 1
                        red += colours.marked[mark, 0]
                        green += colours.marked[mark, 1]
                        blue += colours.marked[mark, 2]
                    else:
                        value = _largest(shown.table, state) if across else math.nan
                        if not math.isfinite(value) or (shown.counts and value <= 0):
                            empty += 1
                        else:
                            finite += 1
                            total += value
                            if abs(value) > abs(far) or finite == 1:
                                far = value
            if cells == 0:
                continue
            at = -1
            if finite:
                value = far if shown.extreme else total / finite
                at = _place(value, shown.lo, shown.hi, shown.counts, len(colours.palette))
            if shown.extreme and at >= 0:
                for c in range(3):
                    frame[y, x, c] = colours.palette[at, c]
                continue
            for c in range(3):
                mixed = red if c == 0 else (green if c == 1 else blue)
                mixed += walls * int(colours.plain[2, c]) + empty * int(colours.plain[0, c])
                if at >= 0:
                    mixed += finite * int(colours.palette[at, c])
                frame[y, x, c] = (mixed + cells // 2) // cells


@njit(cache=True, nogil=True)
def extent(table, shown):
    """(lowest, highest) of the finite numbers of table [S, K] in the cells that ``shown`` bool [S] names.

    (inf, -inf) where there is none.
    """
    lo, hi = math.inf, -math.inf
    for s in range(table.shape[0]):
        if shown[s]:
            for k in range(table.shape[1]):
                value = table[s, k]
                if math.isfinite(value):
                    lo = min(lo, value)
                    hi = max(hi, value)
    return lo, hi
