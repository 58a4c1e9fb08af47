"""How long a person waits: ``import rlgrid``, the first frame of play.py, the first learning on the screen.

    python benchmarks/startup.py

Each figure is the median of several fresh processes. Cold means an empty folder of compiled kernels, warm means one
that a recorded scene has filled; files of the operating system are warm in both. play.py needs a screen: without one
the benchmark starts an X server of its own (xvfb-run), where that is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORTS, STARTS = 9, 3


def seconds_of(command: list[str], environment: dict[str, str]) -> float:
    """Wall time of a process that has to succeed."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def import_seconds() -> float:
    """Median time of ``import rlgrid`` alone, as the interpreter itself measures it."""
    code = "import time; t = time.perf_counter(); import rlgrid; print(time.perf_counter() - t)"
    found = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        for _ in range(IMPORTS)
    ]
    return statistics.median(found)


def start_of_play(cache: Path) -> tuple[float, float]:
    """(first frame, learning visible) of play.py in seconds after it began, with the interpreter's own start added."""
    command = [sys.executable, "play.py", "--profile-start"]
    environment = os.environ | {"RLGRID_CACHE_DIR": str(cache)}
    environment.pop("SDL_VIDEODRIVER", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=120)
    found = re.search(r"first frame after ([\d.]+) s.*learning visible after ([\d.]+) s", done.stdout, re.DOTALL)
    if found is None:
        raise SystemExit(f"play.py --profile-start did not say how long it took:\n{done.stdout}{done.stderr}")
    bare = seconds_of([sys.executable, "-c", "import rlgrid.window.launch"], dict(os.environ))
    return float(found[1]) + bare, float(found[2]) + bare


def show(what: str, seconds: float, limit: float) -> None:
    """A line of the result."""
    print(f"{what:<42} {seconds:6.2f} s   (at most {limit:g} s{'' if seconds <= limit else ': MISSED'})", flush=True)


def main() -> None:
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        server = shutil.which("xvfb-run")
        if server is None:
            show("import rlgrid", import_seconds(), 0.6)
            raise SystemExit("play.py needs a screen: run this in a desktop, or install xvfb-run")
        os.execv(server, [server, "-a", "-s", "-screen 0 1920x1200x24", sys.executable, __file__])
    show("import rlgrid", import_seconds(), 0.6)
    cold, warm = [], []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(start_of_play(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        scene = [sys.executable, "play.py", "--record", str(Path(folder) / "scene.png"), "--seconds", "3"]
        seconds_of(scene, os.environ | {"RLGRID_CACHE_DIR": folder})
        warm += [start_of_play(Path(folder)) for _ in range(STARTS)]
    for what, found, limit in (("cold", cold, 10.0), ("warm", warm, 2.0)):
        show(f"play.py, {what} kernels: first frame", statistics.median(first for first, _ in found), 2.0)
        show(f"play.py, {what} kernels: learning visible", statistics.median(seen for _, seen in found), limit)


if __name__ == "__main__":
    main()
