"""A world is changed while an agent learns in it: what was learnt goes on in the new one.

Where states keep their numbers (another discount, a repainted cell) the agent keeps everything: its tables, what its
rule remembers between two steps, its generator, and the episode under way if the agent can still stand where it
stands. A cell that became something else is unknown again. Agents that plan in rounds, whose length may follow the
discount, keep what they have counted. Where states are numbered anew (a map of another size, a
key more), tables are carried over cell by cell, and what refers to states by number begins afresh.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_NUMBERED = ("model.", "waiting.", "episode.")  # arrays whose entries are, or belong to, numbers of states


def same_rows(model: Any) -> Rows:
    """int64 [S] for `carry`, of a world whose states are what they were."""
    return np.arange(model.num_states)


def rows_between(old: Any, new: Any) -> Rows | None:
    """int64 [S] of the new world: the state that each state was in the old one; -1 where it is new or has changed.

    None where the states of the two are not cells of maps, so that nothing can be said.
    """
    if hasattr(old, "map_shape") or hasattr(new, "map_shape"):
        return _rows_with_items(old, new)
    before, after = _grid(old), _grid(new)
    if before is None or after is None:
        return None
    return _same_cells(before, after).ravel()


def _grid(model: Any) -> Any:
    """The grid of a world whose states are its cells."""
    grid = getattr(model, "grid", model)
    return grid if hasattr(grid, "tiles") and hasattr(grid, "kinds") else None


def _same_cells(old: Any, new: Any) -> Rows:
    """int64 [rows, columns] of the new grid: the cell of the old one at the same place, -1 where it is of another kind
    or was not there."""
    kind = np.array([next((i for i, was in enumerate(old.kinds) if was == now), -1) for now in new.kinds], np.int64)
    (rows, columns), (old_rows, old_columns) = new.tiles.shape, old.tiles.shape
    found = np.full((rows, columns), -1, np.int64)
    high, wide = min(rows, old_rows), min(columns, old_columns)
    numbers = np.arange(old_rows * old_columns).reshape(old_rows, old_columns)[:high, :wide]
    first = np.array([old.kinds.index(k) for k in old.kinds], np.int64)  # equal kinds count as one
    alike = kind[np.asarray(new.tiles[:high, :wide], np.int64)] == first[np.asarray(old.tiles[:high, :wide], np.int64)]
    found[:high, :wide] = np.where(alike, numbers, -1)
    return found


def _rows_with_items(old: Any, new: Any) -> Rows | None:
    """`rows_between` of worlds with keys and doors: the same cell with the same items on."""
    if not (hasattr(old, "map_shape") and hasattr(new, "map_shape")) or old.items != new.items:
        return None
    same: dict[tuple[str, ...], Rows] = {}
    found = np.full(new.num_states, -1, np.int64)
    known = {(old.items_of(s), old.cell_of(s)): s for s in range(old.num_states)}
    for state in range(new.num_states):
        items, cell = new.items_of(state), new.cell_of(state)
        if items not in same:
            bits = sum(1 << i for i, name in enumerate(new.items) if name in items)
            same[items] = _same_cells(old.grid_in(bits), new.grid_in(bits))
        if same[items][cell] >= 0:
            found[state] = known.get((items, cell), -1)
    return found


def carry(old: Any, new: Any, rows: Rows) -> bool:
    """Let a new agent go on from what an old one of the same kind has learnt, as `rows_between` says.

    Returns False, and leaves a new agent that knows nothing, where that is not possible.

    Raises:
        ValueError: from the agent itself, where nothing about its states has changed.
    """
    numbers = np.arange(rows.size)
    identical = old._arrays().keys() == new._arrays().keys() and rows.size == _states(old)
    unchanged = identical and bool((rows == numbers).all())
    if unchanged and getattr(old, "horizon", None) != getattr(new, "horizon", None):
        if not _carry_rounds(old, new):
            return False
    elif unchanged:
        new._set_arrays(old._arrays())
        new._set_scalars(old._scalars())
    elif not _carry_rows(old, new, rows, identical and bool(((rows == numbers) | (rows < 0)).all())):
        return False
    new.num_timesteps = old.num_timesteps
    new.episode_returns, new.episode_lengths = old.episode_returns, old.episode_lengths
    new._generator.bit_generator.state = old._generator.bit_generator.state
    new._predict_generator.bit_generator.state = old._predict_generator.bit_generator.state
    _carry_episode(old, new, rows)
    if hasattr(new, "_sweeps") and (new.model is not old.model or new.gamma != old.gamma):
        _renew_residual(new)
    return True


def _carry_rounds(old: Any, new: Any) -> bool:
    """Between rounds of different lengths: what was counted goes on, and a plan is made of it before the next step.

    Until then the old plan is shown by the steps that are left; with more of them than it had, its first step is.
    False for an agent that has learnt about the steps of a round itself.
    """
    given, own = old._arrays(), new._arrays()
    if "step_visits" in own:
        return False
    arrays = dict(own)
    for name, array in given.items():
        if name.startswith("model.") or array.shape == own[name].shape:
            arrays[name] = array
    left = np.maximum(np.arange(new.horizon) + old.horizon - new.horizon, 0)
    arrays["q"], arrays["step"] = given["q"][left], own["step"]
    new._set_arrays(arrays)
    new._set_scalars(old._scalars())
    return True


def _renew_residual(planner: Any) -> None:
    """What the last sweep changed was of another world: in this one, a planner that had converged has work again."""
    with np.errstate(invalid="ignore"):
        change = planner.q_values.max(axis=1) - planner.values
    planner._sweeps.residual = np.where(planner.model.absorbing | np.isnan(change), 0.0, change)


def _states(agent: Any) -> int:
    return 0 if agent.model is None else int(agent.model.num_states)


def _carry_rows(old: Any, new: Any, rows: Rows, same_numbers: bool) -> bool:
    """Try what keeps most first: an agent refuses tables that do not fit each other."""
    if hasattr(old, "_learner"):  # a network generalises: nothing of it belongs to a state
        if same_numbers:
            new._set_arrays(old._arrays())
            new._set_scalars(old._scalars())
        return same_numbers
    given, blank = old._arrays(), {name: array.copy() for name, array in new._arrays().items()}
    attempts = []
    if same_numbers:
        changed = rows < 0
        attempts = [_merged(given, blank, rows, changed, counts) for counts in (True, False)]
    else:
        moved = {name: array for name, array in given.items() if not name.startswith(_NUMBERED)}
        attempts = [_merged(moved, blank, rows, rows < 0, True)]
    for arrays in attempts:
        with suppress(ValueError, KeyError, IndexError):
            new._set_arrays(arrays)
            new._set_scalars(old._scalars())
            if not same_numbers or _has_passed(arrays, rows < 0):
                _forget_memory(new)
            return True
    new._set_arrays(blank)
    return False


def _has_passed(arrays: dict[str, NDArray[Any]], changed: NDArray[np.bool_]) -> bool:
    """Whether an episode that is learnt from at its end has passed changed states: its visits there do not count."""
    states = arrays.get("episode.states")
    return states is not None and bool(changed[states].any())


def _forget_memory(agent: Any) -> None:
    clear = getattr(agent, "_clear_memory", None)
    if clear is not None:
        clear()


def _merged(
    given: dict[str, NDArray[Any]], blank: dict[str, NDArray[Any]], rows: Rows, changed: NDArray[np.bool_], counts: bool
) -> dict[str, NDArray[Any]]:
    """Arrays for the new world: those of the old one state by state, as they are at first where a state has changed.

    ``counts``: whole numbers of changed states begin again as well.
    """
    result = dict(blank)
    for name, own in blank.items():
        array = given.get(name)
        if array is None or array.ndim != own.ndim:
            continue
        axis = 1 if own.ndim == 3 else 0  # of the states: tables by the step of a round begin with the step
        if name.startswith(_NUMBERED) or own.shape[axis] != rows.size:
            result[name] = array
            continue
        taken = np.take(array, np.maximum(rows, 0), axis=axis)
        fresh = changed & (counts or array.dtype.kind == "f")
        shape = [1] * own.ndim
        shape[axis] = rows.size
        taken = np.where(fresh.reshape(shape), own, taken)
        if own.dtype == np.float64:  # actions that are not there, and those that now are
            taken = np.where((own == -np.inf) | (taken == -np.inf), own, taken)
        result[name] = np.ascontiguousarray(taken.astype(own.dtype))
    return result


def _carry_episode(old: Any, new: Any, rows: Rows) -> None:
    """Go on with the episode under way where the agent may still be where it is; else with the world's generator."""
    if old.unit != "step" or not old._has_reset:
        return
    snapshot = old._world.snapshot()
    if snapshot is None:
        return
    observation = old._observation
    if observation is not None:
        stays = np.flatnonzero(rows == int(observation))
        state = int(stays[0]) if stays.size else -1
        walls = getattr(new.model, "walls", None)
        if state < 0 or bool(new.model.absorbing[state]) or (walls is not None and bool(walls[state])):
            observation = None
        else:
            observation = state
    world = snapshot["world"] | {"state": observation}
    if observation is None:
        world["last_action"] = None
    new._world.restore(snapshot | {"world": world})
    new._has_reset = True
    if observation is None:
        _forget_memory(new)
        return
    new._observation = observation
    new._episode_return, new._episode_length = old._episode_return, old._episode_length
