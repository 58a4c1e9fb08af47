"""Posterior sampling for reinforcement learning (PSRL): act as in a world that is as likely as any.

Before each round a world is drawn from the posterior, solved by backward induction over the H steps of the round, and
its optimal policy is followed (Osband, Russo & Van Roy 2013, NeurIPS; algorithm 1; Strens 2000 for a stationary one).
A world that pays well is drawn now and then as long as it may exist: so the agent explores.

- Transitions: Dirichlet over the S states and the end of the episode, ``prior_transitions`` / (S + 1) for each.
- Mean rewards: normal-gamma, with mu = the prior mean, kappa = 1, alpha = 1 and beta = the prior deviation squared, as
  if rewards were normal (as in the paper's experiments).

Of the distribution that is drawn for a pair at most one millionth goes elsewhere than it should.
"""

from __future__ import annotations

import math
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_number
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.exploring import MOST_ENTRIES, ExploringArguments, Outcomes, RoundAgent
from rlgrid.agents.tabular import LARGEST, fitting

LEAST = 1e-6  # of a distribution is not drawn any finer (`rlgrid.kernels.posterior`)


class PSRL(RoundAgent):
    """Posterior sampling.

    `q_values` and `policy` are those of the first step of a round, in the world that was drawn last.

    Args:
        env, gamma, reward_range, seed, compiled: see `ExploringAgent`.
        horizon: see `RoundAgent`.
        prior_transitions: the sum of the parameters of the Dirichlet prior, in (0, 100]: as many outcomes it weighs.
        prior_mean: of the mean reward of a pair; None takes the largest reward.
        prior_deviation: of a reward; None takes the width of the range of rewards.

    Attributes:
        q_table: float64 [H, S, A], of the world that was drawn last.
    """

    _first_step = -1

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        horizon: int | None = None,
        prior_transitions: float = 1.0,
        prior_mean: float | None = None,
        prior_deviation: float | None = None,
        **settings: Unpack[ExploringArguments],
    ) -> None:
        super().__init__(env, gamma=gamma, horizon=horizon, **settings)
        width = self._know_rewards()
        self.prior_transitions = check_number("prior_transitions", prior_transitions, 0.0, 100.0, open_low=True)
        self.prior_mean, self.prior_deviation = prior_mean, prior_deviation
        self._centre = self.high if prior_mean is None else check_number("prior_mean", prior_mean, -LARGEST, LARGEST)
        if prior_deviation is not None:
            width = check_number("prior_deviation", prior_deviation, 0.0, LARGEST, open_low=True)
        self._variance = (width or 1.0) * (width or 1.0)
        if self._variance == 0.0:
            raise ValueError(f"a deviation of {width} has no square above 0: give a larger prior_deviation")
        self._check_bounds(self._variance, self._centre * self.horizon)
        # So many pieces are drawn with a probability of less than 1e-10: their number is one more than a Poisson one.
        mean = -math.log(LEAST) * self.prior_transitions
        self._most_pieces = math.ceil(mean + 10.0 * math.sqrt(mean)) + 10
        if self.counts.size * self._most_pieces > MOST_ENTRIES:
            raise ValueError(
                f"{type(self).__name__} draws {self._most_pieces} outcomes for each pair, and {self._num_states} x "
                f"{self._num_actions} pairs are too many: more than {MOST_ENTRIES:,} entries"
            )
        self._mask_table()
        self._outcomes = Outcomes(self._num_states, self._num_actions)
        self._mean, self._spread = np.zeros(self.counts.size), np.zeros(self.counts.size)
        self._overflown = np.zeros(1, np.int64)
        self._final_states = self._final()

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.posterior import act_psrl, learn_psrl, run_psrl

        return run_psrl, act_psrl, learn_psrl

    def _rule(self) -> Any:
        from rlgrid.kernels.posterior import Posterior

        return Posterior(
            step=self._step,
            overflown=self._overflown,
            model=self._outcomes.arrays(),
            mean=self._mean,
            spread=self._spread,
            final=self._final_states,
            horizon=self.horizon,
            prior_transitions=self.prior_transitions,
            prior_mean=self._centre,
            prior_spread=self._variance,
            most_pieces=self._most_pieces,
        )

    def _make_room(self, steps: int) -> None:
        self._outcomes.make_room(steps)

    def _memory(self) -> dict[str, NDArray[Any]]:
        own = {"rewards.mean": self._mean, "rewards.spread": self._spread}
        return super()._memory() | self._outcomes.memory() | own

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        super()._set_memory(arrays)
        self._outcomes.set_memory(arrays, self.counts)
        self._mean[:] = fitting(arrays, "rewards.mean", self._mean)
        self._spread[:] = fitting(arrays, "rewards.spread", self._spread)
        if self._spread.min() < 0.0:
            raise CheckpointError("rewards.spread in the file holds numbers outside [0, inf)")
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(self._spread + self.counts.ravel() * (self._mean - self._centre) ** 2)
        if not finite.all():
            raise CheckpointError("rewards.mean in the file holds numbers whose squares are not finite")

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {
            "prior_transitions": self.prior_transitions,
            "prior_mean": self.prior_mean,
            "prior_deviation": self.prior_deviation,
        }
