"""Steps and times of one simulation: by which pace it goes, and after which steps it records."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from twolayer.schedules import Constant, Schedule
from twolayer.sgd.pace import Counted, Held, counted, held
from twolayer.support.checks import InvalidInput

#: A step count beyond this is not exact in floating point.
_MAX_STEPS = 2**53


def pace_and_steps(
    t_eval: np.ndarray | None,
    steps: np.ndarray | None,
    gamma: Callable[[float], float],
    learning_rate: float | Callable[[float], float],
    block: int,
    batch: int,
    per_time: int,
) -> tuple[Held | Counted | None, np.ndarray]:
    """Of a schedule the sizes of the steps; and the steps after which to record, as asked.

    By times `t_eval` or `steps`; `per_time` is p d b, and `gamma` the learning rate as a function.

    Examples
    --------
    >>> t = np.array([0.0, 0.1, 0.1])
    >>> pace_and_steps(t, None, lambda t: 0.5, 0.5, block=16, batch=1, per_time=100)
    (None, array([ 0, 20, 20]))
    """
    rate = gamma(0.0) / per_time
    if rate == 0:
        allowed = f"larger: γ/(p d b) is not distinguishable from 0 for p d b = {per_time}"
        raise InvalidInput("learning_rate", f"{gamma(0.0):g}", allowed)
    last = math.inf if t_eval is None else float(t_eval[-1])
    if steps is not None and batch * int(steps[-1]) > _MAX_STEPS:
        raise InvalidInput("steps", f"up to {steps[-1]}", "of at most 2^53 samples")
    if steps is None and last / rate >= _MAX_STEPS:
        allowed = f"below {_MAX_STEPS * rate:.3g}, the time of 2^53 steps of {rate:.3g}"
        raise InvalidInput("t_eval", f"times up to {last:.3g}", allowed)
    most = None if steps is None else int(steps[-1])
    pace = _pace(gamma, learning_rate, last, most, block, batch, per_time)
    if steps is not None:
        return pace, steps
    if pace is None:
        return None, np.rint(t_eval / (rate * batch)).astype(np.int64)
    return pace, pace.steps(t_eval)


def _pace(
    gamma: Callable[[float], float],
    learning_rate: float | Callable[[float], float],
    last: float,
    most: int | None,
    block: int,
    batch: int,
    per_time: int,
) -> Held | Counted | None:
    """The sizes of the steps, if they change, up to the time `last`, or `most` steps."""
    if not callable(learning_rate) or isinstance(learning_rate, Constant):
        return None
    scheduled = isinstance(learning_rate, Schedule)
    if scheduled and learning_rate.in_ != "t":
        return counted(learning_rate, last, per_time, batch, most)
    if not scheduled:
        return held(gamma, last, block, per_time, batch, most=most)
    pace = held(gamma, last, block, per_time, batch, learning_rate.jumps, most)
    return replace(pace, schedule=learning_rate)
