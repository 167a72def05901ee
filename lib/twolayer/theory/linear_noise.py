r"""`fluctuations`: how far single runs of SGD lie from the ODE, to first order.

The overlaps of one-pass SGD are a Markov chain of step δt = γ/(p d).  Around the ODE's
solution their covariance is Σ(t)/(p d) to leading order, with

    dΣ/dt = J Σ + Σ Jᵀ + γ D,   Σ(0) = 0,

J the Jacobian of the drift and D the covariance of one step's increment over δt: the
linear-noise approximation, in which γ may change with t.  Unknowns are the upper triangle of Q,
row by row, and then M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy
from numpy.typing import ArrayLike

from twolayer.activations.quadrature import normal_points
from twolayer.flow.slopes import whole_jacobian
from twolayer.flow.solver import solve
from twolayer.flow.vector_field import Flow
from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients
from twolayer.results.result import read_only
from twolayer.results.trajectory import Trajectory
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_instance,
    check_integer,
    check_positive,
    check_power_of_two,
    check_schedule,
    check_seed,
    check_times,
    shown,
)
from twolayer.support.integrate import SHORTEST
from twolayer.support.progress import warn_of_calls
from twolayer.support.threads import apart, one_core
from twolayer.support.unknowns import Unknowns
from twolayer.theory.covariance import integrated
from twolayer.theory.diffusion import POINT_RANGE, diffusion_at, sampling_error

#: Times at which J and D are likely to be asked for at the start; they grow as t^¼ until 10³.
_USUAL = 30


@dataclass(frozen=True, eq=False)
class Fluctuations:
    """Standard deviations of SGD around the ODE, to first order in √δt.

    Attributes
    ----------
    trajectory : Trajectory
        The ODE's solution, the mean to this order.
    covariance : array, shape (T, N, N)
        Σ/(p d) of the unknowns, N = p(p + 1)/2 + pk: the upper triangle of Q, then M.
    risk_std : array, shape (T,)
        Of the risk, through its gradient.
    Q_std, M_std : array, shapes (T, p, p) and (T, p, k)
        Of the overlaps.
    sampling_error : float
        Relative standard error of D from its quasi-random points, the larger of first and
        last state.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=2, k=1, d=4).overlaps()
    >>> band = fluctuations(tl.Task("erf"), start, learning_rate=0.5, d=1000, t_eval=[0.0, 1.0])
    >>> band.M_std.shape, bool(band.distance[0] == 0 < band.distance[1])
    ((2, 2, 1), True)
    """

    trajectory: Trajectory
    covariance: Array
    risk_std: Array
    Q_std: Array
    M_std: Array
    sampling_error: float

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def t(self) -> Array:
        """Times, shape (T,), in units of p d/γ SGD steps."""
        return self.trajectory.t

    @property
    def distance(self) -> Array:
        """Root mean square over runs of the Frobenius norm of Ω − Ω(t), shape (T,)."""
        squares = (self.Q_std**2).sum((1, 2)) + 2 * (self.M_std**2).sum((1, 2))
        return np.sqrt(squares)


def fluctuations(
    task: Task,
    overlaps: Overlaps,
    *,
    learning_rate: float | Callable[[float], float],
    d: int,
    t_eval: ArrayLike,
    batch: int = 1,
    points: int = 2**12,
    seed: int = 0,
    rtol: float = 1e-3,
) -> Fluctuations:
    """Covariance of the overlaps of SGD around the ODE, and with it that of the risk.

    Parameters
    ----------
    task : Task
        Any activations.
    overlaps : Overlaps
        State at t = 0, the same for all runs; its second layers stay.
    learning_rate : float or callable
        γ > 0, or a schedule as in `solve`.
    d : int
        Dimension of the data, at least the rank of Ω; every covariance is proportional to 1/d.
    t_eval : array_like, shape (T,)
        Times >= 0 that do not decrease, in units of p d/γ SGD steps.
    batch : int
        Samples b that a step averages over.
    points : int
        Quasi-random points for D, a power of two >= 128.
    seed : int
        Of their scrambling.
    rtol : float
        Tolerance of Σ per step, relative to its largest entry then; from 1e-6 to 0.1.

    Raises
    ------
    CostWarning
        If it will take minutes; before any work.
    Divergence
        If the ODE or Σ leaves the range of finite numbers.

    Notes
    -----
    A step costs O(points N²) for D and O(N³) for Σ; without closed forms J takes N + k + 1
    right-hand sides of the ODE (`flow.slopes`).  There are some tens of steps, some hundreds at
    late times.

    The approximation fails where the flow leaves an unstable fixed point through the fluctuations
    themselves: they grow exponentially until they are no longer small, and the linear equation
    does not see the end of it.  Where σ has kinks the flow has no slope at students that are
    parallel to each other or to a target, and how far the noise may reach such a place is not
    known.  ‖x‖² is taken as one, and the samples of a batch as orthogonal, so that corrections of
    relative order b/d are left out.

    References
    ----------
    N. G. van Kampen, *Stochastic Processes in Physics and Chemistry*, chapter X, for the
    approximation; arXiv:2302.05882, section 2, for the process.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=2, k=1, d=4).overlaps()
    >>> found = fluctuations(tl.Task("erf"), start, learning_rate=0.5, d=1000, t_eval=[0.0, 1.0])
    >>> found.covariance.shape, float(found.risk_std[0])
    ((2, 5, 5), 0.0)
    """
    check_instance("task", task, Task)
    check_instance("overlaps", overlaps, Overlaps)
    gamma, rtol = check_schedule(learning_rate), _tolerance(rtol)
    d, batch = check_integer("d", d, 1), check_integer("batch", batch, 1)
    if d < overlaps.rank:
        raise InvalidInput("d", str(d), f"at least {overlaps.rank}, the rank of the overlaps")
    t_eval = check_times("t_eval", t_eval)
    points = check_power_of_two("points", points, *POINT_RANGE)
    seed = check_seed(seed)
    flow = Flow(task, overlaps, "full", gamma, batch=batch)
    state, P = flow.unknowns, overlaps.P
    z = normal_points(overlaps.p + overlaps.k, points, seed)

    def terms(t: float, y: Array) -> tuple[Array, Array]:
        Omega, rate = assemble(*state.unpack(y), P), gamma(t)
        D = diffusion_at(task, Omega, overlaps, rate, batch, z)
        if task.closed:
            return flow.jacobian(t, y), rate * D
        return whole_jacobian(task, Omega, overlaps, rate / batch), rate * D

    if t_eval[-1] > SHORTEST:
        with one_core(state.size**3):
            start, usual = partial(terms, 0.0, flow.start), round(_USUAL * (1 + t_eval[-1]) ** 0.25)
            warn_of_calls("a Jacobian with its D", start, usual)
    how = {"learning_rate": learning_rate, "batch": batch, "progress": False}
    ode = solve(task, overlaps, t_eval=t_eval, **how)
    if ode.t.size < t_eval.size:  # `solve` returns what it has
        raise KeyboardInterrupt
    path = _dense(flow, float(t_eval[-1]), callable(learning_rate) or task.own)
    with one_core(state.size**3):
        scale = overlaps.p * d
        covariance = integrated(lambda t: terms(t, path(t)), ode, state.size, rtol) / scale
    states = [assemble(*both, P) for both in zip(ode.Q, ode.M, strict=True)]
    gradients = np.array([_risk_gradient(task, Omega, overlaps, state) for Omega in states])
    variance = np.einsum("ta,tab,tb->t", gradients, covariance, gradients)
    spread = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0))
    Q_std, M_std = state.unpack(spread)
    error = max(
        sampling_error(task, states[i], overlaps, gamma(ode.t[i]), batch, points, seed)
        for i in (0, -1)
    )
    return Fluctuations(ode, covariance, np.sqrt(np.maximum(variance, 0.0)), Q_std, M_std, error)


def _dense(flow: Flow, end: float, foreign: bool) -> Callable[[float], Array]:
    """The ODE's solution as a function of time; `foreign` if it calls functions of the user's."""
    if end <= SHORTEST:
        return lambda _: flow.start

    def path(ask: Callable[..., Array]) -> Callable[[float], Array]:
        return scipy.integrate.solve_ivp(
            partial(ask, flow.derivative),
            (0.0, end),
            flow.start,
            "LSODA",
            jac=partial(ask, flow.jacobian),
            dense_output=True,
            rtol=1e-9,
            atol=1e-12,
        ).sol

    return apart(path) if foreign else path(lambda function, *at: function(*at))


def _risk_gradient(task: Task, Omega: Array, layers: Overlaps, state: Unknowns) -> Array:
    """Derivatives of the risk in the unknowns, (N,): by Stein's lemma c_j B_jm in Ω_jm."""
    c, p = coefficients(layers.a, layers.a_star), layers.p
    slopes = c[:p, None] * task.forms.coefficients(Omega, c, p)
    slopes[np.diag_indices(p)] /= 2
    return state.pack(slopes[:, :p], slopes[:, p:])


def _tolerance(rtol: object) -> float:
    number = check_positive("rtol", rtol)
    if not 1e-6 <= number <= 0.1:
        raise InvalidInput("rtol", shown(rtol), "a number from 1e-6 to 0.1")
    return number
