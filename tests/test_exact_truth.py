"""What is said of an agent exactly, against rational arithmetic and plain loops."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import naive
import numpy as np
import pytest
from small_worlds import Offset, masked_mdp, world

import rlgrid
from rlgrid.agents import DQN, QLearning, ValueIteration
from rlgrid.mdp import MDP
from rlgrid.truth import MEASURES, Truth, TruthPoint, acted_in


def states_by_walking(model: Any) -> set[int]:
    """Where an agent can act, by following every outcome."""
    table = model.P
    todo = [int(s) for s, p in zip(model.start_states, model.start_probability, strict=True) if p > 0]
    seen = set(todo)
    while todo:
        s = todo.pop()
        for outcomes in table[s].values():
            for p, to, _, ends in outcomes:
                if p > 0 and not ends and to not in seen:
                    seen.add(to)
                    todo.append(to)
    return {s for s in seen if not model.absorbing[s]}


def slowly(model: Any, policy: Any, q: Any, visits: Any, agent_gamma: float) -> dict[str, float]:
    """`Truth.judge` in rational arithmetic; gamma < 1 on both sides."""
    exact, states = naive.exact_model(model), sorted(states_by_walking(model))
    gamma = float(model.gamma)
    best = naive.optimum(model, gamma)
    values = naive.policy_value(exact, policy, gamma)
    uniform = naive.policy_value(exact, [[1.0 if run else 0.0 for run in row] for row in exact], gamma)

    def start(v: Any) -> float:
        return float(sum(p * float(v[s]) for s, p in zip(model.start_states, model.start_probability, strict=True)))

    def q_of(v: Any, discount: float, s: int, a: int) -> float:
        return float(sum(p * (r + (0 if ends else discount * v[to])) for p, to, r, ends in exact[s][a]))

    star = naive.optimum(model, agent_gamma)
    pairs = [(s, a) for s in states for a, run in enumerate(exact[s]) if run]
    now = [0.0 if model.absorbing[s] else max(q[s][a] for a, run in enumerate(exact[s]) if run) for s in range(len(q))]
    floats = [float(v) for v in star]
    return {
        "value": start(values),
        "optimal_value": start(best),
        "regret": start(best) - start(values),
        "share_of_regret": (start(best) - start(values)) / (start(best) - start(uniform)),
        "values_error": max(abs(float(values[s] - best[s])) for s in states),
        "optimal_share": float(
            np.mean([q_of([float(v) for v in best], gamma, s, int(policy[s])) > float(best[s]) - 1e-9 for s in states])
        ),
        "q_error": max(abs(q[s][a] - q_of(floats, agent_gamma, s, a)) for s, a in pairs),
        "bellman_residual": max(abs(q_of(now, agent_gamma, s, a) - q[s][a]) for s, a in pairs),
        "visited_share": float(np.mean([visits[s] > 0 for s in states])),
    }


def four_by_three() -> Any:
    return rlgrid.GridSpec.builtin("russell_norvig_4x3").compile().with_changes(gamma=0.95)  # type: ignore[union-attr]


@pytest.mark.parametrize("agent_gamma", [None, 0.6])
@pytest.mark.parametrize("make", [lambda: masked_mdp([0.5, 0.25, 0.25, 0.0]), four_by_three], ids=["masked", "4x3"])
def test_every_number_is_that_of_rational_arithmetic(make: Any, agent_gamma: float | None) -> None:
    model = make()
    agent = QLearning(world(model, 50), seed=1, gamma=agent_gamma, initial_q=0.3)
    truth = Truth.of(agent)
    assert truth is not None
    assert {int(s) for s in np.flatnonzero(truth.states)} == states_by_walking(model)
    for steps in (1, 20, 400):
        agent.learn(steps)
        point = truth.look(agent)
        expected = slowly(model, agent.policy, agent.q_values, agent.visits, agent.gamma)
        found = point.numbers()
        assert list(found) == list(MEASURES)
        assert all(math.isnan(found.pop(name)) for name in ("prediction_error", "prediction_rms"))
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert point.visits is not None
        assert point.visits.sum() == agent.counts.sum()
        assert (point.timesteps, point.missing) == (steps, "")


def test_the_optimum_is_at_no_distance() -> None:
    model = four_by_three()
    solution = rlgrid.solve(model, tolerance=1e-12)
    found = Truth(model).judge(solution.policy, solution.q_values)
    assert found.optimal_share == 1.0
    for name in ("regret", "share_of_regret", "values_error", "q_error", "bellman_residual"):
        assert getattr(found, name) == pytest.approx(0.0, abs=1e-9), name
    assert math.isnan(found.visited_share)


def test_a_random_policy_loses_the_whole_share() -> None:
    model = masked_mdp()
    allowed = model.available
    assert allowed is not None
    found = Truth(model).judge(allowed / allowed.sum(axis=1, keepdims=True))
    assert found.share_of_regret == pytest.approx(1.0)
    assert 0.0 <= found.optimal_share < 1.0
    assert math.isnan(found.q_error)


def test_undiscounted_with_a_cap_the_share_is_over_the_cap() -> None:
    """FrozenLake at gamma = 1: J is over 100 steps, ||Q - Q*|| is of the world without a cap."""
    model = gym.make("rlgrid/FrozenLake-v1").unwrapped.model.with_changes(gamma=1.0)  # type: ignore[attr-defined]
    assert model.max_episode_steps == 100
    truth = Truth(model)
    always_left = np.full(16, 0)
    table = naive.finite_horizon(model, 1.0, 100)
    found = truth.judge(always_left, np.zeros((16, 4)))
    assert found.optimal_value == pytest.approx(float(table[0][0]))
    assert found.share_of_regret == pytest.approx(rlgrid.share_of_regret(model, always_left))
    assert truth.q_values is not None
    best = [0.0] * 16
    for _ in range(1500):
        best = naive.jacobi(model, 1.0, best)
    assert best[0] == pytest.approx(14 / 17)
    assert truth.q_values[0].max() == pytest.approx(14 / 17)
    assert found.q_error == pytest.approx(max(best))
    assert truth.values is not None
    assert truth.values[0] == pytest.approx(float(table[0][0]))


def test_what_has_no_number_says_why() -> None:
    endless = rlgrid.GridSpec.parse(
        'gamma = 1.0\nmap = """\nS.C.G\n"""\n[legend]\nC = { enter_reward = 1.0 }\n'
    ).compile()
    truth = Truth(endless)
    assert "gamma = 1" in truth.missing
    found = truth.judge(np.zeros(5, np.int64), np.zeros((5, 4)))
    assert math.isnan(found.regret)
    assert found.missing
    cliff = gym.make("rlgrid/CliffWalking-v1").unwrapped.model  # type: ignore[attr-defined]
    found = Truth(cliff).judge(np.zeros(48, np.int64))  # up for ever
    assert (found.value, found.regret, found.optimal_value) == (-math.inf, math.inf, pytest.approx(-13.0))
    assert math.isnan(found.share_of_regret)
    assert "the policy is worth -inf" in found.missing


def test_a_policy_that_has_not_changed_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = masked_mdp(), []
    truth = Truth(model)
    from rlgrid import truth as module

    real = module.policy_values
    monkeypatch.setattr(module, "policy_values", lambda *a, **k: calls.append(1) or real(*a, **k))
    policy = np.array([0, 0, 0, 0])
    first, second = truth.judge(policy), truth.judge(policy.copy())
    assert first.numbers() == pytest.approx(second.numbers(), nan_ok=True)
    policy[1] = 1
    truth.judge(policy)
    assert len(calls) == 2


def test_agents_are_judged_by_what_they_have() -> None:
    assert Truth.of(QLearning(Offset(), seed=0)) is None
    planner = ValueIteration(world(masked_mdp(), None)).learn()
    found = Truth.of(planner).look(planner)  # type: ignore[union-attr]
    assert found.share_of_regret == pytest.approx(0.0, abs=1e-9)
    network = DQN("MlpPolicy", world(), seed=0, policy_kwargs={"net_arch": [8]}, learning_starts=10)
    network.learn(50)
    found = Truth.of(network).look(network)  # type: ignore[union-attr]
    assert isinstance(found, TruthPoint)
    assert found.q_error > 0
    assert 0 < found.visited_share <= 1


def test_states_of_grids_are_those_of_their_explicit_form() -> None:
    grids = 0
    for name in rlgrid.GridSpec.builtin_names():
        model: Any = rlgrid.GridSpec.builtin(name).compile()
        explicit = model.to_mdp()
        assert isinstance(explicit, MDP)
        np.testing.assert_array_equal(acted_in(model), acted_in(explicit), err_msg=name)
        grids += not isinstance(model, MDP)
    assert grids > 10


def test_what_does_not_fit_is_named() -> None:
    truth = Truth(masked_mdp())
    with pytest.raises(ValueError, match="q_values must be float"):
        truth.judge(np.zeros(4, np.int64), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="visits must be int"):
        truth.judge(np.zeros(4, np.int64), visits=np.zeros(5, np.int64))
    with pytest.raises(TypeError):
        Truth(3)  # type: ignore[arg-type]


def test_what_cannot_be_reached_has_no_say_in_what_is_optimal() -> None:
    ends = {0: [(1.0, 0, 0.0, True)], 1: [(1.0, 0, 1.0, True)]}
    far = {0: [(1.0, 1, 1e10, True)], 1: [(1.0, 1, 1e10, True)]}
    truth = Truth(MDP.from_gymnasium({0: ends, 1: far}, gamma=0.9, start=0))
    assert truth.judge([0, 0]).optimal_share == 0.0
    assert truth.judge([1, 0]).optimal_share == 1.0


def test_what_is_no_agent_and_no_count_is_refused_by_name() -> None:
    ends = {0: [(1.0, 0, 0.0, True)], 1: [(1.0, 0, 1.0, True)]}
    truth = Truth(MDP.from_gymnasium({0: ends}, gamma=0.9, start=0))
    with pytest.raises(TypeError, match="an agent is needed, not 3"):
        Truth.of(3)
    with pytest.raises(TypeError, match="an agent is needed, not 3"):
        truth.look(3)
    with pytest.raises(TypeError, match=r"visits must be int \[1\], not float64"):
        truth.judge([0], visits=[1.5])
    with pytest.raises(ValueError, match="visits must be at least 0, not -3"):
        truth.judge([0], visits=[-3])
