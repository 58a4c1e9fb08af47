"""The worker without a process: the engine in simulated time, for pictures and films that come out alike every time."""

from __future__ import annotations

from typing import Any

from rlgrid.window.actors import outcomes_of
from rlgrid.window.engine import Engine
from rlgrid.window.lanes import Lanes, engine_of
from rlgrid.window.scenario import Scenario
from rlgrid.window.worker import described, failure, left_of, look_at, told


class LocalLink:
    """Stands for `rlgrid.window.link.Link`; `clock` is the time that `pass_time` has let pass."""

    def __init__(self) -> None:
        self.run = 0
        self.time = 0.0
        self.engine: Engine | Lanes | None = None
        self._messages: list[tuple[Any, ...]] = []
        self._said: dict[str, Any] = {}

    def clock(self) -> float:
        """Simulated seconds."""
        return self.time

    def load(self, scenario: Scenario, playing: bool, speed: float) -> None:
        """Run a scenario."""
        self.run += 1
        self._messages, self._said = [], {}
        self.close()
        try:
            self.engine = engine_of(scenario, patient=True)
        except Exception as error:
            self.engine = None
            self._messages.append(("failed", failure(error)))
            return
        self.engine.playing = playing
        self.engine.set_speed(speed)
        self._messages.append(("doing", ""))
        self._messages.append(("world", self.run, self.engine.facts(), self.engine.parameters()))
        if isinstance(self.engine, Lanes):
            self._messages += described(self.engine, self.run)

    def send(self, name: str, *rest: Any) -> None:
        """A command of the run."""
        engine = self.engine
        if engine is None or name == "want":  # all of the tables are shown
            return
        try:
            engine.obey(name, *rest)
        except (ValueError, TypeError) as error:
            self._messages.append(("refused", str(error), left_of(engine, name, rest)))
        self._messages += described(engine, self.run)
        self._tell()
        if name not in ("play", "speed"):
            self._messages.append(self._pictured(engine))

    def show(self) -> None:
        """Say how things stand."""
        if self.engine is not None:
            self._messages += described(self.engine, self.run)
            self._messages.append(self._pictured(self.engine))
            self._tell()

    def _pictured(self, engine: Engine | Lanes) -> tuple[Any, ...]:
        if isinstance(engine, Lanes):
            return "lanes", self.run, engine.snapshots()
        return "snapshot", self.run, engine.snapshot()

    def fail(self, error: Exception) -> None:
        """The run has stopped, and says why."""
        if self.engine is not None:
            self.engine.close()
            self.engine = None
        self._messages.append(("failed", failure(error)))

    def _tell(self) -> None:
        """Say of the commands, the map and the history what the worker would say."""
        if self.engine is not None:
            for message in told(self.engine, self.run, self._said):
                self._messages.append(("notice", message[2]) if message[0] == "notice" else message)

    def inspect(self, state: int, deeply: bool = False) -> None:
        """Answer with the outcomes of a state, and from now on with what is seen of it."""
        if self.engine is not None and self.engine.model is not None:
            self._messages.append(("outcomes", self.run, state, outcomes_of(self.engine.model, state)))
            look_at(self.engine, state, deeply)
            self._tell()

    def receive(self) -> list[tuple[Any, ...]]:
        """What came in since the last time."""
        found, self._messages = self._messages, []
        return found

    def pass_time(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.time += seconds
        engine = self.engine
        if engine is None or not engine.playing:
            return
        try:
            engine.tick(seconds)
            self.show()
        except Exception as error:
            self.fail(error)

    def close(self) -> None:
        """End."""
        if self.engine is not None:
            self.engine.close()
            self.engine = None
