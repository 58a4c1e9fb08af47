"""The average reward a step (the gain), with a proof of its error.

    g + h(s) = max_a sum_k p_k (r_k + h(s_k))                   the optimality equation; Puterman 1994, eq. 8.4.2

An outcome that terminates goes into a state of reward 0 for ever: an episode that ends has gain 0. States in which
all is over already (`absorbing`: walls, terminal cells) have gain 0 and are left out of everything below.

What is proven. For any numbers h, with T the Bellman operator of the exact model,

    min_s (T_pi h - h)(s)  <=  g^pi(s')  <=  g*(s')  <=  max_s (T h - h)(s)    in every state s' (Puterman, th. 8.5.5)

since N rewards of a policy sum to h(s_0) - h(s_N) and the terms between. No structure is needed: the policy attains the
lower bound from every state. Where all is over h may be any number y, and T h - h = 0 there: with an upper bound of at
least 0 a y far below makes every pair that may end pass, with a lower bound of at most 0 a y far above does. So pairs
that may end are left out of the test, and the bound is moved to 0 where it lies on the wrong side and a pair (of the
policy) may end. Rounding is added outwards; differences of h are what is computed, so it is in proportion to those.
The same h, which is `values` of the solution, proves both bounds: anyone can check them with a sweep each.

Where the gain differs. Maximal end components (`rlgrid.undiscounted`) are where a policy can stay for ever; the best
gain of each is the same in all its states, and is bounded as above over its own pairs. If those that may be best
cannot be reached with probability 1 from everywhere, the model is multichain and is refused: the best gain of a state
then is no longer one number. Components whose gains differ by less than the tolerance count as equal; the bounds that
are reported cover them all.

Methods. `value_iteration`: relative value iteration, h <- h + .8 (T h - h) less a constant; the damping makes every
policy aperiodic (Puterman, sections 8.5.4 and 8.5.5), and the span of T h - h, which is the width of the bounds but
for the policy, goes to 0. `policy_iteration`: Howard's for models with several classes (Puterman, section 9.2.1) with
each policy's gain and bias by elimination or sparse factors (`policy_values`); a state keeps its action unless another
is better by more than rounding. `auto` sweeps first, and goes on with policies where states are few enough to solve for
and a few hundred sweeps have not been enough; where many policies are not either, it sweeps on from where it was.

It stops when the width proves |gain - g*| <= tolerance; otherwise when rounding forbids more, or at a limit, with a
warning. `values` is then the bias of the policy (mean 0 in its recurrent classes; 0 where all is over) where states are
few enough to solve for and nothing was cut short, else the relative values, shifted to 0 in the first start state.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from rlgrid.compressed import compressed
from rlgrid.parallel import SMALLEST_PIECE, in_pieces
from rlgrid.policy_evaluation import SolverWarning, gain_and_bias
from rlgrid.problem import magnitude
from rlgrid.solution import Solution
from rlgrid.sweeps import check_initial
from rlgrid.undiscounted import Graph

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

METHODS = ("auto", "value_iteration", "policy_iteration")

DAMPING = 0.8  # cycles settle fastest at 1/2, slow walks at 1; this is near enough to both
PATIENCE = 256  # sweeps after which `auto` turns to policies, and again after four times as many,
POLICIES = 32  # for so many, and then four times as many
SOLVED_STATES = 50_000  # up to so many states policies are solved for, unless policy iteration was asked for
PROOF_SHARE = 0.1  # of a time limit, kept for the last proof
CHUNK_SECONDS = 0.02  # sweeps run in one piece between two looks at the clock, the keyboard and the progress bar
CHECKED_ALONE = 8  # so few components are each looked at for being reached from everywhere
EPSILON = float(np.finfo(np.float64).eps)


# --- the model without its end ---------------------------------------------------------------------------------------


class Outcomes(NamedTuple):
    """Some pairs of the model with their outcomes as stored; pair s * A + a owns [offsets[pair], offsets[pair + 1])."""

    num_actions: int
    offsets: Ints  # [S * A + 1]
    next_state: NDArray[np.int32]  # [N]
    probability: Floats  # [N]
    reward: Floats  # [N]


class Parts:
    """What a model is for the average reward: where it goes on, where it may end, and where it can stay for ever.

    Attributes:
        over: bool [S], the states in which all is over.
        graph: the outcomes of the other states; those that lead into `over` count as terminated.
        ending: bool [S * A], the pairs that may end.
        inner: the outcomes of the pairs that never end.
    """

    def __init__(self, model: MDP | GridModel) -> None:
        self.mdp = mdp = model.to_mdp()
        self.num_states, self.num_actions = mdp.num_states, mdp.num_actions
        self.over: Bools = mdp.absorbing
        self.goes_on = ~self.over
        graph = Graph.of(mdp)
        keep = self.goes_on[graph.state]
        self.graph = replace(
            graph,
            pair=graph.pair[keep],
            state=graph.state[keep],
            to=graph.to[keep],
            terminated=(graph.terminated | self.over[graph.to])[keep],
            probability=graph.probability[keep],
            reward=graph.reward[keep],
        )
        self.ending = self.graph.pairs_where(self.graph.terminated)
        self.may_end = bool(self.ending.any())
        self.inner = self.outcomes(~self.ending)

    def outcomes(self, pairs: Bools) -> Outcomes:
        """The outcomes of some pairs [S * A] that never end."""
        keep = pairs[self.graph.pair]
        return Outcomes(
            self.num_actions,
            _offsets(self.graph.pair[keep], self.graph.num_pairs),
            self.graph.to[keep].astype(np.int32),
            self.graph.probability[keep],
            self.graph.reward[keep],
        )

    def sweepable(self, pairs: Bools) -> CompressedArrays:
        """Some pairs [S * A], with state S for where all is over: reward 0 for ever."""
        from rlgrid.kernels.model import ExplicitArrays

        graph, S, A = self.graph, self.num_states, self.num_actions
        keep = pairs[graph.pair]
        end = np.array([S * A])  # the one pair of the state S
        arrays = ExplicitArrays(
            S + 1,
            A,
            _offsets(np.concatenate([graph.pair[keep], end]), (S + 1) * A),
            np.concatenate([np.where(graph.terminated, S, graph.to)[keep], [S]]).astype(np.int32),
            np.concatenate([graph.probability[keep], [1.0]]),
            np.concatenate([graph.reward[keep], [0.0]]),
            np.zeros(int(keep.sum()) + 1, np.bool_),
            np.zeros(1, np.int64),
            np.ones(1),
        )
        return compressed(arrays)

    def bounds(self, h: Floats, policy: Ints) -> tuple[float, float]:
        """(l, u) with l <= g^policy <= g* <= u wherever all is not over; h [S] and the policy may be any."""
        if self.over.all():
            return 0.0, 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            upper = float(above(self.inner, h)[self.goes_on].max())
            lower = float(below(self.inner, h, policy)[self.goes_on].min())
        if self.may_end:
            upper = max(upper, 0.0)
        if self.ending.reshape(self.num_states, self.num_actions)[np.arange(self.num_states), policy].any():
            lower = min(lower, 0.0)
        return (-np.inf if np.isnan(lower) else lower), (np.inf if np.isnan(upper) else upper)

    def surely(self, targets: Bools, *, end: bool) -> Bools:
        """bool [S]: from where some policy reaches the targets (or the end) with probability 1."""
        graph = self.graph
        alive = self.goes_on.copy()
        while True:
            astray = np.where(graph.terminated, not end, ~alive[graph.to])
            usable = ~graph.pairs_where(astray)[graph.pair] & alive[graph.state]
            reached, _ = graph.reach(targets & alive, usable)
            reached &= alive
            if (reached == alive).all():
                return alive
            alive = reached

    def name(self, state: int) -> str:
        """A state as a person knows it."""
        mdp = self.mdp
        if mdp.states is not None:
            return f"state {state} ({mdp.states[state]!r})"
        if mdp.shape is not None:
            return f"state {state} (row {state // mdp.shape[1]}, column {state % mdp.shape[1]})"
        return f"state {state}"


def _offsets(pair: Ints, num_pairs: int) -> Ints:
    result = np.zeros(num_pairs + 1, np.int64)
    np.cumsum(np.bincount(pair, minlength=num_pairs), out=result[1:])
    return result


def above(outcomes: Outcomes, h: Floats) -> Floats:
    """float64 [S]: at least T h - h over the pairs of ``outcomes``, rounding included; -inf without one."""
    from rlgrid.kernels.average import gains_above

    out = np.empty(h.size)
    in_pieces(lambda first, last: gains_above(*outcomes, h, out, first, last), h.size)
    return out


def below(outcomes: Outcomes, h: Floats, policy: Ints) -> Floats:
    """float64 [S]: at most T_policy h - h, rounding included; +inf where the pair is not in ``outcomes``."""
    from rlgrid.kernels.average import gains_below

    out = np.empty(h.size)
    in_pieces(lambda first, last: gains_below(*outcomes, policy, h, out, first, last), h.size)
    return out


# --- sweeps and policies ---------------------------------------------------------------------------------------------


class Chain:
    """Pairs of a model to sweep over, in one part or in several that know nothing of each other.

    ``part`` [S + 1] is the part of each state or -1; values are [S + 1], the last that of where all is over.
    """

    def __init__(self, parts: Parts, pairs: Bools, part: Ints) -> None:
        self.arrays = parts.sweepable(pairs)
        self.part = part
        self.low, self.high = np.zeros(part.max() + 1), np.zeros(part.max() + 1)
        self.pairs = int(np.isfinite(self.arrays.reward).sum())
        self._room = np.empty(part.size)
        self._entries: tuple[Ints, Bools, Floats] | None = None

    def run(self, v: Floats, limit: int, enough: float) -> Floats:
        """Up to ``limit`` damped sweeps on v in place, fewer once the spread of the changes is at most ``enough``.

        Returns the spread of each, greatest less least change of T v - v (of the widest part).
        """
        from rlgrid.kernels.average import relative_sweep, relative_sweeps

        m, size, room = self.arrays, v.size, self._room
        history = np.empty(limit)
        if self.low.size > 1 or size < 2 * SMALLEST_PIECE:
            tables = (m.num_states, m.num_actions, m.offsets, m.next_state, m.weight, m.reward)
            made = relative_sweeps(*tables, self.part, DAMPING, v, room, self.low, self.high, limit, enough, history)
            return history[:made]
        for n in range(limit):
            ends = in_pieces(
                lambda first, last: relative_sweep(
                    m.num_actions, m.offsets, m.next_state, m.weight, m.reward, self.part, v, room, first, last
                ),
                size,
            )
            low, high = min(end[0] for end in ends), max(end[1] for end in ends)
            shift = DAMPING * (0.5 * low + 0.5 * high)
            _move(v, room, shift)
            history[n] = high - low
            if not history[n] > enough:
                return history[: n + 1]
        return history

    def greedy(self, v: Floats) -> Ints:
        """int64 [S + 1]: the first best action under v, up to a rounding; 0 where there is none."""
        from rlgrid.kernels.compressed import sweep

        m = self.arrays
        policy = np.zeros(v.size, np.int64)
        slack = 4.0 * EPSILON * magnitude(v[self.part >= 0])
        in_pieces(
            lambda first, last: sweep(
                m.num_actions,
                m.offsets,
                m.next_state,
                m.weight,
                m.reward,
                1.0,
                v,
                self._room,
                policy,
                slack,
                first,
                last,
            ),
            v.size,
        )
        return policy

    def evaluate(self, policy: Ints) -> tuple[Floats, Floats]:
        """Gain and bias [S + 1] of a policy; 0 where there is no pair."""
        m, size = self.arrays, policy.size
        taken = np.arange(size) * m.num_actions + policy
        sizes = (m.offsets[taken + 1] - m.offsets[taken]).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        index = np.repeat(m.offsets[taken] - starts[:-1], sizes) + np.arange(starts[-1])
        transitions = csr_array((m.weight[index], m.next_state[index], starts), shape=(size, size))
        transitions.sum_duplicates()  # scipy's components may go round for ever among duplicates
        reward = m.reward[taken]
        absent = ~np.isfinite(reward)
        return gain_and_bias(transitions, np.where(absent, 0.0, reward), absent.astype(np.float64))[0]

    def improve(self, policy: Ints, gain: Floats, bias: Floats) -> Ints:
        """A policy of a higher gain somewhere, or of the same and a higher bias; the same where there is none."""
        m = self.arrays
        S, A = m.num_states, m.num_actions
        if self._entries is None:
            pair = np.repeat(np.arange(S * A), np.diff(m.offsets))
            there = np.isfinite(m.reward)
            self._entries = pair, there, np.where(there, m.reward, 0.0)
        pair, there, reward = self._entries

        def expected(change: Floats) -> Floats:
            sums: Floats = np.bincount(pair, weights=m.weight * change, minlength=S * A).astype(np.float64)
            return sums.reshape(S, A)

        step = bias[m.next_state] - bias[pair // A]
        better = np.where(there.reshape(S, A), reward.reshape(S, A) + expected(step) - gain[:, None], -np.inf)
        slack = (64.0 * EPSILON * (np.abs(reward).reshape(S, A) + expected(np.abs(step)))).max(axis=1)
        slack += 64.0 * EPSILON * np.abs(gain)
        states = np.arange(S)
        size = float(np.abs(gain).max())
        if float(np.ptp(gain)) > 1e-11 * size:
            ahead = np.where(there.reshape(S, A), expected(gain[m.next_state] - gain[pair // A]), -np.inf)
            most = ahead.max(axis=1)
            rises = most > 1e-11 * size
            better = np.where(ahead >= np.maximum(most, 0.0)[:, None] - 1e-11 * size, better, -np.inf)
        else:
            rises = np.zeros(S, np.bool_)
        best = better.argmax(axis=1)
        changes = rises | (better[states, best] > better[states, policy] + slack)
        changes &= there.reshape(S, A).any(axis=1)
        return np.where(changes, best, policy)


def _move(v: Floats, image: Floats, shift: float) -> None:
    from rlgrid.kernels.average import relative_update

    in_pieces(lambda first, last: relative_update(v, image, DAMPING, shift, first, last), v.size)


class AverageSweeps:
    """Relative value iteration or policy iteration one step at a time: what a callback of `solve` is given.

    Attributes:
        model: the model. method: its name. sweeps: sweeps or iterations made. backups: pairs backed up.
        values: float64 [S], the relative values h. residual: float64 [S], their change in the last sweep.
    """

    def __init__(self, model: MDP | GridModel, method: str, initial_values: ArrayLike | None = None) -> None:
        given = check_initial(initial_values, model.num_states)
        self.model, self.method = model, method
        self.parts = Parts(model)
        self.sweeps = self.backups = 0
        self.residual = np.zeros(model.num_states)
        self._v = np.zeros(model.num_states + 1)
        if given is not None:
            self._v[:-1] = np.where(self.parts.over, 0.0, given)
        self.whole: Chain | None = None
        if not self.parts.over.all():
            part = np.append(np.where(self.parts.over, -1, 0), 0 if self.parts.may_end else -1)
            self.whole = Chain(self.parts, np.ones(self.parts.graph.num_pairs, np.bool_), part)
        self._policy: Ints | None = None  # of the last policy iteration, until a sweep is made
        self._proof: tuple[float, float, Ints] | None = None

    @property
    def values(self) -> Floats:
        return self._v[:-1]

    def without_end(self) -> Chain:
        """What to sweep over where going on for ever is known to be better than to end: pairs that never end."""
        part = np.append(np.where(self.parts.over, -1, 0), -1)
        self.whole, self._proof = Chain(self.parts, ~self.parts.ending, part), None
        return self.whole

    def run(self, chain: Chain, limit: int, enough: float) -> Floats:
        """Damped sweeps; the spread of the changes of each."""
        spreads = chain.run(self._v, limit, enough)
        self.sweeps += spreads.size
        self.backups += spreads.size * chain.pairs
        self._policy = self._proof = None
        return spreads

    def iterate(self, chain: Chain, policy: Ints) -> Ints:
        """Evaluate a policy, which becomes `policy()` and its bias `values`; returns the improved one."""
        gain, bias = chain.evaluate(policy)
        self.sweeps += 1
        self.backups += chain.pairs
        self._v, self._policy, self._proof = bias, policy, None
        return chain.improve(policy, gain, bias)

    def restore(self, values: Floats) -> None:
        """Go on from values [S + 1] of before, the last that of where all is over."""
        self._v, self._policy, self._proof = values, None, None

    def policy(self) -> Ints:
        """int64 [S]: the policy under evaluation, or the greedy one under `values`."""
        return self.proof()[2]

    def proof(self) -> tuple[float, float, Ints]:
        """(l, u, policy) with l <= g^policy <= g* <= u in every state that is not over."""
        if self._proof is None:
            first = np.zeros(self.model.num_states, np.int64)
            if self.model.available is not None:
                first = self.model.available.argmax(axis=1)
            policy = first
            if self.whole is not None:
                chosen = self.whole.greedy(self._v) if self._policy is None else self._policy
                policy = np.where(self.parts.over, first, chosen[:-1])
            self._proof = (*self.parts.bounds(self.values, policy), policy)
        return self._proof

    @property
    def gain_lower(self) -> float:
        """Proven: the gain of `policy()` is at least this from every state that is not over."""
        return self.proof()[0]

    @property
    def gain_upper(self) -> float:
        """Proven: no policy has a higher gain from any state that is not over."""
        return self.proof()[1]

    @property
    def error_bound(self) -> float:
        """Proven: the middle of the bounds is at most this far from the optimal gain."""
        lower, upper, _ = self.proof()
        return _error(_middle(lower, upper), lower, upper)


def _middle(lower: float, upper: float) -> float:
    return lower if lower == upper else min(max(0.5 * lower + 0.5 * upper, lower), upper)


def _error(gain: float, lower: float, upper: float) -> float:
    """At least |gain - x| for every x in [lower, upper]."""
    if lower == gain == upper:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        worst = float(max(np.nextafter(upper - gain, np.inf), np.nextafter(gain - lower, np.inf)))
    return np.inf if np.isnan(worst) else worst


# --- components ------------------------------------------------------------------------------------------------------


class Components:
    """The maximal end components of a model, with what is proven of the best gain of each when it is never left.

    The end is one more component, of gain 0, where it can be reached.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.pairs, labels = parts.graph.end_components(~parts.ending)
        self.inside = labels >= 0
        self.label = np.full(labels.size, -1)
        _, self.label[self.inside] = np.unique(labels[self.inside], return_inverse=True)
        self.number = int(self.label.max()) + 1
        total = self.number + parts.may_end
        self.lower, self.upper = np.full(total, -np.inf), np.full(total, np.inf)
        if parts.may_end:
            self.lower[-1] = self.upper[-1] = 0.0

    def chain(self) -> Chain:
        self.outcomes = self.parts.outcomes(self.pairs)
        return Chain(self.parts, self.pairs, np.append(self.label, -1))

    def bound(self, h: Floats, policy: Ints) -> None:
        """Bounds of each component's gain from any h and policy [S], where they are better than before."""
        label, n = self.label[self.inside], self.number
        with np.errstate(invalid="ignore", over="ignore"):
            high, low = np.full(n, -np.inf), np.full(n, np.inf)
            np.maximum.at(high, label, above(self.outcomes, h)[self.inside])
            np.minimum.at(low, label, below(self.outcomes, h, policy)[self.inside])
        self.lower[:n] = np.fmax(self.lower[:n], low)
        self.upper[:n] = np.fmin(self.upper[:n], high)

    def reached(self, which: Bools) -> Bools:
        """bool [S]: from where some of these components are reached with probability 1."""
        member = np.zeros(self.parts.num_states, np.bool_)
        member[self.inside] = which[self.label[self.inside]]
        return self.parts.surely(member, end=self.parts.may_end and bool(which[-1]))

    def settled(self, tolerance: float) -> bool:
        """Whether the best gain is known to be the same everywhere, up to the tolerance.

        Raises:
            ValueError: where it is proven to differ.
        """
        everywhere = self.parts.goes_on
        candidates = self.upper >= self.lower.max()
        region = self.reached(candidates)
        found = np.flatnonzero(candidates)
        each = np.arange(self.lower.size)
        alone = found.size <= CHECKED_ALONE and (found.size == 1 or not self.may_be_to_end)
        if alone and all((self.reached(each == k) == everywhere).all() for k in found):
            return True
        levels = np.unique(self.lower)
        first, last = 0, levels.size  # the highest level that can be reached from everywhere
        while last - first > 1:
            middle = (first + last) // 2
            if (self.reached(self.lower >= levels[middle]) == everywhere).all():
                first = middle
            else:
                last = middle
        if self.upper.max() - levels[first] <= tolerance:
            return True
        if (region != everywhere).any():
            self._refuse(candidates, region)
        return False

    @property
    def may_be_to_end(self) -> bool:
        """Whether ending is possible and may be best, as far as is known."""
        return self.parts.may_end and bool(self.lower.max() <= 0.0)

    def _refuse(self, candidates: Bools, region: Bools) -> None:
        parts, graph = self.parts, self.parts.graph
        best = int(np.flatnonzero(candidates)[self.lower[candidates].argmax()])
        if parts.may_end and best == self.lower.size - 1:
            sure = np.flatnonzero(parts.surely(np.zeros(parts.num_states, np.bool_), end=True))
            if sure.size:
                there = f"an episode that ends earns 0 a step for ever, as from {parts.name(int(sure[0]))}"
            else:
                state = int(graph.state[graph.terminated][0])
                there = f"from {parts.name(state)}, where the episode may end for 0 a step for ever, it is more"
        else:
            state = int(np.flatnonzero(self.label == best)[0])
            there = f"from {parts.name(state)} it is {self._gain(best)}"
        leaving = np.zeros(parts.num_states, np.bool_)
        leaving[graph.state[~self.pairs[graph.pair]]] = True
        left = np.zeros(self.number, np.bool_)
        left[self.label[leaving & self.inside]] = True
        outside = parts.goes_on & ~region
        closed = np.flatnonzero(outside & self.inside & ~left[self.label])
        if closed.size:
            state = int(closed[self.upper[self.label[closed]].argmin()])
            here = f"from {parts.name(state)} it is {self._gain(int(self.label[state]))}"
        else:
            here = f"from {parts.name(int(np.flatnonzero(outside)[0]))}, where the episode may end for 0, it is less"
        raise ValueError(
            f"the model is multichain: its best average reward a step differs between states. {there[0].upper()}"
            f"{there[1:]}, {here}, and no policy gets from the second to the first with probability 1. Solve with "
            'gamma < 1 (criterion="discounted"), or each part apart'
        )

    def _gain(self, k: int) -> str:
        return f"{_middle(float(self.lower[k]), float(self.upper[k])):.10g}"


# --- solve -----------------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """One call: sweeps and policies until the tolerance is proven or something says stop."""

    sweeps: AverageSweeps
    tolerance: float
    max_sweeps: int | None
    callback: Callable[[Any], Any] | None
    begun: float
    time_limit: float | None

    def __post_init__(self) -> None:
        self.history: list[Floats] = []
        self.reason = ""
        self.warn = False
        self.cut_short = False
        self.report: Callable[[], None] = lambda: None
        self.deadline = np.inf if self.time_limit is None else self.begun + (1.0 - PROOF_SHARE) * self.time_limit
        few = self.sweeps.model.num_states <= SOLVED_STATES
        self.solvable = few or self.sweeps.method == "policy_iteration"

    def go(self) -> None:
        try:
            self._go()
        except KeyboardInterrupt:
            self._stop("interrupted")

    def _stop(self, reason: str, *, warn: bool = False) -> None:
        self.reason, self.warn, self.cut_short = reason, warn, True

    def _go(self) -> None:
        sweeps = self.sweeps
        if sweeps.whole is None:
            return
        components = Components(sweeps.parts)
        if components.lower.size > 1:
            self._compare(components)
            if self.cut_short:
                return
            if sweeps.parts.may_end and not components.may_be_to_end:
                sweeps.without_end()
        proven = self._narrow(sweeps.whole, lambda: sweeps.error_bound <= self.tolerance, 1.8 * self.tolerance)
        if proven and self.solvable and sweeps._policy is None and time.perf_counter() < self.deadline:
            self._polish(sweeps.whole)

    def _compare(self, components: Components) -> None:
        """Find out whether the gain is the same everywhere.

        Raises:
            ValueError: where it is not.
        """
        if components.settled(self.tolerance):
            return
        sweeps, chain = self.sweeps, components.chain()

        def decided() -> bool:
            policy = chain.greedy(sweeps._v) if sweeps._policy is None else sweeps._policy
            components.bound(sweeps.values, policy[:-1])
            return components.settled(self.tolerance)

        self._narrow(chain, decided, 0.5 * self.tolerance)
        if not self.cut_short:  # what rounding leaves open shows in the bounds of the whole
            self.reason, self.warn = "", False

    def _narrow(self, chain: Chain, proven: Callable[[], bool], enough: float) -> bool:
        """Sweeps or policies until something is proven; False where a limit or rounding ended them before."""
        sweeps = self.sweeps
        iterates = sweeps.method == "policy_iteration"
        size = float(np.abs(chain.arrays.reward[np.isfinite(chain.arrays.reward)]).max())
        begun_at = sweeps.sweeps
        attempt_at, chunk, least, solved = 16, 16, np.inf, False
        turn_at, policies = PATIENCE, POLICIES
        while True:
            made = sweeps.sweeps - begun_at
            if self.solvable and not solved and (iterates or (sweeps.method == "auto" and made >= turn_at)):
                kept = sweeps._v.copy()
                solved = self._iterate(chain, None if iterates else policies)
                if self.cut_short:
                    return False
                if solved and proven():
                    return True
                if not solved:  # far from the last policy sweeps get on faster
                    sweeps.restore(kept)
                iterates, made = False, sweeps.sweeps - begun_at
                turn_at, policies, attempt_at = 4 * made, 4 * policies, made if solved else 2 * made
            if not self._may_go_on():
                return False
            # The numbers that come out must not depend on the clock: proofs are tried after fixed numbers of sweeps.
            limit = max(1, min(chunk, attempt_at - made))
            if self.max_sweeps is not None:
                limit = min(limit, self.max_sweeps - sweeps.sweeps)
            before = sweeps.values.copy() if self.callback is not None else sweeps.values
            started = time.perf_counter()
            spreads = sweeps.run(chain, 1 if self.callback is not None else limit, enough)
            self.history.append(spreads)
            if not self._told(before):
                return False
            took = time.perf_counter() - started
            if took < 0.5 * CHUNK_SECONDS:
                chunk = min(2 * chunk, 1 << 20)
            elif took > 2.0 * CHUNK_SECONDS:
                chunk = max(1, chunk // 2)
            spread = float(spreads[-1])
            if not np.isfinite(spread):
                self._stop("the values overflow: scale the rewards down", warn=True)
                return False
            made = sweeps.sweeps - begun_at
            if spread <= enough or made >= attempt_at:
                if proven():
                    return True
                floor = 8.0 * EPSILON * (magnitude(sweeps._v[chain.part >= 0]) + size)
                # In exact arithmetic the spread never grows; one that has not shrunk in as many sweeps again as were
                # made before, and as it can take for a change to be felt everywhere, is rounding.
                stuck = made >= attempt_at and made >= 4096 + 4 * sweeps.values.size and not spread < least
                if spread <= floor or stuck:
                    self.reason, self.warn = "rounding forbids a smaller error", True
                    return False
                if made >= attempt_at:
                    attempt_at, least = 2 * max(attempt_at, made), min(least, spread)
                enough = min(enough, spread) / 4.0

    def _iterate(self, chain: Chain, limit: int | None) -> bool:
        """Policy iteration from the greedy policy, for at most so many policies.

        Returns whether it came to its end: no state has a better action, or a policy came back.
        """
        sweeps = self.sweeps
        policy = chain.greedy(sweeps._v)
        seen: set[bytes] = set()
        while policy.tobytes() not in seen:
            if len(seen) == limit or not self._may_go_on():
                return False
            seen.add(policy.tobytes())
            before = sweeps.values
            improved = sweeps.iterate(chain, policy)
            self.history.append(np.array([float(np.abs(sweeps.values - before).max())]))
            if not self._told(before):
                return False
            if (improved == policy).all():
                break
            policy = improved
        return True

    def _polish(self, chain: Chain) -> None:
        """Give the policy's own bias in place of the sweeps' values, where that proves enough too."""
        sweeps = self.sweeps
        kept = sweeps._v, sweeps._proof, sweeps.sweeps, sweeps.backups
        policy = chain.greedy(sweeps._v)
        seen: set[bytes] = set()
        while policy.tobytes() not in seen and time.perf_counter() < self.deadline:
            seen.add(policy.tobytes())
            improved = sweeps.iterate(chain, policy)
            if sweeps.error_bound <= self.tolerance:
                break
            policy = improved
        else:
            sweeps._v, sweeps._proof = kept[:2]
            sweeps._policy = None
        sweeps.sweeps, sweeps.backups = kept[2:]

    def _may_go_on(self) -> bool:
        if self.max_sweeps is not None and self.sweeps.sweeps >= self.max_sweeps:
            self._stop(f"max_sweeps = {self.max_sweeps} reached", warn=True)
        elif time.perf_counter() > self.deadline:
            self._stop(f"time_limit = {self.time_limit:g} s reached", warn=True)
        return not self.cut_short

    def _told(self, before: Floats) -> bool:
        """Tell the callback and the progress bar; False where the callback ends the solver."""
        if self.callback is not None:
            self.sweeps.residual = self.sweeps.values - before
            if self.callback(self.sweeps) is False:
                self._stop("stopped by the callback")
        self.report()
        return not self.cut_short

    def with_progress(self) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
            task = progress.add_task("solving", total=None)
            shown = 0.0

            def report() -> None:
                nonlocal shown
                now = time.perf_counter()
                if now >= shown:
                    low, high, _ = self.sweeps.proof()
                    shown = now + 0.5 + (time.perf_counter() - now) * 20.0
                    what = f"sweep {self.sweeps.sweeps}, {low:.6g} <= gain <= {high:.6g}"
                    progress.update(task, description=what)

            self.report = report
            self.go()

    def solution(self) -> Solution:
        sweeps = self.sweeps
        lower, upper, policy = sweeps.proof()
        gain = _middle(lower, upper)
        if not np.isfinite(gain):
            gain = 0.0
        error = _error(gain, lower, upper)
        converged = error <= self.tolerance
        reason = "" if converged else (self.reason or "the bounds prove less than was asked for")
        if self.warn and not converged:
            warnings.warn(
                f"solve: {reason}; an error of at most {error:.3g} is proven, the tolerance is {self.tolerance:g}",
                SolverWarning,
                stacklevel=4,
            )
        over = sweeps.parts.over
        values = sweeps.values.copy()
        if sweeps._policy is None:
            starts = sweeps.model.start_states
            values -= values[starts[0]]
        # Shifting rounds, so what is proven is worked out from the very numbers that are returned.
        values[over] = 0.0
        shifted = sweeps.parts.bounds(values, policy)
        if _error(_middle(*shifted), *shifted) <= max(error, self.tolerance):
            lower, upper = shifted
            gain = _middle(lower, upper)
            error = _error(gain, lower, upper)
        else:
            values = np.where(over, 0.0, sweeps.values)
        return Solution(
            values=values,
            policy=policy,
            lower=np.where(over, 0.0, lower),
            upper=np.where(over, 0.0, upper),
            error_bound=error,
            policy_loss_bound=_error(lower, lower, upper),
            converged=converged,
            gamma=1.0,
            method=sweeps.method,
            tolerance=self.tolerance,
            sweeps=sweeps.sweeps,
            backups=sweeps.backups,
            seconds=time.perf_counter() - self.begun,
            reason=reason,
            history=np.concatenate(self.history) if self.history else np.zeros(0),
            model=sweeps.model,
            criterion="average",
            gain=gain,
            gain_lower=lower,
            gain_upper=upper,
        )


def solve_average(
    model: MDP | GridModel,
    method: str = "auto",
    tolerance: float = 1e-6,
    initial_values: ArrayLike | None = None,
    max_sweeps: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Any], Any] | None = None,
    progress_bar: bool = False,
) -> Solution:
    """`solve` with criterion="average"; the arguments are checked there.

    Raises:
        ValueError: naming a method that does not exist; or where the best gain differs between states, naming two.
    """
    begun = time.perf_counter()
    if method not in METHODS:
        raise ValueError(f'with criterion="average" method must be one of {", ".join(METHODS)}, not {method!r}')
    sweeps = AverageSweeps(model, method, initial_values)
    run = _Run(sweeps, tolerance, max_sweeps, callback, begun, time_limit)
    if progress_bar:
        run.with_progress()
    else:
        run.go()
    return run.solution()


def verify_average(model: MDP | GridModel, solution: Solution, policy: Ints) -> None:
    """Check the bounds of a gain with a sweep each; shapes and the policy are checked already.

    Raises:
        ValueError: saying which claim is not proven.
    """
    if not np.isfinite(solution.values).all():
        raise ValueError(f"the bias of state {int(np.isfinite(solution.values).argmin())} is not finite")
    gain, low, high = solution.gain, solution.gain_lower, solution.gain_upper
    if gain is None or low is None or high is None or np.isnan([gain, low, high]).any():
        raise ValueError(f"gain = {gain!r} within [{low!r}, {high!r}]: a solution for the average reward has all three")
    parts = Parts(model)
    lower, upper = parts.bounds(solution.values, policy)
    if not high >= upper:
        raise ValueError(f"gain_upper = {high!r} is not proven to be at least g*: only {upper!r} is")
    if not low <= lower:
        raise ValueError(f"gain_lower = {low!r} is not proven to be at most g^policy: only {lower!r} is")
    for name, bound, claim in (("lower", low, solution.lower), ("upper", high, solution.upper)):
        known = np.where(parts.over, 0.0, bound)
        wrong = claim > known if name == "lower" else claim < known
        if wrong.any():
            raise ValueError(f"state {int(wrong.argmax())}: {name} does not follow from gain_{name}")
    worst = _error(gain, low, high)
    if not solution.error_bound >= worst:
        raise ValueError(f"error_bound = {solution.error_bound!r}, but only {worst!r} is proven")
    loss = _error(low, low, high)
    if not solution.policy_loss_bound >= loss:
        raise ValueError(f"policy_loss_bound = {solution.policy_loss_bound!r}, but only {loss!r} is proven")
    if solution.converged and not solution.error_bound <= solution.tolerance:
        raise ValueError(f"converged, but error_bound = {solution.error_bound!r} > tolerance = {solution.tolerance!r}")
