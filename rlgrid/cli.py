"""The command line: ``rlgrid envs | solve | train | tune | enjoy | evaluate | record | plot``.

Option names are those of rl-zoo3. The exit status is 0; 1 where the result is not what was asked for (a tolerance
that was not reached); 2 where the request was wrong; 130 after Ctrl-C. `rlgrid.commands` does the work,
`rlgrid.experiments` where there are many runs, and `rlgrid.searching` where settings are searched for.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import warnings
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import rlgrid
from rlgrid import commands, experiments, searching
from rlgrid.commands import say

LOGS = "runs"
MOST_DIGITS = 400  # of a number that is looked at

# --- the words --------------------------------------------------------------------------------------------------------

COMMANDS = {
    "envs": (commands.envs, "list the worlds"),
    "solve": (commands.solve, "solve a world exactly, with a proof of the error"),
    "train": (experiments.train, "train an agent, on one seed or on many, or finish a training"),
    "tune": (searching.tune, "search for the hyperparameters of an agent, or go on with a search"),
    "enjoy": (commands.enjoy, "watch a trained agent in the window"),
    "evaluate": (commands.evaluate, "judge a trained agent, by episodes and exactly"),
    "record": (commands.record, "write a picture or an animation of a world or an agent"),
    "plot": (experiments.plot, "draw the learning curves of many runs, or a study"),
}
EXAMPLES = {
    "": """examples:
  rlgrid envs                                                  the worlds
  rlgrid solve rlgrid/FourRooms-v0                             V*, the optimal policy, the proven error
  rlgrid train --algo q_learning --env rlgrid/FrozenLake-v1 -n 200000 -P
  rlgrid evaluate --algo q_learning --env rlgrid/FrozenLake-v1
  rlgrid record rlgrid/CliffWalking-v1 -o cliff.gif            value iteration, sweep by sweep
`rlgrid COMMAND --help` tells more. `python play.py` opens the window.""",
    "envs": """examples:
  rlgrid envs
  rlgrid envs --json | python -m json.tool""",
    "solve": """\
ENV is an id (rlgrid/FourRooms-v0), the name of a built-in map (four_rooms), a map file (my_world.toml), or a
Gymnasium environment with a transition table (FrozenLake-v1 --gamma 0.99).

examples:
  rlgrid solve russell_norvig_4x3 --tolerance 1e-10
  rlgrid solve my_world.toml --gamma 0.95 --save solution.safetensors
  rlgrid solve rlgrid/FrozenLake-v1 --gamma 1 --horizon 100     the best of 100 steps
  rlgrid solve sutton_barto_5x5 --criterion average             the most that a step can earn in the long run
  rlgrid solve four_rooms --json > solution.json""",
    "train": """\
A run is a folder: configuration, agent, monitor.csv and evaluations.npz (as of Stable-Baselines3), and
evaluations.csv, exact where the model is known. A checkpoint is written every 30 seconds, and Ctrl-C leaves
a checkpoint, from which --resume finishes exactly as if the run had never been stopped.
With --seeds, every run of that many is kept in one folder as it ends; --resume does those that are missing.

examples:
  rlgrid train --algo dqn --env rlgrid/FourRooms-v0 -n 50000 --seed 0 --eval-freq 10000 -P
  rlgrid train --algo q_learning --env my_world.toml --hyperparams learning_rate:0.5 gamma:0.95
  rlgrid train --algo value_iteration --env four_rooms
  rlgrid train --algo dqn --env CartPole-v1 --conf-file hyperparams.yml     rl-zoo3's form of settings
  rlgrid train --resume runs/dqn/rlgrid-FourRooms-v0_1
  rlgrid train --algo q_learning --env four_rooms --seeds 0-99 --grid learning_rate:0.1,0.5 -P
  rlgrid train --algo dqn --env CartPole-v1 --seeds 0-99 --backend dask --address 127.0.0.1:8786""",
    "tune": """\
A study is a folder: what was asked, a line for each trial as it ends, and the best settings as best.yml. Each trial
runs on every seed; bad ones are stopped early. Ctrl-C, or a kill, loses the trials under way and nothing else.
rlgrid train -conf STUDY/best.yml trains with the best settings, and rlgrid plot STUDY draws the study.

examples:
  rlgrid tune --algo q_learning --env rlgrid/FrozenLake-v1 -n 50000 -P                the agent's usual space
  rlgrid tune --algo sarsa --env four_rooms --sampler grid --space learning_rate=log:0.01:1 epsilon=0.05|0.1
  rlgrid tune --algo dqn --env rlgrid/FourRooms-v0 -n 20000 --sampler tpe --space-file space.toml
  rlgrid tune --resume studies/dqn/rlgrid-FourRooms-v0_1 --n-trials 80""",
    "enjoy": """\
Without a display, a film of the window is written into the run's folder.

examples:
  rlgrid enjoy runs/dqn/rlgrid-FourRooms-v0_1
  rlgrid enjoy --algo dqn --env rlgrid/FourRooms-v0             its youngest run
  rlgrid enjoy runs/q_learning/four_rooms_1 --seed 7            one of many runs""",
    "evaluate": """\
Returns are sampled; where the world's model is known, J is exact as well, and its distance from the optimum
is given as a share of what a random policy loses.

examples:
  rlgrid evaluate runs/dqn/rlgrid-FourRooms-v0_1 --eval-episodes 1000
  rlgrid evaluate --algo dqn --env CartPole-v1 --json""",
    "record": """\
TARGET is a world (as for rlgrid solve) or the folder of a run. Of a world, a .gif shows value iteration sweep by
sweep and a .png its solution; of a run, a .gif shows episodes and a .png what was learnt.

examples:
  rlgrid record four_rooms -o four_rooms.gif --fps 8
  rlgrid record my_world.toml -o my_world.png --theme light
  rlgrid record runs/dqn/rlgrid-FourRooms-v0_1 -n 200""",
    "plot": """\
FOLDER is what rlgrid train --seeds writes. A line is the interquartile mean of the runs, the band its bootstrap
interval. Of what rlgrid tune writes, the trials are drawn against their number and their values.
Needs matplotlib: python -m pip install "rlgrid[plots]".

examples:
  rlgrid plot runs/q_learning/four_rooms_1 -o curves.png
  rlgrid plot runs/q_learning/four_rooms_1 runs/dqn/four_rooms_1 -o curves.svg --measure regret --logarithmic""",
}


def count(text: str) -> int:
    """A whole number: ``50000``, ``50_000`` or ``5e4``."""
    return _whole(text, least=0)


def _whole(text: str, least: int) -> int:
    """A whole number, exactly: as a float, one above 2 ** 53 would be another."""
    from rlgrid.agents.base import MOST

    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS or number != int(number) or number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    if number > MOST:
        raise argparse.ArgumentTypeError(f"it must be at most {MOST}, not {text}")
    return int(number)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, least=1)


def rate(text: str) -> float:
    """Pictures a second that a GIF can have: its pauses are hundredths of a second."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0.1 <= number <= 50.0:
        raise argparse.ArgumentTypeError(f"it must lie in 0.1 to 50 pictures a second, not {text}")
    return number


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    look: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    top = argparse.ArgumentParser(prog="rlgrid", description=rlgrid_in_a_line(), epilog=EXAMPLES[""], **look)
    top.add_argument("--version", action="version", version=f"rlgrid {rlgrid.__version__}")
    top.add_argument("--traceback", action="store_true", help="show where in the program an error arose")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parts = {}
    for name, (_, text) in COMMANDS.items():
        sentence = f"{text[0].upper()}{text[1:]}."
        parts[name] = subparsers.add_parser(name, help=text, description=sentence, epilog=EXAMPLES[name], **look)

    envs, solve, train = parts["envs"], parts["solve"], parts["train"]
    add_json(envs)

    solve.add_argument("env", metavar="ENV", help="the world")
    add_env_kwargs(solve)
    solve.add_argument("--gamma", type=float, help="discount factor (default: the world's own)")
    solve.add_argument(
        "--method",
        default="auto",
        help="auto (the default), value_iteration, gauss_seidel, policy_iteration, ...: docs/solver.md names them all",
    )
    solve.add_argument(
        "--sweep-order",
        default="auto",
        metavar="ORDER",
        help="of sweeps in place: auto, forward, backward, alternating, distance",
    )
    solve.add_argument(
        "--criterion",
        default="discounted",
        choices=["discounted", "average"],
        help="what is maximised: rewards discounted by gamma (the default; gamma 1 is their sum), or earned per step",
    )
    solve.add_argument("--tolerance", type=float, default=1e-6, help="error to prove (default: 1e-6)")
    solve.add_argument("--horizon", type=positive, metavar="T", help="solve the problem of T steps")
    solve.add_argument("--max-sweeps", type=positive, metavar="N", help="stop after N sweeps")
    solve.add_argument("--time-limit", type=float, metavar="SECONDS", help="stop after so long")
    solve.add_argument("--save", metavar="FILE", help="keep the solution (rlgrid.Solution.load reads it)")
    solve.add_argument("-P", "--progress", action="store_true", help="show a progress bar")
    add_json(solve)

    add_run_names(train, required=True)
    add_env_kwargs(train)
    train.add_argument(
        "-n",
        "--n-timesteps",
        type=positive,
        metavar="N",
        help="steps to learn from (default: 100000), or sweeps at most",
    )
    train.add_argument("--seed", type=count, help="of all random numbers (default: a fresh one, written down)")
    train.add_argument(
        *("-params", "--hyperparams"),
        nargs="+",
        default=[],
        metavar="NAME:VALUE",
        help="arguments of the agent, as learning_rate:0.1",
    )
    train.add_argument(
        *("-conf", "--conf-file"),
        metavar="FILE",
        help="hyperparameters in rl-zoo3's YAML form; options given here go before its own",
    )
    train.add_argument("--eval-freq", type=count, default=10_000, metavar="N", help="(default: 10000; 0: at the end)")
    train.add_argument(
        "--eval-episodes",
        type=positive,
        metavar="N",
        help="(default: 10; with --seeds, none where the model is known and the value exact)",
    )
    train.add_argument(
        "--save-freq", type=count, default=0, metavar="N", help="checkpoint every N too (default: every 30 seconds)"
    )
    train.add_argument("-tb", "--tensorboard-log", metavar="FOLDER", help="write files for TensorBoard there")
    train.add_argument("--log-interval", type=positive, metavar="N", help="print a line every N episodes")
    train.add_argument("-f", "--log-folder", default=LOGS, metavar="FOLDER", help=f"(default: {LOGS})")
    train.add_argument("-P", "--progress", action="store_true", help="show a progress bar")
    train.add_argument("--resume", metavar="RUN", help="finish the run in this folder; its own options hold")
    add_many(train)
    add_json(train)

    tune = parts["tune"]
    add_run_names(tune, required=True)
    add_env_kwargs(tune)
    searching.add_options(tune, count, positive, experiments.parse_seeds)
    add_json(tune)

    for name in ("enjoy", "evaluate"):
        part = parts[name]
        part.add_argument("run", nargs="?", metavar="RUN", help="the folder of a run")
        add_run_names(part, required=False)
        part.add_argument("-f", "--log-folder", default=LOGS, metavar="FOLDER", help=f"(default: {LOGS})")
        add_choice(part)
    many = "of the run, in a folder of many (default: the median one)"
    parts["evaluate"].add_argument("--seed", type=count, help=f"of the episodes; {many}")
    parts["enjoy"].add_argument("--seed", type=count, help=many)
    parts["evaluate"].add_argument("--eval-episodes", type=positive, default=100, metavar="N", help="(default: 100)")
    add_json(parts["evaluate"])
    enjoy = parts["enjoy"]
    enjoy.add_argument("--learn", action="store_true", help="let it go on learning (in a copy; the run stays as it is)")
    enjoy.add_argument("--speed", type=float, metavar="N", help="steps a second")
    enjoy.add_argument("--theme", choices=["dark", "light"], default="dark", help="(default: dark)")
    enjoy.add_argument("--seconds", type=float, default=10.0, help="of the film, without a display (default: 10)")

    record = parts["record"]
    record.add_argument("target", metavar="TARGET", help="a world, or the folder of a run")
    record.add_argument("--env", metavar="MODULE:ID", help="of a run whose environment a module of yours makes")
    record.add_argument("-o", "--output", metavar="FILE", help="a .gif or .png (default: TARGET's name, .gif)")
    add_env_kwargs(record)
    record.add_argument("-n", "--n-timesteps", type=positive, metavar="N", help="sweeps of a world, steps of an agent")
    record.add_argument("--gamma", type=float, help="discount factor (default: the world's own)")
    record.add_argument("--seed", type=count, help=f"of the episodes; {many}")
    add_choice(record)
    record.add_argument("--fps", type=rate, default=10.0, help="pictures a second (default: 10)")
    record.add_argument("--theme", choices=["dark", "light"], default="dark", help="(default: dark)")
    record.add_argument("--cell-size", type=positive, default=48, metavar="PIXELS", help="(default: 48)")

    plot = parts["plot"]
    folders = "of runs, as rlgrid train --seeds writes them, or with such folders below"
    plot.add_argument("folders", nargs="+", metavar="FOLDER", help=folders)
    plot.add_argument("-o", "--output", default="curves.png", metavar="FILE", help=".png, .svg or .pdf (curves.png)")
    plot.add_argument(
        "--measure",
        help="share_of_regret, regret, value, mean_return, episode_return, ...: docs/experiments.md names them all "
        "(default: the first of these that is known)",
    )
    plot.add_argument(
        "--labels", nargs="+", metavar="LABEL", help="of the curves, in the order of folders and settings"
    )
    plot.add_argument("--title", help="above the picture (default: the world)")
    plot.add_argument("--logarithmic", action="store_true", help="let the measure have a logarithmic axis")
    plot.add_argument("--limits", nargs=2, type=float, metavar=("LOW", "HIGH"), help="of the axis of the measure")
    return top


def rlgrid_in_a_line() -> str:
    return "Gridworlds: exact solutions with a proof of their error, agents, and pictures of both."


def add_json(part: argparse.ArgumentParser) -> None:
    part.add_argument("--json", action="store_true", help="print the result as JSON")


def add_many(part: argparse.ArgumentParser) -> None:
    many = part.add_argument_group("many runs")
    many.add_argument(
        "--seeds", type=experiments.parse_seeds, metavar="SEEDS", help="as 0-99, or 0,3,7: a run for each"
    )
    many.add_argument(
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME:VALUES",
        help="arguments of the agent to try, as learning_rate:0.1,0.5; all combinations, on every seed",
    )
    many.add_argument("--jobs", type=positive, metavar="N", help="runs at a time (default: one for each core)")
    many.add_argument("--backend", help="what does the runs: loky (the default: this machine), dask or ray")
    many.add_argument("--address", metavar="HOST:PORT", help="of the Dask or Ray cluster")
    many.add_argument("--tables", action="store_true", help="keep the final tables of every run")


def add_choice(part: argparse.ArgumentParser) -> None:
    words = "the settings of the run, in a folder of many"
    part.add_argument("-params", "--hyperparams", nargs="+", default=[], metavar="NAME:VALUE", help=words)


def add_env_kwargs(part: argparse.ArgumentParser) -> None:
    part.add_argument("--env-kwargs", nargs="+", default=[], metavar="NAME:VALUE", help="arguments of the environment")


def add_run_names(part: argparse.ArgumentParser, required: bool) -> None:
    which = "" if required else ", to find its youngest run"
    part.add_argument("--algo", help=f"value_iteration, q_learning, sarsa, dqn ...{which}")
    part.add_argument("--env", metavar="ENV", help=f"an id, a built-in map's name, or a map file{which}")


# --- main -------------------------------------------------------------------------------------------------------------


def check_command(arguments: Sequence[str], top: argparse.ArgumentParser) -> None:
    """Say which command a misspelt one may have been; argparse itself only lists them."""
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    if word is not None and word not in COMMANDS:
        near = difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
        top.error(f"there is no command {word!r}: {hint}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; ``arguments`` are ``sys.argv[1:]`` if not given."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    top = parser()
    check_command(given, top)
    options = top.parse_args(given)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.showwarning = lambda message, *_: say(f"rlgrid: warning: {message}")
            status = COMMANDS[options.command][0](options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("rlgrid: interrupted")
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError) as error:
        if options.traceback:
            raise
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        say(f"rlgrid: error: {text}")
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
