"""The look of the figures: one visual language, in one place.

Theory is a line, SGD is one mark, an open circle (the median) with a band or bar (the
central 68 % of the runs).  A colour is a regime, or SGD where all runs are compared with one
curve; black is what everything in a panel is compared with.  Sizes that approach a limit
are shades of one colour, darker towards the limit.  Curves are named at their ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.claims.printed import PrintedValue
from companion.drawing.colours import REGIMES, SGD, readable, shades
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Time and risk are written alike on all axes.
TIME = r"time $t = \nu\,\gamma/(pd)$"
RISK = r"excess risk $R - \Delta/2$"
#: How wide a figure of one panel is, and of two side by side, in inches.
ONE, TWO = 6.0, 6.9
#: The one mark of SGD.
_CIRCLE: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 4.8, "mfc": "white", "mew": 1.2}

#: Matplotlib settings of every figure of the book.
STYLE: dict[str, Any] = {
    "figure.figsize": (ONE, 4.2),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "twolayer",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


def time_axis(ax: Axes) -> None:
    """Label a logarithmic axis of time."""
    ax.set(xscale="log", xlabel=TIME)


def risk_axes(ax: Axes) -> None:
    """Label the axes of a figure of excess risk against time, both logarithmic."""
    time_axis(ax)
    ax.set(yscale="log", ylabel=RISK)


def quantiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 16 %, 50 % and 84 % quantiles over the first axis.

    Parameters
    ----------
    values : array, shape (R, T)

    Returns
    -------
    low, median, high : array, shape (T,)

    Examples
    --------
    >>> low, median, high = quantiles(np.arange(101.0)[:, None])
    >>> float(low[0]), float(median[0]), float(high[0])
    (16.0, 50.0, 84.0)
    """
    low, median, high = np.quantile(values, (0.16, 0.5, 0.84), axis=0)
    return low, median, high


def label_ends(ax: Axes, ends: Iterable[tuple[float, float, str, Any]], apart: float = 13) -> None:
    """Name curves at their right ends, in their colours, the names readable and apart.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With its scales and limits as they shall be.
    ends : iterable of (x, y, text, colour)
        Where each curve ends, and its name.
    apart : float
        Least distance of two names above each other, in points.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> label_ends(ax, [(1, 0.50, "p = 2", "black"), (1, 0.51, "p = 4", "red")])
    >>> [text.get_text() for text in ax.texts]
    ['p = 2', 'p = 4']
    """
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()  # the layout decides where a value lies
    points = 72 / figure.dpi
    ends = list(ends)
    at = ax.transData.transform([(x, y) for x, y, *_ in ends]) * points
    bottom = ax.bbox.y0 * points
    placed: list[tuple[float, float]] = []
    order = sorted(range(len(ends)), key=lambda i: at[i, 1])
    heights = {}
    for i in order:
        near = [y for x, y in placed if abs(x - at[i, 0]) < 70]
        heights[i] = max([at[i, 1], bottom + 4, *(y + apart for y in near)])
        placed.append((at[i, 0], heights[i]))
    for i, (x, y, text, colour) in enumerate(ends):
        ax.annotate(
            text,
            (x, y),
            (6, heights[i] - at[i, 1]),
            textcoords="offset points",
            color=readable(colour),
            va="center",
            zorder=6,
        )


def key(ax: Axes, theory: str = "ODE", sgd: str = "SGD", **where: Any) -> None:
    """A small legend of the marks: what a line is, what a circle is, and named extras.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What has a label in it is listed as well.
    theory, sgd : str
        Left out if empty.
    **where
        As `matplotlib.axes.Axes.legend` takes it.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> key(ax, "ODE", "SGD, d = 10")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['ODE', 'SGD, d = 10']
    """
    from matplotlib.lines import Line2D

    marks = []
    if theory:
        marks.append((Line2D([], [], color="0.3"), theory))
    if sgd:
        marks.append((Line2D([], [], **_CIRCLE, color="0.3"), sgd))
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        [mark for mark, _ in marks] + handles,
        [text for _, text in marks] + labels,
        **{"loc": "lower left"} | where,
    )


def sgd_points(
    ax: Axes, x: Any, y: Any, error: Any = None, colour: str = SGD, label: str | None = None
) -> None:
    """Draw numbers that were measured on SGD: circles with bars.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, y : array, shape (N,)
    error : array, shape (N,) or (2, N), optional
        Both ways, or below and above, as `matplotlib.axes.Axes.errorbar` takes it.
    colour : str
    label : str, optional

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> sgd_points(ax, [1, 2], [1, 2], [0.1, 0.1])
    """
    ax.errorbar(
        x, y, error, color=colour, label=label, capsize=2.5, elinewidth=1.2, zorder=4, **_CIRCLE
    )


def sgd_band(
    ax: Axes,
    runs: Trajectory,
    label: str | None = None,
    colour: str = SGD,
    every: int | tuple[int, int] = 1,
    x: np.ndarray | None = None,
) -> None:
    """Draw the excess risk of SGD: circles at the median, a band over the runs.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    runs : Trajectory
        From `simulate`.
    label : str, optional
        For a legend.
    colour : str
    every : int or (int, int)
        A circle at every so many recorded times, from the first or a later one on.
    x : array, shape (T,), optional
        Where to draw, instead of at the times.

    Examples
    --------
    >>> import matplotlib.figure
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=2, k=1, d=20)
    >>> run = tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 1, 2], runs=3)
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> sgd_band(ax, run, "SGD")
    >>> risk_axes(ax)
    >>> ax.get_legend_handles_labels()[1]
    ['SGD']
    """
    x = runs.t if x is None else x
    shown = x > 0
    quantile_band(ax, x[shown], runs.excess_risk[:, shown], label, colour, every)


def quantile_band(
    ax: Axes,
    x: np.ndarray,
    values: np.ndarray,
    label: str | None = None,
    colour: str = SGD,
    every: int | tuple[int, int] = 1,
) -> None:
    """Draw runs of SGD as `sgd_band` does, whatever was measured on them.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : array, shape (T,)
    values : array, shape (R, T)
    label, colour, every
        As in `sgd_band`.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> quantile_band(ax, np.arange(3.0), np.arange(12.0).reshape(4, 3))
    """
    low, median, high = quantiles(values)
    ax.fill_between(x, low, high, color=colour, alpha=0.22, lw=0)
    ax.plot(x, median, markevery=every, color=colour, label=label, zorder=4, **_CIRCLE)


def printed_marks(ax: Axes, values: Iterable[PrintedValue]) -> None:
    """Draw values read off the paper's curves as black crosses."""
    points = [(v.t, v.excess_risk) for v in values]
    style = {"color": "black", "ms": 8, "mew": 1.6, "zorder": 4}
    ax.plot(*zip(*points, strict=True), "x", label="printed in the paper", **style)


def mean_field_panel(
    ax: Axes,
    curves: Mapping[int, MeanFieldTrajectory],
    limit: MeanFieldTrajectory | None,
    sgd: Mapping[int, Trajectory],
    as_printed: Mapping[int, np.ndarray] | None = None,
    every: int = 6,
) -> dict[int, str]:
    """Excess risk of finite p (shades of the mean field), of p = ∞ (black), and of SGD.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    curves : mapping
        p → solution.
    limit : MeanFieldTrajectory, optional
        The p = ∞ solution.
    sgd : mapping
        p → runs, for some or all of these p.
    as_printed : mapping, optional
        p → the risk as the published numerics compute it: thin and dashed.
    every : int
        A circle at every so many recorded times.

    Returns
    -------
    dict
        p → its colour, named in a legend.
    """
    sizes = sorted({*curves, *sgd})
    colours = dict(zip(sizes, shades(REGIMES["mean field"], len(sizes)), strict=True))
    for number, (p, colour) in enumerate(colours.items()):
        if p in curves:
            curve = curves[p]
            ax.plot(curve.t, curve.excess_risk, color=colour, label=f"p = {p:,}", zorder=3)
        if as_printed is not None and p in as_printed:
            ax.plot(curves[p].t, as_printed[p], color=colour, lw=0.9, ls=(0, (5, 2)), zorder=2)
        if p in sgd:
            sgd_band(ax, sgd[p], None, colour, every=(number, every))
    if limit is not None:
        ax.plot(limit.t, limit.excess_risk, color="black", lw=1.4, label="p = ∞", zorder=3)
    if as_printed is not None:
        ax.plot([], [], color="0.4", lw=0.9, ls=(0, (5, 2)), label="computed as printed")
    risk_axes(ax)
    return colours
