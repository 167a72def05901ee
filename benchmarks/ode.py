"""The flow of the overlaps: accuracy against time, and the cost of a right-hand side."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

import twolayer as tl
from benchmarks import yardsticks
from benchmarks.results import Cost, Curve, Line, Result, Size
from benchmarks.timing import fastest, matrix_product
from twolayer.flow import right_hand_side
from twolayer.problem.task import excess_risk_of

#: Seconds a right-hand side of the full flow at p = 100, k = 5 takes in the paper's own code.
PUBLISHED_FULL = 0.42
ACCURACY = 1e-4
_TOLERANCES = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)


@dataclass(frozen=True)
class Problem:
    """An initial value problem for `solve`."""

    task: tl.Task
    overlaps: tl.Overlaps
    learning_rate: float
    terms: str
    t: np.ndarray

    def solve(self, rtol: float, method: str = "LSODA") -> np.ndarray:
        """Excess risk at the output times."""
        return tl.solve(
            self.task,
            self.overlaps,
            learning_rate=self.learning_rate,
            terms=self.terms,
            t_eval=self.t,
            rtol=rtol,
            atol=rtol * 1e-3,
            method=method,
            progress=False,
        ).excess_risk

    def euler(self, dt: float, repeats: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Excess risk by the yardstick, the times rounded to whole steps, and its seconds.

        The risks, which `solve` does compute, are not counted.
        """
        steps, p = np.rint(self.t / dt).astype(np.int64), self.overlaps.p
        arguments = (p, self.learning_rate, self.task.noise, self.terms == "full", dt, steps)
        seconds = np.inf
        for _ in range(repeats):
            started = time.perf_counter()
            states = yardsticks.euler(self.overlaps.Omega, *arguments)
            seconds = min(seconds, time.perf_counter() - started)
        # Without validation: Euler's error takes Ω out of the range of overlaps.
        risk = [excess_risk_of(self.task, Omega, p) for Omega in states]
        return np.array(risk), steps * dt, seconds


def classical(size: Size) -> Result:
    """The authors' classical notebook: p=10, k=2, gradient flow to t = 10⁴."""
    start = tl.Weights.gaussian(p=10, k=2, d=3, seed=3, orthonormal_target=True)
    last = size.pick(1, 4, 4)
    problem = Problem(
        tl.Task("erf", noise=1e-3),
        start.overlaps(),
        0.05,
        "gradient-flow",
        np.logspace(-2, last, size.pick(5, 200, 200)),
    )
    what = f"gradient flow, p=10, k=2, 200 times to t = {10**last:,}"
    steps = size.pick([0.1], [0.1, 0.01, 0.001], [0.1, 0.01, 0.001])
    return _accuracy(size, "ode-classical", what, problem, steps, 0.15)


def full(size: Size) -> Result:
    """The full flow at p=10, k=5 to t = 10³."""
    start = tl.Weights.in_target_span(p=10, k=5, d=50)
    last = size.pick(0, 3, 3)
    times = np.logspace(-2, last, size.pick(5, 200, 200))
    problem = Problem(tl.Task("erf", noise=1e-3), start.overlaps(), 0.05, "full", times)
    what = f"full flow, p=10, k=5, 200 times to t = {10**last:,}"
    return _accuracy(
        size, "ode-full", what, problem, size.pick([0.1], [0.1, 0.01], [0.1, 0.01, 0.001]), 1.0
    )


def _accuracy(
    size: Size, label: str, what: str, problem: Problem, euler_steps: list[float], target: float
) -> Result:
    """Error against time over tolerances and step sizes; the line is the fastest good enough."""
    reference = problem.solve(1e-12, "Radau")
    few = Size(size.name, min(size.repeats, 3), 0.0)
    curves, good = [], {}
    for method in ("LSODA", "Radau"):
        points = []
        for rtol in _TOLERANCES[: size.pick(1, None, None)]:
            error = _error(problem.solve(rtol, method), reference)
            taken = fastest({"": lambda r=rtol, m=method: problem.solve(r, m)}, few)[""]
            points.append((taken, error))
            if error <= ACCURACY or size.name == "tiny":
                good[method, rtol] = (taken, error)
        curves.append(Curve(label, f"solve, {method}", points))
    points, yardstick = [], (np.nan, np.nan, np.nan)
    Problem(**vars(problem) | {"t": problem.t[:1]}).euler(problem.t[0], 1)  # compile
    for dt in euler_steps:
        long = problem.t[-1] / dt > 1e6 or problem.terms == "full"  # once is enough
        risk, t, taken = problem.euler(dt, 1 if long else few.repeats)
        # Compared where the times were rounded to, so that rounding does not count as error.
        t, first = np.unique(t, return_index=True)
        error = _error(risk[first], Problem(**vars(problem) | {"t": t}).solve(1e-11, "Radau"))
        points.append((taken, error))
        yardstick = (taken, error, dt)
    curves.append(Curve(label, "Euler, compiled", points))
    if not good:
        method, rtol = "LSODA", _TOLERANCES[-1]
        good[method, rtol] = (np.inf, np.nan)
    (method, rtol), (taken, error) = min(good.items(), key=lambda item: item[1][0])
    euler_taken, euler_error, dt = yardstick
    line = Line(
        f"{label}/seconds",
        f"{what}, relative error at most {ACCURACY:g}",
        taken,
        "s",
        f"Euler, dt = {dt:g} (error {euler_error:.1g})",
        euler_taken,
        euler_taken / taken,
        target,
        note=f"{method}, rtol = {rtol:g}: error {error:.1g}",
    )
    return Result([line], curves)


def _error(risk: np.ndarray, reference: np.ndarray) -> float:
    return float(np.max(np.abs(risk / reference - 1)))


def gradient_flow_rate(size: Size) -> Result:
    """A right-hand side of gradient flow at p = 1000 against the matrix product in it."""
    p, k = size.pick(20, 1000, 1000), 5
    start = tl.Weights.gaussian(p=p, k=k, d=2 * p, seed=0, orthonormal_target=True).overlaps()
    rhs = right_hand_side(tl.Task("erf"), start.P, 0.05, "gradient-flow")
    positive = np.abs(start.Q)
    cases = {
        "rhs": lambda: rhs(start.Q, start.M),
        "gemm": matrix_product(p, p + k, p + k),
        "square roots": lambda: np.sqrt(positive),
    }
    taken = {name: 1e3 * of for name, of in fastest(cases, size).items()}
    line = Line(
        "rhs-gradient-flow/gemm",
        f"right-hand side of gradient flow, p={p}, k={k}, in units of its matrix product",
        taken["rhs"],
        "ms",
        f"GEMM ({p} × {p + k}) ({p + k} × {p + k})",
        taken["gemm"],
        taken["rhs"] / taken["gemm"],
        3.0,
        bounds="ratio",
    )
    cost = {
        "matrix product": 1e3 * taken["gemm"],
        "square roots": 1e3 * taken["square roots"],
        "passes over p × p matrices": 1e3
        * max(taken["rhs"] - taken["gemm"] - taken["square roots"], 0.0),
    }
    return Result([line], costs=[Cost(f"gradient flow, right-hand side at p={p}", cost)])


def full_rate(size: Size) -> Result:
    """A right-hand side of the full flow at p = 100 against the plain compiled sum."""
    p, k = size.pick(6, 100, 100), 5
    task = tl.Task("erf", noise=1e-3)
    start = tl.Weights.gaussian(p=p, k=k, d=1000, seed=0, orthonormal_target=True).overlaps()
    rhs = right_hand_side(task, start.P, 0.05, "full")
    descent = right_hand_side(task, start.P, 0.05, "gradient-flow")
    cases = {
        "full": lambda: rhs(start.Q, start.M),
        "descent": lambda: descent(start.Q, start.M),
        "yardstick": lambda: yardsticks.euler_rates(start.Omega, p, 0.05, task.noise, True),
    }
    expected = cases["yardstick"]()
    plain = yardsticks.euler_rates(start.Omega, p, 0.05, task.noise, False)
    variance = rhs(start.Q, start.M)[0] - descent(start.Q, start.M)[0]
    wanted = (expected - plain)[:, :p]
    error = np.abs(variance - wanted).max() / np.abs(wanted).max()
    taken = fastest(cases, size)
    lines = [
        Line(
            "rhs-full/published",
            f"right-hand side of the full flow, p={p}, k={k}",
            taken["full"],
            "s",
            "the paper's code, as published",
            PUBLISHED_FULL,
            PUBLISHED_FULL / taken["full"],
            5.0,
            "at least",
            "ratio",
            note=f"Ψ^Var within {error:.1g} of the plain sum",
        ),
        Line(
            "rhs-full/compiled",
            "the same",
            taken["full"],
            "s",
            "compiled sum over pairs of pairs",
            taken["yardstick"],
            taken["yardstick"] / taken["full"],
        ),
    ]
    cost = {
        "arcsines of pairs of pairs": 1e6 * max(taken["full"] - taken["descent"], 0.0),
        "gradient flow": 1e6 * taken["descent"],
    }
    return Result(lines, costs=[Cost(f"full flow, right-hand side at p={p}", cost)])
