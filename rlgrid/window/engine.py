"""What runs behind the window: a world, an agent in it, a walker that follows the agent's policy, and a referee.

`Engine.tick(seconds)` lets that much time pass: the agent runs as many units (sweeps, steps) as its speed asks for,
the walker takes its steps. It is driven by the worker process in real time, and by the recorder in time steps of
equal length, where the same commands give the same pictures.

The tables shown for a planner belong together: V after sweep k, and the action values and the policy that the sweep
computed from the values before it, so that V is the largest action value and the backup written out gives V.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.state import Floats, Parameter, Snapshot

WALK = 6.0  # steps a second of the walker
SLOW = 20.0  # up to so many steps a second, the learner itself is shown
BUDGET = 0.006  # seconds of a chunk in real time
FULL_SPEED = 2_000.0  # units a second that stand for full speed where time is simulated
MOST_WALK = 400  # steps after which a walk that leads nowhere begins again
TRAIL = 60

RUN_LENGTH = {"q_learning": 40_000, "dqn": 20_000}  # over which a learner's schedules run
SETTINGS: dict[str, dict[str, Any]] = {"q_learning": {"learning_rate": 0.2}}
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


class Acting:
    """An object with ``predict`` as an agent that acts and does not learn.

    Where observations are the states of a known model, its policy is read off state by state and valued exactly.
    """

    unit = "step"
    most = 5_000  # states of which the policy is read

    def __init__(self, env: Any, actor: Any) -> None:
        self.env, self.actor = env, actor
        self.model = model_of(env)
        self.num_timesteps = 0
        self.episode_returns: list[float] = []
        self._observation: Any = None
        self._return = 0.0
        self._values: Floats | None = None
        self._policy: NDArray[np.int64] | None = None

    def advance(self, steps: int) -> int:
        """Act for so many steps."""
        for _ in range(steps):
            if self._observation is None:
                self._observation, _ = self.env.reset(seed=0 if self.num_timesteps == 0 else None)
                self._return = 0.0
            action, _ = self.actor.predict(self._observation)
            action = action.item() if isinstance(action, np.ndarray) and action.size == 1 else action
            self._observation, reward, terminated, truncated, _ = self.env.step(action)
            self._return += float(reward)
            self.num_timesteps += 1
            if terminated or truncated:
                self.episode_returns.append(self._return)
                self._observation = None
        return steps

    @property
    def state(self) -> int | None:
        """The present state where observations are states."""
        if self._observation is None or self.model is None:
            return None
        return int(self._observation)

    @property
    def policy(self) -> NDArray[np.int64]:
        """int64 [S], read off once."""
        if self.model is None or self.model.num_states > self.most:
            raise AttributeError("the policy of this object cannot be read")
        if self._policy is None:
            actions = [int(np.asarray(self.actor.predict(s)[0]).item()) for s in range(self.model.num_states)]
            self._policy = np.array(actions, np.int64)
        return self._policy

    @property
    def values(self) -> Floats:
        """float64 [S], exact values of the policy."""
        if self._values is None:
            from rlgrid.solvers import policy_values

            values: Floats = np.asarray(policy_values(self.model, self.policy), np.float64)
            self._values = values
        return self._values

    @property
    def q_values(self) -> Floats:
        """float64 [S, A]: one backup of the policy's values."""
        model, values = self.model, self.values
        return np.array(
            [
                [
                    sum(p * (r + (0.0 if ended else model.gamma * values[to])) for p, to, r, ended in outcomes)
                    if outcomes
                    else -np.inf
                    for outcomes in outcomes_of(model, s)
                ]
                for s in range(model.num_states)
            ]
        )

    def greedy(self) -> NDArray[np.bool_]:
        """bool [S, A]: the action that the object takes."""
        chosen: NDArray[np.bool_] = self.policy[:, None] == np.arange(self.model.num_actions)
        return chosen

    def metrics(self) -> dict[str, float]:
        """Nothing beside the returns."""
        return {}


def model_of(env: Any) -> Any:
    """The model of an environment: ours, one made from toy_text's table, or None."""
    inner = env.unwrapped
    model = getattr(inner, "model", None)
    if model is not None and hasattr(model, "num_states"):
        return model
    if isinstance(getattr(inner, "P", None), dict):
        from rlgrid.mdp import MDP

        return MDP.from_gymnasium(env)
    return None


def outcomes_of(model: Any, state: int) -> list[list[tuple[float, int, float, bool]]]:
    """Every outcome (probability, next state, reward, terminated) of each action in a state."""
    from rlgrid.kernels.model import count, outcome

    arrays = model.arrays
    found = []
    for action in range(model.num_actions):
        each = [outcome(arrays, state, action, k) for k in range(count(arrays, state, action))]
        found.append([(float(p), int(to), float(reward), bool(ended)) for p, to, reward, ended in each])
    return found


class Walker:
    """Follows the policy that is shown, in a world of its own; ties, and states that nothing reached, by chance."""

    def __init__(self, model: Any, gamma: float, seed: int) -> None:
        from rlgrid.envs.gridworld import GridWorld

        self._env = GridWorld(model=model)
        self._gamma = gamma
        self._random = np.random.default_rng([seed, 7])
        self._env.reset(seed=seed)
        self.trail: deque[int] = deque([int(self._env.state)], maxlen=TRAIL)
        self.returns: list[float] = []
        self._return, self._discount, self._steps, self._rest = 0.0, 1.0, 0, 0

    @property
    def state(self) -> int:
        """Where it stands."""
        return int(self._env.state)

    def step(self, greedy: NDArray[np.bool_] | None) -> None:
        """One step, or a moment of rest at the end of a walk, or the beginning of the next."""
        if self._rest > 0:
            self._rest -= 1
            if self._rest == 0:
                self._env.reset()
                self.trail.clear()
                self.trail.append(self.state)
                self._return, self._discount, self._steps = 0.0, 1.0, 0
            return
        row = None if greedy is None else np.flatnonzero(greedy[self.state])
        choice = row if row is not None and row.size else np.arange(self._env.model.num_actions)
        _, reward, terminated, _, _ = self._env.step(int(choice[int(self._random.random() * choice.size)]))
        self._return += self._discount * float(reward)
        self._discount *= self._gamma
        self._steps += 1
        self.trail.append(self.state)
        if terminated:
            self.returns.append(self._return)
            self._rest = 4
        elif self._steps >= MOST_WALK:
            self._rest = 1


class Referee:
    """Finds V* and the exact regret of policies, in a thread beside the agent, or at once if ``patient``."""

    def __init__(self, model: Any, gamma: float, patient: bool) -> None:
        self._model, self._gamma, self._patient = model, gamma, patient
        self._jobs: queue.Queue[Any] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked: bytes | None = None
        self._busy = False
        self.optimal: Floats | None = None
        self.regret: float | None = None
        self.trouble = ""

    def judge(self, policy: NDArray[np.int64]) -> None:
        """Have a policy judged, unless it is the last one or another is still being judged."""
        asked = policy.tobytes()
        if asked == self._asked or (self._busy and not self._patient):
            return
        self._asked = asked
        self.submit(lambda: self._judge(policy))

    def submit(self, job: Callable[[], None]) -> None:
        """Have something done, in turn."""
        if self._patient:
            job()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()
        self._busy = True
        self._jobs.put(job)

    def stop(self) -> None:
        """Take no more jobs."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            began = time.perf_counter()
            try:
                job()
            except Exception as error:  # a world without an optimum: the curves stay empty, and it is said why
                self.trouble = str(error)
            # At most a quarter of a core goes into judging.
            time.sleep(min(2.0, 3 * (time.perf_counter() - began)))
            self._busy = not self._jobs.empty()

    def _judge(self, policy: NDArray[np.int64]) -> None:
        from rlgrid.solvers import share_of_regret, solve

        if self.optimal is None:
            values = solve(self._model, gamma=self._gamma, tolerance=1e-9, time_limit=20.0).values
            self.optimal = np.asarray(values, np.float64)
        self.regret = max(0.0, float(share_of_regret(self._model, policy, gamma=self._gamma)))


def slip_of(model: Any) -> float:
    """The probability of slipping to each side, of the world or else of the first tile that has a slip of its own."""
    slips = [model.slip, *(kind.slip for kind in model.kinds if kind.slip is not None and not kind.wall)]
    return max((slip.left + slip.right) / 2 for slip in slips)


class Engine:
    """See the module's text. ``say`` is told in words what takes time; ``patient`` waits for the referee."""

    def __init__(self, scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False):
        self.scenario, self._say, self._patient = scenario, say, patient
        self.playing = True
        self.speed = 8.0
        self._credit = 0.0
        self._walk_credit = 0.0
        self._rate = 0.0  # units a second, as measured
        self._warmed = False
        self._trail: deque[int] = deque(maxlen=TRAIL)
        self.version = 0  # of the model: grows with every change of the world
        self.world_changes: dict[str, float] = {}
        self.agent_changes: dict[str, Any] = {}
        self._build()

    # --- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        scenario = self.scenario
        if scenario.pickled is not None:
            import cloudpickle

            self._say("unpacking the environment and the agent")
            self.env, agent = cloudpickle.loads(scenario.pickled)
            self._base = model_of(self.env)
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
            self.agent = agent_class(scenario.agent)(env=self.env, seed=scenario.seed, **settings)
            self.agent.begin(RUN_LENGTH.get(scenario.agent))
        self._after_build()

    @staticmethod
    def _new_env(model: Any) -> Any:
        from rlgrid.envs.gridworld import from_map

        return from_map(model=model)  # under the model's own step cap

    def _after_build(self) -> None:
        self.version += 1
        self.gamma = float(getattr(self.agent, "gamma", getattr(self.model, "gamma", 1.0) if self.model else 1.0))
        self.walker = None if self.model is None else Walker(self.model, self.gamma, self.scenario.seed)
        self.referee = None if self.model is None else Referee(self.model, self.gamma, self._patient)
        self._shown: dict[str, Any] = {}
        self._trail.clear()
        self._warmed = False

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
        if not self._warmed:
            self._warmed = True
            self._say("")
            if not self._patient and self.referee is not None and self.scenario.warm:
                self.referee.submit(self._warm_others)
        return done

    def _agent_words(self) -> str:
        from rlgrid.agents import AGENTS

        return AGENTS.get(self.scenario.agent, "the agent") if self.scenario.pickled is None else "the agent"

    def _advance_planner(self, units: int) -> int:
        agent = self.agent
        if self.converged:
            return 0
        done = agent.advance(units - 1) if units > 1 else 0
        before = {"values": agent.values, "q_values": agent.q_values, "greedy": agent.greedy(), "policy": agent.policy}
        last = agent.advance(1)
        if last:
            values = agent.values
            in_place = getattr(agent, "method", "") == "gauss_seidel"
            shown = (
                before
                if not in_place
                else {"q_values": agent.q_values, "greedy": agent.greedy(), "policy": agent.policy}
            )
            self._shown = dict(shown) | {
                "values": values,
                "previous": before["values"],
                "change": np.abs(values - before["values"]),
                "lower": agent.lower,
                "upper": agent.upper,
            }
        return int(done + last)

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
            agent_class(name)(env=self._new_env(self._base), seed=0).advance(2)

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
            self.agent.begin(RUN_LENGTH.get(self.scenario.agent))

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
                Parameter("gamma", "Discount γ", "world", gamma, low=0.5 * top, high=top, digits=3, initial=base.gamma),
                Parameter("slip", "Slip, each side", "world", slip, high=0.45 * top, digits=2, initial=slip_of(base)),
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
        rate = getattr(agent, "learning_rate", None)
        if isinstance(rate, float):
            low, high = (1e-5, 1e-2) if hasattr(agent, "net_arch") else (1e-3, 1.0)
            start = first.get("learning_rate", rate)
            found.append(
                Parameter(
                    "learning_rate",
                    "Learning rate α",
                    "agent",
                    rate,
                    low=low * top,
                    high=high * top,
                    log=True,
                    initial=float(start) if isinstance(start, int | float) else rate,
                )
            )
        elif rate is not None:
            found.append(Parameter("learning_rate", "Learning rate α", "agent", 0.0, text=str(rate)))
        epsilon = agent.metrics().get("epsilon")
        if epsilon is not None:
            held = self.agent_changes.get("epsilon")
            found.append(
                Parameter(
                    "epsilon",
                    "Exploration ε" if held is not None else "Exploration ε, falling",
                    "agent",
                    float(epsilon) if held is None else float(held),
                    high=top,
                    digits=2,
                    initial=float(epsilon) if held is None else math.nan,
                )
            )
        if hasattr(agent, "net_arch"):
            found.append(Parameter("net", "Hidden units", "agent", 0.0, text=" × ".join(map(str, agent.net_arch))))
        return found

    def snapshot(self) -> Snapshot:
        """The present tables and numbers."""
        agent, shown = self.agent, self._shown
        tables: dict[str, Any] = {
            name: shown.get(name) for name in ("values", "q_values", "greedy", "previous", "lower", "upper", "change")
        }
        policy = shown.get("policy")
        if self.unit != "sweep" and self.model is not None and self._warmed:
            try:
                q_values = agent.q_values
                tables |= {"q_values": q_values, "values": agent.values, "greedy": agent.greedy()}
                policy = agent.policy
                shown["greedy"] = tables["greedy"]
            except AttributeError:
                pass
        visits, td_error = getattr(agent, "visits", None), getattr(agent, "td_error", None)
        if self.unit == "sweep":
            td_error = None
        if self.referee is not None and policy is not None:
            self.referee.judge(np.asarray(policy))
        follows = self.follows_learner
        state = agent.state if follows else (self.walker.state if self.walker is not None else None)
        trail = self._trail if follows else (self.walker.trail if self.walker is not None else ())
        returns = agent.episode_returns if self.unit == "step" else (self.walker.returns if self.walker else [])
        frame = None
        if self.model is None and getattr(self.env, "render_mode", None) == "rgb_array":
            frame = np.ascontiguousarray(self.env.render(), np.uint8) if agent.num_timesteps else None
        recent = 100 if self.unit == "step" else 1
        return Snapshot(
            count=int(agent.num_timesteps),
            **tables,
            optimal=None if self.referee is None else self.referee.optimal,
            visits=visits,
            td_error=td_error,
            walker=state,
            trail=tuple(int(s) for s in trail),
            follows_learner=follows,
            error_bound=float(agent.error_bound) if hasattr(agent, "error_bound") and self._warmed else None,
            regret=None if self.referee is None else self.referee.regret,
            mean_return=float(np.mean(returns[-recent:])) if returns else None,
            episodes=len(returns),
            converged=self.converged,
            metrics=agent.metrics() if self._warmed else {},
            frame=frame,
        )

    def close(self) -> None:
        """Let the referee go."""
        if self.referee is not None:
            self.referee.stop()


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
