"""Draws docs/images/observations.png: a state as a picture, what can be seen from it, and the window's planes.

python docs/observations.py
"""

import os
from pathlib import Path

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import imageio.v3 as imageio
import numpy as np
import pygame

import rlgrid
from rlgrid.envs.observations import observer
from rlgrid.theme import DARK
from rlgrid.window import text

WORLD, ROW, COLUMN, SIDE, CELL, SMALL = "keys_and_switch", 2, 4, 7, 26, 13
MARGIN, GAP, CAPTION = 24, 28, 30


def main() -> None:
    """Draw the state twice, the second time with what is not seen in the dark, and below them the planes."""
    pygame.display.init()
    model = rlgrid.GridSpec.builtin(WORLD).compile()
    state = model.state_of(ROW, COLUMN, red=True)
    picture = observer(model, "rgb", cell_size=CELL).one(state)
    window = observer(model, "view", view_size=SIDE)
    planes = dict(zip(window.plane_names, window.one(state), strict=True))

    lit = np.zeros(model.map_shape, np.bool_)
    for r, c in np.argwhere(planes["unseen"] == 0).tolist():
        row, column = ROW + r - SIDE // 2, COLUMN + c - SIDE // 2
        if 0 <= row < lit.shape[0] and 0 <= column < lit.shape[1]:
            lit[row, column] = True
    light = np.kron(lit, np.ones((CELL, CELL)))[:, :, None]
    seen = (picture * np.where(light > 0, 1.0, 0.25)).astype(np.uint8)

    shown = [(name, plane) for name, plane in planes.items() if plane.any()]
    panel = SIDE * SMALL
    width = 2 * picture.shape[1] + GAP
    across = (width + GAP) // (panel + GAP)
    rows = -(-len(shown) // across)
    height = CAPTION + picture.shape[0] + GAP + rows * (CAPTION + panel + GAP) - GAP
    sheet = pygame.Surface((2 * MARGIN + width, 2 * MARGIN + height))
    sheet.fill(DARK.background)

    def put(frame: np.ndarray, name: str, left: int, top: int) -> None:
        text.draw(sheet, name, left, top + 13, DARK.text, 14.0, mono=True, bold=True)
        sheet.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (left, top + CAPTION))

    put(picture, "rgb", MARGIN, MARGIN)
    put(seen, f"what view sees, view_size={SIDE}", MARGIN + picture.shape[1] + GAP, MARGIN)
    below = MARGIN + CAPTION + picture.shape[0] + GAP
    for number, (name, plane) in enumerate(shown):
        left = MARGIN + number % across * (panel + GAP)
        top = below + number // across * (CAPTION + panel + GAP)
        on = np.kron(plane > 0, np.ones((SMALL, SMALL), np.bool_))
        inner = np.tile(np.pad(np.ones((SMALL - 1, SMALL - 1), np.bool_), ((0, 1), (0, 1))), (SIDE, SIDE))
        frame = np.where(on[:, :, None], np.array(DARK.accent), np.array(DARK.floor))
        put(np.where(inner[:, :, None], frame, np.array(DARK.gap)).astype(np.uint8), name, left, top)
    frame = pygame.surfarray.array3d(sheet).swapaxes(0, 1)
    imageio.imwrite(Path(__file__).parent / "images" / "observations.png", frame)


if __name__ == "__main__":
    main()
