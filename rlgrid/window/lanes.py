"""A race: an engine for each of two to four agents, in the same world, advanced in lock step.

Every lane makes as many units as every other: a learner steps, a planner sweeps, so at count k learners have made k
steps and planners k sweeps, or fewer where nothing is left to compute. Nothing is shared between lanes but numbers
that are the same: each has an environment of its own whose generator is seeded with the one seed, and an agent whose
own generator is seeded with it too. So a lane is to the bit the run of its agent alone.

What is common is the stream of the environment: `GridWorld` draws one number for each step and one for each reset, so
the n-th number is the same one in every lane. What it decides is not common once two agents stand in different states,
take different actions, or have ended different numbers of episodes.

Speed, play, pause, steps, seek, reset, a painted map, and the world's own numbers are for all lanes; a number of the
agent, a step by hand and a breakpoint are for one. A command that one lane refuses is done in none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rlgrid.window.breakpoints import Condition, Watch
from rlgrid.window.engine import LONGEST_EPISODE, Engine
from rlgrid.window.history import Entry
from rlgrid.window.pacing import Paced
from rlgrid.window.planned import LARGE
from rlgrid.window.scenario import Scenario
from rlgrid.window.state import Parameter, Snapshot

LEAST, MOST = 2, 4  # lanes
WORLD = ("gamma", "slip", "step_reward")  # numbers of the world: of all lanes


class Lanes(Paced):
    """See the module's text. The window takes it for an engine: what is asked of one run is of the ``selected`` one.

    Raises:
        ValueError: if the world is too large, or an agent cannot be in it.
    """

    def __init__(self, scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False):
        super().__init__(patient)
        agents = check_agents((scenario.agent, *scenario.rivals))
        self.engines: list[Engine] = []
        for number, agent in enumerate(agents):
            settings = {} if number else scenario.settings
            one = replace(scenario, agent=agent, settings=settings, warm=(), rivals=())
            engine = Engine(one, say, patient)
            self.engines.append(engine)
            if engine.large:
                raise ValueError(f"A race shows all tables of all its agents, in worlds of at most {LARGE:,} states.")
        self.selected = 0
        self.stamps: list[Entry] = []
        self._notices: list[str] = []
        self._head = 0
        self._apart = ""  # why the lanes cannot be walked back together
        self._commands: dict[str, Callable[..., Any]] = {
            "play": self._play,
            "speed": self.set_speed,
            "step": self.step,
            "episode": self.episode,
            "update": self.update,
            "reset": self.reset,
            "change": self.change,
            "restore": lambda: self._all("restore"),
            "remap": lambda *rest: self._all("remap", *rest),
            "seek": self.seek,
            "until": self.until,
            "drive": self.drive,
            "lane": self._lane,
        }

    # --- the present ------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The selected one."""
        return self.engines[self.selected]

    @property
    def count(self) -> int:
        """Units done, of the lanes that still have something to do."""
        return max(engine.count for engine in self.engines)

    @property
    def model(self) -> Any:
        """The world's model, with the changes that were made."""
        return self.engine.model

    @property
    def finished(self) -> bool:
        """Whether more units change nothing in any lane."""
        return all(engine.finished for engine in self.engines)

    @property
    def pace(self) -> float:
        """Units a second that all lanes together were measured to make; 0 where one has not been."""
        rates = [engine.pace for engine in self.engines if not engine.finished]
        return 1.0 / sum(1.0 / rate for rate in rates) if rates and all(rates) else 0.0

    @property
    def large(self) -> bool:
        """No world of a race is."""
        return False

    @property
    def showing(self) -> bool:
        """Whether what comes next is shown."""
        return self.engine.showing

    @showing.setter
    def showing(self, shows: bool) -> None:
        for engine in self.engines:
            engine.showing = shows

    # --- running ----------------------------------------------------------------------------------------------------

    def tick(self, seconds: float) -> None:
        """Let time pass in all lanes; a walk through the past goes on first, in one of them after the other."""
        self._lead()
        on_its_way = self._sought
        if on_its_way is None:
            super().tick(seconds)
        else:
            on_its_way.tick(seconds)

    def due_in(self) -> float:
        """Seconds until something is to be done; infinity for never."""
        return super().due_in() if self._sought is None else 0.0

    @property
    def _sought(self) -> Engine | None:
        """The first lane that is on its way to a count of the past; None if all of them stand."""
        return next((engine for engine in self.engines if engine.sought is not None), None)

    def _lead(self) -> None:
        """What an engine must know of how the race is run."""
        for engine in self.engines:
            engine.playing, engine.speed = self.playing, self.speed

    def advance(self, units: int) -> int:
        """Run every lane for so many units; where a breakpoint of one stops it, all stop at that very unit."""
        ran = 0
        for engine in sorted(self.engines, key=lambda engine: engine.watch is None):
            watched = engine.watch is not None
            done = engine.advance(units)
            ran = max(ran, done)
            if watched and (done or engine.stopped) and not engine.finished:
                units = done
            if engine.stopped:
                units, self.stopped, engine.stopped = done, engine.stopped, ""
                self._play(False)
                self._credit = 0.0
        self._head = max(self._head, self.count)
        return ran

    def run_to(self, count: int) -> None:
        """Run on to a count, as far as the agents go."""
        while self.count < count and self.advance(count - self.count):
            pass

    def walk(self, seconds: float) -> None:
        """Let the walkers beside planners go for so long."""
        for engine in self.engines:
            engine.walk(seconds)

    def walks_in(self) -> float:
        """Seconds until one of them takes a step."""
        return min((engine.walks_in() for engine in self.engines), default=math.inf)

    def judge(self) -> None:
        """Have what is shown judged in all lanes."""
        for engine in self.engines:
            engine.judge()

    # --- commands ---------------------------------------------------------------------------------------------------

    def obey(self, name: str, *rest: Any) -> None:
        """A command by its name, noted with the count at which it takes effect. "select" names the lane that is looked
        into and is not noted; ("lane", number, name, ...) is a command for one lane.

        Raises:
            ValueError, TypeError: if it is refused; nothing has changed then in any lane.
        """
        if name == "select":
            self.selected = min(max(0, int(rest[0])), len(self.engines) - 1)
        command = self._commands.get(name)
        if command is None:
            return
        self._lead()
        if name not in ("play", "speed", "reset") and not (name == "seek" and isinstance(rest[0], int)):
            for engine in self.engines:
                engine.arrive()  # it is about where the race was to stand
        at = max(engine.count if engine.sought is None else engine.sought for engine in self.engines)
        if name == "seek":
            rest = (self._place(rest[0]),)
        heads = [engine.history.head for engine in self.engines]
        command(*rest)
        self._lead()
        if any(engine.history.head < head for engine, head in zip(self.engines, heads, strict=True)):
            told = f"What came after, up to {self._head:,}, is cut off: the race goes on from here."
            self._notices.append(told)
            self._head = self.count  # a lane has taken another way
        for engine in self.engines:
            words = [notice for notice in engine.notices if "is cut off" not in notice]
            self._notices += [notice for notice in words if notice not in self._notices]
            engine.notices.clear()
        self.stamps.append(Entry(at, name, rest))

    def _lane(self, number: int, name: str, *rest: Any) -> None:
        """A command that concerns one lane: of the world's numbers, all."""
        if not 0 <= number < len(self.engines) or name not in ("change", "drive", "until", "episode", "update"):
            raise ValueError(f"a race of {len(self.engines)} has no lane {number}, or no command {name!r} for one")
        if name == "change" and rest[0] not in WORLD:
            self._change([self.engines[number]], name, *rest)
        elif name == "change":
            self._all(name, *rest)
        else:
            self._commands[name](*rest, lane=number)

    def _all(self, name: str, *rest: Any) -> None:
        self._change(self.engines, name, *rest)

    def _change(self, engines: list[Engine], name: str, *rest: Any) -> None:
        """A command that changes the runs of these lanes; of all of them or of none."""
        for engine in engines:
            engine.rehearse(name, *rest)
        waited = any(engine.count != self.count for engine in engines)
        for engine in engines:
            engine.obey(name, *rest)
        if waited:  # it has work again, at a count that is not the one of the others
            self._apart = "one of the agents had nothing left to compute when something was changed, and waited"

    def change(self, name: str, value: Any, held: bool = False) -> None:
        """Change a number of the world, or of every agent that has it."""
        self._all("change", name, value, held)

    def episode(self, lane: int = 0) -> None:
        """Run to the end of an episode of a lane, at most 10,000 units; of a planner, ten sweeps."""
        leader = self.engines[lane]
        if leader.unit == "sweep":
            self.advance(10)
            return
        before = len(leader.agent.episode_returns)
        for _ in range(LONGEST_EPISODE):
            self.advance(1)
            if len(leader.agent.episode_returns) > before or self.stopped:
                return

    def update(self, lane: int = 0) -> None:
        """Run until something is learnt in a lane, as `Engine.update`.

        Raises:
            ValueError: if that lane's run cannot tell.
        """
        leader = self.engines[lane]
        if leader.unit == "sweep":
            self.advance(1)
            return
        watch = Watch(Condition("update"), leader)
        for _ in range(LONGEST_EPISODE):
            if not self.advance(1) or self.stopped or watch.reached(leader):
                return
        self._notices.append(f"Nothing was learnt in {LONGEST_EPISODE:,} steps.")

    def reset(self) -> None:
        """All forget what was learnt; changed numbers and a painted map stay."""
        for engine in self.engines:
            engine.obey("reset")
        self._owed, self._head, self._apart = 0, 0, ""

    def drive(self, action: int, lane: int = 0) -> None:
        """The agent of a lane takes this action, and the others take a step of their own.

        Raises:
            ValueError: if it cannot be driven, with the reason.
        """
        leader = self.engines[lane]
        before = leader.count
        leader.obey("drive", action)
        for engine in self.engines:
            if engine is not leader and leader.count > before:
                engine.advance(leader.count - before)

    def until(self, condition: Any = None, lane: int = 0) -> None:
        """Run until a condition holds in a lane; None awaits nothing.

        Raises:
            ValueError: if it is no condition, or that lane's run cannot tell it.
        """
        self.engines[lane].until(condition)
        for engine in self.engines:
            if engine is not self.engines[lane]:
                engine.until(None)
        if condition is not None:
            self._play(True)

    @property
    def watch(self) -> Watch | None:
        """The breakpoint that is awaited in one of the lanes."""
        return next((engine.watch for engine in self.engines if engine.watch is not None), None)

    def _place(self, where: int | str) -> int:
        """The count that "seek" means: a number, or "unit", "update" or "episode" of the selected lane back."""
        self._owed = 0
        for engine in self.engines:
            engine.watch = None
        if isinstance(where, int):
            return where
        if where == "unit":
            return self.count - 1
        return self.count - (self.engine.count - self.engine.history.back(self.engine, where))

    def seek(self, count: int) -> None:
        """All lanes stand at a count of the past, or forward again; one that had nothing left to do by then at its end.

        Raises:
            ValueError: if one of them cannot be walked back, with the reason.
        """
        why = self.why
        if why:
            raise ValueError(f"This race cannot be walked back: {why}.")
        count = min(max(count, self._earliest), self._head)
        for engine in self.engines:
            engine.obey("seek", count)

    # --- what is shown ----------------------------------------------------------------------------------------------

    @property
    def why(self) -> str:
        """Why nothing can be walked back; "" where it can."""
        return next((engine.history.why for engine in self.engines if engine.history.why), self._apart)

    @property
    def _earliest(self) -> int:
        return max(engine.history.kept[0].count if engine.history.kept else 0 for engine in self.engines)

    def facts(self) -> dict[str, Any]:
        """Of the selected lane, and how many there are."""
        return self.engine.facts() | {"lanes": len(self.engines)}

    def parameters(self) -> list[Parameter]:
        """Of the selected lane."""
        return self.engine.parameters()

    def snapshots(self) -> list[Snapshot]:
        """Of every lane."""
        return [engine.snapshot() for engine in self.engines]

    def told(
        self, tell: Callable[[Engine, int, dict[str, Any]], list[tuple[Any, ...]]], run: int, said: dict[str, Any]
    ) -> list[tuple[Any, ...]]:
        """What `rlgrid.window.worker.told` (``tell``) says of the lanes: of each its history and what is seen of a
        state as ("lane", run, number, message), and of all together what is noted and noticed."""
        found: list[tuple[Any, ...]] = [("stamped", run, entry.count, entry.name, entry.rest) for entry in self.stamps]
        notices = self._notices
        inner: list[tuple[Any, ...]] = []
        for number, engine in enumerate(self.engines):
            for message in tell(engine, run, said.setdefault(f"lane {number}", {})):
                name = message[0]
                if name == "notice" and message[2] not in notices:
                    notices.append(message[2])
                elif name == "history":
                    said[f"history {number}"] = message[2]
                elif name == "look" or (name == "map" and number == 0):
                    inner.append(("lane", run, number, message) if name == "look" else message)
        found += [("notice", run, words) for words in notices]
        found += inner
        for number in range(len(self.engines)):
            facts = said.get(f"history {number}", {})
            facts = facts | {"earliest": self._earliest, "head": self._head, "why": self.why}
            if said.get(f"timeline {number}") != facts:
                said[f"timeline {number}"] = facts
                found.append(("lane", run, number, ("history", run, facts)))
        if self.stopped:
            found.append(("stopped", run, self.stopped))
        self.stamps.clear()
        notices.clear()
        self.stopped = ""
        return found

    def close(self) -> None:
        """Let the referees go, and all else, as `Engine.close` does."""
        for engine in self.engines:
            engine.close()
        self._commands.clear()


def check_agents(agents: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the agents of a race.

    Raises:
        ValueError: naming the one that there is not, or if they are too few or too many.
    """
    from rlgrid.agents import AGENTS
    from rlgrid.agents.base import check_name

    for agent in agents:
        check_name("agent", agent, AGENTS)
    if not LEAST <= len(agents) <= MOST:
        raise ValueError(f"a race is of {LEAST} to {MOST} agents, not of {len(agents)}")
    return agents


def engine_of(
    scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False
) -> Engine | Lanes:
    """What runs a scenario: an engine, or a race of several."""
    return Lanes(scenario, say, patient) if scenario.rivals else Engine(scenario, say, patient)
