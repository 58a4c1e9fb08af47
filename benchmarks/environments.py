"""How many steps a second environments take: ours, and Gymnasium's own FrozenLake, in turns in one process.

    python benchmarks/environments.py [--repeats 5] [--json]

- make: one environment through ``gymnasium.make``, with its wrappers;
- unwrapped: the environment alone;
- vector: 1,024 copies through ``gymnasium.make_vec`` (ours), and in Gymnasium's SyncVectorEnv (theirs, 64 copies).

Actions are drawn beforehand. Figures are medians over the repeats; a ratio is the median of the repeats' ratios. Both
sides play the same game: `tests/test_envs.py` holds them against each other step by step. It also says how long a
picture takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
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
    began = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return len(actions) / (time.perf_counter() - began)


def vector(envs: gym.vector.VectorEnv[Any, Any, Any], steps: int) -> float:
    """Steps a second of all copies together."""
    actions = np.random.default_rng(0).integers(4, size=(steps, envs.num_envs))
    envs.reset(seed=0)
    envs.step(actions[0])
    began = time.perf_counter()
    for chosen in actions:
        envs.step(chosen)
    return steps * envs.num_envs / (time.perf_counter() - began)


def picture(size: int, shape: tuple[int, int]) -> float:
    """Milliseconds of one picture with values and arrows."""
    rng = np.random.default_rng(0)
    kinds = [rlgrid.TileKind("floor"), rlgrid.TileKind("wall", wall=True, glyph="wall")]
    tiles = (rng.random(shape) < 0.25).astype(int)
    tiles[0, 0] = 0
    model = rlgrid.GridModel(tiles, kinds)
    values, policy = rng.random(tiles.size), rng.integers(4, size=tiles.size)
    rlgrid.draw(model, values, policy, size=(size, size))
    began = time.perf_counter()
    for _ in range(20):
        rlgrid.draw(model, values, policy, size=(size, size))
    return (time.perf_counter() - began) / 20 * 1e3


def measure(repeats: int) -> dict[str, float]:
    """Every figure, its contestants taking turns."""
    actions = np.random.default_rng(1).integers(4, size=100_000).tolist()
    rounds: dict[str, list[float]] = {}

    def note(name: str, figure: float) -> None:
        rounds.setdefault(name, []).append(figure)

    for _ in range(repeats):
        for name, world in (("ours", OURS), ("theirs", THEIRS)):
            note(f"make, {name}", single(gym.make(world), actions))
            note(f"unwrapped, {name}", single(gym.make(world).unwrapped, actions))
        note("vector, ours", vector(gym.make_vec(OURS, num_envs=1024), 300))
        note("vector, theirs", vector(gym.make_vec(THEIRS, num_envs=64, vectorization_mode="sync"), 300))
        for way in ("make", "unwrapped", "vector"):
            note(f"{way}, ratio", rounds[f"{way}, ours"][-1] / rounds[f"{way}, theirs"][-1])
        note("picture 13 x 13 at 533 pixels, ms", picture(533, (13, 13)))
        note("picture 100 x 100 at 700 pixels, ms", picture(700, (100, 100)))
    return {name: statistics.median(figures) for name, figures in rounds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures = measure(arguments.repeats)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:40} {figure:15,.1f}")


if __name__ == "__main__":
    main()
