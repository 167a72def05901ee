"""`compute`: from a request to curves, overlaps and the Python call that makes them.

The answer is plain data (numbers, text, lists), the same for every front end.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from twolayer import regimes
from twolayer.explorer import triangle
from twolayer.explorer.call import python_call
from twolayer.explorer.request import BUDGET, FLOWS, ORDER, THEORIES, Request
from twolayer.flow.solver import solve
from twolayer.mean_field.particles import Particles
from twolayer.mean_field.solver import solve_mean_field
from twolayer.problem.overlaps import Weights
from twolayer.problem.task import Task
from twolayer.results.divergence import Divergence
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.trajectory import Trajectory
from twolayer.sgd.simulator import simulate
from twolayer.support.progress import listening

_Path = Trajectory | MeanFieldTrajectory
#: How many of the recorded times keep their overlaps.
FRAMES = 32
#: Neurons of which overlaps are sent.
SHOWN = 32
#: Tolerances of the curves that are shown first: right to about 1e-4, in a third of the time.
FIRST = {"rtol": 1e-5, "atol": 1e-8}
#: Of a longer request these times are shown before the rest.
SOON = 300.0


def compute(
    request: Mapping[str, Any],
    report: Callable[[float, str], None] | None = None,
    show: Callable[[dict[str, Any]], None] | None = None,
    *,
    budget: float = BUDGET,
    **tolerances: float,
) -> dict[str, Any]:
    """Everything that the explorer shows of a request.

    Parameters
    ----------
    request : mapping
        See `Request.from_dict`, which raises `InvalidInput` before any work.
    report : callable, optional
        Called with the share done, 0 to 1, of the step whose name is the second argument;
        what it raises ends the computation and is passed on.
    show : callable, optional
        Called with first answers of the same form, as soon as there is one more theory: without
        SGD, with curves that are right to about 1e-4 and may end before the last time.
    budget : float
        Student updates that SGD may take in all.
    **tolerances
        Of the theories, as `solve` takes them.

    Returns
    -------
    dict
        Plain data: ``request`` as it was understood, ``triangle`` (a, b, c), ``t`` (T,),
        ``curves`` (list of ``theory``, ``label``, ``excess_risk``), ``frames`` (indices into
        t), ``M`` and ``Q`` at the frames for the first neurons, ``P``, ``sgd`` (``t``,
        ``low``, ``median``, ``high``) or None, ``scales``, ``call``, ``notes``, ``seconds``.
        The flow costs O(p⁴) a step with "full", O(p³) otherwise.

    Examples
    --------
    >>> answer = compute({"p": 3, "d": 20, "t_max": 10.0})
    >>> [curve["theory"] for curve in answer["curves"]], len(answer["t"])
    (['full', 'gradient-flow'], 97)
    """
    started = time.perf_counter()
    asked = Request.from_dict(request)
    start, notes = asked.weights(), list[str]()

    def answer(paths: Mapping[str, _Path], sgd: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "request": asked.as_dict(),
            "triangle": list(triangle.weights(asked.learning_rate, asked.d, asked.p)),
            "t": t.tolist(),
            "curves": [
                {"theory": name, "label": THEORIES[name], "excess_risk": _floor(path.excess_risk)}
                for name, path in paths.items()
            ],
            **_state(next(iter(paths.values()), None), start),
            "sgd": sgd,
            "scales": _scales(asked),
            "call": python_call(asked),
            "notes": notes,
            "seconds": time.perf_counter() - started,
        }

    t = asked.times()
    if show is not None:
        for first in (t,) if asked.t_max <= SOON else (t[t <= SOON], t):
            _theories(asked, start, first, report, [], lambda paths: show(answer(paths)), **FIRST)
    paths, sgd = _theories(asked, start, t, report, notes, **tolerances), None
    if asked.runs:
        with _heard(report, "SGD"):
            sgd = _sgd(asked, Task(asked.activation, noise=asked.noise), start, notes, budget)
    return answer(paths, sgd)


def _theories(
    asked: Request,
    start: Weights,
    t: np.ndarray,
    report: Callable[[float, str], None] | None,
    notes: list[str],
    each: Callable[[dict[str, _Path]], None] = lambda paths: None,
    **tolerances: float,
) -> dict[str, _Path]:
    """All theories that are asked for; what blew up is noted, and `each` told of every one."""
    task = Task(asked.activation, noise=asked.noise)
    paths: dict[str, _Path] = {}
    for theory in asked.theories:
        try:
            with _heard(report, THEORIES[theory]):
                paths[theory] = _theory(asked, task, start, t, theory, tolerances)
        except Divergence as blown:
            notes.append(f"{THEORIES[theory]}: {blown.reason} at t = {blown.time:.3g}.")
            if blown.trajectory is not None and blown.trajectory.t.size > 1:
                paths[theory] = blown.trajectory
        each(paths)
    return paths


def _theory(
    asked: Request,
    task: Task,
    start: Weights,
    t: np.ndarray,
    theory: str,
    tolerances: Mapping[str, float],
) -> _Path:
    options = {"t_eval": t, "progress": False, **tolerances}
    if theory in FLOWS:
        rate = asked.learning_rate
        return solve(task, start.overlaps(), learning_rate=rate, terms=theory, **options)
    P = np.eye(asked.k)
    if theory == "mean-field-limit":
        particles = Particles.quadrature(P, asked.d, order=ORDER)
    else:
        particles = Particles.from_weights(start)
    d = math.inf if theory == "mean-field-orthogonal" else asked.d
    if d == asked.k:  # there is nothing outside the span; q is zero but for rounding
        particles = dataclasses.replace(particles, q=np.zeros(particles.p))
    return solve_mean_field(task, particles, P, d=d, **options)


def _sgd(
    asked: Request, task: Task, start: Weights, notes: list[str], budget: float
) -> dict[str, Any] | None:
    """Median and central 68 % of the runs, as far as the budget of steps goes."""
    t = asked.sgd_times(budget)
    if t[-1] < asked.t_max:
        notes.append(f"SGD is shown up to t = {t[-1]:.3g}: more steps than the explorer takes.")
    run = simulate(
        task,
        start,
        learning_rate=asked.learning_rate,
        t_eval=t,
        runs=asked.runs,
        seed=asked.seed,
        on_divergence="keep",
        progress=False,
    )
    whole = np.isfinite(run.excess_risk).all(1)
    if not whole.all():
        lost = f"{(~whole).sum()} of {whole.size} runs left the range of finite numbers"
        notes.append(f"SGD: {lost}; the others are shown.")
    if not whole.any():
        return None
    low, median, high = np.quantile(run.excess_risk[whole], (0.16, 0.5, 0.84), axis=0)
    return {"t": run.t.tolist(), "low": _floor(low), "median": _floor(median), "high": _floor(high)}


def _floor(values: np.ndarray) -> list[float]:
    """Rounding may leave an excess risk below zero, where a logarithm has no place."""
    return np.maximum(values, 1e-18).tolist()


def _state(path: _Path | None, start: Weights) -> dict[str, Any]:
    """M and Q of the first neurons at some of the times."""
    ov = start.overlaps() if start.p <= SHOWN else None
    P = np.eye(start.k) if ov is None else ov.P
    if path is None:
        n = min(start.p, SHOWN)
        first = Weights(start.W[:n], start.W_star).overlaps()
        return {"frames": [0], "M": [first.M.tolist()], "Q": [first.Q.tolist()], "P": P.tolist()}
    frames = np.unique(np.linspace(0, path.t.size - 1, FRAMES + 1).astype(int))
    M = path.M[frames, :SHOWN]
    if isinstance(path, MeanFieldTrajectory):
        Q = M @ np.linalg.inv(path.P) @ M.swapaxes(1, 2)
        i = np.arange(M.shape[1])
        Q[:, i, i] += path.q[frames, :SHOWN]
    else:
        Q = path.Q[frames, :SHOWN, :SHOWN]
    return {"frames": frames.tolist(), "M": M.tolist(), "Q": Q.tolist(), "P": P.tolist()}


def _scales(asked: Request) -> dict[str, Any]:
    found = regimes.scales(
        asked.d, asked.p, asked.learning_rate, asked.noise, k=asked.k, activation=asked.activation
    )
    return dataclasses.asdict(found)


def _heard(report: Callable[[float, str], None] | None, name: str) -> AbstractContextManager[None]:
    """Pass progress on to `report` under a name; nothing if there is no `report`."""
    return nullcontext() if report is None else listening(lambda share: report(share, name))
