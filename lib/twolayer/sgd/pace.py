"""How large the steps of SGD are where the learning rate changes, and how time moves with them.

A step has the rate at its own beginning if that is given in steps or samples (`Counted`).  A
function of t is held for a block of samples, a short time, but never across a jump of a `Schedule`:
the first step that begins at or after the jump is the first with the new rate (`Held`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from twolayer.schedules import Schedule
from twolayer.support.checks import InvalidInput

#: A schedule is evaluated, and kept, for so many pieces at most, or so many steps.
_MAX_PIECES, _MAX_STEPS = 10**7, 2 * 10**8
#: Steps that are added up together.
_CHUNK = 4096
#: A step that begins so little of itself before a jump begins at it.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Held:
    """Step sizes γ/(p d b), each from a sample `first` on; the times `starts` of these.

    `schedule` if they are of one, and not of a function, which is known by its values alone.
    """

    first: np.ndarray
    rates: np.ndarray
    starts: np.ndarray
    batch: int
    schedule: Schedule | None = None

    @property
    def fastest(self) -> float:
        """The largest of all sizes."""
        return float(self.rates.max())

    def sizes(self, sample: int, count: int) -> np.ndarray:
        """Of so many samples from this one on, (count,)."""
        samples = np.arange(sample, sample + count)
        return self.rates[np.searchsorted(self.first, samples, "right") - 1]

    def times(self, samples: np.ndarray) -> np.ndarray:
        """The time after so many samples."""
        at = np.searchsorted(self.first, samples, "right") - 1
        return self.starts[at] + self.rates[at] * (samples - self.first[at])

    def steps(self, t_eval: np.ndarray) -> np.ndarray:
        """The nearest whole steps."""
        at = np.searchsorted(self.starts, t_eval, "right") - 1
        inside = np.rint((t_eval - self.starts[at]) / (self.rates[at] * self.batch))
        return self.first[at] // self.batch + inside.astype(np.int64)

    def identity(self, samples: int) -> bytes:
        """What the checkpoint of so many samples knows it by, whatever the last time is."""
        if self.schedule is not None:
            return repr(self.schedule).encode()
        known = self.first < samples
        return self.first[known].tobytes() + self.rates[known].tobytes()


def held(
    gamma: Callable[[float], float],
    last: float,
    block: int,
    per_time: int,
    batch: int,
    jumps: tuple[float, ...] = (),
    most: int | None = None,
) -> Held:
    """A function of t up to the time `last`, or `most` steps; `per_time` is p d b.

    Pieces depend on γ alone, not on what is recorded.
    """
    first, rates, t, sample = [0], [gamma(0.0) / per_time], 0.0, 0
    ahead = list(jumps)
    end = math.inf if most is None else most * batch
    few = f"at most {_MAX_PIECES * block // batch}, as many as there are rates for"
    if math.inf > end > _MAX_PIECES * block:
        raise _beyond(last, most, "", few)
    while t <= last and sample <= end:
        n, step = block - sample % block, rates[-1] * batch
        if ahead:
            n = min(n, batch * max(1, math.ceil((ahead[0] - t) / step - _ROUNDING)))
        sample += n
        t += n * rates[-1]
        if t > last or sample > end:
            break
        now = t
        while ahead and ahead[0] <= t + _ROUNDING * step:
            now = max(now, ahead.pop(0))
        first.append(sample)
        rates.append(gamma(now) / per_time)
        if len(rates) > _MAX_PIECES:
            allowed = f"at most {t:.3g} for this schedule, the time of {_MAX_PIECES:.0e} pieces"
            raise _beyond(last, most, allowed, few)
    sizes = np.array(rates)
    starts = np.concatenate(([0.0], np.cumsum(np.diff(first) * sizes[:-1])))
    return Held(np.array(first), sizes, starts, batch)


@dataclass(frozen=True, eq=False)
class Counted:
    """A schedule in steps or samples, of which `starts` are the times of every `_CHUNK`-th step."""

    schedule: Schedule
    per_time: int
    batch: int
    starts: np.ndarray

    @property
    def fastest(self) -> float:
        """The largest of all sizes."""
        return max(float(self._rates(n).max()) for n in range(len(self.starts))) / self.per_time

    def sizes(self, sample: int, count: int) -> np.ndarray:
        """Of so many samples from this one on, (count,)."""
        steps = np.arange(sample, sample + count) // self.batch
        first, last = (int(n) // _CHUNK for n in steps[[0, -1]])
        rates = np.concatenate([self._rates(n) for n in range(first, last + 1)])
        return rates[steps - first * _CHUNK] / self.per_time

    def times(self, samples: np.ndarray) -> np.ndarray:
        """The time after so many samples."""
        samples = np.asarray(samples)
        begun = [self.edges(n // _CHUNK)[n % _CHUNK] for n in samples.ravel() // self.batch]
        inside = [n % self.batch * self.sizes(n, 1)[0] for n in samples.ravel()]
        return np.reshape(np.add(begun, inside), samples.shape)

    def steps(self, t_eval: np.ndarray) -> np.ndarray:
        """The nearest whole steps."""
        chunks = np.searchsorted(self.starts, t_eval, "right") - 1
        inside = [np.abs(self.edges(n) - t).argmin() for n, t in zip(chunks, t_eval, strict=True)]
        return chunks * _CHUNK + np.array(inside)

    def edges(self, chunk: int) -> np.ndarray:
        """The times at which the steps of a chunk begin, and the last one ends."""
        lasting = self.batch * (self._rates(chunk) / self.per_time)
        return np.cumsum(np.append(self.starts[chunk], lasting))

    def _rates(self, chunk: int) -> np.ndarray:
        return _rates(self.schedule, self.batch if self.schedule.in_ == "samples" else 1, chunk)

    def identity(self, _: int) -> bytes:
        """What a checkpoint knows it by, whatever the last time is."""
        return repr(self.schedule).encode()


@lru_cache(maxsize=4)
def _rates(schedule: Schedule, unit: int, chunk: int) -> np.ndarray:
    """γ of the steps of a chunk; always of all, for bits may depend on what is computed beside."""
    steps = np.arange(chunk * _CHUNK, (chunk + 1) * _CHUNK)
    return schedule((steps * unit).astype(float))


def counted(
    schedule: Schedule, last: float, per_time: int, batch: int, most: int | None = None
) -> Counted:
    """A schedule in steps or samples up to `last`, or so many steps, `per_time` being p d b."""
    starts = np.zeros(64)
    pace, chunk = Counted(schedule, per_time, batch, starts), 0
    few = f"at most {_MAX_STEPS} with {schedule.name}"
    end = math.inf if most is None else most
    if math.inf > end > _MAX_STEPS:
        raise _beyond(last, most, "", few)
    while starts[chunk] <= last and chunk * _CHUNK <= end:
        if chunk + 1 == starts.size:
            starts = np.append(starts, np.zeros(starts.size))
            pace = Counted(schedule, per_time, batch, starts)
        starts[chunk + 1] = pace.edges(chunk)[-1]
        chunk += 1
        if chunk * _CHUNK > _MAX_STEPS:
            allowed = f"at most {starts[chunk]:.3g}, the time of {_MAX_STEPS:.0e} steps of "
            raise _beyond(last, most, allowed + schedule.name, few)
    return Counted(schedule, per_time, batch, starts[: chunk + 1].copy())


def _beyond(last: float, most: int | None, allowed: str, few: str) -> InvalidInput:
    """More times, or more steps, than rates are kept for."""
    if most is None:
        return InvalidInput("t_eval", f"times up to {last:.3g}", allowed)
    return InvalidInput("steps", f"up to {most} with a schedule", few)
