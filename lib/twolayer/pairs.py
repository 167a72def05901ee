r"""The field of erf particles as a sum over pairs, with one Gauss rule for their scalar product.

The pre-activations of two particles have covariance C_ij = α_i·α_j + √(q_i q_j) ξ, where
ξ = ⟨g_i, g_j⟩ is the scalar product of their directions outside the target span.  The
three-point function of erf needs of a pair only

    A_ij = E_ξ[1/√(s_i s_j − C_ij²)],   B_ij = E_ξ[ξ/√(s_i s_j − C_ij²)],   s_i = 1 + |α_i|² + q_i,

a few square roots, so that for thousands of particles the p² pairs cost less than a
quadrature over samples, which is linear in p (`fields.GridField`).  Builds on `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twolayer.rules import scalar_product

Array = np.ndarray

#: Pairs in flight: their temporaries stay in the cache.
_CHUNK = 30_000


class PairField:
    """σ(x) = erf(x/√2) by pairs; `Field` of `twolayer.fields`."""

    def __init__(self, L: Array, weight: Array, outside: float, self_term: str, nodes: int) -> None:
        self.L, self.weight, self.self_term = L, weight, self_term
        self.xi, self.w_xi = scalar_product(outside, nodes)

    def drift(self, alpha: Array, q: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt) of the three-point function I₃ (Saad & Solla 1995); O(p² nodes)."""
        s, root = 1 + (alpha**2).sum(1) + q, np.sqrt(q)
        C = alpha @ self.L.T
        A = 1 / len(self.L) / np.sqrt(s[:, None] * (1 + (self.L**2).sum(1)) - C**2)
        push, own, outward = A @ self.L, (A * C).sum(1), np.zeros(len(q))
        for rows, G, R, SS in self._chunks(alpha, root, s):
            mean, first = np.zeros_like(G), np.zeros_like(G)
            work = np.empty_like(G)
            for xi, w in zip(self.xi, self.w_xi, strict=True):
                np.multiply(R, xi, out=work)
                work += G
                np.multiply(work, work, out=work)
                np.subtract(SS, work, out=work)
                np.sqrt(work, out=work)
                np.divide(w, work, out=work)
                mean += work
                if xi:
                    work *= xi
                    first += work
            if self.self_term != "none":
                here, there = np.arange(len(G)), np.arange(rows.start, rows.stop)
                itself = 1 / np.sqrt(2 * s[rows] - 1)
                mean[here, there] = first[here, there] = itself
            mean *= self.weight
            first *= self.weight * root
            outer = root[rows] * first.sum(1)
            push[rows] -= mean @ alpha
            own[rows] -= (mean * G).sum(1) + outer
            outward[rows] -= outer
        if self.self_term == "independent":
            outward += self.weight * q / np.sqrt(2 * s - 1)
        own /= s
        scale = 2 / np.pi
        return scale * (push - own[:, None] * alpha), 2 * scale * (outward - q * own)

    def excess_risk(self, alpha: Array, q: Array) -> float:
        """E_Ξ[R] − Δ/2, by the arcsine law."""
        s, root = 1 + (alpha**2).sum(1) + q, np.sqrt(q)
        t, k = 1 + (self.L**2).sum(1), len(self.L)
        total = np.arcsin(self.L @ self.L.T / np.sqrt(t[:, None] * t)).sum() / k**2
        cross = np.arcsin(alpha @ self.L.T / np.sqrt(s[:, None] * t)).sum(1)
        total -= 2 / k * (self.weight @ cross)
        for rows, G, R, SS in self._chunks(alpha, root, s):
            norm = np.sqrt(SS)
            mean = sum(
                w * np.arcsin((G + xi * R) / norm) for xi, w in zip(self.xi, self.w_xi, strict=True)
            )
            if self.self_term != "none":
                here, there = np.arange(len(G)), np.arange(rows.start, rows.stop)
                mean[here, there] = np.arcsin(1 - 1 / s[rows])
            total += self.weight[rows] @ mean @ self.weight
        return float(total) / np.pi

    def _chunks(
        self, alpha: Array, root: Array, s: Array
    ) -> Iterator[tuple[slice, Array, Array, Array]]:
        """Rows of α_i·α_j, √(q_i q_j) and s_i s_j."""
        size = max(1, _CHUNK // len(s))
        for start in range(0, len(s), size):
            rows = slice(start, min(start + size, len(s)))
            products = (root[rows, None] * root, s[rows, None] * s)
            yield rows, alpha[rows] @ alpha.T, *products
