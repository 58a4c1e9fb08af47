"""Kernels that methods and proofs are made of, each against plain Python loops of the same rule or exact fractions."""

import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from test_average import random_model as unending_model
from test_methods import deterministic, reduced, solvable
from test_ordered import random_grid
from test_solvers import random_model

from rlgrid.average_model import Parts, above, below
from rlgrid.compressed import compressed
from rlgrid.ordered import Layout
from rlgrid.problem import Problem

# --- the reduced form -----------------------------------------------------------------------------------------------


def pairs_of(form):
    """For each node its pairs (number, reward, leak, [(weight, to)])."""
    return [
        [
            (
                j,
                float(form.reward[j]),
                float(form.leak[j]),
                [
                    (float(form.weight[k]), int(form.to[k]))
                    for k in range(int(form.offsets[j]), int(form.offsets[j + 1]))
                ],
            )
            for j in range(int(form.first_pair[i]), int(form.first_pair[i + 1]))
        ]
        for i in range(form.nodes)
    ]


def backup(pairs, v, i):
    return max(v[i] + r - leak * v[i] + sum(w * (v[t] - v[i]) for w, t in onward) for _, r, leak, onward in pairs[i])


def plain_sweep(pairs, v, nodes):
    """A sweep in place over some nodes: (least, greatest change, 0 if none)."""
    changes = [0.0]
    for i in nodes:
        new = backup(pairs, v, i)
        changes.append(new - v[i])
        v[i] = new
    return min(changes), max(changes)


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_labels_are_the_longest_paths_of_costs(gamma):
    """At gamma = 1 against Bellman and Ford's rounds over all edges; else as the values of the chosen paths."""
    from rlgrid.kernels.prioritized import labels

    rng = np.random.default_rng(1)
    lost = 0
    for _ in range(80):
        form = reduced(deterministic(rng, gamma), gamma)
        pairs = pairs_of(form)
        v, choice = np.full(form.nodes, 7.5), np.full(form.nodes, 99)
        labels(*form.arrays, *form.edges[:2], v, choice)
        best = [-math.inf] * form.nodes
        for _ in range(form.nodes + 1):
            for i, row in enumerate(pairs):
                for _, r, _, onward in row:
                    best[i] = max(best[i], r + sum(w * best[t] for w, t in onward))
        for i in range(form.nodes):
            if best[i] == -math.inf:
                lost += 1
                assert (choice[i], v[i]) == (-1, 7.5)
                continue
            if gamma == 1.0:
                assert v[i] == pytest.approx(best[i], abs=1e-12)
            at, worth, share, steps = i, 0.0, 1.0, 0
            while True:
                assert form.first_pair[at] <= choice[at] < form.first_pair[at + 1]
                _, r, _, onward = pairs[at][choice[at] - form.first_pair[at]]
                worth, steps = worth + share * r, steps + 1
                assert steps <= form.nodes
                if not onward:
                    break
                ((w, at),) = onward
                share *= w
            assert v[i] == pytest.approx(worth, abs=1e-12)
    assert (lost > 0) == (gamma < 1.0)  # at gamma = 1 such nodes are hopeless, and left out


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_first_values_count_what_comes_later_as_if_it_came_back(gamma):
    rng = np.random.default_rng(2)
    for _ in range(60):
        model, _ = solvable(rng, gamma)
        form = reduced(model, gamma, "distance")
        if not form.nodes:
            continue
        pairs = pairs_of(form)
        low = -math.inf
        if gamma < 1.0:
            low = min(max(r / leak for _, r, leak, _ in row) for row in pairs)
        v = []
        for i, row in enumerate(pairs):
            promises = [low]
            for _, r, leak, onward in row:
                total = r + sum(w * v[t] for w, t in onward if t < i)
                known = leak + sum(w for w, t in onward if t < i)
                later = sum(w for w, t in onward if t >= i)
                if known >= later or (low == -math.inf and known > 0.0):
                    promises.append(total / known)
                elif low > -math.inf:
                    promises.append(total + later * low)
            v.append(max(promises) if max(promises) > -math.inf else 0.0)
        np.testing.assert_allclose(form.guess(), v, rtol=1e-12, atol=1e-12)


def plain_level_starts(pairs):
    level = []
    for i, row in enumerate(pairs):
        before = [level[t] for _, _, _, onward in row for _, t in onward if t < i]
        level.append(max([min(before) + 1 if before else 0, *level[-1:]]))
    return [i for i in range(len(level)) if i == 0 or level[i] > level[i - 1]] + [len(level)]


def march_plainly(starts, settled, window, changes, sweep):
    """One pass over the window, one level wider than before; its spread. ``sweep`` sweeps cells first .. last - 1."""
    levels = len(starts) - 1
    low = high = 0.0
    for level in range(*window):
        fall, rise = sweep(starts[level], starts[level + 1])
        changes[level] = max(rise, -fall)
        low, high = min(low, fall), max(high, rise)
    while window[0] < window[1] and changes[window[0]] <= settled:
        if window[0] + 1 < levels and changes[window[0] + 1] > 10.0 * settled:
            break
        window[0] += 1
    return high - low


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_windows_of_levels_march_over_nodes(gamma):
    from rlgrid.kernels.reduced import level_starts, march

    rng = np.random.default_rng(3)
    passes = 0
    for _ in range(40):
        model = random_grid(rng, 6, 6, step_reward=-1.0, bump_reward=-1.5).to_mdp()
        try:
            form = reduced(model, gamma, "distance")
        except ValueError:
            continue
        if not form.nodes:
            continue
        pairs = pairs_of(form)
        starts = level_starts(*form.arrays[:3])
        assert starts.tolist() == plain_level_starts(pairs)
        window, changes = np.zeros(2, np.int64), np.full(starts.size - 1, np.inf)
        v = rng.normal(size=form.nodes)
        mine, span, moved = v.tolist(), [0, 0], [math.inf] * (starts.size - 1)

        def sweep(first, last, pairs=pairs, mine=mine):
            return plain_sweep(pairs, mine, range(first, last))

        for _ in range(60):
            if span[0] == starts.size - 1:
                break
            spread = march(*form.arrays, starts, 1e-3, window, changes, 1, v)  # any budget allows one pass
            span[1] = min(span[1] + 1, starts.size - 1)
            expected = march_plainly(starts.tolist(), 1e-3, span, moved, sweep)
            passes += 1
            assert spread == pytest.approx(expected, rel=1e-9, abs=1e-12)
            np.testing.assert_allclose(v, mine, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(changes, moved, rtol=1e-9, atol=1e-12)
            assert window.tolist() == span
    assert passes > 200


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_components_are_solved_in_turn(gamma):
    from rlgrid.kernels.reduced import run_components

    rng = np.random.default_rng(4)
    several = 0
    for _ in range(150):
        model, _ = solvable(rng, gamma)
        form = reduced(model, gamma, "distance", by_component=True)
        pairs = pairs_of(form)
        starts = form.starts.tolist()
        v = rng.normal(size=form.nodes)
        mine = v.tolist()
        budget = int(rng.integers(1, 40))
        at, used, backed_up = run_components(*form.arrays, form.starts, v, 0, 1e-3, budget)
        k = spent = made = turn = 0
        while k < len(starts) - 1 and spent < budget:
            nodes = list(range(starts[k], starts[k + 1]))
            low, high = plain_sweep(pairs, mine, nodes[::-1] if turn % 2 else nodes)
            spent, made, turn = spent + len(nodes), made + sum(len(pairs[i]) for i in nodes), turn + 1
            if len(nodes) == 1 or high - low <= 1e-3:
                k, turn = k + 1, 0
        assert (at, used, backed_up) == (k, spent, made)
        np.testing.assert_allclose(v, mine, rtol=1e-12, atol=1e-12)
        several += k > 1
    assert several > 10


# --- grids laid out by distance -------------------------------------------------------------------------------------


def cells_of(layout):
    """For each number the slips of each action, (probability, reward, number reached) of what can happen."""
    cells = [[]]
    for i in range(1, layout.size + 1):
        slips = layout.slips[int(layout.slip_of[i]) if layout.slip_of.size else 0]
        reward = layout.rewards[layout.code[i]] if layout.code.size else np.full(layout.to.shape[1], layout.rewards[0])
        cells.append(
            [
                [(float(p), float(reward[d]), int(layout.to[i, d])) for p, d in zip(slips[a], way, strict=True)]
                for a, way in enumerate(layout.direction)
            ]
        )
    return cells


@pytest.mark.parametrize("guesses", [False, True])
def test_windows_of_levels_march_over_cells(guesses):
    from rlgrid.kernels.ordered import march

    rng = np.random.default_rng(5)
    passes = 0
    for _ in range(30):
        layout = Layout(random_grid(rng, 6, 7), 0.9)
        cells = cells_of(layout)
        starts = layout.starts.tolist()
        v = np.append(0.0, rng.normal(size=layout.size))
        mine, span, moved = v.tolist(), [0, 0], [math.inf] * layout.levels
        window, changes = np.zeros(2, np.int64), np.full(layout.levels, np.inf)
        patience = 0.25 if guesses else -1.0

        def sweep(first, last, mine=mine, cells=cells):
            found = [0.0]
            for i in range(first, last):
                best = max(sum(p * (r + 0.9 * mine[t]) for p, r, t in slips) for slips in cells[i])
                found.append(best - mine[i])
                mine[i] = best
            return min(found), max(found)

        for _ in range(60):
            if span[0] == layout.levels:
                break
            settled, loss = 1e-3, -0.125
            swept, spread = march(*layout.tables, 0.9, patience, loss, layout.starts, settled, window, changes, 1, v)
            if span[1] < layout.levels:
                if guesses:  # of the best move to a cell known before, a little late
                    for i in range(starts[span[1]], starts[span[1] + 1]):
                        rewards = layout.rewards[layout.code[i]] if layout.code.size else [layout.rewards[0]] * 9
                        known = [
                            float(rewards[d]) + 0.9 * mine[t] for d, t in enumerate(layout.to[i].tolist()) if t < i
                        ]
                        if known:
                            mine[i] = loss + 0.9**0.25 * max(known)
                span[1] += 1
            passes += 1
            assert swept == starts[span[1]] - starts[span[0]]
            assert spread == pytest.approx(march_plainly(starts, settled, span, moved, sweep), rel=1e-9, abs=1e-12)
            np.testing.assert_allclose(v, mine, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(changes, moved, rtol=1e-9, atol=1e-12)
            assert window.tolist() == span
    assert passes > 200


# --- the average reward ---------------------------------------------------------------------------------------------


def test_relative_sweeps_of_several_parts():
    """Each part is shifted by the middle of its own changes; it ends once the widest spread is small enough."""
    from rlgrid.kernels.average import relative_sweeps

    rng = np.random.default_rng(6)
    ended = 0
    for _ in range(60):
        m = compressed(random_model(rng, 0.9).arrays)
        S, A = m.num_states, m.num_actions
        parts = int(rng.integers(1, 4))
        part = rng.integers(-1, parts, S)
        part[:parts] = np.arange(min(parts, S))
        v, w = rng.normal(size=S), np.empty(S)
        low, high, history = np.empty(parts), np.empty(parts), np.empty(30)
        mine, spreads = v.tolist(), []
        enough = 0.05
        for _ in range(30):
            image = []
            for s in range(S):
                q = [
                    m.reward[j]
                    + sum(m.weight[i] * mine[m.next_state[i]] for i in range(m.offsets[j], m.offsets[j + 1]))
                    for j in range(s * A, (s + 1) * A)
                ]
                image.append(max(q))
            moved = [[image[s] - mine[s] for s in range(S) if part[s] == k] for k in range(parts)]
            ranges = [(min(x, default=math.inf), max(x, default=-math.inf)) for x in moved]
            spreads.append(max(0.0, *(b - a for a, b in ranges)))
            for s in range(S):
                a, b = ranges[max(part[s], 0)]
                if a <= b:
                    mine[s] += 0.8 * (image[s] - mine[s]) - 0.8 * (a + b) / 2
            if spreads[-1] <= enough:
                ended += 1
                break
        tables = (S, A, m.offsets, m.next_state, m.weight, m.reward)
        made = relative_sweeps(*tables, part, 0.8, v, w, low, high, 30, enough, history)
        assert made == len(spreads)
        np.testing.assert_allclose(history[:made], spreads, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(v, mine, rtol=1e-9, atol=1e-9)
        for k, (a, b) in enumerate(ranges):
            assert (low[k], high[k]) == pytest.approx((a, b), rel=1e-9, abs=1e-9)
    assert ended > 5


def test_bounds_of_gains_enclose_the_exact_ones():
    """T h - h and T_pi h - h of the pairs that never end, as fractions; rounding is a few last digits of them."""
    rng = np.random.default_rng(7)
    for _ in range(60):
        model = unending_model(rng)
        parts = Parts(model)
        S, A = model.num_states, model.num_actions
        h = rng.normal(size=S) * float(rng.choice([1.0, 1e6])) + float(rng.choice([0.0, 1e9]))
        policy = rng.integers(0, A, S)
        most, least = above(parts.inner, h), below(parts.inner, h, policy)
        slack = Fraction(1e-13) * Fraction(1.0 + float(np.ptp(h)) + float(np.abs(model.reward).max()))
        for s, row in enumerate(naive.exact_model(model)):
            gains = {
                a: sum(p * (r + Fraction(h[to]) - Fraction(h[s])) for p, to, r, _ in run)
                for a, run in enumerate(row)
                if parts.goes_on[s] and any(p > 0 for p, *_ in run) and not parts.ending[s * A + a]
            }
            if gains:
                assert max(gains.values()) <= Fraction(most[s]) <= max(gains.values()) + slack
            else:
                assert most[s] == -math.inf
            if policy[s] in gains:
                exact = gains[int(policy[s])]
                assert exact - slack <= Fraction(least[s]) <= exact
            else:
                assert least[s] == math.inf


# --- rounding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99999, 1.0])
def test_images_of_explicit_models_enclose_the_exact_ones(gamma):
    """In differences of values: with large values what is lost is a last digit, not one of every product."""
    from rlgrid.kernels.rounding import image_above, image_below

    rng = np.random.default_rng(8)
    for _ in range(60):
        model = random_model(rng, gamma)
        S, A = model.num_states, model.num_actions
        arrays = model.arrays[1:7]
        v = rng.normal(size=S) * float(rng.choice([1.0, 1e6])) + float(rng.choice([0.0, 1e9]))
        policy = rng.integers(-1, A, S)
        most, least = np.empty(S), np.empty(S)
        half = S // 2  # a range writes only there
        for first, last in ((half, S), (0, half)):
            image_above(*arrays, gamma, v, most, first, last)
            image_below(*arrays, gamma, policy, v, least, first, last)
        slack = Fraction(1e-13) * Fraction(1.0 + float(np.abs(v).max()) + float(np.abs(model.reward).max()))
        for s, row in enumerate(naive.exact_model(model)):
            q = {
                a: sum(p * (r + (0 if ends else Fraction(gamma) * Fraction(v[to]))) for p, to, r, ends in run)
                for a, run in enumerate(row)
                if run
            }
            assert max(q.values()) <= Fraction(most[s]) <= max(q.values()) + slack
            if policy[s] < 0:
                assert least[s] == math.inf
            elif policy[s] in q:
                assert q[int(policy[s])] - slack <= Fraction(least[s]) <= q[int(policy[s])]
            else:
                assert least[s] == -math.inf


def test_images_where_values_are_infinite():
    """A state at -infinity stays there; an action that may lead into one proves nothing from below."""
    from rlgrid import MDP
    from rlgrid.kernels.rounding import image_above, image_below

    table = {
        0: {0: [(0.5, 1, 3.0, False), (0.5, 0, 3.0, False)], 1: [(1.0, 0, -2.0, True)]},
        1: {0: [(1.0, 0, 0.0, True)]},
    }
    arrays = MDP.from_gymnasium(table, gamma=1.0, start=0).arrays[1:7]
    v, most, least = np.array([5.0, -math.inf]), np.empty(2), np.empty(2)
    image_above(*arrays, 1.0, v, most, 0, 2)
    assert most[0] >= -2.0
    assert most[1] == -math.inf
    image_below(*arrays, 1.0, np.array([0, 0]), v, least, 0, 2)
    assert least.tolist() == [-math.inf, -math.inf]
    image_below(*arrays, 1.0, np.array([1, -1]), v, least, 0, 2)
    assert -2.0 - 1e-14 <= least[0] <= -2.0
    assert least[1] == math.inf


# --- certificates ---------------------------------------------------------------------------------------------------


def test_the_rounding_of_a_backup_is_that_of_the_formula():
    from rlgrid.kernels.certificate import explicit_rounding, largest_rounding

    most = np.array([1, 3, 2, 7, 0], np.int32)
    size = np.array([0.0, 2.5, 0.0, 1e300, 0.0])
    on = np.array([False, True, True, True, False])
    for scale in (0.0, 1e-200, 3.0, 1e300):
        found = explicit_rounding(most, size, on, scale)
        for s in range(most.size):
            total = Fraction(size[s]) + (Fraction(scale) if on[s] else 0)
            least = (2 * int(most[s]) + 6) * Fraction(2) ** -53 * total
            assert found[s] == 0.0 if total == 0 else least <= Fraction(found[s]) <= 1.03 * least + Fraction(1.1e-300)
        assert largest_rounding(most, size, on, scale) == found.max()


def test_one_pass_finds_what_numpy_finds_in_many():
    from rlgrid.kernels.certificate import largest_numbers, moved_outwards, settle

    rng = np.random.default_rng(32)
    for trial in range(200):
        v, w = rng.normal(size=(2, 9))
        odd = [np.nan, np.inf, -np.inf, None][trial % 4]
        if odd is not None:
            v[rng.integers(9)] = w[rng.integers(9)] = odd
        finite = np.abs(v[np.isfinite(v)])
        every = np.abs(v).max() if not np.isnan(v).any() else np.inf
        found = largest_numbers(v)
        assert found[:2] == (finite.max(), every)
        assert np.isnan(v).any() or found[2] == v.max()
        error = rng.random(9) * 2.0
        for upwards in (True, False):
            bound = v + rng.random() * (9.0 if upwards else -9.0)
            image, scale = w.copy(), 10.0 * rng.random()
            expected = w + error if upwards else w - error
            passes = (expected <= bound if upwards else expected >= bound).all()
            passes = passes and np.abs(expected).max() <= scale and np.abs(bound).max() <= scale
            assert moved_outwards(error, scale, upwards, bound, image) == passes
            np.testing.assert_array_equal(image, expected)
        low, high = np.sort(rng.normal(size=(2, 9)), axis=0)
        if trial % 3 == 0:
            low[2] = high[2] = v[2] = -np.inf  # hopeless at gamma = 1
            low[3], high[4] = -np.inf, np.inf
        wanted = np.clip(np.where(np.isfinite(v), v, 0.0), low, high)
        settled = np.empty(9)
        apart = low < high
        gap = np.maximum(high[apart] - wanted[apart], wanted[apart] - low[apart]).max()
        assert settle(0, 9, v, low, high, settled) == (gap, (high[apart] - low[apart]).max())
        np.testing.assert_array_equal(settled, wanted)


def test_bounds_of_images_hold_whatever_the_values():
    """Against exact rationals: from any values, bounds of T v and T_pi v alone hold V^pi and V*."""
    from rlgrid.kernels.certificate import bounds_of_images

    rng = np.random.default_rng(33)
    proofs = 0
    for trial in range(60):
        gamma = [0.0, 0.5, 0.9, 0.999][trial % 4]
        model = random_model(rng, gamma)
        exact = [Fraction(x) for x in naive.optimum(model, gamma)]
        problem = Problem.of(model, gamma)
        size = [0.0, 1.0, 1e6][trial % 3]
        v = np.array([float(x) for x in exact]) + size * rng.normal(size=model.num_states)
        policy, w, w_policy = problem.greedy_images(v)
        lower, upper = np.full_like(v, np.nan), np.full_like(v, np.nan)
        known = *problem.survey[1:4], problem.largest_reward, gamma, np.abs(v).max()
        rise, fall, proven = bounds_of_images(*known, v, w_policy, w, lower, upper)
        assert (rise, fall) == ((w - v).max(), (w_policy - v).min())
        if not proven:
            continue
        proofs += 1
        worth = naive.policy_value(naive.exact_model(model), policy, gamma)
        for s in range(model.num_states):
            assert Fraction(lower[s]) <= worth[s] <= exact[s] <= Fraction(upper[s])
    assert proofs > 40
    v[0] = np.inf
    assert bounds_of_images(*known, v, w_policy, w, lower, upper) == (np.inf, -np.inf, False)
