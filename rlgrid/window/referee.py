"""The exact side of what is shown: V* of the world, and the regret of the policies that the agent passes through."""

from __future__ import annotations

import math
import queue
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.state import Floats

PATIENCE = 20.0  # seconds that the optimum may take


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class Referee:
    """Finds V* and the exact regret of policies, in a thread beside the agent, or at once if ``patient``."""

    def __init__(self, model: Any, gamma: float, patient: bool) -> None:
        self._model, self._gamma, self._patient = model, gamma, patient
        self._jobs: queue.Queue[Any] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._asked: bytes | None = None
        self.busy = False
        self.optimal: Floats | None = None
        self.regret: float | None = None  # share of regret of the policy judged last
        self.judged_at = 0  # the count of units at which that policy was the agent's
        self.trouble = ""

    def judge(self, policy: NDArray[np.int64], count: int) -> None:
        """Have the policy after ``count`` units judged, unless it was the last or another is still being judged."""
        if self.trouble:
            return
        asked = policy.tobytes()
        if asked == self._asked and not self.busy and self.regret is not None:
            self.judged_at = count
        if asked == self._asked or (self.busy and not self._patient):
            return
        self._asked = asked
        self.submit(lambda: self._judge(policy, count))

    def submit(self, job: Callable[[], None]) -> None:
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
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            began = time.perf_counter()
            self._do(job)
            # At most a quarter of a core goes into judging.
            time.sleep(min(2.0, 3 * (time.perf_counter() - began)))
            self.busy = not self._jobs.empty()

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # a world without an optimum, or too large: the curve stays empty and says why
            self.trouble = str(error) or type(error).__name__

    def _judge(self, policy: NDArray[np.int64], count: int) -> None:
        with _blas().limit(limits=1):  # these systems are small: several threads would wait for each other
            self._judge_serially(policy, count)

    def _judge_serially(self, policy: NDArray[np.int64], count: int) -> None:
        from rlgrid.regret import optimum, share_of_regret
        from rlgrid.solvers import solve

        if self.optimal is None:
            # Without discounting a value may be infinite, and no time would be enough to find it.
            limit = PATIENCE if self._gamma < 1.0 else PATIENCE / 5
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the limit was reached is read off the solution
                solution = solve(self._model, gamma=self._gamma, tolerance=1e-9, time_limit=limit)
            if not solution.converged:
                self.trouble = f"the optimum was not found within {limit:g} s"
                return
            self.optimal = np.asarray(solution.values, np.float64)
        try:
            self.regret = max(0.0, float(share_of_regret(self._model, policy, gamma=self._gamma)))
        except ValueError:
            known = optimum(self._model, self._gamma)
            if not math.isfinite(known.uniform) or not known.value > known.uniform:
                raise  # no policy of this world has a share of regret
            self.regret = math.inf  # this one's episodes may never end; a later one's may
        self.judged_at = count
