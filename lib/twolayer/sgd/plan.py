"""What all runs of one simulation share: the method, the coordinates, the blocks.

A plan holds everything that shapes a run but its number; it is plain data and can be
sent to another process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.task import Task
from twolayer.sgd.method import choose
from twolayer.support.checks import (
    InvalidInput,
    check_fits_in_memory,
    check_integer,
    check_schedule,
    shown,
)
from twolayer.support.versions import versions

#: What of Q is recorded.
RECORDS = ("overlaps", "norms")

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
    fingerprint : dict
        What a checkpoint must agree with, beside the source.
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
    fingerprint: dict[str, Any]

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

    @property
    def P(self) -> np.ndarray:
        """Overlaps of the targets, (k, k)."""
        return self.targets @ self.targets.T

    @property
    def freedom(self) -> int:
        """Dimensions outside the span of all weights, if projected; 0 if direct."""
        return self.d - len(self.students) - len(self.targets) if self.projected else 0


def make_plan(
    task: Task,
    start: Weights | Overlaps,
    d: int | None,
    learning_rate: float | Callable[[float], float],
    t_eval: np.ndarray,
    seed: int,
    method: str,
    record: str,
    second_layer_rate: float = 0.0,
    batch: int = 1,
) -> tuple[Plan, str]:
    """Everything that the runs share, and why this method.

    The arguments are those of `simulate`; raises `InvalidInput` if they do not fit together.
    """
    gamma, scheduled = check_schedule(learning_rate), callable(learning_rate)
    learning_rate = gamma(0.0)
    if isinstance(start, Weights):
        rank = 0
        if d is not None and check_integer("d", d, 1) != start.d:
            raise InvalidInput("d", str(d), f"{start.d}, the dimension of the weights, or left out")
        d = start.d
    elif isinstance(start, Overlaps):
        rank = start.rank
        if d is None:
            raise InvalidInput("d", "None", "given with overlaps: the dimension of the data")
        d = check_integer("d", d, 1)
    else:
        raise InvalidInput("start", shown(start), "twolayer.Weights or twolayer.Overlaps")
    if d < rank:
        raise InvalidInput("d", str(d), f"at least {rank}, the rank of Ω")
    p, k = start.p, start.k
    method, block, why = choose(method, p, k, d, batch)
    projected = method == "projected"
    width = p + k + block if projected else 0
    check_fits_in_memory("d", d, 2 * (p + k) * (width or d))
    students, targets, scale = _coordinates(start, d, width)

    rate = learning_rate / (p * d * batch)
    if rate == 0:
        allowed = f"larger: γ/(p d) is not distinguishable from 0 for p = {p}, d = {d}"
        raise InvalidInput("learning_rate", f"{learning_rate:g}", allowed)
    if float(t_eval[-1]) / rate >= _MAX_STEPS:
        allowed = f"below {_MAX_STEPS * rate:.3g}, the time of 2^53 steps of {rate:.3g}"
        raise InvalidInput("t_eval", f"times up to {t_eval[-1]:.3g}", allowed)
    rates = _rates(gamma, t_eval[-1], block, p * d * batch) if scheduled else np.empty(0)
    samples = np.unique(batch * _steps(t_eval, rate, rates, block, batch))
    fingerprint = {
        "task": repr(task),
        "activations": _digest(_values(task)),
        "noise": task.noise,
        "learning_rate": learning_rate,
        "p": p,
        "k": k,
        "d": d,
        "seed": seed,
        "method": method,
        "block": block,
        "record": record,
        "start": _digest(students) + _digest(targets) + _digest(start.a) + _digest(start.a_star),
        "second layer rate": second_layer_rate,
        "batch": batch,
        "schedule": _digest(rates),
        "steps": f"{samples.size} from {samples[0] // batch} to {samples[-1] // batch}, "
        f"{_digest(samples)}",
        **{f"{name} version": of for name, of in versions().items() if name != "python"},
    }
    plan = Plan(
        task=task,
        learning_rate=learning_rate,
        d=d,
        targets=targets,
        students=students,
        scale=scale,
        a=start.a,
        a_star=start.a_star,
        second_layer_rate=second_layer_rate,
        batch=batch,
        rates=rates,
        samples=samples,
        block=block,
        projected=projected,
        seed=seed,
        record=record,
        fingerprint=fingerprint,
    )
    return plan, why


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


def _values(task: Task) -> np.ndarray:
    """σ, σ' and σ* on a few numbers: functions of the user's have no other identity."""
    x = np.linspace(-5, 5, 101)
    student = task.activation
    return np.stack((student.sigma(x), student.derivative(x), task.target_activation.sigma(x)))


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
