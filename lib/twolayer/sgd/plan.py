"""What all runs of one simulation share: the method, the coordinates, the blocks.

A plan holds everything that shapes a run but its number; it is plain data and can be
sent to another process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.task import Task, known_by
from twolayer.sgd.method import by_batches, choose
from twolayer.support.checks import (
    InvalidInput,
    check_fits_in_memory,
    check_integer,
    check_schedule,
    shown,
)
from twolayer.support.versions import versions

#: What of Q is recorded.
Record = Literal["overlaps", "norms"]
RECORDS: tuple[str, ...] = get_args(Record)

#: A schedule is evaluated, and kept, for so many blocks at most.
_MAX_BLOCKS = 10**7
#: A step count beyond this is not exact in floating point.
_MAX_STEPS = 2**53


@dataclass(frozen=True, eq=False)
class Plan:
    """What all runs of one `simulate` share.

    Attributes
    ----------
    task : Task
    learning_rate : float
        At the start, if there is a schedule.
    d : int
    targets, students : array, shapes (k, D) and (p, D)
        W*/√d and W/√d in the D coordinates of the method, at the start, the students over
        `scale`: they may be large, and the caller's own are kept.
    scale : float
    a, a_star : array, shapes (p,) and (k,)
        Second layers, that of the students at the start.
    second_layer_rate : float
        η; 0 if the second layer stays.
    batch : int
        Samples b of a step.
    rates : array
        Of a schedule, γ/(p d b) in each block; otherwise empty.
    samples : array of int64, shape (T,)
        The samples, b a step, after which to record; increasing.
    block : int
        Samples per block, a multiple of b.
    projected : bool
    seed : int
    record : str
        One of `RECORDS`.
    """

    task: Task
    learning_rate: float
    d: int
    targets: np.ndarray
    students: np.ndarray
    scale: float
    a: np.ndarray
    a_star: np.ndarray
    second_layer_rate: float
    batch: int
    rates: np.ndarray
    samples: np.ndarray
    block: int
    projected: bool
    seed: int
    record: str

    @property
    def rate(self) -> float:
        """γ/(p d b): the time of a sample, and the size of its step."""
        return self.learning_rate / (len(self.students) * self.d * self.batch)

    @property
    def second(self) -> float:
        """η/(p d b)."""
        return self.second_layer_rate / (len(self.students) * self.d * self.batch)

    def rates_from(self, block: int, count: int) -> np.ndarray:
        """The size of the steps in the blocks from this one on."""
        if not self.rates.size:
            return np.full(count, self.rate)
        return self.rates[np.minimum(np.arange(block, block + count), self.rates.size - 1)]

    def times(self, samples: np.ndarray) -> np.ndarray:
        """The time after so many samples."""
        if not self.rates.size:
            return samples * self.rate
        block = np.minimum(samples // self.block, self.rates.size - 1)
        return _starts(self.rates, self.block)[block] + self.rates[block] * (
            samples - block * self.block
        )

    @cached_property
    def P(self) -> np.ndarray:
        """Overlaps of the targets, (k, k)."""
        return self.targets @ self.targets.T

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint must agree with, beside the source."""
        arrays = self.students, self.targets, self.a, self.a_star
        steps = self.samples // self.batch
        return {
            "task": repr(self.task),
            "activations": _digest(known_by(self.task)),
            "noise": self.task.noise,
            "learning_rate": self.learning_rate,
            "p": len(self.students),
            "k": len(self.targets),
            "d": self.d,
            "seed": self.seed,
            "method": "projected" if self.projected else "direct",
            "block": self.block,
            "record": self.record,
            "start": "".join(map(_digest, arrays)),
            "second layer rate": self.second_layer_rate,
            "batch": self.batch,
            "schedule": _digest(self.rates),
            "steps": f"{steps.size} from {steps[0]} to {steps[-1]}, {_digest(self.samples)}",
            **{f"{name} version": of for name, of in versions().items() if name != "python"},
        }

    @property
    def drawn(self) -> int:
        """Coordinates of a sample that are drawn: those of the span of all weights, or d."""
        return len(self.students) + len(self.targets) if self.projected else self.d

    @property
    def gram(self) -> int:
        """Rows of the triangular factor drawn of a block outside that span."""
        return self.students.shape[1] - self.drawn if self.projected else 0

    @property
    def freedom(self) -> int:
        """Dimensions outside the span of all weights, if projected; 0 if direct."""
        return self.d - self.drawn if self.projected else 0


@dataclass(frozen=True)
class Asked:
    """What `simulate` was asked for, checked on its own."""

    task: Task
    start: Weights | Overlaps
    d: int | None
    learning_rate: float | Callable[[float], float]
    t_eval: np.ndarray
    seed: int
    method: str
    record: str
    second_layer_rate: float = 0.0
    batch: int = 1


def make_plan(asked: Asked) -> tuple[Plan, str]:
    """Everything that the runs share, and why this method.

    Raises `InvalidInput` if what was asked for does not fit together.
    """
    start, batch = asked.start, asked.batch
    gamma = check_schedule(asked.learning_rate)
    d = _dimension(start, asked.d)
    method, block, why = choose(asked.method, start.p, start.k, d, batch)
    gram = min(start.p, block) if by_batches(start.p, batch, block) else block
    width = start.p + start.k + gram if method == "projected" else 0
    check_fits_in_memory("d", d, 2 * (start.p + start.k) * (width or d))
    students, targets, scale = _coordinates(start, d, width)
    rates, samples = _units(asked, gamma, block, start.p * d * batch)
    plan = Plan(
        task=asked.task,
        learning_rate=gamma(0.0),
        d=d,
        targets=targets,
        students=students,
        scale=scale,
        a=start.a,
        a_star=start.a_star,
        second_layer_rate=asked.second_layer_rate,
        batch=batch,
        rates=rates,
        samples=samples,
        block=block,
        projected=method == "projected",
        seed=asked.seed,
        record=asked.record,
    )
    return plan, why


def _dimension(start: Weights | Overlaps, d: int | None) -> int:
    """The dimension of the data, which the start must fit into."""
    if isinstance(start, Weights):
        if d is not None and check_integer("d", d, 1) != start.d:
            raise InvalidInput("d", str(d), f"{start.d}, the dimension of the weights, or left out")
        return start.d
    if not isinstance(start, Overlaps):
        raise InvalidInput("start", shown(start), "twolayer.Weights or twolayer.Overlaps")
    if d is None:
        raise InvalidInput("d", "None", "given with overlaps: the dimension of the data")
    d = check_integer("d", d, 1)
    if d < start.p + start.k and d < start.rank:
        raise InvalidInput("d", str(d), f"at least {start.rank}, the rank of Ω")
    return d


def _units(
    asked: Asked, gamma: Callable[[float], float], block: int, per_time: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of a schedule γ/(p d b) in each block; and the samples after which to record."""
    rate, last = gamma(0.0) / per_time, float(asked.t_eval[-1])
    if rate == 0:
        allowed = f"larger: γ/(p d b) is not distinguishable from 0 for p d b = {per_time}"
        raise InvalidInput("learning_rate", f"{gamma(0.0):g}", allowed)
    if last / rate >= _MAX_STEPS:
        allowed = f"below {_MAX_STEPS * rate:.3g}, the time of 2^53 steps of {rate:.3g}"
        raise InvalidInput("t_eval", f"times up to {last:.3g}", allowed)
    scheduled = callable(asked.learning_rate)
    rates = _rates(gamma, last, block, per_time) if scheduled else np.empty(0)
    steps = _steps(asked.t_eval, rate, rates, block, asked.batch)
    return rates, np.unique(asked.batch * steps)


def _rates(gamma: Callable[[float], float], last: float, block: int, per_time: int) -> np.ndarray:
    """γ/(p d b) in every block up to the last time: a schedule is held for a block.

    A block is a short time, B γ/(p d b); how long depends on γ alone, not on what is recorded.
    """
    rates, t = [], 0.0
    while t <= last:
        rates.append(gamma(t) / per_time)
        t += block * rates[-1]
        if len(rates) > _MAX_BLOCKS:
            allowed = f"at most {t:.3g} for this schedule, the time of {_MAX_BLOCKS:.0e} blocks"
            raise InvalidInput("t_eval", f"times up to {last:.3g}", allowed)
    return np.array(rates)


def _starts(rates: np.ndarray, block: int) -> np.ndarray:
    """The times at which blocks begin."""
    return np.concatenate(([0.0], np.cumsum(block * rates[:-1])))


def _steps(
    t_eval: np.ndarray, rate: float, rates: np.ndarray, block: int, batch: int
) -> np.ndarray:
    """The nearest whole steps of b samples."""
    if not rates.size:
        return np.rint(t_eval / (rate * batch)).astype(np.int64)
    starts = _starts(rates, block)
    at = np.searchsorted(starts, t_eval, "right") - 1
    inside = np.rint((t_eval - starts[at]) / (rates[at] * batch)).astype(np.int64)
    return at * (block // batch) + inside


def _coordinates(
    start: Weights | Overlaps, d: int, width: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Students, targets, and the scale of the students; `width` coordinates, or d if it is 0."""
    if isinstance(start, Weights) and not width:
        return start.W, start.W_star / np.sqrt(d), 1 / math.sqrt(d)
    if isinstance(start, Weights):
        rows = np.concatenate((start.W, start.W_star)) / np.sqrt(d)
    else:
        rows = start.factor()
    p, k = start.p, start.k
    if width:
        rows = np.roll(rows, k, axis=0)  # targets first: the triangle leaves them alone
        rows = np.roll(np.linalg.qr(rows.T, mode="r").T, -k, axis=0)
    held = np.zeros((p + k, width or d))
    held[:, : rows.shape[1]] = rows
    return held[:p].copy(), held[p:].copy(), 1.0


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
