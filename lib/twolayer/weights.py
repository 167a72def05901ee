"""Weights in a given dimension, and the initial laws they are drawn from.

Builds on `overlaps`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twolayer.errors import array, fits_in_memory, flag, integer
from twolayer.errors import seed as check_seed
from twolayer.matrices import second_layer
from twolayer.overlaps import Overlaps, dimension

#: From this dimension on unit vectors are hardly meant.
_HIGH = 10


@dataclass(frozen=True, eq=False)
class Weights:
    """Students W and targets W* of norm O(√d).

    Parameters
    ----------
    W : array_like, shape (p, d)
    W_star : array_like, shape (k, d)
    a : array_like, shape (p,), optional
        Second layer of the students; ones by default, as in the paper.
    a_star : array_like, shape (k,), optional
        Second layer of the targets; likewise.

    Raises
    ------
    InvalidInput
        If shapes do not fit or entries are not finite.

    Warns
    -----
    UserWarning
        If all students, or all targets, are unit vectors: here their norm is about √d.

    Examples
    --------
    >>> w = Weights.gaussian(p=3, k=1, d=100, seed=0)
    >>> w.p, w.k, w.d
    (3, 1, 100)
    """

    W: np.ndarray
    W_star: np.ndarray
    a: np.ndarray
    a_star: np.ndarray

    def __init__(
        self,
        W: ArrayLike,
        W_star: ArrayLike,
        a: ArrayLike | None = None,
        a_star: ArrayLike | None = None,
    ) -> None:
        object.__setattr__(self, "W", array("W", W, (None, None)))
        object.__setattr__(self, "W_star", array("W_star", W_star, (None, self.d)))
        object.__setattr__(self, "a", second_layer("a", a, self.p))
        object.__setattr__(self, "a_star", second_layer("a_star", a_star, self.k))
        _warn_of_unit_vectors(W=self.W, W_star=self.W_star)

    @property
    def p(self) -> int:
        """Number of students.

        Examples
        --------
        >>> Weights.gaussian(p=3, k=2, d=10, seed=0).p
        3
        """
        return self.W.shape[0]

    @property
    def k(self) -> int:
        """Number of targets.

        Examples
        --------
        >>> Weights.gaussian(p=3, k=2, d=10, seed=0).k
        2
        """
        return self.W_star.shape[0]

    @property
    def d(self) -> int:
        """Dimension of the data.

        Examples
        --------
        >>> Weights.gaussian(p=3, k=2, d=10, seed=0).d
        10
        """
        return self.W.shape[1]

    def overlaps(self) -> Overlaps:
        """The overlaps of these weights.

        Returns
        -------
        Overlaps
            Costs O(d (p + k)²).

        Examples
        --------
        >>> Weights([[1.0, 1.0]], [[2.0, 0.0]]).overlaps().M
        array([[1.]])
        """
        W, W_star, d = self.W, self.W_star, self.d
        Q, M, P = W @ W.T / d, W @ W_star.T / d, W_star @ W_star.T / d
        return Overlaps(Q, M, P, self.a, self.a_star)

    @classmethod
    def gaussian(
        cls, p: int, k: int, d: int, seed: int = 0, orthonormal_target: bool = True
    ) -> Weights:
        """Students and targets with independent N(0, 1) entries.

        Targets are drawn first, students after, from ``default_rng(seed)``; this
        is the initial condition of figures 2 left (p=10, k=2, d=3, seed=3), 3 and
        5 b-d (seed=0) of arXiv:2302.05882.

        Parameters
        ----------
        p, k, d : int
            Numbers of students and targets, and dimension.
        seed : int
        orthonormal_target : bool
            Replace the targets by an orthonormal basis of their span, of norm √d,
            so that P = I; needs d >= k.

        Returns
        -------
        Weights

        Raises
        ------
        InvalidInput
            If a number is not a positive integer, or d < k with `orthonormal_target`.

        Examples
        --------
        >>> w = Weights.gaussian(p=10, k=2, d=3, seed=3)
        >>> bool(np.allclose(w.overlaps().P, np.eye(2), atol=1e-14))
        True
        """
        p, k, d = integer("p", p, 1), integer("k", k, 1), integer("d", d, 1)
        _fit(p, k, d)
        orthonormal_target = flag("orthonormal_target", orthonormal_target)
        rng = np.random.default_rng(check_seed(seed))
        W_star = rng.normal(size=(k, d))
        W = rng.normal(size=(p, d))
        if orthonormal_target:
            from scipy.linalg import orth

            dimension(d, k)
            unit = W_star / np.linalg.norm(W_star, axis=1, keepdims=True)
            W_star = np.sqrt(d) * orth(unit.T).T
        return cls(W, W_star)

    @classmethod
    def in_target_span(cls, p: int, k: int, d: int, seed: int = 0) -> Weights:
        """Students in the span of orthonormal targets, uniform on its sphere of radius √d.

        M has the normalised rows of ``default_rng(seed).normal(size=(p, k))``,
        Q = M Mᵀ and P = I, whatever d is: the initial condition of figures
        2 right, 4 and 5 a of arXiv:2302.05882 (seed=0).  The targets point along the
        first k axes; with isotropic data no choice of axes differs from another.

        Parameters
        ----------
        p, k : int
            Numbers of students and targets.
        d : int
            Dimension, at least k.
        seed : int

        Returns
        -------
        Weights

        Raises
        ------
        InvalidInput
            If a number is not a positive integer or d < k.

        Examples
        --------
        >>> ov = Weights.in_target_span(p=10, k=5, d=50).overlaps()
        >>> ov.rank, bool(np.allclose(ov.Q_perp, 0, atol=1e-14))
        (5, True)
        """
        p, k = integer("p", p, 1), integer("k", k, 1)
        d = dimension(d, k)
        _fit(p, k, d)
        M = np.random.default_rng(check_seed(seed)).normal(size=(p, k))
        M /= np.linalg.norm(M, axis=1, keepdims=True)
        W_star = np.sqrt(d) * np.eye(k, d)
        return cls(M @ W_star, W_star)


def _warn_of_unit_vectors(**weights: np.ndarray) -> None:
    unit = [
        name
        for name, rows in weights.items()
        if rows.shape[1] >= _HIGH
        and np.allclose(np.einsum("ia,ia->i", rows, rows), 1.0, rtol=0, atol=2e-3)
    ]
    if unit:
        d = weights[unit[0]].shape[1]
        warnings.warn(
            f"the rows of {' and '.join(unit)} are unit vectors; here weights have norms of order "
            f"√d = {d**0.5:.4g}, with inputs x ~ N(0, I_d/d): multiply them by √d, unless "
            f"overlaps of 1/d are meant",
            UserWarning,
            stacklevel=3,
        )


def _fit(p: int, k: int, d: int) -> None:
    """Refuse weights that the memory cannot hold."""
    argument, value = max((("p", p), ("k", k), ("d", d)), key=lambda item: item[1])
    fits_in_memory(argument, value, (p + k) * d)
