"""The agents of provable exploration: each rule against a slow oracle, both paths, files, and what they achieve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import exploring_oracles as oracles
import gymnasium as gym
import numpy as np
import pytest
from small_worlds import WORLDS, Offset, masked_mdp, state_of, world

import rlgrid
from rlgrid.agents import CheckpointError
from rlgrid.mdp import MDP

STEPS = 150
LIMIT = 17

RULES: list[tuple[str, dict[str, Any]]] = [
    ("RMax", {"visits_to_know": 3}),
    ("UCBQLearning", {"bonus": "hoeffding", "bonus_scale": 0.01}),
    ("UCBQLearning", {"bonus": "bernstein", "bonus_scale": 0.02, "correction_scale": 1e-5}),
    ("UCBVI", {"bonus": "hoeffding", "bonus_scale": 0.01}),
    ("UCBVI", {"bonus": "bernstein", "bonus_scale": 0.02, "correction_scale": 1e-3}),
    ("PSRL", {}),
]
HORIZON = {"horizon": 7}


def name_of(value: Any) -> str:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else str(value)


class Opaque(gym.Wrapper[Any, Any, Any, Any]):
    """What a wrapper does is its own affair; here it does nothing."""


def agent_of(name: str, env: Any, **settings: Any) -> Any:
    if name != "RMax":
        settings = HORIZON | settings
    return getattr(rlgrid.agents, name)(env, **settings)


def tables_of(agent: Any) -> dict[str, Any]:
    return agent._arrays()  # type: ignore[no-any-return]


# --- against the oracles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "path"),
    [
        ("lake", "compiled"),
        ("lake", "wrapped"),
        ("masked", "compiled"),
        ("masked", "python"),
        ("parting", "compiled"),
        ("parting", "python"),
        ("final", "compiled"),
        ("final", "python"),
    ],
)
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_a_rule_equals_the_oracle(name: str, extra: dict[str, Any], which: str, path: str) -> None:
    model = WORLDS[which]()
    env = world(model, limit=LIMIT)
    agent = agent_of(
        name,
        Opaque(env) if path == "wrapped" else env,
        gamma=0.9,
        seed=11,
        compiled=None if path == "wrapped" else path == "compiled",
        **extra,
    )
    assert agent.compiled == (path == "compiled")
    agent.learn(STEPS)
    low, high = {"masked": (-1.0, -0.25), "final": (-1.0, 0.0), "parting": (-1.0, 1.0), "lake": (0.0, 1.0)}[which]
    oracle = getattr(oracles, name)(model, 11, 0.9, low=low, high=high, knows_final=path != "wrapped", **extra)
    table, returns = oracle.run(STEPS, 11, LIMIT)
    assert agent.episode_returns == returns
    assert (agent.counts == oracle.n).all()
    expected = table if name == "RMax" else oracle.steps
    np.testing.assert_allclose(agent.q_table, expected, rtol=1e-9, atol=1e-12)
    if path != "wrapped":
        assert (agent.q_table[..., model.absorbing, :].max(axis=-1) == 0.0).all()


@pytest.mark.parametrize("which", ["masked", "lake"])
@pytest.mark.parametrize("name", ["UCBQLearning", "UCBVI"])
def test_bonuses_of_the_papers_equal_the_oracle(name: str, which: str) -> None:
    """There every bound is active: of values, and of Bernstein's bonus by Hoeffding's."""
    settings = {"bonus": "bernstein", "bonus_scale": 1.0, "correction_scale": 1.0}
    test_a_rule_equals_the_oracle(name, settings, which, "python")
    test_a_rule_equals_the_oracle(name, settings | {"correction_scale": 0.0}, which, "python")


def test_the_last_term_of_ucbvi_counts_arrivals() -> None:
    from types import SimpleNamespace

    from rlgrid.kernels import optimistic

    surprises: Any = getattr(optimistic._surprises, "py_func", optimistic._surprises)
    lines = SimpleNamespace(
        begin=np.array([0, 8]), to=np.array([0, 0, 0, 0, 1, 0, 0, 0]), chance=np.array([0.25, 0, 0, 0, 0.75, 0, 0, 0])
    )
    total = np.ones(4)
    for arrivals, expected in (([9, 9, 4, 0], 0.25 * 2.0 + 0.75 * 5.0), ([9, 9, 1, 2], 0.25 * 5.0 + 0.75 * 4.0)):
        rule = SimpleNamespace(horizon=2, arrivals=np.array(arrivals), arrived=8.0, most=5.0)
        surprises(rule, 0, lines, 2, total)
        assert total.tolist() == [expected, 0.0, 0.0, 0.0]
    surprises(rule, 1, lines, 2, total)
    assert not total.any()
    agent = rlgrid.agents.UCBVI(gym.make("rlgrid/RiverSwim-v0"), gamma=1.0, bonus_scale=1.0, correction_scale=1.0)
    agent.begin(20_000)
    log = np.log(5.0 * 12 * 20_000 / 0.05)
    assert agent._rule().arrived == pytest.approx(100.0**2 * 20.0**3 * 6.0**2 * 2.0 * log**2)
    assert agent._rule().most == 400.0


def test_the_error_of_a_step_is_that_of_what_was_believed() -> None:
    for name, bonus in (("UCBVI", 0.0), ("UCBQLearning", 0.5)):
        agent = agent_of(name, world(), bonus="hoeffding", seed=0, compiled=False)
        agent.begin(100)
        agent.advance(1)
        error = bonus and agent._rule().plain  # the first visit's
        assert agent.td_error[0] == pytest.approx(error - 1.0)  # no reward, where one was hoped for in every step


def test_a_reward_of_probability_zero_is_none() -> None:
    table = {0: {0: [(1.0, 0, 0.5, True), (0.0, 0, 9.0, True)]}}
    agent = rlgrid.agents.PSRL(world(MDP.from_gymnasium(table, gamma=1.0, start=0), 5), horizon=1)
    assert (agent.low, agent.high) == (0.5, 0.5)


def test_bonuses_of_scale_one_are_those_of_the_papers() -> None:
    env = gym.make("rlgrid/RiverSwim-v0")  # S = 6, A = 2, H = 20, rewards in [0, 1]
    settings: dict[str, Any] = {"gamma": 1.0, "bonus_scale": 1.0, "failure_probability": 0.05, "seed": 0}
    agent = rlgrid.agents.UCBQLearning(env, bonus="hoeffding", **settings)
    agent.begin(20_000)
    agent.advance(1)
    log = np.log(12 * 20_000 / 0.05)
    assert agent.horizon == 20
    assert agent.q_table[0, 0].max() == pytest.approx(20.0 + np.sqrt(20.0**3 * log), rel=1e-2)  # r + V_1 + b_1
    agent = rlgrid.agents.UCBVI(env, bonus="hoeffding", **settings)
    agent.begin(20_000)
    assert agent._rule().plain == pytest.approx(7.0 * 20.0 * np.log(5.0 * 12 * 20_000 / 0.05))


# --- runs and files ---------------------------------------------------------------------------------------------------


def same_files(one: Any, two: Any, folder: Path) -> bool:
    one.save(folder / "one")
    two.save(folder / "two")
    return (folder / "one.safetensors").read_bytes() == (folder / "two.safetensors").read_bytes()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_a_run_that_is_cut_anywhere_ends_the_same(
    tmp_path: Path, name: str, extra: dict[str, Any], compiled: bool
) -> None:
    def env() -> Any:
        return world(masked_mdp([0.2, 0.5, 0.3, 0.0]), LIMIT)

    total = 120
    whole = agent_of(name, env(), seed=6, compiled=compiled, **extra).learn(total)
    for stop in (1, 17, 40, 83):
        agent = agent_of(name, env(), seed=6, compiled=compiled, **extra)
        agent.chunk_size = stop
        agent.learn(total, callback=lambda _: False)
        assert agent.num_timesteps == stop
        agent.save(tmp_path / "run")
        loaded = type(agent).load(tmp_path / "run", env(), compiled=compiled)
        assert same_files(loaded, agent, tmp_path)
        # The other path goes on the same too.
        resumed = type(agent).load(tmp_path / "run", env(), compiled=compiled != (stop == 40)).resume()
        assert all((array == tables_of(whole)[key]).all() for key, array in tables_of(resumed).items())
        assert resumed.episode_returns == whole.episode_returns
        assert stop == 40 or same_files(resumed, whole, tmp_path)
        assert state_of(resumed.env) == state_of(whole.env)


def test_a_round_that_others_broke_off_begins_again() -> None:
    for name in ("UCBQLearning", "UCBVI", "PSRL"):
        agent = agent_of(name, world(), seed=0)
        while agent.step != 4:
            agent.advance(1)
        agent.env.reset()
        agent.advance(1)
        assert agent._episode_length <= 1
        assert agent.step == agent._episode_length


def test_rounds_go_on_where_an_episode_does() -> None:
    agent = rlgrid.agents.UCBQLearning(gym.make("rlgrid/Chain-v0"), horizon=7, seed=0)
    agent.advance(7 * 50 + 3)
    assert agent.episode_returns == []
    assert agent.step == 3
    assert agent.step_visits.sum(axis=(1, 2)).tolist() == [51] * 3 + [50] * 4
    assert (agent.step_visits[0].sum(axis=1) > 0).sum() > 1  # rounds begin in several states


@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, name: str, extra: dict[str, Any]) -> None:
    from rlgrid.agents import checkpoint

    agent = agent_of(name, world(), seed=0, **extra)
    agent.begin(1000)
    agent.advance(103)
    agent.save(tmp_path / "run")
    arrays, metadata = checkpoint.read(tmp_path / "run")

    def refused(reason: str, **changed: Any) -> None:
        given = {f"agent.{key.replace('__', '.')}": value for key, value in changed.items()}
        checkpoint.write(tmp_path / "bad", arrays | given, metadata)
        with pytest.raises(CheckpointError, match=reason):
            type(agent).load(tmp_path / "bad", world())

    for tensor in (*agent._memory(), "q"):
        given = arrays[f"agent.{tensor}"]
        wrong = np.full_like(given, 2**62 if given.dtype == np.int64 else np.nan)
        refused(r"outside \[|not numbers|does not fit", **{tensor.replace(".", "__"): wrong})
        refused("in the file", **{tensor.replace(".", "__"): np.zeros((3, 3, 3))})
    if "agent.model.many" in arrays:
        many = arrays["agent.model.many"]
        refused("the model in the file does not fit the counts", model__many=many + 1)
        refused("the model in the file does not fit the counts", model__pair=np.zeros_like(many))
    if "agent.step" in arrays:
        refused(r"step holds numbers outside \[-?\d, 7\)", step=np.array([7]))
    if name == "UCBQLearning":
        refused("step_visits in the file does not fit", step_visits=arrays["agent.step_visits"] + 1)
    for tensor in ("following.spread", "rewards.spread"):
        if f"agent.{tensor}" in arrays:
            refused("outside", **{tensor.replace(".", "__"): np.full_like(arrays[f"agent.{tensor}"], -1.0)})


# --- what is asked of an environment, and of arguments ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_foreign_environments_of_other_numbers(name: str, extra: dict[str, Any]) -> None:
    agent = agent_of(name, gym.wrappers.TimeLimit(Offset(), 50), reward_range=(-1.0, 0.0), seed=1, **extra)
    agent.learn(400)
    assert agent.counts.sum() == 400
    assert agent.predict(np.int64(5))[0] in (-1, 0)
    with pytest.raises(ValueError, match=r"gave the reward -1 after 0 steps, outside reward_range \[0, 1\]: give rew"):
        agent_of(name, Offset(), seed=1, **extra).learn(10)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("RMax", {"visits_to_know": 0}, "visits_to_know must be at least 1"),
        ("RMax", {"planning_tolerance": 0.0}, "planning_tolerance must lie in"),
        ("RMax", {"reward_range": (0.0, 0.5)}, r"reward_range is \[0.0, 0.5\], and the rewards of this world are in"),
        ("RMax", {"reward_range": (1.0, 0.0)}, "reward_range must be "),
        ("RMax", {"reward_range": (0.0, 1e308)}, "too large for RMax: values would not be finite"),
        ("UCBVI", {"reward_range": (0.0, 1e308)}, "too large for UCBVI"),
        ("UCBQLearning", {"reward_range": (-1e308, 1.0)}, "too large for UCBQLearning"),
        ("PSRL", {"reward_range": (-1e308, 1.0)}, "too large for PSRL"),
        ("PSRL", {"prior_mean": 1e308}, "or the numbers of a bonus or a prior are too large for PSRL"),
        ("UCBVI", {"horizon": 0}, "horizon must be at least 1"),
        ("UCBVI", {"horizon": 10**9}, r"1000000000 x 16 x 4 are more than 20,000,000 entries: give a smaller horizon"),
        ("UCBVI", {"bonus": "hofding"}, "bonus must be one of .* did you mean 'hoeffding'"),
        ("UCBVI", {"bonus": "hoeffding", "correction_scale": 1.0}, "correction_scale is of the bonus 'bernstein'"),
        ("UCBQLearning", {"bonus_scale": -1.0}, "bonus_scale must lie in"),
        ("UCBQLearning", {"failure_probability": 0.0}, "failure_probability must lie in"),
        ("PSRL", {"prior_transitions": 0.0}, "prior_transitions must lie in"),
        ("PSRL", {"prior_deviation": 0.0}, "prior_deviation must lie in"),
    ],
)
def test_bad_arguments_are_named(name: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        agent_of(name, world(), **arguments)


def test_arguments_that_there_are_not_are_named() -> None:
    for name, arguments, reason in [
        ("RMax", {"visit_to_know": 3}, "RMax takes no argument 'visit_to_know', did you mean 'visits_to_know'"),
        ("UCBVI", {"learning_rate": 0.1}, "UCBVI takes no argument 'learning_rate'"),
        ("PSRL", {"reward_range": 3}, "reward_range must be two numbers"),
        ("PSRL", {"reward_range": {0, 1}}, "reward_range must be two numbers"),
    ]:
        with pytest.raises(TypeError, match=reason):
            agent_of(name, world(), **arguments)


def test_tables_that_are_too_large_are_refused() -> None:
    class Wide(gym.Env[Any, Any]):
        observation_space, action_space = gym.spaces.Discrete(10_000_000), gym.spaces.Discrete(4)

    with pytest.raises(ValueError, match=r"10000000 x 4 are more than 20,000,000 entries$"):
        rlgrid.agents.RMax(Wide())
    Wide.observation_space = gym.spaces.Discrete(400_000)
    with pytest.raises(ValueError, match="PSRL draws 61 outcomes for each pair"):
        rlgrid.agents.PSRL(Wide(), horizon=2)


def test_the_horizon_is_the_cap_or_what_gamma_suggests() -> None:
    def horizon(name: str, **settings: Any) -> int:
        return rlgrid.agents.PSRL(gym.make(name), **settings).horizon

    assert horizon("rlgrid/RiverSwim-v0") == 20
    assert horizon("rlgrid/FrozenLake8x8-v1") == 200
    assert horizon("rlgrid/FourRooms-v0") == 100
    assert horizon("rlgrid/FourRooms-v0", gamma=0.0) == 1
    assert horizon("rlgrid/CliffWalking-v1") == 200


@pytest.mark.parametrize("visits", [2**56, 2**58, 2**62])
def test_there_is_room_for_outcomes_where_no_run_will_know_a_pair(visits: int) -> None:
    agent = rlgrid.agents.RMax(world(), visits_to_know=visits, seed=0)
    agent._make_room(1000)  # the sum over 64 pairs has no room in 64 bits
    assert agent._outcomes._pair.size >= 1000
    agent.learn(50)
    assert agent.counts.sum() == agent._outcomes._many.sum() == 50


def test_a_known_world_that_pays_nothing_in_a_loop() -> None:
    """At gamma = 1 a plan begins at 0: a loop would keep for ever what was hoped for it."""
    loop = np.zeros((3, 2, 3))
    loop[0, 0, 0] = loop[0, 1, 1] = loop[1, :, 2] = loop[2, :, 2] = 1.0
    rewards = np.zeros((3, 2))
    rewards[1] = 1.0
    model = MDP.from_arrays(loop, rewards, gamma=1.0, start=0, terminal=[False, False, True])
    agent = rlgrid.agents.RMax(world(model, limit=10), visits_to_know=2, seed=0).learn(50)
    assert agent.known[:2].all()
    assert agent.q_values[0].max() == 1.0


def test_rewards_that_can_be_had_again_and_again() -> None:
    """At gamma = 1 a pair may be worth more than one reward for each state."""
    staying = {0: {0: [(0.8, 0, 1.0, False), (0.2, 1, 1.0, True)], 1: [(0.95, 0, 1.0, False), (0.05, 1, 1.0, True)]},
               1: {a: [(1.0, 1, 0.0, True)] for a in (0, 1)}}  # fmt: skip
    agent = rlgrid.agents.RMax(world(MDP.from_gymnasium(staying, gamma=1.0, start=0)), visits_to_know=60, seed=0)
    agent.learn(1000)
    assert agent.known[0].all()
    assert agent.q_values[0] == pytest.approx([17.0, 20.0], rel=0.5)
    assert agent.policy[0] == 1
    for world_id in ("rlgrid/RiverSwim-v0", "rlgrid/Chain-v0"):
        with pytest.raises(
            ValueError, match="at gamma = 1 rewards above 0 can be had in this world for ever: give gamma"
        ):
            rlgrid.agents.RMax(gym.make(world_id), gamma=1.0)


def test_rewards_whose_squares_overflow_stop_the_run() -> None:
    table = {0: {a: [(0.5, 0, 1.2e153, True), (0.5, 0, -1.2e153, True)] for a in (0, 1)}}
    model = MDP.from_gymnasium(table, gamma=1.0, start=0)
    agent = rlgrid.agents.PSRL(world(model, 5), horizon=1, seed=0, compiled=False)
    with pytest.raises(FloatingPointError, match="would no longer be finite"):
        agent.learn(4000)


def test_rewards_may_be_float32() -> None:
    class Single(Offset):
        def step(self, action: Any) -> Any:
            observation, _, *rest = super().step(action)
            return observation, np.float32(0.1), *rest

    rlgrid.agents.UCBVI(gym.wrappers.TimeLimit(Single(), 50), horizon=7, reward_range=(0.0, 0.1), seed=0).learn(20)


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_the_step_of_the_round_goes_through_predict() -> None:
    env = gym.make("rlgrid/RiverSwim-v0")
    agent = rlgrid.agents.UCBVI(env, horizon=3, seed=0).learn(2000)
    rng = np.random.default_rng(0)
    agent.q_table[:] = rng.random(agent.q_table.shape)
    assert (agent.step_policy == agent.q_table.argmax(axis=2)).all()
    assert (agent.policy == agent.step_policy[0]).all()
    states, steps = np.arange(6), np.array([0, 1, 2, 0, 1, 2])
    actions, after = agent.predict(states, state=steps)
    assert (actions == agent.step_policy[steps, states]).all()
    assert after.tolist() == [1, 2, 0, 1, 2, 0]
    actions, after = agent.predict(states, state=steps, episode_start=states >= 3)
    assert after.tolist() == [1, 2, 0, 1, 1, 1]
    assert agent.predict(states)[1] is None
    assert (agent.predict(states)[0] == agent.policy).all()
    state, taken = None, []
    for _ in range(4):
        action, state = agent.predict(2, state=state, episode_start=np.array([state is None]))
        taken.append(action)
    assert taken == [*agent.step_policy[:, 2], agent.step_policy[0, 2]]
    for wrong in (3, -1, 0.5, "x", [0, 1]):
        with pytest.raises(ValueError, match="state must be steps of the round, from 0 to 2"):
            agent.predict(2, state=wrong)
    agent.q_table[:] = 0.0
    before = agent._generator.bit_generator.state
    drawn = agent.predict(np.zeros(200, int), deterministic=False)[0]
    assert 50 < drawn.sum() < 150
    assert agent._generator.bit_generator.state == before


def test_ucb_q_learning_shows_the_step_at_which_a_state_was_met() -> None:
    env = gym.make("rlgrid/DeepSea-v0")
    agent = rlgrid.agents.UCBQLearning(env, horizon=10, seed=0).learn(20_000)
    acted = agent.visits > 0
    row = np.arange(acted.size) // 10
    assert (agent.shown_steps[acted] == row[acted]).all()  # there a state is met in one step alone
    assert (agent.q_values[31] == agent.q_table[3, 31]).all()
    assert rlgrid.share_of_regret(env.unwrapped.model, agent.policy) < 0.01  # type: ignore[attr-defined]


# --- random variates --------------------------------------------------------------------------------------------------


def test_variates_have_their_distributions() -> None:
    from scipy import stats

    from rlgrid.agents.world import stream_of
    from rlgrid.kernels.posterior import draw_reward, gamma_variate, normal

    stream = stream_of(np.random.default_rng(3))
    count = 4000
    assert stats.kstest([normal(stream) for _ in range(count)], "norm").pvalue > 0.01
    for shape in (0.05, 0.7, 1.0, 4.5, 300.0):
        drawn = [gamma_variate(stream, shape) for _ in range(count)]
        assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 0.01
    # The mean of a normal-gamma posterior is Student's t (DeGroot 1970, section 9.6).
    rewards = np.array([0.0, 1.0, 1.0, 0.25, 0.5])
    n, mean = rewards.size, rewards.mean()
    spread = ((rewards - mean) ** 2).sum()
    kappa, alpha, beta = 1.0 + n, 1.0 + n / 2, 0.5 + spread / 2 + n * (mean - 2.0) ** 2 / (2 * (1.0 + n))
    drawn = [draw_reward(stream, n, mean, spread, 2.0, 0.5) for _ in range(count)]
    posterior = stats.t(2 * alpha, (2.0 + n * mean) / kappa, np.sqrt(beta / (alpha * kappa)))
    assert stats.kstest(drawn, posterior.cdf).pvalue > 0.01


@pytest.mark.parametrize("c", [0.3, 1.0, 8.0])
def test_a_drawn_distribution_is_dirichlet(c: float) -> None:
    """The share of each set of outcomes is then Beta with the sums of their parameters; below 1e-6 it is cut off."""
    from scipy import stats

    from rlgrid.agents.world import stream_of
    from rlgrid.kernels.posterior import draw_row

    stream = stream_of(np.random.default_rng(5))
    to, many, K = np.array([2, -1, 0]), np.array([3.0, 1.0, 2.0]), 6
    parameters = np.full(K, c / K)
    parameters[[2, 5, 0]] += many
    into, weight = np.zeros(300, np.int64), np.zeros(300)
    drawn = np.zeros((2500, K))
    for row in drawn:
        end = draw_row(stream, to, many, 0, 3, K, c, 250, into, weight, 0)
        np.add.at(row, into[:end], weight[:end])
    assert np.abs(drawn.sum(axis=1) - 1.0).max() < 1e-12
    for chosen in ([0], [2], [5], [1, 3, 4], [2, 3]):
        a, share = parameters[chosen].sum(), np.sort(drawn[:, chosen].sum(axis=1))
        apart = np.abs(np.arange(1, share.size + 1) / share.size - stats.beta(a, parameters.sum() - a).cdf(share))
        assert apart[share > 1e-4].max() < 1.63 / np.sqrt(share.size)  # Kolmogorov and Smirnov, 1 %
    assert drawn.mean(axis=0) == pytest.approx(parameters / parameters.sum(), abs=0.02)


# --- what they achieve ------------------------------------------------------------------------------------------------


def step_share(agent: Any) -> float:
    """The share of regret of the policy that depends on the step, over the horizon and at the agent's gamma."""
    model, over = agent.truth, {"gamma": agent.gamma, "horizon": agent.horizon}
    uniform = np.full((model.num_states, model.num_actions), 1.0 / model.num_actions)

    def value(policy: Any) -> float:
        return float(model.start_probability @ rlgrid.policy_values(model, policy, **over)[0][model.start_states])

    best, found, chance = map(value, (rlgrid.solve(model, **over).policy, agent.step_policy, uniform))
    return (best - found) / (best - chance)


HARD = [("rlgrid/RiverSwim-v0", 20, 20_000, 3.39726), ("rlgrid/DeepSea-v0", 10, 10_000, 0.99)]
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("RMax", {"gamma": 0.99}),
    ("UCBQLearning", {"bonus": "hoeffding", "bonus_scale": 0.003}),
    ("UCBQLearning", {}),
    ("UCBVI", {"bonus": "hoeffding", "bonus_scale": 0.001}),
    ("UCBVI", {}),
    ("PSRL", {}),
]


@pytest.mark.parametrize(("world_id", "horizon", "steps", "optimum"), HARD)
@pytest.mark.parametrize(("name", "extra"), SETTINGS, ids=name_of)
def test_they_find_what_epsilon_greedy_misses(
    name: str, extra: dict[str, Any], world_id: str, horizon: int, steps: int, optimum: float
) -> None:
    rounds = {} if name == "RMax" else {"horizon": horizon}
    agent = getattr(rlgrid.agents, name)(gym.make(world_id), seed=2, **extra, **rounds).learn(steps)
    greedy = rlgrid.agents.QLearning(gym.make(world_id), seed=2).learn(steps)
    regret, missed = (optimum - np.array(learner.episode_returns) for learner in (agent, greedy))
    assert rlgrid.share_of_regret(agent.truth, agent.policy) < 0.01
    assert rlgrid.share_of_regret(greedy.truth, greedy.policy) > 0.5
    assert regret.sum() < 0.75 * missed.sum()


@pytest.mark.parametrize(("name", "extra"), SETTINGS, ids=name_of)
def test_their_regret_grows_ever_more_slowly(name: str, extra: dict[str, Any]) -> None:
    """The exact regret of a round, at twenty moments of a run."""
    env = gym.make("rlgrid/RiverSwim-v0")
    agent = getattr(rlgrid.agents, name)(env, seed=4, **extra)
    agent.begin(20_000)
    regret = []
    for _ in range(20):
        policy = agent.policy if name == "RMax" else agent.step_policy
        values = rlgrid.policy_values(agent.truth, policy, gamma=1.0, horizon=20)
        regret.append(3.39726 - values[0][0])
        agent.advance(1000)
    assert sum(regret[:10]) > 2.0 * sum(regret[10:])
    assert regret[0] > 3.0


CONVERGING: list[tuple[str, str, int, dict[str, Any]]] = [
    ("RMax", "RiverSwim-v0", 30_000, {}),
    ("RMax", "DeepSea-v0", 20_000, {"gamma": 0.99, "visits_to_know": 1}),
    ("RMax", "Chain-v0", 20_000, {}),
    ("RMax", "FrozenLake-v1", 200_000, {"visits_to_know": 100}),
    ("RMax", "FourRooms-v0", 300_000, {"visits_to_know": 300}),
    ("RMax", "Taxi-v4", 200_000, {"visits_to_know": 1}),
    ("UCBQLearning", "RiverSwim-v0", 200_000, {}),
    ("UCBQLearning", "DeepSea-v0", 20_000, {"horizon": 10}),
    ("UCBQLearning", "CliffGrid-v0", 2_000_000, {"horizon": 20}),
    ("UCBQLearning", "CliffWalking-v1", 2_000_000, {"horizon": 30, "bonus_scale": 3e-4}),
    ("UCBQLearning", "WindyGridworldKings-v0", 1_000_000, {"horizon": 15}),
    ("UCBQLearning", "DynaMaze-v0", 1_000_000, {"horizon": 20, "bonus_scale": 1e-3}),
    ("UCBVI", "RiverSwim-v0", 50_000, {}),
    ("UCBVI", "DeepSea-v0", 20_000, {"horizon": 10}),
    ("UCBVI", "Chain-v0", 50_000, {"horizon": 20}),
    ("UCBVI", "FrozenLake-v1", 300_000, {"horizon": 50}),
    ("UCBVI", "CliffGrid-v0", 50_000, {"horizon": 20}),
    ("UCBVI", "BridgeGrid-v0", 20_000, {"horizon": 20}),
    ("PSRL", "RiverSwim-v0", 50_000, {}),
    ("PSRL", "DeepSea-v0", 20_000, {"horizon": 10}),
    ("PSRL", "Chain-v0", 50_000, {"horizon": 20}),
    ("PSRL", "FrozenLake-v1", 300_000, {"horizon": 50}),
    ("PSRL", "CliffGrid-v0", 50_000, {"horizon": 20}),
    ("PSRL", "RussellNorvig4x3-v0", 50_000, {"horizon": 20}),
]
"""The table of docs/agents.md: agent, world, steps, settings."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "world_id", "steps", "settings"), CONVERGING)
def test_they_converge(name: str, world_id: str, steps: int, settings: dict[str, Any]) -> None:
    for seed in range(3):
        agent = getattr(rlgrid.agents, name)(gym.make(f"rlgrid/{world_id}"), seed=seed, **settings).learn(steps)
        assert rlgrid.share_of_regret(agent.truth, agent.policy) < 0.01
        if name != "RMax":
            assert step_share(agent) < 0.01
