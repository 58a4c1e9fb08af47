"""The worker process: what runs behind the window; `rlgrid.window.link` is the window's end of it.

The engine runs in a process of its own, so that neither compiling nor a slow environment nor a crash can hold the
window up. Commands go through a pipe and are heard between chunks of a few milliseconds; snapshots come back through
shared memory (`rlgrid.window.snapshot`). Closing the window kills the worker: it holds nothing that must be saved.

The process is spawned, never forked, and does not import the program that opened the window.

Messages of the worker, each a tuple that begins with its name:
    ("world", run, facts)         a world is built: numbers of states and actions, unit, title, parameters ...
    ("doing", run, words)         what it is busy with; "" is nothing
    ("snapshot", run, memory, names, the rest)   these tables are in that memory; to be answered with ("read",);
                                  names are None where the tables are those that were sent last
    ("lanes", run, memory, list)  the same of every lane of a race: (names, the rest)
    ("lane", run, number, message)  a message that is about one lane of a race
    ("outcomes", run, state, outcomes of each action)
    ("parameters", run, list)
    ("map", run, text)            the world is another map from now on; None is the one that it was built with
    ("stamped", run, count, name, rest)  a command was obeyed when so many units were done
    ("history", run, facts)       the timeline: `rlgrid.window.history.History.facts`
    ("stopped", run, words)       a breakpoint was reached; the run is paused
    ("look", run, look)           what is seen of the inspected state: `rlgrid.window.looking.Look`
    ("notice", run, words)        what is to be told of a command
    ("refused", run, words, until) a command that could not be done; of a breakpoint, None else, ``until`` is whether
                                  the run plays and what is awaited in it
    ("failed", run, words)        the run has stopped; the worker waits for another
``run`` counts the worlds that were loaded, so that what is late can be told apart; ``Link.receive`` drops what is
late, and takes the number out of "doing", "notice", "refused" and "failed".
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rlgrid.window import freeing
from rlgrid.window.actors import outcomes_of
from rlgrid.window.engine import Engine
from rlgrid.window.lanes import Lanes, engine_of
from rlgrid.window.scenario import Scenario
from rlgrid.window.snapshot import Tables

REFUSABLE = (
    "change",
    "restore",
    "remap",
    "drive",
    "seek",
    "until",
    "update",
    "lane",
)  # by the world or the agent, and nothing stops
SHARE = 0.03  # of the time of an agent at full speed, for snapshots
LONGEST = 0.25  # seconds of that time to the next one, but in a large world
LATE = 0.1  # seconds that may pass at once: what a busy machine holds up for longer is not made up for
PUBLISH = 1 / 40  # seconds between two snapshots at least
LONGEST_WORDS = 2_000  # characters of what has failed
NICENESS = 5  # of the worker's process: where cores are few, the window's frames come first
Message = tuple[Any, ...]


class Worker:
    """The loop of the worker process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._engine: Engine | Lanes | None = None
        self._tables: Tables | None = None
        self._run = 0
        self._unread = False
        self._sent: tuple[Any, ...] | None = None
        self._sent_at = 0.0  # when a snapshot was sent last
        self._tried = False  # whether a snapshot of such tables was made before
        self._worked = self._spent = 0.0  # by then, and for it, in seconds of processor time: others may be busy too
        self._wanted: frozenset[str] | None = None  # tables that are shown; None: all of them
        self._said: dict[str, Any] = {}  # what was told last of the map and of the history

    def serve(self) -> None:
        """Until the pipe closes."""
        last = time.perf_counter()
        while True:
            while self._pipe.poll(self._patience()):
                command = self._pipe.recv()
                if command[0] == "close":
                    return
                self._obey(command)
            now = time.perf_counter()
            passed, last = min(LATE, now - last), now
            if self._engine is not None:
                try:
                    self._go_on(self._engine, passed)
                except Exception as error:
                    self._fail(error)

    def _go_on(self, engine: Engine | Lanes, passed: float) -> None:
        """Let time pass, and tell what has come of it."""
        due, sought = self._due(), _sought(engine)
        engine.showing = due or not engine.playing
        engine.tick(passed)
        if _sought(engine):
            return
        if sought:  # it stands there now, and other numbers may hold
            self._sent = None
            for message in described(engine, self._run):
                self._pipe.send(message)
        engine.judge()
        if due:
            self._publish()
        if any(one.looker.goes_on_in() == 0.0 for one in engines_of(engine)):
            for message in told(engine, self._run, self._said):
                self._pipe.send(message)

    def _patience(self) -> float:
        """Seconds to wait for a command before time goes on."""
        engine = self._engine
        if engine is None:
            return 0.5
        if not engine.playing:
            looks_in = min(one.looker.goes_on_in() for one in engines_of(engine))
            return min(engine.due_in(), looks_in, 0.02 if self._waiting_for_referee() else 0.2)
        wait = min(engine.due_in(), *(one.looker.goes_on_in() for one in engines_of(engine)))
        return 0.0 if wait == 0.0 else min(max(0.002, wait), 0.02 if self._waiting_for_referee() else LATE)

    def _waiting_for_referee(self) -> bool:
        return any(one.referee is not None and one.referee.busy for one in engines_of(self._engine))

    def _obey(self, command: Message) -> None:
        name, *rest = command
        try:
            if name == "load":
                self._load(*rest)
            elif name == "memory":
                run, memory, states, actions, lanes = rest
                if run == self._run and self._engine is not None and _sizes(self._engine) == (states, actions, lanes):
                    if self._tables is not None:
                        self._tables.close()
                    self._tables, self._sent, self._unread = None, None, False
                    with suppress(FileNotFoundError):  # the window has made another one since, and will say so
                        self._tables = Tables(states, actions, memory, lanes)
            elif name == "read":
                self._unread = False
            elif name == "want":
                self._wanted = None if rest[0] is None else frozenset(rest[0])
                self._spent, self._tried = 0.0, False  # what other tables take is not known yet
            elif self._engine is not None:
                self._command(self._engine, name, rest)
        except Exception as error:
            self._fail(error)

    def _command(self, engine: Engine | Lanes, name: str, rest: list[Any]) -> None:
        if name == "inspect":
            run, state, deeply = rest
            if run == self._run and engine.model is not None and 0 <= state < engine.model.num_states:
                self._pipe.send(("outcomes", run, state, outcomes_of(engine.model, state)))
                look_at(engine, state, deeply)
                for message in told(engine, self._run, self._said):
                    self._pipe.send(message)
            return
        try:
            engine.obey(name, *rest)
        except (ValueError, TypeError) as error:
            if name not in REFUSABLE:
                raise
            self._pipe.send(("refused", self._run, str(error), left_of(engine, name, rest)))
        if name in (*REFUSABLE, "reset"):
            self._sent = None
            if self._tables is not None and self._tables.sizes != _sizes(engine):
                self._tables.close()
                self._tables = None  # the window makes another memory as soon as it hears how large the world is
            for message in described(engine, self._run):
                self._pipe.send(message)
        for message in told(engine, self._run, self._said):
            self._pipe.send(message)

    def _load(self, run: int, scenario: Scenario, playing: bool, speed: float) -> None:
        self._run = run  # first of all: what fails from here on is of this run
        if self._engine is not None:
            self._engine.close()
        if self._tables is not None:
            self._tables.close()
        self._engine, self._tables, self._sent, self._unread, self._said = None, None, None, False, {}
        self._wanted, self._spent, self._tried = None, 0.0, False
        freeing.give_back()
        # an engine keeps the number it was built with, whatever is loaded while it speaks
        engine = engine_of(scenario, lambda words: self._pipe.send(("doing", run, words)))
        engine.playing = playing
        engine.set_speed(speed)
        for one in engines_of(engine):
            one.sliced = True
        self._engine = engine
        self._pipe.send(("world", run, engine.facts(), engine.parameters()))
        if isinstance(engine, Lanes):
            for message in described(engine, run):
                self._pipe.send(message)

    def _due(self) -> bool:
        """Whether a snapshot may be sent; beside an agent at full speed they take `SHARE` of the time at most.

        In a world that is not large the picture moves on every `LONGEST` seconds all the same: there a snapshot takes
        long only where something beside its tables did, such as a kernel that is loaded.
        """
        if _sought(self._engine):  # what lies on the way is not shown
            return False
        if self._tables is None or self._unread or time.perf_counter() - self._sent_at < PUBLISH:
            return False
        if self._engine is None or not self._engine.hurries:
            return True
        wait = self._spent / SHARE
        wait = wait if any(one.large for one in engines_of(self._engine)) else min(wait, LONGEST)
        return time.thread_time() - self._worked >= wait

    def _publish(self) -> None:
        engine, tables = self._engine, self._tables
        assert engine is not None
        assert tables is not None
        runs = engine.playing and not engine.finished  # once it stands still, everything is shown
        engines, wanted = engines_of(engine), self._wanted if runs else None
        mark = ([_mark(one) for one in engines], [_walker_mark(one) for one in engines], runs, wanted)
        if mark == self._sent:
            return
        before = self._sent
        there = [
            before is not None and before[2:] == mark[2:] and was == now and one.large
            for one, was, now in zip(engines, before[0] if before else mark[0], mark[0], strict=True)
        ]  # large tables that are there already: only the walker has gone on
        for one in engines_of(engine):
            if one.finished or not engine.playing:
                one.stand()
        if any(one.unit == "sweep" and one.large and one.shown_at != one.count for one in engines_of(engine)):
            return  # its tables are of an earlier sweep, and the next one is shown
        for one in engines_of(engine):
            one.error_bound()  # a proof has a share of its own, and is known to the snapshot then
        began = time.thread_time()
        if any(p.name == "epsilon" for one in engines_of(engine) if one.unit == "step" for p in one.parameters()):
            for message in described(engine, self._run):
                self._pipe.send(message)
        if isinstance(engine, Lanes):
            shots = [tables.write(shot, lane, there[lane]) for lane, shot in enumerate(engine.snapshots())]
            self._pipe.send(("lanes", self._run, tables.name, shots))
        else:
            shot = engine.snapshot(wanted)
            self._pipe.send(("snapshot", self._run, tables.name, *tables.write(shot, 0, there[0])))
        spent = time.thread_time() - began + sum(one.take_copying() for one in engines_of(engine))
        if runs:  # where it stands still everything is sent, which takes longer than what is shown while it runs
            # what such tables take is known from the second on: before the first one kernels may have to be loaded
            self._spent, self._tried = spent if self._tried else min(spent, SHARE * LONGEST), True
        for message in told(engine, self._run, self._said):  # a look into a cell has a share of its own
            self._pipe.send(message)
        self._unread, self._sent, self._sent_at = True, mark, time.perf_counter()
        self._worked = time.thread_time()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, BrokenPipeError | EOFError | ConnectionError):
            raise error
        traceback.print_exc()
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._pipe.send(("failed", self._run, failure(error)))


def _sizes(engine: Engine | Lanes) -> tuple[int, int, int]:
    """(states, actions, lanes) of the tables in shared memory."""
    return sizes_of(engine.facts())


def sizes_of(facts: dict[str, Any]) -> tuple[int, int, int]:
    """(states, actions, lanes) of the tables in shared memory, by the facts of a run."""
    return max(1, facts["num_states"]), max(1, facts["num_actions"]), facts.get("lanes", 1)


def engines_of(engine: Engine | Lanes | None) -> list[Engine]:
    """All that run: of a race every lane's."""
    return engine.engines if isinstance(engine, Lanes) else [] if engine is None else [engine]


def _sought(engine: Engine | Lanes | None) -> bool:
    """Whether a walk through the past is under way."""
    return any(one.sought is not None for one in engines_of(engine))


def _mark(engine: Engine) -> tuple[Any, ...]:
    """What a snapshot would show that another one may not, beside the walker."""
    referee = engine.referee
    return (
        engine.agent.num_timesteps,
        None if referee is None else (referee.judged_at, referee.regret, referee.optimal is None),
        engine.follows_learner,
        engine.finished,
    )


def _walker_mark(engine: Engine) -> tuple[Any, ...] | None:
    walker = engine.walker
    return None if walker is None else (walker.state, len(walker.returns), len(walker.trail))


def look_at(engine: Engine | Lanes, state: int, deeply: bool) -> None:
    """Look into a state from now on: into that of the selected lane of a race."""
    selected = engine.engine if isinstance(engine, Lanes) else engine
    for one in engines_of(engine):
        one.looker.ask(state if one is selected else None, deeply)


def left_of(engine: Engine | Lanes, name: str, rest: Sequence[Any]) -> tuple[bool, str] | None:
    """After a breakpoint was refused: whether the run plays, and what is awaited in it. None of other commands."""
    if "until" not in (name, *rest[1:2]):
        return None
    awaits = [one.watch.condition.words(one.model, one.unit) for one in engines_of(engine) if one.watch is not None]
    return engine.playing, "".join(awaits[:1])


def failure(error: Exception) -> str:
    """An error in words: what it is, and of code that is not rlgrid's own the line at which it arose."""
    name = type(error).__name__
    try:
        words = str(error)[:LONGEST_WORDS]
    except Exception:  # of a stranger, whose words fail as well
        words = ""
    if isinstance(error, ValueError | FloatingPointError):
        return words or name
    words = f"{name}: {words}" if words else name
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    own = Path(__file__).resolve().parents[1]
    if frames and own not in Path(frames[-1].filename).resolve().parents:
        last = frames[-1]
        words += f"\nIn {Path(last.filename).name}, line {last.lineno}, {last.name}: {last.line}"
    return words


def described(engine: Engine | Lanes, run: int) -> list[Message]:
    """The messages that say what can be changed."""
    if isinstance(engine, Lanes):
        return [
            ("lane", run, number, ("parameters", run, one.parameters(), one.facts() | {"lanes": len(engine.engines)}))
            for number, one in enumerate(engine.engines)
        ]
    return [("parameters", run, engine.parameters(), engine.facts())]


def told(engine: Engine | Lanes, run: int, said: dict[str, Any]) -> list[Message]:
    """The messages about commands that were obeyed, and about the map and the history where they have changed since
    they were ``said`` last."""
    if isinstance(engine, Lanes):
        return engine.told(told, run, said)
    found: list[Message] = [("stamped", run, entry.count, entry.name, entry.rest) for entry in engine.stamps]
    found += [("notice", run, words) for words in engine.notices]
    if engine.stopped:
        found.append(("stopped", run, engine.stopped))
    engine.stamps.clear()
    engine.notices.clear()
    engine.stopped = ""
    look = engine.looker.look(engine)
    if look is not said.get("look"):
        said["look"] = look
        found.append(("look", run, look))
    for name, now in (("map", engine.scenario.map_text), ("history", engine.history.facts())):
        if name not in said or said[name] != now:
            if name in said or name == "history":  # the map that a run begins with is known
                found.append((name, run, now))
            said[name] = now
    return found


def _end_with_the_window() -> None:
    """End as soon as the window's process has ended, by whatever: what compiles or computes would go on for long."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def main(pipe: Connection) -> None:
    """What the worker process runs."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the window decides when to end
    threading.Thread(target=_end_with_the_window, name="rlgrid watchman", daemon=True).start()
    with suppress(AttributeError, OSError):  # Windows has no niceness
        os.nice(NICENESS)
    try:
        Worker(pipe).serve()
    except (BrokenPipeError, EOFError, ConnectionError):
        return
