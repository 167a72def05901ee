"""Mean field: how a right-hand side grows with the number of particles, and erf with Ξ."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import twolayer as tl
from benchmarks import yardsticks
from twolayer.mean_field.field import make_field

ACCURACY, K = 1e-8, 2
KINDS = [("square", 5), ("erf", 5), ("erf", math.inf)]


def field(activation: str, p: int, d: float, nodes: int = 24) -> Callable[[], tuple]:
    """The drift of p Gaussian students in five dimensions, targets orthonormal."""
    start = particles(p)
    made = make_field(tl.Task(activation), np.eye(K), p, d - K, "exact", nodes)
    return partial(made.drift, start.m, start.q, start.weight)


def particles(p: int) -> tl.Particles:
    """The same students as particles."""
    weights = tl.Weights.gaussian(p=p, k=K, d=5, seed=0, orthonormal_target=True)
    return tl.Particles.from_weights(weights)


@pytest.mark.parametrize("p", [10**3, 10**4, 10**5, 10**6])
@pytest.mark.parametrize(("activation", "d"), KINDS)
def test_field(benchmark, activation, d, p):
    """Time against the number of particles."""
    benchmark.group = f"mean field, {activation}, d = {d}"
    call = field(activation, p // 100 if benchmark.disabled else p, d)
    call()
    benchmark(call)


@pytest.mark.parametrize("p", [200, 400, 800])
@pytest.mark.parametrize(("activation", "d"), KINDS)
def test_pairs(benchmark, activation, d, p):
    """The same over all pairs."""
    benchmark.group = f"mean field, {activation}, d = {d}"
    start = particles(p // 10 if benchmark.disabled else p)
    if activation == "square":
        benchmark(yardsticks.pairwise_square, start.m, start.q, d - K)
    else:
        benchmark(yardsticks.pairwise_erf, start.m, start.q, d - K, 16)


@pytest.mark.parametrize("who", ["ours", "pairs"])
def test_xi(benchmark, who):
    """Erf with Ξ at p = 100, d = 5: the fewest nodes that are good enough, against all pairs."""
    p, d = 10 if benchmark.disabled else 100, 5
    start = particles(p)
    pairs = partial(yardsticks.pairwise_erf, start.m, start.q, d - K)
    exact = np.column_stack(pairs(120))

    def error(drift: tuple) -> float:
        return float(np.abs(np.column_stack(drift) - exact).max() / np.abs(exact).max())

    calls = [(n, field("erf", p, d, n)) for n in range(8, 121, 4)]
    if who == "pairs":
        calls = [(n, partial(pairs, n)) for n in range(4, 121, 2)]
    nodes, call = next(one for one in calls if error(one[1]()) <= ACCURACY)
    benchmark.group = f"mean field, erf with Ξ, p = {p}, d = {d}"
    benchmark.extra_info |= {"nodes": nodes, "error": error(call())}
    benchmark(call)
