"""Callbacks for ``agent.learn(..., callback=...)``, by the names and with the arguments of Stable-Baselines3's.

    agent.learn(100_000, callback=[EvalCallback(eval_env, log_path="logs"), CheckpointCallback(10_000, "logs")])

An object is called exactly at the units (steps of an environment, sweeps of a planner) at which it is due, whatever the
lengths of the chunks in which an agent runs: at the multiples of its frequency, counted from the beginning of the
run. So a run that was stopped and resumed is looked at where it would have been, and a callback that only looks never
changes what is learnt.

Deviations from Stable-Baselines3: there are no rollouts, so nothing is called at their beginnings and ends; an
environment is one, never a vector; evaluations begin from a seed, each from the same; an evaluation also knows
the exact truth where the model is known (`rlgrid.truth`); files of agents are safetensors.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgrid.agents.base import check_count
from rlgrid.agents.calls import Calls
from rlgrid.agents.checkpoint import fingerprint
from rlgrid.agents.evaluation import evaluate_policy
from rlgrid.archive import NO_ARRAYS, read_columns, write_arrays
from rlgrid.atomic import read_plain
from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP
from rlgrid.scalars import Logger, TensorBoard, scalars_of
from rlgrid.truth import MEASURES, Truth, TruthPoint

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent

BEST = "best_model.safetensors"

PathLike = str | os.PathLike[str]


def next_multiple(now: int, frequency: int) -> int | None:
    """The least multiple of ``frequency`` above ``now``; None for the frequency 0, which is never."""
    return (now // frequency + 1) * frequency if frequency else None


class BaseCallback:
    """What a callback is: override `_on_step`, which returns False to stop the run, and what else is needed.

    Args:
        verbose: 0 says nothing.

    Attributes:
        model: the agent. num_timesteps: its units at this call. n_calls: how often it was called.
        parent: the callback that calls this one; None for one that `learn` calls.
        locals, globals: as Stable-Baselines3 has them, but for ``locals["self"]`` empty.
    """

    def __init__(self, verbose: int = 0) -> None:
        self.verbose = verbose
        self.n_calls = 0
        self.num_timesteps = 0
        self.model: Agent
        self.parent: BaseCallback | None = None
        self.locals: dict[str, Any] = {}
        self.globals: dict[str, Any] = {}
        self._own_logger = Logger()

    @property
    def training_env(self) -> Any:
        """The environment that the agent learns in."""
        return self.model.env

    @property
    def logger(self) -> Logger:
        """Where scalars are recorded: the run's, if a callback writes them somewhere, else one that writes nothing."""
        logger: Logger = self.model.logger or self._own_logger
        return logger

    # What `learn` calls; `rlgrid.agents.calls` describes it.

    def init_callback(self, model: Agent) -> None:
        """Meet the agent."""
        self.model = model
        self._init_callback()

    def on_training_start(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        """A run begins, or goes on."""
        self.locals, self.globals = locals_, globals_
        self.num_timesteps = self.model.num_timesteps
        self._on_training_start()

    def next_call(self) -> int | None:
        """At how many units the next call is due; None for never. After every unit, if a subclass says nothing else."""
        return self.model.num_timesteps + 1

    def on_step(self) -> bool:
        """A call; returns whether the run goes on."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return self._on_step()

    def on_training_end(self) -> None:
        """The run is over, or a callback stopped it. Not called where it ends by an exception."""
        self._on_training_end()

    # What a subclass overrides.

    def _init_callback(self) -> None:
        pass

    def _on_training_start(self) -> None:
        pass

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        pass

    def say(self, text: str) -> None:
        """A line for the person, if ``verbose``."""
        if self.verbose:
            print(text, file=sys.stderr, flush=True)


class CallbackList(BaseCallback):
    """Several callbacks as one. ``learn`` takes a list as well; this is for a callback that calls others."""

    def __init__(self, callbacks: Iterable[Any]) -> None:
        super().__init__()
        self.callbacks = list(callbacks)
        self._calls: Calls | None = None

    def _init_callback(self) -> None:
        self._calls = Calls(self.model, self.callbacks)
        for one in self.callbacks:
            if isinstance(one, BaseCallback):
                one.parent = self.parent

    def _on_training_start(self) -> None:
        assert self._calls is not None
        self._calls.begin()

    def next_call(self) -> int | None:
        assert self._calls is not None
        now = self.model.num_timesteps
        return now + self._calls.most(self.model.chunk_size)

    def _on_step(self) -> bool:
        if self.parent is not None:  # an event of the parent is one of its children
            answers = [child.on_step() for child in self.callbacks]
            return all(answers)
        assert self._calls is not None
        return self._calls.call()

    def _on_training_end(self) -> None:
        assert self._calls is not None
        self._calls.end()


class EventCallback(BaseCallback):
    """A callback that calls another when something happens."""

    def __init__(self, callback: BaseCallback | None = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = _child(callback, "callback")
        if self.callback is not None:
            self.callback.parent = self

    def _init_callback(self) -> None:
        if self.callback is not None:
            self.callback.init_callback(self.model)

    def _on_training_start(self) -> None:
        if self.callback is not None:
            self.callback.on_training_start(self.locals, self.globals)

    def _on_event(self) -> bool:
        return True if self.callback is None else self.callback.on_step()

    def _on_training_end(self) -> None:
        if self.callback is not None:
            self.callback.on_training_end()


def _child(callback: Any, name: str) -> BaseCallback | None:
    several = callback if isinstance(callback, list | tuple) else [] if callback is None else [callback]
    if not all(isinstance(one, BaseCallback) for one in several):
        raise TypeError(f"{name} must be a callback of rlgrid.callbacks, or a list of them, not {callback!r}")
    return CallbackList(several) if isinstance(callback, list | tuple) else callback


class EveryNTimesteps(EventCallback):
    """Call another callback every ``n_steps`` units."""

    def __init__(self, n_steps: int, callback: BaseCallback) -> None:
        super().__init__(callback)
        self.n_steps = check_count("n_steps", n_steps)

    def next_call(self) -> int | None:
        return next_multiple(self.model.num_timesteps, self.n_steps)

    def _on_step(self) -> bool:
        return self._on_event()


class CheckpointCallback(BaseCallback):
    """Save the agent every ``save_freq`` units, as ``save_path/NAME_PREFIX_1000_steps.safetensors``.

    In a list it belongs last: a run that is resumed from a checkpoint is not looked at there again.

    Raises:
        OSError: from the run, where a checkpoint cannot be written; those before it are whole.
    """

    def __init__(self, save_freq: int, save_path: PathLike, name_prefix: str = "rl_model", verbose: int = 0) -> None:
        super().__init__(verbose)
        self.save_freq = check_count("save_freq", save_freq)
        self.save_path, self.name_prefix = Path(save_path), name_prefix

    def _init_callback(self) -> None:
        self.save_path.mkdir(parents=True, exist_ok=True)

    def next_call(self) -> int | None:
        return next_multiple(self.model.num_timesteps, self.save_freq)

    def _on_step(self) -> bool:
        path = self.save_path / f"{self.name_prefix}_{self.num_timesteps}_steps.safetensors"
        self.model.save(path)
        self.say(f"saved {path}")
        return True


class EvalCallback(EventCallback):
    """Evaluate the agent every ``eval_freq`` units by episodes in another environment, and exactly where it can be.

    Args:
        eval_env: not the environment that the agent learns in.
        callback_on_new_best, callback_after_eval: called when the mean reward is the best so far, and after every
            evaluation: `StopTrainingOnRewardThreshold` and `StopTrainingOnNoModelImprovement` belong there.
        n_eval_episodes, deterministic: of `evaluate_policy`.
        eval_freq: units between evaluations.
        log_path: a folder, in which ``evaluations.npz`` holds all evaluations so far: timesteps int64 [P], results
            float64 [P, E] (returns) and ep_lengths int64 [P, E], as Stable-Baselines3 writes them, and what is
            known exactly, each float64 [P] (`rlgrid.truth.MEASURES`). A run that goes on goes on with the file that is
            there.
        best_model_save_path: a folder, in which ``best_model.safetensors`` is the agent of the best mean reward.
        verbose: 0 says nothing.
        seed: of the first reset of every evaluation; None is the agent's seed plus 1.
        truth: judge exactly too where the model is known; or the `Truth` to judge by.

    Attributes:
        best_mean_reward, last_mean_reward: -inf before the first evaluation.
        evaluations_timesteps, evaluations_results, evaluations_length: what ``evaluations.npz`` holds.
        truths: the exact truth of every evaluation; None where it is unknown.
        best_learnt: what the agent had learnt when its mean reward was best; None if nobody asked to keep it.
    """

    def __init__(
        self,
        eval_env: Any,
        callback_on_new_best: BaseCallback | None = None,
        callback_after_eval: BaseCallback | None = None,
        n_eval_episodes: int = 5,
        eval_freq: int = 10_000,
        log_path: PathLike | None = None,
        best_model_save_path: PathLike | None = None,
        deterministic: bool = True,
        verbose: int = 1,
        *,
        seed: int | None = None,
        truth: bool | Truth = True,
    ) -> None:
        super().__init__(callback_after_eval, verbose)
        self.callback_on_new_best = _child(callback_on_new_best, "callback_on_new_best")
        if self.callback_on_new_best is not None:
            self.callback_on_new_best.parent = self
        if not callable(getattr(eval_env, "step", None)) or not callable(getattr(eval_env, "reset", None)):
            raise TypeError(f"eval_env must be an environment, as gymnasium.make gives one, not {eval_env!r}")
        self.eval_env = eval_env
        self.n_eval_episodes = check_count("n_eval_episodes", n_eval_episodes)
        self.eval_freq = check_count("eval_freq", eval_freq, least=0)
        self.log_path = None if log_path is None else Path(log_path)
        self.best_model_save_path = None if best_model_save_path is None else Path(best_model_save_path)
        self.deterministic, self.seed = deterministic, seed
        self._wants_truth = truth
        self._truth: Truth | None = None
        self.keep_best = False
        self._forget()

    def _forget(self) -> None:
        self.best_mean_reward = self.last_mean_reward = -math.inf
        self.evaluations_timesteps: list[int] = []
        self.evaluations_results: list[list[float]] = []
        self.evaluations_length: list[list[int]] = []
        self.truths: list[TruthPoint | None] = []
        self.best_learnt: Any = None

    def _init_callback(self) -> None:
        if getattr(self.eval_env, "unwrapped", None) is self.model.env.unwrapped:
            raise ValueError(
                "eval_env is the environment that the agent learns in, whose episode an evaluation would break off: "
                "make another"
            )
        for name in ("observation_space", "action_space"):
            here, there = getattr(self.eval_env, name), getattr(self.model.env, name)
            if here != there:
                raise ValueError(
                    f"eval_env has the {name} {here}, and the agent learns in {there}: make one as its own"
                )
        super()._init_callback()
        if self.callback_on_new_best is not None:
            self.callback_on_new_best.init_callback(self.model)
        for folder in (self.log_path, self.best_model_save_path):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        if isinstance(self._wants_truth, Truth):
            self._truth = self._wants_truth
        elif self._wants_truth and self._truth is None:
            self._check_world()
            self._truth = Truth.of(self.model)

    def _check_world(self) -> None:
        """Episodes and truth are of one world, as far as both models are known, or a ValueError says so."""
        models = self.model.truth, getattr(getattr(self.eval_env, "unwrapped", None), "model", None)
        if all(isinstance(one, MDP | GridModel) for one in models) and len(set(map(fingerprint, models))) > 1:
            raise ValueError(
                "eval_env is another world than the one that the agent learns in, whose exact truth would stand beside "
                "its returns: make one as the agent's own, or give truth=False"
            )

    def _on_training_start(self) -> None:
        if self.model.num_timesteps == 0:
            self._forget()
        else:
            if self.log_path is not None and not self.evaluations_timesteps:
                self._read(self.log_path / "evaluations.npz")
            self._cut()
        super()._on_training_start()
        if self.callback_on_new_best is not None:
            self.callback_on_new_best.on_training_start(self.locals, self.globals)

    def _read(self, path: Path) -> None:
        """Take the evaluations of a run that goes on."""
        if not path.exists():
            return
        try:
            there = read_columns(read_plain(path))
            columns = [there[name] for name in ("timesteps", "results", "ep_lengths")]
            truths: list[TruthPoint | None] = []
            for i, steps in enumerate(columns[0]):
                numbers: dict[str, Any] = {name: float(there[name][i]) for name in MEASURES if name in there}
                truths.append(TruthPoint(int(steps), **numbers) if numbers else None)
            episodes = {len(one) for each in columns[1:] for one in each}
        except NO_ARRAYS as error:
            raise ValueError(f"{path} holds no evaluations to go on with ({error}): name another log_path") from error
        if episodes - {self.n_eval_episodes}:
            raise ValueError(
                f"{path} holds evaluations of {min(episodes - {self.n_eval_episodes})} episodes each, and "
                f"n_eval_episodes is {self.n_eval_episodes}, which make no one table: give the same, or name another "
                "log_path"
            )
        self.evaluations_timesteps, self.evaluations_results, self.evaluations_length = columns
        self.truths = truths

    def _cut(self) -> None:
        """Forget what is younger than the agent, which makes it again."""
        count = sum(steps <= self.model.num_timesteps for steps in self.evaluations_timesteps)
        for each in (self.evaluations_timesteps, self.evaluations_results, self.evaluations_length, self.truths):
            del each[count:]
        means = self.mean_rewards()
        self.best_mean_reward, self.last_mean_reward = max(means, default=-math.inf), (means or [-math.inf])[-1]
        if means and self.keep_best and self.best_model_save_path is not None:
            path = self.best_model_save_path / BEST
            if path.is_file():
                best = type(self.model).load(path, self.eval_env)
                if best.num_timesteps == self.evaluations_timesteps[means.index(self.best_mean_reward)]:
                    self.best_learnt = best.learnt()

    def mean_rewards(self) -> list[float]:
        """The mean reward of every evaluation so far."""
        return [float(np.mean(one)) for one in self.evaluations_results]

    def next_call(self) -> int | None:
        return next_multiple(self.model.num_timesteps, self.eval_freq)

    def _on_step(self) -> bool:
        seed = self.model.seed + 1 if self.seed is None else self.seed
        returns, lengths = evaluate_policy(
            self.model,
            self.eval_env,
            n_eval_episodes=self.n_eval_episodes,
            deterministic=self.deterministic,
            seed=seed,
            return_episode_rewards=True,
        )
        point = None if self._truth is None else self._truth.look(self.model)
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(returns)
        self.evaluations_length.append(lengths)
        self.truths.append(point)
        if self.log_path is not None:
            self._write(self.log_path / "evaluations.npz")
        mean, length = float(np.mean(returns)), float(np.mean(lengths))
        self.last_mean_reward = mean
        self.logger.record("eval/mean_reward", mean)
        self.logger.record("eval/mean_ep_length", length)
        for name, value in ({} if point is None else point.numbers()).items():
            if not math.isnan(value):
                self.logger.record(f"eval/{name}", value)
        self.logger.dump(self.num_timesteps)
        self.say(f"{self.model.unit} {self.num_timesteps:,}: mean reward {mean:.6g}, mean length {length:.6g}")
        go_on = True
        if mean > self.best_mean_reward:
            self.say("new best mean reward")
            self.best_mean_reward = mean
            if self.keep_best:
                self.best_learnt = self.model.learnt()
            if self.best_model_save_path is not None:
                self.model.save(self.best_model_save_path / BEST)
            if self.callback_on_new_best is not None:
                go_on = self.callback_on_new_best.on_step()
        return go_on & self._on_event()

    def _write(self, path: Path) -> None:
        arrays: dict[str, Any] = {
            "timesteps": np.array(self.evaluations_timesteps, np.int64),
            "results": np.array(self.evaluations_results, np.float64),
            "ep_lengths": np.array(self.evaluations_length, np.int64),
        }
        if any(point is not None for point in self.truths):
            rows = [{} if point is None else point.numbers() for point in self.truths]
            arrays |= {name: np.array([row.get(name, math.nan) for row in rows]) for name in MEASURES}
        write_arrays(path, arrays)

    def _on_training_end(self) -> None:
        super()._on_training_end()
        if self.callback_on_new_best is not None:
            self.callback_on_new_best.on_training_end()


class _AfterEvaluation(BaseCallback):
    """A callback that belongs into an `EvalCallback`."""

    parent: EvalCallback | None

    def _init_callback(self) -> None:
        if not isinstance(self.parent, EvalCallback):
            raise ValueError(f"{type(self).__name__} belongs into an EvalCallback: it looks at its mean reward")


class StopTrainingOnRewardThreshold(_AfterEvaluation):
    """Stop once the best mean reward of the evaluations reaches a threshold.

    It belongs into ``EvalCallback(callback_on_new_best=...)``.
    """

    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        super().__init__(verbose)
        if isinstance(reward_threshold, bool) or not isinstance(reward_threshold, int | float | np.number):
            raise TypeError(f"reward_threshold must be a number, not {reward_threshold!r}")
        if math.isnan(reward_threshold):
            raise ValueError("reward_threshold must be a number, not NaN, which no reward reaches")
        self.reward_threshold = float(reward_threshold)

    def _on_step(self) -> bool:
        assert self.parent is not None
        reached = self.parent.best_mean_reward >= self.reward_threshold
        if reached:
            self.say(f"stopping: mean reward {self.parent.best_mean_reward:.6g} reaches {self.reward_threshold:g}")
        return not reached


class StopTrainingOnNoModelImprovement(_AfterEvaluation):
    """Stop once more than so many evaluations in a row have brought no better mean reward.

    It belongs into ``EvalCallback(callback_after_eval=...)``.

    Args:
        max_no_improvement_evals: as many evaluations in a row may bring none.
        min_evals: the first so many evaluations do not count.
        restore_best: when this stops the run, let the agent have again what it had learnt at its best evaluation.
    """

    def __init__(
        self, max_no_improvement_evals: int, min_evals: int = 0, verbose: int = 0, *, restore_best: bool = False
    ) -> None:
        super().__init__(verbose)
        self.max_no_improvement_evals = check_count("max_no_improvement_evals", max_no_improvement_evals, least=0)
        self.min_evals = check_count("min_evals", min_evals, least=0)
        self.restore_best = restore_best
        self.last_best_mean_reward = -math.inf
        self.no_improvement_evals = 0
        self._stopped = False

    def _init_callback(self) -> None:
        super()._init_callback()
        assert self.parent is not None
        self.parent.keep_best |= self.restore_best

    def _on_training_start(self) -> None:
        """Count the evaluations that a run which goes on has behind it."""
        assert self.parent is not None
        self._stopped = False
        self.last_best_mean_reward, self.no_improvement_evals, self.n_calls = -math.inf, 0, 0
        best = -math.inf
        for mean in self.parent.mean_rewards():
            self.n_calls += 1
            best = max(best, mean)
            self._count(best)

    def _count(self, best: float) -> None:
        if self.n_calls > self.min_evals:
            self.no_improvement_evals = 0 if best > self.last_best_mean_reward else self.no_improvement_evals + 1
        self.last_best_mean_reward = best

    def _on_step(self) -> bool:
        assert self.parent is not None
        best = self.parent.best_mean_reward
        self._count(best)
        self._stopped = self.no_improvement_evals > self.max_no_improvement_evals
        if self._stopped:
            self.say(f"stopping: no better mean reward than {best:.6g} in {self.no_improvement_evals} evaluations")
        return not self._stopped

    def _on_training_end(self) -> None:
        if self._stopped and self.restore_best:
            assert self.parent is not None
            if self.parent.best_learnt is not None:
                self.model.take_back(self.parent.best_learnt)


class StopTrainingOnMaxEpisodes(BaseCallback):
    """Stop with the step that ends the ``max_episodes``-th episode of the run.

    An episode takes a step at least, so the agent may run as many steps as episodes are left before the next look.
    """

    def __init__(self, max_episodes: int, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_episodes = check_count("max_episodes", max_episodes)
        self.n_episodes = 0
        self._before = 0

    def _on_training_start(self) -> None:
        # A run that goes on counts from its own beginning, if this callback was there.
        if self.model.num_timesteps == 0:
            self._before = len(self.model.episode_returns)
        self.n_episodes = len(self.model.episode_returns) - self._before

    def next_call(self) -> int | None:
        ended = len(self.model.episode_returns) - self._before
        return self.model.num_timesteps + max(1, self.max_episodes - ended)

    def _on_step(self) -> bool:
        self.n_episodes = len(self.model.episode_returns) - self._before
        if self.n_episodes >= self.max_episodes:
            self.say(f"stopping: {self.n_episodes:,} episodes in {self.num_timesteps:,} {self.model.unit}s")
        return self.n_episodes < self.max_episodes


class TensorBoardCallback(BaseCallback):
    """Write scalars for TensorBoard, by the names of Stable-Baselines3, and those that other callbacks record.

    Of a `DQN` its `diagnosis` is written as well.

    Args:
        log_path: the folder of the event file.
        log_freq: units between two rows of ``rollout/...``, ``time/...``, ``train/...`` and ``diagnosis/...``.

    Raises:
        ImportError: if tensorboardX is not installed, saying how it is.
    """

    def __init__(self, log_path: PathLike, log_freq: int = 1_000, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.log_path, self.log_freq = Path(log_path), check_count("log_freq", log_freq)
        self._mine: Logger | None = None
        self._begin, self._first = 0.0, 0

    def _init_callback(self) -> None:
        if self._mine is None:
            self._mine = Logger(TensorBoard(self.log_path, after=self.model.num_timesteps))
        self.model.logger = self._mine

    def _on_training_start(self) -> None:
        self._begin, self._first = time.perf_counter(), self.num_timesteps

    def next_call(self) -> int | None:
        return next_multiple(self.model.num_timesteps, self.log_freq)

    def _on_step(self) -> bool:
        elapsed = max(time.perf_counter() - self._begin, 1e-9)
        self.logger.record("time/fps", int((self.num_timesteps - self._first) / elapsed))
        self.logger.record("time/time_elapsed", elapsed)
        self.logger.record("time/total_timesteps", self.num_timesteps)
        for name, value in scalars_of(self.model.metrics()).items():
            self.logger.record(name, value)
        look = getattr(self.model, "diagnosis", None)
        for name, value in ({} if look is None else look().numbers()).items():
            self.logger.record(f"diagnosis/{name}", value)
        self.logger.dump(self.num_timesteps)
        return True

    def _on_training_end(self) -> None:
        assert self._mine is not None
        self._mine.close()
        self._mine = self.model.logger = None
