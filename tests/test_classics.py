"""Textbook worlds that are not plain grids: their values against published numbers and against exact arithmetic or
plain loops on the definition, written here once more; and what holds for every environment."""

import copy
import json
import math
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from scipy.stats import norm, poisson

import rlgrid
from rlgrid import MDP
from rlgrid.envs import CLASSICS, classics
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.racetrack import INCREMENTS, TRACKS, racetrack, visited

IDS = list(CLASSICS)
FICKLE = {"is_rainy": True, "fickle_passenger": True}


def start_value(model: Any, values: NDArray[np.float64]) -> float:
    return float(model.start_probability @ values[model.start_states])


def optimum(model: Any, **settings: Any) -> float:
    return start_value(model, rlgrid.solve(model, tolerance=1e-9, **settings).values)


# --- values -----------------------------------------------------------------------------------------------------------


def test_the_4_by_4_of_the_book() -> None:
    """Example 4.1 and figure 4.1: the values of the random policy, and 1 to 3 steps at best."""
    model: Any = gym.make("rlgrid/SuttonBarto4x4-v0").unwrapped.model  # type: ignore[attr-defined]
    values = rlgrid.policy_values(model, np.full((16, 4), 0.25))
    expected = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(values.reshape(4, 4), expected, atol=1e-11)
    best = [[0, -1, -2, -3], [-1, -2, -3, -2], [-2, -3, -2, -1], [-3, -2, -1, 0]]
    assert rlgrid.solve(model).values.reshape(4, 4).tolist() == best


def jacks_days(most: int) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """For each location P(cars at the end | cars at the beginning) and the expected rentals, request by request."""
    far = 60  # P(X > 60) < 1e-40 for a mean of 4
    chances, rentals = [], []
    for asked, brought in ((3, 3), (4, 2)):
        chance, rented = np.zeros((most + 1, most + 1)), np.zeros(most + 1)
        arrive = poisson.pmf(np.arange(far), brought)
        for cars in range(most + 1):
            for request in range(far):
                p = poisson.pmf(request, asked)
                left = cars - min(cars, request)
                rented[cars] += p * min(cars, request)
                np.add.at(chance[cars], np.minimum(left + np.arange(far), most), p * arrive)
        chances.append(chance)
        rentals.append(rented)
    return chances, rentals


def jacks_values(most: int, variant: bool) -> NDArray[np.float64]:
    """Value iteration over the allowed moves only, state by state as the book tells it."""
    (one, other), (rented_one, rented_other) = jacks_days(most)
    side = range(most + 1)
    values = np.zeros((most + 1, most + 1))
    for _ in range(260):  # .9^260 of at most 700
        after = 10 * (rented_one[:, None] + rented_other[None, :]) + 0.9 * (one @ values @ other.T)
        if variant:
            crowded = np.arange(most + 1) > 10
            after -= 4.0 * crowded[:, None] + 4.0 * crowded[None, :]
        best = np.full_like(values, -np.inf)
        for move in range(-5, 6):
            cost = 2.0 * (move - 1 if variant and move > 0 else abs(move))
            rows, columns = np.array(side)[max(move, 0) :], np.array(side)[max(-move, 0) :]
            there = after[np.ix_(np.minimum(rows - move, most), np.minimum(columns + move, most))] - cost
            best[np.ix_(rows, columns)] = np.maximum(best[np.ix_(rows, columns)], there)
        values = best
    return values


@pytest.mark.parametrize("variant", [False, True])
def test_jacks_car_rental(variant: bool) -> None:
    model = classics.jacks_car_rental(exercise_4_7=variant)
    solution = rlgrid.solve(model, tolerance=1e-9)
    np.testing.assert_allclose(solution.values.reshape(21, 21), jacks_values(20, variant), atol=1e-8)
    assert model.state_of((20, 3)) == 20 * 21 + 3 == model.state_of(20, 3)
    if not variant:
        # Figure 4.2, the last policy: from 5 cars to the second location to 4 cars to the first one.
        moved = classics._moves(21, 5)[1][np.arange(441), solution.policy].reshape(21, 21)
        assert (moved.max(), moved.min()) == (5, -4) == (moved[20, 0], moved[0, 20])


def test_jacks_tails_are_not_cut_off() -> None:
    """P(min(X, n) = n) is the whole tail; means far above the limit too."""
    for mean, most in ((3.0, 20), (4.0, 0), (2.0, 1), (900.0, 5), (0.0, 3), (0.5, 40)):
        found = classics.poisson_at_most(mean, most)
        expected = [*poisson.pmf(np.arange(most), mean), poisson.sf(most - 1, mean)]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)
        assert found.sum() == pytest.approx(1.0, abs=1e-12)


def test_jack_moves_no_more_cars_than_there_are() -> None:
    model = classics.jacks_car_rental(max_cars=4, max_move=3)
    allowed = classics.jacks_moves(model)
    for i in range(5):
        for j in range(5):
            for a in range(7):
                wanted = a - 3
                moved = min(max(wanted, -j), i)
                assert allowed[i * 5 + j, a] == (wanted == moved)
                assert model.P[i * 5 + j][a] == model.P[i * 5 + j][moved + 3]


def bold_play(capital: int, goal: int, p: Fraction) -> Fraction:
    """The chance of reaching the goal with the greatest stake every time, optimal for p <= 1/2 (Dubins & Savage
    1965): V(s) = p V(2s) or p + (1 - p) V(2s - goal), solved along the orbit of s."""
    seen: dict[int, tuple[Fraction, Fraction]] = {}
    constant, factor = Fraction(0), Fraction(1)  # V(first) = constant + factor * V(s)
    s = capital
    while s not in (0, goal):
        if s in seen:
            before, scale = seen[s]  # V(first) = before + scale * V(s), for the value of the cycle
            value = (constant - before) / (scale - factor)
            return constant + factor * value
        seen[s] = constant, factor
        if 2 * s <= goal:
            factor, s = factor * p, 2 * s
        else:
            constant, factor, s = constant + factor * p, factor * (1 - p), 2 * s - goal
    return constant + factor * (s == goal)


@pytest.mark.parametrize(("goal", "p"), [(100, Fraction(2, 5)), (100, Fraction(1, 4)), (37, Fraction(2, 5))])
def test_gamblers_problem(goal: int, p: Fraction) -> None:
    model = classics.gamblers_problem(goal, float(p))
    solution = rlgrid.solve(model, tolerance=1e-11)
    assert solution.converged
    expected = [0.0, *(float(bold_play(s, goal, p)) for s in range(1, goal)), 0.0]
    np.testing.assert_allclose(solution.values, expected, atol=1e-11)
    if (goal, p) == (100, Fraction(2, 5)):
        np.testing.assert_allclose(solution.values[[25, 50, 75]], [0.16, 0.40, 0.64], atol=1e-11)
    # Stakes beyond the capital are cut to it.
    assert model.P[3][goal // 2] == model.P[3][3]
    assert classics.gamblers_stakes(model)[3].nonzero()[0].tolist() == [0, 1, 2, 3]


def test_river_swim() -> None:
    model = classics.river_swim()
    assert rlgrid.solve(model, gamma=1.0, horizon=20).values[0, 0] == pytest.approx(3.39726, abs=6e-6)
    assert start_value(model, rlgrid.solve(model, gamma=1.0, horizon=20).values[0]) == pytest.approx(3.39726, abs=6e-6)
    # Swimming right for ever is a birth and death chain: pi(k) forth(k) = pi(k + 1) back(k + 1).
    forth = [Fraction(3, 5), *[Fraction(7, 20)] * 4]
    back = [*[Fraction(1, 20)] * 4, Fraction(2, 5)]
    weight = [Fraction(1)]
    for k in range(5):
        weight.append(weight[k] * forth[k] / back[k])
    gain = weight[5] / sum(weight)
    assert float(gain) == pytest.approx(0.42862, abs=5e-6)
    solution = rlgrid.solve(model, criterion="average", tolerance=1e-10)
    np.testing.assert_allclose(solution.gain, float(gain), atol=1e-10)
    assert classics.river_swim(40).num_states == 40


def test_chain() -> None:
    """Strens 2000: the optimum, always forward, gets 3677 a phase of 1000 steps."""
    model = classics.chain()
    solution = rlgrid.solve(model, criterion="average", tolerance=1e-10)
    gain = Fraction(4, 5) ** 5 * 10 + Fraction(1, 5) * 2
    np.testing.assert_allclose(solution.gain, float(gain), atol=1e-10)
    assert round(1000 * gain) == 3677
    # V(i) = a + b V(0), from the last state backwards.
    gamma, p = Fraction(99, 100), Fraction(4, 5)
    a, b = (10 * p + 2 * (1 - p)) / (1 - gamma * p), gamma * (1 - p) / (1 - gamma * p)
    for _ in range(4):
        a, b = gamma * p * a + 2 * (1 - p), gamma * p * b + gamma * (1 - p)
    assert optimum(model) == pytest.approx(float(a / (1 - b)), abs=2e-9)
    assert (rlgrid.solve(model).policy == 0).all()


@pytest.mark.parametrize(("count", "left", "right"), [(19, -1.0, 1.0), (5, 0.0, 1.0), (4, 2.0, -1.0), (1, 0.0, 0.0)])
def test_random_walk(count: int, left: float, right: float) -> None:
    """Examples 6.2 and 7.1: the values of the random policy, as fractions."""
    model = classics.random_walk(count, left, right)
    low, high = Fraction(left), Fraction(right)
    exact = [0.0, *(float(low + (high - low) * s / (count + 1)) for s in range(1, count + 1)), 0.0]
    values = rlgrid.policy_values(model, np.full((count + 2, 2), 0.5))
    np.testing.assert_allclose(values, exact, atol=1e-13)
    if (count, left) == (5, 0.0):
        np.testing.assert_allclose(values[1:-1] * 6, [1, 2, 3, 4, 5], atol=1e-12)
    assert model.start_states.tolist() == [(count + 1) // 2]
    # Who may choose walks to the better end, or to none if both cost.
    assert optimum(model) == pytest.approx(max(left, right, 0.0), abs=1e-12)


@pytest.mark.parametrize("size", [2, 10, 35])
@pytest.mark.parametrize("seed", [None, 0, 42])
def test_deep_sea(size: int, seed: int | None) -> None:
    model = classics.deep_sea(size, mapping_seed=seed)
    assert optimum(model) == pytest.approx(0.99, abs=2e-9)
    noisy = classics.deep_sea(size, stochastic=True, mapping_seed=seed)
    q = 1 - Fraction(1, size)
    expected = q ** (size - 1) - Fraction(1, 100) * (1 - q**size)
    assert optimum(noisy) == pytest.approx(float(expected), abs=2e-9)
    # Every episode lasts as many steps as the sea is deep.
    env = GridWorld(model=noisy)
    env.reset(seed=0)
    ends = [env.step(k % 2)[2] for k in range(size)]
    assert ends == [False] * (size - 1) + [True]


def test_deep_sea_mapping_is_drawn_by_the_seed() -> None:
    right = np.random.RandomState(42).binomial(1, 0.5, (6, 6))
    model = classics.deep_sea(6, mapping_seed=42)
    for row, column in ((0, 0), (3, 2), (5, 5), (4, 1)):
        state = model.state_of((row, column))
        ((_, to, reward, _),) = model.P[state][int(right[row, column])]
        assert to == model.state_of((row + 1, min(column + 1, 5)))
        assert reward == pytest.approx((column == 5) - 0.01 / 6)
        ((_, to, reward, _),) = model.P[state][1 - int(right[row, column])]
        assert (to, reward) == (model.state_of((row + 1, max(column - 1, 0))), 0.0)
    assert model.P != classics.deep_sea(6, mapping_seed=43).P


@pytest.mark.parametrize(("mean", "variance", "parts"), [(-0.1, 1.0, 16), (-2.0, 0.25, 2), (0.0, 9.0, 201)])
def test_maximization_bias(mean: float, variance: float, parts: int) -> None:
    given = {"mean": mean, "variance": variance, "num_rewards": parts}
    model = classics.maximization_bias(num_actions=6, **given)  # type: ignore[arg-type]
    table = model.P
    assert [table[2][a] for a in range(6)] == [[(1.0, 1, 0.0, False)], [(1.0, 3, 0.0, True)]] * 3
    for a in range(6):
        assert {(p, to, ends) for p, to, _, ends in table[1][a]} == {(1.0 / parts, 0, True)}
        rewards = np.array([reward for _, _, reward, _ in table[1][a]])
        assert rewards.mean() == pytest.approx(mean, abs=1e-12)
        assert rewards.var() == pytest.approx(variance, rel=1e-12)
        # Nearly the normal distribution: each is in its own part of it.
        falls = norm.cdf((rewards - mean) / math.sqrt(variance))
        assert parts == 2 or (np.floor(falls * parts) == np.arange(parts)).all()
    assert rlgrid.solve(model).values.tolist() == pytest.approx([0.0, mean, 0.0, 0.0])
    narrow = classics.maximization_bias(num_actions=6, spare_actions=False, **given)  # type: ignore[arg-type]
    assert narrow.available is not None
    assert narrow.available.tolist() == [[True] * 6, [True] * 6, [True] * 2 + [False] * 4, [True] * 6]
    assert all(narrow.P[s][a] == table[s][a] for s in range(4) for a in narrow.P[s] if narrow.available[s, a])


@pytest.mark.parametrize("length", [1, 10, 70])
def test_t_maze(length: int) -> None:
    model = classics.t_maze(length)
    assert optimum(model) == pytest.approx(4 * 0.98**length, abs=2e-9)
    seen = classics.t_maze_observations(model)
    assert seen.shape == (2 * (length + 2),)
    # Who forgets the sign is right every other time.
    policy = np.array([1, 1, 1, 0, 0])[seen]
    values = rlgrid.policy_values(model, policy, gamma=1.0)
    assert start_value(model, values) == pytest.approx((4 - 0.1) / 2, abs=1e-12)


def test_the_t_maze_shows_its_sign_at_the_beginning_alone() -> None:
    env: Any = gym.make("rlgrid/TMaze-v0", length=3)
    assert env.observation_space.n == 5
    returns = Counter()
    for seed in range(20):
        cue, _ = env.reset(seed=seed)
        assert cue in (0, 1)
        seen = [env.step(1)[0] for _ in range(3)]
        assert seen == [2, 2, 3]
        assert env.unwrapped.state == cue * 5 + 3
        last, reward, terminated, _, _ = env.step(0 if cue == 0 else 2)
        assert (last, reward, terminated) == (4, 4.0, True)
        returns[cue] += 1
    assert min(returns.values()) >= 4
    env.reset(seed=0)
    assert env.step(0)[1] == -0.1
    assert env.step(3)[:2] == (env.unwrapped.observation_of[env.unwrapped.state], -0.1)


# --- the racetrack, once more -----------------------------------------------------------------------------------------


def meets(up: int, right: int) -> list[tuple[int, int]]:
    """Cells (rows up, columns right) whose open square meets the open line from (0, 0) to (up, right), but the first,
    by the time at which they are entered: the line is clipped to each square."""
    half = Fraction(1, 2)
    found = []
    for row in range(up + 1):
        for column in range(right + 1):
            enter, leave = Fraction(0), Fraction(1)
            for slope, at in ((up, row), (right, column)):
                if slope:
                    enter, leave = max(enter, (at - half) / slope), min(leave, (at + half) / slope)
            if enter < leave and (row, column) != (0, 0):
                found.append((enter, (row, column)))
    return [cell for _, cell in sorted(found)]


def track_table(track: str) -> tuple[list[Any], dict[Any, Any]]:
    """(starts, {(row, column, up, right): where a step with this new velocity leads: "home", "finish" or a state})."""
    rows = TRACKS[track]
    inside = {(r, c): kind for r, row in enumerate(rows) for c, kind in enumerate(row) if kind != "#"}
    starts = [(r, c, 0, 0) for (r, c), kind in inside.items() if kind == "S"]
    paths = {(up, right): meets(up, right) for up in range(5) for right in range(5)}
    leads: dict[Any, Any] = {}
    for (r, c), kind in inside.items():
        for (up, right), path in paths.items():
            if kind == "F" or ((up, right) == (0, 0) and kind != "S"):
                continue
            kinds = [inside.get((r - rise, c + along), "#") for rise, along in path]
            decides = next((one for one in kinds if one in "#F"), None)
            to: Any = (r - up, c + right, up, right)
            leads[r, c, up, right] = {"#": "home", "F": "finish", None: to}[decides]
    return starts, leads


def faster(state: Any, increments: tuple[int, int], leads: dict[Any, Any]) -> Any:
    """The state with its new velocity."""
    r, c, up, right = state
    new = (r, c, min(max(up + increments[0], 0), 4), min(max(right + increments[1], 0), 4))
    return new if new in leads else state


@pytest.mark.parametrize("track", ["left", pytest.param("right", marks=pytest.mark.slow)])
def test_racetrack(track: str) -> None:
    starts, leads = track_table(track)
    model = racetrack(track)
    assert model.states is not None
    assert set(model.states) == {*leads, "finish"}
    # Every tenth state's outcomes, to the last bit of their probabilities' sums.
    for s in range(0, model.num_states - 1, 10):
        state = model.states[s]
        for a, increments in enumerate(INCREMENTS):
            expected: Counter[Any] = Counter()
            for p, pushed in ((0.9, faster(state, increments, leads)), (0.1, state)):
                to = leads[pushed]
                for one in starts if to == "home" else [to]:
                    expected[one] += p / len(starts) if to == "home" else p
            found: Counter[Any] = Counter()
            for p, to, reward, ends in model.P[s][a]:
                found[model.states[to]] += p
                assert reward == -1.0
                assert ends == (model.states[to] == "finish")
            assert found.keys() == expected.keys()
            assert all(found[to] == pytest.approx(expected[to], abs=1e-15) for to in found)
    # Value iteration over the table above, from below, to where nothing changes by 1e-12.
    index = {state: i for i, state in enumerate(leads)}
    size = len(index)
    number = {**index, "finish": size, "home": size + 1}
    to = np.array([number[leads[state]] for state in leads])
    pushed = np.array([[index[faster(state, one, leads)] for one in INCREMENTS] for state in leads])
    at_start = np.array([index[state] for state in starts])
    values = np.zeros(size + 2)
    for _ in range(1000):
        values[size + 1] = values[at_start].mean()
        led = values[to]
        new = -1.0 + 0.9 * led[pushed].max(axis=1) + 0.1 * led
        done = np.abs(new - values[:size]).max() < 1e-12
        values[:size] = new
        if done:
            break
    assert done
    solution = rlgrid.solve(model, tolerance=1e-9)
    assert solution.converged
    ours = [solution.values[model.state_of(state)] for state in leads]
    np.testing.assert_allclose(ours, values[:size], atol=2e-9)
    # Without noise: whole steps, by breadth first search.
    frontier, steps = set(starts), 0
    while "finish" not in frontier:
        frontier = {leads[faster(state, one, leads)] for state in frontier for one in INCREMENTS} - {"home"}
        steps += 1
    calm = racetrack(track, noise=0.0)
    best = rlgrid.solve(calm, tolerance=1e-9).values[calm.start_states].max()
    assert best == pytest.approx(-steps, abs=1e-9)


def test_paths_of_the_racetrack() -> None:
    """Through a corner the path touches neither cell beside it."""
    assert visited(2, 2) == [(1, 1), (2, 2)]
    assert visited(0, 3) == [(0, 1), (0, 2), (0, 3)]
    assert visited(1, 2) == [(0, 1), (1, 1), (1, 2)]
    assert visited(3, 1) == [(1, 0), (2, 1), (3, 1)]
    assert visited(4, 1) == [(1, 0), (2, 0), (2, 1), (3, 1), (4, 1)]
    assert all(visited(up, right) == meets(up, right) for up in range(5) for right in range(5))


def test_tracks_of_the_figure() -> None:
    """Figure 5.5: 32 x 17 cells with 6 starts and 6 finish cells, and 30 x 32 with 23 and 9."""
    for name, shape, starts, finishes in (("left", (32, 17), 6, 6), ("right", (30, 32), 23, 9)):
        rows = TRACKS[name]
        assert (len(rows), len(rows[0])) == shape
        assert sum(row.count("S") for row in rows) == starts == rows[-1].count("S")
        assert sum(row.count("F") for row in rows) == finishes == sum(row[-1] == "F" for row in rows)


def test_a_track_of_ones_own() -> None:
    model = racetrack(["...F", ".###", "S###"], noise=0.0)
    assert optimum(model) == -3.0  # one up; one up and to the right, through the corner; two to the right
    env = gym.make("rlgrid/Racetrack-v0", track=["..F", ".##", "S##"], render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == " . . F\n . # #\n[S]# #\nrow 2, column 0, velocity 0 up and 0 right\n"
    env.step(7)
    assert "velocity 1 up and 0 right\n  (+1 up, +0 right)\n" in str(env.render())


# --- environments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", IDS)
def test_gymnasiums_checker_is_content(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GridWorld.metadata, "render_fps", 1000)
    check_env(gym.make(world, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("world", IDS)
def test_the_spec_is_json_and_makes_the_same_environment(world: str) -> None:
    env: Any = gym.make(world, gamma=0.5)
    text = env.spec.to_json()
    assert json.loads(text)["id"] == world
    again: Any = gym.make(gym.envs.registration.EnvSpec.from_json(text))
    assert again.unwrapped.model.gamma == 0.5
    assert again.unwrapped.model is env.unwrapped.model


@pytest.mark.parametrize("world", ["rlgrid/Racetrack-v0", "rlgrid/RacetrackRight-v0"])
def test_thresholds_of_the_racetracks_lie_below_the_optimum(world: str) -> None:
    """Where every step costs, no cap gives less than none; tests/test_worlds_page.py has the other worlds."""
    model = gym.make(world).unwrapped.model  # type: ignore[attr-defined]
    best = start_value(model, rlgrid.solve(model).lower)
    assert best - 0.07 * abs(best) <= (gym.spec(world).reward_threshold or 0.0) <= best


@pytest.mark.parametrize("world", IDS)
def test_every_step_is_an_outcome_of_the_model(world: str) -> None:
    env: Any = gym.make(world).unwrapped
    env.action_space.seed(3)
    env.reset(seed=3)
    for _ in range(200):
        before, action = env.state, int(env.action_space.sample())
        seen, reward, terminated, truncated, info = env.step(action)
        run = slice(*env.model.offsets[before * env.model.num_actions + action :][:2])
        assert (info["prob"], env.state, reward, terminated) in zip(
            env.model.probability[run],
            env.model.next_state[run],
            env.model.reward[run],
            env.model.terminated[run],
            strict=True,
        )
        assert seen == (env.state if env.observation_of is None else env.observation_of[env.state])
        assert truncated is False
        if terminated:
            env.reset()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("world", IDS)
def test_copies_go_on_alike(copied: Any, world: str) -> None:
    env = gym.make(world, render_mode="rgb_array")
    env.reset(seed=9)
    env.step(1)
    twin = copied(env)
    for action in (1, 0, 1, 1):
        one, other = env.step(action), twin.step(action)
        assert one[:4] == other[:4]
    assert np.array_equal(env.render(), twin.render())


@pytest.mark.parametrize(("world", "arguments"), [*((world, {}) for world in IDS), ("rlgrid/Taxi-v4", FICKLE)])
def test_a_saved_state_is_gone_back_to(world: str, arguments: dict[str, Any]) -> None:
    env: Any = gym.make(world, **arguments).unwrapped
    env.reset(seed=2)
    env.step(0)
    saved = json.loads(json.dumps(env.get_state()))
    walk = [env.step(k % env.action_space.n)[:3] for k in range(30)]
    env.set_state(saved)
    assert [env.step(k % env.action_space.n)[:3] for k in range(30)] == walk


@pytest.mark.parametrize("world", IDS)
def test_pictures_and_texts(world: str) -> None:
    env: Any = gym.make(world, render_mode="ansi")
    text = env.unwrapped.render()
    assert text.endswith("\n")
    env.reset(seed=0)
    before = env.render()
    assert before != text
    env.step(1)
    assert env.render() != before
    assert env.render().endswith(")\n")  # the last action
    env = gym.make(world, render_mode="rgb_array", cell_size=16)
    env.reset(seed=0)
    frame = env.render()
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    frames: Any = gym.make_vec(world, num_envs=2, render_mode="rgb_array", cell_size=16)
    frames.reset(seed=0)
    assert np.array_equal(frames.render()[0], frame)


def test_states_in_words() -> None:
    def text(world: str, state: int, action: int) -> str:
        env: Any = gym.make(world, render_mode="ansi")
        env.reset(seed=0)
        env.unwrapped.state = state
        env.step(action)
        return str(env.render())

    assert text("rlgrid/GamblersProblem-v0", 50, 0) == "capital 50\n  (stake 0)\n"
    assert text("rlgrid/RiverSwim-v0", 3, 0) == "place 2\n  (left)\n"
    assert text("rlgrid/MaximizationBias-v0", 2, 0) == "B\n  (0)\n"
    assert text("rlgrid/RandomWalk-v0", 10, 0) == "state 9\n  (left)\n"
    assert text("rlgrid/TMaze-v0", 0, 1) == "goal up, position 1\n  (right)\n"
    assert text("rlgrid/JacksCarRental-v0", 0, 5).endswith(" at the second\n  (none moved)\n")


def test_runs_of_many_outcomes_are_searched_in_the_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the same outcomes from tuples, number for number."""
    wide = GridWorld(model=classics.jacks_car_rental(max_cars=6))
    plain = GridWorld(model=classics.jacks_car_rental(max_cars=6))
    wide.reset(seed=4)
    plain.reset(seed=4)
    steps = [wide.step(k % 11) for k in range(500)]
    monkeypatch.setattr("rlgrid.envs.outcomes._WIDE", 1000)
    assert steps == [plain.step(k % 11) for k in range(500)]
    assert [type(x) for x in steps[0]] == [int, float, bool, bool, dict]


def test_masks_tell_what_is_allowed() -> None:
    env: Any = gym.make("rlgrid/GamblersProblem-v0")
    _, info = env.reset(seed=0, options={"state": 3})
    assert info["action_mask"].nonzero()[0].tolist() == [0, 1, 2, 3]
    info["action_mask"][:] = 0  # the caller's own
    assert env.step(0)[-1]["action_mask"].sum() == 4


@pytest.mark.parametrize(
    ("world", "arguments", "error", "words"),
    [
        ("RiverSwim", {"lenght": 6}, TypeError, r"river_swim has no argument 'lenght': did you mean 'length'\?"),
        ("RandomWalk", {"num_states": 0}, ValueError, "num_states must lie in 1 to"),
        ("RandomWalk", {"rigth": 1}, TypeError, r"random_walk has no argument 'rigth': did you mean 'right'"),
        ("MaximizationBias", {"spare_actions": 1}, TypeError, "spare_actions must be True or False"),
        ("MaximizationBias", {"mean": 0.5}, ValueError, "mean must be finite and lie in -inf to 0"),
        ("RiverSwim", {"length": 1}, ValueError, "length must lie in 2 to"),
        ("RiverSwim", {"length": 2.5}, TypeError, "length must be a whole number"),
        ("RiverSwim", {"gamma": 2}, ValueError, "gamma"),
        ("JacksCarRental", {"max_cars": 31}, ValueError, "max_cars must lie in 1 to 30"),
        ("JacksCarRental", {"requests": (3.0,)}, ValueError, "requests must be two numbers"),
        ("JacksCarRental", {"requests": [3.0, -1.0]}, ValueError, "requests must be finite and lie in 0"),
        ("JacksCarRental", {"exercise_4_7": 1}, TypeError, "exercise_4_7 must be True or False"),
        ("GamblersProblem", {"p_heads": 1.5}, ValueError, "p_heads"),
        ("GamblersProblem", {"p_heads": "x"}, TypeError, "p_heads must be a number"),
        ("Chain", {"slip": -0.1}, ValueError, "slip"),
        ("DeepSea", {"mapping_seed": -1}, ValueError, "mapping_seed"),
        ("TMaze", {"length": 0}, ValueError, "length"),
        ("Racetrack", {"track": "middle"}, ValueError, "track must be 'left' or 'right'"),
        ("Racetrack", {"track": [".F", "S"]}, ValueError, "rows of text of one length"),
        ("Racetrack", {"track": [".F", "Sx"]}, ValueError, "row 1, column 1: 'x'"),
        ("Racetrack", {"track": ["..", "S."]}, ValueError, "no finish line"),
        ("Racetrack", {"noise": 1.5}, ValueError, "noise must lie"),
        ("Racetrack", {"noise": "x"}, TypeError, "noise must be"),
    ],
)
def test_wrong_arguments_are_named(world: str, arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    from rlgrid.envs.registry import make

    with pytest.raises(error, match=words):
        make(f"rlgrid/{world}-v0", **arguments)
    with pytest.raises(error, match=words):
        gym.make_vec(f"rlgrid/{world}-v0", num_envs=2, **arguments)


def test_observations_and_masks_are_checked() -> None:
    model = classics.chain()
    with pytest.raises(ValueError, match=r"observation_of must have shape \(5,\)"):
        GridWorld(model=model, observation_of=[0, 1])
    with pytest.raises(TypeError, match="whole numbers"):
        GridWorld(model=model, observation_of=np.zeros(5))
    with pytest.raises(ValueError, match=r"observation_of\[2\] is -1"):
        GridWorld(model=model, observation_of=[0, 0, -1, 0, 0])
    with pytest.raises(ValueError, match=r"action_mask_of must be 0 or 1 for each of \[5, 2\]"):
        GridWorld(model=model, action_mask_of=np.full((5, 2), 3))
    with pytest.raises(ValueError, match=r"no world 'chian'.*chain"):
        classics.make("chian")


def test_worlds_are_found_by_their_names() -> None:
    from rlgrid.envs.registry import resolve

    assert resolve("racetrack") == ("rlgrid/Racetrack-v0", {})
    assert resolve("taxi") == ("rlgrid/Taxi-v4", {})
    assert resolve("RiverSwim-v0") == ("rlgrid/RiverSwim-v0", {})
    with pytest.raises(ValueError, match=r"did you mean rlgrid/JacksCarRental-v0\?"):
        resolve("JackCarRental-v0")


# --- agents -----------------------------------------------------------------------------------------------------------


def test_agents_take_observations_for_what_they_are() -> None:
    """Behind observations that hide something there is no compiled path and no regret, but there is learning."""
    from rlgrid.agents import QLearning, ValueIteration

    env = gym.make("rlgrid/TMaze-v0", length=2)
    agent = QLearning(env, seed=0)
    assert not agent.compiled
    assert agent.truth is None
    agent.learn(2000)
    assert agent.q_values.shape == (5, 4)
    with pytest.raises(ValueError, match="only partly observed"):
        QLearning(env, compiled=True)
    with pytest.raises(ValueError, match="only partly observed"):
        ValueIteration(env)
    seen = QLearning(gym.make("rlgrid/RiverSwim-v0"), seed=0)
    assert seen.compiled


def test_a_run_that_sees_a_part_is_resumed_in_the_middle_of_an_episode(tmp_path: Path) -> None:
    from rlgrid.agents import QLearning

    whole, stopped = (QLearning(gym.make("rlgrid/TMaze-v0", length=3), seed=1) for _ in range(2))
    whole.learn(3000)
    stopped.learn(3000, callback=lambda agent: agent.num_timesteps < 1000)
    assert stopped.num_timesteps < 3000
    stopped.save(tmp_path / "run.safetensors")
    again = QLearning.load(tmp_path / "run.safetensors", gym.make("rlgrid/TMaze-v0", length=3))
    again.resume()
    assert again.num_timesteps == 3000
    assert np.array_equal(again.q_values, whole.q_values)


def test_a_compiled_run_in_a_classic_is_the_python_loop() -> None:
    from rlgrid.agents import QLearning

    runs = [QLearning(gym.make("rlgrid/Taxi-v4"), seed=3, compiled=compiled) for compiled in (True, False)]
    for agent in runs:
        agent.learn(3000)
    assert np.array_equal(runs[0].q_values, runs[1].q_values)
    assert runs[0].env.unwrapped.state == runs[1].env.unwrapped.state  # type: ignore[attr-defined]


def test_an_agent_is_watched_where_states_have_no_cells(tmp_path: Path) -> None:
    from rlgrid.agents import QLearning

    env, picture = gym.make("rlgrid/Taxi-v4"), tmp_path / "taxi.png"
    rlgrid.watch(env, QLearning(env, seed=0), record=picture, seconds=0.5)
    assert picture.stat().st_size > 10_000


def test_the_table_leads_back_to_the_model() -> None:
    env = gym.make("rlgrid/Chain-v0")
    mdp = MDP.from_gymnasium(env, gamma=0.99)
    assert mdp.P == env.unwrapped.model.P  # type: ignore[attr-defined]
