"""Slow, independent implementations to test against: loops over formulas, step by step.

The formulas are the paper's (arXiv:2302.05882) and Saad & Solla's, written as they are
printed: one call per pair, triple or quadruple of units.  Nothing here is shared with
the package.
"""

from __future__ import annotations

import itertools
from math import asin, erf, exp, pi, sqrt

import numpy as np

SIGMA = {"erf": lambda x: erf(x / sqrt(2)), "square": lambda x: x * x}
DERIVATIVE = {"erf": lambda x: sqrt(2 / pi) * exp(-x * x / 2), "square": lambda x: 2 * x}


def erf_2(C):
    return 2 / pi * asin(C[0, 1] / sqrt((1 + C[0, 0]) * (1 + C[1, 1])))


def erf_3(C):
    """E[σ'(u) v σ(w)]."""
    L = (1 + C[0, 0]) * (1 + C[2, 2]) - C[0, 2] ** 2
    return 2 / pi * (C[1, 2] * (1 + C[0, 0]) - C[0, 1] * C[0, 2]) / ((1 + C[0, 0]) * sqrt(L))


def erf_4(C):
    """E[σ'(u) σ'(v) σ(w) σ(z)]."""
    a, b = 1 + C[0, 0], 1 + C[1, 1]
    L4 = a * b - C[0, 1] ** 2

    def cross(m, n):
        return (
            -C[1, m] * C[1, n] * a
            - C[0, m] * C[0, n] * b
            + C[0, 1] * (C[0, m] * C[1, n] + C[0, n] * C[1, m])
        )

    L0 = L4 * C[2, 3] + cross(2, 3)
    L1 = L4 * (1 + C[2, 2]) + cross(2, 2)
    L2 = L4 * (1 + C[3, 3]) + cross(3, 3)
    return 4 / (pi**2 * sqrt(L4)) * asin(L0 / sqrt(L1 * L2))


def erf_gain(C):
    return 2 / pi / sqrt((1 + C[0, 0]) * (1 + C[1, 1]) - C[0, 1] ** 2)


def wick(C, factors):
    """E of a product of centred Gaussian variables: the sum over all pairings."""
    if not factors:
        return 1.0
    first, *rest = factors
    return sum(C[first, other] * wick(C, rest[:n] + rest[n + 1 :]) for n, other in enumerate(rest))


EXPECTATIONS = {
    "erf": (erf_2, erf_3, erf_4, erf_gain),
    "square": (
        lambda C: wick(C, [0, 0, 1, 1]),
        lambda C: 2 * wick(C, [0, 1, 2, 2]),
        lambda C: 4 * wick(C, [0, 1, 2, 2, 3, 3]),
        lambda C: 4 * wick(C, [0, 1]),
    ),
}


def flow(name, Q, M, P, noise=0.0):
    """(Ψ^M, Ψ^GF, Ψ^Var without noise, Ψ^noise, excess risk), one expectation at a time."""
    two, three, four, gain = EXPECTATIONS[name]
    p, k = M.shape
    Omega = np.block([[Q, M], [M.T, P]])
    c = [-1 / p] * p + [1 / k] * k
    units = range(p + k)

    def at(*index):
        return Omega[np.ix_(index, index)]

    drift = np.array(
        [[sum(c[m] * three(at(j, n, m)) for m in units) for n in units] for j in range(p)]
    )
    psi_var, psi_noise = np.empty((p, p)), np.empty((p, p))
    for i, j in itertools.product(range(p), repeat=2):
        psi_var[i, j] = sum(c[m] * c[n] * four(at(i, j, m, n)) for m in units for n in units)
        psi_noise[i, j] = noise * gain(at(i, j))
    risk = sum(c[m] * c[n] * two(at(m, n)) for m in units for n in units) / 2
    return drift[:, p:], drift[:, :p] + drift[:, :p].T, psi_var, psi_noise, risk


def sgd_step(name, W, W_star, x, noise_term, learning_rate):
    """One step of SGD as the paper writes it; returns the new weights."""
    p, k = len(W), len(W_star)
    fields, fields_star = W @ x, W_star @ x
    displacement = (
        sum(map(SIGMA[name], fields_star)) / k - sum(map(SIGMA[name], fields)) / p + noise_term
    )
    slope = np.array([DERIVATIVE[name](v) for v in fields])
    return W + learning_rate / p * displacement * np.outer(slope, x)


def random_overlaps(rng, p, k, rank=None, scale=1.0):
    """Q, M, P of random vectors in `rank` dimensions."""
    rank = rank or p + k + 1
    rows = scale * rng.standard_normal((p + k, rank)) / np.sqrt(rank)
    Omega = rows @ rows.T
    return Omega[:p, :p], Omega[:p, p:], Omega[p:, p:]


def panels(breaks, longest, far=8.0):
    """Gauss-Legendre points and weights for N(0, 1), with a panel's end at each break (..., n)."""
    breaks = breaks[..., (np.abs(breaks) < far).any(axis=tuple(range(breaks.ndim - 1)))]
    fixed = np.append(np.arange(-far, far, longest), far)
    fixed = np.broadcast_to(fixed, (*breaks.shape[:-1], fixed.size))
    ends = np.sort(np.concatenate((fixed, np.clip(breaks, -far, far)), axis=-1), axis=-1)
    x, w = np.polynomial.legendre.leggauss(40)
    half, middle = np.diff(ends) / 2, (ends[..., 1:] + ends[..., :-1]) / 2
    points = middle[..., None] + half[..., None] * x
    weights = half[..., None] * w * np.exp(-(points**2) / 2) / sqrt(2 * pi)
    return (of.reshape(*breaks.shape[:-1], -1) for of in (points, weights))


def pair_by_planes(student, unit, s, t, rho):
    """E[σ(u) τ(w)], E[σ'(u) u τ(w)], E[σ'(u) w τ(w)] and E[σ'(u) τ'(w)], pointwise slopes."""
    other = sqrt(max(1 - rho**2, 0.0))
    mine, theirs = (np.array([*of.kinks, *of.bends]) for of in (student, unit))
    y, weight = panels(np.concatenate((theirs / t, mine / (s * rho) if rho else [])), 0.5)
    if other > 0:
        x, w = panels((mine / s - rho * y[:, None]) / other, 1.0)
    else:
        x, w = np.zeros((y.size, 1)), np.ones((y.size, 1))
    u, v = s * (rho * y[:, None] + other * x), t * y
    value, slopes = unit.sigma(v), student.derivative(u) * w
    each = (
        value * (student.sigma(u) * w).sum(1),
        value * (slopes * u).sum(1),
        value * v * slopes.sum(1),
        unit.derivative(v) * slopes.sum(1),
    )
    return np.array([weight @ of for of in each])


def drift_by_planes(student, target, Omega, c, p):
    """Σ_m c_m E[σ'(λ_j) λ_l σ_m(λ_m)]: λ_l is its mean given the two others, and a rest."""
    out, size = np.zeros((p, len(c))), np.sqrt(np.diagonal(Omega))
    for j, m in itertools.product(range(p), range(len(c))):
        rho = 1.0 if j == m else min(max(Omega[j, m] / (size[j] * size[m]), -1.0), 1.0)
        unit = student if m < p else target
        _, with_own, with_other, _ = pair_by_planes(student, unit, size[j], size[m], rho)
        pair = [j] if j == m else [j, m]
        regression = np.linalg.solve(Omega[np.ix_(pair, pair)], Omega[pair])
        out[j] += c[m] * (np.array([with_own, with_other])[: len(pair)] @ regression)
    return out
