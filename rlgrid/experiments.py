"""The commands about many runs: ``rlgrid train --seeds`` and ``rlgrid plot``.

As in `rlgrid.commands`, each is a function from its options to an exit status.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rlgrid import commands
from rlgrid.commands import print_json, print_table, say

MOST_SEEDS = 1_000_000

# Options of one run, and why many do without.
ALONE = {
    "save_freq": "many keep each run when it ends, and --resume does those that are missing",
    "log_interval": "many go on side by side, and -P shows how far they are",
    "tensorboard_log": "of many, rlgrid plot draws the curves with their bands",
}

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def parse_seeds(text: str) -> list[int]:
    """``0-99``, ``0,3,7`` or ``0-9,20-29`` as a list.

    Raises:
        argparse.ArgumentTypeError: naming what is not understood.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise argparse.ArgumentTypeError(f"{part!r} is no range of seeds: write 0-99, or 0,3,7, or 0-9,20-29")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise argparse.ArgumentTypeError(f"{part!r} runs backwards: write {last}-{first}")
        if last - first >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{part!r} is more than {MOST_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    twice = next((a for a, b in itertools.pairwise(sorted(seeds)) if a == b), None)
    if twice is not None:
        raise argparse.ArgumentTypeError(f"seed {twice} is there twice: its two runs would be the same")
    return seeds


def parse_grid(words: list[str]) -> dict[str, list[Any]]:
    """``name:value,value`` words as lists of values, each a Python literal, or text where it is none.

    Raises:
        RunError: for a word of another form, and a name that is there twice.
    """
    from rlgrid.training import RunError, parse_settings

    grid: dict[str, list[Any]] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if not colon or not name.isidentifier() or not text:
            raise RunError(f"--grid {word!r} is not of the form name:value,value, as in learning_rate:0.1,0.5")
        if name in grid:
            raise RunError(f"--grid has {name} twice: write its values behind one another, as in {name}:1,2")
        try:
            whole = ast.literal_eval(f"[{text}]")  # values may hold commas of their own, as in (64,64),(32,)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            whole = [parse_settings([f"{name}:{one}"], "--grid")[name] for one in text.split(",")]
        grid[name] = whole
    return grid


def train(options: argparse.Namespace) -> int:
    """One run, or many where seeds or a grid are given, or a folder of many runs is to be finished."""
    from rlgrid.runs import INDEX

    many = options.seeds is not None or options.grid
    if options.resume is not None and (Path(options.resume) / INDEX).is_file():
        many = True
    if many:
        return train_many(options)
    for name in ("jobs", "backend", "address", "tables"):
        if getattr(options, name):
            raise ValueError(f"--{name} belongs to many runs: give --seeds too, as in --seeds 0-99")
    return commands.train(options)


def train_many(options: argparse.Namespace) -> int:
    """Do the runs that are missing in a folder, new or old, and say what all of them come to."""
    from rlgrid.many import LearnError, learn_many

    if options.seed is not None:
        raise ValueError("--seed is for one run and --seeds for many: give one of them")
    for name, reason in ALONE.items():
        if getattr(options, name):
            raise ValueError(
                f"--{name.replace('_', '-')} is for one run: {reason}. Leave it away, or give --seed N for --seeds"
            )
    words, folder = asked_words(options)
    say(f"{words['agent']} in {words['env']}, {len(words['seeds'])} seeds: {folder}")
    status = 0
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        try:
            runs = learn_many(
                **words,
                n_jobs=options.jobs or -1,
                backend=options.backend or "loky",
                address=options.address,
                folder=folder,
                progress_bar=options.progress,
            )
        except KeyboardInterrupt:
            say(f"stopped; do the runs that are missing with `rlgrid train --resume {folder}`")
            raise
        except LearnError as error:
            say(f"rlgrid: error: {error}")
            runs, status = error.runs, 1
        except Exception:
            with contextlib.suppress(OSError):
                folder.rmdir()  # made for nothing, if nothing was run
            raise
    if len(runs):
        tell(runs, folder, options.json)
    return status


def resumed_words(plan: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The options of ``rlgrid train`` that a folder of many runs stands for; what it has no one value of is missing."""
    every = plan.total_timesteps if len(plan.points) < 2 else plan.points[1] - plan.points[0]
    words = {
        "algo": plan.agent,
        "env": plan.env,
        "env_kwargs": plan.env_kwargs,
        "n_timesteps": plan.total_timesteps,
        "eval_freq": every,
        "eval_episodes": plan.eval_episodes,
        "tables": plan.tables,
    }
    # These say how it goes on, and which seeds are added.
    return words | {name: getattr(options, name) for name in ("seeds", "jobs", "backend", "address")}


def asked_words(options: argparse.Namespace) -> tuple[dict[str, Any], Path]:
    """The arguments of `learn_many`, from the options or from a folder, and the folder."""
    from rlgrid import training
    from rlgrid.agents import agent_class
    from rlgrid.runs import INDEX, read_plan

    if options.resume is not None:
        folder = Path(options.resume)
        plan = read_plan(folder)
        training.check_named(plan.env, options.env, folder / INDEX)
        training.check_size(plan.env_kwargs, plan.env, options.env, folder / INDEX)
        commands.check_resumed(options, resumed_words(plan, options), folder)
        map_file = folder / training.MAP
        words = {
            "agent": plan.agent,
            "env": str(map_file) if map_file.is_file() else plan.env,
            "seeds": sorted({*plan.seeds, *(options.seeds or [])}),
            "total_timesteps": plan.total_timesteps,
            "settings": plan.settings,
            "env_kwargs": plan.env_kwargs,
            "eval_points": plan.points,
            "eval_episodes": plan.eval_episodes,
            "tables": plan.tables,
        }
        return words, folder
    if options.algo is None or options.env is None:
        raise ValueError("rlgrid train needs --algo and --env, as in --algo q_learning --env rlgrid/FrozenLake-v1")
    if options.seeds is None:
        raise ValueError("--grid is for many runs: give --seeds too, as in --seeds 0-9")
    algo = training.algorithm(options.algo)
    asked, env_kwargs, hyperparameters = commands.asked_settings(options)
    total = asked or agent_class(algo).default_total_timesteps
    if total is None:
        raise ValueError(f"{algo} stops by itself; many runs need a length: give -n")
    every = options.eval_freq or total
    words = {
        "agent": algo,
        "env": options.env,
        "seeds": options.seeds,
        "total_timesteps": total,
        "settings": hyperparameters,
        "grid": parse_grid(options.grid),
        "env_kwargs": env_kwargs,
        "eval_points": sorted({*range(0, total, every), total}),
        "eval_episodes": options.eval_episodes,
        "tables": options.tables,
    }
    return words, training.new_folder(Path(options.log_folder), algo, options.env)


def tell(runs: Any, folder: Path, as_json: bool) -> None:
    """What the runs of each setting come to at their end, those that have a number there."""
    from rlgrid.runs import MEASURES
    from rlgrid.statistics import bootstrap_interval, interquartile_mean

    measure = runs.best_measure()
    rows = []
    for setting, part in runs.groups().items():
        scores = part.scores(measure)
        known = scores[~np.isnan(scores)]
        mean, low, high = math.nan, math.nan, math.nan
        if known.size:
            mean, (low, high) = interquartile_mean(known), bootstrap_interval(interquartile_mean, known)
        rows.append({"settings": part[0].settings, "runs": int(known.size), "mean": mean, "low": low, "high": high})
        rows[-1]["label"] = setting or "all"
    if as_json:
        for row in rows:
            del row["label"]
        print_json({"folder": str(folder), "measure": measure, "results": rows})
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting")
    for title in ("runs", "interquartile mean", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row["label"], str(row["runs"]), f"{row['mean']:.5g}", f"{row['low']:.5g} to {row['high']:.5g}")
    print(f"{MEASURES[measure].label}, at the end")
    print_table(table)
    print(f"{folder}: draw it with `rlgrid plot {folder} -o curves.png`")


def _holding_runs(folder: Path) -> list[Path]:
    """The folder, or those below it that hold runs where it does not itself."""
    from rlgrid.runs import INDEX

    below = [] if (folder / INDEX).is_file() else sorted(path.parent for path in folder.rglob(INDEX))
    return below or [folder]


def plot(options: argparse.Namespace) -> int:
    """Draw the curves of folders of runs, or the trials of a study."""
    from rlgrid.curves import plot as draw
    from rlgrid.runs import Runs
    from rlgrid.study import Study, holds_study

    if any(holds_study(Path(given)) for given in options.folders):
        from rlgrid.studypicture import plot_study

        if len(options.folders) > 1 or options.measure or options.labels or options.limits:
            raise ValueError(
                "a study is drawn by itself, without --measure, --labels and --limits: name its folder alone"
            )
        study = Study.load(options.folders[0])
        plot_study(study, options.output, title=options.title, logarithmic=options.logarithmic)
        print(options.output)
        return 0
    folders = [folder for given in options.folders for folder in _holding_runs(Path(given))]
    runs = [Runs.load(folder) for folder in folders]
    empty = [folder for folder, one in zip(folders, runs, strict=True) if not len(one)]
    if empty:
        raise ValueError(f"{empty[0]} holds no run yet: rlgrid train --resume {empty[0]} does those that are missing")
    draw(
        runs,
        options.output,
        options.measure,
        labels=options.labels,
        title=options.title,
        logarithmic=options.logarithmic,
        limits=options.limits,
    )
    print(options.output)
    return 0
