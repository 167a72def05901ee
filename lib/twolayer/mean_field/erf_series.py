r"""The field of erf particles at a cost linear in their number.

Outside the target span a particle sees ξ = x·g, and different particles have independent
directions g, g'.  Expanded in Hermite polynomials of ξ,

    E[σ(a + √q ξ) σ(a' + √q' ξ')] = Σ_n κ_n S_n S'_n,   κ_n = E⟨g, g'⟩^(2n) = (1/2)_n / (D/2)_n,
    S_n = E[σ(a + √q ξ) He_2n(ξ)] / √(2n)! = (q/(1+q))^n g_2n(a/√(1+q)),   g_m = σ^(m)/√m!,

where a = α·z is the part inside the span and D = d − k.  So the field of all particles is one
function of z for each n, and d enters through κ_n alone: at d = ∞ only n = 0 is left.  The
series converges like (q/(1+q))^(2n).  Compiled where numba is installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from twolayer.activations import erf
from twolayer.activations.gauss_rules import gauss_hermite
from twolayer.problem.matrices import second_layer
from twolayer.support.arrays import Array
from twolayer.support.threads import HAS_COMPILER, on_all_cores

#: Particles at a time, whatever the number of cores.
_STEP = 1024
#: Terms of the series below this are left out, and never more than so many are kept.
_SMALL, _MOST = 1e-11, 200


class HermiteField:
    """σ(x) = erf(x/√2) on a grid in z; `Field` of `twolayer.mean_field.field`."""

    def __init__(
        self, L: Array, outside: float, self_term: str, nodes: int, a_star: Array | None = None
    ) -> None:
        self.self_term, self.outside, k = self_term, outside, len(L)
        x, wx = gauss_hermite(nodes)
        z = np.stack(np.meshgrid(*[x] * k, indexing="ij"), -1).reshape(-1, k)
        w_grid = np.prod(np.stack(np.meshgrid(*[wx] * k, indexing="ij"), -1), axis=-1).ravel()
        # Everything integrated below is even in z: half of the nodes will do.
        half = z[:, 0] >= 0
        self.z, self.w_grid = z[half], (np.where(z[:, 0] > 0, 2, 1) * w_grid)[half]
        self.target = erf.sigma(self.z @ L.T) @ second_layer("a_star", a_star, k) / k
        self.copies = self_term != "none"

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt); costs O(p nodes^k) for every term of the series."""
        kappa, counts = self._series(q)
        own = charge if self.copies else np.zeros_like(q)
        measure = kappa[:, None] * self.w_grid
        error = measure * self._displacement(alpha, q, charge, kappa, counts)
        state = (np.ascontiguousarray(alpha), q, own, self.z, counts, error, measure)
        both = np.concatenate(self._spread("hermite_drift", state, counts))
        d_alpha, dq = both[:, :-1], both[:, -1]
        if self.copies:  # ... and the particle itself in the place of its copy
            s = 1 + (alpha**2).sum(1) + q
            force = (2 / np.pi) * own / (s * np.sqrt(2 * s - 1))
            d_alpha -= force[:, None] * alpha
            dq += force * q * (s - 1 if self.self_term == "independent" else -1)
        return d_alpha, 2 * dq

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔]."""
        kappa, counts = self._series(q)
        error = kappa[:, None] * self.w_grid * self._displacement(alpha, q, charge, kappa, counts)
        out = np.zeros(len(q))
        for here, n, S in self._terms(alpha, q, counts):
            out[here] += S @ error[n]
        return out - charge * self._own_variance(alpha, q, kappa, counts) if self.copies else out

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        kappa, counts = self._series(q)
        total = kappa @ self._displacement(alpha, q, charge, kappa, counts) ** 2 @ self.w_grid
        if self.copies:
            total += charge**2 @ self._own_variance(alpha, q, kappa, counts)
        return float(total) / 2

    def _own_variance(self, alpha: Array, q: Array, kappa: Array, counts: Array) -> Array:
        """E[σ(λ)²] less what an independent copy has in common with the particle."""
        out = (2 / np.pi) * np.arcsin(1 - 1 / (1 + (alpha**2).sum(1) + q))
        for here, n, S in self._terms(alpha, q, counts):
            out[here] -= kappa[n] * S**2 @ self.w_grid
        return out

    def _terms(self, alpha: Array, q: Array, counts: Array) -> Iterator[tuple[slice, int, Array]]:
        """S_n on the grid, some particles at a time."""
        for start in range(0, len(q), _STEP):
            here = slice(start, start + _STEP)
            for n, (S, *_) in enumerate(modes(alpha[here], q[here], self.z, counts[here])):
                yield here, n, S

    def _displacement(
        self, alpha: Array, q: Array, charge: Array, kappa: Array, counts: Array
    ) -> Array:
        """The target minus the field of all particles: its coefficients on the grid, (n, nodes)."""
        state = (np.ascontiguousarray(alpha), q, charge, self.z, counts, len(kappa))
        out = -sum(self._spread("hermite_field", state, counts))
        out[0] += self.target
        return out

    def _spread(self, kernel: str, state: tuple, counts: Array) -> list[Array]:
        of, kind = _PLAIN[kernel], slice
        if HAS_COMPILER:
            from twolayer.kernels import hermite as kernels

            of, kind = getattr(kernels, kernel), lambda *both: both
        work = float(len(self.z) * counts.sum())
        return on_all_cores(lambda *both: of(*state, kind(*both)), len(counts), work, step=_STEP)

    def _series(self, q: Array) -> tuple[Array, Array]:
        """κ_n for as many n as matter at these q, and how many matter for each particle."""
        n = np.arange(1, _MOST if 0 < self.outside < math.inf else 1)
        kappa = np.cumprod((n - 0.5) / (n - 1 + self.outside / 2))
        r = q / (1 + q)
        # Term n of particle i is below κ_n (r_i r_max)^n; it counts where r_i is above this.
        least = (_SMALL / kappa) ** (1 / n) / max(r.max(), 1e-300)
        counts = 1 + np.searchsorted(np.maximum.accumulate(least), r)
        return np.concatenate(([1.0], kappa))[: counts.max()], counts


def modes(alpha: Array, q: Array, z: Array, counts: Array) -> Iterator[tuple[Array, Array, Array]]:
    """For n = 0, 1, …: the coefficients of σ, σ' and √q ξ σ' on He_2n/√(2n)!, (p, nodes)."""
    scale = 1 / np.sqrt(1 + q)[:, None]
    x, r, power = (alpha @ z.T) * scale, q[:, None] * scale**2, np.ones((len(q), 1))
    even, odd = erf.sigma(x), erf.derivative(x)
    for n in range(counts.max()):
        m, power = 2 * n + 1, power * (counts > n)[:, None]
        # g_(m+1) = −x g_m/√(m+1) − (m−1)/√(m(m+1)) g_(m−1), from σ' on
        following = -x * odd / math.sqrt(m + 1)
        if n:
            following -= ((m - 1) / math.sqrt(m * (m + 1))) * even
        S = power * even
        outward = (power * r * math.sqrt(m * (m + 1))) * following + (2 * n) * S
        yield S, (power * scale * math.sqrt(m)) * odd, outward
        power, even = power * r, following
        odd = -(x * even) / math.sqrt(m + 2) - (m / math.sqrt((m + 1) * (m + 2))) * odd


def plain_field(
    alpha: Array,
    q: Array,
    weight: Array,
    z: Array,
    counts: Array,
    terms: int,
    here: slice,
) -> Array:
    """Σ_i w_i S_n of a range of particles on the nodes z, (terms, nodes)."""
    out = np.zeros((terms, len(z)))
    for n, (S, *_) in enumerate(modes(alpha[here], q[here], z, counts[here])):
        out[n] = weight[here] @ S
    return out


def plain_drift(
    alpha: Array,
    q: Array,
    own: Array,
    z: Array,
    counts: Array,
    error: Array,
    measure: Array,
    here: slice,
) -> Array:
    """Σ_n D_n e_n z and, last, Σ_n E_n e_n over the nodes; see `kernels.hermite`."""
    out = np.zeros((len(q[here]), z.shape[1] + 1))
    for n, (S, D, E) in enumerate(modes(alpha[here], q[here], z, counts[here])):
        e = error[n] + own[here, None] * measure[n] * S
        out[:, :-1] += (D * e) @ z
        out[:, -1] += (E * e).sum(1)
    return out


#: What the compiled kernels compute, in NumPy.
_PLAIN = {"hermite_field": plain_field, "hermite_drift": plain_drift}
