"""Sarsa and Expected Sarsa: on-policy temporal differences, which learn the worth of the behaviour itself.

    Sarsa (Rummery & Niranjan 1994; Sutton & Barto, 2nd ed., section 6.4)
        Q(s,a) <- Q(s,a) + alpha [r + gamma Q(s',a') - Q(s,a)], a' the action that is taken next
    Expected Sarsa (van Seijen, van Hasselt, Whiteson & Wiering 2009; section 6.6)
        Q(s,a) <- Q(s,a) + alpha [r + gamma sum_b pi(b|s') Q(s',b) - Q(s,a)]

Both converge to Q* where exploration fades away but every pair is tried for ever (Singh et al. 2000).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.tabular import TabularAgent, fitting


class DecidedAgent(TabularAgent):
    """An agent that may decide on its next action while it learns from the last one. Arguments: see `TabularAgent`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._action = np.full(1, -1, np.int64)  # decided for the next step, or -1

    def _memory(self) -> dict[str, NDArray[Any]]:
        return {"action": self._action}

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._action[:] = fitting(arrays, "action", self._action, -1, self.q_table.shape[1])

    def _clear_memory(self) -> None:
        self._action[0] = -1

    def _taken_over(self, action: int) -> None:
        if self._action[0] >= 0 and self._action[0] != action:
            self._give_up_decision()

    def _give_up_decision(self) -> None:
        """Another action than the decided one is taken."""
        self._action[0] = -1

    def _ready_episode(self) -> None:
        restored = self._snapshot is not None
        super()._ready_episode()
        if restored and self._action[0] >= 0 and self.q_table[self.state, self._action[0]] == -np.inf:
            raise CheckpointError(
                f"the file decides on action {self._action[0]}, which state {self.state} does not have"
            )


class Sarsa(DecidedAgent):
    """Tabular Sarsa. Arguments: see `TabularAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_decided, learn_sarsa, run_sarsa

        return run_sarsa, act_decided, learn_sarsa

    def _rule(self) -> Any:
        from rlgrid.kernels.tabular import Decided

        return Decided(self._action)


class ExpectedSarsa(TabularAgent):
    """Tabular Expected Sarsa: the mean over the next action, not a draw of it. Arguments: see `TabularAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_anew, learn_expected_sarsa, run_expected_sarsa

        return run_expected_sarsa, act_anew, learn_expected_sarsa
