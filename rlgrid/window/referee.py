"""The exact side of what is shown: V* of the world, and what is true of the policies and tables that the agent passes
through (`rlgrid.truth`).

It has a thread of its own beside the agent, and takes at most `SHARE` of the time for its looks, once V* is found. A
world that is too large for that is not judged while it is learnt, and the window says so. What decides is processor
time of that thread, after its kernels are loaded: neither compiling nor a busy machine makes a world large.
"""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.state import Floats

if TYPE_CHECKING:
    from rlgrid.truth import Truth

PATIENCE = 20.0  # seconds that the optimum may take
QUICK = 5.0  # seconds within which the optimum must be found, and twenty looks done, where policies are to be judged
SHARE = 0.05  # of the time, for looks
SMALL = 2_000  # states up to which policies are judged whatever that takes
SLOW_LOOKS = 2  # in a row, after which no more are taken
NICENESS = 10  # of its thread: the agent and the window come first
JUDGED = 20_000  # states up to which policies are judged where the clock must not decide


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def _warm(gamma: float) -> None:
    """Load the judge's kernels, or have them compiled, in a world of eleven states."""
    from rlgrid.gridmap import GridSpec
    from rlgrid.solvers import solve
    from rlgrid.truth import Truth

    model = GridSpec.builtin("russell_norvig_4x3").compile()
    solve(model, gamma=gamma, tolerance=1e-9)
    truth = Truth(model, gamma)
    truth.judge(np.zeros(model.num_states, np.int64), np.zeros((model.num_states, model.num_actions)))


@dataclass(frozen=True, eq=False)
class Shown:
    """What an agent has after ``count`` units: its policy, and its tables if it has them."""

    count: int
    policy: NDArray[Any]  # int [S], or float [S, A]
    q_values: Floats | None = None  # [S, A]
    visits: NDArray[np.int64] | None = None  # [S]
    values: Floats | None = None  # [S], where it learns those of its policy alone


class Referee:
    """Finds V* and the truth of policies and tables, in a thread beside the agent, or at once if ``patient``."""

    def __init__(self, model: Any, gamma: float, patient: bool) -> None:
        self._model, self._gamma, self._patient = model, gamma, patient
        self._jobs: queue.Queue[Any] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._truth: Truth | None = None
        self._asked = -1
        self._spent = 0.0  # seconds of the last look
        self._slow = 0  # looks in a row that took too long
        self.busy = False
        self.optimal: Floats | None = None
        self.acted_in: NDArray[np.bool_] | None = None  # [S], where an agent can ever act
        self.regret: float | None = None  # share of regret of the policy judged last
        self.numbers: dict[str, float] = {}  # what else is true of it, those that there are: `rlgrid.truth.MEASURES`
        self.judged_at = 0  # the count of units at which that policy was the agent's
        self.trouble = ""  # why nothing more is judged
        self.unshared = ""  # why the policy judged last has no share of regret, where there is none in this world

    @property
    def best(self) -> NDArray[np.bool_] | None:
        """bool [S, A], the optimal actions; None before they are known."""
        return None if self._truth is None else self._truth.optimal_actions

    def distance(self, values: Floats) -> float | None:
        """max |V - V*| over the states in which an agent can ever act; None before V* is known."""
        if self.optimal is None or self.acted_in is None:
            return None
        with np.errstate(invalid="ignore"):
            gap = np.where(values == self.optimal, 0.0, np.abs(values - self.optimal))  # equal infinities are at 0
        return float(gap[self.acted_in].max(initial=0.0))

    def judge(self, shown: Shown) -> None:
        """Have what an agent shows judged, unless it was or another look is still under way."""
        if self.trouble or shown.count == self._asked or (self.busy and not self._patient):
            return
        self._asked = shown.count
        self._submit(lambda: self._judge(shown))

    def judge_again(self) -> None:
        """The run stands elsewhere: what has the same count is not what was judged."""
        self._asked = -1

    def _submit(self, job: Callable[[], None]) -> None:
        """Have something done, in turn."""
        if self._patient:
            self._do(job)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()
        self.busy = True
        self._jobs.put(job)

    def stop(self) -> None:
        """Take no more jobs."""
        self._stopped.set()
        self._jobs.put(None)

    def _serve(self) -> None:
        if sys.platform == "linux":  # elsewhere threads have no niceness of their own
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (job := self._jobs.get()) is not None and not self._stopped.is_set():
            self._spent = 0.0
            self._do(job)
            self._stopped.wait(self._spent * (1.0 / SHARE - 1.0))
            self.busy = not self._jobs.empty()

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # a world without an optimum, or too large: the curve stays empty and says why
            self.trouble = str(error) or type(error).__name__

    def _judge(self, shown: Shown) -> None:
        with _blas().limit(limits=1):  # these systems are small: several threads would wait for each other
            if self._truth is None:
                if not self._patient:
                    _warm(0.9 if self._gamma < 1.0 else 1.0)  # without a discount there are other kernels
                self._truth = self._solve()
            if self._truth is not None:
                began = time.thread_time()
                self._look(self._truth, shown)
                self._spent = time.thread_time() - began
                self._slow = self._slow + 1 if self._spent > SHARE * QUICK else 0
                if self._slow >= SLOW_LOOKS and self._model.num_states > SMALL and not self._patient:
                    self.trouble = "the world is too large to be judged while it is learnt"

    def _solve(self) -> Truth | None:
        """Find V*, and the judge of policies if that was quick."""
        from rlgrid.solvers import solve
        from rlgrid.truth import Truth, acted_in

        # Without discounting a value may be infinite, and no time would be enough to find it.
        # In simulated time, and in a small world, a busy machine must not decide what is shown.
        always = self._patient or self._model.num_states <= SMALL
        limit = (PATIENCE if self._gamma < 1.0 else PATIENCE / 5) * (30 if always else 1)
        began = time.thread_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the limit was reached is read off the solution
            solution = solve(self._model, gamma=self._gamma, tolerance=1e-9, time_limit=limit)
        if not solution.converged:
            self.trouble = f"the optimum was not found within {limit:g} s"
            return None
        self.acted_in = acted_in(self._model)
        self.optimal = np.asarray(solution.values, np.float64)
        late = self._model.num_states > SMALL and time.thread_time() - began > QUICK
        if self._model.num_states > JUDGED if self._patient else late:
            self.trouble = "the world is too large to be judged while it is learnt"
            return None
        return Truth(self._model, self._gamma)

    def _look(self, truth: Truth, shown: Shown) -> None:
        point = truth.judge(shown.policy, shown.q_values, shown.visits, shown.count, shown.values)
        if math.isfinite(point.share_of_regret):
            self.regret = max(0.0, point.share_of_regret)  # what rounding leaves of none
        elif point.value == -math.inf and math.isfinite(point.optimal_value) and truth.has_share:
            self.regret = math.inf  # this policy's episodes may never end; a later one's may
        else:
            self.unshared = point.missing or "no policy of this world has a share of regret"
        numbers = {name: value for name, value in point.numbers().items() if not math.isnan(value)}
        self.numbers, self.judged_at = numbers, shown.count
