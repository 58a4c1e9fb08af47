"""The tables of a planner after a sweep, each computed when it is first asked for.

They belong together: the values after the sweep, and the action values and the policy that it computed from the values
before it (with sweeps in place, those of the present values). In a large world that is most of the work of showing a
plan, and a layer needs one table or two of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.actors import outcomes_of
from rlgrid.window.state import Floats

LARGE = 50_000  # states, beyond which tables are computed and copied only where they are shown
TIE = 1e-9  # actions within this share of the scale of the values are shown as equally good, as `Sweeps.greedy` does


def known(greedy: NDArray[np.bool_], q_values: Floats, first: float) -> NDArray[np.bool_]:
    """bool [S, A] without the rows in which every action is still worth what it was at first: nothing has reached
    such a state, and an arrow there would mean nothing."""
    reached = np.zeros(q_values.shape[0], np.bool_)
    for a in range(q_values.shape[1]):  # column by column: rows are short, and reducing each of them is slow
        column = q_values[:, a]
        reached |= (column != first) & (column != -np.inf)
    shown: NDArray[np.bool_] = greedy & reached[:, None]
    return shown


def apart(values: Floats, previous: Floats) -> Floats:
    """|V - previous|; 0 where both are the same infinity, of states that no end can be reached from."""
    with np.errstate(invalid="ignore"):
        change: Floats = np.abs(values - previous)
    return np.where(values == previous, 0.0, change)


class Planned(dict[str, Any]):
    """The tables by name; ``in_place`` says that a sweep uses values of its own.

    Where the values before the sweep are not known (``previous`` is None), the action values are those of the present
    values too.
    """

    def __init__(self, agent: Any, previous: Floats | None, in_place: bool) -> None:
        values = agent.values
        super().__init__(values=values, previous=previous)
        self._agent, self._count = agent, agent.num_timesteps
        self._base: Floats = values if in_place or previous is None else previous
        self._scale: float | None = None

    def __missing__(self, name: str) -> Any:
        compute: dict[str, Callable[[], Any]] = {
            "change": lambda: None if self["previous"] is None else apart(self["values"], self["previous"]),
            "q_values": lambda: self._of_base(lambda: self._agent.q_values),
            "greedy": lambda: known(self._of_base(self._agent.greedy), self["q_values"], 0.0),
            "policy": lambda: self._of_base(lambda: self._agent.policy),
            "lower": lambda: self._bound("lower"),
            "upper": lambda: self._bound("upper"),
        }
        if name not in compute:
            raise KeyError(name)
        self[name] = compute[name]()
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A table, or ``default`` where there is none of this name."""
        try:
            return self[name]
        except KeyError:
            return default

    def whole(self) -> Planned:
        """With every table computed."""
        for name in ("change", "q_values", "greedy", "policy", "lower", "upper"):
            self[name]
        return self

    def row(self, state: int) -> NDArray[np.bool_]:
        """bool [A]: the greedy actions of a state, without those of all others."""
        if "greedy" in self:
            found: NDArray[np.bool_] = self["greedy"][state]
            return found
        values, gamma, sums = self._base, self._agent.gamma, []
        for outcomes in outcomes_of(self._agent.model, state):
            parts = [p * (reward + (0.0 if ended else gamma * values[to])) for p, to, reward, ended in outcomes]
            sums.append(sum(parts) if parts else -np.inf)
        q = np.array(sums)
        if not np.any((q != 0.0) & (q != -np.inf)):
            return np.zeros(q.size, np.bool_)
        if self._scale is None:
            self._scale = max(float(values.max()), -float(values.min()))  # nothing of the size of the values is made
            if not math.isfinite(self._scale):
                self._scale = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
        best: NDArray[np.bool_] = (q >= q.max() - TIE * self._scale) & (q > -np.inf)
        return best

    def _of_base(self, read: Callable[[], Any]) -> Any:
        """What the planner says of the values that the sweep began with."""
        sweeps = self._agent._sweeps
        now, sweeps.values = sweeps.values, self._base
        try:
            return read()
        finally:
            sweeps.values = now

    def _bound(self, name: str) -> Floats | None:
        """A proven bound; None once the planner has gone on."""
        return getattr(self._agent, name) if self._agent.num_timesteps == self._count else None
