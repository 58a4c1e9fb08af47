"""A world, an agent in it, a walker that follows the agent's policy, and a referee.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window import parameters
from rlgrid.window.actors import TRAIL, Acting, Walker, model_of
from rlgrid.window.pacing import Paced
from rlgrid.window.parameters import settings_of
from rlgrid.window.planned import LARGE, Planned, apart
from rlgrid.window.referee import Referee, Shown
from rlgrid.window.scenario import Scenario, Setup, model_of_map

SLOW = 20.0  # up to so many steps a second, and while it does not play, the learner itself is shown
BOUNDS = 0.01  # of the time may be spent on proofs in a large world

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


class Run(Paced):
    """See the module's text. ``say`` is told in words what takes time; ``patient`` waits for the referee."""

    def __init__(self, scenario: Scenario, say: Callable[[str], None] = lambda words: None, patient: bool = False):
        super().__init__(patient)
        self.scenario, self._say = scenario, say
        self.showing = True  # whether what comes next is shown: else tables are left as they were
        self._proof: tuple[tuple[Any, int], bool] | None = None  # whether that planner has converged at that count
        self._bound: tuple[float, float] | None = None  # what was proven last, and until when that will do
        self._copying = 0.0  # seconds for tables, of which nobody was told
        self._rate = 0.0  # units a second, as measured
        self.warmed = self._saying = self._stalled = False
        self._warming = False  # whether other agents' kernels are being compiled, or were
        self._judged = True  # whether V* and regret of the model say something of the agent's rewards
        self.trail: deque[int] = deque(maxlen=TRAIL)
        self.referee: Referee | None = None
        self.version = 0  # of the model: grows with every change of the world

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
            base = model_of_map(scenario)
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
        self._owed = 0
        self._use(Setup(self.scenario, base, base, {}, {}, self._gamma(base)))
        self.tables: dict[str, Any] = {}
        self.shown_at = 0  # the count at which the tables of a planner were what they are
        self.warmed = self._saying = False  # whether the kernels are compiled; whether that is still being said

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
            self.stand_anew()

    def stand_anew(self) -> None:
        """Have the tables of a plan by its present values alone: what the last sweep computed is of a world or of a
        discount that was, or was not shown."""
        if self.unit == "sweep" and self.count:
            plan = Planned(self.agent, None, True)
            self.tables = plan if self.large else plan.whole()
            self.shown_at = self.count

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
        began = self.count
        if unseen > 0:
            self.agent.advance(unseen)
            self.trail.clear()
        while self.count < began + units:  # of several environments at once, one call runs several steps
            at, episodes = self.count, len(self.agent.episode_returns)
            self._open_trail()
            self.agent.advance(1)
            self._leave_trail(episodes)
            if self.count == at:
                break
        return self.count - began

    def _open_trail(self) -> None:
        """A trail begins where the next step begins."""
        if not self.trail:
            if getattr(self.agent, "_begun", False):
                self.agent._ready_episode()
            self._go_on_with_trail()

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

    def _new_agent(self, model: Any, changes: dict[str, Any], scenario: Scenario) -> Any:
        settings = settings_of(scenario.agent, scenario.settings) | parameters.as_settings(changes)
        return type(self.agent)(env=self._new_env(model), seed=scenario.seed, **settings)

    def another_agent(self, setup: Setup) -> Any:
        """An agent of the same kind in a world of its own, which has learnt nothing here."""
        if self.scenario.pickled is not None:
            import cloudpickle

            return cloudpickle.loads(self.scenario.pickled)[1]
        return self._new_agent(setup.model, setup.agent_changes, setup.scenario)

    # --- what is shown ----------------------------------------------------------------------------------------------

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
