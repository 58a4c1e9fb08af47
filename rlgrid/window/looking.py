"""The one cell that is inspected, looked into beside the run: its last update, or what the network does there.

The run's kept states (`rlgrid.window.history`) tell between which two of them the state was learnt of last. From there
a second agent of the same settings repeats the run by halves until the very step is found, and `rlgrid.window.updates`
tells what it did. Where commands lie between (sliders, a brush, steps by hand) they are repeated too. So nothing is
noted while an agent runs, the run itself never stands still for it, and the past is asked only when somebody looks.

A look is made bit by bit, `SLICE` seconds at a time, and commands are heard in between. While the run plays the pauses
between are as long, beside one at full speed so long that looks take `SHARE` of the time. It is given up after
`PATIENCE` seconds of work.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlgrid.window.arithmetic import Update
from rlgrid.window.networks import Inside
from rlgrid.window.scenario import Setup

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine
    from rlgrid.window.history import Entry, Moment

PATIENCE = 1.5  # seconds of processor time for a look
SLICE = 0.006  # seconds of it at a time, about
WAIT = 0.1  # seconds that a look at another state may have to wait
SHARE = 0.05  # of the time, for looks while the run plays
HURRIED = "At full speed: click the cell to see its last update."
MOST_NUMBERS = 2_000_000  # of an agent that is repeated for a look


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen of a state beside the tables, after ``count`` units."""

    state: int
    count: int
    update: Update | None = None  # the last one
    words: str = ""  # why there is no update
    inside: Inside | None = None
    each: tuple[Update, ...] = ()  # the last one of each action in that step

    def update_of(self, action: int | None) -> Update | None:
        """The update of an action where there is one, else the last one."""
        return next((update for update in self.each if update.action == action), self.update)


Work = Generator[None, None, Look]


class Looker:
    """Looks into the state that was asked for, when it is asked what it sees."""

    def __init__(self) -> None:
        self.state: int | None = None
        self.deeply = False  # its cell is pinned: the network's gradients too
        self._last: Look | None = None
        self._work: Work | None = None  # a look that is being made
        self._of: tuple[int, int] = (0, 0)  # the count that it is of, and the commands before it
        self._spent = 0.0  # seconds of processor time for it
        self._next = 0.0  # when it may look again, or go on
        self._double: tuple[Any, Any] | None = None  # (setup, an agent that repeats the past)
        self._failed = ""  # what the terminal was told last of a look that failed

    def ask(self, state: int | None, deeply: bool = False) -> None:
        """Look into this state from now on, or into none."""
        if (state, deeply) != (self.state, self.deeply):
            self.state, self.deeply, self._last, self._work = state, deeply, None, None
            self._next = min(self._next, time.perf_counter() + WAIT)

    def forget(self) -> None:
        """What was seen is of another run."""
        self._last, self._next, self._work, self._double = None, 0.0, None, None

    def goes_on_in(self) -> float:
        """Seconds until a look that is being made should go on; infinity where none is."""
        return math.inf if self._work is None else max(0.0, self._next - time.perf_counter())

    def look(self, engine: Engine) -> Look | None:
        """What is seen of the state: the present look, or the one before it while that is being made."""
        state, model = self.state, engine.model
        if state is None or model is None or not 0 <= state < model.num_states or not engine.warmed:
            return None
        if self._work is not None and (engine.count < self._of[0] or engine.history.at != self._of[1]):
            self._work = None  # the run stands elsewhere
        waits = self._last is not None and self._last.words == HURRIED and not engine.hurries
        if self._work is None and self._last is not None and self._last.count == engine.count and not waits:
            return self._last
        now = time.perf_counter()
        if not engine.patient and now < self._next and (engine.playing or self._work is not None):
            return self._last
        if self._work is None:
            self._work, self._spent = looked(engine, state, self.deeply, self), 0.0
            self._of = engine.count, engine.history.at
        began = time.thread_time()
        found = self._go_on(math.inf if engine.patient else SLICE)
        after = time.perf_counter()
        self._spent += time.thread_time() - began
        if found is None and self._spent > PATIENCE and not engine.patient:
            found = Look(state, self._of[0], words="It was learnt of long ago.")
        if found is not None:
            self._last, self._work = found, None
            self._next = after + self._spent / SHARE
        elif engine.playing:
            self._next = after + (after - now) / (SHARE if engine.hurries else 1.0)
        return self._last

    def _go_on(self, seconds: float) -> Look | None:
        """Work on a look for so long; what is seen, once it is done. Its errors are not those of the run."""
        assert self._work is not None
        assert self.state is not None
        until = time.perf_counter() + seconds
        try:
            while True:
                next(self._work)
                if time.perf_counter() > until:
                    return None
        except StopIteration as done:
            found: Look = done.value
            return found
        except Exception as error:
            from rlgrid.window.worker import failure  # which imports this module

            self._double = None  # which may stand anywhere
            said = "".join(traceback.format_exception(error))
            if said != self._failed:
                self._failed = said
                print(said, end="", file=sys.stderr, flush=True)
            return Look(
                self.state, self._of[0], words=f"This could not be worked out: {failure(error).splitlines()[0]}"
            )

    def double(self, engine: Engine, setup: Setup) -> Any:
        """An agent like the engine's in that world, for the past to be repeated with."""
        if self._double is None or self._double[0] is not setup:
            self._double = setup, engine.another_agent(setup)
        return self._double[1]


def look_into(engine: Engine, state: int, deeply: bool = False) -> Look:
    """What is seen of a state now."""
    work = looked(engine, state, deeply, Looker())
    while True:
        try:
            next(work)
        except StopIteration as done:
            found: Look = done.value
            return found


def looked(engine: Engine, state: int, deeply: bool, looker: Looker) -> Work:
    """`look_into`, bit by bit."""
    from rlgrid.window import networks, recurrence, updates

    agent, count = engine.agent, engine.count
    if engine.unit == "sweep":
        return Look(state, count)
    if recurrence.has_memory(agent):
        place = networks.last_transition(agent, state)
        update = None if place is None else recurrence.target_update(agent, place)
        return Look(state, count, update, networks.NO_STEP if place is None else "", recurrence.inside(agent, state))
    if networks.has_network(agent):
        place = networks.last_transition(agent, state)
        update = None if place is None else networks.target_update(agent, place)
        words = "" if place is not None else networks.NO_STEP
        inside = yield from networks.opened(agent, state, place, deeply)
        return Look(state, count, update, words, inside)
    if not updates.explains(agent):
        return Look(state, count, words=updates.why_not_told(agent))
    if engine.hurries and not (deeply or engine.patient):
        return Look(state, count, words=HURRIED)
    found, words = yield from _searched(engine, state, looker)
    return Look(state, count, found[-1] if found else None, words, each=found)


def _searched(engine: Engine, state: int, looker: Looker) -> Generator[None, None, tuple[tuple[Update, ...], str]]:
    """The last update of each action of a state in the last step in which it was learnt of, or why it is not told."""
    from rlgrid.window import steps, updates
    from rlgrid.window.history import Moment, captured, put_into

    agent, history = engine.agent, engine.history
    if history.why:
        return (), f"Its past is not kept: {history.why}."
    if agent._learnt().size > MOST_NUMBERS:
        return (), "The world is too large to search its past."
    mark = updates.marker(agent, state)
    now = mark(agent._arrays())
    kept = [one for one in history.kept if one.count <= engine.count and one.at <= history.at]
    alike = [one.setup.model.num_states == agent.model.num_states for one in kept]
    differs = (i for i in range(len(kept) - 1, -1, -1) if not alike[i] or mark(kept[i].arrays) != now)
    place = next(differs, None)
    if place is None:
        if kept and kept[0].count == 0:
            return (), updates.why_nothing(agent, state)
        since = kept[0].count if kept else engine.count
        return (), f"Nothing was learnt here since {engine.unit} {since:,}."
    end = (kept[place + 1].count, kept[place + 1].at) if place + 1 < len(kept) else (engine.count, history.at)
    yield
    past, last = Past(engine, looker, kept[place]), 0
    if past.at < end[1]:  # across commands: which part of the run changed it
        seen = mark(kept[place].arrays) if alike[place] else None
        for part in itertools.count():
            if not (yield from past.go_on(end)):
                break
            after = mark(past.double._arrays()) if past.model.num_states == agent.model.num_states else None
            last, seen = part if after != seen else last, after
            yield
        past = Past(engine, looker, kept[place])
        for _ in range(last):
            yield from past.go_on(end)
    double, setup, entry = past.double, past.setup, past.entry(end)
    span = (end[0] if entry is None else entry.count) - double.num_timesteps
    if span == 0 and entry is not None and entry.name != "drive":
        return (), f"Nothing was learnt here since {engine.unit} {entry.count:,}, when the map was changed."
    arrays, run = captured(double)
    base = Moment(double.num_timesteps, past.at, setup, arrays, run, (), 0)
    while span > 1:
        half = span // 2
        yield from _repeated(engine, double, half)
        if mark(double._arrays()) != now:
            arrays, run = captured(double)
            base, span = Moment(double.num_timesteps, base.at, setup, arrays, run, (), 0), span - half
        else:
            put_into(double, base)
            span = half
        yield
    before = steps.standing(double)
    if span == 0 and entry is not None:
        double.take(entry.rest[0])
    else:
        double.advance(1)
    found: dict[int | None, Update] = {}
    for update in updates.told(double, before, state):
        if update is None:
            yield
        else:
            found.pop(update.action, None)
            found[update.action] = update
    return tuple(found.values()), "" if found else updates.why_nothing(agent, state)


class Past:
    """The run repeated beside it from where it was ``kept``, part by part: units in one piece, or one command."""

    def __init__(self, engine: Engine, looker: Looker, kept: Moment) -> None:
        from rlgrid.window.history import put_into

        self._engine = engine
        self.setup: Setup = kept.setup
        self.at = kept.at  # entries of the log that it has behind it
        self.double = looker.double(engine, kept.setup)
        put_into(self.double, kept)

    @property
    def model(self) -> Any:
        """The world where it stands."""
        return self.setup.model

    def entry(self, end: tuple[int, int]) -> Entry | None:
        """The next command before an end, which is a count and how many commands lie behind it."""
        return self._engine.history.log[self.at] if self.at < end[1] else None

    def go_on(self, end: tuple[int, int]) -> Generator[None, None, bool]:
        """Repeat the next part; False where there is none before the end."""
        entry = self.entry(end)
        units = (end[0] if entry is None else entry.count) - self.double.num_timesteps
        if units > 0:
            yield from _repeated(self._engine, self.double, units)
            return True
        if entry is None:
            return False
        self.at += 1
        if entry.name == "drive":
            self.double.take(*entry.rest)
        else:
            self._edit(entry)
        return True

    def _edit(self, entry: Entry) -> None:
        """Change the world or the agent as the engine did."""
        from rlgrid.window import remaking
        from rlgrid.window.scenario import edited, numbered

        was, old = self.setup, self.double
        scenario, base, world, settings = edited(was, entry.name, *entry.rest)
        model, world = numbered(base, world)
        self.setup = Setup(scenario, base, model, world, settings, was.gamma)
        self.double = self._engine.another_agent(self.setup)
        self.double.begin(old.total_timesteps)
        rows = remaking.same_rows(model) if base is was.base else remaking.rows_between(was.base, base)
        if rows is not None:  # else the run would have begun anew
            remaking.carry(old, self.double, rows)


def _repeated(engine: Engine, double: Any, units: int) -> Generator[None, None, None]:
    """Have the double go on, at most half a slice at a time."""
    most = units if engine.patient else max(1, int(engine.pace * SLICE / 2))
    while units > 0:
        units -= double.advance(min(units, most))
        yield
