"""The learning problem: which activations, how much label noise; and its risk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from twolayer.activations import quadrature
from twolayer.activations.activation import Activation
from twolayer.activations.expectations import Expectations
from twolayer.activations.known import Name, get
from twolayer.activations.quadrature import Quadrature
from twolayer.activations.square import Square
from twolayer.problem.matrices import assemble, second_layer
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.support.arrays import set_fields, writable
from twolayer.support.checks import (
    InvalidInput,
    check_instance,
    check_integer,
    check_non_negative,
    check_power_of_two,
    check_probability,
)
from twolayer.support.html import table
from twolayer.support.limits import says_what_it_cannot
from twolayer.support.threads import HAS_COMPILER, on_all_cores
from twolayer.support.warn import warn

#: What rounding leaves of a sum that vanishes, relative to its terms.
_ROUNDING = 1e-12


class QuadratureWarning(UserWarning):
    """An expectation did not settle to the tolerance of its task."""


def warn_unless_settled(errors: Mapping[str, tuple[float, float]]) -> None:
    """One `QuadratureWarning` of all expectations that may be off by more than they should be.

    `errors` has what each may be off by, and what it should be at most, relative.
    """
    bad = [
        f"{name} may be off by {error:.1g} of its size (wanted: {most:.1g})"
        for name, (error, most) in errors.items()
        if not error <= most
    ]
    if bad:
        remedy = (
            "Give the kinks of functions that have any, Activation.of(…, kinks=…); more to begin "
            "with, Task(…, order=…, points=…), or nodes=… of a mean field; or be content with "
            "less, Task(…, tolerance=…)."
        )
        warn(f"{'; '.join(bad)}. {remedy}", QuadratureWarning)


@dataclass(frozen=True)
class Task:
    """A student f(x) = (1/p) Σ_i a_i σ(w_i·x), a target y = (1/k) Σ_r a*_r σ*(w*_r·x) + √Δ z.

    Source: arXiv:2302.05882, section 2.

    Parameters
    ----------
    activation : str, Activation or callable
        σ of the student: "erf" for erf(x/√2), "square" for x², one of `activations.OTHERS`
        ("relu", "tanh", "sigmoid", "he1" … "he6"), or any function (see `Activation.of`).
    target_activation : str, Activation or callable, optional
        σ* of the target; the student's by default.
    noise : float
        Variance Δ >= 0 of the label noise.
    order : int
        Terms of the series to begin with, 4 to 400, where there are no closed forms; they are
        doubled, up to 400, until drift and risk have settled.
    points : int
        Quasi-random points of Ψ^Var to begin with, a power of two >= 128, likewise.
    tolerance : float
        What drift and risk may then be off by, relative to the sizes of the functions; Ψ^Var may
        be off by a thousand times, and a mean field by a hundred times as much.  What is not
        settled to that is warned of: a `QuadratureWarning`.

    Attributes
    ----------
    forms : Expectations
        The Gaussian expectations of this student and this target: closed where σ* = σ has
        closed forms, by `quadrature` otherwise.

    Examples
    --------
    >>> Task("erf", noise=1e-3)
    Task('erf', noise=0.001)
    """

    activation: Activation
    target_activation: Activation
    noise: float
    tolerance: float = field(compare=False)
    forms: Expectations = field(compare=False)

    @says_what_it_cannot
    def __init__(
        self,
        activation: Name | Activation | Callable[[np.ndarray], np.ndarray] = "erf",
        target_activation: Name | Activation | Callable[[np.ndarray], np.ndarray] | None = None,
        noise: float = 0.0,
        *,
        order: int = quadrature.ORDER,
        points: int = quadrature.POINTS,
        tolerance: float = 1e-6,
    ) -> None:
        student = get(activation)
        target = student
        if target_activation is not None:
            target = get(target_activation, "target_activation")
        order = check_integer("order", order, 4, 400)
        points = check_power_of_two("points", points, 128, 2**24)
        set_fields(self, activation=student, target_activation=target)
        set_fields(self, noise=check_non_negative("noise", noise))
        set_fields(self, tolerance=check_probability("tolerance", tolerance))
        forms = student.forms if target is student else None
        set_fields(self, forms=forms or Quadrature(student, target, order, points, self.tolerance))

    @property
    def closed(self) -> bool:
        """Whether its expectations have closed forms."""
        return self.forms.closed

    @property
    def own(self) -> bool:
        """Whether an activation is a function of the user's."""
        return self.activation.code < 0 or self.target_activation.code < 0

    def with_forms(self, forms: Expectations) -> Task:
        """The same task, its expectations found in another way."""
        out = object.__new__(Task)
        set_fields(out, **vars(self) | {"forms": forms})
        return out

    def __repr__(self) -> str:
        target = f", {self.target_activation.name!r}"
        same = self.target_activation is self.activation
        return f"Task({self.activation.name!r}{'' if same else target}, noise={self.noise:g})"

    def _repr_html_(self) -> str:
        names = self.activation.name, self.target_activation.name
        how = "closed forms" if self.closed else f"quadrature, to {self.tolerance:g}"
        rows = zip(("student σ", "target σ*"), names, strict=True)
        return table(repr(self), [*rows, ("noise Δ", f"{self.noise:g}"), ("expectations", how)])


def known_by(task: Task) -> np.ndarray:
    """σ, σ′ and σ* at some points: functions of the user's have no other identity."""
    x = np.linspace(-6, 6, 121) + 0.0271828
    functions = task.activation.sigma, task.activation.derivative, task.target_activation.sigma
    return np.array([f(x) for f in functions], dtype=float)


def coefficients(a: np.ndarray, a_star: np.ndarray) -> np.ndarray:
    """The weight c of every unit in the displacement: −a/p of students, then +a*/k of targets.

    With leading axes of a those of many states.
    """
    targets = a_star / len(a_star)
    if a.ndim > 1:
        targets = np.broadcast_to(targets, (*a.shape[:-1], targets.size))
    return np.concatenate((-a / a.shape[-1], targets), axis=-1)


@runtime_checkable
class Path(Protocol):
    """Overlaps along time, and of many runs: what a `Trajectory` has."""

    t: np.ndarray
    Q: np.ndarray
    M: np.ndarray
    P: np.ndarray
    a: np.ndarray
    a_star: np.ndarray


def excess_risk(
    task: Task, overlaps: Overlaps | SpectralOverlaps | Path, a_star: ArrayLike | None = None
) -> float | np.ndarray:
    """Population risk above its floor, R − Δ/2 = ½ Σ_{m,m'} c_m c_m' E[σ(λ_m) σ(λ_m')].

    Not below zero; zero at perfect learning, which is out of reach where σ* ≠ σ.  Costs
    O((p + k)²) a state.  Source: arXiv:2302.05882, section 2; for erf Saad & Solla, PRE 52, 4225
    (1995).

    Parameters
    ----------
    task : Task
        Of a trajectory any, not only the one that it was made with.
    overlaps : Overlaps, SpectralOverlaps or Trajectory
    a_star : array_like, shape (k,), optional
        Second layer of the targets, instead of the one of `overlaps`: with ones and zeros the risk
        of one of several targets, of what was learned before, say.

    Returns
    -------
    float, or array of shape ([R,] T) of a trajectory
        NaN where a run had left the range of finite numbers.

    Examples
    --------
    A student that is its target has learned perfectly:

    >>> excess_risk(Task("erf"), Overlaps([[1.0]], [[1.0]], [[1.0]]))
    0.0
    """
    return _checked_risk(task, overlaps, a_star)


def _checked_risk(
    task: Task, overlaps: Overlaps | SpectralOverlaps | Path, a_star: ArrayLike | None
) -> float | np.ndarray:
    """`excess_risk`, called by a function that the user called."""
    check_instance("task", task, Task)
    one = isinstance(overlaps, (Overlaps, SpectralOverlaps))
    if not one and not isinstance(overlaps, Path):
        check_instance("overlaps", overlaps, Overlaps, "a twolayer.Overlaps or Trajectory")
    targets = overlaps.a_star if a_star is None else second_layer("a_star", a_star, len(overlaps.P))
    if one:
        Omega, p, c = overlaps.Omega, overlaps.p, coefficients(overlaps.a, targets)
        found = excess_risk_of(task, Omega, p, c)
    else:
        if overlaps.Q.ndim < overlaps.M.ndim:
            raise InvalidInput("record", "norms only", '"overlaps" to have all of Q')
        lead, (p, k) = overlaps.M.shape[:-2], overlaps.M.shape[-2:]
        Q, M = overlaps.Q.reshape(-1, p, p), overlaps.M.reshape(-1, p, k)
        there = np.isfinite(Q).all((1, 2)) & np.isfinite(M).all((1, 2))
        found = np.full(len(M), np.nan)
        a = np.broadcast_to(overlaps.a, overlaps.M.shape[:-1]).reshape(-1, p)[there]
        found[there] = excess_risks_of(task, Q[there], M[there], overlaps.P, a, targets)
        found = found.reshape(lead)
        if not there.any():
            return found
        Omega = assemble(Q[there][-1], M[there][-1], overlaps.P)
    off = task.forms.risk_error(Omega, p)
    warn_unless_settled({"the risk": (off, task.forms.tolerance)})
    return found


def excess_risk_of(task: Task, Omega: np.ndarray, p: int, c: np.ndarray | None = None) -> float:
    """`excess_risk` from Ω, students first, unchecked; c is that of second layers of ones."""
    if c is None:
        c = coefficients(np.ones(p), np.ones(len(Omega) - p))
    V = task.forms.two_point(Omega, p)
    return without_rounding(float(c @ V @ c) / 2, np.abs(c) @ np.abs(V) @ np.abs(c))


def excess_risks_of(
    task: Task, Q: np.ndarray, M: np.ndarray, P: np.ndarray, a: np.ndarray, a_star: np.ndarray
) -> np.ndarray:
    """`excess_risk` of states Q (T, p, p), M (T, p, k) and a (T, p) or (p,), unchecked."""
    c = coefficients(np.broadcast_to(a, M.shape[:-1]), a_star)
    if not (task.closed and HAS_COMPILER):
        states = zip(assemble(Q, M, P), c, strict=True)
        return np.array([excess_risk_of(task, Omega, M.shape[-2], each) for Omega, each in states])
    from twolayer.kernels.closed import excess_risks

    square, Q, M, P = isinstance(task.forms, Square), writable(Q), writable(M), writable(P)

    def rows(start: int, stop: int) -> np.ndarray:
        return excess_risks(square, Q[start:stop], M[start:stop], P, c[start:stop])

    found = np.concatenate(on_all_cores(rows, len(M), Q.size / 2))
    for n in np.flatnonzero(found < 0):  # by rounding or not: that wants the size of all terms
        found[n] = excess_risk_of(task, assemble(Q[n], M[n], P), M.shape[-2], c[n])
    return found


def without_rounding(value: float, scale: float) -> float:
    """0 for what is below it by no more than rounding, in a sum of terms of this scale."""
    return 0.0 if -_ROUNDING * scale < value < 0 else value


def risk(
    task: Task, overlaps: Overlaps | SpectralOverlaps | Path, a_star: ArrayLike | None = None
) -> float | np.ndarray:
    """Population risk R = ½ E[(f(x) − y)²], label noise included: `excess_risk` plus Δ/2.

    Examples
    --------
    >>> risk(Task("square", noise=1.0), Overlaps([[1.0]], [[1.0]], [[1.0]]))
    0.5
    """
    return _checked_risk(task, overlaps, a_star) + task.noise / 2
