"""A race in the window: which agents run side by side, and which of them the panels are about.

The state has room for one run: its agent, tables, curves and history are those of the selected lane. `Race` keeps what
belongs to the other lanes, and puts the one that a message is about into its place for as long as it is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rlgrid.window.lanes import LEAST, MOST
from rlgrid.window.state import Lane, Menu, State, ValueHistory

if TYPE_CHECKING:
    from rlgrid.window.app import App

VERSUS = ("", "difference", "disagreement")
SAID = {
    "": "Every agent with its own numbers, on one scale.",
    "difference": "The others minus the selected one: of the present layer, 0 in the middle.",
    "disagreement": "Where the greedy actions of the others are not those of the selected one.",
}


class Race:
    """The lanes of one app; none where one agent runs alone."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._at = 0  # the lane that is in the state

    @property
    def agents(self) -> list[str]:
        """The names of the agents, by lanes; of one alone its own."""
        state = self._app.state
        return [view.agent for view in views(state)] if state.lanes else [state.agent]

    @property
    def rivals(self) -> tuple[str, ...]:
        """The agents beside the first."""
        return tuple(self.agents[1:])

    # --- who takes part ---------------------------------------------------------------------------------------------

    def begin(self, agents: Sequence[str]) -> None:
        """These agents run from now on; the state is that of the first."""
        from rlgrid.agents import AGENTS

        state = self._app.state
        state.lanes, state.lane, self._at = (), 0, 0
        if len(agents) < LEAST:
            state.versus = ""
            return
        first = State()
        state.lanes = tuple(Lane(lane_fields(first)) for _ in agents)
        for number, agent in enumerate(agents):
            with self.within(number):
                state.agent, state.agent_title = agent, AGENTS[agent]
                state.unit = "sweep" if agent == "value_iteration" else "step"

    def change(self, agent: str) -> None:
        """An agent comes in, or leaves if it is there already. The race begins again: all start at the same count."""
        app, agents = self._app, self.agents
        if agent in agents:
            agents.remove(agent)
        else:
            agents.append(agent)
        if not agents:
            app.say("Somebody must be left: add another agent first.")
        elif len(agents) > MOST:
            app.say(f"A race is of {LEAST} to {MOST} agents: choose one of them to take it out.", 5.0)
        else:
            self.run(agents)

    def replace(self, agent: str) -> None:
        """Another agent in the selected lane."""
        agents = self.agents
        agents[self._at if self._app.state.lanes else 0] = agent
        self.run(agents)

    def run(self, agents: Sequence[str]) -> None:
        """Begin anew with these agents, in the present world."""
        app = self._app
        if app.place is not None:
            app.end_tour()
            chosen = [(p.name, p.value) for p in app.state.parameters if p.group == "world" and p.changed]
            plans = [agent == "value_iteration" for agent in (*self.agents, *agents)]
            speed = None if any(plans) else app.state.speed
            app.open(app.place, agents[0], speed, rivals=tuple(agents[1:]))
            for name, value in chosen:
                app.link.send("change", name, value)

    def menu(self) -> Menu:
        """The agents, those that take part marked."""
        from rlgrid.agents import AGENTS

        there = self.agents
        entries = [(key, f"{title}: in, take it out" if key in there else title) for key, title in AGENTS.items()]
        return Menu("race", entries)

    # --- which one is looked into -----------------------------------------------------------------------------------

    def select(self, number: int) -> None:
        """Have the panels show a lane."""
        state = self._app.state
        if state.lanes:
            state.lane = number % len(state.lanes)
            self.settle()

    def settle(self) -> None:
        """Have the lane in the state that is to be there."""
        app, state = self._app, self._app.state
        if state.lanes and state.lane != self._at:
            state.lane = min(max(0, state.lane), len(state.lanes) - 1)
            self._enter(state.lane)
            state.inspected = state.look = state.lit = None
            app.inbox.ask_again()
            app.link.send("select", state.lane)

    def send(self, name: str, *rest: Any) -> None:
        """A command of the run: in a race for the selected lane."""
        link, state = self._app.link, self._app.state
        if state.lanes:
            link.send("lane", state.lane, name, *rest)
        else:
            link.send(name, *rest)

    @contextmanager
    def within(self, number: int) -> Iterator[None]:
        """That lane in the state for a moment."""
        at = self._at
        self._enter(number)
        try:
            yield
        finally:
            self._enter(at)

    def each(self) -> Iterator[int]:
        """Every lane in the state, one after the other; alone the one that is there."""
        if not self._app.state.lanes:
            yield 0
            return
        for number in range(len(self._app.state.lanes)):
            with self.within(number):
                yield number

    def _enter(self, number: int) -> None:
        state, inbox = self._app.state, self._app.inbox
        if number == self._at or not 0 <= number < len(state.lanes):
            return
        left, entered = state.lanes[self._at], state.lanes[number]
        left.fields, left.seen = lane_fields(state), inbox.seen
        for name, value in entered.fields.items():
            setattr(state, name, value)
        inbox.seen = entered.seen or inbox.fresh()
        self._at = number

    def forget(self) -> None:
        """All lanes begin again."""
        for _ in self.each():
            self._app.state.clear_run()
            self._app.inbox.forget()

    def remade(self) -> None:
        """The map is another: what the other lanes have of it is let go."""
        state = self._app.state
        empty = State()
        for lane in state.lanes:
            lane.fields |= {name: getattr(empty, name) for name in ("snapshot", "walker_at", "paths", "before")}
            lane.fields |= {"computed": {}, "history": ValueHistory()}

    @property
    def moving(self) -> bool:
        """Whether something glides in a lane that is not selected."""
        others = [lane.seen for number, lane in enumerate(self._app.state.lanes) if number != self._at]
        return any(seen is not None and seen.animating for seen in others)


LANE_FIELDS = (
    "agent",
    "agent_title",
    "unit",
    "in_place",
    "acts_by_values",
    "parameters",
    "snapshot",
    "stamp",
    "walker_at",
    "behind",
    "flash",
    "error_curve",
    "regret_curve",
    "return_curve",
    "series",
    "history",
    "edits",
    "timeline",
    "paths",
    "before",
    "computed",
)


def lane_fields(state: State) -> dict[str, Any]:
    """What of a state belongs to a lane."""
    return {name: getattr(state, name) for name in LANE_FIELDS}


def views(state: State) -> list[State]:
    """The state as each lane would show it, the selected one's as it is; alone the state itself."""
    from dataclasses import replace

    return [
        state if number == state.lane else replace(state, **lane.fields) for number, lane in enumerate(state.lanes)
    ] or [state]
