"""The map language: a TOML file is a whole gridworld, and `GridSpec` is what it says.

    gamma = 0.95
    map = '''
    S.#.
    ...G
    '''

    [legend]
    G = { terminal = true, enter_reward = 1.0 }

`GridSpec.parse` reads a text, `compile` gives the `GridModel` (whose module says what a step does), `dump` the text
again. Maps with walls between cells, or with keys, doors, switches and pickups, give explicit models
(`rlgrid.itemworld`); a map that changes at certain steps gives one for each stretch of time (`compile(at=step)`).

Everything is checked when a spec is made, whether from a text or in Python: types, ranges, probabilities, unknown keys,
the shape of the map, that the episode can start, and that its goals can be reached (`rlgrid.mapchecks`). What is wrong
is a `MapError` with line and column in the file and what to write instead. docs/maps.md teaches the language.
"""

from __future__ import annotations

import difflib
import importlib.resources
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid import mapchecks, maptext, mapvalues, thinwalls
from rlgrid.gridmodel import GridModel, Slip, TileKind
from rlgrid.items import Explored, Items, explore
from rlgrid.maperrors import MapError, Wrong, placed
from rlgrid.mapfiles import MAX_TEXT, Layer, decoded, layers_of, merged, placed_in
from rlgrid.mapvalues import DEFAULT_LEGEND, MAX_CELLS, Tile, kind_of
from rlgrid.mdp import MDP
from rlgrid.reach import steps
from rlgrid.tomltext import Where, dotted

__all__ = ["DEFAULT_LEGEND", "MAX_CELLS", "MAX_TEXT", "Change", "GridSpec", "MapError", "Tile"]

MAX_CHANGES = 1000
"""The most changes of a map."""

_MAX_STEPS = 2**31 - 1


@dataclass(frozen=True)
class Change:
    """The map from a step on.

    Attributes:
        at: the first step, counted from 0 over all episodes, that is made in it.
        rows: the map. walls: between its cells; as before where None.
    """

    at: int
    rows: tuple[str, ...]
    walls: thinwalls.Edges | None = None


@dataclass(frozen=True, init=False)
class GridSpec:
    """A gridworld as its map file describes it. `parse`, `load` and `builtin` read one; it can also be made in Python.

    Args:
        rows: the map, one string a row, all of one length; or one string of lines.
        legend: what characters are, beyond and instead of `DEFAULT_LEGEND`: a `Tile` or a dict of its fields.
        moves: 4, 5, 8 or 9, or names out of `MOVES` in the order of the action numbers; kept as names.
        slip: a `Slip` or a dict of its fields (without forward: what is left).
        column_wind: rows upwards that each column's wind carries a step. row_wind: columns to the right, for each row.
        gust: {offset: probability}, added to the strength of a wind that blows; kept, and drawn, in ascending order.
        step_reward: of each step. bump_reward: of one that a wall or the edge stops (None: the step reward).
        gamma: the discount factor. max_episode_steps: the step cap, or None.
        walls: between cells, drawn as text or as pairs of neighbouring cells (`rlgrid.thinwalls`); kept as pairs.
        ends_when_collected: the episode ends when the last pickup has been taken.
        changes: `Change`s or dicts {"at": step, "map": rows}, in the order of their steps.
        name, title, citation: for people.
        source: what messages call the text; the path of its file, to which its base is relative.

    Raises:
        MapError: on anything wrong.
    """

    rows: tuple[str, ...]
    legend: Mapping[str, Tile]
    moves: tuple[str, ...]
    slip: Slip
    column_wind: tuple[int, ...] | None
    row_wind: tuple[int, ...] | None
    gust: Mapping[int, float] | None
    step_reward: float
    bump_reward: float | None
    gamma: float
    max_episode_steps: int | None
    walls: thinwalls.Edges
    ends_when_collected: bool
    changes: tuple[Change, ...]
    name: str
    title: str
    citation: str
    source: str = field(compare=False)
    _text: str | None = field(init=False, compare=False, repr=False)
    _base: GridSpec | None = field(init=False, compare=False, repr=False)
    _inherits: bool = field(init=False, compare=False, repr=False)

    def __init__(
        self,
        rows: str | Sequence[str],
        *,
        legend: Mapping[str, Tile | Mapping[str, Any]] | None = None,
        moves: int | Sequence[str] = 4,
        slip: Slip | Mapping[str, float | str] | None = None,
        column_wind: ArrayLike | None = None,
        row_wind: ArrayLike | None = None,
        gust: Mapping[int, float | str] | None = None,
        step_reward: float = 0.0,
        bump_reward: float | None = None,
        gamma: float = 0.99,
        max_episode_steps: int | None = None,
        walls: str | Sequence[Any] | None = None,
        ends_when_collected: bool = False,
        changes: Sequence[Change | Mapping[str, Any]] = (),
        name: str = "",
        title: str = "",
        citation: str = "",
        source: str = "",
    ) -> None:
        given = dict(locals())
        del given["self"], given["source"]
        self._build(given, source, [])

    def _build(self, given: Mapping[str, Any], source: str, layers: list[Layer]) -> None:
        """Check everything and keep it; ``layers`` are the files where it came from."""
        # The text that `dump` gives back; and the spec whose text it edits, where changes were made since.
        text = layers[0].text if layers else None
        self.__dict__.update(source=source, _text=text, _base=None, _inherits=len(layers) > 1)
        try:
            self.__dict__.update(_checked(given))
            self._check()
            self.__dict__["changes"] = tuple(self._phase(i, change)[1] for i, change in enumerate(self.changes))
        except Wrong as wrong:
            raise placed_in(wrong, layers) if layers else placed(wrong, None, source) from None

    def _check(self) -> None:
        mapchecks.check_map(self)
        mapchecks.check_tiles(self)
        mapchecks.check_items(self)
        if self._items is None:
            mapchecks.check_goals(self)
        else:
            mapchecks.check_item_goals(self)

    def __hash__(self) -> int:
        return hash((self.rows, self.moves, self.gamma, self.name))

    # --- ways in ----------------------------------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str, source: str = "<text>") -> GridSpec:
        """The spec that a text of the map language describes.

        Raises:
            MapError: with line and column, on anything wrong.
        """
        if not isinstance(text, str):
            raise TypeError(f"a map is parsed from a text, not from {type(text).__name__}; GridSpec.load reads a file")
        layers = layers_of(text, source)
        try:
            settings = mapvalues.settings_of(merged(layers))
        except Wrong as wrong:
            raise placed_in(wrong, layers) from None
        spec = cls.__new__(cls)
        spec._build(settings, source, layers)
        return spec

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GridSpec:
        """The spec in a file (UTF-8).

        Raises:
            MapError: with line and column, on anything wrong. OSError: if the file can't be read.
        """
        return cls.parse(decoded(Path(path).read_bytes(), str(path)), str(path))

    @classmethod
    def builtin(cls, name: str) -> GridSpec:
        """One of the worlds that come with the package; `builtin_names` lists them."""
        names = cls.builtin_names()
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise ValueError(f"no world named {name!r} comes with the package: {hint}")
        file = importlib.resources.files("rlgrid.envs.maps") / f"{name}.toml"
        source = f"{name}.toml"
        return cls.parse(decoded(file.read_bytes(), source), source)

    @staticmethod
    def builtin_names() -> tuple[str, ...]:
        """The names of the worlds that come with the package."""
        files = importlib.resources.files("rlgrid.envs.maps").iterdir()
        return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))

    # --- ways out ---------------------------------------------------------------------------------------------------

    @cached_property
    def tiles(self) -> dict[str, Tile]:
        """What each character of the map is, the default legend included, in the legend's order."""
        used = set().union(*self.rows)
        return {c: tile for c, tile in {**DEFAULT_LEGEND, **self.legend}.items() if c in used}

    def compile(self, at: int = 0) -> GridModel | MDP:
        """The model of this world, as it is in step ``at``, counted from 0.

        A `GridModel`; an `rlgrid.itemworld.WalledWorld` where there are walls between cells; an `ItemWorld` where there
        are keys, doors, switches or pickups.

        Raises:
            ValueError: if ``at`` is no step.
        """
        if isinstance(at, bool) or not isinstance(at, int | np.integer) or at < 0:
            raise ValueError(f"at is a step, a whole number from 0 on, not {at!r}")
        present = [i for i, change in enumerate(self.changes) if change.at <= at]
        return self._phases[present[-1]]._model if present else self._model

    def at(self, step: int) -> GridModel | MDP:
        """The model of the world as it is in a step: ``compile(at=step)``."""
        return self.compile(at=step)

    @cached_property
    def _phases(self) -> tuple[GridSpec, ...]:
        """The world after each change, as a spec of its own."""
        return tuple(self._phase(i, change)[0] for i, change in enumerate(self.changes))

    def _phase(self, i: int, change: Change) -> tuple[GridSpec, Change]:
        """The world after a change, checked, and the change with its walls as they are kept."""
        phase = GridSpec.__new__(GridSpec)
        phase.__dict__.update({f.name: getattr(self, f.name) for f in fields(self) if f.init})
        walls = self.walls if change.walls is None else change.walls
        phase.__dict__.update(rows=change.rows, walls=walls, changes=(), _text=None, _base=None, _inherits=False)
        try:
            phase._check()
            if (len(phase.rows), len(phase.rows[0])) != (len(self.rows), len(self.rows[0])):
                raise Wrong(
                    ("map",),
                    f"the map has {len(phase.rows)} x {len(phase.rows[0])} cells, the first one {len(self.rows)} x "
                    f"{len(self.rows[0])}: a world keeps its size",
                )
            if self._items is not None or phase._items is not None:
                raise Wrong(("change", i), "a world with keys, doors, switches or pickups cannot change its map too")
        except Wrong as wrong:
            if wrong.where[0] in ("map", "walls"):
                wrong.where = ("change", i, *wrong.where)
                wrong.message = f"from step {change.at} on: {wrong.message}"
            raise
        return phase, change if change.walls is None else replace(change, walls=phase.walls)

    @cached_property
    def _model(self) -> GridModel | MDP:
        thin = thinwalls.mask_of(self.walls, len(self.rows), len(self.rows[0]))
        if self._items is None and thin is None:
            return self._grid
        from rlgrid.itemworld import ItemWorld, WalledWorld

        if self._items is None:
            assert thin is not None
            return WalledWorld(self._grid, thin)
        return ItemWorld(self._items, self._explored, self._grid_with, thin, self._is_over)

    @cached_property
    def _grid(self) -> GridModel:
        """The grid, all doors open and all items in place; without walls between cells."""
        return self._grid_with((), ())

    def _grid_with(self, closed: Sequence[int], gone: Sequence[int]) -> GridModel:
        """The grid with some doors (cells) closed and some items gone."""
        cells, kinds, start = self._parts
        if len(closed) or len(gone):
            cells = cells.copy()
            others = len(self.tiles)
            changed = np.array([*closed, *gone], np.int64)
            cells[changed] += others
        return GridModel(
            cells.reshape(len(self.rows), len(self.rows[0])),
            kinds,
            gamma=self.gamma,
            actions=self.moves,
            slip=self.slip,
            column_wind=self.column_wind,
            row_wind=self.row_wind,
            gust={offset: p for offset, p in self.gust.items() if p > 0} if self.gust else None,
            step_reward=self.step_reward,
            bump_reward=self.bump_reward,
            start=start,
            max_episode_steps=self.max_episode_steps,
            name=self.name,
            citation=self.citation,
        )

    @cached_property
    def _parts(self) -> tuple[NDArray[np.int64], list[TileKind], dict[int, float]]:
        """The kind of each cell, the kinds, and the start; with items, each kind a second time, closed or gone."""
        width = len(self.rows[0])
        tiles = self.tiles
        codes = np.frombuffer("".join(self.rows).encode("utf-32-le"), np.uint32)
        present, which = np.unique(codes, return_inverse=True)
        number = {ord(c): k for k, c in enumerate(tiles)}
        cells = np.array([number[code] for code in present.tolist()], np.int64)[which.reshape(-1)]

        def state(to: str | tuple[int, int] | None) -> int | None:
            if to is None:
                return None
            row, column = divmod(int(np.flatnonzero(codes == ord(to))[0]), width) if isinstance(to, str) else to
            return row * width + column

        kinds = [
            TileKind(
                name=tile.name if tile.name is not None else tile.drawn_as,
                character=character,
                wall=tile.wall,
                terminal=tile.terminal,
                step_reward=tile.step_reward,
                bump_reward=tile.bump_reward,
                enter_reward=tile.enter_reward,
                leave_reward=tile.leave_reward,
                enter_to=state(tile.enter_to),
                leave_to=state(tile.leave_to),
                slip=tile.slip,
                glyph=tile.drawn_as,
            )
            for character, tile in tiles.items()
        ]
        if any(tile.item is not None for tile in tiles.values()):
            for kind, tile in zip(kinds[:], tiles.values(), strict=True):
                if tile.door:
                    kind = TileKind(kind.name, kind.character, wall=True, glyph=kind.glyph)
                elif tile.key or tile.pickup:
                    paid = 0.0 if tile.pickup else kind.enter_reward
                    kind = replace(kind, character=".", glyph="floor", enter_reward=paid)
                kinds.append(kind)
        weight = np.array([tile.start for tile in tiles.values()])[cells]
        starts = np.flatnonzero(weight)
        share = weight[starts] / weight.max()
        share /= share.sum()
        return cells, kinds, dict(zip(starts.tolist(), share.tolist(), strict=True))

    @cached_property
    def _items(self) -> Items | None:
        """The keys, doors, switches and pickups of the map, if it has any."""
        tiles = self.tiles
        return Items(self.rows, tiles) if any(tile.item is not None for tile in tiles.values()) else None

    @cached_property
    def _explored(self) -> Explored:
        """The states of position and items."""
        items = self._items
        assert items is not None
        thin = thinwalls.mask_of(self.walls, len(self.rows), len(self.rows[0]))
        starts = self._grid.start_states.tolist()
        size = len(self.rows) * len(self.rows[0])
        return explore(items, lambda closed: steps(self._grid_with(closed, ()), thin), starts, size, self._is_over)

    def _is_over(self, configuration: int) -> bool:
        """Whether the last pickup was taken and the episode ends with it."""
        if not self.ends_when_collected or self._items is None:
            return False
        return configuration & self._items.pickups == self._items.pickups

    def with_changes(self, **changes: Any) -> GridSpec:
        """A copy with some constructor arguments changed (``gamma``, ``slip``, ``step_reward``, ``rows`` ...).

        Its `dump` is the original text with those changes written into it, comments and order kept.

        Raises:
            TypeError: on a name that is no argument. MapError: if the changed world is wrong.
        """
        names = [f.name for f in fields(self) if f.init]
        for name in changes:
            if name not in names:
                near = (
                    [mapvalues.TOP_KEYS[name]]
                    if mapvalues.TOP_KEYS.get(name)
                    else difflib.get_close_matches(name, names, 1)
                )
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
                raise TypeError(f"GridSpec has no setting {name!r}: {hint}")
        changed = replace(self, **changes)
        changed.__dict__["_base"] = self if self._text is not None else self._base
        return changed

    def dump(self) -> str:
        """The text of this spec: its own if it was parsed, that text with the changes made, or a canonical one."""
        if self._text is not None:
            return self._text
        if self._base is not None and self._base._text is not None:
            text = maptext.edited(self._base._text, self._base, self)
            # Some ways of spreading a table over a file cannot be edited in place: then the canonical text it is.
            try:
                if text is not None and GridSpec.parse(text, self.source) == self:
                    return text
            except MapError:
                pass
        return maptext.canonical(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `dump` to a file, which is replaced in one step.

        A text whose base would not be found from there is written with all that it has from its base.
        """
        target = Path(path)
        text = self.dump()
        if self._inherits or (self._base is not None and self._base._inherits):
            try:
                same = GridSpec.parse(text, str(target)) == self
            except MapError:
                same = False
            text = text if same else maptext.canonical(self)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, target.stat().st_mode & 0o777 if target.exists() else 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Each argument by itself, checked and in its own type; the winds wait for the map."""
    result = {name: value for name, value in given.items() if value is not None}
    rows = _rows(given["rows"], ("map",))
    legend = result.get("legend", {})
    if not isinstance(legend, Mapping):
        raise Wrong(("legend",), f"legend must be a table, not {kind_of(legend)}: write [legend] on its own line")
    for key in legend:
        if not isinstance(key, str) or len(key) != 1 or not key.isprintable():
            hint = (
                "put it above the line [legend], where the world's own keys stand"
                if key in mapvalues.TOP_KEYS
                else "the legend's keys are single characters of the map"
            )
            raise Wrong(("legend", key), f"{kind_of(key)} is no character of a map: {hint}", key=True)
    bump, cap = result.get("bump_reward"), result.get("max_episode_steps")
    gamma = mapvalues.number(result.get("gamma", 0.99), ("gamma",))
    if not 0.0 <= gamma <= 1.0:
        raise Wrong(("gamma",), f"gamma = {gamma:g} is not a discount factor: write a number from 0 to 1, such as 0.99")
    return {
        "rows": rows,
        "legend": {key: mapvalues.tile(value, ("legend", key)) for key, value in legend.items()},
        "moves": mapvalues.moves(result.get("moves", 4), ("moves",)),
        "slip": mapvalues.slip(result.get("slip", Slip()), ("slip",)),
        "column_wind": result.get("column_wind"),
        "row_wind": result.get("row_wind"),
        "gust": mapvalues.gust(result.get("gust"), ("wind", "gust")),
        "step_reward": mapvalues.number(result.get("step_reward", 0.0), ("step_reward",)),
        "bump_reward": None if bump is None else mapvalues.number(bump, ("bump_reward",)),
        "gamma": gamma,
        "max_episode_steps": None if cap is None else mapvalues.integer(cap, ("max_episode_steps",), 1, _MAX_STEPS),
        "walls": result.get("walls"),
        "ends_when_collected": mapvalues.flag(result.get("ends_when_collected", False), ("ends_when_collected",)),
        "changes": _changes(result.get("changes", ())),
        **{name: mapvalues.string(result.get(name, ""), (name,)) for name in ("name", "title", "citation")},
    }


def _rows(rows: Any, where: Where) -> tuple[str, ...]:
    """The rows of a map that is given as one text or as a list."""
    if isinstance(rows, str):
        rows = rows.split("\n")
        if len(rows) > 1 and rows[-1] == "":
            rows.pop()
    if not isinstance(rows, list | tuple):
        raise Wrong(where, f"{where[-1]} must be text, its rows on lines of their own, not {kind_of(rows)}")
    for i, row in enumerate(rows):
        if not isinstance(row, str):
            raise Wrong((*where, i), f"row {i} of the map must be text, not {kind_of(row)}")
    return tuple(rows)


def _changes(given: Any) -> tuple[Change, ...]:
    """Changes in the order of their steps; their walls wait for the map."""
    if not isinstance(given, list | tuple):
        raise Wrong(("change",), f"change must be tables, not {kind_of(given)}: write [[change]] on its own line")
    result: list[Change] = []
    if len(given) > MAX_CHANGES:
        raise Wrong(("change",), f"there are {len(given)} changes, more than {MAX_CHANGES}: leave some out")
    for i, change in enumerate(given):
        where = ("change", i)
        if isinstance(change, Change):
            change = {"at": change.at, "map": change.rows, "walls": change.walls}
        if not isinstance(change, Mapping):
            raise Wrong(where, f"{dotted(where)} must be a table, not {kind_of(change)}: write [[change]]")
        mapvalues.known_keys(change, ("at", "map", "walls"), where)
        for key in ("at", "map"):
            if key not in change:
                raise Wrong(where, f"{dotted(where)} has no {key}: write the first step, at, and the map from there on")
        at = mapvalues.integer(change["at"], (*where, "at"), 1, _MAX_STEPS)
        if result and at <= result[-1].at:
            raise Wrong((*where, "at"), f"{dotted(where)}.at = {at}: changes stand in the order of their steps")
        result.append(Change(at, _rows(change["map"], (*where, "map")), change.get("walls")))
    return tuple(result)
