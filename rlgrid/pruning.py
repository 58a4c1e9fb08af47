"""When a trial of a search is stopped early: how bad its curve may be at each point.

A trial is judged by the trials before it alone, so it can be told at its start what it has to reach: one number for
each point, a threshold, and it stops itself where it is worse. So what a search gives does not depend on how many
workers it has, or on which of them is the faster.

    median    the median stopping rule of Golovin et al. (2017), "Google Vizier", section 3.2: the threshold is the
              median of the earlier trials at that point. One that was stopped counts on with its last value, so that
              the threshold does not become that of survivors alone
    halving   successive halving without waiting, Li et al. (2020), "A system for massively parallel hyperparameter
              tuning": at rungs, total / eta, total / eta^2, ... of the run, only the best 1 / eta of the trials that
              reached the rung go on, this one counted
    none      no trial is stopped

Curves here are such that less is better. Infinity and NaN are the worst.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PRUNERS = ("median", "halving", "none")


def thresholds(
    pruner: str, curves: Sequence[Sequence[float]], points: Sequence[int], startup: int, warmup: int, eta: int
) -> list[float]:
    """How bad a trial may be at each of ``points``: infinite where it is not judged.

    Args:
        pruner: one of `PRUNERS`.
        curves: of the trials before it, each as far as it came; less is better.
        points: units after which trials are judged; at the last a trial is over and there is nothing to stop.
        startup: so many trials must have reached a point before anything is stopped there.
        warmup: nothing is stopped at a point before so many units.
        eta: of successive halving.
    """
    free = [math.inf] * len(points)
    if pruner == "none" or not curves:
        return free
    worst = [[math.inf if math.isnan(value) else value for value in curve] for curve in curves if len(curve)]
    judged = [i for i, point in enumerate(points[:-1]) if point > 0 and point >= warmup]
    if pruner == "halving":
        judged = [i for i in rungs(points, eta) if i in judged]
    for i in judged:
        if pruner == "median":
            seen = [curve[min(i, len(curve) - 1)] for curve in worst]
            if len(seen) >= max(startup, 1):
                # Not numpy's, which has no number between a finite and an infinite one.
                free[i] = sorted(seen)[len(seen) // 2] if len(seen) % 2 else _between(sorted(seen))
        else:
            seen = sorted(curve[i] for curve in worst if len(curve) > i)
            if len(seen) >= max(startup, eta - 1):
                free[i] = seen[max(1, (len(seen) + 1) // eta) - 1]
    return free


def _between(ordered: list[float]) -> float:
    """The middle of the two middle ones."""
    low, high = ordered[len(ordered) // 2 - 1], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2.0


def rungs(points: Sequence[int], eta: int) -> list[int]:
    """Indices of the points of successive halving: the first at or after total / eta, total / eta^2, ..."""
    total, found, part = points[-1], set[int](), points[-1]
    while (part := part // eta) > 0:
        i = int(np.searchsorted(points, part))
        if 0 < points[i] < total:
            found.add(i)
    return sorted(found)


def stops(value: float, threshold: float) -> bool:
    """Whether a trial at ``value`` is stopped; less is better."""
    return bool(math.isfinite(threshold) and not value <= threshold)
