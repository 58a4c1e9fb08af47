"""How many updates a second the tabular agents make on FrozenLake 8x8, compiled, against the same rule in Python.

    python benchmarks/tabular.py [--agents q_learning sarsa ...] [--repeats 9] [--json]

For each agent two contestants take turns in one process, so that a change in the machine's speed hits both:

- compiled: the agent in rlgrid/FrozenLake8x8-v1, warmed up, through `learn`, on one core;
- loop: the same rule as people write it, a NumPy table and Gymnasium's FrozenLake8x8-v1 through `gymnasium.make`
  (benchmarks/tabular_loops.py, benchmarks/prediction_loops.py). Of Q-learning there is a second one, whose table is
  made of Python lists; of UCBVI and posterior sampling one that plans by products of NumPy arrays, and the agent is
  judged by the quicker.

Both learn the same thing: before the clock starts the loop's table is compared with the agent's, bit for bit, or to
nine decimals where NumPy adds in another order. Time is that of the processor, on one thread: what else runs on the
machine does not count.

A ratio is the median over the repeats of (compiled / loop) of the same repeat. The targets are 400 for Q-learning,
Sarsa, Expected Sarsa and the planning of Dyna-Q, whose planning updates alone are counted, and 100 for every other
agent. Where what is known makes a step dearer (traces, episodes, models) both contestants make the same run; else the
agent makes a longer one, in which the tenth of a millisecond that a call of `learn` takes counts for nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import gymnasium as gym
import numpy as np
from prediction_loops import PREDICTION
from tabular_loops import LOOPS as CONTROL
from tabular_loops import Env, Loop

import rlgrid

LOOPS = CONTROL | PREDICTION
MANY = 5  # entries of the table that must have been learnt by then


def agent_of(name: str, seed: int) -> Any:
    """A fresh agent, compiled."""
    agent = rlgrid.agents.agent_class(name)(gym.make("rlgrid/FrozenLake8x8-v1"), **LOOPS[name].settings, seed=seed)
    assert agent.compiled
    return agent


def lake() -> Env:
    """The world of the loops."""
    return gym.make("FrozenLake8x8-v1")


def check(name: str, loop: Loop) -> float:
    """Compare the tables, with a seed by which something is learnt; the seconds of the first call, compiling included.

    Raises:
        SystemExit: where they differ.
    """
    seconds = []
    for seed in range(500):
        agent = agent_of(name, seed)
        begin = time.process_time()
        agent.learn(loop.checked)
        seconds.append(time.process_time() - begin)
        table = getattr(agent, loop.table)
        if np.count_nonzero(table) >= MANY:
            break
    else:
        raise SystemExit(f"{name}: with no seed was anything learnt in {loop.checked} steps")
    for run in filter(None, (loop.run, loop.also)):
        found = run(lake(), loop.checked, seed)
        same = np.array_equal(found, table)
        if not same and run is loop.also and not loop.exact:
            same = np.allclose(found, table, rtol=1e-9, atol=1e-9)
        if not same:
            raise SystemExit(f"{name}: the loop {run.__name__} and the agent learnt different tables")
    return seconds[0]


def turn(name: str, loop: Loop, seed: int) -> list[float]:
    """Updates a second of one turn: compiled, the loop, and the second loop if there is one."""
    speeds = []
    agent = agent_of(name, seed)
    gc.collect()
    begin = time.process_time()
    agent.learn(loop.steps * loop.times)
    speeds.append(loop.steps * loop.times / (time.process_time() - begin))
    for run in filter(None, (loop.run, loop.also)):
        env = lake()
        begin = time.process_time()
        run(env, loop.steps, seed)
        speeds.append(loop.steps / (time.process_time() - begin))
    return [speed * loop.updates for speed in speeds]


def measure(name: str, repeats: int) -> dict[str, Any]:
    """Everything that is reported of an agent."""
    loop = LOOPS[name]
    first_call = check(name, loop)
    turns = [turn(name, loop, seed) for seed in range(repeats)]
    compiled, *plain = zip(*turns, strict=True)
    ratios = [[fast / slow for fast, slow in zip(compiled, speeds, strict=True)] for speeds in plain]
    judged = ratios[0] if loop.exact else min(ratios, key=statistics.median)
    result = {
        "updates_per_second": round(statistics.median(compiled)),
        "loop_updates_per_second": round(statistics.median(plain[ratios.index(judged)])),
        "ratio": round(statistics.median(judged), 1),
        "least": round(min(judged), 1),
        "target": loop.target,
        "met": statistics.median(judged) >= loop.target,
        "first_call_seconds": round(first_call, 2),
    }
    if loop.also is not None:
        other = ratios[1] if judged is ratios[0] else ratios[0]
        result["other_loop"] = (loop.also if judged is ratios[0] else loop.run).__name__
        result["ratio_to_other_loop"] = round(statistics.median(other), 1)
    return result


def main() -> int:
    """Run the benchmark; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Tabular agents on FrozenLake 8x8: compiled against Python loops.")
    parser.add_argument("--agents", nargs="+", choices=LOOPS, default=list(LOOPS), metavar="AGENT", help="which")
    parser.add_argument("--repeats", type=int, default=9, help="how often each contestant runs (default 9)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()

    if not given.json:
        print(f"{'agent':25}{'M/s':>8}{'ratio':>8}{'least':>8}{'target':>8} {'':8}first call  another loop")
    results = {}
    for name in given.agents:
        result = results[name] = measure(name, given.repeats)
        if not given.json:
            print(
                f"{name:25}{result['updates_per_second'] / 1e6:8.2f}{result['ratio']:8.0f}{result['least']:8.0f}"
                f"{result['target']:8.0f} {'met' if result['met'] else 'MISSED':8}{result['first_call_seconds']:5.1f} s"
                + (f"  {result['ratio_to_other_loop']:.0f} x {result['other_loop']}" if "other_loop" in result else ""),
                flush=True,
            )
    if given.json:
        json.dump(results, sys.stdout, indent=2)
        print()
    return 0 if all(result["met"] for result in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
