"""What runs behind the window, as time passes and as commands are obeyed: a run (`rlgrid.window.run`) and its past.

`Engine.tick(seconds)` lets that much time pass: the agent runs as many units (sweeps, steps) as its speed asks for,
the walker takes its steps. It is driven by the worker process in real time, and by the recorder in time steps of
equal length, where the same commands give the same pictures.

Whatever changes a run is a command and goes through `Engine.obey`, which notes it with the count of units at which it
took effect (`stamps`). A run is a function of its scenario and of these: so it can be walked back
(`rlgrid.window.history`), and saved as a short file (`rlgrid.window.session`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window import parameters, remaking
from rlgrid.window.breakpoints import Condition, Watch, parse
from rlgrid.window.history import Entry, History, Moment, put_into
from rlgrid.window.looking import Looker
from rlgrid.window.pacing import BUDGET, WALK
from rlgrid.window.planned import Planned
from rlgrid.window.run import Run
from rlgrid.window.scenario import Scenario, Setup, edited, numbered
from rlgrid.window.shown import snapshot_of
from rlgrid.window.state import SYMBOLS, Edit, Parameter, Snapshot

PATIENCE = 0.03  # seconds of a walk through the past in one piece
LONGEST_EPISODE = 10_000  # steps after which the command "episode" stops


class Engine(Run):
    """See the module's text. ``say`` is told in words what takes time; ``patient`` waits for the referee."""

    def __init__(self, scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False):
        super().__init__(scenario, say, patient)
        self._walk_credit = 0.0
        self.sliced = False  # whether a long walk through the past is gone bit by bit, as time passes
        self.sought: int | None = None  # the count that such a walk is on its way to
        self._rehearsing = False  # whether a command is only tried
        self.stamps: list[Entry] = []  # commands that were obeyed, until somebody takes them
        self.notices: list[str] = []  # what is to be told of them
        self.history = History()
        self.looker = Looker()
        self.watch: Watch | None = None  # the breakpoint that is awaited
        self._commands: dict[str, Callable[..., Any]] = {
            "play": self._play,
            "speed": self.set_speed,
            "step": self.step,
            "episode": self.episode,
            "update": self.update,
            "reset": self.reset,
            "change": self.change,
            "restore": self.restore,
            "remap": self.remap,
            "drive": self.drive,
            "seek": self.seek,
            "until": self.until,
        }
        self._build()

    def _begin_run(self, base: Any) -> None:
        self.sought = None
        super()._begin_run(base)
        self._await_again()
        self.history.begin(self)

    def _use(self, setup: Setup) -> None:
        super()._use(setup)
        self.looker.forget()

    # --- running ----------------------------------------------------------------------------------------------------

    def walk(self, seconds: float) -> None:
        """Let the walker go for so long, where it is what is shown."""
        if self.follows_learner or self.walker is None:
            return
        self._walk_credit = min(self._walk_credit + WALK * seconds, 2.0)
        while self._walk_credit >= 1.0:
            self._walk_credit -= 1.0
            self.walker.step(self._greedy_of(self.walker.state))
            self.history.watch_walker(self)

    def walks_in(self) -> float:
        """Seconds until the walker's next step."""
        if self.follows_learner or self.walker is None:
            return math.inf
        return max(0.0, 1.0 - self._walk_credit) / WALK

    def _greedy_of(self, state: int) -> NDArray[np.bool_] | None:
        """bool [A], the greedy actions of a state as they are shown; None where none are known."""
        if isinstance(self.tables, Planned):
            return self.tables.row(state)
        greedy = self.tables.get("greedy")
        return None if greedy is None else greedy[state]

    def run_to(self, count: int, deadline: float = math.inf) -> bool:
        """Run on to a count, as far as the agent goes; False where it is not there at the deadline."""
        self._catch_up()
        while self.count < count:
            most = count - self.count if math.isinf(deadline) else min(count - self.count, self._chunk())
            if not self.advance(most):
                break
            if self.count < count and time.perf_counter() >= deadline:
                return False
        return True

    def tick(self, seconds: float) -> None:
        """Let time pass; a walk through the past goes on first."""
        if self.sought is None:
            super().tick(seconds)
            return
        self.showing = True
        self.arrive(time.perf_counter() + BUDGET)

    def due_in(self) -> float:
        """Seconds until something is to be done; infinity for never."""
        return super().due_in() if self.sought is None else 0.0

    def arrive(self, deadline: float = math.inf) -> None:
        """Go on to the count that was sought, if there is one; no further than the ``deadline`` (time.perf_counter)."""
        if self.sought is not None and self.history.go_on(self, self.sought, deadline):
            self.sought = None

    def advance(self, units: int) -> int:
        """Run so many units of the agent, and keep the tables that are shown.

        In its past the run comes to the commands that it obeyed there, and obeys them again.
        """
        done, began = 0, time.perf_counter()
        while done < units:
            entry = self.history.pending
            if entry is not None and entry.count <= self.count:
                before = self.count
                self._repeat(entry)
                done += self.count - before
                if self.count > before:  # a step by hand: what was changed right after it belongs to this count too
                    self._catch_up()
                continue
            most = units - done
            if entry is not None:
                most = min(most, entry.count - self.count)
            if self.watch is not None:
                most = min(most, self.watch.stride(self))
            ran = self._run(most)
            if not ran:
                break
            done += ran
            self._catch_up()
            self.history.offer(self)
            late = not self._patient and time.perf_counter() - began > BUDGET
            if self.watch is not None and (self._stops() or late):
                break
        return done

    def _stops(self) -> bool:
        """Whether what is awaited holds now: the run then stops, and it is said."""
        words = None if self.watch is None else self.watch.reached(self)
        if words is None:
            return False
        self.watch, self.stopped = None, words
        self._play(False)
        self._credit = 0.0
        return True

    def _catch_up(self) -> None:
        """Obey again what was obeyed at this count, but for steps that were taken by hand: they begin here."""
        while (entry := self.history.pending) is not None and entry.count <= self.count and entry.name != "drive":
            self._repeat(entry)

    def _play(self, playing: bool) -> None:
        super()._play(playing)
        tables = self.tables
        if not playing and not isinstance(tables, Planned) and "previous" in tables and "greedy" not in tables:
            self._plan(tables["previous"])  # it stops right after the first sweep

    def _repeat(self, entry: Entry) -> None:
        self.history.at += 1
        self._commands[entry.name](*entry.rest)

    # --- commands ---------------------------------------------------------------------------------------------------

    def obey(self, name: str, *rest: Any) -> None:
        """A command by its name, noted with the count at which it takes effect; unknown ones are not for the engine.

        Raises:
            ValueError, TypeError: if the world or the agent refuses it; nothing has changed then.
        """
        command = self._commands.get(name)
        if command is None:
            return
        if name not in ("play", "speed", "reset") and not (name == "seek" and isinstance(rest[0], int)):
            self.arrive()  # it is about where the run was to stand
        at = self.count if self.sought is None else self.sought
        unnoted = Entry(at, name, rest)
        if name == "seek":
            rest = (self._place(rest[0]),)
            unnoted = Entry(at, name, rest)
        listed = {p.name: p for p in self.parameters()} if name == "change" else {}
        runs = self.history.runs
        command(*rest)
        if self.history.runs == runs and name in self._changing():
            held = name == "change" and len(rest) > 2 and bool(rest[2])
            self._note(replace(unnoted, edit=self._edit(unnoted, listed), held=held))
        self.stamps.append(unnoted)

    def rehearse(self, name: str, *rest: Any) -> None:
        """Try a command that changes the world or the agent, and leave everything as it is.

        Raises:
            ValueError, TypeError: if it would be refused.
        """
        notices, self._rehearsing = len(self.notices), True
        try:
            self._commands[name](*rest)
        finally:
            self._rehearsing = False
            del self.notices[notices:]

    def _changing(self) -> tuple[str, ...]:
        """Commands after which the run is another one: but for a walker, which is driven beside it."""
        return ("change", "restore", "remap", "drive") if self.unit == "step" else ("change", "restore", "remap")

    def _note(self, entry: Entry) -> None:
        history = self.history
        head = history.head
        if history.note(entry):
            unit = self.unit if head == 1 else f"{self.unit}s"
            self.notices.append(f"What came after, up to {head:,} {unit}, is cut off: the run goes on from here.")
        history.head = self.count

    def _edit(self, entry: Entry, before: dict[str, Parameter]) -> Edit | None:
        """How a change is listed."""
        if entry.name == "change":
            name = str(entry.rest[0])
            after = next((p for p in self.parameters() if p.name == name), None)
            old = before.get(name)
            was, now = ("" if p is None else p.shown for p in (old, after))
            return Edit(entry.count, SYMBOLS.get(name, name), was, now)
        if entry.name == "restore":
            return Edit(entry.count, "settings", "", "as at first")
        if entry.name == "remap":
            return Edit(entry.count, "map", "", str(entry.rest[1]) if len(entry.rest) > 1 else "painted")
        return None

    def episode(self) -> None:
        """Run to the end of an episode, at most 10,000 steps; for a planner, ten sweeps."""
        if self.unit == "sweep":
            self.advance(10)
            return
        before = len(self.agent.episode_returns)
        for _ in range(LONGEST_EPISODE):
            self.advance(1)
            if len(self.agent.episode_returns) > before or self.stopped:
                return

    def update(self) -> None:
        """Run until something is learnt (`rlgrid.window.breakpoints`), at most 10,000 steps; for a planner, a sweep.

        Raises:
            ValueError: if this run cannot tell.
        """
        if self.unit == "sweep":
            self.advance(1)
            return
        watch = Watch(Condition("update"), self)
        for _ in range(LONGEST_EPISODE):
            if not self.advance(1) or self.stopped or watch.reached(self):
                return
        self.notices.append(f"Nothing was learnt in {LONGEST_EPISODE:,} steps.")

    def reset(self) -> None:
        """Forget what was learnt; changed parameters and a painted map stay. Before this the run cannot be walked."""
        changes, settings = self.setup.world_changes, self.setup.agent_changes
        self._build()
        if changes or settings:
            self._remodel(self.scenario, self.base, changes, settings)
            if self.scenario.pickled is None:
                self.agent.begin(self._run_length())
            self.history.begin(self)

    def restore(self) -> None:
        """The world's and the agent's own numbers again; what was learnt is kept as a start."""
        self._check_changeable()
        self._remodel(*edited(self.setup, "restore"))

    def change(self, name: str, value: Any, held: bool = False) -> None:
        """Change a number of the world or of the agent; learning goes on from what is known.

        ``held``: a slider is still being dragged, and another change follows, which is listed as one with this.

        Raises:
            ValueError: if the world or the agent refuses it.
        """
        self._check_changeable()
        self._remodel(*edited(self.setup, "change", name, value))

    def remap(self, map_text: str, words: str = "") -> None:
        """The world is another map from now on; what was learnt is kept, cell by cell (`rlgrid.window.remaking`).

        Where that is not possible the agent begins again, which is told as a notice.

        Raises:
            ValueError: if the text is no map, or the agent cannot be in it.
        """
        self._check_changeable()
        self._remodel(*edited(self.setup, "remap", map_text))

    def drive(self, action: int) -> None:
        """The learner takes this action now, and learns from it; beside a planner, the walker takes it.

        Raises:
            ValueError: if there is no such action, or the agent could not learn from it, with the reason.
        """
        if self.unit == "sweep":
            if self.walker is None:
                raise ValueError("There is nobody to drive: the world is not known.")
            self.walker.drive(action)
            self.history.watch_walker(self)
            return
        if not hasattr(self.agent, "take"):
            raise ValueError("An object of a script acts by itself and cannot be driven.")
        self.agent.check_taken(action)  # before an episode is begun for it
        if not self.warmed:
            self._say(f"compiling the kernels of {self._agent_words()}")
        episodes = len(self.agent.episode_returns)
        self._open_trail()
        self.agent.take(action)
        self.warmed = True
        self._say("")
        self._leave_trail(episodes)

    def _place(self, where: int | str) -> int:
        """The count that "seek" means: a number, or "unit", "update" or "episode" for one of these back."""
        self._owed, self.watch = 0, None
        return self.history.back(self, where) if isinstance(where, str) else int(where)

    def seek(self, count: int) -> None:
        """Stand at a count of the past, or forward again, with the tables that were there.

        Raises:
            ValueError: if this run cannot be walked back, with the reason.
        """
        self.sought = None
        self.sought = self.history.seek(self, count, time.perf_counter() + PATIENCE if self.sliced else math.inf)

    def until(self, condition: Any = None) -> None:
        """Run until a condition holds, and stop at that unit (`rlgrid.window.breakpoints`); None awaits nothing.

        Raises:
            ValueError: if it is no condition, or this run cannot tell it.
        """
        self.watch = None if condition is None else Watch(parse(condition, self.model), self)
        if condition is not None:
            self._play(True)

    def _await_again(self) -> None:
        """Go on awaiting a condition where the world or the agent has changed; what cannot be told is let go."""
        if self.watch is None:
            return
        try:
            self.watch = Watch(self.watch.condition, self)
        except ValueError as error:
            self.watch = None
            self.notices.append(f"The breakpoint is let go. {error}")

    def _check_changeable(self) -> None:
        if self.scenario.pickled is not None:
            raise ValueError("The environment and the agent of a script stay as the script made them.")

    def _remodel(self, scenario: Scenario, base: Any, asked: dict[str, float], settings: dict[str, Any]) -> None:
        model, world = numbered(base, asked)
        if asked and not world:
            self.notices.append("A map with keys, coins or walls between cells keeps the numbers of its own file.")
        same_world = base is self.base
        rows = remaking.same_rows(model) if same_world else remaking.rows_between(self.base, base)
        old = self.agent
        new = self._new_agent(model, settings, scenario)
        if self.unit == "sweep" and new.gamma == 1.0:  # whether the world has a value is found by its first sweep
            self._new_agent(model, settings, scenario).advance(1)
        if self._rehearsing:
            return
        new.begin(old.total_timesteps)
        goes_on = rows is not None and remaking.carry(old, new, rows)
        if not goes_on:
            new = self._new_agent(model, settings, scenario)
            new.begin(old.total_timesteps)
        walker, warmed = self.walker, self.warmed
        self.scenario, self.env, self.agent = scenario, new.env, new
        setup = Setup(scenario, base, model, world, settings, self._gamma(model))
        if not goes_on:
            self.notices.append("The agent begins again: what it has learnt does not fit the new world.")
            self._use(setup)
            self.tables, self.warmed = {}, False
            self._await_again()
            self.history.begin(self)
            return
        self._use(setup)
        self.tables, self.warmed, self.shown_at = {}, warmed, self.count
        self.stand_anew()
        self._await_again()
        if walker is not None and self.walker is not None:
            self.walker.returns = walker.returns

    def put_back(self, kept: Moment) -> None:
        """Stand where a state was kept."""
        setup: Setup = kept.setup
        if setup is not self.setup:
            self.scenario = setup.scenario
            self.agent = self._new_agent(setup.model, setup.agent_changes, setup.scenario)
            self.agent.begin(None)
            self.env = self.agent.env
        put_into(self.agent, kept)
        self._use(setup)
        self.trail.extend(kept.trail)
        self.tables, self.warmed, self.shown_at = {}, True, self.count
        self._await_again()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What the window must know of the run beside its tables."""
        return {
            "unit": self.unit,
            "num_states": 0 if self.model is None else self.model.num_states,
            "num_actions": 0 if self.model is None else self.model.num_actions,
            "acts_by_values": hasattr(type(self.agent), "q_values") and not hasattr(self.agent, "value_table"),
            "in_place": getattr(self.agent, "method", "") == "gauss_seidel",
            "agent": type(self.agent).__name__,
            "version": self.version,
        }

    def parameters(self) -> list[Parameter]:
        """The numbers of the world and of the agent, for sliders and lines of text."""
        return parameters.parameters(self)

    def snapshot(self, wanted: frozenset[str] | None = None) -> Snapshot:
        """The present tables, those that are ``wanted`` in a large world, and numbers."""
        return snapshot_of(self, wanted if self.large else None)

    def close(self) -> None:
        """Let the referee go, and all that is held: the table of commands holds the engine itself."""
        super().close()
        self._commands.clear()
