"""The window at work: what a frame costs, what it costs the solver, how soon an input is seen, idling, closing.

    python benchmarks/window.py
    python benchmarks/window.py --seconds 10 --parts frames slowdown

A world of 1000 x 1000 cells is solved by value iteration at full speed in the worker process, as play.py runs it, and
the window (1280 x 800) shows it at rest, with each layer that a planner has at once and with a cell pinned, while it
is panned, and while it is zoomed. The display is SDL's dummy, and besides it an X server: the one that there is, or
one of its own (Xvfb) where that is installed. `--size 3840x2160 --scale 2` shows it on a large screen.

At rest a frame is drawn for each snapshot; a phase goes on until there were enough of them. Where there are not, a
layer was not drawn, or a figure is above its target, that is said, and the exit status is 1.

The work of a frame is the handling of the events that came before it, and all from looking for messages to the picture
being on the display; waiting is excluded. The worker solves with all cores but one, the window's: of two, with one
thread. Times are of the wall clock; the processor time of the window's thread stands beside them, since on a busy
machine the wall clock also counts what others do. The slowdown of the solver, on one thread, is in sweeps a second of
processor time, in alternating turns: in a process without a window, and in the worker, at moments at which it has other
things to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SIDE = 1000
LAYERS = ("values", "q", "td", "gap")  # what a planner in a large world has without V* and its policy being judged
ENOUGH, PATIENCE = 20, 40.0  # frames of a phase at least, and seconds that they may take
FEW = 5  # with a cell pinned: six tables are sent of each snapshot, so there is one in seconds
FRAME, SLOWDOWN, LATENCY, IDLE, CLOSING = 12.0, 10.0, 50.0, 5.0, 200.0  # ms, %, ms, % of a core, ms
PARTS = ("frames", "slowdown", "idle", "closing")


def a_map(side: int, slip: float = 0.0) -> str:
    """A world with walls in a fifth of its cells and its goal in the middle.

    Without slipping it is solved after as many sweeps as its longest way has steps; with it, it takes far more.
    """
    import numpy as np

    walls = np.random.default_rng(0).random((side, side)) < 0.2
    rows = [["#" if wall else "." for wall in row] for row in walls.tolist()]
    rows[0][0], rows[side // 2][side // 2] = "S", "G"
    lines = "\n".join("".join(row) for row in rows)
    slips = f"slip = {{ forward = {1 - 2 * slip}, left = {slip}, right = {slip} }}\n" if slip else ""
    return f'name = "benchmark"\ngamma = 0.999\n{slips}map = """\n{lines}\n"""\n'


def processor_seconds(process: int, main_thread: bool = False) -> float:
    """Of all threads of a process, or of its first one; Linux."""
    place = Path(f"/proc/{process}/task/{process}" if main_thread else f"/proc/{process}")
    fields = (place / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- in a process of its own: the window ------------------------------------------------------------------------------


class Driver:
    """Posts events to a window from a thread, each with the time at which it was posted."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.phase, self.frames = seconds, "start", 0
        self.troubles: list[str] = []
        self.ready = threading.Event()
        self.done = threading.Event()

    def post(self, kind: int, **rest: Any) -> None:
        """One event."""
        import pygame

        pygame.event.post(pygame.event.Event(kind, posted=time.perf_counter(), **rest))

    def run(self, app: Any) -> None:
        """The phases of the measurement, and the end of the window."""
        import pygame

        from rlgrid.window.layers import coloured

        self.ready.wait()
        time.sleep(1.0)
        region = app.scene.map_place
        middle = tuple(round(app.scene.scale * at) for at in region.center)
        self.post(pygame.MOUSEMOTION, pos=middle, rel=(0, 0), buttons=(0, 0, 0))
        for layer in LAYERS:
            app.do(f"layer:{layer}")
            self._during(app, f"rest, {layer}", lambda n: None)
            drawn = coloured(app.state)
            if app.state.layer != layer or drawn.table is None:
                self.troubles.append(f"rest, {layer}: the layer was not drawn: {drawn.reason}")
        app.do("layer:values")
        app.state.pinned = app.scene.cell_at(*region.center, app.state)
        self._during(app, "rest, a cell pinned", lambda n: None, FEW)
        app.state.pinned = None
        for _ in range(4):
            self.post(pygame.MOUSEWHEEL, x=0, y=1, flipped=False)
        for way in ("far", "near"):  # cells smaller than a pixel, and cells with arrows
            self.post(pygame.MOUSEBUTTONDOWN, button=1, pos=middle)
            moves = [(middle[0] + 4 * (n % 60) - 120, middle[1] + 3 * (n % 40) - 60) for n in range(600)]
            self._during(
                app,
                f"pan {way}",
                lambda n, moves=moves: self.post(pygame.MOUSEMOTION, pos=moves[n % 600], rel=(0, 0), buttons=(1, 0, 0)),
            )
            self.post(pygame.MOUSEBUTTONUP, button=1, pos=middle)
            for _ in range(10 if way == "far" else 0):
                self.post(pygame.MOUSEWHEEL, x=0, y=1, flipped=False)
        self.post(pygame.KEYDOWN, key=pygame.K_f, mod=0, unicode="f")
        self.post(pygame.KEYUP, key=pygame.K_f, mod=0)
        self._during(
            app, "zoom", lambda n: self.post(pygame.MOUSEWHEEL, x=0, y=1 if n % 48 < 24 else -1, flipped=False)
        )
        self.phase = "end"
        self.done.set()
        app.running = False
        self.post(pygame.USEREVENT)

    def _during(self, app: Any, phase: str, act: Any, enough: int = ENOUGH) -> None:
        import pygame

        time.sleep(0.4)
        self.phase, self.frames = phase, 0
        began, n = time.perf_counter(), 0
        while time.perf_counter() - began < (self.seconds if self.frames >= enough else PATIENCE):
            if app.state.snapshot.finished:  # beside a worker that rests a frame costs less: from the start again
                self.phase = "between"
                self.post(pygame.KEYDOWN, key=pygame.K_r, mod=0, unicode="r")
                self.post(pygame.KEYUP, key=pygame.K_r, mod=0)
                time.sleep(0.5)
                self.phase = phase
            act(n)
            n += 1
            time.sleep(1 / 60)
        self.phase = "between"
        if self.frames < enough:
            words = f"{phase}: {self.frames} frames were drawn in {PATIENCE:g} s, {enough} are needed"
            self.troubles.append(words + ("; the run had finished" if app.state.snapshot.finished else ""))


def window(path: str, seconds: float, size: tuple[int, int], scale: float) -> dict[str, Any]:
    """The measurements of one window, by phase."""
    import pygame

    from rlgrid.window import launch
    from rlgrid.window.app import App
    from rlgrid.window.link import Link
    from rlgrid.window.preparing import Preparation

    driver = Driver(seconds)
    frames: dict[str, list[tuple[float, float]]] = {}
    latencies: list[float] = []

    class Measured(App):
        """An app that notes when its frames begin and which inputs it has taken."""

        began = (0.0, 0.0)
        handled = (0.0, 0.0)  # wall clock and processor time of the events since the last frame
        taken: list[float]

        def update(self) -> None:
            self.began = (time.perf_counter(), time.thread_time())
            super().update()

        def handle(self, event: Any) -> None:
            if hasattr(event, "posted") and driver.phase in ("pan far", "pan near", "zoom"):
                self.taken.append(event.posted)
            wall, used = time.perf_counter(), time.thread_time()
            super().handle(event)
            self.handled = (
                self.handled[0] + time.perf_counter() - wall,
                self.handled[1] + time.thread_time() - used,
            )

    link = Link()
    link.start()
    app = Measured(link, size)
    app.rescale(scale)
    app.taken = []
    preparation = Preparation()
    app.scene.ready, app.scene.in_turns, link.prepare = preparation.ready, True, app.inbox.prepare
    app.open(path, "value_iteration")
    app.set_speed(float("inf"))
    screen = launch.open_window(size, "benchmark")
    assert screen is not None

    def shown(real: Any) -> Any:
        def show(*arguments: Any) -> None:
            real(*arguments)
            now, used = time.perf_counter(), time.thread_time()
            took = (now - app.began[0] + app.handled[0], used - app.began[1] + app.handled[1])
            frames.setdefault(driver.phase, []).append(took)
            app.handled = (0.0, 0.0)
            driver.frames += 1
            latencies.extend(now - posted for posted in app.taken)
            app.taken = []
            if app.state.snapshot.count > 3 and preparation.ready():
                driver.ready.set()

        return show

    pygame.display.flip, pygame.display.update = shown(pygame.display.flip), shown(pygame.display.update)
    threading.Thread(target=driver.run, args=(app,), daemon=True).start()
    launch._loop(app, screen, time.perf_counter(), False)
    sweeps = app.state.snapshot.count
    link.close()
    preparation.close()
    troubles = driver.troubles + ([f"the run has failed: {app.state.error}"] if app.state.error else [])
    name = pygame.display.get_driver()
    return {"frames": frames, "latencies": latencies, "sweeps": sweeps, "driver": name, "troubles": troubles}


def alone(path: str, seconds: float) -> dict[str, Any]:
    """Sweeps a second without any window, at the worker's priority: a busy machine treats both alike."""
    from rlgrid.agents import agent_class
    from rlgrid.envs.gridworld import from_map
    from rlgrid.window.places import find_place
    from rlgrid.window.worker import NICENESS

    if hasattr(os, "nice"):
        os.nice(NICENESS)
    kind: Any = agent_class("value_iteration")
    agent = kind(env=from_map(model=find_place(path).model), seed=0)
    agent.advance(2)
    sweeps, used, began, end = 0, time.process_time(), time.perf_counter(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        done = agent.advance(10)
        sweeps += done
        if not done:  # solved: from the start again
            agent.begin(None)
    return {"rate": sweeps / (time.process_time() - used), "wall": sweeps / (time.perf_counter() - began)}


def watched(path: str, seconds: float) -> dict[str, Any]:
    """Sweeps a second while a window shows them, of the worker's thread that sweeps and publishes, at three moments.

    "values" are shown first. "searching": then the layer of errors, from when it is asked for to when V* is there and
    no more policies are judged, which another thread of the worker does. "known": the same layer from then on. Each
    takes ``seconds`` at the most, and a run that is solved begins again. What lies between two snapshots is counted.
    """
    import pygame

    from rlgrid.window.app import App
    from rlgrid.window.link import Link

    link = Link()
    app = App(link, (1280, 800))
    app.open(path, "value_iteration")
    app.set_speed(float("inf"))
    pygame.display.init()
    screen = pygame.display.set_mode((1280, 800))
    before: tuple[int, float, float] | None = None  # count, processor time and time at the last snapshot

    def look(sums: list[float]) -> None:
        """A frame; what was swept and used since the last snapshot is added up."""
        nonlocal before
        shown = app.state.snapshot
        app.update()
        if app.state.snapshot is not shown:
            shown = app.state.snapshot
            now = shown.count, processor_seconds(link.process.pid, main_thread=True), time.perf_counter()
            if before is not None and now[0] > before[0] and not shown.finished:
                sums[:] = [total + b - a for total, a, b in zip(sums, before, now, strict=True)]
            before = now
            if shown.finished:
                app.do("start")
                before = None
        screen.blit(app.draw(), (0, 0))
        pygame.display.flip()
        time.sleep(1 / 60)

    def judged() -> bool:
        shown = app.state.snapshot
        return shown.optimal is not None and bool(shown.trouble)

    found: dict[str, Any] = {}
    while app.state.snapshot.count < 20:
        look([0.0] * 3)
    for moment in ("values", "searching", "known"):
        if moment == "searching":
            app.state.layer = "error"
        sums, end = [0.0] * 3, time.perf_counter() + seconds
        while time.perf_counter() < end and not (moment == "searching" and judged()):
            look(sums)
        found[moment] = {"rate": sums[0] / max(sums[1], 1e-9), "wall": sums[0] / max(sums[2], 1e-9), "sweeps": sums[0]}
    found["V*"] = judged()
    link.close()
    return found


def idle(seconds: float) -> dict[str, Any]:
    """The share of a core that a world of 4 x 4 takes once it is solved: window and worker."""
    import pygame

    from rlgrid.window import launch
    from rlgrid.window.app import App
    from rlgrid.window.link import Link

    link = Link()
    app = App(link, (1280, 800))
    app.open("rlgrid/FrozenLake-v1", "value_iteration", 200.0)
    pygame.display.init()
    screen = pygame.display.set_mode((1280, 800))
    found: dict[str, Any] = {}

    def measure() -> None:
        while not app.state.snapshot.finished:
            time.sleep(0.1)
        time.sleep(3.0)
        for name, do in (("playing", None), ("paused", "play")):
            if do is not None:
                app.do(do)
                time.sleep(0.5)
            used, began = time.process_time() + processor_seconds(link.process.pid), time.perf_counter()
            time.sleep(seconds)
            spent = time.process_time() + processor_seconds(link.process.pid) - used
            found[name] = 100 * spent / (time.perf_counter() - began)
        app.running = False

    threading.Thread(target=measure, daemon=True).start()
    launch._loop(app, screen, time.perf_counter(), False)
    link.close()
    return found


def closing(path: str) -> dict[str, Any]:
    """Milliseconds from the wish to close to nothing being left, while the worker sweeps."""
    import pygame

    from rlgrid.window.app import App
    from rlgrid.window.link import Link

    took = []
    for wait in (0.0, 0.3, 2.0, 3.0):
        link = Link()
        app = App(link, (1280, 800))
        app.open(path, "value_iteration")
        app.set_speed(float("inf"))
        pygame.display.init()
        pygame.display.set_mode((1280, 800))
        end = time.perf_counter() + wait
        while time.perf_counter() < end:
            app.update()
            time.sleep(0.01)
        process, began = link.process, time.perf_counter()
        pygame.display.quit()
        link.close()
        took.append(1000 * (time.perf_counter() - began))
        assert link.process is None or not process.is_alive()
    return {"most": max(took)}


# --- the figures ------------------------------------------------------------------------------------------------------


def show(what: str, value: float, target: float | None, unit: str) -> bool:
    """A line of the result; whether its target, if it has one, is met."""
    verdict = "" if target is None else f"   (at most {target:g} {unit}{'' if value <= target else ': MISSED'})"
    print(f"{what:<58} {value:8.2f} {unit}{verdict}", flush=True)
    return target is None or value <= target


def share(values: list[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def child(part: str, path: str, seconds: float, driver: str, *more: str) -> dict[str, Any]:
    """What a fresh process measures."""
    command = [sys.executable, __file__, "--child", part, path, str(seconds), *more]
    environment = os.environ | {"SDL_VIDEODRIVER": driver, "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def print_frames(path: str, seconds: float, driver: str, size: tuple[int, int], scale: float) -> bool:
    """Frames and latency under one driver of the display; whether every phase was drawn, and within its targets."""
    met = True
    found = child("frames", path, seconds, driver, "--size", f"{size[0]}x{size[1]}", "--scale", str(scale))
    shown = f"{size[0]} x {size[1]}" + (f", scale {scale:g}" if scale != 1.0 else "")
    print(f"\n{SIDE} x {SIDE} cells, value iteration at full speed, {shown}, display: {found['driver']}")
    for phase, pairs in found["frames"].items():
        if phase in ("start", "between", "end"):
            continue
        wall, used = ([1000 * pair[k] for pair in pairs] for k in (0, 1))
        show(f"{phase}: work of a frame, p50 ({len(pairs)} frames)", share(wall, 0.5), None, "ms")
        met &= show(f"{phase}: p99", share(wall, 0.99), FRAME, "ms")
        show(f"{phase}: p99 of processor time", share(used, 0.99), None, "ms")
        show(f"{phase}: max", max(wall), None, "ms")
    latencies = [1000 * latency for latency in found["latencies"]]
    show(f"input to picture, p50 ({len(latencies)} inputs)", share(latencies, 0.5), None, "ms")
    met &= show("input to picture, p99", share(latencies, 0.99), LATENCY, "ms")
    for trouble in found["troubles"]:
        print(f"MISSED: {trouble}")
    return met and not found["troubles"]


def print_slowdown(path: str, seconds: float) -> bool:
    """What the window costs the solver, in alternating turns with and without it; medians of three turns. Whether all
    was measured, and within its target."""
    complete = True
    os.environ["RLGRID_NUM_THREADS"] = "1"
    turns = [[child(part, path, seconds, "dummy") for part in ("alone", "watched")] for _ in range(3)]
    free = statistics.median(turn[0]["rate"] for turn in turns)
    show("sweeps a second of processor time, alone", free, None, "/s")
    for moment, words in (
        ("values", "values shown"),
        ("searching", "V* searched for, policies judged"),
        ("known", "errors to V* shown"),
    ):
        met = [turn[1][moment] for turn in turns]
        if not all(one["sweeps"] for one in met):
            print(f"in the window, {words}: too short a time to measure; give more --seconds")
            complete = False
            continue
        seen = statistics.median(one["rate"] for one in met)
        show(f"in the window, {words} ({sum(one['sweeps'] for one in met):.0f} sweeps)", seen, None, "/s")
        complete &= show("slowdown of the solver, of processor time", 100 * (1 - seen / free), SLOWDOWN, "%")
        lost = [1 - turn[1][moment]["wall"] / turn[0]["wall"] for turn in turns]
        show("the same by the clock", 100 * statistics.median(lost), None, "%")
    if not all(turn[1]["V*"] for turn in turns):
        print("V* was not found in time")
        complete = False
    return complete


def main() -> int:
    """Print every figure with its target; 1 if something was not measured or misses its target."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=6.0, help="of each phase (default 6)")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--size", default="1280x800", help="of the window whose frames are measured")
    options.add_argument("--scale", type=float, default=1.0, help="of its letters and controls")
    options.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    width, _, height = chosen.size.partition("x")
    size, scale, complete = (int(width), int(height)), chosen.scale, True
    if chosen.child:
        part, path, seconds = chosen.child[0], chosen.child[1], float(chosen.child[2])
        measures: dict[str, Any] = {
            "frames": lambda: window(path, seconds, size, scale),
            "alone": lambda: alone(path, seconds),
            "watched": lambda: watched(path, seconds),
            "idle": lambda: idle(seconds),
            "closing": lambda: closing(path),
        }
        print(json.dumps(measures[part]()))
        return 0
    print(f"load of the machine before: {os.getloadavg()[0]:.2f}, cores: {os.cpu_count()}")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "large.toml")
        Path(path).write_text(a_map(SIDE), encoding="utf-8")
        if "frames" in chosen.parts:
            lasting = str(Path(folder) / "lasting.toml")
            Path(lasting).write_text(a_map(SIDE, slip=0.1), encoding="utf-8")
            complete &= print_frames(lasting, chosen.seconds, "dummy", size, scale)
            if os.environ.get("DISPLAY"):
                complete &= print_frames(lasting, chosen.seconds, "x11", size, scale)
            elif shutil.which("Xvfb"):
                name = f":{90 + os.getpid() % 900}"
                server = subprocess.Popen(
                    ["Xvfb", name, "-screen", "0", f"{width}x{height}x24"], stderr=subprocess.DEVNULL
                )
                try:
                    time.sleep(1.0)
                    os.environ["DISPLAY"] = name
                    complete &= print_frames(lasting, chosen.seconds, "x11", size, scale)
                finally:
                    del os.environ["DISPLAY"]
                    server.terminate()
                    server.wait()
        if "slowdown" in chosen.parts:
            print()
            complete &= print_slowdown(path, chosen.seconds)
        if "idle" in chosen.parts:
            found = child("idle", path, chosen.seconds, "dummy")
            print()
            complete &= show("idle, 4 x 4, solved and playing: share of a core", found["playing"], IDLE, "%")
            complete &= show("idle, paused", found["paused"], IDLE, "%")
        if "closing" in chosen.parts:
            complete &= show(
                "closing, worst of four moments", child("closing", path, 0.0, "dummy")["most"], CLOSING, "ms"
            )
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
