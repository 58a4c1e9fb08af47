"""Which cells of a window around the agent can be seen, and what is there.

What a cell is comes as bits, one for each plane of an image: those of its kind of tile, of the wind and of the walls
between cells, or where items change it, of its place in a row of such codes. A window is square, with an odd number of
cells a side; its cells are numbered row by row. All cells that a line of sight from its middle passes lie in it, so
what can be seen follows from the window's own bits. Directions are 0 up, 1 right, 2 down, 3 left.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

RIGHT, BELOW = 1, 2  # of a thin wall, see `GridModel.to_mdp`


class Map(NamedTuple):
    """A map as codes. Arrays that are empty say that there is nothing of their kind."""

    height: int
    width: int
    tiles: Any  # uint8 or uint16 [cells]
    code_of: Any  # uint32 [kinds]: the bits of each kind of tile
    column_wind: Any  # int64 [W]
    row_wind: Any  # int64 [H]
    thin: Any  # uint8 [cells], or empty
    place: Any  # int32 [cells], where in a row of codes the cell is, -1 for the others; or empty
    wall: int  # the bit of a wall, which stops the sight
    wind: int  # the bit of cells where a wind blows
    borders: int  # the bit of a thin wall above, those of the other directions following; 0 if there are none


class Paths(NamedTuple):
    """The steps of sight from the middle of a window to each of its cells, in the order of the cells."""

    first: Any  # int64 [cells of the window + 1]
    to: Any  # int64 [steps]: the cell that a step leads to
    vertical: Any  # int64 [steps]: the direction in which it changes the row, -1 if it does not
    horizontal: Any  # int64 [steps]: the direction in which it changes the column, -1 if it does not


# Takes arrays one by one, for a struct that passes through a call has the references of all its arrays counted.
@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _code(width, tiles, code_of, column_wind, row_wind, thin, place, wall, wind, borders, items, row, column):
    """The bits of a cell of the map, under a row of codes of the cells that items change."""
    cell = row * width + column
    bits = code_of[tiles[cell]]
    blows = column_wind[column] != 0 or row_wind[row] != 0
    if blows and not bits & np.uint32(wall):
        bits |= np.uint32(wind)
    if thin.size:
        up = row > 0 and thin[cell - width] & BELOW != 0
        left = column > 0 and thin[cell - 1] & RIGHT != 0
        right, down = thin[cell] & RIGHT != 0, thin[cell] & BELOW != 0
        bits |= np.uint32(borders * (up + 2 * right + 4 * down + 8 * left))
    if place.size and place[cell] >= 0:
        bits = items[place[cell]]
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def codes_of_map(world, items, out):
    """The bits of all cells, into uint32 [cells]."""
    height, width, tiles, code_of, column_wind, row_wind, thin, place, wall, wind, borders = world
    for row in range(height):
        for column in range(width):
            out[row * width + column] = _code(
                width, tiles, code_of, column_wind, row_wind, thin, place, wall, wind, borders, items, row, column
            )


@njit(cache=True, nogil=True, error_model="numpy")
def _is_stopped_around(window, at, by, to_by, beyond, wall, borders):
    """Whether a step around a corner is stopped, by way of cell ``by`` in direction ``to_by`` and then ``beyond``."""
    stops = np.uint32(wall) | np.uint32(borders << beyond)
    return window[at] & np.uint32(borders << to_by) != 0 or window[by] & stops != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _is_seen(window, side, paths, k, wall, borders):
    """Whether the sight from the middle of a window, given its bits, reaches cell k."""
    at = side * side // 2
    last = paths.first[k + 1] - 1
    for step in range(paths.first[k], last + 1):
        to, vertical, horizontal = paths.to[step], paths.vertical[step], paths.horizontal[step]
        if vertical >= 0 and horizontal >= 0:
            by_row = at + (vertical - 1) * side
            by_column = at + 2 - horizontal
            if _is_stopped_around(window, at, by_row, vertical, horizontal, wall, borders) and _is_stopped_around(
                window, at, by_column, horizontal, vertical, wall, borders
            ):
                return False
        elif window[at] & np.uint32(borders << max(vertical, horizontal)):
            return False
        if step < last and window[to] & np.uint32(wall):
            return False
        at = to
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def windows(world, rows, which, paths, cells, side, see_through, agent, unseen, out):
    """The bits of the windows around cells [N], into uint32 [N, side * side].

    rows [B, K] are codes of the cells that items change, of which row which[i] holds for copy i. ``agent`` and
    ``unseen`` are the bits of the agent's own cell and of what cannot be seen.
    """
    half = side // 2
    height, width, tiles, code_of, column_wind, row_wind, thin, place, wall, wind, borders = world
    window = np.empty(side * side, np.uint32)
    for i in range(cells.size):
        items = rows[which[i]]
        top, left = cells[i] // width - half, cells[i] % width - half
        for r in range(side):
            for c in range(side):
                row, column = top + r, left + c
                if 0 <= row < height and 0 <= column < width:
                    window[r * side + c] = _code(
                        width,
                        tiles,
                        code_of,
                        column_wind,
                        row_wind,
                        thin,
                        place,
                        wall,
                        wind,
                        borders,
                        items,
                        row,
                        column,
                    )
                else:
                    window[r * side + c] = wall
        for k in range(side * side):
            shown = see_through or _is_seen(window, side, paths, k, wall, borders)
            out[i, k] = window[k] if shown else np.uint32(unseen)
        out[i, side * side // 2] |= np.uint32(agent)


@njit(cache=True, nogil=True, error_model="numpy")
def spread(codes, out):
    """Bits uint32 [N, cells] as planes of 0 and 255, into uint8 [N, planes, cells]."""
    for i in range(codes.shape[0]):
        for plane in range(out.shape[1]):
            for k in range(codes.shape[1]):
                out[i, plane, k] = np.uint8(255) * np.uint8((codes[i, k] >> np.uint32(plane)) & np.uint32(1))
