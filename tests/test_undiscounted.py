"""gamma = 1: which end components are allowed, and by what words others are refused."""

import math
from fractions import Fraction

import naive
import numpy as np
import pytest

from rlgrid import MDP, GridModel, Slip, TileKind, solve, verify
from rlgrid.rational import best_gain, pairs_of
from rlgrid.undiscounted import Undiscounted


def walk_between(size, right, left):
    """A fair walk between two walls, with a reward at each wall and none elsewhere."""
    table = {}
    for s in range(size):
        r = left if s == 0 else right if s == size - 1 else 0.0
        table[s] = {
            0: [(0.5, max(s - 1, 0), r, False), (0.5, min(s + 1, size - 1), r, False)],
            1: [(1.0, s, -1.0, True)],
        }
    return MDP.from_gymnasium(table, gamma=1.0, start=0)


@pytest.mark.parametrize("size", [2, 60, 500])
def test_slow_components_that_cost_are_allowed(size):
    """A round of a walk between walls takes size^2 steps, more than sweeps could follow."""
    model = walk_between(size, right=1.0, left=-1.0078125)
    solution = solve(model)
    assert solution.converged
    assert verify(model, solution)
    assert solution.values[0] < solution.values[-1]


@pytest.mark.parametrize("size", [2, 60, 2_000])
def test_slow_components_that_earn_are_infinite(size):
    with pytest.raises(ValueError, match=r"state \d+, action 0 .* the value is infinite"):
        solve(walk_between(size, right=1.0, left=-0.9921875))


@pytest.mark.parametrize("size", [2, 60, 300])
def test_rewards_that_cancel_are_named(size):
    with pytest.raises(ValueError, match=r"state \d+, action 0 .* exactly 0 .* no limit"):
        solve(walk_between(size, right=1.0, left=-1.0))


def test_what_floats_cannot_tell_is_decided_exactly():
    """A gain of 2^-60 a step either way, beside rewards of 1."""
    tiny = 2.0**-60

    def model(sign):
        parts = [(0.25, 1, 1.0, False), (0.5, 1, -1.0, False), (0.25, 1, 1.0 if sign else -1.0, False)]
        back = [(1.0, 0, sign * tiny if sign else 0.5, False)]
        return MDP.from_gymnasium({0: {0: parts, 1: [(1.0, 0, -1.0, True)]}, 1: {0: back}}, gamma=1.0, start=0)

    with pytest.raises(ValueError, match="the value is infinite"):
        solve(model(1))
    with pytest.raises(ValueError, match="no limit"):
        solve(model(0))
    assert not Undiscounted.of(model(-1).to_mdp()).in_group.any()


def test_components_too_large_to_decide_say_what_is_known(monkeypatch):
    monkeypatch.setattr("rlgrid.gain_signs.EXACT_OUTCOMES", 10)
    with pytest.raises(ValueError, match=r"state 59, action 0 .* within \[-?[\d.e-]+, -?[\d.e-]+\] a step, too close"):
        solve(walk_between(60, right=1.0, left=-1.0))


def corridor(size, toll):
    """Free moves either way between ``size`` states; from the last one on for +1, and back to the first for a toll."""
    table = {
        s: {
            0: [(1.0, max(s - 1, 0), 0.0, False)],
            1: [(1.0, s + 1, float(s == size - 1), False)],
        }
        for s in range(size)
    }
    table[size] = {0: [(1.0, 0, -toll, False)]}
    return MDP.from_gymnasium(table, gamma=1.0, start=0)


def test_no_number_is_given_for_gains_between_free_moves(monkeypatch):
    """A round of +1 takes 51 steps, 49 of them free: 1/51 a step, of which the refusal must not say anything else."""
    model = corridor(50, 0.0)
    assert max(best_gain(pairs_of(model, range(51))).values()) == Fraction(1, 51)
    with pytest.raises(ValueError, match=r"51 states\)\. There an agent who stays collects more and more for ever, so"):
        solve(model)
    monkeypatch.setattr("rlgrid.gain_signs.EXACT_OUTCOMES", 0)
    with pytest.raises(ValueError, match=r"\] a step, where moves that can be undone at no cost count as none, too cl"):
        solve(corridor(50, 1.0))


def test_gains_of_an_agents_own_steps_are_numbers():
    model = MDP.from_gymnasium({0: {0: [(1.0, 1, 2.0, False)]}, 1: {0: [(1.0, 0, -1.0, False)]}}, gamma=1.0, start=0)
    with pytest.raises(ValueError, match=r"collects an average of (at least )?0\.5 a step, so the value is infinite"):
        solve(model)


def test_resting_beside_rounds_that_cost_is_allowed():
    """Staying is worth 0, a round trip +1 - 1.5: the best gain is 0, but by resting alone."""
    table = {
        0: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 1, 1.0, False)]},
        1: {0: [(1.0, 0, -1.5, False)], 1: [(1.0, 1, 0.0, False)]},
    }
    model = MDP.from_gymnasium(table, gamma=1.0, start=0)
    solution = solve(model)
    np.testing.assert_allclose(solution.values, [1.0, 0.0], atol=1e-6)
    assert verify(model, solution)
    assert verify(model, solution, exact=True)
    assert naive.optimum_undiscounted(model) == [1, 0]
    even = table | {1: {0: [(1.0, 0, -1.0, False)], 1: [(1.0, 1, 0.0, False)]}}
    with pytest.raises(ValueError, match="no limit"):
        solve(MDP.from_gymnasium(even, gamma=1.0, start=0))


def test_a_grid_whose_bumps_pay_is_infinite():
    model = GridModel(
        np.zeros((30, 30), np.int64), [TileKind("floor")], slip=Slip.sideways(0.1, 0.1), step_reward=-1, bump_reward=2
    )
    with pytest.raises(ValueError, match=r"row 0, column 0\), action 0 .* the value is infinite"):
        solve(model, gamma=1.0)


def test_the_best_gain_is_that_of_the_best_policy():
    rng = np.random.default_rng(11)
    for _ in range(60):
        S = int(rng.integers(1, 5))
        table = {
            s: {
                a: [
                    (p / 8, int(rng.integers(S)), float(rng.integers(-4, 5)), False)
                    for p in rng.multinomial(8, [0.5, 0.25, 0.25])
                ]
                for a in range(2)
            }
            for s in range(S)
        }
        model = MDP.from_gymnasium(table, gamma=0.5, start=0)
        found = best_gain(pairs_of(model, range(S)))
        # Blackwell: (1 - gamma) V tends to the gain; with exact numbers the limit is read off two discounts.
        for s in range(S):
            near = [Fraction(1, 2**k) * naive.optimum(model, 1 - 2.0**-k)[s] for k in (40, 41)]
            assert abs(2 * near[1] - near[0] - found[s]) < Fraction(1, 2**60)


def test_every_kind_of_component_is_judged_as_every_policy_says():
    """Small models with rewards of both signs: allowed if and only if every policy has a value below +infinity."""
    rng = np.random.default_rng(12)
    outcomes = {"solved": 0, "infinite": 0, "no limit": 0}
    for _ in range(250):
        S = int(rng.integers(1, 4))
        table = {}
        for s in range(S):
            table[s] = {}
            for a in range(2):
                ends = bool(rng.random() < 0.2)
                p = rng.multinomial(4, [0.5, 0.5])
                rewards = rng.integers(-2, 2, 2)
                table[s][a] = [(q / 4, int(rng.integers(S)), float(r), ends) for q, r in zip(p, rewards, strict=True)]
        model = MDP.from_gymnasium(table, gamma=1.0, start=0)
        exact = naive.optimum_undiscounted(model)
        try:
            solution = solve(model)
        except ValueError as error:
            kind = "infinite" if "is infinite" in str(error) else "no limit"
            assert kind in str(error)  # noqa: PT017
            assert any(math.isnan(x) for x in exact)
            outcomes[kind] += 1
            continue
        outcomes["solved"] += 1
        assert not any(math.isnan(x) for x in exact)
        for s, best in enumerate(exact):
            assert solution.lower[s] <= best <= solution.upper[s]
        assert verify(model, solution)
        assert verify(model, solution, exact=True)
    assert min(outcomes.values()) > 10


# --- proofs of large models -----------------------------------------------------------------------------------------


def maze(size, step_reward=-1.0, kinds=()):
    rng = np.random.default_rng(0)
    walls = rng.random((size, size)) < 0.2
    walls[0, 0] = walls[-1, -1] = False
    tiles = walls.astype(np.int64)
    tiles[(rng.random((size, size)) < 0.1) & ~walls] = 3
    tiles[0, 0], tiles[-1, -1] = 0, 2
    given = [TileKind("floor"), TileKind("wall", wall=True), TileKind("goal", terminal=True), *kinds]
    return GridModel(tiles, given, gamma=1.0, slip=Slip.sideways(0.1, 0.1), step_reward=step_reward)


@pytest.mark.parametrize(
    ("step_reward", "other"),
    [
        (-1.0, TileKind("mud", step_reward=-3.0)),  # steps of different costs
        (-1.0, TileKind("gem", enter_reward=0.5)),  # rewards of both signs
        (0.0, TileKind("toll", enter_reward=-1.0)),  # free moves beside moves that cost
    ],
)
def test_proofs_of_large_models(step_reward, other):
    """80 x 80 cells: more than are evaluated exactly, some of them walled in."""
    model = maze(80, step_reward, [other])
    solution = solve(model, tolerance=1e-6)
    assert solution.converged
    assert verify(model, solution)
    assert np.isneginf(solution.values).any() == (step_reward < 0)
    few = solve(model, tolerance=1e-6, max_sweeps=10**6, method="value_iteration")
    assert (few.lower <= solution.upper).all()
    assert (solution.lower <= few.upper).all()


def test_expected_steps_and_values_pushed_up_against_plain_loops():
    from rlgrid.kernels.pressing import expected_steps, press_up

    model = maze(6, -1.0, [TileKind("mud", step_reward=-3.0)]).to_mdp()
    rng = np.random.default_rng(13)
    S = model.num_states
    order = rng.permutation(S)
    policy = np.where(model.absorbing, -1, rng.integers(0, 4, S))
    h, u = rng.random(S), -10 * rng.random(S)
    u[3] = -np.inf
    expected, pressed = h.copy(), u.copy()
    args = (order, model.num_actions, model.offsets, model.next_state, model.probability)
    change = expected_steps(*args, model.terminated, policy, h)
    risen = press_up(*args, model.reward, model.terminated, 0.5, u)
    most, count = 0.0, 0
    for s in order.tolist():
        if policy[s] >= 0:
            run = model.P[s][policy[s]]
            here = sum(p for p, to, _, ends in run if to == s and not ends)
            new = (1 + sum(p * expected[to] for p, to, _, ends in run if to != s and not ends)) / (1 - here)
            most, expected[s] = max(most, abs(new - expected[s])), new
        if np.isfinite(pressed[s]):
            best = -math.inf
            for run in model.P[s].values():
                here = sum(p for p, to, _, ends in run if to == s and not ends)
                gain = sum(p * (r + (0 if ends else pressed[to]) - pressed[s]) for p, to, r, ends in run)
                if here < 1:
                    best = max(best, (gain + 0.5) / (1 - here))
            count += best > 0.125
            pressed[s] += max(best, 0.0)
    np.testing.assert_allclose(h, expected, rtol=1e-12)
    np.testing.assert_allclose(u, pressed, rtol=1e-12)
    assert change == pytest.approx(most)
    assert risen == count


def test_dead_ends_are_dropped_against_plain_loops():
    from rlgrid.kernels.dead_ends import drop_dead_ends

    rng = np.random.default_rng(14)
    for _ in range(50):
        S, A = int(rng.integers(1, 12)), 2
        pair = np.repeat(np.arange(S * A), rng.integers(0, 3, S * A))
        to = rng.integers(0, S, pair.size)
        alive = np.zeros(S * A, bool)
        alive[pair[rng.random(pair.size) < 0.7]] = True
        left = set(np.flatnonzero(alive).tolist())
        while True:
            living = {p // A for p in left}
            lost = {p for p, t in zip(pair.tolist(), to.tolist(), strict=True) if p in left and t not in living}
            if not lost:
                break
            left -= lost
        incoming = np.argsort(to, kind="stable")
        drop_dead_ends(pair, pair // A, to, incoming, np.searchsorted(to[incoming], np.arange(S + 1)), alive)
        assert set(np.flatnonzero(alive).tolist()) == left
