"""Maps that are more than a grid: items and thin walls against a step written out plainly; changes and bases."""

import copy
import pickle
import random
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rlgrid
from rlgrid import MDP, GridModel, GridSpec, MapError, solve, verify
from rlgrid.appearance import appearance_of
from rlgrid.gridmodel import MOVES
from rlgrid.items import MAX_CONFIGURATIONS, MAX_ITEMS, MAX_STATES
from rlgrid.itemworld import ItemWorld, WalledWorld
from rlgrid.layout import cell_of, shape_of, state_at
from rlgrid.mapvalues import DEFAULT_LEGEND
from rlgrid.reach import steps
from rlgrid.thinwalls import mask_of
from rlgrid.window.engine import Engine
from rlgrid.window.places import find_place
from rlgrid.window.scenario import Scenario

CLOCKWISE = ("up", "up-right", "right", "down-right", "down", "down-left", "left", "up-left")
Cell = tuple[int, int]
Changed = frozenset[Any]  # cells of keys, pickups and opened doors; names of switches that are on
State = tuple[int, int, Changed]


# --- a step, as docs/maps.md tells it ---------------------------------------------------------------------------------


class Naive:
    """One step of a map with items and walls between cells, cell by cell."""

    def __init__(self, spec: GridSpec) -> None:
        self.spec = spec
        self.height, self.width = len(spec.rows), len(spec.rows[0])
        self.known = {**DEFAULT_LEGEND, **spec.legend}
        self.cells = [(r, c) for r in range(self.height) for c in range(self.width)]
        self.pickups = {cell for cell in self.cells if self.tile(cell).pickup}

    def tile(self, cell: Cell) -> Any:
        return self.known[self.spec.rows[cell[0]][cell[1]]]

    def place(self, to: Any) -> Cell:
        return (
            next(cell for cell in self.cells if self.spec.rows[cell[0]][cell[1]] == to) if isinstance(to, str) else to
        )

    def inside(self, cell: Cell) -> bool:
        return 0 <= cell[0] < self.height and 0 <= cell[1] < self.width

    def is_wall(self, cell: Cell, changed: Changed) -> bool:
        tile = self.tile(cell)
        if tile.door is None:
            return bool(tile.wall)
        if cell in changed or tile.door in changed:
            return False
        taken = [c for c in self.cells if c in changed and self.tile(c).key == tile.door]
        used = [c for c in self.cells if c in changed and self.tile(c).door == tile.door]
        return len(taken) <= len(used)

    def is_cut(self, a: Cell, b: Cell) -> bool:
        """Whether walls between cells stop a step from a to its neighbour b."""
        if not self.inside(a) or not self.inside(b) or a == b:
            return False
        if a[0] != b[0] and a[1] != b[1]:
            return all(self.is_cut(a, corner) or self.is_cut(corner, b) for corner in ((a[0], b[1]), (b[0], a[1])))
        return tuple(sorted((a, b))) in self.spec.walls

    def stops(self, a: Cell, b: Cell, changed: Changed) -> bool:
        return self.inside(b) and (self.is_wall(b, changed) or self.is_cut(a, b))

    def directions(self, action: str, slip: Any) -> list[tuple[str, float]]:
        if action == "stay":
            return [("stay", 1.0)]
        side = 1 if any("-" in name for name in self.spec.moves) else 2
        at = CLOCKWISE.index(action)
        turns = {"forward": 0, "left": -side, "right": side, "back": 4}
        return [
            (CLOCKWISE[(at + by) % 8], getattr(slip, name)) for name, by in turns.items() if getattr(slip, name) > 0
        ]

    def after(self, cell: Cell, changed: Changed) -> Changed:
        tile = self.tile(cell)
        if tile.switch:
            on = tile.switch in changed
            return changed if on and tile.stays_on else changed ^ {tile.switch}
        if tile.key or tile.pickup or (tile.door and tile.consumes_key):
            return changed | {cell}
        return changed

    def arrive(self, cell: Cell, changed: Changed, direction: str, gust: int) -> tuple[State, float, bool]:
        spec, tile = self.spec, self.tile(cell)
        (down, right), at, bumped = MOVES[direction], cell, False
        to = (at[0] + down, at[1] + right)
        if self.stops(at, to, changed):
            bumped = True
        else:
            at = to
        for strength, by in (
            ((spec.column_wind or [0] * self.width)[cell[1]], (-1, 0)),
            ((spec.row_wind or [0] * self.height)[cell[0]], (0, 1)),
        ):
            total = strength + gust if strength else 0
            for _ in range(abs(total)):
                sign = 1 if total > 0 else -1
                to = (at[0] + sign * by[0], at[1] + sign * by[1])
                if self.stops(at, to, changed):
                    break
                at = to
        bumped |= (down != 0 and not 0 <= at[0] < self.height) or (right != 0 and not 0 <= at[1] < self.width)
        at = (min(max(at[0], 0), self.height - 1), min(max(at[1], 0), self.width - 1))
        if self.is_wall(at, changed):
            at, bumped = cell, True
        return self.rest(cell, at, changed, bumped and at == cell, tile, sent_on=True)

    def rest(
        self, cell: Cell, at: Cell, changed: Changed, bumped: bool, tile: Any, *, sent_on: bool
    ) -> tuple[State, float, bool]:
        spec, there = self.spec, self.tile(at)

        def step_of(kind: Any) -> float:
            return float(spec.step_reward if kind.step_reward is None else kind.step_reward)

        if bumped:
            own = tile.bump_reward if tile.bump_reward is not None else spec.bump_reward
            reward = step_of(tile) if own is None else own
        else:
            reward = step_of(there)
            if at != cell and not (there.pickup and at in changed):
                reward += there.enter_reward
        reward += tile.leave_reward
        if sent_on and at != cell and there.enter_to is not None:
            at = self.place(there.enter_to)
        new = self.after(at, changed) if at != cell else changed
        over = self.spec.ends_when_collected and self.pickups <= new and not self.pickups <= changed
        return (*at, new), reward, bool(self.tile(at).terminal or over)

    def outcomes(self, state: State, action: int) -> list[tuple[float, State, float, bool]]:
        cell, changed = state[:2], state[2]
        tile, spec = self.tile(cell), self.spec
        if tile.terminal or (spec.ends_when_collected and self.pickups <= changed):
            return [(1.0, state, 0.0, True)]
        if tile.leave_to is not None:
            to, reward, ends = self.rest(cell, self.place(tile.leave_to), changed, False, tile, sent_on=False)
            return [(1.0, to, reward, ends)]
        windy = (spec.column_wind or [0] * self.width)[cell[1]] or (spec.row_wind or [0] * self.height)[cell[0]]
        gusts = {g: p for g, p in (spec.gust or {0: 1.0}).items() if p > 0} if windy else {0: 1.0}
        return [
            (p * q, *self.arrive(cell, changed, direction, gust))
            for direction, p in self.directions(spec.moves[action], tile.slip or spec.slip)
            for gust, q in gusts.items()
        ]

    def model(self) -> MDP:
        starts = {(*cell, frozenset()): self.tile(cell).start for cell in self.cells if self.tile(cell).start > 0}
        total = sum(starts.values())
        return MDP.from_function(
            {state: weight / total for state, weight in starts.items()},
            len(self.spec.moves),
            self.outcomes,
            self.spec.gamma,
        )


ITEM_LEGEND: dict[str, Any] = {
    "k": {"key": "red"},
    "D": {"door": "red"},
    "j": {"key": "blue", "enter_reward": 0.25},
    "B": {"door": "blue", "consumes_key": True, "leave_reward": -0.5},
    "s": {"switch": "lever"},
    "L": {"door": "lever"},
    "o": {"switch": "latch", "stays_on": True},
    "O": {"door": "latch", "enter_reward": 0.125},
    "*": {"pickup": "coin", "enter_reward": 2.0},
    "T": {"enter_to": (0, 0), "enter_reward": -1.0},
    "t": {"leave_to": (0, 0), "leave_reward": 1.5},
    "~": {"slip": {"left": 0.25, "back": 0.25}},
}


def random_spec(rng: random.Random, *, items: bool) -> GridSpec | None:
    """A small map with items, or without, and with walls between cells; None where it makes no sense as a task."""
    height, width = rng.randint(1, 4), rng.randint(2, 5)
    letters = "....#~" + ("kkDjjBBsLoO**TtT" if items else "Tt~#")
    rows = [[rng.choice(letters if rng.random() < 0.6 else ".") for _ in range(width)] for _ in range(height)]
    rows[0][0], rows[rng.randrange(height)][rng.randrange(1, width)] = ".", "S"
    if rng.random() < 0.7:
        rows[-1][-1] = "G" if rows[-1][-1] != "S" else "S"
    pairs = [((r, c), (r, c + 1)) for r in range(height) for c in range(width - 1)]
    pairs += [((r, c), (r + 1, c)) for r in range(height - 1) for c in range(width)]
    walls = [pair for pair in pairs if rng.random() < 0.15] if not items or rng.random() < 0.5 else []
    legend = {c: given for c, given in ITEM_LEGEND.items() if items or c in "Tt~"}
    wind = lambda size: [rng.choice((0, 0, 1, -1, 2)) for _ in range(size)]  # noqa: E731
    settings: dict[str, Any] = {
        "legend": legend,
        "walls": walls,
        "moves": rng.choice((4, 4, 5, 8, 9)),
        "slip": rng.choice(({}, {"left": 0.125, "right": 0.25}, {"back": 0.5})),
        "step_reward": rng.choice((0.0, -1.0)),
        "bump_reward": rng.choice((None, -3.0)),
        "gamma": 0.75,
    }
    if rng.random() < 0.3:
        settings |= {"column_wind": wind(width), "row_wind": wind(height)}
        if any(settings["column_wind"]) or any(settings["row_wind"]):
            settings["gust"] = rng.choice((None, {-1: 0.5, 1: 0.5}))
    text = ["".join(row) for row in rows]
    if items and any("*" in row for row in text) and rng.random() < 0.3:
        settings["ends_when_collected"] = True
    try:
        return GridSpec(text, **settings)
    except MapError:
        return None


def label_of(naive: Naive, model: ItemWorld, state: State) -> tuple[int, int, tuple[str, ...]]:
    """A state of the plain form by the names of the model."""
    names: set[str] = set()
    for part in state[2]:
        if isinstance(part, str):
            names.add(part)
            continue
        tile = naive.tile(part)
        base = f"{tile.door}_door" if tile.door else tile.item
        names.add(base if base in model.items else f"{base}_{part[0]}_{part[1]}")
    return state[0], state[1], tuple(name for name in model.items if name in names)


def distribution(run: list[Any], name: Any) -> dict[Any, tuple[float, float]]:
    """{(next state, ends): (probability, expected reward)} of a list of outcomes."""
    result: dict[Any, tuple[float, float]] = {}
    for p, to, reward, ends in run:
        mass, paid = result.get((name(to), ends), (0.0, 0.0))
        result[name(to), ends] = mass + p, paid + p * reward
    return result


def same(found: dict[Any, tuple[float, float]], wanted: dict[Any, tuple[float, float]]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[key] == pytest.approx(pair, abs=1e-12) for key, pair in wanted.items()
    )


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_items_against_a_step_written_out_plainly(seed: int) -> None:
    """The same states are reached, and every action has the same outcomes in each of them."""
    rng = random.Random(seed)
    compared = several = 0
    while compared < 40:
        spec = random_spec(rng, items=True)
        if spec is None or not isinstance(model := spec.compile(), ItemWorld):
            continue
        naive = Naive(spec)
        plain = naive.model()
        assert plain.states is not None
        assert model.states is not None
        labels = [label_of(naive, model, state) for state in plain.states]  # type: ignore[arg-type]
        assert set(labels) == set(model.states)
        assert len(set(model.states)) == model.num_states
        for s, label in enumerate(labels):
            t = model.state_of(*label[:2], **dict.fromkeys(label[2], True))
            assert model.states[t] == label
            assert (model.cell_of(t), model.items_of(t)) == (label[:2], label[2])
            for a in range(model.num_actions):
                wanted = distribution(plain.P[s][a], lambda to, labels=labels: labels[to])
                found = distribution(model.P[t][a], lambda to, model=model: model.states[to])
                assert same(found, wanted), (spec.dump(), label, a)
        start = {model.states[t]: p for t, p in zip(model.start_states, model.start_probability, strict=True)}
        wanted_start = zip(plain.start_states, plain.start_probability, strict=True)
        assert start == pytest.approx({labels[s]: p for s, p in wanted_start})
        compared += 1
        several += model.configurations > 2
    assert several >= 10


@pytest.mark.parametrize("seed", range(3))
def test_thin_walls_against_a_step_written_out_plainly(seed: int) -> None:
    """Every outcome in order of the cells, rewards and ends included; and what can be reached agrees with it."""
    rng = random.Random(100 + seed)
    compared = 0
    while compared < 40:
        spec = random_spec(rng, items=False)
        if spec is None or not isinstance(model := spec.compile(), WalledWorld):
            continue
        naive = Naive(spec)
        width = naive.width
        assert model.shape == (naive.height, width)
        found = set()
        for s in range(model.num_states):
            if naive.is_wall(model.cell_of(s), frozenset()):
                continue
            for a in range(model.num_actions):
                run = naive.outcomes((*model.cell_of(s), frozenset()), a)
                wanted = distribution(run, lambda to, width=width: to[0] * width + to[1])
                assert same(distribution(model.P[s][a], int), wanted), (spec.dump(), s, a)
                found |= {(s, to) for _, to, _, _ in model.P[s][a] if to != s}
        origin, to = steps(model.grid, model.thin_walls)
        assert set(zip(origin.tolist(), to.tolist(), strict=True)) == found
        compared += 1


def test_a_step_written_out_plainly_is_that_of_plain_grids() -> None:
    """The oracle itself: without items and walls it has the outcomes of the grid model."""
    rng = random.Random(7)
    compared = 0
    while compared < 30:
        spec = random_spec(rng, items=False)
        if spec is None:
            continue
        spec = spec.with_changes(walls=None)
        model, naive = spec.compile(), Naive(spec)
        assert isinstance(model, GridModel)
        for s in range(model.num_states):
            if not model.walls[s]:
                for a in range(model.num_actions):
                    run = naive.outcomes((*model.cell_of(s), frozenset()), a)
                    wanted = distribution(run, lambda to, model=model: model.state_of(*to[:2]))
                    assert same(distribution(model.P[s][a], int), wanted)
        compared += 1


# --- worlds whose optimum is known ------------------------------------------------------------------------------------


def shortest(spec: GridSpec) -> int:
    """Steps from the one start to an end, by a search over the step written out plainly."""
    naive = Naive(spec)
    (start,) = [(*cell, frozenset[Any]()) for cell in naive.cells if naive.tile(cell).start]
    level, seen, count = [start], {start}, 0
    while level:
        count += 1
        following = []
        for state in level:
            for a in range(len(spec.moves)):
                for _, to, _, ends in naive.outcomes(state, a):
                    if ends:
                        return count
                    if to not in seen:
                        seen.add(to)
                        following.append(to)
        level = following
    raise AssertionError("no end can be reached")


def test_key_and_door() -> None:
    """4 steps to the key, 6 back to the upper passage, 8 through the door to the goal; the last one pays 1."""
    spec = GridSpec.builtin("key_door")
    model = spec.compile()
    assert isinstance(model, ItemWorld)
    assert shortest(spec) == 18
    solution = solve(model, tolerance=1e-12)
    assert solution.converged
    assert verify(model, solution)
    (start,) = model.start_states
    assert solution.values[start] == pytest.approx(0.95**17, abs=1e-12)
    assert solution.lower[start] <= 0.95**17 <= solution.upper[start]
    assert (model.map_shape, model.items, model.configurations) == ((5, 9), ("brass",), 2)
    left, right, door = 2 * 5 + 11, 3 * 5, 1  # free cells: left of the door's wall, right of it, the door
    assert model.num_states == (left - 1) + (left + right + door)  # without the key nobody stands on its cell
    assert model.state_of(2, 5, brass=True) == model.state_of((2, 5, ("brass",)))
    for where in ((2, 5, {}), (4, 0, {}), (0, 5, {"brass": True}), (9, 9, {}), (-1, 0, {})):
        with pytest.raises(ValueError, match=r"with (brass|nothing) on cannot be reached from a start"):
            model.state_of(*where[:2], **where[2])
    with pytest.raises(ValueError, match="the map has no item 'bras': did you mean 'brass'"):
        model.state_of(0, 0, bras=True)
    with pytest.raises(TypeError, match="takes a row, a column and items by name"):
        model.state_of(0, brass=True)


def test_all_goals_must_be_visited() -> None:
    """The shortest tour of four stars, by trying every order."""
    stars = ["*...*", ".....", ".S...", "*...*"]
    spec = GridSpec(stars, legend={"*": {"pickup": "star"}}, step_reward=-1.0, gamma=1.0, ends_when_collected=True)
    at = [(r, c) for r, row in enumerate(stars) for c, character in enumerate(row) if character == "*"]
    tours = [((2, 1), *order) for order in permutations(at)]
    length = min(sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(tour)) for tour in tours)
    model = spec.compile()
    solution = solve(model, tolerance=1e-9)
    assert solution.values[model.start_states[0]] == pytest.approx(-length, abs=1e-9)
    assert isinstance(model, ItemWorld)
    assert model.configurations == 16
    over = [s for s in range(model.num_states) if len(model.items_of(s)) == 4]
    assert sorted(model.cell_of(s) for s in over) == at  # the end is in the cell of the last star, wherever that is
    assert model.absorbing[over].all()


def key_and_door(*, consumes: bool) -> dict[str, Any]:
    return {"k": {"key": "red"}, "D": {"door": "red", "consumes_key": consumes}}


def test_a_pickup_pays_once_and_a_key_that_is_used_up_opens_one_door() -> None:
    assert shortest(GridSpec("S.k.D.DG", legend=key_and_door(consumes=False))) == 7
    with pytest.raises(MapError, match="no start can reach 'G' at row 0, column 7, nor any"):
        GridSpec("S.k.D.DG", legend=key_and_door(consumes=True))
    legend = {"*": {"pickup": "coin", "enter_reward": 1}, **key_and_door(consumes=True)}
    model = GridSpec("Sk*kD.DG", legend=legend).compile()
    assert isinstance(model, ItemWorld)
    assert sorted(model.items) == ["coin", "red_0_1", "red_0_3", "red_door_0_4", "red_door_0_6"]
    value = solve(model, tolerance=1e-10).values[model.start_states[0]]
    assert value == pytest.approx(0.99 + 0.99**6, abs=1e-10)
    opened = model.state_of(0, 5, coin=True, red_0_1=True, red_0_3=True, red_door_0_4=True)
    assert model.P[opened][1][0][1] == model.state_of(0, 6, **dict.fromkeys(model.items, True))


def test_a_switch_closes_its_door_again_unless_it_stays_on() -> None:
    rows, legend = ["S.sDG"], {"s": {"switch": "lever"}, "D": {"door": "lever"}}
    model = GridSpec(rows, legend=legend).compile()
    assert isinstance(model, ItemWorld)
    turned = model.state_of(0, 2, lever=True)
    assert model.P[turned][1][0][1] == model.state_of(0, 3, lever=True)
    aside = model.P[turned][3][0][1]
    assert model.states is not None
    assert model.states[aside] == (0, 1, ("lever",))
    assert model.states[model.P[aside][1][0][1]] == (0, 2, ())
    legend["s"]["stays_on"] = True  # type: ignore[assignment]
    stays = GridSpec(rows, legend=legend).compile()
    assert isinstance(stays, ItemWorld)
    assert stays.P[stays.state_of(0, 1, lever=True)][1][0][1] == stays.state_of(0, 2, lever=True)


def test_the_streets_of_taxi_are_gymnasiums() -> None:
    env: Any = gym.make("Taxi-v3" if "Taxi-v3" in gym.registry else "Taxi-v4")
    walls = ". .|. . .\n\n. .|. . .\n\n. . . . .\n\n.|. .|. .\n\n.|. .|. .\n"
    spec = GridSpec(["S....", *["....."] * 4], walls=walls, moves=["down", "up", "right", "left"], step_reward=-1)
    model = spec.compile()
    assert isinstance(model, WalledWorld)
    for cell in range(25):
        for a in range(4):
            ((_, to, reward, _),) = env.unwrapped.P[cell * 20 + 1][a]
            assert model.P[cell][a] == [(1.0, to // 20, reward, False)]
    assert model.text(6) == " S .|. . .\n .[.]. . .\n . . . . .\n .|. .|. .\n .|. .|. .\n"


@pytest.mark.parametrize(
    ("name", "at", "before", "after"), [("blocking_maze", 1000, 10, 16), ("shortcut_maze", 3000, 16, 10)]
)
def test_mazes_that_change(name: str, at: int, before: int, after: int) -> None:
    """Sutton & Barto, Examples 8.2 and 8.3: the shortest ways before and after the walls move."""
    spec = GridSpec.builtin(name)
    assert [change.at for change in spec.changes] == [at]
    for step, length in ((0, before), (at - 1, before), (at, after), (10 * at, after)):
        model = spec.at(step)
        assert isinstance(model, GridModel)
        assert model is spec.compile(at=step)
        assert [model.cell_of(s) for s in model.start_states] == [(5, 3)]
        solution = solve(model, tolerance=1e-12)
        assert solution.values[model.start_states[0]] == pytest.approx(0.95 ** (length - 1), abs=1e-12)
    walls = [{model.cell_of(s)[1] for s in np.flatnonzero(model.walls)} for model in map(spec.at, (0, at))]
    gaps = {"blocking_maze": ({8}, {0}), "shortcut_maze": ({0}, {0, 8})}[name]
    assert walls == [set(range(9)) - gap for gap in gaps]
    with pytest.raises(ValueError, match="at is a step, a whole number from 0 on, not -1"):
        spec.at(-1)


# --- simulated and drawn ----------------------------------------------------------------------------------------------


def test_an_item_world_is_simulated_and_drawn() -> None:
    spec = GridSpec.builtin("key_door").with_changes(slip={"left": 0.25})
    env: Any = gym.make("rlgrid/GridWorld-v0", map=spec, render_mode="rgb_array")
    check_env(env.unwrapped, skip_render_check=True)
    model = env.unwrapped.model
    policy = solve(model).policy
    total, (state, _) = 0.0, env.reset(seed=3)
    seen = {state}
    for _ in range(400):
        to, reward, ended, cut, info = env.step(int(policy[state]))
        row = model.P[state][int(policy[state])]
        assert any((to, reward, ended) == (other, r, e) and info["prob"] == p for p, other, r, e in row)
        seen.add(to)
        total, state = total + reward, env.reset()[0] if ended or cut else to
    assert total > 5
    assert any(model.items_of(s) == ("brass",) for s in seen)
    assert env.render().shape == (5 * 48, 9 * 48, 3)
    copied = pickle.loads(pickle.dumps(env.unwrapped))
    assert copied.model.states == model.states
    many: Any = gym.make_vec("rlgrid/GridWorld-v0", num_envs=2, map=spec, render_mode="rgb_array")
    many.reset(seed=0)
    many.step(np.array([1, 2]))
    assert all(frame.shape == (5 * 48, 9 * 48, 3) for frame in many.render())
    text: Any = gym.make("rlgrid/GridWorld-v0", map=spec, render_mode="ansi")
    text.reset(seed=0, options={"state": model.state_of(2, 5, brass=True)})
    assert text.render() == (
        "row 2, column 5, brass on\n S . . . . # . . .\n . . # . . # . . .\n . . # . .[D]. . G\n"
        " . . # . . # . . .\n . . # . . # . . .\n"
    )
    text.close()


def test_the_window_finds_item_worlds_and_bases(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(GridSpec.builtin("key_door").dump())
    (tmp_path / "own.toml").write_text("base = 'base.toml'\ngamma = 0.9\n")
    place = find_place(str(tmp_path / "own.toml"))
    engine = Engine(Scenario(world=str(tmp_path / "own.toml"), map_text=place.map_text))
    assert engine.model.num_states == place.model.num_states == 57
    assert engine.model.gamma == 0.9
    assert find_place("key_door").model.num_states == 57


def test_whole_tables_are_drawn_with_a_panel_for_each_set_of_items() -> None:
    model = GridSpec.builtin("key_door").compile()
    assert isinstance(model, ItemWorld)
    assert model.sheet is not None
    sheet, cells = model.sheet
    assert sheet.shape in {(11, 9), (5, 19)}
    assert np.unique(cells).size == model.num_states
    values = np.arange(1.0, model.num_states + 1)
    spread = np.full(sheet.num_states, np.nan)
    spread[cells] = values
    frame = rlgrid.draw(model, values=values, agent=0, path=[0, 1], selected=1, visits=np.ones(model.num_states, int))
    drawn = rlgrid.draw(sheet, spread, agent=int(cells[0]), path=cells[:2].tolist(), selected=int(cells[1]))
    assert (frame == drawn).all()
    assert shape_of(model) == sheet.shape
    for state in (0, 25, model.num_states - 1):
        assert cell_of(model, state) == divmod(int(cells[state]), sheet.shape[1])
        assert state_at(model, *cell_of(model, state)) == state
    assert state_at(model, 4, 0) is None  # nobody stands beside the key without taking it
    assert appearance_of(model).directions == ((-1, 0), (0, 1), (1, 0), (0, -1))
    policy, q_values = np.zeros(model.num_states, int), np.zeros((model.num_states, 4))
    for tables in ({"policy": policy}, {"q_values": q_values}, {"policy": q_values > 0}, {"flash": values / 99}):
        assert rlgrid.draw(model, **tables).shape == frame.shape
    coins = GridSpec(["S......G", "*" * 8], legend={"*": {"pickup": "coin"}}).compile()
    assert isinstance(coins, ItemWorld)
    assert coins.configurations > 64
    assert coins.sheet is None
    assert rlgrid.draw(coins, values=np.ones(coins.num_states)).ndim == 3  # too many panels: an array of states


def test_thin_walls_are_drawn() -> None:
    spec = GridSpec(["S..", "..G"], walls=[((0, 0), (0, 1)), ((0, 1), (1, 1))])
    model, plain = spec.compile(), spec.with_changes(walls=None).compile()
    there = (rlgrid.draw(model, cell_size=24) != rlgrid.draw(plain, cell_size=24)).any(axis=2)
    rows, columns = np.nonzero(there)
    assert (rows.min(), rows.max()) in {(0, 25), (0, 24)}
    assert columns.min() == 24 - 1
    assert columns.max() <= 48 + 2
    env: Any = gym.make("rlgrid/GridWorld-v0", map=spec, render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "[S]. .\n   -\n . . G\n"
    env.close()


# --- errors, with their places ----------------------------------------------------------------------------------------

HEAD = "map = '''\nS.k\n.DG\n'''\n"
LEGEND = "[legend]\nk = { key = 'red' }\nD = { door = 'red' }\n"

ERRORS: list[tuple[str, int, int, str]] = [
    ("map = 'S.G'\nwalls = 3", 2, 9, "walls must be text or pairs of cells, not 3"),
    ("map = 'S.G'\nwalls = '. .|. .'", 2, 16, "line 0, character 6 of walls is outside the map: 1 x 3 cells and the"),
    ("map = 'S.G'\nwalls = '''\n. .-.\n'''", 3, 4, "line 0, character 3 of walls is '-', but it is a border betwe"),
    ("map = 'S.G'\nwalls = '''\n. #|.\n'''", 3, 3, "line 0, character 2 of walls is a cell, not '#': write '.' th"),
    ("map = ['S.', '.G']\nwalls = ['. .', '-|']", 2, 19, "line 1, character 1 of walls is '|', but it is a corner"),
    ("map = 'S.G'\nwalls = [[[0, 0], [0, 2]]]", 2, 10, "walls.0: (0, 0) and (0, 2) are not neighbours in a row or"),
    ("map = 'S.G'\nwalls = [[[0, 0], [0, 3]]]", 2, 23, "walls.0.1.1 = 3 must be a whole number from 0 to 2"),
    ("map = 'S.G'\nwalls = [3]", 2, 10, "walls.0 must be two cells such as [[0, 1], [0, 2]], not 3"),
    ("map = 'S.G'\nwalls = '. .|.'", 1, 10, "no start can reach 'G' at row 0, column 2, nor any other end"),
    (HEAD + "[legend]\nk = { key = 'red' }\nD = { wall = true }", 6, 13, "legend.k.key: no door has the name 'red'"),
    (HEAD + LEGEND.replace("door = 'red'", "door = 'rod'"), 6, 13, "no door has the name 'red': did you mean 'rod'?"),
    (HEAD + "[legend]\nD = { door = 'red' }\nk = {}", 6, 14, "legend.D.door: no key or switch has the name 'red'"),
    (HEAD + LEGEND.replace("'red'", "'a b'"), 6, 13, "legend.k.key = 'a b' must be a name of letters, digits and _"),
    (HEAD + LEGEND.replace("'red'", "'row'"), 6, 13, "legend.k.key = 'row' must be a name"),
    (HEAD + LEGEND.replace("'red' }", "3 }"), 6, 13, 'legend.k.key must be text in "quotes", not 3'),
    (HEAD + LEGEND + "x = { lock = 'red' }", 8, 7, "unknown key 'lock' in legend.x: did you mean 'door'?"),
    (HEAD + LEGEND + "x = { kee = 'red' }", 8, 7, "unknown key 'kee' in legend.x: did you mean 'key'?"),
    (HEAD + LEGEND + "x = { key = 'red', door = 'red' }", 8, 20, "legend.x.door: a tile is a key or a door, not both"),
    (HEAD + LEGEND + "x = { key = 'red', start = 1 }", 8, 20, "legend.x.start has no meaning: an item acts when it is"),
    (HEAD + LEGEND + "x = { key = 'red', enter_to = [0, 0] }", 8, 20, "legend.x.enter_to has no meaning: an item acts"),
    (
        HEAD + LEGEND + "x = { door = 'red', start = 1 }",
        8,
        21,
        "legend.x.start has no meaning: a door is a wall at first",
    ),
    (HEAD + LEGEND + "x = { terminal = true, key = 'red' }", 8, 24, "legend.x.key has no meaning: an episode ends in"),
    (HEAD + LEGEND + "x = { consumes_key = true }", 8, 7, "legend.x.consumes_key has no meaning: it belongs to a door"),
    (HEAD + LEGEND + "x = { stays_on = 1 }", 8, 18, "legend.x.stays_on must be true or false, not 1"),
    (HEAD + LEGEND + "x = { pickup = 'red' }", 8, 16, "'red' is a key and a pickup: give them different names"),
    (
        HEAD + LEGEND + "x = { enter_to = 'k' }",
        8,
        18,
        "legend.x.enter_to leads to a key, at row 0, column 2: name a pl",
    ),
    (HEAD + LEGEND + "x = { leave_to = 'D' }", 8, 18, "legend.x.leave_to leads to a door, at row 1, column 1"),
    (
        HEAD + "[legend]\nk = { switch = 'red' }\nD = { door = 'red', consumes_key = true }",
        *(7, 7, "legend.D.door: 'red' is a switch, which cannot be consumed"),
    ),
    (
        HEAD + "[legend]\nk = { switch = 'a' }\nD = { door = 'a' }\nx = { switch = 'a', stays_on = true }",
        *(6, 5, "the switch stays on in one entry and not in another: write the same in both"),
    ),
    ("ends_when_collected = true\n" + HEAD + LEGEND, 1, 23, "the map has no pickups: write a tile with pickup"),
    ("ends_when_collected = 1\n" + HEAD + LEGEND, 1, 23, "ends_when_collected must be true or false, not 1"),
    (
        "ends_when_collected = true\nmap = 'S.#*'\n[legend]\n'*' = { pickup = 'coin' }",
        *(2, 8, "from the start 'S' at row 0, column 0 the pickups cannot all be reached"),
    ),
    ("map = '''\nSD#k\n.#G.\n'''\n" + LEGEND, 3, 3, "no start can reach 'G' at row 1, column 2, nor any other end"),
    ("map = '''\nSDk\n###\n'''\n" + LEGEND, 2, 1, "the start 'S' at row 0, column 0 is walled in, no action leaves"),
    ("map = '''\nSD.kG\n.#.H#\n'''\n" + LEGEND, 2, 5, "no start can reach 'G' at row 0, column 4, nor any other"),
    ("map = '''\nS.DkG\nH####\n'''\n" + LEGEND, 2, 5, "no start can reach the goal 'G' at row 0, column 4: open"),
    (
        "map = '''\nT.#.TkD\nG.#.###\n'''\n" + LEGEND + "T = { start = 1 }",
        *(2, 5, "from the start 'T' at row 0, column 4 no end of the episode can be reached"),
    ),
    # changes
    ("map = 'S.G'\nchange = 3", 2, 10, "change must be tables, not 3: write [[change]] on its own line"),
    ("map = 'S.G'\n[[change]]\nat = 3", 2, 3, "change.0 has no map: write the first step, at, and the map from"),
    ("map = 'S.G'\n[[change]]\nat = 0\nmap = 'S.G'", 3, 6, "change.0.at = 0 must be a whole number from 1 to"),
    (
        "map = 'S.G'\n[[change]]\nat = 3\nmap = 'S.G'\nmop = 1",
        5,
        1,
        "unknown key 'mop' in change.0: did you mean 'map'?",
    ),
    (
        "map = 'S.G'\n[[change]]\nat = 3\nmap = 'S..G'",
        4,
        7,
        "from step 3 on: the map has 1 x 4 cells, the first one 1 x 3",
    ),
    ("map = 'S.G'\n[[change]]\nat = 3\nmap = '''\nS#G'''", 5, 1, "from step 3 on: the start 'S' at row 0, column 0"),
    (
        "map = 'S.G'\n[[change]]\nat = 3\nmap = 'SG.'\n[[change]]\nat = 3\nmap = 'S.G'",
        *(6, 6, "change.1.at = 3: changes stand in the order of their steps"),
    ),
    (
        HEAD + LEGEND + "[[change]]\nat = 1\nmap = ['S.k', '.DG']",
        8,
        3,
        "a world with keys, doors, switches or pickups can",
    ),
    # bases
    ("base = 3", 1, 8, 'base must name a map file, such as base = "other.toml", not 3'),
    ("base = 'absent.toml'", 1, 8, "base: there is no map file 'absent.toml': paths are relative to the folder of"),
    ("map = 'S.G'\nimport = 'x.toml'", 2, 1, "unknown key 'import': did you mean 'base'?"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors_name_the_place_and_the_remedy(
    text: str, line: int, column: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MapError) as caught:
        GridSpec.parse(text)
    assert message in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


def test_limits_of_items_are_named() -> None:
    coins = {"*": {"pickup": "coin"}}
    with pytest.raises(MapError, match=f"the map has more than {MAX_ITEMS} items"):
        GridSpec(["S" + "*" * 65], legend=coins)
    with pytest.raises(MapError, match=f"more than {MAX_STATES} states of position and items: leave out some keys"):
        GridSpec(["S" + "." * 299, *["." * 300] * 99, "*" * 6 + "." * 294], legend=coins)
    with pytest.raises(MapError, match=f"more than {MAX_CONFIGURATIONS} sets of items: leave out some keys"):
        GridSpec(["S......", "*******", "*******", "*******"], legend=coins)
    with pytest.raises(MapError, match="a map with items has at most 100000 cells, this one has 100172"):
        GridSpec(["S*" + "." * 314, *["." * 316] * 316], legend=coins)
    with pytest.raises(MapError, match="two items would be called 'red_door': rename one of them"):
        GridSpec("SkDs", legend={**key_and_door(consumes=True), "s": {"pickup": "red_door"}})


# --- texts that go round ----------------------------------------------------------------------------------------------

COMMENTED = """\
# a world with everything
gamma = 0.9   # patient
map = '''
S.k*
.#D.
...G
'''
# one wall
walls = '''
. . .|.
'''

[legend]
k = { key = "red" }      # the key
D = { door = "red", consumes_key = true }
"*" = { pickup = "coin", enter_reward = 2 }  # gold
"""

CHANGING = """\
# a maze
map = '''
S.G
#..
'''

# later
[[change]]
at = 10   # soon
map = [
  "S.G",  # as before
  "..#",
]
"""


def test_changes_of_items_and_walls_keep_the_text_around_them() -> None:
    spec = GridSpec.parse(COMMENTED)
    assert spec.dump() == COMMENTED
    assert spec.walls == (((0, 2), (0, 3)),)
    changed = spec.with_changes(walls=[[(0, 0), (0, 1)]], ends_when_collected=True)
    text = COMMENTED.replace(". . .|.\n", ".|. . .\n\n. . . .\n\n. . . .\n")
    assert changed.dump() == text.replace("# patient\n", "# patient\nends_when_collected = true\n")
    assert GridSpec.parse(changed.dump()) == changed
    legend = dict(spec.legend)
    legend["D"] = {"door": "red"}  # type: ignore[assignment]
    other = spec.with_changes(legend=legend, walls=None)
    assert GridSpec.parse(other.dump()) == other
    assert "# gold" in other.dump()
    changing = GridSpec.parse(CHANGING)
    assert changing.dump() == CHANGING
    later = changing.with_changes(gamma=0.5)
    assert later.dump() == CHANGING.replace("# a maze\n", "# a maze\ngamma = 0.5\n")
    more = changing.with_changes(changes=[*changing.changes, {"at": 20, "map": ["S.G", "..."], "walls": ". .|."}])
    assert GridSpec.parse(more.dump()) == more
    assert more.dump().startswith("# a maze\nmap = '''\nS.G")
    assert more.changes[1].walls == (((0, 1), (0, 2)),)
    assert isinstance(more.at(20), WalledWorld)
    assert isinstance(more.at(19), GridModel)
    none = more.with_changes(changes=())
    assert GridSpec.parse(none.dump()) == none


def test_any_world_goes_round() -> None:
    rng = random.Random(11)
    base = GridSpec.parse(COMMENTED)
    done = 0
    while done < 60:
        spec = random_spec(rng, items=done % 2 == 0)
        if spec is None:
            continue
        if spec._items is None and rng.random() < 0.5:
            changes = [{"at": 5, "map": spec.rows}, {"at": 9, "map": spec.rows, "walls": [*spec.walls[:-1]]}]
            try:
                spec = spec.with_changes(changes=changes)
            except MapError:  # without the last wall, the wind carries the agent past its goal
                continue
        parsed = GridSpec.parse(spec.dump())
        assert parsed == spec
        assert parsed.dump() == spec.dump()
        assert parsed.compile().P == spec.compile().P
        settings = {name: getattr(spec, name) for name in ("rows", "legend", "moves", "slip", "walls", "gamma")}
        settings |= {
            name: getattr(spec, name) for name in ("column_wind", "row_wind", "gust", "step_reward", "changes")
        }
        settings |= {"bump_reward": spec.bump_reward, "ends_when_collected": spec.ends_when_collected}
        changed = base.with_changes(**settings)
        assert changed == spec
        assert GridSpec.parse(changed.dump()) == spec
        assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == spec
        done += 1


def test_walls_may_be_drawn_or_listed() -> None:
    drawn = GridSpec.parse("map = ['S.', '.G']\nwalls = '''\nS|.\n -\n.\n'''".replace(" -", "  -"))
    listed = GridSpec.parse("map = ['S.', '.G']\nwalls = [[[0, 1], [0, 0]], [[0, 1], [1, 1]], [[0, 0], [0, 1]]]")
    assert drawn == listed
    assert drawn.walls == (((0, 0), (0, 1)), ((0, 1), (1, 1)))
    mask = mask_of(drawn.walls, 2, 2)
    assert mask is not None
    assert mask.tolist() == [1, 2, 0, 0]
    plain = GridSpec.parse("map = ['S.', '.G']\nwalls = ''")
    assert isinstance(plain.compile(), GridModel)
    with pytest.raises(ValueError, match=r"thin_walls must be uint8 \[4\], not int64 \(4,\)"):
        plain.compile().to_mdp(np.zeros(4, np.int64))  # type: ignore[call-arg]


# --- bases ------------------------------------------------------------------------------------------------------------


def test_a_base_is_extended_and_overridden(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    base, own, third = tmp_path / "base.toml", tmp_path / "maps" / "own.toml", tmp_path / "maps" / "third.toml"
    base.write_text(
        "gamma = 0.5\nslip = { left = 0.1 }\nmap = 'S~xG'\n[legend]\n'~' = { enter_reward = 1 }\nx = {}\n"
        "[wind]\nrows = [1]\ngust = { 0 = 0.5, 1 = 0.5 }\n"
    )
    text = "# mine\nbase = '../base.toml'  # below\nslip = { right = 0.2 }\n[legend]\nx = { step_reward = -1 }\n"
    text += "[wind]\nrows = [2]\n"
    own.write_text(text)
    third.write_text("base = 'own.toml'\nmap = 'Sx~.G'\ngamma = 1\n")
    spec = GridSpec.load(own)
    assert (spec.gamma, spec.rows, spec.row_wind, spec.gust) == (0.5, ("S~xG",), (2,), {0: 0.5, 1: 0.5})
    assert (spec.slip.left, spec.slip.right) == (0.0, 0.2)
    assert (spec.legend["~"].enter_reward, spec.legend["x"].step_reward) == (1.0, -1.0)
    assert spec.dump() == text
    assert (GridSpec.load(third).rows, GridSpec.load(third).slip.right) == (("Sx~.G",), 0.2)
    changed = spec.with_changes(gamma=0.75, slip={})
    assert (
        changed.dump()
        == text.replace("# below\n", "# below\ngamma = 0.75\n").replace("{ right = 0.2 }", "{ forward = 1.0 }")
        or GridSpec.parse(changed.dump(), str(own)) == changed
    )
    assert "base = " not in spec.with_changes(rows=["S~x.G"]).dump()  # the map is another file's: written whole
    spec.save(tmp_path / "maps" / "copy.toml")
    assert (tmp_path / "maps" / "copy.toml").read_text() == text
    (tmp_path / "away").mkdir()
    spec.save(tmp_path / "away" / "copy.toml")  # base.toml is one folder up from there as well
    assert GridSpec.load(tmp_path / "away" / "copy.toml") == spec
    spec.save(tmp_path / "copy.toml")
    assert GridSpec.load(tmp_path / "copy.toml") == spec
    assert "base" not in (tmp_path / "copy.toml").read_text()
    env: Any = gym.make("rlgrid/GridWorld-v0", map=str(third))
    assert env.unwrapped.model.num_states == 5


def test_errors_of_bases_name_the_file(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a.toml", "b.toml", "c.toml")]
    a, b, c = names
    a.write_text("base = 'b.toml'\ngamma = 0.5\n[legend]\nx = {}\n")
    b.write_text("# b\nbase = 'c.toml'\n")
    c.write_text("map = '''\nS.\n?G\n'''\n")
    cases = (
        (c, None, r"c\.toml, line 3, column 1: unknown character '\?'"),
        (c, "map = 'S.G'\ngamma = 7\nslip = 3", r"c\.toml, line 3, column 8: slip must be a table"),
        (c, "map = 'S.G'\n[legend]\nG = { enter_to = 'q' }", r"c\.toml, line 3, column 18: legend\.G\.enter_to"),
        (c, "map = 'S.G'\ngama = 1", r"c\.toml, line 2, column 1: unknown key 'gama'"),
        (c, "map = ", r"c\.toml, line 1, column 7: not TOML"),
        (c, "gamma = 1", r"a\.toml, line 1, column 1: there is no map"),
        (
            c,
            "base = 'a.toml'",
            r"c\.toml, line 1, column 8: base: the files are each other's base \(a.toml -> b.toml -> ",
        ),
        (b, "base = 'd.toml'", r"b\.toml, line 1, column 8: base: there is no map file '.*d\.toml': did you mean"),
        (b, "base = '/dev/zero'", r"b\.toml, line 1, column 8: base must name a map file"),
        (b, "base = '.'", r"b\.toml, line 1, column 8: base must name a map file"),
    )
    for path, text, message in cases:
        if text is not None:
            path.write_text(text)
        with pytest.raises(MapError, match=message):
            GridSpec.load(a)
    for i in range(20):
        (tmp_path / f"n{i}.toml").write_text(f"base = 'n{i + 1}.toml'\n")
    with pytest.raises(MapError, match="base: a chain of more than 16 files: put some of them together"):
        GridSpec.load(tmp_path / "n0.toml")
    (tmp_path / "own.toml").write_text("base = 'own.toml'\n")
    with pytest.raises(MapError, match=r"the files are each other's base \(own\.toml -> own\.toml\)"):
        GridSpec.load(tmp_path / "own.toml")
