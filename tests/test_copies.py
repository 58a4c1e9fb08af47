"""A DQN in several environments at once: the rule written out, every kind of vector bit for bit, resuming, refusals."""

import math
import pickle
import re
from functools import partial

import gymnasium as gym
import numba
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from test_dqn import SMALL, Cycle, Naive, Told, assert_same_agent

from rlgrid.agents import checkpoint, copies, memory
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.agents.dqn import DQN
from rlgrid.envs.gridworld import GridWorld
from rlgrid.kernels.dqn import UPDATES
from rlgrid.problem import written_out

MODES = list(AutoresetMode)


def sync(make, count=3, mode=AutoresetMode.NEXT_STEP):
    return SyncVectorEnv([make] * count, autoreset_mode=mode)


def lakes(kind, count=3, mode=AutoresetMode.NEXT_STEP):
    """The same world as our vector, as many of our environments, or as many of Gymnasium's."""
    if kind == "ours":
        return gym.make_vec("rlgrid/FrozenLake-v1", num_envs=count, autoreset_mode=mode)
    name = {"many": "rlgrid/FrozenLake-v1", "foreign": "FrozenLake-v1"}[kind]
    return sync(partial(gym.make, name), count, mode)


def in_lakes(kind, count=3, mode=AutoresetMode.NEXT_STEP, **settings):
    return DQN("MlpPolicy", lakes(kind, count, mode), **({"seed": 0, "gamma": 0.99} | SMALL | settings))


# --- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("copies", "mode", "settings"),
    [
        (3, "NextStep", {"n_steps": 3, "buffer_size": 62}),
        (3, "SameStep", {"n_steps": 3, "buffer_size": 62, "gradient_steps": -1, "train_freq": 2}),
        (3, "Disabled", {"tau": 1.0, "target_update_interval": 20, "train_freq": 4, "gradient_steps": 2}),
        (4, "NextStep", {"prioritized_replay": True, "prioritized_replay_eps": 0.01, "n_steps": 2}),
        (2, "NextStep", {"exploration": "softmax", "temperature": "lin_2_0.1"}),
        (1, "NextStep", {"n_steps": 2}),
        (3, "NextStep", {"exploration": "ez_greedy", "duration_exponent": 1.3, "max_duration": 7}),
        (3, "SameStep", {"exploration": "ez_greedy", "duration_exponent": 1.0, "max_duration": 9}),
    ],
)
@pytest.mark.parametrize("discrete", [False, True])
def test_a_run_is_the_rule_written_out(discrete, copies, mode, settings):
    """Single environments, stepped in turn. A copy whose episode has ended may lose the next step."""
    steps, mode = 180, AutoresetMode(mode)
    settings = SMALL | {"seed": 3, "exploration_final_eps": 0.2} | settings

    def make():
        return gym.make("rlgrid/FrozenLake-v1") if discrete else TimeLimit(Cycle(last=5), 4)

    agent = DQN("MlpPolicy", sync(make, copies, mode), **settings)
    assert agent.compiled == discrete
    naive, envs = Naive(agent), [make() for _ in range(copies)]
    agent.learn(steps)

    def encode(observation):
        return np.eye(16)[observation] if discrete else observation.astype(np.float32)

    def strength(t):
        if agent.directed and naive.seen == {0.0}:
            return 1.0  # nothing is known to be greedy for
        return 2 - 1.9 * t / steps if "temperature" in settings else max(1 + (0.2 - 1) * t / (0.5 * steps), 0.2)

    x = [encode(env.reset(seed=3 + e)[0]) for e, env in enumerate(envs)]
    lost = [False] * copies
    episode, lengths, passed = [0] * copies, [], 0
    for calls in range(1, steps // copies + 1):
        t = (calls - 1) * copies
        warm = t >= 50
        going = [e for e in range(copies) if not lost[e]]
        actions = {}
        for e in going:  # first all explore, then those that do not look at the values
            if naive.holds[e]:
                actions[e] = naive.holds[e].pop()
            elif agent.exploration != "softmax":
                explores = naive.draws.random() < (strength(t) if warm else 1.0)
                actions[e] = naive.explored(x[e], e) if explores else None
            else:
                actions[e] = None if warm else int(naive.draws.random() * naive.layout[-1, 1])
        for e in going:
            if actions[e] is None:
                q = naive.outputs(naive.theta, x[e])[-1]
                actions[e] = int(q.argmax())
                if agent.exploration == "softmax":
                    likely = np.exp(q / strength(t))
                    share = likely.cumsum() / likely.sum()
                    actions[e] = int(np.searchsorted(share, naive.draws.random(), side="right"))
        following = list(x)
        for e in range(copies):
            if lost[e]:
                following[e], lost[e] = encode(envs[e].reset()[0]), False
                continue
            observation, reward, terminated, truncated, _ = envs[e].step(actions[e] + (0 if discrete else 5))
            naive.seen.add(float(reward))
            ended = terminated or truncated
            naive.store((x[e], actions[e], reward, encode(observation), terminated, ended), e)
            following[e], episode[e], passed = encode(observation), episode[e] + 1, passed + 1
            if ended:
                lengths.append(episode[e])
                episode[e], lost[e] = 0, mode is AutoresetMode.NEXT_STEP
                following[e] = following[e] if lost[e] else encode(envs[e].reset()[0])
        x = following
        if calls % agent.train_freq == 0 and t + copies > 50:
            for _ in range(agent.train_freq * copies if agent.gradient_steps == -1 else agent.gradient_steps):
                naive.update(1e-3 * (1 - t / steps), t)
        if calls % max(agent.target_update_interval // copies, 1) == 0:
            naive.target += agent.tau * (naive.theta - naive.target)
    assert agent.num_timesteps == steps
    assert naive.n == agent._learner.counters[UPDATES] > 0
    assert agent.episode_lengths == lengths
    assert len(agent._arrays()["actions"]) == min(passed, agent.buffer_size // copies * copies)
    assert agent.metrics()["replay"] == len(naive.memory)
    stored = [naive.memory[place] for place in sorted(naive.memory)]
    np.testing.assert_array_equal(agent._arrays()["actions"], [row[1] for row in stored])
    np.testing.assert_allclose(agent._learner.network.theta, naive.theta, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(agent._learner.target, naive.target, rtol=2e-3, atol=2e-4)
    if agent.directed:
        np.testing.assert_allclose(agent._learner.novelty, naive.novelty, rtol=1e-12)


# --- every kind of vector -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        (AutoresetMode.NEXT_STEP, {"n_steps": 2, "buffer_size": 300}),
        (AutoresetMode.SAME_STEP, {"prioritized_replay": True, "buffer_size": 200}),
        (AutoresetMode.DISABLED, {"exploration_bonus": 0.5, "exploration": "softmax"}),
    ],
)
def test_every_kind_of_vector_gives_the_same_bits(mode, settings):
    kinds = [("ours", None), ("ours", False), ("many", None), ("many", False), ("foreign", None)]
    agents = [in_lakes(kind, 3, mode, compiled=compiled, **settings) for kind, compiled in kinds]
    assert [agent.compiled for agent in agents] == [True, False, True, False, False]
    for agent in agents:
        agent.begin(1_500)
        for steps in (1, 150, 899, 450):  # a step of all may be more than was asked for
            agent.advance(steps)
        assert agent.num_timesteps == 1_500  # 3, 150, 897 and 450 steps
        assert len(agent.episode_returns) > 50
        assert_same_agent(agents[0], agent)
        np.testing.assert_array_equal(agent._learner.step.idle, agents[0]._learner.step.idle)
    ours, looped, *others = [agent.vector for agent in agents]
    assert ours.get_state() == looped.get_state()
    states = [[env.unwrapped.np_random.bit_generator.state for env in vector.envs] for vector in others]
    assert states[0] == states[1] == states[2]
    assert [one["state"] for one in ours.get_state()["generators"]] == [one["state"] for one in states[0]]
    compiled, python = others[:2]
    assert [env.unwrapped.state for env in compiled.envs] == [env.unwrapped.state for env in python.envs]
    assert [env.get_wrapper_attr("_elapsed_steps") for env in compiled.envs] == [
        env.get_wrapper_attr("_elapsed_steps") for env in python.envs
    ]
    np.testing.assert_array_equal(compiled._autoreset_envs, python._autoreset_envs)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_classic_control_is_gymnasiums(mode):
    names = ("rlgrid/CartPole-v1", "CartPole-v1")
    record = [[RecordEpisodeStatistics(gym.make(name)) for _ in range(3)] for name in names]
    agents = []
    for envs in record:
        vector = SyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=mode)
        agents.append(DQN("MlpPolicy", vector, seed=1, n_steps=3, **SMALL).learn(1_200))
    assert [agent.compiled for agent in agents] == [True, False]
    assert_same_agent(*agents)
    assert len(agents[0].episode_lengths) > 10
    for ours, theirs in zip(*record, strict=True):
        assert list(ours.return_queue) == list(theirs.return_queue) != []
        assert list(ours.length_queue) == list(theirs.length_queue)
        np.testing.assert_array_equal(ours.unwrapped.state, theirs.unwrapped.state)
    ours, theirs = [sorted(n for env in envs for n in env.length_queue) for envs in record]
    assert ours == sorted(agents[0].episode_lengths)


def test_one_environment_of_a_vector_is_an_environment():
    """In the mode that begins episodes at once, bit for bit."""
    alone = DQN("MlpPolicy", gym.make("rlgrid/FrozenLake-v1"), seed=0, **SMALL).learn(600)
    for kind in ("ours", "many", "foreign"):
        assert_same_agent(alone, in_lakes(kind, 1, AutoresetMode.SAME_STEP).learn(600))
    assert (alone.n_envs, alone.vector) == (1, None)


def test_n_envs_makes_more_of_an_environment():
    expected = in_lakes("many", 4, AutoresetMode.SAME_STEP).learn(500)
    for env in ("rlgrid/FrozenLake-v1", gym.make("rlgrid/FrozenLake-v1"), gym.make("FrozenLake-v1")):
        agent = DQN("MlpPolicy", env, n_envs=4, seed=0, gamma=0.99, **SMALL)
        assert agent.settings["n_envs"] == agent.vector.num_envs == 4
        assert_same_agent(expected, agent.learn(500))
        assert isinstance(env, str) or agent.env is env is agent.vector.envs[0]
    without_spec = TimeLimit(Cycle(last=3), 5)
    agent = DQN("MlpPolicy", without_spec, n_envs=3, seed=0, **SMALL).learn(90)
    assert agent.episode_lengths == [3] * 30
    assert len({id(env.unwrapped) for env in agent.vector.envs}) == 3


def test_truncation_is_of_each_environment():
    """Limits of 4 and of 7 steps: the first target of each bootstraps from its own last observation."""
    vector = SyncVectorEnv(
        [lambda: TimeLimit(Cycle(), 4), lambda: TimeLimit(Cycle(last=7), 9)], autoreset_mode=AutoresetMode.SAME_STEP
    )
    agent = DQN("MlpPolicy", vector, seed=0, **SMALL).learn(40)
    replay, found = agent._learner.replay, agent._arrays()
    assert found["endings"].reshape(20, 2).T.tolist() == [[0, 0, 0, 1] * 5, ([0] * 6 + [2]) * 2 + [0] * 6]
    angles = 2 * math.pi * np.array([4, 7]) / 3
    for place, angle in ((3 * 2, angles[0]), (6 * 2 + 1, angles[1])):
        last = replay.finals[replay.final_of[place]]
        np.testing.assert_allclose(last, [math.cos(angle), math.sin(angle)], atol=1e-6)
    assert sorted(agent.episode_lengths) == [4] * 5 + [7] * 2


def test_masks_that_are_told_are_those_of_the_table():
    settings = SMALL | {"seed": 0, "gamma": 0.99, "use_masking": True}
    for mode in MODES:
        table = DQN("MlpPolicy", gym.make_vec("rlgrid/Taxi-v4", num_envs=3, autoreset_mode=mode), **settings)
        told = DQN("MlpPolicy", sync(lambda: Told(gym.make("Taxi-v4"), "info"), 3, mode), **settings)
        for agent in (table, told):
            agent.learn(900)
        np.testing.assert_array_equal(table._learner.network.theta, told._learner.network.theta)
        assert len(told.episode_lengths) >= 3
        assert told._arrays()["next_masks"].any(axis=1).all()


# --- on disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ours", "many"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_saved_run_resumes_as_if_it_had_never_stopped(tmp_path, kind, mode):
    settings = {"buffer_size": 250, "prioritized_replay": True, "n_steps": 3}
    whole, first = (in_lakes(kind, 5, mode, **settings) for _ in range(2))
    whole.learn(900)
    first.begin(900)
    at = 0
    while not (at > 300 and (mode is AutoresetMode.SAME_STEP or first._world.idle.any())):
        at += first.advance(5)
    assert (first._world.lengths > 0).any()
    first.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run", lakes(kind, 5, mode))
    assert_same_agent(first, again)
    again.resume()
    assert_same_agent(whole, again)
    for name in ("idle", "lengths", "returns"):
        np.testing.assert_array_equal(getattr(again._world, name), getattr(whole._world, name))


def test_a_run_of_n_envs_is_loaded_into_one_environment(tmp_path):
    env = partial(gym.make, "rlgrid/CartPole-v1")
    whole, first = (DQN("MlpPolicy", env(), n_envs=3, seed=0, **SMALL) for _ in range(2))
    whole.learn(600)
    first.begin(600)
    first.advance(300)
    first.save(tmp_path / "run")
    again = DQN.load(tmp_path / "run", env())
    assert again.n_envs == 3
    assert_same_agent(whole, again.resume())
    with pytest.raises(CheckpointError, match="n_envs=3 environments at once, and here are 2"):
        DQN.load(tmp_path / "run", env(), n_envs=2)


def altered(path, change):
    """The checkpoint at ``path``, with change(arrays, metadata) made to it."""
    arrays, metadata = checkpoint.read(path)
    change(arrays, metadata)
    kept = {name: value for name, value in metadata.items() if name not in ("format", "format_version")}
    checkpoint.write(path, arrays, kept)
    return path


def never_begun(_, metadata):
    """Every copy as if nobody had reset it, in an episode that is said to be under way."""
    saved = metadata["run"]["environment"]
    if isinstance(saved["copies"], dict):
        saved["copies"] |= {"generators": [], "seeds": [], "states": [-1] * 3, "elapsed": [0] * 3, "ended": [False] * 3}
    else:
        for one in saved["copies"]:
            one["world"]["state"], one["elapsed"] = None, [None]
    saved["lengths"], saved["idle"] = [0] * 3, [False] * 3


@pytest.mark.parametrize("kind", ["ours", "many"])
def test_altered_episodes_of_a_file_are_refused(tmp_path, kind):
    agent = in_lakes(kind, buffer_size=60)
    agent.begin(300)
    agent.advance(60)
    agent.save(tmp_path / "run.safetensors")
    with pytest.raises(CheckpointError, match="an episode that has not begun"):
        DQN.load(altered(tmp_path / "run.safetensors", never_begun), lakes(kind)).resume()
    agent.save(tmp_path / "run.safetensors")
    with pytest.raises(CheckpointError, match="the state 3 of one environment; here are n_envs=3"):
        DQN.load(altered(tmp_path / "run.safetensors", lambda _, m: m["run"].update(state=3)), lakes(kind))


def test_a_file_cannot_ask_for_environments_or_work_that_it_does_not_bear_out(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    env = gym.make("rlgrid/FrozenLake-v1")
    DQN("MlpPolicy", env, **SMALL).save(path)
    made = []
    monkeypatch.setattr(gym, "make", made.append)
    with pytest.raises(CheckpointError, match="n_envs=1 environments at once, and here are 1024"):
        DQN.load(altered(path, lambda _, m: m["settings"].update(n_envs=1024)), env)
    assert not made
    agent = in_lakes("ours", gradient_steps=-1, buffer_size=60)
    weights = agent._learner.network.theta.size
    agent.save(path)
    often = 10**10 // (16 * weights)  # within bounds, were it not for three environments
    with pytest.raises(CheckpointError, match=f"asks for {3 * often} gradient steps"):
        DQN.load(altered(path, lambda _, m: m["settings"].update(train_freq=often)), lakes("ours"))


def test_a_model_that_copies_share_is_hashed_once(monkeypatch):
    hashed = []
    monkeypatch.setattr(copies, "fingerprint", lambda model: hashed.append(model) or "")
    env = gym.make("rlgrid/FrozenLake-v1")
    vector = SyncVectorEnv([partial(GridWorld, model=env.unwrapped.model)] * 5)
    assert DQN("MlpPolicy", vector, **SMALL).compiled
    assert len(hashed) == 1


def test_an_agent_of_many_environments_can_be_pickled():
    agent = DQN("MlpPolicy", "rlgrid/FrozenLake-v1", n_envs=3, seed=0, **SMALL)
    again = pickle.loads(pickle.dumps(agent))
    assert_same_agent(agent.learn(90), again.learn(90))


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "FourRooms-v0"])
def test_models_out_of_pickles_need_no_kernels_of_their_own(name):
    grid = gym.make(f"rlgrid/{name}").unwrapped.model
    for model in (grid, written_out(grid)):
        kept = model.arrays
        again = pickle.loads(pickle.dumps(model)).arrays
        assert numba.typeof(again) == numba.typeof(kept)
        for one, other in zip(again, kept, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_vector_that_was_moved_begins_anew():
    agent = in_lakes("ours")
    agent.begin(100)
    agent.advance(30)
    agent.vector.reset(seed=7)
    last = memory._newest(agent._learner.replay)
    agent.advance(3)
    assert agent._learner.replay.endings[last].all()  # as if truncated
    assert (agent._world.lengths == 1).all()


# --- refusals -------------------------------------------------------------------------------------------------------


class Silent(VectorEnv):
    """A vector that does not say how episodes begin."""

    def __init__(self):
        inner = lakes("foreign")
        self.num_envs, self.metadata = 3, {}
        self.single_observation_space, self.single_action_space = (
            inner.single_observation_space,
            inner.single_action_space,
        )
        self.observation_space, self.action_space = inner.observation_space, inner.action_space


class Shifted(gym.RewardWrapper):
    """A wrapper that does not record its arguments, so that a spec cannot make another."""

    def __init__(self, env, by):
        super().__init__(env)
        self.by = by

    def reward(self, reward):
        return reward + self.by


def test_n_envs_copies_what_has_no_whole_spec():
    agent = DQN("MlpPolicy", Shifted(gym.make("rlgrid/FrozenLake-v1"), 0.5), n_envs=3, seed=0, **SMALL).learn(60)
    assert agent._learner.reward_range[1] == 0.5
    assert [env.by for env in agent.vector.envs] == [0.5] * 3
    held = Shifted(gym.make("rlgrid/FrozenLake-v1"), (i for i in ()))
    with pytest.raises(ValueError, match=r"n_envs=2 of .*cannot be copied.*Give a vector"):
        DQN("MlpPolicy", held, n_envs=2)


def test_what_several_environments_cannot_do_is_named():
    with pytest.raises(ValueError, match="train_freq counts episodes, which is for one environment"):
        in_lakes("many", train_freq=(1, "episode"))
    with pytest.raises(ValueError, match="n_envs=5 of a vector of 3"):
        in_lakes("ours", n_envs=5)
    with pytest.raises(ValueError, match="n_envs"):
        DQN("MlpPolicy", "rlgrid/FrozenLake-v1", n_envs=0)
    with pytest.raises(ValueError, match="autoreset_mode"):
        DQN("MlpPolicy", Silent())
    with pytest.raises(ValueError, match=re.escape("read from info['action_mask'], and these give none")):
        in_lakes("foreign", use_masking=True).learn(9)
    with pytest.raises(ValueError, match="no compiled path: its environments differ"):
        DQN(
            "MlpPolicy",
            SyncVectorEnv([partial(gym.make, "rlgrid/FrozenLake-v1", is_slippery=slippery) for slippery in (0, 1)]),
            compiled=True,
        )


def test_settings_of_a_file_ask_for_few_environments():
    with pytest.raises(ValueError, match="n_envs must be at most 1024"):
        DQN.check_file_settings(gym.make("rlgrid/FrozenLake-v1"), {"n_envs": 10_000})


def test_a_diagnosis_looks_into_the_memory_of_all():
    agent = in_lakes("ours", buffer_size=100).learn(600)
    found = agent.diagnosis()
    assert found.replay.sum() == agent.metrics()["replay"] <= 99
    assert len(found.td_errors) == found.replay.sum()
    assert np.isfinite(found.max_q_error)
    assert agent.state == agent.vector.states[0]


def test_many_runs_of_many_environments_are_what_each_gives():
    from rlgrid import learn_many

    settings = SMALL | {"n_envs": 3}
    runs = learn_many("dqn", "rlgrid/FrozenLake-v1", [4], 210, settings=settings, eval_points=2, n_jobs=1)
    alone = DQN("MlpPolicy", "rlgrid/FrozenLake-v1", seed=4, **settings).learn(210)
    assert runs[0].episode_returns.tolist() == alone.episode_returns
    assert runs[0].settings["n_envs"] == 3
