r"""Activations and the Gaussian expectations that the flow needs of them.

All units, students first and targets after, are listed together: unit m has
pre-activation λ_m and enters the displacement with coefficient c_m (−1/p for a
student, +1/k for a target), so that without label noise
𝓔 = Σ_m c_m σ(λ_m) with λ ~ N(0, Ω).  An activation knows four contractions of
Ω with c; the risk and every term of the flow are made of these.  They are array
code: matrix products and element-wise functions, no loop over units, and Ω may
have leading axes (many states at once).

A new activation is a module of closed forms (`erf`, `square`), one more entry in
`ACTIVATIONS`, and for the compiled simulator two lines in `kernels` under its code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twolayer import erf, square
from twolayer.errors import InvalidInput, choice, shown

Array = np.ndarray


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
    drift_along, gain_along : callable
        ``drift_along(Omega, change, c, p)`` and ``gain_along(Q, change)``: their derivatives
        at one Ω along symmetric matrices.
    variance_gradient : callable
        ``variance_gradient(Omega, c, i, j)``: of the entries (i, j), the derivatives in
        all entries of Ω, (N, n, n).
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
    drift_along: Callable[[Array, Array, Array, int], Array]
    gain_along: Callable[[Array, Array], Array]
    variance_gradient: Callable[[Array, Array, Array, Array], Array]
    code: int

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"


#: Every activation that has closed forms, by name.
ACTIVATIONS: dict[str, Activation] = {
    name: Activation(
        name=name,
        formula=formula,
        sigma=forms.sigma,
        derivative=forms.derivative,
        two_point=forms.two_point,
        drift=forms.drift,
        drift_along=forms.drift_along,
        variance=forms.variance,
        variance_gradient=forms.variance_gradient,
        gain=forms.gain,
        gain_along=forms.gain_along,
        code=code,
    )
    for code, (name, formula, forms) in enumerate(
        (("erf", r"\mathrm{erf}(x/\sqrt{2})", erf), ("square", "x^2", square))
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
