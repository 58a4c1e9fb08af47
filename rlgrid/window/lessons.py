"""Lessons: guided scenes that ask the viewer to predict, then show what happens.

A lesson is a TOML file in `rlgrid/lessons`. It names a world and an agent, and its scenes follow one another:

    title = "..."
    about = "Sutton & Barto (2018), section 4.4"      # where the matter comes from
    world = "rlgrid/FourRooms-v0"
    agent = "value_iteration"

    [[scenes]]
    do = [["layer", "values"]]                        # commands before anything is said
    say = "..."
    ask = "..."                                       # with choices and the number of the right one, from 1
    choices = ["...", "..."]
    answer = 2
    show = [["run", 20]]                              # commands after the viewer has chosen
    then = "..."
    marks = [["goal", 11, 10]]                        # cells that are framed, with a word on them or ""
    points = ["regret"]                               # curves that the text at the end is about
    claims = [{ fact = "cells_above", of = 0.0, is = 3 }]

The commands are those of `COMMANDS`, the facts those of `FACTS`. The tests check every claim: what a lesson says will
happen is what happens, to the bit, since agents with a seed and commands at counted steps leave nothing to chance.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from rlgrid.atomic import read_plain
from rlgrid.layout import cell_of, state_at
from rlgrid.window.actors import outcomes_of
from rlgrid.window.arithmetic import names_of
from rlgrid.window.engine import Engine
from rlgrid.window.scenario import Scenario

MOST_BYTES = 1 << 20  # of a file
MOST_STEPS = 10**6  # of one command
MOST_EPISODES = 10_000
LONGEST_PATH = 10_000  # cells of a greedy path that are followed
TOLERANCE = 1e-9  # of "is" where a claim has no "within" of its own

_Number = (int, float)

COMMANDS: dict[str, tuple[tuple[str, Any], ...]] = {
    "agent": (("name", str), ("settings", dict)),
    "world": (("id", str),),
    "run": (("units", int), ("units a second", _Number)),
    "episodes": (("number", int),),
    "change": (("name", str), ("value", _Number)),
    "reset": (),
    "layer": (("name", str),),
    "curves": (("names", list),),
    "pin": (("row", int), ("column", int)),
    "unpin": (),
}
"""Commands of scenes, each with the names and types of its arguments; the last ones may be left out."""

_OPTIONAL = {"agent": 1, "run": 1}

Command = tuple[Any, ...]


class LessonError(ValueError):
    """A lesson that cannot be given; the message names the file, the scene and what is wrong."""


@dataclass(frozen=True)
class Claim:
    """A fact of the run and what must be true of it: above, below or equal to a number (or a word, of arrows)."""

    fact: str
    arguments: Mapping[str, Any]
    relation: str  # "above", "below" or "is"
    number: float | str
    within: float = TOLERANCE

    def holds(self, value: Any) -> bool:
        """Whether a value of the fact is as claimed."""
        if isinstance(self.number, str):
            return bool(value == self.number)
        value = float(value)
        if self.relation == "above":
            return bool(value > self.number)
        if self.relation == "below":
            return bool(value < self.number)
        return bool(abs(value - self.number) <= self.within)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        tail = f" within {self.within:g}" if self.relation == "is" and self.within != TOLERANCE else ""
        return f"{self.fact}({given}) {self.relation} {self.number}{tail}"


@dataclass(frozen=True)
class Scene:
    """One step of a lesson; without a question there are no choices, and ``show`` is run at once."""

    say: str
    ask: str = ""
    choices: tuple[str, ...] = ()
    answer: int = 0  # from 1; 0 where nothing is asked
    do: tuple[Command, ...] = ()
    show: tuple[Command, ...] = ()
    then: str = ""
    marks: tuple[tuple[str, int, int], ...] = ()  # (words, row, column)
    points: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A lesson as its file says it."""

    name: str
    title: str
    about: str
    world: str
    agent: str
    scenes: tuple[Scene, ...]
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    text: str = field(default="", compare=False, repr=False)  # of a file of one's own, which sessions keep

    def scenario(self) -> Scenario:
        """What is loaded at the beginning."""
        return Scenario(world=self.world, agent=self.agent, seed=self.seed, settings=dict(self.settings))


# --- reading ----------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """The lessons of the package, in the order in which they are best taken."""
    files = (entry.name for entry in resources.files("rlgrid.lessons").iterdir() if entry.name.endswith(".toml"))
    return [name.removesuffix(".toml") for name in sorted(files)]


def lesson(name: str) -> Lesson:
    """A lesson of the package by its name (with or without its number), or of a .toml file.

    Raises:
        LessonError: if there is none of that name, or the file is not a lesson.
        OSError: if a file cannot be read.
    """
    if name.endswith(".toml"):
        text = _text(Path(name))
        return replace(read(text, Path(name).stem), text=text)
    known = names()
    found = next((known_name for known_name in known if name in (known_name, known_name.partition("-")[2])), None)
    if found is None:
        short = [known_name.partition("-")[2] for known_name in known]
        near = difflib.get_close_matches(name, short, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(short)}"
        raise LessonError(f"no lesson is called {name!r}; {hint}")
    return read((resources.files("rlgrid.lessons") / f"{found}.toml").read_text(encoding="utf-8"), found)


def _text(path: Path) -> str:
    if not path.exists():
        raise LessonError(f"there is no lesson file {path}; the lessons that come along have names without .toml")
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise LessonError(f"{path} is larger than any lesson: {MOST_BYTES >> 10} KiB at most")
    try:
        return read_plain(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise LessonError(f"{path} is no text in UTF-8, which lessons are written in: {error.reason}") from None
    except ValueError as error:
        raise LessonError(str(error)) from None


def read(text: str, name: str) -> Lesson:
    """A lesson from its text.

    Raises:
        LessonError: which names the scene and the entry that is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LessonError(f"{name}: {error}") from None
    except RecursionError:
        raise LessonError(f"{name}: brackets are nested too deeply: no entry of a lesson needs that") from None
    where = name
    _only(data, ("title", "about", "world", "agent", "seed", "settings", "scenes"), where)
    scenes = data.get("scenes")
    if not isinstance(scenes, list) or not scenes:
        raise LessonError(f"{where}: a lesson needs [[scenes]]")
    seed, settings = data.get("seed", 0), data.get("settings", {})
    if type(seed) is not int or seed < 0:
        raise LessonError(f"{where}: seed is {seed!r} and must be an integer from 0 on")
    if not isinstance(settings, dict):
        raise LessonError(f"{where}: settings must be a table")
    words = {key: _word(data, key, where) for key in ("title", "about", "world", "agent")}
    _check_agent(words["agent"], where)
    told = tuple(_scene(scene, f"{where}, scene {number}") for number, scene in enumerate(scenes, 1))
    return Lesson(name, words["title"], words["about"], words["world"], words["agent"], told, seed, settings)


def _scene(data: Any, where: str) -> Scene:
    if not isinstance(data, dict):
        raise LessonError(f"{where}: a scene is a table")
    _only(data, ("say", "ask", "choices", "answer", "do", "show", "then", "marks", "points", "claims"), where)
    ask = _word(data, "ask", where, default="")
    choices, answer = data.get("choices", []), data.get("answer", 0)
    if bool(ask) != bool(choices):
        raise LessonError(f"{where}: a question goes with choices, and choices with a question")
    if ask and not (2 <= len(choices) <= 5 and all(isinstance(choice, str) for choice in choices)):
        raise LessonError(f"{where}: choices must be two to five texts")
    if type(answer) is not int or answer not in (range(1, len(choices) + 1) if ask else (0,)):
        raise LessonError(f"{where}: answer is {answer!r} and must be the number of a choice, from 1")
    return Scene(
        say=_word(data, "say", where),
        ask=ask,
        choices=tuple(choices),
        answer=answer,
        do=_commands(data.get("do", []), f"{where}, do"),
        show=_commands(data.get("show", []), f"{where}, show"),
        then=_word(data, "then", where, default=""),
        marks=tuple(_mark(mark, f"{where}, marks") for mark in _array(data.get("marks", []), f"{where}, marks")),
        points=_words(data.get("points", []), f"{where}, points"),
        claims=tuple(_claim(claim, f"{where}, claims") for claim in _array(data.get("claims", []), f"{where}, claims")),
    )


def _commands(data: Any, where: str) -> tuple[Command, ...]:
    found = []
    for entry in _array(data, where):
        if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
            raise LessonError(f"{where}: a command is an array that begins with its name, not {entry!r}")
        name, *given = entry
        if name not in COMMANDS:
            raise LessonError(f"{where}: no command is called {name!r}{_near(name, COMMANDS)}")
        wanted = COMMANDS[name]
        if not len(wanted) - _OPTIONAL.get(name, 0) <= len(given) <= len(wanted):
            told = ", ".join(argument for argument, _ in wanted) or "nothing"
            raise LessonError(f"{where}: {name!r} takes {told}, not {given!r}")
        for value, (argument, kind) in zip(given, wanted, strict=False):
            if not isinstance(value, kind) or isinstance(value, bool):
                raise LessonError(f"{where}: {argument} of {name!r} is {value!r}")
        if name in ("run", "episodes") and not 1 <= given[0] <= (MOST_STEPS if name == "run" else MOST_EPISODES):
            raise LessonError(f"{where}: {name!r} takes a number from 1 on, not {given[0]!r}")
        if name == "agent":
            _check_agent(given[0], where)
        found.append((name, *given))
    return tuple(found)


def _check_agent(name: str, where: str) -> None:
    from rlgrid.agents import AGENTS

    if name not in AGENTS:
        raise LessonError(f"{where}: no agent is called {name!r}{_near(name, AGENTS)}")


def _mark(data: Any, where: str) -> tuple[str, int, int]:
    if isinstance(data, list) and len(data) == 3:
        words, row, column = data
        if isinstance(words, str) and type(row) is int and type(column) is int:
            return words, row, column
    raise LessonError(f"{where}: a mark is an array of its words, a row and a column, not {data!r}")


def _words(data: Any, where: str) -> tuple[str, ...]:
    if not all(isinstance(entry, str) for entry in _array(data, where)):
        raise LessonError(f"{where}: must be an array of texts, not {data!r}")
    return tuple(data)


def _claim(data: Any, where: str) -> Claim:
    if not isinstance(data, dict):
        raise LessonError(f"{where}: a claim is a table, not {data!r}")
    fact = data.get("fact")
    if fact not in FACTS:
        raise LessonError(f"{where}: no fact is called {fact!r}{_near(str(fact), FACTS)}")
    _, takes = FACTS[fact]
    arguments = {key: value for key, value in data.items() if key in takes}
    if missing := [key for key in takes if key not in data]:
        raise LessonError(f"{where}: {fact!r} needs {', '.join(missing)}")
    _only(data, ("fact", *takes, "above", "below", "is", "within"), where)
    relations = [key for key in ("above", "below", "is") if key in data]
    if len(relations) != 1:
        raise LessonError(f"{where}: {fact!r} needs one of above, below and is")
    number = data[relations[0]]
    if not isinstance(number, int | float | str) or isinstance(number, bool):
        raise LessonError(f"{where}: {relations[0]} of {fact!r} is {number!r}")
    return Claim(fact, arguments, relations[0], number, float(data.get("within", TOLERANCE)))


def _only(data: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in known:
            raise LessonError(f"{where}: nothing is called {key!r}{_near(key, known)}")


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def _word(data: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = data.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise LessonError(f"{where}: {key} must be a text")
    return " ".join(value.split())


def _array(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise LessonError(f"{where}: must be an array")
    return data


# --- facts ------------------------------------------------------------------------------------------------------------


def _state(engine: Engine, row: int, column: int) -> int:
    state = state_at(engine.model, row, column)
    if state is None:
        raise LessonError(f"there is no state at row {row}, column {column}")
    return int(state)


def _table(engine: Engine, name: str) -> Any:
    table = getattr(engine.snapshot(), name)
    if table is None:
        raise LessonError(f"{type(engine.agent).__name__} has no {name.replace('_', ' ')} yet")
    return table


def _start(engine: Engine) -> int:
    return int(engine.model.start_states[0])


def path(engine: Engine) -> list[tuple[int, int]]:
    """The cells of the greedy path from the start, by the first greedy action and its likeliest outcome; it ends in a
    final state, where nothing is known, or where it comes back to itself."""
    greedy, state = _table(engine, "greedy"), _start(engine)
    seen = [state]
    for _ in range(LONGEST_PATH):
        if not greedy[state].any():
            break
        outcomes = outcomes_of(engine.model, state)[int(np.argmax(greedy[state]))]
        _, following, _, done = max(outcomes, key=lambda outcome: outcome[0])
        again = following in seen
        seen.append(int(following))
        state = int(following)
        if done or again:
            break
    return [cell_of(engine.model, state) for state in seen]


def _arrow(engine: Engine, row: int, column: int) -> str:
    greedy = _table(engine, "greedy")[_state(engine, row, column)]
    return " ".join(names_of(engine.model)[action] for action in np.flatnonzero(greedy))


def _mean_return(engine: Engine, last: int) -> float:
    returns = engine.agent.episode_returns[-last:]
    return float(np.mean(returns)) if returns else math.nan


def _best_return(engine: Engine) -> float:
    returns = engine.agent.episode_returns
    return float(returns.best) if returns else math.nan


def _loops(engine: Engine) -> float:
    cells = path(engine)
    return float(len(set(cells)) < len(cells))


def _largest(engine: Engine) -> float:
    q_values = _table(engine, "q_values")
    return float(np.abs(q_values[np.isfinite(q_values)]).max())


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


FACTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "count": (lambda engine: engine.snapshot().count, ()),
    "episodes": (lambda engine: len(engine.agent.episode_returns), ()),
    "value": (lambda engine, row, column: _table(engine, "values")[_state(engine, row, column)], ("row", "column")),
    "value_of_start": (lambda engine: _table(engine, "values")[_start(engine)], ()),
    "optimum_of_start": (lambda engine: _table(engine, "optimal")[_start(engine)], ()),
    "cells_above": (lambda engine, of: int((_table(engine, "values") > of).sum()), ("of",)),
    "arrows": (lambda engine: int(_table(engine, "greedy").any(axis=1).sum()), ()),
    "arrow": (_arrow, ("row", "column")),
    "visits": (lambda engine, row, column: _table(engine, "visits")[_state(engine, row, column)], ("row", "column")),
    "visits_of": (lambda engine, state: _table(engine, "visits")[state], ("state",)),
    "error_bound": (lambda engine: _or_nan(engine.snapshot().error_bound), ()),
    "error": (lambda engine: _or_nan(engine.snapshot().distance), ()),
    "regret": (lambda engine: _or_nan(engine.snapshot().regret), ()),
    "largest_q": (_largest, ()),
    "mean_return": (_mean_return, ("last",)),
    "best_return": (_best_return, ()),
    "last_episode": (lambda engine: engine.agent.episode_lengths[-1], ()),
    "path_steps": (lambda engine: len(path(engine)) - 1, ()),
    "path_passes": (lambda engine, row, column: float((row, column) in path(engine)), ("row", "column")),
    "path_loops": (_loops, ()),
}
"""What claims are about, with the names of the arguments. Numbers of the greedy policy, V* and regret are exact."""


def fact(engine: Engine, claim: Claim) -> Any:
    """The value of a claim's fact at present."""
    return FACTS[claim.fact][0](engine, **claim.arguments)


# --- giving -----------------------------------------------------------------------------------------------------------


class Headless:
    """Gives a lesson without a window, in simulated time: the engine does at once what the window shows slowly."""

    def __init__(self, told: Lesson) -> None:
        self.engine = Engine(told.scenario(), patient=True)
        self.engine.playing = False

    def obey(self, command: Command) -> None:
        """One command of a scene."""
        name, *rest = command
        engine = self.engine
        if name in ("agent", "world"):
            settings = rest[1] if name == "agent" and len(rest) > 1 else {}
            old = engine.scenario
            world, agent = (rest[0], old.agent) if name == "world" else (old.world, rest[0])
            engine.close()
            self.engine = Engine(Scenario(world=world, agent=agent, seed=old.seed, settings=settings), patient=True)
            self.engine.playing = False
        elif name == "run":
            engine.obey("step", rest[0])
        elif name == "episodes":
            for _ in range(rest[0]):
                engine.obey("episode")
        elif name in ("change", "reset"):
            engine.obey(name, *rest)

    def close(self) -> None:
        """End."""
        self.engine.close()


def check(told: Lesson) -> list[str]:
    """What a lesson claims that is not so, as sentences; an empty list is a lesson that tells the truth.

    Raises:
        LessonError, ValueError: if a command of the lesson cannot be carried out.
    """
    player = Headless(told)
    wrong = []
    try:
        for number, scene in enumerate(told.scenes, 1):
            for command in scene.do + scene.show:
                player.obey(command)
            for claim in scene.claims:
                value = fact(player.engine, claim)
                if not claim.holds(value):
                    wrong.append(f"{told.name}, scene {number}: {claim}, but it is {value}")
    finally:
        player.close()
    return wrong
