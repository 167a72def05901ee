"""Cost against size: students, last time, batch, recorded times, targets of a mean field.

Each series is one call at several sizes; the report fits exponents.  There is no yardstick but the
series itself, and the figures that are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import twolayer as tl
from benchmarks.bench_sgd import LEARNING_RATE, NOISE, ours
from twolayer.flow import right_hand_side
from twolayer.mean_field.field import make_field

Call = Callable[[], object]


def gradient_flow(activation: str, terms: str, p: int, last: float = 1e3, times: int = 20) -> Call:
    """To `last`, of Gaussian students in five dimensions."""
    start = tl.Weights.gaussian(p=p, k=2, d=5, seed=0).overlaps()
    t = np.concatenate(([0.0], np.logspace(-2, np.log10(last), times)))
    options = {"learning_rate": LEARNING_RATE, "terms": terms, "t_eval": t, "progress": False}
    return partial(tl.solve, tl.Task(activation), start, **options)


def rate(activation: str, terms: str, p: int) -> Call:
    """A right-hand side."""
    start = tl.Weights.gaussian(p=p, k=2, d=5, seed=0).overlaps()
    flow = right_hand_side(tl.Task(activation), start.P, LEARNING_RATE, terms)
    return partial(flow, start.Q, start.M)


def batches(batch: int) -> Call:
    """Projected SGD of 40,960 samples."""
    start = tl.Weights.gaussian(p=10, k=5, d=1000, seed=0).overlaps()
    return ours(start, "projected", 10**6, 40_960 // batch, batch=batch)


def students(p: int) -> Call:
    """Projected SGD of 256 steps."""
    start = tl.Weights.gaussian(p=p, k=5, d=2 * p + 5, seed=0).overlaps()
    return ours(start, "projected", 10**6, 256)


def recorded(times: int) -> Call:
    """Direct SGD of 10,000 steps, recorded so often."""
    start, steps = tl.Weights.gaussian(p=100, k=5, d=1000, seed=0), 10_000
    t_eval = np.linspace(0, steps * LEARNING_RATE / 1e5, times + 1)[1:]
    options = {"learning_rate": LEARNING_RATE, "t_eval": t_eval, "progress": False}
    return partial(tl.simulate, tl.Task("erf", noise=NOISE), start, **options)


def mean_field(activation: str, k: int) -> Call:
    """The drift of 100 particles, three dimensions outside the targets' span."""
    start = tl.Particles.from_weights(
        tl.Weights.gaussian(p=100, k=k, d=k + 3, seed=0, orthonormal_target=True)
    )
    field = make_field(tl.Task(activation), np.eye(k), 100, 3, "exact", 24)
    return partial(field.drift, start.m, start.q, start.weight)


_DESCENT = "gradient-flow"
#: Series → (what is counted, its sizes, the call at a size).
SERIES: dict[str, tuple[str, tuple[int, ...], Callable[[int], Call]]] = {
    "solve square": (
        "p",
        (10, 40, 80, 160, 320),
        partial(gradient_flow, "square", _DESCENT),
    ),
    "solve erf": ("p", (10, 40, 80, 160, 320), partial(gradient_flow, "erf", _DESCENT)),
    "solve erf full": ("p", (5, 10, 20, 40), partial(gradient_flow, "erf", "full")),
    "solve square full": ("p", (10, 40, 100), partial(gradient_flow, "square", "full")),
    "solve late": ("t", (10, 1000, 100_000), partial(gradient_flow, "erf", _DESCENT, 80)),
    "solve recorded": (
        "times",
        (10, 1000, 10_000),
        partial(gradient_flow, "erf", _DESCENT, 100, 10.0),
    ),
    "rate erf": ("p", (3, 10, 30, 100, 300), partial(rate, "erf", _DESCENT)),
    "rate relu full": ("p", (3, 10), partial(rate, "relu", "full")),
    "batches": ("b", (1, 16, 64, 256, 1024, 4096), batches),
    "students": ("p", (10, 100, 300, 1000), students),
    "recorded": ("times", (1, 100, 10_000), recorded),
    "mean field relu": ("k", (1, 2, 3, 4), partial(mean_field, "relu")),
    "mean field tanh": ("k", (1, 2, 3, 4), partial(mean_field, "tanh")),
}


@pytest.mark.parametrize(
    ("series", "size"), [(name, size) for name, (_, sizes, _) in SERIES.items() for size in sizes]
)
def test_size(benchmark, series, size):
    """One size of a series."""
    counted, sizes, make = SERIES[series]
    benchmark.group = f"{series} against {counted}"
    benchmark.extra_info["counted"] = counted
    call = make(sizes[0] if benchmark.disabled else size)
    call()  # compiles
    benchmark(call)
