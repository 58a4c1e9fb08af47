"""The keys of the window. The app acts by this table and the help overlay is made from it, so the two agree."""

from __future__ import annotations

from dataclasses import dataclass

import pygame


@dataclass(frozen=True)
class Binding:
    """A key, what it is called on the page, the command it stands for, and what that does."""

    keys: tuple[tuple[int, int], ...]  # (key, modifier: 0 or pygame.KMOD_SHIFT)
    shown: str
    command: str
    does: str
    group: str


_SHIFT = pygame.KMOD_SHIFT

BINDINGS: tuple[Binding, ...] = (
    Binding(((pygame.K_SPACE, 0),), "Space", "play", "play or pause", "Run"),
    Binding(((pygame.K_PERIOD, 0), (pygame.K_RIGHT, 0)), ".  or  →", "step", "one sweep, or one step", "Run"),
    Binding(((pygame.K_PERIOD, _SHIFT),), "Shift .", "episode", "one episode (for a planner ten sweeps)", "Run"),
    Binding(
        ((pygame.K_EQUALS, 0), (pygame.K_PLUS, 0), (pygame.K_EQUALS, _SHIFT), (pygame.K_KP_PLUS, 0)),
        "+",
        "faster",
        "faster",
        "Run",
    ),
    Binding(((pygame.K_MINUS, 0), (pygame.K_KP_MINUS, 0)), "−", "slower", "slower", "Run"),
    Binding(((pygame.K_END, 0),), "End", "end", "as fast as possible, until converged", "Run"),
    Binding(((pygame.K_r, 0), (pygame.K_HOME, 0)), "R", "start", "forget what was learnt and begin again", "Run"),
    Binding(((pygame.K_r, _SHIFT),), "Shift R", "restore", "the world's and the agent's own numbers", "Run"),
    Binding(((pygame.K_TAB, 0),), "Tab", "next agent", "the next agent", "Choose"),
    Binding(((pygame.K_w, 0),), "W", "worlds", "the menu of worlds (arrows, Enter)", "Choose"),
    Binding(((pygame.K_a, 0),), "A", "agents", "the menu of agents", "Choose"),
    Binding(((pygame.K_1, 0),), "1", "layer:values", "values", "Layers"),
    Binding(((pygame.K_2, 0),), "2", "layer:q", "a value for each action", "Layers"),
    Binding(((pygame.K_3, 0),), "3", "layer:policy", "the greedy policy, every tie", "Layers"),
    Binding(((pygame.K_4, 0),), "4", "layer:visits", "how often each state was visited", "Layers"),
    Binding(((pygame.K_5, 0),), "5", "layer:error", "distance to the optimum", "Layers"),
    Binding(((pygame.K_l, 0),), "L", "scale", "lock the scale of the colours", "Layers"),
    Binding(((pygame.K_LEFTBRACKET, 0),), "[", "drawer:left", "parameters, in a small window", "Look"),
    Binding(((pygame.K_RIGHTBRACKET, 0),), "]", "drawer:right", "inspector, in a small window", "Look"),
    Binding(((pygame.K_t, 0),), "T", "theme", "dark or light", "Look"),
    Binding(((pygame.K_g, 0),), "G", "record", "begin or end recording a GIF", "Look"),
    Binding(((pygame.K_p, 0),), "P", "screenshot", "save a PNG", "Look"),
    Binding(
        ((pygame.K_F1, 0), (pygame.K_QUESTION, 0), (pygame.K_SLASH, _SHIFT), (pygame.K_QUESTION, _SHIFT)),
        "F1  or  ?",
        "help",
        "this page",
        "Look",
    ),
    Binding(((pygame.K_ESCAPE, 0),), "Esc", "escape", "close what is open, then the window", "Look"),
)

POINTER: tuple[tuple[str, str], ...] = (
    ("Point at a cell", "look into it"),
    ("Click a cell", "pin it; click again to let go"),
    ("Click an action", "write out its backup"),
)
"""What the pointer does, for the help overlay."""


def command_of(key: int, modifiers: int) -> str | None:
    """The command of a key with its modifiers, or None."""
    shift = _SHIFT if modifiers & _SHIFT else 0
    if modifiers & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META):
        return None
    for binding in BINDINGS:
        if (key, shift) in binding.keys:
            return binding.command
    return None
