"""The time at which so many steps of SGD have been made: Σ γ(t)/(p d) over the steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.schedules import Constant, Schedule, shifted
from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, check_schedule

#: Up to so many steps a schedule is asked at every one; of more it is held for some.
_EACH = 10**6


def times_of(
    steps: Array,
    rate: float | Callable[[float], float],
    p: int,
    d: int,
    batch: int,
    begins: float = 0.0,
    before: float = 0.0,
) -> Array:
    """Times t (A,) of whole steps (A,) that do not decrease, of which `before` are at `begins`.

    One of `schedules` in steps or samples has them in closed form, ∫ γ/(p d).

    A learning rate that changes is γ(t) at each step's own time; over more than 10⁶ steps it is
    held for a 10⁻⁶ of them, which moves no time by more than that part of γ's own change.

    Examples
    --------
    >>> times_of(np.array([0, 10]), 0.5, p=2, d=5, batch=1)
    array([0. , 0.5])
    >>> times_of(np.array([0, 1, 2]), lambda t: 1 / (1 + t), p=1, d=1, batch=1)
    array([0. , 1. , 1.5])
    """
    more = np.maximum(steps - before, 0)
    return begins + _times_of(more, shifted(rate, begins, before, batch), p, d, batch)


def _times_of(
    steps: Array, rate: float | Callable[[float], float], p: int, d: int, batch: int
) -> Array:
    gamma = check_schedule(rate)
    if isinstance(rate, Schedule) and rate.in_ != "t":
        unit = batch if rate.in_ == "samples" else 1
        return np.array([rate.area(float(n * unit)) for n in steps]) / (p * d * unit)
    size = gamma(0.0) / (p * d * batch)  # as the simulator has it, to the last bit
    if size == 0:
        allowed = f"larger: γ/(p d) is not distinguishable from 0 for p d = {p * d}"
        raise InvalidInput("learning_rate", f"{gamma(0.0):g}", allowed)
    if not callable(rate) or isinstance(rate, Constant):
        return (steps * batch) * size
    held = max(1, -(-int(steps[-1]) // _EACH))
    starts, rates = [0.0], []
    while len(rates) * held <= steps[-1]:
        rates.append(gamma(starts[-1]) / (p * d))
        starts.append(starts[-1] + held * rates[-1])
    at = (steps // held).astype(int)
    return np.array(starts)[at] + np.array(rates)[at] * (steps - at * held)
