"""Who is called while an agent learns, and when the next of them is due.

A callback is a function of the agent, an object with the methods of Stable-Baselines3's callbacks
(`rlgrid.callbacks`), or a list of both. A function is called after every chunk. An object is called exactly when it
is due: chunks end there. ``object.next_call()`` says at how many units that is, None for never; an object without
this method is called after every unit, as Stable-Baselines3 does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent

Callback = Callable[["Agent"], "bool | None"] | Iterable[Any] | Any

METHODS = ("init_callback", "on_training_start", "on_step", "on_training_end")


def _flat(callback: Callback) -> list[Any]:
    """One callback, none, or several in lists, as a list; functions and objects that can be called.

    Raises:
        TypeError: naming what is no callback.
    """
    if callback is None:
        return []
    if isinstance(callback, list | tuple):
        return [one for part in callback for one in _flat(part)]
    if not is_object(callback) and (isinstance(callback, type) or not callable(callback)):
        raise TypeError(
            "callback must be a function of the agent, an object with the methods of rlgrid.callbacks.BaseCallback, or "
            f"a list of them, not {callback!r}"
        )
    return [callback]


def is_object(callback: Any) -> bool:
    """True for an object with the methods of a callback; a class is none yet."""
    return not isinstance(callback, type) and all(callable(getattr(callback, name, None)) for name in METHODS)


def stops(answer: Any) -> bool:
    """True where the answer of a callback stops the run: False does, None does not."""
    return answer is not None and not answer


class Calls:
    """The callbacks of one run of ``agent.learn``."""

    def __init__(self, agent: Agent, callback: Callback) -> None:
        self._agent = agent
        each = _flat(callback)
        self._each = [(one, is_object(one)) for one in each]
        self._due: list[int | None] = [None] * len(each)

    def begin(self) -> None:
        """Tell the objects that the run begins, or goes on."""
        objects = [one for one, is_one in self._each if is_one]
        for one in objects:
            one.init_callback(self._agent)
        for one in objects:
            one.on_training_start({"self": self._agent}, {})

    def most(self, units: int) -> int:
        """At most so many units until something is due."""
        now = self._agent.num_timesteps
        for i, (one, is_one) in enumerate(self._each):
            if is_one:
                due = one.next_call() if hasattr(one, "next_call") else now + 1
                self._due[i] = None if due is None else max(due, now + 1)
        return min([units, *(due - now for due in self._due if due is not None)])

    def call(self, *, functions: bool = True) -> bool:
        """Call who is due, in their order; False where somebody wants the run to stop.

        Args:
            functions: call the functions too.
        """
        now, go_on = self._agent.num_timesteps, True
        for (one, is_one), due in zip(self._each, self._due, strict=True):
            if is_one and due is not None and now >= due:
                go_on &= not stops(one.on_step())
            elif not is_one and functions:
                go_on &= not stops(one(self._agent))
        return go_on

    def end(self) -> None:
        """Tell the objects that the run is over, or was stopped by a callback."""
        for one, is_one in self._each:
            if is_one:
                one.on_training_end()
