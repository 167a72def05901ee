"""The rotation that brings weights back to few coordinates."""

from __future__ import annotations

from math import copysign, sqrt

import numpy as np

from twolayer.kernels.compiler import FAST, compiled


@compiled(FAST, inner=True)
def to_lower_triangle(Z: np.ndarray, k: int) -> None:
    """Turn the rows of Z (p, D) by one rotation that makes them lower triangular beyond column k.

    In place, by Householder reflections from the right: Z Zᵀ does not change but for rounding.
    """
    p, D = Z.shape
    for i in range(min(p, D - k - 1)):
        diagonal = k + i
        head, tail = Z[i, diagonal], 0.0
        for c in range(diagonal + 1, D):
            tail += Z[i, c] * Z[i, c]
        if tail == 0.0:
            continue
        norm = sqrt(head * head + tail)
        pivot = head + copysign(norm, head)
        scale = 1.0 / (norm * abs(pivot))
        for r in range(i + 1, p):
            along = Z[r, diagonal] * pivot
            for c in range(diagonal + 1, D):
                along += Z[r, c] * Z[i, c]
            along *= scale
            Z[r, diagonal] -= along * pivot
            for c in range(diagonal + 1, D):
                Z[r, c] -= along * Z[i, c]
        Z[i, diagonal] = -copysign(norm, head)
        for c in range(diagonal + 1, D):
            Z[i, c] = 0.0
