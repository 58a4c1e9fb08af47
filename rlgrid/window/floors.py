"""The slip and the reward of a usual step, and worlds in which they are others: what the sliders of the world show.

A world's own numbers are not always what a step meets: its tiles may have a slip or a reward of their own, and may pay
on being left rather than entered. What is shown is what holds in most cells in which an agent moves, and a change
changes it where it holds; tiles with numbers of their own that are others keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from rlgrid.gridmodel import GridModel, Slip, TileKind

SAMPLE = 1 << 16  # cells of a large world that are looked at where its tiles differ
T = TypeVar("T", bound=Hashable)


def slip_of(model: GridModel) -> tuple[float, bool]:
    """The probability of slipping to each side in most cells, and whether it is another one elsewhere."""
    slip, mixed = _usual(model, lambda kind: kind.slip or model.slip)
    return (slip.left + slip.right) / 2, mixed


def step_reward_of(model: GridModel) -> float:
    """The reward of a step from most cells to such a cell."""
    return _step(model) + _leave(model)


def with_slip(model: GridModel, slip: float) -> GridModel:
    """A copy in which moves slip to the left and to the right with probability ``slip`` each, where most cells' do."""
    old, _ = _usual(model, lambda kind: kind.slip or model.slip)
    new = Slip.sideways(left=slip, right=slip)
    kinds = tuple(replace(kind, slip=new) if kind.slip == old else kind for kind in model.kinds)
    return model.with_changes(slip=new if model.slip == old else model.slip, kinds=kinds)


def with_step_reward(model: GridModel, reward: float) -> GridModel:
    """A copy in which a step from most cells to such a cell pays ``reward``, on leaving where they pay on leaving."""
    step, leave = _step(model), _leave(model)
    if leave:
        paid = reward - step
        kinds = (replace(k, leave_reward=paid) if k.leave_reward == leave and _moves(k) else k for k in model.kinds)
        return model.with_changes(kinds=tuple(kinds))
    if step == model.step_reward:
        return model.with_changes(step_reward=reward)
    return model.with_changes(
        kinds=tuple(replace(k, step_reward=reward) if k.step_reward == step else k for k in model.kinds)
    )


def with_numbers(model: GridModel, changes: dict[str, float]) -> GridModel:
    """A copy with the numbers that the sliders "gamma", "slip" and "step_reward" say."""
    if "slip" in changes:
        model = with_slip(model, changes["slip"])
    if "step_reward" in changes:
        model = with_step_reward(model, changes["step_reward"])
    return model.with_changes(gamma=changes["gamma"]) if "gamma" in changes else model


def _step(model: GridModel) -> float:
    return _usual(model, lambda kind: model.step_reward if kind.step_reward is None else kind.step_reward)[0]


def _leave(model: GridModel) -> float:
    return _usual(model, lambda kind: kind.leave_reward)[0]


def _moves(kind: TileKind) -> bool:
    """Whether an agent moves from such a cell, by actions that differ."""
    return not kind.wall and not kind.terminal and kind.leave_to is None


def _usual(model: GridModel, of: Callable[[TileKind], T]) -> tuple[T, bool]:
    """What holds of most cells from which an agent moves, and whether something else holds of others."""
    kinds: list[Any] = [kind for kind in model.kinds if _moves(kind)] or list(model.kinds)
    if len({of(kind) for kind in kinds}) == 1:  # without a look at the cells, of which there may be millions
        return of(kinds[0]), False
    tiles = model.tiles.ravel()
    counts = np.bincount(tiles[:: tiles.size // SAMPLE + 1], minlength=len(model.kinds))
    cells: dict[T, int] = {}
    for kind, count in zip(model.kinds, counts.tolist(), strict=True):
        if kind in kinds:
            cells[of(kind)] = cells.get(of(kind), 0) + count
    return max(cells, key=lambda value: cells[value]), sum(count > 0 for count in cells.values()) > 1
