"""Gauss rules for pre-activations: of particles inside and outside the target span; with kinks."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy

from twolayer.support.arrays import Array

#: A normal variable is cut here: He₆(x)² exp(−x²/2) is 1e-19 there.
FAR = 12.0


@lru_cache(maxsize=16)
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


def scalar_product_by_angle(outside: float, nodes: int) -> tuple[Array, Array]:
    """The same for functions with roots at ±1, such as arcsines: a Gauss rule in φ, ξ = sin φ.

    The density of φ is ∝ cos(φ)^(outside − 2) on |φ| ≤ π/2, and its rule comes from a fine one
    by the recurrence of its orthogonal polynomials (T. J. Stieltjes 1884).

    Examples
    --------
    >>> xi, w = scalar_product_by_angle(3, 12)
    >>> bool(abs(w @ np.sqrt(1 - xi**2) - np.pi / 4) < 1e-13)
    True
    """
    if outside in (0, 1, math.inf):
        return scalar_product(outside, nodes)
    far = min(math.pi / 2, FAR / math.sqrt(max(outside - 2, 1)))
    x, w = _gauss_legendre(max(400, 4 * nodes))
    angle = far * x
    density = w * np.cos(angle) ** (outside - 2)
    density /= density.sum()
    root, before, now = 0.0, np.zeros_like(x), np.ones_like(x)
    roots = []
    for _ in range(nodes - 1):
        following = angle * now - root * before
        root = math.sqrt(density @ following**2)
        roots.append(root)
        before, now = now, following / root
    angle, w = _gauss(np.zeros(nodes), np.array(roots))
    return np.sin(angle), w


def radius_and_angle(outside: float, nodes: int) -> tuple[Array, Array, Array, Array]:
    """Rules for ρ and u, whose product is N(0, 1): (radius, weights, angle, weights)."""
    one = np.ones(1)
    if outside == 0:
        return one, one, np.zeros(1), one
    if outside == math.inf:
        return one, one, *gauss_hermite(nodes)
    return *radius(int(outside), fewer(nodes)), *sphere(int(outside), fewer(nodes))


def beyond(c: Array, outside: float) -> tuple[Array, Array]:
    """P(u > c) and E[u; u > c] for the angle u of `radius_and_angle`, at least two-dimensional."""
    if outside == math.inf:
        return scipy.special.ndtr(-c), np.exp(-(np.clip(c, -FAR, FAR) ** 2) / 2) / np.sqrt(
            2 * np.pi
        )
    rest = np.maximum(1 - np.clip(c, -1.0, 1.0) ** 2, 0.0)
    tail = scipy.special.betainc((outside - 1) / 2, 0.5, rest) / 2
    constant = np.exp(
        scipy.special.gammaln(outside / 2) - scipy.special.gammaln((outside + 1) / 2)
    ) / (2 * np.sqrt(np.pi))
    return np.where(c > 0, tail, 1 - tail), constant * rest ** ((outside - 1) / 2)


def fewer(nodes: int) -> int:
    """Nodes of the rules outside the target span, which converge faster."""
    return max(2, 2 * nodes // 3)


def panels(breaks: Array, order: int, far: float = FAR) -> tuple[Array, Array]:
    """Points and weights (..., (b + 1) order) for the standard normal law, `order` for each panel.

    Panels lie between and beyond the `breaks` (..., b), where the integrand has kinks, and end at
    ±far; without breaks (b = 0) it is the Gauss-Hermite rule.

    Examples
    --------
    >>> x, w = panels(np.array([0.3]), 40)
    >>> float(round((w * np.maximum(x - 0.3, 0)).sum(), 10))
    0.2667612421
    """
    if breaks.shape[-1] == 0:
        x, w = gauss_hermite(order)
        shape = (*breaks.shape[:-1], order)
        return np.broadcast_to(x, shape), np.broadcast_to(w, shape)
    x, w = _gauss_legendre(order)
    ends = np.sort(np.clip(breaks, -far, far), axis=-1)
    last = np.full((*ends.shape[:-1], 1), far)
    ends = np.concatenate((-last, ends, last), axis=-1)
    half, middle = np.diff(ends) / 2, (ends[..., 1:] + ends[..., :-1]) / 2
    points = middle[..., None] + half[..., None] * x
    weights = half[..., None] * w * np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
    shape = (*ends.shape[:-1], -1)
    return points.reshape(shape), weights.reshape(shape)


@lru_cache(maxsize=16)
def _gauss_legendre(order: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(order)


def _gauss(diagonal: Array, off_diagonal: Array) -> tuple[Array, Array]:
    """The Gauss rule of a recurrence (Golub & Welsch 1969), for any parameter; weights sum to 1."""
    nodes, vectors = scipy.linalg.eigh_tridiagonal(diagonal, off_diagonal)
    return nodes, vectors[0] ** 2
