r"""The field of erf particles as a sum over pairs, with one Gauss rule for their scalar product.

The three-point function of erf (Saad & Solla 1995) needs of a pair only

    A_ij = E_ξ[1/√(s_i s_j − C_ij²)],   B_ij = E_ξ[ξ/√(s_i s_j − C_ij²)],   s_i = 1 + |α_i|² + q_i,

a few square roots (times 2/π), so that for thousands of particles the p² pairs cost less than a
form that is linear in p (`erf_series`).  The bends are the slopes times −C_ij/s_i.  Compiled where
numba is installed (`kernels.particles`).
"""

from __future__ import annotations

import numpy as np

from twolayer.activations.gauss_rules import scalar_product
from twolayer.mean_field.pairs import Itself, PairField, Pull, Seen, over_rows, without_diagonal
from twolayer.support.arrays import Array

_SCALE = 2 / np.pi


class ErfPairField(PairField):
    """σ(x) = erf(x/√2) by pairs."""

    def __init__(
        self, L: Array, outside: float, self_term: str, nodes: int, a_star: Array | None = None
    ) -> None:
        super().__init__(L, self_term, a_star)
        self.xi, self.w_xi = scalar_product(outside, nodes)
        self.t = 1 + (L**2).sum(1)
        cosines = L @ L.T / np.sqrt(self.t[:, None] * self.t)
        self.target_square = float(_SCALE * (self.mean @ np.arcsin(cosines) @ self.mean))

    def pull(self, seen: Seen, charge: Array) -> Pull:
        """By the three-point function I₃; O(p² nodes)."""
        alpha, s = seen.alpha, 1 + seen.variance
        A = self.mean / np.sqrt(s[:, None] * self.t - (alpha @ self.L.T) ** 2)
        sums = self._over_pairs("erf_sums", alpha, seen.root, charge)
        inward, outward = _SCALE * (sums[:, :-1] - A @ self.L), _SCALE * sums[:, -1]
        return Pull(inward, outward, -((inward * alpha).sum(1) + seen.root * outward) / s)

    def products(self, seen: Seen, charge: Array) -> tuple[Array, Array]:
        """By the arcsine law."""
        scale = np.sqrt(1 + seen.variance)
        alpha = seen.alpha / scale[:, None]
        with_all = self._over_pairs("erf_products", alpha, seen.root / scale, charge)
        cosines = alpha @ self.L.T / np.sqrt(self.t)
        return _SCALE * with_all, _SCALE * (np.arcsin(cosines) @ self.mean)

    def alone(self, seen: Seen) -> Itself:
        """In closed form."""
        s, slope = 1 + seen.variance, _SCALE / np.sqrt(1 + 2 * seen.variance)
        return Itself(_SCALE * np.arcsin(1 - 1 / s), slope / s, -slope * (s - 1) / s)

    def _over_pairs(self, kernel: str, alpha: Array, root: Array, charge: Array) -> Array:
        state = (alpha, root, charge, self.xi, self.w_xi, self.itself)
        p = len(charge)
        return over_rows(kernel, _PLAIN[kernel], state, (p, p), self.xi.size)


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

    `root` is √q.  With `itself` j = i is left out, without it a particle meets an independent copy.
    """
    s = 1 + (alpha**2).sum(1) + root**2
    G, R, SS = alpha[start:stop] @ alpha.T, root[start:stop, None] * root, s[start:stop, None] * s
    mean, first = np.zeros_like(G), np.zeros_like(G)
    for x, w in zip(xi, w_xi, strict=True):
        term = w / np.sqrt(SS - (G + x * R) ** 2)
        mean += term
        first += x * term
    if itself:
        mean, first = without_diagonal(mean, start), without_diagonal(first, start)
    return np.column_stack(((mean * weight) @ alpha, first @ (weight * root)))


def plain_products(
    alpha: Array,
    root: Array,
    weight: Array,
    xi: Array,
    w_xi: Array,
    itself: bool,
    start: int,
    stop: int,
) -> Array:
    """Σ_j w_j E_ξ asin(C_ij) for start ≤ i < stop, over √s_i: so are `alpha` and `root`."""
    G, R = alpha[start:stop] @ alpha.T, root[start:stop, None] * root
    mean = sum(w * np.arcsin(G + x * R) for x, w in zip(xi, w_xi, strict=True))
    return (without_diagonal(mean, start) if itself else mean) @ weight


#: What the compiled kernels compute, in NumPy.
_PLAIN = {"erf_sums": plain_sums, "erf_products": plain_products}
