"""The map language: a TOML file is a whole gridworld, and `GridSpec` is what it says.

    gamma = 0.95
    map = '''
    S.#.
    ...G
    '''

    [legend]
    G = { terminal = true, enter_reward = 1.0 }

`GridSpec.parse` reads a text, `compile` gives the `GridModel` (whose module says what a step does), `dump` the text
again. Everything is checked when a spec is made, whether from a text or in Python: types, ranges, probabilities,
unknown keys, the shape of the map, that the episode can start, and that its goals can be reached. What is wrong is a
`MapError` with line and column in the file and what to write instead. docs/maps.md teaches the language.

Reachability is that of the model's dynamics (slip, wind and teleports included), with every outcome of positive
probability counted. A world without terminal cells is legal. Where there are some, each that pays a positive entry
reward must be reachable from some start, and from each start some terminal must be reachable. Floor that is walled in
is legal.
"""

from __future__ import annotations

import difflib
import importlib.resources
import os
import re
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid import maptext, mapvalues
from rlgrid.gridmodel import GridModel, Slip, TileKind
from rlgrid.maperrors import MapError, Wrong, line_and_column, placed, syntax_error
from rlgrid.mapvalues import DEFAULT_LEGEND, MAX_CELLS, Tile, kind_of
from rlgrid.reach import reached, steps
from rlgrid.tomltext import dotted

__all__ = ["DEFAULT_LEGEND", "MAX_CELLS", "MAX_TEXT", "GridSpec", "MapError", "Tile"]

MAX_TEXT = 4_000_000
"""The most characters that the text of a map may have."""

_MAX_STEPS = 2**31 - 1


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
        name, title, citation: for people.
        source: what messages call the text.

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
    name: str
    title: str
    citation: str
    source: str = field(compare=False)
    _text: str | None = field(init=False, compare=False, repr=False)
    _base: GridSpec | None = field(init=False, compare=False, repr=False)

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
        name: str = "",
        title: str = "",
        citation: str = "",
        source: str = "",
    ) -> None:
        given = dict(locals())
        del given["self"], given["source"]
        self._build(given, source, None)

    def _build(self, given: Mapping[str, Any], source: str, text: str | None) -> None:
        """Check everything and keep it; ``text`` is where it came from."""
        # The text that `dump` gives back; and the spec whose text it edits, where changes were made since.
        self.__dict__.update(source=source, _text=text, _base=None)
        try:
            self.__dict__.update(_checked(given))
            _check_map(self)
            _check_tiles(self)
            _check_goals(self)
        except Wrong as wrong:
            raise placed(wrong, text, source) from None

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
        if len(text) > MAX_TEXT:
            raise MapError(
                f"the text has {len(text)} characters, more than {MAX_TEXT}: make a world of this size from arrays, "
                "with rlgrid.GridModel",
                source,
                *line_and_column(text, MAX_TEXT),
            )
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise syntax_error(text, error, source) from None
        except RecursionError:
            raise MapError("brackets are nested too deeply: no key of a map needs that", source, 1, 1) from None
        except ValueError as error:  # an integer of thousands of digits
            raise MapError(f"not a number that a map can use: {error}", source, 1, 1) from None
        try:
            settings = mapvalues.settings_of(data)
        except Wrong as wrong:
            raise placed(wrong, text, source) from None
        spec = cls.__new__(cls)
        spec._build(settings, source, text)
        return spec

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GridSpec:
        """The spec in a file (UTF-8).

        Raises:
            MapError: with line and column, on anything wrong. OSError: if the file can't be read.
        """
        return cls._decode(Path(path).read_bytes(), str(path))

    @classmethod
    def builtin(cls, name: str) -> GridSpec:
        """One of the worlds that come with the package; `builtin_names` lists them."""
        names = cls.builtin_names()
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise ValueError(f"no world named {name!r} comes with the package: {hint}")
        file = importlib.resources.files("rlgrid.envs.maps") / f"{name}.toml"
        return cls._decode(file.read_bytes(), f"{name}.toml")

    @staticmethod
    def builtin_names() -> tuple[str, ...]:
        """The names of the worlds that come with the package."""
        files = importlib.resources.files("rlgrid.envs.maps").iterdir()
        return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))

    @classmethod
    def _decode(cls, raw: bytes, source: str) -> GridSpec:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = raw[: error.start].decode("utf-8", "replace")
            place = line_and_column(before, len(before))
            raise MapError("this byte is not UTF-8: save the file as UTF-8", source, *place) from None
        return cls.parse(text, source)

    # --- ways out ---------------------------------------------------------------------------------------------------

    @cached_property
    def tiles(self) -> dict[str, Tile]:
        """What each character of the map is, the default legend included, in the legend's order."""
        used = set().union(*self.rows)
        return {c: tile for c, tile in {**DEFAULT_LEGEND, **self.legend}.items() if c in used}

    def compile(self) -> GridModel:
        """The model of this world."""
        return self._model

    @cached_property
    def _model(self) -> GridModel:
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
        weight = np.array([tile.start for tile in tiles.values()])[cells]
        starts = np.flatnonzero(weight)
        share = weight[starts] / weight.max()
        share /= share.sum()
        return GridModel(
            cells.reshape(len(self.rows), width),
            kinds,
            gamma=self.gamma,
            actions=self.moves,
            slip=self.slip,
            column_wind=self.column_wind,
            row_wind=self.row_wind,
            gust={offset: p for offset, p in self.gust.items() if p > 0} if self.gust else None,
            step_reward=self.step_reward,
            bump_reward=self.bump_reward,
            start=dict(zip(starts.tolist(), share.tolist(), strict=True)),
            max_episode_steps=self.max_episode_steps,
            name=self.name,
            citation=self.citation,
        )

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
                if GridSpec.parse(text) == self:
                    return text
            except MapError:
                pass
        return maptext.canonical(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `dump` to a file, which is replaced in one step."""
        target = Path(path)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.dump().encode("utf-8"))
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
    rows = given["rows"]
    if isinstance(rows, str):
        rows = rows.split("\n")
        if len(rows) > 1 and rows[-1] == "":
            rows.pop()
    if not isinstance(rows, list | tuple):
        raise Wrong(("map",), f"map must be text, its rows on lines of their own, not {kind_of(rows)}")
    for i, row in enumerate(rows):
        if not isinstance(row, str):
            raise Wrong(("map", i), f"row {i} of the map must be text, not {kind_of(row)}")
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
        "rows": tuple(rows),
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
        **{name: mapvalues.string(result.get(name, ""), (name,)) for name in ("name", "title", "citation")},
    }


def _check_map(spec: GridSpec) -> None:
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
    if spec.gust is not None and spec.column_wind is None and spec.row_wind is None:
        raise Wrong(
            ("wind", "gust"), "a gust is added to a wind that blows, and none does: give columns or rows", key=True
        )


def _find(rows: Sequence[str], character: str) -> list[tuple[int, int]]:
    """Every cell with a character."""
    return [(r, m.start()) for r, row in enumerate(rows) for m in re.finditer(re.escape(character), row)]


def _check_tiles(spec: GridSpec) -> None:
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


def _check_goals(spec: GridSpec) -> None:
    """No start is walled in, every paying terminal is reachable, and from every start some terminal."""
    model = spec.compile()
    width = model.shape[1]
    origin, to = steps(model)
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
