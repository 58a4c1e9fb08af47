"""One step of a learner as it is told afterwards: where the agent stood before it, and what the step was.

Learners run compiled. What they did in one step is told from where they stood before it (`Standing`: copies of their
tables, of what their rule keeps, and of their generators) and where they stand after it: the next uniform of the
world's generator says which outcome was drawn. So the kernels cost the same whether anybody looks or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.arithmetic import Factor, Floats, Product, Update, discounted

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
    stream: NDArray[np.uint64]  # the agent's generator, as kernels take it


@dataclass(frozen=True)
class Step:
    """What one step of the environment was."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool
    ended: bool  # terminated or truncated


def standing(agent: Any) -> Standing:
    """Where an agent that `explains` stands; an episode is under way afterwards."""
    from rlgrid.agents.world import stream_of

    agent._ready_episode()
    return Standing(
        count=agent.num_timesteps,
        state=int(agent.state),
        table=agent._learnt().copy(),
        counts=agent.counts.copy(),
        memory={name: array.copy() for name, array in agent._memory().items()},
        uniform=next_uniforms(agent._world.generator)[0],
        choices=next_uniforms(agent._generator),
        elapsed=agent._episode_length,
        stream=stream_of(agent._generator),
    )


def step_of(agent: Any, before: Standing) -> Step:
    """The step that an agent has made since."""
    s = before.state
    grown = agent.counts[s] - before.counts[s]
    if before.counts.ndim == 1:
        policy = agent._rule().policy
        action = int((policy[s] <= before.choices[0]).sum())
    else:
        action = int(grown.argmax())
    to, reward, terminated = drawn(agent.model, s, action, before.uniform)
    ended = terminated or before.elapsed + 1 >= agent._world.max_episode_steps
    return Step(s, action, reward, to, terminated, ended)


def drawn(model: Any, state: int, action: int, uniform: float) -> tuple[int, float, bool]:
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


def next_uniforms(generator: np.random.Generator) -> tuple[float, float]:
    """What ``generator`` gives next; it stays where it is."""
    other = np.random.Generator(np.random.PCG64())
    other.bit_generator.state = generator.bit_generator.state
    return float(other.random()), float(other.random())


# --- what the rules share -----------------------------------------------------------------------------------------


def plain(kernel: Any) -> Callable[..., Any]:
    """A compiled function as Python: nothing is compiled for a single call."""
    found: Callable[..., Any] = getattr(kernel, "py_func", kernel)
    return found


def size_of_step(agent: Any, t: int, count: int) -> float:
    from rlgrid.kernels.exploration import step_size

    return float(plain(step_size)(agent._numbers(), agent._varied(), t, count))


def reward_part(step: Step) -> Product:
    return (Factor("r", step.reward, step.next_state),)


def worth(agent: Any, symbol: str, value: float, state: int, action: int | None, power: int = 1) -> Product:
    return (*discounted(agent.gamma, power), Factor(symbol, value, state, action))


def base_of(before: Standing, s: int, a: int | None) -> Factor:
    return Factor("V(s)", float(before.table[s]), s) if a is None else Factor("Q(s,a)", float(before.table[s, a]), s, a)


def one_step(agent: Any, before: Standing, step: Step, rule: str, follows: tuple[Product, ...]) -> Update:
    """An update of the pair, or the state, that was just left."""
    s, a = step.state, step.action if before.table.ndim == 2 else None
    place = s if a is None else (s, a)
    visit = int(before.counts[place]) + 1
    return Update(
        rule=rule,
        state=s,
        action=a,
        count=before.count + 1,
        parts=(reward_part(step), *(() if step.terminated else follows)),
        base=base_of(before, s, a),
        old=float(before.table[place]),
        new=float(agent._learnt()[place]),
        rate=size_of_step(agent, before.count, visit),
    )


def next_action(agent: Any, before: Standing, step: Step) -> int:
    """The action that an on-policy rule decided on; where a truncated episode forgot it, it is chosen again."""
    from rlgrid.kernels.exploration import choose_apart

    decided = int(agent._action[0])
    if decided >= 0 or step.terminated:
        return max(0, decided)
    uniform = before.choices[0 if before.memory["action"][0] >= 0 else 1]  # the first one chose the action itself
    settings, varied = agent._numbers(), agent._varied()
    return int(choose_apart(settings, varied, before.table, agent.counts, before.count + 1, step.next_state, uniform))


def behaviour(agent: Any, before: Standing, s: int) -> list[float]:
    """The probability of each action in a state in the next step."""
    from rlgrid.kernels.exploration import EPSILON_GREEDY, epsilon_at, probability, varied_strength

    settings, varied, counts, t = agent._numbers(), agent._varied(), agent.counts, before.count + 1
    if varied is None:
        kind, strength = EPSILON_GREEDY, plain(epsilon_at)(settings, t)
    else:
        kind, strength = varied.exploration, varied_strength(varied, counts, t, s)
    chance = plain(probability)
    return [float(chance(kind, strength, before.table, counts, s, a)) for a in range(before.table.shape[1])]


def numbered(symbol: str, k: int) -> str:
    return symbol + str(k).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def return_parts(gamma: float, rewards: list[tuple[float, int]]) -> list[Product]:
    """r1 + gamma r2 + ..., of (reward, where it was received)."""
    return [(*discounted(gamma, k), Factor(numbered("r", k + 1), reward, to)) for k, (reward, to) in enumerate(rewards)]


def q_learning(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        b = int(before.table[to].argmax())
        follows = worth(agent, f"max Q({PRIME})", float(before.table[to, b]), to, b)
        yield one_step(agent, before, step, "Q-learning", (follows,))
