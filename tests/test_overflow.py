"""Rewards and values at the ends of the range of floats: no proof passes by overflow or underflow, nothing is nan."""

from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import MDP, GridModel, Slip, TileKind, solve, verify
from rlgrid.methods import METHODS
from rlgrid.problem import Problem
from rlgrid.solvers import SolverWarning

pytestmark = pytest.mark.filterwarnings("ignore::rlgrid.solvers.SolverWarning")


def model_of(table, gamma):
    return MDP.from_gymnasium(table, gamma=gamma, start=0)


def claims(solution, upper=None, lower=None):
    """The solution with other bounds, and nothing else claimed."""
    return replace(
        solution,
        upper=np.full_like(solution.upper, np.inf) if upper is None else np.array(upper),
        lower=np.full_like(solution.lower, -np.inf) if lower is None else np.array(lower),
        error_bound=np.inf,
        policy_loss_bound=np.inf,
        converged=False,
    )


def check_holds(model, solution, gamma):
    """The bounds hold the exact optimum, the values are numbers, and both verifiers agree."""
    best = naive.optimum(model, gamma)
    for low, value, high, exact in zip(solution.lower, solution.values, solution.upper, best, strict=True):
        assert low <= exact <= high
        assert np.isfinite(value)
    assert verify(model, solution)
    assert verify(model, solution, exact=True)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_an_action_whose_differences_overflow_is_not_passed_over(gamma):
    table = {0: {0: [(0.999, 0, 1.7e308, True), (0.001, 1, 0.0, False)]}, 1: {0: [(1.0, 1, -0.86e308, True)]}}
    model = model_of(table, gamma)
    solution = solve(model)
    check_holds(model, solution, gamma)
    with pytest.raises(ValueError, match="not proven"):
        verify(model, claims(solution, upper=[1e308, -0.85e308]))


def test_nor_is_one_whose_costs_overflow_when_a_policy_takes_it():
    table = {0: {0: [(0.999, 0, -1.7e308, True), (0.001, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.86e308, True)]}}
    model = model_of(table, 0.9)
    solution = solve(model)
    check_holds(model, solution, 0.9)
    with pytest.raises(ValueError, match="not proven"):
        verify(model, claims(solution, lower=[-1e308, 0.85e308]))


def test_upper_bounds_of_the_solver_hold_where_differences_overflow():
    table = {
        0: {0: [(1 - 1e-16, 0, 1.7e308, True), (1e-16, 0, -1.7e308, False), (0.0, 1, 8.5e307, True)]},
        1: {0: [(1.0, 1, -0.0, False)], 1: [(1.0, 1, -1.7e308, False)]},
    }
    model = model_of(table, 0.999999999)
    check_holds(model, solve(model, method="krylov_policy_iteration", tolerance=1e-12), 0.999999999)


def test_a_gain_that_underflows_is_not_zero():
    model = model_of({0: {0: [(1.0, 0, 0.0, False), (1e-300, 0, 1e-30, False)]}}, 1.0)
    solution = solve(model, criterion="average")
    gain = Fraction(1e-300) * Fraction(1e-30) / (1 + Fraction(1e-300))
    assert solution.gain_lower <= gain <= solution.gain_upper
    assert verify(model, solution, exact=True)
    with pytest.raises(ValueError, match="not proven"):
        verify(model, replace(solution, gain=0.0, gain_upper=0.0, upper=np.zeros(1)))


LONG = {0: {0: [(1.0, 0, 1.0, False), (0.0, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, True)]}}


def test_an_outcome_that_never_happens_hides_no_reward():
    model = model_of(LONG, 0.9)
    solution = solve(model, horizon=2)
    upper = solution.upper.copy()
    upper[1, 1] = np.inf
    assert verify(model, claims(solution, upper=upper))
    upper[0, 0] = -100.0
    with pytest.raises(ValueError, match="do not follow"):
        verify(model, claims(solution, upper=upper))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bounds_over_a_horizon_hold_where_values_overflow(gamma, sign):
    table = {0: {1: [(1.0, 0, sign * 1e308, False)]}, 1: {0: [(1e-10, 0, 0.0, False), (1 - 1e-10, 1, sign, False)]}}
    model = model_of(table, gamma)
    solution = solve(model, horizon=5)
    assert np.isfinite(solution.values).all()
    assert verify(model, solution)
    assert verify(model, solution, exact=True)
    exact = [Fraction(0)] * 2
    p = Fraction(1e-10) / (Fraction(1e-10) + Fraction(1 - 1e-10))
    for t in range(4, -1, -1):
        exact = [
            Fraction(sign * 1e308) + Fraction(gamma) * exact[0],
            p * Fraction(gamma) * exact[0] + (1 - p) * (Fraction(sign) + Fraction(gamma) * exact[1]),
        ]
        for s in range(2):
            assert solution.lower[t, s] <= exact[s] <= solution.upper[t, s]


@pytest.mark.parametrize("method", [name for name in METHODS if name != "shortest_path"])
def test_every_method_says_that_values_overflow(method):
    table = {0: {0: [(0.5, 0, -1e308, False), (0.5, 1, -1e308, False)]}, 1: {0: [(1.0, 1, 1.0, False)]}}
    model = model_of(table, 0.9)
    with pytest.warns(SolverWarning, match="scale the rewards down"):
        solution = solve(model, method=method)
    check_holds(model, solution, 0.9)


@pytest.mark.parametrize("method", METHODS)
def test_values_that_would_overflow_after_a_hundred_million_million_sweeps(method):
    table = {0: {0: [(1.0, 1, 0.0, False)]}, 1: {0: [(1.0, 0, 1e294, False)]}}
    model = model_of(table, 1 - 2**-53)
    solution = solve(model, method=method)
    assert not solution.converged
    assert solution.sweeps <= 4096
    check_holds(model, solution, 1 - 2**-53)


@pytest.mark.parametrize("method", ["auto", "value_iteration", "policy_iteration"])
def test_a_gain_that_overflows_is_no_nan(method):
    model = model_of(
        {0: {0: [(1.0, 1, 1.7e308, False)]}, 1: {0: [(0.5, 0, -1.7e308, False), (0.5, 1, 1.7e308, False)]}}, 1.0
    )
    solution = solve(model, criterion="average", method=method)
    assert np.isfinite([solution.gain, *solution.values]).all()
    assert verify(model, solution)
    assert verify(model, solution, exact=True)


def test_a_bias_that_overflows_where_episodes_may_end_is_no_nan():
    table = {
        0: {0: [(1.0, 1, 0.0, False)]},
        1: {0: [(1.0, 1, -1.7e308, False), (1e-16, 1, -1.7e308, True)]},
        2: {0: [(0.7, 2, -1.7e308, False), (0.3, 1, 0.0, False)]},
        3: {0: [(0.5, 1, 1.7e308, False), (0.5, 0, 0.0, True)]},
    }
    model = model_of(table, 1.0)
    solution = solve(model, criterion="average")
    assert np.isfinite([solution.gain, *solution.values]).all()
    assert verify(model, solution)
    assert verify(model, solution, exact=True)


def test_actions_are_not_called_worse_where_values_overflow():
    table = {
        0: {0: [(1.0, 0, 0.0, True)], 1: [(1e-200, 1, -1.7e308, False), (1.0, 0, 1e200, True)]},
        1: {0: [(1.0, 1, -1.7e308, True)]},
    }
    model = model_of(table, 0.9)
    solution = solve(model)
    check_holds(model, solution, 0.9)
    assert not solution.suboptimal_actions[0, 1]


SIZES = np.array([0.0, -0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1.0, 1e16, 1e150, 1e300, 5e307, 8.9e307, 1.7e308])


def extremes(rng, n):
    """Numbers of every size, a few sizes at a time."""
    return rng.choice(rng.choice(SIZES, 3), n) * rng.choice([1.0, -1.0, 0.5], n)


def random_table(rng, states=4, actions=2):
    table = {}
    for s in range(states):
        table[s] = {}
        for a in range(actions):
            n = int(rng.integers(1, 4))
            p = np.zeros(n)
            p[rng.integers(n)] = 1.0
            p = [p, np.full(n, 1.0 / n), np.where(p == 1.0, 1.0, rng.choice([1e-300, 5e-324, 1e-12], n))][
                rng.integers(3)
            ]
            to, over = rng.integers(0, states, n), rng.random(n) < 0.25
            table[s][a] = list(zip(p.tolist(), to.tolist(), extremes(rng, n).tolist(), over.tolist(), strict=True))
    return table


def random_grid(rng):
    steps, bumps, enters, leaves = (extremes(rng, 4) * 0.3 for _ in range(4))
    slips = [Slip(), Slip(0.8, 0.1, 0.1), Slip(1.0 - 1e-12, 1e-12)]
    kinds = [
        TileKind(
            "abcd"[k],
            wall=k == 1,
            terminal=k == 2,
            slip=slips[rng.integers(3)],
            step_reward=steps[k],
            bump_reward=bumps[k],
            enter_reward=enters[k],
            leave_reward=leaves[k],
            leave_to=0 if k == 3 else None,
        )
        for k in range(4)
    ]
    tiles = rng.choice(4, size=(3, 4), p=[0.7, 0.1, 0.1, 0.1])
    tiles[0, 0] = 0
    return GridModel(tiles, kinds, gamma=0.9)


def exact_image(table, s, actions, gamma, v, worst):
    """max over the actions of q(s, a) under v; ``worst`` where one may lead to a number that is not finite."""
    best = []
    for a in actions:
        q = Fraction(0)
        for p, to, r, ends in table[s][a]:
            if not ends and gamma and not np.isfinite(v[to]):
                return worst
            q += p * (r + (0 if ends or not gamma else Fraction(gamma) * Fraction(v[to])))
        best.append(q)
    return max(best)


@pytest.mark.parametrize("kind", ["table", "grid"])
def test_images_hold_the_exact_ones_at_the_ends_of_the_range(kind, monkeypatch):
    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    monkeypatch.setattr("rlgrid.stencil.MOST_ODD", 1)
    rng = np.random.default_rng(3)
    infinite = close = 0
    for _ in range(100):
        gamma = float(rng.choice([0.0, 5e-324, 0.5, 0.9, 1.0 - 2**-53]))
        model = model_of(random_table(rng), gamma) if kind == "table" else random_grid(rng)
        problem = Problem.of(model, gamma)
        table = naive.exact_model(model)
        everything = range(model.num_actions)
        policy = rng.integers(0, model.num_actions, model.num_states)
        v = extremes(rng, model.num_states)
        for sign, unknown in ((1.0, False), (-1.0, False), (1.0, True), (-1.0, True)):
            x = np.where(rng.random(v.size) < 0.2, sign * np.inf, v) if unknown else v
            if sign > 0.0:
                images = [problem.image_above(x), problem.above(x)]
            else:
                images = [-problem.image_below(policy, x), -problem.below(policy, x)]
            for s in range(model.num_states):
                actions = everything if sign > 0.0 else [policy[s]]
                exact = int(sign) * exact_image(table, s, actions, gamma, x, sign * np.inf)
                bounds = [image[s] for image in images]
                if unknown and not np.isfinite(x[s]):
                    bounds.pop()  # differences from infinity prove nothing
                    assert images[1][s] == np.inf
                assert all(bound >= exact for bound in bounds)
                infinite += np.isinf(bounds[0])
                if np.isfinite(bounds[0]):
                    close += Fraction(bounds[0]) - exact <= Fraction(1e-14) * int(1.7e308)
    assert infinite > 100
    assert close > 1000


def test_a_large_grid_whose_values_overflow_has_bounds(monkeypatch):
    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    model = GridModel(np.zeros((20, 30), np.int64), [TileKind("floor")], gamma=0.9, step_reward=-1e308)
    assert Problem.of(model, 0.9).stencil is not None
    for horizon in (None, 4):
        solution = solve(model, horizon=horizon)
        assert np.isfinite(solution.values).all()
        assert verify(model, solution)
    with pytest.raises(ValueError, match="not proven"):
        verify(model, claims(solve(model), lower=np.full(600, -1.7e308)))


@pytest.mark.parametrize("scale", [1.0, 1e307])
def test_policies_keep_to_available_actions_where_values_are_no_numbers(scale):
    table = {
        0: {1: [(1.0, 1, -scale, False)], 2: [(0.5, 0, -0.2 * scale, False), (0.5, 1, 0.0, False)]},
        1: {1: [(1.0, 0, 2.0 * scale, False)], 2: [(1.0, 1, 0.1 * scale, False)]},
    }
    model = model_of(table, 0.99)
    values = [1e308, -1e308]

    def spoil(sweeps):
        sweeps.values[:] = np.nan
        return False

    for solution in (solve(model, initial_values=values), solve(model, callback=spoil, method="value_iteration")):
        assert solution.policy.min() >= 1
        assert verify(model, solution)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "shortest_path"])
@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [1.7e308, 1.7e308]])
def test_no_spread_is_negative_where_given_values_overflow(method, values):
    model = model_of({0: {0: [(1.0, 1, -1.0, False)], 1: [(1.0, 0, 0.0, False)]}, 1: {0: [(1.0, 0, 2.0, False)]}}, 0.99)
    solution = solve(model, method=method, initial_values=values)
    assert (solution.history >= 0.0).all()
    assert verify(model, solution)
