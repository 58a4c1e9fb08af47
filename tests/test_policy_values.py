"""The exact values of policies, the share of regret, and what models remember."""

import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from test_solvers import random_model, random_walk, success_run, two_ways

from rlgrid import MDP, GridSpec, policy_values, share_of_regret, solve, verify
from rlgrid.regret import optimum
from rlgrid.solvers import SolverWarning, Sweeps


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.999, 1.0])
def test_policy_values_are_exact(gamma):
    rng = np.random.default_rng(7)
    compared = 0
    for _ in range(60):
        model = random_model(rng, gamma)
        mask = np.ones((model.num_states, model.num_actions), bool) if model.available is None else model.available
        weights = rng.integers(0, 3, mask.shape) * mask + np.eye(model.num_actions)[0] * 1.0
        stochastic = weights / weights.sum(axis=1, keepdims=True)
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in mask])
        for policy in (actions, stochastic):
            exact = naive.policy_value(naive.exact_model(model), policy, gamma)
            if any(math.isnan(x) for x in exact):
                with pytest.raises(ValueError, match="from state"):
                    policy_values(model, policy)
                continue
            try:
                got = policy_values(model, policy)
            except ValueError as error:
                assert "both signs" in str(error)  # noqa: PT017
                continue
            compared += 1
            np.testing.assert_allclose(got, [float(x) for x in exact], rtol=1e-9, atol=1e-9)
    assert compared > 80


def time_of_walk(size, forward):
    """The exact steps of `random_walk` from its first state: from s to s + 1 it takes t(s) = (1 + q t(s - 1)) / p."""
    p, q = Fraction(forward), Fraction(1 - forward)
    p, q = p / (p + q), q / (p + q)
    each = [1 / p]
    for _ in range(size - 1):
        each.append((1 + q * each[-1]) / p)
    return float(sum(each))


@pytest.mark.parametrize("p", [0.5, 1e-3, 1e-5, 1e-7, 1e-12, 1e-40])
def test_slow_chains_are_evaluated_to_all_digits(p):
    model = success_run(p)
    exact = naive.policy_value(naive.exact_model(model), [0, 0, 0], 1.0)
    np.testing.assert_allclose(policy_values(model, [0, 0, 0]), [float(x) for x in exact], rtol=1e-13)


@pytest.mark.parametrize("gamma", [0.5, 0.999999, 1.0])
def test_a_loop_that_is_hardly_ever_left(gamma):
    model = MDP(1, 1, [0, 2], [0, 0], [1 - 1e-15, 1e-15], [0.0, -1.0], [False, True], gamma=gamma)
    exact = naive.policy_value(naive.exact_model(model), [0], gamma)
    np.testing.assert_allclose(policy_values(model, [0]), [float(x) for x in exact], rtol=1e-13)


@pytest.mark.parametrize(("size", "forward"), [(300, 0.48), (700, 0.5), (900, 0.49)])
def test_slow_walks_are_evaluated_to_all_digits(size, forward):
    """By elimination, by LU, and by elimination because LU loses all digits (3e18 steps)."""
    values = policy_values(random_walk(size, forward), np.zeros(size, int))
    assert values[0] == pytest.approx(-time_of_walk(size, forward), rel=1e-9)


def test_values_whose_digits_are_lost_are_not_given_in_silence(monkeypatch):
    monkeypatch.setattr("rlgrid.policy_evaluation.ELIMINATION_WORK", 0)
    with pytest.warns(SolverWarning, match="with no digit certain"):
        policy_values(random_walk(900, 0.49), np.zeros(900, int))


def test_sparse_and_dense_evaluation_agree(monkeypatch):
    model = GridSpec.builtin("four_rooms").compile()
    uniform = np.full((169, 4), 0.25)
    sparse = policy_values(model, uniform)
    monkeypatch.setattr("rlgrid.policy_evaluation.ELIMINATED", 100)
    np.testing.assert_allclose(policy_values(model, uniform), sparse, atol=1e-13)


@pytest.mark.parametrize(
    ("policy", "error", "text"),
    [
        ([0, 2], ValueError, "state 1: action 2"),
        ([0, 1], ValueError, "state 1: action 1 is not available"),
        ([0], ValueError, "shape"),
        ([[0.5, 0.4], [1.0, 0.0]], ValueError, "state 0: the probabilities"),
        ([[0.5, 0.5], [0.5, 0.5]], ValueError, "state 1, action 1 is not available"),
        ([[1.5, -0.5], [1.0, 0.0]], ValueError, "state 0, action 1"),
        (["a", "b"], TypeError, "integers"),
    ],
)
def test_bad_policies_are_refused(policy, error, text):
    with pytest.raises(error, match=text):
        policy_values(two_ways(), policy)


def test_threads_may_share_a_model(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    model = GridSpec.builtin("four_rooms").compile()
    alone = solve(model, gamma=0.98).values
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: solve(model, gamma=0.98).values, range(40)):
            np.testing.assert_array_equal(values, alone)


def test_share_of_regret():
    model = GridSpec.builtin("four_rooms").compile()
    uniform = np.full((169, 4), 0.25)
    best = solve(model).policy
    assert share_of_regret(model, best) == pytest.approx(0.0, abs=1e-9)
    assert share_of_regret(model, uniform) == pytest.approx(1.0)
    assert 0.0 < share_of_regret(model, np.where(np.arange(169) % 7, best, 0)) < 1.5
    assert share_of_regret(model, best, gamma=1.0) < 0.05  # over the model's 500 steps
    single = MDP.from_gymnasium({0: {0: [(1.0, 0, 1.0, True)]}}, gamma=0.9, start=0)
    with pytest.raises(ValueError, match="optimal"):
        share_of_regret(single, [0])
    endless = {0: {0: [(1.0, 0, -1.0, False)], 1: [(1.0, 0, -1.0, True)]}, 1: {0: [(1.0, 1, -1.0, False)]}}
    assert share_of_regret(MDP.from_gymnasium(endless, gamma=1.0, start=0), [1, 0]) == 0.0
    with pytest.raises(ValueError, match="no finite regret"):
        share_of_regret(MDP.from_gymnasium(endless, gamma=1.0, start=1), [1, 0])


def test_the_share_of_regret_does_not_depend_on_the_unit_of_rewards():
    mdp = GridSpec.builtin("four_rooms").compile().to_mdp()
    shares = []
    for unit in (1.0, 1e-7, 1e9):
        reward = unit * mdp.reward
        model = MDP(
            169, 4, mdp.offsets, mdp.next_state, mdp.probability, reward, mdp.terminated, gamma=0.99, start=mdp.start
        )
        best = solve(model, tolerance=1e-9 * unit).policy
        assert abs(share_of_regret(model, best)) < 1e-6
        shares.append(share_of_regret(model, np.where(np.arange(169) % 7, best, 0)))
        found = optimum(model)
        assert found is optimum(model, 0.99)
        assert found.error <= 1e-8 * unit
        assert found.value == pytest.approx(0.7139279070 * unit)
        assert found.uniform < found.value
    assert min(shares) > 0.0
    np.testing.assert_allclose(shares, shares[0], rtol=1e-6)


def test_a_share_of_regret_is_a_number_or_an_error_that_says_why():
    stay, leave, step = [(1.0, 0, -1.0, False)], [(1.0, 0, -1.0, True)], [(1.0, 1, -1.0, False)]
    trap = {0: {0: leave, 1: leave}, 1: {0: step, 1: step}}
    safe = MDP.from_gymnasium({0: {0: stay, 1: leave, 2: [(1.0, 0, -3.0, True)]}, 1: {0: step}}, gamma=1.0, start=0)
    assert optimum(safe).value == -1.0
    with pytest.raises(ValueError, match="worth -inf: from a start state its episodes may never end"):
        share_of_regret(safe, [0, 0])
    assert share_of_regret(safe, [2, 0]) == pytest.approx(2 / 1.5)  # the random policy pays 1 on each of two tries ...
    lost = MDP.from_gymnasium(trap, gamma=1.0, start=1)
    assert optimum(lost)[:2] == (-np.inf, -np.inf)
    with pytest.raises(ValueError, match="no finite regret"):
        share_of_regret(lost, [0, 0])
    even = MDP.from_gymnasium({0: {0: [(1.0, 1, 1.0, False)]}, 1: {0: step}}, gamma=0.9, start=0)
    with pytest.raises(ValueError, match="optimal"):
        share_of_regret(even, [0, 0])


def test_what_is_no_model_is_named():
    class Environment:
        unwrapped = None

    for call in (solve, optimum, Sweeps, lambda m: policy_values(m, [0]), lambda m: share_of_regret(m, [0])):
        with pytest.raises(TypeError, match=r"rlgrid.MDP or an rlgrid.GridModel, not str"):
            call("x")
        with pytest.raises(TypeError, match=r"pass env.unwrapped.model"):
            call(Environment())
        with pytest.raises(TypeError, match=r"pass spec.compile\(\)"):
            call(GridSpec.builtin("four_rooms"))
    with pytest.raises(TypeError, match="not str"):
        verify("x", solve(two_ways()))
    with pytest.raises(TypeError, match=r"what rlgrid.solve or Solution.load returns, not str"):
        verify(two_ways(), "x")


def test_a_model_is_taken_apart_once():
    from rlgrid.problem import Problem

    model = GridSpec.builtin("frozen_lake_4x4").compile()
    undiscounted = Problem.of(model, 1.0)
    plain = Problem.of(model, 0.5)
    for gamma in np.linspace(0.1, 0.9, 9):
        assert Problem.of(model, gamma).arrays is plain.arrays
        assert Problem.of(model, gamma).gamma == gamma
    solve(model, gamma=1.0, horizon=3)
    assert Problem.of(model, 1.0) is undiscounted
