"""Anti-aliased shapes as coverage masks, one square of pixels at a time.

A shape is a signed distance to its edge, in pixels, negative inside; the share of a pixel that it covers is taken as
0.5 minus that distance at the pixel's centre, clipped to [0, 1], which is exact for a straight edge along the axes.
Every mask is float32 [size, size] in [0, 1], is kept once it is made, and must not be written to.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.keeping import kept

Mask = NDArray[np.float32]
Points = list[tuple[float, float]]
Direction = tuple[int, int]

MARKS = ("goal", "pit", "start", "ice", "reward", "teleport", "end", "key", "door", "open door", "switch")
"""The marks of cells: star, cross, flag, glint, diamond, ring with a dot, square, key, door with a keyhole, doorway,
lever."""


# --- distances ------------------------------------------------------------------------------------------------------


def coverage(distance: NDArray[np.float64] | Mask) -> Mask:
    """The share of each pixel that lies inside, from the signed distance at its centre."""
    return np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)


def disc(x: ArrayLike, y: ArrayLike, radius: float) -> NDArray[np.float64]:
    """Signed distance to a disc around the origin."""
    result: NDArray[np.float64] = np.hypot(x, y) - radius
    return result


def box(x: ArrayLike, y: ArrayLike, half_width: float, half_height: float, radius: float = 0.0) -> NDArray[np.float64]:
    """Signed distance to a rectangle around the origin with rounded corners."""
    u = np.abs(x) - half_width + radius
    v = np.abs(y) - half_height + radius
    outside = np.hypot(np.maximum(u, 0.0), np.maximum(v, 0.0))
    result: NDArray[np.float64] = outside + np.minimum(np.maximum(u, v), 0.0) - radius
    return result


def segment(
    x: ArrayLike, y: ArrayLike, a: tuple[float, float], b: tuple[float, float], half: float
) -> NDArray[np.float64]:
    """Signed distance to a line of half width ``half`` from a to b with round ends."""
    px, py = np.asarray(x, np.float64) - a[0], np.asarray(y, np.float64) - a[1]
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = dx * dx + dy * dy
    along = np.clip((px * dx + py * dy) / length, 0.0, 1.0) if length > 0 else np.zeros_like(px + py)
    result: NDArray[np.float64] = np.hypot(px - along * dx, py - along * dy) - half
    return result


def polygon(x: NDArray[np.float64], y: NDArray[np.float64], points: Points) -> NDArray[np.float64]:
    """Signed distance to a closed polygon (even-odd rule)."""
    nearest = np.full(np.broadcast(x, y).shape, np.inf)
    inside = np.zeros(nearest.shape, np.bool_)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(px - along * ex, py - along * ey))
        crosses = (ay > y) != (by > y)
        if ey != 0:
            inside ^= crosses & (px < ex * py / ey)
    return np.where(inside, -nearest, nearest)


def centres(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x [1, size] and y [size, 1] of the pixels' centres, from the middle of the square."""
    at = np.arange(size, dtype=np.float64) + 0.5 - size / 2
    return at[None, :], at[:, None]


# --- masks of a cell ------------------------------------------------------------------------------------------------


@kept
def cell(size: int) -> Mask:
    """The cell itself: a rounded square half a pixel inside its edge, so that two neighbours leave a fine line.

    Small cells are full squares: lines between them would take much of their colour.
    """
    if size < 10:
        return np.ones((size, size), np.float32)
    x, y = centres(size)
    radius = min(max(0.06 * size, 1.0), 5.0)
    return coverage(box(x, y, size / 2 - 0.5, size / 2 - 0.5, radius))


def _stroke(size: int, share: float, least: float) -> float:
    """A line's width near share * size that fills whole pixels when it is centred in a square of that size."""
    wanted = max(share * size, least)
    parity = size % 2
    return float(max(2 * round((wanted - parity) / 2) + parity, 1 if parity else 2))


def arrow_points(tail: float, tip: float, shaft: float, head_length: float, head_width: float) -> Points:
    """An arrow along x from ``tail`` to ``tip``."""
    neck, half = tip - head_length, shaft / 2
    return [
        (tail, -half),
        (neck, -half),
        (neck, -head_width / 2),
        (tip, 0.0),
        (neck, head_width / 2),
        (neck, half),
        (tail, half),
    ]


def _rotated(points: Points, direction: Direction) -> Points:
    rows, columns = direction
    length = float(np.hypot(rows, columns))
    c, s = columns / length, rows / length
    return [(x * c - y * s, x * s + y * c) for x, y in points]


@kept
def arrows(size: int, directions: tuple[Direction, ...]) -> Mask:
    """Arrows for the directions (rows, columns); (0, 0), staying, is a ring.

    One arrow lies centred in the cell. Several, tied, start from the middle.
    """
    x, y = centres(size)
    # Small cells need a larger share of their area for an arrow to be read.
    share = float(np.interp(size, [8, 14, 32], [0.80, 0.64, 0.50]))
    reach = float(np.interp(size, [40, 56], [0.10, 0.06]))  # large cells have a number below their arrows
    shaft = _stroke(size, 0.062, 1.0)
    result = np.zeros((size, size), np.float32)
    for direction in directions:
        if direction == (0, 0):
            ring = np.abs(disc(x, y, (0.17 if len(directions) == 1 else 0.11) * size)) - shaft / 2
            result = np.maximum(result, coverage(ring))
            continue
        if len(directions) == 1:
            head = max(0.45 * share * size, 3.0)
            points = arrow_points(-share / 2 * size, share / 2 * size, shaft, head, head * 1.12)
        else:
            head = max((0.36 - (0.10 - reach)) * share * size, 2.5)
            tail = 0.11 * size if (0, 0) in directions else -shaft / 2  # so that shafts meet without a seam
            points = arrow_points(tail, (share / 2 + reach) * size, shaft, head, head * 1.12)
        result = np.maximum(result, coverage(polygon(x, y, _rotated(points, direction))))
    return result


@kept
def dot(size: int) -> Mask:
    """The dot of a state that nothing has reached yet."""
    x, y = centres(size)
    return coverage(disc(x, y, max(0.055 * size, 0.9)))


@kept
def mark(size: int, name: str, corner: bool = False) -> Mask:
    """One of `MARKS`, in the middle of the cell, or small in its upper left corner beside an arrow."""
    x, y = centres(size)
    radius = 0.24 * size
    if size < 16:
        radius = 0.34 * size
    if corner:
        if size < 20:
            return np.zeros((size, size), np.float32)
        radius = max(0.105 * size, 3.0)
        offset = size / 2 - radius - max(0.075 * size, 2.5)
        x, y = x + offset, y + offset
    x, y = x / radius, y / radius
    thin = max(0.17, 0.55 / radius)  # half a stroke's width, in radii: at least a pixel or so
    if name == "goal":
        turns = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.08, 0.46)
        points = [(float(r * np.sin(t)), float(0.08 - r * np.cos(t))) for r, t in zip(reach, turns, strict=True)]
        distance = polygon(x, y, points)
    elif name == "pit":
        one = segment(x, y, (-0.7, -0.7), (0.7, 0.7), thin)
        distance = np.minimum(one, segment(x, y, (-0.7, 0.7), (0.7, -0.7), thin))
    elif name == "start":
        pole = segment(x, y, (-0.55, -0.95), (-0.55, 1.0), thin * 0.75)
        distance = np.minimum(pole, polygon(x, y, [(-0.55, -0.95), (0.95, -0.4), (-0.55, 0.2)]))
    elif name == "ice":
        long = segment(x, y, (-0.85, 0.35), (0.35, -0.85), thin * 0.8)
        distance = np.minimum(long, segment(x, y, (-0.05, 0.6), (0.6, -0.05), thin * 0.8))
    elif name == "reward":
        distance = polygon(x, y, [(0.0, -1.0), (0.78, 0.0), (0.0, 1.0), (-0.78, 0.0)])
    elif name == "teleport":
        ring = np.abs(disc(x, y, 0.86)) - thin * 0.8
        distance = np.minimum(ring, disc(x, y, 0.34))
    elif name == "end":
        distance = np.abs(box(x, y, 0.7, 0.7)) - thin * 0.8
    elif name == "key":
        bow = np.abs(disc(x + 0.52, y, 0.36)) - thin * 0.9
        blade = segment(x, y, (-0.16, 0.0), (0.95, 0.0), thin * 0.9)
        bits = np.minimum(*(segment(x, y, (at, 0.0), (at, 0.42), thin * 0.8) for at in (0.55, 0.92)))
        distance = np.minimum(bow, np.minimum(blade, bits))
    elif name == "door":
        keyhole = np.minimum(disc(x, y + 0.16, 0.24), segment(x, y, (0.0, 0.0), (0.0, 0.4), thin * 0.7))
        distance = np.maximum(box(x, y, 0.82, 1.12, 0.2), -keyhole)
    elif name == "open door":
        posts = [(-0.8, 1.05), (-0.8, -1.05), (0.8, -1.05), (0.8, 1.05)]
        lines = [segment(x, y, a, b, thin * 0.8) for a, b in pairwise(posts)]
        distance = np.minimum(lines[0], np.minimum(lines[1], lines[2]))
    elif name == "switch":
        foot = box(x, y - 0.72, 0.85, 0.24, 0.1)
        lever = np.minimum(segment(x, y, (0.0, 0.6), (0.52, -0.62), thin * 0.9), disc(x - 0.52, y + 0.62, 0.34))
        distance = np.minimum(foot, lever)
    else:
        raise ValueError(f"there is no mark {name!r}; there are {', '.join(MARKS)}")
    return coverage(distance * radius)


@kept
def wind(size: int, rows: int, columns: int) -> Mask:
    """Chevrons in the lower right corner: as many as the wind is strong, pointing where it blows."""
    x, y = centres(size)
    result = np.zeros((size, size), np.float32)
    if size < 20 or (rows, columns) == (0, 0):
        return result
    half = max(0.07 * size, 2.0)  # of a chevron's width
    line = max(0.014 * size, 0.45)
    corner = size / 2 - half - max(0.085 * size, 2.5)
    for strength, upright in ((rows, True), (columns, False)):
        away = 1 if strength > 0 else -1
        for n in range(abs(strength)):
            # Stacked inwards from the corner, along the wind.
            at = corner + half / 2 - n * 1.15 * half
            tip = at + away * half / 2
            for side in (-1, 1):
                a, b = (corner, tip), (corner + side * half, tip - away * half)
                if not upright:
                    a, b = a[::-1], b[::-1]
                result = np.maximum(result, coverage(segment(x, y, a, b, line)))
    return result


# --- action values --------------------------------------------------------------------------------------------------


@kept
def wedges(size: int, directions: tuple[Direction, ...]) -> Mask:
    """float32 [A, size, size]: the part of the cell nearest to each direction; staying has a disc in the middle.

    Together they fill the cell's square but for a fine line between them.
    """
    fine = 4
    at = (np.arange(size * fine) + 0.5) / fine - size / 2
    x, y = at[None, :], at[:, None]
    moves = [d for d in directions if d != (0, 0)]
    toward = np.stack([(d[0] * y + d[1] * x) / float(np.hypot(*d)) for d in moves]) if moves else np.zeros((1, 1, 1))
    order = np.sort(toward, axis=0)
    near = np.argmax(toward, axis=0)
    # With few wedges a full line divides them; more would be all lines.
    width, weight = (0.7, 1.0) if len(directions) <= 5 else (0.5, 0.5)
    line = weight * ((order[-1] - order[-2]) < width) if len(moves) > 1 else np.zeros(near.shape)
    middle = np.hypot(x, y)
    result = np.zeros((len(directions), size, size), np.float32)
    for a, direction in enumerate(directions):
        if direction == (0, 0):
            inside = (middle < 0.19 * size).astype(np.float64)
        else:
            inside = (near == moves.index(direction)) * (1.0 - line)
            if (0, 0) in directions:
                inside = inside * (1.0 - np.where(middle < 0.19 * size, 1.0, weight * (middle < 0.19 * size + 0.7)))
        result[a] = inside.reshape(size, fine, size, fine).mean(axis=(1, 3))
    return result * cell(size)


@kept
def wedge_marks(size: int, directions: tuple[Direction, ...]) -> Mask:
    """float32 [A, size, size]: a small arrow head in each wedge, to mark the greedy ones."""
    x, y = centres(size)
    result = np.zeros((len(directions), size, size), np.float32)
    length = max((0.17 if len(directions) <= 5 else 0.12) * size, 3.0)
    for a, direction in enumerate(directions):
        if direction == (0, 0):
            result[a] = coverage(disc(x, y, 0.08 * size))
            continue
        tip = 0.42 * size
        points = [(tip, 0.0), (tip - length, -0.62 * length), (tip - length, 0.62 * length)]
        result[a] = coverage(polygon(x, y, _rotated(points, direction)))
    return result


@kept
def bars(size: int, count: int) -> Mask:
    """float32 [count, size, size]: upright bars side by side, for actions that have no direction."""
    at = np.arange(size) + 0.5
    width = size / count
    left = at[None, :] - np.arange(count)[:, None] * width
    share = np.clip(left + 0.5, 0.0, 1.0) - np.clip(left - width + 0.5, 0.0, 1.0)
    return np.repeat(share.astype(np.float32)[:, None, :], size, axis=1) * cell(size)


# --- numbers of actions without a direction -------------------------------------------------------------------------

# The seven segments a to g of a digit in a box of 1 x 2, and which of them each digit lights.
_SEGMENTS = {
    "a": ((0.0, 0.0), (1.0, 0.0)),
    "b": ((1.0, 0.0), (1.0, 1.0)),
    "c": ((1.0, 1.0), (1.0, 2.0)),
    "d": ((0.0, 2.0), (1.0, 2.0)),
    "e": ((0.0, 1.0), (0.0, 2.0)),
    "f": ((0.0, 0.0), (0.0, 1.0)),
    "g": ((0.0, 1.0), (1.0, 1.0)),
}
_DIGITS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")


@kept
def numbers(size: int, values: tuple[int, ...]) -> Mask:
    """Whole numbers written in the cell, row by row in a square."""
    x, y = centres(size)
    side = int(np.ceil(np.sqrt(len(values))))
    lines = -(-len(values) // side)
    result = np.zeros((size, size), np.float32)
    for n, value in enumerate(values):
        text = str(value)
        field = 0.8 * size / max(side, 1)
        middle_x = (n % side - (side - 1) / 2) * field
        middle_y = (n // side - (lines - 1) / 2) * field
        unit = min(0.27 * field, 0.42 * field / len(text))  # a digit is one unit wide and two high
        for k, digit in enumerate(text):
            left = middle_x + (k - (len(text) - 1) / 2) * 1.7 * unit - unit / 2
            left -= unit / 2 if digit == "1" else 0.0  # its two segments lie at the right of the box
            for name in _DIGITS[int(digit)]:
                (ax, ay), (bx, by) = _SEGMENTS[name]
                a = (left + ax * unit, middle_y + (ay - 1) * unit)
                b = (left + bx * unit, middle_y + (by - 1) * unit)
                result = np.maximum(result, coverage(segment(x, y, a, b, max(0.13 * unit, 0.5))))
    return result
