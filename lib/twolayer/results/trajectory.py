"""What `solve` and `simulate` return: overlaps and risk along time, labelled.

A trajectory knows the task and all parameters it was made with, turns into an
xarray Dataset, and is saved as NetCDF.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task
from twolayer.results.axes import TIMES, Times, on_times_asked
from twolayer.results.result import Result, ended_early
from twolayer.schedules import Schedule
from twolayer.support.checks import InvalidInput, check_choice, check_integer, shown

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class Trajectory(Result):
    """Overlaps and risk at recorded times.

    Time is first; in the result of `simulate` a run axis stands before it.  Arrays are read-only;
    a copy, or what `to_xarray` returns, may be changed.  Two are equal (`==`) if all their arrays
    (NaN equals NaN), tasks and parameters are, whatever provenance says; they have no hash, as
    arrays have none.

    Attributes
    ----------
    t : array, shape (T,)
        Times in units of p d/γ SGD steps: t = steps · γ/(p d).
    Q : array, shape ([R,] T, p, p)
        Or ([R,] T, p), its diagonal, if `simulate` was asked to record "norms".
    M, P : array, shapes ([R,] T, p, k) and (k, k)
        Overlaps; P does not move.
    a, a_star : array, shapes ([R,] T, p) and (k,)
        Second layers of students and targets, ones if there is none; a_star does not move.
    steps, samples : array of int64, shape (T,), or None
        The SGD steps after which was recorded, each once, and the samples, `batch` a step.  Of
        `solve` only if it was asked by steps.
    excess_risk, risk : array, shape ([R,] T)
        R − Δ/2, and R, label noise included.
    task : Task
        The problem.
    parameters : dict
        Every argument that shaped the result.
    provenance : dict
        Versions, time of day, run time, and what the method reports of itself.
    t_asked, steps_asked : array, shape (A,), or None
        What was asked for, with repetitions; steps of `simulate`, or if it was asked by steps.

    Examples
    --------
    >>> import twolayer as tl
    >>> ov = tl.Weights.in_target_span(p=2, k=1, d=4).overlaps()
    >>> tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=[0.0, 1.0])
    Trajectory(2 times from 0 to 1, p=2, k=1, Task('erf', noise=0))
    """

    FORMAT: ClassVar[str] = "twolayer trajectory 1"
    ARRAYS: ClassVar[tuple[str, ...]] = ("Q", "M", "P", "excess_risk", "a", "a_star")

    t: np.ndarray
    Q: np.ndarray
    M: np.ndarray
    P: np.ndarray
    excess_risk: np.ndarray
    task: Task
    parameters: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    a: np.ndarray | None = None
    a_star: np.ndarray | None = None
    steps: np.ndarray | None = None
    t_asked: np.ndarray | None = None
    steps_asked: np.ndarray | None = None

    def __repr__(self) -> str:
        runs = f"{len(self.M)} runs, " if self.M.ndim == 4 else ""
        span = f" from {self.t[0]:g} to {self.t[-1]:g}" if self.t.size else ""
        p, k = self.M.shape[-2:]
        return f"Trajectory({runs}{self.t.size} times{span}, p={p}, k={k}, {self.task!r})"

    @property
    def samples(self) -> np.ndarray | None:
        """Samples that SGD had seen, steps times batch, int64 of shape (T,); None without steps."""
        return self._samples(self.steps)

    def _samples(self, steps: np.ndarray | None) -> np.ndarray | None:
        return None if steps is None else steps * int(self.parameters.get("batch", 1))

    def overlaps(self, time: int = -1, run: int = 0) -> Overlaps:
        """The state at one recorded time, to start another computation from.

        Parameters
        ----------
        time : int
            Index into `t`; the last by default.
        run : int
            Index of the run, where there are runs.

        Raises
        ------
        InvalidInput
            If only the norms were recorded, or the run had blown up, or stopped, by then.

        Examples
        --------
        Go on at another learning rate:

        >>> import twolayer as tl
        >>> task, start = tl.Task("erf"), tl.Weights.in_target_span(p=2, k=1, d=4)
        >>> first = tl.solve(task, start.overlaps(), learning_rate=0.5, t_eval=[10.0])
        >>> then = tl.solve(task, first.overlaps(), learning_rate=0.1, t_eval=[10.0])
        >>> bool(then.risk[-1] < first.risk[-1])
        True
        """
        here = self.at(time, run)
        return Overlaps(self.Q[here], self.M[here], self.P, self.a[here], self.a_star)

    def at(self, time: int = -1, run: int = 0) -> tuple[int, ...]:
        """The index of a recorded state, refused where there is none, as `overlaps` says."""
        if self.Q.ndim < self.M.ndim:
            raise InvalidInput("record", "norms only", '"overlaps" to have all of Q')
        time = _index("time", time, self.t.size)
        run = _index("run", run, len(self.M) if self.M.ndim == 4 else 1)
        where = (run, time) if self.M.ndim == 4 else (time,)
        if np.isnan(self.excess_risk[where]):
            stopped = run in ended_early(self.provenance, ["stopped_at_risk"])
            why = "stopped before" if stopped else "left the range of finite numbers"
            got = f"{time} of run {run}, which had {why}"
            raise InvalidInput("time", got, "earlier")
        return where

    @property
    def stage(self) -> int:
        """How many results it goes on from, one from another."""
        return int(self.parameters.get("stage", 0))

    def to_xarray(self, time: Times = "recorded") -> xarray.Dataset:
        """A copy as a labelled dataset, with units and parameters in its attributes.

        Variables Q, M, P, a, a_star, risk and excess_risk on the dimensions run (of `simulate`),
        time, neuron, neuron_2, target, target_2; where there are `steps` and `samples`, these are
        coordinates, too.

        Parameters
        ----------
        time : str
            "recorded": a row for each recorded time, once; or "asked": for each time asked for,
            however close, in their order.  The index `time` is then as it was asked, the
            coordinate `recorded_time` what was recorded nearest to it; of runs that had ended,
            and of times not reached, all is NaN.  So results of any rates, dimensions and runs
            that were asked for the same times align, as in ``xarray.concat``.

        Examples
        --------
        >>> import twolayer as tl
        >>> start = tl.Weights.in_target_span(p=2, k=1, d=20)
        >>> run = tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 1], runs=3)
        >>> run.to_xarray()["M"].mean("run").dims
        ('time', 'neuron', 'target')
        """
        data = self._labelled()
        if check_choice("time", time, TIMES) == "recorded":
            return data
        data = on_times_asked(data, *self._asked())
        if self.steps is not None and self.steps_asked is not None:  # known, if recorded or not
            asked = {"steps": self.steps_asked, "samples": self._samples(self.steps_asked)}
            data = data.assign_coords(
                {name: ("time", values.copy(), data[name].attrs) for name, values in asked.items()}
            )
        return data

    def _labelled(self) -> xarray.Dataset:
        import xarray

        run = ("run",) if self.M.ndim == 4 else ()
        time, of = (*run, "time"), "overlap of {} and {}, divided by d".format
        data = {
            "Q": ((*time, "neuron", "neuron_2")[: self.Q.ndim], self.Q, of("students", "students")),
            "M": ((*time, "neuron", "target"), self.M, of("students", "targets")),
            "P": (("target", "target_2"), self.P, of("targets", "targets")),
            "a": ((*time, "neuron"), self.a, "second layer of the students"),
            "a_star": (("target",), self.a_star, "second layer of the targets"),
            "excess_risk": (time, self.excess_risk, "population risk minus Δ/2"),
            "risk": (time, self.risk, "population risk, label noise included"),
        }
        scheduled = isinstance(self.parameters.get("learning_rate"), (str, Schedule))
        clock = "time t = Σ γ(t)/(p d) over the steps" if scheduled else "time t = steps · γ/(p d)"
        coords: dict[str, Any] = {
            "time": ("time", self.t, {"units": "p d / γ steps", "long_name": clock})
        }
        if self.steps is not None:
            coords["steps"] = ("time", self.steps, {"long_name": "SGD steps", "units": "1"})
            coords["samples"] = ("time", self.samples, {"long_name": "samples seen", "units": "1"})
        for name, (dims, values, _) in data.items():
            if name in "QMP":
                sizes = zip(dims, values.shape, strict=True)
                coords |= {dim: np.arange(size) for dim, size in sizes if dim != "time"}
        labelled = {
            name: (dims, values, {"units": "1", "long_name": text})
            for name, (dims, values, text) in data.items()
        }
        return xarray.Dataset(labelled, coords, self._labels()).copy(deep=True)

    @property
    def _norms(self) -> np.ndarray:
        return self.Q if self.Q.ndim < self.M.ndim else np.diagonal(self.Q, axis1=-2, axis2=-1)

    @staticmethod
    def _fits(arrays: Mapping[str, np.ndarray]) -> bool:
        lead, (p, k) = arrays["excess_risk"].shape, arrays["M"].shape[-2:]
        return (
            len(lead) in (1, 2)
            and lead[-1:] == arrays["time"].shape
            and arrays["Q"].shape in ((*lead, p, p), (*lead, p))
            and arrays["M"].shape == (*lead, p, k)
            and arrays["P"].shape == (k, k)
            and arrays["a"].shape == (*lead, p)
            and arrays["a_star"].shape == (k,)
        )


def named(
    learning_rate: float | Callable[[float], float] | None,
) -> float | str | Schedule | None:
    """A learning rate as it is kept: a function by its name, one of `schedules` as it is."""
    if isinstance(learning_rate, Schedule):
        return learning_rate
    if callable(learning_rate):
        return str(getattr(learning_rate, "__name__", type(learning_rate).__name__))
    return None if learning_rate is None else float(learning_rate)


def _index(argument: str, value: int, size: int) -> int:
    try:
        return check_integer(argument, value, -size, size - 1)
    except InvalidInput:
        allowed = f"an index of {size}, from {-size} to {size - 1}"
        raise InvalidInput(argument, shown(value), allowed) from None


def risk_error(path: Trajectory) -> dict[str, tuple[float, float]]:
    """What recorded risks may be off by, and should be at most, at the ends of the first run."""
    if path.task.closed or path.Q.ndim < path.M.ndim or not path.t.size:
        return {}
    forms, p = path.task.forms, path.M.shape[-2]
    ends = [assemble(path.Q[0, n], path.M[0, n], path.P) for n in (0, -1)]
    ends = [Omega for Omega in ends if np.isfinite(Omega).all()]  # a run may have blown up
    worst = max((forms.risk_error(Omega, p) for Omega in ends), default=0.0)
    return {"the risk": (worst, forms.tolerance)}
