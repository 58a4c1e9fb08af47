"""The exact solution of a model, with a proof of its error.

    V*(s) = max_a sum_k p_k (r_k + gamma V*(s_k))           Bellman (1957); Sutton & Barto, 2nd ed., eq. 3.19

A method (`rlgrid.methods`) brings values nearer to V*, sweep by sweep; what is believed of them is proven apart
(`rlgrid.certificate`). "auto" looks at the structure of the model (`rlgrid.methods.choose`); where nobody watches or
gave values it begins with a guess of its own.

When it stops. With d = V_{i+1} - V_i the optimum of a discounted model lies within gamma / (1 - gamma) times
max(0, max d) above and max(0, -min d) below V_{i+1}; when half of the sum is within the tolerance a certificate is
made (`rlgrid.certificate`), and the solver stops if it proves the tolerance. The certificate alone is believed: where
it proves less, sweeps go on. They end unproven, with a warning, when rounding forbids more, at `max_sweeps` or at
`time_limit`.

Sweeps that are slow are not followed for ever. At gamma < 1, unless a callback watches, policy iteration takes over
from "auto" where 256 sweeps promise to take as many again (or 512, and so on); and from any method after 131,072, but
on grids too large to write their outcomes out. It ends (`rlgrid.policy_iteration` says why), and `method` names both.
At gamma = 1 the exact value of the policy is the next start when a certificate proves too little. Where no better
policy is found, or sweeps move nothing but last digits, and the tolerance is still not proven, rounding forbids it.

`values` are the last sweep's where these are proven to be within the tolerance, or where the solver was stopped;
otherwise the middle of [lower, upper]. V* is -inf where no policy can end the episode or rest at no cost (gamma = 1).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.average import solve_average, verify_average
from rlgrid.certificate import Certificate, distance, outwards, where_lower_fails, where_upper_fails
from rlgrid.mdp import check_gamma
from rlgrid.methods import METHODS
from rlgrid.parallel import in_pieces
from rlgrid.policy_evaluation import (
    SolverWarning,
    check_average,
    check_horizon,
    check_model,
    check_policy,
    policy_values,
)
from rlgrid.problem import WRITTEN_OUT, Problem
from rlgrid.rational import verify_exactly
from rlgrid.reduced import check_order
from rlgrid.solution import Solution
from rlgrid.sweeps import Sweeps, is_false
from rlgrid.undiscounted_certificate import LINEAR_STATES

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

__all__ = [
    "Solution",
    "SolverWarning",
    "Sweeps",
    "policy_values",
    "solve",
    "verify",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CRITERIA = ("discounted", "average")
CHUNK_SECONDS = 0.02  # sweeps run in one piece between two looks at the clock, the keyboard and the progress bar
PATIENCE = 256  # sweeps of "auto" before policy iteration may take over
ENDURANCE = 1 << 17  # sweeps of a method that was named
HORIZON_VALUES = 500_000_000  # values of all steps of a horizon together, beyond which memory would not do
POLISH = 64  # sweeps that follow once no better policy is found: they even out what rounding left
HUGE = 1e300  # values that may become larger than this are followed for
HUGE_SWEEPS = 4096  # so many sweeps: they may overflow only after 10^14
OVERFLOWN = "the values overflow: begin with smaller ones where they were given, or scale the rewards down"
LEAST_REST = 1e-20  # in place of 1 - gamma, at gamma = 1
PROOF_SHARE = 0.1  # of a time limit, kept for the last certificate


# --- solve ----------------------------------------------------------------------------------------------------------


def solve(
    model: MDP | GridModel,
    gamma: float | None = None,
    method: str = "auto",
    tolerance: float = 1e-6,
    horizon: int | None = None,
    criterion: str = "discounted",
    initial_values: ArrayLike | None = None,
    max_sweeps: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Sweeps], Any] | None = None,
    progress_bar: bool = False,
    sweep_order: str | ArrayLike = "auto",
) -> Solution:
    """The optimal values and policy of a model, with proven bounds; see the module's text for how and when it stops.

    Args:
        model: an MDP or a GridModel.
        gamma: the discount factor in [0, 1]; the model's if None. 1 is the undiscounted problem.
        method: a name of `rlgrid.methods.METHODS`: "auto", "value_iteration", "gauss_seidel", "policy_iteration" ...
        tolerance: the error that must be proven, max |values - V*|.
        horizon: a number of steps after which all is over, solved backwards in so many sweeps of value iteration; or
            None. With it there are no other methods and orders, initial_values, limits, callback or progress bar.
        criterion: "discounted" (which includes gamma = 1); or "average", the average reward a step over steps without
            end (`rlgrid.average`), with method "auto", "value_iteration" (relative) or "policy_iteration", without
            gamma and horizon. Its callback gets an `AverageSweeps`; the solution has `gain` and `bias`.
        initial_values: float [S], where sweeps begin.
        max_sweeps, time_limit: stop after so many sweeps or seconds, with a warning and valid bounds. A tenth of the
            time is kept for the last proof; what is under way, a sweep of a large model say, is finished.
        callback: called with the `Sweeps` object after each sweep; False ends the solver.
        progress_bar: shows the proven error while sweeping.
        sweep_order: of sweeps in place: "forward", "backward", "alternating", "distance" (breadth first from where
            episodes end, the way news travels), a permutation int [S] of the states, or "auto". Methods that keep a
            policy or a queue number the states in this order, by distance where it is alternating.

    Returns:
        A `Solution`. Ctrl-C while it sweeps returns what there is so far.

    Raises:
        ValueError, TypeError: on bad arguments; at gamma = 1 also where a value may be infinite, naming the state; for
            the average reward also where the best one differs between states (multichain), naming two.
    """
    begun = time.perf_counter()
    check_model(model)
    if criterion == "average":
        check_average(gamma, horizon)
    gamma = check_gamma(model.gamma if gamma is None else gamma)
    if criterion != "average" and method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if criterion not in CRITERIA:
        raise ValueError(
            f'criterion must be "discounted" (gamma = 1 is the undiscounted case) or "average", not {criterion!r}'
        )
    if criterion == "average" or horizon is not None:
        _check_plain_order(sweep_order, 'criterion="average"' if criterion == "average" else "a horizon")
    check_order(sweep_order, model.num_states)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the sweeps, not {callback!r}")
    tolerance = _check_positive("tolerance", tolerance)
    if time_limit is not None:
        time_limit = _check_positive("time_limit", time_limit)
    if max_sweeps is not None and (
        isinstance(max_sweeps, bool) or not isinstance(max_sweeps, int | np.integer) or max_sweeps < 0
    ):
        raise ValueError(f"max_sweeps must be a whole number >= 0, not {max_sweeps!r}")
    if criterion == "average":
        with np.errstate(over="ignore", invalid="ignore"):
            return solve_average(
                model, method, tolerance, initial_values, max_sweeps, time_limit, callback, progress_bar
            )
    steps = check_horizon(horizon)
    if steps is not None:
        given = {
            "initial_values": initial_values,
            "max_sweeps": max_sweeps,
            "time_limit": time_limit,
            "callback": callback,
        }
        if method not in ("auto", "value_iteration"):
            given["method"] = method
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"{name} and horizon exclude each other: a horizon of T is T sweeps back from values of 0"
                )
        with np.errstate(over="ignore", invalid="ignore"):
            return _solve_horizon(model, gamma, steps, tolerance)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the values
        sweeps = Sweeps(model, gamma, method, initial_values, sweep_order)
        if method not in ("value_iteration", "gauss_seidel") and initial_values is None and callback is None:
            sweeps._start_low()
        run = _Run(sweeps, tolerance, begun, max_sweeps, time_limit, callback)
        if model.num_states * model.num_actions <= WRITTEN_OUT:
            run.patience = PATIENCE if method == "auto" and callback is None and gamma < 1.0 else ENDURANCE
        if progress_bar:
            run.with_progress()
        else:
            run.go()
        return run.solution()


def _check_plain_order(sweep_order: Any, what: str) -> None:
    if not (isinstance(sweep_order, str) and sweep_order == "auto"):
        raise ValueError(f"sweep_order has no part in {what}, whose sweeps are not in place: leave it out")


def _check_positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not value > 0:
        raise ValueError(f"{name} must be greater than 0, not {value!r}")
    return float(value)


class _Run:
    """One call of `solve`: sweeps until the tolerance is proven or something says stop."""

    def __init__(
        self,
        sweeps: Sweeps,
        tolerance: float,
        begun: float,
        max_sweeps: int | None,
        time_limit: float | None,
        callback: Callable[[Sweeps], Any] | None,
    ) -> None:
        self.sweeps, self.tolerance, self.begun = sweeps, tolerance, begun
        self.max_sweeps, self.time_limit, self.callback = max_sweeps, time_limit, callback
        self.history: list[Floats] = []
        self.patience: int | None = None  # sweeps after which policy iteration takes over where they are slow
        self.handed_over = False
        self.reason = ""
        self.warn = False
        self.certificate: Certificate | None = None  # that proves the tolerance
        self.best: Certificate | None = None  # that proves most of those that do not
        self.report: Callable[[], None] = lambda: None
        self.deadline = np.inf if time_limit is None else begun + time_limit
        self.sweeping_ends = np.inf if time_limit is None else begun + (1.0 - PROOF_SHARE) * time_limit

    def go(self) -> None:
        try:
            self._go()
        except KeyboardInterrupt:
            self._stop("interrupted")

    def _stop(self, reason: str, *, warn: bool = False) -> None:
        self.reason, self.warn, self.certificate = reason, warn, None

    def _go(self) -> None:
        sweeps, gamma = self.sweeps, self.sweeps.gamma
        if gamma == 1.0:
            enough = 0.1 * self.tolerance / sweeps.steps  # what every step may lose adds up
        else:
            enough = 1.9 * self.tolerance * (1.0 - gamma) / max(gamma, 1e-300)
        # At gamma = 1 a proof is tried now and then even while sweeps still change much: chains may be slow.
        tries = gamma == 1.0 and sweeps.model.num_states <= LINEAR_STATES
        attempt_at = look_at = 64
        resting = np.inf  # the spread when it was last looked at
        # One run copies values in and out, and cannot be looked into: enough sweeps for a tenth of a second or so.
        chunk = sweeps.first_chunk
        least, last_exact, settled = np.inf, None, False
        huge = not sweeps._problem.largest_reward < HUGE * max(1.0 - gamma, LEAST_REST)
        while True:
            if self.max_sweeps is not None and sweeps.sweeps >= self.max_sweeps:
                return self._limit(f"max_sweeps = {self.max_sweeps} reached")
            if huge and sweeps.sweeps >= HUGE_SWEEPS:
                return self._stop("the values may overflow: scale the rewards down", warn=True)
            attempt = attempt_at if tries or self.handed_over else None
            limit = self._piece(chunk, look_at, attempt, self.patience, self.max_sweeps, HUGE_SWEEPS if huge else None)
            started = time.perf_counter()
            if self.callback is not None:
                before = sweeps.values.copy()
            spreads = sweeps.run(limit, enough)
            self.history.append(spreads)
            if self.callback is not None:
                with np.errstate(invalid="ignore"):
                    sweeps.residual = np.where(sweeps.values == before, 0.0, sweeps.values - before)
                if is_false(self.callback(sweeps)):
                    return self._stop("stopped by the callback")
            self.report()
            now = time.perf_counter()
            if now - started < 0.5 * CHUNK_SECONDS:
                chunk = min(2 * chunk, 1 << 20)
            elif now - started > 2.0 * CHUNK_SECONDS:
                chunk = max(1, chunk // 2)
            spread = float(spreads[-1])
            if not spreads.max() < np.inf:  # infinite values do not change any more
                return self._stop(OVERFLOWN, warn=True)
            if self.handed_over and sweeps.settled and not settled:
                settled, attempt_at = True, sweeps.sweeps + POLISH
            rests = False
            if sweeps.sweeps >= look_at:  # sweeps that move the last digits alone, and no less than before, are over
                rests = spread <= 4.0 * sweeps.rounding and not spread < 0.5 * resting
                look_at, resting = 2 * sweeps.sweeps, spread
            if spread <= enough or rests or ((tries or settled) and sweeps.sweeps >= attempt_at):
                attempt_at = 2 * max(attempt_at, sweeps.sweeps)
                found = sweeps.certificate(1000 + 4 * sweeps.sweeps, self.sweeping_ends, self.tolerance)
                error = distance(sweeps.values, found.lower, found.upper) if found.error is None else found.error
                if error > self.tolerance:
                    error = min(error, distance(_middle(found), found.lower, found.upper))
                if error <= self.tolerance:
                    self.certificate = found
                    return None
                exact = found.policy_values
                same = exact is not None and last_exact is not None and np.allclose(exact, last_exact, 1e-13, 0.0)
                stuck = (same or settled) and np.isfinite(error) and not error < 0.5 * least
                if error < least:
                    self.best = found
                least = min(least, error)
                last_exact = last_exact if exact is None else exact
                if stuck and exact is not None:
                    sweeps.values = sweeps._problem.start(exact)
                if spread <= 4.0 * sweeps.rounding or spread == 0.0 or stuck or rests:
                    if not np.isfinite(sweeps._problem.finite(sweeps.values)).all():
                        return self._stop(OVERFLOWN, warn=True)
                    most = (
                        f"more than an error of {least:.3g}" if np.isfinite(least) else "any proof of values so large"
                    )
                    return self._stop(f"rounding forbids {most}; the tolerance is {self.tolerance:g}", warn=True)
                enough = min(enough, spread) / 4.0
                if exact is not None and np.isfinite(sweeps._problem.finite(exact)).all():
                    sweeps.values = sweeps._problem.start(np.where(np.isfinite(exact), exact, 0.0))
                    sweeps._certificate = None
            elif self.patience is not None and sweeps.sweeps >= self.patience and not sweeps.paced:
                self._hand_over_if_slow(enough)
                attempt_at = sweeps.sweeps + 1
            if self.time_limit is not None and time.perf_counter() > self.sweeping_ends:
                return self._limit(f"time_limit = {self.time_limit:g} s reached")

    def _piece(self, chunk: int, *due: int | None) -> int:
        """How many sweeps to run in one piece: none beyond the next number of sweeps at which something is decided.

        The clock says only how long pieces may be, so it has no part in what is found.
        """
        if self.callback is not None:
            return 1
        made = self.sweeps.sweeps
        return min([chunk, *(at - made for at in due if at is not None and at > made)])

    def _hand_over_if_slow(self, enough: float) -> None:
        """Where sweeps would take as many again as there were, go on by policy iteration, which ends."""
        sweeps = self.sweeps
        recent = np.concatenate(self.history)[-sweeps.sweeps // 2 :]
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.log(recent[-1] / enough) / (np.log(recent[0] / recent[-1]) / max(1, recent.size - 1))
        if 0.0 <= left < sweeps.sweeps:
            self.patience = 2 * sweeps.sweeps
            return
        sweeps.hand_over("policy_iteration" if sweeps.model.num_states <= LINEAR_STATES else "krylov_policy_iteration")
        self.handed_over, self.patience = True, None

    def _limit(self, reason: str) -> None:
        """Stop at a limit, unless what there is happens to be enough."""
        found = self.sweeps.certificate(deadline=self.deadline)
        if distance(_middle(found), found.lower, found.upper) <= self.tolerance:
            self.certificate = found
        else:
            self._stop(reason, warn=True)

    def with_progress(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"), TimeElapsedColumn()
        ) as progress:
            task = progress.add_task("solving", total=1.0, what="")
            first: list[float] = []
            shown = [0.0]

            def report() -> None:
                now = time.perf_counter()
                if now - shown[0] < 0.5:
                    return
                error = self.sweeps.error_bound
                shown[0] = now + (time.perf_counter() - now) * 20.0  # proofs take a twentieth of the time at most
                what = f"sweep {self.sweeps.sweeps}, error <= {error:.3g}"
                done = 0.0
                if np.isfinite(error):
                    first.append(error)
                    span = np.log(max(first[0] / self.tolerance, 1.0 + 1e-9))
                    done = float(np.clip(np.log(first[0] / error) / span, 0.0, 1.0)) if error > 0 else 1.0
                progress.update(task, completed=done, what=what)

            self.report = report
            self.go()
            progress.update(task, completed=1.0, what=f"{self.sweeps.sweeps} sweeps")

    def solution(self) -> Solution:
        sweeps = self.sweeps
        found = self.certificate if self.certificate is not None else sweeps.certificate(deadline=self.deadline)
        if self.certificate is None and self.best is not None:
            before = self.best
            if distance(before.lower, before.lower, before.upper) < distance(found.lower, found.lower, found.upper):
                found = before  # bounds hold whatever the values are now
        values, error, loss = _settled(sweeps.values, found.lower, found.upper)
        if error > self.tolerance and (self.warn or not self.reason):
            middle = _middle(found)
            nearer = distance(middle, found.lower, found.upper)
            if nearer <= self.tolerance and nearer < error:
                values, error = middle, nearer
        converged = error <= self.tolerance
        reason = "" if converged else (self.reason or "the certificate proves less than was asked for")
        if self.warn and not converged:
            warnings.warn(f"solve: {reason}; error <= {error:.3g} is proven", SolverWarning, stacklevel=3)
        history = np.concatenate(self.history) if self.history else np.zeros(0)
        return Solution(
            values=values,
            policy=found.policy,
            lower=found.lower,
            upper=found.upper,
            error_bound=error,
            policy_loss_bound=loss,
            converged=converged,
            gamma=sweeps.gamma,
            method=sweeps.method,
            tolerance=self.tolerance,
            sweeps=sweeps.sweeps,
            backups=sweeps.backups,
            seconds=time.perf_counter() - self.begun,
            reason=reason,
            history=history,
            model=sweeps.model,
        )


def _settled(values: Floats, lower: Floats, upper: Floats) -> tuple[Floats, float, float]:
    """The values, or where they lie outside of bounds the nearest bound; what overflew counts as 0.

    And `distance` from the bounds: of the result, and of the lower bounds.
    """
    from rlgrid.kernels.certificate import settle

    result = np.empty_like(values)
    given = values.reshape(-1), lower.reshape(-1), upper.reshape(-1), result.reshape(-1)
    found = in_pieces(lambda first, last: settle(first, last, *given), values.size)
    error, loss = (outwards(max(sizes)) for sizes in zip(*found, strict=True))
    return result, error, loss


def _middle(found: Certificate) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(found.lower == found.upper, found.lower, found.lower + 0.5 * (found.upper - found.lower))


# --- finite horizon -------------------------------------------------------------------------------------------------


def _step_above(problem: Problem, after: Floats) -> Floats:
    return problem.image_above(after)


def _step_below(problem: Problem, policy: Ints, after: Floats) -> Floats:
    return problem.image_below(policy, after)


def _solve_horizon(model: MDP | GridModel, gamma: float, steps: int, tolerance: float) -> Solution:
    """Backward induction (Puterman 1994, section 4.5).

    The bounds go backwards too, from 0: upper[t] = T upper[t + 1] and lower[t] = T_policy lower[t + 1], computed, with
    the rounding of a backup added and subtracted.
    """
    begun = time.perf_counter()
    S = model.num_states
    if (steps + 1) * S > HORIZON_VALUES:
        raise ValueError(
            f"horizon = {steps}: values and bounds of {S} states after each step would take "
            f"{32 * (steps + 1) * S / 2**30:.0f} GiB. Use a shorter horizon, or gamma < 1 without one"
        )
    problem = Problem.plain(model, gamma)
    values, lower, upper = (np.zeros((steps + 1, S)) for _ in range(3))
    policy = np.zeros((steps, S), np.int64)
    for t in range(steps - 1, -1, -1):
        policy[t] = problem.policy(values[t + 1])
        values[t] = problem.sweep_policy(policy[t], values[t + 1])
        lower[t] = _step_below(problem, policy[t], lower[t + 1])
        upper[t] = _step_above(problem, upper[t + 1])
    values, worst, loss = _settled(values, lower, upper)
    converged = worst <= tolerance
    reason = "" if converged else f"rounding forbids more than an error of {worst:.3g}; the tolerance is {tolerance:g}"
    if not converged:
        warnings.warn(f"solve: {reason}", SolverWarning, stacklevel=3)
    return Solution(
        values=values,
        policy=policy,
        lower=lower,
        upper=upper,
        error_bound=worst,
        policy_loss_bound=loss,
        converged=converged,
        gamma=gamma,
        method="backward_induction",
        tolerance=tolerance,
        sweeps=steps,
        backups=steps * problem.pairs,
        seconds=time.perf_counter() - begun,
        horizon=steps,
        reason=reason,
        model=model,
    )


# --- checks from outside --------------------------------------------------------------------------------------------


def verify(model: MDP | GridModel, solution: Solution, exact: bool = False) -> bool:
    """Check a certificate with one sweep for each bound; nothing but the model and the arrays is believed.

    With ``exact`` it is checked in rational arithmetic instead, by other code than made it (`rlgrid.rational`): slow,
    for models of up to 10,000 pairs of a state and an action.

    Returns:
        True.

    Raises:
        ValueError: naming the first state in which the proof fails; with ``exact`` also where the model is too large.
    """
    check_model(model)
    if not isinstance(solution, Solution):
        raise TypeError(f"a solution is what rlgrid.solve or Solution.load returns, not {type(solution).__name__}")
    gamma = check_gamma(solution.gamma)
    S = model.num_states
    lead = () if solution.horizon is None else (solution.horizon + 1,)
    if solution.criterion not in CRITERIA:
        raise ValueError(f"criterion is {solution.criterion!r}, not one of {', '.join(CRITERIA)}")
    for name in ("error_bound", "policy_loss_bound", "tolerance"):
        if not isinstance(getattr(solution, name), float | int | np.floating | np.integer):
            raise ValueError(f"{name} is {getattr(solution, name)!r}, which is no number")
    for name in ("values", "lower", "upper"):
        array = getattr(solution, name)
        if not isinstance(array, np.ndarray) or array.dtype != np.float64:  # others would be rounded on the way
            raise ValueError(f"{name} is no array of float64, but {getattr(array, 'dtype', type(array).__name__)}")
        if array.shape != (*lead, S):
            raise ValueError(f"{name} has shape {array.shape}, not {(*lead, S)}")
        if np.isnan(array).any():
            raise ValueError(f"{name} of state {int(np.argwhere(np.isnan(array))[0][-1])} is not a number")
    policy = check_policy(model, solution.policy, solution.horizon)
    if policy.shape[len(lead) :] != (S,) and policy.ndim != len(lead) + 1:
        raise ValueError("the policy of a solution is one action a state")
    if exact:
        verify_exactly(model, solution)
        return True
    if solution.criterion == "average":
        verify_average(model, solution, policy)
        return True
    if solution.horizon is not None:
        _verify_horizon(model, gamma, solution, policy)
    else:
        problem = Problem.of(model, gamma)
        s = where_upper_fails(problem, solution.upper)
        if s >= 0:
            raise ValueError(f"state {s}: upper = {solution.upper[s]!r} is not proven to be at least V*")
        s = where_lower_fails(problem, policy, solution.lower)
        if s >= 0:
            raise ValueError(f"state {s}: lower = {solution.lower[s]!r} is not proven to be at most V^policy")
    worst = distance(solution.values, solution.lower, solution.upper)
    if not solution.error_bound >= worst:
        raise ValueError(f"error_bound = {solution.error_bound!r}, but only {worst!r} is proven")
    loss = distance(solution.lower, solution.lower, solution.upper)
    if not solution.policy_loss_bound >= loss:
        raise ValueError(f"policy_loss_bound = {solution.policy_loss_bound!r}, but only {loss!r} is proven")
    if solution.converged and not solution.error_bound <= solution.tolerance:
        raise ValueError(f"converged, but error_bound = {solution.error_bound!r} > tolerance = {solution.tolerance!r}")
    return True


def _verify_horizon(model: MDP | GridModel, gamma: float, solution: Solution, policy: Ints) -> None:
    problem = Problem.plain(model, gamma)
    lower, upper = solution.lower, solution.upper
    steps = len(lower) - 1
    if (lower[steps] > 0).any() or (upper[steps] < 0).any():
        raise ValueError("with no step left every value is 0, which is not within the bounds")
    for t in range(steps):
        holds = (_step_above(problem, upper[t + 1]) <= upper[t]) & (
            _step_below(problem, policy[t], lower[t + 1]) >= lower[t]
        )
        if not holds.all():
            raise ValueError(
                f"state {int(holds.argmin())} after {t} steps: the bounds do not follow from the next step's"
            )
