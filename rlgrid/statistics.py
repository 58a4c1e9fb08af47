"""What many runs say: interquartile mean, bootstrap intervals, probability of improvement, performance profiles.

A few runs of one agent differ by more than two agents do, so a mean without its interval says little. These are the
measures of Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice", over scores
float64 [N] (runs of one task) or [N, M] (runs of M tasks):

    interquartile mean          the mean of the middle half: floor(n / 4) scores are cut off at either end
    bootstrap interval          the percentile interval of a statistic, runs drawn again with replacement within each
                                task (stratified), so that every task keeps its weight
    probability of improvement  P(X > Y) + P(X = Y) / 2 for a run X of one agent and a run Y of another
    performance profile         the share of runs whose score exceeds tau, as a function of tau

Runs on common seeds are pairs: `bootstrap_interval(..., paired=True)` draws seeds, not runs, and `compare` says on how
many seeds one agent is the better one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000  # of a bootstrap, as in the paper
CONFIDENCE = 0.95


def check_scores(scores: ArrayLike, name: str = "scores") -> Floats:
    """Scores as float64 [N, M]; [N] is one task. Infinite scores have a rank and may stand; NaN has none.

    Raises:
        TypeError, ValueError: naming what is wrong.
    """
    try:
        found = np.asarray(scores, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numbers [runs] or [runs, tasks]: {error}") from None
    if found.ndim not in {1, 2} or found.size == 0:
        raise ValueError(f"{name} must have the shape [runs] or [runs, tasks] and hold one run, not {found.shape}")
    _check_known(found, name)
    return found.reshape(len(found), -1)


def _check_known(scores: Floats, name: str) -> None:
    """Raise a ValueError where a score is NaN, which has no rank."""
    if np.isnan(scores).any():
        place = tuple(int(i) for i in np.argwhere(np.isnan(scores))[0])
        raise ValueError(f"{name}[{', '.join(map(str, place))}] is NaN: leave out the runs that have no score")


def interquartile_mean(scores: ArrayLike, axis: int | None = None) -> Any:
    """The mean of the middle half of the scores; floor(n / 4) of n are cut off at either end.

    Args:
        scores: numbers of any shape.
        axis: along which to take it; None takes all scores together, as is usual over tasks.

    Raises:
        ValueError: without a score, and where one is NaN, naming its place.
    """
    found = np.asarray(scores, np.float64)
    _check_known(found, "scores")
    if axis is None:
        found, axis = found.ravel(), 0
    count = found.shape[axis]
    if count == 0:
        raise ValueError("there is no score to take the mean of")
    cut = count // 4
    middle = np.moveaxis(np.sort(found, axis=axis), axis, 0)[cut : count - cut]
    with np.errstate(invalid="ignore"):  # of both infinities there is no mean: NaN
        mean = middle.mean(axis=0)
    return float(mean) if mean.ndim == 0 else mean


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y) + P(X = Y) / 2 for runs X of ``x`` and Y of ``y``, the mean over tasks (Mann and Whitney's U / (n m)).

    Args:
        x, y: scores [N] and [N'], or [N, M] and [N', M]; greater is better.
    """
    return _improvement(*_two(x, y))


def _two(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    first, second = check_scores(x, "x"), check_scores(y, "y")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"x has {first.shape[1]} tasks and y {second.shape[1]}: give both the same tasks")
    return first, second


def _improvement(x: Floats, y: Floats) -> float:
    total = 0.0
    for ours, theirs in zip(x.T, np.sort(y, axis=0).T, strict=True):
        below = np.searchsorted(theirs, ours, "left") + np.searchsorted(theirs, ours, "right")
        total += float(below.mean()) / (2 * len(theirs))
    return float(total / x.shape[1])


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Floats:
    """float64 [T]: the share of runs whose score exceeds each threshold, the mean over tasks."""
    found = check_scores(scores)
    taus = np.atleast_1d(np.asarray(thresholds, np.float64))
    shares = [1.0 - np.searchsorted(task, taus, "right") / len(task) for task in np.sort(found, axis=0).T]
    profile: Floats = np.mean(shares, axis=0)
    return profile


def bootstrap_interval(
    statistic: Callable[..., Any],
    *scores: ArrayLike,
    paired: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Any, Any]:
    """The percentile bootstrap interval (low, high) of ``statistic(*scores)``.

    Args:
        statistic: of one array [N, M] (or of several) to a number, or to an array, which gives arrays of bounds.
        scores: [N] or [N, M] each. Runs are drawn with replacement, in each task apart and in each array apart.
        paired: the arrays hold the same seeds in the same order: the same rows are drawn for all of them and all tasks.
        confidence: in (0, 1). resamples: how many times to draw. seed: of the draws.

    Raises:
        TypeError, ValueError: naming what is wrong.
    """
    found = [check_scores(given) for given in scores]
    if not found:
        raise ValueError("bootstrap_interval needs scores to draw from")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), not {confidence!r}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples!r}")
    if paired and len({len(given) for given in found}) > 1:
        raise ValueError(f"paired scores have the same seeds, not {' and '.join(str(len(given)) for given in found)}")
    generator = np.random.default_rng(seed)
    results = []
    for _ in range(resamples):
        if paired:
            rows = generator.integers(0, len(found[0]), len(found[0]))
            drawn = [given[rows] for given in found]
        else:
            drawn = [
                np.take_along_axis(given, generator.integers(0, len(given), given.shape), axis=0) for given in found
            ]
        results.append(statistic(*drawn))
    tail = (1.0 - confidence) / 2.0
    # Without interpolation an infinite score stays a bound and becomes no NaN.
    low, high = np.quantile(np.asarray(results, np.float64), (tail, 1.0 - tail), axis=0, method="inverted_cdf")
    return (float(low), float(high)) if np.ndim(low) == 0 else (low, high)


@dataclass(frozen=True)
class Comparison:
    """Two agents on common seeds; greater scores are better.

    Attributes:
        seeds: how many seeds both have.
        difference: the interquartile mean of x - y over the seeds. difference_interval: its bootstrap interval.
        probability: that a run of x is better than one of y (`probability_of_improvement`). probability_interval: its.
        wins, ties, losses: seeds on which x is better than y, equal, and worse.
        confidence: of both intervals.
    """

    seeds: int
    difference: float
    difference_interval: tuple[float, float]
    probability: float
    probability_interval: tuple[float, float]
    wins: int
    ties: int
    losses: int
    confidence: float = CONFIDENCE

    def __str__(self) -> str:
        low, high = self.difference_interval
        least, most = self.probability_interval
        return (
            f"on {self.seeds} common seeds: difference {self.difference:.4g} [{low:.4g}, {high:.4g}], "
            f"probability of improvement {self.probability:.1%} [{least:.1%}, {most:.1%}], "
            f"{self.wins} better, {self.ties} equal, {self.losses} worse"
        )


def compare(
    x: ArrayLike, y: ArrayLike, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare scores [N] of two agents, run for run on the same seed; greater is better.

    Raises:
        TypeError, ValueError: naming what is wrong.
    """
    ours, theirs = check_scores(x, "x"), check_scores(y, "y")
    if ours.shape != theirs.shape or ours.shape[1] != 1:
        raise ValueError(f"x and y must be scores [N] on the same seeds, not {np.shape(x)} and {np.shape(y)}")
    apart = np.subtract(ours, theirs, where=ours != theirs, out=np.zeros_like(ours))  # equal infinities are no NaN
    drawn: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    return Comparison(
        seeds=len(ours),
        difference=interquartile_mean(apart),
        difference_interval=bootstrap_interval(interquartile_mean, apart, **drawn),
        probability=_improvement(ours, theirs),
        probability_interval=bootstrap_interval(_improvement, ours, theirs, paired=True, **drawn),
        wins=int((ours > theirs).sum()),
        ties=int((ours == theirs).sum()),
        losses=int((ours < theirs).sum()),
        confidence=confidence,
    )
