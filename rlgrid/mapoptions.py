"""What all map generators share: the codes of their cells, where their numbers come from, and checked options."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tiles = NDArray[np.uint8]
"""uint8 [H, W] of FREE, WALL, HOLE, START and GOAL."""

FREE, WALL, HOLE, START, GOAL = range(5)

BORDER_FROM = 5
"""The least height (width) at which a map has a border above and below (left and right): smaller ones need the room."""


class Random(NamedTuple):
    """Two independent streams of one seed."""

    generator: np.random.Generator  # what ``numpy.random.default_rng(seed)`` is
    stream: NDArray[np.uint64]  # [4], for kernels (`rlgrid.kernels.pcg64`)


def random_of(seed: int) -> Random:
    """The streams of a seed."""
    sequence = np.random.SeedSequence(seed)
    state: Any = np.random.PCG64(sequence.spawn(1)[0]).state["state"]
    words = [number >> shift & 0xFFFFFFFFFFFFFFFF for number in (state["state"], state["inc"]) for shift in (64, 0)]
    return Random(np.random.Generator(np.random.PCG64(sequence)), np.array(words, np.uint64))


def margin(size: int, border: bool) -> int:
    """The rows (columns) of border on each side of a map of this height (width)."""
    return int(border and size >= BORDER_FROM)


def share(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number from 0 to 1, not {value!r}")
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} = {value!r} is not in [0, 1]")
    return float(value)


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number of at least ``least``, and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} = {value} must be {bounds}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)
