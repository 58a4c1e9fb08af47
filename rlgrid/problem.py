"""A model at one gamma, ready for sweeps; taken apart once and remembered."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rlgrid.compressed import compressed
from rlgrid.undiscounted import Undiscounted

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXPLICIT_PAIRS = 1 << 16  # grids of at most so many pairs are swept in their explicit form, which is faster
TIE = 1e-12  # actions whose values differ by less than this times the scale of the values count as equal
REMEMBERED = 4  # gammas for which a model's problem is kept

_NO_STATES = np.zeros(0, np.int64)
_NO_GROUPS = np.zeros(1, np.int64)
_NO_TABLE = np.zeros((0, 0))
_NO_FLAGS = np.zeros(0, np.bool_)


class Problem:
    """A model at one gamma, ready for sweeps: its arrays, and at gamma = 1 what was found out about its graph."""

    def __init__(self, model: MDP | GridModel, gamma: float) -> None:
        from rlgrid.kernels.model import ExplicitArrays
        from rlgrid.kernels.rounding import rounding
        from rlgrid.kernels.sweeps import scratch_of

        self.gamma = gamma
        self.num_states, self.num_actions = model.num_states, model.num_actions
        self.undiscounted: Undiscounted | None = None
        self.members, self.offsets, self.grouped = _NO_STATES, _NO_GROUPS, _NO_FLAGS
        self.hopeless: NDArray[np.bool_] | None = None
        if gamma == 1.0:
            self.undiscounted = Undiscounted.of(model.to_mdp())
            self.arrays: Any = self.undiscounted.arrays
            self.whole: Any = self.undiscounted.whole
            self.members, self.offsets = self.undiscounted.members, self.undiscounted.offsets
            self.grouped = self.undiscounted.in_group
            if self.undiscounted.hopeless.any():
                self.hopeless = self.undiscounted.hopeless
        else:
            self.arrays = self.whole = model.to_mdp().arrays if _is_better_explicit(model) else model.arrays
        self.scratch = scratch_of(self.arrays)
        self.explicit = isinstance(self.arrays, ExplicitArrays)
        pairs = np.count_nonzero(np.diff(self.arrays.offsets)) if self.explicit else self.num_states * self.num_actions
        self.pairs = int(pairs)
        self.largest_reward = float(rounding(self.arrays, 0.0, np.empty(self.num_states)))
        self._compressed: list[CompressedArrays] = []  # one at most; copies at other gammas share it

    @classmethod
    def of(cls, model: MDP | GridModel, gamma: float) -> Problem:
        """The problem of a model; taken apart once and remembered as long as the model lives."""
        known = _PROBLEMS.setdefault(model, {})
        problem = known.get(gamma)
        if problem is None:
            plain = next((other for other in list(known.values()) if other.undiscounted is None), None)
            if gamma < 1.0 and plain is not None:  # below 1 all gammas have the same arrays
                problem = copy(plain)
                problem.gamma = gamma
            else:
                problem = cls(model, gamma)
            while len(known) >= REMEMBERED:  # the oldest goes, but never what was found out at gamma = 1
                known.pop(next(other for other in list(known) if other != 1.0), None)
            known[gamma] = problem
        return problem

    @classmethod
    def plain(cls, model: MDP | GridModel, gamma: float) -> Problem:
        """The model as it is, also at gamma = 1: over a finite horizon nothing has to be taken apart."""
        problem = copy(cls.of(model, gamma if gamma < 1.0 else 0.5))
        problem.gamma = gamma
        return problem

    @property
    def compressed(self) -> CompressedArrays:
        """The compressed form of explicit `arrays` (at gamma = 1 of the kept pairs); built when first asked."""
        if not self._compressed:
            self._compressed.append(compressed(self.arrays))
        return self._compressed[0]

    def start(self, values: Floats | None = None) -> Floats:
        """Values to begin with: a copy of those given, or zeros; -inf where nothing else is possible."""
        v = np.zeros(self.num_states) if values is None else values.copy()
        if self.hopeless is not None:
            v[~np.isfinite(v)] = 0.0
            v[self.hopeless] = -np.inf
        self._tie_highest(v)
        return v

    def least_reward(self) -> float:
        """At most the smallest reward there is."""
        m = self.arrays
        if hasattr(m, "reward"):
            return float(m.reward.min(initial=0.0))
        step = min(float(m.step_reward.min()), float(m.bump_reward.min()))
        return step + min(0.0, float(m.enter_reward.min())) + float(m.leave_reward.min())

    def _backup(
        self, arrays: Any, v: Floats, q: Floats = _NO_TABLE, follow: Ints = _NO_STATES, policy: Ints = _NO_STATES
    ) -> Floats:
        from rlgrid.kernels.sweeps import backup

        w = np.empty_like(v)
        backup(arrays, self.scratch, self.gamma, v, w, q, follow, policy, TIE * magnitude(v) if policy.size else 0.0)
        return w

    def sweep(self, v: Floats, plus: Floats | None = None) -> Floats:
        """T v, plus something before groups are tied."""
        w = self._backup(self.arrays, v)
        if plus is not None:
            w += plus
        self._tie_highest(w)
        return w

    def sweep_policy(self, policy: Ints, v: Floats, minus: Floats | None = None) -> Floats:
        """T_pi v, less something."""
        w = self._backup(self.arrays, v, follow=policy)
        if minus is not None:
            w -= minus
        return w

    def _tie_highest(self, v: Floats) -> None:
        if self.offsets.size > 1:
            from rlgrid.kernels.sweeps import tie_highest

            tie_highest(v, self.members, self.offsets)

    def above(self, v: Floats) -> Floats:
        """At least T v, rounding included, of an explicit model."""
        from rlgrid.kernels.rounding import image_above
        from rlgrid.kernels.sweeps import tie_highest

        w = np.empty_like(v)
        image_above(self.arrays, self.gamma, v, w)
        tie_highest(w, self.members, self.offsets)
        return w

    def below(self, leaving: Ints, v: Floats) -> Floats:
        """At most T_pi v, rounding included, of a `leaving` policy, groups at their lowest exit; explicit models."""
        from rlgrid.kernels.rounding import image_below
        from rlgrid.kernels.sweeps import tie_lowest

        w = np.empty_like(v)
        image_below(self.arrays, self.gamma, leaving, v, w)
        tie_lowest(w, self.members, self.offsets)
        return w

    def leaving(self, policy: Ints) -> Ints:
        """The policy with -1 where it moves about inside a group."""
        if self.undiscounted is None:
            return policy
        inner = self.undiscounted.inner[np.arange(self.num_states) * self.num_actions + policy]
        return np.where(inner, -1, policy)

    def q_values(self, v: Floats) -> Floats:
        """float64 [S, A], of all pairs."""
        q = np.empty((self.num_states, self.num_actions))
        self._backup(self.whole, v, q)
        return q

    def policy(self, v: Floats) -> Ints:
        """The first action among the best (within rounding); at gamma = 1 changed where it would not be proper."""
        if self.undiscounted is not None:
            return self.undiscounted.proper_policy(self.sweep(v), self.q_values(v), TIE * magnitude(v))
        policy = np.zeros(self.num_states, np.int64)
        self._backup(self.arrays, v, policy=policy)
        return policy

    def rounding(self, scale: float) -> Floats:
        """float64 [S]: how far a computed backup may be from the exact one where |v| <= scale."""
        from rlgrid.kernels.rounding import rounding

        error = np.empty(self.num_states)
        rounding(self.arrays, scale, error)
        return error

    def finite(self, v: Floats) -> Floats:
        """Without the hopeless states, which are at -inf."""
        return v if self.hopeless is None else v[~self.hopeless]


def _is_better_explicit(model: MDP | GridModel) -> bool:
    """Whether sweeps take the explicit form: an MDP, a small grid (it is faster), a grid with wind."""
    wind = getattr(model, "column_wind", None)
    return (
        wind is None
        or model.num_states * model.num_actions <= EXPLICIT_PAIRS
        or bool(wind.any() or model.row_wind.any())  # type: ignore[union-attr]
    )


_PROBLEMS: WeakKeyDictionary[Any, dict[float, Problem]] = WeakKeyDictionary()


def magnitude(v: Floats) -> float:
    """The largest |v| among finite values, 0 if there is none."""
    finite = np.abs(v[np.isfinite(v)])
    return float(finite.max()) if finite.size else 0.0
