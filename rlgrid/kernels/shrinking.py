"""Cells smaller than a pixel: what lies behind each pixel is mixed.

A pixel mixes walls, marked cells, cells with a number and cells without one by their shares of it. Those with a number
have the colour of the mean of their finite numbers; or, where ``extreme`` is asked for, the whole pixel has the colour
of the finite number that is farthest from zero, so that a single cell cannot hide. With more than `SAMPLES` cells
along a pixel's side, evenly spread ones stand for the others, so at most `SAMPLES` x `SAMPLES` are read for a pixel.

A row of pixels is worked out in passes of one short loop each, which the processor does several pixels at a time: no
branches, since which cells are walls cannot be foretold. Marked cells are few and are mixed in at the end.
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.raster import CLOSED, MARKED, WALL

SAMPLES = 6

# A tally counts four things in 16 bits each: cells, numbers, walls and marks.


@njit(cache=True, nogil=True)
def _spans(origin, cell, count, pixels):
    """The cells looked at along a line of pixels, int64 [n], and where those of a pixel begin, int64 [pixels + 1]."""
    found = np.empty(pixels * SAMPLES, np.int64)
    begins = np.zeros(pixels + 1, np.int64)
    n = 0
    for at in range(pixels):
        begins[at] = n
        first = max(0, math.floor((at - origin) / cell + 1e-9))
        after = min(count, math.floor((at + 1 - origin) / cell + 1e-9))
        if after > 0 and first < count:
            after = max(after, first + 1)
            step = -(-(after - first) // SAMPLES)
            for k in range(first + (step - 1) // 2, after, step):
                found[n] = k
                n += 1
    begins[pixels] = n
    return found[:n], begins


@njit(cache=True, nogil=True)
def _picks(begins, nothing):
    """uint32 [most, pixels]: which of the cells looked at are a pixel's; ``nothing`` where it has fewer than others."""
    pixels, most = len(begins) - 1, 0
    for x in range(pixels):
        most = max(most, begins[x + 1] - begins[x])
    picks = np.full((most, pixels), nothing, np.uint32)
    for x in range(pixels):
        for j in range(begins[x + 1] - begins[x]):
            picks[j, x] = begins[x] + j
    return picks


@njit(cache=True, nogil=True)
def _gather(base, columns, kinds, table, least, tally, total, low, high):
    """Add the cells ``columns`` of the row that begins at ``base`` to the tallies, sums and ends of their columns.

    Numbers that are not greater than ``least`` do not count.
    """
    n = len(columns)
    while n and base + columns[n - 1] >= len(kinds):
        n -= 1
    if n == 0:
        return
    if len(table) and columns[n - 1] - columns[0] == n - 1:  # neighbours
        first = base + columns[0]
        values, what = table[first : first + n], kinds[first : first + n]
        for i in range(n):
            kind = what[i] & (CLOSED - 1)
            fine = (kind == 0) & (values[i] > least) & (values[i] < math.inf)
            value = values[i] if fine else 0.0
            tally[i] += 1 + (int(fine) << 16) + (int(kind == WALL) << 32) + (int(kind >= MARKED) << 48)
            total[i] += value
            low[i] = value if value < low[i] else low[i]
            high[i] = value if value > high[i] else high[i]
        return
    for i in range(n):
        state = base + columns[i]
        kind = kinds[state] & (CLOSED - 1)
        value = table[state] if len(table) else math.nan
        fine = (kind == 0) & (value > least) & (value < math.inf)
        value = value if fine else 0.0
        tally[i] += 1 + (int(fine) << 16) + (int(kind == WALL) << 32) + (int(kind >= MARKED) << 48)
        total[i] += value
        low[i] = value if value < low[i] else low[i]
        high[i] = value if value > high[i] else high[i]


@njit(cache=True, nogil=True)
def _add(sums, parts, picks):
    for x in range(len(sums)):
        sums[x] += parts[picks[x]]


@njit(cache=True, nogil=True)
def _lower(lowest, parts, picks):
    for x in range(len(lowest)):
        part = parts[picks[x]]
        lowest[x] = part if part < lowest[x] else lowest[x]


@njit(cache=True, nogil=True)
def _raise(highest, parts, picks):
    for x in range(len(highest)):
        part = parts[picks[x]]
        highest[x] = part if part > highest[x] else highest[x]


@njit(cache=True, nogil=True)
def _farthest(values, lowest, highest):
    for x in range(len(values)):
        values[x] = highest[x] if highest[x] >= -lowest[x] else lowest[x]


@njit(cache=True, nogil=True, error_model="numpy")
def _means(values, tally):
    for x in range(len(values)):
        values[x] /= (tally[x] >> 16) & 65535


@njit(cache=True, nogil=True)
def _logs(values):
    for x in range(len(values)):
        values[x] = math.log1p(values[x]) if values[x] > 0 else math.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _places(places, values, tally, lo, hi, steps):
    """1 + the place of each value on the palette, as `rlgrid.kernels.raster` has it; 0 where there is no number."""
    span = hi / 4 - lo / 4
    for x in range(len(places)):
        value = values[x]
        known = (((tally[x] >> 16) & 65535) > 0) & (value > -math.inf) & (value < math.inf)
        quarter = (value if known else lo) / 4
        quarter = quarter if quarter > lo / 4 else lo / 4
        quarter = quarter if quarter < hi / 4 else hi / 4
        part = (quarter - lo / 4) / span if span > 0 else 0.0
        places[x] = np.uint32(np.int32(part * (steps - 1) + 0.5) + 1) if known else np.uint32(0)


@njit(cache=True, nogil=True)
def _take(found, table, places):
    for x in range(len(found)):
        found[x] = table[places[x]]


@njit(cache=True, nogil=True, error_model="numpy")
def _mix(mixed, tally, places, tint, floor, wall, extreme):
    """A channel of the pixels' colours, from the ``tint`` of their numbers."""
    for x in range(len(mixed)):
        count = tally[x]
        cells, finite, walls, marks = count & 65535, (count >> 16) & 65535, (count >> 32) & 65535, count >> 48
        colour = walls * wall + (cells - walls - marks - finite) * floor + finite * tint[x]
        colour = colour * (1.0 / cells) + 0.5
        colour = tint[x] if extreme & (places[x] > 0) else colour
        mixed[x] = np.uint8(np.int32(colour))


@njit(cache=True, nogil=True)
def shrink(frame, cell, left, top, shape, kinds, colours, shown):
    """Draw a grid of ``shape`` (rows, columns) whose cells are smaller than a pixel, by ``shown.table`` [S, 0 or 1].

    The frame is uint8 [h, w, 3]; what is not a cell stays as it is. See `rlgrid.kernels.raster.paint`.
    """
    palette, plain, marked = colours.palette, colours.plain, colours.marked
    lo, hi, counts, extreme = shown.lo, shown.hi, shown.counts, shown.extreme
    table = shown.table.reshape(-1)
    height, width = frame.shape[:2]
    rows, down = _spans(top, cell, shape[0], height)
    columns, along = _spans(left, cell, shape[1], width)
    n = len(columns)
    picks = _picks(along, n)
    tally = np.zeros(n + 1, np.int64)  # the last is that of no column
    total, low, high = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    tints = np.zeros((3, len(palette) + 1))
    tints[:, 1:] = palette.T
    count, places, mixed = np.empty(width, np.int64), np.empty(width, np.uint32), np.empty((3, width), np.uint8)
    values, lowest, highest, tint = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    least = 0.0 if counts else -math.inf
    for y in range(height):
        if down[y] == down[y + 1]:
            continue
        tally[:n], total[:n], low[:n], high[:n] = 0, 0.0, 0.0, 0.0
        for r in range(down[y], down[y + 1]):
            _gather(rows[r] * shape[1], columns, kinds, table, least, tally, total, low, high)
        count[:], values[:], lowest[:], highest[:] = 0, 0.0, 0.0, 0.0
        for j in range(len(picks)):
            _add(count, tally, picks[j])
            if extreme:
                _lower(lowest, low, picks[j])
                _raise(highest, high, picks[j])
            else:
                _add(values, total, picks[j])
        if extreme:
            _farthest(values, lowest, highest)
        else:
            _means(values, count)
        if counts:
            _logs(values)
        _places(places, values, count, lo, hi, len(palette))
        for c in range(3):
            _take(tint, tints[c], places)
            _mix(mixed[c], count, places, tint, float(plain[0, c]), float(plain[2, c]), extreme)
        for x in range(width):
            if count[x] == 0:
                continue
            for c in range(3):
                frame[y, x, c] = mixed[c, x]
            if count[x] >> 48 and not (extreme and places[x]):
                _mark(
                    frame[y, x],
                    rows[down[y] : down[y + 1]] * shape[1],
                    columns[along[x] : along[x + 1]],
                    kinds,
                    count[x],
                    tints[:, places[x]],
                    plain,
                    marked,
                )


@njit(cache=True, nogil=True)
def _mark(pixel, bases, columns, kinds, tally, tint, plain, marked):
    """Mix a pixel behind which marked cells lie."""
    cells, finite, walls, marks = tally & 65535, (tally >> 16) & 65535, (tally >> 32) & 65535, tally >> 48
    for c in range(3):
        colour = walls * float(plain[2, c]) + (cells - walls - marks - finite) * float(plain[0, c]) + finite * tint[c]
        for base in bases:
            for column in columns:
                state = base + column
                if state < len(kinds) and kinds[state] % CLOSED >= MARKED:
                    colour += marked[kinds[state] % CLOSED - MARKED, c]
        pixel[c] = int(colour * (1.0 / cells) + 0.5)
