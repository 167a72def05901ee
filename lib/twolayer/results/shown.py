"""How results are looked at: in a few lines, in a notebook's table, in a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.problem.task import Task
from twolayer.results import summary
from twolayer.results.picture import picture
from twolayer.support.checks import InvalidInput
from twolayer.support.html import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Shown:
    """The part of a `Result` that shows what the rest holds."""

    t: np.ndarray
    M: np.ndarray
    excess_risk: np.ndarray
    a: np.ndarray | None
    task: Task
    parameters: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def risk(self) -> np.ndarray:
        """Population risk R = excess risk + Δ/2, label noise included."""
        return self.excess_risk + self.task.noise / 2

    @property
    def _norms(self) -> np.ndarray:
        """Squared norms of the students, shape ([R,] T, p)."""
        raise NotImplementedError

    def summary(self) -> str:
        r"""A short text: what was run, risk and times from first to last, how and why, seconds.

        Examples
        --------
        >>> import twolayer as tl
        >>> ov = tl.Overlaps([[1.0]], [[0.5]], [[1.0]])
        >>> sol = tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=[0.0, 1.0])
        >>> print("\n".join(sol.summary().splitlines()[:3]))
        Trajectory(2 times from 0 to 1, p=1, k=1, Task('erf', noise=0))
          risk        0.1725 at t = 0, 0.09447 at t = 1, label noise included
          times       2 from t = 0 to 1
        """
        return summary.lines(repr(self), self._rows())

    def _repr_html_(self) -> str:
        return table(repr(self), self._rows())

    def _rows(self) -> summary.Rows:
        steps = getattr(self, "steps", None)
        return summary.rows(self.t, self.risk, steps, self.parameters, self.provenance)

    def plot(self) -> Figure:
        """Risk, overlaps and neurons along time, in one figure.

        Of runs all risks, and their mean until one of them ends early, but overlaps and neurons
        of the first one that does not; of many neurons some.  Needs Matplotlib.

        Returns
        -------
        matplotlib.figure.Figure
            To be changed, saved, or shown; a notebook shows it.

        Raises
        ------
        ImportError
            If there is no Matplotlib; it says how to install it.
        InvalidInput
            If there are no times to draw.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")  # no window
        >>> import twolayer as tl
        >>> start = tl.Weights.in_target_span(p=2, k=1, d=20)
        >>> run = tl.simulate(tl.Task("erf"), start, learning_rate=0.5, t_eval=[0, 1, 2], runs=3)
        >>> [ax.get_title() for ax in run.plot().axes]
        ['population risk R', 'overlaps M (run 0)', 'neurons (run 0)']
        """
        if not self.t.size:
            raise InvalidInput("result", repr(self), "one with recorded times, to be drawn")
        return picture(self.t, self.risk, self.M, self._norms, self.a, self.task.noise / 2)
