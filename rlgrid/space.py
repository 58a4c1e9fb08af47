"""Search spaces: which values of which arguments a search tries, as data.

    learning_rate=log:1e-4:1e-1       a number between two others, evenly on a logarithmic scale
    exploration_fraction=0.1:0.9      the same, evenly
    exploration_final_eps=0:0.2:0.05  in steps
    n_steps=int:1:8                   a whole number; int:32:256:32 in steps, log:int:1:1024 logarithmically
    double_q=true|false               one of several values, each a Python literal, or text where it is none
    policy_kwargs.net_arch=[64]|[64,64]   a part of an argument that is a dict

In Python and in a TOML or YAML file a list is the values to choose from, and a text is one of these. Nothing is
evaluated.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlgrid.runs import run_key
from rlgrid.training import RunError, check_hyperparameters, hyperparameters_of, nearest

MOST_GRID = 100_000  # trials of a grid
MOST_BYTES = 1 << 20  # of a file
DIGITS = 6  # of a number that was drawn: more tell nothing apart, and settings are read by people
FORMS = "low:high, log:low:high, int:low:high, or value|value"

_WORDS = {"true": True, "false": False, "none": None, "null": None}
_FLAGS = ("log", "int")

Params = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``step`` apart where there is one, whole where asked for."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None

    def __str__(self) -> str:
        flags = [flag for flag, holds in zip(_FLAGS, (self.log, self.whole), strict=True) if holds]
        return ":".join([*flags, *(f"{number!r}" for number in (self.low, self.high, self.step) if number is not None)])

    @property
    def size(self) -> float:
        """How many values there are; infinite without steps."""
        if self.step is not None:
            return 1 + math.floor((self.high - self.low) / self.step + 1e-9)
        return 1 + self.high - self.low if self.whole else math.inf

    def at(self, share: float) -> Any:
        """The value below which so large a share of the range lies, 0 to 1."""
        if self.log:
            edge = 0.5 if self.whole else 0.0  # so that each whole number has its part of the scale
            low, high = math.log(self.low - edge), math.log(self.high + edge)
            return self.fit(math.exp(low + share * (high - low)))
        if math.isfinite(self.size):
            step = 1 if self.step is None else self.step
            return self.fit(self.low + min(int(share * self.size), self.size - 1) * step)
        return self.fit(self.low + share * (self.high - self.low))

    def spread(self, points: int) -> list[Any]:
        """All values where there are steps, else so many at equal distances, both ends among them."""
        if self.step is not None:
            return [self.fit(self.low + i * self.step) for i in range(int(self.size))]
        if self.size <= points:
            return list(range(int(self.low), int(self.high) + 1))
        shares = [i / max(points - 1, 1) for i in range(points)]
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            found = [self.fit(math.exp(low + share * (high - low))) for share in shares]
        else:
            found = [self.fit(self.low + share * (self.high - self.low)) for share in shares]
        return list(dict.fromkeys(found))

    def fit(self, value: float) -> Any:
        """A value of this range: whole, or with `DIGITS` digits, and never outside."""
        if self.whole:
            return int(min(max(round(value), self.low), self.high))
        return float(min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high))


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return "|".join(json.dumps(value) for value in self.values)

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.values)

    def at(self, share: float) -> Any:
        """The value below which so large a share of the list lies, 0 to 1."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def spread(self, points: int) -> list[Any]:
        """All values."""
        return list(self.values)


Dimension = Range | Choice
Space = dict[str, Dimension]

# Spaces of agents for which none is given: those of these arguments that the agent has, where its default is a number.
USUAL: dict[str, str] = {
    "learning_rate": "log:0.01:1.0",
    "exploration_fraction": "0.1:0.9",
    "exploration_final_eps": "0.0:0.2",
    "n_steps": "log:int:1:16",
    "lam": "0.0:0.99",
    "planning_steps": "log:int:1:50",
    "kappa": "log:1e-05:0.01",
    "threshold": "log:1e-06:0.01",
    "visits_to_know": "log:int:1:100",
    "bonus_scale": "log:0.0001:1.0",
    "prior_transitions": "log:0.01:10.0",
}
USUAL_OF: dict[str, dict[str, str]] = {
    "dqn": {
        "learning_rate": "log:0.0001:0.01",
        "batch_size": "32|64|128",
        "exploration_fraction": "0.1:0.9",
        "exploration_final_eps": "0.0:0.2",
        "train_freq": "1|4",
        "n_steps": "int:1:5",
        "policy_kwargs.net_arch": "[64]|[64, 64]|[128, 128]",
    },
    "recurrent_dqn": {
        "policy": "MlpLstmPolicy|MlpGruPolicy",
        "learning_rate": "log:0.0003:0.01",
        "batch_size": "8|16|32",
        "exploration_fraction": "0.1:0.9",
        "exploration_final_eps": "0.0:0.2",
        "train_freq": "1|4",
        "n_steps": "int:1:5",
        "sequence_length": "16|32|64",
        "burn_in": "0|8",
    },
}


def usual_space(name: str, kind: Any) -> Space:
    """The space of an agent for which none is given.

    Raises:
        ValueError: where none is usual.
    """
    texts = USUAL_OF.get(name)
    if texts is None:
        defaults = hyperparameters_of(kind)
        texts = {key: text for key, text in USUAL.items() if isinstance(defaults.get(key), int | float)}
    if not texts:
        raise ValueError(f"{name} has no usual search space: give one, as in space={{'gamma': '0.9:0.99'}}")
    return {key: parse_dimension(key, text) for key, text in texts.items()}


# --- reading ----------------------------------------------------------------------------------------------------------


def parse_words(words: Iterable[str]) -> dict[str, str]:
    """``name=text`` words as a dict.

    Raises:
        RunError: for a word of another form, and a name that is there twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not text or not all(part.isidentifier() for part in name.split(".")):
            raise RunError(f"--space {word!r} is not of the form name=values, as in learning_rate=log:1e-4:1e-1")
        if name in found:
            raise RunError(f"--space has {name} twice: give its values once")
        found[name] = text
    return found


def read_space(path: str | Path) -> dict[str, Any]:
    """The search space of a TOML or YAML file: its table ``space``, or the whole file where it has none.

    Raises:
        FileNotFoundError: if there is no such file.
        RunError: naming the file and what is wrong with it.
    """
    source = Path(path)
    if source.stat().st_size > MOST_BYTES:
        raise RunError(f"{source} is larger than {MOST_BYTES:,} bytes: it is no search space")
    if source.suffix.lower() == ".toml":
        try:
            document: Any = tomllib.loads(source.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RunError(f"{source} is not a TOML file: {error}") from error
    elif source.suffix.lower() in {".yml", ".yaml"}:
        from rlgrid.zoo import load_mapping

        document = load_mapping(source)
    else:
        raise RunError(f"{source} must end in .toml, .yml or .yaml")
    space = document.get("space", document)
    if not isinstance(space, dict) or not space or not all(isinstance(name, str) for name in space):
        raise RunError(f'{source} must hold arguments and their values, as in learning_rate = "log:1e-4:1e-1"')
    return dict(_flat(space))


def _flat(space: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Tables in tables as dotted names."""
    for name, value in space.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def space_of(given: Mapping[str, Any]) -> Space:
    """A search space from its description: a text or a list of values for each argument.

    Raises:
        TypeError, ValueError: naming the argument and what is wrong.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"space must be a dict of arguments and their values, not {given!r}")
    if not given:
        raise ValueError("space is empty: give it an argument, as in {'learning_rate': 'log:1e-4:1e-1'}")
    found: Space = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise TypeError(f"space must be a dict of names, not of {name!r}")
        if isinstance(value, Range | Choice):
            found[name] = _checked(name, value)
        elif isinstance(value, str):
            found[name] = parse_dimension(name, value)
        elif isinstance(value, Iterable) and not isinstance(value, Mapping | bytes):
            found[name] = _checked(name, Choice(tuple(value)))
        else:
            raise TypeError(f"space {name!r} must be {FORMS}, or a list of values, not {value!r}")
    return found


def plain_space(space: Space) -> dict[str, Any]:
    """A search space as JSON has it; `space_of` reads it back."""
    return {name: list(one.values) if isinstance(one, Choice) else str(one) for name, one in space.items()}


def parse_dimension(name: str, text: str) -> Dimension:
    """One argument's values from their text.

    Raises:
        ValueError: naming the argument and what is wrong.
    """
    parts = _split(text)
    if len(parts) > 1:
        return _checked(name, Choice(tuple(_literal(part) for part in parts)))
    words = [word.strip() for word in text.split(":")]
    flags = set(itertools.takewhile(lambda word: word in _FLAGS, words))
    numbers = [_number(word) for word in words[len(flags) :]]
    if len(numbers) not in (2, 3) or any(number is None for number in numbers):
        odd = next((w for w, n in zip(words[len(flags) :], numbers, strict=True) if n is None), None)
        hint = "" if odd is None else f" ({odd!r} is no number{nearest(odd, _FLAGS)})"
        remedy = f"one value alone is a setting: {name}:{text}" if len(words) == 1 else f"write {FORMS}"
        raise ValueError(f"space {name}={text} is not understood{hint}: {remedy}")
    low, high, *step = numbers
    whole = "int" in flags
    if whole and any(number != int(number or 0) for number in numbers):
        raise ValueError(f"space {name}={text} has int: its numbers must be whole")
    kind: Any = int if whole else float
    return _checked(name, Range(kind(low), kind(high), "log" in flags, whole, kind(step[0]) if step else None))


def _split(text: str) -> list[str]:
    """A text at its ``|``, but for those in brackets and quotes."""
    parts, depth, quote, begin = [], 0, "", 0
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "|" and depth == 0:
            parts.append(text[begin:i])
            begin = i + 1
    return [*parts, text[begin:]]


def _literal(text: str) -> Any:
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _checked(name: str, one: Dimension) -> Dimension:
    """A dimension that can be searched, or an error that names it."""
    if isinstance(one, Choice):
        values = tuple(_plain(name, value) for value in one.values)
        if not values or "" in values:
            raise ValueError(f"space {name} has an empty value: write value|value")
        seen: set[str] = set()
        for value in values:
            if run_key({"": value}) in seen:
                raise ValueError(f"space {name} has the value {value!r} twice")
            seen.add(run_key({"": value}))
        if len(values) < 2:
            raise ValueError(f"space {name} has one value alone: make it a setting, {name}:{values[0]}")
        return Choice(values)
    if not -math.inf < one.low < one.high < math.inf:
        raise ValueError(f"space {name}={one}: the first number must lie below the second, and both be finite")
    if one.log and one.low <= 0:
        raise ValueError(f"space {name}={one}: a logarithmic range must begin above 0")
    if one.step is not None and (one.log or not 0 < one.step <= one.high - one.low):
        said = "a logarithmic range has no steps" if one.log else "the step must lie between 0 and the whole range"
        raise ValueError(f"space {name}={one}: {said}")
    return one


def _plain(name: str, value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise TypeError(f"space {name} must have numbers, texts, lists and dicts as values, not {value!r}") from error


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_of(fixed: Mapping[str, Any], params: Mapping[str, Any]) -> Params:
    """The agent's arguments: those that are fixed, and ``params``, of which a dotted name is a part of a dict."""
    found: Params = dict(fixed)
    for name, value in params.items():
        head, _, part = name.partition(".")
        if part:
            found[head] = settings_of(found.get(head) or {}, {part: value})
        else:
            found[name] = value
    return found


def check_names(kind: Any, title: str, space: Space, fixed: Mapping[str, Any]) -> None:
    """Raise a ValueError for an argument of the space that the agent does not have, or that is settled already."""
    known = hyperparameters_of(kind)
    for name in space:
        head, _, part = name.partition(".")
        if head not in known and "policy_kwargs" in known and not part:
            raise RunError(
                f"{title} has no hyperparameter {name!r}{nearest(name, known)}; parts of the network are named "
                f"policy_kwargs.{name} (it has: {', '.join(known)})"
            )
        check_hyperparameters(kind, title, [head])
        inside: Any = fixed
        for word in name.split("."):
            if not isinstance(inside, Mapping):
                raise ValueError(f"{name} is searched, so the setting {head} must be a dict, not {fixed[head]!r}")
            if word not in inside or inside[word] is None:
                break
            inside = inside[word]
        else:
            raise ValueError(f"{name} stands in the settings and in the space: leave it in one of them")
        clash = next((other for other in space if other.startswith(f"{name}.")), None)
        if clash is not None:
            raise ValueError(f"{name} and its part {clash} are both in the space: leave one of them")


def trial_values(space: Space, fixed: Mapping[str, Any]) -> Iterator[tuple[str, Any, list[Params]]]:
    """What has to be tried before a search: (argument, value, settings that have it), each with two others beside it.

    The others are all at their beginning, or all at their end: a value is wrong only if it is with both.
    """
    corners = [{name: one.at(share) for name, one in space.items()} for share in (0.0, 1.0)]
    for name, one in space.items():
        values = one.values if isinstance(one, Choice) else (one.at(0.0), one.at(0.381966), one.at(1.0))
        for value in values:
            yield name, value, [settings_of(fixed, corner | {name: value}) for corner in corners]


def size_of(space: Space) -> float:
    """How many settings there are; infinite where a range has no steps."""
    return math.prod(one.size for one in space.values())


def grid_of(space: Space, points: int) -> list[Params]:
    """All combinations, the last argument changing fastest; ranges without steps are taken at ``points`` places.

    Raises:
        ValueError: where they are more than `MOST_GRID`.
    """
    axes = {name: one.spread(points) for name, one in space.items() if _listable(name, one)}
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_GRID:
        parts = " x ".join(f"{len(values)} of {name}" for name, values in axes.items())
        raise ValueError(f"the grid has {count:,} settings ({parts}), at most {MOST_GRID:,} are searched: take fewer")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _listable(name: str, one: Dimension) -> bool:
    if isinstance(one, Range) and one.step is not None and one.size > MOST_GRID:
        raise ValueError(f"space {name}={one} has {one.size:,} steps, at most {MOST_GRID:,} are searched: widen them")
    return True
