"""Mazes: rooms two cells apart, joined by opening some of the walls between them.

A maze of H x W cells has its rooms in every other row and column, from the first on; with a border from the second on,
and every cell on the edge of the map is a wall. Where a height or width is even, one row or column of walls is left
over at its end. The edge of a map holds the agent as a wall does, so that a border is a matter of looks.

Each function makes a *perfect* maze: the free cells form a tree, with one way from each to each other (their number
is one more than that of the neighbouring pairs). Options of all of them:

    braid    the share of the dead ends that get a second way out, so that ways form loops; 1: no dead end is left
             (but where the rooms form a single row). Pullen, "Think Labyrinth" (astrolog.org), calls such mazes braid.
    loops    the probability with which each wall that is left between two rooms is opened
    border   whether there are walls all around; heights (widths) below `BORDER_FROM` have none above (beside) them

"Buck" is J. Buck, Mazes for Programmers (Pragmatic Bookshelf, 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlgrid.mapoptions import FREE, WALL, Random, Tiles, flag, margin, share

EAST, SOUTH = 1, 2  # the bits of `rlgrid.kernels.mazes`


def depth_first(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Depth-first search with random choices (recursive backtracker): long winding corridors, few dead ends.

    About a tenth of the rooms are dead ends. Source: Buck, "The Recursive Backtracker Algorithm"; the search itself is
    that of Tarjan, SIAM Journal on Computing 1 (1972).
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.depth_first, height, width, random, braid, loops, border)


def prim(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Prim's algorithm, simplified: many short dead ends, ways that lead out from one room in nearly straight lines.

    Instead of the cheapest wall around the maze, a random room beside the maze is joined to a random neighbour in it.
    Source: Prim, Bell System Technical Journal 36 (1957); Buck, "Simplified Prim's Algorithm".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.prim, height, width, random, braid, loops, border)


def kruskal(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Kruskal's algorithm with random costs of the walls: the random minimum spanning tree, many short dead ends.

    Its distribution is not the uniform one. Source: Kruskal, Proceedings of the AMS 7 (1956); Buck, "Kruskal's
    Algorithm".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.kruskal, height, width, random, braid, loops, border)


def wilson(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Wilson's algorithm, loop-erased random walks: every maze is as likely (the uniform spanning tree).

    No direction is preferred, and ways are winding at all scales. Source: Wilson, "Generating random spanning trees
    more quickly than the cover time", STOC (1996).
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.wilson, height, width, random, braid, loops, border)


def aldous_broder(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """The first entrances of a random walk: every maze is as likely, as with `wilson`, at several times its work.

    Source: Aldous, SIAM Journal on Discrete Mathematics 3 (1990); Broder, "Generating random spanning trees", FOCS
    (1989).
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.aldous_broder, height, width, random, braid, loops, border)


def hunt_and_kill(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Random walks over new rooms, each begun beside the maze: long corridors, as with `depth_first`.

    A walk that is stuck ends, and the next begins in the first room left in reading order. Source: Buck, "The
    Hunt-and-Kill Algorithm".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.hunt_and_kill, height, width, random, braid, loops, border)


def eller(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Eller's algorithm, row by row: ways run along the rows, the last of which joins all that was left apart.

    Source: M. Eller (1982), unpublished; Buck, "Eller's Algorithm".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.eller, height, width, random, braid, loops, border)


def recursive_division(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """A hall divided by walls with one door each, again and again: long straight walls and bottlenecks.

    The longer side of a chamber is divided, at a random place, with the door at a random place. Source: Buck,
    "Recursive Division".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.recursive_division, height, width, random, braid, loops, border)


def binary_tree(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Each room opens upwards or to the left: diagonal ways, and two corridors along the upper and the left edge.

    From every room the way to the upper left corner never turns down or right. Source: Buck, "The Binary Tree
    Algorithm".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.binary_tree, height, width, random, braid, loops, border)


def sidewinder(
    height: int, width: int, random: Random, *, braid: float = 0.0, loops: float = 0.0, border: bool = True
) -> Tiles:
    """Runs along each row, each with one door up: a corridor along the upper edge, ways that never turn down to it.

    Source: Buck, "The Sidewinder Algorithm".
    """
    from rlgrid.kernels import mazes

    return _maze(mazes.sidewinder, height, width, random, braid, loops, border)


def growing_tree(
    height: int,
    width: int,
    random: Random,
    *,
    newest: float = 0.5,
    braid: float = 0.0,
    loops: float = 0.0,
    border: bool = True,
) -> Tiles:
    """A tree that grows from its newest room with probability ``newest``, else from any of them.

    1 is `depth_first`, 0 has the texture of `prim`, and what is between mixes long corridors with short dead ends.
    Source: Buck, "The Growing Tree Algorithm"; Pullen, "Think Labyrinth" (astrolog.org).
    """
    from rlgrid.kernels import mazes

    chance = share("newest", newest)

    def tree(rows: int, columns: int, stream: Any) -> Any:
        return mazes.growing_tree(rows, columns, chance, stream)

    return _maze(tree, height, width, random, braid, loops, border)


def braided(
    height: int,
    width: int,
    random: Random,
    *,
    algorithm: str = "depth_first",
    braid: float = 1.0,
    loops: float = 0.0,
    border: bool = True,
) -> Tiles:
    """A maze of another algorithm whose dead ends, or a share of them, got a second way out: loops, and no dead ends.

    A dead end is joined to another where there is one beside it. Source: Pullen, "Think Labyrinth" (astrolog.org);
    Buck, "Braiding Mazes".
    """
    if algorithm not in tuple(PERFECT):
        raise ValueError(f"algorithm must be one of {', '.join(PERFECT)}, not {algorithm!r}")
    return PERFECT[algorithm](height, width, random, braid=braid, loops=loops, border=border)


PERFECT: dict[str, Callable[..., Tiles]] = {
    make.__name__: make
    for make in (
        depth_first,
        prim,
        kruskal,
        wilson,
        aldous_broder,
        hunt_and_kill,
        eller,
        recursive_division,
        binary_tree,
        sidewinder,
        growing_tree,
    )
}
"""The algorithms of perfect mazes by name."""


def _maze(tree: Any, height: int, width: int, random: Random, braid: float, loops: float, border: bool) -> Tiles:
    """The cells of a maze whose doors ``tree(rows, columns, stream)`` opens, some more of them opened."""
    from rlgrid.kernels import mazes

    braid, loops, border = share("braid", braid), share("loops", loops), flag("border", border)
    top, left = margin(height, border), margin(width, border)
    rows, columns = (height - 2 * top + 1) // 2, (width - 2 * left + 1) // 2
    doors = tree(rows, columns, random.stream)
    if loops:
        grid = doors.reshape(rows, columns)
        grid[:, :-1] |= np.where(random.generator.random((rows, columns - 1)) < loops, EAST, 0).astype(np.uint8)
        grid[:-1] |= np.where(random.generator.random((rows - 1, columns)) < loops, SOUTH, 0).astype(np.uint8)
    if braid:
        mazes.braid(doors, rows, columns, braid, random.stream)
    grid = doors.reshape(rows, columns)
    tiles = np.full((height, width), WALL, np.uint8)
    inner = tiles[top : top + 2 * rows - 1, left : left + 2 * columns - 1]
    inner[::2, ::2] = FREE
    inner[::2, 1::2] = np.where(grid[:, :-1] & EAST, FREE, WALL)
    inner[1::2, ::2] = np.where(grid[:-1] & SOUTH, FREE, WALL)
    return tiles
