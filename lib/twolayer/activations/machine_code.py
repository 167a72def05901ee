r"""σ and σ′ of the user's as machine code, for the simulator's loop.

Only what is `frozen` is compiled, and what is frozen is looked at anew for every run: where a
number has become another one, so has the function.  All else, what numba cannot compile for a
single number, and what gives other values once it is compiled, is left to NumPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from types import ModuleType
from typing import Any

import numpy as np

from twolayer.activations.activation import Activation
from twolayer.activations.frozen import frozen, thawed
from twolayer.activations.kinks import Slope, of_five_points
from twolayer.kernels.compiler import COMPILED, njit
from twolayer.support.arrays import Array

#: Activations whose machine code is kept.
_KEPT = 32
#: Machine code may be off by so much of the size of the function: some fifty roundings.
_OFF = 1e-14

_kept: dict[Hashable, Any] = {}


def machine_code(activation: Activation) -> Any | None:
    """A compiled function of arrays (x, value, slope) that writes σ(x) and σ′(x), or None.

    Compiled once a process, which takes about a second, and again when something that σ or σ′
    refers to has become something else.

    Examples
    --------
    >>> table = np.array([1.0, 2.0])  # which may change
    >>> machine_code(Activation.of(lambda x: table[0] * np.tanh(x))) is None
    True
    """
    if not COMPILED:
        return None
    from numba.core.compiler_lock import global_compiler_lock

    slope, how = activation.derivative, None
    if isinstance(slope, Slope):
        slope, how = slope.function, (slope.kinks, slope.step)
    try:
        parts = frozen(activation.sigma), frozen(slope)
    except Exception:  # `Changeable`, or whatever an object of the user's raises if looked at
        return None
    key = *parts, how, activation.kinks
    with global_compiler_lock:
        if key not in _kept:
            if len(_kept) == _KEPT:
                del _kept[next(iter(_kept))]
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                _kept[key] = _both(activation, *parts)
        return _kept[key]


def _both(activation: Activation, sigma: Hashable, slope: Hashable) -> Any | None:
    """The machine code, if there is one for both functions that is right."""
    import numba

    x, derivative = _points(activation), activation.derivative
    fill_value = _filled(activation.sigma, sigma, x)
    if fill_value is None:
        return None
    differences = derivative if isinstance(derivative, Slope) else None
    fill_slope = _filled(derivative, slope, x, differences)
    if fill_slope is None:
        return None

    def both(x: Array, value: Array, slope: Array) -> None:
        fill_value(x, value)
        fill_slope(x, slope)

    row = numba.float64[::1]
    return numba.cfunc(numba.void(row, row, row), error_model="numpy")(both)


def _points(activation: Activation) -> Array:
    """Where machine code must agree: everywhere, at kinks, beyond all bounds and at no number."""
    near, far = np.linspace(-40, 40, 5121), np.logspace(-300, 300, 601)
    kinks = np.add.outer(activation.kinks, [0.0, 1e-3, -1e-3, 1e-9, -1e-9]).ravel()
    return np.concatenate((near, far, -far, kinks, [-0.0, np.inf, -np.inf, np.nan]))


def _filled(
    function: Callable[[Array], Array], of: Hashable, x: Array, differences: Slope | None = None
) -> Any | None:
    """A compiled (x, out) that writes the function, or differences of what is frozen; or None."""
    import numba

    row, compiled = numba.float64[::1], numba.njit(error_model="numpy")
    off, size = _OFF, function
    if differences is not None:
        off, size = _OFF / differences.step, differences.function
    try:
        one = thawed(of, compiled, _stand_ins())
        if differences is not None:
            one = compiled(_difference(one, differences))

        def fill(x: Array, out: Array) -> None:
            for i in range(x.size):
                out[i] = one(x[i])

        fill = numba.njit(numba.void(row, row), error_model="numpy")(fill)
        return fill if _agree(fill, function, size, x, off) else None
    except Exception:  # whatever a compiler may raise, or a function of the user's
        return None


def _agree(fill: Any, function: Any, size: Any, x: Array, off: float) -> bool:
    """Whether the values are those of Python's function, also where they are no numbers."""
    out, here = np.empty_like(x), np.asarray(function(x.copy()), dtype=float)
    fill(x, out)
    usual = np.abs(np.asarray(size(np.linspace(-3, 3, 61)), dtype=float)).mean()
    allowed = off * (np.abs(here) + np.abs(np.asarray(size(x.copy()), dtype=float)) + usual)
    near = np.abs(out - here) <= allowed
    return bool((near | (out == here) | (np.isnan(out) & np.isnan(here))).all())


def _difference(f: Any, of: Slope) -> Any:
    """`Slope` at one number, in the same order."""
    kinks, h = np.array(of.kinks, dtype=float), of.step
    weights_at = njit(error_model="numpy")(of_five_points)

    def slope(x: float) -> float:
        low, high = -np.inf, np.inf
        for kink in kinks:
            if x >= kink:
                low = kink
            else:
                high = min(high, kink)
        middle = min(max(x, low + 2.5 * h), high - 2.5 * h)
        weights = weights_at((x - middle) / h)
        out = 0.0
        for n in range(5):
            out += weights[n] * f(middle + (n - 2) * h)
        return out / h

    return slope


def _where(condition: bool, x: float, y: float) -> float:
    return x if condition else y


def _clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def _heaviside(x: float, here: float) -> float:
    return 0.0 if x < 0 else 1.0 if x > 0 else here if x == 0 else x


def _stand_ins() -> dict[Any, Any]:
    """For one number, what numba has for arrays alone, or takes seconds to compile."""
    some = {"where": _where, "clip": _clip, "heaviside": _heaviside}
    of_one = {name: njit(error_model="numpy")(function) for name, function in some.items()}
    numpy = ModuleType("numpy")
    vars(numpy).update(vars(np) | of_one)
    return {np: numpy} | {getattr(np, name): function for name, function in of_one.items()}
