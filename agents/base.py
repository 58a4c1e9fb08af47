"""The interface of every agent: learn, advance, predict, tables, save, load, resume.

`learn` is the whole loop of a run: it calls `advance` chunk by chunk, and between chunks the callback, the progress
bar and the log line. `advance` runs at most so many units (steps of an environment, sweeps of a planner) and does
nothing else; the window drives it directly. How a run is cut into chunks never changes its result.

An agent learns on one of two paths. Compiled: the environment's model is known, no wrapper changes what it does
(`rlgrid.agents.world`), and environment and learner run in one kernel. Python: any other Gymnasium environment, one
`env.step` at a time. Both follow the same rule functions and draw the same random numbers in the same order, so on
the same environment, seed and settings they end with the same bits.

A subclass provides: `unit`; `_settings()`, its constructor's arguments; `_arrays()` and `_set_arrays()`, its tensors;
`_scalars()` and `_set_scalars()`, what else it needs to go on; `_advance_compiled()` and `_advance_python()`.

The agent's random numbers come from `np.random.default_rng(seed)` and are drawn by `.random()` alone, which compiled
and Python code agree on. The first reset of a run is `env.reset(seed=seed)`.
"""

from __future__ import annotations

import difflib
import json
import math
import signal
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from rlgrid.agents import checkpoint
from rlgrid.agents.calls import Callback, Calls
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.progress import Log, show_progress
from rlgrid.agents.world import World

if TYPE_CHECKING:
    import os

    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

PYTHON_CHUNK = 1_000
MOST_WEIGHTS = 1 << 24  # of a network that a file without a checkpoint asks for
MOST = 2**62  # of anything that is counted: kernels count in 64 bits
RECENT = 100  # episodes over which the mean return is shown, as in Stable-Baselines3


def check_number(name: str, value: Any, low: float, high: float, *, open_low: bool = False) -> float:
    """``value`` as a float in [low, high] (or (low, high]), or an error that names the argument.

    Raises:
        TypeError, ValueError
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {value!r}")
    inside = (low < value if open_low else low <= value) and value <= high
    if not inside:
        raise ValueError(f"{name} must lie in {'(' if open_low else '['}{low:g}, {high:g}], not {value!r}")
    return float(value)


def check_count(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """``value`` as an int in [least, most], or an error that names the argument.

    Raises:
        TypeError, ValueError
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 1e6 reads well as a number of steps
        else:
            raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, not {value}")
    return int(value)


def check_name(name: str, value: Any, known: Iterable[str]) -> str:
    """``value`` where it is one of the ``known`` names, or an error that names the argument and the nearest of them.

    Raises:
        ValueError
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, not {value!r}{did_you_mean(value, names)}")
    return value


def did_you_mean(given: Any, known: Iterable[str]) -> str:
    """The words ", did you mean ...?" for the nearest of the ``known`` names; nothing where none is near."""
    close = difflib.get_close_matches(str(given), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def row_of(observation: Any, space: Discrete) -> int:
    """The row of a table for an observation that the environment gave: kernels do not check what they are given.

    Raises:
        ValueError: if the observation is not in ``space``.
    """
    try:
        row = int(observation) - int(space.start)
        inside = 0 <= row < space.n and observation == row + space.start
    except (TypeError, ValueError, OverflowError):
        inside = False
    if not inside:
        raise ValueError(f"the environment gave the observation {observation!r}, which is not in {space}")
    return row


def rows_of(observation: Any, space: Discrete) -> NDArray[np.int64]:
    """The rows of a table for an observation, or an array of them, that somebody asks about.

    Raises:
        ValueError: if it is no number, or not in ``space``.
    """
    try:
        given = np.asarray(observation)
    except ValueError:  # lists of several lengths
        given = np.array(None)
    if given.dtype.kind not in "iuf":
        raise ValueError(f"an observation must be a whole number in {space}, or an array of them, not {observation!r}")
    first = int(space.start)
    wrong = np.flatnonzero(~((given >= first) & (given < first + space.n) & (given == np.floor(given))))
    if wrong.size:
        raise ValueError(f"observation {given.flat[wrong[0]]} is not one of {space}")
    rows: NDArray[np.int64] = given.astype(np.int64) - first
    return rows


class Agent(ABC):
    """What learns, or plans, in an environment.

    Args:
        env: a Gymnasium environment with Discrete actions.
        gamma: the discount factor of the agent; None takes the model's, 0.99 where there is none.
        seed: of the agent's generator and of the environment's first reset; a fresh one is drawn for None.
        compiled: None takes the compiled path where it exists; False always steps the environment in Python; True
            raises where there is no compiled path.

    Attributes:
        env: the environment.
        model: the model whose states are the agent's observations and whose actions are its actions; None where the
            environment is foreign, or a wrapper may give states or actions other numbers. See also `truth`.
        num_timesteps: units done in this run. total_timesteps: at which the run ends, or None before it begins.
        compiled: which path `advance` takes.
        episode_returns, episode_lengths: the undiscounted return and the steps of every episode that ended.
        chunk_size: units between two calls of the callback.
    """

    unit: ClassVar[str] = "step"
    default_total_timesteps: ClassVar[int | None] = 100_000  # of a run that `advance` begins by itself
    chunk_size: int = 25_000
    sees_parts: ClassVar[bool] = False  # its kernel runs worlds that are partly observed
    not_taken: ClassVar[tuple[str, ...]] = ()  # arguments of a base class that this one does not take

    def __init__(
        self, env: gym.Env[Any, Any], *, gamma: float | None, seed: int | None = None, compiled: bool | None = None
    ) -> None:
        if not isinstance(env, gym.Env):
            raise TypeError(f"env must be a Gymnasium environment (gymnasium.make(...)), not {env!r}")
        if not isinstance(env.action_space, Discrete):
            raise ValueError(f"{type(self).__name__} needs a Discrete action space, not {env.action_space}")
        self.env = env
        self._world = self._world_of(env)
        self.model: MDP | GridModel | None = self._world.model if self._world.same_names else None
        if self.unit == "step" and self._world.hands_actions_on() and self._world.hides_actions():
            raise ValueError(f"{type(self).__name__} cannot act here: {self._world.hides_actions()}")
        if gamma is None:
            gamma = 0.99 if self._world.model is None else self._world.model.gamma
        self.gamma = check_number("gamma", gamma, 0.0, 1.0)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
        self.seed = check_count("seed", seed, least=0)
        if compiled and not self._world.compilable:
            raise ValueError(f"there is no compiled path: {self._world.why_not_compilable()}")
        self.compiled = self._world.compilable if compiled is None else bool(compiled)
        if not self.compiled:
            self.chunk_size = min(self.chunk_size, PYTHON_CHUNK)
        self._generator = np.random.default_rng(self.seed)
        # Predicting must not disturb learning, so it draws from a stream of its own.
        self._predict_generator = np.random.default_rng([self.seed, 1])
        self.num_timesteps = 0
        self.total_timesteps: int | None = None
        self.episode_returns: list[float] = []
        self.episode_lengths: list[int] = []
        self._observation: Any = None  # None: the next step begins with a reset
        self._info: dict[str, Any] = {}  # what the environment said beside the present observation
        self._episode_return = 0.0
        self._episode_length = 0
        self._begun = False
        self._has_reset = False
        self._interrupted = False
        self._snapshot: dict[str, Any] | None = None  # of a loaded run, until it goes on
        self.logger: Any = None  # where callbacks record scalars: `rlgrid.scalars.Logger`
        self._reseed: int | None = None  # of the first reset of a loaded run in a foreign environment
        self._chosen: int | None = None  # the next action, where somebody else has chosen it (`take`)

    def _world_of(self, env: gym.Env[Any, Any]) -> World:
        return World(env, self.sees_parts)

    @property
    def truth(self) -> MDP | GridModel | None:
        """The model whose exact values judge the agent's policy; None where it is unknown or wrappers change it."""
        return self.model if self._world.transparent else None

    # --- running ----------------------------------------------------------------------------------------------------

    def learn(
        self,
        total_timesteps: int | None = None,
        callback: Callback | None = None,
        log_interval: int | None = None,
        progress_bar: bool = False,
        reset_num_timesteps: bool = True,
    ) -> Self:
        """Run for so many units.

        Args:
            total_timesteps: steps of the environment (sweeps of a planner).
            callback: a function, called with the agent every `chunk_size` units, wherever a chunk is cut for another
                callback, and at the end; or an object of `rlgrid.callbacks`, called exactly when it is due; or a list
                of them. Returning False stops the run.
            log_interval: print a line after every so many episodes (units of an agent without episodes).
            progress_bar: show progress, units a second and the time left.
            reset_num_timesteps: begin a new run: the count restarts, with it the schedules, and the environment is
                reset; what was learnt stays. False adds ``total_timesteps`` units to the present run.

        A KeyboardInterrupt is raised between two chunks, so that the agent may be saved and resumed afterwards.
        """
        Calls(self, callback)  # refuses what is no callback before a run is begun
        if total_timesteps is None:
            total_timesteps = self._total_if_none()
        if reset_num_timesteps or not self._begun:
            self.begin(total_timesteps)
        elif total_timesteps is not None:
            self.total_timesteps = self.num_timesteps + check_count("total_timesteps", total_timesteps)
        else:
            self.total_timesteps = None
        return self.resume(callback, log_interval, progress_bar)

    def _total_if_none(self) -> int | None:
        raise TypeError(f"{type(self).__name__}.learn needs total_timesteps, the number of {self.unit}s to run")

    def begin(self, total_timesteps: int | None) -> None:
        """Begin a new run of so many units without running any: for those who call `advance` themselves."""
        self.total_timesteps = None if total_timesteps is None else check_count("total_timesteps", total_timesteps)
        self.num_timesteps = 0
        self._begun = True
        self.forget_episode()

    def resume(
        self, callback: Callback | None = None, log_interval: int | None = None, progress_bar: bool = False
    ) -> Self:
        """Finish the present run, for example of a loaded agent. It ends as if it had never been stopped.

        That holds bit for bit in a `GridWorld` and in classic control of ours. Of a foreign environment nothing can be
        saved, so a run that was loaded from a file goes on there with a fresh episode.

        Raises:
            ValueError: if no run was begun.
        """
        if not self._begun:
            raise ValueError("there is no run to resume: call learn(total_timesteps) first")
        if log_interval is not None:
            log_interval = check_count("log_interval", log_interval)
        log = Log(self, log_interval)
        calls = Calls(self, callback)
        with self._deferred_interrupt(), show_progress(self, progress_bar) as show:
            calls.begin()
            while not self._finished():
                most = self.chunk_size
                if self.total_timesteps is not None:
                    most = min(most, self.total_timesteps - self.num_timesteps)
                done = self.advance(calls.most(most))
                if self._interrupted:
                    if done:
                        calls.call(functions=False)  # what is due here would not be due again after `resume`
                    raise KeyboardInterrupt
                show()
                log.line()
                go_on = calls.call()
                if not go_on or done == 0:
                    break
            calls.end()
        return self

    def advance(self, max_steps: int) -> int:
        """Run at most ``max_steps`` units and return how many; no progress bar, no callback.

        It does not stop at `total_timesteps`: schedules keep their last value beyond it. Without `learn` or `begin`
        before it, it begins a run of `default_total_timesteps` units.
        """
        max_steps = check_count("max_steps", max_steps)
        if not self._begun:
            self.begin(self.default_total_timesteps)
        if self.unit == "step":
            self._ready_episode()
        return self._advance_compiled(max_steps) if self.compiled else self._advance_python(max_steps)

    def take(self, action: int) -> None:
        """One step with an action that somebody else has chosen; the agent learns from it as from its own.

        The agent decides for itself all the same, and draws what it draws for that: only its action is not taken.

        Raises:
            ValueError: if there is no such action in the present state, or the agent could not learn from it.
        """
        self.check_taken(action)
        if not self._begun:
            self.begin(self.default_total_timesteps)
        self._ready_episode()
        state, available = self.state, None if self.model is None else self.model.available
        if available is not None and state is not None and not available[state, action]:
            raise ValueError(f"state {state} does not have action {action}")
        self._taken_over(int(action))
        self._chosen = int(action)
        try:
            self._advance_python(1)
        finally:
            self._chosen = None

    def check_taken(self, action: int) -> None:
        """Raise ValueError if `take` would refuse this action in every state."""
        refused = self.why_not_driven()
        if refused:
            raise ValueError(f"{type(self).__name__} cannot be driven: {refused}")
        count = int(self.env.action_space.n)  # type: ignore[attr-defined]
        if isinstance(action, bool) or not isinstance(action, int | np.integer) or not 0 <= action < count:
            raise ValueError(f"action must be one of 0 to {count - 1}, not {action!r}")

    def why_not_driven(self) -> str:
        """Why `take` is refused; empty where it is not."""
        return "it does not act step by step"

    def _taken_over(self, action: int) -> None:  # noqa: B027  # most agents have decided on nothing
        """Somebody else has chosen the next action: leave what the rule keeps in order."""

    def _finished(self) -> bool:
        return self.total_timesteps is not None and self.num_timesteps >= self.total_timesteps

    @abstractmethod
    def _advance_compiled(self, max_steps: int) -> int:
        """Run at most ``max_steps`` units in a kernel, with `num_timesteps` and the environment left true."""

    @abstractmethod
    def _advance_python(self, max_steps: int) -> int:
        """The same one `env.step` at a time; stops between two steps once `_interrupted` is set."""

    @contextmanager
    def _deferred_interrupt(self) -> Iterator[None]:
        """Ctrl-C waits for the end of a chunk (of a step in the Python loop); a second one does not."""
        self._interrupted = False
        in_main = threading.current_thread() is threading.main_thread()
        if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield  # somebody else has a way of their own with Ctrl-C
            return

        def note(number: int, frame: Any) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            pressed, self._interrupted = self._interrupted, False
        if pressed:  # after the last chunk
            raise KeyboardInterrupt

    # --- episodes ---------------------------------------------------------------------------------------------------

    def forget_episode(self) -> None:
        """Let the next step begin with a reset: for who has used the agent's own environment in between."""
        self._observation = None
        if self._snapshot is not None:
            self._snapshot["under_way"] = False

    def _ready_episode(self) -> None:
        """Have an episode under way: restored from a file, gone on with, or fresh."""
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            try:
                self._world.restore(snapshot)
                self._has_reset = True
                if (self._observation is not None or snapshot.get("under_way")) and not self._world.begun:
                    raise ValueError("a step of an episode that has not begun")
                if self._observation is None and snapshot.get("under_way"):
                    self._observation = self._world.observation()
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                raise CheckpointError(f"the saved episode does not fit this environment: {error}") from error
        if self._observation is None or self._world.was_moved(self._observation, self._episode_length):
            self._reset_env()

    def _reset_env(self) -> None:
        if self._has_reset:
            observation, self._info = self.env.reset()
        else:
            observation, self._info = self.env.reset(seed=self.seed if self._reseed is None else self._reseed)
            self._has_reset = True
        self._observation = observation
        self._episode_return = 0.0
        self._episode_length = 0

    def _step_env(self, action: int) -> tuple[Any, float, bool, bool]:
        """One `env.step` in the Python loop: (observation, reward, terminated, truncated), counted.

        Once the agent has learnt from it, `_end_step` must follow.
        """
        try:
            observation, given, terminated, truncated, self._info = self.env.step(action)
        except ValueError as error:
            if self._world.hides_actions():
                raise ValueError(f"{type(self).__name__} cannot act here: {self._world.hides_actions()}") from error
            raise
        reward = float(given)
        if not math.isfinite(reward):
            raise ValueError(f"the environment gave the reward {reward} after {self.num_timesteps} steps: not finite")
        self._episode_return += reward
        self._episode_length += 1
        return observation, reward, bool(terminated), bool(truncated)

    def _end_step(self, observation: Any, ended: bool) -> None:
        """Close a step of the Python loop: the observation becomes the present one, or a new episode begins."""
        self.num_timesteps += 1
        self._observation = observation
        if ended:
            self.episode_returns.append(self._episode_return)
            self.episode_lengths.append(self._episode_length)
            self._reset_env()

    def _commit_chunk(
        self,
        steps: int,
        observation: Any,
        elapsed: int,
        episode_return: float,
        returns: NDArray[np.float64],
        lengths: NDArray[np.int64],
    ) -> None:
        """Close a compiled chunk: counts, episodes (float64 [E], int64 [E]), and the environment left true."""
        self.num_timesteps += steps
        self._observation = observation
        self._episode_length = elapsed
        self._episode_return = episode_return
        self.episode_returns.extend(returns.tolist())
        self.episode_lengths.extend(lengths.tolist())
        self._world.commit(observation, elapsed, episode_return, returns, lengths)

    # --- what was learnt --------------------------------------------------------------------------------------------

    @abstractmethod
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The action for an observation (an int) or a batch of them (int64 [n]), and ``state`` handed back."""

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A], a copy; -inf where the state lacks the action."""
        raise AttributeError(f"{type(self).__name__} has no table of q_values over {self.env.observation_space}")

    @property
    def values(self) -> NDArray[np.float64]:
        """float64 [S]: the largest q-value of each state."""
        best: NDArray[np.float64] = self.q_values.max(axis=1)
        return best

    @property
    def policy(self) -> NDArray[np.int64]:
        """int64 [S]: the greedy action, the lowest index where several are equal."""
        greedy: NDArray[np.int64] = self.q_values.argmax(axis=1)
        return greedy

    def greedy(self) -> NDArray[np.bool_]:
        """bool [S, A]: every greedy action; none in a state that was never visited."""
        q = self.q_values
        ties: NDArray[np.bool_] = q == q.max(axis=1, keepdims=True)
        seen = self.visits
        if seen is not None:
            ties &= (seen > 0)[:, None]
        return ties

    @property
    def visits(self) -> NDArray[np.int64] | None:
        """int64 [S]: how often each state was acted in; None where nothing counts them."""
        return None

    @property
    def state(self) -> int | None:
        """The index of the environment's present state in training; None where there is none."""
        space = self.env.observation_space
        if self._observation is None or not isinstance(space, Discrete):
            return None
        return int(self._observation) - int(space.start)

    def metrics(self) -> dict[str, float]:
        """Present numbers worth showing, by name."""
        shown: dict[str, float] = {}
        if self.episode_returns:
            shown["episodes"] = float(len(self.episode_returns))
            shown["mean_return"] = float(np.mean(self.episode_returns[-RECENT:]))
            shown["mean_length"] = float(np.mean(self.episode_lengths[-RECENT:]))
        return shown

    def learnt(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What was learnt so far, copied: for `take_back`."""
        return {name: array.copy() for name, array in self._arrays().items()}, dict(self._scalars())

    def take_back(self, learnt: tuple[dict[str, NDArray[Any]], dict[str, Any]]) -> None:
        """Have again what was `learnt` at some time; the count of units and the generators stay where they are.

        The next step begins a new episode.
        """
        arrays, scalars = learnt
        self._set_arrays({name: array.copy() for name, array in arrays.items()})
        self._set_scalars(dict(scalars))
        self.forget_episode()

    # --- on disk ----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that make such an agent, but ``env`` and ``compiled``: JSON-able."""
        return self._settings() | {"seed": self.seed}

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """The constructor's arguments but ``env`` and ``compiled``, JSON-able."""

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of a checkpoint by name."""

    @abstractmethod
    def _set_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take tensors of a checkpoint; raises CheckpointError where shapes or types do not fit."""

    def _scalars(self) -> dict[str, Any]:
        """What else a subclass needs to go on, JSON-able."""
        return {}

    def _set_scalars(self, scalars: dict[str, Any]) -> None:
        """Take back what `_scalars` gave; raises CheckpointError where it does not fit."""
        if scalars:
            raise CheckpointError(f"{type(self).__name__} keeps no {', '.join(scalars)}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint (safetensors; the suffix is added where there is none), atomically."""
        import numba

        import rlgrid

        arrays = {f"agent.{name}": array for name, array in self._arrays().items()}
        arrays["episodes.returns"] = np.array(self.episode_returns, np.float64)
        arrays["episodes.lengths"] = np.array(self.episode_lengths, np.int64)
        snapshot = self._snapshot or (self._world.snapshot() if self._has_reset else None)
        if snapshot is not None:
            snapshot = {"under_way": self._observation is not None} | snapshot
        metadata = {
            "agent": type(self).__name__,
            "settings": self.settings,
            "scalars": self._scalars(),
            "versions": {"rlgrid": rlgrid.__version__, "numpy": np.__version__, "numba": numba.__version__},
            "world": self._world_metadata(),
            "run": {
                "begun": self._begun,
                "num_timesteps": self.num_timesteps,
                "total_timesteps": self.total_timesteps,
                "has_reset": self._has_reset or self._snapshot is not None,
                "generator": self._generator.bit_generator.state,
                "predict_generator": self._predict_generator.bit_generator.state,
                "environment": snapshot,
                # Any other observation is had back from the world, or else a fresh episode begins.
                "state": int(self._observation) if isinstance(self._observation, int | np.integer) else None,
                "episode_return": self._episode_return,
                "episode_length": self._episode_length,
            },
        }
        checkpoint.write(path, arrays, metadata)

    def _world_metadata(self) -> dict[str, Any]:
        spec = self.env.spec
        return {
            "id": None if spec is None else spec.id,
            "observation_space": str(self.env.observation_space),
            "action_space": str(self.env.action_space),
            "fingerprint": self._fingerprint(),
        }

    def _fingerprint(self) -> str | None:
        if self._world.simulated:
            return str(self._world.inner.settings)
        return checkpoint.fingerprint(self.model if self._world.model is None else self._world.model)

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: gym.Env[Any, Any], **changes: Any) -> Self:
        """The agent of a checkpoint in ``env``; ``changes`` replace arguments of its constructor.

        Raises:
            FileNotFoundError: if there is no such file.
            CheckpointError: if the file is torn, foreign, of another agent, or of a world with other spaces.
        """
        arrays, metadata = checkpoint.read(path)
        if metadata.get("agent") != cls.__name__:
            raise CheckpointError(
                f"{path} holds an agent of class {metadata.get('agent')!r}: load it with that class, not {cls.__name__}"
            )
        try:
            world, run, settings = metadata["world"], metadata["run"], dict(metadata["settings"])
            for name in ("observation_space", "action_space"):
                here = str(getattr(env, f"single_{name}", getattr(env, name)))  # of one environment of a vector
                if world[name] != here:
                    raise CheckpointError(f"{path} was made for the {name} {world[name]}; this one is {here}")
            cls._check_asked(env, {name: settings[name] for name in settings if name not in changes}, arrays)
            agent = cls(env=env, **(settings | changes))
            inside = {name[len("agent.") :]: array for name, array in arrays.items() if name.startswith("agent.")}
            agent._set_arrays(inside)
            agent._set_scalars(metadata["scalars"])
            agent._set_run(run, arrays, same_world=world["fingerprint"] == agent._fingerprint())
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, MemoryError) as error:
            raise CheckpointError(f"{path} does not fit {cls.__name__}: {type(error).__name__}: {error}") from error
        return agent

    @classmethod  # noqa: B027  # most agents ask for nothing
    def _check_asked(cls, env: gym.Env[Any, Any], settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Refuse settings of a file that ask for far more memory or work than the file bears out.

        Raises:
            CheckpointError, TypeError, ValueError
        """

    @classmethod
    def check_file_settings(cls, env: gym.Env[Any, Any], settings: dict[str, Any]) -> None:
        """Refuse settings that come from a file without a checkpoint, as `load` refuses those of a checkpoint.

        Raises:
            CheckpointError, TypeError, ValueError: naming what they ask for.
        """
        theta = np.broadcast_to(np.float64(0.0), MOST_WEIGHTS)  # as if a checkpoint had held so many weights
        cls._check_asked(env, settings, {"agent.theta": theta})

    def _set_run(self, run: dict[str, Any], arrays: dict[str, NDArray[Any]], *, same_world: bool) -> None:
        returns, lengths = arrays["episodes.returns"], arrays["episodes.lengths"]
        if returns.shape != lengths.shape or returns.ndim != 1:
            raise CheckpointError(f"episode returns {returns.shape} and lengths {lengths.shape} must be one list each")
        self.episode_returns = returns.astype(np.float64).tolist()
        self.episode_lengths = lengths.astype(np.int64).tolist()
        self._begun = bool(run["begun"])
        self.num_timesteps = check_count("num_timesteps", run["num_timesteps"], least=0)
        total = run["total_timesteps"]
        self.total_timesteps = None if total is None else check_count("total_timesteps", total)
        self._generator.bit_generator.state = run["generator"]
        self._predict_generator.bit_generator.state = run["predict_generator"]
        self._episode_return = float(run["episode_return"])
        self._episode_length = check_count("episode_length", run["episode_length"], least=0)
        if not self._world.can_be_saved:
            if run["has_reset"]:  # a seed of its own, so that the same episodes are not met again
                self._reseed = (self.seed + self.num_timesteps) % 2**31
        elif same_world:
            self._snapshot = run["environment"]
            self._observation = None if run["state"] is None else self._saved_state(run["state"])
        else:
            warnings.warn(
                "this world differs from the one that the checkpoint was made in: what was learnt is taken over, "
                "the unfinished episode is not",
                stacklevel=3,
            )

    def _saved_state(self, given: Any) -> int:
        """The present state in a checkpoint, as the environment would have given it: kernels read tables there."""
        space = self.env.observation_space
        if not isinstance(space, Discrete):
            raise CheckpointError(f"the file holds the state {given!r}; the observations here are {space}")
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given - int(space.start) < space.n:
            raise CheckpointError(f"the file holds the state {given!r}, which is not in {space}")
        return given

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={json.dumps(value)}" for name, value in self._settings().items())
        return f"{type(self).__name__}({settings}, num_timesteps={self.num_timesteps})"
