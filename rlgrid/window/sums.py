"""The sums of the inspector on the page: a backup, a last update, the difference of two actions, one line a term.

Every line that was read from a cell is a control named ``term:number:state``: pointing at it lights the cell up in the
map, and a line is lit while the pointer is over its cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pygame

from rlgrid.window import numbers, shapes, text
from rlgrid.window.arithmetic import (
    Factor,
    Product,
    Term,
    Update,
    backup,
    backup_terms,
    called,
    contrast,
    product,
    read_values,
)
from rlgrid.window.looking import Look
from rlgrid.window.state import State
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import Canvas

MARGIN = 18
PITCH, LOW_PITCH = 22, 18  # pixels from line to line; the second where there is little room
MOST_TERMS = 9
TIED = (
    "At γ = 1 states among which one can go round for nothing are swept as one: V here is that of the best way out of "
    "them all."
)
"""Why a sweep without discounting may write another number than the best backup of the state alone."""


def plain(value: float) -> str:
    """A number as it was given, with a true minus."""
    return f"{value:g}".replace("-", numbers.MINUS)


class Lines:
    """Lines of a sum, from the top of a room downwards; what has no room is left out, which is said of parts of a sum.

    Args:
        room: the y of the top, and that below which nothing may stand.
    """

    def __init__(self, canvas: Canvas, state: State, room: tuple[int, int]) -> None:
        self.canvas, self.state = canvas, state
        self.right = canvas.rect.width - MARGIN
        self.y, self.bottom = room
        self.pitch = PITCH if self.bottom - self.y > 200 else LOW_PITCH
        self._terms = 0

    def room(self, lines: int) -> bool:
        """Whether so many lines still fit."""
        return self.y + lines * self.pitch <= self.bottom

    def many(self, wanted: int, after: int) -> int:
        """How many of so many lines there is room for, if others must follow."""
        return max(1, min(wanted, (self.bottom - self.y) // self.pitch - after))

    def words(self, words: str, *, bold: bool = False, muted: bool = False, right: str = "") -> None:
        """A line of words, and a few at its end."""
        if not self.room(1):
            return
        theme, middle = self.canvas.theme, self.y + self.pitch // 2
        end = self.right
        if right:
            said = self.canvas.text(right, end, middle, theme.muted, SMALL + 0.5, mono=True, align="right")
            end = said.left - 10
        ink = theme.muted if muted else theme.text
        self.canvas.text(words, MARGIN, middle, ink, BODY if bold else SMALL + 0.5, bold=bold, most=end - MARGIN)
        self.y += self.pitch

    def paragraph(self, words: str) -> None:
        """Lines of plain words, as many as fit."""
        for line in text.wrap(words, self.right - MARGIN, SMALL + 0.5):
            self.words(line, muted=True)

    def rule(self) -> None:
        """A hairline between lines."""
        if not self.room(1):
            return
        self.canvas.hairline(MARGIN, self.y, self.right, self.y)
        self.y += 4

    def term(self, left: str, value: str, note: str = "", state: int | None = None, *, lit: bool = False) -> None:
        """A term: what is multiplied, the result at its right, and where it comes from between them."""
        if not self.room(1):
            return
        canvas, theme, middle = self.canvas, self.canvas.theme, self.y + self.pitch // 2
        name = f"term:{self._terms}:{'' if state is None else state}"
        self._terms += 1
        box = pygame.Rect(MARGIN - 6, self.y + 1, self.right - MARGIN + 12, self.pitch - 2)
        pointed = state is not None and (canvas.hovered == name or state == self.state.hover != self.state.focus)
        if lit or pointed:
            shapes.box(canvas.surface, box, theme.raised, 3, theme.second if pointed else None)
        end = self.right
        if value:
            end = canvas.text(value, end, middle, mono=True, align="right", size=SMALL + 1).left - 10
        if note:
            end = canvas.text(note, end, middle, theme.muted, SMALL, align="right").left - 8
        canvas.text(left, MARGIN, middle, theme.text, SMALL + 1, mono=True, most=end - MARGIN)
        if state is not None:
            canvas.control(name, box)
        self.y += self.pitch

    def result(self, words: str, value: str, was: str = "") -> None:
        """What the lines above it come to."""
        if not self.room(1):
            return
        canvas, theme, middle = self.canvas, self.canvas.theme, self.y + self.pitch // 2
        x = canvas.text(words, MARGIN, middle, theme.accent, BODY, mono=True, bold=True).right
        x = canvas.text(value, x + 8, middle, theme.accent, BODY, mono=True, bold=True).right
        if was:
            canvas.text(
                was, self.right, middle, theme.muted, SMALL + 0.5, mono=True, align="right", most=self.right - x - 10
            )
        self.y += self.pitch


# --- a backup -----------------------------------------------------------------------------------------------------


def paint_backup(canvas: Canvas, state: State, focus: int, action: int, name: str, room: tuple[int, int]) -> int:
    """The backup of an action; where the next thing may stand."""
    values, shot = read_values(state), state.snapshot
    lines = Lines(canvas, state, room)
    if values is None or shot.q_values is None or focus not in state.outcomes:
        return lines.y
    terms, gamma = backup_terms(state.outcomes[focus][action], values), discount(state)
    if not terms:
        lines.words("This action is not there.", muted=True)
        return lines.y
    lines.words(f"Bellman backup of “{name}”" if state.plans else f"What the model says of “{name}”", bold=True)
    shown = sorted(range(len(terms)), key=lambda k: -terms[k].probability)[: lines.many(min(len(terms), MOST_TERMS), 2)]
    top = max(term.probability for term in terms)
    likely = [k for k, term in enumerate(terms) if term.probability >= top - 1e-12]
    for k in sorted(shown):
        _term(lines, terms[k], gamma, focus, lit=len(terms) > 1 and likely == [k])
    lines.rule()
    rest = len(terms) - len(shown)
    if state.plans and shot.previous is not None:
        was = f"was {numbers.fixed(float(shot.previous[focus]), 6)}"
    else:
        was = f"Q is {numbers.fixed(float(shot.q_values[focus, action]), 6)}"
    more = f"with {rest} more, " if rest else ""
    lines.result("=", numbers.fixed(backup(terms, gamma), 6), more + was)
    if state.plans and gamma == 1.0 and not state.in_place and shot.values is not None and shot.previous is not None:
        every = [backup_terms(outcomes, values) for outcomes in state.outcomes[focus]]
        best = max(backup(each, gamma) for each in every if each)
        if not np.isclose(best, shot.values[focus], rtol=1e-9, atol=1e-9):
            lines.paragraph(TIED)
    return lines.y


def _term(lines: Lines, term: Term, gamma: float, focus: int, *, lit: bool) -> None:
    there = called(lines.state.model, term.next_state, lines.state.scene)
    note = f"ends at {there}" if term.value is None else "stays here" if term.next_state == focus else f"to {there}"
    inside = f"({plain(term.reward)})"
    if term.value is not None:
        inside = f"({plain(term.reward)} + {gamma:g} × {numbers.fixed(term.value, 4)})"
    lines.term(f"{term.probability:.4f} × {inside}", "", note, term.next_state, lit=lit)


def discount(state: State) -> float:
    """gamma."""
    gamma = state.parameter("gamma")
    return 1.0 if gamma is None else gamma.value


# --- why not ------------------------------------------------------------------------------------------------------


def paint_contrast(
    canvas: Canvas, state: State, focus: int, best: int, other: int, names: Sequence[str], room: tuple[int, int]
) -> int:
    """Why one action is worth more than another, place by place; where the next thing may stand."""
    values, shot = read_values(state), state.snapshot
    lines = Lines(canvas, state, room)
    if values is None or shot.q_values is None or focus not in state.outcomes:
        return lines.y
    first, second = (backup_terms(state.outcomes[focus][a], values) for a in (best, other))
    gamma = discount(state)
    loss = float(shot.q_values[focus, best] - shot.q_values[focus, other])
    lines.words(f"Why not “{names[other]}”? “{names[best]}” is worth", bold=True, right=_signed(loss) + " more")
    rows = contrast(first, second, gamma)
    lines.words("chance of coming there, by each action, and what that adds", muted=True)
    shown = rows[: lines.many(len(rows), 2)]
    for row in shown:
        there = "stays" if row.next_state == focus else called(state.model, row.next_state, state.scene)
        left = f"{there:<9} {row.first:.3f} against {row.second:.3f}"
        lines.term(left, _signed(row.more), state=row.next_state)
    lines.rule()
    gap = backup(first, gamma) - backup(second, gamma)
    rest = f"{len(rows) - len(shown)} more places" if len(rows) > len(shown) else ""
    if not state.plans and not np.isclose(gap, loss, rtol=0, atol=5e-7):
        rest = f"by the model; its Q says {_signed(loss)}"
    lines.result("=", _signed(gap), rest)
    return lines.y


def _signed(value: float) -> str:
    shown = numbers.fixed(value, 6)
    return f"+{shown}" if value > 0 and any(c in "123456789" for c in shown) else shown


# --- an update ----------------------------------------------------------------------------------------------------


def paint_update(
    canvas: Canvas,
    state: State,
    look: Look | None,
    names: Sequence[str],
    room: tuple[int, int],
    action: int | None = None,
) -> int:
    """The last update of the cell, of an ``action`` where it had several, or why there is none; where the next thing
    may stand."""
    lines = Lines(canvas, state, room)
    update = None if look is None else look.update_of(action)
    if look is None or update is None:
        lines.words("Last update here", bold=True)
        lines.paragraph(_unseen(state) if look is None else look.words or "Nothing was learnt here yet.")
        return lines.y
    taken = "" if update.action is None else f" of “{names[update.action]}”"
    title = f"Target{taken}, {update.rule}" if update.rate is None else f"{update.rule}{taken}"
    lines.words(title, bold=True, right="" if update.rate is None else f"step {update.count:,}")
    noted = len(text.wrap(update.note, lines.right - MARGIN, SMALL + 0.5))
    after = (2 if update.planned else 3 if update.rate is None else 4) + noted
    if update.formula:
        lines.words(update.formula, muted=True)
    parts = update.parts
    shown = lines.many(len(parts), after)
    if shown < len(parts):  # the last part stands for all that follow
        parts = (*parts[: shown - 1],)
    for part in parts:
        _part(lines, part, names, short=bool(update.formula))
    if len(parts) < len(update.parts):
        rest = update.parts[len(parts) :]
        total = sum(product(part) for part in rest)
        lines.term(f"and {len(rest)} more terms", numbers.fixed(total, 6))
    lines.rule()
    total = sum(product(part) for part in update.parts)
    held = update.held is not None and update.target != total
    if update.planned:
        if held:
            lines.term("sum", numbers.fixed(total, 6))
        was = f"was {numbers.fixed(update.old, 6)}" if update.old != update.target else "as it was"
        lines.result("Q(s,a) =", numbers.fixed(update.target, 6), f"held: {was}" if held else was)
        lines.paragraph(update.note)
        return lines.y
    lines.result("target =", numbers.fixed(update.target, 6), "held to what rewards allow" if held else "")
    base = update.base
    lines.term(f"error  = target − {base.symbol}", numbers.fixed(update.error, 6), _at(state, base), base.state)
    if update.rate is not None:
        _moved(lines, update)
    if update.note:
        lines.paragraph(update.note)
    return lines.y


def _unseen(state: State) -> str:
    """Why the last update is not there yet."""
    if state.playing and state.pinned is None:  # what is inspected is another cell before the answer comes
        return "Pause, or click the cell, to see its last update."
    return "It is being looked for."


def _part(lines: Lines, part: Product, names: Sequence[str], *, short: bool = False) -> None:
    """A product of the target: its symbols, its numbers where they are more than one, and its worth.

    ``short``: the numbers alone, for what they are stands above them.
    """
    source = next((factor for factor in reversed(part) if factor.state is not None), None)
    symbols = " × ".join(_symbol(factor, names) for factor in part)
    figures = " × ".join(_figure(factor) for factor in part) if len(part) > 1 else ""
    note = "" if source is None else _at(lines.state, source)
    worth = numbers.fixed(product(part), 6)
    ends = text.width(note, SMALL) + text.width(worth, SMALL + 1, mono=True) + 22
    both = f"{symbols}  {figures}"
    state = None if source is None else source.state
    if short and figures:
        lines.term(figures, worth, note, state)
    elif text.width(both, SMALL + 1, mono=True) + ends < lines.right - MARGIN or not figures:
        lines.term(both if figures else symbols, worth, note, state)
    else:  # the symbols have a line of their own
        if lines.room(6):
            lines.term(symbols, "", "", state)
        lines.term(f"  {figures}" if lines.room(5) else figures, worth, note, state)


def _symbol(factor: Factor, names: Sequence[str]) -> str:
    return factor.symbol if factor.action is None else factor.symbol.replace("{a}", names[factor.action])


def _figure(factor: Factor) -> str:
    if "/" in factor.symbol:  # a share, as a fraction
        return factor.symbol
    return f"{factor.value:.4g}".replace("-", numbers.MINUS)


def _at(state: State, factor: Factor) -> str:
    return "" if factor.state is None else f"at {called(state.model, factor.state, state.scene)}"


def _moved(lines: Lines, update: Update) -> None:
    """old + alpha z error = new."""
    assert update.rate is not None
    trace = "" if update.trace is None else f" × z {update.trace:.4g}"
    rest = "" if update.rest == 0.0 else f" + {plain(round(update.rest, 6))}"
    left = f"{numbers.fixed(update.old, 5)} + α {update.rate:.4g}{trace} × {numbers.fixed(update.error, 5)}{rest}"
    lines.term(left, "")
    if update.result is not None:
        lines.result("new =", numbers.fixed(update.result if update.new is None else update.new, 6))
