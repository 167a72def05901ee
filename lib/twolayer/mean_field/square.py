"""The field of square particles, in closed form; `Field` of `twolayer.mean_field.field`."""

from __future__ import annotations

import numpy as np

from twolayer.problem.matrices import second_layer
from twolayer.support.arrays import Array


class SquareField:
    """σ(x) = x² in closed form (arXiv:2302.05882, section 4), for general P."""

    def __init__(
        self, L: Array, outside: float, self_term: str, a_star: Array | None = None
    ) -> None:
        mean = second_layer("a_star", a_star, len(L)) / len(L)
        self.target = (L.T * mean) @ L  # f* = zᵀ target z
        self.self_term = self_term
        # E[Ξ_ij²] between different particles
        self.second_moment = 1 / outside if outside else 0.0

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt); costs O(p k²)."""
        norm = (alpha**2).sum(1) + q
        error = self.target - (alpha * charge[:, None]).T @ alpha
        mean = np.trace(error) - charge @ q
        d_alpha = 2 * mean * alpha + 4 * alpha @ error
        dq = 4 * mean * q - 8 * self.second_moment * q * (charge @ q)
        if self.self_term != "none":
            d_alpha -= 4 * (charge * q)[:, None] * alpha
            dq += 8 * self.second_moment * charge * q**2
            if self.self_term == "exact":
                dq -= 8 * charge * norm * q
        return d_alpha, dq

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔]."""
        inside = (alpha**2).sum(1)
        error = self.target - (alpha * charge[:, None]).T @ alpha
        out = (inside + q) * (np.trace(error) - charge @ q)
        out += 2 * ((alpha @ error) * alpha).sum(1) - 2 * self.second_moment * q * (charge @ q)
        if self.self_term != "none":
            out -= 2 * charge * (2 * inside * q + (1 - self.second_moment) * q**2)
        return out

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        error = self.target - (alpha * charge[:, None]).T @ alpha
        mean = np.trace(error) - charge @ q
        spread = (error**2).sum() + self.second_moment * (charge @ q) ** 2
        if self.self_term != "none":
            own = 2 * (alpha**2).sum(1) * q + (1 - self.second_moment) * q**2
            spread += charge**2 @ own
        return float(mean**2 / 2 + spread)
