"""One cell of a sweep: a call of the solver, brought to the times that were asked for.

A cell is a dataset of plain floats, which can be sent, written to a file and read back bit for bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.results.divergence import Divergence
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.result import Result
from twolayer.results.trajectory import Trajectory
from twolayer.sgd.elsewhere import threads_for_products
from twolayer.sgd.simulator import simulate
from twolayer.support.progress import listening
from twolayer.support.threads import while_there

if TYPE_CHECKING:
    import xarray


def run_cell(
    solver: Callable[..., Any],
    arguments: Mapping[str, Any],
    t_eval: np.ndarray,
    listener: Callable[[float], None] = lambda share: None,
) -> xarray.Dataset | None:
    """The result of one call on the times `t_eval`, or None if it was interrupted.

    Variables are those of the result's `to_xarray`, and `recorded_time` (time,) and `diverged`,
    with a run axis of `simulate`; NaN where nothing was reached.  `listener` hears of the share
    that is done.
    """
    try:
        with listening(listener):
            result, blew_up = call(solver, arguments, t_eval)
    except KeyboardInterrupt:
        return None
    if not (blew_up or complete(result)):
        return None
    return aligned(result, blew_up)


def try_cell(solver: Callable[..., Any], arguments: Mapping[str, Any]) -> int:
    """Call the solver where it begins only, which refuses what it cannot use; numbers of a time."""
    runs = arguments.get("runs", 1)
    many = int(runs) if isinstance(runs, (int, np.integer)) and runs > 1 else 1
    once = {**arguments, "runs": 1} if many > 1 else arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will be said of the cell itself
        result = call(solver, once, np.array([_begins(arguments)]))[0]
    return many * sum(np.size(each) for each in vars(result).values())


def _begins(arguments: Mapping[str, Any]) -> float:
    """The first time that may be asked for: where a result ends that is gone on from, or 0."""
    results = [each for each in arguments.values() if isinstance(each, Result) and each.t.size]
    return max((float(each.t[-1]) for each in results), default=0.0)


def call(
    solver: Callable[..., Any], arguments: Mapping[str, Any], t_eval: np.ndarray
) -> tuple[Any, bool]:
    """The result, and whether it blew up; of `simulate` with the runs that did so."""
    keep = {"on_divergence": "keep"} if solver is simulate else {}
    try:
        return solver(**{**arguments, **keep, "t_eval": t_eval, "progress": False}), False
    except Divergence as error:
        return error.trajectory, True


def run_elsewhere(
    solver: Callable[..., Any],
    arguments: Mapping[str, Any],
    t_eval: np.ndarray,
    seen: str | None,
    alone: bool,
) -> xarray.Dataset | None:
    """`run_cell` on an executor; interrupted when the folder `seen` is gone.

    `alone` is whether other cells run in other processes of this machine.
    """
    with one_thread(solver) if alone else nullcontext():
        return run_cell(solver, arguments, t_eval, lambda _: while_there(seen))


def one_thread(solver: Callable[..., Any]) -> AbstractContextManager[object]:
    """One thread for the matrix products of SGD, whose bits do not depend on it."""
    return threads_for_products(1) if solver is simulate else nullcontext()


def complete(result: Trajectory | MeanFieldTrajectory) -> bool:
    """Whether a result has all that was asked for, not what Ctrl-C has left of it."""
    told = result.provenance
    if "run_numbers" in told or told.get("stopped_at_risk"):
        return "run_numbers" not in told
    if getattr(result, "steps", None) is None:
        return result.t.size == np.unique(result.t_asked).size
    return bool(result.steps[-1] == told["steps"])


def aligned(result: Trajectory | MeanFieldTrajectory | None, blew_up: bool) -> xarray.Dataset:
    """A result on the times asked for, as plain floats."""
    import xarray

    if result is None or not result.t.size:
        return xarray.Dataset({"diverged": ((), float(blew_up))})
    data = result.to_xarray(time="asked")
    data = data.reset_coords([name for name in data.coords if name not in data.dims])
    out = {
        name: (each.dims, np.asarray(each.values, dtype=float), dict(each.attrs))
        for name, each in data.data_vars.items()
    }
    flag: Any = ((), float(blew_up))
    if "run" in data.dims:
        runs = np.arange(data.sizes["run"])
        flag = ("run", np.isin(runs, result.provenance.get("diverged", [])).astype(float))
    out["diverged"] = flag
    return xarray.Dataset(out)
