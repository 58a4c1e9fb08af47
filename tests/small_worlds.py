"""Small environments for tests of agents, and what it means that two agents are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from rlgrid.agents import QLearning
from rlgrid.envs.gridworld import GridWorld
from rlgrid.mdp import MDP

LAKE = "rlgrid/FrozenLake-v1"


def masked_mdp(start: Any = 0) -> MDP:
    """Four states in a ring, three actions of which each state has one or two; state 3 is final."""
    P = np.zeros((4, 3, 4))
    for s in range(3):
        P[s, 0, (s + 1) % 4] = 0.7
        P[s, 0, s] = 0.3
        P[s, 1, 0] = 1.0
        P[s, 2, s] = 1.0
    R = np.zeros((4, 3))
    R[:3] = [[-1.0, -0.5, -0.25]] * 3
    available = np.ones((4, 3), bool)
    available[0, 1] = available[1, 2] = available[2, 1] = available[2, 2] = False
    return MDP.from_arrays(P, R, gamma=0.9, start=start, terminal=[False, False, False, True], available=available)


def parting_mdp() -> MDP:
    """`masked_mdp`, but an episode may end in a state that is not final, and may begin in the one that is."""
    table = {s: dict(row.items()) for s, row in masked_mdp().P.items()}
    for s in range(3):
        stay, on, r = 0.3, 0.3, -1.0 + s
        table[s][0] = [(stay, s, r, False), (on, (s + 1) % 4, r, s == 2), (1.0 - stay - on, (s + 2) % 3, r, True)]
    return MDP.from_gymnasium(table, gamma=0.9, start=[0.2, 0.3, 0.3, 0.2])


def lake_mdp() -> MDP:
    model: Any = gym.make(LAKE).unwrapped.model  # type: ignore[attr-defined]
    return model.to_mdp()  # type: ignore[no-any-return]


WORLDS: dict[str, Callable[[], MDP]] = {
    "lake": lake_mdp,
    "masked": lambda: masked_mdp([0.2, 0.5, 0.3, 0.0]),
    "parting": parting_mdp,
    "final": lambda: masked_mdp([0.2, 0.3, 0.3, 0.2]),  # where episodes may begin, and rewards are below 0 elsewhere
}
"""In which rules are held against their oracles."""


def world(model: Any = None, limit: int | None = 100) -> Any:
    env: Any = gym.make(LAKE).unwrapped if model is None else GridWorld(model=model)
    return env if limit is None else TimeLimit(env, limit)


class Offset(gym.Env[Any, Any]):
    """A foreign corridor of four cells whose observations count from 5 and whose actions from -1."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Discrete(4, start=5)
        self.action_space = gym.spaces.Discrete(2, start=-1)
        self.cell = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = 0
        return np.int64(5), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in (-1, 0)
        self.cell = max(0, self.cell - 1) if action == -1 else self.cell + 1
        return np.int64(5 + self.cell), -1.0, self.cell == 3, False, {}


def state_of(env: Any) -> tuple[Any, ...]:
    """Everything that a later step of an environment depends on."""
    limits, layer = [], env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, TimeLimit):
            limits.append(layer._elapsed_steps)
        layer = layer.env
    return layer.state, layer.np_random.bit_generator.state, limits


def same(a: QLearning, b: QLearning) -> bool:
    return (
        (a.q_table == b.q_table).all()
        and (a.counts == b.counts).all()
        and (a.td_error == b.td_error).all()
        and a.episode_returns == b.episode_returns
        and a.episode_lengths == b.episode_lengths
        and a._generator.bit_generator.state == b._generator.bit_generator.state
        and a.num_timesteps == b.num_timesteps
    )
