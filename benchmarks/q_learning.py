"""How many updates a second Q-learning does on FrozenLake 8x8, compiled, against the same rule as a Python loop.

    python benchmarks/q_learning.py [--repeats 9] [--json]

Three contestants take turns in one process, so that a change in the machine's speed hits all of them:

- compiled: `rlgrid.agents.QLearning` in rlgrid/FrozenLake8x8-v1, warmed up, through `learn`;
- numpy: the same rule as people write it, a NumPy table and Gymnasium's FrozenLake8x8-v1 through `gymnasium.make`;
- lists: the same with the table as Python lists, the quickest plain Python that we know.

The ratios are medians over the repeats of (compiled / loop) of the same repeat. The target is 250 times the NumPy
loop. The three learn the same thing: the loops' tables are compared with the agent's, bit for bit, before the clock
starts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

import rlgrid  # noqa: F401 - registers the environments
from rlgrid.agents import QLearning

ALPHA, GAMMA = 0.1, 0.99
INITIAL_EPS, FINAL_EPS, FRACTION = 1.0, 0.05, 0.5
TARGET = 250.0


def numpy_loop(steps: int, seed: int) -> np.ndarray[Any, Any]:
    """Q-learning with a NumPy table."""
    env = gym.make("FrozenLake8x8-v1")
    num_states, num_actions = int(env.observation_space.n), int(env.action_space.n)  # type: ignore[attr-defined]
    q = np.zeros((num_states, num_actions))
    rng = np.random.default_rng(seed)
    horizon = FRACTION * steps
    state, _ = env.reset(seed=seed)
    for t in range(steps):
        epsilon = FINAL_EPS if t >= horizon else INITIAL_EPS + (FINAL_EPS - INITIAL_EPS) * (t / horizon)
        u = rng.random()
        if u < epsilon:
            action = int(u / epsilon * num_actions)
        else:
            row = q[state]
            ties = np.flatnonzero(row == row.max())
            action = int(ties[int((u - epsilon) / (1.0 - epsilon) * len(ties))])
        next_state, reward, terminated, truncated, _ = env.step(action)
        target = reward + (0.0 if terminated else GAMMA * q[next_state].max())
        q[state, action] += ALPHA * (target - q[state, action])
        state = env.reset()[0] if terminated or truncated else next_state
    return q


def list_loop(steps: int, seed: int) -> np.ndarray[Any, Any]:
    """Q-learning with a table of Python lists."""
    env = gym.make("FrozenLake8x8-v1")
    num_states, num_actions = int(env.observation_space.n), int(env.action_space.n)  # type: ignore[attr-defined]
    q = [[0.0] * num_actions for _ in range(num_states)]
    random = np.random.default_rng(seed).random
    horizon = FRACTION * steps
    state, _ = env.reset(seed=seed)
    for t in range(steps):
        epsilon = FINAL_EPS if t >= horizon else INITIAL_EPS + (FINAL_EPS - INITIAL_EPS) * (t / horizon)
        u = random()
        row = q[state]
        if u < epsilon:
            action = int(u / epsilon * num_actions)
        else:
            best = max(row)
            count = row.count(best)
            action = row.index(best)
            if count > 1:
                ties = [a for a in range(num_actions) if row[a] == best]
                action = ties[int((u - epsilon) / (1.0 - epsilon) * count)]
        next_state, reward, terminated, truncated, _ = env.step(action)
        target = reward + (0.0 if terminated else GAMMA * max(q[next_state]))
        row[action] += ALPHA * (target - row[action])
        state = env.reset()[0] if terminated or truncated else next_state
    return np.array(q)


def new_agent(seed: int) -> QLearning:
    """The compiled agent with the same settings."""
    return QLearning(
        gym.make("rlgrid/FrozenLake8x8-v1"),
        learning_rate=ALPHA,
        gamma=GAMMA,
        exploration_fraction=FRACTION,
        exploration_initial_eps=INITIAL_EPS,
        exploration_final_eps=FINAL_EPS,
        seed=seed,
    )


def speed_of(run: Callable[[], object], steps: int) -> float:
    """Steps a second of a run."""
    begin = time.perf_counter()
    run()
    return steps / (time.perf_counter() - begin)


def main() -> int:
    """Run the benchmark; the exit status is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description="Q-learning on FrozenLake 8x8: compiled against Python loops.")
    parser.add_argument("--repeats", type=int, default=9, help="how often each contestant runs (default 9)")
    parser.add_argument("--steps", type=int, default=50_000, help="steps of a Python loop (default 50,000)")
    parser.add_argument("--compiled-steps", type=int, default=5_000_000, help="of the agent (default 5,000,000)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()

    agent = new_agent(0)
    assert agent.compiled
    table = agent.learn(given.steps).q_table
    for loop in (numpy_loop, list_loop):
        if not np.array_equal(loop(given.steps, 0), table):
            raise SystemExit(f"{loop.__name__} and the agent learnt different tables: they do not follow the same rule")

    speeds: dict[str, list[float]] = {"compiled": [], "numpy": [], "lists": []}
    for repeat in range(given.repeats):
        fresh = new_agent(repeat)
        speeds["compiled"].append(speed_of(lambda a=fresh: a.learn(given.compiled_steps), given.compiled_steps))
        speeds["numpy"].append(speed_of(lambda r=repeat: numpy_loop(given.steps, r), given.steps))
        speeds["lists"].append(speed_of(lambda r=repeat: list_loop(given.steps, r), given.steps))
    ratios = {
        name: [fast / slow for fast, slow in zip(speeds["compiled"], speeds[name], strict=True)]
        for name in ("numpy", "lists")
    }
    result = {
        "updates_per_second": {name: round(statistics.median(values)) for name, values in speeds.items()},
        "ratio": {
            name: {"median": round(statistics.median(values), 1), "least": round(min(values), 1)}
            for name, values in ratios.items()
        },
        "target": TARGET,
        "met": statistics.median(ratios["numpy"]) >= TARGET,
    }
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        for name, values in speeds.items():
            print(f"{name:9} {statistics.median(values) / 1e6:8.3f} million updates/s")
        for name, values in ratios.items():
            print(f"compiled / {name:6} {statistics.median(values):6.0f} (least {min(values):.0f})")
        print(f"target {TARGET:.0f} times the NumPy loop: {'met' if result['met'] else 'MISSED'}")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
