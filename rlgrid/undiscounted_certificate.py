"""Proofs at gamma = 1.

Adding a constant proves nothing, and the test alone does not either: a loop without reward beside an exit
of -10 passes it with l = 100. So the model is taken apart first (`rlgrid.undiscounted`), and:
- u passes the test on what is left, is constant on every group and >= 0 there. A policy stays for ever in a group,
  where u >= 0 is enough; or in an end component that costs, and is worth -infinity; or its episode ends.
- l passes the test for a policy that is proven proper on the graph, is constant on every group, and is <= 0 on those
  in which the policy stays. In a group that it leaves, l is at most T_pi l of every exit that the policy takes.
With h the expected steps of the policy until its episode ends, l = v - c h and u = v + c h pass for a c in proportion
to how much a sweep changes v: every step leaves c to spare. Where that does not do, u are found by sweeps of T + delta
from v, whose increments shrink as probability drains out of the episode, and l by sweeps of T_pi - delta. Where states
are few all start from the exact value of the policy.

The policy takes the lowest action among those that differ by no more than rounding. Where long episodes make more of
that than the tolerance allows, the policy that takes nothing but the best is tried too.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from rlgrid.policy_evaluation import solve_chain
from rlgrid.problem import TIE_SHARE, Problem, magnitude

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LINEAR_STATES = 5_000  # up to so many states an exact evaluation is cheaper than many sweeps
EPSILON = float(np.finfo(np.float64).eps)
SETTLING = 500  # sweeps in which values right but for their last digits must have settled
CLOSE = 1e-9  # bounds of large models within this share of the values are not made to settle
PRESSES = 200  # sweeps in place that push an upper bound up
COARSER = (40, 120, 260)  # after so many of them they lose three or more binary digits


def undiscounted_bounds(
    problem: Problem, v: Floats, patience: int, deadline: float, enough: float = 0.0
) -> tuple[Floats | None, Floats | None, Ints, Floats | None]:
    """(lower, upper, policy, the policy's exact values where they were worked out); None where nothing is proven.

    Bounds within ``enough`` of the values, a tolerance, are not made tighter by a slower way.
    """
    policy = problem.policy(v)
    lower, upper, exact, h = _bounds(problem, v, policy, patience, deadline, enough)
    if max(_gap(problem, lower, v), _gap(problem, upper, v)) <= enough or h is None or not enough > 0.0:
        return lower, upper, policy, exact
    strict = problem.policy(v, 0.0)
    loss = problem.slack(magnitude(v)) * magnitude(h)  # what ties may cost
    if loss > TIE_SHARE * enough and not np.array_equal(strict, policy) and perf_counter() < deadline:
        other = _bounds(problem, v, strict, patience, deadline, enough)
        if _gap(problem, other[1], v) < _gap(problem, upper, v):
            upper = other[1]
        if _gap(problem, other[0], v) < _gap(problem, lower, v):
            lower, policy, exact = other[0], strict, other[2]
    return lower, upper, policy, exact


def _bounds(
    problem: Problem, v: Floats, policy: Ints, patience: int, deadline: float, enough: float
) -> tuple[Floats | None, Floats | None, Floats | None, Floats | None]:
    """(lower, upper, exact values, expected steps), the lower bound that of a policy; None for what was not found."""
    leaving = problem.leaving(policy)
    exact: Floats | None = None
    lower: Floats | None = None
    upper: Floats | None = None
    h: Floats | None = None
    if problem.num_states > LINEAR_STATES:
        # Where every step costs the same the expected steps are known already.
        guess = np.maximum(0.0, -v) / max(problem.largest_reward, 1e-300)
        h = _steps(problem, guess, leaving, patience, deadline)
        if h is not None:
            lower = _apart(problem, v, h, leaving, patience, deadline)
            upper = _apart(problem, v, h, None, patience, deadline)
        if not _is_close(problem, lower, v):
            settled = _settle(problem, v, leaving, deadline)
            lower = lower if settled is None else settled
        if not _is_close(problem, upper, v):
            settled = _settle(problem, v, None, deadline)
            upper = upper if settled is None else settled
    else:
        lower, upper = _settle(problem, v, leaving, deadline), _settle(problem, v, None, deadline)
        if (lower is None or upper is None) and perf_counter() < deadline:
            exact, spread, steps = _evaluate(problem, policy, leaving)
            h = _steps(problem, steps, leaving, patience, deadline)
            if lower is None:
                lower = _around(problem, exact, -spread, h, leaving, patience, deadline, enough)
            if upper is None:
                upper = _around(problem, exact, spread, h, None, patience, deadline, enough)
    if lower is None:
        lower = _press(problem, v, leaving, patience, deadline)
    if upper is None:
        upper = _press(problem, v, None, patience, deadline)
    return lower, upper, exact, h


def _around(
    problem: Problem,
    exact: Floats,
    spread: Floats,
    h: Floats | None,
    leaving: Ints | None,
    patience: int,
    deadline: float,
    enough: float,
) -> Floats | None:
    """A bound from the exact value of a policy, by the way that loses least: the next one where that does not do."""
    bound = _settle(problem, exact, leaving, deadline)
    if bound is not None:
        return bound
    bound = widened = _widen(problem, exact, spread, leaving)
    if _gap(problem, bound, exact) > enough and h is not None and np.isfinite(problem.finite(exact)).all():
        apart = _apart(problem, exact, h, leaving, patience, deadline)
        bound = apart if _gap(problem, apart, exact) < _gap(problem, bound, exact) else bound
    if _gap(problem, bound, exact) > enough and widened is None:
        pressed = _press(problem, exact + 256.0 * spread, leaving, patience, deadline)
        bound = pressed if _gap(problem, pressed, exact) < _gap(problem, bound, exact) else bound
    return bound


def _gap(problem: Problem, x: Floats | None, v: Floats) -> float:
    """The greatest distance of bounds from values; inf where there are none."""
    return np.inf if x is None else float(np.abs(problem.finite(x) - problem.finite(v)).max(initial=0.0))


def _is_close(problem: Problem, x: Floats | None, v: Floats) -> bool:
    return _gap(problem, x, v) <= CLOSE * magnitude(v)


def _order(problem: Problem) -> Ints:
    """The states in the order in which news travels: breadth first, against the outcomes, from where episodes end."""
    undiscounted = problem.undiscounted
    assert undiscounted is not None
    reached, rank = undiscounted.graph.reach(undiscounted.in_group, undiscounted.kept[undiscounted.graph.pair])
    order = np.empty(int(reached.sum()), np.int64)
    order[rank[reached]] = np.flatnonzero(reached)
    return order


def _steps(problem: Problem, guess: Floats, leaving: Ints, patience: int, deadline: float) -> Floats | None:
    """Numbers h >= 1/2 + P_pi h, nearly the expected steps of a policy; None where sweeps do not find them."""
    from rlgrid.kernels.pressing import expected_steps

    m = problem.arrays
    order = _order(problem)
    policy = leaving.copy()
    if problem.hopeless is not None:
        policy[problem.hopeless] = -1
    h = np.where(np.isfinite(guess) & (policy >= 0), guess, 0.0)
    for _ in range(patience):
        change = expected_steps(order, m.num_actions, m.offsets, m.next_state, m.probability, m.terminated, policy, h)
        if problem.offsets.size > 1:
            before = h[problem.members]
            _tie(problem, h, None)
            change = max(change, float(np.abs(h[problem.members] - before).max()))
        if change <= 0.25:
            return h
        if perf_counter() > deadline or not np.isfinite(change):
            return None
    return None


def _apart(
    problem: Problem, v: Floats, h: Floats, leaving: Ints | None, patience: int, deadline: float
) -> Floats | None:
    """v + c h for the least c that passes the test, or v - c h with a policy; None if there is none.

    With e = max (T_pi v - v) and h >= 1/2 + P_pi h the policy's own test holds from c = 2 e on. Where another action is
    about as good but takes longer, the values are pushed up in place.
    """
    from rlgrid.kernels.pressing import press_up

    m = problem.arrays
    _, excess = _excess(problem, v, leaving)
    if excess <= 0.0:
        return v
    order = None
    step = 2.0 * excess
    for _ in range(4):
        c = step + 8.0 * EPSILON * (magnitude(v) + step * magnitude(h))
        x = v + c * h if leaving is None else v - c * h
        _tie(problem, x, leaving)
        _, left = _excess(problem, x, leaving)
        if left <= 0.0:
            return x
        if leaving is None:
            order = _order(problem) if order is None else order
            for _ in range(min(patience, PRESSES)):
                risen = press_up(
                    order,
                    m.num_actions,
                    m.offsets,
                    m.next_state,
                    m.probability,
                    m.reward,
                    m.terminated,
                    0.5 * c,
                    x,
                )
                _tie(problem, x, leaving)
                if risen == 0 or perf_counter() > deadline:
                    break
            if _excess(problem, x, leaving)[1] <= 0.0:
                return x
        if perf_counter() > deadline:
            return None
        step *= 4.0
    return None


def _evaluate(problem: Problem, policy: Ints, leaving: Ints) -> tuple[Floats, Floats, Floats]:
    """The value of a proper policy, by how much what rounding does to a test adds up over an episode, and its steps.

    The test of x in state s loses some roundings of p |x(s') - x(s)|, and x itself can be written down only to the
    last digit. Both are summed over the visits of the policy, so that exact + spread and exact - spread are inductive
    up to factors. Moves inside groups cost nothing and count for nothing.
    """
    undiscounted = problem.undiscounted
    assert undiscounted is not None
    graph = undiscounted.graph
    S = problem.num_states
    inside = ~undiscounted.staying(policy) & ~undiscounted.hopeless
    states = np.flatnonzero(inside)
    new = np.full(S, -1)
    new[states] = np.arange(states.size)
    taken = np.flatnonzero(
        (graph.pair == (graph.state * graph.num_actions + policy[graph.state])) & inside[graph.state]
    )
    here, to, r = graph.state[taken], graph.to[taken], graph.reward[taken]
    mass = np.bincount(here, weights=graph.probability[taken], minlength=S)
    p = graph.probability[taken] / mass[here]
    moves = leaving[here] >= 0
    on = ~graph.terminated[taken] & inside[to]
    from scipy.sparse import csr_array

    chain = csr_array((p[on], (new[here[on]], new[to[on]])), shape=(states.size, states.size))
    ending: Floats = np.bincount(here[~on], weights=p[~on], minlength=S)[states].astype(np.float64)

    def over_an_episode(each: Floats) -> Floats:
        """[S], the sum over an episode of what is [taken]."""
        total = np.zeros(S)
        sums = np.bincount(here, weights=np.where(moves, p * each, 0.0), minlength=S)[states].astype(np.float64)
        total[states] = solve_chain(chain, ending, 1.0, sums[:, None])[0][:, 0]
        return total

    values = over_an_episode(r)
    values[undiscounted.hopeless] = -np.inf
    after = np.where(on, values[to], 0.0)
    step = np.where(on & (to == here), 0.0, np.abs(after - values[here]))
    digits = np.where(step > 0.0, np.abs(after) + np.abs(values[here]), 0.0)
    roundings = (2.0 * np.bincount(here, minlength=S) + 8.0)[here]
    spread = over_an_episode(2.0 * EPSILON * (roundings * (np.abs(r) + step) + digits))
    return values, spread, over_an_episode(np.ones(r.size))


def _widen(problem: Problem, exact: Floats, spread: Floats, leaving: Ints | None) -> Floats | None:
    """exact + spread with the least factor that makes it a bound; None if there is none."""
    for factor in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 4.0, 32.0, 256.0):
        x = exact + factor * spread
        _tie(problem, x, leaving)
        if _excess(problem, x, leaving)[1] <= 0.0:
            return x
    return None


def _excess(problem: Problem, x: Floats, leaving: Ints | None) -> tuple[Floats, float]:
    """The image of x under T (or T_pi of a leaving policy), and how far it lies outside of x; <= 0 is a proof."""
    image = problem.above(x) if leaving is None else problem.below(leaving, x)
    out = problem.finite(image) - problem.finite(x)
    return image, float((out if leaving is None else -out).max(initial=0.0))


def _settle(problem: Problem, x: Floats, leaving: Ints | None, deadline: float) -> Floats | None:
    """Let values that are right but for their last digits settle into a bound; None where they do not.

    Every state takes the image where that lies outside. So values that are equal all over a region stay or become so,
    and a bound is found even where an episode may last for 10^12 steps at no cost. Where last digits go on chasing each
    other round such a region, values are rounded outwards to fewer digits, which makes them equal.
    """
    quantum = 0.0
    for i in range(SETTLING if problem.num_states <= LINEAR_STATES else SETTLING // 5):
        image, excess = _excess(problem, x, leaving)
        if excess <= 0.0:
            return x
        size = magnitude(x)
        if not excess <= max(64.0 * EPSILON * size, 4.0 * quantum) or perf_counter() > deadline:
            return None
        x = np.maximum(x, image) if leaving is None else np.minimum(x, image)
        if i in COARSER and size > 1e-280:
            quantum = 2.0 ** np.ceil(np.log2(16.0 * EPSILON * size)) * 8.0 ** COARSER.index(i)
            x = (np.ceil if leaving is None else np.floor)(x / quantum) * quantum
    return None


def _press(problem: Problem, x: Floats, leaving: Ints | None, patience: int, deadline: float) -> Floats | None:
    """Move x up (or with a policy down) by small steps until the test of a bound holds; None where it does not."""
    image, excess = _excess(problem, x, leaving)
    if excess <= 0.0:
        return x
    error = problem.rounding(2.0 * magnitude(x))
    step = 4.0 * (excess + float(error.max()))
    shift = np.where(error > 0.0, step if leaving is None else -step, 0.0)
    limit = 2.0 * magnitude(x) + problem.largest_reward + 1e3 * step
    for _ in range(patience):
        x = image + shift
        _tie(problem, x, leaving)
        image, excess = _excess(problem, x, leaving)
        if excess <= 0.0:
            return x
        if not magnitude(x) <= limit or perf_counter() > deadline:
            return None
    return None


def _tie(problem: Problem, x: Floats, leaving: Ints | None) -> None:
    from rlgrid.kernels.sweeps import tie_highest, tie_lowest

    (tie_highest if leaving is None else tie_lowest)(x, problem.members, problem.offsets)
