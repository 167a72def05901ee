"""Steps, samples and times of one simulation: a schedule is held for a block of samples."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from twolayer.support.checks import InvalidInput

#: A schedule is evaluated, and kept, for so many blocks at most.
_MAX_BLOCKS = 10**7
#: A step count beyond this is not exact in floating point.
_MAX_STEPS = 2**53


def rates_and_steps(
    t_eval: np.ndarray | None,
    steps: np.ndarray | None,
    gamma: Callable[[float], float],
    scheduled: bool,
    block: int,
    batch: int,
    per_time: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Of a schedule γ/(p d b) in each block; and the steps after which to record, as asked.

    By times `t_eval` or `steps`; `per_time` is p d b.

    Examples
    --------
    >>> t = np.array([0.0, 0.1, 0.1])
    >>> rates_and_steps(t, None, lambda t: 0.5, False, block=16, batch=1, per_time=100)
    (array([], dtype=float64), array([ 0, 20, 20]))
    """
    rate = gamma(0.0) / per_time
    if rate == 0:
        allowed = f"larger: γ/(p d b) is not distinguishable from 0 for p d b = {per_time}"
        raise InvalidInput("learning_rate", f"{gamma(0.0):g}", allowed)
    if steps is not None:
        last = batch * int(steps[-1])
        if last > _MAX_STEPS:
            raise InvalidInput("steps", f"up to {steps[-1]}", "of at most 2^53 samples")
        blocks = last // block + 1
        if scheduled and blocks > _MAX_BLOCKS:
            most = f"at most {_MAX_BLOCKS * block // batch}, as many as there are rates for"
            raise InvalidInput("steps", f"up to {steps[-1]} with a schedule", most)
        rates = _held(gamma, math.inf, block, per_time, blocks) if scheduled else np.empty(0)
        return rates, steps
    last = float(t_eval[-1])
    if last / rate >= _MAX_STEPS:
        allowed = f"below {_MAX_STEPS * rate:.3g}, the time of 2^53 steps of {rate:.3g}"
        raise InvalidInput("t_eval", f"times up to {last:.3g}", allowed)
    rates = _held(gamma, last, block, per_time) if scheduled else np.empty(0)
    return rates, _steps(t_eval, rate, rates, block, batch)


def _held(
    gamma: Callable[[float], float],
    last: float,
    block: int,
    per_time: int,
    blocks: int = _MAX_BLOCKS + 1,
) -> np.ndarray:
    """γ/(p d b) in every block up to the last time, or so many: a schedule is held for a block.

    A block is a short time, B γ/(p d b); how long depends on γ alone, not on what is recorded.
    """
    rates, t = [], 0.0
    while t <= last and len(rates) < blocks:
        rates.append(gamma(t) / per_time)
        t += block * rates[-1]
        if len(rates) > _MAX_BLOCKS:
            allowed = f"at most {t:.3g} for this schedule, the time of {_MAX_BLOCKS:.0e} blocks"
            raise InvalidInput("t_eval", f"times up to {last:.3g}", allowed)
    return np.array(rates)


def starts_of(rates: np.ndarray, block: int) -> np.ndarray:
    """The times at which blocks begin."""
    return np.concatenate(([0.0], np.cumsum(block * rates[:-1])))


def _steps(
    t_eval: np.ndarray, rate: float, rates: np.ndarray, block: int, batch: int
) -> np.ndarray:
    """The nearest whole steps of b samples."""
    if not rates.size:
        return np.rint(t_eval / (rate * batch)).astype(np.int64)
    starts = starts_of(rates, block)
    at = np.searchsorted(starts, t_eval, "right") - 1
    inside = np.rint((t_eval - starts[at]) / (rates[at] * batch)).astype(np.int64)
    return at * (block // batch) + inside
