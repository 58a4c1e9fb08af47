"""The replay memory against a list of transitions: the ring, what each led to, the tree of sums, n-step returns."""

import math

import numpy as np
import pytest
from numba import njit

from rlgrid.agents import memory
from rlgrid.agents.checkpoint import CheckpointError
from rlgrid.kernels import replay as kernels
from rlgrid.kernels.replay import FINALS, GOES_ON, TERMINATED, TRUNCATED, UNUSED, new_batch, new_replay


@njit(nogil=True)
def store(replay, observation, action, reward, ending, arrival, mask):
    kernels.store(replay, observation, action, reward, ending, arrival, mask)


@njit(nogil=True)
def look(replay, arrival, gamma, n_steps, batch):
    kernels.unroll(replay, arrival, gamma, n_steps, np.zeros((0, 0), np.int64), 0.0, batch)


@njit(nogil=True)
def draw(replay, beta, stream, batch):
    kernels.draw_prioritized(replay, beta, stream, batch.index, batch.weights)


@njit(nogil=True)
def weigh(replay, index, errors, alpha, eps):
    kernels.update_priorities(replay, index, errors, alpha, eps)


class Run:
    """Episodes of random lengths whose observations are all different, into a memory and into a plain list."""

    def __init__(self, size, *, prioritized=False, seed=0):
        self.replay = new_replay(size, (), np.int32, prioritized)
        self.rng = np.random.default_rng(seed)
        self.rows = {}  # by place: (observation, action, reward, ending, next observation)
        self.seen = 0
        self.observation, self.arrival = np.zeros(1, np.int32), np.zeros(1, np.int32)
        self.mask = np.zeros((0, 0), np.bool_)

    def step(self, ending=None):
        size = self.replay.actions.size
        if ending is None:
            ending = int(self.rng.choice([GOES_ON, TRUNCATED, TERMINATED], p=[0.7, 0.15, 0.15]))
        action, reward = int(self.rng.integers(4)), float(np.float32(self.rng.normal()))
        self.arrival[0] = self.observation[0] + 1
        store(self.replay, self.observation, action, reward, ending, self.arrival, self.mask)
        self.newest = self.seen % size
        self.rows[self.newest] = (int(self.observation[0]), action, reward, ending, int(self.arrival[0]))
        self.seen += 1
        self.observation[0] = self.arrival[0] if ending == GOES_ON else self.arrival[0] + 1

    def returns(self, place, gamma, n_steps):
        """(discounted rewards, discount of what follows, its observation), from the list."""
        total, k = 0.0, 0
        while True:
            _, _, reward, ending, following = self.rows[place]
            total += gamma**k * reward
            k += 1
            if ending != GOES_ON or k == n_steps or place == self.newest:
                return total, 0.0 if ending == TERMINATED else gamma**k, following
            place = (place + 1) % self.replay.actions.size


@pytest.mark.parametrize("n_steps", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_every_transition_comes_back_with_what_followed_it(size, n_steps):
    run = Run(size)
    for t in range(120):
        run.step()
        filled = min(t + 1, size)
        batch = new_batch(filled, (), np.int32)
        batch.index[:] = np.arange(filled)
        look(run.replay, run.arrival, 0.9, n_steps, batch)
        expected = [run.returns(place, 0.9, n_steps) for place in range(filled)]
        np.testing.assert_array_equal(batch.observations, [run.rows[place][0] for place in range(filled)])
        np.testing.assert_allclose(batch.rewards, [row[0] for row in expected], rtol=1e-12)
        np.testing.assert_allclose(batch.discount, [row[1] for row in expected], rtol=1e-12)
        np.testing.assert_array_equal(batch.next_observations, [row[2] for row in expected])


def test_places_of_last_observations_are_used_again():
    run = Run(20)
    for _ in range(2_000):
        run.step()
    counters = run.replay.counters
    assert counters[FINALS] - counters[UNUSED] == np.count_nonzero(run.replay.endings)
    assert counters[FINALS] <= 20
    assert not run.replay.finals[counters[FINALS] :].any()


def test_an_abandoned_episode_ends_where_it_was():
    run = Run(10)
    memory.abandon(run.replay, run.arrival)  # of an empty memory: nothing
    assert run.replay.counters.tolist() == [0, 0, 0, 0]
    for t in range(35):
        run.step(GOES_ON)
        if t % 3 == 2:
            memory.abandon(run.replay, run.arrival)
            memory.abandon(run.replay, run.arrival)  # once is enough
            run.rows[run.newest] = (*run.rows[run.newest][:3], TRUNCATED, int(run.arrival[0]))
            run.observation[0] += 100
    batch = new_batch(10, (), np.int32)
    batch.index[:] = np.arange(10)
    look(run.replay, run.arrival, 0.5, 4, batch)
    expected = [run.returns(place, 0.5, 4) for place in range(10)]
    np.testing.assert_array_equal(batch.next_observations, [row[2] for row in expected])
    np.testing.assert_allclose(batch.rewards, [row[0] for row in expected])


def stream(seed):
    from rlgrid.agents.world import stream_of

    generator = np.random.default_rng(seed)
    return stream_of(generator), np.random.default_rng(seed)


@pytest.mark.parametrize("size", [1, 5, 8, 33])
def test_priorities_are_drawn_in_proportion_and_weighed_by_importance(size):
    run = Run(size, prioritized=True)
    own, uniforms = stream(3)
    priorities, greatest = np.zeros(0), 1.0
    batch = new_batch(6, (), np.int32)
    for t in range(150):
        run.step()
        priorities = np.append(priorities, 0.0) if t < size else priorities
        priorities[t % size] = greatest
        beta = t / 150
        draw(run.replay, beta, own, batch)
        mass = (np.arange(6) + uniforms.random(6)) / 6 * priorities.sum()
        np.testing.assert_array_equal(batch.index, np.searchsorted(priorities.cumsum(), mass, side="right"))
        weights = (len(priorities) * priorities[batch.index] / priorities.sum()) ** -beta
        np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-12)
        errors = run.rng.normal(size=6) * 3
        weigh(run.replay, batch.index, errors, 0.6, 1e-3)
        for j, error in zip(batch.index, errors, strict=True):
            priorities[j] = (abs(error) + 1e-3) ** 0.6
            greatest = max(greatest, priorities[j])
        leaves = run.replay.tree.size // 2
        np.testing.assert_allclose(run.replay.tree[leaves : leaves + len(priorities)], priorities, rtol=1e-14)
        assert not run.replay.tree[leaves + len(priorities) :].any()
        assert run.replay.tree[1] == pytest.approx(priorities.sum(), rel=1e-12)


def test_how_often_each_is_drawn():
    """Priorities 1, 2, 3, 4: shares 0.1 to 0.4 of 40,000 draws, within four standard deviations."""
    run = Run(4, prioritized=True)
    for _ in range(4):
        run.step()
    weigh(run.replay, np.arange(4), np.arange(1.0, 5.0), 1.0, 1e-12)
    batch = new_batch(40_000, (), np.int32)
    draw(run.replay, 0.5, stream(0)[0], batch)
    share = np.bincount(batch.index) / 40_000
    np.testing.assert_allclose(share, [0.1, 0.2, 0.3, 0.4], atol=4 * math.sqrt(0.24 / 40_000))
    np.testing.assert_allclose(batch.weights, (1 + batch.index) ** -0.5, rtol=1e-9)


@pytest.mark.parametrize("steps", [0, 5, 12, 40])
@pytest.mark.parametrize("prioritized", [False, True])
def test_a_memory_is_saved_as_long_as_it_is_full_and_goes_on_the_same(prioritized, steps):
    run = Run(12, prioritized=prioritized, seed=1)
    for t in range(steps):
        run.step()
        if prioritized:
            weigh(run.replay, np.array([t % 12]), run.rng.normal(size=1), 0.6, 1e-6)
    saved = {name: array.copy() for name, array in memory.contents(run.replay).items()}
    assert len(saved["actions"]) == min(steps, 12)
    again = new_replay(12, (), np.int32, prioritized)
    memory.take(again, saved, 4)
    np.testing.assert_array_equal(again.tree, run.replay.tree)
    for _ in range(30):
        run.step()
        place = (run.seen - 1) % 12
        observation, action, reward, ending, arrival = run.rows[place]
        observation, arrival = np.array([observation], np.int32), np.array([arrival], np.int32)
        store(again, observation, action, reward, ending, arrival, run.mask)
        ours, theirs = memory.contents(again), memory.contents(run.replay)
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("replay_counters", lambda a: a + 1, "observations is"),
        ("replay_counters", lambda a: a + np.array([1, 0]), "buffer_size of 12"),
        ("replay_counters", lambda a: a * 0 + 13, "buffer_size of 12"),
        ("replay_counters", lambda a: a - 100, "buffer_size of 12"),
        ("replay_counters", lambda a: a[:1], "replay_counters is"),
        ("actions", lambda a: a + 4, "actions of the replay memory"),
        ("endings", lambda a: a + 3, "endings of the replay memory"),
        ("endings", lambda a: a * 0, "final_observations is"),
        ("final_observations", lambda a: a[:0], "final_observations is"),
        ("final_observations", lambda a: a.astype(np.int64), "final_observations is"),
        ("rewards", lambda a: a * np.float32(np.inf), "not finite"),
        ("observations", lambda a: a[:3], "observations is"),
        ("priorities", lambda a: a * 0, "priorities"),
        ("priorities", lambda a: a + 10, "priorities"),
        ("priorities", lambda a: -a, "priorities"),
        ("greatest_priority", lambda a: a * 0, "priorities"),
        ("greatest_priority", lambda a: a + 1.7e308, "priorities"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(name, change, message):
    run = Run(12, prioritized=True)
    for _ in range(9):
        run.step()
    saved = memory.contents(run.replay)
    memory.take(new_replay(12, (), np.int32, True), saved, 4)
    with np.errstate(invalid="ignore"), pytest.raises(CheckpointError, match=message):
        memory.take(new_replay(12, (), np.int32, True), saved | {name: change(saved[name])}, 4)
