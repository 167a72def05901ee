r"""Closed forms of σ(x) = x², with σ'(x) = 2x, and their derivatives: Wick's theorem.

What each function means is said in `activations`.  C stands for diag(c).
"""

from __future__ import annotations

import numpy as np

from twolayer.erf import diagonal
from twolayer.slopes import DriftSlopes

Array = np.ndarray


def sigma(x: Array) -> Array:
    """σ(x)."""
    return np.square(x)


def derivative(x: Array) -> Array:
    """σ'(x)."""
    return 2 * np.asarray(x, dtype=float)


def two_point(C: Array) -> Array:
    """E[σ(λ_a) σ(λ_b)]."""
    d = diagonal(C)
    return d[..., :, None] * d[..., None, :] + 2 * C**2


def coefficients(Omega: Array, c: Array, p: int) -> Array:
    """Stein's B: Σ_m c_m E[σ'(λ_j) v σ(λ_m)] = Σ_m B_jm cov(v, λ_m) for any Gaussian v."""
    B, here = 4 * Omega[..., :p, :] * c, np.arange(p)
    B[..., here, here] += 2 * (diagonal(Omega) @ c)[..., None]
    return B


def drift(Omega: Array, c: Array, p: int) -> Array:
    """Σ_m c_m E[σ'(λ_j) λ_l σ(λ_m)] = 2 tr(CΩ) Ω + 4 ΩCΩ."""
    students, mean = Omega[..., :p, :], diagonal(Omega) @ c
    return 2 * mean[..., None, None] * students + 4 * (students * c) @ Omega


def drift_slopes(Omega: Array, c: Array, p: int) -> DriftSlopes:
    """The drift as Σ_m A_jm Ω_ml + o_j Ω_jl, with its derivatives: see `slopes`."""
    here, zero = np.arange(p), np.zeros((p, len(c)))
    weights = np.broadcast_to(c, zero.shape)
    A_cross, A_other = 4 * weights, zero.copy()
    A_cross[here, here], A_other[here, here] = 0.0, 4 * c[:p]
    o = np.full(p, 2 * (diagonal(Omega) @ c))
    return DriftSlopes(4 * Omega[:p] * c, o, A_cross, zero, zero, A_other, 2 * weights)


def gain(Q: Array) -> Array:
    """E[σ'(λ_i) σ'(λ_j)]."""
    return 4 * Q


def gain_with_norm(Q: Array, d: int) -> Array:
    """E[σ'(λ_i) σ'(λ_j) ‖x‖²] in d dimensions: `gain` is of degree 1 in Q."""
    return (1 + 2 / d) * gain(Q)


def gain_slopes(Q: Array) -> tuple[Array, Array]:
    """The derivatives of `gain` that `slopes.gain_along` wants."""
    return 4.0 * (1 - np.eye(len(Q))), 2.0 * np.eye(len(Q))


def variance(Omega: Array, c: Array, p: int) -> Array:
    """Σ_{m,m'} c_m c_m' E[σ'(λ_i) σ'(λ_j) σ(λ_m) σ(λ_m')].

    It is 4 [(tr²(CΩ) + 2 tr(CΩCΩ)) Ω + 4 tr(CΩ) ΩCΩ + 8 ΩCΩCΩ].
    """
    students = Omega[..., :p, :]
    mean = (diagonal(Omega) @ c)[..., None, None]
    power = mean**2 + 2 * (Omega**2 @ c @ c)[..., None, None]
    weighted, columns = students * c, students.swapaxes(-1, -2)
    second, third = weighted @ columns, (weighted @ Omega * c) @ columns
    return 4 * (power * students[..., :p] + 4 * mean * second + 8 * third)


def variance_with_norm(Omega: Array, c: Array, p: int, d: int) -> Array:
    """Σ_{m,m'} c_m c_m' E[σ'(λ_i) σ'(λ_j) σ(λ_m) σ(λ_m') ‖x‖²]: of degree 3 in Ω."""
    return (1 + 6 / d) * variance(Omega, c, p)


def variance_gradient(Omega: Array, c: Array, i: Array, j: Array) -> Array:
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
