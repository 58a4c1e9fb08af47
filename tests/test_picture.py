"""Pictures: colours mean values, inks can be read, glyphs say what they should, and places can be found again."""

import base64
import io
import subprocess
import sys
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlgrid import glyphs, picture
from rlgrid.envs import classics
from rlgrid.gridmap import GridSpec
from rlgrid.gridmodel import GridModel, Slip, TileKind
from rlgrid.mdp import MDP
from rlgrid.picture import Layout, draw, layout, scale_of
from rlgrid.solvers import solve
from rlgrid.theme import (
    DARK,
    LIGHT,
    THEMES,
    Theme,
    colormap,
    contrast,
    diverging,
    ink_on,
    luminance,
    sequential,
    theme_of,
)

KINDS = [
    TileKind("floor", "."),
    TileKind("wall", "#", wall=True, glyph="wall"),
    TileKind("goal", "G", terminal=True, enter_reward=1.0, glyph="goal"),
    TileKind("pit", "X", terminal=True, glyph="pit"),
    TileKind("ice", "I", glyph="ice"),
    TileKind("reward", "R", enter_reward=0.5, glyph="reward"),
    TileKind("teleport", "T", glyph="teleport"),
]


def grid(*rows: str, **settings: Any) -> GridModel:
    number = {kind.character: k for k, kind in enumerate(KINDS)}
    return GridModel([[number[c] for c in row] for row in rows], KINDS, **settings)


def centre(frame: np.ndarray, model: Any, state: int, size: int) -> tuple[int, ...]:
    """The pixel in the middle of a cell of a picture that is as large as the world."""
    row, column = divmod(state, picture.shape_of(model)[1])
    return tuple(frame[row * size + size // 2, column * size + size // 2].tolist())


def tile(frame: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    return frame[row * size : (row + 1) * size, column * size : (column + 1) * size].astype(int)


# --- colours ----------------------------------------------------------------------------------------------------------


def every_colour(theme: str) -> np.ndarray:
    fixed = np.array([theme_of(theme).floor, theme_of(theme).goal, theme_of(theme).harm, theme_of(theme).ice], np.uint8)
    return np.concatenate([sequential(), diverging(theme), fixed])


@pytest.mark.parametrize("theme", THEMES)
def test_ink_can_be_read_on_every_colour(theme: str) -> None:
    colours = every_colour(theme)
    assert contrast(colours, ink_on(colours)).min() >= 4.5


def test_ink_can_be_read_on_any_colour_at_all() -> None:
    steps = np.arange(0, 256, 3)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    assert contrast(colours, ink_on(colours)).min() >= 4.5


def test_luminance_and_contrast_are_those_of_wcag() -> None:
    assert contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21.0)
    assert luminance((255, 0, 0)) == pytest.approx(0.2126)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.478, abs=5e-4)


def test_cividis_is_the_published_one() -> None:
    """Matplotlib's table at five of its 256 places."""
    published = {0: (0, 34, 78), 64: (67, 78, 108), 128: (125, 124, 120), 192: (188, 174, 108), 255: (254, 232, 56)}
    for place, colour in published.items():
        assert np.abs(colormap(place, 0, 255).astype(int) - colour).max() <= 1


def test_one_signed_values_get_lighter_as_they_grow() -> None:
    for lo, hi in ((0.0, 1.0), (-13.0, -1.0), (14.4, 24.4)):
        light = luminance(colormap(np.linspace(lo, hi, 200), lo, hi))
        assert (np.diff(light) >= -1e-9).all()
        assert tuple(colormap(lo, lo, hi)) == tuple(sequential()[0])
        assert tuple(colormap(hi, lo, hi)) == tuple(sequential()[-1])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("lo", "hi"), [(-1.0, 3.0), (-5.0, 0.1), (-1e-9, 1e9)])
def test_the_middle_of_signed_values_is_zero(theme: str, lo: float, hi: float) -> None:
    bound = max(-lo, hi)
    neutral = theme_of(theme).neutral
    assert np.abs(colormap(0.0, lo, hi, theme).astype(int) - neutral).max() <= 1
    # Equal distances from zero are equally far along the two arms.
    assert np.abs(colormap(bound, -bound, bound, theme).astype(int) - theme_of(theme).positive).max() <= 1
    assert np.abs(colormap(-bound, -bound, bound, theme).astype(int) - theme_of(theme).negative).max() <= 1
    assert (colormap(lo, lo, hi, theme) == colormap(lo, -bound, bound, theme)).all()


def test_values_beyond_the_scale_take_its_end_and_none_take_the_floor() -> None:
    colours = colormap([-5.0, 5.0, np.nan, np.inf, -np.inf], 0.0, 1.0, LIGHT)
    assert (colours[0] == sequential()[0]).all()
    assert (colours[1] == sequential()[-1]).all()
    assert (colours[2:] == LIGHT.floor).all()
    assert (colormap([3.0, 3.0], 3.0, 3.0) == sequential()[0]).all()
    assert (colormap(1e308, -1e308, 1e308) == diverging()[-1]).all()


@pytest.mark.parametrize(("lo", "hi"), [(1.0, 0.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_scale_that_is_none_is_refused(lo: float, hi: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        colormap(0.0, lo, hi)


# --- where things lie -------------------------------------------------------------------------------------------------


@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 30),
    cell=st.floats(0.2, 80.0),
    left=st.floats(-300, 300),
    top=st.floats(-300, 300),
)
def test_every_pixel_of_a_cell_leads_back_to_it(rows: int, columns: int, cell: float, left: float, top: float) -> None:
    where = Layout(cell, left, top, rows, columns)
    for row, column in {(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)}:
        x0, y0, x1, y1 = where.rect(row, column)
        assert abs((x1 - x0) - cell) < 1 + 1e-9
        if cell < 1:
            continue
        for x, y in ((x0, y0), (x1 - 1, y1 - 1), (x1 - 0.01, y0 + 0.5), ((x0 + x1) / 2, (y0 + y1) / 2)):
            assert where.cell_at(x, y) == (row, column)
        assert where.cell_at(x0 - 1, y0) == ((row, column - 1) if column else None)
        assert where.cell_at(x0, y1) == ((row + 1, column) if row + 1 < rows else None)
        assert where.cell_at(*where.centre(row, column)) == (row, column)


@given(width=st.integers(8, 900), height=st.integers(8, 900), rows=st.integers(1, 200), columns=st.integers(1, 200))
def test_the_world_fits_and_is_centred(width: int, height: int, rows: int, columns: int) -> None:
    where = layout(MDPLike(rows, columns), width, height)
    assert where.width <= width + 1e-9
    assert where.height <= height + 1e-9
    assert abs(where.left - (width - where.left - where.width)) <= 2
    assert abs(where.top - (height - where.top - where.height)) <= 2
    assert max(where.width / width, where.height / height) >= 0.9 - 1e-9 or where.cell >= 1
    if where.cell >= 10:
        assert where.cell == int(where.cell)


class MDPLike:
    """As much of a model as a layout asks for."""

    def __init__(self, rows: int, columns: int) -> None:
        self.shape = (rows, columns)
        self.num_states = rows * columns


def test_what_is_drawn_is_where_the_layout_says() -> None:
    model = grid("....", "....", "....")
    values = np.zeros(12)
    values[6] = 1.0
    for cell, left, top in ((20.0, 3.0, 7.0), (17.3, 2.6, 9.2), (41.7, -20.4, -33.3), (5.5, 1.0, 1.0), (2.5, 4.0, 4.2)):
        view = Layout(cell, left, top, 3, 4)
        frame = draw(model, values, size=(90, 80), view=view)
        found = np.argwhere((frame == sequential()[-1]).all(axis=2))
        assert len(found) >= max(1, (cell - 3) ** 2 * 0.5)
        assert {view.cell_at(x, y) for y, x in found.tolist()} == {(1, 2)}


def test_zooming_keeps_the_point_under_the_pointer() -> None:
    where = Layout(20.0, 5.0, 6.0, 10, 10)
    near = where.zoomed(1.5, 77.0, 31.0)
    assert near.cell == 30.0
    assert (77.0 - near.left) / near.cell == pytest.approx((77.0 - where.left) / where.cell)
    assert (31.0 - near.top) / near.cell == pytest.approx((31.0 - where.top) / where.cell)
    assert where.moved(3, -4) == Layout(20.0, 8.0, 2.0, 10, 10)


# --- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [4, 8, 12, 13, 24, 41, 64])
def test_the_middle_of_a_cell_has_the_colour_of_its_value(theme: str, size: int) -> None:
    model = grid("....", "....")
    values = np.linspace(0.1, 0.9, 8)
    frame = draw(model, values, cell_size=size, theme=theme)
    assert frame.shape == (2 * size, 4 * size, 3)
    for state in range(8):
        assert centre(frame, model, state, size) == tuple(colormap(values[state], 0.1, 0.9, theme).tolist())


def test_the_scale_is_that_of_the_cells_it_colours() -> None:
    model = grid(".#G", "..X")
    values = np.array([1.0, 99.0, 50.0, 2.0, 3.0, -50.0])
    assert scale_of(model, values) == (1.0, 3.0)
    assert scale_of(model, np.full(6, np.nan)) == (0.0, 0.0)
    assert scale_of(model, np.array([-2.0, 0, 0, -3.0, 1e-15, 0])) == (-3.0, 0.0)
    assert scale_of(model, np.array([2.0, 0, 0, -1e-15, 3.0, 0])) == (0.0, 3.0)
    assert scale_of(model, np.array([2.0, 0, 0, -1.0, 3.0, 0])) == (-1.0, 3.0)
    assert scale_of(model, np.array([-2.0, 0, 0, -1.0, -3.0, 0])) == (-3.0, -1.0)
    frame = draw(model, values, cell_size=20)
    assert centre(frame, model, 0, 20) == tuple(sequential()[0].tolist())
    assert centre(frame, model, 4, 20) == tuple(sequential()[-1].tolist())
    locked = draw(model, values, cell_size=20, scale=(0.0, 4.0))
    assert centre(locked, model, 3, 20) == tuple(colormap(2.0, 0.0, 4.0).tolist())


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_goals_pits_and_walls_are_told_apart_by_more_than_colour(theme: Any) -> None:
    model = grid("GX#.")
    frame = draw(model, np.ones(4), theme=theme, cell_size=40)
    for column, colour in ((0, theme.goal), (1, theme.harm)):
        inside = tile(frame, 0, column, 40)
        assert tuple(inside[4, 20]) == colour
        assert tuple(inside[20, 20]) == tuple(ink_on(colour).tolist())
    wall = tile(frame, 0, 2, 40)
    assert {theme.wall, theme.hatch} <= {tuple(pixel) for pixel in wall.reshape(-1, 3).tolist()}
    star, cross = glyphs.mark(40, "goal"), glyphs.mark(40, "pit")
    assert np.allclose(star, star[:, ::-1], atol=1e-6), "a star is the same from both sides"
    assert np.allclose(cross, cross.T, atol=1e-6)
    assert np.abs(star - cross).max() > 0.9


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_keys_and_doors_are_drawn_as_what_they_are(theme: Theme) -> None:
    world = GridSpec.parse("map = 'SkD.G'\n[legend]\nk = { key = 'red' }\nD = { door = 'red' }").compile()
    shut, opened = (
        draw(world.picture(world.state_of(0, 3 * on, red=on))[0], theme=theme, cell_size=40) for on in (0, 1)
    )
    for frame, column, ground, mark in (
        (shut, 1, theme.accent, "key"),
        (shut, 2, theme.door, "door"),
        (opened, 1, theme.floor, None),
        (opened, 2, theme.floor, "open door"),
    ):
        inside = tile(frame, 0, column, 40)
        assert tuple(inside[4, 20]) == ground
        inked = (inside == ink_on(ground)).all(axis=-1)
        expected = np.zeros((40, 40), np.bool_) if mark is None else glyphs.mark(40, mark) == 1.0
        assert (inked[2:-2, 2:-2] == expected[2:-2, 2:-2]).all()


def test_every_mark_is_its_own_shape() -> None:
    for size in (16, 41):
        masks = [glyphs.mark(size, name) for name in glyphs.MARKS]
        for k, one in enumerate(masks):
            assert 0.02 < one.mean() < 0.5
            assert all(np.abs(one - other).sum() > 0.02 * size * size for other in masks[:k])
    with pytest.raises(ValueError, match="goal"):
        glyphs.mark(20, "gaol")


def test_ice_rewards_and_starts_keep_their_mark_beside_an_arrow() -> None:
    model = grid("..IRT", start=1)
    plain = draw(grid("....."), np.ones(5), np.ones(5, int), cell_size=40)
    marked = draw(model, np.ones(5), np.ones(5, int), cell_size=40)
    for column in range(5):
        changed = (tile(plain, 0, column, 40) != tile(marked, 0, column, 40)).any(axis=2)
        if column == 0:
            continue
        assert changed[:16, :16].any()
        assert not changed[16:].any()
        assert not changed[:, 16:].any()


def test_hatches_run_through_from_wall_to_wall() -> None:
    frame = draw(grid("##.", "##.", start=2), cell_size=30).astype(int)[:, :60]
    assert (frame[1:, :-1] == frame[:-1, 1:]).all(), "the same along every diagonal, across the borders of cells too"


# --- policies ---------------------------------------------------------------------------------------------------------


def inked(model: Any, policy: Any, size: int = 40, **settings: Any) -> np.ndarray:
    """bool [H, W]: where an arrow or a dot was drawn."""
    values = np.ones(model.num_states)
    bare = draw(model, values, cell_size=size, **settings).astype(int)
    return np.abs(draw(model, values, policy, cell_size=size, **settings).astype(int) - bare).max(axis=2) > 60


def arms(ink: np.ndarray) -> set[tuple[int, int]]:
    """The directions in which ink reaches far from the middle of a cell."""
    size = len(ink)
    reach = round(0.2 * size)
    found = set()
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            y, x = size // 2 + row * reach, size // 2 + column * reach
            if (row or column) and ink[y - 1 : y + 2, x - 1 : x + 2].any():
                found.add((row, column))
    return found


@pytest.mark.parametrize("size", [24, 41, 64])
def test_an_arrow_points_where_the_action_goes(size: int) -> None:
    model = grid("........", actions=8)
    ink = inked(model, np.arange(8), size)
    for action, name in enumerate(model.actions):
        rows, columns = picture.appearance_of(model).directions[action]
        part = ink[:, action * size : (action + 1) * size]
        y, x = np.nonzero(part)
        middle = (size - 1) / 2
        along = ((y - middle) * rows + (x - middle) * columns) / np.hypot(rows, columns)
        across = ((y - middle) * columns - (x - middle) * rows) / np.hypot(rows, columns)
        assert abs(across.mean()) < 0.03 * size, name
        assert along.max() > 0.2 * size, name
        assert along.min() < -0.2 * size, name
        head = np.abs(across) > 0.07 * size
        assert head.any(), name
        assert along[head].min() > -0.05 * size, f"{name}: the head is in front"


def test_every_tied_action_has_its_arrow() -> None:
    model = grid("...", "...")
    ties = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], np.bool_)
    ink = inked(model, ties)
    directions = [(-1, 0), (0, 1), (1, 0), (0, -1)]
    for state in range(6):
        row, column = divmod(state, 3)
        part = ink[row * 40 : row * 40 + 40, column * 40 : column * 40 + 40]
        assert arms(part) == {d for d, tied in zip(directions, ties[state], strict=True) if tied}


def test_a_state_that_nothing_reached_has_a_dot() -> None:
    model = grid("..")
    for policy in (np.array([-1, 1]), np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.bool_)):
        ink = inked(model, policy)
        part = ink[:, :40]
        assert part[20, 20]
        assert not arms(part)
        y, x = np.nonzero(part)
        assert np.hypot(y - 19.5, x - 19.5).max() < 0.1 * 40
        assert arms(ink[:, 40:])


def test_staying_is_a_ring() -> None:
    model = grid("..", actions=5)
    part = inked(model, np.array([4, 4]))[:, :40]
    assert not part[20, 20]
    y, x = np.nonzero(part)
    distance = np.hypot(y - 19.5, x - 19.5)
    assert distance.min() > 4
    assert distance.max() < 12


def test_likely_actions_of_a_stochastic_policy_get_arrows() -> None:
    model = grid("..")
    likely = np.array([[0.05, 0.85, 0.05, 0.05], [0.5, 0.0, 0.5, 0.0]])
    assert (inked(model, likely) == inked(model, likely >= 0.5)).all()


def test_no_arrows_where_no_action_is_taken() -> None:
    model = grid("G#X.")
    ink = inked(model, np.ones(4, int))
    assert not ink[:, :120].any()
    assert ink[:, 120:].any()


def test_gymnasiums_order_of_actions_is_drawn_as_it_is() -> None:
    model = GridSpec.builtin("frozen_lake_4x4").compile()
    ink = inked(model, np.full(16, 1))  # down
    part = ink[:40, :40]
    y, _ = np.nonzero(part[12:, 12:])
    assert (part[:, 20].nonzero()[0].max() - 20) > 8
    assert y.size


@pytest.mark.parametrize("theme", THEMES)
def test_arrows_can_be_read_on_every_value(theme: str) -> None:
    """The darkest or lightest pixel of the arrow against the cell, over the whole scale."""
    model = GridModel(np.zeros((1, 200), int), KINDS)
    values = np.linspace(-1.0 if theme == "dark" else 0.0, 1.0, 200)
    with_arrows = draw(model, values, np.ones(200, int), cell_size=21, theme=theme)
    for column in range(200):
        middle = with_arrows[10, column * 21 + 10]
        assert contrast(middle, colormap(values[column], values[0], 1.0, theme)) >= 4.5


def test_edges_are_smooth_and_masks_are_shares() -> None:
    for size in (8, 13, 24, 41, 64):
        for mask in (glyphs.arrows(size, ((0, 1),)), glyphs.arrows(size, ((1, 1),)), glyphs.cell(size)):
            assert mask.dtype == np.float32
            assert mask.min() >= 0
            assert mask.max() <= 1
        slanted = glyphs.arrows(size, ((1, 1),))
        assert ((slanted > 0.1) & (slanted < 0.9)).sum() >= size / 4


def test_arrows_are_symmetrical() -> None:
    for size in (12, 13, 24, 41):
        right = glyphs.arrows(size, ((0, 1),))
        assert np.allclose(right, right[::-1], atol=1e-5)
        assert np.allclose(glyphs.arrows(size, ((0, -1),)), right[:, ::-1], atol=1e-5)
        assert np.allclose(glyphs.arrows(size, ((1, 0),)), right.T, atol=1e-5)


# --- action values and visits -----------------------------------------------------------------------------------------


def test_each_action_has_its_wedge() -> None:
    model = grid("..")
    q = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.6, 1.0]])
    frame = draw(model, q_values=q, cell_size=40)
    for state in range(2):
        part = tile(frame, 0, state, 40)
        for action, (y, x) in enumerate(((6, 20), (20, 33), (33, 20), (20, 6))):
            assert tuple(part[y, x]) == tuple(colormap(q[state, action], 0.0, 1.0).tolist())


def test_eight_moves_and_staying_have_nine_wedges() -> None:
    model = grid(".", actions=9)
    q = np.linspace(0, 1, 9)[None, :]
    part = draw(model, q_values=q, cell_size=60)
    for action, (rows, columns) in enumerate(picture.appearance_of(model).directions):
        at = part[30 + 21 * rows, 30 + 21 * columns]
        assert tuple(at) == tuple(colormap(q[0, action], 0.0, 1.0).tolist())


def test_greedy_wedges_are_marked() -> None:
    model = grid("..")
    q = np.array([[0.1, 0.9, 0.3, 0.9], [0.0, 0.5, 0.6, 1.0]])
    bare = draw(model, q_values=q, cell_size=40).astype(int)
    marked = draw(model, q_values=q, policy=q >= q.max(axis=1, keepdims=True), cell_size=40).astype(int)
    changed = np.abs(marked - bare).max(axis=2) > 60
    left, top = changed[:, :40], changed[:, 40:]
    assert arms_of_wedges(left) == {(0, 1), (0, -1)}
    assert arms_of_wedges(top) == {(0, -1)}


def arms_of_wedges(changed: np.ndarray) -> set[tuple[int, int]]:
    places = {(-1, 0): (7, 20), (0, 1): (20, 33), (1, 0): (33, 20), (0, -1): (20, 7)}
    return {d for d, (y, x) in places.items() if changed[y - 3 : y + 4, x - 3 : x + 4].any()}


def test_small_cells_show_the_best_action_value() -> None:
    model = grid("..")
    q = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.6, 1.0]])
    frame = draw(model, q_values=q, cell_size=10)
    assert centre(frame, model, 0, 10) == tuple(colormap(0.4, 0.0, 1.0).tolist())


def test_visits_are_coloured_by_their_logarithm() -> None:
    model = grid("....")
    frame = draw(model, visits=np.array([0, 1, 9, 99]), cell_size=20)
    assert centre(frame, model, 0, 20) == DARK.floor
    for state, count in ((1, 1), (2, 9), (3, 99)):
        assert centre(frame, model, state, 20) == tuple(colormap(np.log1p(count), 0.0, np.log(100)).tolist())


def test_the_layer_chooses_the_table() -> None:
    model = grid("..")
    tables: dict[str, Any] = {"values": [0.0, 1.0], "q_values": [[0.0] * 4, [1.0] * 4], "visits": [5, 0]}
    for name in picture.LAYERS:
        chosen = draw(model, cell_size=30, layer=name, **tables)
        assert (chosen == draw(model, cell_size=30, **{name: tables[name]})).all()


# --- what lies on top -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_the_agent_is_a_disc_with_a_ring(theme: Any) -> None:
    model = grid("...", "...")
    part = tile(draw(model, np.ones(6), agent=4, cell_size=40, theme=theme), 1, 1, 40)
    assert tuple(part[20, 20]) == theme.accent
    assert tuple(part[20, 20 + 11]) == theme.background
    assert tuple(part[4, 4]) != theme.accent


def test_the_agent_glides_between_cells() -> None:
    model = grid("...")
    frame = draw(model, agent=(0.0, 0.5), cell_size=40)
    assert tuple(frame[20, 40]) == DARK.accent
    assert tuple(frame[20, 22]) != DARK.accent
    assert (draw(model, agent=(0, 1), cell_size=40) == draw(model, agent=1, cell_size=40)).all()


def test_the_agent_and_the_trail_are_seen_in_tiny_cells() -> None:
    model = GridModel(np.zeros((200, 200), int), KINDS)
    frame = draw(model, agent=100 * 200 + 100, path=list(range(2000, 2100)), cell_size=2)
    assert tuple(frame[201, 201]) == DARK.accent
    assert (frame[21, 20:190].astype(int) - DARK.floor).max() > 50


def test_the_trail_joins_the_cells_that_were_visited() -> None:
    model = grid("....", "....", "....")
    before = draw(model, cell_size=40).astype(int)
    after = draw(model, path=[0, 1, 5, 5, 1], cell_size=40).astype(int)
    changed = (before != after).any(axis=2)
    for x, y in ((40, 20), (60, 20), (60, 40)):
        assert changed[y, x]
    for x, y in ((20, 40), (100, 20), (60, 80)):
        assert not changed[y, x]


def test_a_jump_leaves_a_gap_in_the_trail() -> None:
    model = grid("............")
    before = draw(model, cell_size=20)
    assert (draw(model, path=[0, 11], cell_size=20) == before).all()
    assert (draw(model, path=[3], cell_size=20) == before).all()


def test_the_selected_cell_is_outlined() -> None:
    model = grid("...", "...", "...")
    frame = draw(model, selected=4, cell_size=40)
    for y, x in ((40, 60), (60, 40), (60, 80), (80, 60)):
        assert np.abs(frame[y, x].astype(int) - DARK.second).max() < 40
    assert centre(frame, model, 4, 40) == DARK.floor


def test_a_flash_lightens_its_cells() -> None:
    model = grid("...")
    values = np.array([0.1, 0.5, 0.9])
    plain = draw(model, values, cell_size=20)
    flashed = draw(model, values, flash=[0.0, 1.0, 0.0], cell_size=20)
    assert (flashed[:, :20] == plain[:, :20]).all()
    assert luminance(flashed[10, 30]) > luminance(plain[10, 30]) + 0.1


def test_wind_is_shown_by_its_strength_and_direction() -> None:
    calm, windy = grid("....", "...."), grid("....", "....", column_wind=[0, 1, 2, -1])
    changed = (draw(calm, cell_size=40) != draw(windy, cell_size=40)).any(axis=2)
    amounts = [changed[:40, column * 40 : column * 40 + 40].sum() for column in range(4)]
    assert amounts[0] == 0
    assert amounts[1] > 10
    assert amounts[2] > 1.5 * amounts[1]
    up, down = glyphs.wind(40, -1, 0), glyphs.wind(40, 1, 0)
    assert np.argmax(up.sum(axis=1)) > np.argmax(up.max(axis=1) > 0.5), "the tip is above its sides"
    assert np.abs(up - down).max() > 0.5
    assert np.allclose(glyphs.wind(40, 0, 1), glyphs.wind(40, 1, 0).T, atol=1e-6)


# --- models and sizes -------------------------------------------------------------------------------------------------


def test_states_that_are_not_a_grid_are_a_near_square() -> None:
    mdp = MDP.from_arrays(np.full((7, 2, 7), 1 / 7), np.zeros(7), 0.9, start=0)
    assert picture.shape_of(mdp) == (3, 3)
    frame = draw(mdp, np.linspace(0, 1, 7), np.array([0, 1, 0, 1, 0, 1, -1]), cell_size=40)
    assert frame.shape == (120, 120, 3)
    assert (frame[80:, 40:] == DARK.background).all(), "no cells where there are no states"
    # Actions without a direction are written as numbers: a 0 is hollow, a 1 is not there on its left.
    zero, one = tile(frame, 0, 0, 40), tile(frame, 0, 1, 40)
    assert (zero[20, 20] == zero[3, 3]).all()
    assert np.abs(one[14:26, 20] - one[3, 3]).max() > 60 or np.abs(one[14:26, 22:30] - one[3, 3]).max() > 60
    small = draw(mdp, np.linspace(0, 1, 7), cell_size=2)
    assert (small[4:, 2:] == DARK.background).all()


def test_numbers_differ() -> None:
    masks = [glyphs.numbers(40, (n,)) for n in range(13)] + [glyphs.numbers(40, (0, 1)), glyphs.numbers(40, (1, 0))]
    for k, one in enumerate(masks):
        assert one.max() > 0.8
        assert all(np.abs(one - other).sum() > 5 for other in masks[:k])


def test_an_explicit_grid_is_read_off_its_outcomes() -> None:
    """The explicit form of a grid has neither walls nor goals by name, but looks the same."""
    model = grid(".#G", "...", ".X.", slip=Slip.sideways(0.1, 0.1), start=3)
    look, read = picture.appearance_of(model), picture.appearance_of(model.to_mdp())
    assert (look.wall == read.wall).all()
    assert (look.mark == read.mark).all()
    assert look.directions == read.directions
    assert (draw(model, np.arange(9.0)) == draw(model.to_mdp(), np.arange(9.0))).all()


def test_a_random_reward_at_the_end_counts_by_its_mean() -> None:
    """In the world of maximization bias a lucky action of B pays most, yet the end that it leads to is the worse."""
    marks = picture.appearance_of(classics.maximization_bias()).mark
    names = [glyphs.MARKS[mark - 1] if mark else "" for mark in marks]
    assert names == ["pit", "", "start", "goal"]


def test_bars_where_actions_have_no_direction() -> None:
    mdp = MDP.from_arrays(np.full((4, 3, 4), 1 / 4), np.zeros(4), 0.9, start=0)
    q = np.tile([0.0, 0.5, 1.0], (4, 1))
    part = tile(draw(mdp, q_values=q, cell_size=42), 0, 0, 42)
    for x, value in ((7, 0.0), (21, 0.5), (35, 1.0)):
        assert tuple(part[21, x]) == tuple(colormap(value, 0.0, 1.0).tolist())


@pytest.mark.parametrize("size", [0.02, 0.3, 1, 1.7, 3, 4, 5.5, 7, 15.2, 33.3])
def test_any_size_of_cell_can_be_drawn(size: float) -> None:
    model = grid(*["." * 60 + "#G" for _ in range(50)], start=0)
    values = np.linspace(0, 1, model.num_states)
    frame = draw(model, values, np.ones(model.num_states, int), agent=70, cell_size=size)
    assert frame.shape == (max(1, np.ceil(50 * size - 0.5)), max(1, np.ceil(62 * size - 0.5)), 3)


def test_worlds_larger_than_the_picture_are_sampled() -> None:
    model = GridModel(np.zeros((2000, 3000), int), KINDS)
    values = np.repeat(np.linspace(0, 1, 2000), 3000)
    frame = draw(model, values, size=(300, 200))
    assert frame.shape == (200, 300, 3)
    light = luminance(frame[:, 150])
    assert (np.diff(light) >= 0).all()
    assert np.abs(frame[100, 5].astype(int) - colormap(0.5, 0, 1)).max() <= 2


def test_a_view_beside_the_world_is_background() -> None:
    frame = draw(grid(".."), np.ones(2), size=(50, 40), view=Layout(10.0, 500.0, 0.0, 1, 2), agent=0, selected=1)
    assert (frame == DARK.background).all()


def test_a_frame_is_the_callers_own() -> None:
    model = grid(".#")
    frame = draw(model, cell_size=20)
    kept = frame.copy()
    frame[:] = 0
    assert (draw(model, cell_size=20) == kept).all()


def test_masks_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = grid("....", "..G.")
    draw(model, np.ones(8), np.arange(8) % 4, cell_size=37)
    monkeypatch.setattr(glyphs, "polygon", lambda *_: pytest.fail("a mask was made again"))
    draw(model, np.zeros(8), np.arange(8)[::-1] % 4, cell_size=37)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"values": [1.0]}, ValueError, "values must have shape"),
        ({"policy": np.zeros((2, 3))}, ValueError, "policy must have shape"),
        ({"policy": np.array([0, 4])}, ValueError, "state 1 has action 4"),
        ({"policy": np.array([0.0, 1.0])}, TypeError, "whole numbers"),
        ({"q_values": np.zeros(2)}, ValueError, "q_values must have shape"),
        ({"values": ["a", "b"]}, TypeError, "values must hold numbers"),
        ({"agent": 2}, ValueError, "agent = 2"),
        ({"selected": -1}, ValueError, "selected = -1"),
        ({"cell_size": 0}, ValueError, "cell_size"),
        ({"size": (0, 5)}, ValueError, "size"),
        ({"theme": "drak"}, ValueError, "'dark' or 'light'"),
        ({"layer": "value"}, ValueError, "values, q_values, visits"),
        ({"layer": "visits"}, ValueError, "needs the argument visits"),
        ({"values": [0.0, 1.0], "scale": (1.0, 0.0)}, ValueError, "scale"),
        ({"view": Layout(5.0, 0.0, 0.0, 1, 2)}, ValueError, "size"),
        ({"view": Layout(5.0, 0.0, 0.0, 3, 3), "size": (9, 9)}, ValueError, "3 x 3"),
        ({"path": [0, 7]}, ValueError, "path"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        draw(grid(".."), **arguments)


def test_pictures_need_no_screen_and_no_plotting() -> None:
    script = (
        "import sys, rlgrid\n"
        "from rlgrid.gridmodel import GridModel, TileKind\n"
        "rlgrid.draw(GridModel([[0, 0]], [TileKind('floor')]), [0.0, 1.0], [1, 1], agent=0)\n"
        "print([name for name in ('pygame', 'matplotlib', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_models_and_solutions_show_themselves_in_notebooks() -> None:
    rooms = GridSpec.builtin("four_rooms").compile()
    chain = MDP.from_arrays(np.array([[[0.0, 1.0]], [[0.0, 1.0]]]), np.array([1.0, 0.0]), gamma=0.9)
    long = GridModel(np.zeros((3, 2000), np.uint8), [TileKind("floor")])
    for shown in (rooms, chain, long, solve(rooms)):
        page = shown._repr_html_()
        assert f"<figcaption>{type(shown).__name__}(" in page
        frame = imageio.imread(io.BytesIO(base64.b64decode(page.partition("base64,")[2].partition('"')[0])))
        assert frame.ndim == 3
        assert max(frame.shape) <= 960
