"""What runs behind the window: a world, an agent in it, a walker that follows the agent's policy, and a referee.

`Engine.tick(seconds)` lets that much time pass: the agent runs as many units (sweeps, steps) as its speed asks for,
the walker takes its steps. It is driven by the worker process in real time, and by the recorder in time steps of
equal length, where the same commands give the same pictures.

Whatever changes a run is a command and goes through `Engine.obey`, which notes it with the count of units at which it
took effect (`stamps`). A run is a function of its scenario and of these: so it can be walked back
(`rlgrid.window.history`), and saved as a short file (`rlgrid.window.session`).

The tables shown for a planner belong together: V after sweep k, and the action values and the policy that the sweep
computed from the values before it, so that V is the largest action value and the backup written out gives V.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window import floors, parameters, remaking
from rlgrid.window.actors import TRAIL, Acting, Walker, model_of
from rlgrid.window.breakpoints import Condition, Watch, parse
from rlgrid.window.history import Entry, History, Kept, put_into
from rlgrid.window.looking import Looker
from rlgrid.window.pacing import BUDGET, WALK, Paced
from rlgrid.window.parameters import settings_of
from rlgrid.window.planned import LARGE, Planned, apart
from rlgrid.window.referee import Referee, Shown
from rlgrid.window.shown import snapshot_of
from rlgrid.window.state import SYMBOLS, Edit, Parameter, Snapshot

SLOW = 20.0  # up to so many steps a second, and while it does not play, the learner itself is shown
BOUNDS = 0.01  # of the time may be spent on proofs in a large world
PATIENCE = 0.03  # seconds of a walk through the past in one piece
LONGEST_EPISODE = 10_000  # steps after which the command "episode" stops

# Steps over which a learner's schedules run: those that plan with what they remember need fewer, those that learn only
# when an episode ends need more.
RUN_LENGTH = 40_000
RUN_LENGTHS = {
    "dqn": 30_000,
    "dyna_q": 10_000,
    "dyna_q_plus": 10_000,
    "prioritized_sweeping": 10_000,
    "monte_carlo": 100_000,
    "off_policy_monte_carlo": 100_000,
}


@dataclass(frozen=True)
class Scenario:
    """What is to be run, as plain values that can be sent to another process."""

    world: str = "rlgrid/FourRooms-v0"  # an id or a built-in map's name; or the map's text, below
    map_text: str | None = None
    agent: str = "value_iteration"
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)  # of the agent
    pickled: bytes | None = None  # an environment and an agent of a script
    warm: tuple[str, ...] = ()  # agents whose kernels are to be compiled in the meantime
    rivals: tuple[str, ...] = ()  # agents that run beside it in the same world: `rlgrid.window.lanes`


@dataclass(frozen=True, eq=False)
class Setup:
    """The world and the settings of a part of a run: it has another one from every change on."""

    scenario: Scenario
    base: Any  # the world's model as its map says
    model: Any  # and with the changes
    world_changes: dict[str, float]
    agent_changes: dict[str, Any]
    gamma: float


class Engine(Paced):
    """See the module's text. ``say`` is told in words what takes time; ``patient`` waits for the referee."""

    def __init__(self, scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False):
        super().__init__(patient)
        self.scenario, self._say = scenario, say
        self.showing = True  # whether what comes next is shown: else tables are left as they were
        self._proof: tuple[tuple[Any, int], bool] | None = None  # whether that planner has converged at that count
        self._bound: tuple[float, float] | None = None  # what was proven last, and until when that will do
        self._copying = 0.0  # seconds for tables, of which nobody was told
        self._walk_credit = 0.0
        self.sliced = False  # whether a long walk through the past is gone bit by bit, as time passes
        self.sought: int | None = None  # the count that such a walk is on its way to
        self._rehearsing = False  # whether a command is only tried
        self._rate = 0.0  # units a second, as measured
        self.warmed = self._saying = self._stalled = False
        self._warming = False  # whether other agents' kernels are being compiled, or were
        self._judged = True  # whether V* and regret of the model say something of the agent's rewards
        self.trail: deque[int] = deque(maxlen=TRAIL)
        self.referee: Referee | None = None
        self.version = 0  # of the model: grows with every change of the world
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

    # --- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        scenario = self.scenario
        if scenario.pickled is not None:
            import cloudpickle  # type: ignore[import-untyped]

            from rlgrid.agents.world import World

            self._say("unpacking the environment and the agent")
            self.env, agent = cloudpickle.loads(scenario.pickled)
            world = World(self.env)
            # Behind a wrapper that renumbers, what the agent knows of an observation is not about the state shown.
            base: Any = model_of(self.env) if world.same_names else None
            self._judged = world.transparent
            self.agent: Any = agent if hasattr(agent, "advance") else Acting(self.env, agent)
        else:
            from rlgrid.agents import agent_class

            self._say("building the world")
            base = _model_of_map(scenario)
            self.env = self._new_env(base)
            kind: Any = agent_class(scenario.agent)
            self.agent = kind(env=self.env, seed=scenario.seed, **settings_of(scenario.agent, scenario.settings))
            self.agent.begin(self._run_length())
        self._begin_run(base)
        self._say("")

    def _run_length(self) -> int | None:
        """Of the agent, in steps; a planner goes on until its tolerance is proven."""
        return None if self.unit == "sweep" else RUN_LENGTHS.get(self.scenario.agent, RUN_LENGTH)

    def _new_env(self, model: Any) -> Any:
        from rlgrid.envs import CLASSICS
        from rlgrid.envs.gridworld import from_map
        from rlgrid.envs.registry import make

        classic = CLASSICS.get(self.scenario.world)
        if classic is not None and classic.max_episode_steps and model.max_episode_steps is None:
            return make("GridWorld-v0", model=model, max_episode_steps=classic.max_episode_steps)
        return from_map(model=model)  # under the model's own step cap

    def _begin_run(self, base: Any) -> None:
        """An agent that knows nothing, in the world as its map says."""
        self._owed, self.sought = 0, None
        self._use(Setup(self.scenario, base, base, {}, {}, self._gamma(base)))
        self.tables: dict[str, Any] = {}
        self.shown_at = 0  # the count at which the tables of a planner were what they are
        self.warmed = self._saying = False  # whether the kernels are compiled; whether that is still being said
        self.history.begin(self)

    def _gamma(self, model: Any) -> float:
        return float(getattr(self.agent, "gamma", getattr(model, "gamma", 1.0) if model is not None else 1.0))

    def _use(self, setup: Setup) -> None:
        """Stand in this world: a walker of its own, and a referee that knows it."""
        before: Setup | None = getattr(self, "setup", None)
        known_world = before is not None and before.model is setup.model and before.gamma == setup.gamma
        self.setup = setup
        if before is None or before.model is not setup.model:
            self.version += 1
        shown = self.model is not None and not getattr(self.agent, "recurrent", False)  # a policy to walk by
        self.walker = Walker(self.model, self.gamma, self.scenario.seed) if shown else None
        if not known_world or self.referee is None:
            if before is not None and self.referee is not None:
                self.referee.stop()
            judged = self.model is not None and self._judged
            self.referee = Referee(self.model, self.gamma, self._patient) if judged else None
        else:
            self.referee.judge_again()
        self.to_judge: Shown | None = None  # what was shown last
        self.trail.clear()
        self._stalled = False
        self.looker.forget()
        if self.watch is not None:
            self._await(self.watch.condition)

    # --- the present ------------------------------------------------------------------------------------------------

    @property
    def pace(self) -> float:
        """Units a second, as measured."""
        return self._rate

    @property
    def unit(self) -> str:
        """What one unit of the agent is: "sweep" or "step"."""
        return str(self.agent.unit)

    @property
    def count(self) -> int:
        """Units done."""
        return int(self.agent.num_timesteps)

    @property
    def base(self) -> Any:
        """The world's model as its map says; None where it is unknown."""
        return self.setup.base

    @property
    def model(self) -> Any:
        """The world's model with the changes that were made; None where it is unknown."""
        return self.setup.model

    @property
    def gamma(self) -> float:
        """The agent's discount factor."""
        return self.setup.gamma

    @property
    def agent_changes(self) -> dict[str, Any]:
        """The agent's numbers that were changed."""
        return self.setup.agent_changes

    @property
    def converged(self) -> bool:
        """Whether there is nothing left to compute."""
        if not self.warmed or self.unit == "step":
            return False
        key = (self.agent, self.count)  # a proof costs several sweeps, and this is asked again and again
        if self._proof is None or self._proof[0] != key:
            self._proof = (key, bool(self.agent.proven))
        return self._proof[1]

    @property
    def large(self) -> bool:
        """Whether the world is so large that tables are computed and copied only where they are shown."""
        return self.model is not None and self.model.num_states > LARGE

    def error_bound(self) -> float | None:
        """The proven distance to V*. In a large world it is worked out now and then, and stays proven in between."""
        if self.unit != "sweep" or not self.warmed:
            return None
        now = time.thread_time()
        bound, until = self._bound or (None, -math.inf)
        if not self.large or self._patient or now >= until:
            bound = float(self.agent.error_bound)
            after = time.thread_time()
            self._bound = bound, after + (after - now) / BOUNDS
        return bound

    @property
    def finished(self) -> bool:
        """Whether more sweeps change nothing: the tolerance is proven, or rounding forbids that it ever is."""
        return self.converged or self._stalled

    @property
    def follows_learner(self) -> bool:
        """Whether the learner itself is shown, not the walker: while it is slow, and while it is led by hand."""
        if isinstance(self.agent, Acting) or self.walker is None:
            return True
        return self.unit == "step" and (not self.playing or self.speed <= SLOW)

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
        self._arrive(time.perf_counter() + BUDGET)

    def due_in(self) -> float:
        """Seconds until something is to be done; infinity for never."""
        return super().due_in() if self.sought is None else 0.0

    def _arrive(self, deadline: float = math.inf) -> None:
        """Go on to the count that was sought, if there is one."""
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

    def _run(self, units: int) -> int:
        """Run the agent for so many units, in one piece."""
        if not self.warmed:
            self._say(f"compiling the kernels of {self._agent_words()}")
        began = time.perf_counter()
        done = self._advance_planner(units) if self.unit == "sweep" else self._advance_learner(units)
        spent = time.perf_counter() - began
        if self.warmed and done:
            rate = done / max(spent, 1e-6)
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        if self._saying and self.warmed:
            self._saying = False
            self._say("")
        if not self.warmed:
            self.warmed = self._saying = True
            if self.unit == "step" or not self.playing:
                self._saying = False
                self._say("")
            if self._patient and self.unit == "sweep" and units > done > 0:
                done += self._run(units - done)
        return done

    def _agent_words(self) -> str:
        from rlgrid.agents import AGENTS

        return AGENTS.get(self.scenario.agent, "the agent") if self.scenario.pickled is None else "the agent"

    def _advance_planner(self, units: int) -> int:
        agent = self.agent
        if self.finished:
            return 0
        if (
            not self.warmed and self.playing
        ):  # the first sweep is shown before the kernels of the action values are compiled
            before_any = agent.values
            done = agent.advance(1)
            self.tables = {"values": agent.values, "previous": before_any, "change": apart(agent.values, before_any)}
            self.shown_at = self.count
            return int(done)
        if self.large:
            return self._advance_large(units)
        done, previous = 0, agent.values
        while done < units:  # whichever sweep turns out to be the last, its table and the one before it are at hand
            before = agent.values
            if not agent.advance(1):
                break
            done, previous = done + 1, before
        self._stalled = done < units and not self.converged
        if done:
            self._plan(previous)
        return int(done)

    def _plan(self, previous: NDArray[np.float64]) -> None:
        """Keep the tables of the last sweep, which began with the values ``previous``."""
        plan = Planned(self.agent, previous, getattr(self.agent, "method", "") == "gauss_seidel")
        self.tables = plan if self.large else plan.whole()
        self.shown_at = self.count

    def _advance_large(self, units: int) -> int:
        """Sweep a large world: its values are copied where they are shown, and the time of that is noted."""
        agent = self.agent
        unseen = units - 1 if self.showing else units
        done = int(agent.advance(unseen)) if unseen else 0
        if self.showing:
            began = time.thread_time()
            previous = agent.values
            self._copying += time.thread_time() - began
            done += int(agent.advance(1))
            began = time.thread_time()
            if done:
                self._plan(previous)
            self._copying += time.thread_time() - began
        self._stalled = done < units and not self.converged
        return done

    def stand(self) -> None:
        """Have the tables of where a large plan stands, paused or done, when its last sweep was not shown."""
        if self.unit == "sweep" and self.large and self.shown_at != self.count:
            self.tables, self.shown_at = Planned(self.agent, None, True), self.count

    def take_copying(self) -> float:
        """Seconds of processor time that copying the values of a large world has taken since this was asked last."""
        taken, self._copying = self._copying, 0.0
        return taken

    def _advance_learner(self, units: int) -> int:
        unseen = units - 2 * TRAIL  # steps that leave no trail
        if not self.follows_learner:
            done = int(self.agent.advance(units))
            self._begin_trail()  # its way here was not seen: it is shown from here on
            return done
        if unseen > 0:
            self.agent.advance(unseen)
            self.trail.clear()
        for _ in range(units - max(0, unseen)):
            episodes = len(self.agent.episode_returns)
            self.agent.advance(1)
            self._leave_trail(episodes)
        return units

    def _leave_trail(self, episodes: int) -> None:
        if episodes != len(self.agent.episode_returns):
            self._begin_trail()
        else:
            self._go_on_with_trail()

    def _begin_trail(self) -> None:
        self.trail.clear()
        self._go_on_with_trail()

    def _go_on_with_trail(self) -> None:
        state = self.agent.state
        if state is not None:
            self.trail.append(int(state))

    def _warm_others(self) -> None:
        """Compile what the tour needs next, while something else is watched."""
        from rlgrid.agents import agent_class

        for name in self.scenario.warm:
            kind: Any = agent_class(name)
            with suppress(Exception):  # what does not work says so when it is chosen
                kind(env=self._new_env(self.base), seed=0).advance(2)

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
            self._arrive()  # it is about where the run was to stand
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
            self._remodel(self.base, changes, settings)
            if self.scenario.pickled is None:
                self.agent.begin(self._run_length())
            self.history.begin(self)

    def restore(self) -> None:
        """The world's and the agent's own numbers again; what was learnt is kept as a start."""
        self._check_changeable()
        self._remodel(self.base, {}, {})

    def change(self, name: str, value: Any, held: bool = False) -> None:
        """Change a number of the world or of the agent; learning goes on from what is known.

        ``held``: a slider is still being dragged, and another change follows, which is listed as one with this.

        Raises:
            ValueError: if the world or the agent refuses it.
        """
        self._check_changeable()
        if name in ("gamma", "slip", "step_reward"):
            self._remodel(self.base, self.setup.world_changes | {name: float(value)}, self.setup.agent_changes)
        else:
            self._remodel(self.base, self.setup.world_changes, self.setup.agent_changes | {name: value})

    def remap(self, map_text: str, words: str = "") -> None:
        """The world is another map from now on; what was learnt is kept, cell by cell (`rlgrid.window.remaking`).

        Where that is not possible the agent begins again, which is told as a notice.

        Raises:
            ValueError: if the text is no map, or the agent cannot be in it.
        """
        self._check_changeable()
        scenario = replace(self.scenario, map_text=str(map_text))
        base = _model_of_map(scenario)
        self._remodel(base, self.setup.world_changes, self.setup.agent_changes, scenario)

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
        if not self.warmed:
            self._say(f"compiling the kernels of {self._agent_words()}")
        episodes = len(self.agent.episode_returns)
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
        self.watch = None
        if condition is not None:
            self.watch = Watch(parse(condition, self.model), self)
            self._play(True)

    def _await(self, condition: Any) -> None:
        """Go on awaiting a condition where the world or the agent has changed; what cannot be told is let go."""
        try:
            self.watch = Watch(condition, self)
        except ValueError as error:
            self.watch = None
            self.notices.append(f"The breakpoint is let go. {error}")

    def _check_changeable(self) -> None:
        if self.scenario.pickled is not None:
            raise ValueError("The environment and the agent of a script stay as the script made them.")

    def _remodel(
        self, base: Any, world: dict[str, float], settings: dict[str, Any], scenario: Scenario | None = None
    ) -> None:
        scenario = self.scenario if scenario is None else scenario
        model = base
        if world and not hasattr(base, "with_slip_each_side"):
            self.notices.append("A map with keys, coins or walls between cells keeps the numbers of its own file.")
            world = {}
        if world:
            model = floors.with_numbers(base, world)
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
        walker, shown, warmed = self.walker, self.tables, self.warmed
        self.scenario, self.env, self.agent = scenario, new.env, new
        setup = Setup(scenario, base, model, world, settings, self._gamma(model))
        if not goes_on:
            self.notices.append("The agent begins again: what it has learnt does not fit the new world.")
            self._use(setup)
            self.tables, self.warmed = {}, False
            self.history.begin(self)
            return
        self._use(setup)
        same_states = rows is not None and np.array_equal(rows, remaking.same_rows(old.model))
        self.tables = {k: v for k, v in shown.items() if k not in ("lower", "upper")} if same_states else {}
        self.warmed, self.shown_at = warmed, self.count
        if walker is not None and self.walker is not None:
            self.walker.returns = walker.returns

    def _new_agent(self, model: Any, changes: dict[str, Any], scenario: Scenario) -> Any:
        settings = settings_of(scenario.agent, scenario.settings) | parameters.as_settings(changes)
        return type(self.agent)(env=self._new_env(model), seed=scenario.seed, **settings)

    def another_agent(self) -> Any:
        """An agent of the same kind and settings in a world of its own, which has learnt nothing here."""
        if self.scenario.pickled is not None:
            import cloudpickle

            return cloudpickle.loads(self.scenario.pickled)[1]
        return self._new_agent(self.setup.model, self.setup.agent_changes, self.scenario)

    def put_back(self, kept: Kept) -> None:
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

    def judge(self) -> None:
        """Have the referee judge what was shown last, if it has not yet."""
        referee = self.referee
        if referee is None or self.to_judge is None:
            return
        referee.judge(self.to_judge)
        # Kernels are compiled one at a time, and those of the judge come first.
        if (
            self.scenario.warm
            and not self._patient
            and not self._warming
            and (referee.regret is not None or referee.trouble or referee.unshared)
        ):
            self._warming = True
            threading.Thread(target=self._warm_others, name="rlgrid warming", daemon=True).start()

    def close(self) -> None:
        """Let the referee go."""
        if self.referee is not None:
            self.referee.stop()


def _model_of_map(scenario: Scenario) -> Any:
    """The model of a scenario's map, or of its world that is no map.

    Raises:
        ValueError: if it is none.
    """
    from rlgrid.envs import CLASSICS, WORLDS
    from rlgrid.envs.classics import parts_of
    from rlgrid.gridmap import GridSpec
    from rlgrid.window.editing import draft_of

    if scenario.map_text is not None:
        spec: GridSpec = draft_of(scenario.map_text, scenario.world)  # its goals may be out of reach for a while
    elif scenario.world in CLASSICS:
        classic = CLASSICS[scenario.world]
        return parts_of(classic.world, classic.settings).model
    else:
        spec = GridSpec.builtin(WORLDS[scenario.world][0] if scenario.world in WORLDS else scenario.world)
    return spec.compile()
