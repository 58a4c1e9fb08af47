"""Every method by its name, against exact rational optima; its parts against slow and obvious oracles."""

import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from test_solvers import check_against_exact, largest_reward, random_model

from rlgrid import GridModel, GridSpec, Slip, TileKind, solve
from rlgrid.methods import method_of
from rlgrid.problem import Problem
from rlgrid.reduced import Reduced, explicit_arrays
from rlgrid.solvers import Sweeps

ORDERS = ["forward", "backward", "alternating", "distance"]


def reduced(model, gamma, order="forward", **how):
    problem = Problem.of(model, gamma)
    return Reduced.of(problem, explicit_arrays(problem, model), order, **how)


def solvable(rng, gamma):
    """A random model and its exact optimum; at gamma = 1 one that is not refused."""
    while True:
        model = random_model(rng, gamma)
        exact = naive.optimum_undiscounted(model) if gamma == 1.0 else naive.optimum(model, gamma)
        try:
            Problem.of(model, gamma)
        except ValueError:
            continue
        return model, exact


# --- the reduced form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_the_reduced_form_solves_own_loops(gamma):
    """Each pair's reward and weights against rationals: collected until the node is left."""
    rng = np.random.default_rng(11)
    for _ in range(60):
        model, _ = solvable(rng, gamma)
        form = reduced(model, gamma, rng.permutation(model.num_states))
        exact = naive.exact_model(model)
        seen = 0
        for i in range(form.nodes):
            for j in range(form.first_pair[i], form.first_pair[i + 1]):
                to = form.to[form.offsets[j] : form.offsets[j + 1]]
                weight = form.weight[form.offsets[j] : form.offsets[j + 1]]
                assert i not in to
                if form.pair_of[j] < 0:
                    assert (form.reward[j], form.leak[j], to.size) == (0.0, 1.0, 0)
                    continue
                seen += 1
                s, a = divmod(int(form.pair_of[j]), model.num_actions)
                assert form.number[s] == i
                here = sum(p for p, t, _, ends in exact[s][a] if not ends and form.number[t] == i)
                once = 1 - Fraction(gamma) * here
                assert form.reward[j] == pytest.approx(float(sum(p * r for p, _, r, _ in exact[s][a]) / once))
                assert form.leak[j] == pytest.approx(1.0 - weight.sum(), abs=1e-12)
                wanted = np.zeros(form.nodes)
                for p, t, _, ends in exact[s][a]:
                    if not ends and form.number[t] != i:
                        wanted[form.number[t]] += float(Fraction(gamma) * p / once)
                np.testing.assert_allclose(np.bincount(to, weight, form.nodes), wanted, atol=1e-14)
        if gamma < 1.0:
            assert seen == sum(len(run) > 0 for row in exact for run in row)


def test_values_go_to_nodes_and_come_back():
    model = GridSpec.builtin("four_rooms").compile()
    form = reduced(model, 0.9, "distance")
    values = np.random.default_rng(0).normal(size=model.num_states)
    again = np.empty_like(values)
    form.scatter(form.gather(values), again)
    np.testing.assert_array_equal(again, values)


def test_edges_backwards():
    rng = np.random.default_rng(12)
    for _ in range(40):
        model, _ = solvable(rng, 0.9)
        form = reduced(model, 0.9)
        wanted = {}
        for i in range(form.nodes):
            for j in range(form.first_pair[i], form.first_pair[i + 1]):
                row = {}
                for k in range(form.offsets[j], form.offsets[j + 1]):
                    row[form.to[k]] = row.get(form.to[k], 0.0) + form.weight[k]
                for t, w in row.items():
                    wanted[t, i] = max(wanted.get((t, i), 0.0), w)
        starts, tails, most = form.edges
        found = {
            (t, tails[e]): pytest.approx(most[e]) for t in range(form.nodes) for e in range(starts[t], starts[t + 1])
        }
        assert found == wanted
        assert starts[-1] == len(wanted)


def test_distance_is_the_order_in_which_news_travels():
    """Every state that can end the episode comes no later than what is further away."""
    model = GridSpec.builtin("four_rooms").compile()
    form = reduced(model, 0.9, "distance")
    steps = np.where(form.ends, 0, 10**6)
    for _ in range(form.nodes):
        for i in range(form.nodes):
            to = form.to[form.offsets[form.first_pair[i]] : form.offsets[form.first_pair[i + 1]]]
            steps[i] = min(steps[i], 1 + min((steps[t] for t in to), default=10**6))
        if (np.diff(steps) >= 0).all():
            break
    assert (np.diff(steps) >= 0).all()
    assert form.ends[0]
    assert not form.ends.all()


def test_components_are_classes_of_states_that_reach_each_other():
    rng = np.random.default_rng(13)
    for _ in range(60):
        model, _ = solvable(rng, 0.9)
        form = reduced(model, 0.9, "distance", by_component=True)
        reach = np.eye(form.nodes, dtype=bool)
        for i in range(form.nodes):
            reach[i, form.to[form.offsets[form.first_pair[i]] : form.offsets[form.first_pair[i + 1]]]] = True
        for k in range(form.nodes):
            reach |= reach[:, k : k + 1] & reach[k : k + 1]
        label = np.repeat(np.arange(form.starts.size - 1), np.diff(form.starts))
        np.testing.assert_array_equal(label[:, None] == label, reach & reach.T)
        assert (label[:, None] >= label)[reach].all()  # nothing leads to a component that comes later


# --- sweep orders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.9, 0.999, 1.0])
def test_every_order_of_sweeps_finds_the_optimum(gamma):
    rng = np.random.default_rng(14)
    for n in range(50):
        model, exact = solvable(rng, gamma)
        order = rng.permutation(model.num_states) if n % 5 == 4 else ORDERS[n % 5]
        tolerance = 1e-6 * largest_reward(model)
        solution = solve(model, gamma, "gauss_seidel", tolerance, sweep_order=order)
        check_against_exact(model, solution, exact, tolerance)


def test_sweeps_in_an_order_are_those_of_plain_loops():
    rng = np.random.default_rng(15)
    for _ in range(20):
        model, _ = solvable(rng, 0.9)
        exact = naive.exact_model(model)
        order = rng.permutation(model.num_states)
        sweeps = Sweeps(model, 0.9, "gauss_seidel", sweep_order=order)
        v = [0.0] * model.num_states
        for _ in range(3):
            sweeps.sweep()
            before = list(v)
            for s in order:
                v[s] = max(
                    float(
                        sum(
                            p * (r + (0 if ends or t == s else Fraction(9, 10) * Fraction(v[t])))
                            for p, t, r, ends in run
                        )
                        / (1 - Fraction(0.9) * sum(p for p, t, _, ends in run if t == s and not ends))
                    )
                    for run in exact[s]
                    if run
                )
            np.testing.assert_allclose(sweeps.values, v, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(sweeps.residual, np.subtract(v, before), rtol=1e-7, atol=1e-9)


def test_news_travels_along_a_corridor_in_one_sweep():
    n = 50
    table = {s: {0: [(1.0, s + 1, -1.0, s == n - 2)]} for s in range(n - 1)} | {n - 1: {0: [(1.0, n - 1, 0.0, True)]}}
    from rlgrid import MDP

    model = MDP.from_gymnasium(table, gamma=1.0, start=0)
    sweeps = {}
    for order in ("forward", "backward", "distance"):
        solution = solve(model, method="gauss_seidel", sweep_order=order)
        assert solution.values.tolist() == [float(s - n + 1) for s in range(n)]
        sweeps[order] = solution.sweeps
    assert sweeps["distance"] == sweeps["backward"] == 2
    assert sweeps["forward"] > n - 2


@pytest.mark.parametrize(
    ("order", "error", "text"),
    [
        ("sideways", ValueError, "forward, backward"),
        ([0, 1], ValueError, "every state once"),
        ([0] * 16, ValueError, "1 is missing"),
        ([*range(15), 16], ValueError, r"sweep_order\[15\] is 16"),
        (np.ones(16), TypeError, "integers"),
    ],
)
def test_orders_that_are_none_are_refused(order, error, text):
    with pytest.raises(error, match=text):
        solve(GridSpec.builtin("frozen_lake_4x4").compile(), method="gauss_seidel", sweep_order=order)


def test_grids_are_swept_in_every_order(monkeypatch):
    model = GridSpec.builtin("cliff_walking").compile()
    wanted = solve(model, gamma=1.0, tolerance=1e-9).values
    monkeypatch.setattr("rlgrid.problem.EXPLICIT_PAIRS", 0)
    for order in ("auto", *ORDERS, np.arange(model.num_states)[::-1]):
        solution = solve(model, gamma=0.99, method="gauss_seidel", sweep_order=order)
        assert solution.converged
        assert solve(model, gamma=1.0, method="gauss_seidel", sweep_order=order).values == pytest.approx(wanted)
    monkeypatch.setattr("rlgrid.reduced.EXPLICIT_LIMIT", 10)
    fresh = GridSpec.builtin("cliff_walking").compile()
    with pytest.raises(ValueError, match="too large to write its outcomes out"):
        solve(fresh, gamma=0.99, method="topological")
    assert math.isfinite(solve(fresh, gamma=0.99, method="gauss_seidel").error_bound)


def test_a_window_that_follows_what_has_settled_takes_fewer_sweeps():
    tiles = (np.random.default_rng(0).random((60, 60)) < 0.2).astype(int)
    tiles[0, 0], tiles[-1, -1] = 0, 2
    kinds = [TileKind("floor"), TileKind("wall", wall=True), TileKind("goal", terminal=True)]
    model = GridModel(tiles, kinds, slip=Slip(0.8, 0.1, 0.1), step_reward=-1.0).to_mdp()
    for gamma in (0.99, 1.0):
        made, values = [], []
        for marches in (False, True):
            problem = Problem.of(model, gamma)
            method = method_of("gauss_seidel", problem, model, "distance")
            method.guesses, method._by_distance = True, marches
            v, spreads = problem.start(), np.array([np.inf])
            while spreads[-1] > 1e-10:
                spreads = method.run(v, 10, 1e-10)
                assert spreads.size <= 10
            made.append(method.sweeps)
            values.append(v)
        np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-8)
        assert made[1] < made[0]
