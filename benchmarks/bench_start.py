"""What can only be seen in a process of its own: cold start and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

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


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    surroundings = os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("what", ["twolayer", "numpy, scipy.linalg"])
def test_import(benchmark, what):
    """The time of the import alone is noted beside that of the process."""
    benchmark.group, said = "a process that imports", []
    benchmark(lambda: said.append(json.loads(python(_IMPORT.format(what=what)))))
    benchmark.extra_info["import"] = min(seconds for seconds, _ in said)
    benchmark.extra_info["numba"] = any(loaded for _, loaded in said)


@pytest.mark.parametrize("compiled", ["not yet", "before"])
def test_first_simulation(benchmark, tmp_path, compiled):
    """From the start of a process to its end, with nothing compiled yet or with everything."""
    benchmark.group = "a process that simulates"
    surroundings = {"NUMBA_DISABLE_JIT": "1"} if benchmark.disabled else {}
    folders = (str(tmp_path / (compiled if compiled == "before" else str(n))) for n in range(99))

    def setup() -> tuple:
        return (_SIMULATE,), surroundings | {"NUMBA_CACHE_DIR": next(folders)}

    rounds = 1 if benchmark.disabled else 3
    benchmark.pedantic(python, setup=setup, rounds=rounds, warmup_rounds=compiled == "before")


@pytest.mark.parametrize(
    ("method", "d"), [("direct", 16_000), ("projected", 10**3), ("projected", 10**9)]
)
def test_memory(benchmark, method, d):
    """Peak memory above that of an idle package, in MB, beside the time of the process."""
    benchmark.group = "peak memory"
    if method == "direct":
        p, steps = 20 if benchmark.disabled else 1000, 200
        d = 2000 if benchmark.disabled else d
        start = f"start = tl.Weights.gaussian(p={p}, k=5, d={d})"
        benchmark.extra_info |= {"p": p, "d": d, "MB of W": 8e-6 * p * d}
    else:
        steps = 2000
        start = "start = tl.Weights.in_target_span(p=100, k=5, d=200).overlaps()"
    of = None if method == "direct" else d
    code = _MEMORY.format(method=method, start=start, steps=steps, d=of)
    benchmark.extra_info["MB"] = json.loads(benchmark.pedantic(python, (code,)))
