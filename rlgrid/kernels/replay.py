"""The replay memory: a ring of transitions, drawn from uniformly or by priority.

A transition is (observation, action, reward, what it led to). What it led to is the observation of the next one, so it
is not kept a second time; it is kept apart only where an episode ended, since there the next observation belongs to
another. Of the newest transition it is the present observation, ``arrival``, which the caller holds.

Of C environments at once each has every C-th place, environment e those from e on, which are a ring of its own: what
followed a transition in its environment lies C places on. An environment may have stored fewer than another, where
some of its steps were no transitions.

The arrays have their full length from the beginning and are zero: an operating system hands out the pages of such
memory as they are first written, so the memory takes what is in it. Places in `Replay.finals` are used again for the
same reason.

Proportional prioritised replay (Schaul, Quan, Antonoglou & Silver 2016, ICLR, section 3.3): transition i is drawn with
probability p_i / sum_k p_k, where p_i = (|delta_i| + eps)^alpha and delta_i is its last TD error. New transitions get
the greatest priority so far. The p_i are the leaves of a binary tree of sums. Each inner node is always just left +
right, so the tree follows from its leaves to the last bit.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE
from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.elementary import exp, log
from rlgrid.kernels.pcg64 import uniform

# What a transition did to its episode.
GOES_ON, TRUNCATED, TERMINATED = range(3)

# Places in Replay.counters.
POSITION = 0  # where in its ring the next transition of the first environment goes
FILLED = 1  # transitions of the first environment in the memory
FINALS = 2  # places of `finals` that were ever used
UNUSED = 3  # of these, those that are free again
OTHERS = 4  # from here on POSITION and FILLED of the second environment, of the third ...


class Replay(NamedTuple):
    """A memory of N transitions, of observations of D numbers or of numbers of states."""

    observations: Any  # int32 [N], float32 [N, D] or uint8 [N, D]
    finals: Any  # the same, the last observations of episodes
    final_of: Any  # int32 [N], where in `finals` the last observation lies, of a transition that ended an episode
    unused: Any  # int32 [N], a stack of the places in `finals` that are free again
    actions: Any  # int32 [N]
    rewards: Any  # float32 [N]
    endings: Any  # uint8 [N]
    next_masks: Any  # bool [N, A], the actions that there were where it led; [0, 0] where nobody tells
    tree: Any  # float64 [2 * 2^k] with 2^k >= N: root 1, children 2i and 2i + 1, leaves from 2^k; [0]: no priorities
    greatest: Any  # float64 [1], the greatest priority so far, 1 to begin with
    counters: Any  # int64 [2 + 2 C] of C environments


class Batch(NamedTuple):
    """B transitions drawn from a memory, each with what followed it in up to n steps."""

    index: Any  # int64 [B], their places
    observations: Any  # int32 [B] or float32 [B, D]
    next_observations: Any  # the same, what was observed at the end of the steps
    rewards: Any  # float64 [B], the discounted sum of these steps' rewards
    next_masks: Any  # bool [B, A], the actions that there were at the end of the steps, or [0, 0]
    discount: Any  # float64 [B], gamma^n, of what follows; 0 where nothing does
    weights: Any  # float64 [B], of importance sampling; 1 where draws are uniform


def new_replay(size, shape, dtype, prioritized=False, num_actions=0, num_envs=1):
    """An empty memory for observations [*shape] of ``dtype``, and masks of so many actions if any.

    Of several environments ``size`` is a multiple of their number.
    """
    leaves = 1
    while leaves < size:
        leaves *= 2
    return Replay(
        observations=np.zeros((size, *shape), dtype),
        finals=np.zeros((size, *shape), dtype),
        final_of=np.zeros(size, np.int32),
        unused=np.zeros(size, np.int32),
        actions=np.zeros(size, np.int32),
        rewards=np.zeros(size, np.float32),
        endings=np.zeros(size, np.uint8),
        next_masks=np.zeros((size if num_actions else 0, num_actions), np.bool_),
        tree=np.zeros(2 * leaves if prioritized else 0),
        greatest=np.ones(1),
        counters=np.zeros(2 + 2 * num_envs, np.int64),
    )


def new_batch(size, shape, dtype, num_actions=0):
    """Room for a batch of observations [*shape] of ``dtype``, and masks of so many actions if any."""
    return Batch(
        index=np.zeros(size, np.int64),
        observations=np.zeros((size, *shape), dtype),
        next_observations=np.zeros((size, *shape), dtype),
        rewards=np.zeros(size),
        next_masks=np.zeros((size if num_actions else 0, num_actions), np.bool_),
        discount=np.zeros(size),
        weights=np.ones(size),
    )


@njit(**INSIDE)
def copy(source, i, target, j):
    """target[j] = source[i], both observations."""
    if source.ndim == 1:
        target[j] = source[i]
    else:
        for k in range(source.shape[1]):
            target[j, k] = source[i, k]


@njit(**INSIDE)
def state_of(observations, i):
    """The state observations[i] of a Discrete space; 0 over vectors, whose tables have one row."""
    if observations.ndim == 1:
        return np.int64(observations[i])
    return 0


# --- the ring -------------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def num_envs_of(replay):
    """C, the number of environments."""
    return replay.counters.size // 2 - 1


@njit(**INSIDE)
def ring_of(env):
    """Where in Replay.counters POSITION and FILLED of an environment begin."""
    return OTHERS + 2 * (env - 1) if env > 0 else 0


@njit(**INSIDE)
def newest_of(replay, env):
    """The place of the transition that an environment stored last."""
    envs = num_envs_of(replay)
    rows = replay.actions.size // envs
    return (replay.counters[ring_of(env) + POSITION] - 1 + rows) % rows * envs + env


@njit(**INSIDE)
def newest(replay):
    """The place of the transition that was stored last, of one environment."""
    return newest_of(replay, 0)


@njit(**INSIDE)
def state_after(replay, arrival, j):
    """The state that the transition at place j led to; ``arrival`` [C] holds what the newest ones led to."""
    if replay.endings[j] != GOES_ON:
        return state_of(replay.finals, replay.final_of[j])
    envs = num_envs_of(replay)
    if j == newest_of(replay, j % envs):
        return state_of(arrival, j % envs)
    return state_of(replay.observations, (j + envs) % replay.actions.size)


@njit(**INSIDE)
def store(replay, observation, action, reward, ending, arrival, arrival_mask):
    """The transition of the only environment goes in; ``observation``, ``arrival`` and ``arrival_mask`` are [1]."""
    store_of(replay, 0, observation, action, reward, ending, arrival, arrival_mask)


@njit(**INSIDE)
def store_of(replay, env, observation, action, reward, ending, arrival, arrival_mask):
    """The transition of an environment goes in, over its oldest one when its ring is full.

    ``observation``, ``arrival`` and ``arrival_mask`` are [C]; row ``env`` of each is read. Truncation only ends the
    episode: what follows it still has value, and ``arrival`` is the true last observation.
    """
    replay = borrow(replay)
    counters, envs, ring = replay.counters, num_envs_of(replay), ring_of(env)
    rows = replay.actions.size // envs
    i = counters[ring + POSITION] * envs + env
    if counters[ring + FILLED] == rows and replay.endings[i] != GOES_ON:
        replay.unused[counters[UNUSED]] = replay.final_of[i]
        counters[UNUSED] += 1
    copy(observation, env, replay.observations, i)
    replay.actions[i] = action
    replay.rewards[i] = reward
    replay.endings[i] = ending
    for a in range(replay.next_masks.shape[1]):
        replay.next_masks[i, a] = arrival_mask[env, a]
    if ending != GOES_ON:
        if counters[UNUSED] > 0:
            counters[UNUSED] -= 1
            place = np.int64(replay.unused[counters[UNUSED]])
        else:
            place = counters[FINALS]
            counters[FINALS] += 1
        replay.final_of[i] = place
        copy(arrival, env, replay.finals, place)
    if replay.tree.size > 0:
        set_priority(replay.tree, i, replay.greatest[0])
    counters[ring + POSITION] = (counters[ring + POSITION] + 1) % rows
    counters[ring + FILLED] = min(counters[ring + FILLED] + 1, rows)


# --- priorities -----------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def set_priority(tree, i, priority):
    """Transition i gets a priority, and the sums above it follow."""
    node = tree.size // 2 + i
    tree[node] = priority
    while node > 1:
        node //= 2
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@njit(**INSIDE)
def find(tree, mass):
    """The transition i with p_0 + ... + p_(i-1) <= mass < p_0 + ... + p_i, up to rounding; never one of priority 0."""
    leaves = tree.size // 2
    node = 1
    while node < leaves:
        node *= 2
        if mass >= tree[node] and tree[node + 1] > 0.0:
            mass -= tree[node]
            node += 1
    return node - leaves


@njit(**INSIDE)
def draw_uniform(replay, stream, index, weights):
    """Places of transitions into index [B], all equally likely, one uniform each.

    They are counted through row by row as far as all environments have filled theirs, and then environment by
    environment.
    """
    counters, envs = replay.counters, num_envs_of(replay)
    filled = least = counters[FILLED]
    for env in range(1, envs):
        filled += counters[ring_of(env) + FILLED]
        least = min(least, counters[ring_of(env) + FILLED])
    for i in range(index.size):
        k = int(uniform(stream) * filled)
        weights[i] = 1.0
        index[i] = k
        if k >= least * envs:  # beyond the rows that all environments have filled
            k -= least * envs
            for env in range(envs):
                more = counters[ring_of(env) + FILLED] - least
                if 0 <= k < more:
                    index[i] = (least + k) * envs + env
                k -= more


@njit(**INSIDE)
def draw_prioritized(replay, beta, stream, index, weights):
    """Places of transitions into index [B], drawn by priority, one uniform each, and their weights.

    One from each of B equal parts of the sum of priorities (Schaul et al. 2016, section 3.3). A weight is
    (N P(i))^-beta over the largest one of the batch (section 3.4), which is (least p of the batch / p_i)^beta.
    """
    tree, many = replay.tree, index.size
    leaves = tree.size // 2
    least = math.inf
    for i in range(many):
        index[i] = find(tree, (i + uniform(stream)) / many * tree[1])
        least = min(least, tree[leaves + index[i]])
    for i in range(many):
        weights[i] = exp(beta * log(least / tree[leaves + index[i]]))


@njit(**INSIDE)
def update_priorities(replay, index, errors, alpha, eps):
    """The priority of index[i] becomes (|errors[i]| + eps)^alpha; where a place was drawn twice, by the later error."""
    tree, greatest = replay.tree, replay.greatest
    for i in range(index.size):
        priority = exp(alpha * log(abs(errors[i]) + eps))
        greatest[0] = max(greatest[0], priority)
        set_priority(tree, index[i], priority)


# --- returns --------------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def unroll(replay, arrival, gamma, n_steps, counts, bonus, batch):
    """What the transitions at batch.index were followed by in up to n steps, into the other fields of the batch.

    ``arrival`` [C] holds what the newest transitions of the environments led to.

    Rewards r_1 + gamma r_2 + ..., and gamma^n, or 0 after termination, as discount. The steps stop at the end of the
    episode and at the newest transition. Sutton & Barto, 2nd ed., equation 7.1, without importance weights: with n > 1
    the actions in between are those that were taken. To a reward is added bonus / sqrt(N(s, a)), N being
    ``counts`` [S, A] (Bellemare et al. 2016).

    Arrays are taken out of their tuples first: a call with a tuple counts the references to all that is in it.
    """
    observations, endings, rewards, actions = replay.observations, replay.endings, replay.rewards, replay.actions
    finals, final_of, next_masks, index = replay.finals, replay.final_of, replay.next_masks, batch.index
    first, following, masks = batch.observations, batch.next_observations, batch.next_masks
    totals, discounts = batch.rewards, batch.discount
    size, envs, counted = actions.size, num_envs_of(replay), bonus > 0.0
    env, last = 0, newest_of(replay, 0)
    for i in range(index.size):
        j = index[i]
        if envs > 1:
            env = j % envs
            last = newest_of(replay, env)
        copy(observations, j, first, i)
        total, discount = 0.0, 1.0
        for k in range(n_steps):
            if k > 0:
                if endings[j] != GOES_ON or j == last:
                    break
                j = (j + envs) % size
            reward = np.float64(rewards[j])
            if counted:
                reward += bonus / math.sqrt(counts[state_of(observations, j), actions[j]])
            total += discount * reward
            discount *= gamma
        if endings[j] != GOES_ON:
            copy(finals, final_of[j], following, i)
        elif j == last:
            copy(arrival, env, following, i)
        else:
            copy(observations, (j + envs) % size, following, i)
        for a in range(next_masks.shape[1]):
            masks[i, a] = next_masks[j, a]
        totals[i] = total
        discounts[i] = 0.0 if endings[j] == TERMINATED else discount
