"""The random streams of many environments: each the very PCG64 generator that Gymnasium gives a single one.

A stream is a row uint64 [6], as `rlgrid.kernels.pcg64` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD = (1 << 64) - 1


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
