"""Events in, commands out: what the window does with keys and the pointer, and how it keeps up with the worker.

`App` knows no display: events are handed to it, and it draws its state on a surface. So tests send synthetic events,
the recorder runs it in time steps of equal length, and `loop` at the end of the file puts it on a screen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pygame

from rlgrid.window import bar, bindings, inspector
from rlgrid.window.engine import Scenario
from rlgrid.window.motion import Motion
from rlgrid.window.places import Place, find_place
from rlgrid.window.scene import SMALLEST, Scene
from rlgrid.window.state import LAYERS, Edit, Menu, Parameter, Snapshot, State
from rlgrid.window.tour import SPEEDS, Tour, plain_line

SYMBOLS = {
    "gamma": "γ",
    "slip": "slip",
    "step_reward": "r",
    "learning_rate": "α",
    "epsilon": "ε",
    "tolerance": "tol",
    "method": "order",
}
FLASH = 0.24  # seconds
SPEED_STEP = 0.06  # of the slider, for the keys
NOTICE = 3.0  # seconds
DRAG = 0.07  # seconds between two changes sent while a slider is dragged
TIP = 0.7  # seconds that the pointer rests on a control before it is said what it does
REPEATED = {"step", "faster", "slower"}  # commands that a key held down gives again and again
QUIET = 0.15  # seconds that the worker may be busy before it is said


class LinkLike(Protocol):
    """What the app needs of its worker."""

    run: int

    def load(self, scenario: Scenario, playing: bool, speed: float) -> None:
        """Run a scenario."""

    def send(self, name: str, *rest: Any) -> None:
        """A command of the run."""

    def inspect(self, state: int) -> None:
        """Ask for the outcomes of a state."""

    def receive(self) -> list[tuple[Any, ...]]:
        """What came in."""

    def close(self) -> None:
        """End."""


def default_speed(agent: str) -> float:
    """Units a second at which an agent is watched at first."""
    return SPEEDS.get(agent, 6.0)


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
        self.link, self.size, self._clock, self._seed = link, size, clock, seed
        self.state = State(theme=theme)
        self.scene = Scene()
        self.running = True
        self.tour: Tour | None = Tour() if tour else None
        self.wants_screenshot = False
        self.wants_recording = False
        self._pointer: tuple[int, int] | None = None
        self._held: set[int] = set()  # keys that are down
        self._moved_at = 0.0
        self._dragging: str | None = None
        self._drag_before: Parameter | None = None
        self._drag_value: float | None = None
        self._edited: tuple[Parameter, float] | None = None  # a change that the worker has not confirmed yet
        self._drag_sent = 0.0
        self._motion = Motion()
        self._flash_at = -1.0
        self._notice_until = 0.0
        self._doing, self._doing_at = "", 0.0
        self._asked: tuple[int, int] | None = None
        self._version = self._shown_version = 0
        self._last = clock()
        self._place: Place | None = None
        self._scenario: Scenario | None = None
        self._custom: list[Place] = []
        self._before_full = 0.0
        self.first_tables: float | None = None  # when something learnt was first shown

    # --- what is run ------------------------------------------------------------------------------------------------

    def open(
        self, world: str | Place, agent: str, speed: float | None = None, settings: dict[str, Any] | None = None
    ) -> None:
        """Run an agent in a world."""
        from rlgrid.agents import AGENTS

        place = find_place(world) if isinstance(world, str) else world
        if place.map_text is not None and place.name not in [p.name for p in self._custom]:
            self._custom.append(place)
        state = self.state
        if self._place is None or place.name != self._place.name:
            state.pinned = state.hover = None
        self._place = place
        state.model, state.world, state.world_title, state.world_note = place.model, place.name, place.title, place.note
        state.agent, state.agent_title = agent, AGENTS[agent]
        state.unit = "sweep" if agent == "value_iteration" else "step"
        state.parameters = []
        state.watched = False
        state.speed = default_speed(agent) if speed is None else speed
        warm = ("q_learning", "dqn") if self.tour is not None and agent == "value_iteration" else ()
        self._start(Scenario(place.name, place.map_text, agent, self._seed, settings or {}, warm=warm))

    def watch(self, pickled: bytes, model: Any, titles: tuple[str, str], unit: str, speed: float | None) -> None:
        """Run an environment and an agent of a script."""
        state = self.state
        state.model, state.world_title, state.agent_title = model, *titles
        state.world, state.agent, state.unit, state.watched = "", "watched", unit, True
        state.speed = (8.0 if unit == "sweep" else 1_000.0) if speed is None else speed
        self._start(Scenario(agent="", pickled=pickled, seed=self._seed))

    def _start(self, scenario: Scenario) -> None:
        state = self.state
        state.clear_run()
        state.error, state.scale_lock, state.doing = "", None, ""
        self._doing, self._doing_at = "starting", self._clock()
        self._motion, self._asked, self._scenario = Motion(), None, scenario
        self.link.load(scenario, state.playing, state.speed)

    # --- commands ---------------------------------------------------------------------------------------------------

    def do(self, command: str) -> None:
        """Obey a command of a key or a control."""
        state = self.state
        name, _, rest = command.partition(":")
        if name in ("step", "episode", "faster", "slower", "end", "start", "restore", "next agent", "toggle"):
            self.end_tour()
        if name == "play":
            state.playing = not state.playing
            self.link.send("play", state.playing)
        elif name in ("step", "episode"):
            if state.playing:
                self.do("play")
            self.link.send(name)
        elif name in ("faster", "slower"):
            part = bar.speed_part(state.speed, state.unit) + (SPEED_STEP if name == "faster" else -SPEED_STEP)
            self.set_speed(bar.speed_at(part, state.unit))
        elif name == "end":
            if math.isinf(state.speed):
                self.set_speed(self._before_full or default_speed(state.agent))
            else:
                self._before_full = state.speed
                self.set_speed(math.inf)
                if not state.playing:
                    self.do("play")
        elif name == "start":
            self._reset()
        elif name == "restore":
            state.edits = []
            self.link.send("restore")
        elif name == "next agent":
            self._next_agent()
        elif name in ("worlds", "world"):
            self._toggle_menu("world")
        elif name in ("agents", "agent"):
            self._toggle_menu("agent")
        elif name == "layer":
            self._show_layer(rest)
        elif name == "scale":
            from rlgrid.window import mapview

            state.scale_lock = mapview.scale_of(state) if state.scale_lock is None else None
        elif name == "drawer":
            if self.size[0] < bar.DRAWERS:
                state.drawer = "" if state.drawer == rest else rest
        elif name == "theme":
            state.theme = "light" if state.theme == "dark" else "dark"
        elif name == "record":
            self.wants_recording = True
        elif name == "screenshot":
            self.wants_screenshot = True
        elif name == "help":
            state.help, state.menu = not state.help, None
        elif name == "escape":
            self._escape()
        elif name == "unpin":
            state.pinned = state.inspected = None
        elif name == "action":
            state.inspected = None if state.inspected == int(rest) else int(rest)
        elif name == "why not":
            self._why_not()
        elif name == "toggle":
            self._toggle_method()
        elif name == "entry":
            self._choose(int(rest))

    def end_tour(self) -> None:
        """The user has chosen something: from now on nothing happens by itself."""
        self.tour = None

    def set_speed(self, speed: float) -> None:
        """Units a second."""
        self.state.speed = speed
        self.link.send("speed", speed)

    def say(self, words: str, seconds: float = NOTICE) -> None:
        """Show a short message for a while."""
        self.state.notice, self._notice_until = words, self._clock() + seconds

    def _reset(self) -> None:
        state = self.state
        if self._scenario is None:
            return
        if state.error:
            self._start(self._scenario)
            return
        changed = state.parameters
        state.clear_run()
        state.parameters = changed
        self._motion, self._asked = Motion(), None
        self.link.send("reset")

    def _next_agent(self) -> None:
        from rlgrid.agents import AGENTS

        if self._place is not None:
            names = list(AGENTS)
            self.open(self._place, names[(names.index(self.state.agent) + 1) % len(names)])

    def _toggle_menu(self, name: str) -> None:
        from rlgrid.agents import AGENTS
        from rlgrid.envs import WORLDS

        state = self.state
        state.help = False
        if state.menu is not None and state.menu.name == name:
            state.menu = None
            return
        if state.watched:
            self.say("This window shows the environment and the agent of a script.")
            return
        if name == "world":
            entries = [(key, title) for key, (_, title) in WORLDS.items()]
            entries += [(place.name, place.title) for place in self._custom]
            present = state.world
        else:
            entries, present = list(AGENTS.items()), state.agent
        keys = [key for key, _ in entries]
        state.menu = Menu(name, entries, keys.index(present) if present in keys else 0)

    def _choose(self, number: int) -> None:
        state, menu = self.state, self.state.menu
        state.menu = None
        if menu is None or not 0 <= number < len(menu.entries):
            return
        self.end_tour()
        key = menu.entries[number][0]
        if menu.name == "world":
            custom = {place.name: place for place in self._custom}
            self.open(custom.get(key, key), state.agent or "value_iteration")
        elif self._place is not None:
            self.open(self._place, key)

    def _show_layer(self, layer: str) -> None:
        state = self.state
        if layer == "policy":
            state.arrows = not state.arrows
        elif layer in LAYERS and state.layer != layer:
            state.layer, state.scale_lock = layer, None
        elif layer != "values":
            state.layer, state.scale_lock = "values", None

    def _escape(self) -> None:
        state = self.state
        if state.help:
            state.help = False
        elif state.menu is not None:
            state.menu = None
        elif state.pinned is not None:
            self.do("unpin")
        elif state.drawer:
            state.drawer = ""
        else:
            self.running = False

    def _why_not(self) -> None:
        state = self.state
        focus, q = state.focus, state.snapshot.q_values
        if focus is None or q is None:
            return
        greedy = inspector.greedy_actions(state, focus)
        others = [a for a in range(q.shape[1]) if a not in greedy and math.isfinite(q[focus, a])]
        if state.inspected in others:
            state.inspected = None
        elif others:
            state.inspected = max(others, key=lambda a: q[focus, a])

    def _toggle_method(self) -> None:
        method = self.state.parameter("method")
        if method is not None:
            self._change("method", "value_iteration" if method.text == "Gauss-Seidel" else "gauss_seidel")

    def _change(self, name: str, value: Any) -> None:
        self.end_tour()
        self.link.send("change", name, value)

    # --- events -----------------------------------------------------------------------------------------------------

    def handle(self, event: pygame.event.Event) -> None:
        """One event of the keyboard, the pointer or the window."""
        if event.type == pygame.QUIT:
            self.running = False
        elif event.type == pygame.VIDEORESIZE:
            self.size = (max(SMALLEST[0], event.w), max(SMALLEST[1], event.h))
            if self.size[0] >= bar.DRAWERS:
                self.state.drawer = ""
        elif event.type == pygame.KEYDOWN:
            repeated = event.key in self._held
            self._held.add(event.key)
            self._key(event.key, event.mod, repeated)
        elif event.type == pygame.KEYUP:
            self._held.discard(event.key)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._held.clear()  # what is let go elsewhere is not heard of here
        elif event.type == pygame.MOUSEMOTION:
            self._move(event.pos)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._press(event.pos)
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            self._release()
        elif event.type == pygame.WINDOWLEAVE:
            self._pointer, self.state.hover, self.state.tip = None, None, None

    def _key(self, key: int, modifiers: int, repeated: bool) -> None:
        menu = self.state.menu
        if menu is not None:
            if key in (pygame.K_UP, pygame.K_DOWN):
                menu.lit = (menu.lit + (1 if key == pygame.K_DOWN else -1)) % len(menu.entries)
                return
            if key in (pygame.K_RETURN, pygame.K_KP_ENTER, pygame.K_SPACE) and not repeated:
                self._choose(menu.lit)
                return
        command = bindings.command_of(key, modifiers)
        if command is not None and not (repeated and command not in REPEATED):
            self.do(command)

    def _move(self, at: tuple[int, int]) -> None:
        self._pointer, self._moved_at, self.state.tip = at, self._clock(), None
        if self._dragging is not None:
            self._drag(at[0])
            return
        state = self.state
        over = self.scene.control_at(*at)
        free = over is None and not state.help and state.menu is None
        state.hover = self.scene.cell_at(*at, state) if free else None
        if state.menu is not None and over is not None and over.name.startswith("entry:"):
            state.menu.lit = int(over.name.partition(":")[2])

    def _press(self, at: tuple[int, int]) -> None:
        self._pointer = at
        state = self.state
        state.tip, self._moved_at = None, math.inf
        control = self.scene.control_at(*at)
        if control is None:
            if state.menu is not None:
                state.menu = None
            elif state.help:
                state.help = False
            else:
                cell = self.scene.cell_at(*at, state)
                if cell is not None:
                    state.pinned = None if state.pinned == cell else cell
                    state.inspected = None
            return
        if control.kind == "slider":
            self.end_tour()
            self._dragging = control.name
            self._drag_before = state.parameter(control.name.partition(":")[2])
            self._drag_value = None
            self._drag(at[0])
            return
        if state.menu is not None and not control.name.startswith("entry:") and control.name != state.menu.name:
            state.menu = None
        self.do(control.name)

    def _drag(self, x: int) -> None:
        state = self.state
        control = next((c for c in self.scene.controls if c.name == self._dragging), None)
        if control is None:
            return
        left, right = control.track
        part = (x - left) / max(1, right - left)
        if control.name == "speed":
            self.set_speed(bar.speed_at(part, state.unit))
            return
        name = control.name.partition(":")[2]
        old = state.parameter(name)
        if old is None:
            return
        value = old.at(part)
        if value == old.value:
            return
        state.parameters = [replace(p, value=value) if p.name == name else p for p in state.parameters]
        self._drag_value = value
        now = self._clock()
        if now - self._drag_sent >= DRAG:
            self._drag_sent = now
            self._change(name, value)

    def _release(self) -> None:
        name, before, value = self._dragging, self._drag_before, self._drag_value
        self._dragging = self._drag_before = self._drag_value = None
        if name is None or before is None or value is None:
            return
        self._change(before.name, value)
        self._edited = (before, value)

    # --- keeping up -------------------------------------------------------------------------------------------------

    @property
    def animating(self) -> bool:
        """Whether the next frame differs by itself."""
        return self._motion.moving or self._flash_at >= 0 or self._dragging is not None

    def update(self) -> None:
        """Take what the worker sent, and let time pass."""
        now = self._clock()
        passed, self._last = now - self._last, now
        for message in self.link.receive():
            self._take(message, now)
        state = self.state
        state.doing = self._doing if self._doing and now - self._doing_at > QUIET and not state.error else ""
        self._animate(now)
        self._tip(now)
        if state.notice and now > self._notice_until:
            state.notice = ""
        focus = state.focus
        known = focus is None or focus in state.outcomes or self._asked == (self.link.run, focus)
        if focus is not None and not known and state.snapshot.count:
            self._asked = (self.link.run, focus)
            self.link.inspect(focus)
        self._follow_tour(passed)

    def _tip(self, now: float) -> None:
        """Say what the control under the pointer does once the pointer rests."""
        state = self.state
        if self._pointer is None or self._dragging is not None or state.menu is not None or state.help:
            state.tip = None
        elif now - self._moved_at > TIP and state.tip is None:
            control = self.scene.control_at(*self._pointer)
            if control is not None and control.tip:
                state.tip = (control.tip, control.rect.midbottom)

    def _follow_tour(self, passed: float) -> None:
        state, tour = self.state, self.tour
        state.touring = tour is not None
        if tour is None:
            state.line = plain_line(state)
            return
        following = tour.update(state, passed)
        if following is not None and self._place is not None:
            self.open(self._place, following)
        elif state.snapshot.count and not tour.over and state.speed != tour.speed(state):
            self.set_speed(tour.speed(state))
        state.line = tour.line(state) if state.playing else plain_line(state)

    def _take(self, message: tuple[Any, ...], now: float) -> None:
        state = self.state
        kind = message[0]
        if kind == "world":
            _, _, facts, parameters = message
            self._facts(facts)
            state.parameters = parameters
        elif kind == "parameters":
            self._facts(message[3])
            dragged = self._dragging.partition(":")[2] if self._dragging else ""
            held = state.parameter(dragged)
            state.parameters = [held if held is not None and p.name == dragged else p for p in message[2]]
            self._note_edit()
        elif kind == "doing":
            if message[1] != self._doing:
                self._doing, self._doing_at = message[1], now
        elif kind == "snapshot":
            self._show(message[2], now)
        elif kind == "outcomes":
            state.outcomes = state.outcomes | {message[2]: message[3]}
        elif kind == "refused":
            self._edited = None
            self.say(message[1], 8.0)
        elif kind == "failed":
            state.error, self._doing = message[1], ""

    def _note_edit(self) -> None:
        """Note a change that the worker has made."""
        state = self.state
        if self._edited is None:
            return
        before, value = self._edited
        now = state.parameter(before.name)
        if now is not None and math.isclose(now.value, value, rel_tol=1e-6):
            state.edits.append(Edit(state.snapshot.count, SYMBOLS[before.name], before.shown, now.shown))
            self._edited = None

    def _facts(self, facts: dict[str, Any]) -> None:
        state = self.state
        state.unit, state.in_place = facts["unit"], facts["in_place"]
        if facts["version"] != self._version:  # the world is another: what was asked about it no longer holds
            self._version, self._asked, state.outcomes = facts["version"], None, {}
        if facts["agent"] == "Acting":
            state.agent = "acting"

    def _show(self, shot: Snapshot, now: float) -> None:
        state, old = self.state, self.state.snapshot
        state.snapshot = shot
        walked = (old.count, old.optimal is None, old.values is None, self._version) == (
            shot.count,
            shot.optimal is None,
            shot.values is None,
            self._shown_version,
        )
        self._shown_version = self._version
        if not walked or shot.frame is not None:
            state.stamp += 1
        if shot.values is not None and self.first_tables is None:
            self.first_tables = now
        if shot.values is not None:
            state.history.add(shot.count, shot.values)
        self._curves(shot)
        new_sweep = state.plans and shot.count != old.count and shot.change is not None
        if new_sweep and state.speed <= 15 and shot.change is not None and float(shot.change.max()) > 1e-3:
            self._flash_at = now
        self._motion.follow(state, old, shot, now)

    def _curves(self, shot: Snapshot) -> None:
        state = self.state
        if state.plans:
            if shot.error_bound is not None and shot.error_bound > 0:
                state.error_curve.add(shot.count, shot.error_bound)
        elif "loss" in shot.metrics:
            state.error_curve.add(shot.count, shot.metrics["loss"])
        elif "prediction_error" in shot.truth:
            state.error_curve.add(shot.judged_at, shot.truth["prediction_error"])
        elif shot.q_values is not None and shot.distance is not None and shot.td_error is not None:
            state.error_curve.add(shot.count, shot.distance)
        if shot.regret is not None:
            state.regret_curve.add(shot.judged_at, shot.regret)
        if shot.mean_return is not None:
            state.return_curve.add(shot.count, shot.mean_return)

    def _animate(self, now: float) -> None:
        state = self.state
        self._motion.advance(state, now)
        if self._flash_at >= 0:
            left = 1.0 - (now - self._flash_at) / FLASH
            state.flash = max(0.0, math.ceil(left * 4) / 4)
            if left <= 0:
                self._flash_at = -1.0

    def draw(self) -> pygame.Surface:
        """The present picture; ``scene.changed`` says which parts of it are new."""
        hovered = None
        if self._dragging is not None:
            hovered = self._dragging
        elif self._pointer is not None:
            control = self.scene.control_at(*self._pointer)
            hovered = None if control is None else control.name
        return self.scene.render(self.state, self.size, hovered)
