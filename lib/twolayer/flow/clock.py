"""The time at which so many steps of SGD have been made: Σ γ(t)/(p d) over the steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput

#: Up to so many steps a schedule is asked at every one; of more it is held for some.
_EACH = 10**6


def times_of(
    steps: Array, gamma: Callable[[float], float], scheduled: bool, p: int, d: int, batch: int
) -> Array:
    """Times t (A,) of whole steps (A,) that do not decrease.

    A learning rate that changes is γ(t) at each step's own time; over more than 10⁶ steps it is
    held for a 10⁻⁶ of them, which moves no time by more than that part of γ's own change.

    Examples
    --------
    >>> times_of(np.array([0, 10]), lambda t: 0.5, False, p=2, d=5, batch=1)
    array([0. , 0.5])
    >>> times_of(np.array([0, 1, 2]), lambda t: 1 / (1 + t), True, p=1, d=1, batch=1)
    array([0. , 1. , 1.5])
    """
    rate = gamma(0.0) / (p * d * batch)  # as the simulator has it, to the last bit
    if rate == 0:
        allowed = f"larger: γ/(p d) is not distinguishable from 0 for p d = {p * d}"
        raise InvalidInput("learning_rate", f"{gamma(0.0):g}", allowed)
    if not scheduled:
        return (steps * batch) * rate
    held = max(1, -(-int(steps[-1]) // _EACH))
    starts, rates = [0.0], []
    while len(rates) * held <= steps[-1]:
        rates.append(gamma(starts[-1]) / (p * d))
        starts.append(starts[-1] + held * rates[-1])
    at = steps // held
    return np.array(starts)[at] + np.array(rates)[at] * (steps - at * held)
