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
    """What sweeps need of an explicit model: expected rewards, and the outcomes that go on, weighed.

    Where all outcomes go on with probabilities that add up to 1, the model's own arrays are taken, not copied.
    """
    from rlgrid.kernels.compressed import CompressedArrays, compress, measure

    pairs = model.num_states * model.num_actions
    sizes = np.empty(pairs, np.int32)
    mass, reward, moving = (np.empty(pairs) for _ in range(3))
    given = model.offsets, model.next_state, model.probability, model.reward, model.terminated

    def look(first: int, last: int) -> bool:
        return bool(measure(model.num_actions, *given, sizes, mass, reward, moving, first, last))

    offsets, next_state, weight = model.offsets, model.next_state, model.probability
    if not all(in_pieces(look, pairs)):
        offsets = offsets_of(sizes)
        next_state, weight = np.empty(offsets[-1], np.int32), np.empty(offsets[-1])
        old = model.offsets, model.next_state, model.probability, model.terminated
        new = offsets, next_state, weight
        in_pieces(lambda first, last: compress(*old, mass, *new, first, last), pairs)
    return _read_only(
        CompressedArrays(model.num_states, model.num_actions, offsets, next_state, weight, reward, moving)
    )


def _read_only(form: CompressedArrays) -> CompressedArrays:
    """The same; all forms are read-only like models, for numba compiles kernels for each kind of array."""
    for array in form[2:]:
        array.setflags(write=False)
    return form


class Chains:
    """The Markov chains of one policy after another, in the same room: each is good until the next is made."""

    def __init__(self, model: CompressedArrays) -> None:
        self.model = model
        states = model.num_states
        self._sizes = np.diff(model.offsets).reshape(states, model.num_actions)
        room = int(self._sizes.max(axis=1).sum(dtype=np.int64))
        self._offsets = np.zeros(states + 1, index_type(room))
        self._next_state, self._weight = np.empty(room, np.int32), np.empty(room)
        self._reward, self._moving = np.empty(states), np.empty(states)

    def of(self, policy: NDArray[np.int64]) -> CompressedArrays:
        """The form of one action that a policy [S] (0 <= action < A) leaves, to evaluate it by sweeps."""
        from rlgrid.kernels.compressed import CompressedArrays, restrict

        m = self.model
        np.cumsum(self._sizes[np.arange(m.num_states), policy], out=self._offsets[1:])
        total = int(self._offsets[-1])
        old = m.num_actions, m.offsets, m.next_state, m.weight, m.reward, m.moving, policy
        new = self._offsets, self._next_state, self._weight, self._reward, self._moving
        in_pieces(lambda first, last: restrict(*old, *new, first, last), m.num_states)
        parts = self._offsets, self._next_state[:total], self._weight[:total], self._reward, self._moving
        return _read_only(CompressedArrays(m.num_states, 1, *(part.view() for part in parts)))


def chain(model: CompressedArrays, policy: NDArray[np.int64]) -> CompressedArrays:
    """The chain of one policy alone."""
    return Chains(model).of(policy)
