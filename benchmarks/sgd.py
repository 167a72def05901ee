"""SGD: the projected and the direct method against sample-by-sample NumPy and PyTorch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import twolayer as tl
from benchmarks import yardsticks
from benchmarks.results import Cost, Curve, Line, Result, Size
from benchmarks.timing import fastest, matrix_product
from twolayer.sgd.draws import Draws

LEARNING_RATE, NOISE = 0.05, 1e-3
_DIRECT = "SGD, direct"
_PROJECTED = "SGD, projected"


def ours(
    start: tl.Weights | tl.Overlaps,
    steps: int,
    method: str = "auto",
    d: int | None = None,
    activation: str = "erf",
    **options: object,
) -> Callable[[], object]:
    """A call of `simulate` of so many steps, recorded once, at its end."""
    dimension = d or start.d
    rate = LEARNING_RATE / (start.p * dimension)
    task = tl.Task(activation, noise=NOISE)
    fixed = {"learning_rate": LEARNING_RATE, "t_eval": [steps * rate], "progress": False}
    return partial(tl.simulate, task, start, method=method, d=d, **fixed, **options)


def peers(start: tl.Weights, steps: int) -> dict[str, Callable[[], object]]:
    """Sample-by-sample SGD from the same weights."""
    out = {}
    for name, sgd in (("NumPy", yardsticks.numpy_sgd), ("PyTorch", yardsticks.torch_sgd)):
        if name == "NumPy" or yardsticks.HAS_TORCH:
            out[name] = partial(sgd, start.W, start.W_star, LEARNING_RATE, NOISE, steps)
    return out


def per_step(
    cases: Mapping[str, Callable[[], object]], steps: Mapping[str, int], size: Size
) -> dict[str, float]:
    """Microseconds a step of each case."""
    return {name: 1e6 * of / steps[name] for name, of in fastest(cases, size).items()}


def dimensions(size: Size) -> Result:
    """The projected method from d = 10² to 10⁹."""
    steps = size.pick(200, 300_000, 1_000_000)
    start = tl.Weights.in_target_span(p=10, k=5, d=50).overlaps()
    ds = [10**e for e in size.pick([2, 9], [2, 3, 4, 5, 6, 7, 8, 9], [2, 3, 4, 5, 6, 7, 8, 9])]
    cases = {f"{d}": ours(start, steps, "projected", d) for d in ds}
    peer_steps = max(20, steps // 200)
    weights = tl.Weights.in_target_span(p=10, k=5, d=1000)
    cases |= {"NumPy": peers(weights, peer_steps)["NumPy"]}
    taken = per_step(cases, dict.fromkeys(cases, steps) | {"NumPy": peer_steps}, size)
    times = [taken[f"{d}"] for d in ds]
    worst, spread = max(times), max(times) / min(times) - 1
    lines = [
        Line(
            "sgd-projected/step",
            "projected SGD, erf, p=10, k=5: slowest of d = 10² to 10⁹",
            worst,
            "µs a step",
            "NumPy at d=1000",
            taken["NumPy"],
            taken["NumPy"] / worst,
            1.0,
        ),
        Line(
            "sgd-projected/spread",
            "the same: slowest over fastest dimension, less one",
            100 * spread,
            "%",
            target=20.0,
            note=", ".join(f"10^{len(str(d)) - 1}: {t:.2f}" for d, t in zip(ds, times, strict=True))
            + " µs",
        ),
    ]
    curve = Curve("sgd-d", "projected", list(zip(map(float, ds), times, strict=True)))
    return Result(lines, [curve])


def against_peers(size: Size) -> Result:
    """(d, p, k) = (1000, 10, 5), and p = d = 1000 as a share of the GEMM rate."""
    out = Result()
    for label, d, p, method, steps, peer_steps, target in (
        ("sgd-small", 1000, 10, "auto", 300_000, 4000, 30.0),
        ("sgd-large", 1000, 1000, "direct", 20_000, 150, 25.0),
    ):
        if size.name == "tiny":
            d, p, steps, peer_steps = d // 20, max(p // 20, 2), 128, 8
        start = tl.Weights.gaussian(p=p, k=5, d=d, seed=0, orthonormal_target=True)
        cases = {"ours": ours(start, steps, method), **peers(start, peer_steps)}
        counts = {name: steps if name == "ours" else peer_steps for name in cases}
        n = size.pick(64, 2000, 2000)
        cases["GEMM"], counts["GEMM"] = matrix_product(n, n, n), 1
        taken = per_step(cases, counts, size)
        ours_taken = taken["ours"]
        for name in cases:
            if name in ("NumPy", "PyTorch"):
                out.lines.append(
                    Line(
                        f"{label}/{name}",
                        f"SGD at (d, p, k) = ({d}, {p}, 5) against {name}",
                        ours_taken,
                        "µs a step",
                        f"{name}, a sample at a time",
                        taken[name],
                        taken[name] / ours_taken,
                        target if name == "NumPy" else None,
                        "at least",
                        "ratio",
                    )
                )
        if label == "sgd-large":
            gemm, rate = 2e-3 * n**3 / taken["GEMM"], 4e-3 * p * d / ours_taken  # GFLOP/s
            out.lines.append(
                Line(
                    "sgd-large/gemm",
                    f"direct SGD at p = d = {p}: 4pd flops a step, share of the GEMM rate",
                    rate,
                    "GFLOP/s",
                    f"GEMM of {n} rows",
                    gemm,
                    rate / gemm,
                    0.6,
                    "at least",
                    "ratio",
                )
            )
    return out


def growth(size: Size) -> Result:
    """Cost of a step against d, p and k, everything else as at (d, p, k) = (1000, 10, 5)."""
    out = Result()
    axes = {
        "d": size.pick([30, 60], [100, 300, 1000, 3000, 10_000], [100, 300, 1000, 3000, 10_000]),
        "p": size.pick([2, 4], [4, 10, 30, 100, 300, 1000], [4, 10, 30, 100, 300, 1000, 2000]),
        "k": size.pick([1, 2], [1, 3, 10, 30, 100], [1, 3, 10, 30, 100, 300]),
    }
    base = {"d": size.pick(40, 1000, 1000), "p": size.pick(4, 10, 10), "k": 5}
    few = Size(size.name, min(size.repeats, 3), 0.0)
    for axis, values in axes.items():
        points: dict[str, list[tuple[float, float]]] = {}
        for value in values:
            shape = base | {axis: value}
            start = tl.Weights.gaussian(**shape, seed=0, orthonormal_target=True)
            methods = ["direct"]
            room = shape["d"] - shape["p"] - shape["k"] >= 8
            if room and axis != "d" and shape["p"] <= 300:  # against d, see `dimensions`
                methods.append("projected")
            makers = {name: partial(ours, start, method=name) for name in methods}
            makers |= {name: partial(_peer, start, name) for name in peers(start, 1)}
            counts = {name: _enough(make, size) for name, make in makers.items()}
            cases = {name: make(steps=counts[name]) for name, make in makers.items()}
            for name, taken in per_step(cases, counts, few).items():
                points.setdefault(name, []).append((float(value), taken))
        out.curves += [Curve(f"sgd-{axis}", name, of) for name, of in points.items()]
    return out


def _peer(start: tl.Weights, name: str, steps: int) -> Callable[[], object]:
    return peers(start, steps)[name]


def _enough(make: Callable[..., Callable[[], object]], size: Size) -> int:
    """As many steps as last, so that what a call costs beyond its steps does not count."""
    steps, least = 16, size.pick(0.0, 0.1, 0.5)
    while True:
        case, started = make(steps=steps), time.perf_counter()
        case()
        spent = time.perf_counter() - started
        if spent >= least:
            return steps
        steps *= 2 if spent > least / 4 else 4


def parts(size: Size) -> Result:
    """Where a step's time goes, seen from outside the package.

    Random numbers and matrix products are timed alone (these as NumPy does them); special functions
    are the difference of erf and square; what remains is recursion, factorisation and traffic.
    """
    out = Result()
    for label, d, p, k, method, steps in (
        (f"{_PROJECTED}, p=10, k=5", 10**6, 10, 5, "projected", 300_000),
        (f"{_DIRECT}, p = d = 1000", 1000, 1000, 5, "direct", 10_000),
    ):
        if size.name == "tiny":
            d, p, steps = min(d, 100), min(p, 10), 128
        start = tl.Weights.gaussian(p=p, k=k, d=min(d, 1000), seed=0, orthonormal_target=True)
        state = start if method == "direct" else start.overlaps()
        dimension = None if method == "direct" else d
        block = tl.simulate(
            *(tl.Task("erf"), state), d=dimension, learning_rate=0.1, t_eval=[0.0], method=method
        ).provenance["block"]
        width = d if method == "direct" else p + k + block
        coordinates, freedom = (d, 0) if method == "direct" else (p + k, d - p - k)
        draws = Draws(0, 0, block, coordinates, freedom)
        batch = max(1, 100_000 // draws.size)
        cases = {
            "erf": ours(state, steps, method, dimension),
            "square": ours(state, steps, method, dimension, activation="square"),
            "random": partial(draws.blocks, batch),
            "fields": matrix_product(block, width, p),
            "update": matrix_product(p, block, width),
        }
        counts = dict.fromkeys(cases, block) | {"erf": steps, "square": steps}
        counts["random"] = batch * block
        taken = per_step(cases, counts, size)
        found = {
            "random numbers": taken["random"],
            "matrix products": taken["fields"] + taken["update"],
            "special functions": max(taken["erf"] - taken["square"], 0.0),
        }
        rest = "recursion within the block" if method == "direct" else "recursion and factorisation"
        found[rest] = max(taken["erf"] - sum(found.values()), 0.0)
        out.costs.append(Cost(label, found))
    return out


def over_cores(size: Size) -> Result:
    """As many runs at once as there are cores, against one."""
    cores = os.cpu_count() or 1
    out = Result()
    for label, d, p, steps in (("small", 1000, 10, 200_000), ("large", 1000, 300, 10_000)):
        steps = size.pick(128, steps, 3 * steps)
        start = tl.Weights.gaussian(p=size.pick(4, p, p), k=5, d=size.pick(40, d, d), seed=0)
        with ThreadPoolExecutor(cores) as pool:
            cases = {
                "one": ours(start, steps),
                "all": ours(start, steps, runs=cores, executor=pool),
            }
            taken = fastest(cases, size)
        out.lines.append(
            Line(
                f"sgd-cores/{label}",
                f"{cores} runs in {cores} threads at (d, p, k) = ({start.d}, {start.p}, 5)",
                taken["all"],
                "s",
                f"{cores} runs one after another",
                cores * taken["one"],
                cores * taken["one"] / taken["all"],
            )
        )
    return out
