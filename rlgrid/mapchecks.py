"""Whether a map makes sense as a task: its shape, its characters and teleports, its items, and what can be reached.

Reachability is that of the model's dynamics (slip, wind, teleports and items included), with every outcome of positive
probability counted. A world without terminal cells is legal. Where there are some, each that pays a positive entry
reward must be reachable from some start, and from each start some terminal must be reachable. Floor that is walled in
is legal.

Every function takes a spec whose single values have been checked, and raises `Wrong` with what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid import mapvalues, thinwalls
from rlgrid.items import MAX_ITEM_CELLS
from rlgrid.maperrors import Wrong
from rlgrid.mapvalues import DEFAULT_LEGEND, ITEM_KEYS, MAX_CELLS
from rlgrid.reach import reached, steps
from rlgrid.tomltext import dotted

if TYPE_CHECKING:
    from rlgrid.gridmap import GridSpec


def check_map(spec: GridSpec) -> None:
    """The rows are a rectangle of known characters, of a size that fits, and the winds fit it."""
    rows = spec.rows
    if not rows or not any(rows):
        raise Wrong(("map",), "the map is empty: write at least one row, such as S.G")
    lengths = [len(row) for row in rows]
    width = Counter(lengths).most_common(1)[0][0]
    if sum(lengths) > MAX_CELLS:
        raise Wrong(
            ("map",),
            f"the map has {sum(lengths)} cells, more than {MAX_CELLS}: make a world of this size from arrays, with "
            "rlgrid.GridModel",
        )
    for r, row in enumerate(rows):
        if len(row) == width:
            continue
        if len(row) > width:
            hint = f"{len(row) - width} too many: remove them, or lengthen the other rows"
        elif r == len(rows) - 1 and not row.strip():
            hint = "put the quotes that close the map at the beginning of their line"
        else:
            hint = f"{width - len(row)} too few: fill the row up, with '.' for floor or '#' for wall"
        raise Wrong(
            ("map",),
            f"row {r} of the map has {len(row)} characters, the others {width}; {hint}",
            cell=(r, min(len(row), width)),
        )
    known = {**DEFAULT_LEGEND, **spec.legend}
    for r, row in enumerate(rows):
        for c in sorted(set(row) - known.keys(), key=row.index)[:1]:
            if c.isprintable():
                hint = f"write what it is under [legend], such as {dotted((c,))} = {{ wall = true }}, or use one of "
                hint += " ".join(sorted(known.keys() - {" "}))
            else:
                hint = "the map is made of printable characters; write '.' for floor"
            at = (r, row.index(c))
            raise Wrong(("map",), f"unknown character {c!r} at row {at[0]}, column {at[1]} of the map: {hint}", cell=at)
    winds = (("column_wind", "columns", width), ("row_wind", "rows", len(rows)))
    for name, key, size in winds:
        spec.__dict__[name] = mapvalues.wind(getattr(spec, name), ("wind", key), size, key)
    spec.__dict__["walls"] = thinwalls.edges_of(spec.walls, ("walls",), rows)
    if spec.gust is not None and spec.column_wind is None and spec.row_wind is None:
        raise Wrong(
            ("wind", "gust"), "a gust is added to a wind that blows, and none does: give columns or rows", key=True
        )


def _find(rows: Sequence[str], character: str) -> list[tuple[int, int]]:
    """Every cell with a character."""
    return [(r, m.start()) for r, row in enumerate(rows) for m in re.finditer(re.escape(character), row)]


def check_tiles(spec: GridSpec) -> None:
    """There is a start, and teleports lead to a cell, those of characters that the map lacks (so far) included."""
    height, width = len(spec.rows), len(spec.rows[0])
    for c, tile in spec.legend.items():
        for key in ("enter_to", "leave_to"):
            to = getattr(tile, key)
            where = ("legend", c, key)
            if isinstance(to, str):
                cells = _find(spec.rows, to)
                if len(cells) != 1:
                    raise Wrong(
                        where,
                        f"{dotted(where)}: {to!r} stands in the map {len(cells)} times; it must name one cell: use a "
                        "character of its own, or write [row, column]",
                    )
                to = cells[0]
            if to is None:
                continue
            if not (to[0] < height and to[1] < width):
                raise Wrong(
                    where,
                    f"{dotted(where)} = [{to[0]}, {to[1]}] is outside the map: rows are 0 to {height - 1}, columns "
                    f"0 to {width - 1}",
                )
            if spec.tiles[spec.rows[to[0]][to[1]]].wall:
                raise Wrong(
                    where, f"{dotted(where)} leads into a wall, at row {to[0]}, column {to[1]}: name a free cell"
                )
            there = spec.tiles[spec.rows[to[0]][to[1]]]
            if there.door or (key == "enter_to" and there.item):
                what = next(name for name in ITEM_KEYS if getattr(there, name))
                raise Wrong(
                    where, f"{dotted(where)} leads to a {what}, at row {to[0]}, column {to[1]}: name a plain cell"
                )
    starts = [c for c, tile in spec.tiles.items() if tile.start > 0]
    if not starts:
        raise Wrong(
            ("map",),
            "there is no start: put an S where the episode begins, or give characters a weight, such as "
            '"." = { start = 1 } under [legend]',
            cell=(0, 0),
        )
    if "S" in starts and "S" not in spec.legend and len(cells := _find(spec.rows, "S")) > 1:
        first, second = cells[:2]
        raise Wrong(
            ("map",),
            f"a second start S at row {second[0]}, column {second[1]} (the first is at row {first[0]}, column "
            f"{first[1]}): remove one, or write S = {{ start = 1 }} under [legend] to begin in any of them",
            cell=second,
        )


def check_items(spec: GridSpec) -> None:
    """Every door has its key or switch and the other way round; one name is one thing."""
    uses: dict[str, str] = {}
    doors = {tile.door: c for c, tile in spec.legend.items() if tile.door}
    for c, tile in spec.legend.items():
        for kind in ("key", "switch", "pickup"):
            name = getattr(tile, kind)
            where = ("legend", c, kind)
            if name is None:
                continue
            if uses.setdefault(name, kind) != kind:
                raise Wrong(where, f"{name!r} is a {uses[name]} and a {kind}: give them different names")
            if kind != "pickup" and name not in doors:
                near = difflib.get_close_matches(name, doors, 1)
                hint = f"did you mean {near[0]!r}?" if near else f'write a tile with door = "{name}", or remove it'
                raise Wrong(where, f"{dotted(where)}: no door has the name {name!r}: {hint}")
    for name, c in doors.items():
        tile = spec.legend[c]
        where = ("legend", c, "door")
        if uses.get(str(name)) not in ("key", "switch"):
            near = difflib.get_close_matches(str(name), [n for n, kind in uses.items() if kind != "pickup"], 1)
            hint = f"did you mean {near[0]!r}?" if near else f'write a tile with key = "{name}" or switch = "{name}"'
            raise Wrong(where, f"{dotted(where)}: no key or switch has the name {name!r}: {hint}")
        if any(each.consumes_key and each.door == name for each in spec.legend.values()) and uses[str(name)] != "key":
            raise Wrong(where, f"{dotted(where)}: {name!r} is a switch, which cannot be consumed", key=True)
    latches = {(tile.switch, tile.stays_on) for tile in spec.legend.values() if tile.switch}
    if len(latches) > len({name for name, _ in latches}):
        c = next(c for c, tile in spec.legend.items() if tile.switch and (tile.switch, not tile.stays_on) in latches)
        raise Wrong(("legend", c), "the switch stays on in one entry and not in another: write the same in both")
    cells = sum(map(len, spec.rows))
    if spec._items is not None and cells > MAX_ITEM_CELLS:
        raise Wrong(("map",), f"a map with items has at most {MAX_ITEM_CELLS} cells, this one has {cells}")
    if spec.ends_when_collected and (spec._items is None or not spec._items.pickups):
        raise Wrong(
            ("ends_when_collected",), 'the map has no pickups: write a tile with pickup = "coin", or remove this'
        )


def check_item_goals(spec: GridSpec) -> None:
    """What `_check_goals` asks, of the states of position and items."""
    found, width = spec._explored, len(spec.rows[0])
    starts = found.starts

    def at(cell: Any) -> str:
        row, column = divmod(int(cell), width)
        return f"{spec.rows[row][column]!r} at row {row}, column {column}"

    leaves = np.zeros(found.cells.size, np.bool_)
    leaves[found.origin] = True
    stuck = found.cells[starts[~leaves[starts]]]
    if stuck.size:
        cell = divmod(int(stuck[0]), width)
        raise Wrong(("map",), f"the start {at(stuck[0])} is walled in, no action leaves it: open a way out", cell=cell)
    kinds = spec._parts[0]
    tiles = list(spec.tiles.values())
    terminal = np.array([tile.terminal for tile in tiles])[kinds]
    ends = terminal[found.cells]
    for number, configuration in enumerate(found.configurations):
        if spec._is_over(configuration):
            ends[found.first[number] : found.first[number + 1]] = True
    if not terminal.any() and not spec.ends_when_collected:
        return
    if not ends.any():
        if terminal.any():
            lost_cell = int(np.flatnonzero(terminal)[0])
            message = f"no start can reach {at(lost_cell)}, nor any other end: open a way to it"
        else:
            lost_cell = int(found.cells[starts[0]])
            message = f"from the start {at(lost_cell)} the pickups cannot all be reached: open a way to them"
        raise Wrong(("map",), message, cell=divmod(lost_cell, width))
    pays = np.array([tile.terminal and tile.payment > 0 for tile in tiles])[kinds]
    pays[found.cells] = False
    if pays.any():
        lost_cell = int(np.flatnonzero(pays)[0])
        message = f"no start can reach the goal {at(lost_cell)}: open a way to it, or remove it"
        raise Wrong(("map",), message, cell=divmod(lost_cell, width))
    back = reached(found.to, found.origin, np.flatnonzero(ends), found.cells.size)
    lost = found.cells[starts[~back[starts]]]
    if lost.size:
        message = f"from the start {at(lost[0])} no end of the episode can be reached: open a way to one"
        raise Wrong(("map",), message, cell=divmod(int(lost[0]), width))


def check_goals(spec: GridSpec) -> None:
    """No start is walled in, every paying terminal is reachable, and from every start some terminal."""
    model = spec._grid
    width = model.shape[1]
    origin, to = steps(model, thinwalls.mask_of(spec.walls, *model.shape))
    leaves = np.zeros(model.num_states, np.bool_)
    leaves[origin] = True
    stuck = model.start_states[~leaves[model.start_states]]

    def cell(state: Any) -> tuple[int, int]:
        row, column = divmod(int(state), width)
        return row, column

    def at(state: Any) -> str:
        row, column = cell(state)
        return f"{spec.rows[row][column]!r} at row {row}, column {column}"

    if stuck.size:
        raise Wrong(
            ("map",),
            f"the start {at(stuck[0])} is walled in, no action leaves it: open a way out",
            cell=cell(stuck[0]),
        )
    tiles = list(spec.tiles.values())
    kinds = model.tiles.ravel()
    ends: NDArray[np.bool_] = np.array([tile.terminal for tile in tiles])[kinds]
    if not ends.any():
        return
    seen = reached(origin, to, model.start_states, model.num_states)
    if not (ends & seen).any():
        state = np.flatnonzero(ends)[0]
        raise Wrong(("map",), f"no start can reach {at(state)}, nor any other end: open a way to it", cell=cell(state))
    pays: NDArray[np.bool_] = np.array([tile.terminal and tile.payment > 0 for tile in tiles])[kinds]
    lost = np.flatnonzero(pays & ~seen)
    if lost.size:
        raise Wrong(
            ("map",),
            f"no start can reach the goal {at(lost[0])}: open a way to it, or remove it",
            cell=cell(lost[0]),
        )
    back = reached(to, origin, np.flatnonzero(ends), model.num_states)
    lost = model.start_states[~back[model.start_states]]
    if lost.size:
        raise Wrong(
            ("map",),
            f"from the start {at(lost[0])} no end of the episode can be reached: open a way to one",
            cell=cell(lost[0]),
        )
