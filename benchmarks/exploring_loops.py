"""The agents of provable exploration as plain Python loops over Gymnasium's FrozenLake, as in `tabular_loops`.

Tables are Python lists: planning asks for single entries, at which NumPy is slower. UCBVI and posterior sampling are
also planned by products of NumPy arrays, which are quicker. The settings are the agents' own defaults. As the agents
do, the loops know rewards to lie in [0, 1] and holes and the goal to be final.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

GAMMA = 0.99
HORIZON = 200
FAILURE = 0.05
VISITS_TO_KNOW, TOLERANCE = 30, 1e-6
Q_SCALE, PLAN_SCALE = 0.01, 0.003
REST, MOST_PIECES = 1e-6, 61

Env = gym.Env[Any, Any]
Table = NDArray[np.float64]
Random = Callable[[], float]
Row = list[float]


class World:
    """What a loop knows of the lake."""

    def __init__(self, env: Env) -> None:
        self.num_states: int = env.observation_space.n  # type: ignore[attr-defined]
        self.num_actions: int = env.action_space.n  # type: ignore[attr-defined]
        self.final = [cell in b"HG" for cell in env.unwrapped.desc.tobytes()]  # type: ignore[attr-defined]

    def rows(self, value: float) -> list[Row]:
        """A table of this value, 0 in final states."""
        return [[0.0 if final else value] * self.num_actions for final in self.final]

    def tables(self, values: Row) -> list[list[Row]]:
        """One for each step."""
        return [self.rows(value) for value in values]


def ceilings() -> Row:
    """The most that can be had from each step on."""
    found = [0.0]
    for _ in range(HORIZON):
        found.append(1.0 + GAMMA * max(0.0, found[-1]))
    return found[::-1]


def width() -> float:
    """1 + gamma + ... + gamma^(H-1)."""
    return float(np.cumprod(np.r_[1.0, np.full(HORIZON - 1, GAMMA)]).sum())


def greedy(row: Row, u: float) -> int:
    """The action that a uniform selects among those of the largest value."""
    best = max(row)
    count = row.count(best)
    if count == 1:
        return row.index(best)
    return [a for a, value in enumerate(row) if value == best][int(u * count)]


def r_max(env: Env, steps: int, seed: int) -> Table:
    """R-max."""
    world, random = World(env), np.random.default_rng(seed).random
    num_states, num_actions, m = world.num_states, world.num_actions, VISITS_TO_KNOW
    ceiling = 1.0 / (1.0 - GAMMA)
    q = world.rows(ceiling)
    counts = [[0] * num_actions for _ in q]
    rewards = [[0.0] * num_actions for _ in q]
    outcomes: list[list[dict[int, int]]] = [[{} for _ in row] for row in q]

    def plan() -> None:
        value, share = [max(row) for row in q], GAMMA / m
        known = [
            (
                s,
                [
                    (a, rewards[s][a] / m, [(n * share, to) for to, n in outcomes[s][a].items() if to >= 0])
                    for a in taken
                ],
            )
            for s in range(num_states)
            if (taken := [a for a in range(num_actions) if counts[s][a] >= m])
        ]
        change = 1.0
        while change > TOLERANCE:
            change = 0.0
            for s, taken in known:
                row = q[s]
                for a, total, row_outcomes in taken:
                    for weight, to in row_outcomes:
                        total += weight * value[to]
                    row[a] = min(ceiling, total)
                best = max(row)
                change = max(change, abs(best - value[s]))
                value[s] = best
            known.reverse()

    state, _ = env.reset(seed=seed)
    for _ in range(steps):
        action = greedy(q[state], random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        counts[state][action] += 1
        if counts[state][action] <= m:
            rewards[state][action] += float(reward)
            met, to = outcomes[state][action], -1 if terminated else next_state
            met[to] = met.get(to, 0) + 1
            if counts[state][action] == m:
                plan()
        state = env.reset()[0] if terminated or truncated else next_state
    return np.array(q)


def ucb_q_learning(env: Env, steps: int, seed: int) -> Table:
    """UCB Q-learning with Bernstein's bonus."""
    world, random = World(env), np.random.default_rng(seed).random
    log, ceiling, size = math.log(world.num_states * world.num_actions * steps / FAILURE), ceilings(), width()
    plain = Q_SCALE * math.sqrt(size**2 * HORIZON * log)
    varying, floor = Q_SCALE**2 * HORIZON * log, size**2 / HORIZON
    q = world.tables(ceiling[:-1])
    visits, means, spreads, widths = (np.zeros(np.shape(q)).tolist() for _ in range(4))
    state, _ = env.reset(seed=seed)
    h = 0
    for _ in range(steps):
        row = q[h][state]
        action = greedy(row, random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
        visits[h][state][action] += 1
        t = visits[h][state][action]
        follows = 0.0
        if not terminated and h + 1 < HORIZON:
            follows = GAMMA * min(ceiling[h + 1], max(q[h + 1][next_state]))
        rate = (HORIZON + 1.0) / (HORIZON + t)
        before = means[h][state][action]
        mean = before + (follows - before) / t
        spread = spreads[h][state][action] + (follows - before) * (follows - mean)
        beta = min(math.sqrt(varying * (spread / t + floor) / t), plain / math.sqrt(t))
        bonus = (beta - (1.0 - rate) * widths[h][state][action]) / (2.0 * rate)
        means[h][state][action], spreads[h][state][action], widths[h][state][action] = mean, spread, beta
        row[action] = (1.0 - rate) * row[action] + rate * (float(reward) + follows + bonus)
        h = 0 if ended or h + 1 == HORIZON else h + 1
        state = env.reset()[0] if ended else next_state
    return np.array(q)


class Counts:
    """What planners count, and where in the round they are."""

    def __init__(self, world: World) -> None:
        shape = (world.num_states, world.num_actions)
        self.n: list[list[int]] = np.zeros(shape, int).tolist()
        self.rewards: list[Row] = np.zeros(shape).tolist()
        self.outcomes: list[list[dict[int, int]]] = [[{} for _ in range(shape[1])] for _ in range(shape[0])]
        self.h = 0

    def note(self, world: World, s: int, a: int, to: int, terminated: bool, ended: bool) -> None:
        """Count an outcome; the end of the episode is the state behind the last."""
        self.n[s][a] += 1
        met, to = self.outcomes[s][a], world.num_states if terminated else to
        met[to] = met.get(to, 0) + 1
        self.h = 0 if ended or self.h + 1 == HORIZON else self.h + 1


def ucbvi(env: Env, steps: int, seed: int) -> Table:
    """UCBVI with Bernstein's bonus."""
    world, random = World(env), np.random.default_rng(seed).random
    counts, ceiling = Counts(world), ceilings()
    log = math.log(5.0 * (world.num_states * world.num_actions) * steps / FAILURE)
    varying, lower = PLAN_SCALE**2 * 8.0 * log, PLAN_SCALE * 14.0 * width() * log / 3.0
    q = world.tables(ceiling[:-1])

    def plan() -> None:
        taken: list[tuple[int, list[tuple[int, float, float, list[tuple[float, int]]]]]] = []
        for s in range(world.num_states):
            actions = [
                (
                    a,
                    counts.rewards[s][a] / n + lower / n,
                    varying / n,
                    [(times / n, to) for to, times in counts.outcomes[s][a].items()],
                )
                for a, n in enumerate(counts.n[s])
                if n > 0
            ]
            if actions:
                taken.append((s, actions))
        ahead = [0.0] * (world.num_states + 1)
        for h in range(HORIZON - 1, -1, -1):
            table, most = q[h], ceiling[h]
            for s, actions in taken:
                row = table[s]
                for a, gain, scale, outcomes in actions:
                    mean = 0.0
                    for p, to in outcomes:
                        mean += p * ahead[to]
                    variance = 0.0
                    for p, to in outcomes:
                        apart = ahead[to] - mean
                        variance += p * (apart * apart)
                    row[a] = min(row[a], most, gain + GAMMA * mean + math.sqrt(scale * variance))
            ahead = [max(row) for row in table]
            ahead.append(0.0)

    state, _ = env.reset(seed=seed)
    for _ in range(steps):
        if counts.h == 0:
            plan()
        action = greedy(q[counts.h][state], random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        counts.rewards[state][action] += float(reward)
        counts.note(world, state, action, next_state, terminated, terminated or truncated)
        state = env.reset()[0] if terminated or truncated else next_state
    return np.array(q)


def ucbvi_in_arrays(env: Env, steps: int, seed: int) -> Table:
    """UCBVI with Bernstein's bonus, planned by products of NumPy arrays, all pairs at once."""
    world, random = World(env), np.random.default_rng(seed).random
    num_states, num_actions, ceiling = world.num_states, world.num_actions, ceilings()
    log = math.log(5.0 * (num_states * num_actions) * steps / FAILURE)
    varying, lower = PLAN_SCALE**2 * 8.0 * log, PLAN_SCALE * 14.0 * width() * log / 3.0
    q = np.array(world.tables(ceiling[:-1])).reshape(HORIZON, -1)
    rewards = np.zeros(num_states * num_actions)
    met = np.zeros((num_states * num_actions, num_states + 1))  # the last outcome is the end of the episode

    def plan() -> None:
        n = met.sum(axis=1)
        taken = np.flatnonzero(n)
        n = n[taken]
        chances = met[taken] / n[:, None]
        gain, scale = rewards[taken] / n + lower / n, varying / n
        ahead = np.zeros(num_states + 1)
        for h in range(HORIZON - 1, -1, -1):
            mean = chances @ ahead
            apart = ahead - mean[:, None]
            variance = np.einsum("ij,ij,ij->i", chances, apart, apart)
            row = q[h]
            row[taken] = np.minimum(row[taken], gain + GAMMA * mean + np.sqrt(scale * variance))
            ahead[:-1] = row.reshape(num_states, num_actions).max(axis=1)

    state, _ = env.reset(seed=seed)
    h = 0
    for _ in range(steps):
        if h == 0:
            plan()
        action = greedy(q[h, state * num_actions : (state + 1) * num_actions].tolist(), random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        pair = state * num_actions + action
        rewards[pair] += float(reward)
        met[pair, num_states if terminated else next_state] += 1.0
        ended = terminated or truncated
        h = 0 if ended or h + 1 == HORIZON else h + 1
        state = env.reset()[0] if ended else next_state
    return q.reshape(HORIZON, num_states, num_actions)


def normal(random: Random) -> float:
    """A standard normal variate (Box & Muller 1958)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - random()))
    return radius * math.cos(2.0 * math.pi * random())


def gamma_variate(random: Random, shape: float) -> float:
    """A gamma variate of a shape of at least 1 (Marsaglia & Tsang 2000)."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(random)
        root = 1.0 + c * x
        v = root * (root * root)
        if v > 0.0 and math.log(1.0 - random()) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


def psrl_in_arrays(env: Env, steps: int, seed: int) -> Table:
    """Posterior sampling, the plan by products of NumPy arrays."""
    return psrl(env, steps, seed, in_arrays=True)


def psrl(env: Env, steps: int, seed: int, in_arrays: bool = False) -> Table:
    """Posterior sampling."""
    world, random = World(env), np.random.default_rng(seed).random
    counts, num_outcomes = Counts(world), world.num_states + 1
    spreads: list[Row] = np.zeros((world.num_states, world.num_actions)).tolist()
    q = world.tables([0.0] * HORIZON)

    def draw(s: int, a: int) -> tuple[float, list[tuple[float, int]]]:
        """(mean reward, outcomes) of a pair."""
        row = [(gamma_variate(random, float(times)), to) for to, times in counts.outcomes[s][a].items()]
        total = 0.0
        for weight, _ in row:
            total += weight
        rest = gamma_variate(random, 1.0)
        total += rest
        least = REST * total
        for piece in range(MOST_PIECES):
            outcome = min(int(random() * num_outcomes), num_outcomes - 1)
            left = rest * (1.0 - random())
            if left <= least or piece + 1 == MOST_PIECES:
                left = 0.0
            row.append((rest - left, outcome))
            rest = left
            if rest == 0.0:
                break
        n, mean = counts.n[s][a], counts.rewards[s][a]
        kappa = 1.0 + n
        apart = mean - 1.0
        beta = 1.0 + 0.5 * spreads[s][a] + n * (apart * apart) / (2.0 * kappa)
        precision = gamma_variate(random, 1.0 + 0.5 * n) / beta
        reward = (1.0 + n * mean) / kappa + normal(random) / math.sqrt(kappa * precision)
        return reward, [(weight / total, to) for weight, to in row]

    def plan_in_arrays(drawn: list[tuple[int, list[tuple[float, list[tuple[float, int]]]]]]) -> None:
        acted = [s for s, _ in drawn]
        reward = np.array([[pair[0] for pair in actions] for _, actions in drawn])
        chances = np.zeros((*reward.shape, num_outcomes))
        for i, (_, actions) in enumerate(drawn):
            for a, (_, outcomes) in enumerate(actions):
                for p, to in outcomes:
                    chances[i, a, to] += p
        chances = chances.reshape(-1, num_outcomes)
        ahead, planned = np.zeros(num_outcomes), np.zeros((HORIZON, world.num_states, world.num_actions))
        for h in range(HORIZON - 1, -1, -1):
            planned[h, acted] = reward + GAMMA * (chances @ ahead).reshape(reward.shape)
            ahead[:-1] = planned[h].max(axis=1)
        q[:] = planned.tolist()

    def plan() -> None:
        acted = [s for s in range(world.num_states) if not world.final[s]]
        drawn = [(s, [draw(s, a) for a in range(world.num_actions)]) for s in acted]
        if in_arrays:
            plan_in_arrays(drawn)
            return
        ahead = [0.0] * num_outcomes
        for h in range(HORIZON - 1, -1, -1):
            table, value = q[h], [0.0] * num_outcomes
            for s, actions in drawn:
                row = table[s]
                for a, (reward, outcomes) in enumerate(actions):
                    mean = 0.0
                    for p, to in outcomes:
                        mean += p * ahead[to]
                    row[a] = reward + GAMMA * mean
                value[s] = max(row)
            ahead = value

    state, _ = env.reset(seed=seed)
    for _ in range(steps):
        if counts.h == 0:
            plan()
        action = greedy(q[counts.h][state], random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        before, n = counts.rewards[state][action], counts.n[state][action] + 1
        mean = before + (float(reward) - before) / n
        spreads[state][action] += (float(reward) - before) * (float(reward) - mean)
        counts.rewards[state][action] = mean  # here the mean, not the sum
        counts.note(world, state, action, next_state, terminated, terminated or truncated)
        state = env.reset()[0] if terminated or truncated else next_state
    return np.array(q)
