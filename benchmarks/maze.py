"""How long the proven optimum of a large maze takes, against QuantEcon's modified policy iteration.

    python benchmarks/maze.py [--size 1000] [--repeats 3] [--json]       (pip install quantecon)
    python benchmarks/maze.py --alone --size 10000 --gammas 0.999 --tolerance 1e-3 --repeats 1

The maze: a cell is a wall with probability 0.2 (`default_rng(seed).random((n, n)) < 0.2`), corners are free, the goal
is at the bottom right, every step costs 1, moves slip to each side with probability 0.1. Some cells are walled in.

Both sides begin with the same array of walls. Ours builds a `GridModel` and solves it, certificate included, to a
proven error of max |V - V*| <= tolerance. QuantEcon's builds the sparse matrix of its state-action pairs (by numpy,
over the free cells alone) and solves with ``method="modified_policy_iteration", epsilon=tolerance``, which bounds the
loss of its policy. The largest difference of its values from ours is printed. Contestants take turns; ratios are those
of the same turn. At the other gammas our own time is compared with that at the first one.

Targets: 100 times QuantEcon at n = 1000 and gamma .99, and at most 3 times our own time at gamma .999 and .9999.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import sys
import time
from typing import Any

import numpy as np

import rlgrid
from rlgrid import GridModel, Slip, Solution, TileKind

FORWARD, SIDE = 0.8, 0.1
TARGET, OTHER_GAMMAS = 100.0, 3.0
KINDS = [TileKind("floor", "."), TileKind("wall", "#", wall=True), TileKind("goal", "G", terminal=True)]


def walls(n: int, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """bool [n, n]."""
    result = np.random.default_rng(seed).random((n, n)) < 0.2
    result[[0, 0, -1, -1], [0, -1, 0, -1]] = False
    return result


def ours(wall: np.ndarray[Any, Any], gamma: float, tolerance: float) -> tuple[float, Solution]:
    """(seconds, solution), from the walls on."""
    begin = time.perf_counter()
    tiles = wall.astype(np.uint8)
    tiles[-1, -1] = 2
    model = GridModel(tiles, KINDS, gamma=gamma, slip=Slip(FORWARD, SIDE, SIDE), step_reward=-1.0)
    solution = rlgrid.solve(model, tolerance=tolerance)
    return time.perf_counter() - begin, solution


def quantecons(wall: np.ndarray[Any, Any], gamma: float, tolerance: float) -> tuple[float, float, Any, Any]:
    """(seconds to build, to solve, cells, values), from the walls on; state i is the i-th free cell."""
    from quantecon.markov import DiscreteDP
    from scipy.sparse import coo_matrix

    begin = time.perf_counter()
    n = wall.shape[0]
    cells = np.flatnonzero(~wall.ravel())
    number = np.full(n * n, -1)
    number[cells] = np.arange(cells.size)
    rows, columns = np.divmod(cells, n)
    arrival = np.empty((4, cells.size), np.int64)
    for d, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
        to_row, to_column = np.clip(rows + down, 0, n - 1), np.clip(columns + right, 0, n - 1)
        to = number[to_row * n + to_column]
        arrival[d] = np.where(to >= 0, to, np.arange(cells.size))
    goal = cells.size - 1
    arrival[:, goal] = goal
    state = np.repeat(np.arange(cells.size), 4)
    action = np.tile(np.arange(4), cells.size)
    pair = np.arange(4 * cells.size)
    to = np.concatenate([arrival[(action + turn) % 4, state] for turn in (0, 3, 1)])
    p = np.repeat([FORWARD, SIDE, SIDE], pair.size)
    Q = coo_matrix((p, (np.tile(pair, 3), to)), shape=(pair.size, cells.size)).tocsr()
    R = np.where(state == goal, 0.0, -1.0)
    problem = DiscreteDP(R, Q, gamma, state, action)
    built = time.perf_counter()
    result = problem.solve(method="modified_policy_iteration", epsilon=tolerance)
    return built - begin, time.perf_counter() - built, cells, result.v


def main() -> int:
    """Run the benchmark; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="The proven optimum of a large maze, against QuantEcon.")
    parser.add_argument("--size", type=int, default=1000, help="cells a side (default 1000)")
    parser.add_argument("--gammas", default="0.99,0.999,0.9999", help="the first one is the peer's too")
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--seed", type=int, default=0, help="of the walls (default 0)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()
    gammas = [float(x) for x in given.gammas.split(",")]
    wall = walls(given.size, given.seed)
    small = walls(300, 0)  # compiles the kernels of both sides
    for gamma in gammas:
        ours(small, gamma, given.tolerance)
    if not given.alone:
        quantecons(small[:50, :50], gammas[0], given.tolerance)

    times: dict[float, list[float]] = {gamma: [] for gamma in gammas}
    peer: list[tuple[float, float]] = []
    facts: dict[float, Any] = {}
    difference = None
    for _ in range(given.repeats):
        for gamma in gammas:
            seconds, solution = ours(wall, gamma, given.tolerance)
            times[gamma].append(seconds)
            facts[gamma] = {
                "error_bound": solution.error_bound,
                "converged": solution.converged,
                "method": solution.method,
                "value_of_start": float(solution.values[0]),
            }
            if gamma == gammas[0] and not given.alone:
                build, solve, cells, values = quantecons(wall, gamma, given.tolerance)
                peer.append((build, solve))
                difference = float(np.abs(values - solution.values[cells]).max())
            del solution
    first = gammas[0]
    result: dict[str, Any] = {
        "size": given.size,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "tolerance": given.tolerance,
        "ours": {
            str(gamma): facts[gamma]
            | {"seconds": round(statistics.median(times[gamma]), 4)}
            | {"of_first": round(statistics.median(a / b for a, b in zip(times[gamma], times[first], strict=True)), 2)}
            for gamma in gammas
        },
        "peak_GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    met = all(facts[gamma]["converged"] for gamma in gammas)
    met &= all(entry["of_first"] <= OTHER_GAMMAS for entry in result["ours"].values())
    if peer:
        ratios = [sum(theirs) / mine for theirs, mine in zip(peer, times[first], strict=True)]
        result["quantecon"] = {
            "version": importlib.metadata.version("quantecon"),
            "build_seconds": round(statistics.median(build for build, _ in peer), 3),
            "solve_seconds": round(statistics.median(solve for _, solve in peer), 3),
            "largest_difference_of_values": difference,
        }
        result["ratio"] = {"median": round(statistics.median(ratios), 1), "least": round(min(ratios), 1)}
        met &= statistics.median(ratios) >= TARGET or given.size < 1000
    result["met"] = bool(met)
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        for gamma in gammas:
            entry = result["ours"][str(gamma)]
            print(
                f"rlgrid, gamma {gamma:g}: {entry['seconds']:.3f} s ({entry['of_first']:.2f} of the first), "
                f"error <= {entry['error_bound']:.2e} proven"
            )
        print(f"peak memory {result['peak_GiB']:.2f} GiB, all contestants together")
        if peer:
            theirs = result["quantecon"]
            print(
                f"QuantEcon {theirs['version']}, gamma {first:g}: {theirs['build_seconds']:.2f} s to build and "
                f"{theirs['solve_seconds']:.2f} s to solve; its values differ from ours by up to {difference:.2e}"
            )
            print(f"QuantEcon / rlgrid: {result['ratio']['median']:.0f} (least {result['ratio']['least']:.0f})")
        print("targets met" if met else "targets MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
