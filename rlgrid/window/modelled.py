"""What agents that plan did: backups on a model that was learnt, done again in plain Python for one state.

    Dyna                    an update of Q-learning from the step, and from steps that are remembered
    Prioritized sweeping    Q = r̄ + gamma sum n(s,a,s')/n(s,a) max Q(s'), in the order of the queue
    R-max                   the same of pairs that are known, the most that is possible of others
    UCBVI                   the same and a bonus, at most what it was before; V is that of the step that follows
    PSRL                    the same in a world that is drawn from the posterior

The plans begin where the agent stood before the step (`rlgrid.window.steps`), so their numbers are those that the
kernel had. A rule hands out None now and then where it works for long.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted, product
from rlgrid.window.steps import PRIME, Standing, Step, q_learning, size_of_step, worth

MANY = 4_000  # outcomes that are gone through before others may have their turn
MEAN = "mean reward r̄"


@dataclass(frozen=True)
class _Model:
    """What was counted of each pair: ``outcomes`` [M] of pairs (S * A), where they led and how often."""

    to: NDArray[np.int64]
    many: NDArray[np.int64]
    order: NDArray[np.int64]  # outcomes by pair, those of a pair as they were met
    first: NDArray[np.int64]  # [pairs + 1]

    @classmethod
    def of(cls, memory: dict[str, NDArray[Any]], pairs: int) -> _Model:
        pair = memory["model.pair"]
        order = np.argsort(pair, kind="stable")
        first = np.searchsorted(pair[order], np.arange(pairs + 1))
        return cls(memory["model.to"], memory["model.many"], order, first)

    def outcomes(self, key: int) -> list[tuple[int, int]]:
        """(where, how often), as they were met first; where is below 0 where the episode ended."""
        at = self.order[self.first[key] : self.first[key + 1]]
        return list(zip(self.to[at].tolist(), self.many[at].tolist(), strict=True))


def _backup(
    rule: str,
    before: Standing,
    place: tuple[int, int],
    parts: list[Product],
    values: tuple[float, float],
    note: str,
    formula: str,
    held: tuple[float, float] | None = None,
) -> Update:
    """A backup that takes the place of what was there; ``values`` are those before it and after."""
    s, a = place
    first, rest = parts[:1], sorted(parts[1:], key=lambda part: -abs(product(part)))
    return Update(
        rule=rule,
        state=s,
        action=a,
        count=before.count + 1,
        parts=(*first, *rest),
        base=Factor("Q(s,a)", values[0], s, a),
        old=values[0],
        new=values[1],
        rate=1.0,
        held=held,
        note=note,
        planned=True,
        formula=formula,
    )


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n} times"


def _ended(outcomes: list[tuple[int, int]], end: int) -> str:
    """How many of the outcomes ended the episode; ``end`` is the first state that there is not."""
    many = sum(many for to, many in outcomes if not 0 <= to < end)
    return f", of which {many} ended the episode" if many else ""


def _share(gamma: float, many: int, n: int, symbol: str, value: float, to: int, action: int | None = None) -> Product:
    """gamma n(s')/n V(s')."""
    return (*discounted(gamma, 1), Factor(f"{many}/{n}", many / n), Factor(symbol, value, to, action))


# --- Dyna -------------------------------------------------------------------------------------------------------------


def dyna(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update | None]:
    """Q-learning from the step, then from pairs that are drawn: each does again what it did last (`kernels.dyna`)."""
    q = before.table.copy()
    for update in q_learning(agent, before, step, step.state):
        q[update.state, update.action] = new = update.result
        if state == step.state:
            words = f"{agent.planning_steps} planned updates follow it in the same step"
            yield replace(update, rule="Q-learning from the step", new=new, note=words)
    draws, states = _last_uniforms(before, agent, 2 * agent.planning_steps), agent._states[: agent._size[0]]
    rule = agent._rule()
    now, width = int(agent._clock[0]), q.shape[1]
    share = np.round(agent._share * 2.0**53).astype(np.int64)
    for i in range(len(draws) // 2):
        if i % MANY == MANY - 1:
            yield None
        place = int(draws[2 * i] * len(states))
        pair = int(rule.pairs[place * width + int(draws[2 * i + 1] * share[place])])
        s, a = divmod(pair, width)
        to, gain = int(rule.next_state[pair]), float(rule.reward[pair])
        never = to == np.iinfo(np.int64).min
        to = s if never else to
        parts: list[Product] = [(Factor("r", gain, ~to if to < 0 else to),)]
        if agent.untried:
            bonus = rule.bonus * math.sqrt(now - int(rule.last[pair]))
            parts.append((Factor("κ√τ", bonus),))
        if to >= 0:
            b = int(q[to].argmax())
            parts.append(worth(agent, f"max Q({PRIME})", float(q[to, b]), to, b))
        old = float(q[s, a])
        rate = size_of_step(agent, before.count, max(1, int(agent.counts[s, a])))
        target = sum(product(part) for part in parts)
        q[s, a] = old + rate * (target - old)
        if s == state:
            words = f"planned: update {i + 1} of {agent.planning_steps} after the step"
            if never:
                words += "; it was never tried, and is thought to lead back here for nothing"
            base, new = Factor("Q(s,a)", old, s, a), float(q[s, a])
            yield Update("Q-learning", s, a, before.count + 1, tuple(parts), base, old, new, rate, note=words)


def _last_uniforms(before: Standing, agent: Any, many: int) -> list[float]:
    """The last ``many`` uniforms that an agent drew in a step; the first of the step chose its action."""
    other = np.random.Generator(np.random.PCG64())
    other.bit_generator.state = agent._generator.bit_generator.state
    bits: Any = other.bit_generator
    bits.advance((1 << 128) - many)
    return list(other.random(many).tolist())


# --- prioritized sweeping ---------------------------------------------------------------------------------------------


class _Queue:
    """Pairs by priority, the greatest first, of equal ones the lowest; one that waits keeps its greater priority."""

    def __init__(self, waiting: dict[int, float]) -> None:
        self._waiting = waiting
        self._heap = [(-p, pair) for pair, p in waiting.items()]
        heapq.heapify(self._heap)

    def put(self, pair: int, p: float) -> None:
        if p > self._waiting.get(pair, -1.0):
            self._waiting[pair] = p
            heapq.heappush(self._heap, (-p, pair))

    def take(self) -> tuple[int, float] | None:
        while self._heap:
            p, pair = heapq.heappop(self._heap)
            if self._waiting.get(pair) == -p:
                del self._waiting[pair]
                return pair, -p
        return None


def prioritized_sweeping(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update | None]:
    """The backups that the queue made after the step (`rlgrid.kernels.sweeping`)."""
    q, gamma, memory = before.table.copy(), agent.gamma, before.memory
    width, now = q.shape[1], agent._memory()
    model, reward, counts = _Model.of(now, q.size), agent._reward, agent.counts.ravel()
    leads = np.argsort(now["model.to"], kind="stable")
    firsts = np.searchsorted(now["model.to"][leads], np.arange(q.shape[0] + 1))

    def worth_of(key: int) -> float:
        total = float(reward[key])
        for to, many in reversed(model.outcomes(key)):
            if to >= 0:
                total += gamma * many * float(q[to].max())
        return total / int(counts[key])

    queue = _Queue({int(pair): float(memory["priority"][pair]) for pair in np.flatnonzero(memory["waits"])})
    key = step.state * width + step.action
    p = abs(worth_of(key) - float(q.ravel()[key]))
    if p > agent.threshold:
        queue.put(key, p)
    for i in range(agent.planning_steps):
        yield None
        taken = queue.take()
        if taken is None:
            return
        key, p = taken
        s, a = divmod(key, width)
        old, value, n = float(q[s, a]), worth_of(key), int(counts[key])
        if s == state:
            parts: list[Product] = [(Factor(MEAN, float(reward[key]) / n),)]
            for to, many in model.outcomes(key):
                if to >= 0:
                    b = int(q[to].argmax())
                    parts.append(_share(gamma, many, n, f"max Q({PRIME})", float(q[to, b]), to, b))
            words = f"backup {i + 1} of {agent.planning_steps} after the step, its priority {p:.3g}; "
            words += f"taken {_times(n)}{_ended(model.outcomes(key), len(q))}"
            formula = f"r̄ + γ Σ n({PRIME})/n max Q({PRIME})"
            yield _backup("Prioritized sweeping", before, (s, a), parts, (old, value), words, formula)
        q[s, a] = value
        for i_outcome in leads[firsts[s] : firsts[s + 1]]:
            pair = int(now["model.pair"][i_outcome])
            p = abs(worth_of(pair) - float(q.ravel()[pair]))
            if p > agent.threshold:
                queue.put(pair, p)


# --- R-max ------------------------------------------------------------------------------------------------------------


def r_max(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update | None]:
    """The plan that was made as a pair became known: its last sweep, as far as the state (`rlgrid.kernels.r_max`)."""
    from rlgrid.kernels.r_max import MOST_SWEEPS

    m, gamma, q = agent.visits_to_know, agent.gamma, before.table.copy()
    known = agent.counts >= m
    if known.sum() == (before.counts >= m).sum():
        return
    lowest, highest = -float(np.finfo(np.float64).max), float(agent._ceiling)
    model, width = _Model.of(agent._memory(), q.size), q.shape[1]
    if gamma == 1.0:
        q[known] = 0.0
    values = [*q.max(axis=1).tolist(), 0.0]  # the last one is the end of the episode
    others = np.where(known, -np.inf, q).max(axis=1).tolist()
    states = np.flatnonzero(known.any(axis=1)).tolist()
    backups = {
        s: [
            (
                float(agent._reward[s * width + a]) / m,
                [(many * (gamma / m), to if to >= 0 else -1) for to, many in model.outcomes(s * width + a)],
            )
            for a in np.flatnonzero(known[s])
        ]
        for s in states
    }
    work, tolerance, read = 0, agent.planning_tolerance * agent._width, values
    for sweep in range(MOST_SWEEPS):
        change = 0.0
        for s in states if sweep % 2 == 0 else reversed(states):
            if s == state:
                read = values.copy()
            best = others[s]
            for gain, outcomes in backups[s]:
                total = gain
                for weight, to in outcomes:
                    total += weight * values[to]
                best = max(best, lowest, min(highest, total))
                work += len(outcomes)
            change = max(change, abs(best - values[s]))
            values[s] = best
            if work > MANY:
                work = 0
                yield None
        if not change > tolerance:
            break
    for a in range(width):
        old, new = float(before.table[state, a]), float(agent.q_table[state, a])
        if not np.isfinite(new):
            continue
        n = int(agent.counts[state, a])
        if not known[state, a]:
            words = f"taken {n} of {m} times: not known yet, and so thought to be as good as can be"
            formula = ""
            parts: list[Product] = [(Factor("the most that is possible", new),)]
        else:
            ended = _ended(model.outcomes(state * width + a), len(q))
            words = f"known: the frequencies of its first {m} outcomes{ended}"
            formula = f"r̄ + γ Σ n({PRIME})/n V({PRIME})"
            parts = [(Factor(MEAN, float(agent._reward[state * width + a]) / m),)]
            parts += [
                _share(gamma, many, m, f"V({PRIME})", read[to], to)
                for to, many in model.outcomes(state * width + a)
                if to >= 0
            ]
        yield _backup("R-max", before, (state, a), parts, (old, new), words, formula, (lowest, highest))


# --- plans of a round -------------------------------------------------------------------------------------------------


def _following(agent: Any) -> Floats:
    """float64 [S + 1], the values of the second step of a round by the present plan; the last is the episode's end."""
    values = np.zeros(agent._num_states + 1)
    if agent.horizon > 1:
        values[:-1] = agent.q_table[1].max(axis=1)
    return values


def ucbvi(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update | None]:
    """The first step of the plan with which the round began (`rlgrid.kernels.optimistic`)."""
    if before.memory["step"][0] >= 0:
        return
    rule, values, gamma = agent._rule(), _following(agent), agent.gamma
    width = agent._num_actions
    model = _Model.of(before.memory, before.counts.size)
    for a in range(width):
        old, new, n = float(before.table[state, a]), float(agent.q_table[0, state, a]), int(before.counts[state, a])
        if not np.isfinite(new):
            continue
        key = state * width + a
        if n == 0:
            parts: list[Product] = [(Factor("the most that is possible", new),)]
            yield _backup("UCBVI", before, (state, a), parts, (old, new), "not taken before this plan was made", "")
            continue
        outcomes = [(to if to >= 0 else agent._num_states, many) for to, many in model.outcomes(key)]
        mean = sum(many / n * values[to] for to, many in outcomes)
        variance = sum(many / n * (values[to] - mean) ** 2 for to, many in outcomes)
        parts = [(Factor(MEAN, float(before.memory["model.reward"][key]) / n),)]
        parts.append((Factor("bonus", _bonus_of_plan(rule, before, outcomes, n, float(variance))),))
        parts += [
            _share(gamma, many, n, "V₁(s′)", float(values[to]), to) for to, many in outcomes if to < agent._num_states
        ]
        words = f"planned as a round began; taken {_times(n)} by then{_ended(outcomes, agent._num_states)}"
        formula = f"r̄ + bonus + γ Σ n({PRIME})/n V₁({PRIME}), at most as before"
        yield _backup("UCBVI", before, (state, a), parts, (old, new), words, formula, (-np.inf, old))


def _bonus_of_plan(rule: Any, before: Standing, outcomes: list[tuple[int, int]], n: int, variance: float) -> float:
    """What UCBVI adds for what is uncertain in the first step of a round."""
    bonus = rule.lower / n + math.sqrt(rule.varying / n * variance) if rule.bernstein else rule.plain / math.sqrt(n)
    if rule.correction > 0.0 and rule.horizon > 1:
        states, surprise = before.counts.shape[0], 0.0
        for to, many in outcomes:
            if to < states:
                arrivals = int(before.memory["arrivals"][states + to])
                surprise += many / n * (min(rule.arrived / arrivals, rule.most) if arrivals else rule.most)
        bonus += rule.correction * math.sqrt(surprise / n)
    return float(bonus)


def psrl(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update | None]:
    """The first step of the plan in the world that was drawn as the round began (`rlgrid.kernels.posterior`)."""
    from rlgrid.kernels.posterior import draw_reward, draw_row

    if before.memory["step"][0] >= 0:
        return
    rule, values, stream, memory = agent._rule(), _following(agent), before.stream.copy(), before.memory
    states, width = before.counts.shape
    model = _Model.of(memory, before.counts.size)
    to, many = model.to[model.order], model.many[model.order].astype(np.float64)
    widest = int(np.diff(model.first).max(initial=0)) + rule.most_pieces
    into, weight = np.empty(widest, np.int64), np.empty(widest)
    for key in range((state + 1) * width):
        s, a = divmod(key, width)
        if key % 64 == 63:
            yield None
        if rule.final[s] or not np.isfinite(before.table[s, a]):
            continue
        first, last = int(model.first[key]), int(model.first[key + 1])
        end = draw_row(
            stream, to, many, first, last, states + 1, rule.prior_transitions, rule.most_pieces, into, weight, 0
        )
        n = int(before.counts[s, a])
        mean, spread = float(memory["rewards.mean"][key]), float(memory["rewards.spread"][key])
        gain = draw_reward(stream, n, mean, spread, rule.prior_mean, rule.prior_spread)
        if s != state:
            continue
        chances = np.bincount(into[:end], weight[:end], minlength=states + 1)
        parts: list[Product] = [(Factor("mean reward drawn", float(gain)),)]
        parts += [
            (*discounted(agent.gamma, 1), Factor("P drawn", float(chances[j])), Factor("V₁(s′)", float(values[j]), j))
            for j in np.flatnonzero(chances[:states] > 0.0).tolist()
        ]
        old, new = float(before.table[s, a]), float(agent.q_table[0, s, a])
        words = f"in the world drawn from the posterior as a round began; taken {_times(n) if n else 'never'} by then"
        formula = f"r + γ Σ P({PRIME}) V₁({PRIME}), all drawn"
        yield _backup("PSRL", before, (s, a), parts, (old, new), words, formula)
