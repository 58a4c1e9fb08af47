"""The panel at the right: one cell opened to the arithmetic behind its value.

At the top stand its value with the interval that is proven, and a bar for each action. Below them one of these, chosen
by its tab:

    Backup    sum p (r + gamma V(s')) of an action, one line for each outcome: for a planner with the values that its
              last sweep read, so that the sum is the number that the sweep wrote; for a learner with its present
              values, where the sum is the target that the model would give it
    Update    the last update of a learner here (of a DQN its target), written out
    Why not   another action, place by place
    Network   of a DQN: its hidden units here, and which cells learn with this one
    Returns   of a DQN that learns distributions: that of each action here, and what the last step moved one to

and at the foot V of the cell over the run, with V* dashed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pygame

from rlgrid.window import insideview, numbers, plots, shapes, sums, text
from rlgrid.window.arithmetic import has_cells, names_of, place_of
from rlgrid.window.state import Same, State
from rlgrid.window.sums import MARGIN, plain
from rlgrid.window.text import BODY, SMALL, TITLE
from rlgrid.window.widgets import Canvas

WIDTH = 376
LOW = 430  # pixels of height below which the bars stand closer
SECTIONS = {"update": "Update", "backup": "Backup", "why": "Why not", "network": "Network", "returns": "Returns"}
WHOLE = ("network", "returns")  # sections that take all of the room
ROOM = 230  # pixels below the bars, at least
CURVE = 420  # pixels from the top at which the small curve stands in a high window
LINE = 64  # pixels of the small curve at most


def paint(canvas: Canvas, state: State) -> None:
    """Draw the panel over the whole canvas."""
    theme, area = canvas.theme, canvas.rect
    canvas.surface.fill(theme.panel)
    canvas.hairline(0, 0, 0, area.bottom)
    focus = state.focus
    if focus is None or state.model is None:
        canvas.text("Inspector", MARGIN, 27, size=TITLE, bold=True)
        hint = "Point at a cell to see where its value comes from; click to pin it."
        if state.model is None:
            hint = "This environment has no model and no map: the picture is its own."
            if state.snapshot.frame is None:
                hint = (
                    'This environment has no model and no map. Made with render_mode="rgb_array", '
                    "it would show its own picture."
                )
        for number, line in enumerate(text.wrap(hint, area.width - 2 * MARGIN, BODY)):
            canvas.text(line, MARGIN, 54 + 18 * number, theme.muted)
        return
    right = area.width - MARGIN
    row, column, items = place_of(state.model, focus)
    pinned = state.pinned is not None
    words = "pinned" if pinned else ("under the pointer" if state.hover is not None else "where the walker is")
    tag = canvas.text(words, right, 27, theme.second if pinned else theme.muted, SMALL, bold=pinned, align="right")
    if pinned:
        canvas.control("unpin", tag.inflate(8, 8), tip="let the cell go (Esc)")
    title = f"Row {row}, column {column}, {items}" if items else f"Cell row {row}, column {column}"
    if state.scene is not None or not has_cells(state.model):
        title = f"State {focus}"
    canvas.text(title, MARGIN, 27, size=TITLE, bold=True, most=tag.left - 8 - MARGIN)
    shot, top = state.snapshot, 54
    label = "" if state.scene is None else state.scene.label(focus)
    if label and label != f"state {focus}":
        canvas.text(label[0].upper() + label[1:], MARGIN, 47, theme.muted, SMALL + 0.5, most=right - MARGIN)
        top += 15
    if bool(np.asarray(state.model.absorbing)[focus]):
        canvas.text(_closed_words(state, focus), MARGIN, top, theme.muted)
        return
    look = seen(state)
    if look is not None and look.inside is not None and look.inside.now is not None:
        names = names_of(state.model, state.scene)
        y = insideview.paint_now(canvas, state, look.inside.now, names, (top - 8, area.bottom - 10))
        sums.paint_update(canvas, state, look, names, (y, area.bottom - 10))
        return
    unsent = shot.q_values is None and not state.predicts
    if shot.values is None or (unsent and not math.isinf(state.speed)):
        canvas.text("Nothing is known about it yet.", MARGIN, top, theme.muted)
        return
    _value_line(canvas, state, focus, top, right)
    names = names_of(state.model, state.scene)
    if unsent and state.plans:  # in a large world at full speed only what is drawn is sent
        canvas.text("At full speed: click the cell to see its backup.", MARGIN, top + 36, theme.muted)
        _sparkline(canvas, state, focus, top + 56, right)
        return
    if state.predicts or unsent:
        y = sums.paint_update(canvas, state, look, names, (top + 26, area.bottom - 90))
        _sparkline(canvas, state, focus, y + 6, right)
        return
    y = _bars(canvas, state, focus, top + 28, right)
    action = shown_action(state, focus)
    if action is None:
        return
    offered = sections(state)
    section = state.section if state.section in offered else offered[0]
    y = _tabs(canvas, offered, section, y, right)
    curve = section not in WHOLE and area.bottom - y > 250
    room = (y, area.bottom - (104 if curve else 10 if area.height >= LOW else 4))
    if section == "update":
        y = sums.paint_update(canvas, state, look, names, room, updated_action(state, action))
    elif section == "why":
        y = _why_not(canvas, state, focus, action, names, room)
    elif section == "network":
        y = insideview.paint(canvas, state, None if look is None else look.inside, room)
    elif section == "returns":
        y = insideview.paint_returns(canvas, None if look is None else look.inside, names, room)
    else:
        y = sums.paint_backup(canvas, state, focus, action, names[action], room)
    if section not in WHOLE:
        _sparkline(canvas, state, focus, max(y + 14, min(area.bottom - 210, CURVE)), right)


def sections(state: State) -> list[str]:
    """What can be opened of a cell, the first being shown unless another is chosen."""
    if state.plans or state.agent == "acting":
        return ["backup", "why"]
    inside = None if state.look is None else state.look.inside
    network = [] if inside is None else ["network"] if inside.returns is None else ["network", "returns"]
    return ["update", "backup", "why", *network]


def lit_by(control: str | None) -> int | None:
    """The state that a line of a sum was read from, by the name of its control; None of others."""
    name, _, words = (control or "").partition(":")
    state = words.rpartition(":")[2]
    return int(state) if name == "term" and state else None


def seen(state: State) -> Any:
    """What the worker saw of the inspected state; None before it has answered."""
    look = state.look
    return look if look is not None and look.state == state.focus else None


def updated_action(state: State, action: int) -> int | None:
    """The action whose update is written out: the one that was chosen, or that a plan prefers; None: the last one."""
    look = seen(state)
    planned = look is not None and look.update is not None and look.update.planned
    return action if planned or state.inspected is not None else None


def _tabs(canvas: Canvas, offered: list[str], present: str, y: int, right: int) -> int:
    """The names of what can be opened; where it may stand."""
    theme, x = canvas.theme, MARGIN
    canvas.hairline(MARGIN, y, right, y)
    middle = y + 14
    for section in offered:
        here = section == present
        lit = canvas.hovered == f"section:{section}"
        ink = theme.text if here or lit else theme.muted
        words = canvas.text(SECTIONS[section], x, middle, ink, SMALL + 0.5, bold=here)
        if here:
            shapes.box(canvas.surface, pygame.Rect(words.left, middle + 9, words.width, 2), theme.accent, 1)
        box = pygame.Rect(words.left - 6, middle - 11, words.width + 12, 22)
        canvas.control(f"section:{section}", box, tip=f"{SECTIONS[section].lower()} (U goes through them)")
        x = words.right + 20
    return y + 30


def _closed_words(state: State, focus: int) -> str:
    kind = state.model.kind_of(focus) if hasattr(state.model, "kind_of") else None
    if kind is not None and kind.wall:
        return "A wall: nothing enters it."
    reward = f", reward {plain(kind.enter_reward)} on entering" if kind is not None and kind.enter_reward else ""
    return f"The episode ends here{reward}."


def _value_line(canvas: Canvas, state: State, focus: int, y: int, right: int) -> None:
    theme, shot = canvas.theme, state.snapshot
    assert shot.values is not None
    value = float(shot.values[focus])
    note = ""
    if shot.lower is not None and shot.upper is not None:
        low, high = float(shot.lower[focus]), float(shot.upper[focus])
        if np.isfinite(low) and np.isfinite(high):
            gap = high - low
            digits = 4 if gap > 1e-4 else min(8, 2 - int(np.floor(np.log10(gap)))) if gap > 0 else 8
            # Rounded outwards, so that what is shown is proven as well.
            low, high = _floor(low, digits), _ceil(high, digits)
            note = f"V* proven in [{numbers.fixed(low, digits)}, {numbers.fixed(high, digits)}]"
        else:
            note = "nothing proven yet"
    elif shot.visits is not None:
        note = _visited(int(shot.visits[focus]))
        if shot.td_error is not None and shot.visits[focus]:
            note += f", TD error {numbers.short(float(shot.td_error[focus]))}"
    canvas.text("V", MARGIN, y, theme.muted)
    shown = canvas.text(numbers.fixed(value, 6), MARGIN + 16, y, mono=True, bold=False, size=BODY + 0.5)
    canvas.text(note, right, y, theme.muted, SMALL + 0.5, mono=True, align="right", most=right - shown.right - 12)


def _visited(visits: int) -> str:
    """A number of visits in few characters."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if visits >= 10 * size:
            return f"{visits // size:,}{letter} visits"
    return numbers.count(visits, "visit")


def _floor(value: float, digits: int) -> float:
    return float(np.floor(value * 10.0**digits) / 10.0**digits)


def _ceil(value: float, digits: int) -> float:
    return float(np.ceil(value * 10.0**digits) / 10.0**digits)


def greedy_actions(state: State, focus: int) -> list[int]:
    """The actions that are greedy in a state, all ties; none where nothing is known."""
    shot = state.snapshot
    if shot.greedy is not None:
        return [int(a) for a in np.flatnonzero(shot.greedy[focus])]
    return []


def shown_action(state: State, focus: int) -> int | None:
    """The action that is written out: the chosen one, else a greedy one, else the best by its value."""
    shot = state.snapshot
    assert shot.q_values is not None
    if state.inspected is not None and state.inspected < shot.q_values.shape[1]:
        return state.inspected
    greedy = greedy_actions(state, focus)
    if greedy:
        return greedy[0]
    q = shot.q_values[focus]
    return int(np.argmax(q)) if np.isfinite(q).any() else None


def _bars(canvas: Canvas, state: State, focus: int, top: int, right: int) -> int:
    theme, q_table = canvas.theme, state.snapshot.q_values
    assert q_table is not None
    q = q_table[focus]
    names = names_of(state.model, state.scene)
    close = len(names) > 5 or canvas.rect.height < LOW
    pitch, thick = (19, 10) if close else (26, 14)
    greedy = greedy_actions(state, focus)
    chosen = shown_action(state, focus)
    finite = q[np.isfinite(q)]
    low, high = (min(0.0, float(finite.min())), max(0.0, float(finite.max()))) if finite.size else (0.0, 1.0)
    if high == low:
        high = low + 1.0
    label = max(text.width(name, bold=True) for name in names) + 12
    left, end = MARGIN + max(48, label), right - 76
    zero = left + round((0.0 - low) / (high - low) * (end - left))
    room = max(3, (canvas.rect.height - ROOM - top) // pitch)
    shown = list(range(len(names)))
    if len(names) > max(room, 6):  # those that are worth most, and the one that is written out
        order = sorted(shown, key=lambda a: (a != chosen, -q[a] if np.isfinite(q[a]) else np.inf))
        shown = sorted(order[: room - 1])
    for place, action in enumerate(shown):
        y, name = top + place * pitch, names[action]
        best = action in greedy
        ink = theme.text if best or action == state.inspected else theme.muted
        canvas.text(name, MARGIN, y, ink, bold=best)
        shapes.box(canvas.surface, pygame.Rect(left, y - thick // 2, end - left, thick), theme.raised, 3)
        if np.isfinite(q[action]):
            at = left + round((float(q[action]) - low) / (high - low) * (end - left))
            fill = theme.accent if best else shapes.mix(theme.panel, theme.second, 0.6)
            bar = pygame.Rect(min(zero, at), y - thick // 2, abs(at - zero), thick)
            shapes.box(canvas.surface, bar, fill, 3)
            words = numbers.fixed(float(q[action]), 4)
        else:
            words = "none"
        canvas.text(words, right, y, ink, mono=True, align="right", size=BODY)
        if action == chosen and not best:
            shapes.frame(canvas.surface, pygame.Rect(left, y - thick // 2, end - left, thick), theme.second, 3, 1)
        rect = pygame.Rect(MARGIN - 6, y - pitch // 2, right - MARGIN + 12, pitch)
        canvas.control(f"action:{action}", rect, tip=f"write out “{name}”")
    y = top + len(shown) * pitch
    if len(shown) < len(names):
        canvas.text(f"and {len(names) - len(shown)} more, worth no more", MARGIN, y, theme.muted, SMALL)
        y += pitch
    return y + 8


def _why_not(canvas: Canvas, state: State, focus: int, action: int, names: list[str], room: tuple[int, int]) -> int:
    """The greedy action against another: the one that was chosen, else the next best."""
    q_table = state.snapshot.q_values
    assert q_table is not None
    other = other_action(state, focus)
    greedy = greedy_actions(state, focus)
    if other is None or not greedy:
        words = "All actions are worth the same here." if greedy else "Nothing is known of its actions yet."
        canvas.text(words, MARGIN, room[0] + 11, canvas.theme.muted, SMALL + 0.5)
        return room[0] + 22
    return sums.paint_contrast(canvas, state, focus, greedy[0], other, names, room)


def other_action(state: State, focus: int) -> int | None:
    """The action that is compared with the greedy one: the chosen one, else the next best; None if there is none."""
    q_table = state.snapshot.q_values
    if q_table is None:
        return None
    q, greedy = q_table[focus], greedy_actions(state, focus)
    others = [a for a in range(len(q)) if a not in greedy and np.isfinite(q[a])]
    if state.inspected in others:
        return state.inspected
    return max(others, key=lambda a: q[a]) if others else None


def _sparkline(canvas: Canvas, state: State, focus: int, y: int, right: int) -> None:
    """V here over time, with V* dashed."""
    theme, area, shot = canvas.theme, canvas.rect, state.snapshot
    points = state.history.of(focus)
    if len(points) < 2 or y + 60 > area.bottom:
        return
    canvas.text(f"V here, by {state.unit}", MARGIN, y + 2, theme.muted, SMALL)
    ys = [value for _, value in points]
    low, high = min(ys), max(ys)
    if shot.optimal is not None:
        best = float(shot.optimal[focus])
        low, high = min(low, best), max(high, best)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    plot = pygame.Rect(MARGIN, y + 22, right - MARGIN, min(LINE, area.bottom - y - 22 - 10))
    spots = plots.scale_points(points, plot, max(1.0, float(state.expected_end())), low, high, False)
    if shot.optimal is not None:
        best = float(shot.optimal[focus])
        line = round(plots.scale_points([(0, best)], plot, 1.0, low, high, False)[0][1])
        shapes.dashes(canvas.surface, plot.left, plot.right, line, theme.muted)
        canvas.text(f"V* {numbers.fixed(best, 4)}", right, y + 2, theme.muted, SMALL, mono=True, align="right")
    behind = max(1, sum(time <= shot.count for time, _ in points))
    if behind < len(spots):  # the run stands in its past
        shapes.line(canvas.surface, spots[behind - 1 :], shapes.mix(theme.panel, theme.second, 0.45), 1.5)
    shapes.line(canvas.surface, spots[:behind], theme.second, 2.0)
    shapes.disc(canvas.surface, spots[behind - 1], 3, theme.second)


def _look_of(state: State) -> object:
    """What is seen of the state, where it says anything: of a plan it does not."""
    look = state.look
    return None if look is None or (look.update is None and look.inside is None and not look.words) else look


def key(state: State) -> tuple[object, ...]:
    """What the panel depends on."""
    focus = state.focus
    return (
        focus,
        state.pinned,
        state.hover,
        state.inspected,
        state.stamp,
        focus in state.outcomes,
        state.section,
        _look_of(state),
        state.agent,
        state.unit,
        state.in_place,
        Same(state.model),
    )
