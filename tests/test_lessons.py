"""What the lessons claim is what happens, and files that are no lessons are refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlgrid.window import lessons
from rlgrid.window.engine import Engine
from rlgrid.window.scenario import Scenario

PLAIN = """
title = "t"
about = "a"
world = "rlgrid/FourRooms-v0"
agent = "value_iteration"

[[scenes]]
say = "s"
"""


@pytest.mark.parametrize("name", lessons.names())
def test_what_a_lesson_claims_is_what_happens(name: str) -> None:
    told = lessons.lesson(name)
    assert lessons.check(told) == []
    assert sum(len(scene.claims) for scene in told.scenes) >= len(told.scenes)  # every scene can be wrong


def test_every_lesson_asks() -> None:
    assert len(lessons.names()) >= 8
    for name in lessons.names():
        told = lessons.lesson(name)
        assert any(scene.ask for scene in told.scenes)
        assert lessons.lesson(name.partition("-")[2]) == told


def test_a_false_claim_is_found() -> None:
    claim = 'show = [["run", 1]]\nclaims = [{ fact = "cells_above", of = 0.0, is = 4 }]\n'
    wrong = lessons.check(lessons.read(PLAIN + claim, "mine"))
    assert wrong == ["mine, scene 1: cells_above(of=0.0) is 4, but it is 3"]
    arrow = 'show = [["run", 1]]\nclaims = [{ fact = "arrow", row = 11, column = 9, is = "left" }]\n'
    assert "but it is right" in lessons.check(lessons.read(PLAIN + arrow, "mine"))[0]


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ('ask = "?"', "mine, scene 1: a question goes with choices"),
        ('ask = "?"\nchoices = ["a", "b"]\nanswer = 3', "mine, scene 1: answer is 3"),
        ('do = [["rum", 3]]', "mine, scene 1, do: no command is called 'rum'; did you mean 'run'?"),
        ('do = [["run", "x"]]', "mine, scene 1, do: units of 'run' is 'x'"),
        ('do = [["run", 0]]', "'run' takes a number from 1 on"),
        ('do = [["pin", 1]]', "'pin' takes row, column"),
        ('do = [["agent", "sarsa_"]]', "mine, scene 1, do: no agent is called 'sarsa_'; did you mean 'sarsa'?"),
        ('marks = [["A", 1]]', "mine, scene 1, marks: a mark is an array of its words, a row and a column"),
        ("points = [1]", "mine, scene 1, points: must be an array of texts"),
        ('claims = [{ fact = "cels_above" }]', "no fact is called 'cels_above'; did you mean 'cells_above'?"),
        ('claims = [{ fact = "value", row = 1, is = 0 }]', "'value' needs column"),
        ('claims = [{ fact = "count" }]', "'count' needs one of above, below and is"),
        ("claim = []", "mine, scene 1: nothing is called 'claim'; did you mean 'claims'?"),
        ("answer = ", "mine: "),
    ],
)
def test_what_is_no_lesson_is_refused_by_name(added: str, named: str) -> None:
    with pytest.raises(lessons.LessonError) as caught:
        lessons.read(PLAIN + added, "mine")
    assert named in str(caught.value)


def test_files_of_strangers_that_are_no_lessons_are_named(tmp_path: Path) -> None:
    files = {"bytes": b"\xff\xfe\x00", "deep": b"a = " + b"[" * 9_000, "large": b"#" * (lessons.MOST_BYTES + 1)}
    words = {"bytes": "no text in UTF-8", "deep": "nested too deeply", "large": "larger than any lesson"}
    for name, content in files.items():
        (tmp_path / f"{name}.toml").write_bytes(content)
        with pytest.raises(lessons.LessonError, match=f"{name}.*{words[name]}"):
            lessons.lesson(str(tmp_path / f"{name}.toml"))
    os.mkfifo(tmp_path / "pipe.toml")  # reading it would never end
    for name in ("pipe.toml", "."):
        with pytest.raises(lessons.LessonError, match="is no plain file" if name != "." else "no lesson is called"):
            lessons.lesson(str(tmp_path / name) if name != "." else name)
    with pytest.raises(lessons.LessonError, match="there is no lesson file"):
        lessons.lesson(str(tmp_path / "none.toml"))


def test_an_unknown_lesson_is_answered_with_the_nearest() -> None:
    with pytest.raises(lessons.LessonError, match="did you mean 'discount'"):
        lessons.lesson("discout")


def test_a_planner_that_converged_goes_on_in_a_changed_world() -> None:
    engine = Engine(Scenario(world="rlgrid/DiscountGrid-v0"), patient=True)
    engine.playing = False
    engine.obey("step", 200)
    assert engine.finished
    engine.obey("change", "gamma", 0.2)
    assert not engine.finished
    engine.obey("step", 200)
    assert engine.converged
    engine.close()


def test_the_last_sweep_is_shown_however_many_were_asked_for() -> None:
    def after(*steps: int) -> Engine:
        engine = Engine(Scenario(world="rlgrid/DiscountGrid-v0"), patient=True)
        engine.playing = False
        for units in steps:
            engine.obey("step", units)
        return engine

    many, single = after(1000), after(*[1] * 300)
    assert many.finished
    assert single.finished
    assert many.count == single.count
    for name in ("values", "previous", "q_values", "greedy"):
        one, other = getattr(many.snapshot(), name), getattr(single.snapshot(), name)
        assert (one == other).all(), name
    many.close()
    single.close()
