"""What the agents of provable exploration share: what they know of rewards, what they count, and rounds.

They explore by what they are uncertain of, and so take no learning rate, epsilon or other schedule. A bound on the
rewards is all that they are told: the papers have them in [0, 1], and here they lie in ``reward_range``. It is widened
to hold 0, which is what follows an episode that ended, and the bonuses are multiplied by its width.

Agents that plan a finite number of steps ahead act by the step of the round. A round is an episode, or ``horizon``
steps where no episode ends sooner: the next round then begins where that one stopped, and the environment is not reset
by it. Nothing is worth anything beyond the horizon. Where an episode is truncated before that, its last state keeps its
value for the steps that are left.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_count, check_number, rows_of
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.tabular import LARGEST, TableAgent, fitting

if TYPE_CHECKING:
    from rlgrid.kernels.counted import Counted

LONGEST = 200  # steps of a horizon that nobody asked for
MOST_ENTRIES = 20_000_000  # of a table


class ExploringArguments(TypedDict, total=False):
    """The arguments that every such agent takes beside gamma; see `ExploringAgent`."""

    reward_range: tuple[float, float] | None
    seed: int | None
    compiled: bool | None


class ExploringAgent(TableAgent):
    """An agent that explores by what it is uncertain of.

    Args:
        env: a Gymnasium environment with Discrete observations and actions.
        gamma: the discount factor; None takes the model's, 0.99 where there is none.
        reward_range: (least, largest) reward of a step; None takes the model's, (0, 1) where there is none.
        seed, compiled: see `Agent`.

    Attributes:
        counts: int64 [S, A], how often each action was taken in each state.

    Raises:
        ValueError, TypeError: naming the argument or the space that does not fit; from learning, where a reward lies
            outside ``reward_range``.
    """

    not_taken = ("learning_rate",)

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        gamma: float | None = None,
        reward_range: tuple[float, float] | None = None,
        seed: int | None = None,
        compiled: bool | None = None,
        **unknown: Any,
    ) -> None:
        self._check_taken(unknown, all_known=False)
        super().__init__(env, "1/N", gamma, seed=seed, compiled=compiled)
        self.reward_range = None if reward_range is None else _checked_range(reward_range)
        self.q_table = np.zeros(0)

    def _begin_tables(self, *shape: int) -> None:
        """Have a table of zeros of this shape, the last two of which are states and actions, and counts.

        Raises:
            ValueError: where it is too large.
        """
        entries = math.prod(shape)
        if entries > MOST_ENTRIES:
            sizes = " x ".join(map(str, shape))
            of = "steps, states and actions" if len(shape) == 3 else "states and actions"
            remedy = ": give a smaller horizon" if len(shape) == 3 and math.prod(shape[1:]) < MOST_ENTRIES else ""
            raise ValueError(
                f"{type(self).__name__} keeps a table of all {of}: {sizes} are more than {MOST_ENTRIES:,} entries"
                + remedy
            )
        self.q_table = np.zeros(shape)
        self.counts = np.zeros(shape[-2:], np.int64)

    def _mask_table(self) -> None:
        """Final states are worth 0 where the model is known, and actions that a state lacks nothing at all."""
        if self.model is not None:
            self.q_table[..., self.model.absorbing, :] = 0.0
            if self.model.available is not None:
                self.q_table[..., ~self.model.available] = -np.inf

    def _bounds(self) -> tuple[float, float]:
        """(least, largest) reward of a step; one in a final state, where episodes may begin, gives 0.

        Raises:
            ValueError: if the model has a reward outside the range that was given.
        """
        given = self.reward_range
        if self.truth is None:
            return given or (0.0, 1.0)
        model = self.truth.to_mdp()
        acted = np.repeat(np.repeat(~model.absorbing, model.num_actions), np.diff(model.offsets))
        rewards = model.reward[acted & (model.probability > 0.0)]
        low, high = (float(rewards.min()), float(rewards.max())) if rewards.size else (0.0, 0.0)
        if model.absorbing[model.start_states[model.start_probability > 0.0]].any():
            low, high = min(low, 0.0), max(high, 0.0)
        if given is None:
            return low, high
        if low < given[0] or high > given[1]:
            raise ValueError(f"reward_range is {list(given)}, and the rewards of this world are in [{low:g}, {high:g}]")
        return given

    def _check_bounds(self, *bounds: float) -> None:
        if not np.isfinite(bounds).all():
            raise ValueError(
                f"the rewards, in [{self.low:g}, {self.high:g}], or the numbers of a bonus or a prior are too large "
                f"for {type(self).__name__}: values would not be finite. Scale them down, or lower gamma or the horizon"
            )

    @property
    def low(self) -> float:
        """The least reward of a step."""
        return self._range[0]

    @property
    def high(self) -> float:
        """The largest reward of a step."""
        return self._range[1]

    def _know_rewards(self) -> float:
        """Settle what is known of rewards; returns the width of their range with 0 in it."""
        self._range = self._bounds()
        return max(self.high, 0.0) - min(self.low, 0.0)

    def _step_env(self, action: int) -> tuple[Any, float, bool, bool]:
        observation, reward, terminated, truncated = super()._step_env(action)
        slack = 1e-6 * max(abs(self.low), abs(self.high))  # the rewards may be float32
        if not self.low - slack <= reward <= self.high + slack:
            raise ValueError(
                f"the environment gave the reward {reward:g} after {self.num_timesteps} steps, outside reward_range "
                f"[{self.low:g}, {self.high:g}]: give reward_range=(least, largest)"
            )
        return observation, reward, terminated, truncated

    def _final(self) -> NDArray[np.bool_]:
        """bool [S]: known to be final, and so worth 0."""
        return np.zeros(self._num_states, bool) if self.model is None else np.array(self.model.absorbing)

    def _learnt(self) -> NDArray[np.float64]:
        return self.q_table

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A], a copy of the table; what is uncertain is overrated in it, for that is how it explores."""
        return self.q_table.copy()

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The action for an observation, or int64 [n] for a batch.

        Deterministic is the greedy action of the lowest index; otherwise ties are broken at random, as in learning, by
        draws from a stream of its own.

        Raises:
            ValueError: if an observation is not one of the environment's states.
        """
        states = rows_of(observation, self._space)
        return self._shaped(self._greedy(self.q_table[states], deterministic), states), state

    def _greedy(self, rows: NDArray[np.float64], deterministic: bool) -> NDArray[np.int64]:
        """Greedy actions of rows [..., A] of a table."""
        ties = rows == rows.max(axis=-1, keepdims=True)
        if deterministic:
            return np.asarray(ties.argmax(axis=-1))
        draw = self._predict_generator.random(ties.shape[:-1])
        place = np.floor(draw * ties.sum(axis=-1))
        return np.asarray((ties.cumsum(axis=-1) > place[..., None]).argmax(axis=-1))

    def _shaped(self, actions: NDArray[np.int64], states: NDArray[np.int64]) -> Any:
        actions = actions + self._first_action
        return int(actions) if states.ndim == 0 else actions

    def _settings(self) -> dict[str, Any]:
        given = self.reward_range
        return {"gamma": self.gamma, "reward_range": None if given is None else list(given)}

    def _tables(self) -> dict[str, NDArray[Any]]:
        return {"q": self.q_table, "counts": self.counts, "td_error": self.td_error}


def _checked_range(given: Any) -> tuple[float, float]:
    if not isinstance(given, list | tuple | np.ndarray) or len(given) != 2:
        raise TypeError(f"reward_range must be two numbers, the least and the largest reward of a step, not {given!r}")
    low, high = (check_number("reward_range", value, -LARGEST, LARGEST) for value in given)
    if low > high:
        raise ValueError(f"reward_range must be (least, largest), not {given!r}")
    return low, high


class Outcomes:
    """The outcomes that an agent has counted of each pair, with room for more (`rlgrid.kernels.counted`)."""

    def __init__(self, num_states: int, num_actions: int) -> None:
        self._num_states, pairs = num_states, num_states * num_actions
        self._pair, self._to, self._many, self._same = (np.zeros(0, np.int64) for _ in range(4))
        self._latest, self._size = np.full(pairs, -1, np.int64), np.zeros(1, np.int64)

    def arrays(self) -> Counted:
        """As kernels take them."""
        from rlgrid.kernels.counted import Counted

        return Counted(self._pair, self._to, self._many, self._same, self._latest, self._size)

    def make_room(self, steps: int) -> None:
        """Have room for the outcomes of so many steps."""
        needed = int(self._size[0]) + steps
        if needed > self._pair.size:
            room = np.zeros(max(needed, 2 * self._pair.size) - self._pair.size, np.int64)
            for name in ("_pair", "_to", "_many", "_same"):
                setattr(self, name, np.concatenate([getattr(self, name), room]))

    def memory(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint."""
        size = self._size[0]
        return {"model.pair": self._pair[:size], "model.to": self._to[:size], "model.many": self._many[:size]}

    def set_memory(self, arrays: dict[str, NDArray[Any]], met: NDArray[np.int64]) -> None:
        """Take back what `memory` gave.

        Args:
            met: int64 [S, A], how many outcomes of each pair must have been counted.

        Raises:
            CheckpointError
        """
        own = np.zeros(arrays["model.pair"].size, np.int64)
        pair = fitting(arrays, "model.pair", own, 0, self._latest.size)
        to = fitting(arrays, "model.to", own, -1, self._num_states)
        many = fitting(arrays, "model.many", own, 1)
        distinct = np.unique(pair * (self._num_states + 1) + to).size == own.size
        counted = np.zeros(self._latest.size, np.int64)
        np.add.at(counted, pair, many)
        if not distinct or (counted != met.ravel()).any():
            raise CheckpointError("the model in the file does not fit the counts there")
        self._pair, self._to, self._many, self._same = pair.copy(), to.copy(), many.copy(), own
        self._latest[:], self._size[0] = -1, own.size
        for i in range(own.size):
            self._same[i] = self._latest[pair[i]]
            self._latest[pair[i]] = i


class RoundAgent(ExploringAgent):
    """An agent that acts by the step of the round.

    Args:
        env, gamma, reward_range, seed, compiled: see `ExploringAgent`.
        horizon: H, the steps of a round. None takes the step cap where that is at most 200, else 1 / (1 - gamma), but
            no more than 200.

    Attributes:
        q_table: float64 [H, S, A], the q-values of each step of a round.
    """

    def __init__(self, env: gym.Env[Any, Any], *, horizon: int | None = None, **settings: Any) -> None:
        super().__init__(env, **settings)
        if horizon is None:
            cap = self._world.max_episode_steps
            effective = LONGEST if self.gamma == 1.0 else min(LONGEST, math.ceil(1.0 / (1.0 - self.gamma) - 1e-9))
            horizon = cap if cap <= LONGEST else effective
        self.horizon = check_count("horizon", horizon)
        self._begin_tables(self.horizon, self._num_states, self._num_actions)
        self._steps = np.cumprod(np.r_[1.0, np.full(self.horizon - 1, self.gamma)])  # gamma^h
        self._step = np.full(1, self._first_step, np.int64)

    _first_step = 0  # of a round; -1 where something has to be done before it

    def _ceilings(self) -> NDArray[np.float64]:
        """float64 [H + 1]: the most that can be had from each step on; an episode may end to avoid losses."""
        ceiling = [0.0]  # from the last step back
        for _ in range(self.horizon):
            ceiling.append(self.high + self.gamma * max(0.0, ceiling[-1]))
        return np.array(ceiling[::-1])

    @property
    def step(self) -> int:
        """The step of the round that comes next, from 0 to H - 1."""
        return max(0, int(self._step[0]))

    def _learnt(self) -> NDArray[np.float64]:
        return self.q_table.reshape(-1, self._num_actions)

    def _clear_memory(self) -> None:
        self._step[0] = self._first_step

    def _memory(self) -> dict[str, NDArray[Any]]:
        return {"step": self._step}

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._step[:] = fitting(arrays, "step", self._step, self._first_step, self.horizon)

    def _updates(self) -> int:
        return 1 + int(self.q_table.size) // 8  # a plan is made of quick passes, and not in every step

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A], a copy: of the first step of a round."""
        first: NDArray[np.float64] = self.q_table[0].copy()
        return first

    @property
    def step_policy(self) -> NDArray[np.int64]:
        """int64 [H, S]: the greedy action at each step of a round, the lowest index where several are equal.

        ``rlgrid.policy_values(model, agent.step_policy, gamma, horizon=agent.horizon)[0]`` are its exact values.
        """
        return np.asarray(self.q_table.argmax(axis=2))

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The action for an observation, or int64 [n] for a batch, and the step of the round that comes next.

        Given a ``state`` or an ``episode_start`` the action is that of the step of the round. ``state`` is what the
        call before handed back; with None, and where ``episode_start`` says that an episode begins, a round begins.
        Without both the action is that of `policy`, and the state stays None.

        Raises:
            ValueError: if an observation is not one of the environment's states, or a state no step of the round.
        """
        if state is None and episode_start is None:
            states = rows_of(observation, self._space)
            return self._shaped(self._greedy(self.q_values[states], deterministic), states), None
        states = rows_of(observation, self._space)
        steps = np.zeros(states.shape, np.int64) if state is None else np.asarray(state)
        if (
            steps.dtype.kind not in "iu"
            or steps.shape != states.shape
            or not ((steps >= 0) & (steps < self.horizon)).all()
        ):
            raise ValueError(f"state must be steps of the round, from 0 to {self.horizon - 1}, not {state!r}")
        begins = np.zeros(states.shape, bool) if episode_start is None else np.asarray(episode_start, bool)
        steps = np.where(begins.reshape(states.shape), 0, steps)
        actions = self._shaped(self._greedy(self.q_table[steps, states], deterministic), states)
        after = (steps + 1) % self.horizon
        return actions, (int(after) if states.ndim == 0 else after)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"horizon": self.horizon}

    def _overflow(self, row: int) -> NoReturn:
        raise FloatingPointError(
            f"step {self.num_timesteps}: in state {row + self._first_state} a {self._entry} would no longer be finite. "
            "Scale the rewards down, or lower gamma or the horizon"
        )
