r"""Closed forms of σ(x) = erf(x/√2), with σ'(x) = √(2/π) exp(−x²/2), and their derivatives.

A Gaussian law tilted by σ'(λ_i) σ'(λ_j) ∝ exp(−(λ_i² + λ_j²)/2) is again Gaussian, with a
covariance that is Ω minus a matrix of rank two.  All the closed forms of Saad & Solla (1995)
are the arcsine law under such a tilt.  What each method means is said in `expectations`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy

from twolayer.activations.derivatives import DriftSlopes
from twolayer.activations.expectations import Expectations, diagonal
from twolayer.support.arrays import Array, writable
from twolayer.support.threads import HAS_COMPILER, on_all_cores

#: Elements in flight when the four-point function is summed over pairs of units:
#: small enough for the cache, large enough to hide the cost of a NumPy call.
_CHUNK = 60_000
#: Coefficients from which on compiled code is worth waiting for.
_MANY = 2000


def sigma(x: Array) -> Array:
    """σ(x)."""
    return scipy.special.erf(x / np.sqrt(2))


def derivative(x: Array) -> Array:
    """σ'(x)."""
    return np.sqrt(2 / np.pi) * np.exp(-np.square(x) / 2)


class Erf(Expectations):
    """Closed forms of σ = σ* = erf(x/√2)."""

    def two_point(self, Omega: Array, p: int) -> Array:
        r = 1 / np.sqrt(1 + diagonal(Omega))
        return (2 / np.pi) * np.arcsin(Omega * r[..., :, None] * r[..., None, :])

    def coefficients(self, Omega: Array, c: Array, p: int) -> Array:
        if HAS_COMPILER and Omega.ndim == 2 and p * len(c) > _MANY:
            from twolayer.kernels import closed

            return closed.coefficients(False, writable(Omega), writable(c), p)
        students, s = Omega[..., :p, :], 1 + diagonal(Omega)
        B = _determinant(Omega, s, p)
        np.sqrt(B, out=B)
        np.divide((2 / np.pi) * c, B, out=B)
        B[..., np.arange(p), np.arange(p)] -= (
            np.einsum("...jm,...jm->...j", B, students) / s[..., :p]
        )
        return B

    def drift_slopes(self, Omega: Array, c: Array, p: int) -> DriftSlopes:
        students, s, here = Omega[:p], 1 + diagonal(Omega), np.arange(p)
        square = _determinant(Omega, s, p)
        A = (2 / np.pi) * c / np.sqrt(square)
        slope = A / square
        o = -(A * students).sum(-1) / s[:p]
        A_cross, A_own = slope * students, -slope * s / 2
        A_other = -slope * s[:p, None] / 2
        # Both arguments of a student's own term are one: the determinant is 1 + 2 Ω_jj.
        A_cross[here, here] = A_own[here, here] = 0.0
        A_other[here, here] = -slope[here, here]
        o_cross = -(A_cross * students + A) / s[:p, None]
        o_other = -A_other * students / s[:p, None]
        o_cross[here, here] = 0.0
        o_other[here, here] -= ((A_own * students).sum(-1) + A[here, here] + o) / s[:p]
        return DriftSlopes(A, o, A_cross, o_cross, A_own, A_other, o_other)

    def gain(self, Q: Array, d: int | None = None) -> Array:
        gain = (2 / np.pi) / np.sqrt(_determinant(Q, 1 + diagonal(Q), Q.shape[-1]))
        return gain if d is None else gain * (1 + _stretch(Q) / d)

    def gain_slopes(self, Q: Array) -> tuple[Array, Array]:
        s, p = 1 + diagonal(Q), len(Q)
        slope = (2 / np.pi) * _determinant(Q, s, p) ** -1.5
        cross, own = slope * Q, -slope * s / 2
        np.fill_diagonal(cross, 0.0)
        np.fill_diagonal(own, -diagonal(slope) / 2)
        return cross, own

    def variance(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """An arcsine for all pairs of pairs, compiled where numba is installed.

        With ‖x‖² twice the derivative along Ω, over d, is added: of the gain and of the arcsines,
        for about as much work as the arcsines themselves.
        """
        gain = self.gain(Omega[..., :p, :p])
        variance = (2 / np.pi) * _over_pairs("tilted_arcsines", Omega, c, p) * gain
        if d is None:
            return variance
        longer = (4 / np.pi / d) * _over_pairs("tilted_slopes", Omega, c, p) * gain
        return variance * (1 + _stretch(Omega[..., :p, :p]) / d) + longer

    def variance_gradient(self, Omega: Array, c: Array, i: Array, j: Array) -> Array:
        """G, symmetric, with d variance_ij = Σ_ab G_ab dΩ_ab, for N entries (i, j), (N, n, n).

        With E = (e_i, e_j), S = 1 + Eᵀ Ω E and K = Ω E S⁻¹ the tilted covariance is
        T = Ω − K Eᵀ Ω, so dT = B dΩ Bᵀ with B = 1 − K Eᵀ; the determinant of S makes up the gain.
        """
        here = np.arange(len(i))
        pair = np.stack((i, j), axis=1)
        columns = Omega[:, pair].transpose(1, 0, 2)  # Ω E, (N, n, 2)
        S = np.eye(2) + columns[here[:, None], pair]
        inverse = np.linalg.inv(S)
        K = columns @ inverse
        T = Omega - K @ columns.swapaxes(-1, -2)
        r = 1 / np.sqrt(1 + diagonal(T))
        rho = T * r[:, :, None] * r[:, None, :]
        slope = np.outer(c, c) / np.sqrt(1 - rho**2)
        total = np.einsum("m,nml,l->n", c, np.arcsin(rho), c)
        H = slope * r[:, :, None] * r[:, None, :]
        n = np.arange(len(c))
        H[:, n, n] -= r**2 * (slope * rho).sum(-1)
        HK = H @ K
        KHK = K.swapaxes(-1, -2) @ HK
        for a in (0, 1):  # Bᵀ H B, where i and j may be the same unit
            H[here, pair[:, a]] -= HK[:, :, a]
            H[here, :, pair[:, a]] -= HK[:, :, a]
        weight = (2 / np.pi) ** 2 / np.sqrt(np.linalg.det(S))
        H *= weight[:, None, None]
        own = weight[:, None, None] * (KHK - total[:, None, None] * inverse / 2)
        for a in (0, 1):
            for b in (0, 1):
                H[here, pair[:, a], pair[:, b]] += own[:, a, b]
        return H


def _determinant(C: Array, s: Array, p: int) -> Array:
    """s_j s_m − C_jm² for students j: determinants of 1 + C for pairs of units."""
    return s[..., :p, None] * s[..., None, :] - C[..., :p, :] ** 2


def _stretch(Q: Array) -> Array:
    """2 d ln gain(sQ)/ds at s = 1: with S = 1 + Q for the pair (i, j) it is tr S⁻¹ − 2."""
    s = 1 + diagonal(Q)
    return (s[..., :, None] + s[..., None, :]) / _determinant(Q, s, Q.shape[-1]) - 2


def _over_pairs(kernel: str, Omega: Array, c: Array, p: int) -> Array:
    """A sum of `SUMMANDS` or its compiled form for all pairs of students, (..., p, p)."""
    n = len(c)
    states = np.ascontiguousarray(Omega.reshape(-1, n, n))
    first, second = _pairs(p)
    of = compiled_sums if HAS_COMPILER else plain_sums
    out = np.empty((len(states), p, p))
    out[:, first, second] = out[:, second, first] = of(kernel, states, c, first, second)
    return out.reshape(*Omega.shape[:-2], p, p)


@lru_cache(maxsize=2)
def _pairs(p: int) -> tuple[Array, Array]:
    """Students i ≤ j; at small p to list them takes as long as a third of the arcsines."""
    return np.triu_indices(p)


def compiled_sums(kernel: str, states: Array, c: Array, first: Array, second: Array) -> Array:
    """`plain_sums` by the compiled kernel, on all cores if there is enough to do."""
    from twolayer.kernels import pairs as kernels

    def rows(start: int, stop: int) -> Array:
        return getattr(kernels, kernel)(states, c, first[start:stop], second[start:stop]).T

    work = len(states) * first.size * len(c) ** 2 / 2
    return np.concatenate(on_all_cores(rows, first.size, work)).T


def plain_sums(kernel: str, states: Array, c: Array, first: Array, second: Array) -> Array:
    """Sums over all units m, m' of states (S, n, n) under the tilt of N pairs (i, j), (S, N).

    "tilted_arcsines" is Σ_{m,m'} c_m c_m' asin ρ_mm', ρ being the correlation under the tilt;
    "tilted_slopes" is the derivative of that sum, taken at sΩ, in s at s = 1.
    """
    n, of = len(c), SUMMANDS[kernel]
    total = np.empty(len(states) * first.size)
    size = max(1, _CHUNK // n**2)
    for start in range(0, total.size, size):
        state, pair = np.divmod(np.arange(start, min(start + size, total.size)), first.size)
        i, j = first[pair], second[pair]
        own = states[state]
        column, other, cross = states[state, i], states[state, j], states[state, i, j]
        s_i, s_j = 1 + states[state, i, i], 1 + states[state, j, j]
        # The tilt subtracts u uᵀ + v vᵀ (Gram-Schmidt on the columns i and j of Ω).
        u = column / np.sqrt(s_i)[:, None]
        v = other - (cross / s_i)[:, None] * column
        rest = s_j - cross**2 / s_i
        v /= np.sqrt(rest)[:, None]
        uv = np.stack((u, v), axis=-1)
        T = own - uv @ uv.swapaxes(-1, -2)
        terms = of(T, uv, s_i, rest, cross)
        total[start : start + size] = (terms.reshape(-1, n) @ c).reshape(-1, n) @ c
    return total.reshape(len(states), -1)


def _scale(T: Array, r: Array) -> Array:
    """r_m r_m' T_mm', in the place of T: ρ if r is 1/√(1 + T_mm)."""
    T *= r[:, :, None]
    T *= r[:, None, :]
    return T


def _arcsines(T: Array, *_: Array) -> Array:
    rho = _scale(T, 1 / np.sqrt(1 + diagonal(T)))
    return np.arcsin(rho, out=rho)


def _arcsine_slopes(T: Array, uv: Array, s_i: Array, rest: Array, cross: Array) -> Array:
    """Of asin ρ in s, where dT/ds = T − K Kᵀ: T = Ω − Ω E S⁻¹ Eᵀ Ω of `variance_gradient`."""
    K = uv / np.sqrt(np.stack((s_i, rest), axis=-1))[:, None]
    K[..., 0] -= (cross / s_i)[:, None] * K[..., 1]
    r = 1 / np.sqrt(1 + diagonal(T))
    slope = _scale(T - K @ K.swapaxes(-1, -2), r)
    own, rho = diagonal(slope) / 2, _scale(T, r)
    slope = slope - rho * (own[:, :, None] + own[:, None, :])
    return slope / np.sqrt(1 - rho**2)


#: What `plain_sums` adds up, by the name of the compiled kernel.
SUMMANDS = {"tilted_arcsines": _arcsines, "tilted_slopes": _arcsine_slopes}
