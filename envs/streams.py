"""The random streams of many environments: each the very PCG64 generator that Gymnasium gives a single one.

A stream is a row uint64 [6], as `rlgrid.kernels.pcg64` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD = (1 << 64) - 1
_FEW = 16  # fewer numbers are seeded one by one


def seeds_of(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each copy: the number and those that follow it, or what the sequence says.

    Raises:
        TypeError, ValueError: for what is not a whole number of at least 0, or not one for each copy.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        given: list[Any] = [int(seed) + i for i in range(num_envs)]
    else:
        given = list(seed)
        if len(given) != num_envs:
            raise ValueError(f"there are {len(given)} seeds for {num_envs} environments: give one for each")
    for one in given:
        if one is not None and (isinstance(one, bool) or not isinstance(one, int | np.integer)):
            raise TypeError(f"a seed is a whole number or None, not {one!r}")
        if one is not None and one < 0:
            raise ValueError(f"a seed must be at least 0, not {one}")
    return [None if one is None else int(one) for one in given]


def streams_of(seeds: Sequence[int | None]) -> tuple[NDArray[np.uint64], list[int]]:
    """(the streams uint64 [N, 6] that Gymnasium seeds with these numbers, the numbers); chosen by the system for None.

    NumPy makes one of a number in ten microseconds. So for all numbers below 2^64 its two steps are made here at once:
    the mixing of `SeedSequence` (O'Neill, Developing a seed_seq alternative, 2015) and the seeding of PCG64.
    """
    streams = np.empty((len(seeds), 6), np.uint64)
    numbers = [-1 if seed is None or seed > _WORD else seed for seed in seeds]
    small = np.array([n >= 0 for n in numbers], np.bool_)
    if np.count_nonzero(small) < _FEW:
        small[:] = False
    else:
        streams[small] = _streams_of_words(np.array([n for n in numbers if n >= 0], np.uint64))
    found = [0 if seed is None else seed for seed in seeds]
    for i in np.flatnonzero(~small).tolist():
        streams[i], found[i] = seeded(seeds[i])
    return streams, found


def _streams_of_words(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """uint64 [N, 6], the streams that numbers below 2^64 seed."""
    from rlgrid.kernels.pcg64 import advance

    factor = 0x43B0D7E5

    def hashed(value: NDArray[np.uint32], multiplier: int) -> NDArray[np.uint32]:
        nonlocal factor
        value = value ^ np.uint32(factor)
        factor = factor * multiplier & 0xFFFFFFFF
        value = value * np.uint32(factor)
        return value ^ value >> np.uint32(16)

    words = [numbers & np.uint64(0xFFFFFFFF), numbers >> np.uint64(32), np.zeros_like(numbers), np.zeros_like(numbers)]
    pool = [hashed(word.astype(np.uint32), 0x931E8875) for word in words]
    for source in range(4):
        for to in range(4):
            if to != source:
                other = hashed(pool[source], 0x931E8875)
                mixed = np.uint32(0xCA01F9DD) * pool[to] - np.uint32(0x4973F715) * other
                pool[to] = mixed ^ mixed >> np.uint32(16)
    factor = 0x8B51F9DD
    halves = [hashed(pool[k % 4], 0x58F38DED).astype(np.uint64) for k in range(8)]
    high, low, inc_high, inc_low = (halves[2 * k] | halves[2 * k + 1] << np.uint64(32) for k in range(4))
    one, top = np.uint64(1), np.uint64(63)
    increment = inc_high << one | inc_low >> top, inc_low << one | one
    start_low = increment[1] + low
    start_high = increment[0] + high + (start_low < low)
    streams = np.stack([start_high, start_low, *increment, np.zeros_like(low), np.zeros_like(low)], axis=1)
    advance(streams)
    return streams


def seeded(seed: int | None) -> tuple[list[int], int]:
    """(the stream that Gymnasium seeds with a number, the number); one that the system chooses if None."""
    sequence = np.random.SeedSequence(seed)
    entropy: Any = sequence.entropy
    return _words(np.random.PCG64(sequence).state), int(entropy)


def stream_of(state: Mapping[str, Any]) -> list[int]:
    """The stream of a PCG64 generator in this state (its ``bit_generator.state``).

    Raises:
        ValueError: if it is none.
    """
    trial: Any = np.random.PCG64(0)
    try:
        trial.state = state
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError, IndexError) as error:
        raise ValueError(f"a saved generator is no state of a PCG64, NumPy says: {error!r}") from None
    return _words(trial.state)


def _words(state: Any) -> list[int]:
    at, increment = state["state"]["state"], state["state"]["inc"]
    return [at >> 64, at & _WORD, increment >> 64, increment & _WORD, state["has_uint32"], state["uinteger"]]


def generator_of(stream: NDArray[np.uint64]) -> np.random.Generator:
    """A NumPy generator in the state of a stream, which stays as it is."""
    words = [int(word) for word in stream]
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": words[0] << 64 | words[1], "inc": words[2] << 64 | words[3]},
        "has_uint32": words[4],
        "uinteger": words[5],
    }
    return np.random.Generator(bits)
