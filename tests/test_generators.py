"""Generated maps: every one can be solved, mazes are trees, uniform ones are uniform; and measures of known maps."""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import generate_random_map
from numpy.typing import NDArray
from scipy import stats

import rlgrid
from rlgrid.generators import ENDS, GENERATORS, generate_tiles
from rlgrid.kernels import flood, mazes
from rlgrid.mapoptions import GOAL, HOLE, START, WALL, random_of
from rlgrid.mazes import PERFECT

NAMES = list(GENERATORS)
PERFECT_NAMES = [name for name, generator in GENERATORS.items() if generator.perfect]
SHAPES = [(1, 1), (1, 2), (2, 1), (1, 3), (4, 1), (1, 17), (23, 1), (2, 2), (2, 3), (2, 9), (3, 3), (4, 4), (5, 4)]
SHAPES += [(5, 5), (6, 11), (12, 7), (21, 30)]
Cell = tuple[int, int]


# --- slow and obvious -----------------------------------------------------------------------------------------------


def beside(cell: Cell) -> list[Cell]:
    r, c = cell
    return [(r - 1, c), (r, c + 1), (r + 1, c), (r, c - 1)]


def open_cells(tiles: NDArray[Any]) -> set[Cell]:
    return {(int(r), int(c)) for r, c in np.argwhere((tiles != WALL) & (tiles != HOLE))}


def walk(cells: set[Cell], source: Cell) -> dict[Cell, int]:
    """The steps from a cell to each that can be reached."""
    found = {source: 0}
    todo = deque([source])
    while todo:
        cell = todo.popleft()
        for to in beside(cell):
            if to in cells and to not in found:
                found[to] = found[cell] + 1
                todo.append(to)
    return found


def the(tiles: NDArray[Any], code: int) -> Cell:
    """The one cell with a code."""
    (cell,) = np.argwhere(tiles == code).tolist()
    return cell[0], cell[1]


def pairs(cells: set[Cell]) -> int:
    """Pairs of neighbours."""
    return sum(((r, c + 1) in cells) + ((r + 1, c) in cells) for r, c in cells)


def ends_of(cells: set[Cell]) -> set[Cell]:
    return {cell for cell in cells if sum(to in cells for to in beside(cell)) == 1}


def fewest_walls(free: NDArray[np.bool_]) -> int:
    """The fewest cells to free on a way from corner to corner, by sweeps over all cells until none changes."""
    cost = np.full((free.shape[0] + 2, free.shape[1] + 2), 10**6)
    cost[1, 1] = not free[0, 0]
    while True:
        inner = np.minimum.reduce([cost[:-2, 1:-1], cost[2:, 1:-1], cost[1:-1, :-2], cost[1:-1, 2:]]) + ~free
        better = np.minimum(cost[1:-1, 1:-1], inner)
        if (better == cost[1:-1, 1:-1]).all():
            return int(cost[-2, -2])
        cost[1:-1, 1:-1] = better


# --- every map can be solved ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_way_from_the_start_to_the_goal(name: str) -> None:
    for shape in SHAPES:
        for seed in range(15):
            tiles = generate_tiles(name, *shape, seed=seed, ends=ENDS[seed % 3])
            assert tiles.shape == shape
            assert tiles.dtype == np.uint8
            start = the(tiles, START)
            if shape == (1, 1):
                continue  # no room for a goal
            assert walk(open_cells(tiles), start).get(the(tiles, GOAL), 0) > 0


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_way_on_maps_of_any_shape(name: str) -> None:
    random = np.random.default_rng(0)
    for seed in range(60):
        height, width = random.integers(1, 40, 2).tolist()
        tiles = generate_tiles(name, height, width + 1, seed=seed)
        assert the(tiles, GOAL) in walk(open_cells(tiles), the(tiles, START))


def options_at_their_ends() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in PERFECT_NAMES:
        for braid, loops, border in ((1, 0, False), (0.5, 0.1, True), (0, 1, False), (1.0, 1.0, True)):
            yield name, {"braid": braid, "loops": loops, "border": border}
    for algorithm in PERFECT:
        yield "braided", {"algorithm": algorithm, "braid": 0.3}
    yield from (("growing_tree", {"newest": newest}) for newest in (0, 0.1, 1))
    for border in (False, True):
        yield from (("caves", {"fill": fill, "border": border}) for fill in (0.0, 0.4, 0.55, 1.0))
        yield from (("random_walls", {"fill": fill, "border": border}) for fill in (0.0, 0.41, 0.8, 1.0))
        sizes = ((1, 2), (1, 9), (3, 6), (20, 40))
        yield from (("rooms", {"min_room": a, "max_room": b, "border": border}) for a, b in sizes)
    yield from (("caves", {"passes": passes}) for passes in (0, 1, 20))
    yield from (("frozen_lake", {"p": p}) for p in (0.0, 0.3, 1.0))


@pytest.mark.parametrize(("name", "options"), list(options_at_their_ends()), ids=str)
def test_there_is_a_way_whatever_the_options(name: str, options: dict[str, Any]) -> None:
    for shape in ((1, 2), (2, 2), (1, 9), (5, 5), (8, 13)):
        for seed in range(3):
            tiles = generate_tiles(name, *shape, seed=seed, ends=ENDS[seed], **options)
            assert the(tiles, GOAL) in walk(open_cells(tiles), the(tiles, START))


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_and_a_name_say_all(name: str) -> None:
    one = generate_tiles(name, 20, 33, seed=11)
    assert np.array_equal(one, generate_tiles(name, 20, 33, seed=11))
    assert not np.array_equal(one, generate_tiles(name, 20, 33, seed=12))
    spec = rlgrid.generate(name, 20, 33, seed=11)
    assert spec == rlgrid.generate(name, 20, 33, seed=11)
    assert rlgrid.GridSpec.parse(spec.dump()) == spec


def test_maps_stay_what_they_were() -> None:
    """With compiled kernels and without, on every machine: sums over the tiles of 15 x 22 maps of seed 5."""
    sums = {name: zlib.crc32(generate_tiles(name, 15, 22, seed=5).tobytes()) for name in NAMES}
    assert sums == GOLDEN


def test_a_map_without_a_seed_tells_the_one_that_was_drawn() -> None:
    spec = rlgrid.generate("kruskal", 9, 9)
    assert rlgrid.generate("kruskal", 9, 9, seed=int(spec.name.split("_")[-1])) == spec


@pytest.mark.parametrize("name", NAMES)
def test_a_border_is_all_wall(name: str) -> None:
    if "border" not in GENERATORS[name].options:
        assert name == "frozen_lake"
        return
    for shape in ((5, 5), (6, 9), (14, 20), (3, 12)):
        tiles = generate_tiles(name, *shape, seed=3, border=True)
        assert (tiles[:, [0, -1]] == WALL).all()
        if shape[0] >= 5:
            assert (tiles[[0, -1]] == WALL).all()
        else:
            assert (tiles != WALL).any(axis=1).sum() > 1


# --- mazes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERFECT_NAMES)
def test_perfect_mazes_are_trees(name: str) -> None:
    for shape in SHAPES[1:]:
        for seed in range(10):
            for border in (True, False):
                cells = open_cells(generate_tiles(name, *shape, seed=seed, border=border))
                assert len(walk(cells, min(cells))) == len(cells)
                assert pairs(cells) == len(cells) - 1


@pytest.mark.parametrize("name", PERFECT_NAMES)
def test_mazes_fill_their_map(name: str) -> None:
    """Rooms in every other row and column: (H // 2) x (W // 2) of them with a border around odd sizes."""
    cells = open_cells(generate_tiles(name, 13, 21, seed=0))
    assert {(r, c) for r in range(1, 13, 2) for c in range(1, 21, 2)} <= cells
    assert len(cells) == 2 * 6 * 10 - 1
    cells = open_cells(generate_tiles(name, 13, 20, seed=0, border=False))
    assert {(r, c) for r in range(0, 13, 2) for c in range(0, 20, 2)} <= cells
    assert len(cells) == 2 * 7 * 10 - 1


def doors_of(algorithm: str, rows: int, columns: int, seed: int) -> NDArray[np.uint8]:
    options = (0.5,) if algorithm == "growing_tree" else ()
    doors: NDArray[np.uint8] = getattr(mazes, algorithm)(rows, columns, *options, random_of(seed).stream)
    return doors


@pytest.mark.parametrize(("rows", "columns", "trees"), [(2, 2, 4), (2, 3, 15), (3, 3, 192)])
@pytest.mark.parametrize("name", ["wilson", "aldous_broder"])
def test_uniform_spanning_trees_are_uniform(name: str, rows: int, columns: int, trees: int) -> None:
    """A 2 x 2 grid has 4 spanning trees, 2 x 3 has 15, 3 x 3 has 192 (OEIS A116469); chi-square at 1 in 1000."""
    stream = random_of(17).stream
    seen = Counter(getattr(mazes, name)(rows, columns, stream).tobytes() for _ in range(20 * trees))
    assert len(seen) == trees
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


@pytest.mark.parametrize("name", ["depth_first", "prim", "eller", "sidewinder", "binary_tree"])
def test_other_trees_are_not(name: str) -> None:
    """So that the test above can fail: of 15 trees each, 3,000 draws."""
    stream = random_of(17).stream
    counts = Counter(getattr(mazes, name)(2, 3, stream).tobytes() for _ in range(3000))
    assert stats.chisquare([*counts.values(), *[0] * (15 - len(counts))]).pvalue < 1e-6


def test_kruskals_trees_have_the_law_of_all_orders() -> None:
    """2 x 3 rooms have seven walls; each of their 5,040 orders is as likely."""
    walls = [(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)]
    law: Counter[frozenset[Cell]] = Counter()
    for order in permutations(walls):
        part = list(range(6))
        opened = []
        for a, b in order:
            if part[a] != part[b]:
                opened.append((a, b))
                part = [part[a] if p == part[b] else p for p in part]
        law[frozenset(opened)] += 1
    stream = random_of(3).stream
    seen: Counter[frozenset[Cell]] = Counter()
    for _ in range(4000):
        doors = mazes.kruskal(2, 3, stream).tolist()
        right = [(cell, cell + 1) for cell in range(6) if doors[cell] & mazes.EAST]
        seen[frozenset(right + [(cell, cell + 3) for cell in range(6) if doors[cell] & mazes.SOUTH])] += 1
    trees = list(law)
    assert len(trees) == 15
    assert stats.chisquare([seen[t] for t in trees], [law[t] * 4000 / 5040 for t in trees]).pvalue > 1e-3


@pytest.mark.parametrize("name", ["wilson", "aldous_broder"])
def test_dead_ends_of_uniform_spanning_trees(name: str) -> None:
    """8 / pi^2 (1 - 2 / pi) = 0.2945 of the nodes of the square lattice (Manna, Dhar & Majumdar 1992)."""
    model = rlgrid.generate_model(name, 601, 601, seed=0)
    ends, _, _ = flood.corridors(~model.walls, *model.shape)
    assert ends / 300**2 == pytest.approx(8 / math.pi**2 * (1 - 2 / math.pi), abs=0.01)


def test_texture_by_dead_ends() -> None:
    """Depth first has few dead ends and Prim many; a growing tree goes from the one to the other."""

    def dead_ends(name: str, **options: Any) -> float:
        return len(ends_of(open_cells(generate_tiles(name, 101, 101, seed=1, **options)))) / 50**2

    first, grown = dead_ends("depth_first"), [dead_ends("growing_tree", newest=p) for p in (1.0, 0.5, 0.0)]
    assert 0.08 < first < 0.13
    assert grown[0] == pytest.approx(first, abs=0.02)
    assert grown == sorted(grown)
    assert 0.08 < dead_ends("hunt_and_kill") < 0.13
    assert 0.27 < dead_ends("kruskal") < dead_ends("prim") < 0.4


def test_binary_trees_open_upwards_or_to_the_left() -> None:
    for seed in range(5):
        doors = doors_of("binary_tree", 9, 12, seed).reshape(9, 12)
        left = np.pad(doors[:, :-1] & mazes.EAST != 0, ((0, 0), (1, 0)))
        up = np.pad(doors[:-1] & mazes.SOUTH != 0, ((1, 0), (0, 0)))
        assert left[0, 1:].all()
        assert up[1:, 0].all()
        assert (left ^ up).sum() == 9 * 12 - 1


def test_sidewinders_have_one_door_up_for_each_run() -> None:
    for seed in range(5):
        doors = doors_of("sidewinder", 9, 12, seed).reshape(9, 12)
        assert (doors[0, :-1] & mazes.EAST != 0).all()
        for row, above in zip(doors[1:], doors[:-1], strict=True):
            run = np.cumsum(np.pad(row[:-1] & mazes.EAST == 0, (1, 0)))
            assert Counter(run[above & mazes.SOUTH != 0].tolist()) == dict.fromkeys(run.tolist(), 1)


def is_divided(right: NDArray[np.bool_], down: NDArray[np.bool_]) -> bool:
    """Whether a chamber is one room wide, or a straight wall with one door halves it into two such chambers."""
    rows, columns = right.shape
    if rows == 1 or columns == 1:
        return bool(right[:, :-1].all() and down[:-1].all())
    for cut in range(1, rows):
        if down[cut - 1].sum() == 1:
            return is_divided(right[:cut], down[:cut]) and is_divided(right[cut:], down[cut:])
    for cut in range(1, columns):
        if right[:, cut - 1].sum() == 1:
            return is_divided(right[:, :cut], down[:, :cut]) and is_divided(right[:, cut:], down[:, cut:])
    return False


def test_recursive_division_is_a_nest_of_walls_with_one_door() -> None:
    def parts(name: str, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        doors = doors_of(name, 8, 11, seed).reshape(8, 11)
        return doors & mazes.EAST != 0, doors & mazes.SOUTH != 0

    assert all(is_divided(*parts("recursive_division", seed)) for seed in range(10))
    assert not is_divided(*parts("depth_first", 0))


@pytest.mark.parametrize("name", PERFECT_NAMES)
def test_braiding_ends_its_share_of_dead_ends(name: str) -> None:
    for seed in range(5):
        maze = open_cells(generate_tiles(name, 22, 31, seed=seed))
        before = len(ends_of(maze))
        for share in (0.25, 0.5, 1.0):
            braided = open_cells(generate_tiles(name, 22, 31, seed=seed, braid=share))
            assert braided > maze
            left = len(ends_of(braided))
            assert before - math.floor(share * before + 0.5) - left in (0, 1)  # a door may end two
    assert not ends_of(open_cells(generate_tiles("braided", 22, 31, seed=0, algorithm=name)))


def test_loops_open_walls_at_random() -> None:
    maze = open_cells(generate_tiles("wilson", 61, 61, seed=2))
    some = open_cells(generate_tiles("wilson", 61, 61, seed=2, loops=0.25))
    every = open_cells(generate_tiles("wilson", 61, 61, seed=2, loops=1.0))
    assert maze < some < every
    assert len(every) == 30 * 30 + 2 * 30 * 29
    assert (len(some) - len(maze)) / (len(every) - len(maze)) == pytest.approx(0.25, abs=0.05)


# --- start and goal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERFECT_NAMES)
def test_the_farthest_ends_are_those_of_the_longest_way(name: str) -> None:
    for shape in ((7, 9), (10, 13)):
        tiles = generate_tiles(name, *shape, seed=4)
        cells = open_cells(tiles)
        start, goal = the(tiles, START), the(tiles, GOAL)
        assert start < goal
        assert walk(cells, start)[goal] == max(max(walk(cells, cell).values()) for cell in cells)


def test_corners_and_random_ends() -> None:
    tiles = generate_tiles("depth_first", 11, 15, seed=0, ends="corners")
    assert (the(tiles, START), the(tiles, GOAL)) == ((1, 1), (9, 13))
    tiles = generate_tiles("random_walls", 11, 15, seed=0, fill=0.9)
    assert (the(tiles, START), the(tiles, GOAL)) == ((0, 0), (10, 14))
    drawn = [generate_tiles("eller", 1, 5, seed=seed, ends="random", border=False) for seed in range(400)]
    found = Counter((the(tiles, START)[1], the(tiles, GOAL)[1]) for tiles in drawn)
    assert len(found) == 20
    assert stats.chisquare(list(found.values())).pvalue > 1e-3


# --- caves, rooms, walls, lakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["caves", "rooms"])
def test_caves_and_rooms_are_one_region(name: str) -> None:
    for seed in range(20):
        cells = open_cells(generate_tiles(name, 30, 40, seed=seed))
        assert len(walk(cells, min(cells))) == len(cells) > 100


def test_caves_follow_the_rule_of_five() -> None:
    walls = random_of(8).generator.random((18, 27)) < 0.45
    for _ in range(2):
        around = np.pad(walls, 1, constant_values=True)
        walls = np.array([[around[r : r + 3, c : c + 3].sum() >= 5 for c in range(27)] for r in range(18)])
    free = {(r + 1, c + 1) for r, c in np.argwhere(~walls).tolist()}
    largest = max((set(walk(free, cell)) for cell in free), key=len)
    assert open_cells(generate_tiles("caves", 20, 29, seed=8, passes=2)) == largest


def test_rooms_have_their_sizes() -> None:
    """Parts have 8 cells a side at most and a room of 3 x 3 at least, so that each 17 x 17 square holds a room."""
    for seed in range(10):
        tiles = generate_tiles("rooms", 40, 60, seed=seed, min_room=3, max_room=8)
        free = tiles != WALL
        blocks = np.lib.stride_tricks.sliding_window_view(free, (3, 3)).all(axis=(2, 3))
        assert blocks.any()
        for r in range(0, 40 - 17 + 1):
            for c in range(0, 60 - 17 + 1):
                assert blocks[r : r + 15, c : c + 15].any()


def test_random_walls_open_as_few_as_they_can() -> None:
    opened = []
    for seed in range(40):
        fill = (0.3, 0.45, 0.6, 0.9)[seed % 4]
        free = random_of(seed).generator.random(9 * 14) >= fill
        expected = fewest_walls(free.reshape(9, 14))
        before = free.copy()
        assert flood.breach(free, 9, 14, 0, 9 * 14 - 1) == expected
        assert free.sum() - before.sum() == expected
        assert (free >= before).all()
        tiles = generate_tiles("random_walls", 9, 14, seed=seed, fill=fill)
        assert np.array_equal((tiles != WALL).ravel(), free)
        opened.append(expected)
    assert 0 in opened
    assert max(opened) > 10


def test_kernels_of_ways_are_the_naive_walk() -> None:
    for seed in range(20):
        grid = np.random.default_rng(seed).random((7, 11)) < 0.6
        cells = {(int(r), int(c)) for r, c in np.argwhere(grid)}
        source = min(cells)
        found = walk(cells, source)
        steps = flood.distances(grid.ravel(), 7, 11, source[0] * 11 + source[1]).reshape(7, 11)
        assert all(steps[r, c] == found.get((r, c), -1) for r in range(7) for c in range(11))
        regions = [set(walk(cells, cell)) for cell in sorted(cells)]
        largest = flood.largest(grid.ravel(), 7, 11).reshape(7, 11)
        assert {(int(r), int(c)) for r, c in np.argwhere(largest)} == max(regions, key=len)
        ways = {cell: sum(to in cells for to in beside(cell)) for cell in cells}
        passage = {cell for cell in cells if ways[cell] == 2}
        longest = max((len(walk(passage, cell)) for cell in passage), default=0)
        junctions = sum(n > 2 for n in ways.values())
        assert flood.corridors(grid.ravel(), 7, 11) == (len(ends_of(cells)), junctions, longest)
    assert not flood.largest(np.zeros(6, np.bool_), 2, 3).any()


@pytest.mark.parametrize(("size", "p"), [(2, 0.8), (4, 0.8), (8, 0.8), (8, 0.6), (5, 0.5), (16, 0.9), (3, 1.0)])
def test_frozen_lakes_are_gymnasiums(size: int, p: float) -> None:
    for seed in range(15):
        spec = rlgrid.random_frozen_lake(size, p, seed)
        assert list(spec.rows) == generate_random_map(size, p, seed)


@pytest.mark.parametrize("slippery", [True, False])
def test_frozen_lakes_behave_as_gymnasiums(slippery: bool) -> None:
    spec = rlgrid.random_frozen_lake(seed=9, is_slippery=slippery)
    theirs: Any = gym.make("FrozenLake-v1", desc=generate_random_map(seed=9), is_slippery=slippery).unwrapped
    table = spec.compile().to_mdp().P
    for state in range(64):
        for action in range(4):
            ours, other = table[state][action], theirs.P[state][action]
            merged = [outcome for outcome in ours if outcome[0] > 0]
            assert [tuple(outcome) for outcome in merged] == [tuple(outcome) for outcome in other]
    assert spec.max_episode_steps == 200


def test_lakes_that_would_be_drawn_for_ever_freeze_over() -> None:
    """Gymnasium's function does not return for these."""
    tiles = generate_tiles("frozen_lake", 6, 6, seed=0, p=0.0)
    assert len(open_cells(tiles)) == 11
    tiles = generate_tiles("frozen_lake", 1, 60, seed=0, p=0.5)
    assert (tiles != HOLE).all()


# --- specs and models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_that_of_the_spec(name: str) -> None:
    spec = rlgrid.generate(name, 10, 13, seed=6)
    from_text = spec.compile()
    model = rlgrid.generate_model(name, 10, 13, seed=6)
    assert [model.kind_of(s) for s in range(130)] == [from_text.kind_of(s) for s in range(130)]
    for field in ("gamma", "actions", "slip", "step_reward", "max_episode_steps", "name", "citation"):
        assert getattr(model, field) == getattr(from_text, field)
    assert np.array_equal(model.start, from_text.start)
    assert GENERATORS[name].citation == spec.citation


def test_large_models_and_the_smallest() -> None:
    model = rlgrid.generate_model("recursive_division", 1201, 1000, seed=1)
    assert model.num_states == 1_201_000
    with pytest.raises(ValueError, match=r"1201 x 1000 cells has more than the 1000000 .* rlgrid.generate_model"):
        rlgrid.generate("recursive_division", 1201, 1000, seed=1)
    assert rlgrid.generate_model("wilson", 1, 1, seed=1).kind_of(0).name == "start"
    assert generate_tiles("caves", 1, 1, seed=1).tolist() == [[START]]
    with pytest.raises(ValueError, match="1 x 1 cell has no room for a goal"):
        rlgrid.generate("wilson", 1, 1)


def test_an_environment_takes_a_generated_map() -> None:
    env = gym.make("rlgrid/GridWorld-v0", map=rlgrid.generate("braided", 9, 9, seed=1))
    state, _ = env.reset(seed=0)
    model: Any = env.unwrapped
    assert state == model.model.start_states[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_generator_says_what_it_makes_and_whose_it_is(name: str) -> None:
    text = GENERATORS[name].make.__doc__ or ""
    assert "Source: " in text
    assert GENERATORS[name].make.__name__ == name


def test_the_page_on_maps_names_every_generator() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "maps.md").read_text(encoding="utf-8")
    table = page.split("## Generated maps")[1].split("\n## ")[0]
    for name, generator in GENERATORS.items():
        assert f"`{name}`" in table
        own = [option for option in generator.options if option not in {"braid", "loops", "border"}]
        assert all(f"`{option}={json.dumps(generator.options[option])}`" in table for option in own)


BAD = [
    (("wilsons", 5, 5), {}, ValueError, "no generator is named 'wilsons': did you mean 'wilson'"),
    ((["prim"], 5, 5), {}, ValueError, "no generator is named"),
    (("prim", 0, 5), {}, ValueError, "height = 0 must be at least 1"),
    (("prim", 5, 2.5), {}, TypeError, "width must be a whole number, not 2.5"),
    (("prim", 5, True), {}, TypeError, "width must be a whole number, not True"),
    (("prim", 65536, 65536), {}, ValueError, "65536 x 65536 cells has more than 2147483647"),
    (("prim", 5, 5), {"seed": -1}, ValueError, "seed = -1 must be at least 0"),
    (("prim", 5, 5), {"seed": "a"}, TypeError, "seed must be a whole number, not 'a'"),
    (("prim", 5, 5), {"ends": "center"}, ValueError, "ends must be one of farthest, corners, random, not 'center'"),
    (("prim", 5, 5), {"brade": 0.5}, TypeError, "'prim' has no option 'brade': did you mean 'braid'"),
    (("frozen_lake", 5, 5), {"braid": 0.5}, TypeError, "'frozen_lake' has no option 'braid': it has p"),
    (("prim", 5, 5), {"braid": 1.5}, ValueError, r"braid = 1.5 is not in \[0, 1\]"),
    (("prim", 5, 5), {"braid": "all"}, TypeError, "braid must be a number from 0 to 1, not 'all'"),
    (("prim", 5, 5), {"loops": math.nan}, ValueError, "loops = nan is not in"),
    (("prim", 5, 5), {"border": 1}, TypeError, "border must be True or False, not 1"),
    (("growing_tree", 5, 5), {"newest": -0.1}, ValueError, "newest = -0.1 is not in"),
    (("braided", 5, 5), {"algorithm": "caves"}, ValueError, "algorithm must be one of depth_first, .*, not 'caves'"),
    (("caves", 5, 5), {"passes": 101}, ValueError, "passes = 101 must be from 0 to 100"),
    (("caves", 5, 5), {"fill": 2}, ValueError, "fill = 2 is not in"),
    (("rooms", 5, 5), {"min_room": 4, "max_room": 7}, ValueError, "max_room = 7 must be at least twice min_room = 4"),
    (("rooms", 5, 5), {"min_room": 0}, ValueError, "min_room = 0 must be at least 1"),
    (("frozen_lake", 5, 5), {"p": -0.5}, ValueError, "p = -0.5 is not in"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    for make in (rlgrid.generate_tiles, rlgrid.generate, rlgrid.generate_model):
        with pytest.raises(error, match=message):
            make(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [((1,), ValueError, "size = 1"), ((4, 2.0), ValueError, "p = 2"), ((4, 0.8, -1), ValueError, "seed = -1")],
)
def test_bad_lakes_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rlgrid.random_frozen_lake(*arguments)


# --- difficulty -----------------------------------------------------------------------------------------------------


def test_difficulty_of_a_map_counted_by_hand() -> None:
    spec = rlgrid.GridSpec(["#######", "#S..#G#", "###.#.#", "#.....#", "#######"], gamma=0.9)
    found = rlgrid.difficulty(spec)
    assert found == rlgrid.difficulty(spec.compile())
    assert found.shortest_path == 8
    assert found.value == pytest.approx(0.9**7, abs=found.value_error)
    assert found.value_error <= 1e-9
    assert (found.dead_ends, found.junctions, found.river) == (3, 1, 3)
    assert found.dead_end_share == 3 / 11
    assert found.free_share == 11 / 35
    assert rlgrid.difficulty(spec, gamma=0.5).value == pytest.approx(0.5**7, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("frozen_lake_4x4", 6, 0.54202593),
        ("cliff_walking", 13, -13.0),
        ("windy_gridworld", 15, -15.0),
        ("dyna_maze", 14, 0.95**13),
        ("sutton_barto_5x5", math.inf, None),
    ],
)
def test_difficulty_of_published_worlds(name: str, path: float, value: float | None) -> None:
    """FrozenLake's value is exact arithmetic's to the digits given; the others are Sutton & Barto's worlds."""
    found = rlgrid.difficulty(rlgrid.GridSpec.builtin(name))
    assert found.shortest_path == path
    if value is not None:
        assert found.value == pytest.approx(value, abs=found.value_error + 5e-9)
    if name == "frozen_lake_4x4":
        assert found.free_share == 12 / 16  # four holes


def test_difficulty_of_several_starts_is_their_mean() -> None:
    spec = rlgrid.GridSpec(["S.G.s"], legend={"s": {"start": 3.0}, "S": {"start": 1.0}}, gamma=0.5)
    found = rlgrid.difficulty(spec.with_changes(rows=["S..G.s"]))
    assert found.shortest_path == 0.25 * 3 + 0.75 * 2
    assert found.value == pytest.approx(0.25 * 0.25 + 0.75 * 0.5, abs=found.value_error)
    assert (found.dead_ends, found.junctions, found.river, found.free_share) == (2, 0, 4, 1.0)


def test_teleports_and_pits_in_difficulty() -> None:
    """T leads on to t, two steps from the goal; the pit is no goal, though it is nearer."""
    spec = rlgrid.GridSpec(["HST#", "####", "t..G"], legend={"T": {"enter_to": "t"}, "t": {}}, gamma=0.9)
    found = rlgrid.difficulty(spec)
    assert found.shortest_path == 4
    assert found.value == pytest.approx(0.9**3, abs=found.value_error)
    assert found.free_share == 6 / 12


def test_longer_mazes_are_harder() -> None:
    short, long = (rlgrid.difficulty(rlgrid.generate(name, 41, 41, seed=0)) for name in ("prim", "depth_first"))
    assert long.shortest_path > 2 * short.shortest_path
    assert long.value < short.value
    assert long.river > short.river
    assert long.dead_ends < short.dead_ends
    for name in PERFECT_NAMES:
        found = rlgrid.difficulty(rlgrid.generate(name, 15, 15, seed=0), gamma=0.9)
        assert found.value == pytest.approx(0.9 ** (found.shortest_path - 1), abs=found.value_error)


def test_difficulty_takes_grids_alone() -> None:
    mdp = rlgrid.GridSpec.builtin("dyna_maze").compile().to_mdp()
    with pytest.raises(TypeError, match="a GridModel or a GridSpec, not MDP"):
        rlgrid.difficulty(mdp)  # type: ignore[arg-type]


GOLDEN = {
    "depth_first": 203562841,
    "prim": 3019769427,
    "kruskal": 2568217970,
    "wilson": 4144429748,
    "aldous_broder": 2746570638,
    "hunt_and_kill": 3684028423,
    "eller": 1162315821,
    "recursive_division": 2391685581,
    "binary_tree": 1727477746,
    "sidewinder": 353346246,
    "growing_tree": 4212232271,
    "braided": 207484479,
    "caves": 1440464471,
    "rooms": 1318515713,
    "random_walls": 1166513470,
    "frozen_lake": 2157739826,
}
