"""The agents of provable exploration as their papers print them: slow, obvious, and nothing shared with the kernels.

Only the order of the random numbers and of sums is shared. Rewards are taken to lie in [low, high].
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from tabular_oracles import Naive

from rlgrid.mdp import MDP

END = "the end of the episode"


class Explorer(Naive):
    """Acts greedily; keeps what every pair led to, in the order in which it was met."""

    low = 0.0
    high = 1.0
    knows_final = True

    def __init__(self, mdp: MDP, seed: int, gamma: float, **extra: Any) -> None:
        super().__init__(mdp, seed, gamma, lambda t, n: 0.0, lambda t, n: 0.0, **extra)

    def begin(self) -> None:
        self.width = max(self.high, 0.0) - min(self.low, 0.0)
        self.outcomes: dict[tuple[int, int], Counter[Any]] = {}
        self.rewards: dict[tuple[int, int], list[float]] = {}

    def is_final(self, s: int) -> bool:
        return self.knows_final and bool(self.mdp.absorbing[s])

    def note(self, s: int, a: int, r: float, to: int, terminated: bool) -> None:
        self.outcomes.setdefault((s, a), Counter())[END if terminated else to] += 1
        self.rewards.setdefault((s, a), []).append(r)


class RMax(Explorer):
    visits_to_know = 3

    def begin(self) -> None:
        super().begin()
        self.ceiling = self.high / (1.0 - self.gamma) if self.high > 0.0 else self.high
        for s, actions in enumerate(self.allowed):
            self.q[s, actions] = 0.0 if self.is_final(s) else self.ceiling

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        if self.n[s, a] <= self.visits_to_know:
            self.note(s, a, r, to, terminated)
        if self.n[s, a] == self.visits_to_know:
            self.plan()

    def plan(self) -> None:
        m, change, upwards = self.visits_to_know, 1.0, True
        while change > 1e-6 * self.width:
            change = 0.0
            for s in sorted({s for s, _ in self.outcomes}, reverse=not upwards):
                best = {}
                for a in self.allowed[s]:
                    best[a] = self.q[s, a]
                    if self.n[s, a] >= m:
                        total = sum(self.rewards[s, a]) / m
                        for to, many in self.outcomes[s, a].items():
                            total += 0.0 if to is END else many * (self.gamma / m) * self.v(to)
                        best[a] = min(self.ceiling, total)
                change = max(change, abs(max(best.values()) - self.v(s)))
                for a, value in best.items():
                    self.q[s, a] = value
            upwards = not upwards


class Rounds(Explorer):
    """Tables for each step of a round; ``total`` is T."""

    horizon = 7
    total = 150
    bonus = "hoeffding"
    bonus_scale = 1.0
    correction_scale = 0.0
    failure_probability = 0.05

    def begin(self) -> None:
        super().begin()
        self.h = 0
        self.span = self.width * sum(self.gamma**h for h in range(self.horizon))
        self.pairs = self.q.size
        self.most = [0.0]
        for _ in range(self.horizon):
            self.most.insert(0, self.high + self.gamma * max(0.0, self.most[0]))
        first = [self.q.copy() for _ in range(self.horizon)]
        for h, table in enumerate(first):
            for s, actions in enumerate(self.allowed):
                table[s, actions] = 0.0 if self.is_final(s) else self.first_value(h)
        self.steps = np.array(first)

    def first_value(self, h: int) -> float:
        return self.most[h]

    def value(self, h: int, s: Any) -> float:
        """V_h(s); nothing follows the end of the episode or of the round."""
        if s is END or h == self.horizon:
            return 0.0
        return float(max(self.steps[h][s, a] for a in self.allowed[s]))

    def act(self, t: int, s: int) -> int:
        ties = self.greedy(s, self.steps[self.h])
        return ties[int(self.rng.random() * len(ties))]

    def learn(self, t: int, s: int, a: int, r: float, to: int, terminated: bool, ended: bool) -> None:
        self.learn_at(self.h, s, a, r, END if terminated else to)
        self.h = 0 if ended or self.h + 1 == self.horizon else self.h + 1

    def learn_at(self, h: int, s: int, a: int, r: float, to: Any) -> None:
        raise NotImplementedError


class UCBQLearning(Rounds):
    def begin(self) -> None:
        super().begin()
        self.followed: dict[tuple[int, int, int], list[float]] = {}
        self.beta: dict[tuple[int, int, int], float] = {}

    def learn_at(self, h: int, s: int, a: int, r: float, to: Any) -> None:
        H, c = self.horizon, self.bonus_scale
        iota = math.log(self.pairs * self.total / self.failure_probability)
        follows = self.gamma * min(self.most[h + 1], self.value(h + 1, to)) if to is not END else 0.0
        history = self.followed.setdefault((h, s, a), [])
        history.append(follows)
        t = len(history)
        alpha = (H + 1) / (H + t)
        bonus = c * math.sqrt(self.span**2 * H * iota / t)
        if self.bonus == "bernstein":
            unit = self.span / H  # what one reward can make
            variance = sum((x - sum(history) / t) ** 2 for x in history) / t
            last = self.correction_scale * unit * math.sqrt(H**7 * self.pairs) * iota / t
            beta = min(c * (math.sqrt(H / t * (variance + H * unit**2) * iota) + last), bonus)
            bonus = (beta - (1 - alpha) * self.beta.get((h, s, a), 0.0)) / (2 * alpha)
            self.beta[h, s, a] = beta
        if not self.is_final(s):
            self.steps[h][s, a] = (1 - alpha) * self.steps[h][s, a] + alpha * (r + follows + bonus)


class UCBVI(Rounds):
    def begin(self) -> None:
        super().begin()
        self.arrivals: Counter[tuple[int, Any]] = Counter()

    def act(self, t: int, s: int) -> int:
        if self.h == 0:
            for h in reversed(range(self.horizon)):
                for pair, outcomes in self.outcomes.items():
                    self.back_up(h, *pair, outcomes)
        return super().act(t, s)

    def learn_at(self, h: int, s: int, a: int, r: float, to: Any) -> None:
        self.note(s, a, r, 0 if to is END else to, to is END)
        self.arrivals[h, s] += 1

    def back_up(self, h: int, s: int, a: int, outcomes: Counter[Any]) -> None:
        N, H, S, c = outcomes.total(), self.horizon, self.mdp.num_states, self.bonus_scale
        L = math.log(5 * self.pairs * self.total / self.failure_probability)
        P = {to: many / N for to, many in outcomes.items()}
        mean = sum(p * self.value(h + 1, to) for to, p in P.items())
        bonus = 7 * self.span * L / math.sqrt(N)
        if self.bonus == "bernstein":
            variance = sum(p * (self.value(h + 1, to) - mean) ** 2 for to, p in P.items())
            least = 100**2 * self.span**2 * H * S * self.pairs * L**2
            known = {to: p for to, p in P.items() if to is not END and h + 1 < H}
            last = 0.0
            for to, p in known.items():
                arrivals = self.arrivals[h + 1, to]
                last += p * (min(least / arrivals, self.span**2) if arrivals else self.span**2)
            bonus = math.sqrt(8 * L * variance / N) + 14 * self.span * L / (3 * N)
            bonus += self.correction_scale * math.sqrt(8 * last / N)
        target = sum(self.rewards[s, a]) / N + self.gamma * mean + c * bonus
        self.steps[h][s, a] = min(self.steps[h][s, a], self.most[h], target)


class PSRL(Rounds):
    prior_transitions = 1.0

    def first_value(self, h: int) -> float:
        return 0.0

    def normal(self) -> float:
        radius = math.sqrt(-2.0 * math.log(1.0 - self.rng.random()))
        return radius * math.cos(2.0 * math.pi * self.rng.random())

    def gamma_variate(self, shape: float) -> float:
        if shape < 1.0:
            power = (1.0 - self.rng.random()) ** (1.0 / shape)
            return self.gamma_variate(shape + 1.0) * power
        d = shape - 1.0 / 3.0
        while True:
            x = self.normal()
            v = (1.0 + x / math.sqrt(9.0 * d)) ** 3
            if v > 0.0 and math.log(1.0 - self.rng.random()) < x * x / 2 + d - d * v + d * math.log(v):
                return d * v

    def draw(self, s: int, a: int) -> tuple[float, list[tuple[Any, float]]]:
        """(mean reward, outcome distribution) of a pair."""
        K, c = self.mdp.num_states + 1, self.prior_transitions
        row = [(to, self.gamma_variate(many)) for to, many in self.outcomes.get((s, a), {}).items()]
        rest = self.gamma_variate(c)
        total = sum(weight for _, weight in row) + rest
        while rest > 0.0:
            outcome = int(self.rng.random() * K)
            left = rest * (1.0 - self.rng.random()) ** (1.0 / c)
            left = 0.0 if left <= 1e-6 * total else left
            row.append((END if outcome == K - 1 else outcome, rest - left))
            rest = left
        rewards = self.rewards.get((s, a), [])
        n, mean = len(rewards), sum(rewards) / max(1, len(rewards))
        kappa, alpha = 1.0 + n, 1.0 + n / 2
        mu = (self.high + n * mean) / kappa
        beta = self.width**2 + sum((r - mean) ** 2 for r in rewards) / 2 + n * (mean - self.high) ** 2 / (2 * kappa)
        deviation = 1.0 / math.sqrt(kappa * self.gamma_variate(alpha) / beta)
        return mu + self.normal() * deviation, [(to, weight / total) for to, weight in row]

    def act(self, t: int, s: int) -> int:
        if self.h == 0:
            acted = [s for s in range(self.mdp.num_states) if not self.is_final(s)]
            drawn = {(s, a): self.draw(s, a) for s in acted for a in self.allowed[s]}
            for h in reversed(range(self.horizon)):
                for (s_, a), (reward, row) in drawn.items():
                    self.steps[h][s_, a] = reward + self.gamma * sum(p * self.value(h + 1, to) for to, p in row)
        return super().act(t, s)

    def learn_at(self, h: int, s: int, a: int, r: float, to: Any) -> None:
        self.note(s, a, r, 0 if to is END else to, to is END)
