"""The one cell that is inspected, looked into beside the run: its last update, or what the network does there.

The run's kept states (`rlgrid.window.history`) tell between which two of them the state was learnt of last. From there
the run is repeated by halves until the very step is found, `rlgrid.window.updates` tells what it did, and the agent is
put back where it stood, to the bit. So nothing is noted while an agent runs, and the past is asked only when somebody
looks. A look is cheap where the last update is near, is given up where it would take more than `PATIENCE`, and all
looks together take at most `SHARE` of the time.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlgrid.window.arithmetic import Update
from rlgrid.window.networks import Inside

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine

PATIENCE = 0.4  # seconds of a search for the last update
WAIT = 0.1  # seconds that a look at another state may have to wait
SHARE = 0.05  # of the time, for looks while the run plays
HURRIED = "At full speed: click the cell to see its last update."
MOST_NUMBERS = 2_000_000  # of an agent that is copied for a look


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen of a state beside the tables, after ``count`` units."""

    state: int
    count: int
    update: Update | None = None
    words: str = ""  # why there is no update
    inside: Inside | None = None


class Looker:
    """Looks into the state that was asked for, when a snapshot is made."""

    def __init__(self) -> None:
        self.state: int | None = None
        self.deeply = False  # its cell is pinned: the network's gradients too
        self._last: Look | None = None
        self._next = 0.0  # when it may look again

    def ask(self, state: int | None, deeply: bool = False) -> None:
        """Look into this state from now on, or into none."""
        if (state, deeply) != (self.state, self.deeply):
            self.state, self.deeply, self._last = state, deeply, None
            self._next = min(self._next, time.perf_counter() + WAIT)

    def forget(self) -> None:
        """What was seen is of another run."""
        self._last, self._next = None, 0.0

    def look(self, engine: Engine) -> Look | None:
        """What is seen of the state; while the run plays at most `SHARE` of the time is spent for it."""
        state, model = self.state, engine.model
        if state is None or model is None or not 0 <= state < model.num_states or not engine.warmed:
            return None
        waits = self._last is not None and self._last.words == HURRIED and not engine.hurries
        if self._last is not None and self._last.count == engine.count and not waits:
            return self._last
        now = time.perf_counter()
        if not engine.patient and engine.playing and now < self._next:
            return self._last
        self._last = look_into(engine, state, self.deeply)
        spent = time.perf_counter() - now
        self._next = now + spent / SHARE
        return self._last


def look_into(engine: Engine, state: int, deeply: bool = False) -> Look:
    """What is seen of a state now."""
    from rlgrid.window import networks, updates

    agent, count = engine.agent, engine.count
    patience = math.inf if engine.patient else networks.PATIENCE
    if engine.unit == "sweep":
        return Look(state, count)
    if hasattr(agent, "_learner") and networks.has_network(agent):
        place = networks.last_transition(agent, state)
        update = None if place is None else networks.target_update(agent, place)
        words = "" if place is not None else "The memory holds no step from here."
        return Look(state, count, update, words, networks.inside(agent, state, deeply, patience))
    if not updates.explains(agent):
        return Look(state, count, words=updates.why_not_told(agent))
    if engine.hurries and not (deeply or engine.patient):  # the run stands still for as long as its past is searched
        return Look(state, count, words=HURRIED)
    return Look(state, count, *find_update(engine, state))


def find_update(engine: Engine, state: int) -> tuple[Update | None, str]:
    """The last update of a state, or why it is not told; the run stands where it stood."""
    from rlgrid.window import updates
    from rlgrid.window.history import Kept, captured, put_into

    agent, history = engine.agent, engine.history
    if history.why:
        return None, f"Its past is not kept: {history.why}."
    if agent._learnt().size > MOST_NUMBERS:
        return None, "The world is too large to search its past."
    print_now = _print(agent, state)
    kept = [one for one in history.kept if one.count <= engine.count and one.at == history.at]
    place = next((i for i in range(len(kept) - 1, -1, -1) if _kept_print(kept[i], agent, state) != print_now), None)
    if place is None:
        if kept and kept[0].count == 0:
            return None, "Nothing was learnt here yet."
        return None, "Nothing was learnt here since the last change."
    end = kept[place + 1].count if place + 1 < len(kept) else engine.count

    def capture() -> Kept:
        arrays, run = captured(agent)
        return Kept(agent.num_timesteps, history.at, engine.setup, arrays, run, (), 0)

    present, base, began = capture(), kept[place], time.perf_counter()
    try:
        put_into(agent, base)
        span = end - base.count
        while span > 1 and (engine.patient or time.perf_counter() - began < PATIENCE):
            half = span // 2
            agent.advance(half)
            if _print(agent, state) != print_now:
                base, span = capture(), span - half
            else:
                put_into(agent, base)
                span = half
        if span > 1:
            return None, "It was learnt of long ago."
        before = updates.standing(agent)
        agent.advance(1)
        return updates.update_of(agent, before, state), ""
    finally:
        put_into(agent, present)


def _print(agent: Any, state: int) -> tuple[bytes, ...]:
    """What an update of a state changes."""
    return agent._learnt()[state].tobytes(), agent.counts[state].tobytes(), agent.td_error[state].tobytes()


def _kept_print(kept: Any, agent: Any, state: int) -> tuple[bytes, ...]:
    table = kept.arrays["values" if agent._learnt().ndim == 1 else "q"]
    return tuple(array[state].tobytes() for array in (table, kept.arrays["counts"], kept.arrays["td_error"]))
