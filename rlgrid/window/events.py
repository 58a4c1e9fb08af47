"""The keyboard and the pointer: events of pygame in, commands out.

`Input` remembers what an event alone does not say: where the pointer is, which keys are down, which slider is dragged
and from which value.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pygame

from rlgrid.window import bar, bindings
from rlgrid.window.scene import SMALLEST
from rlgrid.window.state import Parameter

if TYPE_CHECKING:
    from rlgrid.window.app import App

DRAG = 0.07  # seconds between two changes sent while a slider is dragged
TIP = 0.7  # seconds that the pointer rests on a control before it is said what it does
REPEATED = {"step", "faster", "slower"}  # commands that a key held down gives again and again


class Input:
    """The events of one app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.pointer: tuple[int, int] | None = None
        self.dragging: str | None = None  # the name of the slider
        self._held: set[int] = set()  # keys that are down
        self._moved_at = 0.0
        self._drag_before: Parameter | None = None
        self._drag_value: float | None = None
        self._drag_sent = 0.0

    @property
    def hovered(self) -> str | None:
        """The control under the pointer, or the one that is dragged."""
        if self.dragging is not None:
            return self.dragging
        control = None if self.pointer is None else self._app.scene.control_at(*self.pointer)
        return None if control is None else control.name

    def handle(self, event: pygame.event.Event) -> None:
        """One event of the keyboard, the pointer or the window."""
        app = self._app
        if event.type == pygame.QUIT:
            app.running = False
        elif event.type == pygame.VIDEORESIZE:
            app.size = (max(SMALLEST[0], event.w), max(SMALLEST[1], event.h))
            if app.size[0] >= bar.DRAWERS:
                app.state.drawer = ""
        elif event.type == pygame.KEYDOWN:
            repeated = event.key in self._held
            self._held.add(event.key)
            self._key(event.key, event.mod, repeated)
        elif event.type == pygame.KEYUP:
            self._held.discard(event.key)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._held.clear()  # what is let go elsewhere is not heard of here
        elif event.type == pygame.MOUSEMOTION:
            self._move(event.pos)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._press(event.pos)
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            self._release()
        elif event.type == pygame.WINDOWLEAVE:
            self.pointer, app.state.hover, app.state.tip = None, None, None

    def rest(self, now: float) -> None:
        """Say what the control under the pointer does once the pointer rests."""
        state = self._app.state
        if self.pointer is None or self.dragging is not None or state.menu is not None or state.help:
            state.tip = None
        elif now - self._moved_at > TIP and state.tip is None:
            control = self._app.scene.control_at(*self.pointer)
            if control is not None and control.tip:
                state.tip = (control.tip, control.rect.midbottom)

    # --- keys -------------------------------------------------------------------------------------------------------

    def _key(self, key: int, modifiers: int, repeated: bool) -> None:
        menu = self._app.state.menu
        if menu is not None:
            if key in (pygame.K_UP, pygame.K_DOWN):
                menu.lit = (menu.lit + (1 if key == pygame.K_DOWN else -1)) % len(menu.entries)
                return
            if key in (pygame.K_RETURN, pygame.K_KP_ENTER, pygame.K_SPACE) and not repeated:
                self._app.do(f"entry:{menu.lit}")
                return
        command = bindings.command_of(key, modifiers)
        if command is not None and not (repeated and command not in REPEATED):
            self._app.do(command)

    # --- the pointer ------------------------------------------------------------------------------------------------

    def _move(self, at: tuple[int, int]) -> None:
        app = self._app
        state = app.state
        self.pointer, self._moved_at, state.tip = at, app.clock(), None
        if self.dragging is not None:
            self._drag(at[0])
            return
        over = app.scene.control_at(*at)
        free = over is None and not state.help and state.menu is None
        state.hover = app.scene.cell_at(*at, state) if free else None
        if state.menu is not None and over is not None and over.name.startswith("entry:"):
            state.menu.lit = int(over.name.partition(":")[2])

    def _press(self, at: tuple[int, int]) -> None:
        app = self._app
        state = app.state
        self.pointer = at
        state.tip, self._moved_at = None, math.inf
        control = app.scene.control_at(*at)
        if control is None:
            self._press_outside(at)
            return
        if control.kind == "slider":
            app.end_tour()
            self.dragging = control.name
            self._drag_before = state.parameter(control.name.partition(":")[2])
            self._drag_value = None
            self._drag(at[0])
            return
        if state.menu is not None and not control.name.startswith("entry:") and control.name != state.menu.name:
            state.menu = None
        app.do(control.name)

    def _press_outside(self, at: tuple[int, int]) -> None:
        """A press on no control: it closes what lies on top, or else is for the map."""
        state = self._app.state
        if state.menu is not None:
            state.menu = None
        elif state.help:
            state.help = False
        else:
            cell = self._app.scene.cell_at(*at, state)
            if cell is not None:
                state.pinned = None if state.pinned == cell else cell
                state.inspected = None

    def _drag(self, x: int) -> None:
        app = self._app
        state = app.state
        control = next((c for c in app.scene.controls if c.name == self.dragging), None)
        if control is None:
            return
        left, right = control.track
        part = (x - left) / max(1, right - left)
        if control.name == "speed":
            app.set_speed(bar.speed_at(part, state.unit))
            return
        name = control.name.partition(":")[2]
        old = state.parameter(name)
        if old is None:
            return
        value = old.at(part)
        if value == old.value:
            return
        state.parameters = [replace(p, value=value) if p.name == name else p for p in state.parameters]
        self._drag_value = value
        now = app.clock()
        if now - self._drag_sent >= DRAG:
            self._drag_sent = now
            app.change(name, value, held=True)

    def _release(self) -> None:
        name, before, value = self.dragging, self._drag_before, self._drag_value
        self.dragging = self._drag_before = self._drag_value = None
        if name is None or before is None or value is None:
            return
        self._app.change(before.name, value)
