"""Updates that wait for what follows: n-step returns, and Monte Carlo's at the end of an episode.

Each rule is done again in plain Python for the state that is asked about, from where the agent stood before the step
(`rlgrid.window.steps`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted, product
from rlgrid.window.steps import (
    Standing,
    Step,
    behaviour,
    next_action,
    numbered,
    plain,
    return_parts,
    size_of_step,
    worth,
)

# --- n steps ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Waiting:
    """A step from which nothing was learnt yet."""

    state: int
    action: int
    reward: float
    visit: int
    next_state: int


def _waiting(before: Standing, step: Step) -> list[_Waiting]:
    """The steps that wait, the oldest first, with the present one."""
    memory, s, a = before.memory, step.state, step.action
    first, many = (int(n) for n in memory["waiting.span"])
    size = memory["waiting.states"].size
    places = [(first + i) % size for i in range(many)]
    actions = memory.get("waiting.actions", np.zeros(size, np.int64))
    states = [int(memory["waiting.states"][i]) for i in places] + [s]
    visit = int(before.counts[s] if before.counts.ndim == 1 else before.counts[s, a]) + 1
    steps = [
        _Waiting(states[k], int(actions[i]), float(memory["waiting.rewards"][i]), int(memory["waiting.visits"][i]), to)
        for k, (i, to) in enumerate(zip(places, states[1:], strict=True))
    ]
    return [*steps, _Waiting(s, a, step.reward, visit, step.next_state)]


def n_steps(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    """n-step Sarsa, tree backup and n-step TD: of the oldest step if n wait, of all if the episode is over."""
    table, kind, to = before.table.copy(), type(agent).__name__, step.next_state
    waiting, n = _waiting(before, step), agent.n_steps
    b = next_action(agent, before, step) if kind == "NStepSarsa" else None
    while waiting and (step.ended or len(waiting) == n):
        oldest, power = waiting[0], len(waiting)
        s, a = oldest.state, None if table.ndim == 1 else oldest.action
        place = s if a is None else (s, a)
        if kind == "TreeBackup":
            parts = _tree_parts(agent.gamma, table, waiting, step)
        else:
            parts = return_parts(agent.gamma, [(one.reward, one.next_state) for one in waiting])
            if not step.terminated:
                value = float(table[to] if b is None else table[to, b])
                symbol = numbered("V(s" if b is None else "Q(s", power) + (")" if b is None else ",a)")
                parts.append(worth(agent, symbol, value, to, b, power))
        update = Update(
            rule={"NStepSarsa": "n-step Sarsa", "TreeBackup": "Tree backup"}.get(kind, "n-step TD"),
            state=s,
            action=a,
            count=before.count + 1,
            parts=tuple(parts),
            base=Factor("V(s)" if a is None else "Q(s,a)", float(table[place]), s, a),
            old=float(table[place]),
            new=None,
            rate=size_of_step(agent, before.count, oldest.visit),
            note="" if power == 1 else f"learnt {power - 1} step{'s' if power > 2 else ''} after it was left",
        )
        new = update.result
        assert new is not None
        table[place] = new
        waiting = waiting[1:]
        if s == state:
            yield replace(update, new=new)


def _tree_parts(gamma: float, table: Floats, waiting: list[_Waiting], step: Step) -> list[Product]:
    """What was taken counts with its probability by the greedy policy, what was not is worth what the table says."""
    share, parts = 1.0, []
    for k, one in enumerate(waiting):
        chance = () if share == 1.0 else (Factor("π", share),)
        parts.append((*discounted(gamma, k), *chance, Factor(numbered("r", k + 1), one.reward, one.next_state)))
        following = one.next_state
        best = float(table[following].max())
        symbol, power = numbered("max Q(s", k + 1) + ")", discounted(gamma, k + 1)
        if k + 1 == len(waiting):
            if not step.terminated:
                parts.append((*power, *chance, Factor(symbol, best, following, int(table[following].argmax()))))
            break
        ties = int((table[following] == best).sum())
        taken = 1.0 / ties if table[following, waiting[k + 1].action] == best else 0.0
        if taken < 1.0:
            rest = Factor("π", share * (1.0 - taken))
            parts.append((*power, rest, Factor(symbol, best, following, int(table[following].argmax()))))
        if taken == 0.0:
            break
        share *= taken
    return parts


# --- Monte Carlo --------------------------------------------------------------------------------------------------


def monte_carlo(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    """When an episode ends, each first (or every) visit's value moves to the return that followed it."""
    if not step.ended:
        return
    kind, memory, table = type(agent).__name__, before.memory, before.table.copy()
    learns_values = table.ndim == 1
    states = [*memory["episode.states"].tolist(), step.state]
    actions = [] if learns_values else [*memory["episode.actions"].tolist(), step.action]
    rewards = [*memory["episode.rewards"].tolist(), step.reward]
    arrivals = [*states[1:], step.next_state]
    off_policy = kind == "OffPolicyMonteCarlo"
    places = states if learns_values else list(zip(states, actions, strict=True))
    first: dict[Any, int] = {}
    for i, place in enumerate(places):
        first.setdefault(place, i)
    weight = memory["returns" if learns_values else "log_weight" if off_policy else "weight"].copy()
    last = _last_parts(agent, before, step)
    total, ratio = sum(product(part) for part in last), 0.0
    every = off_policy or agent._rule().every
    for i in range(len(states) - 1, -1, -1):
        place = places[i]
        total = rewards[i] + agent.gamma * total
        if not every and first[place] != i:
            continue
        if off_policy:
            weight[place] = np.logaddexp(weight[place], ratio)
            rate = float(np.exp(ratio - weight[place]))
        else:
            weight[place] += 1
            rate = size_of_step(agent, before.count, int(weight[place]))
        old = float(table[place])
        table[place] = old + rate * (total - old)
        if states[i] == state:
            parts = return_parts(agent.gamma, list(zip(rewards[i:], arrivals[i:], strict=True)))
            power = discounted(agent.gamma, len(states) - i)
            a = None if learns_values else int(actions[i])
            yield Update(
                rule="Off-policy Monte Carlo" if off_policy else "Monte Carlo",
                state=state,
                action=a,
                count=before.count + 1,
                parts=(*parts, *((*power, *part) for part in last)),
                base=Factor("V(s)" if learns_values else "Q(s,a)", old, state, a),
                old=old,
                new=float(table[place]),
                rate=rate,
                note="the step size is the return's share of all weights" if off_policy else "",
            )
        if off_policy:
            if actions[i] != int(table[states[i]].argmax()):
                return
            ratio -= float(np.log(_chance(agent, before, step, i)))


def _chance(agent: Any, before: Standing, step: Step, i: int) -> float:
    """The chance with which the i-th action of the episode was chosen."""
    from rlgrid.kernels.exploration import chance
    from rlgrid.kernels.monte_carlo import LEAST

    chances = before.memory["episode.chances"]
    if i < chances.size:
        return float(chances[i])
    settings, varied = agent._numbers(), agent._varied()
    return max(
        LEAST,
        float(plain(chance)(settings, varied, before.table, before.counts, before.count, step.state, step.action)),
    )


def _last_parts(agent: Any, before: Standing, step: Step) -> list[Product]:
    """What a truncated episode's last state is worth, without its discount; nothing if it is terminated."""
    if step.terminated:
        return []
    to = step.next_state
    if before.table.ndim == 1:
        return [(Factor("V(end)", float(before.table[to]), to),)]
    if type(agent).__name__ == "OffPolicyMonteCarlo":
        b = int(before.table[to].argmax())
        return [(Factor("max Q(end)", float(before.table[to, b]), to, b),)]
    return [
        (Factor("π({a}|end)", chance, to, b), Factor("Q(end,{a})", float(before.table[to, b]), to, b))
        for b, chance in enumerate(behaviour(agent, before, to))
        if chance > 0.0
    ]
