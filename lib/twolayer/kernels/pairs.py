"""Erf: arcsines over pairs of pairs of units; in NumPy `activations.erf.plain_sums`."""

from __future__ import annotations

from math import sqrt

import numpy as np

from twolayer.kernels.compiler import FAST, compiled
from twolayer.kernels.functions import arcsine


@compiled(FAST, inner=True)
def tilt(Omega: np.ndarray, i: int, j: int, u: np.ndarray, v: np.ndarray) -> tuple[float, ...]:
    """Write u and v of the tilt by the pair (i, j); their scales, and Ω_ij/(1 + Ω_ii)."""
    s_i = 1.0 + Omega[i, i]
    ratio = Omega[i, j] / s_i
    scale_u = 1.0 / sqrt(s_i)
    scale_v = 1.0 / sqrt(1.0 + Omega[j, j] - ratio * Omega[i, j])
    for m in range(u.size):
        u[m] = Omega[i, m] * scale_u
        v[m] = (Omega[j, m] - ratio * Omega[i, m]) * scale_v
    return scale_u, scale_v, ratio


@compiled(fastmath=FAST)
def tilted_arcsines(
    states: np.ndarray, c: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Σ_{m,m'} c_m c_m' asin ρ_mm' for every state and pair (i, j) of students.

    ρ is the correlation matrix of 1 + T, T = Ω − u uᵀ − v vᵀ the covariance under the tilt
    σ'(λ_i) σ'(λ_j); `erf.plain_sums` is the same in NumPy.
    """
    S, n, _ = states.shape
    out = np.empty((S, first.size))
    u, v, r = np.empty(n), np.empty(n), np.empty(n)
    for state in range(S):
        Omega = states[state]
        for pair in range(first.size):
            tilt(Omega, first[pair], second[pair], u, v)
            for m in range(n):
                r[m] = 1.0 / sqrt(1.0 + Omega[m, m] - u[m] * u[m] - v[m] * v[m])
            # u, v and r share one scaling: ρ_mm' = r_m r_m' (Ω_mm' − u_m u_m' − v_m v_m').
            total = 0.0
            for m in range(n):
                u_m, v_m, r_m, row = u[m], v[m], r[m], 0.0
                for other in range(m):
                    tilted = Omega[m, other] - u_m * u[other] - v_m * v[other]
                    row += c[other] * arcsine(tilted * r_m * r[other])
                tilted = Omega[m, m] - u_m * u_m - v_m * v_m
                total += c[m] * (2.0 * row + c[m] * arcsine(tilted * r_m * r_m))
            out[state, pair] = total
    return out


@compiled(fastmath=FAST)
def tilted_slopes(
    states: np.ndarray, c: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """The derivative of `tilted_arcsines` at sΩ, in s at s = 1.

    dT/ds = T − K Kᵀ, the two columns of K being combinations of u and v.
    """
    S, n, _ = states.shape
    out = np.empty((S, first.size))
    u, v, r = np.empty(n), np.empty(n), np.empty(n)
    K_i, K_j, own = np.empty(n), np.empty(n), np.empty(n)
    for state in range(S):
        Omega = states[state]
        for pair in range(first.size):
            scale_u, scale_v, ratio = tilt(Omega, first[pair], second[pair], u, v)
            for m in range(n):
                K_j[m] = v[m] * scale_v
                K_i[m] = u[m] * scale_u - ratio * K_j[m]
                T = Omega[m, m] - u[m] * u[m] - v[m] * v[m]
                r[m] = 1.0 / sqrt(1.0 + T)
                own[m] = (T - K_i[m] * K_i[m] - K_j[m] * K_j[m]) * r[m] * r[m] / 2.0
            total = 0.0
            for m in range(n):
                u_m, v_m, r_m, own_m, i_m, j_m = u[m], v[m], r[m], own[m], K_i[m], K_j[m]
                row = 0.0
                for other in range(m):
                    T = Omega[m, other] - u_m * u[other] - v_m * v[other]
                    dT = T - i_m * K_i[other] - j_m * K_j[other]
                    scale = r_m * r[other]
                    rho = T * scale
                    slope = dT * scale - rho * (own_m + own[other])
                    row += c[other] * slope / sqrt(1.0 - rho * rho)
                rho = 1.0 - r_m * r_m
                slope = 2.0 * own_m * (1.0 - rho) / sqrt(1.0 - rho * rho)
                total += c[m] * (2.0 * row + c[m] * slope)
            out[state, pair] = total
    return out
