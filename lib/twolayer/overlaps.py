"""The state: overlaps Q, M, P, the order parameters of the problem.

They are the covariance of all pre-activations; what has these overlaps in a given dimension
are `weights`.  Builds on `errors` and `matrices`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from twolayer.errors import InvalidInput, array, fits_in_memory, instance, integer, shown
from twolayer.errors import seed as check_seed
from twolayer.matrices import TOLERANCE, assemble, second_layer, symmetric

if TYPE_CHECKING:
    from twolayer.weights import Weights

#: Eigenvalues of Ω below this much of the largest do not count for its rank.
RANK_TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class Overlaps:
    r"""Overlaps Q = W Wᵀ/d, M = W W*ᵀ/d and P = W* W*ᵀ/d of p students and k targets.

    Parameters
    ----------
    Q : array_like, shape (p, p)
    M : array_like, shape (p, k)
    P : array_like, shape (k, k)
    a : array_like, shape (p,), optional
        Second layer of the students; ones by default, as in the paper.
    a_star : array_like, shape (k,), optional
        Second layer of the targets; likewise.

    Raises
    ------
    InvalidInput
        If shapes do not fit, entries are not finite, Q or P is not symmetric or
        Ω = [[Q, M], [Mᵀ, P]] is not positive semi-definite, each up to 1e-8 of
        the largest entry.

    References
    ----------
    arXiv:2302.05882, section 2.

    Examples
    --------
    >>> ov = Overlaps(Q=[[1.0, 0.0], [0.0, 1.0]], M=[[0.6], [0.0]], P=[[1.0]])
    >>> ov.p, ov.k, ov.rank
    (2, 1, 3)
    >>> ov.Q_perp
    array([[0.64, 0.  ],
           [0.  , 1.  ]])
    """

    Q: np.ndarray
    M: np.ndarray
    P: np.ndarray
    a: np.ndarray
    a_star: np.ndarray

    def __init__(
        self,
        Q: ArrayLike,
        M: ArrayLike,
        P: ArrayLike,
        a: ArrayLike | None = None,
        a_star: ArrayLike | None = None,
    ) -> None:
        m = array("M", M, (None, None))
        q, targets = (array(name, value, (None, None)) for name, value in (("Q", Q), ("P", P)))
        p, k = len(q), len(targets)
        if m.shape == (k, p) != (p, k):
            allowed = f"of shape {(p, k)}, students times targets, as Q and P have it: transposed"
            raise InvalidInput("M", f"shape {m.shape}", allowed)
        p, k = m.shape
        object.__setattr__(self, "M", m)
        object.__setattr__(self, "Q", symmetric("Q", array("Q", q, (p, p))))
        object.__setattr__(self, "P", symmetric("P", array("P", targets, (k, k))))
        object.__setattr__(self, "a", second_layer("a", a, p))
        object.__setattr__(self, "a_star", second_layer("a_star", a_star, k))
        eigenvalues = np.linalg.eigvalsh(self.Omega)
        if eigenvalues[0] < -TOLERANCE * max(eigenvalues[-1], 0.0):
            raise InvalidInput(
                "Q, M, P",
                f"Ω = [[Q, M], [Mᵀ, P]] with smallest eigenvalue {eigenvalues[0]:.3g}",
                "overlaps of real vectors: Ω positive semi-definite",
            )

    @property
    def p(self) -> int:
        """Number of students.

        Examples
        --------
        >>> Overlaps([[1.0]], [[0.3, 0.1]], [[1.0, 0.0], [0.0, 1.0]]).p
        1
        """
        return self.M.shape[0]

    @property
    def k(self) -> int:
        """Number of targets.

        Examples
        --------
        >>> Overlaps([[1.0]], [[0.3, 0.1]], [[1.0, 0.0], [0.0, 1.0]]).k
        2
        """
        return self.M.shape[1]

    @property
    def Omega(self) -> np.ndarray:
        """Covariance Ω of (λ, λ*), shape (p + k, p + k), students first.

        Examples
        --------
        >>> Overlaps([[1.0]], [[0.3]], [[2.0]]).Omega.tolist()
        [[1.0, 0.3], [0.3, 2.0]]
        """
        return assemble(self.Q, self.M, self.P)

    @property
    def Q_perp(self) -> np.ndarray:
        """Overlaps Q − M P⁻¹ Mᵀ of the students outside the span of the targets, (p, p).

        Examples
        --------
        >>> Overlaps([[1.0]], [[0.5]], [[1.0]]).Q_perp.tolist()
        [[0.75]]
        """
        outside = self.Q - self.M @ np.linalg.pinv(self.P, hermitian=True) @ self.M.T
        return (outside + outside.T) / 2

    @property
    def rank(self) -> int:
        """Dimension of the span of all students and targets.

        Examples
        --------
        A student in the span of the target:

        >>> Overlaps([[0.25]], [[0.5]], [[1.0]]).rank
        1
        """
        return self.factor().shape[1]

    def factor(self) -> np.ndarray:
        """Vectors with these overlaps in the fewest dimensions.

        Returns
        -------
        array, shape (p + k, rank)
            F with F Fᵀ = Ω, students first.  Costs O((p + k)³).

        Examples
        --------
        Two students and a target that all point the same way:

        >>> Overlaps([[1.0, 2.0], [2.0, 4.0]], [[1.0], [2.0]], [[1.0]]).factor().shape
        (3, 1)
        """
        values, vectors = np.linalg.eigh(self.Omega)
        kept = values > RANK_TOLERANCE * max(values[-1], 0.0)
        rows = vectors[:, kept] * np.sqrt(values[kept])
        # Vectors of equal eigenvalues are any, and rounding would choose them, another way on
        # another processor: turned to numbers that are the same everywhere, there is one choice.
        fixed = np.random.default_rng(0).standard_normal(rows.shape)
        turn, triangle = np.linalg.qr(rows.T @ fixed)
        return rows @ (turn * np.sign(np.diagonal(triangle)))

    def embed(self, d: int, seed: int = 0) -> Weights:
        """Weights in dimension d with exactly these overlaps, turned at random.

        Parameters
        ----------
        d : int
            Dimension, at least `rank`.
        seed : int
            Seed of the random orthonormal frame (Haar measure).

        Returns
        -------
        Weights
            Costs O(d (p + k)²) time and O(d (p + k)) memory.

        Raises
        ------
        InvalidInput
            If d is below the rank of Ω.

        Examples
        --------
        >>> ov = Overlaps([[1.0]], [[0.5]], [[1.0]])
        >>> bool(np.allclose(ov.embed(d=7, seed=1).overlaps().M, 0.5, rtol=1e-14))
        True
        """
        from twolayer.weights import Weights  # which is made of overlaps in its turn

        rows = self.factor()
        rank = rows.shape[1]
        d = dimension(d, rank)
        fits_in_memory("d", d, 2 * d * (rank + self.p + self.k))
        rng = np.random.default_rng(check_seed(seed))
        frame, triangle = np.linalg.qr(rng.standard_normal((d, rank)))
        frame *= np.sign(np.diagonal(triangle))  # QR alone is not uniform over frames
        vectors = np.sqrt(d) * rows @ frame.T
        return Weights(vectors[: self.p], vectors[self.p :], self.a, self.a_star)


def no_second_layer(overlaps: Overlaps) -> None:
    """Refuse what is no overlaps, or has a second layer other than ones."""
    instance("overlaps", overlaps, Overlaps)
    if (overlaps.a != 1).any() or (overlaps.a_star != 1).any():
        raise InvalidInput("overlaps", shown(overlaps.a), "without a second layer")


def dimension(d: int, rank: int) -> int:
    """d, which must have room for vectors of this rank."""
    d = integer("d", d, 1)
    if d < rank:
        raise InvalidInput("d", str(d), f"at least {rank}, the rank of the vectors to be held")
    return d
