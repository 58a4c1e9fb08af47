"""n-step Sarsa and n-step tree backup (Sutton & Barto, 2nd ed., sections 7.2 and 7.5).

    n-step Sarsa    G = r_1 + gamma r_2 + ... + gamma^n Q(s_n, a_n)
    tree backup     G = r_1 + gamma [sum over b other than a_1 of pi(b|s_1) Q(s_1,b) + pi(a_1|s_1) G'], and so on for n
                    steps, with pi greedy (Precup, Sutton & Singh 2000): off-policy without importance sampling

Q moves towards G when the n steps are known; the end of an episode shortens the last ones.
"""

from __future__ import annotations

from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_count
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.sarsa import DecidedAgent
from rlgrid.agents.tabular import MOST_UPDATES, TabularArguments, fitting


class NStepAgent(DecidedAgent):
    """What n-step agents share.

    Args:
        env, learning_rate, gamma, and all others: see `TabularAgent`.
        n_steps: n, at least 1 and at most 10,000; 1 is Sarsa, or Q-learning.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        n_steps: int = 4,
        **settings: Unpack[TabularArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        self.n_steps = check_count("n_steps", n_steps, most=MOST_UPDATES)
        self._states = np.zeros(self.n_steps, np.int64)
        self._actions = np.zeros(self.n_steps, np.int64)
        self._rewards = np.zeros(self.n_steps)
        self._visits = np.zeros(self.n_steps, np.int64)  # the how-many-th of its pair each step was
        self._span = np.zeros(2, np.int64)  # the oldest step that waits, and how many

    def _rule(self) -> Any:
        from rlgrid.kernels.n_step import Waiting

        return Waiting(self._action, self._states, self._actions, self._rewards, self._visits, self._span)

    def _updates(self) -> int:
        return self.n_steps

    def _memory(self) -> dict[str, NDArray[Any]]:
        return super()._memory() | {
            "waiting.states": self._states,
            "waiting.actions": self._actions,
            "waiting.rewards": self._rewards,
            "waiting.visits": self._visits,
            "waiting.span": self._span,
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        super()._set_memory(arrays)
        num_states, num_actions = self.q_table.shape
        self._states[:] = fitting(arrays, "waiting.states", self._states, 0, num_states)
        self._actions[:] = fitting(arrays, "waiting.actions", self._actions, 0, num_actions)
        self._rewards[:] = fitting(arrays, "waiting.rewards", self._rewards)
        self._visits[:] = fitting(arrays, "waiting.visits", self._visits)
        self._span[:] = fitting(arrays, "waiting.span", self._span, 0, self.n_steps)
        waiting = (self._span[0] + np.arange(self._span[1])) % self.n_steps
        if (self._visits[waiting] < 1).any():
            raise CheckpointError("waiting.visits in the file has steps that are no visit")

    def _clear_memory(self) -> None:
        super()._clear_memory()
        self._span[:] = 0

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"n_steps": self.n_steps}


class NStepSarsa(NStepAgent):
    """n-step Sarsa. Arguments: see `NStepAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.n_step import learn_n_step_sarsa, run_n_step_sarsa
        from rlgrid.kernels.tabular import act_decided

        return run_n_step_sarsa, act_decided, learn_n_step_sarsa


class TreeBackup(NStepAgent):
    """n-step tree backup towards the greedy policy. Arguments: see `NStepAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.n_step import learn_tree_backup, run_tree_backup
        from rlgrid.kernels.tabular import act_apart

        return run_tree_backup, act_apart, learn_tree_backup
