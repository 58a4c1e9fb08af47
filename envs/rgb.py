"""Pictures as observations: the frames that `rlgrid.draw` makes of the states of a world."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlgrid.envs.observations import Observer, Unfit, checked_size
from rlgrid.gridmodel import GridModel
from rlgrid.layout import shape_of
from rlgrid.mdp import MDP
from rlgrid.theme import theme_of

_CELL = 8  # pixels of a cell where nobody says: the glyphs can be told apart
_LEAST = 36  # pixels of the shorter side, the least that the convolutions of Mnih et al. (2015) take
_LARGEST = 1024  # pixels of the longer side
_KEPT_BYTES = 1 << 26  # of frames that were drawn, to be copied when they are seen again


class RGBObserver(Observer):
    """The picture of a state: uint8 [H, W, 3].

    Cells have ``cell_size`` pixels; where that is None, 8 or as many as make the shorter side 36 pixels long, and
    fewer where the longer side would have more than 1024.
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
        theme_of(theme)
        self._model, self._theme = model, theme
        self._scene = model if scene is None and hasattr(model, "picture") else scene
        drawn, _ = self._picture(None)
        if getattr(drawn, "shape", None) is None:
            raise Unfit("its states are not drawn as the cells of a map")
        rows, columns = shape_of(drawn)
        if cell_size is None:
            cell_size = max(_CELL, -(-_LEAST // min(rows, columns)))
            cell_size = max(1, min(cell_size, _LARGEST // max(rows, columns)))
        elif isinstance(cell_size, bool) or not isinstance(cell_size, int | float | np.number) or not cell_size >= 1:
            raise ValueError(
                f"cell_size must be a number of pixels, at least 1 where frames are seen, not {cell_size!r}"
            )
        self._cell = float(cell_size)
        side = [int(np.ceil(count * self._cell - 0.5)) for count in (rows, columns)]
        shape = checked_size(self.kind, (side[0], side[1], 3))
        self.space = spaces.Box(0, 255, shape, np.uint8)
        self._most_frames = max(2, _KEPT_BYTES // int(np.prod(shape)))
        self._grounds: dict[int, tuple[Any, NDArray[np.uint8]]] = {}  # by drawn model, which is kept so that ids last
        self._frames: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._numbers: NDArray[np.int64] | None = None
        self.check_hides(seen)

    def _picture(self, state: int | None) -> tuple[Any, int | None]:
        if self._scene is None:
            return self._model, state
        drawn, at = self._scene.picture(state)
        return drawn, at

    def _frame(self, drawn: Any, at: int | None) -> NDArray[np.uint8]:
        """The frame of a picture, to be read: the map is drawn once, and the agent into a copy of it."""
        from rlgrid.picture import draw, draw_agent

        key = id(drawn), -1 if at is None else at
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        if len(self._grounds) + len(self._frames) + 2 > self._most_frames:
            if id(drawn) not in self._grounds:
                self._grounds.clear()
                self._frames.clear()
            elif self._frames:
                self._frames.popitem(last=False)
        if id(drawn) not in self._grounds:
            self._grounds[id(drawn)] = drawn, draw(drawn, cell_size=self._cell, theme=self._theme)
        frame = self._grounds[id(drawn)][1]
        if at is not None:
            frame = frame.copy()
            draw_agent(frame, drawn, at, self._cell, self._theme)
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
                    digest = blake2b(self._frame(drawn, at).data, digest_size=32).digest()
                    places[id(drawn), at] = known.setdefault(digest, len(known))
                numbers[state] = places[id(drawn), at]
            numbers.setflags(write=False)
            self._numbers = numbers
        return self._numbers

    def one(self, state: int) -> NDArray[np.uint8]:
        return self._frame(*self._picture(int(state))).copy()

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        for place, state in zip(out, states.tolist(), strict=True):
            place[...] = self._frame(*self._picture(state))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_grounds": {}, "_frames": OrderedDict()}  # ids are another process's
