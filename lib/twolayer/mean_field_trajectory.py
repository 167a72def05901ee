"""`MeanFieldTrajectory`: what the mean field gives, along time; saved and loaded as NetCDF.

Builds on `task` and `storage`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.errors import InvalidInput
from twolayer.storage import finite, from_json, read_netcdf, write_netcdf
from twolayer.task import Task, check_same_task, check_task, task_from_dict, task_to_dict

if TYPE_CHECKING:
    import xarray

_FORMAT = "twolayer mean field 1"


@dataclass(frozen=True, eq=False)
class MeanFieldTrajectory:
    """Particles and risk at recorded times.

    Attributes
    ----------
    t : array, shape (T,)
        Times in units of p d/γ SGD steps.
    M : array, shape (T, p, k)
        Overlaps of the particles with the targets.
    q : array, shape (T, p)
        Squared norms outside the target span.
    weight : array, shape (p,)
    P : array, shape (k, k)
    excess_risk, risk : array, shape (T,)
        R − Δ/2 and R.
    task : Task
    parameters, provenance : dict
    a : array, shape (T, p)
    a_star : array, shape (k,)
        Second layers of particles and targets.

    Examples
    --------
    >>> import twolayer as tl
    >>> particles = tl.Particles.quadrature([[1.0]], d=3, order=6)
    >>> mf = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0.0, 1.0])
    >>> mf.M.shape, mf.q.shape
    ((2, 36, 1), (2, 36))
    """

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

    def __post_init__(self) -> None:
        for name, shape in (("a", self.q.shape), ("a_star", self.M.shape[-1:])):
            value = getattr(self, name)
            value = np.ones(shape[-1]) if value is None else value
            object.__setattr__(self, name, np.broadcast_to(value, shape))

    def __repr__(self) -> str:
        p, k = self.M.shape[1:]
        return f"MeanFieldTrajectory({self.t.size} times, {p} particles, k={k}, {self.task!r})"

    @property
    def risk(self) -> np.ndarray:
        """Population risk R = excess risk + Δ/2.

        Examples
        --------
        >>> import twolayer as tl
        >>> particles = tl.Particles([[0.5]], [1.0])
        >>> task = tl.Task("square", noise=0.5)
        >>> path = tl.solve_mean_field(task, particles, [[1.0]], d=3, t_eval=[1.0])
        >>> bool(path.risk[0] == path.excess_risk[0] + 0.25)
        True
        """
        return self.excess_risk + self.task.noise / 2

    @property
    def q_total(self) -> np.ndarray:
        """Squared norms of the particles, q + m P⁻¹ m, shape (T, p).

        Examples
        --------
        >>> import twolayer as tl
        >>> particles = tl.Particles([[0.5]], [1.0])
        >>> path = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0.0])
        >>> path.q_total.tolist()
        [[1.25]]
        """
        inside = np.einsum("tpr,rs,tps->tp", self.M, np.linalg.inv(self.P), self.M)
        return self.q + inside

    @property
    def cosines(self) -> np.ndarray:
        """Cosines m/√(P q_total) of the particles with the targets, shape (T, p, k).

        Examples
        --------
        >>> import twolayer as tl
        >>> particles = tl.Particles.from_weights(tl.Weights.gaussian(p=4, k=1, d=3, seed=0))
        >>> field = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0, 1])
        >>> bool((abs(field.cosines) <= 1 + 1e-12).all())
        True
        """
        return self.M / np.sqrt(self.q_total[..., None] * np.diagonal(self.P))

    def to_xarray(self) -> xarray.Dataset:
        """The same as a labelled `xarray.Dataset`.

        Returns
        -------
        xarray.Dataset
            On the dimensions time, particle, target, target_2.

        Examples
        --------
        >>> import twolayer as tl
        >>> particles = tl.Particles.from_weights(tl.Weights.gaussian(p=4, k=1, d=3, seed=0))
        >>> field = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0, 1])
        >>> dict(field.to_xarray().sizes)
        {'time': 2, 'particle': 4, 'target': 1, 'target_2': 1}
        """
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
        attributes = {
            "format": _FORMAT,
            "task": json.dumps(task_to_dict(self.task)),
            "parameters": json.dumps(dict(self.parameters)),
            "provenance": json.dumps(dict(self.provenance)),
        }
        time = ("time", self.t, {"units": "p d / γ steps"})
        variables = {name: (*value, {"units": "1"}) for name, value in data.items()}
        return xarray.Dataset(variables, {"time": time}, attributes)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write to a NetCDF file, whole or not at all; see `Trajectory.save`.

        Examples
        --------
        >>> import tempfile
        >>> import twolayer as tl
        >>> particles = tl.Particles.from_weights(tl.Weights.gaussian(p=4, k=1, d=3, seed=0))
        >>> field = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0, 1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     field.save(f"{folder}/field.nc").name
        'field.nc'
        """
        return write_netcdf(self.to_xarray(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], task: Task | None = None) -> MeanFieldTrajectory:
        """Read what `save` wrote, as `Trajectory.load`; the task for functions of one's own.

        Examples
        --------
        >>> import tempfile
        >>> import twolayer as tl
        >>> particles = tl.Particles.from_weights(tl.Weights.gaussian(p=4, k=1, d=3, seed=0))
        >>> field = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, t_eval=[0, 1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     back = MeanFieldTrajectory.load(field.save(f"{folder}/field.nc"))
        >>> bool((back.M == field.M).all())
        True
        """
        check_task(task)
        data = read_netcdf(path, _FORMAT)
        try:
            names = ("time", "M", "q", "weight", "P", "excess_risk", "a", "a_star")
            arrays = {name: data.variables[name].values for name in names}
            finite(arrays)
            T, p, k = arrays["M"].shape
            shapes = ((T,), (T, p, k), (T, p), (p,), (k, k), (T,), (T, p), (k,))
            if tuple(values.shape for values in arrays.values()) != shapes:
                raise ValueError("with arrays that fit")
            out = cls(
                t=arrays.pop("time"),
                **arrays,
                task=task_from_dict(from_json(data.attrs["task"]), task),
                parameters=from_json(data.attrs["parameters"]),
                provenance=from_json(data.attrs["provenance"]),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise InvalidInput("path", str(path), f"a mean-field file ({error})") from error
        check_same_task(out.task, data.attrs["task"])
        return out
