"""Every method by its name, against exact rational optima; its parts against slow and obvious oracles."""

import itertools
import math
import warnings
from fractions import Fraction

import naive
import numpy as np
import pytest
from test_solvers import check_against_exact, largest_reward, random_model

from rlgrid import MDP, GridModel, GridSpec, Slip, TileKind, solve, verify
from rlgrid.methods import METHODS, choose, method_of
from rlgrid.policy_iteration import PolicyIteration
from rlgrid.problem import Problem
from rlgrid.reduced import Reduced, explicit_arrays
from rlgrid.solvers import SolverWarning, Sweeps

ORDERS = ["forward", "backward", "alternating", "distance"]


def reduced(model, gamma, order="forward", **how):
    problem = Problem.of(model, gamma)
    return Reduced.of(problem, explicit_arrays(problem, model), order, **how)


def pairs_in_order(form):
    """The (s, a) that each pair of a reduced form stands for, None for staying: by nodes, states and actions."""
    problem = form.problem
    m = problem.arrays
    found = []
    for i in range(form.nodes):
        for s in np.flatnonzero(form.number == i).tolist():
            for a in range(m.num_actions):
                run = range(*m.offsets[[s * m.num_actions + a, s * m.num_actions + a + 1]])
                possible = [k for k in run if m.probability[k] > 0.0]
                here = [not m.terminated[k] and form.number[m.next_state[k]] == i for k in possible]
                if possible and not (all(here) and problem.gamma == 1.0):
                    found.append((s, a))
        if i in form.number[problem.members]:
            found.append(None)
    assert len(found) == form.pairs
    return found


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
        stands_for = pairs_in_order(form)
        seen = 0
        for i in range(form.nodes):
            for j in range(form.first_pair[i], form.first_pair[i + 1]):
                to = form.to[form.offsets[j] : form.offsets[j + 1]]
                weight = form.weight[form.offsets[j] : form.offsets[j + 1]]
                assert i not in to
                if stands_for[j] is None:
                    assert (form.reward[j], form.leak[j], to.size) == (0.0, 1.0, 0)
                    continue
                seen += 1
                s, a = stands_for[j]
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


def test_an_order_found_is_the_order_given():
    """The forms by distance and by component are those of the same order of states, given as a permutation."""
    rng = np.random.default_rng(13)
    unreached = 0
    for _ in range(60):
        model, _ = solvable(rng, 0.9)
        for how in ({"by_component": False}, {"by_component": True}):
            found = reduced(model, 0.9, "distance", **how)
            given = reduced(model, 0.9, np.argsort(found.number))
            for mine, theirs in zip((*found.arrays, found.ends), (*given.arrays, given.ends), strict=True):
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)
        unreached += not found.ends.any()
    assert unreached  # some begin where most is paid


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
    monkeypatch.setattr("rlgrid.problem.WRITTEN_OUT", 10)
    fresh = GridSpec.builtin("cliff_walking").compile()
    for arguments in ({"method": "topological"}, {"gamma": 1.0}):
        with pytest.raises(ValueError, match=r"would have to be written out.*Use gamma < 1"):
            solve(fresh, **({"gamma": 0.99} | arguments))
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


# --- methods by their names -----------------------------------------------------------------------------------------

FIXED = [name for name in METHODS if name not in ("auto", "shortest_path")]


def deterministic(rng, gamma):
    """A random model each of whose actions has one outcome; at gamma = 1 every step costs."""
    S, A = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    sign = -1.0 if gamma == 1.0 else float(rng.choice([-1, 0, 1]))

    def outcome(s):
        r = float(rng.integers(-8, 9)) / 4
        return (1.0, int(rng.integers(S)), (sign * abs(r) - 0.25 * (gamma == 1.0)) if sign else r, rng.random() < 0.2)

    return MDP.from_gymnasium({s: {a: [outcome(s)] for a in range(A)} for s in range(S)}, gamma=gamma, start=0)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("method", FIXED)
def test_every_method_finds_the_optimum(method, gamma):
    rng = np.random.default_rng([16, int(1000 * gamma)])
    for n in range(25):
        model, exact = solvable(rng, gamma)
        tolerance = float(rng.choice([1e-3, 1e-7])) * largest_reward(model)
        begin = rng.normal(size=model.num_states) * 3.0 if n % 3 == 0 else None
        solution = solve(model, gamma, method, tolerance, initial_values=begin)
        check_against_exact(model, solution, exact, tolerance)
        assert solution.backups > 0 or not Problem.of(model, gamma).pairs
        assert len(solution.history) == solution.sweeps


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.9999, 1.0])
def test_shortest_paths_of_deterministic_models(gamma):
    """Costs and gains of any sign, cycles that pay where gamma < 1, states without an end."""
    rng = np.random.default_rng(17)
    for _ in range(60):
        model = deterministic(rng, gamma)
        exact = naive.optimum_undiscounted(model) if gamma == 1.0 else naive.optimum(model, gamma)
        solution = solve(model, method="shortest_path")
        check_against_exact(model, solution, exact, 1e-6)
        assert solution.sweeps < 30


def test_shortest_paths_are_for_deterministic_models():
    model = GridSpec.builtin("frozen_lake_4x4").compile()
    with pytest.raises(
        ValueError, match=r"deterministic models, but state 0 \(row 0, column 0\), action 0 has several"
    ):
        solve(model, gamma=0.9, method="shortest_path")


def tied_maze(size, gamma):
    """Open floor without slip: nearly every state has two actions that are equally good."""
    tiles = np.zeros((size, size), int)
    tiles[-1, -1] = 1
    return GridModel(
        tiles, [TileKind("floor"), TileKind("goal", terminal=True)], gamma=gamma, actions=4, step_reward=-1.0
    )


@pytest.mark.parametrize("size", [10, 20, 100])
@pytest.mark.parametrize("method", ["policy_iteration", "krylov_policy_iteration", "modified_policy_iteration"])
def test_ties_do_not_keep_policies_from_settling(method, size):
    for gamma in (0.99, 1.0):
        model = tied_maze(size, gamma)
        values = np.zeros(model.num_states)  # from which no policy is greedy by luck
        solution = solve(model, method=method, initial_values=values)
        assert solution.converged
        steps = np.add.outer(np.arange(size)[::-1], np.arange(size)[::-1]).ravel()
        wanted = -steps.astype(float) if gamma == 1.0 else -(1.0 - gamma**steps) / (1.0 - gamma)
        np.testing.assert_allclose(solution.values, wanted, atol=1e-6)
        assert solution.sweeps < 40


def test_policy_iteration_settles_where_rounding_makes_ties_uneven():
    """Many actions of equal worth, each written with other roundings: no choice changes for nothing."""
    rng = np.random.default_rng(18)
    for _ in range(10):
        S, A = 40, 6
        table = {}
        for s in range(S):
            p = rng.dirichlet(np.ones(3))
            to = rng.integers(0, S, 3)
            r = float(rng.normal())
            table[s] = {}
            for a in range(A):
                order = rng.permutation(3)
                scale = 1.0 + 1e-10 * rng.normal()
                run = [(float(p[k] * scale), int(to[k]), r, False) for k in order]
                table[s][a] = run
        model = MDP.from_gymnasium(table, gamma=0.9999, start=0)
        sweeps = Sweeps(model, method="policy_iteration")
        sweeps.run(20, 0.0)
        assert sweeps._method.settled
        assert solve(model, method="policy_iteration", tolerance=1e-6).converged


@pytest.mark.parametrize("method", FIXED)
def test_methods_go_on_from_what_is_known(method):
    """Started from the solution nothing is left to do; also after values were changed from outside."""
    rng = np.random.default_rng(19)
    for gamma in (0.95, 1.0):
        model, _ = solvable(rng, gamma)
        first = solve(model, gamma, method, 1e-9)
        again = solve(model, gamma, method, 1e-6, initial_values=first.values)
        assert again.sweeps <= 2
        sweeps = Sweeps(model, gamma, method)
        for values in (sweeps.values, rng.normal(size=model.num_states), 10.0 * rng.normal(size=model.num_states)):
            sweeps.values = Problem.of(model, gamma).start(values)
            for _ in range(2000):
                if sweeps.run(5, 1e-9)[-1] <= 1e-9:
                    break
            finite = np.isfinite(first.values)
            np.testing.assert_allclose(sweeps.values[finite], first.values[finite], atol=1e-6)


@pytest.mark.parametrize("method", FIXED)
def test_methods_keep_to_limits_and_callbacks(method):
    rng = np.random.default_rng(20)
    model = GridSpec.builtin("four_rooms").compile()
    full = solve(model, gamma=0.99, method=method, callback=lambda sweeps: None)
    assert full.converged
    for most in (0, 1, 3):
        if most >= full.sweeps:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SolverWarning)
            cut = solve(model, gamma=0.99, method=method, max_sweeps=most, initial_values=rng.normal(size=169))
        assert cut.sweeps <= most
        assert verify(model, cut)
    seen = []
    solution = solve(model, gamma=0.99, method=method, callback=lambda sweeps: seen.append(sweeps.values.copy()))
    assert len(seen) == solution.sweeps
    np.testing.assert_allclose(seen[-1], solve(model, gamma=0.99).values, atol=1e-4)

    def interrupt(sweeps):
        raise KeyboardInterrupt

    assert solve(model, gamma=0.99, method=method, callback=interrupt).reason == "interrupted"


@pytest.mark.parametrize("method", FIXED)
def test_the_spread_is_honest(method):
    """Whenever a method says that it is done, one sweep of value iteration changes nothing more than that."""
    rng = np.random.default_rng(21)
    for gamma in (0.9, 0.999):
        for _ in range(10):
            model, _ = solvable(rng, gamma)
            sweeps = Sweeps(model, gamma, method)
            for enough in (1e-1, 1e-4):
                for _ in range(20_000):
                    spread = sweeps.run(3, enough)[-1]
                    if spread <= enough:
                        break
                change = np.array(naive.jacobi(model, gamma, sweeps.values)) - sweeps.values
                assert max(0.0, change.max()) + max(0.0, -change.min()) <= (
                    2.0 * spread + 1e-13 * np.abs(sweeps.values).max()
                )


def wide(states, outcomes, gamma=0.99):
    """Every action leads to many states at random; nothing ends."""
    rng = np.random.default_rng(27)
    pairs = states * 2
    p = rng.random((pairs, outcomes)) + 0.1
    p /= p.sum(axis=1, keepdims=True)
    to = rng.integers(0, states, (pairs, outcomes))
    reward = np.repeat(rng.normal(size=pairs), outcomes)
    ends = np.zeros(pairs * outcomes, bool)
    return MDP(states, 2, np.arange(pairs + 1) * outcomes, to.ravel(), p.ravel(), reward, ends, gamma=gamma)


def test_auto_chooses_by_the_structure_of_a_model():
    grid = GridSpec.builtin("four_rooms").compile()
    cases = [
        (grid, 0.99, "gauss_seidel"),
        (grid.to_mdp(), 1.0, "gauss_seidel"),
        (wide(300, 3), 0.99, "gauss_seidel"),
        (wide(1200, 3), 0.99, "krylov_policy_iteration"),
        (wide(1200, 30), 0.99, "shifted_value_iteration"),
    ]
    for model, gamma, wanted in cases:
        problem = Problem.of(model, gamma)
        assert choose(problem, model) == wanted
        solution = solve(model, gamma)
        assert solution.converged
        assert solution.method.startswith(wanted)
        other = "value_iteration" if gamma < 1.0 else "policy_iteration"
        np.testing.assert_allclose(solution.values, solve(model, gamma, other).values, atol=2e-6)
    assert choose(Problem.of(cases[-1][0], 0.99), cases[-1][0], mixes=False) == "krylov_policy_iteration"


def test_inexact_policies_are_evaluated_by_factors_where_a_chain_is_slow():
    """A walk against a current to the only reward: rough values would move the policy on by a few states at a time."""
    n = 1500
    table = {
        s: {
            0: [(1.0, max(0, s - 1), 0.005 * (s == 0), False)],
            1: [(0.4, max(0, s - 1), 0.0, False), (0.6, min(n - 1, s + 1), float(s == n - 1), False)],
        }
        for s in range(n)
    }
    model = MDP.from_gymnasium(table, gamma=0.9999, start=0)
    wanted = solve(model, method="policy_iteration")
    solution = solve(model, method="krylov_policy_iteration")
    assert solution.converged
    assert verify(model, solution)
    assert solution.sweeps < 40
    np.testing.assert_allclose(solution.values, wanted.values, atol=2e-6)


# --- kernels --------------------------------------------------------------------------------------------------------


def test_prioritized_sweeping_keeps_priorities_above_residuals():
    from rlgrid.kernels.prioritized import prioritized, queues
    from rlgrid.kernels.reduced import residuals

    rng = np.random.default_rng(22)
    for _ in range(30):
        model, _ = solvable(rng, 0.95)
        form = reduced(model, 0.95)
        v, left, priority = rng.normal(size=form.nodes), np.empty(form.nodes), np.empty(form.nodes)
        residuals(*form.arrays, v, left)
        priority[:] = np.abs(left)
        waiting = queues(priority, 1e-8)
        for _ in range(40):
            history = np.zeros(1)
            prioritized(*form.arrays, *form.edges, v, priority, *waiting, 1, 1e-8, history, np.zeros(1, np.int64))
            residuals(*form.arrays, v, left)
            assert (np.abs(left) <= priority + 1e-12).all()
            assert history[0] == 2.0 * priority.max()


def test_residuals_and_policies_against_plain_loops():
    from rlgrid.kernels.reduced import improve, residuals, sweep_chosen

    rng = np.random.default_rng(23)
    for _ in range(30):
        model, _ = solvable(rng, 0.9)
        form = reduced(model, 0.9)
        v = rng.normal(size=form.nodes)

        def q(j, v, form=form):
            run = slice(form.offsets[j], form.offsets[j + 1])
            return form.reward[j] + form.weight[run] @ v[form.to[run]]

        pairs = [range(form.first_pair[i], form.first_pair[i + 1]) for i in range(form.nodes)]
        left = np.empty(form.nodes)
        residuals(*form.arrays, v, left)
        np.testing.assert_allclose(left, [max(q(j, v) for j in own) - v[i] for i, own in enumerate(pairs)], atol=1e-12)
        u, choice = v.copy(), np.full(form.nodes, -1)
        improve(*form.arrays, u, choice, 0.0)
        plain = v.copy()
        for i, own in enumerate(pairs):
            assert choice[i] == max(own, key=lambda j: q(j, plain))
            plain[i] = q(choice[i], plain)
        np.testing.assert_allclose(u, plain, atol=1e-12)
        sweep_chosen(*form.arrays[1:], choice, u, True)
        for i in reversed(range(form.nodes)):
            plain[i] = q(choice[i], plain)
        np.testing.assert_allclose(u, plain, atol=1e-12)


def test_bicgstab_solves_what_a_dense_solver_does():
    from rlgrid.kernels.reduced import bicgstab, chain

    rng = np.random.default_rng(24)
    model = GridSpec.builtin("four_rooms").compile()
    form = reduced(model, 0.999, "distance")
    choice = np.array([rng.integers(form.first_pair[i], form.first_pair[i + 1]) for i in range(form.nodes)])
    starts, to, weight = chain(form.offsets, form.to, form.weight, choice)
    dense = np.eye(form.nodes)
    for i in range(form.nodes):
        for k in range(starts[i], starts[i + 1]):
            dense[i, to[k]] -= weight[k]
    right = rng.normal(size=form.nodes)
    x = np.zeros(form.nodes)
    rest, rounds = bicgstab(starts, to, weight, right, x, 1e-10, 500)
    assert rest <= 1e-10
    assert rounds < 100
    np.testing.assert_allclose(x, np.linalg.solve(dense, right), rtol=1e-6, atol=1e-6)
    kept = np.zeros(form.nodes)
    assert bicgstab(starts, to, weight, right, kept, 0.0, 0) == (np.abs(right).max(), 0)
    assert not kept.any()


def test_paths_and_cycles_are_followed_exactly():
    from rlgrid.kernels.reduced import follow_paths

    rng = np.random.default_rng(25)
    for _ in range(60):
        model = deterministic(rng, 0.9)
        form = reduced(model, 0.9)
        choice = np.array([rng.integers(form.first_pair[i], form.first_pair[i + 1]) for i in range(form.nodes)])
        v = np.zeros(form.nodes)
        assert follow_paths(form.offsets, form.to, form.weight, form.reward, form.leak, choice, v)
        stands_for = pairs_in_order(form)
        policy = [stands_for[j][1] for j in choice]
        exact = naive.policy_value(naive.exact_model(model), policy, 0.9)
        np.testing.assert_allclose(v, [float(x) for x in exact], atol=1e-12)
    endless = MDP.from_gymnasium({0: {0: [(1.0, 1, -1.0, False)]}, 1: {0: [(1.0, 0, -1.0, False)]}}, 0.9, 0)
    form = reduced(endless, 0.9)
    assert not follow_paths(form.offsets, form.to, np.ones(2), form.reward, np.zeros(2), np.array([0, 1]), np.zeros(2))


def test_policies_are_made_proper():
    """At gamma = 1, from any choice, to one from which every node reaches the end; those that did keep theirs."""
    rng = np.random.default_rng(26)
    for _ in range(60):
        model, _ = solvable(rng, 1.0)
        form = reduced(model, 1.0, "distance")
        if not form.nodes:
            continue
        method = PolicyIteration(form)
        before = np.array([rng.integers(form.first_pair[i], form.first_pair[i + 1]) for i in range(form.nodes)])
        method.choice = before.copy()

        def reaches(choice, form=form):
            done = {i for i in range(form.nodes) if form.leak[choice[i]] > 0}
            while True:
                more = {
                    i
                    for i in range(form.nodes)
                    if i not in done
                    and any(t in done for t in form.to[form.offsets[choice[i]] : form.offsets[choice[i] + 1]])
                }
                if not more:
                    return done
                done |= more

        good = reaches(before)
        assert method._proper() == (len(good) == form.nodes)
        method._make_proper()
        assert len(reaches(method.choice)) == form.nodes
        assert method._proper()
        assert all(method.choice[i] == before[i] for i in good)


def chain_of_rings(size, rings=400):
    """Rings of some states each, the next ring behind every one, the end behind the last; each step pays its own."""
    rng = np.random.default_rng(27)
    table = {}
    for s in range(size * rings):
        on = s + size if s + size < size * rings else s
        around = s // size * size + (s + 1) % size
        moves = [(1.0, around, -float(rng.random()), False)] if size > 1 else []
        table[s] = dict(
            enumerate([[(0.5, on, -1.0, on == s), (0.5, around, -1.0, around == s)], moves][: 1 + (size > 1)])
        )
    return MDP.from_gymnasium(table, 0.9, start=0)


@pytest.mark.parametrize(
    ("size", "gamma", "wanted"),
    [
        (10, 0.999, "topological"),
        (1, 1.0, "topological"),
        (3, 1.0, "krylov_policy_iteration"),
        (70, 0.9, "krylov_policy_iteration"),
    ],
)
def test_auto_takes_small_components_in_turn(size, gamma, wanted):
    model = chain_of_rings(size, {1: 1200, 10: 120, 70: 20}.get(size, 400))
    solution = solve(model, gamma, tolerance=1e-9)
    assert (solution.method, solution.converged) == (wanted, True)
    other = solve(model, gamma, "policy_iteration", 1e-9)
    np.testing.assert_allclose(solution.values, other.values, atol=2e-9)


@pytest.mark.parametrize(("leave", "wanted"), [(0.1, "topological"), (1e-4, "krylov_policy_iteration")])
def test_auto_takes_small_components_in_turn_only_where_much_leads_out_of_them(leave, wanted):
    """Where an agent stays in its component for 10,000 steps, that is as slow to sweep as the whole model."""
    rng = np.random.default_rng(0)
    states = 2000
    table = {
        s: {
            a: [
                (0.5, s // 2 * 2 + int(rng.integers(2)), float(rng.normal()), False),
                (0.5 - leave, s // 2 * 2 + 1 - s % 2, float(rng.normal()), False),
                (leave, min(states - 1, s // 2 * 2 + 2), 0.0, False),
            ]
            for a in range(3)
        }
        for s in range(states)
    }
    model = MDP.from_gymnasium(table, 0.99, start=0)
    solution = solve(model)
    assert (solution.method, solution.converged) == (wanted, True)
    other = solve(model, method="krylov_policy_iteration")
    assert solution.backups <= 1.5 * other.backups
    np.testing.assert_allclose(solution.values, other.values, atol=2e-6)


@pytest.mark.parametrize("method", [*METHODS[1:5], *METHODS[5:9], "auto"])
def test_runs_of_any_length_make_the_same_sweeps(method):
    """So what a solver finds does not depend on how its runs are cut."""
    model = chain_of_rings(3, 20)
    alone = method_of(method, Problem.of(model, 0.99), model, "distance")
    values = np.zeros(model.num_states)
    history = alone.run(values, 40, 1e-9)
    other, pieces, mine = method_of(method, Problem.of(model, 0.99), model, "distance"), [], np.zeros(model.num_states)
    while sum(map(len, pieces)) < len(history):
        pieces.append(other.run(mine, min(1 + len(pieces) % 3, len(history) - sum(map(len, pieces))), 1e-9))
    np.testing.assert_array_equal(np.concatenate(pieces), history)
    np.testing.assert_array_equal(mine, values)
    assert other.sweeps == alone.sweeps


@pytest.mark.parametrize("method", ["auto", "value_iteration", "prioritized_sweeping"])
def test_the_clock_has_no_part_in_what_is_found(monkeypatch, method):
    swing = {
        0: {0: [(1.0, 1, -1.0, False)], 1: [(0.5, 0, -0.2, False), (0.5, 1, 0.0, False)]},
        1: {0: [(1.0, 0, 2.0, False)], 1: [(1.0, 1, 0.1, False)]},
    }
    for model, gamma in ((MDP.from_gymnasium(swing, start=0), 0.99), (chain_of_rings(3, 20), 1.0)):
        found = []
        for seconds in (0.0, 0.015, 10.0):  # between two looks at the clock
            ticks = itertools.count(0.0, seconds)
            monkeypatch.setattr("rlgrid.solvers.time.perf_counter", ticks.__next__)
            found.append(solve(model, gamma, method, 1e-9, max_sweeps=5000))
        for solution in found[1:]:
            assert (solution.method, solution.sweeps) == (found[0].method, found[0].sweeps)
            np.testing.assert_array_equal(solution.values, found[0].values)
            np.testing.assert_array_equal(solution.history, found[0].history)
