"""A program that kills runs at random moments and resumes them until they are done, for the tests.

    python tests/kill_runs.py FOLDER COUNT SEED

It writes one run that is left alone, then runs that are killed with SIGKILL while they learn, evaluate and save, each
resumed and killed again until it ends by itself, COUNT kills in all. It prints a JSON object: kills, how many of
them lost something that was not yet saved, the most that one lost in checkpoint intervals, and the files of ended
runs that differ from those of the run that was left alone. Runs are forked from this process, which has compiled all.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rlgrid import training
from rlgrid.agents.checkpoint import read

STEPS, SAVE, EVAL = 60_000, 4_000, 6_000
CONFIG = training.RunConfig(
    algo="q_learning",
    env="rlgrid/FrozenLake-v1",
    n_timesteps=STEPS,
    seed=7,
    hyperparameters={"learning_rate": "lin_0.3"},
    eval_freq=EVAL,
    eval_episodes=2,
    save_freq=SAVE,
)


def quietly(text: str) -> None:
    pass


def run(folder: Path) -> None:
    """Begin the run of a folder, or go on with it."""
    training.train(CONFIG, folder, said=quietly, resume=(folder / training.CONFIG).is_file())


def contents(folder: Path) -> dict[str, Any]:
    """The files of a run but for the times in them."""
    found: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.name in {training.CHECKPOINT, training.ARRAYS}:
            found[path.name] = path.read_bytes()
        elif path.suffix == ".csv":
            found[path.name] = [line.rpartition(",")[0] for line in path.read_text().splitlines()[1:]]
        else:
            found[path.name] = None
    return found


def forked(folder: Path) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            run(folder)
            status = 0
        os._exit(status)
    return pid


def steps_in(folder: Path) -> int:
    """Steps of the checkpoint; a torn one raises its error."""
    if not (folder / training.CHECKPOINT).is_file():
        return 0
    return int(read(folder / training.CHECKPOINT)[1]["run"]["num_timesteps"])


def steps_told(folder: Path) -> int:
    """The steps of the episodes in monitor.csv: the run had come so far at least."""
    if not (folder / training.MONITOR).is_file():
        return 0
    rows = [line.split(",") for line in (folder / training.MONITOR).read_text().split("\n")[2:-1]]
    return sum(int(row[1]) for row in rows)


def main(folder: Path, count: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    whole = folder / "whole"
    whole.mkdir(parents=True)
    run(whole)
    begin = time.perf_counter()
    timed = folder / "timed"
    timed.mkdir()
    os.waitpid(forked(timed), 0)
    length = time.perf_counter() - begin
    expected = contents(whole)
    kills = lost = ended = 0
    most = 0.0
    wrong: list[str] = []
    while kills < count or ended == 0:
        at = folder / f"run_{ended}"
        at.mkdir(exist_ok=True)
        pid = forked(at)
        if kills < count:
            time.sleep(rng.random() * length * 0.5)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            kills += 1
            gone = max(0, steps_told(at) - steps_in(at))
            lost += gone > 0
            most = max(most, gone / SAVE)
        elif os.WEXITSTATUS(status) != 0:
            wrong.append(f"{at.name} failed")
            ended += 1
        else:
            wrong += [f"{at.name}: {n}" for n, c in contents(at).items() if c != expected.get(n, "not there")]
            ended += 1
    return {"kills": kills, "lost": lost, "most": most, "ended": ended, "wrong": wrong, "seconds": length}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
