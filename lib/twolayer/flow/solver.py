"""`solve`: the flow of the overlaps, integrated with error control.

The unknowns are the upper triangle of Q and M, p(p + 1)/2 + pk numbers, or the weights in
their span; `method` decides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from twolayer.flow.clock import times_of
from twolayer.flow.following import follow
from twolayer.flow.method import method_for
from twolayer.flow.spectral_field import SpectralFlow
from twolayer.flow.terms import TERMS, Terms, dimension, dimension_of_terms
from twolayer.flow.vector_field import Flow, SpanFlow
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import same_dimension
from twolayer.problem.states import isotropic
from twolayer.problem.task import Task, warn_unless_settled
from twolayer.problem.update import Norm, UpdateRule
from twolayer.results.divergence import Divergence
from twolayer.results.going_on import (
    check_counted,
    going_on,
    later,
    step_of,
    steps_made,
    with_targets,
)
from twolayer.results.spectral_trajectory import trajectory_of
from twolayer.results.trajectory import Trajectory, named
from twolayer.schedules import Constant, Schedule, rate_of_time
from twolayer.support.checks import (
    InvalidInput,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_layer_rate,
    check_one_clock,
    check_positive,
    check_schedule,
    check_steps,
    check_stop,
    check_times_asked,
)
from twolayer.support.integrate import ODE_METHODS, Integrator, warn_of_cost
from twolayer.support.limits import says_what_it_cannot
from twolayer.support.versions import provenance


@says_what_it_cannot
def solve(
    task: Task,
    overlaps: Overlaps | SpectralOverlaps | Trajectory,
    *,
    t_eval: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    learning_rate: float | Callable[[float], float] | None = None,
    terms: Terms = "full",
    d: int | None = None,
    a_star: ArrayLike | None = None,
    second_layer_rate: float = 0.0,
    batch: int = 1,
    weight_decay: float = 0.0,
    norm: Norm = "free",
    neuron_rates: ArrayLike | None = None,
    rtol: float = 1e-10,
    atol: float = 1e-13,
    method: Integrator = "auto",
    stop_at_risk: float | None = None,
    progress: bool = True,
) -> Trajectory:
    r"""Integrate the flow of the overlaps from t = 0.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps, SpectralOverlaps or Trajectory
        State at t = 0, also under inputs with a spectrum, ``weights.overlaps(spectrum)``; or a
        result to go on from, of one run, at its last time: `task` and all else may be others.
    t_eval : array_like, shape (T,)
        Times >= 0, or from where the result ends, that do not decrease, in units of p d/γ SGD
        steps; results are at exactly these.
    steps : array_like of integers, shape (T,)
        In place of `t_eval`: SGD steps >= 0 that do not decrease, at whose times the results are,
        t = steps · γ/(p d), or Σ γ(t)/(p d) for a schedule; wants a learning rate and `d`.  They
        count on from those of the result.
    learning_rate : float or callable
        γ > 0, or a schedule: γ as a function of t, which moves with the running rate,
        dt = γ(t)/(p d) a step.  One of `schedules` in steps or samples needs d.  The integrator
        begins anew at the jumps of these.  It may be left out if `terms` is "gradient-flow", which
        it does not change in this unit of time.
    terms : str
        - "gradient-flow": dQ/dt = Ψ^GF;
        - "gradient-flow+noise": dQ/dt = Ψ^GF + (γ/p) Ψ^noise (appendix A of the paper);
        - "full": dQ/dt = Ψ^GF + (γ/p) Ψ^Var.

    Other Parameters
    ----------------
    d : int, optional
        With "full": Ψ^Var as it is for samples in d dimensions, whose norm depends on the
        pre-activations (`flow`), whether it is asked by `steps` or not; at least the rank of P.
        Infinite by default; that of the spectrum, if there is one.  Other terms, batches and fixed
        norms have no d: there it is refused, but for `steps` and schedules in steps or samples,
        whose times it says, and then it changes the equation in nothing.
    a_star : array_like, shape (k,), optional
        Second layer of the targets, instead of the one of `overlaps`.
    second_layer_rate : float
        η >= 0, the learning rate of the second layer, a_i ← a_i + η/(p d) σ(λ_i) 𝓔 a step, hence
        da/dt = (η/γ) Ψ^a; it does not move by default.
    batch : int
        Samples that a step averages over, independent of d: they divide Ψ^Var.
    weight_decay : float
        λ >= 0: a step multiplies w_i by 1 − γλ/(p d) before it adds the gradient's, hence
        dM/dt −= λ M, dQ/dt −= 2λ Q.  Of the students alone, not of the second layer.
    norm : str
        "free", or "fixed": each step ends with every student put back to its norm, hence
        dw_i/dt −= w_i (dQ_ii/dt)/(2 Q_ii), Ψ^Var being in dQ_ii/dt; Q_ii stays.
    neuron_rates : array_like, shape (p,), optional
        Multiples ρ_i >= 0 of γ, of each student its own, decay included; 0 freezes it.  Ψ^M_i,
        and a_i in Ψ^GF and Ψ^Var, are ρ_i times as large.
    rtol, atol : float
        Tolerances on every overlap and step.  At the defaults an excess risk of 1e-8
        has three right digits; the excess risk is a difference of overlaps, so
        smaller risks want a smaller `rtol`, down to about 1e-12.
    method : str
        "auto" takes what the number of unknowns and the last time ask for, and says in
        `provenance["method"]` which, in `provenance["why"]` why: LSODA with a Jacobian for a few;
        for many, until early times, DOP853, which hands over if it gets slow; else CVODE, which
        needs no Jacobian (if scikit-sundae is installed).  "CVODE", "LSODA", "Radau" and "BDF" are
        for stiff flows, which all are at late times; "RK45", "DOP853" and "RK23" are not.  For
        gradient flow with more than twice as many students as dimensions of their span CVODE and
        the last three follow the weights in that span, which are fewer numbers than the overlaps.
    stop_at_risk : float, optional
        Stop at the first time of `t_eval` at which the population risk R (label noise
        included) is no larger; later times are left out.  Must be above Δ/2.
    progress : bool
        Show a progress bar if it takes more than a few seconds.

    Returns
    -------
    Trajectory
        With the solver's statistics in `provenance`; where there are no closed forms also
        `quadrature_error`, of drift and risk, and with "full" `variance_error`, of Ψ^Var, relative
        to their sizes.  After Ctrl-C, with a warning, of the times that were reached.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a Jacobian would take more than a quarter of the
        memory; before any work.
    CostWarning
        If it will take minutes; before any work too.
    Divergence
        If the overlaps leave the range of finite numbers (square activation at large
        γ/p), or the integrator cannot go on.

    Notes
    -----
    A right-hand side costs O(p (p + k)²) for gradient flow, and for erf and "full"
    O(p² (p + k)²); without closed forms see `quadrature` (a ReLU student and "full": 0.05 s
    for p = 3, 0.6 s for p = 10).  CVODE calls it some 2,000 times to t = 10³ and 5,000 to
    10⁵, and calls the drift alone about as often in place of a Jacobian.  LSODA, Radau and BDF
    renew an analytic Jacobian now and then (`jacobian.jacobian`) and factorise it: for p = 100
    that is a matrix of 5,500 rows, half a gigabyte with its factors.  It leaves the corrections of
    order 1/d out: Newton's iteration gets there all the same.  With a trained second layer it is
    made by differences, without Ψ^Var.

    With d the drift of Q and M is exactly the mean of one step of SGD, decay included.  What still
    separates the flow from the mean of SGD is that the drift of a mean is not the mean of a drift:
    the overlaps of SGD fluctuate, by a variance of order γ/(p d), and move in steps.

    References
    ----------
    arXiv:2302.05882, equations of section 2 and appendix A.

    Examples
    --------
    >>> import twolayer as tl
    >>> ov = tl.Weights.in_target_span(p=10, k=5, d=5).overlaps()
    >>> sol = solve(tl.Task("erf", noise=1e-3), ov, learning_rate=0.05,
    ...             terms="gradient-flow+noise", t_eval=[0.0, 1.0, 100.0])
    >>> print(f"{sol.excess_risk[1]:.4g}")
    0.01975
    """
    check_instance("task", task, Task)
    check_one_clock(t_eval, steps)
    t_asked = None if t_eval is None else check_times_asked("t_eval", t_eval)
    steps_asked = None if steps is None else check_steps(steps)
    begins, result = 0.0, overlaps if isinstance(overlaps, Trajectory) else None
    if result is not None:
        if result.M.ndim == 4 and len(result.M) > 1:
            allowed = "one of its runs, result.overlaps(run=...)"
            raise InvalidInput("overlaps", f"a result of {len(result.M)} runs", allowed)
        begins, overlaps = going_on("overlaps", result)
        t_asked = None if t_asked is None else later(t_asked, begins, step_of(result))
    spectrum = overlaps.spectrum if isinstance(overlaps, SpectralOverlaps) else None
    if spectrum is None:
        wanted = "a twolayer.Overlaps (weights have overlaps())"
        check_instance("overlaps", overlaps, Overlaps, wanted)
    overlaps = isotropic(with_targets(overlaps, a_star))
    check_choice("terms", terms, TERMS)
    check_choice("method", method, ("auto", *ODE_METHODS))
    rtol, atol = check_positive("rtol", rtol), check_positive("atol", atol)
    eta = check_layer_rate("second_layer_rate", second_layer_rate)
    batch = check_integer("batch", batch, 1)
    rule = UpdateRule.of(weight_decay, norm, neuron_rates, overlaps.p)
    rule.check_norms(np.diagonal(overlaps.Q))
    spectral = isinstance(overlaps, SpectralOverlaps)
    if spectral:
        rule.check_plain("isotropic inputs")
    if learning_rate is None and (terms != "gradient-flow" or eta or steps is not None):
        why = "the second layer is trained" if steps is None else "steps are"
        why = f"terms is {terms!r}" if terms != "gradient-flow" else why
        raise InvalidInput("learning_rate", "None", f"given when {why}")
    rate = 1.0 if learning_rate is None else learning_rate
    check_schedule(rate)
    scheduled = callable(rate) and not isinstance(rate, Constant)
    counts = isinstance(rate, Schedule) and rate.in_ != "t"
    if steps is not None and d is None:
        raise InvalidInput("d", "None", "given with steps, whose times are steps · γ/(p d)")
    d = dimension("full" if counts or steps is not None else terms, overlaps.P, d)
    if d is not None and spectrum is not None:
        same_dimension(spectrum, d)
    d_of_terms = dimension_of_terms(terms, d, counts or steps is not None, batch, rule.fixed)
    made = 0.0 if result is None else steps_made(result, d)
    check_counted(rate, steps_asked, made)
    before = made or 0.0
    if t_asked is None:
        t_asked = times_of(steps_asked, rate, overlaps.p, d, batch, begins, before)
    whole, each = np.unique(t_asked if steps is None else steps_asked, return_index=True)
    t_eval = t_asked[each]
    since = t_eval - begins
    gamma, jumps = rate_of_time(rate, overlaps.p, d, batch, float(since[-1]), begins, before)
    progress = check_flag("progress", progress)
    if stop_at_risk is not None:
        stop_at_risk = check_stop("stop_at_risk", stop_at_risk, task.noise)

    enough = -np.inf if stop_at_risk is None else stop_at_risk - task.noise / 2
    chosen = method_for(method, overlaps, terms, bool(eta), since[-1])
    beside = None if rule.plain else rule

    def flow_of(task: Task) -> Flow | SpanFlow | SpectralFlow:
        if chosen.in_span:
            return SpanFlow(task, overlaps, beside)
        if spectral:
            return SpectralFlow(task, overlaps, terms, gamma, eta, batch, d_of_terms)
        return Flow(task, overlaps, terms, gamma, eta, batch, d_of_terms, beside)

    flow = flow_of(task)
    warn_of_cost(flow.derivative, flow.start, since[-1])
    found = follow(
        flow_of,
        task,
        since,
        enough,
        terms=terms,
        d=d_of_terms,
        methods=chosen.names,
        rtol=rtol,
        atol=atol,
        jumps=jumps,
        foreign=scheduled or task.own,
        progress=progress,
    )
    path, n = found.path, found.path.t.size
    on = {} if result is None else {"begins": begins, "before": made, "stage": result.stage + 1}
    trajectory = trajectory_of(
        spectrum,
        t=t_eval[:n],
        Q=found.Q,
        M=found.M,
        P=overlaps.P_blocks if spectral else overlaps.P,
        excess_risk=found.risks,
        task=task,
        a=found.a if eta else overlaps.a,
        a_star=overlaps.a_star,
        steps=None if steps_asked is None else whole[:n],
        t_asked=t_asked,
        steps_asked=steps_asked,
        parameters={
            "learning_rate": named(learning_rate),
            "terms": terms,
            "d": d,
            "second_layer_rate": eta,
            "batch": batch,
            **rule.named,
            "method": method,
            "rtol": rtol,
            "atol": atol,
            "stop_at_risk": stop_at_risk,
            **on,
        },
        provenance=provenance(
            why=chosen.why,
            steps=path.steps,
            stopped_at_risk=path.stopped,
            **path.statistics,
            **{name: error for name, (error, _) in found.errors.items()},
        ),
    )
    if path.failure:
        raise Divergence(path.failure, path.steps, begins + path.reached, trajectory)
    path.warn_if_interrupted()
    warn_unless_settled(found.errors)
    return trajectory
