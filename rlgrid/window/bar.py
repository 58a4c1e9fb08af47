"""The bar at the top: what is run, how it runs, and what is drawn. Narrow windows get a second row for the layers."""

from __future__ import annotations

import math

import pygame

from rlgrid.window import numbers, shapes, text
from rlgrid.window.layers import CHIPS, LAYERS, NAMED
from rlgrid.window.state import State
from rlgrid.window.text import SMALL, TITLE
from rlgrid.window.widgets import MARGIN, Canvas, chip_width, on_accent

HEIGHT = 48
ROW = 40  # of the second row
ONE_ROW = 1130  # from this width on, the layers have room beside the rest
DRAWERS = 1000  # below this width, the side panels are drawers

_MORE = "More"
_LEAST, _MOST = 84, 176  # pixels of a closed menu where its title leaves the choice
_AROUND = 38  # pixels of a closed menu beside its title
_BETWEEN = 6  # pixels between two chips

_TIPS = {
    "start": "back to the start: forget what was learnt (R)",
    "back": "one step back (,), with Shift an episode, with Ctrl an update",
    "play": "play or pause (Space)",
    "step": "one step (.), with Shift an episode, with Ctrl to the next update",
    "end": "as fast as possible until converged (End)",
}


def height(width: int) -> int:
    """Pixels that the bar takes in a window of this width."""
    return HEIGHT if width >= ONE_ROW else HEIGHT + ROW


def speed_range(unit: str) -> tuple[float, float]:
    """The slowest and the fastest speed of the slider; beyond its end lies full speed."""
    return (0.5, 1_000.0) if unit == "sweep" else (1.0, 100_000.0)


def speed_at(part: float, unit: str) -> float:
    """The speed at a place of the slider in [0, 1], rounded to one that can be said."""
    if part >= 0.995:
        return math.inf
    low, high = speed_range(unit)
    speed: float = low * (high / low) ** (max(0.0, part) / 0.98)
    speed = min(speed, high)
    if speed < 10:
        return max(low, round(speed * 2) / 2)
    return float(f"{speed:.1e}")


def speed_part(speed: float, unit: str) -> float:
    """Where the slider stands at a speed."""
    if math.isinf(speed):
        return 1.0
    low, high = speed_range(unit)
    return min(1.0, max(0.0, 0.98 * math.log(max(speed, low) / low) / math.log(high / low)))


def paint(canvas: Canvas, state: State) -> None:
    """Draw the bar over the whole canvas."""
    theme, area = canvas.theme, canvas.rect
    canvas.surface.fill(theme.panel)
    canvas.hairline(0, area.bottom - 1, area.right, area.bottom - 1)
    one_row = area.width >= ONE_ROW
    wide = area.width >= 1240
    middle = HEIGHT // 2

    x = canvas.text("rlgrid", MARGIN, middle, size=TITLE, bold=True).right + (24 if wide else 16)
    right = _icons(canvas, state, area.right - 20, middle)
    if one_row:
        right = _chips(canvas, state, right - 14, middle) - 20
    gap = 34 if wide else 30
    track = 100 if wide else 60 if area.width >= 700 else 40
    said = text.width("100,000 steps/s", SMALL)
    speed_words = text.width("Speed", SMALL) + 12 if wide else 0
    room = right - x - (5 * gap + 20 + speed_words + track + 12 + said) - 8 - 16
    titles = (state.world_title, state.agent_title)
    needed = sum(text.width(title, bold=True) + _AROUND for title in titles)
    if needed > room:  # long names come before a long track, and before what a slider is called
        shorter = 60 if wide else 40
        room, track = room + track - shorter, shorter
    if needed > room and wide:
        room, speed_words = room + speed_words, 0
    widths = _menus(room, titles)
    for name, label, value, width in zip(("world", "agent"), ("World", "Agent"), titles, widths, strict=True):
        rect = pygame.Rect(x, middle - 15, width, 30)
        is_open = state.menu is not None and state.menu.name == name
        canvas.choice(name, label if width >= 160 else "", value, rect, open_=is_open)
        x = rect.right + 8
    x = _transport(canvas, state, x + 8 + gap // 2, middle, gap)
    x += 10
    if speed_words:
        x = canvas.text("Speed", x, middle, theme.muted, SMALL).right + 12
    canvas.slider(
        "speed", x, x + track, middle, speed_part(state.speed, state.unit), tip="speed (+ and -)", accent=True
    )
    words = numbers.speed(state.speed, state.unit)
    canvas.number("speed", words, x + track + 12, middle, state.typing, theme.muted, SMALL, mono=False, align="left")
    if not one_row:
        canvas.hairline(0, HEIGHT - 1, area.right, HEIGHT - 1)
        second = HEIGHT + ROW // 2
        drawers = area.width < DRAWERS
        _chips(canvas, state, (area.width + _chips_width()) // 2, second)
        if drawers:
            left = pygame.Rect(MARGIN - 4, second - 13, 104, 26)
            canvas.button("drawer:left", "Parameters", left, on=state.drawer == "left", tip="parameters ([)")
            right_rect = pygame.Rect(area.right - MARGIN + 4 - 104, second - 13, 104, 26)
            words, tip = ("Lesson", "what the lesson tells (])") if state.lesson else ("Inspector", "the cell (])")
            canvas.button("drawer:right", words, right_rect, on=state.drawer == "right", tip=tip)


def _menus(room: int, titles: tuple[str, str]) -> tuple[int, int]:
    """The widths of the two closed menus: equal, or as their titles need it where one of these is longer than half."""
    even = max(_LEAST, min(_MOST, room // 2))
    one, other = (text.width(title, bold=True) + _AROUND for title in titles)
    if max(one, other) <= even:
        return even, even
    if min(one, other) > even:
        return max(even, min(one, room - other)), max(even, min(other, room - one))
    short = min(one, other)
    long = min(max(one, other), max(even, room - max(_LEAST, short)))
    rest = max(_LEAST, short, min(even, room - long))
    return (long, rest) if one > other else (rest, long)


def _icons(canvas: Canvas, state: State, x: int, middle: int) -> int:
    """Help, theme and record, from the right; where the next thing may end."""
    theme = canvas.theme

    def ink(name: str) -> tuple[int, int, int]:
        return theme.text if canvas.hovered == name else theme.muted

    canvas.text("?", x, middle, ink("help"), TITLE - 1, bold=True, align="center")
    canvas.control("help", pygame.Rect(x - 12, middle - 14, 24, 28), tip="help (F1)")
    shapes.half_disc(canvas.surface, (x - 25, middle), 6, ink("theme"))
    canvas.control("theme", pygame.Rect(x - 37, middle - 14, 24, 28), tip="dark or light (T)")
    if state.recording:
        shapes.disc(canvas.surface, (x - 50, middle), 9, theme.harm)
        shapes.box(canvas.surface, pygame.Rect(x - 53, middle - 3, 6, 6), theme.panel, 1)
    else:
        shapes.disc(canvas.surface, (x - 50, middle), 6.5 if canvas.hovered == "record" else 5.5, theme.harm)
    canvas.control("record", pygame.Rect(x - 62, middle - 14, 24, 28), tip="record a GIF (G)")
    return x - 62


def _chips(canvas: Canvas, state: State, right: int, middle: int) -> int:
    """The layers, ending at ``right``; their left end. What has no map has no layers."""
    if state.model is None:
        return right
    left = x = right - _chips_width()
    keys = {layer.name: key for key, layer in enumerate(LAYERS, start=1)}
    for name in CHIPS:
        layer = NAMED[name]
        on = state.arrows if name == "policy" else state.layer == name
        rect = pygame.Rect(x, middle - 13, chip_width(layer.title), 26)
        canvas.chip(f"layer:{name}", layer.title, rect, on, tip=f"{layer.does} ({keys[name]})")
        x = rect.right + _BETWEEN
    rect = pygame.Rect(x, middle - 13, chip_width(_MORE), 26)
    tip = "all nine layers (1 to 9)" if state.layer in CHIPS else f"{NAMED[state.layer].does} ({keys[state.layer]})"
    canvas.chip("more", _MORE, rect, state.layer not in CHIPS, tip=tip)
    return left


def _chips_width() -> int:
    return sum(chip_width(words) for words in (*(NAMED[name].title for name in CHIPS), _MORE)) + _BETWEEN * len(CHIPS)


def _transport(canvas: Canvas, state: State, x: int, middle: int, gap: int) -> int:
    """The five buttons of playing, the first centred at x; where the next thing may begin."""
    theme = canvas.theme
    for name in ("start", "back", "play", "step", "end"):
        rect = pygame.Rect(x - gap // 2, middle - 17, gap, 34)
        lit = canvas.hovered == name and (name != "back" or has_past(state))
        if name == "play":
            shapes.disc(canvas.surface, (x, middle), 17 if lit else 16, theme.accent)
            shapes.icon(
                canvas.surface,
                "pause" if state.playing else "play",
                (x + (0 if state.playing else 1), middle),
                15,
                on_accent(theme),
            )
        else:
            ink = theme.hairline if name == "back" and not has_past(state) else theme.text
            if name == "end" and math.isinf(state.speed):
                ink = theme.accent
            shapes.icon(canvas.surface, name, (x, middle), 18 if lit else 16, ink)
        canvas.control(name, rect, tip=_TIPS[name])
        x += gap
    return x - gap // 2


def key(state: State) -> tuple[object, ...]:
    """What the bar depends on."""
    return (
        state.world_title,
        state.agent_title,
        state.unit,
        state.playing,
        state.speed,
        state.typing,
        state.layer,
        state.arrows,
        state.recording,
        state.model is None,
        state.drawer,
        bool(state.lesson),
        state.menu.name if state.menu else None,
        has_past(state),
    )


def has_past(state: State) -> bool:
    """Whether the run can be walked back from where it stands."""
    return not state.timeline.why and state.snapshot.count > state.timeline.earliest
