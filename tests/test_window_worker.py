"""The worker process: what it answers, how it fails, and that nothing of it is left when the window closes."""

from __future__ import annotations

import gc
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import numpy as np
import pygame
import pytest

from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.lanes import engine_of
from rlgrid.window.layers import coloured
from rlgrid.window.link import WAITING, Link, Sender, a_core_for_the_window, ending
from rlgrid.window.looking import HURRIED
from rlgrid.window.scenario import Scenario
from rlgrid.window.shown import UNASKED
from rlgrid.window.snapshot import TABLES, Tables, wanted
from rlgrid.window.state import Snapshot, State
from rlgrid.window.view import View
from rlgrid.window.worker import LONGEST, NICENESS, SHARE, Worker, engines_of, failure, sizes_of

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds, for kernels that are compiled


@pytest.fixture
def alone():
    """A window's end with a worker process of its own, which the test may stop and end."""
    link = Link()
    yield link
    link.close()


@pytest.fixture(scope="module")
def shared():
    link = Link()
    yield link
    link.close()


@pytest.fixture
def link(shared):
    """A window's end whose worker process ran other things before, for a start takes a second; it is left at rest."""
    yield shared
    shared.send("play", False)


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
    if hasattr(os, "getpriority"):  # the window's frames come first
        mine, others = (os.getpriority(os.PRIO_PROCESS, process) for process in (0, link.process.pid))
        assert others == min(mine + NICENESS, 19)
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


def test_a_look_into_a_cell_is_finished_while_nothing_runs(link):
    """It is made bit by bit, and the worker goes on with it by itself; commands are answered meanwhile."""
    link.load(Scenario("rlgrid/FrozenLake-v1", agent="psrl", seed=1), False, 8.0)
    link.send("step", 2_000)
    until(link, snapshot_of(2_000))
    link.inspect(0, deeply=True)
    look = until(link, lambda message: message[0] == "look" and message[2] is not None)[2]
    assert (look.state, look.count) == (0, 2_000)
    assert [update.action for update in look.each] == [0, 1, 2, 3]
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent="psrl", seed=1), patient=True)
    engine.advance(2_000)
    for update in look.each:
        assert update.result == pytest.approx(float(engine.agent.q_values[0, update.action]), abs=1e-12)


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


@pytest.mark.parametrize(
    ("agent", "rivals"), [("q_learning", ()), ("dyna_q", ()), ("value_iteration", ()), ("q_learning", ("sarsa",))]
)
def test_a_run_that_has_ended_is_let_go_at_once(agent, rivals):
    """Its tables and all that was kept of its past, long before anything looks for cycles."""
    engine = engine_of(Scenario(agent=agent, rivals=rivals), patient=True)
    engine.obey("step", 30)
    held = [weakref.ref(part) for one in engines_of(engine) for part in (one, one.agent, one.history.kept[0])]
    gc.collect()
    gc.disable()
    try:
        engine.close()
        del engine
        assert [part() for part in held] == [None] * len(held)
    finally:
        gc.enable()


def test_a_worker_that_dies_is_said_and_the_next_one_starts(alone):
    alone.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
    until(alone, snapshot_of(1))
    alone.process.kill()
    assert "was killed (signal 9)" in until(alone, lambda message: message[0] == "failed")[1]
    alone.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
    until(alone, snapshot_of(1))


def test_an_error_names_the_line_of_a_stranger_and_an_end_its_reason():
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / len([])
    words, line = failure(caught.value).split("\n")
    assert words == "ZeroDivisionError: division by zero"
    assert line.startswith("In test_window_worker.py, line ")
    assert line.endswith(": _ = 1 / len([])")
    with pytest.raises(AttributeError) as own:
        failure(None)
    assert "\n" not in failure(own.value)  # it arose in rlgrid itself
    assert failure(KeyError("x")) == "KeyError: 'x'"  # raised nowhere
    assert failure(ValueError("gamma is 2")) == "gamma is 2"
    assert "killed (signal 9)" in ending(-9)
    assert "exit code 3" in ending(3)


def test_closing_takes_no_time_whatever_runs(alone):
    alone.load(Scenario("rlgrid/FourRooms-v0", agent="dqn"), True, math.inf)
    until(alone, snapshot_of(1))
    process, memory = alone.process, alone._tables.name
    pid = process.pid
    began = time.perf_counter()
    alone.close()
    assert time.perf_counter() - began < 1.0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(FileNotFoundError):
        SharedMemory(memory)
    alone.close()  # twice is once


needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")


@needs_signals
def test_a_busy_worker_does_not_hold_the_window_up(alone):
    alone.load(Scenario("rlgrid/FourRooms-v0"), False, 8.0)
    until(alone, lambda message: message[0] == "snapshot")
    os.kill(alone.process.pid, signal.SIGSTOP)
    began = time.perf_counter()
    for speed in range(1, 5001):
        alone.send("speed", float(speed))
        alone.inspect(speed % 16)
        alone.send("change", "gamma", 0.5 + speed / 20_000)
    assert time.perf_counter() - began < 1.0
    assert len(alone._sender._waiting) <= 3
    os.kill(alone.process.pid, signal.SIGCONT)
    # the change was the last to be sent, so the last speed is there too
    assert until(alone, lambda m: m[0] == "parameters" and any(p.name == "gamma" and p.value == 0.75 for p in m[2]))
    assert not alone._sender._waiting


@needs_signals
def test_a_stopped_worker_is_closed_at_once(alone):
    alone.load(Scenario("rlgrid/FourRooms-v0"), False, 8.0)
    until(alone, lambda message: message[0] == "snapshot")
    process, sender = alone.process, alone._sender
    pid = process.pid
    os.kill(pid, signal.SIGSTOP)
    began = time.perf_counter()
    for _ in range(20_000):  # more than a pipe and the queue hold
        alone.send("step")
    assert len(sender._waiting) == WAITING
    assert time.perf_counter() - began < 5.0
    began = time.perf_counter()
    alone.close()
    assert time.perf_counter() - began < 1.0
    sender._thread.join(2.0)  # its write fails, and it closes the pipe
    assert not sender._thread.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    alone.load(Scenario("rlgrid/FourRooms-v0"), False, 8.0)
    until(alone, lambda message: message[0] == "snapshot")


class SlowPipe:
    """A pipe that takes nothing before it is opened."""

    def __init__(self):
        self.open, self.sent = threading.Event(), []

    def send_bytes(self, data):
        self.open.wait(PATIENCE)
        self.sent.append(pickle.loads(data))

    def close(self):
        self.open.set()


def sent_by(*messages):
    """What arrives of messages that all had to wait behind another one."""
    pipe = SlowPipe()
    sender = Sender(pipe)
    sender.send(("first",))
    while sender._waiting:
        time.sleep(0.001)
    for message in messages:
        sender.send(message)
    pipe.open.set()
    while sender._waiting:
        time.sleep(0.001)
    time.sleep(0.02)
    sender.close()
    sender._thread.join(2.0)
    return pipe.sent[1:]


def test_what_waits_is_replaced_by_what_is_newer_and_the_last_speed_arrives():
    sent = sent_by(
        ("speed", 1.0),
        ("change", "gamma", 0.5),
        ("read",),
        ("change", "slip", 0.1),
        ("restore",),
        ("speed", 2.0),
        ("change", "gamma", 0.6),
        ("read",),
    )
    assert sent == [
        ("read",),
        ("change", "slip", 0.1),
        ("restore",),
        ("speed", 2.0),
        ("change", "gamma", 0.6),
        ("read",),
    ]
    assert sent_by(("speed", 1.0), ("load", 2), ("step",)) == [("load", 2), ("step",)]
    sent = sent_by(("play", False), ("read",), *[("step",)] * 3 * WAITING, ("read",))
    assert len(sent) == WAITING
    assert sent[:2] == [("play", False), ("read",)]
    assert sent[-1] == ("read",)


def test_what_waits_is_done_where_the_run_stood_when_it_was_sent():
    kept = [("seek", 100), ("change", "gamma", 0.5), ("seek", 400), ("drive", 1), ("seek", 50)]
    assert sent_by(*kept) == kept
    kept = [("change", "gamma", 0.5), ("step", 1), ("change", "gamma", 0.6)]
    assert sent_by(*kept) == kept
    kept = [("seek", 100), ("play", True), ("seek", 50)]
    assert sent_by(*kept) == kept
    sent = sent_by(("seek", 100), ("inspect", 1, 3, False), ("read",), ("speed", 4.0), ("want", None), ("seek", 50))
    assert sent == [("inspect", 1, 3, False), ("read",), ("speed", 4.0), ("want", None), ("seek", 50)]
    assert sent_by(*[("seek", count) for count in range(9)]) == [("seek", 8)]


class OldPipe:
    """A pipe with messages of two runs."""

    def __init__(self, *messages):
        self.messages = list(messages)

    def poll(self):
        return bool(self.messages)

    def recv(self):
        return self.messages.pop(0)


def test_late_messages_of_an_old_run_are_not_shown(monkeypatch):
    link = Link()
    link.run = 2
    late = [(name, 1, "old") for name in ("doing", "refused", "failed")]
    new = [(name, 2, "new") for name in ("doing", "refused", "failed")]
    monkeypatch.setattr(link, "_pipe", OldPipe(*late, *new))
    monkeypatch.setattr(link, "_process", object())
    assert link.receive() == [("doing", "new"), ("refused", "new"), ("failed", "new")]


def test_a_memory_that_the_window_has_replaced_is_neither_opened_nor_read(monkeypatch):
    """A map that was painted smaller and larger at once: what is late is of a size that comes again."""

    class Told:
        sent: ClassVar[list] = []

        def send(self, message):
            self.sent.append(message)

    worker = Worker(Told())
    worker._obey(("load", 1, Scenario("rlgrid/FrozenLake-v1", agent="value_iteration"), False, 1.0))
    states, actions, lanes = sizes_of(worker._engine.facts())
    gone = Tables(states, actions, None, lanes)
    gone.close()
    worker._obey(("memory", 1, gone.name, states, actions, lanes))
    assert [message for message in Told.sent if message[0] == "failed"] == []
    assert worker._tables is None
    there = Tables(states, actions, None, lanes)
    worker._obey(("memory", 1, there.name, states, actions, lanes))
    worker._publish()
    said = [message for message in Told.sent if message[0] == "snapshot"]
    link, asked = Link(), []
    link.run, link._tables, link._process = 1, there, True
    monkeypatch.setattr(link, "_send", asked.append)
    old = ("snapshot", 1, gone.name, *said[0][3:])
    link._pipe = OldPipe(old, said[0])
    assert [message[0] for message in link.receive()] == ["snapshot"]
    assert asked == [("read",), ("read",)]
    worker._engine.close()
    worker._tables.close()
    there.close()
    link._tables = link._process = None


@pytest.fixture
def slow_reading(monkeypatch):
    """A link whose tables are large, and the event that its reader waits for; what it sent."""
    monkeypatch.setattr("rlgrid.window.snapshot.REUSED", 0)
    go, asked, link = threading.Event(), [], Link()
    real = Tables.read

    def read(*given):
        assert go.wait(10.0)
        return real(*given)

    monkeypatch.setattr(Tables, "read", read)
    monkeypatch.setattr(link, "_send", asked.append)
    link.run, link._tables, link._process = 1, Tables(4, 2), True
    yield link, go, asked
    go.set()
    link._process = link._pipe = None
    link.close()


def received_within(link, seconds=10.0):
    end, found = time.perf_counter() + seconds, []
    while not found and time.perf_counter() < end:
        found = link.receive()
    return found


def test_a_large_snapshot_comes_once_it_is_read_and_in_order(slow_reading):
    link, go, asked = slow_reading
    prepared = []
    link.prepare = prepared.append
    shots = [link._tables.write(Snapshot(count=n, values=np.full(4, float(n)))) for n in (1, 2)]
    shot = ("snapshot", 1, link._tables.name, *shots[1])
    link._pipe = OldPipe(("doing", 1, "before"), shot, ("doing", 1, "after"))
    assert link.receive() == [("doing", "before")]
    assert link.receive() == [], "what was sent after the snapshot waits for it"
    assert asked == [], "the memory may not be written to"
    go.set()
    snapshot, after = received_within(link)
    assert after == ("doing", "after")
    assert snapshot[2].count == 2
    assert prepared == [snapshot[2]]
    assert np.array_equal(snapshot[2].values, np.full(4, 2.0))
    assert asked == [("read",)]
    link._pipe = OldPipe(("lanes", 1, link._tables.name, [shots[1]]))
    assert [one.count for one in received_within(link)[0][2]] == [2]
    assert asked == [("read",)] * 2


def test_a_large_snapshot_of_a_run_that_has_ended_is_not_shown(slow_reading):
    link, go, asked = slow_reading
    shot = ("snapshot", 1, link._tables.name, *link._tables.write(Snapshot(count=1, values=np.ones(4))))
    link._pipe = OldPipe(shot, ("doing", 2, "new"))
    assert link.receive() == []
    link.run = 2
    go.set()
    assert received_within(link) == [("doing", "new")]
    assert asked == [], "the worker has forgotten it"


def test_a_link_that_is_closed_while_it_reads_gives_the_memory_back(slow_reading):
    link, go, _ = slow_reading
    name = link._tables.name
    link._pipe = OldPipe(("snapshot", 1, name, *link._tables.write(Snapshot(values=np.ones(4)))))
    assert link.receive() == []
    threading.Timer(0.05, go.set).start()
    link._process = link._pipe = None
    link.close()
    with pytest.raises(FileNotFoundError):
        Tables(4, 2, name)


def test_an_error_of_the_reader_is_raised_in_the_window(slow_reading, monkeypatch):
    link, _, _ = slow_reading

    def fail(*_):
        raise MemoryError("too large")

    monkeypatch.setattr(Tables, "read", fail)
    link._pipe = OldPipe(("snapshot", 1, link._tables.name, *link._tables.write(Snapshot(values=np.ones(4)))))
    with pytest.raises(MemoryError, match="too large"):
        received_within(link)


def test_a_table_that_somebody_holds_is_never_written_over(monkeypatch):
    monkeypatch.setattr("rlgrid.window.snapshot.REUSED", 0)
    tables = Tables(4, 2)
    rng = np.random.default_rng(0)
    held, places = [], set()
    try:
        for turn in range(60):
            wrote = Snapshot(values=rng.normal(size=4), q_values=rng.normal(size=(4, 2)))
            read = tables.read(*tables.write(wrote))
            places |= {id(read.values)}
            # a snapshot, a table, a part of one, another shape of one, or nothing of it is held for a while
            q = read.q_values
            holds = (read, q, q[1:3, 0], q.reshape(-1), memoryview(q), None)[rng.integers(6)]
            held.append((holds, None if holds is None else wrote))
            if turn % 3 == 0:
                held.pop(int(rng.integers(len(held))))
            del read, q, holds
            for one, true in held:
                if isinstance(one, Snapshot):
                    assert np.array_equal(one.values, true.values)
                    assert np.array_equal(one.q_values, true.q_values)
                elif one is not None:
                    shape = np.shape(one)
                    whole = true.q_values
                    part = whole if shape == (4, 2) else whole[1:3, 0] if shape == (2,) else whole.ravel()
                    assert np.array_equal(one, part)
            one = None
        assert len(places) < 40, "arrays that nobody holds are used again"
    finally:
        tables.close()


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
from rlgrid.window.link import Link
from rlgrid.window.scenario import Scenario
link = Link()
link.load(Scenario("rlgrid/FourRooms-v0"), True, 8.0)
end = time.time() + 60
while time.time() < end and not any(m[0] == "snapshot" for m in link.receive()):
    time.sleep(0.01)
print("seen", link.process.pid)
{end}
"""


@pytest.mark.parametrize(
    "end", ["", *(pytest.param(end, marks=pytest.mark.slow) for end in ("link.close()", "os._exit(3)"))]
)
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


@pytest.mark.parametrize(("cores", "asked", "given"), [(1, None, "1"), (2, None, "1"), (8, None, "7"), (2, "2", "2")])
def test_the_window_keeps_a_core(monkeypatch, cores, asked, given):
    monkeypatch.delenv("RLGRID_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("RLGRID_NUM_THREADS", asked)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)), raising=False)
    with a_core_for_the_window():
        assert os.environ["RLGRID_NUM_THREADS"] == given
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ.get("RLGRID_NUM_THREADS") == asked


def test_dragging_and_resizing_stop_nothing(link):
    pygame.display.init()
    app = App(link, (1280, 800))
    app.open("rlgrid/FrozenLake-v1", "q_learning", 2_000.0)

    def frame(kind=None, **rest):
        if kind is not None:
            app.handle(pygame.event.Event(kind, **rest))
        app.update()
        app.draw()

    def goes_on(event):
        """Frames with such events, until four pictures of later counts were seen among them."""
        seen, end, n = {app.state.snapshot.count}, time.perf_counter() + PATIENCE, 0
        while len(seen) < 5:
            assert time.perf_counter() < end
            frame(**event(n))
            seen.add(app.state.snapshot.count)
            n += 1

    def drag(place):
        frame(pygame.MOUSEBUTTONDOWN, button=1, pos=place)
        goes_on(
            lambda n: {
                "kind": pygame.MOUSEMOTION,
                "pos": (place[0] + n % 30, place[1]),
                "rel": (1, 0),
                "buttons": (1, 0, 0),
            }
        )
        frame(pygame.MOUSEBUTTONUP, button=1, pos=place)

    goes_on(lambda n: {})
    for _ in range(4):
        frame(pygame.MOUSEWHEEL, x=0, y=1, flipped=False, pos=app.scene.regions.map.center)
    drag(app.scene.regions.map.center)
    drag(
        next(
            c.rect for c in app.scene.controls if c.name.endswith("parameter:gamma") and not c.name.startswith("value")
        ).center
    )
    goes_on(
        lambda n: {"kind": pygame.VIDEORESIZE, "size": (900 + 40 * (n % 9), 640), "w": 900 + 40 * (n % 9), "h": 640}
    )
    goes_on(lambda n: {"kind": pygame.WINDOWMINIMIZED if n % 2 else pygame.WINDOWRESTORED})


# --- large worlds -----------------------------------------------------------------------------------------------------


@pytest.fixture
def large(monkeypatch):
    """A small world that is taken for a large one, under value iteration."""
    monkeypatch.setattr("rlgrid.window.run.LARGE", 10)
    engine = Engine(Scenario("rlgrid/FrozenLake-v1"), patient=True)
    engine.set_speed(math.inf)
    engine.advance(7)
    return engine


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
def test_tables_computed_when_asked_for_are_those_computed_at_once(monkeypatch, method):
    scenario = Scenario("rlgrid/FrozenLake-v1", settings={"method": method})
    whole, lazy = Engine(scenario, patient=True), Engine(scenario, patient=True)
    whole.advance(7)
    monkeypatch.setattr("rlgrid.window.run.LARGE", 10)
    lazy.advance(7)
    assert len(whole.tables) == 8
    assert set(lazy.tables) == {"values", "previous"}
    for state in range(16):
        row = lazy.tables.row(state)
        assert np.array_equal(row, whole.tables["greedy"][state])
    for name, table in whole.tables.items():
        assert np.array_equal(lazy.tables.get(name), table), name
    assert lazy.tables.get("nothing") is None
    lazy.agent.advance(1)
    assert lazy.tables.whole()["lower"] is not None, "it was computed in time"


def test_only_what_is_wanted_is_computed_in_a_large_world(large):
    shot = large.snapshot(frozenset({"greedy"}))
    assert {name for name in TABLES if getattr(shot, name) is not None} == {"values", "greedy"}
    assert shot.trouble == UNASKED
    for layer in ("error", "disagreement"):  # which ask for it: the next snapshot says what comes of that
        state = State(large.model, snapshot=shot, unit="sweep")
        assert coloured(state, layer).pending
        assert coloured(state, layer).reason.endswith("still being found")
    assert large.to_judge is None
    shot = large.snapshot(frozenset({"optimal"}))
    assert shot.optimal is not None
    assert shot.q_values is None
    learner = Engine(Scenario("rlgrid/FrozenLake-v1", agent="q_learning"), patient=True)
    learner.advance(50)
    shot = learner.snapshot(frozenset({"visits"}))
    assert {name for name in TABLES if getattr(shot, name) is not None} == {"values", "visits"}


def test_sweeps_that_are_not_shown_leave_the_tables_and_change_nothing(large):
    large.showing = False
    before = dict(large.tables)
    large.advance(5)
    assert dict(large.tables) == before
    assert large.shown_at == 7
    large.showing = True
    large.advance(1)
    assert large.shown_at == large.count == 13
    at_once = Engine(Scenario("rlgrid/FrozenLake-v1"), patient=True)
    at_once.advance(13)
    assert np.array_equal(large.tables["values"], at_once.tables["values"])
    assert np.array_equal(large.tables["q_values"], at_once.tables["q_values"])


class Deaf:
    """A pipe that nobody listens to."""

    def send(self, message):
        pass


@pytest.mark.parametrize("end", ["finished", "paused"])
def test_where_a_large_plan_stands_is_shown_though_its_last_sweep_was_not(large, end):
    large.showing, large.playing = False, True
    large.advance(100_000 if end == "finished" else 5)
    assert large.finished == (end == "finished")
    large.playing = end == "finished"
    worker = Worker(Deaf())
    worker._engine, worker._tables = large, Tables(16, 4)
    try:
        worker._publish()
        assert worker._unread
        shot = worker._tables.read(("values", "q_values", "greedy"), Snapshot())
    finally:
        worker._tables.close()
    sweeps = large.agent._sweeps
    assert np.array_equal(shot.values, large.agent.values)
    assert np.array_equal(shot.q_values, large.agent.q_values)
    assert np.array_equal(sweeps.values, shot.values)
    assert shot.greedy.any()
    assert large.snapshot().previous is large.snapshot().change is None, "the sweep before the last is not known"


def test_of_a_large_plan_that_stands_the_walker_alone_is_sent_again(large, monkeypatch):
    large.playing = True
    large.advance(100_000)
    assert large.finished
    sent = []
    monkeypatch.setattr(Deaf, "send", lambda _, message: sent.append(message))
    worker, tables = Worker(Deaf()), Tables(16, 4)
    worker._engine, worker._tables = large, Tables(16, 4, tables.name)
    try:
        for _ in range(3):  # its policy is judged
            worker._publish()
        sent.clear()
        shots = []
        for action in (None, 2, 1, None):
            if action is not None:
                large.walker.drive(action)
            else:
                worker._sent = None  # as after a command that may have changed anything
            worker._publish()
            *_, names, rest = next(message for message in reversed(sent) if message[0] == "snapshot")
            shots.append((names, tables.read(names, rest)))
            assert shots[-1][1].walker == large.walker.state
        worker._publish()
        assert len([message for message in sent if message[0] == "snapshot"]) == 4, "nothing has changed"
    finally:
        worker._tables.close()
        tables.close()
    (whole, first), *later, (last, _) = shots
    assert "values" in whole
    assert last == whole
    for names, shot in later:
        assert names is None
        assert shot.values is first.values
        assert shot.q_values is first.q_values
    assert np.array_equal(first.values, large.agent.values)


def test_snapshots_take_a_small_share_of_the_time_of_an_agent_at_full_speed(large, monkeypatch):
    now = [100.0]
    for clock in ("perf_counter", "thread_time"):
        monkeypatch.setattr(f"rlgrid.window.worker.time.{clock}", lambda: now[0])
    worker = Worker(Deaf())
    worker._engine, worker._tables = large, object()
    worker._sent_at, worker._worked, worker._spent = 100.0, 100.0, 0.1
    for seconds, due in ((0.01, False), (3.3, False), (3.4, True)):
        now[0] = 100.0 + seconds
        assert worker._due() == due
    large.playing = False  # nobody is held up
    now[0] = 100.03
    assert worker._due()


def test_what_a_snapshot_takes_is_known_from_the_second_one_on(large, monkeypatch):
    now = [100.0]
    for clock in ("perf_counter", "thread_time"):
        monkeypatch.setattr(f"time.{clock}", lambda: now[0])
    worker = Worker(Deaf())
    worker._engine, worker._tables = large, Tables(16, 4)
    large._patient, large.showing = False, True
    real = Tables.write

    def slow(*given):
        now[0] += 0.3
        return real(*given)

    monkeypatch.setattr(Tables, "write", slow)  # as a kernel that is loaded
    agent, values = type(large.agent), type(large.agent).values.fget

    def copied(self):
        now[0] += 0.1
        return values(self)

    try:
        worker._publish()
        assert worker._spent == pytest.approx(SHARE * LONGEST)
        monkeypatch.setattr(agent, "values", property(copied))
        large.advance(2)
        worker._publish()
        assert worker._spent == pytest.approx(0.3 + 2 * 0.1)  # the values before the sweep and after it
        worker._obey(("want", ("greedy",)))
        large.advance(1)
        worker._publish()
        assert worker._spent == pytest.approx(SHARE * LONGEST)
        large.playing = False  # all tables are sent then, which take longer
        large.advance(1)
        worker._publish()
        worker._publish()
        assert worker._spent == pytest.approx(SHARE * LONGEST)
    finally:
        worker._tables.close()


@pytest.fixture
def hurrying():
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", agent="q_learning", seed=3))
    engine.set_speed(math.inf)
    engine.advance(2_000)
    yield engine
    engine.close()


def test_the_picture_moves_on_at_full_speed_whatever_a_look_takes(hurrying, monkeypatch):
    now = [100.0]
    for clock in ("perf_counter", "thread_time"):
        monkeypatch.setattr(f"rlgrid.window.worker.time.{clock}", lambda: now[0])

    def slow(*_):
        now[0] += 0.4
        return []

    monkeypatch.setattr("rlgrid.window.worker.told", slow)
    worker = Worker(Deaf())
    worker._engine = hurrying
    worker._tables = Tables(16, 4)
    try:
        worker._publish()
    finally:
        worker._tables.close()
    worker._unread = False
    assert worker._spent < 0.1  # what the look took is not what the next snapshot takes
    worker._spent = 0.1
    for seconds, due in ((0.24, False), (0.26, True)):
        now[0] = worker._worked + seconds
        assert worker._due() == due


def seen_at_last(engine):
    """What the looker sees once it has worked on it for as long as it takes."""
    for _ in range(10_000):
        engine.looker._next = 0.0
        look = engine.looker.look(engine)
        if engine.looker.goes_on_in() == math.inf:
            return look
    raise AssertionError("the look takes for ever")


def test_the_past_is_searched_at_full_speed_for_a_pinned_cell_alone(hurrying):
    hurrying.looker.ask(0)
    assert seen_at_last(hurrying).words == HURRIED
    hurrying.looker.ask(0, deeply=True)
    assert seen_at_last(hurrying).update is not None
    hurrying.looker.ask(0)
    assert seen_at_last(hurrying).words == HURRIED
    hurrying.playing = False
    assert seen_at_last(hurrying).update is not None


def test_what_the_layers_need_is_asked_for():
    model = Engine(Scenario("rlgrid/FrozenLake-v1")).model
    state = State(model=model, layer="gap", arrows=False)
    assert wanted(state) is None, "a small world sends everything"
    for layer, expected in (("gap", ("lower", "upper")), ("values", ()), ("visits", ("visits",))):
        shown = State(model=LargeModel(), layer=layer)
        assert wanted(shown) == expected
    for unit, in_place, layer, expected in (
        ("sweep", False, "error", ("optimal",)),  # a planner's values say it
        ("step", False, "error", ("optimal", "q_values")),
        ("sweep", False, "td", ("previous", "td_error")),
        ("sweep", True, "td", ("previous", "q_values", "td_error")),
    ):
        assert wanted(State(model=LargeModel(), unit=unit, in_place=in_place, layer=layer)) == expected
    pinned = State(model=LargeModel(), pinned=3)
    assert wanted(pinned) == ("greedy", "lower", "optimal", "previous", "q_values", "upper")
    pinned.unit = "step"
    assert wanted(pinned) == ("greedy", "optimal", "q_values", "td_error", "visits")
    assert wanted(State(model=LargeModel(), pinned=3, layer="gap"), dragging=True) == ("lower", "upper")
    assert wanted(State(model=LargeModel(), view=View(20.0, 3.0, 3.0))) == ("greedy",)


class LargeModel:
    """As much of a model as is looked at."""

    num_states, shape = 1_000_000, (1000, 1000)
