"""`Scene`: how the states of a world are shown."""

from __future__ import annotations

from typing import Any


class Scene:
    """How the states of a world that is not a plain grid are shown; a value that can be copied and pickled.

    Attributes:
        actions: the names of the actions.
    """

    actions: tuple[str, ...]

    def picture(self, state: int | None) -> tuple[Any, int | None]:
        """(model that is drawn, its state in which the agent is drawn) for a state; None before the first reset."""
        raise NotImplementedError

    def text(self, state: int | None) -> str:
        """The state in words or as a map, lines that end in a newline."""
        raise NotImplementedError


def scene_of(model: Any, given: Scene | None) -> Any:
    """How the states of a model are shown: ``given``, or the model itself where it knows; None for a plain grid."""
    return model if given is None and hasattr(model, "picture") else given
