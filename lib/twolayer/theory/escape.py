r"""Time to learn: how long the uninformative plateau lasts, square activation, one target.

p students (a = 1) that know nothing of the target, M ≈ 0, first take on a common squared norm,
Q = q I, and stay there while M grows from 1/√d as exp(μt).  With e = γ/p, z = q (1 + 2/p) and
c = (p + 4)/(p + 2) the flow at M = 0 gives, target of squared norm d,

    e c z² − (1 + 2e) z + 1 + e (3 + Δ) = 0,      μ = 6 − 2z.

On the sphere ‖w‖² = d (p = 1) the flow of the cosine is

    dm/dt = m [(4 − 24γ)(1 − m²) − 2γΔ],      μ = 4 − 2γ (12 + Δ).

SGD's own noise feeds M while it grows: in the linear stage it acts as a larger start, of
variance v/d per student instead of 1/d.  Closed forms only, derived on the page "Time to learn"
of the book; `exits` makes exit times of them, `exit_runs` has runs of SGD to compare with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_flag,
    check_integer,
    check_non_negative,
    check_probability,
    shown,
)

#: Gradient flow leaves the plateau at this rate μ, whatever p.
GRADIENT_FLOW_RATE = 4.0
#: Label noise beyond this is taken for a mistake.
_LOUDEST = 1e12


@dataclass(frozen=True)
class Plateau:
    """The uninformative plateau of the square activation and one target.

    Attributes
    ----------
    q : float
        Squared norm of each student, Q = q I.
    rate : float
        μ: M grows as exp(μt), and the squared cosine as exp(2μt); below zero it dies out.
    diffusion : float
        D: in time t SGD adds (γ/p)(D/d) t to the variance of each entry of M.

    Examples
    --------
    >>> plateau(learning_rate=0.05, spherical=True)
    Plateau(q=1.0, rate=2.8, diffusion=48.0)
    """

    q: float
    rate: float
    diffusion: float


def plateau(
    *, learning_rate: float, noise: float = 0.0, p: int = 1, spherical: bool = False
) -> Plateau:
    """Where students that know nothing stay, and how fast they leave.

    Square activation and one target alone.
    From the flow of arXiv:2302.05882 at M = 0; for the spherical case see arXiv:2305.18502.

    Parameters
    ----------
    learning_rate : float
        γ >= 0; 0 is gradient flow.
    noise : float
        Δ.
    p : int
        Number of students; one if spherical.
    spherical : bool
        On the sphere ‖w‖² = d.

    Raises
    ------
    InvalidInput
        Of γ also where Q has no fixed point at M = 0, so that the norms grow beyond all bounds.

    Examples
    --------
    >>> plateau(learning_rate=0.0).rate, plateau(learning_rate=0.0, p=10).rate
    (4.0, 4.0)
    """
    learning_rate, noise, p, spherical = _checked(learning_rate, noise, p, spherical)
    if spherical:
        rate = GRADIENT_FLOW_RATE - 2 * learning_rate * (12 + noise)
        return Plateau(1.0, rate, 4 * (12 + noise))
    e, c = learning_rate / p, (p + 4) / (p + 2)
    # The smaller root, which is the stable one, in a form that also holds at γ = 0.
    b, last = 1 + 2 * e, 1 + e * (3 + noise)
    inside = b * b - 4 * e * c * last
    if not inside >= 0:
        most = largest_learning_rate(noise=noise, p=p)
        raise InvalidInput("learning_rate", shown(learning_rate), f"at most {most:.6g}")
    z = 2 * last / (b + math.sqrt(inside))
    q = z * p / (p + 2)
    return Plateau(q, 6 - 2 * z, 4 * q * (15 + noise - 6 * z + c * z * z))


def largest_learning_rate(*, noise: float = 0.0, p: int = 1, spherical: bool = False) -> float:
    """The γ from which on nothing is learnt from w ~ N(0, I_d), as d → ∞; see `plateau`.

    Square activation and one target alone.
    Either μ falls to zero, or the norms grow beyond all bounds: Q has no fixed point at M = 0,
    or lies beyond an unstable one at the start.  2/(12 + Δ) for p = 1, on the sphere or not.

    Examples
    --------
    >>> print(f"{largest_learning_rate():.4f} {largest_learning_rate(p=10) / 10:.4f}")
    0.1667 0.2846
    """
    _, noise, p, spherical = _checked(0.0, noise, p, spherical)
    s, c = 1 + 2 / p, (p + 4) / (p + 2)
    at_one = (s - 1) / (3 + noise - 2 * s + c * s * s)  # Q = I is a fixed point
    if spherical or (1 + 2 * at_one) / (2 * at_one * c) <= s:  # and it is the unstable one
        return at_one * p
    half, square = 2 * (c - 1), 4 * c * (3 + noise) - 4
    e = 1 / (half + math.sqrt(half * half + square))  # the two fixed points meet
    if (1 + 2 * e) / (2 * e * c) > 3:
        e = 2 / (9 * c - 3 + noise)  # μ = 0
    return e * p


def start_variance(
    *, learning_rate: float, noise: float = 0.0, p: int = 1, spherical: bool = False
) -> float:
    """The variance v >= 1, times d, of a start that stands for start and SGD's noise together.

    Square activation and one target alone.
    In the linear stage each entry of M obeys dM = μ M dt + √(γD/(pd)) dB, so that exp(−∫μ) M
    tends to a normal number of variance (1 + (γ/p) ∫ D exp(−2∫μ) dt)/d, for w ~ N(0, I_d)
    at the start; while Q, from the identity on, goes to its plateau.  If Q started there
    it would be 4q (1/μ + γ/p), and on the sphere it is 4/μ.  Arguments are those of `plateau`;
    `InvalidInput` if γ is so large that the plateau is never left.

    Examples
    --------
    >>> print(f"{start_variance(learning_rate=0.05, spherical=True):.4f}")
    1.4286
    """
    flat = leaving(learning_rate, noise, p, spherical)
    if spherical:
        return GRADIENT_FLOW_RATE / flat.rate
    e, s, c = learning_rate / p, 1 + 2 / p, (p + 4) / (p + 2)

    def derivative(_: float, y: Array) -> list[float]:
        q, growth, _added = y
        z = s * q
        dq = 4 * q * (1 - z + e * (3 + noise - 2 * z + c * z * z))
        D = 4 * q * (15 + noise - 6 * z + c * z * z)
        return [dq, 6 - 2 * z, e * D * math.exp(-2 * growth)]

    span, start = (0, 40 / flat.rate), [1.0, 0.0, 1.0]
    path = scipy.integrate.solve_ivp(derivative, span, start, "LSODA", rtol=1e-10, atol=1e-13)
    # On the plateau the rest of the integral is known.
    _, growth, added = path.y[:, -1]
    return float(added + e * flat.diffusion / (2 * flat.rate) * math.exp(-2 * growth))


def spherical_drift(cosine: ArrayLike, *, learning_rate: float, noise: float = 0.0) -> Array:
    """The drift dm/dt = Ψ^M − (m/2)(Ψ^GF + γΨ^Var) at q = 1, of the cosine m on the sphere.

    Square activation, one student and one target alone.
    It is m [(4 − 24γ)(1 − m²) − 2γΔ], in units of d/γ steps: the flow of arXiv:2302.05882,
    projected; see arXiv:2305.18502.

    Parameters
    ----------
    cosine : array_like, shape (n,), or float
        m, from −1 to 1.
    learning_rate, noise : float
        γ and Δ.

    Examples
    --------
    >>> spherical_drift([0.5, 1.0], learning_rate=0.1, noise=1.0).round(3)
    array([ 0.5, -0.2])
    """
    m = _cosines("cosine", cosine, -1.0)
    learning_rate, noise, _, _ = _checked(learning_rate, noise, 1, True)
    m = m if np.ndim(cosine) else m[0]
    return m * ((4 - 24 * learning_rate) * (1 - m**2) - 2 * learning_rate * noise)


def spherical_exit_time(
    squared_cosine: ArrayLike, *, learning_rate: float, noise: float = 0.0, threshold: float = 0.5
) -> Array:
    """The time at which the spherical flow reaches a threshold, in closed form, in d/γ steps.

    Square activation, one student and one target alone.
    u = m² obeys the logistic law du/dt = 2μ u (1 − u/u_∞), u_∞ = μ/(4 − 24γ): it takes
    (1/2μ) log[T (1 − u/u_∞)/(u (1 − T/u_∞))]; 0 from the threshold on, infinite if it is never
    reached.

    Parameters
    ----------
    squared_cosine : array_like, shape (n,), or float
        u at t = 0, from 0 to 1.
    learning_rate, noise : float
        γ and Δ.
    threshold : float
        T, of u, above 0 and below 1.

    Examples
    --------
    >>> spherical_exit_time([1e-4, 0.7], learning_rate=0.05).round(4)
    array([1.6447, 0.    ])
    """
    u = _cosines("squared_cosine", squared_cosine, 0.0)
    T = check_probability("threshold", threshold)
    u = u if np.ndim(squared_cosine) else u[0]
    flat = plateau(learning_rate=learning_rate, noise=noise, spherical=True)
    last = flat.rate / (4 - 24 * learning_rate) if flat.rate > 0 else 0.0
    if last <= T:
        return np.where(u >= T, 0.0, np.inf)[()]
    with np.errstate(divide="ignore"):
        odds = np.log(T / (1 - T / last)) - np.log(u / np.maximum(1 - u / last, 1e-300))
    return np.where(u >= T, 0.0, odds / (2 * flat.rate))[()]


def _checked(
    learning_rate: float, noise: float, p: int, spherical: bool
) -> tuple[float, float, int, bool]:
    learning_rate = check_non_negative("learning_rate", learning_rate)
    noise = check_non_negative("noise", noise)
    p, spherical = check_integer("p", p, 1), check_flag("spherical", spherical)
    if noise > _LOUDEST:
        raise InvalidInput("noise", shown(noise), f"at most {_LOUDEST:.0e}")
    if spherical and p > 1:
        raise InvalidInput("p", str(p), "1 on the sphere")
    return learning_rate, noise, p, spherical


def leaving(learning_rate: float, noise: float, p: int, spherical: bool) -> Plateau:
    """The plateau, which must be one that is left."""
    most = largest_learning_rate(noise=noise, p=p, spherical=spherical)
    if not check_non_negative("learning_rate", learning_rate) < most:
        raise InvalidInput("learning_rate", shown(learning_rate), f"below {most:.6g}")
    return plateau(learning_rate=learning_rate, noise=noise, p=p, spherical=spherical)


def _cosines(argument: str, value: ArrayLike, least: float) -> Array:
    out = check_array(argument, value, (None,), or_number=True)
    if out.min() < least or out.max() > 1:
        raise InvalidInput(argument, shown(out.tolist()), f"from {least:g} to 1")
    return out
