"""The shapes of schedules: constant, cosine, power law, warm-up, and pieces."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.schedules.schedule import (
    Schedule,
    check_clock,
    check_rate,
    check_then,
    number,
)
from twolayer.support.arrays import set_fields
from twolayer.support.checks import InvalidInput, check_integer, check_positive, check_real, shown

#: Pieces of a piecewise schedule: the integrator begins anew at each.
_MOST_PIECES = 10_000


def _check_length(argument: str, value: Any, in_: str) -> float:
    """A stretch > 0 of a clock; steps and samples are whole."""
    return check_positive(argument, value) if in_ == "t" else check_integer(argument, value, 1)


@dataclass(frozen=True)
class Constant(Schedule):
    """γ = rate."""

    rate: float

    def __post_init__(self) -> None:
        set_fields(self, in_=check_clock(self.in_), rate=check_rate("rate", self.rate))

    def __call__(self, clock: Any) -> Any:
        return number(np.full(np.shape(clock), self.rate))

    def area(self, clock: float) -> float:
        return self.rate * clock

    @property
    def name(self) -> str:
        return f"constant({self.rate:g})"


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from `first` to `last`, over a stretch; then `last`."""

    first: float
    last: float
    over: float

    def __post_init__(self) -> None:
        in_ = check_clock(self.in_)
        first, last = check_rate("first", self.first), check_rate("last", self.last)
        set_fields(self, first=first, last=last, over=_check_length(in_, self.over, in_))

    def __call__(self, clock: Any) -> Any:
        share = np.minimum(np.asarray(clock, dtype=float) / self.over, 1.0)
        half = (self.first - self.last) / 2
        return number(np.maximum(self.last + half * (1 + np.cos(np.pi * share)), self._least))

    @property
    def _least(self) -> float:
        return min(self.first, self.last)  # which rounding must not undercut

    def area(self, clock: float) -> float:
        inside, after = min(clock, self.over), max(0.0, clock - self.over)
        mean, half = (self.first + self.last) / 2, (self.first - self.last) / 2
        wave = half * self.over / math.pi * math.sin(math.pi * inside / self.over)
        return mean * inside + wave + self.last * after

    @property
    def name(self) -> str:
        return f"cosine({self.first:g}, {self.last:g}, {self.in_}={self.over:g})"


@dataclass(frozen=True)
class Power(Schedule):
    """γ = first / (1 + clock/t0)^exponent."""

    first: float
    exponent: float
    t0: float

    def __post_init__(self) -> None:
        set_fields(self, in_=check_clock(self.in_), first=check_rate("first", self.first))
        exponent = check_real("exponent", self.exponent)
        if not 0 <= exponent <= 10:
            raise InvalidInput("exponent", shown(self.exponent), "0 to 10; γ falls with it")
        set_fields(self, exponent=exponent, t0=check_positive("t0", self.t0))

    def __call__(self, clock: Any) -> Any:
        base = 1 + np.asarray(clock, dtype=float) / self.t0
        return number(self.first * base**-self.exponent)

    def area(self, clock: float) -> float:
        grown, rest = math.log1p(clock / self.t0), 1 - self.exponent
        return self.first * self.t0 * (math.expm1(rest * grown) / rest if rest else grown)

    @property
    def name(self) -> str:
        return f"power({self.first:g}, {self.exponent:g}, t0={self.t0:g}, in_={self.in_!r})"


@dataclass(frozen=True)
class Warmup(Schedule):
    """A straight line from `first` to `target`, over a stretch; then another schedule."""

    first: float
    target: float
    over: float
    then: Schedule

    def __post_init__(self) -> None:
        in_ = check_clock(self.in_)
        check_then(self.then, in_)
        first, target = check_rate("first", self.first), check_rate("target", self.target)
        set_fields(self, first=first, target=target, over=_check_length("over", self.over, in_))

    def __call__(self, clock: Any) -> Any:
        clock = np.asarray(clock, dtype=float)
        line = self.first + (self.target - self.first) * clock / self.over
        after = self.then(np.maximum(clock - self.over, 0.0))
        return number(np.where(clock < self.over, line, after))

    def area(self, clock: float) -> float:
        inside, after = min(clock, self.over), max(0.0, clock - self.over)
        slope = (self.target - self.first) / self.over
        return self.first * inside + slope * inside**2 / 2 + self.then.area(after)

    @property
    def jumps(self) -> tuple[float, ...]:
        return (self.over, *(self.over + jump for jump in self.then.jumps))

    @property
    def name(self) -> str:
        line = f"{self.target:g}, {self.over:g}, first={self.first:g}, in_={self.in_!r}"
        return f"warmup({line}, then={self.then.name})"


@dataclass(frozen=True)
class Piecewise(Schedule):
    """`rates`, each from one of the clock values `at` to the next."""

    at: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        in_ = check_clock(self.in_)
        allowed = "from where γ is what, beginning with 0, as {0: 2.0, 1000: 0.5}"
        at = tuple(check_real("pieces", each) for each in self.at)
        if len(at) > _MOST_PIECES or len(at) != len(self.rates):
            raise InvalidInput("pieces", f"{len(at)} of them", f"at most {_MOST_PIECES}, {allowed}")
        if not at or at[0] != 0 or any(b <= a for a, b in itertools.pairwise(at)):
            raise InvalidInput("pieces", shown(at), f"{allowed}, in their order")
        if in_ != "t" and any(each != math.floor(each) for each in at):
            raise InvalidInput("pieces", shown(at), f"at whole {in_}")
        rates = tuple(check_rate("pieces", each) for each in self.rates)
        set_fields(self, at=at, rates=rates)

    def __call__(self, clock: Any) -> Any:
        if isinstance(clock, float):
            return self.rates[max(0, bisect.bisect_right(self.at, clock) - 1)]
        piece = np.searchsorted(self.at, clock, "right") - 1
        return number(np.asarray(self.rates)[np.maximum(piece, 0)])

    def area(self, clock: float) -> float:
        ends = (*self.at[1:], math.inf)
        pieces = zip(self.at, ends, self.rates, strict=True)
        return math.fsum(rate * (min(b, clock) - a) for a, b, rate in pieces if a < clock)

    @property
    def jumps(self) -> tuple[float, ...]:
        return self.at[1:]

    @property
    def name(self) -> str:
        pairs = zip(self.at, self.rates, strict=True)
        some = ", ".join(f"{at:g}: {rate:g}" for at, rate in list(pairs)[:5])
        more = ", ..." if len(self.at) > 5 else ""
        return f"piecewise({{{some}{more}}}, in_={self.in_!r})"
