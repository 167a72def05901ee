r"""`simulate`: exact one-pass SGD, run many times, at any dimension.

Both methods draw blocks of fresh samples and run through them with matrix products
(see `kernels`); both follow the law of SGD exactly.

- "direct" keeps all d coordinates of every weight.
- "projected" keeps only the span of the p students and k targets, and of the rest of
  R^d draws no more than the Gram matrix of the block; a rotation then brings the
  weights back to p + k coordinates.  Its cost does not depend on d.

Builds on `plan`, `chain` and `trajectory`.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from twolayer import checkpoint as checkpoints
from twolayer.chain import run
from twolayer.costs import METHODS
from twolayer.errors import (
    InvalidInput,
    choice,
    fits_in_memory,
    flag,
    instance,
    integer,
    layer_rate,
    shown,
    times,
)
from twolayer.errors import executor as check_executor
from twolayer.errors import seed as check_seed
from twolayer.matrices import assemble
from twolayer.overlaps import Overlaps
from twolayer.plan import RECORDS, Plan, make_plan
from twolayer.progress import Progress
from twolayer.resume import bytes_needed, check
from twolayer.state import Outcome
from twolayer.storage import provenance
from twolayer.task import Task, warn_unless_settled
from twolayer.trajectory import Divergence, Trajectory, named
from twolayer.weights import Weights

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
        recorded at the nearest whole step, and the result's `t` is the time of that step.
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
    Divergence
        If a run leaves the range of finite numbers.

    Notes
    -----
    A step costs O(p d) direct and O(p (p + k)) projected; memory is O(p d) and
    O((p + k)²) beside the recorded overlaps.  Floating point is float64 throughout.
    Bits depend on the machine's BLAS and C library.

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
    instance("task", task, Task)
    t_eval = times("t_eval", t_eval)
    batch = integer("batch", batch, 1, _LARGEST_BATCH)
    eta = layer_rate("second_layer_rate", second_layer_rate)
    runs, seed, progress = integer("runs", runs, 1), check_seed(seed), flag("progress", progress)
    choice("method", method, METHODS)
    choice("record", record, RECORDS)
    check_executor(executor)
    _check_can_be_sent(task, executor)
    plan, why = make_plan(task, start, d, learning_rate, t_eval, seed, method, record, eta, batch)
    fits_in_memory("runs", runs, bytes_needed(plan, runs) / 8)
    if checkpoint is None:
        outcomes = _outcomes(plan, runs, executor, progress, None)
    else:
        with checkpoints.opened(checkpoint, bytes_needed(plan, runs)) as folder:
            for number in range(runs):
                check(plan, number, folder)
            outcomes = _outcomes(plan, runs, executor, progress, folder)
    return _collect(plan, outcomes, named(learning_rate), method, why, started)


def _outcomes(
    plan: Plan, runs: int, executor: Executor | None, progress: bool, folder: str | None
) -> list[Outcome]:
    """Every run, here or wherever the executor takes it; fewer after Ctrl-C."""
    outcomes: list[Outcome] = []
    side_by_side = isinstance(executor, ThreadPoolExecutor) and runs > 1
    share = max(1, (os.cpu_count() or 1) // runs)
    with (
        Progress(float(runs * max(plan.samples[-1], 1)), "simulate", progress) as bar,
        threads_for_products(share) if side_by_side else nullcontext(),
    ):
        try:
            if executor is None:
                for number in range(runs):
                    before = number * plan.samples[-1]
                    outcome = run(plan, number, folder, lambda n, done=before: bar.to(done + n))
                    outcomes.append(outcome)
                    bar.to(before + plan.samples[-1])
                    if outcome.interrupted or outcome.blew_up_at is not None:
                        break
            else:
                futures = [submit(executor, share, plan, n, folder) for n in range(runs)]
                try:
                    for done, _ in enumerate(as_completed(futures), 1):
                        bar.to(done * plan.samples[-1])
                    outcomes = [future.result() for future in futures]
                except BaseException:
                    for future in futures:
                        future.cancel()
                    finished = (f for f in futures if f.done() and not f.cancelled())
                    outcomes = [f.result() for f in finished if f.exception() is None]
                    raise
        except KeyboardInterrupt:
            outcomes.append(replace(Outcome.empty(plan), interrupted=True))
    return outcomes


def submit(
    executor: Executor, share: int, plan: Plan, number: int, folder: str | None
) -> Future[Outcome]:
    """Send a run to an executor; in a process of its own its linear algebra gets `share` cores."""
    from concurrent.futures import ProcessPoolExecutor  # a browser's Python has none

    if isinstance(executor, ProcessPoolExecutor):
        return executor.submit(run_on, share, plan, number, folder)
    return executor.submit(run, plan, number, folder)


def _check_can_be_sent(task: Task, executor: Executor | None) -> None:
    """Refuse a pool of processes for functions that another process cannot find."""
    if executor is None or isinstance(executor, ThreadPoolExecutor):
        return  # a browser's Python has no processes
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.reduction import ForkingPickler

    if not isinstance(executor, ProcessPoolExecutor):
        return
    try:
        ForkingPickler.dumps(task)  # as the pool will
    except Exception as error:  # whatever an object of the user's may raise
        allowed = "made of functions defined in a module, to be sent to other processes"
        raise InvalidInput("task", f"{task!r} ({shown(str(error))})", allowed) from error


def run_on(share: int, plan: Plan, number: int, folder: str | None) -> Outcome:
    """`chain.run` with that many threads for matrix products."""
    with threads_for_products(share):
        return run(plan, number, folder)


def threads_for_products(count: int) -> AbstractContextManager[object]:
    """Limit the threads of BLAS in this process: runs side by side would wait for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=count, user_api="blas")


def _collect(
    plan: Plan,
    outcomes: list[Outcome],
    learning_rate: float | str | None,
    method: str,
    why: str,
    started: float,
) -> Trajectory:
    """The runs as one trajectory; raise `Divergence` or warn of an interruption."""
    blown = [o for o in outcomes if o.blew_up_at is not None]
    stopped = any(o.interrupted for o in outcomes)
    if stopped and not blown:
        finished = [o for o in outcomes if not o.interrupted]
        outcomes = finished or outcomes[:1]
        if not finished and outcomes[0].count == 0:
            raise KeyboardInterrupt
    count = min(o.count for o in outcomes)
    trajectory = Trajectory(
        t=plan.times(plan.samples[:count]),
        Q=np.stack([o.Q[:count] for o in outcomes]),
        M=np.stack([o.M[:count] for o in outcomes]),
        P=plan.P,
        excess_risk=np.stack([o.excess_risk[:count] for o in outcomes]),
        task=plan.task,
        a=np.stack([o.a[:count] for o in outcomes]),
        a_star=plan.a_star,
        parameters={
            "learning_rate": learning_rate,
            "second_layer_rate": plan.second_layer_rate,
            "batch": plan.batch,
            "d": plan.d,
            "runs": len(outcomes),
            "seed": plan.seed,
            "method": method,
        },
        provenance=provenance(
            method="projected" if plan.projected else "direct",
            why=why,
            block=plan.block,
            steps=int(plan.samples[-1]) // plan.batch,
            seconds=round(time.perf_counter() - started, 3),
        ),
    )
    if blown:
        sample = min(o.blew_up_at for o in blown if o.blew_up_at is not None)
        when = float(plan.times(np.array(sample)))
        raise Divergence(
            "a run left the range of finite numbers", sample // plan.batch, when, trajectory
        )
    if stopped:
        asked = plan.samples.size
        warnings.warn(
            f"interrupted: {len(outcomes)} run(s) with {count} of {asked} times returned",
            RuntimeWarning,
            stacklevel=3,
        )
    warn_unless_settled(_risk_error(trajectory), stacklevel=4)
    return trajectory


def _risk_error(path: Trajectory) -> dict[str, tuple[float, float]]:
    """What the recorded risks may be off by, at the first and last time of the first run."""
    if path.task.closed or path.Q.ndim < path.M.ndim or not path.t.size:
        return {}
    forms, p = path.task.forms, path.M.shape[-2]
    ends = [assemble(path.Q[0, n], path.M[0, n], path.P) for n in (0, -1)]
    return {"the risk": (max(forms.risk_error(Omega, p) for Omega in ends), forms.tolerance)}
