"""Every method that applies, on problems of different structure, and how far "auto" is from the best of them.

    python benchmarks/suite.py [--problems maze,taxi] [--methods gauss_seidel,auto] [--repeats 3] [--limit 10] [--json]

Each problem is solved until an error of 1e-6 is proven. The repeats of all methods take turns in one process; times
are medians of `rlgrid.solve` on a model that has been used before (its explicit form and graph are remembered, which
the first, uncounted call of each method sees to). A method that does not prove 1e-6 within the limit is shown as such.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

from rlgrid import MDP, GridModel, Slip, TileKind, solve
from rlgrid.methods import METHODS

TOLERANCE = 1e-6
KINDS = [
    TileKind("floor"),
    TileKind("wall", wall=True),
    TileKind("goal", terminal=True, enter_reward=10.0),
    TileKind("pit", terminal=True, enter_reward=-50.0),
    TileKind("mud", step_reward=-4.0, slip=Slip(0.4, 0.3, 0.3)),
]
FLOOR, WALL, GOAL, PIT, MUD = range(5)


# --- grids ----------------------------------------------------------------------------------------------------------


def maze_tiles(size: int, open_walls: float, rng: np.random.Generator) -> np.ndarray:
    """A perfect maze by depth-first search, some of whose walls are taken away again; the goal in a corner."""
    tiles = np.full((size, size), WALL)
    stack = [(1, 1)]
    tiles[1, 1] = FLOOR
    while stack:
        row, column = stack[-1]
        ways = [
            (row + dr, column + dc)
            for dr, dc in ((-2, 0), (2, 0), (0, -2), (0, 2))
            if 0 < row + dr < size - 1 and 0 < column + dc < size - 1 and tiles[row + dr, column + dc] == WALL
        ]
        if not ways:
            stack.pop()
            continue
        to = ways[rng.integers(len(ways))]
        tiles[(row + to[0]) // 2, (column + to[1]) // 2] = tiles[to] = FLOOR
        stack.append(to)
    tiles[(rng.random(tiles.shape) < open_walls) & (tiles == WALL)] = FLOOR
    tiles[[0, -1]] = tiles[:, [0, -1]] = WALL
    tiles[size - 2, size - 2] = GOAL
    return tiles


def grid(tiles: np.ndarray, gamma: float, slip: Slip | None = None, step: float = -1.0) -> GridModel:
    start = int(np.flatnonzero(tiles.ravel() == FLOOR)[0])
    return GridModel(tiles, KINDS, gamma=gamma, actions=4, slip=slip or Slip(), step_reward=step, start=start)


def maze(size: int, slip: Slip | None, gamma: float, open_walls: float = 0.03) -> GridModel:
    return grid(maze_tiles(size, open_walls, np.random.default_rng(size)), gamma, slip)


def pockets() -> GridModel:
    """A slippery maze with mud, and rooms without any way out."""
    rng = np.random.default_rng(1)
    tiles = maze_tiles(201, 0.1, rng)
    tiles[(rng.random(tiles.shape) < 0.05) & (tiles == FLOOR)] = MUD
    for _ in range(20):
        row, column = rng.integers(5, 185, 2)
        tiles[row : row + 8, column : column + 8] = WALL
        tiles[row + 1 : row + 7, column + 1 : column + 7] = FLOOR
    return grid(tiles, 0.99, Slip(0.8, 0.1, 0.1))


def room(size: int = 250) -> GridModel:
    tiles = np.full((size, size), FLOOR)
    tiles[size // 2, size // 2] = GOAL
    return grid(tiles, 0.999, Slip(0.8, 0.1, 0.1))


def cliffs() -> GridModel:
    tiles = np.full((120, 400), FLOOR)
    tiles[10::12, 5:-5] = PIT
    tiles[-1, -1] = GOAL
    return grid(tiles, 0.995, Slip(0.9, 0.05, 0.05))


def four_rooms() -> GridModel:
    tiles = np.full((203, 203), FLOOR)
    tiles[101, :] = tiles[:, 101] = WALL
    tiles[101, [50, 150]] = FLOOR
    tiles[[40, 160], 101] = FLOOR
    tiles[10, 190] = GOAL
    return grid(tiles, 0.99, Slip(2 / 3, 1 / 9, 1 / 9, 1 / 9), 0.0)


def goals_and_pits() -> GridModel:
    rng = np.random.default_rng(2)
    tiles = rng.choice([FLOOR, WALL, GOAL, PIT], size=(250, 250), p=[0.85, 0.13, 0.005, 0.015])
    return grid(tiles, 0.99, Slip(0.8, 0.1, 0.1))


# --- explicit models ------------------------------------------------------------------------------------------------


def random_model(states: int, actions: int, outcomes: int, gamma: float) -> MDP:
    rng = np.random.default_rng(3)
    pairs = states * actions
    to = rng.integers(0, states, (pairs, outcomes))
    p = rng.random((pairs, outcomes)) + 1e-3
    p /= p.sum(axis=1, keepdims=True)
    reward = np.repeat(rng.normal(size=(pairs, 1)), outcomes, axis=1)
    ends = np.zeros(pairs * outcomes, np.bool_)
    offsets = np.arange(pairs + 1) * outcomes
    return MDP(states, actions, offsets, to.ravel(), p.ravel(), reward.ravel(), ends, gamma=gamma)


def from_rows(
    states: int, rows: Callable[[int], list[list[tuple[float, int, float, bool]]]], actions: int, gamma: float
) -> MDP:
    table = [rows(s) for s in range(states)]
    runs = [run for row in table for run in (*row, *[[]] * (actions - len(row)))]
    flat = [outcome for run in runs for outcome in run]
    offsets = np.concatenate([[0], np.cumsum([len(run) for run in runs])])
    p, to, reward, ends = (np.array(column) for column in zip(*flat, strict=True))
    return MDP(states, actions, offsets, to, p, reward, ends, gamma=gamma)


def layers(width: int = 500, depth: int = 100) -> MDP:
    """A layered graph without cycles, numbered at random."""
    rng = np.random.default_rng(4)
    name = rng.permutation(width * depth)
    where = np.argsort(name)

    def rows(s: int) -> list[list[tuple[float, int, float, bool]]]:
        layer = where[s] // width
        if layer == depth - 1:
            return [[(1.0, s, float(rng.random()), True)]]
        below = name[(layer + 1) * width : (layer + 2) * width]
        return [
            [(0.5, int(t), float(-rng.random()), False) for t in below[rng.integers(0, width, 2)]] for _ in range(3)
        ]

    return from_rows(width * depth, rows, 3, 1.0)


def clusters(count: int = 1500, size: int = 30) -> MDP:
    """Many strongly connected components in a chain: a slow walk in each, then the next, numbered at random."""
    rng = np.random.default_rng(5)
    states = count * size
    name = rng.permutation(states)
    where = np.argsort(name)

    def rows(s: int) -> list[list[tuple[float, int, float, bool]]]:
        part, at = divmod(int(where[s]), size)
        if at == 0:
            on = [(1.0, s, 0.0, True)] if part == 0 else [(1.0, int(name[(part - 1) * size + size - 1]), -1.0, False)]
            return [on, [(1.0, int(name[part * size + 1]), 0.1, False)]]
        back, forth = int(name[where[s] - 1]), int(name[part * size + min(at + 1, size - 1)])
        return [
            [(0.5, back, -1.0, False), (0.5, forth, -1.0, False)],
            [(0.3, back, -0.2, False), (0.7, forth, -0.2, False)],
        ]

    return from_rows(states, rows, 2, 0.999)


def river(states: int = 3000) -> MDP:
    """RiverSwim: against the current to a reward that is worth it (Strehl & Littman 2008), long."""

    def rows(s: int) -> list[list[tuple[float, int, float, bool]]]:
        left = [(1.0, max(0, s - 1), 0.005 if s == 0 else 0.0, False)]
        if s == 0:
            return [left, [(0.4, 0, 0.0, False), (0.6, 1, 0.0, False)]]
        if s == states - 1:
            return [left, [(0.4, s - 1, 0.0, False), (0.6, s, 1.0, False)]]
        return [left, [(0.05, s - 1, 0.0, False), (0.6, s, 0.0, False), (0.35, s + 1, 0.0, False)]]

    return from_rows(states, rows, 2, 0.9999)


def gambler(goal: int = 1000) -> MDP:
    """Sutton & Barto, example 4.3, with another goal."""

    def rows(s: int) -> list[list[tuple[float, int, float, bool]]]:
        if s in (0, goal):
            return [[(1.0, s, 0.0, True)]]
        return [
            [(0.4, s + bet, float(s + bet == goal), s + bet == goal), (0.6, s - bet, 0.0, s == bet)]
            for bet in range(1, min(s, goal - s) + 1)
        ]

    return from_rows(goal + 1, rows, goal // 2, 1.0)


def queue(length: int = 3000) -> MDP:
    """Arrivals and three speeds of service: waiting costs, and so does speed; nothing ever ends."""
    speeds = ((0.2, 0.0), (0.45, 1.0), (0.6, 3.0))

    def rows(s: int) -> list[list[tuple[float, int, float, bool]]]:
        return [
            [
                (0.4 * (1 - served), min(s + 1, length - 1), -cost - 0.01 * s, False),
                (0.6 * served, max(s - 1, 0), -cost - 0.01 * s, False),
                (1 - 0.4 * (1 - served) - 0.6 * served, s, -cost - 0.01 * s, False),
            ]
            for served, cost in speeds
        ]

    return from_rows(length, rows, 3, 0.9995)


def taxi(size: int = 15, stops: int = 6) -> MDP:
    """A passenger waits at one of the stops or sits in the taxi and has a destination (Dietterich 2000), larger."""
    rng = np.random.default_rng(6)
    cells = size * size
    places = rng.choice(cells, stops, replace=False)
    blocked = rng.random((cells, 2)) < 0.15  # walls to the right of and below a cell

    def move(cell: int, a: int) -> int:
        row, column = divmod(cell, size)
        if a == 0 and row > 0 and not blocked[cell - size, 1]:
            return cell - size
        if a == 1 and column < size - 1 and not blocked[cell, 0]:
            return cell + 1
        if a == 2 and row < size - 1 and not blocked[cell, 1]:
            return cell + size
        if a == 3 and column > 0 and not blocked[cell - 1, 0]:
            return cell - 1
        return cell

    def rows(s: int) -> list[list[tuple[float, int, float, bool]]]:
        rest, goal = divmod(s, stops)
        cell, passenger = divmod(rest, stops + 1)

        def state(cell: int, passenger: int) -> int:
            return (cell * (stops + 1) + passenger) * stops + goal

        row = []
        for a in range(4):
            sides = ((0.8, a), (0.1, (a + 1) % 4), (0.1, (a + 3) % 4))
            row.append([(p, state(move(cell, d), passenger), -1.0, False) for p, d in sides])
        waits = passenger < stops and places[passenger] == cell
        row.append([(1.0, state(cell, stops) if waits else s, -1.0 if waits else -10.0, False)])
        there = passenger == stops and places[goal] == cell
        row.append([(1.0, s, 20.0 if there else -10.0, there)])
        return row

    return from_rows(cells * (stops + 1) * stops, rows, 6, 0.99)


PROBLEMS: dict[str, Callable[[], MDP | GridModel]] = {
    "maze": lambda: maze(255, None, 0.999),
    "maze_gamma_1": lambda: maze(127, Slip(0.8, 0.1, 0.1), 1.0),
    "slippery_pockets": pockets,
    "high_slip_maze": lambda: maze(127, Slip.sideways(1 / 3, 1 / 3), 0.999, 0.2),
    "open_room": room,
    "cliffs": cliffs,
    "four_rooms": four_rooms,
    "goals_and_pits": goals_and_pits,
    "sparse_random": lambda: random_model(20_000, 4, 5, 0.99),
    "dense_random": lambda: random_model(500, 4, 500, 0.999),
    "layers": layers,
    "clusters": clusters,
    "river": river,
    "gambler": gambler,
    "queue": queue,
    "taxi": taxi,
}


def one(model: MDP | GridModel, method: str, limit: float) -> tuple[float, int, str]:
    """(seconds, sweeps, why it fell short)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = time.perf_counter()
        try:
            solution = solve(model, method=method, tolerance=TOLERANCE, time_limit=limit)
        except ValueError as error:
            return 0.0, 0, str(error)
        seconds = time.perf_counter() - begun
    return seconds, solution.sweeps, "" if solution.converged else f"error {solution.error_bound:.1e}"


def measure(name: str, methods: list[str], repeats: int, limit: float) -> dict[str, dict[str, object]]:
    model = PROBLEMS[name]()
    found: dict[str, dict[str, object]] = {}
    one(model, "value_iteration", limit)
    for method in methods:
        seconds, sweeps, short = one(model, method, limit)
        if short and "deterministic" not in short:  # perhaps it was compiling
            seconds, sweeps, short = one(model, method, limit)
        if "deterministic" not in short:
            found[method] = {"seconds": seconds, "sweeps": sweeps, "short": short}
    times: dict[str, list[float]] = {method: [] for method in found if not found[method]["short"]}
    for _ in range(repeats):
        for method, taken in times.items():
            taken.append(one(model, method, limit)[0])
    for method, taken in times.items():
        found[method]["seconds"] = statistics.median(taken) if taken else found[method]["seconds"]
    return found


def show(name: str, found: dict[str, dict[str, object]]) -> float:
    """Print one problem's table; auto / best fixed method."""
    print(f"\n{name}")
    for method, facts in sorted(found.items(), key=lambda item: (bool(item[1]["short"]), item[1]["seconds"])):
        print(f"  {method:26s} {1e3 * facts['seconds']:10.1f} ms {facts['sweeps']:8d} sweeps  {facts['short']}")
    fixed = [facts["seconds"] for method, facts in found.items() if method != "auto" and not facts["short"]]
    if "auto" not in found or not fixed:
        return float("nan")
    ratio = float("inf") if found["auto"]["short"] else found["auto"]["seconds"] / min(fixed)
    print(f"  auto / best {ratio:.2f}", flush=True)
    return ratio


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds for one solve (default: 10)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args(arguments)
    results, ratios = {}, {}
    for name in options.problems.split(","):
        results[name] = measure(name, options.methods.split(","), options.repeats, options.limit)
        if not options.json:
            ratios[name] = show(name, results[name])
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        print("\nauto / best: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
