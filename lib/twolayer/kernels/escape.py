r"""One-pass SGD of one student on one target, square activation, by its two overlaps alone.

Of a fresh sample only three independent numbers matter: λ* = z₁, the part z₂ of λ that is
independent of it, and the squared norm of the rest, so that with dt = γ/d

    λ = m z₁ + √(q − m²) z₂,   𝓔 = λ*² − λ² + √Δ z₃,   d ‖x‖² = z₁² + z₂² + χ²_{d−2},
    m ← m + dt 2λ 𝓔 λ*,
    q ← q + dt (4λ² 𝓔 + 4γ λ² 𝓔² ‖x‖²),

which is exact at any d, for a target with ‖w*‖² = d.  Spherical SGD then divides w by √q.
"""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

import numpy as np

from twolayer.kernels.compiler import EXACT, compiled


class Chain(NamedTuple):
    """What does not change from step to step: γ, d, √Δ, whether w is kept on its sphere, and m²/q
    at which a run ends.
    """

    learning_rate: float
    d: float
    noise_level: float
    spherical: bool
    threshold: float


#: Squared norms beyond this are a blow-up; what follows would only overflow.
BLOW_UP = 1e100


@compiled(EXACT)
def advance(
    normals: np.ndarray,
    rest: np.ndarray,
    q: np.ndarray,
    m: np.ndarray,
    steps: np.ndarray,
    chain: Chain,
) -> None:
    """Move R runs side by side, each until m²/q reaches the threshold or q blows up.

    `normals` (S, 3, R) are z₁, z₂, z₃ and `rest` (S, R) are chi-squared with d − 2 degrees of
    freedom.  q, m and the number of steps taken, each (R,), are changed in
    place; runs that have ended stay where they are.  No branch but the choice of what is kept
    depends on the numbers.
    """
    rate, noise_level = chain.learning_rate / chain.d, chain.noise_level
    spherical, threshold = chain.spherical, chain.threshold
    for s in range(len(rest)):
        for r in range(len(q)):
            a, b = q[r], m[r]
            on = (b * b < threshold * a) & (a < BLOW_UP)
            z = normals[s, 0, r]
            across = normals[s, 1, r]
            field = b * z + sqrt(max(a - b * b, 0.0)) * across
            error = z * z - field * field + noise_level * normals[s, 2, r]
            move = 2.0 * rate * field * error
            norm = z * z + across * across + rest[s, r]
            b_next = b + move * z
            a_next = a + 2.0 * move * field + move * move * norm
            size = sqrt(a_next)
            b_next = b_next / size if spherical else b_next
            a_next = 1.0 if spherical else a_next
            q[r] = a_next if on else a
            m[r] = b_next if on else b
            steps[r] += 1 if on else 0


@compiled(EXACT)
def to_chi_squared(x: np.ndarray, u: np.ndarray, degrees: float) -> None:
    """Turn normal numbers x (R, S) into chi-squared ones, in place; a refused one becomes −1.

    By Marsaglia and Tsang (ACM Trans. Math. Softw. 26, 363, 2000), for at least two degrees of
    freedom; u (R, S) are uniform.  A refused number is to be drawn anew, from the same law.
    """
    shape = degrees / 2 - 1 / 3
    slope = 1 / sqrt(9 * shape)
    for r in range(len(x)):
        for s in range(x.shape[1]):
            square = x[r, s] * x[r, s]
            root = 1 + slope * x[r, s]
            v = root * root * root
            # The first test spares most of the logarithms.
            good = u[r, s] < 1 - 0.0331 * square * square
            if not good and v > 0:
                good = log(u[r, s]) < square / 2 + shape * (1 - v + log(v))
            x[r, s] = 2 * shape * v if good and v > 0 else -1.0
