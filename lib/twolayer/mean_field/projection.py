r"""Hermite coefficients of a smooth activation, for many standard deviations at once.

Of σ(s g), g standard normal, f_r = E[σ(s g) h_r(g)] with normalised Hermite polynomials h_r.  Those
of its derivatives are c_r = √(r + 1) f_(r+1)/s and b_r = √(r + 1) c_(r+1)/s.  As functions of s
they are smooth: in every step of √2 in s they are found once, at Chebyshev points and by a rule of
equal distances, which is spectrally accurate, and interpolated from then on (J.-P. Berrut & L. N.
Trefethen, SIAM Rev. 46, 501 (2004)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from twolayer.activations.activation import Activation
from twolayer.activations.series import line
from twolayer.support.arrays import Array

#: Standard deviations below this are taken for it; the moments are smooth there.
_LEAST = 1e-7
#: Terms and points of the line to begin with, and at most.
_TERMS, _MOST_TERMS, _POINTS, _MOST_POINTS = 24, 768, 240, 7680
#: Points of a step: a function that is analytic beside s = 0 is known to 11.6^−16 = 1e-17.
_CHEBYSHEV = 16
#: Change of a coefficient with twice the points; squares left over that may be rounding, relative.
_ROUNDING, _NOTHING = 1e-14, 1e-11
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Projection:
    """A smooth activation, in so many terms that what they leave of E[σ'²] is `settled` to it."""

    of: Activation
    settled: float
    #: What was found before: terms and points of the line for each step, and what twice the points
    #: still change; and f at its points in as many terms as another step needs, (points, order).
    rules: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    tables: dict[tuple[int, int], Array] = field(default_factory=dict)

    def __call__(self, size: Array) -> tuple[Array, Array, Array]:
        """The coefficients f, c and b of σ, σ' and σ'', each (order, units)."""
        size = np.maximum(size, _LEAST)
        step = _step(size)
        # A pair has as many terms as the larger of the two needs: so have all.
        largest = int(step.max())
        f = np.empty((self._rule(largest)[0] + 2, len(size)))
        for n in np.unique(step):
            here = step == n
            f[:, here] = (_interpolation(size[here] / _root(n)) @ self._table(int(n), largest)).T
        f, c, b = _with_slopes(f, size)
        f[0] += self._origin()
        return f, c, b

    def left_over(self, size: Array, c: Array) -> Array:
        """E[σ'²] − Σ_r c_r² of each unit: what the terms leave out, or could for all one knows."""
        size = np.maximum(size, _LEAST)
        chunks = np.array_split(size, 1 + len(size) // 64)
        whole = np.concatenate([self._square_of_slopes(some) for some in chunks])
        unseen = self._rule(int(_step(size).max()))[2]
        return np.maximum(whole - (c**2).sum(0), max(self.settled, unseen) * whole)

    def _origin(self) -> float:
        """Taken out of σ: small sizes then lose no digits."""
        return float(self.of.sigma(np.zeros(1))[0])

    def _square_of_slopes(self, size: Array) -> Array:
        x, w, _ = line(2, _MOST_POINTS)
        return self.of.derivative(size[:, None] * x) ** 2 @ w

    def _rule(self, n: int) -> tuple[int, int, float]:
        """Terms and points of the line that the step of √2 up to 2^(n/2) needs; their error."""
        if n not in self.rules:
            self.rules[n] = self._found(_root(n) * _POINTS_OF_STEP)
        return self.rules[n]

    def _table(self, n: int, largest: int) -> Array:
        """F at the points of a step, in the terms of the largest one."""
        if (n, largest) not in self.tables:
            size = _root(n) * _POINTS_OF_STEP
            self.tables[n, largest] = self._projected(size, *self._rule(largest)[:2])
        return self.tables[n, largest]

    def _found(self, size: Array) -> tuple[int, int, float]:
        order, points = _TERMS, _POINTS
        whole = self._square_of_slopes(size)
        while True:
            f, finer = (self._projected(size, order, n) for n in (points, 2 * points))
            change = float(np.abs(f - finer).max() / (np.abs(finer).max() + _TINY))
            if change > _ROUNDING and points < _MOST_POINTS:
                points *= 2
                continue
            unseen = order * change if change > _ROUNDING else 0.0  # a slope's is √order of it
            squares = _with_slopes(f.T, size)[1] ** 2
            left = np.cumsum(squares[::-1], axis=0)[::-1] / (whole + _TINY)  # term r and later ones
            hidden = np.abs(1 - left[0]).max() > max(self.settled, _NOTHING)
            if not hidden and left[order - order // 4].max() <= self.settled:
                matter = int((left.max(1) > self.settled).sum())
                return matter + 1, points, unseen  # the last term of σ' is the last but one of σ
            if order >= _MOST_TERMS:
                return order, points, unseen
            order *= 2

    def _projected(self, size: Array, order: int, points: int) -> Array:
        x, _, H = line(order + 2, points)
        return (self.of.sigma(size[:, None] * x) - self._origin()) @ H


@lru_cache(maxsize=8)
def projection(of: Activation, settled: float) -> Projection:
    """The same for all fields: what one has found another need not look for."""
    return Projection(of, settled)


def _step(size: Array) -> Array:
    """The step of √2 that a standard deviation lies in: up to 2^(n/2)."""
    return np.ceil(2 * np.log2(size)).astype(int)


def _root(n: int) -> float:
    return float(2.0 ** (n / 2))


def _with_slopes(f: Array, size: Array) -> tuple[Array, Array, Array]:
    """F, c and b, two terms less than are given, (order, units)."""
    roots = np.sqrt(np.arange(1.0, len(f)))[:, None]
    c = roots * f[1:] / size
    return f[:-2].copy(), c[:-1].copy(), roots[:-1] * c[1:] / size


#: Chebyshev points of [1/√2, 1], and their barycentric weights.
_ANGLES = np.pi * (np.arange(_CHEBYSHEV) + 0.5) / _CHEBYSHEV
_POINTS_OF_STEP = (1 + np.sqrt(0.5)) / 2 + (1 - np.sqrt(0.5)) / 2 * np.cos(_ANGLES)
_WEIGHTS = np.sin(_ANGLES) * (-1.0) ** np.arange(_CHEBYSHEV)


def _interpolation(x: Array) -> Array:
    """What takes values at the points to values at x, (x, points)."""
    gap = x[:, None] - _POINTS_OF_STEP
    gap[gap == 0] = 1e-30  # a point itself: its own weight is all there is
    ratio = _WEIGHTS / gap
    return ratio / ratio.sum(1, keepdims=True)
