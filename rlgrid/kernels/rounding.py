"""How far a computed backup may lie from the true one: what certificates add and subtract.

    grid_rounding                      a bound of |computed - exact| of any backup of `rlgrid.kernels.sweeps` on a grid
                                       (that of explicit models: `rlgrid.kernels.certificate.explicit_rounding`)
    image_above, image_below           bounds of T v and T_pi v, rounding included, worked out in differences of values
    grid_image                         the same on a grid, without its outcomes written out

The second form loses less where values are large beside their differences: near or at gamma = 1. Where it leaves the
range of floats its images are infinite, and prove nothing.
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.model import ABSENT
from rlgrid.kernels.sweeps import grid_arrivals, grid_leave

UNIT_ROUNDOFF = 2.0**-53
UNDERFLOW = 1e-300  # far above what all products of one backup can lose by underflow together
LARGEST = float(np.finfo(np.float64).max)


def grid_rounding(grid, scale):
    """A bound on the largest |r| of a grid, and on |computed - exact| in any cell but walls and terminals (there 0)."""
    largest = 0.0
    for terms in ((grid.step_reward, grid.bump_reward), (grid.enter_reward,), (grid.leave_reward,)):
        largest += max(float(np.abs(term).max()) for term in terms)
    largest *= 1.01
    size = largest + scale
    return largest, 1.02 * (2 * grid.slip.shape[2] + 6) * UNIT_ROUNDOFF * size + UNDERFLOW if size > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _gain(offsets, next_state, probability, reward, terminated, gamma, v, s, pair):
    """q(s, a) - v(s), and a bound on the rounding of it; (-inf, 0) without outcomes, (0, inf) where floats overflow.

    Written as sum p_k / P (r_k + gamma (v(s_k) - v(s))) - (1 - gamma) v(s): what is lost to rounding is then in
    proportion to |r_k|, |v(s_k) - v(s)| and (1 - gamma) |v|, not to |v|; without discounting nothing is where the
    values around s are equal and nothing is earned. Each term passes at most n + 2 roundings without discounting, so
    the bound of `rounding` holds with these sizes in place of |r| and |v|; with it, gamma times the difference, 1 -
    gamma, its product and the last subtraction round once more each. No term has overflown where the bound is finite:
    it is the sum of what is at least as large as each.
    """
    first = offsets[pair]
    last = offsets[pair + 1]
    if first == last:
        return -math.inf, 0.0
    total = 0.0
    mass = 0.0
    size = 0.0
    moved = False
    for i in range(first, last):
        p = probability[i]
        if p == 0.0:  # may lead anywhere, also to -inf
            continue
        r = reward[i]
        step = (0.0 if terminated[i] else v[next_state[i]]) - v[s]
        total += p * (r + gamma * step)
        size += p * (abs(r) + abs(step))
        mass += p
        moved = moved or r != 0.0 or step != 0.0
    gain = total / mass
    size /= mass
    roundings = 2 * (last - first) + 6
    if gamma < 1.0 and v[s] != 0.0:
        gain -= (1.0 - gamma) * v[s]
        size += (1.0 - gamma) * abs(v[s])
        roundings += 8
        moved = True
    error = 1.02 * roundings * UNIT_ROUNDOFF * size + UNDERFLOW if moved else 0.0
    return (gain, error) if error < math.inf else (0.0, math.inf)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _moved_up(v, gain):
    """A float that is at least v + gain, exactly, and not -inf; +inf where either is not a number."""
    to = v + gain
    if not math.isfinite(to):
        return -LARGEST if to < 0.0 else math.inf
    if gain == 0.0:
        return to
    if abs(gain) <= abs(v) and to - v >= gain:  # to - v is exact here (Dekker 1971)
        return to
    return np.nextafter(to, math.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def image_above(num_actions, offsets, next_state, probability, reward, terminated, gamma, v, w, first, last):
    """w(s) >= (T v)(s), rounding included, of the states [first, last); -inf where no action is available."""
    for s in range(first, last):
        w[s] = -math.inf
        if v[s] == -math.inf:
            continue
        for pair in range(s * num_actions, (s + 1) * num_actions):
            gain, error = _gain(offsets, next_state, probability, reward, terminated, gamma, v, s, pair)
            if gain > -math.inf:  # there are outcomes
                w[s] = max(w[s], _moved_up(v[s], gain + error))


@njit(cache=True, nogil=True, error_model="numpy")
def image_below(num_actions, offsets, next_state, probability, reward, terminated, gamma, policy, v, w, first, last):
    """w(s) <= (T_pi v)(s), rounding included, of the states [first, last); +inf where the policy is -1."""
    for s in range(first, last):
        w[s] = math.inf
        if policy[s] < 0:
            continue
        w[s] = -math.inf
        if v[s] > -math.inf:
            pair = s * num_actions + policy[s]
            gain, error = _gain(offsets, next_state, probability, reward, terminated, gamma, v, s, pair)
            if gain > -math.inf:  # there are outcomes
                w[s] = -_moved_up(-v[s], error - gain)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _bounded(total, mass, size, moved, outcomes, gamma, here):
    """(gain, bound of its rounding) as `_gain` has them, from sums over the outcomes."""
    if not (moved or here != 0.0):
        return 0.0, 0.0
    gain = total / mass - (1.0 - gamma) * here
    size = size / mass + (1.0 - gamma) * abs(here)
    error = 1.02 * (2 * outcomes + 14) * UNIT_ROUNDOFF * size + UNDERFLOW
    return (gain, error) if error < math.inf else (0.0, math.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def grid_image(
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
    used,
    gamma,
    follow,
    v,
    w,
    first,
    last,
):
    """`image_above` of the cells [first, last) of a grid without wind, gamma < 1; `image_below` of a policy [S]."""
    worth = np.empty(displacement.shape[0])
    step = np.empty(displacement.shape[0])
    arrival = np.empty(displacement.shape[0], np.int64)
    for s in range(first, last):
        kind = tiles[s]
        here = v[s]
        certain = wall[kind] or terminal[kind] or leave_to[kind] >= 0
        gain = 0.0
        error = 0.0
        if certain:
            r = 0.0
            to = -1
            if not (wall[kind] or terminal[kind]):
                r, to = grid_leave(kind, s, tiles, terminal, step_reward, enter_reward, leave_reward, leave_to)
            change = (v[to] if to >= 0 else 0.0) - here
            gain, error = _bounded(
                r + gamma * change, 1.0, abs(r) + abs(change), r != 0.0 or change != 0.0, 1, gamma, here
            )
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
                step[d] = (v[arrival[d]] if arrival[d] >= 0 else 0.0) - here
        best = -math.inf
        for a in range(num_actions):
            if follow.size > 0 and follow[s] != a:
                continue
            if not certain:
                total = 0.0
                size = 0.0
                mass = 0.0
                outcomes = 0
                moved = False
                for n in range(direction.shape[1]):
                    p = slip[kind, a, n]
                    if p != ABSENT:
                        d = direction[a, n]
                        total += p * (worth[d] + gamma * step[d])
                        size += p * (abs(worth[d]) + abs(step[d]))
                        mass += p
                        outcomes += 1
                        moved = moved or worth[d] != 0.0 or step[d] != 0.0
                gain, error = _bounded(total, mass, size, moved, outcomes, gamma, here)
            if follow.size > 0:
                best = -_moved_up(-here, error - gain)
            else:
                best = max(best, _moved_up(here, gain + error))
        w[s] = best
