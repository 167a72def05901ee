"""Plateaus of a result: stretches of time in which the risk hardly falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer.results.trajectory import Trajectory
from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, check_instance, check_positive


@dataclass(frozen=True)
class Plateau:
    """A stretch of time in which the risk hardly falls.

    Attributes
    ----------
    start, end : float
    flattest : float
        The time at which it falls least in ln t: near to a fixed point.
    height : float
        The excess risk then.

    Examples
    --------
    >>> Plateau(start=55.0, end=235.0, flattest=110.0, height=3e-3)
    Plateau(start=55.0, end=235.0, flattest=110.0, height=0.003)
    """

    start: float
    end: float
    flattest: float
    height: float


def plateaus(
    result: Trajectory, *, slope: float = 0.2, length: float = 3.0
) -> list[Plateau] | list[list[Plateau]]:
    """Where |d ln excess risk/d ln t| stays below `slope` while t grows by the factor `length`.

    And where d ln excess risk/dt is below `slope` times its largest on the way: at early times
    nothing has moved in ln t, plateau or not.

    Parameters
    ----------
    result : Trajectory
        Recorded densely enough to show them; times 0 and risks 0 do not count.
    slope : float
    length : float
        Above 1.

    Returns
    -------
    list of Plateau
        In their order; of a result with runs a list for each.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.gaussian(p=2, k=2, d=10**6, seed=1).overlaps()
    >>> t = np.logspace(-2, 4, 200)
    >>> path = tl.solve(tl.Task("erf"), start, terms="gradient-flow", t_eval=t)
    >>> [plateau] = plateaus(path)
    >>> print(f"from {plateau.start:.0f} to {plateau.end:.0f} at {plateau.height:.4f}")
    from 55 to 235 at 0.0029
    """
    check_instance("result", result, Trajectory)
    slope, length = check_positive("slope", slope), check_positive("length", length)
    if length <= 1:
        raise InvalidInput("length", f"{length:g}", "above 1: the factor by which t grows")
    if result.excess_risk.ndim == 2:
        return [_plateaus(result.t, risk, slope, length) for risk in result.excess_risk]
    return _plateaus(result.t, result.excess_risk, slope, length)


def _plateaus(t: Array, risk: Array, slope: float, length: float) -> list[Plateau]:
    there = (t > 0) & (risk > 0)
    x, y = np.log(t[there]), np.log(risk[there])
    fall, pace = np.abs(np.diff(y)), np.diff(t[there])
    flat = (fall <= slope * np.diff(x)) & (fall / pace <= slope * (fall / pace).max(initial=0.0))
    ends = np.flatnonzero(np.diff(np.concatenate(([False], flat, [False])).astype(int)))
    out = []
    for first, last in ends.reshape(-1, 2):
        if x[last] - x[first] >= np.log(length):
            flattest = first + int(np.argmin((fall / np.diff(x))[first:last]))
            logs = x[first], x[last], x[flattest], y[flattest]
            out.append(Plateau(*(float(np.exp(each)) for each in logs)))
    return out
