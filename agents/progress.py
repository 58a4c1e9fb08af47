"""What a person sees of a run: a line now and then, or a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent

REFRESH = 0.1  # seconds between two states of the progress bar


def _format(metrics: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


class Log:
    """A line after every ``interval`` episodes, or units where there are no episodes."""

    def __init__(self, agent: Agent, interval: int | None) -> None:
        self._agent, self._interval = agent, interval
        self._last = self._count()
        self._begin, self._first = time.perf_counter(), agent.num_timesteps

    def _count(self) -> int:
        return len(self._agent.episode_returns) if self._agent.unit == "step" else self._agent.num_timesteps

    def line(self) -> None:
        if self._interval is None or self._count() < self._last + self._interval:
            return
        self._last = self._count()
        agent = self._agent
        speed = (agent.num_timesteps - self._first) / max(time.perf_counter() - self._begin, 1e-9)
        print(f"{agent.unit} {agent.num_timesteps}  {_format(agent.metrics())}  {speed:,.0f} {agent.unit}s/s")


@contextmanager
def show_progress(agent: Agent, enabled: bool) -> Iterator[Callable[[], None]]:
    if not enabled:
        yield lambda: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    first, begin = agent.num_timesteps, time.perf_counter()
    due = begin

    def fixed() -> Column:
        return Column(no_wrap=True)

    columns = (
        TextColumn("{task.description}", table_column=fixed()),
        BarColumn(bar_width=20, table_column=fixed()),
        TaskProgressColumn(table_column=fixed()),
        TextColumn("{task.fields[speed]}", table_column=fixed()),
        TimeElapsedColumn(table_column=fixed()),
        TimeRemainingColumn(table_column=fixed()),
        # What has no room on the line is the metrics.
        TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, expand=True) as progress:
        name = type(agent).__name__
        task = progress.add_task(name, total=agent.total_timesteps, completed=first, speed="", metrics="")

        def show(last: bool = False) -> None:
            nonlocal due
            now = time.perf_counter()
            if now < due and not last:
                return
            due = now + REFRESH
            speed = (agent.num_timesteps - first) / max(now - begin, 1e-9)
            progress.update(
                task,
                completed=agent.num_timesteps,
                speed=f"{speed:,.0f} {agent.unit}s/s",
                metrics=_format(agent.metrics()),
            )

        try:
            yield show
        finally:
            show(last=True)
