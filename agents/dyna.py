"""Dyna-Q and Dyna-Q+: learning from steps and from remembered steps alike (Sutton & Barto, 2nd ed., chapter 8).

Every step is learnt from by Q-learning, then remembered; after it, ``planning_steps`` updates of Q-learning are made
from what is remembered: a state that was visited, then an action that was taken there, both drawn at random (Sutton
1990; section 8.2). A pair is expected to do again what it did last, as in a deterministic world.

Dyna-Q+ (section 8.3) looks again at what it has not tried for long: in planning, the reward of a pair that was not
taken for tau steps counts kappa sqrt(tau) more, and actions that were never taken in a visited state are planned with
too, as leading back to it for nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import MOST, check_count, check_number
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.tabular import LARGEST, MOST_UPDATES, TabularAgent, TabularArguments, fitting


class DynaQ(TabularAgent):
    """Dyna-Q.

    Args:
        env, learning_rate, gamma, and all others: see `TabularAgent`.
        planning_steps: updates from remembered steps after each step, at most 10,000; 0 is Q-learning.

    Attributes:
        next_state: int64 [S, A], where each pair led last, its bitwise complement where that terminated; the least
            int64 where it was never taken.
        reward: float64 [S, A], what it gave.
    """

    untried = False
    kappa = 0.0

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        planning_steps: int = 10,
        **settings: Unpack[TabularArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        from rlgrid.kernels.dyna import NEVER

        self.planning_steps = check_count("planning_steps", planning_steps, least=0, most=MOST_UPDATES)
        shape = self.q_table.shape
        self.next_state = np.full(shape, NEVER, np.int64)
        self.reward = np.zeros(shape)
        self._final = np.zeros(shape[0], np.bool_) if self.model is None else self.model.absorbing.copy()
        self._states = np.zeros(shape[0], np.int64)  # visited, in order
        self._size = np.zeros(1, np.int64)
        self._rank = np.zeros(shape[0], np.int64)  # of each state among them
        self._pairs = np.zeros(shape, np.int64)  # what is planned with, in their order
        self._share = np.zeros(shape[0])  # how many pairs that are, times 2^-53
        self._last = np.zeros(shape, np.int64)
        self._clock = np.zeros(1, np.int64)

    def _plan_with(self, taken: NDArray[np.bool_]) -> None:
        """Plan with these pairs, bool [S, A], of the states that were visited."""
        from rlgrid.kernels.pcg64 import ULP

        size, width = int(self._size[0]), taken.shape[1]
        visited = self._states[:size]
        self._rank[visited] = np.arange(size)
        order = np.argsort(~taken[visited], axis=1, kind="stable")
        self._pairs[:size] = visited[:, None] * width + order
        self._share[size:] = 0.0
        self._share[:size] = taken[visited].sum(axis=1) * ULP

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.dyna import learn_dyna_q, run_dyna_q
        from rlgrid.kernels.tabular import act_anew

        return run_dyna_q, act_anew, learn_dyna_q

    def _rule(self) -> Any:
        from rlgrid.kernels.dyna import Remembered

        return Remembered(
            next_state=self.next_state.reshape(-1),
            reward=self.reward.reshape(-1),
            final=self._final,
            states=self._states,
            size=self._size,
            rank=self._rank,
            pairs=self._pairs.reshape(-1),
            share=self._share,
            last=self._last.reshape(-1),
            clock=self._clock,
            planning_steps=self.planning_steps,
            bonus=self.kappa,
            untried=self.untried,
            q=self.q_table.reshape(-1),
        )

    def _updates(self) -> int:
        return 1 + self.planning_steps

    def _memory(self) -> dict[str, NDArray[Any]]:
        return {
            "model.next_state": self.next_state,
            "model.reward": self.reward,
            "model.states": self._states[: self._size[0]],
            "model.last": self._last,
            "model.clock": self._clock,
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        from rlgrid.kernels.dyna import NEVER

        num_states = self.q_table.shape[0]
        size = arrays["model.states"].size
        given = fitting(arrays, "model.next_state", self.next_state, NEVER, num_states)
        if ((given < -num_states) & (given != NEVER)).any():
            raise CheckpointError(f"model.next_state holds numbers outside [{-num_states}, {num_states}) in the file")
        self.next_state[...] = given
        self.reward[...] = fitting(arrays, "model.reward", self.reward)
        states = fitting(arrays, "model.states", np.zeros(size, np.int64), 0, num_states)
        visited = np.flatnonzero((given != NEVER).any(axis=1))
        if size != visited.size or (np.sort(states) != visited).any():
            raise CheckpointError("model.states in the file are not the states that its model knows")
        self._states[:size] = states
        self._size[0] = size
        self._plan_with(self.q_table > -np.inf if self.untried else given != NEVER)
        self._clock[:] = fitting(arrays, "model.clock", self._clock, 0, MOST)
        self._last[...] = fitting(arrays, "model.last", self._last, 0, int(self._clock[0]) + 1)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"planning_steps": self.planning_steps}


class DynaQPlus(DynaQ):
    """Dyna-Q+.

    Args:
        env, learning_rate, gamma, planning_steps, and all others: see `DynaQ`.
        kappa: how much a pair is worth exploring again: kappa sqrt(tau) more reward, tau steps after it was last
            taken.
    """

    untried = True

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        planning_steps: int = 10,
        kappa: float = 1e-3,
        **settings: Unpack[TabularArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, planning_steps, **settings)
        self.kappa = check_number("kappa", kappa, 0.0, LARGEST)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"kappa": self.kappa}
