"""The rules of the predicting agents as plain Python loops over Gymnasium's FrozenLake; see `tabular_loops`.

Each learns the values of the uniformly random policy and gives them back, bit for bit as the agent of its name does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from tabular_loops import ALPHA, GAMMA, LAMBDA, LEAST_TRACE, N_STEPS, Env, Loop, Table, size_of

Learn = Callable[[int, float, int, bool, bool], None]


def follow(env: Env, steps: int, seed: int, learn: Learn) -> None:
    """Let the random policy act; ``learn(state, reward, next_state, terminated, ended)``."""
    num_actions = size_of(env)[1]
    random = np.random.default_rng(seed).random
    state, _ = env.reset(seed=seed)
    for _ in range(steps):
        next_state, reward, terminated, truncated, _ = env.step(int(random() * num_actions))
        ended = terminated or truncated
        learn(state, float(reward), next_state, terminated, ended)
        state = env.reset()[0] if ended else next_state


def td0(env: Env, steps: int, seed: int) -> Table:
    """TD(0)."""
    num_states, num_actions = size_of(env)
    v = np.zeros(num_states)
    random = np.random.default_rng(seed).random
    state, _ = env.reset(seed=seed)
    for _ in range(steps):
        next_state, reward, terminated, truncated, _ = env.step(int(random() * num_actions))
        target = float(reward) + (0.0 if terminated else GAMMA * v[next_state])
        v[state] += ALPHA * (target - v[state])
        state = env.reset()[0] if terminated or truncated else next_state
    return v


def n_step_td(env: Env, steps: int, seed: int) -> Table:
    """n-step TD."""
    v = np.zeros(size_of(env)[0])
    waiting: deque[tuple[int, float]] = deque()

    def learn(s: int, reward: float, next_s: int, terminated: bool, ended: bool) -> None:
        waiting.append((s, reward))
        while waiting and (ended or len(waiting) == N_STEPS):
            target = 0.0 if terminated else v[next_s]
            for _, r in reversed(waiting):
                target = r + GAMMA * target
            s, _ = waiting.popleft()
            v[s] += ALPHA * (target - v[s])

    follow(env, steps, seed, learn)
    return v


def td_lambda(env: Env, steps: int, seed: int) -> Table:
    """TD(lambda) with accumulating traces."""
    v = np.zeros(size_of(env)[0])
    z = np.zeros(v.shape)

    def learn(s: int, reward: float, next_s: int, terminated: bool, ended: bool) -> None:
        error = reward + (0.0 if terminated else GAMMA * v[next_s]) - v[s]
        z[s] += 1.0
        np.add(v, ALPHA * error * z, out=v)
        if ended:
            z.fill(0.0)
        else:
            np.multiply(z, GAMMA * LAMBDA, out=z)
            z[z < LEAST_TRACE] = 0.0

    follow(env, steps, seed, learn)
    return v


def true_online_td_lambda(env: Env, steps: int, seed: int) -> Table:
    """True online TD(lambda)."""
    v = np.zeros(size_of(env)[0])
    z = np.zeros(v.shape)
    old = 0.0

    def learn(s: int, reward: float, next_s: int, terminated: bool, ended: bool) -> None:
        nonlocal old
        now, later = v[s], 0.0 if terminated else v[next_s]
        error = reward + GAMMA * later - now
        z[s] += ALPHA * (1.0 - z[s])
        np.add(v, (error + (now - old)) * z, out=v)
        v[s] -= ALPHA * (now - old)
        if ended:
            z.fill(0.0)
            old = 0.0
        else:
            np.multiply(z, GAMMA * LAMBDA, out=z)
            z[z < LEAST_TRACE] = 0.0
            old = later

    follow(env, steps, seed, learn)
    return v


def monte_carlo_prediction(env: Env, steps: int, seed: int) -> Table:
    """First-visit Monte Carlo prediction, with means of returns."""
    v = np.zeros(size_of(env)[0])
    returns = np.zeros(v.shape, int)
    episode: list[tuple[int, float]] = []
    first: dict[int, int] = {}

    def learn(s: int, reward: float, next_s: int, terminated: bool, ended: bool) -> None:
        first.setdefault(s, len(episode))
        episode.append((s, reward))
        if not ended:
            return
        total = 0.0 if terminated else v[next_s]
        for i in range(len(episode) - 1, -1, -1):
            s, reward = episode[i]
            total = reward + GAMMA * total
            if first[s] == i:
                returns[s] += 1
                v[s] += 1.0 / returns[s] * (total - v[s])
        episode.clear()
        first.clear()

    follow(env, steps, seed, learn)
    return v


def _loop(run: Callable[[Env, int, int], Table], times: int = 20, **settings: Any) -> Loop:
    return Loop(run, {"gamma": GAMMA, "learning_rate": ALPHA} | settings, times=times, table="value_table")


PREDICTION: dict[str, Loop] = {
    "td0": _loop(td0, 100),
    "n_step_td": _loop(n_step_td, n_steps=N_STEPS),
    "td_lambda": _loop(td_lambda, lam=LAMBDA),
    "true_online_td_lambda": _loop(true_online_td_lambda, lam=LAMBDA),
    "monte_carlo_prediction": _loop(monte_carlo_prediction, learning_rate="1/N"),
}
