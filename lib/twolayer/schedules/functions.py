"""How schedules are asked for: a function for each shape."""

from __future__ import annotations

from collections.abc import Mapping

from twolayer.schedules.schedule import Schedule, check_clock, check_rate
from twolayer.schedules.shapes import Constant, Cosine, Piecewise, Power, Warmup
from twolayer.support.checks import InvalidInput, shown

#: Where a warm-up begins, of its target.
_FIRST = 0.01


def constant(rate: float) -> Constant:
    """γ that does not change: the same as the number.

    Examples
    --------
    >>> from twolayer.schedules import constant
    >>> constant(0.5)(3.0), constant(0.5).jumps
    (0.5, ())
    """
    return Constant("t", rate)


def cosine(
    first: float,
    last: float,
    *,
    t: float | None = None,
    steps: int | None = None,
    samples: int | None = None,
) -> Cosine:
    """From `first` to `last` > 0 by half a cosine, over so much time, so many steps or samples.

    One of `t`, `steps` and `samples` is given.  After it γ stays at `last`.  Raises `InvalidInput`.

    Examples
    --------
    >>> from twolayer.schedules import cosine
    >>> falling = cosine(2.0, 1e-3, steps=30_000)
    >>> falling(0), falling(15_000), falling(10**6)
    (2.0, 1.0005, 0.001)
    """
    given = {"t": t, "steps": steps, "samples": samples}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        got = ", ".join(f"{name}={value!r}" for name, value in given.items()) or "none of them"
        raise InvalidInput("t", got, "one of t=, steps= and samples=")
    [(in_, over)] = given.items()
    return Cosine(in_, first, last, over)


def power(first: float, exponent: float, *, t0: float = 1.0, in_: str = "t") -> Power:
    """γ = first / (1 + x/t0)^exponent, x being the clock `in_`: "t", "steps" or "samples".

    With an exponent above 1 the steps add up to a finite time; later ones are refused.

    Examples
    --------
    >>> from twolayer.schedules import power
    >>> power(1.0, 0.5, t0=10.0)(30.0)
    0.5
    """
    return Power(in_, first, exponent, t0)


def warmup(
    target: float,
    over: float,
    *,
    then: Schedule | None = None,
    first: float | None = None,
    in_: str | None = None,
) -> Warmup:
    """From `first` to `target` along a straight line; then another schedule, or `target` for good.

    Parameters
    ----------
    target, over : float
        Where the line ends, and when: so much of the clock.
    then : Schedule, optional
        Whose clock begins when the line ends.
    first : float, optional
        Where it begins, above 0, without which time would not move; a hundredth of the target.
    in_ : str, optional
        "t", "steps" or "samples"; that of `then`, else "t".

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or `then` goes by another clock.

    Examples
    --------
    >>> from twolayer.schedules import cosine, warmup
    >>> rate = warmup(1.0, 100, then=cosine(1.0, 0.1, steps=1000))
    >>> rate(0), rate(50), rate(100), rate(1100)
    (0.01, 0.505, 1.0, 0.1)
    """
    if in_ is None:
        in_ = "t" if then is None or not isinstance(then, Schedule) else then.in_
    if then is None or isinstance(then, Constant):
        rate = check_rate("target", target) if then is None else then.rate
        then = Constant(check_clock(in_), rate)
    first = _FIRST * check_rate("target", target) if first is None else first
    return Warmup(in_, first, target, over, then)


def piecewise(pieces: Mapping[float, float], *, in_: str = "t") -> Piecewise:
    """Rates, each from a value of the clock on: the first from 0.

    In steps {0: 2.0, 1000: 0.5} is 2.0 for the first 1,000 steps.  In t, or in samples, the first
    step that begins at or after a value is the first with the new rate.

    Examples
    --------
    >>> from twolayer.schedules import piecewise
    >>> rate = piecewise({0: 2.0, 1000: 0.5}, in_="steps")
    >>> rate(999), rate(1000), rate.jumps
    (2.0, 0.5, (1000.0,))
    """
    if not isinstance(pieces, Mapping) or not pieces:
        raise InvalidInput("pieces", shown(pieces), "a dict, as {0: 2.0, 1000: 0.5}")
    return Piecewise(in_, tuple(pieces), tuple(pieces.values()))
