"""Snapshots between the worker and the window: tables in shared memory, and the few numbers beside them in a message.

The window owns the memory: it creates it when the worker says how large the world is, and unlinks it when it closes,
whatever has become of the worker. At most one snapshot is on its way: the worker writes the next one only after the
window has said that it has read the last, so nothing is read while it is written. Large tables are read in a thread
(`Reading`), which needs Python's lock only between them: frames go on meanwhile.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.layout import shape_of
from rlgrid.window.planned import LARGE
from rlgrid.window.state import Snapshot, State

_FLOAT, _INT, _BOOL = np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_)

# What the layers are drawn from, beside the values.
LAYER_TABLES = {
    "q": ("q_values",),
    "policy": ("greedy",),
    "visits": ("visits",),
    "td": ("td_error", "previous", "q_values"),
    "error": ("optimal", "q_values"),
    "gap": ("lower", "upper"),
    "disagreement": ("best", "greedy"),
}
INSPECTED = {  # what a pinned cell is looked into with, beside the values: by the agent's unit
    "sweep": ("greedy", "lower", "optimal", "previous", "q_values", "upper"),
    "step": ("greedy", "optimal", "q_values", "td_error", "visits"),
}
REUSED = 1 << 20  # bytes of a table from which on arrays that it was copied into are used again
COPIES = 3  # of a table that are kept for that: what is shown, what was before it, and one that somebody holds longer
ARROWS = 100  # cells across the map at most, where arrows are drawn

# name: (type, whether there is one number for each action)
TABLES: dict[str, tuple[np.dtype[Any], bool]] = {
    "values": (_FLOAT, False),
    "previous": (_FLOAT, False),
    "lower": (_FLOAT, False),
    "upper": (_FLOAT, False),
    "change": (_FLOAT, False),
    "optimal": (_FLOAT, False),
    "td_error": (_FLOAT, False),
    "visits": (_INT, False),
    "q_values": (_FLOAT, True),
    "greedy": (_BOOL, True),
    "best": (_BOOL, True),
}


class Tables:
    """The tables of a world with S states and A actions, one after the other in shared memory, for every lane."""

    def __init__(self, num_states: int, num_actions: int, name: str | None = None, lanes: int = 1) -> None:
        self.sizes = num_states, num_actions, lanes
        self._shapes = {
            key: (lanes, num_states, num_actions) if per_action else (lanes, num_states)
            for key, (_, per_action) in TABLES.items()
        }
        sizes = {
            key: -(-int(np.prod(shape)) * TABLES[key][0].itemsize // 64) * 64 for key, shape in self._shapes.items()
        }
        total = max(64, sum(sizes.values()))
        self._memory = SharedMemory(create=True, size=total) if name is None else SharedMemory(name)
        self._owner = name is None
        self._arrays: dict[str, NDArray[Any]] = {}
        self._copies: dict[tuple[str, int], list[NDArray[Any]]] = {}
        self._last: list[dict[str, NDArray[Any]]] = [{} for _ in range(lanes)]  # what was read last
        offset = 0
        for key, shape in self._shapes.items():
            self._arrays[key] = np.ndarray(shape, TABLES[key][0], self._memory.buf, offset)
            offset += sizes[key]

    @property
    def name(self) -> str:
        """By which another process finds the memory."""
        return self._memory.name

    def write(self, shot: Snapshot, lane: int = 0, there: bool = False) -> tuple[tuple[str, ...] | None, Snapshot]:
        """Put a snapshot's tables into the memory; which ones they are, and what else the snapshot holds.

        Args:
            there: they are those that were written last, so that nothing is to be written, nor read.
        """
        if there:
            return None, replace(shot, **_none(TABLES))
        present = []
        for key, array in self._arrays.items():
            table = getattr(shot, key)
            if table is not None:
                array[lane] = table
                present.append(key)
        return tuple(present), replace(shot, **_none(TABLES))

    def read(self, present: tuple[str, ...] | None, rest: Snapshot, lane: int = 0) -> Snapshot:
        """The whole snapshot again, its tables copied out of the memory, or those of the one that was read last."""
        if present is None:
            tables: Any = self._last[lane]
        else:
            self._last[lane] = {}  # what they were copied into may be used again
            tables = self._last[lane] = {key: self._copy(key, lane) for key in present}
        return replace(rest, **tables)

    def large(self, present: Iterable[str] | None) -> bool:
        """Whether one of these tables is so large that copying it, or looking through it, takes a part of a frame."""
        return present is None or any(self._arrays[key][0].nbytes >= REUSED for key in present)

    def _copy(self, key: str, lane: int) -> Any:
        """A table copied out of the memory: where it is large, into an array of an earlier one that nobody holds any
        more. To have fresh memory from the system takes many times as long as the copy."""
        table = self._arrays[key][lane]
        if table.nbytes < REUSED:
            return table.copy()
        kept = self._copies.setdefault((key, lane), [])
        for number in range(len(kept)):
            if sys.getrefcount(kept[number]) == 2:  # the list's reference, and that of this call
                copied = kept[number]
                np.copyto(copied, table)
                return copied
        copied = table.copy()
        if len(kept) < COPIES:
            kept.append(copied)
        return copied

    def close(self) -> None:
        """Let go of the memory; its owner also removes it."""
        self._arrays.clear()
        self._copies.clear()
        self._last.clear()
        self._memory.close()
        if self._owner:
            self._memory.unlink()


class Reading:
    """What ``read`` returns, found in a thread."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read, self._found = read, None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="rlgrid reader", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._found = self._read()
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        """Whether `result` need not wait."""
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What was read, or the error that reading it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found


assert set(TABLES) <= {f.name for f in fields(Snapshot)}


def wanted(state: State, dragging: bool = False) -> tuple[str, ...] | None:
    """The tables that are seen at present, in a world that is so large that this matters; None is all of them.

    While an agent runs at full speed these alone are computed and sent. A pinned cell is not looked into while the map
    is dragged: the press that begins a drag pins a cell for a moment.
    """
    model = state.model
    if model is None or model.num_states <= LARGE:
        return None
    found = set(LAYER_TABLES.get(state.layer, ()))
    if state.plans and (state.layer == "error" or (state.layer == "td" and not state.in_place)):
        found.discard("q_values")  # a planner's values say it
    if state.pinned is not None and not dragging:
        found |= set(INSPECTED[state.unit])
    rows, columns = shape_of(model)
    if state.arrows and state.view.zoom / max(rows, columns) > 1 / ARROWS:
        found.add("greedy")
    return tuple(sorted(found))


def _none(names: Iterable[str]) -> Any:
    return dict.fromkeys(names)
