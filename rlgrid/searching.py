"""The command that searches for hyperparameters: ``rlgrid tune``.

As in `rlgrid.commands`, it is a function from its options to an exit status.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from rlgrid import commands
from rlgrid.commands import print_json, say

STUDIES = "studies"


def tune(options: argparse.Namespace) -> int:
    """Search, or go on with a search, and say what was found."""
    from rlgrid.study import BEST
    from rlgrid.tuning import TuneError
    from rlgrid.tuning import tune as search

    words, folder, new = asked_words(options)
    say(f"{words['agent']} in {words['env']}: {folder}")
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        try:
            study = search(**words, n_jobs=options.jobs or -1, folder=folder, progress_bar=options.progress)
        except KeyboardInterrupt:
            say(f"stopped; go on with `rlgrid tune --resume {folder}`")
            raise
        except TuneError as error:
            say(f"rlgrid: error: {error}")
            return 1
        except Exception:
            if new:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # made for nothing, if nothing was run
            raise
    if options.json:
        print_json(document_of(study, folder))
        return 0
    tell(study)
    print(f"best: {folder / BEST}; train with it: `{training_line(study, folder)}`")
    return 0


def asked_words(options: argparse.Namespace) -> tuple[dict[str, Any], Path, bool]:
    """The arguments of `rlgrid.tune`, from the options or from a folder; the folder, and whether it is new."""
    from rlgrid import training
    from rlgrid.space import parse_words, read_space
    from rlgrid.study import INDEX, read_plan
    from rlgrid.tuning import words_of

    if options.resume is not None:
        folder = Path(options.resume)
        plan = read_plan(folder)
        training.check_named(plan.env, options.env, folder / INDEX)
        words = words_of(plan)
        map_file = folder / training.MAP
        words["env"] = str(map_file) if map_file.is_file() else plan.env
        if options.n_trials is not None:
            words["n_trials"] = options.n_trials
        return words, folder, False
    if options.algo is None or options.env is None:
        raise ValueError("rlgrid tune needs --algo and --env, as in --algo q_learning --env rlgrid/FrozenLake-v1")
    algo = training.algorithm(options.algo)
    total, env_kwargs, hyperparameters = commands.asked_settings(options)
    space: dict[str, Any] = {} if options.space_file is None else read_space(options.space_file)
    space |= parse_words(options.space)
    words = {name: getattr(options, name) for name in GIVEN if getattr(options, name) is not None}
    words |= {"agent": algo, "env": options.env, "env_kwargs": env_kwargs, "total_timesteps": total}
    words |= {"settings": hyperparameters, "space": space or None}
    return words, training.new_folder(Path(options.log_folder), algo, options.env), True


GIVEN = (
    "sampler",
    "n_trials",
    "seeds",
    "measure",
    "over",
    "pruner",
    "n_startup_trials",
    "n_warmup_steps",
    "reduction_factor",
    "grid_points",
    "max_concurrent_trials",
    "seed",
    "eval_points",
    "eval_episodes",
)
"""Options that are arguments of `rlgrid.tune` by the same names; those that are not given take its defaults."""


def tell(study: Any) -> None:
    """The best trials as a table, and what failed."""
    from rlgrid.study import MEASURES

    plan = study.plan
    print(f"{MEASURES[plan.measure].label}, {len(study)} trials on {len(plan.seeds)} seeds")
    commands.print_table(study.table())
    failed = [trial for trial in study if trial.state == "failed"]
    if failed:
        say(f"rlgrid: warning: {len(failed)} trials failed, as trial {failed[0].number}: {failed[0].error}")


def document_of(study: Any, folder: Path) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "folder": str(folder),
        "measure": study.plan.measure,
        "best": study.best.number,
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "score": trial.score,
                "timesteps": trial.timesteps,
                "params": trial.params,
                "settings": trial.settings,
                "error": trial.error,
            }
            for trial in study
        ],
    }


def training_line(study: Any, folder: Path) -> str:
    """The command that trains with the best settings on seeds that the search did not see."""
    from rlgrid.study import BEST

    plan = study.plan
    fresh = max(plan.seeds) + 1
    where = plan.env
    return f"rlgrid train --algo {plan.agent} --env {where} -conf {folder / BEST} --seeds {fresh}-{fresh + 9}"


def add_options(part: argparse.ArgumentParser, count: Any, positive: Any, parse_seeds: Any) -> None:
    """The options of ``rlgrid tune`` beside the names of agent and world."""
    part.add_argument("-n", "--n-timesteps", type=positive, metavar="N", help="steps of each run (default: 100000)")
    part.add_argument(
        "--space",
        nargs="+",
        default=[],
        metavar="NAME=VALUES",
        help="what to try: learning_rate=log:1e-4:1e-1, lam=0:1, n_steps=int:1:8, double_q=true|false "
        "(default: the agent's usual space)",
    )
    part.add_argument("--space-file", metavar="FILE", help="the same from a .toml or .yml file")
    part.add_argument("--sampler", help="random (the default), grid, or tpe (Bayesian, by Optuna: rlgrid[tune])")
    part.add_argument("--n-trials", type=positive, metavar="N", help="settings to try (default: 50; all of a grid)")
    part.add_argument("--seeds", type=parse_seeds, metavar="SEEDS", help="of each trial, as 0-4 (default: 0-2)")
    part.add_argument("--seed", type=count, metavar="N", help="of the search (default: 0)")
    part.add_argument(
        *("-params", "--hyperparams"),
        nargs="+",
        default=[],
        metavar="NAME:VALUE",
        help="arguments of the agent that all trials have",
    )
    part.add_argument(*("-conf", "--conf-file"), metavar="FILE", help="the same from a file of rl-zoo3's form")
    part.add_argument(
        "--measure",
        help="share_of_regret, regret, value, mean_return, ...: docs/tuning.md names them all "
        "(default: the first of these that is known)",
    )
    part.add_argument("--over", help="end (the default): judge the end of a run, or mean: all its points")
    part.add_argument("--eval-points", type=positive, metavar="N", help="at which trials are judged (default: 20)")
    part.add_argument("--eval-episodes", type=positive, metavar="N", help="(default: 10, none where values are exact)")
    part.add_argument("--pruner", help="what stops bad trials early: median (the default), halving, or none")
    part.add_argument("--n-startup-trials", type=count, metavar="N", help="before any is stopped (default: 5)")
    part.add_argument("--n-warmup-steps", type=count, metavar="N", help="of a run before it is (default: a fifth)")
    part.add_argument("--reduction-factor", type=positive, metavar="N", help="of halving (default: 3)")
    part.add_argument("--grid-points", type=positive, metavar="N", help="of a range in a grid (default: 4)")
    part.add_argument(
        "--max-concurrent-trials",
        type=positive,
        metavar="N",
        help="under way at most where they learn from one another (default: 8)",
    )
    part.add_argument("--jobs", type=positive, metavar="N", help="trials at a time (default: one for each core)")
    part.add_argument("-f", "--log-folder", default=STUDIES, metavar="FOLDER", help=f"(default: {STUDIES})")
    part.add_argument("-P", "--progress", action="store_true", help="show a progress bar")
    part.add_argument(
        "--resume", metavar="STUDY", help="go on with the study in this folder; its own options hold but for --n-trials"
    )
