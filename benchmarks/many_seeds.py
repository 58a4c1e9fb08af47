"""How much faster many seeds are over the cores of this machine than one after the other.

    python benchmarks/many_seeds.py [--seeds 24] [--steps 20000000] [--jobs 2] [--repeats 3]

Each turn runs the same seeds of Q-learning in four rooms with one job and with several, and compares every run bit for
bit. Turns alternate, so that what else the machine does meets both. The workers are started before the first turn: the
seconds of that are told apart.
"""

from __future__ import annotations

import argparse
import statistics
import time

import joblib

import rlgrid

WORLD = "rlgrid/FourRooms-v0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--steps", type=int, default=20_000_000)
    parser.add_argument("--jobs", type=int, default=joblib.effective_n_jobs(-1))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    def timed(jobs: int, seeds: int, steps: int) -> tuple[float, rlgrid.Runs]:
        begin = time.perf_counter()
        runs = rlgrid.learn_many("q_learning", WORLD, range(seeds), steps, eval_points=2, n_jobs=jobs)
        return time.perf_counter() - begin, runs

    timed(1, 1, 1_000)
    print(f"workers started and their kernels loaded: {timed(options.jobs, 2 * options.jobs, 1_000)[0]:.2f} s")
    ratios = []
    for turn in range(options.repeats):
        alone, one = timed(1, options.seeds, options.steps)
        together, other = timed(options.jobs, options.seeds, options.steps)
        assert all(a.same(b) for a, b in zip(one, other, strict=True))
        ratios.append(alone / together)
        print(f"turn {turn + 1}: 1 job {alone:.2f} s, {options.jobs} jobs {together:.2f} s, {ratios[-1]:.2f} times")
    median = statistics.median(ratios)
    print(f"median {median:.2f} times on {options.jobs} jobs; all {options.seeds} runs equal, bit for bit")


if __name__ == "__main__":
    main()
