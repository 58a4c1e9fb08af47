"""What every agent that learns a table shares; an agent adds its rule.

A rule is two functions in `rlgrid.kernels`, which act and learn, and a NamedTuple of the arrays and numbers that they
keep (`rlgrid.kernels.control`). In a `GridWorld` the loop, environment included, is one kernel; elsewhere the
same functions are called for each `env.step`. Both paths draw the same numbers in the same order.

Behaviour is epsilon-greedy by default, ties between greedy actions broken at random; epsilon falls linearly over the
first part of the run, as in Stable-Baselines3. Where an outcome is terminated nothing follows it; a truncated episode
keeps the value of the state in which it was cut off.

A subclass provides `_kernels()`, the functions of its rule, and `_rule()`, what they keep; where the rule keeps
something between two steps, `_memory()`, the arrays that hold it (they are saved, so that a run goes on the same from
the middle of an episode), and `_clear_memory()` for a new episode.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypedDict

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from rlgrid.agents.base import MOST, Agent, check_count, check_name, check_number, did_you_mean, row_of, rows_of
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.schedules import KINDS, Schedule, parse_schedule
from rlgrid.agents.world import has_stream, put_back, sampling_arrays, stream_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from rlgrid.kernels.exploration import Settings, Varied

MOST_STEPS = 65_536  # of one call of the kernel: so long is the list that takes its episodes
MOST_WORK = 2**22  # updates in one call of the kernel, about: Ctrl-C waits for its end
ROOM = 1_024  # steps for which room is made at a time where the environment is stepped in Python
MOST_UPDATES = 10_000  # that may be asked for in one step

EXPLORATIONS = {"epsilon_greedy": "epsilon", "softmax": "temperature", "ucb": "ucb_width"}
"""The ways to explore, as numbered by the kernels, and the argument that says how much."""

LARGEST = float(np.finfo(np.float64).max)


class TableAgent(Agent):
    """An agent that learns a table by a rule of its own: the loop on both paths, and its checkpoints.

    Args:
        env: a Gymnasium environment with Discrete observations and actions.
        learning_rate, gamma: see `TabularAgent`.
        seed, compiled: see `Agent`.

    Attributes:
        counts: int64, of the shape of the table: how often each entry's pair, or state, was acted in.
        td_error: float64 [S], the last temporal-difference error of each state.
    """

    counts: NDArray[np.int64]
    _entry: ClassVar[str] = "q-value"  # of the table, for errors

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str,
        gamma: float | None,
        *,
        seed: int | None = None,
        compiled: bool | None = None,
    ) -> None:
        super().__init__(env, gamma=gamma, seed=seed, compiled=compiled)
        space = env.observation_space
        if not isinstance(space, Discrete):
            instead = ": DQN takes them" if isinstance(space, Box) else ""
            raise ValueError(
                f"{type(self).__name__} keeps a table and so needs Discrete observations, not {space}{instead}"
            )
        assert isinstance(env.action_space, Discrete)
        self._alpha = parse_schedule("learning_rate", learning_rate)
        self.learning_rate = learning_rate if isinstance(learning_rate, str) else float(learning_rate)
        self._space = space
        self._first_state, self._first_action = int(space.start), int(env.action_space.start)
        self._num_states, self._num_actions = int(space.n), int(env.action_space.n)
        try:
            self.td_error = np.zeros(self._num_states)
        except (MemoryError, ValueError) as error:
            self._too_large(error)
        self._masked = self.model is not None and self.model.available is not None
        self._sampling: Any = None  # the model as the kernel takes it

    def _too_large(self, error: Exception) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__} keeps a table of all states and actions: {self._num_states} x {self._num_actions} "
            "are too many for this machine's memory"
        ) from error

    @classmethod
    def _check_taken(cls, given: Collection[str], *, all_known: bool = True) -> None:
        """Refuse arguments that this agent does not take, and with ``all_known=False`` all that are given."""
        if not given:
            return
        known: set[str] = set()
        for kind in cls.__mro__:
            if "__init__" in vars(kind):
                known |= set(inspect.signature(vars(kind)["__init__"]).parameters)
        known -= {"self", "args", "kwargs", "settings", "unknown", *cls.not_taken}
        for name in given:
            if name in cls.not_taken or not all_known:
                raise TypeError(f"{cls.__name__} takes no argument {name!r}{did_you_mean(name, sorted(known))}")

    # --- learning ---------------------------------------------------------------------------------------------------

    def _learnt(self) -> NDArray[np.float64]:
        """The table that the rule learns."""
        raise NotImplementedError

    def _kernels(self) -> tuple[Any, Any, Any]:
        """The kernels of the rule: run, act, learn (`rlgrid.kernels.control`)."""
        raise NotImplementedError

    def _rule(self) -> Any:
        """The NamedTuple of what the rule keeps; None where it keeps nothing."""
        return None

    def _memory(self) -> dict[str, NDArray[Any]]:
        """What the rule keeps between two steps, by name, for a checkpoint."""
        return {}

    def _set_memory(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `_memory` gave; raises CheckpointError where it does not fit: kernels check nothing."""

    def _clear_memory(self) -> None:
        """Forget what belongs to the episode under way: a new one begins."""

    def _make_room(self, steps: int) -> None:
        """Have room for what the rule keeps of so many steps."""

    def _most_steps(self) -> int:
        """Of one call of the kernel."""
        return max(1, min(MOST_STEPS, MOST_WORK // self._updates()))

    def _updates(self) -> int:
        """About how many entries of tables one step visits at most."""
        return 1

    def _total(self) -> float:
        return float(self.total_timesteps or self.default_total_timesteps or 1)

    def _plain(self) -> bool:
        """True where the kernel needs no further schedules: it is then quicker."""
        return self._alpha.kind in ("constant", "falling", "count")

    def _exploration_schedule(self) -> tuple[int, Schedule]:
        """The way to explore, as numbered by the kernels, and how much."""
        return 0, Schedule("constant", 0.0)

    def _numbers(self) -> Settings:
        from rlgrid.kernels.exploration import Settings

        total = self._total()
        return Settings(
            gamma=self.gamma,
            alpha_kind=KINDS.index(self._alpha.kind),
            alpha=self._alpha.initial,
            omega=self._alpha.final,
            total=total,
            epsilon_initial=0.0,
            epsilon_final=0.0,
            epsilon_horizon=0.0,
            masked=self._masked,
        )

    def _varied(self) -> Varied | None:
        from rlgrid.kernels.exploration import Varied

        if self._plain():
            return None
        total = self._total()
        exploration, strength = self._exploration_schedule()
        return Varied(
            exploration=exploration,
            strength_kind=KINDS.index(strength.kind),
            strength_initial=strength.initial,
            strength_final=strength.final,
            strength_horizon=strength.every,
            alpha_kind=KINDS.index(self._alpha.kind),
            alpha_initial=self._alpha.initial,
            alpha_final=self._alpha.final,
            alpha_horizon=self._alpha.every if self._alpha.kind == "step" else total,
        )

    def _reset_env(self) -> None:
        super()._reset_env()
        self._clear_memory()

    def advance_episodes(self, episodes: int = 1) -> int:
        """Run until so many more episodes have ended, the one under way counted, and return how many steps that took.

        Otherwise as `advance`. A world whose episodes never end needs a step cap.
        """
        episodes = check_count("episodes", episodes)
        if not self._begun:
            self.begin(self.default_total_timesteps)
        self._ready_episode()
        advance = self._advance_compiled if self.compiled else self._advance_python
        return advance(MOST, episodes)

    def _advance_compiled(self, max_steps: int, max_episodes: int = MOST) -> int:
        if not has_stream(self._world.generator):
            return self._advance_python(
                max_steps, max_episodes
            )  # the same bits, from a generator that kernels do not know
        from rlgrid.kernels.control import Place, Tables

        if self._sampling is None:
            assert self.model is not None
            self._sampling = sampling_arrays(self.model)
        run, settings, varied = self._kernels()[0], self._numbers(), self._varied()
        tables = Tables(self._learnt(), self.counts, self.td_error)
        longest = min(max_steps, self._most_steps())
        room = min(longest, max_episodes)
        returns, lengths = np.empty(room), np.empty(room, np.int64)
        done = 0
        while done < max_steps and max_episodes > 0:
            generator, stream = self._world.generator, stream_of(self._generator)
            world = stream_of(generator)
            place = Place(
                t=self.num_timesteps,
                s=int(self._observation),
                elapsed=self._episode_length,
                limit=self._world.max_episode_steps,
                total=self._episode_return,
            )
            most = min(max_steps - done, longest)
            self._make_room(most)
            steps, state, elapsed, total, ended, overflown = run(
                self._sampling,
                world,
                stream,
                self._rule(),
                settings,
                varied,
                tables,
                place,
                most,
                returns[:max_episodes],  # the kernel stops when they are full
                lengths,
            )
            max_episodes -= ended
            put_back(generator, world)
            put_back(self._generator, stream)
            self._commit_chunk(steps, state, elapsed, total, returns[:ended], lengths[:ended])
            done += steps
            if overflown >= 0:
                self._overflow(overflown)
            if self._interrupted:
                break
        return done

    def _advance_python(self, max_steps: int, max_episodes: int = MOST) -> int:
        _, act, learn = self._kernels()
        tables = (self._numbers(), self._varied(), self._learnt(), self.counts, self.td_error)
        stream = stream_of(self._generator)
        done, room = 0, 0
        try:
            while done < max_steps and max_episodes > 0 and not self._interrupted:
                if room == 0:
                    room = min(max_steps - done, ROOM)
                    self._make_room(room)
                    rule = self._rule()
                room -= 1
                t, s = self.num_timesteps, self._index(self._observation)
                a = act(rule, *tables, t, s, stream)
                if self._chosen is not None:
                    a = self._chosen
                observation, reward, terminated, truncated = self._step_env(a + self._first_action)
                to, ended = self._index(observation), terminated or truncated
                finite = learn(rule, *tables, t, s, a, reward, to, terminated, ended, stream)
                self._end_step(observation, ended)
                done += 1
                max_episodes -= ended
                if not finite:
                    self._overflow(s)
        finally:
            put_back(self._generator, stream)
        return done

    def why_not_driven(self) -> str:
        """Empty: a rule learns from whatever action was taken."""
        return ""

    def _index(self, observation: Any) -> int:
        return row_of(observation, self._space)

    def _overflow(self, row: int) -> NoReturn:
        raise FloatingPointError(
            f"step {self.num_timesteps}: in state {row + self._first_state} a {self._entry} would no longer be finite. "
            "Scale the rewards down, or lower gamma or learning_rate"
        )

    # --- what was learnt --------------------------------------------------------------------------------------------

    @property
    def visits(self) -> NDArray[np.int64]:
        """int64 [S]: how often each state was acted in."""
        total: NDArray[np.int64] = self.counts.reshape(self._num_states, -1).sum(axis=1)
        return total

    def metrics(self) -> dict[str, float]:
        """Base metrics, and the mean absolute last TD error over the states that were visited."""
        shown = super().metrics()
        seen = self.visits > 0
        if seen.any():
            shown["td_error"] = float(np.abs(self.td_error[seen]).mean())
        return shown

    # --- on disk ----------------------------------------------------------------------------------------------------

    def _tables(self) -> dict[str, NDArray[Any]]:
        """What was learnt, by name."""
        raise NotImplementedError

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return self._tables() | self._memory()

    def _set_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name, own in self._tables().items():
            own[...] = fitting(arrays, name, own)
        self._set_memory(arrays)


class TabularArguments(TypedDict, total=False):
    """The arguments that every tabular agent takes; see `TabularAgent`."""

    exploration_fraction: float
    exploration_initial_eps: float
    exploration_final_eps: float
    initial_q: float
    exploration: str
    epsilon: float | str | None
    temperature: float | str
    ucb_width: float | str
    seed: int | None
    compiled: bool | None


class TabularAgent(TableAgent):
    """An agent that learns a table of q-values.

    Args:
        env: a Gymnasium environment with Discrete observations and actions.
        learning_rate: alpha in (0, 1], or a schedule by name (`rlgrid.agents.schedules`): "lin_0.5" falls linearly from
            0.5 to 0 at the end of the run; "1/N" and "1/N^0.8" divide by (a power of) the number of times that the pair
            was taken.
        gamma: the discount factor; None takes the model's, 0.99 where there is none.
        exploration_fraction: the share of the run over which epsilon falls from its initial to its final value.
        exploration_initial_eps, exploration_final_eps: the probability of a random action at both ends. The names
            are Stable-Baselines3's; the defaults (half of the run, 1 to 0.05) suit short runs in small worlds.
        initial_q: what every q-value starts from; above what is attainable it makes the agent explore (optimism).
            Final states are worth 0 from the start where the model is known.
        exploration: "epsilon_greedy"; "softmax", which takes actions with probabilities in proportion to
            exp(q / temperature) (Boltzmann; Sutton & Barto, 2nd ed., section 2.8); or "ucb", which takes the one with
            the largest q + ucb_width sqrt(ln N(s) / N(s,a)), those that were never taken first (Auer, Cesa-Bianchi &
            Fischer 2002; section 2.7).
        epsilon: a number or a schedule by name, in place of the three arguments that say how epsilon falls.
        temperature, ucb_width: numbers of at least 0, or schedules by name.
        seed, compiled: see `Agent`.

    Attributes:
        q_table: float64 [S, A], -inf where a state lacks an action.
        counts: int64 [S, A], how often each action was taken in each state.
        td_error: float64 [S], the last temporal-difference error of each state.

    Raises:
        ValueError, TypeError: naming the argument or the space that does not fit.
        FloatingPointError: from learning, when a q-value would no longer be finite; names step and state.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        learning_rate: float | str = 0.1,
        gamma: float | None = None,
        exploration_fraction: float = 0.5,
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        initial_q: float = 0.0,
        *,
        exploration: str = "epsilon_greedy",
        epsilon: float | str | None = None,
        temperature: float | str = 1.0,
        ucb_width: float | str = 1.0,
        seed: int | None = None,
        compiled: bool | None = None,
        **unknown: Any,
    ) -> None:
        self._check_taken(unknown, all_known=False)
        super().__init__(env, learning_rate, gamma, seed=seed, compiled=compiled)
        self.exploration_fraction = check_number("exploration_fraction", exploration_fraction, 0.0, 1.0)
        self.exploration_initial_eps = check_number("exploration_initial_eps", exploration_initial_eps, 0.0, 1.0)
        self.exploration_final_eps = check_number("exploration_final_eps", exploration_final_eps, 0.0, 1.0)
        self.initial_q = check_number("initial_q", initial_q, -LARGEST, LARGEST)
        self.exploration = check_name("exploration", exploration, EXPLORATIONS)
        self.epsilon_schedule, self.temperature, self.ucb_width = epsilon, temperature, ucb_width
        given = {
            "epsilon": parse_schedule("epsilon", 0.0 if epsilon is None else epsilon),
            "temperature": parse_schedule("temperature", temperature, LARGEST),
            "ucb_width": parse_schedule("ucb_width", ucb_width, LARGEST),
        }
        self._strength = given[EXPLORATIONS[exploration]]
        self._check_exploration()
        shape = (self._num_states, self._num_actions)
        try:
            self.q_table = np.full(shape, self.initial_q)
            self.counts = np.zeros(shape, np.int64)
        except (MemoryError, ValueError) as error:
            self._too_large(error)
        if self.model is not None:
            self.q_table[self.model.absorbing] = 0.0
            if self.model.available is not None:
                self.q_table[~self.model.available] = -np.inf

    def _given_strength(self) -> bool:
        """False where epsilon falls as the three arguments say."""
        return self.exploration != "epsilon_greedy" or self.epsilon_schedule is not None

    def _check_exploration(self) -> None:
        """Refuse what would be set to no effect."""
        defaults = inspect.signature(TabularAgent.__init__).parameters
        given = {"epsilon": self.epsilon_schedule, "temperature": self.temperature, "ucb_width": self.ucb_width}
        for exploration, name in EXPLORATIONS.items():
            if exploration != self.exploration and given[name] != defaults[name].default:
                raise ValueError(f"{name} is of exploration {exploration!r}, and this agent's is {self.exploration!r}")
        if self.epsilon_schedule is not None:
            for name in ("exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
                if getattr(self, name) != defaults[name].default:
                    raise ValueError(f"give either epsilon or {name}: epsilon says by itself how it falls")

    # --- learning ---------------------------------------------------------------------------------------------------

    def _learnt(self) -> NDArray[np.float64]:
        return self.q_table

    def _plain(self) -> bool:
        return super()._plain() and not self._given_strength()

    def _numbers(self) -> Settings:
        numbers = super()._numbers()
        return numbers._replace(
            epsilon_initial=self.exploration_initial_eps,
            epsilon_final=self.exploration_final_eps,
            epsilon_horizon=self.exploration_fraction * self._total(),
        )

    def _exploration_schedule(self) -> tuple[int, Schedule]:
        strength, total = self._strength, self._total()
        if not self._given_strength():
            strength = Schedule("linear", self.exploration_initial_eps, self.exploration_final_eps)
            strength = strength._replace(every=self.exploration_fraction * total)
        elif strength.kind != "step":
            strength = strength._replace(every=total)
        return list(EXPLORATIONS).index(self.exploration), strength

    # --- what was learnt --------------------------------------------------------------------------------------------

    @property
    def strength(self) -> float:
        """How much the agent explores at present: epsilon, the temperature or the width of the confidence bound.

        Where that depends on the visits of a state, it is that of the present one.
        """
        from rlgrid.kernels.exploration import epsilon_at, varied_strength

        varied = self._varied()
        if varied is None:
            return float(epsilon_at(self._numbers(), self.num_timesteps))
        return float(varied_strength(varied, self.counts, self.num_timesteps, self.state or 0))

    @property
    def epsilon(self) -> float:
        """The present probability of exploring, of an epsilon-greedy agent.

        Raises:
            AttributeError: for an agent that explores in another way.
        """
        if self.exploration != "epsilon_greedy":
            raise AttributeError(f"exploration {self.exploration!r} has no epsilon: see strength")
        return self.strength

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A], a copy of the table."""
        return self.q_table.copy()

    def metrics(self) -> dict[str, float]:
        """Metrics of every table, and how much is explored."""
        return super().metrics() | {EXPLORATIONS[self.exploration]: self.strength}

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The action for an observation, or int64 [n] for a batch.

        Deterministic is the greedy action of the lowest index; otherwise an action as it would be taken in learning at
        present, drawn from a stream of its own.

        Raises:
            ValueError: if an observation is not one of the environment's states.
        """
        states = rows_of(observation, self._space)
        if deterministic:
            actions = self.q_table[states].argmax(axis=-1)
        else:
            from rlgrid.kernels.exploration import choose_apart

            tables = (self._numbers(), self._varied(), self.q_table, self.counts, self.num_timesteps)
            actions = np.empty(states.shape, np.int64)
            for place, s in np.ndenumerate(states):
                actions[place] = choose_apart(*tables, s, self._predict_generator.random())
        actions = actions + self._first_action
        return (int(actions) if states.ndim == 0 else actions), state

    # --- on disk ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "gamma": self.gamma,
            "exploration_fraction": self.exploration_fraction,
            "exploration_initial_eps": self.exploration_initial_eps,
            "exploration_final_eps": self.exploration_final_eps,
            "initial_q": self.initial_q,
            "exploration": self.exploration,
            "epsilon": self.epsilon_schedule,
            "temperature": self.temperature,
            "ucb_width": self.ucb_width,
        }

    def _tables(self) -> dict[str, NDArray[Any]]:
        return {"q": self.q_table, "counts": self.counts, "td_error": self.td_error}


def fitting(arrays: dict[str, NDArray[Any]], name: str, own: NDArray[Any], low: int = 0, high: int = MOST) -> Any:
    """An array of a checkpoint that is to take the place of ``own``: of its shape, type and range.

    Numbers of type int64 must lie in [low, high); floats must be numbers, and -inf where ``own`` has it.

    Raises:
        KeyError, CheckpointError
    """
    given = arrays[name]
    if given.shape != own.shape or given.dtype != own.dtype:
        raise CheckpointError(
            f"{name} is {given.dtype} {given.shape} in the file, and {own.dtype} {own.shape} in this world "
            "and with these settings"
        )
    if given.dtype == np.float64:
        if np.isnan(given).any() or (given == np.inf).any() or ((given == -np.inf) != (own == -np.inf)).any():
            if (own == -np.inf).any() or name == "q":
                raise CheckpointError(f"{name} in the file has not numbers for just the actions that this world has")
            raise CheckpointError(f"{name} in the file has entries that are not numbers, or not finite")
    elif given.size and not (low <= given.min() and given.max() < high):
        raise CheckpointError(f"{name} holds numbers outside [{low}, {high}) in the file")
    return given
