"""One trial of a search, as it is done wherever it is done: the runs of one setting on all seeds, side by side.

The runs go from point to point together. After each point the trial is judged over all seeds, and it stops itself where
it is worse than the threshold that it was given. Each run is what `rlgrid.learn_many` makes of the same words.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlgrid.alone import Going, Settings, Task, one_blas_thread
from rlgrid.pruning import stops
from rlgrid.study import curve_of


@dataclass(frozen=True)
class Search:
    """What all trials of a study have in common, as it travels to a worker. ``sign`` is 1 where less is better."""

    task: Task
    seeds: tuple[int, ...]
    measure: str
    over: str
    sign: float


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: see `rlgrid.study.Trial`. ``details`` is the traceback of one that failed."""

    number: int
    state: str
    curves: list[list[float]]
    error: str = ""
    details: str = ""


def run_trial(search: Search, number: int, settings: Settings, thresholds: Sequence[float]) -> Outcome:
    """Do a trial in this process. An error is told, not raised, so that one that fails costs the others nothing."""
    curves: list[list[float]] = [[] for _ in search.seeds]
    seed = search.seeds[0]
    try:
        with one_blas_thread(), contextlib.ExitStack() as stack:
            several = []
            for seed in search.seeds:
                several.append(stack.enter_context(contextlib.closing(Going(search.task, settings, seed))))
            for point, threshold in zip(search.task.points, thresholds, strict=True):
                for going, curve in zip(several, curves, strict=True):
                    seed = going.agent.seed
                    curve.append(going.look_at(point)[search.measure])
                value = search.sign * curve_of(np.array(curves), search.over)[-1]
                if stops(value, threshold):
                    return Outcome(number, "pruned", curves)
    except Exception as error:
        reached = min(map(len, curves))  # at the same points on all seeds
        whole = [curve[:reached] for curve in curves]
        said = f"seed {seed}: {type(error).__name__}: {error}"
        return Outcome(number, "failed", whole, said, traceback.format_exc())
    return Outcome(number, "complete", curves)


def run_in_worker(*words: Any) -> Outcome:
    """`run_trial` in a worker process."""
    os.environ.setdefault("RLGRID_NUM_THREADS", "1")
    # Ctrl-C is the business of the process that asked; it reaches all processes of a terminal.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return run_trial(*words)
