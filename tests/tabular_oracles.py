"""The rules of the tabular agents as the books print them: slow, obvious, and nothing shared with the kernels.

Only the order of the random numbers is shared: a choice takes one uniform, what else is drawn takes its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rlgrid.mdp import MDP


class Naive:
    """Tables, behaviour and step sizes; a rule overrides `act` and `learn`."""

    def __init__(
        self,
        mdp: MDP,
        seed: int,
        gamma: float,
        epsilon: Callable[[int, int], float],
        rate: Callable[[int, int], float],
        exploration: str = "epsilon_greedy",
        **extra: Any,
    ) -> None:
        self.mdp, self.gamma, self.epsilon, self.rate, self.exploration = mdp, gamma, epsilon, rate, exploration
        self.rng = np.random.default_rng(seed)
        self.allowed = [[a for a in range(mdp.num_actions) if mdp.P[s][a]] for s in range(mdp.num_states)]
        self.q = np.full((mdp.num_states, mdp.num_actions), -np.inf)
        for s, actions in enumerate(self.allowed):
            self.q[s, actions] = 0.0 if mdp.absorbing[s] else 0.125
        self.n = np.zeros(self.q.shape, int)
        self.__dict__.update(extra)
        self.begin()

    def begin(self) -> None:
        """Set up what a rule keeps."""

    def greedy(self, s: int, q: Any = None) -> list[int]:
        row = (self.q if q is None else q)[s]
        best = max(row[a] for a in self.allowed[s])
        return [a for a in self.allowed[s] if row[a] == best]

    def v(self, s: int) -> float:
        return float(max(self.q[s, a] for a in self.allowed[s]))

    def probabilities(self, t: int, s: int) -> dict[int, float]:
        allowed, strength = self.allowed[s], self.epsilon(t, int(self.n[s].sum()) + 1)
        if self.exploration == "ucb":
            bound = {
                a: math.inf
                if self.n[s, a] == 0
                else self.q[s, a] + strength * math.sqrt(math.log(self.n[s].sum()) / self.n[s, a])
                for a in allowed
            }
            ties = [a for a in allowed if bound[a] == max(bound.values())]
            return {a: 1.0 / len(ties) if a in ties else 0.0 for a in allowed}
        if self.exploration == "softmax" and strength > 0.0:
            weight = {a: math.exp((self.q[s, a] - self.v(s)) / strength) for a in allowed}
            return {a: weight[a] / sum(weight.values()) for a in allowed}
        epsilon = 0.0 if self.exploration == "softmax" else strength
        ties = self.greedy(s)
        return {a: ((1.0 - epsilon) / len(ties) if a in ties else 0.0) + epsilon / len(allowed) for a in allowed}

    def choose(self, t: int, s: int) -> int:
        u = self.rng.random()
        if self.exploration != "epsilon_greedy":
            total, chosen = 0.0, -1
            for a, p in self.probabilities(t, s).items():
                total += p
                chosen = a if p > 0.0 else chosen
                if total > u:
                    break
            return chosen
        epsilon = self.epsilon(t, int(self.n[s].sum()) + 1)
        if u < epsilon:
            return self.allowed[s][int(u / epsilon * len(self.allowed[s]))]
        ties = self.greedy(s)
        return ties[int((u - epsilon) / (1.0 - epsilon) * len(ties))]

    def mean(self, t: int, s: int) -> float:
        """The mean of q over what would be chosen."""
        if self.exploration != "epsilon_greedy":
            return sum(p * self.q[s, a] for a, p in self.probabilities(t, s).items() if p > 0.0)
        epsilon, allowed = self.epsilon(t, int(self.n[s].sum()) + 1), self.allowed[s]
        return (1.0 - epsilon) * self.v(s) + epsilon * (sum(self.q[s, a] for a in allowed) / len(allowed))

    def move(self, t: int, s: int, a: int, target: float) -> None:
        self.q[s, a] += self.rate(t, self.n[s, a]) * (target - self.q[s, a])

    def act(self, t: int, s: int) -> int:
        return self.choose(t, s)

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        raise NotImplementedError

    def run(self, steps: int, seed: int, limit: int) -> tuple[Any, list[float]]:
        """(the table, the returns of the episodes) after so many steps."""
        world, outcomes = gym.utils.seeding.np_random(seed)[0], self.mdp.P

        def start() -> int:
            return int(np.argmax(np.cumsum(self.mdp.start) > world.random()))

        s, total, length, returns = start(), 0.0, 0, []
        for t in range(steps):
            a = self.act(t, s)
            run = outcomes[s][a]
            u = world.random()
            _, to, r, terminated = run[int(np.argmax(np.cumsum([p for p, *_ in run]) > u))]
            total, length = total + r, length + 1
            ended = terminated or length >= limit
            self.n[s, a] += 1
            self.learn(t, s, a, r, to, terminated, ended)
            s = to
            if ended:
                returns.append(total)
                s, total, length = start(), 0.0, 0
        return self.q, returns


class QLearning(Naive):
    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.move(t, s, a, r + (0.0 if terminated else self.gamma * self.v(to)))


class OnPolicy(Naive):
    """Decides on the next action before it learns."""

    decided: int | None = None

    def act(self, t: int, s: int) -> int:
        return self.choose(t, s) if self.decided is None else self.decided

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        b = None if terminated else self.choose(t + 1, to)
        self.learn_with(t, s, a, r, to, b, ended)
        self.decided = None if ended else b

    def learn_with(self, t: int, s: int, a: int, r: float, to: int, b: int | None, ended: bool) -> None:
        raise NotImplementedError


class Sarsa(OnPolicy):
    def learn_with(self, t: int, s: int, a: int, r: float, to: int, b: int | None, ended: bool) -> None:
        self.move(t, s, a, r if b is None else r + self.gamma * self.q[to, b])


class ExpectedSarsa(Naive):
    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.move(t, s, a, r + (0.0 if terminated else self.gamma * self.mean(t + 1, to)))


class DoubleQLearning(Naive):
    def begin(self) -> None:
        self.tables = [(self.q.copy(), self.n.copy()), (self.q.copy(), self.n.copy())]

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        (one, times), (other, _) = self.tables if self.rng.random() < 0.5 else self.tables[::-1]
        times[s, a] += 1
        target = r if terminated else r + self.gamma * other[to, self.greedy(to, one)[0]]
        one[s, a] += self.rate(t, times[s, a]) * (target - one[s, a])
        self.q[s, a] = (one[s, a] + other[s, a]) / 2


class NStepSarsa(OnPolicy):
    n_steps = 4

    def begin(self) -> None:
        self.waiting: list[tuple[int, int, float, int]] = []

    def learn_with(self, t: int, s: int, a: int, r: float, to: int, b: int | None, ended: bool) -> None:
        self.waiting.append((s, a, r, self.n[s, a]))
        while self.waiting and (ended or len(self.waiting) == self.n_steps):
            g = 0.0 if b is None else self.q[to, b]
            for _, _, reward, _ in reversed(self.waiting):
                g = reward + self.gamma * g
            at, taken, _, visit = self.waiting.pop(0)
            self.q[at, taken] += self.rate(t, visit) * (g - self.q[at, taken])


class TreeBackup(Naive):
    n_steps = 4

    def begin(self) -> None:
        self.waiting: list[tuple[int, int, float, int]] = []

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.waiting.append((s, a, r, self.n[s, a]))
        while self.waiting and (ended or len(self.waiting) == self.n_steps):
            *before, last = self.waiting
            g = last[2] + self.gamma * (0.0 if terminated else self.v(to))
            following = last
            for step in reversed(before):
                at, taken, *_ = following
                ties = self.greedy(at)
                if taken in ties:  # pi(a|s) = 1 / ties for each of them
                    g = g / len(ties) + (len(ties) - 1) / len(ties) * self.v(at)
                else:
                    g = self.v(at)
                g = step[2] + self.gamma * g
                following = step
            at, taken, _, visit = self.waiting.pop(0)
            self.q[at, taken] += self.rate(t, visit) * (g - self.q[at, taken])


class SarsaLambda(OnPolicy):
    lam, traces = 0.9, "replacing"
    watkins = False

    def begin(self) -> None:
        self.z = np.zeros(self.q.shape)

    def learn_with(self, t: int, s: int, a: int, r: float, to: int, b: int | None, ended: bool) -> None:
        follows = 0.0
        if b is not None:
            follows = self.gamma * (self.v(to) if self.watkins else self.q[to, b])
        delta = r + follows - self.q[s, a]
        goes_on = not ended and not (self.watkins and b not in self.greedy(to))
        self.mark(t, s, a)
        self.sweep(t, delta)
        self.fade(goes_on)

    def mark(self, t: int, s: int, a: int) -> None:
        z = self.z[s, a]
        alpha = self.rate(t, self.n[s, a])
        self.z[s, a] = {"accumulating": z + 1.0, "replacing": 1.0, "dutch": (1.0 - alpha) * z + 1.0}[self.traces]

    def sweep(self, t: int, error: float) -> None:
        for x, b in np.ndindex(*self.q.shape):
            if self.z[x, b] > 0.0:
                self.q[x, b] += self.rate(t, self.n[x, b]) * error * self.z[x, b]

    def fade(self, goes_on: bool) -> None:
        self.z *= self.gamma * self.lam if goes_on else 0.0
        self.z[self.z < 1e-9] = 0.0


class QLambda(SarsaLambda):
    watkins = True


class TrueOnlineSarsaLambda(SarsaLambda):
    old = 0.0

    def learn_with(self, t: int, s: int, a: int, r: float, to: int, b: int | None, ended: bool) -> None:
        now, later = self.q[s, a], 0.0 if b is None else self.q[to, b]
        delta, alpha = r + self.gamma * later - now, self.rate(t, self.n[s, a])
        self.z[s, a] += alpha * (1.0 - self.z[s, a])
        for x, y in np.argwhere(self.z > 0.0):
            self.q[x, y] += (delta + (now - self.old)) * self.z[x, y]
        self.q[s, a] -= alpha * (now - self.old)
        self.old = 0.0 if ended else later
        self.fade(not ended)


class MonteCarlo(Naive):
    visits = "first"

    def begin(self) -> None:
        self.episode: list[tuple[int, int, float]] = []
        self.returns = np.zeros(self.q.shape, int)

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.episode.append((s, a, r))
        if not ended:
            return
        g = 0.0 if terminated else self.mean(t + 1, to)
        pairs = [step[:2] for step in self.episode]
        for i in reversed(range(len(pairs))):
            g = self.episode[i][2] + self.gamma * g
            if self.visits == "every" or pairs[i] not in pairs[:i]:
                self.returns[pairs[i]] += 1
                self.q[pairs[i]] += self.rate(t, self.returns[pairs[i]]) * (g - self.q[pairs[i]])
        self.episode = []


class OffPolicyMonteCarlo(Naive):
    def begin(self) -> None:
        self.episode: list[tuple[int, int, float, float]] = []
        self.c = np.full(self.q.shape, -np.inf)  # logarithms, as w

    def act(self, t: int, s: int) -> int:
        self.b = self.probabilities(t, s)
        return super().act(t, s)

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.episode.append((s, a, r, self.b[a]))
        if not ended:
            return
        g, w = 0.0 if terminated else self.v(to), 0.0
        for at, taken, reward, chance in reversed(self.episode):
            g = reward + self.gamma * g
            low, high = sorted((w, float(self.c[at, taken])))
            self.c[at, taken] = high + math.log1p(math.exp(low - high))
            self.q[at, taken] += math.exp(w - self.c[at, taken]) * (g - self.q[at, taken])
            if taken != self.greedy(at)[0]:
                break
            w -= math.log(chance)
        self.episode = []


class DynaQ(Naive):
    planning_steps, kappa, plus = 5, 0.0, False

    def begin(self) -> None:
        self.model: dict[int, dict[int, tuple[float, int, bool]]] = {}
        self.last: dict[tuple[int, int], int] = {}
        self.clock = 0

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.move(t, s, a, r + (0.0 if terminated else self.gamma * self.v(to)))
        self.clock += 1
        if not self.mdp.absorbing[s]:
            self.model.setdefault(s, {})[a] = (r, to, terminated)
            self.last[s, a] = self.clock
        for _ in range(self.planning_steps if self.model else 0):
            x = list(self.model)[int(self.rng.random() * len(self.model))]
            known = self.allowed[x] if self.plus else sorted(self.model[x])
            b = known[int(self.rng.random() * len(known))]
            reward, after, final = self.model[x].get(b, (0.0, x, False))
            if self.plus:
                reward += self.kappa * math.sqrt(self.clock - self.last.get((x, b), 0))
            target = reward + (0.0 if final else self.gamma * self.v(after))
            self.q[x, b] += self.rate(t, max(1, self.n[x, b])) * (target - self.q[x, b])


class DynaQPlus(DynaQ):
    plus = True


class PrioritizedSweeping(Naive):
    planning_steps, threshold = 3, 1e-4

    def begin(self) -> None:
        self.met: dict[tuple[int, int], dict[tuple[int, bool], int]] = {}
        self.rewards: dict[tuple[int, int], float] = {}
        self.queue: dict[tuple[int, int], float] = {}

    def backup(self, pair: tuple[int, int]) -> float:
        total = self.rewards[pair]
        for (to, terminated), many in reversed(self.met[pair].items()):
            if not terminated:
                total += self.gamma * many * self.v(to)
        return total / float(self.n[pair])

    def wait(self, pair: tuple[int, int]) -> None:
        p = abs(self.backup(pair) - self.q[pair])
        if p > self.threshold:
            self.queue[pair] = max(p, self.queue.get(pair, 0.0))

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        met = self.met.setdefault((s, a), {})
        met[to, terminated] = met.get((to, terminated), 0) + 1
        self.rewards[s, a] = self.rewards.get((s, a), 0.0) + r
        self.wait((s, a))
        for _ in range(self.planning_steps):
            if not self.queue:
                return
            pair = min(self.queue, key=lambda waiting: (-self.queue[waiting], waiting))
            del self.queue[pair]
            self.q[pair] = self.backup(pair)
            for before in self.met:
                if (pair[0], False) in self.met[before]:
                    self.wait(before)
