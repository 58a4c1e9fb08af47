"""Breakpoints: run until a condition holds, and stop at the very unit at which it first does.

    this arrow flips                    the greedy actions of the pinned cell change (a tie that ends is a change)
    the arrow of row 3, column 4 flips  the same of a cell by its place
    |TD| above 0.5                      an update's TD error is larger than that; of a planner the largest change
    |TD| below 0.001                    of a planner: the largest change of a sweep is smaller
    the greedy path loops               from the likeliest start, by the likeliest outcomes, it comes back to a state
    regret below 5 %                    the exact share of regret of the greedy policy is less
    the episode ends                    terminated or truncated
    something is learnt                 a value changes; of a network, a gradient step is taken
    count reaches 400                   so many units were run (also: step 400, sweep 400)

Chunks would run past a condition that holds for a moment only. So while one is awaited, the agent runs unit by unit
and each unit is looked at; only a count is run to in one piece, since nothing else can stop it (`Watch.stride`). What
is costly to know is asked again only where the unit may have changed it: the regret and the path when a greedy action
has changed.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.layout import state_at
from rlgrid.window import numbers
from rlgrid.window.arithmetic import is_map, names_of, place_of

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine

KINDS = ("arrow", "td", "loop", "regret", "episode", "update", "count")
EXAMPLES = (
    "this arrow flips",
    "the arrow of row 3, column 4 flips",
    "|TD| above 0.5",
    "the greedy path loops",
    "regret below 5 %",
    "the episode ends",
    "something is learnt",
    "count reaches 400",
)
MENU = 10.0  # seconds in which a menu is read
MOST_JUDGED = 5_000  # states of a world whose policies are judged unit by unit
MOST_COMPARED = 20_000  # states whose TD errors are compared in each unit


@dataclass(frozen=True)
class Condition:
    """What is awaited.

    Attributes:
        kind: one of `KINDS`.
        number: the threshold (a share for the regret) or the count.
        below: whether the number must be undercut.
        state: whose arrow.
    """

    kind: str
    number: float = 0.0
    below: bool = False
    state: int | None = None

    def words(self, model: Any = None, unit: str = "step") -> str:
        """The condition in words that `parse` understands."""
        if self.kind == "arrow":
            if model is not None and not is_map(model):
                return f"the arrow of state {self.state} flips"
            row, column, _ = (0, 0, "") if model is None or self.state is None else place_of(model, self.state)
            return f"the arrow of row {row}, column {column} flips"
        if self.kind == "td":
            return f"|TD| {'below' if self.below else 'above'} {self.number:g}"
        if self.kind == "regret":
            return f"regret below {100 * self.number:g} %"
        if self.kind == "count":
            return f"{unit} {int(self.number):,}"
        words = {"loop": "the greedy path loops", "update": "something is learnt"}
        return words.get(self.kind, "the episode ends")

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `parse` takes back."""
        return asdict(self)


# --- from words ---------------------------------------------------------------------------------------------------


def parse(given: str | Mapping[str, Any], model: Any = None, pinned: int | None = None) -> Condition:
    """A condition from words, as at the top of this module, or from `Condition.as_dict`.

    Args:
        model: the world, for cells by row and column.
        pinned: the state of the pinned cell, for "this arrow".

    Raises:
        ValueError: naming what is wrong and what would be right.
    """
    if isinstance(given, Mapping):
        return _from_data(given)
    words = " ".join(given.strip().lower().removeprefix("until ").removesuffix(".").split())
    words = words.removeprefix("the ")
    if "arrow" in words:
        return _arrow(words, given, model, pinned)
    if re.fullmatch(r"(greedy )?path loops", words):
        return Condition("loop")
    if re.fullmatch(r"(an )?episode ends", words):
        return Condition("episode")
    if words == "something is learnt":
        return Condition("update")
    if words.startswith(("|td|", "td", "residual", "change")):
        return _td(words, given)
    if words.startswith("regret"):
        return _regret(words, given)
    found = re.fullmatch(r"(?:count|step|steps|sweep|sweeps)(?: reaches)? (\S+)", words)
    if found:
        return Condition("count", _whole(found[1], given))
    near = difflib.get_close_matches(words, EXAMPLES, 1, 0.4)
    remedy = f"did you mean “{near[0]}”?" if near else "there are: " + "; ".join(EXAMPLES)
    raise ValueError(f"“{given}” is no condition: {remedy}")


def _from_data(given: Mapping[str, Any]) -> Condition:
    unknown = sorted(set(given) - {"kind", "number", "below", "state"})
    if unknown:
        near = difflib.get_close_matches(unknown[0], ("kind", "number", "below", "state"), 1, 0.4)
        raise ValueError(f"a condition has no {unknown[0]!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    kind, number, state = given.get("kind"), given.get("number", 0.0), given.get("state")
    if kind not in KINDS:
        raise ValueError(f"the kind of a condition must be one of {', '.join(KINDS)}, not {kind!r}")
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
        raise ValueError(f"the number of a condition must be finite and at least 0, not {number!r}")
    if kind == "arrow" and (isinstance(state, bool) or not isinstance(state, int) or state < 0):
        raise ValueError(f"a condition on an arrow needs the state whose arrow it is, not {state!r}")
    return Condition(kind, float(number), bool(given.get("below", False)), state if kind == "arrow" else None)


def _arrow(words: str, given: str, model: Any, pinned: int | None) -> Condition:
    if re.fullmatch(r"(this )?arrow( here)? flips", words):
        if pinned is None:
            raise ValueError(f"“{given}” needs a pinned cell: click one, or say “the arrow of row 3, column 4 flips”")
        if model is not None and bool(np.asarray(model.absorbing)[pinned]):
            raise ValueError(f"{_cell(model, pinned)} has no actions, so no arrow that could flip: click another cell")
        return Condition("arrow", state=pinned)
    numbered = re.fullmatch(r"arrow of state (\d+) flips", words)
    if numbered and model is not None:
        number = int(numbered[1])
        if number >= model.num_states or bool(np.asarray(model.absorbing)[number]):
            what = "not there" if number >= model.num_states else "without actions"
            raise ValueError(f"state {number} is {what}: the world has the states 0 to {model.num_states - 1}")
        return Condition("arrow", state=number)
    found = re.fullmatch(r"arrow of (?:cell )?row (\d+),? column (\d+) flips", words)
    if not found:
        raise ValueError(f"“{given}” is no condition: did you mean “this arrow flips” or “{EXAMPLES[1]}”?")
    if model is None:
        raise ValueError(f"“{given}” needs a world with cells, and this one has none")
    row, column = int(found[1]), int(found[2])
    rows, columns = getattr(model, "map_shape", None) or getattr(model, "shape", None) or (1, model.num_states)
    state = state_at(model, row, column) if row < rows and column < columns else None
    if state is None or bool(np.asarray(model.absorbing)[state]):
        what = "no cell" if state is None else "a cell without actions"
        raise ValueError(
            f"row {row}, column {column} is {what}: the world has rows 0 to {rows - 1} and columns 0 to {columns - 1}"
        )
    return Condition("arrow", state=state)


def _td(words: str, given: str) -> Condition:
    found = re.fullmatch(r"(?:\|td\||td|residual|change)(?: error)? (above|below|over|under) (\S+)", words)
    if not found:
        raise ValueError(f"“{given}” is no condition: say “|TD| above 0.5”")
    return Condition("td", _number(found[2], given), below=found[1] in ("below", "under"))


def _regret(words: str, given: str) -> Condition:
    found = re.fullmatch(r"regret (?:below|under) (\S+?) ?(%?)", words)
    if not found:
        raise ValueError(f"“{given}” is no condition: say “regret below 5 %”")
    number = _number(found[1], given)
    return Condition("regret", number / 100 if found[2] else number, below=True)


def _number(word: str, given: str) -> float:
    try:
        number = float(word.replace(numbers.MINUS, "-"))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"“{word}” in “{given}” is no number of at least 0, such as 0.5 or 1e-3")
    return number


def _whole(word: str, given: str) -> float:
    if not word.replace(",", "").isdecimal():
        raise ValueError(f"“{word}” in “{given}” is no count, such as 400")
    return float(int(word.replace(",", "")))


def offers(state: Any) -> list[tuple[str, str]]:
    """(words that `parse` takes, what they say) for the menu, of what the window's present run can tell."""
    found: list[tuple[str, str]] = []
    if state.awaited:
        found.append(("nothing", f"await nothing (now: {state.awaited})"))
    known = state.model is not None and state.snapshot.q_values is not None
    if known and state.pinned is not None and not bool(np.asarray(state.model.absorbing)[state.pinned]):
        words = Condition("arrow", state=state.pinned).words(state.model)
        found.append((words, words))
    more = ["greedy path loops"] if known else []
    if state.snapshot.regret is not None:
        more += ["regret below 50 %", "regret below 5 %", "regret below 1 %"]
    if state.plans:
        more += [f"|TD| below {limit}" for limit in ("0.1", "0.01", "0.001")]
    else:
        more += ["episode ends", "something is learnt"]
        if state.snapshot.td_error is not None:
            most = float(np.abs(state.snapshot.td_error).max(initial=0.0))
            more += [f"|TD| above {limit:.2g}" for limit in ((0.5 * most, 0.9 * most) if most > 0 else (0.1, 1.0))]
    more.append(f"{state.unit} {_next_round(state.snapshot.count, state.speed if state.playing else 0.0):,}")
    return found + [(one, f"the {one}" if one.startswith(("greedy", "episode")) else one) for one in more]


def _next_round(count: int, speed: float = 0.0) -> int:
    """A round count that is not reached while a menu is read, at a speed in units a second."""
    count += int(max(count / 10, 0.0 if math.isinf(speed) else MENU * speed))
    scale = int(10 ** max(1, len(str(count)) - 1))
    return (count // scale + 1) * scale


# --- while it runs ------------------------------------------------------------------------------------------------


class Watch:
    """A condition that is awaited, from where the engine stands now.

    Raises:
        ValueError: if this run cannot tell it, with the reason.
    """

    def __init__(self, condition: Condition, engine: Engine) -> None:
        self.condition, kind = condition, condition.kind
        agent, model = engine.agent, engine.model
        plans = engine.unit == "sweep"
        self._left = agent.state
        self._episodes = len(agent.episode_returns)
        self._arrow: tuple[int, ...] = ()
        self._errors: NDArray[np.float64] | None = None
        self._successors: dict[tuple[int, int], int | None] = {}
        self._policy: bytes = b""
        self._learnt: NDArray[np.float64] | float = 0.0
        self._truth: Any = None
        if kind == "count" and condition.number <= engine.count:
            raise ValueError(f"The count is {engine.count:,} already: choose a larger one, or step back first.")
        if kind == "episode" and plans:
            raise ValueError("A planner has no episodes: wait for a count of sweeps, or for a small change.")
        unread = not hasattr(agent, "greedy") or getattr(agent, "recurrent", False)  # it depends on the past
        if kind in ("arrow", "loop", "regret") and (model is None or unread):
            raise ValueError("This agent's greedy policy cannot be read, so no arrow can be awaited.")
        if kind == "td" and getattr(agent, "td_error", None) is None:
            raise ValueError("This agent has no TD errors.")
        if kind == "update" and plans:
            raise ValueError("Every sweep of a planner changes values: step it, or wait for a small change.")
        if kind == "td" and not plans and condition.below:
            raise ValueError("A learner's TD errors are small at any time: wait for |TD| above a number.")
        if kind == "arrow":
            assert condition.state is not None
            if not condition.state < model.num_states:
                raise ValueError(f"There is no state {condition.state}: the world has {model.num_states:,}.")
            self._arrow = self._arrow_of(engine, condition.state)
        elif kind == "regret":
            self._judge(engine)
        elif kind == "update":
            self._learnt = _learnt(agent)
        elif kind == "td" and not plans and agent.td_error.size <= MOST_COMPARED:
            self._errors = np.array(agent.td_error)

    def _judge(self, engine: Engine) -> None:
        """Have a judge of policies; the world must be small enough to judge many."""
        from rlgrid.truth import Truth

        if engine.model.num_states > MOST_JUDGED or (engine.referee is None or engine.referee.trouble):
            why = engine.referee.trouble if engine.referee is not None else ""
            raise ValueError(f"The regret is not known here: {why or 'the world is too large to judge every policy'}.")
        self._truth = Truth(engine.model, engine.gamma)
        if not self._truth.has_share:
            raise ValueError("Nothing can be won at the start of this world, so policies have no regret.")

    def stride(self, engine: Engine) -> int:
        """Units that may be run in one piece without running past the condition."""
        return max(1, int(self.condition.number) - engine.count) if self.condition.kind == "count" else 1

    def reached(self, engine: Engine) -> str | None:
        """After a unit (or a `stride`): what has happened, if the condition holds now."""
        left, self._left = self._left, engine.agent.state
        found: str | None = getattr(self, f"_{self.condition.kind}_reached")(engine, left)
        if found is None:
            return None
        return f"stopped at {engine.unit} {engine.count:,}: {found}"

    # --- one for each kind ------------------------------------------------------------------------------------------

    def _count_reached(self, engine: Engine, left: int | None) -> str | None:
        return "the count is reached" if engine.count >= self.condition.number else None

    def _episode_reached(self, engine: Engine, left: int | None) -> str | None:
        agent = engine.agent
        if len(agent.episode_returns) <= self._episodes:
            return None
        returned = numbers.short(float(agent.episode_returns[-1]))
        lengths = getattr(agent, "episode_lengths", None)
        after = f" after {numbers.count(int(lengths[-1]), 'step')}" if lengths else ""
        return f"episode {len(agent.episode_returns):,} ended{after}, its return is {returned}"

    def _update_reached(self, engine: Engine, left: int | None) -> str | None:
        before, now = self._learnt, _learnt(engine.agent)
        self._learnt = now
        if isinstance(now, float) or isinstance(before, float):
            return None if now == before else f"gradient step {int(np.max(now)):,} is taken"
        changed = np.flatnonzero((now != before).reshape(len(now), -1).any(axis=1))
        if not changed.size:
            return None
        with np.errstate(invalid="ignore"):
            by = np.nan_to_num(np.abs(now - before)).reshape(len(now), -1).max(axis=1)
        s = int(np.argmax(by))
        more = "" if changed.size == 1 else f", and of {changed.size - 1:,} more"
        at = _cell(engine.model, s) if engine.model is not None else f"state {s}"
        return f"the value of {at}{more} changed, by {numbers.short(float(by[s]))} at most"

    def _arrow_reached(self, engine: Engine, left: int | None) -> str | None:
        state = self.condition.state
        assert state is not None
        now, before = self._arrow_of(engine, state), self._arrow
        if not before:
            self._arrow = now  # the first arrow is the one that may flip
            return None
        if now == before:
            return None
        names = names_of(engine.model, _scene(engine))
        was, is_now = (" or ".join(names[a] for a in arrow) or "none" for arrow in (before, now))
        return f"the arrow of {_cell(engine.model, state)} flipped from {was} to {is_now}"

    def _td_reached(self, engine: Engine, left: int | None) -> str | None:
        agent, limit = engine.agent, self.condition.number
        if engine.unit == "sweep":
            change = engine.tables.get("change")
            if change is None:
                return None
            s = int(np.argmax(change))
            most = float(change[s])
            if (most < limit) if self.condition.below else (most > limit):
                return f"the largest change of the sweep is {numbers.short(most)}, at {_cell(engine.model, s)}"
            return None
        errors = np.asarray(agent.td_error)
        if self._errors is None:
            where = [] if left is None else [left]
        else:
            where = [int(s) for s in np.flatnonzero(errors != self._errors)]
            self._errors[where] = errors[where]
            where += [left] if left is not None and left not in where else []
        large = [s for s in where if abs(errors[s]) > limit]
        if not large:
            return None
        s = max(large, key=lambda one: abs(errors[one]))
        at = f" at {_cell(engine.model, s)}" if engine.model is not None else f" in state {s}"
        return f"the TD error{at} is {numbers.short(float(errors[s]))}"

    def _loop_reached(self, engine: Engine, left: int | None) -> str | None:
        model = engine.model
        start = model.start_states[int(np.argmax(model.start_probability))]
        absorbing, s = np.asarray(model.absorbing), int(start)
        seen: set[int] = set()
        while not absorbing[s]:
            if s in seen:
                return f"the greedy path from {_cell(model, int(start))} comes back to {_cell(model, s)}"
            seen.add(s)
            arrow = self._arrow_of(engine, s)
            following = self._successor(model, s, arrow[0]) if arrow else None
            if following is None:
                return None
            s = following
        return None

    def _successor(self, model: Any, s: int, a: int) -> int | None:
        """Where the likeliest outcome leads; None where it ends the episode."""
        if (s, a) not in self._successors:
            from rlgrid.kernels.model import count, outcome

            outcomes = [outcome(model.arrays, s, a, k) for k in range(count(model.arrays, s, a))]
            best = max(outcomes, key=lambda one: one[0])
            self._successors[s, a] = None if best[3] else int(best[1])
        return self._successors[s, a]

    def _regret_reached(self, engine: Engine, left: int | None) -> str | None:
        policy = np.asarray(engine.tables.get("policy") if engine.unit == "sweep" else engine.agent.policy)
        if policy.ndim == 0 or policy.tobytes() == self._policy:  # the first sweep is shown without its policy
            return None
        self._policy = policy.tobytes()
        share = self._truth.judge(policy).share_of_regret
        if share < self.condition.number:
            return f"the regret of the greedy policy is {100 * max(0.0, share):.3g} %"
        return None

    def _arrow_of(self, engine: Engine, s: int) -> tuple[int, ...]:
        """The greedy actions of a state as they are drawn: none where nothing is known."""
        if engine.unit == "sweep":
            greedy = engine.tables.get("greedy")
            return () if greedy is None else tuple(int(a) for a in np.flatnonzero(greedy[s]))
        return arrow_of(engine.agent, s)


def _learnt(agent: Any) -> NDArray[np.float64] | float:
    """What changes where something is learnt: [S] or [S, A], the table, copied; of a network its gradient steps.

    Raises:
        ValueError: if the table is too large to be compared unit by unit, or there is none.
    """
    table = getattr(agent, "q_table", getattr(agent, "value_table", None))
    if table is None:
        updates = agent.metrics().get("updates")
        if updates is None:
            raise ValueError("What this agent learns cannot be seen, so no update can be awaited.")
        return float(updates)
    if len(table) > MOST_COMPARED:
        raise ValueError(f"In worlds of more than {MOST_COMPARED:,} states updates are not told apart: step instead.")
    return np.array(table, np.float64)


def arrow_of(agent: Any, s: int) -> tuple[int, ...]:
    """The greedy actions of a learner in one state: none where nothing is known of it."""
    from rlgrid.agents.tabular import TabularAgent
    from rlgrid.window.updates import RULES

    if not isinstance(agent, TabularAgent) or type(agent).__name__ not in RULES:
        return tuple(int(a) for a in np.flatnonzero(agent.greedy()[s]))
    q = agent.q_table[s]
    first = float(getattr(agent, "initial_q", 0.0))
    known = int(np.asarray(agent.counts[s]).sum()) > 0 and not ((q == first) | np.isneginf(q)).all()
    return tuple(int(a) for a in np.flatnonzero(q == q.max())) if known else ()


def _scene(engine: Engine) -> Any:
    scene = getattr(getattr(engine.env, "unwrapped", None), "scene", None)
    return scene if hasattr(scene, "label") else None


def _cell(model: Any, state: int) -> str:
    if not is_map(model):
        return f"state {state}"
    row, column, items = place_of(model, state)
    return f"row {row}, column {column}" + (f", {items}" if items else "")
