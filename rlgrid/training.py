"""A training run as a folder: what was run, the agent, and how it went.

A run folder holds
    config.json        the algorithm, the environment, the seed and every option of the run; all settings of the agent
                       and the versions that made it
    world.toml         the map, where the environment was a map file; the folder then needs nothing else
    agent.safetensors  the last checkpoint
    monitor.csv        the episodes as they ended, in the format of Stable-Baselines3's Monitor: a line of JSON, then
                       return ``r``, length ``l`` and seconds since the start ``t``
    evaluations.csv    one row for each evaluation: by episodes, and exactly where the model is known (`rlgrid.truth`)
    evaluations.npz    the same in the format of Stable-Baselines3: timesteps, results, ep_lengths; and what is exact

Compiled agents run thousands of episodes between two looks at them, so ``t`` is the time at which an episode was
noticed, not at which it ended. Evaluations and checkpoints come exactly where they are due.

Checkpoints, configuration and evaluations.npz are replaced by an atomic rename; the two tables grow by whole lines. So
whatever stops a run (Ctrl-C, a kill, a full disk), the last complete checkpoint is there, and a run goes on from it:
rows that are younger than the checkpoint, or torn, are made again, and all files end as if nothing had happened, but
for the times. A run that had no checkpoint yet begins again.
"""

from __future__ import annotations

import ast
import csv
import difflib
import inspect
import io
import json
import math
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgrid.agents import AGENTS, agent_class
from rlgrid.agents.base import check_count
from rlgrid.archive import NO_ARRAYS, read_columns, write_arrays
from rlgrid.atomic import append, read_plain, remove_parts, write_atomically
from rlgrid.callbacks import BaseCallback, TensorBoardCallback, next_multiple
from rlgrid.truth import MEASURES, Truth

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent

CONFIG, MAP, CHECKPOINT = "config.json", "world.toml", "agent.safetensors"
MONITOR, EVALUATIONS, ARRAYS = "monitor.csv", "evaluations.csv", "evaluations.npz"
FORMAT_VERSION = 1
EVALUATION_STEPS = 1_000  # of an episode where nothing else ends it
EVALUATION_COLUMNS = ("timesteps", "mean_return", "std_return", *MEASURES, "seconds")
MOST_CELLS = 10_000_000  # of a world that is made because a file says so, unless a person named it
MOST_AGAIN = 10_000_000  # units of a run of many that is done again because a file says so, unless a person named it
SAVE_SECONDS = 30.0  # between two checkpoints, beside those that were asked for
SCALARS = 200  # rows of scalars in a run


class RunError(ValueError):
    """A folder that is not a run, or a run that cannot be done."""


@dataclass(frozen=True)
class RunConfig:
    """What a run is, as written to ``config.json``.

    Attributes:
        algo: a key of `rlgrid.agents.AGENTS`. env: an id, the name of a built-in map, or a map file.
        env_kwargs, hyperparameters: arguments of the environment and of the agent.
        n_timesteps: steps of the environment, or sweeps of a planner; None lets a planner stop by its tolerance.
        seed: of the agent and of the environment's first reset.
        eval_freq, save_freq: units between evaluations and between checkpoints; 0 is only at the end. A checkpoint
            comes every `SAVE_SECONDS` in any case.
        eval_episodes: episodes in an evaluation.
        tensorboard_log: a folder for files of TensorBoard; None writes none.
    """

    algo: str
    env: str
    n_timesteps: int | None
    seed: int
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    eval_freq: int = 0
    eval_episodes: int = 10
    save_freq: int = 0
    tensorboard_log: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """How good an agent's deterministic policy is.

    ``mean_return`` and ``std_return`` are sampled: undiscounted returns over ``episodes`` episodes. Where the model
    is known and no wrapper changes what it does, the others are exact; `rlgrid.truth` defines them. ``value`` is J of
    the policy and ``optimal_value`` J*, at the world's ``gamma`` (up to the step cap where gamma = 1). None where a
    number is unknown.
    """

    mean_return: float
    std_return: float
    episodes: int
    gamma: float | None = None
    value: float | None = None
    optimal_value: float | None = None
    regret: float | None = None
    share_of_regret: float | None = None
    values_error: float | None = None
    optimal_share: float | None = None
    q_error: float | None = None
    bellman_residual: float | None = None
    prediction_error: float | None = None
    prediction_rms: float | None = None
    visited_share: float | None = None

    def numbers(self) -> dict[str, float]:
        """The exact numbers by name, NaN where one is unknown."""
        found = {name: getattr(self, name) for name in MEASURES}
        return {name: math.nan if value is None else float(value) for name, value in found.items()}


@dataclass(frozen=True)
class Sample:
    """The episodes of an evaluation: undiscounted returns and lengths."""

    returns: list[float]
    lengths: list[int]


# --- names ------------------------------------------------------------------------------------------------------------


def nearest(name: str, known: Iterable[str]) -> str:
    """ ", did you mean ...?" for the known name that is closest to ``name``, or "" where none is close."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f": did you mean {found[0]}?" if found else ""


def algorithm(name: str) -> str:
    """The key of `rlgrid.agents.AGENTS` that a person's spelling means ("Q-learning", "qlearning", "DQN" ...).

    Raises:
        RunError: naming the nearest algorithm.
    """
    plain = {key.replace("_", ""): key for key in AGENTS}
    key = plain.get(name.lower().replace("-", "").replace("_", "").replace(" ", ""))
    if key is None:
        raise RunError(f"there is no algorithm {name!r}{nearest(name.lower(), AGENTS)} (known: {', '.join(AGENTS)})")
    return key


def hyperparameters_of(algo: str | type[Agent]) -> dict[str, Any]:
    """The names and defaults of an algorithm's hyperparameters (`inspect.Parameter.empty` where there is none)."""
    agent = agent_class(algo) if isinstance(algo, str) else algo
    found: dict[str, Any] = {}
    given_elsewhere = {"self", "env", "seed", "compiled", *agent.not_taken}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for kind in agent.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(vars(kind)["__init__"]).parameters.values()
        named = {p.name: p.default for p in parameters if p.name not in given_elsewhere and p.kind in kinds}
        found = named | found
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            break  # it hands nothing on to a base class
    return found


def check_hyperparameters(algo: str | type[Agent], title: str, given: Iterable[str]) -> None:
    """Raise a RunError for the first name that is no hyperparameter of an algorithm, naming the nearest."""
    known = hyperparameters_of(algo)
    for name in given:
        if name not in known:
            raise RunError(f"{title} has no hyperparameter {name!r}{nearest(name, known)} (it has: {', '.join(known)})")


def parse_settings(words: Iterable[str], what: str) -> dict[str, Any]:
    """``name:value`` words as a dict; values are Python literals, or text where they are not.

    Raises:
        RunError: for a word without a colon, naming ``what`` it should have been.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if not colon or not name.isidentifier():
            raise RunError(f"{what} {word!r} is not of the form name:value, as in learning_rate:0.1")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found


# --- making what a run needs ------------------------------------------------------------------------------------------


def make_env(config: RunConfig, **changes: Any) -> Any:
    """The environment of a run; ``changes`` are further arguments, as ``render_mode``."""
    from rlgrid.envs.registry import make

    return make(config.env, **(config.env_kwargs | changes))


def make_agent(config: RunConfig, env: Any) -> Agent:
    """A fresh agent as the configuration asks for it.

    Raises:
        RunError: for an unknown hyperparameter, naming the nearest.
    """
    check_hyperparameters(config.algo, config.algo, config.hyperparameters)
    return agent_class(config.algo)(env=env, seed=config.seed, **config.hyperparameters)


def evaluate(agent: Agent, config: RunConfig, episodes: int | None = None, seed: int | None = None) -> Evaluation:
    """Judge the agent's deterministic policy in an environment of its own; see `Evaluation`.

    Where the environment has no step cap, episodes are cut off after `EVALUATION_STEPS`: a policy that is not good
    yet may never end.
    """
    found = sampled(sample(agent, config, episodes, seed))
    truth = Truth.of(agent)
    return found if truth is None else exact(agent, found, truth)


def sample(agent: Agent, config: RunConfig, episodes: int | None = None, seed: int | None = None) -> Sample:
    """Episodes of the agent's deterministic policy in an environment of its own; see `evaluate`.

    One that was given a policy that draws its actions follows that one, draws and all.
    """
    from rlgrid.agents import evaluate_policy

    env = make_env(config)
    if env.spec is not None and env.spec.max_episode_steps is None and "max_episode_steps" not in config.env_kwargs:
        env.close()
        env = make_env(config, max_episode_steps=EVALUATION_STEPS)
    try:
        returns, lengths = evaluate_policy(
            agent,
            env,
            n_eval_episodes=config.eval_episodes if episodes is None else episodes,
            deterministic=not getattr(agent, "acts_at_random", False),
            seed=seed,
            return_episode_rewards=True,
        )
    finally:
        env.close()
    return Sample(returns, lengths)


def sampled(found: Sample) -> Evaluation:
    """What episodes alone say."""
    return Evaluation(float(np.mean(found.returns)), float(np.std(found.returns)), len(found.returns))


def exact(agent: Agent, found: Evaluation, truth: Truth) -> Evaluation:
    """``found`` with the exact numbers of the agent.

    What has no value stays unknown, and a warning says why: undiscounted, a world may have no optimum, and the
    episodes of a policy may never end. A run goes on without those numbers.
    """
    point = truth.look(agent)
    if point.missing:
        warnings.warn(f"no exact regret: {point.missing}", stacklevel=2)
    known: dict[str, Any] = {name: value for name, value in point.numbers().items() if not math.isnan(value)}
    return replace(found, gamma=float(truth.model.gamma), **known)


# --- the folder -------------------------------------------------------------------------------------------------------


def new_folder(logs: Path, algo: str, env: str) -> Path:
    """Make ``logs/algo/env_N`` with the least N that is free, as rl-zoo3 numbers its experiments."""
    name = Path(env).stem if env.endswith(".toml") else env.replace("/", "-")
    number = 1 + max((number for number, _ in _numbered(logs / algo, name)), default=0)
    while True:
        folder = logs / algo / f"{name}_{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1  # another run took it in the meantime
        else:
            return folder


def _numbered(folder: Path, name: str) -> list[tuple[int, Path]]:
    found = []
    for path in folder.glob("*"):
        stem, _, number = path.name.rpartition("_")
        if stem == name and number.isdigit():
            found.append((int(number), path))
    return sorted(found)


def find_run(logs: Path, algo: str, env: str) -> Path:
    """The youngest run of an algorithm in an environment under ``logs``.

    Raises:
        RunError: if there is none, saying what to do.
    """
    name = Path(env).stem if env.endswith(".toml") else env.replace("/", "-")
    runs = [path for _, path in _numbered(logs / algorithm(algo), name) if (path / CONFIG).is_file()]
    if not runs:
        raise RunError(f"there is no run of {algo} in {env} under {logs}: train one first, or name its folder")
    return runs[-1]


def read_config(folder: Path, env: str | None = None) -> RunConfig:
    """The configuration of a run folder; a map file beside it is what its environment is made from.

    Args:
        folder: of the run.
        env: the environment as a person named it. One of the form "module:Id" is made by importing that module, which
            a file cannot ask for: it must be named here too.

    Raises:
        RunError: if the folder is not a run, its configuration is torn or of another format, or it names a module.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it has no {CONFIG} (rlgrid train makes one)")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format_version") != FORMAT_VERSION:
            version = document.get("format_version")
            raise RunError(f"{path} has format version {version!r}; this rlgrid reads {FORMAT_VERSION}")
        names = {item.name for item in fields(RunConfig)}
        config = check_config(RunConfig(**{name: value for name, value in document.items() if name in names}))
    except RunError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise RunError(f"{path} is not a configuration of a run: {error}") from error
    if (folder / MAP).is_file():
        config = RunConfig(**(asdict(config) | {"env": str(folder / MAP)}))
    check_named(config.env, env, path)
    check_size(config.env_kwargs, config.env, env, path)
    return config


def check_size(env_kwargs: Mapping[str, Any], env: str, named: str | None, path: Path) -> None:
    """Raise a RunError where a file asks for a world larger than `MOST_CELLS`, and the person did not name it."""
    sides = [env_kwargs[name] for name in ("rows", "columns") if isinstance(env_kwargs.get(name), int | float)]
    if env != named and math.prod(sides) > MOST_CELLS:
        raise RunError(
            f"{path} asks for a world of {' x '.join(map(str, sides))} cells, more than {MOST_CELLS:,}. If you trust "
            f"it, name the environment yourself: --env {env}"
        )


def check_again(config: RunConfig, named: str | None, path: Path) -> RunConfig:
    """The configuration of a run that is to be done again because a file says so, within bounds.

    It may take `MOST_AGAIN` units, a world of `MOST_CELLS`, and settings as far as a checkpoint's may go; more, if the
    person named the environment.

    Raises:
        RunError: naming what is out of bounds, and the remedy.
    """
    try:
        checked = check_config(config)
        check_named(config.env, named, path)
        if config.env == named:
            return checked
        check_size(config.env_kwargs, config.env, named, path)
        if checked.n_timesteps is not None and checked.n_timesteps > MOST_AGAIN:
            raise ValueError(f"n_timesteps is {checked.n_timesteps:,}, more than {MOST_AGAIN:,}")
        env = make_env(checked)
        try:
            agent_class(checked.algo).check_file_settings(env, checked.hyperparameters)
        finally:
            env.close()
    except RunError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise RunError(
            f"{path} asks for a run that is not done again unasked: {error}. If you trust it, name the environment "
            f"yourself: --env {config.env}"
        ) from error
    return checked


def check_log(config: RunConfig, named: str | None, folder: Path) -> None:
    """Raise a RunError where a file asks to write for TensorBoard outside its folder, and the person did not."""
    log = config.tensorboard_log
    if log is None or log == named or Path(log).resolve().is_relative_to(folder.resolve()):
        return
    raise RunError(
        f"{folder / CONFIG} asks to write for TensorBoard into {log}, outside its folder. If that is where you "
        f"want it, name it yourself: --tensorboard-log {log}"
    )


def check_named(env: str, named: str | None, path: Path) -> None:
    """Raise a RunError where a file asks for an environment "module:Id" that the person did not name."""
    if ":" in env and not env.endswith(".toml") and env != named:
        raise RunError(
            f"{path} asks to import the module {env.partition(':')[0]!r}, which runs its code. If you trust it, name "
            f"the environment yourself: --env {env}"
        )


def check_config(config: RunConfig) -> RunConfig:
    """A configuration whose fields are what they should be; a ValueError or TypeError names one that is not."""
    for name, least in {"seed": 0, "eval_freq": 0, "save_freq": 0, "eval_episodes": 1}.items():
        check_count(name, getattr(config, name), least=least)
    if config.n_timesteps is not None:
        check_count("n_timesteps", config.n_timesteps)
    for name, kinds in {"algo": str, "env": str, "tensorboard_log": str | None}.items():
        if not isinstance(getattr(config, name), kinds):
            raise TypeError(f"{name} must be text, not {getattr(config, name)!r}")
    for name in ("env_kwargs", "hyperparameters"):
        if not isinstance(getattr(config, name), dict):
            raise TypeError(f"{name} must be a mapping, not {getattr(config, name)!r}")
    named = config.env_kwargs.get("map")
    if isinstance(named, str) and Path(named).exists() and not Path(named).is_file():
        raise ValueError(f"the map {named} is no plain file")  # a device may never end
    return replace(config, algo=algorithm(config.algo))


def load(folder: Path, env: str | None = None, **changes: Any) -> tuple[Agent, RunConfig]:
    """The agent of a run folder, in a fresh environment made with ``changes`` (as ``render_mode``).

    ``env``: see `read_config`.
    """
    config = read_config(folder, env)
    if not (folder / CHECKPOINT).is_file():
        raise RunError(f"{folder} has no {CHECKPOINT} yet: the run has not reached its first checkpoint")
    return agent_class(config.algo).load(folder / CHECKPOINT, make_env(config, **changes)), config


class Logbook(BaseCallback):
    """What a run writes while it goes: episodes, evaluations and checkpoints. It is the callback of ``learn``."""

    def __init__(self, folder: Path, config: RunConfig, said: Callable[[str], None]) -> None:
        super().__init__()
        self.folder, self.config, self._said = folder, config, said
        self._rows = 0  # of monitor.csv
        self._begin = time.time()
        self._saved = time.monotonic()
        self.last: Evaluation | None = None
        self._timesteps: list[int] = []  # of the evaluations
        self._samples: list[Sample] = []
        self._numbers: list[dict[str, float]] = []
        self._truth: Truth | None = None

    def open(self) -> None:
        """Begin the two tables."""
        write_atomically(self.folder / MONITOR, self._monitor_head())
        write_atomically(self.folder / EVALUATIONS, (",".join(EVALUATION_COLUMNS) + "\n").encode())

    def _monitor_head(self) -> bytes:
        head = json.dumps({"t_start": self._begin, "env_id": self.config.env})
        return f"#{head}\nr,l,t\n".encode()

    def reopen(self, agent: Agent) -> None:
        """Bring the tables back to what the checkpoint of ``agent`` knows, and go on from there.

        Raises:
            RunError: if they are not the tables of a run.
        """
        try:
            self._reopen(agent)
        except RunError:
            raise
        except (*NO_ARRAYS, OSError, AttributeError) as error:
            raise RunError(f"the tables of {self.folder} are not those of a run: {error}") from error

    def _reopen(self, agent: Agent) -> None:
        self._reopen_monitor(agent)
        lines = _whole_lines(self.folder / EVALUATIONS)
        if lines and lines[0] != ",".join(EVALUATION_COLUMNS):
            raise ValueError(f"{EVALUATIONS} has other columns")
        cells = [row.split(",") for row in lines[1:]]
        written = {row[0]: row for row in cells if len(row) == len(EVALUATION_COLUMNS)}
        arrays: dict[str, list[Any]] = {"timesteps": []}
        if (self.folder / ARRAYS).exists():
            arrays = read_columns(read_plain(self.folder / ARRAYS))
        count = sum(steps <= agent.num_timesteps for steps in arrays["timesteps"])
        self._timesteps = arrays["timesteps"][:count]
        # One of the checkpoint's own step may be in one file alone: it is made again.
        lost = [
            at for at in written if at.isdigit() and int(at) < agent.num_timesteps and int(at) not in self._timesteps
        ]
        if lost:
            raise RunError(
                f"{self.folder / ARRAYS} lacks the evaluation at {lost[0]}, which {EVALUATIONS} has, and its episodes "
                f"are nowhere else: put the file back, or take that row out of {EVALUATIONS} to go on without it"
            )
        self._samples = [Sample(arrays["results"][i], arrays["ep_lengths"][i]) for i in range(count)]
        self._numbers = [{name: arrays[name][i] for name in MEASURES if name in arrays} for i in range(count)]
        rows = []
        for steps, one, numbers in zip(self._timesteps, self._samples, self._numbers, strict=True):
            exactly: dict[str, Any] = {name: value for name, value in numbers.items() if not math.isnan(value)}
            made = asdict(replace(sampled(one), **exactly)) | {"timesteps": steps, "seconds": None}
            rows.append(",".join(written[str(steps)]) if str(steps) in written else _evaluation_row(made))
        write_atomically(self.folder / EVALUATIONS, _text((",".join(EVALUATION_COLUMNS), *rows)))

    def _reopen_monitor(self, agent: Agent) -> None:
        lines = _whole_lines(self.folder / MONITOR)
        if lines:
            head, columns, *rows = lines
            self._begin = float(json.loads(head[1:])["t_start"])
            self._rows = min(len(rows), len(agent.episode_returns))
            write_atomically(self.folder / MONITOR, _text((head, columns, *rows[: self._rows])))
        else:  # the checkpoint holds all that it had, but for the times
            self._said(f"{self.folder / MONITOR} is empty or missing: made again")
            self._rows = 0
            write_atomically(self.folder / MONITOR, self._monitor_head())

    def _on_training_start(self) -> None:
        # It was due at the checkpoint, and something came in between.
        due = bool(self._eval_freq) and self.num_timesteps > 0 and self.num_timesteps % self._eval_freq == 0
        if due and self._timesteps[-1:] != [self.num_timesteps]:
            self.evaluate(self.model)

    def next_call(self) -> int:
        now = self.model.num_timesteps
        due = (now + self.model.chunk_size, *(next_multiple(now, n) for n in (self._eval_freq, self._save_freq)))
        return min(units for units in due if units is not None)

    @property
    def _eval_freq(self) -> int:
        return self.config.eval_freq

    @property
    def _save_freq(self) -> int:
        return self.config.save_freq

    def _on_step(self) -> bool:
        agent = self.model
        self.write_episodes(agent)
        if self._eval_freq and self.num_timesteps % self._eval_freq == 0:
            self.evaluate(agent)
        asked = bool(self._save_freq) and self.num_timesteps % self._save_freq == 0
        if asked or time.monotonic() > self._saved + SAVE_SECONDS:
            self.save(agent)
        return True

    def save(self, agent: Agent) -> None:
        """Replace the checkpoint."""
        agent.save(self.folder / CHECKPOINT)
        self._saved = time.monotonic()

    def write_episodes(self, agent: Agent) -> None:
        """Append the episodes that ended since the last call."""
        seconds = time.time() - self._begin
        returns, lengths = agent.episode_returns[self._rows :], agent.episode_lengths[self._rows :]
        if not returns:
            return
        rows = (f"{round(r, 6)},{length},{seconds:.6f}\n" for r, length in zip(returns, lengths, strict=True))
        append(self.folder / MONITOR, "".join(rows))
        self._rows += len(returns)

    def evaluate(self, agent: Agent) -> Evaluation:
        """Evaluate and append a row, unless this very step was evaluated already."""
        written = bool(self._timesteps) and self._timesteps[-1] == agent.num_timesteps
        if written and self.last is not None:
            return self.last
        if self._truth is None:
            self._truth = Truth.of(agent)
        episodes = sample(agent, self.config, seed=self.config.seed + 1)  # not those that it trains on
        self.last = found = sampled(episodes)
        if self._truth is not None:
            self.last = found = exact(agent, found, self._truth)
        if not written:
            self._timesteps.append(agent.num_timesteps)
            self._samples.append(episodes)
            self._numbers.append(found.numbers() if self._truth is not None else {})
            self._write_evaluation(found)
        if agent.logger is not None:
            self._record(agent, episodes, found)
        self._said(f"{agent.unit} {agent.num_timesteps:,}: {describe(found)}")
        return found

    def _write_evaluation(self, found: Evaluation) -> None:
        arrays: dict[str, Any] = {
            "timesteps": np.array(self._timesteps, np.int64),
            "results": np.array([one.returns for one in self._samples], np.float64),
            "ep_lengths": np.array([one.lengths for one in self._samples], np.int64),
        }
        names = MEASURES if any(self._numbers) else ()
        arrays |= {name: np.array([row.get(name, math.nan) for row in self._numbers]) for name in names}
        table = asdict(found) | {"timesteps": self._timesteps[-1], "seconds": round(time.time() - self._begin, 3)}
        append(self.folder / EVALUATIONS, _evaluation_row(table) + "\n")
        write_arrays(self.folder / ARRAYS, arrays)

    def _record(self, agent: Agent, episodes: Sample, found: Evaluation) -> None:
        agent.logger.record("eval/mean_reward", found.mean_return)
        agent.logger.record("eval/mean_ep_length", float(np.mean(episodes.lengths)))
        for name, value in found.numbers().items():
            if not math.isnan(value):
                agent.logger.record(f"eval/{name}", value)
        agent.logger.dump(agent.num_timesteps)


def _evaluation_row(table: Mapping[str, Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(table[name] for name in EVALUATION_COLUMNS)
    return line.getvalue()


def _whole_lines(path: Path) -> list[str]:
    """The lines of a table, without one that was cut off while it was written; none where it is missing."""
    if not path.exists():
        return []
    *lines, _ = read_plain(path).decode("utf-8").split("\n")
    return lines


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def percent(share: float) -> str:
    """A share as text; a rounding error below 0 is no minus."""
    return f"{share if abs(share) > 1e-6 else 0.0:.2%}"


def describe(found: Evaluation) -> str:
    """An evaluation in one line."""
    text = f"mean return {found.mean_return:.4g} ± {found.std_return:.3g} over {found.episodes} episodes"
    if found.value is not None:
        best = "" if found.optimal_value is None else f" of {found.optimal_value:.6g}"
        text += f", J {found.value:.6g}{best}"
    if found.share_of_regret is not None:
        text += f", share of regret {percent(found.share_of_regret)}"
    if found.prediction_error is not None:
        text += f", max |V − V^π| {found.prediction_error:.4g}"
    return text


def describe_made(agent: Agent) -> dict[str, Any]:
    """All settings of an agent, and the versions that make it."""
    import rlgrid

    versions = {"rlgrid": rlgrid.__version__, "python": platform.python_version(), "platform": platform.platform()}
    versions |= {name: metadata.version(name) for name in ("gymnasium", "numpy", "scipy", "numba")}
    return {"agent": type(agent).__name__, "settings": agent.settings, "versions": versions}


def train(
    config: RunConfig,
    folder: Path,
    *,
    progress_bar: bool = False,
    log_interval: int | None = None,
    said: Callable[[str], None] = print,
    resume: bool = False,
) -> tuple[Agent, Evaluation]:
    """Do a run in ``folder`` (made by `new_folder`), or finish one that was stopped; returns agent and last evaluation.

    A KeyboardInterrupt is passed on once the checkpoint is written.
    """
    going_on = resume and (folder / CHECKPOINT).is_file()
    if resume:
        config = read_config(folder, config.env)
        remove_parts(folder)
    if going_on:
        agent, _ = load(folder, config.env)
        book = Logbook(folder, config, said)
        book.reopen(agent)
    else:
        agent = make_agent(config, make_env(config))
        book = Logbook(folder, config, said)
        book.open()
        if not resume:
            if config.env.endswith(".toml"):
                shutil.copyfile(config.env, folder / MAP)
            document: Mapping[str, Any] = {"format_version": FORMAT_VERSION} | asdict(config) | describe_made(agent)
            write_atomically(folder / CONFIG, (json.dumps(document, indent=2) + "\n").encode())
    callbacks: list[Any] = [book]
    if config.tensorboard_log is not None:
        most = config.n_timesteps or SCALARS
        where = Path(config.tensorboard_log) / config.algo / folder.name
        callbacks.append(TensorBoardCallback(where, log_freq=max(1, most // SCALARS)))
    try:
        if going_on:
            agent.resume(callbacks, log_interval, progress_bar)
        else:
            agent.learn(config.n_timesteps, callbacks, log_interval, progress_bar)
    except KeyboardInterrupt:
        book.reopen(agent)  # a table may have been cut off in a line
        book.write_episodes(agent)
        book.save(agent)
        raise
    book.write_episodes(agent)
    book.save(agent)
    found = book.evaluate(agent)
    agent.env.close()
    return agent, found
