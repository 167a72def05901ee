r"""The flow on its own clock: what is left of it in γ = γ₀ d^(−δ), p = p₀ d^κ as d → ∞.

Only s = κ + δ matters.  On the clock τ = steps/d^c, and with g = γ₀/p₀,

    dM/dτ = A g Ψ^M,   dQ/dτ = A g Ψ^GF + B g² Ψ^Var,
    A = d^(c − 1 − s),   B = d^(c − 1 − 2s).

The clock c is the smallest on which neither vanishes altogether (`regimes.phase`): one of them
is 1, the other is 1 as well or tends to 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from twolayer.flow.equation import right_hand_side
from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.states import no_second_layer
from twolayer.problem.task import Task, excess_risk_of
from twolayer.results.result import read_only
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_instance,
    check_non_negative,
    check_positive,
    check_real,
    shown,
)
from twolayer.support.integrate import LATEST

#: (A, B) of each phase as d → ∞.
LIMITS: dict[str, tuple[float, float]] = {
    "perfect learning": (1.0, 0.0),
    "plateau": (1.0, 1.0),
    "bad learning": (0.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class ClockFlow:
    """Overlaps and risk on a clock.

    Attributes
    ----------
    tau : array, shape (T,)
        Times, in units of d^c SGD steps, as they were asked for.
    Q : array, shape (T, p, p)
    M : array, shape (T, p, k)
    excess_risk : array, shape (T,)
        R − Δ/2.

    Examples
    --------
    >>> start = Overlaps([[1.0]], [[0.5]], [[1.0]])
    >>> clock_flow(Task("erf"), start, rate_per_student=1.0, A=1, B=1, tau=[0, 1, 2]).Q.shape
    (3, 1, 1)
    """

    tau: Array
    Q: Array
    M: Array
    excess_risk: Array

    def __post_init__(self) -> None:
        read_only(self)


def clock_coefficients(s: float, d: float) -> tuple[float, float]:
    """A and B at a finite dimension, on the clock of the phase.

    Parameters
    ----------
    s : float
        κ + δ.
    d : float
        Dimension, >= 1.

    Returns
    -------
    A, B : float
        Of (dM/dτ, dQ/dτ) = (A g Ψ^M, A g Ψ^GF + B g² Ψ^Var).

    References
    ----------
    Veiga et al., NeurIPS 2022 (arXiv:2202.00293).

    Examples
    --------
    With γ ∝ 1/√d the variance is what is left out, by 1/√d; with γ ∝ d^¼ it is the drift:

    >>> clock_coefficients(0.5, 10_000), clock_coefficients(-0.25, 10_000)
    ((1.0, 0.01), (0.1, 1.0))
    """
    s, d = check_real("s", s), check_real("d", d)
    if d < 1:
        raise InvalidInput("d", f"{d:g}", "at least 1")
    return (1.0, d**-s) if s >= 0 else (d**s, 1.0)


def approach(s: float) -> tuple[float, float]:
    """How SGD's distance to the limit falls with d, by counting powers.

    A step moves Ω by random amounts of order d^(−1−s) and d^(−1−2s), which add up over d^c
    steps; the term that is left out has the coefficient A or B.

    Parameters
    ----------
    s : float
        κ + δ.

    Returns
    -------
    left_out, fluctuations : float
        Exponents in d of the two parts of the distance; the larger one wins in the end.
        Where s = 0 nothing is left out: −∞.

    Raises
    ------
    InvalidInput
        If s is no finite number.

    References
    ----------
    The figure "Three phases, three clocks" of the book, where SGD is compared with them.

    Examples
    --------
    >>> approach(0.5), approach(0.0), approach(-0.25)
    ((-0.5, -0.75), (-inf, -0.5), (-0.25, -0.25))
    """
    s = check_real("s", s)
    if s > 0:
        return -s, -(1 + s) / 2
    return (s, -0.5 - s) if s < 0 else (-math.inf, -0.5)


def clock_flow(
    task: Task,
    overlaps: Overlaps,
    *,
    rate_per_student: float,
    A: float,
    B: float,
    tau: ArrayLike,
) -> ClockFlow:
    r"""The flow dM/dτ = A g Ψ^M, dQ/dτ = A g Ψ^GF + B g² Ψ^Var.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps
        State at τ = 0, without a second layer.
    rate_per_student : float
        g = γ₀/p₀.
    A, B : float
        >= 0, from `LIMITS` or `clock_coefficients`.
    tau : array_like, shape (T,)
        Times >= 0 in any order, in units of d^c SGD steps; any time may be asked for again.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or the flow cannot be followed so far.

    References
    ----------
    The flow of arXiv:2302.05882; its clocks, Veiga et al., NeurIPS 2022 (arXiv:2202.00293).

    Examples
    --------
    In bad learning the students swell and learn nothing:

    >>> start = Overlaps([[1.0]], [[0.5]], [[1.0]])
    >>> A, B = LIMITS["bad learning"]
    >>> path = clock_flow(Task("erf"), start, rate_per_student=1.0, A=A, B=B, tau=[0.0, 10.0])
    >>> bool(path.Q[1, 0, 0] > path.Q[0, 0, 0]), path.M[:, 0, 0].tolist()
    (True, [0.5, 0.5])
    """
    check_instance("task", task, Task)
    no_second_layer(overlaps)
    g = check_positive("rate_per_student", rate_per_student)
    A, B = check_non_negative("A", A), check_non_negative("B", B)
    tau = check_array("tau", tau, (None,))
    first, second = A * g, B * g * g
    if tau.min() < 0 or not max(first, second, 1.0) * tau.max() <= LATEST:
        allowed = f"times >= 0 at which A g τ and B g² τ are at most {LATEST:g}"
        raise InvalidInput("tau", shown(tau), allowed)
    p, k = overlaps.p, overlaps.k
    gradient_flow = right_hand_side(task, overlaps.P, 0.0, "gradient-flow")
    everything = right_hand_side(task, overlaps.P, p, "full")  # (γ/p) Ψ^Var with γ/p = 1

    def derivative(_: float, y: Array) -> Array:
        Q, M = y[: p * p].reshape(p, p), y[p * p :].reshape(p, k)
        slow, dM = gradient_flow(Q, M)
        variance = everything(Q, M)[0] - slow if B else 0.0
        dQ = first * slow + second * variance
        return np.concatenate((dQ.ravel(), first * dM.ravel()))

    start = np.concatenate((overlaps.Q.ravel(), overlaps.M.ravel()))
    order = np.unique(tau)  # times of the integrator, and back
    span = 0.0, order[-1]
    with np.errstate(all="ignore"):  # of a flow that leaves the range of finite numbers
        path = scipy.integrate.solve_ivp(
            derivative, span, start, "LSODA", order, rtol=1e-8, atol=1e-10
        )
    if not path.success or not np.isfinite(path.y).all():
        raise InvalidInput("tau", f"{order[-1]:g}", "times until which the flow can be followed")
    y = path.y.T[np.searchsorted(order, tau)]
    Q, M = y[:, : p * p].reshape(-1, p, p), y[:, p * p :].reshape(-1, p, k)
    risk = [excess_risk_of(task, Omega, p) for Omega in assemble(Q, M, overlaps.P)]
    return ClockFlow(tau, Q, M, np.array(risk))
