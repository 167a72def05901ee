r"""Closed forms of σ(x) = x², with σ'(x) = 2x, and their derivatives: Wick's theorem.

What each method means is said in `expectations`.  C stands for diag(c).
"""

from __future__ import annotations

import numpy as np

from twolayer.activations.derivatives import DriftSlopes
from twolayer.activations.expectations import Expectations, diagonal
from twolayer.support.arrays import Array


def sigma(x: Array) -> Array:
    """σ(x)."""
    return np.square(x)


def derivative(x: Array) -> Array:
    """σ'(x)."""
    return 2 * np.asarray(x, dtype=float)


class Square(Expectations):
    """Closed forms of σ = σ* = x²."""

    def two_point(self, Omega: Array, p: int) -> Array:
        d = diagonal(Omega)
        return d[..., :, None] * d[..., None, :] + 2 * Omega**2

    def coefficients(self, Omega: Array, c: Array, p: int) -> Array:
        B, here = 4 * Omega[..., :p, :] * c, np.arange(p)
        B[..., here, here] += 2 * (diagonal(Omega) @ c)[..., None]
        return B

    def drift(self, Omega: Array, c: Array, p: int) -> Array:
        """Σ_m c_m E[σ'(λ_j) λ_l σ(λ_m)] = 2 tr(CΩ) Ω + 4 ΩCΩ."""
        students, mean = Omega[..., :p, :], diagonal(Omega) @ c
        return 2 * mean[..., None, None] * students + 4 * (students * c) @ Omega

    def drift_in_span(self, A: Array, c: Array, p: int) -> Array:
        """It is 2 tr(AᵀCA) A + 4 A AᵀCA: linear in p."""
        form = (A.T * c) @ A
        return A[:p] @ (2 * np.trace(form) * np.eye(len(form)) + 4 * form)

    def drift_slopes(self, Omega: Array, c: Array, p: int) -> DriftSlopes:
        here, zero = np.arange(p), np.zeros((p, len(c)))
        weights = np.broadcast_to(c, zero.shape)
        A_cross, A_other = 4 * weights, zero.copy()
        A_cross[here, here], A_other[here, here] = 0.0, 4 * c[:p]
        o = np.full(p, 2 * (diagonal(Omega) @ c))
        return DriftSlopes(4 * Omega[:p] * c, o, A_cross, zero, zero, A_other, 2 * weights)

    def gain(self, Q: Array, d: int | None = None) -> Array:
        return 4 * Q if d is None else 4 * (1 + 2 / d) * Q  # of degree 1 in Q

    def gain_slopes(self, Q: Array) -> tuple[Array, Array]:
        return 4.0 * (1 - np.eye(len(Q))), 2.0 * np.eye(len(Q))

    def variance(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """It is 4 [(tr²(CΩ) + 2 tr(CΩCΩ)) Ω + 4 tr(CΩ) ΩCΩ + 8 ΩCΩCΩ], of degree 3 in Ω."""
        students = Omega[..., :p, :]
        mean = (diagonal(Omega) @ c)[..., None, None]
        power = mean**2 + 2 * (Omega**2 @ c @ c)[..., None, None]
        once = (students * c) @ Omega  # ΩCΩ
        third = (once * c) @ students.swapaxes(-1, -2)
        out = 4 * (power * students[..., :p] + 4 * mean * once[..., :p] + 8 * third)
        return out if d is None else (1 + 6 / d) * out

    def variance_gradient(self, Omega: Array, c: Array, i: Array, j: Array) -> Array:
        """Derivative of entries (i, j) of `variance` in all entries of Ω; see `erf`."""
        n, here = len(c), np.arange(len(i))
        mean = diagonal(Omega) @ c
        power = mean**2 + 2 * (Omega**2 @ c @ c)
        once = Omega * c  # ΩC
        twice = once @ once
        second = (once @ Omega)[i, j]
        G = 8 * once[i, :, None] * once[j, None, :]
        G += Omega[i, j][:, None, None] * 4 * np.outer(c, c) * Omega
        unit = np.arange(n)
        G[:, unit, unit] += (2 * mean * Omega[i, j] + 4 * second)[:, None] * c
        G[here, i] += 4 * mean * once[j] + 8 * twice[j]
        G[here, :, j] += 4 * mean * once[i] + 8 * twice[i]
        G[here, i, j] += power
        return 2 * (G + G.swapaxes(-1, -2))
