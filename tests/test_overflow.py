"""Rewards and values at the ends of the range of floats: no proof passes by overflow or underflow, nothing is nan."""

from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import MDP, solve, verify
from rlgrid.methods import METHODS
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


@pytest.mark.parametrize("method", ["auto", "policy_iteration", "krylov_policy_iteration", "modified_policy_iteration"])
def test_methods_with_a_policy_say_that_values_overflow(method):
    table = {0: {0: [(0.5, 0, -1e308, False), (0.5, 1, -1e308, False)]}, 1: {0: [(1.0, 1, 1.0, False)]}}
    model = model_of(table, 0.9)
    with pytest.warns(SolverWarning, match="scale the rewards down|rounding forbids"):
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


def test_actions_are_not_called_worse_where_values_overflow():
    table = {
        0: {0: [(1.0, 0, 0.0, True)], 1: [(1e-200, 1, -1.7e308, False), (1.0, 0, 1e200, True)]},
        1: {0: [(1.0, 1, -1.7e308, True)]},
    }
    model = model_of(table, 0.9)
    solution = solve(model)
    check_holds(model, solution, 0.9)
    assert not solution.suboptimal_actions[0, 1]
