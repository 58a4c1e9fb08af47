"""What runs behind the window: a world, an agent in it, a walker that follows the agent's policy, and a referee.

`Engine.tick(seconds)` lets that much time pass: the agent runs as many units (sweeps, steps) as its speed asks for,
the walker takes its steps. It is driven by the worker process in real time, and by the recorder in time steps of
equal length, where the same commands give the same pictures.

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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.actors import TRAIL, Acting, Walker, model_of
from rlgrid.window.referee import Referee, Shown
from rlgrid.window.state import Floats, Parameter, Snapshot

WALK = 6.0  # steps a second of the walker
SLOW = 20.0  # up to so many steps a second, the learner itself is shown
BUDGET = 0.006  # seconds of a chunk in real time
FULL_SPEED = 2_000.0  # units a second that stand for full speed where time is simulated

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
SETTINGS: dict[str, dict[str, Any]] = {"q_learning": {"learning_rate": 0.3}}
METHOD_WORDS = {"value_iteration": "Jacobi", "gauss_seidel": "Gauss-Seidel"}


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


def slip_of(model: Any) -> float:
    """The probability of slipping to each side, of the world or else of the first tile that has a slip of its own."""
    slips = [model.slip, *(kind.slip for kind in model.kinds if kind.slip is not None and not kind.wall)]
    return float(max((slip.left + slip.right) / 2 for slip in slips))


class Engine:
    """See the module's text. ``say`` is told in words what takes time; ``patient`` waits for the referee."""

    def __init__(self, scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False):
        self.scenario, self._say, self._patient = scenario, say, patient
        self.playing = True
        self.speed = 8.0
        self._credit = 0.0
        self._walk_credit = 0.0
        self._rate = 0.0  # units a second, as measured
        self._warmed = self._saying = self._stalled = False
        self._warming = False  # whether other agents' kernels are being compiled, or were
        self._judged = True  # whether V* and regret of the model say something of the agent's rewards
        self._trail: deque[int] = deque(maxlen=TRAIL)
        self.version = 0  # of the model: grows with every change of the world
        self.world_changes: dict[str, float] = {}
        self.agent_changes: dict[str, Any] = {}
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
            self._base: Any = model_of(self.env) if world.same_names else None
            self._judged = world.transparent
            self.agent: Any = agent if hasattr(agent, "advance") else Acting(self.env, agent)
            self.model = self._base
        else:
            from rlgrid.agents import agent_class
            from rlgrid.envs import WORLDS
            from rlgrid.gridmap import GridSpec

            self._say("building the world")
            if scenario.map_text is not None:
                spec = GridSpec.parse(scenario.map_text, source=scenario.world)
            else:
                spec = GridSpec.builtin(WORLDS[scenario.world][0] if scenario.world in WORLDS else scenario.world)
            self._base = spec.compile()
            self.model = self._base
            self.env = self._new_env(self.model)
            settings = SETTINGS.get(scenario.agent, {}) | scenario.settings
            kind: Any = agent_class(scenario.agent)
            self.agent = kind(env=self.env, seed=scenario.seed, **settings)
            self.agent.begin(self._run_length())
        self._after_build()
        self._say("")

    def _run_length(self) -> int | None:
        """Of the agent, in steps; a planner goes on until its tolerance is proven."""
        return None if self.unit == "sweep" else RUN_LENGTHS.get(self.scenario.agent, RUN_LENGTH)

    @staticmethod
    def _new_env(model: Any) -> Any:
        from rlgrid.envs.gridworld import from_map

        return from_map(model=model)  # under the model's own step cap

    def _after_build(self) -> None:
        self.version += 1
        self.gamma = float(getattr(self.agent, "gamma", getattr(self.model, "gamma", 1.0) if self.model else 1.0))
        self.walker = None if self.model is None else Walker(self.model, self.gamma, self.scenario.seed)
        judged = self.model is not None and self._judged
        self.referee = Referee(self.model, self.gamma, self._patient) if judged else None
        self._shown: dict[str, Any] = {}
        self._last: Shown | None = None  # what was shown last, for the referee
        self._first_q = float(getattr(self.agent, "initial_q", 0.0))
        self._trail.clear()
        self._warmed = self._saying = False  # whether the kernels are compiled; whether that is still being said
        self._stalled = False

    # --- running ----------------------------------------------------------------------------------------------------

    @property
    def unit(self) -> str:
        """What one unit of the agent is: "sweep" or "step"."""
        return str(self.agent.unit)

    @property
    def converged(self) -> bool:
        """Whether there is nothing left to compute."""
        return self._warmed and bool(getattr(self.agent, "converged", False))

    @property
    def finished(self) -> bool:
        """Whether more sweeps change nothing: the tolerance is proven, or rounding forbids that it ever is."""
        return self.converged or self._stalled

    @property
    def follows_learner(self) -> bool:
        """Whether the learner itself is shown, not the walker."""
        if isinstance(self.agent, Acting) or self.walker is None:
            return True
        return self.unit == "step" and self.speed <= SLOW

    def tick(self, seconds: float) -> None:
        """Let time pass: run what is due. In real time at most one chunk is run, so that commands are heard."""
        if not self.playing:
            return
        if math.isinf(self.speed):
            if self._patient:
                self._credit += FULL_SPEED * seconds
            else:
                self._credit = max(1.0, self._rate * BUDGET)
        else:
            self._credit += self.speed * seconds
            if not self._patient:  # what a busy machine could not run in time is not made up for
                self._credit = min(self._credit, max(1.0, self.speed * 0.25))
        units = int(self._credit)
        if units:
            self._credit -= units
            if not self._patient and self._rate:
                units = min(units, max(1, int(self._rate * BUDGET)))
            self.advance(units)
        if not self.follows_learner and self.walker is not None:
            self._walk_credit = min(self._walk_credit + WALK * seconds, 2.0)
            while self._walk_credit >= 1.0:
                self._walk_credit -= 1.0
                self.walker.step(self._shown.get("greedy"))

    def advance(self, units: int) -> int:
        """Run so many units of the agent, and keep the tables that are shown."""
        if not self._warmed:
            self._say(f"compiling the kernels of {self._agent_words()}")
        began = time.perf_counter()
        done = self._advance_planner(units) if self.unit == "sweep" else self._advance_learner(units)
        spent = time.perf_counter() - began
        if self._warmed and done:
            rate = done / max(spent, 1e-6)
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        if self._saying and self._warmed:
            self._saying = False
            self._say("")
        if not self._warmed:
            self._warmed = self._saying = True
            if self.unit == "step" or not self.playing:
                self._saying = False
                self._say("")
            if self._patient and self.unit == "sweep" and units > done > 0:
                done += self.advance(units - done)
        return done

    def _agent_words(self) -> str:
        from rlgrid.agents import AGENTS

        return AGENTS.get(self.scenario.agent, "the agent") if self.scenario.pickled is None else "the agent"

    def _advance_planner(self, units: int) -> int:
        agent = self.agent
        if self.finished:
            return 0
        if (
            not self._warmed and self.playing
        ):  # the first sweep is shown before the kernels of the action values are compiled
            before_any = agent.values
            done = agent.advance(1)
            self._shown = {"values": agent.values, "previous": before_any, "change": np.abs(agent.values - before_any)}
            return int(done)
        done = agent.advance(units - 1) if units > 1 else 0
        before = self._plan()
        last = agent.advance(1)
        self._stalled = not last and not self.converged
        if last:
            values = agent.values
            in_place = getattr(agent, "method", "") == "gauss_seidel"
            self._shown = (self._plan() if in_place else before) | {
                "values": values,
                "previous": before["values"],
                "change": np.abs(values - before["values"]),
                "lower": agent.lower,
                "upper": agent.upper,
            }
        return int(done + last)

    def _plan(self) -> dict[str, Any]:
        """The planner's tables as they are."""
        agent = self.agent
        q_values = agent.q_values
        return {
            "values": agent.values,
            "q_values": q_values,
            "greedy": known(agent.greedy(), q_values, 0.0),
            "policy": agent.policy,
        }

    def _advance_learner(self, units: int) -> int:
        if not self.follows_learner:
            return int(self.agent.advance(units))
        for _ in range(units):
            episodes = len(self.agent.episode_returns)
            self.agent.advance(1)
            if episodes != len(self.agent.episode_returns):
                self._trail.clear()
            state = self.agent.state
            if state is not None:
                self._trail.append(int(state))
        return units

    def _warm_others(self) -> None:
        """Compile what the tour needs next, while something else is watched."""
        from rlgrid.agents import agent_class

        for name in self.scenario.warm:
            kind: Any = agent_class(name)
            with suppress(Exception):  # what does not work says so when it is chosen
                kind(env=self._new_env(self._base), seed=0).advance(2)

    # --- commands ---------------------------------------------------------------------------------------------------

    def obey(self, name: str, *rest: Any) -> None:
        """A command by its name; unknown ones are not for the engine.

        Raises:
            ValueError, TypeError: if the world or the agent refuses a change.
        """
        if name == "play":
            self.playing = bool(rest[0])
        elif name == "speed":
            self.set_speed(float(rest[0]))
        elif name == "step":
            self.advance(1)
        elif name == "episode":
            self.episode()
        elif name == "reset":
            self.reset()
        elif name == "change":
            self.change(*rest)
        elif name == "restore":
            self.restore()

    def set_speed(self, speed: float) -> None:
        """Units a second; infinity for as fast as possible."""
        self.speed = speed
        self._credit = 0.0

    def episode(self) -> None:
        """Run to the end of an episode, at most 10,000 steps; for a planner, ten sweeps."""
        if self.unit == "sweep":
            self.advance(10)
            return
        before = len(self.agent.episode_returns)
        for _ in range(10_000):
            self.advance(1)
            if len(self.agent.episode_returns) > before:
                return

    def reset(self) -> None:
        """Forget what was learnt; changed parameters stay."""
        changes, settings = dict(self.world_changes), dict(self.agent_changes)
        self._build()
        self.world_changes, self.agent_changes = {}, {}
        for name, value in changes.items():
            self.change(name, value)
        for name, value in settings.items():
            self.change(name, value)
        if self.scenario.pickled is None:
            self.agent.begin(self._run_length())

    def restore(self) -> None:
        """The world's and the agent's own numbers again; what was learnt is kept as a start."""
        self.world_changes, self.agent_changes = {}, {}
        self._remodel({}, SETTINGS.get(self.scenario.agent, {}) | self.scenario.settings)

    def change(self, name: str, value: Any) -> None:
        """Change a number of the world or of the agent; learning goes on from what is known.

        Raises:
            ValueError: if the world or the agent refuses it.
        """
        if name in ("gamma", "slip", "step_reward"):
            world, settings = self.world_changes | {name: float(value)}, self.agent_changes
        else:
            world, settings = self.world_changes, self.agent_changes | {name: value}
        base = SETTINGS.get(self.scenario.agent, {}) | self.scenario.settings
        self._remodel(world, base | _as_settings(settings))
        self.world_changes, self.agent_changes = world, settings

    def _remodel(self, world: dict[str, float], settings: dict[str, Any]) -> None:
        model = self._base
        if "slip" in world:
            model = model.with_slip_each_side(world["slip"])
        rest = {name: value for name, value in world.items() if name != "slip"}
        if rest:
            model = model.with_changes(**rest)
        old = self.agent
        env = self._new_env(model)
        new = type(old)(env=env, seed=self.scenario.seed, **settings)
        if self.unit == "sweep" and new.gamma == 1.0:  # whether the world has a value is found by its first sweep
            type(old)(env=env, seed=0, **settings).advance(1)
        new.begin(old.total_timesteps)
        new._set_arrays(old._arrays())
        new._set_scalars(old._scalars())
        new.num_timesteps = old.num_timesteps
        new.episode_returns, new.episode_lengths = old.episode_returns, old.episode_lengths
        if self.referee is not None:
            self.referee.stop()
        self.model, self.env, self.agent = model, env, new
        warmed, shown, walker = self._warmed, self._shown, self.walker
        self._after_build()
        self._warmed = warmed
        self._shown = {k: v for k, v in shown.items() if k not in ("lower", "upper")}
        if walker is not None and self.walker is not None:
            self.walker.returns = walker.returns

    # --- what is shown ----------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What the window must know of the run beside its tables."""
        return {
            "unit": self.unit,
            "num_states": 0 if self.model is None else self.model.num_states,
            "num_actions": 0 if self.model is None else self.model.num_actions,
            "in_place": getattr(self.agent, "method", "") == "gauss_seidel",
            "agent": type(self.agent).__name__,
            "version": self.version,
        }

    def parameters(self) -> list[Parameter]:
        """The numbers of the world and of the agent, for sliders and lines of text."""
        found = []
        base, model = self._base, self.model
        adjustable = self.scenario.pickled is None
        if model is not None and hasattr(model, "kinds"):
            gamma, slip, reward = float(model.gamma), slip_of(model), float(model.step_reward)
            low, high = min(-1.0, base.step_reward), max(1.0, base.step_reward)
            top = 1.0 if adjustable else 0.0
            found = [
                Parameter(
                    "gamma",
                    "Discount γ",
                    "world",
                    gamma,
                    low=0.5 * top,
                    high=top,
                    digits=4,
                    grain=3,
                    initial=base.gamma,
                ),
                Parameter("slip", "Slip, each side", "world", slip, high=0.45 * top, digits=3, initial=slip_of(base)),
                Parameter(
                    "step_reward",
                    "Step reward",
                    "world",
                    reward,
                    low=low * top,
                    high=high * top,
                    initial=base.step_reward,
                ),
            ]
        elif model is not None:
            found = [
                Parameter("gamma", "Discount γ", "world", float(model.gamma), digits=3, initial=float(model.gamma))
            ]
        return found + self._agent_parameters(adjustable)

    def _agent_parameters(self, adjustable: bool) -> list[Parameter]:
        agent = self.agent
        found: list[Parameter] = []
        top = 1.0 if adjustable else 0.0
        first = _settings_of(type(agent)) | SETTINGS.get(self.scenario.agent, {}) | self.scenario.settings
        if hasattr(agent, "method"):
            words = METHOD_WORDS.get(agent.method, agent.method)
            found.append(Parameter("method", "Sweep order", "agent", 0.0, text=words))
        if hasattr(agent, "tolerance"):
            found.append(
                Parameter(
                    "tolerance",
                    "Tolerance",
                    "agent",
                    float(agent.tolerance),
                    low=1e-9 * top,
                    high=1e-1 * top,
                    log=True,
                    initial=float(first.get("tolerance", 1e-6)),
                )
            )
        measures = agent.metrics() if self._warmed else {}
        found += self._rate_parameters(measures, first, top)
        epsilon = measures.get("epsilon")
        if epsilon is not None:
            held = "epsilon" in self.agent_changes
            label = "Exploration ε" if held else "Exploration ε ↓"
            value = float(self.agent_changes["epsilon"]) if held else float(epsilon)
            start = math.nan if held else value
            found.append(Parameter("epsilon", label, "agent", value, high=top, initial=start))
        layers = hidden_layers(agent)
        if layers is not None:
            dense = all(isinstance(layer, int) for layer in layers)
            words = " × ".join(map(str, layers)) if dense else f"{len(layers)} layers"
            found.append(Parameter("net", "Hidden units" if dense else "Network", "agent", 0.0, text=words or "none"))
        return found

    def _rate_parameters(self, measures: dict[str, float], first: dict[str, Any], top: float) -> list[Parameter]:
        """The learning rate, if there is one; one that follows a schedule is shown as it is now."""
        rate = getattr(self.agent, "learning_rate", None)
        if rate is None or "learning_rate" in type(self.agent).not_taken:
            return []
        falling = not isinstance(rate, float)
        now = measures.get("learning_rate") if falling else rate
        if now is None:
            start = str(rate).rpartition("_")[2]  # of a schedule such as "lin_1e-3"
            return [Parameter("learning_rate", "Learning rate α ↓", "agent", 0.0, text=start)]
        low, high = (1e-5, 1e-2) if hidden_layers(self.agent) is not None else (1e-3, 1.0)
        start = first.get("learning_rate", rate)
        changed = "learning_rate" in self.agent_changes
        initial = float(start) if isinstance(start, int | float) else (math.nan if changed else float(now))
        label = "Learning rate α ↓" if falling else "Learning rate α"
        value = float(f"{now:.3g}")
        initial = initial if not falling else value
        return [
            Parameter("learning_rate", label, "agent", value, low=low * top, high=high * top, log=True, initial=initial)
        ]

    def snapshot(self) -> Snapshot:
        """The present tables and numbers."""
        agent, shown = self.agent, self._shown
        tables: dict[str, Any] = {
            name: shown.get(name) for name in ("values", "q_values", "greedy", "previous", "lower", "upper", "change")
        }
        policy = shown.get("policy")
        if self.unit != "sweep" and self.model is not None and self._warmed:
            policy = self._learnt(tables)
        visits, td_error = getattr(agent, "visits", None), getattr(agent, "td_error", None)
        if self.unit == "sweep":
            td_error = None
        if policy is not None:
            q_values = tables["q_values"]
            alone = tables["values"] if q_values is None else None
            self._last = Shown(int(agent.num_timesteps), np.asarray(policy), q_values, visits, alone)
        self.judge()
        follows = self.follows_learner
        state = agent.state if follows else (self.walker.state if self.walker is not None else None)
        trail = self._trail if follows else (self.walker.trail if self.walker is not None else ())
        returns = agent.episode_returns if self.unit == "step" else (self.walker.returns if self.walker else [])
        frame = None
        if self.model is None and getattr(self.env, "render_mode", None) == "rgb_array":
            frame = np.ascontiguousarray(self.env.render(), np.uint8) if agent.num_timesteps else None
        recent = 100 if self.unit == "step" else 1
        values = tables["values"]
        return Snapshot(
            count=int(agent.num_timesteps),
            **tables,
            optimal=None if self.referee is None else self.referee.optimal,
            distance=None if self.referee is None or values is None else self.referee.distance(values),
            visits=visits,
            td_error=td_error,
            walker=state,
            trail=tuple(int(s) for s in trail),
            follows_learner=follows,
            error_bound=float(agent.error_bound) if hasattr(agent, "error_bound") and self._warmed else None,
            regret=None if self.referee is None else self.referee.regret,
            truth={} if self.referee is None else self.referee.numbers,
            trouble="" if self.referee is None else self.referee.trouble or self.referee.unshared,
            judged_at=0 if self.referee is None else self.referee.judged_at,
            mean_return=float(np.mean(returns[-recent:])) if returns else None,
            episodes=len(returns),
            converged=self.converged,
            finished=self.finished,
            metrics=agent.metrics() if self._warmed else {},
            frame=frame,
        )

    def _learnt(self, tables: dict[str, Any]) -> NDArray[Any] | None:
        """Put a learner's tables, those that it has, among ``tables``; its policy."""
        agent = self.agent
        for name in ("values", "q_values"):
            tables[name] = getattr(agent, name, None)  # a network has none over vectors
        if tables["values"] is None:
            return None
        greedy: NDArray[np.bool_] = agent.greedy()
        if tables["q_values"] is not None:
            greedy = known(greedy, tables["q_values"], self._first_q)
        tables["greedy"] = self._shown["greedy"] = greedy
        policy: NDArray[Any] = agent.policy
        return policy

    def judge(self) -> None:
        """Have the referee judge what was shown last, if it has not yet."""
        referee = self.referee
        if referee is None or self._last is None:
            return
        referee.judge(self._last)
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


def known(greedy: NDArray[np.bool_], q_values: Floats, first: float) -> NDArray[np.bool_]:
    """bool [S, A] without the rows in which every action is still worth what it was at first: nothing has reached
    such a state, and an arrow there would mean nothing."""
    untouched = ((q_values == first) | np.isneginf(q_values)).all(axis=1)
    shown: NDArray[np.bool_] = greedy & ~untouched[:, None]
    return shown


def hidden_layers(agent: Any) -> list[Any] | None:
    """The hidden layers of an agent's network, as they were asked for; None where it has no network."""
    settings = getattr(agent, "settings", None)
    network = settings.get("policy_kwargs") if isinstance(settings, dict) else None
    return None if network is None else list(network["net_arch"])


def _as_settings(changes: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments of changed parameters; a chosen epsilon holds from now on."""
    settings = dict(changes)
    if "epsilon" in settings:
        epsilon = float(settings.pop("epsilon"))
        settings |= {"exploration_initial_eps": epsilon, "exploration_final_eps": epsilon}
    return settings


def _settings_of(kind: type) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
