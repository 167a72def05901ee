"""Activations, and the Gaussian expectations that risk and flow are made of.

`Expectations` is the one form of them, whether closed (`Erf`, `Square`) or by `Quadrature`;
`ACTIVATIONS` and `OTHERS` are what is known by name, and `Activation.of` takes any function.
Builds on the kernels and the checks.
"""

from twolayer.activations.activation import Activation
from twolayer.activations.expectations import Expectations
from twolayer.activations.known import ACTIVATIONS, OTHERS, get
from twolayer.activations.quadrature import Quadrature

__all__ = ["ACTIVATIONS", "OTHERS", "Activation", "Expectations", "Quadrature", "get"]
