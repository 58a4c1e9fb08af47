"""The past of a run: states of the agent that were kept, and the commands that changed the run, each with its count.

A kept state is what a checkpoint holds: the agent's arrays and numbers, its generators, and the environment in the
middle of its episode. To stand at a count again, the last kept state before it is put back and the run goes on from
there, obeying the same commands at the same counts; since a run is a function of these, every table comes out the same
to the bit. At least one unit is run, so that what is shown of a sweep (the values before it, its changes) is
there as well.

States are kept as often as `SHARE` of the time allows, and thinned where they are more than a number of them or of
bytes: dropped first is the one whose neighbours lie closest together for their age. So the recent past is near, and
the distant past takes a longer run. What was there at the beginning is never dropped.

A command that changes the run while it stands in its past cuts off what came after.

The walker beside a planner moves by the clock and not by sweeps, so where it stood is written down whenever it moves.
"""

from __future__ import annotations

import bisect
import math
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.state import Edit

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine

BYTES = 256 << 20  # that kept states may take
MOST = 400  # of them
SHARE, SHARE_OF_LARGE = 0.02, 0.0075  # of the time that keeping may take; of a large world few have room
FAR, WINDOW = 10_000, 1_000  # steps in which an update is looked for backwards, and at a time
WALKS = 2_000  # places of the walker that are written down
LAST = 1_000  # episodes that are remembered one by one


@dataclass(frozen=True)
class Entry:
    """A command, at the count of units at which it took effect; ``edit`` is how it is listed."""

    count: int
    name: str
    rest: tuple[Any, ...]
    edit: Edit | None = None
    held: bool = False  # a slider is still being dragged: the next change of the same number belongs to this one


class Episodes:
    """What came of an agent's episodes, one number of each: `len` counts all of them, the last `LAST` are at hand.

    It takes the place of an agent's list, which has them all for scripts and would grow for as long as a window plays.
    Indices are those from the end, -1 and ``[-100:]``, and iterating goes over what is at hand.
    """

    def __init__(self, numbers: Iterable[float] = (), kind: str = "d") -> None:
        self._last: array[Any] = array(kind)
        self._count = 0
        self.best = -math.inf  # the largest of all
        self.extend(numbers)

    def append(self, number: float) -> None:
        """Another episode has ended."""
        self.extend((number,))

    def extend(self, numbers: Iterable[float]) -> None:
        """Other episodes have ended, in this order."""
        more: array[Any] = array(self._last.typecode, numbers)
        self._count += len(more)
        self.best = max(self.best, max(more, default=-math.inf))
        self._last.extend(more[-LAST:])
        del self._last[:-LAST]

    def copy(self) -> Episodes:
        """The same, which grows by itself."""
        found = Episodes((), self._last.typecode)
        found._last, found._count, found.best = self._last[:], self._count, self.best
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of what is at hand."""
        return len(self._last) * self._last.itemsize

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[float]:
        return iter(self._last)

    @overload
    def __getitem__(self, where: int) -> float: ...

    @overload
    def __getitem__(self, where: slice) -> list[float]: ...

    def __getitem__(self, where: int | slice) -> float | list[float]:
        return self._last[where].tolist() if isinstance(where, slice) else self._last[where]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Episodes):
            return self._count == other._count and self._last == other._last
        return isinstance(other, list) and self._count == len(other) and self._last.tolist() == other[-LAST:]

    __hash__ = None  # type: ignore[assignment]  # it grows


def shorten(agent: Any) -> None:
    """Have an agent of a window count its episodes, and remember the last of them alone."""
    for name, kind in (("episode_returns", "d"), ("episode_lengths", "q")):
        numbers = getattr(agent, name, None)
        if isinstance(numbers, list):
            setattr(agent, name, Episodes(numbers, kind))


@dataclass(frozen=True, eq=False)
class Moment:
    """The run at one count, to be gone back to.

    ``at``: how many entries of the log it has behind it; ``setup``: the world and settings.
    """

    count: int
    at: int
    setup: Any
    arrays: dict[str, NDArray[Any]]
    run: dict[str, Any]
    trail: tuple[int, ...]
    size: int  # bytes


@dataclass
class History:
    """See the module's text. ``why`` says why nothing can be walked back, where it cannot."""

    limit: int = BYTES
    why: str = ""
    log: list[Entry] = field(default_factory=list)
    at: int = 0  # entries of the log that the run has behind it
    head: int = 0  # the furthest count that was reached
    runs: int = 0  # that have begun
    kept: list[Moment] = field(default_factory=list)
    _walks: list[tuple[int, Any]] = field(default_factory=list)
    _tours: list[float] = field(default_factory=list)  # returns of the walker
    _listed: tuple[Any, list[Edit]] | None = None  # the edits of this log
    _kept_at: float = -np.inf  # when a state was kept last, in seconds of processor time of this thread
    _cost: float = 0.0  # seconds that it took

    # --- remembering ------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> Entry | None:
        """The next command that the run comes to when it goes on: it stands in its past."""
        return self.log[self.at] if self.at < len(self.log) else None

    @property
    def size(self) -> int:
        """Bytes of all kept states."""
        return sum(one.size for one in self.kept)

    def begin(self, engine: Engine) -> None:
        """A run begins."""
        shorten(engine.agent)
        self.why, self.runs = why_not_walked(engine), self.runs + 1
        self.log, self.at, self.head, self.kept = [], 0, engine.count, []
        self._walks, self._tours = [], []
        self._kept_at = -np.inf
        if not self.why:
            self._keep(engine)
            self.watch_walker(engine)

    def note(self, entry: Entry) -> bool:
        """A command was obeyed. True if there was a future, which is cut off."""
        cut = entry.count < self.head or self.at < len(self.log)
        if cut:
            del self.log[self.at :]
            self.kept = self.kept[:1] + [one for one in self.kept[1:] if one.count <= entry.count]
            self._walks = [one for one in self._walks if one[0] <= entry.count]
            self.head = entry.count
        self.log.append(entry)
        self.at = len(self.log)
        return cut

    def offer(self, engine: Engine) -> None:
        """The run has gone on: keep its state, if it is time."""
        self.head = max(self.head, engine.count)
        if self.why or self.pending is not None or (self.kept and engine.count <= self.kept[-1].count):
            return
        now = time.thread_time()
        if now - self._kept_at < self._cost / (SHARE_OF_LARGE if engine.large else SHARE):
            return
        self._keep(engine)
        self._kept_at = time.thread_time()
        self._cost = self._kept_at - now

    def _keep(self, engine: Engine) -> None:
        arrays, run = captured(engine.agent)
        size = sum(table.nbytes for table in (*arrays.values(), run["returns"], run["lengths"])) + 4096
        self.kept.append(Moment(engine.count, self.at, engine.setup, arrays, run, tuple(engine.trail), size))
        while len(self.kept) > 2 and (len(self.kept) > MOST or self.size > self.limit):
            del self.kept[self._needless()]

    def _needless(self) -> int:
        """The kept state that is missed least: its gap is small for its age. Neither the first nor the last."""
        counts = np.array([one.count for one in self.kept], np.float64)
        gaps, ages = counts[2:] - counts[:-2], counts[-1] - counts[1:-1]
        return 1 + int(np.argmin(gaps / (ages + 1.0)))

    def watch_walker(self, engine: Engine) -> None:
        """The walker has moved: write down where it is."""
        walker = engine.walker
        if (
            self.why
            or walker is None
            or engine.count < self.head
            or (self._walks and engine.count < self._walks[-1][0])
        ):
            return
        self._tours[len(walker.returns) :] = []
        self._tours.extend(walker.returns[len(self._tours) :])
        place = walker.place()
        if self._walks and self._walks[-1][0] == engine.count:
            self._walks[-1] = (engine.count, place)  # where it stood when the count moved on
        else:
            self._walks.append((engine.count, place))
        if len(self._walks) > WALKS:
            half = len(self._walks) // 2
            self._walks = self._walks[:half:2] + self._walks[half:]

    # --- going there ------------------------------------------------------------------------------------------------

    def seek(self, engine: Engine, count: int, deadline: float = math.inf) -> int | None:
        """Have the run stand at a count between the earliest and the head.

        Returns that count if it is still on its way at the ``deadline`` (time.perf_counter): `go_on` takes it further.

        Raises:
            ValueError: if this run cannot be walked back, with the reason.
        """
        if self.why:
            raise ValueError(f"This run cannot be walked back: {self.why}.")
        count = min(max(count, self.kept[0].count), self.head)
        if count == engine.count:
            return None
        before = max(0, bisect.bisect_left([one.count for one in self.kept], count) - 1)
        start = self.kept[before]
        if not start.count <= engine.count < count:
            engine.put_back(start)
            self.at = start.at
        return None if self.go_on(engine, count, deadline) else count

    def go_on(self, engine: Engine, count: int, deadline: float = math.inf) -> bool:
        """Run on to a count that was sought; whether the run stands there now."""
        if not engine.run_to(count, deadline):
            return False
        place = max(0, bisect.bisect_right([one[0] for one in self._walks], count) - 1)
        if engine.walker is not None and self._walks:
            engine.walker.go(self._walks[place][1], self._tours)
        return True

    def back(self, engine: Engine, step: str) -> int:
        """The count one step back: a "unit", an "update", or an "episode" (of a planner, ten sweeps)."""
        if step == "unit" or (step == "update" and engine.unit == "sweep"):
            return engine.count - 1
        if engine.unit == "sweep":
            return engine.count - 10
        if step == "update":
            return self._update_before(engine)
        agent = engine.agent
        into = int(agent._episode_length)
        return engine.count - (into or (agent.episode_lengths[-1] if agent.episode_lengths else 1))

    def _update_before(self, engine: Engine) -> int:
        """The count before the present one after which something was learnt last; at most `FAR` steps back.

        The run is repeated up to there and looked at step by step, so it stands elsewhere afterwards.
        """
        from rlgrid.window.breakpoints import Condition, Watch

        if self.why:
            raise ValueError(f"This run cannot be walked back: {self.why}.")
        end, least = engine.count - 1, max(self.kept[0].count, engine.count - 1 - FAR)
        while end > least:
            begin = max(least, end - WINDOW)
            self.seek(engine, begin)
            watch, found = Watch(Condition("update"), engine), -1
            while engine.count < end:
                before = engine.count
                engine.run_to(before + 1)
                if watch.reached(engine):
                    found = engine.count
                if engine.count == before:
                    break
            if found >= 0:
                return found
            end = begin
        return least

    def facts(self) -> dict[str, Any]:
        """What the timeline shows."""
        return {
            "earliest": self.kept[0].count if self.kept else self.head,
            "head": self.head,
            "kept": len(self.kept),
            "bytes": self.size,
            "edits": self.edits(),
            "why": self.why,
        }

    def edits(self) -> list[Edit]:
        """The changes of the run in order, those ahead of it included; the drag of a slider is one change."""
        key = (self.runs, len(self.log), self.log[-1] if self.log else None)
        if self._listed is None or self._listed[0] != key:
            self._listed = (key, self._edits())
        return self._listed[1]

    def _edits(self) -> list[Edit]:
        found: list[Edit] = []
        held = False
        for entry in self.log:
            edit = entry.edit
            if edit is None:
                continue
            if held and found and found[-1].symbol == edit.symbol:
                edit = Edit(found[-1].count, edit.symbol, found[-1].before, edit.after)
                found.pop()
            if edit.before != edit.after:
                found.append(edit)
            held = entry.held
        return found


def why_not_walked(engine: Engine) -> str:
    """Why the past of a run cannot be had again; empty where it can."""
    agent = engine.agent
    if not hasattr(agent, "_arrays"):
        return "an object of a script acts in it, whose inside is not known"
    if agent.unit == "step" and not agent._world.can_be_saved:
        return f"{type(agent.env.unwrapped).__name__} is an environment of its own, whose inside is not known"
    if agent.unit == "step" and not agent._world.transparent:
        return agent._world.why_not_compilable() or "a wrapper of its environment may keep what is not known"
    return ""


def captured(agent: Any) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of an agent, copied, and what else it needs to go on from here."""
    arrays = {}
    for name, table in agent._arrays().items():
        arrays[name] = np.array(table, copy=True)
        arrays[name].flags.writeable = False
    observation = agent._observation
    run = {
        "scalars": dict(agent._scalars()),
        "num_timesteps": agent.num_timesteps,
        "total_timesteps": agent.total_timesteps,
        "begun": agent._begun,
        "returns": agent.episode_returns.copy(),
        "lengths": agent.episode_lengths.copy(),
        "generator": agent._generator.bit_generator.state,
        "predict_generator": agent._predict_generator.bit_generator.state,
        "world": agent._world.snapshot() if agent.unit == "step" and agent._has_reset else None,
        "saved": agent._snapshot,
        "observation": np.array(observation) if isinstance(observation, np.ndarray) else observation,
        "episode_return": agent._episode_return,
        "episode_length": agent._episode_length,
    }
    return arrays, run


def put_into(agent: Any, kept: Moment) -> None:
    """Have an agent, the same or one of the same kind and settings, stand where it was captured."""
    run = kept.run
    agent._set_arrays(kept.arrays)
    agent._set_scalars(dict(run["scalars"]))
    agent.num_timesteps, agent.total_timesteps = run["num_timesteps"], run["total_timesteps"]
    agent._begun, agent._snapshot = run["begun"], run["saved"]
    agent.episode_returns, agent.episode_lengths = run["returns"].copy(), run["lengths"].copy()
    if run["world"] is not None:
        agent._world.restore(run["world"])
    agent._has_reset = run["world"] is not None
    agent._generator.bit_generator.state = run["generator"]
    agent._predict_generator.bit_generator.state = run["predict_generator"]
    observation = run["observation"]
    agent._observation = observation.copy() if isinstance(observation, np.ndarray) else observation
    agent._episode_return, agent._episode_length = run["episode_return"], run["episode_length"]
