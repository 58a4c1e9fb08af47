"""A problem as methods sweep it: own loops solved for, each group one node, nodes in the order of the sweep.

At gamma = 1 the states of a group (see `rlgrid.undiscounted`) are one node with all the pairs that leave any of them
and one more, to stay, which is worth 0; hopeless states have no node. What is left is like any other model, so that
methods need not know of gamma at all. See `rlgrid.kernels.reduced` for the arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

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
        first_pair: int64 [n + 1]. pair_of: int64 [P], the pair s * A + a of the model, -1 for staying in a group.
        offsets: int64 [P + 1]. to: int32 [N]. weight: float64 [N]. reward, leak: float64 [P].
    """

    starts: Ints  # [C + 1], where the components begin in a form that is `by_component`

    def __init__(self, problem: Problem, m: ExplicitArrays, number: Ints, nodes: int) -> None:
        from rlgrid.kernels.reduced import reduce_counts, reduce_fill

        self._explicit = m
        self.problem, self.number, self.nodes = problem, number, nodes
        used = np.flatnonzero(number >= 0)
        states = used[np.argsort(number[used], kind="stable")]
        starts = np.searchsorted(number[states], np.arange(nodes + 1))
        stays = np.zeros(nodes, np.bool_)
        if problem.offsets.size > 1:
            stays[number[problem.members]] = True
        common = (states, starts, number, stays, m.num_actions, m.offsets, m.next_state, m.probability)
        self.pairs, outcomes = reduce_counts(*common, m.terminated, problem.gamma)
        self.first_pair = np.empty(nodes + 1, np.int64)
        self.pair_of = np.empty(self.pairs, np.int64)
        self.offsets = np.empty(self.pairs + 1, np.int64)
        self.to, self.weight = np.empty(outcomes, np.int32), np.empty(outcomes)
        self.reward, self.leak = np.empty(self.pairs), np.empty(self.pairs)
        reduce_fill(
            *common,
            m.reward,
            m.terminated,
            problem.gamma,
            self.first_pair,
            self.pair_of,
            self.offsets,
            self.to,
            self.weight,
            self.reward,
            self.leak,
        )
        self.ends = np.zeros(nodes, np.bool_)  # [n] where an episode may end at once (or, at gamma = 1, stay for ever)
        self.ends[number[_ending(m)]] = True
        self.ends |= stays
        self._edges: tuple[Ints, NDArray[np.int32], Floats] | None = None

    @classmethod
    def of(
        cls, problem: Problem, m: ExplicitArrays, order: str | Ints = "forward", *, by_component: bool = False
    ) -> Reduced:
        """The reduced form in an order of `ORDERS` (not "auto") or of a permutation of the states.

        ``by_component`` puts strongly connected components one after the other, those that others lead to first, in
        that order inside; `starts` says where each begins.
        """
        number = np.arange(problem.num_states)
        if problem.offsets.size > 1:
            number[problem.members] = np.repeat(problem.members[problem.offsets[:-1]], np.diff(problem.offsets))
        if problem.hopeless is not None:
            number[problem.hopeless] = -1
        place = np.arange(problem.num_states)
        if not isinstance(order, str):
            place[order] = np.arange(order.size)
        elif order == "backward":
            place = place[::-1]
        alive = np.flatnonzero(number >= 0)
        first = np.full(problem.num_states, problem.num_states)
        np.minimum.at(first, number[alive], place[alive])
        leaders = np.flatnonzero(first < problem.num_states)
        rank = np.empty(problem.num_states, np.int64)
        rank[leaders[np.argsort(first[leaders], kind="stable")]] = np.arange(leaders.size)
        number[alive] = rank[number[alive]]
        form = cls(problem, m, number, leaders.size)
        if isinstance(order, str) and order == "distance":
            form = form._renumbered(form._outwards())
        if by_component:
            from rlgrid.kernels.reduced import components

            label = components(form.first_pair, form.offsets, form.to)
            inside = np.argsort(label, kind="stable")
            form = form._renumbered(inside)
            form.starts = np.searchsorted(label[inside], np.arange(int(label.max(initial=-1)) + 2))
        return form

    def _renumbered(self, order: Ints) -> Reduced:
        place = np.full(self.nodes + 1, -1)  # number -1 finds the last entry
        place[order] = np.arange(self.nodes)
        return Reduced(self.problem, self._explicit, place[self.number], self.nodes)

    def _outwards(self) -> Ints:
        from rlgrid.kernels.reduced import outwards

        # What an action pays a step, whether or not its own loop was solved for, is in proportion to reward / leak.
        pays = self.reward if self.problem.undiscounted is not None else self.reward / self.leak
        best = np.maximum.reduceat(pays, self.first_pair[:-1]) if self.nodes else np.zeros(0)
        starts, tails, _ = self.edges
        return cast(Ints, outwards(self.first_pair, self.ends, starts, tails, np.argsort(-best, kind="stable")))

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

        low = -np.inf
        if self.problem.undiscounted is None and self.nodes:
            # a policy that never loses more than -low (1 - gamma) a step is worth low at least
            low = float(np.maximum.reduceat(self.reward / self.leak, self.first_pair[:-1]).min())
        v = np.empty(self.nodes)
        guess(self.first_pair, self.offsets, self.to, self.weight, self.reward, self.leak, low, v)
        return v

    def scatter(self, v: Floats, values: Floats) -> None:
        """Write the values of nodes into those of their states."""
        if self.problem.hopeless is None:
            np.take(v, self.number, out=values)
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


def _ending(m: ExplicitArrays) -> Ints:
    """The states with an outcome that ends the episode."""
    ended = np.flatnonzero(m.terminated & (m.probability > 0))
    return np.unique((np.searchsorted(m.offsets, ended, side="right") - 1) // m.num_actions)


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
