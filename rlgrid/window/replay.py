"""Replays of sessions: time passes in frames of equal length, and the engine stands in each where the session stood.

In a frame the engine obeys what the log has up to its second, each command at its count, and then runs on to the count
that the pace has there. It is the patient engine, which waits for everything; nothing depends on the machine. So the
frames are a function of the file and of the window's size, headless and on a screen alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pygame

from rlgrid.window import scaling, view
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink
from rlgrid.window.places import place_of_text
from rlgrid.window.session import MOST_SECONDS, Session, SessionError, check_settings

if TYPE_CHECKING:
    from rlgrid.window.scenario import Scenario

RATE = 20.0  # frames a second
SLICE = 0.05  # seconds of a long stretch, after which it can be ended
LATE = 4  # frames that are made up for at a time where a machine is too slow
LINGER = 1.0  # seconds that the last frame is seen as it was
OVER, HELD = "The replay is over. Esc closes it.", "The replay is held. Space goes on, Esc ends it."


class Ended(Exception):
    """Whoever watches has ended the replay in the middle of a stretch."""


class ReplayLink(LocalLink):
    """The engine of a replay: it runs to counts, and obeys the log and nobody else.

    ``reach`` is the furthest count of the session: no step goes beyond. ``ended`` is asked between the slices of a
    long stretch.
    """

    def __init__(self, reach: int = 0) -> None:
        super().__init__()
        self.reach = reach
        self.ended: Callable[[], bool] = lambda: False

    def send(self, name: str, *rest: Any) -> None:
        """What the app asks for by itself is in the log, if it happened; but for the lane that it looks into."""
        if name == "select":
            LocalLink.send(self, name, *rest)

    def obey(self, count: int, name: str, rest: tuple[Any, ...]) -> None:
        """A command of the log, at its count."""
        self._go_to(count)
        if name == "step" and rest and isinstance(rest[0], int) and rest[0] > 1:  # a file may ask for any number
            LocalLink.send(self, name, 1)
            self._go_to(min(count + rest[0], self.reach))
            self.show()
        else:
            LocalLink.send(self, name, *rest)

    def pass_frame(self, count: int, seconds: float, playing: bool) -> None:
        """Let time pass, up to a count, and say how things stand."""
        self.time += seconds
        self._go_to(count)
        if self.engine is not None:
            if playing:
                self.engine.walk(seconds)
            self.show()

    def _go_to(self, count: int) -> None:
        """Run on, in slices: where they end changes nothing of the run."""
        units = 64
        while self.engine is not None and (before := self.engine.count) < count:
            began = time.perf_counter()
            try:
                self.engine.run_to(min(count, before + units))
            except Exception as error:
                self.fail(error)
                return
            if self.engine.count <= before:  # there is nothing left to compute
                return
            if time.perf_counter() - began < SLICE:
                units *= 2
            if self.ended():
                raise Ended


class Replay:
    """A session being replayed: an app that is led through it frame by frame.

    Args:
        session: of a file or of a recorder.
        size: (width, height) in pixels; None is that of the session, whose changes are then followed too.
    """

    def __init__(self, session: Session, size: tuple[int, int] | None = None) -> None:
        self.session, self._own_size = session, size is None
        self.link = ReplayLink(max((row[1] for row in (*session.log, *session.pace)), default=0))
        self.app = App(self.link, size or session.size, clock=self.link.clock)
        self.app.rescale(scaling.usual(self.app.size))
        self.frames = max(1, math.ceil(session.seconds * RATE))
        self.frame = 0
        self._next = 0  # entry of the log
        self._paced = 0  # points of the pace that lie behind
        self._at = (0.0, 0)  # the last point that was passed: seconds, count

    @property
    def over(self) -> bool:
        """Whether the last frame was shown."""
        return self.frame >= self.frames

    def step(self) -> None:
        """Lead the app on by one frame.

        Raises:
            SessionError: if the session cannot be replayed here.
        """
        self.frame += 1
        now = self.frame / RATE
        log = self.session.log
        while self._next < len(log) and log[self._next][0] <= now:
            self._do(log[self._next])
            self._next += 1
        self.link.pass_frame(self._count(now), 1.0 / RATE, self.app.state.playing)
        self.app.update()
        self.app.update()  # takes the answers to what the first one asked
        if self.app.state.error and not any(entry[2] == "load" for entry in log[self._next :]):  # nothing runs any more
            raise SessionError(f"the session cannot be replayed: {self.app.state.error}")

    def _count(self, now: float) -> int:
        """The count at a second: between two points of the pace, or of the log, as many as the time asks for."""
        pace = self.session.pace
        while self._paced < len(pace) and pace[self._paced][0] <= now:
            if pace[self._paced][0] >= self._at[0]:
                self._at = (pace[self._paced][0], pace[self._paced][1])
            self._paced += 1
        began, count = self._at
        following = [rows[place] for rows, place in ((pace, self._paced), (self._commands(), 0)) if place < len(rows)]
        if not following:
            return count
        then, goal = min((row[0], row[1]) for row in following)
        if then <= began or goal <= count:
            return count
        return count + int((goal - count) * (now - began) / (then - began))

    def _commands(self) -> list[list[Any]]:
        """The next command of the run, if there is one before another run begins."""
        for entry in self.session.log[self._next : self._next + 1000]:
            if entry[2] not in ("look", "lesson"):
                return [] if entry[2] == "load" else [entry]
        return []

    def _do(self, entry: list[Any]) -> None:
        seconds, count, name, *rest = entry
        app = self.app
        if name == "look":
            for key, value in rest[0].items():
                if key not in ("size", "scale"):
                    setattr(app.state, key, self._there(key, value))
                elif self._own_size and key == "size":
                    app.resize(value)
                elif self._own_size:
                    app.rescale(value)
            if "notice" in rest[0] and app.state.notice:
                app.say(app.state.notice, MOST_SECONDS)
            return
        if name == "lesson":
            app.state.taught = rest[0]
            return
        if name == "load":
            self._load(*rest)
        else:
            self._at = (seconds, count)
            self.link.obey(count, name, tuple(rest))
        engine = self.link.engine
        self._at = (seconds, 0 if engine is None else engine.count)

    def _there(self, key: str, value: Any) -> Any:
        """What is looked at, if the world has it."""
        model = self.app.state.model
        if key == "view" and model is not None:
            region, legend = self.app.scene.area_at(None)
            return view.clamped(model, region, legend, value)
        ends = {"hover": "num_states", "pinned": "num_states", "inspected": "num_actions"}
        if key == "brush" and value not in [brush.key for brush in self.app.state.palette]:
            return self.app.state.brush
        if key in ends and value is not None and (model is None or not 0 <= value < getattr(model, ends[key])):
            return None
        return value

    def _load(self, scenario: Scenario, playing: bool, speed: float) -> None:
        place = place_of_text(scenario.world, scenario.map_text)
        try:
            check_settings(scenario, place.model)
        except (ValueError, TypeError) as error:
            raise SessionError(f"the session cannot be replayed: {error}") from error
        self.app.state.playing = playing
        self.app.open(place, scenario.agent, speed, scenario.settings, scenario.seed, scenario.rivals)

    def pictures(self) -> Iterator[pygame.Surface]:
        """All frames, one after the other; each is the same surface or another one."""
        try:
            while not self.over:
                self.step()
                yield self.app.draw()
        finally:
            self.link.close()


class OnScreen:
    """A replay in a window, as fast as the session was; Space holds it, Esc ends it.

    It has what `rlgrid.window.launch` needs of an app.
    """

    def __init__(self, replay: Replay, clock: Callable[[], float] = time.perf_counter) -> None:
        self.replay, self._clock = replay, clock
        self.running, self.held = True, False
        self.wants_screenshot = self.wants_recording = self.wants_session = False
        self.scene, self.state, self.say = replay.app.scene, replay.app.state, replay.app.say
        replay.link.ended = self._ended
        self._shown_at: float | None = None
        self._over_at: float | None = None
        self._notice = ""  # what was said when it was held
        self.first_tables: float | None = None

    @property
    def animating(self) -> bool:
        """Whether frames follow by themselves."""
        return not self.held and not self.replay.over

    @property
    def hurried(self) -> bool:
        """Whether no frame may be left out: none of a film."""
        return self.animating

    def update(self) -> None:
        """Go on to the frame that is due."""
        now = self._clock()
        if self.replay.over:
            self._over_at = now if self._over_at is None else self._over_at
            if now - self._over_at >= LINGER:
                self.state.notice = OVER
        if self._shown_at is None or not self.animating:
            self._shown_at = now
            if self.replay.frame:
                return
            self._shown_at -= 1.0 / RATE
        due = min(LATE, int((now - self._shown_at) * RATE + 1e-9))
        self._shown_at = now if due == LATE else self._shown_at + due / RATE
        with suppress(Ended):
            for _ in range(due):
                if not self.replay.over:
                    self.replay.step()

    def _ended(self) -> bool:
        """Whether it was ended in the meantime."""
        if pygame.display.get_init():
            for event in pygame.event.get((pygame.QUIT, pygame.KEYDOWN)):
                self.handle(event)
        return not self.running

    def draw(self) -> pygame.Surface:
        """The present frame."""
        return self.replay.app.draw()

    def handle(self, event: pygame.event.Event) -> None:
        """One event: what is replayed is not changed by any."""
        if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
            self.running = False
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_SPACE:
            self.held = not self.held
            if self.held:
                self._notice, self.state.notice = self.state.notice, HELD
            else:  # the frames are those of the session again
                self.state.notice = self._notice
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_p:
            self.wants_screenshot = True
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_g:
            self.wants_recording = True
