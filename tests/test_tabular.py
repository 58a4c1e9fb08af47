"""The tabular agents: each rule against a slow oracle bit for bit, both paths, and runs that stop and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tabular_oracles as oracles
from small_worlds import WORLDS, masked_mdp, same, state_of, world

import rlgrid
from rlgrid.agents import CheckpointError, tabular
from rlgrid.agents.schedules import Schedule, parse_schedule
from rlgrid.mdp import MDP

STEPS = 600
LIMIT = 17

RULES: list[tuple[str, dict[str, Any]]] = [
    ("Sarsa", {}),
    ("ExpectedSarsa", {}),
    ("DoubleQLearning", {}),
    ("NStepSarsa", {"n_steps": 3}),
    ("TreeBackup", {"n_steps": 3}),
    ("SarsaLambda", {"lam": 0.8, "traces": "accumulating"}),
    ("SarsaLambda", {"lam": 0.8, "traces": "replacing"}),
    ("SarsaLambda", {"lam": 0.8, "traces": "dutch"}),
    ("QLambda", {"lam": 0.8}),
    ("TrueOnlineSarsaLambda", {"lam": 0.8}),
    ("MonteCarlo", {"visits": "first"}),
    ("MonteCarlo", {"visits": "every"}),
    ("OffPolicyMonteCarlo", {}),
    ("DynaQ", {"planning_steps": 5}),
    ("DynaQPlus", {"planning_steps": 5, "kappa": 0.01}),
    ("PrioritizedSweeping", {"planning_steps": 3}),
]
NO_RATE = ("OffPolicyMonteCarlo", "PrioritizedSweeping")


def name_of(value: Any) -> str:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else str(value)


class Opaque(gym.Wrapper[Any, Any, Any, Any]):
    """What a wrapper does is its own affair; here it does nothing."""


def agent_of(name: str, env: Any, **settings: Any) -> Any:
    if name in NO_RATE:
        settings.pop("learning_rate", None)
    return getattr(rlgrid.agents, name)(env, **settings)


def same_files(one: Any, two: Any, folder: Path) -> bool:
    one.save(folder / "one")
    two.save(folder / "two")
    return (folder / "one.safetensors").read_bytes() == (folder / "two.safetensors").read_bytes()


# --- against the oracles ----------------------------------------------------------------------------------------------

RATES: dict[Any, Callable[[int, int], float]] = {0.25: lambda t, n: 0.25, "1/N^0.7": lambda t, n: 1.0 / float(n) ** 0.7}


@pytest.mark.parametrize(
    ("which", "given", "path"),
    [
        ("lake", 0.25, "compiled"),
        ("lake", "1/N^0.7", "wrapped"),
        ("masked", "1/N^0.7", "compiled"),
        ("masked", 0.25, "python"),
        ("parting", 0.25, "compiled"),
    ],
)
@pytest.mark.parametrize(("name", "extra"), [("QLearning", {}), *RULES], ids=name_of)
def test_a_rule_equals_the_oracle(name: str, extra: dict[str, Any], given: Any, which: str, path: str) -> None:
    model = WORLDS[which]()
    env = world(model, limit=LIMIT)
    if path == "wrapped":
        env = Opaque(env)
    settings = {"gamma": 0.9, "initial_q": 0.125, "seed": 11, "learning_rate": given, "exploration_final_eps": 0.1}
    if path == "wrapped":
        settings["initial_q"] = 0.0  # behind a wrapper no state is known to be final
    agent = agent_of(name, env, **settings, **extra, compiled=None if path == "wrapped" else path == "compiled")
    assert agent.compiled == (path == "compiled")
    agent.learn(STEPS)

    def epsilon(t: int, n: int) -> float:
        return 0.1 if t >= STEPS / 2 else 1.0 + (0.1 - 1.0) * (t / (0.5 * STEPS))

    oracle = getattr(oracles, name)(model, 11, 0.9, epsilon, RATES[given], **extra)
    if path == "wrapped":
        oracle.q[oracle.q == 0.125] = 0.0
        oracle.begin()
    table, returns = oracle.run(STEPS, 11, LIMIT)
    assert (agent.q_table == table).all()
    assert (agent.counts == oracle.n).all()
    assert agent.episode_returns == returns


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", ["DynaQ", "DynaQPlus"])
def test_nothing_is_planned_where_an_episode_is_over_as_it_begins(name: str, compiled: bool) -> None:
    model = masked_mdp([0.0, 0.1, 0.1, 0.8])  # the last state is final
    extra = {"planning_steps": 5, "kappa": 0.5} if name == "DynaQPlus" else {"planning_steps": 5}
    agent = agent_of(name, world(model, LIMIT), gamma=0.9, initial_q=0.125, seed=4, epsilon=0.3, compiled=compiled,
                     **extra).learn(STEPS)  # fmt: skip
    oracle = getattr(oracles, name)(model, 4, 0.9, lambda t, n: 0.3, lambda t, n: 0.1, **extra)
    assert (agent.q_table == oracle.run(STEPS, 4, LIMIT)[0]).all()
    assert agent.visits[3] > 100
    assert (agent.values[3], agent.next_state[3].max()) == (0.0, np.iinfo(np.int64).min)


EXPLORING: dict[str, tuple[dict[str, Any], Callable[[int, int], float]]] = {
    "softmax": ({"exploration": "softmax", "temperature": "exp_1_0.05"}, lambda t, n: 0.05 ** (t / STEPS)),
    "greedy-softmax": ({"exploration": "softmax", "temperature": "lin_0.5"}, lambda t, n: 0.5 * (1.0 - t / STEPS)),
    "ucb": ({"exploration": "ucb", "ucb_width": 0.5}, lambda t, n: 0.5),
    "per-state": ({"epsilon": "1/N^0.5"}, lambda t, n: 1.0 / float(n) ** 0.5),
    "line": ({"epsilon": "lin_0.9_0.2"}, lambda t, n: 0.9 + (0.2 - 0.9) * (t / STEPS)),
    "steps": ({"epsilon": "step_0.8_0.5_200"}, lambda t, n: 0.8 * 0.5 ** (t // 200)),
}


@pytest.mark.parametrize(
    ("name", "compiled", "how"),
    [
        *(("QLearning", True, how) for how in EXPLORING),
        *(("Sarsa", True, how) for how in EXPLORING),
        *(("ExpectedSarsa", False, how) for how in EXPLORING),
        *(("OffPolicyMonteCarlo", False, how) for how in EXPLORING if how != "ucb"),
    ],
)
def test_exploration_equals_the_oracle(name: str, compiled: bool, how: str) -> None:
    settings, strength = EXPLORING[how]
    model = masked_mdp([0.2, 0.5, 0.3, 0.0])
    agent = agent_of(
        name, world(model, LIMIT), gamma=0.9, learning_rate="exp_0.5_0.1", initial_q=0.125, seed=3, compiled=compiled,
        **settings,
    ).learn(STEPS)  # fmt: skip
    exploration = settings.get("exploration", "epsilon_greedy")
    oracle = getattr(oracles, name)(
        model, 3, 0.9, strength, lambda t, n: 0.5 * (0.1 / 0.5) ** (t / STEPS), exploration=exploration
    )
    table, returns = oracle.run(STEPS, 3, LIMIT)
    assert (agent.q_table == table).all()
    assert agent.episode_returns == returns


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_a_run_that_is_cut_anywhere_ends_the_same(
    tmp_path: Path, name: str, extra: dict[str, Any], compiled: bool
) -> None:
    def env() -> Any:
        return gym.make("rlgrid/FourRooms-v0", max_episode_steps=25)

    total = 200
    whole = agent_of(name, env(), seed=6, compiled=compiled, **extra).learn(total)
    for stop in (1, 24, 25, 60, 123):
        agent = agent_of(name, env(), seed=6, compiled=compiled, **extra)
        agent.chunk_size = stop
        agent.learn(total, callback=lambda _: False)
        assert agent.num_timesteps == stop
        agent.save(tmp_path / "run")
        loaded = type(agent).load(tmp_path / "run", env(), compiled=compiled)
        assert same_files(loaded, agent, tmp_path)
        # The other path goes on the same too.
        resumed = type(agent).load(tmp_path / "run", env(), compiled=compiled != (stop == 60)).resume()
        assert same(resumed, whole)
        assert stop == 60 or same_files(resumed, whole, tmp_path)
        assert state_of(resumed.env) == state_of(whole.env)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_an_episode_that_others_broke_off_leaves_nothing_behind(
    name: str, extra: dict[str, Any], compiled: bool
) -> None:
    agent = agent_of(name, world(), seed=0, compiled=compiled, **extra)
    agent.advance(102)
    agent.env.reset()
    agent.advance(1)  # a fresh episode, of which this is the first step
    memory = agent._memory()
    assert agent._episode_length <= 1
    assert (memory.get("trace", np.zeros(1)) > 0.0).sum() <= 1
    assert memory.get("waiting.span", [0, 0])[1] <= 1
    assert len(memory.get("episode.states", [])) <= 1


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_q_values_that_overflow_stop_the_run(name: str, extra: dict[str, Any], compiled: bool) -> None:
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [1e308], gamma=1.0)
    agent = agent_of(name, world(loop, limit=8), learning_rate=1.0, gamma=1.0, seed=0, compiled=compiled, **extra)
    with pytest.raises(FloatingPointError, match=r"step \d+: in state 0 a q-value would no longer be finite"):
        agent.learn(100)
    assert np.isfinite(agent.q_table).all()


@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_files_with_numbers_out_of_range_are_refused(tmp_path: Path, name: str, extra: dict[str, Any]) -> None:
    from rlgrid.agents import checkpoint

    agent = agent_of(name, world(), seed=0, **extra)
    agent.begin(1000)
    agent.advance(103)
    agent.save(tmp_path / "run")
    arrays, metadata = checkpoint.read(tmp_path / "run")
    for tensor in agent._memory():
        given = arrays[f"agent.{tensor}"]
        if not given.size:
            continue
        wrong = np.full_like(given, 2**62 if given.dtype == np.int64 else np.nan)
        checkpoint.write(tmp_path / "bad", arrays | {f"agent.{tensor}": wrong}, metadata)
        with pytest.raises(CheckpointError, match=r"outside \[|not numbers|has not numbers|does not fit"):
            type(agent).load(tmp_path / "bad", world())
        checkpoint.write(tmp_path / "bad", arrays | {f"agent.{tensor}": np.zeros((3, 3, 3))}, metadata)
        with pytest.raises(CheckpointError, match="in the file"):
            type(agent).load(tmp_path / "bad", world())


# --- what must hold between the rules ---------------------------------------------------------------------------------


def test_one_step_is_sarsa_and_q_learning() -> None:
    def table(name: str, **extra: Any) -> Any:
        return agent_of(name, world(), seed=5, **extra).learn(3000).q_table

    sarsa = table("Sarsa")
    assert (table("NStepSarsa", n_steps=1) == sarsa).all()
    assert (table("SarsaLambda", lam=0.0) == sarsa).all()
    assert np.abs(table("TrueOnlineSarsaLambda", lam=0.0) - sarsa).max() < 1e-12
    assert (table("TreeBackup", n_steps=1) == table("QLearning")).all()
    assert (table("DynaQ", planning_steps=0) == table("QLearning")).all()


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0.5, ("constant", 0.5)),
        ("lin_0.5", ("falling", 0.5, 0.0)),
        ("linear_5e-1_0.1", ("linear", 0.5, 0.1)),
        ("exp_0.5_0.01", ("exponential", 0.5, 0.01)),
        ("step_0.5_0.1_1000", ("step", 0.5, 0.1, 1000.0)),
        ("1/N", ("count", 1.0, 1.0)),
        ("0.5/N^0.8", ("count", 0.5, 0.8)),
    ],
)
def test_schedules_by_name(given: Any, expected: tuple[Any, ...]) -> None:
    assert parse_schedule("learning_rate", given) == Schedule(*expected)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"learning_rate": "lim_0.5"}, r"learning_rate 'lim_0.5' is not understood \(did you mean 'lin'\?\)"),
        ({"learning_rate": "exp_0.5"}, "learning_rate 'exp_0.5' is not understood: write a number"),
        ({"learning_rate": "exp_0.5_0"}, r"the end of learning_rate must lie in \(0, 1\]"),
        ({"epsilon": "step_0.5_2_10"}, r"the factor of epsilon must lie in \[0, 1\]"),
        ({"epsilon": 1.5}, r"epsilon must lie in \[0, 1\]"),
        ({"exploration": "softmx"}, "exploration must be one of .*, not 'softmx', did you mean 'softmax'"),
        ({"exploration": ["softmax"]}, r"exploration must be one of .*, not \['softmax'\]"),
        ({"temperature": -1.0}, "temperature must lie in"),
        ({"exploration": "softmax", "epsilon": 0.3}, "epsilon is of exploration 'epsilon_greedy', and this agent's is"),
        ({"temperature": 5.0}, "temperature is of exploration 'softmax', and this agent's is 'epsilon_greedy'"),
        ({"exploration": "softmax", "ucb_width": 2.0}, "ucb_width is of exploration 'ucb'"),
        ({"epsilon": 0.3, "exploration_initial_eps": 0.5}, "give either epsilon or exploration_initial_eps"),
        ({"ucb_width": "lin_1_x"}, "ucb_width 'lin_1_x' is not understood"),
    ],
)
def test_bad_schedules_are_named(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rlgrid.agents.QLearning(world(), **arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("NStepSarsa", {"n_steps": 0}, "n_steps must be at least 1"),
        ("NStepSarsa", {"n_steps": 10**9}, "n_steps must be at most"),
        ("MonteCarlo", {"visits": "frist"}, "visits must be one of .* did you mean 'first'"),
        ("OffPolicyMonteCarlo", {"exploration": "ucb"}, "exploration 'ucb' leaves actions out"),
        ("OffPolicyMonteCarlo", {"epsilon": 0.0}, "epsilon must be above 0"),
        ("OffPolicyMonteCarlo", {"exploration_initial_eps": 0, "exploration_final_eps": 0}, "epsilon must be above 0"),
        ("OffPolicyMonteCarlo", {"exploration": "softmax", "temperature": 0}, "temperature must be above 0"),
        ("MonteCarlo", {"visits": ["first"]}, "visits must be one of"),
        ("DynaQ", {"planning_steps": -1}, "planning_steps must be at least 0"),
        ("DynaQ", {"planning_steps": 2**61}, "planning_steps must be at most 10000"),
        ("DynaQPlus", {"planning_steps": 2**61}, "planning_steps must be at most 10000"),
        ("PrioritizedSweeping", {"planning_steps": 2**61}, "planning_steps must be at most 10000"),
        ("DynaQPlus", {"kappa": -1.0}, "kappa must lie in"),
        ("PrioritizedSweeping", {"threshold": float("nan")}, "threshold must lie in"),
        ("SarsaLambda", {"lam": 1.5}, r"lam must lie in \[0, 1\]"),
        ("SarsaLambda", {"traces": "ducth"}, "traces must be one of .* did you mean 'dutch'"),
    ],
)
def test_bad_arguments_of_a_rule_are_named(name: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        agent_of(name, world(), **arguments)


def test_how_much_is_explored_is_shown() -> None:
    agent = rlgrid.agents.QLearning(world(), exploration="softmax", temperature="lin_0.5", seed=0).learn(500)
    agent.begin(1000)
    agent.advance(500)
    assert agent.metrics()["temperature"] == agent.strength == 0.25
    with pytest.raises(AttributeError, match="has no epsilon"):
        _ = agent.epsilon
    assert set(agent.predict(np.zeros(2000, int), deterministic=False)[0]) == {0, 1, 2, 3}
    assert list(tabular.EXPLORATIONS) == ["epsilon_greedy", "softmax", "ucb"]


# --- files that somebody has altered -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Sarsa", "NStepSarsa", "SarsaLambda", "QLambda", "TrueOnlineSarsaLambda"])
def test_an_action_that_the_state_lacks_is_refused(tmp_path: Path, name: str) -> None:
    from rlgrid.agents import checkpoint

    forward = np.zeros((4, 2, 4))
    forward[np.arange(4), :, (np.arange(4) + 1) % 4] = 1.0
    forward[3, 1] = 0.0
    available = np.ones((4, 2), bool)
    available[3, 1] = False  # the last pair, behind whose outcomes nothing is stored
    model = MDP.from_arrays(forward, np.zeros((4, 2)), gamma=0.9, start=3, available=available)
    agent = agent_of(name, world(model, limit=50), seed=0)
    agent.begin(100)
    while agent.state != 3 or agent.num_timesteps < 2:
        agent.advance(1)
    agent.save(tmp_path / "run")
    arrays, metadata = checkpoint.read(tmp_path / "run")
    assert (arrays["agent.action"] == 0).all()
    checkpoint.write(tmp_path / "bad", arrays | {"agent.action": np.ones(1, np.int64)}, metadata)
    for run in (metadata["run"], metadata["run"] | {"state": None}):  # the state is then had from the world
        checkpoint.write(tmp_path / "bad", arrays | {"agent.action": np.ones(1, np.int64)}, metadata | {"run": run})
        with pytest.raises(CheckpointError, match="decides on action 1, which state 3 does not have"):
            type(agent).load(tmp_path / "bad", world(model, limit=50)).advance(1)


def test_rows_of_pairs_without_outcomes_read_nothing() -> None:
    from rlgrid.agents.world import sampling_arrays
    from rlgrid.kernels.padded import PaddedOutcomes, draw

    model = masked_mdp()
    arrays = sampling_arrays(model)
    assert isinstance(arrays, PaddedOutcomes)
    s, a = map(int, np.argwhere(~model.available)[0])
    assert draw(arrays, s, a, 0.5) == (s, 0.0, True)


@pytest.mark.parametrize("state", [2**40, 16, -1, True, 1.0])
def test_a_state_that_the_world_lacks_is_refused(tmp_path: Path, state: Any) -> None:
    from rlgrid.agents import checkpoint

    agent = rlgrid.agents.QLearning(world(), seed=0, exploration="softmax")
    agent.begin(100)
    agent.advance(10)
    agent.save(tmp_path / "run")
    arrays, metadata = checkpoint.read(tmp_path / "run")
    checkpoint.write(tmp_path / "bad", arrays, metadata | {"run": metadata["run"] | {"state": state}})
    with pytest.raises(CheckpointError, match=r"holds the state .*, which is not in Discrete\(16\)"):
        rlgrid.agents.QLearning.load(tmp_path / "bad", world())


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("reward", [1e308, -1e308])
@pytest.mark.parametrize(("name", "extra"), [*RULES, ("PrioritizedSweeping", {"planning_steps": 1})], ids=name_of)
def test_what_was_learnt_before_an_overflow_can_be_saved(
    tmp_path: Path, name: str, extra: dict[str, Any], reward: float
) -> None:
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [reward], gamma=1.0)
    agent = agent_of(name, world(loop, limit=8), learning_rate=1.0, gamma=1.0, seed=0, **extra)
    with pytest.raises(FloatingPointError):
        agent.learn(100)
    assert np.isfinite(agent.td_error).all()
    agent.save(tmp_path / "run")
    assert same(type(agent).load(tmp_path / "run", world(loop, limit=8)), agent)


def test_a_call_of_a_kernel_ends_soon() -> None:
    assert rlgrid.agents.QLearning(world())._most_steps() == tabular.MOST_STEPS
    for name in ("DynaQ", "DynaQPlus", "PrioritizedSweeping"):
        agent = agent_of(name, world(), planning_steps=10_000, seed=0)
        assert agent._most_steps() * 10_000 <= tabular.MOST_WORK
    agent = rlgrid.agents.DynaQ(world(), planning_steps=50, seed=0)
    cut = rlgrid.agents.DynaQ(world(), planning_steps=50, seed=0)
    cut._most_steps = lambda: 7  # type: ignore[method-assign]
    assert same(cut.learn(100), agent.learn(100))


def forward_view(name: str, rate: Any, alpha: Callable[[int, int], float], seed: int) -> tuple[int, float]:
    """(steps of the first episode, how far its tables are from the interim lambda-returns of all steps so far).

    van Seijen et al. 2016, section 4.1: after every step all updates of the episode are made anew, the k-th by the step
    size that it had, towards the lambda-return that ends at the present step and takes values from the tables that
    were current.
    """
    steps, lam, gamma = 39, 0.8, 0.9
    agent = agent_of(
        name, world(limit=40), learning_rate=rate, gamma=gamma, lam=lam, seed=seed, initial_q=0.125, epsilon=1.0,
    )  # fmt: skip
    agent.begin(steps)
    tables, counts = [agent.q_table.copy()], agent.counts.copy()
    path: list[tuple[tuple[int, ...], tuple[int, int]]] = []
    rates: list[float] = []
    worst = 0.0
    for t in range(steps):
        agent.advance(1)
        if agent.episode_returns:
            break
        pair = tuple(np.argwhere(agent.counts != counts)[0])
        counts = agent.counts.copy()
        rates.append(alpha(t, counts[pair]))
        path.append((pair, (agent.state, int(agent._action[0]))))  # inside the episode rewards are 0
        q, length = tables[0].copy(), len(path)
        for k in range(length):
            total = 0.0
            for n in range(1, length - k + 1):
                value = gamma**n * tables[k + n - 1][path[k + n - 1][1]]
                total += ((1 - lam) if n < length - k else 1.0) * lam ** (n - 1) * value
            q[path[k][0]] += rates[k] * (total - q[path[k][0]])
        tables.append(q)
        worst = max(worst, float(np.abs(q - agent.q_table).max()))
    return len(path), worst


RATES_OF_VIEWS: dict[Any, Callable[[int, int], float]] = {
    0.3: lambda t, n: 0.3,
    "lin_0.5": lambda t, n: 0.5 * (1.0 - t / 39),
    "1/N^0.7": lambda t, n: float(n) ** -0.7,
}


@pytest.mark.parametrize("rate", RATES_OF_VIEWS)
def test_true_online_sarsa_equals_its_forward_view(rate: Any) -> None:
    views = [forward_view("TrueOnlineSarsaLambda", rate, RATES_OF_VIEWS[rate], seed) for seed in range(6)]
    assert max(length for length, _ in views) > 10
    assert max(worst for _, worst in views) < 1e-9
    if rate == 0.3:  # which the usual traces do not
        assert forward_view("SarsaLambda", rate, RATES_OF_VIEWS[rate], 3)[1] > 1e-6


def corridor(length: int) -> MDP:
    """Every action leads on; the last step gives 1."""
    forward, reward = np.zeros((length + 1, 4, length + 1)), np.zeros((length + 1, 4, length + 1))
    forward[np.arange(length), :, np.arange(length) + 1] = 1.0
    reward[length - 1, :, length] = 1.0
    terminal = np.arange(length + 1) == length
    return MDP.from_arrays(forward, reward, gamma=1.0, start=0, terminal=terminal)


@pytest.mark.parametrize("compiled", [True, False])
def test_weights_of_long_episodes_do_not_overflow(compiled: bool) -> None:
    survival = MDP.from_arrays(np.ones((1, 4, 1)), np.ones((1, 4)), gamma=0.99)
    agent = rlgrid.agents.OffPolicyMonteCarlo(world(survival, 1000), seed=0, compiled=compiled).learn(5000)
    assert agent.weight.max() > 709.0  # beyond which its exponential is no float
    assert np.isfinite(agent.q_table).all()
    agent = rlgrid.agents.OffPolicyMonteCarlo(world(corridor(600), 10**6), seed=0, compiled=compiled).learn(1800)
    assert agent.weight.max() > 709.0
    assert agent.values[599] == 1.0


def test_weighted_importance_sampling_weighs_by_products() -> None:
    agent = rlgrid.agents.OffPolicyMonteCarlo(world(corridor(2), 10), epsilon=1.0, seed=4).learn(400)
    last, first = np.exp(agent.weight[1]), np.exp(agent.weight[0])
    assert np.abs(last - agent.counts[1]).max() < 1e-9  # each with weight 1
    assert first.sum() > 40.0
    assert np.abs(first / 4.0 - np.round(first / 4.0)).max() < 1e-9  # each with 1 / b of the last step, which is 4


def test_chances_and_weights_in_files_are_checked(tmp_path: Path) -> None:
    from rlgrid.agents import checkpoint

    for name, tensor, wrong, reason in [
        ("OffPolicyMonteCarlo", "episode.chances", 0.0, "no probability"),
        ("NStepSarsa", "waiting.visits", 0, "no visit"),
        ("MonteCarlo", "weight", 1e300, "no count of visits"),
        ("MonteCarlo", "weight", 0.5, "no count of visits"),
        ("MonteCarlo", "weight", -1.0, "no count of visits"),
    ]:
        agent = agent_of(name, world(limit=30), seed=0)
        agent.begin(1000)
        agent.advance(100)
        while agent._episode_length == 0:
            agent.advance(1)
        agent.save(tmp_path / "run")
        arrays, metadata = checkpoint.read(tmp_path / "run")
        bad = np.full_like(arrays[f"agent.{tensor}"], wrong)
        checkpoint.write(tmp_path / "bad", arrays | {f"agent.{tensor}": bad}, metadata)
        with pytest.raises(CheckpointError, match=reason):
            type(agent).load(tmp_path / "bad", world(limit=30))


@pytest.mark.parametrize("compiled", [True, False])
def test_an_episode_without_end_is_named(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    from rlgrid.agents import monte_carlo

    monkeypatch.setattr(monte_carlo, "MOST_EPISODE", 100)
    monkeypatch.setattr(tabular, "MOST_STEPS", 50)
    monkeypatch.setattr(tabular, "ROOM", 50)
    endless = MDP.from_arrays(np.ones((1, 2, 1)), np.ones((1, 2)), gamma=0.9)
    for name in ("MonteCarlo", "OffPolicyMonteCarlo"):
        agent = agent_of(name, world(endless, None), seed=0, compiled=compiled)
        with pytest.raises(RuntimeError, match=r"an episode has taken 100 steps .* max_episode_steps"):
            agent.learn(1000)
        assert agent._states.size <= 200
        agent_of(name, world(endless, 90), seed=0, compiled=compiled).learn(1000)


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", ["MonteCarlo", "PrioritizedSweeping"])
def test_room_is_made_as_it_is_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_of(name, Opaque(world()), seed=0)
    assert not agent.compiled
    asked: list[int] = []

    def note(steps: int) -> None:
        asked.append(steps)
        raise Stop

    monkeypatch.setattr(agent, "_make_room", note)
    with pytest.raises(Stop):
        agent.advance(10**13)
    assert asked == [tabular.ROOM]


def test_arguments_that_there_are_not_are_named() -> None:
    for name, arguments, reason in [
        ("NStepSarsa", {"n_step": 3}, "NStepSarsa takes no argument 'n_step', did you mean 'n_steps'"),
        (
            "QLearning",
            {"learning_rat": 0.3},
            "QLearning takes no argument 'learning_rat', did you mean 'learning_rate'",
        ),
        ("OffPolicyMonteCarlo", {"learning_rate": 0.1}, "OffPolicyMonteCarlo takes no argument 'learning_rate'"),
        ("PrioritizedSweeping", {"learning_rate": 0.1}, "PrioritizedSweeping takes no argument 'learning_rate'"),
    ]:
        with pytest.raises(TypeError, match=reason):
            getattr(rlgrid.agents, name)(world(), **arguments)
    for name in NO_RATE:
        with pytest.raises(TypeError, match="positional"):
            getattr(rlgrid.agents, name)(world(), 0.1)


class Seen(gym.Env[Any, Any]):
    def __init__(self, space: Any) -> None:
        self.observation_space, self.action_space = space, gym.spaces.Discrete(2)


def test_spaces_without_a_table_are_named() -> None:
    with pytest.raises(ValueError, match="DQN takes them"):
        rlgrid.agents.Sarsa(Seen(gym.spaces.Box(0, 1, (2,))))
    for space in (gym.spaces.Dict(a=gym.spaces.Discrete(2)), gym.spaces.Text(3)):
        with pytest.raises(ValueError, match="needs Discrete observations") as caught:
            rlgrid.agents.Sarsa(Seen(space))
        assert "DQN" not in str(caught.value)
    with pytest.raises(ValueError, match=f"{2**60} x 2 are too many for this machine's memory"):
        rlgrid.agents.Sarsa(Seen(gym.spaces.Discrete(2**60)))


def test_settings_that_do_not_fit_a_file_are_named(tmp_path: Path) -> None:
    rlgrid.agents.NStepSarsa(world(), seed=0).learn(20).save(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"\(4,\) in the file, and int64 \(8,\) in this world and with these"):
        rlgrid.agents.NStepSarsa.load(tmp_path / "run", world(), n_steps=8)


def test_exponential_schedules_of_any_width() -> None:
    from rlgrid.kernels.exploration import EXPONENTIAL, schedule_at

    assert schedule_at(EXPONENTIAL, 1e-300, 1e300, 100.0, 50, 1) == pytest.approx(1.0)
    assert schedule_at(EXPONENTIAL, 1e300, 1e-300, 100.0, 50, 1) == pytest.approx(1.0)
    assert schedule_at(EXPONENTIAL, 0.5, 0.1, 600.0, 7, 1) == 0.5 * (0.1 / 0.5) ** (7 / 600.0)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("QLearning", {}),
        ("DoubleQLearning", {}),
        ("NStepSarsa", {"n_steps": 4}),
        ("NStepSarsa", {"n_steps": 100}),
        ("TreeBackup", {"n_steps": 100}),
        ("MonteCarlo", {}),
    ],
    ids=name_of,
)
def test_one_over_n_is_the_mean(name: str, extra: dict[str, Any], compiled: bool) -> None:
    """Of targets that are all 1: what was there at the beginning is forgotten with the first of them."""
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [1.0], gamma=0.0)
    agent = agent_of(
        name, world(loop, 1000), learning_rate="1/N", gamma=0.0, initial_q=100.0, seed=0, compiled=compiled, **extra
    )
    assert agent.learn(1000).q_table[0, 0] == pytest.approx(1.0, abs=1e-12)


def test_counts_of_both_tables_add_up(tmp_path: Path) -> None:
    from rlgrid.agents import checkpoint

    agent = rlgrid.agents.DoubleQLearning(world(), seed=0).learn(500)
    assert (agent._first_counts + agent._second_counts == agent.counts).all()
    agent.save(tmp_path / "run")
    arrays, metadata = checkpoint.read(tmp_path / "run")
    checkpoint.write(tmp_path / "bad", arrays | {"agent.first_counts": arrays["agent.counts"]}, metadata)
    with pytest.raises(CheckpointError, match="do not add up"):
        rlgrid.agents.DoubleQLearning.load(tmp_path / "bad", world())
