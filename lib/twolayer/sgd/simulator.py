r"""`simulate`: exact one-pass SGD, run many times, at any dimension.

Both methods draw blocks of fresh samples and run through them with matrix products
(see `kernels`); both follow the law of SGD exactly.

- "direct" keeps all d coordinates of every weight.
- "projected" keeps only the span of the p students and k targets, and of the rest of
  R^d draws no more than the Gram matrix of the block; a rotation then brings the
  weights back to p + k coordinates.  Its cost does not depend on d.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor

from numpy.typing import ArrayLike

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.task import Task, warn_unless_settled
from twolayer.results.trajectory import Trajectory, named, risk_error
from twolayer.sgd import checkpoint as checkpoints
from twolayer.sgd.elsewhere import check_can_be_sent, run_there
from twolayer.sgd.gathering import ON_DIVERGENCE, gather
from twolayer.sgd.method import METHODS, cost
from twolayer.sgd.plan import RECORDS, Asked, Plan, make_plan
from twolayer.sgd.resume import bytes_needed, check
from twolayer.sgd.run import run
from twolayer.sgd.state import Outcome
from twolayer.support.checks import (
    check_choice,
    check_executor,
    check_fits_in_memory,
    check_flag,
    check_instance,
    check_integer,
    check_layer_rate,
    check_seed,
    check_times,
)
from twolayer.support.cluster import check_workers
from twolayer.support.progress import Progress, warn_of_minutes

#: A batch is a block of its own, with the scalar products of its samples.
_LARGEST_BATCH = 4096


def simulate(
    task: Task,
    start: Weights | Overlaps,
    *,
    learning_rate: float | Callable[[float], float],
    t_eval: ArrayLike,
    second_layer_rate: float = 0.0,
    batch: int = 1,
    d: int | None = None,
    runs: int = 1,
    seed: int = 0,
    method: str = "auto",
    record: str = "overlaps",
    on_divergence: str = "raise",
    executor: Executor | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Trajectory:
    r"""Run one-pass SGD, w_i ← w_i + (γ/p) a_i σ'(λ_i) 𝓔 x, a fresh sample x ~ N(0, I_d/d) a step.

    Parameters
    ----------
    task : Task
    start : Weights or Overlaps
        State at t = 0, the same for all runs.
    learning_rate : float or callable
        γ > 0, or a schedule: γ as a function of t, which is held for a block of samples
        (``provenance["block"]``); time moves with it, by γ(t)/(p d) a step.
    t_eval : array_like, shape (T,)
        Times >= 0 that do not decrease, in units of p d/γ steps.  The state is
        recorded at the nearest whole step, once; the result's `steps` are these, and its `t`
        their times.
    d : int
        Dimension of the data; needed with overlaps, at least the rank of Ω.
    runs : int
        Number of independent runs.
    seed : int
        Run r depends on (seed, r) alone, whatever else is run beside it, and on
        nothing that is recorded.

    Other Parameters
    ----------------
    second_layer_rate : float
        η >= 0: a_i ← a_i + η/(p d) σ(λ_i) 𝓔 along with the weights.  With 0 the second layer
        stays as it is in `start`.
    batch : int
        Samples b >= 1 of a step, which is their mean.
    method : str
        "direct", "projected" (needs d >= p + k + 8, and d >= p + k + b), or "auto", which takes
        the cheaper one.
    record : str
        "overlaps" keeps all of Q, "norms" only its diagonal: with thousands of students
        the p² numbers at each time would fill the memory.
    on_divergence : str
        If a run leaves the range of finite numbers, "raise" `Divergence` once all runs have
        ended, or "keep" its NaNs in the result, whose ``provenance["diverged"]`` names it.
    executor : concurrent.futures.Executor, optional
        Where to run; here and one after another by default.  Processes need activations that
        are defined in a module, which a lambda is not.
    progress : bool
        Show a progress bar if it takes more than a few seconds.
    checkpoint : path, optional
        A folder, made if missing, in which every run saves its state now and then and at
        its end.  A call with the same arguments continues from it; other arguments are refused.

    Returns
    -------
    Trajectory
        With a leading run axis.  `provenance["method"]` is the method used and
        `provenance["why"]` the reason.  After Ctrl-C, with a warning: the runs that were
        finished, or the times that the first one had reached.

    Raises
    ------
    InvalidInput
        If an argument cannot be used; before any work.
    CostWarning
        If it is likely to take minutes; before any work too.
    Divergence
        If runs leave the range of finite numbers: ``error.runs``.  In ``error.trajectory`` all
        runs are whole, and these are NaN after their last time.

    Notes
    -----
    A step costs O(p d) direct and O(p (p + k)) projected; memory is O(p d) and
    O((p + k)²) beside the recorded overlaps.  Floating point is float64 throughout.
    Bits depend on the machine's BLAS and C library.

    A function of one's own is called from NumPy's loop for the first 10,000 samples of every run,
    and is compiled for the others if it can be (`activations.machine_code`).

    References
    ----------
    arXiv:2302.05882, section 2, for the algorithm; M. S. Bartlett, Proc. R. Soc. Edinb.
    53, 260 (1933), for the triangular factor of a Wishart matrix.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=4, k=2, d=20)
    >>> run = simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 0.5, 1], runs=3)
    >>> run.risk.shape, run.M.shape
    ((3, 3), (3, 3, 4, 2))
    >>> far = simulate(tl.Task("erf"), start.overlaps(), d=10**9, learning_rate=0.1, t_eval=[1e-7])
    >>> far.provenance["method"]
    'projected'
    """
    started = time.perf_counter()
    check_instance("task", task, Task)
    t_eval = check_times("t_eval", t_eval)
    batch = check_integer("batch", batch, 1, _LARGEST_BATCH)
    eta = check_layer_rate("second_layer_rate", second_layer_rate)
    runs = check_integer("runs", runs, 1)
    seed = check_seed(seed)
    progress = check_flag("progress", progress)
    check_choice("method", method, METHODS)
    check_choice("record", record, RECORDS)
    check_choice("on_divergence", on_divergence, ON_DIVERGENCE)
    check_executor(executor)
    check_can_be_sent(task, executor)
    check_workers(executor, "twolayer.sgd.run")
    asked = Asked(task, start, d, learning_rate, t_eval, seed, method, record, eta, batch)
    plan, why = make_plan(asked)
    check_fits_in_memory("runs", runs, bytes_needed(plan, runs) / 8)
    samples = int(plan.samples[-1])
    size = start.p, start.k, plan.d, plan.block, plan.projected, batch
    what = f"{runs} runs of {samples // batch} steps, on one core"
    warn_of_minutes(what, 1e-6 * runs * samples * cost(*size), stacklevel=3)
    outcomes: dict[int, Outcome] = {}
    options = {"learning_rate": named(learning_rate), "method": method, "why": why}
    options |= {"started": started, "on_divergence": on_divergence}
    try:
        if checkpoint is None:
            stopped = _run_all(plan, runs, executor, progress, None, outcomes)
        else:
            with checkpoints.opened(checkpoint, bytes_needed(plan, runs)) as folder:
                for number in range(runs):
                    check(plan, number, folder)
                stopped = _run_all(plan, runs, executor, progress, folder, outcomes)
    except Exception as error:  # of an executor, or of a function of the user's
        ended = {number: each for number, each in outcomes.items() if not each.interrupted}
        if ended:
            options["on_divergence"] = "keep"
            error.trajectory = gather(plan, ended, runs, stopped=False, **options)
            error.add_note(f"{len(ended)} of {runs} runs had ended: .trajectory of this error")
        raise
    trajectory = gather(plan, outcomes, runs, stopped=stopped, **options)
    warn_unless_settled(risk_error(trajectory))
    return trajectory


def _run_all(
    plan: Plan,
    runs: int,
    executor: Executor | None,
    progress: bool,
    folder: str | None,
    outcomes: dict[int, Outcome],
) -> bool:
    """Every run, here or wherever the executor takes it, into `outcomes`; whether Ctrl-C came."""
    with Progress(float(runs * max(plan.samples[-1], 1)), "simulate", progress) as bar:
        try:
            if executor is None:
                return _run_here(plan, runs, folder, outcomes, bar)
            run_there(plan, runs, executor, folder, outcomes, bar)
        except KeyboardInterrupt:
            return True
    return False


def _run_here(
    plan: Plan, runs: int, folder: str | None, outcomes: dict[int, Outcome], bar: Progress
) -> bool:
    """One run after another; whether Ctrl-C came."""
    for number in range(runs):
        before = number * plan.samples[-1]
        outcomes[number] = run(plan, number, folder, lambda n, done=before: bar.to(done + n))
        if outcomes[number].interrupted:
            return True
        bar.to(before + plan.samples[-1])
    return False
