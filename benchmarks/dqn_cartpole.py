"""DQN on Gymnasium's CartPole-v1: the mean return of the final greedy policy over 100 fresh episodes.

    python benchmarks/dqn_cartpole.py [--steps 50000] [--seeds 2001 2002 2003]

The policy that is scored is the one that the last step left: nothing is picked by evaluation on the way. The 100
episodes come from an environment of their own, seeded apart from training. The seeds were fixed before they were first
run; the settings had been chosen on others.

What differs from the defaults, and why:

- n_steps 8: nothing but the end of an episode tells good from bad, and one-step targets carry it back so slowly that
  the estimates grow past 1 / (1 - gamma) first;
- gamma 0.995: a cart that drifts leaves the track hundreds of steps later, which 0.99 hardly sees;
- exploration over a tenth of the run, down to 0.02: the targets lean on the actions that were taken, so few of them
  should be random; and random ones end an episode within some twenty steps, so that long ones are seen late;
- Huber's loss: values of hundreds, and hardly any chance, so that its pull towards the median does no harm;
- two gradient steps after every step, and a slower target network: the run is short.
"""

import argparse
import time

import gymnasium as gym

import rlgrid

SETTINGS = {
    "n_steps": 8,
    "gamma": 0.995,
    "exploration_fraction": 0.1,
    "exploration_final_eps": 0.02,
    "gradient_steps": 2,
    "tau": 0.005,
    "loss": "huber",
}
EVALUATION_SEED = 1_000_000


def train(seed: int, steps: int) -> tuple[float, float]:
    """Mean and standard deviation of the returns of 100 episodes after training."""
    agent = rlgrid.agents.DQN("MlpPolicy", gym.make("CartPole-v1"), seed=seed, **SETTINGS)
    agent.learn(total_timesteps=steps)
    return rlgrid.evaluate_policy(agent, gym.make("CartPole-v1"), n_eval_episodes=100, seed=EVALUATION_SEED + seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2001, 2002, 2003])
    given = parser.parse_args()
    solved = 0
    for seed in given.seeds:
        begin = time.perf_counter()
        mean, deviation = train(seed, given.steps)
        solved += mean >= 475
        print(f"seed {seed}: {mean:6.2f} +- {deviation:.2f}   {time.perf_counter() - begin:.1f} s")
    print(f"CartPole-v1: {solved} of {len(given.seeds)} seeds reach 475 after {given.steps} steps")
    raise SystemExit(solved < len(given.seeds))


if __name__ == "__main__":
    main()
