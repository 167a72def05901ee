r"""Normal numbers from uniform ones, several at a time.

Box and Muller (Ann. Math. Stat. 29, 610, 1958): for u, v uniform on [0, 1)

    √(−2 ln(1 − u)) (cos 2πv, sin 2πv)

are two independent normal numbers.  With 53 random bits in u they reach 8.6 standard deviations;
one number in 10^17 would lie beyond.  No branch depends on the numbers, so that the loop becomes
vector code.  NumPy's own normals come by rejection, one by one: they were the largest part of a
step of SGD beside the matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from math import atanh, cos, log, pi, sin, sqrt

import numpy as np

from twolayer.kernels.compiler import COMPILED, EXACT, compiled
from twolayer.kernels.functions import interpolant

#: Of a mantissa m from √½ to √2, s = (m − 1)/(m + 1) is at most this.
_WIDEST = (sqrt(2) - 1) / (sqrt(2) + 1)
#: Of an angle reduced to the nearest quarter turn, the rest is at most this.
_EIGHTH_TURN = pi / 4


def _of_square(ratio: Callable[[float], float], widest: float, terms: int) -> tuple[float, ...]:
    """Coefficients of an even function of x, |x| ≤ widest, in 2 (x/widest)² − 1."""
    return interpolant(lambda z: ratio(widest * sqrt((1 + z) / 2)), terms)


#: ln(m)/s = 2 atanh(s)/s.
_L = _of_square(lambda s: 2 * atanh(s) / s if s else 2.0, _WIDEST, 9)
#: sin(x)/x and cos(x).
_S = _of_square(lambda x: sin(x) / x if x else 1.0, _EIGHTH_TURN, 8)
_C = _of_square(cos, _EIGHTH_TURN, 8)

_LN_2 = log(2)
_HALF_PI = pi / 2
#: Added to a number this brings its nearest integer to the last bits; taken off, it stays there.
_SHIFT = 1.5 * 2.0**52
_SHIFT_BITS = int(np.float64(_SHIFT).view(np.int64))
_ROOT_HALF_BITS = int(np.float64(sqrt(0.5)).view(np.int64))
#: Pairs worked on at a time: they stay in the nearest cache.
_CHUNK = 1024


@compiled(EXACT, inner=True)
def _polynomial(c: tuple[float, ...], z: float) -> float:
    """Σ_i c_i z^i of eight terms; a loop over them would not become vector code."""
    g = c[7]
    g = g * z + c[6]
    g = g * z + c[5]
    g = g * z + c[4]
    g = g * z + c[3]
    g = g * z + c[2]
    g = g * z + c[1]
    return g * z + c[0]


@compiled(EXACT, inner=True)
def _log_ratio(s: float) -> float:
    """ln(m)/s."""
    z = (2.0 / _WIDEST**2) * s * s - 1.0
    return _polynomial(_L[1:], z) * z + _L[0]


@compiled(EXACT, inner=True)
def _sine(r: float) -> float:
    """sin(r π/2), |r| ≤ 1/2."""
    return _HALF_PI * r * _polynomial(_S, 8.0 * r * r - 1.0)


@compiled(EXACT, inner=True)
def _cosine(r: float) -> float:
    """cos(r π/2), |r| ≤ 1/2."""
    return _polynomial(_C, 8.0 * r * r - 1.0)


@compiled(EXACT, inner=True)
def _pairs_to_normals(u: np.ndarray, v: np.ndarray, exponents: np.ndarray) -> None:
    """Turn pairs of uniform numbers into pairs of normal ones, in place."""
    bits, exponent_bits = u.view(np.int64), exponents.view(np.int64)
    for i in range(u.size):
        u[i] = 1.0 - u[i]
    for i in range(u.size):
        # The exponent becomes a number by its bits: few machines convert several at a time.
        exponent_bits[i] = (bits[i] - _ROOT_HALF_BITS) >> 52
        bits[i] -= exponent_bits[i] << 52
        exponent_bits[i] += _SHIFT_BITS
    for i in range(u.size):
        s = (u[i] - 1.0) / (u[i] + 1.0)
        u[i] = sqrt(-2.0 * ((exponents[i] - _SHIFT) * _LN_2 + s * _log_ratio(s)))
    for i in range(u.size):
        turns = (4.0 * v[i] + _SHIFT) - _SHIFT  # quarter turns, 0 to 4
        rest = 4.0 * v[i] - turns
        sine, cosine = _sine(rest), _cosine(rest)
        across = turns == 1.0 or turns == 3.0
        x = sine if across else cosine
        y = cosine if across else sine
        x = -x if turns == 1.0 or turns == 2.0 else x
        y = -y if turns == 2.0 or turns == 3.0 else y
        v[i] = u[i] * y
        u[i] = u[i] * x


@compiled()
def to_normals(numbers: np.ndarray) -> None:
    """Turn each row (rows, an even count) of uniform numbers in [0, 1) into normal ones, in place.

    The first half of a row gives the lengths, the second half the angles.
    """
    half = numbers.shape[1] // 2
    exponents = np.empty(min(half, _CHUNK))
    for row in range(len(numbers)):
        for start in range(0, half, _CHUNK):
            stop = min(start + _CHUNK, half)
            u, v = numbers[row, start:stop], numbers[row, half + start : half + stop]
            _pairs_to_normals(u, v, exponents[: stop - start])


if not COMPILED:

    def to_normals(numbers: np.ndarray) -> None:
        """The same by NumPy."""
        u, v = np.hsplit(numbers, 2)
        length, angle = np.sqrt(-2 * np.log1p(-u)), 2 * pi * v
        u[:], v[:] = length * np.cos(angle), length * np.sin(angle)
