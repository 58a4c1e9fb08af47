"""What the environments do, counted, against what their models say: chi-square for every pair of every world.

Each pair's Pearson statistic is held against chi-square's distribution, the level divided by the number of pairs and of
worlds (Bonferroni), and so is the sum over the pairs of a world, both upwards and downwards. Nothing may happen that is
no outcome of the model; so a pair with one outcome must always give that one. Seeds are fixed.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from rlgrid.envs import CLASSICS, GENERATED, MAPS
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.vector import GridWorldVector
from rlgrid.gridmap import GridSpec
from rlgrid.mdp import MDP

IDS = [*MAPS, *CLASSICS]
LEVEL = 1e-3 / (len(IDS) + len(GENERATED))  # of a false alarm, for one world
LEAST = 10.0  # smaller expected counts are pooled
SAMPLES = 1000  # of each pair
MANY = {"rlgrid/JacksCarRental-v0": 2000}  # whose pairs have 441 outcomes


class Table(NamedTuple):
    """The outcomes of a model, equal ones added up, as sorted numbers that can be searched."""

    codes: NDArray[np.int64]  # [n] of pair, next state, reward and end, ascending
    probability: NDArray[np.float64]  # [n]
    pairs: NDArray[np.int64]  # [n], state * num_actions + action
    rewards: NDArray[np.float64]  # all that there are, ascending
    num_states: int

    def coded(self, pair: Any, to: Any, reward: Any, ends: Any) -> NDArray[np.int64]:
        """The numbers of outcomes; -1 for a reward that there is not."""
        place = np.searchsorted(self.rewards, reward).clip(max=self.rewards.size - 1)
        code = ((np.asarray(pair, np.int64) * self.num_states + to) * self.rewards.size + place) * 2 + ends
        return np.where(self.rewards[place] == reward, code, -1)


def table_of(model: Any) -> Table:
    mdp: MDP = model.to_mdp()
    sizes = np.diff(mdp.offsets)
    pairs = np.repeat(np.arange(sizes.size), sizes)
    total = np.bincount(pairs, mdp.probability, sizes.size)
    used = mdp.probability > 0
    empty = Table(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), np.unique(mdp.reward), mdp.num_states)
    codes = empty.coded(pairs, mdp.next_state, mdp.reward, mdp.terminated)[used]
    codes, place = np.unique(codes, return_inverse=True)
    probability = np.bincount(place, (mdp.probability / total[pairs])[used])
    return Table(codes, probability, codes // (mdp.num_states * empty.rewards.size * 2), empty.rewards, mdp.num_states)


class Fit(NamedTuple):
    """How well the counts of some draws fit to their expectations; one entry for each draw that is random."""

    statistic: NDArray[np.float64]  # Pearson's
    freedom: NDArray[np.int64]
    variance: NDArray[np.float64]  # of the statistic, exact

    def worst(self) -> float:
        """The least chance of a statistic as large as one of these or as their sum, or as small as their sum.

        Corrected for how many they are. The sum is held against the multiple of chi-square that has its exact mean and
        variance.
        """
        if not self.freedom.size:
            return 1.0
        single = float(chi2.sf(self.statistic, self.freedom).min()) * self.freedom.size
        scale = self.variance.sum() / (2 * self.freedom.sum())
        total, freedom = self.statistic.sum() / scale, self.freedom.sum() / scale
        return min(1.0, 2 * single, 4 * float(chi2.sf(total, freedom)), 4 * float(chi2.cdf(total, freedom)))


def fit(counts: NDArray[np.int64], probability: NDArray[np.float64], draws: NDArray[np.int64]) -> Fit:
    """Of counts [n] of outcomes with these probabilities [n], those of one draw having the same number in draws [n].

    The small expectations of a draw are pooled, with further ones where together they are still small.
    """
    statistic, freedom, variance = [], [], []
    begins = np.flatnonzero(np.diff(draws, prepend=-1))
    for first, last in zip(begins, [*begins[1:], draws.size], strict=True):
        if last - first == 1:
            continue
        samples = counts[first:last].sum()
        expected, found = samples * probability[first:last], counts[first:last]
        order = np.argsort(expected, kind="stable")
        expected, found = expected[order], found[order]
        pool = int(np.searchsorted(expected, LEAST))
        while 0 < pool < expected.size and expected[:pool].sum() < LEAST:
            pool += 1
        if pool:
            expected = np.append(expected[pool:], expected[:pool].sum())
            found = np.append(found[pool:], found[:pool].sum())
        k = expected.size
        if k == 1:
            continue
        statistic.append(((found - expected) ** 2 / expected).sum())
        freedom.append(k - 1)
        # Cochran (1952), The chi-square test of goodness of fit: the variance for multinomial counts.
        variance.append(2 * (k - 1) + (1 / expected).sum() - (k * k + 2 * k - 2) / samples)
    return Fit(np.array(statistic), np.array(freedom, np.int64), np.array(variance))


Draws = Iterator[tuple[Any, Any, Any, Any]]  # pairs, next states, rewards, ends: arrays of one length


def frequencies(model: Any, draws: Draws) -> Fit:
    """The fit of what was drawn to a model.

    Raises:
        AssertionError: if something is no outcome of the model, or a pair was never drawn.
    """
    table = table_of(model)
    counts = np.zeros(table.codes.size, np.int64)
    for pair, to, reward, ends in draws:
        codes = table.coded(pair, to, reward, ends)
        place = np.searchsorted(table.codes, codes).clip(max=counts.size - 1)
        wrong = np.flatnonzero(table.codes[place] != codes)
        if wrong.size:
            one = [np.broadcast_to(column, codes.shape)[wrong[0]] for column in (pair, to, reward, ends)]
            raise AssertionError(f"no outcome of the model: {one}")
        counts += np.bincount(place, minlength=counts.size)
    assert np.bincount(table.pairs, counts).min() > 0
    return fit(counts, table.probability, table.pairs)


def by_vector(envs: Any, samples: int) -> Draws:
    """One step of each action in each state, so many times, in the copies of a vector: num_actions * samples."""
    actions = np.repeat(np.arange(envs.single_action_space.n), samples)
    envs.reset(seed=20240)
    for state in range(envs.model.num_states):
        envs.reset(options={"state": state})
        _, rewards, terminated, _, _ = envs.step(actions)
        yield state * envs.single_action_space.n + actions, envs.states, rewards, terminated


def by_one(env: Any, samples: int) -> Draws:
    """The same by a single environment."""
    for state in range(env.model.num_states):
        for action in range(env.model.num_actions):
            found = []
            for _ in range(samples):
                env.state = state
                _, reward, terminated, _, _ = env.step(action)
                found.append((env.state, reward, terminated))
            to, rewards, ends = (np.array(column) for column in zip(*found, strict=True))
            yield np.full(samples, state * env.model.num_actions + action), to, rewards, ends


def vector(world: str, samples: int, **arguments: Any) -> Any:
    number = gym.make(world).action_space.n * samples  # type: ignore[attr-defined]
    envs = gym.make_vec(world, num_envs=number, **arguments)
    assert isinstance(envs, GridWorldVector)
    return envs


def starts_of(envs: Any, rounds: int) -> Fit:
    """The fit of the states in which episodes begin."""
    states, probability = envs.model.start_states, envs.model.start_probability
    counts = np.zeros(envs.model.num_states, np.int64)
    for _ in range(rounds):
        envs.reset()
        counts += np.bincount(envs.states, minlength=counts.size)
    assert counts[states].sum() == counts.sum()
    return fit(counts[states], probability / probability.sum(), np.zeros(states.size, np.int64))


# --- the worlds -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("world", IDS)
def test_every_pair_of_every_world(world: str) -> None:
    samples = MANY.get(world, SAMPLES)
    envs = vector(world, samples)
    assert frequencies(envs.model, by_vector(envs, samples)).worst() > LEVEL
    assert starts_of(envs, 50).worst() > LEVEL


@pytest.mark.parametrize("world", ["rlgrid/CliffWalkingWindy-v0", "rlgrid/RiverSwim-v0"])
def test_every_pair_of_a_small_world(world: str) -> None:
    envs = vector(world, SAMPLES)
    assert frequencies(envs.model, by_vector(envs, SAMPLES)).worst() > LEVEL
    assert starts_of(envs, 5).worst() > LEVEL
    env: Any = gym.make(world).unwrapped
    env.reset(seed=7)
    assert frequencies(env.model, by_one(env, 40)).worst() > LEVEL


@pytest.mark.parametrize("world", GENERATED)
def test_every_pair_of_a_random_map(world: str) -> None:
    env: Any = gym.make(world).unwrapped
    env.reset(seed=11)
    for _ in range(2):
        env.reset()
        assert frequencies(env.model, by_one(env, 60)).worst() > LEVEL


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"is_rainy": True}, {"is_rainy": True, "fickle_passenger": True}])
def test_every_pair_of_taxi_in_rain(arguments: dict[str, Any]) -> None:
    env: Any = gym.make("rlgrid/Taxi-v4", **arguments).unwrapped
    env.reset(seed=3)
    assert frequencies(env.model, by_one(env, 100)).worst() > LEVEL


@pytest.mark.parametrize("world", ["rlgrid/BlockingMaze-v0", "rlgrid/ShortcutMaze-v0"])
def test_every_pair_of_both_maps_of_a_world_that_changes(world: str) -> None:
    env: Any = gym.make(world).unwrapped
    spec = GridSpec.builtin(MAPS[world].map)
    (change,) = spec.changes
    env.reset(seed=5)
    assert frequencies(spec.compile(), by_one(env, 4)).freedom.size == 0
    while env.clock < change.at:
        env.reset()
        env.step(1)
    assert frequencies(spec.compile(at=change.at), by_one(env, 4)).freedom.size == 0
    env.reset(seed=5)
    with pytest.raises(AssertionError, match="no outcome of the model"):
        frequencies(spec.compile(at=change.at), by_one(env, 4))


# --- the test itself --------------------------------------------------------------------------------------------------


def changed(mdp: MDP, pair: int, probability: list[float]) -> MDP:
    """A copy in which one pair has other probabilities."""
    p = mdp.probability.copy()
    p[mdp.offsets[pair] : mdp.offsets[pair + 1]] = probability
    return MDP(
        mdp.num_states,
        mdp.num_actions,
        mdp.offsets,
        mdp.next_state,
        p,
        mdp.reward,
        mdp.terminated,
        gamma=mdp.gamma,
        start=mdp.start,
    )


def off_by_one_pair(mdp: MDP) -> MDP:
    """Three outcomes to different cells, of a third each in truth."""
    return changed(mdp, (3 * 10 + 5) * 8 + 1, [0.45, 0.3, 0.25])


def off_everywhere(mdp: MDP) -> MDP:
    """Each pair by hardly more than a standard error."""
    p = mdp.probability.copy()
    three = np.repeat(np.diff(mdp.offsets) == 3, np.diff(mdp.offsets))
    p[three] = np.tile([0.36, 0.32, 0.32], three.sum() // 3)
    offsets, to = mdp.offsets, mdp.next_state
    settings: dict[str, Any] = {"gamma": mdp.gamma, "start": mdp.start}
    return MDP(mdp.num_states, mdp.num_actions, offsets, to, p, mdp.reward, mdp.terminated, **settings)


@pytest.mark.parametrize("wrong", [off_by_one_pair, off_everywhere])
def test_a_wrongly_weighted_model_is_refused(wrong: Callable[[MDP], MDP]) -> None:
    truth = GridSpec.builtin("windy_gridworld_stochastic").compile().to_mdp()
    envs = GridWorldVector(8 * SAMPLES, model=wrong(truth))
    assert frequencies(truth, by_vector(envs, SAMPLES)).worst() < LEVEL / 100
    same = GridWorldVector(8 * SAMPLES, model=truth)
    assert frequencies(truth, by_vector(same, SAMPLES)).worst() > LEVEL


def test_samples_that_are_too_even_are_refused() -> None:
    """As from a generator that deals its numbers out in turns."""
    draws = np.repeat(np.arange(100), 2)
    counts, probability = np.full(200, 50), np.full(200, 0.5)
    assert fit(counts, probability, draws).worst() < 1e-9


def test_what_the_model_has_not_is_refused() -> None:
    env = GridWorld(map="dyna_maze")
    env.reset(seed=0)
    with pytest.raises(AssertionError, match="no outcome of the model"):
        frequencies(GridSpec.builtin("blocking_maze").compile(), by_one(env, 2))


def test_the_level_holds() -> None:
    """Of 2000 fits of true counts, with a small expectation among them, few are as bad as one in a hundred or worse."""
    generator = np.random.default_rng(8)
    probability = np.array([0.03, 0.17, 0.8])
    counts = generator.multinomial(SAMPLES, probability, size=(2000, 6))
    each = [fit(one.ravel(), np.tile(probability, 6), np.repeat(np.arange(6), 3)).worst() for one in counts]
    assert 2 <= np.sum(np.array(each) < 0.01) <= 40
