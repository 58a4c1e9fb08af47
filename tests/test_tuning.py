"""A search for hyperparameters: what is tried, what is stopped, and that nothing is lost, whoever does it."""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from small_worlds import LAKE, Offset

from rlgrid import learn_many, tune
from rlgrid.agents import AGENTS, QLearning
from rlgrid.cli import main
from rlgrid.pruning import PRUNERS, rungs, stops, thresholds
from rlgrid.runs import run_key
from rlgrid.samplers import Sampler
from rlgrid.space import (
    Choice,
    Range,
    grid_of,
    parse_dimension,
    parse_words,
    plain_space,
    read_space,
    settings_of,
    space_of,
)
from rlgrid.study import BEST, INDEX, TRIALS, Study, StudyPlan, Trial, make_trial
from rlgrid.training import RunError
from rlgrid.tuning import TuneError
from rlgrid.zoo import Conf, conf_text, read_conf

SPACE = {"learning_rate": "log:0.01:1", "exploration_fraction": "0.1:0.9", "exploration": ["epsilon_greedy", "softmax"]}
WORDS: dict[str, Any] = {"total_timesteps": 3_000, "seeds": range(2), "eval_points": 6, "n_trials": 14, "n_jobs": 1}
WORDS |= {"max_concurrent_trials": 3, "n_startup_trials": 3}


def search(**changes: Any) -> Study:
    return tune("q_learning", LAKE, SPACE, **(WORDS | changes))


def told(study: Study) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.params, trial.state, trial.curves.tolist(), trial.error) for trial in study]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study in this process."""
    folder = tmp_path_factory.mktemp("study")
    search(folder=folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def no_workers_left() -> Iterator[None]:
    yield
    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


# --- the language of the space ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("0.1:0.9", Range(0.1, 0.9)),
        ("log:1e-4:1e-1", Range(1e-4, 1e-1, log=True)),
        ("int:1:8", Range(1, 8, whole=True)),
        ("int:32:256:32", Range(32, 256, whole=True, step=32)),
        ("0:1:0.25", Range(0.0, 1.0, step=0.25)),
        ("log:int:1:1024", Range(1, 1024, log=True, whole=True)),
        ("int:log:1:1024", Range(1, 1024, log=True, whole=True)),
        ("true|False|none", Choice((True, False, None))),
        ("[64]|[64,64]", Choice(([64], [64, 64]))),
        ("relu|'a|b'|3|0.5", Choice(("relu", "a|b", 3, 0.5))),
        ('{"net_arch": [8]}|{"net_arch": [16]}', Choice(({"net_arch": [8]}, {"net_arch": [16]}))),
    ],
)
def test_what_is_written_is_read(text: str, one: Any) -> None:
    assert parse_dimension("x", text) == one
    assert space_of(json.loads(json.dumps(plain_space({"x": one})))) == {"x": one}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0.1", r"one value alone is a setting: x:0.1"),
        ("lgo:1:2", "'lgo' is no number: did you mean log"),
        ("1:2:3:4", "is not understood: write low:high"),
        ("1:inf", "'inf' is no number"),
        ("2:1", "must lie below"),
        ("log:0:1", "must begin above 0"),
        ("int:1:2.5", "its numbers must be whole"),
        ("0:1:2", "the step must lie"),
        ("log:1:8:2", "a logarithmic range has no steps"),
        ("a||b", "has an empty value"),
        ("1|2|1", "the value 1 twice"),
        ([1], "has one value alone"),
        ([], "has an empty value"),
        ([object()], "must have numbers, texts"),
        (0.9, "must be low:high"),
        (Range(1.0, math.nan), "must lie below"),
    ],
)
def test_what_is_not_understood_is_named(given: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"space '?x.*{said}"):
        space_of({"x": given})


def test_values_lie_in_their_range() -> None:
    shares = [0.0, 1e-12, 0.25, 0.5, 0.999999, 1.0]
    for text in ("0.1:0.9", "log:1e-4:1e-1", "0.1234567:0.1234568", "0:1:0.3"):
        one = parse_dimension("x", text)
        assert isinstance(one, Range)
        drawn = [one.at(share) for share in shares]
        assert drawn == sorted(drawn)
        assert all(one.low <= value <= one.high for value in [*drawn, *one.spread(7)])
    assert parse_dimension("x", "log:1e-4:1e-2").at(0.5) == pytest.approx(1e-3)
    assert parse_dimension("x", "0:1:0.3").spread(2) == [0.0, 0.3, 0.6, 0.9]
    assert parse_dimension("x", "log:1:1000").spread(4) == [1.0, 10.0, 100.0, 1000.0]
    assert parse_dimension("x", "int:1:3").spread(9) == [1, 2, 3]
    for text, count in (("int:1:4", 4), ("int:2:8:3", 3), ("0:1:0.5", 3), ("a|b", 2)):  # each value has its part
        one = parse_dimension("x", text)
        shares = [(i + 0.5) / count for i in range(count)]
        assert [one.at(share) for share in shares] == one.spread(count)
    whole = parse_dimension("x", "log:int:1:8")
    parts = np.unique([whole.at(share) for share in np.linspace(0, 1, 2001)], return_counts=True)
    assert parts[0].tolist() == list(range(1, 9))
    assert parts[1] / 2001 == pytest.approx(
        [math.log((n + 0.5) / (n - 0.5)) / math.log(17) for n in range(1, 9)], abs=2e-3
    )


def test_a_grid_is_every_combination() -> None:
    space = space_of({"a": [1, 2], "b": "int:1:3:1", "c": "0:1"})
    grid = grid_of(space, 2)
    assert grid == [{"a": a, "b": b, "c": c} for a in (1, 2) for b in (1, 2, 3) for c in (0.0, 1.0)]
    with pytest.raises(ValueError, match=r"1,000,000 settings \(1000 of a x 1000 of b\)"):
        grid_of(space_of({"a": "int:1:1000", "b": "int:1:1000"}), 1000)


def test_parts_of_arguments_are_set_in_them() -> None:
    fixed = {"gamma": 0.9, "policy_kwargs": {"activation_fn": "tanh"}}
    found = settings_of(fixed, {"policy_kwargs.net_arch": [8], "learning_rate": 0.1})
    assert found == {
        "gamma": 0.9,
        "policy_kwargs": {"activation_fn": "tanh", "net_arch": [8]},
        "learning_rate": 0.1,
    }
    assert fixed["policy_kwargs"] == {"activation_fn": "tanh"}
    assert settings_of({"policy_kwargs": None}, {"policy_kwargs.net_arch": [8]}) == {"policy_kwargs": {"net_arch": [8]}}


def test_files_of_spaces(tmp_path: Path) -> None:
    written = {"learning_rate": "log:1e-4:1e-1", "double_q": [True, False], "policy_kwargs.net_arch": [[64], [64, 64]]}
    toml = tmp_path / "space.toml"
    toml.write_text(
        '[space]\nlearning_rate = "log:1e-4:1e-1"\ndouble_q = [true, false]\n'
        "[space.policy_kwargs]\nnet_arch = [[64], [64, 64]]\n"
    )
    assert read_space(toml) == written
    yaml = tmp_path / "space.yml"
    yaml.write_text(
        'learning_rate: "log:1e-4:1e-1"\ndouble_q: [true, false]\npolicy_kwargs.net_arch: [[64], [64, 64]]\n'
    )
    assert read_space(yaml) == written
    for name, text, said in (("a.toml", "x = ", "not a TOML"), ("b.toml", "", "must hold"), ("c.txt", "", "must end")):
        (tmp_path / name).write_text(text)
        with pytest.raises(RunError, match=said):
            read_space(tmp_path / name)
    for word in ("learning_rate", "=1", "a b=1:2", "x="):
        with pytest.raises(RunError, match="not of the form"):
            parse_words([word])
    with pytest.raises(RunError, match="x twice"):
        parse_words(["x=1:2", "x=2:3"])


# --- what is stopped early --------------------------------------------------------------------------------------------


def naive_thresholds(
    pruner: str, curves: list[list[float]], points: list[int], startup: int, warmup: int, eta: int
) -> list[float]:
    """The rules as they are told."""
    found = []
    for i, point in enumerate(points):
        limit = math.inf
        if 0 < point < points[-1] and point >= warmup:
            if pruner == "median":
                seen = [curve[i] if i < len(curve) else curve[-1] for curve in curves]
                if len(seen) >= startup and seen:
                    limit = statistics.median(seen)
            elif pruner == "halving":
                first_at = [next(p for p in points if p >= points[-1] // eta**k) for k in range(1, 20)]
                reached = [curve[i] for curve in curves if len(curve) > i]
                if point in first_at and len(reached) >= max(startup, eta - 1):
                    go_on = max(1, (len(reached) + 1) // eta)
                    limit = sorted(reached)[go_on - 1]
        found.append(limit)
    return found


@pytest.mark.parametrize("pruner", PRUNERS)
def test_thresholds_are_the_rules(pruner: str) -> None:
    generator = np.random.default_rng(5)
    judged = 0
    for _ in range(200):
        points = [*sorted(generator.choice(100, size=int(generator.integers(2, 9)), replace=False).tolist()), 100]
        curves = [
            generator.choice([1.0, 2.0, 3.0, 4.0, math.inf], size=int(generator.integers(1, len(points) + 1))).tolist()
            for _ in range(int(generator.integers(0, 9)))
        ]
        words = (int(generator.integers(0, 5)), int(generator.integers(0, 60)), int(generator.integers(2, 5)))
        found = thresholds(pruner, curves, points, *words)
        assert found == naive_thresholds(pruner, curves, points, *words)
        judged += sum(map(math.isfinite, found))
    assert (judged > 100) == (pruner != "none")
    assert rungs([0, 10, 20, 30, 60, 90], 3) == [1, 3]
    assert [stops(value, 2.0) for value in (1.0, 2.0, 2.5, math.inf, math.nan)] == [False, False, True, True, True]
    assert not stops(math.inf, math.inf)


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_trials_stop_where_the_trials_before_them_say(kept: Path, pruner: str) -> None:
    study = Study.load(kept) if pruner == "median" else search(pruner="halving", reduction_factor=2)
    free = search(pruner="none")
    assert [trial.params for trial in free] == [trial.params for trial in study]
    plan = study.plan
    for trial, whole in zip(study, free, strict=True):
        over = study[: max(trial.number - plan.max_concurrent_trials + 1, 0)]
        limits = thresholds(pruner, [one.curve.tolist() for one in over], plan.points, 3, 600, 2)
        bad = [i for i, limit in enumerate(limits) if stops(whole.curve[i], limit)]
        came = bad[0] + 1 if bad else len(plan.points)
        assert trial.state == ("pruned" if bad else "complete")
        assert trial.timesteps == plan.points[came - 1]
        assert trial.curves.tolist() == whole.curves[:, :came].tolist()
    assert 0 < study.count("pruned") < 10


# --- what a trial is --------------------------------------------------------------------------------------------------


def test_a_trial_is_the_runs_of_learn_many() -> None:
    study = search(pruner="none", n_trials=3)
    for trial in study:
        runs = learn_many("q_learning", LAKE, range(2), 3_000, settings=trial.settings, eval_points=6, n_jobs=1)
        assert trial.curves.tolist() == runs.curve("share_of_regret")[1].tolist()
        assert trial.curve.tolist() == runs.curve("share_of_regret")[1].mean(axis=0).tolist()
    assert study.best.score == min(trial.score for trial in study)
    mean = search(pruner="none", n_trials=3, over="mean", measure="value")
    for one, runs_of in zip(mean, study, strict=True):
        assert one.score == pytest.approx(one.curves.mean())
        assert one.params == runs_of.params
    assert mean.best.score == max(trial.score for trial in mean)
    assert mean.plan.measure == "value"


def test_episodes_judge_where_no_model_is_known() -> None:
    words: dict[str, Any] = WORDS | {"n_trials": 2, "total_timesteps": 60, "eval_points": 2}
    study = tune(QLearning, Offset, {"learning_rate": "0.1:0.9"}, **(words | {"eval_episodes": 2}))
    assert study.plan.measure == "mean_return"
    assert study.best.curves[:, -1].tolist() == [-3.0, -3.0]
    with pytest.raises(ValueError, match=r"share_of_regret is not known here \(its model is unknown\): there is mean"):
        tune(QLearning, Offset, {"learning_rate": "0.1:0.9"}, **(words | {"measure": "share_of_regret"}))
    prediction = tune("td0", LAKE, **(words | {"total_timesteps": 3_000}))
    assert prediction.plan.measure == "prediction_rms"
    assert prediction.best.score < prediction.best.curve[0]


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_is_searched(agent: str) -> None:
    unusual = {"value_iteration": {"gamma": "0.9:0.99"}, "monte_carlo_prediction": {"visits": "first|every"}}
    space = unusual.get(agent)
    settings = {"policy_kwargs": {"activation_fn": "tanh"}} if "dqn" in agent else {}
    study = tune(
        agent, LAKE, space, 30, n_trials=2, seeds=[0], eval_points=1, n_jobs=1, settings=settings, pruner="none"
    )
    assert [trial.state for trial in study] == ["complete"] * 2
    assert study[0].params != study[1].params


class Fragile(QLearning):
    """Falls with large learning rates; with the largest, with its whole process."""

    def advance(self, max_steps: int) -> int:
        if self.learning_rate > 0.9:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.learning_rate > 0.5:
            raise FloatingPointError("step 7: the table is not finite")
        return super().advance(max_steps)


def test_what_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    words: dict[str, Any] = {"total_timesteps": 60, "sampler": "grid", "n_jobs": 1, "eval_points": 2, "seeds": [0, 1]}
    study = tune(Fragile, LAKE, {"learning_rate": [0.1, 0.6, 0.2]}, folder=tmp_path / "one", **words)
    assert [trial.state for trial in study] == ["complete", "failed", "complete"]
    assert study[1].error == "seed 0: FloatingPointError: step 7: the table is not finite"
    assert math.isnan(study[1].score)
    assert told(Study.load(tmp_path / "one")) == told(study)
    with pytest.raises(TuneError, match="none of 2 trials ran to its end, as trial 0: seed 0: Floating") as caught:
        tune(Fragile, LAKE, {"learning_rate": [0.6, 0.7]}, **words)
    assert len(caught.value.study) == 2
    with pytest.raises(RunError, match="no trial of 2 ran to its end: trial 0 failed"):
        _ = caught.value.study.best


# --- what is tried ----------------------------------------------------------------------------------------------------


def plan_of(sampler: str, space: dict[str, Any], **changes: Any) -> StudyPlan:
    plan = StudyPlan("q_learning", LAKE, 10, [10], space, seeds=[0], sampler=sampler, grid_points=3, measure="regret")
    return replace(plan, **changes)


def test_no_setting_comes_twice() -> None:
    space = {"a": "int:1:3", "b": [True, False]}
    for sampler in ("grid", "random", "tpe"):
        one = Sampler(plan_of(sampler, space), space_of(space))
        found = [one.propose(number, (), ()) for number in range(6)]
        assert len({run_key(params) for params in found}) == 6
        again = Sampler(plan_of(sampler, space), space_of(space))
        again.note(0, found[0])
        assert [again.propose(number, (), ()) for number in range(1, 6)] == found[1:]
    other = Sampler(plan_of("random", {"x": "0:1"}, seed=1), space_of({"x": "0:1"}))
    same = Sampler(plan_of("random", {"x": "0:1"}), space_of({"x": "0:1"}))
    assert other.propose(0, (), ()) != same.propose(0, (), ())


def test_tpe_learns_from_the_trials() -> None:
    """Of a bowl in three arguments, its proposals come close to the bottom; whatever a trial's end was."""
    space = {"rate": "log:1e-4:1", "steps": "int:1:8", "double": [False, True]}
    plan = plan_of("tpe", space)

    def bowl(params: dict[str, Any]) -> float:
        return float((math.log10(params["rate"]) + 2) ** 2 + abs(params["steps"] - 3) / 4 + (not params["double"]))

    one, over = Sampler(plan, space_of(space)), list[Trial]()
    for number in range(40):
        under_way = [trial.params for trial in over[-1:]]
        params = one.propose(number, over[:-1], under_way)
        state, value = ("failed", []) if number == 11 else ("complete", [bowl(params)])
        over.append(make_trial(plan, number, params, state, [value], "it fell" if number == 11 else ""))
    first, last = (np.median([bowl(trial.params) for trial in part]) for part in (over[:10], over[-10:]))
    assert last < 0.6 * first
    assert min(trial.score for trial in over[12:]) < 0.3


# --- what goes on -----------------------------------------------------------------------------------------------------


def test_a_study_that_was_cut_off_anywhere_ends_the_same(kept: Path, tmp_path: Path) -> None:
    whole = {name: (kept / name).read_bytes() for name in (TRIALS, BEST, INDEX)}
    lines = whole[TRIALS].splitlines(keepends=True)
    assert len(lines) == 14
    torn = [b"", b"".join(lines[:3]) + lines[3][:40], b"".join(lines[i] for i in (6, 1, 2, 0, 1)), whole[TRIALS][:-1]]
    for number, content in enumerate(torn):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / INDEX).write_bytes(whole[INDEX])
        (folder / TRIALS).write_bytes(content)
        (folder / f".{BEST}.1.part").write_bytes(b"half a file")
        search(folder=folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    few = tmp_path / "few"
    search(folder=few, n_trials=5)
    assert Study.load(few).plan.n_trials == 5
    search(folder=few)  # more of them are what more would have been
    assert {path.name: path.read_bytes() for path in few.iterdir()} == whole
    assert told(search()) == told(Study.load(few))


def test_tpe_goes_on_as_it_would_have(tmp_path: Path) -> None:
    words: dict[str, Any] = {"sampler": "tpe", "n_trials": 16, "total_timesteps": 100, "eval_points": 2}
    whole = told(search(**words))
    search(**(words | {"n_trials": 12}), folder=tmp_path)
    path = tmp_path / TRIALS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:10] + lines[11:]))  # as of two workers, of which one was killed
    assert told(search(**words, folder=tmp_path)) == whole


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (TRIALS, b"{}\n", "line 1 of .* is not a trial of this study .it lacks 'number'"),
        (TRIALS, b'{"number": 0, "state": "won", "params": {}, "curves": [], "error": ""}\n', "its state is 'won'"),
        (TRIALS, b'{"number": 0, "state": "pruned", "params": {}, "curves": [], "error": ""}\n', "other arguments"),
        (TRIALS, b"[" * 100_000 + b"\n", "line 1"),
        (INDEX, b"{}", "not a study that this rlgrid reads: its format is None"),
        (INDEX, b"[]", "not a study"),
    ],
)
def test_files_of_others_are_refused(kept: Path, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    for one in (INDEX, TRIALS):
        (tmp_path / one).write_bytes((kept / one).read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=said):
        Study.load(tmp_path)


def test_altered_plans_are_refused(kept: Path, tmp_path: Path) -> None:
    document = json.loads((kept / INDEX).read_text())
    wrong = {"points": [3, 1], "seeds": [], "measure": "luck", "space": {"a": "1"}, "n_trials": -1, "agent": 3}
    for name, value in wrong.items():
        (tmp_path / INDEX).write_text(json.dumps(document | {name: value}))
        with pytest.raises(RunError, match=f"{'space a' if name == 'space' else name}"):
            Study.load(tmp_path)


def test_a_folder_keeps_one_study(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds a study with total_timesteps 3000, not 700: name another folder"):
        search(folder=kept, total_timesteps=700)
    study = Study.load(kept)
    assert told(Study.load(study.save(tmp_path / "copy"))) == told(study)
    with pytest.raises(RunError, match="holds no study"):
        Study.load(tmp_path)


# --- what is asked wrongly --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"space": {"learning_rte": "0:1"}}, "did you mean learning_rate"),
        ({"space": {}}, "space is empty"),
        ({"space": {"learning_rate": "0:1"}}, "the space has learning_rate = 0.0: learning_rate must lie in"),
        ({"space": {"learning_rate": "0.5:5"}}, "the space has learning_rate = "),
        ({"space": {"exploration": ["ucb", "luck"]}}, "the space has exploration = 'luck': exploration must be one of"),
        ({"settings": {"learning_rate": 0.1}}, "learning_rate stands in the settings and in the space"),
        ({"settings": {"learning_rte": 0.1}}, "did you mean learning_rate"),
        ({"agent": "dqn", "space": {"net_arch": [[8], [16]]}}, "are named policy_kwargs.net_arch"),
        ({"agent": "dqn", "space": {"n_steps": "1:8"}}, "whole numbers are written n_steps=int:low:high"),
        ({"agent": "value_iteration", "space": None}, "value_iteration has no usual search space"),
        ({"sampler": "tpr"}, "did you mean tpe"),
        ({"pruner": "medain"}, "did you mean median"),
        ({"over": "start"}, "there is no over 'start'"),
        ({"measure": "share_of_regrets"}, "did you mean share_of_regret"),
        ({"measure": "prediction_rms"}, "prediction_rms is not known here"),
        ({"measure": "mean_return", "eval_episodes": 0}, "needs eval_episodes"),
        ({"space": {"exploration": ["ucb", "softmax"]}, "n_trials": 3}, "the space has 2 settings"),
        ({"n_jobs": 0}, "n_jobs must not be 0"),
        ({"seeds": []}, "seeds is empty"),
        ({"reduction_factor": 1}, "reduction_factor must be at least 2"),
    ],
)
def test_what_is_asked_wrongly_is_named(words: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"agent": "q_learning", "env": LAKE, "space": SPACE} | WORDS | words
    with pytest.raises((TypeError, ValueError), match=said):
        tune(**given)


def test_tpe_needs_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'the sampler tpe needs Optuna: python -m pip install "rlgrid\[tune\]"'):
        search(sampler="tpe", folder=tmp_path / "study")
    assert not (tmp_path / "study").exists()


# --- what is written for people ---------------------------------------------------------------------------------------


def test_best_settings_are_read_as_they_were(kept: Path, tmp_path: Path) -> None:
    study = Study.load(kept)
    conf = read_conf(kept / BEST, LAKE)
    assert conf.hyperparameters == study.best.settings
    assert conf.n_timesteps == 3_000
    odd = {"a": 1e-05, "b": 1e300, "c": [1, 2.5, None], "d": {"net_arch": [64], "x": "no"}, "e": "1/N", "f": True}
    odd |= {"g": "lin_1e-3", "h": math.inf, "i": -3, "j": "true", "k": "", "l": "a: b # c", "m": []}
    path = tmp_path / "odd.yml"
    path.write_text(conf_text(Conf("Some:World-v0", 7, {"size": 3}, odd)))
    assert read_conf(path, "Some:World-v0") == Conf("Some:World-v0", 7, {"size": 3}, odd)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corridor.toml").write_text("gamma = 0.9\nmap = '''\nS..G\n'''\n")
    Path("space.toml").write_text('learning_rate = "log:0.01:1"\n')
    line = "tune --algo q-learning --env corridor.toml -n 200 --space-file space.toml --space initial_q=0|1 --jobs 1"
    assert main([*line.split(), "--seeds", "0,1", "--n-trials", "4", "--eval-points", "4", "-params", "gamma:0.8"]) == 0
    said = capsys.readouterr()
    assert "share of regret" in said.out
    assert "4 complete" in said.out
    folder = Path("studies/q_learning/corridor_1")
    assert f"best: {folder / BEST}" in said.out
    Path("corridor.toml").unlink()  # the study has its own
    assert main(["tune", "--resume", str(folder), "--n-trials", "6", "--jobs", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [trial["number"] for trial in document["trials"]] == list(range(6))
    assert all(trial["settings"]["gamma"] == 0.8 for trial in document["trials"])
    assert Study.load(folder).plan.env == "corridor.toml"
    assert read_conf(folder / BEST, "corridor.toml").hyperparameters == Study.load(folder).best.settings
    assert main(["plot", str(folder), "-o", "study.png"]) == 0
    assert Path("study.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(folder), "--measure", "value"]) == 2
    assert main(["tune", "--algo", "q_learning", "--env", LAKE, "--space", "lerning_rate=0.1:1"]) == 2
    assert "did you mean learning_rate" in capsys.readouterr().err
    assert not any(Path("studies/q_learning").glob("rlgrid*"))  # nothing was run


def test_a_study_shows_itself(kept: Path) -> None:
    from rich.console import Console

    study = Study.load(kept)
    console = Console(width=160, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    with console.file:
        console.print(study)
    text = console.export_text()
    assert f"{study.best.score:.5g}" in text
    assert f"{study.count('pruned')} pruned" in text
    assert repr(study) == f"Study(q_learning in {LAKE}, 14 of 14 trials, random, share_of_regret)"


# --- workers ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "grid", "tpe"])
def test_workers_find_the_same(kept: Path, tmp_path: Path, sampler: str) -> None:
    """Whatever their number, the files are the same to the byte."""
    words: dict[str, Any] = {"sampler": sampler} | ({"n_trials": None, "grid_points": 3} if sampler == "grid" else {})
    files = []
    for jobs in (1, 3):
        folder = tmp_path / str(jobs)
        search(**words, n_jobs=jobs, folder=folder)
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]
    if sampler == "random":
        assert files[0][TRIALS] == (kept / TRIALS).read_bytes()
        runs = learn_many("q_learning", LAKE, range(2), 600, n_jobs=2)  # which has workers of its own
        assert len(runs) == 2


@pytest.mark.slow
def test_a_trial_that_kills_its_process_fails_alone() -> None:
    space = {"learning_rate": [0.1, 0.2, 0.95, 0.3, 0.6, 0.4]}
    study = tune(Fragile, LAKE, space, 60, sampler="grid", n_jobs=2, eval_points=2, seeds=[0], pruner="none")
    assert [trial.state for trial in study] == ["complete"] * 2 + ["failed", "complete", "failed", "complete"]
    assert "its process was killed each time" in study[2].error


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import test_tuning
if __name__ == "__main__":
    test_tuning.search(folder={folder!r}, n_jobs={jobs}, total_timesteps=20_000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_that_is_killed_goes_on(tmp_path: Path, jobs: int) -> None:
    """Killed with SIGKILL again and again, each time as soon as a trial more is there, it ends as if never killed."""
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    search(folder=whole, total_timesteps=20_000)
    program = PROGRAM.format(tests=str(Path(__file__).parent), folder=str(folder), jobs=jobs)
    kills = 0
    while kills < 3:
        before = len(Study.load(folder)) if (folder / INDEX).exists() else 0
        process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        while process.poll() is None:
            if (folder / TRIALS).exists() and (folder / TRIALS).read_bytes().count(b"\n") > before:
                break
            time.sleep(0.002)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills == 3
    assert len(Study.load(folder)) < 14
    search(folder=folder, total_timesteps=20_000)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


@pytest.mark.slow
def test_what_is_learnt_stays_with_the_best(tmp_path: Path) -> None:
    """The best settings of a search do better on fresh seeds than the usual ones of the agent."""
    study = tune("q_learning", "rlgrid/FrozenLake-v1", None, 5_000, n_trials=20, n_jobs=1, pruner="halving")
    env, seeds = "rlgrid/FrozenLake-v1", range(100, 120)
    best = learn_many("q_learning", env, seeds, 5_000, settings=study.best.settings, n_jobs=1)
    usual = learn_many("q_learning", env, seeds, 5_000, n_jobs=1)
    assert best.interquartile_mean()[0] < usual.interquartile_mean()[0]
