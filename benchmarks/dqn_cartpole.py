"""DQN on classic control, the compiled worlds: the mean return of the final greedy policy over 100 fresh episodes.

    python benchmarks/dqn_cartpole.py [--world CartPole-v1] [--seeds 2001 2002 ...] [--jobs 1] [--json FILE]

The policy that is scored is the one that the last step left: nothing is picked by evaluation on the way. The 100
episodes come from an environment of their own, seeded apart from training. The seeds that are scored were fixed before
they were first run (30 for CartPole, 10 for the others); the settings had been chosen on others. The score of a world
is the interquartile mean over seeds, with its bootstrap interval (`rlgrid.statistics`); the worlds are Gymnasium's bit
for bit.

What differs from the defaults in CartPole, and why:

- n_steps 8: nothing but the end of an episode tells good from bad, and one-step targets carry it back so slowly that
  the estimates grow past 1 / (1 - gamma) first;
- gamma 0.995: a cart that drifts leaves the track hundreds of steps later, which 0.99 hardly sees;
- exploration over a tenth of the run, down to 0.02: the targets lean on the actions that were taken, so few of them
  should be random; and random ones end an episode within some twenty steps, so that long ones are seen late;
- Huber's loss: values of hundreds, and hardly any chance, so that its pull towards the median does no harm;
- two gradient steps after every step, and a slower target network: the run is short.

In Acrobot and MountainCar every step costs 1, and what is to be reached is far: the same reasons, at gamma 0.99.
Acrobot's velocities are up to 28 and MountainCar's within 0.07, so observations are normalised. MountainCar's goal is
met by chance alone at first. Random actions, one at a time, did not meet it in any of 20,000 episodes. So they are held
(epsilon-z-greedy), by mu = 1.5 and for up to 100 steps, half an episode: with these one episode in twenty meets it, at
epsilon 1, and one in 57 with the defaults, mu = 2 and 1,000 steps. As an action is held for 7.7 steps in the mean,
epsilon falls to 0.005, not 0.02. Once the goal is met 16 steps carry it back.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

import rlgrid
from rlgrid.statistics import bootstrap_interval, interquartile_mean

CARTPOLE = {
    "n_steps": 8,
    "gamma": 0.995,
    "exploration_fraction": 0.1,
    "exploration_final_eps": 0.02,
    "gradient_steps": 2,
    "tau": 0.005,
    "loss": "huber",
}
ACROBOT = CARTPOLE | {"gamma": 0.99, "gradient_steps": 1, "policy_kwargs": {"normalize": "running"}}
MOUNTAIN_CAR = CARTPOLE | {
    "gamma": 0.99,
    "gradient_steps": 1,
    "n_steps": 16,
    "exploration": "ez_greedy",
    "duration_exponent": 1.5,
    "max_duration": 100,
    "exploration_fraction": 0.2,
    "exploration_final_eps": 0.005,
    "learning_rate": "lin_2e-3",
    "tau": 0.01,
    "policy_kwargs": {"normalize": "running"},
}
EVALUATION_SEED = 1_000_000


class Task(NamedTuple):
    """A world, how long it is learnt, with which settings, and what is asked of how many seeds."""

    settings: dict[str, Any]
    steps: int
    seeds: int
    least: float


TASKS = {
    "CartPole-v1": Task(CARTPOLE, 50_000, 30, 475.0),
    "Acrobot-v1": Task(ACROBOT, 100_000, 10, -90.0),
    "MountainCar-v0": Task(MOUNTAIN_CAR, 150_000, 10, -110.0),
}


def train(world: str, seed: int, steps: int, settings: dict[str, Any]) -> tuple[float, float, float]:
    """Mean and standard deviation of the returns of 100 episodes after training, and the seconds of both."""
    begin = time.perf_counter()
    agent = rlgrid.agents.DQN("MlpPolicy", gym.make(f"rlgrid/{world}"), seed=seed, **settings)
    agent.learn(total_timesteps=steps)
    fresh = gym.make(f"rlgrid/{world}")
    mean, deviation = rlgrid.evaluate_policy(agent, fresh, n_eval_episodes=100, seed=EVALUATION_SEED + seed)
    return mean, deviation, time.perf_counter() - begin


def scored(given: tuple[str, int, int]) -> tuple[int, float, float, float]:
    """`train` of one seed, with the settings of the world."""
    world, seed, steps = given
    return seed, *train(world, seed, steps, TASKS[world].settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", choices=TASKS, default="CartPole-v1")
    parser.add_argument("--steps", type=int, help="of training; the world's own unless given")
    parser.add_argument("--seeds", type=int, nargs="+", help="2001 and those that follow unless given")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="file for the scores")
    given = parser.parse_args()
    task = TASKS[given.world]
    steps = given.steps or task.steps
    seeds = given.seeds or list(range(2001, 2001 + task.seeds))
    scores = {}
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for seed, mean, deviation, seconds in pool.imap(scored, [(given.world, seed, steps) for seed in seeds]):
            scores[seed] = mean
            print(f"seed {seed}: {mean:7.2f} +- {deviation:.2f}   {seconds:.1f} s", flush=True)
            if given.json:
                given.json.write_text(json.dumps({"world": given.world, "steps": steps, "scores": scores}, indent=1))
    values = list(scores.values())
    low, high = bootstrap_interval(interquartile_mean, values)
    print(
        f"{given.world}: interquartile mean {interquartile_mean(values):.2f}, 95 % interval [{low:.2f}, {high:.2f}], "
        f"least {min(values):.2f}, over {len(values)} seeds after {steps} steps (asked: {task.least:g})"
    )
    raise SystemExit(low < task.least)


if __name__ == "__main__":
    main()
