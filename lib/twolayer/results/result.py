"""What both kinds of trajectory share: equality, second layers of ones, and their files.

A file keeps the task by the names of its activations; one with functions of the user's own is
read back with that task in hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from twolayer.activations.activation import Activation
from twolayer.activations.known import ACTIVATIONS, OTHERS
from twolayer.problem.task import Task, known_by
from twolayer.results.axes import Times, rows_of
from twolayer.results.shown import Shown
from twolayer.schedules import plain, restored
from twolayer.support.checks import InvalidInput, check_instance, shown
from twolayer.support.netcdf import finite, from_json, read_netcdf, write_netcdf

if TYPE_CHECKING:
    import xarray


#: What a file may hold of what was asked for.
ASKED = ("t_asked", "steps_asked")


class Result(Shown):
    """Base of `Trajectory` and `MeanFieldTrajectory`, which add their arrays.

    Results are equal if they are of one class and all their arrays (NaN equals NaN), their tasks
    and their parameters are; what provenance says, versions and times of day, does not count.
    They have no hash, as arrays have none.
    """

    #: What a file of this kind calls itself, and the arrays that it holds beside the time.
    FORMAT: ClassVar[str]
    ARRAYS: ClassVar[tuple[str, ...]]

    t_asked: np.ndarray | None

    def __post_init__(self) -> None:
        for name, shape in (("a", self.M.shape[:-1]), ("a_star", self.M.shape[-1:])):
            value = getattr(self, name)
            value = np.ones(shape[-1]) if value is None else value
            object.__setattr__(self, name, np.broadcast_to(value, shape))
        read_only(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        read_only(self)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        rest = ("task", "parameters", "provenance")
        arrays = (each.name for each in fields(self) if each.name not in rest)
        return (
            dict(self.parameters) == dict(other.parameters)
            and _same_task(self.task, other.task)
            and all(_same(vars(self)[name], vars(other)[name]) for name in arrays)
        )

    __hash__ = None

    def time_to(
        self, risk: float, learning_rate: Callable[[float], float] | None = None
    ) -> float | np.ndarray:
        """The time at which the population risk first is at most `risk`: see `twolayer.time_to`.

        One for each run, shape (R,), of `simulate`, recorded; a number, on the solution between
        recorded times, of `solve` and `solve_mean_field`.  NaN where it is never reached.
        """
        from twolayer.crossing import time_to  # above us, as it asks the solvers

        return time_to(self, risk, learning_rate)

    def to_xarray(self, time: Times = "recorded") -> xarray.Dataset:
        """The same as a labelled dataset, on the recorded times or on those asked for."""
        raise NotImplementedError

    def _asked(self) -> tuple[np.ndarray, np.ndarray]:
        """Times asked for (A,), and where each is among those recorded (A,), −1 if nowhere."""
        times = self.t if self.t_asked is None else self.t_asked
        steps, asked = getattr(self, "steps", None), getattr(self, "steps_asked", None)
        if steps is None or asked is None:
            return times, rows_of(times, self.t)
        return times, rows_of(asked, steps)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write to a NetCDF file, whole or not at all; an existing one is replaced.

        Raises an `OSError` if the folder does not exist or cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import twolayer as tl
        >>> ov = tl.Weights.in_target_span(p=2, k=1, d=4).overlaps()
        >>> sol = tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=[0.0, 1.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     back = tl.Trajectory.load(sol.save(folder + "/flow.nc"))
        >>> bool((back.Q == sol.Q).all())
        True
        """
        data = self.to_xarray()
        for name in ASKED:
            if getattr(self, name, None) is not None:
                data[name] = ("asked", getattr(self, name), {"long_name": "asked for"})
        for name in {"steps", "samples", "steps_asked"} & set(data.variables):
            data[name] = data[name].astype(float)  # NetCDF 3 has no integers of 64 bits
        if "steps" in data.coords:
            data = data.reset_coords(("steps", "samples"))
            data.attrs["coordinates"] = "steps samples"  # which NetCDF keeps for the whole file
        return write_netcdf(data, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], task: Task | None = None) -> Self:
        """Read what `save` wrote, bit for bit, by the class that wrote it.

        Parameters
        ----------
        path : path
            Of the file.
        task : Task, optional
            The task it was made with.  Needed if that has functions of one's own, of which a
            file keeps no more than names and some values; checked to have these, and this noise.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        InvalidInput
            If the file is not of this kind, or is damaged, or is of another task.
        """
        if task is not None:
            check_instance("task", task, Task)
        data = read_netcdf(path, cls.FORMAT)
        try:
            arrays = {name: data.variables[name].values for name in ("time", *cls.ARRAYS)}
            if not cls._fits(arrays):
                raise ValueError("with arrays that do not fit each other")
            written = from_json(data.attrs["task"])
            rest = {name: from_json(data.attrs[name]) for name in ("parameters", "provenance")}
            rest["parameters"] = {n: restored(each) for n, each in rest["parameters"].items()}
            finite(cls._kept(arrays, ended_early(rest["provenance"])))
            if "steps" in data.variables:
                rest["steps"] = _whole(data.variables["steps"].values, arrays["time"].shape)
            rest |= _asked_for({n: data.variables[n].values for n in ASKED if n in data.variables})
            task = _named_task(written) if task is None else task
        except (LookupError, TypeError, ValueError) as error:
            allowed = f"a file of the format {cls.FORMAT!r} ({error})"
            raise InvalidInput("path", str(path), allowed) from error
        if _names(task) != written:
            raise InvalidInput("task", repr(task), f"the one of the file, {json.dumps(written)}")
        seen = json.loads(data.attrs.get("functions", "[]"))
        if seen and not np.allclose(seen, known_by(task), rtol=1e-6, atol=1e-9):
            allowed = "made of the functions of the file: it has another function of this name"
            raise InvalidInput("task", repr(task), allowed)
        return cls(t=arrays.pop("time"), **arrays, task=task, **rest)

    @staticmethod
    def _fits(arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether the shapes of what a file holds go together."""
        raise NotImplementedError

    @classmethod
    def _kept(
        cls, arrays: Mapping[str, np.ndarray], ended: Sequence[int]
    ) -> Mapping[str, np.ndarray]:
        """The arrays with zeros for what runs that ended early do not have: the end of each."""
        if not ended:
            return arrays
        lost = np.isnan(arrays["excess_risk"]) & np.isin(
            np.arange(len(arrays["M"])), ended
        ).reshape(-1, 1)
        lost &= np.logical_and.accumulate(lost[:, ::-1], axis=1)[:, ::-1]
        out = {name: values.copy() for name, values in arrays.items()}
        for values in out.values():
            if values.shape[: lost.ndim] == lost.shape:
                values[lost] = 0.0
        return out

    def _labels(self) -> dict[str, str]:
        """What a dataset says of itself, beside its arrays."""
        return {
            "format": self.FORMAT,
            "task": json.dumps(_names(self.task)),
            "functions": json.dumps(
                known_by(self.task).tolist() if _own(_names(self.task)) else []
            ),
            "parameters": json.dumps(dict(self.parameters), default=plain),
            "provenance": json.dumps(dict(self.provenance)),
        }


def read_only(holder: object) -> None:
    """Let nobody change the arrays of a frozen dataclass."""
    for name, value in vars(holder).items():
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value = value.view()
            value.setflags(write=False)
            object.__setattr__(holder, name, value)


def _same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether two arrays, or none, are equal, NaN to NaN."""
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second, equal_nan=True)


def _same_task(first: Task, second: Task) -> bool:
    """Whether two tasks are equal; their functions may be copies, from another process."""
    if first == second:
        return True
    return _names(first) == _names(second) and np.array_equal(known_by(first), known_by(second))


def ended_early(
    provenance: Mapping[str, Any], how: Sequence[str] = ("diverged", "stopped_at_risk")
) -> list[int]:
    """The runs that diverged, or stopped as they were asked to, before the last time."""
    named = (provenance.get(name) for name in how)  # of an ODE, whether it stopped
    return [run for runs in named if isinstance(runs, list) for run in runs]


def _asked_for(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What was asked for, from a file: times, and maybe as many steps."""
    finite(arrays)
    for values in arrays.values():
        if values.ndim != 1 or values.shape != arrays["t_asked"].shape:
            raise ValueError("with times asked for that do not fit each other")
        if (np.diff(values) < 0).any():
            raise ValueError("with times asked for that decrease")
    steps = {n: _whole(values, values.shape) for n, values in arrays.items() if n != "t_asked"}
    return {**arrays, **steps}


def _whole(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Steps as they were, from a file that holds them as floats."""
    if values.shape != shape or not (values == np.floor(values)).all():
        raise ValueError("with steps that are not whole numbers, one for each time")
    return values.astype(np.int64)


def _names(task: Task) -> dict[str, Any]:
    """The task as plain data, for a file: of activations the names."""
    return {
        "activation": _name(task.activation),
        "target_activation": _name(task.target_activation),
        "noise": task.noise,
    }


def _name(activation: Activation) -> str:
    """Its name in a file, where one of ours is known by it: a namesake of one of ours is not."""
    ours = (ACTIVATIONS | OTHERS).get(activation.name)
    known = ours is None or activation.code == ours.code  # a copy, from another process, too
    return activation.name if known else f"own {activation.name}"


def _own(names: Mapping[str, Any]) -> list[str]:
    """The functions that are none of ours, by which a file alone does not make a task."""
    every = names["activation"], names["target_activation"]
    return [name for name in every if name not in ACTIVATIONS | OTHERS]


def _named_task(written: Mapping[str, Any]) -> Task:
    """The task of these names."""
    own = _own(written)
    if own:
        functions = " and ".join(dict.fromkeys(map(shown, own)))
        raise ValueError(f"its task must be given: the functions {functions} are none of ours")
    return Task(written["activation"], written["target_activation"], written["noise"])
