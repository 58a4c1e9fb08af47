"""What the window's commands do, one function each.

A command is a word of the bindings or the name of a control; what follows a colon is its argument, as in
``layer:visits``. `COMMANDS` is the table of all of them: a function is entered under its names by `command` and gets
the app and the argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlgrid.layout import shape_of
from rlgrid.window import (
    bar,
    breakpoints,
    entering,
    inspector,
    layers,
    lessons,
    mapview,
    plots,
    raceview,
    scaling,
    view,
)
from rlgrid.window.places import catalogue
from rlgrid.window.race import SAID, VERSUS
from rlgrid.window.state import Menu
from rlgrid.window.tour import default_speed

if TYPE_CHECKING:
    import pygame

    from rlgrid.window.app import App

SPEED_STEP = 0.06  # of the slider, for the keys

Command = Callable[["App", str], None]

COMMANDS: dict[str, Command] = {}

# Commands by which the user takes over: nothing happens by itself from then on.
CHOOSING = {"step", "update", "episode", "faster", "slower", "end", "start", "restore", "next agent", "toggle", "new"}


def command(*names: str) -> Callable[[Command], Command]:
    """Enter a function into the table under these names."""

    def enter(function: Command) -> Command:
        COMMANDS.update(dict.fromkeys(names, function))
        return function

    return enter


def do(app: App, words: str) -> None:
    """Obey a command of a key or a control; what is no command (the name of a slider) does nothing."""
    name, _, argument = words.partition(":")
    if name in CHOOSING:
        app.end_tour()
    function = COMMANDS.get(name)
    if function is not None:
        function(app, argument)


# --- running ----------------------------------------------------------------------------------------------------------


@command("play")
def _play(app: App, _: str) -> None:
    if app.state.error:
        app.restart()
        return
    app.state.playing = not app.state.playing
    app.link.send("play", app.state.playing)


@command("step")
def _step(app: App, _: str) -> None:
    app.pause()
    app.link.send("step")


@command("episode")
def _episode(app: App, _: str) -> None:
    app.pause()
    app.race.send("episode")


@command("update")
def _update(app: App, _: str) -> None:
    app.pause()
    app.race.send("update")


@command("back")
def _back(app: App, step: str) -> None:
    """One unit back, or ``back:update``, ``back:episode``."""
    app.seek(step or "unit")


@command("curve")
def _curve(app: App, slot: str) -> None:
    """The menu of the curves, for a place."""
    state, name = app.state, f"curve:{slot}"
    if state.menu is not None and state.menu.name == name:
        state.menu = None
        return
    there, drawn = plots.curves(state), plots.shown(state)
    menu = Menu(name, [(plot.name, plot.title) for plot in there])
    if int(slot) < len(drawn):
        menu.lit = [plot.name for plot in there].index(drawn[int(slot)].name)
    state.menu = menu


@command("faster")
def _faster(app: App, _: str) -> None:
    _move_speed(app, SPEED_STEP)


@command("slower")
def _slower(app: App, _: str) -> None:
    _move_speed(app, -SPEED_STEP)


def _move_speed(app: App, by: float) -> None:
    state = app.state
    app.set_speed(bar.speed_at(bar.speed_part(state.speed, state.unit) + by, state.unit))


@command("end")
def _end(app: App, _: str) -> None:
    state = app.state
    if math.isinf(state.speed):
        app.set_speed(app.before_full or default_speed(state.agent))
        return
    app.before_full = state.speed
    app.set_speed(math.inf)
    if not state.playing:
        _play(app, "")


@command("start")
def _start(app: App, by: str) -> None:
    state = app.state
    if app.teacher is not None and by != "lesson":
        app.teacher.again()
        return
    if app.scenario is None:
        return
    if state.error:
        app.restart()
        return
    changed = state.parameters
    state.clear_run()
    state.parameters = changed
    app.inbox.forget()
    app.race.forget()
    app.link.send("reset")


@command("restore")
def _restore(app: App, _: str) -> None:
    app.touched()
    app.link.send("restore")


def _closed(app: App, name: str) -> bool:
    """Put the help away; whether the menu of this name was open, which is then closed."""
    state = app.state
    state.help = False
    if state.menu is None or state.menu.name != name:
        return False
    state.menu = None
    return True


@command("breakpoint")
def _breakpoints(app: App, _: str) -> None:
    """The menu of what can be awaited."""
    state = app.state
    if _closed(app, "breakpoint"):
        return
    state.menu = Menu("breakpoint", breakpoints.offers(state))


@command("until")
def _until(app: App, words: str) -> None:
    """Run until a condition holds; "nothing" awaits none."""
    state = app.state
    if words == "nothing":
        state.awaited = ""
        app.race.send("until", None)
        return
    try:
        condition = breakpoints.parse(words, state.model, state.pinned)
    except ValueError as error:
        app.say(str(error), 8.0)
        return
    app.end_tour()
    state.playing, state.awaited, state.stopped = True, condition.words(state.model, state.unit), ""
    app.race.send("until", condition.as_dict())


@command("toggle")
def _toggle_method(app: App, _: str) -> None:
    method = app.state.parameter("method")
    if method is not None:
        app.change("method", "value_iteration" if method.text == "Gauss-Seidel" else "gauss_seidel")


# --- choosing ---------------------------------------------------------------------------------------------------------


@command("next agent")
def _next_agent(app: App, by: str) -> None:
    """The agent after the present one, or ``next agent:-1`` the one before; of a race the next lane is looked into.

    In a lesson, which another agent would end, it is the next control.
    """
    from rlgrid.agents import AGENTS

    step = int(by or 1)
    if app.teacher is not None:
        app.input.move_ring(step)
    elif app.state.lanes:
        app.race.select(app.state.lane + step)
    elif app.place is not None:
        names = list(AGENTS)
        following = names[(names.index(app.state.agent) + step) % len(names)]
        app.race.replace(following)
        app.say(f"{AGENTS[following]}. Tab: the next agent, Shift Tab: the one before, F6: the controls.", 4.0)


@command("world", "worlds")
def _worlds(app: App, _: str) -> None:
    entries = catalogue()
    if app.custom:
        entries = [("", "Your maps"), *((place.name, place.title) for place in app.custom), *entries]
    _toggle_menu(app, "world", entries, app.state.world)


@command("agent", "agents")
def _agents(app: App, _: str) -> None:
    from rlgrid.agents import AGENTS

    _toggle_menu(app, "agent", list(AGENTS.items()), app.state.agent)


@command("race")
def _race(app: App, _: str) -> None:
    """The menu of who takes part in a race."""
    _toggle_menu(app, "race", app.race.menu().entries, app.state.agent)


@command("lane")
def _lane(app: App, number: str) -> None:
    """Look into a lane of a race; without a number into the next one."""
    if not app.state.lanes:
        app.say("One agent runs alone: C puts another one beside it.")
    else:
        app.race.select(int(number) if number else app.state.lane + 1)


@command("leave")
def _leave(app: App, number: str) -> None:
    """A lane's agent leaves the race."""
    agents = app.race.agents
    if app.state.lanes and int(number) < len(agents):
        app.race.run(agents[: int(number)] + agents[int(number) + 1 :])


@command("versus")
def _versus(app: App, _: str) -> None:
    """What of the lanes is drawn: each by itself, their differences, where their policies disagree."""
    state = app.state
    if not state.lanes:
        app.say("One agent runs alone: C puts another one beside it.")
        return
    state.versus = VERSUS[(VERSUS.index(state.versus) + 1) % len(VERSUS)]
    state.scale_lock = None
    app.say(SAID[state.versus], 4.0)


def _toggle_menu(app: App, name: str, entries: list[tuple[str, str]], present: str) -> None:
    state = app.state
    if _closed(app, name):
        return
    if state.watched:
        app.say("This window shows the environment and the agent of a script.")
        return
    keys = [key for key, _ in entries]
    menu = Menu(name, entries)
    menu.lit = menu.shown.index(keys.index(present)) if present in keys else 0
    state.menu = menu


@command("lessons")
def _lessons(app: App, _: str) -> None:
    """The menu of the lessons."""
    present = app.state.lesson.partition(":")[0]
    _toggle_menu(app, "lesson", [(name, lessons.lesson(name).title) for name in lessons.names()], present)


@command("lesson")
def _lesson(app: App, what: str) -> None:
    """Within a lesson: the next scene, one back, its end, or the number of an answer."""
    teacher = app.teacher
    if teacher is None:
        app.state.lesson = ""
    elif what == "next":
        teacher.next()
    elif what == "back":
        teacher.back()
    elif what == "end":
        teacher.end()
    else:
        teacher.choose(int(what))


@command("act")
def _act(app: App, _: str) -> None:
    """Enter, where no control has the ring: on in the lesson."""
    if app.teacher is not None:
        app.teacher.next()


@command("entry")
def _choose(app: App, number: str) -> None:
    state, menu = app.state, app.state.menu
    state.menu = None
    if menu is None or int(number) not in menu.shown:
        return
    key = menu.entries[int(number)][0]
    if menu.name == "more":
        _show_layer(app, key)
        return
    if menu.name == "breakpoint":
        _until(app, key)
        return
    if menu.name.startswith("curve:"):
        plots.choose(app.state, int(menu.name.partition(":")[2]), key)
        return
    app.end_tour()
    if menu.name == "lesson":
        app.teach(lessons.lesson(key))
        return
    if menu.name == "world":
        known = app.made | {place.name: place for place in app.custom}
        app.open(known.get(key, key), app.race.agents[0] or "value_iteration", rivals=app.race.rivals)
    elif menu.name == "race":
        app.race.change(key)
    elif app.place is not None:
        app.race.replace(key)


# --- what is shown ----------------------------------------------------------------------------------------------------


@command("layer")
def _show_layer(app: App, name: str) -> None:
    """Show a layer; the present one again is left for the values. One that has no table says why."""
    state = app.state
    if name == "policy":
        state.arrows = not state.arrows
    elif name in layers.NAMED:
        name = "values" if state.layer == name else name
        drawn = layers.coloured(state, name)
        if drawn.table is None and not drawn.pending:
            app.say(f"No layer “{layers.NAMED[name].title}”: {drawn.reason}.", 5.0)
        elif name != state.layer:
            state.layer, state.scale_lock = name, None


@command("more")
def _more(app: App, _: str) -> None:
    state = app.state
    if _closed(app, "more"):
        return
    entries = layers.entries(state)
    state.menu = Menu("more", entries, [key for key, _ in entries].index(state.layer))


@command("view")
def _look_at(app: App, words: str) -> None:
    """``view:zoom,row,column``: every change of the view ends here."""
    zoom, row, column = (float(word) for word in words.split(","))
    if app.state.model is not None and math.isfinite(zoom + row + column):
        app.state.view = view.View(zoom, row, column) if zoom > 1.0 else view.WHOLE


def look_at(app: App, seen: view.View) -> None:
    """See a part of the world, as a command that a session can give again."""
    if seen != app.state.view:
        app.do(f"view:{seen.zoom!r},{seen.row!r},{seen.column!r}")


def _region(app: App) -> tuple[Any, pygame.Rect, bool]:
    """The model, and the region that its map is laid out in: of a race the lane's under the pointer."""
    region, legend = app.scene.area_at(app.input.pointer)
    return app.state.model, region, legend


@command("zoom")
def _zoom(app: App, way: str) -> None:
    """In or out, at the pointer where it is on the map."""
    if app.state.model is None:
        return
    pointer = app.input.pointer
    over = pointer is not None and app.scene.spot_at(*pointer) is not None
    at = pointer if over else None
    factor = view.STEP if way == "in" else 1 / view.STEP
    look_at(app, view.zoomed(*_region(app), app.state.view, factor, at))


@command("wheel")
def _wheel(app: App, notches: str) -> None:
    """So many notches in, at the pointer."""
    pointer = app.input.pointer
    if app.state.model is not None and pointer is not None and app.scene.regions.map.collidepoint(pointer):
        look_at(app, view.zoomed(*_region(app), app.state.view, view.STEP ** float(notches), pointer))


@command("fit")
def _fit(app: App, _: str) -> None:
    look_at(app, view.WHOLE)


@command("pan")
def _pan(app: App, way: str) -> None:
    """By a third of what is seen, in a direction; or by pixels, as in ``pan:12,-3``."""
    if app.state.model is None:
        return
    place = app.scene.map_place
    ways = {"left": (1, 0), "right": (-1, 0), "up": (0, 1), "down": (0, -1)}
    if way in ways:
        dx, dy = ways[way][0] * place.width / 3, ways[way][1] * place.height / 3
    else:
        dx, dy = (float(word) for word in way.split(","))
    look_at(app, view.moved(*_region(app), app.state.view, dx, dy))


def go_to(app: App, x: float, y: float) -> None:
    """See what lies at a point of the minimap."""
    rows, columns = shape_of(app.state.model)
    spot = mapview.minimap_place(app.state.model, app.scene.map_place, app.scene.regions.map)
    row, column = (y - spot.top) / spot.height * rows, (x - spot.left) / spot.width * columns
    look_at(app, view.centred(*_region(app), app.state.view, row, column))


@command("scale")
def _lock_scale(app: App, _: str) -> None:
    state = app.state
    scale = raceview.scale_of(state) if state.lanes else mapview.scale_of(state)
    state.scale_lock = scale if state.scale_lock is None else None


@command("drawer")
def _drawer(app: App, side: str) -> None:
    if app.width < bar.DRAWERS:
        app.state.drawer = "" if app.state.drawer == side else side


@command("theme")
def _theme(app: App, _: str) -> None:
    app.state.theme = "light" if app.state.theme == "dark" else "dark"


@command("larger")
def _larger(app: App, _: str) -> None:
    _rescale(app, min((s for s in scaling.SCALES if s > app.scene.scale + 1e-6), default=scaling.SCALES[-1]))


@command("smaller")
def _smaller(app: App, _: str) -> None:
    _rescale(app, max((s for s in scaling.SCALES if s < app.scene.scale - 1e-6), default=scaling.SCALES[0]))


@command("usual size")
def _usual_size(app: App, _: str) -> None:
    _rescale(app, scaling.usual(app.size))


def _rescale(app: App, scale: float) -> None:
    app.rescale(scale)
    if app.scene.scale < scale:
        app.say("The window has no room for larger letters: make it larger first.")
        app.rescale(app.scene.scale)
    else:
        app.say(f"Letters at {100 * scale:.0f} %. Ctrl 0 is as at first.")


@command("record")
def _record(app: App, _: str) -> None:
    app.wants_recording = True


@command("session")
def _session(app: App, _: str) -> None:
    app.wants_session = True


@command("screenshot")
def _screenshot(app: App, _: str) -> None:
    app.wants_screenshot = True


@command("help")
def _help(app: App, _: str) -> None:
    app.state.help, app.state.menu = not app.state.help, None


@command("escape")
def _escape(app: App, _: str) -> None:
    """Close what lies on top; with nothing open, the window."""
    state = app.state
    if app.painter.stroking:
        app.painter.cancel()
    elif state.help:
        state.help = False
    elif state.menu is not None:
        state.menu = None
    elif state.ring:
        state.ring = ""
    elif state.mode != "look":
        state.mode = "look"
        app.painter.cancel()
    elif state.pinned is not None:
        _unpin(app, "")
    elif state.drawer:
        state.drawer = ""
    elif state.lesson:
        _lesson(app, "end")
    elif (unsaved := app.painter.unsaved) and not app.warned:
        app.warned = True
        app.say(f"{unsaved[0]} is not saved: Ctrl+S saves it, Esc again closes the window.", 8.0)
    else:
        app.running = False


# --- painting ---------------------------------------------------------------------------------------------------------


@command("paint")
def _paint(app: App, _: str) -> None:
    if app.state.mode == "paint":
        app.state.mode = "look"
        app.painter.cancel()
    else:
        app.painter.begin()


@command("brush")
def _brush(app: App, key: str) -> None:
    app.painter.choose(key)


@command("next brush")
def _next_brush(app: App, by: str) -> None:
    app.painter.next_brush(int(by))


def _way(argument: str) -> tuple[int, int]:
    rows, _, columns = argument.partition(",")
    return int(rows), int(columns)


@command("cursor")
def _cursor(app: App, by: str) -> None:
    app.painter.point(_way(by))


@command("draw")
def _draw(app: App, by: str) -> None:
    before = app.state.cursor
    app.painter.point(_way(by))
    cells = [cell for cell in (before, app.state.cursor) if cell is not None]
    if cells:
        app.painter.paint(cells)


@command("dab")
def _dab(app: App, _: str) -> None:
    if app.state.cursor is not None:
        app.painter.paint([app.state.cursor])


@command("rub")
def _rub(app: App, _: str) -> None:
    if app.state.cursor is not None:
        app.painter.paint([app.state.cursor], "floor")


@command("undo")
def _undo(app: App, _: str) -> None:
    app.painter.undo()


@command("redo")
def _redo(app: App, _: str) -> None:
    app.painter.redo()


@command("save")
def _save(app: App, _: str) -> None:
    app.painter.save()


@command("new")
def _new(app: App, _: str) -> None:
    rows, columns = app.state.map_size or (8, 8)
    app.painter.new(min(rows, 40), min(columns, 40))


# --- driving ----------------------------------------------------------------------------------------------------------


@command("drive")
def _drive(app: App, _: str) -> None:
    app.driver.toggle()


@command("go")
def _go(app: App, way: str) -> None:
    app.driver.go(way)


@command("digit")
def _digit(app: App, digit: str) -> None:
    """A number key while driving: where no action has it, that of its layer."""
    if not app.driver.digit(digit) and digit != "0":
        _show_layer(app, layers.LAYERS[int(digit) - 1].name)


@command("take")
def _take(app: App, action: str) -> None:
    """An action by its number; without one that which was chosen, or Enter where none is."""
    if action:
        app.driver.take(int(action))
    elif not app.driver.enter():
        _act(app, "")


# --- the keyboard's ring ----------------------------------------------------------------------------------------------


@command("value")
def _value(app: App, slider: str) -> None:
    """Type the number of a slider."""
    entering.begin(app, slider)


@command("focus")
def _focus(app: App, by: str) -> None:
    app.input.move_ring(int(by))


# --- the inspector ----------------------------------------------------------------------------------------------------


@command("section")
def _section(app: App, name: str) -> None:
    """Write out another part of what there is to a cell; without a name the next one."""
    state = app.state
    offered = inspector.sections(state)
    present = offered.index(state.section) if state.section in offered else 0
    state.section = name if name in offered else offered[(present + 1) % len(offered)]


@command("term")
def _pin_term(app: App, words: str) -> None:
    """``term:number:state``: pin the cell that a term was read from."""
    state = words.partition(":")[2]
    if state:
        app.state.pinned, app.state.inspected = int(state), None


@command("unpin")
def _unpin(app: App, _: str) -> None:
    app.state.pinned = app.state.inspected = None


@command("action")
def _inspect_action(app: App, action: str) -> None:
    state = app.state
    state.inspected = None if state.inspected == int(action) else int(action)
