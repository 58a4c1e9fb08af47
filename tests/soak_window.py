"""Random events against the window as it runs, its loop, its worker process and all, for so many minutes:

    python tests/soak_window.py 10 [seed]

With DISPLAY set it opens a window, else it runs without one. Events go through pygame's queue; recordings,
screenshots, sessions and maps are written to a folder of its own. Every half minute a small run takes the place of the
present one, so that what runs keep is let go, and it is counted what both processes hold then: memory in MB, threads,
open files, pieces of shared memory, objects. At the end it judges: no exception, no run that failed, no worker
that died, every command given, an agent that still learns, a window that closes at once, nothing left behind; and in
the second half of the time no count that grows and no memory that goes on growing by more than `GROWTH`.

Memory is counted after what is free was given back to the system, so that it is what is held. Three things make it
grow for a while: pictures and words that are kept (at most `keeping.MOST` and 16 MB, full after two or three minutes of
large windows), models of the largest worlds, made once and kept (opened before all else, for this reason), and steps of
some 10 to 50 MB where kernels or a library come in that nothing had needed before. What grows without end grows in each
part of the time: so it is the smaller one of the slopes of the third and of the last quarter that is judged. In ten
minutes noise makes that 2 or 3 MB a minute; a picture of a large window that is not let go, 4 to 33 MB at each of some
ten resizes a minute, or a world of each of as many runs make far more than `GROWTH`.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

GROWTH = 5.0  # MB a minute, of each process, in both quarters of the second half (see the text above)
ENOUGH = 8  # counts in that half: memory is not judged in less than eight minutes, while agents' kernels still come in
EVENTS = 30.0  # groups of events a second
LINE = 30.0  # seconds between two counts
SIZE = (1280, 800)  # while it is counted
CALM = 5.0  # seconds of the small run before them
LARGEST = ("rlgrid/Racetrack-v0", "rlgrid/RacetrackRight-v0")  # whose models are made once and then kept
OBJECTS = 1.3  # times as many of a type as at half time are too many


def memory(process: int) -> float:
    """MB of a process that lie in memory; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def entries(process: int, what: str) -> int:
    """Threads ("task") or open files ("fd") of a process."""
    try:
        return len(os.listdir(f"/proc/{process}/{what}"))
    except OSError:
        return 0


def pieces(process: int) -> set[str]:
    """Pieces of shared memory that a process holds."""
    try:
        lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {line.rpartition("/dev/shm/")[2].partition(" ")[0] for line in lines if "/dev/shm/psm_" in line}


@dataclass
class Count:
    """What both processes hold at one moment: each pair is of the window and of the worker."""

    minute: float
    memory: tuple[float, float]
    threads: tuple[int, int]
    files: tuple[int, int]
    pieces: int
    objects: Counter[str]

    def __str__(self) -> str:
        pairs = {"memory": [round(part) for part in self.memory], "threads": self.threads, "files": self.files}
        words = [f"{name} {one}+{other}" for name, (one, other) in pairs.items()]
        return f"{', '.join(words)}, shared {self.pieces}, objects {self.objects.total():,}"


def slope(points: list[tuple[float, float]]) -> float:
    """The median of the slopes of all pairs of points (Theil 1950): one that is far out moves nothing."""
    found = [(b[1] - a[1]) / (b[0] - a[0]) for n, a in enumerate(points) for b in points[n + 1 :] if b[0] > a[0]]
    return median(found) if found else 0.0


def judged(counts: list[Count]) -> list[str]:
    """What grew in the second half."""
    half = counts[len(counts) // 2 :]
    if len(half) < 4:
        return [f"memory not judged: {len(counts)} counts are too few, soak for 4 minutes or longer"]
    wrong = []
    for number, name in enumerate(("window", "worker")):
        points = [(count.minute, count.memory[number]) for count in half]
        slopes = [slope(points[: len(half) // 2]), slope(points[len(half) // 2 :])]
        print(f"{name}: {points[0][1]:.0f} to {points[-1][1]:.0f} MB, {slopes[0]:+.2f}, {slopes[1]:+.2f} MB a minute")
        if min(slopes) > GROWTH and len(half) >= ENOUGH:
            wrong.append(f"the memory of the {name} grows by {slopes[0]:.1f} and {slopes[1]:.1f} MB a minute")
        for what in ("threads", "files"):
            held = [getattr(count, what)[number] for count in half]
            if min(held[len(held) // 2 :]) > max(held[: len(held) // 2]):
                wrong.append(f"{what} of the {name} grow: {held}")
    held = [count.pieces for count in half]
    if min(held[len(held) // 2 :]) > max(held[: len(held) // 2]):
        wrong.append(f"pieces of shared memory grow: {held}")
    for name in half[-1].objects:
        held = [count.objects[name] for count in half]
        more = min(held[len(held) // 2 :]) - OBJECTS * max(held[: len(held) // 2])
        if more > 200:
            wrong.append(f"objects {name} grow: {held}")
    return wrong


@dataclass
class Soak:
    """What is known of a soak so far."""

    minutes: float
    seed: int
    wrong: list[str] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    groups: int = 0
    longest: float = 0.0


def soaking(soak: Soak, link: Any, folder: Path, reached: dict[str, int]) -> Any:
    """An app that gives itself random events."""
    import pygame
    from random_events import LARGE, RandomEvents, dropped

    from rlgrid.window import freeing
    from rlgrid.window.app import App

    class Soaking(App):
        def begin(self) -> None:
            self.events = RandomEvents(self, soak.seed, (), LARGE, dropped(folder), reached)
            self.began = self.due = self.line = time.perf_counter()
            self.line += LINE
            self.calm_until = self.last = 0.0
            self.first = list(LARGEST)
            self.worker = 0
            self.shown = ""

        def update(self) -> None:
            now = time.perf_counter()
            if self.last:
                soak.longest = max(soak.longest, now - self.last)
            if self.calm_until:
                if now > self.calm_until:
                    self.calm_until = 0.0
                    self.count(now)
            elif self.first:
                if not self.state.snapshot.count < 100:
                    self.open(self.first.pop(), "q_learning", float("inf"))
            elif now > self.line:
                self.line += LINE
                self.rest()
                self.calm_until = now + CALM
            elif now >= self.due:
                self.due = max(self.due + 1 / EVENTS, now - 1.0)
                self.give()
            super().update()
            self.look()
            self.last = time.perf_counter()
            if now - self.began > 60 * soak.minutes:
                self.running = False

        def give(self) -> None:
            """The next events, through the queue."""
            for event in self.events.next():
                if event.type == pygame.VIDEORESIZE:
                    pygame.display.set_mode((event.w, event.h), pygame.RESIZABLE)
                pygame.event.post(event)
            soak.groups += 1

        def rest(self) -> None:
            """A small run in a window of one size, so that what was kept before is let go."""
            state = self.state
            state.menu, state.help, self.teacher, state.drawer, state.mode = None, False, None, "", "look"
            if state.recording:
                self.do("record")
            if self.size != SIZE:
                pygame.display.set_mode(SIZE, pygame.RESIZABLE)
                self.resize(SIZE)
            self.open("rlgrid/FrozenLake-v1", "value_iteration")

        def count(self, now: float) -> None:
            gc.collect()
            freeing.give_back()
            here, there = os.getpid(), self.worker
            objects = Counter(type(one).__name__ for one in gc.get_objects())
            found = Count(
                (now - self.began) / 60,
                (memory(here), memory(there)),
                (entries(here, "task"), entries(there, "task")),
                (entries(here, "fd"), entries(there, "fd")),
                len(pieces(here) | pieces(there)),
                objects,
            )
            soak.counts.append(found)
            print(
                f"{found.minute:5.1f} min, {soak.groups:,} groups, {found}; longest turn {1000 * soak.longest:.0f} ms, "
                f"{len(soak.seen)} runs, {soak.errors.total()} errors shown",
                flush=True,
            )
            soak.longest = 0.0

        def look(self) -> None:
            """What goes wrong is noted."""
            state = self.state
            soak.seen.add(f"{state.world_title}: {state.agent_title}")
            if state.error and state.error != self.shown:
                soak.errors[state.error] += 1
                print(f"  {state.world_title}, {state.agent_title}: {state.error[:200]}", flush=True)
            self.shown = state.error
            if state.error and soak.groups % 60 == 0:
                self.do("start")  # as a user would
            process = link.process
            if process is not None and process.is_alive() and process.pid != self.worker:
                if self.worker:
                    soak.wrong.append(f"the worker died in {state.world_title}, {state.agent_title}")
                self.worker = process.pid

    app = Soaking(link, (1280, 800), seed=soak.seed)
    app.open("rlgrid/FourRooms-v0", "q_learning")
    app.begin()
    return app


def run(minutes: float, seed: int, folder: Path) -> list[str]:
    """What was wrong."""
    import pygame
    from random_events import counted

    from rlgrid.window import launch
    from rlgrid.window.app import App
    from rlgrid.window.link import Link
    from rlgrid.window.saving import Saver

    pygame.display.init()
    screen = pygame.display.set_mode((1280, 800), pygame.RESIZABLE)
    soak, link, saver = Soak(minutes, seed), Link(), Saver()
    with counted() as reached:
        app = soaking(soak, link, folder, reached)
        while time.perf_counter() - app.began < 60 * minutes:
            app.running = True
            launch._loop(app, screen, 0.0, False, saver)  # until Esc, or the end
            if saver.recording:
                continue
            for path in folder.iterdir():
                if path.suffix in (".gif", ".png", ".rlgrid") or "painted" in path.name:
                    path.unlink()
    wrong = soak.wrong + judged(soak.counts)
    wrong += [f"never given: {name}" for name, times in reached.items() if not times and minutes >= 5]
    wrong += [f"a run failed: {words}" for words in soak.errors]
    app.rest()
    app.state.playing, app.state.awaited = True, ""
    app.open("rlgrid/FourRooms-v0", "q_learning", 1_000.0)
    patience = time.perf_counter() + 180.0  # the worker may be compiling
    while app.state.snapshot.count < 100 and time.perf_counter() < patience:
        App.update(app)
        time.sleep(0.02)
    if app.state.snapshot.count < 100:
        wrong.append(f"the agent does not learn any more ({app.state.error or app.state.doing or app.state.notice})")
    mine = pieces(os.getpid())
    closing = time.perf_counter()
    pygame.display.quit()
    took = time.perf_counter() - closing
    link.close()
    saver.close()
    print(f"closed in {1000 * took:.0f} ms, and the worker ended {1000 * (time.perf_counter() - closing):.0f} ms after")
    if took > 0.2:
        wrong.append("closing takes more than 200 ms")
    if left := [name for name in mine if Path("/dev/shm", name).exists()]:
        wrong.append(f"shared memory is left behind: {', '.join(sorted(left))}")
    return wrong


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        wrong = run(minutes, seed, Path(folder))
        os.chdir("/")
    for words in wrong:
        print("WRONG:", words)
    print("all well" if not wrong else "not well")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
