"""The Gaussian expectations that risk and flow are made of: one form, however they are found.

All units, students first and targets after, are listed together: unit m has pre-activation
λ_m and enters the displacement with coefficient c_m (−a/p for a student, +a*/k for a target), so
that without label noise 𝓔 = Σ_m c_m σ_m(λ_m) with λ ~ N(0, Ω).  The risk and every term of the
flow are contractions of Ω with c.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from twolayer.activations.derivatives import DriftSlopes
from twolayer.support.arrays import Array


def diagonal(C: Array) -> Array:
    """The diagonals of many matrices."""
    return np.diagonal(C, axis1=-2, axis2=-1)


class Expectations(ABC):
    """What a student σ and a target σ* need, for any Ω (n, n) of p students and n − p targets.

    Ω and Q may have leading axes: many states at once.  Expectations in closed form have no error,
    and derivatives; those of others raise `NotImplementedError`.
    """

    #: Whether they are closed forms.
    closed: bool = True
    #: What they may be off by, relative to the sizes of the functions.
    tolerance: float = 0.0

    @abstractmethod
    def two_point(self, Omega: Array, p: int) -> Array:
        """E[σ_m(λ_m) σ_m'(λ_m')], (n, n)."""

    @abstractmethod
    def coefficients(self, Omega: Array, c: Array, p: int) -> Array:
        """B of Stein's lemma, (p, n): E[σ'(λ_j) 𝓔 v] = Σ_m B_jm cov(v, λ_m) for Gaussian v."""

    def drift(self, Omega: Array, c: Array, p: int) -> Array:
        """E[σ'(λ_j) 𝓔 λ_l] = (BΩ)_jl, (p, n)."""
        return self.coefficients(Omega, c, p) @ Omega

    def drift_in_span(self, A: Array, c: Array, p: int) -> Array:
        """BA, (p, r): with Ω = A Aᵀ the drift in the coordinates (n, r) of all weights."""
        return self.coefficients(A @ A.T, c, p) @ A

    @abstractmethod
    def variance(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """E[σ'(λ_i) σ'(λ_j) 𝓔²], (p, p); given d with ‖x‖², x ~ N(0, 1/d) in d dimensions."""

    @abstractmethod
    def gain(self, Q: Array, d: int | None = None) -> Array:
        """E[σ'(λ_i) σ'(λ_j)], (p, p); given d with ‖x‖²."""

    def drift_slopes(self, Omega: Array, c: Array, p: int) -> DriftSlopes:
        """The drift as Σ_m A_jm Ω_ml + o_j Ω_jl, with its derivatives, at one Ω."""
        raise NotImplementedError

    def gain_slopes(self, Q: Array) -> tuple[Array, Array]:
        """The derivatives of the gain that `derivatives.gain_along` wants."""
        raise NotImplementedError

    def variance_gradient(self, Omega: Array, c: Array, i: Array, j: Array) -> Array:
        """Of the entries (i, j) of the variance the derivatives in all entries of Ω, (N, n, n)."""
        raise NotImplementedError

    def error(self, Omega: Array, c: Array, p: int) -> float:
        """How far drift and risk may be off, relative to the sizes of what they are sums of."""
        return 0.0

    def drift_error(self, Omega: Array, c: Array, p: int) -> float:
        """How far `coefficients` may be off, relative to their largest."""
        return 0.0

    def risk_error(self, Omega: Array, p: int) -> float:
        """How far `two_point` may be off, relative to its largest entry."""
        return 0.0

    def variance_error(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """How far `variance` may be off, (p, p)."""
        return np.zeros((p, p))

    def finer_variance(self, n: int, p: int, factor: float) -> Self:
        """With a `variance` that is better by this factor, or as good as is allowed."""
        return self
