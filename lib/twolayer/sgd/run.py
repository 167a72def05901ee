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


class Workspace:
    """The blocks of one run: their samples, the room they are run in, and the loop that does it."""

    def __init__(self, plan: Plan, state: State) -> None:
        from twolayer.kernels import sgd as kernels  # starts numba
        from twolayer.sgd import blocks

        B, (p, D), k = plan.block, plan.students.shape, len(plan.targets)
        self.plan, self.state, self._kernels = plan, state, kernels
        past = np.empty((B if plan.second else 0, p))
        products = np.empty((B, B)), np.empty((B, p))
        X, C = np.empty((B, D)), np.empty((B, p))
        self._room = kernels.Room(state.students, state.a, X, C, past, *products)
        activation = plan.task.activation
        self._rules = kernels.Rules(k, plan.batch, plan.second, plan.projected, activation.code)
        own = activation.code < 0
        self._loop = partial(blocks.advance, activation) if own else kernels.advance
        self._most = max(1, _BATCH // state.draws.size)
        self._long = 4.0 * B * D * (p + k + B) + 50.0 * state.draws.size > _LONG

    def advance(self, count: int, absorb_last: bool = True) -> tuple[int, int]:
        """Run through so many blocks or fewer; the number of the last, and of its steps."""
        some = min(count, self._most)
        return (
            apart(lambda _: self._step(some, absorb_last))
            if self._long
            else self._step(some, absorb_last)
        )

    def _step(self, count: int, absorb_last: bool) -> tuple[int, int]:
        plan, (normals, radii) = self.plan, self.state.draws.blocks(count)
        here = labels(plan.task, plan.targets, plan.a_star, normals, plan.block, plan.projected)
        rates = plan.rates_from(self.state.block, count)
        samples = self._kernels.Samples(normals, radii, here, rates)
        return self._loop(samples, self._room, self._rules, absorb_last)

    def absorb(self) -> None:
        """End the block that was run last."""
        room, rules = self._room, self._rules
        self._kernels.absorb(room.students, room.X, room.C, rules.k, rules.projected)

    def second_layer(self, inside: int) -> np.ndarray:
        """The second layer after so many samples of the block that was run last."""
        return self._room.past[inside - 1] if self.plan.second else self.state.a

    def overlaps(self, inside: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Q and M after so many samples of the block, some columns at a time, without a copy."""
        room, (p, D) = self._room, self.plan.students.shape
        C, X = room.C[:inside], room.X[:inside]
        Q, M = np.zeros((p, p)), np.zeros((p, len(self.plan.targets)))
        with np.errstate(all="ignore"):
            for start in range(0, D, _COLUMNS):
                here = slice(start, start + _COLUMNS)
                some = room.students[:, here]
                if inside:
                    some = some + C.T @ X[:, here]
                Q += some @ some.T
                M += some @ self.plan.targets[:, here].T
        return Q, M


def run(
    plan: Plan,
    number: int,
    checkpoint: str | None = None,
    report: Callable[[float], None] = lambda steps: None,
) -> Outcome:
    """Run number `number` of the plan.

    Its file is kept in the folder `checkpoint`; `report` is called now and then with the number of
    steps done.  The outcome is complete, or has `blew_up_at` or `interrupted` set.
    """
    file = None if checkpoint is None else checkpoints.file_of(checkpoint, number)
    state, outcome = begin(plan, number) if file is None else resume(plan, number, file)
    space, saved = Workspace(plan, state), time.monotonic()

    try:
        while outcome.count < plan.samples.size and outcome.blew_up_at is None:
            step = int(plan.samples[outcome.count])
            if step == state.block * plan.block:
                outcome = _record(plan, outcome, *space.overlaps(), state.a)
                continue
            whole = step // plan.block - state.block
            if whole > 0:
                last, done = space.advance(whole)
            else:
                last, done = space.advance(1, absorb_last=False)
                outcome = _record_inside(plan, outcome, space, done)
                if outcome.count == plan.samples.size or outcome.blew_up_at is not None:
                    break
                if done == plan.block:
                    space.absorb()
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


def labels(
    task: Task,
    targets: np.ndarray,
    a_star: np.ndarray,
    normals: np.ndarray,
    block: int,
    projected: bool,
) -> np.ndarray:
    """The labels (count, B) of the samples in normals (count, size), as `draws.Draws` gives them.

    The targets are W*/√d (k, D); projected, their first k coordinates hold them.
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


def _record(plan: Plan, outcome: Outcome, Q: np.ndarray, M: np.ndarray, a: np.ndarray) -> Outcome:
    n, c = outcome.count, coefficients(a, plan.a_star)
    with np.errstate(all="ignore"):
        outcome.Q[n] = Q if plan.record == "overlaps" else np.diagonal(Q)
        outcome.M[n], outcome.a[n] = M, a
        outcome.excess_risk[n] = excess_risk_of(plan.task, assemble(Q, M, plan.P), len(Q), c)
    if not np.isfinite(outcome.excess_risk[n]):
        return replace(outcome, blew_up_at=int(plan.samples[n]))
    return replace(outcome, count=n + 1)


def _record_inside(plan: Plan, outcome: Outcome, space: Workspace, done: int) -> Outcome:
    """Record every time inside the block of which so many steps were just run."""
    start = space.state.block * plan.block
    while outcome.count < plan.samples.size and outcome.blew_up_at is None:
        inside = int(plan.samples[outcome.count]) - start
        if inside >= plan.block or inside > done:
            break
        outcome = _record(plan, outcome, *space.overlaps(inside), space.second_layer(inside))
    return outcome
