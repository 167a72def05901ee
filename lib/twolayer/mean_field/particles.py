r"""Particles: the mean field's state, one neuron or one quadrature node each.

A neuron is known by its overlaps m with the k targets and by q, the squared norm (over
d) of its part outside their span.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from twolayer.activations.gauss_rules import gauss_hermite, radius
from twolayer.problem.matrices import TOLERANCE, second_layer, symmetric
from twolayer.problem.overlaps import Weights
from twolayer.support.arrays import Array, set_fields
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_fits_in_memory,
    check_flag,
    check_instance,
    check_integer,
    shown,
)
from twolayer.support.html import ranges


@dataclass(frozen=True, eq=False)
class Particles:
    """Weighted particles (m, q).

    Parameters
    ----------
    m : array_like, shape (p, k)
        Overlaps with the targets, rows of M.
    q : array_like, shape (p,)
        Diagonal of Q − M P⁻¹ Mᵀ; >= 0 up to rounding.
    weight : array_like, shape (p,), optional
        Positive, of sum 1; all equal by default.
    finite : bool
        Whether each particle is a neuron of a finite network, or a node of a quadrature: a mark
        by which one may choose the `self_term` of `solve_mean_field`, which does not look at it.
    a : array_like, shape (p,), optional
        Second layer; ones by default, as in the paper.

    Raises
    ------
    InvalidInput
        If shapes do not fit, entries are not finite, q is negative, or weights are not
        positive with sum 1.

    Examples
    --------
    >>> Particles(m=[[0.5], [0.0]], q=[0.75, 1.0]).weight
    array([0.5, 0.5])
    """

    m: np.ndarray
    q: np.ndarray
    weight: np.ndarray
    finite: bool
    a: np.ndarray

    def __init__(
        self,
        m: ArrayLike,
        q: ArrayLike,
        weight: ArrayLike | None = None,
        finite: bool = True,
        a: ArrayLike | None = None,
    ) -> None:
        m, q = check_array("m", m, (None, None)), check_array("q", q, (None,))
        p, k = m.shape
        if k == q.size != p:
            raise InvalidInput(
                "m", f"shape {m.shape}", f"of shape {(k, p)}, as q has it: transposed"
            )
        set_fields(self, m=m, q=squared_norms(q, (p,)), weight=weights_of(weight, p))
        set_fields(self, finite=check_flag("finite", finite), a=second_layer("a", a, p))

    def __repr__(self) -> str:
        finite = "" if self.finite else ", finite=False"
        return f"Particles(p={self.p}, k={self.k}{finite})"

    def _repr_html_(self) -> str:
        named = [("m", self.m), ("q", self.q), ("weight", self.weight), ("a", self.a)]
        return ranges(repr(self), named)

    @property
    def p(self) -> int:
        """Number of particles."""
        return self.m.shape[0]

    @property
    def k(self) -> int:
        """Number of targets."""
        return self.m.shape[1]

    @classmethod
    def from_weights(cls, weights: Weights) -> Particles:
        """One particle of the same weight for each student, `finite` set; costs O(p k d)."""
        check_instance("weights", weights, Weights)
        return cls(*inside_and_outside(weights.W, weights.W_star, weights.d), a=weights.a)

    @classmethod
    def quadrature(cls, P: ArrayLike, d: int, order: int = 8) -> Particles:
        """The p = ∞ limit of Gaussian initial weights, by Gauss quadrature of their law.

        Entries N(0, 1) make m ~ N(0, P/d) and d q ~ χ² with d − k degrees of freedom:
        tensor Gauss-Hermite times generalised Gauss-Laguerre nodes, which converge
        spectrally in `order`.  There are order^(k+1) of them (order^k if d = k), less those whose
        weight is 0 in floating point, with `finite` unset.

        Parameters
        ----------
        P : array_like, shape (k, k)
            Overlaps of the targets, positive definite.
        d : int
            Dimension of the data, at least k; for d = k all q are zero.
        order : int
            Nodes in each of the k + 1 directions.

        Examples
        --------
        >>> particles = Particles.quadrature([[1.0]], d=3, order=20)
        >>> particles.p, bool(np.isclose(particles.weight @ particles.q, 2 / 3))
        (400, True)
        """
        L = cholesky(P)
        k = len(L)
        d, order = check_integer("d", d, k), check_integer("order", order, 1)
        check_fits_in_memory("order", order, float(order) ** (k + 1) * (2 * k + 4))
        rho, ws = radius(d - k, order) if d > k else (np.zeros(1), np.ones(1))
        x, wx = gauss_hermite(order)
        nodes = np.array(list(product(*[x] * k, rho**2 / d)))
        weight = np.prod(list(product(*[wx] * k, ws)), axis=1)
        some = weight > 0  # far out a weight may be smaller than any number
        nodes, weight = nodes[some], weight[some]
        return cls(nodes[:, :k] @ L.T / np.sqrt(d), nodes[:, k], weight / weight.sum(), False)


def squared_norms(q: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Checked squared norms of this shape, without rounding below zero."""
    q = check_array("q", q, shape)
    if q.min() < -TOLERANCE * max(1.0, q.max()):
        raise InvalidInput("q", f"a smallest entry of {q.min():.3g}", ">= 0")
    return check_array("q", np.maximum(q, 0.0), shape)


def weights_of(weight: ArrayLike | None, p: int) -> Array:
    """Checked weights of p particles; all equal by default."""
    weight = check_array("weight", np.full(p, 1 / p) if weight is None else weight, (p,))
    if weight.min() <= 0 or abs(weight.sum() - 1) > TOLERANCE:
        raise InvalidInput("weight", shown(weight), "positive, with sum 1")
    return weight


def inside_and_outside(W: Array, W_star: Array, d: int) -> tuple[Array, Array]:
    """Overlaps (p, k) of students with targets, and squared norms (p,) outside their span."""
    M, P = W @ W_star.T / d, W_star @ W_star.T / d
    inside = np.einsum("pr,rs,ps->p", M, np.linalg.pinv(P, hermitian=True), M)
    return M, np.einsum("pa,pa->p", W, W) / d - inside


def cholesky(P: ArrayLike) -> np.ndarray:
    """The lower triangular L with L Lᵀ = P; `InvalidInput` if P is not positive definite."""
    P = check_array("P", P, (None, None))
    if P.shape[0] != P.shape[1]:
        raise InvalidInput("P", shown(P), "a symmetric matrix")
    try:
        return np.linalg.cholesky(symmetric("P", P))
    except np.linalg.LinAlgError:
        allowed = "positive definite: linearly independent targets"
        raise InvalidInput("P", shown(P), allowed) from None
