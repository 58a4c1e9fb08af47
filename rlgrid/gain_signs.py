"""Whether staying among some states for ever earns, costs, or neither: the sign of the best gain, decided.

The states can all reach each other (an end component), so the best gain g (average reward a step) is the same in all.
For any numbers h, and rounding included,

    r(s, a) + sum p h(s') < h(s)  for all pairs                    proves g < 0      (Puterman 1994, theorem 8.5.5)
    r(s, pi(s)) + sum p h(s') > h(s)  where pi stays for ever      proves g > 0

Such h are looked for first by damped sweeps h <- h + (T h - h) / 2 (section 8.5.4), and then, since a slow component
would need millions of them, as the bias of policies in policy iteration (section 9.2). What is closer to 0 than
rounding can tell is decided by policy iteration in rational arithmetic (`rlgrid.rational`) from the policy that was
found. Where that would take too long nothing is decided, and an interval is what is known.

The gain is one of steps between nodes. Where a node stands for several states, between which an agent moves at no
cost, those moves are no steps: the sign is that of the model, the number is not.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rlgrid.policy_evaluation import gain_and_bias, recurrent_classes
from rlgrid.rational import Pair, TooMuchWork, best_gain, pairs_of

if TYPE_CHECKING:
    from rlgrid.mdp import MDP

SWEEPS = 200  # before policies are solved for
SOLVED_NODES = 50_000  # up to so many states; graphs that are hard to factorise mix fast and need few sweeps
SWEEP_WORK = 200_000_000  # outcomes looked at by the sweeps of larger components
ROUNDS = 100  # of policy iteration in floats
EXACT_OUTCOMES = 20_000  # up to so many outcomes a component is decided exactly, if that is not too much work
UNIT_ROUNDOFF = 2.0**-53
UNDERFLOW = 1e-300  # far above what the products of one pair can lose by underflow
TIE = 1e-11  # a policy is changed for what is better by more than this share

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Component(NamedTuple):
    """Pairs between nodes, node by node; each node has a pair and each pair an outcome."""

    pairs: Ints  # [P] s * A + a in the model
    node: Ints  # [P] the node that a pair belongs to
    first_pair: Ints  # [n] of each node
    first: Ints  # [P] the first outcome of each pair
    to: Ints  # [N] nodes
    probability: Floats  # [N]
    reward: Floats  # [N]


class Decision(NamedTuple):
    """The sign of the best gain, or None, and an interval that holds it."""

    sign: int | None
    low: float
    high: float


def decide(mdp: MDP, component: Component, place: Callable[[int], int]) -> Decision:
    """The sign of the best gain; ``place`` is the node of a state of the component."""
    with np.errstate(all="ignore"):
        return _decide(mdp, component, place)


def _decide(mdp: MDP, m: Component, place: Callable[[int], int]) -> Decision:
    n = m.first_pair.size
    outcome_pair = np.repeat(np.arange(m.pairs.size), np.diff(np.append(m.first, m.to.size)))
    own = m.node[outcome_pair]
    mass = np.add.reduceat(m.probability, m.first)
    reward = np.add.reduceat(m.probability * m.reward, m.first) / mass
    roundings = 1.02 * (2.0 * np.diff(np.append(m.first, m.to.size)) + 6.0) * UNIT_ROUNDOFF

    def gains(h: Floats) -> tuple[Floats, Floats]:
        """r + sum p h(s') - h(s) of each pair, and a bound on its rounding as in `rlgrid.kernels.rounding`."""
        step = h[m.to] - h[own]
        gain = np.add.reduceat(m.probability * (m.reward + step), m.first) / mass
        size = np.add.reduceat(m.probability * (np.abs(m.reward) + np.abs(step)), m.first) / mass
        return gain, roundings * size + UNDERFLOW

    def first_of(pairs: Ints) -> Ints:
        """The first of some pairs for each node that has one, -1 for others."""
        choice = np.full(n, -1)
        choice[m.node[pairs[::-1]]] = pairs[::-1]
        return choice

    low, high = -np.inf, np.inf
    h = np.zeros(n)
    for _ in range(SWEEPS if n <= SOLVED_NODES else max(SWEEPS, SWEEP_WORK // m.to.size)):
        gain, error = gains(h)
        best = np.maximum.reduceat(gain, m.first_pair)
        low = max(low, float(np.maximum.reduceat(gain - error, m.first_pair).min()))
        high = min(high, float((gain + error).max()))
        if low > 0.0 or high < 0.0:
            return Decision(1 if low > 0.0 else -1, low, high)
        h += 0.5 * best
    choice = first_of(np.flatnonzero(gain == best[m.node]))
    for _ in range(ROUNDS if n <= SOLVED_NODES and (choice >= 0).all() else 0):
        taken = np.zeros(m.pairs.size, np.bool_)
        taken[choice] = True
        used = np.flatnonzero(taken[outcome_pair])
        weight = m.probability[used] / mass[outcome_pair[used]]
        chain = csr_array((weight, (own[used], m.to[used])), shape=(n, n))
        (gain_of, bias), _ = gain_and_bias(chain, reward[choice], np.zeros(n))
        gain, error = gains(bias)
        label, recurrent = recurrent_classes(chain, np.zeros(n))
        finest = np.where(recurrent, gain_of, -np.inf).argmax()
        low = max(low, float((gain - error)[choice[label == label[finest]]].min()))
        high = min(high, float((gain + error).max()))
        if low > 0.0 or high < 0.0:
            return Decision(1 if low > 0.0 else -1, low, high)
        if not (np.isfinite(gain_of).all() and np.isfinite(bias).all()):
            break
        outlook = np.add.reduceat(m.probability * (gain_of[m.to] - gain_of[own]), m.first) / mass
        tie = TIE * np.abs(gain_of).max()
        better = outlook > tie
        if not better.any():
            beyond = gain - gain_of[m.node]
            better = (np.abs(outlook) <= tie) & (beyond > TIE * np.abs(bias).max() + 4.0 * error)
        if not better.any():
            break
        score = np.where(better, outlook if (outlook > tie).any() else gain, -np.inf)
        most = np.maximum.reduceat(score, m.first_pair)
        changed = first_of(np.flatnonzero(better & (score == most[m.node])))
        choice = np.where(changed >= 0, changed, choice)
    if m.to.size <= EXACT_OUTCOMES:
        states = np.unique(m.pairs // mdp.num_actions)
        table = _exact_table(mdp, m, place, states.tolist())
        guess = {int(m.node[j]): int(m.pairs[j]) for j in choice if j >= 0}
        try:
            exact = next(iter(best_gain(table, guess).values()))
        except TooMuchWork:
            return Decision(None, low, high)
        return Decision((exact > 0) - (exact < 0), float(exact), float(exact))
    return Decision(None, low, high)


def _exact_table(mdp: MDP, m: Component, place: Callable[[int], int], states: list[int]) -> dict[int, list[Pair]]:
    """The component in rational numbers; the action of a pair is s * A + a."""
    inside = set(m.pairs.tolist())
    table: dict[int, list[Pair]] = {}
    for s, row in pairs_of(mdp, states).items():
        for pair in row:
            name = s * mdp.num_actions + pair.action
            if name in inside:
                merged = dict.fromkeys((place(to) for to in pair.onward), Fraction(0))
                for to, p in pair.onward.items():
                    merged[place(to)] += p
                table.setdefault(place(s), []).append(Pair(name, pair.reward, merged, False))
    return table
