"""What is seen of many copies of a world: their observations at once, and their frames.

Each model has an `Observer` of its own, since its map may be seen; a map is drawn once for all copies that are in it.
Where each copy has a map of its own, what is seen of the maps lies in one array, from which all are observed at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector.utils import create_empty_array
from numpy.typing import NDArray

from rlgrid.envs.copies import Copies, GeneratedCopies, ScheduledCopies
from rlgrid.envs.observations import Observer, observer, observers
from rlgrid.envs.scene import Scene, scene_of
from rlgrid.envs.tables import Model

_KEPT_BYTES = 1 << 26  # of pictures of maps
_BLIND = ("index", "one_hot")  # kinds of observation that do not depend on the map; nor do coordinates of grids


class Views:
    """The views of copies.

    Args:
        copies: which model each copy is in.
        scene: how states are shown where the model is not a grid.
        seeing: the further arguments of `rlgrid.envs.observations.observer`, theme and cell_size among them.
    """

    def __init__(self, copies: Copies, scene: Scene | None, seeing: dict[str, Any]) -> None:
        self._copies, self._scene, self._seeing = copies, scene, seeing
        self._observers: dict[int, tuple[Model, Observer]] = {}  # number of a model: it, and how it is seen
        self._maps: dict[Any, NDArray[np.uint8]] = {}  # a model: its picture without the agent
        self._grounds: NDArray[Any] | None = None  # [num_envs, ...], of maps that are made anew
        if isinstance(copies, ScheduledCopies):
            self._observers = dict(enumerate(zip(copies.models, observers(copies.models, scene, seeing), strict=True)))

    def observer(self, number: int = 0) -> Observer:
        """How the states of a model are seen, by the number of the model."""
        model = self._copies.models[number]
        kept = self._observers.get(number)
        if kept is None or kept[0] is not model:
            kept = self._observers[number] = (model, self._made(model))
        return kept[1]

    def _made(self, model: Model) -> Observer:
        return observer(model, scene=self._scene, **self._seeing)

    def observations(self, states: NDArray[np.int64], out: Any = None, some: NDArray[np.int64] | None = None) -> Any:
        """The observations of the states (of some copies, by their numbers), in ``out`` if given."""
        first = self.observer()
        copies = self._copies
        is_blind = first.kind in _BLIND or (first.kind == "coordinates" and copies.are_grids)
        if not copies.moves or is_blind:
            return first.many_of(states, out)
        if out is None:
            out = create_empty_array(first.space, states.size)
        which = copies.which if some is None else copies.which[some]
        if isinstance(copies, GeneratedCopies) and (ground := first.ground()) is not None:
            first.many_on(self._grounds_now(copies, ground), which, states, out)
            return out
        order = np.argsort(which, kind="stable")
        numbers, begins = np.unique(which[order], return_index=True)
        for k, there in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            out[there] = self.observer(k).many_of(states[there])
        return out

    def _grounds_now(self, copies: GeneratedCopies, like: NDArray[Any]) -> NDArray[Any]:
        """What is seen of the map of every copy, in one array."""
        if self._grounds is None:
            self._grounds = np.empty((copies.which.size, *like.shape), like.dtype)
            copies.renewed.update(copies.which.tolist())
        for k in copies.renewed:
            self._grounds[k] = self._made(copies.models[k]).ground()
        copies.renewed.clear()
        return self._grounds

    def last(self, states: NDArray[np.int64], ended: NDArray[np.bool_]) -> NDArray[np.object_]:
        """The observations of the copies whose episode ended, as single environments give them, and None elsewhere."""
        some = np.flatnonzero(ended)
        batch = self.observations(states[some], some=some)
        found = np.full(ended.size, None, object)
        for i, one in zip(some.tolist(), batch.tolist() if batch.ndim == 1 else batch, strict=True):
            found[i] = one
        return found

    def frames(self, states: NDArray[np.int64]) -> tuple[NDArray[np.uint8], ...]:
        """A frame uint8 [H, W, 3] of each copy; the agent is not there where the state is negative."""
        from rlgrid.picture import draw, draw_agent

        size, theme = self._seeing["cell_size"], self._seeing["theme"]
        frames = []
        for number, state in zip(self._copies.which.tolist(), states.tolist(), strict=True):
            model, agent = self._copies.models[number], None if state < 0 else state
            scene = scene_of(model, self._scene)
            drawn, agent = (model, agent) if scene is None else scene.picture(agent)
            if drawn not in self._maps:
                if sum(frame.nbytes for frame in self._maps.values()) > _KEPT_BYTES:
                    self._maps.clear()
                self._maps[drawn] = draw(drawn, cell_size=size, theme=theme)
            frame = self._maps[drawn].copy()
            if agent is not None:
                draw_agent(frame, drawn, agent, size, theme)
            frames.append(frame)
        return tuple(frames)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}, "_grounds": None}  # quickly made again
