"""A DQN's cell opened: its target, what the hidden units do there, and which other cells learn with it.

The target is written out for the last transition in the replay memory that began in the state, with the networks as
they are now: r + gamma Q_target(s', argmax Q(s', .)) for a double DQN (van Hasselt et al. 2016, equation 4), else
r + gamma max Q_target(s', .) (Mnih et al. 2015). A state that the memory does not hold has none. A DQN that learns
distributions has one for its target, r + gamma z projected onto the atoms (Bellemare, Dabney & Munos 2017, algorithm
1); the sum written out is of its means.

The gradient similarity of two states is the cosine of the angle between the gradients of max_a Q there with respect to
all weights: the normalised neural tangent kernel (Jacot, Gabriel & Hongler 2018; of Q-learning: Achiam, Knight &
Abbeel 2019). A small gradient step that raises the value of one state raises that of another in proportion to the
product of their gradients; where it is near 1 across a wall, the network generalises through the wall.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted, product
from rlgrid.window.steps import PRIME, numbered

PATIENCE = 1.0  # seconds that the similarity of all cells may take
MOST_SHOWN = 256  # units of a layer that are shown
NO_STEP = "The memory holds no step from here."


@dataclass(frozen=True, eq=False)
class Layer:
    """What a hidden operation of the network gives at a state."""

    name: str
    outputs: Floats  # [units], at most `MOST_SHOWN` of them
    units: int  # how many there are


@dataclass(frozen=True, eq=False)
class Returns:
    """Distributions of returns at a state, of a network that learns them.

    Attributes:
        atoms: float64 [Z], the returns that are told apart.
        chances: float64 [A, Z].
        target: float64 [Z], what that of ``action`` is moved to by the last transition from here; None without one.
    """

    atoms: Floats
    chances: Floats
    target: Floats | None = None
    action: int | None = None


@dataclass(frozen=True, eq=False)
class Now:
    """What a network that remembers has in mind at present.

    Attributes:
        state: where the agent is.
        memory: float64 [n], the state of its recurrent layers.
        values: float64 [A], of the actions there, after all that it has seen in the episode.
    """

    state: int
    memory: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class Inside:
    """A look into the network at one state.

    Attributes:
        state, count: of what, and after how many steps.
        layers: the hidden ones, from the observations on.
        similarity: float64 [S], cosine of the gradients of max_a Q there and here, in [-1, 1]; NaN where it was not
            computed (time, walls, ends of episodes). None where it was not asked for.
        returns: of a network that learns distributions.
        now: of a network that remembers.
    """

    state: int
    count: int
    layers: tuple[Layer, ...]
    similarity: Floats | None = None
    returns: Returns | None = None
    now: Now | None = None


def has_network(agent: Any) -> bool:
    """Whether an agent is a DQN over the states of a model."""
    from rlgrid.agents.dqn import DQN

    return type(agent) is DQN and agent._discrete and agent.model is not None


# --- the target -------------------------------------------------------------------------------------------------------


def last_transition(agent: Any, state: int) -> int | None:
    """The place in the replay memory of the newest transition that began in ``state``, of several environments the
    one that the fewest steps of its own followed."""
    from rlgrid.agents.memory import places_of, rings

    replay = agent._learner.replay
    places = places_of(replay)
    places = places[replay.observations[places] == state]
    if not places.size:
        return None
    positions = rings(replay)[:, 0]
    rows, envs = replay.actions.size // positions.size, places % positions.size
    ages = (positions[envs] - 1 - places // positions.size) % rows
    return int(places[ages.argmin()])


def target_update(
    agent: Any, place: int, theta: NDArray[Any] | None = None, target: NDArray[Any] | None = None
) -> Update:
    """The target of the transition at a place of the replay memory, and how far the network is from it.

    Args:
        theta, target: the weights of both networks; None takes the present ones.
    """
    learner, rule = agent._learner, agent._rule()
    replay, gamma = learner.replay, float(rule.gamma)
    theta = learner.network.theta if theta is None else theta
    target = learner.target if target is None else target
    s, a = int(replay.observations[place]), int(replay.actions[place])
    parts, power, to = _rewards(agent, place)
    if to is not None:
        parts.append((*discounted(gamma, power), _bootstrap(agent, to, theta, target)))
    held, distributes = None, hasattr(learner.network, "atoms")
    if distributes:
        total = sum(product(part) for part in parts)
        _, mean = projected(agent, place, theta, target)
        if abs(mean - total) > 1e-9 * max(1.0, abs(total)):
            parts.append((Factor("cut at the ends of what is told apart", mean - total),))
    elif rule.clip_targets and gamma < 1.0 and rule.bonus == 0.0:
        low, high = (float(bound) / (1.0 - gamma) for bound in learner.reward_range)
        held = (low, high)
    value = float(agent._evaluate(np.array([s], np.int32), theta)[0, a])
    if distributes:
        value = float(chances_of(agent, s, theta)[a] @ learner.network.atoms)
    name = "C51" if distributes else "DQN"
    words = "Q_target is the target network" + (", the network itself chose the action" if rule.double_q else "")
    if distributes:
        words = f"all are means of distributions; {words}"
    return Update(
        rule=f"Double {name}" if rule.double_q else name,
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


def _rewards(agent: Any, place: int) -> tuple[list[Product], int, int | None]:
    """(the rewards of a target, how many steps they are of, the state behind them or None where nothing follows)."""
    from rlgrid.agents.memory import next_observations, rings
    from rlgrid.kernels.replay import GOES_ON, TERMINATED

    learner, rule = agent._learner, agent._rule()
    replay, gamma = learner.replay, float(rule.gamma)
    size, positions = replay.actions.size, rings(replay)[:, 0]
    envs = positions.size
    env = place % envs
    last = int(positions[env] - 1) % (size // envs) * envs + env  # the newest one of the same environment
    parts: list[Product] = []
    j, power, to = place, 0, 0
    for k in range(rule.n_steps):
        if k > 0:
            if replay.endings[j] != GOES_ON or j == last:
                break
            j = (j + envs) % size
        power += 1
        to = int(next_observations(replay, learner.arrival, np.array([j]))[0])
        symbol = numbered("r", k + 1) if rule.n_steps > 1 else "r"
        parts.append((*discounted(gamma, k), Factor(symbol, float(replay.rewards[j]), to)))
        if rule.bonus > 0.0:
            seen = int(learner.counts[int(replay.observations[j]), int(replay.actions[j])])
            parts.append((*discounted(gamma, k), Factor("bonus", rule.bonus / math.sqrt(seen))))
    return parts, power, None if replay.endings[j] == TERMINATED else to


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
    worth = float(judged[b])
    if hasattr(learner.network, "atoms"):  # a mean that no float32 has rounded
        worth = float(chances_of(agent, to, target)[b] @ learner.network.atoms)
    return Factor(symbol, worth, to, b)


# --- distributions ----------------------------------------------------------------------------------------------------


def chances_of(agent: Any, state: int, weights: NDArray[Any]) -> Floats:
    """float64 [A, Z]: the distribution of returns of each action in a state, by these weights."""
    from rlgrid.kernels.losses import softmax
    from rlgrid.kernels.program import OUTPUTS

    network = agent._learner.network
    agent._evaluate(np.array([state], np.int32), weights)
    logits = network.row[network.inner.program[-1, OUTPUTS] :]
    found = np.empty((agent._num_actions, network.atoms.size))
    for a, row in enumerate(found):
        softmax(logits[a * row.size : (a + 1) * row.size], 1.0, row)
    return found


def projected(agent: Any, place: int, theta: NDArray[Any], target: NDArray[Any]) -> tuple[Floats, float]:
    """(float64 [Z], its mean): what the distribution at the beginning of a transition is moved to.

    The atoms of the state that it led to are moved to r + gamma z, held between the ends, and each is shared by the two
    atoms between which it falls.
    """
    from rlgrid.kernels.distributions import project

    learner, rule = agent._learner, agent._rule()
    atoms = learner.network.atoms
    parts, power, to = _rewards(agent, place)
    rewards = sum(product(part) for part in parts)
    low, high = float(atoms[0]), float(atoms[-1])
    if rule.clip_targets and rule.gamma < 1.0:
        low = min(max(low, learner.reward_range[0] / (1.0 - rule.gamma)), high)
        high = max(min(high, learner.reward_range[1] / (1.0 - rule.gamma)), low)
    found = np.empty(atoms.size)
    chances = np.full(atoms.size, 1.0 / atoms.size)  # where the episode ended all come to the same
    if to is not None:
        chances = chances_of(agent, to, target)[_bootstrap(agent, to, theta, target).action]
    discount = 0.0 if to is None else rule.gamma**power
    mean = project(chances, atoms, rewards, discount, low, high, found)
    return found, float(mean)


# --- inside the network -----------------------------------------------------------------------------------------------


def opened(
    agent: Any, state: int, place: int | None, deeply: bool = True, patience: float = PATIENCE
) -> Generator[None, None, Inside]:
    """The activations at a state, its distributions of returns where the network has them, with the target of the
    transition at ``place``; and ``deeply`` the similarity of every other state to it.

    Bit by bit, all of the moment at which it begins: the similarity, which takes longer, is of a copy of the weights.
    """
    learner = agent._learner
    _, outputs = agent._outputs(np.array([state], np.int32))
    names, distributes = agent._architecture.names, hasattr(learner.network, "atoms")
    hidden = len(outputs) - (2 if distributes else 1)
    layers = tuple(Layer(names[op], outputs[op][0][:MOST_SHOWN].copy(), outputs[op].shape[1]) for op in range(hidden))
    returns = None
    if distributes:
        chances = chances_of(agent, state, learner.network.theta)
        returns = Returns(learner.network.atoms.copy(), chances)
        if place is not None:
            target, _ = projected(agent, place, learner.network.theta, learner.target)
            returns = Returns(returns.atoms, chances, target, int(learner.replay.actions[place]))
    count, found = agent.num_timesteps, None
    if deeply:
        found = yield from _similar(agent, state, _of_one(agent), patience)
    return Inside(state, count, layers, found, returns)


def _finished(work: Generator[None, None, Any]) -> Any:
    """What a piece of work comes to."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


def inside(agent: Any, state: int, deeply: bool = True, patience: float = PATIENCE) -> Inside:
    """`opened`, at once."""
    found: Inside = _finished(opened(agent, state, last_transition(agent, state), deeply, patience))
    return found


def similarity(agent: Any, state: int, patience: float = math.inf) -> Floats:
    """float64 [S]: the cosine of the gradients of max_a Q in each state and in ``state``; NaN where it was not found.

    States are taken by their distance in number from ``state``, until ``patience`` seconds of work are over.
    """
    found: Floats = _finished(_similar(agent, state, _of_one(agent), patience))
    return found


def _similar(agent: Any, state: int, network: Any, patience: float) -> Generator[None, None, Floats]:
    """`similarity` bit by bit, of the weights of a network that `_of_one` gave."""
    yield
    model = agent.model
    found = np.full(model.num_states, np.nan)
    asked = np.flatnonzero(~np.asarray(model.absorbing, np.bool_) | (np.arange(model.num_states) == state))
    asked = asked[np.argsort(np.abs(asked - state), kind="stable")]
    here = gradient(agent, state, network)  # which may have to be compiled
    norm, spent = math.sqrt(float((here * here).sum())), 0.0  # without BLAS, whose threads wait for each other here
    for other in asked:
        began = time.perf_counter()
        there = gradient(agent, int(other), network)
        size = norm * math.sqrt(float((there * there).sum()))
        if size > 0.0:
            found[other] = min(1.0, max(-1.0, float((here * there).sum()) / size))
        spent += time.perf_counter() - began
        if spent > patience:
            break
        yield
    return found


def gradient(agent: Any, state: int, network: Any = None) -> Floats:
    """float64 [P]: the gradient of max_a Q(state, a) with respect to the weights of the network; nothing changes.

    Args:
        network: what `_of_one` gave; None takes the present weights.
    """
    from rlgrid.agents.world import stream_of
    from rlgrid.kernels.losses import softmax
    from rlgrid.kernels.network import backward_once, forward_once
    from rlgrid.kernels.program import OUTPUTS

    network = _of_one(agent) if network is None else network
    row, stream = np.array([state], np.int32), stream_of(agent._generator)
    out = forward_once(network, network.theta, row, network.work, False, stream)[0]
    there = np.ones(agent._num_actions, np.bool_)
    if agent._available is not None:
        there = agent._available[state]
    slopes = network.deltas[int(network.program[-1, OUTPUTS]) :]
    slopes[: out.size] = 0
    atoms = getattr(agent._learner.network, "atoms", None)
    if atoms is None:
        slopes[int(np.where(there, out, -np.inf).argmax())] = 1
    else:  # of a mean of softmax(logits): p (z - mean)
        chances = np.empty((there.size, atoms.size))
        for a, chance in enumerate(chances):
            softmax(out[a * atoms.size : (a + 1) * atoms.size], 1.0, chance)
        means = chances @ atoms
        best = int(np.where(there, means, -np.inf).argmax())
        slopes[best * atoms.size : (best + 1) * atoms.size] = chances[best] * (atoms - means[best])
    backward_once(network, row, False)
    found: Floats = network.gradient.astype(np.float64)
    return found


def _of_one(agent: Any) -> Any:
    """The agent's network, its weights copied, with buffers of its own for one observation: a look leaves no trace.

    Of one that learns distributions it is the network of their logits.
    """
    network = agent._learner.network
    kept, own = network.row.size, getattr(network, "inner", network)
    return own._replace(
        theta=own.theta.copy(),
        gradient=np.zeros_like(network.gradient),
        work=np.zeros(kept, network.row.dtype),
        deltas=np.zeros(kept, network.row.dtype),
        scratch=np.zeros_like(own.scratch),
    )
