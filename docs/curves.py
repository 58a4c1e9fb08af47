"""Draws docs/images/curves-*.png, learning curves of Sutton & Barto (2018), and writes their numbers into curves.md.

pip install matplotlib && python docs/curves.py

The part of the page between the two marks is made here; the rest is written by hand. `--runs` changes how many runs are
averaged, `--only` makes some of the figures and leaves the page as it is. Everything together takes some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from behaviours import (
    EPSILON,
    around_the_optimum,
    behave,
    best_while_exploring,
    epsilon_greedy,
    steps_to_the_end,
    world,
)
from figures import (
    BLUE,
    COLOURS,
    DASHES,
    GREEN,
    INK,
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
from matplotlib import colormaps
from numpy.typing import NDArray

import rlgrid
from rlgrid.statistics import bootstrap_interval

PAGE = Path(__file__).parent / "curves.md"
BEGIN, END = "<!-- begin: docs/curves.py -->\n", "<!-- end: docs/curves.py -->\n"
RUNS = 1000

Floats = NDArray[np.float64]


@dataclass
class Row:
    """A printed number and ours: a row of the table.

    Attributes:
        what: is measured. printed: by the source, as the page says it. number: the same as a number; None where the
            source prints none, or prints one that ours is not held against.
        mean, low, high: ours, with its 95 % confidence interval.
        exact: the exact value to which it can be compared, as the page says it.
        form: how ours is written.
    """

    what: str
    printed: str
    number: float | None
    mean: float
    low: float
    high: float
    exact: str = ""
    form: str = ".1f"
    symmetric: bool = True

    def ours(self) -> str:
        """The mean and half the width of its interval; or the interval, where it is not symmetric."""
        if self.symmetric:
            return f"{self.mean:{self.form}} ± {self.high - self.mean:{self.form}}"
        return f"{self.mean:{self.form}} [{self.low:{self.form}}, {self.high:{self.form}}]"


@dataclass
class Result:
    """What an experiment found: rows of the table, and what the picture is drawn from."""

    rows: list[Row]
    curves: dict[Any, Any]


def row(what: str, printed: str, number: float | None, runs: Any, exact: str = "", form: str = ".1f") -> Row:
    """A row of one number a run: the mean, and 1.96 standard errors to either side."""
    values = np.asarray(runs, np.float64)
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Row(what, printed, number, mean, mean - half, mean + half, exact, form)


def exact_values() -> dict[str, float]:
    """All exact numbers of the page."""
    cliff, wind, maze = (world(name).model for name in ("CliffWalking-v1", "WindyGridworld-v0", "DynaMaze-v0"))
    maze_q = rlgrid.solve(maze, tolerance=1e-9).q_values
    return {
        "cliff, around the optimum": around_the_optimum(cliff),
        "cliff, best": best_while_exploring(cliff),
        "wind, best": -best_while_exploring(wind),
        "maze, at random": steps_to_the_end(maze, np.full(maze_q.shape, 0.25)),
        "maze, around the optimum": steps_to_the_end(maze, epsilon_greedy(maze_q, margin=1e-6)),
    }


# --- runs -------------------------------------------------------------------------------------------------------------


def each(one: Callable[[int], Any], runs: int, jobs: int) -> list[Any]:
    """``one(seed)`` for so many seeds, in order."""
    return list(Parallel(n_jobs=jobs)(delayed(one)(seed) for seed in range(runs)))


def returns(agent: str, env: Any, count: int, alpha: float, seed: int) -> Floats:
    """float64 [count], the returns of the first episodes at gamma 1."""
    learner = behave(agent, env, seed, learning_rate=alpha, gamma=1.0)
    while len(learner.episode_returns) < count:
        learner.advance(20 * count)
    return np.array(learner.episode_returns[:count])


def cliff(runs: int = RUNS, jobs: int = 1) -> Result:
    """Example 6.6, Figure 6.4."""
    env, exact = world("CliffWalking-v1"), exact_values()
    found = {agent: np.array(each(partial(returns, agent, env, 500, 0.5), runs, jobs)) for agent in NAMES}
    goes_to = {"QLearning": "cliff, around the optimum", "Sarsa": "cliff, best", "ExpectedSarsa": "cliff, best"}
    printed: dict[str, tuple[str, float | None]] = {"QLearning": ("about -50", -50.0), "Sarsa": ("about -25", -25.0)}
    rows = [
        row(
            f"cliff walking, {NAMES[agent]}: return in episodes 401 to 500 (Figure 6.4)",
            *printed.get(agent, ("", None)),
            found[agent][:, 400:].mean(axis=1),
            f"{exact[goes_to[agent]]:.2f}",
        )
        for agent in ("Sarsa", "QLearning", "ExpectedSarsa")
    ]
    return Result(rows, {"runs": found, "exact": exact})


def alphas(runs: int = RUNS, jobs: int = 1, count: int = 100_000, step: int = 1) -> Result:
    """Figure 6.3: the first 100 episodes, and very many of a hundredth of the runs, over the learning rate."""
    env, exact = world("CliffWalking-v1"), exact_values()
    rates = [round(0.1 * k, 1) for k in range(1, 11, step)]
    few = max(2, runs // 100)
    found = {
        agent: [
            [
                np.mean(each(partial(returns, agent, env, episodes, alpha), many, jobs), axis=1)
                for episodes, many in ((100, runs), (count, few))
            ]
            for alpha in rates
        ]
        for agent in NAMES
    }
    asymptotic = f"return over {count:,} episodes, {few} runs (Figure 6.3)"
    rows = [
        row(
            f"cliff walking, Expected Sarsa, learning rate {rates[-1]:g}: {asymptotic}",
            "",
            None,
            found["ExpectedSarsa"][-1][1],
            f"{exact['cliff, best']:.2f}",
            ".2f",
        ),
        row(
            f"cliff walking, Q-learning, learning rate {rates[-1]:g}: {asymptotic}",
            "",
            None,
            found["QLearning"][-1][1],
            f"{exact['cliff, around the optimum']:.2f}",
            ".2f",
        ),
    ]
    means = {agent: np.array([[part.mean() for part in parts] for parts in found[agent]]) for agent in NAMES}
    return Result(rows, {"means": means, "rates": rates, "exact": exact})


def wind(runs: int = RUNS, jobs: int = 1) -> Result:
    """Example 6.5: episodes that are complete, over steps."""
    steps, late = 8000, 7000
    lengths = each(partial(_wind_run, world("WindyGridworld-v0"), steps), runs, jobs)
    ends = [np.cumsum(one) for one in lengths]
    exact = exact_values()
    rows = [
        row(
            "windy gridworld, Sarsa: episodes in 8,000 steps (Example 6.5)",
            "about 170",
            170.0,
            [len(one) for one in lengths],
        ),
        row(
            "windy gridworld, Sarsa: steps of the episodes that end in steps 7,001 to 8,000 (Example 6.5)",
            "about 17",
            None,
            [one[end > late].mean() for one, end in zip(lengths, ends, strict=True)],
            f"{exact['wind, best']:.2f}",
        ),
    ]
    at = np.arange(0, steps + 1, 50)
    return Result(rows, {"at": at, "runs": np.array([np.searchsorted(end, at, "right") for end in ends])})


def _wind_run(env: Any, steps: int, seed: int) -> NDArray[np.int64]:
    return np.array(behave("Sarsa", env, seed, learning_rate=0.5, gamma=1.0).learn(steps).episode_lengths)


TWO = {"QLearning": "Q-learning", "DoubleQLearning": "Double Q-learning"}


def bias(runs: int = RUNS, jobs: int = 1) -> Result:
    """Example 6.7, Figure 6.5: how often A is left to the left."""
    env = world("MaximizationBias-v0", spare_actions=False)
    left = {
        agent: np.array(each(partial(_bias_run, agent, env), runs, jobs)) for agent in ("QLearning", "DoubleQLearning")
    }
    least = f"{50 * EPSILON:.0f}"
    rows = [
        row(
            "maximization bias, Q-learning: % left from A in episodes 11 to 30 (Figure 6.5)",
            "about 90",
            90.0,
            100 * left["QLearning"][:, 10:30].mean(axis=1),
            least,
        ),
        row(
            "maximization bias, Q-learning: % left from A in episodes 201 to 300 (Figure 6.5)",
            "more than 5",
            None,
            100 * left["QLearning"][:, 200:].mean(axis=1),
            least,
        ),
        row(
            "maximization bias, Double Q-learning: % left from A in episodes 201 to 300 (Figure 6.5)",
            "near 5",
            None,
            100 * left["DoubleQLearning"][:, 200:].mean(axis=1),
            least,
        ),
    ]
    return Result(rows, {agent: 100.0 * found for agent, found in left.items()})


def _bias_run(agent: str, env: Any, seed: int) -> NDArray[np.bool_]:
    learner = behave(agent, env, seed, learning_rate=0.1, gamma=1.0)
    while len(learner.episode_lengths) < 300:
        learner.advance(300)
    return np.array(learner.episode_lengths[:300]) == 2  # to the right it is one step


LENGTHS = tuple(2**k for k in range(10))  # n of n-step TD
RATES = (0.01, 0.02, 0.03, 0.04, *(round(0.05 * k, 2) for k in range(1, 21)))


def walk(runs: int = RUNS, jobs: int = 1) -> Result:
    """Figure 7.2: the error of n-step TD over the learning rate, all on the same walks over 19 states.

    A tenth of the runs finds the best n and learning rate, which are then judged by all.
    """
    env = world("RandomWalk-v0")

    def tried(n: int, alpha: float, many: int) -> Floats:
        one = partial(walk_errors, "NStepTD", env, 10, learning_rate=alpha, n_steps=n)
        return np.mean(each(one, many, jobs), axis=1)

    few = max(2, runs // 10)
    means = {n: np.array([tried(n, alpha, few).mean() for alpha in RATES]) for n in LENGTHS}
    n = min(means, key=lambda n: float(means[n].min()))
    alpha = RATES[int(np.argmin(means[n]))]
    what = f"random walk of 19 states, n-step TD: the least RMS error, at n = {n}, learning rate {alpha:g} (Figure 7.2)"
    return Result([row(what, "n = 4 is best", None, tried(n, alpha, runs), form=".3f")], {"means": means})


def walk_errors(agent: str, env: Any, episodes: int, seed: int, **settings: Any) -> Floats:
    """float64 [episodes], the RMS error over the states between the ends of a random walk after each episode."""
    model = env.model
    exact = rlgrid.policy_values(model, np.full((model.num_states, 2), 0.5))[1:-1]
    learner = getattr(rlgrid.agents, agent)(env, seed=seed, **settings)
    errors = np.empty(episodes)
    for episode in range(episodes):
        learner.advance_episodes()
        errors[episode] = np.sqrt(np.mean((learner.value_table[1:-1] - exact) ** 2))
    return errors


PLANNING = {0: 25, 5: 5, 50: 3}  # steps: the episodes that they take to the best behaviour, as the text says
NEAR = 1.5


def maze(runs: int = RUNS, jobs: int = 1) -> Result:
    """Example 8.1, Figure 8.2: steps of each episode, by planning steps."""
    env, exact = world("DynaMaze-v0"), exact_values()
    best = exact["maze, around the optimum"]
    lengths = {n: np.array(each(partial(_maze_run, env, n), runs, jobs)) for n in PLANNING}

    def arrives(some: Floats) -> float:
        """The first episode whose mean length is near the best."""
        near = some.mean(axis=0) <= NEAR * best
        return float(near.argmax() + 1) if near.any() else np.inf

    rows = []
    for n, printed in PLANNING.items():
        low, high = bootstrap_interval(arrives, lengths[n], paired=True, resamples=500)
        what = f"Dyna maze, {n} planning steps: the episode whose mean length is near the best (Figure 8.2)"
        rows.append(Row(what, f"about {printed}", printed, arrives(lengths[n]), low, high, "", ".0f", False))
    rows.append(
        row("Dyna maze: steps of the third episode, 50 planning steps", "", None, lengths[50][:, 2], f"{best:.2f}")
    )
    first, random = np.concatenate([found[:, 0] for found in lengths.values()]), f"{exact['maze, at random']:.1f}"
    rows.append(row("Dyna maze: steps of the first episode", "about 1700", None, first, random, ".0f"))
    return Result(rows, {"runs": lengths, "best": best})


def _maze_run(env: Any, planning_steps: int, seed: int) -> Floats:
    learner = behave("DynaQ", env, seed, learning_rate=0.1, gamma=0.95, planning_steps=planning_steps)
    while len(learner.episode_lengths) < 50:
        learner.advance(500)
    return np.array(learner.episode_lengths[:50], np.float64)


DYNA: dict[str, dict[str, Any]] = {"DynaQ": {}, "DynaQPlus": {"kappa": 1e-3}}
DYNA_NAMES = {"DynaQ": "Dyna-Q", "DynaQPlus": "Dyna-Q+"}
CHANGES = {
    "BlockingMaze-v0": ("blocking maze", "8.4", 1000, 3000, 16),
    "ShortcutMaze-v0": ("shortcut maze", "8.5", 3000, 6000, 10),
}


def changing(runs: int = RUNS, jobs: int = 1) -> Result:
    """Examples 8.2 and 8.3, Figures 8.4 and 8.5: the maze changes while the agent learns."""
    rows, curves = [], {}
    for name, (title, figure, _, steps, best) in CHANGES.items():
        for agent in DYNA:
            found = each(partial(_changing_run, name, agent, steps), runs, jobs)
            paid = np.array([one for one, _ in found])
            curves[name, agent] = paid
            known = DYNA_NAMES[agent]
            rows.append(row(f"{title}, {known}: reward in {steps:,} steps (Figure {figure})", "", None, paid[:, -1]))
            if name == "ShortcutMaze-v0":
                way = 100.0 * np.array([length == best for _, length in found])
                what = f"{title}, {known}: % of runs whose greedy policy takes the {best} steps in the end"
                rows.append(row(what, "", None, way))
    return Result(rows, curves)


def _changing_run(name: str, agent: str, steps: int, seed: int) -> tuple[NDArray[np.int64], float]:
    """The reward so far, every 50 steps, and the length of the greedy way in the maze as it is in the end."""
    env = world(name)
    learner = behave(agent, env, seed, learning_rate=1.0, gamma=0.95, planning_steps=10, **DYNA[agent])
    learner.learn(steps)
    paid = np.searchsorted(np.cumsum(learner.episode_lengths), np.arange(0, steps + 1, 50), "right")
    return paid, steps_to_the_end(env.model, learner.policy)


# --- pictures ---------------------------------------------------------------------------------------------------------


def draw_cliff(result: Result) -> None:
    """Figure 6.4."""
    figure, axes = figure_of()
    for agent, runs in result.curves["runs"].items():
        draw_mean(axes, *smooth(runs, 5), **STYLES[agent])
    levels(axes, result.curves["exact"])
    axes.set(xlabel="episode", ylabel="return of an episode", ylim=(-100, -5), xlim=(0, 500))
    axes.set_title("Cliff walking", loc="left", fontsize=11)
    for agent, place in {"QLearning": (250, -57), "Sarsa": (250, -34), "ExpectedSarsa": (250, -15)}.items():
        name_line(axes, NAMES[agent], *place, COLOURS[agent])
    save(figure, "curves-cliff")


def levels(axes: Any, exact: dict[str, float]) -> None:
    """The exact values beside which the agents on the cliff arrive."""
    level(axes, exact["cliff, best"], f"best while\nexploring, {exact['cliff, best']:.2f}")
    around = exact["cliff, around the optimum"]
    level(axes, around, f"around the\noptimum, {around:.2f}")


def draw_alphas(result: Result) -> None:
    """Figure 6.3."""
    figure, axes = figure_of()
    rates, exact = result.curves["rates"], result.curves["exact"]
    for agent, means in result.curves["means"].items():
        style = STYLES[agent] | {"linestyle": "-", "markevery": 1}
        axes.plot(rates, means[:, 0], linewidth=1.2, **style | {"linestyle": DASHES[2], "markerfacecolor": "white"})
        axes.plot(rates, means[:, 1], linewidth=1.8, **style)
    levels(axes, exact)
    axes.set(xlabel="learning rate", ylabel="return of an episode", ylim=(-160, 0))
    axes.set_title("Cliff walking: many episodes (full), the first 100 (dotted)", loc="left", fontsize=11)
    for agent, place in {"QLearning": (0.2, -44), "Sarsa": (0.8, -40), "ExpectedSarsa": (0.8, -14)}.items():
        name_line(axes, NAMES[agent], *place, COLOURS[agent])
    save(figure, "curves-alphas")


def draw_wind(result: Result) -> None:
    """The figure of Example 6.5."""
    figure, axes = figure_of()
    draw_mean(axes, result.curves["at"], result.curves["runs"], color=BLUE)
    axes.set(xlabel="steps", ylabel="episodes", xlim=(0, 8000), ylim=(0, 180))
    axes.set_title("Windy gridworld, Sarsa", loc="left", fontsize=11)
    save(figure, "curves-wind")


def draw_bias(result: Result) -> None:
    """Figure 6.5."""
    figure, axes = figure_of()
    for (agent, name), colour, dashes in zip(TWO.items(), (ORANGE, BLUE), DASHES, strict=False):
        draw_mean(axes, np.arange(1, 301), result.curves[agent], colour, linestyle=dashes, label=name)
    level(axes, 50 * EPSILON, "optimal, 5 %")
    axes.set(xlabel="episode", ylabel="% left from A", xlim=(1, 300), ylim=(-4, 100))
    axes.set_title("Maximization bias", loc="left", fontsize=11)
    axes.legend(frameon=False)
    save(figure, "curves-bias")


def draw_walk(result: Result) -> None:
    """Figure 7.2."""
    figure, axes = figure_of()
    curves = result.curves["means"]
    colours = colormaps["cividis"](np.linspace(0.0, 0.8, len(curves)))
    for (n, means), colour in zip(curves.items(), colours, strict=True):
        least = int(np.argmin(means))
        axes.plot(RATES, means, color=colour, linewidth=1.6)
        axes.plot(RATES[least], means[least], color=colour, marker="o", markersize=5)
        if n <= 32:
            name_line(axes, f"n = {n}" if n == 1 else f"{n}", RATES[least], means[least] - 0.013, INK)
    # The lines of larger n lie close together; from below to above.
    axes.annotate(
        "64, 128, 256, 512",
        (0.05, 0.48),
        xytext=(0.62, 0.53),
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8},
        color=INK,
        fontsize=9.5,
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )
    axes.set(xlabel="learning rate", ylabel="RMS error, first 10 episodes", xlim=(0, 1), ylim=(0.23, 0.56))
    axes.set_title("Random walk of 19 states, n-step TD", loc="left", fontsize=11)
    save(figure, "curves-walk")


def draw_maze(result: Result) -> None:
    """Figure 8.2."""
    figure, axes = figure_of()
    for (n, runs), colour, dashes in zip(result.curves["runs"].items(), (ORANGE, GREEN, BLUE), DASHES, strict=True):
        draw_mean(axes, np.arange(2, 51), runs[:, 1:], colour, linestyle=dashes, label=f"{n} planning steps")
    best = result.curves["best"]
    level(axes, best, f"around the\noptimum, {best:.1f}")
    axes.set(xlabel="episode", ylabel="steps of an episode", xlim=(2, 50), ylim=(10, 800), yscale="log")
    axes.set_yticks([14, 20, 50, 100, 200, 400, 800], labels=["14", "20", "50", "100", "200", "400", "800"])
    axes.minorticks_off()
    axes.set_title("Dyna maze", loc="left", fontsize=11)
    axes.legend(frameon=False)
    save(figure, "curves-maze")


def draw_changing(result: Result) -> None:
    """Figures 8.4 and 8.5."""
    figure, both = figure_of(2)
    for axes, (name, (title, _, change, steps, _)) in zip(both, CHANGES.items(), strict=True):
        for agent, colour, dashes in (("DynaQPlus", BLUE, DASHES[0]), ("DynaQ", ORANGE, DASHES[1])):
            at, runs = np.arange(0, steps + 1, 50), result.curves[name, agent]
            draw_mean(axes, at, runs, colour, linestyle=dashes, label=DYNA_NAMES[agent])
        axes.axvline(change, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate(
            "the maze changes",
            (change, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            va="top",
            color=MUTED,
            fontsize=8.5,
        )
        axes.set(xlabel="steps", ylabel="reward so far", xlim=(0, steps), ylim=(0, None))
        axes.set_title(title.capitalize(), loc="left", fontsize=11)
        axes.legend(frameon=False, loc="center left")
    save(figure, "curves-changing")


# --- the page ---------------------------------------------------------------------------------------------------------

EXPERIMENTS: dict[str, tuple[Callable[..., Result], Callable[[Result], None]]] = {
    "cliff": (cliff, draw_cliff),
    "alphas": (alphas, draw_alphas),
    "wind": (wind, draw_wind),
    "bias": (bias, draw_bias),
    "walk": (walk, draw_walk),
    "maze": (maze, draw_maze),
    "changing": (changing, draw_changing),
}

SETTINGS = {
    "cliff": "learning rate .5, epsilon .1, gamma 1",
    "alphas": "epsilon .1, gamma 1",
    "wind": "learning rate .5, epsilon .1, gamma 1",
    "bias": "learning rate .1, epsilon .1, gamma 1",
    "walk": "10 episodes, uniform policy, gamma 1, V begins at 0",
    "maze": "learning rate .1, epsilon .1, gamma .95",
    "changing": "learning rate 1, epsilon .1, gamma .95, 10 planning steps, kappa .001",
}


def table(name: str, rows: list[Row]) -> str:
    """The rows of an experiment as lines of a table."""
    return "".join(
        f"| {one.what} | {one.printed} | {one.ours()} | {one.exact} | {SETTINGS[name]} | `--only {name}` |\n"
        for one in rows
    )


HEAD = "| what | printed | ours | exact | settings | command |\n| --- | ---: | ---: | ---: | --- | --- |\n"


def main(arguments: list[str] | None = None) -> None:
    """Run, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), help="the figures to make")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each (%(default)s)")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one for each core")
    options = parser.parse_args(arguments)
    lines = []
    for name in options.only or EXPERIMENTS:
        run, draw = EXPERIMENTS[name]
        result = run(options.runs, options.jobs)
        draw(result)
        lines.append(table(name, result.rows))
        print(lines[-1], end="", flush=True)
    if not options.only and options.runs == RUNS:
        between(PAGE, BEGIN, END, HEAD + "".join(lines))


if __name__ == "__main__":
    main()
