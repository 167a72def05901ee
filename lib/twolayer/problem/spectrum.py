"""The spectrum of the inputs' covariance: its eigenvalues, and the dimensions of their spaces.

Samples are x ~ N(0, Σ/d), Σ with eigenvalues s_g on eigenspaces of dimension d_g.  As for
isotropic inputs E‖x‖² = 1, so that (1/d) Σ_g s_g d_g = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twolayer.problem.cut import cut, distinct
from twolayer.problem.matrices import TOLERANCE, symmetric
from twolayer.support.arrays import set_fields
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_flag,
    check_instance,
    check_integer,
    check_non_negative,
    check_positive,
    check_probability,
    shown,
)

#: A dimension up to which a law of eigenvalues is written out.
_MOST = 10**7


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues s_g and dimensions d_g of the eigenspaces of Σ, where x ~ N(0, Σ/d).

    Coordinates of weights are ordered by eigenspace: the first d_1 belong to s_1, and so on.

    Parameters
    ----------
    eigenvalues : array_like, shape (G,)
        s_g >= 0, in any order, of mean (1/d) Σ s_g d_g = 1.
    dimensions : array_like of integers, shape (G,)
        d_g >= 1.
    vectors : array_like, shape (d, d), optional
        An orthonormal basis of eigenvectors, as columns in the order of the eigenspaces, from
        which `turned` makes coordinates.

    Raises
    ------
    InvalidInput
        If arguments are none of that; where only the normalisation fails it says by which factor.

    Examples
    --------
    >>> s = Spectrum([1.8, 0.2], [50, 50])
    >>> s, s.d, s.moment(2)
    (Spectrum(1.8 (50), 0.2 (50)), 100, 1.64)
    >>> Spectrum([3.0, 1.0], [5, 5])
    Traceback (most recent call last):
    ...
    twolayer.support.checks.InvalidInput: eigenvalues: got a mean of 2; it must be 1: divide by 2
    """

    eigenvalues: np.ndarray
    dimensions: np.ndarray
    vectors: np.ndarray | None

    def __init__(
        self, eigenvalues: ArrayLike, dimensions: ArrayLike, vectors: ArrayLike | None = None
    ) -> None:
        s = check_array("eigenvalues", eigenvalues, (None,))
        sizes = check_array("dimensions", dimensions, (s.size,))
        if (s < 0).any():
            raise InvalidInput("eigenvalues", f"a negative one, {s.min():.3g}", "all >= 0")
        if (sizes != np.floor(sizes)).any() or sizes.min() < 1 or sizes.sum() > 2**53:
            allowed = "integers >= 1, at most 2^53 together"
            raise InvalidInput("dimensions", shown(dimensions), allowed)
        mean = float(s @ sizes) / float(sizes.sum())
        if abs(mean - 1) > TOLERANCE:
            remedy = f": divide by {mean:.12g}" if mean > 0 else ""
            raise InvalidInput("eigenvalues", f"a mean of {mean:.12g}", f"1{remedy}")
        whole = sizes.astype(np.int64)
        whole.setflags(write=False)
        set_fields(self, eigenvalues=s, dimensions=whole)
        set_fields(self, vectors=None if vectors is None else _basis(vectors, self.d))

    def __repr__(self) -> str:
        if len(self) > 6:
            return f"Spectrum({len(self)} eigenvalues, d={self.d})"
        each = zip(self.eigenvalues, self.dimensions, strict=True)
        return f"Spectrum({', '.join(f'{s:g} ({size})' for s, size in each)})"

    def __len__(self) -> int:
        return self.eigenvalues.size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spectrum):
            return NotImplemented
        pairs = (
            (self.eigenvalues, other.eigenvalues),
            (self.dimensions, other.dimensions),
            (self.vectors, other.vectors),
        )
        return all(np.array_equal(mine, its) for mine, its in pairs)

    __hash__ = None

    @property
    def d(self) -> int:
        """Dimension of the data."""
        return int(self.dimensions.sum())

    @property
    def shares(self) -> np.ndarray:
        """The part of each eigenspace in the mean of ‖x‖², s_g d_g/d, (G,)."""
        return self.eigenvalues * self.dimensions / self.d

    def moment(self, order: int) -> float:
        """(1/d) Σ_g d_g s_g^order; 1 for the orders 0 and 1."""
        order = check_integer("order", order, 0, 16)
        return float(self.dimensions @ self.eigenvalues**order / self.d)

    def columns(self) -> Iterator[slice]:
        """The coordinates of each eigenspace."""
        ends = np.cumsum(self.dimensions).tolist()
        return (slice(start, stop) for start, stop in zip([0, *ends], ends, strict=False))

    def turned(self, weights: Any) -> Any:
        """Weights, or samples (n, d), in the data's own coordinates, in those of the eigenspaces.

        Examples
        --------
        >>> import twolayer as tl
        >>> s = Spectrum.from_covariance([[1.0, 0.5], [0.5, 1.0]])
        >>> s.turned(tl.Weights([[1.0, 1.0]], [[1.0, -1.0]])).overlaps(s).Q_blocks.ravel().round(12)
        array([1., 0.])
        """
        if self.vectors is None:
            allowed = "from_covariance or from_samples, which know the eigenvectors"
            raise InvalidInput("spectrum", repr(self), allowed)
        if not hasattr(weights, "W_star"):
            return check_array("weights", weights, (None, self.d)) @ self.vectors
        if weights.d != self.d:
            raise InvalidInput("weights", shown(weights), f"a twolayer.Weights with d={self.d}")
        W, W_star = weights.W @ self.vectors, weights.W_star @ self.vectors
        return replace(weights, W=W, W_star=W_star)

    @classmethod
    def from_covariance(
        cls, covariance: ArrayLike, groups: int | None = None, normalise: bool = False
    ) -> Spectrum:
        """The spectrum of a covariance Σ (d, d) of √d x, with its eigenvectors.

        Parameters
        ----------
        covariance : array_like, shape (d, d)
            Symmetric, positive semi-definite, of trace d.
        groups : int, optional
            Cut the eigenvalues into so many groups, of which at least the moments of order 0, 1
            and 2 agree; by default each eigenvalue has its own.
        normalise : bool
            Divide by tr Σ/d first.

        Examples
        --------
        >>> Spectrum.from_covariance([[1.0, 0.5], [0.5, 1.0]])
        Spectrum(1.5 (1), 0.5 (1))
        """
        sigma = check_array("covariance", covariance, (None, None))
        sigma, mean = symmetric("covariance", sigma), float(np.trace(sigma)) / len(sigma)
        if not mean > 0:
            raise InvalidInput("covariance", f"a trace of {mean * len(sigma):.3g}", "of trace > 0")
        if not check_flag("normalise", normalise) and abs(mean - 1) > TOLERANCE:
            remedy = f"divide by {mean:.12g}, or ask for normalise=True"
            raise InvalidInput("covariance", f"a trace of {mean:.12g} d", f"of trace d: {remedy}")
        values, vectors = np.linalg.eigh(sigma / mean if normalise else sigma)
        if values[0] < -TOLERANCE * values[-1]:
            got = f"an eigenvalue of {values[0]:.3g}"
            raise InvalidInput("covariance", got, "positive semi-definite")
        values = np.maximum(values[::-1], 0.0)
        made = distinct(values) if groups is None else cut(values, _groups(groups))
        return cls(*made, vectors=vectors[:, ::-1])

    @classmethod
    def from_samples(
        cls, x: ArrayLike, groups: int | None = None, normalise: bool = False
    ) -> Spectrum:
        """The spectrum of Σ = d ⟨x xᵀ⟩, the second moments of samples x (n, d), as SGD sees them.

        Like those of the isotropic problem they have ⟨‖x‖²⟩ = 1, or are made so by `normalise`.
        Their mean is not subtracted.  With n not far larger than d the spectrum is wider than that
        of the law they are from.

        Examples
        --------
        >>> x = np.random.default_rng(0).standard_normal((1000, 3)) * [1.5, 0.5, 0.5]
        >>> Spectrum.from_samples(x, normalise=True).eigenvalues.round(1)
        array([2.5, 0.3, 0.3])
        """
        x = check_array("x", x, (None, None))
        mean = float(np.einsum("na,na->", x, x)) / len(x)
        if not mean > 0:
            raise InvalidInput("x", "samples that vanish", "samples of norm > 0")
        if not check_flag("normalise", normalise) and abs(mean - 1) > TOLERANCE:
            remedy = f"divide by {mean**0.5:.12g}, or ask for normalise=True"
            raise InvalidInput("x", f"a mean ‖x‖² of {mean:.12g}", f"of mean ‖x‖² = 1: {remedy}")
        return cls.from_covariance(x.T @ x * (x.shape[1] / len(x)), groups, normalise)

    @classmethod
    def power_law(cls, d: int, alpha: float, groups: int = 16) -> Spectrum:
        """Eigenvalues s_j ∝ j^−α, j = 1 … d, in so many groups (or fewer, if that many suffice).

        The moments of order 0, 1 and 2 are those of the law, that of order 3 nearly; what the rest
        matters is seen by doubling the groups.

        Examples
        --------
        >>> s = Spectrum.power_law(d=1000, alpha=1.0, groups=8)
        >>> law = 1 / np.arange(1, 1001)
        >>> law /= law.mean()
        >>> bool(np.isclose(s.moment(2), (law**2).mean(), rtol=1e-12))
        True
        """
        d, alpha = check_integer("d", d, 1, _MOST), check_non_negative("alpha", alpha)
        law = np.arange(1, d + 1) ** -alpha
        values, dimensions = cut(law / law.mean(), _groups(groups))
        return cls(values / (values @ dimensions / d), dimensions)

    @classmethod
    def two_level(cls, d: int, ratio: float, share: float = 0.5) -> Spectrum:
        """A `share` of the dimensions, rounded, with an eigenvalue `ratio` times that of the rest.

        Examples
        --------
        >>> Spectrum.two_level(d=100, ratio=9)
        Spectrum(1.8 (50), 0.2 (50))
        """
        d, ratio = check_integer("d", d, 2), check_positive("ratio", ratio)
        first = min(max(round(check_probability("share", share) * d), 1), d - 1)
        return cls._two(d, first, ratio)

    @classmethod
    def spiked(cls, d: int, strength: float, spikes: int = 1) -> Spectrum:
        """Σ ∝ I + strength · (a projection on so many directions, the first).

        A few spikes of a strength far below d hardly matter to weights that do not know them; and
        a strength of the order of d moves weights along a spike by steps that do not average out,
        whatever d is: there the flow is not the limit of SGD.

        Examples
        --------
        >>> Spectrum.spiked(d=100, strength=10.0, spikes=10)
        Spectrum(5.5 (10), 0.5 (90))
        """
        d, strength = check_integer("d", d, 2), check_non_negative("strength", strength)
        spikes = check_integer("spikes", spikes, 1, d - 1)
        return cls._two(d, spikes, 1 + strength)

    @classmethod
    def _two(cls, d: int, first: int, ratio: float) -> Spectrum:
        rest = d - first
        if ratio < 1:  # no number here is larger than it must be
            low = d / (first * ratio + rest)
            return cls([ratio * low, low], [first, rest])
        high = d / (first + rest / ratio)
        return cls([high, high / ratio], [first, rest])


def same_dimension(spectrum: Spectrum, d: int) -> None:
    """Refuse a dimension d other than that of the spectrum."""
    if spectrum.d != d:
        raise InvalidInput("d", str(d), f"{spectrum.d}, that of the spectrum, or left out")


def fits_spectrum(spectrum: Spectrum, d: int) -> None:
    """Refuse what is no spectrum, or not that of data in d dimensions."""
    check_instance("spectrum", spectrum, Spectrum)
    if spectrum.d != d:
        allowed = f"of dimensions that add up to {d}, the dimension of the data"
        raise InvalidInput("spectrum", f"{spectrum!r}, of d = {spectrum.d}", allowed)


def _groups(groups: Any) -> int:
    return check_integer("groups", groups, 1)


def _basis(vectors: ArrayLike, d: int) -> np.ndarray:
    """A checked orthonormal basis."""
    basis = check_array("vectors", vectors, (d, d))
    if np.abs(basis.T @ basis - np.eye(d)).max() > TOLERANCE:
        raise InvalidInput("vectors", "columns that are not orthonormal", "an orthonormal basis")
    return basis
