"""Taxi against Gymnasium's, step by step, and against its optimum by breadth first search."""

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rlgrid
from rlgrid.envs import taxi
from rlgrid.envs.taxi import FickleTaxi

SETTINGS: list[dict[str, Any]] = [
    {},
    {"is_rainy": True},
    {"fickle_passenger": True},
    {"is_rainy": True, "fickle_passenger": True},
    {"is_rainy": True, "rainy_probability": 0.55, "fickle_passenger": True, "fickle_probability": 0.9},
    {"is_rainy": True, "rainy_probability": 1.0, "fickle_passenger": True, "fickle_probability": 0.0},
]


def make(settings: dict[str, Any]) -> tuple[Any, Any]:
    return gym.make("rlgrid/Taxi-v4", **settings), gym.make("Taxi-v4", **settings)


def generator(env: Any) -> Any:
    return env.unwrapped.np_random.bit_generator.state


def in_lock_step(settings: dict[str, Any], seed: int, steps: int) -> tuple[int, int, int]:
    """(terminations, truncations, changes of destination) in so many steps that were the same in both."""
    ours, theirs = make(settings)
    plan = rlgrid.solve(taxi.taxi(is_rainy=settings.get("is_rainy", False))).policy
    choices = np.random.default_rng([seed, 7])
    masked = choices.random(steps) < 0.5
    planned = choices.random(steps) < 0.6
    terminations = truncations = changes = 0

    def compare(one: Any, other: Any) -> None:
        assert one[:-1] == other[:-1]
        assert one[-1].keys() == other[-1].keys() == {"prob", "action_mask"}
        assert one[-1]["prob"] == other[-1]["prob"]
        assert one[-1]["action_mask"].tobytes() == other[-1]["action_mask"].tobytes()
        assert one[-1]["action_mask"].dtype == other[-1]["action_mask"].dtype
        assert type(one[0]) is type(other[0]) is int

    one, other = ours.reset(seed=seed), theirs.reset(seed=seed)
    compare(one, other)
    for step in range(steps):
        seen = one[0]
        allowed = one[-1]["action_mask"].nonzero()[0]
        if planned[step] and seen // 4 % 5 != seen % 4:
            action = int(plan[seen])
        else:
            action = int(choices.choice(allowed)) if masked[step] and allowed.size else int(choices.integers(6))
        one, other = ours.step(action), theirs.step(action)
        compare(one, other)
        changes += one[0] % 4 != seen % 4
        if one[2] or one[3]:
            terminations, truncations = terminations + one[2], truncations + one[3]
            assert generator(ours) == generator(theirs)
            one, other = ours.reset(), theirs.reset()
            compare(one, other)
    assert generator(ours) == generator(theirs)
    return terminations, truncations, changes


@pytest.mark.parametrize(
    "settings", [SETTINGS[0], *(pytest.param(given, marks=pytest.mark.slow) for given in SETTINGS[1:])]
)
def test_it_is_gymnasiums_step_by_step(settings: dict[str, Any]) -> None:
    totals = np.sum([in_lock_step(settings, seed, 6_000) for seed in (0, 1, 123)], axis=0)
    assert totals[0] > 100
    changing = settings.get("fickle_passenger", False) and settings.get("fickle_probability", 0.3) > 0
    assert (totals[2] > 20) == changing


@pytest.mark.parametrize("settings", SETTINGS[:4])
def test_an_episode_that_has_ended_goes_on_as_gymnasiums_does(settings: dict[str, Any]) -> None:
    """From wherever it stands: through states that no episode reaches."""
    ours, theirs = (env.unwrapped for env in make(settings))
    assert ours.reset(seed=8)[0] == theirs.reset(seed=8)[0]
    choices, plan = np.random.default_rng(8), rlgrid.solve(taxi.taxi()).policy
    ends = 0
    for _ in range(5000):
        masked = np.flatnonzero(theirs.action_mask(theirs.s))
        action = int(plan[theirs.s] if choices.random() < 0.8 else choices.choice(masked))
        one, other = ours.step(action), theirs.step(action)
        assert one[:4] == other[:4]
        ends += one[2]
    assert ends > 20
    assert generator(ours) == generator(theirs)


def test_the_step_cap_truncates_as_gymnasiums_does() -> None:
    for settings in SETTINGS[:4]:
        ours, theirs = make(settings)
        assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps == 200
        ours.reset(seed=3)
        theirs.reset(seed=3)
        flags = [(ours.step(k % 2)[2:4], theirs.step(k % 2)[2:4]) for k in range(200)]
        assert flags == [((False, False),) * 2] * 199 + [((False, True),) * 2]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_gymnasiums_for_a_million_steps(settings: dict[str, Any]) -> None:
    terminations, _, _ = in_lock_step(settings, 2024, 1_000_000 // len(SETTINGS))
    assert terminations > 1000


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_has_gymnasiums_table(settings: dict[str, Any]) -> None:
    """All of it, in order, for the 500 states without a change to come."""
    ours, theirs = (env.unwrapped for env in make(settings))
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    for state in range(500):
        assert ours.P[state] == theirs.P[state]
        assert np.array_equal(ours.action_mask_of[state], theirs.action_mask(state))
        assert taxi.decode(state) == theirs.decode(state)
    if settings.get("fickle_passenger"):
        p = settings.get("fickle_probability", 0.3)
        start = ours.initial_state_distrib.reshape(2, 500)
        np.testing.assert_allclose(start.sum(axis=0), theirs.initial_state_distrib, rtol=1e-15)
        np.testing.assert_allclose(start[1], p * theirs.initial_state_distrib, rtol=1e-15)
    else:
        assert ours.model.num_states == 500
        assert np.array_equal(ours.initial_state_distrib, theirs.initial_state_distrib)


def test_a_fickle_passengers_draws_are_the_models_outcomes() -> None:
    """In every state with a change to come and for every way of the taxi: the way's probability is shared by the
    destinations that are not the present one, exactly where the taxi moves with the passenger in it."""
    model = taxi.taxi(is_rainy=True, fickle_passenger=True)
    for state in range(500):
        row, column, passenger, destination = taxi.decode(state)
        for action in range(6):
            run = iter(model.P[500 + state][action])
            for p, to, reward, ends in model.P[state][action]:
                moves = (row, column) != taxi.decode(to)[:2]
                if passenger == 4 and moves:
                    share = [next(run) for _ in range(3)]
                    assert sum(part[0] for part in share) == pytest.approx(p, rel=1e-15)
                    others = [to - destination + other for other in range(4) if other != destination]
                    assert [part[1] for part in share] == others
                    assert all(part[2:] == (reward, ends) for part in share)
                else:
                    assert next(run) == (p, 500 + to, reward, ends)
            assert next(run, None) is None


def test_a_fickle_passengers_steps_are_outcomes_of_the_model() -> None:
    """Frequencies too: the hidden state and its successors, far below a 1 in 10^6 deviation."""
    env: Any = gym.make("rlgrid/Taxi-v4", is_rainy=True, fickle_passenger=True).unwrapped
    assert isinstance(env, FickleTaxi)
    env.reset(seed=5)
    state = 500 + taxi.encode(2, 2, 4, 1)
    counts: dict[int, int] = {}
    for _ in range(4000):
        env.state = state
        observation, *_, info = env.step(2)
        assert observation == env.state % 500
        assert info["prob"] in (0.8, (1.0 - 0.8) / 2.0)
        counts[env.state] = counts.get(env.state, 0) + 1
    expected: dict[int, float] = {}
    for p, to, _, _ in env.model.P[state][2]:
        expected[to] = expected.get(to, 0.0) + 4000 * p
    assert counts.keys() == expected.keys()
    statistic = sum((counts[to] - n) ** 2 / n for to, n in expected.items())
    assert statistic < len(expected) + 5 * np.sqrt(2 * len(expected))
    flags = sum(env.reset() is not None and env.state >= 500 for _ in range(4000))
    assert abs(flags - 1200) < 5 * np.sqrt(4000 * 0.3 * 0.7)
    env.reset(options={"state": 700})
    assert env.state == 700


def drives() -> dict[int, int]:
    """The least number of steps from every state to the end, by breadth first search in Gymnasium's own table."""
    table = gym.make("Taxi-v4").unwrapped.P  # type: ignore[attr-defined]
    steps: dict[int, int] = {}
    back: dict[int, set[int]] = {}
    queue: deque[int] = deque()
    for state, row in table.items():
        for outcomes in row.values():
            for _, to, reward, ends in outcomes:
                if ends and steps.setdefault(state, 1):
                    assert reward == 20
                elif reward == -1:
                    back.setdefault(to, set()).add(state)
    queue.extend(steps)
    while queue:
        state = queue.popleft()
        for before in back.get(state, set()) - steps.keys():
            steps[before] = steps[state] + 1
            queue.append(before)
    return steps


def test_its_optimum_is_the_shortest_drive() -> None:
    """20 for the last of the steps, -1 for each other."""
    steps, model = drives(), taxi.taxi()
    starts = model.start_states.tolist()
    best = [21 - steps[state] for state in starts]
    assert (len(best), sum(best) / 300, min(best), max(best)) == (300, 7.93, 3, 15)
    solution = rlgrid.solve(model)
    assert solution.values[starts].tolist() == best
    capped = rlgrid.solve(model, gamma=1.0, horizon=200)
    assert capped.values[0][starts].tolist() == best
    threshold = gym.spec("rlgrid/Taxi-v4").reward_threshold
    assert threshold is not None
    assert 7.0 < threshold <= 7.93


def test_the_optimum_with_a_fickle_passenger() -> None:
    """Who knows that the destination will change drives the passenger one cell, the best one for the three others."""
    steps, model = drives(), taxi.taxi(fickle_passenger=True)
    values = rlgrid.solve(model, tolerance=1e-10).values
    for state in np.flatnonzero(model.start[:500]).tolist():
        assert values[state] == pytest.approx(21 - steps[state], abs=1e-9)
        _, _, passenger, destination = taxi.decode(state)
        aboard = taxi.encode(*taxi.STANDS[passenger], 4, destination)
        moved = {model.P[aboard][move][0][1] for move in range(4)} - {aboard}
        others = [other - destination for other in range(4) if other != destination]
        best = max(np.mean([20 - steps[to + other] for other in others]) for to in moved)
        assert values[500 + state] == pytest.approx(best - (steps[state] - steps[aboard]), abs=1e-9)


def test_rain_costs() -> None:
    def optimum(**settings: Any) -> float:
        model = taxi.taxi(**settings)
        return float(model.start @ rlgrid.solve(model, tolerance=1e-9).values)

    dry, rainy = optimum(), optimum(is_rainy=True)
    assert dry == pytest.approx(7.93, abs=1e-9)
    assert optimum(is_rainy=True, rainy_probability=1.0) == pytest.approx(dry, abs=1e-9)
    assert optimum(fickle_passenger=True, fickle_probability=0.0) == pytest.approx(dry, abs=1e-9)
    assert rainy < dry


def test_text_and_picture() -> None:
    env: Any = gym.make("rlgrid/Taxi-v4", render_mode="ansi")
    env.reset(seed=0, options={"state": taxi.encode(3, 1, 2, 0)})
    env.step(1)
    assert env.render() == (
        "+---------+\n"
        "|R .|. . G|\n"
        "|. .|. . .|\n"
        "|.[.]. . .|\n"
        "|.|. .|. .|\n"
        "|Y|. .|B .|\n"
        "+---------+\n"
        "passenger at yellow, destination red\n"
        "  (north)\n"
    )
    env = gym.make("rlgrid/Taxi-v4", render_mode="rgb_array", cell_size=16)
    env.reset(seed=0, options={"state": taxi.encode(3, 1, 2, 0)})
    frame = env.render()
    assert frame.shape == (5 * 16, 9 * 16, 3)
    for other in (taxi.encode(3, 1, 1, 0), taxi.encode(3, 1, 2, 3), taxi.encode(3, 2, 2, 0)):
        env.unwrapped.state = other
        assert (env.render() != frame).any()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"is_rainy": 2}, TypeError, "is_rainy must be True or False"),
        ({"fickle_passenger": "yes"}, TypeError, "fickle_passenger must be True or False"),
        ({"rainy_probability": 1.2}, ValueError, "rainy_probability must lie in"),
        ({"fickle_probability": "x"}, TypeError, "fickle_probability must be a probability"),
        ({"rain": True}, TypeError, "taxi has no argument 'rain': did you mean 'is_rainy'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    from rlgrid.envs.registry import make as made

    with pytest.raises(error, match=words):
        made("rlgrid/Taxi-v4", **arguments)


def test_flags_may_be_numbers_and_probabilities_of_any_float() -> None:
    """As in Gymnasium."""
    given: dict[str, Any] = {"is_rainy": 1, "fickle_passenger": 1, "rainy_probability": np.float32(0.1)}
    model = taxi.taxi(**given, fickle_probability=np.float32(0.3))  # type: ignore[arg-type]
    assert model.num_states == 1000
    assert model.P[taxi.encode(2, 2, 0, 1)][1][0][0] == float(np.float32(0.1))
    env = gym.make("rlgrid/Taxi-v4", **given)
    assert env.reset(seed=0)[0] < 500


@pytest.mark.parametrize("action", [6, -1, 1.5, "up", None])
def test_a_wrong_action_says_so_whatever_is_to_come(action: Any) -> None:
    env: Any = gym.make("rlgrid/Taxi-v4", fickle_passenger=True).unwrapped
    env.reset(seed=0, options={"state": 600})
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    assert env.state == 600
    with pytest.raises(gym.error.ResetNeeded):
        gym.make("rlgrid/Taxi-v4", fickle_passenger=True).unwrapped.step(0)
