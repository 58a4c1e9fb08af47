"""A program that kills runs at random moments and resumes them until they are done, for the tests.

    python tests/kill_runs.py FOLDER COUNT SEED AGENTS

For each of the first AGENTS of `RUNS`, which keep different things between two steps, it writes one run that is left
alone, then runs that are killed with SIGKILL, each resumed and killed again until it ends by itself, COUNT kills in
all. Every other kill comes at a random moment, the others are aimed at a moment at which a file is being written. After
each kill, every file of the run is read. It prints a JSON object:
    kills, saving    kills, and how many of them met a file half written (the run says so in memory that both share)
    lost, most       how many lost steps that were not yet saved, and the most that one lost, in checkpoint intervals
    ended, wrong     runs that ended, and what of theirs differs from the run that was left alone; torn files
    agents           kills of each agent
Runs are forked from this process, which has compiled all.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlgrid import archive, training
from rlgrid.agents import checkpoint
from rlgrid.agents.checkpoint import read

CONFIG = training.RunConfig(
    algo="q_learning",
    env="rlgrid/FrozenLake-v1",
    n_timesteps=60_000,
    seed=7,
    hyperparameters={"learning_rate": "lin_0.3"},
    eval_freq=6_000,
    eval_episodes=2,
    save_freq=4_000,
)
LONG = {"max_episode_steps": 2_000}  # so that an episode outlasts several checkpoints
SMALL = {"buffer_size": 500, "learning_starts": 100, "batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}}
RUNS = (
    CONFIG,
    replace(CONFIG, algo="true_online_sarsa_lambda", hyperparameters={"learning_rate": 0.2}),
    replace(CONFIG, algo="dyna_q", n_timesteps=20_000, eval_freq=3_000, save_freq=2_000, hyperparameters={}),
    replace(
        CONFIG,
        algo="monte_carlo",
        env="rlgrid/FourRooms-v0",
        env_kwargs=LONG,
        n_timesteps=20_000,
        eval_freq=1_500,
        save_freq=700,
        hyperparameters={},
    ),
    replace(CONFIG, algo="dqn", n_timesteps=3_000, eval_freq=900, save_freq=400, hyperparameters=SMALL),
)


def quietly(text: str) -> None:
    pass


def run(folder: Path, config: training.RunConfig = CONFIG) -> None:
    """Begin the run of a folder, or go on with it."""
    training.train(config, folder, said=quietly, resume=(folder / training.CONFIG).is_file())


def contents(folder: Path) -> dict[str, Any]:
    """The files of a run but for the times in them."""
    found: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.suffix == ".csv":
            _, *lines = path.read_text().splitlines()
            found[path.name] = [line.rpartition(",")[0] for line in lines]
        else:
            found[path.name] = path.read_bytes()
    return found


class Told:
    """What a run tells of itself in memory that outlives it: whether it is writing a file, and its steps."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    def reset(self) -> None:
        self._memory[:16] = bytes(16)

    @property
    def writing(self) -> bool:
        return self._memory[0] == 1

    @property
    def steps(self) -> int:
        return int(struct.unpack("q", self._memory[8:16])[0])

    def listen(self) -> None:
        """Have this process tell."""

        def telling(write: Callable[..., None]) -> Callable[..., None]:
            def told(*words: Any) -> None:
                self._memory[0] = 1
                write(*words)
                self._memory[0] = 0

            return told

        for module in (training, archive, checkpoint):
            module.write_atomically = telling(module.write_atomically)  # type: ignore[attr-defined]
        training.append = telling(training.append)  # type: ignore[attr-defined]
        step = training.Logbook._on_step

        def on_step(book: training.Logbook) -> bool:
            self._memory[8:16] = struct.pack("q", book.model.num_timesteps)
            return step(book)

        training.Logbook._on_step = on_step  # type: ignore[method-assign]


def forked(folder: Path, config: training.RunConfig, told: Told) -> int:
    told.reset()
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            told.listen()
            run(folder, config)
            status = 0
        os._exit(status)
    return pid


def steps_in(folder: Path) -> int:
    """Steps of the checkpoint; a file that is torn raises its error."""
    if (folder / training.CONFIG).is_file():
        training.read_config(folder)
    if (folder / training.ARRAYS).is_file():
        archive.read_arrays((folder / training.ARRAYS).read_bytes())
    if not (folder / training.CHECKPOINT).is_file():
        return 0
    return int(read(folder / training.CHECKPOINT)[1]["run"]["num_timesteps"])


def kill(pid: int, rng: random.Random, length: float, told: Told, aimed: bool) -> bool:
    """Kill a run at a random moment, or while it writes; whether a file was half written."""
    end = time.perf_counter() + rng.random() * length * 0.5
    while time.perf_counter() < end:
        time.sleep(0.0005)
    while aimed and not told.writing and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        pass
    if aimed:
        time.sleep(rng.random() * 0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return told.writing


def main(folder: Path, count: int, seed: int, kinds: int) -> dict[str, Any]:
    rng, told = random.Random(seed), Told()
    found: dict[str, Any] = {"kills": 0, "saving": 0, "lost": 0, "most": 0.0, "ended": 0, "wrong": []}
    agents: Counter[str] = Counter()
    for number, config in enumerate(RUNS[:kinds]):
        share = count * (number + 1) // kinds - count * number // kinds
        attack(folder / config.algo, config, share, rng, told, found, agents)
    return found | {"agents": agents}


def attack(
    folder: Path,
    config: training.RunConfig,
    count: int,
    rng: random.Random,
    told: Told,
    found: dict[str, Any],
    agents: Counter[str],
) -> None:
    """Kill runs of one agent ``count`` times, until the last one has ended."""
    for name in ("whole", "timed"):
        (folder / name).mkdir(parents=True)
    run(folder / "whole", config)
    begin = time.perf_counter()
    os.waitpid(forked(folder / "timed", config, told), 0)
    length = time.perf_counter() - begin
    expected = contents(folder / "whole")
    ended = 0
    while agents[config.algo] < count or ended == 0:
        at = folder / f"run_{ended}"
        at.mkdir(exist_ok=True)
        pid = forked(at, config, told)
        writing = False
        if agents[config.algo] < count:
            writing = kill(pid, rng, length, told, aimed=agents[config.algo] % 2 == 1)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            agents[config.algo] += 1
            found["kills"] += 1
            found["saving"] += writing
            try:
                gone = max(0, told.steps - steps_in(at))
            except Exception as error:
                found["wrong"].append(f"{config.algo} {at.name}: {error}")
                break
            found["lost"] += gone > 0
            found["most"] = max(found["most"], gone / config.save_freq)
            continue
        ended += 1
        if os.WEXITSTATUS(status) != 0:
            found["wrong"].append(f"{config.algo} {at.name} failed")
            continue
        ends = contents(at)
        names = {name for name in ends.keys() | expected if ends.get(name) != expected.get(name)}
        found["wrong"] += [f"{config.algo} {at.name}: {name}" for name in sorted(names)]
    found["ended"] += ended


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
