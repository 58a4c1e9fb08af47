"""Keys, doors, switches and pickups: what of a world changes while an episode goes on, and which states that gives.

Each of these is a bit: a key is held, a switch is on, a pickup was taken, a door that uses up its key was opened. All
bits together are a *configuration*, an integer. Between two changes the world is a plain grid, in which closed doors
are walls; a cell changes the configuration when the agent comes to rest in it, having entered it from another cell:

- a key's cell sets its bit. Keys of one name are one bit, unless some door uses that key up: then each is its own.
- a switch's cell turns the bit over, or (`stays_on`) sets it.
- a pickup's cell sets its bit, one for each cell; its enter_reward is paid while the bit is off.
- a door that uses up its key is passable once opened and while more keys are held than doors were opened; entering it
  sets its bit. Any other door is passable while its key is held or its switch is on.

`explore` finds the states (configuration, cell) that can be reached from the starts, and the steps between them, by a
search that stops with an error at `MAX_STATES` states or `MAX_CONFIGURATIONS` configurations.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.maperrors import Wrong
from rlgrid.mapvalues import Tile

MAX_ITEMS = 64
"""The most keys, switches, pickups and doors that use up their key of one map."""

MAX_ITEM_CELLS = 100_000
"""The most cells of a map with items."""

MAX_STATES = 1_000_000
"""The most states of position and items."""

MAX_CONFIGURATIONS = 16_384
"""The most configurations of the items."""

_LESS = "leave out some keys, switches or pickups"
_KEPT_CELLS = 4_000_000  # cells whose steps are kept at a time, over all sets of open doors

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Door:
    """A door's cell, the bits of its keys or its switch, and those of doors that use up the same key."""

    cell: int
    openers: int  # mask of bits: its key or keys, or its switch
    used: int  # mask of bits: all doors that use up this key, 0 for a switch
    own: int  # the bit that says that it was opened, 0 where it uses up nothing


class Items:
    """The items of a map.

    Attributes:
        names: of each bit, in order.
        doors: every door. pickups: mask of the pickups' bits.
        cells: cell to what coming to rest there does: ("set" or "turn" or "open", bit).
        spent: bits whose key or pickup is gone from its cells: bit to the cells.
    """

    def __init__(self, rows: Sequence[str], tiles: dict[str, Tile]) -> None:
        width = len(rows[0])
        self.names: list[str] = []
        self.doors: list[Door] = []
        self.pickups = 0
        self.cells: dict[int, tuple[str, int]] = {}
        self.spent: dict[int, list[int]] = {}
        places = {
            c: [r * width + i for r, row in enumerate(rows) for i, character in enumerate(row) if character == c]
            for c, tile in tiles.items()
            if tile.item is not None
        }
        used_up = {tile.door for tile in tiles.values() if tile.consumes_key}
        openers: dict[str, int] = {}
        groups: dict[tuple[str, str], list[int]] = {}
        for c, cells in places.items():
            tile = tiles[c]
            kind = "key" if tile.key else "switch" if tile.switch else "pickup" if tile.pickup else "door"
            if kind != "door" or tile.consumes_key:
                groups.setdefault((kind, str(tile.item)), []).extend(cells)
        latched = {tile.switch: tile.stays_on for tile in tiles.values() if tile.switch}
        opened: dict[int, int] = {}
        for (kind, name), cells in groups.items():
            cells.sort()
            shared = kind == "switch" or (kind == "key" and name not in used_up)
            named = f"{name}_door" if kind == "door" else name
            for part in [cells] if shared else [[cell] for cell in cells]:
                bit = 1 << len(self.names)
                own = named if shared or len(cells) == 1 else "{}_{}_{}".format(named, *divmod(part[0], width))
                if own in self.names:
                    raise Wrong(("legend",), f"two items would be called {own!r}: rename one of them in the legend")
                self.names.append(own)
                if len(self.names) > MAX_ITEMS:
                    raise Wrong(("map",), f"the map has more than {MAX_ITEMS} items: leave some out")
                does = "open" if kind == "door" else "turn" if kind == "switch" and not latched[name] else "set"
                self.cells.update(dict.fromkeys(part, (does, bit)))
                if kind in ("key", "pickup"):
                    self.spent[bit] = part
                if kind in ("key", "switch"):
                    openers[name] = openers.get(name, 0) | bit
                elif kind == "pickup":
                    self.pickups |= bit
                else:
                    opened[part[0]] = bit
        lock = {cell: door for c, cells in places.items() if (door := tiles[c].door) for cell in cells}
        for cell, door in lock.items():
            used = sum(bit for other, bit in opened.items() if lock[other] == door)
            self.doors.append(Door(cell, openers.get(door, 0), used, opened.get(cell, 0)))

    def after(self, configuration: int, cell: int) -> int:
        """The configuration once the agent has come to rest in a cell."""
        does, bit = self.cells.get(cell, ("set", 0))
        return configuration ^ bit if does == "turn" else configuration | bit

    def closed(self, configuration: int) -> tuple[int, ...]:
        """The cells of the doors that are walls."""
        return tuple(
            door.cell
            for door in self.doors
            if not configuration & door.own
            and (configuration & door.openers).bit_count() <= (configuration & door.used).bit_count()
        )

    def gone(self, configuration: int) -> list[int]:
        """The cells whose key or pickup was taken."""
        return [cell for bit, cells in self.spent.items() if configuration & bit for cell in cells]

    def on(self, configuration: int) -> tuple[str, ...]:
        """The names of the bits that are set."""
        return tuple(name for i, name in enumerate(self.names) if configuration >> i & 1)


@dataclass(frozen=True)
class Explored:
    """The states that can be reached, numbered by configuration (fewest bits first, then as integers), then by cell.

    Attributes:
        configurations: C integers. first: int64 [C + 1], the number of the first state of each.
        cells: int64 [S]. origin, to: int32 [E] each, the steps between different states.
        starts: int64 [B], those of the start cells in their order.
    """

    configurations: list[int]
    first: Ints
    cells: Ints
    origin: NDArray[np.int32]
    to: NDArray[np.int32]
    starts: Ints


def explore(
    items: Items,
    steps: Callable[[tuple[int, ...]], tuple[Any, Any]],
    starts: Sequence[int],
    num_cells: int,
    ended: Callable[[int], bool],
) -> Explored:
    """Every state that can be reached from the start cells with no bit set.

    Args:
        items: of the map. starts: the start cells. num_cells: of the map.
        steps: from the cells that are closed doors to the steps of the grid, (from, to) (`rlgrid.reach.steps`).
        ended: whether the episode is over in a configuration.

    Raises:
        Wrong: if there are more than `MAX_STATES` states or `MAX_CONFIGURATIONS` configurations.
    """
    number: dict[int, dict[int, int]] = {0: {cell: i for i, cell in enumerate(starts)}}
    pending: dict[int, list[int]] = {0: list(starts)}
    origin, to = array("i"), array("i")
    count = len(starts)
    kept: dict[tuple[int, ...], tuple[Any, Any]] = {}
    while pending:
        configuration, todo = pending.popitem()
        if ended(configuration):
            continue
        closed = items.closed(configuration)
        if closed not in kept:
            if (len(kept) + 1) * num_cells > _KEPT_CELLS:
                kept.clear()
            heads, tails = steps(closed)
            order = np.argsort(heads, kind="stable")
            offsets = np.searchsorted(heads[order], np.arange(num_cells + 1))
            kept[closed] = offsets, tails[order]
        offsets, tails = kept[closed]
        changed = {c: n for c in items.cells if (n := items.after(configuration, c)) != configuration}
        here = number[configuration]
        while todo:
            cell = todo.pop()
            own = here[cell]
            for target in tails[offsets[cell] : offsets[cell + 1]].tolist():
                following = changed.get(target, configuration)
                known = here if following == configuration else number.setdefault(following, {})
                found = known.get(target)
                if found is None:
                    found = known[target] = count
                    count += 1
                    (todo if known is here else pending.setdefault(following, [])).append(target)
                    if count > MAX_STATES:
                        raise Wrong(
                            ("map",), f"the world has more than {MAX_STATES} states of position and items: {_LESS}"
                        )
                    if len(number) > MAX_CONFIGURATIONS:
                        raise Wrong(("map",), f"the world has more than {MAX_CONFIGURATIONS} sets of items: {_LESS}")
                origin.append(own)
                to.append(found)
    configurations = sorted(number, key=lambda configuration: (configuration.bit_count(), configuration))
    final = np.empty(count, np.int32)
    cells = np.empty(count, np.int64)
    first = np.zeros(len(configurations) + 1, np.int64)
    for i, configuration in enumerate(configurations):
        known = number[configuration]
        own_cells = np.fromiter(known, np.int64, len(known))
        order = np.argsort(own_cells)
        first[i + 1] = first[i] + own_cells.size
        final[np.fromiter(known.values(), np.int64, len(known))[order]] = np.arange(first[i], first[i + 1])
        cells[first[i] : first[i + 1]] = own_cells[order]
    return Explored(
        configurations,
        first,
        cells,
        final[np.frombuffer(origin, np.int32)] if origin else np.zeros(0, np.int32),
        final[np.frombuffer(to, np.int32)] if to else np.zeros(0, np.int32),
        final[: len(starts)].astype(np.int64),
    )
