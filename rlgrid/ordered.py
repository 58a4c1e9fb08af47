"""Sweeps of a grid in place, in the order of distance to where its values come from, without a transition table.

    V(s) <- max_a sum_n p_n (r_n + gamma V(s_n))          Bellman (1957); in place: Puterman 1994, section 6.3.3

Values come from sources: the terminal cells that end an episode best, and where no end is worth seeking the tiles
that pay most. The cells from which a source can be reached are laid out breadth first backwards along the moves (a
source that is worth less than the best begins to count as late as the value of the best one has fallen to its own),
renumbered in that order, and swept by `rlgrid.kernels.ordered.march`: in a window of levels that moves on as the
levels behind it settle. After it, and for cells from which no source can be reached, all cells are swept in that
order. A cell that is seen for the first time is given what the best move to a cell already known promises.

Grids with wind are not laid out. Memory: 4 D + 12 bytes a cell, D the directions in use, D more with several rewards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.parallel import in_pieces

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel

Floats = NDArray[np.float64]

COMPASS = ("up", "right", "down", "left")
SETTLED = 0.2  # of the spread that is enough: at this change a level is left behind
LATEST = 1 << 30  # delays of sources beyond this are never


def applies(model: Any) -> bool:
    """Whether a model is a grid without wind."""
    wind = getattr(model, "column_wind", None)
    return wind is not None and not wind.any() and not model.row_wind.any() and model.num_states < 2**31 - 2


class DistanceSweeps:
    """The method "gauss_seidel" in the order "distance", on a grid without wind; a `rlgrid.methods.Method`.

    At gamma = 1 the cells from which no source can be reached are not swept: `closed` says whether that is right.

    Args:
        model: the grid. gamma: the discount factor.

    Attributes:
        guesses: whether cells are given a first value of their own when they are seen for the first time; otherwise
            sweeps begin at the values that `run` is given. To be set before the first run.
    """

    name = "gauss_seidel"

    def __init__(self, model: GridModel, gamma: float) -> None:
        self.gamma = gamma
        self.sweeps = self.backups = 0
        self.layout = Layout(model, gamma, all_cells=gamma < 1.0)
        layout = self.layout
        self.steps = max(1, layout.levels)
        self.per_sweep = layout.size * model.num_actions
        self.guesses = False
        self._v = np.zeros(layout.size + 1)
        self._window = np.zeros(2, np.int64)
        self._changes = np.full(layout.starts.size - 1, np.inf)
        self._worth = np.empty(layout.to.shape[1])

    def run(self, values: Floats, limit: int, enough: float) -> Floats:
        from rlgrid.kernels.ordered import march

        layout = self.layout
        if self.guesses and not self.sweeps:
            # What lies ahead of the window counts as if it was far from everything.
            far = 2.0 * layout.least * layout.levels if self.gamma == 1.0 else layout.least / (1.0 - self.gamma)
            self._v[1:] = far
        else:
            layout.gather(values, self._v)
        history: list[float] = []
        try:
            while len(history) < limit:
                if self._window[0] < layout.levels:
                    arguments: tuple[Any, ...] = (
                        *layout.tables,
                        self.gamma,
                        layout.patience if self.guesses else -1.0,
                        layout.loss,
                        layout.starts,
                        SETTLED * enough,
                        self._window,
                        self._changes,
                        layout.size,
                        self._v,
                    )
                    swept, spread = march(*arguments)
                    self.backups += int(swept) * layout.num_actions
                    spread = max(spread, math.nextafter(enough, math.inf))  # only a sweep over all cells can tell
                else:
                    low, high = layout.sweep(self.gamma, self._v, self._worth)
                    spread = high - low
                    self.backups += self.per_sweep
                history.append(float(spread))
                self.sweeps += 1
                if not enough < spread < np.inf:
                    break
        finally:
            layout.scatter(self._v, values)
        return np.array(history)

    def closed(self, hopeless: NDArray[np.bool_] | None) -> bool:
        """Whether the cells swept lead to each other alone and the rest are the hopeless ones [S] (None: no cell)."""
        layout = self.layout
        if int(layout.to[1:].max(initial=0)) > layout.size:
            return False
        count = 0 if hopeless is None else np.count_nonzero(hopeless)
        if layout.left_out != count:
            return False
        return hopeless is None or not hopeless[layout.order[1 : layout.size + 1]].any()


class Layout:
    """The cells of a grid that can be left, renumbered by distance, and where each direction leads from each.

    Cells from which no source can be reached come last, or with ``all_cells`` False have numbers but no entries.
    """

    def __init__(self, model: GridModel, gamma: float, *, all_cells: bool = True) -> None:
        from rlgrid.kernels.ordered import connect, lay_out, number_rest, open_moves

        grid = model.arrays
        S, width = model.num_states, grid.width
        absorbing = grid.wall | grid.terminal
        used = np.unique(grid.direction[(grid.slip >= 0.0).any(axis=0)])
        compass = sorted(model.actions) == sorted(COMPASS)
        if compass:  # clockwise, as `sweep_compass` wants them
            used = np.array([model.actions.index(name) for name in COMPASS])
        rows, columns = (np.ascontiguousarray(grid.displacement[used, i]) for i in (0, 1))
        shift = rows * width + columns
        guard = width + 1
        moves = np.zeros(S + 2 * guard, np.uint16)
        closed = absorbing | (grid.leave_to >= 0)

        def find_moves(first: int, last: int) -> None:
            open_moves(grid.height, width, grid.tiles, grid.wall, closed, rows, columns, first, last, moves)

        in_pieces(find_moves, grid.height, 1 + (1 << 15) // width)
        self.order = np.empty(S + 1, np.int32)
        number = np.zeros(S, np.int32)
        kinds = _Rewards(model)
        seeds, delays = kinds.sources(gamma)
        teleports = np.flatnonzero((grid.enter_to >= 0) | (grid.leave_to >= 0))
        reached, starts = lay_out(
            width,
            grid.tiles,
            teleports,
            grid.enter_to,
            grid.leave_to,
            shift,
            seeds,
            delays,
            moves,
            self.order,
            number,
        )
        everything = int(number_rest(grid.tiles, absorbing, self.order, number, reached + 1))
        self.size = everything if all_cells else int(reached)
        self.left_out = everything - self.size
        self.starts = np.append(starts, self.size + 1) if self.size > reached else starts
        self.levels = self.starts.size - 1
        self.num_actions = model.num_actions
        self.to = np.zeros((self.size + 1, used.size), np.int32)
        code_of, self.rewards = kinds.codes()
        dtype = np.uint8 if self.rewards.size <= 256 else np.uint16 if self.rewards.size <= 65536 else np.uint32
        self.code = np.zeros((self.size + 1, used.size) if code_of.size else (0, 0), dtype)

        def find_ends(first: int, last: int) -> None:
            connect(
                grid.height,
                width,
                grid.tiles,
                grid.wall,
                grid.terminal,
                grid.enter_to,
                grid.leave_to,
                rows,
                columns,
                moves,
                code_of,
                self.order,
                number,
                first + 1,
                last + 1,
                self.to,
                self.code,
            )

        in_pieces(find_ends, self.size)
        slip = np.where(grid.slip < 0.0, 0.0, grid.slip)
        slip /= slip.sum(axis=2, keepdims=True)
        distinct, which = np.unique(
            slip[~absorbing].reshape(-1, slip[0].size) if (~absorbing).any() else slip[:1].reshape(1, -1),
            axis=0,
            return_inverse=True,
        )
        self.slips = distinct.reshape(-1, *slip.shape[1:])
        self.slip_of = np.zeros(0, np.uint8)
        if len(self.slips) > 1:
            of_kind = np.zeros(len(model.kinds), np.uint16)
            of_kind[~absorbing] = which.ravel()
            self.slip_of = np.zeros(self.size + 1, np.uint16)
            self.slip_of[1:] = of_kind[grid.tiles[self.order[1 : self.size + 1]]]
        self.compass = np.zeros((0, 4))
        if compass:
            fields = [field for _, field in model.turns("up")]
            places = [fields.index(field) for field in ("forward", "left", "right", "back")]
            self.compass = np.ascontiguousarray(self.slips[:, model.actions.index("up")][:, places])
        place = np.zeros(int(grid.direction.max()) + 1, np.int64)
        place[used] = np.arange(used.size)
        self.direction = place[grid.direction]
        self.least = float(self.rewards.min())
        forward = float(self.slips.max(axis=2).mean())
        self.patience = min(1.04 / forward, 4.0) - 1.0 if forward < 1.0 else 0.0
        c = kinds.usual
        self.loss = c * (self.patience if gamma == 1.0 else (1.0 - gamma**self.patience) / (1.0 - gamma))

    @property
    def tables(self) -> tuple[Any, ...]:
        """What the kernels read, in the order of `rlgrid.kernels.ordered.march`."""
        return self.to, self.code, self.rewards, self.compass, self.slips, self.slip_of, self.direction

    def sweep(self, gamma: float, v: Floats, worth: Floats) -> tuple[float, float]:
        """One sweep over all cells: (least, greatest) change."""
        from rlgrid.kernels.ordered import sweep_any, sweep_compass

        to, code, rewards, compass, slips, slip_of, direction = self.tables
        if compass.size:
            low, high = sweep_compass(to, code, rewards, compass, slip_of, gamma, v, 1, self.size + 1)
        else:
            low, high = sweep_any(to, code, rewards, slips, slip_of, direction, worth, gamma, v, 1, self.size + 1)
        return float(low), float(high)

    def gather(self, values: Floats, v: Floats) -> None:
        """The values of the cells [S] by number [L + 1]."""
        from rlgrid.kernels.ordered import gather

        in_pieces(lambda first, last: gather(self.order, values, first + 1, last + 1, v), self.size)

    def scatter(self, v: Floats, values: Floats) -> None:
        """The values by number [L + 1] to their cells [S]."""
        from rlgrid.kernels.ordered import scatter

        in_pieces(lambda first, last: scatter(self.order, v, first + 1, last + 1, values), self.size)


class _Rewards:
    """What steps from kind to kind earn, and so where values come from."""

    def __init__(self, model: GridModel) -> None:
        grid = model.arrays
        K = len(model.kinds)
        self.tiles = grid.tiles
        present = np.zeros(K, np.bool_)
        counts = np.bincount(grid.tiles, minlength=K)
        present = counts > 0
        self.left = present & ~(grid.wall | grid.terminal)  # kinds that steps begin on
        self.entered = present & ~grid.wall
        leave = grid.leave_reward[:, None]
        step = grid.step_reward[None, :] + leave + grid.enter_reward[None, :]
        bump = grid.bump_reward[:, None] + leave
        stay = grid.step_reward[:, None] + leave
        self.table = np.concatenate([step, bump, stay], axis=1)  # [K, K + 2]
        self.terminal = grid.terminal
        self.leave_to, self.enter_to = grid.leave_to, grid.enter_to
        live = np.flatnonzero(self.left)
        self.common = int(live[counts[live].argmax()]) if live.size else 0
        self.usual = float(stay[self.common, 0])  # the reward of an ordinary step

    def codes(self) -> tuple[NDArray[Any], Floats]:
        """(code [K, K + 2] of each reward, the rewards by code); no codes where all are the same."""
        K = self.left.size
        matters = np.concatenate(
            [self.left[:, None] & self.entered[None, :], np.repeat(self.left[:, None], 2, axis=1)], axis=1
        )
        rewards = np.unique(self.table[matters]) if matters.any() else np.zeros(1)
        if rewards.size == 1:
            return np.zeros((0, 0), np.int64), rewards
        code = np.searchsorted(rewards, np.where(matters, self.table, rewards[0])).reshape(K, K + 2)
        return code.astype(np.int64), rewards

    def sources(self, gamma: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The cells that values come from, and how many levels later than the best each begins to count."""
        c = self.usual
        endless = c / (1.0 - gamma) if gamma < 1.0 else (0.0 if c == 0.0 else math.copysign(math.inf, c))
        worth: dict[int, float] = {}
        for kind in np.flatnonzero(self.entered).tolist():
            pays = float(self.table[self.common, kind])
            if self.terminal[kind]:
                worth[kind] = pays
            elif kind != self.common and max(pays, float(self.table[kind, -1])) > c:
                worth[kind] = max(pays, float(self.table[kind, -1]))
        worth = {kind: r for kind, r in worth.items() if r > endless}
        if not worth:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        best = max(worth.values())
        chosen: list[tuple[float, int]] = []
        for kind, r in worth.items():
            if math.isfinite(endless) and 0.0 < gamma < 1.0:
                late = math.log((r - endless) / (best - endless)) / math.log(gamma) if best > endless else 0.0
            elif gamma == 1.0 and c < 0.0:
                late = (best - r) / -c
            else:
                late = 0.0
            if late < LATEST:
                chosen.append((late, kind))
        seeds, delays = [], []
        for late, kind in sorted(chosen):
            cells = np.flatnonzero(self.tiles == kind)
            seeds.append(cells)
            delays.append(np.full(cells.size, int(late)))
        return np.concatenate(seeds).astype(np.int64), np.concatenate(delays).astype(np.int64)
