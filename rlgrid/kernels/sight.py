"""Which cells of a window around the agent can be seen, and what is there.

What a cell is comes as bits, one for each plane of an image: those of its kind of tile, of the wind and of the walls
between cells, or where items change it, of its place in a row of such codes. A window is square, with an odd number of
cells a side; its cells are numbered row by row, and the paths of sight to them come as lists of steps (`Paths`).
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
    borders: int  # the bit of a thin wall above; then follow right, below, left


class Paths(NamedTuple):
    """The steps of sight to every cell of a window, in the order of its cells."""

    first: Any  # int64 [cells of the window + 1]
    row: Any  # int64 [steps]: -1, 0 or 1 each
    column: Any


@njit(cache=True, nogil=True, error_model="numpy")
def _thin_between(world, cell, to):
    """Whether a thin wall stands between two cells that are neighbours in a row or a column."""
    low, high = min(cell, to), max(cell, to)
    # In a map of one column the cell below is the next one too.
    side = RIGHT if high == low + 1 and world.width > 1 else BELOW
    return world.thin[low] & side != 0


@njit(cache=True, nogil=True, error_model="numpy")
def code(world, items, cell):
    """uint32: the bits of a cell of the map, under a row of codes of the cells that items change."""
    if world.place.size and world.place[cell] >= 0:
        return items[world.place[cell]]
    bits = world.code_of[world.tiles[cell]]
    row, column = cell // world.width, cell % world.width
    if not bits & np.uint32(world.wall) and (world.column_wind[column] != 0 or world.row_wind[row] != 0):
        bits |= np.uint32(world.wind)
    if world.thin.size:
        up = row > 0 and world.thin[cell - world.width] & BELOW != 0
        left = column > 0 and world.thin[cell - 1] & RIGHT != 0
        right, down = world.thin[cell] & RIGHT != 0, world.thin[cell] & BELOW != 0
        bits |= np.uint32(world.borders * (up + 2 * right + 4 * down + 8 * left))
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def codes_of_map(world, items, out):
    """The bits of all cells, into uint32 [cells]."""
    for cell in range(out.size):
        out[cell] = code(world, items, cell)


@njit(cache=True, nogil=True, error_model="numpy")
def _is_wall(world, items, row, column):
    if row < 0 or row >= world.height or column < 0 or column >= world.width:
        return True
    cell = row * world.width + column
    bits = world.code_of[world.tiles[cell]]
    if world.place.size and world.place[cell] >= 0:
        bits = items[world.place[cell]]
    return bits & np.uint32(world.wall) != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _stops(world, row, column, to_row, to_column):
    """Whether a thin wall stands between neighbours; those outside of the map have none."""
    if not world.thin.size or min(row, column, to_row, to_column) < 0:
        return False
    if max(row, to_row) >= world.height or max(column, to_column) >= world.width:
        return False
    return _thin_between(world, row * world.width + column, to_row * world.width + to_column)


@njit(cache=True, nogil=True, error_model="numpy")
def _around(world, items, row, column, by_row, by_column, to_row, to_column):
    """Whether the sight is stopped on its way to a diagonal cell by way of a cell beside both."""
    return (
        _is_wall(world, items, by_row, by_column)
        or _stops(world, row, column, by_row, by_column)
        or _stops(world, by_row, by_column, to_row, to_column)
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _seen(world, items, paths, row, column, k):
    """Whether the sight from a cell reaches cell k of the window around it."""
    last = paths.first[k + 1] - 1
    for step in range(paths.first[k], last + 1):
        down, right = paths.row[step], paths.column[step]
        to_row, to_column = row + down, column + right
        if down != 0 and right != 0:
            if _around(world, items, row, column, to_row, column, to_row, to_column) and _around(
                world, items, row, column, row, to_column, to_row, to_column
            ):
                return False
        elif _stops(world, row, column, to_row, to_column):
            return False
        if step < last and _is_wall(world, items, to_row, to_column):
            return False
        row, column = to_row, to_column
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def windows(world, rows, which, paths, cells, side, see_through, agent, unseen, out):
    """The bits of the windows around cells [N], into uint32 [N, side * side].

    rows [B, K] are codes of the cells that items change, of which row which[i] holds for copy i. ``agent`` and
    ``unseen`` are the bits of the agent's own cell and of what cannot be seen.
    """
    half = side // 2
    for i in range(cells.size):
        items = rows[which[i]]
        row, column = cells[i] // world.width, cells[i] % world.width
        for k in range(side * side):
            r, c = row + k // side - half, column + k % side - half
            if not see_through and not _seen(world, items, paths, row, column, k):
                out[i, k] = unseen
            elif 0 <= r < world.height and 0 <= c < world.width:
                out[i, k] = code(world, items, r * world.width + c)
            else:
                out[i, k] = world.wall
        out[i, half * side + half] |= np.uint32(agent)


@njit(cache=True, nogil=True, error_model="numpy")
def spread(codes, out):
    """Bits uint32 [N, cells] as planes of 0 and 255, into uint8 [N, planes, cells]."""
    for i in range(codes.shape[0]):
        for plane in range(out.shape[1]):
            for k in range(codes.shape[1]):
                out[i, plane, k] = 255 * ((codes[i, k] >> np.uint32(plane)) & np.uint32(1))
