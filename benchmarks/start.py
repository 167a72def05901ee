"""What can only be seen in a process of its own: cold start and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.results import Line, Result, Size

_IMPORT = """
import json, sys, time
started = time.perf_counter()
import {what}
print(json.dumps([time.perf_counter() - started, "numba" in sys.modules]))
"""
_SIMULATE = """
import twolayer as tl
start = tl.Weights.in_target_span(p=10, k=5, d=1000)
tl.simulate(tl.Task("erf", noise=1e-3), start, learning_rate=0.05, t_eval=[0.01], progress=False)
"""
_MEMORY = """
import json, re
import twolayer as tl

def kilobytes(entry):
    return int(re.search(entry + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

def run(start, steps, d=None):
    rate = 0.05 / (start.p * (d or start.d))
    tl.simulate(tl.Task("erf"), start, learning_rate=0.05, t_eval=[steps * rate], d=d,
                method={method!r}, record="norms", progress=False)

tiny = tl.Weights.gaussian(p=4, k=2, d=50)
if {method!r} == "direct":
    run(tiny, 100)
else:
    run(tiny.overlaps(), 100, 50)
before = kilobytes("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # start the peak anew
{start}
run(start, {steps}, {d})
print(json.dumps((kilobytes("VmHWM") - before) / 1e3))
"""


def _python(code: str, **environment: str) -> tuple[float, str]:
    """Seconds of a fresh interpreter from start to end, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    taken = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"a benchmark's process failed:\n{done.stderr[-2000:]}")
    return taken, done.stdout


def cold_start(size: Size) -> Result:
    """Import, first simulation without any compiled code, and the next process."""
    ours, base = [], []
    numba = False
    for _ in range(size.pick(1, 5, 10)):
        seconds, loaded = json.loads(_python(_IMPORT.format(what="twolayer"))[1])
        numba |= loaded
        ours.append(seconds)
        base.append(json.loads(_python(_IMPORT.format(what="numpy, scipy.linalg"))[1])[0])
    first, second = [], []
    plain = {"NUMBA_DISABLE_JIT": "1"} if size.name == "tiny" else {}
    for _ in range(size.pick(1, 2, 3)):
        with tempfile.TemporaryDirectory() as folder:
            first.append(_python(_SIMULATE, NUMBA_CACHE_DIR=folder, **plain)[0])
            second += [
                _python(_SIMULATE, NUMBA_CACHE_DIR=folder, **plain)[0]
                for _ in range(size.pick(1, 2, 2))
            ]
    lines = [
        Line(
            "cold-start/import",
            "import twolayer",
            min(ours),
            "s",
            "import numpy, scipy.linalg",
            min(base),
            min(base) / min(ours),
            0.5,
        ),
        Line("cold-start/numba", "numba loaded by it (1: yes)", float(numba), "", target=0.0),
        Line(
            "cold-start/first",
            "a process with the first simulate, nothing compiled yet",
            min(first),
            "s",
            target=5.0,
        ),
        Line("cold-start/second", "the next process", min(second), "s", target=1.0),
    ]
    return Result(lines)


def memory(size: Size) -> Result:
    """Peak memory above that of an idle package: direct against W, projected against d."""
    p, d = size.pick((20, 2000), (1000, 16_000), (1000, 32_000))
    weights = f"start = tl.Weights.gaussian(p={p}, k=5, d={d})"
    direct = float(_python(_MEMORY.format(method="direct", start=weights, steps=200, d=None))[1])
    W = 8e-6 * p * d
    near, far = 10**3, 10**9
    inside = "start = tl.Weights.in_target_span(p=100, k=5, d=200).overlaps()"
    low, high = (
        float(_python(_MEMORY.format(method="projected", start=inside, steps=2000, d=of))[1])
        for of in (near, far)
    )
    lines = [
        Line(
            "memory/direct",
            f"direct SGD at p={p}, d={d}, k=5, the W handed in included: peak in units of W",
            direct,
            "MB",
            "W in double precision",
            W,
            direct / W,
            3.0,
            bounds="ratio",
        ),
        Line(
            "memory/projected",
            "projected SGD at p=100, k=5: peak at d = 10⁹ over that at d = 10³",
            high,
            "MB",
            "at d = 10³",
            low,
            high / low,
            1.1,
            bounds="ratio",
            note="independent of d: within 10 %",
        ),
    ]
    return Result(lines)
