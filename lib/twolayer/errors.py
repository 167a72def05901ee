"""Bad input, and the checks that find it before any work starts.

Bad input raises `InvalidInput`, a `ValueError` that names the argument, says
what it got and what it may be.  This module builds on nothing else in the package.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class InvalidInput(ValueError):
    """An argument that cannot be used.

    Parameters
    ----------
    argument : str
        Name of the argument.
    got : object
        What it was.
    allowed : str
        What it may be.

    Examples
    --------
    >>> raise InvalidInput("noise", -1, "a finite number >= 0")
    Traceback (most recent call last):
    ...
    twolayer.errors.InvalidInput: noise: got -1; it must be a finite number >= 0
    """

    def __init__(self, argument: str, got: object, allowed: str) -> None:
        self.argument, self.got, self.allowed = argument, got, allowed
        super().__init__(argument, got, allowed)

    def __str__(self) -> str:
        got = self.got if isinstance(self.got, str) else repr(self.got)
        return f"{self.argument}: got {got}; it must be {self.allowed}"


def shown(value: object) -> str:
    """A short text, on one line, for a value in an error message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def real(argument: str, value: Any, allowed: str = "a finite number") -> float:
    """`value` as a finite float; booleans, text and arrays are refused."""
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise InvalidInput(argument, shown(value), allowed)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(argument, shown(value), allowed) from None
    if not np.isfinite(number):
        raise InvalidInput(argument, shown(value), allowed)
    return number


def positive(argument: str, value: Any) -> float:
    """`value` as a float > 0."""
    allowed = "a finite number > 0"
    number = real(argument, value, allowed)
    if number <= 0:
        raise InvalidInput(argument, shown(value), allowed)
    return number


def non_negative(argument: str, value: Any) -> float:
    """`value` as a float >= 0."""
    allowed = "a finite number >= 0"
    number = real(argument, value, allowed)
    if number < 0:
        raise InvalidInput(argument, shown(value), allowed)
    return number


def integer(argument: str, value: Any, minimum: int) -> int:
    """`value` as an int >= `minimum`; a float such as 1e6 is taken if it is whole."""
    allowed = f"an integer >= {minimum}"
    if isinstance(value, (float, np.floating)) and value == np.floor(value) and abs(value) < 2**53:
        value = int(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidInput(argument, shown(value), allowed) from None
    if isinstance(value, (bool, np.bool_)) or number < minimum:
        raise InvalidInput(argument, shown(value), allowed)
    return number


def choice(argument: str, value: Any, options: Iterable[str]) -> str:
    """`value`, which must be one of the names in `options`."""
    names = list(options)
    if not isinstance(value, str) or value not in names:
        raise InvalidInput(argument, shown(value), "one of " + ", ".join(map(repr, names)))
    return value


def array(argument: str, value: ArrayLike, shape: tuple[int | None, ...]) -> np.ndarray:
    """A read-only float64 copy of `value` with the given shape (None: any length >= 1)."""
    wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
    allowed = f"an array of finite real numbers of shape {wanted}"
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "iuf":
            raise TypeError
        out = np.array(raw, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise InvalidInput(argument, shown(value), allowed) from None
    fits = out.ndim == len(shape) and all(
        have > 0 and want in (None, have) for have, want in zip(out.shape, shape, strict=True)
    )
    if not fits:
        raise InvalidInput(argument, f"shape {out.shape}", allowed)
    if not np.isfinite(out).all():
        raise InvalidInput(argument, "NaN or infinite entries", allowed)
    out.setflags(write=False)
    return out


def times(argument: str, value: ArrayLike) -> np.ndarray:
    """`value` as a one-dimensional array of times >= 0 that never decreases."""
    out = array(argument, value, (None,))
    if out[0] < 0 or (np.diff(out) < 0).any():
        raise InvalidInput(argument, shown(value), "times >= 0 that do not decrease")
    return out
