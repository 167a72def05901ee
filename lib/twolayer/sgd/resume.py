"""A run of SGD to and from its checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.sgd import checkpoint as checkpoints
from twolayer.sgd.plan import Plan
from twolayer.sgd.state import Outcome, State, begin
from twolayer.support.checks import InvalidInput
from twolayer.support.sources import digest_of
from twolayer.support.warn import warn

#: The module that makes a run: whatever it reaches may change the bits.
_RUNS = "twolayer.sgd.run"


def _agreed(plan: Plan, samples: Any = 0) -> dict[str, Any]:
    """What the checkpoint of a run, where so many samples are behind it, says of its plan."""
    known = samples if isinstance(samples, int) else 0
    schedule = {"schedule": plan.schedule(known), "samples": known}
    return plan.fingerprint | {"source": digest_of(_RUNS)} | schedule


def _name(plan: Plan, name: str) -> str:
    """Under which name Q and M are kept, whose axes those of eigenspaces add to."""
    return f"{name}_blocks" if plan.groups is not None and name in "QM" else name


def check(plan: Plan, number: int, folder: str) -> None:
    """Refuse the checkpoint of a run, if there is one, of other parameters or another version."""
    resume(plan, number, checkpoints.file_of(folder, number))


def bytes_needed(plan: Plan, runs: int) -> int:
    """What the checkpoints of so many runs take on the disk, about, while one is replaced."""
    p, k = len(plan.students), len(plan.targets)
    groups = 1 if plan.groups is None else len(plan.groups.spectrum)
    overlaps = groups * (p * (p if plan.record == "overlaps" else 1) + p * k)
    recorded = plan.samples.size * (overlaps + p + 1)
    one = 8 * (plan.students.size + recorded) + 10_000
    return one * (runs + 1)


def save(plan: Plan, file: Path, state: State, outcome: Outcome) -> None:
    """Write where a run stands; a warning if that cannot be done."""
    n = outcome.count
    arrays = {
        "students": state.students,
        "second_layer": state.a,
        "samples": plan.samples[:n].astype(float),  # NetCDF 3 has no integers of 64 bits
        "a": outcome.a[:n],
        _name(plan, "Q"): outcome.Q[:n],
        _name(plan, "M"): outcome.M[:n],
        "excess_risk": outcome.excess_risk[:n],
    }
    random_state = state.draws.state
    done = max([state.block * plan.block, *plan.samples[n - 1 : n].tolist()])
    try:
        checkpoints.save(
            file, _agreed(plan, done), checkpoints.Checkpoint(state.block, random_state, arrays)
        )
    except OSError as error:  # a disk that has filled up must not cost the run itself
        warn(f"no checkpoint now: {error}", RuntimeWarning)


def resume(plan: Plan, number: int, file: Path) -> tuple[State, Outcome]:
    """A run as its checkpoint left it, or at its start.

    Other times may be asked for than it was begun with: those before where it stands, of the ones
    that it recorded; later ones as one likes.
    """
    state, outcome = begin(plan, number)
    shapes = {
        "students": plan.students.shape,
        "second_layer": plan.a.shape,
        "samples": (None,),
        "a": (None, *outcome.a.shape[1:]),
        _name(plan, "Q"): (None, *outcome.Q.shape[1:]),
        _name(plan, "M"): (None, *outcome.M.shape[1:]),
        "excess_risk": (None,),
    }
    saved = checkpoints.load(file, lambda have: _agreed(plan, have.get("samples")), shapes)
    if saved is None:
        return state, outcome
    at = saved.block * plan.block
    try:
        if saved.block < 0 or (np.diff(saved.arrays["samples"]) <= 0).any():
            raise ValueError("recorded times and blocks that go together")
        state.draws.state = saved.random_state
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        checkpoints.set_aside(file, InvalidInput("checkpoint", str(file), f"whole ({error})"))
        return begin(plan, number)
    there = np.isin(plan.samples, saved.arrays["samples"])
    n = int(np.argmin(there)) if not there.all() else there.size
    if n < there.size and plan.samples[n] < at:
        asked, stands = (plan.before + each // plan.batch for each in (int(plan.samples[n]), at))
        got = f"a time after {asked} steps"
        allowed = f"of those recorded, or after {stands} steps, where {file} stands"
        raise InvalidInput("t_eval", got, allowed)
    of = np.searchsorted(saved.arrays["samples"], plan.samples[:n])
    for name in ("Q", "M", "excess_risk", "a"):
        getattr(outcome, name)[:n] = saved.arrays[_name(plan, name)][of]
    state.students[:] = saved.arrays["students"]
    state.a[:] = saved.arrays["second_layer"]
    state.block = saved.block
    return state, replace(outcome, count=n)
