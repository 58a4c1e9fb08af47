"""`GridWorldVector`: many copies of one world, stepped by one compiled loop over its model.

What ``gymnasium.make_vec("rlgrid/FourRooms-v0", num_envs=1024)`` makes. It gives, number for number, what Gymnasium's
SyncVectorEnv over as many `GridWorld` environments gives: copy i of a vector that is seeded with s draws from the
generator that s + i seeds, episodes begin again at the step after their last (next-step autoreset), and the step cap
truncates. `reset` takes the same options. What differs: "human" and "ansi" pictures are for single environments, and
the first reset must be of all copies.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.models import checked_masks, checked_observations, checked_state, model_of, num_observations
from rlgrid.envs.scene import Scene
from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.gridmap import GridSpec

_WORD = (1 << 64) - 1
_MOST_PAIRS = 1_000_000  # of state and action, for which a table of outcomes is made


class GridWorldVector(VectorEnv[Any, Any, Any]):
    """Copies of a gridworld, or of any other finite model, as a Gymnasium vector environment.

    Args:
        num_envs: how many copies.
        map, model, theme, cell_size, observation_of, action_mask_of, scene, changes: as for `GridWorld`.
        max_episode_steps: the step cap; the model's if None, and none if -1.
        render_mode: None or "rgb_array".

    Attributes:
        model: the model that is sampled.
        states: int64 [num_envs], the present states, seen or not; a view, to be read.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        map: str | os.PathLike[str] | GridSpec | None = None,
        model: GridModel | MDP | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        *,
        theme: str = "dark",
        cell_size: int | None = None,
        observation_of: ArrayLike | None = None,
        action_mask_of: ArrayLike | None = None,
        scene: Scene | None = None,
        **changes: Any,
    ) -> None:
        if not isinstance(num_envs, int | np.integer) or isinstance(num_envs, bool) or num_envs < 1:
            raise ValueError(f"num_envs must be a whole number, at least 1, not {num_envs!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f'render_mode of many environments must be None or "rgb_array", not {render_mode!r}')
        if map is not None and model is not None:
            raise TypeError("GridWorldVector takes a map or a model, not both")
        self.model = model_of(map, model, changes)
        self.num_envs = int(num_envs)
        self.render_mode = render_mode
        self.theme, self.cell_size = theme, cell_size
        limit = self.model.max_episode_steps if max_episode_steps is None else max_episode_steps
        if limit is not None and (not isinstance(limit, int | np.integer) or (limit < 1 and limit != -1)):
            raise ValueError(f"max_episode_steps must be a whole number, at least 1 (or -1: no cap), not {limit!r}")
        self._limit = np.iinfo(np.int64).max if limit is None or limit == -1 else limit
        self.scene: Any = self.model if scene is None and hasattr(self.model, "picture") else scene
        self.observation_of = checked_observations(self.model, observation_of)
        self.action_mask_of = checked_masks(self.model, action_mask_of)
        self.single_observation_space = spaces.Discrete(num_observations(self.model, self.observation_of))
        self.single_action_space = spaces.Discrete(self.model.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.states = np.full(self.num_envs, -1, np.int64)
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._streams: NDArray[np.uint64] | None = None  # [num_envs, 4]

    @cached_property
    def _table(self) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]] | None:
        """Outcomes and starts as `step_table` takes them; None for a model of too many."""
        if self.model.num_states * self.model.num_actions > _MOST_PAIRS:
            return None
        mdp = self.model.to_mdp()
        sizes = np.diff(mdp.offsets)
        width = int(sizes.max())
        if width * sizes.size > 16 * _MOST_PAIRS:
            return None
        place = np.arange(width + 1)
        there = place < sizes[:, None]
        index = mdp.offsets[:-1, None] + np.where(there, place, 0)
        index = np.minimum(index, mdp.next_state.size - 1)  # a pair without outcomes, which is never drawn from
        cumulative = np.cumsum(np.where(there, mdp.probability[index], 0.0), axis=1)[:, :width]
        cumulative[~there[:, :width]] = np.inf
        outcomes = (
            np.ascontiguousarray(cumulative),
            mdp.next_state[index].astype(np.int64),
            mdp.reward[index],
            mdp.terminated[index],
            mdp.probability[index],
        )
        starts = np.append(self.model.start_states, self.model.start_states[0])
        return outcomes, (np.cumsum(self.model.start_probability), starts)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Begin an episode in every copy: states int64 [num_envs], and the info of toy_text.

        Args:
            seed: of the first copy, the next having the next number; or one for each copy.
            options: ``{"state": s}`` begins in state s instead; a number is drawn all the same.
                ``{"reset_mask": bool [num_envs]}`` begins an episode in those copies alone.

        Raises:
            ResetNeeded: if the first reset leaves copies out.
            ValueError: for an unknown option, or one that is wrong.
        """
        from rlgrid.kernels.batch import reset_batch

        begun, state = self._options(options or {})
        seeds: list[int | None]
        if seed is None or isinstance(seed, int | np.integer):
            seeds = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [None if one is None else int(one) for one in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(f"there are {len(seeds)} seeds for {self.num_envs} environments: give one for each")
        if self._streams is None:
            self._streams = np.array([_stream(one) for one in seeds], np.uint64)
        else:
            for i, one in enumerate(seeds):
                if one is not None and begun[i]:
                    self._streams[i] = _stream(one)
        chosen = np.flatnonzero(begun)
        streams, states = self._streams[chosen], self.states[chosen]
        elapsed, ended = np.empty_like(states), np.empty(states.size, np.bool_)
        reset_batch(self.model.arrays, streams, states, elapsed, ended)
        self._streams[chosen], self._elapsed[chosen], self._ended[chosen] = streams, elapsed, ended
        self.states[chosen] = states if state is None else state
        return self._seen(), self._info(begun.astype(np.float64), begun)

    def _options(self, options: dict[str, Any]) -> tuple[NDArray[np.bool_], int | None]:
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
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One step of every copy.

        Args:
            actions: whole numbers [num_envs].

        Returns:
            states int64, rewards float64, terminated bool and truncated bool, each [num_envs], and ``{"prob": p}``
            with the probability float64 [num_envs] of what happened. A copy whose episode ended at the step before
            begins a new one: reward 0, whatever the action.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: naming the copy whose action is wrong.
        """
        from rlgrid.kernels.batch import step_batch, step_table

        if self._streams is None:
            raise gym.error.ResetNeeded("there are no states yet: call reset() before step()")
        chosen = self._checked(actions)
        rewards, probability = np.empty(self.num_envs), np.empty(self.num_envs)
        terminated, truncated = np.empty(self.num_envs, np.bool_), np.empty(self.num_envs, np.bool_)
        before = (self._streams, chosen, self.states, self._elapsed, self._ended)
        after = (rewards, terminated, truncated, probability)
        if self._table is None:
            step_batch(self.model.arrays, self._limit, *before, *after)
        else:
            step_table(*self._table, self.model.num_actions, self._limit, *before, *after)
        return self._seen(), rewards, terminated, truncated, self._info(probability, np.ones(self.num_envs, np.bool_))

    def _checked(self, actions: Any) -> NDArray[np.int64]:
        given = np.asarray(actions)
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise ValueError(f"actions must be {self.num_envs} whole numbers, not {given.dtype} {given.shape}")
        chosen = np.ascontiguousarray(given, np.int64)
        wrong = np.flatnonzero((chosen < 0) | (chosen >= self.model.num_actions))
        if wrong.size:
            raise ValueError(
                f"environment {wrong[0]}: action {given[wrong[0]]} is not one of the actions 0 to "
                f"{self.model.num_actions - 1}"
            )
        available = self.model.available
        if available is not None:
            wrong = np.flatnonzero(~available[self.states, chosen] & ~self._ended)
            if wrong.size:
                state = self.states[wrong[0]]
                raise ValueError(f"environment {wrong[0]}: action {chosen[wrong[0]]} is not available in state {state}")
        return chosen

    def _seen(self) -> NDArray[np.int64]:
        """The observations, an array of the caller's own."""
        return self.states.copy() if self.observation_of is None else self.observation_of[self.states]

    def _info(self, probability: NDArray[np.float64], told: NDArray[np.bool_]) -> dict[str, Any]:
        info: dict[str, Any] = {"prob": probability, "_prob": told}
        if self.action_mask_of is not None:
            masks = self.action_mask_of[self.states]
            masks[~told] = 0
            info |= {"action_mask": masks, "_action_mask": told.copy()}
        return info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A frame uint8 [H, W, 3] of each copy."""
        if self.render_mode is None:
            gym.logger.warn('render() was called without a render mode: pass render_mode="rgb_array" to make_vec()')
            return None
        from rlgrid.picture import draw

        shown: list[tuple[Any, int | None]] = []
        for state in (None if state < 0 else state for state in self.states.tolist()):
            shown.append((self.model, state) if self.scene is None else self.scene.picture(state))
        return tuple(draw(model, agent=agent, cell_size=self.cell_size, theme=self.theme) for model, agent in shown)

    def __repr__(self) -> str:
        return f"GridWorldVector({self.num_envs}, {self.model!r})"


def _stream(seed: int | None) -> list[int]:
    """The stream of the generator that Gymnasium seeds with a number: halves of its state and of its increment."""
    words = np.random.PCG64(np.random.SeedSequence(seed)).state["state"]
    state, increment = int(words["state"]), int(words["inc"])
    return [state >> 64, state & _WORD, increment >> 64, increment & _WORD]
