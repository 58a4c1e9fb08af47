"""What the inspector writes out, as data and without pixels.

Two kinds of sums stand behind the numbers of a cell.

    Backup    sum over outcomes of p (r + gamma V(s')), the worth of an action by the model (Sutton & Barto, 2nd ed.,
              equation 4.10). With the values that a planner's last sweep read, it is the number that the sweep wrote.
    Update    what a learner did to a value when it last learnt in this state:
              new = old + alpha z (target - base) + rest, the target being a sum of products
              (Q-learning: r + gamma max Q(s', .)). z is 1 but for traces, base is old but for traces, rest is 0 but for
              true online traces. `rlgrid.window.updates` finds them.

Every number knows the cell that it was read from, so that a term that is pointed at can light it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.itemworld import ItemWorld
from rlgrid.layout import cell_of

Floats = NDArray[np.float64]
Outcomes = Sequence[tuple[float, int, float, bool]]  # (probability, next state, reward, terminated)


# --- backups ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """One outcome of an action in a backup: p * (reward + gamma * value), or p * reward where it ends the episode."""

    probability: float
    reward: float
    value: float | None  # of the next state; None where the outcome ends the episode
    next_state: int

    def worth(self, gamma: float) -> float:
        """The term's share of the sum."""
        return self.probability * (self.reward + (0.0 if self.value is None else gamma * self.value))


def backup_terms(outcomes: Outcomes, values: Floats) -> list[Term]:
    """The terms of one action's backup; stored probabilities p mean p / sum(p)."""
    total = sum(p for p, *_ in outcomes)
    return [Term(p / total, r, None if ended else float(values[to]), to) for p, to, r, ended in outcomes if p > 0]


def backup(terms: Sequence[Term], gamma: float) -> float:
    """The sum of the terms; -inf where there are none: the state lacks the action."""
    return sum(term.worth(gamma) for term in terms) if terms else -np.inf


@dataclass(frozen=True)
class Contrast:
    """What one place adds to the sums of two actions.

    ``first`` and ``second`` are the chances of coming there, ``more`` is how much the place adds to the first sum
    beyond what it adds to the second.
    """

    next_state: int
    first: float
    second: float
    more: float


def contrast(first: Sequence[Term], second: Sequence[Term], gamma: float) -> list[Contrast]:
    """Why one action is worth more than another, place by place; the ``more`` add up to the difference of the sums.

    The places that differ most come first.
    """
    places = sorted({term.next_state for term in (*first, *second)})
    found = []
    for place in places:
        sides = [[term for term in terms if term.next_state == place] for terms in (first, second)]
        chances = [sum(term.probability for term in side) for side in sides]
        worths = [sum(term.worth(gamma) for term in side) for side in sides]
        found.append(Contrast(place, chances[0], chances[1], worths[0] - worths[1]))
    return sorted(found, key=lambda one: -abs(one.more))


# --- updates ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factor:
    """One number of a formula: what it is called, and the state (and action) that it was read from, if any.

    ``{a}`` in a symbol stands for the name of the action.
    """

    symbol: str
    value: float
    state: int | None = None
    action: int | None = None


Product = tuple[Factor, ...]


def product(factors: Product) -> float:
    """The product of its numbers."""
    found = 1.0
    for factor in factors:
        found *= factor.value
    return found


@dataclass(frozen=True)
class Update:
    """What was learnt of a value at one time; see the module's text for the formula.

    Attributes:
        rule: the name of the rule.
        state, action: whose value was moved; ``action`` is None where V itself is learnt.
        count: of the step in which it was learnt; 1 is the first.
        parts: the target is the sum of these products.
        base: what the target is compared with.
        old, new: the value before and after; of a network, which moves by a gradient, ``new`` is None.
        rate: the step size; None for a network.
        trace: z, the share of the error that this value takes.
        rest: what true online traces add.
        held: the bounds that the target is held between, or None.
        note: what else must be known, in words.
        planned: the target took the place of the value: a backup on a model that was learnt.
        formula: of such a target, in symbols; its parts need none then.
    """

    rule: str
    state: int
    action: int | None
    count: int
    parts: tuple[Product, ...]
    base: Factor
    old: float
    new: float | None
    rate: float | None
    trace: float | None = None
    rest: float = 0.0
    held: tuple[float, float] | None = None
    note: str = ""
    planned: bool = False
    formula: str = ""

    @property
    def target(self) -> float:
        """The sum of the parts, held between its bounds."""
        total = sum(product(part) for part in self.parts)
        if self.held is None:
            return total
        return min(max(total, self.held[0]), self.held[1])

    @property
    def error(self) -> float:
        """The temporal-difference error: target less base."""
        return self.target - self.base.value

    @property
    def result(self) -> float | None:
        """The new value by the formula."""
        if self.rate is None:
            return None
        if self.planned:
            return self.target
        return self.old + self.rate * (1.0 if self.trace is None else self.trace) * self.error + self.rest

    @property
    def states(self) -> list[int]:
        """The states that its numbers were read from."""
        factors = [factor for part in self.parts for factor in part]
        return sorted({f.state for f in (*factors, self.base) if f.state is not None})


def discounted(gamma: float, power: int) -> Product:
    """gamma to a power as one factor; nothing for the power 0."""
    digits = str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return () if power == 0 else (Factor("γ" if power == 1 else f"γ{digits}", gamma**power),)


# --- where values are read ----------------------------------------------------------------------------------------


def read_values(state: Any) -> Floats | None:
    """float64 [S]: the values that a backup shown now reads: those before the last sweep for sweeps of Jacobi's kind.

    ``state`` is the window's `rlgrid.window.state.State`.
    """
    shot = state.snapshot
    if state.plans and not state.in_place and shot.previous is not None:
        previous: Floats = shot.previous
        return previous
    values: Floats | None = shot.values
    return values


def place_of(model: Any, state: int) -> tuple[int, int, str]:
    """(row, column, the items that are on) of a state, in the map itself and not in the sheet of its panels."""
    if isinstance(model, ItemWorld):
        return *model.cell_of(state), ", ".join(model.items_of(state))
    return *cell_of(model, state), ""


def names_of(model: Any, scene: Any = None) -> list[str]:
    """The names of a model's actions: those that a map has, or else its `rlgrid.envs.scene.Scene`."""
    names = getattr(model, "actions", None)
    if names is None and scene is not None and len(scene.actions) == model.num_actions:
        names = scene.actions
    if names is None:
        names = range(model.num_actions)
    return [f"action {name}" if str(name).isdecimal() else str(name) for name in names]


def is_map(model: Any) -> bool:
    """Whether the rows and columns in which the states are drawn mean something."""
    return getattr(model, "shape", None) is not None


def has_cells(model: Any) -> bool:
    """Whether a state is called by its cell: in a map, and in each panel of a world of position and items."""
    return is_map(model) or isinstance(model, ItemWorld)


def called(model: Any, state: int, scene: Any = None) -> str:
    """A state in few characters: its cell (row, column), or its number where the world is no map."""
    if scene is not None or not has_cells(model):
        return f"state {state}"
    row, column, _ = place_of(model, state)
    return f"({row}, {column})"
