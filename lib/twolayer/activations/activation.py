"""An activation: σ, its slope, its kinks, and its expectations where they have closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twolayer.activations.expectations import Expectations
from twolayer.activations.kinks import Slope, Split, check_derivative, find_kinks, split
from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, check_real, shown


@dataclass(frozen=True, eq=False)
class Activation:
    """An activation σ, with its Gaussian expectations if they have closed forms.

    Parameters
    ----------
    name : str
        How it is asked for, as in ``Task(activation=name)``.
    sigma, derivative : callable
        σ and σ′ on arrays.
    kinks, bends : tuple of float
        Where σ or σ′ jumps, and where σ″ does; expectations treat them apart.
    forms : Expectations, optional
        Its expectations in closed form, for a target with the same activation.
    code : int
        The number by which the compiled simulator knows σ (see `twolayer.kernels`), or −1: for
        a function of one's own, whose `machine_code` is made when a run is long enough.

    Examples
    --------
    >>> import twolayer as tl
    >>> tl.activations.get("erf").forms.two_point(np.eye(2), p=1).round(6)
    array([[0.333333, 0.      ],
           [0.      , 0.333333]])
    """

    name: str
    sigma: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()
    bends: tuple[float, ...] = ()
    forms: Expectations | None = None
    code: int = -1

    @property
    def closed(self) -> bool:
        """Whether there are closed forms."""
        return self.forms is not None

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

        Raises
        ------
        InvalidInput
            If the functions do not return finite numbers, one for each of their argument; if the
            derivative is not that of σ; or if σ has kinks that cannot be resolved.

        Examples
        --------
        >>> Activation.of(lambda x: np.clip(x, -1, 1)).kinks
        (-1.0, 1.0)
        """
        if not isinstance(kinks, tuple):
            raise InvalidInput("kinks", shown(kinks), "a tuple of numbers")
        given = tuple(check_real("kinks", x) for x in kinks)
        kinks, bends = find_kinks(_probed("sigma", sigma), given)
        if derivative is None:
            derivative = Slope(sigma, tuple(sorted(kinks + bends)))
        check_derivative(sigma, _probed("derivative", derivative), kinks)
        if name is None:
            name = str(getattr(sigma, "__name__", type(sigma).__name__))
        elif not isinstance(name, str):
            raise InvalidInput("name", shown(name), "text")
        return cls(name, sigma, derivative, kinks, bends)

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"


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
