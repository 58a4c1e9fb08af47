"""The walker between two snapshots: it glides through every cell that it passed, and jumps only where it was sent."""

from __future__ import annotations

from rlgrid.layout import cell_of
from rlgrid.window.pacing import WALK
from rlgrid.window.state import Snapshot, State

Spot = tuple[float, float]


class Motion:
    """Sets ``walker_at`` and ``behind`` of a state as time goes by."""

    def __init__(self) -> None:
        self._way: list[Spot] = []  # cells that the walker still has to glide to
        self._leg: tuple[Spot, float] = ((0.0, 0.0), 0.0)  # where and when it left for the first of them

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return bool(self._way)

    def follow(self, state: State, old: Snapshot, shot: Snapshot, now: float) -> None:
        """Let the walker glide along the states that it has passed since the last snapshot, if they are few."""
        if shot.walker is None or state.model is None:
            state.walker_at, state.behind, self._way = None, 0, []
            return
        if shot.trail == old.trail and shot.walker == old.walker:
            return
        new = appended(old.trail, shot.trail)
        few = new is not None and 0 < len(new) <= 3
        cells = [cell_of(state.model, s) for s in new or ()] if few and _pace(state, shot) <= 2 * WALK else []
        path = [*self._way, *((float(row), float(column)) for row, column in cells)] if cells else []
        before = state.walker_at
        for spot in path:
            if before is None or max(abs(before[0] - spot[0]), abs(before[1] - spot[1])) > 2.5:
                path = []
                break
            before = spot
        if not path or len(path) > 4:
            row, column = cell_of(state.model, shot.walker)
            state.walker_at, self._way = (float(row), float(column)), []
        else:
            if not self._way:
                self._leg = (state.walker_at or path[0], now)
            self._way = path
        state.behind = len(self._way)

    def advance(self, state: State, now: float) -> None:
        """Move the walker to where it is now."""
        while self._way:
            start, began = self._leg
            takes = 0.9 / max(_pace(state, state.snapshot), WALK) / len(self._way)
            part = (now - began) / takes if takes > 0 else 1.0  # at full speed it is there at once
            target = self._way[0]
            if part < 1.0:
                eased = part * part * (3 - 2 * part)
                state.walker_at = (
                    start[0] + (target[0] - start[0]) * eased,
                    start[1] + (target[1] - start[1]) * eased,
                )
                break
            state.walker_at, self._leg = target, (target, began + takes)
            self._way = self._way[1:]
        state.behind = len(self._way)


def _pace(state: State, shot: Snapshot) -> float:
    """Steps a second of what is seen walking."""
    return state.speed if shot.follows_learner and state.playing else WALK


def appended(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...] | None:
    """What ``new`` has beyond ``old``, both being the ends of one walk; None if they are of different walks."""
    for extra in range(min(4, len(new)) + 1):
        kept = new[: len(new) - extra]
        if kept and old[-len(kept) :] == kept:
            return new[len(new) - extra :]
    return None
