"""Q-learning (Watkins 1989; Sutton & Barto, 2nd ed., section 6.5).

    Q(s,a) <- Q(s,a) + alpha [r + gamma max_b Q(s',b) - Q(s,a)]

Q converges to Q* with probability 1 if every pair is tried for ever and the step sizes satisfy Robbins and Monro's
conditions (learning_rate "1/N"); a constant step size follows it within a noise in proportion to itself.
"""

from __future__ import annotations

from typing import Any

from rlgrid.agents.tabular import TabularAgent


class QLearning(TabularAgent):
    """Tabular Q-learning: the greedy policy is learnt whatever the behaviour is. Arguments: see `TabularAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.control import run_q_learning
        from rlgrid.kernels.tabular import act_anew, learn_q_learning

        return run_q_learning, act_anew, learn_q_learning
