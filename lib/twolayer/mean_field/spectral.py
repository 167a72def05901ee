r"""Particles under inputs with a spectrum, in the limit of large eigenspaces.

In every eigenspace g the parts of two particles outside the span of the targets are orthogonal as
d_g → ∞, so that a particle is known by its overlaps m^g with the targets and by its squared norm
q^g outside their span.  In coordinates α^g = L_g⁻¹ m^g (P^g = L_g L_gᵀ) pre-activations are

    λ = Σ_g √s_g α^g·z^g + √(Σ_g s_g q^g) ξ,   z^g ~ N(0, I_k) shared by all, ξ its own.

That is the isotropic field at d = ∞ with k G directions that are shared, in which the targets have
the coordinates (√s_1 L_1, …, √s_G L_G): its drift E[σ'(λ) z 𝓔] and own slope give

    dα^g/dt = √s_g E[σ'(λ) z^g 𝓔],   dq^g/dt = 2 s_g q^g E[σ'(λ) ξ 𝓔]/√(Σ_h s_h q^h).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twolayer.mean_field.particles import (
    cholesky,
    inside_and_outside,
    squared_norms,
    weights_of,
)
from twolayer.problem.matrices import second_layer
from twolayer.problem.overlaps import Weights
from twolayer.problem.spectrum import Spectrum, fits_spectrum
from twolayer.support.arrays import Array, set_fields
from twolayer.support.checks import check_array, check_instance


@dataclass(frozen=True, eq=False)
class SpectralParticles:
    """Weighted particles (m^g, q^g) in every eigenspace.

    Parameters
    ----------
    spectrum : Spectrum
        Of the inputs; each of its dimensions is taken to be large.
    m : array_like, shape (p, G, k)
        Overlaps with the targets, M^g of `SpectralOverlaps`.
    q : array_like, shape (p, G)
        Diagonals of Q^g − M^g (P^g)⁻¹ (M^g)ᵀ; >= 0 up to rounding.
    weight : array_like, shape (p,), optional
        Positive, of sum 1; all equal by default.
    a : array_like, shape (p,), optional
        Second layer; ones by default.

    Raises
    ------
    InvalidInput
        As `Particles`.

    Examples
    --------
    >>> import twolayer as tl
    >>> spectrum = tl.Spectrum([1.8, 0.2], [500, 500])
    >>> start = tl.Weights.gaussian(p=100, k=1, d=1000, seed=0)
    >>> particles = SpectralParticles.from_weights(start, spectrum)
    >>> P = start.overlaps(spectrum).P_blocks
    >>> mf = tl.solve_mean_field(tl.Task("erf"), particles, P, t_eval=[1.0, 10.0])
    >>> net = tl.solve(tl.Task("erf"), start.overlaps(spectrum), terms="gradient-flow",
    ...                t_eval=[1.0, 10.0])
    >>> bool((abs(mf.excess_risk / net.excess_risk - 1) < 0.05).all())
    True
    """

    spectrum: Spectrum
    m: np.ndarray
    q: np.ndarray
    weight: np.ndarray
    a: np.ndarray

    def __init__(
        self,
        spectrum: Spectrum,
        m: ArrayLike,
        q: ArrayLike,
        weight: ArrayLike | None = None,
        a: ArrayLike | None = None,
    ) -> None:
        check_instance("spectrum", spectrum, Spectrum)
        m = check_array("m", m, (None, len(spectrum), None))
        p = len(m)
        q = squared_norms(q, (p, len(spectrum)))
        set_fields(self, spectrum=spectrum, m=m, q=q, weight=weights_of(weight, p))
        set_fields(self, a=second_layer("a", a, p))

    def __repr__(self) -> str:
        return f"SpectralParticles(p={self.p}, k={self.k}, {self.spectrum!r})"

    @property
    def p(self) -> int:
        """Number of particles."""
        return self.m.shape[0]

    @property
    def k(self) -> int:
        """Number of targets."""
        return self.m.shape[2]

    @classmethod
    def from_weights(cls, weights: Weights, spectrum: Spectrum) -> SpectralParticles:
        """One particle of the same weight for each student; costs O(p k d)."""
        check_instance("weights", weights, Weights)
        fits_spectrum(spectrum, weights.d)
        W, W_star = weights.W, weights.W_star
        each = (
            inside_and_outside(W[:, here], W_star[:, here], weights.d)
            for here in spectrum.columns()
        )
        m, q = (np.stack(blocks, axis=1) for blocks in zip(*each, strict=True))
        return cls(spectrum, m, q, a=weights.a)


@dataclass(frozen=True, eq=False)
class Plain:
    """How the field sees particles of isotropic inputs: as they are."""

    L: Array
    spectrum = None

    @property
    def P(self) -> Array:
        """Overlaps of the targets."""
        return self.L @ self.L.T

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of a particle's coordinates, and of its q."""
        return (len(self.L),), ()

    def coordinates(self, m: Array) -> Array:
        """Coordinates of overlaps (p, k)."""
        return np.linalg.solve(self.L, m.T).T

    def overlaps(self, alpha: Array) -> Array:
        """The overlaps of coordinates."""
        return alpha @ self.L.T

    def seen(self, alpha: Array, q: Array) -> tuple[Array, Array]:
        """As the field has them."""
        return alpha, q

    def moved(self, d_alpha: Array, dq: Array, q: Array) -> tuple[Array, Array]:
        """The drift of the particles, given that of what the field has seen."""
        return d_alpha, dq


class Frame:
    """How it sees those of a spectrum: all eigenspaces as one space of k G shared directions.

    As `Plain`, but for blocks: α (p, G, k), q (p, G), P (G, k, k), and the targets' L (k, k G).
    """

    def __init__(self, spectrum: Spectrum, P: ArrayLike, k: int) -> None:
        self.spectrum, self.P = spectrum, check_array("P", P, (len(spectrum), k, k))
        self.factors = np.array([cholesky(each) for each in self.P])
        self._s, self._roots = spectrum.eigenvalues, np.sqrt(spectrum.eigenvalues)
        self.L = np.concatenate([r * L for r, L in zip(self._roots, self.factors, strict=True)], 1)
        self.shapes = (len(spectrum), k), (len(spectrum),)

    def coordinates(self, m: Array) -> Array:
        """α^g (p, G, k) of overlaps."""
        return np.einsum("grs,pgs->pgr", np.linalg.inv(self.factors), m)

    def overlaps(self, alpha: Array) -> Array:
        """The overlaps of coordinates."""
        return np.einsum("grs,...gs->...gr", self.factors, alpha)

    def seen(self, alpha: Array, q: Array) -> tuple[Array, Array]:
        """As the field has them: (p, k G) and (p,)."""
        return (self._roots[:, None] * alpha).reshape(len(alpha), -1), q @ self._s

    def moved(self, d_alpha: Array, dq: Array, q: Array) -> tuple[Array, Array]:
        """The drift of the particles, given that of what the field has seen."""
        whole = q @ self._s
        own = np.divide(dq, whole, out=np.zeros_like(dq), where=whole > 0)
        blocks = d_alpha.reshape(len(q), *self.shapes[0])
        return self._roots[:, None] * blocks, own[:, None] * self._s * q
