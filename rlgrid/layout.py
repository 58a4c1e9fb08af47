"""Where the cells of a world lie in a picture: for drawing and for finding the cell under a pointer alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Where the cells of a world lie in a picture: cell (r, c) begins at (left + c * cell, top + r * cell).

    Cell borders are rounded to whole pixels, so that edges are sharp whatever ``cell`` is: neighbours then differ by
    at most a pixel in size. Pixel (x, y) covers [x, x + 1) x [y, y + 1).
    """

    cell: float  # pixels
    left: float
    top: float
    rows: int
    columns: int

    @property
    def width(self) -> float:
        """Width of the world in pixels."""
        return self.columns * self.cell

    @property
    def height(self) -> float:
        """Height of the world in pixels."""
        return self.rows * self.cell

    def _edge(self, origin: float, index: float) -> int:
        return int(np.ceil(origin + index * self.cell - 0.5))

    def _index(self, origin: float, pixel: int) -> int:
        index = int(np.floor((pixel + 0.5 - origin) / self.cell))
        if self.cell < 1:
            return index
        while pixel < self._edge(origin, index):
            index -= 1
        while pixel >= self._edge(origin, index + 1):
            index += 1
        return index

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """(row, column) of the cell at a point of the picture, or None beside the world."""
        row = self._index(self.top, int(np.floor(y)))
        column = self._index(self.left, int(np.floor(x)))
        inside = 0 <= row < self.rows and 0 <= column < self.columns
        return (row, column) if inside else None

    def rect(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a cell in whole pixels, right and bottom outside."""
        return (
            self._edge(self.left, column),
            self._edge(self.top, row),
            self._edge(self.left, column + 1),
            self._edge(self.top, row + 1),
        )

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """(x, y) of the middle of a cell; fractions lie between cells."""

        def middle(origin: float, at: float) -> float:
            whole = int(np.floor(at))
            here = (self._edge(origin, whole) + self._edge(origin, whole + 1)) / 2
            if at == whole:
                return here
            following = (self._edge(origin, whole + 1) + self._edge(origin, whole + 2)) / 2
            return here + (at - whole) * (following - here)

        return middle(self.left, column), middle(self.top, row)

    def zoomed(self, factor: float, x: float, y: float) -> Layout:
        """The layout made larger by a factor, the point (x, y) staying where it is."""
        return replace(
            self, cell=self.cell * factor, left=x - (x - self.left) * factor, top=y - (y - self.top) * factor
        )

    def moved(self, dx: float, dy: float) -> Layout:
        """The layout moved by pixels."""
        return replace(self, left=self.left + dx, top=self.top + dy)


def shape_of(model: Any) -> tuple[int, int]:
    """(rows, columns) in which a model's states are drawn: its grid, or a near-square for states without one.

    A world of position and items is drawn on its sheet, a grid with a panel for each set of items.
    """
    grid = model if getattr(model, "sheet", None) is None else model.sheet[0]
    if getattr(grid, "shape", None) is not None:
        rows, columns = grid.shape
        return int(rows), int(columns)
    columns = int(np.ceil(np.sqrt(model.num_states)))
    return -(-int(model.num_states) // columns), columns


def cell_of(model: Any, state: int) -> tuple[int, int]:
    """(row, column) at which a state is drawn, of the shape of `shape_of`."""
    at = int(state) if getattr(model, "sheet", None) is None else int(model.sheet[1][state])
    return divmod(at, shape_of(model)[1])


def state_at(model: Any, row: int, column: int) -> int | None:
    """The state that is drawn in a cell, or None where there is none."""
    at = row * shape_of(model)[1] + column
    if getattr(model, "sheet", None) is None:
        return at if at < model.num_states else None
    found = np.flatnonzero(model.sheet[1] == at)
    return int(found[0]) if found.size else None


def layout(model: Any, width: int, height: int, margin: int = 0) -> Layout:
    """The largest layout of a world in width x height pixels, centred.

    Cells are whole pixels wide where that costs little of the space (always from 10 pixels up).
    """
    rows, columns = shape_of(model)
    cell = max(min((width - 2 * margin) / columns, (height - 2 * margin) / rows), 1e-6)
    if np.floor(cell) >= 0.9 * cell:
        cell = float(np.floor(cell))
    return Layout(
        cell=cell,
        left=float(np.floor((width - columns * cell) / 2)),
        top=float(np.floor((height - rows * cell) / 2)),
        rows=rows,
        columns=columns,
    )


# --- pixels and cells of one axis, for the rasteriser -----------------------------------------------------------------


def visible(origin: float, cell: float, count: int, pixels: int) -> tuple[int, int]:
    """The half-open range of rows (or columns) of which something can be seen."""
    first = int(np.floor(-origin / cell)) - 1
    last = int(np.ceil((pixels - origin) / cell)) + 1
    return max(0, min(first, count)), max(0, min(last, count))


def edges(origin: float, cell: float, span: tuple[int, int]) -> NDArray[np.int64]:
    """int64 [n + 1]: the pixels at which the rows (or columns) of a half-open range begin, and the last one's end."""
    found: NDArray[np.int64] = np.ceil(origin + np.arange(span[0], span[1] + 1) * cell - 0.5).astype(np.int64)
    return found
