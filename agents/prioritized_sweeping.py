"""Prioritized sweeping: a model is counted while acting, and what would change most is backed up first.

After each step of a pair its model is brought up to date, and it waits with the priority

    |sum over s' of P(s'|s,a) [r + gamma max_b Q(s',b)] - Q(s,a)|

if that exceeds ``threshold``. Then, ``planning_steps`` times, the pair of the highest priority gets that sum for its
q-value, and the pairs that were seen to lead to its state are given their priorities anew. Moore & Atkeson 1993; Peng
& Williams 1993; Sutton & Barto, 2nd ed., section 8.4, with expected updates (section 8.5), since worlds may be
stochastic. P and r are the frequencies and the mean rewards that were met.
"""

from __future__ import annotations

from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_count, check_number
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.tabular import LARGEST, MOST_UPDATES, TabularAgent, TabularArguments, fitting


class PrioritizedSweeping(TabularAgent):
    """Prioritized sweeping with a tabular stochastic model; it has no learning rate.

    Args:
        env, gamma, and all others: see `TabularAgent`.
        planning_steps: full backups after each step, at most: fewer where fewer pairs wait. Up to 10,000.
        threshold: of the priority, below which a pair does not wait.
    """

    not_taken = ("learning_rate",)

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        planning_steps: int = 5,
        threshold: float = 1e-4,
        **settings: Unpack[TabularArguments],
    ) -> None:
        self._check_taken(settings)
        super().__init__(env, "1/N", gamma, **settings)
        self.planning_steps = check_count("planning_steps", planning_steps, least=1, most=MOST_UPDATES)
        self.threshold = check_number("threshold", threshold, 0.0, LARGEST)
        num_states, pairs = self.q_table.shape[0], self.q_table.size
        self._pair, self._to, self._many = (np.zeros(0, np.int64) for _ in range(3))
        self._same_pair, self._same_next = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._size, self._waiting = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._of_pair, self._of_next = np.full(pairs, -1, np.int64), np.full(num_states, -1, np.int64)
        self._reward, self._priority = np.zeros(pairs), np.zeros(pairs)
        self._heap, self._where = np.zeros(pairs, np.int64), np.full(pairs, -1, np.int64)

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.sweeping import learn_prioritized_sweeping, run_prioritized_sweeping
        from rlgrid.kernels.tabular import act_apart

        return run_prioritized_sweeping, act_apart, learn_prioritized_sweeping

    def _rule(self) -> Any:
        from rlgrid.kernels.sweeping import Counted

        return Counted(
            pair=self._pair,
            to=self._to,
            many=self._many,
            same_pair=self._same_pair,
            same_next=self._same_next,
            size=self._size,
            of_pair=self._of_pair,
            of_next=self._of_next,
            reward=self._reward,
            priority=self._priority,
            heap=self._heap,
            where=self._where,
            waiting=self._waiting,
            planning_steps=self.planning_steps,
            threshold=self.threshold,
            q=self.q_table.reshape(-1),
            counts=self.counts.reshape(-1),
        )

    def _make_room(self, steps: int) -> None:
        needed = int(self._size[0]) + steps
        if needed > self._pair.size:
            room = np.zeros(max(needed, 2 * self._pair.size) - self._pair.size, np.int64)
            for name in ("_pair", "_to", "_many", "_same_pair", "_same_next"):
                setattr(self, name, np.concatenate([getattr(self, name), room]))

    def _updates(self) -> int:
        return 1 + self.planning_steps

    def _memory(self) -> dict[str, NDArray[Any]]:
        size = self._size[0]
        waits = self._where >= 0
        return {
            "model.pair": self._pair[:size],
            "model.to": self._to[:size],
            "model.many": self._many[:size],
            "model.reward": self._reward,
            "priority": np.where(waits, self._priority, 0.0),
            "waits": waits.astype(np.int64),
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        from rlgrid.kernels.sweeping import enqueue, link

        size, (num_states, num_actions) = arrays["model.pair"].size, self.q_table.shape
        own = np.zeros(size, np.int64)
        self._pair = fitting(arrays, "model.pair", own, 0, num_states * num_actions).copy()
        self._to = fitting(arrays, "model.to", own, -num_states, num_states).copy()
        self._many = fitting(arrays, "model.many", own, 1).copy()
        self._same_pair, self._same_next = own.copy(), own.copy()
        self._reward[:] = fitting(arrays, "model.reward", self._reward)
        priority = fitting(arrays, "priority", self._priority)
        waits = fitting(arrays, "waits", self._where * 0, 0, 2)
        met = np.bincount(self._pair, self._many, minlength=num_states * num_actions)
        if (met != self.counts.ravel()).any() or ((waits == 1) & (met == 0)).any():
            raise CheckpointError("the model in the file does not fit the counts there")
        self._of_pair[:], self._of_next[:], self._where[:] = -1, -1, -1
        self._size[0], self._waiting[0] = size, 0
        for i in range(size):
            link(self._pair, self._to, self._same_pair, self._same_next, self._of_pair, self._of_next, i)
        for pair in np.flatnonzero(waits):
            enqueue(self._heap, self._where, self._priority, self._waiting, pair, priority[pair])

    def _settings(self) -> dict[str, Any]:
        settings = super()._settings() | {"planning_steps": self.planning_steps, "threshold": self.threshold}
        del settings["learning_rate"]
        return settings
