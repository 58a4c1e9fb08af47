"""The core of the agents: episodes and wrappers, runs that stop and go on, value iteration, the package."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit, TransformReward
from small_worlds import LAKE, masked_mdp, same, state_of, world

import rlgrid
from rlgrid import training
from rlgrid.agents import AGENTS, DQN, QLearning, ValueIteration, agent_class, evaluate_policy
from rlgrid.envs.gridworld import GridWorld
from rlgrid.mdp import MDP
from rlgrid.solvers import SolverWarning

# --- episodes, limits and wrappers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
def test_values_bootstrap_through_truncation(compiled: bool) -> None:
    # One state, reward 1 a step for ever, episodes cut off after every step: V = 1 / (1 - 0.5), not 1.
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [1.0], gamma=0.5)
    agent = QLearning(world(loop, limit=1), learning_rate=0.5, seed=0, compiled=compiled).learn(200)
    assert agent.values[0] == pytest.approx(2.0)
    assert agent.episode_lengths == [1] * 200


@pytest.mark.parametrize("compiled", [True, False])
def test_nothing_follows_termination(compiled: bool) -> None:
    # Terminated outcomes that lead to a state of great worth are worth their reward alone.
    mdp = MDP(2, 1, [0, 1, 2], [1, 1], [1.0, 1.0], [3.0, 100.0], [True, False], gamma=0.9, start=0)
    agent = QLearning(world(mdp, limit=5), learning_rate=0.5, initial_q=50.0, seed=0, compiled=compiled).learn(100)
    assert agent.q_table[0, 0] == pytest.approx(3.0)


def test_without_a_time_limit_episodes_end_by_termination_alone() -> None:
    agent = QLearning(world(limit=None), seed=0).learn(5000)
    other = QLearning(world(limit=None), seed=0, compiled=False).learn(5000)
    assert agent.compiled
    assert same(agent, other)


def test_episode_statistics_are_those_of_the_python_loop() -> None:
    agents = []
    for compiled in (True, False):
        env: Any = RecordEpisodeStatistics(gym.make("rlgrid/FourRooms-v0", max_episode_steps=40), buffer_length=7)
        agent = QLearning(env, seed=4, compiled=compiled)
        for piece in (1, 39, 40, 1000, 333):
            agent.advance(piece)
        agents.append(agent)
    one, two = agents
    assert same(one, two)
    assert list(one.env.return_queue) == list(two.env.return_queue)
    assert list(one.env.length_queue) == list(two.env.length_queue)
    assert len(one.env.time_queue) == 7
    for name in ("episode_count", "episode_returns", "episode_lengths"):
        assert getattr(one.env, name) == getattr(two.env, name)


def test_wrappers_that_may_change_something_take_the_python_loop() -> None:
    env = TransformReward(gym.make(LAKE), lambda reward: 10.0 * float(reward))
    agent = QLearning(env, seed=0)
    assert not agent.compiled
    assert max(agent.learn(3000).episode_returns) == 10.0
    with pytest.raises(ValueError, match="no compiled path: the wrapper TransformReward"):
        QLearning(env, compiled=True)
    shown = GridWorld(model=gym.make(LAKE).unwrapped.model, render_mode="human")  # type: ignore[attr-defined]
    assert not QLearning(shown).compiled  # every step is to be seen
    with pytest.raises(ValueError, match="FrozenLakeEnv is not a GridWorld"):
        QLearning(gym.make("FrozenLake-v1"), compiled=True)


def test_statistics_inside_the_time_limit_take_the_python_loop() -> None:
    env = TimeLimit(RecordEpisodeStatistics(world(limit=None)), 5)
    agent = QLearning(env, seed=0).learn(300)
    assert not agent.compiled
    assert len(agent.env.env.return_queue) < len(agent.episode_returns)  # what Gymnasium does


def test_a_subclass_with_its_own_step_takes_the_python_loop() -> None:
    class Windy(GridWorld):
        def step(self, action: int) -> Any:
            return super().step(0)

    class Painted(GridWorld):
        metadata = {**GridWorld.metadata, "author": "nobody"}  # noqa: RUF012

    model = gym.make(LAKE).unwrapped.model
    assert not QLearning(Windy(model=model)).compiled
    assert QLearning(Painted(model=model)).compiled


@pytest.mark.parametrize("compiled", [True, False])
def test_using_the_agents_own_environment_in_between(compiled: bool) -> None:
    agent = QLearning(world(), seed=0, compiled=compiled)
    agent.advance(105)
    agent.env.reset()
    agent.env.step(0)
    agent.advance(50)  # begins a fresh episode: nothing is learnt from a step that somebody else made
    assert agent.num_timesteps == 155
    assert agent.counts.sum() == 155
    evaluate_policy(agent, agent.env, 3)
    assert agent.state is None
    agent.advance(10)
    assert agent.env.unwrapped.state == agent.state


SMALL_NETWORK: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}, "batch_size": 8, "learning_starts": 20}


def network(env: Any) -> DQN:
    return DQN("MlpPolicy", env, seed=0, **SMALL_NETWORK)


class Astray(gym.Env[Any, Any]):
    """A foreign environment that gives an observation outside its space at the second reset or the fourth step."""

    def __init__(self, space: gym.Space[Any], good: Any, bad: Any, at: str) -> None:
        self.observation_space, self.action_space = space, gym.spaces.Discrete(2)
        self.good, self.bad, self.at, self.resets, self.steps = good, bad, at, 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.resets += 1
        return (self.bad if self.at == "reset" and self.resets == 2 else self.good), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        wrong = self.at == "step" and self.steps == 4
        return (self.bad if wrong else self.good), 1.0, self.steps % 5 == 0, False, {}


@pytest.mark.parametrize("at", ["reset", "step"])
@pytest.mark.parametrize("bad", [10**6, 3, 7, -1, 1.5, None, 2**70])
def test_an_observation_outside_the_space_is_named(bad: Any, at: str) -> None:
    for make in (QLearning, network):
        with pytest.raises(ValueError, match=r"gave the observation .*, which is not in Discrete\(3\)"):
            make(Astray(gym.spaces.Discrete(3), 1, bad, at)).learn(50)


@pytest.mark.parametrize("at", ["reset", "step"])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([0.0, np.nan], "not finite"),
        ([np.inf, 0.0], "not finite"),
        ([1e300, 0.0], "not finite"),
        ([0.0], "not in Box"),
        (None, "not in Box"),
        (["a", "b"], "not in Box"),
    ],
)
def test_a_vector_that_is_none_of_the_space_is_named(bad: Any, reason: str, at: str) -> None:
    space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    with pytest.raises(ValueError, match=rf"step [34567]: the environment.* observation .*{reason}"):
        network(Astray(space, np.zeros(2), np.array(bad), at)).learn(50)


def test_a_dqn_without_its_policy_says_how_it_is_made() -> None:
    with pytest.raises(TypeError, match=r'DQN\("MlpPolicy", env\)'):
        DQN(gym.make(LAKE))  # type: ignore[arg-type]


# --- wrappers that give states other numbers ----------------------------------------------------------------------


class Renumber(gym.ObservationWrapper[Any, Any, Any]):
    """State s is observed as ``number[s]``."""

    def __init__(self, env: Any, number: Any, count: int | None = None) -> None:
        super().__init__(env)
        self.number = np.asarray(number)
        self.observation_space = gym.spaces.Discrete(self.number.size if count is None else count)

    def observation(self, observation: Any) -> int:
        return int(self.number[observation])


def test_tables_are_as_wide_as_the_observations_that_a_wrapper_makes() -> None:
    rooms = gym.make("rlgrid/FourRooms-v0")
    count = rooms.observation_space.n  # type: ignore[attr-defined]
    env = Renumber(rooms, 2 * np.arange(count) + 1, 2 * count)
    agent = QLearning(env, initial_q=1.0, seed=0)
    assert agent.model is None
    assert agent.truth is None
    assert agent.gamma == rooms.unwrapped.model.gamma  # type: ignore[attr-defined]
    assert (agent.q_table == 1.0).all()  # no row is known to be final
    agent.learn(500)
    assert not agent.visits[::2].any()
    deep = network(env)
    deep.learn(100)
    assert deep.q_values.shape == (2 * count, 4)


def test_renumbered_states_keep_their_own_q_values() -> None:
    rooms = gym.make("rlgrid/FourRooms-v0")
    count = rooms.observation_space.n  # type: ignore[attr-defined]
    env = Renumber(rooms, np.arange(count)[::-1])
    assert (QLearning(env, initial_q=2.0).q_table == 2.0).all()
    deep = network(env)
    deep.learn(60)
    assert (deep.policy == deep.predict(np.arange(count))[0]).all()
    assert (deep.q_values != 0.0).all()


@pytest.mark.parametrize("make", [QLearning, network])
def test_renumbered_states_with_actions_of_their_own_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot act here: states of the model lack .* behind the wrapper Renumber"):
        make(Renumber(world(masked_mdp()), [3, 2, 1, 0]))

    class Opaque(gym.Wrapper[Any, Any, Any, Any]):
        """What a wrapper does to actions is its own affair; here it does nothing, and the run stops by itself."""

    with pytest.raises(ValueError, match=r"cannot act here: states of the model lack .* behind the wrapper Opaque"):
        make(Opaque(world(masked_mdp()))).learn(200)


def test_wrappers_of_rewards_leave_the_models_states_and_actions_known() -> None:
    env = TransformReward(world(masked_mdp()), lambda reward: 2.0 * float(reward))
    agent = QLearning(env, seed=0).learn(300)
    assert agent.model is env.unwrapped.model
    assert agent.truth is None  # its exact values are those of other rewards
    assert not agent.counts[~masked_mdp().available].any()  # type: ignore[index]
    assert QLearning(world(masked_mdp())).truth is not None


def test_a_run_over_renumbered_states_resumes_the_same(tmp_path: Path) -> None:
    def env() -> Any:
        return Renumber(world(), np.arange(16)[::-1])

    whole = QLearning(env(), seed=4).learn(1500)
    agent = QLearning(env(), seed=4)
    agent.begin(1500)
    agent.advance(700)
    agent.save(tmp_path / "run")
    assert same(QLearning.load(tmp_path / "run", env()).resume(), whole)


def test_exact_figures_of_an_evaluation_need_the_models_own_states(monkeypatch: pytest.MonkeyPatch) -> None:
    config = training.RunConfig("q_learning", LAKE, 100, seed=0, eval_episodes=2)
    assert training.evaluate(QLearning(world(), seed=0), config).share_of_regret is not None

    def wrapped(*_: Any, **__: Any) -> Any:
        return Renumber(world(), np.arange(16)[::-1])

    monkeypatch.setattr(training, "make_env", wrapped)
    found = training.evaluate(QLearning(wrapped(), seed=0), config)
    assert (found.value, found.optimal_value, found.share_of_regret) == (None, None, None)


# --- runs -------------------------------------------------------------------------------------------------------------


def test_how_a_run_is_cut_never_changes_it() -> None:
    whole = QLearning(world(), seed=9).learn(5000)
    pieces = QLearning(world(), seed=9)
    pieces.begin(5000)
    rng = np.random.default_rng(0)
    while pieces.num_timesteps < 5000:
        pieces.advance(min(int(rng.integers(1, 400)), 5000 - pieces.num_timesteps))
    assert same(whole, pieces)
    assert state_of(whole.env) == state_of(pieces.env)


def test_advance_returns_how_many_steps_it_made() -> None:
    agent = QLearning(world(), seed=0)
    assert [agent.advance(n) for n in (1, 10, 70_000)] == [1, 10, 70_000]
    assert agent.num_timesteps == 70_011
    assert agent.total_timesteps == QLearning.default_total_timesteps
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        agent.advance(0)


def test_learn_adds_to_a_run_or_begins_a_new_one() -> None:
    agent = QLearning(world(), seed=0)
    agent.learn(1000)
    agent.learn(500, reset_num_timesteps=False)
    assert (agent.num_timesteps, agent.total_timesteps) == (1500, 1500)
    before = agent.counts.sum()
    agent.learn(200)
    assert (agent.num_timesteps, agent.total_timesteps) == (200, 200)
    assert agent.counts.sum() == before + 200  # what was learnt stays


def test_callbacks_see_the_run_and_stop_it() -> None:
    seen: list[int] = []
    agent = QLearning(world(), seed=0)
    agent.chunk_size = 100
    agent.learn(450, callback=lambda a: seen.append(a.num_timesteps))
    assert seen == [100, 200, 300, 400, 450]
    agent.learn(450, callback=lambda a: a.num_timesteps < 200)
    assert agent.num_timesteps == 200
    assert agent.resume().num_timesteps == 450
    with pytest.raises(TypeError, match="callback must be a function"):
        agent.learn(10, callback=3)  # type: ignore[arg-type]


def test_a_callback_that_evaluates_does_not_change_the_run() -> None:
    plain = QLearning(world(), seed=3)
    watched = QLearning(world(), seed=3)
    plain.chunk_size = watched.chunk_size = 500
    other = world()
    plain.learn(3000)
    watched.learn(3000, callback=lambda a: evaluate_policy(a, other, 2, deterministic=False)[0] >= -1)
    assert same(plain, watched)


def test_log_lines_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    agent = QLearning(world(), seed=0)
    agent.chunk_size = 200
    agent.learn(2000, log_interval=20)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("step ") and "mean_return" in line and "steps/s" in line for line in lines)
    agent.learn(2000, progress_bar=True)
    assert "QLearning" in capsys.readouterr().out
    with pytest.raises(ValueError, match="log_interval must be at least 1"):
        agent.learn(10, log_interval=0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that a process can send itself alone")
@pytest.mark.parametrize("compiled", [True, False])
def test_ctrl_c_stops_between_steps_and_the_run_goes_on(compiled: bool) -> None:
    whole = QLearning(world(), seed=1, compiled=compiled).learn(4000)
    agent = QLearning(world(), seed=1, compiled=compiled)
    agent.chunk_size = 300

    def press(a: Any) -> None:
        if a.num_timesteps == 900:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        agent.learn(4000, callback=press)
    assert 900 <= agent.num_timesteps <= 1200
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same(agent.resume(), whole)


@pytest.mark.parametrize("rate", [0.1, "lin_0.3", "1/N"])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_stopped_saved_and_resumed_run_ends_the_same(tmp_path: Path, compiled: bool, rate: float | str) -> None:
    def env() -> Any:
        return RecordEpisodeStatistics(gym.make("rlgrid/FourRooms-v0", max_episode_steps=60))

    total = 3000
    whole = QLearning(env(), learning_rate=rate, seed=6, compiled=compiled).learn(total)
    rng = np.random.default_rng(1)
    for stop in [1, 60, total - 1, *rng.integers(2, total, size=4).tolist()]:
        agent = QLearning(env(), learning_rate=rate, seed=6, compiled=compiled)
        agent.chunk_size = stop
        agent.learn(total, callback=lambda _: False)
        assert agent.num_timesteps == stop
        agent.save(tmp_path / "run")
        loaded = QLearning.load(tmp_path / "run.safetensors", env(), compiled=compiled)
        assert loaded.num_timesteps == stop
        loaded.save(tmp_path / "again")  # a loaded run that did not go on yet loses nothing either
        resumed = QLearning.load(tmp_path / "again", env(), compiled=compiled).resume()
        assert same(resumed, whole)
        assert state_of(resumed.env) == state_of(whole.env)
        assert list(resumed.env.return_queue) == list(whole.env.return_queue)


def test_a_run_goes_on_along_the_other_path(tmp_path: Path) -> None:
    whole = QLearning(world(), seed=8).learn(4000)
    agent = QLearning(world(), seed=8)
    agent.begin(4000)
    agent.advance(1234)
    agent.save(tmp_path / "run")
    assert same(QLearning.load(tmp_path / "run", world(), compiled=False).resume(), whole)


def test_a_run_in_a_foreign_environment_resumes_with_a_fresh_episode(tmp_path: Path) -> None:
    agent = QLearning(gym.make("FrozenLake-v1"), seed=0)
    agent.begin(2000)
    agent.advance(777)
    agent.save(tmp_path / "run")
    ends = []
    for _ in range(2):
        loaded = QLearning.load(tmp_path / "run", gym.make("FrozenLake-v1")).resume()
        assert loaded.num_timesteps == 2000
        assert loaded.counts.sum() == 2000
        ends.append(loaded)
    assert same(*ends)


def test_a_new_run_of_a_loaded_agent_is_the_new_run_of_the_saved_one(tmp_path: Path) -> None:
    agent = QLearning(world(), seed=3).learn(1500)
    agent.save(tmp_path / "run")
    loaded = QLearning.load(tmp_path / "run", world())
    assert same(agent.learn(1500), loaded.learn(1500))
    assert state_of(agent.env) == state_of(loaded.env)


def test_a_run_whose_environment_was_used_by_others_resumes_as_it_would_have(tmp_path: Path) -> None:
    agent = QLearning(world(), seed=3)
    agent.begin(3000)
    agent.advance(1500)
    evaluate_policy(agent, agent.env, 2)
    agent.save(tmp_path / "run")
    loaded = QLearning.load(tmp_path / "run", world())
    assert same(agent.resume(), loaded.resume())


def test_an_agent_that_was_sent_to_another_process_goes_on_the_same() -> None:
    agent = QLearning(gym.make(LAKE), seed=2)
    agent.begin(2000)
    agent.advance(700)
    env, sent = cloudpickle.loads(cloudpickle.dumps((agent.env, agent)))
    assert sent.env is env
    assert same(agent.resume(), sent.resume())


def test_resume_needs_a_run() -> None:
    with pytest.raises(ValueError, match="no run to resume"):
        QLearning(world()).resume()


# --- value iteration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "FourRooms-v0"])
def test_value_iteration_plans_to_a_proven_optimum(name: str, method: str) -> None:
    env = gym.make(f"rlgrid/{name}")
    agent = ValueIteration(env, method=method, tolerance=1e-7).learn()
    best = rlgrid.solve(env.unwrapped.model, tolerance=1e-10).values  # type: ignore[attr-defined]
    assert agent.converged
    assert agent.error_bound <= 1e-7
    assert np.abs(agent.values - best).max() <= 1.1e-7
    assert (agent.lower <= best + 1e-10).all()
    assert (best <= agent.upper + 1e-10).all()
    assert rlgrid.share_of_regret(env.unwrapped.model, agent.policy) <= 1e-6  # type: ignore[attr-defined]
    assert agent.greedy()[np.arange(agent.policy.size), agent.policy].all()
    assert agent.advance(10) == 0  # nothing is left to do


def test_value_iteration_sweep_by_sweep() -> None:
    env = gym.make(LAKE)
    shown: list[float] = []
    agent = ValueIteration(env)
    agent.learn(25, callback=lambda a: shown.append(a.values[14]))
    assert agent.num_timesteps == len(shown) == 25
    v = np.zeros(16)
    P = env.unwrapped.P if hasattr(env.unwrapped, "P") else env.unwrapped.model.P  # type: ignore[attr-defined]
    for value in shown:  # V_0, V_1, V_2 ... from the definition
        v = np.array(
            [
                max(sum(p * (r + (0 if end else agent.gamma * v[to])) for p, to, r, end in P[s][a]) for a in P[s])
                for s in P
            ]
        )
        assert value == pytest.approx(v[14], abs=1e-12)
    assert agent.metrics()["error_bound"] == agent.error_bound
    assert agent.state is None
    assert agent.visits is None


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
def test_a_stopped_plan_goes_on_the_same(tmp_path: Path, method: str) -> None:
    whole = ValueIteration(gym.make(LAKE), method=method).learn()
    for stop in (1, 2, 51):
        agent = ValueIteration(gym.make(LAKE), method=method)
        agent.learn(callback=lambda a, n=stop: a.num_timesteps < n)
        agent.save(tmp_path / "plan")
        loaded = ValueIteration.load(tmp_path / "plan", gym.make(LAKE))
        assert loaded.num_timesteps == stop
        loaded.resume()
        assert loaded.num_timesteps == whole.num_timesteps
        assert (loaded.values == whole.values).all()
        assert (loaded.td_error == whole.td_error).all()


def test_value_iteration_plans_in_the_tables_of_toy_text() -> None:
    foreign = ValueIteration(gym.make("FrozenLake-v1"), gamma=0.99).learn()
    own = ValueIteration(gym.make(LAKE), gamma=0.99).learn()
    assert np.abs(foreign.values - own.values).max() <= 2e-6
    assert foreign.predict(0) == own.predict(0)
    assert foreign.predict(np.arange(16), deterministic=False)[0].shape == (16,)


def test_value_iteration_needs_a_model() -> None:
    with pytest.raises(ValueError, match="plans in a model, and CartPoleEnv has none"):
        ValueIteration(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="plans in the model, but the wrapper TransformReward"):
        ValueIteration(TransformReward(gym.make(LAKE), lambda r: r))
    with pytest.raises(ValueError, match="method must be one of"):
        ValueIteration(gym.make(LAKE), method="policy_iteration")
    with pytest.raises(ValueError, match="tolerance must lie in"):
        ValueIteration(gym.make(LAKE), tolerance=0.0)


ROUND = MDP(2, 1, [0, 2, 4], [0, 1, 0, 1], [0.3, 0.7, 0.6, 0.4], [1e12] * 4, [False] * 4, gamma=0.9)


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
@pytest.mark.parametrize("which", ["large rewards", "rooms", "undiscounted"])
def test_a_plan_ends_where_rounding_forbids_more(which: str, method: str, tmp_path: Path) -> None:
    env, settings = {
        "large rewards": (world(ROUND), {}),
        "rooms": (gym.make("rlgrid/FourRooms-v0"), {"tolerance": 1e-18}),
        "undiscounted": (gym.make(LAKE), {"tolerance": 1e-18, "gamma": 1.0}),
    }[which]
    agent = ValueIteration(env, method=method, **settings)  # type: ignore[arg-type]
    with pytest.warns(SolverWarning, match="rounding forbids more than an error of"):
        agent.learn()
    assert not agent.converged
    best = rlgrid.solve(agent.model, gamma=agent.gamma, tolerance=1e-6 if which != "large rewards" else 10.0)
    assert np.abs(agent.values - best.values).max() <= agent.error_bound + best.error_bound
    assert agent.advance(10) == 0
    agent.save(tmp_path / "plan")
    with pytest.warns(SolverWarning, match="rounding forbids more"):
        assert ValueIteration.load(tmp_path / "plan", env).resume().num_timesteps == agent.num_timesteps


def test_a_plan_that_rounding_does_not_stop_is_proven_without_a_warning() -> None:
    assert ValueIteration(world(ROUND), tolerance=10.0).learn().converged
    idle = MDP.from_arrays(np.ones((1, 2, 1)), np.zeros((1, 2)), gamma=0.9)
    assert ValueIteration(world(idle)).learn().converged  # nothing ever changes, and rightly so


def test_a_plan_whose_values_overflow_ends() -> None:
    endless = MDP(1, 1, [0, 1], [0], [1.0], [1e308], [False], gamma=0.99)
    with pytest.warns(SolverWarning, match="rounding forbids more than an error of inf|overflow"):
        agent = ValueIteration(world(endless)).learn()
    assert not agent.converged


# --- the package ------------------------------------------------------------------------------------------------------


def test_agents_are_found_by_name() -> None:
    assert list(AGENTS)[:4] == ["value_iteration", "q_learning", "dqn", "sarsa"]
    assert [agent_class(name).__name__ for name in AGENTS][:4] == ["ValueIteration", "QLearning", "DQN", "Sarsa"]
    assert {agent_class(name).__name__ for name in AGENTS} < set(rlgrid.agents.__all__)
    with pytest.raises(ValueError, match="there is no agent 'sarza'; there are value_iteration"):
        agent_class("sarza")
    with pytest.raises(AttributeError, match="no attribute 'Sarza'"):
        _ = rlgrid.agents.Sarza  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in ("value_iteration", "dqn", "recurrent_dqn")])
def test_agents_take_their_settings_by_name(name: str, tmp_path: Path) -> None:
    config = training.RunConfig(name, LAKE, 100, seed=0)
    known = training.hyperparameters_of(name)
    predicts = "prediction" in AGENTS[name]
    explores = name in ("r_max", "ucb_q_learning", "ucbvi", "psrl")
    own = ("policy",) if predicts else ("reward_range",) if explores else ("exploration_final_eps", "temperature")
    assert {"gamma", *own} < set(known)
    rated = not explores and name not in ("off_policy_monte_carlo", "prioritized_sweeping")
    assert ("learning_rate" in known) == rated
    agent = training.make_agent(replace(config, hyperparameters=known), world())
    assert {setting for setting in agent._settings() if setting != "seed"} == set(known)
    agent.learn(50)
    agent.save(tmp_path / "run")
    again = agent_class(name).load(tmp_path / "run", world())
    assert again._settings() == agent._settings()
    assert repr(again) == repr(agent)


def test_importing_the_agents_loads_no_compiler() -> None:
    program = "import sys, rlgrid.agents.q_learning, rlgrid.agents.value_iteration; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
