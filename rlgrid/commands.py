"""What the commands of the command line do, each a function from its options to an exit status.

Every command imports what it needs when it runs. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import rlgrid

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from rlgrid.agents.base import Agent
    from rlgrid.solvers import Solution
    from rlgrid.training import RunConfig

ARROWS = {
    **{"up": "↑", "right": "→", "down": "↓", "left": "←", "stay": "•"},
    **{"up-right": "↗", "down-right": "↘", "down-left": "↙", "up-left": "↖"},
}

EVAL_EPISODES = 10  # of a training
LARGEST_PICTURE = 8192  # pixels a side of what `record` writes


# --- what the commands share ------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """A line for the person, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def console(stderr: bool = False) -> Console:
    """Rich's console; colours only on a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_json(document: Any) -> None:
    """One JSON document on standard output; what JSON has no number for is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple | np.ndarray):
            return [plain(item) for item in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not math.isfinite(value) else value

    print(json.dumps(plain(document), indent=2, allow_nan=False))


def model_of(world: str, env_kwargs: dict[str, Any], gamma: float | None) -> Any:
    """The model of a map file, of a world of ours, or of a Gymnasium environment with a table ``P``.

    Raises:
        ValueError: where the model is not known.
    """
    if world.endswith(".toml") and not env_kwargs:
        return rlgrid.GridSpec.load(world).compile()
    from rlgrid.envs.registry import make

    env = make(world, **env_kwargs)
    inner: Any = env.unwrapped
    model = getattr(inner, "model", None)
    if model is None and hasattr(inner, "P"):
        if gamma is None:
            raise ValueError(f"{world} says nothing of its discount factor: give one, as in --gamma 0.99")
        model = rlgrid.MDP.from_gymnasium(env, gamma=gamma)
    env.close()
    if model is None:
        raise ValueError(f"the model of {world} is not known, so it cannot be solved: use a learner (rlgrid train)")
    return model


def name_of(world: str) -> str:
    """A world's name as part of a file name."""
    return Path(world).stem if world.endswith(".toml") else world.rpartition("/")[2]


# --- envs -------------------------------------------------------------------------------------------------------------


def envs(options: argparse.Namespace) -> int:
    from rlgrid.envs import CLASSICS, GENERATED, MAPS

    rows: list[dict[str, Any]] = []
    for world, entry in (MAPS | GENERATED | CLASSICS).items():
        named = MAPS[world].map if world in MAPS else None
        model = model_of(world, {}, None) if named is None else rlgrid.GridSpec.builtin(named).compile()
        rows.append(
            {
                "id": world,
                "map": named,
                "title": entry.title,
                "shape": list(model.shape) if named and model.shape else None,
                "num_states": model.num_states,
                "num_actions": model.num_actions,
                "gamma": model.gamma,
                "optimum": entry.optimum,
                "max_episode_steps": entry.max_episode_steps,
                "reward_threshold": entry.reward_threshold,
                "citation": entry.citation,
            }
        )
    if options.json:
        print_json(rows)
        return 0
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True)
    for title in ("size", "actions", "gamma", "J*", "step cap"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("title and source")
    for row in rows:
        size = f"{row['num_states']:,} states" if row["shape"] is None else "{} x {}".format(*row["shape"])
        cap = row["max_episode_steps"]
        numbers = (str(row["num_actions"]), f"{row['gamma']:g}", f"{row['optimum']:.6g}")
        told = f"{row['title']}: {row['citation']}"
        table.add_row(row["id"], size, *numbers, "-" if cap is None else f"{cap:,}", told)
    print_table(table)
    say("J* is the value of the start under an optimal policy. docs/worlds.md shows and defines the worlds.")
    say("Any map file is a world too: rlgrid solve my_world.toml. docs/maps.md tells how to write one.")
    return 0


def print_table(table: Any) -> None:
    """A table as wide as the terminal, or as it needs to be where the output goes to a file or a pipe."""
    out = console()
    if not out.is_terminal:
        out.width = max(out.width, 200)
    out.print(table)


# --- solve ------------------------------------------------------------------------------------------------------------

GAIN = ("gain", "gain_lower", "gain_upper")  # of a solution under the average criterion


def solve(options: argparse.Namespace) -> int:
    from rlgrid.solvers import SolverWarning
    from rlgrid.training import parse_settings

    model = model_of(options.env, parse_settings(options.env_kwargs, "--env-kwargs"), options.gamma)
    # With --json, standard output holds the result alone; the progress bar belongs to the person.
    aside = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    with aside, warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)  # said below, with the remedy
        solution = rlgrid.solve(
            model,
            gamma=options.gamma,
            method=options.method,
            tolerance=options.tolerance,
            horizon=options.horizon,
            criterion=options.criterion,
            max_sweeps=options.max_sweeps,
            time_limit=options.time_limit,
            progress_bar=options.progress,
            sweep_order=options.sweep_order,
        )
    if options.save is not None:
        solution.save(options.save)
        say(f"saved {options.save}")
    values, policy = first_step(solution, options.horizon)
    lower, upper = (np.atleast_2d(bound)[0] for bound in (solution.lower, solution.upper))
    # Only over the start states: elsewhere a value may be -inf, and 0 * -inf is not 0.
    start_value = float(model.start_probability @ values[model.start_states])
    average = options.criterion == "average"
    if options.json:
        gamma = model.gamma if options.gamma is None else options.gamma
        print_json(
            {
                "env": options.env,
                "num_states": model.num_states,
                "num_actions": model.num_actions,
                "gamma": None if average else gamma,
                "horizon": options.horizon,
                "criterion": options.criterion,
                "method": solution.method,
                "sweeps": solution.sweeps,
                "backups": solution.backups,
                "converged": bool(solution.converged),
                "error_bound": solution.error_bound,
                "policy_loss_bound": solution.policy_loss_bound,
                **({name: getattr(solution, name) for name in GAIN} if average else {"start_value": start_value}),
                "values": values,
                "lower": lower,
                "upper": upper,
                "policy": policy,
            }
        )
    else:
        decimals = proven_decimals(solution.error_bound)
        print_solution(model, values, policy, decimals, "bias" if average else "V*")
        so_far = "" if solution.converged else " (so far: see what is proven)"
        if average:
            what = f"the most that a step can earn in the long run, from every state{so_far}"
            print(f"gain = {solution.gain:.{decimals}f}, {what}")
        else:
            print(f"J* = {start_value:.{decimals}f}, the optimal value over the start distribution{so_far}")
        print(f"{solution.method}: {solution.sweeps:,} sweeps, {solution.backups:,} backups")
        if math.isfinite(solution.error_bound) and average:
            bounds = f"{solution.gain_lower:.10g} <= gain* <= {solution.gain_upper:.10g}"
            print(f"proven: |gain - gain*| <= {solution.error_bound:.2e}, {bounds}, rounding included")
        elif math.isfinite(solution.error_bound):
            print(f"proven: |V - V*| <= {solution.error_bound:.2e} in every state, rounding included")
        else:
            print("proven: nothing yet")
    if not solution.converged:
        say(f"The tolerance {options.tolerance:g} is not proven: {solution.reason}.")
        return 1
    return 0


def first_step(solution: Solution, horizon: int | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values and policy [S], of the first step where there is a horizon."""
    values, policy = np.asarray(solution.values), np.asarray(solution.policy)
    return (values, policy) if horizon is None else (values[0], policy[0])


def proven_decimals(error: float) -> int:
    """How many decimals of a value an error leaves proven, 1 to 10."""
    if not math.isfinite(error):
        return 4
    return 10 if error <= 1e-10 else min(max(math.floor(-math.log10(error)), 1), 10)


def print_solution(
    model: Any, values: NDArray[np.float64], policy: NDArray[np.int64], decimals: int, name: str
) -> None:
    """The values and the policy as two grids where they fit, else a few states of the lot."""
    absorbing = np.asarray(model.absorbing)
    names = [ARROWS.get(name, name) for name in getattr(model, "actions", map(str, range(model.num_actions)))]
    shape: tuple[int, ...] = getattr(model, "shape", None) or ()
    room = os.get_terminal_size().columns if sys.stdout.isatty() else 400
    if len(shape) == 2 and model.num_states <= 10_000:
        walls = np.asarray(getattr(model, "walls", np.zeros(model.num_states, np.bool_))).ravel()
        marks = [
            "#" if wall else "·" if over else names[action]
            for wall, over, action in zip(walls, absorbing, policy.tolist(), strict=True)
        ]
        for digits in range(decimals, 0, -1):  # as many as are proven and fit
            texts = [
                mark if over else f"{value:.{digits}f}"
                for mark, over, value in zip(marks, absorbing, values.tolist(), strict=True)
            ]
            wide = max(map(len, texts)) + 2
            if wide * shape[1] <= room:
                print(f"{name} (# wall, · the episode is over)")
                print_grid(texts, shape, wide)
                print("\nOptimal policy")
                print_grid(marks, shape, max(map(len, marks)) + 1)
                print()
                return
    order = np.flatnonzero(~absorbing)[:12]
    for s in order.tolist():
        print(f"state {s}: {name} = {values[s]:.{decimals}f}, action {names[int(policy[s])]}")
    if model.num_states > len(order):
        spread = f"{name} from {values.min():.6g} to {values.max():.6g}"
        print(f"... of {model.num_states:,} states, {spread} (all with --json)")


def print_grid(texts: Sequence[str], shape: tuple[int, ...], wide: int) -> None:
    """Texts [H * W] in columns."""
    for row in range(shape[0]):
        print("".join(text.rjust(wide) for text in texts[row * shape[1] : (row + 1) * shape[1]]).rstrip())


# --- train, evaluate, enjoy -------------------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> int:
    from rlgrid import training

    # With --json, standard output holds the result alone; a progress bar belongs to the person.
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        folder, agent, found = run_training(options)
    if options.json:
        print_json({"folder": folder, "timesteps": agent.num_timesteps, **vars(found)})
    else:
        print(f"{agent.num_timesteps:,} {agent.unit}s: {training.describe(found)}")
        print(f"{folder}: watch it with `rlgrid enjoy {folder}`")
    return 0


def run_training(options: argparse.Namespace) -> tuple[str, Agent, Any]:
    """Do what the options say; the run's folder, its agent, and its last evaluation."""
    from rlgrid import training

    if options.resume is not None:
        folder = Path(options.resume)
        config = training.read_config(folder, options.env)
        check_resumed(options, vars(config), folder)
        training.check_log(config, options.tensorboard_log, folder)
    else:
        if options.algo is None or options.env is None:
            raise ValueError("rlgrid train needs --algo and --env, as in --algo dqn --env rlgrid/FourRooms-v0")
        config = training_config(options)
        folder = training.new_folder(Path(options.log_folder), config.algo, config.env)
    say(f"{config.algo} in {config.env}, seed {config.seed}: {folder}")
    try:
        agent, found = training.train(
            config,
            folder,
            progress_bar=options.progress,
            log_interval=options.log_interval,
            said=say,
            resume=options.resume is not None,
        )
    except KeyboardInterrupt:
        say(f"stopped; finish it with `rlgrid train --resume {folder}`")
        raise
    return str(folder), agent, found


HOW = ("command", "resume", "traceback", "json", "progress", "log_interval")  # options that change no run
UNSET: dict[str, Any] = {"eval_freq": 10_000, "save_freq": 0, "log_folder": "runs", "tables": False}


def check_resumed(options: argparse.Namespace, run: dict[str, Any], folder: Path) -> None:
    """Raise a ValueError for an option that is not what a run has which is to be finished: it would not hold."""
    from rlgrid import training

    for name, given in vars(options).items():
        if name in HOW or given in (None, [], UNSET.get(name)):
            continue
        there, asked = run.get(name), given
        if name == "algo":
            asked = training.algorithm(given)
        elif name in {"hyperparams", "env_kwargs"}:
            there = run.get("hyperparameters" if name == "hyperparams" else name, {})
            asked = there | training.parse_settings(given, f"--{name.replace('_', '-')}")
        elif name == "env" and given.endswith(".toml"):
            continue  # its map lies in the folder
        if asked != there:
            raise ValueError(
                f"--{name.replace('_', '-')} does not go with --resume: {folder} is finished as it was begun"
                + ("" if name not in run else f", with {there!r}")
                + ". Leave it away, or train a new run"
            )


def training_config(options: argparse.Namespace) -> RunConfig:
    """The options of ``rlgrid train`` as the configuration of a run, checked before anything is written."""
    from rlgrid import training
    from rlgrid.agents import agent_class
    from rlgrid.scalars import summary_writer

    algo = training.algorithm(options.algo)
    asked, env_kwargs, hyperparameters = asked_settings(options)
    total = asked or agent_class(algo).default_total_timesteps  # None: a planner stops by itself
    seed = options.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    config = training.RunConfig(
        algo=algo,
        env=options.env,
        n_timesteps=total,
        seed=seed,
        env_kwargs=env_kwargs,
        hyperparameters=hyperparameters,
        eval_freq=options.eval_freq,
        eval_episodes=options.eval_episodes or EVAL_EPISODES,
        save_freq=options.save_freq,
        tensorboard_log=options.tensorboard_log,
    )
    config = training.check_config(config)
    training.make_agent(config, training.make_env(config)).env.close()
    if config.tensorboard_log is not None:
        summary_writer()
    return config


def asked_settings(options: argparse.Namespace) -> tuple[int | None, dict[str, Any], dict[str, Any]]:
    """(steps, arguments of the environment, hyperparameters): those of the command line over those of a file."""
    from rlgrid.training import parse_settings

    env_kwargs = parse_settings(options.env_kwargs, "--env-kwargs")
    hyperparameters = parse_settings(options.hyperparams, "--hyperparams")
    if options.conf_file is None:
        return options.n_timesteps, env_kwargs, hyperparameters
    from rlgrid.zoo import read_conf

    conf = read_conf(options.conf_file, options.env)
    say(f"{options.conf_file}: {conf.block}")
    total = options.n_timesteps or conf.n_timesteps
    return total, conf.env_kwargs | env_kwargs, conf.hyperparameters | hyperparameters


def chosen_run(options: argparse.Namespace) -> Path:
    """The run folder that was named, or the youngest of --algo and --env."""
    from rlgrid import training

    if options.run is not None:
        return Path(options.run)
    if options.algo is None or options.env is None:
        raise ValueError("name a run's folder, or its --algo and --env")
    return training.find_run(Path(options.log_folder), options.algo, options.env)


def holds_many(folder: Path) -> bool:
    """Whether a folder is one of many runs."""
    from rlgrid.runs import INDEX

    return (folder / INDEX).is_file()


def one_of_many(options: argparse.Namespace, folder: Path, **changes: Any) -> tuple[Agent, RunConfig]:
    """The agent of one of the runs in a folder: that of --seed, or the median one; made by doing the run again.

    Only curves are kept of many runs, and a run that is done again is the same bit for bit.

    Raises:
        RunError: where it is not clear which run is meant, naming those that there are.
    """
    from rlgrid import training
    from rlgrid.runs import INDEX, MEASURES, Runs

    runs = Runs.load(folder)
    if not len(runs):
        raise training.RunError(
            f"{folder} holds no run yet: rlgrid train --resume {folder} does those that are missing"
        )
    wanted = training.parse_settings(options.hyperparams, "--hyperparams")
    chosen = runs.select(**wanted) if wanted else runs
    if len(chosen.groups()) > 1:
        example = next(iter(chosen.groups())).replace("=", ":").replace(", ", " ")
        there = "; ".join(chosen.groups())
        raise training.RunError(
            f"{folder} holds runs of several settings ({there}): choose one, as in --hyperparams {example}"
        )
    if options.seed is None:
        measure = chosen.best_measure()
        scores = np.nan_to_num(chosen.scores(measure), nan=-np.inf)
        run = chosen[int(np.argsort(scores, kind="stable")[(len(chosen) - 1) // 2])]
        which = f"seed {run.seed}, the median of {len(chosen)} by {MEASURES[measure].label}; --seed N takes another"
    else:
        found = [one for one in chosen if one.seed == options.seed]
        if not found:
            raise training.RunError(f"{folder} has no run of seed {options.seed}: it has {ranges(chosen.seeds)}")
        run, which = found[0], f"seed {options.seed}"
    plan = runs.plan
    map_file = folder / training.MAP
    config = training.RunConfig(
        algo=training.algorithm(plan.agent),
        env=str(map_file) if map_file.is_file() else plan.env,
        n_timesteps=plan.total_timesteps,
        seed=run.seed,
        env_kwargs=plan.env_kwargs,
        hyperparameters=run.settings,
    )
    named = config.env if map_file.is_file() and options.env is not None else options.env
    config = training.check_again(config, named, folder / INDEX)
    say(f"{folder}: {which}. Doing its run again, {plan.total_timesteps:,} {plan.unit}s")
    agent = training.make_agent(config, training.make_env(config, **changes))
    return agent.learn(plan.total_timesteps), config


def ranges(seeds: list[int]) -> str:
    """Seeds, rising, as `--seeds` takes them: ``0-9,20``."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and parts[-1][-1] + 1 == seed:
            parts[-1][1:] = [seed]
        else:
            parts.append([seed])
    return ",".join("-".join(map(str, part)) for part in parts)


def loaded(options: argparse.Namespace, folder: Path, **changes: Any) -> tuple[Agent, RunConfig]:
    """The agent of a run folder, or of one of many runs; ``changes`` are arguments of its environment."""
    from rlgrid import training

    if holds_many(folder):
        return one_of_many(options, folder, **changes)
    if options.hyperparams:
        raise ValueError(f"--hyperparams chooses among many runs, and {folder} is one")
    return training.load(folder, options.env, **changes)


def evaluate(options: argparse.Namespace) -> int:
    from rlgrid import training

    folder = chosen_run(options)
    many = holds_many(folder)
    agent, config = loaded(options, folder)
    # Of many runs, --seed has named the run.
    found = training.evaluate(agent, config, episodes=options.eval_episodes, seed=None if many else options.seed)
    if options.json:
        print_json({"folder": str(folder), "env": config.env, "timesteps": agent.num_timesteps, **vars(found)})
        return 0
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_row("agent", f"{config.algo} in {config.env}, {agent.num_timesteps:,} {agent.unit}s")
    table.add_row("mean return", f"{found.mean_return:.6g} ± {found.std_return:.4g} over {found.episodes} episodes")
    if found.value is not None:
        table.add_row("J, exact", f"{found.value:.8g} at gamma {found.gamma:g}")
    if found.optimal_value is not None:
        table.add_row("J*, the optimum", f"{found.optimal_value:.8g}")
    if found.share_of_regret is not None:
        table.add_row("share of regret", f"{training.percent(found.share_of_regret)} of what a random policy loses")
    if found.optimal_share is not None:
        table.add_row("optimal action", f"in {training.percent(found.optimal_share)} of the states it can act in")
    gaps = {"|V - V*|": found.values_error, "|Q - Q*|": found.q_error, "|V - V^π|": found.prediction_error}
    for title, gap in gaps.items():
        if gap is not None:
            table.add_row(f"max {title}", f"{gap:.6g}")
    print_table(table)
    return 0


class Performer:
    """A trained agent that only acts: the window lets an agent that can learn go on learning."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.recurrent = getattr(agent, "recurrent", False)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """As the agent's own; where it was given a policy that draws its actions, they are drawn."""
        deterministic = deterministic and not getattr(self.agent, "acts_at_random", False)
        return self.agent.predict(observation, state, episode_start, deterministic)


def enjoy(options: argparse.Namespace) -> int:
    from rlgrid.window.launch import has_display, watch

    folder = chosen_run(options)
    # A foreign environment is shown by the pictures that it renders.
    agent, _ = loaded(options, folder, render_mode="rgb_array")
    # The window names an agent by its class, so a performer bears the name of the agent that it is.
    watched: Any = agent if options.learn else type(type(agent).__name__, (Performer,), {})(agent)
    look = {"theme": options.theme, "speed": options.speed}
    if has_display():
        watch(agent.env, watched, **look)
        return 0
    target = folder / "enjoy.gif"
    say(f"There is no display: writing {target} instead of opening the window.")
    watch(agent.env, watched, record=target, seconds=options.seconds, **look)
    print(target)
    return 0


# --- record -----------------------------------------------------------------------------------------------------------


def record(options: argparse.Namespace) -> int:
    from rlgrid import training

    target = Path(options.output or f"{name_of(options.target.rstrip('/'))}.gif")
    if target.suffix.lower() not in {".gif", ".png"}:
        raise ValueError(f"{target} is neither a .gif nor a .png: name one of the two, as in -o {target.stem}.gif")
    folder = Path(options.target)
    if (folder / training.CONFIG).is_file() or holds_many(folder):
        frames = run_frames(folder, options, still=target.suffix.lower() == ".png")
    else:
        frames = world_frames(options, still=target.suffix.lower() == ".png")
    write_pictures(target, frames, fps=options.fps)
    print(target)
    return 0


def world_frames(options: argparse.Namespace, still: bool) -> Iterator[NDArray[np.uint8]]:
    """A world's solution as one picture, or value iteration sweep by sweep."""
    from rlgrid.solvers import Sweeps
    from rlgrid.training import parse_settings

    model = model_of(options.target, parse_settings(options.env_kwargs, "--env-kwargs"), options.gamma)
    look = appearance(model, options)
    if still:
        solution = rlgrid.solve(model, gamma=options.gamma)
        yield rlgrid.draw(model, values=solution.values, policy=solution.policy, **look)
        return
    sweeps = Sweeps(model, gamma=options.gamma)
    for _ in range(options.n_timesteps or 60):
        sweeps.sweep()
        yield rlgrid.draw(model, values=sweeps.values, policy=sweeps.greedy(), **look)
        if sweeps.converged(1e-3):
            break


def appearance(model: Any, options: argparse.Namespace) -> dict[str, Any]:
    """How to draw a model; a picture beyond `LARGEST_PICTURE` pixels a side is refused."""
    from rlgrid.layout import shape_of

    rows, columns = shape_of(model)
    if max(rows, columns) * options.cell_size > LARGEST_PICTURE:
        fits = max(1, LARGEST_PICTURE // max(rows, columns))
        raise ValueError(
            f"--cell-size {options.cell_size} makes a picture of {columns * options.cell_size} x "
            f"{rows * options.cell_size} pixels; at most {LARGEST_PICTURE} a side: --cell-size {fits} fits"
        )
    return {"cell_size": options.cell_size, "theme": options.theme}


def run_frames(folder: Path, options: argparse.Namespace, still: bool) -> Iterator[NDArray[np.uint8]]:
    """What a trained agent has learnt as one picture, or its episodes."""
    agent, _ = loaded(options, folder, render_mode="rgb_array")
    if still:
        if agent.model is None or not hasattr(agent, "values"):
            what = "the model" if agent.model is None else "a table of values"
            raise ValueError(f"{what} behind {folder} is not known: record a .gif of its episodes")
        look = appearance(agent.model, options)
        yield rlgrid.draw(agent.model, values=agent.values, policy=agent.greedy(), **look)
        return
    seed = None if holds_many(folder) else options.seed  # of many runs, it has named the run
    yield from episode_frames(agent, options.n_timesteps, seed)


def episode_frames(agent: Agent, steps: int | None, seed: int | None) -> Iterator[NDArray[np.uint8]]:
    """So many frames of the policy's episodes; None is one episode, or its first 500 frames."""
    env, state = agent.env, None
    observation, _ = env.reset(seed=seed)
    for step in range(steps or 500):
        yield np.asarray(env.render())
        action, state = Performer(agent).predict(observation, state)
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            yield np.asarray(env.render())
            if steps is None or step + 1 >= steps:
                break
            observation, _ = env.reset()
            state = None
    env.close()


def write_pictures(target: Path, frames: Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Write a .png of the last frame or a .gif of them all; the file that was there is replaced at the end."""
    import imageio.v3 as imageio

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.part{target.suffix}")
    pictures = list(frames)
    try:
        if target.suffix.lower() == ".png":
            imageio.imwrite(temporary, pictures[-1])
        else:
            imageio.imwrite(temporary, pictures, duration=1000 / fps, loop=0)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
