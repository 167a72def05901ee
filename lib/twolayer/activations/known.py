"""The activations that are known by name: one entry each.

One with closed forms is a class of them (`erf`, `square`) and an entry in `ACTIVATIONS`; any other
is σ, its derivative and its kinks, an entry in `OTHERS`, or a callable of the user's, whose
expectations are found by `quadrature`.  The simulator's loop is compiled for those with a code,
whose two lines are in `kernels.functions`, and for others where `machine_code` can be made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from twolayer.activations import erf, square
from twolayer.activations.activation import Activation
from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, check_choice

#: The names of all of them, for whoever checks types.
Name = Literal["erf", "square", "relu", "tanh", "sigmoid", "he1", "he2", "he3", "he4", "he5", "he6"]

#: Every activation that has closed forms, by name.
ACTIVATIONS: dict[str, Activation] = {
    "erf": Activation("erf", erf.sigma, erf.derivative, forms=erf.Erf(), code=0),
    "square": Activation("square", square.sigma, square.derivative, forms=square.Square(), code=1),
}


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
        return self.factor * scipy.special.eval_hermitenorm(self.n, np.asarray(x, dtype=float))


#: Activations without closed forms for the flow, by name.
OTHERS: dict[str, Activation] = {
    "relu": Activation("relu", _relu, _step, (0.0,), code=2),
    "tanh": Activation("tanh", np.tanh, _slope_of_tanh, code=3),
    "sigmoid": Activation("sigmoid", _sigmoid, _slope_of_sigmoid, code=4),
} | {
    f"he{n}": Activation(f"he{n}", _Hermite(n), _Hermite(n - 1, float(n)), code=10 + n)
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
        return known[check_choice(argument, activation, known)]
    except InvalidInput as error:
        allowed = f"{error.allowed}, or a function of an array"
        raise InvalidInput(argument, error.got, allowed) from None
