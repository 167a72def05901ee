r"""Points of figure 1's triangle, in numbers small enough to explore.

A point has weights (a, b, c), a + b + c = 1, of the corners gradient flow, high dimension
and mean field: γ = N^(−a), d = 3 N^b, p = 2 N^c with N = 52, so that γ/(p d) = 1/312
wherever p and d come out whole.  N is so large that 1/√p and 1/√d are small at their corners.
"""

from __future__ import annotations

import math

from twolayer.support.checks import InvalidInput, shown

N = 52
#: γ, d and p where their weight is zero.
RATE, DIMENSION, STUDENTS = 1.0, 3, 2


def numbers(a: float, b: float, c: float) -> tuple[float, int, int]:
    """γ, rounded to three digits, d and p at a point: weights a, b, c >= 0 of sum 1 up to rounding.

    Examples
    --------
    >>> numbers(0, 1, 0), numbers(0, 0, 1), numbers(1, 0, 0)
    ((1.0, 156, 2), (1.0, 3, 104), (0.0192, 3, 2))
    """
    weights = (a, b, c)
    fit = all(isinstance(x, (int, float)) and x >= -1e-9 for x in weights)
    if not fit or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise no_weights(weights)
    rate = float(f"{RATE * N**-a:.3g}")
    return rate, round(DIMENSION * N**b), round(STUDENTS * N**c)


def no_weights(got: object) -> InvalidInput:
    """The error for what are no weights."""
    return InvalidInput("triangle", shown(got), "three weights >= 0 of sum 1")


def weights(learning_rate: float, d: int, p: int) -> tuple[float, float, float]:
    """Where (γ, d, p) is seen in the triangle, whatever its N; beyond an edge it is drawn on it."""
    logs = (math.log(RATE / learning_rate), math.log(d / DIMENSION), math.log(p / STUDENTS))
    positive = [max(x, 0.0) for x in logs]
    total = sum(positive)
    if total == 0:
        return (1 / 3, 1 / 3, 1 / 3)
    a, b, c = (x / total for x in positive)
    return (a, b, c)
