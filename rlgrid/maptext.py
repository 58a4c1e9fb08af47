"""Writing maps: a spec as canonical TOML, or its changes written into the text that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlgrid.gridmodel import DEFAULT_ACTIONS, Slip
from rlgrid.mapvalues import SLIP_KEYS, TILE_KEYS, TOP_KEYS, Tile
from rlgrid.tomltext import Places, dotted, inline

if TYPE_CHECKING:
    from rlgrid.gridmap import GridSpec

_TABLES = ("wind", "legend")


def _plain_slip(slip: Slip) -> dict[str, float]:
    return {name: getattr(slip, name) for name in SLIP_KEYS if name == "forward" or getattr(slip, name)}


def _plain_tile(tile: Tile) -> dict[str, Any]:
    plain = {name: getattr(tile, name) for name in TILE_KEYS if getattr(tile, name) != getattr(Tile, name)}
    return plain | ({"slip": _plain_slip(tile.slip)} if tile.slip is not None else {})


def _plain(spec: GridSpec) -> dict[str, Any]:
    """Everything but the map in TOML's own types; what is as by default is None."""
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


def canonical(spec: GridSpec) -> str:
    """A spec as TOML, every value that is not the default written out."""
    plain = _plain(spec)
    lines = [f"{key} = {inline(plain[key])}\n" for key in TOP_KEYS if key not in _TABLES and plain.get(key) is not None]
    tables = [_table(name, plain[name]) for name in _TABLES if plain[name]]
    return "".join([*lines, f"map = {_map(spec.rows)}\n", *tables])


def edited(text: str, base: GridSpec, spec: GridSpec) -> str:
    """``text``, which gave ``base``, with what ``spec`` has otherwise written into it, comments and order kept."""
    import tomlkit

    # The map itself is set aside and put back at its place: it may be long, and its layout stays as it is.
    whole = text.replace("\r\n", "\n")
    begin, end = Places(whole).values[("map",)]
    the_map = whole[begin:end] if base.rows == spec.rows else _map(spec.rows)
    document: Any = tomlkit.parse(f"{whole[:begin]}''{whole[end:]}")
    old, new = _plain(base), _plain(spec)
    above: list[str] = []
    below: list[str] = []

    def put(table: Any, key: str, value: Any, added: list[str] | None) -> None:
        if value is None:
            table.pop(key, None)
        elif key in table or added is None:
            table[key] = tomlkit.value(inline(value))
        else:
            added.append(f"{key} = {inline(value)}\n")

    for key in new:
        before, after = old[key] or {}, new[key]
        if before == (after or {}):
            continue
        if key not in _TABLES:
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
    begin, end = Places(result).values[("map",)]
    result = result[:begin] + the_map + result[end:]
    result += "".join(below if result.endswith("\n") else ["\n", *below] if below else [])
    return result.replace("\n", "\r\n") if "\r\n" in text else result


def _inserted(text: str, lines: list[str]) -> str:
    """The text with lines put in above the map: below the last key there, and below that key's comments."""
    if not lines:
        return text
    at = text.rfind("\n", 0, Places(text).keys[("map",)]) + 1
    before = text[:at].splitlines(keepends=True)
    end = len(before)
    while end and (not before[end - 1].strip() or before[end - 1].lstrip().startswith("#")):
        end -= 1
    return "".join([*(before[:end] or before), *lines, *(before[end:] if end else []), text[at:]])
