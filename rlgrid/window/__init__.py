"""The window in which agents are watched.

`scene` draws a state, `app` turns events into commands, `worker` runs `engine` in a process of its own; `launch` puts
them on a screen, or in a file. Nothing is imported before it is used: the worker starts before pygame does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlgrid.window.launch import main as play
    from rlgrid.window.launch import watch

__all__ = ["play", "watch"]


def __getattr__(name: str) -> Any:
    if name not in ("play", "watch"):
        raise AttributeError(f"module 'rlgrid.window' has no attribute {name!r}")
    from rlgrid.window.launch import main, watch

    return main if name == "play" else watch
