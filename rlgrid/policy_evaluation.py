"""The exact value of a policy, as the solution of a linear system.

V^pi = r_pi + gamma P_pi V^pi (Sutton & Barto, 2nd ed., eq. 4.4; Puterman 1994, theorem 6.1.1) is solved directly. What
a row of I - gamma P sums to is known from the model: 1 - gamma and gamma times the mass that ends. So its diagonal is
that and the mass that goes elsewhere, added up, never 1 - gamma p(s, s), which loses all digits where a state is
hardly ever left.

- Where states are few they are eliminated one by one without any subtraction (Grassmann, Taksar & Heyman 1985): each
  value is right to about S roundings of sum N |r|, N the expected visits, however slow the chain is (O'Cinneide 1993).
- Otherwise by sparse LU, refined with residuals in differences of values. N >= 0, so a t > 0 with (I - gamma P) t >=
  1/2 proves that N 1 <= 2 t and hence an error of at most 2 t max|residual|. Where that is not small the elimination
  is used if it is affordable, and otherwise `policy_values` warns.

Undiscounted, the system is solved for the transient states alone. A closed class of states (a recurrent class) in
which every expected reward is 0 is worth 0; one where all are <= 0 or all are >= 0 is worth -infinity or +infinity,
and so is every state that may end there; any other has no defined value and is refused by name.

The average reward a step (criterion="average"; Puterman 1994, section 8.2) has a gain g = P g and a bias h with
h = r - g + P h. An ended episode earns 0 for ever. In a recurrent class g is what is earned from one visit of a chosen
state to the next over the steps that this takes, both by the elimination above (Grassmann, Taksar & Heyman 1985); h is
what is earned beyond g until that state is met, shifted to a mean of 0 under the stationary distribution. The states
that are left for ever follow as values of a chain that ends in the classes.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from rlgrid.mdp import PROBABILITY_TOLERANCE, check_gamma

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]

ELIMINATED = 400  # up to so many states are eliminated one by one, in at most some 30 ms
ELIMINATED_AT_WORST = 3_000  # up to so many where LU loses the digits,
ELIMINATION_WORK = 4e8  # if so many products, a second or two, are enough
REFINEMENTS = 10
MIXING = 64  # steps of a chain after which a state that it visits often shows
SMALL_ERROR = 1e-9  # an error below this share of the largest value is not worth a warning


class SolverWarning(UserWarning):
    """A solution is less exact than was asked for."""


class GainAndBias(NamedTuple):
    """The average reward a step of a policy from each state, and what the state earns beyond it in the long run."""

    gain: Floats  # [S]
    bias: Floats  # [S], of mean 0 under the stationary distribution of each recurrent class


def check_model(model: Any) -> None:
    """Raise TypeError for what is not a model, with what to pass instead."""
    if hasattr(model, "to_mdp") and hasattr(model, "num_states") and hasattr(model, "gamma"):
        return
    what = f"a model is an rlgrid.MDP or an rlgrid.GridModel, not {type(model).__name__}"
    if hasattr(model, "unwrapped"):
        raise TypeError(f"{what}: pass env.unwrapped.model")
    if hasattr(model, "compile") and hasattr(model, "rows"):
        raise TypeError(f"{what}: pass spec.compile()")
    raise TypeError(f"{what}. GridSpec.load(path).compile() makes one of a map, MDP.from_arrays(P, R, gamma) of arrays")


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


def chain_of(mdp: MDP, policy: NDArray[Any]) -> tuple[csr_array, Floats, Floats]:
    """The Markov chain under a checked policy: transitions [S, S] without the end, reward [S], mass that ends [S]."""
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
    ending: Floats = np.bincount(state[ends], weights=p[ends], minlength=S).astype(np.float64)
    return transitions, reward, ending


def solve_chain(
    transitions: csr_array, ending: Floats, gamma: float, rewards: Floats, *, eliminated: int | None = None
) -> tuple[Floats, float]:
    """x = rewards + gamma transitions x of a chain that ends, for rewards [S, K], and a bound on the error.

    Args:
        transitions: [S, S], without what ends.
        ending: [S], the mass of each row that ends.
        eliminated: up to so many states are eliminated at once (400 if None); more where sparse LU loses the digits.

    Returns:
        x [S, K], and 0.0 where it was found by elimination, else what is proven of max |x - exact| (inf: nothing).
    """
    S = rewards.shape[0]
    if S == 0:
        return rewards.copy(), 0.0
    others = transitions.tocoo()
    elsewhere = others.row != others.col
    row, column, weight = others.row[elsewhere], others.col[elsewhere], gamma * others.data[elsewhere]
    slack = (1.0 - gamma) + gamma * ending
    if (ELIMINATED if eliminated is None else eliminated) < S:
        x, error = _factorise(row, column, weight, slack, rewards)
        if S > ELIMINATED_AT_WORST or error <= SMALL_ERROR * np.abs(x).max():
            return x, error
    dense = np.zeros((S, S))
    np.add.at(dense, (row, column), weight)
    with np.errstate(all="ignore"):
        exact = _eliminate(dense, slack, rewards.copy())
    if exact is None:
        return x, error
    return exact, 0.0 if np.isfinite(exact).all() else np.inf


def _eliminate(weight: Floats, slack: Floats, x: Floats) -> Floats | None:
    """x = (slack + row sums of weight - weight)^-1 x with additions alone; all three are used up. None: too much work.

    Each state's loop is left out; whatever the elimination adds to it is on the diagonal, which is never looked at.
    """
    S = slack.size
    pivot = np.empty(S)
    work = 0
    for k in range(S - 1, -1, -1):
        onward = weight[k, :k]
        pivot[k] = onward.sum() + slack[k]
        share = weight[:k, k] / pivot[k]
        touched = np.flatnonzero(share)
        work += touched.size * k
        if work > ELIMINATION_WORK:
            return None
        weight[touched, :k] += share[touched, None] * onward
        slack[touched] += share[touched] * slack[k]
        x[touched] += share[touched, None] * x[k]
    for k in range(S):
        x[k] = (x[k] + weight[k, :k] @ x[:k]) / pivot[k]
    return x


def _factorise(
    row: NDArray[Any], column: NDArray[Any], weight: Floats, slack: Floats, rewards: Floats
) -> tuple[Floats, float]:
    """The same by sparse LU, with what is proven of its error (inf: nothing)."""
    S = slack.size
    right = np.column_stack([rewards, np.ones(S)])  # the last column is the proof's t

    def residual(x: Floats) -> Floats:
        left = right - slack[:, None] * x
        for k in range(x.shape[1]):
            left[:, k] += np.bincount(row, weights=weight * (x[column, k] - x[row, k]), minlength=S)
        return left

    diagonal = slack + np.bincount(row, weights=weight, minlength=S)
    matrix = diags_array(diagonal) - csr_array((weight, (row, column)), shape=(S, S))
    try:
        factors = splu(csc_array(matrix))
    except RuntimeError:  # singular to all digits
        return np.zeros_like(rewards), np.inf
    with np.errstate(all="ignore"):
        x = factors.solve(right)
        left = residual(x)
        for _ in range(REFINEMENTS):
            y = x + factors.solve(left)
            rest = residual(y)
            if not np.abs(rest).max() < 0.5 * np.abs(left).max():
                break
            x, left = y, rest
        steps = x[:, -1]
        if not ((steps > 0.0).all() and (np.abs(left[:, -1]) <= 0.5).all()):
            return x[:, :-1], np.inf
        error = 2.0 * float(steps.max()) * float(np.abs(left[:, :-1]).max())
    return x[:, :-1], error if np.isfinite(error) else np.inf


@overload
def policy_values(
    model: MDP | GridModel,
    policy: ArrayLike,
    gamma: float | None = None,
    horizon: int | None = None,
    criterion: Literal["discounted"] = "discounted",
) -> Floats: ...


@overload
def policy_values(
    model: MDP | GridModel,
    policy: ArrayLike,
    gamma: None = None,
    horizon: None = None,
    *,
    criterion: Literal["average"],
) -> GainAndBias: ...


def policy_values(
    model: MDP | GridModel,
    policy: ArrayLike,
    gamma: float | None = None,
    horizon: int | None = None,
    criterion: str = "discounted",
) -> Floats | GainAndBias:
    """The exact value of a policy in every state.

    Args:
        model: the model.
        policy: int [S], or float [S, A] with the probability of each action. With a horizon T also [T, S] or
            [T, S, A]: what is done after t steps.
        gamma: the discount factor; the model's if None.
        horizon: the number of steps after which all is over, or None.
        criterion: "discounted" (which includes gamma = 1), or "average" for the average reward a step, in which
            neither gamma nor a horizon has a part.

    Returns:
        `GainAndBias` with criterion="average": the gain and the bias, each float64 [S], also of policies with several
        recurrent classes.
        Otherwise float64 [S]; with a horizon T [T + 1, S], values[t] the value when t steps have passed (values[0] is
        the value of the whole horizon, values[T] is 0). At gamma = 1 -inf or +inf where rewards of one sign go on for
        ever.

    Raises:
        ValueError, TypeError: naming the state whose action or probabilities are wrong, or whose value is not defined.
    """
    check_model(model)
    if criterion == "average":
        check_average(gamma, horizon)
        found, doubt = gain_and_bias(*chain_of(model.to_mdp(), check_policy(model, policy)))
        if doubt > SMALL_ERROR:
            warnings.warn(
                "policy_values: the policy needs so many steps to settle that its gain and bias may be off by a share "
                f"of {doubt:.3g}",
                SolverWarning,
                stacklevel=2,
            )
        return found
    if criterion != "discounted":
        raise ValueError(f'criterion must be "discounted" or "average", not {criterion!r}')
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
    values, error = evaluate(mdp, checked, gamma)
    finite = values[np.isfinite(values)]
    if error > SMALL_ERROR * np.abs(finite).max(initial=0.0):
        known = f"only within {error:.3g}" if np.isfinite(error) else "with no digit certain"
        warnings.warn(
            f"policy_values: the policy's episodes are so long that its values are known {known}. "
            "Use a smaller gamma, or horizon=T for T steps",
            SolverWarning,
            stacklevel=2,
        )
    return values


def evaluate(mdp: MDP, policy: NDArray[Any], gamma: float) -> tuple[Floats, float]:
    """The value of a checked policy [S], and a bound on the error as `solve_chain` gives it."""
    transitions, reward, ending = chain_of(mdp, policy)
    if gamma < 1.0:
        solved, error = solve_chain(transitions, ending, gamma, reward[:, None])
        return solved[:, 0], error
    return _undiscounted_values(mdp, policy, transitions, reward, ending)


def check_average(gamma: float | None, horizon: int | None) -> None:
    """Raise ValueError for what has no part in the average reward."""
    if gamma is not None:
        raise ValueError('criterion="average" and gamma exclude each other: the average reward is not discounted')
    if horizon is not None:
        raise ValueError('criterion="average" and horizon exclude each other: the average is over steps without end')


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
    mdp: MDP, policy: NDArray[Any], transitions: csr_array, reward: Floats, ending: Floats
) -> tuple[Floats, float]:
    S = mdp.num_states
    label, recurrent = recurrent_classes(transitions, ending)
    count = int(label.max(initial=-1)) + 1
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
    counted = ~recurrent & ~may_gain & ~may_lose
    finite = np.flatnonzero(counted)
    inner = csr_array(transitions[finite][:, finite])
    ending = ending + transitions @ (~counted).astype(np.float64)  # what goes on into a class worth 0 ends there
    solved, error = solve_chain(inner, ending[finite], 1.0, reward[finite, None])
    values[finite] = solved[:, 0]
    return values, error


def recurrent_classes(transitions: csr_array, ending: Floats) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The strongly connected class of each state [S], and whether that class is never left [S]."""
    count, label = connected_components(transitions, directed=True, connection="strong")
    source = np.repeat(np.arange(label.size), np.diff(transitions.indptr))
    leaks = np.zeros(count, np.bool_)
    leaks[label[ending > 0]] = True
    leaks[label[source[label[source] != label[transitions.indices]]]] = True
    return label, ~leaks[label]


def gain_and_bias(transitions: csr_array, reward: Floats, ending: Floats) -> tuple[GainAndBias, float]:
    """Gain and bias of a chain as `chain_of` gives it, and the share by which they may be off (0.0: eliminated)."""
    S = reward.size
    label, recurrent = recurrent_classes(transitions, ending)
    gain, bias = np.zeros(S), np.zeros(S)
    doubts = [0.0]

    def until(states: NDArray[Any], leaves: Floats, earned: Floats) -> Floats:
        """What is earned [len(states), K] from each of some states until they are left."""
        x, error = solve_chain(csr_array(transitions[states][:, states]), leaves, 1.0, earned)
        if error > 0.0:
            doubts.append(error / max(float(np.abs(x).max()), 1e-300))
        return x

    states = np.flatnonzero(recurrent)
    if states.size:
        _, of_class = np.unique(label[states], return_inverse=True)
        share = np.full(states.size, 1.0)
        inner = csr_array(transitions[states][:, states].T)
        for _ in range(MIXING):
            share = 0.5 * (share + inner @ share)
        order = np.lexsort((-share, of_class))
        chosen = order[np.flatnonzero(np.diff(of_class[order], prepend=-1))]  # of each class, one often visited
        aims = states[chosen]
        others = np.ones(S, np.bool_)
        others[aims] = False
        rest = np.flatnonzero(recurrent & others)
        leaves: Floats = transitions[rest] @ (~others).astype(np.float64)
        from_aims = transitions[aims]

        def around(each: Floats, onward: Floats) -> Floats:
            """What is collected from one visit of a class's chosen state to the next, [classes]."""
            everywhere = np.zeros(S)
            everywhere[rest] = onward
            result: Floats = each[aims] + from_aims @ everywhere
            return result

        one_each = np.ones(S)
        sums = until(rest, leaves, np.column_stack([reward[rest], one_each[rest]]))
        length = around(one_each, sums[:, 1])
        gain[states] = (around(reward, sums[:, 0]) / length)[of_class]
        bias[rest] = until(rest, leaves, (reward - gain)[rest, None])[:, 0]
        mean = around(bias, until(rest, leaves, bias[rest, None])[:, 0]) / length
        bias[states] -= mean[of_class]
    passing = np.flatnonzero(~recurrent)
    if passing.size:
        rows = transitions[passing]
        leaves = ending[passing] + rows @ recurrent.astype(np.float64)
        outlook = np.append(gain[states], 0.0) if (ending[passing] > 0).any() else gain[states]
        expected = until(passing, leaves, (rows @ gain)[:, None])[:, 0]
        gain[passing] = np.clip(expected, outlook.min(), outlook.max())
        bias[passing] = until(passing, leaves, (reward[passing] - gain[passing] + rows @ bias)[:, None])[:, 0]
    return GainAndBias(gain, bias), max(doubts)


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
