"""Where the keys and values of a TOML text stand, so that an error can name line and column; and values as TOML.

`tomllib` gives values without places. `Places` walks a text that `tomllib` has accepted (so it can rely on the
grammar of TOML) and remembers the offset of every key and value under its path: a tuple of keys, and numbers
inside arrays. It is made only when something is wrong.
"""

from __future__ import annotations

import json
import re
from typing import Any

Where = tuple[str | int, ...]
"""A path of keys, and of numbers inside arrays."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\n[ \t\n]*|.)")
_SIMPLE = {"b": "\b", "e": "\x1b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_PLAIN = re.compile(r"[^,\]}#\n]*")
_DEPTH = 8  # what lies deeper is taken for its enclosing table


class Places:
    """Offsets into ``text`` (newlines as ``\\n``) of everything in it.

    Attributes:
        keys: path to the offset of its key (its last part, where it is given first).
        values: path to the (begin, end) of its value; tables that headers open have none.
        last: the offset of the last statement (a pair or a header).
    """

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.keys: dict[Where, int] = {}
        self.values: dict[Where, tuple[int, int]] = {}
        self._tables: dict[Where, int] = {}  # how many [[tables]] each array of tables has
        self.last = 0
        self._document()

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column) of an offset, both counted from 1."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def of(self, path: Where, *, key: bool = False) -> int:
        """The offset of a value (or of its key); of the nearest enclosing thing that stands in the text, else 0."""
        for size in range(len(path), 0, -1):
            here = path[:size]
            if key and here in self.keys:
                return self.keys[here]
            if here in self.values:
                return self.values[here][0]
            if here in self.keys:
                return self.keys[here]
            key = False
        return 0

    def character(self, path: Where, index: int) -> int:
        """The offset of the character number ``index`` of a string, or of the quotes that close it."""
        begin, end = self.values[path]
        quote = self.text[begin]
        size = 3 if self.text.startswith(quote * 3, begin) else 1
        at, end = begin + size, end - size
        if size == 3 and self.text[at : at + 1] == "\n":
            at += 1
        if quote == "'" or "\\" not in self.text[at:end]:
            return min(at + index, end)
        while index > 0 and at < end:
            escape = _ESCAPE.match(self.text, at)
            at = escape.end() if escape else at + 1
            # A backslash at the end of a line stands for nothing.
            index -= escape is None or "\n" not in escape.group()
        while (escape := _ESCAPE.match(self.text, at)) and "\n" in escape.group():
            at = escape.end()
        return min(at, end)

    # --- the walk -----------------------------------------------------------------------------------------------------

    def _skip(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self.text, at)
        return found.end() if found else at

    def _document(self) -> None:
        table: Where = ()
        at = self._skip(_BLANK, 0)
        while at < len(self.text):
            self.last = at
            if self.text[at] == "[":
                double = self.text.startswith("[[", at)
                names, at = self._key(at + 1 + double, ())
                at = self._skip(_SPACE, at) + 1 + double
                table = self._inside(names, entering=double)
            else:
                at = self._pair(at, table)
            at = self._skip(_BLANK, at)

    def _inside(self, names: Where, *, entering: bool) -> Where:
        """The path of a header, with the numbers of the arrays of tables that it passes through."""
        path: Where = ()
        for i, name in enumerate(names):
            path = (*path, name)
            if entering and i == len(names) - 1:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        return path

    def _key(self, at: int, table: Where) -> tuple[Where, int]:
        """A dotted key's path below ``table``, and where it ends."""
        path = table
        while True:
            at = self._skip(_SPACE, at)
            if self.text[at] in "\"'":
                end = self._string(at)
                part = self._text_of(at, end)
            else:
                end = self._skip(_BARE, at)
                part = self.text[at:end]
            if len(path) < _DEPTH:
                path = (*path, part)
                self.keys.setdefault(path, at)
            at = self._skip(_SPACE, end)
            if self.text[at] != ".":
                return path, at
            at += 1

    def _pair(self, at: int, table: Where) -> int:
        path, at = self._key(at, table)
        return self._value(self._skip(_SPACE, at + 1), path)

    def _value(self, at: int, path: Where) -> int:
        first = self.text[at]
        if first in "\"'":
            end = self._string(at)
        elif first == "[":
            end = self._skip(_BLANK, at + 1)
            number = 0
            while self.text[end] != "]":
                end = self._skip(_BLANK, self._value(end, (*path, number)))
                number += 1
                if self.text[end] == ",":
                    end = self._skip(_BLANK, end + 1)
            end += 1
        elif first == "{":
            end = self._skip(_BLANK, at + 1)
            while self.text[end] != "}":
                end = self._skip(_BLANK, self._pair(end, path))
                if self.text[end] == ",":
                    end = self._skip(_BLANK, end + 1)
            end += 1
        else:
            end = at + len(self.text[at : self._skip(_PLAIN, at)].rstrip())
        self.values[path] = (at, end)
        return end

    def _string(self, at: int) -> int:
        """The end of the string that begins here."""
        quote = self.text[at]
        mark = quote * 3 if self.text.startswith(quote * 3, at) else quote
        if quote == "'":
            end = self.text.index(mark, at + len(mark))
        else:
            end = at + len(mark)
            while not self.text.startswith(mark, end):
                end += 2 if self.text[end] == "\\" else 1
        end += len(mark)
        if len(mark) == 3:  # one or two further quotes belong to the string
            while self.text[end : end + 1] == quote:
                end += 1
        return end

    def _text_of(self, begin: int, end: int) -> str:
        """The value of a string of one line (a key)."""
        inner = self.text[begin + 1 : end - 1]
        if self.text[begin] == "'":
            return inner

        def plain(found: re.Match[str]) -> str:
            escape = found.group()[1:]
            return chr(int(escape[1:], 16)) if escape[0] in "xuU" else _SIMPLE[escape]

        return _ESCAPE.sub(plain, inner)


def quoted(text: str) -> str:
    """A text as a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def dotted(where: Where) -> str:
    """A path as it is written in TOML: ``legend."~".slip.left``."""
    return ".".join(str(part) if _BARE.fullmatch(str(part)) else quoted(str(part)) for part in where)


def inline(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{dotted((str(key),))} = {inline(item)}" for key, item in value.items()) + " }"
    return repr(value)
