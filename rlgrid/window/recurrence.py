"""A recurrent DQN opened: what it remembers now, and the target of the last step that began in a cell.

Its values are a function of all that was seen in an episode: one cell is worth different amounts on different ways to
it, so no value can be told of a cell alone. What can be told is its values where it is now, with what it remembers;
and of the newest transition in the replay memory that began in the cell, what its value there was moved to:

    r_1 + gamma r_2 + ... + gamma^n Q_target(n steps on, argmax Q)

where both networks, as they are now, have gone through the sequence that the transition would be drawn with
(`rlgrid.kernels.recurrent_dqn`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted
from rlgrid.window.networks import Inside, Now
from rlgrid.window.steps import numbered

Sequence = tuple[int, int, int]  # the place of its first transition, those that only make the state, all of them


def has_memory(agent: Any) -> bool:
    """Whether an agent is a recurrent DQN that sees the states of a model."""
    from rlgrid.agents.recurrent_dqn import RecurrentDQN

    return type(agent) is RecurrentDQN and agent._discrete and agent.model is not None


def inside(agent: Any, state: int) -> Inside:
    """What it remembers now, and what it thinks of the actions where it is."""
    learner, now = agent._learner, agent.state
    if now is None:
        return Inside(state, agent.num_timesteps, ())
    values, after = agent._respond(np.array([now], np.int32), learner.state)
    return Inside(state, agent.num_timesteps, (), now=Now(int(now), after[0].astype(np.float64), values[0]))


def sequence_around(agent: Any, place: int) -> Sequence:
    """The sequence that is learnt from when the transition at a place is drawn."""
    from rlgrid.kernels.replay import FILLED, GOES_ON, POSITION

    replay, rule = agent._learner.replay, agent._rule()
    endings, size, filled = replay.endings, replay.actions.size, int(replay.counters[FILLED])
    oldest = int(replay.counters[POSITION]) if filled == size else 0
    age = (place - oldest) % size

    def goes_on(at: int) -> bool:
        return bool(endings[(oldest + at) % size] == GOES_ON)

    first, burned, count = age, 0, 1
    while first > 0 and age - first < rule.length - 1 and goes_on(first - 1):
        first -= 1
    while first > 0 and burned < rule.burn_in and goes_on(first - 1):
        first, burned = first - 1, burned + 1
    while count < burned + rule.length and first + count < filled and goes_on(first + count - 1):
        count += 1
    return (oldest + first) % size, burned, count


def target_update(
    agent: Any,
    place: int,
    theta: NDArray[Any] | None = None,
    target: NDArray[Any] | None = None,
    sequence: Sequence | None = None,
) -> Update:
    """The target of the transition at a place of the replay memory, and how far the network is from it.

    Args:
        theta, target: the weights of both networks; None takes the present ones.
        sequence: that the transition is drawn with; None takes the one around it.
    """
    from rlgrid.agents.memory import next_observations
    from rlgrid.kernels.replay import TERMINATED

    learner, rule = agent._learner, agent._rule()
    replay, size = learner.replay, learner.replay.actions.size
    theta = learner.network.theta if theta is None else theta
    target = learner.target if target is None else target
    begins, _, count = sequence_around(agent, place) if sequence is None else sequence
    places = (begins + np.arange(count)) % size
    t = (place - begins) % size
    until = min(t + rule.n_steps, count)
    last = next_observations(replay, learner.arrival, places[-1:])
    seen = np.concatenate((replay.observations[places], last)).astype(np.int32)
    start = learner.stored[begins] if learner.stored.size else np.zeros(learner.state.shape[1], np.float32)
    q = _through(agent, seen[: until + 1], start, theta)
    q_target = _through(agent, seen[: until + 1], start, target)
    s, a, gamma = int(seen[t]), int(replay.actions[place]), float(rule.gamma)
    parts: list[Product] = []
    for k in range(until - t):
        symbol = numbered("r", k + 1) if rule.n_steps > 1 else "r"
        parts.append(
            (*discounted(gamma, k), Factor(symbol, float(replay.rewards[places[t + k]]), int(seen[t + k + 1])))
        )
    if until < count or replay.endings[places[-1]] != TERMINATED:
        to = int(seen[until])
        there = np.ones(q.shape[1], np.bool_) if learner.available.size == 0 else learner.available[to]
        b = int(np.where(there, (q if rule.double_q else q_target)[until], -np.inf).argmax())
        name = numbered("s", until - t)
        symbol = f"Q_target({name}, argmax Q)" if rule.double_q else f"max Q_target({name})"
        parts.append((*discounted(gamma, until - t), Factor(symbol, float(q_target[until, b]), to, b)))
    held = None
    if rule.clip_targets and gamma < 1.0:
        low, high = (float(bound) / (1.0 - gamma) for bound in learner.reward_range)
        held = (low, high)
    value = float(q[t, a])
    words = "Q is that with what it remembered there"
    if t:
        words += f", after the {t} step{'s' if t > 1 else ''} before it"
    return Update(
        rule="Recurrent DQN",
        state=s,
        action=a,
        count=agent.num_timesteps,
        parts=tuple(parts),
        base=Factor("Q(s,a)", value, s, a),
        old=value,
        new=None,
        rate=None,
        held=held,
        note=words,
    )


def _through(agent: Any, seen: NDArray[np.int32], start: NDArray[np.float32], weights: NDArray[Any]) -> Floats:
    """float64 [T, A]: the values along a sequence of observations, by these weights."""
    from rlgrid.kernels.recurrent_dqn import respond

    network = agent._learner.network._replace(theta=weights)
    found, before = np.empty((len(seen), agent._num_actions)), start[None].copy()
    for t in range(len(seen)):
        after = np.empty_like(before)
        respond(network, seen[t : t + 1], agent._blank(1), before, after, found[t : t + 1])
        before = after
    return found
