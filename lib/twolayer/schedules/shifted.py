"""A learning rate whose clock does not begin at 0: for what goes on from a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer.schedules.schedule import Schedule
from twolayer.schedules.shapes import Constant


@dataclass(frozen=True)
class Shifted(Schedule):
    """Another schedule, from the value `by` of its clock on."""

    of: Schedule
    by: float

    def __call__(self, clock: Any) -> Any:
        return self.of(clock + self.by)

    def area(self, clock: float) -> float:
        return self.of.area(clock + self.by) - self.of.area(self.by)

    @property
    def jumps(self) -> tuple[float, ...]:
        return tuple(jump - self.by for jump in self.of.jumps if jump > self.by)

    @property
    def name(self) -> str:
        return self.of.name


def shifted(rate: Any, begins: float, before: float, batch: int) -> Any:
    """A learning rate on clocks that are 0 at the time `begins`, after so many steps `before`.

    `rate` is a number, a function of t, or a `Schedule`.

    Examples
    --------
    >>> import twolayer as tl
    >>> halved = tl.schedules.piecewise({0: 1.0, 1000: 0.5}, in_="steps")
    >>> rest = shifted(halved, begins=8.0, before=800, batch=1)
    >>> rest.jumps, rest(199.0), rest(200.0)
    ((200.0,), 1.0, 0.5)
    """
    if not callable(rate) or isinstance(rate, Constant) or not (begins or before):
        return rate
    if isinstance(rate, Schedule):
        by = {"t": begins, "steps": before, "samples": before * batch}[rate.in_]
        return Shifted(in_=rate.in_, of=rate, by=float(by))
    return lambda since: rate(begins + since)
