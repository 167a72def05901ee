r"""The field that mean-field particles move in: closed form for square, quadrature otherwise.

Erf has two better forms than the grid below, and the cheaper one is taken: pairs of particles
(`pairs`) for few, a series in Hermite polynomials (`hermite`) for many.

Particles are given by α (p, k), their coordinates in an orthonormal basis of the target
span, and q (p,).  The pre-activation of particle i is λ_i = α_i·z + √q_i ξ_i.  Outside the
target span, with d − k = `outside` dimensions, ξ_i = ρ u_i: ρ ~ χ is the norm of the sample
there, shared by all, and u_i a coordinate of a uniform point of the sphere, independent
between particles.  Averaged over u_i, a particle contributes S_i(z, ρ) = E_u σ(λ_i), and
everything is an integral over (z, ρ) of products of such averages: linear in p.  Only the
action of a particle on itself needs E_u[σ' σ], a one-dimensional Gaussian integral.

A particle acts on the others by its charge, its weight times its second layer a, shape (p,), and
moves a times as fast as `drift` says.  A field knows the problem, not the particles' state.

Builds on `task`, `rules`, `pairs` and `hermite`.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from twolayer.conditional import split_at_kinks
from twolayer.errors import InvalidInput
from twolayer.hermite import HermiteField
from twolayer.matrices import second_layer
from twolayer.pairs import PairField
from twolayer.rules import beyond, fewer, gauss_hermite, panels, radius_and_angle
from twolayer.task import Task

Array = np.ndarray

SELF_TERMS = ("exact", "independent", "none")

#: Values of σ in flight when the grid is summed over the angle.
_CHUNK = 2_000_000
#: A grid beyond this many numbers would not fit in memory, nor be done in time.
_MAX_GRID = 3 * 10**8
_MAX_NODES = 200
#: Pre-activations that vary less outside the target span are taken to vary by this.
_LEAST = 1e-9
#: Pairs at a node in ξ that cost as much as one particle at one node in z.
_PAIRS_PER_NODE = {True: 4, False: 35}  # at d = ∞, with one term of the series; at finite d


class Field(Protocol):
    """What `solve_mean_field` needs."""

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt) over a."""
        ...

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔], which moves the second layer."""
        ...

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        ...


def make_field(
    task: Task,
    L: Array,
    p: int,
    outside: float,
    self_term: str,
    nodes: int,
    a_star: Array | None = None,
) -> Field:
    """The field of so many particles, in the cheapest form.

    Parameters
    ----------
    task : Task
    L : array, shape (k, k)
        Targets in the orthonormal basis: P = L Lᵀ.
    p : int
        Number of particles.
    outside : int or math.inf
        d − k.
    self_term : str
        One of `SELF_TERMS`.
    nodes : int
        Quadrature nodes a direction.
    a_star : array, shape (k,), optional
        Second layer of the targets; ones by default.

    Returns
    -------
    Field
    """
    if nodes > _MAX_NODES:
        raise InvalidInput("nodes", str(nodes), f"at most {_MAX_NODES}")
    closed = task.activation.name if task.closed else None
    if closed == "square":
        return SquareField(L, outside, self_term, a_star)
    if closed == "erf":
        few = _pairs_are_cheaper(p, len(L), outside, nodes)
        return (PairField if few else HermiteField)(L, outside, self_term, nodes, a_star)
    points = math.prod(x.size for x, _ in _target_axes(task, L, nodes))
    if p * points * (nodes if 0 < outside < math.inf else 1) > _MAX_GRID:
        allowed = "such that p·nodes^k (nodes^(k+1) at finite d) is below 3e8"
        raise InvalidInput("nodes", f"{nodes} for k = {len(L)}, p = {p}", allowed)
    return GridField(task, L, outside, self_term, nodes, a_star)


def _target_axes(task: Task, L: Array, nodes: int) -> list[tuple[Array, Array]]:
    """A rule for each coordinate of z, split at the kinks of its target where targets are axes."""
    kinks, scale = np.array(task.target_activation.kinks), np.diagonal(L)
    if not kinks.size or np.abs(L - np.diag(scale)).max() > 0:
        return [gauss_hermite(nodes)] * len(L)
    return [panels(kinks / own, nodes) for own in scale]


def _pairs_are_cheaper(p: int, k: int, outside: float, nodes: int) -> bool:
    """Square roots of all pairs against the series of all particles on the grid."""
    far = outside in (0, math.inf)
    pairs = p * (1 if far else fewer(nodes))
    return pairs < _PAIRS_PER_NODE[far] * nodes**k


class SquareField:
    """σ(x) = x² in closed form (arXiv:2302.05882, section 4), for general P."""

    def __init__(
        self, L: Array, outside: float, self_term: str, a_star: Array | None = None
    ) -> None:
        mean = second_layer("a_star", a_star, len(L)) / len(L)
        self.target = (L.T * mean) @ L  # f* = zᵀ target z
        self.self_term = self_term
        # E[Ξ_ij²] between different particles
        self.second_moment = 1 / outside if outside else 0.0

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt); costs O(p k²)."""
        norm = (alpha**2).sum(1) + q
        error = self.target - (alpha * charge[:, None]).T @ alpha
        mean = np.trace(error) - charge @ q
        d_alpha = 2 * mean * alpha + 4 * alpha @ error
        dq = 4 * mean * q - 8 * self.second_moment * q * (charge @ q)
        if self.self_term != "none":
            d_alpha -= 4 * (charge * q)[:, None] * alpha
            dq += 8 * self.second_moment * charge * q**2
            if self.self_term == "exact":
                dq -= 8 * charge * norm * q
        return d_alpha, dq

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔]."""
        inside = (alpha**2).sum(1)
        error = self.target - (alpha * charge[:, None]).T @ alpha
        out = (inside + q) * (np.trace(error) - charge @ q)
        out += 2 * ((alpha @ error) * alpha).sum(1) - 2 * self.second_moment * q * (charge @ q)
        if self.self_term != "none":
            out -= 2 * charge * (2 * inside * q + (1 - self.second_moment) * q**2)
        return out

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        error = self.target - (alpha * charge[:, None]).T @ alpha
        mean = np.trace(error) - charge @ q
        spread = (error**2).sum() + self.second_moment * (charge @ q) ** 2
        if self.self_term != "none":
            own = 2 * (alpha**2).sum(1) * q + (1 - self.second_moment) * q**2
            spread += charge**2 @ own
        return float(mean**2 / 2 + spread)


class GridField:
    """Any activation on a grid of (z, ρ), with a rule in u (or in ξ at d = ∞) at every node."""

    def __init__(
        self,
        task: Task,
        L: Array,
        outside: float,
        self_term: str,
        nodes: int,
        a_star: Array | None = None,
    ) -> None:
        k = len(L)
        axes = _target_axes(task, L, nodes)
        self.activation, self.self_term = task.activation, self_term
        radius, w_radius, self.angle, self.w_angle = radius_and_angle(outside, nodes)
        grid = np.meshgrid(*(x for x, _ in axes), radius, indexing="ij")
        self.z = np.stack(grid[:-1], -1).reshape(-1, k)
        self.radius = grid[-1].ravel()
        weights = np.meshgrid(*(w for _, w in axes), w_radius, indexing="ij")
        self.w_grid = np.prod(np.stack(weights, -1).reshape(-1, k + 1), axis=1)
        self.target = (
            task.target_activation.sigma(self.z @ L.T) @ second_layer("a_star", a_star, k) / k
        )
        self.pair = Task(task.activation).forms  # of two students
        self.outside, self.split = outside, split_at_kinks(task.activation)
        # One kink may lie at zero, and does for most; others are met as smooth functions are.
        middle = np.zeros(min(len(self.split.kinks), 1))
        self.line, self.w_line = panels(middle, 2 * nodes + 20)

    def averages(self, alpha: Array, q: Array, derivatives: bool = True) -> Array:
        """E_u σ(λ) and, if asked for, E_u σ'(λ) and E_u[ξ σ'(λ)], (1 or 3, p, nodes)."""
        inside = alpha @ self.z.T
        slope = np.sqrt(q)[:, None] * self.radius
        out = np.empty((3 if derivatives else 1, *inside.shape))
        size = max(1, _CHUNK // (inside.shape[1] * self.angle.size))
        for start in range(0, len(q), size):
            here = slice(start, start + size)
            fields = inside[here, :, None] + slope[here, :, None] * self.angle
            apart = self.outside > 1  # a coordinate of two points or one is summed as it is
            sigma = self.split.smooth if apart else self.activation.sigma
            out[0, here] = sigma(fields) @ self.w_angle
            if derivatives:
                sigma = self.split.smooth_slope if apart else self.activation.derivative
                derivative = sigma(fields)
                out[1, here] = derivative @ self.w_angle
                out[2, here] = derivative @ (self.w_angle * self.angle) * self.radius
        if self.outside > 1:
            for kink, jump in zip(self.split.kinks, self.split.jumps, strict=True):
                out += jump * self._kink(inside - kink, slope, len(out))
        return out

    def _kink(self, mean: Array, slope: Array, count: int) -> Array:
        """E_u max(λ, 0), P(λ > 0) and E_u[ξ; λ > 0], the first `count` of them, in closed form."""
        least = np.maximum(slope, _LEAST)
        above, first = beyond(-mean / least, self.outside)
        return np.stack((mean * above + least * first, above, first * self.radius))[:count]

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt); costs one pass over grid and angle for every particle."""
        root = np.sqrt(q)
        S, D, E = self.averages(alpha, q)
        error = self.w_grid * (self.target - charge @ S)
        d_alpha = (D * error) @ self.z
        dq = root * (E @ error)
        if self.self_term != "none":
            # Replace the particle's independent copy, which `error` holds, by itself.
            copy = S * self.w_grid
            own = charge * self._self_force(alpha, q)
            d_alpha += charge[:, None] * ((D * copy) @ self.z) - own[:, None] * alpha
            dq += charge * root * (E * copy).sum(1)
            dq += (
                charge * self._uncorrelated(alpha, q)
                if self.self_term == "independent"
                else -own * q
            )
        return d_alpha, 2 * dq

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔]."""
        S = self.averages(alpha, q, derivatives=False)[0]
        out = S @ (self.w_grid * (self.target - charge @ S))
        if self.self_term != "none":
            out -= charge * self._own_variance(alpha, q, S)
        return out

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        S = self.averages(alpha, q, derivatives=False)[0]
        out = self.w_grid @ (self.target - charge @ S) ** 2
        if self.self_term != "none":
            out += charge**2 @ self._own_variance(alpha, q, S)
        return float(out) / 2

    def _own_variance(self, alpha: Array, q: Array, S: Array) -> Array:
        """E[σ(λ)²] less what an independent copy has in common with the particle."""
        return self.activation.sigma(self._line(alpha, q)) ** 2 @ self.w_line - S**2 @ self.w_grid

    def _line(self, alpha: Array, q: Array) -> Array:
        return np.sqrt((alpha**2).sum(1) + q)[:, None] * self.line

    def _self_force(self, alpha: Array, q: Array) -> Array:
        """E[σ'(λ) v σ(λ)] / cov(v, λ), the same for every Gaussian v: E[λσσ'] / E[λ²]."""
        fields = self._line(alpha, q)
        moment = fields * self.activation.sigma(fields) * self.activation.derivative(fields)
        variance = (alpha**2).sum(1) + q
        return (moment @ self.w_line) / np.where(variance > 0, variance, 1.0)

    def _uncorrelated(self, alpha: Array, q: Array) -> Array:
        """Minus E[σ'(λ) λ^⊥ σ(λ')], λ' being λ but for a covariance with λ^⊥ of zero."""
        n = (alpha**2).sum(1) + q
        Omega = np.zeros((len(q), 3, 3))
        Omega[:, 0, 0] = Omega[:, 2, 2] = Omega[:, 0, 2] = Omega[:, 2, 0] = n
        Omega[:, 0, 1] = Omega[:, 1, 0] = Omega[:, 1, 1] = q
        c = np.array([0.0, 0.0, 1.0])
        return -self.pair.drift(Omega, c, 1)[:, 0, 1]
