"""A step of SGD: projected and direct against NumPy, PyTorch and JAX a sample at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

import twolayer as tl
from benchmarks import yardsticks
from twolayer.sgd.draws import Draws

LEARNING_RATE, NOISE = 0.05, 1e-3
PEERS = {"NumPy": yardsticks.numpy_sgd}
if yardsticks.HAS_TORCH:
    PEERS["PyTorch"] = yardsticks.torch_sgd

#: Shapes (d, p, k): everything else as at (1000, 10, 5).
AGAINST_D = [(d, 10, 5) for d in (100, 300, 1000, 3000, 10_000)]
AGAINST_P = [(1000, p, 5) for p in (4, 10, 30, 100, 300, 1000)]
AGAINST_K = [(1000, 10, k) for k in (1, 3, 10, 30, 100)]
SHAPES = dict.fromkeys(AGAINST_D + AGAINST_P + AGAINST_K)
PROJECTED = [(10**e, 10, 5) for e in range(2, 10)] + AGAINST_P[:-1] + AGAINST_K
CASES = [(name, *shape) for shape in SHAPES for name in ("direct", *PEERS)]
CASES += [("projected", *shape) for shape in dict.fromkeys(PROJECTED)]
if yardsticks.HAS_JAX:  # which compiles for every shape
    PEERS["JAX"] = yardsticks.jax_sgd
    PEERS["JAX float32"] = partial(yardsticks.jax_sgd, dtype="float32")
    CASES += [(name, 1000, p, 5) for name in ("JAX", "JAX float32") for p in (10, 1000)]


def ours(
    start: tl.Weights | tl.Overlaps,
    method: str,
    d: int | None,
    steps: int,
    activation: str = "erf",
    **options: Any,
) -> Callable[[], object]:
    """A call of `simulate` of so many steps, recorded once, at its end."""
    rate = LEARNING_RATE / (start.p * (d or start.d))
    task = tl.Task(activation, noise=NOISE)
    fixed = {"learning_rate": LEARNING_RATE, "t_eval": [steps * rate], "progress": False}
    return partial(tl.simulate, task, start, method=method, d=d, **fixed, **options)


def begin(method: str, d: int, p: int, k: int) -> Callable[..., Callable[[], object]]:
    """`ours` from Gaussian weights, of which projected the overlaps; it still wants its steps."""
    projected = method == "projected"
    of = min(d, 1000) if projected else d
    start = tl.Weights.gaussian(p=p, k=k, d=of, seed=0, orthonormal_target=True)
    return partial(ours, *((start.overlaps(), method, d) if projected else (start, method, None)))


def time_steps(benchmark: Any, make: Callable[[int], Callable[[], object]]) -> None:
    """Time as many steps as last, so that what a call costs beyond its steps does not count."""
    steps, spent = 16, 0.0
    make(steps)()  # compiles
    while not benchmark.disabled and spent < 0.2:
        steps *= 2 if spent > 0.05 else 4
        call, started = make(steps), time.perf_counter()
        call()
        spent = time.perf_counter() - started
    benchmark.extra_info["steps"] = steps
    benchmark(make(steps))


@pytest.mark.parametrize(("method", "d", "p", "k"), CASES)
def test_step(benchmark, method, d, p, k):
    """Sizes are as the report reads them; disabled, every benchmark runs once and small."""
    benchmark.group = f"a step of SGD at d = {d:,}, p = {p}, k = {k}"
    if benchmark.disabled:
        d, p, k = min(d, 100), min(p, 10), min(k, 5)
    if method in PEERS:
        start = tl.Weights.gaussian(p=p, k=k, d=d, seed=0, orthonormal_target=True)
        make = partial(PEERS[method], start.W, start.W_star, LEARNING_RATE, NOISE)
        time_steps(benchmark, lambda steps: partial(make, steps))
    else:
        time_steps(benchmark, begin(method, d, p, k))


def matrix_product(m: int, n: int, columns: int) -> Callable[[], object]:
    """A product of matrices (m, n) and (n, columns) in double precision, into memory at hand."""
    rng = np.random.default_rng(0)
    A, B, out = rng.random((m, n)), rng.random((n, columns)), np.empty((m, columns))
    return lambda: np.matmul(A, B, out=out)


def test_gemm(benchmark):
    """A product of square matrices, for the rate of the machine."""
    benchmark.group = "GEMM"
    n = benchmark.extra_info["n"] = 64 if benchmark.disabled else 2000
    benchmark(matrix_product(n, n, n))


@pytest.mark.parametrize("part", ["square", "random", "products"])
@pytest.mark.parametrize(
    ("method", "d", "p", "k"), [("projected", 10**6, 10, 5), ("direct", 1000, 1000, 5)]
)
def test_part(benchmark, part, method, d, p, k):
    """Parts of a step, seen from outside: random numbers and matrix products as NumPy makes them.

    `square` is a step without special functions; the whole step is in `test_step`.
    """
    benchmark.group = f"parts of a step of SGD, {method}"
    p = 10 if benchmark.disabled else p
    make = begin(method, d, p, k)
    if part == "square":
        time_steps(benchmark, partial(make, activation="square"))
        return
    block = make(0)().provenance["block"]
    projected = method == "projected"
    draws = Draws(0, 0, block, *((p + k, d - p - k) if projected else (d, 0)))
    width, batch = p + k + block if projected else d, max(1, 100_000 // draws.size)
    benchmark.extra_info["steps"] = batch * block if part == "random" else block
    fields, update = matrix_product(block, width, p), matrix_product(p, block, width)
    if part == "random":
        benchmark(draws.blocks, batch)
    else:
        benchmark(lambda: (fields(), update()))


@pytest.mark.parametrize("runs", ["one", "all"])
@pytest.mark.parametrize(("p", "steps"), [(10, 200_000), (300, 10_000)], ids=["small", "large"])
def test_cores(benchmark, p, steps, runs):
    """As many runs at once as there are cores, against one."""
    benchmark.group = f"SGD over cores at d = 1,000, p = {p}, k = 5"
    cores = benchmark.extra_info["cores"] = os.cpu_count() or 1
    start = tl.Weights.gaussian(p=p, k=5, d=1000, seed=0)
    with ThreadPoolExecutor(cores) as pool:
        options = {"runs": cores, "executor": pool} if runs == "all" else {}
        call = ours(start, "auto", None, 128 if benchmark.disabled else steps, **options)
        call()
        benchmark(call)
