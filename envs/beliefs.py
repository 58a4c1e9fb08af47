"""What can be reached in a world that is only partly observed: with a memory, and without one.

With a memory an agent can know, after all that it has seen and done, how likely each state is: its belief. The beliefs
are the states of an MDP of their own (Åström 1965, Optimal control of Markov processes with incomplete state
information; Kaelbling, Littman & Cassandra 1998, Planning and acting in partially observable stochastic domains), whose
optimum is that of all policies with a memory. Where only finitely many beliefs can arise, as in the T-maze, it is
solved like any other:

    env = gym.make("rlgrid/TMaze-v0").unwrapped
    rlgrid.solve(belief_mdp(env.model, env.observation_of))

Without one an action is a function of the present observation. `best_memoryless` tries all of these functions.

Seen are observations, and that the episode has ended; rewards are not.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.models import checked_model, checked_observations
from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP
from rlgrid.solvers import policy_values

MOST_BELIEFS = 100_000
MOST_POLICIES = 100_000

Belief = tuple[tuple[int, Fraction], ...]  # (state, probability), states ascending; () when the episode has ended


class Memoryless(NamedTuple):
    """The best of the deterministic policies that act by the present observation alone."""

    value: float  # J, from the start distribution, at the model's gamma
    action_of: NDArray[np.int64]  # [O], by observation; 0 where an agent never acts
    policy: NDArray[np.int64]  # [S], the same by state


def belief_mdp(model: GridModel | MDP, observation_of: ArrayLike | None, max_beliefs: int = MOST_BELIEFS) -> MDP:
    """The MDP of beliefs: its states are the beliefs that can arise, exact fractions, and () after the end.

    Args:
        model: of the world, with all that is hidden.
        observation_of: int [S], what is seen of each state; None for all of it.
        max_beliefs: more are refused.

    Raises:
        ValueError: if more beliefs can arise, or if states that are seen alike have other actions.
    """
    explicit = checked_model(model).to_mdp()
    given = checked_observations(explicit, observation_of)
    seen = np.arange(explicit.num_states) if given is None else given
    table = _table(explicit)
    start = _by_observation(
        [(int(s), Fraction(float(p))) for s, p in zip(explicit.start_states, explicit.start_probability, strict=True)],
        seen,
    )

    def actions(belief: Belief) -> list[int]:
        offered = [[a for a in range(explicit.num_actions) if table[s][a]] for s, _ in belief]
        if any(one != offered[0] for one in offered):
            raise ValueError(f"states {[s for s, _ in belief]} are seen alike and have other actions")
        return offered[0] if offered else []

    def outcomes(belief: Belief, action: int) -> list[tuple[float, Belief, float, bool]]:
        over, paid_at_end = Fraction(0), Fraction(0)
        going_on: list[tuple[int, Fraction]] = []
        paid: dict[int, Fraction] = {}
        for s, weight in belief:
            for probability, to, reward, terminated in table[s][action]:
                p = weight * probability
                if terminated:
                    over, paid_at_end = over + p, paid_at_end + p * reward
                else:
                    going_on.append((to, p))
                    observation = int(seen[to])
                    paid[observation] = paid.get(observation, Fraction(0)) + p * reward
        found: list[tuple[float, Belief, float, bool]] = []
        if over:
            found.append((float(over), (), float(paid_at_end / over), True))
        for to_belief, p in _by_observation(going_on, seen).items():
            reward = paid[int(seen[to_belief[0][0]])] / p
            found.append((float(p), to_belief, float(reward), False))
        return found

    weights = {belief: float(p) for belief, p in start.items()}
    return MDP.from_function(weights, actions, outcomes, explicit.gamma, max_states=max_beliefs)


def _by_observation(parts: list[tuple[int, Fraction]], seen: NDArray[np.int64]) -> dict[Belief, Fraction]:
    """The beliefs after each observation that may be made, each with its probability."""
    groups: dict[int, dict[int, Fraction]] = {}
    for s, p in parts:
        if p:
            group = groups.setdefault(int(seen[s]), {})
            group[s] = group.get(s, Fraction(0)) + p
    found: dict[Belief, Fraction] = {}
    for _, group in sorted(groups.items()):
        total = sum(group.values(), Fraction(0))
        found[tuple((s, p / total) for s, p in sorted(group.items()))] = total
    return found


def _table(model: MDP) -> list[list[list[tuple[Fraction, int, Fraction, bool]]]]:
    """[S][A] lists of outcomes (probability, next state, reward, terminated), exact: p_i / sum(p)."""
    found = []
    for s in range(model.num_states):
        row = []
        for a in range(model.num_actions):
            pair = s * model.num_actions + a
            run = range(int(model.offsets[pair]), int(model.offsets[pair + 1]))
            weights = [Fraction(float(model.probability[i])) for i in run]
            total = sum(weights, Fraction(0))
            row.append(
                [
                    (w / total, int(model.next_state[i]), Fraction(float(model.reward[i])), bool(model.terminated[i]))
                    for i, w in zip(run, weights, strict=True)
                    if w
                ]
            )
        found.append(row)
    return found


def best_memoryless(
    model: GridModel | MDP, observation_of: ArrayLike | None, max_policies: int = MOST_POLICIES
) -> Memoryless:
    """The best deterministic policy without a memory, found by valuing every one of them.

    One that draws its actions may be better still (Singh, Jaakkola & Jordan 1994, Learning without state-estimation in
    partially observable Markovian decision processes).

    Raises:
        ValueError: if there are more than ``max_policies``.
    """
    explicit = checked_model(model).to_mdp()
    given = checked_observations(explicit, observation_of)
    seen = np.arange(explicit.num_states) if given is None else given
    acting = ~explicit.absorbing
    offered = []
    for observation in range(int(seen.max()) + 1):
        states = acting & (seen == observation)
        counts = np.diff(explicit.offsets).reshape(explicit.num_states, -1) > 0
        offered.append(np.flatnonzero(counts[states].all(axis=0)).tolist() if states.any() else [0])
    if np.prod([float(len(one)) for one in offered]) > max_policies:
        raise ValueError(f"there are more than max_policies = {max_policies} policies without a memory")
    best: Memoryless | None = None
    for chosen in product(*offered):
        action_of = np.array(chosen, np.int64)
        policy = action_of[seen]
        values = policy_values(explicit, policy)
        value = float(explicit.start_probability @ values[explicit.start_states])
        if best is None or value > best.value:
            best = Memoryless(value, action_of, policy)
    if best is None:
        raise ValueError("some observation is made in states that have no action in common")
    return best
