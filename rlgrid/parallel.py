"""Large arrays worked on by all cores: pieces of a range, each given to a compiled function that releases the GIL.

Threads of this process, not OpenMP: nothing here minds a fork, and several callers may run side by side. Every
function gets a range of its own and writes only there, so results do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

T = TypeVar("T")

SMALLEST_PIECE = 1 << 15  # elements below which another thread costs more (some 50 microseconds) than it brings
PIECES = 4  # for each thread


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
    """``work(first, last)`` over pieces of range(size), a few for each core; their results in order.

    Whoever is done with a piece takes the next, so that a core that is busy with something else holds up little: what
    no other thread has begun when nothing is left, none will.

    Args:
        work: must write only what belongs to its piece.
        size: how many elements there are.
        smallest: of a piece; a shorter range stays in this thread.
    """
    if size < 2 * smallest or (threads := num_threads()) == 1:
        return [work(0, size)]
    pieces = min(PIECES * threads, size // max(1, smallest))
    results: dict[int, T] = {}
    left = iter(range(pieces))  # next() is atomic

    def take() -> None:
        for i in left:
            results[i] = work(size * i // pieces, size * (i + 1) // pieces)

    others = [_pool(threads - 1, os.getpid()).submit(take) for _ in range(min(threads, pieces) - 1)]
    try:
        take()
    finally:
        for _ in left:  # after an error nobody takes any more
            pass
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()
    return [results[i] for i in range(pieces)]
