"""Who is seen walking: a walker that follows the policy shown, and an object of a script that acts by its own."""

from __future__ import annotations

import inspect
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.state import Floats

TRAIL = 60  # states of a walk that are drawn
MOST_WALK = 400  # steps after which a walk that leads nowhere begins again


class Acting:
    """An object with ``predict`` as an agent that acts and does not learn.

    Where observations are the states of a known model, its policy is read off state by state and valued exactly.
    """

    unit = "step"
    most = 5_000  # states of which the policy is read

    def __init__(self, env: Any, actor: Any) -> None:
        from rlgrid.agents.world import World

        self.env, self.actor = env, actor
        self.model: Any = model_of(env) if World(env).same_names else None
        self.num_timesteps = 0
        self.episode_returns: list[float] = []
        self._observation: Any = None
        self._carries = "state" in inspect.signature(actor.predict).parameters
        self._memory: Any = None  # what it remembers of its episode, if it does
        self._return = 0.0
        self._values: Floats | None = None
        self._policy: NDArray[np.int64] | None = None

    def advance(self, steps: int) -> int:
        """Act for so many steps."""
        for _ in range(steps):
            if self._observation is None:
                self._observation, _ = self.env.reset(seed=0 if self.num_timesteps == 0 else None)
                self._return, self._memory = 0.0, None
            remembered = {"state": self._memory} if self._carries else {}
            found = self.actor.predict(self._observation, **remembered)
            if not (isinstance(found, tuple) and len(found) == 2):
                name = type(self.actor).__name__
                raise ValueError(f"{name}.predict must return (action, state), not {found!r:.80}")
            action, self._memory = found
            action = action.item() if isinstance(action, np.ndarray) and action.size == 1 else action
            outcome = self.env.step(action)
            if len(outcome) != 5:
                name, wanted = type(self.env.unwrapped).__name__, "(observation, reward, terminated, truncated, info)"
                raise ValueError(f"{name}.step must return {wanted}, not {len(outcome)} parts")
            self._observation, reward, terminated, truncated, _ = outcome
            self._return += float(reward)
            self.num_timesteps += 1
            if terminated or truncated:
                self.episode_returns.append(self._return)
                self._observation = None
        return steps

    @property
    def state(self) -> int | None:
        """The present state where observations are states."""
        if self._observation is None or self.model is None:
            return None
        return int(self._observation)

    @property
    def policy(self) -> NDArray[np.int64]:
        """int64 [S], read off once."""
        recurrent = getattr(self.actor, "recurrent", False)  # what it does is no function of the state
        if self.model is None or self.model.num_states > self.most or recurrent:
            raise AttributeError("the policy of this object cannot be read")
        if self._policy is None:
            actions = [int(np.asarray(self.actor.predict(s)[0]).item()) for s in range(self.model.num_states)]
            self._policy = np.array(actions, np.int64)
        return self._policy

    @property
    def values(self) -> Floats:
        """float64 [S], exact values of the policy."""
        if self._values is None:
            from rlgrid.solvers import policy_values

            values: Floats = np.asarray(policy_values(self.model, self.policy), np.float64)
            self._values = values
        return self._values

    @property
    def q_values(self) -> Floats:
        """float64 [S, A]: one backup of the policy's values."""
        model, values = self.model, self.values
        return np.array(
            [
                [
                    sum(p * (r + (0.0 if ended else model.gamma * values[to])) for p, to, r, ended in outcomes)
                    if outcomes
                    else -np.inf
                    for outcomes in outcomes_of(model, s)
                ]
                for s in range(model.num_states)
            ]
        )

    def greedy(self) -> NDArray[np.bool_]:
        """bool [S, A]: the action that the object takes."""
        chosen: NDArray[np.bool_] = self.policy[:, None] == np.arange(self.model.num_actions)
        return chosen

    def metrics(self) -> dict[str, float]:
        """Nothing beside the returns."""
        return {}


class Walker:
    """Follows the policy that is shown, in a world of its own; ties, and states that nothing reached, by chance."""

    def __init__(self, model: Any, gamma: float, seed: int) -> None:
        from rlgrid.envs.gridworld import GridWorld

        self._env = GridWorld(model=model)
        self._gamma = gamma
        self._random = np.random.default_rng([seed, 7])
        self._env.reset(seed=seed)
        self.trail: deque[int] = deque([int(self._env.state)], maxlen=TRAIL)
        self.returns: list[float] = []
        self._return, self._discount, self._steps, self._rest = 0.0, 1.0, 0, 0

    @property
    def state(self) -> int:
        """Where it stands."""
        return int(self._env.state)

    def step(self, greedy: NDArray[np.bool_] | None) -> None:
        """One step, or a moment of rest at the end of a walk, or the beginning of the next.

        ``greedy``: bool [A], the actions that the policy shown has here.
        """
        if self._rest > 0:
            self._rest -= 1
            if self._rest == 0:
                self._env.reset()
                self.trail.clear()
                self.trail.append(self.state)
                self._return, self._discount, self._steps = 0.0, 1.0, 0
            return
        row = None if greedy is None else np.flatnonzero(greedy)
        choice = row if row is not None and row.size else self._available()
        self._move(int(choice[int(self._random.random() * choice.size)]))

    def _available(self) -> NDArray[np.int64]:
        """int64 [n], the actions that there are where it stands."""
        model = self._env.model
        if model.available is None:
            return np.arange(model.num_actions)
        return np.flatnonzero(model.available[self.state])

    def drive(self, action: int) -> None:
        """Take an action of somebody else's; at the end of a walk the next one begins first.

        Raises:
            ValueError: if there is no such action here.
        """
        if self._rest > 0:
            self._rest = 1
            self.step(None)
        if isinstance(action, bool) or action not in self._available():
            raise ValueError(f"state {self.state} does not have an action {action!r}")
        self._move(int(action))

    def place(self) -> tuple[Any, ...]:
        """Where it stands and how it came there, for `go`."""
        numbers = (self._return, self._discount, self._steps, self._rest)
        return self._env.get_state(), self._random.bit_generator.state, tuple(self.trail), len(self.returns), numbers

    def go(self, place: tuple[Any, ...], returns: list[float]) -> None:
        """Stand at a `place` again; ``returns`` are those of all its walks, of which those up to then are taken."""
        world, generator, trail, walks, numbers = place
        if world["state"] is not None and world["state"] < self._env.model.num_states:
            self._env.set_state(world)
        self._random.bit_generator.state = generator
        self.trail = deque(trail, maxlen=TRAIL)
        self.returns = returns[:walks]
        self._return, self._discount, self._steps, self._rest = numbers

    def _move(self, action: int) -> None:
        """One step."""
        _, reward, terminated, _, _ = self._env.step(action)
        self._return += self._discount * float(reward)
        self._discount *= self._gamma
        self._steps += 1
        self.trail.append(self.state)
        if terminated:
            self.returns.append(self._return)
            self._rest = 4
        elif self._steps >= MOST_WALK:
            self._rest = 1


def model_of(env: Any) -> Any:
    """The model of an environment: ours, one made from toy_text's table, or None."""
    inner = env.unwrapped
    model = getattr(inner, "model", None)
    if model is not None and hasattr(model, "num_states"):
        return model
    if isinstance(getattr(inner, "P", None), dict):
        from rlgrid.mdp import MDP

        return MDP.from_gymnasium(env)
    return None


def outcomes_of(model: Any, state: int) -> list[list[tuple[float, int, float, bool]]]:
    """Every outcome (probability, next state, reward, terminated) of each action in a state."""
    from rlgrid.kernels.model import count, outcome

    arrays = model.arrays
    found = []
    for action in range(model.num_actions):
        each = [outcome(arrays, state, action, k) for k in range(count(arrays, state, action))]
        found.append([(float(p), int(to), float(reward), bool(ended)) for p, to, reward, ended in each])
    return found
