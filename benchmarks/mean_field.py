"""Mean field: how a right-hand side grows with the number of particles, and erf with Ξ."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

import twolayer as tl
from benchmarks import yardsticks
from benchmarks.results import Cost, Curve, Line, Result, Size
from benchmarks.timing import fastest
from twolayer.mean_field.field import make_field

#: Seconds a step of erf with Ξ at p = 100 takes in the paper's own code.
PUBLISHED_XI = 9.7
ACCURACY = 1e-8
K = 2


def particles(p: int, seed: int = 0) -> tl.Particles:
    """Particles of p Gaussian students in five dimensions, targets orthonormal."""
    return tl.Particles.from_weights(
        tl.Weights.gaussian(p=p, k=K, d=5, seed=seed, orthonormal_target=True)
    )


def field(activation: str, p: int, d: float, nodes: int = 24) -> Callable[[], tuple]:
    """The drift of so many particles, ready to be timed."""
    start = particles(p)
    made = make_field(tl.Task(activation), np.eye(K), p, d - K, "exact", nodes)
    return partial(made.drift, start.m, start.q, start.weight)


def pairwise(activation: str, p: int, d: float) -> Callable[[], tuple]:
    """The same over all pairs."""
    start = particles(p)
    if activation == "square":
        return partial(yardsticks.pairwise_square, start.m, start.q, d - K)
    return partial(yardsticks.pairwise_erf, start.m, start.q, d - K, 16)


def growth(size: Size) -> Result:
    """Time against p from 10³ to 10⁶."""
    ps = size.pick([20, 40], [10**3, 10**4, 10**5, 10**6], [10**3, 10**4, 10**5, 10**6])
    pair_ps = size.pick([10, 20], [200, 400, 800], [200, 400, 800, 1600])
    few = Size(size.name, min(size.repeats, 5), size.seconds / 2)
    out = Result()
    for activation, d in (("square", 5), ("erf", 5), ("erf", math.inf)):
        label = f"{activation}, d={'∞' if d == math.inf else d}"
        cases = {f"{p}": field(activation, p, d) for p in ps}
        pairs = {f"pairs {p}": pairwise(activation, p, d) for p in pair_ps}
        taken = fastest(cases | pairs, few)
        points = [(float(p), taken[f"{p}"]) for p in ps]
        pair_points = [(float(p), taken[f"pairs {p}"]) for p in pair_ps]
        pair_slope = _slope(pair_points)
        steepest = max(_slope(points[i : i + 2]) for i in range(len(points) - 1))
        out.lines.append(
            Line(
                f"mean-field-growth/{activation}-{d}",
                f"mean field, {label}, {ps[0]} to {ps[-1]} particles: exponent of the time",
                _slope(points),
                "",
                "all pairs, NumPy",
                pair_slope,
                target=1.1,
                note=f"{points[-1][1]:.2g} s for the last; steepest decade {steepest:.2f}",
            )
        )
        out.curves.append(Curve("mean-field", label, points))
        out.curves.append(Curve("mean-field", f"pairs, {label}", pair_points))
    with_xi, without = (dict(out.curves[i].points)[ps[-1]] for i in (2, 4))
    cost = {
        "first term of the series in Ξ": 1e6 * without,
        "further terms": 1e6 * max(with_xi - without, 0.0),
    }
    out.costs.append(Cost(f"mean field, erf, d=5, p = {ps[-1]:,}", cost))
    return out


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares in both logarithms."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def with_xi(size: Size) -> Result:
    """Erf with Ξ at p = 100, d = 5: the fewest nodes that are good enough, against all pairs."""
    p, d = size.pick(10, 100, 100), 5
    start = particles(p)
    exact = np.column_stack(yardsticks.pairwise_erf(start.m, start.q, d - K, 120))
    scale = np.abs(exact).max()

    def error(drift: tuple) -> float:
        return float(np.abs(np.column_stack(drift) - exact).max() / scale)

    nodes = next((n for n in range(8, 121, 4) if error(field("erf", p, d, n)()) <= ACCURACY), 120)
    enough = next(
        n
        for n in range(4, 121, 2)
        if error(yardsticks.pairwise_erf(start.m, start.q, d - K, n)) <= ACCURACY
    )
    ours = field("erf", p, d, nodes)
    taken = fastest(
        {
            "ours": ours,
            "pairs": partial(yardsticks.pairwise_erf, start.m, start.q, d - K, enough),
        },
        size,
    )
    note = f"nodes = {nodes}: error {error(ours()):.1g}"
    what = f"erf with Ξ, p={p}, d={d}: right-hand side at {ACCURACY:g}"
    lines = [
        Line(
            "mean-field-xi/published",
            what,
            1e3 * taken["ours"],
            "ms",
            "the paper's code, as published",
            1e3 * PUBLISHED_XI,
            PUBLISHED_XI / taken["ours"],
            1000.0,
            "at least",
            "ratio",
            note,
        ),
        Line(
            "mean-field-xi/pairs",
            "the same",
            1e3 * taken["ours"],
            "ms",
            f"all pairs, NumPy, {enough} nodes",
            1e3 * taken["pairs"],
            taken["pairs"] / taken["ours"],
        ),
    ]
    return Result(lines)
