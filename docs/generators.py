"""Draws docs/images/generators.png: a map of every generator, coloured by the steps to the goal, with the shortest way.

python docs/generators.py
"""

import os
from pathlib import Path

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import imageio.v3 as imageio
import numpy as np
import pygame

import rlgrid
from rlgrid.kernels.flood import distances
from rlgrid.theme import DARK
from rlgrid.window import text

SIDE, CELL, COLUMNS, SEED = 31, 9, 4, 11
MARGIN, GAP, CAPTION = 24, 24, 30


def way_and_steps(tiles: np.ndarray, start: int, goal: int) -> tuple[list[int], np.ndarray]:
    """The states of a shortest way, and the steps of each state to the goal (NaN where there is no way)."""
    free = np.isin(tiles, (0, 3, 4)).ravel()
    steps = distances(free, SIDE, SIDE, goal)
    way = [start]
    while way[-1] != goal:
        row, column = divmod(way[-1], SIDE)
        sides = ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1))
        beside = [r * SIDE + c for r, c in sides if 0 <= r < SIDE and 0 <= c < SIDE]
        way.append(next(state for state in beside if steps[state] == steps[way[-1]] - 1))
    return way, np.where(steps >= 0, steps, np.nan)


def main() -> None:
    """Draw each map, write its name above it."""
    pygame.display.init()
    panel = SIDE * CELL
    rows = -(-len(rlgrid.GENERATORS) // COLUMNS)
    size = 2 * MARGIN + COLUMNS * (panel + GAP) - GAP, 2 * MARGIN + rows * (panel + CAPTION + GAP) - GAP
    sheet = pygame.Surface(size)
    sheet.fill(DARK.background)
    for number, name in enumerate(rlgrid.GENERATORS):
        tiles = rlgrid.generate_tiles(name, SIDE, SIDE, seed=SEED)
        model = rlgrid.generate_model(name, SIDE, SIDE, seed=SEED)
        start, goal = int((tiles == 3).argmax()), int((tiles == 4).argmax())
        way, steps = way_and_steps(tiles, start, goal)
        picture = rlgrid.draw(model, values=-steps, path=way, agent=start, cell_size=CELL)
        left = MARGIN + number % COLUMNS * (panel + GAP)
        top = MARGIN + number // COLUMNS * (panel + CAPTION + GAP)
        text.draw(sheet, name, left, top + 13, DARK.text, 14.0, mono=True, bold=True)
        text.draw(sheet, f"{len(way) - 1} steps", left + panel, top + 13, DARK.muted, 13.0, mono=True, align="right")
        sheet.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (left, top + CAPTION))
    frame = pygame.surfarray.array3d(sheet).swapaxes(0, 1)
    imageio.imwrite(Path(__file__).parent / "images" / "generators.png", frame)


if __name__ == "__main__":
    main()
