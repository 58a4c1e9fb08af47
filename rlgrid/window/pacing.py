"""How much is run as time passes: what an engine and a race of several engines have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

WALK = 6.0  # steps a second of the walker
BUDGET = 0.008  # seconds of a chunk in real time
FULL_SPEED = 2_000.0  # units a second that stand for full speed where time is simulated


class Paced(ABC):
    """Runs as many units as its speed asks for. ``patient``: time is simulated, and everything waits for its end."""

    def __init__(self, patient: bool) -> None:
        self._patient = patient
        self.playing = True
        self.speed = 8.0
        self.stopped = ""  # at which breakpoint the run has stopped, until somebody takes it
        self._credit = 0.0
        self._owed = 0  # units that a command has asked for and that are still to be run

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether more units change nothing."""

    @property
    @abstractmethod
    def pace(self) -> float:
        """Units a second that can be run, as measured; 0 before they were."""

    @abstractmethod
    def advance(self, units: int) -> int:
        """Run so many units; how many were run."""

    @abstractmethod
    def walk(self, seconds: float) -> None:
        """Let who walks beside go for so long."""

    @abstractmethod
    def walks_in(self) -> float:
        """Seconds until the next step of a walk; infinity for never."""

    @property
    def hurries(self) -> bool:
        """Whether it runs as fast as it can."""
        return self.playing and math.isinf(self.speed) and not self.finished

    @property
    def patient(self) -> bool:
        """Whether time is simulated: everything then waits until it is done."""
        return self._patient

    def tick(self, seconds: float) -> None:
        """Let time pass: run what is due. In real time at most one chunk is run, so that commands are heard."""
        if self._owed:
            done = self.advance(min(self._owed, self._chunk()))
            self._owed = max(0, self._owed - done) if done else 0  # a breakpoint may have stopped it
        if not self.playing:
            return
        if math.isinf(self.speed):
            if self._patient:
                self._credit += FULL_SPEED * seconds
            else:
                self._credit = max(1.0, self.pace * BUDGET)
        else:
            self._credit += self.speed * seconds
            if not self._patient:  # what a busy machine could not run in time is not made up for
                self._credit = min(self._credit, max(1.0, self.speed * 0.25))
        units = int(self._credit)
        if units:
            self._credit -= units
            self.advance(min(units, self._chunk()))
        self.walk(seconds)

    def due_in(self) -> float:
        """Seconds until the next unit or a walker's next step is due, as the speed has it; infinity for never."""
        if self._owed:
            return 0.0
        if not self.playing:
            return math.inf
        waits = [self.walks_in()]
        if not self.finished:
            waits.append(0.0 if math.isinf(self.speed) else max(0.0, 1.0 - self._credit) / max(self.speed, 1e-9))
        return min(waits)

    def _chunk(self) -> int:
        """Units that may be run before commands are heard again."""
        if self._patient or not self.pace:
            return 1 << 62
        return max(1, int(self.pace * BUDGET))

    def _play(self, playing: bool) -> None:
        self.playing = bool(playing)
        self._owed = 0

    def set_speed(self, speed: float) -> None:
        """Units a second; infinity for as fast as possible."""
        self.speed = float(speed)
        self._credit = 0.0

    def step(self, units: int = 1) -> None:
        """Run so many units; more than a chunk of them bit by bit, so that commands are heard."""
        units = int(units)
        if units < 1:
            raise ValueError(f"a step is of at least one unit, not {units}")
        first = min(units, self._chunk())
        self.advance(first)
        self._owed = 0 if self.stopped else units - first
