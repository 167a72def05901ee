r"""The flow of the overlaps: the right-hand side of the ODE, term by term.

In time t = steps · γ/(p d), as γ/(p d) → 0 one-pass SGD follows

    dM/dt = Ψ^M(Ω),   dQ/dt = Ψ^GF(Ω) + (γ/p) Ψ^Var(Ω)

(arXiv:2302.05882, section 2; for erf Saad & Solla 1995).  Expectations are over
(λ, λ*) ~ N(0, Ω), with the displacement 𝓔 = Σ_m c_m σ(λ_m) + √Δ z.

One step of SGD changes the mean of Q by γ/(p d) times the same sum, but with

    Ψ^Var_d = E[σ'(λ_i) σ'(λ_j) 𝓔² ‖x‖²],

where ‖x‖², of mean 1, depends on the pre-activations; the flow puts 1 in its place.  The factor
need not be dropped.  Let x ~ N(0, s/d): λ has covariance sΩ, and the derivative in s of the
logarithm of the density is d (‖x‖² − 1)/2 at s = 1.  So for every function g of λ

    E[g ‖x‖²] = E_Ω[g] + (2/d) d/ds E_sΩ[g] at s = 1,

whatever the rank of Ω.  That is the term for an integer d.  Builds on `activations`,
`overlaps` and `task`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from twolayer.errors import InvalidInput, array, choice, instance, integer, non_negative, shown
from twolayer.overlaps import Overlaps, assemble, symmetric
from twolayer.task import Task, coefficients

Array = np.ndarray

#: What each choice of `terms` keeps of (γ/p) Ψ^Var: (noise-free part, label-noise part).
TERMS: dict[str, tuple[bool, bool]] = {
    "gradient-flow": (False, False),
    "gradient-flow+noise": (False, True),
    "full": (True, True),
}


def psi_M(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^M_ir = E[σ'(λ_i) λ*_r 𝓔], the drift of M.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps

    Returns
    -------
    array, shape (p, k)
        Costs O(p (p + k)²) in one matrix product.

    Examples
    --------
    >>> psi_M(Task("square"), Overlaps([[1.0]], [[0.5]], [[1.0]]))
    array([[0.]])
    """
    _check(task, overlaps)
    return _drifts(task, overlaps.Omega, overlaps.p)[0]


def psi_GF(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^GF_ij = E[(σ'(λ_i) λ_j + σ'(λ_j) λ_i) 𝓔], the drift of Q under gradient flow.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps

    Returns
    -------
    array, shape (p, p)
        Symmetric.  Costs O(p (p + k)²) in one matrix product.

    Examples
    --------
    >>> psi_GF(Task("square"), Overlaps([[1.0]], [[0.5]], [[1.0]]))
    array([[-6.]])
    """
    _check(task, overlaps)
    return _drifts(task, overlaps.Omega, overlaps.p)[1]


def psi_noise(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^noise_ij = Δ E[σ'(λ_i) σ'(λ_j)], the label-noise part of Ψ^Var.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps

    Returns
    -------
    array, shape (p, p)
        Symmetric.  Costs O(p²).

    Examples
    --------
    >>> psi_noise(Task("square", noise=0.1), Overlaps([[1.0]], [[0.5]], [[1.0]]))
    array([[0.4]])
    """
    _check(task, overlaps)
    return task.noise * task.forms.gain(overlaps.Q)


def psi_Var(task: Task, overlaps: Overlaps, d: int | None = None) -> Array:
    """Ψ^Var_ij = E[σ'(λ_i) σ'(λ_j) 𝓔²], label noise included; with ‖x‖² if d is given.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps
    d : int, optional
        Dimension of the samples, at least the rank of P; infinite by default.

    Returns
    -------
    array, shape (p, p)
        Symmetric, positive semi-definite.  For erf it sums an arcsine over all
        pairs of pairs, O(p² (p + k)²), and with d a root over them; for square O(p (p + k)²).

    Raises
    ------
    InvalidInput
        If d has no room for the targets.

    Examples
    --------
    >>> psi_Var(Task("square"), Overlaps([[1.0]], [[0.5]], [[1.0]]))
    array([[36.]])
    >>> psi_Var(Task("square"), Overlaps([[1.0]], [[0.5]], [[1.0]]), d=6)
    array([[72.]])
    """
    _check(task, overlaps)
    d = dimension("full", overlaps.P, d)
    p, k = overlaps.p, overlaps.k
    variance, gain = _second_moments(task, d)
    return variance(overlaps.Omega, coefficients(p, k), p) + task.noise * gain(overlaps.Q)


def right_hand_side(
    task: Task, P: Array, learning_rate: float, terms: str, d: int | None = None
) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The function (Q, M) → (dQ/dt, dM/dt), for one state or, with leading axes, many.

    Parameters
    ----------
    task : Task
    P : array, shape (k, k)
        Overlaps of the targets, which do not move.
    learning_rate : float
        γ; without effect if `terms` is "gradient-flow".
    terms : str
        "gradient-flow", "gradient-flow+noise" (GF-ODE-NOISE, appendix A) or "full".
    d : int, optional
        With "full": Ψ^Var for samples in d dimensions, at least the rank of P.

    Returns
    -------
    callable
        It trusts its arguments: no validation, so that an integrator may probe
        states slightly outside the range of overlaps.

    Raises
    ------
    InvalidInput
        If `terms` is unknown, or "full" for a student with kinks: Ψ^Var by points jumps
        where a point meets one, and no integrator with error control can follow.  If d is given
        without "full", or has no room for the targets.

    Examples
    --------
    >>> import numpy as np
    >>> rhs = right_hand_side(Task("square"), np.eye(1), 0.1, "full")
    >>> dQ, dM = rhs(np.eye(1), np.full((1, 1), 0.5))
    >>> dQ.round(6)
    array([[-2.4]])
    """
    instance("task", task, Task)
    noise_free, label_noise = TERMS[choice("terms", terms, TERMS)]
    if noise_free and task.activation.kinks:
        others = "'gradient-flow' or 'gradient-flow+noise'"
        allowed = f"{others} for {task.activation.name}, whose Ψ^Var is only known point by point"
        raise InvalidInput("terms", repr(terms), allowed)
    P = symmetric("P", array("P", P, (None, None)))
    learning_rate = non_negative("learning_rate", learning_rate)
    d = dimension(terms, P, d)
    variance, gain = _second_moments(task, d)
    noise, k = task.noise, len(P)

    def rhs(Q: Array, M: Array) -> tuple[Array, Array]:
        p = M.shape[-2]
        Omega = assemble(Q, M, P)
        dM, dQ = _drifts(task, Omega, p)
        if noise_free:
            dQ += (learning_rate / p) * variance(Omega, coefficients(p, k), p)
        if label_noise and noise:
            dQ += (learning_rate / p * noise) * gain(Q)
        return dQ, dM

    return rhs


def dimension(terms: str, P: Array, d: int | None) -> int | None:
    """d, if it is None or a dimension that these terms can use and the targets fit into.

    Q need not fit: a mean of matrices Q of rank d may have a higher rank.

    Examples
    --------
    >>> dimension("full", np.eye(3), 5)
    5
    """
    if d is None:
        return None
    if terms != "full":
        raise InvalidInput("d", shown(d), f"None when terms is {terms!r}, which has no ‖x‖²")
    return integer("d", d, max(1, int(np.linalg.matrix_rank(P, tol=1e-8, hermitian=True))))


def _second_moments(task: Task, d: int | None) -> tuple[Callable[..., Array], ...]:
    """`variance` and `gain`, with ‖x‖² in them if d is given."""
    forms = task.forms
    if d is None:
        return forms.variance, forms.gain
    return partial(forms.variance_with_norm, d=d), partial(forms.gain_with_norm, d=d)


def _check(task: Task, overlaps: Overlaps) -> None:
    instance("task", task, Task)
    instance("overlaps", overlaps, Overlaps)


def _drifts(task: Task, Omega: Array, p: int) -> tuple[Array, Array]:
    drift = task.forms.drift(Omega, coefficients(p, Omega.shape[-1] - p), p)
    own = drift[..., :p]
    return drift[..., p:], own + own.swapaxes(-1, -2)
