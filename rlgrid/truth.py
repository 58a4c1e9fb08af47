"""How far an agent is from the optimum, exactly, where the model of its world is known.

    regret          J* - J^pi of the greedy policy pi, over the start distribution
    share of regret (J* - J^pi) / (J* - J_uniform)
    values error    max |V^pi - V*|
    optimal share   the share of states in which pi takes an optimal action: q*(s, pi(s)) = V*(s)
    q error         max |Q - Q*|, of the agent's table
    Bellman residual  max |T Q - Q|, where (T Q)(s, a) = r(s, a) + gamma sum_s' P(s' | s, a) max_a' Q(s', a')
    prediction error  max |V - V^pi|, and the root of the mean square, of agents that learn the values of a given policy

The first four are at the world's gamma, over the model's step cap where gamma = 1 (as in `rlgrid.regret`: then V* and
q* are those of the first step). The others are at the agent's gamma without a cap: what its updates go to, since
they bootstrap through truncation. All maxima and shares are over the states in which an agent can ever act: those that
can be reached from a start state, by whatever actions (of a prediction error: by the policy's), and in which the
episode is not over.

The model is solved once, to 1e-9 of its largest reward. A point then costs one evaluation of the policy, none where it
has not changed, and one backup of the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.mdp import MDP, check_gamma
from rlgrid.policy_evaluation import chain_of, check_model, check_policy, policy_values
from rlgrid.problem import Problem
from rlgrid.reach import reached, steps
from rlgrid.regret import Solved, best_values, check_share, first_tolerance, share, solved, start_value

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel

Floats = NDArray[np.float64]

OPTIMAL = 1e-9  # of the largest |V*| among the states acted in: an action that loses no more than this is optimal

MEASURES = (
    "value",
    "optimal_value",
    "regret",
    "share_of_regret",
    "values_error",
    "optimal_share",
    "q_error",
    "bellman_residual",
    "prediction_error",
    "prediction_rms",
    "visited_share",
)
"""The numbers of a `TruthPoint`, in the order of tables."""


@dataclass(frozen=True, eq=False)
class TruthPoint:
    """What is true of an agent at one moment. NaN where a number is unknown, or there is none; see `rlgrid.truth`.

    Attributes:
        timesteps: units of the run.
        value, optimal_value: J^pi and J*. regret, share_of_regret, values_error, optimal_share: of the greedy policy.
        q_error, bellman_residual: of the agent's table.
        prediction_error, prediction_rms: of a table of the policy's values: the largest, the root of the mean square.
        visited_share: the share of states that were acted in at least once.
        missing: why a number is NaN that could be there; empty where none is missing.
        visits: int64 [S], how often each state was acted in; None where nothing counts them.
    """

    timesteps: int
    value: float = math.nan
    optimal_value: float = math.nan
    regret: float = math.nan
    share_of_regret: float = math.nan
    values_error: float = math.nan
    optimal_share: float = math.nan
    q_error: float = math.nan
    bellman_residual: float = math.nan
    prediction_error: float = math.nan
    prediction_rms: float = math.nan
    visited_share: float = math.nan
    missing: str = ""
    visits: NDArray[np.int64] | None = field(default=None, repr=False)

    def numbers(self) -> dict[str, float]:
        """The numbers by name, in the order of `MEASURES`."""
        return {name: float(getattr(self, name)) for name in MEASURES}


class Truth:
    """The exact judge of policies and tables in one model.

    Args:
        model: an `MDP` or a `GridModel`.
        gamma: of the agent, for what is said of its table; None is the model's.

    Attributes:
        model, gamma: as given.
        optimal_value: J* at the world's gamma; NaN where there is none.
        values: float64 [S], V* at the world's gamma; None where there is none.
        q_values: float64 [S, A], Q* at the agent's gamma (-inf: the state lacks the action); None where there is none.
        optimal_actions: bool [S, A], those that attain V*; None where there is none.
        states: bool [S], where an agent can ever act.
        missing: why there is no optimum, or no Q*; empty where nothing is missing.

    Raises:
        TypeError, ValueError: if the model is none, or gamma is not in [0, 1].
    """

    def __init__(self, model: MDP | GridModel, gamma: float | None = None) -> None:
        check_model(model)
        self.model = model
        self.gamma = check_gamma(model.gamma if gamma is None else gamma)
        self.states = acted_in(model)
        self.missing = ""
        self.values: Floats | None = None
        self.q_values: Floats | None = None
        self._solved: Solved | None = None
        self.optimal_actions: NDArray[np.bool_] | None = None
        world = float(model.gamma)
        try:
            self._solved = solved(model, world)
            self.values = self._solved.values
            self.optimal_actions = self._optimal_actions(world, self._solved)
        except ValueError as error:
            self.missing = str(error)
        known = self._solved
        self.optimal_value = math.nan if known is None else known.optimum.value
        self._horizon = model.max_episode_steps if world == 1.0 else None
        self._problem = Problem.plain(model, self.gamma)
        try:
            if known is not None and self.gamma == world and self._horizon is None:
                best = known.values
            else:
                best = best_values(model, self.gamma, first_tolerance(model))[1]
            self.q_values = self._problem.q_values(best)
        except ValueError as error:
            self.missing = self.missing or str(error)
        self._policy: NDArray[Any] | None = None
        self._judged = (math.nan, math.nan, "")
        self._predicted: tuple[NDArray[Any], Floats, NDArray[np.bool_]] | None = None

    @property
    def has_share(self) -> bool:
        """Whether policies have a share of regret here: J* is finite, and more than the uniformly random policy's."""
        if self._solved is None:
            return False
        try:
            check_share(self._solved.optimum)
        except ValueError:
            return False
        return True

    @classmethod
    def of(cls, agent: Any) -> Truth | None:
        """The judge of an agent in its world; None where no model is known, or wrappers change what it does."""
        if not hasattr(agent, "truth"):
            raise TypeError(f"an agent is needed, not {agent!r}; of a model, Truth(model) is the judge")
        return None if agent.truth is None else cls(agent.truth, agent.gamma)

    def _optimal_actions(self, gamma: float, known: Solved) -> NDArray[np.bool_]:
        """bool [S, A]"""
        q = Problem.plain(self.model, gamma).q_values(known.after)
        best = q.max(axis=1)
        finite = np.abs(best[np.isfinite(best) & self.states])  # others may be of any size
        slack = OPTIMAL * finite.max(initial=0.0)
        return np.asarray(q >= (best - slack)[:, None])

    def look(self, agent: Any) -> TruthPoint:
        """What is true of an agent now: of its policy, and of its tables as far as it has them."""
        if not hasattr(agent, "policy") or not hasattr(agent, "num_timesteps"):
            raise TypeError(f"an agent is needed, not {agent!r}; of a policy, judge(policy) says what is true")
        q = values = None
        try:
            q = agent.q_values
        except AttributeError:  # it learns no table of them, but perhaps the values of its policy
            values = getattr(agent, "values", None)
        return self.judge(agent.policy, q, agent.visits, int(agent.num_timesteps), values)

    def judge(
        self,
        policy: ArrayLike,
        q_values: ArrayLike | None = None,
        visits: ArrayLike | None = None,
        timesteps: int = 0,
        values: ArrayLike | None = None,
    ) -> TruthPoint:
        """What is true of a policy, int [S] or float [S, A], and of tables [S, A] and [S].

        Args:
            policy, q_values, visits, timesteps: as an agent has them.
            values: float [S], what is thought to be V^pi.

        Raises:
            TypeError, ValueError: naming what does not fit the model.
        """
        chosen = check_policy(self.model, policy)
        if self._policy is None or not np.array_equal(chosen, self._policy):
            self._judged, self._policy = self._judge_policy(chosen), chosen.copy()
        value, values_error, missing = self._judged
        q_error, residual = self._judge_table(q_values)
        errors = (math.nan, math.nan)
        if values is not None:
            try:
                errors = self.prediction_errors(values, chosen)
            except ValueError as error:  # V^pi is not defined
                missing = missing or str(error)
        share_of_regret, regret = math.nan, math.nan
        if self._solved is not None:
            regret = 0.0 if value == self.optimal_value else self.optimal_value - value
            try:
                share_of_regret = share(self._solved.optimum, value)
            except ValueError as error:
                missing = missing or str(error)
        counts = None if visits is None else np.asarray(visits)
        if counts is not None:
            if counts.shape != self.states.shape:
                raise ValueError(f"visits must be int [{self.states.size}], not of shape {counts.shape}")
            if counts.dtype.kind not in "iu":
                raise TypeError(f"visits must be int [{counts.size}], not {counts.dtype}")
            if (counts < 0).any():
                raise ValueError(f"visits must be at least 0, not {counts.min()}")
            counts = counts.astype(np.int64)
        return TruthPoint(
            timesteps=timesteps,
            value=value,
            optimal_value=self.optimal_value,
            regret=regret,
            share_of_regret=share_of_regret,
            values_error=values_error,
            optimal_share=self._share_optimal(chosen),
            q_error=q_error,
            bellman_residual=residual,
            prediction_error=errors[0],
            prediction_rms=errors[1],
            visited_share=math.nan if counts is None else _mean(counts[self.states] > 0),
            missing=missing or self.missing,
            visits=counts,
        )

    def prediction_errors(
        self, values: ArrayLike, policy: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[float, float]:
        """(max |V - V^pi|, the root of the mean of its square) over the states in which the policy ever acts.

        V^pi is at the agent's gamma, without a cap: what updates go to that bootstrap through truncation.

        Args:
            values: float [S], V. policy: int [S] or float [S, A].
            weights: [S], at least 0, such as the visits of an agent: of the mean (Sutton & Barto, 2nd ed., equation
                9.1). None counts all states alike.

        Raises:
            TypeError, ValueError: naming what does not fit the model; if V^pi is not defined; if no state has a weight.
        """
        chosen = check_policy(self.model, policy)
        if self._predicted is None or not np.array_equal(chosen, self._predicted[0]):
            mdp = self.model.to_mdp()
            chain = chain_of(mdp, chosen)[0].tocoo()
            sources = mdp.start_states[mdp.start_probability > 0.0]
            goes_on = chain.data > 0.0
            origin, to = chain.row[goes_on], chain.col[goes_on]
            acting = reached(origin, to, np.asarray(sources), mdp.num_states) & ~mdp.absorbing
            self._predicted = chosen.copy(), policy_values(mdp, chosen, self.gamma), acting
        _, exact, acting = self._predicted
        v = np.asarray(values, np.float64)
        if v.shape != exact.shape:
            raise ValueError(f"values must be float [{exact.size}], not of shape {v.shape}")
        weight = np.ones(v.size) if weights is None else np.asarray(weights, np.float64)
        if not acting.any():
            raise ValueError("every episode is over where it starts: the policy never acts")
        if weight.shape != v.shape or not ((weight >= 0.0) & (weight < np.inf)).all() or not weight[acting].any():
            raise ValueError(f"weights must be float [{v.size}] of at least 0, and not 0 wherever the policy acts")
        gap = np.abs(v - exact)[acting]
        return float(gap.max()), math.sqrt(float(np.average(gap**2, weights=weight[acting])))

    def _judge_policy(self, policy: NDArray[Any]) -> tuple[float, float, str]:
        """(J^pi, max |V^pi - V*|, why there are none)"""
        try:
            values = np.atleast_2d(policy_values(self.model, policy, horizon=self._horizon))[0]
        except ValueError as error:  # it has none: rewards of both signs for ever
            return math.nan, math.nan, str(error)
        gap = math.nan if self.values is None else _gap(values[self.states], self.values[self.states])
        return start_value(self.model, values), gap, ""

    def _share_optimal(self, policy: NDArray[Any]) -> float:
        if self.optimal_actions is None:
            return math.nan
        if policy.ndim == 1:
            right = self.optimal_actions[np.arange(policy.size), policy]
        else:  # every action that it may take is optimal
            right = (self.optimal_actions | (policy <= 0.0)).all(axis=1)
        return _mean(right[self.states])

    def _judge_table(self, q_values: ArrayLike | None) -> tuple[float, float]:
        """(max |Q - Q*|, max |T Q - Q|)"""
        if q_values is None:
            return math.nan, math.nan
        q = np.array(q_values, np.float64)
        shape = (self.model.num_states, self.model.num_actions)
        if q.shape != shape:
            raise ValueError(f"q_values must be float {list(shape)}, not of shape {list(q.shape)}")
        asked = np.broadcast_to(self.states[:, None], shape)
        if self.model.available is not None:
            asked = asked & self.model.available
            q[~self.model.available] = -np.inf
        v = q.max(axis=1)
        v[self.model.absorbing] = 0.0
        v[~np.isfinite(v) & ~self.states] = 0.0  # never looked at, but 0 * inf is no number
        q_error = math.nan if self.q_values is None else _gap(q[asked], self.q_values[asked])
        return q_error, _gap(self._problem.q_values(v)[asked], q[asked])


def acted_in(model: MDP | GridModel) -> NDArray[np.bool_]:
    """bool [S]: the states in which an agent can ever act: reached from a start state, the episode not being over."""
    if isinstance(model, MDP):
        pair = np.repeat(np.arange(model.offsets.size - 1), np.diff(model.offsets))
        goes_on = (model.probability > 0.0) & ~model.terminated
        origin, to = pair[goes_on] // model.num_actions, model.next_state[goes_on]
    else:
        origin, to = steps(model)
    sources = model.start_states[model.start_probability > 0.0]
    return reached(origin, to, np.asarray(sources), model.num_states) & ~model.absorbing


def _gap(a: Floats, b: Floats) -> float:
    """max |a - b|; equal infinities are at 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.where(a == b, 0.0, np.abs(a - b))
    return float(difference.max(initial=0.0))


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else math.nan
