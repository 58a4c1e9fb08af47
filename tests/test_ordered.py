"""Distance-ordered sweeps of grids: the layout, one sweep against plain loops, and the fixed point."""

import warnings
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import GridModel, GridSpec, Slip, TileKind, solve, verify
from rlgrid.ordered import DistanceSweeps, Layout, applies
from rlgrid.problem import Problem
from rlgrid.solvers import SolverWarning


def random_grid(rng, height=5, width=7, **settings):
    """A grid with walls, terminals, teleports, own slips and rewards of every kind."""
    kinds = [
        TileKind("floor"),
        TileKind("wall", wall=True),
        TileKind("goal", terminal=True, enter_reward=5.0),
        TileKind("pit", terminal=True, enter_reward=-50.0),
        TileKind("mud", slip=Slip(0.4, 0.3, 0.2, 0.1), step_reward=-2.0, leave_reward=0.25),
        TileKind("door", enter_to=0, enter_reward=-0.5),
        TileKind("spring", leave_to=0, bump_reward=-3.0),
        TileKind("gold", step_reward=1.0),
    ]
    tiles = rng.choice(8, size=(height, width), p=[0.5, 0.15, 0.04, 0.04, 0.12, 0.05, 0.05, 0.05])
    tiles.flat[0] = rng.choice([0, 2, 6])
    defaults = {
        "gamma": 0.9,
        "actions": [4, 5, 8, 9, ["left", "down", "right", "up"], ["right", "down"], ["stay", "up-left", "right"]][
            rng.integers(7)
        ],
        "slip": Slip(0.7, 0.1, 0.15, 0.05),
        "step_reward": float(rng.choice([-1.0, 0.0, 0.5])),
        "bump_reward": float(rng.choice([-1.5, 0.5])),
    }
    return GridModel(tiles, kinds, **(defaults | settings))


def live_cells(model):
    return np.flatnonzero(~model.absorbing)


@pytest.mark.parametrize("size", [(5, 7), (1, 9), (9, 1), (1, 1)])
def test_every_cell_is_laid_out_once_with_the_ends_and_rewards_of_the_model(size):
    rng = np.random.default_rng(0)
    for _ in range(40):
        model = random_grid(rng, *size)
        layout = Layout(model, 0.9)
        cells = layout.order[1 : layout.size + 1]
        assert sorted(cells.tolist()) == live_cells(model).tolist()
        assert layout.starts[0] == 1
        assert layout.starts[-1] == layout.size + 1
        assert (np.diff(layout.starts) > 0).all()
        number = {int(s): i for i, s in enumerate(cells, 1)}
        for i, s in enumerate(cells.tolist(), 1):
            slips = layout.slips[int(layout.slip_of[i]) if layout.slip_of.size else 0]
            for a in range(model.num_actions):
                ours: dict = {}
                for n in range(4):
                    d = layout.direction[a, n]
                    reward = layout.rewards[int(layout.code[i, d]) if layout.code.size else 0]
                    if slips[a, n]:
                        key = (int(layout.to[i, d]), float(reward))
                        ours[key] = ours.get(key, 0.0) + float(slips[a, n])
                exact: dict = {}
                for p, to, r, ends in model.P[s][a]:
                    key = (0 if ends else number[to], r)
                    exact[key] = exact.get(key, 0.0) + p
                assert ours.keys() == exact.keys()
                assert all(abs(ours[key] - exact[key]) < 1e-15 for key in ours)


def test_levels_are_steps_to_the_goal():
    spec = GridSpec.parse("gamma = 0.9\nstep_reward = -1\nmap = '''\nS.#.\n..#G\n....\n'''")
    layout = Layout(spec.compile(), 0.9)
    steps = {}
    for level in range(layout.levels):
        for i in range(layout.starts[level], layout.starts[level + 1]):
            steps[int(layout.order[i])] = level + 1
    assert steps == {0: 6, 1: 5, 3: 1, 4: 5, 5: 4, 8: 4, 9: 3, 10: 2, 11: 1}


def test_a_poorer_goal_counts_later_and_a_pit_never():
    """Steps cost 1: goals pay -1 and -4 in all, to go on for ever is worth -100, and the pit is worse than that.

    The best goal has fallen to the other's (-4 + 100) / (-1 + 100) of what it is above -100 after 3.06 steps, so cell 6
    belongs to the level of cell 4, whose value is nearest to its own, and comes first in it.
    """
    floor, goal = TileKind("floor"), TileKind("goal", terminal=True)
    poor, pit = TileKind("poor", terminal=True, enter_reward=-3.0), TileKind("pit", terminal=True, enter_reward=-100.0)
    kinds = [floor, goal, poor, pit]
    layout = Layout(GridModel(np.array([[1, 0, 0, 0, 0, 0, 0, 2]]), kinds, step_reward=-1.0, gamma=0.99), 0.99)
    assert layout.order[1 : layout.size + 1].tolist() == [1, 2, 3, 6, 4, 5]
    assert layout.starts.tolist() == [1, 2, 3, 4, 6, 7]
    layout = Layout(GridModel(np.array([[1, 0, 0, 0, 3]]), kinds, step_reward=-1.0, gamma=0.99), 0.99)
    assert layout.order[1 : layout.size + 1].tolist() == [1, 2, 3]
    assert layout.starts.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("guesses", [False, True])
def test_a_sweep_is_the_naive_sweep_in_that_order(guesses):
    rng = np.random.default_rng(1)
    for _ in range(30):
        model = random_grid(rng)
        method = DistanceSweeps(model, 0.9)
        method.guesses = guesses
        layout = method.layout
        values = np.where(model.absorbing, 0.0, rng.normal(size=model.num_states))
        v = np.zeros(layout.size + 1)
        layout.gather(values, v)
        low, high = layout.sweep(0.9, v, np.empty(layout.to.shape[1]))
        changes = [0.0]
        for s in layout.order[1 : layout.size + 1].tolist():
            best = naive.jacobi(model, 0.9, values)[s]
            changes.append(best - values[s])
            values[s] = best
        swept = np.zeros_like(values)
        layout.scatter(v, swept)
        np.testing.assert_allclose(swept, values, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose([low, high], [min(changes), max(changes)], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 0.99])
def test_marches_end_at_the_optimum(gamma):
    rng = np.random.default_rng(2)
    for case in range(40):
        model = random_grid(rng, int(rng.integers(1, 9)), int(rng.integers(1, 9)))
        method = DistanceSweeps(model, gamma)
        method.guesses = bool(case % 2)
        values = np.zeros(model.num_states)
        spreads = np.zeros(0)
        while not spreads.size or spreads[-1] > 1e-12:
            before = method.sweeps
            spreads = method.run(values, 7, 1e-12)
            assert 0 < spreads.size == method.sweeps - before <= 7
            assert method.sweeps < 20_000
        solution = solve(model.to_mdp(), gamma, method="value_iteration", tolerance=1e-9)
        np.testing.assert_allclose(values, solution.values, rtol=0, atol=2e-9)


def test_a_warm_start_is_quick():
    rng = np.random.default_rng(3)
    tiles = (rng.random((40, 40)) < 0.2).astype(int)
    tiles[0, 0], tiles[-1, -1] = 0, 2
    kinds = [TileKind("floor"), TileKind("wall", wall=True), TileKind("goal", terminal=True)]
    model = GridModel(tiles, kinds, slip=Slip.sideways(0.1, 0.1), step_reward=-1.0)
    cold, values = DistanceSweeps(model, 0.99), np.zeros(model.num_states)
    cold.guesses = True
    cold.run(values, 10_000, 1e-10)
    before = values.copy()
    warm = DistanceSweeps(model, 0.99)
    warm.run(values, 10_000, 1e-10)
    assert warm.backups < 0.5 * cold.backups
    np.testing.assert_allclose(values, before, rtol=0, atol=1e-9)


@pytest.mark.parametrize("threads", ["2", "3"])
def test_threads_change_nothing(monkeypatch, threads):
    model = random_grid(np.random.default_rng(5), 200, 300)
    results = []
    for number in ("1", threads):
        monkeypatch.setenv("RLGRID_NUM_THREADS", number)
        values = np.zeros(model.num_states)
        method = DistanceSweeps(model, 0.95)
        method.guesses = True
        method.run(values, 500, 1e-8)
        results.append(values)
    np.testing.assert_array_equal(*results)


def test_wind_and_mdps_are_not_laid_out():
    grid = random_grid(np.random.default_rng(6))
    assert applies(grid)
    assert not applies(grid.to_mdp())
    assert not applies(grid.with_changes(column_wind=np.ones(7, int)))


# --- proofs in differences of values, without outcomes written out --------------------------------------------------


def test_images_in_differences_enclose_the_exact_ones(monkeypatch):
    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    rng = np.random.default_rng(7)
    for gamma in (0.0, 0.9, 0.99999):
        for _ in range(8):
            model = random_grid(rng, 4, 5)
            problem = Problem.of(model, gamma)
            assert not problem.explicit
            v = rng.normal(size=model.num_states) * float(rng.choice([1.0, 1e6])) + float(rng.choice([0.0, 1e5]))
            policy = rng.integers(model.num_actions, size=model.num_states)
            above, below = problem.above(v), problem.below(policy, v)
            for s, row in enumerate(naive.exact_model(model)):
                q = [
                    sum(p * (r + (0 if ends else Fraction(gamma) * Fraction(v[to]))) for p, to, r, ends in run)
                    for run in row
                ]
                assert max(q) <= Fraction(above[s]) <= max(q) + Fraction(1e-13 * max(1.0, np.abs(v).max()))
                assert q[policy[s]] - Fraction(1e-13 * max(1.0, np.abs(v).max())) <= Fraction(below[s]) <= q[policy[s]]


def test_large_values_are_proven_as_on_the_explicit_form(monkeypatch):
    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    rng = np.random.default_rng(8)
    for _ in range(10):
        model = random_grid(rng, 6, 6, step_reward=-1.0)
        gamma = 0.99999
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SolverWarning)
            solution = solve(model, gamma)
            written_out = solve(model.to_mdp(), gamma)
        assert verify(model, solution)
        assert solution.error_bound <= 4.0 * max(written_out.error_bound, 1e-6)
        assert (solution.lower <= written_out.upper).all()
        assert (written_out.lower <= solution.upper).all()


# --- without discounting --------------------------------------------------------------------------------------------


def test_mazes_without_discounting(monkeypatch):
    monkeypatch.setattr("rlgrid.methods.EXPLICIT_PAIRS", 0)
    rng = np.random.default_rng(9)
    kinds = [
        TileKind("floor"),
        TileKind("wall", wall=True),
        TileKind("goal", terminal=True, enter_reward=5.0),
        TileKind("pit", terminal=True, enter_reward=-30.0),
        TileKind("mud", step_reward=-4.0, slip=Slip(0.4, 0.3, 0.3)),
        TileKind("hole", leave_to=0),
    ]
    served = refused = 0
    for _ in range(60):
        height, width = rng.integers(1, 12, 2)
        tiles = rng.choice(6, size=(height, width), p=[0.55, 0.2, 0.04, 0.04, 0.12, 0.05])
        tiles.flat[0], tiles.flat[-1] = 0, 2
        if height * width < 3:
            continue
        model = GridModel(tiles, kinds, slip=Slip(0.8, 0.1, 0.1), step_reward=-1.0, gamma=1.0)
        problem = Problem.of(model, 1.0)
        serves = DistanceSweeps(model, 1.0).closed(problem.hopeless)
        served, refused = served + serves, refused + (not serves)
        solution = solve(model, method="gauss_seidel", sweep_order="distance")
        with monkeypatch.context() as patch:
            patch.setattr("rlgrid.methods.EXPLICIT_PAIRS", 1 << 30)
            other = solve(model, method="value_iteration")
        assert solution.converged
        assert verify(model, solution)
        assert ((solution.lower <= other.upper) & (other.lower <= solution.upper)).all()
        assert (np.isneginf(solution.values) == np.isneginf(other.values)).all()
    assert served > 20
    assert refused > 2
