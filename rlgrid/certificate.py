"""Proofs of how far values can be from the optimum, independent of the method that found them.

An upper bound u is proven by one computed sweep: with T the Bellman operator of the exact model, T^ the computed one
and e(s) a bound on |T^ u - T u| (`rlgrid.kernels.sweeps.rounding`, rounding of the test itself included),

    T^ u + e <= u  in every state    implies    T u <= u    implies    V* <= u,

since T is monotone and T^n u converges to V*. In the same way T^_pi l - e >= l implies V^pi >= l, and V^pi <= V*. Both
tests can be made by anyone who has the model, the policy and the bounds (`rlgrid.verify`).

gamma < 1. With w = T v, u = v + c passes for c = (max(0, max(w - v)) + margin) / (1 - gamma) and l = v - c' likewise:
T(v + c) = w + gamma c at the most (Puterman 1994, theorem 6.6.2; where episodes end c must not be negative). What is
reported is T^ u + e, a sweep tighter: computed sweeps are monotone and e does not depend on u while |u| <= scale, so
it passes the test again. Where rounding is most of the margin, the test is also made in differences of values (as at
gamma = 1): its rounding is in proportion to |r| and the differences, which are small where values are large.

gamma = 1. Adding a constant proves nothing, and the test alone does not either: a loop without reward beside an exit
of -10 passes it with l = 100. So the model is taken apart first (`rlgrid.undiscounted`), and:
- u passes the test on what is left, is constant on every group and >= 0 there. A policy stays for ever in a group,
  where u >= 0 is enough; or in an end component that costs, and is worth -infinity; or its episode ends.
- l passes the test for a policy that is proven proper on the graph, is constant on every group, and is <= 0 on those
  in which the policy stays. In a group that it leaves, l is at most T_pi l of every exit that the policy takes.
Such u are found by sweeps of T + delta from v, whose increments shrink as probability drains out of the episode, and
l by sweeps of T_pi - delta. Where states are few they start from the exact value of the policy.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rlgrid.policy_evaluation import solve_chain
from rlgrid.undiscounted import Undiscounted

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXPLICIT_PAIRS = 1 << 16  # grids of at most so many pairs are swept in their explicit form, which is faster
LINEAR_STATES = 5_000  # up to so many states an exact evaluation is cheaper than many sweeps
TIE = 1e-12  # actions whose values differ by less than this times the scale of the values count as equal

REMEMBERED = 4  # gammas for which a model's problem is kept
EPSILON = float(np.finfo(np.float64).eps)
SETTLING = 500  # sweeps in which values right but for their last digits must have settled

_NO_STATES = np.zeros(0, np.int64)
_NO_GROUPS = np.zeros(1, np.int64)
_NO_TABLE = np.zeros((0, 0))
_NO_FLAGS = np.zeros(0, np.bool_)


class Problem:
    """A model at one gamma, ready for sweeps: its arrays, and at gamma = 1 what was found out about its graph."""

    def __init__(self, model: MDP | GridModel, gamma: float) -> None:
        from rlgrid.kernels.model import ExplicitArrays
        from rlgrid.kernels.rounding import rounding
        from rlgrid.kernels.sweeps import scratch_of

        self.gamma = gamma
        self.num_states, self.num_actions = model.num_states, model.num_actions
        self.undiscounted: Undiscounted | None = None
        self.members, self.offsets, self.grouped = _NO_STATES, _NO_GROUPS, _NO_FLAGS
        self.hopeless: NDArray[np.bool_] | None = None
        if gamma == 1.0:
            self.undiscounted = Undiscounted.of(model.to_mdp())
            self.arrays: Any = self.undiscounted.arrays
            self.whole: Any = self.undiscounted.whole
            self.members, self.offsets = self.undiscounted.members, self.undiscounted.offsets
            self.grouped = self.undiscounted.in_group
            if self.undiscounted.hopeless.any():
                self.hopeless = self.undiscounted.hopeless
        else:
            self.arrays = self.whole = model.to_mdp().arrays if _is_better_explicit(model) else model.arrays
        self.scratch = scratch_of(self.arrays)
        self.explicit = isinstance(self.arrays, ExplicitArrays)
        pairs = np.count_nonzero(np.diff(self.arrays.offsets)) if self.explicit else self.num_states * self.num_actions
        self.pairs = int(pairs)
        self.largest_reward = float(rounding(self.arrays, 0.0, np.empty(self.num_states)))

    @classmethod
    def of(cls, model: MDP | GridModel, gamma: float) -> Problem:
        """The problem of a model; taken apart once and remembered as long as the model lives."""
        known = _PROBLEMS.setdefault(model, {})
        problem = known.get(gamma)
        if problem is None:
            plain = next((other for other in list(known.values()) if other.undiscounted is None), None)
            if gamma < 1.0 and plain is not None:  # below 1 all gammas have the same arrays
                problem = copy(plain)
                problem.gamma = gamma
            else:
                problem = cls(model, gamma)
            while len(known) >= REMEMBERED:  # the oldest goes, but never what was found out at gamma = 1
                known.pop(next(other for other in list(known) if other != 1.0), None)
            known[gamma] = problem
        return problem

    @classmethod
    def plain(cls, model: MDP | GridModel, gamma: float) -> Problem:
        """The model as it is, also at gamma = 1: over a finite horizon nothing has to be taken apart."""
        problem = copy(cls.of(model, gamma if gamma < 1.0 else 0.5))
        problem.gamma = gamma
        return problem

    def start(self, values: Floats | None = None) -> Floats:
        """Values to begin with: a copy of those given, or zeros; -inf where nothing else is possible."""
        v = np.zeros(self.num_states) if values is None else values.copy()
        if self.hopeless is not None:
            v[~np.isfinite(v)] = 0.0
            v[self.hopeless] = -np.inf
        self._tie_highest(v)
        return v

    def least_reward(self) -> float:
        """At most the smallest reward there is."""
        m = self.arrays
        if hasattr(m, "reward"):
            return float(m.reward.min(initial=0.0))
        step = min(float(m.step_reward.min()), float(m.bump_reward.min()))
        return step + min(0.0, float(m.enter_reward.min())) + float(m.leave_reward.min())

    def _backup(
        self, arrays: Any, v: Floats, q: Floats = _NO_TABLE, follow: Ints = _NO_STATES, policy: Ints = _NO_STATES
    ) -> Floats:
        from rlgrid.kernels.sweeps import backup

        w = np.empty_like(v)
        backup(arrays, self.scratch, self.gamma, v, w, q, follow, policy, TIE * magnitude(v) if policy.size else 0.0)
        return w

    def sweep(self, v: Floats, plus: Floats | None = None) -> Floats:
        """T v, plus something before groups are tied."""
        w = self._backup(self.arrays, v)
        if plus is not None:
            w += plus
        self._tie_highest(w)
        return w

    def sweep_policy(self, policy: Ints, v: Floats, minus: Floats | None = None) -> Floats:
        """T_pi v, less something."""
        w = self._backup(self.arrays, v, follow=policy)
        if minus is not None:
            w -= minus
        return w

    def _tie_highest(self, v: Floats) -> None:
        if self.offsets.size > 1:
            from rlgrid.kernels.sweeps import tie_highest

            tie_highest(v, self.members, self.offsets)

    def above(self, v: Floats) -> Floats:
        """At least T v, rounding included, of an explicit model."""
        from rlgrid.kernels.rounding import image_above
        from rlgrid.kernels.sweeps import tie_highest

        w = np.empty_like(v)
        image_above(self.arrays, self.gamma, v, w)
        tie_highest(w, self.members, self.offsets)
        return w

    def below(self, leaving: Ints, v: Floats) -> Floats:
        """At most T_pi v, rounding included, of a `leaving` policy, groups at their lowest exit; explicit models."""
        from rlgrid.kernels.rounding import image_below
        from rlgrid.kernels.sweeps import tie_lowest

        w = np.empty_like(v)
        image_below(self.arrays, self.gamma, leaving, v, w)
        tie_lowest(w, self.members, self.offsets)
        return w

    def leaving(self, policy: Ints) -> Ints:
        """The policy with -1 where it moves about inside a group."""
        if self.undiscounted is None:
            return policy
        inner = self.undiscounted.inner[np.arange(self.num_states) * self.num_actions + policy]
        return np.where(inner, -1, policy)

    def q_values(self, v: Floats) -> Floats:
        """float64 [S, A], of all pairs."""
        q = np.empty((self.num_states, self.num_actions))
        self._backup(self.whole, v, q)
        return q

    def policy(self, v: Floats) -> Ints:
        """The first action among the best (within rounding); at gamma = 1 changed where it would not be proper."""
        if self.undiscounted is not None:
            return self.undiscounted.proper_policy(self.sweep(v), self.q_values(v), TIE * magnitude(v))
        policy = np.zeros(self.num_states, np.int64)
        self._backup(self.arrays, v, policy=policy)
        return policy

    def rounding(self, scale: float) -> Floats:
        """float64 [S]: how far a computed backup may be from the exact one where |v| <= scale."""
        from rlgrid.kernels.rounding import rounding

        error = np.empty(self.num_states)
        rounding(self.arrays, scale, error)
        return error

    def finite(self, v: Floats) -> Floats:
        """Without the hopeless states, which are at -inf."""
        return v if self.hopeless is None else v[~self.hopeless]


def _is_better_explicit(model: MDP | GridModel) -> bool:
    """Whether sweeps take the explicit form: an MDP, a small grid (it is faster), a grid with wind."""
    wind = getattr(model, "column_wind", None)
    return (
        wind is None
        or model.num_states * model.num_actions <= EXPLICIT_PAIRS
        or bool(wind.any() or model.row_wind.any())  # type: ignore[union-attr]
    )


_PROBLEMS: WeakKeyDictionary[Any, dict[float, Problem]] = WeakKeyDictionary()


def magnitude(v: Floats) -> float:
    """The largest |v| among finite values, 0 if there is none."""
    finite = np.abs(v[np.isfinite(v)])
    return float(finite.max()) if finite.size else 0.0


def distance(values: Floats, lower: Floats, upper: Floats) -> float:
    """An upper bound of max |values - x| over lower <= x <= upper, rounded outwards; equal infinities are at 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.maximum(
            np.where(upper == values, 0.0, np.nextafter(upper - values, np.inf)),
            np.where(lower == values, 0.0, np.nextafter(values - lower, np.inf)),
        )
    worst = float(gap.max())
    return float("inf") if np.isnan(worst) else worst


@dataclass(frozen=True)
class Certificate:
    """lower <= V^policy <= V* <= upper, all [S]; infinite where nothing is proven (or where V* is)."""

    lower: Floats
    upper: Floats
    policy: Ints
    policy_values: Floats | None = None  # where the policy was evaluated on the way


def where_upper_fails(problem: Problem, upper: Floats) -> int:
    """The first state in which the proof of an upper bound fails, or -1. +inf everywhere claims nothing."""
    if (problem.finite(upper) == np.inf).all():
        return -1
    with np.errstate(invalid="ignore", over="ignore"):
        if problem.undiscounted is None:
            image = problem.sweep(upper, problem.rounding(magnitude(upper)))
        else:
            image = problem.above(upper)
        holds = np.isfinite(upper) & (image <= upper)
        if problem.undiscounted is None and problem.explicit and not holds.all():
            holds |= np.isfinite(upper) & (problem.above(upper) <= upper)
    if problem.undiscounted is not None:
        from rlgrid.kernels.sweeps import tie_highest

        tied = upper.copy()
        tie_highest(tied, problem.members, problem.offsets)
        holds &= tied == upper
        holds |= problem.undiscounted.hopeless
    return -1 if holds.all() else int(holds.argmin())


def where_lower_fails(problem: Problem, policy: Ints, lower: Floats) -> int:
    """The first state in which the proof fails that a policy is worth at least so much, or -1.

    -inf everywhere claims nothing.
    """
    if (lower == -np.inf).all():
        return -1
    with np.errstate(invalid="ignore", over="ignore"):
        if problem.undiscounted is None:
            image = problem.sweep_policy(policy, lower, problem.rounding(magnitude(lower)))
        else:
            image = problem.below(problem.leaving(policy), lower)
        holds = np.isfinite(lower) & (image >= lower)
        if problem.undiscounted is None and problem.explicit and not holds.all():
            holds |= np.isfinite(lower) & (problem.below(policy, lower) >= lower)
    if problem.undiscounted is not None:
        from rlgrid.kernels.sweeps import tie_lowest

        stays = problem.undiscounted.staying(policy)
        tied = np.where(stays, np.inf, lower)
        tie_lowest(tied, problem.members, problem.offsets)
        holds &= np.where(stays, lower <= 0, tied == lower) & problem.undiscounted.is_proper(policy)
        holds |= problem.undiscounted.hopeless & (lower == -np.inf)
    return -1 if holds.all() else int(holds.argmin())


def certify(problem: Problem, v: Floats, patience: int = 100_000, deadline: float = np.inf) -> Certificate:
    """Bounds from values, which may be any.

    ``patience`` is how many sweeps a proof at gamma = 1 may take; none is begun after ``deadline`` (perf_counter).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        if problem.undiscounted is None:
            return _discounted(problem, v)
        return _undiscounted(problem, v, patience, deadline)


def _discounted(problem: Problem, v: Floats) -> Certificate:
    policy = problem.policy(v)
    w, w_policy = problem.sweep(v), problem.sweep_policy(policy, v)
    rest = 1.0 - problem.gamma
    rise, fall = max(0.0, float((w - v).max())), max(0.0, float((v - w_policy).max()))
    reach = max(magnitude(v), magnitude(w), magnitude(w_policy))

    def shifted(sign: float, distance: float, policy: Ints | None) -> Floats:
        """v + sign * c with the least c that passes the test, after one sweep; infinite if none was found."""
        for widen, share in ((0.0, 0.0), (1.0, 1.25), (1.0, 3.0), (2.0, 8.0), (16.0, 64.0), (1024.0, 4096.0)):
            scale = 1.01 * (reach + widen * distance / rest)
            for _ in range(2):  # what the margin adds to the scale adds to the margin
                margin = share * float(problem.rounding(scale).max())
                scale += 2.0 * margin / rest
            bound = v + sign * (widen * distance + margin) / rest
            error = problem.rounding(scale)
            image = problem.sweep(bound, error) if policy is None else problem.sweep_policy(policy, bound, error)
            if (
                np.isfinite(image).all()
                and max(magnitude(bound), magnitude(image)) <= scale
                and (sign * image <= sign * bound).all()
            ):
                return image
        return np.full(problem.num_states, sign * np.inf)

    def finer(sign: float, coarse: Floats, policy: Ints | None) -> Floats:
        """The same with the test in differences of values, where that proves more."""
        image = problem.above(v) if policy is None else problem.below(policy, v)
        c = max(float((sign * (image - v)).max()), 0.0) / rest
        for _ in range(16):
            bound = v + sign * c
            if not (sign * (bound - coarse)).sum() < 0.0:
                return coarse
            image = problem.above(bound) if policy is None else problem.below(policy, bound)
            if (sign * image <= sign * bound).all():
                return bound
            c = max(2.0 * c, EPSILON * reach)
        return coarse

    lower, upper = shifted(-1.0, fall, policy), shifted(1.0, rise, None)
    if problem.explicit and np.isfinite(v).all():
        doubtful = 8.0 * float(problem.rounding(reach).max())
        lower = finer(-1.0, lower, policy) if fall < doubtful else lower
        upper = finer(1.0, upper, None) if rise < doubtful else upper
    return Certificate(lower, upper, policy)


def _undiscounted(problem: Problem, v: Floats, patience: int, deadline: float) -> Certificate:
    undiscounted = problem.undiscounted
    assert undiscounted is not None
    policy = problem.policy(v)
    leaving = problem.leaving(policy)
    exact: Floats | None = None
    lower, upper = _settle(problem, v, leaving, deadline), _settle(problem, v, None, deadline)
    if (lower is None or upper is None) and problem.num_states <= LINEAR_STATES and perf_counter() < deadline:
        exact, spread = _evaluate(problem, policy, leaving)
        if lower is None:
            lower = _widen(problem, exact, -spread, leaving, patience, deadline)
        if upper is None:
            upper = _widen(problem, exact, spread, None, patience, deadline)
    if lower is None:
        lower = _press(problem, v, leaving, patience, deadline)
    if upper is None:
        upper = _press(problem, v, None, patience, deadline)
    if upper is None:
        zero = problem.start()
        upper = zero if where_upper_fails(problem, zero) < 0 else np.full(problem.num_states, np.inf)
    if lower is None:
        lower = np.full(problem.num_states, -np.inf)
    return Certificate(lower, np.where(undiscounted.hopeless, -np.inf, upper), policy, exact)


def _evaluate(problem: Problem, policy: Ints, leaving: Ints) -> tuple[Floats, Floats]:
    """The value of a proper policy, and by how much what rounding does to a test of it adds up over an episode.

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
    return values, over_an_episode(2.0 * EPSILON * (roundings * (np.abs(r) + step) + digits))


def _widen(
    problem: Problem, exact: Floats, spread: Floats, leaving: Ints | None, patience: int, deadline: float
) -> Floats | None:
    """exact + spread with the least factor that makes it a bound; with small steps added if there is none."""
    for factor in (1.0, 4.0, 32.0, 256.0):
        x = exact + factor * spread
        _tie(problem, x, leaving)
        if _excess(problem, x, leaving)[1] <= 0.0:
            return x
    return _press(problem, x, leaving, patience, deadline)


def _excess(problem: Problem, x: Floats, leaving: Ints | None) -> tuple[Floats, float]:
    """The image of x under T (or T_pi of a leaving policy), and how far it lies outside of x; <= 0 is a proof."""
    image = problem.above(x) if leaving is None else problem.below(leaving, x)
    out = problem.finite(image) - problem.finite(x)
    return image, float((out if leaving is None else -out).max(initial=0.0))


def _settle(problem: Problem, x: Floats, leaving: Ints | None, deadline: float) -> Floats | None:
    """Let values that are right but for their last digits settle into a bound; None where they do not.

    Every state takes the image where that lies outside. So values that are equal all over a region stay or become so,
    and a bound is found even where an episode may last for 10^12 steps at no cost.
    """
    for _ in range(SETTLING):
        image, excess = _excess(problem, x, leaving)
        if excess <= 0.0:
            return x
        if not excess <= 64.0 * EPSILON * magnitude(x) or perf_counter() > deadline:
            return None
        x = np.maximum(x, image) if leaving is None else np.minimum(x, image)
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
