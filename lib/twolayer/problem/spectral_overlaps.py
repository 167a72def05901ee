"""The state under inputs with a spectrum: a block of overlaps for each eigenspace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twolayer.problem.matrices import TOLERANCE, assemble, second_layer
from twolayer.problem.spectrum import Spectrum
from twolayer.support.arrays import set_fields
from twolayer.support.checks import InvalidInput, check_array, check_instance


@dataclass(frozen=True, eq=False)
class SpectralOverlaps:
    """Overlaps Q^g = W Π_g Wᵀ/d, M^g = W Π_g W*ᵀ/d, P^g = W* Π_g W*ᵀ/d in every eigenspace g.

    Π_g projects on the eigenspace.  Usually from `Weights.overlaps(spectrum)`.

    Parameters
    ----------
    spectrum : Spectrum
    Q_blocks, M_blocks, P_blocks : array_like, shapes (G, p, p), (G, p, k) and (G, k, k)
        One after another in the order of the spectrum.
    a, a_star : array_like, shapes (p,) and (k,), optional
        Second layers of students and targets; ones by default.

    Raises
    ------
    InvalidInput
        If shapes do not fit, entries are not finite, or a block is not symmetric, not positive
        semi-definite, or of a rank that its eigenspace has no room for.

    Examples
    --------
    >>> import twolayer as tl
    >>> spectrum = tl.Spectrum([1.8, 0.2], [2, 2])
    >>> ov = tl.Weights([[1.0, 1.0, 1.0, 1.0]], [[2.0, 0.0, 0.0, 0.0]]).overlaps(spectrum)
    >>> ov.Q_blocks.ravel(), ov.Q
    (array([0.5, 0.5]), array([[1.]]))
    >>> tl.excess_risk(tl.Task("square"), tl.Overlaps(ov.Q, ov.M, ov.P)) == tl.excess_risk(
    ...     tl.Task("square"), ov)
    True
    """

    spectrum: Spectrum
    Q_blocks: np.ndarray
    M_blocks: np.ndarray
    P_blocks: np.ndarray
    a: np.ndarray
    a_star: np.ndarray

    def __init__(
        self,
        spectrum: Spectrum,
        Q_blocks: ArrayLike,
        M_blocks: ArrayLike,
        P_blocks: ArrayLike,
        a: ArrayLike | None = None,
        a_star: ArrayLike | None = None,
    ) -> None:
        check_instance("spectrum", spectrum, Spectrum)
        groups = len(spectrum)
        M = check_array("M_blocks", M_blocks, (groups, None, None))
        p, k = M.shape[1:]
        Q = check_array("Q_blocks", Q_blocks, (groups, p, p))
        P = check_array("P_blocks", P_blocks, (groups, k, k))
        set_fields(self, spectrum=spectrum, M_blocks=M)
        set_fields(self, Q_blocks=_symmetric("Q_blocks", Q), P_blocks=_symmetric("P_blocks", P))
        set_fields(self, a=second_layer("a", a, p), a_star=second_layer("a_star", a_star, k))
        values = np.linalg.eigvalsh(self.blocks)
        slack = TOLERANCE * max(values.max(), 0.0)
        if values.min() < -slack:
            got = f"a block Ω^g with smallest eigenvalue {values.min():.3g}"
            allowed = "overlaps of real vectors: every Ω^g positive semi-definite"
            raise InvalidInput("Q_blocks, M_blocks, P_blocks", got, allowed)
        ranks = (values > slack).sum(1)
        for rank, room in zip(ranks, spectrum.dimensions, strict=True):
            if rank > room:
                got = f"a block of rank {rank} in {room} dimensions"
                allowed = "of vectors that have room in their eigenspace"
                raise InvalidInput("Q_blocks, M_blocks, P_blocks", got, allowed)

    def __repr__(self) -> str:
        return f"SpectralOverlaps(p={self.p}, k={self.k}, {self.spectrum!r})"

    @property
    def p(self) -> int:
        """Number of students."""
        return self.M_blocks.shape[1]

    @property
    def k(self) -> int:
        """Number of targets."""
        return self.M_blocks.shape[2]

    @property
    def blocks(self) -> np.ndarray:
        """Ω^g, students first, shape (G, p + k, p + k)."""
        return assemble(self.Q_blocks, self.M_blocks, self.P_blocks)

    @property
    def Q(self) -> np.ndarray:
        """Covariance Σ_g s_g Q^g of the students' pre-activations, (p, p)."""
        return pooled(self.spectrum, self.Q_blocks)

    @property
    def M(self) -> np.ndarray:
        """Covariance Σ_g s_g M^g of students' and targets' pre-activations, (p, k)."""
        return pooled(self.spectrum, self.M_blocks)

    @property
    def P(self) -> np.ndarray:
        """Covariance Σ_g s_g P^g of the targets' pre-activations, (k, k)."""
        return pooled(self.spectrum, self.P_blocks)

    @property
    def Omega(self) -> np.ndarray:
        """Covariance Ω = Σ_g s_g Ω^g of all pre-activations, (p + k, p + k), students first."""
        return assemble(self.Q, self.M, self.P)


def pooled(spectrum: Spectrum | None, blocks: np.ndarray) -> np.ndarray:
    """Σ_g s_g of blocks (..., G, m, n), (..., m, n); without a spectrum what it is given.

    Examples
    --------
    >>> pooled(Spectrum([1.5, 0.5], [3, 3]), np.ones((2, 1, 1)))
    array([[2.]])
    """
    if spectrum is None:
        return blocks
    return np.einsum("g,...gmn->...mn", spectrum.eigenvalues, blocks)


def _symmetric(argument: str, blocks: np.ndarray) -> np.ndarray:
    """Blocks without their rounding errors of symmetry, measured by the largest entry of all."""
    transposed = blocks.swapaxes(1, 2)
    gap = np.abs(blocks - transposed).max()
    if gap > TOLERANCE * np.abs(blocks).max():
        got = f"a block that differs from its transpose by {gap:.3g}"
        raise InvalidInput(argument, got, "of symmetric blocks")
    out = (blocks + transposed) / 2
    out.setflags(write=False)
    return out
