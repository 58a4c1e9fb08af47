"""Driving by hand: which key takes which action of a world, and the strip under the map that says so.

An action that is a direction is taken by the key of that direction, any other one by the digit that is its number, as
arrows and numbers stand in the cells of the map. Where a number has two digits, all actions are chosen by their numbers
or by the arrows, and Enter takes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pygame

from rlgrid.window import shapes, text
from rlgrid.window.arithmetic import names_of
from rlgrid.window.state import State
from rlgrid.window.text import SMALL
from rlgrid.window.widgets import MARGIN, Canvas, on_accent

if TYPE_CHECKING:
    from rlgrid.window.app import App

WAYS = {
    "up": "↑",
    "right": "→",
    "down": "↓",
    "left": "←",
    "up-left": "Q",
    "up-right": "E",
    "down-left": "Z",
    "down-right": "C",
    "stay": "X",
}
"""The directions, and the sign of the key that takes each (`rlgrid.window.bindings`)."""

CALLED = {"north": "up", "east": "right", "south": "down", "west": "left", "forward": "right", "back": "left"}

ROWS = 3  # of the strip at most
CHIP, GAP, EDGE = 26, 6, 7  # pixels: the height of an action, between two, around all


@dataclass(frozen=True)
class Taken:
    """An action, its name, the sign of its key, and the direction that it is; "" where it is none."""

    action: int
    name: str
    key: str
    way: str = ""


def way_of(name: str) -> str:
    """The direction that an action's name means; "" where it means none."""
    name = CALLED.get(name.lower(), name.lower())
    if name in WAYS:
        return name
    pushed = re.fullmatch(r"([+-]\d+) up, ([+-]\d+) right", name)  # changes of a velocity
    if pushed is None:
        return ""
    up, right = (int(part) for part in pushed.groups())
    parts = ["up" if up > 0 else "down"] * (up != 0) + ["right" if right > 0 else "left"] * (right != 0)
    return "-".join(parts) or "stay"


@lru_cache(8)
def keys_of(names: tuple[str, ...]) -> tuple[tuple[Taken, ...], bool]:
    """The key of every action, by the actions' names, and whether keys take them at once: else they are numbered, and
    one is chosen first."""
    ways: dict[str, int] = {}
    for action, name in enumerate(names):
        if way := way_of(name):
            ways.setdefault(way, action)
    by_action = {action: way for way, action in ways.items()}
    at_once = all(action in by_action or action < 10 for action in range(len(names)))
    keys = {action: WAYS[way] for action, way in by_action.items()} if at_once else {}
    return tuple(Taken(a, name, keys.get(a, f"{a}"), by_action.get(a, "")) for a, name in enumerate(names)), at_once


def actions_of(state: State) -> tuple[tuple[Taken, ...], bool]:
    """`keys_of` the world that is shown; no actions where it is not known."""
    return ((), True) if state.model is None else keys_of(tuple(names_of(state.model, state.scene)))


class Driver:
    """The driving of one app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._typed = ""  # digits of a number under way

    def toggle(self) -> None:
        """Begin or end to drive."""
        app, state = self._app, self._app.state
        if state.mode == "drive":
            state.mode = "look"
            return
        if not actions_of(state)[0]:
            app.say("The actions of this environment are not known here, so the agent cannot be driven.", 6.0)
            return
        app.end_tour()
        app.painter.cancel()
        app.pause()
        state.mode, state.menu, state.ring, self._typed = "drive", None, "", ""
        state.choice = min(state.choice, len(actions_of(state)[0]) - 1)

    def go(self, way: str) -> None:
        """Take the action that is a direction; where actions are numbered, left and right choose another one."""
        taken, at_once = actions_of(self._app.state)
        if not at_once:
            step = {"left": -1, "right": 1, "down": -1, "up": 1}.get(way, 0)
            self._choose((self._app.state.choice + step) % len(taken))
            return
        one = next((one for one in taken if one.way == way), None)
        if one is None:
            keys = ", ".join(f"{one.key} {one.name}" for one in taken)
            self._app.say(f"There is no action {way!r} in this world. There are: {keys}.", 5.0)
        else:
            self.take(one.action)

    def digit(self, digit: str) -> bool:
        """A number key; whether it is for an action."""
        taken, at_once = actions_of(self._app.state)
        if at_once:
            one = next((one for one in taken if one.key == digit), None)
            if one is not None:
                self.take(one.action)
            return one is not None
        self._typed = self._typed + digit if int(self._typed + digit) < len(taken) else digit
        self._app.state.choice = int(self._typed) % len(taken)
        return True

    def enter(self) -> bool:
        """Take the action that was chosen; whether there was one to choose."""
        taken, at_once = actions_of(self._app.state)
        if not at_once:
            self.take(self._app.state.choice)
        return bool(taken) and not at_once

    def take(self, action: int) -> None:
        """Have the agent, or the walker beside a planner, take an action now."""
        app = self._app
        if not 0 <= action < len(actions_of(app.state)[0]):
            return
        app.end_tour()
        app.pause()
        app.touched()
        self._choose(action)
        app.race.send("drive", action)

    def _choose(self, action: int) -> None:
        self._typed, self._app.state.choice = "", action


# --- the strip --------------------------------------------------------------------------------------------------------


def strip(state: State, region: pygame.Rect) -> pygame.Rect:
    """The foot of the map's region that names the actions while one drives; of no height while one does not."""
    if state.mode != "drive" or not actions_of(state)[0]:
        return pygame.Rect(region.left, region.bottom, region.width, 0)
    lines = len(_placed(state, region.width))
    tall = 2 * EDGE + lines * CHIP + (lines - 1) * GAP
    return pygame.Rect(region.left, region.bottom - tall, region.width, tall)


def paint(canvas: Canvas, state: State) -> None:
    """Draw the actions with their keys over the whole canvas."""
    theme, area = canvas.theme, canvas.rect
    canvas.surface.fill(theme.panel)
    canvas.hairline(0, 0, area.right, 0)
    taken, at_once = actions_of(state)
    for row, line in enumerate(_placed(state, area.width)):
        x, y = MARGIN, EDGE + row * (CHIP + GAP)
        for number, wide in line:
            one, rect = taken[number], pygame.Rect(x, y, wide, CHIP)
            name, chosen = f"take:{one.action}", not at_once and number == state.choice
            there, lit = _available(state, one.action), canvas.hovered == f"take:{one.action}"
            fill = theme.accent if chosen else theme.raised
            shapes.box(canvas.surface, rect, fill, 6, theme.muted if lit else theme.hairline)
            ink = on_accent(theme) if chosen else theme.second if there else theme.muted
            key = canvas.text(one.key, x + 9, rect.centery, ink, SMALL + 0.5, mono=True, bold=True)
            ink = on_accent(theme) if chosen else theme.text if there else theme.muted
            canvas.text(one.name, key.right + 7, rect.centery, ink, SMALL + 0.5, most=rect.right - 6 - key.right - 7)
            tip = f"take “{one.name}” now" if there else f"“{one.name}” cannot be taken here"
            canvas.control(name, rect, tip=f"{tip} ({one.key})" if at_once else tip)
            x = rect.right + GAP


def key(state: State) -> object:
    """What the strip depends on."""
    taken, _ = actions_of(state)
    return taken, state.choice, tuple(_available(state, one.action) for one in taken)


def _available(state: State, action: int) -> bool:
    """Whether the action can be taken where the agent stands."""
    available, at = getattr(state.model, "available", None), state.snapshot.walker
    return available is None or at is None or at >= len(available) or bool(available[at, action])


def _placed(state: State, width: int) -> list[list[tuple[int, int]]]:
    """The (action, pixels of width) of each line; where actions are numbered, those around the chosen one in a line."""
    taken, at_once = actions_of(state)
    room = width - 2 * MARGIN
    most = room if not at_once else (room + GAP) // -(-len(taken) // ROWS) - GAP
    wide = [
        min(most, 24 + text.width(one.key, SMALL + 0.5, mono=True) + text.width(one.name, SMALL + 0.5)) for one in taken
    ]
    if not at_once:
        first = last = min(max(0, state.choice), len(taken) - 1)
        left = room - wide[first]
        while True:
            grows = [n for n in (first - 1, last + 1) if 0 <= n < len(taken) and wide[n] + GAP <= left]
            if not grows:
                return [[(n, wide[n]) for n in range(first, last + 1)]]
            nearest = min(grows, key=lambda n: abs(n - state.choice))
            left -= wide[nearest] + GAP
            first, last = min(first, nearest), max(last, nearest)
    lines: list[list[tuple[int, int]]] = [[]]
    left = room
    for number, each in enumerate(wide):
        if each > left and lines[-1]:
            lines.append([])
            left = room
        lines[-1].append((number, each))
        left -= each + GAP
    if len(lines) <= ROWS:
        return lines
    columns = -(-len(taken) // ROWS)
    return [
        [(n, most) for n in range(first, min(len(taken), first + columns))] for first in range(0, len(taken), columns)
    ]
