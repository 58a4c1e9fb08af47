"""Files from strangers: whatever is altered in them, they are read or refused, and nothing else happens.

The programs that do it say what is watched; more files, or others, are a command away:

    python tests/fuzz_checkpoints.py FOLDER 100000 SEED
    python tests/fuzz_files.py FOLDER 100000 SEED
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rlgrid.agents import AGENTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="address space is limited as Linux does it"),
]

HERE = Path(__file__).parent


def found_by(program: str, folder: Path, *words: int) -> dict[str, Any]:
    command = [sys.executable, str(HERE / program), str(folder), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_altered_checkpoints_of_every_agent_load_and_learn_or_are_refused(tmp_path: Path) -> None:
    count = 5_000
    found = found_by("fuzz_checkpoints.py", tmp_path, count, 1)
    assert found["failures"] == []
    assert set(found["results"]) == set(AGENTS)
    assert sum(sum(each.values()) for each in found["results"].values()) == count
    for algo, each in found["results"].items():  # enough of both for each agent
        assert each["refused"] > 0.2 * count / len(AGENTS), algo
        assert each["loaded"] > 0.05 * count / len(AGENTS), algo


def test_altered_files_beside_a_checkpoint_are_read_or_refused(tmp_path: Path) -> None:
    found = found_by("fuzz_files.py", tmp_path / "files", 1_600, 1)
    assert found["failures"] == []
    for name, each in found["results"].items():
        assert each["refused"] > 20, name
        assert each["read"] > 5, name
