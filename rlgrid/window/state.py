"""What the window shows, as plain values: the scene is drawn from this and from a size, and from nothing else."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.view import WHOLE, View

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """A number of the world or of the agent that a slider changes (low < high), or a fact that is only said."""

    name: str
    label: str
    group: str  # "world" or "agent"
    value: float
    text: str = ""  # of a fact, or in place of the number
    low: float = 0.0
    high: float = 0.0
    digits: int = 2  # that are shown at most
    grain: int = 2  # decimals of the values that a slider takes
    log: bool = False
    initial: float = 0.0

    @property
    def is_slider(self) -> bool:
        """Whether it can be changed."""
        return self.high > self.low

    @property
    def part(self) -> float:
        """Where the knob stands, in [0, 1]."""
        if self.log:
            return math.log(self.value / self.low) / math.log(self.high / self.low) if self.value > 0 else 0.0
        return (self.value - self.low) / (self.high - self.low)

    def at(self, part: float) -> float:
        """The value at a place of the knob, rounded to what is shown."""
        part = min(1.0, max(0.0, part))
        if self.log:
            value = self.low * (self.high / self.low) ** part
            return float(f"{value:.1e}")
        return round(self.low + part * (self.high - self.low), self.grain)

    @property
    def shown(self) -> str:
        """The value in words."""
        if self.text:
            return self.text
        if self.log:
            return (
                f"{self.value:g}"
                if self.value >= 1e-3
                else f"{self.value:.1e}".replace("e-0", "e-").replace(".0e", "e")
            )
        shown = f"{self.value:.{self.digits}f}"
        while len(shown.partition(".")[2]) > 2 and shown.endswith("0"):
            shown = shown[:-1]
        return shown.replace("-", "−")

    @property
    def changed(self) -> bool:
        """Whether it differs from what it was at first."""
        return self.is_slider and not math.isclose(self.value, self.initial, rel_tol=1e-9, abs_tol=1e-12)


@dataclass(frozen=True)
class Snapshot:
    """The tables of an agent at one moment, copied out of the worker. Absent tables are None."""

    count: int = 0
    num_states: int | None = None  # S, of the world that it is of; None where that is unknown
    values: Floats | None = None  # [S]
    q_values: Floats | None = None  # [S, A]
    greedy: NDArray[np.bool_] | None = None  # [S, A]
    previous: Floats | None = None  # [S], the values before the last sweep
    lower: Floats | None = None  # [S]
    upper: Floats | None = None  # [S]
    change: Floats | None = None  # [S], |V - previous|
    optimal: Floats | None = None  # [S]
    distance: float | None = None  # max |values - optimal| over the states in which an agent can ever act
    visits: NDArray[np.int64] | None = None  # [S]
    td_error: Floats | None = None  # [S], of the last update there
    best: NDArray[np.bool_] | None = None  # [S, A], the optimal actions
    walker: int | None = None
    trail: tuple[int, ...] = ()
    follows_learner: bool = False
    error_bound: float | None = None
    regret: float | None = None  # share of regret of the agent's policy after ``judged_at`` units
    truth: dict[str, float] = field(default_factory=dict)  # what else is exact of it: `rlgrid.truth.MEASURES`
    judged_at: int = 0
    mean_return: float | None = None
    episodes: int = 0
    episode_steps: int = 0
    converged: bool = False
    finished: bool = False  # more units change nothing
    metrics: dict[str, float] = field(default_factory=dict)
    trouble: str = ""  # why the optimum or the regret cannot be found
    frame: NDArray[np.uint8] | None = None  # [H, W, 3], of a foreign environment


class Curve:
    """Points (x, y) of one quantity, thinned by halves so that it never grows beyond ``most``.

    ``here`` is what was measured last between them, where the run stands in its past.
    """

    def __init__(self, most: int = 600) -> None:
        self._most = most
        self.points: list[tuple[float, float]] = []
        self.here: tuple[float, float] | None = None
        self._every = 1
        self._skipped = 0

    def add(self, x: float, y: float) -> None:
        """Append a point; one at the same x replaces the last."""
        if not math.isfinite(y):
            return
        if self.points and self.points[-1][0] >= x:
            if self.points[-1][0] == x:
                self.points[-1] = (x, y)
            else:
                self.here = (x, y)
            return
        self._skipped += 1
        if self._skipped < self._every and len(self.points) > 1:
            self.points[-1] = (x, y)  # the present value is always there
            return
        self._skipped = 0
        self.points.append((x, y))
        if len(self.points) > self._most:
            self.points = [*self.points[:-1:2], self.points[-1]]
            self._every *= 2

    def cut(self, x: float) -> None:
        """Forget what comes after ``x``: the run has taken another way there."""
        if self.here is not None and self.here[0] > x:
            self.here = None
        while self.points and self.points[-1][0] > x:
            self.points.pop()

    def at(self, x: float) -> float | None:
        """What was measured at ``x`` itself."""
        if self.here is not None and self.here[0] == x:
            return self.here[1]
        place = bisect.bisect_left(self.points, (x, -math.inf))
        return self.points[place][1] if place < len(self.points) and self.points[place][0] == x else None

    @property
    def last(self) -> float | None:
        """The present value."""
        return self.points[-1][1] if self.points else None


class ValueHistory:
    """The values of all states over time, thinned by halves; for the small curve of one state."""

    def __init__(self, most: int = 240, cells: int = 20_000) -> None:
        self._most, self._cells = most, cells
        self._times: list[float] = []
        self._tables: list[NDArray[np.float32]] = []
        self._every = 1
        self._skipped = 0

    def add(self, time: float, values: Floats) -> None:
        """Remember the values at a time; worlds of more than ``cells`` states are not remembered."""
        if values.size > self._cells or (self._times and time <= self._times[-1]):
            return
        self._skipped += 1
        if self._skipped < self._every and len(self._times) > 1:
            self._times[-1], self._tables[-1] = time, values.astype(np.float32)
            return
        self._skipped = 0
        self._times.append(time)
        self._tables.append(values.astype(np.float32))
        if len(self._times) > self._most:
            self._times = [*self._times[:-1:2], self._times[-1]]
            self._tables = [*self._tables[:-1:2], self._tables[-1]]
            self._every *= 2

    def cut(self, time: float) -> None:
        """Forget what comes after a time."""
        while self._times and self._times[-1] > time:
            self._times.pop()
            self._tables.pop()

    def of(self, state: int) -> list[tuple[float, float]]:
        """The points of one state."""
        return [
            (t, float(table[state])) for t, table in zip(self._times, self._tables, strict=True) if state < table.size
        ]


SYMBOLS = {
    "gamma": "γ",
    "slip": "slip",
    "step_reward": "r",
    "learning_rate": "α",
    "epsilon": "ε",
    "tolerance": "tol",
    "method": "order",
}
"""How parameters are called where there is little room."""


@dataclass(frozen=True)
class Edit:
    """A change of a parameter or of the map, at the count of units at which it took effect."""

    count: int
    symbol: str
    before: str
    after: str


@dataclass(frozen=True)
class Timeline:
    """How far back a run can be walked, and what was changed on the way (`rlgrid.window.history`)."""

    earliest: int = 0  # the first count that can be had again
    head: int = 0  # the furthest that was reached
    kept: int = 0  # states that are kept
    bytes: int = 0  # that these take
    edits: list[Edit] = field(default_factory=list)  # those ahead of the present count included
    why: str = ""  # why it cannot be walked back; empty where it can


@dataclass
class Menu:
    """An open menu: its name, (key, words) of each entry, and what was typed to narrow them.

    ``shown`` are the numbers of the entries that hold all words typed, ``lit`` the place of one among them. An entry
    without a key is the heading of those after it.
    """

    name: str
    entries: list[tuple[str, str]]
    lit: int = 0
    typed: str = ""
    shown: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.shown:
            self.shown = [number for number, (key, _) in enumerate(self.entries) if key]

    def narrow(self, typed: str) -> None:
        """Show the entries whose words, or keys, hold all words of ``typed``."""
        self.typed = typed
        words = typed.lower().split()
        found = [(n, f"{title} {key}".lower()) for n, (key, title) in enumerate(self.entries) if key]
        self.shown = [number for number, title in found if all(word in title for word in words)]
        exact = " ".join(words)
        self.shown.sort(key=lambda n: self._rank(n, exact))
        self.lit = 0

    def _rank(self, number: int, exact: str) -> tuple[bool, bool]:
        """What is called just that comes first, and a painted world after the one that it was painted on."""
        key, title = (words.lower() for words in self.entries[number])
        names = (title, key, re.sub(r"^.*/|-v\d+$", "", key))
        return exact not in names, key.endswith(", painted")


@dataclass(frozen=True)
class Typed:
    """A number that is typed in place of moving a slider: the slider's name, and what stands in the field.

    ``fresh``: nothing was typed yet, and what is typed takes the place of the text.
    """

    slider: str
    text: str
    fresh: bool = True


@dataclass(eq=False)
class Lane:
    """A lane of a race: the fields of the state that are its own while another one is selected, and what the inbox
    follows of it (`rlgrid.window.race`)."""

    fields: dict[str, Any]
    seen: Any = None


class Same:
    """An object in what a picture depends on: equal to itself alone. It is held, so that no other one gets its id."""

    __slots__ = ("_held",)

    def __init__(self, held: object) -> None:
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self._held is other._held

    def __hash__(self) -> int:
        return id(self._held)


@dataclass
class State:
    """Everything that the scene shows."""

    model: Any = None  # what is drawn: a GridModel or an MDP; None for a foreign environment
    world: str = ""
    world_title: str = ""
    world_note: str = ""
    agent: str = ""
    agent_title: str = ""
    unit: str = "sweep"
    in_place: bool = False  # sweeps that use values of the same sweep
    parameters: list[Parameter] = field(default_factory=list)
    theme: str = "dark"
    layer: str = "values"
    arrows: bool = True
    playing: bool = True
    speed: float = 8.0
    snapshot: Snapshot = field(default_factory=Snapshot)
    stamp: int = 0  # grows whenever the tables change, not when only the walker moves
    walker_at: tuple[float, float] | None = None  # (row, column), between cells while it glides
    behind: int = 0  # cells at the end of the trail that it has not reached yet
    flash: float = 0.0  # how bright the cells that the last sweep changed are, in [0, 1]
    scale_lock: tuple[float, float] | None = None
    hover: int | None = None
    pinned: int | None = None
    inspected: int | None = None  # the action that is written out; None: a greedy one
    outcomes: dict[int, list[list[tuple[float, int, float, bool]]]] = field(default_factory=dict)
    error_curve: Curve = field(default_factory=Curve)
    regret_curve: Curve = field(default_factory=Curve)
    return_curve: Curve = field(default_factory=Curve)
    history: ValueHistory = field(default_factory=ValueHistory)
    edits: list[Edit] = field(default_factory=list)
    doing: str = ""  # what the worker is busy with, in words
    error: str = ""  # why the worker stopped
    line: str = ""  # the line at the bottom
    tip: tuple[str, tuple[int, int]] | None = None  # what the control under the pointer does, and its lower edge
    notice: str = ""  # a short message, such as the name of a saved file
    recording: bool = False
    touring: bool = False
    drawer: str = ""  # "left" or "right" where the window is small
    menu: Menu | None = None
    help: bool = False
    watched: bool = False  # the environment and the agent came from a script
    view: View = WHOLE  # the part of the world that is seen
    paths: tuple[tuple[int, ...], ...] = ()  # the states of the last episodes that were seen, the latest last
    before: NDArray[np.bool_] | None = None  # [S, A], the greedy actions before a parameter was changed, for a moment
    computed: dict[str, Any] = field(default_factory=dict, repr=False)  # by `rlgrid.window.layers`, for this snapshot
    timeline: Timeline = field(default_factory=Timeline)
    mode: str = "look"  # or "drive" or "paint": what the pointer and the arrows do
    scale: float = 1.0  # pixels of the window for each pixel of the layout (`rlgrid.window.scaling`)
    lesson: str = ""  # where a lesson stands, as `rlgrid.window.teaching` writes it; "" without one
    taught: Any = None  # the `rlgrid.window.lessons.Lesson` that is given
    ring: str = ""  # the control that the keyboard acts on; "" for none
    palette: tuple[Any, ...] = ()  # brushes (`rlgrid.window.editing.Brush`); none where the world is no map
    brush: str = "wall"  # the key of the present one
    amount: float = 0.0  # that it paints
    cursor: tuple[int, int] | None = None  # the (row, column) of the map where the keyboard paints
    stroke: tuple[str, tuple[tuple[int, int], ...]] = ("", ())  # the brush and the cells of the stroke under way
    map_size: tuple[int, int] | None = None  # rows and columns of the map, as its sliders show them
    undoable: bool = False
    redoable: bool = False
    unsaved: bool = False  # the map was painted and not saved
    making: Any = None  # what the map was made from (`rlgrid.window.places.Made`), as its sliders show it
    missing: str = ""  # what keeps the painted map from being a task
    look: Any = None  # what the worker saw of the inspected state: `rlgrid.window.looking.Look`
    section: str = ""  # what of it is written out, of `rlgrid.window.inspector.SECTIONS`; "" for the first
    lit: int | None = None  # the state that the term under the pointer was read from
    awaited: str = ""  # the breakpoint that is awaited, in words
    stopped: str = ""  # where the run has stopped, in words
    series: dict[str, Curve] = field(default_factory=dict)  # further ones, by their names in `rlgrid.window.plots`
    curves: tuple[str, ...] = ()  # the curves that were chosen, by their names in `rlgrid.window.plots`
    hairline: float | None = None  # the count that the pointer over the curves stands at
    lanes: tuple[Lane, ...] = ()  # of a race; those that are not selected
    lane: int = 0  # the selected one: what else is in the state is about it
    versus: str = ""  # what of two lanes is drawn: their "difference", their "disagreement", or each by itself
    scene: Any = None  # of a world that is no map: names of its actions and words for its states (`rlgrid.envs.scene`)
    acts_by_values: bool = False  # the agent has values of actions, be they sent at present or not
    choice: int = 0  # the action that is chosen while one drives, or was taken last (`rlgrid.window.driving`)
    typing: Typed | None = None  # the number that is typed (`rlgrid.window.entering`)
    drawn: Any = None  # what the map is coloured by in place of the layer (`rlgrid.window.layers.Coloured`)

    @property
    def focus(self) -> int | None:
        """The state that is inspected: the pinned one, else the one under the pointer, else the walker's."""
        for state in (self.pinned, self.hover, self.snapshot.walker):
            if state is not None and (self.model is None or state < self.model.num_states):
                return state
        return None

    @property
    def plans(self) -> bool:
        """Whether the agent plans with the model, sweep by sweep."""
        return self.unit == "sweep"

    @property
    def predicts(self) -> bool:
        """Whether the agent learns the values of a policy that it was given, and no other."""
        known = not self.plans and not self.acts_by_values and self.snapshot.values is not None
        return known and self.snapshot.q_values is None

    def clear_run(self) -> None:
        """Forget what was learnt: the curves, the history, the tables, the edits."""
        self.snapshot = Snapshot()
        self.stamp += 1
        self.error_curve, self.regret_curve, self.return_curve = Curve(), Curve(), Curve()
        self.series = {}
        self.history = ValueHistory()
        self.edits, self.timeline = [], Timeline()
        self.outcomes = {}
        self.walker_at, self.behind = None, 0
        self.inspected = self.look = self.lit = self.hairline = None
        self.awaited = self.stopped = ""
        self.flash = 0.0
        self.paths, self.before = (), None
        self.computed = {}

    def cut(self, count: float) -> None:
        """The run has taken another way after a count: what the curves know of what came after is forgotten."""
        self._cut(count)
        if self.snapshot.count > count:
            self.paths = ()

    def forget_from(self, count: float) -> None:
        """The run is another one from a count on, which is measured anew."""
        self._cut(count - 0.5)

    def _cut(self, count: float) -> None:
        for curve in (self.error_curve, self.regret_curve, self.return_curve, *self.series.values()):
            curve.cut(count)
        self.history.cut(count)

    def parameter(self, name: str) -> Parameter | None:
        """A parameter by its name."""
        return next((p for p in self.parameters if p.name == name), None)

    def expected_end(self) -> int:
        """Where the axes of the curves end: a round count beyond the present one."""
        runs = [(self.snapshot, self.timeline, self.unit)]
        runs += [tuple(lane.fields[name] for name in ("snapshot", "timeline", "unit")) for lane in self.lanes]
        least = 5_000 if any(unit == "step" for *_, unit in runs) else 60
        now = max(max(shot.count, line.head) for shot, line, _ in runs)
        end = least
        for factor in _round_numbers(least):
            end = factor
            if now <= 0.9 * factor:
                break
        return end


def _round_numbers(least: int) -> Iterator[int]:
    """``least`` and round numbers that grow by about a half each."""
    yield least
    scale = 10 ** int(math.log10(least))
    while True:
        for mantissa in (1, 1.5, 2, 3, 4, 6, 8):
            if mantissa * scale > least:
                yield int(mantissa * scale)
        scale *= 10
