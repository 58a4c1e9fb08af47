"""Outcome runs out of a table {state: {action: [(probability, next state, reward, terminated), ...]}} as bytes.

Python's own `marshal` (version 2) writes such a dict several times faster than Python code takes it apart: one letter
for the type of everything, then what it is; `{` key value ... `0`, `(` or `[` with a size in front, `i` and four
bytes, `g` and the eight of a float64, `T` and `F`, lowest byte first; `s`, a size and the bytes of a buffer, which is
what numbers of NumPy are. Only tables of plain ints, floats and bools (next states may be buffers) with the actions
of each state in ascending order are read; whatever else there may be is found to be so, never guessed at.

    measure_table     where each state's row lies, how many actions and outcomes there are
    read_table        the outcomes
"""

import numpy as np
from numba import njit

DICT = ord("{")
END = ord("0")
LIST = ord("[")
TUPLE = ord("(")
INT = ord("i")
FLOAT = ord("g")
TRUE = ord("T")
FALSE = ord("F")
BUFFER = ord("s")
LONGEST = 64  # bytes, more than are read between two looks at how many are left


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _int(data, at):
    """The four bytes at a place as an int64."""
    n = np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24
    return n - (n >> 31 << 32)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _bits(data, at):
    """The eight bytes at a place as an uint64."""
    n = np.uint64(0)
    for i in range(8):
        n |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return n


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _after_number(data, at):
    """Where what follows an int or a float begins; -1 where there is neither."""
    if data[at] == FLOAT:
        return at + 9
    return at + 5 if data[at] == INT else -1


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _after_state(data, at):
    """Where what follows an int or a buffer of eight bytes begins; -1 where there is neither."""
    if data[at] == INT:
        return at + 5
    return at + 13 if data[at] == BUFFER and _int(data, at + 1) == 8 else -1


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _put_number(data, at, numbers, bits, i):
    """Write an int or a float into numbers[i], whose bits are bits[i]."""
    if data[at] == FLOAT:
        bits[i] = _bits(data, at + 1)
    else:
        numbers[i] = _int(data, at + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def measure_table(data, rows):
    """(actions, pairs, outcomes, next states that are buffers) of a table, and into rows [S] where each state begins.

    Pairs are those that are written. (-1, -1, -1, -1) for anything that is no such table.
    ``data`` has `LONGEST` bytes more than were written.
    """
    wrong = -1, -1, -1, -1
    size = data.size - LONGEST
    rows[:] = -1
    actions = 0
    pairs = 0
    outcomes = 0
    buffers = 0
    at = 1
    if data[0] != DICT:
        return wrong
    while at < size and data[at] != END:
        if data[at] != INT or data[at + 5] != DICT:
            return wrong
        s = _int(data, at + 1)
        if s < 0 or s >= rows.size or rows[s] >= 0:
            return wrong
        at += 6
        rows[s] = at
        last = -1
        while at < size and data[at] != END:
            a = _int(data, at + 1)
            if data[at] != INT or a <= last or (data[at + 5] != LIST and data[at + 5] != TUPLE):
                return wrong
            last = a
            pairs += 1
            length = _int(data, at + 6)
            at += 10
            for _ in range(length):
                if at >= size or (data[at] != TUPLE and data[at] != LIST) or _int(data, at + 1) != 4:
                    return wrong
                at = _after_number(data, at + 5)
                if at < 0:
                    return wrong
                if data[at] == BUFFER:
                    buffers += 1
                    if _bits(data, at + 5) >> np.uint64(31) != 0:  # not what a model can hold
                        return wrong
                at = _after_state(data, at)
                if at < 0:
                    return wrong
                at = _after_number(data, at)
                if at < 0 or (data[at] != TRUE and data[at] != FALSE):
                    return wrong
                at += 1
            outcomes += length
        actions = max(actions, last + 1)
        at += 1
    if at != size - 1 or (rows < 0).any():
        return wrong
    return actions, pairs, outcomes, buffers


@njit(cache=True, nogil=True, error_model="numpy")
def read_table(data, rows, num_actions, offsets, next_state, probability, reward, terminated):
    """Fill the outcomes of a table that `measure_table` found to be one."""
    probability_bits = probability.view(np.uint64)
    reward_bits = reward.view(np.uint64)
    pair = 0
    i = 0
    for s in range(rows.size):
        at = rows[s]
        while data[at] != END:
            mine = s * num_actions + _int(data, at + 1)
            while pair <= mine:
                offsets[pair] = i
                pair += 1
            length = _int(data, at + 6)
            at += 10
            for _ in range(length):
                _put_number(data, at + 5, probability, probability_bits, i)
                at = _after_number(data, at + 5)
                next_state[i] = _int(data, at + 1 if data[at] == INT else at + 5)
                at = _after_state(data, at)
                _put_number(data, at, reward, reward_bits, i)
                at = _after_number(data, at)
                terminated[i] = data[at] == TRUE
                at += 1
                i += 1
    while pair < offsets.size:
        offsets[pair] = i
        pair += 1
