"""Random events for the window: keys, words typed into menus, clicks, drags, the wheel, strokes, sizes, dropped files,
lessons and races; the same ones for the same seed.

What is pressed is drawn from what there is: the binding table, the controls of the last picture, the entries of the
open menu. What was never reached is drawn more often, so that a few thousand events come to every command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pygame

from rlgrid.window import bindings, commands, local
from rlgrid.window.local import LocalLink

BOUND = tuple((key, modifiers, binding) for binding in bindings.BINDINGS for key, modifiers in binding.keys)
KEYS = sorted({key for key, _, _ in BOUND} | set(range(pygame.K_a, pygame.K_z + 1)))
MODIFIERS = (0, 0, 0, pygame.KMOD_SHIFT, pygame.KMOD_CTRL, pygame.KMOD_CTRL | pygame.KMOD_SHIFT, pygame.KMOD_ALT)
SIZES = ((640, 480), (800, 600), (1000, 700), (1280, 800), (1100, 640))
LARGE = (*SIZES, (1920, 1080), (3840, 2160), (500, 300))  # the last one is smaller than any window can be
CONDITIONS = (  # typed into the menu of breakpoints: what can be awaited, and what cannot
    "count reaches 40",
    "|TD| above 0.5",
    "regret below 1 %",
    "the greedy path loops",
    "the arrow flips",
    "|TD| above -1",
    "count reaches 99999999999999999999",
    "nonsense ∞ ☃",
)
FILES = ("save", "session", "record", "screenshot")  # what writes files

FAMILIES = (  # a world of every kind, small ones where there is a choice
    "rlgrid/FourRooms-v0",
    "rlgrid/FrozenLake-v1",
    "rlgrid/CliffWalking-v1",
    "rlgrid/WindyGridworldKings-v0",
    "rlgrid/KeyDoor-v0",
    "rlgrid/CollectStars-v0",
    "rlgrid/Teleports-v0",
    "rlgrid/ThinWalls-v0",
    "rlgrid/SuttonBarto5x5-v0",
    "rlgrid/RiverSwim-v0",
    "rlgrid/DeepSea-v0",
    "rlgrid/GamblersProblem-v0",
    "rlgrid/TMaze-v0",
    "rlgrid/RandomWalk-v0",
    "rlgrid/MaximizationBias-v0",
    "made:prim",
    "made:caves",
)


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """How often each command of the window is obeyed from now on."""
    found = dict.fromkeys(commands.COMMANDS, 0)
    before = dict(commands.COMMANDS)

    def counting(name: str) -> commands.Command:
        def obey(app: Any, argument: str) -> None:
            found[name] += 1
            before[name](app, argument)

        return obey

    commands.COMMANDS.update({name: counting(name) for name in before})
    try:
        yield found
    finally:
        commands.COMMANDS.update(before)


@contextmanager
def collected() -> Iterator[list[Exception]]:
    """Every error that ends a run, or keeps one from beginning, in a `LocalLink` from now on: the window says it, and
    another run takes its place."""
    found: list[Exception] = []
    words = local.failure

    def noted(error: Exception) -> str:
        found.append(error)
        return words(error)

    local.failure = noted
    try:
        yield found
    finally:
        local.failure = words


class LateLink:
    """A worker in simulated time that hears late and is heard late, as a process is: commands and messages wait for up
    to ``most`` calls of `pass_time`, each kind in order."""

    def __init__(self, seed: int, most: int = 8) -> None:
        self.run = 0
        self.worker = LocalLink()
        self._draws, self._most = np.random.default_rng(seed), most
        self._now = 0
        self._commands: deque[tuple[int, Callable[[], None]]] = deque()
        self._messages: deque[tuple[int, int, tuple[Any, ...]]] = deque()
        self._late = [0, 0]  # when the last one of each kind arrives

    def clock(self) -> float:
        """Simulated seconds."""
        return self.worker.time

    def _due(self, kind: int) -> int:
        self._late[kind] = max(self._late[kind], self._now + int(self._draws.integers(self._most + 1)))
        return self._late[kind]

    def _tell(self, command: Callable[[], None]) -> None:
        self._commands.append((self._due(0), command))

    def load(self, scenario: Any, playing: bool, speed: float) -> None:
        """Run a scenario; what is still on its way of the last one is dropped."""
        self.run += 1
        run = self.run

        def load() -> None:
            self.worker.close()
            self.worker.run = run - 1
            self.worker.load(scenario, playing, speed)

        self._commands.clear()
        self._tell(load)

    def send(self, name: str, *rest: Any) -> None:
        """A command of the run."""
        self._tell(lambda: self.worker.send(name, *rest))

    def inspect(self, state: int, deeply: bool = False) -> None:
        """Ask for the outcomes of a state, which the world may not have any more when it is heard."""
        run = self.run

        def inspect() -> None:
            model = None if self.worker.engine is None else self.worker.engine.model
            if run == self.worker.run and model is not None and state < model.num_states:
                self.worker.inspect(state, deeply)

        self._tell(inspect)

    def receive(self) -> list[tuple[Any, ...]]:
        """What has arrived of the present run."""
        found = []
        while self._messages and self._messages[0][0] <= self._now:
            _, run, message = self._messages.popleft()
            if run == self.run:
                found.append(message)
        return found

    def pass_time(self, seconds: float) -> None:
        """Let simulated time pass."""
        self._now += 1
        while self._commands and self._commands[0][0] <= self._now:
            self._commands.popleft()[1]()
            self._send_back()
        self.worker.pass_time(seconds)
        self._send_back()

    def _send_back(self) -> None:
        for message in self.worker.receive():
            self._messages.append((self._due(1), self.worker.run, message))

    def close(self) -> None:
        """End."""
        self.worker.close()


class RandomEvents:
    """Gives lists of events that belong together: a click, a drag, a key and its release.

    Args:
        app: whose controls and map the pointer finds.
        quiet: commands that are not to be given.
        sizes: of the window, in pixels.
        files: paths that are dropped on the window.
        reached: how often each command was obeyed (`counted`): those that never were are preferred.
    """

    def __init__(self, app, seed, quiet=FILES, sizes=SIZES, files=("there_is_none.toml",), reached=None):
        self.app, self.quiet, self.sizes, self.files = app, quiet, sizes, files
        self.reached = {} if reached is None else reached
        self.draws = np.random.default_rng(seed)
        self.kinds = [0.1, 0.5, 0.65, 0.8, 0.9, 0.95] * 2  # of undertakings: each comes soon
        self.plan = deque()  # what is still to be done of a longer undertaking: calls that give lists of events

    def pick(self, among):
        return among[int(self.draws.integers(len(among)))]

    def refused(self, name):
        """Whether a control or a command is not to be given."""
        return name.partition(":")[0] in self.quiet

    def fresh(self, name):
        """Whether a command was never obeyed."""
        return not self.refused(name) and self.reached.get(name.partition(":")[0], 1) == 0

    # --- where ------------------------------------------------------------------------------------------------------

    def controls(self):
        return [control for control in self.app.scene.controls if not self.refused(control.name)]

    def inside(self, rect):
        """A place of the window within a rectangle of the layout."""
        x = rect.left + int(self.draws.integers(max(1, rect.width)))
        y = rect.top + int(self.draws.integers(max(1, rect.height)))
        scale = self.app.scene.scale
        return self.allowed((round(x * scale), round(y * scale)))

    def spot(self):
        """A place of the window: often a control, often a cell of the map, else anywhere."""
        scene, kind, controls = self.app.scene, self.draws.random(), self.controls()
        if kind < 0.45 and controls:
            new = [control for control in controls if self.fresh(control.name)]
            return self.inside(self.pick(new or controls).rect)
        return self.inside(scene.map_place if kind < 0.85 else pygame.Rect((0, 0), scene.layout_size(self.app.size)))

    def allowed(self, at):
        """The place, or the corner if there is a control that is not to be pressed."""
        scale = self.app.scene.scale
        control = self.app.scene.control_at(int(at[0] / scale), int(at[1] / scale))
        return (0, 0) if control is not None and self.refused(control.name) else at

    # --- single events ----------------------------------------------------------------------------------------------

    def motion(self, at, buttons=(0, 0, 0)):
        return pygame.event.Event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=buttons)

    def down(self, at, button=1):
        return pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=at, button=button)

    def up(self, at, button=1):
        return pygame.event.Event(pygame.MOUSEBUTTONUP, pos=at, button=button)

    def click(self, at):
        return [self.motion(at), self.down(at), self.up(at)]

    def stroke(self, key, modifiers=0, typed=None):
        """A key that is pressed and let go, unless it would give what is not to be given."""
        state = self.app.state
        command = bindings.command_of(key, modifiers, state.mode)
        presses = key in (pygame.K_RETURN, pygame.K_KP_ENTER, pygame.K_SPACE)
        if (command is not None and self.refused(command)) or (presses and self.refused(state.ring)):
            return []
        if typed is None:
            typed = chr(key) if 32 <= key < 127 and not modifiers else ""
        press = pygame.event.Event(pygame.KEYDOWN, key=key, mod=modifiers, unicode=typed)
        again = [press] * (0 if self.draws.random() < 0.9 else 3)
        return [press, *again, pygame.event.Event(pygame.KEYUP, key=key, mod=modifiers)]

    def key(self):
        """A key of the binding table with its modifiers, or any key with any."""
        if self.draws.random() < 0.35:
            return self.stroke(self.pick(KEYS), self.pick(MODIFIERS))
        new = [(key, modifiers) for key, modifiers, binding in BOUND if self.fresh(binding.command)]
        return self.stroke(*(self.pick(new) if new and self.draws.random() < 0.5 else self.pick(BOUND)[:2]))

    def typed(self, words):
        """Words on the keyboard."""
        found = []
        for letter in words:
            found += self.stroke(ord(letter.lower()) if ord(letter) < 127 else 0, 0, letter)
        return found

    # --- longer undertakings ----------------------------------------------------------------------------------------

    def in_menu(self):
        """Into the open menu: a part of an entry and Enter, or its arrows, or an entry with the pointer."""
        menu = self.app.state.menu
        if menu is None:
            return []
        if menu.name == "breakpoint" and self.draws.random() < 0.5:
            return [*self.typed(self.pick(CONDITIONS)), *self.stroke(pygame.K_RETURN)]
        titles = [title for key, title in menu.entries if key]
        kind = self.draws.random()
        if kind < 0.4 and titles:
            title = self.pick(titles)
            begin = int(self.draws.integers(max(1, len(title) - 4)))
            return [*self.typed(title[begin : begin + 4].strip() or "x"), *self.stroke(pygame.K_RETURN)]
        if kind < 0.7:
            ways = (pygame.K_UP, pygame.K_DOWN, pygame.K_PAGEUP, pygame.K_PAGEDOWN, pygame.K_HOME, pygame.K_END)
            moved = [event for _ in range(int(self.draws.integers(1, 9))) for event in self.stroke(self.pick(ways))]
            return [*moved, *self.stroke(pygame.K_BACKSPACE), *self.stroke(pygame.K_RETURN)]
        return self.on("entry")

    def on(self, command):
        """A click on a control that gives a command, if there is one."""
        found = [control for control in self.controls() if control.name.partition(":")[0] == command]
        return self.click(self.inside(self.pick(found).rect)) if found else []

    def wait(self, count):
        return [lambda: []] * count

    def begin(self):
        """Something that takes several steps: a menu, a lesson, a race, painting, driving, a walk through time."""
        kind = self.kinds.pop() if self.kinds else self.draws.random()
        stroke, on = self.stroke, self.on
        clear = [lambda: stroke(pygame.K_ESCAPE)] * 3
        if kind < 0.45:
            menus = (pygame.K_w, pygame.K_a, pygame.K_b, pygame.K_c, pygame.K_F2)
            keys = [lambda key=key: stroke(key) for key in menus]
            opened = self.pick((*keys, lambda: on("more"), lambda: on("curve")))
            return [lambda: stroke(pygame.K_ESCAPE), opened, self.in_menu]
        if kind < 0.60:  # a lesson: predicted, watched, gone on with
            scene = [lambda: stroke(pygame.K_1 + int(self.draws.integers(3))), *self.wait(60), lambda: on("lesson")]
            last = self.pick((lambda: stroke(pygame.K_RETURN), lambda: on("lesson"), lambda: []))
            return [lambda: stroke(pygame.K_F2), self.in_menu, *scene, *scene, last]
        if kind < 0.70:  # a race: in, looked at, out
            join = [lambda: stroke(pygame.K_c), self.in_menu, *self.wait(5)]
            looks = [lambda: stroke(pygame.K_n), lambda: stroke(pygame.K_c, pygame.KMOD_SHIFT)]
            return [*join, *join, *looks, *self.wait(10), *looks, lambda: on("lane"), lambda: on("leave")]
        if kind < 0.85:  # strokes, taken back and done again
            way = [lambda: self.drag(self.pick((1, 1, 3)), self.app.scene.map_place)]
            back = [lambda: stroke(pygame.K_z, pygame.KMOD_CTRL), lambda: stroke(pygame.K_y, pygame.KMOD_CTRL)]
            brush = [lambda: stroke(pygame.K_PAGEDOWN), lambda: on("brush")]
            keys = [lambda: stroke(self.pick((pygame.K_RETURN, pygame.K_DELETE)))]
            return [*clear, lambda: stroke(pygame.K_e), *brush, *way, *brush, *way, *back, *keys, *way, *back]
        if kind < 0.92:  # driven by hand
            ways = (pygame.K_UP, pygame.K_RIGHT, pygame.K_DOWN, pygame.K_LEFT, pygame.K_q, pygame.K_x, pygame.K_1)
            steps = [lambda: stroke(self.pick(ways)), lambda: stroke(pygame.K_1 + int(self.draws.integers(9)))]
            return [*clear, lambda: stroke(pygame.K_m), *steps * 4, lambda: on("take"), lambda: stroke(pygame.K_m)]
        slide = [lambda: self.drag(1, self.track("timeline"))]
        return [*slide, *self.wait(3), lambda: stroke(pygame.K_COMMA), *slide, lambda: stroke(pygame.K_PERIOD)]

    def track(self, name):
        """Where a slider lies, or the map if it is not there."""
        found = [control.rect for control in self.app.scene.controls if control.name.partition(":")[0] == name]
        return found[0] if found else self.app.scene.map_place

    def drag(self, button, rect=None):
        """The pointer pressed, moved and let go; within a rectangle, or anywhere."""
        places = [self.spot() if rect is None else self.inside(rect) for _ in range(int(self.draws.integers(2, 7)))]
        way = [self.motion(at, (1, 0, 0)) for at in places[1:]]
        return [self.down(places[0], button), *way, self.up(places[-1], button)]

    def next(self):
        """The next events."""
        if self.plan and self.draws.random() < 0.97:
            return self.plan.popleft()()
        self.plan.clear()
        kind = self.draws.random()
        if kind < 0.06:
            self.plan.extend(self.begin())
            return []
        if kind < 0.12 and self.app.state.menu is not None:
            return self.in_menu()
        if kind < 0.42:
            return self.key()
        at = self.spot()
        if kind < 0.62:
            return self.click(at)
        if kind < 0.76:
            return self.drag(self.pick((1, 1, 1, 2, 3)))
        if kind < 0.84:
            return [self.motion(at)]
        if kind < 0.91:
            y = self.pick((-3, -1, 1, 3))
            return [self.motion(at), pygame.event.Event(pygame.MOUSEWHEEL, x=0, y=y, precise_y=float(y))]
        if kind < 0.93:
            width, height = self.pick(self.sizes)
            return [pygame.event.Event(pygame.VIDEORESIZE, w=width, h=height, size=(width, height))]
        if kind < 0.96:
            window = ("LEAVE", "ENTER", "FOCUSLOST", "FOCUSGAINED", "MINIMIZED", "RESTORED", "EXPOSED", "MAXIMIZED")
            return [pygame.event.Event(getattr(pygame, f"WINDOW{self.pick(window)}"))]
        if kind < 0.97:
            return [pygame.event.Event(pygame.DROPFILE, file=self.pick(self.files))]
        if kind < 0.985:
            return [self.up(at, self.pick((1, 2, 3)))]
        return [self.down(at, self.pick((1, 2, 3)))]  # let go some time later


def dropped(folder: Path) -> tuple[str, ...]:
    """Files to drop on a window: a map, another one, and what is none."""
    good = folder / "good.toml"
    good.write_text('map = """\nS.#.\n..#G\n....\n"""\n', encoding="utf-8")
    (folder / "bad.toml").write_text("map = 3\n", encoding="utf-8")
    (folder / "bytes.toml").write_bytes(bytes(range(256)))
    (folder / "empty.toml").write_text("", encoding="utf-8")
    return tuple(str(folder / name) for name in ("good.toml", "good.toml", "bad.toml", "bytes.toml", "empty.toml", "."))
