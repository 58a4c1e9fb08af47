"""How the pictures of docs/curves.py and docs/race.py look, and how their numbers come into the pages."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

PICTURES = Path(__file__).parent / "images"
INK, MUTED, BLUE, ORANGE, GREEN = "#1f2430", "#6b7280", "#2463a6", "#c2571a", "#2f7d4f"
COLOURS = {"QLearning": ORANGE, "Sarsa": BLUE, "ExpectedSarsa": GREEN}
NAMES = {"QLearning": "Q-learning", "Sarsa": "Sarsa", "ExpectedSarsa": "Expected Sarsa"}
# Lines are told apart without their colours too.
DASHES: list[Any] = ["-", (0, (6, 2)), (0, (2, 1.5))]
STYLES: dict[str, dict[str, Any]] = {
    agent: {"color": COLOURS[agent], "linestyle": dashes, "marker": marker, "markersize": 4.5, "markevery": (0.0, 0.12)}
    for agent, dashes, marker in zip(NAMES, DASHES, "os^", strict=True)
}

Floats = NDArray[np.float64]


def figure_of(panels: int = 1) -> tuple[Any, Any]:
    """A figure of this page, and its axes."""
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.labelcolor": INK})
    figure, axes = plt.subplots(1, panels, figsize=(5.0 * panels if panels > 1 else 6.4, 3.7), constrained_layout=True)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(colors=MUTED)
        one.grid(color="#e5e7eb", linewidth=0.8)
        one.set_axisbelow(True)
    return figure, axes


def level(axes: Any, height: float, text: str) -> None:
    """A line at an exact value, and beside the axes what it is."""
    axes.axhline(height, color=INK, linewidth=1.0, linestyle=(0, (1, 1.5)))
    axes.annotate(
        text,
        (1.0, height),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontsize=8.5,
    )


def name_line(axes: Any, text: str, at: float, height: float, colour: str) -> None:
    """Write beside a line what it is; a point of the picture's scales is the middle of the text."""
    axes.text(at, height, text, color=colour, fontsize=9.5, ha="center", va="center")


def save(figure: Any, name: str) -> None:
    """Write a picture of the page, in as few colours as it needs."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    few = Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.save(PICTURES / f"{name}.png", optimize=True)


def smooth(runs: Floats, over: int = 10) -> tuple[Floats, Floats]:
    """(middles [M], means [N, M]) of neighbouring episodes of runs [N, episodes], the first of which is number 1."""
    kept = runs.shape[1] // over * over
    return np.arange(over / 2, kept, over) + 0.5, runs[:, :kept].reshape(len(runs), -1, over).mean(axis=2)


def draw_mean(axes: Any, at: Floats, runs: Floats, color: str, **style: Any) -> None:
    """The mean of runs [N, M] at the points [M], in a band of 1.96 standard errors to either side."""
    mean, half = runs.mean(axis=0), 1.96 * runs.std(axis=0, ddof=1) / len(runs) ** 0.5
    axes.plot(at, mean, color=color, **{"linewidth": 1.6} | style)
    axes.fill_between(at, mean - half, mean + half, color=color, alpha=0.25, linewidth=0)


def between(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between the marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
