"""A run of the benchmarks as a table of ratios and as the text of a page.

The yardsticks of a ratio are of the same run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from companion.claims import tables

ALT = (
    "Seven panels on logarithmic axes: microseconds a step of SGD against d, p and k; relative "
    "error against seconds for two flows; seconds of a mean-field right-hand side against "
    "particles; each beside its yardsticks; and every line in units of its target."
)
STEP = "µs a step"
Points = list[tuple[float, float]]

#: The paper's own code: ms of a step of erf with Ξ at p = 100, and s of a right-hand side of the
#: full flow at p = 100, k = 5.
PUBLISHED_XI, PUBLISHED_FULL = 9700.0, 0.42
#: So many times slower than the stored figures is marked.
MARKED = 1.5
#: The relative error that the flow is wanted at.
ACCURACY = 1e-4


@dataclass(frozen=True)
class Line:
    """One row of the table: a value, its yardstick of the same unit, and at most one target.

    The ratio is yardstick over value, as for times; with `share` the other way round.  `target`
    is an upper bound of the value, `at_least` and `at_most` bound the ratio.
    """

    name: str
    what: str
    value: float
    unit: str = ""
    yardstick: str = ""
    theirs: float | None = None
    share: bool = False
    target: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """None without a yardstick."""
        if self.theirs is None:
            return None
        return self.value / self.theirs if self.share else self.theirs / self.value

    @property
    def better(self) -> float | None:
        """How many times better than its target; None without a target."""
        if self.target is not None:
            return self.target / self.value if self.value else math.inf
        if self.at_least is not None:
            return self.ratio / self.at_least
        return None if self.at_most is None else self.at_most / self.ratio

    @property
    def cells(self) -> tuple[str, ...]:
        """As text: what, measured, yardstick, ratio, target, verdict."""
        unit = f" {self.unit}" if self.unit else ""
        bounds = [("at most", self.target, unit)]
        bounds += [("at least", self.at_least, " ×"), ("at most", self.at_most, " ×")]
        return (
            f"{self.what} ({self.note})" if self.note else self.what,
            number(self.value) + unit,
            self.yardstick + ("" if self.theirs is None else f": {number(self.theirs)}{unit}"),
            "" if self.ratio is None else number(self.ratio),
            "".join(f"{word} {number(b)}{of}" for word, b, of in bounds if b is not None),
            "" if self.better is None else "met" if self.better >= 1 else "not met",
        )


def number(value: float) -> str:
    """Three significant digits, in plain notation where that is short.

    Examples
    --------
    >>> number(0.04567), number(1234.5), number(2e-7)
    ('0.0457', '1230', '2e-07')
    """
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if "e" in text and 1e3 <= abs(value) < 1e7 else text


class Run:
    """What pytest-benchmark's JSON says, by the names of the benchmarks."""

    def __init__(self, measured: Mapping[str, Any]) -> None:
        self.measured = measured
        self.of = {one["name"]: one for one in measured["benchmarks"]}

    def seconds(self, name: str) -> float:
        """Of the fastest round; of a step, where the benchmark counts steps."""
        one = self.of[name]
        return one["stats"]["min"] / one["extra_info"].get("steps", 1)

    def microseconds(self, name: str) -> float:
        """The same in µs."""
        return 1e6 * self.seconds(name)

    def info(self, name: str, key: str) -> Any:
        """What a benchmark has noted beside its times."""
        return self.of[name]["extra_info"][key]

    def growth(self, name: str) -> dict[str, Points]:
        """Kind → (particles, seconds), of benchmarks `name[activation-d-particles]`."""
        out: dict[str, Points] = {}
        for kind, points in self.series(name).items():
            activation, d = kind.split("-")
            out[f"{activation}, d={'∞' if d == 'inf' else d}"] = points
        return out

    def series(self, name: str) -> dict[str, Points]:
        """Series → (size, seconds), of benchmarks `name[series-size]`."""
        out: dict[str, Points] = {}
        for found in self.of:
            test, _, case = found.removesuffix("]").partition("[")
            if test == name:
                series, _, size = case.rpartition("-")
                out.setdefault(series, []).append((float(size), self.seconds(found)))
        return out

    def gemm(self) -> float:
        """GFLOP/s of a product of square matrices."""
        return 2e-9 * self.info("test_gemm", "n") ** 3 / self.seconds("test_gemm")

    # --- lines, with tables of two rows for each ------------------------------------------

    def lines(self) -> list[Line]:
        """The table, in its order."""
        return [*self._start(), *self._sgd(), *self._flow(), *self._mean_field()]

    # fmt: off
    def _start(self) -> list[Line]:
        names = ("test_import[twolayer]", "test_import[numpy, scipy.linalg]")
        ours, base = (self.info(name, "import") for name in names)
        numba = float(self.info(names[0], "numba"))
        first, second = (self.seconds(f"test_first_simulation[{w}]") for w in ("not yet", "before"))
        cases = ("direct-16000", "projected-1000", "projected-1000000000")
        used, low, high = (self.info(f"test_memory[{case}]", "MB") for case in cases)
        W, p, d = (self.info("test_memory[direct-16000]", key) for key in ("MB of W", "p", "d"))
        return [
            Line("cold-start/import", "import twolayer", ours, "s",
                 "import numpy, scipy.linalg", base, target=0.5),
            Line("cold-start/numba", "numba loaded by it (1: yes)", numba, target=0.0),
            Line("cold-start/first", "a process with the first simulate, nothing compiled yet",
                 first, "s", target=5.0),
            Line("cold-start/second", "the next process", second, "s", target=1.0),
            Line("memory/direct",
                 f"direct SGD at p={p}, d={d}, k=5, the W handed in included: peak in units of W",
                 used, "MB", "W in double precision", W, share=True, at_most=3.0),
            Line("memory/projected",
                 "projected SGD at p=100, k=5: peak at d = 10⁹ over that at d = 10³", high, "MB",
                 "at d = 10³", low, share=True, at_most=1.1, note="independent of d: within 10 %"),
        ]

    def _sgd(self) -> list[Line]:
        times = {e: self.microseconds(f"test_step[projected-{10**e}-10-5]") for e in range(2, 10)}
        worst, spread = max(times.values()), max(times.values()) / min(times.values()) - 1
        each = ", ".join(f"10^{e}: {t:.2f}" for e, t in times.items()) + " µs"
        plain = self.microseconds("test_step[NumPy-1000-10-5]")
        rate = 4e3 / self.microseconds("test_step[direct-1000-1000-5]")  # GFLOP/s
        n = self.info("test_gemm", "n")
        return [
            Line("sgd-projected/step", "projected SGD, erf, p=10, k=5: slowest of d = 10² to 10⁹",
                 worst, STEP, "NumPy at d=1000", plain, target=1.0),
            Line("sgd-projected/spread", "the same: slowest over fastest dimension, less one",
                 100 * spread, "%", target=20.0, note=each),
            *self._peers("sgd-small", "projected", 10, 30.0),
            *self._peers("sgd-large", "direct", 1000, 25.0),
            Line("sgd-large/gemm",
                 "direct SGD at p = d = 1000: 4pd flops a step, share of the GEMM rate",
                 rate, "GFLOP/s", f"GEMM of {n} rows", self.gemm(), share=True, at_least=0.6),
            self._cores("small", 10),
            self._cores("large", 300),
        ]

    def _peers(self, name: str, method: str, p: int, at_least: float) -> Iterator[Line]:
        ours = self.microseconds(f"test_step[{method}-1000-{p}-5]")
        peers = {"NumPy": at_least, "PyTorch": None, "JAX": None, "JAX float32": None}
        for peer, bound in peers.items():
            if (test := f"test_step[{peer}-1000-{p}-5]") in self.of:
                yield Line(f"{name}/{peer.replace(' ', '-')}",
                           f"SGD at (d, p, k) = (1000, {p}, 5) against {peer}",
                           ours, STEP, f"{peer}, a sample at a time", self.microseconds(test),
                           at_least=bound)

    def _cores(self, size: str, p: int) -> Line:
        one, together = (self.seconds(f"test_cores[{size}-{runs}]") for runs in ("one", "all"))
        cores = self.info(f"test_cores[{size}-all]", "cores")
        what = f"{cores} runs in {cores} threads at (d, p, k) = (1000, {p}, 5)"
        return Line(f"sgd-cores/{size}", what, together, "s",
                    f"{cores} runs one after another", cores * one)

    def _flow(self) -> list[Line]:
        rhs, gemm = (1e3 * self.seconds(f"test_gradient_flow[{part}]") for part in ("rhs", "gemm"))
        ours, plain = (self.seconds(f"test_full_flow[{part}]") for part in ("full", "plain sum"))
        error = self.info("test_full_flow[full]", "error")
        return [
            self._accurate("classical", "gradient flow, p=10, k=2, 200 times to t = 10,000",
                           0.001, target=0.15),
            self._accurate("full", "full flow, p=10, k=5, 200 times to t = 1,000",
                           0.01, target=1.0),
            Line("rhs-gradient-flow/gemm",
                 "right-hand side of gradient flow, p=1000, k=5, in units of its matrix product",
                 rhs, "ms", "GEMM (1000 × 1005) (1005 × 1005)", gemm, share=True, at_most=3.0),
            Line("rhs-full/published", "right-hand side of the full flow, p=100, k=5", ours, "s",
                 "the paper's code, as published", PUBLISHED_FULL, at_least=5.0,
                 note=f"Ψ^Var within {error:.1g} of the plain sum"),
            Line("rhs-full/compiled", "the same", ours, "s",
                 "compiled sum over pairs of pairs", plain),
        ]

    def _accurate(self, name: str, what: str, dt: float, target: float) -> Line:
        """The fastest solution that is accurate enough, against Euler's with the smallest step."""
        solves = [test for test in self.of if test.startswith(f"test_solve[{name}-")]
        good = [test for test in solves if self.info(test, "error") <= ACCURACY]
        best, euler = min(good, key=self.seconds), f"test_euler[{name}-{dt}]"
        _, method, rtol = best.removesuffix("]").split("-", 2)
        return Line(f"ode-{name}/seconds", f"{what}, relative error at most {ACCURACY:g}",
                    self.seconds(best), "s",
                    f"Euler, dt = {dt:g} (error {self.info(euler, 'error'):.1g})",
                    self.seconds(euler), target=target,
                    note=f"{method}, rtol = {rtol}: error {self.info(best, 'error'):.1g}")

    def _mean_field(self) -> list[Line]:
        fields, pairs = self.growth("test_field"), self.growth("test_pairs")
        ours, theirs = (1e3 * self.seconds(f"test_xi[{who}]") for who in ("ours", "pairs"))
        nodes, error = (self.info("test_xi[ours]", key) for key in ("nodes", "error"))
        enough = self.info("test_xi[pairs]", "nodes")
        return [
            *(self._exponent(kind, fields[kind], pairs[kind]) for kind in fields),
            Line("mean-field-xi/published", "erf with Ξ, p=100, d=5: right-hand side at 1e-08",
                 ours, "ms", "the paper's code, as published", PUBLISHED_XI, at_least=1000.0,
                 note=f"nodes = {nodes}: error {error:.1g}"),
            Line("mean-field-xi/pairs", "the same", ours, "ms",
                 f"all pairs, NumPy, {enough} nodes", theirs),
        ]

    def _exponent(self, kind: str, points: Points, pairs: Points) -> Line:
        steepest = max(_slope(points[i : i + 2]) for i in range(len(points) - 1))
        ends = f"{points[0][0]:.0f} to {points[-1][0]:.0f}"
        return Line(f"mean-field-growth/{kind.replace(', d=', '-').replace('∞', 'inf')}",
                    f"mean field, {kind}, {ends} particles: exponent of the time",
                    _slope(points), "", f"all pairs, NumPy: {number(_slope(pairs))}", target=1.1,
                    note=f"{points[-1][1]:.2g} s for the last; steepest decade {steepest:.2f}")
    # fmt: on

    # --- where the time goes, and curves --------------------------------------------------

    def costs(self) -> list[str]:
        """A sentence for each method: its parts as shares, the largest first."""
        projected, direct = "projected-1000000-10-5", "direct-1000-1000-5"
        found = {
            "SGD, projected, p=10, k=5": self._parts(projected, "recursion and factorisation"),
            "SGD, direct, p = d = 1000": self._parts(direct, "recursion within the block"),
        }
        tests = [f"test_gradient_flow[{part}]" for part in ("rhs", "gemm", "square roots")]
        tests += [f"test_full_flow[{part}]" for part in ("full", "gradient flow")]
        tests += [f"test_field[erf-{d}-1000000]" for d in (5, "inf")]
        rhs, gemm, roots, full, descent, with_xi, without = map(self.microseconds, tests)
        found["gradient flow, right-hand side at p=1000"] = {
            "matrix product": gemm,
            "square roots": roots,
            "passes over p × p matrices": max(rhs - gemm - roots, 0.0),
        }
        found["full flow, right-hand side at p=100"] = {
            "arcsines of pairs of pairs": max(full - descent, 0.0),
            "gradient flow": descent,
        }
        found["mean field, erf, d=5, p = 1,000,000"] = {
            "first term of the series in Ξ": without,
            "further terms": max(with_xi - without, 0.0),
        }
        out = []
        for method, parts in found.items():
            total = sum(parts.values())
            ordered = sorted(parts.items(), key=lambda part: -part[1])
            shares = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in ordered)
            out.append(f"{method} ({number(total)} µs): {shares}")
        return out

    def _parts(self, case: str, rest: str) -> dict[str, float]:
        """Microseconds of the parts of a step of SGD."""
        step = self.microseconds(f"test_step[{case}]")
        square, random, products = (
            self.microseconds(f"test_part[{case}-{part}]")
            for part in ("square", "random", "products")
        )
        known = {
            "random numbers": random,
            "matrix products": products,
            "special functions": max(step - square, 0.0),
        }
        return known | {rest: max(step - sum(known.values()), 0.0)}

    def curves(self) -> dict[str, dict[str, Points]]:
        """Panel (`plot.PANELS`) → series → points."""
        out: dict[str, dict[str, Points]] = {f"sgd-{axis}": {} for axis in "dpk"}
        base = (1000, 10, 5)
        for name in self.of:
            test, _, case = name.removesuffix("]").partition("[")
            if test == "test_step":
                method, *numbers = case.split("-")
                shape = tuple(map(int, numbers))
                for n, axis in enumerate("dpk"):
                    if shape[:n] + shape[n + 1 :] == base[:n] + base[n + 1 :]:
                        point = (float(shape[n]), self.microseconds(name))
                        out[f"sgd-{axis}"].setdefault(method, []).append(point)
            elif test in ("test_solve", "test_euler"):
                flow, method = case.split("-")[:2]
                series = "Euler, compiled" if test == "test_euler" else f"solve, {method}"
                point = (self.seconds(name), self.info(name, "error"))
                out.setdefault(f"ode-{flow}", {}).setdefault(series, []).append(point)
        pairs = {f"pairs, {kind}": points for kind, points in self.growth("test_pairs").items()}
        out["mean-field"] = self.growth("test_field") | pairs
        return {panel: {s: sorted(of[s]) for s in of} for panel, of in out.items()}

    # --- cliffs ---------------------------------------------------------------------------

    def sizes(self) -> list[tuple[str, ...]]:
        """Of each series of `bench_cliffs`: what grows, times, and exponents."""
        rows = []
        for name, points in self.series("test_size").items():
            pairs = list(itertools.pairwise(points))
            counted = self.info(f"test_size[{name}-{points[0][0]:.0f}]", "counted")
            rows.append(
                (
                    f"{name} against {counted}",
                    ", ".join(f"{x:.0f}: {number(1e3 * y)}" for x, y in points),
                    f"{_slope(points):.2f}",
                    f"{max(_slope(list(pair)) for pair in pairs):.2f}",
                )
            )
        return rows

    def timed(self) -> dict[str, float]:
        """Seconds by the name of the benchmark, of those that are about time."""
        return {name: self.seconds(name) for name, one in self.of.items() if "min" in one["stats"]}

    def slower(self, stored: Mapping[str, float]) -> list[str]:
        """What takes 1.5 times as long as stored, or more, the machine's speed apart.

        That speed is the median of all ratios: few things change between two runs.
        """
        ratios = {name: now / stored[name] for name, now in self.timed().items() if name in stored}
        usual = float(np.median(list(ratios.values())))
        found = {name: ratio / usual for name, ratio in ratios.items()}
        return [f"{name}: {number(f)} times" for name, f in found.items() if f >= MARKED]

    def machine(self) -> str:
        """One sentence on where and when."""
        m, run = self.measured["machine_info"], self.measured["run"]
        commit = self.measured["commit_info"]
        versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
        return (
            f"{run['minutes']:.1f} minutes on {self.measured['datetime'][:16].replace('T', ' ')} "
            f"UTC at {commit['id'][:7]}{' and changes' if commit['dirty'] else ''}: "
            f"{m['processor']}, {m['cores']} cores, {m['memory_GB']} GB, {m['system']}, "
            f"{m['blas']}, {versions}; GEMM {number(self.gemm())} GFLOP/s; load "
            f"before the run {run['load_before']}"
        )


def _slope(points: Points) -> float:
    """Least squares in both logarithms."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def page(measured: Mapping[str, Any], stored: Mapping[str, float]) -> str:
    """A run, as pytest-benchmark writes it, as MyST Markdown; and what it is held against."""
    run = Run(measured)
    heads = ("what", "measured", "yardstick", "ratio", "target", "verdict")
    out = [f"{run.machine()}.", "", tables.table(heads, [line.cells for line in run.lines()])]
    out += ["", "```{figure} ../benchmarks/latest.svg", f":alt: {ALT}", ":width: 100%", ""]
    out += ["The same run: cost, accuracy, and how far each line is from its target.", "```", ""]
    out += ["Where the time goes, the largest first:", ""]
    out += [f"- {text}" for text in run.costs()]
    out += ["", "How the time grows with size:", ""]
    heads = ("what", "milliseconds", "exponent", "steepest pair")
    out += [tables.table(heads, run.sizes()), ""]
    slower = run.slower(stored) or ["nothing"]
    out += [f"{MARKED} times slower than the stored figures, or more: {'; '.join(slower)}."]
    return "\n".join(out)
