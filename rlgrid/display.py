"""Shows frames in a window, for ``render_mode="human"``.

One window a process, as pygame has it: displays that are open at the same time share it, and it closes with the last
of them. Between two frames the window answers the system, so it can be moved and closed. If a person closes it, later
frames are not shown, and the program runs on; `close` followed by `show` opens it again.

Without a display some builds of SDL fail, which is an error here, and others draw where nobody can see it, which is a
warning: a program that was only asked to show its progress goes on.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REMEDY = (
    'there is no display to open a window on. Use render_mode="rgb_array" or "ansi", or start the program where a '
    "desktop is running (with the environment variable SDL_VIDEODRIVER=dummy it runs without showing anything)"
)


class Display:
    """A window for frames uint8 [H, W, 3].

    Args:
        title: of the window.
        fps: frames a second at most; `show` waits for the rest of the time.
    """

    _open: set[Display] = set()  # noqa: RUF012 - the process's displays, since they share the window

    def __init__(self, title: str = "rlgrid", fps: float = 30.0) -> None:
        self.title = title
        self.fps = fps
        self.dismissed = False
        self._clock: Any = None

    @property
    def is_open(self) -> bool:
        """True between the first `show` and `close`, unless the window was closed by a person."""
        return self in Display._open

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show a frame; opens the window if it is not open.

        Raises:
            RuntimeError: if no window can be opened, with what to do about it.
        """
        if self.dismissed:
            return
        import pygame

        height, width = frame.shape[:2]
        surface = self._surface(pygame, (width, height))
        # Closing can be asked for only while there is a queue to ask.
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                for display in list(Display._open):
                    display.close()
                    display.dismissed = True
                return
        pygame.surfarray.blit_array(surface, frame.transpose(1, 0, 2))
        pygame.display.flip()
        if self.fps > 0:
            self._clock.tick(self.fps)

    def _surface(self, pygame: Any, size: tuple[int, int]) -> Any:
        """The window's surface, in the size of the frame."""
        if not Display._open and pygame.display.get_init() and pygame.display.get_surface() is not None:
            raise RuntimeError('this program has a pygame window already: use render_mode="rgb_array" and draw into it')
        if self not in Display._open:
            try:
                pygame.display.init()
                pygame.display.set_mode(size)
            except pygame.error as error:
                if not Display._open:
                    pygame.display.quit()
                raise RuntimeError(f"{_REMEDY}. The system says: {error}") from error
            if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
                warnings.warn(_REMEDY, RuntimeWarning, stacklevel=4)
            self._clock = pygame.time.Clock()
            Display._open.add(self)
        surface = pygame.display.get_surface()
        if surface.get_size() != size:
            surface = pygame.display.set_mode(size)
        pygame.display.set_caption(self.title)
        return surface

    def close(self) -> None:
        """Close the window, unless another display still uses it. Closing twice does nothing."""
        self.dismissed = False
        if self not in Display._open:
            return
        import pygame

        Display._open.discard(self)
        if not Display._open:
            pygame.display.quit()
