r"""The field of erf particles as a sum over pairs, with one Gauss rule for their scalar product.

The pre-activations of two particles have covariance C_ij = α_i·α_j + √(q_i q_j) ξ, where
ξ = ⟨g_i, g_j⟩ is the scalar product of their directions outside the target span.  The
three-point function of erf needs of a pair only

    A_ij = E_ξ[1/√(s_i s_j − C_ij²)],   B_ij = E_ξ[ξ/√(s_i s_j − C_ij²)],   s_i = 1 + |α_i|² + q_i,

a few square roots, so that for thousands of particles the p² pairs cost less than a
form that is linear in p (`erf_series`).  Compiled where numba is
installed (`kernels.pairs`).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from twolayer.activations.gauss_rules import scalar_product
from twolayer.problem.matrices import second_layer
from twolayer.support.arrays import Array
from twolayer.support.threads import HAS_COMPILER, on_all_cores

#: Pairs in flight without the compiler: their temporaries stay in the cache.
_CHUNK = 30_000


class PairField:
    """σ(x) = erf(x/√2) by pairs; `Field` of `twolayer.mean_field.field`."""

    def __init__(
        self, L: Array, outside: float, self_term: str, nodes: int, a_star: Array | None = None
    ) -> None:
        self.L, self.self_term = L, self_term
        self.mean = second_layer("a_star", a_star, len(L)) / len(L)
        self.xi, self.w_xi = scalar_product(outside, nodes)

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt) of the three-point function I₃ (Saad & Solla 1995); O(p² nodes)."""
        s, root = 1 + (alpha**2).sum(1) + q, np.sqrt(q)
        C = alpha @ self.L.T
        A = self.mean / np.sqrt(s[:, None] * (1 + (self.L**2).sum(1)) - C**2)
        sums = self._over_pairs("pair_sums", alpha, root, charge)
        inward, outward = sums[:, :-1], -root * sums[:, -1]
        push = A @ self.L - inward
        own = ((A * C).sum(1) - (inward * alpha).sum(1) + outward) / s
        if self.self_term == "independent":
            outward = outward + charge * q / np.sqrt(2 * s - 1)
        scale = 2 / np.pi
        return scale * (push - own[:, None] * alpha), 2 * scale * (outward - q * own)

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔], by the arcsine law."""
        return (2 / np.pi) * (self._with_target(alpha, q) - self._with_all(alpha, q, charge))

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2, by the arcsine law."""
        t = 1 + (self.L**2).sum(1)
        total = self.mean @ np.arcsin(self.L @ self.L.T / np.sqrt(t[:, None] * t)) @ self.mean
        total -= 2 * charge @ self._with_target(alpha, q)
        return float(total + charge @ self._with_all(alpha, q, charge)) / np.pi

    def _with_target(self, alpha: Array, q: Array) -> Array:
        """(π/2) E[σ(λ_i) f*]."""
        s, t = 1 + (alpha**2).sum(1) + q, 1 + (self.L**2).sum(1)
        return np.arcsin(alpha @ self.L.T / np.sqrt(s[:, None] * t)) @ self.mean

    def _with_all(self, alpha: Array, q: Array, charge: Array) -> Array:
        """(π/2) E[σ(λ_i) f]."""
        return self._over_pairs("pair_arcsines", alpha, np.sqrt(q), charge)

    def _over_pairs(self, kernel: str, alpha: Array, root: Array, charge: Array) -> Array:
        p = len(root)
        itself = self.self_term != "none"
        state = (np.ascontiguousarray(alpha), root, charge, self.xi, self.w_xi, itself)
        if HAS_COMPILER:
            from twolayer.kernels import pairs as kernels

            rows = partial(getattr(kernels, kernel), *state)
            return np.concatenate(on_all_cores(rows, p, p**2 * self.xi.size))
        plain, size = _PLAIN[kernel], max(1, _CHUNK // p)
        parts = [plain(*state, start, min(start + size, p)) for start in range(0, p, size)]
        return np.concatenate(parts)


def plain_sums(
    alpha: Array,
    root: Array,
    weight: Array,
    xi: Array,
    w_xi: Array,
    itself: bool,
    start: int,
    stop: int,
) -> Array:
    """Σ_j w_j A_ij α_j and, last, Σ_j w_j B_ij √q_j for start ≤ i < stop, (stop − start, k + 1).

    `root` is √q.  With `itself` ξ_ii = 1, without it a particle meets an independent copy.
    """
    s = 1 + (alpha**2).sum(1) + root**2
    G, R, SS = alpha[start:stop] @ alpha.T, root[start:stop, None] * root, s[start:stop, None] * s
    mean, first = np.zeros_like(G), np.zeros_like(G)
    for x, w in zip(xi, w_xi, strict=True):
        term = w / np.sqrt(SS - (G + x * R) ** 2)
        mean += term
        first += x * term
    if itself:
        here, there = np.arange(stop - start), np.arange(start, stop)
        mean[here, there] = first[here, there] = 1 / np.sqrt(2 * s[start:stop] - 1)
    return np.column_stack(((mean * weight) @ alpha, first @ (weight * root)))


def plain_arcsines(
    alpha: Array,
    root: Array,
    weight: Array,
    xi: Array,
    w_xi: Array,
    itself: bool,
    start: int,
    stop: int,
) -> Array:
    """Σ_j w_j E_ξ asin(C_ij/√(s_i s_j)) for start ≤ i < stop; see `plain_sums`."""
    s = 1 + (alpha**2).sum(1) + root**2
    G, R = alpha[start:stop] @ alpha.T, root[start:stop, None] * root
    norm = np.sqrt(s[start:stop, None] * s)
    mean = sum(w * np.arcsin((G + x * R) / norm) for x, w in zip(xi, w_xi, strict=True))
    if itself:
        here, there = np.arange(stop - start), np.arange(start, stop)
        mean[here, there] = np.arcsin(1 - 1 / s[start:stop])
    return mean @ weight


#: What the compiled kernels compute, in NumPy.
_PLAIN = {"pair_sums": plain_sums, "pair_arcsines": plain_arcsines}
