"""Reference values of every figure, so that a change of meaning does not go unseen.

A few points of every curve are kept in ``tests/reference_figures.json``, by what they are at and
never by the number of a row: what rounding may move to another row is found all the same, and of
maps the share of each phase is kept beside values, for a point at a border may change its phase.
Points of theory may move by 0.1 %, those of SGD by eight times the spread of the runs.  With
fresh random numbers a point then fails by chance with probability below 1e-6 (normal law, four
runs), but 0.003 where there are two runs (figure 3 right): 3 % for all figures together.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from pathlib import Path
from statistics import median

from companion.figures.catalogue import load
from twolayer.support.checks import InvalidInput, shown

#: Points kept of each curve.
_POINTS = 5
#: What theory may move by: a hundred times the solver's tolerance at the smallest risks shown.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-11
#: What SGD may move by, in units of the spread of its runs.
_SPREADS = 8.0
#: What the share of a phase in a map may move by: its borders are a few hundredths of it.
_SHARE = 0.01


@dataclass(frozen=True)
class Table:
    """How to read a figure's CSV file.

    Attributes
    ----------
    curve : tuple of str
        The columns that tell curves apart.
    at : tuple of str
        What a point is at: columns whose numbers it has alone on its curve.
    value : str
        What it is.
    spread : tuple of str
        Column with the standard error, or two with the ends of the band of the runs.
    slack : float
        What may move beside, relative to the value: of curves that come from random numbers
        and state no spread.
    phase : str
        The column of a map that names phases, of which the shares of all rows are kept.
    """

    curve: tuple[str, ...] = ("curve",)
    at: tuple[str, ...] = ("t",)
    value: str = "excess_risk"
    spread: tuple[str, ...] = ("low", "high")
    slack: float = 0.0
    phase: str = ""


#: The figures whose tables are not excess risk against time.
TABLES = {
    "1": Table((), ("b", "c"), "variance_over_drift", (), phase="regime"),
    "5d": Table(("histogram", "t"), ("left",), "density", (), slack=0.25),
    "asymptotic-risk": Table(("panel", "curve"), ("x",), "value", ("error",)),
    "density": Table(("activation", "t"), ("particle",), "q", ()),
    "finite-d-plateau": Table(("learning_rate", "noise"), ("d",), "ratio", ("error",)),
    "fluctuations": Table(("panel",), ("x",), "measured", ("error",)),
    "phase-diagram": Table(("theory",), ("kappa", "delta"), "fluctuations", (), phase="phase"),
    "rates": Table(("panel",), ("x",), "error", (), slack=0.4),
    "second-layer": Table(("second_layer", "steps"), ("p",), "excess_risk", ()),
    "regimes": Table(("point",), ("d",), "variance", ()),
    "time-to-learn": Table(("panel", "curve"), ("x",), "value", ("low", "high")),
}

#: Figure → curve → points (what each is at, value, spread).
Points = dict[str, dict[str, list[list[float]]]]


def read(figure: str, file: Path) -> dict[str, list[list[float]]]:
    """The points (what each is at, value, spread) of every curve in a figure's CSV file.

    Raises
    ------
    InvalidInput
        If the file is not a table with the figure's columns.
    """
    table = TABLES.get(figure, Table())
    curves: dict[str, list[list[float]]] = {}
    phases: Counter[str] = Counter()
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                name = ", ".join(row[column] for column in table.curve)
                at = [float(row[column]) for column in table.at]
                ends = [float(row[column]) for column in table.spread]
                spread = (ends[1] - ends[0]) / 2 if len(ends) == 2 else sum(ends)
                curves.setdefault(name, []).append([*at, float(row[table.value]), spread])
                if table.phase:
                    phases[f"share of {row[table.phase]}"] += 1
    except (OSError, ValueError, LookupError, TypeError) as error:
        allowed = f"a table with the columns of figure {figure}"
        raise InvalidInput(str(file), shown(error), allowed) from error
    for name, points in curves.items():
        if len({tuple(at) for *at, _, _ in points}) < len({tuple(p[:-1]) for p in points}):
            allowed = f"a table with one value at each {', '.join(table.at)} of a curve"
            raise InvalidInput(str(file), f"several on {name!r}", allowed)
    out = {name: _usual(points) for name, points in curves.items()}
    return out | {n: [[c / phases.total(), _SHARE / _SPREADS]] for n, c in phases.items()}


def _usual(points: list[list[float]]) -> list[list[float]]:
    """The points, none with less than the curve's usual relative spread."""
    ratios = [s / abs(v) if v else 0.0 for *_, v, s in points if isfinite(v)]
    usual = median(ratios or [0.0])
    return [[*at, value, max(spread, usual * abs(value))] for *at, value, spread in points]


def _few(points: list[list[float]]) -> list[list[float]]:
    """Points evenly along the curve, to the digits that are kept."""
    last = len(points) - 1
    chosen = sorted({round(i * last / (_POINTS - 1)) for i in range(_POINTS)})
    return [
        [float(f"{number:.6g}") for number in points[i]] for i in chosen if isfinite(points[i][-2])
    ]


def differences(kept: Points, now: Points) -> list[str]:
    """What has moved beyond its tolerance, come or gone, a line each.

    Examples
    --------
    >>> differences({"4": {"ODE": [[1.0, 0.5, 0.0]]}}, {"4": {"ODE": [[1.0, 0.6, 0.0]]}})
    ['figure 4, ODE, t = 1: 0.6, but the reference is 0.5 (may differ by 0.0006)']
    """
    out = [f"figure {name} is gone" for name in kept if name not in now]
    for figure, curves in now.items():
        if figure not in kept:
            out.append(f"figure {figure} is new")
            continue
        out += [f"figure {figure}, {c}: is gone" for c in kept[figure] if c not in curves]
        out += [f"figure {figure}, {c}: is new" for c in curves if c not in kept[figure]]
        for curve, points in curves.items():
            out += _moved(figure, curve, kept[figure].get(curve, points), points)
    return out


def _moved(
    figure: str, curve: str, kept: Sequence[Sequence[float]], now: Sequence[Sequence[float]]
) -> Iterable[str]:
    table = TABLES.get(figure, Table())
    name = f"figure {figure}, {curve or 'its values'}"
    found = [next((p for p in now if _same_place(p, point)), None) for point in kept]
    if None in found:
        yield f"{name}: at other {', '.join(table.at)} than the reference"
        return
    for (*at, was, spread_was), (*_, value, spread) in zip(kept, found, strict=True):
        allowed = (_RELATIVE + table.slack) * max(abs(was), abs(value)) + _ABSOLUTE
        allowed += _SPREADS * max(spread, spread_was)
        if not abs(value - was) <= allowed:
            place = "".join(f", {n} = {x:g}" for n, x in zip(table.at, at, strict=False))
            yield (
                f"{name}{place}: {value:.6g}, but the reference is {was:.6g} "
                f"(may differ by {allowed:.2g})"
            )


def _same_place(point: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two points are at the same, as far as the reference has digits."""
    pairs = zip(point[:-2], other[:-2], strict=False)
    same = all(isclose(x, y, rel_tol=1e-5, abs_tol=1e-12) for x, y in pairs)
    return same and len(point) == len(other)


def collect(root: Path) -> Points:
    """All points of all figures, which must have been made with the profile "quick"."""
    folder = root / "book" / "figures"
    for figure in load(root):
        made = json.loads((folder / f"{figure}.ipynb").read_text("utf-8"))["metadata"]["twolayer"]
        if made["profile"] != "quick":
            raise InvalidInput(f"figure {figure}", made["profile"], "made with profile quick")
    return {figure: read(figure, folder / f"{figure}.csv") for figure in load(root)}


def text(points: Points) -> str:
    """The points that are kept, as JSON, a line for each curve."""
    figures = [
        json.dumps(figure)
        + ": {\n"
        + ",\n".join(
            f" {json.dumps(curve, ensure_ascii=False)}: {json.dumps(_few(of))}"
            for curve, of in curves.items()
        )
        + "\n}"
        for figure, curves in points.items()
    ]
    return "{\n" + ",\n".join(figures) + "\n}\n"
