"""The random walks of Sutton & Barto, 2nd ed.: Figure 7.2, Example 6.2, and the shapes of Figures 12.6 and 12.8.

All settings see the same walks, as in the book, so that differences between them are known better than the errors
themselves. The figures print no numbers: what can be read from them is about 0.27 for the least error of Figure 7.2.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parent.parent / "docs"
Floats = NDArray[np.float64]


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> Any:
    """docs/curves.py, whose page has Figure 7.2."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("curves")


def errors(curves: Any, name: str, env: Any, runs: int, episodes: int, **settings: Any) -> Floats:
    """float64 [runs, episodes]: the RMS error over the states between the ends, after each episode."""
    return np.array([curves.walk_errors(name, env, episodes, seed, **settings) for seed in range(runs)])


def interval(each: Floats) -> tuple[float, float]:
    """The mean and half of its 95 % confidence interval."""
    return float(each.mean()), float(1.96 * each.std(ddof=1) / np.sqrt(each.size))


def nineteen() -> Any:
    return gym.make("rlgrid/RandomWalk-v0").unwrapped


def test_four_steps_are_best_on_the_nineteen_states(curves: Any) -> None:
    """Figure 7.2: RMS error over the 19 states and the first 10 episodes, for n and alpha; 1,000 runs."""
    tried: dict[int, Sequence[float]] = {
        1: (0.7, 0.8, 0.9),
        2: (0.5, 0.6, 0.7),
        4: (0.3, 0.35, 0.4, 0.45, 0.5),
        8: (0.2, 0.25, 0.3),
        16: (0.1, 0.15, 0.2),
        32: (0.05, 0.1, 0.15),
    }
    env, best = nineteen(), {}
    for n, alphas in tried.items():
        each = {a: errors(curves, "NStepTD", env, 1000, 10, learning_rate=a, n_steps=n).mean(axis=1) for a in alphas}
        order = [float(each[a].mean()) for a in alphas]
        assert min(order) not in (order[0], order[-1]), n  # each curve falls and rises again
        best[n] = alphas[int(np.argmin(order))], each[alphas[int(np.argmin(order))]]
    alpha, least = best[4]
    page = (DOCS / "curves.md").read_text(encoding="utf-8")
    mean, half = interval(least)
    assert abs(alpha - 0.4) <= 0.05 + 1e-9
    assert half < 0.004
    assert mean == pytest.approx(0.27, rel=0.1)
    assert f"at n = 4, learning rate 0.4 (Figure 7.2) | n = 4 is best | {mean:.3f} ± {half:.3f} |" in page
    for n, (_, other) in best.items():  # the same walks: the difference is known far better than either
        more, doubt = interval(other - least)
        assert n == 4 or more > 3.0 * doubt
    # The larger n, the smaller the best step size.
    assert [best[n][0] for n in tried] == sorted((best[n][0] for n in tried), reverse=True)


def test_differences_learn_more_quickly_than_returns(curves: Any) -> None:
    """Example 6.2: five states, V begins at 0.5; TD(0) is consistently better than constant-alpha Monte Carlo."""
    env: Any = gym.make("rlgrid/RandomWalk-v0", num_states=5, left=0.0).unwrapped
    runs, given = 200, {"initial_values": 0.5}
    td = {a: errors(curves, "TD0", env, runs, 100, learning_rate=a, **given) for a in (0.05, 0.1, 0.15)}
    monte_carlo = {
        a: errors(curves, "MonteCarloPrediction", env, runs, 100, learning_rate=a, visits="every", **given)
        for a in (0.01, 0.02, 0.03, 0.04)
    }
    # The least error that either has after so many walks, whatever its step size.
    for walks in (10, 25, 50, 100):
        one = min((each[:, walks - 1] for each in td.values()), key=np.mean)
        other = min((each[:, walks - 1] for each in monte_carlo.values()), key=np.mean)
        more, doubt = interval(other - one)
        assert more > doubt, walks
    # At first the error is that of 0.5 everywhere; large steps learn more at first, small ones in the end.
    assert td[0.05][:, 0].mean() == pytest.approx(np.sqrt(np.mean((np.arange(1, 6) / 6 - 0.5) ** 2)), rel=0.05)
    assert td[0.15][:, 9].mean() < td[0.1][:, 9].mean() < td[0.05][:, 9].mean()
    assert td[0.05][:, 99].mean() < td[0.1][:, 99].mean() < td[0.15][:, 99].mean()


def test_traces_on_the_nineteen_states(curves: Any) -> None:
    """Figure 12.6: TD(lambda) is best at an intermediate lambda and unstable at lambda 1 where alpha is not small;
    Figure 12.8: true online TD(lambda) is better, and stable."""
    env = nineteen()

    def error(name: str, lam: float, alpha: float) -> Floats:
        return errors(curves, name, env, 300, 10, learning_rate=alpha, lam=lam).mean(axis=1)

    best = {0.0: 0.8, 0.4: 0.6, 0.8: 0.3, 0.9: 0.2, 0.95: 0.1}
    usual = {lam: error("TDLambda", lam, alpha) for lam, alpha in best.items()}
    least = min(usual, key=lambda lam: float(usual[lam].mean()))
    assert least == 0.8
    for lam in (0.0, 0.95):
        more, doubt = interval(usual[lam] - usual[least])
        assert more > 3.0 * doubt
    online = error("TrueOnlineTDLambda", 0.8, 0.4)
    more, doubt = interval(error("TDLambda", 0.8, 0.4) - online)
    assert more > 3.0 * doubt
    assert interval(usual[least] - online)[0] > 0.0
    assert error("TDLambda", 1.0, 0.1).mean() > 10.0  # of values within [-1, 1]
    assert error("TrueOnlineTDLambda", 1.0, 0.1).max() < 1.5
