"""What is wrong with a map, at which line and column of its text, and what to write instead."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from rlgrid.tomltext import Places, Where


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


class Wrong(Exception):
    """An error before its place in the text is known: a path of keys, or a (line, character) of the text there."""

    def __init__(self, where: Where, message: str, *, key: bool = False, cell: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.where, self.message, self.key, self.cell = where, message, key, cell


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The place of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def placed(wrong: Wrong, text: str | None, source: str) -> MapError:
    """The error with its place in the text, if there is one; the text is one that TOML's grammar allows."""
    if text is None:
        return MapError(wrong.message, source)
    try:
        places = Places(text)
    except RecursionError:
        return MapError(wrong.message, source, 1, 1)
    if wrong.cell is None or wrong.where not in places.values:
        return MapError(wrong.message, source, *places.position(places.of(wrong.where, key=wrong.key)))
    row, column = wrong.cell
    data: Any = tomllib.loads(text)
    for part in wrong.where:
        data = data[part]
    if isinstance(data, list):
        offset = places.character((*wrong.where, row), column)
    else:
        offset = places.character(wrong.where, sum(len(line) + 1 for line in data.split("\n")[:row]) + column)
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


def syntax_error(text: str, error: tomllib.TOMLDecodeError, source: str) -> MapError:
    """What the parser of TOML said, with its place and what to write instead."""
    said = str(error)
    found = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)$", said)
    reason = said[: found.start()].strip() if found else said
    text = text.replace("\r\n", "\n")
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        line, column = line_and_column(text, len(text))
    if reason.startswith("Cannot overwrite"):
        # The parser stands behind a value, and all up to there is well formed: the key is that of the last pair. Or it
        # stands in a header, which is then cut off, and the place is good as it is.
        above = sum(len(each) + 1 for each in text.split("\n")[: line - 1])
        try:
            places = Places(text[: above + column - 1])
            line, column = places.position(places.last)
        except (IndexError, RecursionError):
            pass
    hint = next((hint for begin, hint in _SYNTAX.items() if reason.startswith(begin)), "write it as TOML 1.0 has it")
    return MapError(f"not TOML ({reason}): {hint}", source, line, column)
