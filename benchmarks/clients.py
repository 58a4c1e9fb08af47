"""Programs of others, as they are, on our environments: do they train, and how near to the optimum do they come?

    python benchmarks/clients.py [--steps 20000] [--cleanrl PATH] [--only NAME]

Stable-Baselines3 (PPO, DQN), sb3-contrib (MaskablePPO) and CleanRL's ``dqn.py``, the last from a checkout of its
repository, take an id with the module's name before it: ``rlgrid:rlgrid/FourRoomsOneHot-v0``. What they have learned is
then held against the model, exactly: the share of regret is 0 for an optimal policy, and 1 for a random one.

Wants stable_baselines3 and sb3_contrib, and for CleanRL torch, tensorboard and tyro. CleanRL's script is written for
Gymnasium 0.29, whose infos it reads where a step cap ends an episode; with Gymnasium 1 it stops there with a KeyError,
in environments of Gymnasium's own too. So it runs on cliff walking, which has no step cap, unless Gymnasium 0.29.1
comes first in PYTHONPATH: then on four rooms.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import rlgrid

FOUR_ROOMS = "rlgrid:rlgrid/FourRoomsOneHot-v0"
CLIFF = "rlgrid:rlgrid/CliffWalkingOneHot-v1"

# The defaults are for Atari games: a step of learning each fourth step, and a new target network each 10,000th.
DQN_SETTINGS = {"train_freq": 1, "target_update_interval": 250, "exploration_fraction": 0.5, "gamma": 0.95}


def seen_everywhere(env: Any) -> Any:
    """The observation of every state, as one batch."""
    return env.unwrapped.observer.many(np.arange(env.unwrapped.model.num_states))


def sb3(algorithm: Any, world: str, steps: int, **settings: Any) -> NDArray[np.int64]:
    """Train an algorithm of Stable-Baselines3; the action that it takes in each state."""
    agent = algorithm("MlpPolicy", world, seed=0, device="cpu", **settings)
    agent.learn(total_timesteps=steps)
    actions, _ = agent.predict(seen_everywhere(gym.make(world)), deterministic=True)
    return np.asarray(actions, np.int64)


def ppo(world: str, steps: int) -> NDArray[np.int64]:
    from stable_baselines3 import PPO

    return sb3(PPO, world, steps, n_steps=512, gamma=0.95, ent_coef=0.01)


def dqn(world: str, steps: int) -> NDArray[np.int64]:
    from stable_baselines3 import DQN

    return sb3(DQN, world, steps, learning_starts=1000, learning_rate=1e-3, **DQN_SETTINGS)


def maskable_ppo(world: str, steps: int) -> NDArray[np.int64]:
    from sb3_contrib import MaskablePPO

    return sb3(MaskablePPO, world, steps, n_steps=512, gamma=0.95)


def cleanrl(path: Path, world: str, steps: int) -> NDArray[np.int64]:
    """Run CleanRL's script; what its network chooses in each state."""
    import torch

    arguments = ["--env-id", world, "--total-timesteps", str(steps), "--learning-starts", "1000"]
    arguments += ["--no-cuda", "--train-frequency", "2", "--learning-rate", "1e-3"]
    sys.path.insert(0, str(path))
    before, sys.argv = sys.argv, ["dqn.py", *arguments]
    here = Path.cwd()
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            os.chdir(folder)  # it writes its logs where it stands
            left = runpy.run_path(str(path / "cleanrl" / "dqn.py"), run_name="__main__")
    finally:
        os.chdir(here)
        sys.argv = before
        sys.path.remove(str(path))
    with torch.no_grad():
        values = left["q_network"](torch.Tensor(seen_everywhere(gym.make(world))))
    return np.asarray(values.argmax(dim=1).numpy(), np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description="Programs of others, as they are, on our environments")
    parser.add_argument("--steps", type=int, default=20_000, help="of each training")
    parser.add_argument("--cleanrl", type=Path, help="a checkout of CleanRL")
    parser.add_argument("--only", default="", help="the one whose name contains this")
    asked = parser.parse_args()
    clients: list[tuple[str, str, Callable[..., NDArray[np.int64]]]] = [
        ("Stable-Baselines3 PPO", "rlgrid:rlgrid/FourRooms-v0", ppo),
        ("Stable-Baselines3 PPO", FOUR_ROOMS, ppo),
        ("Stable-Baselines3 DQN", "rlgrid:rlgrid/FourRooms-v0", dqn),
        ("Stable-Baselines3 DQN", FOUR_ROOMS, dqn),
        ("sb3-contrib MaskablePPO", "rlgrid:rlgrid/TaxiOneHot-v4", maskable_ppo),
    ]
    if asked.cleanrl is not None:
        path = asked.cleanrl.resolve()
        world = CLIFF if int(gym.__version__.partition(".")[0]) else FOUR_ROOMS
        clients.append(("CleanRL dqn.py", world, lambda world, steps: cleanrl(path, world, steps)))
    for name, world, train in clients:
        if asked.only.lower() not in f"{name} {world}".lower():
            continue
        began = time.perf_counter()
        policy = train(world, asked.steps)
        seconds = time.perf_counter() - began
        model = gym.make(world).unwrapped.model  # type: ignore[attr-defined]
        # Discounted, where the world is not: a policy may run on for ever.
        regret = rlgrid.share_of_regret(model, policy, gamma=min(model.gamma, 0.99))
        print(f"{name:24}{world:40}{asked.steps:8,} steps {seconds:6.1f} s   share of regret {regret:.2%}", flush=True)


if __name__ == "__main__":
    main()
