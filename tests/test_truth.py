"""Published values, to the digits given; further digits come from exact arithmetic on the stated definition."""

import numpy as np
import pytest

from rlgrid import MDP, GridSpec, policy_values, share_of_regret, solve, verify


def world(name):
    return GridSpec.builtin(name).compile()


def start_value(model, values):
    return float(model.start_probability @ values[model.start_states])


def test_russell_and_norvig():
    """AIMA ch. 17, figure 17.3; gamma 1, -0.04 a step, slip .8 / .1 / .1."""
    model = world("russell_norvig_4x3")
    assert model.gamma == 1.0
    solution = solve(model, tolerance=1e-9)
    assert solution.converged
    expected = [
        [0.8115582192, 0.8678082192, 0.9178082192, 0],
        [0.7615582192, 0, 0.6602739726, 0],
        [0.7053082192, 0.6553082192, 0.6114155251, 0.3879249112],
    ]
    np.testing.assert_allclose(solution.values.reshape(3, 4), expected, atol=6e-11)
    verify(model, solution)


RANDOM_5X5 = """ 3.3  8.8  4.4  5.3  1.5
     1.5  3.0  2.3  1.9  0.5
     0.1  0.7  0.7  0.4 -0.4
    -1.0 -0.4 -0.4 -0.6 -1.2
    -1.9 -1.3 -1.2 -1.4 -2.0"""
OPTIMAL_5X5 = """22.0 24.4 22.0 19.4 17.5
    19.8 22.0 19.8 17.8 16.0
    17.8 19.8 17.8 16.0 14.4
    16.0 17.8 16.0 14.4 13.0
    14.4 16.0 14.4 13.0 11.7"""


def table(text):
    return np.array([[float(x) for x in line.split()] for line in text.splitlines()])


def test_sutton_barto_example_3_5():
    model = world("sutton_barto_5x5")
    values = policy_values(model, np.full((25, 4), 0.25))
    np.testing.assert_array_equal(np.round(values, 1).reshape(5, 5) + 0.0, table(RANDOM_5X5))


def test_sutton_barto_example_3_8():
    model = world("sutton_barto_5x5")
    solution = solve(model, tolerance=1e-10)
    np.testing.assert_array_equal(np.round(solution.values, 1).reshape(5, 5), table(OPTIMAL_5X5))
    assert solution.values[1] == pytest.approx(10 / (1 - 0.9**5), abs=1e-10)
    assert solution.values[1] == pytest.approx(24.419428096994, abs=6e-13 + 1e-10)


def test_sutton_barto_example_4_1():
    def outcomes(cell, action):
        row, column = cell
        row, column = row + (-1, 0, 1, 0)[action], column + (0, 1, 0, -1)[action]
        to = (min(max(row, 0), 3), min(max(column, 0), 3))
        return [(1.0, to, -1.0, to in ((0, 0), (3, 3)))]

    cells = [(r, c) for r in range(4) for c in range(4)]
    model = MDP.from_function(cells[1:-1], lambda s: range(4) if s not in ((0, 0), (3, 3)) else (), outcomes, 1.0)
    values = policy_values(
        model, np.where(model.available if model.available is not None else True, 0.25, 0.0) + ends(model)
    )
    expected = [0, -14, -20, -22, -14, -18, -20, -20, -20, -20, -18, -14, -22, -20, -14, 0]
    got = [values[model.state_of(cell)] for cell in cells]
    np.testing.assert_allclose(got, expected, atol=1e-11)


def ends(model):
    """What the random policy lacks to a distribution in final states, which have one action."""
    if model.available is None:
        return 0.0
    extra = np.zeros((model.num_states, model.num_actions))
    extra[:, 0] = 1.0 - 0.25 * model.available.sum(axis=1)
    return extra


def test_frozen_lake_discounted():
    model = world("frozen_lake_4x4").with_changes(gamma=0.99)
    solution = solve(model, tolerance=1e-9)
    expected = """.54202593 .49880319 .47069569 .45685170
    .55845096 0 .35834807 0
    .59179874 .64307982 .61520756 0
    0 .74172044 .86283743 0"""
    np.testing.assert_allclose(solution.values.reshape(4, 4), table(expected), atol=6e-9)


def test_frozen_lake_undiscounted():
    model = world("frozen_lake_4x4")
    solution = solve(model, gamma=1.0, tolerance=1e-10)
    assert solution.converged
    assert start_value(model, solution.values) == pytest.approx(14 / 17, abs=1e-10)
    assert start_value(model, solution.lower) <= 14 / 17 <= start_value(model, solution.upper)
    # The policy is proper and optimal, whatever the ties in the top row say.
    assert start_value(model, policy_values(model, solution.policy, gamma=1.0)) == pytest.approx(14 / 17, abs=1e-12)


def test_frozen_lake_with_its_step_cap():
    model = world("frozen_lake_4x4")
    assert model.max_episode_steps == 100
    solution = solve(model, gamma=1.0, horizon=100)
    assert solution.values.shape == (101, 16)
    assert start_value(model, solution.values[0]) == pytest.approx(0.7441902878, abs=6e-11)
    verify(model, solution)
    assert share_of_regret(model, solve(model, gamma=1.0).policy, gamma=1.0) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
def test_cliff_walking(method):
    model = world("cliff_walking")
    solution = solve(model, gamma=1.0, method=method)
    assert start_value(model, solution.values) == -13.0
    assert solution.converged


@pytest.mark.parametrize(("name", "steps"), [("windy_gridworld", 15), ("windy_gridworld_kings", 7)])
def test_windy_gridworlds(name, steps):
    """S&B example 6.5 and exercise 6.9."""
    model = world(name)
    solution = solve(model, gamma=1.0)
    assert start_value(model, solution.values) == -steps
    verify(model, solution)


def test_dyna_maze():
    """S&B example 8.1: 14 steps; its reward is 1 at the goal, so a discounted value counts them."""
    model = world("dyna_maze")
    gamma = 0.95
    solution = solve(model, gamma=gamma, tolerance=1e-12)
    assert start_value(model, solution.values) == pytest.approx(gamma**13, abs=1e-12)


def test_gamblers_problem():
    """S&B example 4.3 with p = .4: V(25) = .16, V(50) = .40, V(75) = .64."""

    def outcomes(capital, stake):
        up, down = min(capital + stake + 1, 100), capital - stake - 1
        return [(0.4, up, float(up == 100), up == 100), (0.6, down, 0.0, down == 0)]

    model = MDP.from_function(range(1, 100), lambda s: range(min(s, 100 - s)) if 0 < s < 100 else (), outcomes, 1.0)
    solution = solve(model, tolerance=1e-10)
    assert solution.converged
    got = [solution.values[model.state_of(capital)] for capital in (25, 50, 75)]
    np.testing.assert_allclose(got, [0.16, 0.40, 0.64], atol=1e-10)


def test_river_swim():
    """RiverSwim-6, horizon 20."""
    S = 6
    P, R = np.zeros((S, 2, S)), np.zeros((S, 2))
    for s in range(S):
        P[s, 0, max(s - 1, 0)] = 1.0
        if s == 0:
            P[s, 1, [0, 1]] = 0.4, 0.6
        elif s == S - 1:
            P[s, 1, [S - 1, S - 2]] = 0.6, 0.4
        else:
            P[s, 1, [s + 1, s, s - 1]] = 0.35, 0.6, 0.05
    R[0, 0], R[S - 1, 1] = 0.005, 1.0
    solution = solve(MDP.from_arrays(P, R, gamma=1.0), horizon=20)
    assert solution.values[0, 0] == pytest.approx(3.39726, abs=6e-6)


def test_forest_management():
    """pymdptoolbox's example; and the trap of its own value iteration at gamma .96."""
    P = np.zeros((3, 2, 3))
    for s in range(3):
        P[s, 0, [0, min(s + 1, 2)]] = 0.1, 0.9
        P[s, 1, 0] = 1.0
    R = np.array([[0, 0], [0, 1], [4, 2]])
    np.testing.assert_allclose(solve(MDP.from_arrays(P, R, gamma=0.9)).values, [26.244, 29.484, 33.484], atol=2e-6)
    values = solve(MDP.from_arrays(P, R, gamma=0.96)).values
    np.testing.assert_allclose(values, [74.6496, 78.1056, 82.1056], atol=2e-6)


@pytest.mark.parametrize("name", GridSpec.builtin_names())
def test_every_world_is_solved_and_proven(name):
    model = world(name)
    for gamma in (model.gamma, 0.9, 1.0):
        if name == "sutton_barto_5x5" and gamma == 1.0:
            continue
        solution = solve(model, gamma=gamma)
        assert solution.converged, (gamma, solution)
        assert verify(model, solution)
        assert ((solution.lower <= solution.values) & (solution.values <= solution.upper)).all()


def test_rewards_for_ever_are_refused_by_name():
    with pytest.raises(ValueError, match=r"gamma = 1: from state 1 \(row 0, column 1\)"):
        solve(world("sutton_barto_5x5"), gamma=1.0)
