"""The window's end of the worker process: it is started, told, heard and ended here (`rlgrid.window.worker`)."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from rlgrid.parallel import num_threads
from rlgrid.window.scenario import Scenario
from rlgrid.window.snapshot import Reading, Tables
from rlgrid.window.state import Snapshot
from rlgrid.window.worker import Message, main, sizes_of

REPLACED = (
    "want",
    "speed",
    "change",
    "inspect",
    "remap",
    "seek",
)  # what waits of these is needless once another one comes
ANYWHERE = ("want", "speed", "inspect", "read", "memory")  # these mean the same wherever the run stands
SETTINGS = ("change", "restore", "remap")  # these set what the next ones set again
WAITING = 1000  # commands that may wait for a busy worker


@contextmanager
def _no_main_module() -> Iterator[None]:
    """A spawned process imports the main program again, which would run a script that has no `if __name__` guard a
    second time. The worker needs nothing of it, so it is shown an empty one."""
    real = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


@contextmanager
def a_core_for_the_window() -> Iterator[None]:
    """The worker's matrices are small: BLAS gets one thread there. What works through large arrays gets all cores but
    one, which is the window's, unless ``RLGRID_NUM_THREADS`` says how many."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RLGRID_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names[:3], "1"))
    os.environ.setdefault("RLGRID_NUM_THREADS", str(max(1, num_threads() - 1)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _crosses(name: str, other: str) -> bool:
    """Whether a command may be left out although another one comes between it and the one that replaces it."""
    return name in ANYWHERE or other in ANYWHERE or (name in SETTINGS and other in SETTINGS)


class Sender:
    """Writes to the pipe from a thread of its own: a worker that compiles does not read, and the window must not wait.

    The thread is the only one that closes the pipe, so that it can never write to a file number that was given away.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._waiting: deque[tuple[Message, bytes]] = deque()  # what the message is about, and the message
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="rlgrid sender", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Have a message sent, in order; it takes the place of what it makes needless."""
        data = pickle.dumps(message)  # here: the caller hears what cannot be sent, and may change it afterwards
        about = message[: 2 if message[0] == "change" else 1]
        with self._changed:
            if about[0] == "load":
                self._waiting.clear()  # all of it is for the run that ends here
            elif about[0] in REPLACED and not (about[0] == "seek" and isinstance(message[1], str)):  # steps back add up
                # The new one goes to the end: it may follow a "restore" that it must not be undone by.
                for index in reversed(range(len(self._waiting))):
                    other = self._waiting[index][0]
                    if other == about:
                        del self._waiting[index]
                        break
                    if not _crosses(about[0], other[0]):
                        break  # what this one did where the run stood then
            self._waiting.append((about, data))
            if len(self._waiting) > WAITING:
                self._shorten()
            self._changed.notify()

    def _shorten(self) -> None:
        """Drop the oldest step, or else the oldest command that the two ends can do without."""
        names = [about[0] for about, _ in self._waiting]
        index = next((i for i, name in enumerate(names) if name in ("step", "episode", "update")), None)
        if index is None:
            index = next((i for i, name in enumerate(names) if name not in ("load", "memory", "read")), None)
        if index is not None:
            del self._waiting[index]

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed.is_set())
            return None if self._closed.is_set() else self._waiting.popleft()[1]

    def _serve(self) -> None:
        with suppress(OSError, EOFError):  # that the worker ended is found by Link.receive()
            while (data := self._next()) is not None:
                self._pipe.send_bytes(data)
        self._closed.wait()  # the last words of a worker that ended may still be read
        self._pipe.close()

    def close(self) -> None:
        """Close the pipe as soon as nothing is being written; without waiting for it."""
        with self._changed:
            self._closed.set()
            self._waiting.clear()
            self._changed.notify()


class Link:
    """The window's end: start, send, receive, and end at once."""

    def __init__(self) -> None:
        self.run = 0
        self._scenario: Scenario | None = None
        self._process: Any = None
        self._pipe: Connection | None = None
        self._sender: Sender | None = None
        self._tables: Tables | None = None
        self._reading: tuple[Message, Reading] | None = None  # a large snapshot, whose tables a thread copies
        self.prepare: Callable[[Snapshot], None] | None = None  # called by that thread with what it has read

    @property
    def process(self) -> Any:
        """The worker process, or None."""
        return self._process

    def start(self) -> None:
        """Have a worker process, a fresh one if there was none."""
        if self._process is not None and self._process.is_alive():
            return
        self._drop()
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        atexit.register(self.close)  # a program that ends without closing leaves no shared memory behind
        self._process = context.Process(target=main, args=(other,), name="rlgrid worker", daemon=True)
        with _no_main_module(), a_core_for_the_window():
            self._process.start()
        other.close()
        self._sender = Sender(self._pipe)

    def load(self, scenario: Scenario, playing: bool, speed: float) -> None:
        """Have a scenario run; what is still on its way of the last one is dropped."""
        self.start()
        self.run += 1
        self._scenario = scenario
        self._send(("load", self.run, scenario, playing, speed))

    def send(self, name: str, *rest: Any) -> None:
        """A command of the run."""
        self._send((name, *rest))

    def inspect(self, state: int, deeply: bool = False) -> None:
        """Ask for the outcomes of a state, and from now on for what is seen of it (`rlgrid.window.looking`)."""
        self._send(("inspect", self.run, state, deeply))

    def _send(self, message: Message) -> None:
        if self._sender is not None:
            self._sender.send(message)

    def receive(self) -> list[Message]:
        """What has come in, at once; snapshots with their tables. A worker that ended says ("failed", words).

        A large snapshot comes once a thread has copied its tables, and what was sent after it comes after it.
        """
        found: list[Message] = []
        if self._pipe is None or self._process is None:
            return found
        try:
            while (self._reading is None or self._has_read(found)) and self._pipe.poll():
                message = self._pipe.recv()
                if message[1] != self.run:
                    continue
                if message[0] in ("doing", "notice", "refused", "failed"):
                    message = (message[0], *message[2:])
                elif message[0] == "world":
                    self._make_memory(message[2])
                elif message[0] == "parameters":
                    self._fit_memory(message[3])
                elif message[0] == "lane" and message[3][0] == "parameters":
                    self._fit_memory(message[3][3])
                elif message[0] in ("snapshot", "lanes"):
                    self._read(message, found)
                    continue
                found.append(message)
        except (EOFError, ConnectionError, BrokenPipeError):
            self._process.join(0.2)
            code = self._process.exitcode
            self._drop()
            found.append(("failed", ending(code)))
        return found

    def _read(self, message: Message, found: list[Message]) -> None:
        """Read a snapshot, or those of all lanes: small tables at once; of a memory that another one has taken the
        place of, nothing."""
        name, run, memory, *rest = message
        tables = self._tables
        if tables is None or tables.name != memory:
            self.send("read")
            return
        shots = [tuple(rest)] if name == "snapshot" else rest[0]

        def read() -> Any:
            read = [tables.read(names, others, lane) for lane, (names, others) in enumerate(shots)]
            if name == "lanes":
                return read
            if self.prepare is not None and tables.large(shots[0][0]):
                self.prepare(read[0])
            return read[0]

        if any(tables.large(names) for names, _ in shots):
            self._reading = message, Reading(read)
        else:
            found.append((name, run, read()))
            self.send("read")

    def _has_read(self, found: list[Message]) -> bool:
        """Take the snapshot that a thread has read, if it is ready; not one of a run that has ended meanwhile."""
        assert self._reading is not None
        (name, run, *_), reading = self._reading
        if not reading.done:
            return False
        self._reading = None
        shots = reading.result()
        if run == self.run:
            found.append((name, run, shots))
            self.send("read")
        return True

    def _fit_memory(self, facts: dict[str, Any]) -> None:
        """A world that was painted may have another number of states."""
        if self._tables is not None and self._tables.sizes != sizes_of(facts):
            self._make_memory(facts)

    def _make_memory(self, facts: dict[str, Any]) -> None:
        if self._tables is not None:
            self._tables.close()
        states, actions, lanes = sizes_of(facts)
        self._tables = Tables(states, actions, lanes=lanes)
        self._send(("memory", self.run, self._tables.name, states, actions, lanes))

    def _drop(self) -> None:
        if self._process is not None:
            if self._process.is_alive():
                self._process.kill()
            self._process.join(2.0)
            self._process.close()
            self._process = None
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        elif self._pipe is not None:  # the process could not be started
            self._pipe.close()
        self._pipe = None
        if self._reading is not None:  # it reads the memory that is given back here
            with suppress(Exception):
                self._reading[1].result()
            self._reading = None
        if self._tables is not None:
            self._tables.close()
            self._tables = None

    def close(self) -> None:
        """End the worker whatever it is doing, and free the shared memory."""
        atexit.unregister(self.close)
        self._drop()


def ending(code: int | None) -> str:
    """Why the worker may have ended, by its exit code."""
    if code is not None and code < 0:
        return f"The process that runs the agent was killed (signal {-code}), perhaps because there was no memory left."
    return f"The process that runs the agent ended by itself (exit code {code}); the terminal may say why."
