"""Dragging the map under the pointer, and the minimap.

A press on a cell pins it at once; where the pointer then moves on with the button down, the pin is taken back and the
map goes with the pointer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlgrid.window import commands

if TYPE_CHECKING:
    from rlgrid.window.app import App

NEAR = 5  # pixels that a click may move


class Panning:
    """The drag of one app's map or minimap that is under way, if one is."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._last: tuple[int, int] | None = None  # where the pointer was
        self._far = False  # whether it has left the place of the press
        self._pinned: tuple[int | None, int | None] = (None, None)  # the pin and the action before the press
        self._on_minimap = False

    @property
    def active(self) -> bool:
        """Whether the pointer holds something."""
        return self._last is not None

    def press(self, at: tuple[int, int], pinned: tuple[int | None, int | None]) -> None:
        """Take hold of the map; ``pinned``: the pin and the action to go back to if this becomes a drag."""
        if not self._app.state.view.fits:
            self._last, self._far, self._pinned, self._on_minimap = at, False, pinned, False

    def press_minimap(self, at: tuple[int, int]) -> None:
        """Go to a place of the minimap, and further while the button is down."""
        self._last, self._on_minimap = at, True
        commands.go_to(self._app, *at)

    def move(self, at: tuple[int, int]) -> None:
        """The pointer has moved with the button down."""
        if self._last is None:
            return
        if self._on_minimap:
            if not self._app.state.view.fits:
                commands.go_to(self._app, *at)
            return
        dx, dy = at[0] - self._last[0], at[1] - self._last[1]
        if not self._far:
            if max(abs(dx), abs(dy)) < NEAR:
                return
            self._far = True
            self._app.state.pinned, self._app.state.inspected = self._pinned
        self._last = at
        self._app.do(f"pan:{dx},{dy}")

    def release(self) -> None:
        """Let go."""
        self._last = None
