"""Random events for the window: keys, clicks, drags, the wheel, strokes, sizes; the same ones for the same seed."""

from __future__ import annotations

import numpy as np
import pygame

from rlgrid.window import bindings

KEYS = sorted(
    {key for binding in bindings.BINDINGS for key, _ in binding.keys} | set(range(pygame.K_a, pygame.K_z + 1))
)
MODIFIERS = (
    0,
    0,
    0,
    0,
    0,
    0,
    pygame.KMOD_SHIFT,
    pygame.KMOD_CTRL,
    pygame.KMOD_CTRL | pygame.KMOD_SHIFT,
    pygame.KMOD_ALT,
)
SIZES = ((640, 480), (800, 600), (1000, 700), (1280, 800), (1100, 640))
FILES = ("save", "save session", "record", "screenshot")  # what writes files is not pressed here


class RandomEvents:
    """Gives lists of events that belong together: a click, a drag, a key and its release.

    Args:
        app: whose controls and map the pointer finds.
        quiet: commands that are not to be given.
    """

    def __init__(self, app, seed, quiet=FILES, sizes=SIZES):
        self.app, self.quiet, self.sizes = app, quiet, sizes
        self.draws = np.random.default_rng(seed)
        self.held = 0

    def pick(self, among):
        return among[int(self.draws.integers(len(among)))]

    def spot(self):
        """A place of the window: often a control, often a cell of the map, else anywhere."""
        scene, (width, height) = self.app.scene, self.app.size
        kind = self.draws.random()
        controls = [c for c in scene.controls if c.name.partition(":")[0] not in self.quiet]
        if kind < 0.45 and controls:
            rect = self.pick(controls).rect
        elif kind < 0.85:
            rect = scene.map_place
        else:
            rect = pygame.Rect((0, 0), scene.layout_size((width, height)))
        x = rect.left + int(self.draws.integers(max(1, rect.width)))
        y = rect.top + int(self.draws.integers(max(1, rect.height)))
        at = round(x * scene.scale), round(y * scene.scale)
        return self.allowed(at)

    def allowed(self, at):
        """The place, or the corner if there is a control that writes a file."""
        scale = self.app.scene.scale
        control = self.app.scene.control_at(int(at[0] / scale), int(at[1] / scale))
        return (0, 0) if control is not None and control.name.partition(":")[0] in self.quiet else at

    def motion(self, at, buttons=(0, 0, 0)):
        return pygame.event.Event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=buttons)

    def press(self, at, button=1):
        return pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=at, button=button)

    def release(self, at, button=1):
        return pygame.event.Event(pygame.MOUSEBUTTONUP, pos=at, button=button)

    def key(self):
        key, modifiers = self.pick(KEYS), self.pick(MODIFIERS)
        command = bindings.command_of(key, modifiers, self.app.state.mode)
        if command in self.quiet or (self.app.state.ring.partition(":")[0] in self.quiet and key in (13, 32)):
            return []
        typed = chr(key) if 32 <= key < 127 and not modifiers else ""
        down = pygame.event.Event(pygame.KEYDOWN, key=key, mod=modifiers, unicode=typed)
        up = pygame.event.Event(pygame.KEYUP, key=key, mod=modifiers)
        return [down, up] if self.draws.random() < 0.9 else [down, down, down, up]

    def next(self):
        """The next events."""
        kind = self.draws.random()
        if kind < 0.40:
            return self.key()
        at = self.spot()
        if kind < 0.60:
            return [self.motion(at), self.press(at), self.release(at)]
        if kind < 0.75:
            button = self.pick((1, 1, 1, 2, 3))
            way = [self.motion(self.spot(), (1, 0, 0)) for _ in range(int(self.draws.integers(1, 5)))]
            return [self.press(at, button), *way, self.release(way[-1].pos, button)]
        if kind < 0.85:
            return [self.motion(at)]
        if kind < 0.93:
            y = self.pick((-3, -1, 1, 3))
            return [self.motion(at), pygame.event.Event(pygame.MOUSEWHEEL, x=0, y=y, precise_y=float(y))]
        if kind < 0.95:
            width, height = self.pick(self.sizes)
            return [pygame.event.Event(pygame.VIDEORESIZE, w=width, h=height, size=(width, height))]
        if kind < 0.97:
            return [pygame.event.Event(self.pick((pygame.WINDOWLEAVE, pygame.WINDOWFOCUSLOST)))]
        if kind < 0.98:
            return [pygame.event.Event(pygame.DROPFILE, file="there_is_none.toml")]
        if kind < 0.99:
            return [self.release(at, self.pick((1, 2, 3)))]
        return [self.press(at, self.pick((1, 2, 3)))]  # let go some time later
