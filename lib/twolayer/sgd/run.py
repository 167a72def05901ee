"""One run of exact one-pass SGD, from a plan to its recorded overlaps.

A run draws from its own random stream, given by (seed, run number), in blocks whose
boundaries depend on (p, k, d) alone: neither other runs nor the recording times can
change it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import scipy

from twolayer.activations.known import Activation
from twolayer.problem.matrices import assemble
from twolayer.problem.task import Task, coefficients, excess_risk_of
from twolayer.sgd import checkpoint as checkpoints
from twolayer.sgd.plan import Plan
from twolayer.sgd.resume import resume, save
from twolayer.sgd.state import Outcome, State, begin
from twolayer.support.threads import apart

#: Random numbers drawn at once: in the cache, and Ctrl-C and the progress bar stay prompt.
_BATCH = 100_000
#: Floating-point operations of a block that take so long that Ctrl-C would wait for it.
_LONG = 2e9
#: Columns of the weights in flight when overlaps are made.
_COLUMNS = 1024
#: Seconds between two checkpoints of a run.
_SAVE_EVERY = 20.0


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
    state, outcome = begin(plan, number) if file is None else resume(plan, number, file)
    B, (p, D), k = plan.block, plan.students.shape, len(plan.targets)
    X, C = np.empty((B, D)), np.empty((B, p))
    past = np.empty((B if plan.second else 0, p))
    room = np.empty((B, B)), np.empty((B, p))
    advance, known = _inner_loop(plan.task.activation)
    moved = (state.students, state.a, X, C, past, *room)
    shared = (*moved, k, plan.batch, plan.second, plan.projected, *known)
    batch, saved = max(1, _BATCH // state.draws.size), time.monotonic()
    long = 4.0 * B * D * (p + k + B) + 50.0 * state.draws.size > _LONG

    def blocks(count: int, absorb_last: bool) -> tuple[int, int]:
        return advance(*_samples(plan, state, count), *shared, absorb_last)

    def ahead(count: int, absorb_last: bool) -> tuple[int, int]:
        return apart(lambda _: blocks(count, absorb_last)) if long else blocks(count, absorb_last)

    try:
        while outcome.count < plan.samples.size and outcome.blew_up_at is None:
            step = int(plan.samples[outcome.count])
            if step == state.block * plan.block:
                outcome = _record(plan, outcome, *_overlaps(plan, state.students), state.a)
                continue
            whole = step // plan.block - state.block
            if whole > 0:
                last, done = ahead(min(whole, batch), True)
            else:
                last, done = ahead(1, False)
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
                save(plan, file, state, outcome)
                saved = time.monotonic()
    except KeyboardInterrupt:
        outcome = replace(outcome, interrupted=True)
    # Where it was interrupted or blew up, the random stream is ahead of the state.
    if file is not None and outcome.count == plan.samples.size:
        save(plan, file, state, outcome)
    return outcome


def _inner_loop(activation: Activation) -> tuple[Callable[..., tuple[int, int]], tuple[int, ...]]:
    """The compiled loop and the code of the activation, or NumPy's loop."""
    from twolayer.kernels import sgd as kernels
    from twolayer.sgd import blocks

    if activation.code < 0:
        return partial(blocks.advance, activation), ()
    return kernels.advance, (activation.code,)


def _samples(plan: Plan, state: State, count: int) -> tuple[np.ndarray, ...]:
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
    k, D = targets.shape
    n = (normals.shape[1] - block - block * (block - 1) // 2) // block if projected else D
    seen = k if projected else D
    samples = normals[:, : block * n].reshape(len(normals), block, n)[..., :seen]
    # SciPy's BLAS, as in the kernels: the threads of a second one would spin beside it.
    fields = scipy.linalg.blas.dgemm(
        1.0, targets[:, :seen].T, samples.reshape(-1, seen).T, trans_a=True
    ).T
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
    state: State,
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
