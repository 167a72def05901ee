r"""When the target is found: exit times of the flow, and their law over starts and SGD's noise.

Of any flow by following it; for the square activation and one target also the law of SGD's exit
times from w ~ N(0, I_d): that of the flow from M = √(v/d) ξ, ξ ~ N(0, I_p), with v of
`escape.start_variance`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from twolayer.flow.beside import held
from twolayer.flow.equation import right_hand_side
from twolayer.flow.terms import TERMS, Terms
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.states import no_second_layer
from twolayer.problem.task import Task
from twolayer.results.divergence import Divergence
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_learning_rate,
    check_positive,
    check_probability,
    shown,
)
from twolayer.support.integrate import LATEST
from twolayer.support.threads import apart
from twolayer.support.unknowns import Unknowns
from twolayer.theory.escape import leaving, spherical_exit_time, start_variance

Rhs = Callable[[Array, Array], tuple[Array, Array]]

#: E log ξ² for ξ ~ N(0, 1).
_MEAN_LOG = -np.euler_gamma - math.log(2)
_NODES = 16
#: Norms that have grown by this factor are taken for a blow-up.
_BLOW_UP = 1e6
#: With more students the flow of all of Q takes too long.
_WIDEST = 32
#: Within a shorter time the integrator cannot choose a step.
_SHORTEST = 1e-6


def exit_time(
    task: Task,
    overlaps: Overlaps,
    *,
    learning_rate: float,
    terms: Terms = "full",
    spherical: bool = False,
    threshold: float = 0.5,
    t_max: float = 1000.0,
) -> float:
    """The time at which the flow has a share of the students' norm in the span of the targets.

    Of any activation, and any number of targets.
    The share is tr(M P⁻¹ Mᵀ)/tr Q; for p = k = 1 it is the squared cosine.  Time is in units of
    p d/γ steps, infinite if the threshold is not reached by `t_max`.

    Parameters
    ----------
    task : Task
        Any activation.
    overlaps : Overlaps
        State at t = 0; P must be invertible.
    learning_rate : float
        γ.
    terms : str
        As for `solve`.
    spherical : bool
        Keep the norm of each student: dM_i − (M_i/2Q_ii) dQ_ii, and Q likewise.
    threshold : float
        Of the share, above 0 and below 1.
    t_max : float
        When to give up.

    Raises
    ------
    Divergence
        If the norms grow beyond all bounds before.

    Examples
    --------
    >>> start = Overlaps([[1.0]], [[0.01]], [[1.0]])
    >>> print(f"{exit_time(Task('square'), start, learning_rate=0.05, spherical=True):.4f}")
    1.6447
    """
    check_instance("task", task, Task)
    no_second_layer(overlaps)
    learning_rate, t_max = check_learning_rate(learning_rate), check_positive("t_max", t_max)
    check_choice("terms", terms, TERMS)
    spherical = check_flag("spherical", spherical)
    threshold = check_probability("threshold", threshold)
    rhs = right_hand_side(task, overlaps.P, learning_rate, terms)
    try:
        inverse = np.linalg.inv(overlaps.P)
    except np.linalg.LinAlgError:
        raise InvalidInput("overlaps", "P that is singular", "such that P is invertible") from None
    flow = _on_the_sphere(rhs) if spherical else rhs

    def crossing(ask: Callable[..., Any]) -> float:
        asked = partial(ask, flow)
        return _first_crossing(asked, overlaps, inverse, threshold, t_max)

    # Functions of the user's may integrate in their turn.
    return apart(crossing) if task.own else crossing(lambda rhs, *state: rhs(*state))


def exit_quantiles(
    d: int,
    levels: ArrayLike,
    *,
    learning_rate: float,
    noise: float = 0.0,
    p: int = 1,
    spherical: bool = False,
    threshold: float = 0.5,
) -> Array:
    """Quantiles of the exit time of SGD from w ~ N(0, I_d), as theory has it, in p d/γ steps.

    Square activation and one target alone.
    The flow from M = √(v/d) ξ: the exit time falls with ‖ξ‖², which is chi-squared with p
    degrees of freedom.  Right as d → ∞; the size of a step, γ/(pd), is neglected.  Derived on the
    page "Time to learn" of the book; see also arXiv:2305.18502.

    Parameters
    ----------
    d : int
        Dimension of the data.
    levels : array_like, shape (n,), or float
        Above 0 and below 1.
    learning_rate, noise, p, spherical
        As for `plateau`; γ > 0, such that the plateau is left, and p at most 32.
    threshold : float
        Of the share of `exit_time`.

    Examples
    --------
    >>> exit_quantiles(10**6, [0.16, 0.5, 0.84], learning_rate=0.05, spherical=True).round(2)
    array([2.28, 2.54, 2.97])
    """
    d, p = check_integer("d", d, 1), check_integer("p", p, 1, _WIDEST)
    some = check_array("levels", levels, (None,), or_number=True)
    if not ((some > 0) & (some < 1)).all():
        raise InvalidInput("levels", shown(some.tolist()), "above 0 and below 1")
    flow = _exit_of(d, learning_rate, noise, p, spherical, threshold)
    found = flow(scipy.special.chdtri(p, some))
    return found if np.ndim(levels) else found[0]


def mean_exit_time(
    d: int,
    *,
    learning_rate: float,
    noise: float = 0.0,
    spherical: bool = False,
    threshold: float = 0.5,
) -> float:
    """The mean of the exit time of SGD from w ~ N(0, I_d), p = 1, in units of d/γ steps.

    Square activation and one target alone.
    The mean over ξ of the flow's exit time from m = √(v/d) ξ.  It diverges as −log(ξ²)/(2μ) at
    ξ = 0; that part is known, and what is left is smooth, for Gauss-Hermite quadrature.  Arguments
    and source are those of `exit_quantiles`.

    Examples
    --------
    >>> print(f"{mean_exit_time(10**6, learning_rate=0.05, spherical=True):.3f}")
    2.630
    """
    d = check_integer("d", d, 1)
    flow = _exit_of(d, learning_rate, noise, 1, spherical, threshold)
    rate = leaving(learning_rate, noise, 1, spherical).rate
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    squares, weights = nodes[nodes > 0] ** 2, weights[nodes > 0]
    smooth = flow(squares) + np.log(squares) / (2 * rate)
    return float(smooth @ weights / weights.sum() - _MEAN_LOG / (2 * rate))


def _exit_of(
    d: int, learning_rate: float, noise: float, p: int, spherical: bool, threshold: float
) -> Callable[[Array], Array]:
    """The function ‖ξ‖² → exit time of the flow from M = √(v/d) ξ."""
    threshold = check_probability("threshold", threshold)
    options = {"learning_rate": learning_rate, "noise": noise}
    variance = start_variance(p=p, spherical=spherical, **options) / d
    if spherical:
        return lambda x: spherical_exit_time(
            np.minimum(variance * x, 1.0), threshold=threshold, **options
        )
    task, P, direction = Task("square", noise=noise), np.eye(1), np.eye(p, 1)

    def one(x: float) -> float:
        M = math.sqrt(min(variance * x, 1.0)) * direction
        start = Overlaps(np.eye(p), M, P)
        return exit_time(task, start, learning_rate=learning_rate, threshold=threshold)

    return lambda x: np.array([one(each) for each in x])


def _first_crossing(
    rhs: Rhs, overlaps: Overlaps, inverse: Array, threshold: float, t_max: float
) -> float:
    """When the share of the students' norm in the target span first is at the threshold."""
    state = Unknowns(overlaps.Q.shape, overlaps.M.shape)

    def derivative(_: float, y: Array) -> Array:
        return state.pack(*rhs(*state.unpack(y)))

    def missing(_: float, y: Array) -> float:
        Q, M = state.unpack(y)
        return threshold * np.trace(Q) - np.sum(M @ inverse * M)

    def blown_up(_: float, y: Array) -> float:
        return np.trace(state.unpack(y)[0]) - _BLOW_UP * np.trace(overlaps.Q)

    missing.terminal = blown_up.terminal = True
    y = state.pack(overlaps.Q, overlaps.M)
    if missing(0.0, y) <= 0:
        return 0.0
    events, span = (missing, blown_up), (0, min(max(t_max, _SHORTEST), LATEST))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the integrator's own; failures are reported
        path = scipy.integrate.solve_ivp(
            derivative, span, y, "LSODA", events=events, rtol=1e-9, atol=1e-14
        )
    if path.t_events[0].size:
        t = float(path.t_events[0][0])
        return t if t <= t_max else math.inf
    if path.status != 0:
        raise Divergence("the flow blew up or could not be followed", path.t.size, path.t[-1], None)
    return math.inf


def _on_the_sphere(rhs: Rhs) -> Rhs:
    """The flow with the growth of each student's norm taken off."""
    return lambda Q, M: held(*rhs(Q, M), Q, M)
