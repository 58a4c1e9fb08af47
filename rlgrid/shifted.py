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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.compressed import offsets_of, over_states, sweep
from rlgrid.parallel import in_pieces
from rlgrid.problem import Problem, magnitude

if TYPE_CHECKING:
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.methods import Method

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRIAL, RATE = 6, 0.8  # after so many sweeps the spread must have fallen by this factor a sweep on average
PATIENCE = 20  # sweeps in which the spread must fall by a hundredth
ROUNDING = 2.0**-46  # of the values: far above what rounding takes from a difference of two of them
EVALUATED = 0.03  # the share of the spread to which a policy is evaluated
PICKED = 450  # outcomes that can be read one after the other in the time that it takes to pick a pair,
MANY = 1 << 15  # where there are more of them than caches hold
SAMPLE = 1024  # states of which it is found out how many pairs would be picked, a 16th of them at the most

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
        from rlgrid.kernels.compressed import CompressedArrays

        if not applies(problem):
            raise ValueError("shifted_value_iteration is for explicit models (MDPs, small grids) with gamma < 1")
        self.problem, self.otherwise = problem, otherwise
        self.form = problem.compressed
        self.name = "shifted_value_iteration"
        self.backups = self.sweeps = 0
        self._room = np.empty(problem.num_states)
        self._begun: Floats | None = None
        self._other: Method | None = None
        width = self.form.width
        slots = offsets_of(np.full(problem.num_states, width) if width else problem.survey.most)
        room = int(slots[-1])
        self._kept = slots, np.empty(room, np.int32), np.empty(room), np.empty(problem.num_states)
        chain = tuple(part.view() for part in self._kept)
        for part in chain:  # as read-only as the form itself: one kernel for both
            part.setflags(write=False)
        self._chain = CompressedArrays._make((problem.num_states, 1, *chain, width))
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
            done = not enough < spread < np.inf
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
        if self._other is not None and made < limit and (made == 0 or enough < history[made - 1] < np.inf):
            rest = hand_over(self, self._other, values, limit - made, enough)
            history[made : made + rest.size] = rest
            made += rest.size
        return history[:made]

    def _rank(self, first: int, last: int) -> None:
        from rlgrid.kernels.compressed import rank

        known, worth, second = self._known
        rank(self.form.num_actions, known, self._policy, worth, second, first, last)

    def _sweep_and_keep(self, v: Floats, w: Floats) -> tuple[float, float]:
        """w = T v, and the chain of the greedy policy; the least and the greatest change."""
        from rlgrid.kernels import compressed, jacobi

        form, gamma = self.form, self.problem.gamma
        high = float(np.subtract(v, self._before, out=w).max())
        self._rise += gamma * (max(high, 0.0) if self._ends else high) + ROUNDING * magnitude(v)
        np.copyto(self._before, v)
        given = *form[2:6], gamma, v, w, self._policy, *self._kept, *self._known, self._rise, self.sweeps > 0
        if self._are_many_possible(v):
            look_at_all: Any = jacobi.sweep_and_keep_of(form.width)
            ends = over_states(lambda first, last: look_at_all(form.num_actions, form.width, *given, first, last), form)
            self.backups += self.problem.pairs
        else:
            pick: Any = compressed.sweep_and_keep
            found = over_states(lambda first, last: pick(form.num_actions, *given, first, last), form)
            self.backups += sum(int(pairs) for *_, pairs in found)
            ends = [(least, greatest) for least, greatest, _ in found]
        return min(float(least) for least, _ in ends), max(float(greatest) for _, greatest in ends)

    def _are_many_possible(self, v: Floats) -> bool:
        """Whether so many pairs may be the best ones that to pick them takes longer than to look at all.

        The same whatever the threads, since all that is counted belongs to a fixed sample of the states.
        """
        from rlgrid.kernels.compressed import count_possible

        form, known = self.form, self._known
        if self.sweeps == 0 or form.next_state.size < MANY:
            return False
        step = max(16, form.num_states // SAMPLE)
        given = form.num_actions, self.problem.gamma, v, *self._chain[2:6], known[0], known[2], self._rise, self._policy
        found = int(count_possible(*given, step))
        length = int(form.next_state.size) / (form.num_states * form.num_actions)
        return found * (PICKED + length) > length * form.num_actions * len(range(0, form.num_states, step))

    def _evaluate(self, v: Floats, w: Floats, enough: float) -> tuple[Floats, Floats]:
        """Sweeps of the greedy policy; the values, and room."""
        on = self._goes_on[self._pair()] if self._ends else _NO_VALUES
        for _ in range(self.form.num_actions):
            low, high = sweep(self._chain, self.problem.gamma, v, w)
            self.backups += self.form.num_states
            self._shift(v, w, low, high, on)
            v, w = w, v
            if self._spread(low, high) <= enough:
                break
        return v, w

    def _spread(self, low: float, high: float) -> float:
        if not low <= high:  # where nothing could be compared
            return float(np.inf)
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


def hand_over(first: Any, other: Any, values: Floats, limit: int, enough: float) -> Floats:
    """A run of the method to which another one left its work; what it takes is counted for both."""
    if first.guesses and hasattr(other, "guesses"):
        other.guesses = True
    first.guesses = False
    first.name = other.name
    before, backups = other.sweeps, other.backups
    spreads: Floats = other.run(values, limit, enough)
    first.sweeps += other.sweeps - before
    first.backups += other.backups - backups
    return spreads


def _continuing(form: CompressedArrays) -> Floats:
    """float64 [S * A]: the chance of each pair that the episode goes on."""
    pairs = form.reward.size
    nothing, one, result = np.zeros(pairs), np.ones(pairs), np.empty(pairs)
    nothing.setflags(write=False)
    sweep(form._replace(num_states=pairs, num_actions=1, reward=nothing), 1.0, one, result)
    return result
