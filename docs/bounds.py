"""Draws docs/images/bounds.png: how upper and lower bounds close on V* while value iteration sweeps.

pip install matplotlib && python docs/bounds.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

import rlgrid
from rlgrid.solvers import Sweeps

WORLD, GAMMA, SWEEPS = "four_rooms", 0.95, 260
INK, MUTED, BLUE, ORANGE = "#1f2430", "#6b7280", "#2463a6", "#c2571a"


def main() -> None:
    """Sweep, record, draw."""
    model = rlgrid.GridSpec.builtin(WORLD).compile()
    start = int(model.start_states[0])
    exact = rlgrid.solve(model, GAMMA, tolerance=1e-13).values
    sweeps = Sweeps(model, GAMMA)
    rows = []
    for _ in range(SWEEPS):
        sweeps.sweep()
        rows.append(
            (
                sweeps.values[start],
                sweeps.lower[start],
                sweeps.upper[start],
                np.abs(sweeps.residual).max(),
                np.abs(sweeps.values - exact).max(),
                sweeps.error_bound,
            )
        )
    value, lower, upper, change, error, bound = np.array(rows).T
    i = np.arange(1, SWEEPS + 1)

    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.labelcolor": INK})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.3), constrained_layout=True)
    shown = slice(0, 90)
    left.fill_between(i[shown], lower[shown], upper[shown], color=BLUE, alpha=0.13, linewidth=0)
    left.plot(i[shown], upper[shown], color=BLUE, linewidth=1.8)
    left.plot(i[shown], lower[shown], color=BLUE, linewidth=1.8)
    left.plot(i[shown], value[shown], color=ORANGE, linewidth=1.8, linestyle=(0, (4, 2)))
    left.axhline(exact[start], color=INK, linewidth=1.0)
    left.set_ylim(-0.06, 1.0)
    left.set_xlim(0, 90)
    left.set_xlabel("sweep i")
    left.set_title(f"The start state of four rooms, gamma = {GAMMA}", loc="left", fontsize=11)
    left.annotate("upper", (24, upper[23]), xytext=(8, 8), textcoords="offset points", color=BLUE)
    left.annotate("lower", (26, lower[25]), xytext=(-42, 2), textcoords="offset points", color=BLUE)
    left.annotate("V$_i$", (32, value[31]), xytext=(8, -14), textcoords="offset points", color=ORANGE)
    left.annotate(f"V* = {exact[start]:.4f}", (88, exact[start]), xytext=(0, 5), textcoords="offset points", ha="right")

    right.semilogy(i, bound, color=BLUE, linewidth=1.8)
    known = error > 1e-12  # V* is known to 1e-13
    right.semilogy(i[known], error[known], color=INK, linewidth=1.4)
    right.semilogy(i[change > 1e-13], change[change > 1e-13], color=ORANGE, linewidth=1.8, linestyle=(0, (4, 2)))
    right.set_xlim(0, SWEEPS)
    right.set_xlabel("sweep i")
    right.set_title("The whole world", loc="left", fontsize=11)
    right.annotate("proven error", (66, bound[65]), xytext=(8, 6), textcoords="offset points", color=BLUE)
    right.annotate(
        "true error, max |V$_i$ $-$ V*|",
        (112, error[111]),
        xytext=(155, 3e-8),
        color=INK,
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8},
    )
    right.annotate(
        "largest change\nof the sweep",
        (84, change[83]),
        xytext=(12, 3e-9),
        color=ORANGE,
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8},
    )
    left.set_ylabel("value")
    right.set_ylabel("error or change")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(MUTED)
        axes.tick_params(colors=MUTED)
        axes.grid(color="#000000", alpha=0.07, linewidth=0.8)
    figure.savefig(Path(__file__).parent / "images" / "bounds.png", dpi=150)


if __name__ == "__main__":
    main()
