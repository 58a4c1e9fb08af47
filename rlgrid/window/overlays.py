"""What lies over the window for a while: an open menu, the help, what the worker is doing, an error, a notice."""

from __future__ import annotations

import pygame

from rlgrid.window import shapes, text
from rlgrid.window.bindings import BINDINGS, POINTER
from rlgrid.window.state import Menu
from rlgrid.window.text import BODY, SMALL, TITLE
from rlgrid.window.widgets import Canvas


def paint_menu(canvas: Canvas, menu: Menu, anchor: pygame.Rect) -> None:
    """An open menu below its closed form, in as many columns as it needs to stay within the window."""
    theme, area = canvas.theme, canvas.rect
    pitch, top = 28, anchor.bottom + 4
    entries = len(menu.entries)
    columns = -(-entries // max(1, (area.bottom - 4 - top - 12) // pitch))
    rows = -(-entries // columns)
    words = max(text.width(title, bold=True) for _, title in menu.entries)
    each = min(max(anchor.width - 10, words + 30), (area.width - 8) // columns - 10)
    left = max(4, min(anchor.left, area.width - columns * each - 10 - 4))
    box = pygame.Rect(left, top, columns * each + 10, pitch * rows + 12)
    shapes.box(canvas.surface, box.move(0, 3).inflate(4, 4), shapes.mix(theme.background, (0, 0, 0), 0.25), 8)
    shapes.box(canvas.surface, box, theme.raised, 6, theme.hairline)
    for number, (_, title) in enumerate(menu.entries):
        column, place = divmod(number, rows)
        row = pygame.Rect(box.left + 5 + column * each, box.top + 6 + place * pitch, each, pitch)
        lit = number == menu.lit
        if lit:
            shapes.box(canvas.surface, row, theme.hairline, 4)
        canvas.text(title, row.left + 10, row.centery, bold=lit, most=row.width - 16)
        canvas.control(f"entry:{number}", row)


def paint_help(canvas: Canvas) -> None:
    """All keys, from the table that the app acts by."""
    theme, area = canvas.theme, canvas.rect
    _veil(canvas)
    groups: dict[str, list[tuple[str, str]]] = {}
    for binding in BINDINGS:
        groups.setdefault(binding.group, []).append((binding.shown, binding.does))
    groups["Pointer"] = list(POINTER)
    columns = 2 if area.width >= 760 else 1
    rows = {name: len(lines) + 2 for name, lines in groups.items()}
    total = sum(rows.values())
    parts: list[list[str]] = [[] for _ in range(columns)]
    filled = 0
    for name in groups:
        parts[min(columns - 1, filled * columns // total)].append(name)
        filled += rows[name]
    tallest = max(sum(rows[name] for name in part) for part in parts)
    pitch = max(15, min(22, (area.height - 40 - 96) // tallest))
    width = min(area.width - 32, 780 if columns == 2 else 420)
    tall = min(area.height - 24, 96 + tallest * pitch)
    box = pygame.Rect(0, 0, width, tall)
    box.center = area.center
    shapes.box(canvas.surface, box, theme.panel, 10, theme.hairline)
    canvas.text("Keys", box.left + 28, box.top + 32, size=TITLE, bold=True)
    shapes.icon(canvas.surface, "close", (box.right - 32, box.top + 32), 14, theme.muted)
    canvas.control("help", pygame.Rect(box.right - 48, box.top + 16, 32, 32), tip="close")
    each = (width - 56 - 28 * (columns - 1)) // columns
    for column, part in enumerate(parts):
        left = box.left + 28 + column * (each + 28)
        y = box.top + 70
        for name in part:
            canvas.heading(name, left, y)
            y += pitch + 2
            for shown, does in groups[name]:
                face = name != "Pointer"
                key = canvas.text(shown, left, y, theme.text, BODY if face else BODY - 0.5, mono=face)
                begin = max(left + (92 if face else 120), key.right + 10)
                canvas.text(does, begin, y, theme.muted, most=left + each - begin)
                y += pitch
            y += pitch - 2


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
    lines = text.wrap(words, min(region.width - 64, 520), BODY)[:5]
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
    again = pygame.Rect(left, box.bottom - 46, 128, 28)
    canvas.button("start", "Begin again (R)", again, filled=True)
    canvas.text(
        remedy,
        again.right + 14,
        again.centery,
        theme.muted,
        SMALL,
        most=box.right - again.right - 24,
    )
