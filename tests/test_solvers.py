"""The solver against exact rational arithmetic, its certificates, its limits, and undiscounted traps."""

import math
import time
import warnings
from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import MDP, GridModel, GridSpec, Slip, TileKind, policy_values, solve, verify
from rlgrid.methods import METHODS as EVERY_METHOD
from rlgrid.solvers import SolverWarning, Sweeps

METHODS = ["auto", "value_iteration", "gauss_seidel"]


def random_model(rng, gamma):
    """A small MDP: dense or sparse, terminals or none, unavailable actions, any signs, sums that are off by 1e-9."""
    undiscounted = gamma == 1.0
    S, A = int(rng.integers(1, 5 if undiscounted else 7)), int(rng.integers(1, 4))
    sparse, eighths = rng.random() < 0.5, undiscounted or rng.random() < 0.5
    scale, sign = float(rng.choice([1, 1, 100, 1e-3])), rng.choice(["any", "cost", "gain"])
    ending = rng.choice([0, 0.1, 0.3])
    table = {}
    for s in range(S):
        table[s] = {}
        for a in range(A):
            if a > 0 and rng.random() < 0.15:
                table[s][a] = []
                continue
            n = int(rng.integers(1, 3 if sparse else S + 2))
            if eighths:
                p = rng.multinomial(8, np.ones(n) / n) / 8
            else:
                p = rng.random(n)
                p /= p.sum()
                if rng.random() < 0.2:
                    p = np.minimum(p * (1 + (rng.random() - 0.5) * 1.5e-9), 1)
            free = rng.random() < 0.3
            run = []
            for k in range(n):
                r = float(rng.integers(-8, 9)) / 4 * scale if eighths else float(rng.normal()) * scale
                r = {"any": r, "cost": -abs(r), "gain": abs(r)}[sign]
                r = 0.0 if free else r
                ends = bool(rng.random() < ending)
                if undiscounted and not ends and r > 0 and rng.random() < 0.9:
                    r = -r
                run.append((float(p[k]), int(rng.integers(S)), r, ends))
            table[s][a] = run
    return MDP.from_gymnasium(table, gamma=gamma, start=0)


def check_against_exact(model, solution, exact, tolerance):
    assert solution.converged
    assert verify(model, solution)
    value = naive.policy_value(naive.exact_model(model), solution.policy, solution.gamma)
    for s, best in enumerate(exact):
        if best == -math.inf:
            assert solution.values[s] == solution.lower[s] == solution.upper[s] == -math.inf
            continue
        assert Fraction(solution.lower[s]) <= value[s] <= best <= Fraction(solution.upper[s])
        assert abs(Fraction(solution.values[s]) - best) <= Fraction(solution.error_bound)
        assert best - value[s] <= Fraction(solution.policy_loss_bound)
        assert Fraction(solution.upper[s]) - Fraction(solution.lower[s]) <= 2 * Fraction(tolerance)


def largest_reward(model):
    return max(1.0, float(np.abs(model.reward).max()))


@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_the_exact_optimum(seed):
    """1,200 random models at gamma < 1."""
    rng = np.random.default_rng([1, seed])
    for _ in range(150):
        gamma = float(rng.choice([0, 0.3, 0.5, 0.9, 0.95, 0.99, 0.999]))
        model = random_model(rng, gamma)
        tolerance = float(rng.choice([1e-3, 1e-5, 1e-7])) * largest_reward(model)
        solution = solve(model, method=str(rng.choice(METHODS)), tolerance=tolerance)
        check_against_exact(model, solution, naive.optimum(model, gamma, solution.policy), tolerance)


@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_the_exact_optimum_undiscounted(seed):
    """600 random models at gamma = 1, against every deterministic policy; infinite or undefined values are refused."""
    rng = np.random.default_rng([2, seed])
    refused = 0
    for _ in range(150):
        model = random_model(rng, 1.0)
        tolerance = float(rng.choice([1e-3, 1e-5, 1e-7])) * largest_reward(model)
        exact = naive.optimum_undiscounted(model)
        try:
            solution = solve(model, method=str(rng.choice(METHODS)), tolerance=tolerance)
        except ValueError as error:
            assert "gamma = 1: from state" in str(error)  # noqa: PT017
            assert (model.reward > 0).any()
            refused += 1
            continue
        assert not any(math.isnan(best) for best in exact)
        check_against_exact(model, solution, exact, tolerance)
    assert refused < 30


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_finite_horizon_bounds_hold_the_exact_values(gamma):
    rng = np.random.default_rng(3)
    for _ in range(30):
        model = random_model(rng, 0.9)
        solution = solve(model, gamma=gamma, horizon=6)
        assert solution.converged
        assert verify(model, solution)
        exact = naive.finite_horizon(model, gamma, 6)
        for t in range(7):
            for s in range(model.num_states):
                assert Fraction(solution.lower[t, s]) <= exact[t][s] <= Fraction(solution.upper[t, s])
        assert solution.q_values.shape == (6, model.num_states, model.num_actions)
        np.testing.assert_allclose(solution.q_values.max(axis=2), solution.values[:-1], atol=1e-9)
        np.testing.assert_allclose(
            policy_values(model, solution.policy, gamma=gamma, horizon=6), solution.values, rtol=1e-12, atol=1e-9
        )


# --- sweeps ---------------------------------------------------------------------------------------------------------


def random_grid(rng, *, wind=False):
    """A grid with walls, terminals, teleports, own slips and rewards of every kind."""
    kinds = [
        TileKind("floor"),
        TileKind("wall", wall=True),
        TileKind("goal", terminal=True, enter_reward=5.0),
        TileKind("mud", slip=Slip(0.4, 0.3, 0.2, 0.1), step_reward=-2.0, leave_reward=0.25),
        TileKind("door", enter_to=0, enter_reward=-0.5),
        TileKind("spring", leave_to=0, bump_reward=-3.0),
    ]
    tiles = rng.choice(6, size=(5, 7), p=[0.55, 0.15, 0.05, 0.15, 0.05, 0.05])
    tiles[0, 0] = 0
    return GridModel(
        tiles,
        kinds,
        gamma=0.9,
        actions=int(rng.choice([4, 5, 8, 9])),
        slip=Slip(0.7, 0.1, 0.15, 0.05),
        column_wind=rng.integers(-1, 3, 7) if wind else None,
        gust={-1: 0.25, 0: 0.5, 1: 0.25} if wind else None,
        step_reward=-1.0,
        bump_reward=float(rng.choice([-1.5, 0.5])),
    )


@pytest.mark.parametrize("wind", [False, True])
def test_jacobi_sweeps_are_the_naive_sweeps_bit_for_bit(wind):
    rng = np.random.default_rng(4)
    for _ in range(5):
        model = random_grid(rng, wind=wind)
        for form in (model, model.to_mdp()):
            sweeps = Sweeps(form, gamma=0.9)
            v = [0.0] * model.num_states
            for i in range(4):
                sweeps.sweep()
                before, v = v, naive.jacobi(model, 0.9, v)
                assert sweeps.values.tolist() == v
                assert sweeps.residual.tolist() == [x - y for x, y in zip(v, before, strict=True)]
                assert sweeps.sweeps == i + 1


def test_the_stencil_and_the_explicit_form_give_the_same_bits(monkeypatch):
    rng = np.random.default_rng(5)
    for method in ("value_iteration", "gauss_seidel"):
        for _ in range(5):
            model = random_grid(rng)
            explicit = Sweeps(model.to_mdp(), 0.95, method)
            with monkeypatch.context() as patch:
                patch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
                stencil = Sweeps(model, 0.95, method)
                assert type(stencil._problem.arrays).__name__ == "GridArrays"
                for _ in range(5):
                    stencil.sweep()
                    explicit.sweep()
                np.testing.assert_array_equal(stencil.values, explicit.values)
                np.testing.assert_array_equal(stencil.q_values(), explicit.q_values())
                np.testing.assert_array_equal(stencil.policy(), explicit.policy())
                assert stencil.lower.max() <= explicit.upper.min() or (stencil.lower <= explicit.upper).all()
                assert verify(model, solve(model, 0.95, method))


def test_both_forms_have_the_same_solution():
    model = GridSpec.builtin("four_rooms").compile()
    grid, explicit = solve(model, tolerance=1e-9), solve(model.to_mdp(), tolerance=1e-9)
    np.testing.assert_array_equal(grid.values, explicit.values)
    np.testing.assert_array_equal(grid.policy, explicit.policy)


def test_values_are_shown_sweep_by_sweep():
    model = GridSpec.builtin("frozen_lake_4x4").compile()
    seen = []
    solution = solve(model, gamma=0.9, method="value_iteration", callback=lambda s: seen.append(s.values.copy()))
    assert len(seen) == solution.sweeps == len(solution.history)
    v = [0.0] * 16
    for values in seen[:5]:
        v = naive.jacobi(model, 0.9, v)
        assert values.tolist() == v


def test_bounds_close_on_the_optimum_while_sweeping():
    model = GridSpec.builtin("four_rooms").compile()
    optimum = solve(model, tolerance=1e-10)
    sweeps = Sweeps(model)
    errors = []
    for _ in range(60):
        sweeps.sweep()
        assert (sweeps.lower <= optimum.upper).all()
        assert (sweeps.upper >= optimum.lower).all()
        assert sweeps.error_bound >= np.abs(sweeps.values - optimum.values).max() - 1e-10
        errors.append(sweeps.error_bound)
    assert errors[-1] < 0.01 * errors[0]
    assert sweeps.converged(errors[-1])
    assert not sweeps.converged(0.5 * np.abs(sweeps.values - optimum.values).max())


def test_greedy_shows_ties_and_policy_takes_the_first():
    model = GridModel([[0, 0], [0, 1]], [TileKind("floor"), TileKind("goal", terminal=True)], gamma=0.9, step_reward=-1)
    sweeps = Sweeps(model)
    for _ in range(20):
        sweeps.sweep()
    assert sweeps.greedy()[0].tolist() == [False, True, True, False]
    assert sweeps.policy()[0] == 1


# --- what is asked, what is answered --------------------------------------------------------------------------------


def two_ways(gamma=0.9):
    """State 0: earn 1 and end, or go to state 1 for -1; state 1: earn 3 and end (its second action is missing)."""
    table = {
        0: {0: [(1.0, 0, 1.0, True)], 1: [(1.0, 1, -1.0, False)]},
        1: {0: [(1.0, 1, 3.0, True)], 1: []},
    }
    return MDP.from_gymnasium(table, gamma=gamma, start=0)


def test_a_model_solved_by_hand():
    solution = solve(two_ways(), tolerance=1e-9)
    np.testing.assert_allclose(solution.values, [1.7, 3.0], atol=1e-9)
    assert solution.policy.tolist() == [1, 0]
    assert solution.q_values[1, 1] == -np.inf
    np.testing.assert_allclose(solution.q_values[0], [1.0, 1.7], atol=1e-9)
    assert solve(two_ways(), gamma=0.0).values.tolist() == [1.0, 3.0]
    assert solution.backups == solution.sweeps * 3


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"criterion": "total"}, ValueError, "discounted"),
        ({"method": "magic"}, ValueError, "gauss_seidel"),
        ({"gamma": 1.5}, ValueError, "gamma"),
        ({"gamma": "x"}, TypeError, "gamma"),
        ({"tolerance": 0.0}, ValueError, "tolerance"),
        ({"tolerance": float("nan")}, ValueError, "tolerance"),
        ({"horizon": -1}, ValueError, "horizon"),
        ({"horizon": 2.5}, TypeError, "horizon"),
        ({"max_sweeps": -1}, ValueError, "max_sweeps"),
        ({"time_limit": 0}, ValueError, "time_limit"),
        ({"initial_values": [0.0]}, ValueError, "initial_values"),
        ({"initial_values": [0.0, np.nan]}, ValueError, "state 1"),
        ({"initial_values": [0.0, 0.0], "horizon": 3}, ValueError, "initial_values and horizon"),
        ({"max_sweeps": 2, "horizon": 3}, ValueError, "max_sweeps and horizon"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        solve(two_ways(), **arguments)


def slow_model():
    return MDP.from_gymnasium(
        {0: {0: [(0.5, 0, 1.0, False), (0.5, 1, 0.0, False)]}, 1: {0: [(1.0, 0, -0.3, False)]}}, 0.999, 0
    )


@pytest.mark.parametrize("limit", [{"max_sweeps": 7}, {"max_sweeps": 0}, {"time_limit": 1e-9}])
@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
def test_limits_warn_and_leave_valid_bounds(limit, method):
    model = slow_model()
    with pytest.warns(SolverWarning, match=next(iter(limit))):
        solution = solve(model, method=method, **limit)
    assert not solution.converged
    assert next(iter(limit)) in solution.reason
    assert verify(model, solution)
    exact = naive.optimum(model, 0.999)
    for s in range(2):
        assert Fraction(solution.lower[s]) <= exact[s] <= Fraction(solution.upper[s])
        assert abs(Fraction(solution.values[s]) - exact[s]) <= Fraction(solution.error_bound)


def test_a_limit_that_is_never_reached_changes_nothing():
    model = slow_model()
    assert solve(model, max_sweeps=10**6, time_limit=60).converged


def test_a_callback_and_a_keyboard_stop_it():
    model = slow_model()
    solution = solve(model, callback=lambda s: s.sweeps < 5)
    assert (solution.sweeps, solution.converged) == (5, False)
    assert verify(model, solution)

    def interrupt(sweeps):
        if sweeps.sweeps == 3:
            raise KeyboardInterrupt

    solution = solve(model, callback=interrupt)
    assert (solution.sweeps, solution.reason) == (3, "interrupted")
    assert verify(model, solution)


def test_a_tolerance_that_rounding_forbids_ends_with_a_warning():
    model = slow_model()
    with pytest.warns(SolverWarning, match="rounding forbids"):
        solution = solve(model, tolerance=1e-15)
    assert not solution.converged
    assert 1e-15 < solution.error_bound < 1e-8
    assert verify(model, solution)


def test_numbers_that_overflow_end_with_a_warning():
    model = MDP.from_gymnasium({0: {0: [(1.0, 0, 1e308, False)]}}, gamma=0.99, start=0)
    with pytest.warns(SolverWarning):
        solution = solve(model)
    assert not solution.converged


def test_a_warm_start_saves_sweeps():
    model = GridSpec.builtin("four_rooms").compile()
    cold = solve(model, method="value_iteration")
    warm = solve(model, method="value_iteration", initial_values=cold.values)
    assert warm.sweeps < 0.5 * cold.sweeps
    assert warm.converged


def test_a_progress_bar_changes_nothing(capsys):
    model = GridSpec.builtin("four_rooms").compile()
    np.testing.assert_array_equal(solve(model, progress_bar=True).values, solve(model).values)


# --- certificates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in EVERY_METHOD if name != "shortest_path"])
def test_an_unreachable_tolerance_ends_while_a_callback_watches(method):
    model = GridSpec.builtin("four_rooms").compile()
    calls = []

    def watch(sweeps):
        calls.append(sweeps.sweeps)
        return len(calls) < 5000

    with pytest.warns(SolverWarning, match="rounding forbids"):
        solution = solve(model, gamma=0.99, tolerance=1e-18, callback=watch, method=method)
    assert len(calls) < 5000
    assert solution.error_bound < 1e-12
    assert verify(model, solution)


@pytest.mark.parametrize("method", ["auto", "gauss_seidel", "value_iteration", "policy_iteration"])
def test_an_unreachable_tolerance_ends_in_a_large_maze_without_discounting(method):
    tiles = (np.random.default_rng(0).random((75, 75)) < 0.15).astype(int)
    tiles[0, 0], tiles[-1, -1] = 0, 2
    kinds = [TileKind("floor"), TileKind("wall", wall=True), TileKind("goal", terminal=True)]
    model = GridModel(tiles, kinds, slip=Slip(0.8, 0.1, 0.1), step_reward=-1.0)
    with pytest.warns(SolverWarning, match="rounding forbids"):
        solution = solve(model, gamma=1.0, tolerance=1e-15, method=method, max_sweeps=20_000)
    assert solution.sweeps < 20_000
    assert verify(model, solution)


def test_a_callback_may_answer_with_numpys_false():
    model = GridSpec.builtin("four_rooms").compile()
    solution = solve(model, callback=lambda sweeps: np.abs(sweeps.residual).max() > 1e-2, method="value_iteration")
    assert solution.reason == "stopped by the callback"
    assert solution.sweeps < 100


def test_what_has_no_part_in_a_problem_is_refused():
    model = GridSpec.builtin("four_rooms").compile()
    for arguments in ({"horizon": 3}, {"criterion": "average"}):
        with pytest.raises(ValueError, match="sweep_order has no part"):
            solve(model, sweep_order="forward", **arguments)
    with pytest.raises(ValueError, match="sweep_order must be one of"):
        solve(model, sweep_order="forwards")
    with pytest.raises(ValueError, match="method and horizon exclude each other"):
        solve(model, horizon=3, method="policy_iteration")
    with pytest.raises(ValueError, match=r"would take .* GiB"):
        solve(model, horizon=10**12)
    with pytest.raises(TypeError, match="callback must be a function"):
        solve(model, callback=5)
    for values in ("abc", np.zeros(model.num_states, complex)):
        with pytest.raises(TypeError, match="initial_values must be numbers"):
            solve(model, initial_values=values)


def test_certificates_in_other_numbers_than_float64_are_refused():
    model = MDP.from_gymnasium({0: {0: [(1.0, 0, 0.7, True)]}}, gamma=0.9, start=0)
    solution = solve(model)
    loose = {"error_bound": 1.0, "policy_loss_bound": 1.0, "converged": False}
    for name, value in (("upper", np.array([0.7], np.float32)), ("lower", np.array([0])), ("values", [0.7])):
        with pytest.raises(ValueError, match=f"{name} is no array of float64"):
            verify(model, replace(solution, **{name: value}, **loose))
    for name in ("error_bound", "policy_loss_bound", "tolerance"):
        with pytest.raises(ValueError, match=f"{name} is None"):
            verify(model, replace(solution, **{name: None}))
    with pytest.raises(ValueError, match="criterion is 'foo'"):
        verify(model, replace(solution, criterion="foo"))


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_wrong_certificates_are_refused(gamma):
    model = GridSpec.builtin("russell_norvig_4x3").compile()
    solution = solve(model, gamma=gamma, tolerance=1e-9)
    assert verify(model, solution)
    shift = np.where(model.absorbing, 0.0, 1e-7)
    wrong = [
        {"upper": solution.upper - shift},
        {"lower": solution.lower + shift},
        {"upper": solution.upper - 1e-7 * (np.arange(12) == 8)},
        {"lower": solution.lower + 1e-7 * (np.arange(12) == 8)},
        {"policy": np.full(12, 2)},
        {"policy": np.full(12, 4)},
        {"policy": solution.policy[:5]},
        {"values": solution.values + 1e-6},
        {"error_bound": 0.5 * solution.error_bound},
        {"policy_loss_bound": 0.0},
        {"error_bound": 1.0},
        {"upper": np.where(np.arange(12) == 3, np.nan, solution.upper)},
        {"upper": np.where(np.arange(12) == 3, np.inf, solution.upper)},
        {"gamma": 0.95},
    ]
    for change in wrong:
        with pytest.raises(ValueError, match=r"state|bound|shape|converged|action"):
            verify(model, replace(solution, **change))


def test_a_wrong_certificate_over_a_horizon_is_refused():
    model = GridSpec.builtin("frozen_lake_4x4").compile()
    solution = solve(model, gamma=1.0, horizon=10)
    assert verify(model, solution)
    for name, by in (("upper", -1e-6), ("lower", 1e-6)):
        array = getattr(solution, name).copy()
        array[4] += by
        with pytest.raises(ValueError, match="state"):
            verify(model, replace(solution, **{name: array}))


def test_random_tampering_is_refused():
    """Whatever bound is moved past the exact value: verify must not believe it."""
    rng = np.random.default_rng(6)
    for _ in range(200):
        gamma = float(rng.choice([0.5, 0.9, 0.99, 1.0]))
        model = random_model(rng, gamma)
        try:
            solution = solve(model)
        except ValueError:
            continue
        exact = naive.optimum(model, gamma) if gamma < 1 else naive.optimum_undiscounted(model)
        s = int(rng.integers(model.num_states))
        if exact[s] == -math.inf:
            continue
        upper, lower = solution.upper.copy(), solution.lower.copy()
        upper[s] = np.nextafter(float(exact[s]), -np.inf) - abs(float(exact[s])) * 1e-12 - 1e-12
        lower[s] = np.nextafter(float(exact[s]), np.inf) + abs(float(exact[s])) * 1e-12 + 1e-12
        for change in ({"upper": upper}, {"lower": lower}):
            with pytest.raises(ValueError, match="not proven"):
                verify(model, replace(solution, **change))


def success_run(p):
    """Three successes in a row end it; each failure goes back to the start. A step costs 1."""
    return MDP(3, 1, [0, 2, 4, 6], [1, 0, 2, 0, 0, 0], [p, 1 - p] * 3, [-1.0] * 6, [False] * 4 + [True, False], gamma=1)


def random_walk(size, forward):
    """States in a row, the last of which ends it; a step costs 1."""
    table = {
        s: {0: [(forward, min(s + 1, size - 1), -1.0, s == size - 1), (1 - forward, max(s - 1, 0), -1.0, False)]}
        for s in range(size)
    }
    return MDP.from_gymnasium(table, gamma=1.0, start=0)


# --- undiscounted ---------------------------------------------------------------------------------------------------


def test_a_free_loop_beside_an_exit_that_costs():
    """Staying for ever is worth 0 and leaving -10; the inductive test alone would pass lower = 100."""
    model = MDP.from_gymnasium({0: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 0, -10.0, True)]}}, gamma=1.0, start=0)
    for start in (None, [100.0], [-50.0]):
        solution = solve(model, initial_values=start)
        assert solution.values.tolist() == [0.0]
        assert solution.policy.tolist() == [0]
        assert solution.converged
    with pytest.raises(ValueError, match="not proven"):
        verify(model, replace(solution, lower=np.array([100.0]), upper=np.array([100.0])))
    with pytest.raises(ValueError, match="not proven"):
        verify(model, replace(solution, lower=np.array([-10.0]), upper=np.array([-10.0]), policy=np.array([1])))


def test_a_free_loop_beside_an_exit_that_pays():
    """The greedy tie of going round for ever must not be the policy."""
    table = {
        0: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 0, 0.0, False)]},
        1: {0: [(1.0, 0, 0.0, False)], 1: [(0.5, 1, 0.0, False), (0.5, 1, 4.0, True)]},
    }
    model = MDP.from_gymnasium(table, gamma=1.0, start=0)
    solution = solve(model)
    np.testing.assert_allclose(solution.values, [4.0, 4.0], atol=1e-6)
    assert solution.policy.tolist() == [0, 1]
    assert policy_values(model, solution.policy).tolist() == [4.0, 4.0]
    looping = np.array([0, 0])
    assert policy_values(model, looping).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="not proven"):
        verify(model, replace(solution, policy=looping))


def test_rewards_for_ever_are_refused():
    model = MDP.from_gymnasium({0: {0: [(1.0, 1, 1.0, False)]}, 1: {0: [(1.0, 0, -0.5, False)]}}, gamma=1.0, start=0)
    with pytest.raises(ValueError, match=r"state 0, action 0 .* infinite"):
        solve(model)
    with pytest.raises(ValueError, match="not defined"):
        policy_values(model, [0, 0])
    assert solve(model, horizon=3).values[0].tolist() == [1.5, 0.0]


def test_rewards_on_rounds_that_cost_are_not_refused():
    """+0.5 on the way there and -1 on the way back: a round costs, so it is never worth a second one."""
    table = {
        0: {0: [(1.0, 1, 0.5, False)], 1: [(1.0, 0, -2.0, True)]},
        1: {0: [(1.0, 0, -1.0, False)], 1: [(1.0, 1, 0.25, True)]},
    }
    model = MDP.from_gymnasium(table, gamma=1.0, start=0)
    solution = solve(model)
    np.testing.assert_allclose(solution.values, [0.75, 0.25], atol=1e-6)
    assert verify(model, solution)
    even = MDP.from_gymnasium(table | {1: {0: [(1.0, 0, -0.5, False)], 1: table[1][1]}}, gamma=1.0, start=0)
    with pytest.raises(ValueError, match="state 0, action 0"):
        solve(even)


def test_states_without_hope_are_at_minus_infinity():
    """A pocket that costs a step and has no way out, and a state that may fall into it."""
    table = {
        0: {0: [(1.0, 0, -1.0, False)]},
        1: {0: [(0.5, 0, 0.0, False), (0.5, 1, 2.0, True)], 1: [(1.0, 1, -3.0, True)]},
        2: {0: [(0.5, 0, 0.0, False), (0.5, 1, 2.0, True)]},
    }
    model = MDP.from_gymnasium(table, gamma=1.0, start=1)
    solution = solve(model, tolerance=1e-9)
    assert solution.values.tolist() == [-np.inf, -3.0, -np.inf]
    assert solution.policy[1] == 1
    assert solution.q_values[1].tolist() == [-np.inf, -3.0]
    assert solution.converged
    assert verify(model, solution)
    assert policy_values(model, solution.policy).tolist() == [-np.inf, -3.0, -np.inf]


def test_long_chains_end_soon():
    """Ends with probability 2^-40 a step: sweeps alone would need 10^13."""
    p = 2.0**-40
    model = MDP.from_gymnasium(
        {0: {0: [(1 - p, 1, -1.0, False), (p, 0, 0.0, True)]}, 1: {0: [(1.0, 0, 0.0, False)]}}, 1.0, 0
    )
    solution = solve(model, tolerance=1e3)
    assert solution.converged
    assert solution.values[0] == pytest.approx(-(2.0**40) + 1, rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_slow_chains_are_proven_as_far_as_floats_reach(method):
    """Of 10^9 steps; the bounds must not lose digits in proportion to the steps."""
    model = success_run(1e-3)
    started = time.perf_counter()
    with pytest.warns(SolverWarning, match="rounding forbids"):
        solution = solve(model, method=method)
    assert time.perf_counter() - started < 5.0
    assert solution.error_bound < 1e-6 * 1e9
    assert verify(model, solution)
    exact = naive.policy_value(naive.exact_model(model), [0, 0, 0], 1.0)
    for s in range(3):
        assert Fraction(solution.lower[s]) <= exact[s] <= Fraction(solution.upper[s])
    assert solve(model, tolerance=1e3).converged


@pytest.mark.parametrize(("model", "gamma"), [(success_run(1e-7), 1.0), (random_walk(2000, 0.495), 1.0)])
def test_a_time_limit_holds_for_proofs_too(model, gamma):
    started = time.perf_counter()
    with pytest.warns(SolverWarning):
        solution = solve(model, gamma=gamma, method="value_iteration", time_limit=1.0)
    assert time.perf_counter() - started < 2.5
    assert verify(model, solution)


def test_proofs_look_at_the_clock():
    from rlgrid.certificate import certify
    from rlgrid.problem import Problem

    problem = Problem.of(random_walk(300, 0.5), 1.0)
    started = time.perf_counter()
    found = certify(problem, np.linspace(-1.0, 0.0, 300), patience=10**9, deadline=started + 0.2)
    assert time.perf_counter() - started < 1.0
    assert (found.lower <= found.upper).all()
    certify(problem, np.zeros(300), patience=10**9, deadline=-np.inf)
    assert time.perf_counter() - started < 1.5


@pytest.mark.parametrize("seed", range(2))
def test_bounds_hold_the_exact_optimum_close_to_one(seed):
    """200 random models, most of whose tolerances rounding forbids: what is proven must be true all the same."""
    rng = np.random.default_rng([8, seed])
    short = 0
    for _ in range(100):
        gamma = float(rng.choice([1 - 1e-5, 1 - 1e-7, 1 - 1e-9]))
        model = random_model(rng, gamma)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SolverWarning)
            solution = solve(model, tolerance=1e-7)
        short += not solution.converged
        assert solution.error_bound <= 1e-7 + 1e-12 * largest_reward(model) / (1 - gamma) ** 2
        assert verify(model, solution)
        exact = naive.optimum(model, gamma, solution.policy)
        value = naive.policy_value(naive.exact_model(model), solution.policy, gamma)
        for s, best in enumerate(exact):
            assert Fraction(solution.lower[s]) <= value[s] <= best <= Fraction(solution.upper[s])
            assert abs(Fraction(solution.values[s]) - best) <= Fraction(solution.error_bound)
        s = int(rng.integers(model.num_states))
        if exact[s] != 0:
            upper = solution.upper.copy()
            upper[s] = np.nextafter(float(exact[s]), -np.inf)
            with pytest.raises(ValueError, match="not proven"):
                verify(model, replace(solution, upper=upper))
    assert short > 20


@pytest.mark.parametrize("gamma", [0.999999, 1 - 1e-9])
def test_rounding_is_counted_in_differences_of_values(gamma):
    """A 2-cycle worth 1 / (1 - gamma) / 2: its floor is a few last digits over 1 - gamma."""
    table = {0: {0: [(1.0, 1, 1.0, False)]}, 1: {0: [(1.0, 0, 0.0, False)]}}
    model = MDP.from_gymnasium(table, gamma=gamma, start=0)
    started = time.perf_counter()
    with pytest.warns(SolverWarning, match="rounding forbids"):
        solution = solve(model)
    assert time.perf_counter() - started < 2.0
    assert solution.error_bound < 2.0 * np.spacing(solution.values[0]) / (1 - gamma)
    assert verify(model, solution)
    for s, best in enumerate(naive.optimum(model, gamma)):
        assert Fraction(solution.lower[s]) <= best <= Fraction(solution.upper[s])
        assert abs(float(Fraction(solution.values[s]) - best)) <= solution.error_bound


def test_discounts_close_to_one_end_soon():
    """Sweeps alone would need 10^7."""
    table = {
        0: {0: [(0.5, 0, 1.0, False), (0.5, 1, 0.0, False)], 1: [(1.0, 1, 0.25, False)]},
        1: {0: [(1.0, 0, -0.3, False)]},
    }
    model = MDP.from_gymnasium(table, gamma=0.999999, start=0)
    solution = solve(model, tolerance=0.1)
    assert solution.converged
    assert solution.sweeps < 5_000
    exact = naive.optimum(model, model.gamma)
    assert all(
        abs(Fraction(v) - x) <= Fraction(solution.error_bound) for v, x in zip(solution.values, exact, strict=True)
    )


def test_tiny_costs_still_make_the_policy_proper():
    table = {0: {0: [(1.0, 0, -1e-13, False)], 1: [(1.0, 0, 1.0, True)]}}
    solution = solve(MDP.from_gymnasium(table, gamma=1.0, start=0))
    assert solution.policy.tolist() == [1]
    assert solution.values[0] == pytest.approx(1.0)


def test_episodes_of_a_billion_steps_at_no_cost():
    """Every policy of four rooms reaches the goal at gamma = 1, so all are worth 1 and the worst takes 10^9 steps."""
    model = GridSpec.builtin("four_rooms").compile()
    solution = solve(model, gamma=1.0)
    assert solution.converged
    np.testing.assert_allclose(solution.values[~model.absorbing], 1.0, atol=1e-6)
