"""Recurrent DQN: deep Q-learning with a memory, for worlds of which an agent sees a part alone.

A layer of LSTM or GRU units lets the values depend on all that was seen in an episode, not on the present observation
alone. The network is trained by back-propagation through time on sequences from the replay memory (Hausknecht & Stone
2015, Deep recurrent Q-learning for partially observable MDPs; Kapturowski et al. 2019, R2D2), against the targets of
`rlgrid.agents.dqn`. `rlgrid.kernels.recurrent` and `rlgrid.kernels.recurrent_dqn` say how.

Names are those of sb3-contrib's recurrent agent: "MlpLstmPolicy", and

    action, state = agent.predict(observation, state, episode_start, deterministic=True)

Our own partly observed worlds are stepped in the kernel as well, where an observation is a number.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from rlgrid.agents import memory
from rlgrid.agents.base import check_count, check_name, check_number
from rlgrid.agents.checkpoint import MOST_ASKED, CheckpointError
from rlgrid.agents.dqn import DISCOUNTED, LOSSES, MOST_EPISODES, MOST_ROUND, MOST_WORK, SOFT
from rlgrid.agents.dqn_arguments import check_epsilon, check_others, check_schedule, check_train_freq
from rlgrid.agents.q_network import QNetworkAgent
from rlgrid.agents.recurrent_network import recurrent_architecture
from rlgrid.agents.schedules import KINDS, Schedule
from rlgrid.agents.tabular import LARGEST
from rlgrid.agents.world import has_stream, put_back, sampling_arrays, stream_of

if TYPE_CHECKING:
    from rlgrid.agents.diagnosis import Diagnosis

START_STATES = ("stored", "zero")
MOST_BYTES = 2**36  # of the replay memory and of a batch

_NETWORK = ("theta", "mean", "square")
_STATE = ("target", "counters", "measures", "reward_range", "visits", "td_error", "arrival", "state")


class RecurrentDQN(QNetworkAgent):
    """Deep Q-learning whose network remembers (DRQN).

    Arguments that `DQN` has as well are as there; what follows is of the memory. Exploration is epsilon-greedy.

    Args:
        policy: "MlpLstmPolicy" or "MlpGruPolicy": a layer of 32 such units in front of the layers of ``net_arch``. They
            may stand elsewhere, be more, or be several: ``policy_kwargs={"net_arch": [32, {"lstm": 64}, 32]}``
            (`rlgrid.agents.recurrent_network`).
        env: a Gymnasium environment, or the id of one, with Discrete actions and Discrete or Box observations.
        batch_size: sequences of one gradient step.
        sequence_length: transitions of a sequence that are learnt from. What must be remembered for longer is learnt
            through stored states alone.
        burn_in: up to so many transitions before them only make the state that they begin with.
        start_state: the state before a sequence that begins within an episode: "stored", as it was when the agent acted
            there, for 4 bytes a number and transition; or "zero".
        n_steps: rewards that a target adds up before it bootstraps, fewer at the end of a sequence. More carry a reward
            back sooner, and lean on the actions that were taken.

    Raises:
        ValueError, TypeError: naming the argument, and what it may be.
        FloatingPointError: from learning, when a value of the network is no longer finite; names step and layer.
    """

    chunk_size = 2_000
    recurrent: ClassVar[bool] = True  # what it does depends on more than the present observation
    sees_parts: ClassVar[bool] = True

    def __init__(
        self,
        policy: str = "MlpLstmPolicy",
        env: gym.Env[Any, Any] | str | None = None,
        learning_rate: float | str = "lin_3e-3",
        buffer_size: int = 100_000,
        learning_starts: int = 1_000,
        batch_size: int = 16,
        tau: float | None = None,
        gamma: float | None = None,
        train_freq: int | tuple[int, str] = 4,
        gradient_steps: int = 1,
        target_update_interval: int = 1,
        exploration_fraction: float = 0.5,
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        max_grad_norm: float = 10.0,
        n_steps: int = 3,
        policy_kwargs: Mapping[str, Any] | None = None,
        *,
        sequence_length: int = 32,
        burn_in: int = 0,
        start_state: str = "stored",
        double_q: bool = True,
        clip_targets: bool = True,
        loss: str = "mse",
        adam_epsilon: float = 1e-8,
        epsilon: float | str | None = None,
        seed: int | None = None,
        compiled: bool | None = None,
        **others: Any,
    ) -> None:
        if others:
            check_others("RecurrentDQN", others, inspect.signature(RecurrentDQN.__init__).parameters)
        if isinstance(policy, gym.Env | VectorEnv):
            raise TypeError('RecurrentDQN takes its policy first: RecurrentDQN("MlpLstmPolicy", env)')
        if env is None:
            raise TypeError("RecurrentDQN needs an environment: RecurrentDQN('MlpLstmPolicy', env)")
        if isinstance(env, str):
            env = gym.make(env)
        if isinstance(env, VectorEnv):
            raise TypeError(f"RecurrentDQN learns in one environment at a time, not in the vector {env}: give one")
        if not isinstance(env, gym.Env):
            raise TypeError(f"env must be a Gymnasium environment, or the id of one, not {env!r}")
        super().__init__(env, gamma=gamma, seed=seed, compiled=compiled)
        if gamma is None and self.gamma == 1.0:
            self.gamma = DISCOUNTED
        self._num_actions = int(self.env.action_space.n)  # type: ignore[attr-defined]
        self._network = recurrent_architecture(policy, policy_kwargs, self.env.observation_space, self._num_actions)
        self._architecture: Any = self._network
        self._policy = policy
        self._rate = check_schedule("learning_rate", learning_rate, LARGEST)
        self.learning_rate = learning_rate if isinstance(learning_rate, str) else float(learning_rate)
        self.buffer_size = check_count("buffer_size", buffer_size)
        self.learning_starts = check_count("learning_starts", learning_starts, least=0)
        self.batch_size = check_count("batch_size", batch_size)
        self._train_freq, self._by_episodes = check_train_freq(train_freq)
        self.train_freq = (self._train_freq, "episode") if self._by_episodes else self._train_freq
        if gradient_steps != -1:
            gradient_steps = check_count("gradient_steps (-1 for as many as steps)", gradient_steps)
        self.gradient_steps = int(gradient_steps)
        self.target_update_interval = check_count("target_update_interval", target_update_interval)
        if tau is None:
            tau = SOFT if self.target_update_interval == 1 else 1.0
        self.tau = check_number("tau", tau, 0.0, 1.0, open_low=True)
        self.exploration_fraction = check_number("exploration_fraction", exploration_fraction, 0.0, 1.0)
        self.exploration_initial_eps = check_number("exploration_initial_eps", exploration_initial_eps, 0.0, 1.0)
        self.exploration_final_eps = check_number("exploration_final_eps", exploration_final_eps, 0.0, 1.0)
        self.epsilon_schedule = epsilon
        self.max_grad_norm = check_number("max_grad_norm", max_grad_norm, 0.0, math.inf, open_low=True)
        self.n_steps = check_count("n_steps", n_steps)
        self.sequence_length = check_count("sequence_length", sequence_length)
        self.burn_in = check_count("burn_in", burn_in, least=0)
        self.start_state = check_name("start_state", start_state, START_STATES)
        asked = _bytes(self._network, self.buffer_size, self.batch_size, self.sequence_length, self.burn_in)
        if asked > MOST_BYTES:
            raise ValueError(
                f"a memory of buffer_size={self.buffer_size} and batches of batch_size={self.batch_size} sequences of "
                f"sequence_length={self.sequence_length} after burn_in={self.burn_in} take {asked / 2**30:.0f} GiB, "
                f"and {MOST_BYTES >> 30} are the most: make the largest of these smaller"
            )
        self.double_q = bool(double_q)
        self.clip_targets = bool(clip_targets)
        self.loss = check_name("loss", loss, LOSSES)
        self.adam_epsilon = check_number("adam_epsilon", adam_epsilon, 0.0, 1.0, open_low=True)
        self.use_masking, self.exploration, self._told, self._judge = False, "epsilon_greedy", False, None
        self._discrete, self._width = self._network.observations.discrete, self._network.observations.width
        self._first_action = int(self.env.action_space.start)  # type: ignore[attr-defined]
        self._first_state = int(getattr(self.env.observation_space, "start", 0))
        self._available = self._check_masks()
        self._strength = Schedule("linear", self.exploration_initial_eps, self.exploration_final_eps)
        if epsilon is not None:
            check_epsilon(vars(self), inspect.signature(RecurrentDQN.__init__).parameters)
            self._strength = check_schedule("epsilon", epsilon, 1.0, self._discrete)
        self._learner = self._new_learner()
        self._sampling: Any = None  # the world as the kernel takes it

    @property
    def truth(self) -> None:
        """None: the policy is no table of states, so nothing exact is known of it but by running it."""
        return None

    def _new_learner(self) -> Any:
        from rlgrid.kernels.dqn import BAD_OP
        from rlgrid.kernels.recurrent_dqn import SequenceLearner
        from rlgrid.kernels.replay import new_replay

        shape, batch = self._network, self.batch_size
        times = self.burn_in + self.sequence_length + 1
        network = shape.network(shape.first_weights(self._generator), batch, times)
        counters = np.zeros(4, np.int64)
        counters[BAD_OP] = -1
        counted = self._width if self._discrete else 1
        kind: tuple[Any, Any] = (() if self._discrete else (self._width,), shape.observations.dtype)
        stored = self.buffer_size if self.start_state == "stored" else 0
        return SequenceLearner(
            network=network,
            target=network.theta.copy(),
            replay=new_replay(self.buffer_size, *kind),
            stored=np.zeros((stored, shape.state), np.float32),
            state=np.zeros((1, shape.state), np.float32),
            after=np.zeros((1, shape.state), np.float32),
            index=np.zeros(batch, np.int64),
            lengths=np.zeros(batch, np.int64),
            burned=np.zeros(batch, np.int64),
            observations=self._blank(batch * times),
            start=np.zeros((batch, shape.state), np.float32),
            final=np.zeros((batch, shape.state), np.float32),
            targets=np.zeros(batch * times),
            observation=self._blank(1),
            arrival=self._blank(1),
            available=np.zeros((0, 0), np.bool_) if self._available is None else self._available,
            no_mask=np.zeros((0, 0), np.bool_),
            visits=np.zeros(counted, np.int64),
            td_error=np.zeros(counted),
            reward_range=np.zeros(2),
            counters=counters,
            measures=np.zeros(3),
        )

    def _rule(self) -> Any:
        from rlgrid.kernels.exploration import EPSILON_GREEDY
        from rlgrid.kernels.recurrent_dqn import SequenceRule

        total = float(self.total_timesteps or self.default_total_timesteps or 1)
        strength, horizon = self._strength, total
        if self.epsilon_schedule is None:
            horizon = self.exploration_fraction * total
        elif strength.kind == "step":
            horizon = strength.every
        steps = self.gradient_steps
        if steps == -1:
            steps = 0 if self._by_episodes else self._train_freq
        return SequenceRule(
            gamma=self.gamma,
            learning_rate=self._rate.initial,
            rate_kind=KINDS.index(self._rate.kind),
            rate_final=self._rate.final,
            rate_horizon=self._rate.every if self._rate.kind == "step" else total,
            learning_starts=self.learning_starts,
            train_freq=self._train_freq,
            by_episodes=self._by_episodes,
            gradient_steps=steps,
            n_steps=self.n_steps,
            tau=self.tau,
            target_update_interval=self.target_update_interval,
            exploration=EPSILON_GREEDY,
            strength_kind=KINDS.index(strength.kind),
            strength_initial=strength.initial,
            strength_final=strength.final,
            strength_horizon=horizon,
            double_q=self.double_q,
            clip_targets=self.clip_targets,
            huber=self.loss == "huber",
            length=self.sequence_length,
            burn_in=self.burn_in,
            optimiser=self._network.optimiser(self.max_grad_norm, self.adam_epsilon),
        )

    # --- learning ---------------------------------------------------------------------------------------------------

    def _update(self) -> Any:
        """The address of the compiled gradient step."""
        from rlgrid.kernels import address_of
        from rlgrid.kernels.recurrent_dqn import gradient_step

        return address_of(gradient_step, self._learner, self._rule(), 0, stream_of(self._generator))

    def _advance_compiled(self, max_steps: int) -> int:
        if not has_stream(self._world.generator):
            return self._advance_python(max_steps)  # the same bits, from a generator that kernels do not know
        from rlgrid.kernels.recurrent_dqn import run_sequences

        model, inner = self._world.model, self._world.inner
        if self._sampling is None:
            self._sampling = inner.dynamics if model is None else sampling_arrays(model)
        hidden = None if model is None else inner.observation_of
        seen = np.zeros(0, np.int64) if hidden is None else hidden
        learner, rule, update = self._learner, self._rule(), self._update()
        returns, lengths = np.empty(min(max_steps, MOST_EPISODES)), np.empty(min(max_steps, MOST_EPISODES), np.int64)
        place, done = self._blank(2), 0
        while done < max_steps and not self._interrupted:
            generator, stream = self._world.generator, stream_of(self._generator)
            draws = stream_of(generator)
            learner.observation[0] = self._observation
            place[0] = self._observation if model is None else inner.state
            steps, elapsed, total, ended = run_sequences(
                self._sampling,
                seen,
                place,
                draws,
                stream,
                learner,
                rule,
                update,
                self.num_timesteps,
                max_steps - done,
                self._episode_length,
                self._world.max_episode_steps,
                self._episode_return,
                returns,
                lengths,
            )
            put_back(generator, draws)
            put_back(self._generator, stream)
            now = int(place[0]) if self._discrete else place[0].copy()
            self._commit_chunk(steps, now, elapsed, total, returns[:ended], lengths[:ended])
            if self._discrete:
                self._observation = int(learner.observation[0])  # which is not where the world is
            self._check_health()
            done += steps
        return done

    def _advance_python(self, max_steps: int) -> int:
        from rlgrid.kernels import entry
        from rlgrid.kernels.recurrent_dqn import act_alone, observe_alone

        learner, rule, stream, update = self._learner, self._rule(), stream_of(self._generator), self._update()
        act = entry(act_alone, learner, rule, 0, stream)
        observe = entry(observe_alone, learner, rule, 0, 0, 0.0, True, True, stream, update)
        done = 0
        try:
            self._put(learner.observation, self._observation)
            while done < max_steps and not self._interrupted:
                action = act(learner, rule, self.num_timesteps, stream)
                if self._chosen is not None:
                    action = self._chosen
                arrival, reward, terminated, truncated = self._step_env(action + self._first_action)
                self._put(learner.arrival, arrival)
                healthy = observe(
                    learner, rule, self.num_timesteps, action, reward, terminated, truncated, stream, update
                )
                self._end_step(arrival, terminated or truncated)
                if terminated or truncated:
                    self._put(learner.observation, self._observation)
                else:
                    learner.observation[0] = learner.arrival[0]
                if not healthy:
                    self._check_health()
                done += 1
        finally:
            put_back(self._generator, stream)
        return done

    def _reset_env(self) -> None:
        super()._reset_env()
        memory.abandon(self._learner.replay, self._learner.arrival)
        self._learner.state[:] = 0.0

    def metrics(self) -> dict[str, float]:
        """Present numbers worth showing; the means are over the last hundred gradient steps or so."""
        from rlgrid.kernels.dqn import GRADIENT_NORM, LOSS, TD_ERROR, UPDATES, learning_rate_at
        from rlgrid.kernels.replay import FILLED

        counters, measures = self._learner.counters, self._learner.measures
        shown = super().metrics() | {
            "epsilon": self._present_strength((self.state or 0) if self._discrete else 0),
            "learning_rate": float(learning_rate_at(self._rule(), self.num_timesteps)),
            "updates": float(counters[UPDATES]),
            "replay": float(self._learner.replay.counters[FILLED]),
        }
        if counters[UPDATES]:
            shown |= {
                "loss": float(measures[LOSS]),
                "td_error": float(measures[TD_ERROR]),
                "gradient_norm": float(measures[GRADIENT_NORM]),
            }
        return shown

    # --- what was learnt --------------------------------------------------------------------------------------------

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[Any, NDArray[np.float32]]:
        """The action for an observation, or int64 [n] for a batch of n, and the state to be handed in next time.

        Args:
            observation: as the environment gives it, or a batch of such rows.
            state: float32 [n, S], what the last call gave; None at the beginning of episodes.
            episode_start: bool, or bool [n]: where an episode begins, whatever ``state`` says.
            deterministic: the greedy action; False explores as learning does at present.
            action_masks: bool [A], or [n, A] for a batch, the actions that there are.

        Raises:
            ValueError: if the observation is not one of the environment's, the state is not one of the network's for
                so many observations, or a mask has no action.
        """
        rows, single = self._rows(observation)
        q, after = self._respond(rows, self._states(len(rows), state, episode_start))
        self._mask(q, rows, action_masks)
        actions = q.argmax(axis=1)
        if not deterministic:
            draw = self._predict_generator.random
            for i, row in enumerate(rows):
                if draw() < self._present_strength(int(row) if self._discrete else 0):
                    there = np.flatnonzero(q[i] > -np.inf)
                    actions[i] = there[int(draw() * len(there))]
        actions += self._first_action
        return (int(actions[0]) if single else actions), after

    def _states(self, many: int, state: Any, episode_start: Any) -> NDArray[np.float32]:
        """float32 [many, S], a copy: the states in which observations are made."""
        size = self._network.state
        before = _array(np.zeros((many, size)) if state is None else state)
        if before is None or before.shape != (many, size) or not np.isfinite(before).all():
            raise ValueError(
                f"state must be float32 [{many}, {size}], as predict gave it for the last observations, not {state!r}"
            )
        if episode_start is not None:
            begins = _array(episode_start)
            if begins is None or begins.shape not in ((), (1,), (many,)) or not np.isin(begins, (0, 1)).all():
                raise ValueError(f"episode_start must be a bool, or bool [{many}], not {episode_start!r}")
            before[np.broadcast_to(begins == 1, many)] = 0.0
        return before

    def _respond(
        self, rows: NDArray[Any], before: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """(values float64 [n, A], states float32 [n, S]) after observations as the kernels take them."""
        from rlgrid.kernels.recurrent_dqn import respond

        q, after = np.empty((len(rows), self._num_actions)), np.empty_like(before)
        respond(self._learner.network, rows, self._blank(1), before, after, q)
        return q, after

    @property
    def q_values(self) -> NDArray[np.float64]:
        """There is no such table.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(
            "RecurrentDQN has no table of q_values: what an action is worth depends on all that was seen before. "
            "predict(observation, state, episode_start) acts, and rlgrid.evaluate_policy says how well"
        )

    def diagnosis(self) -> Diagnosis:
        """Norms of the layers, and what the memory covers; TD errors and Q against Q* would need the histories."""
        from rlgrid.agents.diagnosis import Diagnosis, LayerDiagnosis
        from rlgrid.kernels.dqn import UPDATES
        from rlgrid.kernels.program import END, WEIGHTS
        from rlgrid.kernels.replay import FILLED

        network, replay, layers = self._learner.network, self._learner.replay, []
        for name, row in zip(self._network.names, network.program, strict=True):
            part = slice(int(row[WEIGHTS]), int(row[END]))
            weights, gradient = (array[part].astype(np.float64) for array in (network.theta, network.gradient))
            norms = float(np.linalg.norm(weights)), float(np.linalg.norm(gradient))
            layers.append(LayerDiagnosis(name, *norms, math.nan))
        counts, coverage = None, math.nan
        if self._discrete:
            filled = int(replay.counters[FILLED])
            counts = np.bincount(replay.observations[:filled], minlength=self._width).astype(np.int64)
            coverage = float((counts > 0).mean())
        return Diagnosis(
            timesteps=self.num_timesteps,
            updates=int(self._learner.counters[UPDATES]),
            layers=tuple(layers),
            td_errors=np.zeros(0),
            histogram=np.zeros(0, np.int64),
            edges=np.zeros(0),
            replay=counts,
            replay_coverage=coverage,
            q_error=None,
            max_q_error=math.nan,
            mean_q_error=math.nan,
        )

    def why_not_driven(self) -> str:
        """Empty: what is replayed may have been done by anybody."""
        return ""

    # --- on disk ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {
            "policy": self._policy,
            "learning_rate": self.learning_rate,
            "buffer_size": self.buffer_size,
            "learning_starts": self.learning_starts,
            "batch_size": self.batch_size,
            "tau": self.tau,
            "gamma": self.gamma,
            "train_freq": self.train_freq,
            "gradient_steps": self.gradient_steps,
            "target_update_interval": self.target_update_interval,
            "exploration_fraction": self.exploration_fraction,
            "exploration_initial_eps": self.exploration_initial_eps,
            "exploration_final_eps": self.exploration_final_eps,
            "max_grad_norm": self.max_grad_norm,
            "n_steps": self.n_steps,
            "policy_kwargs": self._network.policy_kwargs(),
            "sequence_length": self.sequence_length,
            "burn_in": self.burn_in,
            "start_state": self.start_state,
            "double_q": self.double_q,
            "clip_targets": self.clip_targets,
            "loss": self.loss,
            "adam_epsilon": self.adam_epsilon,
            "epsilon": self.epsilon_schedule,
        }

    @classmethod
    def _check_asked(cls, env: gym.Env[Any, Any], settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """The network must be in the file; the memory and a round of gradient steps must be within bounds."""
        num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
        policy = settings.get("policy", "MlpLstmPolicy")
        shape = recurrent_architecture(policy, settings.get("policy_kwargs"), env.observation_space, num_actions)
        weights = shape.parameters
        if "policy_kwargs" in settings and weights > arrays["agent.theta"].size:
            raise CheckpointError(f"the file asks for {weights} weights, and holds {arrays['agent.theta'].size}")
        given = {"buffer_size": 1, "batch_size": 1, "sequence_length": 1, "burn_in": 0} | settings
        rows, batch, length, burn_in = (
            check_count(name, given[name], least=0)
            for name in ("buffer_size", "batch_size", "sequence_length", "burn_in")
        )
        rounds = settings.get("gradient_steps", 1)
        if rounds == -1:
            rounds = check_train_freq(settings.get("train_freq", 1))[0]
        rounds = check_count("gradient_steps", rounds)
        times = burn_in + length + 1
        asked = _bytes(shape, rows, batch, length, burn_in)
        if asked > MOST_ASKED + sum(array.nbytes for array in arrays.values()):
            raise CheckpointError(
                f"the file asks for {asked / 2**30:.1f} GiB of memory, which it does not hold: load it with "
                "buffer_size=..., batch_size=... and sequence_length=... if that is what you want"
            )
        if rounds * batch * times * max(weights, 1) > MOST_WORK:
            raise CheckpointError(
                f"the file asks for {rounds} gradient steps of {batch} sequences of {times} at a time: load it with "
                "gradient_steps=..., batch_size=... and sequence_length=... if that is what you want"
            )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        filled = memory.contents(self._learner.replay)
        return self._own_arrays() | filled | {"stored": self._learner.stored[: len(filled["actions"])]}

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        learner = self._learner
        arrays = {name: getattr(learner.network, name) for name in _NETWORK}
        return arrays | {name: getattr(learner, name) for name in _STATE}

    def _set_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        from rlgrid.kernels.dqn import BAD_OP, STEPS_SINCE

        learner = self._learner
        own = self._own_arrays()
        given = {name: memory.fitting(arrays, name, array.shape, array.dtype) for name, array in own.items()}
        if self._discrete:
            memory.check_states(arrays, self._width)
            if not 0 <= given["arrival"][0] < self._width:
                raise CheckpointError(f"arrival must lie in 0 to {self._width - 1}")
        counters, ops = given["counters"], len(self._network.names)
        if (counters < -1).any() or counters[STEPS_SINCE] > MOST_ROUND or counters[BAD_OP] >= ops:
            raise CheckpointError("counters in the file are out of range")
        stored = learner.stored[:0]  # those of a file are let be where sequences begin with zeros
        if self.start_state == "stored":
            if not len(arrays["stored"]) and len(arrays["actions"]):
                raise CheckpointError("the file holds no states, as of start_state='zero': leave start_state out")
            stored = memory.fitting(arrays, "stored", (len(arrays["actions"]), self._network.state), np.float32)
        memory.take(learner.replay, arrays, self._num_actions)
        learner.stored[: len(stored)] = stored
        for name, array in own.items():
            array[...] = given[name]


def _bytes(shape: Any, rows: int, batch: int, length: int, burn_in: int) -> int:
    """Of the replay memory and of what a pass over a batch of sequences keeps, or a little more."""
    width = 1 if shape.observations.discrete else shape.observations.width
    return int(8 * rows * (width + shape.state + 2) + 8 * batch * (burn_in + length + 1) * (width + shape.kept + 8))


def _array(given: Any) -> NDArray[np.float32] | None:
    """A copy of what was given, as numbers; None where it is none."""
    try:
        return np.array(given, np.float32)
    except (TypeError, ValueError):
        return None
