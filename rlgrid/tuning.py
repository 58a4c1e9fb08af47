"""A search for the hyperparameters of an agent: trials proposed, run on many seeds, stopped early where they are bad.

What a trial tries and what it has to reach depend on the study's seed and on the trials before it, never on the clock:
trial k looks at the trials up to k - n, where n is `max_concurrent_trials`, and so waits until those are over. Grid and
random search without a pruner look at none and wait for none. So a study gives the same trials with any number of
workers, in whatever order they end, and however often it was stopped.

Workers are joblib's loky processes, a trial each; kernels are compiled once, in this process, before they begin. A
trial that is over is written at once. One that is lost with its worker is run again.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlgrid.agents.base import Agent, check_count
from rlgrid.agents.checkpoint import fingerprint
from rlgrid.alone import Task, warm_up
from rlgrid.engines import check_engine
from rlgrid.many import (
    ATTEMPTS,
    EVAL_EPISODES,
    POINTS,
    agent_of,
    check_points,
    check_seeds,
    environment_of,
    plain,
    show_progress,
    total_of,
)
from rlgrid.pruning import PRUNERS, thresholds
from rlgrid.runs import run_key
from rlgrid.samplers import Sampler, most_trials, optuna
from rlgrid.space import Params, Space, check_names, plain_space, settings_of, space_of, trial_values, usual_space
from rlgrid.study import (
    INDEX,
    MEASURES,
    OVER,
    SAMPLERS,
    Study,
    StudyPlan,
    Trial,
    append_trial,
    check_choice,
    close_study,
    make_trial,
    open_study,
    read_plan,
)
from rlgrid.training import MAP, RunError, check_hyperparameters
from rlgrid.trials import Outcome, Search, run_in_worker, run_trial
from rlgrid.truth import Truth

TRIALS = 50  # where a search does not end by itself
GRID_POINTS = 4  # of a range without steps
SEEDS = 3
STARTUP_TRIALS = 5
WARMUP_SHARE = 5  # nothing is stopped in the first fifth of a run
REDUCTION = 3
CONCURRENT = 8


class TuneError(RunError):
    """A search in which no trial ran to its end; all of them are in ``study``."""

    def __init__(self, message: str, study: Study) -> None:
        super().__init__(message)
        self.study = study


def tune(
    agent: str | type[Agent],
    env: Any,
    space: Mapping[str, Any] | None = None,
    total_timesteps: int | None = None,
    *,
    sampler: str = "random",
    n_trials: int | None = None,
    seeds: Iterable[int] = range(SEEDS),
    settings: Mapping[str, Any] | None = None,
    measure: str | None = None,
    over: str = "end",
    pruner: str = "median",
    n_startup_trials: int = STARTUP_TRIALS,
    n_warmup_steps: int | None = None,
    reduction_factor: int = REDUCTION,
    grid_points: int = GRID_POINTS,
    max_concurrent_trials: int = CONCURRENT,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    eval_points: int | Iterable[int] = POINTS,
    eval_episodes: int | None = None,
    n_jobs: int = -1,
    folder: str | os.PathLike[str] | None = None,
    progress_bar: bool = False,
) -> Study:
    """Search for the settings of an agent that do best in an environment.

    Args:
        agent, env, env_kwargs, total_timesteps, eval_points, eval_episodes: as of `rlgrid.learn_many`.
        space: what to try of which argument, as {"learning_rate": "log:1e-4:1e-1", "double_q": [True, False]}; see
            `rlgrid.space`. None takes the agent's usual one.
        sampler: "random", "grid" or "tpe" (Bayesian, by Optuna); see `rlgrid.samplers`.
        n_trials: settings to try; None is 50, and all of a grid.
        seeds: each trial is run on all of them, and judged by the interquartile mean over them.
        settings: arguments of the agent that all trials have.
        measure: a key of `rlgrid.study.MEASURES`; None takes the error of an agent that predicts, else the share of
            regret, the regret or the value, all exact where the model is known, else the mean return of episodes.
        over: "end" judges by the last point, "mean" by the mean over all points: how fast it learns counts then.
        pruner: "median", "halving" or "none"; see `rlgrid.pruning`.
        n_startup_trials: so many trials must have reached a point before any is stopped there.
        n_warmup_steps: nothing is stopped before so many units of a run; None is a fifth of it.
        reduction_factor: of successive halving: one of so many goes on.
        grid_points: values of a range without steps in a grid.
        max_concurrent_trials: so many are under way at most where trials learn from one another; a change
            changes what is found, the number of workers does not.
        seed: of the search.
        n_jobs: trials at a time; -1 is one for each core.
        folder: where to keep every trial as it ends. The same call goes on with what is there.
        progress_bar: show how many trials are done, and the time left.

    Returns:
        The study with all its trials.

    Raises:
        ValueError, TypeError: naming the argument that is wrong, before anything is run.
        ImportError: for "tpe" without Optuna.
        TuneError: when all is done, if no trial ran to its end.
        KeyboardInterrupt: from Ctrl-C, with what is done as its attribute ``study``.
    """
    name, kind = agent_of(agent)
    fixed = {key: plain(value, f"the setting {key!r}") for key, value in dict(settings or {}).items()}
    check_hyperparameters(kind, name, fixed)
    searched = usual_space(name, kind) if space is None else space_of(space)
    if space is None:
        searched = {key: one for key, one in searched.items() if key.partition(".")[0] not in fixed}
    check_names(kind, name, searched, fixed)
    wanted, total = check_seeds(seeds), total_of(kind, total_timesteps)
    points = check_points(eval_points, total)
    if points[-1] != total:
        points = (*points, total)
    if check_choice("sampler", sampler, SAMPLERS) == "tpe":
        optuna()
    check_choice("over", over, OVER)
    check_choice("pruner", pruner, PRUNERS)
    check_engine("loky", n_jobs, None)
    grid_points = check_count("grid_points", grid_points, least=2)
    shown, make_env = environment_of(env, dict(env_kwargs or {}))
    own_map = folder is not None and isinstance(env, str) and Path(env) == Path(folder) / MAP
    if folder is not None and own_map and (Path(folder) / INDEX).is_file():
        shown = read_plan(Path(folder)).env  # the map of this very study
    first = make_env()
    try:
        judge, beginning = _validate(kind, first, searched, fixed, wanted[0])
    finally:
        first.close()
    measure = _measure(measure, judge, beginning)
    if eval_episodes is None:
        eval_episodes = EVAL_EPISODES if measure == "mean_return" else 0
    eval_episodes = check_count("eval_episodes", eval_episodes, least=0)
    if measure == "mean_return" and not eval_episodes:
        raise ValueError("the measure mean_return needs eval_episodes of at least 1")
    plan = StudyPlan(
        agent=name,
        env=shown,
        total_timesteps=total,
        points=list(points),
        space=plain_space(searched),
        env_kwargs={key: plain(value, f"env_kwargs {key!r}", exact=False) for key, value in (env_kwargs or {}).items()},
        settings=fixed,
        unit=kind.unit,
        seeds=wanted,
        sampler=sampler,
        n_trials=_count(n_trials, sampler, searched, grid_points),
        grid_points=grid_points,
        seed=check_count("seed", seed, least=0),
        measure=measure,
        over=over,
        pruner=pruner,
        n_startup_trials=check_count("n_startup_trials", n_startup_trials, least=0),
        n_warmup_steps=check_count(
            "n_warmup_steps", total // WARMUP_SHARE if n_warmup_steps is None else n_warmup_steps, least=0
        ),
        reduction_factor=check_count("reduction_factor", reduction_factor, least=2),
        max_concurrent_trials=check_count("max_concurrent_trials", max_concurrent_trials),
        eval_episodes=eval_episodes,
        fingerprint=None if judge is None else fingerprint(judge.model),
    )
    task = Task(kind, make_env, total, points, eval_episodes, False, os.getpid())
    keep = _Keeper(plan, searched, folder, env)
    try:
        _run_all(keep, task, n_jobs, progress_bar)
    except KeyboardInterrupt as interrupt:
        interrupt.study = keep.study()  # type: ignore[attr-defined]
        raise
    study = keep.study()
    if not study.ranking:
        failed = next((trial for trial in study if trial.error), None)
        said = f", as trial {failed.number}: {failed.error}" if failed else ""
        error = TuneError(f"none of {len(study)} trials ran to its end{said}", study)
        if keep.details:
            error.add_note(keep.details)
        raise error
    return study


# --- what was asked for -----------------------------------------------------------------------------------------------


def _validate(
    kind: type[Agent], env: Any, space: Space, fixed: Params, seed: int
) -> tuple[Truth | None, dict[str, float]]:
    """(judge of the agent, what it says of one that has learnt nothing); every end of the space is tried, none is run.

    Raises:
        ValueError, TypeError: naming the argument and the value that the agent does not take.
    """
    agent: Any = None
    for name, value, both in trial_values(space, fixed):
        errors: list[Exception] = []
        for settings in both:
            try:
                agent = kind(env=env, seed=seed, **settings)
            except (ValueError, TypeError) as error:
                errors.append(error)
        if len(errors) == len(both):
            whole = isinstance(value, float) and "integer" in str(errors[0])
            remedy = f"; whole numbers are written {name}=int:low:high" if whole else ""
            kind_of_error = TypeError if isinstance(errors[0], TypeError) else ValueError
            raise kind_of_error(f"the space has {name} = {value!r}: {errors[0]}{remedy}") from errors[0]
    judge = None if agent is None else Truth.of(agent)
    return judge, {} if judge is None else judge.look(agent).numbers()


def _measure(measure: str | None, judge: Truth | None, beginning: Mapping[str, float]) -> str:
    """The measure by which trials are judged: one that is known here.

    Raises:
        ValueError: for one that is unknown, or not known in this world.
    """
    known = [name for name in MEASURES if not math.isnan(beginning.get(name, math.nan))]
    if measure is None:
        usual = ("prediction_rms", "share_of_regret", "regret", "value")
        return next((name for name in usual if name in known), "mean_return")
    check_choice("measure", measure, tuple(MEASURES))
    if measure not in {"mean_return", *known}:
        why = "its model is unknown" if judge is None else judge.missing or "this agent has no such number"
        have = ", ".join([*known, "mean_return"])
        raise ValueError(f"the measure {measure} is not known here ({why}): there is {have}")
    return measure


def _count(n_trials: int | None, sampler: str, space: Space, grid_points: int) -> int:
    """How many trials there are to be."""
    most = most_trials(sampler, space, grid_points)
    if n_trials is None:
        return int(most) if sampler == "grid" else int(min(TRIALS, most))
    found = check_count("n_trials", n_trials)
    if found > most:
        raise ValueError(f"n_trials is {found} and the space has {int(most)} settings: ask for at most as many")
    return found


# --- all trials -------------------------------------------------------------------------------------------------------


class _Keeper:
    """What is over and what is to be done; trials are kept as they end, each once."""

    def __init__(self, plan: StudyPlan, space: Space, folder: str | os.PathLike[str] | None, env: Any) -> None:
        self._folder = None if folder is None else Path(folder)
        trials: list[Trial] = []
        if self._folder is not None:
            plan, trials = open_study(self._folder, plan)
            if isinstance(env, str) and env.endswith(".toml"):
                with contextlib.suppress(shutil.SameFileError):
                    shutil.copyfile(env, self._folder / MAP)
        self.plan, self.space = plan, space
        self._over = {trial.number: trial for trial in trials}
        self._sampler = Sampler(plan, space)
        self._params: list[Params] = []  # of the trials that are over or were proposed, by number
        waits = plan.pruner != "none" or plan.sampler == "tpe"
        self._behind = plan.max_concurrent_trials if waits else plan.n_trials
        self.details = ""

    def ready(self) -> bool:
        """Whether the next trial may be proposed: all that it looks at are over."""
        self._skip()
        number = len(self._params)
        if number >= self.plan.n_trials:
            return False
        return all(earlier in self._over for earlier in range(number - self._behind + 1))

    def next(self) -> tuple[int, Params, list[float]]:
        """(number, arguments of the agent, thresholds) of the next trial."""
        number = len(self._params)
        seen = number - self._behind + 1  # so many trials are looked at
        over = [self._over[earlier] for earlier in range(seen)]
        self._params.append(self._sampler.propose(number, over, self._params[max(seen, 0) :]))
        plan, sign = self.plan, self.study().sign
        limits = thresholds(
            plan.pruner,
            [(sign * trial.curve).tolist() for trial in over if trial.state != "failed"],
            plan.points,
            plan.n_startup_trials,
            plan.n_warmup_steps,
            plan.reduction_factor,
        )
        return number, settings_of(plan.settings, self._params[number]), limits

    def _skip(self) -> None:
        """Trials that are over already are not proposed again."""
        while (number := len(self._params)) in self._over:
            self._params.append(self._sampler.note(number, self._over[number].params))

    def take(self, outcome: Outcome) -> None:
        """Keep what a worker gave."""
        number = outcome.number
        if number in self._over:
            return
        trial = make_trial(self.plan, number, self._params[number], outcome.state, outcome.curves, outcome.error)
        if self._folder is not None:
            append_trial(self._folder, trial)
        self._over[number] = trial
        self.details = self.details or outcome.details

    def close(self) -> None:
        """Put the files in order."""
        if self._folder is not None:
            close_study(self._folder, self.study())

    def study(self) -> Study:
        return Study(self.plan, list(self._over.values()))

    def corners(self) -> list[Params]:
        """Settings of every kind, for what must be compiled."""
        several = [settings for _, _, both in trial_values(self.space, self.plan.settings) for settings in both]
        return list({run_key(settings): settings for settings in several}.values())


def _run_all(keep: _Keeper, task: Task, n_jobs: int, progress_bar: bool) -> None:
    """Do the trials that are missing, in this process or in workers."""
    import joblib

    study = keep.study()
    search = Search(task, tuple(study.plan.seeds), study.plan.measure, study.plan.over, study.sign)
    jobs = min(joblib.effective_n_jobs(n_jobs), study.plan.n_trials)
    with show_progress(study.plan.n_trials, progress_bar, "trials") as show:
        show(len(study))
        try:
            if jobs == 1:
                while keep.ready():
                    keep.take(run_trial(search, *keep.next()))
                    show(1)
            elif study.unfinished:
                warm_up(task, keep.corners())
                _Workers(keep, search, jobs, show).run()
        finally:
            keep.close()


class _Workers:
    """Trials in processes of this machine, given out one by one."""

    def __init__(self, keep: _Keeper, search: Search, jobs: int, show: Callable[[int], None]) -> None:
        self._keep, self._search, self._jobs, self._show = keep, search, jobs, show
        self._lost: list[tuple[Any, ...]] = []  # trials whose worker died, or that of another beside them
        self._losses: dict[int, int] = {}

    def run(self) -> None:
        """Do all that is ready, until nothing is."""
        while not self._run_until_one_dies():
            pass

    def _run_until_one_dies(self) -> bool:
        """Give trials to new workers; False where one of them died, with what it had to be done again."""
        # Not the executor that `joblib.Parallel` keeps for its next call, and expects as it left it.
        from joblib.externals.loky import ProcessPoolExecutor

        executor = ProcessPoolExecutor(max_workers=self._jobs)
        pending: dict[Future[Outcome], tuple[Any, ...]] = {}
        try:
            while True:
                for trial in self._given(pending):
                    self._lost.insert(0, trial)  # until a worker has it
                    pending[executor.submit(run_in_worker, self._search, *trial)] = trial
                    self._lost.pop(0)
                if not pending:
                    executor.shutdown(wait=True)
                    return True
                over, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in over:
                    self._take(future.result())
                    del pending[future]
        except BrokenExecutor as error:
            self._again(pending, error)
            executor.shutdown(wait=True, kill_workers=True)
            return False
        except BaseException:
            executor.shutdown(wait=True, kill_workers=True)
            raise

    def _given(self, pending: Mapping[Any, tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Trials for the workers that are free. One that was lost again and again is given out alone."""
        room = self._jobs - len(pending)
        while room > 0:
            suspect = bool(self._lost) and self._losses[self._lost[0][0]] >= ATTEMPTS
            if suspect and (room < self._jobs):
                return
            if self._lost:
                yield self._lost.pop(0)
            elif self._keep.ready():
                yield self._keep.next()
            else:
                return
            room -= self._jobs if suspect else 1

    def _again(self, pending: Mapping[Future[Outcome], tuple[Any, ...]], error: BaseException) -> None:
        """A worker died: what was done is taken, and what was under way is to be done again."""
        alone = len(pending) == 1
        for future, trial in pending.items():
            if future.done() and future.exception() is None:
                self._take(future.result())
                continue
            number = trial[0]
            self._losses[number] = self._losses.get(number, 0) + 1
            if alone and self._losses[number] > ATTEMPTS:
                said = "its process was killed each time, perhaps for want of memory: take fewer n_jobs"
                nothing: list[list[float]] = [[] for _ in self._search.seeds]
                self._take(Outcome(number, "failed", nothing, said, str(error)))
            else:
                self._lost.append(trial)

    def _take(self, outcome: Outcome) -> None:
        self._keep.take(outcome)
        self._show(1)


def words_of(plan: StudyPlan) -> dict[str, Any]:
    """The arguments of `tune` that a folder was made with, but for the environment, which may be a map beside it."""
    words = asdict(plan)
    for name in ("env", "unit", "fingerprint", "points"):
        del words[name]
    return words | {"eval_points": plan.points}
