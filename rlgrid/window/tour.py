"""The tour: what the window shows by itself when it opens, until somebody chooses something.

Value iteration runs until it has converged, then Q-learning in the same world, then the DQN. A line at the bottom says
what is seen, what comes next and which key to try. Pausing and looking around leave the tour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from rlgrid.window.driving import actions_of
from rlgrid.window.state import State

STAGES = ("value_iteration", "q_learning", "dqn")
SPEEDS = {"value_iteration": 8.0, "q_learning": 2_000.0, "dqn": 1_500.0}
LEARNER = 1_000.0  # steps a second of any other agent
LINGER = 4.0  # seconds that a result is looked at
LONGEST = 35.0  # seconds of a learner
GOOD = 0.05  # share of regret at which a learner has learnt enough


def default_speed(agent: str) -> float:
    """Units a second at which an agent is watched at first: something is learnt within seconds.

    Beside a learner that runs so fast a walker follows its policy step by step (`rlgrid.window.pacing.WALK`).
    """
    return SPEEDS.get(agent, LEARNER)


@dataclass
class Tour:
    """Where the tour is. ``update`` answers with the agent to go on to, or None."""

    stage: int = 0
    _played: float = 0.0
    _done: float = 0.0
    _learnt: bool = False
    over: bool = False

    @property
    def agent(self) -> str:
        """The agent of the present stage."""
        return STAGES[self.stage]

    def update(self, state: State, seconds: float) -> str | None:
        """Let time pass; the agent that is next, when it is time for it."""
        if self.over or not state.playing or state.doing or state.error or state.snapshot.count == 0:
            return None
        if state.pinned is not None:  # a cell is being read: its numbers stay
            return None
        self._played += seconds
        shot = state.snapshot
        self._learnt = self._learnt or (shot.regret is not None and shot.regret <= GOOD)
        finished = shot.finished if state.plans else self._learnt or self._played >= LONGEST
        self._done = self._done + seconds if finished else 0.0
        if self._done < LINGER:
            return None
        if self.stage + 1 == len(STAGES):
            self.over = True
            return None
        self.stage += 1
        self._played, self._done, self._learnt = 0.0, 0.0, False
        return self.agent

    def speed(self, state: State) -> float:
        """Units a second: value iteration hurries once its policy is optimal and only the proof is left."""
        if state.plans and state.snapshot.count >= 64:
            return 24.0
        return SPEEDS[self.agent]

    def line(self, state: State) -> str:
        """What is seen, what comes next, which key to try."""
        shot = state.snapshot
        if self.agent == "value_iteration":
            if shot.converged:
                tolerance = state.parameter("tolerance")
                within = "" if tolerance is None else f" within {tolerance.shown}"
                return f"Converged: V is proven{within} of the optimum. Next, Q-learning. Click a cell to open its sum."
            if shot.regret is not None and shot.regret <= 1e-9:
                return "The greedy policy is already optimal; more sweeps prove the values. Next, Q-learning. Try 7."
            return (
                "Value iteration: every sweep carries values one cell further from the goal. Space pauses, “.” steps."
            )
        if self.agent == "q_learning":
            return "Q-learning knows no model: it learns from each step it takes. Next, the DQN. Try 4 for its visits."
        if self.over:
            return "Your turn: choose a world (W) or an agent (A), or take a lesson (F2). F1 shows all keys."
        return "DQN: a neural network learns from replayed steps, and generalises. Try 2 for its action values."


def mode_line(state: State) -> str:
    """What the pointer and the arrows do, while they paint or drive; else nothing."""
    if state.mode == "drive":
        who = "the walker" if state.plans else "the agent, which learns from it"
        if not actions_of(state)[1]:
            return f"You are driving {who}: digits or arrows choose an action, Enter takes it. M or Esc gives it back."
        return f"You are driving {who}: the keys under the map take an action. M or Esc gives it back."
    if state.mode != "paint":
        return ""
    if state.missing:
        return f"Not finished: {state.missing}."
    unsaved = " Ctrl S saves the map." if state.unsaved else ""
    return f"Painting: drag, or arrows and Enter; Ctrl Z takes a stroke back.{unsaved} E or Esc ends."


def lesson_line(state: State) -> str:
    """What to do in a lesson; nothing without one, and while the viewer runs on beside it."""
    if ":showing:" in state.lesson:
        if state.playing:
            return "The lesson goes on when this has run. Space pauses it, + makes it faster."
        return "The lesson waits for the run to go on: Space plays, R begins the lesson again."
    if ":returning:" in state.lesson:
        return "Going back to where the scene begins. Space pauses, and goes on."
    if state.playing:
        return ""
    if ":asking:" in state.lesson:
        return "What do you think? Choose by a number or a click, and see. Click a cell to look into it."
    if ":told:" in state.lesson:
        return "Enter goes on, Backspace goes back, Esc leaves the lesson. Click a cell to look into it."
    return ""


def plain_line(state: State) -> str:
    """The line once the tour is over."""
    if state.error:
        return f"Nothing runs. R tries again from the beginning{'' if state.watched else ', W and A choose another'}."
    if mode_line(state):
        return mode_line(state)
    if lesson_line(state):
        return lesson_line(state)
    if not state.playing and f" {state.snapshot.count:,}: " in state.stopped:
        return f"{state.stopped[0].upper()}{state.stopped[1:]}. Space goes on, B awaits something else."
    if state.playing and state.awaited:
        return f"Running until {state.awaited}. It stops there by itself; B awaits something else."
    if not state.playing:
        return (
            f"Paused. Space plays, “.” runs one {state.unit}, Shift “.” runs {'ten' if state.plans else 'an episode'}."
        )
    if state.snapshot.finished and not state.snapshot.converged:
        return "Rounding forbids the proof of a smaller error. Choose a larger tolerance, or press R to begin again."
    if state.snapshot.converged:
        return "Converged. Move a slider to see it solved again, or press R to begin again, W for another world."
    if state.plans:
        return "Each sweep backs every value up once. Space pauses, “.” runs one sweep, F1 shows all keys."
    if state.watched and state.agent == "acting":
        return "The agent acts by its own policy. Space pauses, “.” takes one step, F1 shows all keys."
    return (
        "The agent learns from each step. Space pauses, “.” takes one step, End runs at full speed, F1 shows all keys."
    )
