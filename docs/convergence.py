"""Lets every tabular agent learn in several worlds, and writes how far it stays from the optimum into docs/agents.md.

python docs/convergence.py

The part of the page between the two marks is made here. All runs together take about half a minute;
tests/test_convergence.py repeats them.
"""

from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

import rlgrid

PAGE = Path(__file__).parent / "agents.md"
BEGIN, END = "<!-- begin: docs/convergence.py -->\n", "<!-- end: docs/convergence.py -->\n"
SEEDS = range(3)
MOST = 0.01  # share of regret

TWO_ACTIONS = "MaximizationBias-v0, spare_actions=False"  # two actions in one state, ten in another
ARGUMENTS: dict[str, dict[str, Any]] = {TWO_ACTIONS: {"spare_actions": False}}

COLUMNS = {  # world: title
    "DynaMaze-v0": "maze",
    "RussellNorvig4x3-v0": "4 x 3",
    "CliffWalkingWindy-v0": "windy cliff",
    "WindyGridworld-v0": "wind",
    "ThinWalls-v0": "thin walls",
    "KeyDoor-v0": "key",
    TWO_ACTIONS: "2 or 10 actions",
    "Taxi-v4": "taxi",
    "FrozenLake-v1": "lake",
    "CliffWalking-v1": "cliff",
    "WindyGridworldKings-v0": "king's moves",
    "SuttonBarto4x4-v0": "4 x 4",
    "DeepSeaTreasure-v0": "treasure",
    "BridgeGrid-v0": "bridge",
}
FIRST = list(COLUMNS)
VARIED, ON_POLICY, OFF_POLICY = tuple(FIRST[:7]), tuple(FIRST[:8]), tuple(FIRST[:9])
CERTAIN = (*(FIRST[k] for k in (0, 3, 5, 7)), *FIRST[9:13])  # without chance
BACKWARDS = (*(FIRST[k] for k in (1, 3, 6, 10, 11)), FIRST[13])

FADING: dict[str, Any] = {"learning_rate": "lin_0.3", "exploration_fraction": 0.98, "exploration_final_eps": 0.0}
STEADY: dict[str, Any] = {"learning_rate": "lin_0.3", "exploration_final_eps": 0.3}
MODELLED: dict[str, Any] = {"learning_rate": 0.2, "exploration_final_eps": 0.1}


class Case(NamedTuple):
    """An agent, what it is made with, how long it learns, and where."""

    agent: str
    settings: dict[str, Any]
    steps: int
    worlds: tuple[str, ...]


CASES = [
    # On-policy: the behaviour must become greedy.
    Case("Sarsa", FADING, 1_000_000, ON_POLICY),
    Case("ExpectedSarsa", FADING, 1_000_000, ON_POLICY),
    Case("NStepSarsa", {**FADING, "n_steps": 3}, 1_000_000, ON_POLICY),
    Case("SarsaLambda", {**FADING, "lam": 0.5}, 1_000_000, ON_POLICY),
    Case("TrueOnlineSarsaLambda", {**FADING, "lam": 0.5}, 1_000_000, ON_POLICY),
    Case("MonteCarlo", {**FADING, "learning_rate": "lin_0.1"}, 1_000_000, VARIED),
    # Off-policy: whatever the behaviour is.
    Case("QLearning", STEADY, 400_000, OFF_POLICY),
    Case("DoubleQLearning", {**STEADY, "learning_rate": "lin_0.5"}, 800_000, OFF_POLICY),
    Case("TreeBackup", {**STEADY, "n_steps": 3}, 400_000, OFF_POLICY),
    Case("QLambda", {**STEADY, "lam": 0.5}, 400_000, OFF_POLICY),
    # From below: where an action looks better than it is, it learns of it only if all that follows is greedy.
    Case(
        "OffPolicyMonteCarlo",
        {"exploration_initial_eps": 0.3, "exploration_final_eps": 0.3, "initial_q": -1000.0},
        2_000_000,
        BACKWARDS,
    ),
    # With a model: of a world without chance, or of any.
    Case("DynaQ", MODELLED, 100_000, CERTAIN),
    Case("DynaQPlus", {**MODELLED, "kappa": 1e-4}, 100_000, CERTAIN),
    Case("PrioritizedSweeping", {"exploration_final_eps": 0.3}, 200_000, OFF_POLICY),
]


def shares(case: Case, world: str) -> list[float]:
    """The share of regret of the greedy policy after learning, for each seed."""
    env: Any = gym.make(f"rlgrid/{world.partition(',')[0]}", **ARGUMENTS.get(world, {}))
    kind = getattr(rlgrid.agents, case.agent)
    return [
        rlgrid.share_of_regret(env.unwrapped.model, kind(env, seed=seed, **case.settings).learn(case.steps).policy)
        for seed in SEEDS
    ]


def told(case: Case) -> str:
    """The line that tells an agent's settings."""
    settings = ", ".join(f"{name}={value!r}" for name, value in case.settings.items())
    return f"| `{case.agent}` | `{settings}` | {case.steps:,} |"


def main() -> None:
    """Measure all and write the tables."""
    lines = ["| agent | settings | steps |", "| --- | --- | ---: |", *map(told, CASES), ""]
    lines += [f"| % | {' | '.join(COLUMNS.values())} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for case in CASES:
        found = {world: abs(max(shares(case, world))) for world in case.worlds}
        cells = [f"{100 * found[world]:.2f}" if world in found else "" for world in COLUMNS]
        lines.append(f"| `{case.agent}` | {' | '.join(cells)} |")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
