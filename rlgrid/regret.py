"""How much a policy loses against the optimum, as a share of what acting at random loses.

    share of regret = (J* - J_pi) / (J* - J_uniform)

J is the value weighted by the start distribution; where gamma = 1, over the model's `max_episode_steps` if it has them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.certificate import distance
from rlgrid.mdp import check_gamma
from rlgrid.policy_evaluation import SolverWarning, check_model, evaluate, policy_values
from rlgrid.problem import TIE, Problem
from rlgrid.solvers import solve

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP
    from rlgrid.solution import Solution

Floats = NDArray[np.float64]

EXACT_STATES = 100_000  # up to so many states the reference of a regret is the exact value of the optimal policy


class Optimum(NamedTuple):
    """What the return of a policy is measured against, weighted by the start distribution."""

    value: float  # J*; -inf where no policy ends
    uniform: float  # J of the uniformly random policy; -inf where it may never end
    horizon: int | None  # the number of steps J is over: the model's cap at gamma = 1, or None
    error: float  # proven: |value - J*| is at most this, but for the rounding of the evaluation


class Solved(NamedTuple):
    """An optimum with the tables behind it."""

    optimum: Optimum
    values: Floats  # [S], V*; where there is a horizon, with all of it to go
    after: Floats  # [S], what a state is worth once a step is done: V*, or with one step less to go


_OPTIMA: WeakKeyDictionary[Any, dict[float, Optimum]] = WeakKeyDictionary()


def optimum(model: MDP | GridModel, gamma: float | None = None) -> Optimum:
    """J* and the uniformly random policy's J, worked out once for a model and gamma and remembered.

    J* is solved to 1e-9 of the largest reward, and of J* - J_uniform where that is smaller and rounding lets it.
    At gamma = 1 it is over the model's `max_episode_steps`, if it has them.

    Raises:
        TypeError: if the model is none.
        ValueError: at gamma = 1 without a cap where a value may be infinite or is not defined.
    """
    check_model(model)
    gamma = check_gamma(model.gamma if gamma is None else gamma)
    known = _OPTIMA.setdefault(model, {})
    if gamma not in known:
        known[gamma] = solved(model, gamma).optimum
    return known[gamma]


def solved(model: MDP | GridModel, gamma: float) -> Solved:
    """`optimum` with V*, worked out anew: tables are not remembered. Raises as `optimum` does."""
    horizon = model.max_episode_steps if gamma == 1.0 else None
    mask = model.available
    allowed = np.ones((model.num_states, model.num_actions)) if mask is None else mask.astype(np.float64)
    try:
        uniform = policy_values(model, allowed / allowed.sum(axis=1, keepdims=True), gamma, horizon)
    except ValueError as error:
        raise ValueError(f"the uniformly random policy has no value to compare with: {error}") from error
    random_return = start_value(model, uniform)
    tolerance = first_tolerance(model)
    while True:
        solution, best, after = best_values(model, gamma, tolerance, horizon)
        value = start_value(model, best)
        wanted = 1e-9 * (value - random_return)
        if not solution.converged or not 1e-9 * TIE * abs(value) < wanted < 0.5 * tolerance:
            lower, upper = (np.atleast_2d(bound)[0] for bound in (solution.lower, solution.upper))
            return Solved(Optimum(value, random_return, horizon, distance(best, lower, upper)), best, after)
        tolerance = wanted


def first_tolerance(model: MDP | GridModel) -> float:
    """1e-9 of the largest reward."""
    size = Problem.plain(model, 0.5).largest_reward
    return 1e-9 * size if size > 0.0 else 1.0


def best_values(
    model: MDP | GridModel, gamma: float, tolerance: float, horizon: int | None = None
) -> tuple[Solution, Floats, Floats]:
    """(solution, V*, V* after a step): float64 [S], the exact values of the solution's policy in models of usual size.

    Raises:
        ValueError: at gamma = 1 where a value may be infinite or is not defined.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)  # the error is in the result
        solution = solve(model, gamma, tolerance=tolerance, horizon=horizon)
    if horizon is not None:
        return solution, solution.values[0], solution.values[min(1, horizon)]
    if model.num_states > EXACT_STATES:
        return solution, solution.values, solution.values
    exact = evaluate(model.to_mdp(), solution.policy, gamma)[0]
    best = np.clip(exact, solution.lower, solution.upper)
    return solution, best, best


def share_of_regret(model: MDP | GridModel, policy: ArrayLike, gamma: float | None = None) -> float:
    """(J* - J_pi) / (J* - J_uniform): 0 for an optimal policy, 1 for one as good as the uniformly random policy.

    J is the value weighted by the start distribution; where gamma = 1 over the model's `max_episode_steps`, if it has
    them. J* and J_uniform are those of `optimum`. The share is a finite number; what rounding leaves of an optimal
    policy's regret may be negative.

    Args:
        policy: int [S], or float [S, A].

    Raises:
        TypeError: if the model is none.
        ValueError: where there is no such number: the uniformly random policy is optimal itself, or it, the optimum or
            the policy has no finite value (gamma = 1 without a cap, and episodes that may never end).
    """
    known = optimum(model, gamma)
    check_share(known)
    return share(known, start_value(model, policy_values(model, policy, gamma, known.horizon)))


def check_share(known: Optimum) -> None:
    """Raise a ValueError where there is no regret to take a share of."""
    gap = known.value - known.uniform
    if not np.isfinite(gap):
        raise ValueError(
            f"J* = {known.value:g} and the uniformly random policy's J = {known.uniform:g}: there is no finite regret "
            "to take a share of. Use gamma < 1, or give the model max_episode_steps"
        )
    if not gap > TIE * abs(known.value):
        raise ValueError(
            "the uniformly random policy is optimal in this model, so there is no regret to take a share of"
        )


def share(known: Optimum, value: float) -> float:
    """(J* - value) / (J* - J_uniform), for a policy worth ``value``; see `share_of_regret`."""
    check_share(known)
    if not np.isfinite(value):
        raise ValueError(
            f"the policy is worth {value:g}: from a start state its episodes may never end, so its share of regret is "
            "no number. Use gamma < 1, or give the model max_episode_steps"
        )
    return (known.value - value) / (known.value - known.uniform)


def start_value(model: MDP | GridModel, values: Floats) -> float:
    """J: values [S], or [T, S] of which the first count, weighted by the start distribution."""
    first = values[0] if values.ndim == 2 else values
    possible = model.start_probability > 0  # 0 times -inf is no number
    return float(model.start_probability[possible] @ first[model.start_states[possible]])
