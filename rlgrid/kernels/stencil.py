"""Bellman backups of a grid with four moves as a stencil, at the speed of memory.

    w(s) = max_a q(s, a),  q(s, a) = (p_1 x_{a-1} + p_2 x_a + p_3 x_{a+1} + p_4 x_{a+2}) / (p_1 + p_2 + p_3 + p_4)

where x_d is what going in direction d is worth: r + gamma v(neighbour), or bump + gamma v(s) where a wall or the edge
is in the way. What a cell must know is one byte: bit a says that the move of action a is blocked, ABSORBING that the
cell is a wall or terminal and worth 0, ODD that it is worked out from a list of its outcomes instead: cells with a
slip, bump or leave reward of their own or `leave_to`, and those beside a cell where arriving is worth something else
than at most cells (a terminal, another reward, a teleport). The first and the last cell are odd too, so that left and
right neighbours always exist; blocked neighbours are read and not used.

Loops have neither branches nor calls, write one array and read few, so that the compiler turns them into vector
instructions (it gives up where more than eight pairs of arrays might overlap); a select chooses between numbers that
were both loaded. CHUNK cells at a time, so that further loops find them in the first cache, and the rows to come are
fetched ahead: the processor does not do so by itself for so many streams, and waits twice as long as it computes.

Rounding. The sums run over the same numbers in the same order as in `rlgrid.kernels.sweeps`: gamma v, x = r + gamma v,
the products p x, their sum from the left, the quotient. Where the p sum to exactly 1 the quotient is left out, which
changes nothing; elsewhere the greatest sum is divided instead of the greatest quotient taken: the same number, since
the divisor is one and division rounds monotonically. A side to which nobody slips enters with p = 0, which changes
nothing in a finite sum. So all bits are those of the other sweeps, but for the sign of a zero, and the bound of
`rlgrid.kernels.rounding` holds: with n outcomes a term passes 1 rounding of gamma v, 1 of x, 1 of the product, n - 1
of sums, 1 of the quotient and n - 1 of its divisor, at most (2n + 2) u (|r| + gamma |v|); (2n + 6) u leaves room for
what is added to the image and for the denominators. v + shift is not part of it: a proof is about the floats
fl(v + shift). Every operation rounds monotonically, so computed sweeps are monotone, on which certificates rely.
"""

import math

import numpy as np
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from rlgrid.kernels.model import ABSENT, _arrive, _stay_or_leave

ABSORBING = 16
ODD = 32
CHUNK = 128
AHEAD = 512  # cells between what is worked on and what is fetched
LINE = 8  # numbers in a cache line


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _fetch(array, i):
        """Nothing; compiled, the cache line of array[i] is fetched."""
else:

    @intrinsic
    def _fetch(_context, array, i):
        """Ask for the cache line of array[i] ahead of its use; i may lie outside."""

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            ir = cgutils.ir
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            place = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
            builder.call(call, [place, number(0), number(3), number(1)])  # to read, into all caches, data
            return context.get_dummy_value()

        return types.void(array, i), generate


# --- what is made once ----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def fill_flags(first, last, height, width, tiles, around, own, rows, columns, flags):
    """The byte of each cell of rows [first, last) into flags [S].

    Args:
        around: uint8 [K], what a kind of tile means to its neighbours: 1 wall, 2 it makes them odd.
        own: uint8 [K], ABSORBING and ODD of the kind itself.
        rows, columns: int64 [4], the displacement of each action.
    """
    marks = np.zeros((3, width + 2), np.uint8)
    for i in range(first - 1, last + 1):
        line = marks[(i + 1) % 3]
        line[0] = 1
        line[width + 1] = 1
        if 0 <= i < height:
            kinds = tiles[i * width : (i + 1) * width]
            for j in range(width):
                line[j + 1] = around[kinds[j]]
        else:
            for j in range(width):
                line[j + 1] = 1
        row = i - 1
        if row < first:
            continue
        target = flags[row * width : (row + 1) * width]
        kinds = tiles[row * width : (row + 1) * width]
        for j in range(width):
            target[j] = own[kinds[j]]
        for a in range(4):
            source = marks[(row + rows[a] + 1) % 3][1 + columns[a] : 1 + columns[a] + width]
            for j in range(width):
                target[j] |= ((source[j] & 1) << a) | ((source[j] & 2) << 4)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_odd(
    states,
    height,
    width,
    tiles,
    displacement,
    direction,
    slip,
    column_wind,
    row_wind,
    wall,
    terminal,
    step_reward,
    bump_reward,
    enter_reward,
    leave_reward,
    enter_to,
    leave_to,
    probability,
    reward,
    next_state,
):
    """The outcomes of the cells listed, of a grid without wind, in their order: three arrays [n, A, N].

    next_state is -1 where the episode ends; probability is 0 where there is no outcome.
    """
    for i in range(states.size):
        s = states[i]
        kind = tiles[s]
        for a in range(direction.shape[0]):
            for n in range(direction.shape[1]):
                probability[i, a, n] = 0.0
                reward[i, a, n] = 0.0
                next_state[i, a, n] = -1
                to, r, ends, p = np.int64(s), 0.0, True, 0.0
                if wall[kind] or terminal[kind] or leave_to[kind] >= 0:
                    if n == 0:
                        p = 1.0
                        to, r, ends = _stay_or_leave(
                            tiles, wall, terminal, step_reward, enter_reward, leave_reward, leave_to, s
                        )
                elif slip[kind, a, n] != ABSENT:
                    p = slip[kind, a, n]
                    to, r, ends = _arrive(
                        height,
                        width,
                        tiles,
                        displacement,
                        column_wind,
                        row_wind,
                        wall,
                        terminal,
                        step_reward,
                        bump_reward,
                        enter_reward,
                        leave_reward,
                        enter_to,
                        s,
                        direction[a, n],
                        0,
                        None,
                    )
                if p > 0.0:
                    probability[i, a, n] = p
                    reward[i, a, n] = r
                    next_state[i, a, n] = -1 if ends else to


# --- a chunk --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _actions(flag, y, y0, y1, y2, y3, shift, gamma, reward, bump, p1, p2, p3, p4):
    """What the four actions sum up to, from the values of the cell and of its neighbours.

    shift None is 0, bump None is the reward, p1 None is no slip at all, p3 None is p1, p4 None is no slip backwards.
    """
    if shift is not None:
        y += shift
        y0 += shift
        y1 += shift
        y2 += shift
        y3 += shift
    stopped = gamma * y + (reward if bump is None else bump)
    x0 = gamma * y0 + reward
    x1 = gamma * y1 + reward
    x2 = gamma * y2 + reward
    x3 = gamma * y3 + reward
    x0 = stopped if flag & 1 else x0
    x1 = stopped if flag & 2 else x1
    x2 = stopped if flag & 4 else x2
    x3 = stopped if flag & 8 else x3
    if p1 is None:
        return x0, x1, x2, x3
    last = p1 if p3 is None else p3
    q0 = p1 * x3 + p2 * x0 + last * x1
    q1 = p1 * x0 + p2 * x1 + last * x2
    q2 = p1 * x1 + p2 * x2 + last * x3
    q3 = p1 * x2 + p2 * x3 + last * x0
    if p4 is not None:
        q0 += p4 * x2
        q1 += p4 * x3
        q2 += p4 * x0
        q3 += p4 * x1
    return q0, q1, q2, q3


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _best(flags, v, v0, v1, v2, v3, shift, gamma, reward, bump, p1, p2, p3, p4, mass, plus, w):
    for j in range(w.size):
        flag = flags[j]
        q0, q1, q2, q3 = _actions(flag, v[j], v0[j], v1[j], v2[j], v3[j], shift, gamma, reward, bump, p1, p2, p3, p4)
        q0 = q1 if q1 > q0 else q0
        q2 = q3 if q3 > q2 else q2
        q0 = q2 if q2 > q0 else q0
        if mass is not None:
            q0 /= mass
        if plus is not None:
            q0 += plus
        w[j] = 0.0 if flag & ABSORBING else q0


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _chosen(flags, v, v0, v1, v2, v3, shift, gamma, reward, bump, p1, p2, p3, p4, mass, plus, policy, w):
    for j in range(w.size):
        flag = flags[j]
        action = policy[j]
        q0, q1, q2, q3 = _actions(flag, v[j], v0[j], v1[j], v2[j], v3[j], shift, gamma, reward, bump, p1, p2, p3, p4)
        q0 = q1 if action == 1 else q0
        q2 = q3 if action == 3 else q2
        q0 = q2 if action >= 2 else q0
        if mass is not None:
            q0 /= mass
        if plus is not None:
            q0 += plus
        w[j] = 0.0 if flag & ABSORBING else q0


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _greedy(flags, v, v0, v1, v2, v3, shift, gamma, reward, bump, p1, p2, p3, p4, mass, slack, policy):
    for j in range(policy.size):
        flag = flags[j]
        q0, q1, q2, q3 = _actions(flag, v[j], v0[j], v1[j], v2[j], v3[j], shift, gamma, reward, bump, p1, p2, p3, p4)
        if mass is not None:
            q0 /= mass
            q1 /= mass
            q2 /= mass
            q3 /= mass
        better = q1 > q0 + slack
        action = 1 if better else 0
        q0 = q1 if better else q0
        better = q2 > q0 + slack
        action = 2 if better else action
        q0 = q2 if better else q0
        action = 3 if q3 > q0 + slack else action
        policy[j] = 0 if flag & ABSORBING else action


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _changes(v, shift, w, low, high):
    """Keep the least and the greatest w - (v + shift) for each place in a chunk."""
    for j in range(w.size):
        before = v[j]
        if shift is not None:
            before += shift
        change = w[j] - before
        least = low[j]
        most = high[j]
        low[j] = change if change < least else least
        high[j] = change if change > most else most


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _odd_action(probability, reward, next_state, i, a, shift, gamma, v):
    total = 0.0
    mass = 0.0
    for n in range(4):
        p = probability[i, a, n]
        if p > 0.0:
            x = reward[i, a, n]
            to = next_state[i, a, n]
            if to >= 0:
                y = v[to]
                if shift is not None:
                    y += shift
                x = x + gamma * y
            total += p * x
            mass += p
    return total / mass


@njit(cache=True, nogil=True, error_model="numpy")
def _place(states, s):
    """The first place in an ascending list that holds s or more."""
    low = 0
    high = states.size
    while low < high:
        middle = (low + high) // 2
        if states[middle] < s:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _end_of_chunk(s, last, size, width):
    """Where the chunk that begins at s ends, and offsets to the cells above and below, 0 where there are none."""
    end = min(s + CHUNK, last)
    above = -width
    below = width
    if s < width:
        end = min(end, width)
        above = 0
    if s >= size - width:
        below = 0
    else:
        end = min(end, size - width)
    return end, above, below


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _offset(offset, width, above, below):
    """To a neighbour, or 0 where there is none above or below."""
    if offset == -width:
        return above
    return below if offset == width else offset


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _fetch_ahead(s, end, width, v, w, policy):
    for i in range(s + width + AHEAD, end + width + AHEAD, LINE):
        _fetch(v, i)
    for i in range(s + AHEAD, end + AHEAD, LINE):
        if w is not None:
            _fetch(w, i)
        if policy is not None:
            _fetch(policy, i)


# --- sweeps ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(
    first,
    last,
    width,
    flags,
    offsets,
    reward,
    bump,
    p1,
    p2,
    p3,
    p4,
    mass,
    odd,
    odd_probability,
    odd_reward,
    odd_next,
    gamma,
    shift,
    plus,
    follow,
    v,
    w,
    track,
):
    """w = T (v + shift) + plus for the states [first, last), or T_pi where a policy is given; absorbing cells 0.

    Args:
        flags: uint8 [S]. offsets: int64 [4], from a cell to its neighbour in the direction of each action.
        reward, bump, p1, p2, p3, p4, mass: floats, or None (see `_actions`; mass None is 1).
        odd: int64 [n], ascending; odd_probability, odd_reward, odd_next: [n, 4, 4], their outcomes.
        shift, plus: floats, or None for 0.
        follow: int64 [S], a policy to follow, or None.
        w: float64 [S], or None, where only the changes are wanted.
        track: whether changes are wanted.

    Returns:
        The least and the greatest w - (v + shift), if ``track``.
    """
    low = np.full(CHUNK, math.inf)
    high = np.full(CHUNK, -math.inf)
    room = np.zeros(CHUNK)
    k = _place(odd, first)
    s = first
    while s < last:
        end, above, below = _end_of_chunk(s, last, v.size, width)
        _fetch_ahead(s, end, width, v, w, follow)
        begin = max(s, 1)
        close = min(end, v.size - 1)
        if w is None:
            image = room[: end - s]
        else:
            image = w[s:end]
        if begin < close:
            o0 = _offset(offsets[0], width, above, below)
            o1 = _offset(offsets[1], width, above, below)
            o2 = _offset(offsets[2], width, above, below)
            o3 = _offset(offsets[3], width, above, below)
            if follow is None:
                _best(
                    flags[begin:close],
                    v[begin:close],
                    v[begin + o0 : close + o0],
                    v[begin + o1 : close + o1],
                    v[begin + o2 : close + o2],
                    v[begin + o3 : close + o3],
                    shift,
                    gamma,
                    reward,
                    bump,
                    p1,
                    p2,
                    p3,
                    p4,
                    mass,
                    plus,
                    image[begin - s : close - s],
                )
            else:
                _chosen(
                    flags[begin:close],
                    v[begin:close],
                    v[begin + o0 : close + o0],
                    v[begin + o1 : close + o1],
                    v[begin + o2 : close + o2],
                    v[begin + o3 : close + o3],
                    shift,
                    gamma,
                    reward,
                    bump,
                    p1,
                    p2,
                    p3,
                    p4,
                    mass,
                    plus,
                    follow[begin:close],
                    image[begin - s : close - s],
                )
        while k < odd.size and odd[k] < end:
            i = odd[k]
            if follow is None:
                best = -math.inf
                for a in range(4):
                    best = max(best, _odd_action(odd_probability, odd_reward, odd_next, k, a, shift, gamma, v))
            else:
                best = _odd_action(odd_probability, odd_reward, odd_next, k, follow[i], shift, gamma, v)
            if plus is not None:
                best += plus
            image[i - s] = 0.0 if flags[i] & ABSORBING else best
            k += 1
        if track:
            _changes(v[s:end], shift, image, low[: end - s], high[: end - s])
        s = end
    least = math.inf
    most = -math.inf
    for j in range(CHUNK):
        least = min(least, low[j])
        most = max(most, high[j])
    return least, most


@njit(cache=True, nogil=True, error_model="numpy")
def greedy(
    first,
    last,
    width,
    flags,
    offsets,
    reward,
    bump,
    p1,
    p2,
    p3,
    p4,
    mass,
    odd,
    odd_probability,
    odd_reward,
    odd_next,
    gamma,
    slack,
    v,
    policy,
):
    """The greedy policy of the states [first, last): the first action, unless a later one is better by over slack.

    Returns:
        The greatest (T v - v), and the least (T_pi v - v) of this policy.
    """
    low = np.full(CHUNK, math.inf)
    high = np.full(CHUNK, -math.inf)
    unused = np.zeros(CHUNK)
    room = np.zeros(CHUNK)
    k = _place(odd, first)
    s = first
    while s < last:
        end, above, below = _end_of_chunk(s, last, v.size, width)
        _fetch_ahead(s, end, width, v, None, policy)
        begin = max(s, 1)
        close = min(end, v.size - 1)
        w = room[: end - s]
        inner = room[begin - s : max(begin, close) - s]
        o0 = _offset(offsets[0], width, above, below)
        o1 = _offset(offsets[1], width, above, below)
        o2 = _offset(offsets[2], width, above, below)
        o3 = _offset(offsets[3], width, above, below)
        here = flags[begin:close]
        v_here = v[begin:close]
        if begin < close:
            v0 = v[begin + o0 : close + o0]
            v1 = v[begin + o1 : close + o1]
            v2 = v[begin + o2 : close + o2]
            v3 = v[begin + o3 : close + o3]
            chosen = policy[begin:close]
            _best(here, v_here, v0, v1, v2, v3, None, gamma, reward, bump, p1, p2, p3, p4, mass, None, inner)
            _greedy(here, v_here, v0, v1, v2, v3, None, gamma, reward, bump, p1, p2, p3, p4, mass, slack, chosen)
        first_odd = k
        while k < odd.size and odd[k] < end:
            best = -math.inf
            held = -math.inf
            for a in range(4):
                q = _odd_action(odd_probability, odd_reward, odd_next, k, a, None, gamma, v)
                best = max(best, q)
                if a == 0 or q > held + slack:
                    policy[odd[k]] = a
                    held = q
            w[odd[k] - s] = best
            k += 1
        for j in range(w.size):
            unused[j] = math.inf
        _changes(v[s:end], None, w, unused[: end - s], high[: end - s])
        if begin < close:
            _chosen(here, v_here, v0, v1, v2, v3, None, gamma, reward, bump, p1, p2, p3, p4, mass, None, chosen, inner)
        for i in range(first_odd, k):
            w[odd[i] - s] = _odd_action(odd_probability, odd_reward, odd_next, i, policy[odd[i]], None, gamma, v)
        for j in range(w.size):
            unused[j] = -math.inf
        _changes(v[s:end], None, w, low[: end - s], unused[: end - s])
        s = end
    least = math.inf
    most = -math.inf
    for j in range(CHUNK):
        least = min(least, low[j])
        most = max(most, high[j])
    return most, least


# --- whole arrays ---------------------------------------------------------------------------------------------------

_INFINITE = 0x7FF0000000000000  # the bits of infinity; those of larger numbers are larger, and of nan larger still


@njit(cache=True, nogil=True, error_model="numpy")
def largest_bits(first, last, bits):
    """Of float64 numbers given as their int64 bits: the bits of the largest |x| that is finite, and of all."""
    finite = np.int64(0)
    most = np.int64(0)
    for x in bits[first:last]:
        size = x & 0x7FFFFFFFFFFFFFFF
        most = max(most, size)
        finite = max(finite, size if size < _INFINITE else 0)
    return finite, most


@njit(cache=True, nogil=True, error_model="numpy")
def greatest_gap(first, last, values, lower, upper):
    """The greatest of upper - values and values - lower, rounded to nearest; 0 where equal, inf where one is nan."""
    most = np.full(CHUNK, -math.inf)
    for s in range(first, last, CHUNK):
        end = min(s + CHUNK, last)
        a = values[s:end]
        b = lower[s:end]
        c = upper[s:end]
        for j in range(end - s):
            x = a[j]
            y = b[j]
            z = c[j]
            up = 0.0 if z == x else z - x
            down = 0.0 if y == x else x - y
            gap = up if up > down else down
            gap = math.inf if up != up or down != down else gap  # noqa: PLR0124 - nan alone differs from itself
            held = most[j]
            most[j] = gap if gap > held else held
    found = -math.inf
    for j in range(CHUNK):
        found = max(found, most[j])
    return found
