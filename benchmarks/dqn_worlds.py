"""DQN with its default settings on every fully observed world of up to 500 states: the share of regret that is left.

    python benchmarks/dqn_worlds.py [--worlds FrozenLake-v1 ...] [--seeds 0 1 2 3 4 5 6 7 8 9] [--jobs 1] [--json FILE]

The share of regret is (J* - J_pi) / (J* - J_uniform) with every J exact, at the world's gamma, from the start: 0 % is
the optimal policy, 100 % the uniformly random one; "inf" is a policy that may walk for ever where gamma is 1 and every
step costs. The policy is the one that the last of 200,000 steps left. A world is passed where the share is below 5 % on
nine seeds of ten, and MISSED where not; the seeds were fixed before they were first run. Results are written to --json
as they come, and what is there already is not run again.

Left out: worlds without a model (classic control), of more than 500 states, seen in part (TMaze, and mazes and lakes
that are drawn anew for each episode), and variants that show the same world as a one-hot vector.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import time
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.registration import registry
from gymnasium.spaces import Discrete

import rlgrid

STEPS = 200_000
MOST_STATES = 500
ENOUGH = 0.05  # a share of regret below this passes
OF_SEEDS = 0.9  # so many must


def worlds() -> tuple[list[str], dict[str, str]]:
    """The worlds, and why others are left out."""
    taken, left_out = [], {}
    for name in sorted(name for name in registry if name.startswith("rlgrid/")):
        env = gym.make(name)
        model, short = getattr(env.unwrapped, "model", None), name.removeprefix("rlgrid/")
        if model is None:
            left_out[short] = "no model"
        elif model.num_states > MOST_STATES:
            left_out[short] = f"{model.num_states} states"
        elif not isinstance(env.observation_space, Discrete):
            left_out[short] = "a variant with vectors"
        elif (env.spec.kwargs if env.spec else {}).get("new_map_each_reset"):
            left_out[short] = "partly observed: the map is another one in each episode"
        elif env.observation_space.n != model.num_states:
            left_out[short] = "partly observed"
        else:
            taken.append(short)
    return taken, left_out


def train(given: tuple[str, int]) -> tuple[str, int, float, float]:
    """World, seed, share of regret of the greedy policy, and seconds of the processor."""
    world, seed = given
    begin = time.process_time()
    env = gym.make(f"rlgrid/{world}")
    agent = rlgrid.agents.DQN("MlpPolicy", env, seed=seed).learn(STEPS)
    try:
        share = float(rlgrid.share_of_regret(env.unwrapped.model, agent.policy))
    except ValueError:  # its value is minus infinity
        share = math.inf
    return world, seed, share, time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", nargs="+", help="all unless given")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="file for the shares, which is gone on with where it exists")
    given = parser.parse_args()
    names, left_out = worlds()
    for world, why in left_out.items():
        print(f"left out: {world} ({why})")
    names = given.worlds or names
    shares: dict[str, dict[str, float]] = {}
    if given.json and given.json.exists():
        shares = json.loads(given.json.read_text())
    due = [(world, seed) for seed in given.seeds for world in names if str(seed) not in shares.get(world, {})]
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for world, seed, share, seconds in pool.imap_unordered(train, due):
            shares.setdefault(world, {})[str(seed)] = share
            print(f"{world} seed {seed}: share of regret {share:8.3%}   {seconds:.1f} s", flush=True)
            if given.json:
                given.json.write_text(json.dumps(shares, indent=1))
    failed = []
    print(f"{'world':28} states   median    worst   below {ENOUGH:.0%}")
    for world in names:
        found = [shares[world][str(seed)] for seed in given.seeds]
        passed = sum(share < ENOUGH for share in found)
        if passed < OF_SEEDS * len(found):
            failed.append(world)
        states = gym.make(f"rlgrid/{world}").unwrapped.model.num_states
        print(
            f"{world:28} {states:6} {statistics.median(found):8.2%} {max(found):8.2%}   {passed:2} of {len(found)}"
            + ("   MISSED" if world in failed else "")
        )
    missed = f"; MISSED: {', '.join(failed)}" if failed else ""
    print(f"{len(names) - len(failed)} of {len(names)} worlds passed{missed}")
    raise SystemExit(len(failed) > 0)


if __name__ == "__main__":
    main()
