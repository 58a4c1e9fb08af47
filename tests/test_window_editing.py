"""Painting maps: what a stroke makes of a map, what is refused, undo and redo, and saving."""

from __future__ import annotations

import numpy as np
import pytest

from rlgrid import GridSpec, MapError
from rlgrid.mapvalues import DEFAULT_LEGEND
from rlgrid.window.editing import (
    BRUSHES,
    KEPT,
    SIDES,
    Draft,
    Editor,
    brush_of,
    draft_of,
    empty,
    own_brushes,
    painted,
    resized,
    start_cells,
    trouble,
)

ROOM = GridSpec("S...\n....\n...G")


def tile_at(spec, row, column):
    return {**DEFAULT_LEGEND, **spec.legend}[spec.rows[row][column]]


def paint(spec, key, *cells, **settings):
    return painted(spec, cells, brush_of(spec, key), **settings)


def test_wall_and_floor_take_the_usual_characters():
    spec = paint(ROOM, "wall", (0, 1), (1, 1))
    assert spec.rows == ("S#..", ".#..", "...G")
    assert not spec.legend
    assert paint(spec, "floor", (0, 1), (1, 1)).rows == ROOM.rows


def test_amounts_make_tiles_of_their_own_and_like_tiles_share_a_character():
    spec = paint(ROOM, "reward", (0, 1), amount=2.5)
    spec = paint(spec, "reward", (0, 2), amount=-1.0)
    spec = paint(spec, "reward", (1, 1), amount=2.5)
    assert (tile_at(spec, 0, 1).enter_reward, tile_at(spec, 0, 2).enter_reward) == (2.5, -1.0)
    assert spec.rows[1][1] == spec.rows[0][1] != spec.rows[0][2]
    assert paint(ROOM, "goal", (0, 3), amount=1.0).rows[0][3] == "G"


def test_a_lone_start_is_moved_and_several_are_added_to():
    assert paint(ROOM, "start", (1, 1), (1, 2)).rows == ("....", "..S.", "...G")
    two = GridSpec("S.S\n..G", legend={"S": {"start": 1}})
    assert len(start_cells(paint(two, "start", (0, 1)))) == 3


def test_the_last_start_cannot_be_painted_over():
    with pytest.raises(MapError, match="needs a start"):
        paint(ROOM, "wall", (0, 0))
    assert paint(ROOM, "wall", (0, 0), (0, 1)).rows[0] == "S#.."  # the rest of the stroke is


def test_a_key_brings_the_entry_of_its_door_and_leaves_with_it():
    spec = paint(ROOM, "key", (0, 1), amount=1)
    assert {tile.key or tile.door for tile in spec.legend.values()} == {"iron"}
    spec = paint(spec, "door", (1, 1), amount=1)
    assert spec.compile().num_states > 12
    assert not paint(spec, "floor", (0, 1), (1, 1)).legend


def test_one_way_leads_to_the_side_and_not_off_the_map():
    for number, (_, _, (down, right)) in enumerate(SIDES):
        spec = paint(ROOM, "oneway", (1, 1), amount=number)
        assert tile_at(spec, 1, 1).leave_to == (1 + down, 1 + right)
    with pytest.raises(MapError, match="off the map"):
        paint(ROOM, "oneway", (0, 1), amount=0)


def test_teleports_lead_to_the_cell_that_is_named():
    assert tile_at(paint(ROOM, "teleport", (1, 1), towards=(2, 2)), 1, 1).enter_to == (2, 2)
    with pytest.raises(MapError, match="pinned"):
        paint(ROOM, "teleport", (1, 1))
    with pytest.raises(MapError, match="into a wall"):
        paint(paint(ROOM, "teleport", (1, 1), towards=(2, 2)), "wall", (2, 2))


def test_wind_is_of_columns_and_rows_and_takes_its_gust_with_it():
    spec = paint(ROOM, "wind up", (0, 1), (2, 1), amount=2)
    spec = paint(spec, "wind right", (1, 0), amount=-1)
    assert (spec.column_wind, spec.row_wind) == ((0, 2, 0, 0), (0, -1, 0))
    gusty = GridSpec("S.G", column_wind=[0, 1, 0], gust={0: 0.5, 1: 0.5})
    assert paint(gusty, "wind up", (0, 1), amount=0) == draft_of(GridSpec("S.G"))


def test_walls_between_cells_are_set_and_taken_away():
    spec = paint(ROOM, "thin wall", (0, 0), (0, 3), amount=1)  # at the edge of the map there is nothing to do
    assert spec.walls == (((0, 0), (0, 1)),)
    assert paint(spec, "thin wall", (0, 1), amount=4).walls == ()


def test_a_goal_out_of_reach_is_warned_of_and_cannot_be_saved():
    spec = paint(ROOM, "wall", (1, 3), (2, 2))
    assert "no start can reach" in trouble(spec)
    assert spec.compile().num_states == 12
    assert trouble(Draft.parse(Editor(GridSpec(ROOM.rows)).text)) == ""
    editor = Editor(ROOM)
    editor.set(spec)
    with pytest.raises(MapError, match="open a way"):
        editor.finished()


def test_sizes():
    assert resized(ROOM, 4, 3).rows == ("S..", "...", "...", "...")
    wide = resized(Draft("S.G", column_wind=[0, 1, 0], walls=[[[0, 1], [0, 2]]]), 2, 4)
    assert (wide.rows, wide.column_wind, wide.walls) == (("S.G.", "...."), (0, 1, 0, 0), (((0, 1), (0, 2)),))
    assert resized(wide, 1, 2).walls == ()
    with pytest.raises(MapError, match="start would be cut off"):
        resized(GridSpec("...S\nG..."), 2, 3)
    with pytest.raises(MapError, match="from 1 to"):
        resized(ROOM, 0, 3)
    assert empty(2, 3).rows == ("S..", "..G")
    assert trouble(empty(1, 2)) == ""
    with pytest.raises(ValueError, match="2 cells"):
        empty(1, 1)


@pytest.mark.parametrize("name", GridSpec.builtin_names())
def test_random_strokes_are_undone_redone_and_read_again(name):
    editor = Editor(GridSpec.builtin(name))
    draws = np.random.default_rng(5)
    height, width = len(editor.spec.rows), len(editor.spec.rows[0])
    texts = [editor.text]
    keys = [*BRUSHES, *(brush.key for brush in own_brushes(editor.spec))]
    keys = [key for key in keys if not (editor.spec.changes and key in ("key", "door", "coin"))]
    for _ in range(12):
        brush = brush_of(editor.spec, str(draws.choice(keys)))
        amount = None if brush.amount is None else brush.amount.at(draws.random())
        cells = [(int(draws.integers(height)), int(draws.integers(width))) for _ in range(2)]
        try:
            if editor.set(painted(editor.spec, cells, brush, amount, towards=(0, 0))):
                texts.append(editor.text)
        except MapError:
            continue
    assert len(texts) > 4
    assert draft_of(editor.text) == editor.spec
    for text in reversed(texts[:-1]):
        assert editor.undo()
        assert editor.text == text
    assert not editor.undo()
    assert editor.finished() == editor.first
    for text in texts[1:]:
        assert editor.redo()
        assert editor.text == text
    assert not editor.redo()


def test_a_painted_map_keeps_the_comments_of_its_file():
    first = GridSpec.parse("# my room\ngamma = 0.5  # low\nmap = '''\nS..\n..G\n'''\n")
    editor = Editor(first)
    editor.set(paint(editor.spec, "ice", (0, 1)))
    text = editor.finished(gamma=0.75).dump()
    assert "# my room" in text
    assert "# low" in text
    again = GridSpec.parse(text)
    assert again.gamma == 0.75
    assert tile_at(again, 0, 1).slip is not None


def test_the_past_is_bounded_and_what_is_the_same_is_no_edit():
    editor = Editor(ROOM)
    assert not editor.set(draft_of(ROOM))
    for number in range(KEPT + 20):
        editor.set(paint(editor.spec, ("wall", "floor")[number % 2], (1, 1)))
    undone = 0
    while editor.undo():
        undone += 1
    assert undone == KEPT
    editor.redo()
    editor.set(paint(editor.spec, "pit", (0, 2)))
    assert not editor.can_redo
