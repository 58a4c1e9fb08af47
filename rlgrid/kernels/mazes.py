"""Spanning trees of a grid of rooms: the mazes of the literature, one function each.

Rooms are numbered row * columns + column. A maze is uint8 [rooms], the doors of each room as bits: EAST to the room on
its right, SOUTH to the one below; the doors to the left and above are those rooms' own. Every function but `braid`
makes a spanning tree: from each room to each other there is one way, and rooms - 1 doors are open. All draw from one
stream of random numbers (`rlgrid.kernels.pcg64`) and work in arrays of a few bytes a room, without recursion.

Each loop either takes one more room, door or wall in each round or is a random walk on the finite, connected grid,
which ends with probability 1 (`wilson` after O(n log n) steps in the mean, `aldous_broder` after O(n log^2 n)).
"""

import numpy as np
from numba import njit

from rlgrid.kernels.pcg64 import uniform

EAST = 1
SOUTH = 2

_UP, _RIGHT, _DOWN, _LEFT = 0, 1, 2, 3
_NEVER = 4  # no direction: a room that was not entered yet
_FIRST = 5  # ... and the one where it began


@njit(cache=True, nogil=True, error_model="numpy")
def _below(stream, n):
    """A whole number from 0 to n - 1."""
    return int(uniform(stream) * n)


@njit(cache=True, nogil=True, error_model="numpy")
def _inside(cell, direction, rows, columns):
    """Whether there is a room on that side."""
    if direction == _UP:
        return cell >= columns
    if direction == _DOWN:
        return cell < (rows - 1) * columns
    column = cell % columns
    return column < columns - 1 if direction == _RIGHT else column > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _towards(cell, direction, columns):
    """The room on that side."""
    if direction == _UP:
        return cell - columns
    if direction == _RIGHT:
        return cell + 1
    if direction == _DOWN:
        return cell + columns
    return cell - 1


@njit(cache=True, nogil=True, error_model="numpy")
def _open(doors, cell, direction, columns):
    if direction == _UP:
        doors[cell - columns] |= SOUTH
    elif direction == _RIGHT:
        doors[cell] |= EAST
    elif direction == _DOWN:
        doors[cell] |= SOUTH
    else:
        doors[cell - 1] |= EAST


@njit(cache=True, nogil=True, error_model="numpy")
def _is_open(doors, cell, direction, columns):
    """Whether the door on that side, on which there is a room, is open."""
    if direction == _UP:
        return doors[cell - columns] & SOUTH != 0
    if direction == _RIGHT:
        return doors[cell] & EAST != 0
    if direction == _DOWN:
        return doors[cell] & SOUTH != 0
    return doors[cell - 1] & EAST != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _one_of(stream, sides):
    """One of the directions whose bits are set, each as likely."""
    count = (sides & 1) + (sides >> 1 & 1) + (sides >> 2 & 1) + (sides >> 3 & 1)
    nth = _below(stream, count)
    direction = 0
    while True:
        if sides >> direction & 1:
            if nth == 0:
                return direction
            nth -= 1
        direction += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _where(state, wanted, cell, rows, columns):
    """The sides, as bits, on which there is a room in this state."""
    sides = 0
    for direction in range(4):
        if _inside(cell, direction, rows, columns) and state[_towards(cell, direction, columns)] == wanted:
            sides |= 1 << direction
    return sides


@njit(cache=True, nogil=True, error_model="numpy")
def depth_first(rows, columns, stream):
    """On to a random new neighbour while there is one, else back the way that was come."""
    doors = np.zeros(rows * columns, np.uint8)
    came = np.full(rows * columns, _NEVER, np.uint8)  # the side on which the room lies from which one came
    cell = _below(stream, rows * columns)
    came[cell] = _FIRST
    while True:
        sides = _where(came, _NEVER, cell, rows, columns)
        if sides:
            direction = _one_of(stream, sides)
            _open(doors, cell, direction, columns)
            cell = _towards(cell, direction, columns)
            came[cell] = (direction + 2) % 4
        elif came[cell] == _FIRST:
            return doors
        else:
            cell = _towards(cell, came[cell], columns)


@njit(cache=True, nogil=True, error_model="numpy")
def prim(rows, columns, stream):
    """A random room of those beside the maze is joined to a random one of its neighbours in the maze."""
    outside, beside, within = 0, 1, 2
    doors = np.zeros(rows * columns, np.uint8)
    state = np.zeros(rows * columns, np.uint8)
    edge = np.empty(rows * columns, np.int32)  # the rooms beside the maze, in any order
    size = 0
    cell = _below(stream, rows * columns)
    while True:
        state[cell] = within
        for direction in range(4):
            if _inside(cell, direction, rows, columns):
                to = _towards(cell, direction, columns)
                if state[to] == outside:
                    state[to] = beside
                    edge[size] = to
                    size += 1
        if size == 0:
            return doors
        nth = _below(stream, size)
        cell = int(edge[nth])
        size -= 1
        edge[nth] = edge[size]
        _open(doors, cell, _one_of(stream, _where(state, within, cell, rows, columns)), columns)


@njit(cache=True, nogil=True, error_model="numpy")
def _root(parent, cell):
    """The room that stands for a set; the way there is halved on the way."""
    while parent[cell] != cell:
        parent[cell] = parent[parent[cell]]
        cell = parent[cell]
    return cell


@njit(cache=True, nogil=True, error_model="numpy")
def kruskal(rows, columns, stream):
    """The walls in random order, each opened where it parts two rooms that no way joins yet."""
    doors = np.zeros(rows * columns, np.uint8)
    parent = np.empty(rows * columns, np.int32)
    walls = np.empty(rows * (columns - 1) + (rows - 1) * columns, np.int32)  # 2 * room + (0 to the right, 1 below)
    size = 0
    for cell in range(rows * columns):
        parent[cell] = cell
        if cell % columns < columns - 1:
            walls[size] = 2 * cell
            size += 1
        if cell < (rows - 1) * columns:
            walls[size] = 2 * cell + 1
            size += 1
    left = rows * columns - 1
    while left:
        nth = _below(stream, size)
        size -= 1
        wall = int(walls[nth])
        walls[nth] = walls[size]
        cell, south = wall >> 1, wall & 1
        a, b = _root(parent, cell), _root(parent, cell + columns if south else cell + 1)
        if a != b:
            parent[a] = b
            doors[cell] |= SOUTH if south else EAST
            left -= 1
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def wilson(rows, columns, stream):
    """From each room in turn a random walk to the maze; its last ways out of the rooms, loops erased, are opened."""
    doors = np.zeros(rows * columns, np.uint8)
    within = np.zeros(rows * columns, np.bool_)
    last = np.zeros(rows * columns, np.uint8)  # the direction in which the walk left a room last
    within[_below(stream, rows * columns)] = True
    for first in range(rows * columns):
        cell = first
        while not within[cell]:
            direction = _below(stream, 4)
            if _inside(cell, direction, rows, columns):
                last[cell] = direction
                cell = _towards(cell, direction, columns)
        cell = first
        while not within[cell]:
            within[cell] = True
            _open(doors, cell, last[cell], columns)
            cell = _towards(cell, last[cell], columns)
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def aldous_broder(rows, columns, stream):
    """A random walk until all rooms were seen; the door by which a room was entered first is opened."""
    doors = np.zeros(rows * columns, np.uint8)
    seen = np.zeros(rows * columns, np.bool_)
    cell = _below(stream, rows * columns)
    seen[cell] = True
    left = rows * columns - 1
    while left:
        direction = _below(stream, 4)
        if _inside(cell, direction, rows, columns):
            to = _towards(cell, direction, columns)
            if not seen[to]:
                seen[to] = True
                _open(doors, cell, direction, columns)
                left -= 1
            cell = to
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def hunt_and_kill(rows, columns, stream):
    """A walk over new rooms; at its end the next begins in the first room left, joined to a neighbour in the maze.

    It begins in room 0, so that the first room left always has such a neighbour: the one before it or the one above.
    """
    doors = np.zeros(rows * columns, np.uint8)
    seen = np.zeros(rows * columns, np.bool_)
    for first in range(rows * columns):
        if seen[first]:
            continue
        if first:
            _open(doors, first, _one_of(stream, _where(seen, True, first, rows, columns)), columns)
        cell = first
        seen[cell] = True
        sides = _where(seen, False, cell, rows, columns)
        while sides:
            direction = _one_of(stream, sides)
            _open(doors, cell, direction, columns)
            cell = _towards(cell, direction, columns)
            seen[cell] = True
            sides = _where(seen, False, cell, rows, columns)
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def eller(rows, columns, stream):
    """Row by row: neighbours of different sets are joined at random, and each set goes down at one place or more.

    A set is known by one of its columns.
    """
    doors = np.zeros(rows * columns, np.uint8)
    parent = np.empty(columns, np.int64)
    carried = np.empty(columns, np.int64)  # for a set: the first column in which it goes down
    members = np.empty(columns, np.int64)  # for a set: its columns so far
    chosen = np.empty(columns, np.int64)  # for a set: the column that goes down whatever happens
    for c in range(columns):
        parent[c] = c
    for row in range(rows):
        first = row * columns
        for c in range(columns - 1):
            a, b = _root(parent, c), _root(parent, c + 1)
            if a != b and (row == rows - 1 or uniform(stream) < 0.5):
                parent[a] = b
                doors[first + c] |= EAST
        if row == rows - 1:
            return doors
        for c in range(columns):  # not by slices, which take seconds to compile
            members[c] = 0
            carried[c] = -1
        for c in range(columns):
            a = _root(parent, c)
            members[a] += 1
            if _below(stream, members[a]) == 0:  # so each column of a set is chosen as likely
                chosen[a] = c
        for c in range(columns):
            a = _root(parent, c)
            if chosen[a] == c or uniform(stream) < 0.5:
                doors[first + c] |= SOUTH
                if carried[a] < 0:
                    carried[a] = c
        for c in range(columns):
            members[c] = carried[_root(parent, c)] if doors[first + c] & SOUTH else c
        for c in range(columns):
            parent[c] = members[c]
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def recursive_division(rows, columns, stream):
    """An open hall, halved by walls with one door each until every chamber is one room wide."""
    doors = np.zeros(rows * columns, np.uint8)
    for r in range(rows):
        for c in range(columns):
            doors[r * columns + c] = (EAST if c < columns - 1 else 0) | (SOUTH if r < rows - 1 else 0)
    # One of two halves waits while the other is divided, so that at most one waits for each cut around a chamber.
    waiting = np.empty((rows + columns, 4), np.int64)  # row, column, height, width
    waiting[0] = np.array([0, 0, rows, columns])
    size = 1
    while size:
        size -= 1
        top, left, height, width = waiting[size]
        if height < 2 or width < 2:
            continue
        if width < height or (width == height and uniform(stream) < 0.5):
            cut = 1 + _below(stream, height - 1)
            gap = _below(stream, width)
            for c in range(width):
                if c != gap:
                    doors[(top + cut - 1) * columns + left + c] &= EAST
            waiting[size] = np.array([top, left, cut, width])
            waiting[size + 1] = np.array([top + cut, left, height - cut, width])
        else:
            cut = 1 + _below(stream, width - 1)
            gap = _below(stream, height)
            for r in range(height):
                if r != gap:
                    doors[(top + r) * columns + left + cut - 1] &= SOUTH
            waiting[size] = np.array([top, left, height, cut])
            waiting[size + 1] = np.array([top, left + cut, height, width - cut])
        size += 2
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def binary_tree(rows, columns, stream):
    """Each room opens its door above or to the left, by the toss of a coin."""
    doors = np.zeros(rows * columns, np.uint8)
    for r in range(rows):
        for c in range(columns):
            if r and (c == 0 or uniform(stream) < 0.5):
                doors[(r - 1) * columns + c] |= SOUTH
            elif c:
                doors[r * columns + c - 1] |= EAST
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def sidewinder(rows, columns, stream):
    """Runs of rooms to the right, ended by the toss of a coin; one room of each run opens its door above."""
    doors = np.zeros(rows * columns, np.uint8)
    for r in range(rows):
        begun = 0
        for c in range(columns):
            if c < columns - 1 and (r == 0 or uniform(stream) < 0.5):
                doors[r * columns + c] |= EAST
            elif r:
                doors[(r - 1) * columns + begun + _below(stream, c + 1 - begun)] |= SOUTH
                begun = c + 1
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def growing_tree(rows, columns, newest, stream):
    """From the newest room of the maze (with probability ``newest``) or from any, on to a random new neighbour.

    Rooms without a new neighbour are struck from the list; it is made anew when half of it is struck.
    """
    doors = np.zeros(rows * columns, np.uint8)
    seen = np.zeros(rows * columns, np.bool_)
    rooms = np.empty(2 * rows * columns, np.int32)  # in the order in which they came; -1: struck
    cell = _below(stream, rows * columns)
    seen[cell] = True
    rooms[0] = cell
    size, alive = 1, 1
    while alive:
        if 2 * alive < size:
            kept = 0
            for i in range(size):
                if rooms[i] >= 0:
                    rooms[kept] = rooms[i]
                    kept += 1
            size = kept
        if uniform(stream) < newest:
            while rooms[size - 1] < 0:
                size -= 1
            nth = size - 1
        else:
            nth = _below(stream, size)
            while rooms[nth] < 0:
                nth = _below(stream, size)
        cell = int(rooms[nth])
        sides = _where(seen, False, cell, rows, columns)
        if sides:
            direction = _one_of(stream, sides)
            _open(doors, cell, direction, columns)
            to = _towards(cell, direction, columns)
            seen[to] = True
            rooms[size] = to
            size += 1
            alive += 1
        else:
            rooms[nth] = -1
            alive -= 1
    return doors


@njit(cache=True, nogil=True, error_model="numpy")
def _ways(doors, cell, rows, columns):
    """The sides, as bits, on which the door is open."""
    sides = 0
    for direction in range(4):
        if _inside(cell, direction, rows, columns) and _is_open(doors, cell, direction, columns):
            sides |= 1 << direction
    return sides


@njit(cache=True, nogil=True, error_model="numpy")
def _is_end(sides):
    """Whether one side of four is open, or none."""
    return sides & (sides - 1) == 0


@njit(cache=True, nogil=True, error_model="numpy")
def braid(doors, rows, columns, share, stream):
    """Open a second door in a share of the dead ends, in place; into another dead end where there is one beside.

    A door between two of them ends both. Dead ends of a single row or column of rooms have no wall to open.
    """
    ends = np.empty(rows * columns, np.int32)
    size = 0
    for cell in range(rows * columns):
        if _is_end(_ways(doors, cell, rows, columns)):
            ends[size] = cell
            size += 1
    left = int(share * size + 0.5)
    while size and left > 0:
        nth = _below(stream, size)
        size -= 1
        cell = int(ends[nth])
        ends[nth] = ends[size]
        sides = _ways(doors, cell, rows, columns)
        if not _is_end(sides):
            continue
        closed, best = 0, 0
        for direction in range(4):
            if _inside(cell, direction, rows, columns) and not sides >> direction & 1:
                closed |= 1 << direction
                if _is_end(_ways(doors, _towards(cell, direction, columns), rows, columns)):
                    best |= 1 << direction
        if closed:
            _open(doors, cell, _one_of(stream, best if best else closed), columns)
            left -= 2 if best else 1
