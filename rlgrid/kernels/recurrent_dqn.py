"""Deep Q-learning with a memory: the rule on sequences from the replay memory, and the loop with the environment in it.

Hausknecht & Stone 2015 (Deep recurrent Q-learning for partially observable MDPs, AAAI Fall Symposium); Kapturowski et
al. 2019 (Recurrent experience replay in distributed reinforcement learning, ICLR) for stored states and burn-in.
Behaviour is epsilon-greedy by the values of a `rlgrid.kernels.recurrent` network, whose state goes on through an
episode and is 0 at its beginning. Uniforms are drawn by ``uniform(stream)`` alone: for a step one to explore or not
and, if so, one for the action; for a gradient step one a sequence.

A sequence is made around a transition that is drawn uniformly: the ``length`` transitions of its episode that end with
it, and as many behind it as are missing where the episode began later than that; so episodes that are not longer than
``length`` come whole. Up to ``burn_in`` transitions before it only make the state. Before the first of all the state is
0, or what it was when the agent acted there, if states are stored; at the beginning of an episode these are the same.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE, KERNEL
from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.calling import call_update
from rlgrid.kernels.dqn import (
    BAD_OP,
    EPISODES_SINCE,
    GRADIENT_NORM,
    LOSS,
    MEASURE_SPAN,
    STEPS_SINCE,
    TD_ERROR,
    UPDATES,
    greedy_action,
    learning_rate_at,
    random_action,
    strength_at,
)
from rlgrid.kernels.losses import error_loss
from rlgrid.kernels.network import first_bad_op
from rlgrid.kernels.optimisers import global_norm, mix, optimise
from rlgrid.kernels.pcg64 import uniform
from rlgrid.kernels.recurrent import backward, forward, output_slopes
from rlgrid.kernels.replay import (
    FILLED,
    GOES_ON,
    POSITION,
    TERMINATED,
    TRUNCATED,
    copy,
    newest,
    state_of,
    store,
)
from rlgrid.kernels.stepping import enter, take


class SequenceRule(NamedTuple):
    """The settings of a run, as numbers; names as in `rlgrid.kernels.dqn.Rule`."""

    gamma: float
    learning_rate: float
    rate_kind: int
    rate_final: float
    rate_horizon: float
    learning_starts: int
    train_freq: int
    by_episodes: bool
    gradient_steps: int
    n_steps: int
    tau: float
    target_update_interval: int
    exploration: int  # EPSILON_GREEDY
    strength_kind: int
    strength_initial: float
    strength_final: float
    strength_horizon: float
    double_q: bool
    clip_targets: bool
    huber: bool
    length: int  # transitions of a sequence that are learnt from, at most
    burn_in: int  # transitions before them that only make the state, at most
    optimiser: Any


class SequenceLearner(NamedTuple):
    """Networks, replay memory and buffers: B sequences of T = burn_in + length + 1 observations, N = T * B rows."""

    network: Any  # of rlgrid.kernels.recurrent
    target: Any  # float32 [P], the weights of the target network
    replay: Any  # of rlgrid.kernels.replay
    stored: Any  # float32 [size of the memory, S], the state before each transition; [0, S] where it is not kept
    state: Any  # float32 [1, S], before the present observation
    after: Any  # float32 [1, S], and with it
    index: Any  # int64 [B], the place of the first transition of each sequence
    lengths: Any  # int64 [B], its transitions, those of the burn-in included
    burned: Any  # int64 [B], those of the burn-in
    observations: Any  # int32 [N] or float32 or uint8 [N, D], time after time
    start: Any  # float32 [B, S], the states before the first observations
    final: Any  # float32 [B, S], scratch
    targets: Any  # float64 [N], what the values of the sequences are moved to
    observation: Any  # int32 [1] or [1, D], the present one
    arrival: Any  # the same, where the present step led, before any reset
    available: Any  # bool [S, A], or [0, 0] where every action always is
    no_mask: Any  # bool [0, 0]
    visits: Any  # int64 [number of observations], or [1] over vectors
    td_error: Any  # float64, the last error at each observation, or [1]
    reward_range: Any  # float64 [2]
    counters: Any  # int64 [4], as in rlgrid.kernels.dqn
    measures: Any  # float64 [3]


@njit(**INSIDE)
def act(learner, rule, t, stream):
    """The action at the present observation, step t; the state moves on to learner.after whatever is done."""
    network, one = learner.network, learner.observation.shape[0]  # written as 1, it would be compiled as a constant
    q = forward(network, network.theta, learner.observation, one, learner.state, learner.after, network.row)
    s = state_of(learner.observation, 0)
    if uniform(stream) < strength_at(rule, t, learner.visits[s] + 1):
        return random_action(q.shape[1], learner.available, s, uniform(stream))
    return greedy_action(q, 0, learner.available, s)


@njit(**KERNEL)
def respond(network, observations, probe, states, after, q):
    """The values of every observation after a state of its own, into q [n, A], each row as `act` computes it.

    ``probe`` takes one observation; ``states`` and ``after`` are float32 [n, S].
    """
    for i in range(observations.shape[0]):
        copy(observations, i, probe, 0)
        now, then = states[i : i + 1], after[i : i + 1]
        values = forward(network, network.theta, probe, probe.shape[0], now, then, network.row)
        for a in range(q.shape[1]):
            q[i, a] = values[0, a]


# --- learning ---------------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def draw_sequences(learner, rule, stream):
    """Sequences from the memory, with their observations and first states; the times of the longest one."""
    replay, batch = learner.replay, learner.index.size
    endings, size, filled = replay.endings, replay.actions.size, replay.counters[FILLED]
    oldest = replay.counters[POSITION] if filled == size else 0
    last, times = newest(replay), 0
    for i in range(batch):
        age = int(uniform(stream) * filled)
        first = age
        while first > 0 and age - first < rule.length - 1 and endings[(oldest + first - 1) % size] == GOES_ON:
            first -= 1
        burned = 0
        while first > 0 and burned < rule.burn_in and endings[(oldest + first - 1) % size] == GOES_ON:
            first -= 1
            burned += 1
        count = 1
        while count < burned + rule.length and first + count < filled:
            if endings[(oldest + first + count - 1) % size] != GOES_ON:
                break
            count += 1
        learner.index[i], learner.burned[i], learner.lengths[i] = (oldest + first) % size, burned, count
        times = max(times, count + 1)
    for i in range(batch):
        place, count = learner.index[i], learner.lengths[i]
        for k in range(learner.start.shape[1]):
            learner.start[i, k] = learner.stored[place, k] if learner.stored.shape[0] > 0 else 0.0
        for t in range(count):
            copy(replay.observations, (place + t) % size, learner.observations, t * batch + i)
        final = (place + count - 1) % size
        if endings[final] != GOES_ON:
            copy(replay.finals, replay.final_of[final], learner.observations, count * batch + i)
        elif final == last:
            copy(learner.arrival, 0, learner.observations, count * batch + i)
        else:
            copy(replay.observations, (final + 1) % size, learner.observations, count * batch + i)
        for t in range(count + 1, times):  # nothing is learnt there
            copy(learner.observations, count * batch + i, learner.observations, t * batch + i)
    return times


@njit(**INSIDE)
def set_targets(learner, rule, q, q_target):
    """What the value of each transition that is learnt from is moved to, into learner.targets; how many there are.

    r_1 + gamma r_2 + ... + gamma^n Q_target(n steps on, the action that is the best there by q), of up to ``n_steps``
    steps: fewer at the end of a sequence, and nothing follows termination.
    """
    replay, batch, total = learner.replay, learner.index.size, 0
    size = replay.actions.size
    low, high = -math.inf, math.inf
    if rule.clip_targets and rule.gamma < 1.0:  # a sum of discounted rewards lies between these
        low = learner.reward_range[0] / (1.0 - rule.gamma)
        high = learner.reward_range[1] / (1.0 - rule.gamma)
    for i in range(batch):
        place, count = learner.index[i], learner.lengths[i]
        ended = replay.endings[(place + count - 1) % size] == TERMINATED
        for t in range(learner.burned[i], count):
            until = min(t + rule.n_steps, count)
            value, discount = 0.0, 1.0
            for k in range(t, until):
                value += discount * np.float64(replay.rewards[(place + k) % size])
                discount *= rule.gamma
            if until < count or not ended:
                j = until * batch + i
                best = greedy_action(q, j, learner.available, state_of(learner.observations, j))
                value += discount * np.float64(q_target[j, best])
            learner.targets[t * batch + i] = low if value < low else high if value > high else value
            total += 1
    return total


@njit(**INSIDE)
def gradient_step(learner, rule, t, stream):
    """One step of the optimiser on the mean loss of all transitions of the sequences; False where it is not finite."""
    learner = borrow(learner)
    network, replay, counters, measures = learner.network, learner.replay, learner.counters, learner.measures
    batch, size = learner.index.size, learner.replay.actions.size
    rows = draw_sequences(learner, rule, stream) * batch
    seen, start = learner.observations[:rows], learner.start
    q_target = forward(network, learner.target, seen, batch, start, learner.final, network.deltas)
    q = forward(network, network.theta, seen, batch, start, learner.final, network.work)
    if rule.double_q:
        total = set_targets(learner, rule, q, q_target)
    else:
        total = set_targets(learner, rule, q_target, q_target)
    slopes = output_slopes(network, rows)
    for i in range(rows):
        for a in range(slopes.shape[1]):
            slopes[i, a] = 0
    loss = 0.0
    absolute_error = 0.0
    for i in range(batch):
        for k in range(learner.burned[i], learner.lengths[i]):
            j, action = k * batch + i, replay.actions[(learner.index[i] + k) % size]
            error = np.float64(q[j, action]) - learner.targets[j]
            its_loss, slope = error_loss(error, rule.huber)
            loss += its_loss
            absolute_error += abs(error)
            slopes[j, action] = slope / total
            learner.td_error[state_of(seen, j)] = -error
    backward(network, seen, batch, start, learner.burned)
    norm = global_norm(network.gradient)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        op = first_bad_op(network.theta, network.program)
        if op < 0:
            op = first_bad_op(network.gradient, network.program)
        counters[BAD_OP] = op if op >= 0 else network.program.shape[0] - 1
        return False
    counters[UPDATES] += 1
    optimise(network, rule.optimiser, counters[UPDATES], learning_rate_at(rule, t), norm)
    span = min(counters[UPDATES], MEASURE_SPAN)
    measures[LOSS] += (loss / total - measures[LOSS]) / span
    measures[TD_ERROR] += (absolute_error / total - measures[TD_ERROR]) / span
    measures[GRADIENT_NORM] += (norm - measures[GRADIENT_NORM]) / span
    return True


@njit(**INSIDE)
def remember(learner, action, reward, terminated, truncated):
    """The transition goes into the memory, with the state in which it was made, and the state moves on."""
    learner.reward_range[0] = min(learner.reward_range[0], reward)
    learner.reward_range[1] = max(learner.reward_range[1], reward)
    place = learner.replay.counters[POSITION]
    ending = TERMINATED if terminated else TRUNCATED if truncated else GOES_ON
    store(learner.replay, learner.observation, action, reward, ending, learner.arrival, learner.no_mask)
    for k in range(learner.state.shape[1]):
        if learner.stored.shape[0] > 0:
            learner.stored[place, k] = learner.state[0, k]
        learner.state[0, k] = learner.after[0, k] if ending == GOES_ON else 0.0


@njit(**INSIDE)
def observe(learner, rule, t, action, reward, terminated, truncated, stream, update):
    """What is done with the transition of step t, which led to learner.arrival; False where a value is not finite.

    ``update`` is the address of `gradient_step`.
    """
    learner.visits[state_of(learner.observation, 0)] += 1
    remember(learner, action, reward, terminated, truncated)
    done, counters = t + 1, learner.counters
    counters[STEPS_SINCE] += 1
    counters[EPISODES_SINCE] += terminated or truncated
    if (counters[EPISODES_SINCE] >= rule.train_freq) if rule.by_episodes else (done % rule.train_freq == 0):
        rounds = rule.gradient_steps if rule.gradient_steps > 0 else counters[STEPS_SINCE]
        counters[STEPS_SINCE] = 0
        counters[EPISODES_SINCE] = 0
        if done > rule.learning_starts:
            for _ in range(rounds):
                if not call_update(update, learner, rule, t, stream):
                    return False
    if done % rule.target_update_interval == 0:
        mix(learner.network, learner.target, rule.tau)
    return True


@njit(**INSIDE)
def show(seen, place, observation):
    """What is seen of where the world is: seen [S] of its state, or all where ``seen`` is [0]."""
    if observation.ndim == 1:  # numba drops this for vectors, as it would not a condition of two parts
        observation[0] = seen[place[0]] if seen.size > 0 else place[0]
    else:
        copy(place, 0, observation, 0)


@njit(**KERNEL)
def run_sequences(
    world, seen, place, draws, stream, learner, rule, update, t, steps, elapsed, limit, total, returns, lengths
):
    """Run at most ``steps`` steps from where the world is, ``elapsed`` steps and return ``total`` into an episode.

    The world is one that `rlgrid.kernels.stepping` knows, and ``draws`` the stream of its generator. Of it an agent may
    see a part alone: ``place`` [2], of the type of observations, holds its state, in the second row where a step led;
    ``seen`` int64 [S] is what is seen of each state, or [0] where that is all. ``update`` is the address of
    `gradient_step`. An episode is truncated after ``limit`` steps. ``returns`` and ``lengths`` take the episodes that
    end; the loop stops early when they are full, and after a step in which values stopped being finite.

    Returns:
        (steps done, elapsed, total, number of episodes that ended); the present state is place[0].
    """
    learner, world, seen = borrow(learner), borrow(world), borrow(seen)
    here, there = place[:1], place[1:]
    ended = 0
    for i in range(steps):
        a = act(learner, rule, t + i, stream)
        reward, terminated = take(world, draws, here, a, there)
        show(seen, there, learner.arrival)
        elapsed += 1
        truncated = elapsed >= limit
        healthy = observe(learner, rule, t + i, a, reward, terminated, truncated, stream, update)
        total += reward
        if terminated or truncated:
            returns[ended] = total
            lengths[ended] = elapsed
            ended += 1
            enter(world, draws, here)
            elapsed = 0
            total = 0.0
        else:
            copy(there, 0, here, 0)
        show(seen, here, learner.observation)
        if ended == returns.size or not healthy:
            return i + 1, elapsed, total, ended
    return steps, elapsed, total, ended


# --- the rule for Python to call step by step -------------------------------------------------------------------------


@njit(**KERNEL)
def act_alone(learner, rule, t, stream):
    """`act`."""
    return act(borrow(learner), rule, t, stream)


@njit(**KERNEL)
def observe_alone(learner, rule, t, action, reward, terminated, truncated, stream, update):
    """`observe`."""
    return observe(borrow(learner), rule, t, action, reward, terminated, truncated, stream, update)
