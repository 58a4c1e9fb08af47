"""The compressed form of explicit models (`rlgrid.kernels.compressed`), built and swept by all cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlgrid.parallel import in_pieces

if TYPE_CHECKING:
    from rlgrid.kernels.compressed import CompressedArrays
    from rlgrid.kernels.model import ExplicitArrays

T = TypeVar("T")
Form = TypeVar("Form", bound=tuple[Any, ...])

INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
PIECE = 1 << 17  # outcomes that are worth a thread
BLOCK = 1 << 15  # outcomes that fit into the cache of a core, with all that is known of them
SWEPT = 1 << 20  # outcomes of a sweep that are worth a thread, beside what waiting for a busy core may cost
OUTCOME_BYTES, PAIR_BYTES = 12, 4  # that a sweep reads of an outcome, and of the offset of a pair
FILLING = 0.15  # of what a sweep reads, which filling up rows to one length may add


def index_type(total: int) -> np.dtype[Any]:
    """int32 for offsets up to ``total`` where they fit, else int64."""
    return INT32 if total < 1 << 31 else INT64


def offsets_of(sizes: NDArray[Any]) -> NDArray[Any]:
    """Where runs of these sizes begin, and where the last ends: int32 [n + 1] where that fits, else int64."""
    total = int(sizes.sum(dtype=np.int64))
    offsets = np.zeros(sizes.size + 1, index_type(total))
    np.cumsum(sizes, out=offsets[1:])
    return offsets


class Survey(NamedTuple):
    """What one pass over the outcomes of an explicit model finds out."""

    expected: NDArray[np.float64]  # [S * A], the expected reward of each pair; -inf where it has no outcomes
    most: NDArray[np.int32]  # [S], the most outcomes of a pair
    largest: NDArray[np.float64]  # [S], the largest |r|
    goes_on: NDArray[np.bool_]  # [S], whether any outcome does not end the episode
    sound: bool  # every run is a distribution, and no state is without
    pairs: int  # pairs that have outcomes
    ends: bool  # some outcome of p > 0 ends the episode
    as_it_stands: bool  # the outcomes are the compressed form as they are


def survey(
    num_states: int,
    num_actions: int,
    outcomes: tuple[NDArray[Any], ...],
    tolerance: float = np.inf,
    before: Callable[[int, int], bool] | None = None,
) -> Survey:
    """One pass over the outcomes by all cores.

    Args:
        outcomes: offsets, next_state, probability, reward and terminated, all read-only.
        tolerance: how far the sum of a run may be from 1 in a model that is `sound`.
        before: called with each range of states before it is looked at; False ends the pass, which then finds the
            model unsound.
    """
    from rlgrid.kernels.compressed import survey as kernel

    look: Any = kernel
    S, A = num_states, num_actions
    arrays = np.empty(S * A), np.empty(S, np.int32), np.empty(S), np.empty(S, np.bool_)

    def piece(first: int, last: int) -> tuple[bool, int, bool, bool]:
        found = (True, 0, False, True)
        for i in range(first, last, block):
            begin, end = i, min(i + block, last)
            if before is not None and not before(begin, end):
                return False, 0, False, False
            sound, pairs, ends, plain = look(S, A, *outcomes, tolerance, *arrays, begin, end)
            found = found[0] and sound, found[1] + pairs, found[2] or ends, found[3] and plain
        return found

    total = max(1, outcomes[1].size)
    block = max(1, min(S, BLOCK * S // total))
    found = in_pieces(piece, S, max(1, PIECE * S // total))
    for array in arrays:
        array.setflags(write=False)
    sound, pairs, ends, plain = zip(*found, strict=True)
    return Survey(*arrays, all(sound), sum(pairs), any(ends), all(plain))


def compressed(model: ExplicitArrays, known: Survey | None = None, *, even: bool = False) -> CompressedArrays:
    """What sweeps need of an explicit model: expected rewards, and the outcomes that go on, weighed.

    Where all outcomes go on with probabilities that add up to 1, the model's own arrays are taken, not copied.

    Args:
        even: fill up rows to the length of the longest where that adds little. Sweeps are faster then, but for values
            that are all finite only.
    """
    from rlgrid.kernels.compressed import CompressedArrays, compress, count_kept

    known = known or survey(model.num_states, model.num_actions, model[2:7])
    pairs = model.num_states * model.num_actions
    offsets, next_state, weight = model.offsets, model.next_state, model.probability
    width = int(known.most.max())
    if not known.as_it_stands:
        sizes = np.empty(pairs, np.int32)
        given = model.offsets, model.probability, model.terminated
        in_pieces(lambda first, last: count_kept(*given, sizes, first, last), pairs)
        width = int(sizes.max())
        if even and _may_be_filled_up(sizes, width):
            sizes[:] = width
        offsets = offsets_of(sizes)
        next_state, weight = np.empty(offsets[-1], np.int32), np.empty(offsets[-1])
        old = model.offsets, model.next_state, model.probability, model.terminated, model.num_actions
        new = offsets, next_state, weight
        in_pieces(lambda first, last: compress(*old, *new, first, last), pairs)
    if next_state.size < pairs * width:
        width = 0
    return read_only(
        CompressedArrays(model.num_states, model.num_actions, offsets, next_state, weight, known.expected, width)
    )


def _may_be_filled_up(sizes: NDArray[np.int32], width: int) -> bool:
    """Whether a sweep over rows of one length reads at most FILLING more than over rows of these sizes."""
    as_they_are = OUTCOME_BYTES * int(sizes.sum(dtype=np.int64)) + PAIR_BYTES * sizes.size
    return OUTCOME_BYTES * width * sizes.size <= (1.0 + FILLING) * as_they_are


def sweep(
    form: CompressedArrays,
    gamma: float,
    v: NDArray[np.float64],
    w: NDArray[np.float64],
    policy: NDArray[np.int64] | None = None,
    slack: float = 0.0,
) -> tuple[float, float]:
    """w = T v by all cores, with the kernel for rows of that length; the least and the greatest change w - v.

    Args:
        v, w: float64 [S], not the same.
        policy: int64 [S], becomes greedy: the first action, unless a later one is better by more than ``slack``, and
            so on.
    """
    from rlgrid.kernels.jacobi import sweep_of

    kernel: Any = sweep_of(form.width)
    given = form.num_actions, form.width, *form[2:6], gamma, v, w, policy, slack
    found = over_states(lambda first, last: kernel(*given, first, last), form)
    return min(float(low) for low, _ in found), max(float(high) for _, high in found)


def over_states(piece: Callable[[int, int], T], form: CompressedArrays) -> list[T]:
    """``piece(first, last)`` over the states of a form, by all cores where there are outcomes enough for them."""
    return in_pieces(piece, form.num_states, max(1, SWEPT * form.num_states // max(1, form.next_state.size)))


def read_only(form: Form) -> Form:
    """The same; all forms are read-only like models, for numba compiles kernels for each kind of array."""
    for array in form:
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return form
