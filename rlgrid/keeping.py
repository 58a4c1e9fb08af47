"""What is drawn again and again, kept by what it was made from, and bounded in bytes: sizes differ a thousandfold."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST = 48 << 20  # bytes of all that is kept: a frame of 3840 x 2160 pixels draws at most 5 MB of it in worlds of rooms
LEAST = 200  # bytes that anything takes


class Store:
    """Arrays, surfaces and tuples of these by their keys; beyond ``most`` bytes those unused for longest are let go."""

    def __init__(self, most: int = MOST) -> None:
        self.most, self.bytes = most, 0
        self.found: OrderedDict[Hashable, Any] = OrderedDict()  # what was used last comes last
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Any:
        """What is kept by a key; None if nothing is."""
        with self._lock:
            made = self.found.get(key)
            if made is not None:
                self.found.move_to_end(key)
        return made

    def keep(self, key: Hashable, made: Any) -> None:
        """Keep what was made."""
        with self._lock:
            if key in self.found:  # another thread has made it meanwhile
                return
            self.found[key] = made
            self.bytes += size_of(made)
            while self.bytes > self.most and len(self.found) > 1:
                self.bytes -= size_of(self.found.popitem(last=False)[1])


def size_of(made: Any) -> int:
    """Bytes of an array, of a surface of pygame, or of all parts of a tuple."""
    if isinstance(made, tuple):
        return LEAST + sum(size_of(part) for part in made)
    if hasattr(made, "get_pitch"):
        return LEAST + int(made.get_pitch() * made.get_height())
    return LEAST + int(getattr(made, "nbytes", 0))


ALL = Store()


def kept(make: Callable[P, T]) -> Callable[P, T]:
    """Have what a function makes kept in `ALL`, by its arguments."""

    @wraps(make)
    def find(*args: P.args, **named: P.kwargs) -> T:
        key = (make, args, tuple(named.items())) if named else (make, args)
        found: T | None = ALL.find(key)
        if found is None:
            found = make(*args, **named)
            ALL.keep(key, found)
        return found

    return find
