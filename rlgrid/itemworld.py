"""Explicit models of maps that are more than a plain grid: with walls between cells, with keys, doors and switches.

`WalledWorld` is a grid with thin walls; its states are the cells, as in a plain grid. `ItemWorld` is the product of
position and items, of the states that can be reached (`rlgrid.items`). Neither knows what a step does: the outcomes
are those that `GridModel.to_mdp` gives, for an item world once for each set of open doors, and are then glued together:

- an outcome that comes to rest, in another cell, where an item changes, leads to that cell under the new configuration;
- its reward is that of the tile as it was before: a pickup pays its enter_reward while it lies there;
- where the world ends once all pickups are collected, the outcome that takes the last one is terminated.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.gridmodel import GridModel, TileKind
from rlgrid.items import Explored, Items
from rlgrid.mdp import MDP

_PANELS = 64  # up to so many configurations are drawn side by side, and kept as they are drawn


class Drawn(GridModel):
    """A grid as it is drawn, with walls between cells (uint8 [S], see `GridModel.to_mdp`) or none."""

    thin_walls: NDArray[np.uint8] | None = None


def _drawn(grid: GridModel, thin_walls: NDArray[np.uint8] | None) -> Drawn:
    result = Drawn(
        grid.tiles,
        grid.kinds,
        gamma=grid.gamma,
        actions=grid.actions,
        slip=grid.slip,
        column_wind=grid.column_wind,
        row_wind=grid.row_wind,
        gust=grid.gust,
        start=dict(zip(grid.start_states.tolist(), grid.start_probability.tolist(), strict=True)),
    )
    result.thin_walls = thin_walls
    return result


def _copied(mdp: MDP) -> dict[str, Any]:
    """The arguments of MDP's constructor that are arrays."""
    names = ("num_states", "num_actions", "offsets", "next_state", "probability", "reward", "terminated")
    return {name: getattr(mdp, name) for name in names}


def _as_text(grid: GridModel, thin: NDArray[np.uint8] | None, cell: int | None) -> str:
    """The map, two characters a cell, thin walls as bars and low lines, brackets around a cell."""
    lines: list[list[str]] = []
    width = grid.shape[1]
    for row in range(grid.shape[0]):
        line = [" "]
        below = [" "] * (2 * width + 1)
        for column in range(width):
            state = row * width + column
            character = grid.kind_of(state).character
            line += [character if character.strip() else ".", "|" if thin is not None and thin[state] & 1 else " "]
            if thin is not None and thin[state] & 2:
                below[2 * column + 1] = "-"
        if cell is not None and cell // width == row:
            line[2 * (cell % width)], line[2 * (cell % width) + 2] = "[", "]"
        lines.append(line)
        if "-" in below:
            lines.append(below)
    return "".join("".join(line).rstrip() + "\n" for line in lines)


class WalledWorld(MDP):
    """A grid with walls between cells; states are row * width + column.

    Attributes:
        grid: the grid without them. thin_walls: uint8 [S], see `GridModel.to_mdp`.
        actions: names of the moves. name, citation: of the map.
    """

    def __init__(self, grid: GridModel, thin_walls: NDArray[np.uint8]) -> None:
        mdp = grid.to_mdp(thin_walls)
        super().__init__(
            **_copied(mdp), gamma=mdp.gamma, start=mdp.start, shape=mdp.shape, max_episode_steps=mdp.max_episode_steps
        )
        self.grid, self.thin_walls = grid, thin_walls
        self.actions, self.name, self.citation = grid.actions, grid.name, grid.citation

    @property
    def walls(self) -> NDArray[np.bool_]:
        """bool [S]: the cells that are walls."""
        return self.grid.walls

    def picture(self, state: int | None) -> tuple[GridModel, int | None]:
        """(the grid that is drawn, the cell of the agent)."""
        return self._panel, state

    @cached_property
    def _panel(self) -> GridModel:
        return _drawn(self.grid, self.thin_walls)

    def text(self, state: int | None) -> str:
        """The map as text, with brackets around the agent's cell."""
        return _as_text(self.grid, self.thin_walls, state)


class ItemWorld(MDP):
    """A grid with keys, doors, switches or pickups: its states are (row, column, names of the items that are on).

    A name is on where its key is held (or was, if a door uses it up), its switch is on, its pickup was taken or its
    door was opened. `states` lists them: first those with fewer items on, within them row by row.

    Attributes:
        map_shape: (rows, columns) of the map. items: what can be on, in order.
        configurations: how many sets of items can be on. thin_walls: uint8 [cells] or None.
        actions: names of the moves. name, citation: of the map.
    """

    def __init__(
        self,
        items: Items,
        found: Explored,
        grid_of: Callable[[tuple[int, ...], tuple[int, ...]], GridModel],
        thin_walls: NDArray[np.uint8] | None,
        ended: Callable[[int], bool],
    ) -> None:
        self._bits, self._found, self._grid_of, self.thin_walls = items, found, grid_of, thin_walls
        self._panels: dict[int, GridModel] = {}  # what was drawn last, by configuration
        plain = grid_of((), ())
        self.map_shape, self.items = plain.shape, tuple(items.names)
        self.actions, self.name, self.citation = plain.actions, plain.name, plain.citation
        self.configurations = len(found.configurations)
        self._number = {configuration: i for i, configuration in enumerate(found.configurations)}
        columns = plain.shape[1]
        labels: list[tuple[int, int, tuple[str, ...]]] = []
        for i, configuration in enumerate(found.configurations):
            on = items.on(configuration)
            labels += [(*divmod(cell, columns), on) for cell in self._cells(i).tolist()]
        start = np.zeros(found.cells.size)
        start[found.starts] = plain.start_probability
        super().__init__(
            found.cells.size,
            plain.num_actions,
            **self._glued(plain.num_actions, ended),
            gamma=plain.gamma,
            start=start,
            states=labels,
            max_episode_steps=plain.max_episode_steps,
        )

    def _cells(self, number: int) -> NDArray[np.int64]:
        return self._found.cells[self._found.first[number] : self._found.first[number + 1]]

    def _glued(self, num_actions: int, ended: Callable[[int], bool]) -> dict[str, Any]:
        items, found = self._bits, self._found

        @lru_cache(maxsize=8)
        def grids(closed: tuple[int, ...]) -> tuple[MDP, NDArray[np.float64]]:
            """The grid with these doors closed and all pickups in place, and the rewards where all are gone."""
            everything = tuple(items.gone(-1))
            present = self._grid_of(closed, ()).to_mdp(self.thin_walls)
            return present, self._grid_of(closed, everything).to_mdp(self.thin_walls).reward

        parts: list[tuple[NDArray[Any], ...]] = []
        for number, configuration in enumerate(found.configurations):
            cells = self._cells(number)
            own = np.arange(found.first[number], found.first[number + 1])
            if ended(configuration):  # over: as terminal cells are
                same = np.repeat(own, num_actions)
                parts.append((np.ones(same.size, np.int64), same, np.ones(same.size), 0.0 * same, same >= 0))
                continue
            mdp, without = grids(items.closed(configuration))
            pairs = (cells[:, None] * num_actions + np.arange(num_actions)).ravel()
            sizes = (mdp.offsets[pairs + 1] - mdp.offsets[pairs]).astype(np.int64)
            ends = np.cumsum(sizes)
            taken = np.arange(ends[-1]) + np.repeat(mdp.offsets[pairs] - (ends - sizes), sizes)
            to = mdp.next_state[taken].astype(np.int64)
            gone = np.zeros(mdp.num_states, np.bool_)
            gone[items.gone(configuration)] = True
            reward = np.where(gone[to], without[taken], mdp.reward[taken])
            terminated = mdp.terminated[taken].copy()
            rank = np.zeros(mdp.num_states, np.int64)
            rank[cells] = own
            following = rank[to]
            moved = to != np.repeat(np.repeat(cells, num_actions), sizes)
            for cell in items.cells:
                after = items.after(configuration, cell)
                here = np.flatnonzero(moved & (to == cell)) if after != configuration else ()
                if len(here):
                    there = self._number[after]
                    following[here] = found.first[there] + np.searchsorted(self._cells(there), cell)
                    terminated[here] |= ended(after)
            parts.append((sizes, following, mdp.probability[taken], reward, terminated))
        sizes, following, probability, reward, terminated = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return {
            "offsets": np.concatenate([[0], np.cumsum(sizes)]),
            "next_state": following.astype(np.int32),
            "probability": probability,
            "reward": reward,
            "terminated": terminated,
        }

    # --- states -----------------------------------------------------------------------------------------------------

    @property
    def bits(self) -> Items:
        """What of the map changes; an item's name is on where its bit of the configuration is 1."""
        return self._bits

    @property
    def cells(self) -> NDArray[np.int64]:
        """int64 [S]: the cell of each state, row * columns + column."""
        return self._found.cells

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """int32 [S]: the number of each state's configuration, in the order of `configuration`."""
        return np.repeat(np.arange(self.configurations, dtype=np.int32), np.diff(self._found.first))

    def configuration(self, number: int) -> int:
        """The items of the configuration of a number, as bits."""
        return self._found.configurations[number]

    def grid_in(self, configuration: int) -> GridModel:
        """The grid in a configuration: closed doors are walls, what was taken is gone."""
        return self._grid_of(self._bits.closed(configuration), tuple(self._bits.gone(configuration)))

    def cell_of(self, state: int) -> tuple[int, int]:
        """(row, column) of a state."""
        return divmod(int(self._found.cells[state]), self.map_shape[1])

    def items_of(self, state: int) -> tuple[str, ...]:
        """The names of the items that are on in a state."""
        return self._bits.on(self._configuration_of(state))

    def _configuration_of(self, state: int) -> int:
        return self._found.configurations[int(np.searchsorted(self._found.first, int(state), side="right")) - 1]

    def state_of(self, *where: Any, **items: bool) -> int:
        """The state of a cell, given as (row, column), with the items named on (``red=True``) and all others off.

        A label, as in `states`, will do as well.

        Raises:
            ValueError: if there is no such item, or the state cannot be reached from a start.
        """
        if len(where) == 1 and not items:
            return super().state_of(*where)
        if len(where) != 2:
            raise TypeError(f"state_of takes a row, a column and items by name, not {where!r}")
        for name in items:
            if name not in self.items:
                near = difflib.get_close_matches(name, self.items, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.items) or 'none'}"
                raise ValueError(f"the map has no item {name!r}: {hint}")
        configuration = sum(1 << i for i, name in enumerate(self.items) if items.get(name))
        row, column = where
        number = self._number.get(configuration)
        inside = 0 <= row < self.map_shape[0] and 0 <= column < self.map_shape[1]
        if number is not None and inside:
            cell = int(row) * self.map_shape[1] + int(column)
            at = int(np.searchsorted(self._cells(number), cell))
            if at < self._cells(number).size and self._cells(number)[at] == cell:
                return int(self._found.first[number]) + at
        on = ", ".join(name for name in self.items if items.get(name)) or "nothing"
        raise ValueError(f"row {row}, column {column} with {on} on cannot be reached from a start")

    # --- pictures ---------------------------------------------------------------------------------------------------

    def picture(self, state: int | None) -> tuple[GridModel, int | None]:
        """(the grid that is drawn for a state, the cell of the agent): open doors are floor, what was taken is gone."""
        configuration = 0 if state is None else self._configuration_of(state)
        if configuration not in self._panels:
            if len(self._panels) >= _PANELS:
                self._panels.clear()
            self._panels[configuration] = _drawn(self.grid_in(configuration), self.thin_walls)
        return self._panels[configuration], None if state is None else int(self._found.cells[state])

    def text(self, state: int | None) -> str:
        """The map as text, with brackets around the agent's cell, under the names of what is on."""
        if state is None:
            return _as_text(self.grid_in(0), self.thin_walls, None)
        grid = self.grid_in(self._configuration_of(state))
        on = ", ".join(self.items_of(state)) or "nothing"
        row, column = self.cell_of(state)
        return f"row {row}, column {column}, {on} on\n{_as_text(grid, self.thin_walls, int(self._found.cells[state]))}"

    @cached_property
    def sheet(self) -> tuple[GridModel, NDArray[np.int64]] | None:
        """(a grid with a panel for each configuration, the cell in it of each state), for pictures of whole tables.

        None where there are more than 64 configurations.
        """
        if self.configurations > _PANELS:
            return None
        height, width = self.map_shape
        across = int(np.ceil(np.sqrt(self.configurations * (height + 1) / (width + 1))))
        across = max(1, min(across, self.configurations))
        down = -(-self.configurations // across)
        plain = self.grid_in(0)
        # Cells have other numbers here, and nobody moves: teleports are drawn alone.
        kinds = [replace(kind, enter_to=None, leave_to=None) for kind in plain.kinds]
        kinds.append(TileKind("border", wall=True, glyph="wall"))
        shape = down * (height + 1) - 1, across * (width + 1) - 1
        tiles = np.full(shape, len(kinds) - 1, np.int64)
        thin = np.zeros(shape, np.uint8)
        cells = np.empty(self.num_states, np.int64)
        for number, configuration in enumerate(self._found.configurations):
            row, column = (number // across) * (height + 1), (number % across) * (width + 1)
            tiles[row : row + height, column : column + width] = self.grid_in(configuration).tiles
            if self.thin_walls is not None:
                thin[row : row + height, column : column + width] = self.thin_walls.reshape(height, width)
            own = self._cells(number)
            at = (row + own // width) * shape[1] + column + own % width
            cells[self._found.first[number] : self._found.first[number + 1]] = at
        result = Drawn(
            tiles,
            kinds,
            actions=plain.actions,
            start=dict(zip(cells[self.start_states].tolist(), self.start_probability.tolist(), strict=True)),
        )
        result.thin_walls = thin.ravel() if thin.any() else None
        return result, cells
