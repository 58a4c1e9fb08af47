"""Which cells of a grid can be reached: every outcome of positive probability counts, under any action.

`steps` lists the pairs of different cells between which some action can carry the agent, by the dynamics that
`rlgrid.gridmodel` describes, for all cells at once; no table of probabilities is made and nothing is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.gridmodel import MOVES, GridModel

Cells = NDArray[np.signedinteger[Any]]

_SMALL = 4096  # up to so many cells a loop is over before SciPy is imported


def steps(model: GridModel, thin_walls: NDArray[np.uint8] | None = None) -> tuple[Cells, Cells]:
    """(from, to), integers [E] each: the steps that lead from a cell to another; a step may be listed twice.

    ``thin_walls`` are those of `GridModel.to_mdp`.
    """
    height, width = model.shape
    kinds = model.tiles.ravel()
    states = np.arange(model.num_states, dtype=np.int32 if model.num_states < 2**30 else np.int64)
    row, column = np.divmod(states, width)
    fixed = np.array([k.wall or k.terminal or k.leave_to is not None for k in model.kinds])
    names = list(dict.fromkeys((*model.actions, *MOVES)))
    possible = np.zeros((len(model.kinds), len(names)), np.bool_)
    for k, kind in enumerate(model.kinds):
        for action in model.actions:
            for number, field in model.turns(action):
                p = 1.0 if field == "stay" else getattr(kind.slip or model.slip, field)
                possible[k, number] |= p > 0 and not fixed[k]
    enter_to = np.array([-1 if k.enter_to is None else k.enter_to for k in model.kinds])
    leave_to = np.array([-1 if k.leave_to is None or k.wall or k.terminal else k.leave_to for k in model.kinds])[kinds]
    walls = np.zeros((height + 2, width + 2), np.bool_)  # with a free margin, since a step may pass over the edge
    walls[1:-1, 1:-1] = model.walls.reshape(height, width)
    led = (leave_to >= 0) & (leave_to != states)
    origins, ends = [states[led]], [leave_to[led]]
    for direction in np.flatnonzero(possible.any(axis=0)):
        here = states[possible[kinds, direction]]
        for gust, p in model.gust.items():
            if p <= 0:
                continue
            up, right = model.column_wind[column[here]], model.row_wind[row[here]]
            up, right = up + gust * (up != 0), right + gust * (right != 0)
            to = _arrive(walls, thin_walls, row[here], column[here], MOVES[names[direction]], up, right)
            moved = to != here
            from_here, to = here[moved], to[moved]
            on = enter_to[kinds[to]]
            to = np.where(on >= 0, on, to)
            origins.append(from_here[to != from_here])
            ends.append(to[to != from_here])
            if not model.column_wind.any() and not model.row_wind.any():
                break  # no gust without a wind
    return np.concatenate(origins), np.concatenate(ends)


def _arrive(walls: Any, thin: Any, row: Cells, column: Cells, move: tuple[int, int], up: Cells, right: Cells) -> Cells:
    """Where a move and the wind leave the agents that stand at (row, column)."""
    height, width = walls.shape[0] - 2, walls.shape[1] - 2
    r, c = row + move[0], column + move[1]
    blocked = walls[r + 1, c + 1]
    if thin is not None:
        blocked = blocked | _cut(thin, (height, width), row, column, r, c)
    r, c = np.where(blocked, row, r), np.where(blocked, column, c)
    for strength, (d_row, d_column) in ((up, (-1, 0)), (right, (0, 1))):
        carried = np.flatnonzero(strength)
        for n in range(int(np.abs(strength).max(initial=0))):
            carried = carried[np.abs(strength[carried]) > n]
            sign = np.sign(strength[carried])
            # Beyond the edge the wind goes on in vain: one cell outside is as good as many.
            next_r = np.clip(r[carried] + sign * d_row, -1, height)
            next_c = np.clip(c[carried] + sign * d_column, -1, width)
            free = ~walls[next_r + 1, next_c + 1] & ((next_r != r[carried]) | (next_c != c[carried]))
            if thin is not None:
                free &= ~_cut(thin, (height, width), r[carried], c[carried], next_r, next_c)
            carried = carried[free]
            r[carried], c[carried] = next_r[free], next_c[free]
    r, c = np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)
    inside_wall = walls[r + 1, c + 1]
    result: Cells = np.where(inside_wall, row, r) * width + np.where(inside_wall, column, c)
    return result


def _cut(thin: Any, shape: tuple[int, int], row: Cells, column: Cells, to_row: Cells, to_column: Cells) -> Any:
    """bool [n]: which steps between neighbours thin walls stop, as `rlgrid.kernels.model` has it."""
    padded = np.zeros((shape[0] + 2, shape[1] + 2), np.uint8)  # nothing is in the way outside
    padded[1:-1, 1:-1] = thin.reshape(shape)
    upper, left = np.minimum(row, to_row) + 1, np.minimum(column, to_column) + 1
    inside = (np.minimum(row, to_row) >= 0) & (np.maximum(row, to_row) < shape[0])
    inside &= (np.minimum(column, to_column) >= 0) & (np.maximum(column, to_column) < shape[1])
    sideways, upright = row == to_row, column == to_column
    first = (~upright & (padded[to_row + 1, left] & 1 != 0)) | (~sideways & (padded[upper, column + 1] & 2 != 0))
    second = (~upright & (padded[row + 1, left] & 1 != 0)) | (~sideways & (padded[upper, to_column + 1] & 2 != 0))
    return inside & first & second


def reached(origin: Cells, to: Cells, sources: Cells, num_states: int) -> NDArray[np.bool_]:
    """bool [S]: the sources, and every state to which steps (from, to) lead from them."""
    seen = np.zeros(num_states, np.bool_)
    if num_states > _SMALL:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order

        root = np.full(sources.size, num_states)
        heads, tails = np.concatenate([origin, root]), np.concatenate([to, sources])
        size = num_states + 1
        graph = csr_array((np.ones(heads.size, np.bool_), (heads, tails)), shape=(size, size))
        order = breadth_first_order(graph, num_states, return_predecessors=False)
        seen[order[order < num_states]] = True
        return seen
    follow: list[list[int]] = [[] for _ in range(num_states)]
    for a, b in zip(origin.tolist(), to.tolist(), strict=True):
        follow[a].append(b)
    todo = sources.tolist()
    seen[todo] = True
    while todo:
        for b in follow[todo.pop()]:
            if not seen[b]:
                seen[b] = True
                todo.append(b)
    return seen
