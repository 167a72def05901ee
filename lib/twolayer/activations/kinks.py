r"""Where a function jumps or has a corner: found, measured, and taken out.

A function f that is smooth but for kinks κ is a sum

    f(x) = Σ_κ J_κ 1(x > κ) + K_κ max(x − κ, 0) + rest(x),

with the jumps J of f, the jumps K of f′, and a rest with neither.  The first two terms have
Gaussian moments in closed form (`orthants`), and the rest is one for quadrature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, shown

Function = Callable[[Array], Array]

#: Kinks are looked for up to here, in cells of this width.
_FAR, _CELL = 40.0, 1 / 64
#: More kinks than these are taken for none: the function is of another kind.
_MOST = 1000
#: Halvings of a cell: before the first look, between two looks, and until the place is known.
_FIRST, _BETWEEN, _LAST = 6, 6, 40
#: Jumps and corners that count, relative to the function and to its slope.
_JUMP, _CORNER = 1e-5, 1e-6
#: Fourth differences below this many roundings are nothing else.
_ROUNDINGS = 100
#: What one can do where this does not help.
_GIVE = "where you know better, give its kinks: Activation.of(σ, σ′, kinks=(…))"
#: Kinks nearer to each other than this cannot be told apart.
_APART = 8e-3
#: Beside a kink that is given nothing is looked for.
_BESIDE_GIVEN = 1e-3
#: On each side of a kink, to see what f and f′ are there.
_BESIDE = 1e-5


@dataclass(frozen=True)
class Slope:
    """The derivative of a function by differences that do not reach across its kinks.

    Right to about 1e-12 where the function is of order 1 and changes over lengths of order 1.

    Examples
    --------
    >>> slope = Slope(np.abs, kinks=(0.0,))
    >>> slope(np.array([-1e-9, 1e-9])).round(6)
    array([-1.,  1.])
    """

    function: Function
    kinks: tuple[float, ...] = ()
    step: float = 1e-4

    def __call__(self, x: Array) -> Array:
        """At x: the slope of the quartic through five points on one side of every kink."""
        f, h, x = self.function, self.step, np.asarray(x, dtype=float)
        middle = x
        if self.kinks:
            ends = np.array([-np.inf, *self.kinks, np.inf])
            cell = np.searchsorted(ends[1:-1], x, side="right")
            middle = np.clip(x, ends[cell] + 2.5 * h, ends[cell + 1] - 2.5 * h)
        y = (x - middle) / h
        weights = of_five_points(y)
        return sum(w * f(middle + n * h) for n, w in enumerate(weights, -2)) / h


def of_five_points(y: Any) -> tuple[Any, ...]:
    """What the slope at y of the quartic through values at −2, …, 2 has of each value."""
    return (
        (4 * y**3 - 6 * y**2 - 2 * y + 2) / 24,
        (-4 * y**3 + 3 * y**2 + 8 * y - 4) / 6,
        (4 * y**3 - 10 * y) / 4,
        (-4 * y**3 - 3 * y**2 + 8 * y + 4) / 6,
        (4 * y**3 + 6 * y**2 - 2 * y - 2) / 24,
    )


@dataclass(frozen=True, eq=False)
class Split:
    """A function, its kinks, and by how much f and f′ jump there; f′ has corners at the bends."""

    function: Function
    derivative: Function
    kinks: Array
    jumps: Array
    corners: Array
    bends: tuple[float, ...] = ()

    @property
    def straight(self) -> bool:
        """Whether the rest is nothing but a straight line."""
        bent = np.diff(self.rest(np.linspace(-9.1, 9.2, 37)), 2)
        return bool(np.abs(bent).max() < 1e-9)

    def within(self, far: float) -> Split:
        """The same with the kinks and bends between −far and far."""
        kept = np.abs(self.kinks) < far
        bends = tuple(x for x in self.bends if abs(x) < far)
        kinks = (self.kinks[kept], self.jumps[kept], self.corners[kept])
        return Split(self.function, self.derivative, *kinks, bends)

    def rest(self, x: Array) -> Array:
        """What is left of f without its kinks."""
        if not self.kinks.size:
            return self.function(x)
        passed = np.searchsorted(self.kinks, x, side="right")
        steps = _sums(self.jumps - self.corners * self.kinks)
        return self.function(x) - steps[passed] - _sums(self.corners)[passed] * x

    def rest_slope(self, x: Array) -> Array:
        """Its derivative."""
        if not self.kinks.size:
            return self.derivative(x)
        passed = np.searchsorted(self.kinks, x, side="right")
        return self.derivative(x) - _sums(self.corners)[passed]


def _sums(values: Array) -> Array:
    """Of the first n, for n from 0 on."""
    return np.concatenate(([0.0], np.cumsum(values)))


def split(
    function: Function,
    derivative: Function,
    kinks: tuple[float, ...],
    bends: tuple[float, ...] = (),
) -> Split:
    """The function as a sum of jumps, corners and a rest, given where they are.

    Examples
    --------
    >>> of = split(np.sign, np.zeros_like, (0.0,))
    >>> of.jumps.round(6), of.straight
    (array([2.]), True)
    """
    at = np.array(kinks, dtype=float)

    def across(f: Function) -> Array:
        after, before = (
            3 * f(at + side) - 3 * f(at + 2 * side) + f(at + 3 * side)
            for side in (_BESIDE, -_BESIDE)
        )
        return np.asarray(after - before, dtype=float)

    if not at.size:
        return Split(function, derivative, at, at, at, bends)
    jumps, corners = across(function), across(derivative)
    jumps[np.abs(jumps) < 1e-12 * (1 + np.abs(function(at + _BESIDE)))] = 0.0
    corners[np.abs(corners) < 1e-10 * (1 + np.abs(derivative(at + _BESIDE)))] = 0.0
    return Split(function, derivative, at, jumps, corners, bends)


def find_kinks(
    function: Function, given: tuple[float, ...] = ()
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The kinks and bends of a function from −40 to 40: cells are halved until one is seen.

    Halving a cell makes the fourth difference of a smooth function 16 times smaller, that at a
    bend four times, at a corner twice, at a jump not at all.  Kinks are right to 1e-9, bends to
    1e-5; nothing is looked for beside those given.  Costs some 500,000 values.

    Raises
    ------
    InvalidInput
        If there are more than can be told apart, or one is neither a jump nor a corner.

    Examples
    --------
    >>> find_kinks(lambda x: np.clip(x, -1, 1)), find_kinks(np.tanh)
    (((-1.0, 1.0), ()), ((), ()))
    """
    found = sorted(given)
    for _ in range(4):  # a look sees one kink a cell
        kinks = tuple(found)
        of = split(function, Slope(function, kinks), kinks)
        more, bends = _seen(of, given)
        found = sorted(found + [x for x in more if _distance(x, kinks) > 1e-7])
        if len(found) > _MOST or (np.diff(found) < _APART).any():
            break
        if len(found) == len(kinks):
            return kinks, tuple(x for x in bends if _distance(x, kinks) > _CELL)
    got = f"a function with {len(found)} kinks from {min(found):.6g} to {max(found):.6g} or more"
    allowed = f"with at most {_MOST} kinks, {_APART:g} apart; {_GIVE}"
    raise InvalidInput("sigma", got, allowed)


def _distance(x: float | Array, points: tuple[float, ...]) -> Array:
    """From the nearest of these points."""
    return np.abs(np.subtract.outer(x, points)).min(-1, initial=np.inf)


def _seen(of: Split, known: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """One kink and bend of the rest in each cell that has any, none beside those known."""
    size, steep = _scales(of.function)
    left, width = np.arange(-_FAR, _FAR, _CELL) + 0.271828 * _CELL, 2 * _CELL
    noise = _ROUNDINGS * _rounding(of, left)
    first, bends = noise, np.empty(0)
    for halving in range(_LAST):
        left, bent = _halve(of.rest, left, width)
        width /= 2
        if halving == _FIRST:
            kept = bent > noise
            left, noise, first = left[kept], noise[kept], bent[kept]
        if halving == _FIRST + _BETWEEN:
            new = _distance(left, known) > _BESIDE_GIVEN
            left, bent, first, noise = left[new], bent[new], first[new], noise[new]
            shrunk = np.log2(bent / first) / _BETWEEN
            bends = left[(shrunk > -3.3) & (shrunk < -1.4) & (bent > noise)] + width / 2
            left = left[_is_kink(left, bent, shrunk, noise, _JUMP * size, _CORNER * steep * width)]
    return _rounded(left + width / 2, 9), _rounded(bends, 5)


def _rounded(x: Array, digits: int) -> list[float]:
    return [float(value) for value in sorted(set(np.round(x, digits) + 0.0))]


def _is_kink(
    at: Array, bent: Array, shrunk: Array, noise: Array, jump: float, corner: float
) -> Array:
    """Which fourth differences are those of a jump or corner; `shrunk` is what a halving does."""
    jumps = (shrunk > -0.2) & (bent > jump)
    corners = (shrunk >= -1.4) & (shrunk < -0.7) & (bent > np.maximum(noise, corner))
    odd = (shrunk >= -0.7) & (shrunk <= -0.2) & (bent > np.maximum(noise, jump))
    if odd.any():
        got = f"neither smooth, nor a jump, nor a corner, at x = {at[odd][0]:.6g}"
        raise InvalidInput("sigma", got, f"piecewise smooth; {_GIVE}")
    return jumps | corners


def _halve(function: Function, left: Array, width: float) -> tuple[Array, Array]:
    """The half of each cell with the largest fourth difference, and that difference."""
    points = left[:, None] + width * np.linspace(0, 1, 9)
    with np.errstate(all="ignore"):
        bent = np.abs(np.diff(np.asarray(function(points), dtype=float), 4))
    bent[~np.isfinite(bent)] = 0.0
    where, here = bent.argmax(1), np.arange(len(left))
    return points[here, where], bent[here, where]


def _rounding(of: Split, x: Array) -> Array:
    """What rounding leaves of the function near x, and of the parts taken out of it."""
    with np.errstate(all="ignore"):
        values = np.asarray(of.function(x))
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(float)
        values = values.astype(float)
        size = np.abs(values) + np.abs(x * np.gradient(values, x))
    kinks = np.abs(of.corners).sum() * _FAR + np.abs(of.jumps).sum()
    size += kinks + 1e-3 * _scales(of.function)[0]
    return np.where(np.isfinite(size), np.finfo(kind).eps * size, np.inf)


def _scales(function: Function) -> tuple[float, float]:
    """The usual size of a function, and of its slope between its jumps."""
    x = np.linspace(-3, 3, 601) + 1e-4
    values = np.asarray(function(x), dtype=float)
    size = np.sqrt(np.mean(np.square(values))) + 1e-300
    return float(size), float(max(np.median(np.abs(np.diff(values))) / (x[1] - x[0]), size))


def check_derivative(function: Function, derivative: Function, kinks: tuple[float, ...]) -> None:
    """Refuse a derivative that is not the function's, by differences at many points."""
    x = np.linspace(-6, 6, 1501) + 3.14159e-3
    x = x[_distance(x, kinks) > 1e-2]
    fine, coarse = (Slope(function, kinks, step)(x) for step in (1e-4, 4e-4))
    given = np.asarray(derivative(x), dtype=float)
    size, steep = _scales(function)
    allowed = 1e-5 * (np.abs(fine) + steep) + 1e-9 * size + 10 * np.abs(fine - coarse)
    off = np.abs(given - fine) > allowed
    if off.any():
        worst = np.argmax(np.abs(given - fine) * off)
        got = f"{given[worst]:.6g} at x = {x[worst]:.4g}, where σ has the slope {fine[worst]:.6g}"
        text = "the derivative of σ, or left out: differences of σ will do"
        raise InvalidInput("derivative", shown(got).strip("'\""), text)
