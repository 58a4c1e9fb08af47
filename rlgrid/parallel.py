"""Large arrays worked on by all cores: pieces of a range, each given to a compiled function that releases the GIL.

Threads of this process, not OpenMP: nothing here minds a fork, and several callers may run side by side. Every
function gets a range of its own and writes only there, so results do not depend on the number of threads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")

SMALLEST_PIECE = 1 << 15  # elements below which another thread costs more (some 50 microseconds) than it brings


def num_threads() -> int:
    """The cores that this process may use; ``RLGRID_NUM_THREADS`` sets another number.

    Raises:
        ValueError: if that is not a whole number of at least 1.
    """
    asked = os.environ.get("RLGRID_NUM_THREADS")
    if asked is not None:
        if not asked.isdigit() or int(asked) < 1:
            raise ValueError(f"RLGRID_NUM_THREADS must be a whole number of at least 1, not {asked!r}")
        return int(asked)
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rlgrid")


def in_pieces(work: Callable[[int, int], T], size: int, smallest: int = SMALLEST_PIECE) -> list[T]:
    """``work(first, last)`` over pieces of range(size), one a core; their results in order.

    Args:
        work: must write only what belongs to its piece.
        size: how many elements there are.
        smallest: of a piece; a shorter range stays in this thread.
    """
    pieces = max(1, min(num_threads(), size // max(1, smallest)))
    bounds = [size * i // pieces for i in range(pieces + 1)]
    if pieces == 1:
        return [work(0, size)]
    others = [
        _pool(pieces - 1, os.getpid()).submit(work, first, last) for first, last in itertools.pairwise(bounds[1:])
    ]
    mine = work(bounds[0], bounds[1])
    return [mine, *(other.result() for other in others)]
