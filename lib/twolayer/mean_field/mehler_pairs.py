r"""The field of particles with a smooth activation, by pairs and Mehler's series.

With u_i the unit vector of (α_i, √q_i), g the part of u_i·u_j inside the target span and h that
outside, the correlation of two particles is ρ = g + h ξ, and Mehler's series
(F. G. Mehler, J. reine angew. Math. 66, 161 (1866); see `activations.series`) averages to

    A_ij = Σ_r T_r c_ir c_jr,   B_ij = Σ_r U_r c_ir c_jr,   N_ij = Σ_r T_r b_ir f_jr,

f, c and b being the Hermite coefficients of σ, σ' and σ'', T_r = E_ξ[ρ^r] and U_r = E_ξ[ξ ρ^r].
Integrated by parts over the law of ξ, of density ∝ (1 − ξ²)^((D − 3)/2) with D = d − k,

    T_(r+1) = g T_r + h U_r,   U_(r+1) = (r + 1)/(r + D) (g U_r + h T_r),

from T_0 = 1 and U_0 = 0: Gegenbauer's polynomials.  So the average is exact, and all that is cut is
the series.  Compiled where numba is installed (`kernels.particles`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twolayer.activations.series import units
from twolayer.mean_field.pairs import (
    Itself,
    PairField,
    Pull,
    Seen,
    over_rows,
    square_of_targets,
    without_diagonal,
)
from twolayer.mean_field.projection import projection
from twolayer.problem.task import Task
from twolayer.support.arrays import Array

#: Of a row, the part that is left out; squares of coefficients that are, of smooth and of rough
#: targets, whose own coefficients hardly fall.
_SMALL, _SETTLED, _SETTLED_ALONE = 1e-12, 1e-10, 1e-15
#: Terms between two looks at what is left, and as long as an elementary function.
_CHECKED, _PER_FUNCTION = 8, 8
_TINY = 1e-300

#: Terms of A and of N.
_Two = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Resolved(Seen):
    """Particles with the Hermite coefficients of their activation, (order, p)."""

    f: Array
    c: Array
    b: Array

    @cached_property
    def unit(self) -> Array:
        """Directions (α, √q) of length one, (p, k + 1)."""
        whole = np.column_stack((self.alpha, self.root))
        return whole / np.maximum(np.sqrt(self.variance), _TINY)[:, None]


class MehlerPairField(PairField):
    """A smooth activation by pairs, for any target; as many terms as it takes, up to 768."""

    def __init__(
        self, task: Task, L: Array, outside: float, self_term: str, a_star: Array | None = None
    ) -> None:
        super().__init__(L, self_term, a_star)
        self.target = task.target_activation
        rough = self.target.kinks or self.target.bends
        self.projection = projection(task.activation, _SETTLED_ALONE if rough else _SETTLED)
        self.t = np.sqrt((L**2).sum(1))
        self.target_unit = np.column_stack((L / self.t[:, None], np.zeros(len(L))))
        self.target_terms: dict[int, Array] = {}
        self.target_square = square_of_targets(task, L, self.mean)
        self.outside = outside

    def see(self, alpha: Array, q: Array) -> Resolved:
        """With the coefficients."""
        seen = super().see(alpha, q)
        return Resolved(seen.alpha, q, *self.projection(np.sqrt(seen.variance)))

    def pull(self, seen: Resolved, charge: Array) -> Pull:
        """By the series; O(p² terms)."""
        load = np.column_stack((charge[:, None] * seen.alpha, charge * seen.root, charge))
        sums = self._over_particles(seen, (seen.c, seen.b), (seen.c, seen.f), load)
        load = np.column_stack((self.mean[:, None] * self.L, 0 * self.mean, self.mean))
        f, c = self._of_targets(len(seen.c))
        sums -= self._over_targets(seen, (seen.c, seen.b), (c, f), load)
        return Pull(sums[:, :-2], sums[:, -2], sums[:, -1])

    def products(self, seen: Resolved, charge: Array) -> tuple[Array, Array]:
        """By the series."""
        f, target = seen.f, self._of_targets(len(seen.f))[0]
        with_all = self._over_particles(seen, (f, 0 * f), (f, f), _alone(charge))
        with_target = self._over_targets(seen, (f, 0 * f), (target, target), _alone(self.mean))
        return with_all[:, 0], with_target[:, 0]

    def alone(self, seen: Resolved) -> Itself:
        """By Parseval's equation."""
        bend, slope = (seen.b * seen.f).sum(0), (seen.c**2).sum(0)
        return Itself((seen.f**2).sum(0), slope + bend, bend)

    def left_out(self, alpha: Array, q: Array, charge: Array) -> float:
        """What the drift may lack of the terms beyond the last, relative to its largest entry.

        By Cauchy's inequality for each pair, their E_ξ[ρ^r] being below that of the last even r.
        """
        seen = self.see(alpha, q)
        size, order = np.sqrt(seen.variance), len(seen.c)
        squares = self.projection.left_over(size, seen.c)
        last = order - 1 - (order - 1) % 2

        def only_last(values: Array) -> Array:
            terms = np.zeros((order, len(values)))
            terms[last] = values
            return terms

        left = only_last(np.sqrt(squares))
        _, c = self._of_targets(order)
        end = only_last(np.sqrt((c[order - order // 4 :] ** 2).sum(0)))
        lacking = self._over_particles(seen, (left, left), (left, left), _alone(charge * size))
        lacking += self._over_targets(seen, (left, left), (end, end), _alone(self.mean * self.t))
        lacking = lacking[:, 0] + self.itself * np.abs(charge) * squares * size
        drift = np.abs(np.column_stack(self.drift(alpha, q, charge))).max()
        return float((lacking * np.maximum(1.0, 2 * seen.root)).max() / (drift + _TINY))

    def _over_particles(self, seen: Resolved, left: _Two, right: _Two, load: Array) -> Array:
        return self._summed(seen.unit, seen.unit, left, right, load, self.itself)

    def _over_targets(self, seen: Resolved, left: _Two, right: _Two, load: Array) -> Array:
        return self._summed(seen.unit, self.target_unit, left, right, load, False)

    def _summed(
        self, rows: Array, columns: Array, left: _Two, right: _Two, load: Array, itself: bool
    ) -> Array:
        order = len(left[0])
        after = np.arange(1.0, order + 1)
        near = 0 < self.outside < math.inf
        turn = after / (after + (self.outside - 1)) if near else 0 * after  # (r + 1)/(r + D)
        state = (rows, columns, np.stack(left), np.stack(right), load, turn)
        state = (*state, _SMALL, _CHECKED, itself)
        pairs = len(rows), len(columns)
        return over_rows("mehler_sums", plain_sums, state, pairs, 1 + order // _PER_FUNCTION)

    def _of_targets(self, order: int) -> Array:
        """Coefficients of σ* and of Dσ*, (2, order, k)."""
        if order not in self.target_terms:
            whole = units(self.target.split, self.t, order).whole
            self.target_terms[order] = whole[:2]
        return self.target_terms[order]


def _alone(weight: Array) -> Array:
    """The load of a sum of nothing but A."""
    return np.outer(weight, [1.0, 0.0, 0.0])


def plain_sums(
    rows: Array,
    columns: Array,
    left: Array,
    right: Array,
    load: Array,
    turn: Array,
    small: float,
    checked: int,
    itself: bool,
    start: int,
    stop: int,
) -> Array:
    """What `kernels.particles.mehler_sums` computes, in NumPy."""
    g = rows[start:stop, :-1] @ columns[:, :-1].T
    h = rows[start:stop, -1:] * columns[:, -1]
    T, U = np.ones_like(g), np.zeros_like(g)
    T = without_diagonal(T, start) if itself else T
    mean, first, bends = np.zeros((3, *g.shape))
    tails = (np.sqrt(np.cumsum(of[0, ::-1] ** 2, axis=0)[::-1]) for of in (left, right))
    here, there = next(tails)[:, start:stop], next(tails) * np.abs(load).sum(1)
    least, active = small * here[0] * (T @ there[0]), np.ones((stop - start, 1))
    for r in range(len(turn)):
        if r % checked == 0:
            active = active * (here[r] * (np.abs(T) @ there[r]) > least)[:, None]
            if not active.any():
                break
        slope, bend = left[:, r, start:stop, None] * active
        both = slope * right[0, r]
        mean += both * T
        first += both * U
        bends += bend * right[1, r] * T
        T, U = g * T + h * U, turn[r] * (g * U + h * T)
    return np.column_stack((mean @ load[:, :-2], first @ load[:, -2], bends @ load[:, -1]))
