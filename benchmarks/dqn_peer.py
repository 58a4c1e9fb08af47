"""Stable-Baselines3's DQN for `dqn_speed.py`: says how long it took to learn, each time it is asked to.

Its loss is Huber's, fixed in the code of `train`; here it is the squared error, as ours.

Reads one line of JSON, the world and its settings, then a seed a line; writes the seconds of `learn` to each. Torch has
one thread. Wants stable_baselines3 and gymnasium alone, not rlgrid.
"""

import json
import sys
import time
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3.dqn.dqn
import torch
from gymnasium.spaces import Discrete
from stable_baselines3 import DQN


class Table(gym.Env):
    """A world given by its outcomes: P[s][a] is a list of [probability, next state, reward, terminated]."""

    def __init__(self, P: list[Any], start: list[float]) -> None:
        self.outcomes = P
        self.sums = [[np.cumsum([outcome[0] for outcome in row]) for row in rows] for rows in P]
        self.starts = np.cumsum(start)
        self.observation_space = Discrete(len(P))
        self.action_space = Discrete(len(P[0]))
        self.state = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = int(np.argmax(self.starts > self.np_random.random()))
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        k = int(np.argmax(self.sums[self.state][action] > self.np_random.random()))
        _, self.state, reward, terminated = self.outcomes[self.state][action][k]
        return self.state, reward, terminated, False, {}


def main() -> None:
    torch.set_num_threads(1)
    stable_baselines3.dqn.dqn.F = SimpleNamespace(smooth_l1_loss=torch.nn.functional.mse_loss)
    asked = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        if asked["table"] is None:
            env = gym.make(asked["world"])
        else:
            env = gym.wrappers.TimeLimit(Table(**asked["table"]), asked["max_episode_steps"])
        agent = DQN(
            "MlpPolicy",
            env,
            policy_kwargs={
                "net_arch": asked["net_arch"],
                "activation_fn": torch.nn.Tanh,
                "optimizer_kwargs": {"eps": asked["adam_epsilon"]},
            },
            seed=int(line),
            device="cpu",
            **asked["settings"],
        )
        begin = time.perf_counter()
        agent.learn(asked["steps"])
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
