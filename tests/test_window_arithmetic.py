"""What the inspector writes out equals the tables: backups, last updates, targets of a network, and its gradients."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rlgrid import GridSpec
from rlgrid.agents import AGENTS, agent_class
from rlgrid.envs import CLASSICS, WORLDS
from rlgrid.envs.gridworld import from_map
from rlgrid.window import networks, recurrence, steps, updates
from rlgrid.window.actors import outcomes_of
from rlgrid.window.arithmetic import Factor, Update, backup, backup_terms, contrast, discounted, read_values
from rlgrid.window.engine import Engine
from rlgrid.window.scenario import Scenario

NEAR = 1e-12
FEW = ["rlgrid/FrozenLake-v1", "rlgrid/CliffWalking-v1", "rlgrid/WindyGridworldStochastic-v0", "rlgrid/RiverSwim-v0"]
TOLD = [name for name in AGENTS if agent_class(name).__name__ in updates.RULES]
OTHERS = {"value_iteration", "dqn", "recurrent_dqn"}  # these are no rules for tables, and have tests of their own
SETTINGS: dict[str, dict[str, Any]] = {
    "r_max": {"visits_to_know": 3, "gamma": 0.9},
    "ucb_q_learning": {"horizon": 9},
    "ucbvi": {"horizon": 9},
    "psrl": {"horizon": 9},
}
"""Under which they plan often."""
RANDOM = ["rlgrid/RandomFrozenLake-v0", "rlgrid/RandomMaze-v0"]  # of which the first map is taken
EVERY = [name for name in (*WORLDS, *CLASSICS, *RANDOM) if name not in FEW]
SEEN_OTHERWISE = {name for name in gym.registry if name.startswith("rlgrid/") and "OneHot" in name}
NO_TABLE = {"rlgrid/Acrobot-v1", "rlgrid/CartPole-v1", "rlgrid/MountainCar-v0", "rlgrid/GridWorld-v0"}
"""Of pictures or of numbers, and the one that has no map of its own."""


def near(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR * max(1.0, abs(other))


def share(found: list[float]) -> float:
    """Of numbers, the share that shows something: 0 equals 0 however it came about."""
    return float(np.mean(np.abs(found) > 1e-6))


def new_env(world: str) -> Any:
    if world in CLASSICS:
        env = gym.make(world)
        hidden = env.unwrapped.observation_of is not None  # its states are only partly observed
        return from_map(model=env.unwrapped.model) if hidden else env
    if world in RANDOM:
        env = gym.make(world)
        env.reset(seed=1)
        return from_map(model=env.unwrapped.model)
    return from_map(model=GridSpec.builtin(WORLDS[world][0]).compile())


def cells(model: Any, seed: int = 0, many: int = 12) -> list[int]:
    """States at random in which something can be done."""
    there = np.flatnonzero(~np.asarray(model.absorbing, np.bool_))
    return [int(s) for s in np.random.default_rng(seed).choice(there, min(many, there.size), replace=False)]


# --- planners -----------------------------------------------------------------------------------------------------


def check_planner(world: str, method: str) -> None:
    agent: Any = agent_class("value_iteration")(env=new_env(world), method=method)
    agent.begin(None)
    if agent.gamma < 1.0:
        there, start = ~np.asarray(agent.model.absorbing, np.bool_), agent.values
        start[there] = np.random.default_rng(4).normal(size=there.sum())
        agent._set_arrays(agent._arrays() | {"values": start})
    else:  # a loop for nothing keeps a value that is too large, and is swept as one with the way out of it
        agent.advance(4)
    worths: list[float] = []
    for _ in range(3):
        before, q_before = agent.values, agent.q_values
        agent.advance(1)
        in_place = method == "gauss_seidel"
        read, q = (agent.values, agent.q_values) if in_place else (before, q_before)
        for s in cells(agent.model):
            found = [backup(backup_terms(each, read), agent.gamma) for each in outcomes_of(agent.model, s)]
            for a, sum_ in enumerate(found):
                assert sum_ == q[s, a] or near(sum_, q[s, a]), (s, a)
            if not in_place:
                assert near(max(found), agent.values[s])
            worths += found
    assert share(worths) > 0.5


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
@pytest.mark.parametrize("world", FEW)
def test_backups_are_what_the_sweep_wrote(world: str, method: str) -> None:
    check_planner(world, method)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
@pytest.mark.parametrize("world", EVERY)
def test_backups_are_what_the_sweep_wrote_in_every_world(world: str, method: str) -> None:
    check_planner(world, method)


@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
def test_what_the_window_shows_of_a_planner_belongs_together(method: str) -> None:
    """The values that are read, the sums and the action values of one snapshot."""
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", settings={"method": method}), patient=True)
    engine.advance(4)
    shot = engine.snapshot()
    values = read_values(SimpleNamespace(snapshot=shot, plans=True, in_place=method == "gauss_seidel"))
    assert values is not None
    assert shot.q_values is not None
    for s in cells(engine.model):
        for a, each in enumerate(outcomes_of(engine.model, s)):
            assert near(backup(backup_terms(each, values), engine.gamma), float(shot.q_values[s, a]))


CHANGES: list[tuple[Any, ...]] = [
    ("change", "gamma", 0.6),
    ("change", "slip", 0.3),
    ("change", "step_reward", -0.2),
    ("change", "tolerance", 1e-3),
    ("remap", GridSpec.builtin("frozen_lake_4x4").dump().replace("FHFH", "FHFF"), "ice"),
    ("remap", GridSpec.builtin("frozen_lake_4x4").dump(), "undone"),
    ("restore",),
]


@pytest.mark.parametrize("sweeps", [1, 7])
@pytest.mark.parametrize("method", ["value_iteration", "gauss_seidel"])
def test_what_is_shown_of_a_planner_that_was_changed_while_it_stood_belongs_together(method: str, sweeps: int) -> None:
    """After every slider, a brush and its undoing, and walked back onto the change: the sum is Q, and one backup."""
    engine = Engine(Scenario("rlgrid/FrozenLake-v1", settings={"method": method}), patient=True)
    engine.advance(sweeps)

    def check() -> None:
        shot = engine.snapshot()
        values = read_values(SimpleNamespace(snapshot=shot, plans=True, in_place=method == "gauss_seidel"))
        assert values is not None
        assert shot.q_values is not None
        np.testing.assert_array_equal(shot.values, engine.agent.values)
        np.testing.assert_array_equal(shot.values, values)
        assert engine.gamma == next(p.value for p in engine.parameters() if p.name == "gamma")
        for s in np.flatnonzero(~np.asarray(engine.model.absorbing, np.bool_)):
            for a, each in enumerate(outcomes_of(engine.model, int(s))):
                assert near(backup(backup_terms(each, values), engine.gamma), float(shot.q_values[s, a]))
        assert np.isfinite(shot.lower).all()
        assert (shot.lower <= shot.optimal + NEAR).all()
        assert (shot.optimal <= shot.upper + NEAR).all()

    for change in CHANGES:
        engine.obey(*change)
        check()
    engine.obey("change", "method", "value_iteration" if method == "gauss_seidel" else "gauss_seidel")
    engine.obey("change", "method", method)
    check()
    engine.advance(3)
    engine.obey("seek", sweeps)
    check()


def test_why_not_another_action_adds_up() -> None:
    model = GridSpec.builtin("frozen_lake_4x4").compile()
    values = np.random.default_rng(1).normal(size=model.num_states)
    for s in cells(model):
        sums = [backup_terms(each, values) for each in outcomes_of(model, s)]
        for first in sums:
            for second in sums:
                rows = contrast(first, second, 0.9)
                gap = backup(first, 0.9) - backup(second, 0.9)
                assert near(sum(row.more for row in rows), gap)
                assert [abs(row.more) for row in rows] == sorted((abs(row.more) for row in rows), reverse=True)
                assert sum(row.first for row in rows) == pytest.approx(1.0)


def test_a_sum_without_outcomes_is_of_no_action() -> None:
    assert backup([], 0.9) == -np.inf
    assert discounted(0.5, 0) == ()
    assert discounted(0.5, 3) == (Factor("γ³", 0.125),)


# --- learners -----------------------------------------------------------------------------------------------------


def shown(agent: Any) -> Any:
    """The table that the window shows of a learner, as it is."""
    if agent._learnt().ndim == 1:
        return agent._learnt().copy()
    return agent.q_values


LONG = 3_000
CHAINED = ("dyna_q", "dyna_q_plus", "prioritized_sweeping", "n_step_sarsa", "n_step_td", "tree_backup")
"""In one step they may read what they have just written, and write it again."""
PLANNING = {"DynaQ", "DynaQPlus"}
OPTIMISTIC = ("r_max", "ucbvi")  # they begin with the most that is possible, and rely on it


def fill(agent: Any, seed: int = 5) -> None:
    """Put random numbers into the tables that a learner learns: what is 0 shows no error."""
    random = np.random.default_rng(seed)
    doubled = type(agent).__name__ == "DoubleQLearning"
    for table in (agent.first, agent.second) if doubled else (agent._learnt(),):
        there = np.isfinite(table)
        table[there] = random.normal(size=there.sum())


def check_learner(world: str, name: str, steps_told: int = 60, begin: int = 400, **settings: Any) -> int:
    """Step by step, what is told of the state that was left, of three that changed and of two others at random: it is
    what the table has. How many updates were told; most of them have numbers that are not 0."""
    env = new_env(world)
    if "monte_carlo" in name and world != FEW[0]:
        env = gym.wrappers.TimeLimit(env, 40)  # an episode by chance is of thousands of steps there
    agent: Any = agent_class(name)(env=env, seed=1, **(SETTINGS.get(name, {}) | settings))
    assert updates.explains(agent)
    agent.begin(5_000)
    agent.advance(begin)
    if name not in OPTIMISTIC:
        fill(agent)
    random, told, sizes, read = np.random.default_rng(3), 0, [], []
    for step in range(LONG):  # what learns seldom is waited for
        if step >= steps_told and told:
            break
        before, old, was = steps.standing(agent), agent._learnt().copy(), shown(agent)
        agent.advance(1)
        now = shown(agent)
        changed = np.unique(np.argwhere(now != was)[:, 0]) if name != "ucb_q_learning" else np.array([before.state])
        changed = [int(s) for s in random.permutation(changed)[:3]]
        anywhere = [int(s) for s in random.integers(len(now), size=2)]
        for s in {before.state, *changed, *anywhere}:
            last = {update.action: update for update in updates.told(agent, before, s) if update is not None}
            if np.array_equal(agent._learnt(), old) or name == "ucb_q_learning":
                pass  # nothing changed, or another step of the round did
            elif last:
                rows = np.atleast_1d(now[s]), np.atleast_1d(was[s])
                moved = {int(a) for a in np.flatnonzero(rows[0] != rows[1])}
                actions = {0 if a is None else a for a in last}
                traced = "lambda" in name  # of a state's actions the one with the largest trace is told
                assert moved <= actions or (traced and moved & actions), "every value that changed is told"
            else:
                assert s not in changed, "a value that changed is told"
            told += len(last)
            for update in last.values():
                check_update(agent, update, name, now, was)
                read += [is_read(agent, before, update, factor) for factor in factors_of(update)]
                sizes.append(update.target if name in OPTIMISTIC else update.error)
    assert share(sizes) >= 0.5
    chained = name in CHAINED or settings.get("visits") == "every"
    assert np.mean(read or True) >= (0.7 if chained else 1.0), "a number is that of the cell which it lights up"
    return told


def factors_of(update: Update) -> list[Factor]:
    found = [update.base, *(factor for part in update.parts for factor in part)]
    return [factor for factor in found if factor.state is not None]


def is_read(agent: Any, before: steps.Standing, update: Update, factor: Factor) -> bool:
    """Whether a number is what stood in the cell that it is said to be of, before the step or, in a plan, after it."""
    name, s, a = type(agent).__name__, factor.state, factor.action
    assert s is not None
    if factor.symbol.startswith("r"):  # where a reward was received; of a plan it may be any
        return name in PLANNING or factor.symbol != "r" or agent._episode_length == 0 or s == agent.state
    if factor.symbol.startswith("π"):
        assert a is not None
        return near(factor.value, steps.behaviour(agent, before, s)[a])
    if factor.symbol.endswith("before"):  # of true online traces: the value of this state when it was come to
        return factor.value == before.memory["previous"][0]
    if name in ("UCBVI", "PSRL") and factor.symbol.startswith("V"):
        return factor.value == agent.q_table[1, s].max()
    if name == "RMax" and factor.symbol.startswith("V"):
        return abs(factor.value - agent.q_table[s].max()) <= agent.planning_tolerance * agent._width
    place = s if a is None else (s, a)
    if name == "DoubleQLearning":
        return factor.value == before.memory["first" if factor.symbol.startswith("Q₁") else "second"][place]
    if name == "UCBQLearning":
        h = int(before.memory["step"][0])
        if factor == update.base:
            return factor.value == before.table[h * agent._num_states + s, a]
        return factor.value == min(float(agent._ceiling[h + 1]), before.table[(h + 1) * agent._num_states + s, a])
    return factor.value in (before.table[place], agent._learnt()[place])


def check_update(agent: Any, update: Update, name: str, now: Any, was: Any) -> None:
    place = update.state if update.action is None else (update.state, update.action)
    assert update.count == agent.num_timesteps
    assert update.result is not None
    assert update.new is not None
    if name == "double_q_learning":
        assert update.new in (agent.first[place], agent.second[place])
        assert near(0.5 * (agent.first[place] + agent.second[place]), now[place])
    else:
        assert near(update.new, now[place])
    assert near(update.result, update.new)
    if update.planned:
        assert update.old == was[place] or name == "prioritized_sweeping"  # which may back a pair up twice
    elif name in ("q_learning", "sarsa", "expected_sarsa", "td0", "double_q_learning", "ucb_q_learning"):
        assert near(update.error, float(agent.td_error[update.state]))
        assert name in ("double_q_learning", "ucb_q_learning") or update.old == was[place]


BEGIN = {"r_max": 10, "prioritized_sweeping": 50}  # steps before, where others than 400 show more


def test_every_agent_is_told_of() -> None:
    assert set(AGENTS) == OTHERS | set(TOLD)


@pytest.mark.parametrize("name", TOLD)
def test_the_last_update_is_what_changed_the_table(name: str) -> None:
    begin = 1_500 if name == "prioritized_sweeping" else BEGIN.get(name, 400)  # by then it has found the reward
    assert check_learner("rlgrid/FrozenLake-v1", name, begin=begin) > 5


@pytest.mark.parametrize("world", FEW[1:])
@pytest.mark.parametrize("name", TOLD)
def test_the_last_update_in_other_worlds(world: str, name: str) -> None:
    at_each_step = name in ("q_learning", "sarsa")
    told = check_learner(world, name, 30 if at_each_step else 10, BEGIN.get(name, 400))
    assert told == 30 if at_each_step else told > 0


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sarsa", {"learning_rate": "1/N"}),
        ("q_learning", {"learning_rate": "lin_0.5"}),
        ("expected_sarsa", {"exploration": "softmax"}),
        ("sarsa_lambda", {"traces": "dutch"}),
        ("q_lambda", {"traces": "accumulating", "learning_rate": "1/N"}),
        ("monte_carlo", {"visits": "every"}),
        ("n_step_sarsa", {"learning_rate": "1/N", "n_steps": 3}),
        ("tree_backup", {"learning_rate": "1/N", "n_steps": 3}),
        ("n_step_td", {"learning_rate": "1/N"}),
        ("dyna_q", {"learning_rate": "1/N"}),
        ("dyna_q_plus", {"kappa": 0.1, "planning_steps": 3}),
        ("prioritized_sweeping", {"threshold": 0.0, "initial_q": 0.5, "begin": 30}),
        ("r_max", {"gamma": 1.0, "begin": 10}),
        ("ucb_q_learning", {"bonus": "hoeffding"}),
        ("ucb_q_learning", {"correction_scale": 1e-3}),
        ("ucbvi", {"bonus": "hoeffding"}),
        ("ucbvi", {"correction_scale": 1.0, "bonus_scale": 1e-4}),
        ("psrl", {"prior_transitions": 0.5, "horizon": 7}),
    ],
)
def test_the_last_update_under_other_settings(name: str, settings: dict[str, Any]) -> None:
    assert check_learner("rlgrid/FrozenLake-v1", name, **settings) > 0


@pytest.mark.parametrize("name", ["sarsa", "n_step_sarsa", "sarsa_lambda", "monte_carlo", "off_policy_monte_carlo"])
def test_a_truncated_episode_keeps_what_follows(name: str) -> None:
    """Its last step bootstraps from the action that was decided on, though the rule then forgets it."""
    env = gym.wrappers.TimeLimit(from_map(model=GridSpec.builtin("four_rooms").compile()), 7)
    settings = {} if name == "off_policy_monte_carlo" else {"learning_rate": 0.5}
    agent: Any = agent_class(name)(env=env, seed=3, **settings)
    agent.begin(5_000)
    there = np.isfinite(agent.q_table)
    agent.q_table[there] = np.random.default_rng(2).normal(size=there.sum())
    told = 0
    for _ in range(70):
        before, ended = steps.standing(agent), len(agent.episode_returns)
        agent.advance(1)
        update = updates.update_of(agent, before, before.state)
        if len(agent.episode_returns) > ended and update is not None:
            told += 1
            assert near(float(update.result or 0.0), float(agent.q_table[update.state, update.action]))
    assert told >= 5


@pytest.mark.slow
@pytest.mark.parametrize("world", EVERY)
def test_the_last_update_in_every_world(world: str) -> None:
    for name in ("q_learning", "sarsa"):
        assert check_learner(world, name, steps_told=25) >= 25


def test_there_is_no_world_but_these() -> None:
    """What is checked in every world is checked in all that are registered and have states."""
    registered = {name for name in gym.registry if name.startswith("rlgrid/")}
    assert {*FEW, *EVERY} | SEEN_OTHERWISE | NO_TABLE == registered
    assert len({*FEW, *EVERY}) >= 41


def test_foreign_environments_are_told_of_nothing() -> None:
    slippery = agent_class("q_learning")(env=gym.make("FrozenLake-v1"))
    assert not updates.explains(slippery)
    assert updates.why_not_told(slippery) == "Its environment does not tell which outcomes it drew."


# --- the network --------------------------------------------------------------------------------------------------


def a_dqn(world: str = FEW[0], steps: int = 400, **settings: Any) -> Any:
    network = {"net_arch": [8, 8], "activation_fn": "relu"}
    settings = {"policy_kwargs": network, "learning_starts": 100, "batch_size": 16} | settings
    agent: Any = agent_class("dqn")(env=new_env(world), seed=1, **settings)
    agent.begin(2_000)
    agent.advance(steps)
    return agent


def check_targets(agent: Any) -> None:
    """The targets of a batch are those that the gradient step had, from the networks before it."""
    for _ in range(3):
        learner = agent._learner
        theta, target = learner.network.theta.copy(), learner.target.copy()
        agent.advance(agent.n_envs)
        for i, place in enumerate(learner.batch.index[:6]):
            update = networks.target_update(agent, int(place), theta, target)
            assert near(update.target, float(learner.targets[i]))
            assert near(update.error, float(learner.errors[i]))


C51 = {
    "loss": "cross_entropy",
    "policy_kwargs": {"net_arch": [8, 8], "activation_fn": "relu", "v_min": -0.3, "v_max": 0.9, "n_atoms": 13},
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"double_q": False, "n_steps": 3},
        {"exploration_bonus": 0.5, "directed": False},
        {"clip_targets": False},
        {"n_envs": 3, "n_steps": 2},
        C51,
        C51 | {"double_q": False, "n_steps": 3, "n_envs": 2},
        C51 | {"clip_targets": False},
    ],
)
def test_the_target_is_that_of_the_gradient_step(settings: dict[str, Any]) -> None:
    check_targets(a_dqn(**settings))


@pytest.mark.slow
@pytest.mark.parametrize("world", EVERY)
def test_the_target_is_that_of_the_gradient_step_in_every_world(world: str) -> None:
    check_targets(a_dqn(world, 150))


@pytest.mark.parametrize("world", FEW[:3])
def test_the_target_of_distributions_is_that_of_the_gradient_step(world: str) -> None:
    """Atom by atom."""
    agent = a_dqn(world, 150, **C51)
    for _ in range(3):
        learner = agent._learner
        theta, target = learner.network.theta.copy(), learner.target.copy()
        agent.advance(1)
        for i, place in enumerate(learner.batch.index[:6]):
            found, mean = networks.projected(agent, int(place), theta, target)
            np.testing.assert_allclose(found, learner.network.targets[i], rtol=0, atol=NEAR)
            assert near(mean, float(learner.targets[i]))
            assert found.sum() == pytest.approx(1.0)


def test_the_distributions_of_a_cell_have_its_values_as_means() -> None:
    agent = a_dqn(**C51)
    for s in (0, 4, 14):
        look = networks.inside(agent, s)
        assert look.returns is not None
        chances, atoms = agent.distribution(s)
        np.testing.assert_array_equal(look.returns.chances, chances)
        np.testing.assert_allclose(chances @ atoms, agent.q_values[s], atol=1e-6)
        assert [layer.units for layer in look.layers] == [8, 8]
        assert look.similarity is not None
        assert look.similarity[s] == pytest.approx(1.0)
        gradient = networks.gradient(agent, s)
        theta, best = agent._learner.network.theta, int(agent.q_values[s].argmax())
        for k in np.random.default_rng(s).choice(np.flatnonzero(np.abs(gradient) > 1e-2), 5, replace=False):
            sides = []
            for nudge in (1e-2, -1e-2):
                other = theta.copy()
                other[k] += nudge
                sides.append((float(agent._evaluate(np.array([s], np.int32), other)[0, best]), float(other[k])))
            slope = (sides[0][0] - sides[1][0]) / (sides[0][1] - sides[1][1])
            assert slope == pytest.approx(gradient[k], rel=0.05, abs=2e-3)


@pytest.mark.parametrize("world", FEW[:3])
@pytest.mark.parametrize("settings", [{}, {"burn_in": 3, "sequence_length": 6, "double_q": False}])
def test_the_target_of_a_network_that_remembers_is_that_of_the_gradient_step(
    world: str, settings: dict[str, Any]
) -> None:
    small = {"learning_starts": 50, "batch_size": 4, "policy_kwargs": {"net_arch": [{"lstm": 8}]}}
    agent: Any = agent_class("recurrent_dqn")(env=new_env(world), seed=1, **small, **settings)
    agent.begin(2_000)
    agent.advance(200)
    checked = 0
    for step in range(12):  # there is a gradient step in every fourth
        learner = agent._learner
        theta, target = learner.network.theta.copy(), learner.target.copy()
        agent.advance(1)
        if step % 4 < 3:
            continue
        for i, (place, burned, count) in enumerate(zip(learner.index, learner.burned, learner.lengths, strict=True)):
            sequence = int(place), int(burned), int(count)
            for t in range(int(burned), int(count), 3):
                at = (int(place) + t) % agent.buffer_size
                update = recurrence.target_update(agent, at, theta, target, sequence)
                assert near(update.target, float(learner.targets[t * agent.batch_size + i]))
                checked += 1
    assert checked > 20
    s = int(agent.visits.argmax())
    place = networks.last_transition(agent, s)
    assert place is not None
    begins, burned, count = recurrence.sequence_around(agent, place)
    assert 0 <= (place - begins) % agent.buffer_size < count
    assert recurrence.target_update(agent, place).state == s


def test_what_a_network_remembers_is_what_it_acts_by() -> None:
    agent: Any = agent_class("recurrent_dqn")(env=new_env(FEW[0]), seed=1)
    agent.begin(500)
    agent.advance(123)
    state = agent._learner.state.copy()
    now = recurrence.inside(agent, 3).now
    assert now is not None
    assert now.state == agent.state
    action, after = agent.predict(agent.state, state)
    assert int(now.values.argmax()) == action
    np.testing.assert_array_equal(now.memory, after[0])
    np.testing.assert_array_equal(agent._learner.state, state)
    assert recurrence.has_memory(agent)
    assert not networks.has_network(agent)


def test_the_last_transition_of_a_state_is_the_newest() -> None:
    agent = a_dqn(buffer_size=150)
    replay = agent._learner.replay
    order = [(int(replay.counters[0]) + i) % 150 for i in range(150)]  # the oldest first
    for s in range(16):
        mine = [place for place in order if replay.observations[place] == s]
        assert networks.last_transition(agent, s) == (mine[-1] if mine else None)


def values_of(agent: Any, theta: np.ndarray, state: int) -> np.ndarray:
    """A dense ReLU network in NumPy and float64, its layers read off in order."""
    widths, first, x = [16, 8, 8, 4], 0, np.eye(16)[state]
    for layer, (inputs, units) in enumerate(itertools.pairwise(widths)):
        weights = theta[first : first + inputs * units].reshape(inputs, units)
        first += inputs * units
        x = x @ weights + theta[first : first + units]
        first += units
        x = np.maximum(x, 0.0) if layer < 2 else x
    return x


def test_gradients_are_those_of_finite_differences() -> None:
    agent = a_dqn()
    theta = agent._learner.network.theta.astype(np.float64)
    kept = {name: getattr(agent._learner.network, name).copy() for name in ("gradient", "work", "deltas", "theta")}
    found = {}
    for s in (0, 4, 14):
        gradient = networks.gradient(agent, s)
        slopes = np.empty(theta.size)
        for k in range(theta.size):
            nudge = np.zeros(theta.size)
            nudge[k] = 1e-6
            up, down = (values_of(agent, theta + sign * nudge, s).max() for sign in (1.0, -1.0))
            slopes[k] = (up - down) / 2e-6
        np.testing.assert_allclose(gradient, slopes, atol=2e-6 * max(1.0, np.abs(slopes).max()))
        found[s] = slopes
    similar = networks.similarity(agent, 4)
    assert similar[4] == pytest.approx(1.0)
    for s, slopes in found.items():
        cosine = slopes @ found[4] / np.linalg.norm(slopes) / np.linalg.norm(found[4])
        assert similar[s] == pytest.approx(cosine, abs=1e-5)
    for name, array in kept.items():  # a look leaves no trace
        np.testing.assert_array_equal(getattr(agent._learner.network, name), array)


def test_looks_into_a_network_are_bounded_in_time() -> None:
    agent = a_dqn()
    look = networks.inside(agent, 4, patience=0.0)
    assert look.similarity is not None
    assert np.isfinite(look.similarity).sum() == 1  # of the state itself, which comes first
    assert [layer.units for layer in look.layers] == [8, 8]
    np.testing.assert_array_equal(look.layers[1].outputs, agent._outputs(np.array([4], np.int32))[1][1][0])
    assert networks.has_network(agent)
    assert not networks.has_network(agent_class("q_learning")(env=new_env(FEW[0])))
