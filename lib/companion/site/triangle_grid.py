"""The triangle, precomputed: what a page without a kernel shows at once.

Every point of a triangular grid is one `compute`, rounded to what a screen can show.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from twolayer.explorer.call import python_call
from twolayer.explorer.compute import compute
from twolayer.explorer.presets import PRESETS
from twolayer.explorer.request import Request
from twolayer.support.checks import check_integer

LIMIT = "mean-field-limit"
#: What all points of the grid share.
COMMON: dict[str, Any] = {
    "noise": 0.05,
    "seed": 1,
    "t_max": 300.0,
    "theories": ["full", "gradient-flow", LIMIT],
    "runs": 4,
}
#: What a screen can show takes a build a few seconds: SGD's updates, and digits of the curves.
_LIGHT: dict[str, Any] = {"budget": 5e7, "rtol": 1e-6, "atol": 1e-10}
#: Of the answer, every so many times and frames, and so many neurons.
_EVERY, _FRAMES, _NEURONS = 2, 4, 12


def point(i: int, j: int, resolution: int) -> dict[str, Any]:
    """The request at a point: a = i/resolution, b = j/resolution, c the rest.

    Examples
    --------
    >>> point(1, 2, 4)["triangle"]
    [0.25, 0.5, 0.25]
    """
    a, b = i / resolution, j / resolution
    return COMMON | {"triangle": [a, b, (resolution - i - j) / resolution]}


def triangle_grid(
    resolution: int = 10, jobs: int = 1, done: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Compute all points, `resolution` steps along an edge, in so many processes.

    `done` is told the share that is computed.  ``points`` is "i,j" → answer of `compute`, thinned
    and rounded to four digits: about 10 kB a point.
    """
    resolution, jobs = check_integer("resolution", resolution, 1), check_integer("jobs", jobs, 1)
    points: dict[str, Any] = {}
    # One BLAS thread each: the matrices are small, and the processes share the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        rows = [pool.submit(_row, j, resolution) for j in range(resolution + 1)]
        for number, row in enumerate(as_completed(rows), 1):
            points |= row.result()
            done(number / len(rows))
    return {"resolution": resolution, "points": dict(sorted(points.items()))}


def figures(jobs: int = 1) -> dict[str, Any]:
    """The answers to all of `PRESETS`, thinned likewise."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return dict(zip(PRESETS, pool.map(_figure, PRESETS), strict=True))


def _figure(name: str) -> dict[str, Any]:
    return _thin(compute(PRESETS[name][1], **_LIGHT))


def _row(j: int, resolution: int) -> dict[str, Any]:
    """The points of one dimension: they share the limit p = ∞, which is the slowest to compute."""
    limit = compute(point(0, j, resolution) | {"theories": [LIMIT], "runs": 0}, **_LIGHT)["curves"]
    out = {}
    for i in range(resolution + 1 - j):
        request = point(i, j, resolution)
        others = [theory for theory in COMMON["theories"] if theory != LIMIT]
        answer = compute(request | {"theories": others}, **_LIGHT)
        whole = Request.from_dict(request)
        answer |= {"request": whole.as_dict(), "call": python_call(whole)}
        answer["curves"] += limit
        out[f"{i},{j}"] = _thin(answer)
    return out


def _thin(answer: dict[str, Any]) -> dict[str, Any]:
    keep = {n: answer[n] for n in ("request", "triangle", "P", "scales", "call", "notes")}
    frames = range(0, len(answer["frames"]), _FRAMES)
    thin = {
        "t": answer["t"][::_EVERY],
        "curves": [c | {"excess_risk": c["excess_risk"][::_EVERY]} for c in answer["curves"]],
        "frames": [answer["frames"][f] // _EVERY for f in frames],
        "M": [answer["M"][f][:_NEURONS] for f in frames],
        "Q": [[row[:_NEURONS] for row in answer["Q"][f][:_NEURONS]] for f in frames],
        "sgd": answer["sgd"] and {n: v[::_EVERY] for n, v in answer["sgd"].items()},
    }
    return keep | _rounded(thin)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
