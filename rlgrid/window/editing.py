"""Painting maps: a map and cells to be painted in, the changed map out. Nothing here knows of a screen.

    spec = draft_of(GridSpec.builtin("four_rooms"))
    spec = painted(spec, [(3, 3), (3, 4)], BRUSHES["wall"])

A brush is one thing that the map language (docs/maps.md) can say of a cell, with an amount where it has one. The
character for it is one that the map has already, if there is any of that meaning, or a new one with an entry of the
legend. Wind belongs to columns and rows, walls between cells to two of them; a start that stands alone is moved.

A map in the making is a `Draft`: a spec whose goals need not be within reach. `trouble` says what is still missing
for it to be saved, or "". All else that the map language refuses is refused here: `MapError`, which says why.

`Editor` keeps the map with what undo and redo need, bounded in number; rows that two versions share are kept once.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rlgrid import mapchecks, maptext
from rlgrid.gridmap import GridSpec, MapError
from rlgrid.gridmodel import Slip
from rlgrid.maperrors import Wrong
from rlgrid.mapvalues import DEFAULT_LEGEND, MAX_WIND, Tile
from rlgrid.thinwalls import Edges

Cell = tuple[int, int]

SIDES: tuple[tuple[str, str, Cell], ...] = (
    ("↑", "up", (-1, 0)),
    ("→", "right", (0, 1)),
    ("↓", "down", (1, 0)),
    ("←", "left", (0, -1)),
)
METALS = ("brass", "iron", "silver", "gold")  # that keys and their doors are of
KEPT = 300  # strokes that can be undone
MAX_SIDE = 200  # cells of a side of a map that is made in the window

# New characters of the legend, in this order; none of them means anything without an entry.
_CHARACTERS: list[str] = [
    c
    for c in (*string.ascii_letters, *string.digits, *map(chr, range(0xC0, 0x250)), *map(chr, range(0x391, 0x3CA)))
    if c.isprintable() and c not in DEFAULT_LEGEND
]


class Draft(GridSpec):
    """A map in the making, whose goals need not be within reach of a start."""

    def _check(self) -> None:
        mapchecks.check_map(self)
        mapchecks.check_tiles(self)
        mapchecks.check_items(self)


@dataclass(frozen=True)
class Amount:
    """The number of a brush: from ``low`` to ``high`` in steps, and ``words`` for its values where they are not
    numbers."""

    label: str
    low: float
    high: float
    initial: float
    step: float = 1.0
    words: tuple[str, ...] = ()

    def at(self, part: float) -> float:
        """The amount at a place of its slider in [0, 1]."""
        steps = round(min(1.0, max(0.0, part)) * (self.high - self.low) / self.step)
        return round(self.low + steps * self.step, 6)

    def part(self, amount: float) -> float:
        """Where the slider stands at an amount."""
        return (amount - self.low) / (self.high - self.low)

    def shown(self, amount: float) -> str:
        """The amount in words."""
        return self.words[int(amount)] if self.words else f"{amount:g}".replace("-", "−")


@dataclass(frozen=True)
class Brush:
    """What can be painted.

    Attributes:
        key, title: its name for programs and for people. does: what the tile does, in a few words.
        glyph: as it is drawn, out of `rlgrid.mapvalues.GLYPHS` and a few of the palette's own.
        tile: what it is at an amount; None for those that are no tile of the legend.
        preferred: the character that is taken for it if that is free, or means the same.
    """

    key: str
    title: str
    does: str
    glyph: str
    tile: Callable[[float], Tile] | None = None
    preferred: str = ""
    amount: Amount | None = None
    character: str = ""  # of a brush that paints this character as it is


def _pay(low: float = -10.0, high: float = 10.0, initial: float = 1.0) -> Amount:
    return Amount("Pays", low, high, initial, 0.5)


def _iced(side: float) -> Tile:
    return Tile(slip=Slip(round(1.0 - 2.0 * side, 9), side, side), name="ice")  # 0.4 in the file, and not 0.39...97


def _reward(pays: float) -> Tile:
    return Tile(enter_reward=pays, name="reward" if pays >= 0 else "penalty", glyph=None if pays > 0 else "pit")


_METAL = Amount("Of", 0, len(METALS) - 1, 0, 1.0, METALS)
_SIDE = Amount("Towards", 0, 3, 1, 1.0, tuple(mark for mark, _, _ in SIDES))

BRUSHES: dict[str, Brush] = {
    brush.key: brush
    for brush in (
        Brush("wall", "Wall", "nobody gets in", "wall", lambda _: Tile(wall=True, name="wall"), "#"),
        Brush("floor", "Floor", "the map's own floor", "floor", lambda _: Tile(name="floor"), "."),
        Brush(
            "goal",
            "Goal",
            "ends the episode",
            "goal",
            lambda a: Tile(terminal=True, enter_reward=a, name="goal", glyph="goal"),
            "G",
            _pay(),
        ),
        Brush(
            "pit",
            "Pit",
            "ends the episode",
            "pit",
            lambda a: Tile(terminal=True, enter_reward=a, name="pit", glyph="pit"),
            "H",
            _pay(initial=-1.0),
        ),
        Brush("ice", "Ice", "moves from it slip", "ice", _iced, "~", Amount("Slip, each side", 0.05, 0.45, 0.3, 0.05)),
        Brush("reward", "Reward", "pays at each entry", "reward", _reward, "r", _pay()),
        Brush("start", "Start", "episodes begin here", "start", lambda _: Tile(start=1.0, name="start"), "S"),
        Brush(
            "coin",
            "Coin",
            "pays once",
            "reward",
            lambda a: Tile(pickup="coin", enter_reward=a, name="coin"),
            "c",
            _pay(0.0),
        ),
        Brush(
            "key",
            "Key",
            "opens its doors",
            "key",
            lambda a: Tile(key=METALS[int(a)], name=f"{METALS[int(a)]} key"),
            "k",
            _METAL,
        ),
        Brush(
            "door",
            "Door",
            "a wall without its key",
            "door",
            lambda a: Tile(door=METALS[int(a)], name=f"{METALS[int(a)]} door"),
            "D",
            _METAL,
        ),
        Brush("teleport", "Teleport", "leads to the pinned cell", "teleport"),
        Brush("oneway", "One way", "every action leads there", "oneway", amount=_SIDE),
        Brush("wind up", "Wind ↑", "of the whole column", "wind up", amount=Amount("Cells up", -3, 3, 1)),
        Brush("wind right", "Wind →", "of the whole row", "wind right", amount=Amount("Cells right", -3, 3, 1)),
        Brush(
            "thin wall",
            "Thin wall",
            "between two cells",
            "thin wall",
            amount=Amount("At", 0, 4, 1, 1.0, (*(name for _, name, _ in SIDES), "none")),
        ),
    )
}
"""The palette, in its order."""


def own_brushes(spec: GridSpec) -> list[Brush]:
    """A brush for each character of the map's legend that means what no brush of the palette does."""
    found = []
    for character, tile in spec.legend.items():
        usual = any(_same(tile, brush.tile(_own_amount(tile, brush))) for brush in BRUSHES.values() if brush.tile)
        usual = usual or any(_is_own(character, tile, key) for key in ("wall", "floor", "start"))
        placed = isinstance(tile.leave_to or tile.enter_to, tuple)  # belongs to one place
        if not usual and not placed:
            title = (tile.name or tile.drawn_as).capitalize()
            found.append(
                Brush(f"own:{character}", title, f"{character!r} of this map", tile.drawn_as, character=character)
            )
    return found


def brush_of(spec: GridSpec, key: str) -> Brush:
    """A brush by its key, with the amount that tiles of its kind have in this map already as the first one."""
    if key.startswith("own:"):
        return next((b for b in own_brushes(spec) if b.key == key), BRUSHES["floor"])
    brush = BRUSHES[key]
    if key in ("goal", "pit") and brush.amount is not None:
        here = [t for t in spec.tiles.values() if t.terminal and t.drawn_as == brush.glyph and not t.item]
        if here:
            pays = here[0].enter_reward
            far = max(10.0, abs(pays))
            amount = replace(brush.amount, initial=pays, low=-far, high=far, step=0.5 if far <= 20 else far / 20)
            return replace(brush, amount=amount)
    return brush


def _own_amount(tile: Tile, brush: Brush) -> float:
    """The amount at which a brush would give a tile that is like this one."""
    if brush.key == "ice":
        return 0.0 if tile.slip is None else tile.slip.left
    if brush.key in ("key", "door"):
        name = tile.key or tile.door
        return float(METALS.index(name)) if name in METALS else 0.0
    return tile.enter_reward


def _is_own(character: str, tile: Tile, key: str) -> bool:
    """Whether a character is the map's own wall, floor or start, whatever else it does there."""
    if character != BRUSHES[key].preferred:
        return False
    return not tile.wall and not tile.terminal if key == "floor" else tile.drawn_as == key


def _same(one: Tile, other: Tile) -> bool:
    """Whether two tiles do and look the same, whatever they are called."""
    return replace(one, name=None, glyph=one.drawn_as) == replace(other, name=None, glyph=other.drawn_as)


# --- from map to map --------------------------------------------------------------------------------------------------


def draft_of(spec: GridSpec | str, source: str = "map") -> Draft:
    """A map, or its text, as a draft.

    Raises:
        MapError: if the text is no map.
    """
    return _with(Draft.parse(spec, source) if isinstance(spec, str) else spec)


def _with(spec: GridSpec, **changes: Any) -> Draft:
    """The draft with other settings."""
    settings = {f.name: getattr(spec, f.name) for f in fields(GridSpec) if f.init} | changes
    return Draft(**settings)


def empty(rows: int, columns: int) -> Draft:
    """A new map: floor, a start at the upper left and a goal at the lower right.

    Raises:
        ValueError: if it has fewer than two cells, or a side of more than `MAX_SIDE`.
    """
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE and rows * columns >= 2):
        raise ValueError(f"a new map has 2 cells at least and {MAX_SIDE} a side at most, not {rows} x {columns}")
    lines = [["."] * columns for _ in range(rows)]
    lines[0][0], lines[-1][-1] = "S", "G"
    return Draft(["".join(line) for line in lines], name="new map", title="New map")


def resized(spec: GridSpec, rows: int, columns: int) -> Draft:
    """The map cut off, or filled up with floor, at its right and at its lower end.

    Raises:
        MapError: if something that the map needs would be cut off.
    """
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise MapError(f"a map has from 1 to {MAX_SIDE} rows and columns here, not {rows} x {columns}")

    def fit(lines: Sequence[str]) -> list[str]:
        cut = [line[:columns].ljust(columns, ".") for line in lines[:rows]]
        return cut + ["." * columns] * (rows - len(cut))

    def within(walls: Edges) -> Edges:
        return tuple(pair for pair in walls if all(r < rows and c < columns for r, c in pair))

    def blown(wind: tuple[int, ...] | None, size: int) -> tuple[int, ...] | None:
        return None if wind is None else (*wind[:size], *(0,) * (size - len(wind)))

    new = fit(spec.rows)
    if not _starts(spec, new):
        raise MapError("the start would be cut off: move it first")
    changes = tuple(
        replace(c, rows=tuple(fit(c.rows)), walls=None if c.walls is None else within(c.walls)) for c in spec.changes
    )
    return _with(
        spec,
        rows=new,
        walls=within(spec.walls),
        column_wind=blown(spec.column_wind, columns),
        row_wind=blown(spec.row_wind, rows),
        changes=changes,
        legend=_pruned(spec, new, spec.legend),
    )


def painted(
    spec: GridSpec, cells: Iterable[Cell], brush: Brush, amount: float | None = None, towards: Cell | None = None
) -> Draft:
    """The map with cells painted in one stroke.

    Args:
        cells: (row, column) each; those outside the map are left out, and so is a start where there would be no other.
        amount: of the brush; its first one if None.
        towards: the cell where a teleport leads.

    Raises:
        MapError: if the result is no map, with the reason.
    """
    height, width = len(spec.rows), len(spec.rows[0])
    chosen = [(r, c) for r, c in dict.fromkeys(cells) if 0 <= r < height and 0 <= c < width]
    value = (brush.amount.initial if brush.amount else 0.0) if amount is None else amount
    if not chosen:
        raise MapError("there is nothing to paint: the cells lie outside the map")
    if brush.key == "wind up":
        return _blown(spec, "column_wind", {c for _, c in chosen}, int(value), width)
    if brush.key == "wind right":
        return _blown(spec, "row_wind", {r for r, _ in chosen}, int(value), height)
    if brush.key == "thin wall":
        return _walled(spec, chosen, int(value))
    legend = dict(spec.legend)
    lines = {r: list(spec.rows[r]) for r in {r for r, _ in chosen}}
    if brush.key == "start":
        chosen = _move_start(spec, chosen, lines)
    for row, column in chosen:
        if brush.key == "oneway":
            tile = _one_way(spec, (row, column), int(value))
            character = _character(spec, legend, tile, "")
        elif brush.key == "teleport":
            if towards is None or towards in chosen:
                raise MapError("a teleport leads to the pinned cell: Shift-click the cell that it leads to first")
            tile = Tile(enter_to=towards, name="teleport")
            character = _character(spec, legend, tile, "T")
        elif brush.character:
            character = brush.character
        else:
            assert brush.tile is not None
            character = _character(spec, legend, brush.tile(value), brush.preferred, brush.key)
        lines[row][column] = character
    if brush.key in ("key", "door"):  # the language wants both in the legend
        for other in ("key", "door"):
            make = BRUSHES[other].tile
            assert make is not None
            _character(spec, legend, make(value), BRUSHES[other].preferred)
    rows = [("".join(lines[r]) if r in lines else line) for r, line in enumerate(spec.rows)]
    if not _starts(spec, rows, legend):
        starts = set(start_cells(spec))
        rest = [cell for cell in chosen if cell not in starts]
        if not rest:
            raise MapError("the map needs a start: paint another one first")
        return painted(spec, rest, brush, value, towards)
    return _with(spec, rows=rows, legend=_pruned(spec, rows, legend))


def _starts(spec: GridSpec, rows: Sequence[str], legend: dict[str, Tile] | None = None) -> bool:
    """Whether an episode can begin somewhere."""
    known = {**DEFAULT_LEGEND, **(spec.legend if legend is None else legend)}
    return any(c in known and known[c].start > 0 for c in set().union(*rows))


def start_cells(spec: GridSpec) -> list[Cell]:
    """The cells where episodes begin."""
    marks = {c for c, tile in spec.tiles.items() if tile.start > 0}
    return [(r, i) for r, row in enumerate(spec.rows) if marks & set(row) for i, c in enumerate(row) if c in marks]


def _move_start(spec: GridSpec, chosen: list[Cell], lines: dict[int, list[str]]) -> list[Cell]:
    """Where a start stands alone, it goes to the last of the cells; elsewhere all of them are starts."""
    now = start_cells(spec)
    if len(now) > 1 or ("S" in spec.legend and len(chosen) > 1):
        return chosen
    row, column = now[0]
    lines.setdefault(row, list(spec.rows[row]))[column] = "."
    return chosen[-1:]


def _one_way(spec: GridSpec, cell: Cell, side: int) -> Tile:
    mark, name, (down, right) = SIDES[side]
    to = (cell[0] + down, cell[1] + right)
    if not (0 <= to[0] < len(spec.rows) and 0 <= to[1] < len(spec.rows[0])):
        raise MapError(f"one way {name} from row {cell[0]}, column {cell[1]} leads off the map: choose another side")
    return Tile(leave_to=to, name=f"one way {mark}")


def _character(spec: GridSpec, legend: dict[str, Tile], tile: Tile, preferred: str, key: str = "") -> str:
    """A character for a tile, entered into the legend if it is new.

    Raises:
        MapError: if there is none left.
    """
    known: dict[str, Tile] = {**DEFAULT_LEGEND, **legend}
    if key in ("wall", "floor", "start") and preferred in known and _is_own(preferred, known[preferred], key):
        return preferred
    for character in (preferred, *known):
        if character in known and character != " " and _same(known[character], tile):
            return character
    used = set(known).union(*spec.rows, *(row for change in spec.changes for row in change.rows))
    for character in (preferred, *_CHARACTERS):
        if character and character not in used:
            legend[character] = tile
            return character
    raise MapError("the map has too many different tiles: paint some of them over first")


def _pruned(spec: GridSpec, rows: Sequence[str], legend: Any) -> dict[str, Tile]:
    """The legend without the entries that this stroke has made unused; a key keeps its door, and a door its key."""
    used = set().union(*rows, *(row for change in spec.changes for row in change.rows))
    before = set().union(*spec.rows)
    things = {tile.item for c, tile in legend.items() if c in used and tile.item}
    targets = {to for t in legend.values() for to in (t.enter_to, t.leave_to) if isinstance(to, str)}
    return {
        c: tile
        for c, tile in legend.items()
        if c in used or c not in before | set(legend) - set(spec.legend) or c in targets or tile.item in things
    }


def _blown(spec: GridSpec, name: str, which: set[int], strength: int, size: int) -> Draft:
    if abs(strength) > MAX_WIND:
        raise MapError(f"a wind has at most {MAX_WIND} cells, not {strength}")
    wind = list(getattr(spec, name) or (0,) * size)
    for number in which:
        wind[number] = strength
    changed: dict[str, Any] = {name: tuple(wind) if any(wind) else None}
    other = spec.row_wind if name == "column_wind" else spec.column_wind
    if not any(wind) and other is None:
        changed["gust"] = None  # nothing is left that it would be added to
    return _with(spec, **changed)


def _walled(spec: GridSpec, chosen: list[Cell], side: int) -> Draft:
    """The map with walls at one side of the cells, or (side 4) with none around them."""
    walls = set(spec.walls)
    for row, column in chosen:
        around = [(row + down, column + right) for _, _, (down, right) in SIDES]
        pairs = [(min((row, column), other), max((row, column), other)) for other in around]
        if side == 4:
            walls -= set(pairs)
            continue
        to = around[side]
        if 0 <= to[0] < len(spec.rows) and 0 <= to[1] < len(spec.rows[0]):
            walls.add(pairs[side])
    return _with(spec, walls=tuple(sorted(walls)))


def trouble(spec: GridSpec, first: GridSpec | None = None) -> str:
    """What is missing for the map to be a task: why a goal cannot be reached, or that none is left of those that the
    ``first`` map had; "" where all is well."""
    try:
        if spec._items is None:
            mapchecks.check_goals(spec)
        else:
            mapchecks.check_item_goals(spec)
    except Wrong as wrong:
        return wrong.message
    return "no goal is left" if first is not None and _has_goal(first) and not _has_goal(spec) else ""


def _has_goal(spec: GridSpec) -> bool:
    goals = {character for character, tile in spec.tiles.items() if tile.terminal and tile.drawn_as == "goal"}
    return any(goals & set(row) for row in spec.rows)


def difference(before: GridSpec, after: GridSpec) -> str:
    """What leads from one map to another, in a few words."""
    old, new = before.rows, after.rows
    if (len(old), len(old[0])) != (len(new), len(new[0])):
        return f"size {len(new)} × {len(new[0])}"
    drawn = [b for above, below in zip(old, new, strict=True) for a, b in zip(above, below, strict=True) if a != b]
    if not drawn:
        return "of a stroke"  # between cells, or what a letter stands for
    what = {"#": "wall, ", ".": "floor, "}.get(drawn[0], "") if len(set(drawn)) == 1 else ""
    return f"{what}{len(drawn)} cell{'' if len(drawn) == 1 else 's'}"


# --- undo and redo ----------------------------------------------------------------------------------------------------

_FIELDS = ("rows", "legend", "column_wind", "row_wind", "gust", "walls", "changes", "name", "title")


@dataclass
class Editor:
    """A map that is being painted, and its past.

    Attributes:
        first: the spec that it began as, whose text is edited when the map is saved.
        spec: the map as it is.
    """

    first: GridSpec
    spec: Draft = field(init=False)
    _saved: dict[str, Any] = field(init=False, repr=False)
    _past: list[dict[str, Any]] = field(init=False, default_factory=list, repr=False)
    _future: list[dict[str, Any]] = field(init=False, default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.spec = draft_of(self.first)
        self.was_saved()

    @property
    def saved(self) -> bool:
        """Whether there is nothing to save."""
        return _kept(self.spec) == self._saved

    def was_saved(self) -> None:
        """What is there now is in a file."""
        self._saved = _kept(self.spec)

    @property
    def painted(self) -> bool:
        """Whether there is a past, a future or something to save."""
        return self.can_undo or self.can_redo or not self.saved

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a stroke to do again."""
        return bool(self._future)

    def set(self, spec: Draft) -> bool:
        """Another map takes the place of this one; whether it differs."""
        if spec == self.spec:
            return False
        self._past.append(_kept(self.spec))
        del self._past[:-KEPT]
        self._future.clear()
        self.spec = spec
        return True

    def undo(self) -> bool:
        """Take the last stroke back; whether there was one."""
        return self._go(self._past, self._future)

    def redo(self) -> bool:
        """Do the stroke again that was taken back last; whether there was one."""
        return self._go(self._future, self._past)

    def _go(self, where: list[dict[str, Any]], whence: list[dict[str, Any]]) -> bool:
        if not where:
            return False
        whence.append(_kept(self.spec))
        self.spec = _with(self.spec, **where.pop())
        return True

    def walk(self, spec: Draft) -> bool:
        """Stand at a map of the past or the future, as a walk along the run does: no stroke. Whether it differs."""
        if spec == self.spec:
            return False
        wanted = _kept(spec)
        for go, where in ((self.undo, self._past), (self.redo, self._future)):
            if wanted in where:
                while _kept(self.spec) != wanted:
                    go()
                return True
        self.spec = spec
        return True

    @property
    def text(self) -> str:
        """The map as a text of the map language, whole."""
        return maptext.canonical(self.spec)

    def finished(self, **changes: Any) -> GridSpec:
        """The map as a spec that can be saved, with the world's own numbers changed.

        Its `dump` is the text that the map came from with all of that written into it, comments kept.

        Raises:
            MapError: if it is not finished: no way leads to a goal.
        """
        return self.first.with_changes(**(_kept(self.spec) | changes))


def _kept(spec: GridSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in _FIELDS}
