"""Optimism in the face of uncertainty, with proven bounds on the regret: UCB Q-learning and UCBVI.

Both learn q-values for each step of a round of H steps, add a bonus to what is uncertain, and act greedily.

UCB Q-learning (Jin, Allen-Zhu, Bubeck & Jordan 2018, NeurIPS; algorithms 1 and 2) has no model. At the t-th visit of
(h, s, a), with alpha_t = (H + 1) / (H + t):

    Q_h(s,a) <- (1 - alpha_t) Q_h(s,a) + alpha_t [r + gamma V_{h+1}(s') + b_t],    V_h(s) = min(H, max_a Q_h(s,a))

    "hoeffding"   b_t = c sqrt(H^3 i / t)
    "bernstein"   b_t = (beta_t - (1 - alpha_t) beta_{t-1}) / (2 alpha_t), where W_t is the variance of V_{h+1}(s')
                  beta_t = c min(sqrt(H (W_t + H) i / t) + sqrt(H^7 S A) i / t, sqrt(H^3 i / t))

UCBVI (Azar, Osband & Munos 2017, ICML; algorithms 1 to 4) counts a model, and plans by backward induction before each
round. Q_h(s,a) is the least of what it was before, of H, and for pairs that were taken N times of

    r(s,a) + gamma sum over s' of P(s'|s,a) V_{h+1}(s') + b

    "hoeffding"   b = c 7 H L / sqrt(N)
    "bernstein"   b = c [sqrt(8 L Var(V_{h+1}) / N) + 14 H L / (3 N)
                         + sqrt(8 sum over s' of P(s'|s,a) min(100^2 H^3 S^2 A L^2 / N_{h+1}(s'), H^2) / N)]

Here i = ln(S A T / delta) and L = ln(5 S A T / delta), T the steps of the run and delta the ``failure_probability``. c
is ``bonus_scale``. With 1 these are the papers' formulas (the first leaves its constants open: all are 1 then), which
explore far longer than any world here asks for; the defaults are what did well in RiverSwim, deep sea and the like. The
last term of each Bernstein bonus, with H^7 and with 100^2, accounts for V being only an estimate. It outweighs all
others for millions of steps, so it is multiplied by ``correction_scale``: 0 by default, 1 in the papers.

The papers have rewards in [0, 1], gamma = 1, and UCBVI knows the rewards. Here the H that bounds values is the width of
``reward_range`` times 1 + gamma + ... + gamma^(H-1), the bound in min(H, ...) is the most that can be had in the steps
that are left, and rewards are counted: UCBVI takes their mean. No bonus has a term for the variance of rewards, so the
small default scales are for rewards that (nearly) always come out the same; elsewhere give a larger one.
"""

from __future__ import annotations

import math
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_name, check_number
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.exploring import ExploringArguments, Outcomes, RoundAgent
from rlgrid.agents.tabular import LARGEST, fitting

BONUSES = ("hoeffding", "bernstein")


class OptimisticAgent(RoundAgent):
    """What both share. Arguments: see `UCBQLearning`."""

    _least_confidence = 1.0  # what T is multiplied by beside S A / delta

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        horizon: int | None = None,
        bonus: str = "bernstein",
        bonus_scale: float = 0.01,
        correction_scale: float = 0.0,
        failure_probability: float = 0.05,
        **settings: Unpack[ExploringArguments],
    ) -> None:
        super().__init__(env, gamma=gamma, horizon=horizon, **settings)
        self.bonus = check_name("bonus", bonus, BONUSES)
        self.bonus_scale = check_number("bonus_scale", bonus_scale, 0.0, LARGEST)
        self.correction_scale = check_number("correction_scale", correction_scale, 0.0, LARGEST)
        if self.correction_scale and bonus != "bernstein":
            raise ValueError(f"correction_scale is of the bonus 'bernstein', and this agent's is {bonus!r}")
        self.failure_probability = check_number("failure_probability", failure_probability, 0.0, 1.0, open_low=True)
        self._width = self._know_rewards() * float(self._steps.sum())  # H, where it bounds values
        self._ceiling = self._ceilings()
        self.q_table[:] = self._ceiling[:-1, None, None]
        self._mask_table()
        self._check_bounds(self._ceiling[0], self.low * self.horizon, *self._sizes())

    @property
    def _bernstein(self) -> bool:
        return self.bonus == "bernstein"

    def _log(self) -> float:
        """ln(S A T / delta), and what else it is of."""
        return math.log(self._least_confidence * self.counts.size * self._total() / self.failure_probability)

    def _sizes(self) -> tuple[float, ...]:
        """The factors of the bonuses."""
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {
            "bonus": self.bonus,
            "bonus_scale": self.bonus_scale,
            "correction_scale": self.correction_scale,
            "failure_probability": self.failure_probability,
        }


class UCBQLearning(OptimisticAgent):
    """Q-learning with upper confidence bounds.

    What it shows of a state, `q_values` and `policy`, is of the step at which the state was most often acted in, for of
    other steps it may know nothing.

    Args:
        env, gamma, reward_range, seed, compiled: see `ExploringAgent`.
        horizon: see `RoundAgent`.
        bonus: "hoeffding" or "bernstein".
        bonus_scale: c, by which the bonuses are multiplied; 1 gives the paper's formula.
        correction_scale: multiplies the last term of Bernstein's bonus; 1 gives the paper's formula.
        failure_probability: delta, with which the paper's bound on the regret may fail, in (0, 1].

    Attributes:
        q_table: float64 [H, S, A]. step_visits: int64 [H, S, A].
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        horizon: int | None = None,
        bonus: str = "bernstein",
        bonus_scale: float = 0.01,
        correction_scale: float = 0.0,
        failure_probability: float = 0.05,
        **settings: Unpack[ExploringArguments],
    ) -> None:
        super().__init__(
            env,
            gamma=gamma,
            horizon=horizon,
            bonus=bonus,
            bonus_scale=bonus_scale,
            correction_scale=correction_scale,
            failure_probability=failure_probability,
            **settings,
        )
        self.step_visits = np.zeros(self.q_table.shape, np.int64)
        self._final_states = self._final()
        shape = self.q_table.shape if self._bernstein else (0, 0, self._num_actions)
        self._mean, self._spread, self._beta = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def _sizes(self) -> tuple[float, ...]:
        log, scale, horizon, pairs = self._log(), self.bonus_scale, self.horizon, self.counts.size
        try:
            return (
                scale * math.sqrt(self._width**2 * horizon * log),
                scale**2 * horizon * log,
                self._width**2 / horizon,
                scale * self.correction_scale * self._width * math.sqrt(float(horizon) ** 5 * pairs) * log,
            )
        except OverflowError:
            return (math.inf,)

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.optimistic import act_by_step, learn_ucb_q_learning, run_ucb_q_learning

        return run_ucb_q_learning, act_by_step, learn_ucb_q_learning

    def _rule(self) -> Any:
        from rlgrid.kernels.optimistic import Steps

        plain, varying, floor, correction = self._sizes()
        flat = (-1, self._num_actions)
        return Steps(
            step=self._step,
            visits=self.step_visits.reshape(flat),
            mean=self._mean.reshape(flat),
            spread=self._spread.reshape(flat),
            width=self._beta.reshape(flat),
            ceiling=self._ceiling,
            final=self._final_states,
            horizon=self.horizon,
            bernstein=self._bernstein,
            plain=plain,
            varying=varying,
            floor=floor,
            correction=correction,
        )

    def _updates(self) -> int:
        return 1

    @property
    def shown_steps(self) -> NDArray[np.int64]:
        """int64 [S]: the step at which each state was most often acted in, the first of several."""
        return np.asarray(self.step_visits.sum(axis=2).argmax(axis=0))

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A], a copy: of each state at the step at which it was most often acted in."""
        return np.asarray(self.q_table[self.shown_steps, np.arange(self._num_states)])

    def _memory(self) -> dict[str, NDArray[Any]]:
        memory = super()._memory() | {"step_visits": self.step_visits}
        if self._bernstein:
            memory |= {"following.mean": self._mean, "following.spread": self._spread, "beta": self._beta}
        return memory

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        super()._set_memory(arrays)
        self.step_visits[...] = fitting(arrays, "step_visits", self.step_visits)
        if (self.step_visits.sum(axis=0) != self.counts).any():
            raise CheckpointError("step_visits in the file does not fit the counts there")
        if self._bernstein:
            self._mean[...] = fitting(arrays, "following.mean", self._mean)
            self._spread[...] = fitting(arrays, "following.spread", self._spread)
            self._beta[...] = fitting(arrays, "beta", self._beta)
            if self._spread.min() < 0.0:
                raise CheckpointError("following.spread in the file holds numbers outside [0, inf)")


class UCBVI(OptimisticAgent):
    """Value iteration with upper confidence bounds: a plan before each round, by a counted model and a bonus.

    `q_values` and `policy` are those of the first step of a round.

    Args:
        env, gamma, reward_range, seed, compiled: see `ExploringAgent`.
        horizon: see `RoundAgent`.
        bonus, bonus_scale, correction_scale, failure_probability: see `UCBQLearning`.

    Attributes:
        q_table: float64 [H, S, A], of the last plan.
    """

    _least_confidence = 5.0
    _first_step = -1

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        horizon: int | None = None,
        bonus: str = "bernstein",
        bonus_scale: float = 0.003,
        correction_scale: float = 0.0,
        failure_probability: float = 0.05,
        **settings: Unpack[ExploringArguments],
    ) -> None:
        super().__init__(
            env,
            gamma=gamma,
            horizon=horizon,
            bonus=bonus,
            bonus_scale=bonus_scale,
            correction_scale=correction_scale,
            failure_probability=failure_probability,
            **settings,
        )
        self._outcomes = Outcomes(self._num_states, self._num_actions)
        self._reward = np.zeros(self.counts.size)
        self._arrivals = np.zeros(self.horizon * self._num_states if self.correction_scale else 0, np.int64)

    def _sizes(self) -> tuple[float, ...]:
        log, scale, horizon = self._log(), self.bonus_scale, self.horizon
        try:
            return (
                scale * 7.0 * self._width * log,
                scale**2 * 8.0 * log,
                scale * 14.0 * self._width * log / 3.0,
                scale * self.correction_scale * math.sqrt(8.0),
                1e4 * self._width**2 * horizon * float(self._num_states) ** 2 * self._num_actions * log**2,
                self._width**2,
            )
        except OverflowError:
            return (math.inf,)

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.optimistic import act_ucbvi, learn_ucbvi, run_ucbvi

        return run_ucbvi, act_ucbvi, learn_ucbvi

    def _rule(self) -> Any:
        from rlgrid.kernels.optimistic import Believed

        plain, varying, lower, correction, arrived, most = self._sizes()
        return Believed(
            step=self._step,
            model=self._outcomes.arrays(),
            reward=self._reward,
            arrivals=self._arrivals,
            horizon=self.horizon,
            bernstein=self._bernstein,
            plain=plain,
            varying=varying,
            lower=lower,
            correction=correction,
            arrived=arrived,
            most=most,
        )

    def _make_room(self, steps: int) -> None:
        self._outcomes.make_room(steps)

    def _memory(self) -> dict[str, NDArray[Any]]:
        memory = super()._memory() | self._outcomes.memory() | {"model.reward": self._reward}
        if self._arrivals.size:
            memory["arrivals"] = self._arrivals
        return memory

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        super()._set_memory(arrays)
        self._outcomes.set_memory(arrays, self.counts)
        self._reward[:] = fitting(arrays, "model.reward", self._reward)
        if self._arrivals.size:
            self._arrivals[:] = fitting(arrays, "arrivals", self._arrivals)
