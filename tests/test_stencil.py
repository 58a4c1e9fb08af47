"""Sweeps of grids as a stencil, against plain loops, the explicit form and exact rational arithmetic."""

from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import GridModel, Slip, TileKind, solve, verify
from rlgrid.certificate import certify, distance, where_lower_fails, where_upper_fails
from rlgrid.problem import Problem, largest, magnitude
from rlgrid.stencil import Stencil
from rlgrid.sweeps import Sweeps

KINDS = [
    TileKind("floor"),
    TileKind("wall", wall=True),
    TileKind("goal", terminal=True, enter_reward=5.0),
    TileKind("mud", slip=Slip(0.4, 0.3, 0.2, 0.1), step_reward=-2.0, leave_reward=0.25),
    TileKind("door", enter_to=0, enter_reward=-0.5),
    TileKind("spring", leave_to=0, bump_reward=-3.0),
    TileKind("coin", enter_reward=1.0),
    TileKind("thorns", bump_reward=-7.0),
]
SLIPS = [Slip(), Slip(0.8, 0.1, 0.1), Slip(0.7, 0.1, 0.15, 0.05)]
CLOCKWISE = ("up", "right", "down", "left")
GYMNASIUM = ("left", "down", "right", "up")
SHAPES = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 9), (9, 1), (3, 50), (40, 4), (11, 13)]


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Grids of any size, and with any number of cells of their own, are swept as a stencil."""
    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    monkeypatch.setattr("rlgrid.stencil.MOST_ODD", 1)


def grid(rng, shape=(5, 7), slip=None, actions=CLOCKWISE, bump=-1.5, share=0.05, gamma=0.9):
    """A grid of floor and walls, with a share of each of the other kinds."""
    p = np.full(len(KINDS), share)
    p[1] = 0.15
    p[0] = 1.0 - p[1:].sum()
    tiles = rng.choice(len(KINDS), size=shape, p=p)
    tiles[0, 0] = 0
    slip = SLIPS[rng.integers(len(SLIPS))] if slip is None else slip
    return GridModel(
        tiles, KINDS, gamma=gamma, actions=actions, slip=slip, step_reward=-1.0, bump_reward=bump, name="random"
    )


def stencil_of(model):
    found = Stencil.of(model.arrays)
    assert found is not None
    return found


def explicit_problem(model, gamma=0.9):
    problem = Problem(model.to_mdp(), gamma)
    assert problem.stencil is None
    return problem


def random_values(rng, model):
    """Any values, also where the agent never is."""
    return rng.normal(size=model.num_states) * 10.0


@pytest.mark.parametrize("shape", SHAPES)
def test_sweeps_are_the_naive_sweeps_bit_for_bit(shape):
    rng = np.random.default_rng([1, *shape])
    for slip in SLIPS:
        model = grid(rng, shape, slip)
        v, w = random_values(rng, model), np.full(model.num_states, np.nan)
        low, high = stencil_of(model).sweep(0.9, v, w)
        assert w.tolist() == naive.jacobi(model, 0.9, v)
        assert (low, high) == ((w - v).min(), (w - v).max())


@pytest.mark.parametrize("slip", [Slip(0.8, 0.2, 0.0), Slip(1 / 3, 1 / 3, 1 / 3), Slip(0.0, 0.5, 0.5), Slip(1 - 1e-10)])
@pytest.mark.parametrize(("actions", "bump"), [(CLOCKWISE, None), (GYMNASIUM, -1.5)])
def test_every_slip_and_order_of_actions(slip, actions, bump):
    rng = np.random.default_rng(2)
    model = grid(rng, (9, 17), slip, actions, bump)
    v, w = random_values(rng, model), np.empty(model.num_states)
    stencil_of(model).sweep(0.9, v, w)
    assert w.tolist() == naive.jacobi(model, 0.9, v)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1])
def test_both_forms_are_equal_in_everything(share):
    rng = np.random.default_rng([3, int(100 * share)])
    for slip in SLIPS:
        model = grid(rng, (19, 23), slip, share=share)
        fast, plain = Problem(model, 0.9), explicit_problem(model)
        assert fast.stencil is not None
        v = random_values(rng, model)
        policy = plain.policy(v)
        follow = rng.integers(0, 4, model.num_states)
        np.testing.assert_array_equal(fast.sweep(v), plain.sweep(v))
        np.testing.assert_array_equal(fast.policy(v), policy)
        np.testing.assert_array_equal(fast.sweep_policy(follow, v), plain.sweep_policy(follow, v))
        np.testing.assert_array_equal(fast.q_values(v), plain.q_values(v))
        np.testing.assert_array_equal(fast.image_above(v)[~model.absorbing] > plain.sweep(v)[~model.absorbing], True)
        rise, fall = (plain.sweep(v) - v).max(), (plain.sweep_policy(policy, v) - v).min()
        for problem in (fast, plain):
            found, most, least = problem.greedy(v)
            np.testing.assert_array_equal(found, policy)
            assert (most, least) == (rise, fall)
            w = np.empty_like(v)
            low, high = problem.sweep_into(v, w)
            np.testing.assert_array_equal(w, plain.sweep(v))
            assert (low, high) == ((w - v).min(), (w - v).max())


def test_value_iteration_and_a_whole_solution_are_the_same_in_both_forms():
    model = grid(np.random.default_rng(12), (9, 11), SLIPS[1], share=0.01)
    fast, plain = Sweeps(model, 0.9, "value_iteration"), Sweeps(model.to_mdp(), 0.9, "value_iteration")
    assert fast._problem.stencil is not None
    for limit in (1, 2, 5):
        assert fast.run(limit, 0.0).tolist() == plain.run(limit, 0.0).tolist()
        assert fast.values.tolist() == plain.values.tolist()
    assert fast.run(10_000, 1e-3).size < 100
    assert fast.backups == 4 * 99 * fast.sweeps
    solution = solve(model, method="value_iteration", tolerance=1e-9)
    assert solution.converged
    assert verify(model, solution)
    with pytest.raises(ValueError, match="not proven"):
        verify(model, replace(solution, upper=solution.upper - 1e-6 * ~model.absorbing))
    with pytest.raises(ValueError, match="not proven"):
        verify(model, replace(solution, lower=solution.lower + 1e-6 * ~model.absorbing))


def test_shifts_margins_and_policies_in_one_sweep():
    rng = np.random.default_rng(4)
    model = grid(rng, (19, 23), SLIPS[1])
    plain, v, w = explicit_problem(model), random_values(rng, model), np.empty(19 * 23)
    follow = rng.integers(0, 4, model.num_states)
    for policy in (None, follow):
        low, high = stencil_of(model).sweep(0.9, v, w, 0.375, -0.001, policy)
        image = plain.sweep(v + 0.375) if policy is None else plain.sweep_policy(policy, v + 0.375)
        np.testing.assert_array_equal(w, np.where(model.absorbing, 0.0, image - 0.001))
        assert (low, high) == ((w - (v + 0.375)).min(), (w - (v + 0.375)).max())


def test_a_later_action_must_be_better_by_more_than_a_tie():
    """All four directions are worth the same up to rounding: the first of them is taken."""
    model = GridModel(np.zeros((7, 9), np.int64), KINDS[:1], gamma=0.9, slip=SLIPS[1], step_reward=-1.0)
    rng = np.random.default_rng(5)
    v = -10.0 + 1e-14 * rng.normal(size=63)
    assert Problem(model, 0.9).policy(v).tolist() == [0] * 63
    v[31] = -9.0
    policy = Problem(model, 0.9).policy(v)
    assert policy[[30, 32, 22, 40]].tolist() == [1, 3, 2, 0]
    for better, action in ((5e-13, 0), (1e-10, 1)):
        v[:] = -10.0
        v[32] += better
        assert Problem(model, 0.9).policy(v)[31] == action


def test_rounding_stays_within_its_bound():
    rng = np.random.default_rng(6)
    for slip in SLIPS:
        model = grid(rng, (4, 5), slip)
        problem, v = Problem(model, 0.9), random_values(rng, model)
        error = problem.rounding(magnitude(v))
        assert error.max() == problem.largest_rounding(magnitude(v)) or model.absorbing.all()
        w = problem.sweep(v)
        for s, row in enumerate(naive.exact_model(model)):
            exact = max(
                sum(p * (r + (0 if ends else Fraction(0.9) * Fraction(v[to]))) for p, to, r, ends in run) for run in row
            )
            assert abs(Fraction(w[s]) - exact) <= Fraction(error[s])
            assert error[s] < 1e-13


@pytest.mark.parametrize("threads", ["1", "2", "7"])
@pytest.mark.parametrize("share", [0.002, 0.1])
def test_results_do_not_depend_on_the_number_of_threads(monkeypatch, threads, share):
    monkeypatch.setattr("rlgrid.stencil.MOST_ODD", 8)
    rng = np.random.default_rng(7)
    model = grid(rng, (601, 523), SLIPS[1], share=share)
    v = random_values(rng, model)
    monkeypatch.setenv("RLGRID_NUM_THREADS", "1")
    alone = Problem(model, 0.9)
    expected = alone.sweep(v), certify(alone, v)
    monkeypatch.setenv("RLGRID_NUM_THREADS", threads)
    problem = Problem(model, 0.9)
    assert (alone.stencil is None) == (problem.stencil is None) == (share == 0.1)
    if alone.stencil is not None:
        np.testing.assert_array_equal(problem.stencil.flags, alone.stencil.flags)
    np.testing.assert_array_equal(problem.sweep(v), expected[0])
    found = certify(problem, v)
    for name in ("lower", "upper", "policy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected[1], name))


def test_certificates_hold_the_exact_optimum_and_wrong_ones_are_refused():
    rng = np.random.default_rng(8)
    for i in range(12):
        gamma = (0.0, 0.9, 0.99)[i % 3]
        model = grid(rng, (4, 4), SLIPS[1 + i % 2], gamma=gamma)
        problem = Problem(model, gamma)
        v = random_values(rng, model)
        for _ in range(0 if i < 3 else 2000):
            v = problem.sweep(v)
        found = certify(problem, v)
        exact = naive.optimum(model, gamma)
        value = naive.policy_value(naive.exact_model(model), found.policy, gamma)
        for s in range(model.num_states):
            assert Fraction(found.lower[s]) <= value[s] <= exact[s] <= Fraction(found.upper[s])
        assert (found.lower[model.absorbing] == 0.0).all()
        assert (found.upper[model.absorbing] == 0.0).all()
        assert where_upper_fails(problem, found.upper) == where_lower_fails(problem, found.policy, found.lower) == -1
        if i >= 3:
            assert distance(v, found.lower, found.upper) < 1e-4
        for s in np.flatnonzero(~model.absorbing)[:3]:
            wrong = found.upper.copy()
            wrong[s] = float(exact[s]) - 1e-9
            assert where_upper_fails(problem, wrong) >= 0
            wrong = found.lower.copy()
            wrong[s] = float(exact[s]) + 1e-9
            assert where_lower_fails(problem, found.policy, wrong) >= 0
            wrong[s] = np.nan
            assert where_lower_fails(problem, found.policy, wrong) >= 0
            wrong = found.upper.copy()
            wrong[s] = np.nan
            assert where_upper_fails(problem, wrong) >= 0


def test_values_that_are_none_prove_nothing():
    model = grid(np.random.default_rng(9), share=0.0)
    for bad in (np.nan, np.inf, -np.inf):
        v = np.zeros(model.num_states)
        v[7] = bad
        found = certify(Problem(model, 0.9), v)
        assert (found.lower == -np.inf).all()
        assert (found.upper == np.inf).all()


def test_grids_that_have_no_stencil():
    floor = np.zeros((4, 5), np.int64)
    for actions in (5, 8, ("up", "down", "left", "right"), ("up", "right"), ("up-left", "up-right", "down", "left")):
        assert Stencil.of(GridModel(floor, KINDS, actions=actions).arrays) is None
    goals = np.full((4, 5), 2)
    assert Stencil.of(GridModel(goals, KINDS).arrays) is None


def test_a_grid_of_exceptions_is_swept_cell_by_cell(monkeypatch):
    monkeypatch.setattr("rlgrid.stencil.MOST_ODD", 8)
    rng = np.random.default_rng(10)
    model = grid(rng, (9, 9), share=0.1)
    problem = Problem(model, 0.9)
    assert problem.stencil is None
    assert not problem.explicit
    v, w = random_values(rng, model), np.empty(81)
    problem.sweep_into(v, w)
    assert w.tolist() == naive.jacobi(model, 0.9, v)
    found = certify(problem, w)
    assert where_upper_fails(problem, found.upper) == where_lower_fails(problem, found.policy, found.lower) == -1


@pytest.mark.parametrize("size", [5, 100_003])
def test_magnitudes_and_distances(size):
    rng = np.random.default_rng(11)
    v = rng.normal(size=size)
    lower, upper = v - rng.random(size), v + rng.random(size)
    assert magnitude(v) == largest(v) == np.abs(v).max()
    worst = max((upper - v).max(), (v - lower).max())
    assert distance(v, lower, upper) == np.nextafter(worst, np.inf)
    assert distance(v, v, v) == 0.0
    v[1] = upper[1] = lower[1] = -np.inf
    assert magnitude(v) == np.abs(np.delete(v, 1)).max()
    assert largest(v) == np.inf
    assert distance(v, lower, upper) < 2.0
    upper[1] = 0.0
    assert distance(v, lower, upper) == np.inf
    v[1] = np.nan
    assert largest(v) == distance(v, lower, upper) == np.inf
    assert magnitude(np.zeros(size)) == 0.0
