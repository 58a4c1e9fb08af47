"""Value iteration one sweep at a time, with what is proven after each.

    V_{i+1}(s) = max_a sum_k p_k (r_k + gamma V_i(s_k))           Bellman (1957); Sutton & Barto, 2nd ed., eq. 4.10

Nothing here decides when to stop: `rlgrid.solve` does, and so do an agent and a window that show V_0, V_1, V_2 ...
Bounds cost a few sweeps and are worked out when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.certificate import Certificate, certify, distance
from rlgrid.mdp import check_gamma
from rlgrid.methods import METHODS, OrderedGaussSeidel, method_of
from rlgrid.policy_evaluation import check_model
from rlgrid.problem import Problem, magnitude
from rlgrid.reduced import check_order

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHOWN_TIE = 1e-9  # `Sweeps.greedy`: actions within this share of the scale of the values are shown as equally good
GLANCE, GLANCE_BACKUPS = 300, 3_000_000  # what bounds at gamma = 1 may take while they are only looked at


class Sweeps:
    """Value iteration one sweep at a time; what `solve` is built on.

    Args:
        model: the model. gamma: the discount factor; the model's if None.
        method: a name of `rlgrid.methods.METHODS`.
        initial_values: float [S], V_0; zeros if None.
        sweep_order: of sweeps in place, see `solve`.

    Attributes:
        values: float64 [S], V_i after i sweeps. residual: float64 [S], the change of the last sweep (0 before one).
        sweeps: i.

    At gamma = 1 states that can be reached from each other at no cost are tied to one value, and states that can
    neither end the episode nor rest at no cost are at -inf from the start (`rlgrid.undiscounted`).

    Raises:
        ValueError, TypeError: on bad arguments, or where values may be infinite.
    """

    def __init__(
        self,
        model: MDP | GridModel,
        gamma: float | None = None,
        method: str = "value_iteration",
        initial_values: ArrayLike | None = None,
        sweep_order: str | ArrayLike = "alternating",
    ) -> None:
        check_model(model)
        self.model = model
        self.gamma = check_gamma(model.gamma if gamma is None else gamma)
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        given = check_initial(initial_values, model.num_states)
        self._problem = Problem.of(model, self.gamma)
        order = check_order(sweep_order, model.num_states)
        self._method = method_of(method, self._problem, model, order)
        self.values = self._problem.start(given)
        self.residual = np.zeros(model.num_states)
        self._certificate: tuple[int, float, Certificate] | None = None

    @property
    def method(self) -> str:
        """The name of the method that is at work."""
        return self._method.name

    @property
    def sweeps(self) -> int:
        return self._method.sweeps

    @sweeps.setter
    def sweeps(self, made: int) -> None:
        self._method.sweeps = made

    @property
    def backups(self) -> int:
        """(state, action) pairs backed up so far."""
        return self._method.backups

    def _start_low(self) -> None:
        if hasattr(self._method, "guesses"):
            self._method.guesses = True
            return
        least = self._problem.least_reward()
        if self.gamma < 1.0 and least < 0.0:
            low = least / (1.0 - self.gamma)
            if low > -1e100:
                self.values = np.where(self.model.absorbing, 0.0, low)

    def hand_over(self, method: str) -> None:
        """Go on from the present values by another method; both are named in `method` from now on."""
        before = self._method
        self._method = method_of(method, self._problem, self.model, "distance")
        self._method.sweeps, self._method.backups = before.sweeps, before.backups
        self._method.name = f"{before.name}, {self._method.name}"

    @property
    def rounding(self) -> float:
        """How far rounding may move a value in one sweep, at the most."""
        return self._problem.largest_rounding(magnitude(self.values))

    @property
    def first_chunk(self) -> int:
        """How many sweeps may be run in one piece before it is known how long one takes."""
        states = max(1, self.model.num_states)
        if hasattr(self._method, "form") and not isinstance(self._method, OrderedGaussSeidel):
            return max(1, min(16, 100_000 // states))  # a sweep of policies or of a queue may take hundreds of passes
        return max(1, min(64, 200_000_000 // states))

    @property
    def steps(self) -> int:
        """How many steps a way to the end may take, as far as the method knows; 1 if it does not."""
        return getattr(self._method, "steps", 1)

    @property
    def paced(self) -> bool:
        """Whether the method itself leaves its work to another one where it is slow."""
        return getattr(self._method, "paced", False)

    @property
    def settled(self) -> bool:
        """Whether a method that keeps a policy has found none better."""
        return getattr(self._method, "settled", False)

    def sweep(self) -> None:
        """One sweep over all states."""
        before = self.values.copy()
        self.run(1, 0.0)
        with np.errstate(invalid="ignore"):
            change = np.subtract(self.values, before, out=before)
        unknown = np.isnan(change)  # values that were infinite and are
        if unknown.any():
            change[unknown] = 0.0
        self.residual = change

    def run(self, limit: int, enough: float) -> Floats:
        """Up to ``limit`` sweeps in one piece, until their spread of changes is at most ``enough``.

        Returns the spread of each sweep, max(0, max change) + max(0, -min change). `residual` is left as it was.
        """
        spreads = self._method.run(self.values, limit, enough)
        self._certificate = None
        return spreads

    def q_values(self) -> Floats:
        """float64 [S, A]: q of every pair under the present values; -inf where an action is not available."""
        return self._problem.q_values(self.values)

    def policy(self) -> Ints:
        """int64 [S]: the first of the best actions; at gamma = 1 proper (it ends episodes), whatever ties say."""
        return self._problem.policy(self.values)

    def greedy(self) -> NDArray[np.bool_]:
        """bool [S, A]: all the best actions, equal up to 1e-9 of the scale of the values."""
        q = self.q_values()
        best = q.max(axis=1, keepdims=True)
        ties: NDArray[np.bool_] = (q >= best - SHOWN_TIE * magnitude(self.values)) & (q > -np.inf)
        return ties

    def certificate(self, patience: int | None = None, deadline: float = np.inf, enough: float = 0.0) -> Certificate:
        """Proven bounds from the present values; worked out when first asked for after a sweep.

        ``patience`` is how many sweeps a proof at gamma = 1 may take; few where the model is large, if None. None is
        begun after ``deadline`` (time.perf_counter). Bounds within ``enough`` of the values are not made tighter by a
        slower test.
        """
        if patience is None:
            patience = max(5, min(GLANCE, GLANCE_BACKUPS // max(1, self._problem.pairs)))
        known = self._certificate
        if known is None or known[0] < patience or known[1] > enough:
            known = (patience, enough, certify(self._problem, self.values, patience, deadline, enough))
            self._certificate = known
        return known[2]

    @property
    def lower(self) -> Floats:
        """float64 [S], proven: lower <= V^policy <= V*; -inf while nothing is proven."""
        return self.certificate().lower

    @property
    def upper(self) -> Floats:
        """float64 [S], proven: V* <= upper; +inf while nothing is proven."""
        return self.certificate().upper

    @property
    def error_bound(self) -> float:
        """Proven: max |values - V*| is at most this; inf while nothing is proven."""
        found = self.certificate()
        return distance(self.values, found.lower, found.upper)

    def converged(self, tolerance: float) -> bool:
        """Whether the present values are proven to be within ``tolerance`` of V*."""
        return self.error_bound <= tolerance


def is_false(answer: Any) -> bool:
    """Whether a callback said False, Python's or NumPy's; None goes on."""
    return isinstance(answer, bool | np.bool_) and not answer


def check_initial(given: ArrayLike | None, num_states: int) -> Floats | None:
    """``initial_values`` as float64 [S] of finite numbers, or None; an error that names what is wrong."""
    if given is None:
        return None
    if np.asarray(given).dtype.kind not in "biuf":
        raise TypeError(f"initial_values must be numbers, one a state, not {np.asarray(given).dtype}")
    values = np.array(given, dtype=np.float64)
    if values.shape != (num_states,):
        raise ValueError(f"initial_values must have shape ({num_states},), one value a state, not {values.shape}")
    wrong = np.flatnonzero(np.isnan(values) | (values == np.inf))
    if wrong.size:
        raise ValueError(f"initial value of state {wrong[0]} is {values[wrong[0]]}: it must be finite")
    values[values == -np.inf] = 0.0  # hopeless states of an earlier solution; they are found again
    return values
