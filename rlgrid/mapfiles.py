"""The files of a map: one, or one that names another as its `base`, whose settings and legend it extends or overrides.

A key of the file stands for that of its base; in the tables `legend` and `wind` each entry does so by itself. A base
may have a base of its own. Its path is relative to the file that names it.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlgrid.maperrors import MapError, Wrong, line_and_column, placed, syntax_error
from rlgrid.mapvalues import TOP_KEYS, kind_of, known_keys
from rlgrid.tomltext import Where

MAX_TEXT = 4_000_000
"""The most characters that the text of a map may have."""

MAX_BASES = 16
"""The longest chain of files that are each other's base."""

_TABLES = ("legend", "wind")  # whose entries are overridden one by one


@dataclass(frozen=True)
class Layer:
    """A file of a map: its text, what messages call it, and the values in it."""

    text: str
    source: str
    data: dict[str, Any]


def decoded(raw: bytes, source: str) -> str:
    """The text of a file.

    Raises:
        MapError: where it is not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        place = line_and_column(before, len(before))
        raise MapError("this byte is not UTF-8: save the file as UTF-8", source, *place) from None


def layers_of(text: str, source: str) -> list[Layer]:
    """The text and its bases, the nearest first.

    Raises:
        MapError: where one is not TOML, too long or not there, or where bases go round in a circle.
    """
    layers = [_layer(text, source)]
    seen = [_resolved(source)]
    while "base" in layers[-1].data:
        last = layers[-1]
        try:
            path = _base_of(last, seen)
        except Wrong as wrong:
            raise placed(wrong, last.text, last.source) from None
        seen.append(path.resolve())
        layers.append(_layer(decoded(path.read_bytes(), str(path)), str(path)))
    return layers


def _resolved(source: str) -> Path | None:
    try:
        return Path(source).resolve()
    except (OSError, ValueError, RuntimeError):
        return None


def _base_of(layer: Layer, seen: list[Path | None]) -> Path:
    """The path of a file's base, checked."""
    where: Where = ("base",)
    given = layer.data["base"]
    if not isinstance(given, str) or not given.endswith(".toml") or "\x00" in given:
        raise Wrong(where, f'base must name a map file, such as base = "other.toml", not {kind_of(given)}')
    path = Path(layer.source).parent / given
    try:
        found, size = path.is_file(), path.stat().st_size if path.is_file() else 0
    except OSError:
        found, size = False, 0
    if not found:
        try:
            beside = sorted(other.name for other in path.parent.glob("*.toml"))
        except OSError:
            beside = []
        near = difflib.get_close_matches(path.name, beside, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"paths are relative to the folder of {layer.source}"
        raise Wrong(where, f"base: there is no map file {str(path)!r}: {hint}")
    if size > 4 * MAX_TEXT:
        raise Wrong(where, f"base: {str(path)!r} has {size} bytes, more than {4 * MAX_TEXT}")
    if path.resolve() in seen:
        names = [other.name for other in seen if other is not None]
        ring = " -> ".join([*names, path.name])
        raise Wrong(where, f"base: the files are each other's base ({ring}): remove one of these lines")
    if len(seen) > MAX_BASES:
        raise Wrong(where, f"base: a chain of more than {MAX_BASES} files: put some of them together")
    return path


def _layer(text: str, source: str) -> Layer:
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
        known_keys(data, tuple(TOP_KEYS), ())
    except Wrong as wrong:
        raise placed(wrong, text, source) from None
    return Layer(text, source, data)


def merged(layers: list[Layer]) -> dict[str, Any]:
    """The values of all files together."""
    result: dict[str, Any] = {}
    for layer in reversed(layers):
        for key, value in layer.data.items():
            if key in _TABLES and isinstance(value, dict) and isinstance(result.get(key), dict):
                result[key] = result[key] | value
            else:
                result[key] = value
    return result


def placed_in(wrong: Wrong, layers: list[Layer]) -> MapError:
    """The error with its place in the file that says what is wrong."""
    depth = 2 if wrong.where and wrong.where[0] in _TABLES else 1
    for layer in layers:
        value: Any = layer.data
        for part in wrong.where[:depth]:
            value = value.get(part, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            return placed(wrong, layer.text, layer.source)
    return placed(wrong, layers[0].text, layers[0].source)


_ABSENT = object()
