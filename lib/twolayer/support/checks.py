"""Bad input, and the checks that find it before any work starts.

Bad input raises `InvalidInput`, a `ValueError` that names the argument, says
what it got and what it may be.  This module builds on nothing else in the package.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: Learning rates beyond this are taken for a mistake.
_FASTEST, _FASTEST_LAYER = 1e15, 1e9


class InvalidInput(ValueError):
    """An argument that cannot be used: its name, what it was, and what it may be.

    Whatever takes arguments raises it, before any work wherever that can be known.

    Examples
    --------
    >>> raise InvalidInput("noise", -1, "a finite number >= 0")
    Traceback (most recent call last):
    ...
    twolayer.support.checks.InvalidInput: noise: got -1; it must be a finite number >= 0
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


def check_real(argument: str, value: Any, allowed: str = "a finite number") -> float:
    """`value` as a finite float; booleans, text and arrays are refused."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or getattr(value, "ndim", 0):
        raise InvalidInput(argument, shown(value), allowed)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(argument, shown(value), allowed) from None
    if not np.isfinite(number):
        raise InvalidInput(argument, shown(value), allowed)
    return number


def _check_real(argument: str, value: Any, allowed: str, fits: Callable[[float], bool]) -> float:
    number = check_real(argument, value, allowed)
    if not fits(number):
        raise InvalidInput(argument, shown(value), allowed)
    return number


def check_positive(argument: str, value: Any) -> float:
    """`value` as a float > 0."""
    return _check_real(argument, value, "a finite number > 0", lambda x: x > 0)


def check_non_negative(argument: str, value: Any) -> float:
    """`value` as a float >= 0."""
    return _check_real(argument, value, "a finite number >= 0", lambda x: x >= 0)


def check_probability(argument: str, value: Any) -> float:
    """`value` as a float above 0 and below 1."""
    return _check_real(argument, value, "a number above 0 and below 1", lambda x: 0 < x < 1)


def check_learning_rate(value: Any) -> float:
    """`value` as a learning rate > 0; beyond `_FASTEST` an integrator would never end."""
    allowed = f"a finite number > 0, at most {_FASTEST:.0e}"
    return _check_real("learning_rate", value, allowed, lambda x: 0 < x <= _FASTEST)


def check_stop(argument: str, value: Any, noise: float) -> float:
    """`value` as a population risk that can be reached: above Δ/2."""
    number, floor = check_positive(argument, value), noise / 2
    if number <= floor:
        raise InvalidInput(argument, shown(value), f"above Δ/2 = {floor:g}")
    return number


def check_layer_rate(argument: str, value: Any) -> float:
    """`value` as a learning rate >= 0 of the second layer; far beyond, nothing else would move."""
    number = check_non_negative(argument, value)
    if number > _FASTEST_LAYER:
        raise InvalidInput(argument, shown(value), f"at most {_FASTEST_LAYER:.0e}")
    return number


def check_schedule(value: Any) -> Callable[[float], float]:
    """A learning rate, or a function of t that gives one, as a function of t."""
    if not callable(value):
        try:
            rate = check_learning_rate(value)
        except InvalidInput as error:
            allowed = f"{error.allowed}, or a function of t"
            raise InvalidInput("learning_rate", error.got, allowed) from None
        return lambda t: rate

    def rate_at(t: float) -> float:
        try:
            found = value(t)
        except Exception as error:  # whatever a function of the user's may raise
            got = f"{type(error).__name__} at t = {t:g}"
            raise InvalidInput("learning_rate", got, "a function of t") from error
        return check_learning_rate(found)

    rate_at(0.0)
    return rate_at


def check_seed(value: Any) -> int:
    """`value` as a seed, an int >= 0 of any size."""
    return check_integer("seed", value, 0, maximum=None)


def check_flag(argument: str, value: Any) -> bool:
    """`value`, which must be True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInput(argument, shown(value), "True or False")
    return bool(value)


def check_instance(argument: str, value: Any, kind: type, allowed: str = "") -> None:
    """Refuse a `value` that is not of this kind."""
    if not isinstance(value, kind):
        raise InvalidInput(argument, shown(value), allowed or f"a twolayer.{kind.__name__}")


def check_executor(value: Any) -> None:
    """Refuse what is neither None nor an instance of something like a `concurrent.futures` one."""
    if value is None:
        return
    if isinstance(value, type) or not callable(getattr(value, "submit", None)):
        raise InvalidInput("executor", shown(value), "a concurrent.futures.Executor or None")


def check_fits_in_memory(argument: str, value: object, numbers: float) -> None:
    """Refuse an argument that asks for more numbers than the memory of this machine holds."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system that does not say
        memory = 2**40
    if 8 * numbers > memory:
        allowed = f"smaller: {8e-9 * numbers:.3g} GB of numbers do not fit in the memory"
        raise InvalidInput(argument, shown(value), allowed)


def check_integer(argument: str, value: Any, minimum: int, maximum: int | None = 2**53) -> int:
    """`value` as an int >= `minimum`; a float such as 1e6 is taken if it is whole."""
    allowed = f"an integer >= {minimum}"
    if isinstance(value, (float, np.floating)) and value == np.floor(value) and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, (bool, np.bool_)):
        raise InvalidInput(argument, shown(value), allowed)
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidInput(argument, shown(value), allowed) from None
    if number < minimum:
        raise InvalidInput(argument, shown(value), allowed)
    if maximum is not None and number > maximum:
        raise InvalidInput(argument, shown(value), f"{allowed} and at most {maximum}")
    return number


def check_power_of_two(argument: str, value: Any, minimum: int, maximum: int) -> int:
    """`value` as a power of two in this range."""
    number = check_integer(argument, value, minimum, maximum)
    if number & (number - 1):
        raise InvalidInput(argument, str(number), "a power of two")
    return number


def check_choice(argument: str, value: Any, options: Iterable[str]) -> str:
    """`value`, which must be one of the names in `options`."""
    names = list(options)
    if not isinstance(value, str) or value not in names:
        raise InvalidInput(argument, shown(value), "one of " + ", ".join(map(repr, names)))
    return value


def check_array(
    argument: str, value: ArrayLike, shape: tuple[int | None, ...], or_number: bool = False
) -> np.ndarray:
    """A read-only float64 copy of `value` with the given shape (None: any length >= 1).

    A number, where that will do as well, becomes an array of one entry.
    """
    wanted = ", ".join("any" if n is None else str(n) for n in shape)
    wanted = f"({wanted},)" if len(shape) == 1 else f"({wanted})"
    allowed = f"an array of finite real numbers of shape {wanted}"
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "iuf":
            raise TypeError
        out = np.array(raw, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise InvalidInput(argument, shown(value), allowed) from None
    except Exception as error:  # of another library's: its arrays may belong to a graph
        got = f"a {type(value).__name__} that NumPy cannot read ({shown(str(error))})"
        remedy = ": x.detach().cpu().numpy() for a tensor x that requires a gradient"
        raise InvalidInput(argument, got, allowed + remedy) from error
    if out.ndim == 0 and or_number:
        out = out.reshape(1)
    if 0 in out.shape:
        raise InvalidInput(
            argument, f"an empty array, of shape {raw.shape}", f"{allowed}, not empty"
        )
    fits = out.ndim == len(shape) and all(
        want in (None, have) for have, want in zip(out.shape, shape, strict=True)
    )
    if not fits:
        raise InvalidInput(argument, f"shape {raw.shape}", allowed)
    if not np.isfinite(out).all():
        raise InvalidInput(argument, "NaN or infinite entries", allowed)
    out.setflags(write=False)
    return out


def check_times(argument: str, value: ArrayLike) -> np.ndarray:
    """`value` as a one-dimensional array of times >= 0, each once, given in their order."""
    return np.unique(check_times_asked(argument, value))


def check_times_asked(argument: str, value: ArrayLike) -> np.ndarray:
    """`value` as a one-dimensional array of times >= 0 in their order, as often as they are."""
    out = check_array(argument, value, (None,))
    if out[0] < 0 or (np.diff(out) < 0).any():
        raise InvalidInput(argument, shown(value), "times >= 0 that do not decrease")
    return out


def check_steps(value: ArrayLike) -> np.ndarray:
    """`value` as whole numbers of SGD steps, int64, in their order, as often as they are."""
    allowed = "whole numbers of steps >= 0 that do not decrease, at most 2^53"
    out = check_array("steps", value, (None,))
    if (out != np.floor(out)).any() or out[-1] > 2**53:
        raise InvalidInput("steps", shown(value), allowed)
    if out[0] < 0 or (np.diff(out) < 0).any():
        raise InvalidInput("steps", shown(value), allowed)
    return out.astype(np.int64)


def check_one_clock(t_eval: object, steps: object) -> None:
    """Refuse times and steps together, or neither of them."""
    if t_eval is None and steps is None:
        allowed = "given: the times to record; or else steps=, the SGD steps after which to"
        raise InvalidInput("t_eval", "None", allowed)
    if t_eval is not None and steps is not None:
        raise InvalidInput("steps", shown(steps), "left out where t_eval is given: one of the two")
