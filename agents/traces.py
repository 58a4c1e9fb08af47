"""Control with eligibility traces: Sarsa(lambda), Watkins's Q(lambda), true online Sarsa(lambda).

Every step moves all pairs that were taken lately, in proportion to their traces z:

    delta = r + gamma Q(s',a') - Q(s,a)        Q(lambda): r + gamma max_b Q(s',b) - Q(s,a)
    z(s,a) is raised; every Q(x,b) += alpha delta z(x,b); every z(x,b) *= gamma lambda

    accumulating traces    z(s,a) += 1                          (Sutton & Barto, 1st ed., section 7.5)
    replacing traces       z(s,a) = 1                           (Singh & Sutton 1996)
    dutch traces           z(s,a) = (1 - alpha) z(s,a) + 1      (2nd ed., section 12.5)

Watkins's Q(lambda) (1989; 2nd ed., section 12.10) forgets all traces when an action that is not greedy is taken. True
online Sarsa(lambda) (van Seijen et al. 2016; section 12.7) has dutch traces, with the step size in them (z(s,a) +=
alpha (1 - z(s,a)), then Q += delta z), and a correction by which it equals its forward view at every step. A trace
below 1e-9 counts as none.
"""

from __future__ import annotations

import math
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_name, check_number
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.sarsa import DecidedAgent
from rlgrid.agents.tabular import TabularArguments, fitting

TRACES = ("accumulating", "replacing", "dutch")  # as numbered by the kernels


class TraceAgent(DecidedAgent):
    """What agents with traces share.

    Args:
        env, learning_rate, gamma, and all others: see `TabularAgent`.
        lam: lambda in [0, 1]: 0 looks one step ahead, 1 to the end of the episode.

    Attributes:
        trace: float64 [S, A], the traces as the next step finds them.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        lam: float = 0.9,
        **settings: Unpack[TabularArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        self.lam = check_number("lam", lam, 0.0, 1.0)
        self.trace = np.zeros(self.q_table.shape)
        self._pairs = np.zeros(self.q_table.size, np.int64)  # those with a trace
        self._size = np.zeros(1, np.int64)
        self._previous = np.zeros(1)

    def _kind(self) -> int:
        return TRACES.index("dutch")

    def _rule(self) -> Any:
        from rlgrid.kernels.traces import Traces

        return Traces(
            action=self._action,
            trace=self.trace.reshape(-1),
            pairs=self._pairs,
            size=self._size,
            previous=self._previous,
            lam=self.lam,
            kind=self._kind(),
            q=self.q_table.reshape(-1),
            counts=self.counts.reshape(-1),
        )

    def _updates(self) -> int:
        decay = self.gamma * self.lam
        fading = math.log(1e-9) / math.log(decay) if 0.0 < decay < 1.0 else 1.0 + decay * 1e18  # steps of a trace
        return int(max(1.0, min(self.q_table.size, self._world.max_episode_steps, fading)))

    def _memory(self) -> dict[str, NDArray[Any]]:
        return super()._memory() | {"trace": self.trace, "previous": self._previous}

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        super()._set_memory(arrays)
        self.trace[...] = fitting(arrays, "trace", self.trace)
        self._previous[:] = fitting(arrays, "previous", self._previous)
        if (self.trace < 0.0).any():
            raise CheckpointError("a trace in the file is negative")
        marked = np.flatnonzero(self.trace)
        self._pairs[: marked.size] = marked
        self._size[0] = marked.size

    def _clear_memory(self) -> None:
        super()._clear_memory()
        if self._size[0]:
            self.trace[...] = 0.0
        self._size[0] = 0
        self._previous[0] = 0.0

    def _give_up_decision(self) -> None:
        self._clear_memory()  # a trace leads to the action that was decided, and ends where another is taken

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"lam": self.lam}


class ChosenTraces(TraceAgent):
    """What agents share whose traces may be of each kind.

    Args:
        env, learning_rate, gamma, lam, and all others: see `TraceAgent`.
        traces: "accumulating", "replacing" or "dutch".
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        lam: float = 0.9,
        traces: str = "replacing",
        **settings: Unpack[TabularArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, lam, **settings)
        self.traces = check_name("traces", traces, TRACES)

    def _kind(self) -> int:
        return TRACES.index(self.traces)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"traces": self.traces}


class SarsaLambda(ChosenTraces):
    """Sarsa(lambda). Arguments: see `ChosenTraces`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_decided
        from rlgrid.kernels.traces import learn_sarsa_lambda, run_sarsa_lambda

        return run_sarsa_lambda, act_decided, learn_sarsa_lambda


class QLambda(ChosenTraces):
    """Watkins's Q(lambda). Arguments: see `ChosenTraces`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_decided
        from rlgrid.kernels.traces import learn_q_lambda, run_q_lambda

        return run_q_lambda, act_decided, learn_q_lambda


class TrueOnlineSarsaLambda(TraceAgent):
    """True online Sarsa(lambda). Arguments: see `TraceAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.tabular import act_decided
        from rlgrid.kernels.traces import (
            learn_true_online_sarsa_lambda,
            run_true_online_sarsa_lambda,
        )

        return run_true_online_sarsa_lambda, act_decided, learn_true_online_sarsa_lambda
