"""What a memory is worth: the recurrent DQN and the DQN without one in T-mazes, against the exact optimum of each.

    python benchmarks/recurrent_dqn.py --length 10 --steps 40000 --seeds 10
    python benchmarks/recurrent_dqn.py --length 10 --steps 20000 --seeds 10 --without

Of each seed the exact J of the final greedy policy is printed, beside what is best without a memory and with one
(`rlgrid.envs.beliefs`). That of the recurrent agent is found by running its policy from either start: the world is
deterministic.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import gymnasium as gym
import numpy as np

import rlgrid
from rlgrid.agents import DQN, RecurrentDQN
from rlgrid.envs.beliefs import belief_mdp, best_memoryless

MOST_STEPS = 1_000  # of an episode: the step cap, after which what is left counts for nothing


def value_with_memory(agent: Any, length: int) -> float:
    """J of the greedy policy of an agent that remembers, in a T-maze."""
    env: Any = gym.make("rlgrid/TMaze-v0", length=length).unwrapped
    model, value = env.model, 0.0
    for start, probability in zip(model.start_states, model.start_probability, strict=True):
        observation, _ = env.reset(options={"state": int(start)})
        state, discount = None, 1.0
        for _ in range(MOST_STEPS):
            action, state = agent.predict(observation, state)
            observation, reward, terminated, _, _ = env.step(action)
            value += probability * discount * float(reward)
            discount *= model.gamma
            if terminated:
                break
    return float(value)


def value_without(agent: Any, length: int) -> float:
    """J of the greedy policy of an agent that acts by the present observation."""
    env: Any = gym.make("rlgrid/TMaze-v0", length=length).unwrapped
    policy = agent.policy[env.observation_of]
    return float(env.model.start_probability @ rlgrid.policy_values(env.model, policy)[env.model.start_states])


def bounds(length: int) -> tuple[float, float]:
    """(best J without a memory, best J with one)"""
    env: Any = gym.make("rlgrid/TMaze-v0", length=length).unwrapped
    believed = belief_mdp(env.model, env.observation_of)
    values = rlgrid.solve(believed, tolerance=1e-10).values
    with_memory = float(believed.start_probability @ values[believed.start_states])
    return best_memoryless(env.model, env.observation_of).value, with_memory


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--policy", default="MlpLstmPolicy")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the agent, as JSON")
    parser.add_argument("--without", action="store_true", help="the DQN without a memory instead")
    options = parser.parse_args()
    blind, best = bounds(options.length)
    print(f"length {options.length}: best J without a memory {blind:.6f}, with one {best:.6f}", flush=True)
    wanted, value_of = (blind, value_without) if options.without else (best, value_with_memory)
    reached = 0
    for seed in range(options.seeds):
        env = gym.make("rlgrid/TMaze-v0", length=options.length)
        began = time.process_time()
        agent: Any
        if options.without:
            agent = DQN("MlpPolicy", env, seed=seed, **options.settings)
        else:
            agent = RecurrentDQN(options.policy, env, seed=seed, **options.settings)
        agent.learn(options.steps)
        spent, value = time.process_time() - began, value_of(agent, options.length)
        reached += bool(np.isclose(value, wanted, rtol=1e-9))
        print(f"seed {seed}: {value:.6f} ({value / best:.1%} of the optimum), {spent:.1f} s", flush=True)
    print(f"{reached} of {options.seeds} reach {wanted:.6f}")


if __name__ == "__main__":
    main()
