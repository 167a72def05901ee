"""`MeanFieldTrajectory`: what the mean field gives, along time; saved and loaded as NetCDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from twolayer.problem.task import Task
from twolayer.results.axes import TIMES, Times, on_times_asked
from twolayer.results.result import Result
from twolayer.support.checks import check_choice

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class MeanFieldTrajectory(Result):
    """Particles and risk at recorded times; read-only, but for copies; equal as a `Trajectory` is.

    Attributes
    ----------
    t : array, shape (T,)
        Times in units of p d/γ SGD steps.
    M : array, shape (T, p, k)
        Overlaps of the particles with the targets.
    q : array, shape (T, p)
        Squared norms outside the target span.
    weight, P : array, shapes (p,) and (k, k)
        Of the particles; overlaps of the targets.
    excess_risk, risk : array, shape (T,)
        R − Δ/2 and R.
    task, parameters, provenance
        As in a `Trajectory`.
    a, a_star : array, shapes (T, p) and (k,)
        Second layers of particles and targets.
    t_asked : array, shape (A,), or None
        The times asked for, with repetitions.

    Examples
    --------
    >>> import twolayer as tl
    >>> particles = tl.Particles.quadrature([[1.0]], d=3, order=6)
    >>> mf = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0.0, 1.0])
    >>> mf.M.shape, bool((abs(mf.cosines) <= 1 + 1e-12).all())
    ((2, 36, 1), True)
    """

    FORMAT: ClassVar[str] = "twolayer mean field 1"
    ARRAYS: ClassVar[tuple[str, ...]] = ("M", "q", "weight", "P", "excess_risk", "a", "a_star")

    t: np.ndarray
    M: np.ndarray
    q: np.ndarray
    weight: np.ndarray
    P: np.ndarray
    excess_risk: np.ndarray
    task: Task
    parameters: Mapping[str, Any]
    provenance: Mapping[str, Any]
    a: np.ndarray | None = None
    a_star: np.ndarray | None = None
    t_asked: np.ndarray | None = None

    def __repr__(self) -> str:
        p, k = self.M.shape[1:]
        return f"MeanFieldTrajectory({self.t.size} times, {p} particles, k={k}, {self.task!r})"

    @property
    def d(self) -> float:
        """Dimension of the data, maybe infinite."""
        return float(self.parameters["d"])

    @property
    def q_total(self) -> np.ndarray:
        """Squared norms of the particles, q + m P⁻¹ m, shape (T, p)."""
        inside = np.einsum("tpr,rs,tps->tp", self.M, np.linalg.inv(self.P), self.M)
        return self.q + inside

    @property
    def cosines(self) -> np.ndarray:
        """Cosines m/√(P q_total) of the particles with the targets, shape (T, p, k)."""
        return self.M / np.sqrt(self.q_total[..., None] * np.diagonal(self.P))

    def to_xarray(self, time: Times = "recorded") -> xarray.Dataset:
        """A copy as a labelled dataset, on the dimensions time, particle, target, target_2.

        Of the times that are "recorded", each once, or as they were "asked": see `Trajectory`.
        """
        data = self._labelled()
        if check_choice("time", time, TIMES) == "recorded":
            return data
        return on_times_asked(data, *self._asked())

    def _labelled(self) -> xarray.Dataset:
        import xarray

        data = {
            "M": (("time", "particle", "target"), self.M),
            "q": (("time", "particle"), self.q),
            "weight": (("particle",), self.weight),
            "a": (("time", "particle"), self.a),
            "a_star": (("target",), self.a_star),
            "P": (("target", "target_2"), self.P),
            "excess_risk": (("time",), self.excess_risk),
            "risk": (("time",), self.risk),
        }
        time = ("time", self.t, {"units": "p d / γ steps"})
        variables = {name: (*value, {"units": "1"}) for name, value in data.items()}
        return xarray.Dataset(variables, {"time": time}, self._labels()).copy(deep=True)

    @property
    def _norms(self) -> np.ndarray:
        return self.q_total

    @staticmethod
    def _fits(arrays: Mapping[str, np.ndarray]) -> bool:
        T, p, k = arrays["M"].shape
        shapes = ((T,), (T, p, k), (T, p), (p,), (k, k), (T,), (T, p), (k,))
        return tuple(values.shape for values in arrays.values()) == shapes
