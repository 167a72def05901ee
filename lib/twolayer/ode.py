"""`solve`: the flow of the overlaps, integrated with error control.

The unknowns are the upper triangle of Q and M, p(p + 1)/2 + pk numbers; the
late phase is stiff, so the default method is LSODA.  Builds on `flow` and
`trajectory`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate

from twolayer.errors import InvalidInput, choice, positive, shown, times
from twolayer.flow import TERMS, right_hand_side
from twolayer.overlaps import Overlaps, assemble
from twolayer.progress import Progress
from twolayer.storage import provenance
from twolayer.task import Task, excess_risk_of
from twolayer.trajectory import Divergence, Trajectory

#: SciPy's integrators by name.
METHODS: dict[str, type[integrate.OdeSolver]] = {
    name: getattr(integrate, name) for name in ("LSODA", "Radau", "BDF", "RK45", "DOP853", "RK23")
}

_IMPLICIT = ("LSODA", "Radau", "BDF")

#: Overlaps in flight when a Jacobian is made by differences.
_IN_FLIGHT = 30_000

#: Overlaps beyond this are taken for a blow-up: their products leave floating point.
_BLOW_UP = 1e100


def solve(
    task: Task,
    overlaps: Overlaps,
    *,
    t_eval: ArrayLike,
    learning_rate: float | None = None,
    terms: str = "full",
    rtol: float = 1e-9,
    atol: float = 1e-12,
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
    O(p² (p + k)²).  An implicit method needs one for each unknown, made together, when
    it renews its Jacobian.

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
    started = time.perf_counter()
    _check_types(task, overlaps)
    t_eval = times("t_eval", t_eval)
    choice("terms", terms, TERMS)
    choice("method", method, METHODS)
    rtol, atol = positive("rtol", rtol), positive("atol", atol)
    if learning_rate is not None:
        learning_rate = positive("learning_rate", learning_rate)
    elif terms != "gradient-flow":
        raise InvalidInput("learning_rate", "None", f"given when terms is {terms!r}")
    if stop_at_risk is not None:
        floor = task.noise / 2
        stop_at_risk = positive("stop_at_risk", stop_at_risk)
        if stop_at_risk <= floor:
            raise InvalidInput("stop_at_risk", str(stop_at_risk), f"above Δ/2 = {floor:g}")

    state = _State(task, overlaps)
    rhs = right_hand_side(task, overlaps.P, learning_rate or 0.0, terms)

    def derivative(_: float, y: np.ndarray) -> np.ndarray:
        return state.pack(*rhs(*state.unpack(y)))

    def jacobian(t: float, y: np.ndarray) -> np.ndarray:
        return _differences(derivative, t, y, scale=np.abs(overlaps.P).max())

    parameters = {
        "learning_rate": learning_rate,
        "terms": terms,
        "method": method,
        "rtol": rtol,
        "atol": atol,
        "stop_at_risk": stop_at_risk,
    }
    record = _Record(state, t_eval, parameters, stop_at_risk)
    solver: Any = None
    steps = 0
    try:
        record.take(0.0, lambda: lambda _: state.pack(overlaps.Q, overlaps.M))
        with (
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
            Progress(t_eval[-1], "solve", progress) as bar,
        ):
            warnings.simplefilter("ignore")  # the integrator's own; failures raise Divergence
            if not record.done:
                solver = METHODS[method](
                    derivative,
                    0.0,
                    state.pack(overlaps.Q, overlaps.M),
                    t_eval[-1],
                    rtol=rtol,
                    atol=atol,
                    **({"jac": jacobian} if method in _IMPLICIT else {}),
                )
            while not record.done:
                failure = solver.step()
                reason = _blown_up(solver, failure)
                if reason:
                    raise Divergence(reason, steps, float(solver.t), record.trajectory(started))
                steps += 1
                record.take(solver.t, solver.dense_output)
                bar.to(solver.t)
    except KeyboardInterrupt:
        if record.count == 0:
            raise
        message = f"interrupted: the {record.count} times reached are returned"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return record.trajectory(started, solver, steps)


def _check_types(task: Task, overlaps: Overlaps) -> None:
    if not isinstance(task, Task):
        raise InvalidInput("task", shown(task), "a twolayer.Task")
    if not isinstance(overlaps, Overlaps):
        raise InvalidInput(
            "overlaps", shown(overlaps), "twolayer.Overlaps (weights have overlaps())"
        )


def _blown_up(solver: integrate.OdeSolver, failure: str | None) -> str | None:
    if solver.status == "failed":
        return f"the integrator stopped ({failure})"
    if not np.abs(solver.y).max() < _BLOW_UP:
        return "the overlaps left the range of finite numbers"
    return None


def _differences(
    derivative: Callable[[float, np.ndarray], np.ndarray], t: float, y: np.ndarray, scale: float
) -> np.ndarray:
    """The Jacobian by forward differences, all perturbed states in a few array calls.

    The integrators' own differences step in proportion to |y_j|, which is nothing but
    rounding where an overlap has converged to zero; `scale` keeps the step finite there.
    """
    step = np.sqrt(np.finfo(float).eps) * np.maximum(np.abs(y), scale)
    here = derivative(t, y)
    out = np.empty((y.size, y.size))
    size = max(1, _IN_FLIGHT // y.size)
    for start in range(0, y.size, size):
        some = np.arange(start, min(start + size, y.size))
        moved = np.repeat(y[None], some.size, axis=0)
        moved[np.arange(some.size), some] += step[some]
        out[:, some] = ((derivative(t, moved) - here) / step[some, None]).T
    return out


class _State:
    """The vector of unknowns: upper triangle of Q, then M."""

    def __init__(self, task: Task, overlaps: Overlaps) -> None:
        self.task, self.p, self.k, self.P = task, overlaps.p, overlaps.k, overlaps.P
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

    def excess_risk(self, Q: np.ndarray, M: np.ndarray) -> float:
        return excess_risk_of(self.task, assemble(Q, M, self.P), self.p)


class _Record:
    """Fills in the times of `t_eval` as the integrator passes them."""

    def __init__(
        self,
        state: _State,
        t_eval: np.ndarray,
        parameters: dict[str, Any],
        stop_at_risk: float | None,
    ) -> None:
        self.state, self.t_eval, self.parameters = state, t_eval, parameters
        self.enough = -np.inf if stop_at_risk is None else stop_at_risk - state.task.noise / 2
        self.count, self.stopped = 0, False
        self.Q = np.empty((t_eval.size, state.p, state.p))
        self.M = np.empty((t_eval.size, state.p, state.k))
        self.excess_risk = np.empty(t_eval.size)

    @property
    def done(self) -> bool:
        return self.stopped or self.count == self.t_eval.size

    def take(self, reached: float, interpolant: Callable[[], Callable[..., np.ndarray]]) -> None:
        if self.done or self.t_eval[self.count] > reached:
            return
        at = interpolant()
        while not self.done and self.t_eval[self.count] <= reached:
            n = self.count
            self.Q[n], self.M[n] = self.state.unpack(at(self.t_eval[n]))
            self.excess_risk[n] = self.state.excess_risk(self.Q[n], self.M[n])
            self.stopped = bool(self.excess_risk[n] <= self.enough)
            self.count += 1

    def trajectory(self, started: float, solver: Any = None, steps: int = 0) -> Trajectory:
        n = self.count
        statistics = {name: int(getattr(solver, name, 0)) for name in ("nfev", "njev", "nlu")}
        return Trajectory(
            t=self.t_eval[:n].copy(),
            Q=self.Q[:n],
            M=self.M[:n],
            P=self.state.P,
            excess_risk=self.excess_risk[:n],
            task=self.state.task,
            parameters=self.parameters,
            provenance=provenance(
                steps=steps,
                **statistics,
                stopped_at_risk=self.stopped,
                seconds=round(time.perf_counter() - started, 3),
            ),
        )
