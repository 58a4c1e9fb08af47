"""DQN: Q-learning with a neural network, a replay memory and a target network.

The network estimates Q(s, a). Behaviour is epsilon-greedy; every transition goes into the memory; every ``train_freq``
steps, ``gradient_steps`` batches are drawn from it and Adam lowers the error of Q(s, a) against

    r + gamma Q_target(s', argmax_b Q(s', b))        (``double_q``; else the argmax is by Q_target as well)

where nothing follows a terminated transition. Truncation is not termination: the target bootstraps from the true last
observation of the episode. Mnih et al. 2015 (Nature 518); van Hasselt, Guez & Silver 2016 (AAAI). With the loss
"cross_entropy" distributions of returns are learnt in place of their means (`rlgrid.kernels.distributional_dqn`).

The network and its training are our own compiled kernels (`rlgrid.kernels.network`, `rlgrid.kernels.dqn`) in float32.
In float32 they give the same bits on every processor, and so does a run, where its world does.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from rlgrid.agents import memory
from rlgrid.agents.architecture import architecture_of
from rlgrid.agents.base import check_count, check_name, check_number
from rlgrid.agents.checkpoint import MOST_ASKED, CheckpointError
from rlgrid.agents.copies import VectorWorld, single_of, told_masks, vector_of
from rlgrid.agents.dqn_arguments import (
    check_epsilon,
    check_others,
    check_policy,
    check_schedule,
    check_train_freq,
    durations,
)
from rlgrid.agents.q_network import QNetworkAgent
from rlgrid.agents.schedules import KINDS, Schedule
from rlgrid.agents.tabular import LARGEST
from rlgrid.agents.world import World, has_stream, put_back, sampling_arrays, stream_of

LOSSES = ("huber", "mse")
DISTRIBUTIONAL = "cross_entropy"
EXPLORATIONS = {"epsilon_greedy": "epsilon", "softmax": "temperature", "ez_greedy": "epsilon"}  # and how much of it

DISCOUNTED = 0.99  # gamma, unless given, in worlds whose own is 1
SINGLE = np.dtype(np.float32)
SOFT = 0.01  # tau where the target network follows at every step

MOST_EXPONENT = 100.0  # of how long actions are held: beyond 60 a second step is less likely than any uniform tells
MOST_HELD = 10_000  # steps for which an action may be held

MOST_WORK = 10**10  # multiplications of a round of gradient steps that a file may ask for: some seconds
MOST_EPISODES = 4_096  # that one call of the kernel may end: so long is the list that takes them

MOST_COPIES = 1_024  # of an environment, that a file may ask for

MOST_ROUND = 10**6  # gradient steps that may be due in a file, where a round has as many as steps since the last one

_NETWORK = ("theta", "mean", "square")
_STATE = ("target", "counters", "measures", "reward_range", "visits", "counts", "novelty", "td_error", "arrival")


class DQN(QNetworkAgent):
    """Deep Q-learning over Discrete observations (one-hot, read as a row of weights) or vectors.

    Argument names are Stable-Baselines3's. Defaults are ours, since theirs were chosen for Atari's millions of steps:
    a gradient step after every step, a target network that follows softly instead of in leaps of 10,000 steps, a
    falling learning rate, exploration over half of the run, and the double target. With them FrozenLake 4x4 is solved
    within 25,000 steps and FourRooms within 60,000 (benchmarks/dqn_four_rooms.py).

    Args:
        policy: "MlpPolicy", a network of dense layers where ``policy_kwargs`` say nothing else; or "CnnPolicy", for
            images: convolutions (`rlgrid.agents.dqn_arguments`) in front of the layers of ``net_arch``.
        env: a Gymnasium environment, or the id of one, with Discrete actions and Discrete or Box observations; or a
            Gymnasium vector of such environments, ours (``gym.make_vec("rlgrid/...", num_envs=8)``) or any other.
        n_envs: so many environments are stepped at once: ``env`` and others made by its spec. As Stable-Baselines3
            counts, a step of all is ``n_envs`` timesteps, ``train_freq`` counts steps of all, ``gradient_steps=-1``
            and ``target_update_interval`` the steps of each; a run may end up to ``n_envs - 1`` steps late.
        learning_rate: of the optimiser, a number or a schedule by name (`rlgrid.agents.schedules`). "lin_1e-3" falls
            linearly over the run, here to a hundredth, so that learning never quite stops. The default falls: with a
            constant rate the policy that was good at one moment is spoilt at the next.
        buffer_size: transitions in the replay memory.
        learning_starts: steps of random actions before the first gradient step.
        batch_size: transitions of one gradient step.
        tau: share of the network that the target network takes over at an update; 1 copies it. None takes 0.01 where
            there is an update after every step, and else 1, which is what settings for other libraries mean.
        gamma: the discount factor; None takes the model's, 0.99 where there is none or where it is 1: without a
            discount, putting off what is good costs nothing, and a network does not tell values that are nearly equal.
        train_freq: steps between two rounds of gradient steps, or (number, "step"), or, in one environment alone,
            (number, "episode").
        gradient_steps: gradient steps of a round; -1 for as many as there were steps since the last one.
        target_update_interval: steps between two updates of the target network.
        exploration_fraction: share of the run over which epsilon falls from its initial to its final value.
        exploration_initial_eps, exploration_final_eps: these values.
        exploration: "epsilon_greedy"; or "softmax", which takes actions with probabilities in proportion to
            exp(q / temperature). Or "ez_greedy", epsilon-z-greedy (Dabney, Ostrovski & Barreto 2021, ICLR): with
            probability epsilon a random action that is held for n steps, n with a probability in proportion to
            1 / n^mu; for worlds in which random actions one at a time hardly ever get anywhere. Before learning starts
            epsilon is 1. The end of an episode, or a state that lacks the action, ends the hold. A `predict` that is
            not deterministic explores as a hold begins, and holds nothing.
        duration_exponent: this mu, 0 to 100; as it grows, epsilon-z-greedy becomes epsilon-greedy.
        max_duration: the largest n, up to 10,000.
        epsilon: a number or a schedule by name, in place of the three arguments that say how epsilon falls.
        temperature: a number or a schedule by name.
        directed: what epsilon has explored is no random action, but the one that leads to what was tried least: a table
            of novelty, over Discrete observations alone, learns 1 / sqrt(N(s, a)) as Q-learning learns rewards, from
            the same batches. The values never see it. While every reward was 0 nothing is known to be greedy for, and
            all actions are taken so. None: wherever observations are Discrete, exploration is
            "epsilon_greedy" and there is no ``exploration_bonus``.
        exploration_bonus: a number b > 0 counts how often each action was taken in each state (over Discrete
            observations alone), and explores by that: b / sqrt(N(s, a)) is added to the rewards that are learnt from
            (Bellemare et al. 2016, NeurIPS), and b / (N(s, a) + 1)^2 to the values by which actions are chosen and
            from which targets bootstrap, so that what was never tried looks good (Rashid et al. 2020, ICLR). For worlds
            in which random actions hardly ever find the reward. `q_values` and `predict` are without the second.
        use_masking: take, and aim at, those actions alone that the environment allows: by its method
            ``action_masks()`` (sb3-contrib's), or ``info["action_mask"]`` (Gymnasium's). Actions that a state of a
            known model lacks are never taken in any case.
        max_grad_norm: gradients are scaled down to this global norm; infinity leaves them alone.
        n_steps: rewards that a target adds up before it bootstraps. More carry a distant reward back sooner, and lean
            on the actions that were taken.
        prioritized_replay: draw transitions in proportion to (|TD error| + eps)^alpha instead of uniformly, and weigh
            their losses by importance, (N P(i))^-beta over the largest of the batch (Schaul et al. 2016).
        prioritized_replay_alpha, prioritized_replay_beta0, prioritized_replay_eps: these numbers; beta goes from its
            first value to 1 over the run. Names and defaults are Stable Baselines' and the paper's.
        policy_kwargs: "net_arch" (units of the hidden layers), "activation_fn" (one of
            `rlgrid.agents.architecture.ACTIVATIONS`; None takes "tanh" over Discrete observations, "relu" over others),
            "initializer" ("he" or "glorot"; None takes He's for those of the ReLU family, Glorot's otherwise).
        double_q: take the target's action from the online network. On by default: the maximum of a noisy estimate is
            biased upwards, and in a slippery world that bias decides between actions.
        clip_targets: hold targets between r_min / (1 - gamma) and r_max / (1 - gamma), with the rewards seen so far and
            0: no return lies outside, but the estimates of a network that bootstraps from itself may run away there.
        loss: "mse", whose minimum is the mean of the targets, which is what Q is. Or "huber", with which no transition
            has more influence than one that is off by 1: steadier where values are large and chance is small, but it
            goes towards the median where errors are beyond 1, and so hardly sees what is rare and costs a lot.
            Or "cross_entropy", with which the distribution of returns is learnt and not their mean alone (Bellemare,
            Dabney & Munos 2017): it needs "v_min" and "v_max" in ``policy_kwargs``, between which all returns lie, and
            takes "n_atoms", in how many steps they are told apart. `distribution` reads it. Priorities are then
            Kullback-Leibler divergences, ``clip_targets`` holds each atom of a target, and there is no
            ``exploration_bonus``.
        adam_epsilon: added to the root of Adam's second moment.
        seed, compiled: see `Agent`.

    Raises:
        ValueError, TypeError: naming the argument, and what it may be.
        FloatingPointError: from learning, when a value of the network is no longer finite; names step and layer.
    """

    chunk_size = 2_000
    vector: VectorEnv[Any, Any, Any] | None  # the environments that it learns in at once; None where it is one

    def __init__(
        self,
        policy: str = "MlpPolicy",
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str | None = None,
        learning_rate: float | str = "lin_1e-3",
        buffer_size: int = 100_000,
        learning_starts: int = 1_000,
        batch_size: int = 64,
        tau: float | None = None,
        gamma: float | None = None,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 1,
        target_update_interval: int = 1,
        exploration_fraction: float = 0.5,
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        max_grad_norm: float = 10.0,
        n_steps: int = 1,
        policy_kwargs: Mapping[str, Any] | None = None,
        *,
        double_q: bool = True,
        clip_targets: bool = True,
        loss: str = "mse",
        adam_epsilon: float = 1e-8,
        exploration: str = "epsilon_greedy",
        duration_exponent: float = 2.0,
        max_duration: int = 1_000,
        epsilon: float | str | None = None,
        temperature: float | str = 1.0,
        directed: bool | None = None,
        exploration_bonus: float = 0.0,
        use_masking: bool = False,
        n_envs: int = 1,
        prioritized_replay: bool = False,
        prioritized_replay_alpha: float = 0.6,
        prioritized_replay_beta0: float = 0.4,
        prioritized_replay_eps: float = 1e-6,
        seed: int | None = None,
        compiled: bool | None = None,
        **others: Any,
    ) -> None:
        if others:
            check_others("DQN", others, inspect.signature(DQN.__init__).parameters)
        if isinstance(policy, gym.Env | VectorEnv):
            raise TypeError('DQN takes its policy first, as Stable-Baselines3 does: DQN("MlpPolicy", env)')
        if env is None:
            raise TypeError("DQN needs an environment: DQN('MlpPolicy', env)")
        if isinstance(env, str):
            env = gym.make(env)
        if not isinstance(env, gym.Env | VectorEnv):
            raise TypeError(f"env must be a Gymnasium environment, a vector of them, or an id, not {env!r}")
        env, self.vector = _several(env, check_count("n_envs", n_envs))
        self.n_envs = 1 if self.vector is None else int(self.vector.num_envs)
        policy_kwargs = check_policy(policy, policy_kwargs, env.observation_space)
        self._policy = policy
        super().__init__(env, gamma=gamma, seed=seed, compiled=compiled)
        if gamma is None and self.gamma == 1.0:
            self.gamma = DISCOUNTED
        self._rate = check_schedule("learning_rate", learning_rate, LARGEST)
        self.learning_rate = learning_rate if isinstance(learning_rate, str) else float(learning_rate)
        self.buffer_size = check_count("buffer_size", buffer_size)
        self.learning_starts = check_count("learning_starts", learning_starts, least=0)
        self.batch_size = check_count("batch_size", batch_size)
        self._train_freq, self._by_episodes = check_train_freq(train_freq)
        self.train_freq = (self._train_freq, "episode") if self._by_episodes else self._train_freq
        if self._by_episodes and self.n_envs > 1:
            raise ValueError(f"train_freq counts episodes, which is for one environment; here are n_envs={self.n_envs}")
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
        self.exploration = check_name("exploration", exploration, EXPLORATIONS)
        self.epsilon_schedule, self.temperature = epsilon, temperature
        self.duration_exponent = check_number("duration_exponent", duration_exponent, 0.0, MOST_EXPONENT)
        self.max_duration = check_count("max_duration", max_duration, most=MOST_HELD)
        self.exploration_bonus = check_number("exploration_bonus", exploration_bonus, 0.0, LARGEST)
        if self.exploration_bonus and not isinstance(self.env.observation_space, Discrete):
            raise ValueError(
                f"exploration_bonus counts visits of states, so observations must be Discrete, not "
                f"{self.env.observation_space}"
            )
        discrete = isinstance(self.env.observation_space, Discrete)
        if directed is None:
            directed = discrete and self.exploration == "epsilon_greedy" and not self.exploration_bonus
        self.directed = bool(directed)
        if self.directed and not discrete:
            raise ValueError(
                f"directed exploration counts visits of states, so observations must be Discrete, not "
                f"{self.env.observation_space}"
            )
        if self.directed and self.exploration != "epsilon_greedy":
            raise ValueError(f"directed is of exploration 'epsilon_greedy', and this agent's is {self.exploration!r}")
        self.use_masking = bool(use_masking)
        self.max_grad_norm = check_number("max_grad_norm", max_grad_norm, 0.0, math.inf, open_low=True)
        self.n_steps = check_count("n_steps", n_steps)
        self.double_q = bool(double_q)
        self.clip_targets = bool(clip_targets)
        self.loss = check_name("loss", loss, (*LOSSES, DISTRIBUTIONAL))
        if self.loss == DISTRIBUTIONAL and self.exploration_bonus:
            raise ValueError(
                "exploration_bonus moves values, and loss='cross_entropy' learns distributions, which it would leave "
                "wrong: leave one of them out (directed=True explores by counts and moves nothing)"
            )
        self.adam_epsilon = check_number("adam_epsilon", adam_epsilon, 0.0, 1.0, open_low=True)
        self.prioritized_replay = bool(prioritized_replay)
        self.prioritized_replay_alpha = check_number("prioritized_replay_alpha", prioritized_replay_alpha, 0.0, 1.0)
        self.prioritized_replay_beta0 = check_number("prioritized_replay_beta0", prioritized_replay_beta0, 0.0, 1.0)
        self.prioritized_replay_eps = check_number(
            "prioritized_replay_eps", prioritized_replay_eps, 0.0, 1.0, open_low=True
        )
        self._num_actions = int(self.env.action_space.n)  # type: ignore[attr-defined]
        self._architecture = architecture_of(
            policy_kwargs, self.env.observation_space, self._num_actions, self.loss == DISTRIBUTIONAL
        )
        self._discrete, self._width = self._architecture.discrete, self._architecture.width
        self._first_action = int(self.env.action_space.start)  # type: ignore[attr-defined]
        self._first_state = int(getattr(self.env.observation_space, "start", 0))
        self._judge = None
        self._strength = self._check_exploration()
        self._available = self._check_masks()
        self._told = self.use_masking and self._available is None  # masks come with each step
        self._learner = self._new_learner()
        self._sampling: Any = None  # the world as the kernel takes it

    def _check_exploration(self) -> Schedule:
        """The schedule of epsilon or of the temperature; what would be set to no effect is refused."""
        defaults = inspect.signature(DQN.__init__).parameters
        for name in ("duration_exponent", "max_duration"):
            if self.exploration != "ez_greedy" and getattr(self, name) != defaults[name].default:
                raise ValueError(f"{name} is of exploration 'ez_greedy', and this agent's is {self.exploration!r}")
        if self.exploration == "softmax":
            if self.epsilon_schedule is not None:
                raise ValueError("epsilon is of exploration 'epsilon_greedy', and this agent's is 'softmax'")
            return check_schedule("temperature", self.temperature, LARGEST, self._discrete)
        if self.temperature != 1.0:
            raise ValueError(f"temperature is of exploration 'softmax', and this agent's is {self.exploration!r}")
        if self.epsilon_schedule is not None:
            check_epsilon(vars(self), defaults)
            return check_schedule("epsilon", self.epsilon_schedule, 1.0, self._discrete)
        return Schedule("linear", self.exploration_initial_eps, self.exploration_final_eps)

    def _world_of(self, env: gym.Env[Any, Any]) -> World:
        return World(env) if self.vector is None else VectorWorld(env, self.vector)

    # --- the network ------------------------------------------------------------------------------------------------

    def _new_learner(self) -> Any:
        from rlgrid.kernels.dqn import BAD_OP, NOVELTY_GAMMA, Learner, Step
        from rlgrid.kernels.replay import new_batch, new_replay

        copies, weights = self.n_envs, self._architecture.first_weights(self._generator)
        network = self._architecture.network(weights, self.batch_size, rows=copies)
        idle = self._world.idle if isinstance(self._world, VectorWorld) else np.zeros(1, np.bool_)
        states = self._width if self._discrete else 1
        counted = self.directed or self.exploration_bonus
        holds = self.exploration == "ez_greedy"
        available, told = self._available, self._num_actions if self._told else 0
        novelty = np.full((states, self._num_actions) if self.directed else (0, 0), 1.0 / (1.0 - NOVELTY_GAMMA))
        if self.directed and available is not None:
            novelty[~available] = 0.0  # nobody can try it, and so nothing draws there
        counters = np.zeros(4, np.int64)
        kind: tuple[Any, Any] = (() if self._discrete else (self._width,), self._architecture.observations.dtype)
        counters[BAD_OP] = -1
        return Learner(
            network=network,
            target=network.theta.copy(),
            replay=new_replay(
                max(self.buffer_size // copies, 1) * copies, *kind, self.prioritized_replay, told, copies
            ),
            batch=new_batch(self.batch_size, *kind, told),
            targets=np.zeros(self.batch_size),
            errors=np.zeros(self.batch_size),
            observation=self._blank(copies),
            arrival=self._blank(copies),
            step=Step(
                actions=np.zeros(copies, np.int64),
                rewards=np.zeros(copies),
                terminated=np.zeros(copies, np.bool_),
                truncated=np.zeros(copies, np.bool_),
                idle=idle,
            ),
            available=np.zeros((0, 0), np.bool_) if available is None else available,
            mask=np.ones((copies if told else 0, told), np.bool_),
            arrival_mask=np.ones((copies if told else 0, told), np.bool_),
            visits=np.zeros(states, np.int64),
            counts=np.zeros((states, self._num_actions) if counted else (0, 0), np.int64),
            novelty=novelty,
            held=np.zeros((copies if holds else 0, 2), np.int64),
            durations=durations(self.duration_exponent, self.max_duration) if holds else np.zeros(0),
            td_error=np.zeros(states),
            reward_range=np.zeros(2),
            counters=counters,
            measures=np.zeros(3),
        )

    def _rule(self) -> Any:
        from rlgrid.kernels.dqn import Rule
        from rlgrid.kernels.exploration import EPSILON_GREEDY, SOFTMAX

        total = float(self.total_timesteps or self.default_total_timesteps or 1)
        strength, horizon = self._strength, total
        if self.exploration != "softmax" and self.epsilon_schedule is None:
            horizon = self.exploration_fraction * total
        elif strength.kind == "step":
            horizon = strength.every
        steps = self.gradient_steps
        if steps == -1:
            steps = 0 if self._by_episodes else self._train_freq * self.n_envs
        return Rule(
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
            priority_alpha=self.prioritized_replay_alpha,
            priority_beta=self.prioritized_replay_beta0,
            beta_horizon=total,
            priority_eps=self.prioritized_replay_eps,
            exploration=SOFTMAX if self.exploration == "softmax" else EPSILON_GREEDY,
            strength_kind=KINDS.index(strength.kind),
            strength_initial=strength.initial,
            strength_final=strength.final,
            strength_horizon=horizon,
            bonus=self.exploration_bonus,
            optimism=self.exploration_bonus,
            double_q=self.double_q,
            clip_targets=self.clip_targets,
            huber=self.loss == "huber",
            optimiser=self._architecture.optimiser(self.max_grad_norm, self.adam_epsilon),
        )

    # --- learning ---------------------------------------------------------------------------------------------------

    def _update(self) -> Any:
        """The address of the compiled gradient step."""
        from rlgrid.kernels import address_of
        from rlgrid.kernels.dqn import gradient_step

        step = gradient_step
        if self.loss == DISTRIBUTIONAL:
            from rlgrid.kernels.distributional_dqn import distributional_step as step
        return address_of(step, self._learner, self._rule(), 0, stream_of(self._generator))

    def _advance_compiled(self, max_steps: int) -> int:
        world: Any = self._world
        several = isinstance(world, VectorWorld)
        if not (world.has_streams() if several else has_stream(world.generator)):
            return self._advance_python(max_steps)  # the same bits, from a generator that kernels do not know
        from rlgrid.kernels.dqn import run_dqn

        learner, rule, update, copies = self._learner, self._rule(), self._update(), self.n_envs
        if self._sampling is None:
            self._sampling = world.sampling() if several else self._single_sampling()
        size = max(min(max_steps, MOST_EPISODES), copies)
        returns, lengths, ids = np.empty(size), np.empty(size, np.int64), np.empty(size, np.int64)
        steps, done = max(max_steps // copies, 1), 0
        while done < steps and not self._interrupted:
            stream = stream_of(self._generator)
            draws = world.draws() if several else stream_of(world.generator)[None]
            elapsed = world.lengths if several else np.array([self._episode_length])
            totals = world.returns if several else np.array([self._episode_return])
            learner.observation[...] = self._observation
            ran, ended = run_dqn(
                self._sampling,
                draws,
                stream,
                learner,
                rule,
                update,
                self.num_timesteps,
                steps - done,
                elapsed,
                world.max_episode_steps,
                several and world.mode is AutoresetMode.NEXT_STEP,
                totals,
                returns,
                lengths,
                ids,
            )
            put_back(self._generator, stream)
            ends = returns[:ended], lengths[:ended], ids[:ended]
            if several:
                self._commit_copies(ran, draws, ends)
            else:
                put_back(world.generator, draws[0])
                seen = int(learner.observation[0]) if self._discrete else learner.observation[0].copy()
                self._commit_chunk(ran, seen, int(elapsed[0]), float(totals[0]), *ends[:2])
            self._check_health()
            done += ran
        return done * copies

    def _single_sampling(self) -> Any:
        if self.model is not None:
            return sampling_arrays(self.model)
        dynamics = self._world.inner.dynamics
        return dynamics._replace(state=dynamics.state[None])

    def _commit_copies(self, ran: int, draws: NDArray[np.uint64], ends: Any) -> None:
        world: Any = self._world
        self.num_timesteps += ran * self.n_envs
        self._observation = self._learner.observation.astype(np.int64 if self._discrete else np.float32)
        self.episode_returns.extend(ends[0].tolist())
        self.episode_lengths.extend(ends[1].tolist())
        world.commit_all(draws, self._observation, ends)

    def _advance_python(self, max_steps: int) -> int:
        from rlgrid.kernels import Kept, entry
        from rlgrid.kernels.dqn import BAD_OBSERVATION, step_once

        learner, stream = self._learner, stream_of(self._generator)
        kept = Kept((learner, self._rule(), stream, self._update()))
        run = functools.partial(entry(step_once, kept, 0, True, True), kept.handle)
        done = 0
        try:
            if self.vector is not None:
                everyone = np.ones(self.n_envs, np.bool_)
                self._put_all(learner.observation, self._observation, everyone)
                self._put_masks(learner.mask, self._info, everyone)
                while done < max(max_steps // self.n_envs, 1) and not self._interrupted:
                    self._step_copies(run)
                    done += 1
                return done * self.n_envs
            step, place = learner.step, learner.arrival
            shape = None if self._discrete or place.dtype != SINGLE else self._observation_space.shape
            shape = shape if shape == place[0].shape else None
            self._put(learner.observation, self._observation)
            self._put_mask(learner.mask)
            going_on, action = not self._interrupted, -1
            while going_on:
                if action < 0:
                    action = run(self.num_timesteps, False, True)
                if self._chosen is not None:
                    action = step.actions[0] = self._chosen
                arrival, reward, terminated, truncated = self._step_env(action + self._first_action)
                if type(arrival) is np.ndarray and arrival.dtype is SINGLE and arrival.shape == shape:
                    place[...] = arrival  # the kernel looks whether it is finite
                else:
                    self._put(place, arrival)
                step.rewards[0], step.terminated[0], step.truncated[0] = reward, terminated, truncated
                done += 1
                going_on, ended = done < max_steps and not self._interrupted, terminated or truncated
                if self._told:
                    self._put_mask(learner.arrival_mask)
                action = run(self.num_timesteps, True, going_on and not ended and not self._told)
                if action == BAD_OBSERVATION:
                    self._put(place, arrival)  # says so
                self._end_step(arrival, ended)
                if ended:
                    self._put(learner.observation, self._observation)
                if self._told:
                    self._put_mask(learner.mask)
                if action < 0:
                    self._check_health()
        finally:
            put_back(self._generator, stream)
        return done

    def why_not_driven(self) -> str:
        """Empty where one environment alone is stepped: what is replayed may have been done by anybody."""
        return "" if self.vector is None else "it learns in several environments at once"

    # --- several environments at once -------------------------------------------------------------------------------

    def _step_copies(self, run: Callable[[int, bool, bool], int]) -> None:
        """One step of every environment of a foreign vector, and what is learnt from it."""
        learner, world = self._learner, self._world
        assert isinstance(world, VectorWorld)
        step, now = learner.step, self.num_timesteps
        run(now, False, True)
        arrivals, rewards, terminated, truncated, seen, finals, infos = world.step(step.actions + self._first_action)
        wrong = ~np.isfinite(rewards)
        if wrong.any():
            e = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"environment {e} gave the reward {rewards[e]} after {now} steps: not finite")
        begun, moved = world.idle.copy(), ~world.idle
        self._put_all(learner.arrival, arrivals, moved)
        self._put_masks(learner.arrival_mask, finals, moved)
        step.rewards[:], step.terminated[:], step.truncated[:] = rewards, terminated, truncated
        run(now, True, False)
        world.returns[moved] += rewards[moved]
        world.lengths[moved] += 1
        ended = (terminated | truncated) & moved
        self.episode_returns.extend(world.returns[ended].tolist())
        self.episode_lengths.extend(world.lengths[ended].tolist())
        world.idle[:] = ended & (world.mode is AutoresetMode.NEXT_STEP)
        anew = begun | (ended & ~world.idle)
        world.returns[anew], world.lengths[anew] = 0.0, 0
        self.num_timesteps += self.n_envs
        self._observation, self._info = seen, infos
        everyone = np.ones(self.n_envs, np.bool_)
        self._put_all(learner.observation, seen, everyone)
        self._put_masks(learner.mask, infos, everyone)
        self._check_health()

    def _put_all(self, place: NDArray[Any], observations: Any, chosen: NDArray[np.bool_]) -> None:
        """Write the observations of the chosen environments of a vector; kernels do not check what they are given."""
        for e in np.flatnonzero(chosen).tolist():
            self._put(place[e : e + 1], observations[e])

    def _put_masks(self, place: NDArray[np.bool_], infos: dict[str, Any], chosen: NDArray[np.bool_]) -> None:
        """Write which actions there are in the chosen environments, where each step must tell."""
        if self._told:
            masks = told_masks(infos)
            for e in np.flatnonzero(chosen).tolist():
                place[e] = self._checked_mask(masks[e])

    def _saved_state(self, given: Any) -> int:
        if self.vector is not None:
            raise CheckpointError(
                f"the file holds the state {given!r} of one environment; here are n_envs={self.n_envs}"
            )
        return super()._saved_state(given)

    @property
    def state(self) -> int | None:
        """The index of the environment's present state in training, of several the first one's; None without one."""
        if self.vector is None or self._observation is None or not self._discrete:
            return super().state
        return int(self._observation[0]) - self._first_state

    def _reset_env(self) -> None:
        world = self._world
        if isinstance(world, VectorWorld):
            first = self.seed if self._reseed is None else self._reseed
            self._observation, self._info = world.reset(None if self._has_reset else first)
            self._has_reset = True
        else:
            super()._reset_env()
        memory.abandon(self._learner.replay, self._learner.arrival)
        self._learner.held[...] = 0

    def _present_strength(self, row: int) -> float:
        if self.directed and not self._learner.reward_range.any():
            return 1.0  # as `rlgrid.kernels.dqn.nothing_won` has it
        return super()._present_strength(row)

    def metrics(self) -> dict[str, float]:
        """Present numbers worth showing; the means are over the last hundred gradient steps or so."""
        from rlgrid.kernels.dqn import GRADIENT_NORM, LOSS, TD_ERROR, UPDATES, learning_rate_at

        rule, counters, measures = self._rule(), self._learner.counters, self._learner.measures
        shown = super().metrics() | {
            EXPLORATIONS[self.exploration]: self._present_strength(self.state or 0),
            "learning_rate": float(learning_rate_at(rule, self.num_timesteps)),
            "updates": float(counters[UPDATES]),
            "replay": float(memory.rings(self._learner.replay)[:, 1].sum()),
        }
        if counters[UPDATES]:
            shown |= {
                "loss": float(measures[LOSS]),
                "td_error": float(measures[TD_ERROR]),
                "gradient_norm": float(measures[GRADIENT_NORM]),
            }
        return shown

    # --- on disk ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        held = ("duration_exponent", "max_duration") if self.exploration == "ez_greedy" else ()
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
            "policy_kwargs": self._architecture.policy_kwargs(),
            "double_q": self.double_q,
            "clip_targets": self.clip_targets,
            "loss": self.loss,
            "adam_epsilon": self.adam_epsilon,
            "exploration": self.exploration,
            "epsilon": self.epsilon_schedule,
            "temperature": self.temperature,
            "directed": self.directed,
            "exploration_bonus": self.exploration_bonus,
            "use_masking": self.use_masking,
            "n_envs": self.n_envs,
            "prioritized_replay": self.prioritized_replay,
            "prioritized_replay_alpha": self.prioritized_replay_alpha,
            "prioritized_replay_beta0": self.prioritized_replay_beta0,
            "prioritized_replay_eps": self.prioritized_replay_eps,
        } | {name: getattr(self, name) for name in held}

    @classmethod
    def _check_asked(cls, env: gym.Env[Any, Any], settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """The network must be in the file; the memory and a round of gradient steps must be within bounds."""
        space: Any = getattr(env, "single_observation_space", env.observation_space)
        actions: Any = getattr(env, "single_action_space", env.action_space)
        num_actions = int(actions.n)
        distributions = settings.get("loss") == DISTRIBUTIONAL
        architecture = architecture_of(settings.get("policy_kwargs"), space, num_actions, distributions)
        n_envs = check_count("n_envs", settings.get("n_envs", 1), most=MOST_COPIES)
        n_envs = int(getattr(env, "num_envs", n_envs))
        if "n_envs" in settings and "agent.replay_counters" in arrays:  # before so many are made
            memory.check_copies({"replay_counters": arrays["agent.replay_counters"]}, n_envs)
        weights = architecture.parameters
        if "policy_kwargs" in settings and weights > arrays["agent.theta"].size:
            raise CheckpointError(f"the file asks for {weights} weights, and holds {arrays['agent.theta'].size}")
        rows, batch = (check_count(name, settings.get(name, 1)) for name in ("buffer_size", "batch_size"))
        rounds = settings.get("gradient_steps", 1)
        if rounds == -1:
            rounds = check_train_freq(settings.get("train_freq", 1))[0] * n_envs
        rounds = check_count("gradient_steps", rounds)
        width = 1 if isinstance(space, Discrete) else int(np.prod(space.shape or 1))
        asked = 8 * rows * (width + 2) + 8 * batch * (width + architecture.kept + architecture.atoms.size + 8)
        if asked > MOST_ASKED + sum(array.nbytes for array in arrays.values()):
            raise CheckpointError(
                f"the file asks for {asked / 2**30:.1f} GiB of memory, which it does not hold: load it with "
                "buffer_size=... and batch_size=... if that is what you want"
            )
        if rounds * batch * max(weights, 1) > MOST_WORK:
            raise CheckpointError(
                f"the file asks for {rounds} gradient steps of {batch} transitions at a time: load it with "
                "gradient_steps=... and batch_size=... if that is what you want"
            )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return self._own_arrays() | memory.contents(self._learner.replay)

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        learner = self._learner
        arrays = {name: getattr(learner.network, name) for name in _NETWORK}
        state = (*_STATE, "held") if self.exploration == "ez_greedy" else _STATE
        return arrays | {name: getattr(learner, name) for name in state}

    def _set_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        from rlgrid.kernels.dqn import BAD_OP, STEPS_SINCE

        learner = self._learner
        memory.check_copies(arrays, self.n_envs)
        own = self._own_arrays()
        given = {name: memory.fitting(arrays, name, array.shape, array.dtype) for name, array in own.items()}
        if self._discrete:
            memory.check_states(arrays, self._width)
            if not ((given["arrival"] >= 0) & (given["arrival"] < self._width)).all():
                raise CheckpointError(f"arrival must lie in 0 to {self._width - 1}")
        counters, ops = given["counters"], len(self._architecture.names)
        if (counters < -1).any() or counters[STEPS_SINCE] > MOST_ROUND or counters[BAD_OP] >= ops:
            raise CheckpointError("counters in the file are out of range")
        limits = self._num_actions, self.max_duration
        if "held" in given and not ((given["held"] >= 0) & (given["held"] < limits)).all():
            raise CheckpointError("held actions in the file are out of range")
        memory.take(learner.replay, arrays, self._num_actions)
        for name, array in own.items():
            array[...] = given[name]
        if self.directed and self._available is not None:
            learner.novelty[~self._available] = 0.0  # as in `_new_learner`, whatever the file holds


def _several(
    env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], n_envs: int
) -> tuple[gym.Env[Any, Any], VectorEnv[Any, Any, Any] | None]:
    """(an environment, the vector of those like it that are learnt in at once, None where it is alone).

    Raises:
        ValueError
    """
    if isinstance(env, gym.Env):
        return env, vector_of(env, n_envs) if n_envs > 1 else None
    if n_envs not in (1, env.num_envs):
        raise ValueError(f"n_envs={n_envs} of a vector of {env.num_envs} environments: leave n_envs out")
    return single_of(env), env
