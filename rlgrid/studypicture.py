"""A study as a picture: how its score went, and against the values of each argument.

On the left every trial by its number, with the best so far as a line; then a panel for each argument, the trials by
its value. Trials that were stopped early are drawn open, at the number at which they were stopped. Needs matplotlib,
the extra ``plots``.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgrid.curves import COLOURS, KINDS, new_figure, write_figure
from rlgrid.space import Choice, Dimension, space_of
from rlgrid.study import MEASURES, Study, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = (3.4, 3.2)  # inches
ACROSS = 4  # panels in a row


def plot_study(
    study: Study,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Draw a study.

    Args:
        study: with a trial at least that has a finite score.
        path: where to write the picture (.png, .svg or .pdf), or None.
        title: above the picture; None is agent and world.
        logarithmic: of the scores; what is not positive is not drawn.

    Raises:
        ModuleNotFoundError: without matplotlib, naming the remedy.
        ValueError: naming what is wrong.
    """
    target = None if path is None else Path(path)
    if target is not None and target.suffix.lower() not in KINDS:
        raise ValueError(f"{target} must end in one of {', '.join(KINDS)}, as in {target.stem or 'study'}.png")
    drawn = [trial for trial in study if math.isfinite(trial.score) and (trial.score > 0 or not logarithmic)]
    if not drawn:
        raise ValueError(f"no trial of {len(study)} has a finite {'positive ' * logarithmic}score to draw")
    space = space_of(study.plan.space)
    count = 1 + len(space)
    rows, columns = math.ceil(count / ACROSS), min(count, ACROSS)
    figure = new_figure((PANEL[0] * columns, PANEL[1] * rows + 0.4))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    _history(panels[0], study, drawn)
    for axes, (name, one) in zip(panels[1:], space.items(), strict=False):
        _slice(axes, drawn, name, one)
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        _look(axes)
    if logarithmic:
        panels[0].set_yscale("log")
    for axes in panels[:count:columns]:
        axes.set_ylabel(MEASURES[study.plan.measure].label.replace(" (", "\n("), fontsize=10)
    shown = f"{study.plan.agent} in {study.plan.env}" if title is None else title
    figure.suptitle(shown, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper right", ncols=3, fontsize=9, frameon=False)
    if target is not None:
        write_figure(figure, target)
    return figure


def _history(axes: Any, study: Study, drawn: list[Trial]) -> None:
    _scatter(axes, drawn, [trial.number for trial in drawn])
    best, so_far = math.inf, []
    for trial in study:
        if trial.state == "complete" and not math.isnan(trial.score):
            best = min(best, study.sign * trial.score)
        so_far.append((trial.number, study.sign * best))
    known = [(number, value) for number, value in so_far if math.isfinite(value)]
    if known:
        axes.step(
            *zip(*known, strict=True), where="post", color=COLOURS[1], linewidth=1.6, label="best so far", zorder=2
        )
    axes.set_xlabel("trial", fontsize=10)


def _slice(axes: Any, drawn: list[Trial], name: str, one: Dimension) -> None:
    axes.set_xlabel(name, fontsize=10)
    if not isinstance(one, Choice):
        _scatter(axes, drawn, [trial.params[name] for trial in drawn])
        if one.log:
            axes.set_xscale("log")
        return
    texts = [value if isinstance(value, str) else json.dumps(value) for value in one.values]
    keys = [json.dumps(value, sort_keys=True) for value in one.values]
    places = np.array([keys.index(json.dumps(trial.params[name], sort_keys=True)) for trial in drawn], np.float64)
    # Side by side, so that trials with one value do not hide each other; by their number, not at random.
    places += np.array([(trial.number * 0.618034) % 1.0 - 0.5 for trial in drawn]) * 0.5
    _scatter(axes, drawn, places.tolist())
    axes.set_xticks(range(len(texts)), texts)
    axes.set_xlim(-0.6, len(texts) - 0.4)


def _scatter(axes: Any, drawn: list[Trial], places: list[Any]) -> None:
    for state, face, label in (("complete", COLOURS[0], "trial"), ("pruned", "none", "stopped early")):
        chosen = [(x, trial.score) for x, trial in zip(places, drawn, strict=True) if trial.state == state]
        if chosen:
            x, y = zip(*chosen, strict=True)
            axes.scatter(x, y, s=26, facecolors=face, edgecolors=COLOURS[0], linewidths=1.0, label=label, zorder=3)


def _look(axes: Any) -> None:
    axes.grid(color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#333333", labelsize=9, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
