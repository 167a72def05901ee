"""A Jacobian by forward differences, for integrators of what has no analytic one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.support.arrays import Array

#: Numbers in flight.
_IN_FLIGHT = 30_000


def differences(
    derivative: Callable[[float, Array], Array], t: float, y: Array, scale: float
) -> Array:
    """The Jacobian (N, N) by forward differences, all perturbed states in a few array calls.

    `derivative` is dy/dt of (t, y), where y may have a leading axis of many states.  The
    integrators' own differences step in proportion to |y_j|, which is nothing but rounding where
    an overlap has converged to zero; `scale`, the usual size of an unknown, keeps the step finite.

    Examples
    --------
    >>> differences(lambda t, y: y**2, 0.0, np.array([1.0, 0.0]), scale=1.0).round(6)
    array([[2., 0.],
           [0., 0.]])
    """
    step = np.sqrt(np.finfo(float).eps) * np.maximum(np.abs(y), scale)
    here = derivative(t, y)
    out = np.empty((y.size, y.size))
    size = max(1, _IN_FLIGHT // y.size)
    for start in range(0, y.size, size):
        some = np.arange(start, min(start + size, y.size))
        moved = np.repeat(y[None], some.size, axis=0)
        moved[np.arange(some.size), some] += step[some]
        out[:, some] = ((derivative(t, moved) - here) / step[some, None]).T
    return out
