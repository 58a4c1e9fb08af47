"""Methods that keep a policy: make it greedy, find out what it is worth, and so on.

    modified_policy_iteration   some sweeps of the policy alone         Puterman & Shin 1978; Puterman 1994, section 6.5
    policy_iteration            its exact value                         Howard 1960; Puterman 1994, section 6.4
    krylov_policy_iteration     BiCGSTAB to a share of the residual     Gargiani et al. 2024 (inexact policy iteration)
    shortest_path               every action has one outcome: Dijkstra 1959, and the exact value of paths and cycles

All work on the reduced form (`rlgrid.reduced`), where groups of gamma = 1 are nodes. A policy is made greedy in place,
in the order of the nodes: each choice sees the values that earlier choices of the same sweep gave, so that news
travels far in one iteration.

Why exact evaluation ends. Let pi be a policy, v = V^pi, and let the sweep in place give u and pi', where a choice
changes only for a q that is greater by more than ``slack``, and slack is more than twice the error of v and of q. Then
v <= u (up to less than the slack, which the strict inequality absorbs), T_pi' u >= u, hence V^pi' >= u >= V^pi, and in
a state whose choice changed V^pi' > V^pi. So no policy comes back, and there are finitely many. Ties keep the old
action. And whatever is known of errors: the sum of the values must rise with each evaluation.

A policy that is proper at gamma = 1 stays proper: in a recurrent class of pi' the mean reward would be at least the
mean of u - P u, which is 0, and more if a choice had changed there; but staying in any class of the reduced form
costs. When no choice changes, sweeps in place over all actions take care of what is within the slack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rlgrid.policy_evaluation import solve_chain
from rlgrid.problem import magnitude
from rlgrid.reduced import Reduced

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.kernels.model import ExplicitArrays
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EVALUATION_SWEEPS = 40  # at most, between two improvements of modified policy iteration
FORCING = 0.1  # the share of the residual to which a policy is evaluated where that is done inexactly,
LEAST_FORCING = 1e-9  # and at the least
MANY_TIMES = 5  # how many times more sweeps an evaluation may then take
ELIMINATED = 60  # up to so many nodes a policy is evaluated by elimination
FACTORISED = 2_000  # up to so many by sparse factors at once,
FACTORISED_AT_WORST = 500_000  # up to so many where BiCGSTAB fails
EPSILON = float(np.finfo(np.float64).eps)
KRYLOV_ROUNDS = 200  # of BiCGSTAB for one policy, at most
STUBBORN = 100  # iterations without progress after which policies are given up for plain sweeps


class _Policies:
    """What methods with a policy share: the choice of each node, and sweeps once no choice changes any more."""

    name = ""

    def __init__(self, form: Reduced) -> None:
        self.form = form
        self.backups = self.sweeps = 0
        self.guesses = False
        self.settled = False  # whether only sweeps are left to do
        self.choice: Ints = np.full(form.nodes, -1)
        self._last: Floats | None = None
        self._overflows = False
        self._most = int(np.diff(form.offsets).max(initial=0))  # outcomes of a pair
        self._largest_reward = magnitude(form.reward)

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.reduced import run_in_place

        form = self.form
        v = form.guess() if self.guesses and not self.sweeps else form.gather(values)
        history = np.zeros(limit)
        if self._last is None or not np.array_equal(v, self._last):
            self._begin(v)
        if limit and (self._overflows or not np.isfinite(v).all()):
            history[0] = np.inf
            self.sweeps += 1
            return history[:1]
        made = 0
        while made < limit and not self.settled:
            history[made] = self._iterate(v, enough)
            self.backups += form.pairs
            made += 1
            if not enough < history[made - 1] < np.inf:
                break
        if made == 0:  # a run ends where the policy settles
            made = int(run_in_place(*form.arrays, v, True, self.sweeps, limit, enough, history))
            self.backups += made * form.pairs
        form.scatter(v, values)
        self._last = v
        self.sweeps += made
        return history[:made]

    def _begin(self, v: Floats) -> None:
        """Choose greedily, and at gamma = 1 so that every episode may end."""
        self.settled = False
        self.choice[:] = -1
        self._improve(v.copy(), 0.0)
        none = self.choice < 0  # no pair of the node is worth a finite number
        self._overflows = bool(none.any())
        self.choice[none] = self.form.first_pair[:-1][none]
        if self.form.problem.undiscounted is not None:
            self._make_proper()

    def _make_proper(self) -> None:
        """Change the choice where the end cannot be reached for one that leads nearer to it, breadth first.

        Every node then has a path to the end of positive probability, and so each policy is proper: nodes that had one
        keep it (all nodes on it had one too), and any other has a step to a node found before it.
        """
        from rlgrid.kernels.reduced import nearer, outwards, reaches_end

        form = self.form
        starts, tails, _ = form.edges
        reached = reaches_end(form.offsets, form.to, form.leak, self.choice, starts, tails)
        if reached.all():
            return
        order = outwards(form.first_pair, form.ends, starts, tails, np.arange(form.nodes))
        rank = np.empty(form.nodes, np.int64)
        rank[order] = np.arange(form.nodes)
        ending = np.empty(form.nodes, np.int64)
        nearer(form.first_pair, form.offsets, form.to, form.leak, rank, ending)
        self.choice = np.where(reached, self.choice, ending)

    def _proper(self) -> bool:
        from rlgrid.kernels.reduced import reaches_end

        form = self.form
        if form.problem.undiscounted is None:
            return True
        starts, tails, _ = form.edges
        return bool(reaches_end(form.offsets, form.to, form.leak, self.choice, starts, tails).all())

    def _rounding(self, v: Floats) -> float:
        """More than twice what rounding may do to the difference of two q: 2 (n + 4) u (|r| + |v|) for n outcomes."""
        return 2.0 * (self._most + 4) * EPSILON * (self._largest_reward + magnitude(v))

    def _improve(self, v: Floats, slack: float) -> tuple[float, int]:
        from rlgrid.kernels.reduced import improve

        low, high, changed = improve(*self.form.arrays, v, self.choice, slack)
        return float(high - low), int(changed)

    def _krylov(self, x: Floats, wanted: float) -> float:
        """x towards the value of the policy by BiCGSTAB; max |residual|, at most ``wanted`` where that was reached."""
        from rlgrid.kernels.reduced import bicgstab

        form = self.form
        rest, rounds = bicgstab(*chain_under(form, self.choice), form.reward[self.choice], x, wanted, KRYLOV_ROUNDS)
        self.backups += (4 * int(rounds) + 1) * form.nodes  # two products and two preconditioners a round
        return float(rest)

    def _factorise(self, v: Floats) -> float:
        """v becomes the value of the policy by sparse factors; its error, inf (and v as it was) where that failed."""
        form = self.form
        if form.nodes > FACTORISED_AT_WORST:
            return np.inf
        starts, to, weight = chain_under(form, self.choice)
        transitions = csr_array((weight, to, starts), shape=(form.nodes, form.nodes))
        reward = form.reward[self.choice]
        solved, error = solve_chain(transitions, form.leak[self.choice], 1.0, reward[:, None], eliminated=ELIMINATED)
        if not (np.isfinite(solved).all() and np.isfinite(error)):
            return np.inf
        v[:] = solved[:, 0]
        return error

    def _iterate(self, v: Floats, enough: float) -> float:
        """One iteration; the spread of changes of its improvement."""
        raise NotImplementedError


class _Inexact(_Policies):
    """What methods share that evaluate policies only as well as the present spread makes worth while.

    `forcing` is the share of the spread to which they do. Where an iteration hardly reduces the spread the values
    were too rough to choose by, and the share becomes smaller; after many such iterations plain sweeps take over,
    which converge from anywhere.
    """

    def __init__(self, form: Reduced) -> None:
        super().__init__(form)
        self._exact = False  # whether v is the value of the policy to all digits
        self._forcing = FORCING
        self._least, self._without = np.inf, 0

    def _begin(self, v: Floats) -> None:
        super()._begin(v)
        self._exact = False
        self._forcing = FORCING
        self._least, self._without = np.inf, 0

    def _greedy(self, v: Floats, enough: float, slack: float) -> tuple[float, bool]:
        """Improve the policy: (spread, whether it is worth evaluating)."""
        spread, changed = self._improve(v, slack)
        if self._exact and not changed:
            self.settled = True
        if spread > 0.9 * self._least:
            self._forcing = max(0.1 * self._forcing, LEAST_FORCING)
        self._without = 0 if spread < 0.9 * self._least else self._without + 1
        self._least = min(self._least, spread)
        if self._without > STUBBORN:
            self.settled = True
        return spread, spread > enough and not self.settled


class ModifiedPolicyIteration(_Inexact):
    """Greedy in place, then sweeps of the policy alone until they change a tenth as much, or less (see `_Inexact`)."""

    name = "modified_policy_iteration"

    def _iterate(self, v: Floats, enough: float) -> float:
        from rlgrid.kernels.reduced import sweep_chosen

        spread, worth = self._greedy(v, enough, 0.0)
        if not worth:
            return spread
        form = self.form
        for n in range(int(EVALUATION_SWEEPS * min(MANY_TIMES, FORCING / self._forcing))):
            low, high = sweep_chosen(*form.arrays[1:], self.choice, v, n % 2 == 1)
            self.backups += form.nodes
            if not high - low > self._forcing * max(spread, enough):
                break
        return spread


class PolicyIteration(_Policies):
    """Howard's: the exact value of the policy, then a better one; see the module's text for why it ends."""

    name = "policy_iteration"

    def _begin(self, v: Floats) -> None:
        super()._begin(v)
        self._total = -np.inf

    def _iterate(self, v: Floats, enough: float) -> float:
        error = self._evaluate(v)
        self.backups += self.form.nodes
        before, self._total = self._total, float(v.sum())
        if not (np.isfinite(error) and self._total > before):
            self.settled = True
        slack = self._rounding(v) + 2.0 * error if np.isfinite(error) else np.inf
        spread, changed = self._improve(v, slack)
        if changed == 0 or not self._proper():
            self.settled = True
        return spread

    def _evaluate(self, v: Floats) -> float:
        """v becomes the value of the policy; how far it may be from it (inf, and v as it was, where that failed).

        Chains of many nodes that mix, whose factors would be dense, are solved by BiCGSTAB to all digits (its error is
        not proven and counts as 0); those that do not, by factors, which are sparse then.
        """
        form = self.form
        if form.nodes > FACTORISED:
            x = v.copy()
            wanted = 4.0 * EPSILON * (magnitude(v) + magnitude(form.reward[self.choice]))
            rest = self._krylov(x, wanted)
            if rest <= 64.0 * wanted and np.isfinite(x).all():
                v[:] = x
                return 0.0
        return self._factorise(v)


class KrylovPolicyIteration(_Inexact):
    """The value of the policy by BiCGSTAB, only as exact as the present residual makes worth while.

    Where BiCGSTAB fails sparse factors take its place, and sweeps of the policy where there are too many states.
    """

    name = "krylov_policy_iteration"

    def __init__(self, form: Reduced) -> None:
        super().__init__(form)
        self._by_krylov = True

    def _iterate(self, v: Floats, enough: float) -> float:
        from rlgrid.kernels.reduced import sweep_chosen

        form = self.form
        spread, worth = self._greedy(v, enough, self._rounding(v))
        if not worth:
            return spread
        if not self._proper():
            self._make_proper()
        wanted = self._forcing * max(spread, enough)
        if self._by_krylov:
            x = v.copy()
            rest = self._krylov(x, wanted)
            if rest <= wanted and np.isfinite(x).all():
                v[:] = x
                return spread
            self._by_krylov = False
        self._exact = bool(np.isfinite(self._factorise(v)))
        if not self._exact:
            for n in range(EVALUATION_SWEEPS):
                low, high = sweep_chosen(*form.arrays[1:], self.choice, v, n % 2 == 1)
                self.backups += form.nodes
                if not high - low > wanted:
                    break
        return spread


class ShortestPath(_Policies):
    """Every action has one outcome: best paths by Dijkstra, then policy iteration with values exact in linear time.

    Where no reward is above 0 and gamma = 1, Dijkstra's labels are the answer. Discounting, rewards and cycles that pay
    are taken care of by the iterations, each of which costs a sweep and a walk along every path.
    """

    name = "shortest_path"

    def _begin(self, v: Floats) -> None:
        from rlgrid.kernels.prioritized import labels

        form = self.form
        self.settled = False
        starts, tails, _ = form.edges
        labels(*form.arrays, starts, tails, v, self.choice)
        self.backups += form.pairs

    def _iterate(self, v: Floats, enough: float) -> float:
        from rlgrid.kernels.reduced import follow_paths

        form = self.form
        spread, changed = self._improve(v, self._rounding(v))
        if changed == 0 or not self._proper():
            self.settled = True
        elif follow_paths(form.offsets, form.to, form.weight, form.reward, form.leak, self.choice, v):
            self.backups += form.nodes
        else:
            self.settled = True
        return spread


def chain_under(form: Reduced, choice: Ints) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """The chain of a choice of pairs: (starts [n + 1], to [N], weight [N])."""
    from rlgrid.kernels.reduced import chain

    starts, to, weight = chain(form.offsets, form.to, form.weight, choice)
    return starts, to, weight


def check_deterministic(model: MDP | GridModel, m: ExplicitArrays) -> None:
    """Raise ValueError, naming a state and an action, where an action has more than one possible outcome."""
    possible = np.concatenate([[0], np.cumsum(m.probability > 0)])
    wrong = np.flatnonzero(possible[m.offsets[1:]] - possible[m.offsets[:-1]] > 1)
    if wrong.size:
        state, action = divmod(int(wrong[0]), m.num_actions)
        where = f"state {state}"
        shape = getattr(model, "shape", None)
        if shape is not None:
            where += f" (row {state // shape[1]}, column {state % shape[1]})"
        raise ValueError(
            f'method="shortest_path" is for deterministic models, but {where}, action {action} has several outcomes. '
            'Use "gauss_seidel", "policy_iteration" or "auto"'
        )
