"""What the tabular agents learn: optimal policies, and the learning curves that the book prints."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rlgrid


@pytest.mark.parametrize("settings", [{"exploration": "softmax", "temperature": "exp_1_0.001"}, {"exploration": "ucb"}])
def test_other_explorations_find_the_optimal_policy(settings: dict[str, Any]) -> None:
    env = gym.make("rlgrid/DynaMaze-v0")
    agent = rlgrid.agents.QLearning(env, learning_rate=0.5, seed=0, **settings).learn(50_000)
    assert rlgrid.share_of_regret(env.unwrapped.model, agent.policy) <= 0.01  # type: ignore[attr-defined]


# --- learning curves of Sutton & Barto, 2nd ed. -----------------------------------------------------------------------

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """docs/curves.py, which makes the page of learning curves; its pictures go elsewhere."""
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.setattr(importlib.import_module("figures"), "PICTURES", tmp_path)
    return importlib.import_module("curves")


def page() -> str:
    return (DOCS / "curves.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cliff", "wind", "bias", "maze"])
def test_curves_are_those_that_are_printed(curves: Any, name: str) -> None:
    """Within 10 % of what the source prints; where it prints a curve alone, of what can be read off it.

    Figure 6.4: the right end of the curves, about -25 (Sarsa) and -50 (Q-learning). The figure of Example 6.5: about
    170 episodes at 8,000 steps. Figure 6.5: the crest of Q-learning, about 90 %. Example 8.1, its text: about 25, 5
    and 3 episodes to (epsilon-)optimal performance with 0, 5 and 50 planning steps; here that is a mean length of at
    most 1.5 times the exact length of an episode around the optimum.
    """
    result = curves.EXPERIMENTS[name][0](1000)
    held = [row for row in result.rows if row.number is not None]
    assert held
    for row in held:
        assert row.mean == pytest.approx(row.number, rel=0.1), row.what
        assert row.high - row.low < 0.1 * abs(row.mean), f"{row.what}: known too vaguely"
    assert curves.table(name, result.rows) in page(), "python docs/curves.py"
    found = {row.what.partition(" (")[0]: row for row in result.rows}
    if name == "cliff":
        # What is learnt is known exactly: Expected Sarsa has arrived after 400 episodes, Q-learning nearly.
        expected = found["cliff walking, Expected Sarsa: return in episodes 401 to 500"]
        assert expected.low < curves.exact_values()["cliff, best"] < expected.high
    if name == "bias":
        for row in result.rows:
            assert row.low > 5.0, "the share that exploring alone makes"
        single, double = (row for row in result.rows if "201" in row.what)
        assert single.low > double.high
    if name == "maze":
        first = found["Dyna maze: steps of the first episode"]
        assert first.low < curves.exact_values()["maze, at random"] < first.high


@pytest.mark.slow
def test_dyna_q_plus_finds_the_shortcut(curves: Any) -> None:
    """Figures 8.4 and 8.5, Examples 8.2 and 8.3: Dyna-Q+ collects more in both mazes, and Dyna-Q rarely ever sees that
    there is a shorter way. The source prints no numbers."""
    rows = {row.what.partition(" (")[0]: row for row in curves.changing(40).rows}
    for title, steps in (("blocking maze", "3,000"), ("shortcut maze", "6,000")):
        assert (
            rows[f"{title}, Dyna-Q+: reward in {steps} steps"].low
            > rows[f"{title}, Dyna-Q: reward in {steps} steps"].high
        )
    plus, plain = (
        rows[f"shortcut maze, {agent}: % of runs whose greedy policy takes the 10 steps in the end"]
        for agent in ("Dyna-Q+", "Dyna-Q")
    )
    assert plus.low > 60
    assert plain.high < 30


@pytest.mark.slow
def test_learning_goes_to_the_exact_values(curves: Any) -> None:
    """Figure 6.3, learning rate 1: in a world without chance nothing is left of the noise, and the mean over very many
    episodes is the exact value of the behaviour that Q-learning, and Expected Sarsa, go to."""
    result = curves.alphas(1000, count=20_000, step=9)
    assert len(result.rows) == 2
    for row in result.rows:
        exact = float(row.exact)
        assert row.low - 0.1 < exact < row.high + 0.1, row.what  # its first episodes are in the mean
        assert row.high - row.low < 0.02 * abs(exact)


def test_the_page_of_curves_is_made_by_its_script(
    curves: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exact values are worked out anew here, its means in the slow tests; and the script runs."""
    rows = [line.split(" | ") for line in page().split(curves.END)[0].splitlines() if line.startswith("| ")]
    exact = {cells[0].removeprefix("| "): cells[3] for cells in rows}
    values = curves.exact_values()
    for what, name, form in (
        ("cliff walking, Sarsa: return in episodes 401 to 500 (Figure 6.4)", "cliff, best", ".2f"),
        ("cliff walking, Q-learning: return in episodes 401 to 500 (Figure 6.4)", "cliff, around the optimum", ".2f"),
        ("Dyna maze: steps of the third episode, 50 planning steps", "maze, around the optimum", ".2f"),
        ("Dyna maze: steps of the first episode", "maze, at random", ".1f"),
    ):
        assert exact[what] == f"{values[name]:{form}}"
    brief = (DOCS / "agents.md").read_text(encoding="utf-8").partition("## What they were seen to learn")[2]
    told = re.findall(r"\| (-?\d\S* ± \S+) \|", brief.partition("## ")[0])
    assert len(told) == 4
    assert set(told) <= {cells[2] for cells in rows}
    curves.main(["--only", "wind", "bias", "--runs", "2", "--jobs", "1"])
    assert capsys.readouterr().out.count("| `--only bias` |") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves-bias.png", "curves-wind.png"]
    shown = re.findall(r"\]\((images/curves-\S+)\)", page())
    assert sorted(shown) == sorted(f"images/{path.name}" for path in (DOCS / "images").glob("curves-*"))


def test_the_best_policy_that_explores(curves: Any) -> None:
    """Against value iteration with the mean over all actions mixed in, as in section 5.4; it keeps off the cliff."""
    behaviours = importlib.import_module("behaviours")
    model: Any = behaviours.world("CliffWalking-v1").model
    values = np.zeros(48)
    for _ in range(400):
        for s in range(48):
            q = [sum(p * (r + (not ends) * values[to]) for p, to, r, ends in model.P[s][a]) for a in range(4)]
            values[s] = 0.7 * max(q) + 0.3 * np.mean(q)
    assert behaviours.best_while_exploring(model, 0.3) == pytest.approx(values[36], rel=1e-6)
    assert behaviours.around_the_optimum(model, 0.3) < values[36]


# --- the race on the cliff --------------------------------------------------------------------------------------------


@pytest.fixture
def race(curves: Any) -> Any:
    """docs/race.py, which makes the page that races agents on the cliff; its pictures go elsewhere."""
    return importlib.import_module("race")


def race_page() -> str:
    return (DOCS / "race.md").read_text(encoding="utf-8")


def test_the_exact_values_of_the_race(race: Any) -> None:
    begin, end = race.marks("exact")
    assert f"{begin}\n{race.exact_block()}\n{end}" in race_page()
    # By which Q-learning has found the optimal policy, and Expected Sarsa the best one that explores.
    _, behaviour, greedy = race.run("QLearning", 0, [300])
    assert greedy[0] == -13.0
    assert -80.0 < behaviour[0] < -40.0
    returns, behaviour, greedy = race.run("ExpectedSarsa", 0, [10, 300])
    assert len(returns) == 300
    assert greedy.tolist() == [-np.inf, -15.0]
    assert behaviour[1] == pytest.approx(-20.8, abs=0.3)
    shown = re.findall(r"\]\((images/race-\S+)\)", race_page())
    assert sorted(shown) == sorted(f"images/{path.name}" for path in (DOCS / "images").glob("race-*"))


@pytest.mark.slow
def test_the_race_ends_as_its_page_says(race: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On some of its seeds: within the noise of them, and with the same greedy policies."""
    rows = dict(re.findall(r"^\| ([\w -]+) \| (-\d\S+) ± ", race_page(), flags=re.MULTILINE))
    found = race.race(12)
    for agent, one in found.items():
        last = one.returns[:, -100:].mean(axis=1)
        assert abs(last.mean() - float(rows[race.NAMES[agent]])) < 4.0 * last.std() / len(last) ** 0.5 + 0.05
    assert (found["QLearning"].greedy[:, -1] == -13.0).all()
    assert (found["ExpectedSarsa"].greedy[:, -1] == -15.0).all()
    assert (found["Sarsa"].greedy[:, -1] < -13.0).all()
    monkeypatch.setattr(race, "race", lambda *given: found)
    race.main(["--seeds", "2", "--shorter", "50", "--jobs", "1"])
    assert len(list(tmp_path.iterdir())) == 3


def test_the_script_of_the_race_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```python\n(.*?)^```", race_page(), flags=re.MULTILINE | re.DOTALL)
    exec(text, {})
    assert re.findall(r"greedy (\S+)", capsys.readouterr().out)[::2] == ["-13.0", "-15.0"]
