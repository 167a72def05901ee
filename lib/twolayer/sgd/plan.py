"""What all runs of one simulation share: the method, the coordinates, the blocks.

A plan holds everything that shapes a run but its number; it is plain data and can be
sent to another process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.spectral_overlaps import SpectralOverlaps, pooled
from twolayer.problem.spectrum import Spectrum
from twolayer.problem.task import Task, known_by
from twolayer.schedules import shifted
from twolayer.sgd.clock import pace_and_steps
from twolayer.sgd.groups import Groups, hold
from twolayer.sgd.method import by_batches, choose
from twolayer.sgd.pace import Counted, Held
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
    pace : Held, Counted or None
        Of a schedule, the sizes of the steps.
    samples : array of int64, shape (T,)
        The samples, b a step, after which to record; increasing.
    block : int
        Samples per block, a multiple of b.
    projected : bool
    seed : int
    record : str
        One of `RECORDS`.
    t_asked, steps_asked : array, shape (A,)
        The times asked for, and the nearest steps; of these `samples` has each once.
    stop_at_risk : float, optional
        The population risk at which a run ends.
    begins, before, stage : float, int, int
        Of what goes on from a result: the time and the steps it begins at, and how many results
        are before it, each of which has drawn its own samples.
    spectrum : Spectrum, optional
        That of the inputs, for the result.
    groups : Groups, optional
        Of more than one eigenspace, in which columns they are held, and which are turned.
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
    pace: Held | Counted | None
    samples: np.ndarray
    block: int
    projected: bool
    seed: int
    record: str
    t_asked: np.ndarray
    steps_asked: np.ndarray
    stop_at_risk: float | None = None
    begins: float = 0.0
    before: int = 0
    stage: int = 0
    spectrum: Spectrum | None = None
    groups: Groups | None = None

    @property
    def enough(self) -> float:
        """The excess risk at which a run has done enough; −∞ if it is to go on to the end."""
        return -math.inf if self.stop_at_risk is None else self.stop_at_risk - self.task.noise / 2

    @property
    def rate(self) -> float:
        """γ/(p d b): the time of a sample, and the size of its step."""
        return self.learning_rate / (len(self.students) * self.d * self.batch)

    @property
    def second(self) -> float:
        """η/(p d b)."""
        return self.second_layer_rate / (len(self.students) * self.d * self.batch)

    def rates_from(self, block: int, count: int) -> np.ndarray:
        """The size γ/(p d b) of the steps in the blocks from this one on, (count, B)."""
        if self.pace is None:
            return np.full((count, self.block), self.rate)
        return self.pace.sizes(block * self.block, count * self.block).reshape(count, self.block)

    def times(self, samples: np.ndarray) -> np.ndarray:
        """The time after so many samples of this plan."""
        since = samples * self.rate if self.pace is None else self.pace.times(samples)
        return self.begins + since

    @cached_property
    def P(self) -> np.ndarray:
        """Overlaps of the targets, (k, k), or in each eigenspace, (G, k, k)."""
        if self.groups is not None:
            return self.groups.blocks_of(self.targets, self.targets)
        return self.targets @ self.targets.T

    def whole(self, overlaps: np.ndarray) -> np.ndarray:
        """What is recorded as the covariance of pre-activations."""
        return pooled(None if self.groups is None else self.spectrum, overlaps)

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint must agree with, beside the source and the schedule."""
        arrays = self.students, self.targets, self.a, self.a_star
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
            "stop at risk": self.stop_at_risk,
            "begins": [self.begins, self.before, self.stage],
            **({} if self.groups is None else {"spectrum": self.groups.known_by}),
            **{f"{name} version": of for name, of in versions().items() if name != "python"},
        }

    def schedule(self, samples: int) -> str:
        """What is known of the learning rate, as far as so many samples if it is a function."""
        known = b"" if self.pace is None else self.pace.identity(samples)
        return _digest(np.frombuffer(known, np.uint8))

    @property
    def drawn(self) -> int:
        """Coordinates of a sample that are drawn: those of the span of all weights, or d."""
        if self.groups is not None:
            return self.students.shape[1]  # all are in what `GroupDraws` gives
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
    t_eval: np.ndarray | None
    seed: int
    method: str
    record: str
    second_layer_rate: float = 0.0
    batch: int = 1
    steps: np.ndarray | None = None
    stop_at_risk: float | None = None
    begins: float = 0.0
    before: int = 0
    stage: int = 0
    spectrum: Spectrum | None = None


def make_plan(asked: Asked) -> tuple[Plan, str]:
    """Everything that the runs share, and why this method.

    Raises `InvalidInput` if what was asked for does not fit together.
    """
    start, batch = asked.start, asked.batch
    rate = shifted(asked.learning_rate, asked.begins, asked.before, batch)
    gamma = check_schedule(rate)
    d = _dimension(start, asked.d)
    groups = None
    if asked.spectrum is not None and len(asked.spectrum) > 1:
        groups, why = hold(asked.method, start.p, start.k, asked.spectrum, batch)
        method, block = "projected" if groups.projected else "direct", groups.block
        check_fits_in_memory("d", d, 2 * (start.p + start.k) * sum(groups.widths))
        students, targets, scale = *groups.coordinates(start), 1.0
    else:
        method, block, why = choose(asked.method, start.p, start.k, d, batch)
        gram = min(start.p, block) if by_batches(start.p, batch, block) else block
        width = start.p + start.k + gram if method == "projected" else 0
        check_fits_in_memory("d", d, 2 * (start.p + start.k) * (width or d))
        students, targets, scale = _coordinates(start, d, width)
    since = None if asked.t_eval is None else np.maximum(asked.t_eval - asked.begins, 0.0)
    more = None if asked.steps is None else asked.steps - asked.before
    units = gamma, rate, block, batch, start.p * d * batch
    try:
        pace, steps = pace_and_steps(since, more, *units)
    except InvalidInput as error:
        if error.argument == "learning_rate" or not asked.stage:
            raise
        got = f"{error.got} after t = {asked.begins:g}, where the result ends"
        raise InvalidInput(error.argument, got, error.allowed) from None
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
        pace=pace,
        samples=np.unique(batch * steps),
        block=block,
        projected=method == "projected",
        seed=asked.seed,
        record=asked.record,
        t_asked=np.empty(0) if asked.t_eval is None else asked.t_eval,
        steps_asked=asked.before + steps,
        stop_at_risk=asked.stop_at_risk,
        begins=asked.begins,
        before=asked.before,
        stage=asked.stage,
        spectrum=asked.spectrum,
        groups=groups,
    )
    if asked.t_eval is None:
        plan = replace(plan, t_asked=plan.times(batch * steps))
    return plan, why


@dataclass(frozen=True, eq=False)
class Plans:
    """The plan of every run: one for all, or if each goes on from its own state as many.

    `first` is that of run 0, and `why` it has its method; what is recorded is the same in all.
    """

    asked: Asked
    starts: Sequence[Weights | Overlaps]
    first: Plan
    why: str

    @classmethod
    def of(cls, asked: Asked, starts: Sequence[Weights | Overlaps]) -> Plans:
        """Plans of runs from these states, of which one is for all."""
        return cls(asked, starts, *make_plan(replace(asked, start=starts[0])))

    def __getitem__(self, number: int) -> Plan:
        """Made when it is wanted, for it holds the run's own weights."""
        if number == 0 or len(self.starts) == 1:
            return self.first
        return make_plan(replace(self.asked, start=self.starts[number]))[0]


def _dimension(start: Weights | Overlaps, d: int | None) -> int:
    """The dimension of the data, which the start must fit into."""
    if isinstance(start, Weights):
        if d is not None and check_integer("d", d, 1) != start.d:
            raise InvalidInput("d", str(d), f"{start.d}, the dimension of the weights, or left out")
        return start.d
    if isinstance(start, SpectralOverlaps):
        return start.spectrum.d
    if not isinstance(start, Overlaps):
        raise InvalidInput("start", shown(start), "twolayer.Weights or twolayer.Overlaps")
    if d is None:
        raise InvalidInput("d", "None", "given with overlaps: the dimension of the data")
    d = check_integer("d", d, 1)
    if d < start.p + start.k and d < start.rank:
        raise InvalidInput("d", str(d), f"at least {start.rank}, the rank of Ω")
    return d


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
