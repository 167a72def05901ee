"""Closed forms of erf and square in one pass over the overlaps: the risk, the flow without Ψ^Var.

In NumPy: `two_point` and `coefficients` of `activations.erf` and `activations.square`,
`problem.task` and `flow.equation`.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from twolayer.kernels.compiler import FAST, compiled
from twolayer.kernels.functions import arcsine


@compiled(FAST, inner=True)
def stein(square: bool, Omega: np.ndarray, c: np.ndarray, B: np.ndarray) -> None:
    """Write B (p, n) of `Expectations.coefficients`, of the square or else of erf."""
    n, mean = c.size, 0.0
    s = np.empty(n)
    for m in range(n):
        s[m] = 1.0 + Omega[m, m]
        mean += c[m] * Omega[m, m]
    for i in range(len(B)):
        if square:
            for m in range(n):
                B[i, m] = 4.0 * Omega[i, m] * c[m]
            B[i, i] += 2.0 * mean
        else:
            s_i, own = s[i], 0.0
            for m in range(n):
                C = Omega[i, m]
                B[i, m] = (2.0 / pi) * c[m] / sqrt(s_i * s[m] - C * C)
                own += B[i, m] * C
            B[i, i] -= own / s_i


@compiled(FAST)
def coefficients(square: bool, Omega: np.ndarray, c: np.ndarray, p: int) -> np.ndarray:
    """Stein's coefficients of p students."""
    B = np.empty((p, c.size))
    stein(square, Omega, c, B)
    return B


@compiled(FAST)
def prepared(
    square: bool, Q: np.ndarray, M: np.ndarray, P: np.ndarray, a: np.ndarray, a_star: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ω and Stein's coefficients B; the drift is their product BΩ."""
    p, k = M.shape
    n = p + k
    Omega, c, B = np.empty((n, n)), np.empty(n), np.empty((p, n))
    for i in range(p):
        c[i] = -a[i] / p
        for j in range(p):
            Omega[i, j] = Q[i, j]
        for r in range(k):
            Omega[i, p + r] = Omega[p + r, i] = M[i, r]
    for r in range(k):
        c[p + r] = a_star[r] / k
        for other in range(k):
            Omega[p + r, p + other] = P[r, other]
    stein(square, Omega, c, B)
    return Omega, B


@compiled(FAST)
def flow_of(
    square: bool, drift: np.ndarray, Q: np.ndarray, a: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """(dQ/dt, dM/dt) of gradient flow plus `noise` a_i a_j E[σ'(λ_i) σ'(λ_j)]."""
    p, n = drift.shape
    dQ, dM = np.empty((p, p)), np.empty((p, n - p))
    for i in range(p):
        for r in range(n - p):
            dM[i, r] = a[i] * drift[i, p + r]
        for j in range(i + 1):
            dQ[i, j] = a[i] * drift[i, j] + a[j] * drift[j, i]
        if noise != 0.0:
            for j in range(i + 1):
                gain = 4.0 * Q[i, j]
                if not square:
                    gain = (2.0 / pi) / sqrt((1.0 + Q[i, i]) * (1.0 + Q[j, j]) - Q[i, j] * Q[i, j])
                dQ[i, j] += noise * a[i] * a[j] * gain
    for i in range(p):
        for j in range(i + 1, p):
            dQ[i, j] = dQ[j, i]
    return dQ, dM


@compiled(FAST)
def small_flow(
    square: bool,
    Q: np.ndarray,
    M: np.ndarray,
    P: np.ndarray,
    a: np.ndarray,
    a_star: np.ndarray,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """`flow_of` what is `prepared`, in one call, without BLAS."""
    Omega, B = prepared(square, Q, M, P, a, a_star)
    p, n = B.shape
    drift = np.zeros((p, n))
    for i in range(p):
        for m in range(n):
            b = B[i, m]
            for c in range(n):
                drift[i, c] += b * Omega[m, c]
    return flow_of(square, drift, Q, a, noise)


@compiled(FAST, inner=True)
def pair_sum(square: bool, x: np.ndarray, c: np.ndarray, s_m: float, s: np.ndarray) -> float:
    """Σ_l c_l E[σ(λ_m) σ(λ_l)] over some units, of overlaps x_l; the square without its mean.

    s is 1/√(1 + Ω_ll).
    """
    total = 0.0
    if square:
        for l in range(x.size):
            total += c[l] * (x[l] * x[l])
        return 2.0 * total
    for l in range(x.size):
        total += c[l] * arcsine(x[l] * s_m * s[l])
    return (2.0 / pi) * total


@compiled(FAST)
def excess_risks(
    square: bool, Q: np.ndarray, M: np.ndarray, P: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """½ Σ c_m c_l E[σ(λ_m) σ(λ_l)] of states Q (T, p, p), M (T, p, k) with c (T, n)."""
    T, p, k = M.shape
    out, s = np.empty(T), np.empty(p + k)
    for t in range(T):
        mean = 0.0
        for m in range(p + k):
            own = Q[t, m, m] if m < p else P[m - p, m - p]
            s[m] = 1.0 / sqrt(1.0 + own)
            mean += c[t, m] * own
        total = mean * mean if square else 0.0
        students, targets = c[t, :p], c[t, p:]
        for m in range(p):
            own = pair_sum(square, Q[t, m, m : m + 1], students[m : m + 1], s[m], s[m : m + 1])
            row = pair_sum(square, Q[t, m, :m], students[:m], s[m], s[:m])
            cross = pair_sum(square, M[t, m], targets, s[m], s[p:])
            total += students[m] * (own + 2.0 * row + 2.0 * cross)
        for r in range(k):
            total += targets[r] * pair_sum(square, P[r], targets, s[p + r], s[p:])
        out[t] = 0.5 * total
    return out
