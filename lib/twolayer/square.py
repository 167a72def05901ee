r"""Closed forms of σ(x) = x², with σ'(x) = 2x, and their derivatives: Wick's theorem.

What each function means is said in `activations`.  C stands for diag(c).
"""

from __future__ import annotations

import numpy as np

from twolayer.erf import diagonal

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


def drift(Omega: Array, c: Array, p: int) -> Array:
    """Σ_m c_m E[σ'(λ_j) λ_l σ(λ_m)] = 2 tr(CΩ) Ω + 4 ΩCΩ."""
    students, mean = Omega[..., :p, :], diagonal(Omega) @ c
    return 2 * mean[..., None, None] * students + 4 * (students * c) @ Omega


def drift_along(Omega: Array, change: Array, c: Array, p: int) -> Array:
    """Derivative of `drift` at Ω along symmetric matrices `change` (leading axes)."""
    students, moved = Omega[:p], change[..., :p, :]
    mean, d_mean = diagonal(Omega) @ c, (diagonal(change) @ c)[..., None, None]
    out = 2 * (mean * moved + d_mean * students)
    flat, weighted = change.reshape(-1, len(c)), 4 * students * c
    out += 4 * ((moved.reshape(-1, len(c)) * c) @ Omega).reshape(moved.shape)
    return out + (flat @ weighted.T).reshape(*change.shape[:-1], p).swapaxes(-1, -2)


def gain(Q: Array) -> Array:
    """E[σ'(λ_i) σ'(λ_j)]."""
    return 4 * Q


def gain_along(Q: Array, change: Array) -> Array:
    """Derivative of `gain` along matrices `change` (leading axes)."""
    return 4 * change


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
