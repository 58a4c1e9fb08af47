"""How many steps a second environments take: ours, Gymnasium's own and EnvPool's, in turns in one process on one core.

    python benchmarks/environments.py [--repeats 5] [--copies 1024] [--json]

- make: one FrozenLake through ``gymnasium.make``, with its wrappers; and unwrapped, the environment alone;
- vector: as many copies of FrozenLake as ``--copies`` says through ``gymnasium.make_vec`` (ours), in Gymnasium's
  SyncVectorEnv over its own FrozenLake, and in EnvPool (synchronous, one thread), if it is installed: ``pip install
  envpool`` in the environment that runs this;
- ours: millions of steps a second of further worlds, modes and observations of ours, of few and of many copies;
- how long pictures take.

Actions are drawn beforehand, those of vectors as the contestant takes them (EnvPool: int32), and each contestant plays
some steps before the clock starts. Contestants take turns; figures are medians over the repeats, a ratio is the median
of the repeats' ratios. The process keeps to one core where the system allows it, and the clock is its processor time,
that of all its threads, so that other programs on the machine take nothing from the figures. Both sides play the same
game: `tests/test_toy_text.py` and `tests/test_vector.py` hold them against each other step by step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import numpy as np

import rlgrid

OURS, THEIRS = "rlgrid/FrozenLake-v1", "FrozenLake-v1"


def single(env: gym.Env[Any, Any], actions: list[int]) -> float:
    """Steps a second of one environment, new episodes included."""
    env.reset(seed=0)
    env.step(0)
    env.reset()
    began = time.process_time()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return len(actions) / (time.process_time() - began)


def vector(envs: Any, steps: int, dtype: Any = np.int64) -> float:
    """Steps a second of all copies together, of an environment that was reset."""
    rng = np.random.default_rng(0)
    actions = rng.integers(getattr(envs, "single_action_space", envs.action_space).n, size=(64, envs.num_envs))
    actions = actions.astype(dtype)
    for k in range(3):
        envs.step(actions[k])
    began = time.process_time()
    for k in range(steps):
        envs.step(actions[k % 64])
    return steps * envs.num_envs / (time.process_time() - began)


class EnvPoolVector:
    """EnvPool's FrozenLake with what `vector` asks for."""

    def __init__(self, num_envs: int) -> None:
        import envpool

        self.num_envs = num_envs
        self.pool = envpool.make("FrozenLake-v1", env_type="gymnasium", num_envs=num_envs, num_threads=1, seed=0)
        self.action_space = self.pool.action_space
        self.step = self.pool.step
        self.pool.reset()


def made(world: str, copies: int, **arguments: Any) -> Any:
    """A vector that was reset."""
    envs = gym.make_vec(world, num_envs=copies, **arguments)
    envs.reset(seed=0)
    return envs


FURTHER: dict[str, tuple[str, dict[str, Any]]] = {
    # what is printed: (id, arguments of make_vec)
    "FrozenLake": (OURS, {}),
    "FrozenLake, copy=False": (OURS, {"copy": False}),
    "FrozenLake, same step": (OURS, {"autoreset_mode": "SameStep"}),
    "FrozenLake, one-hot": (OURS, {"observation": "one_hot"}),
    "FourRooms": ("rlgrid/FourRooms-v0", {}),
    "FourRooms, one-hot": ("rlgrid/FourRooms-v0", {"observation": "one_hot"}),
    "FourRooms, planes": ("rlgrid/FourRooms-v0", {"observation": "planes"}),
    "FourRooms, view": ("rlgrid/FourRooms-v0", {"observation": "view"}),
    "Taxi, masks of actions": ("rlgrid/Taxi-v4", {}),
    "Taxi, fickle passenger": ("rlgrid/Taxi-v4", {"fickle_passenger": True}),
    "Racetrack": ("rlgrid/Racetrack-v0", {}),
    "Jack's car rental, 441 outcomes": ("rlgrid/JacksCarRental-v0", {}),
    "Blocking maze, with clocks": ("rlgrid/BlockingMaze-v0", {}),
    "a new maze every 100 steps at most": ("rlgrid/RandomMaze-v0", {"max_episode_steps": 100}),
    "the same, planes": ("rlgrid/RandomMaze-v0", {"max_episode_steps": 100, "observation": "planes"}),
    "maze of 301 x 301, a table": ("rlgrid/GridWorld-v0", {"generator": "wilson", "rows": 301, "columns": 301}),
    "maze of 1001 x 1001, no table": ("rlgrid/GridWorld-v0", {"generator": "wilson", "rows": 1001, "columns": 1001}),
}


def picture(size: int, shape: tuple[int, int]) -> float:
    """Milliseconds of one picture with values and arrows."""
    rng = np.random.default_rng(0)
    kinds = [rlgrid.TileKind("floor"), rlgrid.TileKind("wall", wall=True, glyph="wall")]
    tiles = (rng.random(shape) < 0.25).astype(int)
    tiles[0, 0] = 0
    model = rlgrid.GridModel(tiles, kinds)
    values, policy = rng.random(tiles.size), rng.integers(4, size=tiles.size)
    rlgrid.draw(model, values, policy, size=(size, size))
    began = time.process_time()
    for _ in range(20):
        rlgrid.draw(model, values, policy, size=(size, size))
    return (time.process_time() - began) / 20 * 1e3


def frames() -> float:
    """Milliseconds of the frame of a copy, of 64 copies."""
    envs = made("rlgrid/FourRooms-v0", 64, render_mode="rgb_array")
    envs.render()
    began = time.process_time()
    envs.render()
    return (time.process_time() - began) / 64 * 1e3


def measure(repeats: int, copies: int) -> dict[str, float]:
    """Every figure, its contestants taking turns."""
    actions = np.random.default_rng(1).integers(4, size=100_000).tolist()
    rounds: dict[str, list[float]] = {}

    def note(name: str, figure: float) -> float:
        rounds.setdefault(name, []).append(figure)
        return figure

    def versus(name: str, mine: float, theirs: float) -> None:
        note(f"{name}, ratio", mine / theirs)

    ours = made(OURS, copies)
    sync = made(THEIRS, copies, vectorization_mode="sync")
    pool = EnvPoolVector(copies) if find_spec("envpool") else None
    further: dict[str, Callable[[], float]] = {}
    for name, (world, arguments) in FURTHER.items():
        for count in (copies, 16, *((16 * copies,) if name == "FrozenLake" else ())):
            envs = made(world, count, **arguments)
            further[f"ours, {count} copies: {name}, millions"] = lambda e=envs: vector(e, 200) / 1e6  # type: ignore[misc]
    for _ in range(repeats):
        for way, wrapped in (("make", True), ("unwrapped", False)):
            pair = [gym.make(world) if wrapped else gym.make(world).unwrapped for world in (OURS, THEIRS)]
            mine, theirs = (
                note(f"{way}, {who}", single(env, actions)) for who, env in zip(("ours", "theirs"), pair, strict=True)
            )
            versus(way, mine, theirs)
        mine = note("vector, ours", vector(ours, 2000))
        versus("vector, SyncVectorEnv", mine, note("vector, SyncVectorEnv", vector(sync, 20)))
        if pool is not None:
            mine = note("vector, ours", vector(ours, 2000))
            versus("vector, EnvPool", mine, note("vector, EnvPool", vector(pool, 200, np.int32)))
        for name, figure in further.items():
            note(name, figure())
        note("picture 13 x 13 at 533 pixels, ms", picture(533, (13, 13)))
        note("picture 100 x 100 at 700 pixels, ms", picture(700, (100, 100)))
        note("frame of a copy of FourRooms at 624 pixels, ms", frames())
    return {name: statistics.median(figures) for name, figures in rounds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--copies", type=int, default=1024, help="of vectors")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures = measure(arguments.repeats, arguments.copies)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:60} {figure:15,.1f}" if figure >= 1000 else f"{name:60} {figure:15,.2f}")
    if not find_spec("envpool"):
        print("EnvPool is not installed here: pip install envpool")


if __name__ == "__main__":
    main()
