"""Numbers that change over a run, by names: step sizes, epsilon, temperatures.

0.1                     always 0.1
"lin_0.5"               from 0.5 to 0 in a straight line over the run; "lin_0.5_0.1" ends at 0.1
"exp_0.5_0.01"          from 0.5 to 0.01 over the run, by the same factor in each step
"step_0.5_0.1_1000"     0.5, times 0.1 after every 1,000 steps
"1/N", "0.5/N^0.8"      divided by (a power of) a number of visits: of the pair for a step size, of the state for
                        what is said of exploration (Singh, Jaakkola, Littman & Szepesvari 2000)
"""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from rlgrid.agents.base import MOST, check_number

KINDS = ("constant", "linear", "falling", "count", "exponential", "step")  # as numbered by the kernels

_NUMBER = r"\d+\.?\d*(?:e[+-]?\d+)?"
_NAMED = re.compile(rf"([a-z]+)((?:_{_NUMBER})+)", re.I)
_COUNT = re.compile(rf"({_NUMBER})/N(?:\^({_NUMBER}))?", re.I)
_WORDS = {"lin": (1, 2), "linear": (1, 2), "exp": (2,), "exponential": (2,), "step": (3,)}
_FORMS = "'lin_0.5' (falls to 0 over the run), 'lin_0.5_0.1', 'exp_0.5_0.01', 'step_0.5_0.1_1000', '1/N' or '1/N^0.8'"


class Schedule(NamedTuple):
    """A schedule as the kernels take it."""

    kind: str
    initial: float
    final: float = 1.0  # where it ends; of "step" the factor, of "count" the power of N
    every: float = 0.0  # of "step": how many steps; the others take the whole run


def parse_schedule(name: str, given: float | str, most: float = 1.0) -> Schedule:
    """A number, or a name as in the module's text.

    Args:
        name: of the argument, for errors.
        most: the numbers must lie in (0, most] at the beginning, in [0, most] at the end.

    Raises:
        TypeError, ValueError: naming what may be written.
    """
    if callable(given):
        raise TypeError(f"{name} cannot be a function: it would be called for every step. Write a number, {_FORMS}")
    if not isinstance(given, str):
        return Schedule("constant", check_number(name, given, 0.0, most, open_low=name == "learning_rate"))
    text = given.strip()
    count, named = _COUNT.fullmatch(text), _NAMED.fullmatch(text)
    if count:
        initial = check_number(name, float(count[1]), 0.0, most, open_low=True)
        power = check_number(f"the power of N in {name}", float(count[2] or 1.0), 0.0, 1.0, open_low=True)
        return Schedule("count", initial, power)
    word = named[1].lower() if named else re.split(r"[_\d]", text)[0].lower()
    numbers = [float(number) for number in named[2].split("_")[1:]] if named else []
    if len(numbers) not in _WORDS.get(word, ()):
        close = difflib.get_close_matches(word, _WORDS, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close and word not in _WORDS else ""
        raise ValueError(f"{name} {given!r} is not understood{meant}: write a number in (0, {most:g}], {_FORMS}")
    initial = check_number(name, numbers[0], 0.0, most, open_low=True)
    if word.startswith("exp"):
        return Schedule(
            "exponential", initial, check_number(f"the end of {name}", numbers[1], 0.0, most, open_low=True)
        )
    if word == "step":
        factor = check_number(f"the factor of {name}", numbers[1], 0.0, 1.0)
        return Schedule("step", initial, factor, check_number(f"the steps of {name}", numbers[2], 1.0, float(MOST)))
    if len(numbers) == 1:
        return Schedule("falling", initial, 0.0)
    return Schedule("linear", initial, check_number(f"the end of {name}", numbers[1], 0.0, most))
