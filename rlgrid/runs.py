"""Many runs of one agent in one environment, and the folder that keeps them.

A folder of runs holds
    runs.json          what was run: agent, environment, steps, points of evaluation, settings, seeds, versions
    world.toml         the map, where the environment was a map file
    0_7.npz            the run of setting 0 on seed 7: episodes, evaluations, and tables where they were asked for

An .npz is a zip of plain .npy arrays and nothing else: never compressed, never pickled. It is read without executing
anything, and takes no more memory than the file is long. Every file is replaced by an atomic rename, so a folder
that is cut off at any moment holds whole runs, and what is missing is run when the same call is made again.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.archive import NO_ARRAYS, read_arrays, write_arrays
from rlgrid.atomic import read_plain, write_atomically
from rlgrid.statistics import CONFIDENCE, Comparison, bootstrap_interval, compare, interquartile_mean
from rlgrid.training import RunError, nearest

Floats = NDArray[np.float64]

INDEX = "runs.json"
FORMAT = "rlgrid-runs"
FORMAT_VERSION = 1
EXACT = ("value", "values_error", "optimal_share", "q_error", "bellman_residual")  # see `rlgrid.truth`
PREDICTED = ("prediction_error", "prediction_rms")  # likewise, of agents that learn the values of a given policy
JUDGED = (*EXACT, *PREDICTED, "mean_return")
ARRAYS: dict[str, Any] = {
    "episode_returns": np.float64,
    "episode_lengths": np.int64,
    "timesteps": np.int64,
    **dict.fromkeys(JUDGED, np.float64),
}
_NAME = re.compile(r"(\d+)_(\d+)\.npz")


@dataclass(frozen=True)
class Measure:
    """A number by which runs are judged: its label with its unit, and whether more of it is better."""

    label: str
    more_is_better: bool = True
    by_episode: bool = False


MEASURES = {
    "share_of_regret": Measure("share of regret (0: optimal, 1: uniformly random)", more_is_better=False),
    "regret": Measure("regret J* − J of the greedy policy (reward)", more_is_better=False),
    "value": Measure("value J of the greedy policy (reward)"),
    "values_error": Measure("max |V − V*| of the greedy policy (reward)", more_is_better=False),
    "optimal_share": Measure("share of states with an optimal action (0 to 1)"),
    "q_error": Measure("max |Q − Q*| of the table (reward)", more_is_better=False),
    "bellman_residual": Measure("max |TQ − Q| of the table (reward)", more_is_better=False),
    "prediction_error": Measure("max |V − V^π| of the table (reward)", more_is_better=False),
    "prediction_rms": Measure("root mean square of V − V^π of the table (reward)", more_is_better=False),
    "mean_return": Measure("mean return of the greedy policy (reward)"),
    "episode_return": Measure("return of an episode while learning (reward)", by_episode=True),
    "episode_length": Measure("length of an episode while learning (steps)", more_is_better=False, by_episode=True),
}


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        seed: of the agent and of the environment's first reset.
        settings: the agent's arguments.
        episode_returns, episode_lengths: float64 [E] undiscounted, int64 [E], of every episode that ended.
        timesteps: int64 [P], the units after which the greedy policy was judged.
        value: float64 [P], its exact J over the start distribution; -inf where its episodes may never end and lose
            for ever, NaN where the model is unknown or there is no value.
        values_error, optimal_share: float64 [P], max |V - V*| of that policy, and the share of states in which it
            takes an optimal action. q_error, bellman_residual: float64 [P], max |Q - Q*| and max |TQ - Q| of the
            agent's table. prediction_error, prediction_rms: float64 [P], of values that it learnt of a given policy.
            All as in `rlgrid.truth`; NaN where they are unknown.
        mean_return: float64 [P], its sampled undiscounted return; NaN where none was sampled.
        tables: ``q_values`` [S, A], ``values`` [S], ``policy`` [S], ``visits`` [S] at the end, as far as the agent
            has them, where they were asked for.
    """

    seed: int
    settings: dict[str, Any]
    episode_returns: Floats
    episode_lengths: NDArray[np.int64]
    timesteps: NDArray[np.int64]
    value: Floats
    values_error: Floats
    optimal_share: Floats
    q_error: Floats
    bellman_residual: Floats
    prediction_error: Floats
    prediction_rms: Floats
    mean_return: Floats
    tables: dict[str, NDArray[Any]] = field(default_factory=dict)

    def same(self, other: Run) -> bool:
        """True where two runs are equal bit for bit."""
        mine, its = ({**{n: getattr(run, n) for n in ARRAYS}, **run.tables} for run in (self, other))
        return (
            (self.seed, self.settings, list(mine)) == (other.seed, other.settings, list(its))
            and all(a.dtype == its[name].dtype and a.shape == its[name].shape for name, a in mine.items())
            and all(a.tobytes() == its[name].tobytes() for name, a in mine.items())
        )


@dataclass(frozen=True)
class Plan:
    """What a folder of runs is about, as written to ``runs.json``.

    Attributes:
        agent: a key of `rlgrid.agents.AGENTS`, or the name of a class. env: an id, or what the environment was made by.
        env_kwargs: arguments of the environment.
        unit: of ``total_timesteps``, "step" or "sweep". points: at which the policy is judged, rising.
        eval_episodes: sampled at every point; 0 where none are.
        tables: whether the final tables are kept.
        fingerprint: of the environment's model; None where it is unknown.
        gamma, optimal_value, uniform_value: of the world, J* and the uniformly random policy's J; None if unknown.
        settings: of the agent, all that were run. seeds: that were asked for.
    """

    agent: str
    env: str
    total_timesteps: int
    points: list[int]
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    unit: str = "step"
    eval_episodes: int = 0
    tables: bool = False
    fingerprint: str | None = None
    gamma: float | None = None
    optimal_value: float | None = None
    uniform_value: float | None = None
    settings: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    seeds: list[int] = field(default_factory=list)


class Runs(Sequence[Run]):
    """Runs of one agent in one environment, by setting and seed.

    ``runs[i]`` is a `Run`; ``len`` and iteration are those of a sequence.

    Attributes:
        plan: what was run.
    """

    def __init__(self, plan: Plan, runs: Sequence[Run]) -> None:
        self.plan = plan
        place = {run_key(settings): i for i, settings in enumerate(plan.settings)}
        self._runs = tuple(sorted(runs, key=lambda run: (place[run_key(run.settings)], run.seed)))

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, index: Any) -> Any:
        return Runs(self.plan, self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        settings = len(self.groups())
        grid = f", {settings} settings" if settings > 1 else ""
        return f"Runs({self.plan.agent} in {self.plan.env}, {len(self)} runs{grid}, {self.plan.total_timesteps:,} each)"

    @property
    def seeds(self) -> list[int]:
        """The seeds, rising, each once."""
        return sorted({run.seed for run in self})

    def select(self, **settings: Any) -> Runs:
        """The runs whose settings have these values.

        Raises:
            ValueError: if there are none, naming what there is.
        """
        found = [run for run in self if all(run.settings.get(name) == value for name, value in settings.items())]
        if not found:
            there = ", ".join(self.groups()) or "no runs"
            raise ValueError(f"no run has {label_of(settings)}; there is {there}")
        return Runs(self.plan, found)

    def groups(self) -> dict[str, Runs]:
        """The runs of each setting, by what the setting differs in from the others; "" where there is one alone."""
        ordered: dict[str, list[Run]] = {}
        for run in self:
            ordered.setdefault(run_key(run.settings), []).append(run)
        every = [runs[0].settings for runs in ordered.values()]
        names = list(dict.fromkeys(name for settings in every for name in settings))
        varied = [n for n in names if len({run_key({n: s[n]} if n in s else {}) for s in every}) > 1]
        return {
            label_of({n: runs[0].settings[n] for n in varied if n in runs[0].settings}): Runs(self.plan, runs)
            for runs in ordered.values()
        }

    def curve(self, measure: str | None = None) -> tuple[NDArray[np.int64], Floats]:
        """(x, y): int64 [P] and float64 [N, P], a measure (a key of `MEASURES`) as the runs went on.

        ``x`` are the units done, or the numbers of episodes from 1, as many as every run has.

        Raises:
            ValueError: for an unknown measure, and where the runs do not have it, saying why.
        """
        measure = self.best_measure() if measure is None else check_measure(measure)
        if not self._runs:
            raise ValueError("there is no run")
        if MEASURES[measure].by_episode:
            each = [run.episode_returns if measure == "episode_return" else run.episode_lengths for run in self]
            count = min(map(len, each))
            if count == 0:
                raise ValueError("in some run no episode ended: give more total_timesteps")
            return np.arange(1, count + 1), np.array([one[:count] for one in each], np.float64)
        raw = np.array([getattr(run, measure if measure in JUDGED else "value") for run in self])
        plan = self.plan
        if measure == "mean_return" and np.isnan(raw).all():
            raise ValueError("no returns were sampled: run it with eval_episodes")
        if measure != "mean_return" and np.isnan(raw).all():
            raise ValueError(f"{measure} is not known: {plan.env} has no known model, or there is no such number in it")
        if measure in {"regret", "share_of_regret"}:
            if plan.optimal_value is None or not math.isfinite(plan.optimal_value):
                raise ValueError(f"{measure} is not known: {plan.env} has no finite optimum; take the measure value")
            raw = plan.optimal_value - raw
        if measure == "share_of_regret":
            if not self._has_share():
                raise ValueError("share_of_regret is not known: nothing finite to take a share of; take regret")
            assert plan.uniform_value is not None
            assert plan.optimal_value is not None
            raw = raw / (plan.optimal_value - plan.uniform_value)
        return self._runs[0].timesteps, raw

    def _has_share(self) -> bool:
        best, uniform = self.plan.optimal_value, self.plan.uniform_value
        if best is None or uniform is None or not math.isfinite(best - uniform):
            return False
        return best - uniform > 1e-12 * abs(best)

    def best_measure(self) -> str:
        """The measure that says most of those that these runs have."""
        if any(not np.isnan(run.prediction_rms).all() for run in self):
            return "prediction_rms"  # the policy is given
        known = any(not np.isnan(run.value).all() for run in self)
        if known and self._has_share():
            return "share_of_regret"
        if known:
            best = self.plan.optimal_value
            return "regret" if best is not None and math.isfinite(best) else "value"
        return "mean_return" if any(not np.isnan(run.mean_return).all() for run in self) else "episode_return"

    def scores(self, measure: str | None = None, over: str = "end") -> Floats:
        """float64 [N], one number for each run, in the order of the runs.

        Args:
            measure: a key of `MEASURES`; None is `best_measure`.
            over: "end" is the last point of the curve, "mean" its mean over all points.
        """
        if over not in {"end", "mean"}:
            raise ValueError(f"over must be 'end' or 'mean', not {over!r}")
        _, y = self.curve(measure)
        result: Floats = y[:, -1] if over == "end" else y.mean(axis=1)
        return result

    def interquartile_mean(
        self, measure: str | None = None, over: str = "end", confidence: float = CONFIDENCE
    ) -> tuple[float, tuple[float, float]]:
        """The interquartile mean of `scores`, and its bootstrap interval."""
        found = self.scores(measure, over)
        return interquartile_mean(found), bootstrap_interval(interquartile_mean, found, confidence=confidence)

    def compare(
        self, other: Runs, measure: str | None = None, over: str = "end", confidence: float = CONFIDENCE
    ) -> Comparison:
        """These runs against others on the seeds that both have; positive differences mean that these are better.

        Raises:
            ValueError: where a side has several settings, no seed is common, or the worlds are not the same.
        """
        measure = self.best_measure() if measure is None else check_measure(measure)
        for side in (self, other):
            if len(side.groups()) > 1:
                raise ValueError(f"{side!r} has several settings: choose one with select({next(iter(side.groups()))})")
        if self.plan.fingerprint != other.plan.fingerprint or (
            self.plan.fingerprint is None and self.plan.env != other.plan.env
        ):
            raise ValueError(f"the worlds differ, {self.plan.env} and {other.plan.env}: compare runs in one world")
        common = sorted(set(self.seeds) & set(other.seeds))
        if not common:
            raise ValueError("there is no common seed: run both with the same seeds")
        sides = []
        for side in (self, other):
            by_seed = dict(zip((run.seed for run in side), side.scores(measure, over), strict=True))
            sides.append(np.array([by_seed[seed] for seed in common]))
        sign = 1.0 if MEASURES[measure].more_is_better else -1.0
        return compare(sign * sides[0], sign * sides[1], confidence=confidence)

    # --- on disk ----------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the runs into ``folder``, which is made if it is not there; returns it.

        Raises:
            RunError: if the folder holds other runs.
        """
        target, plan = open_folder(folder, self.plan)
        for run in self:
            write_run(target, plan, run)
        return target

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Runs:
        """The runs of a folder, those that are there.

        Raises:
            RunError: if it is no such folder, or a file in it is torn or foreign.
        """
        where = Path(folder)
        plan = read_plan(where)
        return cls(plan, [read_run(path, plan) for path in sorted(where.iterdir()) if _NAME.fullmatch(path.name)])


def check_measure(measure: str) -> str:
    """``measure``, or a ValueError with the nearest known one."""
    if measure in MEASURES:
        return measure
    raise ValueError(f"there is no measure {measure!r}{nearest(str(measure), MEASURES)} (known: {', '.join(MEASURES)})")


def run_key(settings: dict[str, Any]) -> str:
    """Settings as text, equal where the settings are: 1, 1.0 and True are three."""
    return json.dumps(settings, sort_keys=True)


def label_of(settings: dict[str, Any]) -> str:
    """Settings for people: ``learning_rate=0.1, gamma=0.9``."""
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


# --- files ------------------------------------------------------------------------------------------------------------


def run_path(folder: Path, plan: Plan, settings: dict[str, Any], seed: int) -> Path:
    """Where a run lies."""
    number = [run_key(known) for known in plan.settings].index(run_key(settings))
    return folder / f"{number}_{seed}.npz"


def write_run(folder: Path, plan: Plan, run: Run) -> None:
    """Write one run, atomically.

    Raises:
        OSError: if it cannot be written; what was there is then untouched.
    """
    arrays = {name: getattr(run, name) for name in ARRAYS}
    arrays |= {f"table.{name}": array for name, array in run.tables.items()}
    write_arrays(run_path(folder, plan, run.settings, run.seed), arrays)


def read_run(path: Path, plan: Plan) -> Run:
    """The run of a file in a folder with this plan.

    Raises:
        RunError: if the file is torn or foreign, saying what to do.
    """
    name = _NAME.fullmatch(path.name)
    try:
        if name is None:
            raise ValueError("its name is not SETTING_SEED.npz")
        number, seed = map(int, name.groups())
        if number >= len(plan.settings):
            raise ValueError(f"there is no setting {number}")
        arrays = read_arrays(read_plain(path))
        own = {key: arrays.pop(key) for key in ARRAYS}
        for key, dtype in ARRAYS.items():
            if own[key].dtype != dtype or own[key].ndim != 1:
                raise ValueError(f"{key} is {own[key].dtype} {own[key].shape}")
        if own["timesteps"].tolist() != plan.points:
            raise ValueError("it was judged at other points")
        if any(len(own[key]) != len(plan.points) for key in JUDGED):
            raise ValueError("it lacks evaluations")
        if len(own["episode_returns"]) != len(own["episode_lengths"]):
            raise ValueError("it has not as many returns as lengths")
        tables = {key.removeprefix("table."): array for key, array in arrays.items() if key.startswith("table.")}
        return Run(seed=seed, settings=plan.settings[number], tables=tables, **own)
    except NO_ARRAYS as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{path} is not a whole run ({said}): delete it, and it will be run again") from error


def write_plan(folder: Path, plan: Plan) -> None:
    """Write ``runs.json``, atomically."""
    import numba

    import rlgrid

    versions = {"rlgrid": rlgrid.__version__, "numpy": np.__version__, "numba": numba.__version__}
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, **vars(plan), "versions": versions}
    write_atomically(folder / INDEX, (json.dumps(document, indent=1) + "\n").encode())


def read_plan(folder: Path) -> Plan:
    """The plan of a folder of runs.

    Raises:
        RunError: if it is no such folder, or ``runs.json`` is torn or of another format.
    """
    path = folder / INDEX
    if not path.is_file():
        raise RunError(f"{folder} holds no runs: it has no {INDEX} (rlgrid train --seeds makes one)")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT or document.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"its format is {document.get('format')!r} {document.get('format_version')!r}")
        plan = Plan(**{item.name: document[item.name] for item in fields(Plan)})
        _check_plan(plan)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise RunError(f"{path} is not an index of runs that this rlgrid reads: {error}") from error
    return plan


def _check_plan(plan: Plan) -> None:
    """A ValueError where a plan out of a file is not what the rest takes for granted."""

    def number(value: Any) -> bool:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))

    def counts(values: Any) -> bool:
        return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**62 for value in values)

    checks: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(("agent", "env", "unit"), lambda value: isinstance(value, str)),
        **dict.fromkeys(("gamma", "optimal_value", "uniform_value"), number),
        **dict.fromkeys(("points", "seeds"), counts),
        **dict.fromkeys(("total_timesteps", "eval_episodes"), lambda value: counts([value])),
        "env_kwargs": lambda value: isinstance(value, dict),
        "fingerprint": lambda value: value is None or isinstance(value, str),
        "tables": lambda value: isinstance(value, bool),
        "settings": lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
    }
    for name, holds in checks.items():
        if not holds(getattr(plan, name)):
            raise ValueError(f"{name} is {getattr(plan, name)!r}")


def open_folder(folder: str | os.PathLike[str], plan: Plan) -> tuple[Path, Plan]:
    """Make ``folder`` ready for the runs of ``plan``: new, or one that holds runs of the same kind.

    Settings and seeds that the folder has not yet are added to it; returned is the plan that it then has.

    Raises:
        RunError: naming what differs where it holds runs of another kind.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if (target / INDEX).exists():
        plan = joined(read_plan(target), plan, target)
    write_plan(target, plan)
    return target, plan


def joined(there: Plan, plan: Plan, folder: Path) -> Plan:
    """The plan of a folder with the settings and seeds of another plan added."""
    for item in fields(Plan):
        if item.name in {"settings", "seeds"}:
            continue
        old, new = getattr(there, item.name), getattr(plan, item.name)
        if json.dumps(old) != json.dumps(new):
            raise RunError(f"{folder} holds runs with {item.name} {old!r}, not {new!r}: name another folder")
    known = {run_key(settings) for settings in there.settings}
    more = [settings for settings in plan.settings if run_key(settings) not in known]
    return replace(there, settings=there.settings + more, seeds=sorted({*there.seeds, *plan.seeds}))
