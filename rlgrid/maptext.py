"""Writing maps: a spec as canonical TOML, or its changes written into the text that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlgrid.gridmodel import DEFAULT_ACTIONS, Slip
from rlgrid.mapvalues import SLIP_KEYS, TILE_KEYS, TOP_KEYS, Tile
from rlgrid.thinwalls import drawn
from rlgrid.tomltext import Places, dotted, inline

if TYPE_CHECKING:
    from rlgrid.gridmap import Change, GridSpec

_TABLES = ("wind", "legend")
_TEXTS = ("map", "walls")  # written on lines of their own


def _plain_slip(slip: Slip) -> dict[str, float]:
    return {name: getattr(slip, name) for name in SLIP_KEYS if name == "forward" or getattr(slip, name)}


def _plain_tile(tile: Tile) -> dict[str, Any]:
    plain = {name: getattr(tile, name) for name in TILE_KEYS if getattr(tile, name) != getattr(Tile, name)}
    return plain | ({"slip": _plain_slip(tile.slip)} if tile.slip is not None else {})


def _plain_change(change: Change, size: tuple[int, int]) -> dict[str, Any]:
    plain: dict[str, Any] = {"at": change.at, "map": list(change.rows)}
    return plain | ({} if change.walls is None else {"walls": drawn(change.walls, *size)})


def _plain(spec: GridSpec) -> dict[str, Any]:
    """Everything but the map in TOML's own types; what is as by default is None."""
    moves = next((n for n, names in DEFAULT_ACTIONS.items() if names == spec.moves), list(spec.moves))
    gust = None if spec.gust is None else {str(offset): p for offset, p in spec.gust.items()}
    size = len(spec.rows), len(spec.rows[0])
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
        "ends_when_collected": spec.ends_when_collected or None,
        "walls": drawn(spec.walls, *size) if spec.walls else None,
        "change": [_plain_change(change, size) for change in spec.changes] or None,
        "wind": {key: value for key, value in wind.items() if value is not None} or None,
        "legend": {character: _plain_tile(tile) for character, tile in spec.legend.items()} or None,
    }


def _map(rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    if "'''" in body:
        return '"""\n' + body.replace("\\", "\\\\").replace('"', '\\"') + '\n"""'
    return f"'''\n{body}\n'''"


def _table(name: str, entries: dict[str, Any]) -> str:
    lines = [f"{dotted((key,))} = {inline(value)}\n" for key, value in entries.items()]
    return f"\n[{name}]\n" + "".join(lines)


def _changes(changes: list[dict[str, Any]]) -> str:
    tables = [
        "".join(f"{key} = {_map(value) if key in _TEXTS else inline(value)}\n" for key, value in change.items())
        for change in changes
    ]
    return "".join(f"\n[[change]]\n{table}" for table in tables)


def canonical(spec: GridSpec) -> str:
    """A spec as TOML, every value that is not the default written out."""
    plain = _plain(spec)
    apart = (*_TABLES, *_TEXTS, "change")
    lines = [f"{key} = {inline(plain[key])}\n" for key in TOP_KEYS if key not in apart and plain.get(key) is not None]
    walls = f"walls = {_map(plain['walls'])}\n" if plain["walls"] else ""
    tables = [_table(name, plain[name]) for name in _TABLES if plain[name]]
    return "".join([*lines, f"map = {_map(spec.rows)}\n", walls, *tables, _changes(plain["change"] or [])])


def edited(text: str, base: GridSpec, spec: GridSpec) -> str | None:
    """``text``, which gave ``base``, with what ``spec`` has otherwise written into it, comments and order kept.

    None where that cannot be done, since another file has the map.
    """
    import tomlkit

    # The map itself is set aside and put back at its place: it may be long, and its layout stays as it is.
    whole = text.replace("\r\n", "\n")
    own = ("map",) in Places(whole).values
    if not own and base.rows != spec.rows:
        return None
    if own:
        begin, end = Places(whole).values[("map",)]
        the_map = whole[begin:end] if base.rows == spec.rows else _map(spec.rows)
        whole = f"{whole[:begin]}''{whole[end:]}"
    document: Any = tomlkit.parse(whole)
    old, new = _plain(base), _plain(spec)
    above: list[str] = []
    below: list[str] = []

    def put(table: Any, key: str, value: Any, added: list[str] | None) -> None:
        written = _map(value) if key == "walls" and value is not None else inline(value)
        if value is None:
            table.pop(key, None)
        elif key in table or added is None:
            table[key] = tomlkit.value(written)
        else:
            added.append(f"{key} = {written}\n")

    for key in new:
        before, after = old[key] or {}, new[key]
        if before == (after or {}):
            continue
        if key == "change":
            document.pop(key, None)
            below.append(_changes(after or []))
        elif key not in _TABLES:
            put(document, key, after, above)
        elif key not in document:
            below.append(_table(key, after))
        elif after is None:
            document.pop(key)
        else:
            for name in dict.fromkeys((*before, *after)):
                if before.get(name) != after.get(name):
                    put(document[key], name, after.get(name), None)
    result = _inserted(tomlkit.dumps(document), above)
    if own:
        begin, end = Places(result).values[("map",)]
        result = result[:begin] + the_map + result[end:]
    result += "".join(below if result.endswith("\n") else ["\n", *below] if below else [])
    return result.replace("\n", "\r\n") if "\r\n" in text else result


def _inserted(text: str, lines: list[str]) -> str:
    """The text with lines put in above the map: below the last key there, and below that key's comments."""
    if not lines:
        return text
    places = Places(text)
    if ("map",) in places.keys:
        at = text.rfind("\n", 0, places.keys[("map",)]) + 1
    else:  # the map is that of the base, whose line there is
        at = text.find("\n", places.values[("base",)][1]) + 1 or len(text)
    before = text[:at].splitlines(keepends=True)
    end = len(before)
    while end and (not before[end - 1].strip() or before[end - 1].lstrip().startswith("#")):
        end -= 1
    return "".join([*(before[:end] or before), *lines, *(before[end:] if end else []), text[at:]])
