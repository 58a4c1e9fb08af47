"""The bottom of the window: three curves, how far the run has come with the changes made to it, and the line that says
what is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pygame

from rlgrid.theme import RGB
from rlgrid.window import numbers, shapes, text
from rlgrid.window.state import Curve, State
from rlgrid.window.text import BODY, SMALL
from rlgrid.window.widgets import Canvas

TALL, SHORT = 190, 132  # pixels; the short form is for windows of little height
MARGIN = 24


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


def curves(state: State) -> list[tuple[str, Curve, str, str]]:
    """(title, curve, present value, scale) of the curves that the run can have; scale is "log", "share" or ""."""
    shot = state.snapshot
    acts = state.agent == "acting"
    found: list[tuple[str, Curve, str, str]] = []
    error = state.error_curve.last
    words = "" if error is None else numbers.short(error)
    if state.plans:
        found.append(("Proven error, upper − lower", state.error_curve, words, "log"))
    elif "loss" in shot.metrics or state.agent == "dqn":
        found.append(("Loss of the network", state.error_curve, words, "log"))
    elif state.predicts:
        found.append(("Distance to Vπ, the greatest", state.error_curve, words, "log"))
    elif state.model is not None and not acts:
        found.append(("Distance to V*, the greatest", state.error_curve, words, "log"))
    if state.model is not None:
        regret = state.regret_curve.last if shot.regret is None else shot.regret
        title = "Regret of the policy, exact" if acts or state.predicts else "Regret of the greedy policy, exact"
        found.append((title, state.regret_curve, "" if regret is None else percent(regret), "share"))
    returned = state.return_curve.last
    title = "Discounted return per walk" if state.plans else "Mean return, 100 episodes"
    found.append((title, state.return_curve, "" if returned is None else numbers.fixed(returned, 3), ""))
    return found


def percent(part: float) -> str:
    """A share in per cent, with a digit more where it is small."""
    if math.isinf(part):
        return "infinite"
    size = abs(100 * part)
    if size == 0:
        return "0 %"
    if size < 0.01:
        return "< 0.01 %"
    if 0.9995 <= part < 1.0:
        return "> 99.9 %"
    return f"{100 * part:.{2 if size < 1 else 1}f} %".replace("-", numbers.MINUS)


def _range(curve: Curve, log: bool, share: bool) -> tuple[float, float]:
    ys = [y for _, y in curve.points]
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
    if share:
        return 0.0, max(1.0, math.ceil(10 * high) / 10)
    if low >= 0 and high <= 1:
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
    shown = curves(state)
    if area.width < 560:
        shown = shown[:2]
    gap = 30
    each = (area.width - 2 * MARGIN - gap * (len(shown) - 1)) // len(shown)
    for number, (title, curve, value, scale) in enumerate(shown):
        left = MARGIN + number * (each + gap)
        top = 18 if tall else 14
        right = left + each
        value_rect = canvas.text(value, right, top, mono=True, align="right")
        room = value_rect.left - 8 - left
        if text.width(title, SMALL + 0.5, bold=True) > room:
            title = title.partition(",")[0]
        canvas.text(title, left, top, theme.muted, SMALL + 0.5, bold=True, most=room)
        plot = pygame.Rect(left, 36 if tall else 28, each, 77 if tall else 45)
        colour = {state.error_curve: theme.accent, state.regret_curve: theme.second}.get(curve, theme.goal)
        _plot(canvas, curve, plot, end, scale, colour)
        if scale == "share" and not curve.points and (state.snapshot.trouble or state.snapshot.regret is not None):
            words = state.snapshot.trouble or "the policy does not end its episodes"
            canvas.text(words, plot.left, plot.centery - 9, theme.muted, SMALL, most=plot.width)
    _progress(canvas, state, end, 148 if tall else 91)
    line = state.line
    middle = 172 if tall else 114
    if line:
        shapes.disc(canvas.surface, (MARGIN + 4, middle), 3.5, theme.accent if state.touring else theme.second)
        canvas.text(line, MARGIN + 16, middle, theme.text, BODY - 0.5, most=area.width - 2 * MARGIN - 16)


def _plot(canvas: Canvas, curve: Curve, plot: pygame.Rect, end: float, scale: str, colour: RGB) -> None:
    theme, log, share = canvas.theme, scale == "log", scale == "share"
    for part in (0.0, 0.5, 1.0):
        y = plot.top + round(part * (plot.height - 1))
        canvas.hairline(plot.left, y, plot.right - 1, y)
    if not curve.points:
        return
    low, high = _range(curve, log, share)
    inner = plot.inflate(0, -2)
    spots = scale_points(curve.points, inner, end, low, high, log)
    # The ends of the scale stand where the curve is not: beyond the present.
    if plot.right - spots[-1][0] > 70:
        top, bottom = (percent(high), percent(low)) if share else (_end(high), _end(low))
        canvas.text(top, plot.right, plot.top + 9, theme.muted, SMALL, mono=True, align="right")
        canvas.text(bottom, plot.right, plot.bottom - 9, theme.muted, SMALL, mono=True, align="right")
    if len(spots) > 1:
        shapes.line(canvas.surface, _thin(spots), colour, 2.0)
    shapes.disc(canvas.surface, spots[-1], 4, colour)


def _end(value: float) -> str:
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


def _progress(canvas: Canvas, state: State, end: int, y: int) -> None:
    """How far the run has come, on the axis of the curves, with a diamond for each change that was made."""
    theme, area = canvas.theme, canvas.rect
    count = state.snapshot.count
    zero = canvas.text("0", MARGIN, y, theme.muted, SMALL, mono=True)
    last = canvas.text(f"{end:,}", area.right - MARGIN, y, theme.muted, SMALL, mono=True, align="right")
    left, right = zero.right + 12, last.left - 12
    x = left + round(min(1.0, count / end) * (right - left))
    shapes.box(canvas.surface, pygame.Rect(left, y - 2, right - left, 4), theme.hairline, 2)
    shapes.box(canvas.surface, pygame.Rect(left, y - 2, max(4, x - left), 4), theme.accent, 2)
    shapes.disc(canvas.surface, (x, y), 7, theme.text)
    if area.height < TALL:
        return
    words = numbers.count(count, state.unit).split(" ")
    label = f"{state.unit} {words[0]}"
    half = 40
    at = min(max(x, left + 20), right - half)
    now = canvas.text(label, at, y - 16, theme.text, SMALL, bold=True, align="center")
    taken = [now.inflate(8, 0)]
    for edit in state.edits:
        spot = left + round(min(1.0, edit.count / end) * (right - left))
        shapes.diamond(canvas.surface, (spot, y), 6, theme.second)
        mark = pygame.Rect(spot - 8, now.top, 16, now.height)
        if mark.collidelist(taken) < 0:
            taken.append(canvas.text(edit.symbol, spot, y - 16, theme.second, SMALL, bold=True, align="center"))


def key(state: State) -> tuple[object, ...]:
    """What the bottom depends on."""
    ends = tuple(
        (len(curve.points), curve.points[-1] if curve.points else None)
        for curve in (state.error_curve, state.regret_curve, state.return_curve)
    )
    return (
        ends,
        state.snapshot.count,
        len(state.edits),
        state.line,
        state.touring,
        state.unit,
        "loss" in state.snapshot.metrics,
        state.agent,
        state.predicts,
        state.model is None,
        state.snapshot.regret,
        state.snapshot.trouble,
    )
