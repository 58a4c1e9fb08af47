"""Stable-Baselines3, where it is installed, reads our logs, and its callbacks stop where ours do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_worlds import world

from rlgrid import callbacks as ours
from rlgrid import training
from rlgrid.agents import QLearning

pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")


def test_its_load_results_reads_a_run(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="pandas, by which it reads, is not installed")
    from stable_baselines3.common.monitor import load_results

    config = training.RunConfig("q_learning", "rlgrid/FrozenLake-v1", 3_000, 0, eval_freq=1_000, eval_episodes=2)
    agent, _ = training.train(config, tmp_path, said=lambda text: None)
    table = load_results(os.fspath(tmp_path))
    assert table["r"].tolist() == agent.episode_returns
    assert table["l"].tolist() == agent.episode_lengths
    assert table["t"].is_monotonic_increasing


class Parent:
    """What a callback sees of the evaluation that it belongs to."""

    best_mean_reward = -np.inf


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("least", [0, 2, 5])
def test_nothing_improves_for_both_at_the_same_evaluation(
    patience: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stable_baselines3.common import callbacks as theirs

    rng = np.random.default_rng(patience * 10 + least)
    for _ in range(20):
        means = (rng.integers(0, 6, 40) / 4 + np.arange(40) / 20).round(1).tolist()
        stop, parent, expected = theirs.StopTrainingOnNoModelImprovement(patience, least), Parent(), None
        stop.parent = parent  # type: ignore[assignment]
        for i, mean in enumerate(means, start=1):
            parent.best_mean_reward = max(parent.best_mean_reward, mean)
            stop.n_calls += 1
            if not stop._on_step():
                expected = i
                break
        left = iter(means)
        monkeypatch.setattr(ours, "evaluate_policy", lambda *a, left=left, **k: ([next(left)], [1]))
        mine = ours.StopTrainingOnNoModelImprovement(patience, least)
        watch = ours.EvalCallback(world(), None, mine, 1, 10, verbose=0, truth=False)
        agent = QLearning(world(), seed=0).learn(10 * len(means), callback=watch)
        assert agent.num_timesteps == 10 * (expected or len(means))


def test_its_callbacks_are_called_after_every_step(tmp_path: Path) -> None:
    from stable_baselines3.common import callbacks as theirs

    saved: list[int] = []

    class Note(theirs.BaseCallback):
        def _on_step(self) -> bool:
            saved.append(self.num_timesteps)
            return True

    any_agent: Any = QLearning(world(), seed=0)
    any_agent.learn(60, callback=theirs.EveryNTimesteps(20, Note()))
    assert saved == [20, 40, 60]
