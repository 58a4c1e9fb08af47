"""What must be known of a model before it can be solved without discounting (gamma = 1).

The value of a policy is the limit of its expected reward over N steps. Sweeps alone may then answer a wrong number:
v = T v has many solutions where an agent can go round for ever at no cost (Bertsekas & Tsitsiklis 1991). So the
model is taken apart on its graph first, by the sign of the exact expected reward r(s, a) of each pair:

1. An end component is a set of states and actions that an agent never has to leave, and in which it can reach every
   state from every other. The maximal ones are found by strongly connected components, iterated (de Alfaro 1997).
2. Maximal end components of the actions with r = 0 are `groups`. An agent moves about in one at no cost and may stay
   for ever, which is worth 0; so all its states are worth max(0, the best action that leaves it). The inner actions
   are taken out of the sweeps, and the states of a group are tied to one value.
3. In every other end component, with each group as one state, the best gain (average reward a step) decides. It must
   be negative: staying there for ever then is worth -infinity. Where no action has r > 0 it is. Otherwise its sign is
   proven (`rlgrid.gain_signs`), and the model is refused by name where it is positive, since the value is infinite,
   or 0, since rewards cancel and the value has no limit.
4. States from which no policy reaches termination or a group with probability 1 are `hopeless`: V* = -infinity.
   Actions that may lead into one are worth -infinity too and are taken out.

In what is left every policy that is not proper (does not reach termination or a stay in a group with probability 1)
is worth -infinity somewhere, so T has one fixed point and value iteration converges to it from any start.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from rlgrid.compressed import offsets_of, read_only
from rlgrid.gain_signs import Component, Decision, decide
from rlgrid.transitions import Runs

if TYPE_CHECKING:
    from rlgrid.kernels.model import ExplicitArrays
    from rlgrid.mdp import MDP

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Graph:
    """The outcomes of a model that can happen, without those of probability 0."""

    num_states: int
    num_actions: int
    pair: Ints  # [N] s * A + a of each outcome
    state: Ints  # [N]
    to: Ints  # [N]
    terminated: Bools  # [N]
    probability: NDArray[np.float64]  # [N]
    reward: NDArray[np.float64]  # [N]

    @classmethod
    def of(cls, mdp: MDP) -> Graph:
        pair = np.repeat(np.arange(mdp.num_states * mdp.num_actions), np.diff(mdp.offsets))
        keep = mdp.probability > 0
        pair = pair[keep]
        return cls(
            mdp.num_states,
            mdp.num_actions,
            pair,
            pair // mdp.num_actions,
            mdp.next_state[keep].astype(np.int64),
            mdp.terminated[keep],
            mdp.probability[keep],
            mdp.reward[keep],
        )

    @property
    def num_pairs(self) -> int:
        return self.num_states * self.num_actions

    def pairs_where(self, outcomes: Bools) -> Bools:
        """bool [S * A]: the pairs that have one of these outcomes."""
        result = np.zeros(self.num_pairs, np.bool_)
        result[self.pair[outcomes]] = True
        return result

    def reach(self, targets: Bools, outcomes: Bools) -> tuple[Bools, Ints]:
        """The states with a path of these outcomes into the targets or into termination, breadth first.

        Returns bool [S], and int64 [S]: the order in which they were found, S + 1 where they were not. Each state
        but the targets has an outcome that terminates or leads to one found before it.
        """
        source = self.num_states  # one node more for termination; edges run backwards
        rest = outcomes & ~targets[self.state]
        inner, ends = rest & ~self.terminated, rest & self.terminated
        aims = np.flatnonzero(targets)
        heads = np.concatenate([self.to[inner], np.full(int(ends.sum()) + aims.size, source)])
        tails = np.concatenate([self.state[inner], self.state[ends], aims])
        graph = csr_array((np.ones(heads.size, np.int8), (heads, tails)), shape=(source + 1, source + 1))
        order = breadth_first_order(graph, source, directed=True, return_predecessors=False)[1:]
        reached = np.zeros(self.num_states, np.bool_)
        reached[order] = True
        rank = np.full(self.num_states, self.num_states + 1)
        rank[order] = np.arange(order.size)
        return reached, rank

    def end_components(self, allowed: Bools) -> tuple[Bools, Ints]:
        """Maximal end components of the pairs ``allowed`` [S * A]: (their pairs [S * A], their label [S] or -1)."""
        from rlgrid.kernels.dead_ends import drop_dead_ends

        alive = allowed & self.pairs_where(np.ones(self.pair.size, np.bool_)) & ~self.pairs_where(self.terminated)
        incoming: Ints | None = None
        while True:
            inner = alive[self.pair]
            edges = csr_array(
                (np.ones(int(inner.sum()), np.int8), (self.state[inner], self.to[inner])),
                shape=(self.num_states, self.num_states),
            )
            _, labels = connected_components(edges, directed=True, connection="strong")
            leaving = self.pairs_where(inner & (labels[self.state] != labels[self.to]))
            if not leaving.any():
                break
            alive &= ~leaving
            if incoming is None:
                incoming = np.argsort(self.to, kind="stable")
                starts = np.searchsorted(self.to[incoming], np.arange(self.num_states + 1))
            drop_dead_ends(self.pair, self.state, self.to, incoming, starts, alive)
        inside = np.zeros(self.num_states, np.bool_)
        inside[self.state[alive[self.pair]]] = True
        return alive, np.where(inside, labels, -1).astype(np.int64)

    def reward_signs(self) -> NDArray[np.int8]:
        """int8 [S * A]: the sign of the exact expected reward of each pair."""
        gains = self.pairs_where(self.reward > 0)
        costs = self.pairs_where(self.reward < 0)
        signs = gains.astype(np.int8) - costs.astype(np.int8)
        mixed = np.flatnonzero(gains & costs)
        if mixed.size:
            first = np.searchsorted(self.pair, mixed, side="left")
            last = np.searchsorted(self.pair, mixed, side="right")
            for pair, i, j in zip(mixed.tolist(), first.tolist(), last.tolist(), strict=True):
                total = sum(
                    Fraction(p) * Fraction(r)
                    for p, r in zip(self.probability[i:j].tolist(), self.reward[i:j].tolist(), strict=True)
                )
                signs[pair] = (total > 0) - (total < 0)
        return signs


@dataclass(frozen=True)
class Undiscounted:
    """A model at gamma = 1, taken apart as the module's text says.

    `arrays` is what sweeps run over: without inner pairs of groups, without pairs that may lead into a hopeless state.
    """

    graph: Graph
    arrays: ExplicitArrays
    whole: ExplicitArrays  # all pairs, but no outcomes of probability 0
    members: Ints  # [M] the states of all groups, group by group
    offsets: Ints  # [G + 1] where each group begins in members
    in_group: Bools  # [S]
    group_of: Ints  # [S] label of the group, or -1
    inner: Bools  # [S * A] the inner pairs of groups
    kept: Bools  # [S * A] the pairs of `arrays`
    hopeless: Bools  # [S]

    @classmethod
    def of(cls, mdp: MDP) -> Undiscounted:
        """Take the model apart.

        Raises:
            ValueError: naming a state whose value may be infinite.
        """
        graph = Graph.of(mdp)
        signs = graph.reward_signs()
        inner, groups = graph.end_components(signs == 0)
        if (signs > 0).any():
            everything, _ = graph.end_components(np.ones(graph.num_pairs, np.bool_))
            if (everything & (signs > 0)).any():
                _refuse_unless_costly(mdp, graph, signs, inner, groups)
        in_group = groups >= 0
        alive = np.ones(graph.num_states, np.bool_)
        while True:
            lost = graph.pairs_where(~graph.terminated & ~alive[graph.to])
            usable = ~lost[graph.pair] & alive[graph.state]
            reached, _ = graph.reach(in_group & alive, usable)
            reached &= alive
            if (reached == alive).all():
                break
            alive = reached
        kept = graph.pairs_where(usable) & ~inner
        members = np.flatnonzero(in_group)
        members = members[np.argsort(groups[members], kind="stable")]
        starts = np.flatnonzero(np.diff(groups[members], prepend=-1)) if members.size else np.zeros(0, np.int64)
        return cls(
            graph,
            _select(mdp, graph, kept),
            _select(mdp, graph, np.ones(graph.num_pairs, np.bool_)),
            members,
            np.append(starts, members.size).astype(np.int64),
            in_group,
            groups,
            inner,
            kept,
            ~alive,
        )

    def is_proper(self, policy: Ints) -> Bools:
        """bool [S]: the states from which a policy reaches termination or a stay in a group with probability 1.

        It must use inner and kept pairs only, except in hopeless states, which are never proper.
        """
        graph = self.graph
        pair = np.arange(graph.num_states) * graph.num_actions + policy
        chosen = np.zeros(graph.num_pairs, np.bool_)
        chosen[pair[~self.hopeless]] = True
        legal = (self.inner | self.kept)[pair] | self.hopeless
        targets = self.staying(policy)
        proper: Bools = legal & ~self.hopeless
        while True:
            lost = graph.pairs_where(~graph.terminated & ~proper[graph.to])
            reached, _ = graph.reach(targets & proper, (chosen & ~lost)[graph.pair])
            reached &= proper
            if (reached == proper).all():
                return proper
            proper = reached

    def staying(self, policy: Ints) -> Bools:
        """bool [S]: the states of the groups that a policy never leaves, all of whose choices are inner pairs."""
        inner = self.inner[np.arange(self.graph.num_states) * self.graph.num_actions + policy]
        leaves = np.zeros(self.graph.num_states, np.bool_)
        leaves[self.group_of[self.in_group & ~inner]] = True
        return self.in_group & ~leaves[self.group_of]

    def proper_policy(self, values: NDArray[np.float64], q: NDArray[np.float64], slack: float) -> Ints:
        """A proper policy whose choices are within ``slack`` of the best, or as near as properness allows.

        Args:
            values: [S], groups tied. q: [S, A], of all pairs, inner ones included.

        Returns:
            int64 [S]: the lowest such action, except where that would go round for ever.
        """
        graph = self.graph
        with np.errstate(invalid="ignore"):
            loss = np.where(np.isfinite(q), values[:, None] - q, np.inf)
        loss = loss.ravel()
        loss[self.inner] = 0.0
        usable = self.inner | self.kept
        inner_choice = _first(self.inner, graph.num_states, graph.num_actions)
        while True:
            near = usable & (loss <= slack)
            stays = self.in_group & (values <= slack)  # to leave such a group gains nothing
            choice = np.where(stays, inner_choice, _first(near, graph.num_states, graph.num_actions))
            fixed = np.zeros(graph.num_pairs, np.bool_)
            fixed[np.arange(graph.num_states) * graph.num_actions + choice] = True
            reached, _ = graph.reach(stays, (fixed & near)[graph.pair])
            found, rank = graph.reach(reached, near[graph.pair])
            if (found | self.hopeless).all():
                nearer = near & graph.pairs_where(graph.terminated | (rank[graph.to] < rank[graph.state]))
                choice = np.where(reached, choice, _first(nearer, graph.num_states, graph.num_actions))
                if (self.is_proper(choice) | self.hopeless).all():
                    available = graph.pairs_where(np.ones(graph.pair.size, np.bool_))
                    anything = _first(available, graph.num_states, graph.num_actions)
                    return np.where(self.hopeless, anything, choice).astype(np.int64)
            if slack == np.inf:
                raise RuntimeError("no proper policy was found where the graph says that there is one")
            slack = max(4.0 * slack, 1e-300) if slack < 1e300 else np.inf


def _first(mask: Bools, num_states: int, num_actions: int) -> Ints:
    """The first action of each state in a mask [S * A]; 0 where there is none."""
    first: Ints = mask.reshape(num_states, num_actions).argmax(axis=1)
    return first


def _select(mdp: MDP, graph: Graph, pairs: Bools) -> ExplicitArrays:
    """The arrays of a model with the outcomes of some pairs alone."""
    keep = pairs[graph.pair]
    sizes = np.bincount(graph.pair[keep], minlength=graph.num_pairs)
    chosen = Runs(
        offsets_of(sizes),
        graph.to[keep].astype(np.int32),
        graph.probability[keep],
        graph.reward[keep],
        graph.terminated[keep],
    )
    return mdp.arrays._replace(**read_only(chosen)._asdict())


def _refuse_unless_costly(mdp: MDP, graph: Graph, signs: NDArray[np.int8], inner: Bools, groups: Ints) -> None:
    """Raise for the first end component, but for moves inside groups, in which staying does not cost.

    The states of a group count as one. An end component that is left then has a reward somewhere, so a best gain of 0
    means that its rewards cancel.
    """
    first = np.full(graph.num_states, -1)
    grouped = np.flatnonzero(groups >= 0)
    first[groups[grouped][::-1]] = grouped[::-1]
    one = np.where(groups >= 0, first[groups], np.arange(graph.num_states))
    merged = replace(graph, state=one[graph.state], to=one[graph.to])
    alive, labels = merged.end_components(~inner)
    gaining = np.flatnonzero(alive & (signs > 0))
    doubtful = np.zeros(graph.num_states, np.bool_)
    doubtful[labels[one[gaining // graph.num_actions]]] = True
    outcomes = np.flatnonzero(alive[graph.pair] & doubtful[labels[merged.state]])
    label = labels[merged.state[outcomes]]
    outcomes = outcomes[np.lexsort((graph.pair[outcomes], merged.state[outcomes], label))]
    label = labels[merged.state[outcomes]]
    bounds = np.append(np.flatnonzero(np.diff(label, prepend=-1)), label.size)
    node_of = np.full(graph.num_states, -1)
    decisions = []
    for begin, end in itertools.pairwise(bounds.tolist()):
        run = outcomes[begin:end]
        nodes, here = np.unique(merged.state[run], return_inverse=True)
        node_of[nodes] = np.arange(nodes.size)
        starts = np.flatnonzero(np.diff(graph.pair[run], prepend=-1))
        node = here[starts]
        component = Component(
            graph.pair[run][starts],
            node,
            np.flatnonzero(np.diff(node, prepend=-1)),
            starts,
            node_of[merged.to[run]],
            graph.probability[run],
            graph.reward[run],
        )
        decision = decide(mdp, component, lambda s: int(node_of[one[s]]))
        if decision.sign != -1:
            mine = component.pairs[signs[component.pairs] > 0]
            decisions.append((int(mine.min()), decision, nodes))
        node_of[nodes] = -1
        if decision.sign == 1:
            break
    if decisions:
        pair, decision, nodes = next((d for d in decisions if d[1].sign == 1), min(decisions, key=lambda d: d[0]))
        inside = np.isin(one, nodes)
        _refuse(mdp, pair, decision, int(inside.sum()), merged=bool((groups[inside] >= 0).any()))


def _refuse(mdp: MDP, pair: int, decision: Decision, size: int, *, merged: bool) -> None:
    """Raise; where groups are `merged` into one state, the gain is not one of the steps of an agent."""
    state, action = divmod(pair, mdp.num_actions)
    where = f"state {state}"
    if mdp.states is not None:
        where += f" ({mdp.states[state]!r})"
    elif mdp.shape is not None:
        where += f" (row {state // mdp.shape[1]}, column {state % mdp.shape[1]})"
    if decision.sign == 1:
        gain = "" if decision.low == decision.high else "at least "
        amount = "more and more for ever" if merged else f"an average of {gain}{decision.low:.3g} a step"
        fault = f"an agent who stays collects {amount}, so the value is infinite"
    elif decision.sign == 0:
        fault = "the rewards cancel: the best average is exactly 0 a step, so the value has no limit"
    else:
        counted = ", where moves that can be undone at no cost count as none" if merged else ""
        fault = (
            f"the best average lies within [{decision.low:.3g}, {decision.high:.3g}] a step{counted}, too close to 0 "
            "to be decided in so large a component, so the value may be infinite"
        )
    raise ValueError(
        f"gamma = 1: from {where}, action {action} collects a positive reward, and an agent can come back to it for "
        f"ever without the episode ending (an end component of {size} states). There {fault}. "
        'Solve with gamma < 1, with horizon=T for T steps, or with criterion="average"'
    )
