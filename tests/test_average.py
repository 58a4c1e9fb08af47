"""The average reward: gains against exact rational arithmetic, proofs, limits, and models that have no single gain."""

import math
import warnings
from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import MDP, GridModel, Slip, Solution, TileKind, policy_values, solve, verify
from rlgrid.average_sweeps import AverageSweeps
from rlgrid.solvers import SolverWarning

METHODS = ["auto", "value_iteration", "policy_iteration"]


def table(*states):
    """An MDP of {action: [(p, to, r)]} or [(p, to, r, True)] for each state."""
    return MDP.from_gymnasium(
        {s: {a: [(*o, False)[:4] for o in run] for a, run in row.items()} for s, row in enumerate(states)},
        gamma=0.9,
        start=0,
    )


def river_swim(n=6):
    """Strehl & Littman 2008, figure 1: left (0) always works, right (1) against the stream."""
    rows = []
    for s in range(n):
        left = [(1.0, max(s - 1, 0), 0.005 if s == 0 else 0.0)]
        if s == 0:
            right = [(0.4, 0, 0.0), (0.6, 1, 0.0)]
        elif s == n - 1:
            right = [(0.6, s, 1.0), (0.4, s - 1, 1.0)]
        else:
            right = [(0.35, s + 1, 0.0), (0.6, s, 0.0), (0.05, s - 1, 0.0)]
        rows.append({0: left, 1: right})
    return table(*rows)


def random_model(rng, *, communicating=False):
    S, A = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    while A**S > 250:
        A -= 1
    scale = float(rng.choice([1, 1, 100, 1e-3]))
    ending, certain = float(rng.choice([0, 0, 0.15, 0.5])), rng.random() < 0.4
    rows = {}
    for s in range(S):
        rows[s] = {}
        for a in range(A):
            if a > 0 and rng.random() < 0.15:
                rows[s][a] = []
                continue
            n = 1 if certain else int(rng.integers(1, 4))
            p = rng.multinomial(8, np.ones(n) / n) / 8
            rows[s][a] = [
                (
                    float(q),
                    int(rng.integers(S)),
                    float(rng.integers(-4, 5)) / 4 * scale,
                    bool(not communicating and rng.random() < ending),
                )
                for q in p
            ]
        if communicating:
            rows[s][0] = [(1.0, (s + 1) % S, float(rng.integers(-4, 5)) / 4 * scale, False)]
    return MDP.from_gymnasium(rows, gamma=0.9, start=0)


def check(model, solution):
    """Everything that a solution claims, against exact gains of the policy and the optimum."""
    assert verify(model, solution)
    assert verify(model, solution, exact=True)
    assert solution.criterion == "average"
    assert solution.gain_lower <= solution.gain <= solution.gain_upper
    best = naive.optimal_gains(model)
    own, bias = naive.gain_and_bias(naive.exact_model(model), solution.policy)
    for s in range(model.num_states):
        assert Fraction(solution.lower[s]) <= own[s] <= best[s] <= Fraction(solution.upper[s])
        assert best[s] - own[s] <= Fraction(solution.policy_loss_bound)
        if not model.absorbing[s]:
            assert abs(Fraction(solution.gain) - best[s]) <= Fraction(solution.error_bound)
    return best, bias


# --- the truth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_river_swim(method):
    """Always right is optimal; its gain is .42862 (TRUTH.md), here by hand.

    Flows balance between neighbours: pi_1 = pi_0 .6 / .05, pi_{k+1} = pi_k .35 / .05 and pi_5 = pi_4 .35 / .4; the
    right end alone pays, 1 a step.
    """
    model = river_swim()
    shares = [Fraction(1), Fraction(12), Fraction(84), Fraction(588), Fraction(4116), Fraction(4116 * 7, 8)]
    gain = shares[5] / sum(shares)
    assert round(float(gain), 5) == 0.42862
    solution = solve(model, criterion="average", method=method, tolerance=1e-9)
    assert solution.converged
    assert solution.method == ("value_iteration" if method == "auto" else method)
    assert solution.gain == pytest.approx(float(gain), abs=1e-12)
    assert (solution.policy == 1).all()
    best, bias = check(model, solution)
    assert abs(best[0] - gain) < Fraction(1, 10**15)  # .35 is no exact float
    np.testing.assert_allclose(solution.bias, [float(h) for h in bias], atol=1e-9)
    np.testing.assert_allclose(solution.q_values.max(axis=1), solution.values, atol=1e-9)
    assert "gain=0.428622" in repr(solution)


def test_a_long_river():
    """States that the stream almost never lets an agent reach; ended by policies among the sweeps."""
    model = river_swim(200)
    solution = solve(model, criterion="average", tolerance=1e-10)
    assert solution.converged
    assert solution.sweeps < 2000
    assert verify(model, solution)


@pytest.mark.parametrize("method", METHODS)
def test_puterman_example_8_2_1_periodic(method):
    """Two states that take turns, with rewards 1 and 2: gain 3/2, bias -1/4 and 1/4 (h = r - g + P h, mean 0)."""
    model = table({0: [(1.0, 1, 1.0)]}, {0: [(1.0, 0, 2.0)]})
    solution = solve(model, criterion="average", method=method)
    assert solution.converged
    assert solution.gain == pytest.approx(1.5, abs=1e-12)
    np.testing.assert_allclose(solution.bias, [-0.25, 0.25], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_puterman_example_3_1_two_states(method):
    """Puterman 1994, section 3.1: s1 goes on half the time for 5 (a11) or leaves for 10 (a12); s2 loops at -1."""
    model = table({0: [(0.5, 0, 5.0), (0.5, 1, 5.0)], 1: [(1.0, 1, 10.0)]}, {0: [(1.0, 1, -1.0)]})
    solution = solve(model, criterion="average", method=method, tolerance=1e-9)
    assert solution.gain == pytest.approx(-1.0, abs=1e-9)
    best, _ = check(model, solution)
    assert best == [-1, -1]


@pytest.mark.parametrize("seed", range(4))
def test_random_communicating_models(seed):
    rng = np.random.default_rng([11, seed])
    for _ in range(40):
        model = random_model(rng, communicating=True)
        scale = max(1.0, float(np.abs(model.reward).max()))
        tolerance = float(rng.choice([1e-3, 1e-6, 1e-9])) * scale
        solution = solve(model, criterion="average", method=str(rng.choice(METHODS)), tolerance=tolerance)
        assert solution.converged
        _, bias = check(model, solution)
        np.testing.assert_allclose(solution.bias, [float(h) for h in bias], atol=1e-9 * scale)


@pytest.mark.parametrize("seed", range(4))
def test_random_models_are_solved_or_refused_as_they_should(seed):
    """Refused exactly where the exact gain differs between states; transient states, ends and ties among them."""
    rng = np.random.default_rng([12, seed])
    solved = refused = 0
    for _ in range(60):
        model = random_model(rng)
        best = naive.optimal_gains(model)
        counted = {best[s] for s in range(model.num_states) if not model.absorbing[s]}
        gap = max(counted, default=0) - min(counted, default=0)
        try:
            solution = solve(model, criterion="average", method=str(rng.choice(METHODS)), tolerance=1e-7)
        except ValueError as error:
            assert "multichain" in str(error)  # noqa: PT017
            assert gap > 0
            refused += 1
            continue
        assert gap == 0
        assert solution.converged
        check(model, solution)
        solved += 1
    assert solved > 20
    assert refused > 5


def test_the_method_is_what_ran(monkeypatch):
    """Sweeps that are not enough are followed by policies, and those that are too many by sweeps again."""
    model = river_swim(40)
    monkeypatch.setattr("rlgrid.average.PATIENCE", 8)
    both = solve(model, criterion="average", tolerance=1e-12)
    assert both.converged
    assert both.method == "value_iteration, policy_iteration"
    swept = solve(model, criterion="average", method="value_iteration", tolerance=1e-3)
    assert swept.method == "value_iteration"
    with pytest.warns(SolverWarning, match="max_sweeps"):
        assert solve(model, criterion="average", max_sweeps=0).method == "value_iteration"
    with pytest.warns(SolverWarning, match="max_sweeps"):
        assert solve(model, criterion="average", method="policy_iteration", max_sweeps=0).method == "policy_iteration"


# --- structure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_multichain_is_refused_by_name(method):
    model = table({0: [(1.0, 0, 1.0)], 1: [(0.5, 1, 0.0), (0.5, 2, 0.0)]}, {0: [(1.0, 1, 2.0)]}, {0: [(1.0, 2, 3.0)]})
    with pytest.raises(ValueError, match=r"multichain.*From state 2 it is 3, from state 1 it is 2.*gamma < 1"):
        solve(model, criterion="average", method=method)


def test_multichain_names_the_cells_of_a_map():
    kinds = [TileKind("floor"), TileKind("wall", "#", wall=True), TileKind("gold", "$", step_reward=1.0)]
    model = GridModel([[2, 0, 1, 0]], kinds)
    with pytest.raises(
        ValueError, match=r"state 0 \(row 0, column 0\) it is 1, from state 3 \(row 0, column 3\) it is 0"
    ):
        solve(model, criterion="average")


def test_an_end_that_cannot_be_avoided_makes_a_model_multichain():
    model = table({0: [(1.0, 0, 1.0)]}, {0: [(0.5, 0, 0.0), (0.5, 1, 9.0, True)]})
    with pytest.raises(ValueError, match=r"From state 0 it is 1, from state 1, where the episode may end"):
        solve(model, criterion="average")
    model = table({0: [(1.0, 0, -1.0)]}, {0: [(1.0, 1, 9.0, True)]})
    with pytest.raises(ValueError, match=r"earns 0 a step for ever, as from state 1, from state 0 it is -1"):
        solve(model, criterion="average")


@pytest.mark.parametrize("method", METHODS)
def test_episodes_that_end_have_gain_0(method):
    model = table({0: [(1.0, 1, 5.0)]}, {0: [(0.5, 0, -3.0), (0.5, 0, 7.0, True)], 1: [(1.0, 1, -1.0)]})
    solution = solve(model, criterion="average", method=method, tolerance=1e-9)
    assert solution.gain == pytest.approx(0.0, abs=1e-9)
    check(model, solution)
    np.testing.assert_allclose(solution.bias, [14.0, 9.0], atol=1e-6)  # h0 = 5 + h1, h1 = 2 + h0 / 2


@pytest.mark.parametrize("method", METHODS)
def test_to_end_is_avoided_where_going_on_earns(method):
    model = table(
        {0: [(1.0, 1, 0.0)], 1: [(1.0, 0, 100.0, True)]}, {0: [(1.0, 0, 1.0)], 1: [(0.5, 1, 9.0), (0.5, 1, 9.0, True)]}
    )
    solution = solve(model, criterion="average", method=method, tolerance=1e-9)
    assert solution.policy.tolist() == [0, 0]
    assert solution.gain == pytest.approx(0.5)
    assert np.isneginf(solution.q_values[:, 1]).all()
    np.testing.assert_allclose(solution.q_values[:, 0], solution.values, atol=1e-8)
    check(model, solution)


@pytest.mark.parametrize("method", METHODS)
def test_the_best_component_reached_from_everywhere_is_enough(method):
    """A poor closed walk that can be left, and a rich one that is reached in the end through chance."""
    model = table(
        {0: [(1.0, 1, 1.0)]},
        {0: [(1.0, 0, 1.0)], 1: [(0.125, 2, -50.0), (0.875, 1, -50.0)]},
        {0: [(1.0, 2, 2.0)], 1: [(1.0, 0, 90.0)]},
    )
    solution = solve(model, criterion="average", method=method)
    best, _ = check(model, solution)
    assert len(set(best)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_components_of_equal_gain_that_cannot_reach_each_other(method):
    model = table(
        {0: [(1.0, 1, 1.0)], 1: [(1.0, 2, 0.0)]}, {0: [(1.0, 1, 2.0)]}, {0: [(1.0, 3, 1.0)]}, {0: [(1.0, 2, 3.0)]}
    )
    solution = solve(model, criterion="average", method=method)
    assert solution.converged
    assert solution.gain == pytest.approx(2.0)
    check(model, solution)


def test_gains_closer_than_the_tolerance_count_as_equal():
    model = table({0: [(1.0, 0, 1.0)]}, {0: [(1.0, 1, 1.0 + 1e-8)]})
    solution = solve(model, criterion="average", tolerance=1e-6)
    assert solution.converged
    check(model, solution)
    with pytest.raises(ValueError, match="multichain"):
        solve(model, criterion="average", tolerance=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_ties_end(method):
    rows = [{a: [(1.0, (s + a + 1) % 5, 1.0)] for a in range(3)} for s in range(5)]
    solution = solve(table(*rows), criterion="average", method=method, tolerance=1e-12)
    assert solution.converged
    assert solution.gain == pytest.approx(1.0, abs=1e-14)


def test_walls_and_terminal_cells_are_left_out():
    kinds = [TileKind("floor"), TileKind("wall", "#", wall=True), TileKind("gold", "$", step_reward=1.0)]
    model = GridModel([[2, 0, 1]], kinds, slip=Slip(0.8, 0.1, 0.1))
    solution = solve(model, criterion="average", tolerance=1e-8)
    assert solution.converged
    check(model, solution)
    assert (solution.lower[2], solution.upper[2], solution.values[2]) == (0.0, 0.0, 0.0)
    kinds.append(TileKind("end", "E", terminal=True))
    whole = GridModel([[3, 1]], kinds)
    nothing = solve(whole, criterion="average")
    assert nothing.converged
    assert nothing.gain == 0.0
    assert verify(whole, nothing)


def test_a_grid_too_large_to_solve_for_is_swept(monkeypatch):
    """Relative values alone prove the gain, and in pieces by several threads they are the same to the bit."""
    rng = np.random.default_rng(5)
    kinds = [TileKind(f"k{k}", step_reward=k / 8) for k in range(8)]
    model = GridModel(rng.integers(0, 7, (20, 30)), kinds, slip=Slip(0.6, 0.2, 0.2))
    exact = solve(model, criterion="average", tolerance=1e-9)
    monkeypatch.setattr("rlgrid.average.SOLVED_STATES", 100)
    swept = solve(model, criterion="average", tolerance=1e-4)
    monkeypatch.setattr("rlgrid.average_sweeps.SMALLEST_PIECE", 50)
    pieces = solve(model, criterion="average", tolerance=1e-4)
    assert swept.converged
    assert swept.values[0] == 0.0
    assert verify(model, swept)
    assert swept.gain == pytest.approx(exact.gain, abs=1e-4)
    np.testing.assert_array_equal(pieces.values, swept.values)


# --- proofs -----------------------------------------------------------------------------------------------------------


def test_wrong_certificates_are_refused():
    model = river_swim()
    good = solve(model, criterion="average", tolerance=1e-9)
    assert verify(model, good)
    worse = good.policy.copy()
    worse[3] = 0
    for wrong, complaint in (
        (replace(good, gain_lower=good.gain + 1e-6), "gain_lower"),
        (replace(good, gain_upper=good.gain - 1e-6), "gain_upper"),
        (replace(good, policy=worse), "gain_lower"),
        (replace(good, values=good.values + np.arange(6) * 1e-3), "gain_"),
        (replace(good, gain=good.gain + 1e-3), "error_bound"),
        (replace(good, error_bound=0.0), "error_bound"),
        (replace(good, policy_loss_bound=0.0), "policy_loss_bound"),
        (replace(good, lower=good.lower + 1e-3), "state 0: lower"),
        (replace(good, upper=good.upper - 1e-3), "state 0: upper"),
        (replace(good, tolerance=1e-20), "converged"),
        (replace(good, gain=None), "has all three"),
        (replace(good, values=np.full(6, np.inf)), "not finite"),
    ):
        with pytest.raises(ValueError, match=complaint):
            verify(model, wrong)
    loose = replace(
        good,
        gain_lower=-math.inf,
        lower=np.full(6, -math.inf),
        error_bound=math.inf,
        policy_loss_bound=math.inf,
        converged=False,
    )
    assert verify(model, loose)


def test_ending_is_not_proven_away():
    """A bound above 0 is no proof for a policy that may end, a bound below 0 none for a model that may."""
    model = table({0: [(1.0, 0, 1.0)], 1: [(1.0, 0, 50.0, True)]})
    good = solve(model, criterion="average")
    with pytest.raises(ValueError, match="gain_lower"):
        verify(model, replace(good, policy=np.ones(1, np.int64)))
    model = table({0: [(1.0, 0, -1.0)], 1: [(1.0, 0, 0.0, True)]})
    good = solve(model, criterion="average")
    assert good.gain == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="gain_upper"):
        verify(model, replace(good, gain=-1.0, gain_upper=-1.0, gain_lower=-1.0, lower=-np.ones(1), upper=-np.ones(1)))


def test_saved_solutions_read_back(tmp_path):
    model = river_swim()
    solution = solve(model, criterion="average")
    back = Solution.load(solution.save(tmp_path / "swim.safetensors"), model)
    assert (back.criterion, back.gain, back.gain_lower, back.gain_upper) == (
        "average",
        solution.gain,
        solution.gain_lower,
        solution.gain_upper,
    )
    np.testing.assert_array_equal(back.bias, solution.bias)
    np.testing.assert_array_equal(back.q_values, solution.q_values)
    assert verify(model, back)
    plain = solve(model)
    assert plain.bias is None
    assert plain.gain is None
    assert Solution.load(plain.save(tmp_path / "plain.safetensors")).criterion == "discounted"


# --- stopping short ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [{"max_sweeps": 0}, {"max_sweeps": 2}, {"time_limit": 1e-9}])
def test_limits_leave_valid_bounds(method, limit):
    model = river_swim()
    with pytest.warns(SolverWarning, match=rf"{next(iter(limit))} = "):
        solution = solve(model, criterion="average", method=method, tolerance=1e-9, **limit)
    assert not solution.converged
    assert solution.sweeps <= 2
    check(model, solution)
    assert solution.gain_lower <= 0.42862 <= solution.gain_upper


@pytest.mark.parametrize("method", METHODS)
def test_callback_sees_each_sweep_and_may_stop(method):
    seen = []

    def callback(sweeps):
        assert isinstance(sweeps, AverageSweeps)
        assert sweeps.gain_lower <= 0.42863
        assert sweeps.gain_upper >= 0.42862
        assert sweeps.values.shape == sweeps.residual.shape == (6,)
        seen.append((sweeps.sweeps, sweeps.error_bound))
        return len(seen) < 3

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = solve(river_swim(), criterion="average", method=method, tolerance=1e-12, callback=callback)
    assert [made for made, _ in seen] == [1, 2, 3]
    assert not solution.converged
    assert "callback" in solution.reason
    assert verify(river_swim(), solution)


def test_ctrl_c_returns_what_there_is():
    def callback(sweeps):
        if sweeps.sweeps == 4:
            raise KeyboardInterrupt

    solution = solve(river_swim(), criterion="average", tolerance=1e-12, callback=callback)
    assert "interrupted" in solution.reason
    assert solution.sweeps == 4
    assert verify(river_swim(), solution)


def test_what_rounding_forbids_ends_with_a_warning():
    for method in METHODS:
        with pytest.warns(SolverWarning, match="rounding forbids"):
            solution = solve(river_swim(), criterion="average", method=method, tolerance=1e-18)
        assert not solution.converged
        assert solution.error_bound < 1e-12
        check(river_swim(), solution)


def test_initial_values_and_progress_bar(capsys):
    model = river_swim()
    cold = solve(model, criterion="average", method="value_iteration", progress_bar=True)
    warm = solve(model, criterion="average", method="value_iteration", initial_values=cold.values)
    assert "gain" in capsys.readouterr().out
    assert warm.sweeps < cold.sweeps
    assert warm.converged


def test_bad_arguments():
    model = river_swim()
    for wrong, complaint in (
        ({"gamma": 0.9}, "gamma exclude"),
        ({"horizon": 5}, "horizon exclude"),
        ({"method": "gauss_seidel"}, "auto, value_iteration, policy_iteration"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"max_sweeps": -1}, "max_sweeps"),
        ({"initial_values": np.zeros(5)}, "initial_values"),
    ):
        with pytest.raises(ValueError, match=complaint):
            solve(model, criterion="average", **wrong)
    with pytest.raises(ValueError, match="criterion"):
        solve(model, criterion="mean")
    with pytest.raises(TypeError, match="model"):
        solve(3, criterion="average")


# --- policies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_gain_and_bias_of_random_policies(seed):
    """Deterministic and stochastic, with several recurrent classes and ends."""
    rng = np.random.default_rng([13, seed])
    for _ in range(60):
        model = random_model(rng)
        mask = model.available if model.available is not None else np.ones((model.num_states, model.num_actions), bool)
        weights = rng.random(mask.shape) * mask * (rng.random(mask.shape) < 0.7)
        empty = weights.sum(axis=1) == 0
        weights[empty, 0] = 1.0
        weights /= weights.sum(axis=1, keepdims=True)
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in mask])
        scale = max(1.0, float(np.abs(model.reward).max()))
        for policy in (actions, weights):
            gain, bias = policy_values(model, policy, criterion="average")
            exact_gain, exact_bias = naive.gain_and_bias(naive.exact_model(model), policy)
            np.testing.assert_allclose(gain, [float(g) for g in exact_gain], atol=1e-12 * scale)
            np.testing.assert_allclose(bias, [float(h) for h in exact_bias], atol=1e-9 * scale)


def test_gain_of_slow_chains_keeps_its_digits():
    """Two halves that are left once in 10^12 steps: 1/3 and 2/3 of the time, with relative error of a rounding."""
    tiny = 2.0**-40
    model = table({0: [(1 - tiny, 0, 1.0), (tiny, 1, 1.0)]}, {0: [(1 - tiny / 2, 1, 0.0), (tiny / 2, 0, 0.0)]})
    gain, bias = policy_values(model, [0, 0], criterion="average")
    np.testing.assert_allclose(gain, 1 / 3, rtol=1e-15)
    exact = naive.gain_and_bias(naive.exact_model(model), [0, 0])[1]
    np.testing.assert_allclose(bias, [float(h) for h in exact], rtol=1e-14)


def test_gain_of_a_large_chain():
    """Sparse factors in place of the elimination: a walk round a ring of 1,001 with a known gain."""
    n = 1001
    rows = [{0: [(0.5, (s + 1) % n, float(s == 0)), (0.5, (s - 1) % n, float(s == 0))]} for s in range(n)]
    model = table(*rows)
    gain, bias = policy_values(model, np.zeros(n, int), criterion="average")
    np.testing.assert_allclose(gain, 1 / n, rtol=1e-12)
    residual = model.reward[::2] - gain + 0.5 * (np.roll(bias, 1) + np.roll(bias, -1)) - bias
    assert np.abs(residual).max() < 1e-9
    assert abs(bias.mean()) < 1e-9


def test_bad_arguments_of_policy_values():
    model = river_swim()
    policy = np.ones(6, int)
    for wrong, complaint in (
        ({"gamma": 0.9, "criterion": "average"}, "gamma exclude"),
        ({"horizon": 3, "criterion": "average"}, "horizon exclude"),
        ({"criterion": "mean"}, "criterion must be"),
    ):
        with pytest.raises(ValueError, match=complaint):
            policy_values(model, policy, **wrong)
