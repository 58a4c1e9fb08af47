"""Random events against the window as it runs, worker process and all, for so many minutes:

    python tests/soak_window.py 10 [seed]

With DISPLAY set it opens a window, else it runs without one. Every half minute it prints the memory of both processes
in MB; at the end it judges: no exception, an agent that still learns, and in the second half of the time no growth
beyond `GROWTH`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

GROWTH = 150.0  # MB, of each process: what caches, compiled kernels and kept pasts may take
EVENTS = 30.0  # groups of events a second
LINE = 30.0  # seconds between two lines


def memory(process: int) -> float:
    """MB of a process that lie in memory; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(minutes: float, seed: int) -> list[str]:
    """What was wrong."""
    import pygame
    from random_events import RandomEvents

    from rlgrid.window.app import App
    from rlgrid.window.worker import Link

    pygame.display.init()
    screen = pygame.display.set_mode((1280, 800), pygame.RESIZABLE)
    link = Link()
    app = App(link, (1280, 800), seed=seed)
    app.open("rlgrid/FourRooms-v0", "q_learning")
    events = RandomEvents(app, seed)
    began = time.perf_counter()
    end, line, due = began + 60 * minutes, began, began
    groups = failures = deaths = 0
    longest = 0.0
    worker = 0
    half: tuple[float, float] | None = None
    seen: set[str] = set()
    last_error = ""
    while (now := time.perf_counter()) < end:
        pygame.event.pump()
        if now >= due:
            due = max(due + 1 / EVENTS, now - 1.0)
            for event in events.next():
                app.handle(event)
            groups += 1
            app.running = True
        before = time.perf_counter()
        app.update()
        picture = app.draw()
        longest = max(longest, time.perf_counter() - before)
        screen.blit(picture, (0, 0))
        pygame.display.flip()
        state = app.state
        seen.add(f"{state.world_title}: {state.agent_title}")
        if state.error and state.error != last_error:
            failures += 1
            deaths += "ended by itself" in state.error
            print(f"  {state.world_title}, {state.agent_title}: {state.error[:160]}", flush=True)
        if state.error and groups % 60 == 0:
            app.do("start")  # as a user would
        last_error = state.error
        alive = link.process is not None and link.process.is_alive()
        if alive and link.process.pid != worker:
            worker, half = link.process.pid, None
        present = memory(os.getpid()), memory(worker)
        if half is None and now - began > 30 * minutes:
            half = present
        if now >= line:
            line += LINE
            print(
                f"{(now - began) / 60:5.1f} min, {groups:,} groups of events, window {present[0]:.0f} MB, "
                f"worker {present[1]:.0f} MB, longest frame {1000 * longest:.0f} ms, {len(seen)} runs, "
                f"{failures} errors shown",
                flush=True,
            )
            longest = 0.0
        time.sleep(max(0.0, min(0.016, due - time.perf_counter())))
    wrong = [f"{deaths} workers died"] * bool(deaths)
    if half is not None:
        for name, then, now_ in zip(("window", "worker"), half, present, strict=True):
            print(f"{name}: {then:.0f} MB at half time, {now_:.0f} MB at the end")
            if now_ - then > GROWTH:
                wrong.append(f"the {name} grew by {now_ - then:.0f} MB in the second half")
    app.state.menu, app.state.help = None, False
    app.state.playing = True
    app.open("rlgrid/FourRooms-v0", "q_learning", 1_000.0)
    app.state.awaited = ""
    patience = time.perf_counter() + 180.0  # the worker may be compiling
    while app.state.snapshot.count < 100 and time.perf_counter() < patience:
        app.update()
        time.sleep(0.02)
    if app.state.snapshot.count < 100:
        wrong.append(f"the agent does not learn any more ({app.state.error or app.state.doing or app.state.notice})")
    closing = time.perf_counter()
    link.close()
    pygame.display.quit()
    print(f"closed in {1000 * (time.perf_counter() - closing):.0f} ms")
    return wrong


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        wrong = soak(minutes, seed)
        left = sorted(path.name for path in Path(folder).iterdir())
        os.chdir("/")
    if left:
        wrong.append(f"files were written: {', '.join(left)}")
    for words in wrong:
        print("WRONG:", words)
    print("all well" if not wrong else "not well")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
