"""Sweeps of dynamic programming over either form of a model.

    jacobi         w(s) = max_a sum_k p_k / P (r_k + gamma v(s_k)),   P = sum_k p_k     (value iteration)
    gauss_seidel   the same in place, each action's own loop solved for (Puterman 1994, section 6.3.3)
    evaluate       w(s) for the one action that a policy takes
    action_values  all of q(s, .) at one state

An outcome that ends the episode is worth its reward alone. A pair without outcomes is not available: -inf.

Every quotient is computed as (sum of p_k * (r_k + gamma * v(s_k)), in the order of the outcomes) / (sum of p_k). All
of these operations round monotonically, so v <= v' gives T v <= T v' for the computed sweeps too: certificates rely
on that. `rounding` bounds how far the computed quotient may lie from the true one.

On a grid the arrival of each direction is worked out once for a state and shared by its actions; the sums run over
the same numbers in the same order as through `outcome`, so both forms give the same bits.
"""

import math

import numpy as np
from numba import njit
from numba.extending import overload

from rlgrid.kernels.model import (
    ABSENT,
    GridArrays,
    _grid_arrive,
    _grid_certain,
    _grid_is_certain,
    _grid_windy,
    count,
    outcome,
)

UNIT_ROUNDOFF = 2.0**-53
UNDERFLOW = 1e-300  # far above what all products of one backup can lose by underflow together

# --- one state, explicit --------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _explicit_action_values(model, gamma, v, s, q, scratch):
    for a in range(model.num_actions):
        pair = s * model.num_actions + a
        first = model.offsets[pair]
        last = model.offsets[pair + 1]
        if first == last:
            q[a] = -math.inf
            continue
        total = 0.0
        mass = 0.0
        for i in range(first, last):
            p = model.probability[i]
            x = model.reward[i]
            if not model.terminated[i]:
                x = x + gamma * v[model.next_state[i]]
            total += p * x
            mass += p
        q[a] = total / mass


@njit(cache=True, nogil=True)
def _explicit_solved_value(model, gamma, v, s, scratch):
    best = -math.inf
    for a in range(model.num_actions):
        pair = s * model.num_actions + a
        first = model.offsets[pair]
        last = model.offsets[pair + 1]
        total = 0.0
        other = 0.0
        here = 0.0
        for i in range(first, last):
            p = model.probability[i]
            x = model.reward[i]
            if model.terminated[i]:
                other += p
            elif model.next_state[i] == s:
                here += p
            else:
                other += p
                x = x + gamma * v[model.next_state[i]]
            total += p * x
        weight = other + (1.0 - gamma) * here
        if weight > 0.0:
            best = max(best, total / weight)
    return best


# --- one state, grid ------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _grid_arrivals(model, s, gusts, windy, scratch):
    """Next state (-1: the episode is over) and reward of each direction in use under each gust."""
    reward, to, used = scratch
    for i in range(used.size):
        d = used[i]
        for g in range(gusts):
            where, r, terminated = _grid_arrive(model, s, d, model.gust[g] if windy else 0)
            reward[d * gusts + g] = r
            to[d * gusts + g] = -1 if terminated else where


@njit(cache=True, nogil=True)
def _grid_action_values(model, gamma, v, s, q, scratch):
    if _grid_is_certain(model, s):
        to, r, terminated = _grid_certain(model, s)
        x = r
        if not terminated:
            x = x + gamma * v[to]
        for a in range(model.num_actions):
            q[a] = x
        return
    windy = _grid_windy(model, s)
    gusts = model.gust.size if windy else 1
    _grid_arrivals(model, s, gusts, windy, scratch)
    worth, arrival, used = scratch
    for i in range(used.size):
        for j in range(used[i] * gusts, (used[i] + 1) * gusts):
            if arrival[j] >= 0:
                worth[j] = worth[j] + gamma * v[arrival[j]]
    kind = model.tiles[s]
    for a in range(model.num_actions):
        total = 0.0
        mass = 0.0
        for n in range(model.direction.shape[1]):
            slip = model.slip[kind, a, n]
            if slip == ABSENT:
                continue
            d = model.direction[a, n]
            for g in range(gusts):
                p = slip * model.gust_probability[g] if windy else slip
                total += p * worth[d * gusts + g]
                mass += p
        q[a] = total / mass


@njit(cache=True, nogil=True)
def _grid_solved_value(model, gamma, v, s, scratch):
    if _grid_is_certain(model, s):
        to, r, terminated = _grid_certain(model, s)
        if terminated:
            return r
        if to != s:
            return r + gamma * v[to]
        return r / (1.0 - gamma) if gamma < 1.0 else -math.inf
    windy = _grid_windy(model, s)
    gusts = model.gust.size if windy else 1
    _grid_arrivals(model, s, gusts, windy, scratch)
    worth, arrival, used = scratch
    for i in range(used.size):
        for j in range(used[i] * gusts, (used[i] + 1) * gusts):
            if arrival[j] >= 0 and arrival[j] != s:
                worth[j] = worth[j] + gamma * v[arrival[j]]
    kind = model.tiles[s]
    best = -math.inf
    for a in range(model.num_actions):
        total = 0.0
        other = 0.0
        here = 0.0
        for n in range(model.direction.shape[1]):
            slip = model.slip[kind, a, n]
            if slip == ABSENT:
                continue
            d = model.direction[a, n]
            for g in range(gusts):
                p = slip * model.gust_probability[g] if windy else slip
                total += p * worth[d * gusts + g]
                if arrival[d * gusts + g] == s:
                    here += p
                else:
                    other += p
        weight = other + (1.0 - gamma) * here
        if weight > 0.0:
            best = max(best, total / weight)
    return best


# --- chosen by the type of the model --------------------------------------------------------------------------------
# Numba matches an overload by the names of its arguments, hence the lambdas.


def action_values(model, gamma, v, s, q, scratch):
    """q(s, a) for every action a of a state, into q [A]; -inf where the action is not available."""
    chosen = _grid_action_values if isinstance(model, GridArrays) else _explicit_action_values
    chosen(model, gamma, v, s, q, scratch)


def solved_value(model, gamma, v, s, scratch):
    """The v(s) that solves v(s) = max_a q(s, a) while all other values stay as they are."""
    chosen = _grid_solved_value if isinstance(model, GridArrays) else _explicit_solved_value
    return chosen(model, gamma, v, s, scratch)


@overload(action_values)
def _action_values(model, gamma, v, s, q, scratch):
    chosen = _grid_action_values if model.instance_class is GridArrays else _explicit_action_values
    return lambda model, gamma, v, s, q, scratch: chosen(model, gamma, v, s, q, scratch)  # noqa: PLW0108


@overload(solved_value)
def _solved_value(model, gamma, v, s, scratch):
    chosen = _grid_solved_value if model.instance_class is GridArrays else _explicit_solved_value
    return lambda model, gamma, v, s, scratch: chosen(model, gamma, v, s, scratch)  # noqa: PLW0108


def scratch_of(model):
    """Room for the arrivals of one state: (reward, next state, directions in use)."""
    if isinstance(model, GridArrays):
        size = model.displacement.shape[0] * model.gust.size
        return np.zeros(size), np.zeros(size, np.int64), np.unique(model.direction)
    return np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64)


# --- sweeps ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def tie_highest(v, members, offsets):
    """Give the states of each group the highest value among them, at least 0 (staying is worth 0)."""
    for g in range(offsets.size - 1):
        best = 0.0
        for i in range(offsets[g], offsets[g + 1]):
            best = max(best, v[members[i]])
        for i in range(offsets[g], offsets[g + 1]):
            v[members[i]] = best


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def jacobi(model, gamma, v, w, members, offsets, scratch):
    """One sweep w = T v, groups tied; (least, greatest) of w - v."""
    q = np.empty(model.num_actions)
    for s in range(model.num_states):
        action_values(model, gamma, v, s, q, scratch)
        best = q[0]
        for a in range(1, model.num_actions):
            best = max(best, q[a])
        w[s] = best
    if offsets.size > 1:
        tie_highest(w, members, offsets)
    low = math.inf
    high = -math.inf
    for s in range(model.num_states):
        change = w[s] - v[s] if w[s] != v[s] else 0.0
        low = min(low, change)
        high = max(high, change)
    return low, high


@njit(cache=True, nogil=True)
def gauss_seidel(model, gamma, v, w, backwards, members, offsets, grouped, scratch):
    """One sweep in place, in the order of the states or against it; (least, greatest) change.

    The states of a group keep their common value until the end of the sweep (w is room for what each is worth alone),
    and so none is ever seen at less than the group.
    """
    tied = offsets.size > 1
    low = math.inf
    high = -math.inf
    for i in range(model.num_states):
        s = model.num_states - 1 - i if backwards else i
        new = solved_value(model, gamma, v, s, scratch)
        if tied and grouped[s]:
            w[s] = new
        elif new != v[s]:
            low = min(low, new - v[s])
            high = max(high, new - v[s])
            v[s] = new
    if tied:
        tie_highest(w, members, offsets)
        for i in range(members.size):
            s = members[i]
            if w[s] != v[s]:
                low = min(low, w[s] - v[s])
                high = max(high, w[s] - v[s])
                v[s] = w[s]
    return low, high


@njit(cache=True, nogil=True)
def run_sweeps(model, gamma, v, w, in_place, done, limit, enough, history, members, offsets, grouped, scratch):
    """Up to ``limit`` sweeps; ends when the spread of changes max(0, greatest) + max(0, -least) is at most ``enough``.

    The values are in v before and after; w is room for them. history[i] becomes the spread of the i-th sweep.
    Returns how many sweeps were made.
    """
    for i in range(limit):
        if in_place:
            low, high = gauss_seidel(model, gamma, v, w, (done + i) % 2 == 1, members, offsets, grouped, scratch)
        else:
            low, high = jacobi(model, gamma, v, w, members, offsets, scratch)
            v[:] = w
        spread = max(0.0, high) + max(0.0, -low)
        history[i] = spread
        if not spread > enough:
            return i + 1
    return limit


@njit(cache=True, nogil=True)
def q_table(model, gamma, v, q, scratch):
    """q(s, a) of every pair into q [S, A]."""
    for s in range(model.num_states):
        action_values(model, gamma, v, s, q[s], scratch)


@njit(cache=True, nogil=True)
def greedy(model, gamma, v, slack, policy, scratch):
    """The first action of each state whose value is within ``slack`` of the best; 0 where none is available."""
    q = np.empty(model.num_actions)
    for s in range(model.num_states):
        action_values(model, gamma, v, s, q, scratch)
        best = q[0]
        for a in range(1, model.num_actions):
            best = max(best, q[a])
        policy[s] = 0
        for a in range(model.num_actions):
            if q[a] > -math.inf and q[a] >= best - slack:
                policy[s] = a
                break


@njit(cache=True, nogil=True)
def evaluate(model, gamma, policy, v, w):
    """One sweep w(s) = q(s, policy(s)); a policy of -1 leaves the state at +inf (for `tie_lowest`)."""
    for s in range(model.num_states):
        if policy[s] < 0:
            w[s] = math.inf
            continue
        total = 0.0
        mass = 0.0
        for k in range(count(model, s, policy[s])):
            p, to, x, terminated = outcome(model, s, policy[s], k)
            if not terminated:
                x = x + gamma * v[to]
            total += p * x
            mass += p
        w[s] = total / mass if mass > 0.0 else -math.inf


@njit(cache=True, nogil=True)
def rounding(model, scale, error):
    """For each state a bound on |computed - exact| of any of its backups, where |v| <= scale, into error [S].

    With n outcomes, u = 2^-53 and the standard model fl(x op y) = (x op y)(1 + d), |d| <= u, each term p (r + gamma v)
    of the sum passes at most n + 2 roundings, the sum of the p at most n - 1, the quotient one more: the computed
    quotient is off by at most g(2n + 2) sum (p / P)(|r| + gamma |v|), g(k) = k u / (1 - k u) (Higham 2002, ch. 3).
    Adding or subtracting the bound itself rounds once more. So (2n + 6) u (max|r| + scale), with 2 percent on top for
    the denominator of g and the rounding of this very formula, is enough for n < 10^13. Where every number is 0 so is
    the error; elsewhere UNDERFLOW covers products too small for a normal float.

    Also returns the largest |r|.
    """
    largest = 0.0
    for s in range(model.num_states):
        worst = 0.0
        for a in range(model.num_actions):
            n = count(model, s, a)
            size = 0.0
            continues = False
            for k in range(n):
                _, _, r, terminated = outcome(model, s, a, k)
                size = max(size, abs(r))
                continues = continues or not terminated
            largest = max(largest, size)
            if continues:
                size += scale
            if size > 0.0:
                worst = max(worst, 1.02 * (2 * n + 6) * UNIT_ROUNDOFF * size + UNDERFLOW)
        error[s] = worst
    return largest


@njit(cache=True, nogil=True)
def _gain(model, v, s, a):
    """q(s, a) - v(s) without discounting, and a bound on the rounding of it; (-inf, 0) without outcomes.

    Written as sum p_k / P (r_k + (v(s_k) - v(s))): what is lost to rounding is then in proportion to |r_k| and
    |v(s_k) - v(s)|, not to |v|, and nothing is where the values around s are equal and nothing is earned. Each term
    passes at most n + 2 roundings, so the bound of `rounding` holds with these sizes in place of |r| and |v|.
    """
    n = count(model, s, a)
    if n == 0:
        return -math.inf, 0.0
    total = 0.0
    mass = 0.0
    size = 0.0
    moved = False
    for k in range(n):
        p, to, r, terminated = outcome(model, s, a, k)
        step = (0.0 if terminated else v[to]) - v[s]
        total += p * (r + step)
        size += p * (abs(r) + abs(step))
        mass += p
        moved = moved or r != 0.0 or step != 0.0
    error = 1.02 * (2 * n + 6) * UNIT_ROUNDOFF * (size / mass) + UNDERFLOW if moved else 0.0
    return total / mass, error


@njit(cache=True, nogil=True)
def _moved_up(v, gain):
    """The least float that is found >= v + gain, exactly."""
    to = v + gain
    if gain == 0.0 or not math.isfinite(to):
        return to
    if abs(gain) <= abs(v) and to - v >= gain:  # to - v is exact here (Dekker 1971)
        return to
    return np.nextafter(to, math.inf)


@njit(cache=True, nogil=True)
def image_above(model, v, w):
    """w(s) >= (T v)(s) without discounting, rounding included; -inf where no action is available."""
    for s in range(model.num_states):
        w[s] = -math.inf
        if v[s] == -math.inf:
            continue
        for a in range(model.num_actions):
            gain, error = _gain(model, v, s, a)
            if gain > -math.inf:
                w[s] = max(w[s], _moved_up(v[s], gain + error))


@njit(cache=True, nogil=True)
def image_below(model, policy, v, w):
    """w(s) <= (T_pi v)(s) without discounting, rounding included; +inf where the policy is -1."""
    for s in range(model.num_states):
        if policy[s] < 0:
            w[s] = math.inf
            continue
        w[s] = -math.inf
        if v[s] > -math.inf:
            gain, error = _gain(model, v, s, policy[s])
            if gain > -math.inf:
                w[s] = -_moved_up(-v[s], error - gain)


@njit(cache=True, nogil=True)
def count_pairs(model):
    """How many (state, action) pairs have outcomes."""
    total = 0
    for s in range(model.num_states):
        for a in range(model.num_actions):
            if count(model, s, a) > 0:
                total += 1
    return total
