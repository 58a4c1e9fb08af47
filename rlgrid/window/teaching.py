"""A lesson in the window: the panel at the right tells a scene, asks, and runs what follows when the viewer has chosen.

`Teacher` gives the commands of `rlgrid.window.lessons` to the app one after the other, each when the one before is
done, so that what is watched is what the tests of the lessons check. `paint` draws the panel from `State.lesson`, which
says in a few words where the lesson stands: "4-cliff:2:told:1" is its second scene, told, where 1 was predicted.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pygame

from rlgrid.layout import Layout, state_at
from rlgrid.theme import RGB, Theme
from rlgrid.window import lessons, scaling, shapes, text
from rlgrid.window.lessons import Command, Lesson, LessonError, Scene
from rlgrid.window.text import BODY, SMALL, TITLE
from rlgrid.window.tour import default_speed
from rlgrid.window.widgets import MARGIN, Canvas, smaller

if TYPE_CHECKING:
    from rlgrid.window.app import App
    from rlgrid.window.state import State

LINE = 18  # pixels from one line of text to the next
SMALLER = (1.0, 0.9, 0.8, 0.72)  # sizes of letters that are tried one after the other
LOW = 430  # pixels of height below which only what is needed is told
PATIENCE = 1.0  # seconds in which a planner that has work again would have said so
PHASES = ("asking", "showing", "told", "returning")
RUNS = ("run", "episodes", "change", "reset")  # commands of which nothing is left where another agent begins


@dataclass(frozen=True)
class Told:
    """Where a lesson stands: its scene, counted from 1, one of `PHASES`, and the answer that was chosen, or 0."""

    lesson: Lesson
    number: int
    phase: str
    chosen: int

    @property
    def scene(self) -> Scene:
        """What is told at present."""
        return self.lesson.scenes[self.number - 1]


@cache
def _known(name: str) -> Lesson | None:
    """A lesson of the package; None where there is none of this name."""
    try:
        return None if name.endswith(".toml") else lessons.lesson(name)  # which files are read, no session says
    except LessonError:
        return None


def told(words: str, own: Lesson | None = None) -> Told | None:
    """`State.lesson` read; None where it names no scene, neither of the lesson ``own`` nor of one of the package."""
    name, _, rest = words.partition(":")
    number, _, rest = rest.partition(":")
    phase, _, chosen = rest.partition(":")
    if phase not in PHASES or not (number.isdecimal() and chosen.isdecimal()):
        return None
    lesson = own if own is not None and own.name == name else _known(name)
    if lesson is None or not 1 <= int(number) <= len(lesson.scenes):
        return None
    return Told(lesson, int(number), phase, int(chosen))


def present(state: State) -> Told | None:
    """Where the lesson stands that is given; None without one."""
    return told(state.lesson, state.taught) if state.lesson else None


def marks(state: State) -> list[tuple[str, int, int]]:
    """(words, row, column) of the cells that the present scene speaks of."""
    now = present(state)
    return [] if now is None else list(now.scene.marks)


def pointed(state: State) -> tuple[str, ...]:
    """The names of the curves that the lesson speaks of at present."""
    now = present(state)
    return () if now is None or now.phase != "told" else now.scene.points


@dataclass
class _Awaited:
    """What must be so before the next command: a count of units, or of episodes.

    A planner may have nothing left to do. That it says so counts once the worker has heard the command: what it said
    before was of another world.
    """

    count: int = 0
    episodes: int = 0
    heard: tuple[int, float] | None = None  # `State.stamp` and the second at which the command had been heard

    def met(self, state: State, now: float) -> bool:
        """Whether it is so."""
        shot = state.snapshot
        if shot.count < self.count:
            return (
                shot.finished
                and self.heard is not None
                and (state.stamp > self.heard[0] or now - self.heard[1] > PATIENCE)
            )
        return shot.episodes >= self.episodes


class Teacher:
    """Gives one lesson in a window."""

    def __init__(self, app: App, lesson: Lesson) -> None:
        self._app, self.lesson = app, lesson
        self._number = 0
        self._phase = "asking"
        self._chosen = 0
        self._queue: deque[Command] = deque()
        self._awaited: _Awaited | None = None
        self._count = self._episodes = 0  # units and episodes at which the next command is given
        app.state.taught = lesson
        self._curves = app.state.curves  # as the viewer had chosen them
        self.acting = False  # whether what the app is told comes from the lesson, not from the viewer
        self._open(lesson.world, lesson.agent, dict(lesson.settings))
        self._enter(0)

    # --- what the viewer does ---------------------------------------------------------------------------------------

    @property
    def asking(self) -> int:
        """How many answers there are to choose from at present; 0 where none is asked for."""
        return len(self._scene.choices) if self._phase == "asking" and self._scene.ask else 0

    def choose(self, number: int) -> None:
        """The viewer predicts, and sees what happens."""
        if 1 <= number <= self.asking:
            self._chosen = number
            self._show()

    def next(self) -> None:
        """On to the next scene; after the last one the lesson ends, and the world is the viewer's."""
        if self._phase != "told":
            return
        if self._number + 1 < len(self.lesson.scenes):
            self._enter(self._number + 1)
        else:
            self.end()
            self._app.say("That was the lesson. The world is yours to change now; F2 has the other lessons.", 8.0)

    def back(self) -> None:
        """To the question of this scene, or, where it is being asked or there is none, to the scene before."""
        if self._phase != "returning":
            asked = self._phase != "asking" and bool(self._scene.ask)
            self._return(self._number if asked else max(0, self._number - 1))

    def again(self) -> None:
        """The lesson from its beginning."""
        self._app.teach(self.lesson)

    def end(self) -> None:
        """Leave the lesson; the world stays as it is."""
        if self._awaited is not None:
            self._app.do("until:nothing")
        state = self._app.state
        self._app.teacher, state.lesson, state.taught, state.curves = None, "", None, self._curves

    # --- giving the commands ----------------------------------------------------------------------------------------

    @property
    def _scene(self) -> Scene:
        return self.lesson.scenes[self._number]

    def _enter(self, number: int) -> None:
        self._number, self._chosen = number, 0
        scene = self.lesson.scenes[number]
        self._queue.extend(scene.do)
        self._phase = "asking"
        if not scene.ask:
            self._show()
        self._tell()

    def _return(self, number: int) -> None:
        """Begin again, and run at once all that comes before a scene."""
        if self._awaited is not None:
            self._app.do("until:nothing")
        before = [command for scene in self.lesson.scenes[:number] for command in scene.do + scene.show]
        last = max((n for n, command in enumerate(before) if command[0] in ("agent", "world")), default=0)
        self._queue.clear()
        for n, command in enumerate(before):
            if n >= last or command[0] not in RUNS:
                self._queue.append(("run", command[1], math.inf) if command[0] == "run" else command)
        self._number, self._chosen, self._phase = number, 0, "returning"
        self._app.state.curves = self._curves
        self._open(self.lesson.world, self.lesson.agent, dict(self.lesson.settings))
        self._tell()

    def _show(self) -> None:
        self._phase = "showing"
        self._queue.extend(self.lesson.scenes[self._number].show)
        self._tell()

    def update(self) -> None:
        """Give the commands that are due."""
        self._go_on()
        while self._queue and self._done():
            self.acting = True
            self._give(self._queue.popleft())
            self.acting = False
        if self._phase == "showing" and not self._queue and self._done():
            self._phase = "told"
            self._tell()
        elif self._phase == "returning" and not self._queue and self._done():
            self._app.set_speed(default_speed(self._app.state.agent))
            self._enter(self._number)

    def _go_on(self) -> None:
        """Await the count again where the viewer has walked back on the way to it and plays on."""
        state, awaited = self._app.state, self._awaited
        if awaited is None or awaited.heard is None or state.awaited or not state.playing:
            return
        if state.snapshot.count < awaited.count and not state.snapshot.finished:
            awaited.heard = None
            self._app.do(f"until:count reaches {awaited.count}")

    def _done(self) -> bool:
        """Whether what was begun last has ended."""
        app = self._app
        if self._awaited is not None and self._awaited.met(app.state, app.clock()):
            self._awaited, shot = None, app.state.snapshot
            self._count, self._episodes = shot.count, shot.episodes
            if app.state.awaited:  # a planner that had nothing left to do still awaits its count
                app.do("until:nothing")
            if app.state.playing:
                app.do("play")
        return self._awaited is None

    def heard(self, command: str) -> None:
        """The worker has obeyed a command of this name."""
        if command == "until" and self._awaited is not None:
            self._awaited.heard = (self._app.state.stamp, self._app.clock())

    def _give(self, command: Command) -> None:
        app, state = self._app, self._app.state
        name, *rest = command
        if name == "agent":
            self._open(state.world, rest[0], dict(rest[1]) if len(rest) > 1 else {})
        elif name == "world":
            self._open(rest[0], state.agent, {})
        elif name in ("run", "episodes"):
            if state.snapshot.count != self._count:  # the viewer has taken steps meanwhile
                app.link.send("seek", self._count)
            self._run(name, *rest)
        elif name == "change":
            app.change(*rest)
        elif name == "reset":
            app.do("start:lesson")
            self._count = self._episodes = 0
        elif name == "layer" and state.layer != rest[0]:
            app.do(f"layer:{rest[0]}")
        elif name == "curves":
            state.curves = tuple(rest[0])
        elif name == "pin":
            state.pinned = state_at(state.model, *rest)
        elif name == "unpin":
            state.pinned = None

    def _run(self, name: str, number: int, speed: float | None = None) -> None:
        app, state = self._app, self._app.state
        if name == "episodes":
            self._awaited = _Awaited(episodes=self._episodes + number)
            for _ in range(number):
                app.link.send("episode")
            return
        self._awaited = _Awaited(count=self._count + number)
        app.set_speed(default_speed(state.agent) if speed is None else float(speed))
        app.do(f"until:count reaches {self._awaited.count}")

    def _open(self, world: str, agent: str, settings: dict[str, object]) -> None:
        app = self._app
        self.acting = True
        app.state.playing = False
        app.open(world, agent, settings=settings, seed=self.lesson.seed)
        self.acting = False
        self._awaited, self._count, self._episodes = None, 0, 0

    def _tell(self) -> None:
        self._app.state.lesson = f"{self.lesson.name}:{self._number + 1}:{self._phase}:{self._chosen}"


# --- the panel --------------------------------------------------------------------------------------------------------


def paint(canvas: Canvas, state: State) -> None:
    """Draw the present scene of the lesson over the whole canvas; where it has no room, in smaller letters."""
    now = present(state)
    assert now is not None
    for part in SMALLER:
        trial = Canvas(canvas.surface, canvas.theme)
        with smaller(trial, part) as small:
            fits = _panel(small, now) <= small.rect.bottom
        if fits or part == SMALLER[-1]:
            break
    with smaller(canvas, part) as small:
        _panel(small, now)


def _panel(canvas: Canvas, now: Told) -> int:
    """The scene; where it ends."""
    theme, area, scene = canvas.theme, canvas.rect, now.scene
    canvas.surface.fill(theme.panel)
    canvas.hairline(0, 0, 0, area.bottom)
    left, right = MARGIN, area.width - MARGIN
    wide = right - left
    low = area.height < LOW
    gap = 4 if low else 14
    leave = canvas.text("leave the lesson", right, 27, theme.second, SMALL, align="right")
    canvas.control("lesson:end", leave.inflate(8, 8), tip="the world stays as it is (Esc)")
    if now.number > 1 or now.phase in ("showing", "told"):
        back = canvas.text("go back", leave.left - 18, 27, theme.second, SMALL, align="right")
        canvas.control("lesson:back", back.inflate(8, 8), tip="to the question, or to the scene before (Backspace)")
    canvas.text(f"Lesson, {now.number} of {len(now.lesson.scenes)}", left, 27, theme.muted, SMALL)
    y = _lines(canvas, now.lesson.title, left, 52, wide, theme.text, TITLE, bold=True, step=20)
    if not low:
        y = _lines(canvas, now.lesson.about, left, y + 4, wide, theme.muted, SMALL, step=15)
    if not low or now.phase == "asking" or not scene.ask:  # where there is little room, what was said makes way
        y = _lines(canvas, scene.say, left, y + gap, wide, theme.text)
    if now.phase == "returning":
        return _lines(canvas, "Going back to where this scene begins.", left, y + gap + 4, wide, theme.accent)
    if scene.ask:
        y = _lines(canvas, scene.ask, left, y + gap, wide, theme.text, bold=True)
        for number, words in enumerate(scene.choices, 1):
            y = _choice(canvas, now, number, words, pygame.Rect(left, y, wide, 0)) + 4
    if now.phase == "showing":
        y = _lines(canvas, "Watch what happens.", left, y + gap + 4, wide, theme.accent)
    elif now.phase == "told":
        y = _lines(canvas, scene.then, left, y + gap + 4, wide, theme.text)
        words = "Next (Enter)" if now.number < len(now.lesson.scenes) else "Try for yourself"
        canvas.button("lesson:next", words, pygame.Rect(left, y, 132, 28), filled=True, tip="Enter")
        y += 32
    return y


def paint_marks(surface: pygame.Surface, state: State, place: pygame.Rect, view: Layout, theme: Theme) -> None:
    """Frame the cells that the present scene speaks of, each with its words at its edge."""
    cells = []
    for words, row, column in marks(state):
        if view.cell >= 4:
            left, top, right, bottom = view.rect(row, column)
            cells.append((words, pygame.Rect(place.left + left, place.top + top, right - left, bottom - top)))
    taken = [cell for _, cell in cells]
    for words, cell in cells:
        thick = 2.5 * scaling.letters()
        shapes.frame(surface, cell.inflate(2, 2), theme.background, 4, 2 * thick)
        shapes.frame(surface, cell.inflate(2, 2), theme.text, 4, thick)
        if words:
            badge = _beside(cell, text.width(words, SMALL, bold=True) + 10, taken, surface.get_clip())
            taken.append(badge)
            shapes.box(surface, badge, theme.text, 4, theme.background)
            text.draw(surface, words, *badge.center, theme.background, SMALL, bold=True, align="center")


def _beside(cell: pygame.Rect, width: int, taken: list[pygame.Rect], area: pygame.Rect) -> pygame.Rect:
    """Where the words of a mark stand: at the upper edge of a cell that has room for them, else beside it."""
    badge = pygame.Rect(0, 0, width, round(16 * scaling.letters()))
    badge.midtop = (cell.centerx, cell.top - 2)
    if badge.width <= cell.width - 8 and badge.height <= 0.4 * cell.height:
        return badge
    spots = [badge.copy() for _ in range(4)]
    spots[0].midbottom, spots[1].midtop = cell.midtop, cell.midbottom
    spots[2].midright, spots[3].midleft = cell.midleft, cell.midright
    free = [spot for spot in spots if area.contains(spot) and spot.collidelist(taken) < 0]
    return free[0] if free else spots[0].clamp(area)


def _choice(canvas: Canvas, now: Told, number: int, words: str, rect: pygame.Rect) -> int:
    """One answer; the lower end of its box. What was chosen and what was right are told by words and a mark."""
    theme = canvas.theme
    asking, decided = now.phase == "asking", now.phase == "told"
    right, chosen = number == now.scene.answer, number == now.chosen
    verdict = ""
    if decided and right:
        verdict = "so it is, as you said" if chosen else "so it is"
    elif chosen:
        verdict = "you said" if decided else "your prediction"
    room = rect.width - 44 - (text.width(verdict, SMALL, bold=True) + 10 if verdict else 0)
    lines = text.wrap(words, room, BODY)
    rect = pygame.Rect(rect.left, rect.top, rect.width, 12 + LINE * len(lines))
    name = f"lesson:{number}"
    border = theme.hairline
    if decided and right:
        border = theme.goal
    elif chosen:
        border = theme.accent
    elif asking and canvas.hovered == name:
        border = theme.muted
    shapes.box(canvas.surface, rect, theme.raised, 6, border)
    ink = theme.text if asking or right or chosen else theme.muted
    canvas.text(str(number), rect.left + 12, rect.top + 15, theme.muted, mono=True)
    for place, line in enumerate(lines):
        canvas.text(line, rect.left + 32, rect.top + 15 + LINE * place, ink)
    if verdict:
        canvas.text(verdict, rect.right - 10, rect.top + 15, border, SMALL, bold=True, align="right")
    if asking:
        canvas.control(name, rect, tip=f"{number} on the keyboard")
    return rect.bottom


def _lines(
    canvas: Canvas,
    words: str,
    x: int,
    y: int,
    wide: int,
    colour: RGB,
    size: float = BODY,
    *,
    bold: bool = False,
    step: int = LINE,
) -> int:
    """Draw a paragraph from the middle of its first line at ``y``; where the next one may begin."""
    for line in text.wrap(words, wide, size, bold=bold):
        canvas.text(line, x, y, colour, size, bold=bold)
        y += step
    return y
