"""What lies over the window for a while: an open menu, the help, what the worker is doing, an error, a notice."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pygame

from rlgrid.window import shapes, text
from rlgrid.window.bindings import BINDINGS, POINTER
from rlgrid.window.state import Menu
from rlgrid.window.text import BODY, SMALL, TITLE
from rlgrid.window.widgets import Canvas, smaller

HELP = (800, 600)  # pixels of the layout that all keys take
PITCHES = (28, 22, 18)  # pixels from one entry of a menu to the next, as long as all have room
SEARCHED = 12  # entries of a menu from which on it is said that it can be searched


def paint_menu(canvas: Canvas, menu: Menu, anchor: pygame.Rect) -> None:
    """An open menu below its closed form, in as many columns as it needs to stay within the window."""
    theme, area = canvas.theme, canvas.rect
    pitch, top = PITCHES[0], anchor.bottom + 4
    if anchor.centery > area.centery:  # a menu of the lower half opens upwards
        wanted = pitch * len(menu.entries) + 12 + _head(menu)
        top = max(8, anchor.top - 4 - wanted)
    lines: list[int] = menu.shown if menu.typed else list(range(len(menu.entries)))
    head = _head(menu)
    room = area.bottom - 8 - top - 12 - head
    for pitch in PITCHES:
        columns = max(1, -(-len(lines) // max(1, room // pitch)))
        rows = max(1, -(-len(lines) // columns))
        for number in range(rows - 1, len(lines), rows):  # no heading at the foot of a column
            if not menu.entries[lines[number]][0] and rows < room // pitch:
                rows += 1
                break
        titles = [title for _, title in menu.entries]
        parts = [[titles[number] for number in lines[start : start + rows]] for start in range(0, columns * rows, rows)]
        if columns == 1:  # as wide as it is without typing
            parts = [[*titles, menu.typed]]
        widths, whole = _widths(parts, anchor.width - 10, area.width - 24)
        if whole and (columns <= 2 or pitch < PITCHES[0]):
            break
    left = max(4, min(anchor.left, area.width - sum(widths) - 10 - 4))
    box = pygame.Rect(left, top, sum(widths) + 10, pitch * rows + 12 + head)
    shapes.box(canvas.surface, box.move(0, 3).inflate(4, 4), shapes.mix(theme.background, (0, 0, 0), 0.25), 8)
    shapes.box(canvas.surface, box, theme.raised, 6, theme.hairline)
    if head:
        words = menu.typed or ("or type another" if menu.name == "breakpoint" else "type to search")
        ink = theme.text if menu.typed else theme.muted
        typed = canvas.text(words, box.left + 15, box.top + 18, ink, most=box.width - 40)
        if menu.typed:
            canvas.line((typed.right + 2, typed.top), (typed.right + 2, typed.bottom), theme.accent)
        canvas.hairline(box.left + 8, box.top + head, box.right - 8, box.top + head)
    if not lines:
        words = "Enter: run until this" if menu.name == "breakpoint" else "nothing of that name"
        canvas.text(words, box.left + 15, box.top + head + 6 + pitch // 2, theme.muted)
    for place, number in enumerate(lines):
        column, line = divmod(place, rows)
        key, title = menu.entries[number]
        row = pygame.Rect(box.left + 5 + sum(widths[:column]), box.top + head + 6 + line * pitch, widths[column], pitch)
        if not key:
            canvas.heading(title, row.left + 10, row.centery + 2)
            continue
        lit = bool(menu.shown) and number == menu.shown[menu.lit]
        if lit:
            shapes.box(canvas.surface, row, theme.hairline, 4)
        canvas.text(title, row.left + 10, row.centery, bold=lit, most=row.width - 16)
        canvas.control(f"entry:{number}", row)


def _head(menu: Menu) -> int:
    """Pixels of the line at the top of a menu that one can type in."""
    return 30 if menu.typed or menu.name == "breakpoint" or len(menu.entries) > SEARCHED else 0


def _widths(parts: list[list[str]], least: int, most: int) -> tuple[list[int], bool]:
    """The width of each column of a menu: what its longest title takes; and whether there is room for that."""
    longest = [max((text.width(title, bold=True) for title in part), default=0) for part in parts]
    for gap in (30, 18):
        wanted = [width + gap for width in longest]
        if sum(wanted) <= most:
            return wanted if len(wanted) > 1 else [max(wanted[0], least)], True
    over = sum(wanted) - most
    return [width - math.ceil(over * width / sum(wanted)) for width in wanted], False


def paint_help(canvas: Canvas) -> None:
    """All keys, from the table that the app acts by; in a small window in smaller letters, so that all are there."""
    _veil(canvas)
    with smaller(canvas, min(1.0, canvas.rect.width / HELP[0], canvas.rect.height / HELP[1])) as small:
        _keys(small)


def _keys(canvas: Canvas) -> None:
    theme, area = canvas.theme, canvas.rect
    groups: dict[str, list[tuple[str, str]]] = {}
    for binding in BINDINGS:
        if binding.shown:
            groups.setdefault(binding.group, []).append((binding.shown, binding.does))
    groups["Pointer"] = list(POINTER)
    columns = 3
    parts = _columns({name: len(lines) + 2 for name, lines in groups.items()}, columns)
    tallest = max(sum(len(groups[name]) + 2 for name in part) for part in parts)
    pitch = max(12, min(22, (area.height - 24 - 76) // tallest))
    small = pitch < 17
    size = SMALL if small or area.width < 900 else BODY
    width = min(area.width - 24, 980)
    tall = min(area.height - 16, 76 + tallest * pitch)
    box = pygame.Rect(0, 0, width, tall)
    box.center = area.center
    edge = 28 if area.width >= 900 else 16
    shapes.box(canvas.surface, box, theme.panel, 10, theme.hairline)
    canvas.text("Keys", box.left + edge, box.top + 28, size=TITLE, bold=True)
    shapes.icon(canvas.surface, "close", (box.right - 32, box.top + 28), 14, theme.muted)
    canvas.control("help", pygame.Rect(box.right - 48, box.top + 12, 32, 32), tip="close")
    each = (width - 2 * edge - 20 * (columns - 1)) // columns
    for column, part in enumerate(parts):
        left = box.left + edge + column * (each + 20)
        y = box.top + 60
        for name in part:
            canvas.heading(name, left, y)
            y += pitch + 1
            named = name != "Pointer"
            least = max(text.width(shown, size, mono=named) for shown, _ in groups[name]) + 12
            for shown, does in groups[name]:
                canvas.text(shown, left, y, theme.text, size, mono=named)
                canvas.text(does, left + least, y, theme.muted, size, most=each - least)
                y += pitch
            y += pitch - 1


def _columns(heights: dict[str, int], columns: int) -> list[list[str]]:
    """The groups in their order, in so many columns that are as even as they can be."""
    names = list(heights)
    best: tuple[int, list[list[str]]] = (10**9, [names])
    for cuts in combinations(range(1, len(names)), columns - 1):
        parts = [names[a:b] for a, b in pairwise((0, *cuts, len(names)))]
        best = min(best, (max(sum(heights[name] for name in part) for part in parts), parts))
    return best[1]


def _veil(canvas: Canvas) -> None:
    veil = pygame.Surface(canvas.surface.get_size(), pygame.SRCALPHA)
    veil.fill((*canvas.theme.background, 190))
    canvas.surface.blit(veil, (0, 0))


def paint_doing(canvas: Canvas, words: str, region: pygame.Rect) -> None:
    """What the worker is busy with, at the top of the map."""
    theme = canvas.theme
    wide = min(region.width - 32, text.width(words, BODY) + 46)
    box = pygame.Rect(0, 0, wide, 30)
    box.midtop = (region.centerx, region.top + 12)
    shapes.box(canvas.surface, box, theme.panel, 15, theme.hairline)
    shapes.disc(canvas.surface, (box.left + 17, box.centery), 4, theme.accent)
    canvas.text(words, box.left + 29, box.centery, most=box.width - 42)


def paint_notice(canvas: Canvas, words: str, region: pygame.Rect) -> None:
    """A short message at the foot of the map."""
    theme = canvas.theme
    lines = text.wrap(words, min(region.width - 64, 520), BODY)
    most = max(5, (region.height - 60) // 18)
    if len(lines) > most:
        lines = [*lines[: most - 1], "…"]
    wide = max(text.width(line, BODY) for line in lines) + 32
    box = pygame.Rect(0, 0, wide, 12 + 18 * len(lines))
    box.midbottom = (region.centerx, region.bottom - 12)
    shapes.box(canvas.surface, box, theme.text, 15)
    for number, line in enumerate(lines):
        canvas.text(line, box.left + 16, box.top + 15 + 18 * number, theme.panel)


def paint_tip(canvas: Canvas, words: str, below: tuple[int, int]) -> None:
    """What a control does, under it or, at the foot of the window, over it."""
    theme, area = canvas.theme, canvas.rect
    box = pygame.Rect(0, 0, text.width(words, SMALL) + 20, 24)
    box.midtop = (below[0], below[1] + 8)
    if box.bottom > area.bottom - 4:
        box.bottom = below[1] - 40
    box.clamp_ip(area.inflate(-12, 0))
    shapes.box(canvas.surface, box, theme.text, 5)
    canvas.text(words, box.centerx, box.centery, theme.panel, SMALL, align="center", most=box.width - 8)


def paint_error(canvas: Canvas, message: str, region: pygame.Rect, remedy: str) -> None:
    """Why the worker stopped, and what to do beside beginning again."""
    theme = canvas.theme
    width = min(region.width - 32, 560)
    lines = text.wrap(message, width - 56)
    most = max(1, (region.height - 150) // 18)
    if len(lines) > most:
        lines = [*lines[: most - 1], "…"]
    box = pygame.Rect(0, 0, width, 118 + 18 * len(lines))
    box.center = region.center
    shapes.box(canvas.surface, box, theme.panel, 10, theme.harm)
    left = box.left + 28
    canvas.text("The agent stopped", left, box.top + 32, theme.harm, TITLE, bold=True, most=width - 56)
    for number, line in enumerate(lines):
        canvas.text(line, left, box.top + 62 + 18 * number, most=width - 56)
    again = pygame.Rect(left, box.bottom - 46, 104, 28)
    canvas.button("start", "Try again (R)", again, filled=True)
    canvas.text(
        remedy,
        again.right + 14,
        again.centery,
        theme.muted,
        SMALL,
        most=box.right - again.right - 24,
    )
