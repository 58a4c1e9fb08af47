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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.gridmodel import DEFAULT_ACTIONS, MOVES, GridModel, Slip, TileKind
from rlgrid.mdp import PROBABILITY_TOLERANCE
from rlgrid.reach import reached, steps
from rlgrid.tomltext import Places, quoted

MAX_CELLS = 1_000_000
"""The most cells that a map may have; larger worlds are made of arrays, with `GridModel`."""

MAX_TEXT = 4_000_000
"""The most characters that the text of a map may have."""

MAX_WIND = 99
"""The strongest wind, and the strongest gust, in cells."""

MAX_STEPS = 2**31 - 1

GLYPHS = ("floor", "wall", "goal", "pit", "start", "ice", "reward", "teleport")

Where = tuple[str | int, ...]


class MapError(ValueError):
    """What is wrong with a map, and what to write instead.

    Attributes:
        source: the file's name, or what the text was called.
        line, column: where in the text, from 1; None for a spec that was made in Python and has no text.
        message: the error without its place.
    """

    def __init__(self, message: str, source: str = "", line: int | None = None, column: int | None = None) -> None:
        place = f", line {line}, column {column}" if line is not None else ""
        super().__init__(f"{source}{place}: {message}" if source else message)
        self.message, self.source, self.line, self.column = message, source, line, column

    def __reduce__(self) -> tuple[Any, ...]:
        return MapError, (self.message, self.source, self.line, self.column)


class _Wrong(Exception):
    """An error before its place in the text is known: a path of keys, or a cell of the map."""

    def __init__(self, where: Where, message: str, *, key: bool = False, cell: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.where, self.message, self.key, self.cell = where, message, key, cell


@dataclass(frozen=True)
class Tile:
    """What a character of the map is; the legend's entry. What is left out is the world's, or 0.

    Attributes:
        wall: no one gets in.
        terminal: entering ends the episode.
        start: the weight with which an episode starts in each such cell; 0 for none.
        step_reward: of a step onto the tile (its cost, if negative). bump_reward: of a step from it into a wall.
        enter_reward, leave_reward: on top, when entering it from another cell, and on every step from it.
        enter_to: entering leads on to this cell; a character that stands in the map once, or (row, column).
        leave_to: every action from the tile leads to this cell.
        slip: the slip of moves from this tile.
        name, glyph: what it is called and how it is drawn (`GLYPHS`); chosen by what it does where None.
    """

    wall: bool = False
    terminal: bool = False
    start: float = 0.0
    step_reward: float | None = None
    bump_reward: float | None = None
    enter_reward: float = 0.0
    leave_reward: float = 0.0
    enter_to: str | tuple[int, int] | None = None
    leave_to: str | tuple[int, int] | None = None
    slip: Slip | None = None
    name: str | None = None
    glyph: str | None = None

    @property
    def drawn_as(self) -> str:
        """The glyph, chosen by what the tile does where none is given."""
        if self.glyph is not None:
            return self.glyph
        if self.wall:
            return "wall"
        if self.terminal:
            return "pit" if self.payment < 0 else "goal"
        if self.enter_to is not None or self.leave_to is not None:
            return "teleport"
        if self.start:
            return "start"
        if self.slip is not None:
            return "ice"
        return "reward" if self.payment > 0 or self.leave_reward > 0 else "floor"

    @property
    def payment(self) -> float:
        """What entering pays by the tile's own rewards."""
        return self.enter_reward + (self.step_reward or 0.0)


DEFAULT_LEGEND: dict[str, Tile] = {
    "#": Tile(wall=True, name="wall"),
    ".": Tile(name="floor"),
    " ": Tile(name="floor"),
    "S": Tile(start=1.0, name="start"),
    "G": Tile(terminal=True, enter_reward=1.0, name="goal"),
    "H": Tile(terminal=True, name="hole", glyph="pit"),
}
"""What the usual characters are where the legend says nothing else; an entry of the legend replaces all of it."""


@dataclass(frozen=True)
class GridSpec:
    """A gridworld as its map file describes it. `parse`, `load` and `builtin` read one; it can also be made in Python.

    Args:
        rows: the map, one string a row, all of one length; or one string of lines.
        legend: what characters are, beyond and instead of `DEFAULT_LEGEND`: a `Tile` or a dict of its fields.
        moves: 4, 5, 8 or 9, or names out of `MOVES` in the order of the action numbers; kept as names.
        slip: a `Slip` or a dict of its fields (without forward: what is left).
        column_wind: rows upwards that each column's wind carries a step. row_wind: columns to the right, for each row.
        gust: {offset: probability}, added to the strength of a wind that blows.
        step_reward: of each step. bump_reward: of one that a wall or the edge stops (None: the step reward).
        gamma: the discount factor. max_episode_steps: the step cap, or None.
        name, title, citation: for people.
        source: what messages call the text.

    Raises:
        MapError: on anything wrong.
    """

    rows: tuple[str, ...]
    legend: Mapping[str, Tile] = field(default_factory=dict)
    moves: tuple[str, ...] = DEFAULT_ACTIONS[4]
    slip: Slip = field(default_factory=Slip)
    column_wind: tuple[int, ...] | None = None
    row_wind: tuple[int, ...] | None = None
    gust: Mapping[int, float] | None = None
    step_reward: float = 0.0
    bump_reward: float | None = None
    gamma: float = 0.99
    max_episode_steps: int | None = None
    name: str = ""
    title: str = ""
    citation: str = ""
    source: str = field(default="<spec>", compare=False)
    _text: str | None = field(default=None, compare=False, repr=False)
    _base: GridSpec | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        try:
            _check_fields(self)
            _check_map(self)
            _check_tiles(self)
            _check_goals(self)
        except _Wrong as wrong:
            raise _placed(wrong, self._text, self.source) from None

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
                *_line_and_column(text, MAX_TEXT),
            )
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(text, error, source) from None
        except RecursionError:
            raise MapError("brackets are nested too deeply: no key of a map needs that", source, 1, 1) from None
        except ValueError as error:  # an integer of thousands of digits
            raise MapError(f"not a number that a map can use: {error}", source, 1, 1) from None
        try:
            settings = _settings(data)
        except _Wrong as wrong:
            raise _placed(wrong, text, source) from None
        return cls(**settings, source=source, _text=text)

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
            place = _line_and_column(before, len(before))
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
        names = [f.name for f in fields(self) if not f.name.startswith("_")]
        for name in changes:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                raise TypeError(f"GridSpec has no setting {name!r}: " + (f"did you mean {near[0]!r}?" if near else ""))
        base = self if self._text is not None else self._base
        return replace(self, **changes, _text=None, _base=base)

    def dump(self) -> str:
        """The text of this spec: its own if it was parsed, that text with the changes made, or a canonical one."""
        if self._text is not None:
            return self._text
        if self._base is not None:
            return _edited(self._base, self)
        return _canonical(self)

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


# --- from TOML's values to the constructor's arguments --------------------------------------------------------------

_TOP = {
    "name": "name",
    "title": "title",
    "citation": "citation",
    "gamma": "gamma",
    "max_episode_steps": "max_episode_steps",
    "moves": "moves",
    "slip": "slip",
    "step_reward": "step_reward",
    "bump_reward": "bump_reward",
    "map": "rows",
    "wind": "",
    "legend": "legend",
}
_WIND = {"columns": "column_wind", "rows": "row_wind", "gust": "gust"}
_TILE = tuple(f.name for f in fields(Tile))
_SLIP = ("forward", "left", "right", "back")
_PATHS: dict[str, Where] = {v: (k,) for k, v in _TOP.items() if v} | {v: ("wind", k) for k, v in _WIND.items()}
_OTHER_NAMES = {
    "cost": "step_reward",
    "reward": "enter_reward",
    "discount": "gamma",
    "actions": "moves",
    "rows": "map",
    "grid": "map",
    "layout": "map",
    "time_limit": "max_episode_steps",
    "step_cap": "max_episode_steps",
    "max_steps": "max_episode_steps",
    "teleport": "enter_to",
    "goal": "terminal",
    "end": "terminal",
    "weight": "start",
    "source": "citation",
    "stay": "back",
    "column": "columns",
    "row": "rows",
}


def _known_keys(given: Mapping[str, Any], known: Sequence[str], where: Where) -> None:
    for key in given:
        if key in known:
            continue
        other = _OTHER_NAMES.get(str(key).lower())
        near = [other] if other in known else difflib.get_close_matches(str(key).lower(), known, 1, 0.55)
        inside = f" in {_name(where)}" if where else ""
        hint = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        raise _Wrong((*where, key), f"unknown key {key!r}{inside}: {hint}", key=True)


def _name(where: Where) -> str:
    """A path as people write it: legend."~".slip.left."""
    parts = [str(part) if re.fullmatch(r"[A-Za-z0-9_-]+", str(part)) else quoted(str(part)) for part in where]
    return ".".join(parts)


def _settings(data: dict[str, Any]) -> dict[str, Any]:
    _known_keys(data, tuple(_TOP), ())
    if "map" not in data:
        raise _Wrong((), "there is no map: write map = ''' and its rows on lines of their own, then '''")
    settings = {_TOP[key]: value for key, value in data.items() if key != "wind"}
    wind = data.get("wind", {})
    if not isinstance(wind, dict):
        raise _Wrong(("wind",), f"wind must be a table, not {_kind(wind)}: write wind = {{ columns = [0, 1, ...] }}")
    _known_keys(wind, tuple(_WIND), ("wind",))
    return settings | {_WIND[key]: value for key, value in wind.items()}


# --- checks ---------------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    """What a value is, in TOML's words, and short."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def _number(value: Any, where: Where, *, fraction: bool = False) -> float:
    wanted = "a number" + (' or a fraction such as "1/3"' if fraction else "")
    if isinstance(value, str) and fraction:
        match = re.fullmatch(r"\s*(\d{1,15})\s*/\s*(\d{1,15})\s*", value)
        if match and int(match[2]):
            return int(match[1]) / int(match[2])
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise _Wrong(where, f"{_name(where)} must be {wanted}, not {_kind(value)}")
    if not abs(value) <= 1e100:
        raise _Wrong(where, f"{_name(where)} = {_kind(value)} must be finite, and no larger than 1e100")
    return float(value)


def _probability(value: Any, where: Where) -> float:
    p = _number(value, where, fraction=True)
    if not 0.0 <= p <= 1.0:
        raise _Wrong(where, f"{_name(where)} = {_kind(value)} is not a probability: write a number from 0 to 1")
    return p


def _integer(value: Any, where: Where, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise _Wrong(where, f"{_name(where)} must be a whole number from {low} to {high}, not {_kind(value)}")
    if not low <= value <= high:
        raise _Wrong(where, f"{_name(where)} = {_kind(value)} must be a whole number from {low} to {high}")
    return int(value)


def _string(value: Any, where: Where) -> str:
    if not isinstance(value, str):
        raise _Wrong(where, f'{_name(where)} must be text in "quotes", not {_kind(value)}')
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise _Wrong(where, f"{_name(where)} holds half a character (a lone surrogate): remove it")
    return value


def _flag(value: Any, where: Where) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _Wrong(where, f"{_name(where)} must be true or false, not {_kind(value)}")
    return bool(value)


def _slip(value: Any, where: Where) -> Slip:
    if isinstance(value, Slip):
        return value
    if not isinstance(value, Mapping):
        raise _Wrong(
            where,
            f"{_name(where)} must be a table of probabilities, not {_kind(value)}: "
            "write slip = { left = 0.1, right = 0.1 }",
        )
    _known_keys(value, _SLIP, where)
    p = {key: _probability(value[key], (*where, key)) for key in value}
    rest = 1.0 - p.get("left", 0.0) - p.get("right", 0.0) - p.get("back", 0.0)
    if "forward" not in p:
        if rest < -PROBABILITY_TOLERANCE:
            raise _Wrong(
                where, f"{_name(where)}: left, right and back sum to {1.0 - rest:.12g}; they must sum to 1 at most"
            )
        p["forward"] = rest if rest > PROBABILITY_TOLERANCE else 0.0
    total = sum(p.values())
    if abs(total - 1.0) > PROBABILITY_TOLERANCE:
        raise _Wrong(
            where,
            f"{_name(where)}: the probabilities sum to {total:.12g}, not 1: "
            + (f"write forward = {max(rest, 0.0):.12g}, or leave forward out: it is then what is left")
            if rest > -PROBABILITY_TOLERANCE
            else f"{_name(where)}: the probabilities sum to {total:.12g}, not 1: make left, right and back smaller",
        )
    return Slip(**p)


def _moves(value: Any, where: Where) -> tuple[str, ...]:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value in DEFAULT_ACTIONS:
        return DEFAULT_ACTIONS[int(value)]
    if not isinstance(value, list | tuple) or not value:
        raise _Wrong(where, f'moves must be 4, 5, 8 or 9, or a list such as ["left", "right"], not {_kind(value)}')
    for i, name in enumerate(value):
        if not isinstance(name, str) or name not in MOVES:
            near = difflib.get_close_matches(str(name), MOVES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the moves are {', '.join(MOVES)}"
            raise _Wrong((*where, i), f"unknown move {_kind(name)}: {hint}")
        if name in value[:i]:
            raise _Wrong((*where, i), f"the move {name!r} stands in moves twice: remove one")
    return tuple(value)


def _wind(value: Any, where: Where, size: int, of: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise _Wrong(where, f"{_name(where)} must be an array of {size} whole numbers, not {_kind(value)}")
    if len(value) != size:
        raise _Wrong(
            where,
            f"{_name(where)} has {len(value)} numbers, but the map has {size} {of}: write one number for each "
            "(0 where no wind blows)",
        )
    wind = tuple(_integer(strength, (*where, i), -MAX_WIND, MAX_WIND) for i, strength in enumerate(value))
    return wind if any(wind) else None


def _gust(value: Any, where: Where) -> dict[int, float] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise _Wrong(
            where,
            f"{_name(where)} must be a table of offset = probability, not {_kind(value)}: "
            'write gust = { -1 = "1/3", 0 = "1/3", 1 = "1/3" }',
        )
    gust: dict[int, float] = {}
    for key, p in value.items():
        if not re.fullmatch(r"[+-]?\d{1,4}", str(key)) or not -MAX_WIND <= int(key) <= MAX_WIND:
            raise _Wrong(
                (*where, key),
                f"{_name(where)}: the offset {key!r} must be a whole number from -{MAX_WIND} to {MAX_WIND}",
                key=True,
            )
        if int(key) in gust:
            raise _Wrong((*where, key), f"{_name(where)}: the offset {int(key)} is given twice: keep one", key=True)
        gust[int(key)] = _probability(p, (*where, key))
    total = sum(gust.values())
    if abs(total - 1.0) > PROBABILITY_TOLERANCE:
        raise _Wrong(where, f"{_name(where)}: the probabilities sum to {total:.12g}; they must sum to 1")
    return gust


def _target(value: Any, where: Where) -> str | tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) == 1:
        return value
    if isinstance(value, list | tuple) and len(value) == 2:
        row, column = (_integer(part, (*where, i), 0, MAX_CELLS) for i, part in enumerate(value))
        return row, column
    raise _Wrong(where, f"{_name(where)} must be one character of the map or [row, column], not {_kind(value)}")


def _tile(value: Any, where: Where) -> Tile:
    if isinstance(value, Tile):
        value = {name: getattr(value, name) for name in _TILE if getattr(value, name) != getattr(Tile, name)}
    if not isinstance(value, Mapping):
        raise _Wrong(
            where, f"{_name(where)} must be a table, not {_kind(value)}: write {_name(where[1:])} = {{ wall = true }}"
        )
    _known_keys(value, _TILE, where)
    result: dict[str, Any] = {}
    for key, given in value.items():
        here = (*where, key)
        if given is None:
            continue
        if key in ("wall", "terminal"):
            result[key] = _flag(given, here)
        elif key == "start":
            result[key] = 1.0 if given is True else 0.0 if given is False else _number(given, here, fraction=True)
            if result[key] < 0 or 0 < result[key] < 1e-100:
                raise _Wrong(here, f"{_name(here)} = {_kind(given)} is a weight: write a number above 0, such as 1")
        elif key in ("enter_to", "leave_to"):
            result[key] = _target(given, here)
        elif key == "slip":
            result[key] = _slip(given, here)
        elif key in ("name", "glyph"):
            result[key] = _string(given, here)
            if key == "glyph" and given not in GLYPHS:
                near = difflib.get_close_matches(given, GLYPHS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"the glyphs are {', '.join(GLYPHS)}"
                raise _Wrong(here, f"unknown glyph {_kind(given)}: {hint}")
        else:
            result[key] = _number(given, here)
    tile = Tile(**result)
    for flag, others, why in (
        (tile.wall, [n for n in _TILE if n not in ("wall", "name", "glyph")], "nobody gets into a wall"),
        (
            tile.terminal,
            ["start", "bump_reward", "leave_reward", "leave_to", "slip"],
            "an episode ends in a terminal cell, and nothing is done there (enter_reward is paid on the way in)",
        ),
        (tile.leave_to is not None, ["bump_reward", "slip"], "every action from this tile leads to leave_to"),
    ):
        for name in others:
            if flag and getattr(tile, name) != getattr(Tile, name):
                raise _Wrong((*where, name), f"{_name((*where, name))} has no meaning: {why}. Remove it", key=True)
    return tile


def _check_fields(spec: GridSpec) -> None:
    """Check each field by itself and keep it in its own type."""

    def keep(name: str, value: Any) -> None:
        object.__setattr__(spec, name, value)

    rows: Any = spec.rows
    if isinstance(rows, str):
        rows = rows.split("\n")
        if len(rows) > 1 and rows[-1] == "":
            rows.pop()
    if not isinstance(rows, list | tuple):
        raise _Wrong(("map",), f"map must be text, its rows on lines of their own, not {_kind(rows)}")
    for i, row in enumerate(rows):
        if not isinstance(row, str):
            raise _Wrong(("map", i), f"row {i} of the map must be text, not {_kind(row)}")
    keep("rows", tuple(rows))
    if not isinstance(spec.legend, Mapping):
        raise _Wrong(("legend",), f"legend must be a table, not {_kind(spec.legend)}: write [legend] on its own line")
    for key in spec.legend:
        where = ("legend", key)
        if not isinstance(key, str) or len(key) != 1 or not key.isprintable():
            above = (
                ": put it above the line [legend], where the world's own keys stand"
                if key in _TOP
                else ": the legend's keys are single characters of the map"
            )
            raise _Wrong(where, f"{key!r} is no character of a map{above}", key=True)
    keep("legend", {key: _tile(value, ("legend", key)) for key, value in spec.legend.items()})
    keep("moves", _moves(spec.moves, ("moves",)))
    keep("slip", _slip(spec.slip, ("slip",)))
    keep("gust", _gust(spec.gust, ("wind", "gust")))
    keep("step_reward", _number(spec.step_reward, ("step_reward",)))
    if spec.bump_reward is not None:
        keep("bump_reward", _number(spec.bump_reward, ("bump_reward",)))
    gamma = _number(spec.gamma, ("gamma",))
    if not 0.0 <= gamma <= 1.0:
        raise _Wrong(
            ("gamma",), f"gamma = {gamma:g} is not a discount factor: write a number from 0 to 1, such as 0.99"
        )
    keep("gamma", gamma)
    if spec.max_episode_steps is not None:
        keep("max_episode_steps", _integer(spec.max_episode_steps, ("max_episode_steps",), 1, MAX_STEPS))
    for name in ("name", "title", "citation"):
        keep(name, _string(getattr(spec, name), (name,)))


def _check_map(spec: GridSpec) -> None:
    """The rows are a rectangle of known characters, of a size that fits, and the winds fit it."""
    rows = spec.rows
    if not rows or not any(rows):
        raise _Wrong(("map",), "the map is empty: write at least one row, such as S.G")
    lengths = [len(row) for row in rows]
    width = (
        max(set(lengths), key=lambda length: (lengths.count(length), length)) if len(set(lengths)) > 1 else lengths[0]
    )
    if sum(lengths) > MAX_CELLS:
        raise _Wrong(
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
        raise _Wrong(
            ("map",),
            f"row {r} of the map has {len(row)} characters, the others {width}; {hint}",
            cell=(r, min(len(row), width)),
        )
    known = {**DEFAULT_LEGEND, **spec.legend}
    for c in sorted(set().union(*rows) - known.keys()):
        r = next(r for r, row in enumerate(rows) if c in row)
        where = f"at row {r}, column {rows[r].index(c)}"
        if c.isprintable():
            hint = f"write what it is under [legend], such as {_name((c,))} = {{ wall = true }}, or use one of "
            hint += " ".join(sorted(known.keys() - {" "}))
        else:
            hint = "the map is made of printable characters; write '.' for floor"
        raise _Wrong(("map",), f"unknown character {c!r} {where} of the map: {hint}", cell=(r, rows[r].index(c)))
    winds = (("column_wind", "columns", width), ("row_wind", "rows", len(rows)))
    for name, key, size in winds:
        object.__setattr__(spec, name, _wind(getattr(spec, name), ("wind", key), size, key))
    if spec.gust is not None and spec.column_wind is None and spec.row_wind is None:
        raise _Wrong(
            ("wind", "gust"), "a gust is added to a wind that blows, and none does: give columns or rows", key=True
        )


def _find(rows: Sequence[str], character: str) -> list[tuple[int, int]]:
    """Every cell with a character."""
    return [(r, m.start()) for r, row in enumerate(rows) for m in re.finditer(re.escape(character), row)]


def _check_tiles(spec: GridSpec) -> None:
    """There is a start, and teleports lead to a cell."""
    height, width = len(spec.rows), len(spec.rows[0])
    for c, tile in spec.tiles.items():
        for key in ("enter_to", "leave_to"):
            to = getattr(tile, key)
            where = ("legend", c, key)
            if isinstance(to, str):
                cells = _find(spec.rows, to)
                if len(cells) != 1:
                    raise _Wrong(
                        where,
                        f"{_name(where)}: {to!r} stands in the map {len(cells)} times; it must name one cell: use a "
                        "character of its own, or write [row, column]",
                    )
                to = cells[0]
            if to is None:
                continue
            if not (to[0] < height and to[1] < width):
                raise _Wrong(
                    where,
                    f"{_name(where)} = [{to[0]}, {to[1]}] is outside the map: rows are 0 to {height - 1}, columns 0 to "
                    f"{width - 1}",
                )
            if spec.tiles[spec.rows[to[0]][to[1]]].wall:
                raise _Wrong(
                    where, f"{_name(where)} leads into a wall, at row {to[0]}, column {to[1]}: name a free cell"
                )
    starts = [c for c, tile in spec.tiles.items() if tile.start > 0]
    if not starts:
        raise _Wrong(
            ("map",),
            "there is no start: put an S where the episode begins, or give characters a weight, such as "
            '"." = { start = 1 } under [legend]',
            cell=(0, 0),
        )
    if "S" in starts and "S" not in spec.legend and len(cells := _find(spec.rows, "S")) > 1:
        first, second = cells[:2]
        raise _Wrong(
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
        raise _Wrong(
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
        raise _Wrong(("map",), f"no start can reach {at(state)}, nor any other end: open a way to it", cell=cell(state))
    pays: NDArray[np.bool_] = np.array([tile.terminal and tile.payment > 0 for tile in tiles])[kinds]
    lost = np.flatnonzero(pays & ~seen)
    if lost.size:
        raise _Wrong(
            ("map",),
            f"no start can reach the goal {at(lost[0])}: open a way to it, or remove it",
            cell=cell(lost[0]),
        )
    back = reached(to, origin, np.flatnonzero(ends), model.num_states)
    lost = model.start_states[~back[model.start_states]]
    if lost.size:
        raise _Wrong(
            ("map",),
            f"from the start {at(lost[0])} no end of the episode can be reached: open a way to one",
            cell=cell(lost[0]),
        )


# --- where an error stands ------------------------------------------------------------------------------------------


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _placed(wrong: _Wrong, text: str | None, source: str) -> MapError:
    if text is None:
        return MapError(wrong.message, source)
    try:
        places = Places(text)
    except RecursionError:
        return MapError(wrong.message, source, 1, 1)
    if wrong.cell is None or ("map",) not in places.values:
        return MapError(wrong.message, source, *places.position(places.of(wrong.where, key=wrong.key)))
    row, column = wrong.cell
    data = tomllib.loads(text)["map"]
    if isinstance(data, list):
        offset = places.character(("map", row), column)
    else:
        offset = places.character(("map",), sum(len(line) + 1 for line in data.split("\n")[:row]) + column)
    return MapError(wrong.message, source, *places.position(offset))


_SYNTAX = {
    "Invalid value": 'a value is missing or not one of TOML\'s: text stands in "quotes", true and false are in small '
    "letters, a number is written 0.5 or 12",
    "Invalid statement": "write key = value; a key of other characters than letters, digits, _ and - stands in quotes, "
    'as in "~" = { terminal = true }',
    "Invalid initial character for a key part": "a key is missing here, or stands without its quotes; a table in { } "
    "stays on one line and has no comma after its last value",
    "Expected newline or end of document": 'there is one key = value on a line; text stands in "quotes", and numbers '
    "have no leading zeros",
    "Expected '='": "write key = value",
    "Expected \"'''\"": "close the text with '''",
    'Expected \'"""\'': 'close the text with """',
    "Expected": "close the text, the array or the table that was opened",
    "Unterminated string": "close the text with the same quotes that opened it",
    "Unclosed": "close what was opened, with ] or }",
    "Cannot overwrite": "this key is given twice: keep one",
    "Cannot declare": "this table is given twice: put all its keys under one",
    "Duplicate": "this key is given twice: keep one",
    "Cannot mutate": "this table was written as { ... } before: put all its keys there",
    "Cannot redefine": "this table was written before: put all its keys there",
    "Unescaped": "put the text between ''' marks, in which a backslash is a backslash",
    "Found invalid character": "remove this character",
    "Illegal character": "remove this character: text on one line cannot hold it",
}


def _syntax_error(text: str, error: tomllib.TOMLDecodeError, source: str) -> MapError:
    said = str(error)
    found = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)$", said)
    reason = said[: found.start()].strip() if found else said
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        line, column = _line_and_column(text, len(text))
    hint = next((hint for begin, hint in _SYNTAX.items() if reason.startswith(begin)), "write it as TOML 1.0 has it")
    return MapError(f"not TOML ({reason}): {hint}", source, line, column)


# --- writing --------------------------------------------------------------------------------------------------------


def _inline(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_name((str(key),))} = {_inline(item)}" for key, item in value.items()) + " }"
    return repr(value)


def _plain_slip(slip: Slip) -> dict[str, float]:
    return {name: getattr(slip, name) for name in _SLIP if name == "forward" or getattr(slip, name)}


def _plain_tile(tile: Tile) -> dict[str, Any]:
    plain = {name: getattr(tile, name) for name in _TILE if getattr(tile, name) != getattr(Tile, name)}
    return plain | ({"slip": _plain_slip(tile.slip)} if tile.slip is not None else {})


def _plain(spec: GridSpec) -> dict[str, Any]:
    """Everything but the map as TOML's own types; what is as by default is None."""
    moves = next((n for n, names in DEFAULT_ACTIONS.items() if names == spec.moves), list(spec.moves))
    gust = None if spec.gust is None else {str(offset): p for offset, p in spec.gust.items()}
    wind = {"columns": spec.column_wind, "rows": spec.row_wind, "gust": gust}
    return {
        "name": spec.name or None,
        "title": spec.title or None,
        "citation": spec.citation or None,
        "gamma": spec.gamma,
        "max_episode_steps": spec.max_episode_steps,
        "moves": None if moves == 4 else moves,
        "slip": None if spec.slip == Slip() else _plain_slip(spec.slip),
        "step_reward": spec.step_reward or None,
        "bump_reward": spec.bump_reward,
        "wind": {k: list(v) if isinstance(v, tuple) else v for k, v in wind.items() if v is not None} or None,
        "legend": {c: _plain_tile(tile) for c, tile in spec.legend.items()} or None,
    }


def _map_text(rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    if "'''" in body:
        return '"""\n' + body.replace("\\", "\\\\").replace('"', '\\"') + '\n"""'
    return f"'''\n{body}\n'''"


def _canonical(spec: GridSpec) -> str:
    plain = _plain(spec)
    lines = [f"{key} = {_inline(plain[key])}" for key in _TOP if plain.get(key) is not None and key not in _TABLES]
    lines.append(f"map = {_map_text(spec.rows)}")
    for key in _TABLES:
        if plain[key]:
            lines += ["", f"[{key}]", *(f"{_name((k,))} = {_inline(v)}" for k, v in plain[key].items())]
    return "\n".join(lines) + "\n"


_TABLES = ("wind", "legend")


def _edited(base: GridSpec, spec: GridSpec) -> str:
    """The text of ``base`` with what ``spec`` changes written into it."""
    import tomlkit
    import tomlkit.items

    assert base._text is not None
    document = tomlkit.parse(base._text)
    old, new = _plain(base), _plain(spec)

    def item(value: Any) -> tomlkit.items.Item:
        return tomlkit.parse(f"x = {_inline(value)}")["x"]  # type: ignore[return-value]

    def put(table: Any, key: str, value: Any) -> None:
        if value is None:
            table.pop(key, None)
        elif key in table:
            table[key] = item(value)
        else:
            table.add(key, item(value))

    for key in new:
        if old[key] == new[key]:
            continue
        if key in _TABLES and key in document and new[key] is not None:
            for name in dict.fromkeys((*(old[key] or {}), *new[key])):
                if (old[key] or {}).get(name) != new[key].get(name):
                    put(document[key], name, new[key].get(name))
        else:
            put(document, key, new[key])
    if base.rows != spec.rows:
        document["map"] = tomlkit.parse(f"map = {_map_text(spec.rows)}")["map"]
    text = tomlkit.dumps(document)
    try:
        same = GridSpec.parse(text) == spec
    except MapError:
        same = False
    # Some ways of spreading a table over a file cannot be edited in place; the world matters more than its layout.
    return text if same else _canonical(spec)
