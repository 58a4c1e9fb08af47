"""The inspector and the bottom of the window: sums that light up cells, curves that are read, a timeline to drag."""

from __future__ import annotations

import itertools
import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from dataclasses import replace
from typing import Any

import numpy as np
import pygame
import pytest

from rlgrid.window import breakpoints, inspector, layers, numbers, plots
from rlgrid.window.actors import outcomes_of
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.local import LocalLink
from rlgrid.window.scene import Scene
from rlgrid.window.state import Curve

ROOMS, LAKE, CLIFF = "rlgrid/FourRooms-v0", "rlgrid/FrozenLake-v1", "rlgrid/CliffWalking-v1"
SMALL_NET = {"policy_kwargs": {"net_arch": [16, 16], "activation_fn": "relu"}, "learning_starts": 50}

SMALL_C51 = {
    "policy_kwargs": {"net_arch": [16, 16], "v_min": 0.0, "v_max": 1.0, "n_atoms": 21},
    "loss": "cross_entropy",
    "learning_starts": 50,
}


@pytest.fixture(scope="module", autouse=True)
def _display() -> Any:
    pygame.display.init()
    yield
    pygame.display.quit()


def an_app(
    world: str = LAKE,
    agent: str = "value_iteration",
    size: tuple[int, int] = (1280, 800),
    seconds: float = 1.0,
    speed: float | None = None,
    **settings: Any,
) -> Any:
    link = LocalLink()
    app: Any = App(link, size, clock=link.clock)
    app.open(world, agent, speed, settings)
    app.state.drawer = "right"
    run(app, seconds)
    return app


def run(app: Any, seconds: float) -> None:
    for _ in range(round(seconds / 0.1)):
        app.link.pass_time(0.1)
        app.update()
    settle(app)


def settle(app: Any) -> None:
    """What was asked is answered, and drawn."""
    for _ in range(3):
        app.update()
        app.draw()


def pin(app: Any, state: int, section: str = "") -> None:
    app.state.pinned, app.state.section = state, section
    settle(app)


def control(app: Any, name: str) -> Any:
    return next(c for c in app.scene.controls if c.name == name)


def point(app: Any, at: tuple[int, int]) -> None:
    app.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0)))
    settle(app)


def click(app: Any, at: tuple[int, int]) -> None:
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=at))
    app.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, button=1, pos=at))
    settle(app)


def words(app: Any) -> list[str]:
    return [text for text, _ in app.scene.texts]


def check_apart(app: Any, size: tuple[int, int]) -> None:
    window = pygame.Rect((0, 0), size)
    inside = app.scene.regions.right
    for i, (text, rect) in enumerate(app.scene.texts):
        assert window.contains(rect), text
        if inside.collidepoint(rect.center):
            assert inside.contains(rect), f"{text!r} leaves the inspector"
        for other, there in app.scene.texts[i + 1 :]:
            assert min(rect.clip(there).size) <= 2, f"{text!r} overlaps {other!r}"
    for one in app.scene.controls:
        assert window.contains(one.rect), one.name


# --- the inspector ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "settings", "size"),
    [
        ("value_iteration", {}, (800, 600)),
        ("expected_sarsa", {}, (800, 600)),
        ("td0", {}, (1280, 800)),
        ("dqn", SMALL_NET, (800, 600)),
        ("psrl", {}, (800, 600)),
        ("recurrent_dqn", {"learning_starts": 50}, (800, 600)),
        ("dqn", SMALL_C51, (800, 600)),
        pytest.param("dqn", SMALL_C51, (1280, 800), marks=pytest.mark.slow),
        pytest.param("ucbvi", {}, (800, 600), marks=pytest.mark.slow),
        pytest.param("r_max", {"visits_to_know": 3}, (800, 600), marks=pytest.mark.slow),
        pytest.param("prioritized_sweeping", {}, (800, 600), marks=pytest.mark.slow),
        pytest.param("ucb_q_learning", {}, (800, 600), marks=pytest.mark.slow),
        pytest.param("monte_carlo", {}, (800, 600), marks=pytest.mark.slow),
        pytest.param("q_learning", {}, (800, 600), marks=pytest.mark.slow),
        pytest.param("value_iteration", {}, (1280, 800), marks=pytest.mark.slow),
        pytest.param("dqn", SMALL_NET, (1280, 800), marks=pytest.mark.slow),
    ],
)
def test_every_section_stays_inside_and_nothing_overlaps(
    agent: str, settings: dict[str, Any], size: tuple[int, int]
) -> None:
    app = an_app(agent=agent, size=size, seconds=3.0, speed=8.0 if agent == "value_iteration" else 300.0, **settings)
    for section in ("", *inspector.SECTIONS):
        pin(app, 4, section)
        check_apart(app, size)


def test_a_term_that_is_pointed_at_lights_its_cell_and_a_click_pins_it() -> None:
    app = an_app()
    pin(app, 8)
    terms = [c for c in app.scene.controls if c.name.startswith("term:")]
    outcomes = app.state.outcomes[8][inspector.shown_action(app.state, 8)]
    assert sorted(int(c.name.rpartition(":")[2]) for c in terms) == sorted(to for _, to, _, _ in outcomes)
    before = pygame.surfarray.array3d(app.draw()).copy()
    there = next(c for c in terms if not c.name.endswith(":8"))
    point(app, there.rect.center)
    state = int(there.name.rpartition(":")[2])
    assert app.state.lit == state
    changed = (pygame.surfarray.array3d(app.draw()) != before).any(axis=2)
    region = app.scene.regions.map
    assert changed[region.left : region.right, region.top : region.bottom].any()
    click(app, there.rect.center)
    assert app.state.pinned == state
    assert inspector.lit_by("layer:values") is None
    assert inspector.lit_by("term:3:") is None


def test_a_cell_that_is_pointed_at_lights_its_term() -> None:
    app = an_app()
    pin(app, 8)
    panel = app.scene.regions.right
    before = pygame.surfarray.array3d(app.draw()).copy()
    app.state.hover = 9
    lit = pygame.surfarray.array3d(app.draw())
    assert (lit != before)[panel.left : panel.right, panel.top : panel.bottom].any()


def test_sections_are_gone_through_and_chosen() -> None:
    app = an_app(agent="dqn", seconds=3.0, speed=100.0, **SMALL_NET)
    pin(app, 4)
    assert inspector.sections(app.state) == ["update", "backup", "why", "network"]
    seen = []
    for _ in range(4):
        app.do("section")
        settle(app)
        seen.append(app.state.section)
    assert seen == ["backup", "why", "network", "update"]
    click(app, control(app, "section:network").rect.center)
    assert app.state.section == "network"
    assert any("off" in text for text in words(app))
    look = app.state.look
    assert look.inside.similarity[4] == pytest.approx(1.0)
    assert "Gradient similarity to this cell" in words(app)


def test_the_last_update_is_written_out_with_its_numbers() -> None:
    app = an_app(world=CLIFF, agent="q_learning", seconds=3.0, speed=200.0, exploration_initial_eps=1.0)
    s = int(np.argmax(app.state.snapshot.visits))
    pin(app, s)
    update = app.state.look.update
    assert update.state == s
    table = app.link.engine.agent.q_table
    assert update.result == pytest.approx(table[s, update.action], abs=1e-12)
    said = words(app)
    assert "target =" in said
    assert "new =" in said
    assert inspector.numbers.fixed(update.target, 6) in said


@pytest.mark.parametrize("size", [(1280, 1400), (800, 600)])
def test_every_row_of_an_update_is_painted_with_its_number(size: tuple[int, int]) -> None:
    """By a twin of the run that is asked for what it knows, and not for what is written out."""
    gamma, eps = 0.9, 0.4
    chances = {"exploration_initial_eps": eps, "exploration_final_eps": eps}
    app = an_app(CLIFF, "expected_sarsa", size, 3.0, 200.0, learning_rate=0.5, gamma=gamma, **chances)
    s = int(np.argmax(app.state.snapshot.visits))
    pin(app, s, "update")
    count, a = app.state.look.update.count, app.state.look.update.action
    twin = Engine(app.link.engine.scenario, patient=True)
    twin.advance(count - 1)
    q = twin.agent.q_table.copy()
    twin.advance(1)
    to = twin.agent.state
    assert np.flatnonzero((twin.agent.q_table != q).any(axis=1)).tolist() == [s]
    reward = -100.0 if to == 36 and s != 24 else -1.0  # who falls begins again, in the lowest row
    ties = q[to] == q[to].max()
    policy = eps / 4 + (1.0 - eps) * ties / ties.sum()
    worths = [reward, *(gamma * policy * q[to])]
    target = sum(worths)
    many = len(worths)
    assert min(np.abs(worths)) > 1e-3
    error, said = numbers.fixed(target - q[s, a], 6), words(app)
    rows = []  # (the cell that lights up, what stands at the right) of what ends with a number
    for one in app.scene.controls:
        if one.name.startswith("term:"):
            *_, (_, last) = sorted((rect.right, text) for text, rect in app.scene.texts if one.rect.contains(rect))
            rows += [(int(one.name.rpartition(":")[2]), last)] if last[-1].isdigit() else []
    left = many - len(rows) + 1
    if left:
        assert said[said.index(f"and {left} more terms") - 1] == numbers.fixed(sum(worths[-left:]), 6)
    assert rows == [*((to, numbers.fixed(each, 6)) for each in worths[: many - left]), (s, error)]
    new = q[s, a] + 0.5 * (target - q[s, a])
    assert new == pytest.approx(twin.agent.q_table[s, a], abs=1e-12)
    assert said[said.index("target =") + 1] == numbers.fixed(target, 6)
    assert "new =" not in said or said[said.index("new =") + 1] == numbers.fixed(new, 6)
    assert ("new =" in said) == (size[1] > 600)
    moved = f"{numbers.fixed(q[s, a], 5)} + α 0.5 × {numbers.fixed(target - q[s, a], 5)}"
    assert size[1] == 600 or moved in said


def test_of_a_plan_the_action_that_is_chosen_is_written_out() -> None:
    app = an_app(agent="psrl", seconds=2.0, speed=200.0)
    pin(app, 8)
    greedy = inspector.greedy_actions(app.state, 8)[0]
    other = next(a for a in range(4) if a != greedy)
    names = app.state.model.actions
    assert f"PSRL of “{names[greedy]}”" in words(app)
    click(app, control(app, f"action:{other}").rect.center)
    assert f"PSRL of “{names[other]}”" in words(app)
    update = app.state.look.update_of(other)
    assert update.result == pytest.approx(float(app.state.snapshot.q_values[8, other]), abs=1e-12)
    assert inspector.numbers.fixed(update.target, 6) in words(app)
    term = next(c for c in app.scene.controls if c.name.startswith("term:") and not c.name.endswith((":", ":8")))
    point(app, term.rect.center)
    assert app.state.lit == int(term.name.rpartition(":")[2])


def test_a_network_that_remembers_has_no_value_of_a_cell_and_says_so() -> None:
    app = an_app(agent="recurrent_dqn", seconds=3.0, speed=200.0, learning_starts=50)
    pin(app, 4)
    said = " ".join(words(app))
    assert "no value can be told of a cell alone" in said
    now, agent = app.state.look.inside.now, app.link.engine.agent
    assert now.state == agent.state
    for value in now.values:
        assert inspector.numbers.fixed(float(value), 6) in words(app)
    assert "What it remembers" in words(app)
    assert app.state.look.update.state == 4
    assert "Recurrent DQN" in said


def test_the_returns_of_a_cell_are_drawn_and_its_target_is_written_out() -> None:
    app = an_app(agent="dqn", seconds=3.0, speed=200.0, **SMALL_C51)
    pin(app, 4)
    assert inspector.sections(app.state) == ["update", "backup", "why", "network", "returns"]
    assert "all are means of distributions" in " ".join(words(app))
    click(app, control(app, "section:returns").rect.center)
    returns, said = app.state.look.inside.returns, words(app)
    for chances, q in zip(returns.chances, app.state.snapshot.q_values[4], strict=True):
        assert float(chances @ returns.atoms) == pytest.approx(q, abs=1e-6)
        assert inspector.numbers.fixed(float(chances @ returns.atoms), 4) in said
    z = int(returns.target.argmax())
    assert f"{returns.target[z]:.4f}" in said
    assert inspector.numbers.fixed(float(returns.atoms[z]), 4) in said


def test_why_not_adds_up_to_the_difference() -> None:
    app = an_app(seconds=2.0)
    pin(app, 8, "why")
    best, other = inspector.greedy_actions(app.state, 8)[0], inspector.other_action(app.state, 8)
    q = app.state.snapshot.q_values[8]
    said = " ".join(words(app))
    assert "Why not" in said
    assert inspector.numbers.fixed(float(q[best] - q[other]), 6) in said


# --- the layer of errors ------------------------------------------------------------------------------------------


def optimal_values(model: Any, gamma: float) -> np.ndarray:
    """float64 [S]: max Q* by plain value iteration over outcomes that are read one by one."""
    every = [outcomes_of(model, s) for s in range(model.num_states)]
    values = np.zeros(model.num_states)
    for _ in range(10_000):
        before = values.copy()
        for s, actions in enumerate(every):
            if not model.absorbing[s]:
                values[s] = max(
                    sum(p * (r + (0.0 if ended else gamma * before[to])) for p, to, r, ended in each)
                    for each in actions
                    if each
                )
        if np.abs(values - before).max() < 1e-14:
            return values
    raise AssertionError("it has not settled")


@pytest.mark.parametrize(
    ("agent", "settings"),
    [("dqn", SMALL_NET), ("dqn", SMALL_NET | {"gamma": 0.9}), ("dqn", SMALL_C51), ("q_learning", {}), ("psrl", {})],
)
def test_the_layer_of_errors_is_the_distance_to_what_is_optimal(agent: str, settings: dict[str, Any]) -> None:
    app = an_app(agent=agent, seconds=2.0, speed=300.0, **settings)
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_6, mod=0, unicode="6"))
    settle(app)
    assert app.state.layer == "error"
    engine = app.link.engine
    best = optimal_values(engine.model, engine.agent.gamma)
    assert best.max() > 0.1
    drawn = layers.coloured(app.state, "error").table
    q = engine.agent.q_values
    here = ~engine.model.absorbing
    np.testing.assert_allclose(drawn[here], np.abs(q.max(axis=1) - best)[here], rtol=0, atol=1e-9)
    assert drawn[here].max() > 1e-3
    if agent == "dqn":  # the network at a cell, asked directly
        s = 4
        assert drawn[s] == pytest.approx(abs(engine.agent._evaluate(np.array([s], np.int32)).max() - best[s]), abs=1e-9)


# --- curves -------------------------------------------------------------------------------------------------------


def test_the_hairline_reads_the_curves_at_a_count() -> None:
    app = an_app(seconds=4.0)
    box = control(app, "plot:0")
    count = app.state.snapshot.count // 2
    x = box.track[0] + round(count / app.state.expected_end() * (box.track[1] - box.track[0]))
    point(app, (x, box.rect.centery))
    at = app.state.hairline
    assert at == pytest.approx(count, abs=1.0)
    for plot in plots.shown(app.state):
        value = plots.value_at(plot.curve, at)
        assert value is None or plots.said(value, plot.kind) in words(app)
    point(app, app.scene.regions.map.center)
    assert app.state.hairline is None


@pytest.mark.parametrize("agent", ["value_iteration", "q_learning"])
def test_the_heads_of_curves_are_of_where_the_run_stands(agent: str) -> None:
    """Walked back to a count that was never shown, and after a slider was moved there."""
    app = an_app(agent=agent, speed=5_000.0 if agent == "q_learning" else 30.0, seconds=3.0)
    app.pause()
    app.draw()
    shown = {x for x, _ in app.state.error_curve.points}
    count = app.state.snapshot.count
    middle = next(x for x in range(count // 2, count) if x not in shown)
    app.seek(middle)
    for change in (None, ("gamma", 0.7)):
        if change is not None:
            app.change(*change)
        run(app, 0.3)
        shot = app.state.snapshot
        assert shot.count == middle
        error = shot.error_bound if agent == "value_iteration" else shot.distance
        assert app.state.error_curve.at(middle) == error
        assert app.state.regret_curve.at(middle) == shot.regret
        for plot in plots.shown(app.state)[:2]:
            said = plots.said(error if plot.name == "error" else shot.regret, plot.kind)
            assert said in words(app), plot.name
    curve = app.state.regret_curve
    curve.cut(middle - 1)
    app.state.snapshot = replace(app.state.snapshot, regret=None)
    app.draw()
    since, value = curve.points[-1]
    unit = app.state.unit
    assert any(said.startswith(plots.said(value, "share")) and said.endswith(f"{since:,.0f}") for said in words(app)), (
        unit
    )


def test_values_of_curves_between_their_points() -> None:
    curve = Curve()
    for x, y in ((2.0, 5.0), (4.0, 7.0)):
        curve.add(x, y)
    assert [plots.value_at(curve, x) for x in (1.0, 2.0, 3.9, 4.0, 9.0)] == [None, 5.0, 5.0, 7.0, 7.0]
    curve.add(3.0, 100.0)  # the run stands in its past
    assert curve.points == [(2.0, 5.0), (4.0, 7.0)]
    assert [curve.at(x) for x in (1.0, 2.0, 2.5, 3.0, 4.0, 5.0)] == [None, 5.0, None, 100.0, 7.0, None]
    curve.cut(2.5)
    assert curve.at(3.0) is None
    assert curve.points == [(2.0, 5.0)]


def test_axes_are_logarithmic_where_values_span_decades() -> None:
    def plot(*ys: float, kind: str = "") -> plots.Plot:
        curve = Curve()
        for x, y in enumerate(ys):
            curve.add(x, y)
        return plots.Plot("a", "A", curve, kind)

    assert plots.logarithmic(plot(1e-4, 1.0))
    assert plots.logarithmic(plot(1.0, 2.0, kind="log"))
    assert not plots.logarithmic(plot(1.0, 2.0))
    assert not plots.logarithmic(plot(-1.0, 1000.0))
    assert not plots.logarithmic(plot(1e-4, 1.0, kind="share"))
    assert not plots.logarithmic(plot())


def test_another_curve_is_chosen_from_the_menu_of_a_title() -> None:
    app = an_app(agent="q_learning", seconds=3.0, speed=300.0)
    first = [plot.name for plot in plots.shown(app.state)]
    assert first == ["error", "regret", "return"]
    click(app, control(app, "curve:1").rect.center)
    assert app.state.menu.name == "curve:1"
    entries = [key for key, _ in app.state.menu.entries]
    assert {"bellman_residual", "td_error", "epsilon"} <= set(entries)
    row = control(app, f"entry:{entries.index('td_error')}")
    assert pygame.Rect((0, 0), app.size).contains(row.rect)
    click(app, row.rect.center)
    assert [plot.name for plot in plots.shown(app.state)] == ["error", "td_error", "return"]
    plots.choose(app.state, 0, "return")
    assert [plot.name for plot in plots.shown(app.state)] == ["return", "td_error", "error"]
    plots.choose(app.state, 0, "no such curve")
    assert [plot.name for plot in plots.shown(app.state)] == ["return", "td_error", "error"]


# --- the timeline -------------------------------------------------------------------------------------------------


def test_the_timeline_is_dragged_and_keys_step_back() -> None:
    app = an_app(seconds=4.0)
    head = app.state.snapshot.count
    tables = {head: app.state.snapshot.values.copy()}
    line = control(app, "timeline")
    x = line.track[0] + round(10 / app.state.expected_end() * (line.track[1] - line.track[0]))
    click(app, (x, line.rect.centery))
    assert not app.state.playing
    assert app.state.snapshot.count == 10
    assert app.state.timeline.head == head
    app.do("back")
    settle(app)
    assert app.state.snapshot.count == 9
    app.do("step")
    app.do("step")
    settle(app)
    assert app.state.snapshot.count == 11
    app.seek(head)
    settle(app)
    assert app.state.snapshot.count == head
    np.testing.assert_array_equal(app.state.snapshot.values, tables[head])
    assert not app.seek(10**9)  # beyond the head there is nothing


def test_what_was_cut_off_leaves_the_curves() -> None:
    app = an_app(seconds=4.0)
    app.seek(5)
    settle(app)
    assert app.state.error_curve.points[-1][0] > 5
    app.change("gamma", 0.9)
    settle(app)
    assert app.state.timeline.head == 5
    assert app.state.error_curve.points[-1][0] <= 5
    assert [edit.symbol for edit in app.state.edits] == ["γ"]
    app.do("play")
    run(app, 3.0)
    assert "γ" in words(app)


# --- breakpoints --------------------------------------------------------------------------------------------------


def test_a_breakpoint_is_chosen_from_its_menu_and_the_stop_is_said() -> None:
    app = an_app(agent="q_learning", seconds=1.0, speed=300.0)
    app.do("breakpoint")
    settle(app)
    entries = [key for key, _ in app.state.menu.entries]
    for i in range(len(entries)):
        assert pygame.Rect((0, 0), app.size).contains(control(app, f"entry:{i}").rect)
    app.do(f"entry:{entries.index('episode ends')}")
    settle(app)
    assert app.state.awaited == "the episode ends"
    run(app, 5.0)
    assert not app.state.playing
    assert app.state.line.startswith(f"Stopped at step {app.state.snapshot.count:,}: episode")
    app.do("step")
    settle(app)
    assert app.state.line.startswith("Paused")


def test_a_breakpoint_is_let_go_and_what_is_none_is_said() -> None:
    app = an_app(agent="q_learning", seconds=1.0, speed=300.0)
    app.do("until:count reaches 100000")
    run(app, 0.2)
    assert app.link.engine.watch is not None
    assert app.state.line.startswith("Running until step 100,000")
    app.do("until:nothing")
    settle(app)
    assert app.link.engine.watch is None
    app.do("until:this arrow flips")
    assert "needs a pinned cell" in app.state.notice


def test_a_condition_can_be_typed_into_the_menu() -> None:
    app = an_app(agent="q_learning", seconds=0.5, speed=300.0)
    app.do("breakpoint")
    for letter in "step 400":
        app.handle(pygame.event.Event(pygame.KEYDOWN, key=ord(letter), mod=0, unicode=letter))
        app.handle(pygame.event.Event(pygame.KEYUP, key=ord(letter), mod=0))
    settle(app)
    assert "Enter: run until this" in words(app)
    app.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RETURN, mod=0, unicode="\r"))
    run(app, 3.0)
    assert app.state.snapshot.count == 400
    assert app.state.line.startswith("Stopped at step 400: the count is reached")


def test_worlds_that_are_no_map_have_names_for_their_states_and_actions():
    link = LocalLink()
    app = App(link, (1280, 800), clock=link.clock)
    app.open("Taxi", "value_iteration", 20.0)
    app.end_tour()
    app.state.pinned = 414
    for _ in range(12):
        link.pass_time(0.1)
        app.update()
        app.draw()
    said = [words for words, _ in app.scene.texts]
    assert "State 414" in said
    assert "Taxi at row 4, column 0, passenger at blue, to yellow" in said
    assert {"north", "pick up", "put down", "to state 314"} <= set(said)
    assert ("the arrow of state 414 flips",) * 2 in breakpoints.offers(app.state)
    assert breakpoints.parse("the arrow of state 414 flips", app.state.model).state == 414
    with pytest.raises(ValueError, match="state 500 is not there"):
        breakpoints.parse("the arrow of state 500 flips", app.state.model)
    app.do("section:why")
    app.draw()
    assert any(words.startswith("state 4") or words.startswith("state 3") for words, _ in app.scene.texts)
    link.close()


def test_states_that_are_swept_as_one_say_so():
    link = LocalLink()
    app = App(link, (1280, 800), clock=link.clock)
    app.open("rlgrid/RandomWalk-v0", "value_iteration", 1.0)
    app.end_tour()
    app.do("play")
    app.state.pinned = 5
    for count, told in ((1, True), (2, False)):
        app.do("step")
        for _ in range(3):
            link.pass_time(0.1)
            app.update()
            app.draw()
        said = " ".join(words for words, _ in app.scene.texts)
        assert app.state.snapshot.count == count
        assert "Bellman backup of" in said
        assert ("swept as one" in said) is told
    link.close()


def test_many_actions_leave_room_for_the_sum():
    link = LocalLink()
    app = App(link, (1280, 800), clock=link.clock)
    app.open("rlgrid/GamblersProblem-v0", "value_iteration", 20.0)
    app.end_tour()
    app.state.pinned, app.state.inspected = 37, 20
    for _ in range(12):
        link.pass_time(0.1)
        app.update()
    app.draw()
    said = [words for words, _ in app.scene.texts]
    assert {"stake 12", "stake 13", "stake 20"} <= set(said)
    assert any(words.startswith("and ") and "more, worth no more" in words for words in said)
    assert "Bellman backup of “stake 20”" in said
    link.close()


def test_what_the_walker_comes_back_to_is_not_painted_anew(monkeypatch):
    painted: list[int] = []
    real = inspector.paint

    def counted(canvas: Any, state: Any) -> None:
        painted.append(state.focus)
        real(canvas, state)

    monkeypatch.setattr(inspector, "paint", counted)
    app = an_app("rlgrid/RussellNorvig4x3-v0", speed=200.0, seconds=2.0)
    assert app.state.snapshot.finished
    painted.clear()
    visited = []
    for _ in range(24):
        run(app, 0.2)
        visited.append(app.state.focus)
    assert len(visited) > len(set(visited)) > 3
    assert len(painted) == len(set(painted)), "each cell once"
    assert pygame.image.tobytes(app.draw(), "RGB") == pygame.image.tobytes(Scene().render(app.state, app.size), "RGB")
    painted.clear()
    app.link.send("change", "gamma", 0.5)
    run(app, 1.0)
    assert painted, "other tables are another picture"
    assert pygame.image.tobytes(app.draw(), "RGB") == pygame.image.tobytes(Scene().render(app.state, app.size), "RGB")


@pytest.mark.parametrize("agent", ["q_learning", "dqn"])
def test_what_is_written_out_ends_above_the_curves_in_the_smallest_window(agent):
    app = an_app(agent=agent, size=(640, 480), seconds=1.5, speed=1_000.0)
    app.do("play")
    app.state.drawer = "right"
    app.state.pinned = 14
    run(app, 0.5)
    app.draw()
    panel = app.scene.regions.right
    written = [words for words, rect in app.scene.texts if panel.contains(rect)]
    assert "target =" in written
    controls = app.scene.controls
    for one, other in itertools.combinations(controls, 2):
        assert not one.rect.colliderect(other.rect), (one, other)


@pytest.mark.parametrize("name", ["regret", "optimal_share"])
def test_small_regrets_differ_on_their_axis_as_they_do_in_words(name: str) -> None:
    def top(*shares: float) -> float:
        drawn = [plots.Line(Curve(), 1.0, (0, 0, 0)) for _ in shares]
        for line, share in zip(drawn, shares, strict=True):
            line.curve.add(0.0, share)
        low, high = plots._range(drawn, False, True, name)
        assert low == 0.0
        return high

    assert top(0.0, 0.0) == top(0.0, 1e-17) == top(0.5, 6.12e-5) == 1.0
    if name == "regret":  # of Q-learning and Sarsa at the cliff: 13 moves and 17
        assert [top(0.0, 6.12e-5), top(1.4e-4), top(0.002), top(4.1e-3)] == [1e-4, 2e-4, 0.002, 0.005]
        assert [plots._whole(share) for share in (0.0, 1e-4, 2e-6, 0.01, 1.0)] == [
            *("0 %", "0.01 %", "0.0002 %", "1.0 %", "100 %")
        ]
    else:
        assert top(0.0, 6.12e-5) == 1.0


def test_a_line_is_drawn_where_something_was_measured() -> None:
    spots = [(0.0, 1.0), (90.0, 2.0), (91.0, 3.0), (92.0, 2.0), (140.0, 2.0)]
    assert plots.measured(spots, 60.0) == [spots[:1], spots[1:]]
    assert plots.measured(spots, 48.0) == [spots[:1], spots[1:4], spots[4:]]
    assert plots.measured(spots, 100.0) == [spots]
    assert plots.measured(spots[:1], 1.0) == [spots[:1]]
