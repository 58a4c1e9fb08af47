"""CartPole, Acrobot and MountainCar, compiled: the classic control problems of `rlgrid.kernels.classic_control`.

Spaces, rewards, ends, starts and every bit of the states are those of Gymnasium's CartPole-v1, Acrobot-v1 and
MountainCar-v0, whose arguments they take; what is compiled can also be run inside the kernel of an agent. They have no
model: their states are vectors of real numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from rlgrid.kernels import classic_control as kernels

_KEYS = ("state", "begun", "ended", "generator")


class ClassicControl(gym.Env[NDArray[np.float32], int]):
    """What the three share. A subclass gives `dynamics`, spaces and the bounds of a start.

    Attributes:
        dynamics: the struct with the present state that kernels step.
        settings: what sets one such world apart from another.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's form
    start_bounds: ClassVar[tuple[float, float]]

    def __init__(
        self,
        dynamics: Any,
        high: list[float],
        low: list[float] | None = None,
        *,
        num_actions: int,
        render_mode: str | None,
    ) -> None:
        if render_mode is not None:
            raise ValueError(f"render_mode {render_mode!r} is not known: {type(self).__name__} draws no pictures")
        top = np.array(high, np.float32)
        self.dynamics = dynamics
        self.observation_space = Box(-top if low is None else np.array(low, np.float32), top, dtype=np.float32)
        self.action_space: Any = Discrete(num_actions)
        self.render_mode = render_mode
        self._seen = np.zeros((1, top.size), np.float32)
        self._under_way = False
        self._begun = False  # no step was taken since the last reset
        self._ended = False

    @property
    def settings(self) -> str:
        """The problem and its arguments."""
        told = ", ".join(f"{name}={value!r}" for name, value in self.dynamics._asdict().items() if name != "state")
        return f"{type(self).__name__}({told})"

    @property
    def state(self) -> NDArray[np.float64]:
        """The present state, a copy; kernels say what its numbers are."""
        copied: NDArray[np.float64] = self.dynamics.state.copy()
        return copied

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode.

        Args:
            options: ``"low"`` and ``"high"``, other bounds of the uniform start.

        Raises:
            ValueError: if these are no numbers, or the lower lies above the upper.
        """
        super().reset(seed=seed)
        low, high = self._bounds(options or {})
        self._start(low, high)
        self._under_way, self._begun, self._ended = True, True, False
        return self.observation(), {}

    def _bounds(self, options: Mapping[str, Any]) -> tuple[float, float]:
        bounds = []
        for name, default in zip(("low", "high"), self.start_bounds, strict=True):
            given = options.get(name, default)
            try:
                bounds.append(float(given))
            except (TypeError, ValueError):
                raise ValueError(f"options[{name!r}] must be a number, not {given!r}") from None
        if not bounds[0] <= bounds[1]:
            raise ValueError(f"options: the lower bound {bounds[0]} must not lie above the upper one, {bounds[1]}")
        return bounds[0], bounds[1]

    def _start(self, low: float, high: float) -> None:
        self.dynamics.state[:] = self.np_random.uniform(low=low, high=high, size=self.dynamics.state.shape)

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One step of the physics; an episode is cut off by TimeLimit alone.

        Raises:
            ValueError: for an action that is not in the action space.
            ResetNeeded: before the first reset.
        """
        if not self.action_space.contains(action):
            raise ValueError(f"the action {action!r} is not in {self.action_space}")
        if not self._under_way:
            raise gym.error.ResetNeeded("call reset() before step()")
        reward, terminated = kernels.move_once(self.dynamics, int(action), self._seen)
        self._begun = False
        if terminated and self._ended:
            reward = self._reward_beyond(reward)
        self._ended = terminated
        return self._present(), float(reward), bool(terminated), False, {}

    def _reward_beyond(self, reward: float) -> float:
        """The reward of a step that ends an episode which had ended before."""
        return reward

    def observation(self) -> NDArray[np.float32]:
        """The present observation."""
        kernels.observe_once(self.dynamics, self._seen)
        return self._present()

    def _present(self) -> NDArray[np.float32]:
        present: NDArray[np.float32] = self._seen[0].copy()
        return present

    def action_masks(self) -> NDArray[np.bool_]:
        """bool [A]: every action always is."""
        return np.ones(int(self.action_space.n), np.bool_)

    def note(self, *, begun: bool) -> None:
        """Have it known that a kernel has moved the state, up to a start (``begun``) or not."""
        self._under_way, self._begun, self._ended = True, begun, False

    # --- the state as data ------------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Everything from which `set_state` goes on exactly, as plain data that JSON can keep."""
        return {
            "state": self.dynamics.state.tolist() if self._under_way else None,
            "begun": self._begun,
            "ended": self._ended,
            "generator": self.np_random.bit_generator.state,
        }

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Go back to what `get_state` gave, of this environment or of another one of the same problem.

        Raises:
            ValueError, TypeError: naming what is wrong; nothing is changed then.
        """
        if not isinstance(saved, Mapping) or set(saved) != set(_KEYS):
            raise TypeError(f"a saved state is a mapping with {', '.join(_KEYS)}, not {saved!r}")
        state = saved["state"]
        if state is not None:
            state = np.array(state, np.float64)
            if state.shape != self.dynamics.state.shape or not np.isfinite(state).all():
                raise ValueError(f"a state here is {self.dynamics.state.size} finite numbers, not {saved['state']!r}")
        generator: Any = type(self.np_random.bit_generator)()
        try:
            generator.state = saved["generator"]
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError(f"the saved generator is no state of one, NumPy says: {error!r}") from None
        self.np_random.bit_generator.state = generator.state
        self._np_random_seed = -1  # Gymnasium's sign for a generator that no seed of its own has made
        if state is not None:
            self.dynamics.state[:] = state
        self._under_way, self._begun, self._ended = state is not None, bool(saved["begun"]), bool(saved["ended"])


class CartPole(ClassicControl):
    """`rlgrid/CartPole-v1`: hold a pole upright on a cart that is pushed to either side.

    Barto, Sutton & Anderson (1983), IEEE Transactions on Systems, Man, and Cybernetics 13.

    Args:
        sutton_barto_reward: 0 a step and -1 at the end, as the paper has it, in place of 1 a step.
    """

    start_bounds = (-0.05, 0.05)

    def __init__(self, sutton_barto_reward: bool = False, render_mode: str | None = None) -> None:
        high = [2 * kernels.FARTHEST, math.inf, 2 * kernels.LARGEST_ANGLE, math.inf]
        dynamics = kernels.CartPole(np.zeros(4), bool(sutton_barto_reward))
        super().__init__(dynamics, high, num_actions=2, render_mode=render_mode)

    def _reward_beyond(self, reward: float) -> float:
        return -1.0 if self.dynamics.sutton_barto_reward else 0.0


class Acrobot(ClassicControl):
    """`rlgrid/Acrobot-v1`: swing the end of two links up, by turning the joint between them.

    Sutton (1996), NIPS 8, with the equations of Sutton & Barto's book.
    """

    start_bounds = (-0.1, 0.1)

    def __init__(self, render_mode: str | None = None) -> None:
        high = [1.0, 1.0, 1.0, 1.0, *kernels.FASTEST]
        super().__init__(kernels.Acrobot(np.zeros(4), 2.0), high, num_actions=3, render_mode=render_mode)

    def _start(self, low: float, high: float) -> None:
        super()._start(low, high)
        self.dynamics.state[:] = self.dynamics.state.astype(np.float32)

    def observation(self) -> NDArray[np.float32]:
        angles = self.dynamics.state[:2].astype(np.float32)
        if not self._begun:
            return super().observation()
        if np.abs(angles).max() < kernels.SMALL_ANGLE:
            kernels.observe_at_rest(self.dynamics, self._seen, 0)
            return self._present()
        seen = [np.cos(angles[0]), np.sin(angles[0]), np.cos(angles[1]), np.sin(angles[1]), *self.dynamics.state[2:]]
        return np.array(seen, np.float32)


class MountainCar(ClassicControl):
    """`rlgrid/MountainCar-v0`: get out of a valley with an engine that is too weak.

    Moore (1990), Efficient Memory-Based Learning for Robot Control, PhD thesis, Cambridge.

    Args:
        goal_velocity: the least velocity at the goal that counts.
    """

    start_bounds = (-0.6, -0.4)

    def __init__(self, render_mode: str | None = None, goal_velocity: float = 0) -> None:
        dynamics = kernels.MountainCar(np.zeros(2), float(goal_velocity))
        high, low = [kernels.RIGHT_END, kernels.TOP_SPEED], [kernels.LEFT_END, -kernels.TOP_SPEED]
        super().__init__(dynamics, high, low, num_actions=3, render_mode=render_mode)

    def _start(self, low: float, high: float) -> None:
        self.dynamics.state[:] = (self.np_random.uniform(low=low, high=high), 0.0)
