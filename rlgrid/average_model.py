"""A model for the average reward: what is proven of its gain, without its end, and the parts of it that may differ.

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
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlgrid.compressed import compressed, offsets_of, read_only
from rlgrid.parallel import in_pieces
from rlgrid.problem import written_out
from rlgrid.undiscounted import Graph

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CHECKED_ALONE = 8  # so few components are each looked at for being reached from everywhere


class Outcomes(NamedTuple):
    """Some pairs of the model with their outcomes as stored; pair s * A + a owns [offsets[pair], offsets[pair + 1])."""

    num_actions: int
    offsets: NDArray[Any]  # int32 or int64 [S * A + 1]
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
        self.mdp = mdp = written_out(model)
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
            offsets_of(np.bincount(self.graph.pair[keep], minlength=self.graph.num_pairs)),
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
            offsets_of(np.bincount(np.concatenate([graph.pair[keep], end]), minlength=(S + 1) * A)),
            np.concatenate([np.where(graph.terminated, S, graph.to)[keep], [S]]).astype(np.int32),
            np.concatenate([graph.probability[keep], [1.0]]),
            np.concatenate([graph.reward[keep], [0.0]]),
            np.zeros(int(keep.sum()) + 1, np.bool_),
            np.zeros(1, np.int64),
            np.ones(1),
        )
        return compressed(read_only(arrays))

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

    @cached_property
    def outcomes(self) -> Outcomes:
        """The outcomes of the pairs that a component is never left by."""
        return self.parts.outcomes(self.pairs)

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
            half = (first + last) // 2
            if (self.reached(self.lower >= levels[half]) == everywhere).all():
                first = half
            else:
                last = half
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
        return f"{middle(float(self.lower[k]), float(self.upper[k])):.10g}"


def middle(lower: float, upper: float) -> float:
    """The middle of an interval, which lies within it; a finite number of it where an end is infinite."""
    if lower == upper:
        return lower
    centre = 0.5 * lower + 0.5 * upper
    return min(max(centre if np.isfinite(centre) else 0.0, lower), upper)


def error_within(gain: float, lower: float, upper: float) -> float:
    """At least |gain - x| for every x in [lower, upper]."""
    if lower == gain == upper:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        worst = float(max(np.nextafter(upper - gain, np.inf), np.nextafter(gain - lower, np.inf)))
    return np.inf if np.isnan(worst) else worst
