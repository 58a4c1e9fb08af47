"""The worker process: what it answers, how it fails, and that nothing of it is left when the window closes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

from rlgrid.window.engine import Engine, Scenario
from rlgrid.window.snapshot import TABLES, Tables
from rlgrid.window.state import Snapshot
from rlgrid.window.worker import Link

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds, for kernels that are compiled


@pytest.fixture
def link():
    link = Link()
    yield link
    link.close()


def until(link, condition, seconds=PATIENCE):
    """Messages until one of them is what was waited for; that one."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for message in link.receive():
            if condition(message):
                return message
            assert message[0] != "failed", message
        time.sleep(0.005)
    raise AssertionError("the worker did not answer in time")


def snapshot_of(count):
    return lambda message: message[0] == "snapshot" and message[2].count >= count


@pytest.mark.parametrize("agent", ["value_iteration", "q_learning", "dqn"])
def test_an_agent_from_end_to_end(link, agent):
    link.load(Scenario("rlgrid/FrozenLake-v1", agent=agent, seed=1), True, math.inf)
    world = until(link, lambda message: message[0] == "world")
    assert world[2]["num_states"] == 16
    assert {"gamma", "slip", "step_reward"} <= {p.name for p in world[3]}
    shot = until(link, snapshot_of(3))[2]
    assert shot.values.shape == (16,)
    assert shot.q_values.shape == shot.greedy.shape == (16, 4)
    link.inspect(14)
    outcomes = until(link, lambda message: message[0] == "outcomes")
    assert outcomes[2] == 14
    assert all(math.isclose(sum(p for p, *_ in each), 1.0) for each in outcomes[3])
    link.send("play", False)
    link.send("change", "gamma", 0.9)
    parameters = until(link, lambda message: message[0] == "parameters" and message[3]["version"] == 2)[2]
    assert next(p for p in parameters if p.name == "gamma").value == 0.9
    judged = until(link, lambda message: message[0] == "snapshot" and message[2].regret is not None)[2]
    assert judged.optimal is not None
    link.send("reset")
    assert until(link, lambda message: message[0] == "snapshot" and message[2].count == 0)[2].values is None
    link.send("step")
    assert until(link, snapshot_of(1))[2].count == 1


def test_the_worker_computes_what_the_engine_does(link):
    scenario = Scenario("rlgrid/CliffWalking-v1", agent="q_learning", seed=3)
    link.load(scenario, False, 8.0)
    for _ in range(3):
        link.send("episode")
    shot = until(link, lambda message: message[0] == "snapshot" and message[2].episodes == 3)[2]
    engine = Engine(scenario, patient=True)
    for _ in range(3):
        engine.episode()
    assert shot.count == engine.agent.num_timesteps
    assert np.array_equal(shot.q_values, engine.agent.q_values)
    assert np.array_equal(shot.visits, engine.agent.visits)


def test_worlds_can_be_changed_while_one_runs(link):
    link.load(Scenario("rlgrid/FourRooms-v0"), True, math.inf)
    until(link, snapshot_of(2))
    link.load(Scenario("rlgrid/CliffWalking-v1", agent="q_learning"), True, 1000.0)
    shot = until(link, snapshot_of(1))[2]
    assert shot.values.shape == (48,)


def test_a_refused_change_is_said_and_nothing_stops(link):
    link.load(Scenario("rlgrid/FourRooms-v0"), True, 20.0)
    until(link, snapshot_of(1))
    link.send("change", "gamma", 1.5)
    assert "1.5" in until(link, lambda message: message[0] == "refused")[1]
    link.send("speed", 100.0)
    until(link, snapshot_of(10))


def test_what_cannot_be_built_fails_in_words_and_the_next_run_works(link):
    link.load(Scenario("broken", map_text="this is no map"), True, 8.0)
    assert "line 1" in until(link, lambda message: message[0] == "failed")[1]
    link.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
    until(link, snapshot_of(1))


def test_a_worker_that_dies_is_said_and_the_next_one_starts(link):
    link.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
    until(link, snapshot_of(1))
    link.process.kill()
    assert "ended by itself" in until(link, lambda message: message[0] == "failed")[1]
    link.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
    until(link, snapshot_of(1))


def test_closing_takes_no_time_whatever_runs(link):
    link.load(Scenario("rlgrid/FourRooms-v0", agent="dqn"), True, math.inf)
    until(link, snapshot_of(1))
    process, memory = link.process, link._tables.name
    pid = process.pid
    began = time.perf_counter()
    link.close()
    assert time.perf_counter() - began < 0.2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(FileNotFoundError):
        SharedMemory(memory)
    link.close()  # twice is once


def test_tables_go_through_shared_memory():
    rng = np.random.default_rng(0)
    shot = Snapshot(
        count=7,
        values=rng.random(6),
        q_values=rng.random((6, 3)),
        greedy=rng.random((6, 3)) < 0.5,
        visits=rng.integers(0, 9, 6),
        walker=2,
        metrics={"loss": 0.5},
    )
    ours = Tables(6, 3)
    theirs = Tables(6, 3, ours.name)
    present, rest = theirs.write(shot)
    assert set(present) == {"values", "q_values", "greedy", "visits"}
    assert all(getattr(rest, name) is None for name in TABLES)
    got = ours.read(present, rest)
    assert (got.count, got.walker, got.metrics) == (7, 2, {"loss": 0.5})
    for name in present:
        assert np.array_equal(getattr(got, name), getattr(shot, name))
        assert getattr(got, name).dtype == getattr(shot, name).dtype
    theirs.close()
    ours.close()


SCRIPT = """
import os, time
os.environ["SDL_VIDEODRIVER"] = "dummy"
import rlgrid
from rlgrid.window.worker import Link
from rlgrid.window.engine import Scenario
link = Link()
link.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
end = time.time() + 60
while time.time() < end and not any(m[0] == "snapshot" for m in link.receive()):
    time.sleep(0.01)
print("seen", link.process.pid)
{end}
"""


@pytest.mark.parametrize("end", ["link.close()", "", "os._exit(3)"])
def test_scripts_without_a_main_guard_work_and_leave_nothing(tmp_path, end):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(end=end))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout.count("seen") == 1
    if end != "os._exit(3)":
        assert done.returncode == 0
        assert done.stderr == ""
    pid = int(done.stdout.split()[1])
    deadline = time.perf_counter() + 5.0
    while time.perf_counter() < deadline and Path(f"/proc/{pid}").exists():
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
