"""`sweep`: one of the solvers over a grid of arguments."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from contextvars import copy_context
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.flow.solver import solve
from twolayer.mean_field.solver import solve_mean_field
from twolayer.sgd.simulator import simulate
from twolayer.support.checks import (
    InvalidInput,
    check_executor,
    check_fits_in_memory,
    check_flag,
    check_times,
    shown,
)
from twolayer.support.cluster import check_can_be_sent, check_workers
from twolayer.support.progress import Progress
from twolayer.support.threads import is_local
from twolayer.support.warn import warn
from twolayer.sweeps.cell import one_thread, run_cell, run_elsewhere, try_cell
from twolayer.sweeps.dataset import assemble
from twolayer.sweeps.grid import Grid, in_cell, make_grid
from twolayer.sweeps.kept import Kept, kept

if TYPE_CHECKING:
    import xarray

SOLVERS = (solve, simulate, solve_mean_field)
#: Cells that wait on an executor: their arguments are in memory.
_WAITING = 200
#: Seconds in which cells elsewhere end once they are told to.
_PATIENCE = 10.0

Cells = dict[tuple[int, ...], "xarray.Dataset"]


def sweep(
    solver: Callable[..., Any],
    *arguments: Any,
    over: Mapping[str, Any],
    executor: Executor | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **options: Any,
) -> xarray.Dataset:
    """Call a solver for all combinations of some arguments: one dataset, with these dimensions.

    Parameters
    ----------
    solver : callable
        `solve`, `simulate` or `solve_mean_field`.
    *arguments, **options
        Of the solver, the same for all cells.  A function whose parameters are all swept names
        is called with their values in each cell, and has to give the same each time:
        ``lambda noise: tl.Task("erf", noise=noise)``.  Other functions, as a learning rate γ(t),
        are handed on.
    over : mapping
        Swept names and sequences of their values: arguments of the solver, or of such functions.
        A name that is both is given to both.
    executor : concurrent.futures.Executor, optional
        Where cells run, each in one piece; here and one after another by default.
    folder : path, optional
        Made if missing.  Every finished cell is kept in it; the same call goes on from there, and
        another sweep is refused.
    progress : bool
        Show a progress bar if it takes more than a few seconds.

    Returns
    -------
    xarray.Dataset
        The variables of the results' `to_xarray`, on the swept dimensions and their own.

        - Coordinates are the values if these are numbers or strings, else their names or indices.
        - `time` are the times asked for, as they are; for each `recorded_time` is when was
          recorded, of `simulate` the nearest whole step.
        - `diverged`, with the runs of `simulate`: what blew up, and is NaN from there on.
        - Results of fewer students, targets or runs are padded by NaN.
        - A swept name that is a variable's, too, as ``P``, has the dimension ``P_swept``.

        After Ctrl-C, with a warning: NaN in the cells that were not finished.

    Raises
    ------
    InvalidInput
        If the arguments cannot be used; before any work as far as every swept value is tried once,
        with the first ones of the others, at t = 0.
    Exception
        Whatever a cell raises but `Divergence`, with a note that names the cell, and what is
        finished as ``error.dataset``.

    Notes
    -----
    A cell has the numbers of a call of its own, bit for bit, wherever it runs.  All cells of
    `simulate` have the same seed; for others sweep over `seed`.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=3, k=1, d=10).overlaps()
    >>> found = tl.sweep(
    ...     tl.simulate, tl.Task("erf"), start, t_eval=[0, 0.5, 1], runs=4,
    ...     over={"learning_rate": [0.1, 0.5], "d": [10, 1000]},
    ... )
    >>> found.risk.mean("run").sel(d=1000, time=1).dims, found.risk.sizes["run"]
    (('learning_rate',), 4)
    >>> flat = tl.sweep(
    ...     tl.solve, lambda noise: tl.Task("erf", noise=noise), start, learning_rate=0.5,
    ...     over={"noise": [0, 0.1]}, t_eval=[100.0],
    ... )
    >>> bool(flat.excess_risk.sel(noise=0.1) > flat.excess_risk.sel(noise=0))
    True
    """
    if not any(solver is each for each in SOLVERS):
        names = ", ".join(f"twolayer.{each.__name__}" for each in SOLVERS)
        raise InvalidInput("solver", shown(solver), f"one of {names}")
    check_executor(executor)
    progress = check_flag("progress", progress)
    grid = make_grid(solver, arguments, over, options)
    check_times("t_eval", grid.given["t_eval"])
    t_eval = np.array(grid.given["t_eval"], dtype=float)  # as it is asked, twice if it is
    check_workers(executor, __name__)
    with kept(folder, grid, t_eval) as store:
        found = _look_ahead(grid, t_eval, executor, store)
        rest = [cell for cell in grid.cells if cell not in found]
        stopped = False
        run = _run_here if executor is None else _run_there
        with (
            warnings.catch_warnings(),
            Progress(float(max(1, len(rest))), "sweep", progress) as bar,
        ):
            warnings.filterwarnings("ignore", "interrupted", RuntimeWarning)  # said once, below
            try:
                run(grid, rest, t_eval, executor, store, found, bar)
            except KeyboardInterrupt:
                stopped = True
            except Exception as error:
                if found:
                    error.dataset = assemble(grid, t_eval, found)  # type: ignore[attr-defined]
                    error.add_note(f"{len(found)} cells were finished: .dataset of this error")
                raise
    if stopped and not found:
        raise KeyboardInterrupt
    if stopped:
        count = f"{len(found)} of {np.prod(grid.shape)} cells"
        message = f"interrupted: {count} are returned, and NaN in place of the others"
        warn(message, RuntimeWarning)
    return assemble(grid, t_eval, found)


def _look_ahead(grid: Grid, t_eval: np.ndarray, executor: Executor | None, store: Kept) -> Cells:
    """Refuse what no cell can use; the cells that are there."""
    found, most, cells = {}, 0, int(np.prod(grid.shape))
    for cell in grid.cells:
        arguments = grid.arguments(cell)
        if np.count_nonzero(cell) <= 1:  # every value once, with the first ones of the others
            check_can_be_sent(arguments, executor)
            try:
                most = max(most, t_eval.size * try_cell(grid.solver, arguments))
            except InvalidInput as error:
                raise in_cell(error, grid.label(cell)) from error
            check_fits_in_memory("over", f"{cells} cells", 2.0 * cells * most)
        if (data := store.read(cell, arguments)) is not None:
            found[cell] = data
    return found


def _run_here(
    grid: Grid,
    rest: list[tuple[int, ...]],
    t_eval: np.ndarray,
    _: None,
    store: Kept,
    found: Cells,
    bar: Progress,
) -> None:
    """One cell after another, into `found`."""
    around = copy_context()  # whoever listens to the sweep hears of the bar, not of a cell
    for done, cell in enumerate(rest):
        arguments = grid.arguments(cell)
        try:
            data = run_cell(
                grid.solver,
                arguments,
                t_eval,
                lambda share, done=done: around.run(bar.to, done + share),
            )
        except Exception as error:
            raise _named(error, grid.label(cell)) from error.__cause__
        if data is None:
            raise KeyboardInterrupt
        found[cell] = data
        store.write(cell, arguments, data)
        bar.to(done + 1.0)


def _run_there(
    grid: Grid,
    rest: list[tuple[int, ...]],
    t_eval: np.ndarray,
    executor: Executor,
    store: Kept,
    found: Cells,
    bar: Progress,
) -> None:
    """Cells on an executor, a number of them at a time, into `found`."""
    go_on = TemporaryDirectory(prefix="twolayer-")
    seen = go_on.name if is_local(executor) else None
    threads = isinstance(executor, ThreadPoolExecutor)
    alone = seen is not None and not threads
    waiting, sent = iter(rest), dict[Future[Any], tuple[int, ...]]()
    before = len(found)

    def take(future: Future[Any]) -> None:
        cell = sent.pop(future)
        if future.cancelled() or (data := future.result()) is None:
            raise KeyboardInterrupt
        found[cell] = data
        store.write(cell, grid.arguments(cell), data)

    with one_thread(grid.solver) if threads else nullcontext():
        try:
            while True:
                for cell in itertools.islice(waiting, _WAITING - len(sent)):
                    task = grid.solver, grid.arguments(cell), t_eval, seen, alone
                    sent[executor.submit(run_elsewhere, *task)] = cell
                if not sent:
                    return
                for future in wait(sent, return_when=FIRST_COMPLETED).done:
                    cell = sent[future]
                    try:
                        take(future)
                    except Exception as error:
                        raise _named(error, grid.label(cell)) from error.__cause__
                    bar.to(float(len(found) - before))
        except BaseException:
            go_on.cleanup()
            for future in sent:
                future.cancel()
            if seen is not None:
                wait(sent, _PATIENCE)
            for future in [each for each in sent if each.done() and not each.cancelled()]:
                if future.exception() is None and future.result() is not None:
                    take(future)
            raise
        finally:
            go_on.cleanup()


def _named(error: Exception, label: str) -> Exception:
    """The error of a cell, naming it."""
    if isinstance(error, InvalidInput):
        return in_cell(error, label)
    error.add_note(f"in the cell {label} of the sweep")
    return error
