"""A grid with four moves made ready for `rlgrid.kernels.stencil`, and its sweeps on all cores.

One kind of tile, the most frequent in which the agent walks, gives the rewards and the slip that the stencil has for
all cells; cells for which they are not right are listed with their outcomes. A grid has no such form where these are
too many, where it has other moves, or where its four are not numbered round the compass (either way).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.parallel import in_pieces

if TYPE_CHECKING:
    from rlgrid.kernels.model import GridArrays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ODD = 8  # one cell in so many may be odd; more, and a sweep over all cells one by one is as fast
SAMPLE = 100_000  # cells looked at to find the most frequent kind of tile
SLICE = 1 << 22  # cells of an array of flags worked on at a time


class Stencil:
    """Sweeps w = T v of one grid; every method writes w [S] and reads v [S], float64 and contiguous.

    Attributes:
        flags: uint8 [S], see `rlgrid.kernels.stencil`. odd: int64 [n], the cells worked out from a list of outcomes.
    """

    def __init__(self, grid: GridArrays, base: int) -> None:
        from rlgrid.kernels.stencil import ABSORBING, ODD, fill_flags, fill_odd

        self._size, width = grid.num_states, grid.width
        leave = grid.leave_reward[base]
        arriving = grid.step_reward + leave + grid.enter_reward
        bumping = grid.bump_reward + grid.leave_reward
        absorbing = grid.wall | grid.terminal
        same_slip = (grid.slip == grid.slip[base]).all(axis=(1, 2))
        own = (grid.leave_reward != leave) | (bumping != bumping[base]) | ~same_slip | (grid.leave_to >= 0)
        beside = ~grid.wall & (grid.terminal | (grid.enter_to >= 0) | (arriving != arriving[base]))
        own_bits = np.where(absorbing, ABSORBING, np.where(own, ODD, 0)).astype(np.uint8)
        around = np.where(grid.wall, 1, np.where(beside, 2, 0)).astype(np.uint8)
        rows, columns = (np.ascontiguousarray(grid.displacement[:4, i]) for i in range(2))

        self.flags = np.empty(self._size, np.uint8)
        in_pieces(
            lambda first, last: fill_flags(
                first, last, grid.height, width, grid.tiles, around, own_bits, rows, columns, self.flags
            ),
            grid.height,
            max(1, (1 << 15) // width),
        )
        places = [
            first + np.flatnonzero((self.flags[first : first + SLICE] & (ABSORBING | ODD)) == ODD)
            for first in range(0, self._size, SLICE)
        ]
        self.odd: Ints = np.union1d(np.concatenate(places), [0, self._size - 1])
        shape = (self.odd.size, 4, 4) if self.is_worth_it else (0, 4, 4)
        probability, reward, next_state = np.empty(shape), np.empty(shape), np.empty(shape, np.int64)
        fill_odd(
            self.odd[: shape[0]],
            grid.height,
            width,
            grid.tiles,
            grid.displacement,
            grid.direction,
            grid.slip,
            grid.column_wind,
            grid.row_wind,
            grid.wall,
            grid.terminal,
            grid.step_reward,
            grid.bump_reward,
            grid.enter_reward,
            grid.leave_reward,
            grid.enter_to,
            grid.leave_to,
            probability,
            reward,
            next_state,
        )
        stored = grid.slip[base, 0]
        mass = 0.0
        for p in stored[stored >= 0.0].tolist():  # in the order of the outcomes
            mass += p
        p1, p2, p3, p4 = np.maximum(stored, 0.0).tolist()
        certain = p2 == 1.0 and p1 == p3 == p4 == 0.0
        stopped, moved = float(bumping[base]), float(arriving[base])
        self._arguments: tuple[Any, ...] = (
            width,
            self.flags,
            rows * width + columns,
            moved,
            None if stopped == moved else stopped,
            None if certain else p1,
            p2,
            None if p3 == p1 else p3,
            p4 if p4 > 0.0 else None,
            None if mass == 1.0 else mass,
            self.odd,
            probability,
            reward,
            next_state,
        )

    @property
    def is_worth_it(self) -> bool:
        """Whether few enough cells are odd."""
        return self.odd.size <= 2 + self._size // MOST_ODD

    @classmethod
    def of(cls, grid: GridArrays) -> Stencil | None:
        """The stencil of a grid without wind, or None where there is none that is worth while."""
        moves = grid.displacement[: grid.num_actions]
        if grid.num_actions != 4 or (np.abs(moves).sum(axis=1) != 1).any():
            return None
        turns = (np.arange(4)[:, None] + [-1, 0, 1, 2]) % 4
        if (grid.direction != turns).any() or (grid.slip != grid.slip[:, :1]).any():
            return None
        often = np.bincount(grid.tiles[:: max(1, grid.num_states // SAMPLE)], minlength=grid.wall.size)
        usual = ~(grid.wall | grid.terminal) & (grid.leave_to < 0) & (grid.enter_to < 0)
        if not (usual & (often > 0)).any():
            return None
        stencil = cls(grid, int(np.where(usual, often, -1).argmax()))
        return stencil if stencil.is_worth_it else None

    def sweep(
        self,
        gamma: float,
        v: Floats,
        w: Floats | None,
        shift: float | None = None,
        plus: float | None = None,
        follow: Ints | None = None,
        track: bool = True,
    ) -> tuple[float, float]:
        """w = T (v + shift) + plus, or T_pi of a policy to follow; walls and terminals 0. With w None only changes.

        Returns:
            The least and the greatest w - (v + shift); where ``track`` is False (a tenth faster) inf and -inf.
        """
        from rlgrid.kernels.stencil import sweep

        given = (*self._arguments, gamma, shift, plus, follow, v, w, track)
        found = in_pieces(lambda first, last: sweep(first, last, *given), self._size)
        return min(low for low, _ in found), max(high for _, high in found)

    def greedy(self, gamma: float, v: Floats, policy: Ints, slack: float) -> tuple[float, float]:
        """The greedy policy: the first action, unless a later one is better by more than ``slack``, and so on.

        Returns:
            The greatest T v - v, and the least T_pi v - v of that policy.
        """
        from rlgrid.kernels.stencil import greedy

        given = (*self._arguments, gamma, slack, v, policy)
        found = in_pieces(lambda first, last: greedy(first, last, *given), self._size)
        return max(high for high, _ in found), min(low for _, low in found)
