"""Sweeps of dynamic programming over either form of a model.

    backups        w(s) = max_a q(s, a),  q(s, a) = sum_k p_k / P (r_k + gamma v(s_k)),  P = sum_k p_k
                   (value iteration); on request q itself, a greedy policy, or w(s) = q(s, policy(s))
    in_place       the same within one array, each action's own loop solved for (Puterman 1994, section 6.3.3)

An outcome that ends the episode is worth its reward alone. A pair without outcomes is not available: -inf.

Every quotient is computed as (sum of p_k * (r_k + gamma * v(s_k)), in the order of the outcomes) / (sum of p_k). All
of these operations round monotonically, so v <= v' gives T v <= T v' for the computed sweeps too: certificates rely
on that. `rlgrid.kernels.rounding` bounds how far the computed quotient may lie from the true one.

On a grid the arrival of each direction is worked out once for a state and shared by its actions; the sums run over
the same numbers in the same order as through `rlgrid.kernels.model.outcome`, so both forms give the same bits. Grids
with wind are swept in their explicit form (`scratch_of` refuses them). The loops take arrays one by one: reading them
out of a model inside a loop costs several times what a backup does, and so do checks for division by zero (the numpy
error model has none; no divisor here can be 0).
"""

import math

import numpy as np
from numba import njit
from numba.extending import overload

from rlgrid.kernels.model import ABSENT, GridArrays

# --- explicit -------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def explicit_backup(
    num_actions,
    offsets,
    next_state,
    probability,
    reward,
    terminated,
    gamma,
    v,
    w,
    q,
    follow,
    policy,
    slack,
    first_state,
    last_state,
):
    """Backups w = T v of the states [first_state, last_state) of an explicit model, from v [S]; writes only there.

    Args:
        q: [S, A] is filled with every q(s, a) and [0, A] is not.
        follow: int64 [S] gives w = T_pi v for that policy instead (-inf where it is -1); [0] is none.
        policy: int64 [S] becomes greedy: the first action, unless a later one is better by more than ``slack``, and so
            on; [0] is none.
    """
    for s in range(first_state, last_state):
        best = -math.inf
        held = -math.inf
        for a in range(num_actions):
            pair = s * num_actions + a
            first = np.uint64(offsets[pair])  # unsigned: a signed index is compared with 0 each time
            last = np.uint64(offsets[pair + 1])
            value = -math.inf
            if first < last and (follow.size == 0 or follow[s] == a):
                total = 0.0
                mass = 0.0
                for i in range(first, last):
                    p = probability[i]
                    x = reward[i]
                    if not terminated[i]:
                        x = x + gamma * v[np.uint32(next_state[i])]
                    total += p * x
                    mass += p
                value = total / mass
            if q.shape[0] > 0:
                q[s, a] = value
            if policy.size > 0 and (a == 0 or value > held + slack):
                policy[s] = a
                held = value
            best = max(best, value)
        w[s] = best


@njit(cache=True, nogil=True, error_model="numpy")
def _explicit_in_place(
    num_states,
    num_actions,
    offsets,
    next_state,
    probability,
    reward,
    terminated,
    gamma,
    v,
    w,
    backwards,
    grouped,
):
    low = math.inf
    high = -math.inf
    for i in range(num_states):
        s = num_states - 1 - i if backwards else i
        best = -math.inf
        for a in range(num_actions):
            pair = s * num_actions + a
            total = 0.0
            other = 0.0
            here = 0.0
            for j in range(offsets[pair], offsets[pair + 1]):
                p = probability[j]
                x = reward[j]
                if terminated[j]:
                    other += p
                elif next_state[j] == s:
                    here += p
                else:
                    other += p
                    x = x + gamma * v[next_state[j]]
                total += p * x
            weight = other + (1.0 - gamma) * here
            if weight > 0.0:
                best = max(best, total / weight)
        if grouped.size > 0 and grouped[s]:
            w[s] = best
        elif best != v[s]:
            low = min(low, best - v[s])
            high = max(high, best - v[s])
            v[s] = best
    return low, high


# --- grid -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def grid_arrivals(
    s,
    height,
    width,
    tiles,
    displacement,
    used,
    wall,
    terminal,
    step_reward,
    bump_reward,
    enter_reward,
    leave_reward,
    enter_to,
    worth,
    arrival,
):
    """Reward of each direction in use from s, and where it leads; -1 where the episode ends."""
    row = s // width
    column = s - row * width
    kind = tiles[s]
    leave = leave_reward[kind]
    for i in range(used.size):
        d = used[i]
        to_row = row + displacement[d, 0]
        to_column = column + displacement[d, 1]
        inside = to_row >= 0 and to_row < height and to_column >= 0 and to_column < width
        if not inside:
            to_row = min(max(to_row, 0), height - 1)
            to_column = min(max(to_column, 0), width - 1)
        to = to_row * width + to_column
        bumped = not inside
        if wall[tiles[to]]:
            to = s
            bumped = True
        to_kind = tiles[to]
        if to == s:
            x = (bump_reward[kind] if bumped else step_reward[kind]) + leave
        else:
            x = step_reward[to_kind] + leave
            x = x + enter_reward[to_kind]
            if enter_to[to_kind] >= 0:
                to = enter_to[to_kind]
                to_kind = tiles[to]
        worth[d] = x
        arrival[d] = -1 if terminal[to_kind] else to


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def grid_leave(kind, s, tiles, terminal, step_reward, enter_reward, leave_reward, leave_to):
    """(reward, next state or -1) of a tile that sends every action to one cell."""
    to = leave_to[kind]
    to_kind = tiles[to]
    x = step_reward[to_kind] + leave_reward[kind]
    if to != s:
        x = x + enter_reward[to_kind]
    return x, (-1 if terminal[to_kind] else to)


@njit(cache=True, nogil=True, error_model="numpy")
def _grid_loop(
    height,
    width,
    num_actions,
    tiles,
    displacement,
    direction,
    slip,
    wall,
    terminal,
    step_reward,
    bump_reward,
    enter_reward,
    leave_reward,
    enter_to,
    leave_to,
    worth,
    arrival,
    used,
    mass,
    gamma,
    v,
    w,
    q,
    follow,
    policy,
    slack,
    first_state,
    last_state,
):
    for s in range(first_state, last_state):
        kind = tiles[s]
        certain = wall[kind] or terminal[kind] or leave_to[kind] >= 0
        same = 0.0
        if certain:
            if not (wall[kind] or terminal[kind]):
                same, to = grid_leave(kind, s, tiles, terminal, step_reward, enter_reward, leave_reward, leave_to)
                if to >= 0:
                    same = same + gamma * v[to]
        else:
            grid_arrivals(
                s,
                height,
                width,
                tiles,
                displacement,
                used,
                wall,
                terminal,
                step_reward,
                bump_reward,
                enter_reward,
                leave_reward,
                enter_to,
                worth,
                arrival,
            )
            for i in range(used.size):
                d = used[i]
                if arrival[d] >= 0:
                    worth[d] = worth[d] + gamma * v[arrival[d]]
        best = -math.inf
        held = -math.inf
        for a in range(num_actions):
            value = -math.inf
            if follow.size == 0 or follow[s] == a:
                value = same
                if not certain:
                    total = 0.0
                    for n in range(direction.shape[1]):
                        p = slip[kind, a, n]
                        if p != ABSENT:
                            total += p * worth[direction[a, n]]
                    value = total / mass[kind, a]
            if q.shape[0] > 0:
                q[s, a] = value
            if policy.size > 0 and (a == 0 or value > held + slack):
                policy[s] = a
                held = value
            best = max(best, value)
        w[s] = best


@njit(cache=True, nogil=True, error_model="numpy")
def _grid_in_place(
    height,
    width,
    num_actions,
    tiles,
    displacement,
    direction,
    slip,
    wall,
    terminal,
    step_reward,
    bump_reward,
    enter_reward,
    leave_reward,
    enter_to,
    leave_to,
    worth,
    arrival,
    used,
    gamma,
    v,
    backwards,
):
    low = math.inf
    high = -math.inf
    for i in range(height * width):
        s = height * width - 1 - i if backwards else i
        kind = tiles[s]
        best = -math.inf
        if wall[kind] or terminal[kind]:
            best = 0.0
        elif leave_to[kind] >= 0:
            x, to = grid_leave(kind, s, tiles, terminal, step_reward, enter_reward, leave_reward, leave_to)
            if to == s:
                best = x / (1.0 - gamma) if gamma < 1.0 else -math.inf
            else:
                best = x + gamma * v[to] if to >= 0 else x
        else:
            grid_arrivals(
                s,
                height,
                width,
                tiles,
                displacement,
                used,
                wall,
                terminal,
                step_reward,
                bump_reward,
                enter_reward,
                leave_reward,
                enter_to,
                worth,
                arrival,
            )
            for j in range(used.size):
                d = used[j]
                if arrival[d] >= 0 and arrival[d] != s:
                    worth[d] = worth[d] + gamma * v[arrival[d]]
            for a in range(num_actions):
                total = 0.0
                other = 0.0
                here = 0.0
                for n in range(direction.shape[1]):
                    p = slip[kind, a, n]
                    if p != ABSENT:
                        d = direction[a, n]
                        total += p * worth[d]
                        if arrival[d] == s:
                            here += p
                        else:
                            other += p
                weight = other + (1.0 - gamma) * here
                if weight > 0.0:
                    best = max(best, total / weight)
        if best != v[s]:
            low = min(low, best - v[s])
            high = max(high, best - v[s])
            v[s] = best
    return low, high


def scratch_of(model):
    """What sweeps of a grid read beside it: the directions in use, and sums of slip.

    Raises:
        ValueError: for a grid with wind, which is swept in its explicit form.
    """
    if model.column_wind.any() or model.row_wind.any():
        raise ValueError("a grid with wind is swept in its explicit form")
    mass = np.zeros(model.slip.shape[:2])
    for n in range(model.slip.shape[2]):  # in the order of the outcomes
        mass += np.where(model.slip[:, :, n] == ABSENT, 0.0, model.slip[:, :, n])
    return np.unique(model.direction), mass


# --- chosen by the type of the model --------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def grid_backup(m, scratch, gamma, v, w, q, follow, policy, slack, first_state, last_state):
    """`explicit_backup` of a grid without wind."""
    _grid_loop(
        m.height,
        m.width,
        m.num_actions,
        m.tiles,
        m.displacement,
        m.direction,
        m.slip,
        m.wall,
        m.terminal,
        m.step_reward,
        m.bump_reward,
        m.enter_reward,
        m.leave_reward,
        m.enter_to,
        m.leave_to,
        np.empty(m.displacement.shape[0]),
        np.empty(m.displacement.shape[0], np.int64),
        scratch[0],
        scratch[1],
        gamma,
        v,
        w,
        q,
        follow,
        policy,
        slack,
        first_state,
        last_state,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _explicit_sweep(m, scratch, gamma, v, w, backwards, grouped):
    return _explicit_in_place(
        m.num_states,
        m.num_actions,
        m.offsets,
        m.next_state,
        m.probability,
        m.reward,
        m.terminated,
        gamma,
        v,
        w,
        backwards,
        grouped,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _grid_sweep(m, scratch, gamma, v, w, backwards, grouped):
    return _grid_in_place(
        m.height,
        m.width,
        m.num_actions,
        m.tiles,
        m.displacement,
        m.direction,
        m.slip,
        m.wall,
        m.terminal,
        m.step_reward,
        m.bump_reward,
        m.enter_reward,
        m.leave_reward,
        m.enter_to,
        m.leave_to,
        np.empty(m.displacement.shape[0]),
        np.empty(m.displacement.shape[0], np.int64),
        scratch[0],
        gamma,
        v,
        backwards,
    )


def _any_sweep(model, scratch, gamma, v, w, backwards, grouped):
    chosen = _grid_sweep if isinstance(model, GridArrays) else _explicit_sweep
    return chosen(model, scratch, gamma, v, w, backwards, grouped)


# Numba matches an overload by the names of its arguments, hence the lambda.
@overload(_any_sweep)
def _choose_sweep(model, scratch, gamma, v, w, backwards, grouped):
    chosen = _grid_sweep if model.instance_class is GridArrays else _explicit_sweep
    return lambda model, scratch, gamma, v, w, backwards, grouped: chosen(  # noqa: PLW0108
        model, scratch, gamma, v, w, backwards, grouped
    )


@njit(cache=True, nogil=True, error_model="numpy")
def tie_highest(v, members, offsets):
    """Give the states of each group the highest value among them, at least 0 (staying is worth 0)."""
    for g in range(offsets.size - 1):
        best = 0.0
        for i in range(offsets[g], offsets[g + 1]):
            best = max(best, v[members[i]])
        for i in range(offsets[g], offsets[g + 1]):
            v[members[i]] = best


@njit(cache=True, nogil=True, error_model="numpy")
def tie_lowest(v, members, offsets):
    """Give the states of each group the lowest value among them, and 0 where that is +inf."""
    for g in range(offsets.size - 1):
        least = math.inf
        for i in range(offsets[g], offsets[g + 1]):
            least = min(least, v[members[i]])
        if least == math.inf:
            least = 0.0
        for i in range(offsets[g], offsets[g + 1]):
            v[members[i]] = least


@njit(cache=True, nogil=True, error_model="numpy")
def _changes(v, w):
    low = math.inf
    high = -math.inf
    for s in range(v.size):
        change = w[s] - v[s] if w[s] != v[s] else 0.0
        low = min(low, change)
        high = max(high, change)
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def in_place(model, scratch, gamma, v, w, backwards, members, offsets, grouped):
    """One sweep within v, in the order of the states or against it; (least, greatest) change.

    The states of a group keep their common value until the end of the sweep (w is room for what each is worth alone),
    and so none is ever seen at less than the group.
    """
    low, high = _any_sweep(model, scratch, gamma, v, w, backwards, grouped)
    if offsets.size > 1:
        tie_highest(w, members, offsets)
        for i in range(members.size):
            s = members[i]
            if w[s] != v[s]:
                low = min(low, w[s] - v[s])
                high = max(high, w[s] - v[s])
                v[s] = w[s]
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def _in_place_sweeps(model, scratch, gamma, v, w, done, limit, enough, history, members, offsets, grouped):
    for i in range(limit):
        low, high = in_place(model, scratch, gamma, v, w, (done + i) % 2 == 1, members, offsets, grouped)
        history[i] = max(0.0, high) + max(0.0, -low)
        if not enough < history[i] < math.inf:
            return i + 1
    return limit


@njit(cache=True, nogil=True, error_model="numpy")
def _explicit_sweeps(
    num_actions,
    offsets,
    next_state,
    probability,
    reward,
    terminated,
    gamma,
    v,
    w,
    limit,
    enough,
    history,
    members,
    group_offsets,
):
    q = np.empty((0, num_actions))
    none = np.empty(0, np.int64)
    for i in range(limit):
        explicit_backup(
            num_actions,
            offsets,
            next_state,
            probability,
            reward,
            terminated,
            gamma,
            v,
            w,
            q,
            none,
            none,
            0.0,
            0,
            v.size,
        )
        if group_offsets.size > 1:
            tie_highest(w, members, group_offsets)
        low, high = _changes(v, w)
        for s in range(v.size):  # numba takes seconds to compile v[:] = w
            v[s] = w[s]
        history[i] = max(0.0, high) + max(0.0, -low)
        if not enough < history[i] < math.inf:
            return i + 1
    return limit


def run_sweeps(model, scratch, gamma, v, w, gauss_seidel, done, limit, enough, history, members, offsets, grouped):
    """Up to ``limit`` sweeps; ends when the spread of changes max(0, greatest) + max(0, -least) is at most ``enough``.

    The values are in v before and after; w is room for them. Gauss-Seidel sweeps run forwards and backwards in turn,
    ``done`` of them before, others from old values over explicit models alone. history[i] becomes the spread of the
    i-th sweep. Returns how many sweeps were made.
    """
    if gauss_seidel:
        return _in_place_sweeps(model, scratch, gamma, v, w, done, limit, enough, history, members, offsets, grouped)
    return _explicit_sweeps(*model[1:7], gamma, v, w, limit, enough, history, members, offsets)
