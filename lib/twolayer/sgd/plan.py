"""What all runs of one simulation share: the method, the coordinates, the blocks.

A plan holds everything that shapes a run but its number; it is plain data and can be
sent to another process.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from twolayer.problem.spectral_overlaps import pooled
from twolayer.problem.spectrum import Spectrum
from twolayer.problem.task import Task, known_by
from twolayer.problem.update import UpdateRule
from twolayer.sgd.groups import Groups
from twolayer.sgd.inputs import Inputs
from twolayer.sgd.pace import Counted, Held
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
    rule : UpdateRule
        What a step does beside the gradient.
    stop_at_risk : float, optional
        The population risk at which a run ends.
    begins, before, stage : float, int, int
        Of what goes on from a result: the time and the steps it begins at, and how many results
        are before it, each of which has drawn its own samples.
    spectrum : Spectrum, optional
        That of the inputs, for the result.
    groups : Groups, optional
        Of more than one eigenspace, in which columns they are held, and which are turned.
    inputs : Inputs, optional
        Samples other than Gaussian ones.
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
    rule: UpdateRule
    stop_at_risk: float | None = None
    begins: float = 0.0
    before: int = 0
    stage: int = 0
    spectrum: Spectrum | None = None
    groups: Groups | None = None
    inputs: Inputs | None = None

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

    @property
    def norms(self) -> np.ndarray:
        """Norms of the students at the start, (p,)."""
        return np.linalg.norm(self.students, axis=1) * self.scale

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
            **self.rule.named,
            "begins": [self.begins, self.before, self.stage],
            **({} if self.groups is None else {"spectrum": self.groups.known_by}),
            **({} if self.inputs is None else {"inputs": _digest(self.inputs.known)}),
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


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
