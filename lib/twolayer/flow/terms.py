r"""The flow of the overlaps, term by term.

In time t = steps · γ/(p d), as γ/(p d) → 0 one-pass SGD follows

    dM/dt = Ψ^M(Ω),   dQ/dt = Ψ^GF(Ω) + (γ/p) Ψ^Var(Ω)

(arXiv:2302.05882, section 2; for erf Saad & Solla 1995).  Expectations are over
(λ, λ*) ~ N(0, Ω), with the displacement 𝓔 = Σ_m c_m σ(λ_m) + √Δ z.  A second layer a of the
students multiplies each σ'(λ_i) by a_i, and is in the c_m.

One step of SGD changes the mean of Q by γ/(p d) times the same sum, but with

    Ψ^Var_d = E[σ'(λ_i) σ'(λ_j) 𝓔² ‖x‖²],

where ‖x‖², of mean 1, depends on the pre-activations; the flow puts 1 in its place.  The factor
need not be dropped.  Let x ~ N(0, s/d): λ has covariance sΩ, and the derivative in s of the
logarithm of the density is d (‖x‖² − 1)/2 at s = 1.  So for every function g of λ

    E[g ‖x‖²] = E_Ω[g] + (2/d) d/ds E_sΩ[g] at s = 1,

whatever the rank of Ω.  That is the term for an integer d.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients, warn_unless_settled
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_instance,
    check_integer,
    shown,
)

#: The names of the choices, for whoever checks types.
Terms = Literal["gradient-flow", "gradient-flow+noise", "full"]
#: What each choice of `terms` keeps of (γ/p) Ψ^Var: (noise-free part, label-noise part).
TERMS: dict[str, tuple[bool, bool]] = {
    "gradient-flow": (False, False),
    "gradient-flow+noise": (False, True),
    "full": (True, True),
}


def psi_M(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^M_ir = a_i E[σ'(λ_i) λ*_r 𝓔], the drift of M.

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
    return drifts(task, overlaps.Omega, overlaps.a, overlaps.a_star)[0]


def psi_GF(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^GF_ij = E[(a_i σ'(λ_i) λ_j + a_j σ'(λ_j) λ_i) 𝓔], the drift of Q under gradient flow.

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
    return drifts(task, overlaps.Omega, overlaps.a, overlaps.a_star)[1]


def psi_noise(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^noise_ij = Δ a_i a_j E[σ'(λ_i) σ'(λ_j)], the label-noise part of Ψ^Var.

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
    return task.noise * np.outer(overlaps.a, overlaps.a) * task.forms.gain(overlaps.Q)


def psi_Var(task: Task, overlaps: Overlaps, d: int | None = None) -> Array:
    """Ψ^Var_ij = a_i a_j E[σ'(λ_i) σ'(λ_j) 𝓔²], label noise included; with ‖x‖² if d is given.

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
    d, forms = dimension("full", overlaps.P, d), task.forms
    c = coefficients(overlaps.a, overlaps.a_star)
    both = forms.variance(overlaps.Omega, c, overlaps.p, d) + task.noise * forms.gain(overlaps.Q, d)
    return np.outer(overlaps.a, overlaps.a) * both


def psi_a(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^a_i = E[σ(λ_i) 𝓔], the force on the second layer of the students.

    Trained at the learning rate η, a_i ← a_i + η/(p d) σ(λ_i) 𝓔, it follows da/dt = (η/γ) Ψ^a.

    Returns
    -------
    array, shape (p,)
        Costs O((p + k)²).

    Examples
    --------
    >>> psi_a(Task("square"), Overlaps([[1.0]], [[0.0]], [[1.0]]))
    array([-2.])
    """
    _check(task, overlaps)
    return second_layer_force(task, overlaps.Omega, overlaps.a, overlaps.a_star)


def second_layer_force(task: Task, Omega: Array, a: Array, a_star: Array) -> Array:
    """`psi_a` from Ω, unchecked."""
    p = len(a)
    return task.forms.two_point(Omega, p)[:p] @ coefficients(a, a_star)


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
    return check_integer("d", d, max(1, int(np.linalg.matrix_rank(P, tol=1e-8, hermitian=True))))


def dimension_of_terms(
    terms: str, d: int | None, for_clock: bool, batch: int, fixed: bool
) -> int | None:
    """D as far as the equation goes by it: where batches or `fixed` norms do not, the clock may.

    Examples
    --------
    >>> [dimension_of_terms("full", 5, True, batch, False) for batch in (1, 2)]
    [5, None]
    """
    if terms != "full" or (for_clock and (batch > 1 or fixed)):
        return None
    if d is not None and fixed:
        allowed = "None where norms are fixed: the equation has not what this adds at order 1/d"
        raise InvalidInput("d", shown(d), allowed)
    return d


def _check(task: Task, overlaps: Overlaps) -> None:
    """Refuse what is none of them, and warn where expectations do not settle."""
    check_instance("task", task, Task)
    check_instance("overlaps", overlaps, Overlaps)
    c = coefficients(overlaps.a, overlaps.a_star)
    off = task.forms.drift_error(overlaps.Omega, c, overlaps.p)
    warn_unless_settled({"the drift": (off, task.tolerance)})


def drifts(
    task: Task, Omega: Array, a: Array, a_star: Array, pull: Array | None = None
) -> tuple[Array, Array]:
    """Ψ^M and Ψ^GF from Ω, unchecked; `pull` in place of a where it multiplies σ'."""
    p = len(a)
    drift = task.forms.drift(Omega, coefficients(a, a_star), p)
    drift *= (a if pull is None else pull)[:, None]
    own = drift[..., :p]
    return drift[..., p:], own + own.swapaxes(-1, -2)
