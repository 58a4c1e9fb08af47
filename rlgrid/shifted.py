"""Value iteration whose values are shifted after each sweep: for models that forget quickly where they began.

    w = T v,   d = w - v,   v <- w + gamma / (1 - gamma) (max d + min d) / 2

Where no episode ends, T (v + c) = T v + gamma c for any constant c, so the shift costs no accuracy, and it leaves a
residual of gamma (max d - min d) / 2 at the most (MacQueen 1966; Puterman 1994, section 6.6). Differences of values
converge at the rate of the second eigenvalue of gamma P, not gamma: 16 sweeps instead of 300 where every state leads
to ten others at random.

Where episodes end the shift is that of aggregation into a single group (Bertsekas & Castanon 1989), sum(d) / sum(1 -
gamma k), where k(s) is the chance that the best action goes on. Where that has not made the spread of the changes
fall for some sweeps it is given up. Models that mix slowly (grids) gain little: when the spread falls too slowly
another method takes over, from the values that there were at first (its own start may matter to it).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rlgrid.parallel import in_pieces
from rlgrid.problem import Problem

if TYPE_CHECKING:
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.methods import Method

Floats = NDArray[np.float64]

PIECE = 1 << 17  # outcomes of a piece that is worth a thread
TRIAL, RATE = 6, 0.8  # after so many sweeps the spread must have fallen by this factor a sweep on average
PATIENCE = 20  # sweeps in which the spread must fall by a hundredth, or else values are shifted no more

_NO_POLICY = np.zeros(0, np.int64)


def applies(problem: Problem) -> bool:
    """Whether the values of a problem can be shifted: explicit models at gamma < 1."""
    return problem.explicit and problem.gamma < 1.0


class ShiftedValueIteration:
    """Sweeps from old values over the compressed form, each followed by a shift.

    Args:
        otherwise: makes the method that takes over where the spread falls slowly; None to go on in any case.
    """

    def __init__(self, problem: Problem, otherwise: Callable[[], Method] | None = None) -> None:
        if not applies(problem):
            raise ValueError("shifted_value_iteration is for explicit models (MDPs, small grids) with gamma < 1")
        self.problem, self.otherwise = problem, otherwise
        self.form = problem.compressed
        self.name = "shifted_value_iteration"
        self.backups = self.sweeps = 0
        self._room = np.empty(problem.num_states)
        self._begun: Floats | None = None
        self._other: Method | None = None
        self.guesses = False  # passed on to the other method, for which it is meant
        self._policy, self._goes_on = _NO_POLICY, self._room
        if (problem.arrays.terminated & (problem.arrays.probability > 0.0)).any():
            self._policy = np.zeros(problem.num_states, np.int64)
            self._goes_on = _continuing(self.form)
        self._first = self._least = np.inf
        self._without = 0
        self._shifts = True

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        form, gamma = self.form, self.problem.gamma
        smallest = max(1, PIECE * form.num_states // max(1, form.next_state.size))
        history = np.zeros(limit)
        made = 0
        v, w = values, self._room
        if self.otherwise is not None and self.sweeps == 0:
            self._begun = values.copy()
        while made < limit and self._other is None:
            found = in_pieces(partial(self._sweep, v, w), form.num_states, smallest)
            low, high = min(piece[0] for piece in found), max(piece[1] for piece in found)
            spread = max(0.0, high) + max(0.0, -low) if self._policy.size else high - low
            history[made] = spread
            made += 1
            self.sweeps += 1
            self.backups += self.problem.pairs
            if not self._policy.size:
                w += gamma / (1.0 - gamma) * 0.5 * (low + high)
            elif spread > enough and self._helps(spread):
                w += self._aggregated(v, w)
            v, w = w, v
            if not spread > enough:
                break
            if self._is_slow(spread) and self.otherwise is not None and self._begun is not None:
                self._other = self.otherwise()
                v, self._begun, self._room = self._begun, None, np.zeros(0)
        if v is not values:
            values[:] = v
        if self._other is not None and made < limit and (made == 0 or history[made - 1] > enough):
            rest = self._hand_over(self._other, values, limit - made, enough)
            history[made : made + rest.size] = rest
            made += rest.size
        return history[:made]

    def _sweep(self, v: Floats, w: Floats, first: int, last: int) -> tuple[float, float]:
        from rlgrid.kernels.compressed import sweep

        _, a, offsets, next_state, weight, reward, _ = self.form
        least, greatest = sweep(
            a, offsets, next_state, weight, reward, self.problem.gamma, v, w, self._policy, 0.0, first, last
        )
        return float(least), float(greatest)

    def _hand_over(self, other: Method, values: Floats, limit: int, enough: float) -> Floats:
        if self.guesses and hasattr(other, "guesses"):
            other.guesses = True
        self.guesses = False
        self.name = other.name
        before, backups = other.sweeps, other.backups
        spreads = other.run(values, limit, enough)
        self.sweeps += other.sweeps - before
        self.backups += other.backups - backups
        return spreads

    def _helps(self, spread: float) -> bool:
        """Whether to shift where episodes end: never again once it has not helped for some sweeps."""
        self._without += 1
        if spread < 0.99 * self._least:
            self._least, self._without = spread, 0
        self._shifts = self._shifts and self._without <= PATIENCE
        return self._shifts

    def _is_slow(self, spread: float) -> bool:
        if self.sweeps == 1:
            self._first = spread
        if self.sweeps % TRIAL != 0:
            return False
        slow = spread > self._first * RATE ** (TRIAL - (self.sweeps == TRIAL))
        self._first = spread
        return slow

    def _aggregated(self, v: Floats, w: Floats) -> Floats:
        """The shift of each state where episodes end: the same for all, and none in states that are over."""
        gamma = self.problem.gamma
        pair = np.arange(self.form.num_states) * self.form.num_actions + self._policy
        on = self._goes_on[pair]
        alive = on > 0.0
        rest = np.where(alive, 1.0 - gamma * on, 0.0)
        shift = float((w - v)[alive].sum()) / max(float(rest.sum()), 1e-300)
        return np.where(alive, gamma * on * shift, 0.0)


def _continuing(form: CompressedArrays) -> Floats:
    """float64 [S * A]: the chance of each pair that the episode goes on."""
    from rlgrid.kernels.compressed import sweep

    pairs = form.reward.size
    nothing, one, result = np.zeros(pairs), np.ones(pairs), np.empty(pairs)
    nothing.setflags(write=False)
    given = 1, form.offsets, form.next_state, form.weight, nothing, 1.0, one, result, _NO_POLICY, 0.0
    in_pieces(lambda first, last: sweep(*given, first, last), pairs)
    return result
