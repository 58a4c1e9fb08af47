"""Relative value iteration and policy iteration for the average reward, one step at a time.

`value_iteration`: relative value iteration, h <- h + .8 (T h - h) less a constant; the damping makes every policy
aperiodic (Puterman 1994, sections 8.5.4 and 8.5.5), and the span of T h - h, which is the width of the bounds but for
the policy, goes to 0. `policy_iteration`: Howard's for models with several classes (Puterman, section 9.2.1) with each
policy's gain and bias by elimination or sparse factors (`policy_values`); a state keeps its action unless another is
better by more than rounding.

Nothing here says when to stop: `rlgrid.average` does, by the bounds of `rlgrid.average_model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from rlgrid.average_model import Parts, error_within, middle
from rlgrid.compressed import sweep
from rlgrid.parallel import SMALLEST_PIECE, in_pieces
from rlgrid.policy_evaluation import gain_and_bias
from rlgrid.problem import magnitude
from rlgrid.sweeps import check_initial

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAMPING = 0.8  # cycles settle fastest at 1/2, slow walks at 1; this is near enough to both
EPSILON = float(np.finfo(np.float64).eps)


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
        policy = np.zeros(v.size, np.int64)
        slack = 4.0 * EPSILON * magnitude(v[self.part >= 0])
        sweep(self.arrays, 1.0, v, self._room, policy, slack)
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
        model: the model. asked: the method asked for. ran: those that ran. sweeps: sweeps or iterations made.
        backups: pairs backed up.
        values: float64 [S], the relative values h. residual: float64 [S], their change in the last sweep.
    """

    def __init__(self, model: MDP | GridModel, method: str, initial_values: ArrayLike | None = None) -> None:
        given = check_initial(initial_values, model.num_states)
        self.model, self.asked = model, method
        self.ran: tuple[str, ...] = ()
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

    @property
    def method(self) -> str:
        """What ran, in the order in which it began: "value_iteration", "policy_iteration" or both; first what would."""
        if self.ran:
            return ", ".join(self.ran)
        return "value_iteration" if self.asked == "auto" else self.asked

    def without_end(self) -> Chain:
        """What to sweep over where going on for ever is known to be better than to end: pairs that never end."""
        part = np.append(np.where(self.parts.over, -1, 0), -1)
        self.whole, self._proof = Chain(self.parts, ~self.parts.ending, part), None
        return self.whole

    def run(self, chain: Chain, limit: int, enough: float) -> Floats:
        """Damped sweeps; the spread of the changes of each."""
        self._runs("value_iteration")
        spreads = chain.run(self._v, limit, enough)
        self.sweeps += spreads.size
        self.backups += spreads.size * chain.pairs
        self._policy = self._proof = None
        return spreads

    def iterate(self, chain: Chain, policy: Ints) -> Ints:
        """Evaluate a policy, which becomes `policy()` and its bias `values`; returns the improved one."""
        self._runs("policy_iteration")
        gain, bias = chain.evaluate(policy)
        self.sweeps += 1
        self.backups += chain.pairs
        self._v, self._policy, self._proof = bias, policy, None
        return chain.improve(policy, gain, bias)

    def _runs(self, name: str) -> None:
        if name not in self.ran:
            self.ran = (*self.ran, name)

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
                if self.model.available is not None:  # comparing nan chooses any
                    policy = np.where(self.model.available[np.arange(policy.size), policy], policy, first)
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
        return error_within(middle(lower, upper), lower, upper)
