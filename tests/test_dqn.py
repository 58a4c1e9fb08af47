"""DQN: the rule against numpy written out, both paths bit for bit, resuming, refusals, and worlds that it solves."""

import hashlib
import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from machines import on_every_machine

from rlgrid.agents import evaluate_policy
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.dqn import DQN
from rlgrid.envs.gridworld import GridWorld
from rlgrid.kernels.dqn import BAD_OP, UPDATES
from rlgrid.kernels.program import UNITS, WEIGHTS
from rlgrid.kernels.replay import FILLED, POSITION
from rlgrid.mdp import MDP

SMALL = {"policy_kwargs": {"net_arch": [16], "activation_fn": "relu"}, "batch_size": 16, "learning_starts": 50}


def frozen_lake(**settings):
    return DQN("MlpPolicy", gym.make("rlgrid/FrozenLake-v1"), **({"seed": 0} | SMALL | settings))


def tensors(agent):
    return agent._arrays()


def assert_same_agent(a, b):
    for name, array in tensors(a).items():
        np.testing.assert_array_equal(array, tensors(b)[name], err_msg=name)
    assert a.num_timesteps == b.num_timesteps
    assert a.episode_returns == b.episode_returns
    assert a.episode_lengths == b.episode_lengths
    assert a._generator.bit_generator.state == b._generator.bit_generator.state


class Cycle(gym.Env):
    """Positions 0, 1, 2, 0, ... as a vector of two numbers; reward 1 a step; ends after ``last`` steps if given."""

    def __init__(self, last=None):
        self.observation_space = spaces.Box(-2.0, 2.0, (2,), np.float64)
        self.action_space = spaces.Discrete(2, start=5)
        self.last, self.t = last, 0

    def _observe(self):
        angle = 2 * math.pi * self.t / 3
        return np.array([math.cos(angle), math.sin(angle)])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.t += 1
        return self._observe(), 1.0, self.t == self.last, False, {}


# --- the rule -------------------------------------------------------------------------------------------------------


class Naive:
    """DQN as one would write it in numpy, from an agent's first weights and its generator's seed.

    Transitions are kept by place: copy e of C environments has the places e, e + C, e + 2 C ...
    """

    def __init__(self, agent):
        learner = agent._learner
        self.agent = agent
        self.stored = [0] * agent.n_envs
        self.holds = [[] for _ in self.stored]  # of each copy the actions that it is still to take
        self.theta = learner.network.theta.astype(np.float64)
        self.target = self.theta.copy()
        self.layout = learner.network.program
        self.m, self.v, self.n = np.zeros_like(self.theta), np.zeros_like(self.theta), 0
        self.memory = {}
        self.priorities = {}
        self.greatest = 1.0
        self.seen = {0.0}
        self.counts = np.zeros((agent._width, self.layout[-1, UNITS]))
        self.novelty = np.full(self.counts.shape, 100.0)
        self.draws = np.random.default_rng(agent.seed)
        self.draws.random(sum(units * inputs for inputs, units, *_ in self.layout.tolist()))

    def layers(self, theta):
        for inputs, units, first, biases, *_ in self.layout.tolist():
            yield theta[first:biases].reshape(inputs, units), theta[biases : biases + units]

    def outputs(self, theta, x):
        """Of every layer."""
        ys = []
        layers = list(self.layers(theta))
        for weights, biases in layers:
            x = x @ weights + biases
            if len(ys) < len(layers) - 1:
                x = np.maximum(x, 0)
            ys.append(x)
        return ys

    def act(self, x, strength, *, warm):
        softmax = self.agent.exploration == "softmax"
        if self.agent.directed and self.seen == {0.0}:
            strength = 1.0  # nothing is known to be greedy for
        if self.holds[0]:
            return self.holds[0].pop()
        if (softmax and not warm) or (not softmax and self.draws.random() < (strength if warm else 1.0)):
            return self.explored(x)
        q = self.outputs(self.theta, x)[-1] + self.optimism(x)
        if softmax:
            likely = np.exp(q / strength)
            return int(np.searchsorted(likely.cumsum() / likely.sum(), self.draws.random(), side="right"))
        return int(q.argmax())

    def explored(self, x, copy=0):
        """What epsilon explores in a state, or where observations are vectors."""
        u = self.draws.random()
        if not self.agent.directed:
            action = int(u * self.layout[-1, UNITS])
            if self.agent.exploration == "ez_greedy":
                self.holds[copy] = [action] * (self.duration(self.draws.random()) - 1)
            return action
        novelty = self.novelty[x.argmax()]
        best = np.flatnonzero(novelty == novelty.max())
        return int(best[int(u * len(best))])

    def duration(self, u):
        """The first n such that at most n steps are more likely than u (Dabney et al. 2021)."""
        parts = [n**-self.agent.duration_exponent for n in range(1, self.agent.max_duration + 1)]
        return next(n for n in range(1, len(parts) + 1) if sum(parts[:n]) > u * sum(parts))

    def optimism(self, x):
        """b / (N(s, a) + 1)^2 for one-hot rows [..., S]."""
        return self.agent.exploration_bonus / (x @ self.counts + 1) ** 2 if self.agent.exploration_bonus else 0.0

    def draw(self, t):
        """Places of a batch, and the weights of their losses (Schaul et al. 2016, algorithm 1)."""
        agent, u = self.agent, self.draws.random(self.agent.batch_size)
        filled = np.array(sorted(self.memory))
        if not agent.prioritized_replay:  # first the places that every copy has filled, then copy by copy
            copies = len(self.stored)
            least = min(np.count_nonzero(filled % copies == e) for e in range(copies))
            ordered = sorted(filled, key=lambda place: (place >= least * copies) * (1 + place % copies))
            return np.array(ordered)[(u * len(filled)).astype(int)], 1.0
        chance = np.array([self.priorities[place] for place in filled])
        chance /= chance.sum()
        places = np.searchsorted(chance.cumsum(), (np.arange(len(u)) + u) / len(u), side="right")
        beta = agent.prioritized_replay_beta0
        beta += (1 - beta) * t / agent.total_timesteps
        weights = (len(chance) * chance[places]) ** -beta
        return filled[places], weights / weights.max()

    def rows(self):
        """Transitions of each copy that there is room for."""
        return self.agent.buffer_size // len(self.stored)

    def follower(self, place):
        """Where the next transition of the same copy is; None behind the newest."""
        copies = len(self.stored)
        newest = (self.stored[place % copies] - 1) % self.rows() * copies + place % copies
        return None if place == newest else (place + copies) % (self.rows() * copies)

    def store(self, transition, copy=0):
        x, action, _, following, terminated, _ = transition
        if self.agent.directed or self.agent.exploration_bonus:
            self.counts[x.argmax(), action] += 1
        if self.agent.directed:
            self.renew(x.argmax(), action, following.argmax(), terminated)
        if transition[5]:
            self.holds[copy] = []
        place = self.stored[copy] % self.rows() * len(self.stored) + copy
        self.memory[place] = transition  # over the oldest once it is full
        self.priorities[place] = self.greatest
        self.stored[copy] += 1

    def renew(self, s, action, following, terminated):
        """Q-learning with 1 / sqrt(N) as the reward, gamma 0.99 and step size 1/10."""
        goal = 1 / math.sqrt(max(self.counts[s, action], 1)) + 0.99 * (not terminated) * self.novelty[following].max()
        self.novelty[s, action] += 0.1 * (goal - self.novelty[s, action])

    def update(self, rate, t):
        agent = self.agent
        places, weights = self.draw(t)
        rows = []
        for j in places:
            x, action, _, following, terminated, _ = self.memory[j]
            if agent.directed:
                self.renew(x.argmax(), action, following.argmax(), terminated)
            ahead = [j]
            while len(ahead) < agent.n_steps and not self.memory[j][5] and self.follower(j) is not None:
                j = self.follower(j)
                ahead.append(j)
            reward = sum(agent.gamma**k * self.memory[j][2] for k, j in enumerate(ahead))
            if agent.exploration_bonus:
                seen = [self.counts[self.memory[j][0].argmax(), self.memory[j][1]] for j in ahead]
                reward += sum(agent.gamma**k * agent.exploration_bonus / math.sqrt(n) for k, n in enumerate(seen))
            discount = 0 if self.memory[j][4] else agent.gamma ** len(ahead)
            rows.append((x, action, reward, self.memory[j][3], discount))
        x, action, reward, following, discount = (np.array(column) for column in zip(*rows, strict=True))
        each = np.arange(len(rows))
        later = self.outputs(self.target, following)[-1] + self.optimism(following)
        chooser = self.outputs(self.theta, following)[-1] + self.optimism(following) if agent.double_q else later
        goal = reward + discount * later[each, chooser.argmax(axis=1)]
        if agent.clip_targets and not agent.exploration_bonus:
            goal = np.clip(goal, min(self.seen) / (1 - agent.gamma), max(self.seen) / (1 - agent.gamma))
        ys = self.outputs(self.theta, x)
        delta = np.zeros_like(ys[-1])
        error = ys[-1][each, action] - goal
        delta[each, action] = weights * (np.clip(error, -1, 1) if agent.loss == "huber" else error) / len(rows)
        surprise = (abs(error) + agent.prioritized_replay_eps) ** agent.prioritized_replay_alpha
        for j, priority in zip(places, surprise, strict=True):
            self.priorities[j] = priority
            self.greatest = max(self.greatest, priority)
        gradient = np.zeros_like(self.theta)
        layers = list(self.layers(self.theta))
        slopes = list(self.layers(gradient))
        for layer in range(len(layers) - 1, -1, -1):
            below = ys[layer - 1] if layer else x
            slopes[layer][0][...] = below.T @ delta
            slopes[layer][1][...] = delta.sum(axis=0)
            delta = delta @ layers[layer][0].T * (below > 0)
        norm = np.linalg.norm(gradient)
        gradient *= min(1, agent.max_grad_norm / norm)
        self.n += 1
        self.m += 0.1 * (gradient - self.m)
        self.v += 0.001 * (gradient**2 - self.v)
        self.theta -= rate * self.m / (1 - 0.9**self.n) / (np.sqrt(self.v / (1 - 0.999**self.n)) + agent.adam_epsilon)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"double_q": False, "loss": "huber", "learning_rate": 3e-3},
        {"tau": 1.0, "target_update_interval": 20, "train_freq": 4, "gradient_steps": 3, "max_grad_norm": 0.05},
        {"policy_kwargs": {"net_arch": []}, "buffer_size": 60},
        {"n_steps": 3, "buffer_size": 70},
        {"gamma": 0.2, "clip_targets": True},
        {"gamma": 0.2, "clip_targets": False},
        {"gamma": 0.0},  # novelty looks ahead all the same
        {
            "prioritized_replay": True,
            "prioritized_replay_alpha": 0.9,
            "prioritized_replay_eps": 0.01,
            "buffer_size": 60,
        },
        {"prioritized_replay": True, "prioritized_replay_beta0": 0.8, "n_steps": 2},
        {
            "policy_kwargs": {"net_arch": [8, 12, 8], "activation_fn": "relu"},
            "gradient_steps": -1,
            "train_freq": (5, "step"),
        },
        {"train_freq": (2, "episode"), "gradient_steps": 3},
        {"train_freq": [1, "episode"], "gradient_steps": -1, "learning_rate": "exp_3e-3_1e-4"},
        {"exploration": "softmax", "temperature": "lin_2_0.1"},
        {"exploration_bonus": 0.7, "n_steps": 2},
        {"epsilon": "step_0.8_0.5_40"},
        {"directed": False},
        {"exploration": "ez_greedy", "duration_exponent": 1.3, "max_duration": 7},
        {"world": "RussellNorvig4x3-v0"},  # a reward in each step: what is explored is not all
    ],
)
@pytest.mark.parametrize("discrete", [False, True])
def test_a_run_is_the_rule_written_out(discrete, settings):
    if "exploration_bonus" in settings and not discrete:
        with pytest.raises(ValueError, match="exploration_bonus counts visits of states"):
            DQN("MlpPolicy", Cycle(), **settings)
        return
    steps, eps, settings = 150, (0.5, 0.9, 0.2), dict(settings)
    world = settings.pop("world", "FrozenLake-v1")
    settings = SMALL | {"seed": 3, "exploration_fraction": eps[0]} | settings
    settings |= {"exploration_initial_eps": eps[1], "exploration_final_eps": eps[2]}
    if "epsilon" in settings:
        settings = {name: value for name, value in settings.items() if not name.startswith("exploration_")}
    make = (lambda: gym.make(f"rlgrid/{world}")) if discrete else (lambda: TimeLimit(Cycle(last=5), 4))
    agent = DQN("MlpPolicy", make(), **settings)
    naive, env = Naive(agent), make()
    agent.learn(steps)

    def encode(observation):
        return np.eye(env.observation_space.n)[observation] if discrete else observation.astype(np.float32)

    def strength(t):
        if "epsilon" in settings:
            return 0.8 * 0.5 ** (t // 40)
        if "temperature" in settings:
            return 2 - 1.9 * t / steps
        return max(eps[1] + (eps[2] - eps[1]) * t / (eps[0] * steps), eps[2])

    def rate(t):
        given = settings.get("learning_rate", "lin")
        return {"lin": 1e-3 * (1 - t / steps), "exp_3e-3_1e-4": 3e-3 * 30 ** (-t / steps)}.get(given, given)

    steps_since = episodes_since = 0
    x = encode(env.reset(seed=3)[0])
    for t in range(steps):
        action = naive.act(x, strength(t), warm=t >= 50)
        observation, reward, terminated, truncated, _ = env.step(action + (0 if discrete else 5))
        following = encode(observation)
        naive.seen.add(float(reward))
        transition = (x, action, reward, following, terminated, terminated or truncated)
        naive.store(transition)
        steps_since, episodes_since = steps_since + 1, episodes_since + (terminated or truncated)
        often, unit = agent.train_freq if isinstance(agent.train_freq, tuple) else (agent.train_freq, "step")
        if (episodes_since == often) if unit == "episode" else ((t + 1) % often == 0):
            rounds = steps_since if agent.gradient_steps == -1 else agent.gradient_steps
            steps_since = episodes_since = 0
            for _ in range(rounds if t + 1 > 50 else 0):
                naive.update(rate(t), t)
        if (t + 1) % agent.target_update_interval == 0:
            naive.target += agent.tau * (naive.theta - naive.target)
        x = encode(env.reset()[0]) if terminated or truncated else following
    assert naive.n == agent._learner.counters[UPDATES] > 0
    if agent.directed:
        np.testing.assert_allclose(agent._learner.novelty, naive.novelty, rtol=1e-12)
        assert naive.novelty.min() < 99
    if agent.prioritized_replay:
        leaves = agent._arrays()["priorities"]
        expected = [naive.priorities[place] for place in sorted(naive.priorities)]
        np.testing.assert_allclose(leaves, expected, rtol=1e-3, atol=1e-4)
        assert len(np.unique(leaves)) > 20
    np.testing.assert_allclose(agent._learner.network.theta, naive.theta, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(agent._learner.target, naive.target, rtol=2e-3, atol=2e-4)
    assert not np.allclose(
        agent._learner.network.theta, DQN("MlpPolicy", make(), **settings)._learner.network.theta, atol=1e-3
    )


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"exploration": "softmax"}, "directed is of exploration 'epsilon_greedy'"),
        ({}, "directed exploration counts visits of states"),
    ],
)
def test_directed_exploration_is_refused_where_it_would_do_nothing(settings, why):
    env = gym.make("rlgrid/FrozenLake-v1") if settings else Cycle()
    with pytest.raises(ValueError, match=why):
        DQN("MlpPolicy", env, directed=True, **settings)
    assert not DQN("MlpPolicy", env, **settings).directed


def beyond(s, a):
    """Action 1 leads from 0 to 2, 3, ..., 9, and to a reward at 10; action 0 to 1, from where there is only one back.

    States are numbered as `MDP.from_function` meets them.
    """
    return {1: 0, 10: 10}.get(s, max(s + 1, 2) if a == 1 else 1)


class Decoy(gym.Env):
    """`beyond` as a foreign environment, which tells its masks."""

    def __init__(self):
        self.observation_space, self.action_space = spaces.Discrete(11), spaces.Discrete(2)
        self.s = 0

    def _tell(self):
        return {"action_mask": np.array([1, self.s not in (1, 10)], np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = 0
        return 0, self._tell()

    def step(self, action):
        assert self._tell()["action_mask"][action]
        self.s = beyond(self.s, action)
        return self.s, float(self.s == 10), self.s == 10, False, self._tell()


def decoy():
    """The same as a model."""

    def outcomes(s, a):
        return [(1.0, beyond(s, a), float(s == 9 and a == 1), beyond(s, a) == 10)]

    return MDP.from_function([0], lambda s: [0] if s in (1, 10) else [0, 1], outcomes, 0.99)


def test_novelty_does_not_draw_to_actions_that_a_state_lacks():
    """What nobody can try stays untried; a state that lacks something was to be visited for ever."""
    settings = SMALL | {"seed": 0, "gamma": 0.99, "use_masking": True}
    table = DQN("MlpPolicy", TimeLimit(GridWorld(model=decoy()), 50), **settings).learn(3_000)
    told = DQN("MlpPolicy", TimeLimit(Decoy(), 50), **settings).learn(3_000)
    for agent in (table, told):
        assert agent._learner.novelty[1, 0] < 50  # the most that novelty can be is 100
        assert sum(agent.episode_returns) > 0
    np.testing.assert_array_equal(table._learner.counts, told._learner.counts)
    np.testing.assert_array_equal(table._learner.network.theta, told._learner.network.theta)


@pytest.mark.parametrize("compiled", [True, False])
def test_predictions_explore_what_is_novel(compiled):
    agent = frozen_lake(compiled=compiled, exploration_final_eps=1.0, exploration_initial_eps=1.0)
    agent.learn(60)
    for s in range(16):
        novelty = agent._learner.novelty[s]
        best = set(np.flatnonzero(novelty == novelty.max()).tolist())
        assert {int(agent.predict(s, deterministic=False)[0]) for _ in range(60)} == best


def test_truncation_bootstraps_from_the_true_last_observation_and_termination_does_not():
    agent = DQN("MlpPolicy", TimeLimit(Cycle(last=None), 4), seed=0, **SMALL)
    agent.learn(9)
    learner = agent._learner
    angle = 2 * math.pi * np.array([1, 2, 3, 4, 1, 2, 3, 4, 1]) / 3
    expected = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    memory = learner.replay
    finals = [memory.finals[memory.final_of[i]] for i in (3, 7)]
    led_to = [*memory.observations[1:4], finals[0], *memory.observations[5:8], finals[1], learner.arrival[0]]
    np.testing.assert_allclose(led_to, expected, atol=1e-6)
    np.testing.assert_allclose(memory.observations[4], [1, 0])  # the fifth step follows a reset
    assert memory.endings[:9].tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert agent.episode_lengths == [4, 4]

    agent = DQN("MlpPolicy", TimeLimit(Cycle(last=3), 3), seed=0, **SMALL)  # both at once: it is terminated
    agent.learn(9)
    assert agent._learner.replay.endings[:9].tolist() == [0, 0, 2] * 3


@pytest.mark.parametrize("compiled", [True, False])
def test_an_episode_that_is_left_does_not_run_on_into_the_next(compiled):
    agent = frozen_lake(compiled=compiled, n_steps=3)
    agent.begin(100)
    agent.advance(7)
    memory, last = agent._learner.replay, agent._learner.arrival[0]
    under_way = memory.endings[6] == 0
    assert under_way
    agent.begin(100)  # the environment is reset
    agent.advance(1)
    assert memory.endings[6] == 1
    assert memory.finals[memory.final_of[6]] == last
    assert memory.observations[7] == 0


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize(("last", "values"), [(None, [2.0, 2.0]), (2, [1.5, 1.0])])
def test_a_cycle_is_worth_what_it_pays(last, values, n_steps):
    """gamma = 1/2, reward 1 a step: 1 / (1 - 1/2) for ever, truncation or not; 1 + 1/2 and 1 with two steps to go."""
    env = TimeLimit(Cycle(last=last), 4)
    agent = DQN("MlpPolicy", env, gamma=0.5, seed=0, tau=0.05, n_steps=n_steps, **SMALL).learn(3_000)
    places = np.array([[1.0, 0.0], [math.cos(2 * math.pi / 3), math.sin(2 * math.pi / 3)]], np.float32)
    np.testing.assert_allclose(agent._evaluate(places), np.stack((values, values), axis=1), atol=0.05)


@pytest.mark.parametrize("clip_targets", [True, False])
def test_targets_stay_within_what_rewards_can_add_up_to(clip_targets):
    agent = frozen_lake(clip_targets=clip_targets, gamma=0.5).learn(200)
    agent._learner.target[-4:] = 1000.0  # the biases of the output
    agent.learn(1, reset_num_timesteps=False)
    low, high = agent._learner.reward_range
    assert (low, high) == (0, max(agent.episode_returns))
    assert (agent._learner.targets.max() > 400) != clip_targets
    if clip_targets:
        assert agent._learner.targets.max() == high / (1 - 0.5)


def test_epsilon_and_learning_rate():
    agent = frozen_lake(learning_starts=10, exploration_fraction=0.5, exploration_final_eps=0.1)
    agent.begin(200)
    agent.num_timesteps = 150
    assert agent.metrics()["epsilon"] == 1.0  # every reward was 0
    agent._learner.reward_range[0] = -0.5
    seen = {}
    for t in range(0, 401, 5):
        agent.num_timesteps = t
        seen[t] = agent.metrics()
    assert [seen[t]["epsilon"] for t in (0, 5)] == [1.0, 1.0]
    assert [seen[t]["epsilon"] for t in (10, 50, 100, 400)] == pytest.approx([0.91, 0.55, 0.1, 0.1])
    assert [seen[t]["learning_rate"] for t in (0, 100, 200, 400)] == pytest.approx([1e-3, 5e-4, 1e-5, 1e-5])
    assert frozen_lake(learning_rate=2e-3).metrics()["learning_rate"] == 2e-3


# --- two paths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"double_q": False, "loss": "huber", "train_freq": 4, "buffer_size": 200},
        {"prioritized_replay": True, "buffer_size": 300, "n_steps": 2},
        {
            "train_freq": (2, "episode"),
            "gradient_steps": -1,
            "exploration": "softmax",
            "temperature": "exp_2_0.1",
            "exploration_bonus": 0.5,
        },
        {"exploration": "ez_greedy", "epsilon": "lin_1_0.1"},
    ],
)
def test_the_compiled_run_and_the_python_loop_end_with_the_same_bits(settings):
    compiled, looped = frozen_lake(**settings), frozen_lake(compiled=False, **settings)
    foreign = DQN("MlpPolicy", gym.make("FrozenLake-v1"), gamma=0.99, **({"seed": 0} | SMALL | settings))
    assert compiled.compiled
    assert not looped.compiled
    assert not foreign.compiled
    for agent in (compiled, looped, foreign):
        agent.learn(1_500)
    assert len(compiled.episode_returns) > 30
    assert_same_agent(compiled, looped)
    assert_same_agent(compiled, foreign)
    assert compiled.env.unwrapped.state == looped.env.unwrapped.state
    states = [agent.env.unwrapped.np_random.bit_generator.state for agent in (compiled, looped, foreign)]
    assert states[0] == states[1] == states[2]
    known = ~compiled.model.absorbing  # a foreign environment does not say where its end is
    np.testing.assert_array_equal(compiled.q_values[known], foreign.q_values[known])


def test_how_a_run_is_cut_into_chunks_does_not_matter():
    whole, cut = frozen_lake(), frozen_lake()
    whole.learn(700)
    cut.begin(700)
    for steps in (1, 1, 48, 1, 249, 400):
        assert cut.advance(steps) == steps
    assert_same_agent(whole, cut)


def test_the_same_seed_gives_the_same_run_and_another_does_not():
    agents = [frozen_lake(seed=seed).learn(300) for seed in (1, 1, 2)]
    assert_same_agent(agents[0], agents[1])
    assert (tensors(agents[0])["theta"] != tensors(agents[2])["theta"]).any()


def test_predicting_does_not_disturb_learning():
    quiet, asked = frozen_lake(), frozen_lake()
    quiet.learn(400)
    asked.learn(400, callback=lambda agent: agent.predict(3, deterministic=False) and agent.q_values is not None)
    asked_again = frozen_lake()
    asked_again.chunk_size = 50
    asked_again.learn(400, callback=lambda agent: bool(np.isfinite(agent.values).all() and agent.predict(3)))
    assert_same_agent(quiet, asked)
    assert_same_agent(quiet, asked_again)


def two_doors():
    """In state 0 only actions 0 and 2 exist; 2 pays. State 1 is the end."""
    outcomes = {0: {0: [(1.0, 0, 0.0, False)], 2: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 1, 0.0, True)]}}
    offsets, rows = [0], []
    for s in (0, 1):
        for a in range(3):
            rows += outcomes[s].get(a, [])
            offsets.append(len(rows))
    p, to, r, ends = zip(*rows, strict=True)
    return MDP(2, 3, offsets, to, p, r, ends, gamma=0.9, start=0)


@pytest.mark.parametrize(("loss", "chosen"), [("mse", 0), ("huber", 1)])
def test_what_is_rare_and_costs_a_lot_is_seen_by_the_mean_alone(loss, chosen):
    """Action 0 costs 5, action 1 costs 100 once in ten times; Huber's loss is one of the median beyond 1."""
    rows = [(1.0, -5.0), (0.9, 0.0), (0.1, -100.0), (1.0, 0.0), (1.0, 0.0)]
    p, r = zip(*rows, strict=True)
    model = MDP(2, 2, [0, 1, 3, 4, 5], [1] * 5, p, r, [True] * 5, gamma=0.9, start=0)
    settings = SMALL | {"loss": loss, "learning_rate": "lin_1e-2", "max_grad_norm": math.inf, "epsilon": 1.0}
    agent = DQN("MlpPolicy", GridWorld(model=model), seed=0, **settings).learn(4_000)
    assert agent.policy[0] == chosen
    assert agent.q_values[0, 0] == pytest.approx(-5, abs=0.5)
    if loss == "mse":
        assert agent.q_values[0, 1] == pytest.approx(-10, abs=3)


def test_actions_that_a_state_lacks_are_neither_taken_nor_targeted():
    agents = []
    for compiled in (True, False):
        env = TimeLimit(GridWorld(model=two_doors()), 20)
        agent = DQN("MlpPolicy", env, seed=0, compiled=compiled, **SMALL)
        agent._learner.network.theta[-2] = 100.0  # of action 1, which nobody can take
        agent._learner.target[-2] = 100.0
        agents.append(agent.learn(1_000))
    assert_same_agent(*agents)
    filled = agents[0]._learner.replay.counters[FILLED]
    assert set(agents[0]._learner.replay.actions[:filled].tolist()) == {0, 2}
    assert agents[0].q_values[0, 1] == -np.inf
    assert agents[0].q_values[0, 2] == pytest.approx(1.0, abs=0.1)
    assert agents[0].q_values[0, 0] == pytest.approx(0.9, abs=0.1)
    assert agents[0].predict(0)[0] == 2
    assert {agents[0].predict(0, deterministic=False)[0] for _ in range(200)} <= {0, 2}


class Told(gym.Wrapper):
    """Which actions change something, by a method alone or by the info alone."""

    def __init__(self, env, by):
        super().__init__(env)
        self.by = by

    def action_masks(self):
        return self.env.unwrapped.action_mask(int(self.env.unwrapped.s)).astype(bool)

    def has_wrapper_attr(self, name):
        return (name == "action_masks" and self.by == "method") or super(gym.Wrapper, self).has_wrapper_attr(name)


def test_masks_of_a_known_world_are_those_that_the_environment_tells():
    """The twin of Taxi has them in a table, Gymnasium's Taxi tells them with each step: the same bits."""
    settings = SMALL | {"seed": 0, "gamma": 0.99, "use_masking": True}
    twin = DQN("MlpPolicy", gym.make("rlgrid/Taxi-v4"), **settings)
    looped = DQN("MlpPolicy", gym.make("rlgrid/Taxi-v4"), compiled=False, **settings)
    told = DQN("MlpPolicy", Told(gym.make("Taxi-v4"), "info"), **settings)
    asked = DQN("MlpPolicy", Told(gym.make("Taxi-v4"), "method"), **settings)
    agents = [agent.learn(500) for agent in (twin, looped, told, asked)]
    assert_same_agent(twin, looped)
    for agent in agents[2:]:
        np.testing.assert_array_equal(agent._learner.network.theta, twin._learner.network.theta)
        assert agent._learner.replay.next_masks[:500].any(axis=1).all()
    mask = twin.env.unwrapped.action_mask_of
    filled = twin._learner.replay
    assert mask[filled.observations[:500], filled.actions[:500]].all()
    free = DQN("MlpPolicy", gym.make("rlgrid/Taxi-v4"), **(settings | {"use_masking": False})).learn(500)
    assert not mask[free._learner.replay.observations[:500], free._learner.replay.actions[:500]].all()
    state = int(np.flatnonzero(~mask[:, 0].astype(bool))[0])
    assert twin.q_values[state, 0] == -np.inf
    for row in np.eye(6, dtype=np.int8):
        assert told.predict(state, action_masks=row)[0] == row.argmax()
        assert told.predict(state, deterministic=False, action_masks=row)[0] == row.argmax()
    with pytest.raises(ValueError, match="allows one"):
        told.predict(state, action_masks=np.zeros(6, bool))
    evaluate_policy(told, Told(gym.make("Taxi-v4"), "info"), n_eval_episodes=1)


def test_masks_are_saved_with_the_memory(tmp_path):
    agent = DQN("MlpPolicy", gym.make("Taxi-v4"), seed=0, use_masking=True, **SMALL).learn(80)
    agent.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run", gym.make("Taxi-v4"))
    assert_same_agent(agent, again)
    again.learn(20, reset_num_timesteps=False)


def test_an_environment_that_tells_no_masks_is_named():
    with pytest.raises(ValueError, match="no method action_masks"):
        DQN("MlpPolicy", Cycle(), seed=0, use_masking=True, **SMALL).learn(1)


def test_softmax_predicts_in_proportion():
    agent = DQN("MlpPolicy", Cycle(), seed=0, exploration="softmax", temperature=0.5, **SMALL)
    place = np.array([1.0, 0.0])
    q = agent._evaluate(place[None].astype(np.float32))[0]
    agent._learner.network.theta[-1] += 0.3 + q[0] - q[1]
    seen = np.mean([agent.predict(place, deterministic=False)[0] == 6 for _ in range(4_000)])
    assert seen == pytest.approx(1 / (1 + math.exp(-0.6)), abs=4 * 0.5 / math.sqrt(4_000))
    assert agent.metrics()["temperature"] == 0.5


def golden():
    """A hash of what a short run has learnt."""
    settings = {"learning_starts": 100, "buffer_size": 300, "prioritized_replay": True, "n_steps": 3}
    activation = {"policy_kwargs": {"net_arch": [24, 20], "activation_fn": "tanh"}}
    agent = DQN("MlpPolicy", gym.make("rlgrid/FrozenLake-v1"), seed=4, **settings, **activation).learn(500)
    digest = hashlib.sha256(repr(agent.episode_lengths).encode())
    for name, array in sorted(agent._arrays().items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


GOLDEN = "ac10238a8146e8ad1a667e2c5a0af5419a9b7ed4e47f9350850618efb79ab240"


def test_a_run_has_the_same_bits_everywhere():
    assert golden() == GOLDEN


@pytest.mark.slow
def test_a_run_has_the_same_bits_on_a_processor_without_avx():
    ((_, printed),) = on_every_machine("from test_dqn import golden; print(golden())", ["x86-64"])
    assert printed == GOLDEN


# --- what was learnt ------------------------------------------------------------------------------------------------


def test_tables_over_discrete_observations():
    agent = frozen_lake().learn(300)
    model = agent.model
    assert agent.q_values.shape == (16, 4)
    assert (agent.q_values[model.absorbing] == 0).all()
    assert agent.visits.sum() == 300
    unseen = agent.visits == 0
    assert unseen.any()
    assert not agent.greedy()[unseen].any()
    assert (agent.greedy()[~unseen].sum(axis=1) >= 1).all()
    assert agent.td_error.shape == (16,)
    assert (agent.td_error[agent.visits > 10] != 0).all()
    for s in range(16):
        if not model.absorbing[s]:
            assert agent.predict(s) == (agent.policy[s], None)
    batch, state = agent.predict(np.array([0, 4, 9]), state="kept")
    assert batch.tolist() == agent.policy[[0, 4, 9]].tolist()
    assert state == "kept"
    metrics = agent.metrics()
    assert metrics["updates"] == 250
    assert metrics["replay"] == 300
    assert metrics["loss"] >= 0
    assert metrics["gradient_norm"] > 0


def test_vectors_have_no_tables_and_batches_are_rows():
    agent = DQN("MlpPolicy", TimeLimit(Cycle(), 10), seed=0, **SMALL).learn(200)
    with pytest.raises(AttributeError, match="no table"):
        _ = agent.q_values
    assert agent.visits is None
    assert agent.td_error is None
    assert agent.state is None
    single = [agent.predict(np.array(row))[0] for row in ([1.0, 0.0], [-0.5, 0.8])]
    batch, _ = agent.predict(np.array([[1.0, 0.0], [-0.5, 0.8]]))
    assert batch.tolist() == single
    assert set(single) <= {5, 6}
    assert {agent.predict(np.array([1.0, 0.0]), deterministic=False)[0] for _ in range(300)} == {5, 6}


@pytest.mark.parametrize("observation", [16, -1, 1.5, [[0, 1]], "3"])
def test_an_observation_of_another_space_is_refused(observation):
    with pytest.raises(ValueError, match="observation"):
        frozen_lake().predict(observation)


# --- diagnosis --------------------------------------------------------------------------------------------------------


def test_a_diagnosis_says_what_the_arrays_say():
    from rlgrid.truth import Truth

    agent = frozen_lake(policy_kwargs={"net_arch": [8, 8], "activation_fn": "relu"}, buffer_size=300).learn(700)
    before = {name: array.copy() for name, array in tensors(agent).items()}
    found = agent.diagnosis()
    for name, array in before.items():
        np.testing.assert_array_equal(tensors(agent)[name], array, err_msg=name)
    network, replay = agent._learner.network, agent._learner.replay
    assert (found.timesteps, found.updates) == (700, 650)
    assert [layer.name for layer in found.layers] == agent._architecture.names
    assert math.hypot(*(layer.weight_norm for layer in found.layers)) == pytest.approx(np.linalg.norm(network.theta))
    norms = [layer.gradient_norm for layer in found.layers]
    assert math.hypot(*norms) == pytest.approx(np.linalg.norm(network.gradient), rel=1e-5)
    assert min(norms) > 0
    assert found.replay.tolist() == np.bincount(replay.observations, minlength=16).tolist()
    truth = Truth.of(agent)
    assert found.replay_coverage == (found.replay[truth.states] > 0).mean()
    gap = np.abs(agent.q_values - truth.q_values)[truth.states]
    assert found.max_q_error == truth.look(agent).q_error == gap.max()
    assert found.mean_q_error == pytest.approx(gap.mean())
    np.testing.assert_array_equal(found.q_error[truth.states], gap.max(axis=1))
    assert np.isnan(found.q_error[~truth.states]).all()
    assert found.worst(1)[0][1] == found.max_q_error
    assert [error for _, error in found.worst(4)] == sorted(gap.max(axis=1), reverse=True)[:4]
    naive, errors = Naive(agent), []
    naive.theta, naive.target = network.theta.astype(float), agent._learner.target.astype(float)
    for place in range(300):
        following = memory_next(agent, place)
        q, after = (naive.outputs(naive.theta, np.eye(16)[s])[-1] for s in (replay.observations[place], following))
        value = naive.outputs(naive.target, np.eye(16)[following])[-1][after.argmax()]
        value *= 0 if replay.endings[place] == 2 else agent.gamma
        errors.append(replay.rewards[place] + value - q[replay.actions[place]])
    np.testing.assert_allclose(found.td_errors, errors, atol=1e-5)
    assert found.histogram.sum() == 300
    assert found.edges[[0, -1]] == pytest.approx([min(errors), max(errors)], abs=1e-5)
    numbers = found.numbers()
    assert numbers["max_q_error"] == found.max_q_error
    assert numbers["layer_2/gradient_norm"] == norms[1]
    assert "layer_3/dead_units" not in numbers


def memory_next(agent, place):
    replay = agent._learner.replay
    if replay.endings[place]:
        return replay.finals[replay.final_of[place]]
    if (place + 1) % len(replay.actions) == replay.counters[POSITION]:
        return agent._learner.arrival[0]
    return replay.observations[(place + 1) % len(replay.actions)]


def test_dead_units_are_found():
    agent = frozen_lake(policy_kwargs={"net_arch": [8, 4]}).learn(100)
    before = [layer.dead_units for layer in agent.diagnosis().layers]
    theta = agent._learner.network.theta
    theta[16 * 8 : 16 * 8 + 3] = -100.0  # biases of the first three units
    layers = agent.diagnosis().layers
    assert layers[0].dead_units == pytest.approx(max(before[0], 3 / 8))
    theta[16 * 8 : 16 * 8 + 8] = -100.0
    assert [layer.dead_units for layer in agent.diagnosis().layers[:2]] == [1.0, 1.0]


def test_a_diagnosis_without_a_model_or_a_memory():
    fresh = frozen_lake().diagnosis()
    assert fresh.td_errors.size == fresh.histogram.size == fresh.replay_coverage == 0
    assert np.isnan(fresh.layers[0].dead_units)
    vectors = DQN("MlpPolicy", TimeLimit(Cycle(), 10), seed=0, **SMALL).learn(100).diagnosis()
    assert vectors.replay is None
    assert vectors.q_error is None
    assert len(vectors.td_errors) == 100
    assert set(vectors.numbers()) >= {"mean_abs_td_error", "layer_1/weight_norm"}
    with pytest.raises(ValueError, match="no q_error"):
        vectors.worst()
    foreign = DQN("MlpPolicy", gym.make("FrozenLake-v1"), seed=0, **SMALL).learn(100).diagnosis()
    assert foreign.replay.sum() == 100
    assert foreign.max_q_error != foreign.max_q_error


# --- images -----------------------------------------------------------------------------------------------------------


class Lamp(gym.Env):
    """One of 25 pixels is lit; action 1 pays where it is in the middle row, action 0 elsewhere."""

    def __init__(self, kind=np.uint8):
        self.observation_space = spaces.Box(0, 255, (5, 5), kind)
        self.action_space = spaces.Discrete(2)
        self.kind = kind

    def _observe(self):
        self.at = int(self.np_random.integers(25))
        seen = np.zeros((5, 5), self.kind)
        seen.flat[self.at] = 255
        return seen

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        paid = float((self.at // 5 == 2) == (action == 1))
        return self._observe(), paid, False, False, {}


def test_the_layers_of_a_cnn_policy():
    env = Lamp()
    own = DQN("CnnPolicy", env, seed=0)
    assert own.settings["policy"] == "CnnPolicy"
    assert [next(iter(one)) if isinstance(one, dict) else one for one in own.settings["policy_kwargs"]["net_arch"]] == [
        "conv",
        "conv",
        64,
    ]
    assert own._learner.replay.observations.dtype == np.uint8
    more = DQN("CnnPolicy", env, policy_kwargs={"net_arch": [8]}, seed=0).settings["policy_kwargs"]["net_arch"]
    assert more[2:] == [64, 8]
    given = [{"conv": 2, "kernel": 5}, 4]
    assert DQN("CnnPolicy", env, policy_kwargs={"net_arch": given}).settings["policy_kwargs"]["net_arch"] == given
    env.observation_space = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    atari = DQN("CnnPolicy", env, buffer_size=100, seed=0)  # 1,685,154 weights with two actions, as published
    assert atari._architecture.parameters == 1_685_154
    with pytest.raises(TypeError, match="net_arch"):
        DQN("CnnPolicy", env, policy_kwargs={"net_arch": 8})


@pytest.mark.slow
def test_images_are_learnt_from_and_a_run_is_resumed(tmp_path):
    settings = {"policy_kwargs": {"net_arch": [{"conv": 4, "kernel": 3}, 8]}, "gamma": 0.0, "batch_size": 16}
    settings |= {"learning_starts": 100, "seed": 0, "learning_rate": 3e-3}
    agent = DQN("CnnPolicy", Lamp(), **settings).learn(2_000)
    seen = np.zeros((25, 5, 5), np.uint8)
    seen.reshape(25, 25)[np.arange(25), np.arange(25)] = 255
    assert agent.predict(seen)[0].tolist() == [int(i // 5 == 2) for i in range(25)]
    agent.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run", Lamp())
    assert_same_agent(agent, again)
    assert again._settings() == agent._settings()
    again.learn(20, reset_num_timesteps=False)
    with pytest.raises(ValueError, match="not in Box"):
        again._put(again._learner.observation, np.full((5, 5), 256))


# --- health and refusals --------------------------------------------------------------------------------------------


def test_values_that_are_not_finite_stop_the_run_and_name_step_and_layer():
    agent = frozen_lake(learning_rate=1e30)
    message = r"step 5\d, gradient step \d+: the values of (layer 1 of net_arch|the last layer)"
    with pytest.raises(FloatingPointError, match=message):
        agent.learn(500)
    assert agent.num_timesteps < 60
    for compiled in (True, False):
        agent = frozen_lake(compiled=compiled).learn(100)
        agent._learner.network.theta[agent._learner.network.program[1, WEIGHTS]] = np.nan
        with pytest.raises(FloatingPointError, match="step 101, gradient step 51: the values of the last layer"):
            agent.learn(10, reset_num_timesteps=False)
        assert agent._learner.counters[BAD_OP] == 1


class Broken(Cycle):
    def __init__(self, reward, observation):
        super().__init__()
        self.wrong = reward, observation

    def step(self, action):
        observation, _, *rest = super().step(action)
        reward, scale = self.wrong
        return observation * scale, reward, *rest


@pytest.mark.parametrize(("reward", "scale", "culprit"), [(math.nan, 1.0, "reward"), (1.0, math.inf, "observation")])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_an_environment_must_not_give_is_named(reward, scale, culprit):
    with pytest.raises(ValueError, match=rf"the environment.*{culprit}.*not finite"):
        DQN("MlpPolicy", Broken(reward, scale), seed=0).learn(5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "MlpPolcy"}, "did you mean 'MlpPolicy'"),
        ({"policy": "CnnPolicy"}, "reads images"),
        ({"policy": "MultiInputPolicy"}, "FlattenObservation"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": "fast"}, "lin_0.5"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"learning_rate": "1/N"}, "learning_rate '1/N': visits"),
        ({"batch_size": 0}, "batch_size"),
        ({"tau": 1.5}, "tau"),
        ({"gamma": -0.1}, "gamma"),
        ({"train_freq": (1, "epsiode")}, "train_freq"),
        ({"exploration": "ucb"}, "epsilon_greedy, softmax, ez_greedy"),
        ({"exploration": "ez_greedy", "directed": True}, "directed is of exploration 'epsilon_greedy'"),
        ({"exploration": "ez_greedy", "temperature": 0.5}, "this agent's is 'ez_greedy'"),
        ({"exploration": "ez_greedy", "duration_exponent": -1.0}, "duration_exponent"),
        ({"exploration": "ez_greedy", "max_duration": 0}, "max_duration"),
        ({"exploration": "ez_greedy", "max_duration": 10_001}, "max_duration must be at most 10000"),
        ({"exploration": "softmax", "duration_exponent": 1.5}, "is of exploration 'ez_greedy', .* 'softmax'"),
        ({"max_duration": 5}, "max_duration is of exploration 'ez_greedy', and this agent's is 'epsilon_greedy'"),
        ({"temperature": 0.5}, "temperature is of exploration 'softmax'"),
        ({"exploration": "softmax", "epsilon": 0.1}, "epsilon is of exploration 'epsilon_greedy'"),
        ({"epsilon": 0.1, "exploration_final_eps": 0.2}, "either epsilon or exploration_final_eps"),
        ({"gradient_steps": 0}, "gradient_steps"),
        ({"n_steps": 0}, "n_steps"),
        ({"exploration_final_eps": 2}, "exploration_final_eps"),
        ({"loss": "hinge"}, "huber, mse"),
        ({"policy_kwargs": {"net_arc": [4]}}, "net_arch"),
        ({"policy_kwargs": {"net_arch": [0]}}, "net_arch"),
        ({"policy_kwargs": {"activation_fn": "relo"}}, "did you mean 'relu'"),
        ({"policy_kwargs": {"initializer": "zeros"}}, "stay the same"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        DQN(**({"policy": "MlpPolicy", "env": gym.make("rlgrid/FrozenLake-v1")} | settings))


def test_wrong_types_are_named():
    env = gym.make("rlgrid/FrozenLake-v1")
    for settings in ({"policy_kwargs": [64]}, {"policy_kwargs": {"net_arch": 64}}, {"buffer_size": "big"}):
        with pytest.raises(TypeError, match=r"policy_kwargs|net_arch|buffer_size"):
            DQN("MlpPolicy", env, **settings)
    with pytest.raises(TypeError, match="environment"):
        DQN("MlpPolicy")
    for settings, remedy in (
        ({"verbose": 1}, "log_interval"),
        ({"tensorboard_log": "runs"}, "TensorBoardCallback"),
        ({"device": "cuda"}, "CPU"),
        ({"replay_buffer_class": dict}, "prioritized_replay=True"),
        ({"bufer_size": 10}, "did you mean 'buffer_size'"),
    ):
        with pytest.raises(TypeError, match=remedy):
            DQN("MlpPolicy", env, **settings)


def test_what_asks_for_nothing_and_the_id_of_an_environment_are_taken():
    agent = DQN("MlpPolicy", "rlgrid/FrozenLake-v1", verbose=0, device="auto", optimize_memory_usage=True, **SMALL)
    assert agent.model is not None
    assert agent.tau == 0.01
    assert DQN("MlpPolicy", agent.env, target_update_interval=500, **SMALL).tau == 1.0


@pytest.mark.parametrize(
    "space", [spaces.MultiDiscrete([2, 3]), spaces.Box(0, 1, (2, 2, 4, 4)), spaces.Dict({"a": spaces.Discrete(2)})]
)
def test_other_observations_are_refused_with_what_would_do(space):
    env = Cycle()
    env.observation_space = space
    with pytest.raises(ValueError, match=r"Discrete observations or a Box of one to three.*FlattenObservation"):
        DQN("MlpPolicy", env)


def test_a_network_that_would_not_fit_in_memory_is_refused():
    env = Cycle()
    env.observation_space = spaces.Discrete(100_000_000)
    with pytest.raises(ValueError, match=r"\[100000000, 64, 64, 2\] has 6400\d+ parameters"):
        DQN("MlpPolicy", env)


def test_an_observation_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        DQN("MlpPolicy", Cycle(), seed=0).predict(np.array([np.nan, 1.0]))


def test_first_weights_are_never_all_zero():
    for activation in ("relu", "tanh"):
        learner = frozen_lake(policy_kwargs={"net_arch": [8, 8], "activation_fn": activation})._learner
        for inputs, units, first, biases, *_ in learner.network.program.tolist():
            assert np.unique(learner.network.theta[first:biases]).size == inputs * units
            assert (learner.network.theta[biases : biases + units] == 0).all()


# --- on disk --------------------------------------------------------------------------------------------------------


BY_EPISODES = {"train_freq": (2, "episode"), "gradient_steps": -1, "exploration": "softmax", "exploration_bonus": 0.5}


@pytest.mark.parametrize("settings", [{}, {"prioritized_replay": True, "n_steps": 3}, BY_EPISODES])
@pytest.mark.parametrize("at", [30, 333])
def test_a_saved_run_resumes_as_if_it_had_never_stopped(tmp_path, at, settings):
    settings = {"buffer_size": 250} | settings
    whole, first = frozen_lake(**settings), frozen_lake(**settings)
    whole.learn(600)
    first.begin(600)
    first.advance(at)
    first.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run.safetensors", gym.make("rlgrid/FrozenLake-v1"))
    assert_same_agent(first, again)
    np.testing.assert_array_equal(again.q_values, first.q_values)
    again.resume()
    assert_same_agent(whole, again)
    assert again.env.unwrapped.state == whole.env.unwrapped.state
    assert again.metrics() == whole.metrics()


def test_a_file_is_as_large_as_what_is_in_it(tmp_path):
    agent = frozen_lake(buffer_size=1_000_000, prioritized_replay=True).learn(100)
    agent.save(tmp_path / "run")
    weights = 4 * agent._learner.network.theta.nbytes  # with the target's and two moments
    assert (tmp_path / "run.safetensors").stat().st_size < weights + 100 * 40 + 20_000


def test_vectors_are_saved_too(tmp_path):
    agent = DQN("MlpPolicy", TimeLimit(Cycle(), 10), seed=0, learning_rate=5e-4, **SMALL).learn(200)
    agent.save(tmp_path / "run.safetensors")
    again = DQN.load(tmp_path / "run.safetensors", TimeLimit(Cycle(), 10))
    assert_same_agent(agent, again)
    assert again._settings() == agent._settings()
    assert again._learner.replay.counters[POSITION] == 200
    again.resume()
    again.learn(50, reset_num_timesteps=False)
    assert again.num_timesteps == 250


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    agent = frozen_lake().learn(100)
    agent.save(tmp_path / "run")
    env = gym.make("rlgrid/FrozenLake-v1")
    with pytest.raises(CheckpointError, match="buffer_size of 50"):
        DQN.load(tmp_path / "run", env, buffer_size=50)
    with pytest.raises(CheckpointError, match="theta is float32"):
        DQN.load(tmp_path / "run", env, policy_kwargs={"net_arch": [7]})
    agent._learner.replay.actions[3] = 9
    agent.save(tmp_path / "run")
    with pytest.raises(CheckpointError, match="actions of the replay memory"):
        DQN.load(tmp_path / "run", env)
    agent._learner.replay.actions[3] = 0
    agent._learner.network.theta[0] = np.inf
    agent.save(tmp_path / "run")
    with pytest.raises(CheckpointError, match="not finite"):
        DQN.load(tmp_path / "run", env)


# --- worlds ---------------------------------------------------------------------------------------------------------


def test_frozen_lake_is_solved_with_default_settings():
    from rlgrid import share_of_regret

    agent = DQN("MlpPolicy", gym.make("rlgrid/FrozenLake-v1"), seed=0).learn(25_000)
    assert share_of_regret(agent.model, agent.policy) <= 0.05


@pytest.mark.slow
def test_a_deep_sea_is_crossed_by_counting():
    """Random actions reach the treasure of a sea 20 deep in one episode of a million; 3,000 are enough here."""
    from rlgrid import share_of_regret

    settings = {"epsilon": 0.01, "exploration_bonus": 0.3, "loss": "huber"}  # of docs/dqn.md
    agent = DQN("MlpPolicy", gym.make("rlgrid/DeepSea-v0", size=20), seed=0, **settings).learn(60_000)
    assert share_of_regret(agent.model, agent.policy) <= 0.05


@pytest.mark.slow
def test_cartpole_is_solved():
    settings = {"n_steps": 8, "gamma": 0.995, "gradient_steps": 2, "tau": 0.005}  # of benchmarks/dqn_cartpole.py
    settings |= {"exploration_fraction": 0.1, "exploration_final_eps": 0.02, "loss": "huber"}
    agent = DQN("MlpPolicy", gym.make("CartPole-v1"), seed=0, **settings).learn(50_000)
    mean, _ = evaluate_policy(agent, gym.make("CartPole-v1"), n_eval_episodes=100, seed=1_000_000)
    assert mean >= 475


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_four_rooms_is_solved_with_default_settings(seed):
    from rlgrid import share_of_regret

    agent = DQN("MlpPolicy", gym.make("rlgrid/FourRooms-v0"), seed=seed).learn(100_000)
    assert share_of_regret(agent.model, agent.policy) <= 0.05
