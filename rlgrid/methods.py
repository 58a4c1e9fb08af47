"""Methods of dynamic programming by name: what one sweep does, and nothing of when to stop or of proofs.

    value_iteration          V_{i+1} = T V_i                                  Bellman (1957); Sutton & Barto, eq. 4.10
    gauss_seidel             in place, each action's own loop solved for      Puterman 1994, section 6.3.3
    shifted_value_iteration  all values shifted after each sweep              MacQueen 1966; see `rlgrid.shifted`
    prioritized_sweeping     the state with the greatest residual first       Moore & Atkeson 1993
    topological              strongly connected components in turn            Dai, Mausam, Weld & Goldsmith 2011

and those that keep a policy (`rlgrid.policy_iteration`): modified_policy_iteration, policy_iteration,
krylov_policy_iteration, shortest_path.

The order of sweeps in place is "alternating" (the order of the states and against it, in turn), "forward",
"backward", "distance" (breadth first from where episodes end, against the transitions: the order in which news
travels, so that one sweep carries it as far as it goes) or a permutation of the states. Where values are not shifted,
at gamma = 1 and on large grids, shifted_value_iteration is value_iteration. `choose` says what "auto" begins with.

A method changes values [S] in place and says how much each sweep changed them. What is believed of the result is
proven elsewhere (`rlgrid.certificate`), so a method may round as it likes, and may be exchanged for any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlgrid import shifted
from rlgrid.ordered import SETTLED, DistanceSweeps, applies
from rlgrid.policy_iteration import (
    KrylovPolicyIteration,
    ModifiedPolicyIteration,
    PolicyIteration,
    ShortestPath,
    check_deterministic,
)
from rlgrid.problem import EXPLICIT_PAIRS, Problem, magnitude
from rlgrid.reduced import Reduced, explicit_arrays
from rlgrid.shifted import ShiftedValueIteration, hand_over

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MANY_OUTCOMES = 1 << 16  # of a model for which "auto" tries shifted values first,
MIXING_OUTCOMES = 4  # if each pair has so many of them on average
RARE = 0.05  # of pairs that pay something else than the others
MANY_STATES = 1000  # of a model that is no grid, from which on "auto" works with policies
SMALL_COMPONENT = 64  # nodes of the strongly connected components that may rather be solved one after the other,
PROBES = 8  # of them that are tried first,
PROBE = 0.25  # of a sweep for each,
DRAINED = 0.25  # of the sweeps that gamma alone takes, which they must stay below;
UNFORESEEN = 8  # times as many sweeps as those promised are made at the most

EPSILON = float(np.finfo(np.float64).eps)

METHODS = (
    "auto",
    "value_iteration",
    "gauss_seidel",
    "shifted_value_iteration",
    "prioritized_sweeping",
    "topological",
    "modified_policy_iteration",
    "policy_iteration",
    "krylov_policy_iteration",
    "shortest_path",
)


class Method(Protocol):
    """What changes values.

    A method that can begin with better values than those it is given has a flag `guesses`: whether its first run may
    overwrite them; False unless set.
    """

    name: str
    backups: int  # (state, action) pairs backed up so far
    sweeps: int  # sweeps (or iterations) made so far

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        """Up to ``limit`` sweeps on ``values`` [S], in place; stops early once the spread of changes is <= enough.

        Returns the spread of each sweep made: max(0, greatest change) + max(0, -least change).
        """


def method_of(name: str, problem: Problem, model: MDP | GridModel, sweep_order: str | Ints = "alternating") -> Method:
    """The method of that name, ready for a problem.

    Args:
        sweep_order: of methods that sweep in place, as `rlgrid.reduced.check_order` returns it. "auto" is the order
            by distance.

    Raises:
        ValueError: if there is none.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {name!r}")
    if name == "shifted_value_iteration" and shifted.applies(problem):
        return ShiftedValueIteration(problem)
    if name in ("value_iteration", "shifted_value_iteration"):
        return ValueIteration(problem)
    chosen = name == "auto"
    if chosen:
        name = choose(problem, model)
        if name == "shifted_value_iteration":
            return ShiftedValueIteration(
                problem, lambda: method_of(choose(problem, model, mixes=False), problem, model, sweep_order)
            )
    if name == "gauss_seidel":
        on_grid = not problem.explicit and applies(model)
        if isinstance(sweep_order, str) and sweep_order == "auto":
            sweep_order = "distance" if problem.explicit or on_grid else "alternating"
        if isinstance(sweep_order, str) and sweep_order == "distance" and on_grid:
            return DistanceSweeps(model, problem.gamma)  # type: ignore[arg-type]
        if isinstance(sweep_order, str) and sweep_order == "alternating":
            return GaussSeidel(problem)
        if isinstance(sweep_order, str) and sweep_order == "distance" and _is_large_maze(problem, model):
            cells = DistanceSweeps(model, 1.0)  # type: ignore[arg-type]
            if cells.closed(problem.hopeless):
                return cells
        form = Reduced.of(problem, explicit_arrays(problem, model), sweep_order)
        return OrderedGaussSeidel(form, by_distance=isinstance(sweep_order, str) and sweep_order == "distance")
    arrays = explicit_arrays(problem, model)
    if name == "shortest_path":
        check_deterministic(model, arrays)
    if isinstance(sweep_order, str) and sweep_order in ("auto", "alternating"):
        sweep_order = "distance"
    form = Reduced.of(problem, arrays, sweep_order, by_component=name == "topological")
    if chosen and name == "krylov_policy_iteration" and _falls_apart(form):
        return Topological(form.by_component(), None if problem.gamma == 1.0 else lambda: KINDS[name](form))
    return KINDS[name](form)


def _falls_apart(form: Reduced) -> bool:
    """Whether all components are small; at gamma = 1, where sweeps of one may be slow without end, single nodes."""
    problem = form.problem
    if problem.falls_apart is None:
        largest = int(np.bincount(form.component).max(initial=0))
        problem.falls_apart = largest <= (SMALL_COMPONENT if problem.gamma < 1.0 else 1)
    return problem.falls_apart


def _is_large_maze(problem: Problem, model: MDP | GridModel) -> bool:
    """Whether a grid at gamma = 1 has no groups, and is large enough to be swept by its cells, not by its outcomes."""
    return (
        problem.gamma == 1.0
        and problem.offsets.size == 1
        and applies(model)
        and model.num_states * model.num_actions > EXPLICIT_PAIRS
    )


def choose(problem: Problem, model: MDP | GridModel, *, mixes: bool = True) -> str:
    """The method that "auto" begins with, from what can be seen of a model at a glance.

    - Gridworlds: sweeps in the order of distance, since news travels along corridors. At gamma = 1 only large ones
      without wind or places to stay.
    - Models with many outcomes an action: values shifted after each sweep, since differences die out fast where
      everything leads everywhere (``mixes`` False: it was tried, and they do not).
    - Models whose episodes end and whose pairs nearly all pay the same, gamma < 1: sweeps in the order of distance too,
      since values come from a few places, as on FrozenLake.
    - Other large models: policies, evaluated as exactly as is worth while, whatever the chain is like. At gamma = 1
      proofs need values that are more exact than sweeps leave them. Where all strongly connected components turn out
      to be small, `method_of` takes them one after the other instead.
    - Small ones: sweeps in the order of distance; whatever is slow there is handed on later (`rlgrid.solve`).
    """
    on_grid = problem.gamma < 1.0 and getattr(model, "shape", None) is not None
    if not problem.explicit or on_grid or _is_large_maze(problem, model):
        return "gauss_seidel"
    outcomes = problem.arrays.next_state.size
    if mixes and shifted.applies(problem) and outcomes >= max(MANY_OUTCOMES, MIXING_OUTCOMES * problem.pairs):
        return "shifted_value_iteration"
    if problem.num_states < MANY_STATES or (problem.gamma < 1.0 and problem.survey.ends and _pays_rarely(problem)):
        return "gauss_seidel"
    return "krylov_policy_iteration"


def _pays_rarely(problem: Problem) -> bool:
    """Whether nearly all pairs have the same expected reward, so that values come from a few places, as on grids."""
    expected = problem.survey.expected
    usual = np.partition(expected, expected.size // 2)[expected.size // 2]
    return int(np.count_nonzero((expected != usual) & (expected > -np.inf))) < RARE * problem.pairs


class _InSweeps:
    """Sweeps made by `rlgrid.kernels.sweeps.run_sweeps`, from old values or in place."""

    name = ""
    in_place = False

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.backups = self.sweeps = 0
        self._room = np.empty(problem.num_states)

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.sweeps import run_sweeps

        problem = self.problem
        history = np.empty(limit)
        made = run_sweeps(
            problem.arrays,
            problem.scratch,
            problem.gamma,
            values,
            self._room,
            self.in_place,
            self.sweeps,
            limit,
            enough,
            history,
            problem.members,
            problem.offsets,
            problem.grouped,
        )
        self.sweeps += int(made)
        self.backups += int(made) * problem.pairs
        return history[:made]


class ValueIteration(_InSweeps):
    """Every state from the values of the sweep before (Jacobi)."""

    name = "value_iteration"

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        problem = self.problem
        if problem.explicit:
            return super().run(values, limit, enough)
        history = np.empty(limit)
        old, new, made = values, self._room, 0
        while made < limit:
            low, high = problem.sweep_into(old, new)
            old, new = new, old
            history[made] = max(0.0, high) + max(0.0, -low)
            made += 1
            if not enough < history[made - 1] < np.inf:
                break
        if old is not values:
            values[:] = old
        self.sweeps += made
        self.backups += made * problem.pairs
        return history[:made]


class GaussSeidel(_InSweeps):
    """Each new value is used at once; forwards and backwards in turn."""

    name = "gauss_seidel"
    in_place = True


class OrderedGaussSeidel:
    """Sweeps in place in a given order, over the reduced form of a model.

    In the order of distance and with values of its own to begin with, the first sweeps run over a window of levels
    that follows what has settled (`rlgrid.kernels.ordered` says why); as many backups as there are states count as one.
    """

    name = "gauss_seidel"

    def __init__(self, form: Reduced, *, by_distance: bool = False) -> None:
        self.form = form
        self.backups = self.sweeps = 0
        self.guesses = False
        self._by_distance = by_distance
        self._window = np.zeros(2, np.int64)
        self._starts = np.zeros(1, np.int64)  # where the levels begin; none as yet
        self._changes = np.zeros(0)

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.reduced import guess_and_levels, run_marching

        form = self.form
        arrays = form.arrays
        history = np.zeros(limit)
        if not self.guesses or self.sweeps:
            v = form.gather(values)
        elif self._by_distance:
            v, self._starts = guess_and_levels(*arrays, form.problem.undiscounted is None)
            self._changes = np.empty(self._starts.size - 1)
        else:
            v = form.guess()
        levels = self._starts, self._window, self._changes, SETTLED * enough
        made = int(run_marching(*arrays, v, *levels, enough, history))
        form.scatter(v, values)
        self.sweeps += made
        self.backups += made * form.pairs
        return history[:made]


class PrioritizedSweeping:
    """Backups of single states, the one with the greatest priority first; a sweep is as many as there are states.

    A priority is at least the Bellman residual of its state (`rlgrid.kernels.prioritized`), so nothing starves: the
    method ends only when no residual is above ``enough`` / 2, and the spread that it returns is twice the greatest
    priority, which is at least the spread of the next sweep over all states.
    """

    name = "prioritized_sweeping"

    def __init__(self, form: Reduced) -> None:
        self.form = form
        self.backups = self.sweeps = 0
        self.guesses = False
        self._priority = np.zeros(form.nodes)
        self._last: Floats | None = None  # where the last run ended
        self._queued: tuple[Any, ...] = ()  # the queues, and for how much of a spread they were made
        self._above = np.inf

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.prioritized import prioritized, queues
        from rlgrid.kernels.reduced import residuals

        form = self.form
        v = form.guess() if self.guesses and not self.sweeps else form.gather(values)
        if self._last is None or not np.array_equal(v, self._last):
            residuals(*form.arrays, v, self._priority)
            np.abs(self._priority, out=self._priority)
            self.backups += form.pairs
            self._queued = ()
        if not self._queued or enough != self._above:
            self._queued, self._above = queues(self._priority, enough), enough
        history, backups = np.zeros(limit), np.zeros(1, np.int64)
        given = v, self._priority, *self._queued, limit, enough, history, backups
        made = prioritized(*form.arrays, *form.edges, *given)
        form.scatter(v, values)
        self._last = v
        self.sweeps += int(made)
        self.backups += int(backups[0])
        return history[:made]


class Topological:
    """Strongly connected components of the transitions, those that others lead to first, each solved before the next.

    After one sweep over all states every component is swept to and fro until its spread is at most half of what is
    enough; states in no cycle take one backup each. Then the residual is measured, and where it is not small enough,
    a next pass is four times as strict. A sweep is as many backups as there are states; while a pass is under way its
    spread is that of the last measurement.

    Args:
        otherwise: makes the method that takes over where components do not settle much sooner than gamma alone makes
            them: where hardly anything leads out of them, small ones are as slow as a large one. None to go on.
    """

    name = "topological"

    def __init__(self, form: Reduced, otherwise: Callable[[], Method] | None = None) -> None:
        self.form, self.otherwise = form, otherwise
        self.backups = self.sweeps = 0
        self.guesses = False
        self._at = -1  # the component that comes next; -1 between passes
        self._strict = np.inf  # the spread to which components are swept
        self._spread = np.inf
        self._last: Floats | None = None
        self._other: Method | None = None
        self._left = np.inf  # sweeps after which the other method takes over in any case

    @property
    def paced(self) -> bool:
        """Whether the method itself hands over where it is slow; its spread does not tell."""
        return self.otherwise is not None and self._other is None

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.reduced import run_components, sweep

        form = self.form
        history = np.zeros(limit)
        made = 0
        if self._other is None:
            v = form.guess() if self.guesses and not self.sweeps else form.gather(values)
            if self._last is None or not np.array_equal(v, self._last):
                self._at = -1
        while made < limit and self._other is None:
            if self._at < 0:
                low, high = sweep(*form.arrays, v, 0, form.nodes, False)
                self.backups += form.pairs
                self._spread = high - low
                rests = 4.0 * EPSILON * magnitude(v)  # to and fro, last digits may chase each other for ever
                self._strict = max(min(0.5 * enough, 0.25 * self._strict), rests)
                self._at = 0
                if self.sweeps == made == 0 and self.otherwise is not None and self._is_slow(v):
                    self._other = self.otherwise()
            else:
                self._at, _, pairs = run_components(
                    *form.arrays, form.starts, v, self._at, self._strict, max(1, form.nodes)
                )
                self.backups += int(pairs)
                if self._at == form.starts.size - 1:
                    self._spread = self._measure(v)
                    self._at = -1
                elif self.sweeps + made >= self._left and self.otherwise is not None:
                    self._other = self.otherwise()
            history[made] = self._spread
            made += 1
            if not enough < self._spread < np.inf:
                self._at = -1
                break
        if made:
            form.scatter(v, values)
            self._last = v
            self.sweeps += made
        if made == 0 and self._other is not None:  # a run ends where the other takes over
            return hand_over(self, self._other, values, limit, enough)
        return history[:made]

    def _is_slow(self, v: Floats) -> bool:
        """Whether components, going by a few of them, take too many of the sweeps that gamma alone takes."""
        from rlgrid.kernels.reduced import probe

        form = self.form
        alone = np.log(max(self._spread / self._strict, 1.0)) / -np.log(max(form.problem.gamma, EPSILON))
        sweeps, pairs = probe(*form.arrays, form.starts, v.copy(), self._strict, PROBES, PROBE * form.nodes)
        self.backups += int(pairs)
        self._left = UNFORESEEN * max(sweeps, 1.0)
        return bool(sweeps > DRAINED * alone)

    def _measure(self, v: Floats) -> float:
        from rlgrid.kernels.reduced import residuals

        change = np.empty_like(v)
        residuals(*self.form.arrays, v, change)
        self.backups += self.form.pairs
        return float(change.max(initial=0.0) - change.min(initial=0.0))


KINDS: dict[str, Callable[[Reduced], Method]] = {
    "prioritized_sweeping": PrioritizedSweeping,
    "topological": Topological,
    "modified_policy_iteration": ModifiedPolicyIteration,
    "policy_iteration": PolicyIteration,
    "krylov_policy_iteration": KrylovPolicyIteration,
    "shortest_path": ShortestPath,
}
