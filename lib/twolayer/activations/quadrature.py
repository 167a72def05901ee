r"""Gaussian expectations of any student σ and any target σ*, by quadrature.

Everything but Ψ^Var is made of moments of pairs of units (`series`).  With Stein's lemma

    E[σ'(u) v τ(w)] = cov(v, u) E[Dσ'(u) τ(w)] + cov(v, w) E[σ'(u) Dτ(w)]

for a third unit v, without any inverse and also where u and w are the same.  The series starts
with `order` terms and doubles until it has settled to a hundredth of the tolerance, or costs too
much.

Ψ^Var is an expectation over all units at once.  With kinks, and for a few smooth
students, it is taken in two steps (`conditional`); for many smooth ones it comes from randomised
quasi-Monte Carlo (scrambled Sobol points, always the same).  Everything says its own error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from twolayer.activations import conditional
from twolayer.activations.expectations import Expectations
from twolayer.activations.kinks import Slope, Split, split
from twolayer.activations.series import Moments, moments, units
from twolayer.support.arrays import Array

if TYPE_CHECKING:
    from twolayer.activations.activation import Activation

#: Terms of the series to begin with, and at most.
ORDER, MOST_TERMS = 48, 400
#: Points of Ψ^Var to begin with, a power of two, and the scramblings that they are split into.
POINTS, SCRAMBLINGS = 2**15, 8
#: Coordinates of points at most, and terms of Ψ^Var in two steps.
_MOST_COORDINATES, _MOST_TERMS_IN_STEPS = 2**21, 120
#: Pairs of students, times units squared, up to which two steps are cheaper for smooth functions.
_FEW = 2000
_TINY = np.finfo(float).tiny
#: Standard deviations below this are taken for it; the moments are smooth there.
_LEAST = 1e-7


@dataclass(frozen=True, eq=False)
class Quadrature(Expectations):
    """Expectations for a student and a target of any kind.

    `order` terms of the series to begin with; the steeper σ(s g), the more it needs (see `error`),
    at most 400.  `points` of Ψ^Var for smooth students are a power of two, split into
    `SCRAMBLINGS` scramblings; `tolerance` is relative to the sizes of the functions.

    Examples
    --------
    >>> from twolayer.activations.known import get
    >>> erf = get("erf")
    >>> Omega, c = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([-1.0, 1.0])
    >>> by_points, closed = (e.drift(Omega, c, 1) for e in (Quadrature(erf, erf), erf.forms))
    >>> bool(np.abs(by_points - closed).max() < 1e-12)
    True
    """

    closed = False

    student: Activation
    target: Activation
    order: int = ORDER
    points: int = POINTS
    tolerance: float = 1e-6

    @cached_property
    def splits(self) -> tuple[Split, Split]:
        """Student and target, their kinks apart."""
        return tuple(
            split(a.sigma, a.derivative, a.kinks, a.bends) for a in (self.student, self.target)
        )

    def two_point(self, Omega: Array, p: int) -> Array:
        return self._settled(self._two_point, Omega, p)[0]

    def coefficients(self, Omega: Array, c: Array, p: int) -> Array:
        if Omega.ndim > 2:
            return _for_each(lambda one: self.coefficients(one, c, p), Omega)
        return self._settled(self._coefficients, Omega, c, p)[0]

    def gain(self, Q: Array, d: int | None = None) -> Array:
        """With ‖x‖² by differences along Q."""
        if Q.ndim > 2:
            return _for_each(lambda one: self.gain(one, d), Q)
        gain = self._settled(self._gain, Q)[0]
        if d is None:
            return gain
        return gain + (2 / d) * Slope(lambda s: self.gain(s * Q), step=1e-3)(1.0)

    def variance(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """Continuous in Ω.  In two steps ‖x‖² is taken in by differences along Ω."""
        if Omega.ndim > 2:
            return _for_each(lambda one: self.variance(one, c, p, d), Omega)
        if not self._in_steps(len(Omega), p):
            return self._variances(Omega, c, p, d).mean(0)
        order = self.order if self.student.kinks else self.order // 2
        variance = conditional.variance(*self.splits, Omega, c, p, order)
        if d is None:
            return variance
        along = Slope(lambda s: self.variance(s * Omega, c, p), step=0.01)
        return variance + (2 / d) * along(1.0)

    def variance_beside(self, Omega: Array, c: Array, p: int, more: Array) -> Array:
        """`variance` at Ω + more moreᵀ, off by as much as it is at Ω, for differences."""
        if self._in_steps(len(Omega), p):
            return self.variance(Omega + np.outer(more, more), c, p)
        return self._variances(Omega, c, p, more=more).mean(0)

    def _in_steps(self, n: int, p: int) -> bool:
        # Points fall on either side of a kink: what they give is not continuous in Ω.
        kinks = bool(self.student.kinks or self.target.kinks)
        return kinks or p * (p + 1) // 2 * n**2 <= _FEW

    def variance_error(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """In two steps the change with half as many terms again, else the standard error."""
        if self._in_steps(len(Omega), p):
            finer = replace(self, order=self.order + self.order // 2)
            return np.abs(finer.variance(Omega, c, p) - self.variance(Omega, c, p))
        return self._variances(Omega, c, p, d).std(0, ddof=1) / np.sqrt(SCRAMBLINGS)

    def finer_variance(self, n: int, p: int, factor: float) -> Quadrature:
        if self._in_steps(n, p):
            most = max(self.order, _MOST_TERMS_IN_STEPS)
            return replace(self, order=min(2 * self.order, most))
        most = max(self.points, 2 ** int(np.log2(_MOST_COORDINATES / n)))
        return replace(self, points=min(2 ** int(np.ceil(np.log2(self.points * factor))), most))

    def error(self, Omega: Array, c: Array, p: int) -> float:
        """How far drift and risk may be off, relative to the sizes of what they are sums of.

        The larger of what the series says of itself and of what twice as many terms change.
        Excess risks below a millionth of the functions' squares are taken for as large.
        """
        B, off_drift = self._settled(self._coefficients, Omega, c, p)
        V, off_risk = self._settled(self._two_point, Omega, p)
        finer = replace(self, order=min(2 * self.order, MOST_TERMS))
        B_finer, V_finer = finer.coefficients(Omega, c, p), finer.two_point(Omega, p)
        size = np.abs(V_finer).max() + _TINY
        risk = max(abs(c @ V_finer @ c), 1e-6 * size)
        slopes = np.abs(B_finer).max() + 1e-6 * np.abs(c).max() * size / np.diagonal(Omega).max()
        changes = (
            np.abs(B_finer - B).max() / slopes,
            np.abs(V_finer - V).max() / size,
            abs(c @ (V_finer - V) @ c) / risk,
        )
        return float(max(off_drift, off_risk, *changes))

    def drift_error(self, Omega: Array, c: Array, p: int) -> float:
        return self._settled(self._coefficients, Omega, c, p)[1]

    def risk_error(self, Omega: Array, p: int) -> float:
        return self._settled(self._two_point, Omega, p)[1]

    def _settled(self, of: Callable[..., tuple[Array, float]], *state: Any) -> tuple[Array, float]:
        """Something and its error, with as many terms as it needs, or as are allowed."""
        order = self.order
        found, off = of(*state, order)
        while off > self.tolerance / 100 and 2 * order <= MOST_TERMS:
            order *= 2
            found, off = of(*state, order)
        return found, off

    def _two_point(self, Omega: Array, p: int, order: int) -> tuple[Array, float]:
        blocks, off = self._moments(Omega, p, order, ((0, 0), (0, 1), (1, 1)))
        own, cross, targets = (block.values for block in blocks)
        return np.block([[own, cross], [cross.T, targets]]), off

    def _coefficients(self, Omega: Array, c: Array, p: int, order: int) -> tuple[Array, float]:
        blocks, off = self._moments(Omega, p, order, ((0, 0), (0, 1)))
        bends, slopes = (np.concatenate([b[n] for b in blocks], axis=1) for n in (2, 1))
        B = c * slopes
        B[np.arange(p), np.arange(p)] += bends @ c
        return B, off

    def _gain(self, Q: Array, order: int) -> tuple[Array, float]:
        (block,), off = self._moments(Q, len(Q), order, ((0, 0),))
        return block.gains, off

    def _moments(
        self, Omega: Array, p: int, order: int, blocks: tuple[tuple[int, int], ...]
    ) -> tuple[list[Moments], float]:
        """The moments of students (0) and targets (1) with each other, and their error."""
        size = np.maximum(np.sqrt(np.maximum(np.diagonal(Omega), 0.0)), _LEAST)
        where = slice(0, p), slice(p, len(Omega))
        if all(of.straight for of in self.splits):
            order = 2  # all else is closed
        asked = {which for both in blocks for which in both}
        seen = {n: units(self.splits[n], size[where[n]], order) for n in asked}
        out = []
        for a, b in blocks:
            scale = np.outer(size[where[a]], size[where[b]])
            rho = np.clip(Omega[where[a], where[b]] / scale, -1.0, 1.0)
            if a == b:  # rounding of 1 is what an arcsine would take the root of
                np.fill_diagonal(rho, 1.0)
            same = a == b or self.student is self.target
            out.append(moments(seen[a], seen[b], rho, same))
        return [found for found, _ in out], max(off for _, off in out)

    def _variances(
        self, Omega: Array, c: Array, p: int, d: int | None = None, more: Array | None = None
    ) -> Array:
        values, vectors = np.linalg.eigh(Omega)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        out = np.empty((SCRAMBLINGS, p, p))
        for number in range(SCRAMBLINGS):
            normal = normal_points(len(Omega), self.points // SCRAMBLINGS, number)
            fields = normal @ root
            if more is not None:  # one more direction: of the two signs the odd terms cancel
                fields = np.concatenate((fields + more, fields - more))
            error = self.student.sigma(fields[:, :p]) @ c[:p]
            error += self.target.sigma(fields[:, p:]) @ c[p:]
            slopes = self.student.derivative(fields[:, :p]) * error[:, None]
            if d is None:
                out[number] = slopes.T @ slopes / len(fields)
            else:  # all of x that is seen; the mean of ‖x‖² is 1
                norm = 1 + (np.square(normal).sum(1) - len(Omega)) / d
                out[number] = (slopes.T * norm) @ slopes / len(fields)
        return out


def _for_each(of_one: Callable[[Array], Array], states: Array) -> Array:
    """A function of one matrix for many of them, with leading axes."""
    found = np.stack([of_one(one) for one in states.reshape(-1, *states.shape[-2:])])
    return found.reshape(*states.shape[:-2], *found.shape[1:])


@lru_cache(maxsize=32)
def normal_points(n: int, points: int, number: int) -> Array:
    """So many scrambled Sobol points in n dimensions, as normal variables, (points, n)."""
    # SciPy 1.15 calls it rng and still takes this name.
    sobol = scipy.stats.qmc.Sobol(n, scramble=True, seed=np.random.default_rng((n, number)))
    return scipy.special.ndtri(np.clip(sobol.random(points), 1e-16, 1 - 1e-16))
