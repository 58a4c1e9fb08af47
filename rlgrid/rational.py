"""Certificates checked in exact rational arithmetic: slow, and by another way than they were made.

A stored probability p_i means p_i / sum(p), every float being the rational number that it is. Nothing is rounded here,
no compiled code is used, and none of `rlgrid.certificate`. What is checked, for a solution's own policy pi:

- gamma < 1: l <= T_pi l and T u <= u (Puterman 1994, theorem 6.2.2); with a horizon the same from step to step.
- gamma = 1, lower: in the Markov chain of pi, l <= T_pi l, and every recurrent class that can be reached earns nothing
  anywhere and has l <= 0. Then N steps of T_pi lead from l up to V^pi at most.
- gamma = 1, upper: T u <= u, and u >= 0 in every end component without rewards, where an agent may stay for ever. In an
  end component the steps of T u <= u may all be tight only if none is rewarded; otherwise its rewards cancel, and the
  value has no limit. In any other staying costs for ever.
- gamma = 1, -infinity: from the state no policy reaches termination or an end component without rewards with
  probability 1, and the best gain of every end component among such states, worked out exactly, is negative.
- average reward: gain_lower <= min (T_pi h - h) and max (T h - h) <= gain_upper for h = values, but for pairs that may
  end (`rlgrid.average_model` says why); and the gain of pi and the best one lie within the bounds, both worked out
  exactly, since a gain that is a fixed point of policy iteration is the best one (Puterman 1994, theorem 9.2.3).
- error_bound, policy_loss_bound and converged follow from lower, upper, values and tolerance.

`best_gain` is multichain policy iteration (Puterman 1994, section 9.2) over rationals; chains are solved by
elimination, the state with the fewest neighbours first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP
    from rlgrid.solution import Solution

EXACT_PAIRS = 10_000  # pairs of a state and an action; more would take minutes
EXACT_STEPS = 200_000  # pairs times the steps of a horizon
EXACT_WORK = 1_000_000  # of an elimination, in products of numbers of up to a thousand bits: some seconds

ZERO, ONE = Fraction(0), Fraction(1)


class Pair(NamedTuple):
    """An action in a state: its expected reward, and the states in which the episode goes on."""

    action: int
    reward: Fraction
    onward: dict[int, Fraction]
    ends: bool  # whether the episode may be over


Table = list[list[Pair]]  # the pairs of each state


class TooMuchWork(Exception):
    """An exact answer would take too long."""


# --- the model ------------------------------------------------------------------------------------------------------


def pairs_of(mdp: MDP, states: Iterable[int]) -> dict[int, list[Pair]]:
    """The pairs of some states as the stored numbers mean them."""
    result: dict[int, list[Pair]] = {}
    for s in states:
        row = []
        for a in range(mdp.num_actions):
            run = slice(int(mdp.offsets[s * mdp.num_actions + a]), int(mdp.offsets[s * mdp.num_actions + a + 1]))
            p = [Fraction(x) for x in mdp.probability[run].tolist()]
            if not p:
                continue
            total = sum(p, ZERO)
            reward, onward, ends = ZERO, dict[int, Fraction](), False
            outcomes = zip(
                p, mdp.next_state[run].tolist(), mdp.reward[run].tolist(), mdp.terminated[run].tolist(), strict=True
            )
            for weight, to, r, over in outcomes:
                if weight == 0:
                    continue
                if r != 0.0:
                    reward += weight * Fraction(r)
                if over:
                    ends = True
                else:
                    onward[to] = onward.get(to, ZERO) + weight
            row.append(
                Pair(a, reward / total, onward if total == 1 else {t: w / total for t, w in onward.items()}, ends)
            )
        result[s] = row
    return result


# --- graphs and chains ----------------------------------------------------------------------------------------------


def strong_components(edges: dict[int, set[int]]) -> list[set[int]]:
    """Strongly connected components of a graph whose edges stay in it, without recursion (Tarjan 1972)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    held: set[int] = set()
    found = []
    for root, first in edges.items():
        if root in index:
            continue
        path = [(root, iter(first))]
        index[root] = low[root] = len(index)
        stack.append(root)
        held.add(root)
        while path:
            node, rest = path[-1]
            for to in rest:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    held.add(to)
                    path.append((to, iter(edges[to])))
                    break
                if to in held:
                    low[node] = min(low[node], index[to])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    component = set()
                    while node not in component:
                        component.add(stack.pop())
                    held -= component
                    found.append(component)
    return found


def end_components(table: dict[int, list[Pair]], allowed: Callable[[int, Pair], bool]) -> list[dict[int, list[Pair]]]:
    """Maximal end components of the pairs that are allowed (de Alfaro 1997)."""
    alive = {s: [p for p in row if not p.ends and allowed(s, p)] for s, row in table.items()}
    while True:
        edges = {s: {to for p in row for to in p.onward if to in alive} for s, row in alive.items()}
        home = {s: i for i, component in enumerate(strong_components(edges)) for s in component}
        kept = {s: [p for p in row if all(home.get(to) == home[s] for to in p.onward)] for s, row in alive.items()}
        if all(len(kept[s]) == len(alive[s]) for s in alive):
            break
        alive = kept
    result: dict[int, dict[int, list[Pair]]] = {}
    for s, row in alive.items():
        if row:
            result.setdefault(home[s], {})[s] = row
    return list(result.values())


def solve_exactly(
    moves: dict[int, dict[int, Fraction]], right: dict[int, list[Fraction]], work: int = EXACT_WORK
) -> dict[int, list[Fraction]]:
    """x = right + moves x by elimination; every state must reach a place outside of the chain.

    Raises:
        TooMuchWork: if it takes more than ``work``.
    """
    rows = {s: {t: p for t, p in row.items() if p != 0} for s, row in moves.items()}
    sums = {s: list(b) for s, b in right.items()}
    into: dict[int, set[int]] = {s: set() for s in rows}
    for s, row in rows.items():
        for t in row:
            into[t].add(s)
    order: list[tuple[int, dict[int, Fraction]]] = []
    left = set(rows)
    while left:
        k = min(left, key=lambda s: (len(rows[s]) * len(into[s]), s))
        left.remove(k)
        row = rows[k]
        into[k].discard(k)
        stays = row.pop(k, ZERO)
        if stays:
            scale = 1 / (1 - stays)
            for t in row:
                row[t] *= scale
            sums[k] = [scale * b for b in sums[k]]
        for t in row:
            into[t].discard(k)
        for s in into[k]:
            share = rows[s].pop(k)
            target = rows[s]
            for t, p in row.items():
                product = share * p
                work -= 1 + (product.denominator.bit_length() >> 10) ** 2
                target[t] = target[t] + product if t in target else product
                into[t].add(s)
            sums[s] = [b + share * c for b, c in zip(sums[s], sums[k], strict=True)]
            work -= 1 + sum((b.denominator.bit_length() >> 10) ** 2 for b in sums[s])
        work -= len(left) // 8  # the search for the least
        if work < 0:
            raise TooMuchWork
        order.append((k, row))
    x: dict[int, list[Fraction]] = {}
    for k, row in reversed(order):
        x[k] = [b + sum((p * x[t][i] for t, p in row.items()), ZERO) for i, b in enumerate(sums[k])]
    return x


def recurrent(chain: dict[int, Pair]) -> tuple[list[set[int]], set[int]]:
    """The recurrent classes of a chain, and the states that are in none."""
    components = strong_components({s: set(pair.onward) for s, pair in chain.items()})
    closed = [c for c in components if all(not chain[s].ends and chain[s].onward.keys() <= c for s in c)]
    return closed, set(chain).difference(*closed)


def gain_and_bias(chain: dict[int, Pair], work: int = EXACT_WORK) -> tuple[dict[int, Fraction], dict[int, Fraction]]:
    """Gain and bias of a chain, the bias 0 in the least state of each recurrent class; an ended episode earns 0."""
    gain: dict[int, Fraction] = {}
    bias: dict[int, Fraction] = {}
    classes, passing = recurrent(chain)
    for states in classes:
        aim = min(states)
        rest = states - {aim}
        moves = {s: {t: p for t, p in chain[s].onward.items() if t != aim} for s in rest}
        x = solve_exactly(moves, {s: [chain[s].reward, ONE] for s in rest}, work)
        earned, steps = (
            first + sum((p * x[t][i] for t, p in chain[aim].onward.items() if t != aim), ZERO)
            for i, first in enumerate((chain[aim].reward, ONE))
        )
        gain |= dict.fromkeys(states, earned / steps)
        bias |= {aim: ZERO} | {s: x[s][0] - gain[aim] * x[s][1] for s in rest}
    moves = {s: {t: p for t, p in chain[s].onward.items() if t in passing} for s in passing}
    known = {s: [(t, p) for t, p in chain[s].onward.items() if t not in passing] for s in passing}
    x = solve_exactly(moves, {s: [sum((p * gain[t] for t, p in known[s]), ZERO)] for s in passing}, work)
    gain |= {s: x[s][0] for s in passing}
    right = {s: [chain[s].reward - gain[s] + sum((p * bias[t] for t, p in known[s]), ZERO)] for s in passing}
    x = solve_exactly(moves, right, work)
    bias |= {s: x[s][0] for s in passing}
    return gain, bias


def best_gain(
    table: dict[int, list[Pair]], guess: dict[int, int] | None = None, work: int = EXACT_WORK
) -> dict[int, Fraction]:
    """The best average reward a step from each state, by multichain policy iteration from the actions ``guess``.

    Every round improves the gain or, with the same gain, the bias somewhere, so no policy comes twice.

    Raises:
        TooMuchWork: if an evaluation, or all rounds together, take more than ``work``.
    """

    def mean(pair: Pair, x: dict[int, Fraction]) -> Fraction:
        return sum((p * x[t] for t, p in pair.onward.items()), ZERO)

    chain = {s: row[0] for s, row in table.items()}
    if guess is not None:
        chain = {s: next((p for p in row if p.action == guess.get(s)), row[0]) for s, row in table.items()}
    size = sum(len(p.onward) + 1 for row in table.values() for p in row)
    rounds = 0
    while True:
        rounds += 1
        if rounds * size > work:
            raise TooMuchWork
        gain, bias = gain_and_bias(chain, work)
        better = dict(chain)
        for s, row in table.items():
            outlook = gain[s]
            for pair in row:
                value = mean(pair, gain)
                if value > outlook:
                    outlook, better[s] = value, pair
        if all(better[s] is chain[s] for s in chain):
            for s, row in table.items():
                most = gain[s] + bias[s]
                for pair in row:
                    if mean(pair, gain) == gain[s]:
                        value = pair.reward + mean(pair, bias)
                        if value > most:
                            most, better[s] = value, pair
            if all(better[s] is chain[s] for s in chain):
                return gain
        chain = better


# --- the checks -----------------------------------------------------------------------------------------------------


def verify_exactly(model: MDP | GridModel, solution: Solution) -> None:
    """Check a solution of a small model, whose arrays have the right shapes and whose policy is legal.

    Raises:
        ValueError: naming the first state in which a claim does not follow; where the model is too large.
    """
    pairs = model.num_states * model.num_actions
    if pairs > EXACT_PAIRS or pairs * (solution.horizon or 0) > EXACT_STEPS:
        steps = "" if solution.horizon is None else f" over {solution.horizon} steps"
        raise ValueError(
            f"exact=True checks models of up to {EXACT_PAIRS:,} pairs of a state and an action ({EXACT_STEPS:,} pairs "
            f"times steps); this one has {pairs:,}{steps}. Without it the check is made in floats, rounding included"
        )
    table = list(pairs_of(model.to_mdp(), range(model.num_states)).values())
    discount = Fraction(solution.gamma)
    if solution.horizon is not None:
        _check_horizon(table, solution, discount)
    elif solution.criterion == "average":
        _check_average(table, model.absorbing.tolist(), solution)
    else:
        upper, lower = _exact(solution.upper), _exact(solution.lower)
        policy = solution.policy.tolist()
        if solution.gamma < 1.0:
            _check_upper(table, upper, discount, set(range(len(table))))
            if any(x != -np.inf for x in lower):
                chain = _chain(table, policy)
                _check_lower(chain, lower, discount)
        else:
            _check_undiscounted(dict(enumerate(table)), _chain(table, policy), lower, upper)
    _check_numbers(solution)


def _exact(values: Any) -> list[Any]:
    """Floats as rationals; infinities as they are."""
    return [Fraction(x) if np.isfinite(x) else x for x in values.tolist()]


def _chain(table: Table, policy: list[int]) -> dict[int, Pair]:
    return {s: next(p for p in row if p.action == policy[s]) for s, row in enumerate(table)}


def _backup(pair: Pair, x: Any, discount: Fraction) -> Any:
    total = pair.reward
    for to, p in pair.onward.items():
        if isinstance(x[to], float):
            if discount:
                return x[to]  # an infinity
        else:
            total += discount * p * x[to]
    return total


def _upper_fails(s: int, upper: Any) -> ValueError:
    return ValueError(f"state {s}: upper = {float(upper)!r} is not proven to be at least V*")


def _lower_fails(s: int, lower: Any) -> ValueError:
    return ValueError(f"state {s}: lower = {float(lower)!r} is not proven to be at most V^policy")


def _check_upper(table: Table, upper: list[Any], discount: Fraction, states: set[int]) -> None:
    """T u <= u, unless u is +infinity everywhere."""
    if all(upper[s] == np.inf for s in states):
        return
    for s in sorted(states):
        if isinstance(upper[s], float) or any(_backup(pair, upper, discount) > upper[s] for pair in table[s]):
            raise _upper_fails(s, upper[s])


def _check_lower(chain: dict[int, Pair], lower: list[Any], discount: Fraction) -> None:
    """l <= T_pi l where l is not -infinity."""
    for s, pair in chain.items():
        if lower[s] == np.inf or (lower[s] != -np.inf and not _backup(pair, lower, discount) >= lower[s]):
            raise _lower_fails(s, lower[s])
        if lower[s] == -np.inf and discount < 1:
            raise _lower_fails(s, lower[s])


def _check_horizon(table: Table, solution: Solution, discount: Fraction) -> None:
    lower, upper = ([_exact(row) for row in bounds] for bounds in (solution.lower, solution.upper))
    steps = len(lower) - 1
    if any(x > 0 for x in lower[steps]) or any(x < 0 for x in upper[steps]):
        raise ValueError("with no step left every value is 0, which is not within the bounds")
    for t in range(steps):
        chain = _chain(table, solution.policy[t].tolist())
        for s, row in enumerate(table):
            if (
                lower[t][s] == np.inf
                or upper[t][s] == -np.inf
                or _backup(chain[s], lower[t + 1], discount) < lower[t][s]
                or any(_backup(pair, upper[t + 1], discount) > upper[t][s] for pair in row)
            ):
                raise ValueError(f"state {s} after {t} steps: the bounds do not follow from the next step's")


def _check_undiscounted(
    table: dict[int, list[Pair]], chain: dict[int, Pair], lower: list[Any], upper: list[Any]
) -> None:
    free = end_components(table, lambda _, pair: pair.reward == 0)
    resting = {s for component in free for s in component}
    hopeless = _hopeless(table, resting)
    for s in table:
        if lower[s] == np.inf:
            raise _lower_fails(s, lower[s])
    known = {s: row for s, row in table.items() if s not in hopeless}
    usable = {s: [p for p in row if p.onward.keys() <= known.keys()] for s, row in known.items()}
    claims = any(upper[s] != np.inf for s in known)
    if claims:
        for s, row in usable.items():
            if isinstance(upper[s], float) or (s in resting and upper[s] < 0):
                raise _upper_fails(s, upper[s])
            if any(_backup(pair, upper, ONE) > upper[s] for pair in row):
                raise _upper_fails(s, upper[s])
        tight = end_components(usable, lambda s, pair: _backup(pair, upper, ONE) == upper[s])
        for component in tight:
            for s, row in component.items():
                if any(pair.reward != 0 for pair in row):
                    raise ValueError(f"state {s}: its rewards cancel for ever, so that its value is not defined")
    if any(upper[s] != np.inf for s in hopeless):
        # With upper bounds elsewhere no end component there gains; what is left is in the hopeless states.
        doubtful = {s: table[s] for s in hopeless} if claims else table
        for component in end_components(doubtful, lambda _, pair: True):
            if all(pair.reward <= 0 for row in component.values() for pair in row):
                continue  # where nothing is rewarded is a resting place, and no hopeless state has one
            try:
                gain = max(best_gain(component).values())
            except TooMuchWork:
                raise ValueError(
                    f"state {min(component)}: whether staying among {len(component)} states costs takes too long to "
                    "decide exactly"
                ) from None
            if gain > 0 or (gain == 0 and any(s in hopeless for s in component)):
                raise _upper_fails(min(component), upper[min(component)])
    if all(x == -np.inf for x in lower):
        return
    classes, _ = recurrent(chain)
    spoilt = {s for states in classes if any(chain[s].reward != 0 for s in states) for s in states}
    lost = _leading_to(chain, spoilt)
    for s in table:
        claimed = lower[s] != -np.inf
        if claimed and s in lost:
            raise _lower_fails(s, lower[s])
        if not claimed and s not in hopeless:
            raise _lower_fails(s, lower[s])
    for states in classes:
        for s in states - spoilt:
            if lower[s] > 0:
                raise _lower_fails(s, lower[s])
    _check_lower(chain, lower, ONE)


def _hopeless(table: dict[int, list[Pair]], resting: set[int]) -> set[int]:
    """The states from which no policy surely ends the episode or comes to a resting place."""
    alive = set(table)
    while True:
        rows = {s: [p for p in table[s] if p.onward.keys() <= alive] for s in alive}
        before: dict[int, set[int]] = {s: set() for s in alive}
        for s, row in rows.items():
            for pair in row:
                for to in pair.onward:
                    before[to].add(s)
        reached = {s for s in alive if s in resting or any(pair.ends for pair in rows[s])}
        front = list(reached)
        while front:
            for s in before[front.pop()] - reached:
                reached.add(s)
                front.append(s)
        if reached == alive:
            return set(table) - alive
        alive = reached


def _leading_to(chain: dict[int, Pair], targets: set[int]) -> set[int]:
    """The states of a chain that may come to a target."""
    before: dict[int, set[int]] = {s: set() for s in chain}
    for s, pair in chain.items():
        for to in pair.onward:
            before[to].add(s)
    found, front = set(targets), list(targets)
    while front:
        for s in before[front.pop()] - found:
            found.add(s)
            front.append(s)
    return found


def _check_average(table: Table, absorbing: list[bool], solution: Solution) -> None:
    """An episode that comes to an absorbing state is over."""
    over = {s for s, is_over in enumerate(absorbing) if is_over}
    rows = {
        s: [
            Pair(
                p.action,
                p.reward,
                {t: w for t, w in p.onward.items() if t not in over},
                p.ends or not over.isdisjoint(p.onward),
            )
            for p in row
        ]
        for s, row in enumerate(table)
        if s not in over
    }
    policy = solution.policy.tolist()
    lower, upper = _exact(solution.lower), _exact(solution.upper)
    whole_lower, whole_upper = solution.gain_lower, solution.gain_upper
    if solution.gain is None or whole_lower is None or whole_upper is None:
        raise ValueError("a solution for the average reward has gain, gain_lower and gain_upper")
    chain = {s: next(p for p in row if p.action == policy[s]) for s, row in rows.items()}
    _check_bias(rows, chain, _exact(solution.values), whole_lower, whole_upper)
    try:
        gain = gain_and_bias(chain)[0] | dict.fromkeys(over, ZERO)
        best = best_gain(rows, {s: policy[s] for s in rows}) | dict.fromkeys(over, ZERO)
    except TooMuchWork:
        raise ValueError("exact=True: the gains of this model take too long to work out exactly") from None
    for s in range(len(table)):
        if not lower[s] <= gain[s] or (s in rows and not whole_lower <= gain[s]):
            raise ValueError(f"state {s}: lower = {float(lower[s])!r} is more than the gain of the policy")
        if not upper[s] >= best[s] or (s in rows and not whole_upper >= best[s]):
            raise ValueError(f"state {s}: upper = {float(upper[s])!r} is less than the best gain")
    if not whole_lower <= solution.gain <= whole_upper:
        raise ValueError(f"gain = {solution.gain!r} is not within its bounds")


def _check_bias(rows: dict[int, list[Pair]], chain: dict[int, Pair], h: list[Any], lower: float, upper: float) -> None:
    """The bounds of the gain follow from the bias h; a pair that may end is worth 0 a step for ever."""
    infinite = next((s for s, x in enumerate(h) if isinstance(x, float)), None)
    if infinite is not None:
        raise ValueError(f"the bias of state {infinite} is not finite")
    for s, row in rows.items():
        for pair in row:
            rise = ZERO if pair.ends else _backup(pair, h, ONE) - h[s]
            if not upper >= rise:
                raise ValueError(f"state {s}: gain_upper = {upper!r} does not follow from the values")
            if pair is chain[s] and not lower <= rise:
                raise ValueError(f"state {s}: gain_lower = {lower!r} does not follow from the values")


def _check_numbers(solution: Solution) -> None:
    """error_bound, policy_loss_bound and converged, from the bounds."""
    if solution.criterion == "average":
        bounds = (solution.gain_lower, solution.gain, solution.gain_upper)
        lower, values, upper = (_exact(np.array([x], np.float64)) for x in bounds)
    else:
        lower, values, upper = (_exact(x.ravel()) for x in (solution.lower, solution.values, solution.upper))

    def gap(high: Any, low: Any) -> Any:
        return ZERO if high == low else high - low

    error = max((max(gap(u, v), gap(v, low)) for low, v, u in zip(lower, values, upper, strict=True)), default=ZERO)
    loss = max((gap(u, low) for low, u in zip(lower, upper, strict=True)), default=ZERO)
    if not solution.error_bound >= error:
        raise ValueError(f"error_bound = {solution.error_bound!r}, but only {float(error)!r} is proven")
    if not solution.policy_loss_bound >= loss:
        raise ValueError(f"policy_loss_bound = {solution.policy_loss_bound!r}, but only {float(loss)!r} is proven")
    if solution.converged and not solution.error_bound <= solution.tolerance:
        raise ValueError(f"converged, but error_bound = {solution.error_bound!r} > tolerance = {solution.tolerance!r}")
