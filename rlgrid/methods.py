"""Methods of dynamic programming by name: what one sweep does, and nothing of when to stop or of proofs.

    value_iteration        V_{i+1} = T V_i                                    Bellman (1957); Sutton & Barto, eq. 4.10
    gauss_seidel           the same in place, each action's own loop solved for        Puterman 1994, section 6.3.3

The order of sweeps in place is "alternating" (the order of the states and against it, in turn), "forward",
"backward", "distance" (breadth first from where episodes end, against the transitions: the order in which news
travels, so that one sweep carries it as far as it goes) or a permutation of the states.

A method changes values [S] in place and says how much each sweep changed them. What is believed of the result is
proven elsewhere (`rlgrid.certificate`), so a method may round as it likes, and may be exchanged for any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rlgrid.problem import Problem
from rlgrid.reduced import Reduced, explicit_arrays

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS = ("auto", "value_iteration", "gauss_seidel")


class Method(Protocol):
    """What changes values."""

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
            by distance where the outcomes are written out, and alternating on large grids.

    Raises:
        ValueError: if there is none.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {name!r}")
    if name == "value_iteration":
        return ValueIteration(problem)
    if isinstance(sweep_order, str) and sweep_order == "auto":
        sweep_order = "distance" if problem.explicit else "alternating"
    if isinstance(sweep_order, str) and sweep_order == "alternating":
        return GaussSeidel(problem)
    return OrderedGaussSeidel(Reduced.of(problem, explicit_arrays(problem, model), sweep_order))


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


class GaussSeidel(_InSweeps):
    """Each new value is used at once; forwards and backwards in turn."""

    name = "gauss_seidel"
    in_place = True


class OrderedGaussSeidel:
    """Sweeps in place in a given order, over the reduced form of a model."""

    name = "gauss_seidel"

    def __init__(self, form: Reduced) -> None:
        self.form = form
        self.backups = self.sweeps = 0

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.reduced import run_in_place

        history = np.zeros(limit)
        v = self.form.gather(values)
        made = run_in_place(*self.form.arrays, v, False, self.sweeps, limit, enough, history)
        self.form.scatter(v, values)
        self.sweeps += int(made)
        self.backups += int(made) * self.form.pairs
        return history[:made]
