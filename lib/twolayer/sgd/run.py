"""One run of exact one-pass SGD, from a plan to its recorded overlaps.

A run draws from its own random stream, given by (seed, run number), in blocks whose
boundaries depend on (p, k, d) alone: neither other runs nor the recording times can
change it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy

from twolayer.problem.task import Task, excess_risks_of
from twolayer.sgd import checkpoint as checkpoints
from twolayer.sgd.method import CHUNK, WIDE
from twolayer.sgd.plan import Plan
from twolayer.sgd.resume import resume, save
from twolayer.sgd.state import Outcome, State, begin
from twolayer.support.arrays import writable
from twolayer.support.threads import apart, one_core

#: Random numbers drawn at once: in the cache, and Ctrl-C and the progress bar stay prompt.
_BATCH = 100_000
#: Floating-point operations of a block that take so long that Ctrl-C would wait for it.
_LONG = 2e9
#: Numbers in flight when risks are computed.
_IN_FLIGHT = 100_000
#: Seconds between two checkpoints of a run.
_SAVE_EVERY = 20.0


class Workspace:
    """The blocks of one run: their samples, the room they are run in, and the loop that does it."""

    def __init__(self, plan: Plan, state: State) -> None:
        from twolayer.kernels import sgd as kernels  # starts numba
        from twolayer.sgd import batches, blocks, groups

        B, (p, D), k = plan.block, plan.students.shape, len(plan.targets)
        self.plan, self.state, self._kernels = plan, state, kernels
        self._targets = writable(plan.targets)
        self._turn_back = batches.turn_back
        activation = plan.task.activation
        rule, code = plan.rule, activation.code
        projected = plan.projected and plan.groups is None
        rates = np.empty(0) if rule.plain else writable(rule.rates)
        norms = plan.norms if rule.fixed else np.empty(0)
        of_step = kernels.Multiples(rates, norms, rule.decay * plan.batch)
        self._rules = kernels.Rules(k, plan.batch, plan.second, projected, code, of_step)
        self._most = max(1, _BATCH // state.draws.size)
        self._long = 4.0 * B * D * (p + k + B) + 50.0 * state.draws.size > _LONG
        # LAPACK turns wide weights back faster than a kernel does.
        self._wide = projected and p >= WIDE
        alone = projected and plan.gram < B
        rows = 0 if alone else B
        X, C = np.empty((rows, D)), np.empty((rows, p))
        past = np.empty((rows if plan.second else 0, p))
        products = np.empty((rows, rows)), np.empty((rows, p))
        scaled = 0 if rule.plain else p
        scales = kernels.Scales(*np.ones((4, scaled)), np.empty((rows if scaled else 0, scaled)))
        self._room = kernels.Room(state.students, state.a, X, C, past, *products, scales)
        known = activation.code >= 0
        if alone and (self._wide or not known):
            self._loop = partial(batches.advance, activation)
        elif alone:
            self._loop = kernels.advance_batches
        else:
            self._loop = kernels.advance if known else partial(blocks.advance, activation)
        if grouped := plan.groups is not None and plan.groups.projected:
            self._loop = groups.loop_of(plan.groups, self._loop, known and p < WIDE)
        #: The block from which on machine code for the user's function takes over, if it is yet to.
        self._next = None if known or alone or grouped else -(-blocks.BY_NUMPY // B)

    def advance(self, count: int, absorb_last: bool = True) -> tuple[int, int]:
        """Run through so many blocks or fewer; the number of the last, and of its steps."""
        some = 1 if self._wide else min(count, self._most)
        if self._next is not None:
            left = self._next - self.state.block
            if left <= 0:
                self._take_over()
            else:
                some = min(some, left)
        if self._long:
            return apart(lambda _: self._step(some, absorb_last))
        return self._step(some, absorb_last)

    def _take_over(self) -> None:
        """Go on in machine code, where there is any."""
        from twolayer.activations.machine_code import machine_code

        self._next, sigma = None, machine_code(self.plan.task.activation)
        if sigma is not None:
            self._rules = self._rules._replace(sigma=sigma)
            self._loop = self._kernels.advance

    def _step(self, count: int, absorb_last: bool) -> tuple[int, int]:
        plan, (normals, radii) = self.plan, self.state.draws.blocks(count)
        here = labels(plan.task, plan.targets, plan.a_star, normals, plan.block, plan.drawn)
        rates = plan.rates_from(self.state.block, count)
        samples = self._kernels.Samples(normals, radii, here, rates)
        last, done = self._loop(samples, self._room, self._rules, absorb_last and not self._wide)
        if self._wide and absorb_last and done == plan.block:
            self.absorb()
        return last, done

    def absorb(self) -> None:
        """End the block that was run last."""
        room, rules = self._room, self._rules
        if not self._wide:
            self._kernels.absorb(room, rules)
            if self.plan.groups is not None:
                self.plan.groups.turn_back(room.students, rules.k)
            return
        if room.X.size:  # batches are there already
            self._kernels.add_transposed_product(room.C, room.X, room.students)
            self._kernels.to_weights(room.students, room.scales, rules.multiples)
        self._turn_back(room.students, rules.k)

    def overlaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Q and M at the start of the block."""
        if self.plan.groups is not None:
            students, of = self._room.students, self.plan.groups.blocks_of
            return of(students, students), of(students, self._targets)
        Q, M = self._products(self._room.students), self._products(self._room.students, True)
        return (Q + Q.T) / 2, M

    def _products(self, rows: np.ndarray, with_targets: bool = False) -> np.ndarray:
        """Scalar products of rows with the students, or with the targets, without a copy.

        By the BLAS of the kernels: the threads of NumPy's own would spin beside it.
        """
        others = self._targets if with_targets else self._room.students
        out = np.empty((len(rows), len(others)))
        self._kernels.scalar_products(rows, others, out)
        return out

    def inside(self, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Q, M and a after so many samples of the block that was run last.

        From its pre-activations and scalar products: a sample moves Q by λ cᵀ + c λᵀ + ‖x‖² c cᵀ,
        at a cost that does not depend on the dimension.  Always in the same chunks, so that the
        bits do not depend on what else is asked.  Where there are scales, Q is that of the rows.
        """
        room, batch = self._room, self.plan.batch
        if self.plan.groups is not None:
            both = room.students, self._targets
            after = self.plan.groups.inside(*both, room.X, room.C, batch)
            for stop in counts:
                yield *after(stop), room.past[stop - 1] if self.plan.second else self.state.a
            return
        Q, M = self.overlaps()
        seen = self._products(room.X, True)
        chunk, start = batch * max(1, CHUNK // batch), 0
        for stop in counts:
            while start + chunk < stop:
                Q, M = self._moved(Q, M, seen, start, start + chunk)
                start += chunk
            now = self._moved(Q, M, seen, start, stop)
            if room.scales.now.size:
                scale = room.scales.after[stop - 1]
                now = now[0] * np.outer(scale, scale), now[1] * scale[:, None]
            yield *now, room.past[stop - 1] if self.plan.second else self.state.a

    def _moved(
        self, Q: np.ndarray, M: np.ndarray, seen: np.ndarray, start: int, stop: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Q and M once these samples, the first of them the first of its batch, have moved them."""
        c, batch = self._room.C[start:stop], np.arange(start, stop) // self.plan.batch
        with np.errstate(all="ignore"):
            K = self._room.K[start:stop, start:stop] * (batch[:, None] == batch)
            half, fields = np.zeros_like(Q), self._room.fields[start:stop].copy()
            self._kernels.add_product(K / 2, c, fields)
            self._kernels.add_transposed_product(c, fields, half)
            return Q + half + half.T, M + c.T @ seen[start:stop]


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
    with one_core(plan.block * plan.students.shape[1] * max(plan.block, len(plan.students))):
        return _run(plan, state, outcome, file, report)


def _run(
    plan: Plan, state: State, outcome: Outcome, file: Path | None, report: Callable[[float], None]
) -> Outcome:
    space, saved = Workspace(plan, state), time.monotonic()
    try:
        while not outcome.over(plan):
            step = int(plan.samples[outcome.count])
            if step == state.block * plan.block:
                outcome = _record(plan, outcome, [(*space.overlaps(), state.a)])
                continue
            whole = step // plan.block - state.block
            if whole > 0:
                last, done = space.advance(whole)
            else:
                drawn, a = state.draws.state, state.a.copy()
                last, done = space.advance(1, absorb_last=False)
                outcome = _record_inside(plan, outcome, space, done)
                if outcome.over(plan):
                    state.draws.state, state.a[:] = drawn, a  # who goes on begins with this block
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
    if file is not None and (outcome.count == plan.samples.size or outcome.stopped(plan)):
        save(plan, file, state, outcome)
    return outcome


def labels(
    task: Task,
    targets: np.ndarray,
    a_star: np.ndarray,
    normals: np.ndarray,
    block: int,
    drawn: int,
) -> np.ndarray:
    """The labels (count, B) of the samples in normals (count, size), as `draws.Draws` gives them.

    Of each sample so many coordinates are drawn.  The targets are W*/√d (k, D); projected, D is
    larger, and the first k coordinates hold them.
    """
    k, D = targets.shape
    seen = D if drawn == D else k
    samples = normals[:, : block * drawn].reshape(len(normals), block, drawn)[..., :seen]
    # SciPy's BLAS, as in the kernels: the threads of a second one would spin beside it.
    fields = scipy.linalg.blas.dgemm(
        1.0, targets[:, :seen].T, samples.reshape(-1, seen).T, trans_a=True
    ).T
    noise = np.sqrt(task.noise) * normals[:, normals.shape[1] - block :]
    return (task.target_activation.sigma(fields) @ a_star / k).reshape(noise.shape) + noise


def _record(
    plan: Plan, outcome: Outcome, states: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> Outcome:
    """Record the next times, whose Q, M and a these are, until one ends the run."""
    states, most = iter(states), max(1, _IN_FLIGHT // len(plan.students) ** 2)
    whole = plan.record == "overlaps"
    while True:
        n = count = outcome.count
        p, lead = len(plan.students), outcome.M.shape[1:-2]
        Q = outcome.Q[n:] if whole else np.empty((most, *lead, p, p))
        for state in itertools.islice(states, most):
            Q[count - n], outcome.M[count], outcome.a[count] = state
            count += 1
        if count == n:
            return outcome
        if not whole:
            outcome.Q[n:count] = np.diagonal(Q[: count - n], axis1=-2, axis2=-1)
        M, a = outcome.M[n:count], outcome.a[n:count]
        with np.errstate(all="ignore"):
            state = plan.whole(Q[: count - n]), plan.whole(M), plan.whole(plan.P), a
            risks = excess_risks_of(plan.task, *state, plan.a_star)
        outcome.excess_risk[n:count] = risks
        ends = np.flatnonzero(~np.isfinite(risks) | (risks <= plan.enough))
        if ends.size:
            count = n + int(ends[0])
            if np.isfinite(risks[ends[0]]):
                return replace(outcome, count=count + 1)
            return replace(outcome, count=count, blew_up_at=int(plan.samples[count]))
        outcome = replace(outcome, count=count)


def _record_inside(plan: Plan, outcome: Outcome, space: Workspace, done: int) -> Outcome:
    """Record every time inside the block of which so many steps were just run."""
    counts = plan.samples[outcome.count :] - space.state.block * plan.block
    counts = counts[: np.searchsorted(counts, min(done, plan.block - 1), "right")]
    return _record(plan, outcome, space.inside(counts)) if counts.size else outcome
