"""Value iteration as an agent: it plans in the environment's model instead of acting in it.

A unit is a sweep over all states, V(s) <- max_a sum p (r + gamma V(s')) (Bellman 1957; Sutton & Barto, 2nd ed.,
section 4.4), by `rlgrid.solvers.Sweeps`, whose bounds prove how far the values are from the optimum. `learn()` sweeps
until that proven error is at most `tolerance`, or until rounding forbids more, with a warning, as `rlgrid.solve`
does; `learn(n)` sweeps n times at most.

Final values depend on the model and the settings alone: nothing here is random.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Self

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from rlgrid.agents.base import Agent, check_count, check_number, rows_of
from rlgrid.agents.calls import Callback
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.solvers import Sweeps

METHODS = ("value_iteration", "gauss_seidel")


class ValueIteration(Agent):
    """Plans by sweeps of value iteration.

    Args:
        env: a `GridWorld`, or an environment of Gymnasium's toy_text with its transition table ``P``. Only its model
            is read; it is never stepped.
        gamma: the discount factor; None takes the model's (0.99 for a foreign ``P``).
        tolerance: `learn` stops once max |values - V*| is proven to be at most this, or can no longer be.
        method: "value_iteration" or "gauss_seidel" (in place, usually fewer sweeps).
        seed: of the ties that `predict` breaks when it is not deterministic.

    Raises:
        ValueError: if the environment has no model to plan in, naming the reason.
    """

    unit: ClassVar[str] = "sweep"
    default_total_timesteps: ClassVar[int | None] = None
    chunk_size = 1

    def __init__(
        self,
        env: gym.Env[Any, Any],
        gamma: float | None = None,
        tolerance: float = 1e-6,
        method: str = "value_iteration",
        *,
        seed: int | None = None,
        compiled: bool | None = None,
    ) -> None:
        super().__init__(env, gamma=gamma, seed=seed, compiled=None)
        if compiled is False:
            raise ValueError("ValueIteration never steps its environment: it has no Python loop")
        self.compiled = True
        self.chunk_size = type(self).chunk_size
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        self.method = method
        self.tolerance = check_number("tolerance", tolerance, 0.0, float(np.finfo(np.float64).max), open_low=True)
        if not self._world.transparent:
            raise ValueError(f"ValueIteration plans in the model, but {self._world.why_not_compilable()}")
        if self.model is None:
            try:
                self.model = MDP.from_gymnasium(env, gamma=self.gamma)
            except TypeError as error:
                raise ValueError(
                    f"ValueIteration plans in a model, and {type(env.unwrapped).__name__} has none: it is no GridWorld "
                    "and has no transition table P. QLearning and DQN learn without one"
                ) from error
        self._sweeps = self._new_sweeps()
        self._extremes: tuple[Any, float, float] | None = None  # which sweep, its largest change and its least

    def _new_sweeps(self, initial_values: NDArray[np.float64] | None = None) -> Sweeps:
        from rlgrid.solvers import Sweeps

        assert self.model is not None
        return Sweeps(self.model, gamma=self.gamma, method=self.method, initial_values=initial_values)

    # --- planning ---------------------------------------------------------------------------------------------------

    def begin(self, total_timesteps: int | None) -> None:
        """Begin a new plan, of so many sweeps at most; None is until the tolerance is proven."""
        super().begin(total_timesteps)
        self._sweeps = self._new_sweeps()

    def _total_if_none(self) -> int | None:
        return None

    def resume(
        self, callback: Callback | None = None, log_interval: int | None = None, progress_bar: bool = False
    ) -> Self:
        """Finish the present plan; see `Agent.resume`. Warns where it ends without proof of the tolerance."""
        super().resume(callback, log_interval, progress_bar)
        reason = self._stuck()
        if reason and not self.converged:
            from rlgrid.solvers import SolverWarning

            warnings.warn(f"ValueIteration: {reason}", SolverWarning, stacklevel=3)
        return self

    def _finished(self) -> bool:
        return super()._finished() or self._nothing_left()

    def _nothing_left(self) -> bool:
        """True where the tolerance is proven, or further sweeps cannot bring it nearer."""
        return self.proven or bool(self._stuck())

    @property
    def proven(self) -> bool:
        """`converged`, but False without a try where a proof cannot succeed yet: what `learn` stops by."""
        return self._worth_proving() and self.converged

    def _stuck(self) -> str:
        """Why further sweeps are of no use, by the rule at which `rlgrid.solve` gives up; empty where they may be."""
        sweeps = self._sweeps
        if not sweeps.sweeps:
            return ""
        highest, lowest = self._changes()
        spread = max(0.0, highest) + max(0.0, -lowest)
        if not np.isfinite(spread):
            return "the values overflow: scale the rewards down"
        if spread > 0.0 and spread > 4.0 * sweeps.rounding:
            return ""
        bound = self.error_bound
        return f"rounding forbids more than an error of {bound:.3g}; the tolerance is {self.tolerance:g}"

    def _worth_proving(self) -> bool:
        """False where a proof of convergence, which costs several sweeps, cannot succeed or was tried just now."""
        swept = self._sweeps.sweeps
        if not swept:
            return True
        highest, lowest = self._changes()
        change = max(highest, -lowest)
        if self.gamma < 1.0:
            # The bound of Puterman 1994, section 6.6, is attained by a change that is equal everywhere.
            return self.gamma * change <= 2.0 * (1.0 - self.gamma) * self.tolerance
        # A sweep moves no value by more than the error before it and the error after it. Beyond that the sweeps at
        # which a proof is tried depend on their number alone, so that a resumed plan ends with the same one.
        return change <= 2.0 * self.tolerance and swept % (1 << max(0, swept.bit_length() - 5)) == 0

    def _changes(self) -> tuple[float, float]:
        """The largest and the least of V_k - V_(k-1); looked up once a sweep."""
        key = (self._sweeps, self._sweeps.sweeps)
        if self._extremes is None or self._extremes[0] != key:
            residual = self._sweeps.residual
            self._extremes = (key, float(residual.max()), float(residual.min()))
        return self._extremes[1:]

    def _advance_compiled(self, max_steps: int) -> int:
        done = 0
        while done < max_steps and not self._interrupted and not self._nothing_left():
            self._sweeps.sweep()
            self.num_timesteps += 1
            done += 1
        return done

    def _advance_python(self, max_steps: int) -> int:
        return self._advance_compiled(max_steps)

    # --- the plan ---------------------------------------------------------------------------------------------------

    @property
    def converged(self) -> bool:
        """True once max |values - V*| <= tolerance is proven."""
        return bool(self._sweeps.converged(self.tolerance))

    @property
    def error_bound(self) -> float:
        """A proven bound of max |values - V*|; infinite while nothing is proven."""
        return float(self._sweeps.error_bound)

    @property
    def lower(self) -> NDArray[np.float64]:
        """float64 [S], proven: at most V*."""
        return np.array(self._sweeps.lower, np.float64)

    @property
    def upper(self) -> NDArray[np.float64]:
        """float64 [S], proven: at least V*."""
        return np.array(self._sweeps.upper, np.float64)

    @property
    def td_error(self) -> NDArray[np.float64]:
        """float64 [S]: by how much the last sweep changed each value."""
        return np.array(self._sweeps.residual, np.float64)

    @property
    def values(self) -> NDArray[np.float64]:
        """float64 [S], V after the last sweep."""
        return np.array(self._sweeps.values, np.float64)

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A], one backup of the values; -inf where the state lacks the action."""
        return np.array(self._sweeps.q_values(), np.float64)

    @property
    def policy(self) -> NDArray[np.int64]:
        """int64 [S]: the solver's policy, which is proper where gamma is 1."""
        return np.array(self._sweeps.policy(), np.int64)

    def greedy(self) -> NDArray[np.bool_]:
        """bool [S, A]: every greedy action."""
        return np.array(self._sweeps.greedy(), np.bool_)

    @property
    def state(self) -> None:
        """None: a planner is in no state."""
        return None

    def metrics(self) -> dict[str, float]:
        """The proven error bound, and the largest change of the last sweep."""
        return {"error_bound": self.error_bound, "residual": float(np.abs(self.td_error).max())}

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The policy's action for an observation, or int64 [n] for a batch; any greedy one if not deterministic.

        Raises:
            ValueError: if an observation is not a state of the model.
        """
        assert self.model is not None
        states = rows_of(observation, Discrete(self.model.num_states))
        if deterministic:
            actions = self.policy[states]
        else:
            greedy = self.greedy()
            actions = np.empty(states.shape, np.int64)
            for place, s in np.ndenumerate(states):
                choice = np.flatnonzero(greedy[s])
                actions[place] = choice[int(self._predict_generator.random() * choice.size)]
        return (int(actions) if states.ndim == 0 else actions), state

    # --- on disk ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {"gamma": self.gamma, "tolerance": self.tolerance, "method": self.method}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"values": self.values, "residual": self.td_error}

    def _set_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name, own in self._arrays().items():
            given = arrays[name]
            if given.shape != own.shape or given.dtype != own.dtype or np.isnan(given).any():
                raise CheckpointError(f"{name} must be numbers, float64 {own.shape}, not {given.dtype} {given.shape}")
        self._sweeps = self._new_sweeps(arrays["values"])
        self._sweeps.residual = arrays["residual"].copy()

    def _scalars(self) -> dict[str, Any]:
        return {"sweeps": self._sweeps.sweeps}  # Gauss-Seidel sweeps in alternating directions

    def _set_scalars(self, scalars: dict[str, Any]) -> None:
        self._sweeps.sweeps = check_count("sweeps", scalars["sweeps"], least=0)
