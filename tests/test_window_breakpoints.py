"""Breakpoints stop at the very unit at which a run that steps by one first sees them hold; looks change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rlgrid import GridSpec
from rlgrid.agents import AGENTS
from rlgrid.truth import Truth
from rlgrid.window import looking, updates
from rlgrid.window.actors import outcomes_of
from rlgrid.window.arithmetic import backup, backup_terms, names_of, place_of
from rlgrid.window.breakpoints import EXAMPLES, Condition, Watch, arrow_of, parse
from rlgrid.window.engine import Engine
from rlgrid.window.layers import coloured
from rlgrid.window.looking import look_into
from rlgrid.window.scenario import Scenario
from rlgrid.window.shown import known
from rlgrid.window.state import Snapshot, State

LAKE = "rlgrid/FrozenLake-v1"
PREDICTING = ("td0", "td_lambda", "n_step_td", "true_online_td_lambda", "monte_carlo_prediction")
UNDRIVEN = (*PREDICTING, "off_policy_monte_carlo")
LEARNERS = ("q_learning", "double_q_learning")


def an_engine(agent: str = "q_learning", world: str = LAKE, seed: int = 3, **settings: Any) -> Engine:
    engine = Engine(Scenario(world, agent=agent, seed=seed, settings=settings), patient=True)
    engine.set_speed(math.inf)
    return engine


def run_until(engine: Engine, words: str, pinned: int | None = None, seconds: float = 60.0) -> str:
    """What the engine says where it stops, as the worker would drive it."""
    engine.obey("until", parse(words, engine.model, pinned).as_dict())
    while seconds > 0 and not engine.stopped:
        engine.tick(0.1)
        seconds -= 0.1
    said, engine.stopped = engine.stopped, ""
    assert not (said and engine.playing)
    return said


def first_unit(engine: Engine, holds: Callable[[Engine], bool], most: int = 20_000) -> int:
    """The slow and obvious way: one unit, a look at all tables, and so on."""
    for _ in range(most):
        engine.advance(1)
        if holds(engine):
            return engine.count
    raise AssertionError("it never holds")


def arrows(engine: Engine) -> np.ndarray:
    """bool [S, A], as the window draws them."""
    if engine.unit == "step":
        return known(engine.agent.greedy(), engine.agent.q_values, 0.0)
    greedy = engine.snapshot().greedy
    return np.zeros((16, 4), np.bool_) if greedy is None else greedy  # the first sweep is shown without


@pytest.mark.parametrize(
    "agent", ["expected_sarsa", "value_iteration", *(pytest.param(a, marks=pytest.mark.slow) for a in LEARNERS)]
)
def test_an_arrow_that_flips(agent: str) -> None:
    state = 8
    twin, seen = an_engine(agent), []

    def flipped(engine: Engine) -> bool:
        row = tuple(arrows(engine)[state])
        if any(row):
            seen.append(row)
        return len(seen) > 1 and seen[-1] != seen[-2]

    expected = first_unit(twin, flipped)
    engine = an_engine(agent)
    said = run_until(engine, "this arrow flips", pinned=state)
    assert engine.count == expected
    was, now = (" or ".join(np.array(names_of(engine.model))[list(row)]) for row in seen[-2:])
    unit = "sweep" if agent == "value_iteration" else "step"
    assert said == f"stopped at {unit} {expected:,}: the arrow of row 2, column 0 flipped from {was} to {now}"
    np.testing.assert_array_equal(engine.snapshot().q_values, twin.snapshot().q_values)


@pytest.mark.parametrize(("agent", "limit"), [("q_learning", 0.3), ("n_step_sarsa", 0.5), ("sarsa_lambda", 0.6)])
def test_a_large_td_error(agent: str, limit: float) -> None:
    twin, old = an_engine(agent), [np.zeros(16)]

    def large(engine: Engine) -> bool:
        now = engine.agent.td_error.copy()
        new = now[now != old[0]]
        old[0] = now
        return bool((np.abs(new) > limit).any())

    expected = first_unit(twin, large)
    engine = an_engine(agent)
    assert run_until(engine, f"|TD| above {limit}").startswith(f"stopped at step {expected:,}: the TD error at row")


def test_a_large_td_error_that_is_the_one_of_last_time() -> None:
    """Another action of a state may come to the very error that stood there."""
    twin = an_engine(world="rlgrid/CliffWalking-v1")

    def again(engine: Engine) -> bool:
        s, old = engine.agent.state, engine.agent.td_error.copy()
        engine.advance(1)
        return s is not None and abs(old[s]) > 0.5 and np.array_equal(engine.agent.td_error, old)

    while not again(twin):
        pass
    engine = an_engine(world="rlgrid/CliffWalking-v1")
    engine.advance(twin.count - 1)
    assert run_until(engine, "|TD| above 0.5").startswith(f"stopped at step {twin.count:,}: the TD error at row")


def test_a_small_change_of_a_sweep() -> None:
    expected = first_unit(an_engine("value_iteration"), lambda e: float(e.tables["change"].max()) < 1e-3)
    engine = an_engine("value_iteration")
    assert f"stopped at sweep {expected}: the largest change" in run_until(engine, "change below 1e-3")


def test_the_end_of_an_episode_and_a_count() -> None:
    expected = first_unit(an_engine(), lambda e: bool(e.agent.episode_returns))
    engine = an_engine()
    said = run_until(engine, "the episode ends")
    assert said == f"stopped at step {expected}: episode 1 ended after {expected} steps, its return is 0"
    assert engine.count == expected
    assert run_until(engine, "count reaches 1,234") == "stopped at step 1,234: the count is reached"
    with pytest.raises(ValueError, match="1,234 already"):
        run_until(engine, "step 400")


def test_a_count_is_run_to_in_one_piece() -> None:
    engine = an_engine()
    engine.advance(10)
    assert Watch(parse("count reaches 400"), engine).stride(engine) == 390
    assert Watch(parse("the episode ends"), engine).stride(engine) == 1


@pytest.mark.parametrize(
    ("agent", "percent"),
    [("value_iteration", 3), ("value_iteration", 30), pytest.param("q_learning", 5, marks=pytest.mark.slow)],
)
def test_the_regret(agent: str, percent: int) -> None:
    """Value iteration passes 37 %, 4.2 % and 1.8 %: these lie between."""
    twin = an_engine(agent)
    truth = Truth(twin.model, twin.gamma)

    def low(engine: Engine) -> bool:
        policy = engine.tables.get("policy") if agent == "value_iteration" else engine.agent.policy
        return policy is not None and truth.judge(policy).share_of_regret < percent / 100

    expected = first_unit(twin, low)
    engine = an_engine(agent)
    said = run_until(engine, f"regret below {percent} %")
    assert engine.count == expected
    assert said.endswith("%")


@pytest.mark.parametrize("world", ["CliffWalking-v1", "RussellNorvig4x3-v0"])
def test_a_path_that_loops(world: str) -> None:
    """By a path that is followed through all tables anew after every step; the second world's likeliest outcomes are
    not the first ones."""

    def loops(engine: Engine) -> bool:
        greedy, s, seen = arrows(engine), int(engine.model.start_states[0]), []
        while not engine.model.absorbing[s] and greedy[s].any():
            if s in seen:
                return True
            seen.append(s)
            outcomes = outcomes_of(engine.model, s)[int(greedy[s].argmax())]
            _, s, _, ended = max(outcomes, key=lambda one: one[0])
            if ended:
                return False
        return False

    expected = first_unit(an_engine(world=f"rlgrid/{world}"), loops)
    engine = an_engine(world=f"rlgrid/{world}")
    said = run_until(engine, "the greedy path loops")
    start = place_of(engine.model, int(engine.model.start_states[0]))
    said_start = f"row {start[0]}, column {start[1]}"
    assert said.startswith(f"stopped at step {expected:,}: the greedy path from {said_start} comes back to row")


def test_a_breakpoint_follows_the_run_through_a_change_and_is_let_go_in_the_past() -> None:
    engine = an_engine()
    engine.obey("until", "the episode ends")
    engine.obey("change", "gamma", 0.9)
    assert engine.watch is not None
    engine.obey("play", False)
    engine.advance(3)
    engine.obey("seek", 1)
    assert engine.watch is None
    engine.obey("until", None)
    assert engine.watch is None


@pytest.mark.parametrize("words", EXAMPLES)
def test_conditions_read_back_what_they_say(words: str) -> None:
    model = GridSpec.builtin("four_rooms").compile()
    state = int(np.flatnonzero(~model.absorbing)[30])
    if words.startswith("the arrow of"):
        row, column, _ = place_of(model, state)
        words = f"the arrow of row {row}, column {column} flips"
    found = parse("until " + words, model, state)
    assert parse(found.words(model), model, state) == found
    assert parse(found.as_dict()) == found


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("this arrow flips", "needs a pinned cell"),
        ("the arow of row 3 flips", "is no condition: did you mean"),
        ("the arrow of row 99, column 1 flips", "no cell: the world has rows 0 to"),
        ("the arrow of row 0, column 0 flips", "a cell without actions"),
        ("|TD| above lots", "“lots” in .* is no number"),
        ("|TD| near 3", "say “.TD. above 0.5”"),
        ("regret below", "say “regret below 5 %”"),
        ("count reaches 4.5", "is no count"),
        ("the episod ends", "did you mean “the episode ends”"),
        ("", "there are: this arrow flips"),
        ({"kind": "arow"}, "must be one of arrow, td"),
        ({"kind": "arrow"}, "needs the state"),
        ({"kind": "td", "numbr": 1}, "did you mean 'number'"),
        ({"kind": "td", "number": math.inf}, "finite"),
    ],
)
def test_what_is_no_condition_is_named_with_the_remedy(words: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse(words, GridSpec.builtin("four_rooms").compile())


def test_what_a_run_cannot_tell_is_refused() -> None:
    planner = an_engine("value_iteration")
    with pytest.raises(ValueError, match="no episodes"):
        Watch(Condition("episode"), planner)
    with pytest.raises(ValueError, match="small at any time"):
        Watch(Condition("td", 0.1, below=True), an_engine())
    with pytest.raises(ValueError, match="There is no state 400"):
        Watch(Condition("arrow", state=400), planner)


@pytest.mark.parametrize("kind", ["arrow", "loop", "regret"])
def test_the_policy_of_an_agent_with_a_memory_is_no_table_that_could_be_awaited(kind: str) -> None:
    engine = an_engine("recurrent_dqn", policy_kwargs={"net_arch": [8]})
    with pytest.raises(ValueError, match="greedy policy cannot be read"):
        Watch(Condition(kind, 0.01, state=0), engine)


@pytest.mark.parametrize("agent", ["q_learning", "monte_carlo", "dqn", "psrl"])
def test_an_arrow_is_that_of_the_table_of_all(agent: str) -> None:
    settings = {"learning_starts": 50, "policy_kwargs": {"net_arch": [8]}} if agent == "dqn" else {}
    engine = an_engine(agent, **settings)
    engine.advance(300)
    greedy = arrows(engine)
    for s in range(16):
        if agent == "dqn" or not engine.model.absorbing[s]:
            assert arrow_of(engine.agent, s) == tuple(np.flatnonzero(greedy[s])), s


# --- looks --------------------------------------------------------------------------------------------------------


def test_the_last_update_is_found_in_the_past_and_nothing_changes() -> None:
    """In a run that was made in one piece: against a twin that steps by one and writes down when each state changed."""
    engine, twin = an_engine(learning_rate=0.3), an_engine(learning_rate=0.3)
    for _ in range(10):
        engine.advance(137)
    last: dict[int, tuple[int, int, float, float]] = {}
    for _ in range(1_370):
        s, old, counts = twin.agent.state, twin.agent.q_table.copy(), twin.agent.counts.copy()
        s = s if s is not None else int(twin.model.start_states[0])
        twin.advance(1)
        a = int((twin.agent.counts - counts)[s].argmax())
        last[s] = (twin.count, a, float(old[s, a]), float(twin.agent.q_table[s, a]))
    before = engine.agent.q_table.tobytes(), engine.agent.counts.tobytes(), list(engine.agent.episode_returns)
    found = 0
    for s in range(16):
        look = look_into(engine, s)
        update, words = look.update, look.words
        if s not in last:
            assert update is None
            assert words == "Nothing was learnt here yet."
            continue
        found += 1
        assert update is not None
        assert (update.count, update.action, update.old, update.new) == last[s]
    assert found >= 10
    after = engine.agent.q_table.tobytes(), engine.agent.counts.tobytes(), list(engine.agent.episode_returns)
    assert before == after
    engine.advance(50)
    twin.advance(50)
    np.testing.assert_array_equal(engine.agent.q_table, twin.agent.q_table)
    assert engine.agent.episode_returns == twin.agent.episode_returns


def test_the_last_update_is_found_across_whatever_the_user_did() -> None:
    """Sliders, a brush and steps by hand lie between: against what was written down after every single step."""
    engine = an_engine(learning_rate=0.3)
    last: dict[int, tuple[int, int, float, float]] = {}
    anew: dict[int, int] = {}

    def step(action: int | None = None) -> None:
        agent = engine.agent
        old, counts = agent.q_table.copy(), agent.counts.copy()
        if action is None:
            engine.advance(1)
        else:
            engine.obey("drive", action)
        s, a = (int(i) for i in np.argwhere(agent.counts != counts)[0])
        last[s] = (engine.count, a, float(old[s, a]), float(agent.q_table[s, a]))
        look = look_into(engine, s)  # the step just taken
        assert look.update is not None, look.words
        assert (look.update.count, look.update.action, look.update.old, look.update.new) == last[s]

    def check() -> None:
        found = 0
        for s in range(16):
            look = look_into(engine, s)
            if s in anew:
                assert look.update is None
                assert look.words == f"Nothing was learnt here since step {anew[s]:,}, when the map was changed."
            elif s in last:
                assert look.update is not None, (s, look.words)
                assert (look.update.count, look.update.action, look.update.old, look.update.new) == last[s]
                found += 1
            else:
                assert look.words == "Nothing was learnt here yet."
        assert found >= 3

    lake = GridSpec.builtin("frozen_lake_4x4").dump()
    for _ in range(60):
        step()
    check()
    for action in (2, 1, 1, 0):
        step(action)
    check()
    for gamma in (0.8, 0.75, 0.7):
        engine.obey("change", "gamma", gamma, gamma > 0.7)
    check()
    for _ in range(25):
        step()
    engine.obey("change", "slip", 0.1)
    step(3)
    check()
    engine.obey("remap", lake.replace("SFFF", "SFFH"))
    anew[3] = engine.count
    check()
    engine.obey("restore")
    step(2)
    check()
    end = engine.count
    engine.obey("seek", end - 2)
    assert look_into(engine, 0).update is not None
    engine.obey("seek", end)
    check()


@pytest.mark.parametrize("agent", [name for name in AGENTS if name not in ("value_iteration", "dqn", "recurrent_dqn")])
def test_the_step_that_was_just_taken_by_hand_is_told(agent: str) -> None:
    """Of every agent that can be driven, wherever there is a sign that something was learnt."""
    engine = an_engine(agent, **({"visits_to_know": 3} if agent == "r_max" else {}))
    engine.obey("change", "step_reward", -0.5)
    engine.advance(200)
    engine.advance(3)
    if engine.agent.why_not_driven() or not updates.explains(engine.agent):
        assert agent in UNDRIVEN
        return
    told = 0
    for n in range(40):
        marks = [updates.marker(engine.agent, s) for s in range(16)]
        before = [mark(engine.agent._arrays()) for mark in marks]
        engine.obey("drive", (2, 1, 0, 3)[n % 4])
        after = [mark(engine.agent._arrays()) for mark in marks]
        for s in [s for s in range(16) if before[s] != after[s]][:2]:
            look = look_into(engine, s)
            if look.update is None:
                assert look.words == updates.why_nothing(engine.agent, s)
            else:
                assert look.update.count in (0, engine.count)
                told += 1
        if told > 3:
            break
    assert told


def test_the_looker_follows_the_run_and_tells_why_there_is_nothing() -> None:
    engine = an_engine("td0")
    engine.advance(200)
    assert engine.looker.look(engine) is None  # nobody has asked
    engine.looker.ask(0)
    look = engine.looker.look(engine)
    assert look is not None
    assert look.update is not None
    assert look is engine.looker.look(engine)  # nothing has changed
    engine.advance(1)
    assert engine.looker.look(engine) is not look
    planning = an_engine("psrl")
    planning.advance(50)
    planning.looker.ask(0)
    look = planning.looker.look(planning)
    assert look is not None
    assert [update.action for update in look.each] == [0, 1, 2, 3]
    assert look.update_of(2) is look.each[2]
    assert look.update_of(None) is look.update
    waiting = an_engine("r_max")
    waiting.advance(20)
    waiting.looker.ask(0)
    look = waiting.looker.look(waiting)
    assert look is not None
    assert look.update is None
    assert look.words == "No action is known well enough yet, so nothing was planned."
    late = an_engine("n_step_sarsa")
    late.advance(20)  # no reward yet: what is learnt is 0, as it was
    assert look_into(late, int(late.agent.visits.argmax())).words.startswith("Nothing that was learnt here has changed")


@pytest.mark.parametrize("agent", ["q_learning", "ucbvi", "prioritized_sweeping", "double_q_learning"])
def test_a_look_is_made_bit_by_bit_beside_the_run(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In slices of no time at all: the same as at once, and neither the run nor what it draws is touched."""
    engine, twin = an_engine(agent), an_engine(agent)
    for one in (engine, twin):
        one.advance(3_000)
    s = int(np.argmax(engine.agent.visits))
    at_once = look_into(twin, s)
    assert at_once.update is not None
    monkeypatch.setattr(looking, "SLICE", 0.0)
    engine._patient = False
    engine._play(False)
    engine.looker.ask(s)
    engine.looker._next = 0.0
    times = 0
    while engine.looker.look(engine) is None:
        times += 1
        assert times < 100_000
        assert engine.count == 3_000
        assert engine.looker.goes_on_in() == 0.0
    look = engine.looker.look(engine)
    assert look is not None
    assert times >= 2
    assert (look.update, look.each) == (at_once.update, at_once.each)
    assert engine.looker.goes_on_in() == math.inf
    for one in (engine, twin):
        one._patient = True
        one.advance(200)
    assert engine.agent.q_table.tobytes() == twin.agent.q_table.tobytes()
    assert list(engine.agent.episode_returns) == list(twin.agent.episode_returns)


def test_a_look_is_let_go_where_the_run_goes_elsewhere_or_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = an_engine()
    engine.advance(3_000)
    monkeypatch.setattr(looking, "SLICE", 0.0)
    engine._patient = False
    engine._play(False)
    engine.looker.ask(0)
    engine.looker._next = 0.0
    assert engine.looker.look(engine) is None
    assert engine.looker.goes_on_in() == 0.0
    engine.obey("seek", 100)
    engine.looker.look(engine)
    assert engine.looker._of[0] == 100
    engine.obey("change", "gamma", 0.5)
    assert engine.looker.goes_on_in() == math.inf  # what was begun is of another agent
    engine._patient = True
    look = engine.looker.look(engine)
    assert look is not None
    assert look.update is not None
    assert look.update.count == 99
    other = an_engine()
    other.advance(3_000)
    other._patient = False
    other._play(False)
    other.looker.ask(0)
    other.looker._next = 0.0
    monkeypatch.setattr(looking, "PATIENCE", 0.0)
    look = other.looker.look(other)
    assert look is not None
    assert look.words == "It was learnt of long ago."


def test_a_look_into_a_network() -> None:
    engine = an_engine("dqn", learning_starts=50, policy_kwargs={"net_arch": [8]})
    engine.advance(120)
    engine.looker.ask(4)
    look = engine.looker.look(engine)
    assert look is not None
    assert look.inside is not None
    assert look.inside.similarity is None  # of the cell that is pinned alone
    assert look.update is not None
    assert look.update.rate is None
    terms = backup_terms(outcomes_of(engine.model, 4)[0], engine.agent.values)
    assert math.isfinite(backup(terms, engine.gamma))


C51 = {"loss": "cross_entropy", "policy_kwargs": {"net_arch": [8], "v_min": -0.3, "v_max": 0.9, "n_atoms": 13}}


@pytest.mark.parametrize("settings", [{"policy_kwargs": {"net_arch": [8]}}, C51])
def test_a_look_into_a_network_is_of_one_moment(settings: dict[str, Any]) -> None:
    """The run goes on between its slices."""
    engine = an_engine("dqn", learning_starts=50, batch_size=16, buffer_size=64, **settings)
    engine.advance(120)
    s = int(engine.agent._learner.replay.observations[0])
    at_once = look_into(engine, s, deeply=True)
    work = looking.looked(engine, s, True, looking.Looker())
    slices = 0
    while True:
        try:
            next(work)
        except StopIteration as done:
            look = done.value
            break
        engine.advance(40 if slices == 0 else 1)
        slices += 1
    assert slices >= 2
    assert (look.count, look.update, look.words) == (at_once.count, at_once.update, at_once.words)
    assert at_once.update is not None
    assert look_into(engine, s, deeply=True).update != at_once.update
    assert look.inside.count == at_once.inside.count == look.count
    for mine, other in zip(look.inside.layers, at_once.inside.layers, strict=True):
        np.testing.assert_array_equal(mine.outputs, other.outputs)
    np.testing.assert_array_equal(look.inside.similarity, at_once.inside.similarity)
    if settings is C51:
        np.testing.assert_array_equal(look.inside.returns.chances, at_once.inside.returns.chances)
        np.testing.assert_array_equal(look.inside.returns.target, at_once.inside.returns.target)


def test_a_look_that_fails_says_so_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise IndexError("there is no such place")

    engine = an_engine()
    engine.advance(300)
    engine.looker.ask(int(engine.agent.visits.argmax()))
    with monkeypatch.context() as broken:
        broken.setattr(updates, "told", fails)
        for _ in range(2):
            look = engine.looker.look(engine)
            assert look is not None
            assert look.words == "This could not be worked out: IndexError: there is no such place"
            engine.advance(1)
    said = capsys.readouterr().err
    assert said.count("Traceback") == 1
    assert "in fails" in said
    engine.advance(1)
    look = engine.looker.look(engine)
    assert look is not None
    assert look.update is not None


UPDATING = {"n_step_sarsa": {"n_steps": 4}, "monte_carlo": {}, "q_learning": {}, "r_max": {}, "td0": {}, "dqn": {}}


def learnt(agent: Any) -> bytes:
    """All that is learnt, as bytes."""
    if hasattr(agent, "value_table"):
        return agent.value_table.tobytes()
    return agent.q_table.tobytes() if hasattr(agent, "q_table") else bytes(str(agent.metrics()["updates"]), "ascii")


@pytest.mark.parametrize("agent", UPDATING)
def test_stepping_by_updates_stands_at_every_one_forwards_and_backwards(agent: str) -> None:
    settings = UPDATING[agent] if agent != "dqn" else {"learning_starts": 40, "train_freq": 7}
    engine, slow = (an_engine(agent, world="rlgrid/RussellNorvig4x3-v0", **settings) for _ in range(2))
    counts, before = [], learnt(slow.agent)
    while len(counts) < 6:
        slow.advance(1)
        if learnt(slow.agent) != before:
            counts.append(slow.count)
            before = learnt(slow.agent)
    found = []
    for _ in counts:
        engine.obey("update")
        found.append(engine.count)
    assert found == counts
    assert [entry.name for entry in engine.stamps] == ["update"] * 6
    tables = learnt(engine.agent)
    back = []
    for _ in counts[1:]:
        engine.obey("seek", "update")
        back.append(engine.count)
    assert back == counts[-2::-1]
    assert engine.stamps[-1].rest == (counts[0],), "noted as a count, which a replay goes to"
    engine.obey("seek", counts[-1])
    assert learnt(engine.agent) == tables


def test_a_planner_is_stepped_by_sweeps_and_nothing_learnt_is_said() -> None:
    planner = an_engine("value_iteration")
    planner.obey("update")
    planner.obey("update")
    planner.obey("seek", "update")
    assert planner.count == 1
    with pytest.raises(ValueError, match="Every sweep"):
        planner.obey("until", {"kind": "update"})
    idle = an_engine("q_learning", world="rlgrid/SuttonBarto4x4-v0")
    idle.obey("change", "step_reward", 0.0)
    idle.obey("update")
    assert idle.notices[-1] == "Nothing was learnt in 10,000 steps."
    assert idle.count == 10_000


def test_until_something_is_learnt() -> None:
    engine = an_engine("q_learning")
    said = run_until(engine, "something is learnt")
    assert "the value of row 3, column 2 changed, by 0.300 at most" in said
    assert engine.agent.q_table.any()


def test_a_cell_without_actions_has_no_arrow_to_await() -> None:
    engine = an_engine()
    with pytest.raises(ValueError, match=r"row 1, column 1 has no actions, so no arrow that could flip"):
        parse("this arrow flips", engine.model, 5)
    assert parse("this arrow flips", engine.model, 6).state == 6


def test_what_was_not_sent_of_a_large_world_does_not_make_a_learner_one_that_predicts() -> None:
    values = Snapshot(count=1, values=np.zeros(16))
    for agent, world, predicts in (("q_learning", LAKE, False), ("td0", LAKE, True), ("dqn", LAKE, False)):
        state = State(unit="step", snapshot=values, acts_by_values=an_engine(agent, world).facts()["acts_by_values"])
        assert state.predicts is predicts, agent
    reasons = [coloured(State(unit=unit, speed=math.inf), "visits").reason for unit in ("sweep", "step")]
    assert reasons[0] == "a planner visits no states: it sweeps over all of them"
