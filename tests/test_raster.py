"""The rasteriser against a slow and obvious one, pixel by pixel, over random worlds, tables and views."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlgrid import glyphs, picture
from rlgrid.appearance import appearance_of
from rlgrid.gridmodel import GridModel, TileKind
from rlgrid.kernels import map_tables, shrinking
from rlgrid.picture import Layout, draw
from rlgrid.theme import THEMES, colormap, ink_on

KINDS = [
    TileKind("floor", "."),
    TileKind("wall", "#", wall=True, glyph="wall"),
    TileKind("goal", "G", terminal=True, enter_reward=1.0, glyph="goal"),
    TileKind("pit", "X", terminal=True, glyph="pit"),
    TileKind("ice", "I", glyph="ice"),
]
Colour = np.ndarray


def a_world(rng: np.random.Generator, rows: int, columns: int) -> GridModel:
    tiles = rng.choice(5, size=(rows, columns), p=[0.6, 0.2, 0.05, 0.05, 0.1])
    tiles[0, 0] = 0
    return GridModel(tiles, KINDS, start=0)


def a_view(rng: np.random.Generator, cell: float, rows: int, columns: int) -> Layout:
    left, top = rng.uniform(-0.6 * columns * cell, 20), rng.uniform(-0.6 * rows * cell, 20)
    return Layout(cell, float(left), float(top), rows, columns)


def mixed(one: Any, other: Any, weight: float) -> Colour:
    return np.asarray(one, float) * (1 - weight) + np.asarray(other, float) * weight


def fixed_colour(look: Any, state: int, theme: Any) -> Any:
    """The colour of a cell that ends an episode."""
    return {"goal": theme.goal, "pit": theme.harm}.get(glyphs.MARKS[look.mark[state] - 1])


def place_in_tile(pixel: int, begin: int, end: int, size: int) -> int:
    """Where in a tile of ``size`` pixels a pixel of a cell lies that may be one smaller."""
    inside = pixel - begin
    return inside + (end - begin < size and inside >= max(1, size // 8))


def pixel_of(
    model: Any, values: Any, policy: Any, before: Any, view: Layout, theme: Any, scale: Any, x: int, y: int
) -> Colour | None:
    """The colour of one pixel of cells with values and arrows; None for a wall's hatch."""
    where = view.cell_at(x, y)
    if where is None:
        return np.array(theme.background, float)
    look, state = appearance_of(model), where[0] * view.columns + where[1]
    if look.wall[state]:
        return None
    size = math.ceil(view.cell)
    x0, y0, x1, y1 = view.rect(*where)
    tx, ty = place_in_tile(x, x0, x1, size), place_in_tile(y, y0, y1, size)
    ground = fixed_colour(look, state, theme) if look.closed[state] else colormap(values[state], *scale, theme)
    weight = 0.0
    if size >= 6 and look.mark[state]:
        aside = not look.closed[state]
        weight = float(glyphs.mark(size, glyphs.MARKS[look.mark[state] - 1], corner=aside)[ty, tx])
    if size >= 10 and not look.closed[state]:
        now = tuple(np.flatnonzero(policy[state]).tolist())
        was = tuple(np.flatnonzero(before[state]).tolist())

        def arrows(actions: tuple[int, ...]) -> float:
            mask = glyphs.arrows(size, tuple(look.directions[a] for a in actions)) if actions else glyphs.dot(size)
            return float(mask[ty, tx])

        weight = max(weight, arrows(now))
        if was and was != now:
            weight = max(weight, arrows(was) * 110 / 255)
    inner = mixed(ground, ink_on(np.asarray(ground, np.uint8)), weight)
    return mixed(theme.gap, inner, float(glyphs.cell(size)[ty, tx]))


@pytest.mark.parametrize("cell", [1.0, 2.7, 5.5, 7.0, 12.0, 13.4, 33.0])
def test_values_and_arrows_are_those_of_the_oracle(cell: float) -> None:
    rng = np.random.default_rng(round(cell * 10))
    model = a_world(rng, 7, 9)
    values = rng.normal(size=63)
    values[5] = np.nan
    policy, before = rng.random((2, 63, 4)) < 0.35
    theme = THEMES["dark" if cell < 6 else "light"]
    view, scale = a_view(rng, cell, 7, 9), (-2.0, 1.5)
    frame = draw(model, values, policy, before=before, scale=scale, size=(60, 50), view=view, theme=theme).astype(float)
    for y in range(50):
        for x in range(60):
            expected = pixel_of(model, values, policy, before, view, theme, scale, x, y)
            if expected is not None:
                assert np.abs(frame[y, x] - expected).max() <= 2, (x, y)


def test_wedges_have_the_colours_of_their_actions() -> None:
    rng = np.random.default_rng(3)
    model = a_world(rng, 4, 5)
    look = appearance_of(model)
    q = rng.normal(size=(20, 4))
    policy = rng.random((20, 4)) < 0.5
    view, scale, theme, size = Layout(24.0, 3.0, -7.0, 4, 5), (-2.0, 2.0), THEMES["dark"], 24
    frame = draw(model, q_values=q, policy=policy, scale=scale, size=(130, 90), view=view).astype(float)
    parts, marks = glyphs.wedges(size, look.directions), glyphs.wedge_marks(size, look.directions)
    for y in range(90):
        for x in range(130):
            where = view.cell_at(x, y)
            state = -1 if where is None else where[0] * 5 + where[1]
            if where is None or look.wall[state] or look.closed[state]:
                continue
            x0, y0, _, _ = view.rect(*where)
            part = int(parts[:, y - y0, x - x0].argmax())
            ground = colormap(q[state, part], *scale, theme)
            weight = float(marks[part, y - y0, x - x0]) * policy[state, part]
            expected = mixed(theme.gap, mixed(ground, ink_on(ground), weight), float(parts[:, y - y0, x - x0].sum()))
            assert np.abs(frame[y, x] - expected).max() <= 2, (x, y)


def shares(model: Any, values: Any, view: Layout, theme: Any, scale: Any, extreme: bool, x: int, y: int) -> Colour:
    """The colour of a pixel that several cells lie behind."""
    look = appearance_of(model)
    r0, r1 = (math.floor((y + d - view.top) / view.cell + 1e-9) for d in (0, 1))
    c0, c1 = (math.floor((x + d - view.left) / view.cell + 1e-9) for d in (0, 1))
    if r1 <= 0 or c1 <= 0 or r0 >= view.rows or c0 >= view.columns:
        return np.array(theme.background, float)
    rows, columns = range(max(0, r0), min(view.rows, r1)), range(max(0, c0), min(view.columns, c1))
    states = [r * view.columns + c for r in rows for c in columns]
    finite = [s for s in states if not look.wall[s] and not look.closed[s] and np.isfinite(values[s])]
    if extreme and finite:
        return colormap(max((values[s] for s in finite), key=abs), *scale, theme).astype(float)
    total = np.zeros(3)
    for s in states:
        if look.wall[s]:
            total += theme.wall
        elif look.closed[s]:
            total += fixed_colour(look, s, theme)
        elif s in finite:
            total += colormap(np.mean([values[k] for k in finite]), *scale, theme)
        else:
            total += theme.floor
    return total / len(states)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("cell", [0.21, 0.5, 0.77])
def test_pixels_behind_which_several_cells_lie_show_all_of_them(cell: float, extreme: bool) -> None:
    rng = np.random.default_rng(round(cell * 100))
    model = a_world(rng, 60, 70)
    values = rng.normal(size=4200)
    values[rng.random(4200) < 0.1] = np.nan
    view, scale, theme = a_view(rng, cell, 60, 70), (-3.0, 2.0), THEMES["dark"]
    frame = draw(model, values, extreme=extreme, scale=scale, size=(40, 36), view=view).astype(float)
    for y in range(36):
        for x in range(40):
            expected = shares(model, values, view, theme, scale, extreme, x, y)
            assert np.abs(frame[y, x] - expected).max() <= 1.01, (x, y)


def test_what_a_pixel_reads_is_bounded() -> None:
    """Evenly spread cells stand for the rest: a picture of a large world costs as many reads as it has pixels."""
    model = GridModel(np.zeros((900, 900), int), KINDS)
    values = np.repeat(np.linspace(0.0, 1.0, 900), 900)
    frame = draw(model, values, size=(9, 9))
    assert 100 / shrinking.SAMPLES > shrinking.SAMPLES
    for y in range(9):
        assert np.abs(frame[y, 4].astype(int) - colormap((y + 0.5) / 9, 0.0, 1.0)).max() <= 3


@pytest.mark.parametrize("cell", [1 / 7, 1 / 12, 1 / 20])
def test_what_a_pixel_reads_is_of_its_own_columns(cell: float) -> None:
    """Of more than `SAMPLES` cells a side every other or every third is read: no neighbours in the table."""
    model = GridModel(np.zeros((240, 240), int), KINDS)
    values = np.tile(np.linspace(0.0, 1.0, 240), 240)
    pixels = round(240 * cell)
    view = Layout(cell, 0.0, 0.0, 240, 240)
    frame = draw(model, values, scale=(0.0, 1.0), size=(pixels, pixels), view=view).astype(int)
    wide = 1.0 / cell
    step = math.ceil(wide / shrinking.SAMPLES)
    for x in range(pixels):
        read = np.arange(math.floor(x * wide + 1e-9) + (step - 1) // 2, math.floor((x + 1) * wide + 1e-9), step)
        expected = colormap(float(values[read].mean()), 0.0, 1.0)
        assert np.abs(frame[:, x] - expected).max() <= 1, x


def test_only_what_is_seen_is_looked_at() -> None:
    """Cells out of sight may hold anything, and the arrays that are made are as large as what is seen."""
    model = GridModel(np.zeros((500, 500), int), KINDS)
    values = np.full(250_000, np.nan).reshape(500, 500)
    values[100:111, 100:111] = 1.0
    view = Layout(30.0, -3000.0, -3000.0, 500, 500)
    frame = draw(model, values.ravel(), scale=(0.0, 1.0), size=(300, 300), view=view)
    assert (frame[15::30, 15::30] == colormap(1.0, 0.0, 1.0)).all()


def test_extent_leaves_out_what_is_not_shown_or_not_finite() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200, 3))
    table[rng.random((200, 3)) < 0.2] = np.inf
    shown = rng.random(200) < 0.5
    seen = table[shown]
    assert map_tables.extent(table, shown) == (seen[np.isfinite(seen)].min(), seen[np.isfinite(seen)].max())
    assert map_tables.extent(table, np.zeros(200, np.bool_)) == (math.inf, -math.inf)


def test_visits_are_coloured_by_their_logarithm_and_none_as_the_floor() -> None:
    model = GridModel(np.zeros((1, 3), int), KINDS)
    for cell in (20.0, 0.5):
        view = Layout(cell, 0.0, 0.0, 1, 3)
        frame = draw(model, visits=[0, 10, 1000], scale=(0.0, math.log1p(1000)), size=(60, 20), view=view)
        if cell > 1:
            assert tuple(frame[10, 10]) == THEMES["dark"].floor
            assert (frame[10, 30] == colormap(math.log1p(10), 0.0, math.log1p(1000))).all()
    assert picture.LAYERS == ("values", "q_values", "visits")
