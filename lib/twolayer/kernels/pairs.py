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


@compiled(FAST, inner=True)
def products_of_pairs(c: np.ndarray) -> np.ndarray:
    """c_m c_m' of all pairs m' ≤ m in a row, those of two units twice.

    In a row, because a loop over rows of a triangle spends half its time at their ends.
    """
    n, start = c.size, 0
    out = np.empty(n * (n + 1) // 2)
    for m in range(n):
        row = out[start : start + m + 1]
        for other in range(m):
            row[other] = 2.0 * c[m] * c[other]
        row[m] = c[m] * c[m]
        start += m + 1
    return out


@compiled(fastmath=FAST)
def tilted_arcsines(
    states: np.ndarray, c: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Σ_{m,m'} c_m c_m' asin ρ_mm' for every state and pair (i, j) of students.

    ρ is the correlation matrix of 1 + T, T = Ω − u uᵀ − v vᵀ the covariance under the tilt
    σ'(λ_i) σ'(λ_j); `erf.plain_sums` is the same in NumPy.
    """
    S, n, _ = states.shape
    out, products = np.empty((S, first.size)), products_of_pairs(c)
    u, v, r, rho = np.empty(n), np.empty(n), np.empty(n), np.empty(products.size)
    for state in range(S):
        Omega = states[state]
        for pair in range(first.size):
            tilt(Omega, first[pair], second[pair], u, v)
            start = 0
            for m in range(n):
                r[m] = 1.0 / sqrt(1.0 + Omega[m, m] - u[m] * u[m] - v[m] * v[m])
                u_m, v_m, r_m, row = u[m], v[m], r[m], rho[start : start + m + 1]
                # u, v and r share one scaling: ρ_mm' = r_m r_m' (Ω_mm' − u_m u_m' − v_m v_m').
                for other in range(m + 1):
                    tilted = Omega[m, other] - u_m * u[other] - v_m * v[other]
                    row[other] = tilted * r_m * r[other]
                start += m + 1
            total = 0.0
            for l in range(products.size):
                total += products[l] * arcsine(rho[l])
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
    out, products = np.empty((S, first.size)), products_of_pairs(c)
    u, v, r, K_i, K_j, own = np.empty((6, n))
    rho, slope = np.empty((2, products.size))
    for state in range(S):
        Omega = states[state]
        for pair in range(first.size):
            scale_u, scale_v, ratio = tilt(Omega, first[pair], second[pair], u, v)
            start = 0
            for m in range(n):
                K_j[m] = v[m] * scale_v
                K_i[m] = u[m] * scale_u - ratio * K_j[m]
                T = Omega[m, m] - u[m] * u[m] - v[m] * v[m]
                r[m] = 1.0 / sqrt(1.0 + T)
                own[m] = (T - K_i[m] * K_i[m] - K_j[m] * K_j[m]) * r[m] * r[m] / 2.0
                u_m, v_m, r_m, own_m, i_m, j_m = u[m], v[m], r[m], own[m], K_i[m], K_j[m]
                here = slice(start, start + m + 1)
                correlation, change = rho[here], slope[here]
                for other in range(m + 1):
                    T = Omega[m, other] - u_m * u[other] - v_m * v[other]
                    dT = T - i_m * K_i[other] - j_m * K_j[other]
                    scale = r_m * r[other]
                    correlation[other] = T * scale
                    change[other] = dT * scale - T * scale * (own_m + own[other])
                start += m + 1
            total = 0.0
            for l in range(products.size):
                total += products[l] * slope[l] / sqrt(1.0 - rho[l] * rho[l])
            out[state, pair] = total
    return out
