"""Ways through grids of free cells, from each cell to its four neighbours, and through any graph, breadth first.

    distances        the steps from a cell to all others of a grid
    largest          the largest region of a grid
    breach           a way between two cells that crosses the fewest walls
    corridors        what the cells of a grid are: dead ends, passages, junctions
    steps_to         the steps from each node of a graph to the nearest of some

Cells are numbered row by row, and every cell is looked at a bounded number of times.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def _neighbour(cell, side, rows, columns):
    """The cell above, to the right, below or to the left; -1 if that is outside."""
    if side == 0:
        return cell - columns if cell >= columns else -1
    if side == 1:
        return cell + 1 if (cell + 1) % columns else -1
    if side == 2:
        return cell + columns if cell < (rows - 1) * columns else -1
    return cell - 1 if cell % columns else -1


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(free, rows, columns, source, distance, queue):
    """Write the steps from ``source`` into ``distance``, -1 where not known; returns how many cells were queued."""
    distance[source] = 0
    queue[0] = source
    size, done = 1, 0
    while done < size:
        cell = int(queue[done])
        done += 1
        for side in range(4):
            to = _neighbour(cell, side, rows, columns)
            if to >= 0 and free[to] and distance[to] < 0:
                distance[to] = distance[cell] + 1
                queue[size] = to
                size += 1
    return size


@njit(cache=True, nogil=True, error_model="numpy")
def distances(free, rows, columns, source):
    """int32 [cells]: the steps from a free cell to each other, -1 where there is no way."""
    distance = np.full(free.size, -1, np.int32)
    _spread(free, rows, columns, source, distance, np.empty(free.size, np.int32))
    return distance


@njit(cache=True, nogil=True, error_model="numpy")
def largest(free, rows, columns):
    """bool [cells]: the largest region of free cells, the first of several as large; all False if none is free."""
    region = np.full(free.size, -1, np.int32)
    queue = np.empty(free.size, np.int32)
    best, best_size = -1, 0
    for first in range(free.size):
        if free[first] and region[first] < 0:
            size = _spread(free, rows, columns, first, region, queue)
            for i in range(size):
                region[queue[i]] = first
            if size > best_size:
                best, best_size = first, size
    found = np.zeros(free.size, np.bool_)
    for cell in range(free.size):
        found[cell] = best >= 0 and region[cell] == best
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def breach(free, rows, columns, source, target):
    """Free the cells of a way from source to target that crosses the fewest walls, in place; returns their number.

    Cells are taken in the order of the walls on the way to them (Dijkstra's algorithm with steps that cost 0 or 1, so
    that two queues do): those of the queue at hand have the same number, walls beside them wait for the next.
    """
    came = np.full(free.size, -1, np.int32)  # the cell before, on the way from the source
    queue = np.empty(free.size, np.int32)
    walls = np.empty(free.size, np.int32)
    came[source] = source
    queue[0] = source
    size, waiting = 1, 0
    while came[target] < 0:
        done = 0
        while done < size:
            cell = int(queue[done])
            done += 1
            for side in range(4):
                to = _neighbour(cell, side, rows, columns)
                if to >= 0 and came[to] < 0:
                    came[to] = cell
                    if free[to]:
                        queue[size] = to
                        size += 1
                    else:
                        walls[waiting] = to
                        waiting += 1
        queue, walls = walls, queue
        size, waiting = waiting, 0
    opened = 0
    cell = target
    while True:
        if not free[cell]:
            free[cell] = True
            opened += 1
        if cell == source:
            return opened
        cell = int(came[cell])


@njit(cache=True, nogil=True, error_model="numpy")
def corridors(free, rows, columns):
    """(dead ends, junctions, cells of the longest passage) of a grid of free cells.

    By their free neighbours cells are dead ends (one), passages (two) or junctions (three or four).
    """
    passage = np.zeros(free.size, np.bool_)
    ends, junctions = 0, 0
    for cell in range(free.size):
        if free[cell]:
            ways = 0
            for side in range(4):
                to = _neighbour(cell, side, rows, columns)
                ways += to >= 0 and free[to]
            ends += ways == 1
            junctions += ways > 2
            passage[cell] = ways == 2
    longest = 0
    distance = np.full(free.size, -1, np.int32)
    queue = np.empty(free.size, np.int32)
    for cell in range(free.size):
        if passage[cell] and distance[cell] < 0:
            longest = max(longest, _spread(passage, rows, columns, cell, distance, queue))
    return ends, junctions, longest


@njit(cache=True, nogil=True, error_model="numpy")
def steps_to(offsets, before, targets):
    """int64 [nodes]: the fewest steps from each node to one of ``targets``, -1 where there is no way.

    before[offsets[n] : offsets[n + 1]] are the nodes from which a step leads to n.
    """
    distance = np.full(offsets.size - 1, -1, np.int64)
    queue = np.empty(offsets.size - 1, np.int64)
    size, done = 0, 0
    for node in targets:
        if distance[node] < 0:
            distance[node] = 0
            queue[size] = node
            size += 1
    while done < size:
        node = int(queue[done])
        done += 1
        for i in range(offsets[node], offsets[node + 1]):
            if distance[before[i]] < 0:
                distance[before[i]] = distance[node] + 1
                queue[size] = before[i]
                size += 1
    return distance
