"""Memory that was freed, given back to the system.

The C library keeps what is freed for what is asked for next: after a large window or a large world a process would
hold hundreds of megabytes that nothing uses. Looking for them takes about a millisecond.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Give back what is free. On systems other than Linux with the GNU C library nothing is done."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """The library's own function (malloc_trim(3)); None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if function is not None:
        function.argtypes = [ctypes.c_size_t]
    return function
