"""Races Q-learning, Sarsa and Expected Sarsa along the cliff: docs/images/race-*.png, and the numbers of docs/race.md.

pip install matplotlib && python docs/race.py

All agents run on the same seeds. At points of every run the exact value of its present behaviour and of its present
greedy policy are worked out. The parts of the page between two marks are made here; the rest is written by hand.
`--seeds` changes how many runs there are, and leaves the page as it is. Everything together takes about a minute.
"""

from __future__ import annotations

import argparse
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from behaviours import EPSILON, around_the_optimum, best_while_exploring, epsilon_greedy, softened, start_value, world
from figures import (
    BLUE,
    COLOURS,
    DASHES,
    MUTED,
    NAMES,
    ORANGE,
    STYLES,
    between,
    draw_mean,
    figure_of,
    level,
    name_line,
    save,
    smooth,
)
from joblib import Parallel, delayed
from numpy.typing import NDArray

import rlgrid
from rlgrid.statistics import compare

PAGE = Path(__file__).parent / "race.md"
SEEDS = 100
EPISODES = 500
POINTS = [*range(1, 10), *range(10, 100, 5), *range(100, EPISODES + 1, 20)]  # episodes after which policies are judged
FADING: dict[str, tuple[float | str, int]] = {  # epsilon, and in how many steps
    "from .1 to 0 in a straight line": ("lin_0.1_0", 200_000),
    ".1/N(s)^.5, by the visits of a state": ("0.1/N^0.5", 1_000_000),
    ".005 throughout": (0.005, 1_000_000),
}
FADING_POINTS = 40
CHUNK = 10  # steps: a policy is judged so soon after the end of an episode

Floats = NDArray[np.float64]


class Race(NamedTuple):
    """One agent on all seeds.

    Attributes:
        returns: float64 [seeds, episodes], what was collected.
        behaviour: float64 [seeds, points], J of the epsilon-greedy behaviour. greedy: J of the greedy policy, -inf
            where it never arrives.
    """

    returns: Floats
    behaviour: Floats
    greedy: Floats


class Judge:
    """Exact values of policies on the cliff."""

    def __init__(self) -> None:
        self.env = world("CliffWalking-v1")
        self.model = self.env.model
        self.known: dict[bytes, float] = {}

    def greedy(self, policy: NDArray[Any]) -> float:
        """J of a policy [S]; most are met again and again."""
        key = policy.tobytes()
        if key not in self.known:
            self.known[key] = start_value(self.model, rlgrid.policy_values(self.model, policy))
        return self.known[key]

    def behaviour(self, agent: Any) -> float:
        """J of what an agent does at present; without exploration that of its greedy policy."""
        if agent.epsilon == 0.0:
            return self.greedy(agent.policy)
        policy = epsilon_greedy(agent.q_values, agent.epsilon)
        return start_value(self.model, rlgrid.policy_values(self.model, policy))


def run(agent: str, seed: int, points: list[int] = POINTS) -> tuple[Floats, Floats, Floats]:
    """One run with a constant epsilon: its returns, and J of behaviour and greedy policy at the points."""
    judge = _judge()
    learner = getattr(rlgrid.agents, agent)(judge.env, learning_rate=0.5, gamma=1.0, seed=seed, epsilon=EPSILON)
    found = []
    for point in points:
        while len(learner.episode_returns) < point:
            learner.advance(CHUNK)
        found.append((judge.behaviour(learner), judge.greedy(learner.policy)))
    behaviour, greedy = np.array(found).T
    return np.array(learner.episode_returns[: points[-1]]), behaviour, greedy


def fade(agent: str, epsilon: float | str, steps: int, seed: int, count: int = FADING_POINTS) -> tuple[Floats, float]:
    """One run with another epsilon: the mean returns of so many parts of it, and J of the greedy policy in the end."""
    judge = _judge()
    learner = getattr(rlgrid.agents, agent)(judge.env, learning_rate=0.5, gamma=1.0, seed=seed, epsilon=epsilon)
    learner.begin(steps)
    collected = []
    for k in range(1, count + 1):
        before = len(learner.episode_returns)
        learner.advance(steps * k // count - learner.num_timesteps)
        collected.append(np.mean(learner.episode_returns[before:] or [np.nan]))
    return np.array(collected), judge.greedy(learner.policy)


@lru_cache(maxsize=1)
def _judge() -> Judge:
    return Judge()


def each(one: Any, seeds: int, jobs: int) -> list[Any]:
    """``one(seed=...)`` for so many seeds, in order."""
    return list(Parallel(n_jobs=jobs)(delayed(one)(seed=seed) for seed in range(seeds)))


def race(seeds: int = SEEDS, jobs: int = 1, points: list[int] = POINTS) -> dict[str, Race]:
    """All agents on the same seeds."""
    return {
        agent: Race(*map(np.array, zip(*each(partial(run, agent, points=points), seeds, jobs), strict=True)))
        for agent in NAMES
    }


def fadings(seeds: int = SEEDS, jobs: int = 1, shorter: int = 1) -> dict[str, dict[str, tuple[Floats, Floats]]]:
    """How epsilon falls -> agent -> (returns [seeds, points], J of the greedy policy [seeds] in the end)."""
    found: dict[str, dict[str, tuple[Floats, Floats]]] = {}
    for told, (epsilon, steps) in FADING.items():
        found[told] = {}
        for agent in NAMES:
            runs = each(partial(fade, agent, epsilon, steps // shorter), seeds, jobs)
            found[told][agent] = np.array([one for one, _ in runs]), np.array([one for _, one in runs])
    return found


# --- exact values -----------------------------------------------------------------------------------------------------


def turning_point() -> float:
    """The epsilon below which the best policy that explores walks along the edge, to seven digits."""
    model = _judge().model
    low, high = 0.001, 0.1
    while high - low > 1e-8 * high:
        middle = 0.5 * (low + high)
        best = rlgrid.solve(softened(model, middle), tolerance=1e-10).policy
        low, high = (middle, high) if _walk(model, best)[1] == 13 else (low, middle)
    return low


def _walk(model: Any, policy: NDArray[Any]) -> tuple[list[int], int]:
    """The states that a policy goes through where nothing happens by chance, and how many steps it takes."""
    path = [int(model.start_states[0])]
    while not model.absorbing[path[-1]] and len(path) <= model.num_states:
        path.append(model.P[path[-1]][int(policy[path[-1]])][0][1])
    return path, len(path) - 1


def first_of_ties(model: Any) -> float:
    """J of the optimal policy with epsilon, where the first of equally good actions is the greedy one."""
    q_values = rlgrid.solve(model, tolerance=1e-10).q_values
    first = (q_values >= q_values.max(axis=1, keepdims=True) - 1e-6).argmax(axis=1)
    policy = EPSILON / model.num_actions + (1.0 - EPSILON) * np.eye(model.num_actions)[first]
    return start_value(model, rlgrid.policy_values(model, policy))


def exact_block() -> str:
    """What is known before anybody learns."""
    model = _judge().model
    soft = softened(model)
    best = rlgrid.solve(soft, tolerance=1e-10)
    length = _walk(model, best.policy)[1]
    optimum = start_value(model, rlgrid.solve(model, tolerance=1e-10).values)
    numbers = [
        ("the optimal policy, without exploration", f"{optimum:.2f}"),
        (
            f"the optimal policy with epsilon {EPSILON:g}: where Q-learning's behaviour goes",
            f"{around_the_optimum(model):.2f}",
        ),
        (
            f"the optimal policy with epsilon {EPSILON:g}, if the first of tied actions were always taken",
            f"{first_of_ties(model):.2f}",
        ),
        (
            f"the best policy with epsilon {EPSILON:g}: where Expected Sarsa's behaviour goes",
            f"{best_while_exploring(model):.2f}",
        ),
        ("the way of that policy, walked without exploration", f"{-length:.2f}"),
    ]
    lines = "".join(f"| {what} | {number} |\n" for what, number in numbers)
    turn = (
        f"\nAt an epsilon below {turning_point():.5f} the best policy that explores walks along the edge, 13 steps.\n"
    )
    return "| policy | exact value of the start |\n| --- | ---: |\n" + lines + turn


# --- tables -----------------------------------------------------------------------------------------------------------


def mean(values: Floats) -> str:
    """Mean and 95 % confidence interval."""
    return f"{values.mean():.1f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.1f}"


def quartiles(values: Floats) -> Floats:
    """The quartiles of runs [N, ...], each of them that of a run."""
    return np.asarray(np.quantile(values, (0.25, 0.5, 0.75), axis=0, method="inverted_cdf"))


def middle(values: Floats, form: str = ".1f") -> str:
    """Median and quartiles."""
    low, half, high = quartiles(values)
    return f"{half:{form}} [{low:{form}}, {high:{form}}]"


def race_block(found: dict[str, Race]) -> str:
    """How the race ended."""
    optimum = -13.0
    lines = [
        "| after 500 episodes | return, episodes 401 to 500 | exact value of the behaviour | exact regret of the greedy"
        " policy | it is optimal | it never arrives |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
    ]
    for agent, one in found.items():
        regret = np.round(optimum - one.greedy[:, -1], 6)
        lines.append(
            f"| {NAMES[agent]} | {mean(one.returns[:, -100:].mean(axis=1))} | {middle(one.behaviour[:, -1])} |"
            f" {middle(regret, '.0f')} | {np.mean(regret == 0.0):.0%} of runs | {np.mean(np.isinf(regret)):.0%} |\n"
        )
    last = {agent: one.returns[:, -100:].mean(axis=1) for agent, one in found.items()}
    lines.append("\nReturns of episodes 401 to 500 on common seeds:\n\n")
    for better, other in (("Sarsa", "QLearning"), ("ExpectedSarsa", "Sarsa")):
        told = compare(last[better], last[other])
        low, high = told.difference_interval
        lines.append(
            f"- {NAMES[better]} against {NAMES[other]}: better on {told.wins} of {told.seeds} seeds, by"
            f" {told.difference:.1f} (interquartile mean, 95 % interval {low:.1f} to {high:.1f})\n"
        )
    return "".join(lines)


def fading_block(found: dict[str, dict[str, tuple[Floats, Floats]]]) -> str:
    """What becomes of the agents where epsilon fades."""
    lines = [
        "| epsilon | steps | agent | return in the last 40th | exact regret of the greedy policy | it is optimal |\n"
        "| --- | ---: | --- | ---: | ---: | ---: |\n"
    ]
    for told, (_, steps) in FADING.items():
        for agent, (collected, greedy) in found[told].items():
            regret = np.round(-13.0 - greedy, 6)
            lines.append(
                f"| {told} | {steps:,} | {NAMES[agent]} | {mean(collected[:, -1])} | {middle(regret, '.0f')} |"
                f" {np.mean(regret == 0.0):.0%} of runs |\n"
            )
    return "".join(lines)


# --- pictures ---------------------------------------------------------------------------------------------------------


def draw_race(found: dict[str, Race], points: list[int] = POINTS) -> None:
    """Returns, exact values of the behaviour, exact regret of the greedy policy."""
    figure, (left, centre, right) = figure_of(3)
    model = _judge().model
    for agent, one in found.items():
        style = STYLES[agent]
        draw_mean(left, *smooth(one.returns), **style)
        for axes, judged in ((centre, one.behaviour), (right, -13.0 - one.greedy)):
            low, half, high = (np.minimum(edge, 1e3) for edge in quartiles(judged))
            axes.plot(points, half, linewidth=1.6, **style)
            axes.fill_between(points, low, high, color=style["color"], alpha=0.2, linewidth=0)
    for axes in (left, centre):
        level(axes, -13.0, "optimum, -13")
        level(axes, best_while_exploring(model), f"best while\nexploring, {best_while_exploring(model):.2f}")
        level(axes, around_the_optimum(model), f"around the\noptimum, {around_the_optimum(model):.2f}")
        axes.set_ylim(-100, 0)
    right.set_ylim(-0.4, 12)
    left.set_title("Collected: mean, 95 % interval", loc="left", fontsize=11)
    centre.set_title("The behaviour's exact value: quartiles", loc="left", fontsize=11)
    right.set_title("The greedy policy's exact regret: quartiles", loc="left", fontsize=11)
    left.set_ylabel("return of an episode")
    for axes in (left, centre, right):
        axes.set(xlabel="episode", xlim=(0, points[-1]))
    places = {
        "QLearning": ((400, -62), (400, -57), (430, 0.45)),
        "Sarsa": ((400, -35), (450, -33), (430, 4.45)),
        "ExpectedSarsa": ((250, -17), (250, -17), (430, 2.45)),
    }
    for agent, place in places.items():
        for axes, (at, height) in zip((left, centre, right), place, strict=True):
            name_line(axes, NAMES[agent], at, height, COLOURS[agent])
    save(figure, "race-curves")


def middle_run(one: Race) -> int:
    """The seed whose behaviour ended with the median of the exact values."""
    return int(np.argsort(one.behaviour[:, -1], kind="stable")[(len(one.behaviour) + 1) // 2 - 1])


def draw_policies(found: dict[str, Race]) -> None:
    """What is best, and what the middle run of each agent learnt: greedy actions over exact values of behaviours."""
    judge = _judge()
    model, panels = judge.model, []
    q_values = rlgrid.solve(model, tolerance=1e-10).q_values
    best = rlgrid.solve(softened(model), tolerance=1e-10)
    # Equally good actions of a solved table differ in its last digits; an agent breaks those ties alone that are exact.
    panels.append(("Optimal, without exploration", q_values, 0.0, 1e-6))
    panels.append((f"Optimal, with epsilon {EPSILON:g}", q_values, EPSILON, 1e-6))
    panels.append((f"The best one with epsilon {EPSILON:g}", best.q_values, EPSILON, 1e-6))
    for agent, one in found.items():
        learner = getattr(rlgrid.agents, agent)(
            judge.env, learning_rate=0.5, gamma=1.0, seed=middle_run(one), epsilon=EPSILON
        )
        while len(learner.episode_returns) < EPISODES:
            learner.advance(CHUNK)
        panels.append((f"{NAMES[agent]} after {EPISODES} episodes", learner.q_values, EPSILON, 0.0))
    figure, grid = plt.subplots(3, 2, figsize=(10.0, 6.2), constrained_layout=True)
    for axes, (title, table, epsilon, margin) in zip(grid.T.ravel(), panels, strict=True):
        greedy = table >= table.max(axis=1, keepdims=True) - margin
        shown = rlgrid.policy_values(model, epsilon_greedy(table, epsilon, margin))
        shown = np.where(model.absorbing | model.walls, np.nan, shown)
        path, _ = _walk(model, table.argmax(axis=1))
        frame = rlgrid.draw(
            model, values=shown, policy=greedy, path=path, scale=(-80.0, 0.0), cell_size=40, theme="light"
        )
        axes.imshow(frame, interpolation="none")
        axes.set_axis_off()
        axes.set_title(f"{title}: from the start {shown[path[0]]:.1f}", loc="left", fontsize=11)
    save(figure, "race-policies")


def draw_fading(found: dict[str, dict[str, tuple[Floats, Floats]]]) -> None:
    """The exact values over epsilon, and what is collected while epsilon falls."""
    figure, (left, right) = figure_of(2)
    model = _judge().model
    strengths = np.geomspace(0.001, 0.2, 25)
    best = [best_while_exploring(model, e) for e in strengths]
    left.plot(strengths, best, color=BLUE, linewidth=1.8, linestyle=DASHES[1])
    left.plot(strengths, [around_the_optimum(model, e) for e in strengths], color=ORANGE, linewidth=1.8)
    name_line(left, "best while exploring", 0.05, -12, BLUE)
    name_line(left, "around the optimum", 0.033, -50, ORANGE)
    turn = turning_point()
    left.axvline(turn, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    left.annotate(
        f"below {turn:.4f}\nthe edge is best",
        (turn, -75),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        color=MUTED,
        fontsize=8.5,
    )
    left.set(xscale="log", xlabel="epsilon", ylabel="exact value of the start", ylim=(-80, -5), xlim=(0.001, 0.2))
    left.set_title("What can be had while exploring", loc="left", fontsize=11)
    name, (_, steps) = next(iter(FADING.items()))
    at = (np.arange(FADING_POINTS) + 0.5) * steps / FADING_POINTS / 1000
    for agent, (collected, _) in found[name].items():
        some = np.isfinite(collected).any(axis=0)  # of short runs the first parts may see no end of an episode
        low, half, high = np.nanquantile(collected[:, some], (0.25, 0.5, 0.75), axis=0)
        right.plot(at[some], half, linewidth=1.8, **STYLES[agent])
        right.fill_between(at[some], low, high, color=COLOURS[agent], alpha=0.2, linewidth=0)
    level(right, -13.0, "optimum, -13")
    for agent, place in {"QLearning": (75, -43), "Sarsa": (60, -27.5), "ExpectedSarsa": (50, -16)}.items():
        name_line(right, NAMES[agent], *place, COLOURS[agent])
    right.set(
        xlabel="thousand steps, epsilon from .1 to 0",
        ylabel="return of an episode",
        ylim=(-80, -5),
        xlim=(0, steps / 1000),
    )
    right.set_title("Collected while epsilon falls: quartiles", loc="left", fontsize=11)
    save(figure, "race-fading")


# --- the page ---------------------------------------------------------------------------------------------------------


def marks(name: str) -> tuple[str, str]:
    """The lines between which a part of the page is made here."""
    return f"<!-- begin: docs/race.py {name} -->\n", f"<!-- end: docs/race.py {name} -->\n"


def main(arguments: list[str] | None = None) -> None:
    """Race, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each agent (%(default)s)")
    parser.add_argument("--shorter", type=int, default=1, help="divide the lengths of the runs in which epsilon fades")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one for each core")
    options = parser.parse_args(arguments)
    found, fading = race(options.seeds, options.jobs), fadings(options.seeds, options.jobs, options.shorter)
    draw_race(found)
    draw_policies(found)
    draw_fading(fading)
    blocks = {"exact": exact_block(), "race": race_block(found), "fading": fading_block(fading)}
    for name, text in blocks.items():
        print(text)
        if options.seeds == SEEDS and options.shorter == 1:
            between(PAGE, *marks(name), text)


if __name__ == "__main__":
    # By its name, so that the processes find its functions.
    import race as by_name

    by_name.main()
