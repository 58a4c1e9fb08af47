"""The window's behaviour: events in, commands out, and the picture of what the worker has answered.

`App` knows no display: events are handed to it, and it draws its state on a surface. So tests send synthetic events,
the recorder runs it in time steps of equal length, and `rlgrid.window.launch` puts it on a screen. What it does lies
in three modules: `rlgrid.window.events` (keys and the pointer), `rlgrid.window.commands` (what is asked for) and
`rlgrid.window.inbox` (what the worker answers).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import pygame

from rlgrid.window import bar, commands, inspector, plots, scaling
from rlgrid.window.driving import Driver
from rlgrid.window.events import Input
from rlgrid.window.inbox import Inbox
from rlgrid.window.lessons import Lesson
from rlgrid.window.painting import Painter
from rlgrid.window.places import Made, Place, find_place, made_place
from rlgrid.window.race import Race
from rlgrid.window.scenario import Scenario
from rlgrid.window.scene import SMALLEST, Scene
from rlgrid.window.session import Recorder
from rlgrid.window.state import State
from rlgrid.window.teaching import Teacher
from rlgrid.window.tour import Tour, default_speed, plain_line

NOTICE = 3.0  # seconds


class LinkLike(Protocol):
    """What the app needs of its worker."""

    run: int

    def load(self, scenario: Scenario, playing: bool, speed: float) -> None:
        """Run a scenario."""

    def send(self, name: str, *rest: Any) -> None:
        """A command of the run."""

    def inspect(self, state: int, deeply: bool = False) -> None:
        """Ask for the outcomes of a state, and for what is seen of it."""

    def receive(self) -> list[tuple[Any, ...]]:
        """What came in."""

    def close(self) -> None:
        """End."""


class App:
    """The window's behaviour.

    Args:
        link: the worker, or something that stands for it.
        size: of the window in pixels.
        clock: seconds, of real or of simulated time.
        tour: begin with the tour.
    """

    def __init__(
        self,
        link: LinkLike,
        size: tuple[int, int] = (1280, 800),
        *,
        theme: str = "dark",
        clock: Callable[[], float] = time.perf_counter,
        tour: bool = False,
        seed: int = 0,
    ) -> None:
        self.link, self.size, self.clock, self._seed = link, size, clock, seed
        self.state = State(theme=theme)
        self.scene = Scene()
        self.input = Input(self)
        self.race = Race(self)
        self.inbox = Inbox(self)
        self.painter = Painter(self)
        self.driver = Driver(self)
        self.recorder = Recorder(self)
        self.running = True
        self.warned = False  # that a painted map is not saved
        self.tour: Tour | None = Tour() if tour else None
        self.teacher: Teacher | None = None
        self.wants_screenshot = False
        self.wants_session = False  # the session saved
        self.wants_recording = False
        self.place: Place | None = None
        self.scenario: Scenario | None = None
        self.custom: list[Place] = []  # worlds that are not built in
        self.made: dict[str, Place] = {}  # the last one of each generator
        self.before_full = 0.0  # the speed that full speed took the place of
        self._notice_until = 0.0
        self._last = clock()

    # --- what is run ------------------------------------------------------------------------------------------------

    def open(
        self,
        world: str | Place,
        agent: str,
        speed: float | None = None,
        settings: dict[str, Any] | None = None,
        seed: int | None = None,
        rivals: tuple[str, ...] = (),
    ) -> None:
        """Run an agent in a world, and ``rivals`` beside it in a race; the seed is the app's, if None."""
        from rlgrid.agents import AGENTS

        place = find_place(world) if isinstance(world, str) else world
        if self.teacher is not None and not self.teacher.acting:
            self.teacher.end()
        if place.made is not None:
            self.made[place.name] = place
        elif place.map_text is not None:
            self.keep(place)
        state = self.state
        if self.place is None or (place.name, place.model.num_states) != (self.place.name, self.place.model.num_states):
            state.pinned = state.hover = None
        self.place = place
        state.model, state.world, state.world_title, state.world_note = place.model, place.name, place.title, place.note
        state.scene = place.scene
        state.agent, state.agent_title = agent, AGENTS[agent]
        state.unit = "sweep" if agent == "value_iteration" else "step"
        state.parameters = []
        state.watched, state.making = False, place.made
        state.speed = min(map(default_speed, (agent, *rivals))) if speed is None else speed
        self.race.begin((agent, *rivals))
        self.painter.opened()
        warm = ("q_learning", "dqn") if self.tour is not None and agent == "value_iteration" else ()
        seed = self._seed if seed is None else seed
        self.start(Scenario(place.name, place.map_text, agent, seed, settings or {}, warm=warm, rivals=rivals))

    def teach(self, lesson: Lesson) -> None:
        """Begin a lesson; where the window is small, its panel comes out."""
        self.end_tour()
        state = self.state
        state.help, state.pinned, state.mode = False, None, "look"
        state.drawer = "right" if self.width < bar.DRAWERS else ""
        if self.teacher is not None:
            self.teacher.end()
        self.teacher = Teacher(self, lesson)
        self.recorder.lesson(lesson)

    def keep(self, place: Place) -> None:
        """Have a world that is not built in among those that can be chosen."""
        names = [known.name for known in self.custom]
        if place.name in names:
            self.custom[names.index(place.name)] = place
        else:
            self.custom.append(place)

    def make(self, made: Made) -> None:
        """Have a generator make another map."""
        try:
            place = made_place(made)
        except ValueError as error:
            self.say(str(error), 6.0)
            self.state.making = None if self.place is None else self.place.made
        else:
            self.end_tour()
            self.open(place, self.race.agents[0], rivals=self.race.rivals)

    def open_file(self, path: str) -> None:
        """Run the present agent in the world of a map file."""
        if self.state.watched:
            self.say("This window shows the environment and the agent of a script.")
            return
        try:
            place = find_place(path)
        except (ValueError, OSError) as error:
            self.say(str(error), 8.0)
        else:
            self.end_tour()
            self.open(place, self.race.agents[0] or "value_iteration", rivals=self.race.rivals)

    def resize(self, size: tuple[int, int]) -> None:
        """The window has another size."""
        self.size = (max(SMALLEST[0], size[0]), max(SMALLEST[1], size[1]))
        self.rescale(self.state.scale)

    def rescale(self, scale: float) -> None:
        """Letters and controls of another size; no larger than a window of this size has room for."""
        state = self.state
        state.scale = scale
        self.scene.scale = scaling.fitting(scale, self.size, SMALLEST)
        state.tip = None
        if self.width >= bar.DRAWERS:
            state.drawer = ""

    @property
    def width(self) -> int:
        """Of the window, in pixels of the layout."""
        return self.scene.layout_size(self.size)[0]

    def watch(self, pickled: bytes, model: Any, titles: tuple[str, str], unit: str, speed: float | None) -> None:
        """Run an environment and an agent of a script."""
        state = self.state
        state.model, state.world_title, state.agent_title = model, *titles
        state.scene = None
        state.world, state.agent, state.unit, state.watched = "", "watched", unit, True
        state.speed = (8.0 if unit == "sweep" else 1_000.0) if speed is None else speed
        self.start(Scenario(agent="", pickled=pickled, seed=self._seed))

    def start(self, scenario: Scenario) -> None:
        """Run a scenario from its beginning."""
        state = self.state
        state.clear_run()
        self.race.forget()
        state.error, state.scale_lock, state.doing = "", None, ""
        self.inbox.busy("starting")
        self.inbox.forget()
        self.painter.started()
        self.scenario = scenario
        self.recorder.run(scenario, state.playing, state.speed)
        self.link.load(scenario, state.playing, state.speed)

    def restart(self) -> None:
        """Run the scenario again after it has failed, with the numbers that were chosen."""
        if self.scenario is None:
            return
        self.state.playing = True
        chosen: list[tuple[str, Any]] = [(p.name, p.value) for p in self.state.parameters if p.changed]
        method = self.state.parameter("method")
        if method is not None and method.text == "Gauss-Seidel":
            chosen.append(("method", "gauss_seidel"))
        self.start(self.scenario)
        for name, value in chosen:
            self.race.send("change", name, value)

    # --- what is asked for ------------------------------------------------------------------------------------------

    def handle(self, event: pygame.event.Event) -> None:
        """One event of the keyboard, the pointer or the window."""
        self.input.handle(event)

    def do(self, command: str) -> None:
        """Obey a command of a key or a control."""
        commands.do(self, command)

    def pause(self) -> None:
        """Stop playing, if it plays."""
        if self.state.playing:
            self.do("play")

    def end_tour(self) -> None:
        """The user has chosen something: from now on nothing happens by itself."""
        self.tour = None

    def touched(self) -> None:
        """The run is about to be changed: if that is not a lesson's doing, what the lesson says may no longer hold."""
        if self.teacher is not None and not self.teacher.acting:
            self.teacher.end()
            self.say("You have changed the run, so the lesson ends here. F2 begins it again.", 8.0)

    def set_speed(self, speed: float) -> None:
        """Units a second."""
        self.state.speed = speed
        self.link.send("speed", speed)

    def change(self, name: str, value: Any, held: bool = False) -> None:
        """Change a parameter of the world or of the agent; ``held`` while a slider is dragged and more will come."""
        self.end_tour()
        self.touched()
        self.inbox.fade()
        self.race.send("change", name, value, held)

    def seek(self, where: int | str) -> bool:
        """Go to a count of the run, or one "unit", "update" or "episode" back; whether there was anything to go to."""
        state = self.state
        if state.timeline.why:
            self.say(f"This run cannot be walked back: {state.timeline.why}.", 5.0)
            return False
        if isinstance(where, int):
            where = min(max(where, state.timeline.earliest), max(state.timeline.head, state.snapshot.count))
            if where == state.snapshot.count:
                return False
        self.end_tour()
        self.pause()
        state.awaited = ""
        self.link.send("seek", where)
        return True

    def say(self, words: str, seconds: float = NOTICE) -> None:
        """Show a short message for a while."""
        self.state.notice, self._notice_until = words, self.clock() + seconds

    # --- keeping up -------------------------------------------------------------------------------------------------

    @property
    def animating(self) -> bool:
        """Whether the next frame differs by itself."""
        return self.inbox.animating or self.hurried

    @property
    def hurried(self) -> bool:
        """Whether somebody drags something, who would see every frame that is left out."""
        return self.input.dragging is not None

    @property
    def first_tables(self) -> float | None:
        """When something learnt was first shown."""
        return self.inbox.first_tables

    def update(self) -> None:
        """Take what the worker sent, and let time pass."""
        now = self.clock()
        passed, self._last = now - self._last, now
        for message in self.link.receive():
            self.inbox.take(message, now)
        self.race.settle()
        self.inbox.pass_time(now)
        self.input.rest(now)
        if self.state.notice and now > self._notice_until:
            self.state.notice = ""
        if self.teacher is not None:
            self.teacher.update()
        self._follow_tour(passed)
        self.recorder.look()

    def _follow_tour(self, passed: float) -> None:
        state, tour = self.state, self.tour
        state.touring = tour is not None
        if tour is None:
            state.line = plain_line(state)
            return
        following = tour.update(state, passed)
        if following is not None and self.place is not None:
            self.open(self.place, following)
        elif state.snapshot.count and not tour.over and state.speed != tour.speed(state):
            self.set_speed(tour.speed(state))
        state.line = tour.line(state) if state.playing else plain_line(state)

    def draw(self) -> pygame.Surface:
        """The present picture; ``scene.changed`` says which parts of it are new."""
        hovered = self.input.hovered
        self.state.hairline = plots.hairline(self.scene.controls, self.input.pointer, self.state)
        self.state.lit = inspector.lit_by(hovered or self.state.ring)
        return self.scene.render(self.state, self.size, hovered)
