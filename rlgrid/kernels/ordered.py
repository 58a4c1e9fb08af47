"""In-place sweeps over the cells of a grid in the order of their distance to where values come from.

    open_moves  which directions lead out of each cell
    lay_out     the cells from which a source can be reached, breadth first backwards along the moves, level by level
    connect     for each of them, renumbered in that order, where every direction leads and which reward it earns
    march       sweeps over a window of levels that moves away from the sources as the levels behind it settle
    sweep       one sweep over a range of the cells

The value of a cell hangs on the cells nearer to a source, where the agent means to go, and a little on farther ones,
into which it may slip. Sweeps over all cells in this order carry the error of the far ones along: an error that is
the same all over shrinks only by p_back gamma / (1 - p_on gamma) a sweep, although what a cell feels of the errors
ahead falls geometrically with their distance. In a window that follows the settled front there are right values on
one side, and an error has left on the other after a few sweeps. So a cell is swept some 20 times in all where sweeps
over all cells take hundreds.

Cells are renumbered 1 .. L, so that a sweep reads memory in order; number 0 is the end of the episode, worth 0.
"""

import math

import numpy as np
from numba import njit

NEARLY = 10.0  # times what settles a level is what the next one may still change by
SEEN = 15  # the bit of a cell's moves that says that it has a number


@njit(cache=True, nogil=True, error_model="numpy")
def open_moves(height, width, tiles, wall, closed, rows, columns, first, last, moves):
    """For rows first .. last - 1 the directions that lead straight to another cell, as bits.

    They are written into moves [guard + S + guard]; the guard of width + 1 cells on both ends stays 0. ``wall`` [K] is
    what cannot be entered, ``closed`` [K] what cannot be left (walls, terminals, tiles that send every action to one
    cell).
    """
    guard = width + 1
    for row in range(first, last):
        for column in range(width):
            s = row * width + column
            bits = 0
            if not closed[tiles[s]]:
                for d in range(rows.size):
                    to_row = row + rows[d]
                    to_column = column + columns[d]
                    if 0 <= to_row < height and 0 <= to_column < width:
                        to = to_row * width + to_column
                        if to != s and not wall[tiles[to]]:
                            bits |= 1 << d
            moves[guard + s] = bits


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _expand(t, guard, shift, moves, order, number, tail):
    """Number the cells without one from which a single move leads to t."""
    for d in range(shift.size):
        s = t - shift[d]
        bits = moves[guard + s]
        if (bits >> d) & 1 and not (bits >> SEEN) & 1:
            moves[guard + s] = bits | (1 << SEEN)
            order[tail] = s
            number[s] = tail
            tail += 1
    return tail


@njit(cache=True, nogil=True, error_model="numpy")
def lay_out(width, tiles, teleports, enter_to, leave_to, shift, seeds, delays, moves, order, number):
    """Breadth-first order of the cells from which a seed can be reached.

    Args:
        teleports: int64, the kinds of tile with an enter_to or a leave_to [K] (as in a grid model).
        shift: int64 [D], cell reached - cell left of each direction.
        seeds: int64 [Z], cells in ascending order of delays [Z]: the round in which each one begins to count.
        moves: uint16 [guard + S + guard] of `open_moves`; its bits SEEN are set here.
        order: int32 [S + 1], becomes the cell of each number from 1.
        number: int32 [S], 0 where there is none; becomes the number of each cell. Seeds that can be left have one.

    Returns:
        (L, starts): cells 1 .. L are numbered, and starts [levels + 1] says where each level begins.
    """
    guard = width + 1
    starts = np.empty(1024, np.int64)
    starts[0] = 1
    levels = 0
    head = 1
    tail = 1
    seed = 0
    now = 0
    while head < tail or seed < seeds.size:
        if head == tail:
            now = max(now, delays[seed])  # nothing is left before the next seed
        end = tail
        while seed < seeds.size and delays[seed] <= now:
            t = seeds[seed]
            seed += 1
            if moves[guard + t] == 0 and leave_to[tiles[t]] < 0:
                tail = _expand(t, guard, shift, moves, order, number, tail)
            elif number[t] == 0:
                moves[guard + t] |= 1 << SEEN
                order[tail] = t
                number[t] = tail
                tail += 1
        for i in range(head, end):
            t = order[i]
            if teleports.size == 0 or enter_to[tiles[t]] < 0 or enter_to[tiles[t]] == t:
                tail = _expand(t, guard, shift, moves, order, number, tail)
            for j in range(teleports.size):
                kind = teleports[j]
                if enter_to[kind] == t or leave_to[kind] == t:
                    for s in range(tiles.size):
                        if tiles[s] == kind and enter_to[kind] == t:
                            tail = _expand(s, guard, shift, moves, order, number, tail)
                        if tiles[s] == kind and leave_to[kind] == t and number[s] == 0:
                            moves[guard + s] |= 1 << SEEN
                            order[tail] = s
                            number[s] = tail
                            tail += 1
        head = end
        now += 1
        if tail > head:
            levels += 1
            if levels == starts.size:
                longer = np.empty(2 * starts.size, np.int64)
                for i in range(starts.size):
                    longer[i] = starts[i]
                starts = longer
            starts[levels] = tail
    return tail - 1, starts[: levels + 1].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def number_rest(tiles, absorbing, order, number, tail):
    """Number the cells that no seed can be reached from, behind the others, by index; returns the new L."""
    for s in range(tiles.size):
        if number[s] == 0 and not absorbing[tiles[s]]:
            order[tail] = s
            number[s] = tail
            tail += 1
    return tail - 1


@njit(cache=True, nogil=True, error_model="numpy")
def connect(
    height,
    width,
    tiles,
    wall,
    terminal,
    enter_to,
    leave_to,
    rows,
    columns,
    moves,
    code_of,
    order,
    number,
    first,
    last,
    to,
    code,
):
    """For the cells numbered first .. last - 1, where each direction leads, and the code of its reward.

    Args:
        rows, columns: int64 [D] of each direction; a diagonal one slides along the edge of the grid.
        code_of: [K, K + 2], the code of the reward of a step from a kind of tile to another, of a bump (K) and of
            staying (K + 1); [0, 0] if all rewards are the same.
        to: int32 [L + 1, D], becomes the number of the cell, 0 for the end. code: uint8 or uint16 [L + 1, D] or [0, 0].
    """
    bump = terminal.size
    stay = terminal.size + 1
    guard = width + 1
    for i in range(first, last):
        s = order[i]
        kind = tiles[s]
        bits = moves[guard + s]
        for d in range(rows.size):
            t = s
            column = bump
            if leave_to[kind] >= 0:
                t = leave_to[kind]
                column = tiles[t] if t != s else stay
            elif rows[d] == 0 and columns[d] == 0:
                column = stay
            else:
                if (bits >> d) & 1:
                    t = s + rows[d] * width + columns[d]
                elif rows[d] != 0 and columns[d] != 0:
                    row = s // width
                    to_row = min(max(row + rows[d], 0), height - 1)
                    to_column = min(max(s - row * width + columns[d], 0), width - 1)
                    if not wall[tiles[to_row * width + to_column]]:
                        t = to_row * width + to_column
                if t != s:
                    column = tiles[t]
                    if enter_to[tiles[t]] >= 0:
                        t = enter_to[tiles[t]]
            to[i, d] = 0 if terminal[tiles[t]] else number[t]
            if code_of.size > 0:
                code[i, d] = code_of[kind, column]


# --- sweeps ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_compass(to, code, rewards, slips, slip_of, gamma, v, first, last):
    """One sweep in place over cells first .. last - 1 with the actions up, right, down and left.

    Returns the least and the greatest change, or 0.

    Args:
        to, code: [L + 1, 4] of `connect`, directions clockwise. rewards: float64 by code; [0] alone without codes.
        slips: float64 [C, 4], the probabilities of going forward, left, right and back.
        slip_of: uint8 [L + 1], which of them a cell has; [0] if all have the first.
    """
    low = 0.0
    high = 0.0
    forward, left, right, back = slips[0, 0], slips[0, 1], slips[0, 2], slips[0, 3]
    r = rewards[0]
    for i in range(first, last):
        if code.size > 0:
            up = rewards[code[i, 0]] + gamma * v[to[i, 0]]
            east = rewards[code[i, 1]] + gamma * v[to[i, 1]]
            down = rewards[code[i, 2]] + gamma * v[to[i, 2]]
            west = rewards[code[i, 3]] + gamma * v[to[i, 3]]
        else:
            up = r + gamma * v[to[i, 0]]
            east = r + gamma * v[to[i, 1]]
            down = r + gamma * v[to[i, 2]]
            west = r + gamma * v[to[i, 3]]
        if slip_of.size > 0:
            c = slip_of[i]
            forward, left, right, back = slips[c, 0], slips[c, 1], slips[c, 2], slips[c, 3]
        best = forward * up + left * west + right * east + back * down
        best = max(best, forward * east + left * up + right * down + back * west)
        best = max(best, forward * down + left * east + right * west + back * up)
        best = max(best, forward * west + left * down + right * up + back * east)
        change = best - v[i]
        low = min(low, change)
        high = max(high, change)
        v[i] = best
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_any(to, code, rewards, slips, slip_of, direction, worth, gamma, v, first, last):
    """The same for any actions: slips [C, A, N] are the probabilities of direction [A, N]; worth [D] is room."""
    low = 0.0
    high = 0.0
    for i in range(first, last):
        for d in range(to.shape[1]):
            worth[d] = rewards[code[i, d] if code.size > 0 else 0] + gamma * v[to[i, d]]
        c = slip_of[i] if slip_of.size > 0 else 0
        best = -math.inf
        for a in range(direction.shape[0]):
            total = 0.0
            for n in range(direction.shape[1]):
                total += slips[c, a, n] * worth[direction[a, n]]
            best = max(best, total)
        change = best - v[i]
        low = min(low, change)
        high = max(high, change)
        v[i] = best
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def guess(to, code, rewards, gamma, patience, loss, v, first, last):
    """Values of cells seen for the first time: of the best move to a cell known before, ``patience`` steps late."""
    discount = gamma**patience
    for i in range(first, last):
        best = -math.inf
        for d in range(to.shape[1]):
            if to[i, d] < i:
                best = max(best, rewards[code[i, d] if code.size > 0 else 0] + gamma * v[to[i, d]])
        if best > -math.inf:
            v[i] = loss + discount * best


@njit(cache=True, nogil=True, error_model="numpy")
def march(
    to,
    code,
    rewards,
    compass_slips,
    slips,
    slip_of,
    direction,
    gamma,
    patience,
    loss,
    starts,
    settled,
    window,
    changes,
    budget,
    v,
):
    """Sweeps over a window of levels, one level more each time, until about ``budget`` cells were swept or all settled.

    Args:
        compass_slips: float64 [C, 4] for `sweep_compass`, or [0, 4] for `sweep_any`.
        patience, loss: of `guess`; no values are guessed where patience is negative.
        starts: int64 [levels + 1]. settled: the window leaves its first level once no value of it changes by more.
        window: int64 [2], the first level in the window and the one behind the last; moved on here.
        changes: float64 [levels], the greatest change of each level in its last sweep.

    Returns:
        (cells swept, spread of the changes): the latter max(0, greatest) + max(0, -least) of the last pass.
    """
    levels = starts.size - 1
    worth = np.empty(to.shape[1])
    swept = 0
    spread = 0.0
    while window[0] < levels and swept < budget:
        if window[1] < levels:
            first, last = starts[window[1]], starts[window[1] + 1]
            if patience >= 0.0:
                guess(to, code, rewards, gamma, patience, loss, v, first, last)
            window[1] += 1
        low = 0.0
        high = 0.0
        for level in range(window[0], window[1]):
            first, last = starts[level], starts[level + 1]
            if compass_slips.shape[0] > 0:
                fall, rise = sweep_compass(to, code, rewards, compass_slips, slip_of, gamma, v, first, last)
            else:
                fall, rise = sweep_any(to, code, rewards, slips, slip_of, direction, worth, gamma, v, first, last)
            changes[level] = max(rise, -fall)
            low = min(low, fall)
            high = max(high, rise)
        swept += starts[window[1]] - starts[window[0]]
        spread = high - low
        while window[0] < window[1] and changes[window[0]] <= settled:
            # The next level has been swept since, and what it moved by must not move this one again.
            if window[0] + 1 < levels and not changes[window[0] + 1] <= NEARLY * settled:
                break
            window[0] += 1
    return swept, spread


@njit(cache=True, nogil=True, error_model="numpy")
def gather(order, values, first, last, v):
    """v[i] = values of the cell numbered i."""
    for i in range(first, last):
        v[i] = values[order[i]]


@njit(cache=True, nogil=True, error_model="numpy")
def scatter(order, v, first, last, values):
    """The values of the cells numbered first .. last - 1."""
    for i in range(first, last):
        values[order[i]] = v[i]
