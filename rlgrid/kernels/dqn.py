"""Deep Q-learning: the rule one step at a time, and the loop that runs environment and rule in one kernel.

Mnih et al. 2015 (Nature 518): replay, a target network, epsilon-greedy behaviour; van Hasselt, Guez & Silver 2016 for
the double target. Each rule function is written once; the compiled loop calls it, and so does the Python loop over a
foreign environment. Uniforms are drawn by ``generator.random()`` alone: for a step one to explore or not and, if so,
one for the action; for a gradient step one a sample of the batch.

Observations are int32 [N], the states of a Discrete space, or float32 [N, D]. Nothing is allocated in the loop.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.model import sample, sample_start
from rlgrid.kernels.network import (
    adam,
    backward,
    error_loss,
    first_bad_layer,
    forward,
    forward_row,
    global_norm,
    layer_outputs,
    mix,
)

# Places in Learner.counters.
POSITION = 0  # where the next transition goes in the replay memory
FILLED = 1  # transitions in it
UPDATES = 2  # gradient steps done
BAD_LAYER = 3  # the layer whose values stopped being finite, -1 while all are

# Places in Learner.measures: means over the last gradient steps, MEASURE_SPAN of them or so.
LOSS = 0
TD_ERROR = 1  # mean |error| of a batch
GRADIENT_NORM = 2  # before clipping
MEASURE_SPAN = 100


class Rule(NamedTuple):
    """The settings of a run, as numbers."""

    activation: int
    gamma: float
    learning_rate: float
    linear_decay: bool  # the learning rate falls to 0 at t = total
    total: float  # steps of the whole run
    learning_starts: int
    train_freq: int
    gradient_steps: int
    tau: float
    target_update_interval: int
    epsilon_initial: float
    epsilon_final: float
    epsilon_horizon: float  # epsilon goes linearly from initial to final in so many steps
    max_grad_norm: float
    double_q: bool
    huber: bool
    beta1: float
    beta2: float
    adam_epsilon: float


class Learner(NamedTuple):
    """Network, optimiser, replay memory and buffers. P parameters, batches of B, a memory of N, observations of D."""

    sizes: Any  # int64 [L + 1]
    starts: Any  # int64 [L + 1]
    theta: Any  # float32 [P]
    target: Any  # float32 [P]
    gradient: Any  # float32 [P]
    mean: Any  # float32 [P], Adam's first moment
    square: Any  # float32 [P], Adam's second moment
    work: Any  # float32 [B * sum(sizes[1:])]
    deltas: Any  # float32 [B * sum(sizes[1:])]
    row: Any  # float32 [sum(sizes[1:])]
    index: Any  # int64 [B], the sampled transitions
    batch: Any  # int32 [B] or float32 [B, D], their observations
    next_batch: Any  # the same of the observations that they led to
    choice: Any  # int64 [B], the action that a target evaluates
    returns: Any  # float64 [B], the targets
    observation: Any  # int32 [1] or float32 [1, D], the present one
    arrival: Any  # the same, where the present step led, before any reset
    observations: Any  # int32 [N] or float32 [N, D]
    next_observations: Any  # the same
    actions: Any  # int32 [N]
    rewards: Any  # float32 [N]
    terminated: Any  # bool [N]
    available: Any  # bool [S, A], or [0, 0] where every action always is
    visits: Any  # int64 [S], or [0] over vectors
    td_error: Any  # float64 [S], the last error in each state, or [0] over vectors
    counters: Any  # int64 [4]
    measures: Any  # float64 [3]


@njit(cache=True, nogil=True)
def epsilon_at(rule, t):
    """The probability of exploring at step t; everything is random before learning starts."""
    if t < rule.learning_starts:
        return 1.0
    if t >= rule.epsilon_horizon:
        return rule.epsilon_final
    return rule.epsilon_initial + (rule.epsilon_final - rule.epsilon_initial) * (t / rule.epsilon_horizon)


@njit(cache=True, nogil=True)
def learning_rate_at(rule, t):
    """The step size of Adam after t steps."""
    if rule.linear_decay:
        return rule.learning_rate * max(0.0, 1.0 - t / rule.total)
    return rule.learning_rate


# --- actions --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def is_available(available, observations, i, action):
    """Whether the state observations[i] has the action."""
    if observations.ndim == 1:
        return available.size == 0 or available[observations[i], action]
    return True


@njit(cache=True, nogil=True)
def greedy_action(q, available, observations, i):
    """The action of the largest q [A] among those of observations[i], the lowest index where several are equal."""
    chosen = -1
    for a in range(q.size):
        if is_available(available, observations, i, a) and (chosen < 0 or q[a] > q[chosen]):
            chosen = a
    return max(chosen, 0)


@njit(cache=True, nogil=True)
def random_action(num_actions, available, observations, i, generator):
    """An available action, all equally likely."""
    there = 0
    for a in range(num_actions):
        if is_available(available, observations, i, a):
            there += 1
    k = int(generator.random() * there)
    for a in range(num_actions):
        if is_available(available, observations, i, a):
            if k == 0:
                return a
            k -= 1
    return 0


@njit(cache=True, nogil=True)
def choose(learner, rule, observations, i, epsilon, generator):
    """Epsilon-greedy choice (Sutton & Barto, 2nd ed., section 2.2) at observations[i]."""
    if generator.random() < epsilon:
        return random_action(learner.sizes[-1], learner.available, observations, i, generator)
    q = forward_row(learner.theta, learner.sizes, learner.starts, rule.activation, observations, i, learner.row)
    return greedy_action(q, learner.available, observations, i)


@njit(cache=True, nogil=True)
def act(learner, rule, t, generator):
    """The action at the present observation, step t."""
    return choose(learner, rule, learner.observation, 0, epsilon_at(rule, t), generator)


@njit(cache=True, nogil=True)
def evaluate(learner, rule, observations, q):
    """The values of the actions of every observation into q [n, A], each row as `act` computes it."""
    for i in range(observations.shape[0]):
        q[i] = forward_row(learner.theta, learner.sizes, learner.starts, rule.activation, observations, i, learner.row)


# --- learning -------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _gather(rows, index, out):
    for i in range(index.size):
        out[i] = rows[index[i]]


@njit(cache=True, nogil=True)
def remember(learner, action, reward, terminated):
    """The transition (observation, action, reward, arrival, terminated) goes in, over the oldest when it is full.

    Truncation is not stored: what follows it still has value, and `arrival` is the true last observation.
    """
    counters = learner.counters
    i = counters[POSITION]
    learner.observations[i] = learner.observation[0]
    learner.next_observations[i] = learner.arrival[0]
    learner.actions[i] = action
    learner.rewards[i] = reward
    learner.terminated[i] = terminated
    counters[POSITION] = (i + 1) % learner.actions.size
    counters[FILLED] = min(counters[FILLED] + 1, learner.actions.size)


@njit(cache=True, nogil=True)
def td_targets(learner, rule):
    """r + gamma Q_target(s', b) into learner.returns, nothing after a terminated transition.

    b is greedy by the target network (Mnih et al. 2015), or by the online network (double Q-learning).
    """
    sizes, starts, following = learner.sizes, learner.starts, learner.next_batch
    if rule.double_q:
        q = forward(learner.theta, sizes, starts, rule.activation, following, learner.work)
        for i in range(learner.index.size):
            learner.choice[i] = greedy_action(q[i], learner.available, following, i)
    q = forward(learner.target, sizes, starts, rule.activation, following, learner.work)
    for i in range(learner.index.size):
        if not rule.double_q:
            learner.choice[i] = greedy_action(q[i], learner.available, following, i)
        j = learner.index[i]
        value = np.float64(learner.rewards[j])
        if not learner.terminated[j]:
            value += rule.gamma * np.float64(q[i, learner.choice[i]])
        learner.returns[i] = value


@njit(cache=True, nogil=True)
def _note_error(td_error, observations, i, error):
    if observations.ndim == 1:
        td_error[observations[i]] = error


@njit(cache=True, nogil=True)
def _count_visit(visits, observation):
    if observation.ndim == 1:
        visits[observation[0]] += 1


@njit(cache=True, nogil=True)
def _measure(measures, place, value, span):
    measures[place] += (value - measures[place]) / span


@njit(cache=True, nogil=True)
def gradient_step(learner, rule, learning_rate, generator):
    """One step of Adam on the mean loss of a batch drawn from memory; False where a value is not finite."""
    sizes, starts, counters = learner.sizes, learner.starts, learner.counters
    batch = learner.index.size
    for i in range(batch):
        learner.index[i] = int(generator.random() * counters[FILLED])
    _gather(learner.observations, learner.index, learner.batch)
    _gather(learner.next_observations, learner.index, learner.next_batch)
    td_targets(learner, rule)

    q = forward(learner.theta, sizes, starts, rule.activation, learner.batch, learner.work)
    deltas = layer_outputs(learner.deltas, sizes, batch, sizes.size - 2)
    deltas[:] = deltas.dtype.type(0)
    loss = 0.0
    size_of_error = 0.0
    for i in range(batch):
        j = learner.index[i]
        action = learner.actions[j]
        error = np.float64(q[i, action]) - learner.returns[i]
        its_loss, slope = error_loss(error, rule.huber)
        loss += its_loss
        size_of_error += abs(error)
        deltas[i * sizes[-1] + action] = slope / batch
        _note_error(learner.td_error, learner.batch, i, -error)
    backward(learner.theta, sizes, starts, rule.activation, learner.batch, learner.work, learner.deltas, learner.gradient)
    norm = global_norm(learner.gradient)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        layer = first_bad_layer(learner.theta, starts)
        if layer < 0:
            layer = first_bad_layer(learner.gradient, starts)
        counters[BAD_LAYER] = layer if layer >= 0 else sizes.size - 2
        return False
    counters[UPDATES] += 1
    scale = rule.max_grad_norm / norm if norm > rule.max_grad_norm else 1.0
    adam(
        learner.theta,
        learner.gradient,
        learner.mean,
        learner.square,
        counters[UPDATES],
        learning_rate,
        rule.beta1,
        rule.beta2,
        rule.adam_epsilon,
        scale,
    )
    span = min(counters[UPDATES], MEASURE_SPAN)
    _measure(learner.measures, LOSS, loss / batch, span)
    _measure(learner.measures, TD_ERROR, size_of_error / batch, span)
    _measure(learner.measures, GRADIENT_NORM, norm, span)
    return True


@njit(cache=True, nogil=True)
def observe(learner, rule, t, action, reward, terminated, generator):
    """What is done with the transition of step t, which led to learner.arrival; False where a value is not finite."""
    _count_visit(learner.visits, learner.observation)
    remember(learner, action, reward, terminated)
    done = t + 1
    if done > rule.learning_starts and done % rule.train_freq == 0:
        for _ in range(rule.gradient_steps):
            if not gradient_step(learner, rule, learning_rate_at(rule, t), generator):
                return False
    if done % rule.target_update_interval == 0:
        mix(learner.target, learner.theta, rule.tau)
    return True


@njit(cache=True, nogil=True)
def run_dqn(model, world, generator, learner, rule, t, steps, elapsed, limit, total, returns, lengths):
    """Run at most ``steps`` steps from learner.observation, ``elapsed`` steps and return ``total`` into an episode.

    ``world`` is the environment's generator: one uniform a step, one a reset. An episode is truncated after ``limit``
    steps. ``returns`` and ``lengths`` take the episodes that end; the loop stops early when they are full, and after
    a step in which values stopped being finite.

    Returns:
        (steps done, elapsed, total, number of episodes that ended); the state is learner.observation[0].
    """
    ended = 0
    for i in range(steps):
        a = act(learner, rule, t + i, generator)
        to, reward, terminated, _ = sample(model, np.int64(learner.observation[0]), a, world.random())
        learner.arrival[0] = to
        healthy = observe(learner, rule, t + i, a, reward, terminated, generator)
        elapsed += 1
        total += reward
        if terminated or elapsed >= limit:
            returns[ended] = total
            lengths[ended] = elapsed
            ended += 1
            learner.observation[0] = sample_start(model, world.random())
            elapsed = 0
            total = 0.0
        else:
            learner.observation[0] = to
        if ended == returns.size or not healthy:
            return i + 1, elapsed, total, ended
    return steps, elapsed, total, ended
