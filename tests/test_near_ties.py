"""Actions that are nearly as good as the best: the policy's loss is proven small, and its bounds hold exactly."""

import warnings
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import MDP, solve, verify
from rlgrid.solvers import SolverWarning

EPSILON = float(np.finfo(np.float64).eps)


def two_loops(gamma, gap):
    """One state: action 1 earns 1 for ever, action 0 a little less."""
    return MDP.from_gymnasium({0: {0: [(1.0, 0, 1.0 - gap, False)], 1: [(1.0, 0, 1.0, False)]}}, gamma=gamma, start=0)


@pytest.mark.parametrize("method", ["auto", "value_iteration", "policy_iteration", "krylov_policy_iteration"])
@pytest.mark.parametrize(("gamma", "gap"), [(0.9999, 8e-9), (1 - 1e-6, 8e-7)])
def test_a_small_difference_at_each_step_counts(method, gamma, gap):
    """It adds up to gap / (1 - gamma): 8e-5 and 0.8."""
    model = two_loops(gamma, gap)
    solution = solve(model, method=method, tolerance=1e-4)
    assert solution.converged
    assert solution.policy.tolist() == [1]
    assert solution.policy_loss_bound <= 2e-4
    assert verify(model, solution, exact=True)


def test_exact_ties_take_the_lowest_action():
    for gamma in (0.5, 0.9999, 1 - 1e-6):
        assert solve(two_loops(gamma, 0.0), tolerance=1e-3).policy.tolist() == [0]


def test_many_states_lose_no_more_than_rounding_does():
    """Values of 10^9 with gamma = 1 - 10^-9: what a digit is worth at each step, not 10^-12 of the values."""
    rng = np.random.default_rng(0)
    S, A, gamma = 200, 3, 1 - 1e-9
    share = rng.random((S, A, 1))
    probability = np.concatenate([share, 1.0 - share], axis=2).ravel()
    to, reward = rng.integers(0, S, S * A * 2), rng.random(S * A * 2)
    offsets = np.arange(0, S * A * 2 + 1, 2)
    model = MDP(S, A, offsets, to, probability, reward, np.zeros(to.size, bool), gamma=gamma, start=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)
        solution = solve(model)
    rounding = 4.0 * EPSILON * np.abs(solution.values).max() / (1.0 - gamma)
    assert solution.policy_loss_bound < rounding
    assert verify(model, solution)


def test_random_near_ties_against_rationals():
    """Every action has a twin that earns a little less: exact loss within the bound, which is within the tolerance."""
    rng = np.random.default_rng(7)
    later = 0
    for _ in range(40):
        S = int(rng.integers(1, 5))
        gamma = float(rng.choice([0.9, 0.999, 1 - 1e-5]))
        gap = 10.0 ** rng.uniform(-13, -6)
        table = {}
        for s in range(S):
            p = float(rng.integers(1, 8)) / 8
            to = rng.integers(0, S, 2).tolist()
            r = float(rng.integers(-4, 5))
            less = rng.permutation(3) * gap * (rng.random() < 0.8)
            table[s] = {a: [(p, to[0], r - less[a], False), (1.0 - p, to[1], r, False)] for a in range(3)}
        model = MDP.from_gymnasium(table, gamma=gamma, start=0)
        tolerance = 1e-6 if gamma < 0.9999 else 1e-3
        solution = solve(model, tolerance=tolerance)
        assert solution.converged
        worth = naive.policy_value(naive.exact_model(model), solution.policy, gamma)
        best = naive.optimum(model, gamma, solution.policy)
        for s in range(S):
            low, high = Fraction(float(solution.lower[s])), Fraction(float(solution.upper[s]))
            assert low <= worth[s] <= best[s] <= high
            assert best[s] - worth[s] <= Fraction(2 * tolerance)
        later += bool((solution.policy > 0).any())
    assert later > 10
