"""The compressed form of explicit models (`rlgrid.kernels.compressed`), built by all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.parallel import in_pieces

if TYPE_CHECKING:
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.kernels.model import ExplicitArrays


def index_type(total: int) -> np.dtype[Any]:
    """int32 for offsets up to ``total`` where they fit, else int64."""
    return np.dtype(np.int32 if total <= np.iinfo(np.int32).max else np.int64)


def offsets_of(sizes: NDArray[Any]) -> NDArray[Any]:
    """Where runs of these sizes begin, and where the last ends: int32 [n + 1] where that fits, else int64."""
    total = int(sizes.sum(dtype=np.int64))
    offsets = np.zeros(sizes.size + 1, index_type(total))
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def compressed(model: ExplicitArrays) -> CompressedArrays:
    """What sweeps need of an explicit model: expected rewards, and the outcomes that go on, weighed."""
    from rlgrid.kernels.compressed import CompressedArrays, compress, count_continuing

    pairs = model.num_states * model.num_actions
    sizes = np.empty(pairs, np.int32)
    in_pieces(
        lambda first, last: count_continuing(model.offsets, model.probability, model.terminated, sizes, first, last),
        pairs,
    )
    offsets = offsets_of(sizes)
    next_state, weight = np.empty(offsets[-1], np.int32), np.empty(offsets[-1])
    reward, moving = np.empty(pairs), np.empty(pairs)
    in_pieces(
        lambda first, last: compress(
            model.num_actions,
            model.offsets,
            model.next_state,
            model.probability,
            model.reward,
            model.terminated,
            offsets,
            next_state,
            weight,
            reward,
            moving,
            first,
            last,
        ),
        pairs,
    )
    return CompressedArrays(model.num_states, model.num_actions, offsets, next_state, weight, reward, moving)


def chain(model: CompressedArrays, policy: NDArray[np.int64]) -> CompressedArrays:
    """The Markov chain of a policy [S] (0 <= action < A): the same form with one action, to evaluate it by sweeps."""
    from rlgrid.kernels.compressed import CompressedArrays, restrict

    states = model.num_states
    pair = np.arange(states) * model.num_actions + policy
    offsets = offsets_of(model.offsets[pair + 1] - model.offsets[pair])
    next_state, weight = np.empty(offsets[-1], np.int32), np.empty(offsets[-1])
    reward, moving = np.empty(states), np.empty(states)
    in_pieces(
        lambda first, last: restrict(
            model.num_actions,
            model.offsets,
            model.next_state,
            model.weight,
            model.reward,
            model.moving,
            policy,
            offsets,
            next_state,
            weight,
            reward,
            moving,
            first,
            last,
        ),
        states,
    )
    return CompressedArrays(states, 1, offsets, next_state, weight, reward, moving)
