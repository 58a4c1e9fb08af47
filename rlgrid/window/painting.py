"""Painting in the window: strokes of the pointer and of the keyboard become maps, and maps become the world.

The pure part is `rlgrid.window.editing`. Here is what belongs to an app: the stroke under way, the cursor, the editor
of each map that was painted in, and what happens when a map is another: it is drawn, and the worker is told (`remap`).
A stroke is one edit, whatever its length.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlgrid.gridmap import GridSpec, MapError
from rlgrid.gridmodel import GridModel
from rlgrid.window import editing, floors
from rlgrid.window.editing import BRUSHES, Cell, Draft, Editor
from rlgrid.window.places import Place, described
from rlgrid.window.state import Snapshot, ValueHistory

if TYPE_CHECKING:
    from rlgrid.window.app import App

LONG = 8.0  # seconds that a reason is shown
CHECKED = 250_000  # cells up to which every stroke is followed by a search for goals out of reach


class Painter:
    """The painting of one app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._editors: dict[str, Editor] = {}  # by the name of the place
        self._stroke: dict[Cell, None] = {}
        self._with = ""  # the brush of the stroke
        self._last: Cell | None = None
        self._sent: list[str] = []  # maps on their way that the worker has not taken yet
        self._built: GridSpec | None = None  # the world that the run was built with

    # --- where things stand -----------------------------------------------------------------------------------------

    @property
    def editor(self) -> Editor | None:
        """The editor of the present world; None where that is no map."""
        place = self._app.place
        if place is None or place.spec is None:
            return None
        if place.name not in self._editors:
            self._editors[place.name] = Editor(place.spec)
        return self._editors[place.name]

    @property
    def unsaved(self) -> list[str]:
        """The titles of the maps that were painted and not saved."""
        return [editor.spec.title or name for name, editor in self._editors.items() if not editor.saved]

    def show(self) -> None:
        """Put what the palette shows into the state."""
        state, editor = self._app.state, self.editor
        if editor is None:
            state.palette, state.map_size = (), None
            state.mode = "look" if state.mode == "paint" else state.mode
            return
        spec = editor.spec
        state.palette = (*BRUSHES.values(), *editing.own_brushes(spec)[:6])
        if state.brush not in [brush.key for brush in state.palette]:
            state.brush, state.amount = "wall", 0.0
        state.palette = tuple(editing.brush_of(spec, b.key) if b.key == state.brush else b for b in state.palette)
        state.map_size = (len(spec.rows), len(spec.rows[0]))
        state.undoable, state.redoable, state.unsaved = editor.can_undo, editor.can_redo, not editor.saved
        if state.cursor is not None:
            self.point((0, 0))

    def opened(self) -> None:
        """Another world, or another agent in this one, is shown."""
        state = self._app.state
        self.cancel()
        self._sent = []
        self._built = None if self._app.place is None else self._app.place.spec
        # a map that was not painted is the same when it is opened again; until then nobody keeps it and its model
        self._editors = {name: one for name, one in self._editors.items() if one.painted}
        editor = self.editor
        if editor is None:
            state.missing, state.cursor = "", None
        else:
            large = len(editor.spec.rows) * len(editor.spec.rows[0]) > CHECKED
            state.missing = "" if large else editing.trouble(editor.spec, editor.first)
        self.show()

    def started(self) -> None:
        """The worker begins with the map that is shown: none is on its way."""
        self._sent = []

    @property
    def waiting(self) -> bool:
        """Whether a map is on its way to the worker, so that what it says may be of the one before."""
        return bool(self._sent)

    def cell_of(self, spot: Cell | None) -> Cell | None:
        """The cell of the map at a spot of the picture, which may be one of several panels of it."""
        editor, model = self.editor, self._app.state.model
        if spot is None or editor is None:
            return None
        height, width = len(editor.spec.rows), len(editor.spec.rows[0])
        row, column = spot
        if hasattr(model, "map_shape"):
            row, column = row % (height + 1), column % (width + 1)
        return (row, column) if 0 <= row < height and 0 <= column < width else None

    # --- mode, brush and cursor -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Paint from now on, if the world is a map."""
        app, state = self._app, self._app.state
        if self.editor is None:
            app.say("This world is not made of a map, so it cannot be painted. Ctrl+N makes a new map.", LONG)
            return
        app.end_tour()
        state.mode, state.menu = "paint", None
        if state.cursor is None:
            starts = editing.start_cells(self.editor.spec)
            state.cursor = starts[0] if starts else (0, 0)
        self.show()

    def choose(self, key: str) -> None:
        """Take a brush, and begin to paint with it."""
        state = self._app.state
        if state.mode != "paint":
            self.begin()
        if self.editor is None:
            return
        state.brush = key
        amount = editing.brush_of(self.editor.spec, key).amount
        state.amount = 0.0 if amount is None else amount.initial
        self.show()

    def next_brush(self, by: int) -> None:
        """The brush after, or before, the present one."""
        state = self._app.state
        keys = [brush.key for brush in state.palette]
        if keys:
            self.choose(keys[(keys.index(state.brush) + by) % len(keys)])

    def point(self, by: Cell) -> None:
        """Move the cursor by so many rows and columns, as far as the map goes."""
        state, editor = self._app.state, self.editor
        if editor is None:
            return
        row, column = state.cursor or (0, 0)
        height, width = len(editor.spec.rows), len(editor.spec.rows[0])
        state.cursor = (min(max(0, row + by[0]), height - 1), min(max(0, column + by[1]), width - 1))

    # --- strokes ----------------------------------------------------------------------------------------------------

    @property
    def stroking(self) -> bool:
        """Whether a stroke is under way."""
        return bool(self._with)

    def press(self, spot: Cell | None, brush: str = "") -> None:
        """Begin a stroke at a spot of the picture, with the present brush or another one."""
        cell = self.cell_of(spot)
        if cell is None:
            return
        self._stroke, self._last, self._with = {cell: None}, cell, brush or self._app.state.brush
        self._show_stroke()

    def move(self, spot: Cell | None) -> None:
        """Go on with the stroke; where the pointer jumped, all cells between are taken."""
        cell = self.cell_of(spot)
        if not self._with or cell is None or self._last is None or cell == self._last:
            return
        for passed in between(self._last, cell):
            self._stroke[passed] = None
        self._last = cell
        self._show_stroke()

    def release(self) -> None:
        """End the stroke: the map changes."""
        cells, brush = list(self._stroke), self._with
        self.cancel()
        if cells and brush:
            self._app.state.cursor = cells[-1]
            self.paint(cells, brush)

    def cancel(self) -> None:
        """Forget the stroke under way."""
        self._stroke, self._last, self._with = {}, None, ""
        self._show_stroke()

    def _show_stroke(self) -> None:
        self._app.state.stroke = (self._with, tuple(self._stroke)) if self._with else ("", ())

    def paint(self, cells: list[Cell], key: str = "") -> None:
        """Paint cells of the map with a brush; what the map language refuses is said."""
        app, state, editor = self._app, self._app.state, self.editor
        if editor is None:
            return
        key = key or state.brush
        brush = editing.brush_of(editor.spec, key)
        towards = None
        if state.pinned is not None and state.model is not None and key == "teleport":
            towards = self._cell_of_state(state.pinned)
        try:
            spec = editing.painted(
                editor.spec, cells, brush, state.amount if key == state.brush else None, towards=towards
            )
            several = f"{brush.title.lower()}, {len(cells)} cells" if len(cells) > 1 else brush.title.lower()
            self._change(editor, spec, several)
        except MapError as error:
            app.say(error.message[0].upper() + error.message[1:], LONG)

    def _cell_of_state(self, number: int) -> Cell | None:
        model = self._app.state.model
        if hasattr(model, "map_shape"):
            row, column = model.cell_of(number)
            return int(row), int(column)
        return divmod(number, model.shape[1]) if number < model.num_states else None

    # --- the map becomes another ------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last stroke back."""
        editor = self.editor
        before = None if editor is None else editor.spec
        if editor is None or before is None or not editor.undo():
            self._app.say("There is nothing to undo.")
            return
        self._take(editor, f"undo {editing.difference(editor.spec, before)}")

    def redo(self) -> None:
        """Do the stroke again that was taken back last."""
        editor = self.editor
        before = None if editor is None else editor.spec
        if editor is None or before is None or not editor.redo():
            self._app.say("There is nothing to do again.")
            return
        self._take(editor, f"redo {editing.difference(before, editor.spec)}")

    def resize(self, rows: int, columns: int) -> None:
        """Give the map another size."""
        editor = self.editor
        if editor is None:
            return
        try:
            spec = editing.resized(editor.spec, rows, columns)
            self._change(editor, spec, f"size {rows} × {columns}")
        except MapError as error:
            self._app.say(error.message[0].upper() + error.message[1:], LONG)
            self.show()

    def new(self, rows: int, columns: int) -> None:
        """A new, empty map takes the place of the present world."""
        app = self._app
        spec = editing.empty(rows, columns)
        number = 1 + sum(place.name.startswith("new map") for place in app.custom)
        name = f"new map {number}" if number > 1 else "new map"
        spec = editing.draft_of(spec.with_changes(name=name.replace(" ", "_"), title=name.capitalize()))
        app.open(place_of(name, spec), app.state.agent if app.scenario is not None else "value_iteration")
        app.state.cursor = None
        self.begin()

    def _change(self, editor: Editor, spec: Draft, words: str) -> None:
        items = spec._items
        if items is not None and len(items.names) > MOST_ITEMS and spec.rows != editor.spec.rows:
            had = editor.spec._items
            if had is None or len(items.names) > len(had.names):
                raise MapError(
                    f"a painted map has at most {MOST_ITEMS} keys and coins, since each of them doubles the number of "
                    "states: paint another one over first"
                )
        spec.compile()  # what cannot be compiled is refused before anything is changed
        if editor.set(spec):
            self._take(editor, words)

    def _take(self, editor: Editor, words: str) -> None:
        """Show the map that the editor has now, and have the agent learn in it; without words, it does already."""
        app, state, place = self._app, self._app.state, self._app.place
        assert place is not None
        if not place.painted:  # the world that it began as stays in the menu as it was
            name = f"{place.name}, painted"
            self._editors[name] = self._editors.pop(place.name)
            place = replace(place, name=name, title=f"{place.title}, painted", painted=True)
        spec = editor.spec
        place = replace(place, made=None, spec=spec, map_text=editor.text, model=spec.compile(), note=described(spec))
        app.keep(place)
        app.place = place
        old, state.making = state.model, None
        state.model, state.world, state.world_title, state.world_note = place.model, place.name, place.title, place.note
        if old is None or old.num_states != place.model.num_states:
            state.snapshot = Snapshot()
            state.history, state.outcomes = ValueHistory(), {}
            state.pinned = state.hover = state.inspected = state.walker_at = state.before = None
            state.paths, state.computed = (), {}
            app.race.remade()
        state.stamp += 1
        large = len(spec.rows) * len(spec.rows[0]) > CHECKED
        state.missing = "" if large else editing.trouble(spec, editor.first)
        if app.scenario is not None:
            app.scenario = replace(app.scenario, world=place.name, map_text=place.map_text)
            if state.error:  # nothing runs that could go on in it
                app.restart()
            elif words:
                self._sent.append(editor.text)
                app.touched()
                app.link.send("remap", editor.text, words)
        self.show()

    def confirmed(self, text: str) -> None:
        """The worker has taken a map, and needs none of those that were sent before it."""
        if text in self._sent:
            del self._sent[: self._sent.index(text) + 1]

    def shown(self, text: str | None) -> None:
        """The worker's world is this map (None: the one that the run was built with): by a walk back, say."""
        editor = self.editor
        if editor is None or self._sent:
            return
        spec = self._built if text is None else editing.draft_of(text)
        if spec is not None and editor.walk(editing.draft_of(spec)):
            self._take(editor, "")

    def refused(self) -> None:
        """The worker has refused something: if it was a map, the one before is shown again."""
        editor = self.editor
        if self._sent and editor is not None and editor.undo():
            self._take(editor, "")
        self._sent = []

    # --- saving -----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the map to a file of its own; a file that is there is never written over."""
        app, editor, place = self._app, self.editor, self._app.place
        if editor is None or place is None:
            app.say("This world is not made of a map, so there is no map to save.")
            return
        try:
            spec = editor.finished(**self._numbers(editor.finished()))
            path = free_name(place.title, Path.cwd())
            spec.save(path)
        except MapError as error:
            app.say(f"The map cannot be saved yet: {error.message}", LONG)
        except OSError as error:
            app.say(f"The map could not be saved: {error}", LONG)
        else:
            editor.was_saved()
            app.say(f"saved {path.name}; python play.py --world {path.name} opens it again", LONG)
            self.show()

    def _numbers(self, spec: GridSpec) -> dict[str, object]:
        """The world's numbers that sliders have changed, as arguments of the spec."""
        moved = {p.name: p.value for p in self._app.state.parameters if p.group == "world" and p.changed}
        old = spec.compile()
        if not moved or not isinstance(old, GridModel):
            return {}
        new = floors.with_numbers(old, moved)
        found: dict[str, object] = {n: getattr(new, n) for n in moved if getattr(new, n) != getattr(old, n)}
        legend = dict(spec.legend)
        for before, after in zip(old.kinds, new.kinds, strict=True):
            own = {n: getattr(after, n) for n in ("slip", "step_reward", "leave_reward")}
            if before != after:
                legend[before.character] = replace(legend[before.character], **own)
                found["legend"] = legend
        return found


MOST_ITEMS = 6  # of a painted map: 64 panels


def between(one: Cell, other: Cell) -> list[Cell]:
    """The cells of a straight line, the first of them left out, the last one among them."""
    rows, columns = other[0] - one[0], other[1] - one[1]
    steps = max(abs(rows), abs(columns))
    return [(one[0] + round(rows * i / steps), one[1] + round(columns * i / steps)) for i in range(1, steps + 1)]


def place_of(name: str, spec: GridSpec) -> Place:
    """A painted map as a world that can be chosen."""
    draft = editing.draft_of(spec)
    return Place(
        name, spec.title or name, Editor(draft).text, draft.compile(), described(spec), spec=draft, painted=True
    )


def free_name(title: str, folder: Path) -> Path:
    """The path of a map file that is not there yet, after a title."""
    words = "".join(c if c.isalnum() else " " for c in title.lower()).split()
    stem = "_".join(w for w in words if w.isascii()) or "map"
    number = 1
    while os.path.lexists(path := folder / (f"{stem}.toml" if number == 1 else f"{stem}-{number}.toml")):
        number += 1
    return path
