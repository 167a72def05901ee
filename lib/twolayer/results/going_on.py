"""Where and when a result ends, for another that goes on from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twolayer.problem.overlaps import Overlaps
from twolayer.results.trajectory import Trajectory
from twolayer.schedules import Constant, Schedule, clock_after
from twolayer.support.checks import InvalidInput


def going_on(argument: str, start: Trajectory, run: int = 0) -> tuple[float, Overlaps]:
    """When and where a run of a result ends, to go on from."""
    if not start.t.size:
        raise InvalidInput(argument, repr(start), "a result with a time to go on from")
    return float(start.t[-1]), start.overlaps(-1, run)


def with_targets(start: Any, a_star: ArrayLike | None) -> Any:
    """Weights or overlaps with another second layer of the targets, if it is given."""
    if a_star is None:
        return start
    return replace(start, a_star=a_star)


def step_of(result: Trajectory) -> float:
    """The time of a step of SGD, on average; 0 if there are none."""
    steps = 0 if result.steps is None or not result.t.size else result.steps[-1]
    return float(result.t[-1] / steps) if steps else 0.0


def later(t_eval: np.ndarray, begins: float, step: float = 0.0) -> np.ndarray:
    """Times of what goes on from a result, refused before its end; by less than a step they are it.

    A result of SGD ends at the step that is nearest to the time it was asked for.
    """
    if t_eval[0] < begins - step:
        allowed = f"from {begins:g} on, where the result ends that is gone on from"
        raise InvalidInput("t_eval", f"{t_eval[0]:g}", allowed)
    return np.maximum(t_eval, begins)


def steps_made(result: Trajectory, d: int | None) -> float | None:
    """SGD steps until a result ends; of a flow as many as its rate makes of its time.

    None where that is not known: without d, with a rate that is a function of t, or without one.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=2, k=1, d=4).overlaps()
    >>> flow = tl.solve(tl.Task("erf"), start, learning_rate=0.5, t_eval=[2.0])
    >>> steps_made(flow, d=100), steps_made(flow, d=None)
    (800.0, None)
    """
    if result.steps is not None:
        return float(result.steps[-1])
    told = result.parameters
    rate, before, d = told.get("learning_rate"), told.get("before", 0.0), told.get("d") or d
    rate = rate.rate if isinstance(rate, Constant) else rate
    if before is None or d is None or not isinstance(rate, (float, Schedule)):
        return None
    area = (float(result.t[-1]) - told.get("begins", 0.0)) * result.M.shape[-2] * d
    if isinstance(rate, float):
        return float(before + area / rate)
    if rate.in_ == "t":
        return None
    unit = int(told["batch"]) if rate.in_ == "samples" else 1
    return clock_after(rate, before * unit, area * unit) / unit


def check_counted(rate: Any, steps: ArrayLike | None, before: float | None) -> None:
    """Refuse steps that cannot be counted on from a result, or begin before its last one."""
    missing = "the result that is gone on from does not know its steps, as one asked by steps does"
    if before is None and steps is not None:
        raise InvalidInput("steps", "given", f"t_eval: {missing}")
    if before is None and isinstance(rate, Schedule) and rate.in_ != "t":
        raise InvalidInput("learning_rate", f"{rate.name}, in {rate.in_}", f"in t: {missing}")
    if before is not None and steps is not None and steps[0] <= before - 1:
        allowed = f"from {before:.15g} on, where the result ends that is gone on from"
        raise InvalidInput("steps", str(steps[0]), allowed)
