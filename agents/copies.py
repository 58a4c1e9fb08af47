"""Several environments at once, as an agent sees them: a Gymnasium vector, ours or any other.

`VectorWorld` is `rlgrid.agents.world.World` for a vector. Its copies may be stepped in a kernel where the vector is a
plain `GridWorldVector`, or Gymnasium's own SyncVectorEnv of equal worlds of ours, each of which could be stepped there
alone. Any other vector is stepped in Python. Both follow the vector's autoreset mode, so they give the same bits.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from rlgrid.agents.checkpoint import fingerprint
from rlgrid.agents.world import NO_LIMIT, World, has_stream, put_back, sampling_arrays, stream_of


class Alike(gym.Env[Any, Any]):
    """The spaces of the copies of a vector, of which none can be had alone."""

    def __init__(self, vector: VectorEnv[Any, Any, Any]) -> None:
        self.observation_space, self.action_space = vector.single_observation_space, vector.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        raise RuntimeError("a copy of this vector cannot be reset alone: evaluate in another environment")

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        raise RuntimeError("a copy of this vector cannot be stepped alone: evaluate in another environment")


def vector_of(env: gym.Env[Any, Any], n_envs: int) -> SyncVectorEnv:
    """So many environments, of which ``env`` is the first; episodes begin in the step that ended the ones before.

    Raises:
        ValueError: if no more of them can be made.
    """
    spec = env.spec
    # Of a wrapper that does not record its arguments a spec has no more than the name.
    whole = spec is not None and all(wrapper.kwargs is not None for wrapper in spec.additional_wrappers)
    another = partial(gym.make, spec) if spec is not None and whole else partial(copy.deepcopy, env)
    each = [partial(_given, env), *[another] * (n_envs - 1)]
    try:
        return SyncVectorEnv(each, autoreset_mode=AutoresetMode.SAME_STEP)
    except Exception as error:
        why = "by its spec no more can be made" if whole else "there is no whole spec, and it cannot be copied"
        raise ValueError(
            f"n_envs={n_envs} of {env}: {why} ({error}). Give a vector, gymnasium.vector.SyncVectorEnv([...])"
        ) from error


def _given(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return env


def single_of(vector: VectorEnv[Any, Any, Any]) -> gym.Env[Any, Any]:
    """An environment like the copies of a vector: the first of them, where it can be had."""
    if type(vector) is SyncVectorEnv:
        return vector.envs[0]
    if _is_plain(vector):
        from rlgrid.envs.gridworld import GridWorld

        grid: Any = vector
        env: gym.Env[Any, Any] = GridWorld(model=grid.model, action_mask_of=grid.action_mask_of)
        return env if grid._limit == NO_LIMIT else TimeLimit(env, grid._limit)
    return Alike(vector)


def _is_plain(vector: Any) -> bool:
    """True for a `GridWorldVector` of one model, whose observations are the numbers of its states."""
    from rlgrid.envs.vector import GridWorldVector

    own = ("reset", "step", "_begin", "_ends")
    if not isinstance(vector, GridWorldVector) or any(
        getattr(type(vector), name) is not getattr(GridWorldVector, name) or name in vars(vector) for name in own
    ):
        return False
    plain = vector.observer.kind == "index" and vector.observation_of is None
    return plain and not vector._copies.moves and vector._copies._draws is None


class VectorWorld(World):
    """The copies of an environment that an agent learns in at once.

    Attributes:
        vector: the Gymnasium vector. mode: its autoreset mode.
        idle: bool [C], the copies whose next step only begins an episode.
        returns, lengths: float64 [C] and int64 [C], of the episodes under way.
    """

    def __init__(self, env: gym.Env[Any, Any], vector: VectorEnv[Any, Any, Any]) -> None:
        self.vector, count = vector, int(vector.num_envs)
        mode = vector.metadata.get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise ValueError(f"{vector} does not say in its metadata by which autoreset_mode episodes begin")
        self.mode = mode
        self.idle = np.zeros(count, np.bool_)
        self.returns, self.lengths = np.zeros(count), np.zeros(count, np.int64)
        self._grid: Any = vector if _is_plain(vector) else None
        # Of Gymnasium's own vector each environment can be asked.
        self._each = [World(one) for one in vector.envs] if type(vector) is SyncVectorEnv else []
        self._states: NDArray[np.float64] | None = None
        self._prints: dict[int, str | None] = {}
        super().__init__(env)
        self.can_be_saved = self._grid is not None or (bool(self._each) and all(w.can_be_saved for w in self._each))
        self.compilable = self.can_be_saved and not self.why_not_compilable()

    def why_not_compilable(self) -> str:
        if self._grid is not None:
            return ""
        if not self._each:
            return f"{type(self.vector).__name__} is neither a plain GridWorldVector nor Gymnasium's SyncVectorEnv"
        first = None
        for world in self._each:
            if not world.compilable:
                return world.why_not_compilable()
            identity = _identity(world, self._prints)
            first = identity if first is None else first
            if identity != first:
                return "its environments differ"
        return ""

    # --- stepped in Python --------------------------------------------------------------------------------------------

    def reset(self, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every copy: (observations, infos)."""
        self.idle[:] = False
        self.returns[:], self.lengths[:] = 0.0, 0
        observations, infos = self.vector.reset(seed=seed)
        return np.array(observations), infos

    def step(self, actions: NDArray[np.int64]) -> tuple[Any, Any, Any, Any, Any, dict[str, Any], dict[str, Any]]:
        """One step of every copy.

        Returns:
            (where the steps led, rewards, terminated, truncated, observations, infos of where they led, infos): the
            observations are the present ones, of a copy in which an episode has begun its first.
        """
        given, rewards, terminated, truncated, infos = self.vector.step(actions)
        observations = np.array(given)
        ended = terminated | truncated
        arrivals, finals = observations, infos
        if not ended.any() or self.mode is AutoresetMode.NEXT_STEP:
            return arrivals, rewards, terminated, truncated, observations, finals, infos
        if self.mode is AutoresetMode.SAME_STEP:
            arrivals = observations.copy()
            for e in np.flatnonzero(ended):
                arrivals[e] = infos["final_obs"][e]
            finals = _merged(infos, infos.get("final_info", {}), ended)
        else:
            given, begun = self.vector.reset(options={"reset_mask": ended})
            observations = arrivals.copy()
            observations[ended] = np.asarray(given)[ended]
            infos = _merged(infos, begun, ended)
        return arrivals, rewards, terminated, truncated, observations, finals, infos

    # --- stepped in a kernel ------------------------------------------------------------------------------------------

    def has_streams(self) -> bool:
        """True where kernels can go on with the numbers of every copy's generator."""
        return self._grid is not None or all(has_stream(world.generator) for world in self._each)

    def sampling(self) -> Any:
        """The world as `rlgrid.kernels.stepping` takes it, with the states of all copies."""
        if self.model is not None:
            return sampling_arrays(self.model)
        dynamics = self.inner.dynamics
        self._states = np.zeros((self.vector.num_envs, dynamics.state.size))
        return dynamics._replace(state=self._states)

    def draws(self) -> NDArray[np.uint64]:
        """uint64 [C, n], the streams of the copies; where states are numbers of their own, they are fetched as well."""
        if self._grid is not None:
            streams: NDArray[np.uint64] = self._grid._streams
            return streams
        if self._states is not None:
            for row, world in zip(self._states, self._each, strict=True):
                row[:] = world.inner.dynamics.state
        return np.array([stream_of(world.generator) for world in self._each])

    def commit_all(
        self,
        draws: NDArray[np.uint64],
        observations: Any,
        ends: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        """Leave the vector as stepping it would have left it.

        Args:
            draws: what `draws` gave, as the kernel left it.
            observations: the present ones, [C].
            ends: float64 [E], int64 [E], int64 [E], the episodes that ended: returns, lengths, and in which copies.
        """
        if self._grid is not None:
            self._grid._states[:], self._grid._elapsed[:] = observations, self.lengths
            self._grid._ended[:] = self.idle
            return
        returns, lengths, copies = ends
        for e, world in enumerate(self._each):
            put_back(world.generator, draws[e])
            if self._states is not None:
                world.inner.dynamics.state[:] = self._states[e]
            own = copies == e
            world.commit(observations[e], int(self.lengths[e]), float(self.returns[e]), returns[own], lengths[own])
        self._tell_vector(observations)

    def _tell_vector(self, observations: Any) -> None:
        vector: Any = self.vector
        vector._autoreset_envs[:] = self.idle
        vector._env_obs = list(observations)

    # --- an unfinished episode of each copy ---------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        if self._grid is not None:
            return self._grid._streams is not None
        return all(world.begun for world in self._each)

    def was_moved(self, observation: Any, elapsed: int) -> bool:
        if self._grid is not None:
            states, lengths = self._grid.states, self._grid._elapsed
            return not (np.array_equal(states, observation) and np.array_equal(lengths, self.lengths))
        each = zip(self._each, observation, self.lengths.tolist(), strict=True) if self._each else ()
        return any(world.was_moved(seen, length) for world, seen, length in each)

    def observation(self) -> Any:
        if not self.begun:
            return None
        if self._grid is not None:
            return self._grid.states.copy()
        seen = [world.observation() for world in self._each]
        return None if any(one is None for one in seen) else np.array(seen)

    def snapshot(self) -> dict[str, Any] | None:
        if not self.can_be_saved:
            return None
        each = self._grid.get_state() if self._grid is not None else [world.snapshot() for world in self._each]
        under_way = {"idle": self.idle, "returns": self.returns, "lengths": self.lengths}
        return {"copies": each} | {name: array.tolist() for name, array in under_way.items()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        count = self.vector.num_envs
        idle, returns, lengths = (snapshot[name] for name in ("idle", "returns", "lengths"))
        if not all(isinstance(one, list) and len(one) == count for one in (idle, returns, lengths)):
            raise ValueError(f"the saved episodes are not those of {count} environments")
        if not all(isinstance(one, bool) for one in idle) or not all(np.isfinite(float(one)) for one in returns):
            raise ValueError("what is saved of unfinished episodes is no flag, or not finite")
        if any(idle) and self.mode is not AutoresetMode.NEXT_STEP:
            raise ValueError("an episode has ended and none begun, which is of another autoreset mode")
        if any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in lengths):
            raise ValueError("the lengths of unfinished episodes must be whole numbers of at least 0")
        self.vector.reset()
        if self._grid is not None:
            self._grid.set_state(snapshot["copies"])
            if self._grid._ended.tolist() != idle or self._grid._elapsed.tolist() != lengths:
                raise ValueError("what the agent knows of the unfinished episodes is not what the environment knows")
        else:
            for world, saved in zip(self._each, snapshot["copies"], strict=True):
                world.restore(saved)
        self.idle[:], self.returns[:], self.lengths[:] = idle, returns, lengths
        if self._each:
            seen = self.observation()
            self._tell_vector([None] * count if seen is None else seen)


def _identity(world: World, prints: dict[int, str | None]) -> tuple[Any, ...]:
    """What two worlds have in common that one kernel may step side by side.

    ``prints`` takes the fingerprint of each model, by its ``id``: one that several share is hashed once.
    """
    if world.simulated:
        settings = world.inner.settings
    else:
        if id(world.model) not in prints:
            prints[id(world.model)] = fingerprint(world.model)
        settings = prints[id(world.model)]
    masks = getattr(world.inner, "action_mask_of", None)
    return settings, world.max_episode_steps, None if masks is None else masks.tobytes()


def _merged(infos: dict[str, Any], others: dict[str, Any], chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """The masks of infos, those of the chosen copies from other infos."""
    if "action_mask" not in infos or "action_mask" not in others:
        return infos
    masks = np.array(infos["action_mask"])
    masks[chosen] = np.asarray(others["action_mask"])[chosen]
    return infos | {"action_mask": masks}


def told_masks(infos: dict[str, Any]) -> Any:
    """[C, A], the masks of the present actions, by the infos of a vector.

    Raises:
        ValueError: if they have none.
    """
    if "action_mask" not in infos:
        raise ValueError(
            "use_masking: of several environments at once the masks are read from info['action_mask'], and these give "
            "none. Leave use_masking out, or wrap each environment in one that tells"
        )
    return infos["action_mask"]
