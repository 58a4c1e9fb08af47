"""A map as image planes, whole or as a window around the agent: the observations "planes" and "view".

Every plane says one thing about each cell, 255 where it is so and 0 elsewhere:

    agent       the agent is here
    wall        nobody gets in: a wall, or a door that is closed now
    goal, pit   entering ends the episode. A pit is what is drawn as one, or, drawn as neither, pays less than nothing
    reward      being here pays more than in most cells of the map: the rewards of a step onto the cell, of entering it
                and of leaving it together, where the episode goes on
    hazard      being here pays less than in most cells, or it is drawn as a pit that does not end the episode
    slip        a move from here may go astray
    wind        a wind blows here
    teleport    the agent is sent on from here

These come first, always and in this order, so that what is learnt on one map can be used on another. Where there are
walls between cells there follow

    thin_wall_up, thin_wall_right, thin_wall_down, thin_wall_left      one stands at this side of the cell

and where items change the world

    key, pickup                 one lies here
    closed_door, opened_door    a door that is closed now (it is a wall, too); one that was opened and used up its key
    switch_off, switch_on       a switch, as it stands

Planes of 0 and 255 in uint8 are what Stable-Baselines3 takes for an image: its policies divide them by 255.
For others ``RescaleObservation(DtypeObservation(env, np.float32), 0, 1)`` makes 0 and 1 of them, with the wrappers of
Gymnasium; without the change of type, all would be 0.

The window. Cell B is seen from the agent's cell A where the straight line from the middle of A to the middle of B is
free: no wall lies between them whose inside it meets (B may be one itself), it crosses no wall between cells, and where
it passes through the corner of four cells one of the two ways around the corner is free. So of two cells that are no
walls either sees the other or neither does. Outside of the map everything is wall. Of a cell that is not seen all
planes are 0 but the last one, "unseen". Nothing tells what the agent holds: a window makes the world partly observed.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlgrid.envs.observations import Observer, Unfit, checked_size
from rlgrid.envs.racetrack import visited
from rlgrid.gridmodel import SLICE, GridModel, TileKind
from rlgrid.itemworld import ItemWorld, WalledWorld
from rlgrid.kernels.sight import Map, Paths, codes_of_map, spread, windows
from rlgrid.mdp import MDP

PLANES = ("agent", "wall", "goal", "pit", "reward", "hazard", "slip", "wind", "teleport")
THIN_PLANES = ("thin_wall_up", "thin_wall_right", "thin_wall_down", "thin_wall_left")
ITEM_PLANES = ("key", "pickup", "closed_door", "opened_door", "switch_off", "switch_on")
UNSEEN = "unseen"

MAX_VIEW = 101
"""The most cells of a side of a window."""

_KEPT_CODES = 4_000_000  # of cells that items change, over all configurations
_KEPT_BYTES = 1 << 24  # of the windows of a world, where they are all kept
_CHUNK = 4096  # states whose windows are numbered at a time

Codes = NDArray[np.uint32]


class Terrain:
    """What is in the cells of a map, one bit a plane, in every state of its model.

    Args:
        model: a GridModel, a WalledWorld or an ItemWorld.
        thin_walls: whether there are planes for walls between cells; where the model has some if None.

    Attributes:
        shape: (rows, columns). names: of the planes, bit i being that of plane i.
        map: the map as kernels take it. changing: int64 [K], the cells that items change.

    Raises:
        Unfit: if the states are no cells of a map.
    """

    def __init__(self, model: GridModel | MDP, thin_walls: bool | None) -> None:
        if isinstance(model, ItemWorld):
            grid, thin = model.grid_in(0), model.thin_walls
        elif isinstance(model, WalledWorld):
            grid, thin = model.grid, model.thin_walls
        elif isinstance(model, GridModel):
            grid, thin = model, None
        else:
            raise Unfit("its states are no cells of a map")
        self.model, self.shape = model, grid.shape
        has_thin = thin is not None if thin_walls is None else thin_walls
        self.names: tuple[str, ...] = PLANES
        if has_thin:
            self.names += THIN_PLANES
        if isinstance(model, ItemWorld):
            self.names += ITEM_PLANES
        self.bit = {name: 1 << i for i, name in enumerate(self.names)}
        self.changing = np.zeros(0, np.int64)
        if isinstance(model, ItemWorld):
            items = model.bits
            self.changing = np.array(sorted({*items.cells, *(door.cell for door in items.doors)}), np.int64)
        place = np.zeros(0, np.int32)
        if self.changing.size:
            place = np.full(grid.num_states, -1, np.int32)
            place[self.changing] = np.arange(self.changing.size)
        self.map = Map(
            *self.shape,
            grid.tiles.ravel(),
            codes_of_kinds(grid, self.bit),
            grid.column_wind,
            grid.row_wind,
            thin if thin is not None and has_thin else np.zeros(0, np.uint8),
            place,
            self.bit["wall"],
            self.bit["wind"],
            self.bit["thin_wall_up"] if has_thin else 0,
        )
        self._kept: dict[int, Codes] = {}

    def cells(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [N], the cell of each state."""
        return self.model.cells[states] if isinstance(self.model, ItemWorld) else states

    def codes(self) -> Codes:
        """uint32 [cells], the bits of the map without the agent, as it is at the start."""
        codes = np.empty(self.map.tiles.size, np.uint32)
        codes_of_map(self.map, self._row(0), codes)
        return codes

    def rows(self, states: NDArray[np.int64]) -> tuple[Codes, NDArray[np.int64]]:
        """(uint32 [B, K], the bits of the cells that items change; int64 [N], which row holds in each state)."""
        if not isinstance(self.model, ItemWorld):
            return np.zeros((1, 0), np.uint32), np.zeros(states.size, np.int64)
        numbers, which = np.unique(self.model.numbers[states], return_inverse=True)
        return np.stack([self._row(number) for number in numbers.tolist()]), which

    def _row(self, number: int) -> Codes:
        """uint32 [K], the bits of the cells that items change, in the configuration of a number."""
        if not isinstance(self.model, ItemWorld):
            return np.zeros(0, np.uint32)
        row = self._kept.get(number)
        if row is None:
            if (len(self._kept) + 1) * self.changing.size > _KEPT_CODES:
                self._kept.clear()
            row = self._kept[number] = self._made_row(self.model, number)
        return row

    def _made_row(self, model: ItemWorld, number: int) -> Codes:
        items, bit, configuration = model.bits, self.bit, model.configuration(number)
        whole = self.map._replace(tiles=model.grid_in(configuration).tiles.ravel(), place=np.zeros(0, np.int32))
        codes = np.empty(whole.tiles.size, np.uint32)
        codes_of_map(whole, np.zeros(0, np.uint32), codes)
        closed = set(items.closed(configuration))
        for door in items.doors:
            if door.cell in closed:
                codes[door.cell] |= bit["closed_door"]
            if configuration & door.own:
                codes[door.cell] |= bit["opened_door"]
        for cell, (does, item) in items.cells.items():
            on = bool(configuration & item)
            if item in items.spent:
                if not on:
                    codes[cell] |= bit["pickup" if item & items.pickups else "key"]
            elif does != "open":
                codes[cell] |= bit["switch_on" if on else "switch_off"]
        return codes[self.changing]


def codes_of_kinds(grid: GridModel, bit: dict[str, int]) -> Codes:
    """uint32 [kinds]: the bits of each kind of tile of a grid."""
    pays = [
        (grid.step_reward if kind.step_reward is None else kind.step_reward) + kind.enter_reward + kind.leave_reward
        for kind in grid.kinds
    ]
    tiles, count = grid.tiles.ravel(), np.zeros(len(grid.kinds), np.int64)
    for first in range(0, tiles.size, SLICE):  # bincount makes integers of eight bytes of what it counts
        count += np.bincount(tiles[first : first + SLICE], minlength=count.size)
    usual: dict[float, int] = {}
    for kind, pay, cells in zip(grid.kinds, pays, count.tolist(), strict=True):
        if not kind.wall and not kind.terminal:
            usual[pay] = usual.get(pay, 0) + cells
    most = max(usual, key=lambda pay: usual[pay], default=0.0)
    codes = [
        sum(bit[name] for name in _names_of(kind, pay - most, grid)) for kind, pay in zip(grid.kinds, pays, strict=True)
    ]
    return np.array(codes, np.uint32)


def _names_of(kind: TileKind, more: float, grid: GridModel) -> list[str]:
    """The planes of a kind of tile, where a cell pays ``more`` than most."""
    if kind.wall:
        return ["wall"]
    if kind.terminal:
        pays = kind.enter_reward + (kind.step_reward or 0.0)
        return ["pit" if kind.glyph == "pit" or (kind.glyph != "goal" and pays < 0) else "goal"]
    names = []
    if more < 0 or kind.glyph == "pit":
        names.append("hazard")
    elif more > 0:
        names.append("reward")
    if (kind.slip or grid.slip).forward < 1.0:
        names.append("slip")
    if kind.enter_to is not None or kind.leave_to is not None:
        names.append("teleport")
    return names


class PlanesObserver(Observer):
    """The whole map as planes: uint8 [C, H, W], 0 or 255.

    Attributes:
        plane_names: of the C planes, see the module's text.
    """

    kind = "planes"

    def __init__(
        self, model: GridModel | MDP, seen: NDArray[np.int64] | None, *, thin_walls: bool | None = None
    ) -> None:
        super().__init__(model)
        self._terrain = Terrain(model, thin_walls)
        self.plane_names = self._terrain.names
        shape = checked_size((len(self.plane_names), *self._terrain.shape))
        self.space = spaces.Box(0, 255, shape, np.uint8)
        codes = self._terrain.codes()
        self._base = np.empty((shape[0], codes.size), np.uint8)
        spread(codes[None], self._base[None])
        self.check_hides(seen)

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        # The agent's cell and every item show.
        return None

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        terrain = self._terrain
        flat = out.reshape(states.size, *self._base.shape)
        flat[...] = self._base
        if terrain.changing.size:
            rows, which = terrain.rows(states)
            planes = np.empty((len(rows), len(self.plane_names), terrain.changing.size), np.uint8)
            spread(rows, planes)
            flat[:, :, terrain.changing] = planes[which]
        flat[np.arange(states.size), 0, terrain.cells(states)] = 255

    def ground(self) -> NDArray[np.uint8] | None:
        """uint8 [C, cells], the planes without the agent; None where items change the map."""
        return None if self._terrain.changing.size else self._base

    def many_on(
        self, grounds: NDArray[np.uint8], which: NDArray[np.int64], states: NDArray[np.int64], out: NDArray[Any]
    ) -> None:
        flat = out.reshape(states.size, *self._base.shape)
        np.take(grounds, which, axis=0, out=flat, mode="clip")
        flat[np.arange(states.size), 0, states] = 255


class ViewObserver(Observer):
    """A window of cells around the agent as planes: uint8 [C, V, V], 0 or 255, the agent in the middle.

    Attributes:
        plane_names: of the C planes, see the module's text; the last one is "unseen".
    """

    kind = "view"

    def __init__(
        self,
        model: GridModel | MDP,
        seen: NDArray[np.int64] | None,
        *,
        view_size: int = 7,
        see_through_walls: bool = False,
        thin_walls: bool | None = None,
    ) -> None:
        super().__init__(model)
        if isinstance(view_size, bool) or not isinstance(view_size, int | np.integer):
            raise TypeError(f"view_size must be a whole number of cells, not {view_size!r}")
        if not 3 <= view_size <= MAX_VIEW or view_size % 2 == 0:
            raise ValueError(
                f"view_size must be an odd number from 3 to {MAX_VIEW}, the agent being in the middle, not {view_size}"
            )
        if not isinstance(see_through_walls, bool | np.bool_):
            raise TypeError(f"see_through_walls must be True or False, not {see_through_walls!r}")
        self._terrain = Terrain(model, thin_walls)
        self.plane_names = (*self._terrain.names, UNSEEN)
        self._side, self._see_through = int(view_size), bool(see_through_walls)
        self._paths = paths_of_sight(self._side)
        self.space = spaces.Box(0, 255, (len(self.plane_names), self._side, self._side), np.uint8)
        self._numbers: NDArray[np.int64] | None = None
        self._table: NDArray[np.uint8] | None = None  # [S, C, V, V], of a small world
        self._looks = 0
        self.check_hides(seen)

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        """Windows that differ are numbered in the order of the first state that has them."""
        if self._numbers is None:
            known: dict[bytes, int] = {}
            numbers = np.empty(self.num_states, np.int64)
            for first in range(0, self.num_states, _CHUNK):
                states = np.arange(first, min(first + _CHUNK, self.num_states))
                codes = self._codes(states)
                data, size = codes.tobytes(), codes.itemsize * codes.shape[1]
                numbers[states] = [
                    known.setdefault(data[at : at + size], len(known)) for at in range(0, len(data), size)
                ]
            numbers.setflags(write=False)
            self._numbers = numbers
        return self._numbers

    def ground(self) -> Codes | None:
        """uint32 [cells], the bits of the map; None where items change it."""
        return None if self._terrain.changing.size else self._terrain.codes()

    def many_on(self, grounds: Codes, which: NDArray[np.int64], states: NDArray[np.int64], out: NDArray[Any]) -> None:
        # As though items changed every cell.
        every = self._terrain.map._replace(place=np.arange(self.num_states, dtype=np.int32))
        codes = self._windows(every, grounds, which, states)
        spread(codes, out.reshape(states.size, len(self.plane_names), -1))

    def _codes(self, states: NDArray[np.int64]) -> Codes:
        return self._windows(self._terrain.map, *self._terrain.rows(states), self._terrain.cells(states))

    def _windows(self, world: Map, rows: Codes, which: NDArray[np.int64], cells: NDArray[np.int64]) -> Codes:
        """uint32 [N, V * V], the bits of windows around cells, where rows[which] are those that items change."""
        codes = np.empty((cells.size, self._side**2), np.uint32)
        bit = self._terrain.bit
        unseen = 1 << len(self._terrain.names)
        windows(
            world,
            rows,
            which,
            self._paths,
            cells,
            self._side,
            self._see_through,
            bit["agent"],
            unseen,
            codes,
        )
        return codes

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        if self._table is None:
            self._looks += states.size
            # A table pays once every state could have been looked from; maps may be new at every reset.
            if self._looks < self.num_states or self.num_states * int(np.prod(self._shape)) > _KEPT_BYTES:
                self._look(states, out)
                return
            table = np.empty((self.num_states, *self._shape), np.uint8)
            self._look(np.arange(self.num_states), table)
            self._table = table  # whole, for whoever reads it in another thread
        np.take(self._table, states, axis=0, out=out, mode="clip")  # "raise" would take a copy first

    def _look(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        spread(self._codes(states), out.reshape(states.size, len(self.plane_names), self._side**2))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None, "_looks": 0}


@lru_cache(maxsize=8)
def paths_of_sight(side: int) -> Paths:
    """The steps from the middle of a window to each of its cells: through the cells whose inside the line meets."""
    half = side // 2
    first: list[int] = [0]
    steps: list[tuple[int, int, int]] = []
    for k in range(side * side):
        down, right = k // side - half, k % side - half
        cells = [(0, 0), *visited(abs(down), abs(right))]
        for (r, c), (to_r, to_c) in pairwise(cells):
            row, column = (to_r, -to_r)[down < 0] + half, (to_c, -to_c)[right < 0] + half
            vertical = (2 if down > 0 else 0) if to_r > r else -1
            horizontal = (1 if right > 0 else 3) if to_c > c else -1
            steps.append((row * side + column, vertical, horizontal))
        first.append(len(steps))
    to, vertical_of, horizontal_of = np.array(steps, np.int64).T.copy()
    return Paths(np.array(first, np.int64), to, vertical_of, horizontal_of)
