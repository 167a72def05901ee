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
from dataclasses import replace

from numpy.typing import ArrayLike

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import Spectrum
from twolayer.problem.states import isotropic
from twolayer.problem.task import Task, warn_unless_settled
from twolayer.problem.update import Norm, UpdateRule
from twolayer.results.going_on import going_on, with_targets
from twolayer.results.trajectory import Trajectory, named, risk_error
from twolayer.schedules import of_schedule
from twolayer.sgd import checkpoint as checkpoints
from twolayer.sgd.elsewhere import run_there
from twolayer.sgd.gathering import ON_DIVERGENCE, OnDivergence, gather
from twolayer.sgd.groups import step_cost
from twolayer.sgd.inputs import Draw
from twolayer.sgd.method import METHODS, Method, cost
from twolayer.sgd.plan import RECORDS, Record
from twolayer.sgd.planning import Asked, Plans, gone_on, with_inputs, with_spectrum
from twolayer.sgd.resume import bytes_needed, check
from twolayer.sgd.run import run
from twolayer.sgd.state import Outcome
from twolayer.support.checks import (
    InvalidInput,
    check_choice,
    check_executor,
    check_fits_in_memory,
    check_flag,
    check_instance,
    check_integer,
    check_layer_rate,
    check_one_clock,
    check_seed,
    check_steps,
    check_stop,
    check_times_asked,
)
from twolayer.support.cluster import check_can_be_sent, check_workers
from twolayer.support.limits import says_what_it_cannot
from twolayer.support.progress import Progress, warn_of_minutes

#: A batch is a block of its own, with the scalar products of its samples.
_LARGEST_BATCH = 4096


@says_what_it_cannot
def simulate(
    task: Task,
    start: Weights | Overlaps | SpectralOverlaps | Trajectory,
    *,
    learning_rate: float | Callable[[float], float],
    t_eval: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    second_layer_rate: float = 0.0,
    batch: int = 1,
    weight_decay: float = 0.0,
    norm: Norm = "free",
    neuron_rates: ArrayLike | None = None,
    d: int | None = None,
    spectrum: Spectrum | None = None,
    inputs: ArrayLike | Draw | None = None,
    a_star: ArrayLike | None = None,
    runs: int = 1,
    seed: int = 0,
    method: Method = "auto",
    record: Record = "overlaps",
    on_divergence: OnDivergence = "raise",
    stop_at_risk: float | None = None,
    executor: Executor | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Trajectory:
    r"""Run one-pass SGD, w_i ← w_i + (γ/p) a_i σ'(λ_i) 𝓔 x, a fresh sample x ~ N(0, I_d/d) a step.

    Parameters
    ----------
    task : Task
    start : Weights, Overlaps, SpectralOverlaps or Trajectory
        State at t = 0, the same for all runs; or a result to go on from, each run from its own
        last state, by samples that are new to it: `task` and all else may be others.
    learning_rate : float or callable
        γ > 0, or a schedule: γ as a function of t, which is held for a block of samples
        (``provenance["block"]``); time moves with it, by γ(t)/(p d) a step.  One of `schedules`
        in steps or samples is exact at every step, and of one in t the jumps are.  Its clock
        goes on, too, from where the result ends.
    t_eval : array_like, shape (T,)
        Times >= 0, or from where the result ends, that do not decrease, in units of p d/γ steps.
        The state is recorded at the nearest whole step, once; the result's `steps` are these, its
        `t` their times, and its `samples` the steps times `batch`.
    steps : array_like of integers, shape (T,)
        In place of `t_eval`: the steps after which to record, >= 0, or from that on with which
        the result ends, that do not decrease.
    d : int
        Dimension of the data; needed with overlaps, at least the rank of Ω.  That of a result, or
        of a spectrum, by default.
    spectrum : Spectrum, optional
        With weights, whose coordinates are then ordered by eigenspace: samples x ~ N(0, Σ/d) of
        this covariance.  Overlaps in the eigenspaces have it in them.
    inputs : array_like, shape (N, d), or callable, optional
        With weights, and the direct method: samples x of one's own in place of Gaussian ones, in
        the coordinates of the weights and of mean ‖x‖² = 1, each used once.  Of an array every
        run has an equal part, in the order of the runs; a function of (rng, n) draws n samples
        from a generator, which depends on (seed, run).  The recorded risk is that of Gaussian
        inputs with the covariance of `spectrum`, or I/d: see `observe`.
    runs : int
        Number of independent runs; those of a result.
    seed : int
        Run r depends on (seed, r) alone, whatever else is run beside it, and on
        nothing that is recorded.

    Other Parameters
    ----------------
    a_star : array_like, shape (k,), optional
        Second layer of the targets, instead of the one of `start`.
    second_layer_rate : float
        η >= 0: a_i ← a_i + η/(p d) σ(λ_i) 𝓔 along with the weights.  With 0 the second layer
        stays as it is in `start`.
    batch : int
        Samples b >= 1 of a step, which is their mean.
    weight_decay : float
        λ >= 0: w_i ← (1 − γλ/(p d)) w_i, plus the step from where it was.  With `neuron_rates`
        γ ρ_i in place of γ; at most half of a weight a step.  Not of the second layer.
    norm : str
        "free", or "fixed": each step ends with every student put back to the norm that it has in
        `start`, which is not zero.
    neuron_rates : array_like, shape (p,), optional
        Multiples ρ_i >= 0 of γ, of each student its own; 0 freezes it.
    method : str
        "direct", "projected" (needs d >= p + k + 8, and d >= p + k + b), or "auto", which takes
        the cheaper one.
    record : str
        "overlaps" keeps all of Q, "norms" only its diagonal: with thousands of students
        the p² numbers at each time would fill the memory.
    on_divergence : str
        If a run leaves the range of finite numbers, "raise" `Divergence` once all runs have
        ended, or "keep" its NaNs in the result, whose ``provenance["diverged"]`` names it.
    stop_at_risk : float, optional
        A run stops at its first recorded time at which the population risk R (label noise
        included) is no larger, and is NaN later; ``provenance["stopped_at_risk"]`` names those
        that did.  Times that no run reached are left out.  Must be above Δ/2.
    executor : concurrent.futures.Executor, optional
        Where to run; here and one after another by default.  Processes need activations that
        are defined in a module, which a lambda is not.
    progress : bool
        Show a progress bar if it takes more than a few seconds.
    checkpoint : path, optional
        A folder, made if missing, in which every run saves its state now and then and at
        its end.  A call with the same arguments goes on from it, bit for bit as without it; so
        does one with later times, or with more runs.  Other arguments are refused.

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
    check_one_clock(t_eval, steps)
    t_eval = None if t_eval is None else check_times_asked("t_eval", t_eval)
    steps = None if steps is None else check_steps(steps)
    batch = check_integer("batch", batch, 1, _LARGEST_BATCH)
    eta = check_layer_rate("second_layer_rate", second_layer_rate)
    runs = check_integer("runs", runs, 1)
    seed = check_seed(seed)
    progress = check_flag("progress", progress)
    check_choice("method", method, METHODS)
    check_choice("record", record, RECORDS)
    check_choice("on_divergence", on_divergence, ON_DIVERGENCE)
    check_executor(executor)
    sent = {"task": task} | ({"inputs": inputs} if callable(inputs) else {})  # arrays can be
    check_can_be_sent(sent, executor)
    check_workers(executor, "twolayer.sgd.run")
    if stop_at_risk is not None:
        stop_at_risk = check_stop("stop_at_risk", stop_at_risk, task.noise)
    asked = Asked(task, start, d, learning_rate, t_eval, seed, method, record, eta, batch)
    asked, starts = replace(asked, steps=steps, stop_at_risk=stop_at_risk), [start]
    if isinstance(start, Trajectory):
        own = len(start.M) if start.M.ndim == 4 else 1
        if own > 1 and runs not in (1, own):
            raise InvalidInput("runs", str(runs), f"{own}, those of the result, or left out")
        runs = max(runs, own)
        starts = [going_on("start", start, run=run)[1] for run in range(own)]
        asked = gone_on(asked, start)
    if isinstance(starts[0], (Weights, Overlaps, SpectralOverlaps)):
        starts = [with_targets(each, a_star) for each in starts]
        rule = UpdateRule.of(weight_decay, norm, neuron_rates, starts[0].p)
        asked = replace(asked, rule=rule)
    asked = with_spectrum(asked, starts[0], spectrum)
    asked = with_inputs(asked, starts[0], inputs, runs)
    starts = [isotropic(each) if isinstance(each, SpectralOverlaps) else each for each in starts]
    plans = Plans.of(asked, starts)
    plan, why = plans.first, plans.why
    check_fits_in_memory("runs", runs, bytes_needed(plan, runs) / 8)
    samples = int(plan.samples[-1])
    size = starts[0].p, starts[0].k, plan.d, plan.block, plan.projected, batch
    each = cost(*size) if plan.groups is None else step_cost(plan.groups, *size[:2])
    what = f"{runs} runs of {samples // batch} steps{of_schedule(learning_rate)}, on one core"
    warn_of_minutes(what, 1e-6 * runs * samples * each)
    outcomes: dict[int, Outcome] = {}
    options = {"learning_rate": named(learning_rate), "method": method, "why": why}
    options |= {"started": started, "on_divergence": on_divergence}
    try:
        if checkpoint is None:
            stopped = _run_all(plans, runs, executor, progress, None, outcomes)
        else:
            with checkpoints.opened(checkpoint, bytes_needed(plan, runs)) as folder:
                for number in range(runs):
                    check(plans[number], number, folder)
                stopped = _run_all(plans, runs, executor, progress, folder, outcomes)
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
    plans: Plans,
    runs: int,
    executor: Executor | None,
    progress: bool,
    folder: str | None,
    outcomes: dict[int, Outcome],
) -> bool:
    """Every run, here or wherever the executor takes it, into `outcomes`; whether Ctrl-C came."""
    samples = max(plans.first.samples[-1], 1)
    with Progress(float(runs * samples), "simulate", progress) as bar:
        try:
            if executor is None:
                return _run_here(plans, runs, folder, outcomes, bar)
            run_there(plans, runs, executor, folder, outcomes, bar)
        except KeyboardInterrupt:
            return True
    return False


def _run_here(
    plans: Plans, runs: int, folder: str | None, outcomes: dict[int, Outcome], bar: Progress
) -> bool:
    """One run after another; whether Ctrl-C came."""
    samples = plans.first.samples[-1]
    for number in range(runs):
        before = number * samples
        outcomes[number] = run(
            plans[number], number, folder, lambda n, done=before: bar.to(done + n)
        )
        if outcomes[number].interrupted:
            return True
        bar.to(before + samples)
    return False
