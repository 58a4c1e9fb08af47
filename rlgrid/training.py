"""A training run as a folder: what was run, the agent, and how it went.

A run folder holds
    config.json        the algorithm, the environment, the seed and every option of the run
    world.toml         the map, where the environment was a map file; the folder then needs nothing else
    agent.safetensors  the last checkpoint
    monitor.csv        the episodes as they ended, in the format of Stable-Baselines3's Monitor: a line of JSON, then
                       return ``r``, length ``l`` and seconds since the start ``t``
    evaluations.csv    one row for each evaluation

Compiled agents run thousands of episodes between two looks at them, so ``t`` is the time at which an episode was
noticed, not at which it ended. Checkpoints and configuration are replaced by an atomic rename. A run that was stopped
goes on from its checkpoint: rows that are younger than the checkpoint are dropped and made again.
"""

from __future__ import annotations

import ast
import csv
import difflib
import inspect
import io
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgrid.agents import AGENTS, agent_class

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent

CONFIG, MAP, CHECKPOINT = "config.json", "world.toml", "agent.safetensors"
MONITOR, EVALUATIONS = "monitor.csv", "evaluations.csv"
FORMAT_VERSION = 1
EVALUATION_STEPS = 1_000  # of an episode where nothing else ends it
EVALUATION_COLUMNS = ("timesteps", "mean_return", "std_return", "value", "optimal_value", "share_of_regret", "seconds")


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
        eval_freq, save_freq: units between evaluations and between checkpoints; 0 is only at the end.
        eval_episodes: episodes in an evaluation.
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


@dataclass(frozen=True)
class Evaluation:
    """How good an agent's deterministic policy is.

    ``mean_return`` and ``std_return`` are sampled: undiscounted returns over ``episodes`` episodes. Where the model
    is known and no wrapper changes what it does, ``value`` is J of the policy and ``optimal_value`` J*, both exact and
    at the world's ``gamma`` (up to the step cap where gamma = 1), and ``share_of_regret`` is
    (J* - J) / (J* - J_uniform). None where it is unknown.
    """

    mean_return: float
    std_return: float
    episodes: int
    gamma: float | None = None
    value: float | None = None
    optimal_value: float | None = None
    share_of_regret: float | None = None


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
    given_elsewhere = {"self", "policy", "env", "seed", "compiled", *agent.not_taken}
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
    from rlgrid.agents import evaluate_policy

    episodes = config.eval_episodes if episodes is None else episodes
    env = make_env(config)
    if env.spec is not None and env.spec.max_episode_steps is None and "max_episode_steps" not in config.env_kwargs:
        env.close()
        env = make_env(config, max_episode_steps=EVALUATION_STEPS)
    try:
        mean, std = evaluate_policy(agent, env, n_eval_episodes=episodes, deterministic=True, seed=seed)
    finally:
        env.close()
    found = Evaluation(float(mean), float(std), episodes)
    return found if agent.truth is None else exact(agent, found)


def exact(agent: Agent, sampled: Evaluation) -> Evaluation:
    """``sampled`` with the exact value of the agent's policy, and its share of regret.

    What has no finite value stays unknown, and a warning says why: undiscounted, a world may have no optimum, and the
    episodes of a policy may never end. A run goes on without those numbers.
    """
    from rlgrid.regret import optimum, share_of_regret
    from rlgrid.solvers import policy_values

    model: Any = agent.truth
    found = replace(sampled, gamma=float(model.gamma))
    try:
        known = optimum(model)
        values = np.atleast_2d(policy_values(model, agent.policy, horizon=known.horizon))[0]
        value = float(model.start_probability @ values[model.start_states])
        found = replace(found, optimal_value=known.value, value=value)
        return replace(found, share_of_regret=share_of_regret(model, agent.policy))
    except ValueError as error:
        warnings.warn(f"no exact regret: {error}", stacklevel=2)
        return found


# --- the folder -------------------------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Replace a file by an atomic rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run folder; a map file beside it is what its environment is made from.

    Raises:
        RunError: if the folder is not a run, or its configuration is torn or of another format.
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
        config = RunConfig(**{name: value for name, value in document.items() if name in names})
    except RunError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is not a configuration of a run: {error}") from error
    if (folder / MAP).is_file():
        config = RunConfig(**(asdict(config) | {"env": str(folder / MAP)}))
    return config


def load(folder: Path, **changes: Any) -> tuple[Agent, RunConfig]:
    """The agent of a run folder, in a fresh environment made with ``changes`` (as ``render_mode``)."""
    config = read_config(folder)
    if not (folder / CHECKPOINT).is_file():
        raise RunError(f"{folder} has no {CHECKPOINT} yet: the run has not reached its first checkpoint")
    return agent_class(config.algo).load(folder / CHECKPOINT, make_env(config, **changes)), config


class Logbook:
    """What a run writes while it goes: episodes, evaluations and checkpoints. It is the callback of ``learn``."""

    def __init__(self, folder: Path, config: RunConfig, said: Callable[[str], None]) -> None:
        self.folder, self.config, self._said = folder, config, said
        self._rows = 0  # of monitor.csv
        self._seen = 0  # units, at the last call
        self._begin = time.time()
        self.last: Evaluation | None = None
        self._evaluated_at = -1

    def open(self) -> None:
        """Begin the two tables."""
        head = json.dumps({"t_start": self._begin, "env_id": self.config.env})
        write_text(self.folder / MONITOR, f"#{head}\nr,l,t\n")
        write_text(self.folder / EVALUATIONS, ",".join(EVALUATION_COLUMNS) + "\n")

    def reopen(self, agent: Agent) -> None:
        """Cut both tables back to what the checkpoint of ``agent`` knows, and go on from there."""
        head, columns, *rows = (self.folder / MONITOR).read_text(encoding="utf-8").splitlines()
        self._rows = min(len(rows), len(agent.episode_returns))
        self._seen = agent.num_timesteps
        self._begin = float(json.loads(head[1:])["t_start"])
        write_text(self.folder / MONITOR, "\n".join((head, columns, *rows[: self._rows])) + "\n")
        columns, *rows = (self.folder / EVALUATIONS).read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if int(row.split(",")[0]) <= agent.num_timesteps]
        write_text(self.folder / EVALUATIONS, "\n".join((columns, *kept)) + "\n")

    def __call__(self, agent: Agent) -> None:
        self.write_episodes(agent)
        before, self._seen = self._seen, agent.num_timesteps
        if self.config.eval_freq and before // self.config.eval_freq < self._seen // self.config.eval_freq:
            self.evaluate(agent)
        if self.config.save_freq and before // self.config.save_freq < self._seen // self.config.save_freq:
            agent.save(self.folder / CHECKPOINT)

    def write_episodes(self, agent: Agent) -> None:
        """Append the episodes that ended since the last call."""
        seconds = time.time() - self._begin
        returns, lengths = agent.episode_returns[self._rows :], agent.episode_lengths[self._rows :]
        if not returns:
            return
        with open(self.folder / MONITOR, "a", encoding="utf-8", newline="") as file:
            file.writelines(f"{r:.6g},{length},{seconds:.6f}\n" for r, length in zip(returns, lengths, strict=True))
        self._rows += len(returns)

    def evaluate(self, agent: Agent) -> Evaluation:
        """Evaluate and append a row, unless this very step was evaluated already."""
        if self.last is not None and self._evaluated_at == agent.num_timesteps:
            return self.last
        found = evaluate(agent, self.config, seed=self.config.seed + 1)  # not the episodes that it trains on
        table = asdict(found) | {"timesteps": agent.num_timesteps, "seconds": round(time.time() - self._begin, 3)}
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(table[name] for name in EVALUATION_COLUMNS)
        with open(self.folder / EVALUATIONS, "a", encoding="utf-8", newline="") as file:
            file.write(line.getvalue())
        self.last, self._evaluated_at = found, agent.num_timesteps
        self._said(f"{agent.unit} {agent.num_timesteps:,}: {describe(found)}")
        return found


def percent(share: float) -> str:
    """A share as text; a rounding error below 0 is no minus."""
    return f"{share if abs(share) > 1e-6 else 0.0:.2%}"


def describe(found: Evaluation) -> str:
    """An evaluation in one line."""
    text = f"mean return {found.mean_return:.4g} ± {found.std_return:.3g} over {found.episodes} episodes"
    if found.value is not None:
        text += f", J {found.value:.6g} of {found.optimal_value:.6g}"
    if found.share_of_regret is not None:
        text += f", share of regret {percent(found.share_of_regret)}"
    return text


def _fit_chunks(agent: Agent, frequencies: Iterable[int]) -> None:
    """Let chunks end where something is due, if chunks of about the usual size can. Results do not depend on chunks."""
    due = [frequency for frequency in frequencies if frequency]
    if not due:
        return
    common = math.gcd(*due)
    size = min(agent.chunk_size, *due)
    fitting = (common // parts for parts in range(1, 64) if common % parts == 0)
    agent.chunk_size = next((length for length in fitting if length <= size), size)


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
    if resume:
        agent, config = load(folder)
        book = Logbook(folder, config, said)
        book.reopen(agent)
    else:
        agent = make_agent(config, make_env(config))
        book = Logbook(folder, config, said)
        book.open()
        if config.env.endswith(".toml"):
            shutil.copyfile(config.env, folder / MAP)
        document: Mapping[str, Any] = {"format_version": FORMAT_VERSION} | asdict(config)
        write_text(folder / CONFIG, json.dumps(document, indent=2) + "\n")
    _fit_chunks(agent, (config.eval_freq, config.save_freq))
    try:
        if resume:
            agent.resume(book, log_interval, progress_bar)
        else:
            agent.learn(config.n_timesteps, book, log_interval, progress_bar)
    except KeyboardInterrupt:
        book.write_episodes(agent)
        agent.save(folder / CHECKPOINT)
        raise
    agent.save(folder / CHECKPOINT)
    found = book.evaluate(agent)
    agent.env.close()
    return agent, found
