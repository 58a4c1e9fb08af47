"""The rules of the tabular agents as plain Python loops over Gymnasium's FrozenLake, the way people write them.

Each takes an environment, a number of steps and a seed, and gives back its table of q-values. Tables are NumPy arrays
unless a loop says otherwise. Every loop follows the agent of its name bit for bit, so it draws the same random numbers
in the same order: a uniform for each choice, which says at once whether to explore and what to take.

`benchmarks/tabular.py` times them. To add one: write it here, and enter it in `LOOPS`.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import exploring_loops
import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

ALPHA, GAMMA = 0.1, 0.99
INITIAL_EPS, FINAL_EPS, FRACTION = 1.0, 0.05, 0.5
N_STEPS = 4
LAMBDA, LEAST_TRACE = 0.9, 1e-9
PLANNING_STEPS, KAPPA = 10, 1e-3
SWEEPS, THRESHOLD = 5, 1e-4

Env = gym.Env[Any, Any]
Table = NDArray[np.float64]
Random = Callable[[], float]
Act = Callable[[int, float], int]
Learn = Callable[[int, int, float, int, bool, bool, float], None]


def size_of(env: Env) -> tuple[int, int]:
    """(number of states, number of actions)."""
    return int(env.observation_space.n), int(env.action_space.n)  # type: ignore[attr-defined]


def epsilon_at(t: int, steps: int) -> float:
    """Epsilon falls in a line over the first part of the run."""
    horizon = FRACTION * steps
    return FINAL_EPS if t >= horizon else INITIAL_EPS + (FINAL_EPS - INITIAL_EPS) * (t / horizon)


def epsilon_greedy(row: Table, epsilon: float, u: float) -> int:
    """The action that a uniform selects; ties are broken at random."""
    if u < epsilon:
        return int(u / epsilon * len(row))
    ties = np.flatnonzero(row == row.max())
    return int(ties[int((u - epsilon) / (1.0 - epsilon) * len(ties))])


def play(env: Env, steps: int, seed: int, act: Act, learn: Learn) -> None:
    """The loop of those whose rule is more than a few lines.

    ``act(state, epsilon)`` chooses; ``learn(state, action, reward, next_state, terminated, ended, epsilon)`` gets the
    epsilon of the step after.
    """
    state, _ = env.reset(seed=seed)
    epsilon = epsilon_at(0, steps)
    for t in range(steps):
        action = act(state, epsilon)
        next_state, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
        epsilon = epsilon_at(t + 1, steps)
        learn(state, action, float(reward), next_state, terminated, ended, epsilon)
        state = env.reset()[0] if ended else next_state


class Decided:
    """The next action of an on-policy rule, which is chosen before the update and taken after it."""

    def __init__(self, q: Table, random: Random) -> None:
        self.q, self.random, self.action = q, random, -1

    def act(self, state: int, epsilon: float) -> int:
        """What was decided, or a choice where an episode begins."""
        return epsilon_greedy(self.q[state], epsilon, self.random()) if self.action < 0 else self.action

    def decide(self, next_state: int, terminated: bool, ended: bool, epsilon: float) -> int:
        """The action of the next step, -1 where nothing follows."""
        action = -1 if terminated else epsilon_greedy(self.q[next_state], epsilon, self.random())
        self.action = -1 if ended else action
        return action


# --- one step ahead ---------------------------------------------------------------------------------------------------


def q_learning(env: Env, steps: int, seed: int) -> Table:
    """Q-learning."""
    num_states, num_actions = size_of(env)
    q = np.zeros((num_states, num_actions))
    rng = np.random.default_rng(seed)
    horizon = FRACTION * steps
    state, _ = env.reset(seed=seed)
    for t in range(steps):
        epsilon = FINAL_EPS if t >= horizon else INITIAL_EPS + (FINAL_EPS - INITIAL_EPS) * (t / horizon)
        u = rng.random()
        if u < epsilon:
            action = int(u / epsilon * num_actions)
        else:
            row = q[state]
            ties = np.flatnonzero(row == row.max())
            action = int(ties[int((u - epsilon) / (1.0 - epsilon) * len(ties))])
        next_state, reward, terminated, truncated, _ = env.step(action)
        target = reward + (0.0 if terminated else GAMMA * q[next_state].max())
        q[state, action] += ALPHA * (target - q[state, action])
        state = env.reset()[0] if terminated or truncated else next_state
    return q


def q_learning_in_lists(env: Env, steps: int, seed: int) -> Table:
    """Q-learning with a table of Python lists, the quickest plain Python that we know."""
    num_states, num_actions = size_of(env)
    q = [[0.0] * num_actions for _ in range(num_states)]
    random = np.random.default_rng(seed).random
    horizon = FRACTION * steps
    state, _ = env.reset(seed=seed)
    for t in range(steps):
        epsilon = FINAL_EPS if t >= horizon else INITIAL_EPS + (FINAL_EPS - INITIAL_EPS) * (t / horizon)
        u = random()
        row = q[state]
        if u < epsilon:
            action = int(u / epsilon * num_actions)
        else:
            best = max(row)
            count = row.count(best)
            action = row.index(best)
            if count > 1:
                ties = [a for a in range(num_actions) if row[a] == best]
                action = ties[int((u - epsilon) / (1.0 - epsilon) * count)]
        next_state, reward, terminated, truncated, _ = env.step(action)
        target = reward + (0.0 if terminated else GAMMA * max(q[next_state]))
        row[action] += ALPHA * (target - row[action])
        state = env.reset()[0] if terminated or truncated else next_state
    return np.array(q)


def sarsa(env: Env, steps: int, seed: int) -> Table:
    """Sarsa."""
    q = np.zeros(size_of(env))
    random = np.random.default_rng(seed).random
    state, _ = env.reset(seed=seed)
    action = epsilon_greedy(q[state], epsilon_at(0, steps), random())
    for t in range(steps):
        next_state, reward, terminated, truncated, _ = env.step(action)
        epsilon = epsilon_at(t + 1, steps)
        if terminated:
            target = reward
        else:
            next_action = epsilon_greedy(q[next_state], epsilon, random())
            target = reward + GAMMA * q[next_state, next_action]
        q[state, action] += ALPHA * (target - q[state, action])
        if terminated or truncated:
            state, _ = env.reset()
            action = epsilon_greedy(q[state], epsilon, random())
        else:
            state, action = next_state, next_action
    return q


def expected_sarsa(env: Env, steps: int, seed: int) -> Table:
    """Expected Sarsa."""
    num_states, num_actions = size_of(env)
    q = np.zeros((num_states, num_actions))
    random = np.random.default_rng(seed).random
    state, _ = env.reset(seed=seed)
    epsilon = epsilon_at(0, steps)
    for t in range(steps):
        action = epsilon_greedy(q[state], epsilon, random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        epsilon = epsilon_at(t + 1, steps)
        if terminated:
            target = reward
        else:
            row = q[next_state]
            target = reward + GAMMA * ((1.0 - epsilon) * row.max() + epsilon * (row.sum() / num_actions))
        q[state, action] += ALPHA * (target - q[state, action])
        state = env.reset()[0] if terminated or truncated else next_state
    return q


def double_q_learning(env: Env, steps: int, seed: int) -> Table:
    """Double Q-learning; the table that is given back is the mean of both."""
    first, second = np.zeros(size_of(env)), np.zeros(size_of(env))
    random = np.random.default_rng(seed).random
    state, _ = env.reset(seed=seed)
    for t in range(steps):
        action = epsilon_greedy(first[state] + second[state], epsilon_at(t, steps), random())
        next_state, reward, terminated, truncated, _ = env.step(action)
        moved, judge = (first, second) if random() < 0.5 else (second, first)
        target = reward + (0.0 if terminated else GAMMA * judge[next_state, moved[next_state].argmax()])
        moved[state, action] += ALPHA * (target - moved[state, action])
        state = env.reset()[0] if terminated or truncated else next_state
    return 0.5 * (first + second)


# --- n steps ahead ----------------------------------------------------------------------------------------------------


def n_step_sarsa(env: Env, steps: int, seed: int) -> Table:
    """n-step Sarsa."""
    q = np.zeros(size_of(env))
    next_step = Decided(q, np.random.default_rng(seed).random)
    waiting: deque[tuple[int, int, float]] = deque()

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        waiting.append((s, a, reward))
        b = next_step.decide(next_s, terminated, ended, epsilon)
        while waiting and (ended or len(waiting) == N_STEPS):
            target = 0.0 if terminated else q[next_s, b]
            for _, _, r in reversed(waiting):
                target = r + GAMMA * target
            s, a, _ = waiting.popleft()
            q[s, a] += ALPHA * (target - q[s, a])

    play(env, steps, seed, next_step.act, learn)
    return q


def tree_backup(env: Env, steps: int, seed: int) -> Table:
    """n-step tree backup towards the greedy policy."""
    q = np.zeros(size_of(env))
    random = np.random.default_rng(seed).random
    waiting: deque[tuple[int, int, float]] = deque()

    def act(s: int, epsilon: float) -> int:
        return epsilon_greedy(q[s], epsilon, random())

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        waiting.append((s, a, reward))
        while waiting and (ended or len(waiting) == N_STEPS):
            target = waiting[-1][2] + (0.0 if terminated else GAMMA * q[next_s].max())
            for i in range(len(waiting) - 1, 0, -1):
                s, a, _ = waiting[i]
                row = q[s]
                best = row.max()
                if row[a] == best:
                    ties = np.count_nonzero(row == best)
                    target = target / ties + (ties - 1) / ties * best
                else:
                    target = best
                target = waiting[i - 1][2] + GAMMA * target
            s, a, _ = waiting.popleft()
            q[s, a] += ALPHA * (target - q[s, a])

    play(env, steps, seed, act, learn)
    return q


# --- traces -----------------------------------------------------------------------------------------------------------


def sarsa_lambda(env: Env, steps: int, seed: int, watkins: bool = False) -> Table:
    """Sarsa(lambda) with replacing traces."""
    q = np.zeros(size_of(env))
    z = np.zeros(q.shape)
    next_step = Decided(q, np.random.default_rng(seed).random)

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        b = next_step.decide(next_s, terminated, ended, epsilon)
        fades = ended
        follows = 0.0
        if not terminated:
            follows = q[next_s, b]
            if watkins:
                best = q[next_s].max()
                fades = ended or follows != best
                follows = best
        error = reward + GAMMA * follows - q[s, a]
        z[s, a] = 1.0
        np.add(q, ALPHA * error * z, out=q)
        if fades:
            z.fill(0.0)
        else:
            np.multiply(z, GAMMA * LAMBDA, out=z)
            z[z < LEAST_TRACE] = 0.0

    play(env, steps, seed, next_step.act, learn)
    return q


def q_lambda(env: Env, steps: int, seed: int) -> Table:
    """Watkins's Q(lambda) with replacing traces."""
    return sarsa_lambda(env, steps, seed, watkins=True)


def true_online_sarsa_lambda(env: Env, steps: int, seed: int) -> Table:
    """True online Sarsa(lambda)."""
    q = np.zeros(size_of(env))
    z = np.zeros(q.shape)
    next_step = Decided(q, np.random.default_rng(seed).random)
    old = 0.0

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        nonlocal old
        b = next_step.decide(next_s, terminated, ended, epsilon)
        now, later = q[s, a], 0.0 if terminated else q[next_s, b]
        error = reward + GAMMA * later - now
        z[s, a] += ALPHA * (1.0 - z[s, a])
        np.add(q, (error + (now - old)) * z, out=q)
        q[s, a] -= ALPHA * (now - old)
        if ended:
            z.fill(0.0)
            old = 0.0
        else:
            np.multiply(z, GAMMA * LAMBDA, out=z)
            z[z < LEAST_TRACE] = 0.0
            old = later

    play(env, steps, seed, next_step.act, learn)
    return q


# --- whole episodes ---------------------------------------------------------------------------------------------------


def monte_carlo(env: Env, steps: int, seed: int) -> Table:
    """First-visit Monte Carlo control, with means of returns."""
    num_actions = size_of(env)[1]
    q = np.zeros(size_of(env))
    returns = np.zeros(q.shape, int)
    random = np.random.default_rng(seed).random
    episode: list[tuple[int, int, float]] = []
    first: dict[tuple[int, int], int] = {}

    def act(s: int, epsilon: float) -> int:
        return epsilon_greedy(q[s], epsilon, random())

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        first.setdefault((s, a), len(episode))
        episode.append((s, a, reward))
        if not ended:
            return
        total = 0.0
        if not terminated:
            row = q[next_s]
            total = (1.0 - epsilon) * row.max() + epsilon * (row.sum() / num_actions)
        for i in range(len(episode) - 1, -1, -1):
            s, a, reward = episode[i]
            total = reward + GAMMA * total
            if first[s, a] == i:
                returns[s, a] += 1
                q[s, a] += 1.0 / returns[s, a] * (total - q[s, a])
        episode.clear()
        first.clear()

    play(env, steps, seed, act, learn)
    return q


def off_policy_monte_carlo(env: Env, steps: int, seed: int) -> Table:
    """Off-policy Monte Carlo control; weights are kept as logarithms, since their products overflow."""
    num_actions = size_of(env)[1]
    q = np.zeros(size_of(env))
    log_weight = np.full(q.shape, -math.inf)
    random = np.random.default_rng(seed).random
    episode: list[tuple[int, int, float, float]] = []
    chance = 0.0

    def act(s: int, epsilon: float) -> int:
        nonlocal chance
        row = q[s]
        best = row.max()
        ties = np.flatnonzero(row == best)
        u = random()
        a = (
            int(u / epsilon * num_actions)
            if u < epsilon
            else int(ties[int((u - epsilon) / (1.0 - epsilon) * len(ties))])
        )
        chance = ((1.0 - epsilon) / len(ties) if row[a] == best else 0.0) + epsilon / num_actions
        return a

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        episode.append((s, a, reward, chance))
        if not ended:
            return
        total = 0.0 if terminated else q[next_s].max()
        ratio = 0.0
        for at, taken, r, b in reversed(episode):
            total = r + GAMMA * total
            weight = log_weight[at, taken]
            more, less = (weight, ratio) if weight > ratio else (ratio, weight)
            weight = more + math.log1p(math.exp(less - more))
            log_weight[at, taken] = weight
            q[at, taken] += math.exp(ratio - weight) * (total - q[at, taken])
            if taken != q[at].argmax():
                break
            ratio -= math.log(b)
        episode.clear()

    play(env, steps, seed, act, learn)
    return q


# --- planning ---------------------------------------------------------------------------------------------------------


def dyna_q(env: Env, steps: int, seed: int) -> Table:
    """Dyna-Q."""
    q = np.zeros(size_of(env))
    random = np.random.default_rng(seed).random
    visited: list[int] = []
    tried: list[list[int]] = [[] for _ in q]
    model: dict[tuple[int, int], tuple[float, int, bool]] = {}

    def act(s: int, epsilon: float) -> int:
        return epsilon_greedy(q[s], epsilon, random())

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        target = reward + (0.0 if terminated else GAMMA * q[next_s].max())
        q[s, a] += ALPHA * (target - q[s, a])
        if (s, a) not in model:
            if not tried[s]:
                visited.append(s)
            insort(tried[s], a)
        model[s, a] = reward, next_s, terminated
        for _ in range(PLANNING_STEPS):
            x = visited[int(random() * len(visited))]
            b = tried[x][int(random() * len(tried[x]))]
            r, to, final = model[x, b]
            target = r if final else r + GAMMA * q[to].max()
            q[x, b] += ALPHA * (target - q[x, b])

    play(env, steps, seed, act, learn)
    return q


def dyna_q_plus(env: Env, steps: int, seed: int) -> Table:
    """Dyna-Q+."""
    num_states, num_actions = size_of(env)
    q = np.zeros((num_states, num_actions))
    random = np.random.default_rng(seed).random
    visited: list[int] = []
    model = [[(0.0, s, False)] * num_actions for s in range(num_states)]
    last = np.zeros(q.shape, int)
    clock = 0

    def act(s: int, epsilon: float) -> int:
        return epsilon_greedy(q[s], epsilon, random())

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        nonlocal clock
        target = reward + (0.0 if terminated else GAMMA * q[next_s].max())
        q[s, a] += ALPHA * (target - q[s, a])
        if not last[s].any():
            visited.append(s)
        clock += 1
        model[s][a] = reward, next_s, terminated
        last[s, a] = clock
        for _ in range(PLANNING_STEPS):
            x = visited[int(random() * len(visited))]
            b = int(random() * num_actions)
            r, to, final = model[x][b]
            target = r + KAPPA * math.sqrt(clock - last[x, b])
            if not final:
                target += GAMMA * q[to].max()
            q[x, b] += ALPHA * (target - q[x, b])

    play(env, steps, seed, act, learn)
    return q


def prioritized_sweeping(env: Env, steps: int, seed: int) -> Table:
    """Prioritized sweeping over counts, with a heap in which what was raised since lies stale."""
    q = np.zeros(size_of(env))
    visits = np.zeros(q.shape, int)
    rewards = np.zeros(q.shape)
    random = np.random.default_rng(seed).random
    outcomes: dict[tuple[int, int], dict[tuple[int, bool], int]] = {}
    leads_to: list[list[tuple[int, int]]] = [[] for _ in q]
    priority: dict[tuple[int, int], float] = {}
    heap: list[tuple[float, tuple[int, int]]] = []

    def act(s: int, epsilon: float) -> int:
        return epsilon_greedy(q[s], epsilon, random())

    def backup(pair: tuple[int, int]) -> float:
        total = rewards[pair]
        for (to, final), many in reversed(outcomes[pair].items()):
            if not final:
                total += GAMMA * many * q[to].max()
        return float(total / visits[pair])

    def wait(pair: tuple[int, int]) -> None:
        p = abs(backup(pair) - q[pair])
        if p > THRESHOLD and p > priority.get(pair, 0.0):
            priority[pair] = p
            heapq.heappush(heap, (-p, pair))

    def learn(s: int, a: int, reward: float, next_s: int, terminated: bool, ended: bool, epsilon: float) -> None:
        visits[s, a] += 1
        rewards[s, a] += reward
        met = outcomes.setdefault((s, a), {})
        if not terminated and (next_s, False) not in met:
            leads_to[next_s].append((s, a))
        met[next_s, terminated] = met.get((next_s, terminated), 0) + 1
        wait((s, a))
        for _ in range(SWEEPS):
            while heap and priority.get(heap[0][1]) != -heap[0][0]:
                heapq.heappop(heap)
            if not heap:
                return
            _, pair = heapq.heappop(heap)
            del priority[pair]
            q[pair] = backup(pair)
            for before in reversed(leads_to[pair[0]]):
                wait(before)

    play(env, steps, seed, act, learn)
    return q


# --- the table --------------------------------------------------------------------------------------------------------


EPSILON: dict[str, Any] = {
    "gamma": GAMMA,
    "exploration_fraction": FRACTION,
    "exploration_initial_eps": INITIAL_EPS,
    "exploration_final_eps": FINAL_EPS,
}
CONTROL = EPSILON | {"learning_rate": ALPHA}
TRACES = CONTROL | {"lam": LAMBDA, "traces": "replacing"}


class Loop(NamedTuple):
    """A loop, and how it is compared with the agent of its name."""

    run: Callable[[Env, int, int], Table]
    settings: dict[str, Any] = CONTROL  # of the agent
    target: float = 100.0  # how many times as fast the agent has to be
    steps: int = 50_000  # of the loop in a turn
    checked: int = 20_000  # steps in which the tables are compared
    times: int = 1  # how many times as many the agent makes; 1 where a step costs more when more is known
    updates: int = 1  # a step
    table: str = "q_table"  # the agent's attribute that the loop gives back
    also: Callable[[Env, int, int], Table] | None = None  # a second loop of the same rule, for comparison
    exact: bool = True  # does it add in the same order? else its table is compared to nine decimals


LOOPS: dict[str, Loop] = {
    "q_learning": Loop(q_learning, target=400.0, times=100, also=q_learning_in_lists),
    "sarsa": Loop(sarsa, target=400.0, times=100),
    "expected_sarsa": Loop(expected_sarsa, target=400.0, times=100),
    "double_q_learning": Loop(double_q_learning, times=50),
    "n_step_sarsa": Loop(n_step_sarsa, CONTROL | {"n_steps": N_STEPS}),
    "tree_backup": Loop(tree_backup, CONTROL | {"n_steps": N_STEPS}),
    "sarsa_lambda": Loop(sarsa_lambda, TRACES),
    "q_lambda": Loop(q_lambda, TRACES),
    "true_online_sarsa_lambda": Loop(true_online_sarsa_lambda, CONTROL | {"lam": LAMBDA}),
    "monte_carlo": Loop(monte_carlo, EPSILON | {"learning_rate": "1/N", "visits": "first"}),
    "off_policy_monte_carlo": Loop(off_policy_monte_carlo, EPSILON),
    "dyna_q": Loop(
        dyna_q,
        CONTROL | {"planning_steps": PLANNING_STEPS},
        target=400.0,
        steps=10_000,
        times=20,
        updates=PLANNING_STEPS,
    ),
    "dyna_q_plus": Loop(
        dyna_q_plus,
        CONTROL | {"planning_steps": PLANNING_STEPS, "kappa": KAPPA},
        steps=10_000,
        updates=PLANNING_STEPS,
    ),
    "prioritized_sweeping": Loop(
        prioritized_sweeping, EPSILON | {"planning_steps": SWEEPS, "threshold": THRESHOLD}, steps=20_000
    ),
    "r_max": Loop(exploring_loops.r_max, {}, steps=200_000),
    "ucb_q_learning": Loop(exploring_loops.ucb_q_learning, {}, times=10),
    "ucbvi": Loop(
        exploring_loops.ucbvi, {}, steps=3_000, checked=2_000, also=exploring_loops.ucbvi_in_arrays, exact=False
    ),
    "psrl": Loop(
        exploring_loops.psrl, {}, steps=2_000, checked=1_000, also=exploring_loops.psrl_in_arrays, exact=False
    ),
}
