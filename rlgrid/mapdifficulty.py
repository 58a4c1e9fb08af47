"""How hard a map is: how far the goal is, what the optimum is worth, and what the ways look like.

Cells are free where they are neither a wall nor a pit (a terminal cell that is no goal). Goals are the terminal cells
that are not drawn as a pit and whose entry costs nothing; where there are none, all terminal cells. Neighbours of a
cell are the four beside it, whatever the moves. By its free neighbours a free cell is a dead end (one), part of a
passage (two) or a junction (three or four). These are the measures by which Buck, Mazes for Programmers (2015), and
Pullen, "Think Labyrinth" (astrolog.org), describe mazes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlgrid.gridmap import GridSpec
from rlgrid.gridmodel import GridModel
from rlgrid.reach import steps
from rlgrid.solvers import solve

__all__ = ["Difficulty", "difficulty"]


class Difficulty(NamedTuple):
    """The measures of `difficulty`. What is said of the start is, for several, the mean over their distribution."""

    shortest_path: float  # the fewest steps from the start to a goal; inf where no goal can be reached
    value: float  # V* of the start
    value_error: float  # proven: |value - V*| is at most this
    dead_ends: int  # free cells with one free neighbour
    dead_end_share: float  # of the free cells
    junctions: int  # free cells with three or four free neighbours
    river: int  # cells of the longest passage: joined cells with two free neighbours each, bends included
    free_share: float  # of all cells


def difficulty(world: GridModel | GridSpec, gamma: float | None = None, *, tolerance: float = 1e-9) -> Difficulty:
    """How hard a map is; the module's text says what is counted.

    Args:
        world: a GridModel, or the GridSpec of one.
        gamma: the discount factor of V*; the world's if None.
        tolerance: the error of V* that `rlgrid.solve` is to prove.

    The shortest path counts a step wherever some action makes it with a positive probability (slips, winds and
    teleports included): without them it is how many steps the goal is away.

    Raises:
        TypeError: if the world is neither.
        ValueError: as `rlgrid.solve` does.
    """
    from rlgrid.kernels import flood

    model = world.compile() if isinstance(world, GridSpec) else world
    if not isinstance(model, GridModel):
        raise TypeError(f"difficulty measures a GridModel or a GridSpec, not {type(model).__name__}")
    kinds = model.tiles.ravel()
    ends = np.array([kind.terminal and not kind.wall for kind in model.kinds])
    good = ends & [kind.glyph != "pit" and kind.enter_reward + (kind.step_reward or 0.0) >= 0 for kind in model.kinds]
    if not good.any():
        good = ends
    closed = (ends & ~good) | [kind.wall for kind in model.kinds]
    free = ~closed[kinds]
    dead_ends, junctions, river = flood.corridors(free, *model.shape)

    origin, to = steps(model)
    order = np.argsort(to, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(to, minlength=model.num_states))])
    away = flood.steps_to(offsets, origin[order].astype(np.int64), np.flatnonzero(good[kinds]))[model.start_states]
    weight = model.start_probability / model.start_probability.sum()

    solution = solve(model, gamma, tolerance=tolerance)
    values = solution.values[model.start_states]
    error = solution.error_bound
    if values.size > 1:  # the mean of n numbers is off by n roundings of the largest at most
        error += 2.0 * values.size * np.finfo(np.float64).eps * float(np.abs(values).max())
    count = int(np.count_nonzero(free))
    return Difficulty(
        shortest_path=float(weight @ np.where(away < 0, np.inf, away)),
        value=float(weight @ values),
        value_error=float(error),
        dead_ends=int(dead_ends),
        dead_end_share=int(dead_ends) / max(1, count),
        junctions=int(junctions),
        river=int(river),
        free_share=count / model.num_states,
    )
