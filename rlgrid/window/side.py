"""The panel at the left: the world's and the agent's numbers, the changes made to them, and what the world is."""

from __future__ import annotations

from rlgrid.window import text
from rlgrid.window.state import Parameter, State
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import MARGIN, Canvas

WIDTH = 204


def paint(canvas: Canvas, state: State) -> None:
    """Draw the panel over the whole canvas."""
    theme, area = canvas.theme, canvas.rect
    canvas.surface.fill(theme.panel)
    canvas.hairline(area.right - 1, 0, area.right - 1, area.bottom)
    y = 26
    keys = _keys(canvas, area.bottom)
    limit = keys - 16
    for group, title in (("world", "World"), ("agent", "Agent")):
        members = [p for p in state.parameters if p.group == group]
        if not members:
            continue
        canvas.heading(title, MARGIN, y)
        y += 24
        for parameter in members:
            if y + 24 > limit:
                break
            y = _row(canvas, parameter, y)
        y += 32 - 12
    if state.edits and y + 40 < limit:
        canvas.heading("Changes", MARGIN, y)
        y += 22
        shown = state.edits[-max(1, min(5, (limit - y) // 20 - 1)) :]
        for edit in shown:
            words = f"{edit.count:,} {edit.symbol} {edit.before} → {edit.after}"
            canvas.text(words, MARGIN, y, size=BODY - 0.5, mono=True, most=area.width - 2 * MARGIN)
            y += 20
        canvas.text(f"{state.snapshot.count:,} now", MARGIN, y, theme.accent, BODY - 0.5, mono=True)
        y += 32
    if state.world_note and y + 40 < limit:
        canvas.heading("About", MARGIN, y)
        y += 21
        for line in text.wrap(state.world_note, area.width - 2 * MARGIN, SMALL):
            if y + 10 > limit:
                break
            canvas.text(line, MARGIN, y, theme.muted, SMALL)
            y += 16


def _row(canvas: Canvas, parameter: Parameter, y: int) -> int:
    """A parameter's line, and its slider where it can be changed; where the next begins."""
    theme, right = canvas.theme, canvas.rect.width - MARGIN
    ink = theme.accent if parameter.changed else theme.text
    worded = bool(parameter.text)
    if parameter.name == "method":  # a choice of two: a click takes the other
        ink = theme.second
    value = canvas.text(
        parameter.shown, right, y, ink, mono=not worded, bold=worded, align="right", size=BODY, most=110
    )
    canvas.text(parameter.label, MARGIN, y, theme.muted, most=value.left - 8 - MARGIN)
    if not parameter.is_slider:
        if parameter.name == "method":
            canvas.control("toggle", value.inflate(8, 8), tip="the other order")
        return y + 24
    canvas.slider(f"parameter:{parameter.name}", MARGIN, right, y + 18, parameter.part)
    return y + 44


def _keys(canvas: Canvas, bottom: int) -> int:
    """The few keys that come first; the height at which they begin."""
    y = bottom - 31
    canvas.text("F1 help     Space pause     “.” step", MARGIN, y, canvas.theme.muted, SMALL, most=WIDTH - 2 * MARGIN)
    return y - 8


def key(state: State) -> tuple[object, ...]:
    """What the panel depends on."""
    return (tuple(state.parameters), tuple(state.edits), state.edits and state.snapshot.count, state.world_note)
