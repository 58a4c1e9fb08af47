"""The keyboard and the pointer: events of pygame in, commands out.

`Input` remembers what an event alone does not say: where the pointer is, which keys are down, which slider is dragged
and from which value.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pygame

from rlgrid.window import bar, bindings, entering, palette, side
from rlgrid.window.panning import Panning
from rlgrid.window.places import Made
from rlgrid.window.state import Menu, Parameter

if TYPE_CHECKING:
    from rlgrid.window.app import App

DRAG = 0.07  # seconds between two changes sent while a slider is dragged
TIP = 0.7  # seconds that the pointer rests on a control before it is said what it does
SLIDE = 0.05  # of a slider's way, for a key


class Input:
    """The events of one app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.panning = Panning(app)
        self.pointer: tuple[int, int] | None = None
        self.dragging: str | None = None  # the name of the slider
        self._held: set[int] = set()  # keys that are down
        self._moved_at = 0.0
        self._drag_before: Parameter | None = None
        self._drag_value: float | None = None
        self._drag_sent = 0.0
        self._made: Made | None = None  # that the map is to be made from then
        self._size: tuple[int, int] | None = None  # that the map is to have when the slider is let go

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
            app.resize((event.w, event.h))
        elif event.type == pygame.KEYDOWN:
            repeated = event.key in self._held
            self._held.add(event.key)
            self._key(event.key, event.mod, repeated, getattr(event, "unicode", ""))
        elif event.type == pygame.KEYUP:
            self._held.discard(event.key)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._held.clear()  # what is let go elsewhere is not heard of here
        elif event.type == pygame.MOUSEMOTION:
            self._move(self._at(event))
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._press(self._at(event))
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 2:
            self.panning.press(self._at(event), (app.state.pinned, app.state.inspected))
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 3:
            self._press_right(self._at(event))
        elif event.type == pygame.MOUSEBUTTONUP and event.button in (1, 2, 3):
            self._release()
        elif event.type == pygame.MOUSEWHEEL:
            if app.state.menu is None and not app.state.help and event.y:
                app.do(f"wheel:{float(getattr(event, 'precise_y', event.y)):g}")
                if self.pointer is not None:
                    self._move(self.pointer)  # another cell may lie under it now
        elif event.type == pygame.DROPFILE:
            app.open_file(event.file)
        elif event.type == pygame.WINDOWLEAVE:
            self.pointer, app.state.hover, app.state.tip = None, None, None

    def _at(self, event: pygame.event.Event) -> tuple[int, int]:
        """Where the pointer is, in pixels of the layout."""
        scale = self._app.scene.scale
        return int(event.pos[0] / scale), int(event.pos[1] / scale)

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

    def _key(self, key: int, modifiers: int, repeated: bool, typed: str) -> None:
        app = self._app
        state = app.state
        if state.typing is not None:
            entering.press(app, key, modifiers, typed)
            return
        if state.menu is not None and self._menu_key(state.menu, key, modifiers, repeated, typed):
            return
        if state.ring and self._ring_key(key, modifiers, repeated):
            return
        if app.teacher is not None and typed.isdecimal() and 1 <= int(typed) <= app.teacher.asking:
            app.teacher.choose(int(typed))  # layers have their keys again once it is answered
            return
        binding = bindings.binding_of(key, modifiers, state.mode)
        if binding is not None and (binding.repeats or not repeated):
            app.do(binding.command)

    def _menu_key(self, menu: Menu, key: int, modifiers: int, repeated: bool, typed: str) -> bool:
        """A key while a menu is open: arrows, Enter, and letters that narrow the list; whether it was for the menu."""
        steps = {pygame.K_UP: -1, pygame.K_DOWN: 1, pygame.K_PAGEUP: -8, pygame.K_PAGEDOWN: 8}
        if key in steps and menu.shown:
            lit = menu.lit + steps[key]
            last = len(menu.shown) - 1
            menu.lit = lit % len(menu.shown) if abs(steps[key]) == 1 else min(max(0, lit), last)
        elif key == pygame.K_TAB and menu.shown:
            menu.lit = (menu.lit + (-1 if modifiers & pygame.KMOD_SHIFT else 1)) % len(menu.shown)
        elif key in (pygame.K_HOME, pygame.K_END):
            menu.lit = 0 if key == pygame.K_HOME else max(0, len(menu.shown) - 1)
        elif key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            if not repeated and menu.shown:
                self._app.do(f"entry:{menu.shown[menu.lit]}")
            elif not repeated and menu.name == "breakpoint":  # a condition in words of one's own
                self._app.state.menu = None
                self._app.do(f"until:{menu.typed}")
        elif key == pygame.K_BACKSPACE:
            menu.narrow(menu.typed[:-1])
        elif key == pygame.K_SPACE and not menu.typed:
            if not repeated and menu.shown:
                self._app.do(f"entry:{menu.shown[menu.lit]}")
        elif typed and typed.isprintable() and not modifiers & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META):
            if not repeated:  # the key that opened the menu may still be down
                menu.narrow(menu.typed + typed)
        else:
            return False
        return True

    def _ring_key(self, key: int, modifiers: int, repeated: bool) -> bool:
        """A key while a control has the ring: Space and Enter press it, arrows move its knob or the ring."""
        app = self._app
        control = next((c for c in app.scene.controls if c.name == app.state.ring), None)
        if control is None or modifiers & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META):
            return False
        ways = {pygame.K_RIGHT: 1, pygame.K_LEFT: -1, pygame.K_UP: 1, pygame.K_DOWN: -1}
        if key in (pygame.K_SPACE, pygame.K_RETURN, pygame.K_KP_ENTER):
            if control.kind == "slider" and key != pygame.K_SPACE:
                entering.begin(app, control.name)
            elif not repeated and control.kind != "slider":
                self._press_control(control.name)
        elif key == pygame.K_TAB:
            self.move_ring(-1 if modifiers & pygame.KMOD_SHIFT else 1)
        elif key in ways and control.kind == "slider" and key in (pygame.K_RIGHT, pygame.K_LEFT):
            self.nudge(control.name, ways[key] * (SLIDE / 5 if modifiers & pygame.KMOD_SHIFT else SLIDE))
        elif key in ways:
            self.move_ring(1 if key in (pygame.K_RIGHT, pygame.K_DOWN) else -1)
        else:
            return False
        return True

    def move_ring(self, by: int) -> None:
        """Give the ring to the control after, or before, the one that has it."""
        app = self._app
        names = list(dict.fromkeys(control.name for control in app.scene.in_order()))
        if not names:
            return
        state = app.state
        if state.ring in names:
            state.ring = names[(names.index(state.ring) + by) % len(names)]
        else:
            state.ring = names[0 if by > 0 else -1]

    def nudge(self, name: str, by: float) -> None:
        """Move the knob of a slider by a part of its way, and let it go."""
        app = self._app
        state = app.state
        kind, _, which = name.partition(":")
        parameter = state.parameter(which) if kind == "parameter" else None
        if kind == "parameter" and parameter is None:
            return
        app.end_tour()
        self._grasp(name)
        now = self._part(name)
        for further in range(1, 21):  # as far as it takes to change anything
            if self._slide(name, now + further * by):
                break
        self._let_go()

    # --- sliders ----------------------------------------------------------------------------------------------------

    def _grasp(self, name: str) -> None:
        self.dragging = name
        self._drag_before = self._app.state.parameter(name.partition(":")[2])
        self._drag_value = self._size = self._made = None

    def _part(self, name: str) -> float:
        """Where the knob of a slider stands, in [0, 1]."""
        state = self._app.state
        kind, _, which = name.partition(":")
        if kind == "parameter":
            parameter = state.parameter(which)
            return 0.0 if parameter is None else parameter.part
        if kind == "amount":
            brush = next((b for b in state.palette if b.key == state.brush), None)
            return 0.0 if brush is None or brush.amount is None else brush.amount.part(state.amount)
        if kind == "size":
            size = (state.map_size or (1, 1))[int(which)]
            return (size - 1) / (palette.SIDE_LIMIT - 1)
        if kind == "made":
            low, high = side.MADE[which]
            return float(getattr(state.making, which, low) - low) / (high - low)
        if kind == "timeline":
            return state.snapshot.count / state.expected_end()
        return bar.speed_part(state.speed, state.unit)

    def _slide(self, name: str, part: float) -> bool:
        """Put the knob of a slider there; whether that changed anything."""
        app = self._app
        state = app.state
        kind, _, which = name.partition(":")
        if kind == "timeline":
            return self._app.seek(round(part * state.expected_end()))
        if kind == "speed":
            speed = bar.speed_at(part, state.unit)
            changed = speed != state.speed
            app.set_speed(speed)
            return changed
        if kind == "amount":
            brush = next((b for b in state.palette if b.key == state.brush), None)
            if brush is None or brush.amount is None:
                return False
            amount = brush.amount.at(part)
            changed, state.amount = amount != state.amount, amount
            return bool(changed)
        if kind == "size":
            rows, columns = state.map_size or (1, 1)
            size = 1 + round(min(1.0, max(0.0, part)) * (palette.SIDE_LIMIT - 1))
            wanted = (size, columns) if which == "0" else (rows, size)
            changed = wanted != state.map_size
            state.map_size = self._size = wanted
            return changed
        if kind == "made":
            low, high = side.MADE[which]
            value = low + round(min(1.0, max(0.0, part)) * (high - low))
            if state.making is None or getattr(state.making, which) == value:
                return False
            state.making = self._made = replace(state.making, **{which: value})
            return True
        return self._slide_parameter(which, part)

    def _slide_parameter(self, name: str, part: float) -> bool:
        app = self._app
        state = app.state
        old = state.parameter(name)
        value = None if old is None else old.at(part)
        if old is None or value is None or value == old.value:
            return False
        state.parameters = [replace(p, value=value) if p.name == name else p for p in state.parameters]
        self._drag_value = value
        now = app.clock()
        if now - self._drag_sent >= DRAG:
            self._drag_sent = now
            app.change(name, value, held=True)
        return True

    def _let_go(self) -> None:
        """What a slider was put to takes effect."""
        name, before, value = self.dragging, self._drag_before, self._drag_value
        size, made = self._size, self._made
        self.dragging = self._drag_before = self._drag_value = self._size = self._made = None
        if made is not None:
            self._app.make(made)
        if size is not None:
            self._app.painter.resize(*size)
        if name is not None and before is not None and value is not None:
            self._app.change(before.name, value)

    # --- the pointer ------------------------------------------------------------------------------------------------

    def _move(self, at: tuple[int, int]) -> None:
        app = self._app
        state = app.state
        self.pointer, self._moved_at, state.tip = at, app.clock(), None
        if self.dragging is not None:
            self._drag(at[0])
            return
        if app.painter.stroking:
            app.painter.move(app.scene.spot_at(*at))
            return
        if self.panning.active:
            self.panning.move(at)
            return
        over = app.scene.control_at(*at)
        free = over is None and not state.help and state.menu is None
        state.hover = app.scene.cell_at(*at, state) if free else None
        if state.menu is not None and over is not None and over.name.startswith("entry:"):
            number = int(over.name.partition(":")[2])
            if number in state.menu.shown:
                state.menu.lit = state.menu.shown.index(number)

    def _press(self, at: tuple[int, int]) -> None:
        app = self._app
        state = app.state
        self.pointer = at
        state.tip, state.ring, self._moved_at = None, "", math.inf
        control = app.scene.control_at(*at)
        if state.typing is not None and (control is None or control.name != f"value:{state.typing.slider}"):
            entering.leave(app)
        if control is None:
            self._press_outside(at)
        elif control.kind == "minimap":
            self.panning.press_minimap(at)
        elif control.kind == "slider":
            app.end_tour()
            self._grasp(control.name)
            self._drag(at[0])
        else:
            self._press_control(control.name)

    def _press_control(self, name: str) -> None:
        menu = self._app.state.menu
        if menu is not None and not name.startswith("entry:") and name != menu.name:
            self._app.state.menu = None
        self._app.do(name)

    def _press_outside(self, at: tuple[int, int]) -> None:
        """A press on no control: it closes what lies on top, or else is for the map."""
        app = self._app
        state = app.state
        if state.menu is not None:
            state.menu = None
        elif state.help:
            state.help = False
        elif state.mode == "paint" and not pygame.key.get_mods() & pygame.KMOD_SHIFT:
            app.painter.press(app.scene.spot_at(*at))
        else:
            cell = app.scene.cell_at(*at, state)
            lane = app.scene.lane_at(*at)
            if lane is not None:
                app.race.select(lane)
            self.panning.press(at, (state.pinned, state.inspected))
            if cell is not None:
                state.pinned = None if state.pinned == cell else cell
                state.inspected = None

    def _press_right(self, at: tuple[int, int]) -> None:
        """The right button paints floor."""
        app = self._app
        free = app.state.menu is None and not app.state.help and app.scene.control_at(*at) is None
        if free and app.state.mode == "paint":
            app.painter.press(app.scene.spot_at(*at), "floor")

    def _drag(self, x: int) -> None:
        control = next((c for c in self._app.scene.controls if c.name == self.dragging), None)
        if control is not None:
            left, right = control.track
            self._slide(control.name, (x - left) / max(1, right - left))

    def _release(self) -> None:
        self.panning.release()
        if self._app.painter.stroking:
            self._app.painter.release()
        self._let_go()
