"""Maps that are no mazes: caves, rooms with corridors, random walls, frozen lakes.

Each function returns tiles in which some free cells are joined to the first free one in reading order: all of them in
caves and rooms; in random walls and lakes there may be others, walled in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlgrid.mapoptions import FREE, HOLE, WALL, Random, Tiles, flag, margin, share, whole

LAKE_DRAWS = 10_000
"""The most draws of a lake, on lakes of up to 20,000 cells; fewer on larger ones, and 100 at least."""


def caves(
    height: int, width: int, random: Random, *, fill: float = 0.45, passes: int = 5, border: bool = True
) -> Tiles:
    """Caves by a cellular automaton: wide halls with rough walls and many ways around.

    Cells are walls with probability ``fill``. Then, ``passes`` times, a cell is a wall if five or more of the nine
    cells of its 3 x 3 square are, those outside the map included; without a border the outside is like the edge. The
    largest cave is kept; where it has less than two cells, two opposite corners are joined by a way instead.
    Source: Johnson, Yannakakis & Togelius, "Cellular automata for real-time generation of infinite cave levels",
    PCGames (2010).
    """
    from rlgrid.kernels import flood

    fill, passes, border = share("fill", fill), whole("passes", passes, 0, 100), flag("border", border)
    rows, columns = height - 2 * margin(height, border), width - 2 * margin(width, border)
    walls = (random.generator.random((rows, columns)) < fill).view(np.uint8)
    for _ in range(passes):
        around = np.pad(walls, 1, constant_values=1) if border else np.pad(walls, 1, mode="edge")
        lines = around[:-2] + around[1:-1] + around[2:]
        walls = (lines[:, :-2] + lines[:, 1:-1] + lines[:, 2:] >= 5).view(np.uint8)
    free = flood.largest(walls.ravel() == 0, rows, columns)
    if np.count_nonzero(free) < 2:
        flood.breach(free, rows, columns, 0, free.size - 1)
    return _within(free.reshape(rows, columns), height, width)


def rooms(
    height: int, width: int, random: Random, *, min_room: int = 4, max_room: int = 10, border: bool = True
) -> Tiles:
    """Rooms and corridors by binary space partitioning, as in Rogue: open rooms, narrow ways between them.

    The map is cut in two, across its longer side, until no part has a side longer than ``max_room`` cells. Each part
    gets a room at a random place, whose sides have ``min_room`` cells at least (less where the part has less). The two
    halves of each cut are then joined by a corridor with one bend between two rooms near to each other. Source: Shaker,
    Togelius & Nelson, Procedural Content Generation in Games (Springer, 2016), chapter 3.
    """
    smallest, largest = whole("min_room", min_room, 1), whole("max_room", max_room, 1)
    if largest < 2 * smallest:
        raise ValueError(
            f"max_room = {largest} must be at least twice min_room = {smallest}: a part that is longer is cut in two "
            "with a wall between"
        )
    border = flag("border", border)
    draw = random.generator.integers
    free = np.zeros((height - 2 * margin(height, border), width - 2 * margin(width, border)), np.bool_)
    parts: list[tuple[int, int, int, int]] = [(0, 0, *free.shape)]  # row, column, height, width
    halves: dict[int, int] = {}  # part -> the first of its two halves, which come later in the list
    for i, (top, left, h, w) in enumerate(parts):  # the list grows meanwhile
        if max(h, w) <= largest:
            continue
        halves[i] = len(parts)
        if h > w or (h == w and draw(2)):
            cut = int(draw(smallest, h - smallest))
            parts += [(top, left, cut, w), (top + cut + 1, left, h - cut - 1, w)]
        else:
            cut = int(draw(smallest, w - smallest))
            parts += [(top, left, h, cut), (top, left + cut + 1, h, w - cut - 1)]
    middles: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)] * len(parts)  # of the rooms of each part
    for i in reversed(range(len(parts))):
        if i not in halves:
            top, left, h, w = parts[i]
            tall, wide = int(draw(min(smallest, h), h + 1)), int(draw(min(smallest, w), w + 1))
            top, left = top + int(draw(h - tall + 1)), left + int(draw(w - wide + 1))
            free[top : top + tall, left : left + wide] = True
            middles[i] = np.array([[top + tall // 2, left + wide // 2]])
            continue
        one, other = middles[halves[i]], middles[halves[i] + 1]
        a = one[draw(len(one))]
        b = other[np.abs(other - a).sum(axis=1).argmin()]
        a = one[np.abs(one - b).sum(axis=1).argmin()]
        bend = (a[0], b[1]) if draw(2) else (b[0], a[1])
        for (r, c), (r2, c2) in ((a, bend), (bend, b)):
            free[min(r, r2) : max(r, r2) + 1, min(c, c2) : max(c, c2) + 1] = True
        middles[i] = np.concatenate([one, other])
        middles[halves[i]] = middles[halves[i] + 1] = middles[i][:0]
    return _within(free, height, width)


def random_walls(height: int, width: int, random: Random, *, fill: float = 0.3, border: bool = False) -> Tiles:
    """Each cell is a wall with probability ``fill`` (site percolation); a way between two corners is guaranteed.

    Where the upper left and the lower right corner are not joined, the fewest walls that join them are opened, so that
    every ``fill`` gives a map. On large maps that happens often where less than 0.593 of the cells are free, the
    threshold of the square lattice. Free cells that are walled in stay. Source: Broadbent & Hammersley, "Percolation
    processes I", Mathematical Proceedings of the Cambridge Philosophical Society 53 (1957); Stauffer & Aharony,
    Introduction to Percolation Theory (1994), for the threshold.
    """
    from rlgrid.kernels import flood

    fill, border = share("fill", fill), flag("border", border)
    rows, columns = height - 2 * margin(height, border), width - 2 * margin(width, border)
    free = random.generator.random(rows * columns) >= fill
    flood.breach(free, rows, columns, 0, free.size - 1)
    return _within(free.reshape(rows, columns), height, width)


def frozen_lake(height: int, width: int, random: Random, *, p: float = 0.8) -> Tiles:
    """Ice with probability ``p``, else a hole, drawn anew until the corners are joined by ice: Gymnasium's rule.

    A square lake is `gymnasium.envs.toy_text.frozen_lake.generate_random_map(size, p, seed)` cell for cell, but that
    draws for ever where no lake is to be had. Here, after `LAKE_DRAWS` draws, the fewest holes of the last one freeze
    over that join the corners. Source: Gymnasium (Towers et al., 2024).
    """
    from rlgrid.kernels import flood

    p = share("p", p)
    cells = height * width
    for _ in range(max(100, min(LAKE_DRAWS, 20_000 * LAKE_DRAWS // cells))):
        free = random.generator.choice(2, (height, width), p=[p, 1.0 - p]).ravel() == 0
        free[0] = free[-1] = True
        if flood.distances(free, height, width, 0)[-1] >= 0:
            break
    else:
        flood.breach(free, height, width, 0, cells - 1)
    return np.where(free, np.uint8(FREE), np.uint8(HOLE)).reshape(height, width)


def _within(free: NDArray[np.bool_], height: int, width: int) -> Tiles:
    """The tiles of a map with these free cells in its middle and walls around."""
    tiles = np.full((height, width), WALL, np.uint8)
    top, left = (height - free.shape[0]) // 2, (width - free.shape[1]) // 2
    tiles[top : top + free.shape[0], left : left + free.shape[1]][free] = FREE
    return tiles
