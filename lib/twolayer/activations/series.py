r"""Gaussian moments of pairs of units, by Mehler's series and, for kinks, in closed form.

With a unit's pre-activation u = s g, g standard normal, and normalised Hermite polynomials h_r,

    E[f(g) e(ρ g + √(1 − ρ²) g')] = Σ_r ρ^r E[f h_r] E[e h_r],

so that functions are seen unit by unit and not pair by pair.  The coefficients of σ(s g) give
those of its derivatives, √(r + 1) f_(r+1)/s being the coefficients of σ'.  Four moments of a
student σ and a unit τ make up all that the flow needs but Ψ^Var:

    values E[σ τ],   slopes E[σ' Dτ],   bends E[Dσ' τ],   gains E[σ' τ'].

Here σ' is the slope that SGD goes by, which knows nothing of jumps, and D the derivative that
Stein's lemma means: a jump of τ is a peak of Dτ, and a corner of σ one of Dσ'.  A function is a
sum of steps, ramps and a rest (`kinks`).  Two kinks have closed moments (`orthants`), so that the
series is left with products in which one factor at least is smooth.  Where two units have the same
function, what the truncated series leaves of their rests' moments with themselves, which are
integrals on a line, is shared by those that nearly agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from twolayer.activations import orthants
from twolayer.activations.gauss_rules import FAR, panels
from twolayer.activations.kinks import Split
from twolayer.support.arrays import Array

#: Points of the line for each term, at least and at most; points of a panel, at least.
_PER_TERM, _FEWEST, _MOST, _PANEL = 20, 960, 7680, 48
#: Quarters of a sum that go on after its last one.
_LEFT = 8.0
#: Where a function is looked at, no kink being just there.
_ORIGIN, _SOMEWHERE = 1.4e-10, 0.7390851332151607
#: Kinks beyond so many standard deviations are not met.
_UNMET = 9.5
#: Of a function, what is nothing but rounding; and what keeps 0/0 away.
_NOTHING, _TINY = 1e-12, 1e-300
#: Pairs of kinks in flight.
_IN_FLIGHT = 500_000


class Moments(NamedTuple):
    """Four moments of pairs of units, each (rows, columns); see the module."""

    values: Array
    slopes: Array
    bends: Array
    gains: Array


@dataclass(frozen=True, eq=False)
class Units:
    """n units with one activation, seen along normal variables of their own.

    Attributes
    ----------
    size : array, shape (n,)
        Standard deviations s of the pre-activations.
    kinks : Split
        The kinks that are met.
    kinked, whole : array, shape (4, order, n)
        Hermite coefficients of σ, Dσ, σ' and Dσ': of the kinks alone, and of all.
    left_over : array, shape (3, n)
        What the series leaves of E[f²], E[f'²] and E[f f''] of the rest f, each of one unit.
    hidden : array, shape (n,)
        The part of it that is too much for a series that goes on like its last quarter: there are
        terms far beyond the last.
    unresolved : float
        Change of the coefficients with every second point of the line left out, relative.
    """

    size: Array
    kinks: Split
    kinked: Array
    whole: Array
    left_over: Array
    hidden: Array
    unresolved: float


def units(of: Split, size: Array, order: int) -> Units:
    """Coefficients of an activation at these sizes; costs O(n · order) points of a line."""
    met = of.within(_UNMET * size.max(initial=0.0))
    origin = met.rest(np.full(1, _ORIGIN))[0]  # taken out: small sizes then lose no digits
    (f, itself), unresolved = _rest(met, origin, size, order + 2)
    roots = np.sqrt(np.arange(1.0, order + 2))
    slopes = f[:, 1:] * roots / size[:, None]
    bends = slopes[:, 1:] * roots[:-1] / size[:, None]
    f, slopes = f[:, :order].copy(), slopes[:, :order]
    products = np.stack((f**2, slopes**2, f * bends))
    # A sum that goes on like a power has no more left than a few times its last quarter.
    most = _LEFT * np.abs(products[:, :, order - order // 4 :]).sum(2)
    left_over = itself - products.sum(2)
    least = _NOTHING * (itself[0] + origin**2) / size ** np.array([[0], [2], [2]])
    hidden = np.maximum(np.abs(left_over) - most, 0.0) / (np.abs(itself) + least + _TINY)
    f[:, 0] += origin
    kinked = _of_kinks(met, size, order)
    return Units(
        size=size,
        kinks=met,
        kinked=kinked,
        whole=kinked + np.stack((f.T, slopes.T, slopes.T, bends.T)),
        left_over=left_over,
        hidden=hidden.max(0),
        unresolved=unresolved,
    )


def _rest(of: Split, origin: float, size: Array, order: int) -> tuple[tuple[Array, Array], float]:
    """Coefficients of the rest, (n, order), its moments with itself, (3, n); their error."""
    if of.straight:
        f = np.zeros((size.size, order))
        f[:, 1] = np.diff(of.rest(np.array([-_SOMEWHERE, _SOMEWHERE])))[0] / (2 * _SOMEWHERE) * size
        slope = f[:, 1] / size
        return (f, np.stack((f[:, 1] ** 2, slope**2, 0 * slope))), 0.0
    breaks = np.array(sorted((*of.bends, *of.kinks)))
    if breaks.size:
        points = max(_PANEL, order)
        rules = [panels(breaks / size[:, None], n) for n in (points, points // 2)]
        found, coarse = (_projected(of, origin, size, x, w, order) for x, w in rules)
    else:
        x, w, H = line(order, min(max(_PER_TERM * order, _FEWEST), _MOST))
        values = of.rest(size[:, None] * x) - origin, of.rest_slope(size[:, None] * x)
        half = [f[:, ::2] for f in values]
        found = values[0] @ H, _squares(*values, size, x, w)
        coarse = 2 * (half[0] @ H[::2]), 2 * _squares(*half, size, x[::2], w[::2])
    itself, least = np.abs(found[1]).max(1, initial=0.0), _NOTHING / size.min(initial=1.0) ** 2
    changed = np.abs(found[1] - coarse[1]).max(1, initial=0.0)
    off = (changed / (itself + least * (itself[0] + origin**2) + _TINY)).max()
    coefficients = np.abs(found[0] - coarse[0]).max(initial=0.0)
    return found, float(max(off, coefficients / (np.sqrt(itself[0]) + abs(origin) + _TINY)))


def _projected(
    of: Split, origin: float, size: Array, x: Array, w: Array, order: int
) -> tuple[Array, Array]:
    """Coefficients, and moments with itself, by a rule for each unit."""
    rest, slope = of.rest(size[:, None] * x) - origin, of.rest_slope(size[:, None] * x)
    f = np.einsum("nx,rnx->nr", rest, _times_hermite(x, w, order))
    return f, _squares(rest, slope, size, x, w)


def _squares(rest: Array, slope: Array, size: Array, x: Array, w: Array) -> Array:
    """E[f²], E[f'²] and E[f f''] of the rest of each unit, (3, n)."""
    values, slopes = (rest**2 * w).sum(1), (slope**2 * w).sum(1)
    return np.stack((values, slopes, (rest * slope * x * w).sum(1) / size - slopes))


def _of_kinks(of: Split, size: Array, order: int) -> Array:
    """Coefficients of the steps and ramps of σ, of Dσ, of σ' and of Dσ', (4, order, n)."""
    if not of.kinks.size:
        return np.zeros((4, order, size.size))
    ramp, step, peak = orthants.coefficients(of.kinks / size[:, None], order)
    s = size
    corner_steps, jump_peaks = step @ of.corners, peak @ of.jumps / s
    return np.stack(
        (
            step @ of.jumps + s * (ramp @ of.corners),
            corner_steps + jump_peaks,
            corner_steps,
            peak @ of.corners / s,
        )
    )


def moments(first: Units, second: Units, rho: Array, same: bool) -> tuple[Moments, float]:
    """The moments of all pairs with correlations ρ (rows, columns), and how far off they may be.

    `same` says whether both have the same activation; the error is relative to the size of the
    functions.  Costs O(rows · columns · order).
    """
    value, slope, own, bend = range(4)
    left, right = [value, own, bend, own], [value, slope, value, own]
    found, end = _mehler(first.whole[left], second.whole[right], rho)
    kinks = bool(first.kinks.kinks.size and second.kinks.kinks.size)
    if kinks:
        apart, end_apart = _mehler(first.kinked[left], second.kinked[right], rho)
        found += _closed(first, second, rho) - apart
        end = end - end_apart
    order = first.whole.shape[1]
    error = np.abs(end)
    far = np.abs(rho) ** order
    hidden = far * np.sqrt(np.outer(first.hidden, second.hidden))
    if same:
        shared = far * np.sign(rho) ** (order % 2)
        unlike = np.abs(np.subtract.outer(first.size, second.size))
        unlike = np.minimum(2 * unlike / np.add.outer(first.size, second.size), 1.0)
        for moment, which in ((0, 0), (1, 1), (2, 2), (3, 1)):
            rest = _mean(first.left_over[which], second.left_over[which]) * shared
            found[moment] += rest
            error[moment] *= kinks
            error[moment] += np.abs(rest) * (1 - far + unlike)
        hidden *= 1 - far + unlike
    whole = first.whole[left], second.whole[right]
    sizes = [np.sqrt((of**2).sum(1).max(1, initial=0.0)) for of in whole]
    relative = error.max((1, 2), initial=0.0) / (sizes[0] * sizes[1] + _TINY)
    off = (relative.max(), hidden.max(initial=0.0), first.unresolved, second.unresolved)
    return Moments(*found), float(max(off))


def _mean(a: Array, b: Array) -> Array:
    """√(a_i b_j) with their sign, where they have one in common."""
    product = np.multiply.outer(a, b)
    return np.sign(a)[:, None] * np.sqrt(np.maximum(product, 0.0))


def _mehler(left: Array, right: Array, rho: Array) -> tuple[Array, Array]:
    """Σ_r ρ^r left_r right_r for several pairs of functions, and what its last quarter adds."""
    order = left.shape[1]
    out = np.zeros((len(left), *rho.shape))
    end, last = out, order - order // 4
    for r in reversed(range(order)):
        out = out * rho + left[:, r, :, None] * right[:, r, None, :]
        if r == last:
            end = out * rho**last
    return out, end


def _closed(first: Units, second: Units, rho: Array) -> Array:
    """All pairs of kinks, (4, rows, columns); some rows at a time."""
    pairs = first.kinks.kinks.size * second.kinks.kinks.size * rho.shape[1]
    length = max(1, _IN_FLIGHT // pairs)
    rows = [slice(start, start + length) for start in range(0, len(rho), length)]
    return np.concatenate([_closed_rows(first, second, rho, some) for some in rows], axis=1)


def _closed_rows(first: Units, second: Units, rho: Array, rows: slice) -> Array:
    s, t = first.size[rows, None], second.size[None, :]
    a = first.kinks.kinks / s[..., None]
    b = second.kinks.kinks / t[..., None]
    of = orthants.Pairs(a[..., :, None], b[..., None, :], rho[rows, :, None, None])

    def summed(weights: Array, of_pair: Array, others: Array) -> Array:
        return (of_pair @ others) @ weights

    J, K = first.kinks.jumps, first.kinks.corners
    jumps, corners = second.kinks.jumps, second.kinks.corners
    steps = summed(K, of.steps, corners)
    return np.stack(
        (
            summed(J, of.steps, jumps)
            + s * summed(K, of.ramp_step, jumps)
            + t * summed(J, of.step_ramp, corners)
            + s * t * summed(K, of.ramps, corners),
            summed(K, of.step_peak, jumps) / t + steps,
            (summed(K, of.peak_step, jumps) + t * summed(K, of.peak_ramp, corners)) / s,
            steps,
        )
    )


@lru_cache(maxsize=5)
def line(order: int, points: int) -> tuple[Array, Array, Array]:
    """Points x, weights w, and w h_r(x) for r < order, (points, order): spectrally accurate."""
    x = np.linspace(-FAR, FAR, points + 1)
    w = np.exp(-(x**2) / 2) * (x[1] - x[0]) / np.sqrt(2 * np.pi)
    return x, w, _times_hermite(x, w, order).T.copy()


def _times_hermite(x: Array, w: Array, order: int) -> Array:
    """W h_r(x) for r < order, h_r normalised, (order, ...)."""
    H = np.empty((order, *x.shape))
    H[0], H[1] = w, x * w
    for r in range(2, order):
        H[r] = (x * H[r - 1] - np.sqrt(r - 1) * H[r - 2]) / np.sqrt(r)
    return H
