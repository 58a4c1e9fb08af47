"""Walls between two cells: drawn as `|` and `-` in a text of their own, or given as pairs of neighbouring cells.

The text has a character for each cell and one for each border between cells, so 2 H - 1 lines of 2 W - 1 characters:

    . .|.
      -
    . . .

A `|` stands between two cells of a row, a `-` between two of a column. What is left out at the ends of lines, and whole
lines at the end, is free. A spec keeps them as pairs ((row, column), (row, column)), the upper or left cell first, in
ascending order; models as one small integer a cell (`GridModel.to_mdp`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.maperrors import Wrong
from rlgrid.mapvalues import integer, kind_of
from rlgrid.tomltext import Where, dotted

Cell = tuple[int, int]
Edges = tuple[tuple[Cell, Cell], ...]


def edges_of(value: Any, where: Where, rows: Sequence[str]) -> Edges:
    """The pairs of cells that a value, in any of its forms, puts a wall between."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split("\n")
    if not isinstance(value, list | tuple):
        raise Wrong(where, f"{dotted(where)} must be text or pairs of cells, not {kind_of(value)}")
    if all(isinstance(item, str) for item in value):
        return _from_text(value, where, rows)
    return tuple(sorted({_pair(item, (*where, i), rows) for i, item in enumerate(value)}))


def _pair(value: Any, where: Where, rows: Sequence[str]) -> tuple[Cell, Cell]:
    height, width = len(rows), len(rows[0])
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Wrong(
            where,
            f"{dotted(where)} must be two cells such as [[0, 1], [0, 2]], not {kind_of(value)}",
        )
    cells: list[Cell] = []
    for i, cell in enumerate(value):
        if not isinstance(cell, list | tuple) or len(cell) != 2:
            raise Wrong((*where, i), f"{dotted((*where, i))} must be [row, column], not {kind_of(cell)}")
        row = integer(cell[0], (*where, i, 0), 0, height - 1)
        cells.append((row, integer(cell[1], (*where, i, 1), 0, width - 1)))
    first, second = sorted(cells)
    if (second[0] - first[0], second[1] - first[1]) not in ((0, 1), (1, 0)):
        raise Wrong(where, f"{dotted(where)}: {cells[0]} and {cells[1]} are not neighbours in a row or a column")
    return first, second


def _from_text(lines: Sequence[str], where: Where, rows: Sequence[str]) -> Edges:
    height, width = len(rows), len(rows[0])
    found: list[tuple[Cell, Cell]] = []
    for i, line in enumerate(lines):
        for j, character in enumerate(line):
            if character == " ":
                continue
            at = f"line {i}, character {j} of {dotted(where)}"
            if i > 2 * height - 2 or j > 2 * width - 2:
                raise Wrong(
                    where,
                    f"{at} is outside the map: {height} x {width} cells and the borders between them are "
                    f"{2 * height - 1} lines of {2 * width - 1} characters",
                    cell=(i, j),
                )
            row, column = i // 2, j // 2
            if i % 2 == 0 and j % 2 == 0:
                if character not in (".", rows[row][column]):
                    hint = f"write '.' there, or what the map has, {rows[row][column]!r}"
                    raise Wrong(where, f"{at} is a cell, not {character!r}: {hint}", cell=(i, j))
            elif i % 2 == 0 and character == "|":
                found.append(((row, column), (row, column + 1)))
            elif j % 2 == 0 and character == "-":
                found.append(((row, column), (row + 1, column)))
            elif not (i % 2 and j % 2 and character == "+"):
                hint = "a corner: write a space or '+'"
                if not (i % 2 and j % 2):
                    border = "|" if i % 2 == 0 else "-"
                    hint = f"a border between two cells: write a space, or {border!r} for a wall"
                raise Wrong(where, f"{at} is {character!r}, but it is {hint}", cell=(i, j))
    return tuple(sorted(found))


def drawn(edges: Edges, height: int, width: int) -> list[str]:
    """The lines of the text that gives these walls."""
    lines = [[". " * (width - 1) + ".", " " * (2 * width - 1)][i % 2] for i in range(2 * height - 1)]
    marks = [list(line) for line in lines]
    for (row, column), (to_row, to_column) in edges:
        marks[row + to_row][column + to_column] = "|" if row == to_row else "-"
    return ["".join(line).rstrip() for line in marks]


def mask_of(edges: Edges, height: int, width: int) -> NDArray[np.uint8] | None:
    """uint8 [S]: 1 for a wall at the right side of a cell, 2 for one below it; None where there is none."""
    if not edges:
        return None
    mask = np.zeros(height * width, np.uint8)
    for (row, column), (to_row, _) in edges:
        mask[row * width + column] |= 1 if row == to_row else 2
    return mask
