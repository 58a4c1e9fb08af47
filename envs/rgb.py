"""Pictures as observations: the frames that `rlgrid.draw` makes of the states of a world."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlgrid.envs.observations import Observer, Unfit, checked_size
from rlgrid.envs.scene import check_drawing, scene_of
from rlgrid.gridmodel import GridModel
from rlgrid.layout import shape_of
from rlgrid.mdp import MDP

_CELL = 8  # pixels of a cell where nobody says: the glyphs can be told apart
_LEAST = 36  # pixels of the shorter side, the least that the convolutions of Mnih et al. (2015) take
_LARGEST = 1024  # pixels of the longer side
_KEPT_BYTES = 1 << 26  # of frames that were drawn, to be copied when they are seen again; and of maps
_DRAWING = Lock()  # observers are shared, and what they keep is looked up and thrown away in several steps


class RGBObserver(Observer):
    """The picture of a state: uint8 [H, W, 3].

    Cells have ``cell_size`` pixels; where that is None, 8 or as many as make the shorter side 36 pixels long, and
    fewer, but one at least, where the longer side would have more than 1024.
    """

    kind = "rgb"

    def __init__(
        self,
        model: GridModel | MDP,
        seen: NDArray[np.int64] | None,
        *,
        scene: Any = None,
        cell_size: float | None = None,
        theme: str = "dark",
    ) -> None:
        super().__init__(model)
        check_drawing(scene, theme, cell_size)
        self._model, self._theme = model, theme
        self._scene = scene_of(model, scene)
        drawn, _ = self._picture(None)
        if getattr(drawn, "shape", None) is None:
            raise Unfit("its states are not drawn as the cells of a map")
        rows, columns = shape_of(drawn)
        if cell_size is None:
            cell_size = max(_CELL, -(-_LEAST // min(rows, columns)))
            cell_size = max(1, min(cell_size, _LARGEST // max(rows, columns)))
        elif cell_size < 1:
            raise ValueError(f"cell_size must be at least 1 where frames are seen, not {cell_size!r}")
        self._cell = float(cell_size)
        side = [int(np.ceil(count * self._cell - 0.5)) for count in (rows, columns)]
        remedy = ": choose a smaller cell_size" if self._cell > 1 else ""
        shape = checked_size((side[0], side[1], 3), remedy=remedy)
        self.space = spaces.Box(0, 255, shape, np.uint8)
        self._bytes = int(np.prod(shape))
        self._grounds: dict[int, tuple[Any, NDArray[np.uint8]]] = {}  # by drawn model, which is held so that ids last
        self._frames: OrderedDict[tuple[int, int | None], NDArray[np.uint8]] = OrderedDict()  # of a large world
        self._table: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None = None  # of a small one, and which are there
        self._numbers: NDArray[np.int64] | None = None
        self.check_hides(seen)

    def _picture(self, state: int | None) -> tuple[Any, int | None]:
        if self._scene is None:
            return self._model, state
        drawn, at = self._scene.picture(state)
        return drawn, at

    def _ground(self, drawn: Any) -> NDArray[np.uint8]:
        """The picture of a drawn model without the agent, to be read."""
        from rlgrid.picture import draw

        if id(drawn) not in self._grounds:
            if (len(self._grounds) + 1) * self._bytes > _KEPT_BYTES:
                self._grounds.clear()
                self._frames.clear()  # whose keys are of drawn models that are no longer held
            self._grounds[id(drawn)] = drawn, draw(drawn, cell_size=self._cell, theme=self._theme)
        return self._grounds[id(drawn)][1]

    def _made(self, drawn: Any, at: int | None) -> NDArray[np.uint8]:
        """A frame: the map is drawn once, and the agent into a copy of it."""
        from rlgrid.picture import draw_agent

        frame = self._ground(drawn).copy()
        if at is not None:
            draw_agent(frame, drawn, at, self._cell, self._theme)
        return frame

    def _frame(self, drawn: Any, at: int | None) -> NDArray[np.uint8]:
        """A frame of a large world, to be read; the last ones are kept."""
        key = id(drawn), at
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        frame = self._made(drawn, at)
        if (len(self._frames) + 1) * self._bytes > _KEPT_BYTES and self._frames:
            self._frames.popitem(last=False)
        self._frames[key] = frame
        return frame

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        """Frames that differ are numbered in the order of the first state that has them."""
        if self._scene is None:
            return None  # one cell a state
        if self._numbers is None:
            known: dict[bytes, int] = {}
            places: dict[tuple[int, int | None], int] = {}
            held: dict[int, Any] = {}  # so that no other drawn model gets the id of one that was met
            numbers = np.empty(self.num_states, np.int64)
            for state in range(self.num_states):
                drawn, at = self._picture(state)
                held[id(drawn)] = drawn
                if (id(drawn), at) not in places:
                    with _DRAWING:
                        digest = blake2b(self._made(drawn, at).data, digest_size=32).digest()
                    places[id(drawn), at] = known.setdefault(digest, len(known))
                numbers[state] = places[id(drawn), at]
            numbers.setflags(write=False)
            self._numbers = numbers
        return self._numbers

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        with _DRAWING:
            self._take(states, out)

    def _take(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        if self.num_states * self._bytes > _KEPT_BYTES:
            for place, state in zip(out, states.tolist(), strict=True):
                place[...] = self._frame(*self._picture(state))
            return
        if self._table is None:
            self._table = np.empty((self.num_states, *self._shape), np.uint8), np.zeros(self.num_states, np.bool_)
        frames, there = self._table
        for state in np.unique(states[~there[states]]).tolist():
            frames[state] = self._made(*self._picture(state))
            there[state] = True
        np.take(frames, states, axis=0, out=out, mode="clip")  # "raise" would take a copy first

    def __getstate__(self) -> dict[str, Any]:
        # Ids are another process's, and frames are quickly drawn.
        return {**self.__dict__, "_grounds": {}, "_frames": OrderedDict(), "_table": None}
