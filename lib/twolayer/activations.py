r"""Activations and the Gaussian expectations that the flow needs of them.

All units, students first and targets after, are listed together: unit m has
pre-activation λ_m and enters the displacement with coefficient c_m (−1/p for a
student, +1/k for a target), so that without label noise
𝓔 = Σ_m c_m σ(λ_m) with λ ~ N(0, Ω).  An activation knows four contractions of
Ω with c; the risk and every term of the flow are made of these.  They are array
code: matrix products and element-wise functions, no loop over units, and Ω may
have leading axes (many states at once).

An activation with closed forms is a module of them (`erf`, `square`), one more entry in
`ACTIVATIONS`, and for the compiled simulator two lines in `kernels` under its code.  Any
other one is σ, its derivative and its kinks: an entry in `OTHERS`, or a callable of the user's;
its expectations are found by `quadrature`.  The simulator's loop is compiled for those with a
code, and NumPy's for all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twolayer import erf, square
from twolayer.errors import InvalidInput, choice, real, shown
from twolayer.kinks import Slope, Split, check_derivative, find_kinks, split
from twolayer.slopes import DriftSlopes

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
    kinks, bends : tuple of float
        Where σ or σ′ jumps, and where σ″ does; expectations treat them apart.
    two_point : callable
        ``two_point(C)``: the matrix E[σ(λ_a) σ(λ_b)] for λ ~ N(0, C), any
        number of leading axes, here and below.
    coefficients : callable
        ``coefficients(Omega, c, p)``: the (p, n) matrix B of Stein's lemma, with
        Σ_m c_m E[σ'(λ_j) v σ(λ_m)] = Σ_m B_jm cov(v, λ_m) for any Gaussian v.
    drift : callable
        ``drift(Omega, c, p)``: BΩ, the (p, n) matrix Σ_m c_m E[σ'(λ_j) λ_l σ(λ_m)]
        for students j < p and units l < n = p + k.
    variance : callable
        ``variance(Omega, c, p)``: the (p, p) matrix
        Σ_{m,m'} c_m c_m' E[σ'(λ_i) σ'(λ_j) σ(λ_m) σ(λ_m')].
    gain : callable
        ``gain(Q)``: the (p, p) matrix E[σ'(λ_i) σ'(λ_j)].
    variance_with_norm, gain_with_norm : callable
        ``variance_with_norm(Omega, c, p, d)`` and ``gain_with_norm(Q, d)``: the last two with
        ‖x‖² under the expectation, for samples x ~ N(0, 1/d) in d dimensions (see `flow`).
    drift_slopes, gain_slopes : callable
        ``drift_slopes(Omega, c, p)`` and ``gain_slopes(Q)``: what `slopes` needs for their
        derivatives at one Ω.
    variance_gradient : callable
        ``variance_gradient(Omega, c, i, j)``: of the entries (i, j), the derivatives in
        all entries of Ω, (N, n, n).
    code : int
        The number by which the compiled simulator knows σ (see `twolayer.kernels`), or −1.

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
    kinks: tuple[float, ...] = ()
    bends: tuple[float, ...] = ()
    two_point: Callable[[Array], Array] | None = None
    coefficients: Callable[[Array, Array, int], Array] | None = None
    drift: Callable[[Array, Array, int], Array] | None = None
    variance: Callable[[Array, Array, int], Array] | None = None
    gain: Callable[[Array], Array] | None = None
    variance_with_norm: Callable[[Array, Array, int, int], Array] | None = None
    gain_with_norm: Callable[[Array, int], Array] | None = None
    drift_slopes: Callable[[Array, Array, int], DriftSlopes] | None = None
    gain_slopes: Callable[[Array], tuple[Array, Array]] | None = None
    variance_gradient: Callable[[Array, Array, Array, Array], Array] | None = None
    code: int = -1

    @property
    def closed(self) -> bool:
        """Whether there are closed forms.

        Examples
        --------
        >>> import twolayer as tl
        >>> tl.activations.get("erf").closed, tl.activations.Activation.of(np.sin).closed
        (True, False)
        """
        return self.two_point is not None

    @property
    def split(self) -> Split:
        """σ as steps and ramps at its kinks, and a rest."""
        return split(self.sigma, self.derivative, self.kinks, self.bends)

    @classmethod
    def of(
        cls,
        sigma: Callable[[Array], Array],
        derivative: Callable[[Array], Array] | None = None,
        *,
        kinks: tuple[float, ...] = (),
        name: str | None = None,
    ) -> Activation:
        """An activation from a function of one's own.

        Parameters
        ----------
        sigma : callable
            σ on arrays of any shape.  It may jump and have corners.
        derivative : callable, optional
            σ′ likewise, without the peaks of jumps: the slope that SGD goes by.  By differences
            that reach across no kink if it is left out.
        kinks : tuple of float
            Where σ or σ′ jumps, if you know; others are searched for.
        name : str, optional
            For files and pictures; the function's own by default.

        Returns
        -------
        Activation

        Raises
        ------
        InvalidInput
            If the functions do not return finite numbers, one for each of their argument; if the
            derivative is not that of σ; or if σ has kinks that cannot be resolved.

        Examples
        --------
        >>> Activation.of(lambda x: np.clip(x, -1, 1)).kinks
        (-1.0, 1.0)
        >>> softplus = Activation.of(lambda x: np.logaddexp(0, x), name="softplus")
        >>> float(softplus.derivative(np.zeros(1))[0].round(9))
        0.5
        """
        if not isinstance(kinks, tuple):
            raise InvalidInput("kinks", shown(kinks), "a tuple of numbers")
        given = tuple(real("kinks", x) for x in kinks)
        kinks, bends = find_kinks(_probed("sigma", sigma), given)
        if derivative is None:
            derivative = Slope(sigma, tuple(sorted(kinks + bends)))
        check_derivative(sigma, _probed("derivative", derivative), kinks)
        if name is None:
            name = str(getattr(sigma, "__name__", type(sigma).__name__))
        elif not isinstance(name, str):
            raise InvalidInput("name", shown(name), "text")
        if name in ACTIVATIONS | OTHERS:  # a file would be read back with ours
            name = f"own {name}"
        return cls(name, rf"\mathrm{{{name}}}(x)", sigma, derivative, kinks, bends)

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
        coefficients=forms.coefficients,
        drift=forms.drift,
        drift_slopes=forms.drift_slopes,
        variance=forms.variance,
        variance_gradient=forms.variance_gradient,
        gain=forms.gain,
        variance_with_norm=forms.variance_with_norm,
        gain_with_norm=forms.gain_with_norm,
        gain_slopes=forms.gain_slopes,
        code=code,
    )
    for code, (name, formula, forms) in enumerate(
        (("erf", r"\mathrm{erf}(x/\sqrt{2})", erf), ("square", "x^2", square))
    )
}


def _probed(argument: str, function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The function, if it maps arrays to finite arrays of the same shape."""
    x = np.linspace(-6, 6, 42).reshape(2, 21)
    if not callable(function):
        raise InvalidInput(argument, shown(function), "a function of an array")
    try:
        value = np.asarray(function(x.copy()), dtype=float)
    except Exception as error:  # whatever a function of the user's may raise
        got = f"{type(error).__name__} on an array"
        raise InvalidInput(argument, got, "a function of an array") from error
    if value.shape != x.shape or not np.isfinite(value).all():
        got = f"values of shape {value.shape}" if value.shape != x.shape else "values not finite"
        raise InvalidInput(argument, got, "finite numbers of the shape of the argument")
    return function


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _step(x: Array) -> Array:
    return np.heaviside(x, 0.5)


def _slope_of_tanh(x: Array) -> Array:
    return 1 / np.cosh(np.clip(x, -350, 350)) ** 2


def _sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * np.asarray(x))


def _slope_of_sigmoid(x: Array) -> Array:
    return 0.25 * _slope_of_tanh(0.5 * np.asarray(x))


@dataclass(frozen=True)
class _Hermite:
    """factor · He_n on arrays."""

    n: int
    factor: float = 1.0

    def __call__(self, x: Array) -> Array:
        from scipy.special import eval_hermitenorm

        return self.factor * eval_hermitenorm(self.n, np.asarray(x, dtype=float))


#: Activations without closed forms for the flow, by name.
OTHERS: dict[str, Activation] = {
    "relu": Activation("relu", r"\max(x, 0)", _relu, _step, (0.0,), code=2),
    "tanh": Activation("tanh", r"\tanh x", np.tanh, _slope_of_tanh, code=3),
    "sigmoid": Activation("sigmoid", r"1/(1 + e^{-x})", _sigmoid, _slope_of_sigmoid, code=4),
} | {
    f"he{n}": Activation(
        f"he{n}",
        rf"\mathrm{{He}}_{n}(x)",
        _Hermite(n),
        _Hermite(n - 1, float(n)),
        code=10 + n,
    )
    for n in range(1, 7)
}


def get(activation: str | Activation, argument: str = "activation") -> Activation:
    """The activation of that name.

    Parameters
    ----------
    activation : str, Activation or callable
        A name in `ACTIVATIONS` or `OTHERS`, an activation, which is returned as it is, or
        σ itself, for `Activation.of`.
    argument : str
        The name to use in the error.

    Returns
    -------
    Activation

    Raises
    ------
    InvalidInput
        If there is no such activation, or the function is none.

    Examples
    --------
    >>> get("square")
    Activation('square')
    """
    if isinstance(activation, Activation):
        return activation
    if callable(activation):
        try:
            return Activation.of(activation)
        except InvalidInput as error:
            raise InvalidInput(argument, error.got, error.allowed) from error
    known = ACTIVATIONS | OTHERS
    try:
        return known[choice(argument, activation, known)]
    except InvalidInput as error:
        allowed = f"{error.allowed}, or a function of an array"
        raise InvalidInput(argument, error.got, allowed) from None
