"""Learning curves of many runs as a picture: the interquartile mean at every point, and a band around it.

The band is the pointwise bootstrap interval of the interquartile mean (`rlgrid.statistics`): how well the runs settle
the curve, not how far they lie apart. Colours are those of Okabe and Ito (2008), which people with any kind of colour
vision tell apart; the lines differ in their dashes too, so that a print in grey says the same.

Needs matplotlib, the extra ``plots``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.runs import MEASURES, Runs, check_measure
from rlgrid.statistics import CONFIDENCE, bootstrap_interval, interquartile_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
POINTS = 400  # drawn of a curve; a picture has no more columns to show
RESAMPLES = 1_000
SIZE = (8.0, 4.8)  # inches
DPI = 160
KINDS = (".png", ".svg", ".pdf")


def plot(
    runs: Runs | Sequence[Runs],
    path: str | os.PathLike[str] | None = None,
    measure: str | None = None,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    logarithmic: bool = False,
    limits: Sequence[float] | None = None,
    confidence: float = CONFIDENCE,
) -> Figure:
    """Draw a curve for each of several `Runs`, and for each of their settings.

    Args:
        runs: one, or several, of one world or of several.
        path: where to write the picture (.png, .svg or .pdf), or None.
        measure: a key of `rlgrid.runs.MEASURES`; None is the one that says most and that all have.
        labels: of the curves, in their order; None names agents, worlds and settings, as far as they differ.
        title: above the picture; None is the world, if there is one alone.
        logarithmic: of the axis of the measure; what is not positive is not drawn.
        limits: of that axis, (lowest, highest); None shows all.
        confidence: of the bands.

    Raises:
        ModuleNotFoundError: without matplotlib, naming the remedy.
        ValueError: naming what is wrong.
    """
    several = [runs] if isinstance(runs, Runs) else list(runs)
    if not several or not all(isinstance(one, Runs) and len(one) for one in several):
        raise ValueError("there is nothing to plot: give the runs of rlgrid.learn_many, or Runs.load(folder)")
    target = None if path is None else Path(path)
    if target is not None and target.suffix.lower() not in KINDS:
        raise ValueError(f"{target} must end in one of {', '.join(KINDS)}, as in {target.stem or 'curves'}.png")
    measure = check_measure(measure) if measure is not None else _common_measure(several)
    curves = [(plan, setting, part) for plan, one in enumerate(several) for setting, part in one.groups().items()]
    names = _names(several, [(several[plan], setting) for plan, setting, _ in curves]) if labels is None else labels
    if len(names) != len(curves):
        raise ValueError(f"there are {len(curves)} curves and {len(names)} labels: give each one label")
    if len(curves) > len(COLOURS) * len(DASHES):
        raise ValueError(f"{len(curves)} curves cannot be told apart: choose some with Runs.select")
    figure = new_figure()
    axes = figure.add_subplot()
    ends, spans = [], []
    for number, (_, _, part) in enumerate(curves):
        ends.append(_draw(axes, part, measure, names[number], number, confidence, logarithmic))
        spans += part.curve(measure)[0][[0, -1]].tolist()
    worlds = list(dict.fromkeys(one.plan.env for one in several))
    chosen = worlds[0] if title is None and len(worlds) == 1 else title
    _label(axes, several, measure, chosen, (min(spans), max(spans)), logarithmic)
    if limits is not None:
        lowest, highest = (float(limit) for limit in limits)
        if not lowest < highest or (logarithmic and lowest <= 0.0):
            raise ValueError(f"limits must rise{' and be positive' * logarithmic}, not {lowest:g} and {highest:g}")
        axes.set_ylim(lowest, highest)
    counts = sorted({len(part) for _, _, part in curves})
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    note = f"interquartile mean of {count} runs and its {100 * confidence:g} % bootstrap interval"
    axes.text(1.0, 1.015, note, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5, color="#666666")
    if len(curves) > 1 or names[0]:
        _legend(axes, ends, MEASURES[measure].more_is_better)
    if target is not None:
        write_figure(figure, target)
    return figure


def _common_measure(several: Sequence[Runs]) -> str:
    measures = [one.best_measure() for one in several]
    order = ("share_of_regret", "regret", "value", "mean_return", "episode_return")
    return max(measures, key=order.index)


def _names(several: Sequence[Runs], curves: Sequence[tuple[Runs, str]]) -> list[str]:
    """Names of curves by what they differ in."""
    from rlgrid.agents import AGENTS

    worlds = len({one.plan.env for one in several}) > 1
    names = []
    for runs, setting in curves:
        plan = runs.plan
        parts = [AGENTS.get(plan.agent, plan.agent), *([plan.env] if worlds else []), *([setting] if setting else [])]
        names.append(", ".join(parts))
    if len(set(names)) < len(names):  # one agent and world in several folders: all settings tell them apart
        for i, (runs, setting) in enumerate(curves):
            fixed = {key: value for key, value in runs[0].settings.items() if f"{key}=" not in setting}
            names[i] = ", ".join([names[i], *(f"{key}={value!r}" for key, value in fixed.items())])
    return names


def new_figure(size: tuple[float, float] = SIZE) -> Figure:
    """A figure of so many inches.

    Raises:
        ModuleNotFoundError: without matplotlib, naming the remedy.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures of curves need matplotlib: python -m pip install "rlgrid[plots]"', name=error.name
        ) from error
    return Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")


def _draw(
    axes: Any, runs: Runs, measure: str, name: str, number: int, confidence: float, logarithmic: bool
) -> tuple[float, Any]:
    """Draw a curve and its band; (its height at the end, its line)."""
    x, y = runs.curve(measure)
    if len(x) > POINTS:
        chosen = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(np.int64))
        x, y = x[chosen], y[:, chosen]
    whole = ~np.isnan(y).any(axis=0)  # where every run has a number
    x, y = x[whole], y[:, whole]
    if not len(x):
        raise ValueError(f"{name or runs.plan.agent} has no point where all runs have {measure}")

    def column_means(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = interquartile_mean(drawn, axis=0)
        return means

    middle = column_means(y)
    low, high = bootstrap_interval(column_means, y, paired=True, confidence=confidence, resamples=RESAMPLES)
    shown: list[NDArray[np.float64]] = []
    for line in (middle, low, high):
        drawn = np.where(np.isfinite(line), line, np.nan)
        shown.append(np.where(drawn > 0.0, drawn, np.nan) if logarithmic else drawn)
    if np.isnan(shown[0]).all():
        raise ValueError(f"{name or runs.plan.agent} has no finite {'positive ' * logarithmic}{measure} to draw")
    # The bound of a band may be infinite, or 0 on a logarithmic axis: it is then the edge of the picture.
    colour = COLOURS[number % len(COLOURS)]
    dash = DASHES[number % len(DASHES)]
    (drawn_line,) = axes.plot(x, shown[0], color=colour, linestyle=dash, linewidth=2.0, label=name, zorder=3)
    known = ~np.isnan(shown[0])
    floor = np.nanmin(shown[0]) * 0.5 if logarithmic else np.nan
    bottom = np.where(np.isnan(shown[1]), floor if logarithmic else shown[0], shown[1])
    top = np.where(np.isnan(shown[2]), shown[0], shown[2])
    axes.fill_between(x, bottom, top, where=known, color=colour, alpha=0.18, linewidth=0.0, zorder=2)
    last = shown[0][known][-1]
    return float(last), drawn_line


def _label(
    axes: Any, several: Sequence[Runs], measure: str, title: str | None, span: tuple[int, int], logarithmic: bool
) -> None:
    from matplotlib.ticker import EngFormatter

    units = sorted({f"{one.plan.unit}s" for one in several})
    what = MEASURES[measure]
    axes.set_xlabel("episodes" if what.by_episode else _axis_of(units), fontsize=11)
    gammas = {one.plan.gamma for one in several}
    gamma = next(iter(gammas)) if len(gammas) == 1 else None
    note = f", gamma = {gamma:g}" if gamma is not None and measure in {"value", "regret"} else ""
    label = what.label if not note else f"{what.label.removesuffix(')')}{note})"
    axes.set_ylabel(label, fontsize=11)
    if title:
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=8)
    if logarithmic:
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    if not logarithmic:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}".replace("-", "\N{MINUS SIGN}"))
    if span[0] < span[1]:
        axes.set_xlim(*span)
    axes.grid(color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#333333", labelsize=10, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
    if measure in {"regret", "share_of_regret"} and not logarithmic:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.axhline(0.0, color="#999999", linewidth=0.8, zorder=1)


def _axis_of(units: Sequence[str]) -> str:
    return {"steps": "steps of the environment", "sweeps": "sweeps over the model"}.get(units[0], units[0])


def _legend(axes: Any, ends: Sequence[tuple[float, Any]], more_is_better: bool) -> None:
    """The names in the order in which the curves end, uppermost first."""
    ordered = [line for _, line in sorted(ends, key=lambda end: -end[0])]
    place = "lower right" if more_is_better else "upper right"
    axes.legend(
        handles=ordered,
        loc=place,
        fontsize=10,
        frameon=True,
        framealpha=0.9,
        edgecolor="none",
        handlelength=2.8,
        labelcolor="#222222",
    )


def write_figure(figure: Figure, target: Path) -> None:
    """Write a picture; the one that was there is replaced at the end."""
    import io

    from matplotlib import rc_context

    from rlgrid.atomic import write_atomically

    content = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "rlgrid", "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", "Glyph")  # of a title in a script that the font lacks
        figure.savefig(content, format=target.suffix[1:].lower(), metadata=_no_dates(target.suffix.lower()))
    write_atomically(target, content.getvalue())


def _no_dates(suffix: str) -> dict[str, Any]:
    """What keeps a picture of the same runs the same file."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
