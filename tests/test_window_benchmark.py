"""The benchmark of the window says by its exit status whether everything was measured and met its target."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rlgrid.window import commands

PATH = Path(__file__).parent.parent / "benchmarks" / "window.py"
MOMENT = {"rate": 98.0, "wall": 98.0, "sweeps": 50}
FOUND = {
    "frames": {"frames": {"pan far": [[0.004, 0.003]] * 3}, "latencies": [0.01], "driver": "dummy", "troubles": []},
    "alone": {"rate": 100.0, "wall": 100.0},
    "watched": {"values": MOMENT, "searching": MOMENT, "known": MOMENT, "V*": True},
    "idle": {"playing": 3.0, "paused": 1.0},
    "closing": {"most": 60.0},
}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("window_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SIDE", 4)
    monkeypatch.setattr(sys, "argv", [str(PATH)])
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    for name in ("DISPLAY", "RLGRID_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    return module


@pytest.mark.parametrize(
    ("part", "missed", "status"),
    [
        ("idle", {}, 0),
        ("frames", {"frames": {"pan far": [[0.013, 0.003]]}}, 1),
        ("frames", {"latencies": [0.2]}, 1),
        ("frames", {"troubles": ["zoom: 3 frames were drawn"]}, 1),
        ("watched", {"values": MOMENT | {"rate": 89.0}}, 1),
        ("watched", {"known": MOMENT | {"sweeps": 0}}, 1),
        ("watched", {"V*": False}, 1),
        ("idle", {"paused": 5.1}, 1),
        ("closing", {"most": 201.0}, 1),
    ],
)
def test_what_misses_its_target_makes_the_exit_status_1(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, part: str, missed: dict[str, Any], status: int
) -> None:
    found = FOUND | {part: FOUND[part] | missed}
    monkeypatch.setattr(benchmark, "child", lambda which, *_: found[which])
    assert benchmark.main() == status


def test_its_commands_are_those_of_the_window() -> None:
    given = re.findall(r'\bdo\(f?"([a-z ]+)', PATH.read_text(encoding="utf-8"))
    assert {"start", "layer"} <= set(given) <= set(commands.COMMANDS)
