"""The keys of the window. The app acts by this table and the help overlay is made from it, so the two agree."""

from __future__ import annotations

from dataclasses import dataclass

import pygame


@dataclass(frozen=True)
class Binding:
    """A key, what it is called on the page, the command it stands for, and what that does.

    One without a name on the page (``shown``) belongs to the line before it.
    """

    keys: tuple[tuple[int, int], ...]  # (key, modifiers: a sum of pygame.KMOD_SHIFT and pygame.KMOD_CTRL)
    shown: str
    command: str
    does: str
    group: str
    mode: str = ""  # the mode in which it comes before the keys of all modes
    repeats: bool = False  # a key held down gives it again and again


_SHIFT, _CTRL = pygame.KMOD_SHIFT, pygame.KMOD_CTRL


def _keys(*keys: int, with_: int = 0) -> tuple[tuple[int, int], ...]:
    return tuple((key, with_) for key in keys)


_ARROWS = ((pygame.K_UP, "-1,0"), (pygame.K_RIGHT, "0,1"), (pygame.K_DOWN, "1,0"), (pygame.K_LEFT, "0,-1"))
_WAYS = (
    (_keys(pygame.K_UP, pygame.K_w), "up"),
    (_keys(pygame.K_RIGHT, pygame.K_d), "right"),
    (_keys(pygame.K_DOWN, pygame.K_s), "down"),
    (_keys(pygame.K_LEFT, pygame.K_a), "left"),
)
_OTHER_WAYS = (
    (_keys(pygame.K_q), "up-left"),
    (_keys(pygame.K_e), "up-right"),
    (_keys(pygame.K_z), "down-left"),
    (_keys(pygame.K_c), "down-right"),
)
_DIGITS = tuple(
    (digit, (getattr(pygame, f"K_{digit}"), getattr(pygame, f"K_KP{digit}")))
    for digit in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)
)
_PANS = ((pygame.K_UP, "up"), (pygame.K_RIGHT, "right"), (pygame.K_DOWN, "down"), (pygame.K_LEFT, "left"))
_ENTER = _keys(pygame.K_RETURN, pygame.K_KP_ENTER)
_PLUS = _keys(pygame.K_EQUALS, pygame.K_PLUS, pygame.K_KP_PLUS)

BINDINGS: tuple[Binding, ...] = (
    Binding(_keys(pygame.K_SPACE), "Space", "play", "play or pause", "Run"),
    Binding(_keys(pygame.K_PERIOD, pygame.K_RIGHT), ".  or  →", "step", "one sweep, or one step", "Run", repeats=True),
    Binding(_keys(pygame.K_PERIOD, with_=_SHIFT), "Shift .", "episode", "one episode, or ten sweeps", "Run"),
    Binding(_keys(pygame.K_PERIOD, with_=_CTRL), "Ctrl .", "update", "to the next update", "Run", repeats=True),
    Binding(_keys(pygame.K_COMMA), ",", "back", "one step back", "Run", repeats=True),
    Binding(_keys(pygame.K_COMMA, with_=_SHIFT), "Shift ,", "back:episode", "an episode back", "Run", repeats=True),
    Binding(_keys(pygame.K_COMMA, with_=_CTRL), "Ctrl ,", "back:update", "to the update before", "Run", repeats=True),
    Binding((*_PLUS, (pygame.K_EQUALS, _SHIFT)), "+", "faster", "faster", "Run", repeats=True),
    Binding(_keys(pygame.K_MINUS, pygame.K_KP_MINUS), "−", "slower", "slower", "Run", repeats=True),
    Binding(_keys(pygame.K_b), "B", "breakpoint", "run until something holds", "Run"),
    Binding(_keys(pygame.K_END), "End", "end", "as fast as possible", "Run"),
    Binding(_keys(pygame.K_r, pygame.K_HOME), "R", "start", "forget what was learnt", "Run"),
    Binding(_keys(pygame.K_r, with_=_SHIFT), "Shift R", "restore", "the world's own numbers", "Run"),
    Binding(_keys(pygame.K_w), "W", "worlds", "the worlds; type to search", "Choose"),
    Binding(_keys(pygame.K_a), "A", "agents", "the agents", "Choose"),
    Binding(_keys(pygame.K_TAB), "Tab", "next agent:1", "the next agent, or lane", "Choose"),
    Binding(_keys(pygame.K_TAB, with_=_SHIFT), "Shift Tab", "next agent:-1", "the one before", "Choose"),
    Binding(_keys(pygame.K_c), "C", "race", "a race: an agent in or out", "Choose"),
    Binding(_keys(pygame.K_c, with_=_SHIFT), "Shift C", "versus", "differences in a race", "Choose"),
    Binding(_keys(pygame.K_n), "N", "lane", "the next agent of a race", "Choose"),
    Binding(_keys(pygame.K_F6), "F6", "focus:1", "the controls: Tab, arrows", "Choose", repeats=True),
    Binding(_keys(pygame.K_F6, with_=_SHIFT), "", "focus:-1", "", "Choose", repeats=True),
    Binding(_keys(pygame.K_F2), "F2", "lessons", "guided lessons", "Choose"),
    Binding(_ENTER, "Enter", "act", "press it, or on in a lesson", "Choose"),
    Binding(_keys(pygame.K_BACKSPACE), "Backspace", "lesson:back", "back in a lesson", "Choose"),
    Binding(_keys(pygame.K_1), "1", "layer:values", "values", "Layers"),
    Binding(_keys(pygame.K_2), "2", "layer:q", "a value for each action", "Layers"),
    Binding(_keys(pygame.K_3), "3", "layer:policy", "the greedy policy, every tie", "Layers"),
    Binding(_keys(pygame.K_4), "4", "layer:visits", "how often each was visited", "Layers"),
    Binding(_keys(pygame.K_5), "5", "layer:td", "TD error, or Bellman residual", "Layers"),
    Binding(_keys(pygame.K_6), "6", "layer:error", "distance to the optimum", "Layers"),
    Binding(_keys(pygame.K_7), "7", "layer:gap", "the proven gap, upper − lower", "Layers"),
    Binding(_keys(pygame.K_8), "8", "layer:disagreement", "actions that are not optimal", "Layers"),
    Binding(_keys(pygame.K_9), "9", "layer:trajectories", "ways of the last episodes", "Layers"),
    Binding(_keys(pygame.K_l), "L", "scale", "lock the scale of the colours", "Layers"),
    Binding(_keys(pygame.K_z), "Z", "zoom:in", "zoom in, at the pointer", "Look", repeats=True),
    Binding(_keys(pygame.K_z, with_=_SHIFT), "Shift Z", "zoom:out", "zoom out", "Look", repeats=True),
    Binding(_keys(pygame.K_f), "F", "fit", "all of the world", "Look"),
    *(
        Binding(_keys(key, with_=_SHIFT), "⇧ arrows" * (way == "up"), f"pan:{way}", "pan", "Look", repeats=True)
        for key, way in _PANS
    ),
    Binding(_keys(pygame.K_LEFTBRACKET), "[", "drawer:left", "parameters, if hidden", "Look"),
    Binding(_keys(pygame.K_RIGHTBRACKET), "]", "drawer:right", "inspector, if hidden", "Look"),
    Binding(_keys(pygame.K_u), "U", "section", "what is written out of a cell", "Look"),
    Binding(_keys(pygame.K_t), "T", "theme", "dark or light", "Look"),
    Binding(_keys(*(key for key, _ in _PLUS), with_=_CTRL), "Ctrl +", "larger", "larger text", "Look", repeats=True),
    Binding(((pygame.K_EQUALS, _CTRL | _SHIFT),), "", "larger", "", "Look", repeats=True),
    Binding(
        _keys(pygame.K_MINUS, pygame.K_KP_MINUS, with_=_CTRL), "Ctrl −", "smaller", "smaller text", "Look", repeats=True
    ),
    Binding(_keys(pygame.K_0, pygame.K_KP0, with_=_CTRL), "Ctrl 0", "usual size", "text as at first", "Look"),
    Binding(_keys(pygame.K_g), "G", "record", "begin or end a GIF", "Look"),
    Binding(_keys(pygame.K_p), "P", "screenshot", "save a PNG", "Look"),
    Binding(_keys(pygame.K_g, with_=_SHIFT), "Shift G", "session", "save the session, to replay", "Look"),
    Binding(
        (*_keys(pygame.K_F1, pygame.K_QUESTION), *_keys(pygame.K_SLASH, pygame.K_QUESTION, with_=_SHIFT)),
        "F1  or  ?",
        "help",
        "this page",
        "Look",
    ),
    Binding(_keys(pygame.K_ESCAPE), "Esc", "escape", "close what is open", "Look"),
    Binding(_keys(pygame.K_e), "E", "paint", "begin or end", "Paint"),
    *(
        Binding(_keys(key), "arrows" * first, f"cursor:{by}", "move the cursor", "Paint", "paint", repeats=True)
        for first, (key, by) in zip((True, False, False, False), _ARROWS, strict=True)
    ),
    Binding(_ENTER, "Enter", "dab", "paint there", "Paint", "paint"),
    *(
        Binding(
            _keys(key, with_=_SHIFT), "⇧ arrows" * first, f"draw:{by}", "paint along", "Paint", "paint", repeats=True
        )
        for first, (key, by) in zip((True, False, False, False), _ARROWS, strict=True)
    ),
    Binding(_keys(pygame.K_DELETE, pygame.K_BACKSPACE), "Delete", "rub", "floor there", "Paint", "paint"),
    Binding(_keys(pygame.K_PAGEDOWN), "Page ↓ ↑", "next brush:1", "the next brush", "Paint", "paint", repeats=True),
    Binding(_keys(pygame.K_PAGEUP), "", "next brush:-1", "", "Paint", "paint", repeats=True),
    Binding(_keys(pygame.K_z, with_=_CTRL), "Ctrl Z", "undo", "undo", "Paint", repeats=True),
    Binding(((pygame.K_y, _CTRL), (pygame.K_z, _CTRL | _SHIFT)), "Ctrl Y", "redo", "redo", "Paint", repeats=True),
    Binding(_keys(pygame.K_s, with_=_CTRL), "Ctrl S", "save", "save the map", "Paint"),
    Binding(_keys(pygame.K_n, with_=_CTRL), "Ctrl N", "new", "a new map", "Paint"),
    Binding(_keys(pygame.K_m), "M", "drive", "begin or end", "Drive"),
    *(
        Binding(keys, "arrows, WASD" * (way == "up"), f"go:{way}", "take an action", "Drive", "drive", repeats=True)
        for keys, way in _WAYS
    ),
    *(
        Binding(keys, "Q E Z C" * (way == "up-left"), f"go:{way}", "go diagonally", "Drive", "drive", repeats=True)
        for keys, way in _OTHER_WAYS
    ),
    Binding(_keys(pygame.K_x), "X", "go:stay", "stay, where one can", "Drive", "drive", repeats=True),
    *(
        Binding(_keys(*keys), "1 - 0" * (digit == 1), f"digit:{digit}", "other actions", "Drive", "drive", repeats=True)
        for digit, keys in _DIGITS
    ),
    Binding(_ENTER, "Enter", "take", "take the chosen one", "Drive", "drive", repeats=True),
)

POINTER: tuple[tuple[str, str], ...] = (
    ("Point at a cell", "look into it"),
    ("Click a cell", "pin it, let it go"),
    ("Wheel", "zoom in or out there"),
    ("Drag the map", "look further"),
    ("Click an action", "write out its backup"),
    ("Click a number", "type another one"),
    ("Drag, painting", "paint; right: floor"),
    ("Shift-click, painting", "pin"),
)
"""What the pointer does, for the help overlay."""

_BY_KEY = {(binding.mode, *key): binding for binding in reversed(BINDINGS) for key in binding.keys}


def binding_of(key: int, modifiers: int, mode: str = "") -> Binding | None:
    """The binding of a key with its modifiers in a mode, or None."""
    if modifiers & (pygame.KMOD_ALT | pygame.KMOD_META):
        return None
    held = (_SHIFT if modifiers & _SHIFT else 0) | (_CTRL if modifiers & _CTRL else 0)
    return _BY_KEY.get((mode, key, held)) or _BY_KEY.get(("", key, held))


def command_of(key: int, modifiers: int, mode: str = "") -> str | None:
    """The command of a key with its modifiers in a mode, or None."""
    binding = binding_of(key, modifiers, mode)
    return None if binding is None else binding.command
