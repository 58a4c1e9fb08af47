"""The agents' core, tabular Q-learning and value iteration: against slow oracles bit for bit, and the optimum."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit, TransformReward

import rlgrid
from rlgrid.agents import AGENTS, CheckpointError, QLearning, ValueIteration, agent_class, checkpoint, evaluate_policy
from rlgrid.agents.q_learning import parse_learning_rate
from rlgrid.agents.world import put_back, sampling_arrays, stream_of
from rlgrid.envs.gridworld import GridWorld
from rlgrid.kernels.model import sample
from rlgrid.kernels.padded import draw
from rlgrid.kernels.pcg64 import uniform
from rlgrid.mdp import MDP

LAKE = "rlgrid/FrozenLake-v1"


def masked_mdp(start: Any = 0) -> MDP:
    """Four states in a ring, three actions of which each state has one or two; state 3 is final."""
    P = np.zeros((4, 3, 4))
    for s in range(3):
        P[s, 0, (s + 1) % 4] = 0.7
        P[s, 0, s] = 0.3
        P[s, 1, 0] = 1.0
        P[s, 2, s] = 1.0
    R = np.zeros((4, 3))
    R[:3] = [[-1.0, -0.5, -0.25]] * 3
    available = np.ones((4, 3), bool)
    available[0, 1] = available[1, 2] = available[2, 1] = available[2, 2] = False
    return MDP.from_arrays(P, R, gamma=0.9, start=start, terminal=[False, False, False, True], available=available)


def world(model: Any = None, limit: int | None = 100) -> Any:
    env: Any = gym.make(LAKE).unwrapped if model is None else GridWorld(model=model)
    return env if limit is None else TimeLimit(env, limit)


class Offset(gym.Env[Any, Any]):
    """A foreign corridor of four cells whose observations count from 5 and whose actions from -1."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Discrete(4, start=5)
        self.action_space = gym.spaces.Discrete(2, start=-1)
        self.cell = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = 0
        return np.int64(5), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in (-1, 0)
        self.cell = max(0, self.cell - 1) if action == -1 else self.cell + 1
        return np.int64(5 + self.cell), -1.0, self.cell == 3, False, {}


# --- the random numbers and the outcomes that kernels use -------------------------------------------------------------


def test_stream_gives_numpys_numbers() -> None:
    generator, reference = np.random.default_rng(7), np.random.default_rng(7)
    stream = stream_of(generator)
    assert [uniform(stream) for _ in range(500)] == [reference.random() for _ in range(500)]
    put_back(generator, stream)
    assert generator.bit_generator.state == reference.bit_generator.state


def test_compiled_stream_gives_numpys_numbers() -> None:
    import numba

    @numba.njit
    def fill(stream: Any, out: Any) -> None:
        for i in range(out.size):
            out[i] = uniform(stream)

    for seed in range(20):
        generator = np.random.default_rng(seed)
        stream, out = stream_of(generator), np.empty(1000)
        fill(stream, out)
        assert (out == generator.random(1000)).all()
        assert (stream == stream_of(generator)).all()


def test_put_back_keeps_what_the_generator_has_buffered() -> None:
    generator = np.random.default_rng(1)
    generator.integers(0, 10, dtype=np.uint32)  # leaves half of a 64-bit draw in the buffer
    before = generator.bit_generator.state
    assert before["has_uint32"] == 1
    put_back(generator, stream_of(generator))
    assert generator.bit_generator.state == before


def test_padded_outcomes_are_the_models() -> None:
    rng = np.random.default_rng(0)
    P = rng.random((6, 3, 6)) ** 4
    P[P < 0.05] = 0.0
    P[:, :, 0] += 0.01
    P /= P.sum(axis=2, keepdims=True)
    mdp = MDP.from_arrays(P, rng.normal(size=(6, 3, 6)), gamma=0.9)
    for model in (mdp, masked_mdp(), gym.make(LAKE).unwrapped.model, gym.make("rlgrid/FourRooms-v0").unwrapped.model):
        arrays = sampling_arrays(model)
        assert type(arrays).__name__ == "PaddedOutcomes"
        allowed = model.available
        for s in range(model.num_states):
            for a in range(model.num_actions):
                if allowed is not None and not allowed[s, a]:
                    continue
                for u in (0.0, 0.1, 1 / 3, 0.5, 2 / 3, 0.9, 1 - 2**-53):
                    assert draw(arrays, s, a, u) == sample(model.arrays, s, a, u)[:3]


def test_padded_outcomes_where_rounding_leaves_no_outcome() -> None:
    short = MDP(2, 1, [0, 2, 3], [0, 1, 1], [0.25, 0.75 - 5e-10, 1.0], [1.0, 2.0, 0.0], [False, True, True], gamma=0.9)
    last = 1 - 2**-53
    assert sample(short.arrays, 0, 0, last)[:3] == (0, 1.0, False)  # the first of all
    assert draw(sampling_arrays(short), 0, 0, last) == (0, 1.0, False)


def test_worlds_with_many_outcomes_are_sampled_from_their_own_arrays() -> None:
    wide = MDP.from_arrays(np.full((30, 2, 30), 1 / 30), np.zeros(30), gamma=0.9)
    assert sampling_arrays(wide) is wide.arrays
    compiled = QLearning(world(wide), seed=1).learn(2000)
    python = QLearning(world(wide), seed=1, compiled=False).learn(2000)
    assert (compiled.counts == python.counts).all()


def test_rows_of_outcomes_are_written_when_they_are_first_drawn_from() -> None:
    agent = QLearning(world(), seed=1).learn(50)
    assert (agent._sampling.known.reshape(16, 4) == (agent.counts > 0)).all()


def test_grids_too_large_for_rows_are_stepped_by_their_own_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    written_out = QLearning(gym.make("rlgrid/FourRooms-v0"), seed=1).learn(5000)
    monkeypatch.setattr("rlgrid.agents.world.EXPLICIT_STATES", 10)
    rows = QLearning(gym.make("rlgrid/FourRooms-v0"), seed=1).learn(5000)
    assert type(rows._sampling.source).__name__ == "GridArrays"
    assert same(written_out, rows)
    monkeypatch.setattr("rlgrid.agents.world.MOST_PAIRS", 10)
    stencil = QLearning(gym.make("rlgrid/FourRooms-v0"), seed=1).learn(5000)
    assert type(stencil._sampling).__name__ == "GridArrays"
    assert same(written_out, stencil)


# --- Q-learning against a slow oracle ---------------------------------------------------------------------------------


def naive_q_learning(
    mdp: MDP, steps: int, seed: int, limit: int, rate: Callable[[int, int], float], initial_q: float = 0.0
) -> tuple[Any, list[float], list[int]]:
    """Q-learning written from the definition: nothing shared with the kernels but the order of the random numbers."""
    world_rng, rng = gym.utils.seeding.np_random(seed)[0], np.random.default_rng(seed)
    outcomes = mdp.P
    allowed = [[a for a in range(mdp.num_actions) if outcomes[s][a]] for s in range(mdp.num_states)]
    final = mdp.absorbing
    q = {(s, a): 0.0 if final[s] else initial_q for s in range(mdp.num_states) for a in allowed[s]}
    count = dict.fromkeys(q, 0)
    returns, lengths = [], []

    def start() -> int:
        u = world_rng.random()
        return int(np.argmax(np.cumsum(mdp.start) > u))

    s, total, length = start(), 0.0, 0
    for t in range(steps):
        epsilon = 0.1 if t >= steps / 2 else 1.0 + (0.1 - 1.0) * (t / (0.5 * steps))
        u = rng.random()
        if u < epsilon:
            a = allowed[s][int(u / epsilon * len(allowed[s]))]
        else:
            best = max(q[s, b] for b in allowed[s])
            ties = [b for b in allowed[s] if q[s, b] == best]
            a = ties[int((u - epsilon) / (1.0 - epsilon) * len(ties))]
        run = outcomes[s][a]
        u = world_rng.random()
        _, to, reward, terminated = run[int(np.argmax(np.cumsum([p for p, *_ in run]) > u))]
        count[s, a] += 1
        follows = 0.0 if terminated else 0.9 * max(q[to, b] for b in allowed[to])
        q[s, a] += rate(t, count[s, a]) * (reward + follows - q[s, a])
        total, length, s = total + reward, length + 1, to
        if terminated or length >= limit:
            returns.append(total)
            lengths.append(length)
            s, total, length = start(), 0.0, 0
    table = np.full((mdp.num_states, mdp.num_actions), -np.inf)
    for (state, action), value in q.items():
        table[state, action] = value
    return table, returns, lengths


STEPS = 3000


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (0.25, lambda t, n: 0.25),
        ("lin_0.5", lambda t, n: 0.5 * (1.0 - t / STEPS)),
        ("1/N", lambda t, n: 1.0 / n),
        ("0.9/N^0.7", lambda t, n: 0.9 / n**0.7),
    ],
)
@pytest.mark.parametrize("which", ["lake", "masked", "starts", "rooms"])
def test_q_learning_equals_the_oracle(
    which: str, given: float | str, rate: Callable[[int, int], float], compiled: bool
) -> None:
    model = {
        "lake": gym.make(LAKE).unwrapped.model.to_mdp,
        "masked": masked_mdp,
        "starts": lambda: masked_mdp([0.2, 0.5, 0.3, 0.0]),
        "rooms": gym.make("rlgrid/FourRooms-v0").unwrapped.model.to_mdp,
    }[which]()
    agent = QLearning(
        world(model, limit=17),
        learning_rate=given,
        gamma=0.9,
        exploration_final_eps=0.1,
        initial_q=0.125,
        seed=11,
        compiled=compiled,
    )
    assert agent.compiled == compiled
    agent.learn(STEPS)
    table, returns, lengths = naive_q_learning(model, STEPS, 11, 17, rate, initial_q=0.125)
    assert (agent.q_table == table).all()
    assert agent.episode_returns == returns
    assert agent.episode_lengths == lengths


def state_of(env: Any) -> tuple[Any, ...]:
    """Everything that a later step of an environment depends on."""
    limits, layer = [], env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, TimeLimit):
            limits.append(layer._elapsed_steps)
        layer = layer.env
    return layer.state, layer.np_random.bit_generator.state, limits


def same(a: QLearning, b: QLearning) -> bool:
    return (
        (a.q_table == b.q_table).all()
        and (a.counts == b.counts).all()
        and (a.td_error == b.td_error).all()
        and a.episode_returns == b.episode_returns
        and a.episode_lengths == b.episode_lengths
        and a._generator.bit_generator.state == b._generator.bit_generator.state
        and a.num_timesteps == b.num_timesteps
    )


@pytest.mark.parametrize("name", ["FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1"])
def test_compiled_python_and_gymnasiums_own_environment_agree(name: str) -> None:
    limit = {"FrozenLake-v1": 100, "FrozenLake8x8-v1": 200, "CliffWalking-v1": 150}[name]

    def agent(env: Any, compiled: bool | None) -> QLearning:
        return QLearning(TimeLimit(env.unwrapped, limit), gamma=0.99, seed=5, compiled=compiled).learn(8000)

    compiled, python = (agent(gym.make(f"rlgrid/{name}"), given) for given in (None, False))
    foreign = agent(gym.make(name), None)
    assert (compiled.compiled, python.compiled, foreign.compiled) == (True, False, False)
    assert same(compiled, python)
    assert state_of(compiled.env) == state_of(python.env)
    assert same(compiled, foreign)
    assert compiled.env.np_random.bit_generator.state == foreign.env.np_random.bit_generator.state


def test_a_taxi_learns_in_the_python_loop() -> None:
    agent = QLearning(gym.make("Taxi-v4"), learning_rate=0.5, seed=0)
    assert agent.model is None
    agent.learn(3000)
    assert agent.visits.sum() == 3000
    assert agent.q_table.min() < -9


def test_spaces_that_do_not_start_at_0() -> None:
    agent = QLearning(Offset(), learning_rate=0.5, gamma=1.0, seed=0).learn(2000)
    assert agent.q_table.shape == (4, 2)
    assert [agent.predict(observation)[0] for observation in (5, 6, 7)] == [0, 0, 0]
    assert agent.values[0] == pytest.approx(-3.0, abs=1e-6)
    assert agent.state in range(4)
    with pytest.raises(ValueError, match="observation 2 is not"):
        agent.predict(2)


def test_a_generator_that_kernels_do_not_know_takes_the_python_loop() -> None:
    def run(compiled: bool) -> QLearning:
        agent = QLearning(world(), seed=2, compiled=compiled)
        agent.advance(100)
        agent.env.unwrapped.np_random = np.random.Generator(np.random.MT19937(3))
        agent.advance(500)
        return agent

    assert same(run(True), run(False))


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


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "agent.safetensors"
    QLearning(world(), seed=0).learn(500).save(path)
    return path


def test_a_checkpoint_holds_settings_versions_and_world(saved: Path) -> None:
    arrays, metadata = checkpoint.read(saved)
    assert set(arrays) >= {"agent.q", "agent.counts", "agent.td_error", "episodes.returns", "episodes.lengths"}
    assert metadata["agent"] == "QLearning"
    assert metadata["settings"]["learning_rate"] == 0.1
    assert metadata["versions"]["rlgrid"] == rlgrid.__version__
    assert metadata["world"]["fingerprint"] == checkpoint.fingerprint(gym.make(LAKE).unwrapped.model)


def test_checkpoint_of_another_agent_or_world(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="agent of class 'QLearning': load it with that class, not ValueIter"):
        ValueIteration.load(saved, world())
    with pytest.raises(CheckpointError, match=r"observation_space Discrete\(16\); this one is Discrete\(64\)"):
        QLearning.load(saved, gym.make("rlgrid/FrozenLake8x8-v1"))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        QLearning.load(saved.with_name("missing.safetensors"), world())


def test_a_world_of_the_same_size_takes_what_was_learnt_over(saved: Path) -> None:
    slippery = gym.make(LAKE).unwrapped.model
    with pytest.warns(UserWarning, match="this world differs"):
        agent = QLearning.load(saved, world(slippery.with_slip_each_side(0.0)))
    assert (agent.q_table == QLearning.load(saved, world()).q_table).all()
    agent.learn(100, reset_num_timesteps=False)


def test_settings_can_be_changed_on_loading(saved: Path) -> None:
    agent = QLearning.load(saved, world(), learning_rate=0.7)
    assert agent.learning_rate == 0.7
    with pytest.raises(CheckpointError, match="no_such_setting"):
        QLearning.load(saved, world(), no_such_setting=1)


def test_torn_files_are_refused(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    torn = tmp_path / "torn.safetensors"
    for length in [0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        torn.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="torn"):
            QLearning.load(torn, world())


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    save_file({"w": np.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of rlgrid"):
        QLearning.load(path, world())
    for text, reason in [("{", "not JSON"), ("[]", "not a checkpoint"), ('{"format": "other"}', "not a checkpoint")]:
        save_file({"w": np.zeros(3)}, path, {"rlgrid": text})
        with pytest.raises(CheckpointError, match=reason):
            QLearning.load(path, world())
    newer = {"format": checkpoint.FORMAT, "format_version": 99}
    save_file({"w": np.zeros(3)}, path, {"rlgrid": json.dumps(newer)})
    with pytest.raises(CheckpointError, match="format version 99"):
        QLearning.load(path, world())


def test_altered_files_load_or_raise_the_checkpoint_error(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    header = struct.unpack("<Q", content[:8])[0] + 8
    rng = np.random.default_rng(0)
    path, env, refused = tmp_path / "altered.safetensors", world(), 0
    for _ in range(400):
        altered = bytearray(content)
        for place in rng.integers(0, header if rng.random() < 0.8 else len(content), size=rng.integers(1, 4)):
            altered[place] = rng.integers(32, 127)
        path.write_bytes(altered)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "this world differs")  # where the fingerprint was hit
            try:
                QLearning.load(path, env).advance(5)
            except CheckpointError:
                refused += 1
    assert refused > 100


def test_wrong_tensors_are_named(saved: Path) -> None:
    arrays, metadata = checkpoint.read(saved)
    for name, wrong, reason in [
        ("agent.q", np.zeros((16, 3)), r"q is float64 \(16, 3\) in the file, and float64 \(16, 4\)"),
        ("agent.q", np.full((16, 4), np.nan), "not numbers"),
        ("agent.counts", np.zeros((16, 4)), "counts is float64"),
        ("episodes.lengths", np.zeros(2, np.int64), "one list each"),
    ]:
        checkpoint.write(saved, arrays | {name: wrong}, metadata)
        with pytest.raises(CheckpointError, match=reason):
            QLearning.load(saved, world())
    endless = metadata | {"run": metadata["run"] | {"num_timesteps": 1e300}}
    checkpoint.write(saved, arrays, endless)
    with pytest.raises(CheckpointError, match="num_timesteps must be at most"):
        QLearning.load(saved, world())
    checkpoint.write(saved, {name: a for name, a in arrays.items() if name != "agent.q"}, metadata)
    with pytest.raises(CheckpointError, match="KeyError: 'q'"):
        QLearning.load(saved, world())


def test_a_failed_save_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        QLearning(world(), seed=1).learn(100).save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


# --- what is learnt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "steps"),
    [
        ("FrozenLake-v1", {"learning_rate": "lin_0.5", "exploration_final_eps": 0.3}, 2_000_000),
        ("CliffWalking-v1", {"learning_rate": 0.5, "exploration_final_eps": 0.1}, 100_000),
    ],
)
def test_q_learning_finds_the_optimal_policy(name: str, settings: dict[str, Any], steps: int) -> None:
    env = gym.make(f"rlgrid/{name}")
    model = env.unwrapped.model  # type: ignore[attr-defined]
    for seed in range(3):
        agent = QLearning(env, seed=seed, **settings).learn(steps)
        assert rlgrid.share_of_regret(model, agent.policy) <= 0.01
        seen = agent.visits > steps / 1000
        best = rlgrid.solve(model).values
        assert np.abs(agent.values - best)[seen].max() <= 0.05 * np.abs(best).max()


def test_the_cliff_costs_what_the_book_says() -> None:
    # Sutton & Barto, 2nd ed., Example 6.6 and Figure 6.4: about -50 an episode at the end, over 1,000 runs.
    env = gym.make("rlgrid/CliffWalking-v1").unwrapped
    settings = {"learning_rate": 0.5, "gamma": 1.0, "exploration_initial_eps": 0.1, "exploration_final_eps": 0.1}
    means = []
    for seed in range(1000):
        agent = QLearning(env, seed=seed, **settings)  # type: ignore[arg-type]
        while len(agent.episode_returns) < 500:
            agent.advance(2000)
        means.append(np.mean(agent.episode_returns[400:500]))
    assert np.mean(means) == pytest.approx(-50.0, rel=0.1)


def test_ties_are_broken_at_random() -> None:
    flat = MDP.from_arrays(np.ones((1, 4, 1)), [0.0], gamma=0.9)
    agent = QLearning(world(flat), exploration_initial_eps=0.0, exploration_final_eps=0.0, seed=0).learn(40_000)
    # All q stay 0, so each greedy choice is a fair draw of four: 10,000 with a standard deviation of 87.
    assert np.abs(agent.counts[0] - 10_000).max() < 5 * 87


def test_exploration_is_uniform_over_available_actions() -> None:
    agent = QLearning(world(masked_mdp()), exploration_final_eps=1.0, seed=0).learn(30_000)
    assert (agent.counts[~masked_mdp().available] == 0).all()  # type: ignore[index]
    share = agent.counts[0, 0] / agent.counts[0].sum()
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(agent.counts[0].sum())
    assert (agent.q_table[~masked_mdp().available] == -np.inf).all()  # type: ignore[index]


def test_epsilon_falls_as_the_schedule_says() -> None:
    agent = QLearning(world(), exploration_fraction=0.4, exploration_initial_eps=0.9, exploration_final_eps=0.1, seed=0)
    agent.begin(1000)
    expected = {0: 0.9, 100: 0.7, 200: 0.5, 400: 0.1, 900: 0.1, 1500: 0.1}
    for t, epsilon in expected.items():
        if t:
            agent.advance(t - agent.num_timesteps)
        assert agent.epsilon == pytest.approx(epsilon)
        assert agent.metrics()["epsilon"] == agent.epsilon


def test_tables_greedy_actions_and_visits() -> None:
    agent = QLearning(world(), seed=0)
    assert not agent.greedy().any()  # nothing was visited
    assert agent.q_values.shape == (16, 4)
    agent.learn(20_000)
    greedy = agent.greedy()
    assert (greedy.any(axis=1) == (agent.visits > 0)).all()
    rows = np.flatnonzero(agent.visits > 0)
    assert greedy[rows, agent.policy[rows]].all()
    assert (agent.values == agent.q_values.max(axis=1)).all()
    before = agent.q_values
    agent.advance(5000)
    assert (before != agent.q_values).any()  # a copy: it does not change under one's hands


def test_optimistic_values_leave_final_states_at_0() -> None:
    agent = QLearning(world(), initial_q=2.0, seed=0)
    assert set(agent.q_table[[5, 7, 11, 12, 15]].ravel()) == {0.0}
    assert agent.q_table[0, 0] == 2.0


def test_predict_deterministic_and_stochastic() -> None:
    agent = QLearning(world(), exploration_final_eps=0.4, seed=0).learn(20_000)
    assert agent.predict(0) == (int(agent.q_table[0].argmax()), None)
    assert agent.predict(np.int64(0), state="kept")[1] == "kept"
    batch, _ = agent.predict(np.arange(16))
    assert (batch == agent.policy).all()
    before = agent._generator.bit_generator.state
    actions = [agent.predict(0, deterministic=False)[0] for _ in range(4000)]
    share = np.bincount(actions, minlength=4) / 4000
    greedy = agent.q_table[0].argmax()
    assert abs(share[greedy] - 0.7) < 5 * np.sqrt(0.7 * 0.3 / 4000)  # 1 - 0.4 + 0.4 / 4
    assert agent._generator.bit_generator.state == before  # learning is not disturbed
    with pytest.raises(ValueError, match="observation 16 is not one of Discrete"):
        agent.predict(16)


def test_evaluate_policy_counts_whole_episodes() -> None:
    class Always:
        def predict(self, observation: Any, **_: Any) -> tuple[int, None]:
            return 0, None

    cliff = gym.make("rlgrid/CliffWalking-v1", max_episode_steps=12)
    assert evaluate_policy(Always(), cliff, 3) == (-12.0, 0.0)
    agent = QLearning(world(), seed=0).learn(30_000)
    mean, std = evaluate_policy(agent, world(), 200, seed=1)
    assert (mean, std) == evaluate_policy(agent, world(), 200, seed=1)
    assert std == pytest.approx(np.sqrt(mean * (1 - mean)))  # returns are 0 or 1
    assert rlgrid.evaluate_policy is evaluate_policy
    with pytest.raises(TypeError, match="agent must have a method predict"):
        evaluate_policy(object(), cliff)
    with pytest.raises(ValueError, match="n_eval_episodes must be at least 1"):
        evaluate_policy(agent, cliff, 0)


# --- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        ({"learning_rate": 0.0}, ValueError, r"learning_rate must lie in \(0, 1\]"),
        ({"learning_rate": 1.5}, ValueError, "learning_rate must lie in"),
        ({"learning_rate": "fast"}, ValueError, "'fast' is not understood: write a number"),
        ({"learning_rate": "2/N"}, ValueError, "learning_rate must lie in"),
        ({"learning_rate": "1/N^3"}, ValueError, "the power of N in learning_rate must lie in"),
        ({"learning_rate": lambda progress: 0.1}, TypeError, "cannot be a function"),
        ({"learning_rate": None}, TypeError, "learning_rate must be a number"),
        ({"gamma": 1.1}, ValueError, r"gamma must lie in \[0, 1\]"),
        ({"gamma": float("nan")}, ValueError, "gamma must lie in"),
        ({"exploration_fraction": -0.1}, ValueError, "exploration_fraction must lie in"),
        ({"exploration_initial_eps": 2}, ValueError, "exploration_initial_eps must lie in"),
        ({"exploration_final_eps": "0.1"}, TypeError, "exploration_final_eps must be a number"),
        ({"initial_q": float("inf")}, ValueError, "initial_q must lie in"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": 1.5}, TypeError, "seed must be an integer"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        QLearning(world(), **arguments)


def test_environments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TypeError, match="env must be a Gymnasium environment"):
        QLearning("FrozenLake-v1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs Discrete observations, not Box"):
        QLearning(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="needs a Discrete action space, not Box"):
        QLearning(gym.make("MountainCarContinuous-v0"))
    with pytest.raises(TypeError, match=r"QLearning.learn needs total_timesteps"):
        QLearning(world()).learn()
    with pytest.raises(ValueError, match="total_timesteps must be at least 1"):
        QLearning(world()).learn(0)


def test_environments_that_break_their_word_are_named() -> None:
    class Broken(Offset):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            observation, reward, *rest = super().step(action)
            return (np.int64(99), reward, *rest) if self.cell == 2 else (observation, self.reward, *rest)  # type: ignore[return-value]

        reward = -1.0

    env = Broken()
    with pytest.raises(ValueError, match=r"gave the observation .*99.*, which is not in Discrete\(4, start=5\)"):
        QLearning(env, seed=0).learn(1000)
    env.reward = float("nan")
    with pytest.raises(ValueError, match="gave the reward nan after 0 steps: not finite"):
        QLearning(env, seed=0).learn(1000)


def test_learning_rates_that_are_understood() -> None:
    assert parse_learning_rate(0.5) == ("constant", 0.5, 1.0)
    assert parse_learning_rate("lin_0.5") == parse_learning_rate("linear_5e-1")
    assert parse_learning_rate("1/N") == ("count", 1.0, 1.0)
    assert parse_learning_rate("0.5/N^0.6") == ("count", 0.5, 0.6)


def test_a_seed_is_drawn_where_none_is_given() -> None:
    one, two = QLearning(world()), QLearning(world())
    assert one.seed != two.seed
    again = QLearning(world(), seed=one.seed)
    assert same(one.learn(1000), again.learn(1000))


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


# --- the package ------------------------------------------------------------------------------------------------------


def test_agents_are_found_by_name() -> None:
    assert list(AGENTS) == ["value_iteration", "q_learning", "dqn"]
    assert [agent_class(name).__name__ for name in AGENTS] == ["ValueIteration", "QLearning", "DQN"]
    with pytest.raises(ValueError, match="there is no agent 'sarsa'; there are value_iteration"):
        agent_class("sarsa")
    with pytest.raises(AttributeError, match="no attribute 'Sarsa'"):
        _ = rlgrid.agents.Sarsa  # type: ignore[attr-defined]


def test_importing_the_agents_loads_no_compiler() -> None:
    program = "import sys, rlgrid.agents.q_learning, rlgrid.agents.value_iteration; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
