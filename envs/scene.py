"""`Scene`: how the states of a world are shown."""

from __future__ import annotations

from typing import Any

import numpy as np


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

    def label(self, state: int) -> str:
        """The state in a few words; empty where there are none."""
        return ""


def check_drawing(scene: Any, theme: Any, cell_size: Any) -> None:
    """Refuse what no picture can be drawn with.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """
    from rlgrid.theme import theme_of

    if scene is not None and not (hasattr(scene, "picture") and hasattr(scene, "text")):
        raise TypeError(f"scene must be a Scene, with its methods picture and text, not {scene!r}")
    theme_of(theme)
    if cell_size is None:
        return
    if isinstance(cell_size, bool) or not isinstance(cell_size, int | float | np.integer | np.floating):
        raise TypeError(f"cell_size must be a number of pixels, not {cell_size!r}")
    if not (np.isfinite(cell_size) and cell_size > 0):
        raise ValueError(f"cell_size must be a positive number of pixels, not {cell_size!r}")


def scene_of(model: Any, given: Scene | None) -> Any:
    """How the states of a model are shown: ``given``, or the model itself where it knows; None for a plain grid."""
    return model if given is None and hasattr(model, "picture") else given
