"""Value iteration whose values are shifted after each sweep: for models that forget quickly where they began.

    w = T v,   d = w - v,   v <- w + gamma / (1 - gamma) (max d + min d) / 2

Where no episode ends, T (v + c) = T v + gamma c for any constant c, so the shift costs no accuracy, and it leaves a
residual of gamma (max d - min d) / 2 at the most (MacQueen 1966; Puterman 1994, section 6.6). Differences of values
converge at the rate of the second eigenvalue of gamma P, not gamma: 16 sweeps instead of 300 where every state leads
to ten others at random.

After each sweep the greedy policy is swept alone, and shifted likewise, until its spread is 3 percent of what it was,
at most as often as there are actions (modified policy iteration, Puterman & Shin 1978): so many cost as much as one
sweep over all. A sweep over all passes by those pairs that cannot be the best yet, by what they were worth and how
much values have risen since (action elimination, Hastings & van Nunen 1977).

Where episodes end the shift is that of aggregation into a single group (Bertsekas & Castanon 1989), sum(d) / sum(1 -
gamma k), where k(s) is the chance that the best action goes on. Where the spread of the changes has not fallen for some
sweeps, the policy is not swept any more, and values are not shifted where episodes end. Models that mix slowly (grids)
gain little: when the spread falls too slowly another method takes over, from the values that there were at first (its
own start may matter to it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rlgrid.compressed import offsets_of
from rlgrid.parallel import in_pieces
from rlgrid.problem import Problem, magnitude

if TYPE_CHECKING:
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.methods import Method

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PIECE = 1 << 20  # outcomes of a piece that is worth a thread, beside what waiting for a busy core may cost
TRIAL, RATE = 6, 0.8  # after so many sweeps the spread must have fallen by this factor a sweep on average
PATIENCE = 20  # sweeps in which the spread must fall by a hundredth
ROUNDING = 2.0**-46  # of the values: far above what rounding takes from a difference of two of them
EVALUATED = 0.03  # the share of the spread to which a policy is evaluated

_NO_POLICY = np.zeros(0, np.int64)
_NO_VALUES = np.zeros(0)


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
        slots = offsets_of(problem.survey.most)
        room = int(slots[-1])
        self._kept = slots, np.empty(room, np.int32), np.empty(room), np.empty(problem.num_states)
        self._chain = tuple(part.view() for part in self._kept)
        for part in self._chain:  # as read-only as the form itself: one kernel for both
            part.setflags(write=False)
        self.guesses = False  # passed on to the other method, for which it is meant
        self._policy = np.zeros(problem.num_states, np.int64)
        self._ends = problem.survey.ends
        self._goes_on = _continuing(self.form) if self._ends else _NO_VALUES
        # As if there had been a sweep from values of 0, where q is the expected reward.
        self._known = self.form.reward.copy(), np.empty(problem.num_states), np.empty(problem.num_states)
        in_pieces(self._rank, problem.num_states)
        self._before, self._rise = np.zeros(problem.num_states), 0.0
        self._due = np.inf  # the spread to which the policy is to be swept before the next sweep over all
        self._first = self._least = np.inf
        self._without = 0
        self._shifts = True

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        history = np.zeros(limit)
        made = 0
        v, w = values, self._room
        if self.otherwise is not None and self.sweeps == 0:
            self._begun = values.copy()
        while made < limit and self._other is None:
            if self._due < np.inf:  # before a sweep, not after one: runs of any length make the same sweeps
                v, w = self._evaluate(v, w, self._due)
                self._due = np.inf
            low, high = self._sweep_and_keep(v, w)
            spread = self._spread(low, high)
            history[made] = spread
            made += 1
            self.sweeps += 1
            done = not spread > enough
            helps = self._helps(spread)
            on = self._goes_on[self._pair()] if self._ends else _NO_VALUES
            if not self._ends or (helps and not done):
                self._shift(v, w, low, high, on)
            v, w = w, v
            if done:
                break
            if self._is_slow(spread) and self.otherwise is not None and self._begun is not None:
                self._other = self.otherwise()
                v, self._begun, self._room = self._begun, None, np.zeros(0)
            elif helps and self.form.num_actions > 1:
                self._due = EVALUATED * spread
        if v is not values:
            values[:] = v
        if self._other is not None and made < limit and (made == 0 or history[made - 1] > enough):
            rest = self._hand_over(self._other, values, limit - made, enough)
            history[made : made + rest.size] = rest
            made += rest.size
        return history[:made]

    def _rank(self, first: int, last: int) -> None:
        from rlgrid.kernels.compressed import rank

        known, worth, second = self._known
        rank(self.form.num_actions, known, self._policy, worth, second, first, last)

    def _sweep_and_keep(self, v: Floats, w: Floats) -> tuple[float, float]:
        """w = T v, and the chain of the greedy policy; the least and the greatest change."""
        from rlgrid.kernels.compressed import sweep_and_keep

        _, a, offsets, next_state, weight, reward = self.form
        gamma, policy, kept, known = self.problem.gamma, self._policy, self._kept, self._known
        high = float(np.subtract(v, self._before, out=w).max())
        self._rise += gamma * (max(high, 0.0) if self._ends else high) + ROUNDING * magnitude(v)
        np.copyto(self._before, v)
        rise, again, backups = self._rise, self.sweeps > 0, []

        def piece(first: int, last: int) -> tuple[float, float]:
            given = a, offsets, next_state, weight, reward, gamma, v, w, policy
            least, greatest, pairs = sweep_and_keep(*given, *kept, *known, rise, again, first, last)
            backups.append(int(pairs))
            return float(least), float(greatest)

        extremes = self._extremes(piece, next_state.size)
        self.backups += sum(backups)
        return extremes

    def _sweep(self, v: Floats, w: Floats) -> tuple[float, float]:
        """w = T_pi v of that policy; the least and the greatest change."""
        from rlgrid.kernels.compressed import sweep

        slots, next_state, weight, reward = self._chain
        gamma = self.problem.gamma

        def piece(first: int, last: int) -> tuple[float, float]:
            least, greatest = sweep(1, slots, next_state, weight, reward, gamma, v, w, _NO_POLICY, 0.0, first, last)
            return float(least), float(greatest)

        return self._extremes(piece, next_state.size)

    def _extremes(self, piece: Callable[[int, int], tuple[float, float]], outcomes: int) -> tuple[float, float]:
        states = self.form.num_states
        found = in_pieces(piece, states, max(1, PIECE * states // max(1, outcomes)))
        return min(least for least, _ in found), max(greatest for _, greatest in found)

    def _evaluate(self, v: Floats, w: Floats, enough: float) -> tuple[Floats, Floats]:
        """Sweeps of the greedy policy; the values, and room."""
        on = self._goes_on[self._pair()] if self._ends else _NO_VALUES
        for _ in range(self.form.num_actions):
            low, high = self._sweep(v, w)
            self.backups += self.form.num_states
            self._shift(v, w, low, high, on)
            v, w = w, v
            if self._spread(low, high) <= enough:
                break
        return v, w

    def _spread(self, low: float, high: float) -> float:
        return max(0.0, high) + max(0.0, -low) if self._ends else high - low

    def _pair(self) -> Ints:
        return np.arange(self.form.num_states) * self.form.num_actions + self._policy

    def _shift(self, v: Floats, w: Floats, low: float, high: float, on: Floats) -> None:
        """Shift w = T v: all alike, or where episodes end by the chance that they go on (not where they are over)."""
        gamma = self.problem.gamma
        if not self._ends:
            w += gamma / (1.0 - gamma) * 0.5 * (low + high)
            return
        alive = on > 0.0
        rest = np.where(alive, 1.0 - gamma * on, 0.0)
        shift = float((w - v)[alive].sum()) / max(float(rest.sum()), 1e-300)
        if abs(shift) <= 2.0 * self.problem.largest_reward / (1.0 - gamma):  # values differ by no more
            w += np.where(alive, gamma * on * shift, 0.0)

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
        """Whether all this is of use: never again once the spread has not fallen for some sweeps."""
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


def _continuing(form: CompressedArrays) -> Floats:
    """float64 [S * A]: the chance of each pair that the episode goes on."""
    from rlgrid.kernels.compressed import sweep

    pairs = form.reward.size
    nothing, one, result = np.zeros(pairs), np.ones(pairs), np.empty(pairs)
    nothing.setflags(write=False)
    given = 1, form.offsets, form.next_state, form.weight, nothing, 1.0, one, result, _NO_POLICY, 0.0
    in_pieces(lambda first, last: sweep(*given, first, last), pairs)
    return result
