"""A problem as methods sweep it: own loops solved for, each group one node, nodes in the order of the sweep.

At gamma = 1 the states of a group (see `rlgrid.undiscounted`) are one node with all the pairs that leave any of them
and one more, to stay, which is worth 0; hopeless states have no node. What is left is like any other model, so that
methods need not know of gamma at all. See `rlgrid.kernels.reduced` for the arrays.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.problem import Problem, written_out

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.kernels.model import ExplicitArrays
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ORDERS = ("auto", "forward", "backward", "alternating", "distance")


class Reduced:
    """The reduced form of a problem, its nodes in a given order.

    Attributes:
        number: int64 [S], the node of each state, -1 for hopeless ones.
        nodes: n. pairs: P.
        first_pair: int64 [n + 1]. offsets: int64 [P + 1]. to: int32 [N]. weight: float64 [N].
        reward, leak: float64 [P].
        ends: bool [n], where an episode may end at once (or, at gamma = 1, stay for ever).
    """

    starts: Ints  # [C + 1], where the components begin in a form that is `by_component`

    def __init__(self, problem: Problem, number: Ints, form: tuple[NDArray[Any], ...]) -> None:
        self.problem, self.number = problem, number
        self.first_pair, self.offsets, self.to, self.weight, self.reward, self.leak, self.ends = form
        self.nodes, self.pairs = self.ends.size, self.reward.size
        self._edges: tuple[Ints, NDArray[np.int32], Floats] | None = None

    @classmethod
    def of(
        cls, problem: Problem, m: ExplicitArrays, order: str | Ints = "forward", *, by_component: bool = False
    ) -> Reduced:
        """The reduced form in an order of `ORDERS` (not "auto") or of a permutation of the states.

        ``by_component`` puts strongly connected components one after the other, those that others lead to first, in
        that order inside; `starts` says where each begins.
        """
        from rlgrid.kernels.reduced import by_distance, reduced

        number, states, starts, stays = _nodes(problem, order)
        given = states, starts, number, stays, *m[1:7], problem.gamma
        if isinstance(order, str) and order == "distance":
            arrays, place = by_distance(*given)
            form = cls(problem, _placed(number, place), arrays)
        else:
            form = cls(problem, number, reduced(*given))
        return form.by_component() if by_component else form

    @cached_property
    def component(self) -> Ints:
        """int64 [n]: the strongly connected component of each node; edges lead to lower numbers or stay inside."""
        from rlgrid.kernels.reduced import components

        return cast(Ints, components(self.first_pair, self.offsets, self.to))

    def by_component(self) -> Reduced:
        """The same form with its components one after the other, see `of`."""
        inside = np.argsort(self.component, kind="stable")
        form = self._renumbered(inside)
        form.starts = np.searchsorted(self.component[inside], np.arange(int(self.component.max(initial=-1)) + 2))
        return form

    def _renumbered(self, order: Ints) -> Reduced:
        from rlgrid.kernels.reduced import renumbered

        arrays, place = renumbered(*self.arrays, self.ends, order)
        return Reduced(self.problem, _placed(self.number, place), arrays)

    @property
    def edges(self) -> tuple[Ints, NDArray[np.int32], Floats]:
        """Edges backwards: (starts [n + 1], the node each comes from [E], its greatest weight [E])."""
        if self._edges is None:
            from rlgrid.kernels.reduced import predecessors

            self._edges = predecessors(self.first_pair, self.offsets, self.to, self.weight)
        return self._edges

    @property
    def arrays(self) -> tuple[Ints, Ints, NDArray[np.int32], Floats, Floats, Floats]:
        """(first_pair, offsets, to, weight, reward, leak): what sweeps read."""
        return self.first_pair, self.offsets, self.to, self.weight, self.reward, self.leak

    def gather(self, values: Floats) -> Floats:
        """float64 [n]: the value of each node; at least 0 where it may stay."""
        v = np.zeros(self.nodes)
        if self.problem.undiscounted is None:
            v[self.number] = values
            return v
        alive = self.number >= 0
        v[:] = -np.inf
        np.maximum.at(v, self.number[alive], values[alive])
        return v

    def guess(self) -> Floats:
        """float64 [n]: values to begin with, from the order alone."""
        from rlgrid.kernels.reduced import guess

        return cast(Floats, guess(*self.arrays, self.problem.undiscounted is None))

    def scatter(self, v: Floats, values: Floats) -> None:
        """Write the values of nodes into those of their states."""
        if self.problem.hopeless is None:
            v.take(self.number, out=values)
        else:
            alive = self.number >= 0
            values[alive] = v[self.number[alive]]


def explicit_arrays(problem: Problem, model: MDP | GridModel) -> ExplicitArrays:
    """The outcomes of a problem written out, also of a grid.

    Raises:
        ValueError: where there are too many.
    """
    if problem.explicit:
        return cast("ExplicitArrays", problem.arrays)
    return written_out(model).arrays


def _nodes(problem: Problem, order: str | Ints) -> tuple[Ints, Ints, Ints, Bools]:
    """(number [S], states, starts [n + 1], stays [n]) of the nodes of a problem as kernels take them."""
    S = problem.num_states
    states = place = np.arange(S)
    if not isinstance(order, str):
        states, place = order, np.empty(S, np.int64)
        place[order] = np.arange(S)
    elif order == "backward":
        states = place = place[::-1].copy()
    if problem.offsets.size == 1 and problem.hopeless is None:  # a node for each state
        return place, states, np.arange(S + 1), np.zeros(S, np.bool_)
    number = np.arange(S)
    if problem.offsets.size > 1:
        number[problem.members] = np.repeat(problem.members[problem.offsets[:-1]], np.diff(problem.offsets))
    if problem.hopeless is not None:
        number[problem.hopeless] = -1
    alive = np.flatnonzero(number >= 0)
    first = np.full(S, S)
    np.minimum.at(first, number[alive], place[alive])
    leaders = np.flatnonzero(first < S)
    rank = np.empty(S, np.int64)
    rank[leaders[np.argsort(first[leaders], kind="stable")]] = np.arange(leaders.size)
    number[alive] = rank[number[alive]]
    states = alive[np.argsort(number[alive], kind="stable")]
    starts = np.searchsorted(number[states], np.arange(leaders.size + 1))
    stays = np.zeros(leaders.size, np.bool_)
    stays[number[problem.members]] = True
    return number, states, starts, stays


def _placed(number: Ints, place: Ints) -> Ints:
    """The nodes of the states when each has another place; -1 stays."""
    return np.append(place, -1)[number] if place.size < number.size else place[number]


def check_order(order: str | ArrayLike, num_states: int) -> str | Ints:
    """A sweep order as one of `ORDERS` or int64 [S], or an error that says what was wrong."""
    if isinstance(order, str):
        if order not in ORDERS:
            raise ValueError(f"sweep_order must be one of {', '.join(ORDERS)} or an array of states, not {order!r}")
        return order
    given = np.asarray(order)
    if given.dtype.kind not in "ui":
        raise TypeError(f"sweep_order must be one of {', '.join(ORDERS)} or an array of integers, not {order!r:.80}")
    if given.shape != (num_states,):
        raise ValueError(f"sweep_order must have shape ({num_states},), every state once, not {given.shape}")
    wrong = np.flatnonzero((given < 0) | (given >= num_states))
    if wrong.size:
        raise ValueError(f"sweep_order[{wrong[0]}] is {given[wrong[0]]}, which is not one of 0 to {num_states - 1}")
    missing = np.flatnonzero(np.bincount(given.astype(np.int64), minlength=num_states) == 0)
    if missing.size:
        raise ValueError(f"sweep_order must name every state once: {missing[0]} is missing")
    return given.astype(np.int64)
