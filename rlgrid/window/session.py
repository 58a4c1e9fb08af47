"""Sessions: what was run and done in a window, as a small file that gives the same frames again wherever it is read.

A session holds the scenarios (maps written out as text), and a log: every command of a run with the count of units at
which it took effect, and every change of what is looked at (`LOOK`), all with the second at which they happened. Beside
it stands the pace: how many units were done at which second, so that a replay runs as fast as the session did.

A replay (`rlgrid.window.replay`) is a function of the file and of the window's size.

Files (``.rlgrid``) are JSON: one object, see `Session.document`. A stranger's file runs no code and is read with
limits: it names worlds, agents and their settings, which are checked as those of a checkpoint are. An environment or an
agent of a script is no plain data, so such a session cannot be saved.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlgrid.window import lessons
from rlgrid.window.inspector import SECTIONS
from rlgrid.window.lanes import check_agents
from rlgrid.window.layers import NAMED
from rlgrid.window.plots import PLOTS
from rlgrid.window.race import VERSUS
from rlgrid.window.scenario import Scenario
from rlgrid.window.view import View

if TYPE_CHECKING:
    from rlgrid.window.app import App
    from rlgrid.window.lessons import Lesson
    from rlgrid.window.state import State

FORMAT, FORMAT_VERSION, SUFFIX = "rlgrid-session", 1, ".rlgrid"

MOST_BYTES = 32 << 20  # of a file
MOST_ENTRIES = 200_000  # of a log, and of a pace
MOST_COUNT = 10**9  # units that a file may ask for
MOST_SECONDS = 6 * 3600.0  # that a session lasts
MOST_TEXT = 4 << 20  # characters of a map
LOOKS = 0.05  # seconds between two entries of what is looked at

RUN = (
    "play",
    "speed",
    "step",
    "episode",
    "update",
    "reset",
    "change",
    "restore",
    "remap",
    "drive",
    "seek",
    "until",
    "lane",
)

# What is looked at: fields of the state that are nobody's answer but the viewer's choice, and their types.
LOOK: dict[str, tuple[type, ...]] = {
    "theme": (str,),
    "layer": (str,),
    "arrows": (bool,),
    "playing": (bool,),
    "speed": (int, float),
    "hover": (int, type(None)),
    "pinned": (int, type(None)),
    "inspected": (int, type(None)),
    "drawer": (str,),
    "help": (bool,),
    "notice": (str,),
    "mode": (str,),
    "choice": (int,),
    "brush": (str,),
    "lesson": (str,),
    "lane": (int,),
    "versus": (str,),
    "section": (str,),
    "curves": (tuple,),
    "amount": (int, float),
    "scale_lock": (tuple, type(None)),
    "cursor": (tuple, type(None)),
    "view": (View,),
    "scale": (int, float),  # of letters and controls
    "size": (tuple,),  # of the window
}
SWITCHES = {
    "theme": ("dark", "light"),
    "layer": tuple(NAMED),
    "drawer": ("", "left", "right"),
    "mode": ("look", "drive", "paint"),
    "versus": VERSUS,
    "section": ("", *SECTIONS),
}


class SessionError(ValueError):
    """A file that is no session, or a session that cannot be saved or replayed, with the reason."""


@dataclass
class Session:
    """A session as it is saved.

    Attributes:
        size: (width, height) of the window in pixels at its beginning.
        log: [seconds, count, name, arguments ...] in order. "load" begins a run: scenario, whether it plays, speed;
            "look" changes what is looked at: {name: value}; "lesson" holds the name and the text of a lesson of one's
            own, the text "" of one of the package; all others are commands of `Engine.obey`.
        pace: [seconds, count] in order.
        seconds: how long it lasts.
    """

    size: tuple[int, int] = (1280, 800)
    log: list[list[Any]] = field(default_factory=list)
    pace: list[list[Any]] = field(default_factory=list)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """What the file holds.

        Raises:
            SessionError: if something in it is no plain data.
        """
        import rlgrid

        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "rlgrid": rlgrid.__version__,
            "size": list(self.size),
            "seconds": self.seconds,
            "log": self.log,
            "pace": self.pace,
        }

    def save(self, path: str | Path) -> Path:
        """Write it to a file, atomically; the suffix is added where there is none.

        Raises:
            SessionError: if an environment or an agent of a script was run in it.
            OSError: if it cannot be written.
        """
        from rlgrid.atomic import write_atomically

        target = Path(path)
        target = target if target.suffix else target.with_name(target.name + SUFFIX)
        if any(entry[2] == "load" and entry[3] is None for entry in self.log):
            raise SessionError(
                "a session with an environment or an agent of a script cannot be saved: what a script made is no plain "
                "data. Run the world as a map file, and the agent by its name"
            )
        if not self.log:
            raise SessionError("nothing was run yet")
        write_atomically(target, (json.dumps(self.document(), separators=(",", ":")) + "\n").encode())
        return target

    @classmethod
    def load(cls, path: str | Path) -> Session:
        """Read a session.

        Raises:
            FileNotFoundError: if there is no such file.
            SessionError: naming what is wrong with it.
        """
        from rlgrid.atomic import read_plain

        where = Path(path)
        if not where.exists():
            raise FileNotFoundError(f"there is no session {where}")
        if where.is_file() and where.stat().st_size > MOST_BYTES:
            raise SessionError(f"{where} is larger than any session: {MOST_BYTES >> 20} MiB at most")
        try:
            document = json.loads(read_plain(where))
        except (ValueError, RecursionError) as error:
            raise SessionError(f"{where} is no session, or is damaged: it cannot be read ({error})") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise SessionError(f"{where} is no session of rlgrid")
        if document.get("format_version") != FORMAT_VERSION:
            raise SessionError(
                f"{where} has format version {document.get('format_version')!r}; this rlgrid reads {FORMAT_VERSION}"
            )
        try:
            return _checked(document)
        except (SessionError, KeyError, TypeError, ValueError, OverflowError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise SessionError(f"{where} is no session that can be replayed: {what}") from error


# --- reading ----------------------------------------------------------------------------------------------------------


def _checked(document: dict[str, Any]) -> Session:
    size = _size(document["size"])
    seconds = _number(document["seconds"], "seconds", MOST_SECONDS)
    log, pace = document["log"], document["pace"]
    for name, rows in (("log", log), ("pace", pace)):
        if not isinstance(rows, list) or len(rows) > MOST_ENTRIES:
            raise SessionError(f"{name} must be a list of at most {MOST_ENTRIES:,} entries")
        last = 0.0
        for row in rows:
            if not isinstance(row, list) or len(row) < 2:
                raise SessionError(f"{name} has the entry {row!r:.80}")
            now = _number(row[0], "a second", MOST_SECONDS)
            if now < last:
                raise SessionError(f"{name} goes back in time, from {last:g} to {now:g} s")
            last = now
            if type(row[1]) is not int or not 0 <= row[1] <= MOST_COUNT:
                raise SessionError(f"{name} has the count {row[1]!r:.40}: it must lie in 0 to {MOST_COUNT:,}")
    if not log or log[0][2:3] != ["load"]:
        raise SessionError("it does not begin with a world")
    return Session(size, [_entry(row) for row in log], pace, seconds)


def _entry(row: list[Any]) -> list[Any]:
    """An entry of a log, its parts as they are used."""
    name, rest = row[2], row[3:]
    if name == "load":
        scenario, playing, speed = rest
        return [*row[:3], _scenario(scenario), bool(playing), _number(speed, "the speed", math.inf)]
    if name == "look":
        (looks,) = rest
        return [*row[:3], {key: _look(key, value) for key, value in dict(looks).items()}]
    if name == "lesson":
        called, text = rest
        if not isinstance(called, str) or not isinstance(text, str) or max(len(called), len(text)) > lessons.MOST_BYTES:
            raise SessionError(f"a lesson must be a name and a text of at most {lessons.MOST_BYTES:,} characters")
        return [*row[:3], lessons.read(text, called) if text else None]
    if name not in RUN:
        raise SessionError(f"it has the unknown command {name!r:.40}")
    for value in rest:
        plain = value is None or isinstance(value, bool | int | float | str)
        if not plain and not (isinstance(value, dict) and "until" in (name, *rest[1:2])):
            raise SessionError(f"the command {name} has the argument {value!r:.40}")
        if isinstance(value, str) and len(value) > MOST_TEXT:
            raise SessionError(f"the command {name} has a text of {len(value):,} characters")
    if name in ("step", "seek") and rest and isinstance(rest[0], int) and abs(rest[0]) > MOST_COUNT:
        raise SessionError(f"the command {name} asks for {rest[0]:,} units")
    return list(row)


def _size(value: Any) -> tuple[int, int]:
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(type(n) is int for n in value)):
        raise SessionError(f"the size must be two whole numbers, not {value!r:.40}")
    width, height = value
    if not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise SessionError(f"the size must lie within 64 x 64 to 7680 x 4320 pixels, not {width} x {height}")
    return width, height


def _number(value: Any, what: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= most:
        raise SessionError(f"{what} must be a number from 0 to {most:g}, not {value!r:.40}")
    return float(value)


def _look(key: str, value: Any) -> Any:
    """A value of `LOOK` as the state holds it."""
    if key not in LOOK:
        raise SessionError(f"it looks at {key!r:.40}, which nothing is called")
    if key == "size":
        return _size(value)
    if key == "scale" and (not isinstance(value, int | float) or not 0.5 <= value <= 4.0):
        raise SessionError(f"the scale of letters must lie in 0.5 to 4, not {value!r:.40}")
    if key == "view":
        view = View(**{name: float(value[name]) for name in ("zoom", "row", "column")})
        if not (math.isfinite(view.row) and math.isfinite(view.column) and 0.0 < view.zoom <= 1e6):
            raise SessionError(f"it has the view {view}")
        return view
    if key == "curves":
        if not isinstance(value, list) or len(value) > 3 or not all(name in PLOTS for name in value):
            raise SessionError(f"the curves must be at most three of {', '.join(PLOTS)}, not {value!r:.80}")
        return tuple(value)
    if isinstance(value, list):
        if len(value) != 2 or not all(isinstance(part, int | float) and abs(part) <= 1e9 for part in value):
            raise SessionError(f"{key} must be two numbers, not {value!r:.40}")
        value = tuple(value)
    allowed = LOOK[key]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise SessionError(f"{key} cannot be {value!r:.40}")
    if isinstance(value, int | float) and not isinstance(value, bool) and key != "speed" and not abs(value) <= 1e12:
        raise SessionError(f"{key} cannot be {value!r:.40}")
    if key in SWITCHES and value not in SWITCHES[key]:
        raise SessionError(f"{key} must be one of {', '.join(map(repr, SWITCHES[key]))}, not {value!r:.40}")
    if isinstance(value, str) and len(value) > 1_000:
        raise SessionError(f"{key} has {len(value):,} characters")
    return value


def written(scenario: Scenario) -> dict[str, Any] | None:
    """A scenario as plain data, its map as text; None where a script has made it."""
    from rlgrid.envs import CLASSICS, WORLDS
    from rlgrid.gridmap import GridSpec

    if scenario.pickled is not None:
        return None
    text = scenario.map_text
    if text is None and scenario.world not in CLASSICS:
        name = WORLDS[scenario.world][0] if scenario.world in WORLDS else scenario.world
        text = GridSpec.builtin(name).dump()
    world = scenario.world if scenario.world in WORLDS or scenario.world in CLASSICS else Path(scenario.world).name
    found = {
        "world": world,
        "map": text,
        "agent": scenario.agent,
        "seed": scenario.seed,
        "settings": scenario.settings,
    }
    return found | {"rivals": list(scenario.rivals)} if scenario.rivals else found


def _scenario(given: Any) -> Scenario:
    """A scenario out of a file."""
    from rlgrid.agents import AGENTS
    from rlgrid.agents.base import check_name, did_you_mean
    from rlgrid.envs import CLASSICS, WORLDS
    from rlgrid.gridmap import GridSpec

    if not isinstance(given, dict):
        raise SessionError("a run of it has no world")
    known = {"world", "map", "agent", "seed", "settings", "rivals"}
    for name in given.keys() - known:
        raise SessionError(f"a run of it has an unknown part {name!r:.40}{did_you_mean(name, known)}")
    world, text, settings, seed = given["world"], given["map"], given["settings"], given["seed"]
    if not isinstance(world, str) or len(world) > 1_000:
        raise SessionError("the name of a world must be a text of at most 1,000 characters")
    if text is None and world in CLASSICS:
        text = ""  # a world that is no map
    if not isinstance(text, str) or len(text) > MOST_TEXT:
        raise SessionError(f"a map must be a text of at most {MOST_TEXT:,} characters")
    if not isinstance(settings, dict) or type(seed) is not int or not 0 <= seed < 2**62:
        raise SessionError("settings must be names and values, and a seed a whole number of at least 0")
    agent = check_name("agent", given["agent"], AGENTS)
    rivals = tuple(given.get("rivals", ()))
    if rivals:
        check_agents((agent, *rivals))
    if world in WORLDS and GridSpec.builtin(WORLDS[world][0]).dump() == text:
        return Scenario(world, None, agent, seed, settings, rivals=rivals)
    return Scenario(world, text or None, agent, seed, settings, rivals=rivals)


def check_settings(scenario: Scenario, model: Any) -> None:
    """Refuse settings of a file that ask for far more than a file may.

    Raises:
        ValueError, TypeError
    """
    if scenario.settings:
        from rlgrid.agents import agent_class
        from rlgrid.envs.gridworld import from_map

        agent_class(scenario.agent).check_file_settings(from_map(model=model), scenario.settings)


# --- writing ----------------------------------------------------------------------------------------------------------


class Recorder:
    """Writes a session down while a window is used: it is told of runs and commands, and looks at the state itself."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._began = app.clock()
        self._looks: dict[str, Any] = {}
        self._looked = -math.inf
        self._paced = -math.inf
        self.session = Session(app.size)
        self._own_lesson = False  # whether the present lesson is none of the package
        self.full = False  # whether it has become too long, and what came last is missing

    @property
    def _now(self) -> float:
        return round(self._app.clock() - self._began, 4)

    def run(self, scenario: Scenario, playing: bool, speed: float) -> None:
        """Another run begins."""
        self._add(0, "load", written(scenario), playing, speed)

    def lesson(self, lesson: Lesson) -> None:
        """A lesson begins: one of a file of its own is kept, so that its panel is there when it is replayed."""
        if lesson.text or self._own_lesson:
            self._add(self._app.state.snapshot.count, "lesson", lesson.name, lesson.text)
        self._own_lesson = bool(lesson.text)

    def command(self, count: int, name: str, rest: tuple[Any, ...]) -> None:
        """A command was obeyed at a count."""
        self._add(count, name, *rest)

    def progress(self, count: int) -> None:
        """So many units are done."""
        now, pace = self._now, self.session.pace
        if now - self._paced < 0.2 and len(pace) > 1:
            pace[-1] = [now, count]
            return
        pace.append([now, count])
        self._paced = now
        if len(pace) >= MOST_ENTRIES // 10:
            self.session.pace = [*pace[:-1:2], pace[-1]]

    def look(self) -> None:
        """Write down what is looked at, where that has changed."""
        now = self._now
        if now - self._looked < LOOKS:
            return
        looks = looks_of(self._app.state, self._app.size)
        changed = {name: value for name, value in looks.items() if self._looks.get(name, looks) != value}
        if changed and self.session.log:
            self._looks, self._looked = looks, now
            self._add(self._app.state.snapshot.count, "look", {name: _plain(value) for name, value in changed.items()})

    def finished(self) -> Session:
        """The session up to now."""
        self.session.seconds = self._now
        return self.session

    def _add(self, count: int, name: str, *rest: Any) -> None:
        log, pace, now = self.session.log, self.session.pace, self._now
        if name != "look" and pace and pace[-1][0] >= now:  # it was before this, which may begin at another count
            pace.pop()
            self._paced = -math.inf
        if len(log) < MOST_ENTRIES:
            log.append([now, int(count), name, *map(_plain, rest)])
        else:
            self.full = True


def looks_of(state: State, size: tuple[int, int]) -> dict[str, Any]:
    """The fields of `LOOK`."""
    return {name: size if name == "size" else getattr(state, name) for name in LOOK}


def _plain(value: Any) -> Any:
    """As JSON takes it."""
    if isinstance(value, View):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.item() if hasattr(value, "item") else value


def last_session() -> Path:
    """Where the session of the window that was closed last is kept: in the user's cache folder."""
    import os

    import platformdirs

    base = os.environ.get("RLGRID_CACHE_DIR")
    folder = Path(base) if base else Path(platformdirs.user_cache_dir("rlgrid", appauthor=False))
    return folder / f"last{SUFFIX}"


def keep_last(session: Session) -> None:
    """Keep a session that ends as the last one; what cannot be kept is not, and nobody is held up by it."""
    with suppress(OSError, SessionError):
        last_session().parent.mkdir(parents=True, exist_ok=True)
        session.save(last_session())
