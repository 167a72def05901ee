"""`solve`: the flow of the overlaps, integrated with error control.

The unknowns are the upper triangle of Q and M, p(p + 1)/2 + pk numbers; the
late phase is stiff, so the default method is LSODA.  Builds on `flow`, `stepping` and
`trajectory`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from twolayer.errors import InvalidInput, choice, flag, positive, shown, times
from twolayer.errors import learning_rate as check_learning_rate
from twolayer.flow import TERMS, dimension, right_hand_side
from twolayer.jacobian import jacobian
from twolayer.overlaps import Overlaps, assemble
from twolayer.stepping import METHODS, differences, integrate
from twolayer.storage import provenance
from twolayer.task import Task, coefficients, excess_risk_of
from twolayer.trajectory import Divergence, Trajectory


def solve(
    task: Task,
    overlaps: Overlaps,
    *,
    t_eval: ArrayLike,
    learning_rate: float | None = None,
    terms: str = "full",
    d: int | None = None,
    rtol: float = 1e-10,
    atol: float = 1e-13,
    method: str = "LSODA",
    stop_at_risk: float | None = None,
    progress: bool = True,
) -> Trajectory:
    r"""Integrate the flow of the overlaps from t = 0.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps
        State at t = 0.
    t_eval : array_like, shape (T,)
        Times >= 0 that do not decrease, in units of p d/γ SGD steps; results are at
        exactly these.
    learning_rate : float
        γ > 0.  It may be left out if `terms` is "gradient-flow", which it does not
        change in this unit of time.
    terms : str
        - "gradient-flow": dQ/dt = Ψ^GF;
        - "gradient-flow+noise": dQ/dt = Ψ^GF + (γ/p) Ψ^noise (appendix A of the paper);
        - "full": dQ/dt = Ψ^GF + (γ/p) Ψ^Var.
    d : int, optional
        With "full": Ψ^Var as it is for samples in d dimensions, whose norm depends on the
        pre-activations (`flow`); at least the rank of P.  Infinite by default.
    rtol, atol : float
        Tolerances on every overlap and step.  At the defaults an excess risk of 1e-8
        has three right digits; the excess risk is a difference of overlaps, so
        smaller risks want a smaller `rtol`, down to about 1e-12.
    method : str
        "LSODA", "Radau", "BDF" (for stiff flows), "RK45", "DOP853" or "RK23".
    stop_at_risk : float, optional
        Stop at the first time of `t_eval` at which the population risk R (label noise
        included) is no larger; later times are left out.  Must be above Δ/2.
    progress : bool
        Show a progress bar if it takes more than a few seconds.

    Returns
    -------
    Trajectory
        With the solver's statistics in `provenance`.  After Ctrl-C, with a warning, of
        the times that were reached.

    Raises
    ------
    InvalidInput
        If an argument cannot be used; before any work.
    Divergence
        If the overlaps leave the range of finite numbers (square activation at large
        γ/p), or the integrator cannot go on.

    Notes
    -----
    A right-hand side costs O(p (p + k)²) for gradient flow, and for erf and "full"
    O(p² (p + k)²).  An implicit method renews its analytic Jacobian now and then
    (`jacobian.jacobian`) and factorises it: for p = 100 that is a matrix of 5,500 rows, half a
    gigabyte with its factors.  It leaves the corrections of order 1/d out: Newton's iteration
    gets there all the same.

    With d the drift of Q and M is exactly the mean of one step of SGD.  What still separates the
    flow from the mean of SGD is that the drift of a mean is not the mean of a drift: the
    overlaps of SGD fluctuate, by a variance of order γ/(p d), and move in steps.

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
    _check_types(task, overlaps)
    t_eval = times("t_eval", t_eval)
    choice("terms", terms, TERMS)
    choice("method", method, METHODS)
    rtol, atol = positive("rtol", rtol), positive("atol", atol)
    if learning_rate is not None:
        learning_rate = check_learning_rate(learning_rate)
    elif terms != "gradient-flow":
        raise InvalidInput("learning_rate", "None", f"given when terms is {terms!r}")
    d = dimension(terms, overlaps.P, d)
    progress = flag("progress", progress)
    if stop_at_risk is not None:
        floor = task.noise / 2
        stop_at_risk = positive("stop_at_risk", stop_at_risk)
        if stop_at_risk <= floor:
            raise InvalidInput("stop_at_risk", str(stop_at_risk), f"above Δ/2 = {floor:g}")

    state = _State(overlaps)
    rhs = right_hand_side(task, overlaps.P, learning_rate or 0.0, terms, d)

    def derivative(_: float, y: np.ndarray) -> np.ndarray:
        return state.pack(*rhs(*state.unpack(y)))

    slopes = _slopes(task, overlaps.P, learning_rate or 0.0, terms, state)

    def excess_risk(y: np.ndarray) -> float:
        return excess_risk_of(task, assemble(*state.unpack(y), overlaps.P), state.p)

    enough = -np.inf if stop_at_risk is None else stop_at_risk - task.noise / 2
    path = integrate(
        derivative,
        state.pack(overlaps.Q, overlaps.M),
        t_eval,
        method=method,
        rtol=rtol,
        atol=atol,
        jacobian=slopes,
        stop=lambda y: excess_risk(y) <= enough,
        progress=progress,
    )
    Q, M = state.unpack(path.y)
    trajectory = Trajectory(
        t=path.t,
        Q=Q,
        M=M,
        P=overlaps.P,
        excess_risk=np.array([excess_risk(y) for y in path.y]),
        task=task,
        parameters={
            "learning_rate": learning_rate,
            "terms": terms,
            "d": d,
            "method": method,
            "rtol": rtol,
            "atol": atol,
            "stop_at_risk": stop_at_risk,
        },
        provenance=provenance(
            steps=path.steps,
            stopped_at_risk=path.stopped,
            **path.statistics,
            **_accuracy(task, Q, M, overlaps.P),
        ),
    )
    if path.failure:
        raise Divergence(path.failure, path.steps, path.reached, trajectory)
    path.warn_if_interrupted()
    return trajectory


def _accuracy(task: Task, Q: np.ndarray, M: np.ndarray, P: np.ndarray) -> dict[str, float]:
    """The error of the quadrature, the larger of first and last state, if there is one."""
    if task.closed:
        return {}
    c, p = coefficients(len(Q[0]), len(P)), len(Q[0])
    errors = [task.forms.error(assemble(Q[n], M[n], P), c, p) for n in (0, -1)]
    return {"quadrature_error": max(errors)}


def _slopes(
    task: Task, P: np.ndarray, learning_rate: float, terms: str, state: _State
) -> Callable[[float, np.ndarray], np.ndarray]:
    """The Jacobian; by differences and without Ψ^Var where there are no closed forms.

    Newton's iteration wants no more: Ψ^Var, the costliest by far, hardly changes its way.
    """
    if task.closed:
        exact = jacobian(task, P, learning_rate, terms)
        return lambda _, y: exact(*state.unpack(y))
    rhs = right_hand_side(task, P, 0.0, "gradient-flow")

    def gradient_flow(_: float, y: np.ndarray) -> np.ndarray:
        return state.pack(*rhs(*state.unpack(y)))

    return lambda t, y: differences(gradient_flow, t, y, scale=1.0)


def _check_types(task: Task, overlaps: Overlaps) -> None:
    if not isinstance(task, Task):
        raise InvalidInput("task", shown(task), "a twolayer.Task")
    if not isinstance(overlaps, Overlaps):
        raise InvalidInput(
            "overlaps", shown(overlaps), "twolayer.Overlaps (weights have overlaps())"
        )


class _State:
    """The vector of unknowns: upper triangle of Q, then M."""

    def __init__(self, overlaps: Overlaps) -> None:
        self.p, self.k = overlaps.p, overlaps.k
        self.upper = np.triu_indices(self.p)
        self.size = len(self.upper[0])

    def pack(self, Q: np.ndarray, M: np.ndarray) -> np.ndarray:
        i, j = self.upper
        return np.concatenate((Q[..., i, j], M.reshape(*M.shape[:-2], -1)), axis=-1)

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i, j = self.upper
        Q = np.empty((*y.shape[:-1], self.p, self.p))
        Q[..., i, j] = Q[..., j, i] = y[..., : self.size]
        return Q, y[..., self.size :].reshape(*y.shape[:-1], self.p, self.k)
