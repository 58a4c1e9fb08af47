"""The bottom of the window: three curves, the timeline of the run, and the line that says what is seen.

Which curves there are depends on the agent; a click on a title offers the others. They share one axis with the
timeline: units of the run. The pointer over any of them lays a hairline through all, and their values are read there.

The timeline reaches from the earliest count that can be had again to the furthest that was reached; a diamond stands
for each change of the run. A click or a drag on it goes to that count.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pygame

from rlgrid.theme import RGB, Theme
from rlgrid.window import numbers, shapes, teaching, text
from rlgrid.window.race import views
from rlgrid.window.state import Curve, Edit, State
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import Canvas, Control

TALL, SHORT = 190, 132  # pixels; the short form is for windows of little height
MARGIN = 24
LEAST = 1e-7  # per cent, below which a share is what rounding leaves of none
SMALLEST = 0.01  # share of regret: where all that is drawn is less, the axis ends at the next 1, 2 or 5
DECADES = 1.5  # powers of ten that a curve spans from which on its axis is logarithmic


@dataclass(frozen=True)
class Plot:
    """A curve that there is: its name, its title, and how its values are said ("share" in per cent)."""

    name: str
    title: str
    curve: Curve
    kind: str = ""  # "log": always logarithmic; "share"; "": logarithmic where it spans decades and is positive


UNMEASURED = 6  # this part of an axis without any measurement is dotted
DOTS = (1.5, 6.0)
LETTERS = "ABCD"  # of the lanes of a race
DASHES: tuple[tuple[float, ...], ...] = ((), (9.0, 5.0), (2.5, 4.5), (11.0, 4.0, 2.5, 4.0))  # on and off, in pixels


@dataclass(frozen=True)
class Line:
    """A curve as it is drawn: of a race a lane's, with its ``number``."""

    curve: Curve
    count: float  # where the run stands
    colour: RGB
    number: int | None = None
    goes_on: bool = False  # it plays, and what was measured last is the present as far as it is known

    @property
    def dashes(self) -> tuple[float, ...]:
        """On and off in turn."""
        return () if self.number is None else DASHES[self.number]


def ink_of(number: int, theme: Theme) -> RGB:
    """The colour of a lane, beside its letter and its dashes."""
    return (theme.accent, theme.second, theme.goal, theme.text)[number]


def sample(surface: pygame.Surface, number: int, ends: tuple[int, int], y: int, theme: Theme) -> None:
    """A piece of a lane's line."""
    for piece in dashed([(float(ends[0]), float(y)), (float(ends[1]), float(y))], DASHES[number]):
        shapes.line(surface, piece, ink_of(number, theme), 2.0)


def dashed(points: list[tuple[float, float]], pattern: tuple[float, ...]) -> list[list[tuple[float, float]]]:
    """A line through points in pieces, their lengths and those of the gaps in turn; one piece without a pattern."""
    if not pattern:
        return [points]
    pieces, piece = [], [points[0]]
    turn, left = 0, pattern[0]
    for start, end in pairwise(points):
        length, gone = math.dist(start, end), 0.0
        while length - gone >= left:
            gone += left
            part = gone / length
            at = (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))
            if turn % 2 == 0:
                pieces.append([*piece, at])
            turn += 1
            piece, left = [at], pattern[turn % len(pattern)]
        left -= length - gone
        piece.append(end)
    if turn % 2 == 0 and len(piece) > 1:
        pieces.append(piece)
    return pieces


def measured(spots: list[tuple[float, float]], least: float) -> list[list[tuple[float, float]]]:
    """A line through pixels in the stretches over which it was measured: apart where ``least`` or more lie between."""
    stretches = [spots[:1]]
    for one, other in pairwise(spots):
        if other[0] - one[0] >= least:
            stretches.append([])
        stretches[-1].append(other)
    return stretches


def lines(state: State, plot: Plot, colour: RGB, theme: Theme) -> list[Line]:
    """The curves to be drawn for a plot: of a race those of all lanes that have this quantity, the selected last."""
    if not state.lanes:
        return [Line(plot.curve, float(state.snapshot.count), colour, goes_on=_goes_on(state))]
    found = []
    for number, view in enumerate(views(state)):
        same = next((one for one in curves(view) if (one.name, one.title) == (plot.name, plot.title)), None)
        if same is not None:
            ink = ink_of(number, theme)
            found.append(Line(same.curve, float(view.snapshot.count), ink, number, _goes_on(view)))
    return sorted(found, key=lambda line: line.number == state.lane)


def _goes_on(state: State) -> bool:
    """Whether the run plays and does not stand in its past."""
    return state.playing and state.snapshot.count >= state.timeline.head


def height(window: int) -> int:
    """Pixels that the bottom takes in a window of this height."""
    return TALL if window >= 700 else SHORT


def scale_points(
    points: Sequence[tuple[float, float]], area: pygame.Rect, end: float, low: float, high: float, log: bool
) -> list[tuple[float, float]]:
    """Pixels of points (x, y) with x in [0, end] and y in [low, high], y upwards, on a log scale where asked."""

    def part(y: float) -> float:
        if log:
            y, bottom, top = math.log(max(y, low)), math.log(low), math.log(high)
        else:
            bottom, top = low, high
        return min(1.0, max(0.0, (y - bottom) / (top - bottom))) if top > bottom else 0.5

    return [
        (area.left + min(1.0, x / end) * (area.width - 1), area.bottom - 1 - part(y) * (area.height - 1))
        for x, y in points
    ]


SERIES = {
    "bellman_residual": ("Bellman residual, the greatest", ""),
    "td_error": ("|TD error|, the mean", ""),
    "q_error": ("max |Q − Q*|", ""),
    "values_error": ("max |Vπ − V*| of the greedy policy", ""),
    "optimal_share": ("Optimal actions", "share"),
    "visited_share": ("States visited", "share"),
    "mean_length": ("Mean length, 100 episodes", ""),
    "gradient_norm": ("Norm of the gradient", ""),
    "epsilon": ("Exploration ε", ""),
}
"""Further curves, by the names of `rlgrid.truth.MEASURES` and of the agents' metrics: titles and kinds."""

PLOTS = ("error", "regret", "return", *SERIES)
"""The names of all curves that there can be."""


def curves(state: State) -> list[Plot]:
    """The curves that the run can have, those that are shown at first in front."""
    shot = state.snapshot
    acts = state.agent == "acting"
    found: list[Plot] = []
    if state.plans:
        found.append(Plot("error", "Proven error, upper − lower", state.error_curve, "log"))
    elif "loss" in shot.metrics or state.agent == "dqn":
        found.append(Plot("error", "Loss of the network", state.error_curve, "log"))
    elif state.predicts:
        found.append(Plot("error", "Distance to Vπ, the greatest", state.error_curve, "log"))
    elif state.model is not None and not acts:
        found.append(Plot("error", "Distance to V*, the greatest", state.error_curve, "log"))
    if state.model is not None:
        title = "Regret of the policy, exact" if acts or state.predicts else "Regret of the greedy policy, exact"
        found.append(Plot("regret", title, state.regret_curve, "share"))
    title = "Discounted return per walk" if state.plans else "Mean return, 100 episodes"
    found.append(Plot("return", title, state.return_curve))
    if state.lanes:  # what agents of every kind have comes first
        found.sort(key=lambda plot: ("regret", "return", "error").index(plot.name))
    for name, (title, kind) in SERIES.items():
        if name in state.series and state.series[name].points:
            found.append(Plot(name, title, state.series[name], kind))
    return found


def shown(state: State) -> list[Plot]:
    """The three that are drawn: those that were chosen, and the first ones in place of those that are not there."""
    there = curves(state)
    by_name = {plot.name: plot for plot in there}
    first = [plot for plot in there[:3] if plot.name not in state.curves]
    found = []
    for slot in range(min(3, len(there))):
        name = state.curves[slot] if slot < len(state.curves) else ""
        found.append(by_name[name] if name in by_name else first.pop(0) if first else None)
    return [plot for plot in found if plot is not None]


def choose(state: State, slot: int, name: str) -> None:
    """Draw a curve in a place from now on; where it is drawn already, the two change places."""
    names = [plot.name for plot in shown(state)]
    if not 0 <= slot < len(names) or name not in {plot.name for plot in curves(state)}:
        return
    if name in names:
        names[names.index(name)] = names[slot]
    names[slot] = name
    state.curves = tuple(names)


def value_at(curve: Curve, count: float) -> float | None:
    """The last value of a curve up to a count; None before its first."""
    place = bisect.bisect_right(curve.points, (count, math.inf))
    return curve.points[place - 1][1] if place else None


def said(value: float | None, kind: str) -> str:
    """A value of a curve in words."""
    if value is None:
        return ""
    return percent(value) if kind == "share" else numbers.short(value) if kind == "log" else numbers.fixed(value, 3)


def hairline(controls: Sequence[Control], pointer: tuple[int, int] | None, state: State) -> float | None:
    """The count under the pointer, where it is over a curve or the timeline."""
    if pointer is None:
        return None
    over = next((c for c in controls if c.rect.collidepoint(pointer)), None)
    if over is None or not (over.name.startswith("plot:") or over.name == "timeline"):
        return None
    return count_at(over.track, pointer[0], state)


def count_at(track: tuple[int, int], x: float, state: State) -> float:
    """The count at a pixel of an axis."""
    part = min(1.0, max(0.0, (x - track[0]) / max(1, track[1] - track[0])))
    return part * state.expected_end()


def percent(part: float) -> str:
    """A share in per cent, with more digits where it is small: in an undiscounted world 4 moves may be 0.0061 % of what
    acting at random loses."""
    if math.isinf(part):
        return "infinite"
    size = abs(100 * part)
    if size == 0:
        return "0 %"
    if size < LEAST:
        return f"< 1e{round(math.log10(LEAST))} %"
    if size < 0.01:
        words = f"{size:.2g}" if size >= 1e-4 else numbers.short(size)
        return f"{numbers.MINUS if part < 0 else ''}{words} %"
    if 0.9995 <= part < 1.0:
        return "> 99.9 %"
    return f"{100 * part:.{2 if size < 1 else 1}f} %".replace("-", numbers.MINUS)


def logarithmic(plot: Plot) -> bool:
    """Whether a curve is drawn on a logarithmic axis: it says so, or spans decades above 0."""
    if plot.kind:
        return plot.kind == "log"
    ys = [y for _, y in plot.curve.points]
    return bool(ys) and min(ys) > 0.0 and math.log10(max(ys) / min(ys)) >= DECADES


def _range(drawn: Sequence[Line], log: bool, share: bool, plot: str = "") -> tuple[float, float]:
    ys = [y for line in drawn for _, y in line.curve.points]
    if log:
        positive = [y for y in ys if y > 0]
        if not positive:
            return 1e-3, 1.0
        low = 10.0 ** math.floor(math.log10(min(positive)))
        high = 10.0 ** math.ceil(math.log10(max(positive)))
        return (low, high) if high > low else (low / 10, high * 10)
    if not ys:
        return 0.0, 1.0
    low, high = min(ys), max(ys)
    if plot == "regret" and LEAST / 100 <= high < SMALLEST:
        power = 10.0 ** math.floor(math.log10(high))
        return 0.0, next(float(f"{step * power:.1g}") for step in (1, 2, 5, 10) if step * power >= high)
    if share:
        return 0.0, max(1.0, math.ceil(10 * high) / 10)
    if low >= 0 and 0.2 <= high <= 1:
        return 0.0, 1.0
    if high == low:
        return low - 0.5, high + 0.5
    return low, high


def paint(canvas: Canvas, state: State) -> None:
    """Draw the bottom over the whole canvas."""
    theme, area = canvas.theme, canvas.rect
    canvas.surface.fill(theme.panel)
    canvas.hairline(0, 0, area.right, 0)
    tall = area.height >= TALL
    end = state.expected_end()
    drawn = shown(state)
    if area.width < 560:
        drawn = drawn[:2]
    gap = 30
    each = (area.width - 2 * MARGIN - gap * (len(drawn) - 1)) // len(drawn)
    colours = (theme.accent, theme.second, theme.goal)
    for number, plot in enumerate(drawn):
        left = MARGIN + number * (each + gap)
        box = pygame.Rect(left, 36 if tall else 28, each, 77 if tall else 45)
        _title(canvas, state, number, plot, box, 18 if tall else 14)
        _plot(canvas, state, plot, box, end, colours[number])
        canvas.control(f"plot:{number}", box, "plot", track=(box.left, box.right - 1))
        if not any(line.curve.points for line in lines(state, plot, theme.accent, theme)):
            words = _missing(state, plot)
            canvas.text(words, box.left, box.top + round(box.height / 4), theme.muted, SMALL, most=box.width)
    _timeline(canvas, state, end, 148 if tall else 91)
    _line(canvas, state, 172 if tall else 114)


def _missing(state: State, plot: Plot) -> str:
    """Why a curve has no point yet."""
    if plot.name == "return":
        return f"begins after the first {'walk' if state.plans else 'episode'}"
    if plot.name == "error" and state.agent == "dqn":
        return "begins with the first gradient step"
    if plot.name == "regret" and (state.snapshot.trouble or state.snapshot.regret is not None):
        return state.snapshot.trouble or "the policy does not end its episodes"
    return ""


def _title(canvas: Canvas, state: State, number: int, plot: Plot, box: pygame.Rect, middle: int) -> None:
    """A curve's title, which opens the menu of all of them, and its value at present or under the hairline."""
    theme = canvas.theme
    at = state.hairline
    value, since = _present(state, plot) if at is None else (value_at(plot.curve, at), None)
    ink = theme.muted if since is not None else theme.text if at is None else theme.second
    number_words = said(value, plot.kind)
    if since is not None:  # it was not measured here
        longer = f"{number_words} at {state.unit} {since:,.0f}"
        fits = text.width(longer, BODY, mono=True) < box.width / 2
        number_words = longer if fits else f"{number_words} at {since:,.0f}"
    shown_value = canvas.text(number_words, box.right, middle, ink, mono=True, align="right")
    told = plot.name in teaching.pointed(state)  # the lesson speaks of it
    room = shown_value.left - 22 - box.left - 14 * told
    forms = (plot.title, plot.title.partition(",")[0], plot.title.partition(" of ")[0])
    title = next((form for form in forms if text.width(form, SMALL + 0.5, bold=True) <= room), forms[-1])
    name = f"curve:{number}"
    lit = canvas.hovered == name
    left = box.left + 14 * told
    if told:
        shapes.icon(canvas.surface, "play", (box.left + 4, middle), 12, theme.accent)
    words = canvas.text(
        title, left, middle, theme.text if lit or told else theme.muted, SMALL + 0.5, bold=True, most=max(20, room)
    )
    shapes.icon(canvas.surface, "down", (words.right + 9, middle), 8, theme.text if lit else theme.hairline)
    canvas.control(name, pygame.Rect(words.left - 4, middle - 9, words.width + 20, 18), tip="choose another curve")


def _present(state: State, plot: Plot) -> tuple[float | None, float | None]:
    """The present value of a curve and None; or its last one before the present, and the count that it is of."""
    shot, curve = state.snapshot, plot.curve
    goes_on = _goes_on(state)
    if plot.name == "regret" and shot.regret is not None and (goes_on or shot.judged_at == shot.count):
        return shot.regret, None
    value = curve.at(shot.count)
    if value is not None or goes_on:
        return value if value is not None else value_at(curve, shot.count), None
    place = bisect.bisect_right(curve.points, (shot.count, math.inf))
    return (curve.points[place - 1][1], curve.points[place - 1][0]) if place else (None, None)


def _line(canvas: Canvas, state: State, middle: int) -> None:
    """What is seen, in words; and what opens the menu of breakpoints."""
    theme, area = canvas.theme, canvas.rect
    lit = canvas.hovered == "breakpoint"
    ink = theme.accent if state.awaited else theme.text if lit else theme.muted
    words = canvas.text("run until …", area.right - MARGIN, middle, ink, SMALL + 0.5, bold=True, align="right")
    canvas.control("breakpoint", words.inflate(12, 8), tip="run until something holds (B)")
    if state.lanes and state.mode == "look":
        _names_of_lanes(canvas, state, words.left - 20, middle)
    elif state.line:
        shapes.disc(canvas.surface, (MARGIN + 4, middle), 3.5, theme.accent if state.touring else theme.second)
        room = words.left - 12 - MARGIN - 16
        line = _shorter(state.line, room, BODY - 0.5)
        canvas.text(line, MARGIN + 16, middle, theme.text, BODY - 0.5, most=room)


def _shorter(line: str, most: int, size: float) -> str:
    """As many of the clauses of a line as have room, at least the first."""
    while text.width(line, size) > most and (end := max(line.rfind(". ", 0, -1), line.rfind(", ", 0, -1))) > 0:
        line = f"{line[:end]}."
    return line


def _names_of_lanes(canvas: Canvas, state: State, right: int, middle: int) -> None:
    """Whose line is which."""
    theme, x = canvas.theme, MARGIN
    room = (right - x) // len(state.lanes)
    for number, view in enumerate(views(state)):
        sample(canvas.surface, number, (x, x + 24), middle, theme)
        ink = theme.text if number == state.lane else theme.muted
        title = f"{LETTERS[number]} {view.agent_title}"
        canvas.text(title, x + 30, middle, ink, SMALL + 0.5, bold=number == state.lane, most=max(20, room - 44))
        x += room


def _plot(canvas: Canvas, state: State, plot: Plot, box: pygame.Rect, end: float, colour: RGB) -> None:
    theme, log, share = canvas.theme, logarithmic(plot), plot.kind == "share"
    drawn = [line for line in lines(state, plot, colour, theme) if line.curve.points]
    for part in (0.0, 0.5, 1.0):
        y = box.top + round(part * (box.height - 1))
        canvas.hairline(box.left, y, box.right - 1, y)
    ends: list[tuple[float, float, Line]] = []
    if drawn:
        low, high = _range(drawn, log, share, plot.name)
        inner = box.inflate(0, -2)
        places = [scale_points(line.curve.points, inner, end, low, high, log) for line in drawn]
        # The ends of the scale stand where the curves are not: beyond the present.
        if box.right - max(spots[-1][0] for spots in places) > 70:
            top, bottom = (_whole(high), _whole(low)) if share else (_end(high), _end(low))
            canvas.text(top, box.right, box.top + 9, theme.muted, SMALL, mono=True, align="right")
            canvas.text(bottom, box.right, box.bottom - 9, theme.muted, SMALL, mono=True, align="right")
        for line, spots in zip(drawn, places, strict=True):
            behind = bisect.bisect_right(line.curve.points, (line.count, math.inf))
            value = line.curve.at(line.count)
            if value is not None and (not behind or line.curve.points[behind - 1][0] < line.count):
                spots.insert(behind, scale_points([(line.count, value)], inner, end, low, high, log)[0])
                behind += 1
            if len(spots) > behind > 0:  # the run stands in its past: what is ahead is pale
                shapes.line(canvas.surface, _thin(spots[behind - 1 :]), shapes.mix(theme.panel, line.colour, 0.45), 1.5)
            if behind > 1:
                least = max(box.width / UNMEASURED, 1.5 * box.width / end)
                stretches = measured(spots[:behind], least)
                for stretch in stretches:
                    for piece in dashed(_thin(stretch), line.dashes) if len(stretch) > 1 else []:
                        shapes.line(canvas.surface, piece, line.colour, 2.0)
                for one, other in pairwise(stretches):
                    for dot in dashed([one[-1], other[0]], DOTS):
                        shapes.line(canvas.surface, dot, shapes.mix(theme.panel, line.colour, 0.6), 1.0)
                    shapes.disc(canvas.surface, one[-1], 2, line.colour)
            if behind:
                if value is not None or line.goes_on:
                    shapes.disc(canvas.surface, spots[behind - 1], 4, line.colour)
                else:  # the last that was measured, and not here
                    shapes.disc(canvas.surface, spots[behind - 1], 3.5, theme.panel, line.colour, 1.5)
                ends.append((*spots[behind - 1], line))
            if state.hairline is not None and (there := value_at(line.curve, state.hairline)) is not None:
                spot = scale_points([(state.hairline, there)], inner, end, low, high, log)[0]
                shapes.disc(canvas.surface, spot, 3, theme.text)
        if state.lanes:
            _letters(canvas, ends, box)
    if state.hairline is not None and drawn:
        x = box.left + round(min(1.0, state.hairline / end) * (box.width - 1))
        pygame.draw.line(canvas.surface, theme.muted, (x, box.top), (x, box.bottom - 1))


def _letters(canvas: Canvas, ends: list[tuple[float, float, Line]], box: pygame.Rect) -> None:
    """The letters of the lanes beside the ends of their curves, one under the other where these lie together."""
    pitch, floor = 13.0, box.top + 6.0
    middles = []
    for x, y, line in sorted(ends, key=lambda end: (end[1], end[2].number)):
        floor = max(floor, y)
        middles.append((x, floor, line))
        floor += pitch
    over = max(0.0, floor - pitch - (box.bottom - 6.0))
    ceiling = math.inf
    for x, middle, line in reversed(middles):
        ceiling = min(ceiling, middle if not over else min(middle, box.bottom - 6.0))
        assert line.number is not None
        canvas.text(LETTERS[line.number], x + 7, ceiling, line.colour, SMALL, bold=True)
        ceiling -= pitch


def _whole(share: float) -> str:
    """An end of an axis of shares, in per cent."""
    return f"{100 * share:.0f} %" if share in (0.0, 1.0) or share > SMALLEST else percent(share)


def _end(value: float) -> str:
    if value == 0.1:
        return "0.1"
    if value and math.isclose(math.log10(abs(value)) % 1.0, 0.0, abs_tol=1e-9) and (abs(value) < 0.1):
        return f"1e{round(math.log10(abs(value)))}"
    if value == round(value) and abs(value) < 1e5:
        return f"{value:g}".replace("-", numbers.MINUS)
    return numbers.short(value)


def _thin(spots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most one point a pixel across, which is all that can be seen."""
    kept = [spots[0]]
    for spot in spots[1:-1]:
        if spot[0] - kept[-1][0] >= 1.0:
            kept.append(spot)
    return [*kept, spots[-1]]


def _timeline(canvas: Canvas, state: State, end: int, y: int) -> None:
    """How far the run has come, on the axis of the curves; what of it can be had again, and the changes made to it."""
    theme, area, line = canvas.theme, canvas.rect, state.timeline
    count = state.snapshot.count
    zero = canvas.text("0", MARGIN, y, theme.muted, SMALL, mono=True)
    last = canvas.text(f"{end:,}", area.right - MARGIN, y, theme.muted, SMALL, mono=True, align="right")
    left, right = zero.right + 12, last.left - 12

    def at(number: float) -> int:
        return left + round(min(1.0, number / end) * (right - left))

    x, head = at(count), at(max(count, line.head))
    shapes.box(canvas.surface, pygame.Rect(left, y - 2, right - left, 4), theme.hairline, 2)
    if head > x:  # what lies ahead of the present and can be gone to again
        shapes.box(canvas.surface, pygame.Rect(x, y - 2, head - x, 4), theme.second, 2)
        pygame.draw.line(canvas.surface, theme.second, (head, y - 6), (head, y + 5), 2)
    early = at(line.earliest) if not line.why else x
    fill = theme.accent
    shapes.box(canvas.surface, pygame.Rect(left, y - 2, max(4, x - left), 4), shapes.mix(theme.panel, fill, 0.4), 2)
    shapes.box(canvas.surface, pygame.Rect(early, y - 2, max(4, x - early), 4), fill, 2)
    if state.hairline is not None:
        there = at(state.hairline)
        pygame.draw.line(canvas.surface, theme.muted, (there, y - 8), (there, y + 8))
    shapes.disc(canvas.surface, (x, y), 7 if canvas.hovered != "timeline" else 8, theme.text)
    tip = f"the past is not kept: {line.why}" if line.why else "go to a count: click or drag (comma steps back)"
    canvas.control("timeline", pygame.Rect(left - 6, y - 9, right - left + 12, 18), "slider", tip, (left, right))
    for edit in state.edits:
        shapes.diamond(canvas.surface, (at(edit.count), y), 6, theme.second)
    if area.height < TALL:
        return
    _names(canvas, state, {edit.count: at(edit.count) for edit in state.edits}, (left, x, right), y - 16)


def _names(canvas: Canvas, state: State, spots: dict[int, int], ends: tuple[int, int, int], middle: int) -> None:
    """Above the line: the count, at the hairline or at present, and the names of the changes that have room."""
    theme, (left, x, right) = canvas.theme, ends
    number = state.snapshot.count if state.hairline is None else round(state.hairline)
    if state.hairline is not None:
        x = left + round(min(1.0, state.hairline / state.expected_end()) * (right - left))
    label = f"{state.unit} {number:,}"
    half = text.width(label, SMALL, bold=True) // 2
    middle_x = min(max(x, left + half - 12), right - half + 12)
    ink = theme.text if state.hairline is None else theme.second
    now = canvas.text(label, middle_x, middle, ink, SMALL, bold=True, align="center")
    taken = [now.inflate(8, 0)]
    named: dict[int, list[Edit]] = {}
    for edit in state.edits:
        named.setdefault(edit.count, []).append(edit)
    for count, edits in named.items():
        last = edits[-1]
        whole = last.symbol if last.before else f"{last.symbol}: {last.after}"
        choices = (whole, last.symbol) if len(edits) == 1 else (f"{len(edits)} changes",)
        for words in choices:  # with what was done where there is room
            spot, width = spots[count], text.width(words, SMALL, bold=True)
            mark = pygame.Rect(0, now.top, width + 8, now.height)
            mark.centerx = min(max(spot, left + width // 2), right - width // 2)
            if mark.collidelist(taken) < 0:
                taken.append(mark)
                canvas.text(words, mark.centerx, middle, theme.second, SMALL, bold=True, align="center")
                break


def key(state: State) -> tuple[object, ...]:
    """What the bottom depends on."""
    drawn = shown(state)
    return (
        tuple((plot.name, plot.title, *_ends(plot.curve)) for plot in drawn),
        state.playing,
        state.snapshot.count,
        tuple(state.edits),
        (state.timeline.earliest, state.timeline.head, state.timeline.why),
        state.hairline,
        state.awaited,
        state.line,
        state.touring,
        state.unit,
        state.model is None,
        state.snapshot.regret,
        state.snapshot.judged_at,
        state.snapshot.trouble,
        _lanes_key(state),
        state.lesson,
    )


def _ends(curve: Curve) -> tuple[object, ...]:
    return len(curve.points), tuple(curve.points[-1:]), curve.here


def _lanes_key(state: State) -> object:
    """What the curves of a race depend on beside those of the selected lane."""
    if not state.lanes:
        return None
    found = []
    for view in views(state):
        points = [(plot.name, *_ends(plot.curve)) for plot in curves(view)]
        found.append((view.agent, view.snapshot.count, tuple(points)))
    return tuple(found), state.lane, state.mode
