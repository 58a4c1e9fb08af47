"""Q-learning: its random numbers, its rule against a slow oracle bit for bit, and what it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from small_worlds import LAKE, Offset, masked_mdp, same, state_of, world

import rlgrid
from rlgrid.agents import QLearning, ValueIteration, evaluate_policy
from rlgrid.agents.world import put_back, sampling_arrays, stream_of
from rlgrid.kernels.model import sample
from rlgrid.kernels.padded import draw
from rlgrid.kernels.pcg64 import uniform
from rlgrid.mdp import MDP

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


def test_evaluate_policy_ends_where_the_policy_does_not() -> None:
    cliff = gym.make("rlgrid/CliffWalking-v1").unwrapped
    agent = QLearning(cliff, seed=0)  # always up, against the wall
    with pytest.warns(UserWarning, match=r"2 of 2 episodes had not ended after 50 steps .* max_episode_steps"):
        assert evaluate_policy(agent, cliff, 2, max_episode_steps=50) == (-50.0, 0.0)
    with pytest.warns(UserWarning, match="1 of 1 episodes had not ended after 100000 steps"):
        assert evaluate_policy(agent, cliff, 1) == (-100_000.0, 0.0)
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1"):
        evaluate_policy(agent, cliff, 1, max_episode_steps=0)
    capped = TimeLimit(cliff, 50)
    assert evaluate_policy(agent, capped, 1, max_episode_steps=50) == (-50.0, 0.0)  # ended, so no warning
    assert evaluate_policy(agent, capped, 1, max_episode_steps=None) == (-50.0, 0.0)


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


@pytest.mark.filterwarnings("ignore:overflow")  # where kernels run as plain Python, NumPy says so as well
@pytest.mark.parametrize("compiled", [True, False])
def test_q_values_that_overflow_stop_the_run_and_name_step_and_state(compiled: bool) -> None:
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [1e308], gamma=1.0)
    agent = QLearning(world(loop, limit=None), learning_rate=1.0, gamma=1.0, seed=0, compiled=compiled)
    with pytest.raises(FloatingPointError, match="step 2: in state 0 a q-value would no longer be finite"):
        agent.learn(100)
    assert agent.num_timesteps == 2
    assert agent.q_table.tolist() == [[1e308]]  # the last value that was one
    with pytest.raises(FloatingPointError, match="step 3"):
        agent.resume()


@pytest.mark.parametrize("observation", [None, "a", [None], {}, [[1], [1, 2]], True])
def test_what_is_no_observation_is_named(observation: Any) -> None:
    agents: list[Any] = [QLearning(world()), ValueIteration(gym.make(LAKE))]
    for agent in agents:
        with pytest.raises(ValueError, match=r"must be a whole number in Discrete\(16\), or an array of them, not"):
            agent.predict(observation)


@pytest.mark.parametrize("observation", [-1, 16, 2.5, float("nan"), float("inf"), [0, 99], 2**63])
def test_observations_outside_the_space_are_named(observation: Any) -> None:
    agents: list[Any] = [QLearning(world()), ValueIteration(gym.make(LAKE))]
    for agent in agents:
        with pytest.raises(ValueError, match=r"observation .* is not one of Discrete\(16\)"):
            agent.predict(observation)


def test_a_seed_is_drawn_where_none_is_given() -> None:
    one, two = QLearning(world()), QLearning(world())
    assert one.seed != two.seed
    again = QLearning(world(), seed=one.seed)
    assert same(one.learn(1000), again.learn(1000))
