"""Scalars of a run by name: recorded where they are found, handed on all at once with the step that they belong to.

The names are Stable-Baselines3's: ``rollout/ep_rew_mean``, ``time/fps``, ``eval/mean_reward``, ``train/...``. Files of
TensorBoard are written by tensorboardX, an optional extra (``pip install "rlgrid[tensorboard]"``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

SILENT = 3600.0  # seconds after which a writer would flush by itself: every `Logger.dump` does

# Metrics of agents that Stable-Baselines3 has a name for; the others are train/NAME.
NAMES = {
    "episodes": "time/episodes",
    "mean_return": "rollout/ep_rew_mean",
    "mean_length": "rollout/ep_len_mean",
    "epsilon": "rollout/exploration_rate",
    "updates": "train/n_updates",
}


def scalars_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """An agent's metrics under Stable-Baselines3's names."""
    return {NAMES.get(name, f"train/{name}"): value for name, value in metrics.items()}


class Output(Protocol):
    """Where scalars go."""

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Take the scalars of one step."""

    def close(self) -> None:
        """Nothing more comes."""


class Logger:
    """What callbacks record scalars with; ``dump`` hands them on.

    Attributes:
        name_to_value: what was recorded since the last dump.
    """

    def __init__(self, *outputs: Output) -> None:
        self._outputs = outputs
        self.name_to_value: dict[str, float] = {}

    def __reduce__(self) -> tuple[type[Logger], tuple[()]]:
        return Logger, ()  # an agent that is sent elsewhere does not take open files along

    def record(self, name: str, value: float) -> None:
        """Have a scalar handed on by the next `dump`; a later value of the same name replaces it."""
        self.name_to_value[name] = float(value)

    def dump(self, step: int = 0) -> None:
        """Hand on what was recorded, as of ``step``."""
        recorded, self.name_to_value = self.name_to_value, {}
        if recorded:
            for output in self._outputs:
                output.write(recorded, step)

    def close(self) -> None:
        """Close every output."""
        for output in self._outputs:
            output.close()


def summary_writer() -> Any:
    """tensorboardX's writer.

    Raises:
        ImportError: if it is not installed, saying how it is.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(
            'files of TensorBoard are written by tensorboardX: python -m pip install "rlgrid[tensorboard]"'
        ) from error
    return SummaryWriter


class TensorBoard:
    """An `Output` that writes an event file into a folder, for ``tensorboard --logdir FOLDER``.

    Args:
        folder: made where it is not there.
        after: of a run that goes on, the step at which it does: what files in the folder hold of later ones is made
            again, and not shown.

    Raises:
        ImportError: if tensorboardX is not installed, saying how it is.
    """

    def __init__(self, folder: str | os.PathLike[str], after: int = 0) -> None:
        self._writer: Any = summary_writer()(
            os.fspath(folder), flush_secs=SILENT, purge_step=after + 1 if after else None
        )

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
