"""Drawings that several figures share: mean-field curves, and printed values beside ours.

Builds on `plotting`, `mean_field_trajectory` and `paper`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from twolayer.mean_field_trajectory import MeanFieldTrajectory
from twolayer.paper import Comparison
from twolayer.plotting import COLOURS, MARKERS, risk_axes, sgd_band
from twolayer.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def mean_field_panel(
    ax: Axes,
    curves: Mapping[int, MeanFieldTrajectory],
    limit: MeanFieldTrajectory | None,
    sgd: Mapping[int, Trajectory],
    as_printed: Mapping[int, np.ndarray] | None = None,
    every: int = 6,
) -> None:
    """Excess risk of finite p (coloured), of p = ∞ (black), and of SGD (markers).

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
        An SGD marker at every so many recorded times.
    """
    sizes = sorted({*curves, *sgd})
    for number, p in enumerate(sizes):
        colour, marker = COLOURS[1 + number], MARKERS[number]
        if p in curves:
            curve = curves[p]
            ax.plot(curve.t, curve.excess_risk, color=colour, label=f"p = {p:,}", zorder=3)
        if as_printed is not None and p in as_printed:
            ax.plot(curves[p].t, as_printed[p], color=colour, lw=0.9, ls=(0, (5, 2)), zorder=2)
        if p in sgd:
            sgd_band(ax, sgd[p], f"SGD, p = {p:,}", colour, marker, every=(number, every))
    if limit is not None:
        ax.plot(limit.t, limit.excess_risk, color="black", lw=1.4, label="p = ∞", zorder=3)
    if as_printed is not None:
        ax.plot([], [], color="0.4", lw=0.9, ls=(0, (5, 2)), label="computed as printed")
    risk_axes(ax)


def comparison_markdown(comparisons: Iterable[Comparison], parameter: str = "p") -> str:
    """Printed values beside ours, as a Markdown table.

    Parameters
    ----------
    comparisons : iterable of Comparison
    parameter : str
        What tells the curves apart.

    Returns
    -------
    str

    Examples
    --------
    >>> print(comparison_markdown([Comparison("3-left", 100, 1, 0.0195, 0.0196, 0.0230)]))
    | p | t | printed | computed as printed | | by the equations | |
    |---|---|---|---|---|---|---|
    | 100 | 1 | 0.0195 | 0.0196 | +0.51 % | 0.023 | +17.95 % |
    """
    lines = [
        f"| {parameter} | t | printed | computed as printed | | by the equations | |",
        "|---|---|---|---|---|---|---|",
    ]
    for c in comparisons:
        same, ours = (100 * (value / c.printed - 1) for value in (c.as_printed, c.ours))
        lines.append(
            f"| {c.curve:g} | {c.t:g} | {c.printed:.4g} | {c.as_printed:.4g} | {same:+.2f} % "
            f"| {c.ours:.4g} | {ours:+.2f} % |"
        )
    return "\n".join(lines)


def largest(comparisons: Iterable[Comparison]) -> dict[str, str]:
    """The number of printed values, and the largest relative differences, as `results`.

    Parameters
    ----------
    comparisons : iterable of Comparison
        At least one.

    Returns
    -------
    dict
        "printed_count", "printed_worst" (computed as printed) and "equations_worst".
    """
    found = list(comparisons)
    same = max(abs(c.as_printed / c.printed - 1) for c in found)
    ours = max(abs(c.ours / c.printed - 1) for c in found)
    return {
        "printed_count": f"{len(found)}",
        "printed_worst": f"{100 * same:.2f} %",
        "equations_worst": f"{100 * ours:.0f} %" if ours < 10 else f"a factor {1 + ours:.3g}",
    }
