"""Worlds whose map changes at certain steps, as the Blocking and the Shortcut maze do.

Such a world has a clock, which counts the steps since ``reset(seed=...)`` over all episodes; steps are numbered from 0.
Step t is drawn from the map that is in force at t, ``spec.compile(at=t)``: a change at 1000 comes after 1000 steps in
the map before, and the next step, number 1000, is the first one in the new map (Sutton & Barto, Examples 8.2 and 8.3:
"after 1000 time steps"). So after every step the present model is the one from which the next step will be drawn,
``model is spec.compile(at=clock)``. In full:

1. A step at clock t is drawn from the model at t; then the clock is t + 1.
2. If a change is at t + 1, the world has the new map at once, before the step returns. If the step ended the episode,
   the agent stays where it ended. If not, and the agent stands where there is a wall now, it is moved
   (`beside_walls`): to the nearest cell that is neither wall nor terminal, counted in rows plus columns, walls or not;
   of several the one with the lowest number. What the step returns is seen from there, in the new map; reward, end
   and probability are those that were drawn. A terminal cell that comes to be under the agent ends the episode at the
   next step, with reward 0.
3. ``reset()`` begins an episode with the start of the present map, and the clock goes on; ``reset(seed=...)`` sets the
   clock to 0 and puts the first map back before it draws the start. The clock does not count resets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.itemworld import WalledWorld


@dataclass(frozen=True, eq=False)
class Schedule:
    """The models of a world, one after another.

    Attributes:
        begins: the step from which on each holds, ascending; the first is 0.
        models: the models, alike in their states and actions.
    """

    begins: tuple[int, ...]
    models: tuple[GridModel | MDP, ...]

    @cached_property
    def phases(self) -> dict[int, int]:
        """step -> the number of the model that begins there."""
        return {step: k for k, step in enumerate(self.begins)}

    @property
    def is_static(self) -> bool:
        """True where there is one model alone."""
        return len(self.models) == 1

    @property
    def thin_walls(self) -> bool | None:
        """Whether walls stand between cells in some map, for `rlgrid.envs.observations.observer`; None for one map."""
        from rlgrid.itemworld import WalledWorld

        return None if self.is_static else any(isinstance(model, WalledWorld) for model in self.models)

    def at(self, clock: int) -> GridModel | MDP:
        """The model from which step ``clock`` is drawn."""
        return self.models[int(np.searchsorted(self.begins, clock, side="right")) - 1]


def beside_walls(model: GridModel | WalledWorld, state: int) -> int:
    """Where an agent in ``state`` is when the map becomes ``model``: there, or in the nearest cell without a wall."""
    if not model.walls[state]:
        return state
    assert model.shape is not None
    width = model.shape[1]
    free = np.flatnonzero(~model.absorbing)
    rows, columns = np.divmod(free, width)
    row, column = divmod(state, width)
    return int(free[(abs(rows - row) + abs(columns - column)).argmin()])
