"""Erf: particles on a grid, one Hermite mode after another.

In NumPy: `plain_field` and `plain_drift` of `mean_field.erf_series`.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from twolayer.kernels.compiler import FAST, compiled
from twolayer.kernels.functions import erf_and_slope


@compiled(fastmath=FAST)
def hermite_field(
    alpha: np.ndarray,
    q: np.ndarray,
    weight: np.ndarray,
    z: np.ndarray,
    counts: np.ndarray,
    terms: int,
    here: tuple[int, int],
) -> np.ndarray:
    """Σ_i w_i S_n of a range of particles on the nodes z, (terms, nodes)."""
    (nodes, k), (start, stop) = z.shape, here
    out = np.zeros((terms, nodes))
    x, even, odd = np.empty(nodes), np.empty(nodes), np.empty(nodes)
    for i in range(start, stop):
        scale = 1.0 / sqrt(1.0 + q[i])
        r, power = q[i] * scale * scale, weight[i]
        for node in range(nodes):
            inside = 0.0
            for a in range(k):
                inside += alpha[i, a] * z[node, a]
            x[node] = inside * scale
        erf_and_slope(x, even, odd)
        for n in range(counts[i]):
            m = 2 * n + 1.0
            a_odd, a_even = -1.0 / sqrt(m + 1.0), -(m - 1.0) / sqrt(m * (m + 1.0))
            b_even, b_odd = -1.0 / sqrt(m + 2.0), -m / sqrt((m + 1.0) * (m + 2.0))
            for node in range(nodes):
                out[n, node] += power * even[node]
                even[node] = a_odd * x[node] * odd[node] + (a_even * even[node] if n else 0.0)
                odd[node] = b_even * x[node] * even[node] + b_odd * odd[node]
            power *= r
    return out


@compiled(fastmath=FAST)
def hermite_drift(
    alpha: np.ndarray,
    q: np.ndarray,
    own: np.ndarray,
    z: np.ndarray,
    counts: np.ndarray,
    error: np.ndarray,
    measure: np.ndarray,
    here: tuple[int, int],
) -> np.ndarray:
    """Σ_n D_n e_n z and, last, Σ_n E_n e_n over the nodes for a range of particles.

    e_n = `error` + w_i κ_n S_n, `error` being weighted, `measure` (terms, nodes) the weights
    κ_n of the nodes, and w_i = `own`: zero where a particle does not act on itself.
    """
    (nodes, k), (start, stop) = z.shape, here
    out = np.zeros((stop - start, k + 1))
    x, even, odd = np.empty(nodes), np.empty(nodes), np.empty(nodes)
    push = np.empty(nodes)
    for i in range(start, stop):
        scale = 1.0 / sqrt(1.0 + q[i])
        r, power, row = q[i] * scale * scale, 1.0, i - start
        for node in range(nodes):
            inside = 0.0
            for a in range(k):
                inside += alpha[i, a] * z[node, a]
            x[node] = inside * scale
            push[node] = 0.0
        erf_and_slope(x, even, odd)
        for n in range(counts[i]):
            m = 2 * n + 1.0
            a_odd, a_even = -1.0 / sqrt(m + 1.0), -(m - 1.0) / sqrt(m * (m + 1.0))
            b_even, b_odd = -1.0 / sqrt(m + 2.0), -m / sqrt((m + 1.0) * (m + 2.0))
            inward, outward = power * scale * sqrt(m), power * r * sqrt(m * (m + 1.0))
            last = 0.0
            for node in range(nodes):
                S = power * even[node]
                e = error[n, node] + own[i] * measure[n, node] * S
                push[node] += inward * odd[node] * e
                even[node] = a_odd * x[node] * odd[node] + (a_even * even[node] if n else 0.0)
                odd[node] = b_even * x[node] * even[node] + b_odd * odd[node]
                last += (outward * even[node] + 2.0 * n * S) * e
            out[row, k] += last
            power *= r
        for a in range(k):
            for node in range(nodes):
                out[row, a] += push[node] * z[node, a]
    return out
