"""Exact values of agents that explore, for docs/curves.py and docs/race.py: what learning curves go to.

An epsilon-greedy agent takes any action with probability epsilon, and else a greedy one. Two numbers bound what it
collects once it has learnt, for two reasons:

    around the optimum     the value of the epsilon-greedy policy of Q*. Q-learning learns Q* and behaves so
    best while exploring   the value of the best policy of all that take any action with epsilon. Sarsa and Expected
                           Sarsa learn the worth of their behaviour and go there
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import rlgrid

EPSILON = 0.1  # in all of Sutton & Barto's examples of control

Floats = NDArray[np.float64]


def world(name: str, **settings: Any) -> Any:
    """The environment of an id without its wrappers, so that no step cap ends an episode: the book has none."""
    return gym.make(f"rlgrid/{name}", **settings).unwrapped


def epsilon_greedy(q_values: Floats, epsilon: float = EPSILON, margin: float = 0.0) -> Floats:
    """float64 [S, A], the behaviour: any action with epsilon, else a greedy one, of several each as likely.

    Actions count as greedy that are worse by no more than ``margin``.
    """
    greedy = q_values >= q_values.max(axis=1, keepdims=True) - margin
    return epsilon / q_values.shape[1] + (1.0 - epsilon) * greedy / greedy.sum(axis=1, keepdims=True)


def start_value(model: Any, values: Floats) -> float:
    """The value of the start."""
    return float(model.start_probability @ values[model.start_states])


def around_the_optimum(model: Any, epsilon: float = EPSILON) -> float:
    """J of the epsilon-greedy policy of Q*: where Q-learning's behaviour goes."""
    q_values = rlgrid.solve(model, tolerance=1e-9).q_values
    return start_value(model, rlgrid.policy_values(model, epsilon_greedy(q_values, epsilon, 1e-6)))


def softened(model: Any, epsilon: float = EPSILON) -> Any:
    """The model in which any action happens with epsilon whatever is chosen (Sutton & Barto, section 5.4).

    Its optimal policy is the best one of those that explore so: where Sarsa and Expected Sarsa go.
    """
    table, shape = model.to_mdp(), (model.num_states, model.num_actions)
    transitions, reward = np.zeros((*shape, shape[0])), np.zeros(shape)
    for s in range(shape[0]):
        for a in range(shape[1]):
            for probability, to, paid, _ in table.P[s][a]:
                transitions[s, a, to] += probability
                reward[s, a] += probability * paid
    transitions = (1.0 - epsilon) * transitions + epsilon * transitions.mean(axis=1, keepdims=True)
    reward = (1.0 - epsilon) * reward + epsilon * reward.mean(axis=1, keepdims=True)
    return rlgrid.MDP.from_arrays(transitions, reward, gamma=model.gamma, start=table.start, terminal=model.absorbing)


def best_while_exploring(model: Any, epsilon: float = EPSILON) -> float:
    """J of the best policy that takes any action with epsilon."""
    soft = softened(model, epsilon)
    return start_value(soft, rlgrid.solve(soft, tolerance=1e-9).values)


def counted(model: Any) -> Any:
    """The model with a cost of 1 for every step in place of its rewards."""
    table = model.to_mdp()
    outcomes = np.diff(table.offsets)
    goes_on = np.repeat(~np.repeat(table.absorbing, table.num_actions), outcomes)
    return rlgrid.MDP(
        table.num_states,
        table.num_actions,
        table.offsets,
        table.next_state,
        table.probability,
        np.where(goes_on, -1.0, 0.0),
        table.terminated,
        gamma=1.0,
        start=table.start,
    )


def steps_to_the_end(model: Any, policy: Any) -> float:
    """The expected length of an episode under a policy [S] or [S, A]; infinite where it may never end."""
    return -start_value(model, rlgrid.policy_values(counted(model), policy))


def behave(agent: str, env: Any, seed: int, **settings: Any) -> Any:
    """An agent that explores with a constant epsilon, as those of the book do."""
    exploring = {"exploration_initial_eps": EPSILON, "exploration_final_eps": EPSILON}
    return getattr(rlgrid.agents, agent)(env, seed=seed, **exploring | settings)
