r"""Derivatives of drift and gain along single overlaps, for the Jacobian of the flow.

Drift and gain are sums over pairs of units whose terms see Ω through three numbers only:

    drift_jl = Σ_m A_jm Ω_ml + o_j Ω_jl,    gain_ij = g(Ω_ii, Ω_jj, Ω_ij),

so that moving one overlap Ω_ab moves two rows and two columns of the drift and, if a ≠ b, two
entries of the gain.  An activation gives the derivatives of A, o and g; here they are put
where they belong, for many overlaps at once, without a product of full matrices for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer.support.arrays import Array


@dataclass(frozen=True, eq=False)
class DriftSlopes:
    """A and o with their derivatives, for students j < p and units m < n: o (p,), all else (p, n).

    `A_cross` and `o_cross` are the derivatives of A_jm and o_j in Ω_jm, `A_own` those of A_jm in
    Ω_jj, all zero at m = j; `A_other` and `o_other` those in Ω_mm, at m = j all of that in Ω_jj.
    """

    A: Array
    o: Array
    A_cross: Array
    o_cross: Array
    A_own: Array
    A_other: Array
    o_other: Array

    def along(self, Omega: Array, a: Array, b: Array) -> Array:
        """Derivatives of the drift in Ω_ab = Ω_ba, for N students a ≤ units b, (N, p, n)."""
        p, n = self.A.shape
        out = np.zeros((len(a), p, n))
        u = np.flatnonzero(a != b)
        i, j = a[u], b[u]
        out[u, i] = self.A_cross[i, j, None] * Omega[j] + self.o_cross[i, j, None] * Omega[i]
        out[u, i, j] += self.o[i]
        out[u, :, j] += self.A[:, i].T
        out[u, :, i] += self.A[:, j].T
        u = np.flatnonzero((a != b) & (b < p))
        i, j = a[u], b[u]
        out[u, j] += self.A_cross[j, i, None] * Omega[i] + self.o_cross[j, i, None] * Omega[j]
        out[u, j, i] += self.o[j]
        u = np.flatnonzero(a == b)
        i = a[u]
        out[u] = self.A_other[:, i].T[:, :, None] * Omega[i, None]
        out[u] += self.o_other[:, i].T[:, :, None] * Omega[:p]
        out[u, i] += self.A_own[i] @ Omega
        out[u, :, i] += self.A[:, i].T
        out[u, i, i] += self.o[i]
        return out


def gain_along(cross: Array, own: Array, a: Array, b: Array) -> Array:
    """Derivatives of the gain in Q_ab = Q_ba, (N, p, p); those with b ≥ p change nothing.

    `cross` and `own` (p, p) are the derivatives of g in Ω_ij, zero at i = j, and in Ω_ii; at i = j
    half of all of it.
    """
    p = len(cross)
    out = np.zeros((len(a), p, p))
    u = np.flatnonzero((a != b) & (b < p))
    out[u, a[u], b[u]] = out[u, b[u], a[u]] = cross[a[u], b[u]]
    u = np.flatnonzero(a == b)
    out[u, a[u], :] = own[a[u]]
    out[u, :, a[u]] += own[a[u]]
    return out
