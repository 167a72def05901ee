"""Gauss rules for the pre-activations of particles, inside and outside the target span."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def gauss_hermite(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights for N(0, 1)."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return x, w / w.sum()


def sphere(outside: int, nodes: int) -> tuple[Array, Array]:
    """Rule for one coordinate of a uniform point of the unit sphere in `outside` dimensions.

    The scalar product of two such points has the same law, with density ∝
    (1 − u²)^((outside − 3)/2): Gauss-Gegenbauer nodes; ±1 in one dimension.
    """
    if outside == 1:
        return np.array([-1.0, 1.0]), np.full(2, 0.5)
    m, b = np.arange(2, nodes), outside - 3
    later = m * (m + b) / ((2 * m + b) ** 2 - 1)
    squares = np.concatenate(([1 / (b + 3)], later))  # the first is 0/0 there if b = −1
    return _gauss(np.zeros(nodes), np.sqrt(squares))


def radius(outside: int, nodes: int) -> tuple[Array, Array]:
    """Rule for the norm of a vector of `outside` N(0, 1) entries: generalised Gauss-Laguerre."""
    n, a = np.arange(nodes), outside / 2 - 1
    s, w = _gauss(2 * n + 1 + a, np.sqrt(n[1:] * (n[1:] + a)))
    return np.sqrt(2 * s), w


def scalar_product(outside: float, nodes: int) -> tuple[Array, Array]:
    """Rule for ⟨g, g'⟩ of two particles' directions outside the target span; 0 at d = ∞."""
    if outside in (0, math.inf):
        return np.zeros(1), np.ones(1)
    return sphere(int(outside), fewer(nodes))


def radius_and_angle(outside: float, nodes: int) -> tuple[Array, Array, Array, Array]:
    """Rules for ρ and u, whose product is N(0, 1): (radius, weights, angle, weights)."""
    one = np.ones(1)
    if outside == 0:
        return one, one, np.zeros(1), one
    if outside == math.inf:
        return one, one, *gauss_hermite(nodes)
    return *radius(int(outside), fewer(nodes)), *sphere(int(outside), fewer(nodes))


def fewer(nodes: int) -> int:
    """Nodes of the rules outside the target span, which converge faster."""
    return max(2, 2 * nodes // 3)


def _gauss(diagonal: Array, off_diagonal: Array) -> tuple[Array, Array]:
    """The Gauss rule of a recurrence (Golub & Welsch 1969), for any parameter; weights sum to 1."""
    from scipy.linalg import eigh_tridiagonal

    nodes, vectors = eigh_tridiagonal(diagonal, off_diagonal)
    return nodes, vectors[0] ** 2
