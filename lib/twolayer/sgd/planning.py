"""From what `simulate` was asked for to the plan of every run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import Spectrum, fits_spectrum, same_dimension
from twolayer.problem.task import Task
from twolayer.problem.update import UpdateRule
from twolayer.results.going_on import check_counted, later, step_of, steps_made
from twolayer.results.trajectory import Trajectory
from twolayer.schedules import shifted
from twolayer.sgd.clock import pace_and_steps
from twolayer.sgd.groups import hold
from twolayer.sgd.inputs import Draw, Inputs
from twolayer.sgd.method import by_batches, choose
from twolayer.sgd.plan import Plan
from twolayer.support.checks import (
    InvalidInput,
    check_fits_in_memory,
    check_integer,
    check_schedule,
    shown,
)


@dataclass(frozen=True)
class Asked:
    """What `simulate` was asked for, checked on its own."""

    task: Task
    start: Weights | Overlaps
    d: int | None
    learning_rate: float | Callable[[float], float]
    t_eval: np.ndarray | None
    seed: int
    method: str
    record: str
    second_layer_rate: float = 0.0
    batch: int = 1
    steps: np.ndarray | None = None
    stop_at_risk: float | None = None
    begins: float = 0.0
    before: int = 0
    stage: int = 0
    rule: UpdateRule | None = None
    spectrum: Spectrum | None = None
    inputs: Inputs | None = None


def gone_on(asked: Asked, start: Trajectory) -> Asked:
    """What is asked for of what goes on from a result."""
    d = start.parameters.get("d") if asked.d is None else check_integer("d", asked.d, 1)
    begins, made = float(start.t[-1]), steps_made(start, d)
    if asked.t_eval is not None:
        later(asked.t_eval, begins, step_of(start))
    check_counted(asked.learning_rate, asked.steps, made)
    before, stage = 0 if made is None else round(made), start.stage + 1
    return replace(asked, d=d, begins=begins, before=before, stage=stage)


def with_spectrum(
    asked: Asked, start: Weights | Overlaps | SpectralOverlaps, given: Spectrum | None
) -> Asked:
    """What is asked for, with the spectrum that is given, or that of the start."""
    own = start.spectrum if isinstance(start, SpectralOverlaps) else None
    spectrum = own if given is None else given
    if spectrum is None:
        return asked
    if own is not None:
        if spectrum != own:
            raise InvalidInput("spectrum", shown(given), f"left out, or that of the start, {own!r}")
        if asked.d is not None:
            same_dimension(own, check_integer("d", asked.d, 1))
        asked = replace(asked, d=own.d)
    elif isinstance(start, Weights):
        fits_spectrum(spectrum, start.d)
    else:
        allowed = "left out: overlaps in eigenspaces, weights.overlaps(spectrum), have one in them"
        raise InvalidInput("spectrum", shown(spectrum), allowed)
    plain = Spectrum(spectrum.eigenvalues, spectrum.dimensions)  # runs want no eigenvectors
    return replace(asked, spectrum=plain)


def with_inputs(asked: Asked, start: object, inputs: ArrayLike | Draw | None, runs: int) -> Asked:
    """What is asked for, with samples of the user's, if they are given."""
    if inputs is None:
        return asked
    if not isinstance(start, Weights):
        allowed = "twolayer.Weights: inputs of one's own have coordinates, overlaps have none"
        raise InvalidInput("start", shown(start), allowed)
    if asked.method == "projected":
        raise InvalidInput("method", "'projected'", "'direct' or 'auto' with inputs of one's own")
    checked = Inputs.of(inputs, start.d, runs, asked.seed)
    return replace(asked, method="direct", inputs=checked)


def make_plan(asked: Asked) -> tuple[Plan, str]:
    """Everything that the runs share, and why this method.

    Raises `InvalidInput` if what was asked for does not fit together.
    """
    start, batch = asked.start, asked.batch
    rate = shifted(asked.learning_rate, asked.begins, asked.before, batch)
    gamma = check_schedule(rate)
    d = _dimension(start, asked.d)
    groups = None
    if asked.spectrum is not None and len(asked.spectrum) > 1:
        groups, why = hold(asked.method, start.p, start.k, asked.spectrum, batch)
        method, block = "projected" if groups.projected else "direct", groups.block
        check_fits_in_memory("d", d, 2 * (start.p + start.k) * sum(groups.widths))
        students, targets, scale = *groups.coordinates(start), 1.0
    else:
        method, block, why = choose(asked.method, start.p, start.k, d, batch)
        gram = min(start.p, block) if by_batches(start.p, batch, block) else block
        width = start.p + start.k + gram if method == "projected" else 0
        check_fits_in_memory("d", d, 2 * (start.p + start.k) * (width or d))
        students, targets, scale = _coordinates(start, d, width)
    since = None if asked.t_eval is None else np.maximum(asked.t_eval - asked.begins, 0.0)
    more = None if asked.steps is None else asked.steps - asked.before
    units = gamma, rate, block, batch, start.p * d * batch
    try:
        pace, steps = pace_and_steps(since, more, *units)
    except InvalidInput as error:
        if error.argument == "learning_rate" or not asked.stage:
            raise
        got = f"{error.got} after t = {asked.begins:g}, where the result ends"
        raise InvalidInput(error.argument, got, error.allowed) from None
    rule = UpdateRule.of(0.0, "free", None, start.p) if asked.rule is None else asked.rule
    rule.check_norms(np.einsum("ia,ia->i", students, students))
    if groups is not None:
        rule.check_plain("isotropic inputs")
    plan = Plan(
        task=asked.task,
        learning_rate=gamma(0.0),
        d=d,
        targets=targets,
        students=students,
        scale=scale,
        a=start.a,
        a_star=start.a_star,
        second_layer_rate=asked.second_layer_rate,
        batch=batch,
        pace=pace,
        samples=np.unique(batch * steps),
        block=block,
        projected=method == "projected",
        seed=asked.seed,
        record=asked.record,
        t_asked=np.empty(0) if asked.t_eval is None else asked.t_eval,
        steps_asked=asked.before + steps,
        stop_at_risk=asked.stop_at_risk,
        begins=asked.begins,
        before=asked.before,
        stage=asked.stage,
        rule=rule,
        spectrum=asked.spectrum,
        groups=groups,
        inputs=asked.inputs,
    )
    _check_decay(plan)
    if plan.inputs is not None:
        plan.inputs.check_enough(int(plan.samples[-1]))
    if asked.t_eval is None:
        plan = replace(plan, t_asked=plan.times(batch * steps))
    return plan, why


def _check_decay(plan: Plan) -> None:
    """Refuse a decay that takes more than half of a weight in a step."""
    rule = plan.rule
    if not rule.decay:
        return
    size = plan.batch * (plan.rate if plan.pace is None else plan.pace.fastest)
    each = size * float(rule.rates.max())
    if rule.decay * each > 0.5:
        allowed = f"at most {0.5 / each:.3g}, which takes half of a weight in a step, λγ/(p d)"
        raise InvalidInput("weight_decay", f"{rule.decay:g}", allowed)


@dataclass(frozen=True, eq=False)
class Plans:
    """The plan of every run: one for all, or if each goes on from its own state as many.

    `first` is that of run 0, and `why` it has its method; what is recorded is the same in all.
    """

    asked: Asked
    starts: Sequence[Weights | Overlaps]
    first: Plan
    why: str

    @classmethod
    def of(cls, asked: Asked, starts: Sequence[Weights | Overlaps]) -> Plans:
        """Plans of runs from these states, of which one is for all."""
        return cls(asked, starts, *make_plan(replace(asked, start=starts[0])))

    def __getitem__(self, number: int) -> Plan:
        """Made when it is wanted, for it holds the run's own weights."""
        plan = self.first
        if plan.inputs is not None:
            return replace(plan, inputs=plan.inputs.of_run(number))
        if number == 0 or len(self.starts) == 1:
            return plan
        return make_plan(replace(self.asked, start=self.starts[number]))[0]


def _dimension(start: Weights | Overlaps, d: int | None) -> int:
    """The dimension of the data, which the start must fit into."""
    if isinstance(start, Weights):
        if d is not None and check_integer("d", d, 1) != start.d:
            raise InvalidInput("d", str(d), f"{start.d}, the dimension of the weights, or left out")
        return start.d
    if isinstance(start, SpectralOverlaps):
        return start.spectrum.d
    if not isinstance(start, Overlaps):
        raise InvalidInput("start", shown(start), "twolayer.Weights or twolayer.Overlaps")
    if d is None:
        raise InvalidInput("d", "None", "given with overlaps: the dimension of the data")
    d = check_integer("d", d, 1)
    if d < start.p + start.k and d < start.rank:
        raise InvalidInput("d", str(d), f"at least {start.rank}, the rank of Ω")
    return d


def _coordinates(
    start: Weights | Overlaps, d: int, width: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Students, targets, and the scale of the students; `width` coordinates, or d if it is 0."""
    if isinstance(start, Weights) and not width:
        return start.W, start.W_star / np.sqrt(d), 1 / math.sqrt(d)
    if isinstance(start, Weights):
        rows = np.concatenate((start.W, start.W_star)) / np.sqrt(d)
    else:
        rows = start.factor()
    p, k = start.p, start.k
    if width:
        rows = np.roll(rows, k, axis=0)  # targets first: the triangle leaves them alone
        rows = np.roll(np.linalg.qr(rows.T, mode="r").T, -k, axis=0)
    held = np.zeros((p + k, width or d))
    held[:, : rows.shape[1]] = rows
    return held[:p].copy(), held[p:].copy(), 1.0
