"""A DQN's cell opened: its target, what the hidden units do there, and which other cells learn with it.

The target is written out for the last transition in the replay memory that began in the state, with the networks as
they are now: r + gamma Q_target(s', argmax Q(s', .)) for a double DQN (van Hasselt et al. 2016, equation 4), else
r + gamma max Q_target(s', .) (Mnih et al. 2015). A state that the memory does not hold has none.

The gradient similarity of two states is the cosine of the angle between the gradients of max_a Q there with respect to
all weights: the normalised neural tangent kernel (Jacot, Gabriel & Hongler 2018; of Q-learning: Achiam, Knight &
Abbeel 2019). A small gradient step that raises the value of one state raises that of another in proportion to the
product of their gradients; where it is near 1 across a wall, the network generalises through the wall.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted

PRIME = "s′"
PATIENCE = 0.25  # seconds that the similarity of all cells may take
MOST_SHOWN = 256  # units of a layer that are shown


@dataclass(frozen=True, eq=False)
class Layer:
    """What a hidden operation of the network gives at a state."""

    name: str
    outputs: Floats  # [units], at most `MOST_SHOWN` of them
    units: int  # how many there are


@dataclass(frozen=True, eq=False)
class Inside:
    """A look into the network at one state.

    Attributes:
        state, count: of what, and after how many steps.
        layers: the hidden ones, from the observations on.
        similarity: float64 [S], cosine of the gradients of max_a Q there and here, in [-1, 1]; NaN where it was not
            computed (time, walls, ends of episodes). None where it was not asked for.
    """

    state: int
    count: int
    layers: tuple[Layer, ...]
    similarity: Floats | None


def has_network(agent: Any) -> bool:
    """Whether an agent is a DQN over the states of a model, its network's outputs being values of actions."""
    from rlgrid.agents.dqn import DQN
    from rlgrid.kernels.program import UNITS

    if type(agent) is not DQN or not agent._discrete or agent.model is None:
        return False
    network = agent._learner.network
    return int(network.program[-1, UNITS]) == agent._num_actions and not hasattr(network, "inner")  # no distributions


# --- the target -------------------------------------------------------------------------------------------------------


def last_transition(agent: Any, state: int) -> int | None:
    """The place in the replay memory of the newest transition that began in ``state``."""
    from rlgrid.kernels.replay import FILLED, POSITION

    replay = agent._learner.replay
    filled, position = int(replay.counters[FILLED]), int(replay.counters[POSITION])
    places = np.flatnonzero(replay.observations[:filled] == state)
    if not places.size:
        return None
    ages = (position - 1 - places) % replay.actions.size
    return int(places[ages.argmin()])


def target_update(
    agent: Any, place: int, theta: NDArray[Any] | None = None, target: NDArray[Any] | None = None
) -> Update:
    """The target of the transition at a place of the replay memory, and how far the network is from it.

    Args:
        theta, target: the weights of both networks; None takes the present ones.
    """
    from rlgrid.kernels.replay import GOES_ON, POSITION, TERMINATED

    learner, rule = agent._learner, agent._rule()
    replay, gamma = learner.replay, float(rule.gamma)
    theta = learner.network.theta if theta is None else theta
    target = learner.target if target is None else target
    size = replay.actions.size
    last = (int(replay.counters[POSITION]) - 1) % size
    s, a = int(replay.observations[place]), int(replay.actions[place])
    parts: list[Product] = []
    j, power = place, 0
    for k in range(rule.n_steps):
        if k > 0:
            if replay.endings[j] != GOES_ON or j == last:
                break
            j = (j + 1) % size
        power += 1
        to = _following(agent, j, last)
        many = rule.n_steps > 1
        symbol = "r" + str(k + 1).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")) if many else "r"
        parts.append((*discounted(gamma, k), Factor(symbol, float(replay.rewards[j]), to)))
        if rule.bonus > 0.0:
            seen = int(learner.counts[int(replay.observations[j]), int(replay.actions[j])])
            parts.append((*discounted(gamma, k), Factor("bonus", rule.bonus / math.sqrt(seen))))
    if replay.endings[j] != TERMINATED:
        parts.append((*discounted(gamma, power), _bootstrap(agent, _following(agent, j, last), theta, target)))
    held = None
    if rule.clip_targets and gamma < 1.0 and rule.bonus == 0.0:
        low, high = (float(bound) / (1.0 - gamma) for bound in learner.reward_range)
        held = (low, high)
    value = float(agent._evaluate(np.array([s], np.int32), theta)[0, a])
    return Update(
        rule="Double DQN" if rule.double_q else "DQN",
        state=s,
        action=a,
        count=agent.num_timesteps,
        parts=tuple(parts),
        base=Factor("Q(s,a)", value, s, a),
        old=value,
        new=None,
        rate=None,
        held=held,
        note="Q_target is the target network" + (", the network itself chose the action" if rule.double_q else ""),
    )


def _following(agent: Any, place: int, last: int) -> int:
    """Where the transition at a place led to."""
    from rlgrid.kernels.replay import GOES_ON

    learner, replay = agent._learner, agent._learner.replay
    if replay.endings[place] != GOES_ON:
        return int(replay.finals[replay.final_of[place]])
    if place == last:
        return int(learner.arrival[0])
    return int(replay.observations[(place + 1) % replay.actions.size])


def _bootstrap(agent: Any, to: int, theta: NDArray[Any], target: NDArray[Any]) -> Factor:
    """What a state is worth in a target: its best action by the one network, valued by the other."""
    learner, rule, row = agent._learner, agent._rule(), np.array([to], np.int32)
    judged = agent._evaluate(row, target)[0]
    chosen = agent._evaluate(row, theta)[0] if rule.double_q else judged
    if rule.optimism > 0.0:
        more = (learner.counts[to] + 1).astype(np.float64)
        hope = rule.optimism / (more * more)
        # The kernels keep values in the network's own precision.
        judged = (judged + hope).astype(learner.network.theta.dtype).astype(np.float64)
        chosen = (chosen + hope).astype(learner.network.theta.dtype).astype(np.float64)
    there = np.ones(chosen.size, np.bool_) if learner.available.size == 0 else learner.available[to]
    b = int(np.where(there, chosen, -np.inf).argmax())
    symbol = f"Q_target({PRIME}, argmax Q)" if rule.double_q else f"max Q_target({PRIME})"
    return Factor(symbol, float(judged[b]), to, b)


# --- inside the network -----------------------------------------------------------------------------------------------


def inside(agent: Any, state: int, deeply: bool = True, patience: float = PATIENCE) -> Inside:
    """The activations at a state; and ``deeply`` the similarity of every other state to it, in ``patience`` seconds."""
    rows = np.array([state], np.int32)
    _, outputs = agent._outputs(rows)
    names = agent._architecture.names
    layers = tuple(
        Layer(names[op], outputs[op][0][:MOST_SHOWN].copy(), outputs[op].shape[1]) for op in range(len(outputs) - 1)
    )
    return Inside(state, agent.num_timesteps, layers, similarity(agent, state, patience) if deeply else None)


def similarity(agent: Any, state: int, patience: float = math.inf) -> Floats:
    """float64 [S]: the cosine of the gradients of max_a Q in each state and in ``state``; NaN where it was not found.

    States are taken by their distance in number from ``state``, until ``patience`` seconds are over.
    """
    model = agent.model
    found = np.full(model.num_states, np.nan)
    asked = np.flatnonzero(~np.asarray(model.absorbing, np.bool_) | (np.arange(model.num_states) == state))
    asked = asked[np.argsort(np.abs(asked - state), kind="stable")]
    here = gradient(agent, state)  # which may have to be compiled
    began = time.perf_counter()
    norm = float(np.linalg.norm(here))
    for other in asked:
        there = gradient(agent, int(other))
        size = norm * float(np.linalg.norm(there))
        if size > 0.0:
            found[other] = min(1.0, max(-1.0, float(here @ there) / size))
        if time.perf_counter() - began > patience:
            break
    return found


def gradient(agent: Any, state: int) -> Floats:
    """float64 [P]: the gradient of max_a Q(state, a) with respect to the weights of the network; nothing changes."""
    from rlgrid.agents.world import stream_of
    from rlgrid.kernels.network import backward_once, forward_once
    from rlgrid.kernels.program import OUTPUTS

    network = _of_one(agent)
    row, stream = np.array([state], np.int32), stream_of(agent._generator)
    q = forward_once(network, network.theta, row, network.work, False, stream)
    there = np.ones(q.shape[1], np.bool_)
    if agent._available is not None:
        there = agent._available[state]
    slopes = network.deltas[int(network.program[-1, OUTPUTS]) :]
    slopes[: q.shape[1]] = 0
    slopes[int(np.where(there, q[0], -np.inf).argmax())] = 1
    backward_once(network, row, False)
    found: Floats = network.gradient.astype(np.float64)
    return found


def _of_one(agent: Any) -> Any:
    """The agent's network with buffers of its own for one observation, so that a look leaves no trace."""
    network = agent._learner.network
    kept = network.row.size
    return network._replace(
        gradient=np.zeros_like(network.gradient),
        work=np.zeros(kept, network.row.dtype),
        deltas=np.zeros(kept, network.row.dtype),
        scratch=np.zeros_like(network.scratch),
    )
