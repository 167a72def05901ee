"""A schedule as a function of time: t moves by γ/(p d) a step."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import Any

from twolayer.schedules.schedule import Schedule
from twolayer.support.checks import InvalidInput, check_integer, check_schedule

#: No clock is looked at beyond.
_FAR = 2.0**60
#: Newton's iterations; a few are enough.
_TRIES = 200


def rate_of_time(
    rate: Any,
    p: int,
    d: int | None,
    batch: int,
    last: float,
    begins: float = 0.0,
    before: float = 0.0,
) -> tuple[Callable[[float], float], tuple[float, ...]]:
    """γ as a function of t up to the time `last`, and the times at which it, or its slope, jumps.

    These times are 0 at `begins`, where the clock of steps stands at `before`.

    `rate` is a number, a function of t, or a `Schedule`; one in steps ν or samples is read at
    t = ∫ γ dν/(p d), which is the sum over the steps but for half a step.  At a jump γ is that
    after it.  `InvalidInput` if it needs d, or does not reach `last`.

    Examples
    --------
    >>> import twolayer as tl
    >>> halved = tl.schedules.piecewise({0: 1.0, 1000: 0.5}, in_="steps")
    >>> gamma, jumps = rate_of_time(halved, p=2, d=50, batch=1, last=20.0)
    >>> jumps, gamma(9.9), gamma(10.0)
    ((10.0,), 1.0, 0.5)
    """
    if not isinstance(rate, Schedule):
        return _from(check_schedule(rate), (), begins)
    if rate.in_ == "t":
        return _from(rate, rate.jumps, begins)
    if d is None:
        allowed = f"given, for {rate.name}: a step is a time of γ/(p d)"
        raise InvalidInput("d", "None", allowed)
    unit = batch if rate.in_ == "samples" else 1
    per, known = p * check_integer("d", d, 1) * unit, rate.area(before * unit)
    jumps = tuple(rate.area(jump) / per for jump in rate.jumps)
    ends = (0.0, *rate.jumps, math.inf)
    if rate.area(_FAR) - known <= last * per:
        most = begins + (rate.area(_FAR) - known) / per
        allowed = f"below {most:.3g}, to which the steps of {rate.name} add up"
        raise InvalidInput("t_eval", f"times up to {begins + last:.3g}", allowed)

    def gamma(t: float) -> float:
        piece = bisect.bisect_right(jumps, t)
        low, high = ends[piece], ends[piece + 1]
        x = _reached(rate, t * per, low, min(high, _FAR))
        return float(rate(min(x, math.nextafter(high, 0.0))))

    return _from(gamma, jumps, known / per)


def clock_after(rate: Schedule, before: float, area: float) -> float:
    """Where the clock of a schedule stands, from `before` on, once ∫ γ has grown by `area`."""
    return _reached(rate, rate.area(before) + area, before, _FAR)


def _from(
    gamma: Callable[[float], float], jumps: tuple[float, ...], at: float
) -> tuple[Callable[[float], float], tuple[float, ...]]:
    """The same on times that are 0 at `at`."""
    if not at:
        return gamma, jumps
    return lambda since: gamma(at + since), tuple(jump - at for jump in jumps if jump > at)


def _reached(rate: Schedule, area: float, low: float, high: float) -> float:
    """The clock between low and high at which ∫ γ is so much: Newton's method, kept inside."""
    x = low
    for _ in range(_TRIES):
        rest = rate.area(x) - area
        if rest > 0:
            high = x
        else:
            low = x
        after = x - rest / float(rate(min(x, math.nextafter(high, 0.0))))
        if not low <= after <= high:
            after = (low + high) / 2
        if abs(after - x) <= 4 * math.ulp(x):
            return after
        x = after
    return x
