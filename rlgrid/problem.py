"""A model at one gamma, ready for sweeps; taken apart once and remembered.

Sweeps run over one of two forms. An MDP, a small grid and a grid with wind have their outcomes written out. A large
grid is swept as it is, its backups a stencil over neighbours (`rlgrid.stencil`). At gamma = 1 outcomes are always
written out, since the graph has to be taken apart (`rlgrid.undiscounted`).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rlgrid.compressed import Survey, compressed, survey
from rlgrid.parallel import SMALLEST_PIECE, in_pieces
from rlgrid.undiscounted import Undiscounted

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.mdp import MDP
    from rlgrid.stencil import Stencil

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXPLICIT_PAIRS = 1 << 16  # grids of at most so many pairs are swept in their explicit form, which is faster
TIE = 1e-12  # actions count as equal where to take one for the other costs less than this share of the values in all,
ROUNDED = 2.0**-48  # or less than this share of them at a step: what rounding does to a backup
TIE_SHARE = 0.1  # of a tolerance, which ties may cost in all
OUTCOMES = 1 << 17  # of an explicit model that are worth a thread
CELLS = 1 << 12  # of a piece that is worth a thread where outcomes are worked out one by one
WRITTEN_OUT = 100_000_000  # pairs: beyond that the outcomes of a grid are not written out
SMALLER = 2.0**-64  # times this numbers near the largest float are swept without overflow,
TINY = 1e-280  # and count as no smaller than this where they are not 0
LARGEST = float(np.finfo(np.float64).max)
REMEMBERED = 4  # gammas for which a model's problem is kept

_NO_STATES = np.zeros(0, np.int64)
_NO_GROUPS = np.zeros(1, np.int64)
_NO_TABLE = np.zeros((0, 0))
_NO_FLAGS = np.zeros(0, np.bool_)
_NO_SCRATCH = _NO_STATES, _NO_TABLE


class Problem:
    """A model at one gamma, ready for sweeps: its arrays, and at gamma = 1 what was found out about its graph."""

    def __init__(self, model: MDP | GridModel, gamma: float) -> None:
        from rlgrid.kernels.model import ExplicitArrays
        from rlgrid.kernels.rounding import grid_rounding
        from rlgrid.kernels.sweeps import scratch_of

        self.gamma = gamma
        self.num_states, self.num_actions = model.num_states, model.num_actions
        self.undiscounted: Undiscounted | None = None
        self.members, self.offsets, self.grouped = _NO_STATES, _NO_GROUPS, _NO_FLAGS
        self.hopeless: NDArray[np.bool_] | None = None
        if gamma == 1.0:
            self.undiscounted = Undiscounted.of(written_out(model))
            self.arrays: Any = self.undiscounted.arrays
            self.whole: Any = self.undiscounted.whole
            self.members, self.offsets = self.undiscounted.members, self.undiscounted.offsets
            self.grouped = self.undiscounted.in_group
            if self.undiscounted.hopeless.any():
                self.hopeless = self.undiscounted.hopeless
        else:
            mdp = written_out(model) if _is_better_explicit(model) else None
            self.arrays = self.whole = model.arrays if mdp is None else mdp.arrays
        self.explicit = isinstance(self.arrays, ExplicitArrays)
        self.scratch = _NO_SCRATCH if self.explicit else scratch_of(self.arrays)
        self.stencil: Stencil | None = None if self.explicit else _stencil_of(self.arrays)
        if self.explicit:
            known = mdp.survey if gamma < 1.0 and mdp is not None else None
            self.survey: Survey = known or survey(self.num_states, self.num_actions, self.arrays[2:7])
            self.pairs = self.survey.pairs
            self.largest_reward = float(self.survey.largest.max())
        else:
            self.pairs = self.num_states * self.num_actions
            self.largest_reward = grid_rounding(self.arrays, 0.0)[0]
        self.falls_apart: bool | None = None  # into small components; found out where "auto" asks
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
                problem.gamma, problem.falls_apart = gamma, None
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
            self._compressed.append(compressed(self.arrays, self.survey, even=self.undiscounted is None))
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
        self,
        arrays: Any,
        v: Floats,
        q: Floats = _NO_TABLE,
        follow: Ints = _NO_STATES,
        policy: Ints = _NO_STATES,
        w: Floats | None = None,
        enough: float = 0.0,
    ) -> Floats:
        from rlgrid.kernels.sweeps import explicit_backup, grid_backup

        w = np.empty_like(v) if w is None else w
        slack = self.slack(magnitude(v), enough) if policy.size else 0.0
        if self.explicit:
            self._over_states(explicit_backup, *arrays[1:7], self.gamma, v, w, q, follow, policy, slack)
        else:
            given = (arrays, self.scratch, self.gamma, v, w, q, follow, policy, slack)
            in_pieces(lambda first, last: grid_backup(*(*given, first, last)), self.num_states)
        return w

    def sweep(self, v: Floats, plus: Floats | None = None) -> Floats:
        """T v, plus something before groups are tied."""
        if self.stencil is None:
            w = self._backup(self.arrays, v)
        else:
            w = np.empty_like(v)
            self.stencil.sweep(self.gamma, v, w, track=False)
        if plus is not None:
            w += plus
        self._tie_highest(w)
        return w

    def sweep_into(self, v: Floats, w: Floats) -> tuple[float, float]:
        """w = T v in one pass; the least and the greatest w - v, which is 0 where both are the same infinity."""
        if self.stencil is not None:
            return self.stencil.sweep(self.gamma, v, w)
        self._backup(self.arrays, v, w=w)
        self._tie_highest(w)
        with np.errstate(invalid="ignore"):
            change = np.where(w == v, 0.0, w - v)
        return float(change.min()), float(change.max())

    def sweep_policy(self, policy: Ints, v: Floats, minus: Floats | None = None) -> Floats:
        """T_pi v, less something."""
        if self.stencil is None:
            w = self._backup(self.arrays, v, follow=policy)
        else:
            w = np.empty_like(v)
            self.stencil.sweep(self.gamma, v, w, follow=policy, track=False)
        if minus is not None:
            w -= minus
        return w

    def image_above(self, v: Floats) -> Floats:
        """At least T v for gamma < 1: the computed sweep plus what rounding may have lost. v may hold +inf."""
        size = largest(v)
        return self._image_of_large(v, None) if self.overflows(size) else self.sweep(v, self.rounding(size))

    def image_below(self, policy: Ints, v: Floats) -> Floats:
        """At most T_pi v for gamma < 1, in the same way. v may hold -inf."""
        size = largest(v)
        if self.overflows(size):
            return self._image_of_large(v, policy)
        return self.sweep_policy(policy, v, self.rounding(size))

    def _image_of_large(self, v: Floats, policy: Ints | None) -> Floats:
        """`image_above` or `image_below` (of a policy) where a backup might leave the range of floats.

        The sweep runs over numbers 2^64 times smaller, where nothing overflows and what is lost by underflow is part of
        the bound (`rlgrid.kernels.rounding.UNDERFLOW`). A pair that may lead to a number that is not finite proves
        nothing: its image is +inf or -inf. No image is infinite to the other side, where the exact one may be finite.
        """
        small = copy(self)
        small.stencil = None
        m, known = self.arrays, np.isfinite(v)
        names = [name for name in m._fields if name.endswith("reward")]
        small.arrays = m._replace(**{name: _times(getattr(m, name), SMALLER) for name in names})
        if self.explicit:
            sizes = np.where(self.survey.largest > 0.0, np.maximum(self.survey.largest * SMALLER, TINY), 0.0)
            small.survey = self.survey._replace(largest=sizes)
        scaled = np.where(known, v, 0.0) * SMALLER
        error = small.rounding(max(magnitude(v) * SMALLER, TINY))
        if policy is None:
            image = small.sweep(scaled, error)
        else:
            image = small.sweep_policy(policy, scaled, error)
        with np.errstate(over="ignore"):
            image /= SMALLER
        if not known.all() and self.gamma > 0.0:
            none = m._replace(**{name: _times(getattr(m, name), 0.0) for name in names})
            leads = copy(small)
            leads.gamma = 1.0
            reaches = leads._backup(none, (~known).astype(np.float64), follow=_NO_STATES if policy is None else policy)
            image[reaches > 0.0] = np.inf if policy is None else -np.inf
        return np.maximum(image, -LARGEST) if policy is None else np.minimum(image, LARGEST)

    def overflows(self, scale: float) -> bool:
        """Whether a backup of values up to ``scale`` may leave the range of floats, where tests prove nothing."""
        return not 2.0 * (scale + self.largest_reward) < np.inf

    def holds_above(self, v: Floats) -> bool:
        """Whether `image_above` is found to be at most v; in one pass without an image on large grids."""
        size = largest(v)
        if self.stencil is None or self.overflows(size):
            return bool((self.image_above(v) <= v).all())
        return self.stencil.sweep(self.gamma, v, None, None, self.largest_rounding(size))[1] <= 0.0

    def holds_below(self, policy: Ints, v: Floats) -> bool:
        """Whether `image_below` is found to be at least v."""
        size = largest(v)
        if self.stencil is None or self.overflows(size):
            return bool((self.image_below(policy, v) >= v).all())
        return self.stencil.sweep(self.gamma, v, None, None, -self.largest_rounding(size), policy)[0] >= 0.0

    def _tie_highest(self, v: Floats) -> None:
        if self.offsets.size > 1:
            from rlgrid.kernels.sweeps import tie_highest

            tie_highest(v, self.members, self.offsets)

    def above(self, v: Floats) -> Floats:
        """At least T v, rounding included, worked out in differences of values."""
        from rlgrid.kernels.rounding import image_above
        from rlgrid.kernels.sweeps import tie_highest

        w = np.empty_like(v)
        if not self.explicit:
            return self._grid_image(v, _NO_STATES)
        self._over_states(image_above, *self.arrays[1:7], self.gamma, v, w)
        tie_highest(w, self.members, self.offsets)
        return w

    def below(self, leaving: Ints, v: Floats) -> Floats:
        """At most T_pi v, rounding included, of a `leaving` policy, groups at their lowest exit, in the same way."""
        from rlgrid.kernels.rounding import image_below
        from rlgrid.kernels.sweeps import tie_lowest

        w = np.empty_like(v)
        if not self.explicit:
            return self._grid_image(v, leaving)
        self._over_states(image_below, *self.arrays[1:7], self.gamma, leaving, v, w)
        tie_lowest(w, self.members, self.offsets)
        return w

    def _grid_image(self, v: Floats, follow: Ints) -> Floats:
        from rlgrid.kernels.rounding import grid_image

        m = self.arrays
        w = np.empty_like(v)
        given: tuple[Any, ...] = (
            *(m.height, m.width, m.num_actions, m.tiles, m.displacement, m.direction, m.slip, m.wall, m.terminal),
            *(m.step_reward, m.bump_reward, m.enter_reward, m.leave_reward, m.enter_to, m.leave_to),
            *(self.scratch[0], self.gamma, follow, v, w),
        )
        kernel: Any = grid_image
        in_pieces(lambda first, last: kernel(*given, first, last), v.size, CELLS)
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

    def slack(self, scale: float, enough: float = 0.0) -> float:
        """By how much q(s, a) may differ for actions to count as equal, where |v| <= scale.

        A slack of x at each step costs up to x / (1 - gamma) in all, so ties shrink with 1 - gamma; where ``enough`` is
        given, a tolerance, they cost at most a tenth of it.
        """
        slack = max(TIE * (1.0 - self.gamma), ROUNDED) * scale
        return min(slack, TIE_SHARE * enough * (1.0 - self.gamma)) if enough > 0.0 and self.gamma < 1.0 else slack

    def greedy(self, v: Floats, scale: float | None = None, enough: float = 0.0) -> tuple[Ints, float, float]:
        """The first action among the best (see `slack`), max(T v - v) and min(T_pi v - v) of it; gamma < 1.

        ``scale`` is magnitude(v), where it is known.
        """
        if self.stencil is not None:
            policy = np.empty(self.num_states, np.int64)
            slack = self.slack(magnitude(v) if scale is None else scale, enough)
            return policy, *self.stencil.greedy(self.gamma, v, policy, slack)
        policy, w, w_policy = self.greedy_images(v, enough)
        return policy, float((w - v).max()), float((w_policy - v).min())

    def greedy_images(
        self, v: Floats, enough: float = 0.0, known: tuple[float, float, float] | None = None
    ) -> tuple[Ints, Floats, Floats]:
        """The first action among the best (within rounding), T v and T_pi v of it; gamma < 1.

        ``known`` is extent(v), where it is known.
        """
        from rlgrid.kernels.compressed import greedy_images

        if not self.explicit:
            choice = np.zeros(self.num_states, np.int64)
            best = self._backup(self.arrays, v, policy=choice, enough=enough)
            return choice, best, self._backup(self.arrays, v, follow=choice)
        policy, w, w_policy = np.empty(self.num_states, np.int64), np.empty_like(v), np.empty_like(v)
        scale, every, highest = extent(v) if known is None else known
        slack = self.slack(scale, enough)
        most = self.gamma * (max(highest, 0.0) if self.survey.ends else highest)
        margin = 4.0 * slack + 16.0 * self.largest_rounding(scale)
        given = *self.arrays[1:7], self.gamma, v, self.survey.expected, most, margin, slack, policy, w, w_policy
        self._over_states(greedy_images, *given)
        return self._available(policy) if self.overflows(every) else policy, w, w_policy

    @property
    def goes_on(self) -> NDArray[np.bool_]:
        """bool [S]: the states with an outcome that does not end the episode; of a grid all but walls and ends."""
        if self.explicit:
            return self.survey.goes_on
        goes_on: NDArray[np.bool_] = ~(self.arrays.wall | self.arrays.terminal)[self.arrays.tiles]
        return goes_on

    def policy(self, v: Floats, slack: float | None = None) -> Ints:
        """The first action among the best (see `slack`); at gamma = 1 changed where it would not be proper.

        At gamma = 1 the slack may be given.
        """
        if self.undiscounted is not None:
            slack = self.slack(magnitude(v)) if slack is None else slack
            return self.undiscounted.proper_policy(self.sweep(v), self.q_values(v), slack)
        if self.stencil is not None:
            return self.greedy(v)[0]
        policy = np.zeros(self.num_states, np.int64)
        self._backup(self.arrays, v, policy=policy)
        return self._available(policy) if self.overflows(largest(v)) else policy

    def _available(self, policy: Ints) -> Ints:
        """The same, with the first action that is available in place of one that is not: comparing nan chooses any."""
        if not self.explicit:
            return policy
        there = np.diff(self.arrays.offsets).reshape(self.num_states, self.num_actions) > 0
        return np.where(there[np.arange(self.num_states), policy], policy, there.argmax(axis=1))

    def rounding(self, scale: float) -> Floats:
        """float64 [S]: how far a computed backup may be from the exact one where |v| <= scale."""
        if self.explicit:
            from rlgrid.kernels.certificate import explicit_rounding

            bound: Floats = explicit_rounding(*self.survey[1:4], scale)
            return bound
        from rlgrid.kernels.rounding import grid_rounding

        grid = self.arrays
        kinds: Floats = np.where(grid.wall | grid.terminal, 0.0, grid_rounding(grid, scale)[1])
        error: Floats = kinds[grid.tiles]
        return error

    def largest_rounding(self, scale: float) -> float:
        """The greatest of `rounding`; of a grid without an array [S]."""
        if self.explicit:
            from rlgrid.kernels.certificate import largest_rounding

            return float(largest_rounding(*self.survey[1:4], scale))
        from rlgrid.kernels.rounding import grid_rounding

        return float(grid_rounding(self.arrays, scale)[1])

    def _over_states(self, kernel: Any, *given: Any) -> None:
        """kernel(*given, first, last) over the states of an explicit model, by all cores."""
        smallest = max(1, OUTCOMES * self.num_states // max(1, int(self.arrays.next_state.size)))
        in_pieces(lambda first, last: kernel(*given, first, last), self.num_states, smallest)

    def finite(self, v: Floats) -> Floats:
        """Without the hopeless states, which are at -inf."""
        return v if self.hopeless is None else v[~self.hopeless]


def written_out(model: MDP | GridModel) -> MDP:
    """The explicit form of a model.

    Raises:
        ValueError: where it would take too much memory, with what to do.
    """
    pairs = model.num_states * model.num_actions
    if hasattr(model, "tiles") and pairs > WRITTEN_OUT:
        raise ValueError(
            f"the outcomes of a grid of {model.num_states:,} states would have to be written out, which takes some "
            f"{pairs * 3 * 40 / 2**30:.0f} GiB: gamma = 1, the average reward, wind, policy_values and all methods but "
            '"auto", "value_iteration" and "gauss_seidel" need that. Use gamma < 1 and one of these, or a smaller grid'
        )
    return model.to_mdp()


def _is_better_explicit(model: MDP | GridModel) -> bool:
    """Whether sweeps take the explicit form: an MDP, a small grid (it is faster), a grid with wind."""
    wind = getattr(model, "column_wind", None)
    return (
        wind is None
        or model.num_states * model.num_actions <= EXPLICIT_PAIRS
        or bool(wind.any() or model.row_wind.any())  # type: ignore[union-attr]
    )


def _stencil_of(grid: Any) -> Stencil | None:
    from rlgrid.stencil import Stencil

    return Stencil.of(grid)


def _times(rewards: Floats, factor: float) -> Floats:
    """Read-only as those of models: numba compiles a kernel for each kind of array."""
    product: Floats = rewards * factor
    product.setflags(write=False)
    return product


_PROBLEMS: WeakKeyDictionary[Any, dict[float, Problem]] = WeakKeyDictionary()


def magnitude(v: Floats) -> float:
    """The largest |v| among finite values, 0 if there is none."""
    return _largest(v)[0]


def largest(v: Floats) -> float:
    """The largest |v|; inf where one is infinite or not a number."""
    return _largest(v)[1]


def extent(v: Floats) -> tuple[float, float, float]:
    """`magnitude`, `largest` and the greatest of values [S]."""
    if v.size < SMALLEST_PIECE:
        from rlgrid.kernels.certificate import largest_numbers

        finite, every, highest = largest_numbers(v)
        return finite, every, highest
    return *_largest(v), float(v.max())


def _largest(v: Floats) -> tuple[float, float]:
    """The largest |v| among finite values, and among all."""
    if v.size < SMALLEST_PIECE:
        return extent(np.ascontiguousarray(v).reshape(-1))[:2]
    from rlgrid.kernels.stencil import largest_bits

    bits = np.ascontiguousarray(v).reshape(-1).view(np.int64)
    found = in_pieces(lambda first, last: largest_bits(first, last, bits), bits.size)
    finite, every = np.array(found, np.int64).max(axis=0).view(np.float64).tolist()
    return finite, float("inf") if np.isnan(every) else every
