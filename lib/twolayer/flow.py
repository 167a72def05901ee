r"""The flow of the overlaps: the right-hand side of the ODE, term by term.

In time t = steps · γ/(p d), as γ/(p d) → 0 one-pass SGD follows

    dM/dt = Ψ^M(Ω),   dQ/dt = Ψ^GF(Ω) + (γ/p) Ψ^Var(Ω)

(arXiv:2302.05882, section 2; for erf Saad & Solla 1995).  Expectations are over
(λ, λ*) ~ N(0, Ω), with the displacement 𝓔 = Σ_m c_m σ(λ_m) + √Δ z.  Builds on
`activations`, `overlaps` and `task`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.errors import array, choice, instance, non_negative
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


def psi_Var(task: Task, overlaps: Overlaps) -> Array:
    """Ψ^Var_ij = E[σ'(λ_i) σ'(λ_j) 𝓔²], label noise included.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps

    Returns
    -------
    array, shape (p, p)
        Symmetric, positive semi-definite.  For erf it sums an arcsine over all
        pairs of pairs, O(p² (p + k)²); for square O(p (p + k)²).

    Examples
    --------
    >>> psi_Var(Task("square"), Overlaps([[1.0]], [[0.5]], [[1.0]]))
    array([[36.]])
    """
    _check(task, overlaps)
    p, k = overlaps.p, overlaps.k
    noise_free = task.forms.variance(overlaps.Omega, coefficients(p, k), p)
    return noise_free + psi_noise(task, overlaps)


def right_hand_side(
    task: Task, P: Array, learning_rate: float, terms: str
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

    Returns
    -------
    callable
        It trusts its arguments: no validation, so that an integrator may probe
        states slightly outside the range of overlaps.

    Raises
    ------
    InvalidInput
        If `terms` is unknown.

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
    P = symmetric("P", array("P", P, (None, None)))
    learning_rate = non_negative("learning_rate", learning_rate)
    forms, noise, k = task.forms, task.noise, len(P)

    def rhs(Q: Array, M: Array) -> tuple[Array, Array]:
        p = M.shape[-2]
        Omega = assemble(Q, M, P)
        dM, dQ = _drifts(task, Omega, p)
        if noise_free:
            dQ += (learning_rate / p) * forms.variance(Omega, coefficients(p, k), p)
        if label_noise and noise:
            dQ += (learning_rate / p * noise) * forms.gain(Q)
        return dQ, dM

    return rhs


def _check(task: Task, overlaps: Overlaps) -> None:
    instance("task", task, Task)
    instance("overlaps", overlaps, Overlaps)


def _drifts(task: Task, Omega: Array, p: int) -> tuple[Array, Array]:
    drift = task.forms.drift(Omega, coefficients(p, Omega.shape[-1] - p), p)
    own = drift[..., :p]
    return drift[..., p:], own + own.swapaxes(-1, -2)
