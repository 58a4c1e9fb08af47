"""The compiled rasteriser, made ready beside the window.

Compiling holds Python's lock for seconds, and even loading what was compiled before takes a part of one. So the
window opens without it: where nothing is compiled yet, another process does that and leaves it in the cache of
kernels; a thread then loads it, and the world appears.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np


def prepare() -> None:
    """Compile what the map needs, or load what was compiled before."""
    from rlgrid import picture
    from rlgrid.kernels import map_tables

    picture.prepare()
    none = np.zeros((1, 4), np.bool_)
    map_tables.largest(np.zeros((1, 4)))
    map_tables.residual(np.zeros(1), np.zeros(1))
    map_tables.disagreement(none, none)


class Preparation:
    """Make the rasteriser ready; `ready` says whether it is."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._prepare, name="rlgrid rasteriser", daemon=True).start()

    def ready(self) -> bool:
        """Whether the first picture would not have to wait."""
        return self._done.is_set()

    def _prepare(self) -> None:
        with suppress(Exception):  # what goes wrong here goes wrong again where it is drawn, and is said there
            from rlgrid import picture

            if not picture.compiled():
                with self._lock:
                    if self._closed:
                        return
                    self._process = subprocess.Popen(
                        [sys.executable, "-c", "from rlgrid.window import preparing; preparing.prepare()"],
                        stdin=subprocess.DEVNULL,
                    )
                self._process.wait()
            prepare()
        self._done.set()

    def close(self) -> None:
        """End the other process, if there is one."""
        with self._lock:
            self._closed = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
