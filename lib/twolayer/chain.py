"""One run of exact one-pass SGD, from a plan to its recorded overlaps.

A run draws from its own random stream, given by (seed, run number), in blocks whose
boundaries depend on (p, k, d) alone: neither other runs nor the recording times can
change it.  Builds on `plan` and `kernels`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twolayer.errors import InvalidInput
from twolayer.overlaps import assemble
from twolayer.plan import Plan
from twolayer.storage import read_netcdf, write_netcdf
from twolayer.task import excess_risk_of

#: Seconds of uninterrupted compiled work, so that Ctrl-C and the progress bar stay prompt.
_BREATH = 0.2
#: Seconds between two checkpoints of a run.
_SAVE_EVERY = 20.0
_FORMAT = "twolayer checkpoint 1"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one run recorded: `count` times, and the step at which it blew up, if it did."""

    Q: np.ndarray
    M: np.ndarray
    excess_risk: np.ndarray
    count: int = 0
    blew_up_at: int | None = None
    interrupted: bool = False

    @classmethod
    def empty(cls, plan: Plan) -> Outcome:
        """Room for all times of the plan."""
        T, p, k = plan.steps.size, len(plan.students), len(plan.targets)
        Q = np.empty((T, p, p) if plan.record == "overlaps" else (T, p))
        return cls(Q, np.empty((T, p, k)), np.empty(T))


@dataclass(eq=False)
class _State:
    """Where a run stands: at the start of block number `block`."""

    rng: np.random.Generator
    students: np.ndarray
    block: int = 0


def run(
    plan: Plan,
    number: int,
    checkpoint: str | None = None,
    report: Callable[[float], None] = lambda steps: None,
) -> Outcome:
    """Run number `number` of the plan.

    Parameters
    ----------
    plan : Plan
    number : int
    checkpoint : str, optional
        A folder in which this run keeps its own file.
    report : callable
        Called now and then with the number of steps done.

    Returns
    -------
    Outcome
        Complete, or with `blew_up_at` or `interrupted` set.
    """
    from twolayer import kernels

    file = None if checkpoint is None else checkpoint_file(checkpoint, number)
    state, outcome = _begin(plan, number) if file is None else _resume(plan, number, file)
    X = np.empty((plan.block, plan.students.shape[1]))
    C = np.empty((plan.block, len(plan.students)))
    deviation = np.sqrt(plan.task.noise)
    shared = (X, C, plan.task.activation.code, plan.rate, deviation, plan.freedom)
    pace, saved = 1, time.monotonic()
    try:
        while outcome.count < plan.steps.size and outcome.blew_up_at is None:
            step = int(plan.steps[outcome.count])
            if step == state.block * plan.block:
                outcome = _record(plan, outcome, state.students)
                continue
            ahead = step // plan.block - state.block
            started = time.monotonic()
            if ahead > 0:
                blocks = min(ahead, pace)
                whole, done = kernels.advance(
                    state.rng, plan.targets, state.students, *shared, blocks
                )
                state.block += whole
                if done < plan.block:
                    return replace(outcome, blew_up_at=state.block * plan.block + done)
                spent = time.monotonic() - started
                pace = max(1, min(2 * pace, int(blocks * _BREATH / max(spent, 1e-6))))
            else:
                done = kernels.run_block(state.rng, plan.targets, state.students, *shared)
                outcome = _record_inside(plan, outcome, state, X, C, done)
                if outcome.count == plan.steps.size or outcome.blew_up_at is not None:
                    break
                if done < plan.block:
                    return replace(outcome, blew_up_at=state.block * plan.block + done)
                kernels.absorb(state.students, X, C, len(plan.targets), plan.freedom)
                state.block += 1
            report(min(state.block * plan.block, plan.steps[-1]))
            if file is not None and time.monotonic() - saved > _SAVE_EVERY:
                _save(plan, file, state, outcome)
                saved = time.monotonic()
    except KeyboardInterrupt:
        outcome = replace(outcome, interrupted=True)
    if file is not None and not outcome.interrupted:
        _save(plan, file, state, outcome)
    return outcome


def _begin(plan: Plan, number: int) -> tuple[_State, Outcome]:
    sequence = np.random.SeedSequence(plan.seed, spawn_key=(number,))
    rng = np.random.Generator(np.random.SFC64(sequence))
    return _State(rng, plan.students.copy()), Outcome.empty(plan)


def _record(plan: Plan, outcome: Outcome, students: np.ndarray) -> Outcome:
    n = outcome.count
    with np.errstate(all="ignore"):
        Q, M = students @ students.T, students @ plan.targets.T
        outcome.Q[n] = Q if plan.record == "overlaps" else np.diagonal(Q)
        outcome.M[n] = M
        outcome.excess_risk[n] = excess_risk_of(plan.task, assemble(Q, M, plan.P), len(Q))
    if not np.isfinite(outcome.excess_risk[n]):
        return replace(outcome, blew_up_at=int(plan.steps[n]))
    return replace(outcome, count=n + 1)


def _record_inside(
    plan: Plan, outcome: Outcome, state: _State, X: np.ndarray, C: np.ndarray, done: int
) -> Outcome:
    """Record every time inside the block that was just run, from the first rows of C."""
    start = state.block * plan.block
    while outcome.count < plan.steps.size and outcome.blew_up_at is None:
        inside = int(plan.steps[outcome.count]) - start
        if inside >= plan.block or inside > done:
            break
        outcome = _record(plan, outcome, state.students + C[:inside].T @ X[:inside])
    return outcome


# --- checkpoints: one NetCDF file a run, plain arrays and JSON -------------------------


def checkpoint_file(folder: str, number: int) -> Path:
    """The file of a run in a checkpoint folder."""
    return Path(folder) / f"run-{number:05d}.nc"


def _save(plan: Plan, file: Path, state: _State, outcome: Outcome) -> None:
    import xarray

    n = outcome.count
    variables = {
        "students": (("neuron", "coordinate"), state.students),
        "Q": (("time", "neuron", "neuron_2")[: outcome.Q.ndim], outcome.Q[:n]),
        "M": (("time", "neuron", "target"), outcome.M[:n]),
        "excess_risk": (("time",), outcome.excess_risk[:n]),
    }
    attributes = {
        "format": _FORMAT,
        "fingerprint": json.dumps(plan.fingerprint, sort_keys=True),
        "block": str(state.block),
        "random_state": json.dumps(state.rng.bit_generator.state, default=np.ndarray.tolist),
    }
    write_netcdf(xarray.Dataset(variables, attrs=attributes), file)


def _resume(plan: Plan, number: int, file: Path) -> tuple[_State, Outcome]:
    state, outcome = _begin(plan, number)
    if not file.exists():
        return state, outcome
    data = read_netcdf(file, _FORMAT, argument="checkpoint")
    have = json.loads(data.attrs["fingerprint"])
    if have != plan.fingerprint:
        different = sorted(
            name
            for name in have.keys() | plan.fingerprint.keys()
            if have.get(name) != plan.fingerprint.get(name)
        )
        kept = ", ".join(f"{name}={have.get(name)!r}" for name in different)
        asked = ", ".join(f"{name}={plan.fingerprint.get(name)!r}" for name in different)
        raise InvalidInput(
            "checkpoint", f"{file} of a run with {kept}", f"of a run with {asked}, or another path"
        )
    n = data.sizes["time"]
    outcome.Q[:n], outcome.M[:n] = data["Q"].values, data["M"].values
    outcome.excess_risk[:n] = data["excess_risk"].values
    state.students[:] = data["students"].values
    state.block = int(data.attrs["block"])
    state.rng.bit_generator.state = json.loads(data.attrs["random_state"])
    return state, replace(outcome, count=n)
