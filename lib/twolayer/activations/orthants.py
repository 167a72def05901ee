r"""Closed Gaussian moments of steps 1(x > κ) and ramps max(x − κ, 0), of one variable and of two.

Of one variable they are coefficients in normalised Hermite polynomials h_r; of two they come from
the probability of a quadrant, by Owen's T function (D. B. Owen, Ann. Math. Stat. 27, 1075 (1956)).
Knows nothing of networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from twolayer.support.arrays import Array

#: Beyond this a density is taken for zero: too small numbers are slow to reckon with.
_NOWHERE = 20.0
#: √(1 − ρ²) below this is taken for it.
_LEAST = 1e-9


def density(x: Array) -> Array:
    """Of the standard normal law."""
    near = np.clip(x, -_NOWHERE, _NOWHERE)
    return np.where(np.abs(x) < _NOWHERE, np.exp(-(near**2) / 2) / np.sqrt(2 * np.pi), 0.0)


def coefficients(kinks: Array, order: int) -> tuple[Array, Array, Array]:
    """E[f(g) h_r(g)] for 2 ≤ `order` terms r of ramp, step and peak δ(g − κ), each (order, ...).

    Each is the derivative of the one before: √r f_r of one is the f_(r−1) of the next.
    """
    peak = np.zeros((order, *kinks.shape))
    peak[0] = density(kinks)
    peak[1] = kinks * peak[0]
    for r in range(2, order):
        peak[r] = (kinks * peak[r - 1] - np.sqrt(r - 1) * peak[r - 2]) / np.sqrt(r)
    root = np.sqrt(np.arange(1, order)).reshape(-1, *[1] * kinks.ndim)
    step = np.concatenate((scipy.special.ndtr(-kinks)[None], peak[:-1] / root))
    ramp = np.concatenate(((peak[0] - kinks * step[0])[None], step[:-1] / root))
    return ramp, step, peak


@dataclass(frozen=True, eq=False)
class Pairs:
    """Standard normal x and y with correlation ρ in [−1, 1], and kinks a of x and b of y.

    At ρ = ±1, where a step is at a kink, it counts half.

    Examples
    --------
    >>> of = Pairs(np.array(0.0), np.array(0.0), np.array(0.5))
    >>> float(of.steps.round(6)), float(of.ramps.round(6))
    (0.333333, 0.304499)
    """

    a: Array
    b: Array
    rho: Array

    @cached_property
    def other(self) -> Array:
        """√(1 − ρ²)."""
        return np.maximum(np.sqrt((1 - self.rho) * (1 + self.rho)), _LEAST)

    @cached_property
    def above_b(self) -> Array:
        """P(y > b | x = a)."""
        return scipy.special.ndtr((self.rho * self.a - self.b) / self.other)

    @cached_property
    def above_a(self) -> Array:
        """P(x > a | y = b)."""
        return scipy.special.ndtr((self.rho * self.b - self.a) / self.other)

    @cached_property
    def steps(self) -> Array:
        """P(x > a, y > b)."""
        a, b, other = self.a, self.b, self.other
        with np.errstate(divide="ignore", invalid="ignore"):
            first = np.where(a == 0, -b * np.inf, (b - self.rho * a) / (a * other))
            second = np.where(b == 0, -a * np.inf, (a - self.rho * b) / (b * other))
        halves = (
            (scipy.special.ndtr(-a) + scipy.special.ndtr(-b)) / 2
            - scipy.special.owens_t(a, first)
            - scipy.special.owens_t(b, second)
        )
        apart = (a * b < 0) | ((a * b == 0) & (a + b > 0))
        both_zero = 0.25 + np.arcsin(self.rho) / (2 * np.pi)
        return np.where((a == 0) & (b == 0), both_zero, halves - apart / 2)

    @cached_property
    def ramp_step(self) -> Array:
        """E[max(x − a, 0); y > b]."""
        slope = density(self.a) * self.above_b + self.rho * density(self.b) * self.above_a
        return slope - self.a * self.steps

    @cached_property
    def step_ramp(self) -> Array:
        """E[max(y − b, 0); x > a]."""
        slope = density(self.b) * self.above_a + self.rho * density(self.a) * self.above_b
        return slope - self.b * self.steps

    @cached_property
    def ramps(self) -> Array:
        """E[max(x − a, 0) max(y − b, 0)]."""
        a, b, rho = self.a, self.b, self.rho
        corner = density(a) * density((b - rho * a) / self.other) * self.other
        edges = density(a) * b * self.above_b + density(b) * a * self.above_a
        return (rho + a * b) * self.steps - edges + corner

    @cached_property
    def step_peak(self) -> Array:
        """E[δ(y − b); x > a]."""
        return density(self.b) * self.above_a

    @cached_property
    def peak_step(self) -> Array:
        """E[δ(x − a); y > b]."""
        return density(self.a) * self.above_b

    @cached_property
    def peak_ramp(self) -> Array:
        """E[δ(x − a) max(y − b, 0)]."""
        mean = self.rho * self.a - self.b
        return density(self.a) * (mean * self.above_b + self.other * density(mean / self.other))
