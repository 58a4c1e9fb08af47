"""What an agent needs to know about the environment around it, and how a compiled run keeps that environment true.

An agent may step the model inside a kernel only where that does to the environment exactly what `env.step` would
have done. `World` finds out whether that is so: the innermost environment is a `GridWorld` that samples from its
model, or a `ClassicControl`, with its own `step` and `reset`, and every wrapper is one that leaves dynamics and rewards
alone (TimeLimit, OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, by exact type). After a compiled chunk,
`commit` leaves the state, the step counts and the episode statistics as the Python loop would have left them.

Less is asked of wrappers where only the model's tables are to be read: there observations must be the model's states
and actions its actions (`World.same_names`), which a wrapper of rewards leaves alone. Under any other wrapper a row
of the model may be about another state than the observation of that number.

For these under any wrappers, `snapshot` and `restore` carry the state of an unfinished episode (state,
generator, step counts, statistics) through a file. Wrappers other than those four keep no state there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import (
    DtypeObservation,
    FlattenObservation,
    HumanRendering,
    NormalizeReward,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RecordVideo,
    RenderCollection,
    RescaleObservation,
    ReshapeObservation,
    TimeLimit,
)
from numpy.typing import NDArray

from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel

TRANSPARENT = (TimeLimit, OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics)
KEEP_NAMES = (*TRANSPARENT, HumanRendering, NormalizeReward, RecordVideo, RenderCollection)
REFORM = (DtypeObservation, FlattenObservation, RescaleObservation, ReshapeObservation)  # one observation at a time

NO_LIMIT = int(np.iinfo(np.int64).max)

MOST_PAIRS = 50_000_000  # beyond so many pairs (s, a) the outcomes are not kept in rows for sampling
EXPLICIT_STATES = 10_000  # up to so many states a grid is sampled from its explicit form
WIDEST = 16  # nor where a pair has more outcomes: counting through them all would cost more than a wrong guess


def samples_its_model(inner: Any) -> bool:
    """True where ``inner`` is a GridWorld whose step and reset are GridWorld's own."""
    from rlgrid.envs.gridworld import GridWorld

    return isinstance(inner, GridWorld) and _moves_as(inner, GridWorld)


def is_classic_control(inner: Any) -> bool:
    """True where ``inner`` is a ClassicControl whose step and reset are ClassicControl's own."""
    from rlgrid.envs.classic_control import ClassicControl

    return isinstance(inner, ClassicControl) and _moves_as(inner, ClassicControl)


def _moves_as(inner: Any, kind: type) -> bool:
    own = all(getattr(type(inner), name) is getattr(kind, name) for name in ("step", "reset"))
    return own and not {"step", "reset"} & set(vars(inner))


def keeps_names(wrapper: Any) -> bool:
    """True where a wrapper hands observations and actions on as they are, whatever it does to rewards."""
    kind = type(wrapper)
    rewards_alone = (
        isinstance(wrapper, gym.RewardWrapper)
        and kind.step is gym.RewardWrapper.step
        and kind.reset is gym.Wrapper.reset
    )
    return kind in KEEP_NAMES or rewards_alone


def hands_actions_on(wrapper: Any) -> bool:
    """True where a wrapper surely hands actions on as they are, whatever it does to observations."""
    watches = isinstance(wrapper, gym.ObservationWrapper) and type(wrapper).step is gym.ObservationWrapper.step
    return watches or keeps_names(wrapper)


class World:
    """The chain of wrappers around an environment.

    Attributes:
        env, inner: the outermost and the innermost environment.
        sees_parts: the agent's kernel knows states from what is seen of them.
        model: the model that ``inner`` samples from, whatever is wrapped around it, the first one where its map
            changes; None for a foreign environment.
        simulated: ``inner`` is classic control of ours, which has no table but can be stepped in a kernel.
        can_be_saved: its state can be kept in a file: it has a model or is simulated.
        transparent: every wrapper leaves dynamics and rewards alone.
        same_names: an observation is the model's state of that number, and an action its action.
        compilable: the model or the simulation may be stepped in a kernel in place of ``env.step``.
        max_episode_steps: the least limit of the TimeLimits, `NO_LIMIT` where there is none.
    """

    def __init__(self, env: gym.Env[Any, Any], sees_parts: bool = False) -> None:
        self.env, self.sees_parts = env, sees_parts
        inner: Any = env.unwrapped
        self.inner = inner
        self.wrappers: list[Any] = []  # outermost first
        layer: Any = env
        while isinstance(layer, gym.Wrapper):
            self.wrappers.append(layer)
            layer = layer.env
        self.model: MDP | GridModel | None = inner.first_model if samples_its_model(inner) else None
        self.simulated = is_classic_control(inner)
        self.can_be_saved = self.model is not None or self.simulated
        self._limits: list[Any] = [wrapper for wrapper in self.wrappers if type(wrapper) is TimeLimit]
        self._recorders: list[Any] = [wrapper for wrapper in self.wrappers if type(wrapper) is RecordEpisodeStatistics]
        # Where a state is only partly seen, an observation is no state of the model, as behind a wrapper that renames.
        # Nor is it one of the present model where the map changes, nor where it is not a number at all.
        seen = self.model is None or (
            inner.observer.kind == "index" and inner.observation_of is None and inner.is_static
        )
        self.transparent = seen and all(type(wrapper) in TRANSPARENT for wrapper in self.wrappers)
        self.same_names = seen and all(keeps_names(wrapper) for wrapper in self.wrappers)
        self.compilable = self.can_be_saved and not self.why_not_compilable()

    @property
    def max_episode_steps(self) -> int:
        """After how many steps the TimeLimits truncate an episode."""
        return min((int(limit._max_episode_steps) for limit in self._limits), default=NO_LIMIT)

    @property
    def generator(self) -> np.random.Generator:
        """The environment's own generator; a kernel draws from it what step and reset would have drawn."""
        generator: np.random.Generator = self.inner.np_random
        return generator

    def _hides_episodes(self) -> bool:
        """True where a RecordEpisodeStatistics lies inside the TimeLimit that cuts episodes off: it misses those."""
        for recorder in self._recorders:
            outside = self.wrappers[: self.wrappers.index(recorder)]
            if any(type(w) is TimeLimit and w._max_episode_steps == self.max_episode_steps for w in outside):
                return True
        return False

    def why_not_compilable(self) -> str:
        """The reason why agents take the Python loop here; empty where they need not."""
        if not self.can_be_saved:
            return f"{type(self.inner).__name__} is not a GridWorld that samples from its model"
        if self.model is not None:
            if self.inner.observer.kind != "index":
                return "its observations are not the numbers of states"
            if self.inner.observation_of is not None and not self.sees_parts:
                return "its states are only partly observed"
            if not self.inner.is_static:
                return "its map changes"
        opaque = [type(wrapper).__name__ for wrapper in self.wrappers if type(wrapper) not in TRANSPARENT]
        if opaque:
            return f"the wrapper {opaque[0]} may change dynamics or rewards"
        if self.inner.render_mode == "human":
            return "render_mode 'human' shows every step"
        if self._hides_episodes():
            return "RecordEpisodeStatistics lies inside a TimeLimit and misses the episodes that it cuts off"
        return ""

    def hides_actions(self) -> str:
        """Why nobody outside can tell which actions the present state has; empty where all have all, or one can."""
        if self.model is None or self.same_names or self.model.available is None or self.model.available.all():
            return ""
        hiding = [f"behind the wrapper {type(w).__name__}" for w in self.wrappers if not keeps_names(w)]
        where = next(iter(hiding), "by its observations")
        return (
            f"states of the model lack some of its actions, and {where} it cannot be told which. "
            "Give every state every action, or wrap rewards alone"
        )

    def hands_actions_on(self) -> bool:
        """True where every wrapper surely hands actions on as they are."""
        return all(hands_actions_on(wrapper) for wrapper in self.wrappers)

    @property
    def begun(self) -> bool:
        """Whether the environment was reset, as far as can be told."""
        return self.model is None or self.inner.state is not None

    def was_moved(self, observation: Any, elapsed: int) -> bool:
        """True where somebody else has stepped or reset the environment since the agent did."""
        if self.model is not None and self.transparent and int(self.inner.state) != int(observation):
            return True
        if self.simulated and self.transparent and not np.array_equal(self.inner.observation(), observation):
            return True
        return any(limit._elapsed_steps != elapsed for limit in self._limits)

    def commit(
        self,
        observation: Any,
        elapsed: int,
        episode_return: float,
        returns: NDArray[np.float64],
        lengths: NDArray[np.int64],
    ) -> None:
        """Leave the environment as the Python loop would have left it after a compiled chunk.

        Args:
            observation, elapsed, episode_return: of the episode now under way.
            returns, lengths: float64 [E] and int64 [E], the episodes that ended in the chunk, in order.
        """
        if self.simulated:  # the kernel has moved it
            self.inner.note(begun=elapsed == 0)
        else:
            self.inner.state = observation
        for limit in self._limits:
            limit._elapsed_steps = elapsed
        for recorder in self._recorders:
            self._commit_recorder(recorder, elapsed, episode_return, returns, lengths)

    def _commit_recorder(
        self,
        recorder: Any,
        elapsed: int,
        episode_return: float,
        returns: NDArray[np.float64],
        lengths: NDArray[np.int64],
    ) -> None:
        now = time.perf_counter()
        if lengths.size:
            spent = round((now - recorder.episode_start_time) / lengths.size, 6)
            keep = recorder.return_queue.maxlen or lengths.size
            recorder.time_queue.extend([spent] * min(keep, lengths.size))
            recorder.return_queue.extend(returns[-keep:].tolist())
            recorder.length_queue.extend(lengths[-keep:].tolist())
            recorder.episode_count += int(lengths.size)
            recorder.episode_start_time = now
        recorder.episode_returns = episode_return
        recorder.episode_lengths = elapsed

    def observation(self) -> Any:
        """The present observation, as the wrappers hand it out; None where it cannot be had without a step."""
        if not self.can_be_saved:
            return None
        seen = self.inner.observation() if self.simulated else self.inner.observer.one(self.inner.state)
        for wrapper in reversed(self.wrappers):
            if type(wrapper) in REFORM:
                seen = wrapper.observation(seen)
            elif not keeps_names(wrapper):
                return None
        return seen

    # --- an unfinished episode on disk ------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any] | None:
        """The unfinished episode as JSON-able values; None for a foreign environment."""
        if not self.can_be_saved:
            return None
        return {
            "world": self.inner.get_state(),
            "elapsed": [None if limit._elapsed_steps is None else int(limit._elapsed_steps) for limit in self._limits],
            "statistics": [
                {
                    "count": int(recorder.episode_count),
                    "return": float(recorder.episode_returns),
                    "length": int(recorder.episode_lengths),
                    "returns": [float(value) for value in recorder.return_queue],
                    "lengths": [int(value) for value in recorder.length_queue],
                    "times": [float(value) for value in recorder.time_queue],
                }
                for recorder in self._recorders
            ],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put an environment, new or used, where ``snapshot`` was taken.

        Raises:
            ValueError, TypeError, KeyError: if the snapshot does not fit the environment.
        """
        if len(snapshot["elapsed"]) != len(self._limits) or len(snapshot["statistics"]) != len(self._recorders):
            raise ValueError("the environment has other wrappers than the one that was saved")
        if not self.can_be_saved:
            raise ValueError("the environment is not a GridWorld that samples from its model")
        self.env.reset()  # wrappers learn that an episode is under way
        self.inner.set_state(snapshot["world"])
        for limit, elapsed in zip(self._limits, snapshot["elapsed"], strict=True):
            limit._elapsed_steps = None if elapsed is None else int(elapsed)
        for recorder, saved in zip(self._recorders, snapshot["statistics"], strict=True):
            recorder.episode_count = int(saved["count"])
            recorder.episode_returns = float(saved["return"])
            recorder.episode_lengths = int(saved["length"])
            for queue, name, kind in (
                (recorder.return_queue, "returns", float),
                (recorder.length_queue, "lengths", int),
                (recorder.time_queue, "times", float),
            ):
                queue.clear()
                queue.extend(kind(value) for value in saved[name])


# --- for kernels ------------------------------------------------------------------------------------------------------


def has_stream(generator: np.random.Generator) -> bool:
    """True where kernels can go on with the generator's numbers: it is a PCG64, as NumPy's and Gymnasium's are."""
    return type(generator.bit_generator) is np.random.PCG64


def stream_of(generator: np.random.Generator) -> NDArray[np.uint64]:
    """uint64 [4], the state of a PCG64 generator for `rlgrid.kernels.pcg64`."""
    state: Any = generator.bit_generator.state
    inner = state["state"]
    low = 0xFFFFFFFFFFFFFFFF
    halves = (inner["state"] >> 64, inner["state"] & low, inner["inc"] >> 64, inner["inc"] & low)
    return np.array(halves, np.uint64)


def put_back(generator: np.random.Generator, stream: NDArray[np.uint64]) -> None:
    """Let a generator go on where ``stream`` stands; the increment and what it has buffered stay its own."""
    state: Any = generator.bit_generator.state
    state["state"]["state"] = int(stream[0]) << 64 | int(stream[1])
    generator.bit_generator.state = state


def sampling_arrays(model: MDP | GridModel) -> Any:
    """The quickest form of a model to sample from: rows of outcomes, empty yet; its own arrays where rows are too many.

    The tables are filled by the kernel that draws from them, so two kernels at a time must not share them.
    """
    from rlgrid.kernels.padded import PaddedOutcomes

    if model.num_states <= EXPLICIT_STATES:
        model = model.to_mdp()  # so that maps and explicit models run in the same machine code
    pairs, width = model.num_states * model.num_actions, _most_outcomes(model)
    if pairs > MOST_PAIRS or width > WIDEST:
        return model.arrays
    return PaddedOutcomes(
        model.num_states,
        model.num_actions,
        source=model.arrays,
        known=np.zeros(pairs, np.bool_),
        cumulative=np.empty((pairs, width)),
        next_state=np.empty((pairs, width + 1), np.int32),
        reward=np.empty((pairs, width + 1)),
        start_states=model.start_states,
        start_cumulative=np.cumsum(model.start_probability),
    )


def _most_outcomes(model: MDP | GridModel) -> int:
    """No pair has more outcomes than this."""
    if isinstance(model, MDP):
        return int(np.diff(model.offsets).max())
    return int((model.arrays.slip >= 0.0).sum(axis=2).max()) * len(model.gust)
