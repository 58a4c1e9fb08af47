"""The average reward a step (the gain), solved with a proof of its error.

What is proven, and of which models, is said in `rlgrid.average_model`, the methods in `rlgrid.average_sweeps`. `auto`
sweeps first, and goes on with policies where states are few enough to solve for and a few hundred sweeps have not been
enough; where many policies are not either, it sweeps on from where it was. The solution's `method` names what ran.

It stops when the width of the bounds proves |gain - g*| <= tolerance; otherwise when rounding forbids more, or at a
limit, with a warning. `values` is then the bias of the policy (mean 0 in its recurrent classes; 0 where all is over)
where states are few enough to solve for and nothing was cut short, else the relative values, shifted to 0 in the first
start state.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.average_model import Components, Parts, error_within, middle
from rlgrid.average_sweeps import EPSILON, AverageSweeps, Chain
from rlgrid.policy_evaluation import SolverWarning
from rlgrid.problem import magnitude
from rlgrid.solution import Solution

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS = ("auto", "value_iteration", "policy_iteration")

PATIENCE = 256  # sweeps after which `auto` turns to policies, and again after four times as many,
POLICIES = 32  # for so many, and then four times as many
SOLVED_STATES = 50_000  # up to so many states policies are solved for, unless policy iteration was asked for
PROOF_SHARE = 0.1  # of a time limit, kept for the last proof
CHUNK_SECONDS = 0.02  # sweeps run in one piece between two looks at the clock, the keyboard and the progress bar


@dataclass
class _Run:
    """One call: sweeps and policies until the tolerance is proven or something says stop."""

    sweeps: AverageSweeps
    tolerance: float
    max_sweeps: int | None
    callback: Callable[[Any], Any] | None
    begun: float
    time_limit: float | None

    def __post_init__(self) -> None:
        self.history: list[Floats] = []
        self.reason = ""
        self.warn = False
        self.cut_short = False
        self.report: Callable[[], None] = lambda: None
        self.deadline = np.inf if self.time_limit is None else self.begun + (1.0 - PROOF_SHARE) * self.time_limit
        few = self.sweeps.model.num_states <= SOLVED_STATES
        self.solvable = few or self.sweeps.asked == "policy_iteration"

    def go(self) -> None:
        try:
            self._go()
        except KeyboardInterrupt:
            self._stop("interrupted")

    def _stop(self, reason: str, *, warn: bool = False) -> None:
        self.reason, self.warn, self.cut_short = reason, warn, True

    def _go(self) -> None:
        sweeps = self.sweeps
        if sweeps.whole is None:
            return
        components = Components(sweeps.parts)
        if components.lower.size > 1:
            self._compare(components)
            if self.cut_short:
                return
            if sweeps.parts.may_end and not components.may_be_to_end:
                sweeps.without_end()
        proven = self._narrow(sweeps.whole, lambda: sweeps.error_bound <= self.tolerance, 1.8 * self.tolerance)
        if proven and self.solvable and sweeps._policy is None and time.perf_counter() < self.deadline:
            self._polish(sweeps.whole)

    def _compare(self, components: Components) -> None:
        """Find out whether the gain is the same everywhere.

        Raises:
            ValueError: where it is not.
        """
        if components.settled(self.tolerance):
            return
        sweeps = self.sweeps
        chain = Chain(sweeps.parts, components.pairs, np.append(components.label, -1))

        def decided() -> bool:
            policy = chain.greedy(sweeps._v) if sweeps._policy is None else sweeps._policy
            components.bound(sweeps.values, policy[:-1])
            return components.settled(self.tolerance)

        self._narrow(chain, decided, 0.5 * self.tolerance)
        if not self.cut_short:  # what rounding leaves open shows in the bounds of the whole
            self.reason, self.warn = "", False

    def _narrow(self, chain: Chain, proven: Callable[[], bool], enough: float) -> bool:
        """Sweeps or policies until something is proven; False where a limit or rounding ended them before."""
        sweeps = self.sweeps
        iterates = sweeps.asked == "policy_iteration"
        size = float(np.abs(chain.arrays.reward[np.isfinite(chain.arrays.reward)]).max())
        begun_at = sweeps.sweeps
        attempt_at, chunk, least, solved = 16, 16, np.inf, False
        turn_at, policies = PATIENCE, POLICIES
        while True:
            made = sweeps.sweeps - begun_at
            if self.solvable and not solved and (iterates or (sweeps.asked == "auto" and made >= turn_at)):
                kept = sweeps._v.copy()
                solved = self._iterate(chain, None if iterates else policies)
                if self.cut_short:
                    return False
                if solved and proven():
                    return True
                if not solved:  # far from the last policy sweeps get on faster
                    sweeps.restore(kept)
                iterates, made = False, sweeps.sweeps - begun_at
                turn_at, policies, attempt_at = 4 * made, 4 * policies, made if solved else 2 * made
            if not self._may_go_on():
                return False
            # The numbers that come out must not depend on the clock: proofs are tried after fixed numbers of sweeps.
            limit = max(1, min(chunk, attempt_at - made))
            if self.max_sweeps is not None:
                limit = min(limit, self.max_sweeps - sweeps.sweeps)
            before = sweeps.values.copy() if self.callback is not None else sweeps.values
            started = time.perf_counter()
            spreads = sweeps.run(chain, 1 if self.callback is not None else limit, enough)
            self.history.append(spreads)
            if not self._told(before):
                return False
            took = time.perf_counter() - started
            if took < 0.5 * CHUNK_SECONDS:
                chunk = min(2 * chunk, 1 << 20)
            elif took > 2.0 * CHUNK_SECONDS:
                chunk = max(1, chunk // 2)
            spread = float(spreads[-1])
            if not np.isfinite(spread):
                self._stop("the values overflow: scale the rewards down", warn=True)
                return False
            made = sweeps.sweeps - begun_at
            if spread <= enough or made >= attempt_at:
                if proven():
                    return True
                floor = 8.0 * EPSILON * (magnitude(sweeps._v[chain.part >= 0]) + size)
                # In exact arithmetic the spread never grows; one that has not shrunk in as many sweeps again as were
                # made before, and as it can take for a change to be felt everywhere, is rounding.
                stuck = made >= attempt_at and made >= 4096 + 4 * sweeps.values.size and not spread < least
                if spread <= floor or stuck:
                    self.reason, self.warn = "rounding forbids a smaller error", True
                    return False
                if made >= attempt_at:
                    attempt_at, least = 2 * max(attempt_at, made), min(least, spread)
                enough = min(enough, spread) / 4.0

    def _iterate(self, chain: Chain, limit: int | None) -> bool:
        """Policy iteration from the greedy policy, for at most so many policies.

        Returns whether it came to its end: no state has a better action, or a policy came back.
        """
        sweeps = self.sweeps
        policy = chain.greedy(sweeps._v)
        seen: set[bytes] = set()
        while policy.tobytes() not in seen:
            if len(seen) == limit or not self._may_go_on():
                return False
            seen.add(policy.tobytes())
            before = sweeps.values
            improved = sweeps.iterate(chain, policy)
            self.history.append(np.array([float(np.abs(sweeps.values - before).max())]))
            if not self._told(before):
                return False
            if (improved == policy).all():
                break
            policy = improved
        return True

    def _polish(self, chain: Chain) -> None:
        """Give the policy's own bias in place of the sweeps' values, where that proves enough too."""
        sweeps = self.sweeps
        kept = sweeps._v, sweeps._proof, sweeps.sweeps, sweeps.backups, sweeps.ran
        policy = chain.greedy(sweeps._v)
        seen: set[bytes] = set()
        while policy.tobytes() not in seen and time.perf_counter() < self.deadline:
            seen.add(policy.tobytes())
            improved = sweeps.iterate(chain, policy)
            if sweeps.error_bound <= self.tolerance:
                break
            policy = improved
        else:
            sweeps._v, sweeps._proof = kept[:2]
            sweeps._policy = None
        sweeps.sweeps, sweeps.backups, sweeps.ran = kept[2:]

    def _may_go_on(self) -> bool:
        if self.max_sweeps is not None and self.sweeps.sweeps >= self.max_sweeps:
            self._stop(f"max_sweeps = {self.max_sweeps} reached", warn=True)
        elif time.perf_counter() > self.deadline:
            self._stop(f"time_limit = {self.time_limit:g} s reached", warn=True)
        return not self.cut_short

    def _told(self, before: Floats) -> bool:
        """Tell the callback and the progress bar; False where the callback ends the solver."""
        if self.callback is not None:
            self.sweeps.residual = self.sweeps.values - before
            if self.callback(self.sweeps) is False:
                self._stop("stopped by the callback")
        self.report()
        return not self.cut_short

    def with_progress(self) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
            task = progress.add_task("solving", total=None)
            shown = 0.0

            def report() -> None:
                nonlocal shown
                now = time.perf_counter()
                if now >= shown:
                    low, high, _ = self.sweeps.proof()
                    shown = now + 0.5 + (time.perf_counter() - now) * 20.0
                    what = f"sweep {self.sweeps.sweeps}, {low:.6g} <= gain <= {high:.6g}"
                    progress.update(task, description=what)

            self.report = report
            self.go()

    def solution(self) -> Solution:
        sweeps = self.sweeps
        lower, upper, policy = sweeps.proof()
        gain = middle(lower, upper)
        error = error_within(gain, lower, upper)
        converged = error <= self.tolerance
        reason = "" if converged else (self.reason or "the bounds prove less than was asked for")
        if self.warn and not converged:
            warnings.warn(
                f"solve: {reason}; an error of at most {error:.3g} is proven, the tolerance is {self.tolerance:g}",
                SolverWarning,
                stacklevel=4,
            )
        over = sweeps.parts.over
        finite = np.where(over | ~np.isfinite(sweeps.values), 0.0, sweeps.values)  # no bound follows from the others
        values = finite.copy()
        if sweeps._policy is None:
            starts = sweeps.model.start_states
            values -= values[starts[0]]
        # Shifting rounds, so what is proven is worked out from the very numbers that are returned.
        values[over] = 0.0
        shifted = sweeps.parts.bounds(values, policy)
        fits = error_within(middle(*shifted), *shifted) <= max(error, self.tolerance)
        if fits and np.isfinite(values).all():
            lower, upper = shifted
            gain = middle(lower, upper)
            error = error_within(gain, lower, upper)
        else:
            values = finite
        return Solution(
            values=values,
            policy=policy,
            lower=np.where(over, 0.0, lower),
            upper=np.where(over, 0.0, upper),
            error_bound=error,
            policy_loss_bound=error_within(lower, lower, upper),
            converged=converged,
            gamma=1.0,
            method=sweeps.method,
            tolerance=self.tolerance,
            sweeps=sweeps.sweeps,
            backups=sweeps.backups,
            seconds=time.perf_counter() - self.begun,
            reason=reason,
            history=np.concatenate(self.history) if self.history else np.zeros(0),
            model=sweeps.model,
            criterion="average",
            gain=gain,
            gain_lower=lower,
            gain_upper=upper,
        )


def solve_average(
    model: MDP | GridModel,
    method: str = "auto",
    tolerance: float = 1e-6,
    initial_values: ArrayLike | None = None,
    max_sweeps: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Any], Any] | None = None,
    progress_bar: bool = False,
) -> Solution:
    """`solve` with criterion="average"; the arguments are checked there.

    Raises:
        ValueError: naming a method that does not exist; or where the best gain differs between states, naming two.
    """
    begun = time.perf_counter()
    if method not in METHODS:
        raise ValueError(f'with criterion="average" method must be one of {", ".join(METHODS)}, not {method!r}')
    sweeps = AverageSweeps(model, method, initial_values)
    run = _Run(sweeps, tolerance, max_sweeps, callback, begun, time_limit)
    if progress_bar:
        run.with_progress()
    else:
        run.go()
    return run.solution()


def verify_average(model: MDP | GridModel, solution: Solution, policy: Ints) -> None:
    """Check the bounds of a gain with a sweep each; shapes and the policy are checked already.

    Raises:
        ValueError: saying which claim is not proven.
    """
    if not np.isfinite(solution.values).all():
        raise ValueError(f"the bias of state {int(np.isfinite(solution.values).argmin())} is not finite")
    gain, low, high = solution.gain, solution.gain_lower, solution.gain_upper
    if gain is None or low is None or high is None or np.isnan([gain, low, high]).any():
        raise ValueError(f"gain = {gain!r} within [{low!r}, {high!r}]: a solution for the average reward has all three")
    parts = Parts(model)
    lower, upper = parts.bounds(solution.values, policy)
    if not high >= upper:
        raise ValueError(f"gain_upper = {high!r} is not proven to be at least g*: only {upper!r} is")
    if not low <= lower:
        raise ValueError(f"gain_lower = {low!r} is not proven to be at most g^policy: only {lower!r} is")
    for name, bound, claim in (("lower", low, solution.lower), ("upper", high, solution.upper)):
        known = np.where(parts.over, 0.0, bound)
        wrong = claim > known if name == "lower" else claim < known
        if wrong.any():
            raise ValueError(f"state {int(wrong.argmax())}: {name} does not follow from gain_{name}")
    worst = error_within(gain, low, high)
    if not solution.error_bound >= worst:
        raise ValueError(f"error_bound = {solution.error_bound!r}, but only {worst!r} is proven")
    loss = error_within(low, low, high)
    if not solution.policy_loss_bound >= loss:
        raise ValueError(f"policy_loss_bound = {solution.policy_loss_bound!r}, but only {loss!r} is proven")
    if solution.converged and not solution.error_bound <= solution.tolerance:
        raise ValueError(f"converged, but error_bound = {solution.error_bound!r} > tolerance = {solution.tolerance!r}")
