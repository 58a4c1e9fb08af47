"""The exact value of a policy, as the solution of a linear system.

V^pi = r_pi + gamma P_pi V^pi (Sutton & Barto, 2nd ed., eq. 4.4; Puterman 1994, theorem 6.1.1) is solved directly, by
dense elimination where states are few and by sparse LU otherwise, with one step of iterative refinement.

Undiscounted, the system is solved for the transient states alone. A closed class of states (a recurrent class) in
which every expected reward is 0 is worth 0; one where all are <= 0 or all are >= 0 is worth -infinity or +infinity,
and so is every state that may end there; any other has no defined value and is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from rlgrid.mdp import PROBABILITY_TOLERANCE, check_gamma

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]

DENSE_STATES = 40  # up to so many states a dense solve beats a sparse one


def check_policy(model: MDP | GridModel, policy: ArrayLike, steps: int | None = None) -> NDArray[Any]:
    """``policy`` as int64 [S] or float64 [S, A] (with ``steps``: [steps, S] or [steps, S, A]), legal in the model.

    Raises:
        TypeError, ValueError: naming the state whose action or probabilities are wrong.
    """
    given = np.asarray(policy)
    S, A = model.num_states, model.num_actions
    lead = () if steps is None else (steps,)
    if given.dtype.kind in "ui":
        shape: tuple[int, ...] = (*lead, S)
    elif given.dtype.kind == "f":
        shape = (*lead, S, A)
    else:
        raise TypeError(f"a policy is an array of actions (integers) or of probabilities (floats), not {given.dtype}")
    if steps is not None and given.shape == shape[1:]:
        given = np.broadcast_to(given, shape)
    if given.shape != shape:
        what = "one action a state" if given.dtype.kind in "ui" else "a probability for each state and action"
        raise ValueError(f"policy must have shape {shape}, {what}, not {given.shape}")
    mask = model.available
    if given.dtype.kind in "ui":
        wrong = np.argwhere((given < 0) | (given >= A))
        if wrong.size:
            raise ValueError(f"state {wrong[0][-1]}: action {given[tuple(wrong[0])]} is not one of 0 to {A - 1}")
        if mask is not None:
            wrong = np.argwhere(~mask[np.arange(S), given])
            if wrong.size:
                raise ValueError(f"state {wrong[0][-1]}: action {given[tuple(wrong[0])]} is not available there")
        return np.ascontiguousarray(given, np.int64)
    wrong = np.argwhere(~np.isfinite(given) | (given < 0))
    if wrong.size:
        s, a = wrong[0][-2:]
        raise ValueError(f"state {s}, action {a}: {given[tuple(wrong[0])]} is not a probability")
    sums = given.sum(axis=-1)
    wrong = np.argwhere(np.abs(sums - 1.0) > PROBABILITY_TOLERANCE)
    if wrong.size:
        raise ValueError(f"state {wrong[0][-1]}: the probabilities of the policy sum to {sums[tuple(wrong[0])]:.12g}")
    if mask is not None:
        wrong = np.argwhere((given > 0) & ~mask)
        if wrong.size:
            s, a = wrong[0][-2:]
            raise ValueError(f"state {s}, action {a} is not available, but the policy takes it")
    return np.ascontiguousarray(given / sums[..., None], np.float64)


def chain_of(mdp: MDP, policy: NDArray[Any]) -> tuple[csr_array, Floats, NDArray[np.bool_]]:
    """The Markov chain under a checked policy: transitions [S, S] without the end, reward [S], ends bool [S]."""
    S, A = mdp.num_states, mdp.num_actions
    offsets = mdp.offsets
    if policy.ndim == 1:
        pairs = np.arange(S) * A + policy
        weights = np.ones(S)
    else:
        pairs = np.flatnonzero(policy.ravel() > 0)
        weights = policy.ravel()[pairs]
    first, sizes = offsets[pairs], offsets[pairs + 1] - offsets[pairs]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    index = np.repeat(first - starts[:-1], sizes) + np.arange(starts[-1])
    state = np.repeat(pairs // A, sizes)
    p = mdp.probability[index]
    p = p / np.repeat(np.add.reduceat(p, starts[:-1]), sizes) * np.repeat(weights, sizes)
    happens = p > 0
    ends = mdp.terminated[index]
    reward: Floats = np.bincount(state, weights=p * mdp.reward[index], minlength=S).astype(np.float64)
    keep = happens & ~ends
    transitions = csr_array((p[keep], (state[keep], mdp.next_state[index][keep])), shape=(S, S))
    stops = np.zeros(S, np.bool_)
    stops[state[happens & ends]] = True
    return transitions, reward, stops


def solve_linear(transitions: csr_array, gamma: float, rewards: Floats) -> Floats:
    """x = rewards + gamma transitions x, for rewards [S] or [S, K]; once refined."""
    S = rewards.shape[0]
    if S == 0:
        return rewards.copy()
    if S <= DENSE_STATES:
        dense = transitions.toarray()
        matrix = np.eye(S) - gamma * dense
        x: Floats = np.linalg.solve(matrix, rewards)
        x += np.linalg.solve(matrix, rewards + gamma * (dense @ x) - x)
        return x
    factors = splu(csc_array(eye_array(S) - gamma * transitions))
    x = factors.solve(rewards)
    x += factors.solve(rewards + gamma * (transitions @ x) - x)
    return x


def policy_values(
    model: MDP | GridModel, policy: ArrayLike, gamma: float | None = None, horizon: int | None = None
) -> Floats:
    """The exact value of a policy in every state.

    Args:
        model: the model.
        policy: int [S], or float [S, A] with the probability of each action. With a horizon T also [T, S] or
            [T, S, A]: what is done after t steps.
        gamma: the discount factor; the model's if None.
        horizon: the number of steps after which all is over, or None.

    Returns:
        float64 [S]; with a horizon T [T + 1, S], values[t] the value when t steps have passed (values[0] is the value
        of the whole horizon, values[T] is 0). At gamma = 1 -inf or +inf where rewards of one sign go on for ever.

    Raises:
        ValueError, TypeError: naming the state whose action or probabilities are wrong, or whose value is not defined.
    """
    gamma = check_gamma(model.gamma if gamma is None else gamma)
    steps = check_horizon(horizon)
    own_steps = (
        steps if steps is not None and np.ndim(policy) == (3 if np.asarray(policy).dtype.kind == "f" else 2) else None
    )
    checked = check_policy(model, policy, own_steps)
    mdp = model.to_mdp()
    if steps is not None:
        values = np.zeros((steps + 1, mdp.num_states))
        chain = None if own_steps is not None else chain_of(mdp, checked)
        for t in range(steps - 1, -1, -1):
            transitions, reward, _ = chain if chain is not None else chain_of(mdp, checked[t])
            values[t] = reward + gamma * (transitions @ values[t + 1])
        return values
    transitions, reward, stops = chain_of(mdp, checked)
    if gamma < 1.0:
        return solve_linear(transitions, gamma, reward)
    return _undiscounted_values(mdp, checked, transitions, reward, stops)


def check_horizon(horizon: int | None) -> int | None:
    """``horizon`` as an int >= 0 or None, or an error that says what was wrong."""
    if horizon is None:
        return None
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer):
        raise TypeError(f"horizon must be a whole number of steps, not {horizon!r}")
    if horizon < 0:
        raise ValueError(f"horizon must be at least 0 steps, not {horizon}")
    return int(horizon)


def _undiscounted_values(
    mdp: MDP, policy: NDArray[Any], transitions: csr_array, reward: Floats, stops: NDArray[np.bool_]
) -> Floats:
    S = mdp.num_states
    count, label = connected_components(transitions, directed=True, connection="strong")
    source = np.repeat(np.arange(S), np.diff(transitions.indptr))
    leaks = np.zeros(count, np.bool_)
    leaks[label[stops]] = True
    leaks[label[source[label[source] != label[transitions.indices]]]] = True
    recurrent = ~leaks[label]
    sign = _reward_signs(mdp, policy, np.flatnonzero(recurrent))
    gains, costs = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    gains[label[sign > 0]] = True
    costs[label[sign < 0]] = True
    undecided = gains & costs
    if undecided.any():
        s = int(np.flatnonzero(undecided[label])[0])
        raise ValueError(
            f"gamma = 1: from state {s} the policy goes round for ever with rewards of both signs, so its value is not "
            "defined. Use gamma < 1, or horizon=T for T steps"
        )
    may_gain, may_lose = (_leads_to(transitions, mark[label] & recurrent) for mark in (gains, costs))
    both = may_gain & may_lose
    if both.any():
        raise ValueError(
            f"gamma = 1: from state {int(np.flatnonzero(both)[0])} the policy may gain for ever or lose for ever, so "
            "its value is not defined. Use gamma < 1, or horizon=T for T steps"
        )
    values = np.zeros(S)
    values[may_gain] = np.inf
    values[may_lose] = -np.inf
    finite = np.flatnonzero(~recurrent & ~may_gain & ~may_lose)
    inner = csr_array(transitions[finite][:, finite])
    values[finite] = solve_linear(inner, 1.0, reward[finite])
    return values


def _reward_signs(mdp: MDP, policy: NDArray[Any], states: NDArray[np.int64]) -> NDArray[np.int8]:
    """The sign of the expected reward of some states under a policy, int8 [S], 0 elsewhere; exact."""
    from fractions import Fraction

    signs = np.zeros(mdp.num_states, np.int8)
    for s in states.tolist():
        total = Fraction(0)
        taken = [(int(policy[s]), 1.0)] if policy.ndim == 1 else [(a, w) for a, w in enumerate(policy[s]) if w > 0]
        for a, weight in taken:
            pair = s * mdp.num_actions + a
            run = slice(int(mdp.offsets[pair]), int(mdp.offsets[pair + 1]))
            if not mdp.reward[run].any():
                continue
            ps = [Fraction(p) for p in mdp.probability[run].tolist()]
            rs = [Fraction(r) for r in mdp.reward[run].tolist()]
            total += Fraction(weight) * sum(p * r for p, r in zip(ps, rs, strict=True)) / sum(ps)
        signs[s] = (total > 0) - (total < 0)
    return signs


def _leads_to(transitions: csr_array, targets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The states with a path into the targets."""
    from scipy.sparse.csgraph import breadth_first_order

    S = targets.size
    aims = np.flatnonzero(targets)
    if aims.size == 0:
        return np.zeros(S, np.bool_)
    source = np.repeat(np.arange(S), np.diff(transitions.indptr))
    heads = np.concatenate([transitions.indices, np.full(aims.size, S)])
    tails = np.concatenate([source, aims])
    graph = csr_array((np.ones(heads.size, np.int8), (heads, tails)), shape=(S + 1, S + 1))
    order = breadth_first_order(graph, S, directed=True, return_predecessors=False)[1:]
    reached = np.zeros(S, np.bool_)
    reached[order] = True
    return reached
