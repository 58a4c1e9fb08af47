"""The nine layers of the map: the table that each colours the cells by, computed from what the state holds.

An agent that has no such table is not drawn as a blank map: `Coloured.reason` says why there is none.

    values          V(s)
    q               Q(s, a), a wedge for each action
    policy          an arrow for each greedy action, over the colours of another layer
    visits          how often the agent acted in s
    td              of a learner, the TD error of the last update in s; of a planner, the Bellman residual (T V - V)(s)
    error           |V(s) - V*(s)|; of an agent with action values |max_a Q(s, a) - max_a Q*(s, a)|
    gap             upper(s) - lower(s), the proven interval that holds V*(s)
    disagreement    the share of the greedy actions in s that are not optimal
    trajectories    how often the last episodes passed through s
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.planned import LARGE
from rlgrid.window.shown import UNASKED
from rlgrid.window.state import Floats, Snapshot, State


@dataclass(frozen=True)
class Layer:
    """A layer's name, its words on a chip, and what it shows."""

    name: str
    title: str
    does: str


LAYERS = (
    Layer("values", "Values", "V(s), what a state is worth"),
    Layer("q", "Q", "Q(s, a), what each action is worth, a wedge each"),
    Layer("policy", "Policy", "the greedy actions: an arrow for every tie, a dot where nothing is known"),
    Layer("visits", "Visits", "how often the agent acted in a state"),
    Layer("td", "TD error", "the last TD error in a state; of a planner the Bellman residual T V − V"),
    Layer("error", "Error", "the distance to the optimum, |V − V*|"),
    Layer("gap", "Gap", "upper − lower, the proven interval that holds V*"),
    Layer("disagreement", "Not optimal", "the share of the greedy actions that are not optimal"),
    Layer("trajectories", "Paths", "the ways of the last episodes, the latest brightest"),
)
NAMED = {layer.name: layer for layer in LAYERS}
CHIPS = ("values", "q", "policy", "visits", "error")


@dataclass(frozen=True, eq=False)
class Coloured:
    """What a layer draws.

    Attributes:
        table: [S] or [S, A]; None where there is none.
        name: of the table, for the legend.
        reason: why there is no table. pending: there may be one later.
        counts: coloured by log(1 + number).
        scale: ends that do not depend on the numbers; None: those of the numbers.
        from_zero: the scale begins at 0.
        signed: the scale is as long on both sides of 0.
        extreme: where cells are smaller than a pixel, the number farthest from 0 is shown.
        common: the ends of the scale are those of several agents together.
    """

    table: NDArray[Any] | None
    name: str
    reason: str = ""
    pending: bool = False
    counts: bool = False
    scale: tuple[float, float] | None = None
    from_zero: bool = False
    signed: bool = False
    extreme: bool = False
    common: bool = False

    @cached_property
    def numbers(self) -> Floats:
        """float64 [S]: the number that colours a cell as a whole, of action values the largest."""
        assert self.table is not None
        return largest(self.table) if self.table.ndim == 2 else np.asarray(self.table, np.float64)


def coloured(state: State, layer: str | None = None) -> Coloured:
    """What a layer of a state draws; of the present layer if None. Computed once for each snapshot."""
    if layer is None and state.drawn is not None:
        shown: Coloured = state.drawn
        return shown
    name = state.layer if layer is None else layer
    kept = state.computed.get(name)
    paths = state.paths if name == "trajectories" else None
    key = (state.snapshot, paths, state.model, state.unit, state.in_place)
    if kept is None or any(a is not b for a, b in zip(kept[0][:3], key[:3], strict=True)) or kept[0][3:] != key[3:]:
        kept = (key, _TABLES[name](state))
        state.computed[name] = kept
    found: Coloured = kept[1]
    return found


def _own(state: State, table: NDArray[Any] | None, name: str, never: str, **more: Any) -> Coloured:
    """A table of the agent itself, or why it has none."""
    if table is not None:
        return Coloured(table, name, **more)
    if state.model is not None and state.model.num_states > LARGE and state.playing and math.isinf(state.speed):
        return Coloured(None, name, "it has not been sent yet", pending=True)
    if state.snapshot.count:
        return Coloured(None, name, never)
    return Coloured(None, name, f"nothing is known before the first {state.unit}", pending=True)


def _values(state: State) -> Coloured:
    return _own(state, state.snapshot.values, "V", "this agent has no values of states")


def _q(state: State) -> Coloured:
    never = "this agent learns values of states, not of actions" if state.predicts else "this agent has no Q table"
    return _own(state, state.snapshot.q_values, "Q", never)


def _visits(state: State) -> Coloured:
    if state.plans:
        return Coloured(None, "visits", "a planner visits no states: it sweeps over all of them")
    return _own(state, state.snapshot.visits, "visits", "this agent counts no visits", counts=True)


def _td(state: State) -> Coloured:
    if state.plans:
        table = residual(state.snapshot, state.in_place)
        waits = Coloured(None, "Bellman residual", "it is known once a sweep is done", pending=True)
        return waits if table is None else Coloured(table, "T V − V", signed=True, extreme=True)
    never = "this agent learns from batches or whole episodes: no TD error belongs to a state"
    return _own(state, state.snapshot.td_error, "TD error", never, signed=True, extreme=True)


def residual(shot: Snapshot, in_place: bool) -> Floats | None:
    """float64 [S], (T V - V)(s) of a planner; 0 where no action is taken.

    A sweep's values are T of the values before it. After sweeps in place the action values are those of the present
    values, which T V is the largest of.
    """
    from rlgrid.kernels import map_tables

    # All tables, but no values before the sweep: then the action values are those of the present ones (`Planned`).
    of_present = in_place or (shot.previous is None and shot.lower is not None)
    if shot.values is None or (shot.q_values if of_present else shot.previous) is None:
        return None
    before = shot.values if of_present else shot.previous
    after = largest(shot.q_values) if of_present and shot.q_values is not None else shot.values
    assert before is not None
    found: Floats = map_tables.residual(after, before)
    return found


def _error(state: State) -> Coloured:
    shot = state.snapshot
    by_action = not state.plans and shot.q_values is not None
    name = "|max Q − max Q*|" if by_action else "|V − V*|"
    if shot.values is None:
        return _own(state, None, name, "this agent has no values of states")
    if shot.optimal is None:
        return _unjudged(shot, name, "V* is still being found")
    assert shot.q_values is not None or not by_action
    mine = largest(shot.q_values) if by_action and shot.q_values is not None else shot.values
    with np.errstate(invalid="ignore"):
        gap = mine - shot.optimal
        np.abs(gap, out=gap)
    return Coloured(gap, name, from_zero=True, extreme=True)


def _unjudged(shot: Snapshot, name: str, sought: str) -> Coloured:
    """Why nothing is known of the optimum: it cannot be, or not yet, as where it is asked for by this layer alone."""
    trouble = "" if shot.trouble == UNASKED else shot.trouble
    return Coloured(None, name, trouble or sought, pending=not trouble)


def _gap(state: State) -> Coloured:
    shot = state.snapshot
    if shot.lower is None or shot.upper is None:
        if state.plans:
            return Coloured(None, "upper − lower", "no bounds are known yet", pending=True)
        return Coloured(None, "upper − lower", "a learner proves no bounds on V*, only planners do")
    with np.errstate(invalid="ignore"):
        gap = shot.upper - shot.lower
    return Coloured(gap, "upper − lower", from_zero=True, extreme=True)


def _disagreement(state: State) -> Coloured:
    shot, name = state.snapshot, "greedy actions that are not optimal"
    if shot.greedy is None:
        return _own(state, None, name, "this agent has no greedy policy that can be read")
    if shot.best is None:
        return _unjudged(shot, name, "the optimal actions are still being found")
    return Coloured(disagreement(shot.greedy, shot.best), name, scale=(0.0, 1.0), extreme=True)


def disagreement(greedy: NDArray[np.bool_], best: NDArray[np.bool_]) -> Floats:
    """float64 [S]: the share of the greedy actions, equally likely, that are not optimal; NaN where none is greedy."""
    from rlgrid.kernels import map_tables

    share: Floats = map_tables.disagreement(greedy, best)
    return share


def largest(q_values: Floats) -> Floats:
    """float64 [S], max_a Q(s, a)."""
    from rlgrid.kernels import map_tables

    found: Floats = map_tables.largest(q_values)
    return found


def _trajectories(state: State) -> Coloured:
    name = "passes of the last episodes"
    if state.model is None or not any(state.paths):
        return Coloured(None, name, "nobody has walked yet", pending=True)
    return Coloured(passages(state.paths, state.model.num_states), name, counts=True)


def passages(paths: tuple[tuple[int, ...], ...], num_states: int) -> NDArray[np.int64]:
    """int64 [S]: how often paths pass through each state."""
    states = np.fromiter((s for path in paths for s in path), np.int64)
    return np.bincount(states[states < num_states], minlength=num_states)


def entries(state: State) -> list[tuple[str, str]]:
    """(name, words) of every layer for a menu, with its key and, where it has no table, why."""
    found = []
    for key, layer in enumerate(LAYERS, start=1):
        words = f"{key}   {layer.title}: {layer.does}"
        if layer.name in _TABLES:
            drawn = coloured(state, layer.name)
            if drawn.table is None:
                words = f"{key}   {layer.title}: none, {drawn.reason}"
        found.append((layer.name, words))
    return found


_TABLES = {
    "values": _values,
    "q": _q,
    "visits": _visits,
    "td": _td,
    "error": _error,
    "gap": _gap,
    "disagreement": _disagreement,
    "trajectories": _trajectories,
}
