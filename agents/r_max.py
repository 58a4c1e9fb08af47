"""R-max: what is not known well enough is taken for as good as it can be.

A pair is known once it was taken m times; its model are the frequencies and the mean reward of these m outcomes. All
other pairs are worth the most that is possible, high / (1 - gamma). Whenever a pair becomes known the agent plans anew,
and always acts greedily: so it goes where it knows that much is to be had, or where it will learn something. Brafman &
Tennenholtz 2002, J. Mach. Learn. Res. 3; for discounted worlds as in Strehl, Li & Littman 2009, J. Mach. Learn. Res. 10
(section 3.2), who prove that for m = O((S + ln(S A / delta)) V_max^2 / (epsilon (1 - gamma))^2) it is probably
approximately correct in all but polynomially many steps. Such an m is out of reach in practice: take a few visits where
the world is deterministic, hundreds where it is not.
"""

from __future__ import annotations

from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_count, check_number
from rlgrid.agents.exploring import ExploringAgent, ExploringArguments, Outcomes
from rlgrid.agents.tabular import LARGEST, fitting

SWEEPS = 100  # of a plan, about
LONGEST = 10_000  # steps that are hoped for at gamma = 1


class RMax(ExploringAgent):
    """R-max.

    Args:
        env, gamma, reward_range, seed, compiled: see `ExploringAgent`. With gamma = 1 and rewards above 0 a pair is
            taken to be worth the largest reward in each step up to the step cap, or in 10,000 steps where these are
            fewer. It plans without a horizon, so where rewards above 0 can be had for ever all pairs come out the same:
            such a world is refused if it is known, and asks for gamma < 1.
        visits_to_know: m, how often a pair must be taken before it is known.
        planning_tolerance: a plan is made by sweeps of value iteration until no value changes by more than this times
            the width of the range of rewards; it is off by 1 / (1 - gamma) times as much at most.

    Attributes:
        q_table: float64 [S, A], -inf where a state lacks an action.

    Raises:
        ValueError: also at gamma = 1 where rewards above 0 can be had for ever.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        visits_to_know: int = 30,
        planning_tolerance: float = 1e-6,
        **settings: Unpack[ExploringArguments],
    ) -> None:
        super().__init__(env, gamma=gamma, **settings)
        self.visits_to_know = check_count("visits_to_know", visits_to_know)
        self.planning_tolerance = check_number("planning_tolerance", planning_tolerance, 0.0, LARGEST, open_low=True)
        self._begin_tables(self._num_states, self._num_actions)
        self._width = self._know_rewards()
        self._ceiling = self._most()
        self._check_bounds(self._ceiling, self._width * self.visits_to_know)
        self.q_table[:] = self._ceiling
        self._mask_table()
        self._outcomes = Outcomes(self._num_states, self._num_actions)
        self._reward = np.zeros(self.q_table.size)

    def _most(self) -> float:
        """The most that a pair can be worth: one reward, and as many more as there can be if they are above 0."""
        if self.high <= 0.0:
            return self.high
        if self.gamma < 1.0:
            return self.high / (1.0 - self.gamma)
        if self.truth is not None:
            from rlgrid.undiscounted import Undiscounted

            try:
                Undiscounted.of(self.truth.to_mdp())
            except ValueError as error:
                raise ValueError(
                    "RMax plans without a horizon, and at gamma = 1 rewards above 0 can be had in this world for ever: "
                    "give gamma below 1"
                ) from error
        return self.high * min(self._world.max_episode_steps, LONGEST)

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.r_max import learn_r_max, run_r_max
        from rlgrid.kernels.tabular import act_anew

        return run_r_max, act_anew, learn_r_max

    def _rule(self) -> Any:
        from rlgrid.kernels.r_max import Known

        return Known(
            model=self._outcomes.arrays(),
            reward=self._reward,
            visits_to_know=self.visits_to_know,
            ceiling=self._ceiling,
            tolerance=self.planning_tolerance * self._width,
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool [S, A]: which pairs are known."""
        return self.counts >= self.visits_to_know

    def _make_room(self, steps: int) -> None:
        unknown = np.clip(self.visits_to_know - self.counts, 0, steps)  # no more of a pair: the sum must have room
        self._outcomes.make_room(min(steps, int(unknown.sum())))

    def _updates(self) -> int:
        acted = self.counts.any(axis=1)
        if acted.any() and (self.known | np.isneginf(self.q_table))[acted].all():
            return 1
        return 1 + SWEEPS * self.q_table.size // self.visits_to_know

    def _memory(self) -> dict[str, NDArray[Any]]:
        return self._outcomes.memory() | {"model.reward": self._reward}

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._outcomes.set_memory(arrays, np.minimum(self.counts, self.visits_to_know))
        self._reward[:] = fitting(arrays, "model.reward", self._reward)

    def _settings(self) -> dict[str, Any]:
        own = {"visits_to_know": self.visits_to_know, "planning_tolerance": self.planning_tolerance}
        return super()._settings() | own
