"""The panel at the left: the world's and the agent's numbers, the palette, the changes made, and what the world is."""

from __future__ import annotations

from rlgrid.window import numbers, palette, plots, text
from rlgrid.window.state import Parameter, State, Typed
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import MARGIN, Canvas

WIDTH = 204
MOST_CHANGES = 8  # that are listed
LOW = 480  # pixels of height below which lines stand closer and the keys are left to F1

MADE = {"rows": (5, 60), "columns": (5, 60), "seed": (0, 99)}  # of generated maps, from end to end of the sliders

# What is exact of the agent's policy and tables, in the order of `rlgrid.truth.MEASURES`; shares are in per cent.
TRUTHS = {
    "regret": "Regret J* − J",
    "values_error": "max |Vπ − V*|",
    "q_error": "max |Q − Q*|",
    "bellman_residual": "Bellman residual",
    "prediction_error": "max |V − Vπ|",
    "optimal_share": "Optimal actions",
    "visited_share": "States visited",
}


def paint(canvas: Canvas, state: State) -> None:
    """Draw the panel over the whole canvas."""
    theme, area = canvas.theme, canvas.rect
    canvas.surface.fill(theme.panel)
    canvas.hairline(area.right - 1, 0, area.right - 1, area.bottom)
    low = area.height < LOW
    y = 20 if low else 26
    limit = area.bottom - 8 if low else _keys(canvas, area.bottom) - 16
    painting = state.mode == "paint" and bool(state.palette)
    # While a map is painted, the palette comes first, where no stroke moves it, and the agent's numbers wait.
    if painting:
        high = area.height >= 640
        y = palette.paint(canvas, state, y, limit - 200 if high else area.bottom - 6)
        if not high:
            return
    for group, title in (("world", "World"), ("agent", "Agent")):
        if painting and group == "agent":
            continue
        members = [p for p in state.parameters if p.group == group]
        if group == "world":
            members += _made(state)
        if not members:
            continue
        canvas.heading(title, MARGIN, y)
        y += 20 if low else 24
        for parameter in members:
            if y + 24 > limit:
                break
            y = _row(canvas, parameter, y, 34 if low else 44, state.typing)
        y += 8 if low else 20
    if not painting:
        if state.palette and area.height >= 640:
            y = palette.paint(canvas, state, y, limit - 60)
        y = _truth(canvas, state, y, limit, 17 if low else 20)
    if state.edits and y + 40 < limit:
        canvas.heading("Changes", MARGIN, y)
        shown = state.edits[-max(1, min(MOST_CHANGES, (limit - y - 30) // 20)) :]
        if len(shown) < len(state.edits):
            words = f"the last {len(shown)} of {len(state.edits)}" if len(shown) > 1 else f"last of {len(state.edits)}"
            canvas.text(words, area.width - MARGIN, y, theme.muted, SMALL, align="right")
        y += 22
        for edit in shown:
            what = edit.after if edit.symbol == "map" else f"{edit.symbol}: {edit.after}"
            change = f"{edit.symbol} {edit.before} → {edit.after}" if edit.before else what
            words = f"{edit.count:,} {change}"
            canvas.text(words, MARGIN, y, size=BODY - 0.5, mono=True, most=area.width - 2 * MARGIN)
            y += 20
        canvas.text(f"{state.snapshot.count:,} now", MARGIN, y, theme.accent, BODY - 0.5, mono=True)
        y += 32
    if state.world_note and y + 40 < limit:
        canvas.heading("About", MARGIN, y)
        y += 21
        lines = text.wrap(state.world_note, area.width - 2 * MARGIN, SMALL)
        for line in _whole_sentences(lines, 1 + (limit - 10 - y) // 16):
            canvas.text(line, MARGIN, y, theme.muted, SMALL)
            y += 16


def _whole_sentences(lines: list[str], room: int) -> list[str]:
    """As many lines as there is room for, up to the end of a sentence, or with an ellipsis where none ends."""
    if len(lines) <= room:
        return lines
    shown = lines[:room]
    for number in range(len(shown) - 1, -1, -1):
        ends = max((shown[number].rfind(end) for end in (". ", "; ")), default=-1)
        if shown[number].endswith("."):
            return shown[: number + 1]
        if ends > 0:
            return [*shown[:number], shown[number][:ends] + "."]
    return [*shown[:-1], shown[-1].rstrip(",; ").rpartition(" ")[0] + " …"] if shown else []


def _made(state: State) -> list[Parameter]:
    """The size and the seed of a generated map."""
    if state.making is None:
        return []
    titles = {"rows": "Rows", "columns": "Columns", "seed": "Seed"}
    found = []
    for name, title in titles.items():
        (low, high), now = MADE[name], float(getattr(state.making, name))
        found.append(Parameter(name, title, "made", now, f"{now:.0f}", low=low, high=high, initial=now))
    return found


def _truth(canvas: Canvas, state: State, y: int, limit: int, pitch: int) -> int:
    """What is exact of the agent, a line each; where the next part begins."""
    known = [(name, label) for name, label in TRUTHS.items() if name in state.snapshot.truth]
    if not known or y + 2 * pitch > limit:
        return y
    canvas.heading("Exact", MARGIN, y)
    y += pitch + 1
    right = canvas.rect.width - MARGIN
    for name, label in known:
        if y + 10 > limit:
            break
        value = state.snapshot.truth[name]
        shown = plots.percent(value) if name.endswith("share") else numbers.short(value)
        there = canvas.text(shown, right, y, mono=True, align="right", size=BODY)
        canvas.text(label, MARGIN, y, canvas.theme.muted, most=there.left - 8 - MARGIN)
        y += pitch
    return y + 14


def _row(canvas: Canvas, parameter: Parameter, y: int, pitch: int, typed: Typed | None) -> int:
    """A parameter's line, and its slider where it can be changed; where the next begins, ``pitch`` below a slider."""
    theme, right = canvas.theme, canvas.rect.width - MARGIN
    ink = theme.accent if parameter.changed else theme.text
    worded = bool(parameter.text) and parameter.group != "made"
    if parameter.name == "method":  # a choice of two: a click takes the other
        ink = theme.second
    kind = "made" if parameter.group == "made" else "parameter"
    if parameter.is_slider:
        value = canvas.number(f"{kind}:{parameter.name}", parameter.shown, right, y, typed, ink)
    else:
        value = canvas.text(parameter.shown, right, y, ink, mono=not worded, bold=worded, align="right", most=110)
    canvas.text(parameter.label, MARGIN, y, theme.muted, most=value.left - 8 - MARGIN)
    if not parameter.is_slider:
        if parameter.name == "method":
            canvas.control("toggle", value.inflate(8, 8), tip="the other order")
        return y + 24
    canvas.slider(f"{kind}:{parameter.name}", MARGIN, right, y + min(18, pitch // 2), parameter.part)
    return y + pitch


def _keys(canvas: Canvas, bottom: int) -> int:
    """The few keys that come first; the height at which they begin."""
    y = bottom - 31
    canvas.text("F1 help     Space pause     “.” step", MARGIN, y, canvas.theme.muted, SMALL, most=WIDTH - 2 * MARGIN)
    return y - 8


def key(state: State) -> tuple[object, ...]:
    """What the panel depends on."""
    truth = tuple(state.snapshot.truth.items())
    now = state.edits and state.snapshot.count
    shown = (tuple(state.parameters), state.typing, tuple(state.edits), now, truth, state.world_note)
    return (*shown, state.making, palette.key(state))
