"""What is published beside a figure: its files, its numbers, and how SGD was run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from companion.claims.measurement import Measurement, mean_and_error, with_error
from companion.claims.printed import Comparison
from companion.drawing.legible import check_legible
from companion.drawing.plotting import quantiles
from twolayer.results.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from twolayer.results.result import Result


def ratios(runs: Trajectory, theory: Trajectory, first: float, last: float) -> np.ndarray:
    """SGD's excess risk over the ODE's, averaged over the times of a span, for each run.

    The theory's times cover the span; it is interpolated in both logarithms.  Empty if nothing was
    recorded in the span.

    Examples
    --------
    >>> import twolayer as tl
    >>> task, start = tl.Task("erf"), tl.Weights.in_target_span(p=2, k=1, d=20)
    >>> sgd = tl.simulate(task, start, learning_rate=0.01, t_eval=[0.1, 0.2], runs=3)
    >>> ode = tl.solve(task, start.overlaps(), learning_rate=0.01, t_eval=[0, 0.1, 0.2])
    >>> bool((abs(ratios(sgd, ode, 0.1, 0.3) - 1) < 0.1).all())
    True
    """
    here, known = (runs.t >= first) & (runs.t <= last), theory.t > 0
    if not here.any():
        return np.empty(0)
    logs = np.log(theory.t[known]), np.log(theory.excess_risk[known])
    log_risk = np.interp(np.log(runs.t[here]), *logs)
    return (runs.excess_risk[:, here] / np.exp(log_risk)).mean(axis=1)


def uncertain(values: np.ndarray) -> str:
    """The mean of at least two independent values with its standard error, as text.

    Examples
    --------
    >>> uncertain(np.array([0.98, 1.01, 1.03, 1.02]))
    '1.010 ± 0.011'
    """
    return with_error(*mean_and_error(values))


def pooled(each: Sequence[Trajectory]) -> Trajectory:
    """SGD from different starts at the same times, as the runs of one trajectory.

    Examples
    --------
    >>> import twolayer as tl
    >>> starts = [tl.Weights.gaussian(p=2, k=1, d=20, seed=seed) for seed in range(3)]
    >>> options = {"learning_rate": 0.1, "t_eval": [0, 1], "record": "norms"}
    >>> pooled([tl.simulate(tl.Task("erf"), start, **options) for start in starts]).M.shape
    (3, 2, 2, 1)
    """
    names = ("Q", "M", "excess_risk")
    return replace(each[0], **{n: np.concatenate([getattr(r, n) for r in each]) for n in names})


def curve_table(curves: Mapping[str, Result]) -> pandas.DataFrame:
    """The excess risk of several trajectories, by name, as one long table.

    Its columns are curve, t, excess_risk, low and high: the median and the quantiles of `simulate`,
    three times the same otherwise.

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
    curves: pandas.DataFrame,
    trajectories: Mapping[str, Result],
    results: Mapping[str, str],
    claims: Iterable[Measurement] = (),
    comparisons: Iterable[Comparison] = (),
    *,
    folder: str | Path = ".",
    made: Iterable[Result] | None = None,
) -> None:
    """Write what a figure offers for download, and the numbers that the prose quotes.

    Parameters
    ----------
    name : str
        Figure id; files are called after it.
    figure : matplotlib.figure.Figure
        Written as PDF (the notebook shows the SVG); `InvalidInput` if its text is
        too small for a phone, or too pale.
    curves : pandas.DataFrame
        The drawn numbers, written as CSV.
    trajectories : mapping
        Written as NetCDF, ``<name>-<key>.nc``.
    results : mapping
        Numbers as text, for the book's ``{result}`` role.  With the claims and comparisons
        they make up the JSON file.
    claims : iterable of Measurement
    comparisons : iterable of Comparison
    folder : path
    made : iterable of Trajectory or MeanFieldTrajectory, optional
        What the figure was made of, for the colophon; the trajectories by default.

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
    ['mine-ode.nc', 'mine.csv', 'mine.json', 'mine.pdf']
    """
    folder = Path(folder)
    figure.set_layout_engine("none")  # all is in its place: to find it takes longer than to draw
    check_legible(figure)
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
    curves.to_csv(folder / f"{name}.csv", index=False, float_format="%.10g")
    for key, trajectory in trajectories.items():
        trajectory.save(folder / f"{name}-{key}.nc")
    content = {
        "sgd": methods(trajectories.values() if made is None else made),
        "results": dict(results),
        "claims": [c.as_dict() for c in claims],
        "comparisons": [asdict(c) for c in comparisons],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", "utf-8")


def methods(trajectories: Iterable[Result]) -> list[str]:
    """How the runs of SGD among these were computed, a line for each way."""
    kept = ((run.parameters.get("d"), run.provenance) for run in trajectories)
    lines = (
        f"d = {d:,}: {how['method']} ({how['why']}), {how['steps']:,} steps a run"
        for d, how in kept
        if "block" in how
    )
    return list(dict.fromkeys(lines))
