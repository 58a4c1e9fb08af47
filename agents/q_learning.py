"""Q-learning and Double Q-learning: off-policy temporal differences.

    Q-learning (Watkins 1989; Sutton & Barto, 2nd ed., section 6.5)
        Q(s,a) <- Q(s,a) + alpha [r + gamma max_b Q(s',b) - Q(s,a)]
    Double Q-learning (van Hasselt 2010; section 6.7)
        Q1(s,a) <- Q1(s,a) + alpha [r + gamma Q2(s', argmax_b Q1(s',b)) - Q1(s,a)], or with both tables changed about

Q-learning converges to Q* with probability 1 if every pair is tried for ever and the step sizes satisfy Robbins and
Monro's conditions (learning_rate "1/N"); a constant step size follows it within a noise in proportion to itself.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.tabular import TabularAgent, fitting


class QLearning(TabularAgent):
    """Tabular Q-learning: the greedy policy is learnt whatever the behaviour is. Arguments: see `TabularAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_anew, learn_q_learning, run_q_learning

        return run_q_learning, act_anew, learn_q_learning


class DoubleQLearning(TabularAgent):
    """Double Q-learning: one table chooses, the other judges, so that noise is not taken for worth.

    A fair coin, a uniform of the agent's stream, says which table learns. The step size "1/N" counts how often that
    table learnt of the pair. Arguments: see `TabularAgent`.

    Attributes:
        first, second: float64 [S, A], the two tables; `q_table` is their mean, by which the agent acts.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.first, self.second = self.q_table.copy(), self.q_table.copy()
        self._first_counts, self._second_counts = self.counts.copy(), self.counts.copy()

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_apart, learn_double_q_learning, run_double_q_learning

        return run_double_q_learning, act_apart, learn_double_q_learning

    def _rule(self) -> Any:
        from rlgrid.kernels.tabular import TwoTables

        return TwoTables(self.first, self.second, self._first_counts, self._second_counts)

    def _memory(self) -> dict[str, NDArray[Any]]:
        return {
            "first": self.first,
            "second": self.second,
            "first_counts": self._first_counts,
            "second_counts": self._second_counts,
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name, own in self._memory().items():
            own[...] = fitting(arrays, name, own)
        if (self._first_counts + self._second_counts != self.counts).any():
            raise CheckpointError("first_counts and second_counts in the file do not add up to counts")
