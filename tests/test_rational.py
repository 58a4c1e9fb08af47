"""The exact verifier: what it refuses that floats would have to guess at, and what it does not take on."""

import math
from dataclasses import replace

import naive
import numpy as np
import pytest

from rlgrid import MDP, GridSpec, policy_values, solve, verify
from rlgrid.rational import best_gain, gain_and_bias, pairs_of


def lake():
    return GridSpec.builtin("russell_norvig_4x3").compile()


@pytest.mark.parametrize("arguments", [{"gamma": 0.9}, {"gamma": 1.0}, {"horizon": 8}, {"criterion": "average"}])
def test_solutions_are_verified_exactly(arguments):
    model = lake()
    solution = solve(model, **arguments)
    assert verify(model, solution, exact=True)
    with pytest.raises(ValueError, match="error_bound"):
        verify(model, replace(solution, error_bound=-1.0), exact=True)
    with pytest.raises(ValueError, match="policy_loss_bound"):
        verify(model, replace(solution, policy_loss_bound=-1.0), exact=True)
    with pytest.raises(ValueError, match="converged"):
        verify(model, replace(solution, error_bound=1.0, converged=True), exact=True)


def test_the_last_digit_counts():
    """V* = 1/3 exactly; the float below it is no upper bound, and the float above it no lower one."""
    model = MDP.from_gymnasium({0: {0: [(1.0, 0, 0.25, False)]}}, gamma=0.25, start=0)
    solution = solve(model)
    third = 1 / 3  # a little below 1/3
    exact = replace(
        solution, values=np.array([third]), lower=np.array([third]), upper=np.array([np.nextafter(third, 1)])
    )
    assert verify(model, replace(exact, error_bound=1e-16, policy_loss_bound=1e-16), exact=True)
    with pytest.raises(ValueError, match="state 0: upper"):
        verify(model, replace(exact, upper=np.array([third])), exact=True)
    with pytest.raises(ValueError, match="state 0: lower"):
        verify(model, replace(exact, lower=exact.upper), exact=True)


def test_undiscounted_claims_that_pass_the_inductive_test_alone():
    """Resting is worth 0 and leaving -10: T l >= l holds for l = 100, and T u <= u for u = -5."""
    model = MDP.from_gymnasium({0: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 0, -10.0, True)]}}, gamma=1.0, start=0)
    solution = solve(model)
    for wrong in ({"lower": np.array([100.0])}, {"upper": np.array([-5.0])}):
        with pytest.raises(ValueError, match=r"state 0: (lower|upper)"):
            verify(model, replace(solution, **wrong), exact=True)


def test_hopeless_states_are_shown_to_be():
    table = {0: {0: [(1.0, 1, -1.0, False)], 1: [(1.0, 0, -1.0, True)]}, 1: {0: [(1.0, 1, -1.0, False)]}}
    model = MDP.from_gymnasium(table, gamma=1.0, start=0)
    solution = solve(model)
    assert solution.values[1] == -math.inf
    assert verify(model, solution, exact=True)
    paid = MDP.from_gymnasium(table | {1: {0: [(1.0, 1, 1.0, False)]}}, gamma=1.0, start=0)
    with pytest.raises(ValueError, match="state 1: upper"):
        verify(paid, solution, exact=True)
    exit_ = MDP.from_gymnasium(table | {1: {0: [(1.0, 1, -1.0, True)]}}, gamma=1.0, start=0)
    with pytest.raises(ValueError, match="state 1: upper"):
        verify(exit_, solution, exact=True)


def test_rewards_that_cancel_are_refused():
    """h = (1, 0) passes T u <= u with equality although the value has no limit."""
    rounds = {
        cost: MDP.from_gymnasium(
            {0: {0: [(1.0, 1, 1.0, False)]}, 1: {0: [(1.0, 0, -cost, False)], 1: [(1.0, 1, 0.0, True)]}},
            gamma=1.0,
            start=0,
        )
        for cost in (1.0, 2.0)
    }
    bounds = {"upper": np.array([1.0, 0.0]), "values": np.array([1.0, 0.0])}
    solution = replace(solve(rounds[2.0]), **bounds, error_bound=1.0, policy_loss_bound=1.0, converged=False)
    assert verify(rounds[2.0], solution, exact=True)
    with pytest.raises(ValueError, match="state 0: its rewards cancel for ever"):
        verify(rounds[1.0], solution, exact=True)


def test_bounds_of_the_gain_must_follow_from_the_bias():
    """True bounds are not enough: what is claimed is that the values prove them."""
    table = {
        0: {0: [(0.5, 1, 1.0, False), (0.5, 0, 0.0, False)], 1: [(1.0, 0, 0.25, False)]},
        1: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 1, 5.0, True)]},
    }
    model = MDP.from_gymnasium(table, gamma=0.5, start=0)
    solution = solve(model, criterion="average", tolerance=1e-9)
    assert solution.gain == pytest.approx(1 / 3)  # h(1) = h(0) - 1/3: 1/2 + (h(1) - h(0)) / 2 and h(0) - h(1)
    for exact in (False, True):
        assert verify(model, solution, exact=exact)
        with pytest.raises(ValueError, match=r"gain_(lower|upper) = "):
            verify(model, replace(solution, values=np.ones(2)), exact=exact)
        with pytest.raises(ValueError, match="bias of state 1 is not finite"):
            verify(model, replace(solution, values=np.array([0.0, math.inf])), exact=exact)
    thirds = replace(
        solution,
        values=np.array([0.0, -1 / 3]),  # the float is a little above -1/3
        gain=1 / 3,
        gain_lower=1 / 3 - 2.0**-54,
        gain_upper=np.nextafter(1 / 3, 1),
        lower=np.full(2, 1 / 3 - 2.0**-54),
        upper=np.full(2, np.nextafter(1 / 3, 1)),
        error_bound=1e-15,
        policy_loss_bound=1e-15,
    )
    assert verify(model, thirds, exact=True)
    with pytest.raises(ValueError, match="state 0: gain_upper"):
        verify(model, replace(thirds, gain_upper=1 / 3, upper=np.full(2, 1 / 3)), exact=True)
    with pytest.raises(ValueError, match=r"gain_upper = -1\.0"):  # to end is worth 0 a step, which costs do not hide
        verify(
            MDP.from_gymnasium({0: {0: [(1.0, 0, -1.0, False)], 1: [(1.0, 0, -9.0, True)]}}, gamma=0.5, start=0),
            replace(
                thirds,
                **dict.fromkeys(("gain", "gain_lower", "gain_upper"), -1.0),
                **{name: np.full(1, -1.0) for name in ("values", "lower", "upper")},
                policy=np.zeros(1, np.int64),
            ),
            exact=True,
        )


def test_large_models_are_refused():
    size = 10_001
    states = np.arange(size)
    model = MDP(size, 1, np.arange(size + 1), states, np.ones(size), np.zeros(size), np.ones(size, bool), gamma=0.5)
    with pytest.raises(ValueError, match=r"up to 10,000 pairs .* this one has 10,001"):
        verify(model, solve(model), exact=True)
    with pytest.raises(ValueError, match=r"200,000 pairs times steps.* over 9000 steps"):
        verify(lake(), solve(lake(), horizon=9_000), exact=True)


def test_gains_against_the_slow_oracle():
    rng = np.random.default_rng(15)
    closed = 0
    for _ in range(40):
        S = int(rng.integers(1, 5))
        table = {
            s: {
                a: [
                    (p / 8, int(rng.integers(S)), float(rng.integers(-4, 5)), bool(rng.random() < 0.1))
                    for p in rng.multinomial(8, [0.5, 0.25, 0.25])
                ]
                for a in range(2)
            }
            for s in range(S)
        }
        model = MDP.from_gymnasium(table, gamma=0.5, start=0)
        policy = rng.integers(0, 2, S)
        exact = pairs_of(model, range(S))
        gain, bias = gain_and_bias({s: exact[s][int(policy[s])] for s in range(S)})
        expected, _ = naive.gain_and_bias(naive.exact_model(model), policy.tolist())
        assert [gain[s] for s in range(S)] == expected
        found = policy_values(model, policy, criterion="average")
        np.testing.assert_allclose(found.gain, [float(gain[s]) for s in range(S)], atol=1e-12)
        chosen = [row[policy[s]] for s, row in enumerate(naive.exact_model(model))]
        for s, run in enumerate(chosen):  # h = r - g + P h, and 0 in the least state of each recurrent class
            assert gain[s] + bias[s] == sum(p * (r + (0 if ends else bias[to])) for p, to, r, ends in run)
        reach = [{s} for s in range(S)]
        for _ in range(S):
            reach = [states.union(*({to for p, to, *_ in chosen[t] if p} for t in states)) for states in reach]
        ending = {s for s, run in enumerate(chosen) if any(p and ends for p, _, _, ends in run)}
        for states in reach:
            if all(reach[t] == states for t in states) and not states & ending:
                assert bias[min(states)] == 0
                closed += 1
        best = best_gain(exact)
        assert [best[s] for s in range(S)] == naive.optimal_gains(model)
    assert closed > 20
