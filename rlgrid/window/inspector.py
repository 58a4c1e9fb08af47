"""The panel at the right: one cell opened to the arithmetic behind its value.

The backup of an action a in a state s is written out as sum p (r + gamma V(s')), one line for each outcome: for a
planner with the values that its last sweep read, so that the sum is the number that the sweep wrote; for a learner
with its present values, where the sum is the target that the model would give it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pygame

from rlgrid.itemworld import ItemWorld
from rlgrid.layout import cell_of
from rlgrid.window import numbers, plots, shapes, text
from rlgrid.window.state import Floats, State
from rlgrid.window.text import BODY, SMALL, TITLE
from rlgrid.window.widgets import Canvas

WIDTH = 376
MARGIN = 18


@dataclass(frozen=True)
class Term:
    """One outcome of an action in a backup: p * (reward + gamma * value), or p * reward where it ends the episode."""

    probability: float
    reward: float
    value: float | None  # of the next state; None where the outcome ends the episode
    next_state: int

    def worth(self, gamma: float) -> float:
        """The term's share of the sum."""
        return self.probability * (self.reward + (0.0 if self.value is None else gamma * self.value))


def backup_terms(outcomes: list[tuple[float, int, float, bool]], values: Floats) -> list[Term]:
    """The terms of one action's backup; stored probabilities p mean p / sum(p)."""
    total = sum(p for p, *_ in outcomes)
    return [Term(p / total, r, None if ended else float(values[to]), to) for p, to, r, ended in outcomes if p > 0]


def backup(terms: list[Term], gamma: float) -> float:
    """The sum of the terms."""
    return sum(term.worth(gamma) for term in terms)


def read_values(state: State) -> Floats | None:
    """The values that a backup shown now reads: those before the last sweep for sweeps of Jacobi's kind."""
    shot = state.snapshot
    if state.plans and not state.in_place and shot.previous is not None:
        return shot.previous
    return shot.values


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
    row, column, items = _place(state.model, focus)
    pinned = state.pinned is not None
    words = "pinned" if pinned else ("under the pointer" if state.hover is not None else "where the walker is")
    tag = canvas.text(words, right, 27, theme.second if pinned else theme.muted, SMALL, bold=pinned, align="right")
    if pinned:
        canvas.control("unpin", tag.inflate(8, 8), tip="let the cell go (Esc)")
    title = f"Row {row}, column {column}, {items}" if items else f"Cell row {row}, column {column}"
    canvas.text(title, MARGIN, 27, size=TITLE, bold=True, most=tag.left - 8 - MARGIN)
    shot = state.snapshot
    if bool(np.asarray(state.model.absorbing)[focus]):
        canvas.text(_closed_words(state, focus), MARGIN, 54, theme.muted)
        return
    if shot.values is None or (shot.q_values is None and not state.predicts):
        canvas.text("Nothing is known about it yet.", MARGIN, 54, theme.muted)
        return
    _value_line(canvas, state, focus, right)
    if state.predicts:
        _sparkline(canvas, state, focus, 86, right)
        return
    y = _bars(canvas, state, focus, 86, right)
    action = shown_action(state, focus)
    if focus in state.outcomes and action is not None:
        y = _backup(canvas, state, focus, action, y, right)
        y = _why_not(canvas, state, focus, action, y, right)
    _sparkline(canvas, state, focus, y, right)


def _closed_words(state: State, focus: int) -> str:
    kind = state.model.kind_of(focus) if hasattr(state.model, "kind_of") else None
    if kind is not None and kind.wall:
        return "A wall: nothing enters it."
    reward = f", reward {_reward(kind.enter_reward)} on entering" if kind is not None and kind.enter_reward else ""
    return f"The episode ends here{reward}."


def _value_line(canvas: Canvas, state: State, focus: int, right: int) -> None:
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
        note = numbers.count(int(shot.visits[focus]), "visit")
    canvas.text("V", MARGIN, 54, theme.muted)
    shown = canvas.text(numbers.fixed(value, 6), MARGIN + 16, 54, mono=True, bold=False, size=BODY + 0.5)
    canvas.text(note, right, 54, theme.muted, SMALL + 0.5, mono=True, align="right", most=right - shown.right - 12)


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


def _action_names(state: State) -> list[str]:
    names = getattr(state.model, "actions", None)
    if names is not None:
        return [str(name) for name in names]
    return [f"action {a}" for a in range(state.model.num_actions)]


def _bars(canvas: Canvas, state: State, focus: int, top: int, right: int) -> int:
    theme, q_table = canvas.theme, state.snapshot.q_values
    assert q_table is not None
    q = q_table[focus]
    names = _action_names(state)
    pitch = 26 if len(names) <= 5 else 19
    thick = 14 if len(names) <= 5 else 10
    greedy = greedy_actions(state, focus)
    chosen = shown_action(state, focus)
    finite = q[np.isfinite(q)]
    low, high = (min(0.0, float(finite.min())), max(0.0, float(finite.max()))) if finite.size else (0.0, 1.0)
    if high == low:
        high = low + 1.0
    label = max(text.width(name, bold=True) for name in names) + 12
    left, end = MARGIN + max(48, label), right - 76
    zero = left + round((0.0 - low) / (high - low) * (end - left))
    for action, name in enumerate(names):
        y = top + action * pitch
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
    return top + len(names) * pitch + 8


def _backup(canvas: Canvas, state: State, focus: int, action: int, y: int, right: int) -> int:
    theme, area = canvas.theme, canvas.rect
    values = read_values(state)
    if values is None or state.snapshot.q_values is None:
        return y
    terms = backup_terms(state.outcomes[focus][action], values)
    name = _action_names(state)[action]
    gamma = state.parameter("gamma")
    discount = 1.0 if gamma is None else gamma.value
    title = f"Bellman backup of “{name}”" if state.plans else f"What the model says of “{name}”"
    shown = sorted(range(len(terms)), key=lambda k: -terms[k].probability)[:6]
    shown.sort()
    if not terms or y + 24 + 22 * len(shown) + 30 > area.bottom:
        return y
    canvas.hairline(MARGIN, y, right, y)
    y += 20
    canvas.text(title, MARGIN, y, bold=True)
    y += 26
    top = max(term.probability for term in terms)
    most = [k for k, term in enumerate(terms) if term.probability >= top - 1e-12]
    likely = most[0] if len(most) == 1 else -1
    for k in shown:
        term = terms[k]
        if k == likely and len(terms) > 1:
            shapes.box(canvas.surface, pygame.Rect(MARGIN, y - 10, right - MARGIN, 20), theme.raised, 2)
        row, column, _ = _place(state.model, term.next_state)
        where = "ends at" if term.value is None else ("stays" if term.next_state == focus else "to")
        note = canvas.text(
            f"{where} ({row}, {column})" if where != "stays" else "stays here",
            right - 8 + (8 if k != likely else 0) - (0 if k == likely else 8),
            y,
            theme.muted,
            SMALL,
            align="right",
        )
        x = canvas.text(f"{term.probability:.4f}", MARGIN + 8, y, mono=True).right
        x = canvas.text("×", x + 15, y, theme.muted, mono=True).right
        reward = _reward(term.reward)
        inside = f"( {reward} )"
        if term.value is not None:
            inside = f"( {reward} + {_gamma(discount)} × {numbers.fixed(term.value, 4)} )"
        canvas.text(inside, x + 7, y, mono=True, most=note.left - x - 12)
        y += 22
    rest = len(terms) - len(shown)
    canvas.hairline(MARGIN, y - 6, right, y - 6)
    y += 8
    total = backup(terms, discount)
    words = f"= {numbers.fixed(total, 6)}"
    summed = canvas.text(words, MARGIN + 8, y, theme.accent, BODY + 0.5, mono=True, bold=True)
    if rest:
        canvas.text(f"with {rest} more", summed.right + 12, y, theme.muted, SMALL)
    if state.plans and state.snapshot.previous is not None:
        was = f"was {numbers.fixed(float(state.snapshot.previous[focus]), 6)}"
    else:
        was = f"Q is {numbers.fixed(float(state.snapshot.q_values[focus, action]), 6)}"
    canvas.text(was, right, y, theme.muted, SMALL + 0.5, mono=True, align="right")
    y += 22
    error = state.snapshot.td_error
    if not state.plans and error is not None and y + 10 < area.bottom:
        canvas.text("Last TD error here", MARGIN, y + 2, theme.muted)
        canvas.text(numbers.fixed(float(error[focus]), 6), right, y + 2, mono=True, align="right", size=SMALL + 0.5)
        y += 22
    return y


def _place(model: Any, state: int) -> tuple[int, int, str]:
    """(row, column, the items that are on) of a state, in the map itself and not in the sheet of its panels."""
    if isinstance(model, ItemWorld):
        return *model.cell_of(state), ", ".join(model.items_of(state))
    return *cell_of(model, state), ""


def _reward(reward: float) -> str:
    return f"{reward:g}".replace("-", numbers.MINUS)


def _gamma(gamma: float) -> str:
    return f"{gamma:g}"


def _why_not(canvas: Canvas, state: State, focus: int, action: int, y: int, right: int) -> int:
    """The next best action, and what taking it would cost; a click writes it out."""
    theme, q_table = canvas.theme, state.snapshot.q_values
    assert q_table is not None
    q = q_table[focus]
    greedy = greedy_actions(state, focus)
    others = [a for a in range(len(q)) if a not in greedy and np.isfinite(q[a])]
    if not others or not greedy or y + 22 > canvas.rect.bottom:
        return y
    other = action if action in others else max(others, key=lambda a: q[a])
    name = _action_names(state)[other]
    y += 8
    asked = canvas.text(f"Why not “{name}”?", MARGIN, y, theme.second, bold=True)
    canvas.control("why not", asked.inflate(6, 8), tip="write it out")
    loss = float(q[other]) - float(q[greedy[0]])
    canvas.text(numbers.fixed(loss, 4), right, y, theme.muted, mono=True, align="right")
    return y + 24


def _sparkline(canvas: Canvas, state: State, focus: int, y: int, right: int) -> None:
    """V here over time, with V* dashed."""
    theme, area, shot = canvas.theme, canvas.rect, state.snapshot
    points = state.history.of(focus)
    if len(points) < 2 or y + 70 > area.bottom:
        return
    canvas.text(f"V here, by {state.unit}", MARGIN, y + 2, theme.muted, SMALL)
    ys = [value for _, value in points]
    low, high = min(ys), max(ys)
    if shot.optimal is not None:
        best = float(shot.optimal[focus])
        low, high = min(low, best), max(high, best)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    plot = pygame.Rect(MARGIN, y + 22, right - MARGIN, min(64, area.bottom - y - 22 - 12))
    spots = plots.scale_points(points, plot, max(1.0, float(state.expected_end())), low, high, False)
    if shot.optimal is not None:
        best = float(shot.optimal[focus])
        line = round(plots.scale_points([(0, best)], plot, 1.0, low, high, False)[0][1])
        shapes.dashes(canvas.surface, plot.left, plot.right, line, theme.muted)
        canvas.text(f"V* {numbers.fixed(best, 4)}", right, y + 2, theme.muted, SMALL, mono=True, align="right")
    shapes.line(canvas.surface, spots, theme.second, 2.0)
    shapes.disc(canvas.surface, spots[-1], 3, theme.second)


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
        state.unit,
        state.in_place,
        id(state.model),
    )
