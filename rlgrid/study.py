"""A search for hyperparameters, and the folder that keeps it.

A folder of a study holds
    study.json     what was asked: agent, environment, search space, steps, seeds, points of evaluation, versions
    trials.jsonl   a line of JSON for each trial that is over: its values, its curve on every seed, how it ended
    best.yml       the best settings in rl-zoo3's form, which `rlgrid train --conf-file` reads
    world.toml     the map, where the environment was a map file

A line is written whole, and on disk, before its trial counts; one that was cut off is dropped when the study goes on,
and its trial is run again. At the end the lines are put in the order of their numbers, so that the same study is the
same file, however often it was stopped and however many workers it had. Nothing in the folder is executed when it is
read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid import runs
from rlgrid.atomic import remove_parts, write_atomically
from rlgrid.pruning import PRUNERS
from rlgrid.runs import Measure, label_of
from rlgrid.space import settings_of, space_of
from rlgrid.statistics import interquartile_mean
from rlgrid.training import RunError, nearest
from rlgrid.zoo import Conf, conf_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

INDEX, TRIALS, BEST = "study.json", "trials.jsonl", "best.yml"
FORMAT = "rlgrid-study"
FORMAT_VERSION = 1
SAMPLERS = ("random", "grid", "tpe")
STATES = ("complete", "pruned", "failed")
OVER = ("end", "mean")
SHOWN = 10  # trials of a table

MEASURES: dict[str, Measure] = {name: measure for name, measure in runs.MEASURES.items() if not measure.by_episode}
"""By what trials are judged: the measures of many runs that are known at a point."""


@dataclass(frozen=True)
class StudyPlan:
    """What a study is about, as written to ``study.json``; the arguments of `rlgrid.tune` by their names.

    Attributes:
        points: at which trials are judged, rising; the last is ``total_timesteps``.
        settings: of the agent, the same in all trials. space: as `rlgrid.space.space_of` reads it.
        unit: of ``total_timesteps``, "step" or "sweep".
        fingerprint: of the environment's model; None where it is unknown.
    """

    agent: str
    env: str
    total_timesteps: int
    points: list[int]
    space: dict[str, Any]
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    unit: str = "step"
    seeds: list[int] = field(default_factory=list)
    sampler: str = "random"
    n_trials: int = 0
    grid_points: int = 0
    seed: int = 0
    measure: str = "share_of_regret"
    over: str = "end"
    pruner: str = "none"
    n_startup_trials: int = 0
    n_warmup_steps: int = 0
    reduction_factor: int = 2
    max_concurrent_trials: int = 1
    eval_episodes: int = 0
    fingerprint: str | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """One point of the search space, tried on every seed.

    Attributes:
        number: from 0, in the order in which trials were proposed.
        params: the values that were tried, by the names of the space. settings: all arguments of the agent.
        state: "complete", "pruned" (stopped early) or "failed" (with ``error``).
        curves: float64 [seeds, P], the measure at the points that the trial came to.
        curve: float64 [P], what it was judged by at each point: the interquartile mean over the seeds (of fewer
            than four their mean); with ``over="mean"`` of a study, the mean of that up to each point.
        timesteps: units of the run at which it ended.
    """

    number: int
    params: dict[str, Any]
    settings: dict[str, Any]
    state: str
    curves: NDArray[np.float64]
    curve: NDArray[np.float64]
    timesteps: int
    error: str = ""

    @property
    def score(self) -> float:
        """The last number of its curve; NaN where it failed."""
        return float(self.curve[-1]) if self.state != "failed" else math.nan


def curve_of(curves: NDArray[np.float64], over: str) -> NDArray[np.float64]:
    """float64 [P], by which a trial is judged, from the measure [seeds, P]."""
    if curves.size == 0:
        return np.empty(0)
    known = ~np.isnan(curves).any(axis=0)  # where every run has a number
    middle = np.full(known.size, np.nan)
    if known.any():
        middle[known] = interquartile_mean(curves[:, known], axis=0)
    return middle if over == "end" else np.cumsum(middle) / np.arange(1, middle.size + 1)


def make_trial(
    plan: StudyPlan, number: int, params: Mapping[str, Any], state: str, curves: Sequence[Any], error: str = ""
) -> Trial:
    """A trial of a study from what a worker gave, or a file."""
    found = np.array(curves, np.float64).reshape(len(plan.seeds), -1)
    done = found.shape[1]
    return Trial(
        number=number,
        params=dict(params),
        settings=settings_of(plan.settings, params),
        state=state,
        curves=found,
        curve=curve_of(found, plan.over),
        timesteps=plan.points[done - 1] if done else 0,
        error=error,
    )


class Study(Sequence[Trial]):
    """The trials of a search that are over, by their number.

    ``study[i]``, ``len`` and iteration are those of a sequence; on a terminal, rich prints it as a table.

    Attributes:
        plan: what was asked.
    """

    def __init__(self, plan: StudyPlan, trials: Sequence[Trial]) -> None:
        self.plan = plan
        self._trials = tuple(sorted(trials, key=lambda trial: trial.number))

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, index: Any) -> Any:
        return Study(self.plan, self._trials[index]) if isinstance(index, slice) else self._trials[index]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"Study({plan.agent} in {plan.env}, {len(self)} of {plan.n_trials} trials, {plan.sampler}, {plan.measure})"
        )

    def __rich__(self) -> Group:
        from rich.console import Group

        plan = self.plan
        return Group(f"{plan.agent} in {plan.env}: {MEASURES[plan.measure].label}", self.table())

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials."""
        return self._trials

    @property
    def unfinished(self) -> bool:
        """Whether trials are missing."""
        return len(self) < self.plan.n_trials

    @cached_property
    def ranking(self) -> list[Trial]:
        """The trials that ran to their end, the best first; of equals the earlier one."""
        sign = self.sign
        complete = [trial for trial in self if trial.state == "complete"]
        return sorted(complete, key=lambda trial: _worst_if_nan(sign * trial.score))

    @property
    def sign(self) -> float:
        """1 where less of the measure is better, else -1."""
        return -1.0 if MEASURES[self.plan.measure].more_is_better else 1.0

    @property
    def best(self) -> Trial:
        """The best trial of those that ran to their end.

        Raises:
            RunError: where there is none, saying why.
        """
        if self.ranking:
            return self.ranking[0]
        failed = next((f": trial {trial.number} failed: {trial.error}" for trial in self if trial.error), "")
        raise RunError(f"no trial of {len(self)} ran to its end{failed}")

    def count(self, state: str) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self)

    def table(self, most: int = SHOWN) -> Table:
        """The best trials as a table of rich, at most so many."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        plan = self.plan
        ends = ", ".join(f"{self.count(state)} {state}" for state in STATES if self.count(state))
        table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=ends, caption_justify="left")
        table.add_column("trial", justify="right")
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("on each seed", justify="right")
        for name in plan.space:
            table.add_column(name, justify="right", no_wrap=True)
        for trial in self.ranking[:most]:
            each = curve_of_each(trial.curves, plan.over)
            spread = f"{each.min():.4g} to {each.max():.4g}" if each.size > 1 else ""
            values = [value if isinstance(value, str) else json.dumps(value) for value in trial.params.values()]
            table.add_row(str(trial.number), f"{trial.score:.5g}", spread, *values)
        return table

    # --- on disk ----------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the study into ``folder``, which is made if it is not there; returns it.

        Raises:
            RunError: if the folder holds another study.
        """
        target = Path(folder)
        plan, there = open_study(target, self.plan)
        known = {trial.number for trial in there}
        close_study(target, Study(plan, [*there, *(trial for trial in self if trial.number not in known)]))
        return target

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Study:
        """The study of a folder, as far as it is there.

        Raises:
            RunError: if it is no such folder, or a file in it is foreign.
        """
        where = Path(folder)
        plan = read_plan(where)
        return cls(plan, read_trials(where, plan))


def curve_of_each(curves: NDArray[np.float64], over: str) -> NDArray[np.float64]:
    """float64 [seeds], the score on each seed."""
    return curves[:, -1] if over == "end" else curves.mean(axis=1)


def _worst_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value


# --- files ------------------------------------------------------------------------------------------------------------


def open_study(folder: Path, plan: StudyPlan) -> tuple[StudyPlan, list[Trial]]:
    """Make ``folder`` ready for a study: new, or one that holds the same study, which may now have more trials.

    Returns:
        The plan that the folder then has, and the trials that are there; lines that were cut off are gone.

    Raises:
        RunError: naming what differs where it holds another study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials: list[Trial] = []
    if (folder / INDEX).exists():
        there = read_plan(folder)
        for item in fields(StudyPlan):
            old, new = getattr(there, item.name), getattr(plan, item.name)
            if item.name != "n_trials" and json.dumps(old) != json.dumps(new):
                raise RunError(f"{folder} holds a study with {item.name} {old!r}, not {new!r}: name another folder")
        plan = replace(plan, n_trials=max(plan.n_trials, there.n_trials))
        trials = read_trials(folder, plan)
        remove_parts(folder)
    write_plan(folder, plan)
    write_trials(folder, trials)
    return plan, trials


def close_study(folder: Path, study: Study) -> None:
    """Put the trials in order and write the best settings, where a trial ran to its end."""
    write_trials(folder, study.trials)
    if study.ranking:
        write_atomically(folder / BEST, conf_of(study).encode())


def conf_of(study: Study) -> str:
    """The best settings as rl-zoo3 writes them."""
    plan, best = study.plan, study.best
    block = Path(plan.env).stem if plan.env.endswith(".toml") else plan.env
    head = f"# {plan.agent}, {plan.measure} {best.score:.6g}: trial {best.number} of {len(study)}\n"
    return head + conf_text(Conf(block, plan.total_timesteps, plan.env_kwargs, best.settings))


def append_trial(folder: Path, trial: Trial) -> None:
    """Write a trial's line behind the others; it is on disk when this returns.

    Raises:
        OSError: if it cannot be written, naming the file.
    """
    path = folder / TRIALS
    try:
        with path.open("ab") as file:
            file.write(_line(trial))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_trials(folder: Path, trials: Sequence[Trial]) -> None:
    """Replace the lines, atomically."""
    write_atomically(folder / TRIALS, b"".join(map(_line, trials)))


def _line(trial: Trial) -> bytes:
    document = {
        "number": trial.number,
        "state": trial.state,
        "params": trial.params,
        "curves": [[value if math.isfinite(value) else str(value) for value in row] for row in trial.curves.tolist()],
        "error": trial.error,
    }
    return (json.dumps(document, allow_nan=False) + "\n").encode()


def read_trials(folder: Path, plan: StudyPlan) -> list[Trial]:
    """The trials of a folder, by number; a last line that was cut off is none.

    Raises:
        RunError: naming the line that is foreign.
    """
    path = folder / TRIALS
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    found: dict[int, Trial] = {}
    for i, line in enumerate(lines):
        try:
            trial = _trial_of(json.loads(line), plan)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise RunError(
                f"line {i + 1} of {path} is not a trial of this study ({said}): delete it, and it will be run again"
            ) from error
        found.setdefault(trial.number, trial)
    return [found[number] for number in sorted(found)]


def _trial_of(document: Any, plan: StudyPlan) -> Trial:
    number, state, params = document["number"], document["state"], document["params"]
    if type(number) is not int or number < 0:
        raise ValueError(f"its number is {number!r}")
    if state not in STATES or not isinstance(document["error"], str):
        raise ValueError(f"its state is {state!r}")
    if not isinstance(params, dict) or list(params) != list(plan.space):
        raise ValueError("it has other arguments")
    curves = [[float(value) for value in row] for row in document["curves"]]
    lengths = {len(row) for row in curves}
    reached = max(lengths, default=0)
    whole = len(lengths) == 1 and len(curves) == len(plan.seeds) and 0 < reached <= len(plan.points)
    if not (whole or (state == "failed" and reached == 0)):
        raise ValueError("its curves are not those of its seeds")
    if state == "complete" and reached != len(plan.points):
        raise ValueError("its curves lack points")
    return make_trial(plan, number, params, state, curves, document["error"])


def write_plan(folder: Path, plan: StudyPlan) -> None:
    """Write ``study.json``, atomically."""
    import numba

    import rlgrid

    versions = {"rlgrid": rlgrid.__version__, "numpy": np.__version__, "numba": numba.__version__}
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, **vars(plan), "versions": versions}
    write_atomically(folder / INDEX, (json.dumps(document, indent=1) + "\n").encode())


def read_plan(folder: Path) -> StudyPlan:
    """The plan of a folder of a study.

    Raises:
        RunError: if it is no such folder, or ``study.json`` is torn or of another format.
    """
    path = folder / INDEX
    if not path.is_file():
        raise RunError(f"{folder} holds no study: it has no {INDEX} (rlgrid tune makes one)")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT or document.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"its format is {document.get('format')!r} {document.get('format_version')!r}")
        plan = StudyPlan(**{item.name: document[item.name] for item in fields(StudyPlan)})
        _check_plan(plan)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{path} is not a study that this rlgrid reads: {said}") from error
    return plan


def _check_plan(plan: StudyPlan) -> None:
    """A ValueError where a plan out of a file is not what the rest takes for granted."""

    def counts(values: Any) -> bool:
        return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**62 for value in values)

    known = {"measure": tuple(MEASURES), "over": OVER, "pruner": PRUNERS, "sampler": SAMPLERS}
    for item in fields(StudyPlan):
        value = getattr(plan, item.name)
        if item.name in known:
            good = value in known[item.name]
        elif item.name in {"points", "seeds"}:
            good = counts(value) and len(value) > 0 and value == sorted(set(value))
        elif item.name in {"space", "env_kwargs", "settings"}:
            good = isinstance(value, dict)
        elif item.name in {"agent", "env", "unit"}:
            good = isinstance(value, str)
        elif item.name == "fingerprint":
            good = value is None or isinstance(value, str)
        else:
            good = counts([value])
        if not good:
            raise ValueError(f"{item.name} is {value!r}")
    space_of(plan.space)


def check_choice(name: str, value: Any, known: Sequence[str]) -> str:
    """``value`` where it is known, or a ValueError with the nearest known one."""
    if isinstance(value, str) and value in known:
        return value
    raise ValueError(f"there is no {name} {value!r}{nearest(str(value), known)} (known: {', '.join(known)})")


def describe(study: Study) -> str:
    """What came of a study in one line."""
    best = study.best
    return f"best: trial {best.number}, {study.plan.measure} {best.score:.6g} with {label_of(best.params)}"


def holds_study(folder: Path) -> bool:
    """Whether a folder is one of a study."""
    return (folder / INDEX).is_file()
