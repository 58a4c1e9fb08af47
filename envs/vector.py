"""`GridWorldVector`: many copies of one world, stepped by one compiled loop over its model.

What ``gymnasium.make_vec("rlgrid/FourRooms-v0", num_envs=1024)`` makes. It gives, number for number, what Gymnasium's
SyncVectorEnv over as many `GridWorld` environments gives: copy i of a vector that is seeded with s draws from the
generator that s + i seeds, the step cap truncates, and `reset` takes the same options. What differs: "human" and
"ansi" pictures are for single environments, and the first reset must be of all copies.

How an episode begins after one has ended is the ``autoreset_mode``, which goes to ``make_vec`` as a keyword argument
(its ``vector_kwargs`` are for Gymnasium's own vectors): at the next step, whose action is not used (the default); in
the same step, whose info then holds the last observations and infos as ``"final_obs"`` and ``"final_info"``; or when
the caller resets those copies with ``options={"reset_mask": ...}``.

With ``copy=False`` the observations, rewards, flags and probabilities that `reset` and `step` return are the
environment's own arrays, and the next call writes over them: whoever keeps one copies it, and nobody writes to one.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.changing import Schedule
from rlgrid.envs.copies import Copies, GeneratedCopies, ScheduledCopies, whole_numbers
from rlgrid.envs.generated import maker_of
from rlgrid.envs.models import checked_masks, checked_state, refuse_unknown, schedule_of
from rlgrid.envs.observations import Observer, check_new_maps
from rlgrid.envs.scene import Scene, check_drawing
from rlgrid.envs.streams import generator_of, seeds_of, stream_of, streams_of
from rlgrid.envs.tables import Draws
from rlgrid.envs.views import Views
from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.gridmap import GridSpec

_MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)  # as the kernels number them
_SAME_STEP, _DISABLED = 1, 2


class _Results(NamedTuple):
    """What a step gives every copy, each [num_envs]."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    probability: NDArray[np.float64]

    @classmethod
    def empty(cls, count: int) -> _Results:
        return cls(np.empty(count), np.empty(count, np.bool_), np.empty(count, np.bool_), np.empty(count))


class GridWorldVector(VectorEnv[Any, Any, Any]):
    """Copies of a gridworld, or of any other finite model, as a Gymnasium vector environment.

    Args:
        num_envs: how many copies.
        map, model, theme, cell_size, observation_of, action_mask_of, scene, changes: as for `GridWorld`.
        observation, view_size, see_through_walls: as for `GridWorld`; `rlgrid.envs.observations` says what they mean.
        generator, rows, columns, map_seed, new_map_each_reset: as for `GridWorld`.
        max_episode_steps: the step cap, and none if -1; if None what is registered, where ``make_vec`` makes the
            vector, or else the model's.
        render_mode: None or "rgb_array".
        autoreset_mode: an `AutoresetMode`, or its value: "NextStep", "SameStep" or "Disabled".
        copy: False where the caller takes the environment's own arrays, which are used again at the next call.
        draws: the order of draws of a world that draws more than one number a step, `rlgrid.envs.tables.Draws`.
        disable_env_checker: of ``gymnasium.make``, for programs that hand it on; a vector has no checker.

    Attributes:
        model: the model that is sampled; the first one where the map changes or is made anew.
        states: int64 [num_envs], the present states, seen or not; they may be set, all at once.
        observer, action_mask_of: as `GridWorld`'s.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    _spec: EnvSpec | None = None

    def __init__(
        self,
        num_envs: int = 1,
        map: str | os.PathLike[str] | GridSpec | None = None,
        model: GridModel | MDP | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        observation: str = "index",
        view_size: int = 7,
        see_through_walls: bool = False,
        theme: str = "dark",
        cell_size: int | None = None,
        observation_of: ArrayLike | None = None,
        action_mask_of: ArrayLike | None = None,
        scene: Scene | None = None,
        generator: str | None = None,
        rows: int | None = None,
        columns: int | None = None,
        map_seed: int | None = None,
        new_map_each_reset: bool = False,
        draws: Draws | None = None,
        disable_env_checker: bool | None = None,
        **changes: Any,
    ) -> None:
        if not isinstance(num_envs, int | np.integer) or isinstance(num_envs, bool) or num_envs < 1:
            raise ValueError(f"num_envs must be a whole number, at least 1, not {num_envs!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f'render_mode of many environments must be None or "rgb_array", not {render_mode!r}')
        sources = [name for name, one in (("map", map), ("model", model), ("generator", generator)) if one is not None]
        if len(sources) > 1:
            raise TypeError(
                f"GridWorldVector takes a map, a model or a generator, not both {' and '.join(sources[:2])}"
            )
        if not isinstance(copy, bool | np.bool_):
            raise TypeError(f"copy must be True or False, not {copy!r}")
        self.num_envs = int(num_envs)
        self.autoreset_mode = _mode_of(autoreset_mode)
        self._mode = _MODES.index(self.autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.copy = bool(copy)
        maker = maker_of(type(self), generator, rows, columns, map_seed, new_map_each_reset, changes)
        if maker is None:
            refuse_unknown(type(self), changes, has_model=model is not None)
        schedule = schedule_of(map, model, changes) if maker is None else Schedule((0,), (maker.shared_model(),))
        self._map_seed = None if maker is None else maker.seed
        self.model = schedule.models[0]
        self._copies = Copies(self.num_envs, [self.model], draws)
        if maker is not None and new_map_each_reset:
            self._copies = GeneratedCopies(self.num_envs, maker)
        elif not schedule.is_static:
            self._copies = ScheduledCopies(self.num_envs, schedule)
        self._limit = _limit_of(max_episode_steps, self.model)
        self.action_mask_of = checked_masks(schedule, action_mask_of, new_map_each_reset)
        seeing = {
            "kind": observation,
            "observation_of": observation_of,
            "view_size": view_size,
            "see_through_walls": see_through_walls,
            "cell_size": cell_size,
            "theme": theme,
            "thin_walls": schedule.thin_walls,
        }
        if new_map_each_reset:
            check_new_maps(observation, observation_of)
        check_drawing(scene, theme, cell_size)
        self._views = Views(self._copies, scene, seeing)
        self.single_observation_space = self._views.observer().space
        self.single_action_space = spaces.Discrete(self.model.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        self._states = np.full(self.num_envs, -1, np.int64)
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._streams: NDArray[np.uint64] | None = None  # [num_envs, 6]
        self._seeds: list[int] = []
        self._last = (np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs))  # states and probabilities
        # What `copy=False` hands out.
        self._own = _Results.empty(self.num_envs)
        self._own_observations = None if copy else create_empty_array(self.single_observation_space, self.num_envs)
        self._own_told = np.ones(self.num_envs, np.bool_)
        self._own_told.setflags(write=False)

    # --- the simulator ----------------------------------------------------------------------------------------------

    @property
    def states(self) -> NDArray[np.int64]:
        """int64 [num_envs], read-only: the present states, as they are now and at all times; -1 before a reset."""
        states = self._states.view()
        states.setflags(write=False)
        return states

    @states.setter
    def states(self, states: ArrayLike) -> None:
        self._states[:] = whole_numbers("states", states, self.num_envs, 0, self.model.num_states - 1)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every copy: observations, and the info of toy_text.

        Args:
            seed: of the first copy, the next having the next number; or one for each copy.
            options: ``{"state": s}`` begins in state s instead; a number is drawn all the same.
                ``{"reset_mask": bool [num_envs]}`` begins an episode in those copies alone.

        Raises:
            ResetNeeded: if the first reset leaves copies out.
            ValueError, TypeError: for an unknown option, or an argument that is wrong.
        """
        chosen, state = self._options(options or {})
        seeds = seeds_of(seed, self.num_envs)
        if self._streams is None:
            self._streams, self._seeds = streams_of(seeds)
        elif seed is not None:
            anew = [i for i in np.flatnonzero(chosen).tolist() if seeds[i] is not None]
            self._streams[anew], numbers = streams_of([seeds[i] for i in anew])
            for i, number in zip(anew, numbers, strict=True):
                self._seeds[i] = number
        self._begin(chosen, np.array([one is not None for one in seeds]))
        if state is not None:
            self._states[chosen] = state
        return self._seen(), self._info(chosen.astype(np.float64), chosen)

    def _begin(self, chosen: NDArray[np.bool_], reseeded: NDArray[np.bool_]) -> None:
        """Begin episodes in some copies, bool [num_envs]."""
        from rlgrid.kernels.batch import reset_batch

        assert self._streams is not None
        self._copies.begin(chosen, reseeded, self._streams)
        copies = self._copies
        reset_batch(copies.world, copies.which, chosen, self._streams, self._states, self._elapsed, self._ended)

    def _options(self, options: Mapping[str, Any]) -> tuple[NDArray[np.bool_], int | None]:
        """(which copies are reset, the state in which they begin)."""
        unknown = set(options) - {"state", "reset_mask"}
        if unknown:
            raise ValueError(f"reset knows the options 'state' and 'reset_mask', not {sorted(unknown)[0]!r}")
        state = checked_state(self.model, options["state"]) if "state" in options else None
        if "reset_mask" not in options:
            return np.ones(self.num_envs, np.bool_), state
        mask = np.array(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be bool [{self.num_envs}], true somewhere, not {mask!r}")
        if self._streams is None and not mask.all():
            raise gym.error.ResetNeeded("the first reset is of all environments: call reset() without a mask")
        return mask, state

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One step of every copy.

        Args:
            actions: whole numbers [num_envs].

        Returns:
            observations, rewards float64, terminated bool and truncated bool, each [num_envs], and ``{"prob": p}``
            with the probability float64 [num_envs] of what happened. A copy that begins an episode at this step has
            reward 0 and p = 1.

        Raises:
            ResetNeeded: before the first reset, and where an episode has ended and the autoreset mode begins no other.
            ValueError: naming the copy whose action is wrong; then no copy has moved.
            TypeError: for a single action.
        """
        step_batch, wrong_action = _kernels()
        if self._streams is None:
            raise gym.error.ResetNeeded("there are no states yet: call reset() before step()")
        given = np.asarray(actions)
        if given.ndim == 0:
            raise TypeError(f"actions must be {self.num_envs} whole numbers, one a copy, not {actions!r}")
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise ValueError(f"actions must be {self.num_envs} whole numbers, not {given.dtype} {given.shape}")
        taken = np.ascontiguousarray(given, np.int64)
        copies, mode, ended = self._copies, self._mode, self._ended
        wrong = wrong_action(self.model.num_actions, copies.available, mode, taken, copies.which, self._states, ended)
        if wrong >= 0:
            self._refuse(wrong, given[wrong])
        into = _Results.empty(self.num_envs) if self.copy else self._own
        moved = copies.moves
        if moved:
            idle = ended.copy()
            if idle.any():
                copies.begin(idle, np.zeros(self.num_envs, np.bool_), self._streams)
        # Where models change, the last observation of an episode is seen before the next episode's model is there.
        per_copy = (taken, self._streams, self._states, self._elapsed, ended, *into, *self._last)
        step_batch(
            copies.world, self._limit, _DISABLED if moved and mode == _SAME_STEP else mode, copies.which, *per_copy
        )
        if moved:
            copies.stepped(~idle, self._states, into.terminated)
        final = self._ends(into) if mode == _SAME_STEP else {}
        told = self._own_told.copy() if self.copy else self._own_told
        info = self._info(into.probability, told) | final
        return self._seen(), into.rewards, into.terminated, into.truncated, info

    def _ends(self, into: _Results) -> dict[str, Any]:
        """What the infos of a step in same-step mode tell of the episodes that ended; the next ones have begun."""
        finished = into.terminated | into.truncated
        if not finished.any():
            return {}
        states, probability = self._last
        if self._copies.moves:
            states[:], probability[:] = self._states, into.probability
        observations = self._views.last(states, finished)
        final = self._info(np.where(finished, probability, 0.0), finished, states)
        if self._copies.moves:
            self._begin(finished, np.zeros(self.num_envs, np.bool_))
            into.probability[finished] = 1.0
        masks = {"_final_obs": finished.copy(), "_final_info": finished.copy()}
        return {"final_obs": observations, "final_info": final, **masks}

    def _refuse(self, i: int, action: Any) -> None:
        """Say why copy ``i`` cannot take its action."""
        count, state = self.model.num_actions, self._states[i]
        if self._ended[i] and self.autoreset_mode is not AutoresetMode.NEXT_STEP:
            raise gym.error.ResetNeeded(
                f"environment {i}: its episode has ended, and this autoreset mode begins no other: call "
                'reset(options={"reset_mask": terminated | truncated}) first'
            )
        if not 0 <= action < count:
            raise ValueError(f"environment {i}: action {action} is not one of the actions 0 to {count - 1}")
        raise ValueError(f"environment {i}: action {action} is not available in state {state}")

    # Of ``make_vec``; a spec with the mode itself among its arguments could not be written as JSON.
    @property
    def spec(self) -> EnvSpec | None:
        """The spec with which ``gymnasium.make_vec`` makes an equal vector."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None and "autoreset_mode" in spec.kwargs:
            spec.kwargs["autoreset_mode"] = self.autoreset_mode.value
        self._spec = spec

    # --- what is seen -----------------------------------------------------------------------------------------------

    @property
    def observer(self) -> Observer:
        """What is seen of the states of ``model``."""
        return self._views.observer()

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        """int64 [S], the number of what is seen of each state, or None where no two states look the same."""
        return self.observer.observation_of

    def _seen(self) -> Any:
        """The observations of the present states."""
        return self._views.observations(self._states, self._own_observations)

    def _info(
        self, probability: NDArray[np.float64], told: NDArray[np.bool_], states: NDArray[np.int64] | None = None
    ) -> dict[str, Any]:
        """The infos of the copies that are told of, in states (the present ones if None)."""
        info: dict[str, Any] = {"prob": probability, "_prob": told}
        if self.action_mask_of is not None:
            masks = self.action_mask_of[self._states if states is None else states]
            masks[~told] = 0
            info |= {"action_mask": masks, "_action_mask": told.copy()}
        return info

    def action_masks(self) -> NDArray[np.bool_]:
        """bool [num_envs, A]: what `GridWorld.action_masks` gives of each copy.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self._streams is None:
            raise gym.error.ResetNeeded("there are no states yet: call reset() before action_masks()")
        masks = np.ones((self.num_envs, self.model.num_actions), np.bool_)
        if self._copies.available is not None:
            masks &= self._copies.available[self._copies.which, self._states]
        if self.action_mask_of is not None:
            masks &= self.action_mask_of[self._states] != 0
        return masks

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What `SyncVectorEnv.call` gives of "action_masks" (bool [A]), "state", "model", "clock" and "map_seed".

        Raises:
            AttributeError: for another name.
            ResetNeeded: as `action_masks`.
        """
        copies, many = self._copies, self.num_envs
        of_copies: dict[str, Callable[..., Sequence[Any]]] = {
            "action_masks": lambda: list(self.action_masks()),
            "state": lambda: [None] * many if self._streams is None else self._states.tolist(),
            "model": lambda: [copies.models[k] for k in copies.which.tolist()],
            "clock": lambda: copies.clocks.tolist() if isinstance(copies, ScheduledCopies) else [None] * many,
            "map_seed": lambda: list(copies.seeds) if isinstance(copies, GeneratedCopies) else [self._map_seed] * many,
        }
        if name not in of_copies:
            raise AttributeError(f"of each copy there are {', '.join(of_copies)}, not {name!r}")
        return tuple(of_copies[name](*args, **kwargs))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """`call`."""
        return self.call(name)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A frame uint8 [H, W, 3] of each copy: each map is drawn once, and every agent into a copy of its own.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self.render_mode is None:
            gym.logger.warn('render() was called without a render mode: pass render_mode="rgb_array" to make_vec()')
            return None
        if self._streams is None:
            raise gym.error.ResetNeeded("there are no states yet: call reset() before render()")
        return self._views.frames(self._states)

    # --- copies -----------------------------------------------------------------------------------------------------

    @property
    def np_random(self) -> Any:
        """The generators of the copies, as they stand: numbers drawn from them are not taken from the environments'.

        There are none before the first reset.
        """
        return () if self._streams is None else tuple(generator_of(stream) for stream in self._streams)

    @np_random.setter
    def np_random(self, value: Any) -> None:
        raise AttributeError("the generators of many environments are not set: reset(seed=...) seeds them")

    @property
    def np_random_seed(self) -> Any:
        """The numbers that seeded the copies."""
        return tuple(self._seeds)

    def get_state(self) -> dict[str, Any]:
        """All that the future depends on, from which `set_state` goes on exactly, as plain data that JSON can keep.

        Returns:
            ``"states"``, ``"elapsed"`` (steps of the episode) and ``"ended"``, lists of a number or flag a copy;
            ``"generators"``, the states of the copies' generators as NumPy gives them, and ``"seeds"``, both empty
            before the first reset; and what says in which models the copies are, where those change.
        """
        return {
            "states": self._states.tolist(),
            "elapsed": self._elapsed.tolist(),
            "ended": self._ended.tolist(),
            "generators": [generator.bit_generator.state for generator in self.np_random],
            "seeds": list(self._seeds),
            **self._copies.get_state(),
        }

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Go back to what `get_state` gave, of this environment or of an equal one.

        Nothing is changed if anything is wrong with it.

        Raises:
            ValueError, TypeError: naming what is wrong.
        """
        expected = {"states", "elapsed", "ended", "generators", "seeds", *self._copies.get_state()}
        if not isinstance(saved, Mapping) or set(saved) != expected:
            raise ValueError(f"a saved state of this world is a mapping with {', '.join(sorted(expected))}")
        count, begun = self.num_envs, len(_listed(saved, "generators", self.num_envs, or_none=True)) > 0
        seeds = _listed(saved, "seeds", count if begun else 0)
        for one in seeds:
            if not isinstance(one, int | np.integer) or isinstance(one, bool) or one < 0:
                raise ValueError(f"the saved seeds must be whole numbers of at least 0, not {one!r}")
        states = whole_numbers("states", saved["states"], count, *(0, self.model.num_states - 1) if begun else (-1, -1))
        elapsed = whole_numbers("elapsed", saved["elapsed"], count, 0, self._limit if begun else 0)
        ended = np.array(_listed(saved, "ended", count))
        if ended.shape != (count,) or ended.dtype != np.bool_:
            raise ValueError(f"the saved ended must be True or False for each of {count} environments")
        if ended.any() and (not begun or self.autoreset_mode is AutoresetMode.SAME_STEP):
            raise ValueError("the saved state has episodes that have ended: it is that of another autoreset mode")
        if (~ended & (elapsed == self._limit)).any():
            raise ValueError(f"an episode that goes on has elapsed fewer steps than {self._limit}, its cap")
        streams = np.array([stream_of(state) for state in saved["generators"]], np.uint64) if begun else None
        which = self._copies.checked(saved)
        self._copies.set_state(which)
        self._states[:], self._elapsed[:], self._ended[:], self._streams = states, elapsed, ended, streams
        self._seeds = [int(one) for one in seeds]

    def __repr__(self) -> str:
        return f"GridWorldVector({self.num_envs}, {self.model!r})"


@cache
def _kernels() -> tuple[Any, Any]:
    from rlgrid.kernels.batch import step_batch, wrong_action

    return step_batch, wrong_action


def _listed(saved: Mapping[str, Any], name: str, count: int, or_none: bool = False) -> Sequence[Any]:
    """The list of a saved state that has so many entries, or perhaps none."""
    values: Any = saved[name]
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        raise TypeError(f"the saved {name} must be a list, not {values!r}")
    if len(values) != count and not (or_none and len(values) == 0):
        raise ValueError(f"the saved state has {len(values)} {name} for {count} environments")
    return list(values)


def _limit_of(given: int | None, model: GridModel | MDP) -> int:
    """After how many steps an episode is truncated."""
    limits = (one for one in (given, _registered_cap(), model.max_episode_steps, -1) if one is not None)
    limit = next(limits)
    if not isinstance(limit, int | np.integer):
        raise TypeError(f"max_episode_steps must be a whole number, not {limit!r}")
    if limit < 1 and limit != -1:
        raise ValueError(f"max_episode_steps must be at least 1 (or -1: no cap), not {limit!r}")
    return np.iinfo(np.int64).max if limit == -1 else int(limit)


def _registered_cap() -> int | None:
    """The step cap of the id of which ``gymnasium.make_vec`` makes a vector; None if another function makes it.

    ``make_vec`` hands on ``max_episode_steps=None``, which means the registered cap in ``make``, as it is; so the cap
    is read where it stands, in the call of ``make_vec``.
    """
    caller = sys._getframe(1)
    while caller.f_back is not None and caller.f_globals.get("__package__") == __package__:
        caller = caller.f_back
    if caller.f_code is not gym.make_vec.__code__:
        return None
    cap: int | None = caller.f_locals["env_spec"].max_episode_steps
    return cap


def _mode_of(given: AutoresetMode | str) -> AutoresetMode:
    if isinstance(given, AutoresetMode):
        return given
    names = {name: mode for mode in AutoresetMode for name in (mode.value, mode.name)}
    if given not in names:
        near = difflib.get_close_matches(str(given), names, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(mode.value for mode in AutoresetMode)}"
        raise ValueError(f"autoreset_mode must be an AutoresetMode or its value, not {given!r}: {hint}")
    return names[given]
