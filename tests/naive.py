"""Slow and obvious oracles: everything in exact rational arithmetic, or in plain loops over `model.P`.

A stored probability p_i means p_i / sum(p), the floats taken as exact rationals; nothing here uses a kernel.
"""

import itertools
import math
from fractions import Fraction

import numpy as np

Exact = list[list[list[tuple[Fraction, int, Fraction, bool]]]]


def exact_model(model) -> Exact:
    """model[s][a] = [(probability, next state, reward, terminated)] as rationals; [] where a is not available."""
    table = model.P
    result = []
    for s in range(len(table)):
        row = []
        for a in range(len(table[s])):
            outcomes = [(Fraction(p), to, Fraction(r), ends) for p, to, r, ends in table[s][a] if p > 0]
            total = sum((p for p, *_ in outcomes), Fraction(0))
            row.append([(p / total, to, r, ends) for p, to, r, ends in outcomes])
        result.append(row)
    return result


def solve_rational(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """x with matrix x = right, by Gauss and Jordan."""
    n = len(right)
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(n):
            if j != i and rows[j][i] != 0:
                factor = rows[j][i]
                rows[j] = [x - factor * y if y else x for x, y in zip(rows[j], rows[i], strict=True)]
    return [row[n] for row in rows]


def chain(exact: Exact, policy) -> tuple[list[dict[int, Fraction]], list[Fraction]]:
    """Transitions (without ended outcomes) and expected rewards of a deterministic policy, or of weights [S][A]."""
    moves, rewards = [], []
    for s, row in enumerate(exact):
        choice = policy[s]
        weights = (
            {int(choice): Fraction(1)}
            if np.ndim(choice) == 0
            else {a: Fraction(float(w)) for a, w in enumerate(choice)}
        )
        total = sum(weights.values())
        to_p: dict[int, Fraction] = {}
        reward = Fraction(0)
        for a, weight in weights.items():
            if weight == 0:
                continue
            assert row[a], f"state {s} lacks action {a}"
            for p, to, r, ends in row[a]:
                reward += weight / total * p * r
                if not ends:
                    to_p[to] = to_p.get(to, Fraction(0)) + weight / total * p
        moves.append(to_p)
        rewards.append(reward)
    return moves, rewards


def policy_value(exact: Exact, policy, gamma: float) -> list[Fraction | float]:
    """V^pi, exact. At gamma = 1 -inf, +inf, or nan (no limit, or both infinities) where it is not a number."""
    moves, rewards = chain(exact, policy)
    n = len(moves)
    discount = Fraction(gamma)
    if gamma < 1:
        matrix = [[Fraction(int(i == j)) - discount * moves[i].get(j, Fraction(0)) for j in range(n)] for i in range(n)]
        return list(solve_rational(matrix, rewards))
    reach = [{i} for i in range(n)]
    changed = True
    while changed:
        changed = False
        for i in range(n):
            more = set().union(reach[i], *(reach[j] for j in moves[i]))
            if more != reach[i]:
                reach[i], changed = more, True
    closed = [
        all(sum(moves[j].values()) == 1 for j in reach[i]) and all(i in reach[j] for j in reach[i]) for i in range(n)
    ]
    ends: list[Fraction | float] = [Fraction(0)] * n
    for i in range(n):
        if closed[i]:
            ends[i] = _closed_class(moves, rewards, sorted(reach[i]))
    values: list[Fraction | float] = [Fraction(0)] * n
    finite = []
    for i in range(n):
        outlook = {ends[j] for j in reach[i] if closed[j] and ends[j] != 0}
        if any(math.isnan(x) for x in outlook) or len(outlook) > 1:
            values[i] = math.nan
        elif outlook:
            values[i] = outlook.pop()
        elif not closed[i]:
            finite.append(i)
    matrix = [[Fraction(int(i == j)) - moves[i].get(j, Fraction(0)) for j in finite] for i in finite]
    for i, value in zip(finite, solve_rational(matrix, [rewards[i] for i in finite]), strict=True):
        values[i] = value
    return values


def _closed_class(moves, rewards, states) -> Fraction | float:
    """What a recurrent class is worth for ever: 0, -inf or +inf by its gain, nan for gain 0 with rewards."""
    if all(rewards[s] == 0 for s in states):
        return Fraction(0)
    n = len(states)
    matrix = [[moves[states[j]].get(states[i], Fraction(0)) - int(i == j) for j in range(n)] for i in range(n)]
    matrix[-1] = [Fraction(1)] * n
    stationary = solve_rational(matrix, [Fraction(0)] * (n - 1) + [Fraction(1)])
    gain = sum(x * rewards[s] for x, s in zip(stationary, states, strict=True))
    return math.nan if gain == 0 else math.copysign(math.inf, gain)


def optimum(model, gamma: float, guess=None) -> list[Fraction]:
    """V* for gamma < 1 by policy iteration over rationals, which ends with v = T v."""
    exact = exact_model(model)
    policy = [next(a for a, run in enumerate(row) if run) for row in exact] if guess is None else list(guess)
    discount = Fraction(gamma)
    while True:
        values = policy_value(exact, policy, gamma)
        better = list(policy)
        for s, row in enumerate(exact):
            best = values[s]
            for a, run in enumerate(row):
                if run:
                    q = sum(p * (r + (0 if ends else discount * values[to])) for p, to, r, ends in run)
                    if q > best:
                        best, better[s] = q, a
        if better == policy:
            return values
        policy = better


def optimum_undiscounted(model) -> list[Fraction | float]:
    """V* at gamma = 1 by trying every deterministic policy; nan where some policy has no value or +inf."""
    exact = exact_model(model)
    choices = [[a for a, run in enumerate(row) if run] for row in exact]
    best: list[Fraction | float] = [-math.inf] * len(exact)
    for policy in itertools.product(*choices):
        for s, value in enumerate(policy_value(exact, policy, 1.0)):
            if math.isnan(value) or math.isnan(best[s]) or value == math.inf:
                best[s] = math.nan
            else:
                best[s] = max(best[s], value)
    return best


def finite_horizon(model, gamma: float, horizon: int) -> list[list[Fraction]]:
    """values[t][s] with t steps passed, exact."""
    exact = exact_model(model)
    discount = Fraction(gamma)
    values = [[Fraction(0)] * len(exact)]
    for _ in range(horizon):
        after = values[0]
        values.insert(
            0,
            [
                max(
                    sum(p * (r + (0 if ends else discount * after[to])) for p, to, r, ends in run) for run in row if run
                )
                for row in exact
            ],
        )
    return values


def jacobi(model, gamma: float, v) -> list[float]:
    """One sweep of value iteration in plain floats, in the order of the outcomes."""
    result = []
    for row in model.P.values():
        best = -math.inf
        for run in row.values():
            if not run:
                continue
            total = mass = 0.0
            for p, to, r, ends in run:
                total += p * (r if ends else r + gamma * float(v[to]))
                mass += p
            best = max(best, total / mass)
        result.append(best)
    return result


def gain_and_bias(exact: Exact, policy) -> tuple[list[Fraction], list[Fraction]]:
    """Average reward and bias of a policy, exact; what ends is in one more state for ever, at 0 a step.

    g from the stationary distribution of each recurrent class, h from (I - P) h = r - g with a mean of 0 there.
    """
    moves, rewards = chain(exact, policy)
    n = len(moves)
    moves = [{**to_p, n: 1 - sum(to_p.values())} for to_p in moves] + [{n: Fraction(1)}]
    moves = [{to: p for to, p in to_p.items() if p > 0} for to_p in moves]
    rewards = [*rewards, Fraction(0)]
    reach = [{i} for i in range(n + 1)]
    changed = True
    while changed:
        changed = False
        for i in range(n + 1):
            more = set().union(reach[i], *(reach[j] for j in moves[i]))
            if more != reach[i]:
                reach[i], changed = more, True
    gain, bias = [Fraction(0)] * (n + 1), [Fraction(0)] * (n + 1)
    recurrent = {i for i in range(n + 1) if all(i in reach[j] for j in reach[i])}
    for states in {tuple(sorted(reach[i])) for i in recurrent}:
        k = len(states)
        balance = [[moves[states[j]].get(states[i], Fraction(0)) - int(i == j) for j in range(k)] for i in range(k)]
        balance[-1] = [Fraction(1)] * k
        share = solve_rational(balance, [Fraction(0)] * (k - 1) + [Fraction(1)])
        g = sum(x * rewards[s] for x, s in zip(share, states, strict=True))
        system = [[int(i == j) - moves[states[i]].get(states[j], Fraction(0)) for j in range(k)] for i in range(k)]
        system[-1] = list(share)  # one row follows from the others
        h = solve_rational(system, [rewards[s] - g for s in states[:-1]] + [Fraction(0)])
        for s, x in zip(states, h, strict=True):
            gain[s], bias[s] = g, x
    passing = [i for i in range(n + 1) if i not in recurrent]
    system = [[int(i == j) - moves[i].get(j, Fraction(0)) for j in passing] for i in passing]
    onward = [sum((p * gain[to] for to, p in moves[i].items() if to in recurrent), Fraction(0)) for i in passing]
    for i, g in zip(passing, solve_rational(system, onward), strict=True):
        gain[i] = g
    onward = [
        rewards[i] - gain[i] + sum((p * bias[to] for to, p in moves[i].items() if to in recurrent), Fraction(0))
        for i in passing
    ]
    for i, h in zip(passing, solve_rational(system, onward), strict=True):
        bias[i] = h
    return gain[:n], bias[:n]


def optimal_gains(model) -> list[Fraction]:
    """The best average reward of each state, by trying every deterministic policy."""
    exact = exact_model(model)
    choices = [[a for a, run in enumerate(row) if run] for row in exact]
    gains = [gain_and_bias(exact, policy)[0] for policy in itertools.product(*choices)]
    return [max(gain[s] for gain in gains) for s in range(len(exact))]
