"""The plot: cost against d, p, k and particles, accuracy against time, lines against targets.

`python -m benchmarks.plot` prints what the page shows of `latest.json`, and draws `latest.svg`;
with `--store` it is what later runs are held against, `stored.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import Line, Run, page
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
SGD = ("projected", "direct", "NumPy", "PyTorch", "JAX", "JAX float32")


def draw(run: Run, path: Path) -> None:
    """Write the plot of a run to `path`, format by its ending."""
    with mpl_style.context(["default", STYLE | {"svg.fonttype": "none"}]):  # whoever draws it
        figure = Figure(figsize=(TWO, 14))
        upper, lower = figure.subfigures(2, 1, height_ratios=[3, 2])
        grid, curves = upper.add_gridspec(3, 2), run.curves()
        for n, (panel, (title, x, y)) in enumerate(PANELS.items()):
            ax = upper.add_subplot(grid[divmod(n, 2)])
            for nth, (series, points) in enumerate(curves[panel].items()):
                c = SGD.index(series) if series in SGD else nth
                style = {"color": COLOURS[c % len(COLOURS)], "marker": MARKERS[c % len(MARKERS)]}
                ax.loglog(*zip(*points, strict=True), label=series, markersize=4, **style)
            ax.set(title=title, xlabel=x, ylabel=y)
            ax.legend(handlelength=1, labelspacing=0.2)
        _targets(lower.add_subplot(), run.lines())
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _targets(ax: Axes, lines: list[Line]) -> None:
    """Every line with a target, in units of it: right of one is met."""
    rows = [
        (line.name, line.better) for line in reversed(lines) if line.better and line.target != 0
    ]
    for n, (_, better) in enumerate(rows):
        met = better >= 1
        ax.plot([1, better], [n, n], color="0.7")
        ax.plot(better, n, MARKERS[0 if met else 1], color=COLOURS[0 if met else 1])
    ax.axvline(1, color="black")
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    label = "times better than its target (circle: met, square: not met)"
    ax.set(xscale="log", xlabel=label, title="lines with a target")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("--store", action="store_true", help="keep the times in stored.json")
    latest, asked = Path(__file__).with_name("latest.json"), parser.parse_args()
    content, stored = json.loads(latest.read_text("utf-8")), latest.with_name("stored.json")
    if asked.store:
        stored.write_text(json.dumps(Run(content).timed(), indent=1) + "\n", "utf-8")
    print(page(content, json.loads(stored.read_text("utf-8"))))
    draw(Run(content), latest.with_suffix(".svg"))
