"""Deep Q-learning: the rule one step at a time, and the loop that runs environment and rule in one kernel.

Mnih et al. 2015 (Nature 518): replay, a target network, epsilon-greedy behaviour; van Hasselt, Guez & Silver 2016 for
the double target. Each rule function is written once; the compiled loop calls it, and so does the Python loop over a
foreign environment. Uniforms are drawn by ``uniform(stream)`` alone: for a step one to explore or not and, if so,
one for the action (softmax: one for the action), and one for how long it is held, where actions are; none while one
is; for a gradient step one a sample of the batch.

Several copies of an environment may be stepped at once, C of them. All act before any of them moves, one after the
other as far as they explore, and then from one pass of the network. A step of all is C steps of the run.

Observations are int32 [N], the states of a Discrete space, or float32 [N, D]. The memory and its batches are those of
`rlgrid.kernels.replay`. Nothing is allocated in the loop.

Directed exploration has a table of its own, the novelty of each pair: what Q-learning makes of 1 / sqrt(N(s, a)) as
the reward. It begins at the most that can be, so that what was never tried draws from afar (Brafman & Tennenholtz 2002,
JMLR 3), and the values that are learnt never see it (Whitney et al. 2021, Decoupled exploration and exploitation
policies).

Temporally extended exploration holds what epsilon explores for a number of steps that is drawn anew each time
(epsilon-z-greedy; Dabney, Ostrovski & Barreto 2021, ICLR, algorithm 1).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.activations import INSIDE, KERNEL
from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.calling import call_update
from rlgrid.kernels.elementary import exp
from rlgrid.kernels.exploration import FALLING, SOFTMAX, schedule_at
from rlgrid.kernels.losses import error_loss
from rlgrid.kernels.network import backward, first_bad_op, forward, output_slopes
from rlgrid.kernels.optimisers import global_norm, mix, optimise
from rlgrid.kernels.pcg64 import uniform
from rlgrid.kernels.program import UNITS
from rlgrid.kernels.replay import (
    GOES_ON,
    TERMINATED,
    TRUNCATED,
    copy,
    draw_prioritized,
    draw_uniform,
    state_after,
    state_of,
    store_of,
    unroll,
    update_priorities,
)
from rlgrid.kernels.stepping import copy_of, enter, take

DECAYED_TO = 0.01  # a learning rate that falls stays at this share, so that learning never quite stops

# Of novelty: discount and step size; it begins at 1 / (1 - NOVELTY_GAMMA).
NOVELTY_GAMMA = 0.99
NOVELTY_STEP = 0.1

# Places in Learner.counters.
UPDATES = 0  # gradient steps done
BAD_OP = 1  # the operation of the network whose values stopped being finite, -1 while all are
STEPS_SINCE = 2  # steps since the last round of gradient steps
EPISODES_SINCE = 3  # episodes that ended since

# Places in a row of Learner.held.
HELD = 0  # the action that is held
LEFT = 1  # steps for which it is held yet

# Places in Learner.measures: means over the last gradient steps, MEASURE_SPAN of them or so.
LOSS = 0
TD_ERROR = 1  # mean |error| of a batch
GRADIENT_NORM = 2  # before clipping
MEASURE_SPAN = 100


class Rule(NamedTuple):
    """The settings of a run, as numbers."""

    gamma: float
    learning_rate: float  # at the beginning
    rate_kind: int  # its schedule, of rlgrid.kernels.exploration
    rate_final: float
    rate_horizon: float
    learning_starts: int
    train_freq: int  # steps of all copies between two rounds of gradient steps
    by_episodes: bool  # train_freq counts episodes, not steps
    gradient_steps: int  # of a round; 0: as many as steps since the last one
    n_steps: int
    tau: float
    target_update_interval: int
    priority_alpha: float
    priority_beta: float  # at the beginning; it goes linearly to 1 until t = beta_horizon
    beta_horizon: float
    priority_eps: float
    exploration: int  # EPSILON_GREEDY or SOFTMAX, of rlgrid.kernels.exploration
    strength_kind: int  # the schedule of epsilon or of the temperature
    strength_initial: float
    strength_final: float
    strength_horizon: float
    bonus: float  # of exploration, in the rewards that are learnt from: bonus / sqrt(N(s, a))
    optimism: float  # in values that actions are chosen by and targets bootstrap from: optimism / (N(s, a) + 1)^2
    double_q: bool
    clip_targets: bool
    huber: bool
    optimiser: Any  # of rlgrid.kernels.optimisers


class Step(NamedTuple):
    """One step of all C copies of the environment."""

    actions: Any  # int64 [C]
    rewards: Any  # float64 [C]
    terminated: Any  # bool [C]
    truncated: Any  # bool [C]
    idle: Any  # bool [C], the copies whose step only begins an episode: their actions are not used


class Learner(NamedTuple):
    """Networks, replay memory and buffers. P parameters, batches of B, observations of D, C copies of the world."""

    network: Any  # of rlgrid.kernels.network, with its optimiser's memory
    target: Any  # float32 [P], the weights of the target network
    replay: Any  # of rlgrid.kernels.replay
    batch: Any  # of rlgrid.kernels.replay
    targets: Any  # float64 [B], what the values of the batch are moved to
    errors: Any  # float64 [B], targets less values
    observation: Any  # int32 [C] or float32 [C, D], the present ones
    arrival: Any  # the same, where the present step led, before any reset
    step: Step
    available: Any  # bool [S, A], or [0, 0] where every action always is, or where the environment tells each time:
    mask: Any  # bool [C, A], the actions that there are now, or [0, 0]
    arrival_mask: Any  # the same where the present step led
    visits: Any  # int64 [S], or [1] over vectors
    counts: Any  # int64 [S, A], how often each action was taken, or [0, 0] where nobody asks
    novelty: Any  # float64 [S, A], what directed exploration goes after, or [0, 0] where nobody asks
    held: Any  # int64 [C, 2], the action that each copy holds, or [0, 2] where none is held
    durations: Any  # float64 [N], the probability that an action is held for at most 1, 2 ... N steps; or [0]
    td_error: Any  # float64 [S], the last error in each state, or [1] over vectors
    reward_range: Any  # float64 [2], the least and the largest reward seen, 0 included
    counters: Any  # int64 [4]
    measures: Any  # float64 [3]


@njit(**KERNEL)
def strength_at(rule, t, count):
    """epsilon or the temperature at step t, at the ``count``-th visit; epsilon is 1 until learning starts."""
    if t < rule.learning_starts and rule.exploration != SOFTMAX:
        return 1.0
    return schedule_at(rule.strength_kind, rule.strength_initial, rule.strength_final, rule.strength_horizon, t, count)


@njit(**KERNEL)
def learning_rate_at(rule, t):
    """The step size of the optimiser after t steps."""
    if rule.rate_kind == FALLING:
        return rule.learning_rate * max(DECAYED_TO, 1.0 - t / rule.rate_horizon)
    return schedule_at(rule.rate_kind, rule.learning_rate, rule.rate_final, rule.rate_horizon, t, 1)


# --- actions --------------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def greedy_action(q, i, available, s):
    """The action of the largest q[i] among those that state s has, the lowest index where several are equal."""
    chosen = -1
    for a in range(q.shape[1]):
        if (available.size == 0 or available[s, a]) and (chosen < 0 or q[i, a] > q[i, chosen]):
            chosen = a
    return max(chosen, 0)


@njit(**INSIDE)
def add_optimism(counts, optimism, observations, q):
    """q[i, a] += optimism / (N(s, a) + 1)^2, where pairs are counted (Rashid et al. 2020, equation 3, with M = 2)."""
    if optimism > 0.0:
        for i in range(q.shape[0]):
            s = state_of(observations, i)
            for a in range(q.shape[1]):
                more = np.float64(counts[s, a] + 1)
                q[i, a] += optimism / (more * more)


@njit(**INSIDE)
def random_action(num_actions, available, s, u):
    """The action that a uniform u selects among those that state s has, all equally likely."""
    if available.size == 0:
        return int(u * num_actions)
    there = 0
    for a in range(num_actions):
        there += available[s, a]
    k = int(u * there)
    for a in range(num_actions):
        if available[s, a]:
            if k == 0:
                return a
            k -= 1
    return 0


@njit(**INSIDE)
def novel_action(novelty, state, num_actions, available, s, u):
    """The action of the largest novelty[state] among those that ``available`` has in row s; u breaks ties."""
    best = -1.0
    ties = 0
    for a in range(num_actions):
        if available.size == 0 or available[s, a]:
            if novelty[state, a] > best:
                best = novelty[state, a]
                ties = 0
            ties += novelty[state, a] == best
    k = int(u * ties)
    for a in range(num_actions):
        if (available.size == 0 or available[s, a]) and novelty[state, a] == best:
            if k == 0:
                return a
            k -= 1
    return 0


@njit(**INSIDE)
def exploring_action(learner, num_actions, state, available, s, u):
    """A novel action where exploration is directed, else any."""
    if learner.novelty.size > 0:
        return novel_action(learner.novelty, state, num_actions, available, s, u)
    return random_action(num_actions, available, s, u)


@njit(**INSIDE)
def holds_on(held, e, available, s):
    """Whether copy e takes the action that it holds for another step: not where state s lacks it."""
    if held.size == 0 or held[e, LEFT] == 0:
        return False
    there = available.size == 0 or available[s, held[e, HELD]]
    held[e, LEFT] = held[e, LEFT] - 1 if there else 0
    return there


@njit(**INSIDE)
def hold(held, durations, e, action, u):
    """Copy e holds the action, in all for as many steps as a uniform u selects; in as many steps they are found."""
    more = 0
    while u >= durations[more]:  # the last is 1
        more += 1
    held[e, HELD] = action
    held[e, LEFT] = more


@njit(**INSIDE)
def nothing_won(learner):
    """Whether exploration is directed and every reward was 0 so far: values say nothing that is worth acting on."""
    return learner.novelty.size > 0 and learner.reward_range[0] == learner.reward_range[1]


@njit(**INSIDE)
def softmax_action(q, i, available, s, temperature, u):
    """The action that a uniform u selects where those that state s has are as likely as exp(q[i] / temperature)."""
    best = greedy_action(q, i, available, s)
    if temperature <= 0.0:
        return best
    total = 0.0
    for a in range(q.shape[1]):
        if available.size == 0 or available[s, a]:
            total += exp((np.float64(q[i, a]) - np.float64(q[i, best])) / temperature)
    rest = u * total
    for a in range(q.shape[1]):
        if available.size == 0 or available[s, a]:
            rest -= exp((np.float64(q[i, a]) - np.float64(q[i, best])) / temperature)
            if rest < 0.0:
                return a
    return best


@njit(**INSIDE)
def act(learner, rule, t, stream):
    """The actions at the present observations, step t, into learner.step; before learning starts random ones.

    Epsilon-greedy (Sutton & Barto, 2nd ed., section 2.2), where the exploring action may be held for several steps, or
    softmax over the values (section 2.8, with values in place of preferences).
    """
    learner = borrow(learner)
    network, observation, actions, idle = learner.network, learner.observation, learner.step.actions, learner.step.idle
    available, told, num_actions = learner.available, learner.mask.size > 0, network.program[-1, UNITS]
    if told:
        available = learner.mask
    softmax, asked = rule.exploration == SOFTMAX, False
    for e in range(actions.size):
        state = state_of(observation, e)
        s = e if told else state
        actions[e] = -1
        if idle[e]:
            actions[e] = 0
        elif softmax:
            if t < rule.learning_starts:
                actions[e] = random_action(num_actions, available, s, uniform(stream))
        elif holds_on(learner.held, e, available, s):
            actions[e] = learner.held[e, HELD]
        elif uniform(stream) < (1.0 if nothing_won(learner) else strength_at(rule, t, learner.visits[state] + 1)):
            actions[e] = exploring_action(learner, num_actions, state, available, s, uniform(stream))
            if learner.held.size > 0:
                hold(learner.held, learner.durations, e, actions[e], uniform(stream))
        asked |= actions[e] < 0
    if not asked:
        return
    q = forward(network, network.theta, observation, network.row, False, stream)
    add_optimism(learner.counts, rule.optimism, observation, q)
    for e in range(actions.size):
        if actions[e] < 0:
            state = state_of(observation, e)
            s = e if told else state
            if softmax:
                temperature = strength_at(rule, t, learner.visits[state] + 1)
                actions[e] = softmax_action(q, e, available, s, temperature, uniform(stream))
            else:
                actions[e] = greedy_action(q, e, available, s)


@njit(**KERNEL)
def evaluate(network, observations, probe, q, stream):
    """The values of the actions of every observation into q [n, A], each row as `act` computes it.

    ``probe`` takes one observation; nothing is drawn from ``stream``.
    """
    for i in range(observations.shape[0]):
        copy(observations, i, probe, 0)
        values = forward(network, network.theta, probe, network.row, False, stream)
        for a in range(q.shape[1]):
            q[i, a] = values[0, a]


# --- learning -------------------------------------------------------------------------------------------------------


@njit(**INSIDE)
def remember(learner, e, action, reward, terminated, truncated):
    """The transition (observation, action, reward, arrival, terminated) of copy e goes into the memory."""
    learner = borrow(learner)
    learner.reward_range[0] = min(learner.reward_range[0], reward)
    learner.reward_range[1] = max(learner.reward_range[1], reward)
    ending = TERMINATED if terminated else TRUNCATED if truncated else GOES_ON
    store_of(learner.replay, e, learner.observation, action, reward, ending, learner.arrival, learner.arrival_mask)


@njit(**INSIDE)
def renew(novelty, counts, s, a, to, goes_on, masks, row):
    """One step of Q-learning on novelty[s, a], with 1 / sqrt(N(s, a)) as the reward.

    Where the environment tells which actions there are, masks[row] are those of ``to``. Of a known world the pairs that
    it lacks have the novelty 0, which is no more than that of any other.
    """
    target = 1.0 / math.sqrt(max(counts[s, a], 1))
    if goes_on:
        best = 0.0
        for b in range(novelty.shape[1]):
            if masks.size == 0 or masks[row, b]:
                best = max(best, novelty[to, b])
        target += NOVELTY_GAMMA * best
    novelty[s, a] += NOVELTY_STEP * (target - novelty[s, a])


@njit(**INSIDE)
def draw_batch(learner, rule, t, stream):
    """Transitions drawn from the memory into the batch, and what followed them."""
    replay, batch = learner.replay, learner.batch
    if replay.tree.size > 0:
        beta = rule.priority_beta + (1.0 - rule.priority_beta) * min(1.0, t / rule.beta_horizon)
        draw_prioritized(replay, beta, stream, batch.index, batch.weights)
    else:
        draw_uniform(replay, stream, batch.index, batch.weights)
    unroll(replay, learner.arrival, rule.gamma, rule.n_steps, learner.counts, rule.bonus, batch)
    if learner.novelty.size > 0:
        novelty, counts, endings, masks = learner.novelty, learner.counts, replay.endings, replay.next_masks
        for i in range(batch.index.size):  # one step each, however many those of the batch span
            j, s = batch.index[i], state_of(batch.observations, i)
            if rule.n_steps == 1:
                to = state_of(batch.next_observations, i)
            else:
                to = state_after(replay, learner.arrival, j)
            renew(novelty, counts, s, replay.actions[j], to, endings[j] != TERMINATED, masks, j)


@njit(**INSIDE)
def descend(network, counters, measures, rule, t, loss, absolute_error):
    """A step of the optimiser by network.gradient, and the means over such steps; False where a value is not finite.

    ``loss`` and ``absolute_error`` are means over the batch.
    """
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
    measures[LOSS] += (loss - measures[LOSS]) / span
    measures[TD_ERROR] += (absolute_error - measures[TD_ERROR]) / span
    measures[GRADIENT_NORM] += (norm - measures[GRADIENT_NORM]) / span
    return True


@njit(**INSIDE)
def gradient_step(learner, rule, t, stream):
    """One step of the optimiser on the weighted mean loss of a batch from memory; False where a value is not finite.

    The target is r + gamma Q_target(s', b), with b greedy by the online network in double Q-learning (van Hasselt et
    al. 2016, equation 4), by the target network in plain Q-learning (Mnih et al. 2015).
    """
    learner = borrow(learner)
    network, drawn = learner.network, learner.batch
    batch = drawn.index.size
    draw_batch(learner, rule, t, stream)

    q_target = forward(network, learner.target, drawn.next_observations, network.deltas, False, stream)
    add_optimism(learner.counts, rule.optimism, drawn.next_observations, q_target)
    q = q_target
    if rule.double_q:
        q = forward(network, network.theta, drawn.next_observations, network.work, False, stream)
        add_optimism(learner.counts, rule.optimism, drawn.next_observations, q)
    for i in range(batch):
        learner.targets[i] = drawn.rewards[i]
        if drawn.discount[i] > 0.0:
            if drawn.next_masks.size > 0:
                following = greedy_action(q, i, drawn.next_masks, i)
            else:
                following = greedy_action(q, i, learner.available, state_of(drawn.next_observations, i))
            learner.targets[i] += drawn.discount[i] * np.float64(q_target[i, following])
        if rule.clip_targets and rule.gamma < 1.0 and rule.bonus == 0.0:
            # A sum of discounted rewards lies between these; with a bonus it may not.
            low = learner.reward_range[0] / (1.0 - rule.gamma)
            high = learner.reward_range[1] / (1.0 - rule.gamma)
            value = learner.targets[i]
            learner.targets[i] = low if value < low else high if value > high else value

    q = forward(network, network.theta, drawn.observations, network.work, True, stream)
    slopes = output_slopes(network, batch)
    loss = 0.0
    absolute_error = 0.0
    for i in range(batch):
        action = learner.replay.actions[drawn.index[i]]
        error = np.float64(q[i, action]) - learner.targets[i]
        its_loss, slope = error_loss(error, rule.huber)
        loss += drawn.weights[i] * its_loss
        absolute_error += abs(error)
        for a in range(slopes.shape[1]):
            slopes[i, a] = 0
        slopes[i, action] = drawn.weights[i] * slope / batch
        learner.errors[i] = -error
        learner.td_error[state_of(drawn.observations, i)] = -error
    backward(network, drawn.observations, True)
    if not descend(network, learner.counters, learner.measures, rule, t, loss / batch, absolute_error / batch):
        return False
    if learner.replay.tree.size > 0:
        update_priorities(learner.replay, drawn.index, learner.errors, rule.priority_alpha, rule.priority_eps)
    return True


@njit(**INSIDE)
def observe(learner, rule, t, stream, update):
    """What is done with the transitions of step t, which led to learner.arrival; False where a value is not finite.

    ``update`` is the address of `gradient_step`. As in Stable-Baselines3, ``train_freq`` counts steps of all copies at
    once, and ``target_update_interval`` the steps of each.
    """
    learner = borrow(learner)
    step, counters = learner.step, learner.counters
    copies = step.actions.size
    for e in range(copies):
        if step.idle[e]:
            continue
        action, terminated, truncated = step.actions[e], step.terminated[e], step.truncated[e]
        s, to = state_of(learner.observation, e), state_of(learner.arrival, e)
        learner.visits[s] += 1
        if learner.counts.size > 0:
            learner.counts[s, action] += 1
        if learner.novelty.size > 0:
            renew(learner.novelty, learner.counts, s, action, to, not terminated, learner.arrival_mask, e)
        remember(learner, e, action, step.rewards[e], terminated, truncated)
        if terminated or truncated:
            counters[EPISODES_SINCE] += 1
            if learner.held.size > 0:
                learner.held[e, LEFT] = 0
    done, rounds_of_all = t + copies, (t + copies) // copies
    counters[STEPS_SINCE] += copies
    if (counters[EPISODES_SINCE] >= rule.train_freq) if rule.by_episodes else (rounds_of_all % rule.train_freq == 0):
        rounds = rule.gradient_steps if rule.gradient_steps > 0 else counters[STEPS_SINCE]
        counters[STEPS_SINCE] = 0
        counters[EPISODES_SINCE] = 0
        if done > rule.learning_starts:
            for _ in range(rounds):
                if not call_update(update, learner, rule, t, stream):
                    return False
    if rounds_of_all % max(rule.target_update_interval // copies, 1) == 0:
        mix(learner.network, learner.target, rule.tau)
    return True


@njit(**KERNEL)
def run_dqn(
    world,
    draws,
    stream,
    learner,
    rule,
    update,
    t,
    steps,
    elapsed,
    limit,
    at_next_step,
    totals,
    returns,
    lengths,
    copy_ids,
):
    """Run at most ``steps`` steps of all C copies from learner.observation.

    Args:
        world: any that `rlgrid.kernels.stepping` knows, with the states of all copies.
        draws: uint64 [C, n], the streams of the copies' generators. ``stream`` is the agent's.
        update: the address of `gradient_step`.
        t: steps that the run has done; a step of all copies adds C.
        elapsed, totals: int64 [C] and float64 [C], steps and return of the episodes under way.
        limit: an episode is truncated after so many steps.
        at_next_step: an episode that has ended begins anew at the next step, which is no other, and not at once.
        returns, lengths, copy_ids: float64 [E], int64 [E], int64 [E] with E >= C. They take the episodes that end. The
            loop stops early when they may become full, and after a step in which values stopped being finite.

    Returns:
        (steps of all copies that were done, number of episodes that ended); what is seen now is learner.observation.
    """
    learner, world, draws = borrow(learner), borrow(world), borrow(draws)
    observation, arrival, step = learner.observation, learner.arrival, learner.step
    rewards, terminated, truncated, idle = step.rewards, step.terminated, step.truncated, step.idle
    copies, ended = idle.size, 0
    for i in range(steps):
        now = t + i * copies
        act(learner, rule, now, stream)
        for e in range(copies):
            if idle[e]:
                enter(copy_of(world, e), draws[e], observation[e : e + 1])
                elapsed[e] = 0
                totals[e] = 0.0
                continue
            reward, ends = take(
                copy_of(world, e), draws[e], observation[e : e + 1], step.actions[e], arrival[e : e + 1]
            )
            elapsed[e] += 1
            totals[e] += reward
            rewards[e] = reward
            terminated[e] = ends
            truncated[e] = elapsed[e] >= limit
        healthy = observe(learner, rule, now, stream, update)
        for e in range(copies):
            if idle[e]:
                idle[e] = False
                continue
            copy(arrival, e, observation, e)
            if not (terminated[e] or truncated[e]):
                continue
            returns[ended] = totals[e]
            lengths[ended] = elapsed[e]
            copy_ids[ended] = e
            ended += 1
            if at_next_step:
                idle[e] = True
            else:
                enter(copy_of(world, e), draws[e], observation[e : e + 1])
                elapsed[e] = 0
                totals[e] = 0.0
        if ended + copies > returns.size or not healthy:
            return i + 1, ended
    return steps, ended


# --- the rule for Python to call step by step; apart, so that the loop above does not wait for their wrappers ---------


NO_ACTION = -1
BAD_VALUE = -2  # a value of the network is not finite
BAD_OBSERVATION = -3  # a number of learner.arrival is not finite; nothing is done with it


@njit(**KERNEL)
def step_once(kept, t, learns, acts):
    """`observe` where it learns, and `act` at what is then seen where it acts, learner.arrival if it learnt before.

    ``kept`` is (learner, rule, stream, update) by its address (`rlgrid.kernels.Kept`): one call a step takes a tenth of
    the time that two with the structs themselves take. Returns the action of the first copy, learner.step having those
    of all, or one of the numbers above.
    """
    learner, rule, stream, update = borrow(kept)
    arrival, copies = learner.arrival, learner.step.actions.size
    if learns:
        for number in arrival.flat:
            if not math.isfinite(number):
                return BAD_OBSERVATION
        if not observe(learner, rule, t, stream, update):
            return BAD_VALUE
        for e in range(copies):
            copy(arrival, e, learner.observation, e)
        t += copies
    if not acts:
        return NO_ACTION
    act(learner, rule, t, stream)
    return np.int64(learner.step.actions[0])
