"""Prediction: the values V^pi of a policy that is given, learnt from the steps that it makes.

    TD(0) (Sutton 1988; Sutton & Barto, 2nd ed., section 6.1)
        V(s) <- V(s) + alpha [r + gamma V(s') - V(s)]
    n-step TD (section 7.1)
        V(s) <- V(s) + alpha [r_1 + gamma r_2 + ... + gamma^n V(s_n) - V(s)], n steps later
    TD(lambda) (Sutton 1988; section 12.2)
        z(s) is raised; every V(x) += alpha [r + gamma V(s') - V(s)] z(x); every z(x) *= gamma lambda
    Monte Carlo (section 5.1)
        V(s) <- the mean of the returns that followed the first visit, or every visit, of s in an episode

Nothing is explored, and nobody becomes better: each action is drawn from the policy. TD(0) converges to V^pi where step
sizes satisfy Robbins and Monro's conditions ("1/N"); a constant one follows it within a noise in proportion to itself.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple, TypedDict, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.agents.base import check_count, check_name, check_number, did_you_mean, rows_of
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.monte_carlo import MOST_EPISODE, VISITS
from rlgrid.agents.tabular import LARGEST, MOST_UPDATES, TableAgent, fitting

TRACES = ("accumulating", "replacing")  # as numbered by the kernels
TRUE_ONLINE = 2
MOST_GIVEN = 1_500_000  # numbers of a policy, and as many of initial values: their text goes into a checkpoint's header
FEW_STATES = 256  # to visit them all, eight at a time, costs no more than to visit thirty one by one


class PredictionArguments(TypedDict, total=False):
    """The arguments that every predicting agent takes; see `PredictionAgent`."""

    policy: Any
    initial_values: ArrayLike
    seed: int | None
    compiled: bool | None


class _Sizes(NamedTuple):
    """What must be known of a world to tell a policy for it from other arrays."""

    num_states: int
    num_actions: int
    available: NDArray[np.bool_] | None


class PredictionAgent(TableAgent):
    """What predicting agents share.

    Args:
        env: a Gymnasium environment with Discrete observations and actions.
        learning_rate: alpha in (0, 1], or a schedule by name (`rlgrid.agents.schedules`); N is the number of visits of
            the state.
        gamma: the discount factor; None takes the model's, 0.99 where there is none.
        policy: whose values are learnt: "uniform" takes each action that a state has with equal probability; int [S],
            an action for each state; float [S, A], the probability of each action; or what has such an array as its
            ``policy``, an agent or a solution (it is copied: what the other one learns later changes nothing).
            States and actions count from 0.
        initial_values: what V starts from, a number or float [S]. Final states are worth 0 from the start where the
            model is known.
        seed, compiled: see `Agent`.

    Attributes:
        value_table: float64 [S].
        counts: int64 [S], how often each state was acted in.
        td_error: float64 [S], the last error of each state.

    Raises:
        ValueError, TypeError: naming the argument, or the state in which the policy is none.
        FloatingPointError: from learning, when a value would no longer be finite; names step and state.
    """

    _entry: ClassVar[str] = "value"

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        policy: Any = "uniform",
        initial_values: ArrayLike = 0.0,
        *,
        seed: int | None = None,
        compiled: bool | None = None,
        **unknown: Any,
    ) -> None:
        self._check_taken(unknown, all_known=False)
        super().__init__(env, learning_rate, gamma, seed=seed, compiled=compiled)
        self._policy_given, self._policy = self._as_policy(policy)
        self._cumulative = _cumulative(self._probabilities())
        self.initial_values, self.value_table = self._as_values(initial_values)
        self.counts = np.zeros(self._num_states, np.int64)

    def _as_policy(self, given: Any) -> tuple[Any, NDArray[Any]]:
        """(JSON-able, int64 [S] or float64 [S, A]) of what was given as a policy."""
        from rlgrid.policy_evaluation import check_policy

        available = None if self.model is None else self.model.available
        if isinstance(given, str):
            if given != "uniform":
                near = did_you_mean(given, ["uniform"])
                raise ValueError(f"policy must be 'uniform', an array or what has one, not {given!r}{near}")
            try:
                allowed = np.ones((self._num_states, self._num_actions))
            except (MemoryError, ValueError) as error:
                self._too_large(error)
            if available is not None:
                allowed[~available] = 0.0
            return given, allowed / allowed.sum(axis=1, keepdims=True)
        sizes: Any = _Sizes(self._num_states, self._num_actions, available)
        array = _array_of("policy", getattr(given, "policy", given))
        return array.tolist(), check_policy(sizes, array)

    def _as_values(self, given: ArrayLike) -> tuple[Any, NDArray[np.float64]]:
        """(JSON-able, float64 [S]) of what was given as initial values."""
        if isinstance(given, str) or not hasattr(given, "__len__"):
            number = check_number("initial_values", given, -LARGEST, LARGEST)
            values = np.full(self._num_states, number)
            kept: Any = number
        else:
            values = _array_of("initial_values", given).astype(np.float64)
            if values.shape != (self._num_states,):
                raise ValueError(
                    f"initial_values must be a number or of shape ({self._num_states},), not {values.shape}"
                )
            wrong = np.flatnonzero(~np.isfinite(values))
            if wrong.size:
                raise ValueError(f"initial_values: {values[wrong[0]]} of state {wrong[0]} is not finite")
            kept = values.tolist()
        if self.model is not None:
            values[self.model.absorbing] = 0.0
        return kept, values

    def _probabilities(self) -> NDArray[np.float64]:
        """float64 [S, A]"""
        chosen = self._policy
        if chosen.ndim == 1:
            chosen = (chosen[:, None] == np.arange(self._num_actions)).astype(np.float64)
        return chosen

    def _learnt(self) -> NDArray[np.float64]:
        return self.value_table

    # --- what was learnt --------------------------------------------------------------------------------------------

    @property
    def values(self) -> NDArray[np.float64]:
        """float64 [S], a copy of the table."""
        return self.value_table.copy()

    @property
    def policy(self) -> NDArray[Any]:
        """The given policy: int64 [S] where it was given so, else float64 [S, A]."""
        return self._policy.copy()

    def why_not_driven(self) -> str:
        """It learns from its policy's own steps alone."""
        return "it learns the values of a policy that it was given, from steps of that policy"

    @property
    def acts_at_random(self) -> bool:
        """Whether some state has more than one action: then no action for each state stands for the policy."""
        return bool(((self._probabilities() > 0.0).sum(axis=1) > 1).any())

    def greedy(self) -> NDArray[np.bool_]:
        """bool [S, A]: every action that the policy takes; none in a state that was never visited."""
        taken: NDArray[np.bool_] = (self._probabilities() > 0.0) & (self.counts > 0)[:, None]
        return taken

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The policy's action for an observation, or int64 [n] for a batch.

        Deterministic is the most probable action, of the lowest index; otherwise an action is drawn, from a stream of
        its own.

        Raises:
            ValueError: if an observation is not one of the environment's states.
        """
        states = rows_of(observation, self._space)
        if deterministic:
            actions = self._probabilities()[states].argmax(axis=-1) if self._policy.ndim == 2 else self._policy[states]
        else:
            actions = np.empty(states.shape, np.int64)
            for place, s in np.ndenumerate(states):
                actions[place] = (self._cumulative[s] <= self._predict_generator.random()).sum()
        actions = actions + self._first_action
        return (int(actions) if states.ndim == 0 else actions), state

    # --- on disk ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "gamma": self.gamma,
            "policy": self._policy_given,
            "initial_values": self.initial_values,
        }

    def _tables(self) -> dict[str, NDArray[Any]]:
        return {"values": self.value_table, "counts": self.counts, "td_error": self.td_error}


def _array_of(name: str, given: Any) -> NDArray[Any]:
    """Numbers that were given, or an error that names the argument: also where a checkpoint could not hold them."""
    try:
        array = np.asarray(given)
    except ValueError:  # rows of several lengths
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of numbers, not {given!r:.100}")
    if array.size > MOST_GIVEN:
        raise ValueError(
            f"{name} has {array.size:,} numbers, and a checkpoint keeps {MOST_GIVEN:,} at most: give "
            + ("one action for each state, or 'uniform'" if array.ndim == 2 else "fewer states, or one number for all")
        )
    return array


def _cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [S, A], infinite from the last action that a state takes on, so that rounding leaves no u without one."""
    last = probabilities.shape[1] - 1 - (probabilities[:, ::-1] > 0.0).argmax(axis=1)
    sums = np.cumsum(probabilities, axis=1)
    sums[np.arange(probabilities.shape[1]) >= last[:, None]] = np.inf
    return sums


class TD0(PredictionAgent):
    """TD(0). Arguments: see `PredictionAgent`."""

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.prediction import act_given, learn_td0, run_td0

        return run_td0, act_given, learn_td0

    def _rule(self) -> Any:
        from rlgrid.kernels.prediction import Given

        return Given(self._cumulative)


class NStepTD(PredictionAgent):
    """n-step TD.

    Args:
        env, learning_rate, gamma, and all others: see `PredictionAgent`.
        n_steps: n, at least 1 and at most 10,000; 1 is TD(0). The end of an episode shortens the last ones.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        n_steps: int = 4,
        **settings: Unpack[PredictionArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        self.n_steps = check_count("n_steps", n_steps, most=MOST_UPDATES)
        self._states = np.zeros(self.n_steps, np.int64)
        self._rewards = np.zeros(self.n_steps)
        self._visits = np.zeros(self.n_steps, np.int64)  # the how-many-th of its state each step was
        self._span = np.zeros(2, np.int64)  # the oldest step that waits, and how many

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.prediction import act_given, learn_n_step_td, run_n_step_td

        return run_n_step_td, act_given, learn_n_step_td

    def _rule(self) -> Any:
        from rlgrid.kernels.prediction import Waiting

        return Waiting(self._cumulative, self._states, self._rewards, self._visits, self._span)

    def _updates(self) -> int:
        return self.n_steps

    def _memory(self) -> dict[str, NDArray[Any]]:
        return {
            "waiting.states": self._states,
            "waiting.rewards": self._rewards,
            "waiting.visits": self._visits,
            "waiting.span": self._span,
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._states[:] = fitting(arrays, "waiting.states", self._states, 0, self._num_states)
        self._rewards[:] = fitting(arrays, "waiting.rewards", self._rewards)
        self._visits[:] = fitting(arrays, "waiting.visits", self._visits)
        self._span[:] = fitting(arrays, "waiting.span", self._span, 0, self.n_steps)
        waiting = (self._span[0] + np.arange(self._span[1])) % self.n_steps
        if (self._visits[waiting] < 1).any():
            raise CheckpointError("waiting.visits in the file has steps that are no visit")

    def _clear_memory(self) -> None:
        self._span[:] = 0

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"n_steps": self.n_steps}


class TracePrediction(PredictionAgent):
    """What TD(lambda) and true online TD(lambda) share.

    Args:
        env, learning_rate, gamma, and all others: see `PredictionAgent`.
        lam: lambda in [0, 1]: 0 looks one step ahead, 1 to the end of the episode. A trace below 1e-9 counts as none.

    Attributes:
        trace: float64 [S], the traces as the next step finds them.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        lam: float = 0.9,
        **settings: Unpack[PredictionArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        self.lam = check_number("lam", lam, 0.0, 1.0)
        self.trace = np.zeros(self._num_states)
        self._states = np.zeros(self._num_states, np.int64)  # those with a trace
        self._size = np.zeros(1, np.int64)
        self._previous = np.zeros(1)

    def _kind(self) -> int:
        return TRUE_ONLINE

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.prediction import act_given, learn_td_lambda, run_td_lambda

        return run_td_lambda, act_given, learn_td_lambda

    def _rule(self) -> Any:
        from rlgrid.kernels.prediction import Traces

        return Traces(
            policy=self._cumulative,
            trace=self.trace,
            states=self._states,
            size=self._size,
            all_states=self._visits_all(),
            previous=self._previous,
            lam=self.lam,
            kind=self._kind(),
        )

    def _visits_all(self) -> bool:
        """True where a step had better visit every state than those with a trace."""
        return self._num_states <= FEW_STATES and (self._alpha.kind != "count" or self._kind() == TRUE_ONLINE)

    def _updates(self) -> int:
        decay = self.gamma * self.lam
        fading = math.log(1e-9) / math.log(decay) if 0.0 < decay < 1.0 else 1.0 + decay * 1e18  # steps of a trace
        return int(max(1.0, min(self._num_states, self._world.max_episode_steps, fading)))

    def _memory(self) -> dict[str, NDArray[Any]]:
        return {"trace": self.trace, "previous": self._previous}

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.trace[:] = fitting(arrays, "trace", self.trace)
        self._previous[:] = fitting(arrays, "previous", self._previous)
        if (self.trace < 0.0).any():
            raise CheckpointError("a trace in the file is negative")
        marked = np.flatnonzero(self.trace)
        self._states[: marked.size] = marked
        self._size[0] = marked.size

    def _clear_memory(self) -> None:
        self.trace[:] = 0.0
        self._size[0] = 0
        self._previous[0] = 0.0

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"lam": self.lam}


class TDLambda(TracePrediction):
    """TD(lambda), the backward view.

    Args:
        env, learning_rate, gamma, lam, and all others: see `TracePrediction`.
        traces: "accumulating", z(s) += 1 in a visit (Sutton & Barto, 2nd ed., section 12.2); or "replacing", z(s) = 1
            (Singh & Sutton 1996).
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        lam: float = 0.9,
        traces: str = "accumulating",
        **settings: Unpack[PredictionArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, lam, **settings)
        self.traces = check_name("traces", traces, TRACES)

    def _kind(self) -> int:
        return TRACES.index(self.traces)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"traces": self.traces}


class TrueOnlineTDLambda(TracePrediction):
    """True online TD(lambda), which equals its forward view at every step (van Seijen & Sutton 2014; section 12.5).

    Its traces are dutch: z(s) += alpha (1 - z(s)), with the step size in them. Arguments: see `TracePrediction`.
    """


class MonteCarloPrediction(PredictionAgent):
    """Monte Carlo prediction.

    Args:
        env, gamma, and all others: see `PredictionAgent`.
        learning_rate: "1/N" is the mean of the returns, N of which there were; a number forgets the old ones (constant
            alpha; section 6.1).
        visits: "first" or "every": which visits of a state in an episode count.

    Attributes:
        returns: int64 [S], how many returns were averaged.

    The steps of the episode under way are kept, 16 bytes each.

    Raises:
        RuntimeError: from learning, when an episode has some 4 million steps and goes on.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = "1/N",
        gamma: float | None = None,
        visits: str = "first",
        **settings: Unpack[PredictionArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        self.visits_counted = check_name("visits", visits, VISITS)
        self.returns = np.zeros(self._num_states, np.int64)
        self._first = np.full(self._num_states, -1, np.int64)  # the step at which the state was visited first
        self._size = np.zeros(1, np.int64)  # steps of the episode so far
        self._states, self._rewards = np.zeros(0, np.int64), np.zeros(0)

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.prediction import (
            act_given,
            learn_monte_carlo_prediction,
            run_monte_carlo_prediction,
        )

        return run_monte_carlo_prediction, act_given, learn_monte_carlo_prediction

    def _rule(self) -> Any:
        from rlgrid.kernels.prediction import Episode

        return Episode(
            policy=self._cumulative,
            states=self._states,
            rewards=self._rewards,
            size=self._size,
            first=self._first,
            returns=self.returns,
            every=self.visits_counted == "every",
        )

    def _make_room(self, steps: int) -> None:
        size, room = int(self._size[0]), self._states.size
        if size >= MOST_EPISODE:
            raise RuntimeError(
                f"an episode has taken {size} steps and goes on: {type(self).__name__} learns when it ends, and keeps "
                "its steps until then. Limit it: gymnasium.make(..., max_episode_steps=...) or "
                "gymnasium.wrappers.TimeLimit"
            )
        if size + steps > room:
            more = max(size + steps, 2 * room) - room
            self._states = np.concatenate([self._states, np.zeros(more, np.int64)])
            self._rewards = np.concatenate([self._rewards, np.zeros(more)])

    def _memory(self) -> dict[str, NDArray[Any]]:
        size = self._size[0]
        return {
            "returns": self.returns,
            "episode.states": self._states[:size],
            "episode.rewards": self._rewards[:size],
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.returns[:] = fitting(arrays, "returns", self.returns)
        if (self.returns > self.counts).any():
            raise CheckpointError("returns in the file has more returns of a state than visits")
        length = arrays["episode.states"].size
        self._states = fitting(arrays, "episode.states", np.zeros(length, np.int64), 0, self._num_states).copy()
        self._rewards = fitting(arrays, "episode.rewards", np.zeros(length)).copy()
        self._size[0] = length
        self._first[:] = -1
        self._first[self._states[::-1]] = np.arange(length - 1, -1, -1)

    def _clear_memory(self) -> None:
        if self._size[0]:
            self._first[:] = -1
        self._size[0] = 0

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"visits": self.visits_counted}
