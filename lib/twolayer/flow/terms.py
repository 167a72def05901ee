r"""The flow of the overlaps: the right-hand side of the ODE, term by term.

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

from collections.abc import Callable
from typing import Literal

import numpy as np

from twolayer.activations.erf import Erf
from twolayer.activations.square import Square
from twolayer.problem.matrices import assemble, second_layer, symmetric
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients, warn_unless_settled
from twolayer.support.arrays import Array, writable
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_choice,
    check_instance,
    check_integer,
    check_non_negative,
    shown,
)
from twolayer.support.threads import HAS_COMPILER

#: Students up to whom a matrix product is not worth a call of BLAS.
_SMALL = 32

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
    return _drifts(task, overlaps.Omega, overlaps.a, overlaps.a_star)[0]


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
    return _drifts(task, overlaps.Omega, overlaps.a, overlaps.a_star)[1]


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


def right_hand_side(
    task: Task,
    P: Array,
    learning_rate: float,
    terms: Terms,
    d: int | None = None,
    *,
    a_star: Array | None = None,
    batch: int = 1,
) -> Callable[..., tuple[Array, Array]]:
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
    a_star : array, shape (k,), optional
        Second layer of the targets; ones by default.
    batch : int
        Samples a step averages over; they divide Ψ^Var.

    Returns
    -------
    callable
        Called with (Q, M), or (Q, M, a) with the second layer of the students.  It trusts its
        arguments: no validation, so that an integrator may probe states slightly outside the
        range of overlaps.

    Raises
    ------
    InvalidInput
        If `terms` is unknown; if d is given without "full" or with batches, or has no room for
        the targets.

    Examples
    --------
    >>> import numpy as np
    >>> rhs = right_hand_side(Task("square"), np.eye(1), 0.1, "full")
    >>> dQ, dM = rhs(np.eye(1), np.full((1, 1), 0.5))
    >>> dQ.round(6)
    array([[-2.4]])
    """
    learning_rate = check_non_negative("learning_rate", learning_rate)
    flow = flow_at_any_rate(task, P, terms, d, a_star=a_star, batch=batch)

    def rhs(Q: Array, M: Array, a: Array | None = None) -> tuple[Array, Array]:
        return flow(Q, M, np.ones(M.shape[-2]) if a is None else a, learning_rate)

    return rhs


def flow_at_any_rate(
    task: Task,
    P: Array,
    terms: str,
    d: int | None = None,
    *,
    a_star: Array | None = None,
    batch: int = 1,
) -> Callable[[Array, Array, Array, float], tuple[Array, Array]]:
    """The function (Q, M, a, γ) → (dQ/dt, dM/dt); see `right_hand_side`."""
    check_instance("task", task, Task)
    noise_free, label_noise = TERMS[check_choice("terms", terms, TERMS)]
    P = symmetric("P", check_array("P", P, (None, None)))
    d, batch = dimension(terms, P, d), check_integer("batch", batch, 1)
    if d is not None and batch > 1:
        raise InvalidInput("d", shown(d), "None with batches, whose samples have products in d")
    targets, noise, forms = second_layer("a_star", a_star, len(P)), task.noise, task.forms

    compiled = HAS_COMPILER and type(forms) in (Erf, Square)
    if compiled:
        from twolayer.kernels import closed
    fixed, layer = writable(P), writable(targets)

    def flow(Q: Array, M: Array, a: Array, learning_rate: float) -> tuple[Array, Array]:
        p = M.shape[-2]
        rate = learning_rate / batch / p
        if compiled and Q.ndim == 2:
            within = rate * noise if label_noise and d is None else 0.0
            square, state = type(forms) is Square, (writable(Q), writable(M), fixed)
            layers = writable(a), layer
            if p <= _SMALL:
                Omega = None
                dQ, dM = closed.small_flow(square, *state, *layers, within)
            else:  # the product by NumPy's BLAS: beside it the threads of a second one would spin
                Omega, B = closed.prepared(square, *state, *layers)
                dQ, dM = closed.flow_of(square, B @ Omega, state[0], layers[0], within)
        else:
            within, Omega = 0.0, assemble(Q, M, P)
            dM, dQ = _drifts(task, Omega, a, targets)
        if label_noise and noise and not within:
            dQ += (rate * noise) * (a[:, None] * a) * forms.gain(Q, d)
        if noise_free:
            Omega = assemble(Q, M, P) if Omega is None else Omega
            variance = forms.variance(Omega, coefficients(a, targets), p, d)
            dQ += rate * (a[:, None] * a) * variance
        return dQ, dM

    return flow


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


def _check(task: Task, overlaps: Overlaps) -> None:
    """Refuse what is none of them, and warn where expectations do not settle."""
    check_instance("task", task, Task)
    check_instance("overlaps", overlaps, Overlaps)
    c = coefficients(overlaps.a, overlaps.a_star)
    off = task.forms.drift_error(overlaps.Omega, c, overlaps.p)
    warn_unless_settled({"the drift": (off, task.tolerance)})


def _drifts(task: Task, Omega: Array, a: Array, a_star: Array) -> tuple[Array, Array]:
    p = len(a)
    drift = task.forms.drift(Omega, coefficients(a, a_star), p)
    drift *= a[:, None]
    own = drift[..., :p]
    return drift[..., p:], own + own.swapaxes(-1, -2)
