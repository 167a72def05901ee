"""One run of exact one-pass SGD, from a plan to its recorded overlaps.

A run draws from its own random stream, given by (seed, run number), in blocks whose
boundaries depend on (p, k, d) alone: neither other runs nor the recording times can
change it.  Builds on `plan`, `draws` and `kernels`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from twolayer import checkpoint as checkpoints
from twolayer.activations import Activation
from twolayer.draws import Draws
from twolayer.errors import InvalidInput
from twolayer.matrices import assemble
from twolayer.plan import Plan
from twolayer.task import Task, coefficients, excess_risk_of

#: Random numbers drawn at once: in the cache, and Ctrl-C and the progress bar stay prompt.
_BATCH = 100_000
#: Columns of the weights in flight when overlaps are made.
_COLUMNS = 1024
#: Seconds between two checkpoints of a run.
_SAVE_EVERY = 20.0


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

    @classmethod
    def empty(cls, plan: Plan) -> Outcome:
        """Room for all times of the plan."""
        T, p, k = plan.samples.size, len(plan.students), len(plan.targets)
        Q = np.empty((T, p, p) if plan.record == "overlaps" else (T, p))
        return cls(Q, np.empty((T, p, k)), np.empty(T), np.empty((T, p)))


@dataclass(eq=False)
class _State:
    """Where a run stands: at the start of block number `block`."""

    draws: Draws
    students: np.ndarray
    a: np.ndarray
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
    from twolayer.kernels import sgd as kernels

    file = None if checkpoint is None else checkpoints.file_of(checkpoint, number)
    state, outcome = _begin(plan, number) if file is None else _resume(plan, number, file)
    B, (p, D), k = plan.block, plan.students.shape, len(plan.targets)
    X, C = np.empty((B, D)), np.empty((B, p))
    past = np.empty((B if plan.second else 0, p))
    room = np.empty((B, B)), np.empty((B, p))
    advance, known = _inner_loop(plan.task.activation)
    moved = (state.students, state.a, X, C, past, *room)
    shared = (*moved, k, plan.batch, plan.second, plan.projected, *known)
    batch, saved = max(1, _BATCH // state.draws.size), time.monotonic()
    try:
        while outcome.count < plan.samples.size and outcome.blew_up_at is None:
            step = int(plan.samples[outcome.count])
            if step == state.block * plan.block:
                outcome = _record(plan, outcome, *_overlaps(plan, state.students), state.a)
                continue
            ahead = step // plan.block - state.block
            if ahead > 0:
                last, done = advance(*_samples(plan, state, min(ahead, batch)), *shared, True)
            else:
                last, done = advance(*_samples(plan, state, 1), *shared, False)
                outcome = _record_inside(plan, outcome, state, X, C, past, done)
                if outcome.count == plan.samples.size or outcome.blew_up_at is not None:
                    break
                if done == plan.block:
                    kernels.absorb(state.students, X, C, k, plan.projected)
            state.block += last
            if done < plan.block:
                return replace(outcome, blew_up_at=state.block * plan.block + done)
            state.block += 1
            report(min(state.block * plan.block, plan.samples[-1]))
            if file is not None and time.monotonic() - saved > _SAVE_EVERY:
                _save(plan, file, state, outcome)
                saved = time.monotonic()
    except KeyboardInterrupt:
        outcome = replace(outcome, interrupted=True)
    # Where it was interrupted or blew up, the random stream is ahead of the state.
    if file is not None and outcome.count == plan.samples.size:
        _save(plan, file, state, outcome)
    return outcome


def _inner_loop(activation: Activation) -> tuple[Callable[..., tuple[int, int]], tuple[int, ...]]:
    """The compiled loop and the code of the activation, or NumPy's loop."""
    from twolayer import blocks
    from twolayer.kernels import sgd as kernels

    if activation.code < 0:
        return partial(blocks.advance, activation), ()
    return kernels.advance, (activation.code,)


def _begin(plan: Plan, number: int) -> tuple[_State, Outcome]:
    coordinates = len(plan.students) + len(plan.targets) if plan.projected else plan.d
    draws = Draws(plan.seed, number, plan.block, coordinates, plan.freedom)
    return _State(draws, plan.students * plan.scale, plan.a.copy()), Outcome.empty(plan)


def _samples(plan: Plan, state: _State, count: int) -> tuple[np.ndarray, ...]:
    """Normals and chi variables of the next blocks, noisy labels (count, B) and size of steps."""
    normals, radii = state.draws.blocks(count)
    here = labels(plan.task, plan.targets, plan.a_star, normals, plan.block, plan.projected)
    return normals, radii, here, plan.rates_from(state.block, count)


def labels(
    task: Task,
    targets: np.ndarray,
    a_star: np.ndarray,
    normals: np.ndarray,
    block: int,
    projected: bool,
) -> np.ndarray:
    """The labels of the samples in a batch of random numbers, as `draws.Draws` gives them.

    Parameters
    ----------
    task : Task
    targets : array, shape (k, D)
        W*/√d; projected, the first k coordinates hold them.
    a_star : array, shape (k,)
    normals : array, shape (count, size)
    block : int
        B.
    projected : bool

    Returns
    -------
    array, shape (count, B)
    """
    from scipy.linalg.blas import dgemm

    k, D = targets.shape
    n = (normals.shape[1] - block - block * (block - 1) // 2) // block if projected else D
    seen = k if projected else D
    samples = normals[:, : block * n].reshape(len(normals), block, n)[..., :seen]
    # SciPy's BLAS, as in the kernels: the threads of a second one would spin beside it.
    fields = dgemm(1.0, targets[:, :seen].T, samples.reshape(-1, seen).T, trans_a=True).T
    noise = np.sqrt(task.noise) * normals[:, normals.shape[1] - block :]
    return (task.target_activation.sigma(fields) @ a_star / k).reshape(noise.shape) + noise


def _overlaps(
    plan: Plan, students: np.ndarray, C: np.ndarray | None = None, X: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Q and M of the students, moved by Cᵀ X if given: some columns at a time, without a copy."""
    p, D = students.shape
    Q, M = np.zeros((p, p)), np.zeros((p, len(plan.targets)))
    with np.errstate(all="ignore"):
        for start in range(0, D, _COLUMNS):
            here = slice(start, start + _COLUMNS)
            some = students[:, here]
            if C is not None and X is not None:
                some = some + C.T @ X[:, here]
            Q += some @ some.T
            M += some @ plan.targets[:, here].T
    return Q, M


def _record(plan: Plan, outcome: Outcome, Q: np.ndarray, M: np.ndarray, a: np.ndarray) -> Outcome:
    n, c = outcome.count, coefficients(a, plan.a_star)
    with np.errstate(all="ignore"):
        outcome.Q[n] = Q if plan.record == "overlaps" else np.diagonal(Q)
        outcome.M[n], outcome.a[n] = M, a
        outcome.excess_risk[n] = excess_risk_of(plan.task, assemble(Q, M, plan.P), len(Q), c)
    if not np.isfinite(outcome.excess_risk[n]):
        return replace(outcome, blew_up_at=int(plan.samples[n]))
    return replace(outcome, count=n + 1)


def _record_inside(
    plan: Plan,
    outcome: Outcome,
    state: _State,
    X: np.ndarray,
    C: np.ndarray,
    past: np.ndarray,
    done: int,
) -> Outcome:
    """Record every time inside the block that was just run, from the first rows of C and `past`."""
    start = state.block * plan.block
    while outcome.count < plan.samples.size and outcome.blew_up_at is None:
        inside = int(plan.samples[outcome.count]) - start
        if inside >= plan.block or inside > done:
            break
        Q, M = _overlaps(plan, state.students, C[:inside], X[:inside])
        outcome = _record(plan, outcome, Q, M, past[inside - 1] if plan.second else state.a)
    return outcome


# --- to and from a checkpoint -----------------------------------------------------------


def check(plan: Plan, number: int, folder: str) -> None:
    """Look at the checkpoint of a run, if there is one, before any work.

    Raises
    ------
    InvalidInput
        If it is of other parameters or another version.
    """
    _resume(plan, number, checkpoints.file_of(folder, number))


def bytes_needed(plan: Plan, runs: int) -> int:
    """What the checkpoints of so many runs take on the disk, about, while one is replaced."""
    p, k = len(plan.students), len(plan.targets)
    recorded = plan.samples.size * (p * (p if plan.record == "overlaps" else 1) + p * k + p + 1)
    one = 8 * (plan.students.size + recorded) + 10_000
    return one * (runs + 1)


def _save(plan: Plan, file: Path, state: _State, outcome: Outcome) -> None:
    n = outcome.count
    arrays = {
        "students": state.students,
        "second_layer": state.a,
        "a": outcome.a[:n],
        "Q": outcome.Q[:n],
        "M": outcome.M[:n],
        "excess_risk": outcome.excess_risk[:n],
    }
    random_state = state.draws.state
    try:
        checkpoints.save(
            file, plan.fingerprint, checkpoints.Checkpoint(state.block, random_state, arrays)
        )
    except OSError as error:  # a disk that has filled up must not cost the run itself
        warnings.warn(f"no checkpoint now: {error}", RuntimeWarning, stacklevel=2)


def _resume(plan: Plan, number: int, file: Path) -> tuple[_State, Outcome]:
    state, outcome = _begin(plan, number)
    shapes = {
        "students": plan.students.shape,
        "second_layer": plan.a.shape,
        "a": (None, *outcome.a.shape[1:]),
        "Q": (None, *outcome.Q.shape[1:]),
        "M": (None, *outcome.M.shape[1:]),
        "excess_risk": (None,),
    }
    saved = checkpoints.load(file, plan.fingerprint, shapes)
    if saved is None:
        return state, outcome
    n = len(saved.arrays["excess_risk"])
    at = saved.block * plan.block
    try:
        fits = n <= plan.samples.size and saved.block >= 0
        if not (fits and (n == plan.samples.size or at <= plan.samples[n])):
            raise ValueError("recorded times and blocks that go together")
        state.draws.state = saved.random_state
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        checkpoints.set_aside(file, InvalidInput("checkpoint", str(file), f"whole ({error})"))
        return _begin(plan, number)
    outcome.Q[:n], outcome.M[:n] = saved.arrays["Q"], saved.arrays["M"]
    outcome.excess_risk[:n] = saved.arrays["excess_risk"]
    outcome.a[:n] = saved.arrays["a"]
    state.students[:] = saved.arrays["students"]
    state.a[:] = saved.arrays["second_layer"]
    state.block = saved.block
    return state, replace(outcome, count=n)
