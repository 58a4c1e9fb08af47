"""The values of a map file: which keys there are, what each may be, and the tiles that a legend describes.

Every function takes a value as TOML (or a caller in Python) gives it and its path of keys, and returns it in the type
that `rlgrid.gridmap.GridSpec` keeps, or raises `Wrong` with what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rlgrid.gridmodel import DEFAULT_ACTIONS, MOVES, Slip
from rlgrid.maperrors import Wrong
from rlgrid.mdp import PROBABILITY_TOLERANCE
from rlgrid.tomltext import Where, dotted

MAX_CELLS = 1_000_000
"""The most cells that a map may have; larger worlds are made of arrays, with `GridModel`."""

MAX_WIND = 99
"""The strongest wind, and the strongest gust, in cells."""

GLYPHS = ("floor", "wall", "goal", "pit", "start", "ice", "reward", "teleport", "key", "door", "switch")
"""How a tile can be drawn."""


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
        key: entering picks up the key of this name. door: a wall until the key of this name is held, or the switch of
            this name on; consumes_key: entering uses the key up, and the door stays open.
        switch: entering turns the switch of this name over, or on for good with stays_on.
        pickup: enter_reward is paid once, and then the thing of this name is gone.
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
    key: str | None = None
    door: str | None = None
    consumes_key: bool = False
    switch: str | None = None
    stays_on: bool = False
    pickup: str | None = None
    name: str | None = None
    glyph: str | None = None

    @property
    def item(self) -> str | None:
        """The name of its key, door, switch or pickup; None for a tile that never changes."""
        return self.key or self.door or self.switch or self.pickup

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
        for what in ("key", "door", "switch"):
            if getattr(self, what):
                return what
        if self.start:
            return "start"
        if self.pickup:
            return "reward"
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


# --- from TOML's values to the constructor's arguments --------------------------------------------------------------

TOP_KEYS = {
    "name": "name",
    "title": "title",
    "citation": "citation",
    "gamma": "gamma",
    "max_episode_steps": "max_episode_steps",
    "moves": "moves",
    "slip": "slip",
    "step_reward": "step_reward",
    "bump_reward": "bump_reward",
    "ends_when_collected": "ends_when_collected",
    "map": "rows",
    "walls": "walls",
    "base": "",
    "change": "changes",
    "wind": "",
    "legend": "legend",
}
"""The keys of a map file, and which argument of `GridSpec` each gives; those of ``wind`` are in a table, and
``base`` names another file."""

_WIND = {"columns": "column_wind", "rows": "row_wind", "gust": "gust"}
TILE_KEYS = tuple(f.name for f in fields(Tile))
ITEM_KEYS = ("key", "door", "switch", "pickup")
SLIP_KEYS = ("forward", "left", "right", "back")
# What people write who know other tools.
_OTHER_NAMES = {
    "cost": "step_reward",
    "reward": "enter_reward",
    "rewards": "enter_reward",
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
    "lock": "door",
    "lever": "switch",
    "button": "switch",
    "item": "pickup",
    "coin": "pickup",
    "once": "pickup",
    "import": "base",
    "include": "base",
    "changes": "change",
    "thin_walls": "walls",
    "column": "columns",
    "row": "rows",
}


def known_keys(given: Mapping[str, Any], known: Sequence[str], where: Where) -> None:
    """Refuse a key that is not known, naming the nearest that is."""
    for key in given:
        if key in known:
            continue
        other = _OTHER_NAMES.get(str(key).lower())
        near = [other] if other in known else difflib.get_close_matches(str(key)[:40].lower(), known, 1, 0.55)
        inside = f" in {dotted(where)}" if where else ""
        hint = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        raise Wrong((*where, key), f"unknown key {kind_of(key)}{inside}: {hint}", key=True)


def settings_of(data: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `GridSpec` that a file's values are; their own types are checked there."""
    known_keys(data, tuple(TOP_KEYS), ())
    if "map" not in data:
        raise Wrong((), "there is no map: write map = ''' and its rows on lines of their own, then '''")
    settings = {TOP_KEYS[key]: value for key, value in data.items() if TOP_KEYS[key]}
    winds = data.get("wind", {})
    if not isinstance(winds, dict):
        raise Wrong(("wind",), f"wind must be a table, not {kind_of(winds)}: write wind = {{ columns = [0, 1, ...] }}")
    known_keys(winds, tuple(_WIND), ("wind",))
    return settings | {_WIND[key]: value for key, value in winds.items()}


# --- single values --------------------------------------------------------------------------------------------------


def kind_of(value: Any) -> str:
    """What a value is, in TOML's words, and short."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def number(value: Any, where: Where, *, fraction: bool = False) -> float:
    """A finite number; with ``fraction`` also a text such as "1/3", the float nearest to it."""
    wanted = "a number" + (' or a fraction such as "1/3"' if fraction else "")
    if isinstance(value, str) and fraction:
        match = re.fullmatch(r"\s*(\d{1,15})\s*/\s*(\d{1,15})\s*", value)
        if match and int(match[2]):
            return int(match[1]) / int(match[2])
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise Wrong(where, f"{dotted(where)} must be {wanted}, not {kind_of(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = np.inf
    if not abs(result) <= 1e100:
        raise Wrong(where, f"{dotted(where)} = {kind_of(value)} must be finite, and no larger than 1e100")
    return result


def probability(value: Any, where: Where) -> float:
    """A number, or a fraction, from 0 to 1."""
    p = number(value, where, fraction=True)
    if not 0.0 <= p <= 1.0:
        raise Wrong(where, f"{dotted(where)} = {kind_of(value)} is not a probability: write a number from 0 to 1")
    return p


def integer(value: Any, where: Where, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise Wrong(where, f"{dotted(where)} must be a whole number from {low} to {high}, not {kind_of(value)}")
    if not low <= value <= high:
        raise Wrong(where, f"{dotted(where)} = {kind_of(value)} must be a whole number from {low} to {high}")
    return int(value)


def string(value: Any, where: Where) -> str:
    """A text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise Wrong(where, f'{dotted(where)} must be text in "quotes", not {kind_of(value)}')
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise Wrong(where, f"{dotted(where)} holds half a character (a lone surrogate): remove it")
    return value


def flag(value: Any, where: Where) -> bool:
    """true or false."""
    if not isinstance(value, bool | np.bool_):
        raise Wrong(where, f"{dotted(where)} must be true or false, not {kind_of(value)}")
    return bool(value)


def slip(value: Any, where: Where) -> Slip:
    """A table of probabilities; ``forward`` is what the others leave where it is not given."""
    if isinstance(value, Slip):
        return value
    if not isinstance(value, Mapping):
        raise Wrong(
            where,
            f"{dotted(where)} must be a table of probabilities, not {kind_of(value)}: "
            "write slip = { left = 0.1, right = 0.1 }",
        )
    known_keys(value, SLIP_KEYS, where)
    p = {key: probability(value[key], (*where, key)) for key in value}
    sides = p.get("left", 0.0) + p.get("right", 0.0) + p.get("back", 0.0)
    if sides > 1.0 + PROBABILITY_TOLERANCE:
        raise Wrong(where, f"{dotted(where)}: left, right and back sum to {sides:.12g}; they may sum to 1 at most")
    rest = 1.0 - sides if 1.0 - sides > PROBABILITY_TOLERANCE else 0.0
    total = sides + p.setdefault("forward", rest)
    if abs(total - 1.0) > PROBABILITY_TOLERANCE:
        raise Wrong(
            where,
            f"{dotted(where)}: the probabilities sum to {total:.12g}, not 1: write forward = {rest:.12g}, or leave "
            "forward out, it is then what is left",
        )
    return Slip(**p)


def moves(value: Any, where: Where) -> tuple[str, ...]:
    """4, 5, 8, 9 or different names of moves, as names."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value in DEFAULT_ACTIONS:
        return DEFAULT_ACTIONS[int(value)]
    if not isinstance(value, list | tuple) or not value:
        raise Wrong(where, f'moves must be 4, 5, 8 or 9, or a list such as ["left", "right"], not {kind_of(value)}')
    for i, name in enumerate(value):
        if not isinstance(name, str) or name not in MOVES:
            near = difflib.get_close_matches(str(name), MOVES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the moves are {', '.join(MOVES)}"
            raise Wrong((*where, i), f"unknown move {kind_of(name)}: {hint}")
        if name in value[:i]:
            raise Wrong((*where, i), f"the move {name!r} stands in moves twice: remove one")
    return tuple(value)


def wind(value: Any, where: Where, size: int, of: str) -> tuple[int, ...] | None:
    """``size`` strengths; None where no wind blows at all."""
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise Wrong(where, f"{dotted(where)} must be an array of {size} whole numbers, not {kind_of(value)}")
    if len(value) != size:
        raise Wrong(
            where,
            f"{dotted(where)} has {len(value)} numbers, but the map has {size} {of}: write one number for each "
            "(0 where no wind blows)",
        )
    strengths = tuple(integer(strength, (*where, i), -MAX_WIND, MAX_WIND) for i, strength in enumerate(value))
    return strengths if any(strengths) else None


def gust(value: Any, where: Where) -> dict[int, float] | None:
    """{offset: probability} in ascending order; keys are texts in TOML."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise Wrong(
            where,
            f"{dotted(where)} must be a table of offset = probability, not {kind_of(value)}: "
            'write gust = { -1 = "1/3", 0 = "1/3", 1 = "1/3" }',
        )
    offsets: dict[int, float] = {}
    for key, p in value.items():
        if not re.fullmatch(r"[+-]?\d{1,4}", str(key)) or not -MAX_WIND <= int(key) <= MAX_WIND:
            raise Wrong(
                (*where, key),
                f"{dotted(where)}: the offset {key!r} must be a whole number from -{MAX_WIND} to {MAX_WIND}",
                key=True,
            )
        if int(key) in offsets:
            raise Wrong((*where, key), f"{dotted(where)}: the offset {int(key)} is given twice: keep one", key=True)
        offsets[int(key)] = probability(p, (*where, key))
    total = sum(offsets.values())
    if abs(total - 1.0) > PROBABILITY_TOLERANCE:
        raise Wrong(where, f"{dotted(where)}: the probabilities sum to {total:.12g}; they must sum to 1")
    return dict(sorted(offsets.items()))


def target(value: Any, where: Where) -> str | tuple[int, int] | None:
    """Where a teleport leads: a character or a (row, column)."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) == 1:
        return value
    if isinstance(value, list | tuple) and len(value) == 2:
        row, column = (integer(part, (*where, i), 0, MAX_CELLS) for i, part in enumerate(value))
        return row, column
    raise Wrong(where, f"{dotted(where)} must be one character of the map or [row, column], not {kind_of(value)}")


def tile(value: Any, where: Where) -> Tile:
    """An entry of the legend; settings that could never act are refused."""
    if isinstance(value, Tile):
        value = {name: getattr(value, name) for name in TILE_KEYS if getattr(value, name) != getattr(Tile, name)}
    if not isinstance(value, Mapping):
        raise Wrong(
            where,
            f"{dotted(where)} must be a table, not {kind_of(value)}: write {dotted(where[1:])} = {{ wall = true }}",
        )
    known_keys(value, TILE_KEYS, where)
    result: dict[str, Any] = {}
    for key, given in value.items():
        here = (*where, key)
        if given is None:
            continue
        if key in ("wall", "terminal", "consumes_key", "stays_on"):
            result[key] = flag(given, here)
        elif key == "start":
            result[key] = 1.0 if given is True else 0.0 if given is False else number(given, here, fraction=True)
            if result[key] < 0 or 0 < result[key] < 1e-100:
                raise Wrong(here, f"{dotted(here)} = {kind_of(given)} is a weight: write a number above 0, such as 1")
        elif key in ("enter_to", "leave_to"):
            result[key] = target(given, here)
        elif key == "slip":
            result[key] = slip(given, here)
        elif key in ITEM_KEYS:
            result[key] = _item_name(given, here)
        elif key in ("name", "glyph"):
            result[key] = string(given, here)
            if key == "glyph" and given not in GLYPHS:
                near = difflib.get_close_matches(given, GLYPHS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"the glyphs are {', '.join(GLYPHS)}"
                raise Wrong(here, f"unknown glyph {kind_of(given)}: {hint}")
        else:
            result[key] = number(given, here)
    made = Tile(**result)
    for rules, others, why in (
        (made.wall, [n for n in TILE_KEYS if n not in ("wall", "name", "glyph")], "nobody gets into a wall"),
        (
            made.terminal,
            ["start", "bump_reward", "leave_reward", "leave_to", "slip", "key", "switch", "pickup"],
            "an episode ends in a terminal cell, and nothing is done there (enter_reward is paid on the way in)",
        ),
        (made.leave_to is not None, ["bump_reward", "slip"], "every action from this tile leads to leave_to"),
        (made.key or made.switch or made.pickup, ["start"], "an item acts when it is entered, and a start is not"),
        (
            made.key or made.switch or made.pickup,
            ["enter_to"],
            "an item acts on an agent that comes to rest there, and this tile sends it on",
        ),
        (made.door, ["start"], "a door is a wall at first"),
        (made.door is None, ["consumes_key"], "it belongs to a door"),
        (made.switch is None, ["stays_on"], "it belongs to a switch"),
    ):
        for name in others:
            if rules and getattr(made, name) != getattr(Tile, name):
                raise Wrong((*where, name), f"{dotted((*where, name))} has no meaning: {why}. Remove it", key=True)
    both = [name for name in ITEM_KEYS if getattr(made, name) is not None]
    if len(both) > 1:
        here = (*where, both[1])
        raise Wrong(here, f"{dotted(here)}: a tile is a {both[0]} or a {both[1]}, not both: remove one", key=True)
    return made


def _item_name(value: Any, where: Where) -> str:
    """A name that can stand in `ItemWorld.state_of(row, column, name=True)`."""
    name = string(value, where)
    if not name.isidentifier() or name in ("row", "column"):
        raise Wrong(
            where,
            f"{dotted(where)} = {kind_of(value)} must be a name of letters, digits and _, such as {where[-1]} = "
            f'"{"coin" if where[-1] == "pickup" else "red"}"',
        )
    return name
