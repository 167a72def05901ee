"""What quadrature may be off by along a path, and tasks that do better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twolayer.flow.terms import TERMS
from twolayer.problem.task import Task, coefficients
from twolayer.support.arrays import Array
from twolayer.support.threads import one_core

#: Ψ^Var may be off by so many times the tolerance.
_VARIANCE = 1e3

#: What an expectation may be off by, and what it should be at most.
Errors = dict[str, tuple[float, float]]


def errors(
    task: Task, states: Sequence[tuple[Array, Array]], a_star: Array, terms: str, d: int | None
) -> Errors:
    """The largest relative errors of drift and risk, and of Ψ^Var, in some states (Ω, a)."""
    if task.closed or not states:
        return {}
    forms, p = task.forms, len(states[0][1])
    each = [(Omega, coefficients(a, a_star), np.outer(a, a)) for Omega, a in states]
    worst = max(forms.error(Omega, c, p) for Omega, c, _ in each)
    found = {"quadrature_error": (worst, forms.tolerance)}
    if not TERMS[terms][0]:
        return found

    def of_variance(Omega: Array, c: Array, aa: Array) -> float:
        size = aa * (forms.variance(Omega, c, p) + task.noise * forms.gain(Omega[:p, :p]))
        off = np.abs(aa * forms.variance_error(Omega, c, p, d)).max()
        return float(off / max(np.abs(size).max(), np.finfo(float).tiny)) if off > 0 else 0.0

    worst = max(of_variance(*state) for state in each)
    return found | {"variance_error": (worst, _VARIANCE * forms.tolerance)}


@one_core(0)
def refined(
    task: Task, states: Sequence[tuple[Array, Array]], a_star: Array, terms: str, d: int | None
) -> tuple[Task, Errors]:
    """The task with a Ψ^Var that is good enough in these states, or as good as is allowed.

    Returns
    -------
    Task
        The same one if nothing is to be done.
    dict
        `errors` of the task that is returned.
    """
    while True:
        found = errors(task, states, a_star, terms, d)
        error, most = found.get("variance_error", (0.0, 1.0))
        if error <= most:
            return task, found
        n, p = len(states[0][0]), len(states[0][1])
        forms = task.forms.finer_variance(n, p, max(2.0, error / most))
        if (forms.order, forms.points) == (task.forms.order, task.forms.points):
            return task, found
        task = task.with_forms(forms)
