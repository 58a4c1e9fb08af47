"""What is seen of a state: spaces, values, batches and the observation function of each kind."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import concatenate, create_empty_array
from gymnasium.wrappers import FlattenObservation

import rlgrid
from rlgrid.envs import CONTROL, observations, planes, rgb
from rlgrid.envs.classics import parts_of
from rlgrid.envs.observations import KINDS, Observer, observer
from rlgrid.gridmap import GridSpec
from rlgrid.gridmodel import GridModel, TileKind
from rlgrid.itemworld import ItemWorld, WalledWorld
from rlgrid.window.actors import Acting

_IDS = sorted(name for name in gym.registry if name.startswith("rlgrid/") and name not in CONTROL)

_RICH = """
gamma = 0.9
slip = { forward = 0.8, left = 0.2 }
map = '''
Sr.D.G
.C#L.c
.k.kM.
P.K..W
'''
walls = '''
.|. . . . .
  -
. . . . . .
          -
'''
[legend]
r = { pickup = "coin", enter_reward = 0.5 }
k = { key = "iron" }
D = { door = "iron", consumes_key = true }
M = { door = "iron", consumes_key = true }
K = { key = "red" }
C = { door = "red" }
L = { switch = "lever" }
c = { door = "lever" }
P = { terminal = true, enter_reward = -1.0 }
W = { enter_to = "S", slip = { forward = 1.0 } }
[wind]
columns = [0, 0, 0, 0, 1, 0]
"""
"""A small world with everything in it: thin walls, a pickup, keys, doors, a switch, a pit, a teleport, slip, wind."""


def _rich() -> ItemWorld:
    model = rlgrid.GridSpec.parse(_RICH).compile()
    assert isinstance(model, ItemWorld)
    return model


def _four_rooms() -> GridModel:
    model = rlgrid.GridSpec.builtin("four_rooms").compile()
    assert isinstance(model, GridModel)
    return model


def _of(name: str, kind: str, **arguments: Any) -> Observer | None:
    """The observer of a registered world; None where the kind does not fit it."""
    world: Any = gym.make(name, **arguments).unwrapped
    try:
        return observer(world.model, kind, observation_of=world.observation_of, scene=world.scene)
    except ValueError as error:
        if "What fits: index, one_hot" not in str(error):
            raise
        return None


def _stacked(seen: Observer, states: np.ndarray) -> Any:
    """What Gymnasium's vector environments make of single observations."""
    out = create_empty_array(seen.space, states.size)
    return concatenate(seen.space, [seen.one(int(s)) for s in states], out)


# --- all worlds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", _IDS)
def test_observations_lie_in_their_space_and_batches_are_stacks(name: str, kind: str) -> None:
    seen = _of(name, kind)
    if seen is None:
        assert kind not in ("index", "one_hot")
        return
    states = np.random.default_rng(0).integers(0, seen.num_states, 20)
    for state in states.tolist():
        assert seen.space.contains(seen.one(state))
    expected, batch = _stacked(seen, states), seen.many(states)
    assert batch.dtype == expected.dtype
    np.testing.assert_array_equal(batch, expected)
    out = np.full_like(batch, 7)
    assert seen.many(states, out=out) is out
    np.testing.assert_array_equal(out, expected)
    seen.one(int(states[0])), batch.fill(0)  # the caller's own, both
    np.testing.assert_array_equal(seen.many(states), expected)


_EQUAL = [*itertools.product(["FrozenLake-v1", "KeyDoor-v0", "ThinWalls-v0", "CliffWalking-v1"], KINDS)]
_EQUAL += [(name, kind) for name in ("Taxi-v4", "TMaze-v0", "RiverSwim-v0") for kind in ("index", "coordinates", "rgb")]


@pytest.mark.parametrize(("name", "kind"), _EQUAL)
def test_numbers_of_observations_are_equal_where_observations_are(name: str, kind: str) -> None:
    seen = _of(f"rlgrid/{name}", kind)
    if seen is not None:
        _check_numbers(seen)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_observations_where_everything_can_change(kind: str) -> None:
    _check_numbers(observer(_rich(), kind, view_size=3))


def _check_numbers(seen: Observer) -> None:
    everything = seen.many(np.arange(seen.num_states)).reshape(seen.num_states, -1)
    _, same = np.unique(everything, axis=0, return_inverse=True)
    numbers = np.arange(seen.num_states) if seen.observation_of is None else seen.observation_of
    pairs = set(zip(same.ravel().tolist(), numbers.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == seen.num_observations
    assert set(numbers.tolist()) == set(range(seen.num_observations))
    matrix = seen.observation_matrix()
    assert matrix.shape == (seen.num_states, seen.num_observations)
    dense = np.zeros(matrix.shape)
    dense[np.arange(seen.num_states), numbers] = 1.0
    np.testing.assert_array_equal(matrix.toarray(), dense)


@pytest.mark.parametrize("kind", KINDS)
def test_observers_can_be_copied(kind: str) -> None:
    seen = observer(_rich(), kind)
    states = np.arange(0, seen.num_states, 7)
    expected = seen.many(states)
    for other in (copy.deepcopy(seen), pickle.loads(pickle.dumps(seen))):
        assert other.space == seen.space
        np.testing.assert_array_equal(other.many(states), expected)


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["planes", "rgb", "view"])
def test_environments_of_a_model_share_what_they_draw(kind: str) -> None:
    one, other = (gym.make("rlgrid/KeysAndSwitch-v0", observation=kind).unwrapped.observer for _ in range(2))
    assert one is other
    many: Any = gym.make_vec("rlgrid/KeysAndSwitch-v0", num_envs=2, observation=kind)
    assert many.observer is one
    smaller: Any = gym.make("rlgrid/KeysAndSwitch-v0", observation=kind, view_size=3, cell_size=4).unwrapped
    assert smaller.observer is not one
    model = _four_rooms().with_changes()
    gone = weakref.ref(observer(model, kind))
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("kind", ["rgb", "view"])
def test_threads_may_look_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large world by turns forgets what it has drawn; a small one makes its table."""
    model = GridSpec.builtin("keys_and_switch").compile()
    states = np.random.default_rng(0).integers(model.num_states, size=(8, 60))
    for most in (1 << 14, 1 << 26):
        monkeypatch.setattr(rgb, "_KEPT_BYTES", most)
        seen = observer(model, kind, cell_size=4, view_size=5)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda some, seen=seen: [seen.one(s) for s in some], states))  # type: ignore[misc]
        fresh = copy.deepcopy(seen)
        for some, pictures in zip(states, found, strict=True):
            assert np.array_equal(fresh.many(some), pictures)
        del seen


def test_index_is_the_state_or_what_is_seen_of_it() -> None:
    model = _four_rooms()
    plain = observer(model)
    assert type(plain.one(5)) is int
    assert (plain.one(5), plain.observation_of, plain.num_observations) == (5, None, model.num_states)
    halves = observer(model, observation_of=np.arange(model.num_states) // 2)
    assert type(halves.one(5)) is int
    assert (halves.one(5), halves.num_observations) == (2, (model.num_states + 1) // 2)
    assert halves.space == gym.spaces.Discrete(halves.num_observations)


def test_one_hot_is_the_row_of_the_observation_matrix() -> None:
    model = _four_rooms()
    halves = observer(model, "one_hot", observation_of=np.arange(model.num_states) // 2)
    np.testing.assert_array_equal(halves.many(np.arange(model.num_states)), halves.observation_matrix().toarray())


def test_coordinates_of_a_map_are_row_and_column() -> None:
    model = _four_rooms()
    seen = observer(model, "coordinates")
    for state in range(model.num_states):
        assert tuple(seen.one(state)) == model.cell_of(state)
    np.testing.assert_array_equal(seen.space.high, np.array(model.shape) - 1)
    corridor = GridModel([[0, 0, 0]], [TileKind("floor")])
    assert observer(corridor, "coordinates").space.high.tolist() == [1.0, 2.0]  # not 0, where the least is 0


def test_coordinates_of_a_world_with_items_say_which_are_on() -> None:
    model = _rich()
    seen = observer(model, "coordinates").many(np.arange(model.num_states))
    assert model.states is not None
    for (row, column, on), numbers in zip(model.states, seen.tolist(), strict=True):
        assert numbers == [row, column, *(name in on for name in model.items)]


@pytest.mark.parametrize("name", ["jacks_car_rental", "gamblers_problem", "taxi", "deep_sea"])
def test_coordinates_of_labels(name: str) -> None:
    parts = parts_of(name, {})
    seen = observer(parts.model, "coordinates").many(np.arange(parts.model.num_states))
    assert parts.model.states is not None
    for label, numbers in zip(parts.model.states, seen.tolist(), strict=True):
        assert tuple(numbers) == (label if isinstance(label, tuple) else (label,))


def test_coordinates_of_the_finish_of_a_racetrack_lie_below_all_others() -> None:
    model = parts_of("racetrack", {}).model
    seen = observer(model, "coordinates")
    table = seen.many(np.arange(model.num_states))
    assert model.states is not None
    assert model.states[-1] == "finish"
    assert table[-1].tolist() == [-1.0] * 4
    assert table[:-1].min() == 0.0
    assert table[:-1].tolist() == [list(label) for label in model.states[:-1]]


# --- what is hidden -------------------------------------------------------------------------------------------------


def test_a_fickle_passenger_does_not_show() -> None:
    parts = parts_of("taxi", {"fickle_passenger": True})
    fit = ("index", "one_hot", "coordinates", "rgb")
    for kind in fit:
        seen = observer(parts.model, kind, observation_of=parts.observation_of, scene=parts.scene)
        for state in (0, 17, 493):
            np.testing.assert_array_equal(seen.one(state), seen.one(500 + state))
    assert observer(parts.model, "coordinates", observation_of=parts.observation_of).space.shape == (4,)


def test_coordinates_that_are_hidden_are_left_out() -> None:
    model = _four_rooms()
    rows = np.arange(model.num_states) // model.shape[1]
    seen = observer(model, "coordinates", observation_of=rows)
    np.testing.assert_array_equal(seen.many(np.arange(model.num_states))[:, 0], rows)
    assert seen.space.shape == (1,)
    with pytest.raises(ValueError, match="as far as they are seen, do not tell states 0 and 2 apart"):
        observer(GridModel([[0] * 4], [TileKind("floor")]), "coordinates", observation_of=[0, 0, 1, 1])


@pytest.mark.parametrize("kind", ["planes", "rgb", "view"])
def test_kinds_that_would_tell_what_is_hidden_are_refused(kind: str) -> None:
    model = _four_rooms()
    seen = np.arange(model.num_states)
    seen[30] = 29
    with pytest.raises(ValueError, match=r"states 29 and 30 are seen alike.*What fits: index, one_hot$"):
        observer(model, kind, observation_of=seen)
    observer(model, kind, observation_of=np.arange(model.num_states)[::-1])  # hides nothing


def test_the_t_maze_hides_where_one_is() -> None:
    parts = parts_of("t_maze", {})
    for kind in ("coordinates", "rgb"):
        with pytest.raises(ValueError, match=r"What fits: index, one_hot$"):
            observer(parts.model, kind, observation_of=parts.observation_of, scene=parts.scene)


# --- planes ---------------------------------------------------------------------------------------------------------


def _cells_of(seen: Any, state: int) -> dict[str, list[tuple[int, int]]]:
    """The cells of each plane that has any."""
    shown = seen.one(state)
    assert set(np.unique(shown)) <= {0, 255}
    found = {name: [tuple(at) for at in np.argwhere(plane).tolist()] for name, plane in _named(seen, shown)}
    return {name: cells for name, cells in found.items() if cells}


def _named(seen: Any, shown: Any) -> Any:
    return zip(seen.plane_names, shown, strict=True)


def _map(name: str) -> Any:
    return rlgrid.GridSpec.builtin(name).compile()


def test_planes_of_well_known_worlds() -> None:
    lake = _cells_of(observer(_map("frozen_lake_4x4"), "planes"), 6)
    free = [(r, c) for r, c in np.ndindex(4, 4) if (r, c) not in [(1, 1), (1, 3), (2, 3), (3, 0), (3, 3)]]
    assert lake == {"agent": [(1, 2)], "goal": [(3, 3)], "pit": [(1, 1), (1, 3), (2, 3), (3, 0)], "slip": free}
    cliff = [(3, column) for column in range(1, 11)]
    expected = {"agent": [(3, 0)], "goal": [(3, 11)], "hazard": cliff, "teleport": cliff}
    assert _cells_of(observer(_map("cliff_walking"), "planes"), 36) == expected
    every = list(np.ndindex(3, 4))
    free = [cell for cell in every if cell not in [(0, 3), (1, 1), (1, 3)]]
    expected = {"agent": [(2, 0)], "wall": [(1, 1)], "goal": [(0, 3)], "pit": [(1, 3)], "slip": free}
    assert _cells_of(observer(_map("russell_norvig_4x3"), "planes"), 8) == expected
    expected = {"agent": [(0, 0)], "reward": [(0, 1), (0, 3)], "teleport": [(0, 1), (0, 3)]}
    assert _cells_of(observer(_map("sutton_barto_5x5"), "planes"), 0) == expected
    windy = _cells_of(observer(_map("windy_gridworld"), "planes"), 0)
    assert windy["wind"] == [(r, c) for r in range(7) for c in range(3, 9)]


def test_planes_of_kinds_of_tile() -> None:
    kinds = [
        TileKind("floor"),
        TileKind("good end", terminal=True),
        TileKind("bad end", terminal=True, enter_reward=-1.0),
        TileKind("bad end, drawn as a goal", terminal=True, enter_reward=-1.0, glyph="goal"),
        TileKind("good end, drawn as a pit", terminal=True, enter_reward=1.0, glyph="pit"),
        TileKind("mud", step_reward=-3.0),
        TileKind("well", leave_reward=1.0),
        TileKind("hole", glyph="pit"),
        TileKind("wall", wall=True, enter_reward=-9.0),
        TileKind("exit", leave_to=0),
    ]
    seen = observer(GridModel([[0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]], kinds, step_reward=-1.0), "planes")
    assert _cells_of(seen, 1) == {
        "agent": [(0, 1)],
        "goal": [(0, 3), (0, 5)],
        "pit": [(0, 4), (0, 6)],
        "hazard": [(0, 7), (0, 9)],
        "reward": [(0, 8)],
        "wall": [(0, 10)],
        "teleport": [(0, 11)],
    }


def test_planes_of_items_and_thin_walls() -> None:
    model = _rich()
    seen = observer(model, "planes")
    first = _cells_of(seen, model.state_of(0, 0))
    assert first["pickup"] == [(0, 1)] == first["reward"]
    assert first["key"] == [(2, 1), (2, 3), (3, 2)]
    assert first["closed_door"] == [(0, 3), (1, 1), (1, 5), (2, 4)]
    assert first["wall"] == sorted([(1, 2), *first["closed_door"]])
    assert first["switch_off"] == [(1, 3)]
    assert not {"opened_door", "switch_on"} & set(first)
    assert first["thin_wall_right"] == [(0, 0)]
    assert first["thin_wall_left"] == [(0, 1)]
    assert first["thin_wall_down"] == [(0, 1), (1, 5)]
    assert first["thin_wall_up"] == [(1, 1), (2, 5)]
    assert first["wind"] == [(0, 4), (1, 4), (3, 4)]  # the closed door at (2, 4) is a wall
    later = model.state_of(2, 4, iron_2_1=True, iron_2_3=True, iron_door_2_4=True)
    then = _cells_of(seen, later)
    assert then["key"] == [(3, 2)]
    assert then["opened_door"] == [(2, 4)]
    assert then["closed_door"] == [(1, 1), (1, 5)]  # a second iron key is left, so the other iron door is passable
    assert then["wind"] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    rich = next(s for s in range(model.num_states) if "coin" in model.items_of(s))
    assert not {"pickup", "reward"} & set(_cells_of(seen, rich))
    switched = next(s for s in range(model.num_states) if "lever" in model.items_of(s))
    assert _cells_of(seen, switched)["switch_on"] == [(1, 3)]


def test_thin_walls_have_planes_where_asked() -> None:
    walled = _map("thin_walls")
    assert isinstance(walled, WalledWorld)
    for kind in ("planes", "view"):
        plain: Any = observer(walled.grid, kind, thin_walls=True)
        assert plain.space == observer(walled, kind).space
        assert not any(name.startswith("thin") for name in _cells_of(plain, 9))
        without: Any = observer(walled, kind, thin_walls=False)
        assert without.space == observer(walled.grid, kind).space


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 4, 13])
@pytest.mark.parametrize("kept", [0, 100_000, 1 << 26])
def test_rgb_is_the_picture(size: int | None, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rgb, "_KEPT_BYTES", kept)  # so that frames must be forgotten, or none
    for model in (_four_rooms(), _rich(), _map("thin_walls")):
        seen = observer(model, "rgb", cell_size=size, theme="light")
        cells = getattr(model, "map_shape", model.shape)
        pixels = seen.space.shape[0] // cells[0] if size is None else size
        assert seen.space.shape == (pixels * cells[0], pixels * cells[1], 3)
        assert min(seen.space.shape[:2]) >= 36 or size is not None
        states = np.random.default_rng(1).integers(0, model.num_states, 8).repeat(2)
        for state, frame in zip(states.tolist(), seen.many(states), strict=True):
            drawn, at = model.picture(state) if hasattr(model, "picture") else (model, state)
            np.testing.assert_array_equal(frame, rlgrid.draw(drawn, agent=at, cell_size=pixels, theme="light"))


def test_rgb_of_a_scene_is_its_picture() -> None:
    parts = parts_of("taxi", {})
    seen = observer(parts.model, "rgb", scene=parts.scene)
    for state in (0, 123, 499):
        drawn, at = parts.scene.picture(state)
        np.testing.assert_array_equal(seen.one(state), rlgrid.draw(drawn, agent=at, cell_size=8))


# --- the window -----------------------------------------------------------------------------------------------------


def _meets(start: tuple[int, int], end: tuple[int, int], low: list[Fraction], high: list[Fraction]) -> bool:
    """Whether the line between two points, its ends included, meets the open box between two corners."""
    first, last = Fraction(0), Fraction(1)
    for axis in range(2):
        at, along = Fraction(start[axis]), Fraction(end[axis] - start[axis])
        if along == 0:
            if not low[axis] < at < high[axis]:
                return False
            continue
        enters, leaves = sorted([(low[axis] - at) / along, (high[axis] - at) / along])
        first, last = max(first, enters), min(last, leaves)
    return first < last


class _Sight:
    """Lines of sight by exact geometry over all cells, borders and corners of a map."""

    def __init__(self, walls: np.ndarray, thin: np.ndarray) -> None:
        self.walls, self.thin = walls, thin

    def is_wall(self, cell: tuple[int, int]) -> bool:
        row, column = cell
        inside = 0 <= row < self.walls.shape[0] and 0 <= column < self.walls.shape[1]
        return not inside or bool(self.walls[row, column])

    def is_closed(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether a thin wall stands between neighbours."""
        row, column = min(one, other)
        if not (0 <= row < self.thin.shape[0] and 0 <= column < self.thin.shape[1]):
            return False
        return bool(self.thin[row, column] & (1 if one[0] == other[0] else 2))

    def sees(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        half = Fraction(1, 2)
        rows = range(min(one[0], other[0]), max(one[0], other[0]) + 1)
        columns = range(min(one[1], other[1]), max(one[1], other[1]) + 1)
        for cell in itertools.product(rows, columns):
            low, high = [c - half for c in cell], [c + half for c in cell]
            if cell not in (one, other) and self.is_wall(cell) and _meets(one, other, low, high):
                return False
            # The border to the cell at the right, and to the one below, without its ends.
            for axis, neighbour in ((1, (cell[0], cell[1] + 1)), (0, (cell[0] + 1, cell[1]))):
                if self.is_closed(cell, neighbour):
                    along = other[axis] - one[axis]
                    if along:
                        share = (cell[axis] + half - one[axis]) / Fraction(along)
                        across = one[1 - axis] + share * (other[1 - axis] - one[1 - axis])
                        if 0 < share < 1 and abs(across - cell[1 - axis]) < half:
                            return False
        down, right = other[0] - one[0], other[1] - one[1]
        if down and right:
            for row, column in itertools.product(rows, columns):
                corner = row + half, column + half  # below and to the right of the cell
                at_row, at_column = (corner[0] - one[0]) / down, (corner[1] - one[1]) / right
                if at_row == at_column and 0 < at_row < 1 and self._blocked(row, column, down * right > 0):
                    return False
        return True

    def _blocked(self, row: int, column: int, falls: bool) -> bool:
        """Both ways around the corner below and to the right of a cell, on a line that falls or rises."""
        square = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        ends, ways = (square[0::2], square[1::2]) if falls else (square[1::2], square[0::2])
        return all(self.is_wall(way) or any(self.is_closed(way, end) for end in ends) for way in ways)


def _random_world(seed: int, thin: bool) -> tuple[Any, np.ndarray, np.ndarray]:
    """(model, its walls, its thin walls) of a few cells."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 9, 2).tolist())
    walls = random.random(shape) < random.choice([0.1, 0.3, 0.6])
    walls[0, 0] = False
    grid = GridModel(walls.astype(np.uint8), [TileKind("floor"), TileKind("wall", wall=True)])
    mask = np.zeros(shape, np.uint8)
    if thin:
        mask = random.integers(0, 4, shape).astype(np.uint8) * (random.random(shape) < 0.4)
        mask = mask.astype(np.uint8)
        mask[:, -1] &= 2
        mask[-1, :] &= 1
    if not mask.any():
        return grid, walls, mask
    return WalledWorld(grid, mask.ravel()), walls, mask


@pytest.mark.parametrize("side", [3, 5, 9])
@pytest.mark.parametrize("thin", [False, True])
def test_a_window_shows_what_the_lines_of_sight_reach(side: int, thin: bool) -> None:
    half = side // 2
    for seed in range(6 if side < 9 else 3):
        model, walls, mask = _random_world(100 * side + seed, thin)
        seen: Any = observer(model, "view", view_size=side)
        through: Any = observer(model, "view", view_size=side, see_through_walls=True)
        whole = dict(_named(observer(model, "planes"), observer(model, "planes").one(0)))
        whole["agent"] = np.zeros_like(whole["agent"])
        sight = _Sight(walls, mask)
        for state in range(model.num_states):
            at = divmod(state, walls.shape[1])
            shown, clear = dict(_named(seen, seen.one(state))), dict(_named(through, through.one(state)))
            for r, c in np.ndindex(side, side):
                cell = at[0] + r - half, at[1] + c - half
                inside = 0 <= cell[0] < walls.shape[0] and 0 <= cell[1] < walls.shape[1]
                there = {name: int(inside and plane[cell]) for name, plane in whole.items()} | {"unseen": 0}
                if not inside:
                    there["wall"] = 255
                if cell == at:
                    there["agent"] = 255
                assert {name: plane[r, c] for name, plane in clear.items()} == there
                if not sight.sees(at, cell):
                    there = dict.fromkeys(there, 0) | {"unseen": 255}
                assert {name: plane[r, c] for name, plane in shown.items()} == there, (seed, at, cell)


def test_sight_is_mutual() -> None:
    for seed in range(4):
        model, walls, _ = _random_world(seed, seed % 2 == 1)
        side = 2 * max(walls.shape) + 1
        seen: Any = observer(model, "view", view_size=side)
        hidden = seen.many(np.arange(model.num_states))[:, -1] > 0
        rows, columns = walls.shape
        free = [s for s in range(model.num_states) if not walls.flat[s]]
        for one, other in itertools.combinations(free, 2):
            down, right = other // columns - one // columns, other % columns - one % columns
            middle = side // 2
            assert hidden[one, middle + down, middle + right] == hidden[other, middle - down, middle - right]
        assert rows * columns == model.num_states


def test_closed_doors_stop_the_sight_and_open_ones_do_not() -> None:
    spec = rlgrid.GridSpec.parse("map='''\nkSD.G\n'''\nlegend.k={key='a'}\nlegend.D={door='a'}\n")
    model: Any = spec.compile()
    seen: Any = observer(model, "view", view_size=5)
    before, after = _cells_of(seen, model.state_of(0, 1)), _cells_of(seen, model.state_of(0, 1, a=True))
    assert before["closed_door"] == [(2, 3)]
    assert (2, 4) in before["unseen"]
    assert before["key"] == [(2, 1)]
    assert "closed_door" not in after
    assert (2, 4) not in after["unseen"]
    assert "key" not in after


@pytest.mark.parametrize("most", [0, 1 << 24])
def test_windows_are_the_same_looked_up_or_looked_at(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "_KEPT_BYTES", most)
    model = _rich()
    seen: Any = observer(model, "view", view_size=5)
    states = np.random.default_rng(3).integers(0, model.num_states, model.num_states // 2 + 1)
    first = seen.many(states)
    assert seen._table is None
    np.testing.assert_array_equal(seen.many(states), first)
    assert (seen._table is None) == (most == 0)
    np.testing.assert_array_equal(seen.one(int(states[0])), first[0])


def test_a_window_in_a_large_world_takes_little_memory() -> None:
    size = 3000
    tiles = np.zeros((size, size), np.uint8)
    tiles[3::7, ::5] = 1
    model = GridModel(tiles, [TileKind("floor"), TileKind("wall", wall=True)])
    states = np.random.default_rng(0).integers(0, model.num_states, 1024)
    observer(_four_rooms(), "view").one(0)  # compiled
    tracemalloc.start()
    try:
        batch = observer(model, "view").many(states)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * batch.nbytes < model.num_states
    assert (batch[:, 0, 3, 3] == 255).all()


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"kind": "onehot"}, ValueError, "no observation 'onehot': did you mean 'one_hot'"),
        ({"kind": 7}, ValueError, "no observation 7: there are index, one_hot, coordinates, planes, rgb, view"),
        ({"kind": "view", "view_size": 4}, ValueError, "view_size must be an odd number from 3 to 101"),
        ({"kind": "view", "view_size": 103}, ValueError, "view_size must be an odd number from 3 to 101"),
        ({"kind": "view", "view_size": 5.0}, TypeError, "view_size must be a whole number of cells, not 5.0"),
        ({"kind": "view", "see_through_walls": 1}, TypeError, "see_through_walls must be True or False, not 1"),
        ({"kind": "rgb", "cell_size": 0}, ValueError, "cell_size must be a positive number of pixels"),
        ({"kind": "rgb", "cell_size": 0.5}, ValueError, "cell_size must be at least 1 where frames are seen"),
        ({"kind": "rgb", "cell_size": float("inf")}, ValueError, "cell_size must be a positive number of pixels"),
        ({"kind": "rgb", "cell_size": 1000}, ValueError, "507,000,000 bytes.*: choose a smaller cell_size. What fits"),
        ({"kind": ["view"]}, ValueError, r"no observation \['view'\]: there are index"),
        ({"kind": None}, ValueError, "no observation None: there are index"),
        (
            {"observation_of": np.full(169, 2**64 - 1, np.uint64)},
            ValueError,
            f"is {2**64 - 1}: {2**31 - 1} is the most",
        ),
        ({"observation_of": np.full(169, 2**63 - 1)}, ValueError, f"is {2**63 - 1}: {2**31 - 1} is the most"),
        ({"observation_of": [[0, 1], [2]]}, ValueError, r"observation_of must have shape \(169,\), one number a state"),
        ({"kind": "rgb", "theme": "pink"}, ValueError, "pink"),
        ({"kind": "index", "observation_of": [0]}, ValueError, "observation_of must have shape"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        observer(_four_rooms(), **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_no_states_are_refused(kind: str) -> None:
    seen = observer(_four_rooms(), kind, view_size=3)
    for wrong in (169, -1, 1.5, "a"):
        with pytest.raises(ValueError, match="is not one of the states 0 to 168"):
            seen.one(wrong)  # type: ignore[arg-type]
    for number in (169, -1):
        with pytest.raises(ValueError, match=rf"states\[1\] = {number} is not one of the states 0 to 168"):
            seen.many(np.array([3, number]))
    for states in (np.array([1.0]), np.array([[1]]), 3):
        with pytest.raises(ValueError, match=r"states must be whole numbers \[N\]"):
            seen.many(states)
    assert np.array_equal(seen.many([1, 2]), seen.many(np.array([1, 2], np.uint8)))
    assert len(seen.many([])) == 0
    with pytest.raises(TypeError, match="model must be a GridModel or an MDP, not 'four_rooms'"):
        observer("four_rooms", kind)  # type: ignore[arg-type]


def test_coordinates_that_float32_cannot_tell_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    most = observations._WHOLE_FLOATS
    assert np.float32(most - 1) != np.float32(most)
    assert np.float32(most) == np.float32(most + 1)
    monkeypatch.setattr(observations, "_WHOLE_FLOATS", 5)
    observer(GridModel(np.zeros((5, 5), int), [TileKind("floor")]), "coordinates")
    with pytest.raises(ValueError, match="it has 6 rows or columns, and float32 tells 5 apart"):
        observer(GridModel(np.zeros((1, 6), int), [TileKind("floor")]), "coordinates")


def test_kinds_that_do_not_fit_say_why_and_what_does() -> None:
    gambler = parts_of("gamblers_problem", {})
    for kind, why in (
        ("planes", "no cells of a map"),
        ("view", "no cells of a map"),
        ("rgb", "not drawn as the cells"),
    ):
        with pytest.raises(ValueError, match=rf"{kind!r} does not fit.*{why}.*What fits: index, one_hot, coordinates$"):
            observer(gambler.model, kind, scene=gambler.scene)
    nameless = rlgrid.MDP.from_arrays(np.eye(2)[:, None, :], np.zeros(2), gamma=0.9)
    with pytest.raises(ValueError, match=r"neither cells nor labels. What fits: index, one_hot$"):
        observer(nameless, "coordinates")


def test_observations_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "_MOST_BYTES", 675)
    for kind, size in (("one_hot", "676"), ("planes", "1,521"), ("rgb", "32,448")):
        with pytest.raises(ValueError, match=f"would take {size} bytes, and 675 is the most.* What fits: index, coord"):
            observer(_four_rooms(), kind)


def test_batches_go_where_they_are_asked_to_or_nowhere() -> None:
    seen = observer(_four_rooms(), "planes")
    states, right = np.arange(4), (4, *seen.space.shape)
    for out in (np.empty(right, np.float32), np.empty(right[1:], np.uint8), np.empty(right, np.uint8)[::-1]):
        with pytest.raises(ValueError, match="out must be a contiguous uint8"):
            seen.many(states, out=out)


# --- in use ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_environments_hand_out_what_is_seen(kind: str) -> None:
    env = gym.make("rlgrid/KeyDoor-v0", observation=kind, view_size=5, see_through_walls=True, cell_size=9)
    check_env(env.unwrapped, skip_render_check=True)
    inner: Any = env.unwrapped
    expected = observer(inner.model, kind, view_size=5, see_through_walls=True, cell_size=9)
    assert env.observation_space == expected.space
    observation, _ = env.reset(seed=1)
    for action in (1, 2, 1, 2, 2, 1):
        np.testing.assert_array_equal(observation, expected.one(inner.state))
        observation, *_ = env.step(action)
    envs = gym.make_vec("rlgrid/KeyDoor-v0", 3, observation=kind, view_size=5, see_through_walls=True, cell_size=9)
    np.testing.assert_array_equal(envs.reset(seed=1)[0], expected.many(envs.unwrapped.states))


@pytest.mark.parametrize("kind", ["one_hot", "coordinates", "planes", "view"])
def test_dqn_learns_from_vectors_and_tables_are_for_numbers(kind: str) -> None:
    env: Any = gym.make("rlgrid/FrozenLake-v1", observation=kind)
    with pytest.raises(ValueError, match=r"needs Discrete observations.*DQN takes them"):
        rlgrid.agents.QLearning(env)
    if kind in ("planes", "view"):
        env = FlattenObservation(env)
    agent = rlgrid.agents.DQN("MlpPolicy", env, seed=0, learning_starts=20, policy_kwargs={"net_arch": [8]})
    assert not agent.compiled
    agent.learn(60)
    assert agent.metrics()["updates"] > 0
    observation, _ = env.reset(seed=0)
    assert agent.predict(observation)[0] in range(4)
    with pytest.raises(ValueError, match="its observations are not the numbers of states"):
        rlgrid.agents.DQN("MlpPolicy", env, compiled=True)


@pytest.mark.parametrize("kind", ["one_hot", "view"])
def test_a_run_over_vectors_goes_on_as_if_it_had_never_been_stopped(kind: str, tmp_path: Path) -> None:
    def make() -> Any:
        env = gym.make("rlgrid/FrozenLake-v1", observation=kind)
        return FlattenObservation(env) if kind == "view" else env

    def agent() -> rlgrid.agents.DQN:
        return rlgrid.agents.DQN("MlpPolicy", make(), seed=0, learning_starts=20, policy_kwargs={"net_arch": [8]})

    whole = agent()
    whole.learn(120)
    stopped = agent()
    stopped.begin(120)
    stopped.advance(77)
    for _ in range(2):  # saved again before it goes on, too
        stopped.save(tmp_path / "run.safetensors")
        stopped = rlgrid.agents.DQN.load(tmp_path / "run.safetensors", make())
    stopped.resume()
    assert stopped.episode_lengths == whole.episode_lengths
    assert 77 not in np.cumsum(whole.episode_lengths)  # within an episode
    for name, array in whole._arrays().items():
        np.testing.assert_array_equal(stopped._arrays()[name], array, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_window_shows_who_acts_by_any_observation(kind: str) -> None:
    class East:
        def predict(self, observation: Any) -> tuple[int, None]:
            return 1, None

    acting = Acting(gym.make("rlgrid/FourRooms-v0", observation=kind), East())
    acting.advance(3)
    assert (acting.state is None) == (kind != "index")
    if kind == "index":
        assert (acting.policy == 1).all()
    else:
        with pytest.raises(AttributeError, match="cannot be read"):
            _ = acting.policy
