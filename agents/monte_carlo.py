"""Monte Carlo control: what is learnt is learnt from whole episodes (Sutton & Barto, 2nd ed., chapter 5).

    G_t = r_t+1 + gamma G_t+1, backwards from the end of the episode

    on-policy, first visit or every visit (section 5.4)    Q(s,a) moves to the mean of the returns G
    off-policy (section 5.7)                               the greedy policy, by weighted importance sampling:
        C(s,a) += W;  Q(s,a) += W / C(s,a) [G - Q(s,a)];  stop where a is not greedy;  W /= b(a|s)

W grows by some factor with every step of an episode, so W and C are kept as logarithms.

An episode that is truncated has not ended in the world: the rest of it is worth what the table says of its last state
(on-policy the mean over the behaviour, off-policy the largest q).
"""

from __future__ import annotations

from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.base import check_name
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.tabular import EXPLORATIONS, LARGEST, TabularAgent, TabularArguments, fitting

VISITS = ("first", "every")
MOST_EPISODE = 2**22  # steps of an episode that are kept, about


class EpisodicAgent(TabularAgent):
    """What Monte Carlo agents share. Arguments: see `TabularAgent`.

    Attributes:
        weight: float64 [S, A]: how many returns were averaged; off-policy the logarithm of the sum of their weights,
            the lowest float where there was none.

    The steps of the episode under way are kept, 32 bytes each.

    Raises:
        RuntimeError: from learning, when an episode has `MOST_EPISODE` steps and goes on.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.weight = np.zeros(self.q_table.shape)
        self._first = np.full(self.q_table.shape, -1, np.int64)  # the step at which the pair was first taken
        self._size = np.zeros(1, np.int64)  # steps of the episode so far
        self._states, self._actions = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._rewards, self._chances = np.zeros(0), np.zeros(0)

    def _every(self) -> bool:
        return True

    def _rule(self) -> Any:
        from rlgrid.kernels.monte_carlo import Episode

        return Episode(
            states=self._states,
            actions=self._actions,
            rewards=self._rewards,
            chances=self._chances,
            size=self._size,
            first=self._first,
            weight=self.weight,
            every=self._every(),
        )

    def _make_room(self, steps: int) -> None:
        if self._size[0] >= MOST_EPISODE:
            raise RuntimeError(
                f"an episode has taken {self._size[0]} steps and goes on: {type(self).__name__} learns when it ends, "
                "and keeps its steps until then. Limit it: gymnasium.make(..., max_episode_steps=...) or "
                "gymnasium.wrappers.TimeLimit"
            )
        needed = int(self._size[0]) + steps
        if needed > self._states.size:
            room = np.zeros(max(needed, 2 * self._states.size) - self._states.size, np.int64)
            self._states, self._actions = (np.concatenate([a, room]) for a in (self._states, self._actions))
            self._rewards, self._chances = (np.concatenate([a, room * 0.0]) for a in (self._rewards, self._chances))

    def _memory(self) -> dict[str, NDArray[Any]]:
        size = self._size[0]
        return {
            "weight": self.weight,
            "episode.states": self._states[:size],
            "episode.actions": self._actions[:size],
            "episode.rewards": self._rewards[:size],
            "episode.chances": self._chances[:size],
        }

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._set_weight(arrays)
        length = arrays["episode.states"].size
        num_states, num_actions = self.q_table.shape
        whole, real = np.zeros(length, np.int64), np.zeros(length)
        self._states = fitting(arrays, "episode.states", whole, 0, num_states).copy()
        self._actions = fitting(arrays, "episode.actions", whole, 0, num_actions).copy()
        self._rewards = fitting(arrays, "episode.rewards", real).copy()
        self._chances = fitting(arrays, "episode.chances", real).copy()
        if not ((self._chances > 0.0) & (self._chances <= 1.0 + 1e-9)).all():
            raise CheckpointError("a chance in the file is no probability")
        self._size[0] = length
        self._first[...] = -1
        for i in range(length - 1, -1, -1):
            self._first[self._states[i], self._actions[i]] = i

    def _set_weight(self, arrays: dict[str, NDArray[Any]]) -> None:
        given = fitting(arrays, "weight", self.weight)
        if ((given < 0.0) | (given > self.counts) | (given != np.floor(given))).any():
            raise CheckpointError("weight in the file is no count of visits")
        self.weight[...] = given

    def _clear_memory(self) -> None:
        if self._size[0]:
            self._first[...] = -1
        self._size[0] = 0


class MonteCarlo(EpisodicAgent):
    """On-policy Monte Carlo control.

    Args:
        env, gamma, and all others: see `TabularAgent`.
        learning_rate: "1/N" is the mean of the returns, N of which there were; a number forgets the old ones.
        visits: "first" or "every": which visits of a pair in an episode count.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = "1/N",
        gamma: float | None = None,
        visits: str = "first",
        **settings: Unpack[TabularArguments],
    ) -> None:
        super().__init__(env, learning_rate, gamma, **settings)
        self.visits_counted = check_name("visits", visits, VISITS)

    def _every(self) -> bool:
        return self.visits_counted == "every"

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.monte_carlo import learn_monte_carlo, run_monte_carlo
        from rlgrid.kernels.tabular import act_apart

        return run_monte_carlo, act_apart, learn_monte_carlo

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"visits": self.visits_counted}


class OffPolicyMonteCarlo(EpisodicAgent):
    """Off-policy Monte Carlo control by weighted importance sampling; it has no learning rate.

    Args:
        env, gamma, and all others: see `TabularAgent`. The behaviour must be able to take every action, so
            exploration "ucb" is refused.
    """

    not_taken = ("learning_rate",)

    def __init__(
        self, env: gym.Env[Any, Any], *, gamma: float | None = None, **settings: Unpack[TabularArguments]
    ) -> None:
        self._check_taken(settings)
        super().__init__(env, "1/N", gamma, **settings)
        self.weight[...] = -LARGEST
        if self.exploration == "ucb":
            raise ValueError(
                "exploration 'ucb' leaves actions out, and importance sampling needs a chance of each: "
                "take 'epsilon_greedy' or 'softmax'"
            )
        strength = self._strength if self._given_strength() else None
        ends = (self.exploration_initial_eps, self.exploration_final_eps)
        if (strength is None and ends == (0.0, 0.0)) or (strength is not None and strength[:2] == ("constant", 0.0)):
            raise ValueError(
                f"{EXPLORATIONS[self.exploration]} must be above 0: importance sampling needs a chance of every action"
            )

    def _kernels(self) -> tuple[Any, Any, Any]:
        from rlgrid.kernels.monte_carlo import learn_off_policy_monte_carlo, run_off_policy_monte_carlo
        from rlgrid.kernels.tabular import act_apart

        return run_off_policy_monte_carlo, act_apart, learn_off_policy_monte_carlo

    def why_not_driven(self) -> str:
        """Importance sampling divides by the chance of what was done."""
        return "importance sampling needs the chance with which an action was chosen, and yours has none"

    def _memory(self) -> dict[str, NDArray[Any]]:
        memory = super()._memory()
        memory["log_weight"] = memory.pop("weight")
        return memory

    def _set_weight(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.weight[...] = fitting(arrays, "log_weight", self.weight)

    def _settings(self) -> dict[str, Any]:
        settings = super()._settings()
        del settings["learning_rate"]
        return settings
