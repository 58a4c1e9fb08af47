"""Statistics of runs against slow, obvious ways of working them out."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import bootstrap, mannwhitneyu, trim_mean

from rlgrid.statistics import (
    bootstrap_interval,
    compare,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)


def some_scores(seed: int, runs: int, tasks: int) -> np.ndarray:
    """Scores with ties in them."""
    return np.random.default_rng(seed).normal(size=(runs, tasks)).round(1)


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5, 7, 8, 30])
def test_the_interquartile_mean_is_the_mean_of_the_middle_half(runs: int) -> None:
    scores = some_scores(runs, runs, 3)
    pooled = sorted(scores.ravel().tolist())
    while len(pooled) > scores.size - 2 * (scores.size // 4):
        pooled = pooled[1:-1]
    assert interquartile_mean(scores) == pytest.approx(sum(map(Fraction, pooled)) / len(pooled), rel=1e-14)
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25, axis=None), rel=1e-14)
    for axis in (0, 1):
        each = [interquartile_mean(one) for one in np.moveaxis(scores, axis, -1)]
        np.testing.assert_allclose(interquartile_mean(scores, axis=axis), each, rtol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_improvement_counts_pairs_and_half_of_the_ties(seed: int) -> None:
    x, y = some_scores(seed, 6, 3), some_scores(seed + 50, 9, 3) + 0.3
    y = y.round(1)
    tasks = []
    for task in range(3):
        pairs = list(itertools.product(x[:, task], y[:, task]))
        tasks.append(sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs))
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(tasks), abs=1e-14)
    u = [mannwhitneyu(x[:, task], y[:, task]).statistic / (6 * 9) for task in range(3)]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(u), abs=1e-14)
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1.0)


def test_a_profile_is_the_share_of_runs_above() -> None:
    scores = some_scores(1, 11, 4)
    thresholds = np.linspace(-2.0, 2.0, 41).round(1)
    naive = [np.mean([score > tau for score in scores.ravel()]) for tau in thresholds]
    np.testing.assert_allclose(performance_profile(scores, thresholds), naive, atol=1e-14)
    assert performance_profile(scores, [-np.inf, np.inf]).tolist() == [1.0, 0.0]


def test_the_bootstrap_of_two_runs_is_known_exactly() -> None:
    """Of two runs 0 and 1 the mean of a resample is 0, 1/2 or 1, with probability 1/4, 1/2 and 1/4."""
    low, high = bootstrap_interval(np.mean, [0.0, 1.0], confidence=0.4, resamples=4_000)
    assert (low, high) == (0.5, 0.5)  # 30 % to 70 % lie within the middle
    assert bootstrap_interval(np.mean, [0.0, 1.0], confidence=0.6, resamples=4_000) == (0.0, 1.0)  # 20 % to 80 %


def test_runs_are_drawn_within_their_task() -> None:
    """A task whose runs all agree stays what it is in every resample; drawn over all tasks it would not."""
    scores = np.column_stack([np.full(5, 10.0), np.full(5, -10.0)])
    assert bootstrap_interval(np.mean, scores) == (0.0, 0.0)


def test_pairs_stay_pairs() -> None:
    x = np.random.default_rng(0).normal(size=20)
    assert bootstrap_interval(lambda a, b: float((a - b).mean()), x, x + 1.0, paired=True) == pytest.approx((-1, -1))
    low, high = bootstrap_interval(lambda a, b: float((a - b).mean()), x, x + 1.0)
    assert low < -1.2
    assert high > -0.8


def test_the_interval_is_scipys_percentile_interval() -> None:
    x = np.random.default_rng(3).exponential(size=40)
    ours = bootstrap_interval(np.mean, x, resamples=20_000)
    theirs = bootstrap((x,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1))
    np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.015)  # both are sampled


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for sample in range(300):
        low, high = bootstrap_interval(np.mean, generator.normal(size=50), resamples=300, seed=sample)
        inside += low <= 0.0 <= high
    assert 0.90 <= inside / 300 <= 0.98


def test_comparison_of_pairs() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 9.0]), np.array([0.0, 2.0, 2.5, 4.5, 0.0])
    found = compare(x, y)
    assert (found.wins, found.ties, found.losses, found.seeds) == (3, 1, 1, 5)
    assert found.difference == pytest.approx(interquartile_mean(x - y))
    assert found.probability == probability_of_improvement(x, y)
    low, high = found.difference_interval
    assert low <= found.difference <= high
    assert "3 better, 1 equal, 1 worse" in str(found)
    back = compare(y, x)
    assert back.difference == -found.difference
    assert compare([np.inf, 1.0], [np.inf, 0.0]).difference == 0.5  # equal infinities differ by nothing


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: compare([1.0, 2.0], [1.0]), "same seeds"),
        (lambda: probability_of_improvement([[1.0, 2.0]], [[1.0]]), "x has 2 tasks and y 1"),
        (lambda: performance_profile([[1.0, np.nan]], [0.0]), r"scores\[0, 1\] is NaN"),
        (lambda: bootstrap_interval(np.mean, []), "hold one run"),
        (lambda: bootstrap_interval(np.mean), "needs scores"),
        (lambda: bootstrap_interval(np.mean, [1.0], confidence=95), "confidence must lie in"),
        (lambda: bootstrap_interval(np.mean, [1.0], resamples=0), "resamples must be at least 1"),
        (lambda: bootstrap_interval(np.mean, [1.0], [1.0, 2.0], paired=True), "1 and 2"),
        (lambda: interquartile_mean([]), "no score"),
        (lambda: interquartile_mean([1.0, np.nan, 2.0]), r"scores\[1\] is NaN"),
    ],
)
def test_what_is_wrong_is_named(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
    with pytest.raises(TypeError, match="must be numbers"):
        performance_profile("abc", [0.0])
