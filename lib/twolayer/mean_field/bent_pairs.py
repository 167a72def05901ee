r"""The field of particles whose activation is two straight lines that meet at zero, by pairs.

ReLU, leaky ReLU and the absolute value are σ(x) = c + e x + h |x|, whose moments are closed.  Of
units of standard deviations s and t with correlation ρ,

    slopes = e² + (2/π) h² asin ρ,   bends = (2/π) h² (t/s) √(1 − ρ²) + √(2/π) h c/s,
    E[σ σ] = c² + e² s t ρ + (2/π) h² s t (√(1 − ρ²) + ρ asin ρ) + √(2/π) c h (s + t),

the arc-cosine kernels of order 0 and 1 (Y. Cho & L. K. Saul, NIPS 22, 342 (2009)).  At ρ = ±1 they
have roots: a rule in the angle φ, ξ = sin φ, takes them, one in ξ does not.  Compiled where numba
is installed (`kernels.particles`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer.activations.activation import Activation
from twolayer.activations.gauss_rules import scalar_product_by_angle
from twolayer.activations.series import Moments, Units, moments, units
from twolayer.mean_field.pairs import (
    Itself,
    PairField,
    Pull,
    Seen,
    over_rows,
    square_of_targets,
    without_diagonal,
)
from twolayer.problem.task import Task
from twolayer.support.arrays import Array

_SCALE, _ROOT = 2 / np.pi, np.sqrt(2 / np.pi)
#: Standard deviations below this are taken for it.
_LEAST = 1e-150
#: Where the two lines are looked at.
_SOMEWHERE = 0.7390851332151607
#: Terms of the series for another target to begin with, and at most; what it may be off by.
_ORDER, _MOST, _SETTLED = 48, 400, 1e-10


@dataclass(frozen=True)
class Bent:
    """σ(x) = c + e x + h |x|."""

    c: float
    e: float
    h: float


def bent(activation: Activation) -> Bent | None:
    """The two lines that an activation is made of, if it is, and if they meet at zero.

    Examples
    --------
    >>> from twolayer.activations import get
    >>> bent(get("relu")), bent(get("tanh"))
    (Bent(c=0.0, e=0.5, h=0.5), None)
    """
    of = activation.split
    if activation.kinks != (0.0,) or of.jumps.any() or not of.straight:
        return None
    below, above = of.rest(np.array([-_SOMEWHERE, _SOMEWHERE]))
    h = float(of.corners[0]) / 2
    return Bent(float(above + below) / 2, float((above - below) / (2 * _SOMEWHERE)) + h, h)


class BentPairField(PairField):
    """Two straight lines by pairs, for any target."""

    def __init__(
        self,
        task: Task,
        L: Array,
        outside: float,
        self_term: str,
        nodes: int,
        a_star: Array | None = None,
    ) -> None:
        super().__init__(L, self_term, a_star)
        student = bent(task.activation)
        if student is None:
            raise ValueError(f"{task.activation.name} is not two lines that meet at zero")
        self.of, self.target = student, bent(task.target_activation)
        self.splits = task.activation.split, task.target_activation.split
        self.t = np.sqrt((L**2).sum(1))
        self.target_units: dict[int, Units] = {}
        self.xi, self.w_xi = scalar_product_by_angle(outside, nodes)
        self.target_square = square_of_targets(task, L, self.mean)

    def pull(self, seen: Seen, charge: Array) -> Pull:
        """By arc-cosine kernels; O(p² nodes)."""
        c, e, h = self.of.c, self.of.e, self.of.h
        alpha, s, sums = seen.alpha, _size(seen), self._over_pairs(seen, charge)
        kinked = _SCALE * h**2 * sums
        own = (kinked[:, -1] + _ROOT * h * c * self._of_others(charge, np.ones_like(s))) / s
        inward = e**2 * self._of_others(charge, alpha) + kinked[:, :-2]
        to = self._with_targets(alpha, s)
        inward -= (to.slopes * self.mean) @ self.L
        return Pull(inward, kinked[:, -2], own - to.bends @ self.mean)

    def products(self, seen: Seen, charge: Array) -> tuple[Array, Array]:
        """By homogeneity, from the same sums as the pull."""
        c, e, h = self.of.c, self.of.e, self.of.h
        alpha, s, sums = seen.alpha, _size(seen), self._over_pairs(seen, charge)
        kinked = s * sums[:, -1] + (alpha * sums[:, :-2]).sum(1) + seen.root * sums[:, -2]
        out = e**2 * (alpha * self._of_others(charge, alpha)).sum(1) + _SCALE * h**2 * kinked
        if c:
            units = self._of_others(charge, np.ones_like(s))
            out += c**2 * units + _ROOT * c * h * (s * units + self._of_others(charge, s))
        return out, self._with_targets(alpha, s).values @ self.mean

    def alone(self, seen: Seen) -> Itself:
        """In closed form."""
        c, e, h = self.of.c, self.of.e, self.of.h
        s = _size(seen)
        bend, lines = _ROOT * c * h / s, e**2 + h**2
        square = c**2 + lines * seen.variance + 2 * _ROOT * c * h * s
        return Itself(square, lines + bend, bend)

    def left_out(self, alpha: Array, q: Array, charge: Array) -> float:
        """What the series with a target of another kind says of itself."""
        if self.target is not None:
            return 0.0
        s = _size(self.see(alpha, q))
        return self._in_series(np.clip(alpha @ self.L.T / np.outer(s, self.t), -1.0, 1.0), s)[1]

    def _over_pairs(self, seen: Seen, charge: Array) -> Array:
        """Σ_j w_j of asin ρ α_j, of ξ asin ρ √q_j, and of √(1 − ρ²) s_j, (p, k + 2)."""
        s = _size(seen)
        unit = seen.alpha / s[:, None], seen.root / s
        state = (*unit, charge * s, self.xi, self.w_xi, self.itself)
        return over_rows("bent_sums", plain_sums, state, (len(s), len(s)), 2 * self.xi.size)

    def _of_others(self, charge: Array, values: Array) -> Array:
        """Σ_j w_j values_j for each particle, without itself where it is apart."""
        of_each = (charge * values.T).T
        return of_each.sum(0) - (of_each if self.itself else 0 * of_each)

    def _with_targets(self, alpha: Array, s: Array) -> Moments:
        """The moments of particles with targets, (p, k); the gains are not needed."""
        scale = np.outer(s, self.t)
        rho = np.clip(alpha @ self.L.T / scale, -1.0, 1.0)
        if self.target is None:
            return self._in_series(rho, s)[0]
        one, other = self.of, self.target
        angle, across = np.arcsin(rho), np.sqrt((1 - rho) * (1 + rho))
        hh = _SCALE * one.h * other.h
        values = one.c * other.c + scale * (one.e * other.e * rho + hh * (across + rho * angle))
        values += _ROOT * (one.c * other.h * self.t + one.h * other.c * s[:, None])
        slopes = one.e * other.e + hh * angle
        bends = (hh * across * self.t + _ROOT * one.h * other.c) / s[:, None]
        return Moments(values, slopes, bends, slopes)

    def _in_series(self, rho: Array, s: Array) -> tuple[Moments, float]:
        """The same for a target of another kind, and what it may be off by."""
        student, target = self.splits
        order = _ORDER
        while True:
            if order not in self.target_units:
                self.target_units[order] = units(target, self.t, order)
            here, there = units(student, s, order), self.target_units[order]
            found, off = moments(here, there, rho, same=False)
            if off <= _SETTLED or 2 * order > _MOST:
                return found, off
            order *= 2


def _size(seen: Seen) -> Array:
    """Standard deviations of the pre-activations."""
    return np.maximum(np.sqrt(seen.variance), _LEAST)


def plain_sums(
    inside: Array,
    root: Array,
    weight: Array,
    xi: Array,
    w_xi: Array,
    itself: bool,
    start: int,
    stop: int,
) -> Array:
    """What `kernels.particles.bent_sums` computes, in NumPy."""
    G, R = inside[start:stop] @ inside.T, root[start:stop, None] * root
    mean, first, across = np.zeros((3, *G.shape))
    for x, w in zip(xi, w_xi, strict=True):
        rho = np.clip(G + x * R, -1.0, 1.0)
        angle = w * np.arcsin(rho)
        mean += angle
        first += x * angle
        across += w * np.sqrt((1 - rho) * (1 + rho))
    if itself:
        mean, first, across = (without_diagonal(of, start) for of in (mean, first, across))
    return np.column_stack(((mean * weight) @ inside, first @ (weight * root), across @ weight))
