"""Numbers typed in place of moving a slider: a click on the number, digits, Enter.

What is typed is checked against the bounds of what it stands for, which may be wider than the slider's, and refused
with them; the field stays open then.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pygame

from rlgrid.window import numbers
from rlgrid.window.editing import MAX_SIDE
from rlgrid.window.state import Parameter, Typed

if TYPE_CHECKING:
    from rlgrid.window.app import App

MOST = 12  # characters

BOUNDS = {
    "gamma": (0.0, 1.0),
    "slip": (0.0, 0.5),
    "step_reward": (-1e6, 1e6),
    "learning_rate": (1e-9, 1.0),
    "epsilon": (0.0, 1.0),
    "tolerance": (1e-15, 10.0),
    "speed": (0.1, 1e7),
    "rows": (1, MAX_SIDE),
    "columns": (1, MAX_SIDE),
    "seed": (0, 2**31 - 1),
}
"""The least and the largest number that can be typed."""

SAID = {"speed": "The speed", "rows": "Rows", "columns": "Columns", "seed": "The seed"}
WHOLE = ("rows", "columns", "seed")


def begin(app: App, slider: str) -> None:
    """Open the field of a slider's number, with the present one in it."""
    present = _present(app, slider)
    if present is None:
        return
    app.end_tour()
    state = app.state
    state.ring, state.menu, state.tip = "", None, None
    state.typing = Typed(slider, present)


def press(app: App, key: int, modifiers: int, typed: str) -> None:
    """A key while the field is open."""
    state, field = app.state, app.state.typing
    if field is None:
        return
    there = any(control.name == f"value:{field.slider}" for control in app.scene.controls)
    if key == pygame.K_ESCAPE or not there:  # as in a panel that was put away meanwhile
        state.typing = None
    elif key in (pygame.K_RETURN, pygame.K_KP_ENTER, pygame.K_TAB):
        commit(app)
    elif key in (pygame.K_BACKSPACE, pygame.K_DELETE):
        state.typing = Typed(field.slider, "" if field.fresh else field.text[:-1], fresh=False)
    elif typed and typed.isprintable() and not modifiers & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META):
        before = "" if field.fresh else field.text
        state.typing = Typed(field.slider, (before + typed)[:MOST], fresh=False)


def leave(app: App) -> None:
    """The pointer was pressed elsewhere: what was typed holds, and what cannot be is let go."""
    field = app.state.typing
    if field is not None and not field.fresh:
        commit(app)
    app.state.typing = None


def commit(app: App) -> None:
    """Have what was typed take effect and close the field; where that is refused, say why and leave it open."""
    field = app.state.typing
    if field is None:
        return
    if field.fresh:
        app.state.typing = None
        return
    try:
        _put(app, field.slider, field.text)
    except ValueError as error:
        app.say(str(error), 6.0)
    else:
        app.state.typing = None


def _present(app: App, slider: str) -> str | None:
    """The number that a slider stands at, as it is typed; None where it has none."""
    state = app.state
    kind, _, which = slider.partition(":")
    if kind == "speed":
        return "full" if math.isinf(state.speed) else f"{state.speed:g}"
    if kind == "parameter":
        parameter = state.parameter(which)
        return None if parameter is None or not parameter.is_slider else f"{parameter.value:.10g}"
    if kind == "made":
        return None if state.making is None else f"{getattr(state.making, which)}"
    if kind == "size" and state.map_size is not None and which in ("0", "1"):
        return f"{state.map_size[int(which)]}"
    return None


def _put(app: App, slider: str, words: str) -> None:
    """Have a typed number take effect.

    Raises:
        ValueError: with what may be typed.
    """
    state = app.state
    kind, _, which = slider.partition(":")
    if kind == "speed":
        full = words.strip().lower() in ("full", "inf", "∞")
        app.set_speed(math.inf if full else _number("speed", words, SAID["speed"], ', or "full"'))
    elif kind == "parameter":
        parameter = state.parameter(which)
        if parameter is not None:
            _change(app, parameter, _number(which, words, parameter.label.rstrip(" ↓")))
    elif kind == "made" and state.making is not None:
        app.make(replace(state.making, **{which: int(_number(which, words, SAID[which]))}))
    elif kind == "size" and state.map_size is not None:
        name = ("rows", "columns")[int(which)]
        size = list(state.map_size)
        size[int(which)] = int(_number(name, words, SAID[name]))
        app.painter.resize(size[0], size[1])


def _change(app: App, parameter: Parameter, value: float) -> None:
    state = app.state
    if value != parameter.value:
        state.parameters = [replace(p, value=value) if p.name == parameter.name else p for p in state.parameters]
        app.change(parameter.name, value)


def _number(name: str, words: str, said: str, further: str = "") -> float:
    low, high = BOUNDS.get(name, (-1e6, 1e6))
    bounds = f"from {_shown(low)} to {_shown(high)}{further}"
    kind = "a whole number" if name in WHOLE else "a number"
    try:
        value = float(words.strip().replace(numbers.MINUS, "-").replace(",", "."))
    except ValueError:
        raise ValueError(f"{said} is {kind} {bounds}, not “{words.strip()}”.") from None
    if not low <= value <= high or (name in WHOLE and value != int(value)):
        raise ValueError(f"{said} is {kind} {bounds}, not {_shown(value)}.")
    return value


def _shown(value: float) -> str:
    whole = float(value).is_integer() and abs(value) < 1e12
    return (f"{int(value):,}" if whole else f"{value:g}").replace("-", numbers.MINUS)
