"""The last update of a state, found beside the agent: kernels note nothing of how they came to their numbers.

The rule of each agent is done again in plain Python for the state that is asked about, from where the agent stood
before the step (`rlgrid.window.steps`). The numbers of its formula are those of the kernels to the last bits; a test
holds them against the tables. Here are the rules that learn from the step itself, and those with traces;
`rlgrid.window.returns` has those that wait for what follows, `rlgrid.window.modelled` those that plan with what they
have learnt of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window import modelled, returns
from rlgrid.window.arithmetic import Factor, Product, Update, discounted
from rlgrid.window.steps import (
    PRIME,
    Standing,
    Step,
    behaviour,
    next_action,
    one_step,
    q_learning,
    reward_part,
    size_of_step,
    step_of,
    worth,
)

Mark = Callable[[Mapping[str, NDArray[Any]]], tuple[Any, ...]]


def explains(agent: Any) -> bool:
    """Whether the updates of an agent can be told."""
    return type(agent).__name__ in RULES and agent.model is not None and agent.compiled and agent._world.can_be_saved


def why_not_told(agent: Any) -> str:
    """Why the updates of an agent are not told, in words."""
    if type(agent).__name__ not in RULES:
        return "Its rule is not one of those that can be written out."
    return "Its environment does not tell which outcomes it drew."


def told(agent: Any, before: Standing, state: int) -> Iterator[Update | None]:
    """What an agent learnt of a state in the one step since it stood at ``before``, in order.

    None stands between two pieces of work, where others may have their turn.
    """
    yield from RULES[type(agent).__name__](agent, before, step_of(agent, before), state)


def update_of(agent: Any, before: Standing, state: int) -> Update | None:
    """What an agent learnt last of a state in the one step since it stood at ``before``; None if nothing."""
    found = [update for update in told(agent, before, state) if update is not None]
    return found[-1] if found else None


def marker(agent: Any, state: int) -> Mark:
    """A function of an agent's arrays whose result is another one after whatever is told of a state.

    What is counted is the surest sign. Elsewhere an update that changes nothing to the last bit leaves no sign.
    """
    name = type(agent).__name__
    if name == "RMax":  # it plans whenever a pair becomes known
        known = agent.visits_to_know
        return lambda arrays: (int((arrays["counts"] >= known).sum()),)
    if name == "UCBQLearning":  # of the step of the round that is shown
        h = int(agent.shown_steps[state])
        return lambda arrays: (arrays["step_visits"][h, state].tobytes(),)
    if name in ("UCBVI", "PSRL"):  # the first step of a round is shown
        return lambda arrays: (arrays["q"][0, state].tobytes(),)
    if name in WEIGHED:
        return lambda arrays: (arrays[WEIGHED[name]][state].tobytes(),)
    names = ["values" if agent._learnt().ndim == 1 else "q"]
    if name in LATE:
        names.append("td_error")
    elif name != "PrioritizedSweeping":
        names += ["counts", "td_error"]
    return lambda arrays: tuple(arrays[each][state].tobytes() for each in names)


def why_nothing(agent: Any, state: int) -> str:
    """Why nothing is told of a state in which there is no sign of any update."""
    name = type(agent).__name__
    if name in LATE and agent.counts[state].any():
        return "Nothing that was learnt here has changed its value yet."
    return NOTHING.get(name, "Nothing was learnt here yet.")


# --- one step -----------------------------------------------------------------------------------------------------


def _sarsa(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        b = next_action(agent, before, step)
        yield one_step(
            agent, before, step, "Sarsa", (worth(agent, f"Q({PRIME},a′)", float(before.table[to, b]), to, b),)
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
            for b, chance in enumerate(behaviour(agent, before, to))
            if chance > 0.0
        ]
        yield one_step(agent, before, step, "Expected Sarsa", tuple(parts))


def _double(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state != step.state:
        return
    s, a, to = step.state, step.action, step.next_state
    first = bool(agent._first_counts[s, a] != before.memory["first_counts"][s, a])
    moved, judge = ("first", "second") if first else ("second", "first")
    table, other = before.memory[moved], before.memory[judge]
    b = int(table[to].argmax())
    names = ("Q₁", "Q₂") if first else ("Q₂", "Q₁")
    follows = worth(agent, f"{names[1]}({PRIME}, argmax {names[0]})", float(other[to, b]), to, b)
    old = float(table[s, a])
    yield Update(
        rule="Double Q-learning",
        state=s,
        action=a,
        count=before.count + 1,
        parts=(reward_part(step), *(() if step.terminated else (follows,))),
        base=Factor(f"{names[0]}(s,a)", old, s, a),
        old=old,
        new=float(getattr(agent, moved)[s, a]),
        rate=size_of_step(agent, before.count, int(before.memory[f"{moved}_counts"][s, a]) + 1),
        note=f"the coin chose {names[0]}; Q is the mean of both tables",
    )


def _td0(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    if state == step.state:
        to = step.next_state
        yield one_step(agent, before, step, "TD(0)", (worth(agent, f"V({PRIME})", float(before.table[to]), to, None),))


def _ucb_q_learning(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    """At the step of the round at which the state was acted in most often: its values are those that are shown."""
    h, s, a, n_states = int(before.memory["step"][0]), step.state, step.action, agent._num_states
    if state != s or h != int(agent.shown_steps[s]):
        return
    n, horizon = int(before.memory["step_visits"][h, s, a]) + 1, agent.horizon
    rate = (horizon + 1.0) / (horizon + n)
    row, parts, follows = h * n_states + s, [reward_part(step)], 0.0
    if not step.terminated and h + 1 < horizon:
        to = step.next_state
        following = before.table[(h + 1) * n_states + to]
        best, ceiling = float(following.max()), float(agent._ceiling[h + 1])
        symbol = f"max Q({PRIME})" if best <= ceiling else f"the most, V({PRIME})"
        parts.append(worth(agent, symbol, min(ceiling, best), to, int(following.argmax())))
        follows = agent.gamma * min(ceiling, best)
    parts.append((Factor("bonus", _bonus(agent, before, (h, s, a), n, follows, rate)),))
    old, final = float(before.table[row, a]), bool(agent._final_states[s])
    yield Update(
        rule="UCB Q-learning",
        state=s,
        action=a,
        count=before.count + 1,
        parts=tuple(parts),
        base=Factor("Q(s,a)", old, s, a),
        old=old,
        new=float(agent.q_table[h, s, a]),
        rate=0.0 if final else rate,
        note=f"step {h + 1} of the round of {horizon}, taken there {n} time{'s' if n > 1 else ''}: α = (H + 1)/(H + n)",
    )


def _bonus(agent: Any, before: Standing, place: tuple[int, int, int], n: int, follows: float, rate: float) -> float:
    """b_n of UCB Q-learning: Hoeffding's, or Bernstein's by the variance of what followed."""
    rule = agent._rule()
    plain = float(rule.plain) / float(np.sqrt(n))
    if not rule.bernstein:
        return plain
    mean, spread, width = (float(before.memory[name][place]) for name in ("following.mean", "following.spread", "beta"))
    now = mean + (follows - mean) / n
    spread += (follows - mean) * (follows - now)
    varying = float(np.sqrt(rule.varying * (spread / n + rule.floor) / n)) + rule.correction / n
    return float((min(varying, plain) - (1.0 - rate) * width) / (2.0 * rate))


# --- traces -------------------------------------------------------------------------------------------------------


def _traces(agent: Any, before: Standing, step: Step, state: int) -> Iterator[Update]:
    """Every value with a trace takes its share of one error; of a state's actions the one with the largest share."""
    kind, learns_values = type(agent).__name__, before.table.ndim == 1
    s, to, t, a = step.state, step.next_state, before.count, None if learns_values else step.action
    place = s if a is None else (s, a)
    true_online = kind.startswith("TrueOnline")
    now = float(before.table[place])
    parts: list[Product] = [reward_part(step)]
    if not step.terminated:
        if learns_values:
            parts.append(worth(agent, f"V({PRIME})", float(before.table[to]), to, None))
        elif kind == "QLambda":
            b = int(before.table[to].argmax())
            parts.append(worth(agent, f"max Q({PRIME})", float(before.table[to, b]), to, b))
        else:
            b = next_action(agent, before, step)
            parts.append(worth(agent, f"Q({PRIME},a′)", float(before.table[to, b]), to, b))
    rate = size_of_step(agent, t, int(before.counts[place]) + 1)
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
        own = size_of_step(agent, t, max(1, int(before.counts[where])))
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


RULES: dict[str, Callable[[Any, Standing, Step, int], Iterator[Update | None]]] = {
    "QLearning": q_learning,
    "Sarsa": _sarsa,
    "ExpectedSarsa": _expected_sarsa,
    "DoubleQLearning": _double,
    "DynaQ": modelled.dyna,
    "DynaQPlus": modelled.dyna,
    "PrioritizedSweeping": modelled.prioritized_sweeping,
    "RMax": modelled.r_max,
    "UCBQLearning": _ucb_q_learning,
    "UCBVI": modelled.ucbvi,
    "PSRL": modelled.psrl,
    "NStepSarsa": returns.n_steps,
    "TreeBackup": returns.n_steps,
    "SarsaLambda": _traces,
    "QLambda": _traces,
    "TrueOnlineSarsaLambda": _traces,
    "MonteCarlo": returns.monte_carlo,
    "OffPolicyMonteCarlo": returns.monte_carlo,
    "TD0": _td0,
    "NStepTD": returns.n_steps,
    "TDLambda": _traces,
    "TrueOnlineTDLambda": _traces,
    "MonteCarloPrediction": returns.monte_carlo,
}
"""The rule of each class of agent whose updates can be told."""

LATE = ("NStepSarsa", "TreeBackup", "NStepTD")
"""Agents that learn of a state some steps after they left it."""

WEIGHED = {"MonteCarlo": "weight", "OffPolicyMonteCarlo": "log_weight", "MonteCarloPrediction": "returns"}
"""What grows with each return of a state, of agents that learn when an episode ends."""

NOTHING = {
    "RMax": "No action is known well enough yet, so nothing was planned.",
    "PrioritizedSweeping": "No backup has changed its values yet.",
    "UCBVI": "No plan has lowered its values yet: all that is untried is thought to be the best there can be.",
    "PSRL": "No world was drawn yet.",
}
"""Why nothing is told, of agents that do not learn of the state that they leave."""
