"""How near sweeps come to the speed of memory: a Bellman backup of all four actions of a cell, against copying it.

    python benchmarks/bandwidth.py [--repeats 9] [--size 8000] [--json]

Grids. One Jacobi sweep w = T v (slip .8/.1/.1, -1 a step) of a maze with walls in a fifth of its cells and of an open
world, over arrays far larger than the caches, against a compiled loop w[i] = v[i] over the same arrays with the same
threads, one and two. Sweep and copy take turns, and the ratio is the median over the repeats of (sweep / copy) of the
same repeat. The target is 1.5. `with changes` is the sweep that solvers make, which also finds the least and the
greatest change.

Explicit models. One Jacobi sweep of a maze's compressed form, with the kernel that solvers use for it, reads each array
once. What is counted is what has to be known: 12 bytes for each outcome that goes on (next state and probability), 8
for the expected reward of each pair, 4 for where its outcomes begin, 8 for each value read and 8 for each written. As a
share of what copying moves in a second (read and written) that must be at least 60 %. The kernel itself may read more
or less: rows filled up to one length have outcomes that nobody asked for and no beginnings (`as read`).

Proof. The certificate (gamma .99) of the maze, and the check of it from outside, in seconds.

The exit status is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rlgrid import GridModel, Slip, TileKind
from rlgrid.certificate import certify, where_lower_fails, where_upper_fails
from rlgrid.compressed import compressed, sweep
from rlgrid.parallel import in_pieces
from rlgrid.problem import Problem

Floats = NDArray[np.float64]

GAMMA = 0.99
TARGET, EXPLICIT_TARGET = 1.5, 0.6
KINDS = (TileKind("floor"), TileKind("wall", wall=True), TileKind("goal", terminal=True))


@njit(nogil=True)
def copy(v: Any, w: Any) -> None:
    """An ordinary loop; the compiler makes it one of vector loads and stores."""
    for i in range(w.size):
        w[i] = v[i]


def world(size: int, walls: float) -> GridModel:
    """A square world with walls in a share of its cells."""
    tiles = (np.random.default_rng(0).random((size, size)) < walls).astype(np.uint8)
    tiles[0, 0], tiles[-1, -1] = 0, 2
    return GridModel(tiles, KINDS, gamma=GAMMA, slip=Slip(0.8, 0.1, 0.1), step_reward=-1.0)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def in_turns(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, taken in turns; the first round, which compiles, is left out."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            took = seconds(work)
            if repeat > 0:
                times[name].append(took)
    return times


def median_ratio(over: list[float], under: list[float]) -> float:
    """The median of the quotients, repeat by repeat."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def grid_share(size: int, walls: float, threads: int, repeats: int) -> dict[str, float]:
    """Nanoseconds an element or cell, and sweep / copy."""
    os.environ["RLGRID_NUM_THREADS"] = str(threads)
    problem = Problem.of(world(size, walls), GAMMA)
    stencil = problem.stencil
    assert stencil is not None
    v, w = np.random.default_rng(1).random(size * size), np.zeros(size * size)
    times = in_turns(
        {
            "copy": lambda: in_pieces(lambda first, last: copy(v[first:last], w[first:last]), v.size),
            "sweep": lambda: stencil.sweep(GAMMA, v, w, track=False),
            "with changes": lambda: problem.sweep_into(v, w),
        },
        repeats,
    )
    result = {f"{name} ns": 1e9 * statistics.median(taken) / v.size for name, taken in times.items()}
    result["ratio"] = median_ratio(times["sweep"], times["copy"])
    result["ratio with changes"] = median_ratio(times["with changes"], times["copy"])
    return result


def explicit_share(size: int, threads: int, repeats: int) -> dict[str, float]:
    """Bytes a second of a sweep of the compressed form, over those of copying."""
    os.environ["RLGRID_NUM_THREADS"] = str(threads)
    model = world(size, 0.2).to_mdp()
    form, plain = Problem.of(model, GAMMA).compressed, compressed(model.arrays)
    v, w = np.random.default_rng(1).random(size * size), np.zeros(size * size)
    far, to = np.random.default_rng(2).random(1 << 25), np.zeros(1 << 25)
    needed = sum(a.nbytes for a in (plain.offsets, plain.next_state, plain.weight, plain.reward, v, w))
    read = sum(a.nbytes for a in (form.next_state, form.weight, form.reward, v, w))
    read += 0 if form.width else form.offsets.nbytes
    times = in_turns(
        {
            "copy": lambda: in_pieces(lambda first, last: copy(far[first:last], to[first:last]), far.size),
            "sweep": lambda: sweep(form, GAMMA, v, w),
        },
        repeats,
    )
    speeds = [needed / taken for taken in times["sweep"]]
    copied = [2.0 * far.nbytes / taken for taken in times["copy"]]
    share = median_ratio(speeds, copied)
    return {
        "megabytes": needed / 1e6,
        "megabytes as read": read / 1e6,
        "GB/s": statistics.median(speeds) / 1e9,
        "copy GB/s": statistics.median(copied) / 1e9,
        "share": share,
        "share as read": share * read / needed,
    }


def proof_seconds(size: int) -> dict[str, float]:
    """Of the certificate of a maze after 20 sweeps, and of its check; compiled before on a small one."""
    result = {}
    for n in (300, size):
        problem = Problem.of(world(n, 0.2), GAMMA)
        v = problem.start()
        for _ in range(20):
            v = problem.sweep(v)
        begin = time.perf_counter()
        found = certify(problem, v)
        middle = time.perf_counter()
        assert where_upper_fails(problem, found.upper) < 0
        assert where_lower_fails(problem, found.policy, found.lower) < 0
        result = {"certificate": middle - begin, "check": time.perf_counter() - middle}
    return result


def main() -> int:
    """Run the benchmark; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Sweeps against copying memory.")
    parser.add_argument("--repeats", type=int, default=9, help="how often each is timed (default 9)")
    parser.add_argument("--size", type=int, default=8000, help="rows and columns of the grids (default 8000)")
    parser.add_argument("--explicit-size", type=int, default=1000, help="of the explicit maze (default 1000)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()

    grids, explicit = {}, {}
    for threads in (1, 2):
        for name, walls in (("maze", 0.2), ("open world", 0.0)):
            grids[f"{name}, {threads} threads"] = grid_share(given.size, walls, threads, given.repeats)
        explicit[f"explicit maze, {threads} threads"] = explicit_share(given.explicit_size, threads, given.repeats)
    proof = proof_seconds(given.size)
    met = all(result["ratio"] <= TARGET for result in grids.values()) and all(
        result["share"] >= EXPLICIT_TARGET for result in explicit.values()
    )
    if given.json:
        targets = {"ratio": TARGET, "share": EXPLICIT_TARGET}
        print(
            json.dumps({"grids": grids, "explicit": explicit, "proof": proof, "target": targets, "met": met}, indent=2)
        )
        return 0 if met else 1
    print(f"{given.size} x {given.size} cells, {8e-6 * given.size**2:.0f} MB an array; medians of {given.repeats}")
    for name, result in grids.items():
        print(
            f"{name:24} copy {result['copy ns']:.2f} ns, sweep {result['sweep ns']:.2f} ns a cell: "
            f"{result['ratio']:.2f} times a copy (with changes {result['ratio with changes']:.2f}), "
            f"target {TARGET}: {'met' if result['ratio'] <= TARGET else 'MISSED'}"
        )
    for name, result in explicit.items():
        print(
            f"{name:24} {result['megabytes']:.0f} MB a sweep at {result['GB/s']:.1f} GB/s, "
            f"{100 * result['share']:.0f} % of copying ({result['copy GB/s']:.1f} GB/s; as read "
            f"{result['megabytes as read']:.0f} MB, {100 * result['share as read']:.0f} %), "
            f"target {100 * EXPLICIT_TARGET:.0f} %: {'met' if result['share'] >= EXPLICIT_TARGET else 'MISSED'}"
        )
    print(f"proof of the maze at gamma {GAMMA}: {proof['certificate']:.2f} s, its check {proof['check']:.2f} s")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
