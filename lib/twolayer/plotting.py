"""The look of the figures, in one place, and what is published beside each.

Theory is a line, SGD is markers with a band (median and the central 68 % of the
runs).  Colours are Okabe & Ito's, which remain distinct under colour blindness.
Builds on `trajectory`, `paper` and `claims`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.claims import Measurement, mean_and_error, with_error
from twolayer.paper import Comparison, PrintedValue
from twolayer.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from twolayer.mean_field_trajectory import MeanFieldTrajectory

    Result = Trajectory | MeanFieldTrajectory

#: Okabe & Ito's palette without yellow, black first.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
#: One marker for each curve of a figure, so that colour never stands alone.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Matplotlib settings of every figure of the book.
STYLE: dict[str, Any] = {
    "figure.figsize": (6.4, 4.2),
    "figure.constrained_layout.use": True,
    "font.size": 11,
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


def risk_axes(ax: Axes) -> None:
    """Label the axes of a figure of excess risk against time, both logarithmic."""
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"time $t = \nu\,\gamma/(pd)$  ($\nu$ steps)",
        ylabel=r"excess risk $R - \Delta/2$",
    )


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


def ratios(runs: Trajectory, theory: Trajectory, first: float, last: float) -> np.ndarray:
    """SGD's excess risk over the ODE's, run by run, averaged over the times of a span.

    Parameters
    ----------
    runs : Trajectory
        From `simulate`.
    theory : Trajectory
        From `solve`, at times > 0 that cover the span; interpolated in both logarithms.
    first, last : float
        The span of time.

    Returns
    -------
    array, shape (R,)
        Empty if nothing was recorded in the span.

    Examples
    --------
    >>> import twolayer as tl
    >>> task, start = tl.Task("erf"), tl.Weights.in_target_span(p=2, k=1, d=20)
    >>> sgd = tl.simulate(task, start, learning_rate=0.01, t_eval=[0.1, 0.2], runs=3)
    >>> ode = tl.solve(task, start.overlaps(), learning_rate=0.01, t_eval=[0.1, 0.2])
    >>> bool((abs(ratios(sgd, ode, 0.1, 0.3) - 1) < 0.1).all())
    True
    """
    here = (runs.t >= first) & (runs.t <= last)
    if not here.any():
        return np.empty(0)
    log_risk = np.interp(np.log(runs.t[here]), np.log(theory.t), np.log(theory.excess_risk))
    return (runs.excess_risk[:, here] / np.exp(log_risk)).mean(axis=1)


def uncertain(values: np.ndarray) -> str:
    """The mean of independent values with its standard error, as text.

    Parameters
    ----------
    values : array, shape (R,)
        At least two values.

    Returns
    -------
    str

    Examples
    --------
    >>> uncertain(np.array([0.98, 1.01, 1.03, 1.02]))
    '1.010 ± 0.011'
    """
    return with_error(*mean_and_error(values))


def sgd_band(
    ax: Axes, runs: Trajectory, label: str, colour: str, marker: str, every: int = 1
) -> None:
    """Draw the excess risk of SGD: markers at the median, a band over the runs.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    runs : Trajectory
        From `simulate`.
    label, colour, marker : str
    every : int
        A marker at every so many recorded times.

    Examples
    --------
    >>> import matplotlib.figure
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=2, k=1, d=20)
    >>> run = tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 1, 2], runs=3)
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> sgd_band(ax, run, "SGD", COLOURS[1], MARKERS[0])
    >>> risk_axes(ax)
    >>> ax.get_legend_handles_labels()[1]
    ['SGD']
    """
    low, median, high = quantiles(runs.excess_risk)
    shown = runs.t > 0
    ax.fill_between(runs.t[shown], low[shown], high[shown], color=colour, alpha=0.22, lw=0)
    ax.plot(
        runs.t[shown],
        median[shown],
        ls="none",
        marker=marker,
        ms=4.5,
        markevery=every,
        color=colour,
        mfc="white",
        mew=1.2,
        label=label,
    )


def printed_marks(ax: Axes, values: Iterable[PrintedValue]) -> None:
    """Draw values read off the paper's curves as black crosses."""
    points = [(v.t, v.excess_risk) for v in values]
    style = {"color": "black", "ms": 8, "mew": 1.6, "zorder": 4}
    ax.plot(*zip(*points, strict=True), "x", label="printed in the paper", **style)


def curve_table(curves: Mapping[str, Result]) -> pandas.DataFrame:
    """The excess risk of several trajectories as one long table.

    Parameters
    ----------
    curves : mapping
        Name → trajectory of `solve`, `solve_mean_field`, or `simulate` (which gives quantiles).

    Returns
    -------
    pandas.DataFrame
        Columns curve, t, excess_risk (the median), low, high.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=2, k=1, d=20)
    >>> run = tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 1], runs=3)
    >>> list(curve_table({"SGD": run}).columns)
    ['curve', 't', 'excess_risk', 'low', 'high']
    """
    import pandas

    tables = []
    for name, trajectory in curves.items():
        risk = trajectory.excess_risk
        low, median, high = quantiles(risk) if risk.ndim == 2 else (risk, risk, risk)
        columns = {"t": trajectory.t, "excess_risk": median, "low": low, "high": high}
        tables.append(pandas.DataFrame({"curve": name, **columns}))
    return pandas.concat(tables, ignore_index=True)


def publish(
    name: str,
    figure: Figure,
    table: pandas.DataFrame,
    trajectories: Mapping[str, Result],
    results: Mapping[str, str],
    claims: Iterable[Measurement] = (),
    comparisons: Iterable[Comparison] = (),
    folder: str | Path = ".",
) -> None:
    """Write what a figure offers for download, and the numbers that the prose quotes.

    Parameters
    ----------
    name : str
        Figure id; files are called after it.
    figure : matplotlib.figure.Figure
        Written as SVG and PDF.
    table : pandas.DataFrame
        The drawn numbers, written as CSV.
    trajectories : mapping
        Written as NetCDF, ``<name>-<key>.nc``.
    results : mapping
        Numbers as text, for the book's ``{result}`` role.  With the claims and comparisons
        they make up the JSON file.
    claims : iterable of Measurement
    comparisons : iterable of Comparison
    folder : path

    Examples
    --------
    >>> import tempfile
    >>> import matplotlib.figure
    >>> import twolayer as tl
    >>> start = tl.Overlaps([[1.0]], [[0.1]], [[1.0]])
    >>> path = tl.solve(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 1, 2])
    >>> drawn = matplotlib.figure.Figure()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     publish("mine", drawn, curve_table({"ODE": path}), {"ode": path}, {}, folder=folder)
    ...     sorted(file.name for file in Path(folder).iterdir())
    ['mine-ode.nc', 'mine.csv', 'mine.json', 'mine.pdf', 'mine.svg']
    """
    folder = Path(folder)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
    table.to_csv(folder / f"{name}.csv", index=False, float_format="%.10g")
    for key, trajectory in trajectories.items():
        trajectory.save(folder / f"{name}-{key}.nc")
    content = {
        "results": dict(results),
        "claims": [c.as_dict() for c in claims],
        "comparisons": [asdict(c) for c in comparisons],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", "utf-8")


def colophon(
    name: str, parameters: Mapping[str, Any], seconds: float, trajectories: Iterable[Result]
) -> str:
    """The closing table of an executed notebook, in Markdown.

    Parameters
    ----------
    name : str
        Figure id.
    parameters : mapping
        Parameters of the notebook, seeds included.
    seconds : float
        Run time.
    trajectories : iterable of Trajectory or MeanFieldTrajectory
        What the figure was made of; their versions are stated.

    Returns
    -------
    str
    """
    versions: dict[str, str] = {}
    methods: list[str] = []
    for trajectory in trajectories:
        kept = trajectory.provenance
        versions |= {n: kept[n] for n in ("python", "twolayer", "numpy", "scipy", "numba")}
        if "why" in kept:
            methods.append(
                f"d = {trajectory.parameters['d']:,}: {kept['method']} ({kept['why']}), "
                f"{kept['steps']:,} steps a run"
            )
    rows = {
        "Figure of the paper": f"{name}, arXiv:2302.05882"
        if name[0].isdigit()
        else "none: our own",
        "Parameters": ", ".join(f"`{n} = {value!r}`" for n, value in parameters.items()),
        "SGD": "<br>".join(dict.fromkeys(methods)) or "none",
        "Run time": f"{seconds:.1f} s",
        "Versions": ", ".join(f"{n} {v}" for n, v in versions.items()),
    }
    lines = ["| | |", "|---|---|", *(f"| {n} | {text} |" for n, text in rows.items())]
    return "\n".join(lines)
