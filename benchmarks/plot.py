"""The plot: cost against d, p, k and particles, accuracy against time, lines against targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.drawing.colours import COLOURS
from companion.drawing.plotting import STYLE, TWO

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Panel → (title, x label, y label).
PANELS = {
    "sgd-d": ("SGD against dimension", "d", "µs a step"),
    "sgd-p": ("SGD against students", "p", "µs a step"),
    "sgd-k": ("SGD against targets", "k", "µs a step"),
    "ode-classical": ("gradient flow, p=10, k=2", "seconds", "relative error"),
    "ode-full": ("full flow, p=10, k=5", "seconds", "relative error"),
    "mean-field": ("mean field, a right-hand side", "particles", "seconds"),
}

#: Series that keep their colour from panel to panel.
SGD = ("projected", "direct", "NumPy", "PyTorch")


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Write the plot of a report to `path`, format by its ending."""
    with mpl_style.context(["default", STYLE | {"svg.fonttype": "none"}]):  # whoever draws it
        figure = Figure(figsize=(TWO, 14))
        upper, lower = figure.subfigures(2, 1, height_ratios=[3, 2])
        grid = upper.add_gridspec(3, 2)
        for n, (panel, (title, x, y)) in enumerate(PANELS.items()):
            ax = upper.add_subplot(grid[divmod(n, 2)])
            curves = [curve for curve in report["curves"] if curve["panel"] == panel]
            for n_th, curve in enumerate(curves):
                c = SGD.index(curve["series"]) if curve["series"] in SGD else n_th
                style = {"color": COLOURS[c % len(COLOURS)], "marker": MARKERS[c % len(MARKERS)]}
                xs, ys = zip(*curve["points"], strict=True)
                ax.loglog(xs, ys, label=curve["series"], markersize=4, **style)
            ax.set(title=title, xlabel=x, ylabel=y)
            if curves:
                ax.legend(handlelength=1, labelspacing=0.2)
        _targets(lower.add_subplot(), report["lines"])
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _targets(ax: Axes, lines: list[Mapping[str, Any]]) -> None:
    """Every line with a target, in units of it: right of one is met."""
    rows = []
    for line in lines:
        score = line["ratio"] if line["bounds"] == "ratio" else line["measured"]
        if line["target"] and score and line["met"] is not None:
            better = (
                line["target"] / score if line["sense"] == "at most" else score / line["target"]
            )
            rows.append((line["name"], better, line["met"]))
    for n, (_, better, met) in enumerate(reversed(rows)):
        ax.plot([1, better], [n, n], color="0.7")
        ax.plot(better, n, MARKERS[0 if met else 1], color=COLOURS[0 if met else 1])
    ax.axvline(1, color="black")
    ax.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    label = "times better than its target (circle: met, square: not met)"
    ax.set(xscale="log", xlabel=label, title="lines with a target")
