r"""Many eigenvalues cut into few groups that have the same moments.

The sorted eigenvalues are cut into parts, neighbours in each.  A part becomes two groups, of
dimensions a and b, with the values

    μ + σ √(b/a),   μ − σ √(a/b),

which have its dimension, mean μ and variance σ²: the moments (1/d) Σ d_g s_g^n are the same for
n = 0, 1 and 2.  Of all a the nearest to Gauss' two-point rule is taken, which has the third moment
too, and its nodes within the part; that one is the same up to the rounding of a.
"""

from __future__ import annotations

import numpy as np

from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput

#: Eigenvalues that differ by less than this part of the largest are one.
SAME = 1e-10
#: Below this part of the mean eigenvalues count as equally small where parts are chosen.
_SMALL = 1e-3


def distinct(eigenvalues: Array) -> tuple[Array, Array]:
    """Values and dimensions of sorted eigenvalues, those that are the same up to rounding as one.

    Examples
    --------
    >>> distinct(np.array([3.0, 1.0, 1.0 - 1e-14]))
    (array([3., 1.]), array([1, 2]))
    """
    apart = np.abs(np.diff(eigenvalues)) > SAME * np.abs(eigenvalues).max()
    starts = np.concatenate(([0], np.flatnonzero(apart) + 1))
    dimensions = np.diff(np.append(starts, eigenvalues.size))
    return np.add.reduceat(eigenvalues, starts) / dimensions, dimensions


def cut(eigenvalues: Array, groups: int) -> tuple[Array, Array]:
    """Values and dimensions of so many groups, or of fewer, of eigenvalues sorted downwards.

    Examples
    --------
    >>> s = np.linspace(2, 0, 1001)
    >>> values, dimensions = cut(s, groups=8)
    >>> [round(float(dimensions @ values**n / 1001 / (s**n).mean()), 3) for n in range(4)]
    [1.0, 1.0, 1.0, 1.0]
    """
    values, dimensions = distinct(eigenvalues)
    if values.size <= groups:
        return values, dimensions
    if groups == 1:
        allowed = f"more than 1: {values.size} eigenvalues that differ have a spread"
        raise InvalidInput("groups", "1", allowed)
    ends = _ends(eigenvalues, groups // 2)
    pairs = [_pair(part) for part in np.split(eigenvalues, ends)]
    of_values, of_dimensions = zip(*pairs, strict=True)
    return np.concatenate(of_values), np.concatenate(of_dimensions)


def _ends(eigenvalues: Array, parts: int) -> Array:
    """Where to cut: again and again the part that is the worst, where it does most.

    So the parts of more groups are parts of those of fewer.
    """
    sums = [np.concatenate(([0.0], np.cumsum(eigenvalues**n))) for n in (1, 2)]
    floor = _SMALL * eigenvalues.mean()

    def badness(start: Array | int, stop: Array | int) -> Array:
        """Of parts: their dimensions, and what they have of E‖x‖², times (σ/μ)³."""
        size = np.subtract(stop, start)
        mean, square = ((each[stop] - each[start]) / size for each in sums)
        spread = np.sqrt(np.maximum(square - mean**2, 0.0)) / np.maximum(mean, floor)
        return size * (1 + mean) * spread**3

    ends = [0, eigenvalues.size]
    while len(ends) <= parts:
        worst = int(np.argmax(badness(np.array(ends[:-1]), np.array(ends[1:]))))
        start, stop = ends[worst], ends[worst + 1]
        if stop - start < 2:
            break
        middle = np.arange(start + 1, stop)
        best = int(np.argmin(badness(start, middle) + badness(middle, stop)))
        ends.insert(worst + 1, int(middle[best]))
    return np.array(ends[1:-1], dtype=int)


def _pair(part: Array) -> tuple[Array, Array]:
    """Two groups with the dimension, mean and variance of a part; one if all of it is the same."""
    mean, centred = part.mean(), part - part.mean()
    spread = np.sqrt((centred**2).mean())
    if part.size == 1 or spread <= SAME * mean:
        return np.array([mean]), np.array([part.size])
    # Gauss' rule of two nodes has the skewness √(b/a) − √(a/b), too.
    half = (centred**3).mean() / spread**3 / 2
    root = half + np.hypot(half, 1.0)
    most = int(part.size * mean**2 / (mean**2 + spread**2) * (1 + SAME))  # more: one is negative
    a = int(np.clip(np.rint(part.size / (1 + root**2)), 1, min(most, part.size - 1)))
    b = part.size - a
    values = mean + spread * np.array([np.sqrt(b / a), -np.sqrt(a / b)])
    return np.maximum(values, 0.0), np.array([a, b])
