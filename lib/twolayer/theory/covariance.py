r"""dΣ/dt = J Σ + Σ Jᵀ + D from Σ(0) = 0: the covariance that noise D builds up along a flow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy

from twolayer.results.divergence import Divergence
from twolayer.results.trajectory import Trajectory
from twolayer.support.arrays import Array
from twolayer.support.integrate import SHORTEST
from twolayer.support.threads import apart

#: Shortest step, in units of the whole time.
_SMALLEST = 1e-13
#: What is left of Σ, once it has fallen so far below its largest value, is D's rounding.
_FLOOR = 1e-12
#: With so many unknowns a step takes so long that Ctrl-C would wait for it.
_LARGE = 200


def integrated(
    terms: Callable[[float], tuple[Array, Array]], ode: Trajectory, N: int, rtol: float
) -> Array:
    """Σ (T, N, N) at the ODE's times, given J and D as functions of time.

    By steps with J and D of the middle, halved to the tolerance: `rtol` of the largest entry.
    """
    sigma, t, steps, out, largest = np.zeros((N, N)), 0.0, 0, [], 0.0
    t_eval = ode.t
    h = float(t_eval[-1]) / 100
    for end in map(float, t_eval):
        while t < end and end > SHORTEST:
            step = min(h, end - t)
            two_steps = partial(_two_steps, terms, sigma, t, step, rtol, _FLOOR * largest)
            fine, miss = apart(lambda _, go=two_steps: go()) if N > _LARGE else two_steps()
            factor = min(4.0, max(0.2, 0.9 * max(miss, 1e-9) ** (-1 / 3)))
            if miss > 1:
                h = step * factor
                if t + h / 4 == t or h < _SMALLEST * t_eval[-1]:
                    raise Divergence("the covariance is no longer finite", steps, t, ode)
                continue
            sigma, t, steps = fine, end if step == end - t else t + step, steps + 1
            largest = max(largest, float(np.abs(sigma).max()))
            h = max(h, step * factor) if step < h else step * factor
        out.append(sigma)
    return np.array(out)


def _two_steps(
    terms: Callable[[float], tuple[Array, Array]],
    sigma: Array,
    t: float,
    h: float,
    rtol: float,
    floor: float,
) -> tuple[Array, float]:
    """Σ after two steps of half h, and their error in units of what is allowed."""
    with np.errstate(all="ignore"):
        coarse = _step(sigma, *terms(t + h / 2), h)
        fine = _step(_step(sigma, *terms(t + h / 4), h / 2), *terms(t + 3 * h / 4), h / 2)
        # The error of the two half steps is a third of the difference.
        miss = np.abs(fine - coarse).max() / 3 / (rtol * max(np.abs(fine).max(), floor) + 1e-300)
    return fine, float(miss) if np.isfinite(miss) else np.inf


def _step(sigma: Array, J: Array, D: Array, h: float) -> Array:
    """Σ after a time h with constant J and D: exact and positive, however stiff J is."""
    N = len(J)
    doublings = max(0, int(np.ceil(np.log2(max(h * np.abs(J).sum(1).max(), 1e-300)))))
    short = h / 2**doublings
    # C. F. Van Loan, IEEE Trans. Autom. Control 23, 395 (1978), over a time in which
    # exp(−J h) is harmless; then doubled, which adds positive matrices only.
    block = scipy.linalg.expm(short * np.block([[-J, D], [np.zeros((N, N)), J.T]]))
    flow = block[N:, N:].T
    added = flow @ block[:N, N:]
    for _ in range(doublings):
        added = added + flow @ added @ flow.T
        flow = flow @ flow
    out = flow @ sigma @ flow.T + added
    return (out + out.T) / 2
