"""The same call on a cluster: Dask's and Ray's workers on loopback, one of them killed in the middle."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import pytest

import rlgrid
from rlgrid.many import LearnError
from rlgrid.training import RunError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LAKE = "rlgrid/FrozenLake-v1"
DASK = (sys.executable, "-m", "dask")
SCHEDULER = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")


@contextlib.contextmanager
def started(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen([*DASK, *command], stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def waited_for(log: Path, pattern: str) -> str:
    """What a pattern matches in a log, once it does."""
    for _ in range(600):
        found = re.search(pattern, log.read_text()) if log.exists() else None
        if found:
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


class Cluster(NamedTuple):
    """A scheduler on loopback and its two workers."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Workers whose own processes run the tasks, with no nanny that would start them again."""
    pytest.importorskip("distributed")
    log = tmp_path / "scheduler.log"
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(started(*SCHEDULER, log=log))
        address = waited_for(log, r"Scheduler at:\s+tcp://(127\.0\.0\.1:\d+)")
        workers = []
        for number in range(2):
            own = tmp_path / f"worker{number}.log"
            words = ("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory")
            workers.append(stack.enter_context(started(*words, str(tmp_path), log=own)))
            waited_for(own, r"(Registered to)")
        yield Cluster(address, scheduler, workers)


def test_every_seed_comes_once_though_a_worker_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "runs"

    def kill_in_the_middle() -> None:
        while len(list(folder.glob("*.npz"))) < 10:
            time.sleep(0.01)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    seeds = range(60)
    runs = rlgrid.learn_many("q_learning", LAKE, seeds, 200_000, backend="dask", address=cluster.address, folder=folder)
    killer.join()
    assert cluster.workers[0].wait(10) == -signal.SIGKILL
    assert cluster.workers[1].poll() is None
    assert [run.seed for run in runs] == list(seeds)
    alone = rlgrid.learn_many("q_learning", LAKE, seeds, 200_000, n_jobs=1)
    assert all(a.same(b) for a, b in zip(runs, alone, strict=True))
    kept = rlgrid.Runs.load(folder)
    assert all(a.same(b) for a, b in zip(kept, alone, strict=True))


def test_a_scheduler_that_is_lost_is_named_and_nothing_else_is(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "runs"

    def kill_in_the_middle() -> None:
        while len(list(folder.glob("*.npz"))) < 10:
            time.sleep(0.01)
        cluster.scheduler.kill()

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    with pytest.raises(LearnError, match=r"the Dask scheduler at .* was lost: start it again") as caught:
        rlgrid.learn_many(
            "q_learning", LAKE, range(200), 200_000, backend="dask", address=cluster.address, folder=folder
        )
    killer.join()
    kept = rlgrid.Runs.load(folder)
    assert 10 <= len(kept) < 200
    assert [run.seed for run in kept] == [run.seed for run in caught.value.runs]
    assert len(rlgrid.learn_many("q_learning", LAKE, range(20), 200_000, n_jobs=1, folder=folder)) == 20


def test_a_scheduler_without_workers_or_none_at_all_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("rlgrid.engines.CONNECT_SECONDS", 1)
    with pytest.raises(RunError, match=r"no Dask scheduler answers at 127\.0\.0\.1:9: start one with `dask scheduler`"):
        rlgrid.learn_many("q_learning", LAKE, range(2), 100, backend="dask", address="127.0.0.1:9")
    with pytest.raises(RunError, match="give the address of its scheduler"):
        rlgrid.learn_many("q_learning", LAKE, range(2), 100, backend="dask")
    log = tmp_path / "scheduler.log"
    with started(*SCHEDULER, log=log):
        address = waited_for(log, r"Scheduler at:\s+tcp://(127\.0\.0\.1:\d+)")
        with pytest.raises(RunError, match=f"has no workers: start some with `dask worker {address}`"):
            rlgrid.learn_many("q_learning", LAKE, range(2), 100, backend="dask", address=address)


def mortal(folder: Path, home: int) -> gym.Env[Any, Any]:
    """A frozen lake; the process of the first that is made after five runs are done is killed, but for `home`."""
    mark = folder / "killed"
    if os.getpid() != home and len(list(folder.glob("*.npz"))) >= 5 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return gym.make(LAKE)


def test_ray_gives_the_same_though_a_worker_is_killed(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        env = partial(mortal, tmp_path, os.getpid())
        runs = rlgrid.learn_many("q_learning", env, range(40), 20_000, backend="ray", n_jobs=2, folder=tmp_path)
    finally:
        ray.shutdown()
    assert (tmp_path / "killed").exists()
    assert [run.seed for run in runs] == list(range(40))
    alone = rlgrid.learn_many("q_learning", LAKE, range(40), 20_000, n_jobs=1)
    assert all(a.same(b) for a, b in zip(runs, alone, strict=True))
