"""What is exact in the window: the referee beside the agent, the numbers it publishes, and where they are shown."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import time
from typing import Any

import numpy as np
import pygame
import pytest

from rlgrid import GridSpec, solvers
from rlgrid.agents import AGENTS, agent_class
from rlgrid.truth import Truth
from rlgrid.window import plots, referee, side
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.local import LocalLink
from rlgrid.window.referee import SHARE, Referee, Shown
from rlgrid.window.scenario import Scenario

LAKE = "rlgrid/FrozenLake-v1"


def learning(agent: str, steps: int = 3_000) -> Engine:
    engine = Engine(Scenario(LAKE, agent=agent, seed=2), patient=True)
    engine.set_speed(1_000.0)
    engine.advance(steps)
    return engine


@pytest.mark.parametrize("agent", ["value_iteration", "q_learning", "td0"])
def test_a_snapshot_holds_what_is_true_of_the_agent(agent: str) -> None:
    engine = learning(agent, 4 if agent == "value_iteration" else 3_000)
    shot = engine.snapshot()
    policy = engine.agent.policy if agent != "value_iteration" else engine.tables["policy"]
    values = shot.values if agent == "td0" else None
    point = Truth(engine.model, engine.gamma).judge(policy, shot.q_values, shot.visits, values=values)
    known = {name: value for name, value in point.numbers().items() if not np.isnan(value)}
    assert shot.truth == known
    assert {"regret", "values_error", "optimal_share"} <= set(shot.truth)
    assert ("q_error" in shot.truth) == ("bellman_residual" in shot.truth) == (agent != "td0")
    assert ("prediction_error" in shot.truth) == (agent == "td0")
    assert shot.regret == pytest.approx(point.share_of_regret, abs=1e-12)
    assert shot.judged_at == shot.count == engine.agent.num_timesteps


@pytest.mark.parametrize("agent", AGENTS)
def test_every_learner_has_a_run_of_some_length(agent: str) -> None:
    """Schedules and bounds need one; a planner goes on until its tolerance is proven."""
    engine = Engine(Scenario(LAKE, agent=agent), patient=True)
    if agent_class(agent).unit == "sweep":
        assert engine.agent.total_timesteps is None
    else:
        assert 10_000 <= engine.agent.total_timesteps <= 100_000


def test_the_parameters_of_a_network_are_its_own() -> None:
    engine = Engine(Scenario(LAKE, agent="dqn", settings={"policy_kwargs": {"net_arch": [32, 16]}}), patient=True)
    engine.advance(10)
    found = {p.name: p for p in engine.parameters()}
    assert found["net"].shown == "32 × 16"
    assert 0.0 < found["learning_rate"].part < 1.0
    assert "net" not in {p.name for p in learning("q_learning", 10).parameters()}


class Pauses:
    """Stands for the event that a referee waits for between two looks."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def wait(self, seconds: float) -> None:
        self.seen.append(seconds)

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        pass


def judged(slowness: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Referee, list[float]]:
    """A referee that has looked three times, each look taking so many seconds of a clock that nothing else moves."""
    engine = learning("q_learning", 100)
    shown = Shown(100, engine.agent.policy, engine.agent.q_values, engine.agent.visits)
    now = [0.0]
    monkeypatch.setattr(referee.time, "thread_time", lambda: now[0])
    real = Truth.judge

    def slow(truth: Truth, *words: Any) -> Any:
        now[0] += slowness
        return real(truth, *words)

    monkeypatch.setattr(Truth, "judge", slow)
    found, pauses = Referee(engine.model, engine.gamma, patient=False), Pauses()
    found._stopped = pauses  # type: ignore[assignment]
    for count in (100, 200, 300):
        found.judge(Shown(count, shown.policy, shown.q_values, shown.visits))
        while found.busy:
            time.sleep(0.001)
    found.stop()
    return found, pauses.seen


def test_looks_take_a_bounded_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found, pauses = judged(0.125, monkeypatch)
    assert found.judged_at == 300
    assert not found.trouble
    assert [0.125 / (0.125 + pause) for pause in pauses] == pytest.approx([SHARE] * 3)


def test_a_world_that_is_too_large_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referee, "SMALL", 10)
    found, pauses = judged(0.5, monkeypatch)
    assert found.trouble == "the world is too large to be judged while it is learnt"
    assert found.judged_at == 200  # one slow look alone may have been a kernel that was compiled
    assert len(pauses) == 2  # it was not asked again
    assert found.optimal is not None


def test_a_small_world_is_judged_whatever_a_look_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = judged(0.5, monkeypatch)
    assert not found.trouble
    assert found.judged_at == 300


@pytest.mark.parametrize("small", [True, False])
def test_what_compiles_before_the_first_look_makes_no_world_large(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referee, "SMALL", 2_000 if small else 10)
    now, limits = [0.0], []
    monkeypatch.setattr(referee.time, "thread_time", lambda: now[0])
    real = solvers.solve

    def solve(model: Any, **settings: Any) -> Any:
        now[0] += 60.0 * (not limits)  # the first that is solved is what warms the kernels
        limits.append(settings.pop("time_limit", None))
        return real(model, **settings)

    monkeypatch.setattr("rlgrid.solvers.solve", solve)
    referee._warm.cache_clear()
    engine = learning("q_learning", 100)
    found = Referee(engine.model, engine.gamma, patient=False)
    found.judge(Shown(100, engine.agent.policy, engine.agent.q_values, engine.agent.visits))
    while found.busy:
        time.sleep(0.001)
    found.stop()
    assert not found.trouble
    assert found.judged_at == 100
    *warming, limit = limits
    assert warming == [None]
    assert limit == referee.PATIENCE * (30 if small else 1)


@pytest.mark.parametrize(
    ("size", "agent"), [((800, 600), "q_learning"), ((1280, 800), "q_learning"), ((1280, 800), "td0")]
)
def test_the_panel_shows_what_is_exact(size: tuple[int, int], agent: str) -> None:
    pygame.display.init()
    link = LocalLink()
    app = App(link, size, clock=link.clock)
    app.open(LAKE, agent)
    app.state.drawer = "left"
    for _ in range(15):
        link.pass_time(0.1)
        app.update()
        app.update()
    app.draw()
    words = [text for text, _ in app.scene.texts]
    truth = app.state.snapshot.truth
    without = {"q_error", "bellman_residual"} if agent == "td0" else {"prediction_error"}
    assert truth.keys() & side.TRUTHS == side.TRUTHS.keys() - without
    for name in side.TRUTHS.keys() - without:
        assert side.TRUTHS[name] in words
        shown = plots.percent(truth[name]) if name.endswith("share") else side.numbers.short(truth[name])
        assert shown in words, name
    given = agent == "td0"
    for title in (
        ("Regret of the policy", "Distance to Vπ") if given else ("Regret of the greedy policy", "Distance to V*")
    ):
        assert any(text.startswith(title) for text in words)
    pygame.display.quit()


@pytest.mark.parametrize(("part", "words"), [(0.0, "0 %"), (1.0, "100.0 %"), (0.9999, "> 99.9 %"), (0.9, "90.0 %")])
def test_a_share_is_not_rounded_to_what_it_is_not(part: float, words: str) -> None:
    assert plots.percent(part) == words


def test_the_distance_to_the_optimum_is_over_the_states_in_which_an_agent_can_act() -> None:
    """No agent ever acts in the cliff's cells, so what it thinks of them stays as it began."""
    model = GridSpec.builtin("cliff_walking").compile().with_changes(gamma=0.9)
    found, states = Referee(model, 0.9, patient=True), Truth(model).states
    begun = np.zeros(model.num_states)
    assert found.distance(begun) is None
    found.judge(Shown(1, np.zeros(model.num_states, np.int64)))
    assert found.optimal is not None
    assert found.distance(begun) == np.abs(found.optimal[states]).max()
    assert found.distance(np.where(states, found.optimal, 0.0)) == 0.0
    assert np.abs(found.optimal[~states]).max() > 1.0
    shot = learning("q_learning").snapshot()
    assert shot.values is not None
    assert shot.distance is not None
    assert shot.distance <= shot.truth["q_error"] + 1e-9  # |max Q - max Q*| <= max |Q - Q*|


def test_what_is_known_is_judged_where_there_is_no_share_of_regret() -> None:
    """With gamma 0 nothing can be won at the start, and tables change all the same."""
    model = GridSpec.builtin("frozen_lake_4x4").compile().with_changes(gamma=0.0)
    found = Referee(model, 0.0, patient=True)
    policy = np.zeros(16, np.int64)
    found.judge(Shown(1, policy, np.zeros((16, 4))))
    first = dict(found.numbers)
    found.judge(Shown(2, policy, np.ones((16, 4))))
    assert found.judged_at == 2
    assert found.numbers["q_error"] != first["q_error"]
    assert found.regret is None
    assert "no regret" in found.unshared
    assert not found.trouble


@pytest.mark.parametrize(("agent", "shown"), [("q_learning", True), ("psrl", False)])
def test_a_learning_rate_is_shown_of_agents_that_take_one(agent: str, shown: bool) -> None:
    assert ("learning_rate" in {one.name for one in learning(agent, 10).parameters()}) == shown
