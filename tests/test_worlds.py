"""The worlds that are maps: against their sources, published numbers, and plain loops on the definitions."""

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import rlgrid
from rlgrid import GridSpec
from rlgrid.envs import CLASSICS, GENERATED, MAPS
from rlgrid.envs.racetrack import TRACKS
from rlgrid.envs.registry import resolve


def world(name: str) -> Any:
    return GridSpec.builtin(name).compile()


def start_value(model: Any, values: NDArray[np.float64]) -> float:
    return float(model.start_probability @ values[model.start_states])


# --- the registry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MAPS, *CLASSICS])
def test_every_world_tells_its_source_and_its_optimum(name: str) -> None:
    entry: Any = (MAPS | CLASSICS)[name]
    assert len(entry.title) >= 4
    assert "(" in entry.citation or "Gymnasium" in entry.citation or "this project" in entry.citation
    model = gym.make(name).unwrapped.model  # type: ignore[attr-defined]
    solution = rlgrid.solve(model, tolerance=1e-9)
    assert solution.converged
    low, high = start_value(model, solution.lower), start_value(model, solution.upper)
    rounded = 1e-11 * max(1.0, abs(entry.optimum))
    assert low - rounded <= entry.optimum <= high + rounded
    spec = gym.spec(name)
    assert (spec.max_episode_steps, spec.reward_threshold) == (entry.max_episode_steps, entry.reward_threshold)


def test_all_are_found_by_their_short_names() -> None:
    for name, entry in MAPS.items():
        assert resolve(entry.map) == (name, {})
        assert resolve(name.partition("/")[2])[0] in (name, name.partition("/")[2])  # Gymnasium's own comes first
    with pytest.raises(ValueError, match=r"did you mean puddle_world\?|did you mean rlgrid/PuddleWorld-v0\?"):
        resolve("puddleworld")


def test_worlds_of_random_maps_are_registered_as_told() -> None:
    for name, entry in GENERATED.items():
        spec = gym.spec(name)
        assert (spec.max_episode_steps, spec.reward_threshold) == (entry.max_episode_steps, entry.reward_threshold)
        assert resolve(entry.name) == (name, {})
        env: Any = gym.make(name)
        env.reset(seed=0)
        first = env.unwrapped.model
        env.reset()
        assert env.unwrapped.model.P != first.P
        assert env.unwrapped.model.num_states == entry.settings["rows"] * entry.settings["columns"]


# --- worlds with published values -------------------------------------------------------------------------------------


def test_discount_grid() -> None:
    """The values of the project's own tests, after 100 sweeps, which are those of the limit to four digits."""
    published = """4.4765 5.1665 5.8841 6.6836 7.5087
    3.9306 0 6.0258 7.5087 8.6547
    3.4513 0 1 0 10
    2.9289 2.0045 3.3074 5.7186 8.4777
    -10 -10 -10 -10 -10"""
    model = world("discount_grid")
    values = rlgrid.solve(model, tolerance=1e-9).values.reshape(6, 5)
    expected = np.array([[float(x) for x in line.split()] for line in published.splitlines()])
    np.testing.assert_allclose(values[:5], expected, atol=5.1e-5)
    assert not values[5].any()


def test_bridge_grid() -> None:
    """The same project's values at discount .85 and noise .1; and by hand at the grid's own .9 and .2."""
    model = GridSpec.builtin("bridge_grid").with_changes(gamma=0.85, slip={"left": 0.05, "right": 0.05}).compile()
    values = rlgrid.solve(model, tolerance=1e-9).values.reshape(4, 7)  # type: ignore[arg-type]
    np.testing.assert_allclose(values[1], [1, -7.7350, -14.4173, -15.4999, -9.1502, -0.8500, 10], atol=5.1e-5)
    model = world("bridge_grid")
    first = Fraction(9, 10) * (Fraction(8, 10) * 1 + Fraction(2, 10) * -100)
    assert start_value(model, rlgrid.solve(model, tolerance=1e-9).values) == pytest.approx(float(first), abs=1e-9)


def test_cliff_grid() -> None:
    """By value iteration on the definition: numbers are left by one action, a step later, for what they say."""
    rows = ["     ", "S   g", "ccccc"]
    worth = {"g": 10.0, "c": -100.0}
    sides = ((-1, 0), (0, 1), (1, 0), (0, -1))

    def moved(r: int, c: int, side: int) -> tuple[int, int]:
        down, right = r + sides[side][0], c + sides[side][1]
        return (down, right) if 0 <= down < 3 and 0 <= right < 5 else (r, c)

    values = np.zeros((3, 5))
    for _ in range(300):
        new = np.empty_like(values)
        for r in range(3):
            for c in range(5):
                if rows[r][c] in worth:
                    new[r, c] = worth[rows[r][c]]
                    continue
                around = [values[moved(r, c, side)] for side in range(4)]
                new[r, c] = 0.9 * max(0.8 * around[a] + 0.1 * around[a - 1] + 0.1 * around[a - 3] for a in range(4))
        values = new
    found = rlgrid.solve(world("cliff_grid"), tolerance=1e-10).values.reshape(4, 5)
    np.testing.assert_allclose(found[:3], values, atol=1e-9)


def test_deep_sea_treasure_has_its_pareto_front() -> None:
    """Vamplew et al. (2011): the ten ends as (treasure, steps); which is best depends on what a step costs."""
    front = [(1, 1), (2, 3), (3, 5), (5, 7), (8, 8), (16, 9), (24, 13), (50, 14), (74, 17), (124, 19)]
    spec = GridSpec.builtin("deep_sea_treasure")
    for cost in (0.0, 0.5, 1.0, 2.0, 5.0, 6.0, 10.0, 40.0):
        model: Any = spec.with_changes(step_reward=-cost).compile()
        best = max(treasure - cost * steps for treasure, steps in front)
        assert start_value(model, rlgrid.solve(model, tolerance=1e-9).values) == pytest.approx(best, abs=1e-8)
    # Each end is that many steps away: with its treasure alone, and costs of 1, it is worth treasure - steps.
    for letter, (treasure, steps) in zip("abcdefghij", front, strict=True):
        tile = {other: {"terminal": True, "enter_reward": -1000.0} for other in "abcdefghij" if other != letter}
        model = spec.with_changes(legend=tile | {letter: {"terminal": True, "enter_reward": treasure}}).compile()
        found = start_value(model, rlgrid.solve(model, tolerance=1e-9).values)
        assert found == pytest.approx(treasure - steps, abs=1e-8)


# --- the puddle world -------------------------------------------------------------------------------------------------


def puddle_reward(x: float, y: float) -> float:
    """Sutton (1996): -1, and -400 times how far the point is inside of each puddle.

    The nearest point of a puddle's axis is searched for among 35,001 (or 40,001) of them.
    """
    depth = 0.0
    for one, other in (((0.1, 0.75), (0.45, 0.75)), ((0.45, 0.4), (0.45, 0.8))):
        along = np.linspace(one, other, round(1e5 * math.dist(one, other)) + 1)
        depth += max(0.0, 0.1 - float(np.hypot(along[:, 0] - x, along[:, 1] - y).min()))
    return -1.0 - 400.0 * depth


def test_puddle_world() -> None:
    """Every step against the definition, and Dijkstra's shortest ways against the values."""
    model = world("puddle_world")
    side = 20
    centre = [((c + 0.5) / side, 1.0 - (r + 0.5) / side) for r in range(side) for c in range(side)]
    goal = [x + y >= 1.9 - 1e-9 for x, y in centre]
    assert sum(goal) == 3
    reward = [puddle_reward(x, y) for x, y in centre]
    assert len({round(r, 6) for r in reward}) == 13
    table = model.P
    steps: dict[int, list[tuple[int, float]]] = {}  # to a cell: from which, at what cost
    for state in range(side * side):
        row, column = divmod(state, side)
        for action, (down, right) in enumerate(((-1, 0), (0, 1), (1, 0), (0, -1))):
            to = min(max(row + down, 0), side - 1) * side + min(max(column + right, 0), side - 1)
            ((p, there, found, ends),) = table[state][action]
            if goal[state]:
                assert (there, found, ends) == (state, 0.0, True)
                continue
            assert (p, there, ends) == (1.0, to, goal[to])
            assert found == pytest.approx(reward[to], abs=1e-6)
            steps.setdefault(to, []).append((state, -reward[to]))
    cost = np.where(goal, 0.0, np.inf)
    left = set(range(side * side))
    while left:
        nearest = min(left, key=lambda state: cost[state])
        left.remove(nearest)
        for state, price in steps.get(nearest, []):
            cost[state] = min(cost[state], cost[nearest] + price)
    values = rlgrid.solve(model, tolerance=1e-9).values
    np.testing.assert_allclose(values, -cost, atol=1e-4)
    starts = np.flatnonzero(~np.array(goal))
    assert model.start_states.tolist() == starts.tolist()
    np.testing.assert_allclose(model.start_probability, 1 / 397, rtol=1e-12)


# --- worlds of the project --------------------------------------------------------------------------------------------


def test_the_windy_cliff() -> None:
    """Exactly, by policy iteration's fixed point: no policy better than the solver's at any cell, in fractions."""
    gust = Fraction(1, 5)
    cells = [(r, c) for r in range(4) for c in range(12)]

    def fall(r: int, c: int) -> tuple[tuple[int, int], Fraction]:
        return ((3, 0), Fraction(-100)) if r == 3 and 0 < c < 11 else ((r, c), Fraction(-1))

    def branches(cell: tuple[int, int], action: int) -> list[tuple[Fraction, tuple[int, int], Fraction]]:
        down, right = ((-1, 0), (0, 1), (1, 0), (0, -1))[action]
        r, c = cell[0] + down, cell[1] + right
        still, blown = (r, c), (r + 1, c)
        return [(p, *fall(min(max(r, 0), 3), min(max(c, 0), 11))) for p, (r, c) in ((1 - gust, still), (gust, blown))]

    model = world("cliff_walking_windy")
    policy = rlgrid.solve(model).policy
    live = [cell for cell in cells if cell != (3, 11) and not (cell[0] == 3 and 0 < cell[1] < 11)]
    size = len(live)
    index = {cell: i for i, cell in enumerate(live)}
    # V = r + P V for the solver's policy, by Gauss-Jordan elimination over fractions.
    rows = []
    for i, cell in enumerate(live):
        row = [Fraction(int(i == j)) for j in range(size)] + [Fraction(0)]
        for p, to, reward in branches(cell, int(policy[cell[0] * 12 + cell[1]])):
            row[size] += p * reward
            if to in index:
                row[index[to]] -= p
        rows.append(row)
    for k in range(size):
        pivot = next(i for i in range(k, size) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [entry / rows[k][k] for entry in rows[k]]
        for i in range(size):
            if i != k and rows[i][k]:
                factor = rows[i][k]
                rows[i] = [entry - factor * other for entry, other in zip(rows[i], rows[k], strict=True)]
    value = {cell: rows[i][size] for cell, i in index.items()} | {(3, 11): Fraction(0)}
    for cell in live:
        for action in range(4):
            assert sum(p * (reward + value[to]) for p, to, reward in branches(cell, action)) <= value[cell]
    assert value[3, 0] == Fraction(-17222, 1000)


def test_teleports_join_rooms_without_doors() -> None:
    model = world("teleports")
    walls = model.walls.reshape(5, 17)
    assert walls[:, 5].all()
    assert walls[:, 11].all()
    assert walls.sum() == 10
    to = {character: kind.enter_to for kind in model.kinds for character in [kind.character]}
    assert (to["A"], to["B"], to["C"]) == (1 * 17 + 7, 3 * 17 + 14, 0)
    env: Any = gym.make("rlgrid/Teleports-v0", slip=0.0).unwrapped
    env.reset(seed=0)
    seen = [env.step(action)[0] for action in (1, 1, 1, 1, 2, 2, 2, 2)]
    assert seen[-2:] == [3 * 17 + 4, 1 * 17 + 7]


def test_thin_walls_are_a_perfect_maze() -> None:
    """63 ways between 64 cells, and all of them joined; 8 x 8 cells have 112 borders."""
    spec = GridSpec.builtin("thin_walls")
    assert len(spec.walls) == 112 - 63
    calm: Any = spec.with_changes(slip={"forward": 1.0}).compile()
    ways = {(s, to) for s, row in calm.P.items() for run in row.values() for _, to, _, _ in run if s != to}
    goal = 63  # which nobody leaves
    assert len(ways) == 2 * 63 - len({s for s, to in ways if to == goal})
    assert np.isfinite(rlgrid.solve(calm).values).all()


def test_keys_and_a_switch_by_breadth_first_search() -> None:
    """Without slips: the steps over (cell, red key, lever, blue key), as the map's first line tells them."""
    spec = GridSpec.builtin("keys_and_switch").with_changes(slip={"forward": 1.0})
    rows, takes = spec.rows, {"r": 0, "L": 1, "b": 2}
    needs = {"R": 0, "X": 1, "B": 2}
    frontier, seen, steps = {(0, 0, (False, False, False))}, set(), 0
    while not any(rows[r][c] == "G" for r, c, _ in frontier):
        seen |= frontier
        found = set()
        for r, c, has in frontier:
            for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
                y, x = r + down, c + right
                if not (0 <= y < len(rows) and 0 <= x < len(rows[0])) or rows[y][x] == "#":
                    continue
                kind = rows[y][x]
                if kind in needs and not has[needs[kind]]:
                    continue
                now = tuple(one or takes.get(kind) == i for i, one in enumerate(has))
                found.add((y, x, now))
        frontier, steps = found - seen, steps + 1
    model: Any = spec.compile()
    best = start_value(model, rlgrid.solve(model, tolerance=1e-12).values)
    assert best == pytest.approx(0.99 ** (steps - 1), abs=1e-11)
    assert steps == 46


def test_collecting_stars_is_a_shortest_round() -> None:
    """The shortest of all orders, by steps of breadth first search between start and stars."""
    spec = GridSpec.builtin("collect_stars")
    rows = spec.rows
    free = {(r, c) for r, row in enumerate(rows) for c, kind in enumerate(row) if kind != "#"}
    stars = [(r, c) for r, c in free if rows[r][c] == "*"]
    (start,) = ((r, c) for r, c in free if rows[r][c] == "S")

    def steps_from(one: tuple[int, int]) -> dict[tuple[int, int], int]:
        found, order = {one: 0}, [one]
        for r, c in order:
            for to in {(r - 1, c), (r, c + 1), (r + 1, c), (r, c - 1)} & free - found.keys():
                found[to] = found[r, c] + 1
                order.append(to)
        return found

    steps = {one: steps_from(one) for one in (start, *stars)}
    rounds = [sum(steps[a][b] for a, b in pairwise((start, *order))) for order in permutations(stars)]
    assert len(stars) == 4
    model: Any = spec.compile()
    assert start_value(model, rlgrid.solve(model).values) == -min(rounds) == -24.0


def test_random_maps_are_those_of_their_seeds() -> None:
    assert GridSpec.builtin("wilson_maze").rows == rlgrid.generate("wilson", 21, 21, seed=8).rows
    lake = rlgrid.random_frozen_lake(16, 0.8, seed=3)
    ours = GridSpec.builtin("frozen_lake_16x16")
    assert ours.rows == lake.rows
    assert ours.compile().P == lake.compile().P
    assert ours.max_episode_steps == lake.max_episode_steps


def spanning_trees(side: int) -> Counter[int]:
    """How many spanning trees of a square lattice have each diameter: all of them, edge by edge, taken or left."""
    edges = [(cell, cell + 1) for cell in range(side * side) if (cell + 1) % side]
    edges += [(cell, cell + side) for cell in range(side * (side - 1))]
    found: Counter[int] = Counter()

    def farthest(beside: list[list[int]], cell: int) -> tuple[int, int]:
        steps, order = {cell: 0}, [cell]
        for one in order:
            for other in beside[one]:
                if other not in steps:
                    steps[other] = steps[one] + 1
                    order.append(other)
        return order[-1], steps[order[-1]]

    def grow(taken: list[tuple[int, int]], left: int, group: list[int]) -> None:
        if len(taken) == side * side - 1:
            beside: list[list[int]] = [[] for _ in group]
            for a, b in taken:
                beside[a].append(b)
                beside[b].append(a)
            found[farthest(beside, farthest(beside, 0)[0])[1]] += 1
        elif len(edges) - left >= side * side - 1 - len(taken):
            a, b = edges[left]
            if group[a] != group[b]:
                grow([*taken, edges[left]], left + 1, [group[a] if one == group[b] else one for one in group])
            grow(taken, left + 1, group)

    grow([], 0, list(range(side * side)))
    return found


@pytest.mark.slow
def test_random_mazes_over_all_mazes() -> None:
    """A maze of 9 x 9 is a spanning tree of 4 x 4 rooms, two steps apart, all as likely; its ends are the farthest."""
    trees = spanning_trees(4)
    assert trees.total() == 100_352  # of the 4 x 4 lattice, by Kirchhoff's theorem
    best = sum(count * 0.99 ** (2 * diameter - 1) for diameter, count in trees.items()) / trees.total()
    world = GENERATED["rlgrid/RandomMaze-v0"]
    assert world.optimum == pytest.approx(best, abs=1e-12)
    drawn = Counter(
        round(rlgrid.difficulty(rlgrid.generate("wilson", 9, 9, seed=seed)).shortest_path) for seed in range(2000)
    )
    expected = {2 * diameter: 2000 * count / trees.total() for diameter, count in trees.items()}
    assert drawn.keys() <= expected.keys()
    # Chi-square with 8 degrees of freedom exceeds 37 once in 10^5 times.
    assert sum((drawn[steps] - n) ** 2 / n for steps, n in expected.items()) < 37


@pytest.mark.slow
def test_random_frozen_lakes_over_all_lakes() -> None:
    """The 3,828 lakes of 4 x 4 cells that have a way, each with the chance with which it is drawn."""
    cells, side = 16, 4
    ice = np.ones((2**14, cells), np.bool_)
    ice[:, 1:15] = (np.arange(2**14)[:, None] >> np.arange(14)) & 1
    row, column = np.divmod(np.arange(cells), side)
    sides = [(row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1)]
    to = np.stack([r.clip(0, 3) * side + c.clip(0, 3) for r, c in sides], axis=1)  # [16, 4]
    reached = np.zeros_like(ice)
    reached[:, 0] = True
    for _ in range(cells):
        reached |= reached[:, to].any(axis=2) & ice
    ice = ice[reached[:, 15]]
    assert len(ice) == 3828
    chance = np.where(ice[:, 1:15], 0.8, 0.2).prod(axis=1)
    chance /= chance.sum()
    on = ice & (np.arange(cells) != 15)

    def backup(values: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
        led = np.where(to == 15, 1.0, gamma * values[:, to])
        return np.where(on, ((led + np.roll(led, 1, axis=2) + np.roll(led, -1, axis=2)) / 3).max(axis=2), 0.0)

    world = GENERATED["rlgrid/RandomFrozenLake-v0"]
    values = np.zeros(ice.shape)
    for _ in range(world.max_episode_steps):
        values = backup(values, 1.0)
    capped = float(chance @ values[:, 0])
    assert capped == pytest.approx(0.90290016, abs=1e-8)
    assert capped - 0.07 <= world.reward_threshold <= capped
    values = np.zeros(ice.shape)
    for _ in range(1400):
        values = backup(values, 0.99)
    assert world.optimum == pytest.approx(float(chance @ values[:, 0]), abs=1e-11)


def test_changes_of_worlds_that_are_more_than_a_grid() -> None:
    for name in ("rlgrid/KeysAndSwitch-v0", "rlgrid/ThinWalls-v0"):
        env: Any = gym.make(name, gamma=0.5, slip=0.0, step_reward=-2.0)
        spec = GridSpec.builtin(MAPS[name].map).with_changes(gamma=0.5, slip={"forward": 1.0}, step_reward=-2.0)
        assert env.unwrapped.model.P == spec.compile().P
        assert env.unwrapped.model.gamma == 0.5
        with pytest.raises(ValueError, match="it must be from 0"):
            gym.make(name, slip=0.7)
        with pytest.raises(ValueError, match="gamma"):
            gym.make(name, gamma=2.0)
    with pytest.raises(TypeError, match="did you mean 'gamma'"):
        rlgrid.envs.registry.make("key_door", gama=0.5)
    with pytest.raises(TypeError, match="'start' cannot be changed"):
        rlgrid.envs.registry.make("key_door", start=3)


def test_the_tracks_of_the_figure() -> None:
    """Figure 5.5: the cells of each row, the lines, as two independent transcriptions of the figure have them."""
    left, right = TRACKS["left"], TRACKS["right"]
    assert [(len(track), len(track[0])) for track in (left, right)] == [(32, 17), (30, 32)]
    cells = [[len(row.strip("#")) for row in track] for track in (left, right)]
    assert cells[0] == [14, 15, 15, 16, 17, 17, 10, *[9] * 7, *[8] * 8, *[7] * 7, *[6] * 3]
    assert cells[1] == [16, 19, 20, 21, 21, 21, 21, 20, 19, 16, 13, 12, 10, *range(9, 24), 23, 23]
    assert [row.count("F") for row in left] == [1] * 6 + [0] * 26
    assert [row.count("F") for row in right] == [1] * 9 + [0] * 21
    assert [sum(row.count("S") for row in track) for track in (left, right)] == [6, 23]
    assert all("#" not in row.strip("#") for row in (*left, *right))
