"""The state: overlaps Q, M, P, the order parameters, and weights W, W* that have them.

One idea in two forms: overlaps are the covariance of all pre-activations, weights are vectors of
a given dimension with these overlaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import scipy
from numpy.typing import ArrayLike

from twolayer.problem.matrices import (
    TOLERANCE,
    assemble,
    check_dimension,
    check_size,
    counted,
    factor,
    second_layer,
    symmetric,
    warn_of_unit_vectors,
)
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import Spectrum, fits_spectrum
from twolayer.support.arrays import set_fields
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_choice,
    check_fits_in_memory,
    check_flag,
    check_integer,
    check_positive,
    check_seed,
    shown,
)
from twolayer.support.html import ranges
from twolayer.support.limits import says_what_it_cannot

#: Of a norm whose square is no rounding.
_SMALLEST = 1e-100


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Overlaps Q = W Wᵀ/d, M = W W*ᵀ/d and P = W* W*ᵀ/d of p students and k targets.

    Parameters
    ----------
    Q, M, P : array_like, shapes (p, p), (p, k) and (k, k)
        The order parameters; Q and P symmetric.
    a, a_star : array_like, shapes (p,) and (k,), optional
        Second layers of students and targets; ones by default, as in the paper.

    Raises
    ------
    InvalidInput
        If shapes do not fit, entries are not finite, Q or P is not symmetric or Ω not positive
        semi-definite, each up to 1e-8 of the largest entry.

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

    @says_what_it_cannot
    def __init__(
        self,
        Q: ArrayLike,
        M: ArrayLike,
        P: ArrayLike,
        a: ArrayLike | None = None,
        a_star: ArrayLike | None = None,
    ) -> None:
        m = check_array("M", M, (None, None))
        q, targets = check_array("Q", Q, (None, None)), check_array("P", P, (None, None))
        p, k = len(q), len(targets)
        if m.shape == (k, p) != (p, k):
            allowed = f"of shape {(p, k)}, students times targets, as Q and P have it: transposed"
            raise InvalidInput("M", f"shape {m.shape}", allowed)
        p, k = m.shape
        set_fields(self, M=m, Q=symmetric("Q", check_array("Q", q, (p, p))))
        set_fields(self, P=symmetric("P", check_array("P", targets, (k, k))))
        set_fields(self, a=second_layer("a", a, p), a_star=second_layer("a_star", a_star, k))
        eigenvalues = np.linalg.eigvalsh(self.Omega)
        if eigenvalues[0] < -TOLERANCE * max(eigenvalues[-1], 0.0):
            raise InvalidInput(
                "Q, M, P",
                f"Ω = [[Q, M], [Mᵀ, P]] with smallest eigenvalue {eigenvalues[0]:.3g}",
                "overlaps of real vectors: Ω positive semi-definite",
            )

    def __repr__(self) -> str:
        return f"Overlaps(p={self.p}, k={self.k})"

    def _repr_html_(self) -> str:
        norms = np.diagonal(self.Q), np.diagonal(self.P)
        named = [("Q_ii", norms[0]), ("M", self.M), ("P_rr", norms[1]), ("a", self.a)]
        return ranges(repr(self), named)

    @property
    def p(self) -> int:
        """Number of students."""
        return self.M.shape[0]

    @property
    def k(self) -> int:
        """Number of targets."""
        return self.M.shape[1]

    @property
    def Omega(self) -> np.ndarray:
        """Covariance Ω of (λ, λ*), shape (p + k, p + k), students first."""
        return assemble(self.Q, self.M, self.P)

    @property
    def Q_perp(self) -> np.ndarray:
        """Overlaps Q − M P⁻¹ Mᵀ of the students outside the span of the targets, (p, p)."""
        outside = self.Q - self.M @ np.linalg.pinv(self.P, hermitian=True) @ self.M.T
        return (outside + outside.T) / 2

    @property
    def rank(self) -> int:
        """Dimension of the span of all students and targets."""
        return int(counted(np.linalg.eigvalsh(self.Omega)).sum())

    def factor(self) -> np.ndarray:
        """F (p + k, rank) with F Fᵀ = Ω, students first; costs O((p + k)³)."""
        return factor(self.Omega)

    def embed(self, d: int, seed: int = 0) -> Weights:
        """Weights in dimension d >= `rank` with exactly these overlaps, turned at random.

        `seed` is that of the random orthonormal frame (Haar measure).  Costs O(d (p + k)²).

        Examples
        --------
        >>> ov = Overlaps([[1.0]], [[0.5]], [[1.0]])
        >>> bool(np.allclose(ov.embed(d=7, seed=1).overlaps().M, 0.5, rtol=1e-14))
        True
        """
        rows = self.factor()
        rank = rows.shape[1]
        d = check_dimension(d, rank)
        check_fits_in_memory("d", d, 2 * d * (rank + self.p + self.k))
        rng = np.random.default_rng(check_seed(seed))
        frame, triangle = np.linalg.qr(rng.standard_normal((d, rank)))
        frame *= np.sign(np.diagonal(triangle))  # QR alone is not uniform over frames
        vectors = np.sqrt(d) * rows @ frame.T
        return Weights(vectors[: self.p], vectors[self.p :], self.a, self.a_star)


@dataclass(frozen=True, eq=False)
class Weights:
    """Students W and targets W* of norm O(√d).

    Parameters
    ----------
    W, W_star : array_like, shapes (p, d) and (k, d)
        A `UserWarning` if all students, or all targets, are unit vectors: here their norm is
        about √d.
    a, a_star : array_like, shapes (p,) and (k,), optional
        Second layers of students and targets; ones by default, as in the paper.
    inputs : {"scaled", "unit"}
        What they are multiplied with: "scaled" inputs x ~ N(0, I/d), as in the paper; weights for
        inputs of "unit" variance, of norm O(1) as in most of the literature, are multiplied by √d.

    Examples
    --------
    >>> Weights([[0.6, 0.8]], [[1.0, 0.0]], inputs="unit").overlaps().Q
    array([[1.]])
    >>> Weights([[1.0, 1.0]], [[2.0, 0.0]]).overlaps().M
    array([[1.]])
    """

    W: np.ndarray
    W_star: np.ndarray
    a: np.ndarray
    a_star: np.ndarray

    @says_what_it_cannot
    def __init__(
        self,
        W: ArrayLike,
        W_star: ArrayLike,
        a: ArrayLike | None = None,
        a_star: ArrayLike | None = None,
        *,
        inputs: Literal["scaled", "unit"] = "scaled",
    ) -> None:
        students = check_array("W", W, (None, None))
        targets = check_array("W_star", W_star, (None, students.shape[1]))
        if check_choice("inputs", inputs, ("scaled", "unit")) == "unit":
            students, targets = (np.sqrt(students.shape[1]) * w for w in (students, targets))
        set_fields(self, W=students, W_star=targets)
        layers = second_layer("a", a, self.p), second_layer("a_star", a_star, self.k)
        set_fields(self, a=layers[0], a_star=layers[1])
        warn_of_unit_vectors(W=self.W, W_star=self.W_star)

    def __repr__(self) -> str:
        return f"Weights(p={self.p}, k={self.k}, d={self.d})"

    def _repr_html_(self) -> str:
        named = [("W", self.W), ("W_star", self.W_star), ("a", self.a), ("a_star", self.a_star)]
        return ranges(repr(self), named)

    @property
    def p(self) -> int:
        """Number of students."""
        return self.W.shape[0]

    @property
    def k(self) -> int:
        """Number of targets."""
        return self.W_star.shape[0]

    @property
    def d(self) -> int:
        """Dimension of the data."""
        return self.W.shape[1]

    @overload
    def overlaps(self, spectrum: None = None) -> Overlaps: ...
    @overload
    def overlaps(self, spectrum: Spectrum) -> SpectralOverlaps: ...
    def overlaps(self, spectrum: Spectrum | None = None) -> Overlaps | SpectralOverlaps:
        """The overlaps of these weights, at a cost of O(d (p + k)²).

        With the spectrum of the inputs, by whose eigenspaces the coordinates are then ordered,
        those in every eigenspace.
        """
        W, W_star, d = self.W, self.W_star, self.d
        if spectrum is not None:
            fits_spectrum(spectrum, d)
            each = ((W[:, here], W_star[:, here]) for here in spectrum.columns())
            blocks = [(w @ w.T / d, w @ v.T / d, v @ v.T / d) for w, v in each]
            Q, M, P = map(np.array, zip(*blocks, strict=True))
            return SpectralOverlaps(spectrum, Q, M, P, self.a, self.a_star)
        Q, M, P = W @ W.T / d, W @ W_star.T / d, W_star @ W_star.T / d
        return Overlaps(Q, M, P, self.a, self.a_star)

    @classmethod
    def gaussian(
        cls,
        p: int,
        k: int,
        d: int,
        seed: int = 0,
        orthonormal_target: bool = True,
        norm: float | None = None,
    ) -> Weights:
        """Students and targets with independent N(0, 1) entries.

        Targets are drawn first, students after, from ``default_rng(seed)``: the start of figures
        2 left (p=10, k=2, d=3, seed=3), 3 and 5 b-d (seed=0) of arXiv:2302.05882.  With
        `orthonormal_target`, which needs d >= k, an orthonormal basis of their span, of norm √d,
        replaces the targets, so that P = I.  With `norm` the students have that norm, in units
        of √d: Q_ii = norm², a small one being the start of Saad & Solla.

        Examples
        --------
        >>> w = Weights.gaussian(p=10, k=2, d=3, seed=3)
        >>> bool(np.allclose(w.overlaps().P, np.eye(2), atol=1e-14))
        True
        """
        p, k, d = check_integer("p", p, 1), check_integer("k", k, 1), check_integer("d", d, 1)
        check_size(p, k, d)
        orthonormal_target = check_flag("orthonormal_target", orthonormal_target)
        rng = np.random.default_rng(check_seed(seed))
        W_star = rng.normal(size=(k, d))
        W = rng.normal(size=(p, d))
        if norm is not None:
            norm = check_positive("norm", norm)
            if not _SMALLEST < norm < 1 / _SMALLEST:
                raise InvalidInput("norm", shown(norm), "a number whose square is one too")
            W *= norm * np.sqrt(d / np.square(W).sum(1, keepdims=True))
        if orthonormal_target:
            check_dimension(d, k)
            unit = W_star / np.linalg.norm(W_star, axis=1, keepdims=True)
            W_star = np.sqrt(d) * scipy.linalg.orth(unit.T).T
        return cls(W, W_star)

    @classmethod
    def in_target_span(cls, p: int, k: int, d: int, seed: int = 0) -> Weights:
        """Students in the span of orthonormal targets, uniform on its sphere of radius √d; d >= k.

        M has the normalised rows of ``default_rng(seed).normal(size=(p, k))``, Q = M Mᵀ and P = I,
        whatever d is: the start of figures 2 right, 4 and 5 a of arXiv:2302.05882 (seed=0).  The
        targets point along the first k axes.
        """
        p, k = check_integer("p", p, 1), check_integer("k", k, 1)
        d = check_dimension(d, k)
        check_size(p, k, d)
        M = np.random.default_rng(check_seed(seed)).normal(size=(p, k))
        M /= np.linalg.norm(M, axis=1, keepdims=True)
        W_star = np.sqrt(d) * np.eye(k, d)
        return cls(M @ W_star, W_star)
