"""Numbers of the paper itself: what its printed curves say, as data to compare with."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from twolayer.errors import choice


@dataclass(frozen=True)
class PrintedValue:
    """One point of a printed ODE curve of arXiv:2302.05882.

    Attributes
    ----------
    figure : str
    noise : float
        Δ of the curve.
    t : float
    excess_risk : float
        Four digits, read off the vector figure.  Reading is not free of error: at
        figure 4, Δ = 1, t = 100 fixed-step Euler integration with dt = 10⁻³, the method of
        the paper, gives 0.0010046 where the figure reads 0.00101.
    """

    figure: str
    noise: float
    t: float
    excess_risk: float


def printed_values(figure: str) -> list[PrintedValue]:
    """The points read off one figure of the paper.

    Parameters
    ----------
    figure : str
        "2-right" or "4".

    Returns
    -------
    list of PrintedValue

    Raises
    ------
    InvalidInput
        If we have no values of that figure.

    Examples
    --------
    >>> printed_values("2-right")[0]
    PrintedValue(figure='2-right', noise=0.001, t=1.0, excess_risk=0.01975)
    """
    text = resources.files("twolayer").joinpath("data/printed_values.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    values = [
        PrintedValue(r["figure"], float(r["noise"]), float(r["t"]), float(r["excess_risk"]))
        for r in rows
    ]
    choice("figure", figure, sorted({v.figure for v in values}))
    return [v for v in values if v.figure == figure]
