"""What the worker says, taken into the state: the world's facts, parameters, snapshots, refusals and failures.

`Inbox.take` has a method for each message; they are listed in `rlgrid.window.worker`.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlgrid.window import mapview
from rlgrid.window.layers import NAMED, coloured
from rlgrid.window.motion import Motion, appended
from rlgrid.window.plots import SERIES
from rlgrid.window.snapshot import wanted
from rlgrid.window.state import Curve, Snapshot, Timeline

if TYPE_CHECKING:
    from rlgrid.window.app import App

FLASH = 0.24  # seconds
GHOST = 2.5  # seconds that the policy before a change is seen
PATHS = 8  # episodes whose ways are kept
LONGEST = 2_000  # states of one of them
QUIET = 0.15  # seconds that the worker may be busy before it is said


@dataclass
class Seen:
    """What is followed from snapshot to snapshot: of a race in every lane."""

    motion: Motion = field(default_factory=Motion)
    flash_at: float = -1.0
    version: int = 0  # of the world, and of the one of the last snapshot
    shown_version: int = 0

    @property
    def animating(self) -> bool:
        """Whether the next frame differs by itself."""
        return self.motion.moving or self.flash_at >= 0


class Inbox:
    """The messages of one app's worker."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.seen = Seen()
        self._faded_at = 0.0
        self._doing, self._doing_at = "", 0.0
        self._asked: tuple[int, int, bool] | None = None
        self._prepared: tuple[Snapshot, dict[str, Any]] | None = None  # of a snapshot that comes next
        self._wanted: tuple[str, ...] | None = None  # tables that the worker was asked for; None: all
        self.first_tables: float | None = None  # when something learnt was first shown

    @property
    def animating(self) -> bool:
        """Whether the next frame differs by itself."""
        return self.seen.animating or self._app.race.moving

    def fresh(self) -> Seen:
        """Of a lane of which nothing was seen yet."""
        return Seen()

    def ask_again(self) -> None:
        """What is inspected is of another agent."""
        self._asked = None

    def forget(self) -> None:
        """A run begins again: what is on its way belongs to the one before."""
        self.seen.motion, self._asked = Motion(), None

    def busy(self, words: str) -> None:
        """What the worker is doing from now on."""
        self._doing, self._doing_at = words, self._app.clock()

    def take(self, message: tuple[Any, ...], now: float) -> None:
        """Take one message."""
        takers = {
            "world": self._world,
            "parameters": self._parameters,
            "doing": self._busy_with,
            "snapshot": self._snapshot,
            "lanes": self._lanes,
            "lane": self._lane,
            "outcomes": self._outcomes,
            "history": self._history,
            "look": self._look,
            "stopped": self._stopped,
            "notice": self._notice,
            "map": self._map,
            "stamped": self._stamped,
            "refused": self._refused,
            "failed": self._failed,
        }
        if message[0] in takers:
            takers[message[0]](message, now)

    def prepare(self, shot: Snapshot) -> None:
        """Compute what the picture needs of a large snapshot that is about to come: in the thread that has read it."""
        state = self._app.state
        fits = state.model is not None and shot.num_states in (None, state.model.num_states)
        if fits and not state.lanes and self._app.scene.ready():
            with suppress(Exception):  # what goes wrong here goes wrong again where it is drawn
                self._prepared = shot, mapview.prepared(state, shot)

    def pass_time(self, now: float) -> None:
        """Let what moves move, and ask for what is wanted next."""
        state = self._app.state
        state.doing = self._doing if self._doing and now - self._doing_at > QUIET and not state.error else ""
        for _ in self._app.race.each():
            self._move(now)
        self._ask()
        self._want()

    def _move(self, now: float) -> None:
        state = self._app.state
        self.seen.motion.advance(state, now)
        if state.before is not None and now > self._faded_at:
            state.before = None
        if self.seen.flash_at >= 0:
            left = 1.0 - (now - self.seen.flash_at) / FLASH
            state.flash = max(0.0, math.ceil(left * 4) / 4)
            if left <= 0:
                self.seen.flash_at = -1.0

    def _want(self) -> None:
        """Say which tables are seen, where that matters."""
        names = wanted(self._app.state, self._app.input.panning.active)
        if names != self._wanted:
            self._wanted = names
            self._app.link.send("want", names)

    def _ask(self) -> None:
        """Ask for the outcomes of the state that is inspected, and for what is seen of it; deeply if it is pinned."""
        state, link = self._app.state, self._app.link
        focus, deeply = state.focus, state.pinned is not None
        if focus is not None and self._asked != (link.run, focus, deeply) and state.snapshot.count:
            self._asked = (link.run, focus, deeply)
            link.inspect(focus, deeply)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _world(self, message: tuple[Any, ...], _: float) -> None:
        self._facts(message[2])
        self._wanted = None
        self._app.state.parameters = message[3]

    def _parameters(self, message: tuple[Any, ...], _: float) -> None:
        state, dragging = self._app.state, self._app.input.dragging
        self._facts(message[3])
        dragged = dragging.partition(":")[2] if dragging else ""
        held = state.parameter(dragged)
        state.parameters = [held if held is not None and p.name == dragged else p for p in message[2]]

    def _busy_with(self, message: tuple[Any, ...], now: float) -> None:
        if message[1] != self._doing:
            self._doing, self._doing_at = message[1], now

    def _outcomes(self, message: tuple[Any, ...], _: float) -> None:
        state = self._app.state
        if self._app.painter.waiting:  # of the map as it was: once the new one is there, it is asked again
            return
        state.outcomes = state.outcomes | {message[2]: message[3]}

    def _history(self, message: tuple[Any, ...], _: float) -> None:
        facts, state = message[2], self._app.state
        if facts["head"] < state.timeline.head:  # the future was cut off
            state.cut(facts["head"])
        state.timeline, state.edits = Timeline(**facts), facts["edits"]

    def _map(self, message: tuple[Any, ...], _: float) -> None:
        self._app.painter.shown(message[2])

    def _stamped(self, message: tuple[Any, ...], _: float) -> None:
        self._app.recorder.command(*message[2:])
        if self._app.teacher is not None:
            self._app.teacher.heard(message[3])
        if message[3] in ("change", "restore", "remap") or (message[3] == "lane" and message[4][1] == "change"):
            for _lane in self._app.race.each():  # what was measured at this count is of the world before
                self._app.state.forget_from(message[2])
        if message[3] == "remap":
            self._app.painter.confirmed(message[4][0])

    def _notice(self, message: tuple[Any, ...], _: float) -> None:
        self._app.say(message[1], 8.0)

    def _look(self, message: tuple[Any, ...], _: float) -> None:
        if not self._app.painter.waiting:
            self._app.state.look = message[2]

    def _stopped(self, message: tuple[Any, ...], _: float) -> None:
        state = self._app.state
        state.playing, state.stopped, state.awaited = False, message[2], ""

    def _refused(self, message: tuple[Any, ...], _: float) -> None:
        self._app.painter.refused()
        self.ask_again()
        if message[2] is not None:  # a breakpoint, which was shown as if it were awaited
            self._app.state.playing, self._app.state.awaited = message[2]
        self._app.say(message[1], 8.0)

    def _failed(self, message: tuple[Any, ...], _: float) -> None:
        state = self._app.state
        state.error, state.playing, self._doing = message[1], False, ""

    def _snapshot(self, message: tuple[Any, ...], now: float) -> None:
        shot: Snapshot = message[2]
        state, old = self._app.state, self._app.state.snapshot
        if state.model is not None and shot.num_states not in (None, state.model.num_states):
            return  # of the map as it was before it was painted
        state.snapshot = shot
        known = self._prepared
        state.computed = known[1] if known is not None and known[0] is shot else {}  # of this one alone
        self._prepared = None
        if not state.lanes:
            self._app.recorder.progress(shot.count)
        walked = (old.count, old.optimal is None, old.values is None, self.seen.version) == (
            shot.count,
            shot.optimal is None,
            shot.values is None,
            self.seen.shown_version,
        )
        self.seen.shown_version = self.seen.version
        if not walked or shot.frame is not None:
            state.stamp += 1
        if shot.values is not None and self.first_tables is None:
            self.first_tables = now
        if shot.values is not None:
            state.history.add(shot.count, shot.values)
        self._follow_paths(old, shot)
        drawn = coloured(state)
        if drawn.table is None and not drawn.pending and state.layer != "values" and not state.lanes:
            self._app.say(f"No layer “{NAMED[state.layer].title}”: {drawn.reason}.", 5.0)
            state.layer, state.scale_lock = "values", None
        self._curves(shot)
        new_sweep = state.plans and shot.count != old.count and shot.change is not None
        if new_sweep and state.speed <= 15 and shot.change is not None and float(shot.change.max()) > 1e-3:
            self.seen.flash_at = now
        self.seen.motion.follow(state, old, shot, now)

    def _lane(self, message: tuple[Any, ...], now: float) -> None:
        """A message about one lane of a race."""
        if message[2] < len(self._app.state.lanes):
            with self._app.race.within(message[2]):
                self.take(message[3], now)

    def _lanes(self, message: tuple[Any, ...], now: float) -> None:
        """A snapshot of every lane of a race."""
        shots = message[2]
        if len(shots) != len(self._app.state.lanes):
            return
        for number, shot in enumerate(shots):
            with self._app.race.within(number):
                self._snapshot(("snapshot", message[1], shot), now)
        self._app.recorder.progress(max(shot.count for shot in shots))

    def _follow_paths(self, old: Snapshot, shot: Snapshot) -> None:
        """Keep the ways of the last episodes that were seen."""
        state = self._app.state
        if shot.count < old.count:  # walked back: the ways of what is ahead are not known there
            state.paths = (shot.trail,) if shot.trail else ()
            return
        if not shot.trail or shot.trail == old.trail:
            return
        new = appended(old.trail, shot.trail) if state.paths else None
        if new is None:
            state.paths = (*state.paths, shot.trail)[-PATHS:]
        else:
            state.paths = (*state.paths[:-1], (*state.paths[-1], *new)[-LONGEST:])

    def fade(self) -> None:
        """Show the present policy faintly beside the one that follows from a change."""
        state = self._app.state
        if state.before is None and state.snapshot.greedy is not None:
            state.before = state.snapshot.greedy
        self._faded_at = self._app.clock() + GHOST

    # --- what follows from them -------------------------------------------------------------------------------------

    def _facts(self, facts: dict[str, Any]) -> None:
        state = self._app.state
        state.unit, state.in_place = facts["unit"], facts["in_place"]
        state.acts_by_values = facts["acts_by_values"]
        if facts["version"] != self.seen.version:  # the world is another: what was asked about it no longer holds
            self.seen.version, self._asked, state.outcomes = facts["version"], None, {}
        if facts["agent"] == "Acting":
            state.agent = "acting"

    def _curves(self, shot: Snapshot) -> None:
        state = self._app.state
        if state.plans:
            if shot.error_bound is not None and shot.error_bound > 0:
                state.error_curve.add(shot.count, shot.error_bound)
        elif "loss" in shot.metrics:
            state.error_curve.add(shot.count, shot.metrics["loss"])
        elif "prediction_error" in shot.truth:
            state.error_curve.add(shot.judged_at, shot.truth["prediction_error"])
        elif shot.q_values is not None and shot.distance is not None and shot.td_error is not None:
            state.error_curve.add(shot.count, shot.distance)
        if shot.regret is not None:
            state.regret_curve.add(shot.judged_at, shot.regret)
        if shot.mean_return is not None:
            state.return_curve.add(shot.count, shot.mean_return)
        for numbers, count in ((shot.truth, shot.judged_at), (shot.metrics, shot.count)):
            for name in numbers.keys() & SERIES.keys():
                state.series.setdefault(name, Curve()).add(count, numbers[name])
