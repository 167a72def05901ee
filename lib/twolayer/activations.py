r"""Activations and the Gaussian expectations that the flow needs of them.

All units, students first and targets after, are listed together: unit m has
pre-activation λ_m and enters the displacement with coefficient c_m (−1/p for a
student, +1/k for a target), so that without label noise
𝓔 = Σ_m c_m σ(λ_m) with λ ~ N(0, Ω).  An activation knows four contractions of
Ω with c; the risk and every term of the flow are made of these.  They are array
code: matrix products and element-wise functions, no loop over units, and Ω may
have leading axes (many states at once).

A new activation is one more entry in `ACTIVATIONS`, and for the compiled simulator two
lines in `kernels` under its code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from twolayer.errors import InvalidInput, choice, shown

Array = np.ndarray

#: Elements in flight when the four-point function is summed over pairs of units:
#: small enough for the cache, large enough to hide the cost of a NumPy call.
_CHUNK = 60_000


@dataclass(frozen=True, eq=False)
class Activation:
    r"""An activation σ with its Gaussian expectations in closed form.

    Parameters
    ----------
    name : str
        How it is asked for, as in ``Task(activation=name)``.
    formula : str
        σ in LaTeX.
    sigma, derivative : callable
        σ and σ′ on arrays.
    two_point : callable
        ``two_point(C)``: the matrix E[σ(λ_a) σ(λ_b)] for λ ~ N(0, C), any
        number of leading axes, here and below.
    drift : callable
        ``drift(Omega, c, p)``: the (p, n) matrix Σ_m c_m E[σ'(λ_j) λ_l σ(λ_m)]
        for students j < p and units l < n = p + k.
    variance : callable
        ``variance(Omega, c, p)``: the (p, p) matrix
        Σ_{m,m'} c_m c_m' E[σ'(λ_i) σ'(λ_j) σ(λ_m) σ(λ_m')].
    gain : callable
        ``gain(Q)``: the (p, p) matrix E[σ'(λ_i) σ'(λ_j)].
    code : int
        The number by which the compiled simulator knows σ (see `twolayer.kernels`).

    Examples
    --------
    >>> get("erf").two_point(np.eye(2)).round(6)
    array([[0.333333, 0.      ],
           [0.      , 0.333333]])
    """

    name: str
    formula: str
    sigma: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    two_point: Callable[[Array], Array]
    drift: Callable[[Array, Array, int], Array]
    variance: Callable[[Array, Array, int], Array]
    gain: Callable[[Array], Array]
    code: int

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"


def _diagonal(C: Array) -> Array:
    return np.diagonal(C, axis1=-2, axis2=-1)


# --- erf: σ(x) = erf(x/√2), σ'(x) = √(2/π) exp(−x²/2) ----------------------------
#
# A Gaussian law tilted by σ'(λ_i) σ'(λ_j) ∝ exp(−(λ_i² + λ_j²)/2) is again
# Gaussian, with a covariance that is C minus a matrix of rank two.  All the
# closed forms of Saad & Solla (1995) are the arcsine law under such a tilt.


def _erf_sigma(x: Array) -> Array:
    return erf(x / np.sqrt(2))


def _erf_derivative(x: Array) -> Array:
    return np.sqrt(2 / np.pi) * np.exp(-np.square(x) / 2)


def _erf_two_point(C: Array) -> Array:
    r = 1 / np.sqrt(1 + _diagonal(C))
    return (2 / np.pi) * np.arcsin(C * r[..., :, None] * r[..., None, :])


def _erf_drift(Omega: Array, c: Array, p: int) -> Array:
    students = Omega[..., :p, :]
    s = 1 + _diagonal(Omega)
    A = c / np.sqrt(s[..., :p, None] * s[..., None, :] - students**2)
    own = (A * students).sum(-1) / s[..., :p]
    return (2 / np.pi) * (A @ Omega - own[..., None] * students)


def _erf_gain(Q: Array) -> Array:
    s = 1 + _diagonal(Q)
    return (2 / np.pi) / np.sqrt(s[..., :, None] * s[..., None, :] - Q**2)


def _erf_variance(Omega: Array, c: Array, p: int) -> Array:
    lead, n = Omega.shape[:-2], len(c)
    states = Omega.reshape(-1, n, n)
    first, second = np.triu_indices(p)
    total = np.empty(len(states) * first.size)
    size = max(1, _CHUNK // n**2)
    for start in range(0, total.size, size):
        state, pair = np.divmod(np.arange(start, min(start + size, total.size)), first.size)
        i, j = first[pair], second[pair]
        own = states[state]
        column, other, cross = states[state, i], states[state, j], states[state, i, j]
        s_i, s_j = 1 + states[state, i, i], 1 + states[state, j, j]
        # The tilt subtracts u uᵀ + v vᵀ (Gram-Schmidt on the columns i and j of Ω).
        u = column / np.sqrt(s_i)[:, None]
        v = other - (cross / s_i)[:, None] * column
        v /= np.sqrt(s_j - cross**2 / s_i)[:, None]
        uv = np.stack((u, v), axis=-1)
        tilted = own - uv @ uv.swapaxes(-1, -2)
        r = 1 / np.sqrt(1 + _diagonal(tilted))
        tilted *= r[:, :, None]
        tilted *= r[:, None, :]
        angle = np.arcsin(tilted, out=tilted)
        total[start : start + size] = (angle.reshape(-1, n) @ c).reshape(-1, n) @ c
    out = np.empty((len(states), p, p))
    out[:, first, second] = out[:, second, first] = total.reshape(len(states), -1)
    return (2 / np.pi) * out.reshape(*lead, p, p) * _erf_gain(Omega[..., :p, :p])


# --- square: σ(x) = x², σ'(x) = 2x; all expectations by Wick's theorem ---------------


def _square_derivative(x: Array) -> Array:
    return 2 * np.asarray(x, dtype=float)


def _square_two_point(C: Array) -> Array:
    d = _diagonal(C)
    return d[..., :, None] * d[..., None, :] + 2 * C**2


def _square_drift(Omega: Array, c: Array, p: int) -> Array:
    students, mean = Omega[..., :p, :], _diagonal(Omega) @ c
    return 2 * mean[..., None, None] * students + 4 * (students * c) @ Omega


def _square_gain(Q: Array) -> Array:
    return 4 * Q


def _square_variance(Omega: Array, c: Array, p: int) -> Array:
    students = Omega[..., :p, :]
    mean = (_diagonal(Omega) @ c)[..., None, None]
    power = mean**2 + 2 * (Omega**2 @ c @ c)[..., None, None]
    weighted, columns = students * c, students.swapaxes(-1, -2)
    second, third = weighted @ columns, (weighted @ Omega * c) @ columns
    return 4 * (power * students[..., :p] + 4 * mean * second + 8 * third)


#: Every activation that has closed forms, by name.
ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation(
            "erf",
            r"\mathrm{erf}(x/\sqrt{2})",
            _erf_sigma,
            _erf_derivative,
            _erf_two_point,
            _erf_drift,
            _erf_variance,
            _erf_gain,
            code=0,
        ),
        Activation(
            "square",
            r"x^2",
            np.square,
            _square_derivative,
            _square_two_point,
            _square_drift,
            _square_variance,
            _square_gain,
            code=1,
        ),
    )
}


def get(activation: str | Activation, argument: str = "activation") -> Activation:
    """The activation of that name.

    Parameters
    ----------
    activation : str or Activation
        A name in `ACTIVATIONS`, or an activation, which is returned as it is.
    argument : str
        The name to use in the error.

    Returns
    -------
    Activation

    Raises
    ------
    InvalidInput
        If there is no such activation.

    Examples
    --------
    >>> get("square")
    Activation('square')
    """
    if isinstance(activation, Activation):
        return activation
    if callable(activation):
        options = ", ".join(map(repr, ACTIVATIONS))
        allowed = f"one of {options}: the flow needs an activation with closed forms"
        raise InvalidInput(argument, shown(activation), allowed)
    return ACTIVATIONS[choice(argument, activation, ACTIVATIONS)]
