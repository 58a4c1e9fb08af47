"""Every slider acts in a world whose episodes have no cap: there the rounds of some agents follow the discount."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rlgrid.agents import AGENTS
from rlgrid.window.engine import Engine
from rlgrid.window.scenario import Scenario

ROUNDS = ("psrl", "ucb_q_learning", "ucbvi")  # agents that plan a number of steps ahead


def _engine(agent: str) -> Engine:
    engine = Engine(Scenario("rlgrid/FourRooms-v0", agent=agent, seed=1), patient=True)
    engine.playing = False
    engine.advance(40)
    return engine


@pytest.mark.parametrize("agent", AGENTS)
def test_a_slider_acts_or_says_why_not_in_words_of_the_window(agent: str) -> None:
    engine = _engine(agent)
    sliders = [p for p in engine.parameters() if p.high > p.low]
    assert {"gamma", "slip", "step_reward"} <= {p.name for p in sliders}
    for slider in sliders:
        middle = round(slider.low + 0.4 * (slider.high - slider.low), 3)
        for value in (middle, slider.high, slider.low, middle):
            before = engine.count
            try:
                engine.change(slider.name, value)
            except ValueError as refused:
                engine.notices.append(str(refused))
                assert value != middle
            else:
                now = next(p.value for p in engine.parameters() if p.name == slider.name)
                assert now == pytest.approx(value, rel=1e-2, abs=1e-9)
            again = [words for words in engine.notices if words.startswith("The agent begins again")]
            assert engine.count == (0 if again else before)
            assert not again or agent == "ucb_q_learning"
            assert not any(word in " ".join(engine.notices) for word in ("file", "float64", "int64", "shape"))
            engine.notices.clear()
            engine.advance(2)


@pytest.mark.parametrize("agent", ["psrl", "ucbvi"])
def test_what_was_counted_goes_on_in_rounds_of_another_length(agent: str) -> None:
    engine = _engine(agent)
    engine.advance(400)
    longest, planned = engine.agent.horizon, False
    for gamma in (0.9, 0.985, 0.9):
        old, count = engine.agent, engine.count
        engine.change("gamma", gamma)
        new = engine.agent
        assert new.horizon < longest
        np.testing.assert_array_equal(new.counts, old.counts)
        for name, array in old._arrays().items():
            if name.startswith(("model.", "rewards.")):
                np.testing.assert_array_equal(new._arrays()[name], array, err_msg=name)
        left = min(old.horizon, new.horizon)
        np.testing.assert_array_equal(new.q_table[-left:], old.q_table[-left:])
        shown = new.q_table.copy()
        assert (new.state, new.step) == (old.state, 0)
        engine.advance(1)
        assert engine.count == count + 1
        assert new.counts.sum() == old.counts.sum() + 1
        assert new.step == 1
        planned |= bool((new.q_table != shown).any())
        engine.advance(300)
    assert planned  # anew, with what was counted
    assert engine.notices == []


@pytest.mark.parametrize("agent", ROUNDS)
def test_a_run_is_walked_back_over_a_change_of_the_rounds(agent: str) -> None:
    engine = _engine(agent)
    engine.change("gamma", 0.9)
    start = engine.count
    engine.advance(20)
    tables = []
    for count in (start + 5, start + 20, start + 5):
        engine.seek(count)
        tables.append(engine.agent.q_table.copy())
    np.testing.assert_array_equal(tables[0], tables[2])
    assert all(one.shape == other.shape for one, other in pairwise(tables))
