"""DQN with its default settings on rlgrid/FourRooms-v0 over five seeds, each within 5 % of regret.

    python benchmarks/dqn_four_rooms.py [--world rlgrid/FourRooms-v0] [--steps 100000] [--seeds 0 1 2 3 4]

The share of regret is (J* - J_pi) / (J* - J_uniform) with every J exact, at the world's gamma, from the start: 0 % is
the optimal policy, 100 % the uniformly random one. The fifteen lines that somebody would write are `train`.
"""

import argparse
import time

import gymnasium as gym

import rlgrid


def train(seed: int, steps: int, world: str = "rlgrid/FourRooms-v0") -> float:
    """The share of regret of the greedy policy after so many steps."""
    env = gym.make(world)
    agent = rlgrid.agents.DQN("MlpPolicy", env, seed=seed)
    agent.learn(total_timesteps=steps)
    return rlgrid.share_of_regret(env.unwrapped.model, agent.policy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", default="rlgrid/FourRooms-v0")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    shares = []
    for seed in given.seeds:
        begin = time.perf_counter()
        shares.append(train(seed, given.steps, given.world))
        print(f"seed {seed}: share of regret {shares[-1]:7.3%}   {time.perf_counter() - begin:.1f} s")
    within = sum(share <= 0.05 for share in shares)
    print(f"{given.world}: {within} of {len(shares)} seeds within 5 % after {given.steps} steps")
    raise SystemExit(within < len(shares))


if __name__ == "__main__":
    main()
