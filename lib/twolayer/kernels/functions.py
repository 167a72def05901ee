r"""Elementary functions without branches, so that a loop over them becomes vector code.

Four to eight values at a time instead of one, to an absolute error of 2e-15.  The coefficients
are Chebyshev interpolants, computed here once.  Without numba SciPy's functions do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, exp, expm1, log, pi, sqrt
from typing import Any

import numpy as np
from scipy.special import erf, erfcx

from twolayer.kernels.compiler import COMPILED, EXACT, FAST, compiled

ROOT_HALF = sqrt(0.5)
ROOT_TWO_OVER_PI = sqrt(2 / pi)


def interpolant(function: Callable[[float], float], terms: int) -> tuple[float, ...]:
    """Coefficients, constant first, of the Chebyshev interpolant of a function on [−1, 1].

    In extended precision: powers and Chebyshev polynomials are far from each other.
    """
    angles = np.longdouble(pi) * (np.arange(terms) + np.longdouble(0.5)) / terms
    values = np.array([function(float(x)) for x in np.cos(angles)], dtype=np.longdouble)
    low, high = np.zeros((2, terms), dtype=np.longdouble)
    low[0], high[1] = 1, 1
    out = np.zeros(terms, dtype=np.longdouble)
    for degree in range(terms):
        weight = np.cos(degree * angles)
        out += (1 if degree == 0 else 2) * (values @ weight) / terms * low
        low, high = high, 2 * np.roll(high, 1) - low
    return tuple(float(c) for c in out)


def _asin_tail(x: float) -> float:
    """(asin(y) − y)/y³ at y² = (1 + x)/8: its Taylor series."""
    z, term, total = (1 + x) / 8, 1 / 6, 0.0
    for n in range(1, 60):
        total += term
        term *= z * (2 * n + 1) ** 2 / (2 * (n + 1) * (2 * n + 3))
    return total


#: asin(y) = y + y³ A(z) on y ≤ 1/2, z = 8y² − 1.
_A = interpolant(_asin_tail, 13)
#: exp(y²) erfc(y) on y ≥ 0, in (y − 3)/(y + 3).
_MIDDLE = 3.0
_Q = interpolant(lambda t: float(erfcx(_MIDDLE * (1 + t) / (1 - t))), 21)
#: exp(r) on |r| ≤ ln(2)/2, in 2r/ln 2.
_E = interpolant(lambda x: float(np.exp(x * log(2) / 2)), 13)

_QUARTER_TURN = pi / 2
_PER_LN_2 = 1 / log(2)
#: ln 2 in two parts, the first with a short mantissa.
_LN_2 = 0.6931471805582987
_LN_2_REST = 1.6465949582897082e-12
#: Added to a number this brings its nearest integer to the last bits.
_SHIFT = 1.5 * 2.0**52
_ONE_AS_BITS = 1023 << 52


@compiled(EXACT, inner=True)
def _erfc_scaled(t: float) -> float:
    """exp(y²) erfc(y) at t = (y − 3)/(y + 3)."""
    g = _Q[20]
    g = g * t + _Q[19]
    g = g * t + _Q[18]
    g = g * t + _Q[17]
    g = g * t + _Q[16]
    g = g * t + _Q[15]
    g = g * t + _Q[14]
    g = g * t + _Q[13]
    g = g * t + _Q[12]
    g = g * t + _Q[11]
    g = g * t + _Q[10]
    g = g * t + _Q[9]
    g = g * t + _Q[8]
    g = g * t + _Q[7]
    g = g * t + _Q[6]
    g = g * t + _Q[5]
    g = g * t + _Q[4]
    g = g * t + _Q[3]
    g = g * t + _Q[2]
    g = g * t + _Q[1]
    g = g * t + _Q[0]
    return g


@compiled(EXACT, inner=True)
def _exp_small(x: float) -> float:
    """exp(x ln(2)/2), |x| ≤ 1."""
    g = _E[12]
    g = g * x + _E[11]
    g = g * x + _E[10]
    g = g * x + _E[9]
    g = g * x + _E[8]
    g = g * x + _E[7]
    g = g * x + _E[6]
    g = g * x + _E[5]
    g = g * x + _E[4]
    g = g * x + _E[3]
    g = g * x + _E[2]
    g = g * x + _E[1]
    g = g * x + _E[0]
    return g


@compiled(FAST)
def arcsine(x: float) -> float:
    """asin(x) for |x| ≤ 1; beyond 1/2 by asin(x) = π/2 − 2 asin(√((1 − x)/2))."""
    size = abs(x)
    far = size > 0.5
    y_squared = max(0.5 - 0.5 * size, 0.0) if far else size * size
    y = sqrt(y_squared) if far else size
    z = 8.0 * y_squared - 1.0
    g = _A[12]
    g = g * z + _A[11]
    g = g * z + _A[10]
    g = g * z + _A[9]
    g = g * z + _A[8]
    g = g * z + _A[7]
    g = g * z + _A[6]
    g = g * z + _A[5]
    g = g * z + _A[4]
    g = g * z + _A[3]
    g = g * z + _A[2]
    g = g * z + _A[1]
    g = g * z + _A[0]
    angle = y + y * y_squared * g
    angle = _QUARTER_TURN - 2.0 * angle if far else angle
    return copysign(angle, x)


@compiled(EXACT, inner=True)
def erf_and_slope(x: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """erf(x/√2) into `value` and √(2/π) exp(−x²/2) into `slope`, one-dimensional arrays.

    exp(−x²/2) = 2^n exp(r), the power by its bits; erf = 1 − exp(−x²/2) · exp(y²) erfc(y),
    y = |x|/√2.
    """
    bits = slope.view(np.int64)
    for i in range(x.size):
        slope[i] = max(-0.5 * x[i] * x[i], -700.0) * _PER_LN_2 + _SHIFT
    for i in range(x.size):
        exponent = max(-0.5 * x[i] * x[i], -700.0)
        n = slope[i] - _SHIFT
        rest = (exponent - n * _LN_2) - n * _LN_2_REST
        value[i] = _exp_small(rest * (2.0 * _PER_LN_2))
        bits[i] = (bits[i] << 52) + _ONE_AS_BITS
    for i in range(x.size):
        y = abs(x[i]) * ROOT_HALF
        decay = value[i] * slope[i]
        slope[i] = ROOT_TWO_OVER_PI * decay
        value[i] = copysign(1.0 - decay * _erfc_scaled((y - _MIDDLE) / (y + _MIDDLE)), x[i])


if not COMPILED:

    def erf_and_slope(x: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
        """The same by SciPy."""
        value[:] = erf(x * ROOT_HALF)
        slope[:] = ROOT_TWO_OVER_PI * np.exp(-0.5 * x * x)


#: The code of He_n is this plus n.
HERMITE = 10


@compiled(inner=True)
def other_and_slope(code: int, x: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """The activations without closed forms, one number at a time: that compiles fast."""
    for i in range(x.size):
        if code == 2:  # ReLU; 1/2 at the kink
            value[i] = max(x[i], 0.0)
            slope[i] = 1.0 if x[i] > 0.0 else 0.5 if x[i] == 0.0 else 0.0
        elif code < HERMITE:  # 3 is tanh, 4 the sigmoid (1 + tanh(x/2))/2
            y = (-2.0 if code == 3 else -1.0) * abs(x[i])
            e = exp(y)
            t = copysign(-expm1(y) / (1.0 + e), x[i])
            value[i] = t if code == 3 else 0.5 + 0.5 * t
            slope[i] = (4.0 if code == 3 else 1.0) * e / ((1.0 + e) * (1.0 + e))
        else:  # He_n and n He_(n−1), by their recurrence
            before, here = 1.0, x[i]
            for m in range(1, code - HERMITE):
                before, here = here, x[i] * here - m * before
            value[i], slope[i] = here, (code - HERMITE) * before


@compiled()
def respond(code: int, x: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """σ(x) into `value` and σ'(x) into `slope`, for the activation with this code."""
    if code == 0:
        erf_and_slope(x, value, slope)
    elif code == 1:
        for i in range(x.size):
            value[i] = x[i] * x[i]
            slope[i] = 2.0 * x[i]
    else:
        other_and_slope(code, x, value, slope)


@compiled(inner=True)
def respond_by(sigma: Any, code: int, x: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """As `respond`, or by machine code for both; the branch is taken when this is compiled."""
    if sigma is None:
        respond(code, x, value, slope)
    else:
        sigma(x, value, slope)


@compiled(FAST, inner=True)
def scalar_product(x: np.ndarray, y: np.ndarray) -> float:
    """Σ_i x_i y_i of one-dimensional arrays."""
    out = 0.0
    for i in range(x.size):
        out += x[i] * y[i]
    return out
