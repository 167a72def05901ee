r"""Numbers of the paper itself: what its printed curves say, as data to compare with."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

import numpy as np

from companion.claims.tables import table
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.trajectory import Trajectory
from twolayer.support.checks import check_choice


@dataclass(frozen=True)
class PrintedValue:
    """One point of a printed ODE curve of arXiv:2302.05882, four digits off the vector figure.

    `curve` tells the curves of a figure apart: Δ in figures 2 right and 4, p in the others.
    Reading is not free of error: at figure 4, Δ = 1, t = 100 fixed-step Euler integration with
    dt = 10⁻³, the method of the paper, gives 0.0010046 where the figure reads 0.00101.
    """

    figure: str
    curve: float
    t: float
    excess_risk: float


@dataclass(frozen=True)
class Comparison:
    """A printed value beside ours, by the equations and computed as the published numerics did."""

    figure: str
    curve: float
    t: float
    printed: float
    as_printed: float
    ours: float


class Curve(Protocol):
    """Anything with times and an excess risk: a `Trajectory`, a `MeanFieldTrajectory`."""

    t: np.ndarray
    excess_risk: np.ndarray


def printed_values(figure: str) -> list[PrintedValue]:
    """The points read off one figure: "2-right", "3-left", "3-right", "4", "5a", "5b" or "5c".

    Examples
    --------
    >>> printed_values("2-right")[0]
    PrintedValue(figure='2-right', curve=0.001, t=1.0, excess_risk=0.01975)
    """
    text = resources.files("companion.claims").joinpath("printed_values.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    values = [
        PrintedValue(r["figure"], float(r["curve"]), float(r["t"]), float(r["excess_risk"]))
        for r in rows
    ]
    check_choice("figure", figure, sorted({v.figure for v in values}))
    return [v for v in values if v.figure == figure]


def compare(
    figure: str,
    curves: Mapping[float, Curve],
    as_printed: Mapping[float, np.ndarray] | None = None,
) -> list[Comparison]:
    """Set our curves beside the printed values of a figure.

    Parameters
    ----------
    figure : str
    curves : mapping
        Parameter of the curve → its trajectory.  Printed values of other curves, or at times
        that a trajectory does not hold exactly, are left out.
    as_printed : mapping, optional
        Parameter of the curve → excess risk at the same times, the way the published numerics
        computed it; the same as `curves` by default.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> curve = SimpleNamespace(t=np.array([1.0]), excess_risk=np.array([0.0198]))
    >>> [found] = compare("2-right", {1e-3: curve})
    >>> f"{found.ours / found.printed - 1:.2%}"
    '0.25%'
    """
    out = []
    for value in printed_values(figure):
        curve = curves.get(value.curve)
        where = () if curve is None else np.flatnonzero(curve.t == value.t)
        if curve is None or len(where) == 0:
            continue
        ours = float(curve.excess_risk[where[0]])
        same = ours if as_printed is None else float(as_printed[value.curve][where[0]])
        out.append(Comparison(figure, value.curve, value.t, value.excess_risk, same, ours))
    return out


def comparison_markdown(comparisons: Iterable[Comparison], parameter: str = "p") -> str:
    r"""Printed values beside ours, as a Markdown table; `parameter` tells the curves apart.

    Examples
    --------
    >>> found = comparison_markdown([Comparison("3-left", 100, 1, 0.0195, 0.0196, 0.0230)])
    >>> print(found.replace("\u00a0", " "))
    | p | t | printed | computed as printed |  | by the equations |  |
    |---|---|---|---|---|---|---|
    | 100 | 1 | 0.0195 | 0.0196 | +0.51 % | 0.023 | +17.95 % |
    """
    rows = []
    for c in comparisons:
        row = [f"{c.curve:g}", f"{c.t:g}", f"{c.printed:.4g}"]
        for value in (c.as_printed, c.ours):
            row += [f"{value:.4g}", f"{100 * (value / c.printed - 1):+.2f} %"]
        rows.append(row)
    head = (parameter, "t", "printed", "computed as printed", "", "by the equations", "")
    return table(head, rows)


def largest_differences(comparisons: Iterable[Comparison]) -> dict[str, str]:
    """The number of printed values, and the largest relative differences, as `results`."""
    found = list(comparisons)
    same = max(abs(c.as_printed / c.printed - 1) for c in found)
    ours = max(abs(c.ours / c.printed - 1) for c in found)
    return {
        "printed_count": f"{len(found)}",
        "printed_worst": f"{100 * same:.2f} %",
        "equations_worst": f"{100 * ours:.0f} %" if ours < 10 else f"a factor {1 + ours:.3g}",
    }


def nearer_to_sgd(
    runs: Trajectory, theory: Curve, as_printed: np.ndarray, tolerance: float = 0.01
) -> dict[str, str]:
    """Which of two curves SGD is nearer to, decade by decade of time, as `results`.

    A distance is the root mean square, over the times of a decade, of the logarithm of the mean
    excess risk of the runs over a curve.  Decades in which the distances differ by less than
    `tolerance` are left out.

    Parameters
    ----------
    runs : Trajectory
    theory : Trajectory or MeanFieldTrajectory
        One curve, at times that cover those of the runs; interpolated in both logarithms.
    as_printed : array, shape (T,)
        The excess risk of the other at the same times.
    tolerance : float

    Returns
    -------
    dict
        "nearer_equations" and "nearer_printed", the times at which either is nearer, and
        "far_equations" and "far_printed", the largest factor between it and the runs.

    Examples
    --------
    >>> import twolayer as tl
    >>> task, start = tl.Task("erf"), tl.Weights.in_target_span(p=2, k=1, d=20)
    >>> t = [0.1, 0.3, 1.0, 2.0]
    >>> sgd = tl.simulate(task, start, learning_rate=0.01, t_eval=t, runs=3)
    >>> ode = tl.solve(task, start.overlaps(), learning_rate=0.01, t_eval=t)
    >>> found = nearer_to_sgd(sgd, ode, ode.excess_risk * [1, 1, 2, 2])
    >>> found["nearer_equations"], found["nearer_printed"]
    ('1 to 2', 'never')
    """
    late, covered = runs.t > 0, theory.t > 0
    t, sampled = np.log(runs.t[late]), np.log(runs.excess_risk[:, late].mean(axis=0))
    grid = np.log(theory.t[covered])
    curves = {"equations": theory.excess_risk[covered], "printed": np.asarray(as_printed)[covered]}
    off = {name: sampled - np.interp(t, grid, np.log(risk)) for name, risk in curves.items()}
    decades = np.floor(t / np.log(10) + 1e-6)
    spans: dict[str, list[list[float]]] = {name: [] for name in curves}
    for decade in np.unique(decades):
        here = decades == decade
        distances = {name: np.sqrt((each[here] ** 2).mean()) for name, each in off.items()}
        best = min(distances, key=lambda name: distances[name])
        if max(distances.values()) > distances[best] + tolerance:
            first, last = 10.0**decade, min(10.0 ** (decade + 1), runs.t[-1])
            if spans[best] and spans[best][-1][1] == first:
                first = spans[best].pop()[0]
            spans[best].append([first, last])
    texts = {name: [f"{a:g} to {b:.3g}" for a, b in each] for name, each in spans.items()}
    return {f"nearer_{name}": ", ".join(each) or "never" for name, each in texts.items()} | {
        f"far_{name}": f"{np.exp(np.abs(each).max()):.3g}" for name, each in off.items()
    }


def risk_with_index_slip(mf: MeanFieldTrajectory) -> np.ndarray:
    """The excess risk of square as the published numerics plot it; equal weights, P = I.

    In tr Q̄² the middle term 2 Σ_j (MMᵀ)_jj q_j is computed there as 2 Σ_j Σ_l (MMᵀ)_jl q_j.
    The trajectories (M, q) are right; only the plotted risk of figures 3 and 5 c is not.

    Examples
    --------
    A single neuron has no other to be confused with:

    >>> import twolayer as tl
    >>> particles = tl.Particles([[0.5]], [1.0])
    >>> mf = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[1.0])
    >>> bool(risk_with_index_slip(mf)[0] == mf.excess_risk[0])
    True
    """
    total = mf.M.sum(axis=1)  # Σ_l m_l
    printed = np.einsum("tjr,tr,tj->t", mf.M, total, mf.q)
    right = np.einsum("tjr,tjr,tj->t", mf.M, mf.M, mf.q)
    return mf.excess_risk + 2 * (printed - right) / mf.M.shape[1] ** 2
