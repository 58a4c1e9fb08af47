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


def chain(size, less):
    """`size` steps to the end for 1 each, of which action 0 pays a little more."""
    to = np.repeat(np.minimum(np.arange(size) + 1, size - 1), 2)
    reward = np.tile([-1.0 - less, -1.0], size)
    terminated = np.repeat(np.arange(size) == size - 1, 2)
    offsets = np.arange(2 * size + 1)
    return MDP(size, 2, offsets, to, np.ones(2 * size), reward, terminated, gamma=1.0, start=0)


@pytest.mark.parametrize("method", ["auto", "value_iteration", "policy_iteration", "shortest_path"])
@pytest.mark.parametrize(("size", "less"), [(3000, 1e-11), (4900, 1e-11), (1000, 8e-10), (6000, 1e-11)])
def test_long_undiscounted_episodes_keep_their_bounds(method, size, less):
    model = chain(size, less)
    solution = solve(model, method=method)
    assert solution.converged
    left = -np.arange(size, 0, -1.0)  # V*
    assert (solution.lower <= left).all()
    assert (left <= solution.upper).all()
    loss = np.cumsum((solution.policy == 0)[::-1])[::-1] * less
    assert (solution.lower <= (left - loss) * (1.0 - 4.0 * EPSILON)).all()
    assert loss.max() <= solution.policy_loss_bound <= 2e-6
    assert verify(model, solution)


def test_undiscounted_ties_give_way_to_the_tolerance():
    """A difference that rounding may make at a step, 10^-14 of the values, but 10,000 times in an episode."""
    model = chain(3000, 8e-12)
    solution = solve(model, tolerance=5e-9)
    assert solution.converged
    assert (solution.policy == 1).mean() > 0.9
    assert verify(model, solution)
    assert solve(chain(3000, 0.0)).policy.tolist() == [0] * 3000


def test_random_undiscounted_near_ties_against_rationals():
    rng = np.random.default_rng(8)
    later = 0
    for _ in range(40):
        S = int(rng.integers(1, 5))
        gap = 10.0 ** rng.uniform(-14, -6)
        ending = 2.0 ** -int(rng.integers(1, 12))
        table = {}
        for s in range(S):
            to = int(rng.integers(0, S))
            r = -float(rng.integers(1, 5))
            less = rng.permutation(3) * gap * (rng.random() < 0.8)
            table[s] = {a: [(1.0 - ending, to, r - less[a], False), (ending, 0, r, True)] for a in range(3)}
        model = MDP.from_gymnasium(table, gamma=1.0, start=0)
        solution = solve(model)
        assert solution.converged
        worth = naive.policy_value(naive.exact_model(model), solution.policy, 1.0)
        best = naive.optimum_undiscounted(model)
        for s in range(S):
            low, high = Fraction(float(solution.lower[s])), Fraction(float(solution.upper[s]))
            assert low <= worth[s] <= best[s] <= high
            assert best[s] - worth[s] <= Fraction(2e-6)
        later += bool((solution.policy > 0).any())
    assert later > 10


@pytest.mark.parametrize("size", [4999, 5001])
def test_no_state_reaches_an_end(size):
    states = np.arange(size)
    model = MDP(
        size,
        1,
        np.arange(size + 1),
        (states + 1) % size,
        np.ones(size),
        -np.ones(size),
        np.zeros(size, bool),
        gamma=1.0,
        start=0,
    )
    solution = solve(model)
    assert (solution.values == -np.inf).all()
    assert solution.converged
    assert verify(model, solution)
