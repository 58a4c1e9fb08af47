"""Many seeds, and many settings, of one agent in one environment as one thing.

`learn_many` makes one run for every setting and seed and hands them to joblib, whose engines do the rest: loky's worker
processes over the cores of this machine, or a Dask or Ray cluster. No run knows of another: each makes its own
environment and agent from the same few words, so what it gives is what it gives alone, bit for bit, on whatever
engine, in whatever order. BLAS keeps to one thread in every run, since its sums depend on their number.

What comes back is kept at once, in a folder where one is named. A run that is lost with its worker is run again: by
the cluster's own scheduler, or here, where the processes of this machine are started anew. Kernels are compiled
once, in this process, before the workers begin; they find them in the cache.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rlgrid.agents import AGENTS, agent_class
from rlgrid.agents.base import Agent, check_count
from rlgrid.alone import Failure, Settings, Task, made_by, run_in_worker, warm_up
from rlgrid.engines import check_engine, engine
from rlgrid.runs import INDEX, Plan, Run, Runs, open_folder, read_plan, read_run, run_key, run_path, write_run
from rlgrid.training import MAP, RunError, algorithm, check_hyperparameters

POINTS = 20  # evaluations, beside the one before the first step
ATTEMPTS = 2  # in a row at runs whose workers died, before each is tried by itself
EVAL_EPISODES = 10  # where the model is not known


class LearnError(RunError):
    """Some runs are missing; those that are done are in ``runs`` (and in the folder, if one was named)."""

    def __init__(self, message: str, runs: Runs) -> None:
        super().__init__(message)
        self.runs = runs


def learn_many(
    agent: str | type[Agent],
    env: Any,
    seeds: Iterable[int] = range(100),
    total_timesteps: int | None = None,
    *,
    settings: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    eval_points: int | Iterable[int] = POINTS,
    eval_episodes: int | None = None,
    tables: bool = False,
    n_jobs: int = -1,
    backend: str = "loky",
    address: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress_bar: bool = False,
) -> Runs:
    """Run an agent on many seeds, and with many settings; what each run gives is what it gives alone.

    Args:
        agent: a name ("q_learning", "dqn"), or a class of agents.
        env: an id, the name of a built-in map, a map file, a `GridSpec`, a model, a Gymnasium spec (``env.spec``), or
            a function that makes the environment. Functions and classes may stand in a script or a notebook.
        seeds: each is the seed of an agent and of its environment's first reset.
        total_timesteps: steps (sweeps of a planner) of each run; None is the agent's default.
        settings: arguments of the agent, for all runs; or a list of such settings, each of which is run.
        grid: values to try for further arguments; all combinations are run.
        env_kwargs: arguments of the environment.
        eval_points: after how many steps the greedy policy is judged: so many points at equal distances and the
            beginning, or the points themselves. Exact where the model is known.
        eval_episodes: of the greedy policy, sampled at every point in an environment of its own; None samples only
            where the model is not known (10 episodes).
        tables: keep the final tables too.
        n_jobs: runs at a time on this machine; -1 is one for each core. A cluster takes as many as it has room for.
        backend: "loky", "dask" or "ray". address: of the cluster, "HOST:PORT".
        folder: where to keep every run as it ends. Runs that are there are not run again, so that a call that was
            stopped, or is made with more seeds or settings, does what is missing.
        progress_bar: show how many runs are done, and the time left.

    Returns:
        The runs that were asked for, by setting and seed.

    Raises:
        ValueError, TypeError: naming the argument that is wrong, before anything is run.
        LearnError: when all is done, if runs failed, or when the engine did; ``error.runs`` holds the others.
        KeyboardInterrupt: from Ctrl-C, with what is done as its attribute ``runs``.
    """
    name, kind = agent_of(agent)
    wanted = check_seeds(seeds)
    combinations = combine({} if settings is None else settings, {} if grid is None else grid)
    check_hyperparameters(kind, name, {key: None for one in combinations for key in one})
    total = total_of(kind, total_timesteps)
    points = check_points(eval_points, total)
    shown, make_env = environment_of(env, dict(env_kwargs or {}))
    own_map = folder is not None and isinstance(env, str) and Path(env) == Path(folder) / MAP
    if folder is not None and own_map and (Path(folder) / INDEX).is_file():
        shown = read_plan(Path(folder)).env  # the map of these very runs
    check_engine(backend, n_jobs, address)
    first = make_env()
    try:
        truth, fingerprint = _validate(kind, first, combinations, wanted[0])
    finally:
        first.close()
    if eval_episodes is None:
        eval_episodes = EVAL_EPISODES if truth is None else 0
    gamma, best, uniform = _optimum(truth)
    plan = Plan(
        agent=name,
        env=shown,
        env_kwargs={key: plain(value, f"env_kwargs {key!r}", exact=False) for key, value in (env_kwargs or {}).items()},
        unit=kind.unit,
        total_timesteps=total,
        points=list(points),
        eval_episodes=check_count("eval_episodes", eval_episodes, least=0),
        tables=bool(tables),
        fingerprint=fingerprint,
        gamma=gamma,
        optimal_value=best,
        uniform_value=uniform,
        settings=combinations,
        seeds=wanted,
    )
    versions = {} if backend == "loky" else made_by()
    task = Task(kind, make_env, total, points, plan.eval_episodes, plan.tables, os.getpid(), versions)
    keep = _Keeper(plan, folder, env)
    try:
        _run_all(task, keep, n_jobs, backend, address, progress_bar)
    except KeyboardInterrupt as interrupt:
        interrupt.runs = keep.runs()  # type: ignore[attr-defined]
        raise
    except RunError as error:
        raise LearnError(str(error), keep.runs()) from error
    keep.complain()
    return keep.runs()


# --- what was asked for -----------------------------------------------------------------------------------------------


def agent_of(agent: str | type[Agent]) -> tuple[str, type[Agent]]:
    """The name and the class of an agent that was given by one of them."""
    if isinstance(agent, str):
        name = algorithm(agent)
        return name, agent_class(name)
    if isinstance(agent, type) and issubclass(agent, Agent):
        ours = agent.__module__.startswith("rlgrid.agents.")
        name = next((key for key in AGENTS if ours and agent_class(key) is agent), agent.__name__)
        return name, agent
    raise TypeError(f"agent must be a name ({', '.join(AGENTS)}) or a class of agents, not {agent!r}")


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """Seeds as a list, rising.

    Raises:
        TypeError, ValueError: naming the seed that is none, or is there twice.
    """
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        raise TypeError(f"seeds must be several whole numbers, as range(100), not {seeds!r}")
    found = sorted(check_count("a seed", seed, least=0) for seed in seeds)
    if not found:
        raise ValueError("seeds is empty: give at least one, as range(100)")
    twice = [a for a, b in itertools.pairwise(found) if a == b]
    if twice:
        raise ValueError(f"seed {twice[0]} is there twice: its two runs would be the same")
    return found


def plain(value: Any, what: str, exact: bool = True) -> Any:
    """A value as JSON has it; what it has no form for is an error, or its text where it need not be had back."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(item, what, exact) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(item, what, exact) for key, item in value.items()}
    if exact:
        raise TypeError(f"{what} must be a number, text, or a list or dict of them, not {value!r}")
    return type(value).__name__


def combine(
    settings: Mapping[str, Any] | Sequence[Mapping[str, Any]], grid: Mapping[str, Iterable[Any]]
) -> list[Settings]:
    """Every combination of the values of ``grid``, with each of ``settings``.

    Raises:
        TypeError, ValueError: naming the argument that is wrong.
    """
    if isinstance(settings, Mapping):
        settings = [settings]
    if isinstance(settings, str) or not all(isinstance(one, Mapping) for one in settings):
        raise TypeError(f"settings must be a dict of arguments, or a list of such dicts, not {settings!r}")
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid must be a dict of lists of values, not {grid!r}")
    fixed = [{name: plain(value, f"the setting {name!r}") for name, value in one.items()} for one in settings]
    axes: list[list[tuple[str, Any]]] = []
    for name, values in grid.items():
        if any(name in one for one in fixed):
            raise ValueError(f"{name} stands in settings and in grid: leave it in one of them")
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"grid {name!r} must be a list of values, not {values!r}")
        axes.append([(name, plain(value, f"grid {name!r}")) for value in values])
        if not axes[-1]:
            raise ValueError(f"grid {name!r} is empty: give it values to try")
    found = [one | dict(choice) for one in fixed for choice in itertools.product(*axes)]
    if not found:
        raise ValueError("settings is an empty list: give at least one, {} for the defaults")
    seen: set[str] = set()
    for one in found:
        if run_key(one) in seen:
            raise ValueError(f"the setting {one or '{}'} is there twice: its runs would be the same")
        seen.add(run_key(one))
    return found


def total_of(kind: type[Agent], total_timesteps: int | None) -> int:
    if total_timesteps is None:
        total_timesteps = kind.default_total_timesteps
    if total_timesteps is None:
        raise TypeError(f"{kind.__name__} has no usual length of a run: give total_timesteps, in {kind.unit}s")
    return check_count("total_timesteps", total_timesteps)


def check_points(eval_points: int | Iterable[int], total: int) -> tuple[int, ...]:
    """The points at which a policy is judged, rising: of a number of them, or as given.

    Raises:
        TypeError, ValueError
    """
    if isinstance(eval_points, Iterable):
        found = [check_count("a point of eval_points", point, least=0) for point in eval_points]
        if not found or sorted(set(found)) != found or found[-1] > total:
            raise ValueError(f"eval_points must rise and lie in 0 to {total}, the steps of a run, not {found}")
        return tuple(found)
    count = min(check_count("eval_points", eval_points), total)
    return tuple(total * i // count for i in range(count + 1))


def environment_of(env: Any, env_kwargs: Settings) -> tuple[str, Callable[[], Any]]:
    """What to call an environment, and a function without arguments that makes it, which a worker can be sent.

    A map file is read here, and of an id the spec is taken: a worker may have no such file, and never have heard of an
    id that this program registered.
    """
    from rlgrid.envs.registry import make
    from rlgrid.gridmap import GridSpec
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

    if isinstance(env, str):
        trial = make(env, **env_kwargs)
        trial.close()
        if env.endswith(".toml"):
            return Path(env).name, partial(make, "rlgrid/GridWorld-v0", **({"map": GridSpec.load(env)} | env_kwargs))
        spec = trial.spec
        if spec is None or spec.id.startswith("rlgrid/"):
            return env, partial(make, env, **env_kwargs)
        return env, spec.make
    if isinstance(env, GridSpec):
        return "GridSpec", partial(make, "rlgrid/GridWorld-v0", map=env, **env_kwargs)
    if isinstance(env, MDP | GridModel):
        from rlgrid.envs.gridworld import GridWorld

        return type(env).__name__, partial(GridWorld, model=env, **env_kwargs)
    if hasattr(env, "reset") and hasattr(env, "step") and not isinstance(env, type):
        raise TypeError("env is an environment; every run needs one of its own: give its id, env.spec, or a function")
    if hasattr(env, "make") and hasattr(env, "id"):
        return str(env.id), partial(env.make, **env_kwargs)
    if callable(env):
        shown = getattr(env, "__qualname__", type(env).__name__)
        return str(shown), partial(env, **env_kwargs)
    raise TypeError(f"env must be an id, a map, a model, a spec, or a function that makes an environment, not {env!r}")


def _validate(kind: type[Agent], env: Any, combinations: Sequence[Settings], seed: int) -> tuple[Any, str | None]:
    """The model that judges policies (None if unknown) and its fingerprint; every setting is tried, none is run."""
    from rlgrid.agents.checkpoint import fingerprint

    truth: Any = None
    for one in combinations:
        truth = kind(env=env, seed=seed, **one).truth
    return truth, fingerprint(truth)


def _optimum(model: Any) -> tuple[float | None, float | None, float | None]:
    """(gamma, J*, J of the uniformly random policy); None where they are unknown."""
    from rlgrid.regret import optimum

    if model is None:
        return None, None, None
    try:
        found = optimum(model)
    except ValueError as error:
        warnings.warn(f"no exact regret: {error}", stacklevel=3)
        return float(model.gamma), None, None
    return float(model.gamma), found.value, found.uniform


# --- all runs ---------------------------------------------------------------------------------------------------------


class _Keeper:
    """What is there and what is missing; runs are kept as they come, each once."""

    def __init__(self, plan: Plan, folder: str | os.PathLike[str] | None, env: Any) -> None:
        self.asked = plan
        self._folder: Path | None = None
        self._failures: list[tuple[Settings, int, Failure]] = []
        self._done: dict[tuple[str, int], Run] = {}
        if folder is None:
            return
        self._folder, self._plan = open_folder(folder, plan)
        if isinstance(env, str) and env.endswith(".toml"):
            with contextlib.suppress(shutil.SameFileError):
                shutil.copyfile(env, self._folder / MAP)
        for settings, seed in self._all():
            path = run_path(self._folder, self._plan, settings, seed)
            if path.exists():
                self._done[run_key(settings), seed] = replace(read_run(path, self._plan), settings=settings)

    def _all(self) -> Iterator[tuple[Settings, int]]:
        return itertools.product(self.asked.settings, self.asked.seeds)

    def missing(self) -> list[tuple[Settings, int]]:
        """What is to be run: not there, and not failed."""
        failed = {(run_key(settings), seed) for settings, seed, _ in self._failures}
        over = failed | self._done.keys()
        return [(settings, seed) for settings, seed in self._all() if (run_key(settings), seed) not in over]

    def take(self, settings: Settings, seed: int, result: Run | Failure) -> None:
        """Keep what a worker gave."""
        key = (run_key(settings), seed)
        if isinstance(result, Failure):
            self._failures.append((settings, seed, result))
        elif key not in self._done:  # what a lost worker had done and could not say is done twice, and kept once
            if self._folder is not None:
                write_run(self._folder, self._plan, result)
            self._done[key] = result

    def runs(self) -> Runs:
        return Runs(self.asked, list(self._done.values()))

    def complain(self) -> None:
        """Raise what failed."""
        if not self._failures:
            return
        told = []
        for settings, seed, failure in self._failures[:3]:
            which = f"seed {seed}" + (f" with {settings}" if settings else "")
            told.append(f"{which}: {failure.error}")
        more = len(self._failures) - len(told)
        count = f"{len(self._failures)} of {len(self.asked.settings) * len(self.asked.seeds)} runs failed"
        error = LearnError("; ".join([count, *told, *([f"and {more} more"] if more else [])]), self.runs())
        error.add_note(self._failures[0][2].details)
        raise error


def _run_all(task: Task, keep: _Keeper, n_jobs: int, backend: str, address: str | None, progress_bar: bool) -> None:
    """Run what is missing, until nothing is."""
    total = len(keep.asked.settings) * len(keep.asked.seeds)
    with show_progress(total, progress_bar) as show:
        missing = keep.missing()
        show(total - len(missing))
        if not missing:
            return
        with engine(backend, address, n_jobs, len(missing)) as (parallel, here):
            if here:
                for settings, seed in missing:
                    keep.take(*run_in_worker(task, settings, seed))
                    show(1)
                return
            warm_up(task, [settings for settings, _ in missing])
            lost = 0
            while missing:
                try:
                    for settings, seed, result in _results(parallel, task, missing):
                        keep.take(settings, seed, result)
                        show(1)
                        lost = 0
                except BrokenExecutor:
                    lost += 1
                    if lost == ATTEMPTS:
                        _find_deadly(parallel, task, keep, show)
                        lost = 0
                missing = keep.missing()


def _find_deadly(parallel: Callable[[], Any], task: Task, keep: _Keeper, show: Callable[[int], None]) -> None:
    """Do what is missing one by one, up to the run that kills its worker: that one has failed."""
    for settings, seed in keep.missing():
        for attempt in range(ATTEMPTS):  # the first may meet what the run before it has left
            try:
                for done in _results(parallel, task, [(settings, seed)]):
                    keep.take(*done)
                    show(1)
                break
            except BrokenExecutor as error:
                if attempt + 1 == ATTEMPTS:
                    said = "its process was killed each time, perhaps for want of memory: take fewer n_jobs"
                    keep.take(settings, seed, Failure(said, str(error)))
                    show(1)
                    return


def _results(parallel: Callable[[], Any], task: Task, missing: Sequence[tuple[Settings, int]]) -> Iterator[Any]:
    """What the workers give, as it comes."""
    from joblib import delayed

    results = parallel()(delayed(run_in_worker)(task, settings, seed) for settings, seed in missing)
    try:
        yield from results
    finally:
        results.close()


@contextlib.contextmanager
def show_progress(total: int, enabled: bool, what: str = "runs") -> Iterator[Callable[[int], None]]:
    """A bar of what is done and the time left."""
    if not enabled:
        yield lambda _: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda count: progress.advance(bar, count)
