"""The last update of a state, found beside the agent: kernels note nothing of how they came to their numbers.

Learners run compiled. What they did in one step is told from where they stood before it (`Standing`: copies of their
tables, of what their rule keeps, and of their generators) and where they stand after it: the next uniform of the
world's generator says which outcome was drawn, and the rule is done again in plain Python for the state that is asked
about. So the kernels cost the same whether anybody looks or not. The numbers of the rule's formula are those of the
kernels to the last bits; a test holds them against the tables.

Rules that plan with models that they learn (R-max, UCBVI, PSRL, prioritized sweeping, UCB Q-learning) are no one line:
of them nothing is told here, and the inspector shows what the model says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted, product

PRIME = "s′"


@dataclass(frozen=True)
class Standing:
    """Where a learner stands before a step: copies, which the step leaves alone."""

    count: int
    state: int
    table: Floats  # [S, A], or [S] where values are learnt alone
    counts: NDArray[np.int64]  # of the same shape
    memory: dict[str, NDArray[Any]]  # what the rule keeps
    uniform: float  # the world's next
    choices: tuple[float, float]  # the agent's next two
    elapsed: int  # steps of the episode so far


@dataclass(frozen=True)
class Step:
    """What one step of the environment was."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool
    ended: bool  # terminated or truncated


def explains(agent: Any) -> bool:
    """Whether the updates of an agent can be told."""
    return type(agent).__name__ in RULES and agent.model is not None and agent.compiled and agent._world.can_be_saved


def why_not_told(agent: Any) -> str:
    """Why the updates of an agent are not told, in words."""
    if hasattr(agent, "_learner"):
        return "Its network has a memory, or learns whole distributions: its target is no single sum."
    if type(agent).__name__ not in RULES:
        return "Its rule is more than a line: it plans with what it has learnt of the world."
    return "Its environment does not tell which outcomes it drew."


def standing(agent: Any) -> Standing:
    """Where an agent that `explains` stands; an episode is under way afterwards."""
    agent._ready_episode()
    return Standing(
        count=agent.num_timesteps,
        state=int(agent.state),
        table=agent._learnt().copy(),
        counts=agent.counts.copy(),
        memory={name: array.copy() for name, array in agent._memory().items()},
        uniform=_next_uniforms(agent._world.generator)[0],
        choices=_next_uniforms(agent._generator),
        elapsed=agent._episode_length,
    )


def update_of(agent: Any, before: Standing, state: int) -> Update | None:
    """What an agent learnt last of a state in the one step since it stood at ``before``; None if nothing."""
    step = step_of(agent, before)
    found = None
    for update in RULES[type(agent).__name__](agent, before, step, state):
        found = update
    return found


def step_of(agent: Any, before: Standing) -> Step:
    """The step that an agent has made since."""
    s = before.state
    grown = agent.counts[s] - before.counts[s]
    if before.counts.ndim == 1:
        policy = agent._rule().policy
        action = int((policy[s] <= before.choices[0]).sum())
    else:
        action = int(grown.argmax())
    to, reward, terminated = _drawn(agent.model, s, action, before.uniform)
    ended = terminated or before.elapsed + 1 >= agent._world.max_episode_steps
    return Step(s, action, reward, to, terminated, ended)


def _drawn(model: Any, state: int, action: int, uniform: float) -> tuple[int, float, bool]:
    """The outcome that a uniform selects: the first whose cumulative stored probability exceeds it, else the first."""
    from rlgrid.kernels.model import count, outcome

    total = 0.0
    for k in range(count(model.arrays, state, action)):
        p, to, reward, terminated = outcome(model.arrays, state, action, k)
        total += p
        if total > uniform:
            return int(to), float(reward), bool(terminated)
    _, to, reward, terminated = outcome(model.arrays, state, action, 0)
    return int(to), float(reward), bool(terminated)


def _next_uniforms(generator: np.random.Generator) -> tuple[float, float]:
    """What ``generator`` gives next; it stays where it is."""
    other = np.random.Generator(np.random.PCG64())
    other.bit_generator.state = generator.bit_generator.state
    return float(other.random()), float(other.random())


# --- what the rules share -----------------------------------------------------------------------------------------


def _plain(kernel: Any) -> Callable[..., Any]:
    """A compiled function as Python: nothing is compiled for a single call."""
    found: Callable[..., Any] = getattr(kernel, "py_func", kernel)
    return found


def _step_size(agent: Any, t: int, count: int) -> float:
    from rlgrid.kernels.exploration import step_size

    return float(_plain(step_size)(agent._numbers(), agent._varied(), t, count))


def _reward(step: Step) -> Product:
    return (Factor("r", step.reward, step.next_state),)


def _worth(agent: Any, symbol: str, value: float, state: int, action: int | None, power: int = 1) -> Product:
    return (*discounted(agent.gamma, power), Factor(symbol, value, state, action))


def _base(before: Standing, s: int, a: int | None) -> Factor:
    return Factor("V(s)", float(before.table[s]), s) if a is None else Factor("Q(s,a)", float(before.table[s, a]), s, a)


def _one_step(agent: Any, before: Standing, step: Step, rule: str, follows: tuple[Product, ...]) -> Update:
    """An update of the pair, or the state, that was just left."""
    s, a = step.state, step.action if before.table.ndim == 2 else None
    place = s if a is None else (s, a)
    visit = int(before.counts[place]) + 1
    return Update(
        rule=rule,
        state=s,
        action=a,
        count=before.count + 1,
        parts=(_reward(step), *(() if step.terminated else follows)),
        base=_base(before, s, a),
        old=float(before.table[place]),
        new=float(agent._learnt()[place]),
        rate=_step_size(agent, before.count, visit),
    )


def _next_action(agent: Any, before: Standing, step: Step) -> int:
    """The action that an on-policy rule decided on; where a truncated episode forgot it, it is chosen again."""
    from rlgrid.kernels.exploration import choose_apart

    decided = int(agent._action[0])
    if decided >= 0 or step.terminated:
        return max(0, decided)
    uniform = before.choices[0 if before.memory["action"][0] >= 0 else 1]  # the first one chose the action itself
    settings, varied = agent._numbers(), agent._varied()
    return int(choose_apart(settings, varied, before.table, agent.counts, before.count + 1, step.next_state, uniform))


def _behaviour(agent: Any, before: Standing, s: int) -> list[float]:
    """The probability of each action in a state in the next step."""
    from rlgrid.kernels.exploration import EPSILON_GREEDY, epsilon_at, probability, varied_strength

    settings, varied, counts, t = agent._numbers(), agent._varied(), agent.counts, before.count + 1
    if varied is None:
        kind, strength = EPSILON_GREEDY, _plain(epsilon_at)(settings, t)
    else:
        kind, strength = varied.exploration, varied_strength(varied, counts, t, s)
    chance = _plain(probability)
    return [float(chance(kind, strength, before.table, counts, s, a)) for a in range(before.table.shape[1])]


# --- one step -----------------------------------------------------------------------------------------------------


def _q_learning(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        b = int(before.table[to].argmax())
        follows = _worth(agent, f"max Q({PRIME})", float(before.table[to, b]), to, b)
        yield _one_step(agent, before, step, "Q-learning", (follows,))


def _dyna(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    for update in _q_learning(agent, before, step, state):
        words = f"{agent.planning_steps} planned updates follow it in the same step"
        yield replace(update, rule="Q-learning from the step", new=None, note=words)


def _sarsa(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        b = _next_action(agent, before, step)
        yield _one_step(
            agent, before, step, "Sarsa", (_worth(agent, f"Q({PRIME},a′)", float(before.table[to, b]), to, b),)
        )


def _expected_sarsa(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        parts = [
            (
                *discounted(agent.gamma, 1),
                Factor("π({a}|" + PRIME + ")", chance, to, b),
                Factor(f"Q({PRIME},{{a}})", float(before.table[to, b]), to, b),
            )
            for b, chance in enumerate(_behaviour(agent, before, to))
            if chance > 0.0
        ]
        yield _one_step(agent, before, step, "Expected Sarsa", tuple(parts))


def _double(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state != step.state:
        return
    s, a, to = step.state, step.action, step.next_state
    first = bool(agent._first_counts[s, a] != before.memory["first_counts"][s, a])
    moved, judge = ("first", "second") if first else ("second", "first")
    table, other = before.memory[moved], before.memory[judge]
    b = int(table[to].argmax())
    names = ("Q₁", "Q₂") if first else ("Q₂", "Q₁")
    follows = _worth(agent, f"{names[1]}({PRIME}, argmax {names[0]})", float(other[to, b]), to, b)
    old = float(table[s, a])
    yield Update(
        rule="Double Q-learning",
        state=s,
        action=a,
        count=before.count + 1,
        parts=(_reward(step), *(() if step.terminated else (follows,))),
        base=Factor(f"{names[0]}(s,a)", old, s, a),
        old=old,
        new=float(getattr(agent, moved)[s, a]),
        rate=_step_size(agent, before.count, int(before.memory[f"{moved}_counts"][s, a]) + 1),
        note=f"the coin chose {names[0]}; Q is the mean of both tables",
    )


def _td0(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        yield _one_step(
            agent, before, step, "TD(0)", (_worth(agent, f"V({PRIME})", float(before.table[to]), to, None),)
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


def _numbered(symbol: str, k: int) -> str:
    return symbol + str(k).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _return_parts(gamma: float, rewards: list[tuple[float, int]]) -> list[Product]:
    """r1 + gamma r2 + ..., of (reward, where it was received)."""
    return [
        (*discounted(gamma, k), Factor(_numbered("r", k + 1), reward, to)) for k, (reward, to) in enumerate(rewards)
    ]


def _n_steps(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    """n-step Sarsa, tree backup and n-step TD: of the oldest step if n wait, of all if the episode is over."""
    table, kind, to = before.table.copy(), type(agent).__name__, step.next_state
    waiting, n = _waiting(before, step), agent.n_steps
    b = _next_action(agent, before, step) if kind == "NStepSarsa" else None
    while waiting and (step.ended or len(waiting) == n):
        oldest, power = waiting[0], len(waiting)
        s, a = oldest.state, None if table.ndim == 1 else oldest.action
        place = s if a is None else (s, a)
        if kind == "TreeBackup":
            parts = _tree_parts(agent.gamma, table, waiting, step)
        else:
            parts = _return_parts(agent.gamma, [(one.reward, one.next_state) for one in waiting])
            if not step.terminated:
                value = float(table[to] if b is None else table[to, b])
                symbol = _numbered("V(s" if b is None else "Q(s", power) + (")" if b is None else ",a)")
                parts.append(_worth(agent, symbol, value, to, b, power))
        update = Update(
            rule={"NStepSarsa": "n-step Sarsa", "TreeBackup": "Tree backup"}.get(kind, "n-step TD"),
            state=s,
            action=a,
            count=before.count + 1,
            parts=tuple(parts),
            base=Factor("V(s)" if a is None else "Q(s,a)", float(table[place]), s, a),
            old=float(table[place]),
            new=None,
            rate=_step_size(agent, before.count, oldest.visit),
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
        parts.append((*discounted(gamma, k), *chance, Factor(_numbered("r", k + 1), one.reward, one.next_state)))
        following = one.next_state
        best = float(table[following].max())
        symbol, power = _numbered("max Q(s", k + 1) + ")", discounted(gamma, k + 1)
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


# --- traces -------------------------------------------------------------------------------------------------------


def _traces(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    """Every value with a trace takes its share of one error; of a state's actions the one with the largest share."""
    kind, learns_values = type(agent).__name__, before.table.ndim == 1
    s, to, t, a = step.state, step.next_state, before.count, None if learns_values else step.action
    place = s if a is None else (s, a)
    true_online = kind.startswith("TrueOnline")
    now = float(before.table[place])
    parts: list[Product] = [_reward(step)]
    if not step.terminated:
        if learns_values:
            parts.append(_worth(agent, f"V({PRIME})", float(before.table[to]), to, None))
        elif kind == "QLambda":
            b = int(before.table[to].argmax())
            parts.append(_worth(agent, f"max Q({PRIME})", float(before.table[to, b]), to, b))
        else:
            b = _next_action(agent, before, step)
            parts.append(_worth(agent, f"Q({PRIME},a′)", float(before.table[to, b]), to, b))
    rate = _step_size(agent, t, int(before.counts[place]) + 1)
    trace = before.memory["trace"].copy()
    trace[place] = _marked(agent, float(trace[place]), rate)
    symbol = "V(s)" if learns_values else "Q(s,a)"
    base = Factor(symbol, now, s, a)
    if true_online:
        base = Factor(f"{symbol} before", float(before.memory["previous"][0]), s, a)
    chosen: int | None = None
    if not learns_values:
        chosen = step.action if state == s else int(trace[state].argmax())
    where = state if chosen is None else (state, chosen)
    if trace[where] == 0.0:
        return
    own = rate
    if true_online:
        own = 1.0
    elif where != place:
        own = _step_size(agent, t, max(1, int(before.counts[where])))
    names = {
        "SarsaLambda": "Sarsa(λ)",
        "QLambda": "Watkins's Q(λ)",
        "TrueOnlineSarsaLambda": "True online Sarsa(λ)",
        "TDLambda": "TD(λ)",
        "TrueOnlineTDLambda": "True online TD(λ)",
    }
    yield Update(
        rule=names[kind],
        state=state,
        action=chosen,
        count=t + 1,
        parts=tuple(parts),
        base=base,
        old=float(before.table[where]),
        new=float(agent._learnt()[where]),
        rate=own,
        trace=float(trace[where]),
        rest=-rate * (now - base.value) if true_online and where == place else 0.0,
        note=""
        if where == place
        else "of the step just made, by this pair's trace"
        if chosen is not None
        else "of the step just made, by this state's trace",
    )


def _marked(agent: Any, z: float, rate: float) -> float:
    """The trace of what was just left."""
    if type(agent).__name__.startswith("TrueOnline"):
        return z + rate * (1.0 - z)
    if agent.traces == "accumulating":
        return z + 1.0
    return 1.0 if agent.traces == "replacing" else (1.0 - rate) * z + 1.0


# --- Monte Carlo --------------------------------------------------------------------------------------------------


def _monte_carlo(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
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
            rate = _step_size(agent, before.count, int(weight[place]))
        old = float(table[place])
        table[place] = old + rate * (total - old)
        if states[i] == state:
            parts = _return_parts(agent.gamma, list(zip(rewards[i:], arrivals[i:], strict=True)))
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
        float(_plain(chance)(settings, varied, before.table, before.counts, before.count, step.state, step.action)),
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
        for b, chance in enumerate(_behaviour(agent, before, to))
        if chance > 0.0
    ]


RULES: dict[str, Callable[[Any, Standing, Step, int], Iterator[Update]]] = {
    "QLearning": _q_learning,
    "Sarsa": _sarsa,
    "ExpectedSarsa": _expected_sarsa,
    "DoubleQLearning": _double,
    "DynaQ": _dyna,
    "DynaQPlus": _dyna,
    "NStepSarsa": _n_steps,
    "TreeBackup": _n_steps,
    "SarsaLambda": _traces,
    "QLambda": _traces,
    "TrueOnlineSarsaLambda": _traces,
    "MonteCarlo": _monte_carlo,
    "OffPolicyMonteCarlo": _monte_carlo,
    "TD0": _td0,
    "NStepTD": _n_steps,
    "TDLambda": _traces,
    "TrueOnlineTDLambda": _traces,
    "MonteCarloPrediction": _monte_carlo,
}
"""The rule of each class of agent whose updates can be told."""
