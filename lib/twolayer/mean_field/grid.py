"""The field of particles of any kind, on a grid; `Field` of `twolayer.mean_field.field`."""

from __future__ import annotations

import numpy as np

from twolayer.activations.gauss_rules import beyond, gauss_hermite, panels, radius_and_angle
from twolayer.problem.matrices import second_layer
from twolayer.problem.task import Task
from twolayer.support.arrays import Array

#: Values of σ in flight when the grid is summed over the angle.
_CHUNK = 2_000_000
#: Pre-activations that vary less outside the target span are taken to vary by this.
_LEAST = 1e-9


def target_axes(task: Task, L: Array, nodes: int) -> list[tuple[Array, Array]]:
    """A rule for each coordinate of z, split at the kinks of its target where targets are axes."""
    kinks, scale = np.array(task.target_activation.kinks), np.diagonal(L)
    if not kinks.size or np.abs(L - np.diag(scale)).max() > 0:
        return [gauss_hermite(nodes)] * len(L)
    return [panels(kinks / own, nodes) for own in scale]


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
        axes = target_axes(task, L, nodes)
        self.activation, self.self_term = task.activation, self_term
        radius, w_radius, self.angle, self.w_angle = radius_and_angle(outside, nodes)
        grid = np.meshgrid(*(x for x, _ in axes), radius, indexing="ij")
        self.z = np.stack(grid[:-1], -1).reshape(-1, k)
        self.radius = grid[-1].ravel()
        weights = np.meshgrid(*(w for _, w in axes), w_radius, indexing="ij")
        self.w_grid = np.prod(np.stack(weights, -1).reshape(-1, k + 1), axis=1)
        a_star = second_layer("a_star", a_star, k)
        self.target = task.target_activation.sigma(self.z @ L.T) @ a_star / k
        self.pair = Task(task.activation).forms  # of two students
        self.outside, self.split = outside, task.activation.split
        # One kink may lie at zero, and does for most; others are met as smooth functions are.
        middle = np.zeros(min(len(self.split.kinks), 1))
        self.line, self.w_line = panels(middle, 2 * nodes + 20)

    def size(self, p: int) -> int:
        """Values of σ for p particles."""
        return p * self.w_grid.size * self.angle.size

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
            sigma = self.split.rest if apart else self.activation.sigma
            out[0, here] = sigma(fields) @ self.w_angle
            if derivatives:
                sigma = self.split.rest_slope if apart else self.activation.derivative
                derivative = sigma(fields)
                out[1, here] = derivative @ self.w_angle
                out[2, here] = derivative @ (self.w_angle * self.angle) * self.radius
        if self.outside > 1:
            of = self.split
            for kink, jump, corner in zip(of.kinks, of.jumps, of.corners, strict=True):
                above, *ramp = self._kink(inside - kink, slope)
                out[0] += jump * above + corner * ramp[0]
                if derivatives:
                    out[1] += corner * above
                    out[2] += corner * ramp[1]
        return out

    def _kink(self, mean: Array, slope: Array) -> tuple[Array, Array, Array]:
        """P(λ > 0), E_u max(λ, 0) and E_u[ξ; λ > 0], in closed form."""
        least = np.maximum(slope, _LEAST)
        above, first = beyond(-mean / least, self.outside)
        return above, mean * above + least * first, first * self.radius

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
            independent = self.self_term == "independent"
            dq += charge * self._uncorrelated(alpha, q) if independent else -own * q
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
