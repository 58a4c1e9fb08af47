"""One run of many, as it is done wherever it is done: from a few words to what is kept of it.

A run makes its own environment and agent, goes from point to point, and judges the greedy policy at each: exactly where
the model is known, by episodes in an environment of its own where they are asked for. BLAS keeps to one thread,
since its sums depend on their number; so a run gives the same bits in this process, in a worker, and by itself.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import platform
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import Agent
from rlgrid.agents.checkpoint import fingerprint
from rlgrid.runs import JUDGED, Run, run_key
from rlgrid.training import EVALUATION_STEPS
from rlgrid.truth import MEASURES, Truth

WARM_UP = 64  # units of the run that compiles
MOST_JUDGES = 8  # worlds that are kept solved

Settings = dict[str, Any]


@functools.cache
def made_by() -> dict[str, str]:
    """What the bits of a run depend on beside its words: the versions here, and a hash of our own code."""
    code, root = hashlib.sha256(), Path(__file__).resolve().parent
    for path in sorted(root.rglob("*.py")):
        code.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    for name in ("agents", "envs"):  # links in a checkout, which rglob does not follow
        for path in sorted((root / name).resolve().rglob("*.py")):
            code.update(f"{name}/{path.name}".encode() + b"\0" + path.read_bytes())
    versions = {name: metadata.version(name) for name in ("gymnasium", "numpy", "scipy", "numba")}
    return {"python": platform.python_version(), **versions, "the code of rlgrid": code.hexdigest()[:12]}


@dataclass(frozen=True)
class Task:
    """What every run of a call has in common, as it travels to a worker."""

    kind: type[Agent]
    make_env: Callable[[], Any]
    total_timesteps: int
    points: tuple[int, ...]
    eval_episodes: int
    tables: bool
    home: int  # the process that asked
    made_by: dict[str, str] = field(default_factory=dict)  # where it was asked; empty where the workers are here


@dataclass(frozen=True)
class Failure:
    """What a run that failed says."""

    error: str
    details: str


def run_alone(task: Task, settings: Settings, seed: int) -> Run:
    """One run, in this process."""
    with one_blas_thread(), contextlib.closing(Going(task, settings, seed)) as going:
        for point in task.points:
            going.look_at(point)
        return going.finish()


class Going:
    """One run on its way from point to point. Several may be under way side by side: none knows of the others."""

    def __init__(self, task: Task, settings: Settings, seed: int) -> None:
        self._task, self._settings = task, settings
        self._envs = [task.make_env()]
        try:
            if task.eval_episodes:
                self._envs.append(task.make_env())  # predicting must not disturb the run
            self.agent = task.kind(env=self._envs[0], seed=seed, **settings)
            self._judge = _Judge(self.agent, self._envs[-1], task.eval_episodes)
            self.agent.begin(task.total_timesteps)
        except BaseException:
            self.close()
            raise

    def look_at(self, point: int) -> dict[str, float]:
        """Go on to a point and judge the agent there: the numbers of `rlgrid.truth` and ``mean_return``."""
        _advance_to(self.agent, point)
        return self._judge.look()

    def finish(self) -> Run:
        """Go on to the end; what is kept of the run."""
        _advance_to(self.agent, self._task.total_timesteps)
        return Run(
            seed=self.agent.seed,
            settings=self._settings,
            episode_returns=np.array(self.agent.episode_returns, np.float64),
            episode_lengths=np.array(self.agent.episode_lengths, np.int64),
            timesteps=np.array(self._task.points, np.int64),
            **self._judge.arrays(),
            tables=_tables(self.agent) if self._task.tables else {},
        )

    def close(self) -> None:
        """Close its environments."""
        for env in self._envs:
            env.close()


def _advance_to(agent: Agent, timesteps: int) -> None:
    while agent.num_timesteps < timesteps:
        if agent.advance(min(agent.chunk_size, timesteps - agent.num_timesteps)) == 0:
            break  # a planner that is done


class _Judge:
    """What is true of an agent, and the sampled return of its policy, point by point."""

    def __init__(self, agent: Agent, env: Any, episodes: int) -> None:
        self._agent, self._env, self._episodes = agent, env, episodes
        self._truth = _truth_of(agent)
        self._seen: list[dict[str, float]] = []

    def look(self) -> dict[str, float]:
        """Judge the agent as it is now."""
        seen = dict.fromkeys(MEASURES, math.nan)
        if self._truth is not None:
            seen = self._truth.look(self._agent).numbers()
        seen["mean_return"] = self._sample()
        self._seen.append(seen)
        return seen

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """float64 [P] each, by the names of `rlgrid.runs.JUDGED`."""
        return {name: np.array([seen[name] for seen in self._seen], np.float64) for name in JUDGED}

    def _sample(self) -> float:
        from rlgrid.agents import evaluate_policy

        if not self._episodes:
            return math.nan
        spec = self._env.spec
        capped = spec is not None and spec.max_episode_steps is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of episodes that are cut off: their returns so far count
            mean, _ = evaluate_policy(
                self._agent,
                self._env,
                n_eval_episodes=self._episodes,
                seed=self._agent.seed + 1,  # not the episodes that it trains on
                max_episode_steps=None if capped else EVALUATION_STEPS,
            )
        return mean


class _Known(threading.local):
    """The judges of this thread, so that a world is solved once for all its runs."""

    def __init__(self) -> None:
        self.judges: dict[tuple[str | None, float], Truth] = {}


_KNOWN = _Known()


def _truth_of(agent: Agent) -> Truth | None:
    if agent.truth is None:
        return None
    key = (fingerprint(agent.truth), agent.gamma)
    if key not in _KNOWN.judges:
        while len(_KNOWN.judges) >= MOST_JUDGES:
            _KNOWN.judges.pop(next(iter(_KNOWN.judges)))
        _KNOWN.judges[key] = Truth(agent.truth, agent.gamma)
    return _KNOWN.judges[key]


def _tables(agent: Agent) -> dict[str, Any]:
    found = {}
    for name in ("q_values", "values", "policy", "visits"):
        try:
            table = getattr(agent, name)
        except AttributeError:  # a network over vectors has no tables
            continue
        if table is not None:
            found[name] = np.ascontiguousarray(table)
    return found


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    import scipy.linalg  # noqa: F401  # the BLAS that will be called must be loaded to be found
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def run_in_worker(task: Task, settings: Settings, seed: int) -> tuple[Settings, int, Run | Failure]:
    """What a worker does. An error is told, not raised, so that one run that fails costs the others nothing."""
    if os.getpid() != task.home:
        differ = [f"{n} is {made_by()[n]} there and {v} here" for n, v in task.made_by.items() if made_by()[n] != v]
        if differ:
            said = f"the worker on {platform.node()} would give other bits: {', '.join(differ)}. Install the same there"
            return settings, seed, Failure(said, said)
        os.environ.setdefault("RLGRID_NUM_THREADS", "1")
        # Ctrl-C is the business of the process that asked; it reaches all processes of a terminal.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return settings, seed, run_alone(task, settings, seed)
    except Exception as error:
        return settings, seed, Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def warm_up(task: Task, settings: Iterable[Settings]) -> None:
    """Compile here what the workers will need, so that they find it in the cache and not each compiles it.

    A kernel depends on the kinds of its arguments and not on numbers, so one run for each kind of setting will do.
    """
    kinds: dict[str, Settings] = {}
    for one in settings:
        key = run_key({name: type(v).__name__ if isinstance(v, int | float) else v for name, v in one.items()})
        kinds.setdefault(key, one)
    length = min(WARM_UP, task.total_timesteps)
    short = replace(task, total_timesteps=length, points=(0, length), eval_episodes=0)
    for one in kinds.values():
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run_alone(short, one, 0)  # what goes wrong goes wrong in the runs, which say it
