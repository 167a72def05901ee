"""From what single runs of SGD recorded to one trajectory of all of them.

Runs that blew up stand beside those that did not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from twolayer.results.divergence import Divergence
from twolayer.results.spectral_trajectory import trajectory_of
from twolayer.results.trajectory import Trajectory
from twolayer.schedules import Schedule
from twolayer.sgd.plan import Plan
from twolayer.sgd.state import Outcome
from twolayer.support.versions import provenance
from twolayer.support.warn import warn

#: What is to be done about runs that blow up.
OnDivergence = Literal["raise", "keep"]
ON_DIVERGENCE: tuple[str, ...] = get_args(OnDivergence)


def gather(
    plan: Plan,
    outcomes: Mapping[int, Outcome],
    runs: int,
    *,
    stopped: bool,
    on_divergence: str,
    learning_rate: float | str | Schedule | None,
    method: str,
    why: str,
    started: float,
) -> Trajectory:
    """The runs as one trajectory; raise `Divergence`, or warn of an interruption.

    Of those that were begun (`outcomes`, by number), runs that were interrupted are left out if
    others have ended.
    """
    ended = {n: outcomes[n] for n in sorted(outcomes) if not outcomes[n].interrupted}
    begun = {n: outcomes[n] for n in sorted(outcomes) if outcomes[n].count}
    if not ended and not begun:
        raise KeyboardInterrupt
    some = ended or dict([next(iter(begun.items()))])
    rows, raises = list(some.values()), on_divergence == "raise"
    diverged = tuple(i for i, row in enumerate(rows) if row.blew_up_at is not None)
    low = [i for i, row in enumerate(rows) if row.stopped(plan)]
    # Times that no run has reached say nothing; asked to keep all runs, keep all times, too.
    keeps = not raises and ended and len(low) < len(rows)
    count = plan.samples.size if keeps else max(row.count for row in rows)
    trajectory = trajectory_of(
        plan.spectrum,
        t=plan.times(plan.samples[:count]),
        Q=_stacked(rows, "Q", count),
        M=_stacked(rows, "M", count),
        P=plan.P,
        excess_risk=_stacked(rows, "excess_risk", count),
        task=plan.task,
        a=_stacked(rows, "a", count),
        a_star=plan.a_star,
        steps=plan.before + plan.samples[:count] // plan.batch,
        t_asked=plan.t_asked,
        steps_asked=plan.steps_asked,
        parameters={
            "learning_rate": learning_rate,
            "second_layer_rate": plan.second_layer_rate,
            "batch": plan.batch,
            **plan.rule.named,
            "d": plan.d,
            "runs": len(rows),
            "seed": plan.seed,
            "method": method,
            "stop_at_risk": plan.stop_at_risk,
            **({} if plan.inputs is None else {"inputs": plan.inputs.name}),
            **({"begins": plan.begins, "stage": plan.stage} if plan.stage else {}),
        },
        provenance=provenance(
            method="projected" if plan.projected else "direct",
            why=why,
            block=plan.block,
            steps=plan.before + int(plan.samples[-1]) // plan.batch,
            seconds=round(time.perf_counter() - started, 3),
            **({"stopped_at_risk": low} if plan.stop_at_risk is not None else {}),
            **({"diverged": list(diverged)} if diverged else {}),
            **({"run_numbers": list(some)} if len(some) < runs else {}),
        ),
    )
    if stopped:
        asked = plan.samples.size
        message = f"interrupted: {len(rows)} run(s) with {count} of {asked} times returned"
        warn(message, RuntimeWarning)
    if diverged and raises:
        sample = min(row.blew_up_at for row in rows if row.blew_up_at is not None)
        when = float(plan.times(np.array(sample)))
        reason = "a run left the range of finite numbers"
        step = plan.before + sample // plan.batch
        raise Divergence(reason, step, when, trajectory, diverged)
    return trajectory


def _stacked(rows: Sequence[Outcome], name: str, count: int) -> np.ndarray:
    """One array of what all runs recorded, NaN after the last time of each."""
    recorded = [getattr(row, name)[:count] for row in rows]
    out = np.stack(recorded) if len(rows) > 1 else recorded[0][None]  # which may fill the memory
    for values, row in zip(out, rows, strict=True):
        values[row.count :] = np.nan
    return out
