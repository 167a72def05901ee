"""Particles of a mean field: sums over all pairs of them, row by row.

Each averages over the scalar product ξ of two directions outside the target span.  With `itself` a
particle is left out of its own row; without, it meets an independent copy of itself there.  In
NumPy: `plain_sums` and `plain_products` of `mean_field.erf_pairs`, `plain_sums` of
`mean_field.bent_pairs` and of `mean_field.mehler_pairs`.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from twolayer.kernels.compiler import FAST, compiled
from twolayer.kernels.functions import arcsine


@compiled(FAST, inner=True)
def meet(
    alpha: np.ndarray, root: np.ndarray, i: int, product: np.ndarray, radial: np.ndarray
) -> None:
    """Write the scalar products of particle i with all in the target span, and √(q_i q_j)."""
    for j in range(root.size):
        product[j] = alpha[i, 0] * alpha[j, 0]
        radial[j] = root[i] * root[j]
    for a in range(1, alpha.shape[1]):
        for j in range(root.size):
            product[j] += alpha[i, a] * alpha[j, a]


@compiled(fastmath=FAST)
def erf_sums(
    alpha: np.ndarray,
    root: np.ndarray,
    weight: np.ndarray,
    xi: np.ndarray,
    w_xi: np.ndarray,
    itself: bool,
    start: int,
    stop: int,
) -> np.ndarray:
    """Σ_j w_j A_ij α_j and, last, Σ_j w_j B_ij √q_j for the particles i of a range.

    A and B are the averages over ξ in the head of `mean_field.erf_pairs`; `root` is √q.
    """
    p, k = alpha.shape
    s, mean, first = np.empty(p), np.empty(p), np.empty(p)
    product, radial = np.empty(p), np.empty(p)
    for j in range(p):
        s[j] = 1.0 + root[j] * root[j]
        for a in range(k):
            s[j] += alpha[j, a] * alpha[j, a]
    out = np.zeros((stop - start, k + 1))
    for i in range(start, stop):
        meet(alpha, root, i, product, radial)
        mean.fill(0.0)
        first.fill(0.0)
        for node in range(xi.size):
            x, w, s_i = xi[node], w_xi[node], s[i]
            for j in range(p):
                C = product[j] + x * radial[j]
                term = w / sqrt(s_i * s[j] - C * C)
                mean[j] += term
                first[j] += x * term
        if itself:
            mean[i] = first[i] = 0.0
        row = i - start
        for a in range(k):
            total = 0.0
            for j in range(p):
                total += weight[j] * mean[j] * alpha[j, a]
            out[row, a] = total
        total = 0.0
        for j in range(p):
            total += weight[j] * first[j] * root[j]
        out[row, k] = total
    return out


@compiled(fastmath=FAST)
def erf_products(
    alpha: np.ndarray,
    root: np.ndarray,
    weight: np.ndarray,
    xi: np.ndarray,
    w_xi: np.ndarray,
    itself: bool,
    start: int,
    stop: int,
) -> np.ndarray:
    """Σ_j w_j E_ξ asin(C_ij) for the particles i of a range, over √s_i: so are `alpha`, `root`."""
    p = root.size
    product, radial = np.empty(p), np.empty(p)
    out = np.zeros(stop - start)
    for i in range(start, stop):
        meet(alpha, root, i, product, radial)
        total = 0.0
        for node in range(xi.size):
            x, w, part = xi[node], w_xi[node], 0.0
            for j in range(p):
                part += weight[j] * arcsine(product[j] + x * radial[j])
            total += w * part
            if itself:
                total -= w * weight[i] * arcsine(product[i] + x * radial[i])
        out[i - start] = total
    return out


@compiled(fastmath=FAST)
def bent_sums(
    inside: np.ndarray,
    root: np.ndarray,
    weight: np.ndarray,
    xi: np.ndarray,
    w_xi: np.ndarray,
    itself: bool,
    start: int,
    stop: int,
) -> np.ndarray:
    """Σ_j w_j A_ij u_j, Σ_j w_j B_ij r_j and Σ_j w_j N_ij for the rows i of a range.

    `inside` u and `root` r are those of unit vectors, and A, B and N the averages of asin ρ, of
    ξ asin ρ and of √(1 − ρ²) at ρ = u_i·u_j + ξ r_i r_j.
    """
    p, k = inside.shape
    product, radial = np.empty(p), np.empty(p)
    mean, first, across = np.empty(p), np.empty(p), np.empty(p)
    out = np.zeros((stop - start, k + 2))
    for i in range(start, stop):
        meet(inside, root, i, product, radial)
        mean.fill(0.0)
        first.fill(0.0)
        across.fill(0.0)
        for node in range(xi.size):
            x, w = xi[node], w_xi[node]
            for j in range(p):
                rho = min(max(product[j] + x * radial[j], -1.0), 1.0)
                angle = w * arcsine(rho)
                mean[j] += angle
                first[j] += x * angle
                across[j] += w * sqrt((1.0 - rho) * (1.0 + rho))
        if itself:
            mean[i] = first[i] = across[i] = 0.0
        row = i - start
        for j in range(p):
            out[row, k] += weight[j] * first[j] * root[j]
            out[row, k + 1] += weight[j] * across[j]
        for a in range(k):
            for j in range(p):
                out[row, a] += weight[j] * mean[j] * inside[j, a]
    return out


@compiled(fastmath=FAST)
def mehler_sums(
    rows: np.ndarray,
    columns: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    load: np.ndarray,
    turn: np.ndarray,
    small: float,
    checked: int,
    itself: bool,
    start: int,
    stop: int,
) -> np.ndarray:
    """A and B times all but the last column of the load, N times the last, for a range of rows.

    The last but one is for B, those before for A; see `mean_field.mehler_pairs`, whose T_r and
    U_r are made here term by term.  `rows` and `columns` are unit vectors, the last coordinate
    outside the span; `left` and `right` have the terms of A and N, (2, order, units).  A row ends
    where all later terms of A, by Cauchy's inequality, are `small` to all terms; it is looked at
    every so many terms, `checked`.
    """
    order, p = right.shape[1], len(columns)
    k, last = columns.shape[1] - 1, load.shape[1] - 1
    g, h, power, along = np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    mean, first, bends = np.empty(p), np.empty(p), np.empty(p)
    tails, own_tails = np.zeros((order + 1, p)), np.zeros(order + 1)
    for r in range(order - 1, -1, -1):
        for j in range(p):
            tails[r, j] = tails[r + 1, j] + right[0, r, j] * right[0, r, j]
    for j in range(p):
        size = 0.0
        for a in range(last + 1):
            size += abs(load[j, a])
        for r in range(0, order, checked):
            tails[r, j] = size * sqrt(tails[r, j])
    out = np.zeros((stop - start, last + 1))
    for i in range(start, stop):
        for r in range(order - 1, -1, -1):
            own_tails[r] = own_tails[r + 1] + left[0, r, i] * left[0, r, i]
        for j in range(p):
            g[j] = 0.0
            h[j] = rows[i, k] * columns[j, k]
            power[j] = 1.0
            along[j] = mean[j] = first[j] = bends[j] = 0.0
        for a in range(k):
            for j in range(p):
                g[j] += rows[i, a] * columns[j, a]
        if itself:
            power[i] = 0.0
        least = 0.0
        for r in range(order):
            if r % checked == 0:
                size = 0.0
                for j in range(p):
                    size += abs(power[j]) * tails[r, j]
                size *= sqrt(own_tails[r])
                if r == 0:
                    least = small * size
                if size <= least:
                    break
            slope, bend, factor = left[0, r, i], left[1, r, i], turn[r]
            for j in range(p):
                T, U = power[j], along[j]
                both = slope * right[0, r, j]
                mean[j] += both * T
                first[j] += both * U
                bends[j] += bend * right[1, r, j] * T
                power[j] = g[j] * T + h[j] * U
                along[j] = factor * (g[j] * U + h[j] * T)
        row = i - start
        for a in range(last - 1):
            for j in range(p):
                out[row, a] += mean[j] * load[j, a]
        for j in range(p):
            out[row, last - 1] += first[j] * load[j, last - 1]
            out[row, last] += bends[j] * load[j, last]
    return out
