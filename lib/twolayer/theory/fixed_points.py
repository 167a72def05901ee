"""Where the flow stands still, and which directions it leaves in.

A plateau of the risk is the neighbourhood of a fixed point with few unstable directions: it lasts
about ln(1/distance)/rate, with the distance at which the path comes in and the eigenvalue of the
direction in which it leaves (Saad & Solla, PRE 52, 4225 (1995), section V).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from twolayer.flow.equation import flow_at_any_rate
from twolayer.flow.jacobian import jacobian as analytic
from twolayer.flow.terms import TERMS, dimension
from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients, excess_risk_of
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_choice,
    check_instance,
    check_integer,
    check_non_negative,
    check_positive,
    shown,
)
from twolayer.support.unknowns import Unknowns

#: Step of a central difference, of overlaps of order one: its error is of order 1e-10.
_STEP = 1e-5
#: Eigenvalues of Ω may be this much below zero, relative to the largest.
_BORDER = 1e-6
#: A rate below this, relative to the largest, may be rounding.
_ROUNDING = 1e-7


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction in which overlaps leave a fixed point, at e^(rate t).

    Attributes
    ----------
    rate : float
        Of a pair of complex eigenvalues the real part.
    Q, M : array, shapes (p, p) and (p, k)
        Of norm one together.

    Examples
    --------
    The square's plateau: a student that knows nothing of the target learns its direction.

    >>> still = Overlaps([[1 / 3]], [[0.0]], [[1.0]])
    >>> [leave] = fixed_point(Task("square"), still, terms="gradient-flow").unstable
    >>> print(f"{leave.rate:.4f}", abs(leave.M).round(4))
    4.0000 [[1.]]
    """

    rate: float
    Q: Array
    M: Array


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Overlaps that do not move, and what becomes of others near them.

    Attributes
    ----------
    overlaps : Overlaps
    residual : float
        The largest of |dQ/dt| and |dM/dt| there.
    excess_risk : float
    eigenvalues : array, shape (N,)
        Of the Jacobian, N = p(p + 1)/2 + pk, complex, by falling real part.
    unstable : tuple of Direction
        Those of a positive real part, the fastest first.

    Examples
    --------
    >>> still = Overlaps([[0.3]], [[0.0]], [[1.0]])
    >>> point = fixed_point(Task("square"), still, terms="gradient-flow")
    >>> point.overlaps.Q.round(6), point.eigenvalues.real.round(6)
    (array([[0.333333]]), array([ 4., -4.]))
    """

    overlaps: Overlaps
    residual: float
    excess_risk: float
    eigenvalues: Array
    unstable: tuple[Direction, ...]


def jacobian(
    task: Task,
    overlaps: Overlaps,
    *,
    learning_rate: float | None = None,
    terms: str = "full",
    d: int | None = None,
    batch: int = 1,
) -> Array:
    """The derivatives of (dQ/dt, dM/dt) in (Q, M): the flow to first order.

    Parameters
    ----------
    task, overlaps, learning_rate, terms, d, batch
        As for `solve`; the second layer does not move.

    Returns
    -------
    array, shape (N, N)
        Unknowns are the upper triangle of Q, row by row, and then M, N = p(p + 1)/2 + pk.  Exact
        for closed forms; of other activations, and with d, by central differences, to about 1e-9
        or what quadrature allows, at 2 N right-hand sides.

    Examples
    --------
    One student, one target, square: dQ/dt = 4 (1 − Q) Q + 8 (M² − Q²).

    >>> jacobian(Task("square"), Overlaps([[2.0]], [[0.5]], [[1.0]]), terms="gradient-flow")
    array([[-44.,   8.],
           [ -3.,  -6.]])
    """
    rate, d = _checked(task, overlaps, learning_rate, terms, d)
    batch = check_integer("batch", batch, 1)
    return _slopes(task, overlaps, rate, terms, d, batch)(overlaps.Q, overlaps.M)


def fixed_point(
    task: Task,
    guess: Overlaps,
    *,
    learning_rate: float | None = None,
    terms: str = "full",
    d: int | None = None,
    batch: int = 1,
    tolerance: float = 1e-9,
) -> FixedPoint:
    """The fixed point of the flow near a guess, by Newton's method, stable or not.

    Parameters
    ----------
    guess : Overlaps
        Near it, such as a state on the plateau of a run.
    task, learning_rate, terms, d, batch
        As for `solve`; the second layer does not move.
    tolerance : float
        The largest |dQ/dt| and |dM/dt| that count as none.

    Raises
    ------
    InvalidInput
        If an argument cannot be used; or if the method does not arrive, or arrives where no
        overlaps are.

    Examples
    --------
    Two students that cannot tell two targets apart, and the direction in which they will:

    >>> import twolayer as tl
    >>> alike = tl.Overlaps([[0.6, 0.6], [0.6, 0.6]], [[0.5, 0.5], [0.5, 0.5]], np.eye(2))
    >>> point = fixed_point(tl.Task("erf"), alike, terms="gradient-flow")
    >>> [leave] = point.unstable
    >>> print(f"{leave.rate:.4f}", np.sign(leave.M[0, 0] * leave.M[0, 1]))
    0.0329 -1.0
    """
    rate, d = _checked(task, guess, learning_rate, terms, d, "guess")
    batch, tolerance = check_integer("batch", batch, 1), check_positive("tolerance", tolerance)
    state = Unknowns((guess.p, guess.p), (guess.p, guess.k), triangle=True)
    flow = flow_at_any_rate(task, guess.P, terms, d, a_star=guess.a_star, batch=batch)
    slopes = _slopes(task, guess, rate, terms, d, batch)

    def moves(y: Array) -> Array:
        rates = state.pack(*flow(*state.unpack(y), guess.a, rate))
        return np.where(np.isfinite(rates), rates, 1 / np.finfo(float).eps)  # far from overlaps

    with np.errstate(all="ignore"):
        found = scipy.optimize.least_squares(
            moves,
            state.pack(guess.Q, guess.M),
            jac=lambda y: np.nan_to_num(slopes(*state.unpack(y))),
            method="lm",
            **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15),
        )
    residual = float(np.abs(found.fun).max())
    if not residual <= tolerance:
        allowed = "nearer to a fixed point: where Newton's method ends something moves at "
        raise InvalidInput("guess", shown(guess), f"{allowed}{residual:.2g}")
    # Students that are alike leave Ω on the border of what overlaps can be, and Newton's method
    # stops a little beyond it, as far as rounding can tell.
    Omega = assemble(*state.unpack(found.x), guess.P)
    values, vectors = np.linalg.eigh(Omega)
    Omega = (vectors * np.maximum(values, 0.0)) @ vectors.T
    Q, M = Omega[: guess.p, : guess.p], Omega[: guess.p, guess.p :]
    residual = float(np.abs(moves(state.pack(Q, M))).max())
    if not residual <= tolerance or values[0] < -_BORDER * values[-1]:
        allowed = f"nearer to a fixed point: Newton's method ends at {values[0]:.2g}, the smallest "
        allowed += f"eigenvalue of Ω, where something moves at {residual:.2g}"
        raise InvalidInput("guess", shown(guess), allowed)
    overlaps = Overlaps(Q, M, guess.P, guess.a, guess.a_star)
    values, vectors = np.linalg.eig(slopes(Q, M))
    order = np.argsort(-values.real)
    values, vectors = values[order], vectors[:, order]
    least = _ROUNDING * np.abs(values).max()
    # Two vectors span what a pair of complex eigenvalues moves, or equal ones that rounding parts.
    leave = [
        _direction(value.real, state, vector.real if value.imag >= 0 else vector.imag)
        for value, vector in zip(values, vectors.T, strict=True)
        if value.real > least
    ]
    c = coefficients(guess.a, guess.a_star)
    return FixedPoint(
        overlaps,
        residual,
        excess_risk_of(task, overlaps.Omega, guess.p, c),
        values,
        tuple(leave),
    )


def _checked(
    task: Task,
    overlaps: Overlaps,
    learning_rate: float | None,
    terms: str,
    d: int | None,
    name: str = "overlaps",
) -> tuple[float, int | None]:
    """The learning rate and d, once all of them can be used."""
    check_instance("task", task, Task)
    check_instance(name, overlaps, Overlaps)
    check_choice("terms", terms, TERMS)
    if learning_rate is None and terms != "gradient-flow":
        raise InvalidInput("learning_rate", "None", f"given when terms is {terms!r}")
    rate = check_non_negative("learning_rate", 1.0 if learning_rate is None else learning_rate)
    return rate, dimension(terms, overlaps.P, d)


def _slopes(
    task: Task, start: Overlaps, rate: float, terms: str, d: int | None, batch: int
) -> object:
    """The function (Q, M) → Jacobian."""
    if task.closed and d is None:
        exact = analytic(task, start.P, terms, start.a, start.a_star, batch)
        return lambda Q, M: exact(Q, M, rate)
    flow = flow_at_any_rate(task, start.P, terms, d, a_star=start.a_star, batch=batch)
    state = Unknowns((start.p, start.p), (start.p, start.k), triangle=True)

    def by_differences(Q: Array, M: Array) -> Array:
        y = state.pack(Q, M)
        columns = []
        for n in range(y.size):
            moved = [y.copy(), y.copy()]
            moved[0][n] += _STEP
            moved[1][n] -= _STEP
            up, down = (state.pack(*flow(*state.unpack(z), start.a, rate)) for z in moved)
            columns.append((up - down) / (2 * _STEP))
        return np.stack(columns, axis=1)

    return by_differences


def _direction(rate: float, state: Unknowns, vector: Array) -> Direction:
    Q, M = state.unpack(vector)
    norm = np.sqrt((Q**2).sum() + (M**2).sum())
    return Direction(float(rate), Q / norm, M / norm)
