"""Prediction: each rule against a slow oracle bit for bit, both paths, runs that go on, and the values of a policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tabular_oracles as oracles
from small_worlds import LAKE, WORLDS, Offset, masked_mdp, state_of, world

import rlgrid
from rlgrid.agents import CheckpointError, agent_class, checkpoint
from rlgrid.mdp import MDP

STEPS = 600
LIMIT = 17

RULES: list[tuple[str, dict[str, Any]]] = [
    ("TD0", {}),
    ("NStepTD", {"n_steps": 3}),
    ("TDLambda", {"lam": 0.8}),
    ("TDLambda", {"lam": 0.8, "traces": "replacing"}),
    ("TrueOnlineTDLambda", {"lam": 0.8}),
    ("MonteCarloPrediction", {"visits": "first"}),
    ("MonteCarloPrediction", {"visits": "every"}),
]


def name_of(value: Any) -> str:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def agent_of(name: str, env: Any, **settings: Any) -> Any:
    return getattr(rlgrid.agents, name)(env, **settings)


def same(a: Any, b: Any) -> bool:
    return (
        (a.values == b.values).all()
        and (a.counts == b.counts).all()
        and (a.td_error == b.td_error).all()
        and a.episode_returns == b.episode_returns
        and a.episode_lengths == b.episode_lengths
        and a._generator.bit_generator.state == b._generator.bit_generator.state
        and a.num_timesteps == b.num_timesteps
    )


# --- the rules as the books print them --------------------------------------------------------------------------------


class Naive(oracles.Naive):
    """A table of values, and actions drawn from ``chances``, a dict of probabilities for each state."""

    def __init__(self, mdp: MDP, seed: int, gamma: float, chances: Any, first: Any, rate: Any, **extra: Any) -> None:
        self.chances = chances
        self.values = np.where(mdp.absorbing, 0.0, first)
        super().__init__(mdp, seed, gamma, lambda t, n: 0.0, rate, **extra)

    def act(self, t: int, s: int) -> int:
        u, total = self.rng.random(), 0.0
        for a, p in self.chances[s].items():
            total += p
            if p > 0.0 and total > u:
                return int(a)
        return int([a for a, p in self.chances[s].items() if p > 0.0][-1])

    def follows(self, to: int, terminated: bool) -> float:
        return 0.0 if terminated else float(self.values[to])

    def visits(self, s: int) -> int:
        return int(self.n[s].sum())


class TD0(Naive):
    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        target = r + self.gamma * self.follows(to, terminated)
        self.values[s] += self.rate(t, self.visits(s)) * (target - self.values[s])


class NStepTD(Naive):
    n_steps = 4

    def begin(self) -> None:
        self.waiting: list[tuple[int, float, int]] = []

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.waiting.append((s, r, self.visits(s)))
        while self.waiting and (ended or len(self.waiting) == self.n_steps):
            g = self.follows(to, terminated)
            for _, reward, _ in reversed(self.waiting):
                g = reward + self.gamma * g
            at, _, visit = self.waiting.pop(0)
            self.values[at] += self.rate(t, visit) * (g - self.values[at])


class TDLambda(Naive):
    lam, traces = 0.9, "accumulating"

    def begin(self) -> None:
        self.z = np.zeros(len(self.values))

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        delta = r + self.gamma * self.follows(to, terminated) - self.values[s]
        self.z[s] = self.z[s] + 1.0 if self.traces == "accumulating" else 1.0
        for x in np.flatnonzero(self.z):
            self.values[x] += self.rate(t, self.visits(x)) * delta * self.z[x]
        self.fade(ended)

    def fade(self, ended: bool) -> None:
        self.z *= 0.0 if ended else self.gamma * self.lam
        self.z[self.z < 1e-9] = 0.0


class TrueOnlineTDLambda(TDLambda):
    old = 0.0

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        now, later, alpha = self.values[s], self.follows(to, terminated), self.rate(t, self.visits(s))
        delta = r + self.gamma * later - now
        self.z[s] += alpha * (1.0 - self.z[s])
        for x in np.flatnonzero(self.z):
            self.values[x] += (delta + (now - self.old)) * self.z[x]
        self.values[s] -= alpha * (now - self.old)
        self.old = 0.0 if ended else later
        self.fade(ended)


class MonteCarloPrediction(Naive):
    visits_counted = "first"

    def begin(self) -> None:
        self.episode: list[tuple[int, float]] = []
        self.returns: dict[int, int] = {}

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.episode.append((s, r))
        if not ended:
            return
        g, states = self.follows(to, terminated), [s for s, _ in self.episode]
        for i in reversed(range(len(states))):
            g = self.episode[i][1] + self.gamma * g
            if self.visits_counted == "every" or states[i] not in states[:i]:
                at = states[i]
                self.returns[at] = self.returns.get(at, 0) + 1
                self.values[at] += self.rate(t, self.returns[at]) * (g - self.values[at])
        self.episode = []


ORACLES: dict[str, Any] = {
    kind.__name__: kind for kind in (TD0, NStepTD, TDLambda, TrueOnlineTDLambda, MonteCarloPrediction)
}
RATES: dict[Any, Callable[[int, int], float]] = {
    0.25: lambda t, n: 0.25,
    "1/N^0.7": lambda t, n: 1.0 / float(n) ** 0.7,
    "lin_0.5": lambda t, n: 0.5 * (1.0 - t / STEPS),
    "exp_0.5_0.1": lambda t, n: 0.5 * (0.1 / 0.5) ** (t / STEPS),
}


@pytest.mark.parametrize(
    ("which", "given", "policy", "compiled"),
    [
        ("lake", 0.25, "uniform", True),
        ("lake", "1/N^0.7", "some", False),
        ("masked", "1/N^0.7", "some", True),
        ("masked", "lin_0.5", "one", True),
        ("masked", 0.25, "uniform", False),
        ("parting", 0.25, "uniform", True),
    ],
)
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_a_rule_equals_the_oracle(
    name: str, extra: dict[str, Any], which: str, given: Any, policy: str, compiled: bool
) -> None:
    model = WORLDS[which]()
    allowed = [[a for a in range(model.num_actions) if model.P[s][a]] for s in range(model.num_states)]
    table = np.zeros((model.num_states, model.num_actions))
    rng = np.random.default_rng(5)
    for s, actions in enumerate(allowed):
        share = {"uniform": np.ones(len(actions)), "some": rng.integers(0, 4, len(actions)) + 0.0}.get(policy)
        share = np.eye(len(actions))[-1] if share is None or not share.any() else share
        table[s, actions] = share / share.sum()
    first = np.linspace(-1.0, 1.0, model.num_states)
    settings = {"gamma": 0.9, "seed": 11, "learning_rate": given, "initial_values": first}
    one = np.array([actions[-1] for actions in allowed])
    agent = agent_of(
        name,
        world(model, LIMIT),
        policy={"uniform": "uniform", "some": table, "one": one}[policy],
        compiled=compiled,
        **settings,
        **extra,
    )
    agent.learn(STEPS)
    chances = [{a: table[s, a] for a in actions} for s, actions in enumerate(allowed)]
    own = {"visits_counted" if key == "visits" else key: value for key, value in extra.items()}
    oracle = ORACLES[name](model, 11, 0.9, chances, first, RATES[given], **own)
    _, returns = oracle.run(STEPS, 11, LIMIT)
    assert (agent.values == oracle.values).all()
    assert (agent.counts == oracle.n.sum(axis=1)).all()
    assert agent.episode_returns == returns


def test_other_schedules_equal_the_oracle() -> None:
    test_a_rule_equals_the_oracle("TD0", {}, "masked", "exp_0.5_0.1", "some", True)


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_a_run_that_is_cut_anywhere_ends_the_same(
    tmp_path: Path, name: str, extra: dict[str, Any], compiled: bool
) -> None:
    def env() -> Any:
        return gym.make("rlgrid/FourRooms-v0", max_episode_steps=25)

    def bytes_of(agent: Any) -> bytes:
        agent.save(tmp_path / "one")
        return (tmp_path / "one.safetensors").read_bytes()

    total = 200
    policy = np.random.default_rng(0).dirichlet(np.ones(4), env().observation_space.n)
    whole = agent_of(name, env(), seed=6, policy=policy, compiled=compiled, **extra).learn(total)
    for stop in (1, 24, 25, 60, 123):
        agent = agent_of(name, env(), seed=6, policy=policy, compiled=compiled, **extra)
        agent.chunk_size = stop
        agent.learn(total, callback=lambda _: False)
        assert agent.num_timesteps == stop
        agent.save(tmp_path / "run")
        loaded = type(agent).load(tmp_path / "run", env(), compiled=compiled)
        assert bytes_of(loaded) == bytes_of(agent)
        resumed = type(agent).load(tmp_path / "run", env(), compiled=compiled != (stop == 60)).resume()
        assert same(resumed, whole)
        assert stop == 60 or bytes_of(resumed) == bytes_of(whole)
        assert state_of(resumed.env) == state_of(whole.env)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_an_episode_that_others_broke_off_leaves_nothing_behind(
    name: str, extra: dict[str, Any], compiled: bool
) -> None:
    agent = agent_of(name, world(), seed=0, compiled=compiled, **extra)
    agent.advance(102)
    agent.env.reset()
    agent.advance(1)
    memory = agent._memory()
    assert agent._episode_length <= 1
    assert (memory.get("trace", np.zeros(1)) > 0.0).sum() <= 1
    assert memory.get("waiting.span", [0, 0])[1] <= 1
    assert len(memory.get("episode.states", [])) <= 1


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_values_that_overflow_stop_the_run(tmp_path: Path, name: str, extra: dict[str, Any], compiled: bool) -> None:
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [1e308], gamma=1.0)
    agent = agent_of(name, world(loop, limit=8), learning_rate=1.0, seed=0, compiled=compiled, **extra)
    with pytest.raises(FloatingPointError, match=r"step \d+: in state 0 a value would no longer be finite"):
        agent.learn(100)
    assert np.isfinite(agent.values).all()
    assert np.isfinite(agent.td_error).all()
    agent.save(tmp_path / "run")
    assert same(type(agent).load(tmp_path / "run", world(loop, limit=8)), agent)


@pytest.mark.parametrize(("name", "extra"), RULES, ids=name_of)
def test_files_with_numbers_out_of_range_are_refused(tmp_path: Path, name: str, extra: dict[str, Any]) -> None:
    agent = agent_of(name, world(), seed=0, **extra)
    agent.begin(1000)
    agent.advance(103)
    agent.save(tmp_path / "run")
    arrays, metadata = checkpoint.read(tmp_path / "run")
    for tensor in agent._arrays():
        given = arrays[f"agent.{tensor}"]
        wrong = np.full_like(given, 2**62 if given.dtype == np.int64 else np.nan)
        checkpoint.write(tmp_path / "bad", arrays | {f"agent.{tensor}": wrong}, metadata)
        with pytest.raises(CheckpointError, match=r"outside \[|not numbers|more returns"):
            type(agent).load(tmp_path / "bad", world())
        checkpoint.write(tmp_path / "bad", arrays | {f"agent.{tensor}": np.zeros((3, 3, 3))}, metadata)
        with pytest.raises(CheckpointError, match="in the file"):
            type(agent).load(tmp_path / "bad", world())


@pytest.mark.parametrize(
    ("name", "tensor", "wrong", "reason"),
    [
        ("NStepTD", "waiting.visits", 0, "no visit"),
        ("TDLambda", "trace", -1.0, "a trace in the file is negative"),
        ("MonteCarloPrediction", "returns", 10**6, "more returns of a state than visits"),
    ],
)
def test_what_a_file_remembers_is_checked(tmp_path: Path, name: str, tensor: str, wrong: Any, reason: str) -> None:
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
    from rlgrid.agents import prediction, tabular

    monkeypatch.setattr(prediction, "MOST_EPISODE", 100)
    monkeypatch.setattr(tabular, "MOST_STEPS", 50)
    monkeypatch.setattr(tabular, "ROOM", 50)
    endless = MDP.from_arrays(np.ones((1, 2, 1)), np.ones((1, 2)), gamma=0.9)
    agent = agent_of("MonteCarloPrediction", world(endless, None), seed=0, compiled=compiled)
    with pytest.raises(RuntimeError, match=r"an episode has taken 100 steps .* max_episode_steps"):
        agent.learn(1000)
    assert agent._states.size <= 200
    agent_of("MonteCarloPrediction", world(endless, 90), seed=0, compiled=compiled).learn(1000)


# --- what must hold between the rules ---------------------------------------------------------------------------------


def test_special_cases_are_each_other() -> None:
    def learnt(name: str, **settings: Any) -> Any:
        return agent_of(name, world(), seed=5, **settings).learn(3000).values

    td0 = learnt("TD0")
    assert (learnt("NStepTD", n_steps=1) == td0).all()
    assert (learnt("TDLambda", lam=0.0) == td0).all()
    assert np.abs(learnt("TrueOnlineTDLambda", lam=0.0) - td0).max() < 1e-12
    # Where no episode is cut off and no state comes twice, n steps beyond its end are its return.
    env = world(gym.make("rlgrid/DeepSea-v0").unwrapped.model.to_mdp(), None)  # type: ignore[attr-defined]
    far, every = (
        agent_of(name, env, learning_rate=0.1, seed=5, **settings).learn(3000).values
        for name, settings in (("NStepTD", {"n_steps": 200}), ("MonteCarloPrediction", {"visits": "every"}))
    )
    assert (far == every).all()
    assert (far != 0.0).sum() > 50


@pytest.mark.parametrize(("name", "extra"), [rule for rule in RULES if "lam" in rule[1]], ids=name_of)
def test_all_states_or_those_with_traces_are_the_same(
    monkeypatch: pytest.MonkeyPatch, name: str, extra: dict[str, Any]
) -> None:
    def run() -> Any:
        return agent_of(name, gym.make("rlgrid/FourRooms-v0"), learning_rate="lin_0.3", seed=1, **extra).learn(5000)

    every = run()
    assert every._visits_all()
    monkeypatch.setattr("rlgrid.agents.prediction.FEW_STATES", 0)
    marked = run()
    assert not marked._visits_all()
    assert same(every, marked)
    assert (every.trace == marked.trace).all()


def test_true_online_td_equals_its_forward_view() -> None:
    """van Seijen et al. 2016, section 4.1: after each step all updates of the episode, made anew towards the
    lambda-returns that end at the present step, give the same table; those of the usual traces do not."""
    lam, gamma, alpha = 0.8, 0.9, 0.3

    def distance(name: str, seed: int) -> tuple[int, float]:
        model = MDP.from_arrays(
            np.random.default_rng(1).dirichlet(np.ones(5), (5, 2)), np.arange(10.0).reshape(5, 2), gamma=gamma, start=0
        )
        agent = agent_of(name, world(model, 30), learning_rate=alpha, lam=lam, seed=seed, initial_values=0.5)
        tables, path, rewards, worst = [agent.values], [0], [], 0.0
        agent.begin(30)
        for _ in range(29):
            agent.advance(1)
            path.append(agent.state)
            rewards.append(agent._episode_return - sum(rewards))
            v = tables[0].copy()
            for k in range(len(rewards)):
                g, total, left = 0.0, 0.0, len(rewards) - k
                for n in range(1, left + 1):
                    g += gamma ** (n - 1) * rewards[k + n - 1]
                    value = g + gamma**n * tables[k + n - 1][path[k + n]]
                    total += ((1 - lam) * lam ** (n - 1) if n < left else lam ** (n - 1)) * value
                v[path[k]] += alpha * (total - v[path[k]])
            tables.append(v)
            worst = max(worst, float(np.abs(v - agent.values).max()))
        return len(path), worst

    assert distance("TrueOnlineTDLambda", 2)[1] < 1e-9
    assert distance("TDLambda", 2)[1] > 1e-3


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("name", "extra"), [("TD0", {}), ("NStepTD", {"n_steps": 100}), ("MonteCarloPrediction", {})], ids=name_of
)
def test_one_over_n_is_the_mean(name: str, extra: dict[str, Any], compiled: bool) -> None:
    loop = MDP.from_arrays(np.ones((1, 1, 1)), [1.0], gamma=0.0)
    agent = agent_of(
        name, world(loop, 1000), learning_rate="1/N", initial_values=100.0, seed=0, compiled=compiled, **extra
    )
    assert agent.learn(1000).values[0] == pytest.approx(1.0, abs=1e-12)


# --- the policy -------------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_policy() -> None:
    env: Any = gym.make(LAKE).unwrapped
    model = env.model
    best = rlgrid.solve(model)
    some = np.random.default_rng(0).dirichlet(np.ones(4), 16)
    for given, exact in (
        (best, best.policy),
        (best.policy, best.policy),
        (some, some),
        ("uniform", np.full((16, 4), 0.25)),
    ):
        agent = rlgrid.agents.TD0(env, learning_rate="exp_0.1_0.0005", policy=given, seed=0).learn(1_000_000)
        seen = agent.visits > 0
        assert np.abs(agent.values - rlgrid.policy_values(model, exact))[seen].max() < 0.02
        np.testing.assert_allclose(agent.policy, exact, atol=1e-15)


def test_the_distance_to_the_values_of_the_policy_is_shown() -> None:
    model = masked_mdp([0.2, 0.5, 0.3, 0.0])
    agent = rlgrid.agents.TDLambda(world(model, 50), gamma=0.6, seed=2).learn(300)
    truth = rlgrid.Truth.of(agent)
    assert truth is not None
    point = truth.look(agent)
    # (I - gamma P) V = R, written out: half of the actions that a state has, each.
    P, R = np.zeros((4, 4)), np.zeros(4)
    for s in range(3):
        actions = [a for a in range(3) if model.P[s][a]]
        for a in actions:
            for p, to, r, _ in model.P[s][a]:
                P[s, to] += p / len(actions)
                R[s] += p * r / len(actions)
    gap = np.abs(agent.values - np.linalg.solve(np.eye(4) - 0.6 * P, R))[:3]
    assert point.prediction_error == pytest.approx(gap.max(), rel=1e-9)
    assert point.prediction_rms == pytest.approx(np.sqrt((gap**2).mean()), rel=1e-9)
    weighted = truth.prediction_errors(agent.values, agent.policy, agent.visits)[1]
    mean = (gap**2 * agent.visits[:3]).sum() / agent.visits[:3].sum()
    assert weighted == pytest.approx(np.sqrt(mean), rel=1e-9)
    assert point.share_of_regret == pytest.approx(1.0)  # of the policy that was given, the random one
    assert np.isnan(point.q_error)
    assert point.missing == ""


def test_only_states_in_which_the_policy_acts_count() -> None:
    model: Any = gym.make("rlgrid/RandomWalk-v0").unwrapped.model  # type: ignore[attr-defined]
    truth = rlgrid.Truth(model)
    right = np.ones(21, int)
    values = np.r_[np.full(10, 7.0), np.ones(10), 0.0]
    assert truth.prediction_errors(values, right) == (0.0, 0.0)
    values[15] = 3.0
    assert truth.prediction_errors(values, right) == (2.0, pytest.approx(np.sqrt(4.0 / 10.0)))
    for wrong, reason in (({"values": values[:5]}, "values must be float"), ({"weights": -values}, "weights must be")):
        with pytest.raises(ValueError, match=reason):
            truth.prediction_errors(**({"values": values, "policy": right} | wrong))


def test_a_policy_is_copied_and_followed() -> None:
    env = world()
    teacher = rlgrid.agents.QLearning(env, seed=0).learn(500)
    before = teacher.policy
    agent = rlgrid.agents.TD0(env, policy=teacher, seed=0)
    teacher.learn(20_000)
    assert (agent.policy == before).all()
    assert agent.policy.dtype == np.int64
    assert [agent.predict(s)[0] for s in range(16)] == before.tolist()
    assert (agent.predict(np.arange(16), deterministic=False)[0] == before).all()
    chances = np.tile([0.2, 0.0, 0.5, 0.3], (16, 1))
    agent = rlgrid.agents.TD0(env, policy=chances, seed=0).learn(300)
    drawn = np.bincount(agent.predict(np.zeros(20_000, int), deterministic=False)[0], minlength=4) / 20_000
    assert np.abs(drawn - chances[0]).max() < 0.02
    assert drawn[1] == 0.0
    assert agent.predict(3) == (2, None)
    assert (agent.greedy() == ((agent.visits > 0)[:, None] & (chances > 0.0))).all()


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        ({"policy": "unifrom"}, ValueError, "policy must be 'uniform', .* did you mean 'uniform'"),
        ({"policy": [0] * 15}, ValueError, r"policy must have shape \(16,\)"),
        ({"policy": np.full((16, 4), 0.3)}, ValueError, "state 0: the probabilities of the policy sum to 1.2"),
        ({"policy": [4] * 16}, ValueError, "state 0: action 4 is not one of 0 to 3"),
        ({"initial_values": [0.0] * 15}, ValueError, r"initial_values must be a number or of shape \(16,\)"),
        ({"initial_values": [np.inf] * 16}, ValueError, "initial_values: inf of state 0 is not finite"),
        ({"initial_values": "high"}, TypeError, "initial_values must be a number"),
        ({"initial_values": ["a"] * 16}, TypeError, "initial_values must be an array of numbers, not"),
        ({"initial_values": [[0.0], [1.0, 2.0]]}, TypeError, "initial_values must be an array of numbers, not"),
        ({"policy": [[1, 2], [3]]}, TypeError, "policy must be an array of numbers, not"),
        ({"lam": 0.5}, TypeError, "TD0 takes no argument 'lam'"),
        ({"initial_q": 0.5}, TypeError, "TD0 takes no argument 'initial_q', did you mean 'initial_values'"),
        ({"exploration": "ucb"}, TypeError, "TD0 takes no argument 'exploration'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        rlgrid.agents.TD0(world(), **arguments)


def test_what_a_checkpoint_could_not_keep_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlgrid.agents.prediction.MOST_GIVEN", 16)
    rlgrid.agents.TD0(world(), policy=np.zeros(16, int), initial_values=np.zeros(16))
    with pytest.raises(ValueError, match=r"policy has 64 numbers, and a checkpoint keeps 16 at most: give one action"):
        rlgrid.agents.TD0(world(), policy=np.full((16, 4), 0.25))
    monkeypatch.setattr("rlgrid.agents.prediction.MOST_GIVEN", 15)
    with pytest.raises(ValueError, match="initial_values has 16 numbers, and a checkpoint keeps 15 at most"):
        rlgrid.agents.TD0(world(), initial_values=np.zeros(16))


def test_a_policy_that_draws_is_judged_by_its_draws() -> None:
    """The most probable action is another policy."""
    line = np.zeros((3, 2, 3))
    line[0, 0, 0] = line[0, 1, 1] = line[1, :, 2] = line[2, :, 2] = 1.0
    model = MDP.from_arrays(line, [[-1.0, -1.0]] * 3, gamma=1.0, start=0, terminal=[False, False, True])
    agent = rlgrid.agents.TD0(world(model, 100), policy=[[0.5, 0.5]] * 3, seed=0)
    found = rlgrid.evaluate_policy(agent, world(model, 100), 400, seed=0)
    assert found == pytest.approx((-3.0, np.sqrt(2.0)), abs=0.3)  # steps at the beginning are geometric
    assert rlgrid.evaluate_policy(rlgrid.agents.TD0(world(model, 100), policy=[1, 1, 1]), world(model, 100)) == (-2, 0)


def test_an_action_that_a_state_lacks_is_no_policy() -> None:
    with pytest.raises(ValueError, match="state 0: action 1 is not available there"):
        rlgrid.agents.TD0(world(masked_mdp()), policy=[1, 0, 0, 0])


def test_states_and_actions_that_do_not_count_from_zero() -> None:
    env = Offset()
    agent = rlgrid.agents.TD0(env, learning_rate=0.5, gamma=1.0, policy=[1, 1, 1, 1], seed=0).learn(300)
    np.testing.assert_allclose(agent.values[:3], [-3.0, -2.0, -1.0], atol=1e-6)
    assert agent.predict(5) == (0, None)
    with pytest.raises(ValueError, match=r"policy must have shape \(4,\)"):
        rlgrid.agents.TD0(env, policy=[1, 1])


def test_a_table_of_values_alone_has_no_q_values() -> None:
    agent = rlgrid.agents.TD0(world(), seed=0).learn(50)
    with pytest.raises(AttributeError, match="TD0 has no table of q_values"):
        _ = agent.q_values


def test_predicting_agents_are_found_by_name() -> None:
    for key in ("td0", "n_step_td", "td_lambda", "true_online_td_lambda", "monte_carlo_prediction"):
        assert agent_class(key).__name__ in rlgrid.agents.__all__


# --- episodes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", ["QLearning", "Sarsa", "TD0", "MonteCarloPrediction"])
def test_a_run_by_episodes_is_the_run_by_steps(name: str, compiled: bool) -> None:
    by_episodes, by_steps = (agent_of(name, world(limit=20), seed=3, compiled=compiled) for _ in range(2))
    done = by_episodes.advance_episodes()
    assert done == by_episodes.episode_lengths[0]
    assert len(by_episodes.episode_returns) == 1
    done += by_episodes.advance(3)
    done += by_episodes.advance_episodes(6)
    assert len(by_episodes.episode_returns) == 7
    assert done == by_episodes.num_timesteps == sum(by_episodes.episode_lengths)
    by_steps.advance(done)
    assert same(by_episodes, by_steps)
    assert state_of(by_episodes.env) == state_of(by_steps.env)
    with pytest.raises(ValueError, match="episodes must be at least 1"):
        by_steps.advance_episodes(0)


def test_a_run_follows_the_policy_and_tells_how_far_its_values_are(tmp_path: Path) -> None:
    from rlgrid import training

    config = training.RunConfig("td0", LAKE, 4000, seed=0, eval_freq=2000, eval_episodes=400)
    (tmp_path / "run").mkdir()
    _, found = training.train(config, tmp_path / "run", said=lambda _: None)
    model: Any = gym.make(LAKE).unwrapped.model  # type: ignore[attr-defined]
    random = rlgrid.policy_values(model, np.full((16, 4), 0.25), gamma=1.0)
    assert found.mean_return == pytest.approx(random[0], abs=0.02)  # not that of the first action everywhere, 0
    assert found.prediction_error is not None
    assert found.prediction_error < 0.2
    assert "max |V − V^π| 0." in training.describe(found)
    rows = (tmp_path / "run" / "evaluations.csv").read_text().splitlines()
    assert rows[0].split(",").index("prediction_error") == len(rows[0].split(",")) - 4
    assert len(rows) == 3


def test_a_performer_draws_where_the_policy_does() -> None:
    from rlgrid.commands import Performer

    drawn = {Performer(rlgrid.agents.TD0(world(), seed=seed)).predict(0)[0] for seed in range(20)}
    assert len(drawn) > 1
    assert Performer(rlgrid.agents.TD0(world(), policy=np.full(16, 2), seed=0)).predict(0)[0] == 2


def test_no_draw_takes_an_action_of_probability_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from rlgrid.agents.prediction import _cumulative
    from rlgrid.kernels import prediction

    sums = _cumulative(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.3, 0.7]]))
    assert sums.tolist() == [[0.5, np.inf, np.inf], [0.0, np.inf, np.inf], [0.0, 0.3, np.inf]]
    act: Any = getattr(prediction.act_given, "py_func", prediction.act_given)
    for u, expected in ((0.0, [0, 1, 1]), (0.3, [0, 1, 2]), (1.0 - 2.0**-53, [1, 1, 2])):
        monkeypatch.setattr(prediction, "uniform", lambda _, u=u: u)
        rule = SimpleNamespace(policy=sums)
        assert [act(rule, None, None, None, None, None, 0, s, None) for s in range(3)] == expected


def test_a_trace_below_a_billionth_counts_as_none() -> None:
    from rlgrid.kernels import prediction

    def plain(kernel: Any) -> Any:
        return getattr(kernel, "py_func", kernel)

    trace = np.array([2.2e-9, 1.8e-9, 1.0])
    assert plain(prediction._sweep_all)(trace, np.zeros(3), 0.0, 0.5)
    assert trace.tolist() == [1.1e-9, 0.0, 0.5]
    trace, states, size = np.array([2.2e-9, 1.8e-9, 1.0]), np.arange(3), np.array([3])
    tables = None, None, np.zeros(3), np.zeros(3, int)
    assert plain(prediction._sweep)(trace, states, size, prediction.TRUE_ONLINE, *tables, 0, 0.0, 0.5)
    assert trace.tolist() == [1.1e-9, 0.0, 0.5]
    assert states[: size[0]].tolist() == [0, 2]
