"""Following a flow through the times asked for, with quadrature that is good enough all the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from twolayer.flow.accuracy import Errors, refined
from twolayer.flow.spectral_field import SpectralFlow
from twolayer.flow.vector_field import Flow, SpanFlow
from twolayer.problem.matrices import assemble
from twolayer.problem.spectral_overlaps import SpectralOverlaps, pooled
from twolayer.problem.task import Task, excess_risks_of
from twolayer.support.arrays import Array
from twolayer.support.integrate import Path, integrate


@dataclass(frozen=True, eq=False)
class Followed:
    """The path; its Q, M, a and excess risks (n, ...), and what expectations are off by.

    Under inputs with a spectrum Q and M are those in every eigenspace, (n, G, ...).
    """

    path: Path
    Q: Array
    M: Array
    a: Array
    risks: Array
    errors: Errors


def follow(
    flow_of: Callable[[Task], Flow | SpanFlow | SpectralFlow],
    task: Task,
    times: Array,
    enough: float,
    *,
    terms: str,
    d: int | None,
    jumps: tuple[float, ...],
    **options: Any,
) -> Followed:
    """Integrate the flow of a task until these times, or an excess risk of `enough`.

    `terms` and `d` say which expectations have to be good enough, `options` are those of
    `integrate`.
    """
    overlaps = flow_of(task).overlaps
    T, p, k, a_star = times.size, overlaps.p, overlaps.k, overlaps.a_star
    spectrum = overlaps.spectrum if isinstance(overlaps, SpectralOverlaps) else None
    lead, whole = (T,) if spectrum is None else (T, len(spectrum)), partial(pooled, spectrum)
    Q, M, a, risks = np.empty((*lead, p, p)), np.empty((*lead, p, k)), np.empty((T, p)), np.empty(T)
    reached = 0

    def reach(some: Array) -> int | None:  # not at the end, where Ctrl-C would wait for it
        nonlocal reached
        new = slice(reached, reached + len(some))
        reached = new.stop
        Q[new], M[new], a[new] = flow.unpack(some)
        state = whole(Q[new]), whole(M[new]), overlaps.P, a[new]
        risks[new] = excess_risks_of(task, *state, a_star)
        return next(iter(np.flatnonzero(risks[new] <= enough)), None)

    start = [(overlaps.Omega, overlaps.a)]
    exact, seen = refined(task, start, a_star, terms, d)
    while True:
        flow, reached = flow_of(exact), 0
        in_span = isinstance(flow, SpanFlow)
        path = integrate(
            flow.derivative,
            flow.start,
            times,
            jumps=() if in_span else jumps,
            jacobian=None if in_span else flow.jacobian,
            slope=flow.descent,
            reach=reach,
            **options,
        )
        n = path.t.size
        if path.interrupted or path.failure:
            break
        some = {
            n - 1,
            int(np.trace(whole(Q[:n]), axis1=1, axis2=2).argmax()),
        }  # the largest are hard
        states = [(assemble(whole(Q[i]), whole(M[i]), overlaps.P), a[i]) for i in sorted(some)]
        try:
            finer, seen = refined(exact, start + states, a_star, terms, d)
        except KeyboardInterrupt:  # the solution is there, and not to be lost
            path, finer = replace(path, interrupted=True), exact
        if finer is exact:
            break
        exact = finer  # Ψ^Var was not good enough along the way: once more, with more points
    return Followed(path, Q[:n], M[:n], a[:n], risks[:n], seen)
