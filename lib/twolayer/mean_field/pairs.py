r"""The field of particles as a sum over pairs of them, averaged over their directions.

The pre-activations of two particles have covariance C_ij = α_i·α_j + √(q_i q_j) ξ, where
ξ = ⟨g_i, g_j⟩ is the scalar product of their directions outside the target span; a target is a
particle without any.  With Stein's lemma everything is made of three moments of a pair,

    A_ij = E_ξ[slopes],   B_ij = E_ξ[ξ slopes],   N_ij = E_ξ[bends],

of E[σ'(λ_i) σ'(λ_j)], the slopes, and E[σ''(λ_i) σ(λ_j)], the bends:

    E[σ'(λ_i) z σ(λ_j)] = A_ij α_j + N_ij α_i,
    E[σ'(λ_i) √q_i ξ_i σ(λ_j)] = √q_i B_ij √q_j + N_ij q_i.

Each activation has its own way to these: `ErfPairField`, `BentPairField` (ReLU and its like) and
`MehlerPairField` (smooth ones).  O(p²), and far less than a grid for hundreds of particles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from twolayer.problem.matrices import second_layer
from twolayer.problem.task import Task
from twolayer.support.arrays import Array
from twolayer.support.threads import HAS_COMPILER, on_all_cores

#: Pairs in flight without the compiler: their temporaries stay in the cache.
_CHUNK = 30_000


@dataclass(frozen=True, eq=False)
class Seen:
    """Particles as pairs see them."""

    alpha: Array
    q: Array

    @cached_property
    def root(self) -> Array:
        """√q."""
        return np.sqrt(self.q)

    @cached_property
    def variance(self) -> Array:
        """E[λ²]."""
        return (self.alpha**2).sum(1) + self.q


class Pull(NamedTuple):
    """Σ_j c_j A_ij α_j (p, k), Σ_j c_j B_ij √q_j (p,) and Σ_j c_j N_ij (p,)."""

    inward: Array
    outward: Array
    own: Array


class Itself(NamedTuple):
    """E[σ²], E[λ σ σ']/E[λ²] and E[σ'' σ] of each particle, (p,)."""

    square: Array
    force: Array
    bend: Array


class PairField(ABC):
    """`Field` of `twolayer.mean_field.field`, given the moments of pairs."""

    #: E[f*²].
    target_square: float

    def __init__(self, L: Array, self_term: str, a_star: Array | None = None) -> None:
        self.L, self.self_term, self.itself = L, self_term, self_term != "none"
        self.mean = second_layer("a_star", a_star, len(L)) / len(L)

    def see(self, alpha: Array, q: Array) -> Any:
        """What the moments of these particles are found from: once a right-hand side."""
        return Seen(np.ascontiguousarray(alpha), q)

    @abstractmethod
    def pull(self, seen: Any, charge: Array) -> Pull:
        """Of all particles, without itself where it is apart, less that of the targets."""

    @abstractmethod
    def products(self, seen: Any, charge: Array) -> tuple[Array, Array]:
        """E[σ(λ_i) f], likewise without itself, and E[σ(λ_i) f*]."""

    @abstractmethod
    def alone(self, seen: Any) -> Itself:
        """What each particle has with itself."""

    def left_out(self, alpha: Array, q: Array, charge: Array) -> float:
        """What the drift may be off by, relative to its largest entry, beside the rule in ξ."""
        return 0.0

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt) over a."""
        seen = self.see(alpha, q)
        inward, outward, own = self.pull(seen, charge)
        d_alpha, dq = -inward - own[:, None] * alpha, -seen.root * outward - own * q
        if self.itself:
            _, force, bend = self.alone(seen)
            d_alpha -= (charge * force)[:, None] * alpha
            dq -= charge * q * (bend if self.self_term == "independent" else force)
        return d_alpha, 2 * dq

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔]."""
        seen = self.see(alpha, q)
        with_all, with_target = self.products(seen, charge)
        if self.itself:
            with_all = with_all + charge * self.alone(seen).square
        return with_target - with_all

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        seen = self.see(alpha, q)
        with_all, with_target = self.products(seen, charge)
        total = self.target_square + charge @ (with_all - 2 * with_target)
        if self.itself:
            total += charge**2 @ self.alone(seen).square
        return float(total) / 2


def square_of_targets(task: Task, L: Array, mean: Array) -> float:
    """E[f*²]."""
    targets = Task(task.target_activation, tolerance=task.tolerance)
    return float(mean @ targets.forms.two_point(L @ L.T, len(L)) @ mean)


def over_rows(
    kernel: str, plain: Callable[..., Array], state: tuple[Any, ...], pairs: tuple[int, int], n: int
) -> Array:
    """A sum over the columns for every row of (rows, columns), at n operations a pair.

    By the kernel of that name in `kernels.particles`, or by NumPy; both take a range of rows.
    """
    rows, columns = pairs
    if HAS_COMPILER:
        from twolayer.kernels import particles as kernels

        of = partial(getattr(kernels, kernel), *state)
        return np.concatenate(on_all_cores(of, rows, float(rows) * columns * n))
    size = max(1, _CHUNK // columns)
    parts = [plain(*state, start, min(start + size, rows)) for start in range(0, rows, size)]
    return np.concatenate(parts)


def without_diagonal(matrix: Array, start: int) -> Array:
    """Rows from `start` on of a square matrix, each particle's own place set to zero, in place."""
    here = np.arange(len(matrix))
    matrix[here, start + here] = 0.0
    return matrix
