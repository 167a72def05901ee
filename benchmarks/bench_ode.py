"""The flow of the overlaps: accuracy against time, and the cost of a right-hand side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

import twolayer as tl
from benchmarks import yardsticks
from benchmarks.bench_sgd import matrix_product
from twolayer.flow import right_hand_side
from twolayer.problem.task import excess_risk_of

TASK, LEARNING_RATE = tl.Task("erf", noise=1e-3), 0.05


@dataclass(frozen=True)
class Problem:
    """An initial value problem for `solve`; `t` are 200 times."""

    overlaps: tl.Overlaps
    terms: str
    t: np.ndarray

    def solve(self, rtol: float, method: str = "LSODA") -> np.ndarray:
        """Excess risk at the output times."""
        return tl.solve(
            TASK,
            self.overlaps,
            learning_rate=LEARNING_RATE,
            terms=self.terms,
            t_eval=self.t,
            rtol=rtol,
            atol=rtol * 1e-3,
            method=method,
            progress=False,
        ).excess_risk


@cache
def problem(name: str, tiny: bool) -> Problem:
    """The authors' classical notebook to t = 10⁴, or the full flow to t = 10³."""
    if name == "classical":
        start = tl.Weights.gaussian(p=10, k=2, d=3, seed=3, orthonormal_target=True)
        terms, last = "gradient-flow", 4
    else:
        start = tl.Weights.in_target_span(p=10, k=5, d=50)
        terms, last = "full", 3
    times = np.logspace(-2, 0 if tiny else last, 5 if tiny else 200)
    return Problem(start.overlaps(), terms, times)


@cache
def reference(name: str, tiny: bool) -> np.ndarray:
    """Its solution, much more accurate than what is timed."""
    return problem(name, tiny).solve(1e-12, "Radau")


def largest_error(risk: np.ndarray, reference: np.ndarray) -> float:
    """Relative."""
    return float(np.max(np.abs(risk / reference - 1)))


@pytest.mark.parametrize("rtol", [1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10])
@pytest.mark.parametrize("method", ["LSODA", "Radau"])
@pytest.mark.parametrize("name", ["classical", "full"])
def test_solve(benchmark, name, method, rtol):
    """Its error is noted beside its time."""
    benchmark.group = f"the flow of the overlaps, {name}"
    exact = reference(name, benchmark.disabled)  # and compiles
    risk = benchmark(problem(name, benchmark.disabled).solve, rtol, method)
    benchmark.extra_info["error"] = largest_error(risk, exact)


@pytest.mark.parametrize(
    ("name", "dt"),
    [("classical", 0.1), ("classical", 0.01), ("classical", 0.001), ("full", 0.1), ("full", 0.01)],
)
def test_euler(benchmark, name, dt):
    """The same by the yardstick; the risks, which `solve` does compute, are not counted."""
    benchmark.group = f"the flow of the overlaps, {name}"
    posed = problem(name, benchmark.disabled)
    steps, p = np.rint(posed.t / dt).astype(np.int64), posed.overlaps.p
    fixed = (posed.overlaps.Omega, p, LEARNING_RATE, TASK.noise, posed.terms == "full", dt)
    yardsticks.euler(*fixed, steps[:1])  # compiles
    if steps[-1] > 1e6 or name == "full":  # once is enough
        states = benchmark.pedantic(yardsticks.euler, (*fixed, steps))
    else:
        states = benchmark(yardsticks.euler, *fixed, steps)
    # Without validation, for Euler's error takes Ω out of the range of overlaps; and compared
    # where the times were rounded to whole steps, so that rounding does not count as error.
    t, first = np.unique(steps * dt, return_index=True)
    risk = np.array([excess_risk_of(TASK, Omega, p) for Omega in states[first]])
    exact = replace(posed, t=t).solve(1e-11, "Radau")
    benchmark.extra_info["error"] = largest_error(risk, exact)


@pytest.mark.parametrize("part", ["rhs", "gemm", "square roots"])
def test_gradient_flow(benchmark, part):
    """A right-hand side of gradient flow at p = 1000 against the matrix product in it."""
    benchmark.group = "right-hand side of gradient flow, p = 1,000, k = 5"
    p, k = 20 if benchmark.disabled else 1000, 5
    start = tl.Weights.gaussian(p=p, k=k, d=2 * p, seed=0, orthonormal_target=True).overlaps()
    rhs = right_hand_side(tl.Task("erf"), start.P, LEARNING_RATE, "gradient-flow")
    positive, product = np.abs(start.Q), matrix_product(p, p + k, p + k)
    parts = {
        "rhs": lambda: rhs(start.Q, start.M),
        "gemm": product,
        "square roots": lambda: np.sqrt(positive),
    }
    benchmark(parts[part])


@pytest.mark.parametrize("part", ["full", "gradient flow", "plain sum"])
def test_full_flow(benchmark, part):
    """A right-hand side of the full flow at p = 100 against the plain compiled sum."""
    benchmark.group = "right-hand side of the full flow, p = 100, k = 5"
    p, k = 6 if benchmark.disabled else 100, 5
    start = tl.Weights.gaussian(p=p, k=k, d=1000, seed=0, orthonormal_target=True).overlaps()
    full = right_hand_side(TASK, start.P, LEARNING_RATE, "full")
    descent = right_hand_side(TASK, start.P, LEARNING_RATE, "gradient-flow")

    def plain(full: bool) -> np.ndarray:
        return yardsticks.euler_rates(start.Omega, p, LEARNING_RATE, TASK.noise, full)

    calls = {
        "full": lambda: full(start.Q, start.M),
        "gradient flow": lambda: descent(start.Q, start.M),
        "plain sum": lambda: plain(True),
    }
    wanted = (plain(True) - plain(False))[:, :p]  # Ψ^Var
    found = calls["full"]()[0] - calls["gradient flow"]()[0]
    benchmark.extra_info["error"] = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    benchmark(calls[part])
