"""Where one run of SGD stands, and what it has recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer.sgd.draws import Draws
from twolayer.sgd.groups import GroupDraws
from twolayer.sgd.inputs import InputDraws
from twolayer.sgd.plan import Plan


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one run recorded: `count` times, and the step at which it blew up, if it did."""

    Q: np.ndarray
    M: np.ndarray
    excess_risk: np.ndarray
    a: np.ndarray
    count: int = 0
    blew_up_at: int | None = None
    interrupted: bool = False

    def stopped(self, plan: Plan) -> bool:
        """Whether its risk is as low as asked for, at the time recorded last."""
        return self.count > 0 and bool(self.excess_risk[self.count - 1] <= plan.enough)

    def over(self, plan: Plan) -> bool:
        """Whether there is nothing more to record."""
        return self.count == plan.samples.size or self.blew_up_at is not None or self.stopped(plan)

    @classmethod
    def empty(cls, plan: Plan) -> Outcome:
        """Room for all times of the plan."""
        T, p, k = plan.samples.size, len(plan.students), len(plan.targets)
        lead = (T,) if plan.groups is None else (T, len(plan.groups.spectrum))
        Q = np.empty((*lead, p, p) if plan.record == "overlaps" else (*lead, p))
        return cls(Q, np.empty((*lead, p, k)), np.empty(T), np.empty((T, p)))


@dataclass(eq=False)
class State:
    """Where a run stands: at the start of block number `block`."""

    draws: Draws
    students: np.ndarray
    a: np.ndarray
    block: int = 0


def begin(plan: Plan, number: int) -> tuple[State, Outcome]:
    """A run before its first step, with room for what it records."""
    sizes = plan.block, plan.drawn, plan.freedom, plan.gram
    if plan.inputs is not None:
        draws = InputDraws(plan.inputs, plan.block, plan.d, plan.seed, number, plan.stage)
    elif plan.groups is not None:
        draws = GroupDraws(plan.groups, plan.seed, number, plan.stage)
    else:
        draws = Draws(plan.seed, number, *sizes, plan.stage)
    return State(draws, plan.students * plan.scale, plan.a.copy()), Outcome.empty(plan)
