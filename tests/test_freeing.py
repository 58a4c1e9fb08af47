"""What was freed is given back to the system."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from rlgrid.window import freeing


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not asked to")
def test_what_lies_between_held_pieces_is_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    pieces = [np.ones(60_000, np.uint8) for _ in range(1_000)]  # small enough to come from the heap
    held = pieces[-1]  # keeps its end where it is
    full = resident()
    del pieces
    freeing.give_back()
    assert full - resident() > 40 << 20
    assert held.all()


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    freeing._trim.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    try:
        assert freeing._trim() is None
        freeing.give_back()
    finally:
        freeing._trim.cache_clear()
