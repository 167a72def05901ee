r"""`fluctuations`: how far single runs of SGD lie from the ODE, to first order.

The overlaps of one-pass SGD are a Markov chain of step δt = γ/(p d).  Around the ODE's
solution their covariance is δt Σ(t) to leading order, with

    dΣ/dt = J Σ + Σ Jᵀ + D,   Σ(0) = 0,

J the Jacobian of the drift and D the covariance of one step's increment over δt: the
linear-noise approximation.  Unknowns are as in `flow.unknowns`: the upper triangle of Q, row by
row, and then M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy
from numpy.typing import ArrayLike

from twolayer.activations.quadrature import normal_points
from twolayer.flow.solver import solve
from twolayer.flow.vector_field import Flow
from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps, no_second_layer
from twolayer.problem.task import Task, excess_risk_of
from twolayer.results.divergence import Divergence
from twolayer.results.result import read_only
from twolayer.results.trajectory import Trajectory
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_instance,
    check_integer,
    check_learning_rate,
    check_positive,
    check_power_of_two,
    check_seed,
    check_times,
    shown,
)
from twolayer.support.integrate import SHORTEST
from twolayer.support.threads import apart, one_core
from twolayer.support.unknowns import Unknowns
from twolayer.theory.diffusion import POINT_RANGE, diffusion_at, sampling_error

#: Shortest step, in units of the whole time.
_SMALLEST = 1e-13
#: What is left of Σ, once it has fallen so far below its largest value, is D's rounding.
_FLOOR = 1e-12
#: With so many unknowns a step takes so long that Ctrl-C would wait for it.
_LARGE = 200
#: Step of the differences that give the gradient of the risk.
_DIFFERENCE = 1e-5


@dataclass(frozen=True, eq=False)
class Fluctuations:
    """Standard deviations of SGD around the ODE, to first order in √δt.

    Attributes
    ----------
    trajectory : Trajectory
        The ODE's solution, the mean to this order.
    covariance : array, shape (T, N, N)
        δt Σ of the unknowns, N = p(p + 1)/2 + pk: the upper triangle of Q, then M.
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
    learning_rate: float,
    d: int,
    t_eval: ArrayLike,
    points: int = 2**12,
    seed: int = 0,
    rtol: float = 1e-3,
) -> Fluctuations:
    """Covariance of the overlaps of SGD around the ODE, and with it that of the risk.

    Parameters
    ----------
    task : Task
        With closed forms: "erf" or "square" for student and target.
    overlaps : Overlaps
        State at t = 0, the same for all runs.
    learning_rate : float
        γ > 0.
    d : int
        Dimension of the data, at least the rank of Ω; every covariance is proportional to 1/d.
    t_eval : array_like, shape (T,)
        Times >= 0 that do not decrease, in units of p d/γ SGD steps.
    points : int
        Quasi-random points for D, a power of two >= 128.
    seed : int
        Of their scrambling.
    rtol : float
        Tolerance of Σ per step, relative to its largest entry then; from 1e-6 to 0.1.

    Raises
    ------
    Divergence
        If the ODE or Σ leaves the range of finite numbers.

    Notes
    -----
    A step costs O(points N²) for D and O(N³) for Σ.  The approximation fails where the flow
    leaves an unstable fixed point through the fluctuations themselves: they grow
    exponentially until they are no longer small, and the linear equation does not see the end
    of it.  ‖x‖² is taken as one, so that corrections of relative order 1/d are left out.

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
    _closed(task)
    no_second_layer(overlaps)
    learning_rate, rtol = check_learning_rate(learning_rate), _tolerance(rtol)
    d = check_integer("d", d, 1)
    if d < overlaps.rank:
        raise InvalidInput("d", str(d), f"at least {overlaps.rank}, the rank of the overlaps")
    t_eval = check_times("t_eval", t_eval)
    points = check_power_of_two("points", points, *POINT_RANGE)
    seed = check_seed(seed)
    ode = solve(task, overlaps, learning_rate=learning_rate, t_eval=t_eval, progress=False)
    if ode.t.size < t_eval.size:  # `solve` returns what it has
        raise KeyboardInterrupt
    flow = Flow(task, overlaps, "full", lambda _: learning_rate)
    state = flow.unknowns
    z = normal_points(overlaps.p + overlaps.k, points, seed)
    path = _dense(flow, float(t_eval[-1]))

    def terms(t: float) -> tuple[Array, Array]:
        y = path(t)
        D = diffusion_at(task, *state.unpack(y), overlaps.P, learning_rate, z)
        return flow.jacobian(t, y), D

    with one_core(state.size**3):
        covariance = learning_rate / (overlaps.p * d) * _integrate(terms, ode, state, rtol)
    states = state.pack(ode.Q, ode.M)
    gradients = np.array([_risk_gradient(task, y, overlaps.P, state) for y in states])
    variance = np.einsum("ta,tab,tb->t", gradients, covariance, gradients)
    spread = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0))
    Q_std, M_std = state.unpack(spread)
    noise = partial(sampling_error, task, P=overlaps.P, learning_rate=learning_rate)
    error = max(noise(Q=ode.Q[i], M=ode.M[i], points=points, seed=seed) for i in (0, -1))
    return Fluctuations(ode, covariance, np.sqrt(np.maximum(variance, 0.0)), Q_std, M_std, error)


def _integrate(
    terms: Callable[[float], tuple[Array, Array]], ode: Trajectory, state: Unknowns, rtol: float
) -> Array:
    """Σ at the ODE's times, by steps with J and D of the middle, halved to the tolerance."""
    N = state.size
    sigma, t, steps, out, largest = np.zeros((N, N)), 0.0, 0, [], 0.0
    t_eval = ode.t
    h = float(t_eval[-1]) / 100
    for end in map(float, t_eval):
        while t < end and end > SHORTEST:
            step = min(h, end - t)
            two_steps = partial(_two_steps, terms, sigma, t, step, rtol, _FLOOR * largest)
            fine, miss = apart(lambda _, go=two_steps: go()) if N > _LARGE else two_steps()
            factor = min(4.0, max(0.2, 0.9 * max(miss, 1e-9) ** (-1 / 3)))
            if miss > 1:
                h = step * factor
                if t + h / 4 == t or h < _SMALLEST * t_eval[-1]:
                    raise Divergence("the covariance is no longer finite", steps, t, ode)
                continue
            sigma, t, steps = fine, end if step == end - t else t + step, steps + 1
            largest = max(largest, float(np.abs(sigma).max()))
            h = max(h, step * factor) if step < h else step * factor
        out.append(sigma)
    return np.array(out)


def _two_steps(
    terms: Callable[[float], tuple[Array, Array]],
    sigma: Array,
    t: float,
    h: float,
    rtol: float,
    floor: float,
) -> tuple[Array, float]:
    """Σ after two steps of half h, and their error in units of what is allowed."""
    with np.errstate(all="ignore"):
        coarse = _step(sigma, *terms(t + h / 2), h)
        fine = _step(_step(sigma, *terms(t + h / 4), h / 2), *terms(t + 3 * h / 4), h / 2)
        # The error of the two half steps is a third of the difference.
        miss = np.abs(fine - coarse).max() / 3 / (rtol * max(np.abs(fine).max(), floor) + 1e-300)
    return fine, float(miss) if np.isfinite(miss) else np.inf


def _step(sigma: Array, J: Array, D: Array, h: float) -> Array:
    """Σ after a time h with constant J and D: exact and positive, however stiff J is."""
    N = len(J)
    doublings = max(0, int(np.ceil(np.log2(max(h * np.abs(J).sum(1).max(), 1e-300)))))
    short = h / 2**doublings
    # C. F. Van Loan, IEEE Trans. Autom. Control 23, 395 (1978), over a time in which
    # exp(−J h) is harmless; then doubled, which adds positive matrices only.
    block = scipy.linalg.expm(short * np.block([[-J, D], [np.zeros((N, N)), J.T]]))
    flow = block[N:, N:].T
    added = flow @ block[:N, N:]
    for _ in range(doublings):
        added = added + flow @ added @ flow.T
        flow = flow @ flow
    out = flow @ sigma @ flow.T + added
    return (out + out.T) / 2


def _dense(flow: Flow, end: float) -> Callable[[float], Array]:
    """The ODE's solution as a function of time."""
    if end <= SHORTEST:
        return lambda _: flow.start
    options = {"jac": flow.jacobian, "dense_output": True, "rtol": 1e-9, "atol": 1e-12}
    return scipy.integrate.solve_ivp(
        flow.derivative, (0.0, end), flow.start, "LSODA", **options
    ).sol


def _risk_gradient(task: Task, y: Array, P: Array, state: Unknowns) -> Array:
    """Derivatives of the risk in the unknowns, (N,), by central differences."""

    def risk(at: Array) -> float:
        return excess_risk_of(task, assemble(*state.unpack(at), P), state.shapes[0][0])

    moves = _DIFFERENCE * np.eye(len(y))
    return np.array([risk(y + move) - risk(y - move) for move in moves]) / (2 * _DIFFERENCE)


def _tolerance(rtol: object) -> float:
    number = check_positive("rtol", rtol)
    if not 1e-6 <= number <= 0.1:
        raise InvalidInput("rtol", shown(rtol), "a number from 1e-6 to 0.1")
    return number


def _closed(task: Task) -> None:
    check_instance("task", task, Task)
    if not task.closed:
        raise InvalidInput("task", shown(task), "one with closed forms: erf or square")
