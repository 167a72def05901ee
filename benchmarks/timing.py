"""Timing that other work on the machine disturbs little, and the machine it was taken on.

Cases to be compared are sampled in turn, so that a slow spell hits all of them; of each the
fastest sample counts, for whatever else runs only ever adds to a time.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Size

#: A sample is not repeated beyond this many seconds in all, however many repeats are asked for.
_PATIENCE = 20.0


def fastest(cases: Mapping[str, Callable[[], object]], size: Size) -> dict[str, float]:
    """Seconds of a call of each case.

    Parameters
    ----------
    cases : mapping
        Functions without arguments.  Each is called once before, to compile and to load.
    size : Size

    Returns
    -------
    dict
        The fastest of `size.repeats` samples, taken in turn, each of as many calls as last
        `size.seconds`.  Cases that take long get fewer samples, two at least.
    """
    calls, repeats, best = {}, {}, {}
    for name, case in cases.items():
        if size.repeats > 1:
            case()
        best[name] = _seconds(case, 1)
        calls[name] = max(1, int(size.seconds / max(best[name], 1e-7)))
        sample = calls[name] * best[name]
        repeats[name] = min(size.repeats, max(2, int(_PATIENCE / max(sample, 1e-7))))
    for turn in range(1, size.repeats):
        for name, case in cases.items():
            if turn < repeats[name]:
                best[name] = min(best[name], _seconds(case, calls[name]))
    return best


def _seconds(case: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        case()
    return (time.perf_counter() - started) / calls


def matrix_product(*shape: int) -> Callable[[], object]:
    """A product of matrices (m, n) and (n, l) in double precision, into memory at hand."""
    m, n, columns = shape
    rng = np.random.default_rng(0)
    A, B, out = rng.random((m, n)), rng.random((n, columns)), np.empty((m, columns))
    return lambda: np.matmul(A, B, out=out)


def machine() -> dict[str, Any]:
    """What the numbers depend on: processor, cores, BLAS, versions, time and commit."""
    packages = ("numpy", "scipy", "numba", "torch")
    found = {p.metadata["Name"].lower() for p in metadata.distributions() if p.metadata["Name"]}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": _blas(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in packages if name in found},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _blas() -> str:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _commit() -> str:
    def git(*arguments: str) -> str:
        root = Path(__file__).resolve().parents[1]  # not a repository around it
        command = ["git", "--git-dir", str(root / ".git"), "--work-tree", str(root), *arguments]
        return subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "lib", "benchmarks")
        return git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
